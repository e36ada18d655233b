/* The evaluation loop: entry, exit, dispatch, exceptions.
 *
 * One activation of _PyEval_EvalFrameDefault() runs any number of frames.  Python code that calls
 * Python code, resumes a generator or switches to another tasklet changes the loop's registers, not
 * the C stack:
 *
 *     C caller ─> activation ─ frame (is_entry) ─> frame ─> generator's frame ─> init shim ─> frame
 *                                  └──────── previous ───────────┴── previous ──────┘
 *
 * How a frame that ends goes on in the one below (`previous`):
 *
 *   the frame is        and it returns         and it yields           and it raises
 *   is_entry            leave the activation   leave the activation    leave the activation, NULL
 *   a thread's          push on previous       -                       raise in previous
 *   a generator's       slp: by previous's     push on previous        (PEP 479) raise in previous
 *                       instruction, FOR_ITER
 *                       or SEND: jump
 *
 * Invariants
 *  1. cframe.current_frame is `frame` whenever other code can run.
 *  2. frame->prev_instr is the instruction being run whenever other code can run or an exception is
 *     set; instructions that do neither (LEAF) do not store it, unless a destructor runs.
 *  3. A frame that is not on top has its stack pointer stored; so has every frame when a generator,
 *     a tasklet or the collector may look at it.  A generator's frame that runs has stacktop -1, so
 *     that the collector does not look at a stale one.
 *  4. While a generator runs in this activation on behalf of FOR_ITER or SEND, the first free stack
 *     slot of the frame below holds the instruction's jump distance as a plain integer.
 *  5. An exception is set on arrival at `error` and `unwind`, none elsewhere; `error` sees to it
 *     itself where C code broke the rule.
 *
 * Tracing, and counting for the watchdog, cost nothing while they are off: instructions that may have
 * switched them on end in NEXT_AFTER_CALL(), which looks at cframe.use_tracing (255: tracing;
 * SLP_COUNTING) and exchanges the dispatch table.  While many ticks are left, a third table counts at
 * the ends of loops and the beginnings of functions only, so that the watchdog costs little as long as it
 * is far from biting; the slow table counts the last SLP_EXACT_TICKS one by one.  Rejected: or-ing
 * use_tracing into every opcode, as the base does (one load and one `or` an instruction), and storing
 * prev_instr in every instruction.
 */
#include "slp_eval.h"

#include "slp_asyncgen.h"
#include "slp_asyncio.h"
#include "slp_channel.h"
#include "slp_exchange.h"
#include "slp_generators.h"
#include "slp_ints.h"
#include "slp_loops.h"
#include "slp_module.h"

/* --- dispatch ----------------------------------------------------------------------------- */

/* A code unit is the opcode's byte and then the argument's, whatever the byte order; two loads of a
 * byte cost less than one of both and taking it apart. */
#define FETCH()                                                                                    \
    do {                                                                                           \
        opcode = ((const uint8_t *)next)[0];                                                       \
        oparg = ((const uint8_t *)next)[1];                                                        \
        next++;                                                                                    \
    } while (0)

#if SLP_DISPATCH_GOTO
#  define LEAF(name)            instruction_##name:
#  define INSTRUCTION(name)     instruction_##name: frame->prev_instr = next - 1;
#  define RUN_TRACED_OR_NOT()   goto *table[opcode]
#  define RUN_UNTRACED(op)      goto *plain_table[op]
#  define GOTO_INSTRUCTION(name) goto instruction_##name
#  define SLOW_ON()             (table = cframe.use_tracing == SLP_COARSE ? coarse_table : slow_table)
#  define SLOW_OFF()            (table = plain_table)
#  define COARSE_ON()           (cframe.use_tracing = SLP_COARSE, table = coarse_table)
#else
#  pragma GCC diagnostic ignored "-Wunused-label"
#  define LEAF(name)            case name: instruction_##name:
#  define INSTRUCTION(name)     case name: instruction_##name: frame->prev_instr = next - 1;
#  define RUN_TRACED_OR_NOT()   goto run_traced_or_not
#  define RUN_UNTRACED(op)      do { opcode = (op); goto run_untraced; } while (0)
#  define GOTO_INSTRUCTION(name) goto instruction_##name
#  define SLOW_ON()             (slow = true)
#  define SLOW_OFF()            (slow = false)
#  define COARSE_ON()           ((void)0)
#endif

