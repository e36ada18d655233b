/* What coroutines and asynchronous generators are awaited by: coroutine.__await__(), asend(), athrow(),
 * aclose(), anext() with a default; and what asynchronous generators have on their stack when they are about
 * to yield.
 *
 * In an image: coroutine_wrapper(coroutine); awaitable(throws, generator, (value,) or (), state);
 * anext_awaitable(awaitable, default); wrapped_value(value).
 */
#include "slp_asyncgen.h"
#include "slp_pickle_frame.h"

#define WHAT "an awaitable"

/* (make, arguments) with the function of that name of the module; steals `args`. */
static PyObject *
reduced(PyObject *module, const char *name, PyObject *args)
{
    PyObject *make = args == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyObject *result = make == NULL ? NULL : PyTuple_Pack(2, make, args);
    Py_XDECREF(make);
    Py_XDECREF(args);
    return result;
}

bool
slp_is_wrapper_of(PyObject *wrapper, PyGenObject *coroutine)
{
    return Py_IS_TYPE(wrapper, &_PyCoroWrapper_Type) && slp_asyncgen_layout_is_known()
           && ((anext_object *)wrapper)->wrapped == (PyObject *)coroutine;
}

PyObject *
slp_reduce_awaitable(PyObject *module, PyObject *op)
{
    if (!slp_asyncgen_layout_is_known()) {
        return PyErr_Format(PyExc_TypeError, "cannot pickle '%.200s' object", Py_TYPE(op)->tp_name);
    }
    if (Py_IS_TYPE(op, &_PyCoroWrapper_Type)) {
        PyObject *coroutine = ((anext_object *)op)->wrapped;
        return reduced(module, "coroutine_wrapper", PyTuple_Pack(1, coroutine));
    }
    if (Py_IS_TYPE(op, &_PyAnextAwaitable_Type)) {
        anext_object *anext = (anext_object *)op;
        return reduced(module, "anext_awaitable", PyTuple_Pack(2, anext->wrapped, anext->instead));
    }
    bool throws = Py_IS_TYPE(op, &_PyAsyncGenAThrow_Type);
    if (!throws && !Py_IS_TYPE(op, &_PyAsyncGenASend_Type)) {
        return PyErr_Format(PyExc_TypeError, "reduce_awaitable() argument must be an awaitable, not %.200s",
                            Py_TYPE(op)->tp_name);
    }
    awaitable_object *a = (awaitable_object *)op;
    PyObject *value = a->value == NULL ? PyTuple_New(0) : PyTuple_Pack(1, a->value);
    return reduced(module, "awaitable", Py_BuildValue("iONi", throws, a->generator, value, a->state));
}

PyObject *
slp_make_awaitable(PyObject *module, PyObject *args)
{
    int throws, state;
    PyObject *generator, *value;
    if (!PyArg_ParseTuple(args, "pOO!i:awaitable", &throws, &generator, &PyTuple_Type, &value, &state)) {
        return NULL;
    }
    if (!slp_is_async_generator(generator) || PyTuple_GET_SIZE(value) > 1 || state < STATE_NEW
        || state > STATE_CLOSED || !slp_asyncgen_layout_is_known()) {
        return slp_refuse_image(WHAT, "it is not described as one of an asynchronous generator");
    }
    PyObject *item = PyTuple_GET_SIZE(value) == 1 ? PyTuple_GET_ITEM(value, 0) : NULL;
    if (throws && item != NULL && !PyTuple_CheckExact(item)) {
        return slp_refuse_image(WHAT, "the arguments of athrow() are %.200s", Py_TYPE(item)->tp_name);
    }
    awaitable_object *a =
        PyObject_GC_New(awaitable_object, throws ? &_PyAsyncGenAThrow_Type : &_PyAsyncGenASend_Type);
    if (a == NULL) {
        return NULL;
    }
    a->generator = (PyGenObject *)Py_NewRef(generator);
    a->value = Py_XNewRef(item);
    a->state = state;
    _PyObject_GC_TRACK(a);
    return (PyObject *)a;
}

PyObject *
slp_reduce_wrapped_value(PyObject *module, PyObject *op)
{
    if (!slp_asyncgen_layout_is_known() || !Py_IS_TYPE(op, &_PyAsyncGenWrappedValue_Type)) {
        return PyErr_Format(PyExc_TypeError, "cannot pickle '%.200s' object", Py_TYPE(op)->tp_name);
    }
    return reduced(module, "wrapped_value", PyTuple_Pack(1, ((anext_object *)op)->wrapped));
}

PyObject *
slp_make_wrapped_value(PyObject *module, PyObject *value)
{
    return _PyAsyncGenValueWrapperNew(value);
}

PyObject *
slp_make_anext(PyObject *module, PyObject *args)
{
    PyObject *wrapped, *instead;
    if (!PyArg_ParseTuple(args, "OO:anext_awaitable", &wrapped, &instead)) {
        return NULL;
    }
    return PyAnextAwaitable_New(wrapped, instead);
}

PyObject *
slp_make_coroutine_wrapper(PyObject *module, PyObject *coroutine)
{
    if (!slp_is_coroutine(coroutine)) {
        return slp_refuse_image(WHAT, "%.200s is no coroutine", Py_TYPE(coroutine)->tp_name);
    }
    return PyCoro_Type.tp_as_async->am_await(coroutine);
}
