/* The watchdog (slp_watchdog.h): when a tasklet is interrupted, and what becomes of it.
 *
 * The loop counts (count_instruction in Python/evalloop.c) and asks here when nothing is left.
 */
#include "slp_scheduler.h"
#include "slp_shims.h"

#include "internal/pycore_opcode.h"
#include "opcode.h"

/* So many instructions of an import run before it is looked at again. */
#define TICKS_BETWEEN_LOOKS 100

/* --- counting --- */

/* Bring th->counting and th->watch up to date with the rest. */
static void
set_counting(slp_thread *th)
{
    slp_watchdog *wd = &th->watchdog;
    bool counting = wd->caller != NULL && !wd->soft_due && (wd->slice > 0 || wd->late);
#if SLP_TORTURE_PREEMPT
    counting = true;
#endif
    th->counting = counting ? SLP_COUNTING : 0;
    th->watch &= ~(SLP_WATCH_ARRIVAL | SLP_WATCH_SOFT_DUE);
    th->watch |= counting || wd->notes != NULL ? SLP_WATCH_ARRIVAL : 0;
    th->watch |= wd->soft_due ? SLP_WATCH_SOFT_DUE : 0;
}

/* See to it that the loop that runs looks at th->counting. */
static void
count_now(slp_thread *th, PyThreadState *tstate)
{
    if (th->counting && tstate->cframe->use_tracing == 0) {
        tstate->cframe->use_tracing = SLP_COUNTING;
    }
}

/* The current tasklet would have been interrupted, but for an obstacle; or that is no longer so. */
static void
set_pending(slp_thread *th, PyTaskletObject *t)
{
    slp_watchdog *wd = &th->watchdog;
    if (wd->pending != NULL) {
        wd->pending->flags.pending_irq = 0;
    }
    if (t != NULL) {
        t->flags.pending_irq = 1;
    }
    wd->pending = t;
}

/* --- the deadline --- */

/* It has passed while `t` ran. */
static void
note_overran(slp_watchdog *wd, PyTaskletObject *t)
{
    if (wd->notes != NULL && !wd->late && t != NULL && !t->flags.idle) {
        assert(wd->notes->overran == NULL);
        wd->notes->overran = (PyTaskletObject *)Py_NewRef(t);
    }
}

/* The same; the slice ends. */
static void
be_late(slp_thread *th, PyTaskletObject *t)
{
    slp_watchdog *wd = &th->watchdog;
    slp_alarm_clear(&wd->alarm);
    if (wd->caller == NULL) {
        return;
    }
    note_overran(wd, t);
    wd->late = true;
    wd->importing = false;
    wd->ticks = 0;
    wd->soft_due = wd->soft;
    set_counting(th);
    count_now(th, th->tstate);
}

void
slp_watchdog_late(slp_thread *th)
{
    be_late(th, th->current);
}

/* --- on and off --- */

int
slp_watchdog_arm(slp_thread *th, const slp_limits *limits)
{
    slp_watchdog *wd = &th->watchdog;
    if (wd->caller != NULL || (limits->timeout <= 0 && !limits->timed)) {
        return 0;
    }
    wd->late = false;
    wd->deadline = 0;
    wd->notes = limits->notes;
    wd->entered = th->current->next;
    if (limits->timed) {
        wd->overshoot = 0.0;
        if (limits->max_seconds <= 0.0) {
            wd->deadline = slp_alarm_now();
            wd->late = true;
        }
        /* A century is as good as no limit. */
        else if (limits->max_seconds < 3e9) {
            wd->deadline = slp_alarm_now() + (int64_t)(limits->max_seconds * 1e9);
            if (slp_alarm_set(&wd->alarm, th->tstate->interp, wd->deadline) < 0) {
                wd->deadline = 0;
                wd->notes = NULL;
                return -1;
            }
        }
    }
    wd->caller = th->current;
    wd->importing = false;
    wd->slice = limits->timeout;
    wd->ticks = wd->late ? 0 : wd->slice;
    wd->total = limits->total;
    wd->soft = limits->soft;
    wd->ignore_nesting = limits->ignore_nesting;
    set_counting(th);
    return 0;
}

void
slp_watchdog_off(slp_thread *th)
{
    slp_watchdog *wd = &th->watchdog;
    if (wd->deadline != 0) {
        int64_t late_by = slp_alarm_now() - wd->deadline;
        wd->overshoot = late_by > 0 ? (double)late_by / 1e9 : 0.0;
        if (late_by > 0) {
            note_overran(wd, th->current);
        }
        wd->deadline = 0;
        slp_alarm_clear(&wd->alarm);
    }
    set_pending(th, NULL);
    wd->caller = NULL;
    wd->notes = NULL;
    wd->slice = 0;
    wd->late = false;
    wd->soft_due = false;
    set_counting(th);
}

