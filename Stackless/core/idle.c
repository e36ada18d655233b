/* Sleeping while a thread has no runnable tasklet (slp_idle.h).
 *
 * Threads that end notify the sleepers, if they ever used a tasklet.  Those that did not cannot; while there
 * are any, a sleeper looks again at growing intervals; so it does while it holds something for a collection
 * that another thread is about to finish.
 *
 * Rejected: to sleep in the function that blocks.  Its tasklet has left the ring by then, so that the ring
 * would have no head while other threads add to it, and signal handlers would run as nobody.
 */
#include "slp_idle.h"

#include "slp_bomb.h"
#include "slp_scheduler.h"
#include "slp_shims.h"

/* How long a sleeper waits before it looks again, in microseconds: at first, at most. */
#define FIRST_LOOK  20000
#define LAST_LOOK 1000000

/* --- who else is there --- */

bool
slp_idle_others_can_run(slp_thread *th)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(th->tstate->interp);
    for (; p != NULL; p = PyThreadState_Next(p)) {
        slp_thread *other = slp_thread_peek(p);
        if (p != th->tstate && (other == NULL || !other->asleep || other->naps)) {
            return true;
        }
    }
    return false;
}

bool
slp_idle_has_others(slp_thread *th)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(th->tstate->interp);
    return p != th->tstate || PyThreadState_Next(p) != NULL;
}

/* Is there a thread whose end would not be noticed? */
static bool
has_unknown_threads(slp_thread *th)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(th->tstate->interp);
    for (; p != NULL; p = PyThreadState_Next(p)) {
        if (slp_thread_peek(p) == NULL) {
            return true;
        }
    }
    return false;
}

void
slp_idle_look_again(PyInterpreterState *interp)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(interp);
    for (; p != NULL; p = PyThreadState_Next(p)) {
        slp_thread *th = slp_thread_peek(p);
        if (th != NULL) {
            slp_idle_notify(th);
        }
    }
}

/* --- what is seen of it --- */

/* Whoever asks for the frames of a thread that sleeps (sys._current_frames(), a signal handler, a debugger
 * in there) finds those of the waker below the idle tasklet's only one.  They are there as long as it is
 * the waker and nobody runs. */
static void
show_waker(slp_thread *th)
{
    _PyInterpreterFrame *base = th->tstate->cframe->current_frame;
    assert(th->current->flags.idle && slp_is_shim(base) && base->previous == NULL && th->shown_above == NULL);
    base->previous = slp_scheduler_waker(th)->frame;
    th->shown_above = base;
}

void
slp_idle_hide_waker(slp_thread *th)
{
    th->shown_above->previous = NULL;
    th->shown_above = NULL;
}

void
slp_idle_left(PyTaskletObject *t)
{
    if (t->thread->shown_above != NULL) {
        slp_idle_hide_waker(t->thread);
    }
    t->flags.idle = 0;
}

/* The context of the waker: a new reference; NULL without memory, and no exception. */
static PyObject *
context_of(PyTaskletObject *waker)
{
    PyObject *context = slp_share_context(slp_context_slot(waker));
    if (context == NULL) {
        PyErr_Clear();
    }
    return context;
}

/* `me` was a signal handler that has switched, and sleeps again.  May run any code. */
static void
fall_asleep_again(slp_thread *th, PyTaskletObject *me)
{
    PyThreadState *tstate = th->tstate;
    me->flags.idle = 1;
    if (me->extra != NULL) {
        Py_CLEAR(me->extra->slept);
    }
    PyObject *old = tstate->context;
    tstate->context = context_of(slp_scheduler_waker(th));
    tstate->context_ver++;
    Py_XDECREF(old);
}

/* --- the sleep --- */

void
slp_idle_wake(slp_thread *th)
{
    assert(th->asleep && th->tstate != NULL);
    th->asleep = false;
    PyThread_release_lock(th->bell);
}

