/* Switching: how a C function of the module makes another tasklet go on.
 *
 * The protocol
 *
 *   loop:       th->soft_offered = true;  result = function(...);  th->soft_offered = false;
 *   function:   bool soft = slp_take_offer(th);        first statement, always
 *               ... choose who runs next, put values into tempval ...
 *               return slp_switch(th, next, soft);     at once, nothing after it
 *   loop:       if (result == SLP_UNWIND) store the current tasklet, load th->next, push its
 *               tempval on its value stack (or raise it, if it is a bomb) and go on.
 *
 * Four kinds of switch, and who makes them:
 *
 *   the current tasklet       the next one   is made by                    how
 *   soft: the loop offers,    soft           slp_switch_frames(), loop     in the same activation
 *   in a base activation      pinned         slp_switch_carriers(), loop   this carrier becomes idle
 *   C frames in between, or   soft           slp_switch_carriers(), loop   an idle carrier goes on
 *   main: the loop offers     pinned         the same                      the next one's carrier goes on
 *   no offer                  either         slp_switch_carriers(), here   the C function waits
 *
 * A caller that is not the loop makes no offer (map(ch.send, ...), a C extension): slp_switch() then comes
 * back when the current tasklet runs again, with the value that it was given.
 *
 * Only functions with SLP_METH_STACKLESS are given offers; every path of such a function starts by
 * taking the offer, so that it never leaks to a callee.
 */
#ifndef SLP_SWITCH_H
#define SLP_SWITCH_H

#include "slp_tasklet.h"

/* "Unwind: the thread's `next` runs now."  Never reference counted, never seen by Python code. */
extern PyObject slp_unwind_token;
#define SLP_UNWIND (&slp_unwind_token)

/* A tempval that means the tasklet itself, what schedule() returns by default.  Written so, it makes no
 * cycle: a paused tasklet that nobody refers to goes at once, not when the collector comes. */
extern PyObject slp_self_token;
#define SLP_SELF (&slp_self_token)

/* Is `callable` a C function or method that may answer so, when it is offered to? */
static inline bool
slp_may_unwind(PyObject *callable)
{
    if (PyCFunction_CheckExact(callable)) {
        return (PyCFunction_GET_FLAGS(callable) & SLP_METH_STACKLESS) != 0;
    }
    if (Py_IS_TYPE(callable, &PyMethodDescr_Type)) {
        return (((PyMethodDescrObject *)callable)->d_method->ml_flags & SLP_METH_STACKLESS) != 0;
    }
    return false;
}

/* Does the loop's offer stand?
 *
 * --with-torture=hard: never.  --with-torture=refuse-soft: every third one does not. */
static inline bool
slp_offer_stands(slp_thread *th)
{
#if SLP_TORTURE_HARD
    return false;
#elif SLP_TORTURE_REFUSE_SOFT
    static int chances;
    return th->soft_offered && !th->always_hard && ++chances % 3 != 0;
#else
    return th->soft_offered > th->always_hard;
#endif
}

/* The loop's offer, taken (and so withdrawn). */
static inline bool
slp_take_offer(slp_thread *th)
{
    bool offered = slp_offer_stands(th);
    th->soft_offered = false;
    return offered;
}

/* Is a trace or profile function set, or running? */
static inline bool
slp_is_traced(const PyThreadState *tstate)
{
    return tstate->c_tracefunc != NULL || tstate->c_profilefunc != NULL || tstate->tracing != 0;
}

/* Can the current tasklet be suspended here: 0, or -1 with the exception that says why not (MemoryError,
 * RuntimeError).  Called before anything is changed (queues, balances), so that a refusal leaves all as
 * it was. */
int slp_check_switch_slow(slp_thread *th, bool soft);

static inline int
slp_check_switch(slp_thread *th, bool soft)
{
    PyThreadState *tstate = th->tstate;
    if (SLP_LIKELY(((soft && tstate->cframe == th->home)
                    || (th->idle != NULL && tstate->datastack_chunk != NULL))
                   && th->next == NULL && th->watch == 0 && !slp_is_traced(tstate))) {
        return 0;
    }
    return slp_check_switch_slow(th, soft);
}

/* Switch to th->next here and now; the result is what the current tasklet finds in its tempval when it
 * runs again, NULL with the exception of a bomb. */
PyObject *slp_switch_in_c(slp_thread *th);

/* Somebody wants to see the switch from th->current to th->next that is about to happen. */
SLP_COLD void slp_watched_switch(slp_thread *th);

/* Hand control to `next` (borrowed; alive, not current; tempval set).  Only after slp_check_switch()
 * said yes, with the same `soft`.  What it returns must be returned at once. */
static inline PyObject *
slp_switch(slp_thread *th, PyTaskletObject *next, bool soft)
{
    assert(th->next == NULL && next != th->current && slp_tasklet_alive(next));
    th->next = (PyTaskletObject *)Py_NewRef(next);
    if (SLP_UNLIKELY(th->watch != 0)) {
        slp_watched_switch(th);
    }
    return SLP_LIKELY(soft) ? SLP_UNWIND : slp_switch_in_c(th);
}

/* --- for the loop alone --- */

/* A value for throwflag: begin a base activation, with the state of th->current loaded; no frame is given. */
#define SLP_RUN_TASKLETS 2

/* The current tasklet's function is done: returned `result` (stolen), or raised (NULL, exception
 * set).  Asks the scheduler who is next, loads that one (slp_exchange.h), and frees the ended one's
 * frame stack. */
_PyInterpreterFrame *slp_switch_from_ended(PyThreadState *tstate, slp_thread *th, PyObject *result);

/* --- the scheduler's side of ending (Stackless/module/scheduler.c) --- */

/* The current tasklet, never main, has ended; it is still in the run queue.  With an exception set
 * (result NULL) it is fetched and delivered to who must get it.  Takes the tasklet out of the
 * queue and returns who runs next (borrowed): alive, tempval set. */
PyTaskletObject *slp_scheduler_ended(slp_thread *th, bool failed);

#endif
