/* The scheduler: the run queue of a thread, run(), schedule(), and what happens when a tasklet ends
 * or nothing is left to run (slp_scheduler.h).
 *
 *   event                    current tasklet          who runs next           [function]
 *   schedule()               stays, now the last      next in the ring        [slp_scheduler_schedule]
 *   schedule_remove()        paused                   next, else the waker    [slp_scheduler_schedule_remove]
 *   run()                    on the list of runners   next; returns if alone  [slp_scheduler_run]
 *   is interrupted           paused                   the caller of run()     [slp_watchdog_interrupt]
 *   blocks on a channel      in the channel's queue   next, else the waker    [slp_scheduler_successor]
 *   ends                     dead                     next, else the waker    [slp_scheduler_ended]
 *   ends with an exception   dead                     the waker, who gets it  [slp_scheduler_ended]
 *
 * Of the exceptions, TaskletExit is silent; SystemExit is, but on the main thread; the error handler, if one
 * is set, is asked about all others.  What a signal handler has raised while the thread slept is none of a
 * tasklet that ends: the waker gets it in any case.
 *
 * Budget: schedule() spends 5 ns here (Tools/bench).
 */
#include "slp_scheduler.h"

#include "slp_bomb.h"
#include "slp_callbacks.h"
#include "slp_channel.h"
#include "slp_idle.h"
#include "slp_module.h"

/* What a main tasklet gets that waits for a partner when everybody else has gone: receiving, sending. */
static PyObject *main_blocked_bombs[2];
static const char *const main_blocked_texts[2] = {
    "the main tasklet is receiving without a sender available.",
    "the main tasklet is sending without a receiver available.",
};
/* The same where the other threads sleep as well. */
static const char *const all_blocked_texts[2] = {
    "Deadlock: all threads wait; the main tasklet is receiving without a sender available.",
    "Deadlock: all threads wait; the main tasklet is sending without a receiver available.",
};

int
slp_scheduler_init(void)
{
    for (int i = 0; i < 2; i++) {
        if (main_blocked_bombs[i] == NULL)
            main_blocked_bombs[i] = slp_bomb_forever(PyExc_RuntimeError, main_blocked_texts[i]);
        if (main_blocked_bombs[i] == NULL)
            return -1;
    }
    return 0;
}

#ifndef NDEBUG
/* Longer rings are checked at their head only, to keep debug builds from crawling. */
#define CHECKED_RING 64

void
slp_scheduler_check(slp_thread *th)
{
    PyTaskletObject *head = slp_ring_head(th), *t = head;
    int seen = 0;
    do {
        assert(t->thread == th && t->next != NULL && t->prev != NULL);
        assert(t->next->prev == t && t->prev->next == t);
        assert(!t->flags.blocked && !t->flags.waits_in_run && t->channel == NULL);
        assert(t == head || slp_tasklet_alive(t));
        t = t->next;
        seen++;
    } while (t != head && seen < CHECKED_RING);
    assert(t != head || seen == th->runcount);
    for (t = th->runners; t != NULL; t = t->runner_below) {
        assert(t->flags.waits_in_run && !slp_in_chain(t) && t->thread == th);
    }
}
#endif

void
slp_scheduler_refuse_pending(slp_thread *th)
{
    PyErr_SetString(PyExc_RuntimeError, th->watch & SLP_WATCH_IN_CALLBACK
                                            ? "cannot switch tasklets, nor use channels, inside a callback"
                                            : "cannot switch tasklets while a switch is under way");
}

void
slp_scheduler_settle(PyTaskletObject *t)
{
    Py_INCREF(t);
    /* The code that runs may leave another value there. */
    while (t->tempval != Py_None) {
        PyObject *old = t->tempval;
        t->tempval = Py_NewRef(Py_None);
        Py_DECREF(old);
    }
    Py_DECREF(t);
}

/* --- waking --- */

/* Take the innermost caller of run() off the list; the list's reference passes to the caller. */
static PyTaskletObject *
pop_runner(slp_thread *th)
{
    PyTaskletObject *t = th->runners;
    if (SLP_UNLIKELY(th->shown_above != NULL))
        slp_idle_hide_waker(th);
    th->runners = t->runner_below;
    t->runner_below = NULL;
    t->flags.waits_in_run = 0;
    t->flags.threadblock = 0;
    if (SLP_UNLIKELY(t == th->watchdog.caller))
        slp_watchdog_off(th);
    return t;
}