void
slp_watchdog_switched(PyThreadState *tstate, slp_thread *th, PyTaskletObject *entered)
{
    slp_watchdog *wd = &th->watchdog;
    if (wd->pending != NULL) {
        set_pending(th, NULL);
    }
    if (wd->notes != NULL) {
        /* A torture build suspends a tasklet for a moment: that is no switch. */
        wd->notes->switches += entered != wd->entered || wd->notes->switches == 0;
        /* The breaker tells it too late: C code that lets other threads run takes that back. */
        if (slp_alarm_rings(&wd->alarm)) {
            be_late(th, wd->entered);
        }
        wd->entered = entered;
    }
    if (wd->importing) {
        wd->importing = false;
        wd->ticks = 0;
    }
    if (wd->slice > 0 && !wd->total && !wd->late) {
        wd->ticks = wd->slice;
    }
    count_now(th, tstate);
}

void
slp_watchdog_soft(slp_thread *th)
{
    PyTaskletObject *caller = th->watchdog.caller;
    PyTaskletObject *next = th->next;
    assert(caller != NULL && caller->flags.waits_in_run);
    if (next == caller) {
        /* schedule() of a tasklet that is alone. */
        th->next = NULL;
        slp_scheduler_wake(caller, th->current);
        th->next = next;
        return;
    }
    slp_scheduler_wake(caller, next);
    th->next = (PyTaskletObject *)Py_NewRef(caller);
    Py_DECREF(next);
}

/* --- obstacles --- */

/* The generic form of a code unit's instruction. */
static inline int
opcode_of(_Py_CODEUNIT unit)
{
    return _PyOpcode_Deopt[_Py_OPCODE(unit)];
}

static bool
loads_none(PyCodeObject *code, _Py_CODEUNIT unit)
{
    return opcode_of(unit) == LOAD_CONST && _Py_OPARG(unit) < PyTuple_GET_SIZE(code->co_consts)
           && PyTuple_GET_ITEM(code->co_consts, _Py_OPARG(unit)) == Py_None;
}

/* Is it one of the instructions at the end of a `with` block that call __exit__(None, None, None)?  They
 * are protected by nothing: LOAD_CONST (three times), PRECALL 2, CALL 2.  Where the block is left by `return`
 * with a value, a SWAP stands before them. */
static bool
is_exit_call(PyCodeObject *code, const _Py_CODEUNIT *unit)
{
    const _Py_CODEUNIT *start = _PyCode_CODE(code);
    const _Py_CODEUNIT *precall = unit;
    if (opcode_of(*unit) == CALL) {
        precall = unit - 1 - INLINE_CACHE_ENTRIES_PRECALL;
    }
    else {
        for (int i = 0; i < 3 && loads_none(code, *precall); i++) {
            precall++;
        }
    }
    return precall - start >= 3 && opcode_of(*precall) == PRECALL && _Py_OPARG(*precall) == 2
           && loads_none(code, precall[-1]) && loads_none(code, precall[-2]) && loads_none(code, precall[-3]);
}

/* Does it begin to await what __aexit__() returned?  At the end of an `async with` block that is protected by
 * nothing: GET_AWAITABLE 2, LOAD_CONST, SEND. */
static bool
is_exit_await(PyCodeObject *code, const _Py_CODEUNIT *unit)
{
    const _Py_CODEUNIT *start = _PyCode_CODE(code);
    for (int i = 0; i < 3 && unit >= start; i++, unit--) {
        if (opcode_of(*unit) == GET_AWAITABLE) {
            return _Py_OPARG(*unit) == 2;
        }
    }
    return false;
}

/* Does the instruction at `unit` belong to the one before it, where exceptions are concerned?  A NOP does:
 * where a `try` begins inside of another one, no handler covers it. */
static bool
is_inseparable(PyCodeObject *code, const _Py_CODEUNIT *unit)
{
    switch (opcode_of(*unit)) {
    case NOP:
    case PUSH_EXC_INFO:
    case POP_EXCEPT:
    case WITH_EXCEPT_START:
        return true;
    case GET_AWAITABLE:
    case SEND:
        return is_exit_await(code, unit);
    case SWAP:
        return is_exit_call(code, unit + 1);
    case COPY:
        return opcode_of(unit[1]) == POP_EXCEPT;
    case LOAD_CONST:
        return is_exit_call(code, unit) || is_exit_await(code, unit);
    case PRECALL:
    case CALL:
        return is_exit_call(code, unit);
    default:
        return false;
    }
}

/* May the current tasklet not be suspended before the instruction at frame->prev_instr? */
static bool
is_inside_something(const _PyInterpreterFrame *frame)
{
    PyCodeObject *code = frame->f_code;
    return slp_is_shim(frame) || _PyInterpreterFrame_LASTI(frame) < code->_co_firsttraceable
           || is_inseparable(code, frame->prev_instr);
}

/* Is C code of the current tasklet in between?  Main has none in the activation that its thread began
 * with. */
