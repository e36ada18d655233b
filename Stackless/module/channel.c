/* The channel type: tasklets meet here to hand over a value (slp_channel.h).
 *
 * A transfer takes two: the *actor*, who is current, and a *partner*, who waits in the queue.  Who
 * runs afterwards, when both belong to one thread:
 *
 *   setting                          partner goes            actor                   runs next
 *   preference favours the partner   directly after actor    stays where it is       the partner
 *   preference 0, or for the actor   end of the queue        goes on                 the actor
 *   schedule_all                     end of the queue        stays where it is       the one after the actor
 *
 * The partner of another thread goes to the end of that thread's queue and the actor goes on.
 * Without a partner the actor blocks: it moves from the run queue to the channel's.
 *
 * Budget: 15 ns a transfer here (Tools/bench).
 */
#include "slp_channel.h"

#include "slp_bomb.h"
#include "slp_callbacks.h"
#include "slp_idle.h"
#include "slp_module.h"
#include "slp_pickle_tasklet.h"
#include "slp_scheduler.h"

/* The direction of an action, and the sign of the balance of those who wait to do it. */
enum direction { RECEIVING = -1, SENDING = 1 };

#ifndef NDEBUG
/* Longer queues are checked at their head only. */
#define CHECKED_QUEUE 64

void
slp_channel_check(PyChannelObject *ch)
{
    int sign = (ch->balance > 0) - (ch->balance < 0);
    int seen = 0;
    PyTaskletObject *t = ch->head;
    assert((t == NULL) == (sign == 0) && (ch->tail == NULL) == (sign == 0));
    assert(t == NULL || (t->prev == NULL && ch->tail->next == NULL));
    for (; t != NULL && seen < CHECKED_QUEUE; t = t->next) {
        assert(t->flags.blocked == sign && t->channel == ch);
        assert(t->next != NULL ? t->next->prev == t : ch->tail == t);
        seen++;
    }
    assert(t != NULL || seen == Py_ABS(ch->balance));
}
#endif

/* --- the queue --- */

/* Append `t` (in no chain; reference stolen), which waits in direction `dir`. */
static inline void
enqueue(PyChannelObject *ch, PyTaskletObject *t, enum direction dir)
{
    assert(t->next == NULL && t->prev == NULL && t->channel == NULL);
    t->prev = ch->tail;
    if (ch->tail != NULL)
        ch->tail->next = t;
    else
        ch->head = t;
    ch->tail = t;
    ch->balance += dir;
    t->thread->blocked_count++;
    t->flags.blocked = dir;
    t->channel = (PyChannelObject *)Py_NewRef(ch);
}

void
slp_channel_restore(PyChannelObject *ch, PyTaskletObject *t, int direction)
{
    enqueue(ch, (PyTaskletObject *)Py_NewRef(t), direction > 0 ? SENDING : RECEIVING);
    slp_channel_check(ch);
}

/* Take `t` out; the queue's reference passes to the caller, t's reference to the channel too. */
static inline void
dequeue(PyChannelObject *ch, PyTaskletObject *t)
{
    assert(t->channel == ch);
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        ch->head = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        ch->tail = t->prev;
    t->next = t->prev = NULL;
    ch->balance -= t->flags.blocked;
    t->thread->blocked_count--;
    t->flags.blocked = 0;
    t->channel = NULL;
}

void
slp_channel_unlink(PyTaskletObject *t, PyChannelObject **channel)
{
    *channel = t->channel;
    dequeue(t->channel, t);
    slp_channel_check(*channel);
}

/* --- a transfer --- */

/* Compiled once for each direction. */
#define SPECIALISED static inline __attribute__((always_inline))

/* What a receiver whose thread has ended raises if another thread takes it over after all. */
static PyObject *passed_over_bomb;

int
slp_channel_init(void)
{
    if (passed_over_bomb == NULL)
        passed_over_bomb = slp_bomb_forever(PyExc_RuntimeError, "receive() was given up: the tasklet's "
                                            "thread had ended when somebody sent");
    return passed_over_bomb != NULL ? 0 : -1;
}

/* Is the head of the queue ready to be the partner?  A waiting receiver's tempval must be None, and its
 * thread must live: else nobody might ever see the value, so that it leaves the queue and is as good as
 * paused. False if anything had to be put in order, which may have run any code: look again.  A sender
 * whose thread has ended is a partner, since nothing is missing. */