void
slp_scheduler_wake(PyTaskletObject *t, PyTaskletObject *where)
{
    slp_thread *th = t->thread;
    assert(th->tstate != NULL);
    if (t->flags.waits_in_run) {
        while (th->runners != t)
            slp_ring_append(th, pop_runner(th));
        slp_ring_insert(th, where, pop_runner(th));
    }
    else {
        slp_ring_insert(th, where, (PyTaskletObject *)Py_NewRef(t));
    }
    slp_idle_notify(th);
}

/* Raise the RuntimeError for a tasklet that cannot be blocked, since nobody else could run. */
SLP_COLD static void
raise_deadlock(slp_thread *th)
{
    const char *first = slp_idle_has_others(th)
                            ? "Deadlock: the last runnable tasklet of all threads cannot be blocked."
                            : "Deadlock: the last runnable tasklet cannot be blocked.";
    PyObject *text = slp_deadlock_text(th, first);
    if (text != NULL)
        PyErr_SetObject(PyExc_RuntimeError, text);
    else
        PyErr_SetString(PyExc_RuntimeError, first);
    Py_XDECREF(text);
}

PyTaskletObject *
slp_scheduler_waker_for(slp_thread *th, bool soft)
{
    PyTaskletObject *current = th->current;
    PyTaskletObject *next = slp_scheduler_waker(th);
    if (slp_scheduler_waker_stays(th)) {
        if (!slp_idle_others_can_run(th)) {
            raise_deadlock(th);
            return NULL;
        }
        return slp_check_switch(th, soft) < 0 ? NULL : slp_idle_start(th, next);
    }
    if (slp_check_switch(th, soft) < 0)
        return NULL;
    slp_scheduler_wake(next, current);
    return next;
}

/* --- the end of a tasklet --- */

/* A bomb for a main tasklet that waits for ever; says who else does, where there is memory for that. */
SLP_COLD static PyObject *
main_blocked_bomb(slp_thread *th, bool sending)
{
    PyObject *bomb = NULL;
    PyObject *text = slp_deadlock_text(th, (slp_idle_has_others(th) ? all_blocked_texts
                                                                : main_blocked_texts)[sending]);
    PyObject *args = text != NULL ? PyTuple_Pack(1, text) : NULL;
    if (args != NULL)
        bomb = slp_bomb_from_class(PyExc_RuntimeError, args);
    Py_XDECREF(args);
    Py_XDECREF(text);
    PyErr_Clear();
    return bomb != NULL ? bomb : Py_NewRef(main_blocked_bombs[sending]);
}

/* Make the waker runnable and hand it `bomb` (stolen; NULL: none, unless it must hear of a
 * deadlock).  Returns it, borrowed; NULL: it has gone on already. */
static PyTaskletObject *
hand_over(slp_thread *th, PyObject *bomb)
{
    PyTaskletObject *w = slp_scheduler_waker(th);
    PyObject *displaced = NULL, *deadlock = NULL;
    PyChannelObject *channel = NULL;

    if (w->flags.blocked && bomb == NULL) {
        /* Meanwhile the collector may run. */
        deadlock = main_blocked_bomb(th, w->flags.blocked > 0);
        w = slp_scheduler_waker(th);
    }
    if (w->flags.blocked) {
        assert(w == th->main);
        if (bomb == NULL)
            bomb = Py_NewRef(deadlock);
        slp_channel_unlink(w, &channel);
        slp_ring_append(th, w);
    }
    else if (w->next == NULL) {
        slp_scheduler_wake(w, th->current);
    }
    if (bomb != NULL) {
        displaced = w->tempval;
        w->tempval = bomb;
    }
    /* What is dropped may run any code, even the waker itself, which may leave the ring again. */
    Py_INCREF(w);
    Py_XDECREF(deadlock);
    Py_XDECREF(displaced);
    Py_XDECREF(channel);
    bool is_there = w->next != NULL && !w->flags.blocked;
    Py_DECREF(w);
    return is_there ? w : NULL;
}

/* Is the exception that is set one that nobody needs to hear of? */
static bool
ends_silently(void)
{
    return PyErr_ExceptionMatches(SLP_TASKLET_EXIT)
           || (PyErr_ExceptionMatches(PyExc_SystemExit) && !_Py_IsMainThread());
}

