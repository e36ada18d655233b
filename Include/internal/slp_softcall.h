/* Calls of what is not a Python function: can they be entered as frames?
 *
 * slp_soft_call() finds the soft function (slp_soft.h) of a callable:
 *
 *   a C function or method descriptor   the one registered for its PyMethodDef, whose flag
 *                                       SLP_METH_SOFT says that there is one
 *   a class                             registered for the class itself
 *   an instance                         __call__ in Python, or registered for its type's tp_call
 *   a wrapper of a slot                 (super().__call__) registered for the slot's C function
 *
 * C functions with the flag are met in specialised instructions too, which ask slp_soft_call() then;
 * all others pay nothing.
 */
#ifndef SLP_SOFTCALL_H
#define SLP_SOFTCALL_H

#include "slp_soft.h"

/* A soft function for calls.  `self` is the object whose call it is: the instance or the class that
 * was called; the self of a C method or of a slot's wrapper, which then does not stand in `args`; the
 * module of a C function.  `args` holds `nargs` positional values and those of `kwnames`
 * (a tuple of str, or NULL). */
typedef PyObject *(*slp_soft_function)(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                                       PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                                       _PyInterpreterFrame **top);

/* The answer of a soft function for callable(*args, **kwargs).
 *
 * While C functions are profiled, SLP_NOT_SOFT for them: their events need a C call. */
PyObject *slp_soft_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable,
                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                        _PyInterpreterFrame **top);

/* The same with a tuple and a dict (or NULL). */
PyObject *slp_soft_call_ex(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable,
                           PyObject *args, PyObject *kwargs, _PyInterpreterFrame **top);

/* Is `callable` a C function or method with a soft function? */
static inline bool
slp_is_soft_function(PyObject *callable)
{
    if (PyCFunction_Check(callable)) {
        return (PyCFunction_GET_FLAGS(callable) & SLP_METH_SOFT) != 0;
    }
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type)) {
        return (((PyMethodDescrObject *)callable)->d_method->ml_flags & SLP_METH_SOFT) != 0;
    }
    return false;
}

/* Could slp_soft_call() answer something else than SLP_NOT_SOFT for a call of it?  In most cases that are so,
 * Python code is behind it. */
bool slp_may_be_soft(PyObject *callable);

/* Is it a function that functools.lru_cache() has made (Python/soft_cache.c)? */
bool slp_is_cached_function(PyObject *op);

/* Registration, at start-up; each is done once per process.  A registration that does not fit the table
 * ends the process. */

/* Of a C function or method descriptor, which gets the flag. */
void slp_soft_register_function(PyObject *callable, slp_soft_function function);
/* Of builtins.NAME, and of TYPE.NAME, a method descriptor of a static type. */
void slp_soft_register_builtin(const char *name, slp_soft_function function);
/* What is registered for builtins.NAME so far, or NULL. */
slp_soft_function slp_soft_registered_builtin(const char *name);
void slp_soft_register_method(PyTypeObject *type, const char *name, slp_soft_function function);
/* Of calls type(...), `type` itself only. */
void slp_soft_register_class(PyTypeObject *type, slp_soft_function function);
/* Of calls of the instances of `type`, and of all types that inherit its tp_call. */
void slp_soft_register_instances(PyTypeObject *type, slp_soft_function function);
/* Of wrappers of a slot's C function: object.__setattr__ wraps PyBaseObject_Type.tp_setattro. */
void slp_soft_register_slot(void *slot, slp_soft_function function);

/* The families (Python/soft_*.c), called by slp_soft_init(). */
void slp_soft_calls_init(void);
void slp_soft_generators_init(void);
void slp_soft_context_init(void);
void slp_soft_async_init(void);
void slp_soft_asyncio_init(void);
void slp_soft_attributes_init(void);
void slp_soft_builtins_init(void);
void slp_soft_isinstance_init(void);
void slp_soft_print_init(void);
void slp_soft_format_init(void);
void slp_soft_classes_init(void);
void slp_soft_exec_init(void);
void slp_soft_raise_init(void);
void slp_soft_import_init(void);
void slp_soft_build_class_init(void);
void slp_soft_classhooks_init(void);
void slp_protocol_init(void);

/* The same for modules, called when they have been imported (Python/modulehooks.c), in each interpreter.  -1
 * with an exception. */
int slp_soft_functools(PyObject *module);
int slp_soft_itertools(PyObject *module);
int slp_soft_collections(PyObject *module);
void slp_soft_partial_init(PyObject *type);
int slp_soft_cache_init(PyObject *type);

/* SLP_CACHE_RESULT: let the lru_cache wrapper `cached` store what its function has returned for a call that
 * missed.  The result of the call (a new reference), or NULL with an exception. */
PyObject *slp_cache_result(PyThreadState *tstate, PyObject *cached, PyObject *args, PyObject *kwargs,
                           PyObject *result);

#endif
