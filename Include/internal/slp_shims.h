/* Shim frames: continuations that are written in bytecode.
 *
 * Where C code would call Python and then do something with the result, the loop pushes a shim
 * frame below the Python frame: a tiny code object whose instructions do the rest when the callee
 * returns its value onto the shim's value stack.
 *
 *      caller ──CALL C(1, 2)──┐
 *                             v
 *      ┌ init shim: [instance] ┐  <──returns None── ┌ C.__init__(instance, 1, 2) ┐
 *      └ SLP_INIT_RESULT       ┘                    └────────────────────────────┘
 *
 * Invariants
 *  1. A shim's code has no RESUME, so that its `_co_firsttraceable` lies past its end and every
 *     frame walker of the base takes the frame for incomplete: no traceback entry, no trace event,
 *     no f_back ever shows it.
 *  2. A shim frame borrows f_globals and f_builtins from its caller, or from the function it is to
 *     call; f_func is NULL or keeps those alive.  It never has a frame object.
 *  3. Private opcodes (below) occur in shim code only.
 */
#ifndef SLP_SHIMS_H
#define SLP_SHIMS_H

#include "slp_base.h"

/* Opcodes that only shims use; all lie above the base's. */
#define SLP_INIT_RESULT    200   /* [self, result]: check that result is None, return self */
#define SLP_TASKLET_ENDED  201   /* [result]: the tasklet's function has returned */
#define SLP_TASKLET_FAILED 202   /* [exception]: the tasklet's function has raised */
/* 203 to 229: what the language's own constructs need; [..., x] is the shim's stack. */
#define SLP_RETURN         203   /* [..., value]: return it */
#define SLP_RETURN_NOTHING 204   /* [..., value]: drop it, push nothing on the caller's stack */
#define SLP_RETURN_TRUE    205   /* [..., value]: drop it, return True */
#define SLP_CHECK_RESULT   206   /* [..., value]: check it and convert it as special method `oparg` wants */
#define SLP_JUMP_RESULT    207   /* [(condition,) distance, bool]: end the caller's conditional jump */
#define SLP_ATTR_FAILED    208   /* [owner, name, exception]: __getattr__, if it is an AttributeError */
#define SLP_ATTR_ERROR     209   /* [owner, name, exception]: complete an AttributeError, raise it */
#define SLP_DEFAULT        210   /* [default, exception]: return the default, if the exception fits */
#define SLP_BINARY_STEP    211   /* [left, right, operator, result]: if NotImplemented, step `oparg` */
#define SLP_COMPARE_STEP   212   /* the same for a comparison */
#define SLP_NEW_RESULT     213   /* [type, args, kwargs, instance]: go on with __init__ */
#define SLP_GO_ON          214   /* [...]: a step written in C (slp_continue.h) */
#define SLP_SWITCH         215   /* [...]: make the switch that is decided, push what it brings */
/* 230 to 254: drivers and loops. */

/* What SLP_CHECK_RESULT checks, by special method.  The names stand in slp_check_result(). */
typedef enum {
    SLP_RESULT_BOOL,        /* __bool__: a bool */
    SLP_RESULT_LEN_TRUTH,   /* __len__ in a truth test: a bool */
    SLP_RESULT_LEN,
    SLP_RESULT_REPR,
    SLP_RESULT_STR,
    SLP_RESULT_FORMAT,
    SLP_RESULT_HASH,
    SLP_RESULT_INT,
    SLP_RESULT_FLOAT,
    SLP_RESULT_ITER,
    SLP_RESULT_DIR,
    SLP_RESULT_AITER,
    SLP_RESULT_ANEXT,
    SLP_RESULT_AWAIT,
    SLP_RESULTS,
} slp_result_kind;

/* The converted value (steals `value`), or NULL with an exception.  `owner`: the object whose method it
 * was, or NULL; needed by SLP_RESULT_FLOAT, whose errors name its class. */
PyObject *slp_check_result(PyThreadState *tstate, slp_result_kind kind, PyObject *owner, PyObject *value);

/* SLP_CHECK_RESULT kind, then return: entered at slp_check_entry(kind).  Empty stack, or the owner. */
extern PyCodeObject *slp_shim_check;
static inline int
slp_check_entry(slp_result_kind kind)
{
    return 2 * kind;
}

/* Return a truth value or its negation.  Empty stack. */
extern PyCodeObject *slp_shim_not;
enum {
    SLP_ENTRY_NOT_BOOL = 0,       /* not what __bool__ returned, */
    SLP_ENTRY_NOT_LEN = 3,        /*   __len__ returned, */
    SLP_ENTRY_TRUTH = 6,          /* the truth of anything, */
    SLP_ENTRY_NOT = 7,            /*   its negation */
};