static inline bool
prepare_partner(PyChannelObject *ch)
{
    PyTaskletObject *t = ch->head;
    if (SLP_LIKELY(ch->balance > 0 || (t->thread->tstate != NULL && t->tempval == Py_None)))
        return true;
    if (t->thread->tstate == NULL) {
        PyObject *displaced = t->tempval;
        t->tempval = Py_NewRef(passed_over_bomb);
        dequeue(ch, t);
        Py_DECREF(ch);
        Py_DECREF(t);
        Py_DECREF(displaced);
    }
    else {
        slp_settle(t);
    }
    return false;
}

/* The current tasklet meets the head of the queue.  `value`: what it sends (stolen), NULL if it
 * receives.  With `stay` it goes on, whatever the settings are.  The action's result, or NULL
 * with an exception, or SLP_UNWIND. */
SPECIALISED PyObject *
transfer(slp_thread *th, PyChannelObject *ch, PyObject *value, enum direction dir, bool stay, bool soft)
{
    PyTaskletObject *actor = th->current;
    PyTaskletObject *partner = ch->head;
    bool to_partner = false, to_next = false;

    if (!stay && SLP_LIKELY(partner->thread == th)) {
        to_next = ch->flags.schedule_all;
        to_partner = !to_next && ch->flags.preference == -dir;
        if ((to_next || to_partner) && slp_check_switch(th, soft) < 0) {
            Py_XDECREF(value);
            return NULL;
        }
    }

    PyObject *result;
    if (dir == SENDING) {
        slp_set_tempval(partner, value);
        result = Py_NewRef(Py_None);
    }
    else {
        result = partner->tempval;
        partner->tempval = Py_NewRef(Py_None);
    }

    /* The caller holds the channel, so this cannot be its last reference. */
    dequeue(ch, partner);
    assert(Py_REFCNT(ch) > 1);
    Py_DECREF(ch);
    slp_channel_check(ch);
    if (to_partner)
        slp_ring_insert(th, actor->next, partner);
    else if (SLP_LIKELY(partner->thread->tstate != NULL)) {
        slp_ring_append(partner->thread, partner);
        slp_idle_notify(partner->thread);
    }
    else {
        Py_DECREF(partner);   /* paused, for who takes it over; may run any code */
    }

    if (to_partner || to_next) {
        slp_set_tempval(actor, result);
        return slp_switch(th, actor->next, soft);
    }
    if (SLP_UNLIKELY(slp_bomb_check(result)) && dir == RECEIVING) {
        slp_bomb_explode(th->tstate, result);
        Py_DECREF(result);
        return NULL;
    }
    return result;
}

/* The current tasklet finds no partner and blocks.  Arguments and result as for transfer(). */
SPECIALISED PyObject *
block(slp_thread *th, PyChannelObject *ch, PyObject *value, enum direction dir, bool soft)
{
    PyTaskletObject *actor = th->current;
    PyTaskletObject *next = NULL;

    if (SLP_UNLIKELY(actor->flags.block_trap))
        PyErr_Format(PyExc_RuntimeError, "%s would block a tasklet whose block_trap is set",
                     dir == SENDING ? "send" : "receive");
    else if (SLP_UNLIKELY(ch->flags.closing))
        PyErr_Format(PyExc_ValueError, "%s would block on a channel that is closed",
                     dir == SENDING ? "send" : "receive");
    else
        next = slp_scheduler_successor(th, soft);
    if (SLP_UNLIKELY(next == NULL)) {
        Py_XDECREF(value);
        return NULL;
    }
    if (dir == SENDING)
        slp_set_tempval(actor, value);
    slp_ring_unlink(th, actor);
    enqueue(ch, actor, dir);
    slp_channel_check(ch);
    return slp_switch(th, next, soft);
}

/* Let the channel callback see what is about to happen.  What is to be sent (stolen; NULL if nothing is), it
 * finds in the tempval, and may change. */
SLP_COLD static PyObject *
show_to_callback(slp_thread *th, PyChannelObject *ch, PyObject *value, enum direction dir)
{
    PyTaskletObject *actor = th->current;
    slp_settle(actor);
    if (dir == SENDING)
        slp_set_tempval(actor, value);
    slp_call_channel_callback(th, (PyObject *)ch, dir == SENDING, ch->balance * dir >= 0);
    if (dir == SENDING) {
        value = actor->tempval;
        actor->tempval = Py_NewRef(Py_None);
    }
    return value;
}

