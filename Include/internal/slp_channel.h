/* The channel object: a queue of tasklets that wait to send, or to receive.
 *
 *      balance = 2, two senders:
 *
 *      head ──> tasklet ──next──> tasklet <── tail      prev of the head and next of the tail
 *                       <──prev──                       are NULL
 *
 * Invariants (slp_channel_check asserts them)
 *  1. All members wait in the same direction: `flags.blocked` of each is the sign of `balance`,
 *     and |balance| is their number.
 *  2. The channel owns one reference to each member, and each member one to the channel: a
 *     channel that only a blocked tasklet knows stays alive with it.  The collector sees both.
 *  3. Members may belong to different threads.
 */
#ifndef SLP_CHANNEL_H
#define SLP_CHANNEL_H

#include "slp_tasklet.h"

struct PyChannelObject {
    PyObject_HEAD
    PyTaskletObject *head;             /* waits longest; strong, as all members are */
    PyTaskletObject *tail;
    PyObject *weakrefs;
    int balance;                       /* > 0: so many senders wait; < 0: receivers */
    struct {
        signed int preference : 2;     /* who runs after a transfer: -1 receiver, +1 sender, 0 the actor */
        unsigned int schedule_all : 1; /* neither: the next in the queue; overrides preference */
        unsigned int closing : 1;      /* what would block raises ValueError */
    } flags;
};

/* Make the bomb for receivers that are passed over.  -1 with an exception. */
int slp_channel_init(void);

/* The methods of channels that may switch.  Each takes an offer. */
PyObject *slp_channel_send(PyObject *channel, PyObject *value);
PyObject *slp_channel_receive(PyObject *channel, PyObject *noargs);
PyObject *slp_channel_send_exception(PyObject *channel, PyObject *const *args, Py_ssize_t nargs);
PyObject *slp_channel_send_throw(PyObject *channel, PyObject *const *args, Py_ssize_t nargs);

/* Send `value` to who waits for one, or, if it is NULL, receive from who waits into *received.  Never
 * switches.  1: done; 0: nobody waits; -1 with an exception. */
int slp_channel_try(PyChannelObject *channel, PyObject *value, PyObject **received);

/* tp_iternext of channels: receive.  NULL without an exception, or with StopIteration, ends the
 * iteration.  Takes an offer; may return SLP_UNWIND, and then a StopIteration that the tasklet
 * finds in its tempval when it resumes ends the iteration, too. */
PyObject *slp_channel_iternext(PyObject *channel);

/* Take a blocked tasklet out of its channel, which gives up its reference: the caller gets it.
 * The tasklet is paused then.  Its reference to the channel goes to *channel, to be released
 * when that may run arbitrary code. */
void slp_channel_unlink(PyTaskletObject *t, PyChannelObject **channel);

/* Let `t`, which is alive and in no chain, wait at the end of the queue: direction 1 to send, -1 to receive.
 * The other members wait in the same direction. */
void slp_channel_restore(PyChannelObject *ch, PyTaskletObject *t, int direction);

/* Assert the invariants above; empty in builds without assertions. */
#ifdef NDEBUG
#  define slp_channel_check(ch) ((void)0)
#else
void slp_channel_check(PyChannelObject *ch);
#endif

#endif
