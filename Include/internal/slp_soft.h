/* Soft constructs: what leads from Python to Python is entered as frames, where C would call it.
 *
 * A soft function looks at an operation (an attribute, an operator, a call) that the loop is about
 * to have done by C.  Where a Python function is behind it, the function pushes the frames that do
 * it, a shim first where something is left to do with the result (slp_shims.h), and the loop
 * runs them:
 *
 *      caller ──> shim ──> frame of __add__
 *             <── SLP_... instruction of the shim <── result
 *
 * What a soft function answers
 *   SLP_ENTER     *top is the newest of the frames pushed on `below` and linked to it; run it.  The
 *                 operation's result will be pushed on the stack of `below`.
 *   SLP_NOT_SOFT  nothing was done: let C do it
 *   another value the result (a new reference): there was nothing to run
 *   NULL          an exception is set, no frame was left
 *
 * It borrows its arguments; frames own references to what they need.  It is only asked while no frame
 * evaluator is set (PEP 523).
 */
#ifndef SLP_SOFT_H
#define SLP_SOFT_H

#include "slp_base.h"
#include "slp_callargs.h"
#include "slp_shims.h"

/* Never reference counted, never seen by Python code. */
extern PyObject slp_enter_token;
extern PyObject slp_not_soft_token;
#define SLP_ENTER    (&slp_enter_token)
#define SLP_NOT_SOFT (&slp_not_soft_token)

/* The base's functions that call a special method written in Python, as they stand in the slots of a
 * class which defines all of them: type->tp_repr == slp_python_slots.type.tp_repr says that
 * repr() will look for __repr__ in Python.  Written once by slp_soft_init(). */
typedef struct {
    PyTypeObject type;
    PyNumberMethods number;
    PySequenceMethods sequence;
    PyMappingMethods mapping;
    PyAsyncMethods async;
    getattrofunc getattr_hook;   /* tp_getattro of a class with __getattr__, or that may have one */
} slp_slots;

extern slp_slots slp_python_slots;

/* Has slp_soft_init() run? */
extern bool slp_soft_ready;

/* Learn the slots above and register the soft functions of builtins, once per process, before any
 * Python code runs.  Ends the process where that fails. */
SLP_COLD void slp_soft_init(void);

/* The Python function that is found as `name` (interned) in the type's MRO, or NULL (borrowed, no
 * exception). */
static inline PyFunctionObject *
slp_python_method(PyTypeObject *type, PyObject *name)
{
    PyObject *found = _PyType_Lookup(type, name);
    return found != NULL && Py_IS_TYPE(found, &PyFunction_Type) ? (PyFunctionObject *)found : NULL;
}

/* Push the frame of func(*args) on `below`; a soft function's answer. */
static inline PyObject *
slp_enter_function(PyThreadState *tstate, _PyInterpreterFrame *below, PyFunctionObject *func,
                   PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(args[i]);
    }
    Py_INCREF(func);
    PyObject *locals = slp_call_locals(func);
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, func, locals, args, nargs, kwnames);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = below;
    *top = frame;
    return SLP_ENTER;
}

#endif
