/* The C API of channels: the PyChannel_ functions, documented in stackless_api.h. */
#include "slp_capi.h"
#include "slp_channel.h"

PyChannelObject *
PyChannel_New(PyTypeObject *type)
{
    if (type == NULL)
        type = &PyChannel_Type;
    if (!PyType_Check(type) || !PyType_IsSubtype(type, &PyChannel_Type)) {
        PyErr_Format(PyExc_TypeError, "PyChannel_New(): type must be a class of channels, not %R", type);
        return NULL;
    }
    PyObject *channel = PyObject_CallNoArgs((PyObject *)type);
    /* __new__() may answer anything. */
    if (channel != NULL && !slp_capi_is_channel("PyChannel_New", (PyChannelObject *)channel))
        Py_CLEAR(channel);
    return (PyChannelObject *)channel;
}

/* --- transfers --- */

/* Is there a value to send?  False with TypeError. */
static bool
has_value(const char *function, PyObject *value)
{
    if (value != NULL)
        return true;
    PyErr_Format(PyExc_TypeError, "%s(): the value to send is NULL", function);
    return false;
}

int
PyChannel_Send(PyChannelObject *channel, PyObject *value)
{
    return slp_capi_without_offer() ? PyChannel_Send_nr(channel, value) : -1;
}

int
PyChannel_Send_nr(PyChannelObject *channel, PyObject *value)
{
    if (!slp_capi_is_channel("PyChannel_Send", channel) || !has_value("PyChannel_Send", value))
        return -1;
    return slp_capi_with_offer() ? slp_capi_status(slp_channel_send((PyObject *)channel, value)) : -1;
}

PyObject *
PyChannel_Receive(PyChannelObject *channel)
{
    return slp_capi_without_offer() ? PyChannel_Receive_nr(channel) : NULL;
}

PyObject *
PyChannel_Receive_nr(PyChannelObject *channel)
{
    if (!slp_capi_is_channel("PyChannel_Receive", channel))
        return NULL;
    return slp_capi_with_offer() ? slp_channel_receive((PyObject *)channel, NULL) : NULL;
}

int
PyChannel_SendException(PyChannelObject *channel, PyObject *klass, PyObject *args)
{
    if (!slp_capi_is_channel("PyChannel_SendException", channel) || !slp_capi_without_offer())
        return -1;
    return slp_capi_call_with(slp_channel_send_exception, (PyObject *)channel, klass, args);
}

int
PyChannel_SendThrow(PyChannelObject *channel, PyObject *exc, PyObject *val, PyObject *tb)
{
    if (!slp_capi_is_channel("PyChannel_SendThrow", channel) || !slp_capi_without_offer())
        return -1;
    PyObject *args[] = {slp_capi_or_none(exc), slp_capi_or_none(val), slp_capi_or_none(tb)};
    return slp_capi_status(slp_channel_send_throw((PyObject *)channel, args, 3));
}

int
PyChannel_TrySend(PyChannelObject *channel, PyObject *value)
{
    if (!slp_capi_is_channel("PyChannel_TrySend", channel) || !has_value("PyChannel_TrySend", value))
        return -1;
    return slp_channel_try(channel, value, NULL);
}

int
PyChannel_TryReceive(PyChannelObject *channel, PyObject **value)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyChannel_TryReceive(): the place for the value is NULL");
        return -1;
    }
    *value = NULL;
    return slp_capi_is_channel("PyChannel_TryReceive", channel) ? slp_channel_try(channel, NULL, value) : -1;
}

/* --- attributes --- */

PyObject *
PyChannel_GetQueue(PyChannelObject *channel)
{
    if (!slp_capi_is_channel("PyChannel_GetQueue", channel))
        return NULL;
    return Py_NewRef(slp_capi_or_none((PyObject *)channel->head));
}

/* A function that answers `value`, which may use `channel`. */
#define GETTER(name, value)                                                                                  \
    int name(PyChannelObject *channel)                                                                       \
    {                                                                                                        \
        return slp_capi_is_channel(#name, channel) ? (value) : -1;                                           \
    }

/* A function that gives `field` of the channel a value. */
#define SETTER(name, parameters, field, value)                                                               \
    int name parameters                                                                                      \
    {                                                                                                        \
        if (!slp_capi_is_channel(#name, channel))                                                            \
            return -1;                                                                                       \
        channel->flags.field = (value);                                                                      \
        return 0;                                                                                            \
    }

SETTER(PyChannel_Close, (PyChannelObject *channel), closing, 1)
SETTER(PyChannel_Open, (PyChannelObject *channel), closing, 0)
GETTER(PyChannel_GetClosing, channel->flags.closing)
GETTER(PyChannel_GetClosed, channel->flags.closing && channel->balance == 0)
GETTER(PyChannel_GetPreference, channel->flags.preference)
SETTER(PyChannel_SetPreference, (PyChannelObject *channel, int preference), preference,
       preference > 0 ? 1 : preference < 0 ? -1 : 0)
GETTER(PyChannel_GetScheduleAll, channel->flags.schedule_all)
SETTER(PyChannel_SetScheduleAll, (PyChannelObject *channel, int flag), schedule_all, flag != 0)
GETTER(PyChannel_GetBalance, channel->balance)