/* The current tasklet ends with an exception, fetched here: a bomb for the waker, or NULL. */
SLP_COLD static PyObject *
bomb_of_ended(slp_thread *th)
{
    if (th->current->flags.idle)
        return slp_bomb_from_error(th->tstate);   /* a signal handler's */
    if (th->interp->error_handler != NULL && !PyErr_ExceptionMatches(PyExc_SystemExit)) {
        slp_call_error_handler(th);
        if (!PyErr_Occurred())
            return NULL;
    }
    if (ends_silently()) {
        PyErr_Clear();
        return NULL;
    }
    return slp_bomb_from_error(th->tstate);
}

/* The last tasklet of the ring has ended.  If the waker has to stay where it is and other threads could help,
 * the thread goes to sleep: the idle tasklet, else NULL. */
SLP_COLD static PyTaskletObject *
sleep_instead(slp_thread *th, PyTaskletObject *ended)
{
    if (ended->flags.idle || !slp_scheduler_waker_stays(th) || !slp_idle_others_can_run(th))
        return NULL;
    PyTaskletObject *idle = slp_idle_start(th, slp_scheduler_waker(th));
    if (idle == NULL)
        PyErr_Clear();
    return idle;
}

PyTaskletObject *
slp_scheduler_ended(slp_thread *th, bool failed)
{
    PyTaskletObject *ended = th->current;
    PyTaskletObject *next;

    assert(!ended->flags.is_main);
    PyObject *bomb = failed ? bomb_of_ended(th) : NULL;
    slp_settle(ended);
    next = ended->next;
    while (SLP_UNLIKELY(bomb != NULL || next == ended)) {
        PyTaskletObject *idle = bomb == NULL ? sleep_instead(th, ended) : NULL;
        next = idle != NULL ? idle : hand_over(th, bomb);
        bomb = NULL;
        if (next == NULL)
            next = ended->next;
    }
    /* thread->current still holds it. */
    assert(Py_REFCNT(ended) > 1);
    if (Py_REFCNT(ended) == 2)
        slp_ring_unlink_ended(th, ended);
    else
        slp_ring_unlink(th, ended);
    Py_DECREF(ended);
    return next;
}

/* --- the functions of the module --- */

/* One of the switches of run(): a C int.  -1 with TypeError or OverflowError. */
static int
get_flag(PyObject *arg, bool *flag)
{
    int value = _PyLong_AsInt(arg);
    if (value == -1 && PyErr_Occurred())
        return -1;
    *flag = value != 0;
    return 0;
}

/* The arguments of run(); `limits` and `threadblock` are zero so far.  -1 with an exception. */
static int
get_limits(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, slp_limits *limits, bool *threadblock)
{
    static const char *const keywords[] = {
        "timeout", "threadblock", "soft", "ignore_nesting", "totaltimeout", "max_seconds", NULL,
    };
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "run"};
    bool *const flags[] = {threadblock, &limits->soft, &limits->ignore_nesting, &limits->total};
    PyObject *buffer[6] = {NULL};
    PyObject *const *got = _PyArg_UnpackKeywords(args, nargs, NULL, kwnames, &parser, 0, 5, 0, buffer);
    if (got == NULL)
        return -1;
    Py_ssize_t given = kwnames == NULL ? nargs : 6;
    if (given > 0 && got[0] != NULL) {
        limits->timeout = PyLong_AsLong(got[0]);
        if (limits->timeout == -1 && PyErr_Occurred())
            return -1;
    }
    for (int i = 0; i < 4; i++) {
        if (given > i + 1 && got[i + 1] != NULL && get_flag(got[i + 1], flags[i]) < 0)
            return -1;
    }
    if (given > 5 && got[5] != NULL && got[5] != Py_None) {
        limits->max_seconds = PyFloat_AsDouble(got[5]);
        if (limits->max_seconds == -1.0 && PyErr_Occurred())
            return -1;
        if (Py_IS_NAN(limits->max_seconds)) {
            PyErr_SetString(PyExc_ValueError, "run() argument 'max_seconds' must be a number, not nan");
            return -1;
        }
        limits->timed = true;
    }
    return 0;
}

PyObject *
slp_scheduler_run(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    slp_limits limits = {0};
    bool threadblock = false;
    if ((nargs > 0 || kwnames != NULL) && get_limits(args, nargs, kwnames, &limits, &threadblock) < 0)
        return NULL;
    return slp_scheduler_run_limited(th, &limits, threadblock, soft);
}