static bool
is_nested(const slp_thread *th)
{
    PyThreadState *tstate = th->tstate;
    if (tstate->cframe == th->home) {
        return false;
    }
    return !th->current->flags.is_main || tstate->cframe->previous != &tstate->root_cframe;
}

static bool
ignores_nesting(const slp_thread *th)
{
    return th->current->flags.ignore_nesting || th->watchdog.ignore_nesting;
}

/* Is it a function of importlib that runs the code of modules?  The others hold, or may hold, the lock of all
 * imports when they call something. */
static bool
runs_modules(PyCodeObject *code)
{
    static const char *const names[] = {
        "_call_with_frames_removed", "_load_unlocked", "_find_and_load_unlocked", "_find_and_load",
        "_handle_fromlist", "_gcd_import", "__import__", "_exec", "_load",
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (_PyUnicode_EqualToASCIIString(code->co_name, names[i])) {
            return true;
        }
    }
    return false;
}

/* Is any module being imported, by whomever?  importlib keeps locks for those, and forgets them at the end.
 * */
static bool
anybody_imports(PyObject *globals)
{
    PyObject *locks = PyDict_GetItemString(globals, "_module_locks");
    return locks == NULL || !PyDict_CheckExact(locks) || PyDict_GET_SIZE(locks) > 0;
}

/* Is the current tasklet importing a module, so that frames of importlib are below?  With ignore_nesting the
 * code of the module can be interrupted. */
static bool
is_importing(const slp_thread *th, const _PyInterpreterFrame *frame)
{
    PyObject *importlib = th->tstate->interp->importlib;
    PyObject *globals = importlib != NULL ? PyModule_GetDict(importlib) : NULL;
    if (frame->f_globals == globals) {
        return true;
    }
    if (globals == NULL || !anybody_imports(globals)) {
        return false;   /* the usual case, without a look at all frames */
    }
    for (; frame != NULL; frame = frame->previous) {
        if (frame->f_globals == globals && !slp_is_shim(frame)
            && (!ignores_nesting(th) || !runs_modules(frame->f_code))) {
            return true;
        }
    }
    return false;
}

/* What the header lists, but for imports and what only the loop knows. */
static bool
has_obstacle(const slp_thread *th, const _PyInterpreterFrame *frame)
{
    const PyTaskletObject *current = th->current;
    return current->flags.atomic || (th->watch & (SLP_WATCH_TRAP | SLP_WATCH_IN_CALLBACK)) || th->next != NULL
           || th->tstate->tracing > 0
           || (is_nested(th) && !ignores_nesting(th))
           || is_inside_something(frame);
}

/* --- the interruption --- */

#if SLP_TORTURE_PREEMPT
/* Every tasklet but main is suspended before every instruction: it goes on at once, but all its state has
 * been away. */
static bool
torture(slp_thread *th, const _PyInterpreterFrame *frame)
{
    PyTaskletObject *current = th->current;
    if (current->flags.is_main || current->tempval != Py_None || is_nested(th) || has_obstacle(th, frame)) {
        return false;
    }
    if (slp_check_switch(th, true) < 0) {
        PyErr_Clear();
        return false;
    }
    current->flags.interrupted = 1;
    th->next = (PyTaskletObject *)Py_NewRef(current);
    return true;
}
#else
static bool
torture(slp_thread *th, const _PyInterpreterFrame *frame)
{
    return false;
}
#endif

bool
slp_watchdog_interrupt(slp_thread *th, _PyInterpreterFrame *frame)
{
    slp_watchdog *wd = &th->watchdog;
    PyTaskletObject *caller = wd->caller;
    PyTaskletObject *current = th->current;
    if (caller == NULL || wd->ticks > 0 || (wd->slice == 0 && !wd->late)) {
        return torture(th, frame);
    }
    if (wd->soft) {
        wd->soft_due = true;
        set_counting(th);
        return false;
    }
    if (has_obstacle(th, frame)) {
        set_pending(th, current);
        return false;
    }
    wd->importing = is_importing(th, frame);
    if (wd->importing) {
        set_pending(th, current);
        wd->ticks = TICKS_BETWEEN_LOOKS;   /* there may be many frames to look at */
        return false;
    }
    /* What a program left in the tempval goes first.  That may run any code.  What it has left in the
     * caller's, run() returns or raises, and the tasklet stays scheduled. */
    if (slp_settle(current)) {
        return false;
    }
    if (slp_check_switch(th, true) < 0) {
        /* No memory, or no C stack.  The next instruction tries again. */
        PyErr_Clear();
        return false;
    }
    slp_scheduler_wake(caller, current);
    if (SLP_LIKELY(caller->tempval == Py_None)) {
        slp_ring_unlink(th, current);
        slp_set_tempval(caller, (PyObject *)current);
    }
    current->flags.interrupted = 1;
    (void)slp_switch(th, caller, true);
    return true;
}