/* The stack pointer lies in the frame's stack. */
#define STACK_FITS()                                                                               \
    (sp >= frame->localsplus                                                                       \
     && sp <= frame->localsplus + frame->f_code->co_nlocalsplus + frame->f_code->co_stacksize)

#define NEXT()                                                                                     \
    do {                                                                                           \
        assert(STACK_FITS());                                                                      \
        FETCH();                                                                                   \
        RUN_TRACED_OR_NOT();                                                                       \
    } while (0)

#define NEXT_AFTER_CALL()                                                                          \
    do {                                                                                           \
        if (SLP_UNLIKELY(cframe.use_tracing)) {                                                    \
            SLOW_ON();                                                                             \
        }                                                                                          \
        NEXT();                                                                                    \
    } while (0)

/* Is tracing or profiling on? */
#define TRACED() SLP_UNLIKELY(cframe.use_tracing > SLP_COARSE)

#define REDISPATCH()                                                                               \
    do {                                                                                           \
        opcode = _Py_OPCODE(*next);                                                                \
        next++;                                                                                    \
        if (SLP_UNLIKELY(cframe.use_tracing)) {                                                    \
            count_rest(tstate, ticks_of[opcode] - 1);                                              \
        }                                                                                          \
        RUN_UNTRACED(opcode);                                                                      \
    } while (0)

#define ERROR() goto error
#define GUARD(cond)                                                                                \
    do {                                                                                           \
        if (SLP_UNLIKELY(!(cond))) {                                                               \
            goto miss;                                                                             \
        }                                                                                          \
    } while (0)

/* --- the adaptive counter in the first cache entry ------------------------------------------ */

#define ADAPTIVE_IS_DUE()  (next[0] < (1 << ADAPTIVE_BACKOFF_BITS))
#define ADAPTIVE_WAIT()    (next[0] -= (1 << ADAPTIVE_BACKOFF_BITS))

/* When the counter is due, `specialize` (0, or -1 with an exception) chooses a form of the code unit
 * at `next`, which runs then; until then, go on. */
#define ADAPT(specialize)                                                                          \
    do {                                                                                           \
        if (ADAPTIVE_IS_DUE()) {                                                                   \
            frame->prev_instr = --next;                                                            \
            if ((specialize) < 0) {                                                                \
                next++;                                                                            \
                ERROR();                                                                           \
            }                                                                                      \
            REDISPATCH();                                                                          \
        }                                                                                          \
        ADAPTIVE_WAIT();                                                                           \
    } while (0)

/* --- registers and frames ------------------------------------------------------------------- */

#define CACHES(family) INLINE_CACHE_ENTRIES_##family
#define LOCAL(i)       (frame->localsplus[i])
#define NAME_AT(i)     PyTuple_GET_ITEM(frame->f_code->co_names, (i))
#define CODE_START()   _PyCode_CODE(frame->f_code)
#define STACK_BASE()   (frame->localsplus + frame->f_code->co_nlocalsplus)

/* Make the frame's state complete, so that it can be left, looked at, or suspended; it goes on at
 * `next`. */
#define STORE_STACK()  (frame->stacktop = (int)(sp - frame->localsplus))
#define STORE_FRAME()                                                                              \
    do {                                                                                           \
        frame->prev_instr = next - 1;                                                              \
        STORE_STACK();                                                                             \
    } while (0)

/* The stack pointer is in its register alone.  A generator's frame says so (invariant 3). */
#define UNSTORE_STACK()                                                                            \
    do {                                                                                           \
        if (SLP_UNLIKELY(frame->owner == FRAME_OWNED_BY_GENERATOR)) {                              \
            frame->stacktop = -1;                                                                  \
        }                                                                                          \
    } while (0)

/* The other way round than STORE_FRAME(). */
#define LOAD_FRAME()                                                                               \
    do {                                                                                           \
        PyCodeObject *code_ = frame->f_code;                                                       \
        consts = &PyTuple_GET_ITEM(code_->co_consts, 0);                                           \
        next = frame->prev_instr + 1;                                                              \
        sp = frame->localsplus + frame->stacktop;                                                  \
    } while (0)

