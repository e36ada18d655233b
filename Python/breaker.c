/* The eval breaker: one word per interpreter, non-zero when the loop has more to do than to go on.
 *
 * Five requests set it.  Any thread may see it set; who may answer, and who takes it back:
 *
 *   request                flag                        answered by                     cleared by
 *   a signal arrived       runtime.signals_pending     main thread, main interpreter   Py_MakePendingCalls
 *   pending calls          interp.pending.calls_to_do  main thread                     Py_MakePendingCalls
 *   another thread wants   interp.gil_drop_request     the holder of the GIL           the base's GIL code
 *     the GIL
 *   throw(), kill() for a  interp.pending.async_exc    the thread of the tasklet       answer_letters()
 *     running tasklet          and slp_thread.letters
 *   PyThreadState_         interp.pending.async_exc    the thread it was sent to       answer_async_exc()
 *     SetAsyncExc              and tstate.async_exc
 *   an alarm rings         its slp_alarm               the thread that set it          answer_alarm()
 *
 * A thread that may not answer finds nothing to do here and goes on.  So does one that runs an atomic
 * tasklet: the requests stand until its flag is taken back.
 */
#include "slp_support.h"
#include "slp_tasklet.h"

/* Set the breaker of `interp` from the first four flags, as seen by this thread; alarms ring again. */
static void
recompute_breaker(PyInterpreterState *interp)
{
    struct _ceval_state *ceval = &interp->ceval;
    bool wanted =
        _Py_atomic_load_relaxed(&ceval->gil_drop_request)
        || (_Py_atomic_load_relaxed(&_PyRuntime.ceval.signals_pending)
            && _Py_ThreadCanHandleSignals(interp))
        || (_Py_atomic_load_relaxed(&ceval->pending.calls_to_do) && _Py_ThreadCanHandlePendingCalls())
        || ceval->pending.async_exc;
    _Py_atomic_store_relaxed(&ceval->eval_breaker, wanted);
}

/* An exception from another thread has been received: are there more on their way? */
static void
recompute_async_exc(PyInterpreterState *interp)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(interp);
    while (p != NULL && p->async_exc == NULL
           && (slp_thread_peek(p) == NULL || !slp_thread_has_letters(slp_thread_peek(p)))) {
        p = PyThreadState_Next(p);
    }
    interp->ceval.pending.async_exc = p != NULL;
    recompute_breaker(interp);
}

/* Deliver what other threads have thrown at tasklets that ran. */
static int
answer_letters(PyThreadState *tstate, slp_thread *th)
{
    int status = slp_thread_read_letters(th);
    recompute_async_exc(tstate->interp);
    return status;
}

/* Raise the exception that another thread sent to this one. */
static int
answer_async_exc(PyThreadState *tstate)
{
    PyObject *exc = tstate->async_exc;
    tstate->async_exc = NULL;
    recompute_async_exc(tstate->interp);
    _PyErr_SetNone(tstate, exc);
    Py_DECREF(exc);
    return -1;
}

/* Alarms are set: one may ring for this thread, or for another, which then hears it again. */
static void
answer_alarm(PyThreadState *tstate)
{
    slp_thread *th = slp_thread_peek(tstate);
    if (th != NULL && slp_alarm_rings(&th->watchdog.alarm)) {
        slp_watchdog_late(th);
    }
    recompute_breaker(tstate->interp);
}

/* Signals come before pending calls (the base's Py_MakePendingCalls() keeps that order), both before
 * the GIL is given away, so that a busy thread sees Ctrl-C at once; an exception from another thread
 * comes last, since it may have been sent while the GIL was away. */
int
slp_handle_breaker(PyThreadState *tstate)
{
    struct _ceval_state *ceval = &tstate->interp->ceval;
    slp_thread *th = slp_thread_peek(tstate);
    if (SLP_UNLIKELY(th != NULL && th->current->flags.atomic)) {
        return 0;
    }
    if (_Py_atomic_load_relaxed(&_PyRuntime.ceval.signals_pending)
        || _Py_atomic_load_relaxed(&ceval->pending.calls_to_do)) {
        if (Py_MakePendingCalls() < 0) {
            return -1;
        }
    }
    if (_Py_atomic_load_relaxed(&ceval->gil_drop_request)) {
        /* Keeps errno, and does not come back in a thread that has to end with the interpreter. */
        PyEval_RestoreThread(PyEval_SaveThread());
    }
    if (SLP_UNLIKELY(slp_alarms_set != 0)) {
        answer_alarm(tstate);
    }
    if (SLP_UNLIKELY(th != NULL && slp_thread_has_letters(th)) && answer_letters(tstate, th) < 0) {
        return -1;
    }
    if (tstate->async_exc != NULL) {
        return answer_async_exc(tstate);
    }
    return 0;
}
