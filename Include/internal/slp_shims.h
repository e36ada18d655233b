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
/* 203 to 229: Python/insn_soft_*.h; 230 to 254: drivers and loops. */
#define SLP_INIT_RESULT    200   /* [self, result]: check that result is None, return self */
#define SLP_TASKLET_ENDED  201   /* [result]: the tasklet's function has returned */
#define SLP_TASKLET_FAILED 202   /* [exception]: the tasklet's function has raised */

#define SLP_GIVE           230   /* [..., value]: return it */
#define SLP_GIVE_NONE      231   /* [...]: return None */
#define SLP_STEP           232   /* [iterator]: stands where an iterator was asked for its next value; on a
                                    value: [iterator, value]; at the end: [result], and a jump */
#define SLP_STOP           233   /* [value]: raise StopIteration(value) */
#define SLP_FINISHED       234   /* [exception]: a StopIteration ends the delegation of the caller with its
                                    value, another one is raised there */
#define SLP_CLOSE_INNER    235   /* [generator]: find what it delegates to: [generator, NULL, its close];
                                    nothing to close: jump */
#define SLP_CLOSE          236   /* [generator]: resume it with GeneratorExit; ends as SLP_STEP does */
#define SLP_CLOSE_FAILED   237   /* [generator, exception]: resume it with that; the same */
#define SLP_CLOSE_YIELDED  238   /* [generator, value]: raise RuntimeError */
#define SLP_CLOSE_RAISED   239   /* [exception]: go on if it is the one that closing raised, else again */
#define SLP_RUN_DONE       240   /* [context, result]: leave the context, return the result */
#define SLP_RUN_FAILED     241   /* [context, exception]: leave the context, raise again */
#define SLP_CONTEXT_DONE   248   /* [context, result]: make that context the thread's again */
#define SLP_CONTEXT_FAILED 249   /* [context, exception]: the same */
#define SLP_SEQUENCE_ITEM  250   /* [count, send, iterator, item]: prepare the call of send(item) */
#define SLP_SEQUENCE_SENT  251   /* [count, send, iterator, result]: drop the result, count */
#define SLP_SEQUENCE_DONE  252   /* [count, send]: return the count */

/* Continues a class instantiation after `__init__`.  Stack: the instance. */
extern PyCodeObject *slp_shim_init;

/* The oldest frame of every tasklet but main: calls its function.  Stack: NULL, callable, args
 * tuple (, kwargs dict with _kw), and the value of the first resumption. */
extern PyCodeObject *slp_shim_tasklet;
extern PyCodeObject *slp_shim_tasklet_kw;

/* Push a shim's frame on `below`, linked to it, to be run from code unit `entry`, with `count` values
 * (stolen) on its stack.  NULL with an exception, the values dropped. */
_PyInterpreterFrame *slp_shim_push(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code,
                                   int entry, PyObject *const *values, int count);

/* A shim's code object, not yet known to anybody.  NULL with an exception. */
PyCodeObject *slp_shim_make(const char *name, int stacksize, const uint8_t *code, int code_size,
                            const uint8_t *handlers, int handlers_size);

/* A frame that waits on behalf of FOR_ITER, SEND or SLP_STEP for the frame above holds in the first free slot
 * of its stack how far to jump when that one is done; with a flag, where it waits because of a throw(). */
#define SLP_WAITS_FOR_THROW (1 << 30)

static inline void
slp_frame_wait(_PyInterpreterFrame *frame, intptr_t distance)
{
    *(intptr_t *)(frame->localsplus + frame->stacktop) = distance;
}

/* Build the shims' code objects, once per process.  -1 with an exception. */
int slp_shims_init(void);

/* Is this frame a shim's? */
static inline bool
slp_is_shim(const _PyInterpreterFrame *frame)
{
    return frame->f_code->_co_firsttraceable >= Py_SIZE(frame->f_code);
}

#endif