/* A conditional jump of the caller.  Stack: the condition where the jump keeps it, the distance (an
 * int, negative backwards).  Bits of the entry: */
extern PyCodeObject *slp_shim_jump;
enum {
    SLP_JUMP_FROM_LEN = 2,        /* __len__ was called, else __bool__ */
    SLP_JUMP_IF_TRUE = 4,
    SLP_JUMP_KEEPS = 8,           /* the condition stays on the stack when it jumps */
};

/* Drop the result: statements.  Empty stack. */
extern PyCodeObject *slp_shim_nothing;

/* An attribute lookup.  Stack: owner, name. */
extern PyCodeObject *slp_shim_getattr;
enum {
    SLP_ENTRY_HOOKED = 1,         /* after an AttributeError comes __getattr__ */
    SLP_ENTRY_UNHOOKED = 3,
};

/* A value for the case that an AttributeError or a StopIteration comes.  Stack: that value. */
extern PyCodeObject *slp_shim_default;
enum {
    SLP_ENTRY_NEXT = 1,
    SLP_ENTRY_GETATTR = 4,
    SLP_ENTRY_HASATTR = 7,        /* True where nothing comes */
};

/* Stack: left, right, operator (an int), NotImplemented. */
extern PyCodeObject *slp_shim_binary;
extern PyCodeObject *slp_shim_compare;

/* What follows a conversion in an f-string.  Stack: the format, or empty. */
extern PyCodeObject *slp_shim_format;
enum {
    SLP_ENTRY_FORMAT_WITH = 0,
    SLP_ENTRY_FORMAT = 3,
};

/* A class call with __new__ in Python.  Stack: type, args, kwargs or NULL. */
extern PyCodeObject *slp_shim_new;

#define SLP_GIVE           230   /* [..., value]: return it */
#define SLP_GIVE_NONE      231   /* [...]: return None */
#define SLP_STEP           232   /* [iterator]: stands where an iterator was asked for its next value; on a
                                    value: [iterator, value]; at the end: [result], and a jump */
#define SLP_STOP           233   /* [value]: raise StopIteration(value) */
#define SLP_FINISHED       234   /* [generator, exception]: a StopIteration ends the delegation in which the
                                    generator waits with its value, another one is raised there */
#define SLP_CLOSE_INNER    235   /* [generator]: find what it delegates to: [generator, NULL, its close];
                                    nothing to close: jump */
#define SLP_CLOSE          236   /* [generator]: resume it with GeneratorExit; ends as SLP_STEP does */
#define SLP_CLOSE_FAILED   237   /* [generator, exception]: resume it with that; the same */
#define SLP_CLOSE_YIELDED  238   /* [generator, value]: raise RuntimeError */
#define SLP_CLOSE_RAISED   239   /* [exception]: go on if it is the one that closing raised, else again */
#define SLP_RUN_DONE       240   /* [context, result]: leave the context, return the result */
#define SLP_RUN_FAILED     241   /* [context, exception]: leave the context, raise again */
#define SLP_CACHE_RESULT   242   /* [cached, args, kwargs, result]: store it, return it */
#define SLP_LOOP_HINT      216   /* [..., iterable, ..., iterator]: ask for the length (slp_loops.h) */
#define SLP_LOOP_DONE      217   /* [...]: return what a loop is for; oparg: slp_loop_end */
#define SLP_UNPACK_CHECK   218   /* [before, iterable, list, iterator]: go on, if those are not too many */
#define SLP_UNPACKED       219   /* [before (, after), ..., list]: push the items on the caller's stack;
                                    oparg 1: a starred target has the rest */
#define SLP_SORT_FAILED    220   /* [list, reverse, items, key, keys, exception]: a key function has raised */
#define SLP_UNPACK_REST    221   /* [before, after, iterable, list, iterator]: jump where the rest begins */
#define SLP_TAKE_ITEM      222   /* [..., container, state, iterator, item]: slp_take_item() */
#define SLP_SUM_ITEM       226   /* [..., sum, iterator, item]: add numbers and jump back; else go on */
#define SLP_ADVANCE        227   /* [iterator, phase, work (, asked), value]: go on (slp_iterators.h) */
#define SLP_TASK_STEPPED   228   /* [task, stand-in, ..., value]: finish a step of asyncio's */
#define SLP_YIELD_ON       229   /* [..., value]: what the caller waits for yields it; oparg 1:
                                    [generator, value], the generator waits again */
