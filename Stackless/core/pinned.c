/* Pinned tasklets that nobody refers to any more: they are killed, since their C frames cannot be dropped.
 *
 * A soft tasklet is freed silently.  The C functions of a pinned one hold references, locks and memory; they
 * let go when an exception passes through them.  So TaskletExit is raised inside, a few times if it is
 * caught; a tasklet that refuses to die is kept for ever, in gc.garbage.
 *
 * The same is done to all pinned tasklets of a thread that ends, and of the thread that ends an interpreter,
 * while Python code can still run.
 */
#include "slp_bomb.h"
#include "slp_channel.h"
#include "slp_scheduler.h"

#define ATTEMPTS 10

/* So many turns it gets then to come to its end. */
#define TURNS 100

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
    if (!t->flags.pinned || t->thread != th) {
        Py_DECREF(bomb);   /* that has run any code, and ended it */
        return 0;
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
slp_pinned_keep(PyTaskletObject *t)
{
    PyObject *garbage = PyThreadState_Get()->interp->gc.garbage;
    if (garbage == NULL || PyList_Append(garbage, (PyObject *)t) < 0) {
        PyErr_Clear();
    }
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
    if (t->flags.pinned && t->thread == th) {
        slp_pinned_keep(t);
    }
    PyErr_Restore(type, value, traceback);
}

void
slp_pinned_forget(PyTaskletObject *t)
{
    assert(t->flags.pinned);
    slp_carrier_abandon(t->carrier);
    t->flags.pinned = 0;
    t->stack_top = NULL;
    t->frame = NULL;
    t->chunk = NULL;
    t->exc_info = NULL;
}

/* Kill a pinned tasklet of this thread.  False: it has refused. */
static bool
end_one(slp_thread *th, PyTaskletObject *t)
{
    for (int i = 0; t->flags.pinned && t->thread == th && i < ATTEMPTS; i++) {
        if (raise_exit(th, t, SLP_TASKLET_EXIT) < 0) {
            PyErr_WriteUnraisable((PyObject *)t);
        }
    }
    /* Its C functions are gone, but what it does at its end may take a few turns. */
    for (int i = 0; !t->flags.pinned && t->thread == th && t->next != NULL && !t->flags.blocked
                    && i < TURNS; i++) {
        slp_settle(th->current);
        PyObject *result = NULL;
        if (slp_check_switch(th, false) < 0
            || (result = slp_switch(th, t, false)) == NULL) {
            PyErr_WriteUnraisable((PyObject *)t);
            break;
        }
        Py_DECREF(result);
    }
    return !t->flags.pinned || t->thread != th;
}

/* Kill those of the list that are not in `garbage` already, and put them there if they refuse.  -1 with
 * MemoryError, 0 if there was none to kill. */
static int
end_listed(slp_thread *th, PyObject *list, PyObject *garbage)
{
    int killed = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *t = PyList_GET_ITEM(list, i);
        int known = PySequence_Contains(garbage, t);
        if (known < 0) {
            return -1;
        }
        if (!known) {
            killed = 1;
            if (!end_one(th, (PyTaskletObject *)t) && PyList_Append(garbage, t) < 0) {
                return -1;
            }
        }
    }
    return killed;
}

void
slp_pinned_end_all(slp_thread *th)
{
    PyObject *garbage = th->tstate->interp->gc.garbage;
    if (!th->has_carriers || th->ender != NULL || garbage == NULL) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    th->switch_trap = 0;
    th->watch &= ~SLP_WATCH_TRAP;
    th->ender = th->current;
    Py_INCREF(garbage);
    int killed = 1;
    /* What they do when they end may pin further ones. */
    for (int i = 0; i < ATTEMPTS && killed > 0; i++) {
        slp_scheduler_pause_others(th);
        PyObject *list = slp_carrier_list_pinned(th);
        killed = list != NULL ? end_listed(th, list, garbage) : -1;
        Py_XDECREF(list);
    }
    slp_scheduler_pause_others(th);
    Py_DECREF(garbage);
    th->ender = NULL;
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

void
slp_pinned_forget_all(slp_thread *th)
{
    if (!th->has_carriers) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *list = slp_carrier_list_pinned(th);
    for (Py_ssize_t i = 0; list != NULL && i < PyList_GET_SIZE(list); i++) {
        PyTaskletObject *t = (PyTaskletObject *)PyList_GET_ITEM(list, i);
        if (t->flags.blocked) {
            PyChannelObject *channel;
            slp_channel_unlink(t, &channel);
            Py_DECREF(channel);
            Py_DECREF(t);
        }
        if (t->flags.pinned) {
            slp_pinned_forget(t);
        }
    }
    Py_XDECREF(list);
    PyErr_Restore(type, value, traceback);
}