PyObject *
slp_scheduler_run_limited(slp_thread *th, const slp_limits *limits, bool threadblock, bool soft)
{
    PyTaskletObject *current = th->current;

    slp_settle(current);
    if (current->next == current && !(threadblock && slp_idle_others_can_run(th))) {
        if (limits->timed && th->watchdog.caller == NULL)
            th->watchdog.overshoot = 0.0;
        Py_RETURN_NONE;
    }
    if (slp_check_switch(th, soft) < 0 || (current->next == current && slp_idle_start(th, current) == NULL)
        || slp_watchdog_arm(th, limits) < 0)
        return NULL;
    PyTaskletObject *next = current->next;
    slp_ring_unlink(th, current);
    current->flags.waits_in_run = 1;
    current->flags.threadblock = threadblock;
    current->runner_below = th->runners;
    th->runners = current;
    return slp_switch(th, next, soft);
}

PyObject slp_self_token = {
    .ob_refcnt = 1,
    .ob_type = &PyBaseObject_Type,
};

/* The optional argument of schedule() and schedule_remove(), borrowed, as it goes into tempval.  NULL
 * with TypeError. */
static inline PyObject *
get_retval(const char *name, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs + named == 0)
        return SLP_SELF;
    if (SLP_UNLIKELY(nargs + named > 1)) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most 1 argument (%zd given)", name, nargs + named);
        return NULL;
    }
    if (named > 0 && !_PyUnicode_EqualToASCIIString(PyTuple_GET_ITEM(kwnames, 0), "retval")) {
        PyErr_Format(PyExc_TypeError, "%s() has no argument %R, only 'retval'", name,
                     PyTuple_GET_ITEM(kwnames, 0));
        return NULL;
    }
    return args[0];
}

/* All of schedule(). */
__attribute__((noinline)) static PyObject *
schedule(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    PyTaskletObject *current = th->current;
    PyObject *retval = get_retval("schedule", args, nargs, kwnames);
    if (retval == NULL)
        return NULL;

    slp_settle(current);
    PyTaskletObject *next = current->next;
    if (next == current) {
        if (SLP_LIKELY(!(th->watch & SLP_WATCH_SOFT_DUE)))
            return Py_NewRef(retval == SLP_SELF ? (PyObject *)current : retval);
        next = th->watchdog.caller;
    }
    if (slp_check_switch(th, soft) < 0)
        return NULL;
    slp_set_tempval(current, Py_NewRef(retval));
    return slp_switch(th, next, soft);
}

/* The common case without a stack frame of its own: no argument, somebody else can run. */
PyObject *
slp_scheduler_schedule(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_peek(tstate);
    if (SLP_LIKELY(th != NULL && nargs == 0 && kwnames == NULL && slp_offer_stands(th)
                   && (tstate->cframe == th->home || th->idle != NULL)
                   && th->next == NULL && th->watch == 0 && !slp_is_traced(tstate))) {
        PyTaskletObject *current = th->current;
        PyTaskletObject *next = current->next;
        if (SLP_LIKELY(current->tempval == Py_None && next != current)) {
            th->soft_offered = false;
            slp_set_tempval(current, Py_NewRef(SLP_SELF));
            return slp_switch(th, next, true);
        }
    }
    return schedule(args, nargs, kwnames);
}

PyObject *
slp_scheduler_schedule_remove(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    PyTaskletObject *current = th->current;
    PyObject *retval = get_retval("schedule_remove", args, nargs, kwnames);
    if (retval == NULL)
        return NULL;

    slp_settle(current);
    if (current->next == current && slp_scheduler_waker(th) == current)
        return Py_NewRef(retval == SLP_SELF ? (PyObject *)current : retval);
    PyTaskletObject *next = slp_scheduler_successor(th, soft);
    if (next == NULL)
        return NULL;
    slp_set_tempval(current, Py_NewRef(retval));
    slp_ring_unlink(th, current);
    Py_DECREF(current);
    return slp_switch(th, next, soft);
}

/* --- the end of a thread --- */

void
slp_scheduler_pause_others(slp_thread *th)
{
    while (th->runners != NULL)
        Py_DECREF(pop_runner(th));
    PyTaskletObject *current = th->current;
    while (current != NULL && current->next != NULL && current->next != current) {
        PyTaskletObject *t = current->next;
        slp_ring_unlink(th, t);
        Py_DECREF(t);
    }
}

void
slp_scheduler_clear(slp_thread *th)
{
    slp_scheduler_pause_others(th);
    PyTaskletObject *current = th->current;
    if (current != NULL && current->next != NULL) {
        slp_ring_unlink(th, current);
        Py_DECREF(current);
    }
}