#define ENTER(new_frame)                                                                           \
    do {                                                                                           \
        frame = cframe.current_frame = (new_frame);                                                \
        goto enter_frame;                                                                          \
    } while (0)

/* Run `callee`, a new frame, on behalf of this one, which goes on at `next` with its result. */
#define ENTER_CALLEE(callee)                                                                       \
    do {                                                                                           \
        STORE_FRAME();                                                                             \
        (callee)->previous = frame;                                                                \
        ENTER(callee);                                                                             \
    } while (0)

/* The same for the frame of func(*args), where the arguments end with the values that `names` names;
 * `func` and the arguments are stolen, and `words` caches stand behind the instruction. */
#define ENTER_FUNCTION(func, args, nargs, names, words)                                            \
    do {                                                                                           \
        PyFunctionObject *func_ = (func);                                                          \
        _PyInterpreterFrame *callee_ =                                                             \
            slp_frame_for_call(tstate, func_, slp_call_locals(func_), (args), (nargs), (names));   \
        if (callee_ == NULL) {                                                                     \
            ERROR();                                                                               \
        }                                                                                          \
        next += (words);                                                                           \
        ENTER_CALLEE(callee_);                                                                     \
    } while (0)

/* Run what a soft function has pushed on this frame (slp_soft.h), which goes on at `next` with the
 * result.  Shims do not count as recursion.  An exception that is set is raised in the newest one. */
#define RUN_FRAMES(top)                                                                            \
    do {                                                                                           \
        STORE_FRAME();                                                                             \
        frame = cframe.current_frame = (top);                                                      \
        if (SLP_UNLIKELY(_PyErr_Occurred(tstate) != NULL)) {                                       \
            goto enter_raising;                                                                    \
        }                                                                                          \
        if (!slp_is_shim(frame)) {                                                                 \
            goto enter_frame;                                                                      \
        }                                                                                          \
        LOAD_FRAME();                                                                              \
        NEXT_AFTER_CALL();                                                                         \
    } while (0)

/* This frame is gone: go on in the one below. */
#define GO_BACK_TO(caller)                                                                         \
    do {                                                                                           \
        frame = (caller);                                                                          \
        LOAD_FRAME();                                                                              \
        UNSTORE_STACK();                                                                           \
    } while (0)

/* Is a frame evaluator set (PEP 523)?  Then every call goes through it. */
#define HOOKED() (tstate->interp->eval_frame != NULL)

