/* __aiter__, __anext__ and __await__ that are plain Python functions, entered as frames (slp_soft.h). */
#include "slp_soft.h"

static PyObject *
call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, PyObject *name, slp_result_kind kind,
     _PyInterpreterFrame **top)
{
    PyFunctionObject *func = slp_python_method(Py_TYPE(obj), name);
    return func == NULL ? SLP_NOT_SOFT : slp_enter_checked(tstate, below, kind, func, &obj, 1, top);
}

PyObject *
slp_soft_aiter(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyAsyncMethods *async = Py_TYPE(obj)->tp_as_async;
    if (async == NULL || async->am_aiter != slp_python_slots.async.am_aiter) {
        return SLP_NOT_SOFT;
    }
    return call(tstate, below, obj, &_Py_ID(__aiter__), SLP_RESULT_AITER, top);
}

PyObject *
slp_soft_anext(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyAsyncMethods *async = Py_TYPE(obj)->tp_as_async;
    if (async == NULL || async->am_anext != slp_python_slots.async.am_anext) {
        return SLP_NOT_SOFT;
    }
    return call(tstate, below, obj, &_Py_ID(__anext__), SLP_RESULT_ANEXT, top);
}

PyObject *
slp_soft_awaitable(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                   _PyInterpreterFrame **top)
{
    PyAsyncMethods *async = Py_TYPE(obj)->tp_as_async;
    if (async == NULL || async->am_await != slp_python_slots.async.am_await) {
        return SLP_NOT_SOFT;
    }
    return call(tstate, below, obj, &_Py_ID(__await__), SLP_RESULT_AWAIT, top);
}
