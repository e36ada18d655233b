/* asyncio's tasks: a step of the C Task (_asyncio) whose coroutine runs as frames.
 *
 * The base does a step in one C function: it resumes the coroutine and then looks at what that yields,
 * returns or raises.  Here a shim resumes the coroutine first, and the C function comes afterwards:
 *
 *      Handle._run ──> <Context.run> ──> <task step> ──> coroutine
 *                                             └─ then task_step() in C, where a stand-in takes the place of
 *                                                the coroutine, and repeats what came of it
 *
 * What the C function does before it resumes the coroutine is done before the shim is pushed: the task
 * becomes the current one of its loop, a CancelledError is thrown where cancel() was called, and the future
 * that the task waited for is forgotten.  In main all that is left to C.
 */
#ifndef SLP_ASYNCIO_H
#define SLP_ASYNCIO_H

#include "slp_base.h"

/* What came of the coroutine; SLP_TASK_STEPPED's argument. */
typedef enum {
    SLP_TASK_YIELDED,
    SLP_TASK_RETURNED,
    SLP_TASK_RAISED,
    SLP_TASK_THROW_RAISED,   /* by throw(), which returns by a StopIteration */
} slp_task_outcome;

/* Let C finish the step of the task at stack[0], with the stand-in at stack[1]: its answer, None or NULL.
 * `value` (stolen): what the coroutine yielded, returned or raised. */
PyObject *slp_task_stepped(PyThreadState *tstate, PyObject *const *stack, slp_task_outcome outcome,
                           PyObject *value);

/* The module _asyncio was imported: look whether its structs are as expected, and register what calls steps.
 * If they are not, tasks stay pinned. */
void slp_adopt_asyncio(PyObject *module);

#endif
