/* Pinned tasklets that nobody refers to any more: they are killed, since their C frames cannot be dropped.
 *
 * A soft tasklet is freed silently.  The C functions of a pinned one hold references, locks and memory;
 * they let go when an exception passes through them.  So TaskletExit is raised inside, a few times if it is
 * caught; a tasklet that refuses to die is kept for ever, in gc.garbage.  Where its thread cannot switch to
 * it at once (another one has dropped the last reference, or a callback runs), it is killed at its next
 * turn.
 *
 *             last reference,      killed at once
 *     pinned ─────────────────┬──────────────────────> dead
 *       ^      or garbage     │ later, or it refuses
 *       │                     v
 *       └──────────────────  kept    holds a reference to itself, which no collection finds
 *          it runs
 *
 * The collector finalizes an object once only, and clears what survivors of the same cycle hold.  That
 * reference makes a survivor safe, until it runs.  When it begins to wait again, its finalizer is due again;
 * and if the same collection is still under way, which may not ask again, its thread holds it until that is
 * over (th->survivors).
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
raise_exit(slp_thread *th, PyTaskletObject *t)
{
    PyTaskletObject *current = th->current;
    slp_settle(current);
    PyObject *bomb = slp_bomb_exit();
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

/* --- keeping --- */

static void
keep(PyTaskletObject *t)
{
    if (!t->flags.kept) {
        t->flags.kept = 1;
        Py_INCREF(t);
    }
}

void
slp_pinned_release(PyTaskletObject *t)
{
    assert(t->flags.kept && Py_REFCNT(t) > 1);
    t->flags.kept = 0;
    Py_DECREF(t);
}

/* It has refused to die. */
static void
keep_for_ever(PyTaskletObject *t)
{
    PyObject *garbage = PyThreadState_Get()->interp->gc.garbage;
    keep(t);
    if (garbage == NULL || PyList_Append(garbage, (PyObject *)t) < 0) {
        PyErr_Clear();
    }
}

void
slp_pinned_begin_again(PyTaskletObject *t)
{
    PyGC_Head *head = _Py_AS_GC(t);
    slp_thread *th = t->thread;
    if (slp_pinned_finalizes(t)) {
        head->_gc_prev &= ~_PyGC_PREV_MASK_FINALIZED;
    }
    if (head->_gc_prev & _PyGC_PREV_MASK_COLLECTING) {
        /* Garbage of the collection under way, which may have finalized it already. */
        if (th->survivors == NULL) {
            th->survivors = PyList_New(0);
        }
        if (th->survivors == NULL || PyList_Append(th->survivors, (PyObject *)t) < 0) {
            PyErr_Clear();
            keep(t);
        }
        _PyEval_SignalAsyncExc(th->tstate->interp);
    }
}

void
slp_thread_drop_survivors(slp_thread *th)
{
    if (!th->tstate->interp->gc.collecting) {
        Py_CLEAR(th->survivors);
    }
}

/* Let its thread kill it when its turn comes. */
static void
kill_later(PyTaskletObject *t)
{
    PyObject *bomb = slp_bomb_exit();
    keep(t);
    if (bomb == NULL) {
        PyErr_Clear();   /* at the end of its thread, then */
        return;
    }
    slp_tasklet_arm(t, bomb);
}

/* --- killing one --- */

/* Kill it, which belongs to the calling thread.  False: it has refused. */
static bool
kill_now(slp_thread *th, PyTaskletObject *t)
{
    for (int i = 0; t->flags.pinned && t->thread == th && i < ATTEMPTS; i++) {
        if (raise_exit(th, t) < 0) {
            PyErr_WriteUnraisable((PyObject *)t);
        }
    }
    return !t->flags.pinned || t->thread != th;
}

void
slp_pinned_finalize(PyObject *self)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (!t->flags.pinned || t->flags.is_main || t->flags.kept || t->thread->tstate == NULL) {
        return;
    }
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (t->thread != th || slp_check_switch(th, false) < 0) {
        PyErr_Clear();
        kill_later(t);
    }
    else if (!kill_now(th, t)) {
        keep_for_ever(t);
    }
    PyErr_Restore(type, value, traceback);
}

/* --- the end of a thread --- */

/* The same, and let it come to its end.  False: it has refused. */
static bool
end_one(slp_thread *th, PyTaskletObject *t)
{
    bool killed = kill_now(th, t);
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
    return killed;
}

static bool
is_listed(PyObject *list, PyObject *t)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (PyList_GET_ITEM(list, i) == t) {
            return true;
        }
    }
    return false;
}

/* Kill those of the list that have not been given up: those are in `garbage`.  False: there was none. */
static bool
end_listed(slp_thread *th, PyObject *list, PyObject *garbage)
{
    bool killed = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *t = PyList_GET_ITEM(list, i);
        if (!is_listed(garbage, t)) {
            killed = true;
            if (!end_one(th, (PyTaskletObject *)t)) {
                keep_for_ever((PyTaskletObject *)t);
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
    bool killed = true;
    /* What they do when they end may pin further ones. */
    for (int i = 0; i < ATTEMPTS && killed; i++) {
        PyObject *list = slp_carrier_list_pinned(th);
        slp_scheduler_pause_others(th);
        killed = list != NULL && end_listed(th, list, garbage);
        Py_XDECREF(list);
    }
    slp_scheduler_pause_others(th);
    Py_DECREF(garbage);
    th->ender = NULL;
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

void
slp_pinned_forget(PyTaskletObject *t)
{
    assert(t->flags.pinned);
    if (t->flags.kept) {
        slp_pinned_release(t);
    }
    slp_carrier_abandon(t->carrier);
    t->flags.pinned = 0;
    t->stack_top = NULL;
    t->frame = NULL;
    t->chunk = NULL;
    t->exc_info = NULL;
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
