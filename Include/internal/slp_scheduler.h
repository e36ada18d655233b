/* The scheduler of one thread: its run queue and those who wait in run().
 *
 *              ┌──────────────────────────────────────────────┐
 *              v                                              │ next
 *      th->current ──next──> runs next ──next──> ... ──> end of the queue
 *
 *      th->runners ──> innermost caller of run() ──runner_below──> outer caller ──> ... ──> NULL
 *
 * Invariants (slp_scheduler_check asserts them)
 *  1. The run queue is a ring of `runcount` members and never empty: the current tasklet is its
 *     head (th->next while a switch is under way), so its end is just before the current tasklet,
 *     and a switch to a member rotates it.
 *  2. The ring owns one reference to each member, main and current included.  So members are never
 *     garbage, and the collector need not look at one before it leaves the ring for the first time:
 *     of a million tasklets that only run and end, it sees none (skynet takes half the time so).
 *  3. A tasklet that waits in run() is in no chain; the list of runners owns one reference to it.
 *     Who is current does not wait in run().
 *  4. While the last runnable tasklet gives up, the *waker* takes over: the innermost caller of
 *     run(), else main.  It also gets the exceptions that nobody caught.
 *
 * Two rules keep arbitrary code (destructors of dropped values, the collector) out of the middle
 * of a step: whatever has to be allocated or dropped is allocated or dropped before the decision
 * that depends on the queues; and a replacement is put into the ring before the current tasklet
 * is taken out, so that the ring has a head whenever Python code runs.
 */
#ifndef SLP_SCHEDULER_H
#define SLP_SCHEDULER_H

#include "slp_switch.h"

/* The calling thread's state, made on first use.  NULL with MemoryError. */
static inline slp_thread *
slp_thread_now(void)
{
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_peek(tstate);
    return SLP_LIKELY(th != NULL) ? th : slp_thread_get(tstate);
}

/* Between slp_switch() and the switch itself, which is the loop's, a profiler or another thread may
 * run.  The current tasklet may have left the ring by then, so that its head is who is to run. */
static inline PyTaskletObject *
slp_ring_head(const slp_thread *th)
{
    return SLP_LIKELY(th->next == NULL) ? th->current : th->next;
}

/* Raise the RuntimeError for code that wants to switch in between, or inside a callback. */
SLP_COLD void slp_scheduler_refuse_pending(slp_thread *th);

/* How functions begin that may switch, and may do something else: the calling thread's state, and its offer,
 * taken.  NULL with MemoryError. */
static inline slp_thread *
slp_scheduler_approach(bool *soft)
{
    slp_thread *th = slp_thread_now();
    if (SLP_LIKELY(th != NULL))
        *soft = slp_take_offer(th);
    return th;
}

/* Is the current tasklet on its way out, or inside a callback?  Then it must not switch, and its tempval is
 * spoken for. */
static inline bool
slp_is_between(const slp_thread *th)
{
    return (th->watch & SLP_WATCH_IN_CALLBACK) | (th->next != NULL);
}

/* The same for functions that have nothing to do then: NULL with RuntimeError. */
static inline slp_thread *
slp_scheduler_enter(bool *soft)
{
    slp_thread *th = slp_scheduler_approach(soft);
    if (SLP_UNLIKELY(th != NULL && slp_is_between(th))) {
        slp_scheduler_refuse_pending(th);
        return NULL;
    }
    return th;
}

/* Is it in the run queue or a channel's queue? */
static inline bool
slp_in_chain(const PyTaskletObject *t)
{
    return t->next != NULL || t->flags.blocked != 0;
}

/* Put `t` (in no chain, reference stolen) into the ring just before `where`. */
static inline void
slp_ring_insert(slp_thread *th, PyTaskletObject *where, PyTaskletObject *t)
{
    assert(t->next == NULL && t->prev == NULL && !t->flags.blocked && t->thread == th);
    t->next = where;
    t->prev = where->prev;
    where->prev->next = t;
    where->prev = t;
    th->runcount++;
}

/* The same, at the end of the queue. */
static inline void
slp_ring_append(slp_thread *th, PyTaskletObject *t)
{
    slp_ring_insert(th, slp_ring_head(th), t);
}