#define SLP_FINISH         243   /* [..., value]: what the caller waits for is done, with that result */
#define SLP_THROW          244   /* [args, generator]: resume it with that exception; the same as SLP_STEP */
#define SLP_ASYNC_YIELDED  245   /* [awaitable, x, value]: an asynchronous generator yields: a value for who
                                    awaits, or what it awaits itself; oparg: SLP_ASYNC_... */
#define SLP_ASYNC_ENDED    246   /* [awaitable, None]: it has returned */
#define SLP_ASYNC_RAISED   247   /* [awaitable, exception]: it has raised */
#define SLP_CONTEXT_DONE   248   /* [context, result]: make that context the thread's again */
#define SLP_CONTEXT_FAILED 249   /* [context, exception]: the same */
#define SLP_SEQUENCE_ITEM  250   /* [count, send, iterator, item]: prepare the call of send(item) */
#define SLP_SEQUENCE_SENT  251   /* [count, send, iterator, result]: drop the result, count */
#define SLP_SEQUENCE_DONE  252   /* [count, send]: return the count */
#define SLP_ANEXT_RAISED   253   /* [default, exception]: finish with the default, if it is a
                                    StopAsyncIteration */

/* Continues a class instantiation after `__init__`.  Stack: the instance. */
extern PyCodeObject *slp_shim_init;

/* The oldest frame of every tasklet but main: calls its function.  Stack: NULL, callable, args
 * tuple (, kwargs dict with _kw), and the value of the first resumption. */
extern PyCodeObject *slp_shim_tasklet;
extern PyCodeObject *slp_shim_tasklet_kw;
/* The same where the function's frame is built with it (slp_tasklet_make_frames()): empty stack. */
extern PyCodeObject *slp_shim_started;

/* Push a shim's frame on `below`, linked to it, to be run from code unit `entry`, with `count` values
 * (stolen) on its stack.  NULL with an exception, the values dropped. */
_PyInterpreterFrame *slp_shim_push(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code,
                                   int entry, PyObject *const *values, int count);

/* Make a code object known as a shim, under its name, which no other has: that is how images refer to it. */
void slp_shim_register(PyCodeObject *code);

/* Shim `i` in the order of registration, or NULL where there are no more. */
PyCodeObject *slp_shim_number(int i);

/* The shim of that name (a str), or NULL without an exception. */
PyCodeObject *slp_shim_find(PyObject *name);

/* A shim's code object, registered under its name.  NULL with an exception. */
PyCodeObject *slp_shim_make(const char *name, int stacksize, const uint8_t *code, int code_size,
                            const uint8_t *handlers, int handlers_size);

/* What a shim does when its frame is dropped unfinished with the rest of a tasklet: it puts back what it has
 * changed for the time being in objects that others have, as C code in its place would.  Finally blocks do
 * not run then; so it runs no Python code but destructors, and raises nothing. */
struct PyTaskletObject;
typedef void (*slp_shim_drop)(struct PyTaskletObject *t, _PyInterpreterFrame *shim);
void slp_shim_set_drop(PyCodeObject *code, slp_shim_drop drop);

/* The frame of a shim is dropped. */
void slp_shim_dropped(struct PyTaskletObject *t, _PyInterpreterFrame *shim);

/* A frame that waits on behalf of FOR_ITER, SEND or SLP_STEP for the frame above holds in the first free slot
 * of its stack how far to jump when that one is done; with a flag, where it waits because of a throw(). */
#define SLP_WAITS_FOR_THROW (1 << 30)

static inline void
slp_frame_wait(_PyInterpreterFrame *frame, intptr_t distance)
{
    *(intptr_t *)(frame->localsplus + frame->stacktop) = distance;
}

/* Does a frame that waits for the one above do so because of a throw()? */
static inline bool
slp_frame_waits_for_throw(const _PyInterpreterFrame *frame)
{
    return (*(const intptr_t *)(frame->localsplus + frame->stacktop) & SLP_WAITS_FOR_THROW) != 0;
}

/* Build the shims' code objects, once per process.  -1 with an exception. */
int slp_shims_init(void);

/* Is this code a shim's? */
static inline bool
slp_is_shim_code(const PyCodeObject *code)
{
    return code->_co_firsttraceable >= Py_SIZE(code);
}

/* Is this frame a shim's? */
static inline bool
slp_is_shim(const _PyInterpreterFrame *frame)
{
    return slp_is_shim_code(frame->f_code);
}

#endif
