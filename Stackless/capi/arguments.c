/* Arguments of the C API's functions: are they what they should be (slp_capi.h)? */
#include "slp_capi.h"
#include "slp_protocol.h"

/* Raise TypeError for an argument that is of another type; false. */
SLP_COLD static bool
refuse_type(const char *function, const char *wanted, void *arg)
{
    PyErr_Format(PyExc_TypeError, "%s(): argument must be a %s, not %.200s", function, wanted,
                 arg != NULL ? Py_TYPE(arg)->tp_name : "NULL");
    return false;
}

bool
slp_capi_is_tasklet(const char *function, PyTaskletObject *t)
{
    return (t != NULL && PyTasklet_Check(t)) || refuse_type(function, "tasklet", t);
}

bool
slp_capi_is_channel(const char *function, PyChannelObject *channel)
{
    return (channel != NULL && PyChannel_Check(channel)) || refuse_type(function, "channel", channel);
}

bool
slp_capi_without_offer(void)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL)
        return false;
    th->offered_in = NULL;
    th->soft_offered = false;
    return true;
}

bool
slp_capi_with_offer(void)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL)
        return false;
    th->soft_offered = slp_protocol_take_offer(th);
    return true;
}

PyObject *
slp_capi_args(PyObject *args)
{
    if (args == NULL || args == Py_None)
        return PyTuple_New(0);
    return PyTuple_Check(args) ? Py_NewRef(args) : PyTuple_Pack(1, args);
}

bool
slp_capi_is_call(const char *function, PyObject *args, PyObject *kwargs)
{
    if (args != NULL && !PyTuple_Check(args))
        return refuse_type(function, "tuple or NULL", args);
    if (kwargs != NULL && !PyDict_Check(kwargs))
        return refuse_type(function, "dict or NULL", kwargs);
    return true;
}

int
slp_capi_call_with(PyObject *(*method)(PyObject *, PyObject *const *, Py_ssize_t), PyObject *self,
                   PyObject *klass, PyObject *args)
{
    PyObject *tuple = slp_capi_args(args);
    PyObject *first = tuple != NULL ? PyTuple_Pack(1, slp_capi_or_none(klass)) : NULL;
    PyObject *all = first != NULL ? PySequence_Concat(first, tuple) : NULL;
    PyObject *result = all != NULL ? method(self, &PyTuple_GET_ITEM(all, 0), PyTuple_GET_SIZE(all)) : NULL;
    Py_XDECREF(all);
    Py_XDECREF(first);
    Py_XDECREF(tuple);
    return slp_capi_status(result);
}