/* Send `value` (stolen), or receive (value NULL). */
SPECIALISED PyObject *
act(slp_thread *th, PyChannelObject *ch, PyObject *value, enum direction dir, bool soft)
{
    if (SLP_UNLIKELY(th->watch & SLP_WATCH_CHANNELS))
        value = show_to_callback(th, ch, value, dir);
    for (;;) {
        slp_settle(th->current);
        if (ch->balance * dir >= 0)
            return block(th, ch, value, dir, soft);
        if (SLP_LIKELY(prepare_partner(ch)))
            return transfer(th, ch, value, dir, false, soft);
    }
}

/* act() for one direction, but only if that does not switch. */
SLP_COLD static int
try_to(slp_thread *th, PyChannelObject *ch, PyObject *value, enum direction dir, PyObject **result)
{
    bool shown = !(th->watch & SLP_WATCH_CHANNELS);
    Py_XINCREF(value);
    while (ch->balance * dir < 0) {
        if (!prepare_partner(ch))
            continue;
        if (shown) {
            *result = transfer(th, ch, value, dir, true, false);
            return *result != NULL ? 1 : -1;
        }
        value = show_to_callback(th, ch, value, dir);
        shown = true;
    }
    Py_XDECREF(value);
    return 0;
}

int
slp_channel_try(PyChannelObject *ch, PyObject *value, PyObject **received)
{
    bool soft;
    PyObject *result = NULL;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return -1;
    int status = value != NULL ? try_to(th, ch, value, SENDING, &result)
                               : try_to(th, ch, NULL, RECEIVING, &result);
    if (value != NULL)
        Py_XDECREF(result);
    else
        *received = result;
    return status;
}

/* --- methods that may switch --- */

PyDoc_STRVAR(send_doc,
"send($self, value, /)\n"
"--\n\n"
"Hand value to the tasklet that has waited longest in receive(), or block\n"
"until one comes.\n\n"
"Returns None.  A bomb as value raises its exception in the receiver.\n"
"RuntimeError if this would block and block_trap is set, or nothing else could\n"
"run (\"Deadlock: ...\"); ValueError if it would block and the channel is closed.\n\n"
"    ch.send(42)");

PyObject *
slp_channel_send(PyObject *self, PyObject *value)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    return act(th, (PyChannelObject *)self, Py_NewRef(value), SENDING, soft);
}

PyDoc_STRVAR(receive_doc,
"receive($self, /)\n"
"--\n\n"
"Take the value of the tasklet that has waited longest in send(), or block\n"
"until one comes.\n\n"
"Returns the value; raises the exception that was sent with send_exception()\n"
"or send_throw().  Other errors as for send().\n\n"
"    value = ch.receive()");

PyObject *
slp_channel_receive(PyObject *self, PyObject *noargs)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    return act(th, (PyChannelObject *)self, NULL, RECEIVING, soft);
}

PyDoc_STRVAR(send_exception_doc,
"send_exception($self, exc, /, *args)\n"
"--\n\n"
"Like send(), but the receiver raises exc(*args).\n\n"
"TypeError if exc is not an exception class.\n\n"
"    ch.send_exception(ValueError, \"bad input\")");

PyObject *
slp_channel_send_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "send_exception() needs an exception class");
        return NULL;
    }
    if (!PyExceptionClass_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "send_exception() argument 'exc' must be an exception class, not %R",
                     args[0]);
        return NULL;
    }
    PyObject *exc_args = _PyTuple_FromArray(args + 1, nargs - 1);
    if (exc_args == NULL)
        return NULL;
    PyObject *bomb = slp_bomb_from_class(args[0], exc_args);
    Py_DECREF(exc_args);
    return bomb != NULL ? act(th, (PyChannelObject *)self, bomb, SENDING, soft) : NULL;
}

PyDoc_STRVAR(send_throw_doc,
"send_throw($self, exc, val=None, tb=None, /)\n"
"--\n\n"
"Like send(), but the receiver raises the exception; the traceback is kept.\n\n"
"exc is an exception class with an optional value val, or an instance alone;\n"
"tb is a traceback or None.  TypeError for anything else.\n\n"
"    except Exception:\n"
"        ch.send_throw(*sys.exc_info())");

