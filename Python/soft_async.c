/* Awaiting as frames: __aiter__, __anext__ and __await__ in Python (slp_soft.h), and what is sent to the
 * base's awaitables, which pass it on to a coroutine or an asynchronous generator.
 *
 *      who awaits, at SEND ──> (shims) ──> coroutine
 */
#include "slp_asyncgen.h"

#include "slp_frame.h"
#include "slp_generators.h"
#include "slp_softcall.h"

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

/* builtins.anext(obj) */
static PyObject *
soft_anext_builtin(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *Py_UNUSED(self),
                   PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL) {
        return SLP_NOT_SOFT;
    }
    PyAsyncMethods *async = Py_TYPE(args[0])->tp_as_async;
    if (async == NULL || async->am_anext != slp_python_slots.async.am_anext) {
        return SLP_NOT_SOFT;
    }
    PyFunctionObject *func = slp_python_method(Py_TYPE(args[0]), &_Py_ID(__anext__));
    return func == NULL ? SLP_NOT_SOFT
                        : slp_enter_function(tstate, below, func, args, 1, NULL, top);
}

/* --- awaitables of the base --- */

/* What coroutine.__await__() returns. */
typedef struct {
    PyObject_HEAD
    PyGenObject *coroutine;
} coroutine_wrapper;

/* The coroutine behind a wrapper, or NULL where the struct is not what it should be (borrowed). */
static PyGenObject *
wrapped_coroutine(PyObject *wrapper)
{
    PyGenObject *coroutine = ((coroutine_wrapper *)wrapper)->coroutine;
    return Py_TYPE(wrapper)->tp_basicsize == sizeof(coroutine_wrapper)
                   && PyCoro_CheckExact((PyObject *)coroutine)
               ? coroutine
               : NULL;
}

static PyObject *
send_to_wrapper(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *wrapper, PyObject *sent,
                _PyInterpreterFrame **top)
{
    PyGenObject *coroutine = wrapped_coroutine(wrapper);
    if (coroutine == NULL
        || (coroutine->gi_frame_state != FRAME_SUSPENDED
            && !(coroutine->gi_frame_state == FRAME_CREATED && sent == Py_None))) {
        return SLP_NOT_SOFT;
    }
    *top = slp_resume_generator(tstate, coroutine, below, Py_NewRef(sent));
    return SLP_ENTER;
}

PyObject *
slp_soft_send(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *receiver, PyObject *sent,
              _PyInterpreterFrame **top)
{
    if (Py_IS_TYPE(receiver, &_PyCoroWrapper_Type)) {
        return send_to_wrapper(tstate, below, receiver, sent, top);
    }
    return slp_asyncgen_send(tstate, below, receiver, sent, top);
}

/* Send from a call: a <next> shim has the result. */
static PyObject *
send_from_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *receiver, PyObject *sent,
               _PyInterpreterFrame **top)
{
    _PyInterpreterFrame *shim = slp_push_next(tstate, below, receiver, NULL);
    if (shim == NULL) {
        return NULL;
    }
    return slp_shim_begun(tstate, shim, slp_soft_send(tstate, shim, receiver, sent, top));
}

static PyObject *
soft_send_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !slp_leaves_room(tstate)) {
        return SLP_NOT_SOFT;
    }
    return send_from_call(tstate, below, self, args[0], top);
}

/* awaitable.__next__(): the wrapper of the slot. */
static PyObject *
soft_next_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                 PyObject *const *Py_UNUSED(args), Py_ssize_t nargs, PyObject *kwnames,
                 _PyInterpreterFrame **top)
{
    if (nargs != 0 || kwnames != NULL || !slp_has_soft_send(self)) {
        return SLP_NOT_SOFT;
    }
    return send_from_call(tstate, below, self, Py_None, top);
}

/* What else is registered for next(), or NULL. */
static slp_soft_function next_of_others;

static PyObject *
soft_next_builtin(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs == 1 && kwnames == NULL && slp_has_soft_send(args[0])) {
        return send_from_call(tstate, below, args[0], Py_None, top);
    }
    return next_of_others == NULL ? SLP_NOT_SOFT
                                  : next_of_others(tstate, below, self, args, nargs, kwnames, top);
}

static PyObject *
soft_wrapper_throw(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyGenObject *coroutine = wrapped_coroutine(self);
    if (coroutine == NULL || kwnames != NULL) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_throw(tstate, below, coroutine, args, nargs, top);
}

static PyObject *
soft_wrapper_close(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                   PyObject *const *Py_UNUSED(args), Py_ssize_t nargs, PyObject *kwnames,
                   _PyInterpreterFrame **top)
{
    PyGenObject *coroutine = wrapped_coroutine(self);
    if (coroutine == NULL || nargs != 0 || kwnames != NULL) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_close(tstate, below, coroutine, top);
}

void
slp_soft_async_init(void)
{
    PyTypeObject *const types[] = {&_PyCoroWrapper_Type, &_PyAsyncGenASend_Type, &_PyAsyncGenAThrow_Type,
                                   &_PyAnextAwaitable_Type};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        if (PyType_Ready(types[i]) < 0) {
            PyErr_Print();
            Py_FatalError("the awaitable types are not ready");
        }
        slp_soft_register_method(types[i], "send", soft_send_method);
        slp_soft_register_slot((void *)types[i]->tp_iternext, soft_next_method);
    }
    slp_asyncgen_init();
    slp_soft_register_method(&_PyCoroWrapper_Type, "throw", soft_wrapper_throw);
    slp_soft_register_method(&_PyCoroWrapper_Type, "close", soft_wrapper_close);
    slp_soft_register_builtin("anext", soft_anext_builtin);
    next_of_others = slp_soft_registered_builtin("next");
    slp_soft_register_builtin("next", soft_next_builtin);
}
