/* Channels: how one pickles, with the tasklets that wait in its queue.
 *
 * In an image: type() with the state (balance, flags, [tasklets], attributes).  Bits of the flags, from bit
 * 0: closing; preference (2 bits, signed); schedule_all.
 */
#include "slp_channel.h"
#include "slp_pickle.h"
#include "slp_pickle_tasklet.h"
#include "slp_scheduler.h"

#define WHAT "a channel"

const char slp_channel_reduce_doc[] = "__reduce__($self, /)\n"
                                      "--\n\n"
                                      "How the channel pickles, with the tasklets that wait.";

PyObject *
slp_channel_reduce(PyObject *self, PyObject *noargs)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    /* That runs any code, and so may the collector: after the list is made, the channel stays as it is. */
    PyObject *attributes = slp_attributes_out(self, &PyChannel_Type);
    PyObject *queue = attributes == NULL ? NULL : PyList_New(0);
    for (PyTaskletObject *t = ch->head; t != NULL && queue != NULL; t = t->next) {
        if (PyList_Append(queue, (PyObject *)t) < 0) {
            Py_CLEAR(queue);
        }
    }
    if (queue == NULL) {
        Py_XDECREF(attributes);
        return NULL;
    }
    int flags = ch->flags.closing | (ch->flags.preference & 3) << 1 | ch->flags.schedule_all << 3;
    return slp_reduce_with_state(self, &PyChannel_Type,
                                 Py_BuildValue("iiNN", ch->balance, flags, queue, attributes));
}

/* Can the tasklet wait in the queue of the channel that is being loaded? */
static int
check_member(PyObject *member)
{
    if (!PyTasklet_Check(member)) {
        slp_refuse_image(WHAT, "%.200s waits in its queue", Py_TYPE(member)->tp_name);
        return -1;
    }
    PyTaskletObject *t = (PyTaskletObject *)member;
    if (t->flags.is_main || t->flags.waits_in_run || t->thread->tstate == NULL || t->thread->current == t
        || slp_in_chain(t) || t->flags.pinned) {
        PyErr_Format(PyExc_ValueError, "cannot unpickle a channel: %R cannot wait in its queue", member);
        return -1;
    }
    return t->frame == NULL ? slp_make_placeholder(t) : 0;
}

/* Let the tasklets wait at the channel, which nobody does yet.  -1 with an exception. */
static int
fill_queue(PyChannelObject *ch, PyObject *members, int balance)
{
    if (balance == INT_MIN || PyTuple_GET_SIZE(members) != Py_ABS(balance)) {
        slp_refuse_image(WHAT, "its balance is %d, but %zd tasklets wait", balance,
                         PyTuple_GET_SIZE(members));
        return -1;
    }
    if (ch->balance != 0) {
        PyErr_Format(PyExc_ValueError, "cannot unpickle a channel: somebody waits at %R", ch);
        return -1;
    }
    int direction = (balance > 0) - (balance < 0);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(members); i++) {
        PyObject *member = PyTuple_GET_ITEM(members, i);
        if (check_member(member) < 0) {
            return -1;
        }
        slp_channel_restore(ch, (PyTaskletObject *)member, direction);
    }
    return 0;
}

const char slp_channel_setstate_doc[] =
    "__setstate__($self, state, /)\n"
    "--\n\n"
    "Fill a channel with what __reduce__() has said of one.\n\n"
    "TypeError or ValueError if the state is not such as __reduce__() makes, or somebody\n"
    "waits at the channel.";

PyObject *
slp_channel_setstate(PyObject *self, PyObject *state)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    int balance, flags;
    PyObject *queue, *attributes;
    if (!PyTuple_Check(state)) {
        return slp_refuse_image(WHAT, "its state is %.200s", Py_TYPE(state)->tp_name);
    }
    if (PyTuple_GET_SIZE(state) != 4) {
        return slp_refuse_image(WHAT, "its state has %zd items", PyTuple_GET_SIZE(state));
    }
    if (!PyArg_ParseTuple(state, "iiO!O:channel.__setstate__", &balance, &flags, &PyList_Type, &queue,
                          &attributes)) {
        return NULL;
    }
    int preference = (flags >> 1 & 3) == 3 ? -1 : flags >> 1 & 3;
    if ((flags & ~15) != 0 || preference == 2) {
        return slp_refuse_image(WHAT, "its flags are %d", flags);
    }
    PyObject *members = PyList_AsTuple(queue);
    if (members == NULL) {
        return NULL;
    }
    /* The collector would run any code, which may do anything to the channel and the tasklets. */
    int collecting = PyGC_Disable();
    int status = fill_queue(ch, members, balance);
    if (collecting) {
        PyGC_Enable();
    }
    Py_DECREF(members);
    if (status < 0) {
        return NULL;
    }
    ch->flags.closing = flags & 1;
    ch->flags.preference = preference;
    ch->flags.schedule_all = flags >> 3 & 1;
    if (attributes != Py_None && slp_attributes_in(self, attributes) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}