PyObject *
slp_channel_send_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    if (!_PyArg_CheckPositional("send_throw", nargs, 1, 3))
        return NULL;
    PyObject *bomb = slp_bomb_from_throw("send_throw", args[0], nargs > 1 ? args[1] : Py_None,
                                         nargs > 2 ? args[2] : Py_None);
    return bomb != NULL ? act(th, (PyChannelObject *)self, bomb, SENDING, soft) : NULL;
}

PyObject *
slp_channel_iternext(PyObject *self)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    PyChannelObject *ch = (PyChannelObject *)self;
    if (ch->flags.closing && ch->balance <= 0)
        return NULL;
    return act(th, ch, NULL, RECEIVING, soft);
}

PyDoc_STRVAR(next_doc,
"__next__($self, /)\n"
"--\n\n"
"Receive; StopIteration if the channel is closed and nobody sends.");

static PyObject *
channel_next(PyObject *self, PyObject *noargs)
{
    PyObject *result = slp_channel_iternext(self);
    if (result == NULL && !PyErr_Occurred())
        PyErr_SetNone(PyExc_StopIteration);
    return result;
}

/* --- opening and closing --- */

PyDoc_STRVAR(close_doc,
"close($self, /)\n"
"--\n\n"
"Let nobody block here any more: an operation that would, raises ValueError.\n\n"
"Those who wait already go on waiting, and can be served.  Iteration ends when\n"
"no sender is left.  See open(), closing, closed.");

static PyObject *
channel_close(PyObject *self, PyObject *noargs)
{
    ((PyChannelObject *)self)->flags.closing = 1;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(open_doc,
"open($self, /)\n"
"--\n\n"
"Undo close().");

static PyObject *
channel_open(PyObject *self, PyObject *noargs)
{
    ((PyChannelObject *)self)->flags.closing = 0;
    Py_RETURN_NONE;
}

/* --- attributes --- */

static PyObject *
get_balance(PyObject *self, void *closure)
{
    return PyLong_FromLong(((PyChannelObject *)self)->balance);
}

static PyObject *
get_queue(PyObject *self, void *closure)
{
    PyTaskletObject *head = ((PyChannelObject *)self)->head;
    return Py_NewRef(head != NULL ? (PyObject *)head : Py_None);
}

static PyObject *
get_closing(PyObject *self, void *closure)
{
    return PyBool_FromLong(((PyChannelObject *)self)->flags.closing);
}

static PyObject *
get_closed(PyObject *self, void *closure)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    return PyBool_FromLong(ch->flags.closing && ch->balance == 0);
}

/* The int `value` of attribute `name`, clamped to low..high; -2 with TypeError. */
static int
clamped_int(PyObject *value, const char *name, int low, int high)
{
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "channel.%s cannot be deleted", name);
        return -2;
    }
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "channel.%s must be an int, not %.200s", name, Py_TYPE(value)->tp_name);
        return -2;
    }
    int overflow;
    long n = PyLong_AsLongAndOverflow(value, &overflow);
    if (overflow != 0)
        n = overflow;
    return n < low ? low : n > high ? high : (int)n;
}

static PyObject *
get_preference(PyObject *self, void *closure)
{
    return PyLong_FromLong(((PyChannelObject *)self)->flags.preference);
}

static int
set_preference(PyObject *self, PyObject *value, void *closure)
{
    int preference = clamped_int(value, "preference", -1, 1);
    if (preference == -2)
        return -1;
    ((PyChannelObject *)self)->flags.preference = preference;
    return 0;
}

static PyObject *
get_schedule_all(PyObject *self, void *closure)
{
    return PyLong_FromLong(((PyChannelObject *)self)->flags.schedule_all);
}

static int
set_schedule_all(PyObject *self, PyObject *value, void *closure)
{
    int all = clamped_int(value, "schedule_all", -1, 1);
    if (all == -2)
        return -1;
    ((PyChannelObject *)self)->flags.schedule_all = all != 0;
    return 0;
}

/* --- the object --- */

static PyObject *
channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyChannelObject *ch = (PyChannelObject *)type->tp_alloc(type, 0);
    if (ch != NULL)
        ch->flags.preference = -1;
    return (PyObject *)ch;
}

