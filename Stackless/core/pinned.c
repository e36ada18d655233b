/* Pinned tasklets that nobody refers to any more: they are killed, since their C frames cannot be dropped.
 *
 * A soft tasklet is freed silently.  The C functions of a pinned one hold references, locks and memory; they
 * let go when an exception passes through them.  So TaskletExit is raised inside, a few times if it is
 * caught; a tasklet that refuses to die is kept for ever, in gc.garbage.
 */
#include "slp_bomb.h"
#include "slp_channel.h"
#include "slp_scheduler.h"

#define ATTEMPTS 10

/* Raise TaskletExit in it, and come back when it has ended or blocked.  -1 with an exception. */
static int
raise_exit(slp_thread *th, PyTaskletObject *t, PyObject *exit)
{
    PyTaskletObject *current = th->current;
    slp_settle(current);
    PyObject *none = PyTuple_New(0);
    PyObject *bomb = none != NULL ? slp_bomb_from_class(exit, none) : NULL;
    Py_XDECREF(none);
    if (bomb == NULL || slp_check_switch(th, false) < 0) {
        Py_XDECREF(bomb);
        return -1;
    }
    PyObject *displaced = t->tempval;
    t->tempval = bomb;
    PyChannelObject *channel = NULL;
    if (t->flags.blocked) {
        slp_channel_unlink(t, &channel);
        slp_ring_insert(th, current, t);
    }
    else if (t->next == NULL) {
        slp_scheduler_wake(t, current);
    }
    PyObject *result = slp_switch(th, t, false);
    Py_XDECREF(channel);
    Py_DECREF(displaced);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

void
slp_pinned_finalize(PyObject *self)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    if (!t->flags.pinned || t->flags.is_main || t->thread != th || th == NULL) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    for (int i = 0; t->flags.pinned && i < ATTEMPTS; i++) {
        if (raise_exit(th, t, SLP_TASKLET_EXIT) < 0) {
            PyErr_WriteUnraisable(self);
        }
    }
    PyErr_Restore(type, value, traceback);
}

void
slp_pinned_forget(PyTaskletObject *t)
{
    assert(t->flags.pinned);
    t->flags.pinned = 0;
    t->stack_top = NULL;
    t->frame = NULL;
    t->chunk = NULL;
    t->exc_info = NULL;
}
