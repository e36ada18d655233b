/* Argument binding: from a call's arguments to the locals of a new frame. */
#ifndef SLP_CALLARGS_H
#define SLP_CALLARGS_H

#include "slp_base.h"

/* Locals for a call of `func`: NULL, or its globals where the code has no fast locals. */
static inline PyObject *
slp_call_locals(PyFunctionObject *func)
{
    PyCodeObject *code = (PyCodeObject *)func->func_code;
    return (code->co_flags & CO_OPTIMIZED) ? NULL : Py_NewRef(func->func_globals);
}

/* The arguments of a method: (first, *rest). */
PyObject *slp_tuple_with_first(PyObject *first, PyObject *rest);

/* A new frame for a call of `func`, its locals filled, ready to be linked and run.
 *
 * `args` holds `nargs` positional values followed by one value per name in `kwnames` (a tuple of
 * str, or NULL).  References: always steals `func`, `locals` (may be NULL) and every value in
 * `args`, also on failure; borrows `kwnames`.  Result NULL with an exception (TypeError for
 * arguments that do not fit, MemoryError); then no frame remains on the frame stack. */
_PyInterpreterFrame *slp_frame_for_call(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals,
                                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

/* The same for f(*args, **kwargs).  Steals `func` and `locals`; borrows `args` (a tuple) and
 * `kwargs` (a dict, or NULL). */
_PyInterpreterFrame *slp_frame_for_call_ex(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals,
                                           PyObject *args, PyObject *kwargs);

/* Call `func` from C: bind, run on the evaluation loop, return its result.  Takes the place of the
 * base's function of that meaning; borrows everything. */
PyObject *_PyEval_Vector(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals,
                         PyObject *const *args, size_t nargs, PyObject *kwnames);

#endif