/* Extra arguments are for the __init__ of subclasses. */
static int
channel_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return 0;
}

static int
channel_traverse(PyObject *self, visitproc visit, void *arg)
{
    for (PyTaskletObject *t = ((PyChannelObject *)self)->head; t != NULL; t = t->next)
        Py_VISIT(t);
    return 0;
}

/* Let go of all who wait: they are paused then. */
static int
channel_clear(PyObject *self)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    Py_INCREF(ch);
    while (ch->head != NULL) {
        PyTaskletObject *t = ch->head;
        dequeue(ch, t);
        Py_DECREF(ch);
        Py_DECREF(t);
    }
    Py_DECREF(ch);
    return 0;
}

static void
channel_dealloc(PyObject *self)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    PyObject_GC_UnTrack(self);
    /* Whoever waits holds the channel. */
    assert(ch->head == NULL && ch->balance == 0);
    if (ch->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
channel_repr(PyObject *self)
{
    PyChannelObject *ch = (PyChannelObject *)self;
    return PyUnicode_FromFormat("<%s object at %p balance=%d%s>", Py_TYPE(self)->tp_name, self,
                                ch->balance, ch->flags.closing ? " closing" : "");
}

static PyMethodDef channel_methods[] = {
    {"send", slp_channel_send, METH_O | SLP_METH_STACKLESS, send_doc},
    {"receive", slp_channel_receive, METH_NOARGS | SLP_METH_STACKLESS, receive_doc},
    {"send_exception", _PyCFunction_CAST(slp_channel_send_exception), METH_FASTCALL | SLP_METH_STACKLESS,
     send_exception_doc},
    {"send_throw", _PyCFunction_CAST(slp_channel_send_throw), METH_FASTCALL | SLP_METH_STACKLESS,
     send_throw_doc},
    {"send_sequence", slp_channel_send_sequence, METH_O, slp_send_sequence_doc},
    /* A slot wrapper would be called without an offer. */
    {"__next__", channel_next, METH_NOARGS | METH_COEXIST | SLP_METH_STACKLESS, next_doc},
    {"close", channel_close, METH_NOARGS, close_doc},
    {"open", channel_open, METH_NOARGS, open_doc},
    {"__reduce__", slp_channel_reduce, METH_NOARGS, slp_channel_reduce_doc},
    {"__setstate__", slp_channel_setstate, METH_O, slp_channel_setstate_doc},
    {NULL},
};

static PyGetSetDef channel_getset[] = {
    {"balance", get_balance, NULL, "number of waiting senders, or minus the number of waiting receivers"},
    {"queue", get_queue, NULL, "the tasklet that waits longest, or None; the others follow by its next"},
    {"closing", get_closing, NULL, "close() was called"},
    {"closed", get_closed, NULL, "close() was called and nobody waits"},
    {"preference", get_preference, set_preference,
     "who runs after a transfer: -1 the receiver (default), 1 the sender, 0 whoever made it happen"},
    {"schedule_all", get_schedule_all, set_schedule_all,
     "not 0: after a transfer the next tasklet of the queue runs, whatever preference says"},
    {NULL},
};

PyDoc_STRVAR(channel_doc,
"channel()\n"
"--\n\n"
"A meeting point where tasklets hand over values, one at a time and without a\n"
"buffer: whoever comes first waits.\n\n"
"Arguments are ignored, so that subclasses can have their own.  Iterating\n"
"means receiving, until a StopIteration is received or the channel is closed\n"
"and nobody sends.\n\n"
"    ch = channel()\n"
"    tasklet(ch.send)(42)\n"
"    ch.receive()  # 42");

PyTypeObject PyChannel_Type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless.channel",
    .tp_basicsize = sizeof(PyChannelObject),
    .tp_dealloc = channel_dealloc,
    .tp_repr = channel_repr,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = channel_doc,
    .tp_traverse = channel_traverse,
    .tp_clear = channel_clear,
    .tp_weaklistoffset = offsetof(PyChannelObject, weakrefs),
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = slp_channel_iternext,
    .tp_methods = channel_methods,
    .tp_getset = channel_getset,
    .tp_init = channel_init,
    .tp_alloc = PyType_GenericAlloc,
    .tp_new = channel_new,
    .tp_free = PyObject_GC_Del,
};