/* The lock that sleepers wait for, locked.  -1 with MemoryError. */
static int
make_bell(slp_thread *th)
{
    if (th->bell == NULL) {
        th->bell = PyThread_allocate_lock();
        if (th->bell == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        PyThread_acquire_lock(th->bell, WAIT_LOCK);
    }
    return 0;
}

/* Sleep until woken, for so many microseconds at most (-1: for ever).  -1 with what a signal handler
 * raised. */
static int
sleep_for(slp_thread *th, PY_TIMEOUT_T microseconds)
{
    PyLockStatus status;
    show_waker(th);
    th->asleep = true;
    Py_BEGIN_ALLOW_THREADS
    status = PyThread_acquire_lock_timed(th->bell, microseconds, 1);
    Py_END_ALLOW_THREADS
    if (status != PY_LOCK_ACQUIRED && !th->asleep) {
        /* Woken at the same time: the lock is free, or about to be. */
        PyThread_acquire_lock(th->bell, WAIT_LOCK);
    }
    th->asleep = false;
    int result = Py_MakePendingCalls();
    if (th->shown_above != NULL) {
        slp_idle_hide_waker(th);
    }
    return result;
}

/* The microseconds that are left for a run(max_seconds=..., threadblock=True) that would go on if this thread
 * slept no longer; 0: none, -1: there is no such run(). */
static PY_TIMEOUT_T
time_left(slp_thread *th)
{
    slp_watchdog *wd = &th->watchdog;
    if (wd->caller == NULL || wd->caller != th->runners || wd->deadline == 0) {
        return -1;
    }
    int64_t left = wd->deadline - slp_alarm_now();
    return left > 0 ? (PY_TIMEOUT_T)(left / 1000 + 1) : 0;
}

/* May `me` sleep?  Signal handlers may have changed all that this depends on. */
static bool
has_to_sleep(slp_thread *th, PyTaskletObject *me)
{
    slp_thread_drop_survivors(th);
    while (!me->flags.idle) {
        fall_asleep_again(th, me);
    }
    return me->next == me && slp_scheduler_waker_stays(th) && slp_idle_others_can_run(th);
}

/* The function of an idle tasklet. */
static PyObject *
idle(PyObject *self, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL || make_bell(th) < 0) {
        return NULL;
    }
    PyTaskletObject *me = th->current;
    PY_TIMEOUT_T look = FIRST_LOOK;
    while (has_to_sleep(th, me)) {
        PY_TIMEOUT_T left = time_left(th);
        if (left == 0) {
            break;
        }
        PY_TIMEOUT_T limit = has_unknown_threads(th) || th->survivors != NULL ? look : -1;
        th->naps = left > 0;
        int status = sleep_for(th, left > 0 && (limit < 0 || left < limit) ? left : limit);
        th->naps = false;
        if (status < 0) {
            /* The waker gets it, unless the handler has switched and was killed since. */
            me->flags.idle |= !PyErr_ExceptionMatches(SLP_TASKLET_EXIT);
            return NULL;
        }
        look = Py_MIN(2 * look, LAST_LOOK);
    }
    Py_RETURN_NONE;
}

static PyMethodDef idle_method = {"idle", idle, METH_NOARGS, NULL};

PyTaskletObject *
slp_idle_start(slp_thread *th, PyTaskletObject *waker)
{
    /* The collector would run any code. */
    int collecting = PyGC_Disable();
    PyTaskletObject *t = slp_tasklet_new_plain(th);
    PyObject *function = PyCFunction_New(&idle_method, NULL);
    PyObject *noargs = PyTuple_New(0);
    int error = -1;
    if (t != NULL && function != NULL && noargs != NULL) {
        t->flags.idle = 1;
        t->context = context_of(waker);
        if (th->watch & SLP_WATCH_SCHEDULE) {
            slp_tasklet_extra *extra = slp_tasklet_get_extra(t);
            if (extra != NULL) {
                extra->slept = (PyTaskletObject *)Py_NewRef(th->current);
            }
        }
        error = slp_tasklet_make_stack(t, function, noargs, NULL);
    }
    Py_XDECREF(function);
    Py_XDECREF(noargs);
    if (collecting) {
        PyGC_Enable();
    }
    if (error < 0) {
        Py_XDECREF(t);
        PyErr_NoMemory();
        return NULL;
    }
    slp_ring_insert(th, th->current, t);
    return t;
}
