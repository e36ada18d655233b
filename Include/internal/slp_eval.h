/* The vocabulary in which instructions are written, and the helpers that only the loop uses.
 *
 * Instructions live in Python/insn_*.h, one family a file, and are compiled as part of
 * Python/evalloop.c.  They know nothing of dispatch: the words below are defined there, once per
 * kind of dispatch.
 *
 * Registers of the loop
 *   tstate    the thread state                     frame   the frame that runs
 *   next      the code unit after this one         sp      one past the top of the value stack
 *   oparg     the instruction's argument           consts  the code's constants
 *   kwnames   names of the keyword arguments of the CALL to come, or NULL
 *
 * Beginning
 *   INSTRUCTION(NAME) { ... }   may run other code or raise; records its position in the frame
 *   LEAF(NAME) { ... }          neither, but for destructors behind a DECREF(), which records it
 *
 * Endings (every path through an instruction ends in one of them)
 *   NEXT()            go on with the next instruction
 *   NEXT_AFTER_CALL() the same, where the instruction may have run other code, which may have
 *                     switched tracing on
 *   GOTO_INSTRUCTION(NAME)  continue as that instruction, same position, same oparg
 *   REDISPATCH()      run the code unit at `next` again, same oparg (it was just specialised)
 *   ERROR()           an exception is set
 *   ENTER(new)        run frame `new`; this frame's state has been stored by STORE_FRAME()
 *   RUN_FRAMES(top)   run the frames that a soft function has pushed on this one
 *   GUARD(cond)       in a specialised form: if not cond, count a miss and run the generic form
 */
#ifndef SLP_EVAL_H
#define SLP_EVAL_H

#include "slp_base.h"
#include "slp_callargs.h"
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_iterators.h"
#include "slp_opcodes.h"
#include "slp_shims.h"
#include "slp_softcall.h"
#include "slp_support.h"
#include "slp_switch.h"
#include "slp_trace.h"

/* The loop's dispatch: computed goto unless configured otherwise. */
#ifndef SLP_DISPATCH_GOTO
#  define SLP_DISPATCH_GOTO 1
#endif

/* --- class instantiation (Python/instantiate.c) --- */

/* The Python function that `type(...)` will call as __init__, if the call is type.__call__ and can
 * be continued by the init shim, and no __new__ in Python comes first; else NULL (borrowed, no exception). */
PyFunctionObject *slp_python_init(PyTypeObject *type);

/* Frames for type(*args): the init shim holding the new instance, and on top of it the frame of
 * __init__, linked to it; result is the latter.  Steals `args`, borrows `type` and `kwnames`.
 * When __new__ answers with something else than an instance, *result is that object and the return
 * value NULL.  NULL and *result NULL with an exception. */
_PyInterpreterFrame *slp_frames_for_class(PyThreadState *tstate, _PyInterpreterFrame *caller,
                                          PyTypeObject *type, PyFunctionObject *init, PyObject **args,
                                          Py_ssize_t nargs, PyObject *kwnames, PyObject **result);

/* The same for type(*args, **kwargs); borrows `args` and `kwargs` (a dict or NULL). */
_PyInterpreterFrame *slp_frames_for_class_ex(PyThreadState *tstate, _PyInterpreterFrame *caller,
                                             PyTypeObject *type, PyFunctionObject *init, PyObject *args,
                                             PyObject *kwargs, PyObject **result);

/* --- generators in the loop (Python/generators.c) --- */

/* A generator frame that the loop itself resumed is done: unlink it, clear it and mark the
 * generator finished.  `raised`: an exception is set; PEP 479 is applied to it. */
void slp_generator_finished(PyThreadState *tstate, _PyInterpreterFrame *frame, bool raised);

/* Moves `frame` (just started by
 * RETURN_GENERATOR) into a new generator, coroutine or async generator.  NULL with an exception. */
PyObject *slp_generator_from_frame(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* --- context_run() (Stackless/module/soft_module.c) --- */

/* Make `before` (stolen; None: no context) the thread's context again. */
void slp_context_restore(PyThreadState *tstate, PyObject *before);

/* That of range(), whose next value FOR_ITER takes without a call, as it does with a list's. */
typedef struct {
    PyObject_HEAD
    long index;
    long start;
    long step;
    long len;
} slp_range_iterator;

#endif
