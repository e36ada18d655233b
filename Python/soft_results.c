/* What C does with the result of a special method: checks and conversions (SLP_CHECK_RESULT). */
#include "slp_shims.h"

/* A TypeError that says what `value` (stolen) should have been.  NULL. */
static PyObject *
refuse(PyThreadState *tstate, const char *format, PyObject *value)
{
    _PyErr_Format(tstate, PyExc_TypeError, format, Py_TYPE(value)->tp_name);
    Py_DECREF(value);
    return NULL;
}

/* What len() makes of a result of __len__; -1 with an exception. */
static Py_ssize_t
length_of(PyThreadState *tstate, PyObject *value)
{
    PyObject *index = PyNumber_Index(value);
    if (index == NULL) {
        return -1;
    }
    Py_ssize_t length = -1;
    if (_PyLong_Sign(index) < 0) {
        _PyErr_SetString(tstate, PyExc_ValueError, "__len__() should return >= 0");
    }
    else {
        length = PyNumber_AsSsize_t(index, PyExc_OverflowError);
    }
    Py_DECREF(index);
    return length;
}

/* The int that hash() answers for a result of __hash__: one that fits a Py_hash_t, and not -1. */
static PyObject *
hash_of(PyThreadState *tstate, PyObject *value)
{
    if (!PyLong_Check(value)) {
        _PyErr_SetString(tstate, PyExc_TypeError, "__hash__ method should return an integer");
        return NULL;
    }
    Py_hash_t hash = PyLong_AsSsize_t(value);
    if (hash == -1 && _PyErr_Occurred(tstate)) {
        _PyErr_Clear(tstate);
        hash = PyLong_Type.tp_hash(value);
    }
    return PyLong_FromSsize_t(hash == -1 ? -2 : hash);
}

/* An int or float from the result of __int__ or __float__: instances of a strict subclass are deprecated.
 * Messages begin with the name of the class, or "", and the method. */
static PyObject *
number_of(PyThreadState *tstate, PyObject *value, PyTypeObject *type, const char *owner, const char *method)
{
    if (Py_IS_TYPE(value, type)) {
        return Py_NewRef(value);
    }
    if (!PyType_IsSubtype(Py_TYPE(value), type)) {
        _PyErr_Format(tstate, PyExc_TypeError, "%.50s%s returned non-%s (type %.200s)", owner, method,
                      type->tp_name, Py_TYPE(value)->tp_name);
        return NULL;
    }
    if (PyErr_WarnFormat(PyExc_DeprecationWarning, 1,
                         "%.50s%s returned non-%s (type %.200s).  The ability to return an instance of a "
                         "strict subclass of %s is deprecated, and may be removed in a future version of "
                         "Python.",
                         owner, method, type->tp_name, Py_TYPE(value)->tp_name, type->tp_name) < 0) {
        return NULL;
    }
    return type == &PyFloat_Type ? PyFloat_FromDouble(PyFloat_AS_DOUBLE(value))
                                 : _PyLong_Copy((PyLongObject *)value);
}

/* dir(): a sorted list. */
static PyObject *
sorted_list(PyObject *value)
{
    PyObject *list = PySequence_List(value);
    if (list != NULL && PyList_Sort(list) < 0) {
        Py_CLEAR(list);
    }
    return list;
}

PyObject *
slp_check_result(PyThreadState *tstate, slp_result_kind kind, PyObject *owner, PyObject *value)
{
    PyObject *result = NULL;
    Py_ssize_t length;
    PyAsyncMethods *async = Py_TYPE(value)->tp_as_async;
    switch (kind) {
    case SLP_RESULT_BOOL:
        return PyBool_Check(value) ? value
                                   : refuse(tstate, "__bool__ should return bool, returned %.200s", value);
    case SLP_RESULT_LEN_TRUTH:
    case SLP_RESULT_LEN:
        length = length_of(tstate, value);
        if (length >= 0) {
            result = kind == SLP_RESULT_LEN ? PyLong_FromSsize_t(length) : PyBool_FromLong(length > 0);
        }
        break;
    case SLP_RESULT_REPR:
        return PyUnicode_Check(value) ? value
                                      : refuse(tstate, "__repr__ returned non-string (type %.200s)", value);
    case SLP_RESULT_STR:
        return PyUnicode_Check(value) ? value
                                      : refuse(tstate, "__str__ returned non-string (type %.200s)", value);
    case SLP_RESULT_FORMAT:
        return PyUnicode_Check(value) ? value
                                      : refuse(tstate, "__format__ must return a str, not %.200s", value);
    case SLP_RESULT_HASH:
        result = hash_of(tstate, value);
        break;
    case SLP_RESULT_INT:
        result = number_of(tstate, value, &PyLong_Type, "", "__int__");
        break;
    case SLP_RESULT_FLOAT:
        result = number_of(tstate, value, &PyFloat_Type, Py_TYPE(owner)->tp_name, ".__float__");
        break;
    case SLP_RESULT_ITER:
        return PyIter_Check(value) ? value
                                   : refuse(tstate, "iter() returned non-iterator of type '%.100s'", value);
    case SLP_RESULT_DIR:
        result = sorted_list(value);
        break;
    case SLP_RESULT_AITER:
        return async != NULL && async->am_anext != NULL
                   ? value
                   : refuse(tstate,
                            "'async for' received an object from __aiter__ that does not implement "
                            "__anext__: %.100s",
                            value);
    case SLP_RESULT_ANEXT:
        result = _PyCoro_GetAwaitableIter(value);
        if (result == NULL) {
            _PyErr_FormatFromCauseTstate(tstate, PyExc_TypeError,
                                         "'async for' received an invalid object from __anext__: %.100s",
                                         Py_TYPE(value)->tp_name);
        }
        break;
    case SLP_RESULT_AWAIT:
        if (PyCoro_CheckExact(value)
            || (PyGen_CheckExact(value)
                && (((PyGenObject *)value)->gi_code->co_flags & CO_ITERABLE_COROUTINE))) {
            Py_DECREF(value);
            _PyErr_SetString(tstate, PyExc_TypeError, "__await__() returned a coroutine");
            return NULL;
        }
        return PyIter_Check(value)
                   ? value
                   : refuse(tstate, "__await__() returned non-iterator of type '%.100s'", value);
    case SLP_RESULTS:
        Py_UNREACHABLE();
    }
    Py_DECREF(value);
    return result;
}
