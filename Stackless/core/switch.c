/* Switching tasklets: may it be done here, switches between carriers, and the end of a tasklet.
 *
 * The common switch, from soft to soft, is slp_switch_frames() in slp_exchange.h.  Budget: 25 ns a switch as
 * Python sees it, the call included; 30 ns between carriers (Tools/bench, "switch").
 */
#include "slp_accounting.h"
#include "slp_callbacks.h"
#include "slp_exchange.h"
#include "slp_guest.h"
#include "slp_idle.h"
#include "slp_scheduler.h"
#include "slp_shims.h"

PyObject slp_unwind_token = {
    .ob_refcnt = 1,
    .ob_type = &PyBaseObject_Type,
};

int
slp_check_switch_slow(slp_thread *th, bool soft)
{
    PyThreadState *tstate = th->tstate;
    PyTaskletObject *current = th->current;
    if (th->watch & SLP_WATCH_IN_CALLBACK) {
        PyErr_SetString(PyExc_RuntimeError, "cannot switch tasklets inside a callback");
        return -1;
    }
    if (th->next != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "cannot switch tasklets here: a switch is already under way");
        return -1;
    }
    if (th->watch & SLP_WATCH_TRAP) {
        PyErr_SetString(PyExc_RuntimeError, "cannot switch tasklets here: switch_trap is set");
        return -1;
    }
    if (slp_guest_runs(th)) {
        PyErr_SetString(PyExc_RuntimeError, "cannot switch tasklets here: a greenlet runs that a tasklet "
                        "other than main has switched to");
        return -1;
    }
    if (!(soft && tstate->cframe == th->home) && slp_carrier_reserve(th) < 0) {
        return -1;
    }
    /* A thread that has only run a generator of another one so far has no frame stack yet, nor has a greenlet
     * that is a C function. */
    if (tstate->datastack_chunk == NULL && slp_frame_alloc_slow(tstate, 0) == NULL) {
        return -1;
    }
    /* The schedule callback may switch tracing on. */
    if ((slp_is_traced(tstate) || (th->watch & SLP_WATCH_SCHEDULE)) && current->trace == NULL) {
        current->trace = PyMem_Calloc(1, sizeof(slp_trace_state));
        if (current->trace == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

void
slp_watched_switch(slp_thread *th)
{
    if (th->watch & SLP_WATCH_SOFT_DUE) {
        slp_watchdog_soft(th);
    }
    if (th->watch & SLP_WATCH_SCHEDULE) {
        slp_call_schedule_callback(th);
    }
}

void
slp_watched_arrival(PyThreadState *tstate, slp_thread *th, PyTaskletObject *entered)
{
    slp_watchdog_switched(tstate, th, entered);
    if (th->watch & SLP_WATCH_ACCOUNT) {
        slp_accounting_switched(th, entered);
    }
}

void
slp_save_trace(PyThreadState *tstate, PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    assert(trace != NULL);
    trace->tracefunc = tstate->c_tracefunc;
    trace->profilefunc = tstate->c_profilefunc;
    trace->traceobj = tstate->c_traceobj;
    trace->profileobj = tstate->c_profileobj;
    trace->tracing = tstate->tracing;
    tstate->c_tracefunc = tstate->c_profilefunc = NULL;
    tstate->c_traceobj = tstate->c_profileobj = NULL;
    tstate->tracing = 0;
}

void
slp_load_trace(PyThreadState *tstate, PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    tstate->c_tracefunc = trace->tracefunc;
    tstate->c_profilefunc = trace->profilefunc;
    tstate->c_traceobj = trace->traceobj;
    tstate->c_profileobj = trace->profileobj;
    tstate->tracing = trace->tracing;
    trace->traceobj = trace->profileobj = NULL;
    slp_tasklet_drop_trace(t);
    if (slp_is_traced(tstate) && tstate->tracing == 0) {
        tstate->cframe->use_tracing = 255;
    }
}

/* What a switch drops may have destructors, which run in the tasklet entered and may schedule, send
 * and receive there.  What waits in its tempval is kept out of their reach meanwhile. */
static PyObject *
hide_tempval(PyTaskletObject *t)
{
    PyObject *value = t->tempval;
    t->tempval = Py_NewRef(Py_None);
    return value;
}

static void
restore_tempval(PyTaskletObject *t, PyObject *value)
{
    slp_settle(t);
    slp_set_tempval(t, value);
}

void
slp_drop_left(slp_thread *th)
{
    slp_leaving left = th->left;
    PyTaskletObject *current = th->current;
    th->left = (slp_leaving){0};
    Py_INCREF(current);
    PyObject *value = hide_tempval(current);
    if (left.shim != NULL) {
        slp_frame_clear(left.shim);
        slp_chunks_free_heap(left.chunk);
        Py_CLEAR(left.tasklet->exc_state.exc_value);
        Py_XDECREF(left.context);
        Py_XDECREF(left.traceobj);
        Py_XDECREF(left.profileobj);
    }
    Py_DECREF(left.tasklet);
    restore_tempval(current, value);
    Py_DECREF(current);
}

/* --- between carriers --- */

/* The state of th->current is saved: load th->next's, and find the carrier on which it goes on. */
static slp_carrier *
enter_next(PyThreadState *tstate, slp_thread *th)
{
    PyTaskletObject *next = th->next;
    slp_carrier *carrier;
    PyObject **stack_top;
    if (next->flags.pinned) {
        carrier = next->carrier;
        next->flags.pinned = 0;
        if (SLP_UNLIKELY(next->flags.kept)) {
            slp_pinned_release(next);
        }
        carrier->tasklet = NULL;
        stack_top = carrier->stack_top;
        tstate->trash_delete_nesting = carrier->trash_nesting;
    }
    else {
        carrier = th->idle;
        assert(carrier != NULL);   /* slp_check_switch() has seen to it */
        th->idle = carrier->below;
        carrier->below = NULL;
        th->idle_count--;
        stack_top = next->stack_top;
        tstate->trash_delete_nesting = 0;
    }
    th->current = next;
    th->next = NULL;
    th->carrier = carrier;
    th->home = carrier->home;
    tstate->cframe = carrier->cframe;
    slp_load_state(tstate, th, next, stack_top);
    return carrier;
}

/* The first thing on the carrier that was switched to. */
static inline void
arrive(slp_thread *th)
{
    if (SLP_UNLIKELY(th->left.tasklet != NULL)) {
        slp_drop_left(th);
    }
    if (SLP_UNLIKELY(th->idle_count > SLP_KEPT_IDLE)) {
        slp_carrier_trim_idle(th);
    }
    slp_carrier_check(th);
    slp_tasklet_check(th->current);
    slp_torture_entered();
}

void
slp_carrier_main(void *thread)
{
    slp_thread *th = thread;
    slp_carrier_entered(th->carrier);
    arrive(th);
    _PyEval_EvalFrameDefault(th->tstate, NULL, SLP_RUN_TASKLETS);
    Py_UNREACHABLE();
}

void
slp_switch_carriers(PyThreadState *tstate, slp_thread *th, _PyInterpreterFrame *frame, bool soft)
{
    PyTaskletObject *left = th->current;
    slp_carrier *here = th->carrier;
    assert(left != th->next);
    if (SLP_UNLIKELY(left->flags.idle)) {
        slp_idle_left(left);
    }
    slp_save_state(tstate, left, frame);
    here->cframe = tstate->cframe;
    if (soft && tstate->cframe == th->home) {
        left->stack_top = tstate->datastack_top;
        slp_carrier_retire(th, here);
    }
    else {
        here->stack_top = tstate->datastack_top;
        here->trash_nesting = tstate->trash_delete_nesting;
        here->in_c = !soft;
        here->tasklet = left;
        left->carrier = here;
        slp_pinned_begin(left);
    }
    slp_carrier *there = enter_next(tstate, th);
    slp_tasklet_check(left);
    slp_torture_left(left);
    if (SLP_UNLIKELY(Py_REFCNT(left) == 1)) {
        th->left.tasklet = left;
    }
    else {
        Py_DECREF(left);
    }
    slp_carrier_switch(here, there, th);
    arrive(th);
}

PyObject *
slp_switch_in_c(slp_thread *th)
{
    PyThreadState *tstate = th->tstate;
    PyObject *type, *value, *traceback;   /* a destructor may run while an exception is set */
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    slp_switch_carriers(tstate, th, tstate->cframe->current_frame, false);
    PyObject *result = slp_take_tempval(tstate, th->current);
    if (type != NULL) {
        assert(result != NULL);
        _PyErr_Restore(tstate, type, value, traceback);
    }
    return result;
}

/* --- the end of a tasklet --- */

/* Does `t`, which has ended on `shim`, hold nothing whose release may run code, and does nobody else hold it?
 * Then it need not be left to who is switched to. */
static inline bool
ends_quietly(PyThreadState *tstate, slp_thread *th, PyTaskletObject *t, _PyInterpreterFrame *shim)
{
    return Py_REFCNT(t) == 1 && Py_IS_TYPE(t, &PyTasklet_Type) && th->watch == 0
           && shim->f_func != NULL && Py_REFCNT(shim->f_func) > 1 && shim->stacktop == 0
           && shim->frame_obj == NULL && shim->f_locals == NULL
           && (tstate->context == NULL || Py_REFCNT(tstate->context) > 1) && tstate->c_traceobj == NULL
           && tstate->c_profileobj == NULL && t->exc_state.exc_value == NULL
           && t->trace == NULL && t->extra == NULL && t->weakrefs == NULL;
}

_PyInterpreterFrame *
slp_switch_from_ended(PyThreadState *tstate, slp_thread *th, PyObject *result)
{
    _PyInterpreterFrame *shim = tstate->cframe->current_frame;
    assert(slp_is_shim(shim) && shim->previous == NULL && tstate->cframe == th->home);
    bool failed = result == NULL;
    Py_XDECREF(result);
    th->next = (PyTaskletObject *)Py_NewRef(slp_scheduler_ended(th, failed));
    PyTaskletObject *ended = th->current;
    if (SLP_UNLIKELY(th->watch != 0)) {
        /* Callbacks, and threads that run meanwhile, must not take it for one that can run. */
        ended->flags.ended = 1;
        slp_watched_switch(th);   /* may choose another one */
        ended->flags.ended = 0;
    }

    assert(tstate->datastack_chunk->previous == NULL && th->left.tasklet == NULL);
    PyTaskletObject *next = th->next;
    _PyStackChunk *chunk = tstate->datastack_chunk;
    PyObject *context = tstate->context;
    bool quiet = ends_quietly(tstate, th, ended, shim);
    if (!quiet) {
        th->left = (slp_leaving){
            .tasklet = ended,
            .shim = shim,
            .chunk = chunk,
            .context = context,
            .traceobj = tstate->c_traceobj,
            .profileobj = tstate->c_profileobj,
        };
        tstate->c_traceobj = tstate->c_profileobj = NULL;
    }
    tstate->c_tracefunc = tstate->c_profilefunc = NULL;
    tstate->tracing = 0;
    tstate->context = NULL;
    tstate->context_ver++;
    slp_carrier *here = th->carrier;
    slp_carrier *there = here;
    if (SLP_LIKELY(!next->flags.pinned)) {
        /* It runs on this carrier. */
        th->current = next;
        th->next = NULL;
        tstate->trash_delete_nesting = 0;
        slp_load_state(tstate, th, next, next->stack_top);
    }
    else {
        here->cframe = tstate->cframe;
        slp_carrier_retire(th, here);
        there = enter_next(tstate, th);
    }
    if (quiet) {
        slp_frame_clear(shim);
        slp_chunks_free_heap(chunk);
        Py_XDECREF(context);
        Py_DECREF(ended);
    }
    if (there != here) {
        slp_carrier_switch(here, there, th);
    }
    arrive(th);
    return tstate->cframe->current_frame;
}
