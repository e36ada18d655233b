/* Class instantiation without C recursion: __new__ here, __init__ as a frame above the init shim. */
#include "slp_eval.h"

PyFunctionObject *
slp_python_init(PyTypeObject *type)
{
    if (Py_TYPE(type)->tp_call != PyType_Type.tp_call || type == &PyType_Type || type->tp_new == NULL
        || type->tp_vectorcall != NULL || type->tp_init == PyBaseObject_Type.tp_init) {
        return NULL;
    }
    PyObject *init = _PyType_Lookup(type, &_Py_ID(__init__));
    return init != NULL && Py_IS_TYPE(init, &PyFunction_Type) ? (PyFunctionObject *)init : NULL;
}

/* The shim that waits for __init__, linked to its caller.  Steals `instance`. */
static _PyInterpreterFrame *
push_init_shim(PyThreadState *tstate, _PyInterpreterFrame *caller, PyObject *instance)
{
    return slp_shim_push(tstate, caller, slp_shim_init, 0, &instance, 1);
}

/* type.__new__(type, *args, **kwargs); the result is as type.__call__ wants it checked. */
static PyObject *
make_instance(PyThreadState *tstate, PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *instance = type->tp_new(type, args, kwargs);
    return _Py_CheckFunctionResult(tstate, (PyObject *)type, instance, NULL);
}

/* After a __new__ that may have run any code: the Python __init__ to go on with (a new reference),
 * or NULL when the call is finished: then *result is its value, or NULL with an exception.
 * Steals `instance`, unless there is an __init__ to go on with. */
static PyFunctionObject *
init_after_new(PyTypeObject *type, PyObject *instance, PyObject *args, PyObject *kwargs, PyObject **result)
{
    PyTypeObject *actual = Py_TYPE(instance);
    if (PyType_IsSubtype(actual, type)) {
        PyObject *init = _PyType_Lookup(actual, &_Py_ID(__init__));
        if (init != NULL && Py_IS_TYPE(init, &PyFunction_Type)) {
            return (PyFunctionObject *)Py_NewRef(init);
        }
        if (actual->tp_init != NULL && actual->tp_init(instance, args, kwargs) < 0) {
            Py_DECREF(instance);
            *result = NULL;
            return NULL;
        }
    }
    *result = instance;
    return NULL;
}

/* A dict of the keyword arguments that stand at `values`; NULL with an exception. */
static PyObject *
kwargs_dict(PyObject *const *values, PyObject *kwnames)
{
    return _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, values, 1, PyTuple_GET_SIZE(kwnames));
}

static void
drop_args(PyObject **args, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(args[i]);
    }
}

_PyInterpreterFrame *
slp_frames_for_class(PyThreadState *tstate, _PyInterpreterFrame *caller, PyTypeObject *type,
                     PyFunctionObject *init, PyObject **args, Py_ssize_t nargs, PyObject *kwnames,
                     PyObject **result)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *instance;
    *result = NULL;
    Py_INCREF(init);
    if (type->tp_new == PyBaseObject_Type.tp_new) {
        /* object.__new__ leaves the arguments to an __init__ that is overridden. */
        PyObject *none = PyTuple_New(0);
        instance = type->tp_new(type, none, NULL);
        Py_XDECREF(none);
        if (instance == NULL) {
            goto failed;
        }
    }
    else {
        PyObject *kwargs = NULL;
        PyObject *tuple = _PyTuple_FromArray(args, nargs);
        if (tuple == NULL) {
            goto failed;
        }
        if (kwnames != NULL) {
            kwargs = kwargs_dict(args + nargs, kwnames);
            if (kwargs == NULL) {
                Py_DECREF(tuple);
                goto failed;
            }
        }
        instance = make_instance(tstate, type, tuple, kwargs);
        PyFunctionObject *found = NULL;
        if (instance != NULL) {
            found = init_after_new(type, instance, tuple, kwargs, result);
        }
        Py_DECREF(tuple);
        Py_XDECREF(kwargs);
        if (found == NULL) {
            goto failed;
        }
        Py_SETREF(init, found);
    }
    _PyInterpreterFrame *shim = push_init_shim(tstate, caller, instance);
    if (shim == NULL) {
        goto failed;
    }
    args[-1] = Py_NewRef(instance);
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, init, slp_call_locals(init), args - 1, nargs + 1,
                                                    kwnames);
    if (frame == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
        return NULL;
    }
    frame->previous = shim;
    return frame;

failed:
    Py_DECREF(init);
    drop_args(args, count);
    return NULL;
}

_PyInterpreterFrame *
slp_frames_for_class_ex(PyThreadState *tstate, _PyInterpreterFrame *caller, PyTypeObject *type,
                        PyFunctionObject *init, PyObject *args, PyObject *kwargs, PyObject **result)
{
    *result = NULL;
    PyObject *instance = make_instance(tstate, type, args, kwargs);
    if (instance == NULL) {
        return NULL;
    }
    init = init_after_new(type, instance, args, kwargs, result);
    if (init == NULL) {
        return NULL;
    }
    PyObject *with_self = slp_tuple_with_first(instance, args);
    if (with_self == NULL) {
        Py_DECREF(init);
        Py_DECREF(instance);
        return NULL;
    }
    _PyInterpreterFrame *frame = NULL;
    _PyInterpreterFrame *shim = push_init_shim(tstate, caller, instance);
    if (shim == NULL) {
        Py_DECREF(init);
    }
    else {
        frame = slp_frame_for_call_ex(tstate, init, slp_call_locals(init), with_self, kwargs);
        if (frame == NULL) {
            slp_frame_clear_and_pop(tstate, shim);
        }
        else {
            frame->previous = shim;
        }
    }
    Py_DECREF(with_self);
    return frame;
}
