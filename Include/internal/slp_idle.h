/* Sleeping: what a thread does while it has no runnable tasklet (Stackless/core/idle.c).
 *
 *                     the last runnable tasklet blocks or ends, and
 *                     the waker is blocked or wants to wait
 *      runs tasklets ────────────────────────────────────────────> idle
 *            ^                                                      │
 *            │     another thread makes a tasklet runnable here     │
 *            ├──────────────────────────────────────────────────────┤
 *            │     no other thread could: the waker is told         │
 *            ├──────────────────────────────────────────────────────┤
 *            │     a signal handler raised: the waker gets that,    │
 *            │     nobody else is asked                             │
 *            └──────────────────────────────────────────────────────┘
 *
 * Who sleeps is a tasklet of its own, made for the occasion, whose function is C code.  So the ring has a
 * head as always, the tasklet that blocked is suspended as always, signal handlers may do what any code may
 * (send, insert, even switch), and what they raise goes the way of what tasklets raise.  It shows as little
 * as can be: it has the waker's context, the waker's frames stand below it, schedule callbacks and other
 * threads do not see it.  But signal handlers run as it; one that switches makes it a tasklet like any
 * other, until it sleeps again or ends.
 *
 * Could another thread make a tasklet runnable?  Yes, if one of the interpreter does anything but to sleep
 * here: it may run Python code, be inside a system call or wait for a lock, and it need not have
 * tasklets yet.  So when all threads sleep nobody can, and the last one to lie down is told.
 *
 * All fields are read and written with the GIL; a thread that goes to sleep says so before it gives it up.
 */
#ifndef SLP_IDLE_H
#define SLP_IDLE_H

#include "slp_thread.h"

/* Could another thread of the interpreter make a tasklet of this one runnable? */
bool slp_idle_others_can_run(slp_thread *th);

/* Has the interpreter got more than this thread? */
bool slp_idle_has_others(slp_thread *th);

/* Put a new idle tasklet into the ring, just before the current tasklet, in the context of `waker`.  Runs no
 * other code.  Borrowed; NULL with MemoryError. */
struct PyTaskletObject *slp_idle_start(slp_thread *th, struct PyTaskletObject *waker);

/* End the sleep of a thread that sleeps. */
SLP_COLD void slp_idle_wake(slp_thread *th);

/* A signal handler switches, so that the idle tasklet `t` is left: one like any other from now on. */
SLP_COLD void slp_idle_left(struct PyTaskletObject *t);

/* th->shown_above is set, and the waker is no longer to be shown. */
SLP_COLD void slp_idle_hide_waker(slp_thread *th);

/* Let all who sleep in this interpreter look again whether anybody can wake them. */
void slp_idle_look_again(PyInterpreterState *interp);

/* A tasklet has joined the ring of a thread: if the thread sleeps, it gets up. */
static inline void
slp_idle_notify(slp_thread *th)
{
    if (SLP_UNLIKELY(th->asleep)) {
        slp_idle_wake(th);
    }
}

#endif
