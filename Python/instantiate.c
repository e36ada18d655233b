/* Class instantiation without C recursion: __new__ here, __init__ as a frame above the init shim. */
#include "slp_eval.h"
#include "slp_softcall.h"

/* The Python function that type->tp_new calls, or NULL. */
static PyFunctionObject *
python_new(PyTypeObject *type)
{
    if (type->tp_new != slp_python_slots.type.tp_new) {
        return NULL;
    }
    PyObject *found = _PyType_Lookup(type, &_Py_ID(__new__));
    if (found != NULL && Py_IS_TYPE(found, &PyStaticMethod_Type)) {
        found = slp_staticmethod_function(found);
    }
    return found != NULL && Py_IS_TYPE(found, &PyFunction_Type) ? (PyFunctionObject *)found : NULL;
}

PyFunctionObject *
slp_python_init(PyTypeObject *type)
{
    if (Py_TYPE(type)->tp_call != PyType_Type.tp_call || type == &PyType_Type || type->tp_new == NULL
        || type->tp_vectorcall != NULL || type->tp_init == PyBaseObject_Type.tp_init
        || type->tp_new == PyType_Type.tp_new) {
        return NULL;
    }
    if (SLP_UNLIKELY(python_new(type) != NULL)) {
        return NULL;   /* the soft class call enters both */
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

/* --- class calls from __new__ on --- */

PyObject *
slp_soft_init_after_new(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *type, PyObject *args,
                        PyObject *kwargs, PyObject *instance, _PyInterpreterFrame **top)
{
    PyTypeObject *actual = Py_TYPE(instance);
    if (!PyType_IsSubtype(actual, (PyTypeObject *)type)) {
        return Py_NewRef(instance);
    }
    PyFunctionObject *init = slp_python_method(actual, &_Py_ID(__init__));
    if (init == NULL) {
        if (actual->tp_init != NULL && actual->tp_init(instance, args, kwargs) < 0) {
            return NULL;
        }
        return Py_NewRef(instance);
    }
    Py_INCREF(init);
    PyObject *with_self = slp_tuple_with_first(instance, args);
    if (with_self == NULL) {
        Py_DECREF(init);
        return NULL;
    }
    PyObject *locals = slp_call_locals(init);
    _PyInterpreterFrame *frame = slp_frame_for_call_ex(tstate, init, locals, with_self, kwargs);
    Py_DECREF(with_self);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = shim;
    *top = frame;
    return SLP_ENTER;
}

/* What makes the instance, on top of `shim`, which has nothing on its stack but the arguments: frames, or the
 * instance itself. */
static PyObject *
soft_make_instance(PyThreadState *tstate, _PyInterpreterFrame *shim, PyTypeObject *type, PyObject *args,
                   PyObject *kwargs, _PyInterpreterFrame **top)
{
    PyFunctionObject *new = python_new(type);
    if (new == NULL) {
        PyObject *answer = type->tp_new == PyType_Type.tp_new
                               ? slp_soft_type_new(tstate, shim, type, args, kwargs, top)
                               : SLP_NOT_SOFT;
        return answer == SLP_NOT_SOFT ? make_instance(tstate, type, args, kwargs) : answer;
    }
    Py_INCREF(new);   /* a collection may run when the tuple is made */
    PyObject *with_type = slp_tuple_with_first((PyObject *)type, args);
    if (with_type == NULL) {
        Py_DECREF(new);
        return NULL;
    }
    _PyInterpreterFrame *frame =
        slp_frame_for_call_ex(tstate, new, slp_call_locals(new), with_type, kwargs);
    Py_DECREF(with_type);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = shim;
    *top = frame;
    return SLP_ENTER;
}

/* Does calling the class call Python functions that can be frames? */
static bool
is_soft_class(PyTypeObject *type, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (type->tp_new == NULL || (type->tp_vectorcall != NULL && type != &PyType_Type)) {
        return false;
    }
    return python_new(type) != NULL || slp_python_method(type, &_Py_ID(__init__)) != NULL
           || (type->tp_new == PyType_Type.tp_new && nargs == 3
               && slp_has_soft_hooks(type, args, kwnames != NULL));
}

/* type.__call__: the class is `self`, called as such or by super().__call__() of a metaclass. */
static PyObject *
soft_class_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyTypeObject *type = (PyTypeObject *)self;
    if (!PyType_Check(self) || !is_soft_class(type, args, nargs, kwnames)) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[3] = {Py_NewRef(self), _PyTuple_FromArray(args, nargs), NULL};
    bool failed = values[1] == NULL;
    if (!failed && kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        values[2] = kwargs_dict(args + nargs, kwnames);
        failed = values[2] == NULL;
    }
    if (failed) {
        Py_DECREF(values[0]);
        Py_XDECREF(values[1]);
        return NULL;
    }
    /* The shim's first instruction goes on with the instance, be it there or returned by __new__. */
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, slp_shim_new, 0, values, 3);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = soft_make_instance(tstate, shim, type, values[1], values[2], top);
    if (answer == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
        return NULL;
    }
    if (answer != SLP_ENTER) {
        shim->localsplus[shim->stacktop++] = answer;
        *top = shim;
    }
    return SLP_ENTER;
}

void
slp_soft_classes_init(void)
{
    /* The same function as tp_call of classes and in the slot that type.__call__ wraps. */
    slp_soft_register_instances(&PyType_Type, soft_class_call);
    slp_soft_build_class_init();
    slp_soft_classhooks_init();
}