/* Take `t`, which has ended, out of the ring; its reference passes to the caller. */
static inline void
slp_ring_unlink_ended(slp_thread *th, PyTaskletObject *t)
{
    assert(t->next != NULL && !t->flags.blocked && t->thread == th);
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->next = t->prev = NULL;
    th->runcount--;
}

/* Take `t` out of the ring; its reference passes to the caller.  From now on it can become garbage. */
static inline void
slp_ring_unlink(slp_thread *th, PyTaskletObject *t)
{
    slp_ring_unlink_ended(th, t);
    if (!_PyObject_GC_IS_TRACKED(t))
        _PyObject_GC_TRACK(t);
}

/* The work of slp_settle() when there is something to drop. */
void slp_scheduler_settle(PyTaskletObject *t);

/* Make the tempval of `t` None.  Whoever stores a value there does this first, before it decides
 * anything: dropping a value that a program left there may run any code.  True if it did. */
static inline bool
slp_settle(PyTaskletObject *t)
{
    if (SLP_LIKELY(t->tempval == Py_None))
        return false;
    slp_scheduler_settle(t);
    return true;
}

/* Store `value` (stolen) in the tempval of `t`, which is settled. */
static inline void
slp_set_tempval(PyTaskletObject *t, PyObject *value)
{
    assert(t->tempval == Py_None);
    t->tempval = value;
    Py_DECREF(Py_None);
}

/* What slp_scheduler_successor() does where the current tasklet is alone in the ring. */
PyTaskletObject *slp_scheduler_waker_for(slp_thread *th, bool soft);

/* The current tasklet is about to leave the ring.  Make sure that it may be suspended here, choose
 * who runs then (the next one, else the waker), and put that one into the ring if it is not there.
 * NULL with RuntimeError ("Deadlock: ...", or the reason why it cannot be suspended), and nothing
 * has changed. */
static inline PyTaskletObject *
slp_scheduler_successor(slp_thread *th, bool soft)
{
    PyTaskletObject *next = th->current->next;
    if (SLP_UNLIKELY(next == th->current))
        return slp_scheduler_waker_for(th, soft);
    return slp_check_switch(th, soft) < 0 ? NULL : next;
}

/* The waker: who takes over when nobody else can run, and gets uncaught exceptions. */
static inline PyTaskletObject *
slp_scheduler_waker(const slp_thread *th)
{
    return th->runners != NULL ? th->runners : th->ender != NULL ? th->ender : th->main;
}

/* Must the waker stay where it is as long as anybody else could run?  It is blocked on a channel, or is the
 * current tasklet; or it has called run(threadblock=True). */
static inline bool
slp_scheduler_waker_stays(const slp_thread *th)
{
    const PyTaskletObject *waker = slp_scheduler_waker(th);
    return slp_in_chain(waker) || waker->flags.threadblock;
}

/* Put a paused tasklet of any thread into its ring just before `where`.  If it waits in run(), that
 * wait is over, and so are those of the inner callers, which become ordinary runnable tasklets. */
void slp_scheduler_wake(PyTaskletObject *t, PyTaskletObject *where);

/* Empty the queue but for the current tasklet, and the list of runners.  The tasklets are left paused. */
void slp_scheduler_pause_others(slp_thread *th);

/* The thread ended (its `tstate` is NULL already, so that nothing is added any more): empty its
 * queue and its list of runners.  The tasklets are left paused. */
void slp_scheduler_clear(slp_thread *th);

/* Make the bombs for a main tasklet that blocks for ever.  -1 with an exception. */
int slp_scheduler_init(void);

/* run() with these limits, sleeping if `threadblock`.  `soft`: the offer that slp_scheduler_enter() has
 * taken. */
PyObject *slp_scheduler_run_limited(slp_thread *th, const slp_limits *limits, bool threadblock, bool soft);

/* The functions of the module, for its method table. */
PyObject *slp_scheduler_run(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *slp_scheduler_schedule(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                 PyObject *kwnames);
PyObject *slp_scheduler_schedule_remove(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                        PyObject *kwnames);

/* Assert the invariants above; empty in builds without assertions. */
#ifdef NDEBUG
#  define slp_scheduler_check(th) ((void)0)
#else
void slp_scheduler_check(slp_thread *th);
#endif

#endif