#define BREAKER_SET() SLP_UNLIKELY(_Py_atomic_load_relaxed_int32(eval_breaker))
#define CHECK_BREAKER()                                                                            \
    do {                                                                                           \
        if (BREAKER_SET()) {                                                                       \
            frame->prev_instr = next - 1;                                                          \
            if (slp_handle_breaker(tstate) < 0) {                                                  \
                ERROR();                                                                           \
            }                                                                                      \
            if (cframe.use_tracing) {                                                              \
                SLOW_ON();                                                                         \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Relaxed and unlocked: the flag is only a hint, its causes are read under their locks. */
#define _Py_atomic_load_relaxed_int32(p) __atomic_load_n(&(p)->_value, __ATOMIC_RELAXED)

/* Drop a reference.  A LEAF instruction has not recorded its position, which matters when a
 * destructor runs: a ResourceWarning names its line. */
#define DECREF(op)                                                                                 \
    do {                                                                                           \
        PyObject *dropped_ = (PyObject *)(op);                                                     \
        if (--dropped_->ob_refcnt == 0) {                                                          \
            frame->prev_instr = next - 1;                                                          \
            Py_TYPE(dropped_)->tp_dealloc(dropped_);                                               \
        }                                                                                          \
    } while (0)
#define XDECREF(op)                                                                                \
    do {                                                                                           \
        PyObject *maybe_ = (PyObject *)(op);                                                       \
        if (maybe_ != NULL) {                                                                      \
            DECREF(maybe_);                                                                        \
        }                                                                                          \
    } while (0)

/* Drop `n` values from the top of the stack. */
#define DROP(n)                                                                                    \
    do {                                                                                           \
        for (Py_ssize_t n_ = (n); n_ > 0; n_--) {                                                  \
            sp--;                                                                                  \
            DECREF(*sp);                                                                           \
        }                                                                                          \
    } while (0)

/* Put `value` (stolen) in the place of the top `n` values, which are dropped. */
#define REPLACE_TOP(value)                                                                         \
    do {                                                                                           \
        PyObject *old_ = sp[-1];                                                                   \
        sp[-1] = (value);                                                                          \
        DECREF(old_);                                                                              \
    } while (0)

/* --- generators ----------------------------------------------------------------------------- */

/* Can the loop itself resume this generator or coroutine? */
static inline bool
resumable(PyGenObject *gen)
{
    return gen->gi_frame_state < FRAME_EXECUTING;
}

#include "evalhelpers.h"

/* --- counting ------------------------------------------------------------------------------- */

/* How many instructions each opcode runs: pairs that were made one count as two.  FEW: one or two, which
 * turns out when it runs, so that its generic form is run where ticks are counted. */
#define FEW 0
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"
static const uint8_t ticks_of[256] = {
    [0 ... 255] = 1,
    [LOAD_FAST__LOAD_FAST] = 2, [LOAD_FAST__LOAD_CONST] = 2, [LOAD_CONST__LOAD_FAST] = 2,
    [STORE_FAST__LOAD_FAST] = 2, [STORE_FAST__STORE_FAST] = 2,
    [COMPARE_OP_INT_JUMP] = 2, [COMPARE_OP_FLOAT_JUMP] = 2, [COMPARE_OP_STR_JUMP] = 2,
    [BINARY_OP_ADD_INT] = FEW, [BINARY_OP_SUBTRACT_INT] = FEW, [BINARY_OP_MULTIPLY_INT] = FEW,
    [BINARY_OP_ADD_FLOAT] = FEW, [BINARY_OP_SUBTRACT_FLOAT] = FEW, [BINARY_OP_MULTIPLY_FLOAT] = FEW,
    [BINARY_OP_INPLACE_ADD_UNICODE] = 2,
    [PRECALL_BUILTIN_CLASS] = 2, [PRECALL_BUILTIN_FAST_WITH_KEYWORDS] = 2,
    [PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS] = 2, [PRECALL_NO_KW_BUILTIN_FAST] = 2,
    [PRECALL_NO_KW_BUILTIN_O] = 2, [PRECALL_NO_KW_ISINSTANCE] = 2, [PRECALL_NO_KW_LEN] = 2,
    [PRECALL_NO_KW_LIST_APPEND] = 2, [PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST] = 2,
    [PRECALL_NO_KW_METHOD_DESCRIPTOR_NOARGS] = 2, [PRECALL_NO_KW_METHOD_DESCRIPTOR_O] = 2,
    [PRECALL_NO_KW_STR_1] = 2, [PRECALL_NO_KW_TUPLE_1] = 2, [PRECALL_NO_KW_TYPE_1] = 2,
};
#pragma GCC diagnostic pop

static inline bool
is_backward_jump(int opcode)
{
    return opcode == JUMP_BACKWARD || opcode == JUMP_BACKWARD_NO_INTERRUPT
           || (opcode >= POP_JUMP_BACKWARD_IF_NOT_NONE && opcode <= POP_JUMP_BACKWARD_IF_TRUE);
}

#if SLP_DISPATCH_GOTO
/* About how many instructions were run up to this one (of SLP_COUNTED_INSTRUCTIONS), by the length of the
 * code, of which about half are caches.  Those of a loop, or of a function that runs to its end without
 * one. */
static inline long
coarse_cost(const PyCodeObject *code, const _Py_CODEUNIT *instruction)
{
    int opcode = _Py_OPCODE(*instruction);
    long units = _Py_OPARG(*instruction);
    if (opcode == EXTENDED_ARG || opcode == EXTENDED_ARG_QUICK) {
        if (!is_backward_jump(_PyOpcode_Deopt[_Py_OPCODE(instruction[1])])) {
            return 1;
        }
        units = units << 8 | _Py_OPARG(instruction[1]);
    }
    else if (!is_backward_jump(_PyOpcode_Deopt[opcode])) {
        units = Py_MIN(Py_SIZE(code), 64);
    }
    return units / 2 + 1;
}
#endif

/* An instruction has turned out to be one that does the work of `rest` more, or of less. */
SLP_COLD static void
count_rest(PyThreadState *tstate, int rest)
{
    slp_thread *thread = slp_thread_peek(tstate);
    if (thread != NULL && thread->counting) {
        thread->watchdog.ticks = Py_MAX(thread->watchdog.ticks - rest, 0);
    }
}

/* --- the loop ------------------------------------------------------------------------------- */

PyObject *_Py_HOT_FUNCTION
_PyEval_EvalFrameDefault(PyThreadState *tstate, _PyInterpreterFrame *frame, int throwflag)
{
#if SLP_DISPATCH_GOTO
#  pragma GCC diagnostic push
#  pragma GCC diagnostic ignored "-Woverride-init"
#  define TABLE_ENTRY(name) [name] = &&instruction_##name,
    static const void *const plain_table[256] = {
        [0 ... 255] = &&unknown_instruction,
        SLP_ALL_INSTRUCTIONS(TABLE_ENTRY)
    };
    static const void *const slow_table[256] = {[0 ... 255] = &&slow_instruction};
#  define COARSE_ENTRY(name) [name] = &&coarse_instruction,
    static const void *const coarse_table[256] = {
        [0 ... 255] = &&unknown_instruction,
        SLP_ALL_INSTRUCTIONS(TABLE_ENTRY)
        SLP_COUNTED_INSTRUCTIONS(COARSE_ENTRY)
    };
#  undef COARSE_ENTRY
#  undef TABLE_ENTRY
#  pragma GCC diagnostic pop
#  if defined(__x86_64__)
    /* Left to itself, gcc 12 keeps it in memory once the loop is large, which costs every instruction a
     * load. */
    register const void *const *table __asm__("r15") = plain_table;
#  else
    const void *const *table = plain_table;
#  endif
#else
    bool slow = false;
#endif

    _Py_CODEUNIT *next;
    PyObject **sp;
    PyObject **consts;
    PyObject *kwnames = NULL;
    PyObject *returned_value;   /* from RETURN_VALUE to generator_returned */
    unsigned int opcode;
    unsigned int missed;        /* the specialised opcode, at `miss` */
    Py_ssize_t oparg;
    _Py_atomic_int *const eval_breaker = &tstate->interp->ceval.eval_breaker;

    _PyCFrame cframe;
    cframe.use_tracing = tstate->cframe->use_tracing;
    cframe.previous = tstate->cframe;
    /* Where the stack is: __builtin_frame_address() would cost the loop the register %rbp. */
    const char *here = (const char *)&cframe;
    bool no_stack = false;
    if (SLP_UNLIKELY(here < slp_stack_limit) && slp_stack_is_low(here)) {
        PyObject *result;
        if (slp_hop(tstate, frame, throwflag, &result)) {
            return result;
        }
        no_stack = true;
    }
    tstate->cframe = &cframe;

    assert(!_PyErr_Occurred(tstate) || throwflag);
    if (throwflag == SLP_RUN_TASKLETS) {
        slp_thread *thread = slp_thread_peek(tstate);
        thread->home = thread->carrier->home = &cframe;
        frame = cframe.current_frame = cframe.previous->current_frame;
        cframe.previous->current_frame = NULL;
        goto resume_tasklet;
    }
    frame->is_entry = true;
    frame->previous = cframe.previous->current_frame;
    cframe.current_frame = frame;

    if (SLP_UNLIKELY(throwflag | no_stack)) {
        if (no_stack) {
            _PyErr_NoMemory(tstate);
            tstate->recursion_remaining--;
            LOAD_FRAME();
            goto leave_raising;
        }
        goto enter_raising;
    }

enter_frame:
    /* A frame begins, or a generator's goes on. */
    if (SLP_UNLIKELY(tstate->recursion_remaining-- <= 0)
        && SLP_UNLIKELY(_Py_CheckRecursiveCall(tstate, ""))) {
        tstate->recursion_remaining--;
        LOAD_FRAME();
        goto leave_raising;
    }
    LOAD_FRAME();
    UNSTORE_STACK();
    NEXT_AFTER_CALL();

enter_raising:
    /* A generator's frame goes on with the exception that is set. */
    if (_Py_EnterRecursiveCallTstate(tstate, "")) {
        tstate->recursion_remaining--;
        LOAD_FRAME();
        goto leave_raising;
    }
    LOAD_FRAME();
    if (TRACED()) {
        SLOW_ON();
        if (slp_trace_call(tstate, frame) < 0) {
            goto leave_raising;
        }
    }
    goto resumed_raising;

#if !SLP_DISPATCH_GOTO
run_traced_or_not:
    if (slow) {
        goto slow_instruction;
    }
run_untraced:
    switch (opcode) {
    default:
        goto unknown_instruction;
#endif

/* Where soft function `asked` (slp_soft.h, with `top` as its last argument) has frames: drop `count` values
 * and run them. */
#define ENTER_SOFT(asked, count) ENTER_SOFT_PAST(asked, count, 0)
#define ENTER_SOFT_PAST(asked, count, words)                                                       \
    do {                                                                                           \
        _PyInterpreterFrame *top;                                                                  \
        PyObject *answer_ = (asked);                                                               \
        if (answer_ == SLP_ENTER) {                                                                \
            DROP(count);                                                                           \
            next += (words);                                                                       \
            RUN_FRAMES(top);                                                                       \
        }                                                                                          \
        if (answer_ == NULL) {                                                                     \
            ERROR();                                                                               \
        }                                                                                          \
        assert(answer_ == SLP_NOT_SOFT);                                                           \
    } while (0)

#include "insn_stack.h"
#include "insn_names.h"
#include "insn_arith.h"
#include "insn_attr.h"
#include "insn_container.h"
#include "insn_control.h"
#include "insn_call.h"
#include "insn_iter.h"
#include "insn_except.h"
#include "insn_match.h"
#include "insn_shim.h"
#include "insn_shim_driver.h"
#include "insn_shim_module.h"
#include "insn_shim_loop.h"

#if !SLP_DISPATCH_GOTO
    }
#endif

unknown_instruction:
    opcode = _Py_OPCODE(next[-1]);
    frame->prev_instr = next - 1;
    _PyErr_Format(tstate, PyExc_SystemError, "unknown opcode %d at offset %zd in %U", opcode,
                  (next - 1 - CODE_START()) * sizeof(_Py_CODEUNIT), frame->f_code->co_qualname);
    ERROR();

miss:
    /* A specialised form met what it was not made for.  The first cache entry counts misses. */
    missed = _Py_OPCODE(next[-1]);
    opcode = _PyOpcode_Deopt[missed];
    next[0] -= 1;
    if (next[0] == 0) {
        _Py_SET_OPCODE(next[-1], _PyOpcode_Adaptive[opcode]);
        next[0] = adaptive_counter_start();
    }
    if (SLP_UNLIKELY(cframe.use_tracing)) {
        count_rest(tstate, 1 - ticks_of[missed]);
    }
    RUN_UNTRACED(opcode);

slow_instruction:
    /* Every instruction comes here while tracing or counting is on, or was until just now. */
    opcode = _Py_OPCODE(next[-1]);
    if (TRACED()) {
        /* Report, then run the generic form. */
        if (!slp_is_shim(frame)) {
            opcode = _PyOpcode_Deopt[opcode];
        }
        int index = (int)(next - 1 - CODE_START());
        if (index >= frame->f_code->_co_firsttraceable) {
            int traced_before = _PyInterpreterFrame_LASTI(frame);
            frame->prev_instr = next - 1;
            STORE_STACK();
            if (opcode == RESUME) {
                if (slp_trace_call(tstate, frame) < 0) {
                    goto resumed_raising;
                }
            }
            else if (tstate->c_tracefunc != NULL && !tstate->tracing) {
                int failed = slp_trace_instruction(tstate, frame, traced_before);
                /* The trace function may have jumped, which drops values from the stack. */
                sp = frame->localsplus + frame->stacktop;
                if (failed) {
                    goto resumed_raising;
                }
                next = frame->prev_instr;
                FETCH();
                opcode = _PyOpcode_Deopt[opcode];
            }
            UNSTORE_STACK();
        }
    }
    {
        slp_thread *thread = slp_thread_peek(tstate);
        if (thread == NULL || !thread->counting) {
            if (!TRACED()) {
                cframe.use_tracing = 0;
                SLOW_OFF();
            }
            RUN_UNTRACED(opcode);
        }
        if (!TRACED()) {
            cframe.use_tracing = SLP_COUNTING;   /* unless the base has reset it, it is that already */
        }
        long cost = ticks_of[opcode];
        long left = thread->watchdog.ticks - cost;
        if (SLP_LIKELY(left >= 0 && cost != FEW)) {
            thread->watchdog.ticks = left;
            if (left >= SLP_EXACT_TICKS && cframe.use_tracing == SLP_COUNTING) {
                COARSE_ON();
            }
            RUN_UNTRACED(opcode);
        }
        if (thread->watchdog.ticks > 0) {
            /* The generic form is one instruction. */
            thread->watchdog.ticks--;
            RUN_UNTRACED(_PyOpcode_Deopt[opcode]);
        }
        if (kwnames == NULL) {
            frame->prev_instr = next - 1;
            STORE_STACK();
            if (slp_watchdog_interrupt(thread, frame)) {
                goto switch_interrupted;
            }
            UNSTORE_STACK();
        }
    }
    RUN_UNTRACED(opcode);

#if SLP_DISPATCH_GOTO
coarse_instruction:
    /* Many ticks are left: only the ends of loops and the beginnings of functions count, for all the
     * others. */
    {
        slp_thread *thread = slp_thread_peek(tstate);
        opcode = _Py_OPCODE(next[-1]);
        if (SLP_LIKELY(thread != NULL && thread->counting)) {
            thread->watchdog.ticks -= coarse_cost(frame->f_code, next - 1);
            if (thread->watchdog.ticks < SLP_EXACT_TICKS) {
                thread->watchdog.ticks = Py_MAX(thread->watchdog.ticks, 1);
                cframe.use_tracing = SLP_COUNTING;
                SLOW_ON();
            }
            else if (!cframe.use_tracing) {
                cframe.use_tracing = SLP_COARSE;   /* the base has reset it */
            }
        }
        else {
            if (!TRACED()) {
                cframe.use_tracing = 0;
            }
            SLOW_OFF();
        }
    }
    RUN_UNTRACED(opcode);
#endif

switch_tasklet:
    /* A C function answered SLP_UNWIND: its arguments are gone from the stack, `next` is where
     * this tasklet goes on with the value that it will be given. */
    STORE_FRAME();
switch_interrupted:
    {
        slp_thread *thread = slp_thread_peek(tstate);
        if (SLP_LIKELY(&cframe == thread->home && !thread->next->flags.pinned)) {
            frame = slp_switch_frames(tstate, thread, frame);
        }
        else {
            slp_switch_carriers(tstate, thread, frame, true);
            frame = cframe.current_frame;
        }
    }
resume_tasklet:
    LOAD_FRAME();
    {
        PyTaskletObject *current = slp_thread_peek(tstate)->current;
        PyObject *value = slp_take_tempval(tstate, current);
        UNSTORE_STACK();
        if (!cframe.use_tracing) {
            SLOW_OFF();
        }
        if (SLP_UNLIKELY(current->flags.interrupted)) {
            /* By the watchdog, before the instruction at prev_instr: it expects no value. */
            current->flags.interrupted = 0;
            if (next == CODE_START()) {
                /* Not started yet (slp_tasklet_make_frames()). */
                tstate->recursion_remaining--;
                if (value == NULL) {
                    goto leave_raising;
                }
                DECREF(value);
                NEXT_AFTER_CALL();
            }
            if (value == NULL) {
                ERROR();
            }
            DECREF(value);
            oparg = _Py_OPARG(next[-1]);
            opcode = _Py_OPCODE(next[-1]);
            if (cframe.use_tracing) {
                /* It was reported before; it runs and counts in any case, so that there is progress. */
                SLOW_ON();
                opcode = _PyOpcode_Deopt[opcode];
                count_rest(tstate, 1);
            }
            RUN_UNTRACED(opcode);
        }
        if (value == NULL) {
            goto callee_raised;
        }
        *sp++ = value;
    }
    NEXT_AFTER_CALL();

callee_raised:
    /* A StopIteration that is delivered to `for x in channel`, or that leaves a __next__ in Python, ends the
     * loop, or the delegation of `yield from`. */
    if ((_Py_OPCODE(next[-1]) == FOR_ITER
         || (_Py_OPCODE(next[-1]) == SEND && !(*(intptr_t *)sp & SLP_WAITS_FOR_THROW)))
        && is_instruction(frame->f_code, next - 1)
        && _PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
        frame->prev_instr = next - 1;
        if (tstate->c_tracefunc != NULL && !slp_is_shim(frame)) {
            STORE_STACK();
            slp_trace_exception(tstate, frame);
            UNSTORE_STACK();
        }
        if (cframe.use_tracing) {
            SLOW_ON();
        }
        Py_ssize_t distance = (intptr_t)sp[0];
        if (_Py_OPCODE(next[-1]) == FOR_ITER) {
            _PyErr_Clear(tstate);
            DROP(1);
        }
        else {
            PyObject *result;
            if (_PyGen_FetchStopIterationValue(&result) < 0) {
                ERROR();
            }
            REPLACE_TOP(result);
        }
        next += distance;
        NEXT_AFTER_CALL();
    }

resumed_raising:
    /* The frame called something, which raised. */
    UNSTORE_STACK();
    if (SLP_UNLIKELY(cframe.use_tracing)) {
        SLOW_ON();
    }

error:
    kwnames = NULL;
    frame->prev_instr = next - 1;
    if (SLP_UNLIKELY(!_PyErr_Occurred(tstate))) {
        /* A C function forgot it, or the base lost it where memory ran out. */
        _PyErr_SetString(tstate, PyExc_SystemError, "error return without exception set");
    }
    if (!_PyFrame_IsIncomplete(frame)) {
        prepare_line_numbers(frame->f_code);
        PyFrameObject *f = _PyFrame_GetFrameObject(frame);
        if (f != NULL) {
            PyTraceBack_Here(f);
        }
        if (tstate->c_tracefunc != NULL) {
            STORE_STACK();
            slp_trace_exception(tstate, frame);
            UNSTORE_STACK();
        }
    }

unwind:
    assert(_PyErr_Occurred(tstate));
    {
        int level;
        int handler;
        bool push_lasti;
        if (!slp_find_handler(frame->f_code, (int)(next - 1 - CODE_START()), &level, &handler,
                              &push_lasti)) {
            goto leave_raising_frame;
        }
        PyObject **handler_sp = STACK_BASE() + level;
        while (sp > handler_sp) {
            sp--;
            Py_XDECREF(*sp);
        }
        if (push_lasti) {
            PyObject *lasti = PyLong_FromLong(_PyInterpreterFrame_LASTI(frame));
            if (lasti == NULL) {
                goto unwind;
            }
            *sp++ = lasti;
        }
        *sp++ = take_exception(tstate);
        next = CODE_START() + handler;
    }
    NEXT_AFTER_CALL();

leave_raising_frame:
    {
        PyObject **base = STACK_BASE();
        while (sp > base) {
            sp--;
            Py_XDECREF(*sp);
        }
    }
    STORE_STACK();
    if (TRACED() && !slp_is_shim(frame)) {
        slp_trace_unwind(tstate, frame);
    }

leave_raising:
    /* What the frame still owns is known from its stacktop. */
    assert(_PyErr_Occurred(tstate));
    tstate->recursion_remaining++;
    {
        _PyInterpreterFrame *caller = frame->previous;
        if (frame->is_entry) {
            cframe.current_frame = caller;
            tstate->cframe = cframe.previous;
            tstate->cframe->use_tracing = cframe.use_tracing;
            return NULL;
        }
        cframe.current_frame = caller;
        if (frame->owner == FRAME_OWNED_BY_GENERATOR) {
            slp_generator_finished(tstate, frame, true);
            frame = caller;
            LOAD_FRAME();
            goto delegate_raised;
        }
        if (slp_is_shim(frame)) {
            tstate->recursion_remaining--;   /* shims are not counted */
        }
        slp_frame_clear_and_pop(tstate, frame);
        frame = caller;
    }
    LOAD_FRAME();
    UNSTORE_STACK();
    goto callee_raised;

delegate_raised:
    /* What this frame was waiting for raised.  A throw() that passes is chained at every level, and has a
     * `call` event there. */
    if (SLP_UNLIKELY(*(intptr_t *)sp & SLP_WAITS_FOR_THROW)) {
        _PyErr_ChainStackItem(NULL);
        if (TRACED() && slp_trace_call(tstate, frame) < 0) {
            goto leave_raising;
        }
    }
    goto resumed_raising;
}
