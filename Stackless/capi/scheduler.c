/* The C API of the scheduler: switching, run() and callbacks; documented in stackless_api.h. */
#include "slp_callbacks.h"
#include "slp_capi.h"

PyObject *const Py_UnwindToken = SLP_UNWIND;

/* --- switching --- */

PyObject *
PyStackless_Schedule(PyObject *retval, int remove)
{
    return slp_capi_without_offer() ? PyStackless_Schedule_nr(retval, remove) : NULL;
}

PyObject *
PyStackless_Schedule_nr(PyObject *retval, int remove)
{
    Py_ssize_t nargs = retval != NULL;
    if (!slp_capi_with_offer())
        return NULL;
    return remove ? slp_scheduler_schedule_remove(NULL, &retval, nargs, NULL)
                  : slp_scheduler_schedule(NULL, &retval, nargs, NULL);
}

PyObject *
PyStackless_GetCurrent(void)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? Py_NewRef(th->current) : NULL;
}

unsigned long
PyStackless_GetCurrentId(void)
{
    PyThreadState *tstate = PyGILState_GetThisThreadState();
    slp_thread *th = tstate != NULL ? slp_thread_peek(tstate) : NULL;
    /* Nobody but the thread itself changes these. */
    return th == NULL || th->current == th->main ? PyThread_get_thread_ident()
                                                 : (unsigned long)(uintptr_t)th->current;
}

int
PyStackless_GetRunCount(void)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? th->runcount : -1;
}

int
PyStackless_GetBlockedCount(void)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? th->blocked_count : -1;
}

/* --- run() --- */

PyObject *
PyStackless_RunWatchdog(long timeout)
{
    return PyStackless_RunWatchdogEx(timeout, 0);
}

PyObject *
PyStackless_RunWatchdogEx(long timeout, int flags)
{
    bool soft;
    if (flags < 0 || flags > 255) {
        PyErr_Format(PyExc_ValueError, "PyStackless_RunWatchdogEx(): flags must be in 0..255, not %d", flags);
        return NULL;
    }
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return NULL;
    slp_limits limits = {
        .timeout = timeout,
        .soft = (flags & Py_WATCHDOG_SOFT) != 0,
        .ignore_nesting = (flags & Py_WATCHDOG_IGNORE_NESTING) != 0,
        .total = (flags & Py_WATCHDOG_TOTALTIMEOUT) != 0,
    };
    return slp_scheduler_run_limited(th, &limits, (flags & Py_WATCHDOG_THREADBLOCK) != 0, false);
}

/* --- callbacks --- */

int
PyStackless_SetChannelCallback(PyObject *callable)
{
    return slp_capi_status(slp_set_channel_callback(NULL, slp_capi_or_none(callable)));
}

int
PyStackless_SetScheduleCallback(PyObject *callable)
{
    return slp_capi_status(slp_set_schedule_callback(NULL, slp_capi_or_none(callable)));
}

int
PyStackless_SetScheduleFastcallback(slp_schedule_hook_func *func)
{
    return slp_set_schedule_hook(func);
}

int
PyStackless_AdjustSwitchTrap(int change)
{
    PyObject *arg = PyLong_FromLong(change);
    PyObject *old = arg != NULL ? slp_switch_trap(NULL, &arg, 1, NULL) : NULL;
    int result = old != NULL ? _PyLong_AsInt(old) : -1;
    Py_XDECREF(arg);
    Py_XDECREF(old);
    return result;
}

int
PyStackless_CallErrorHandler(void)
{
    if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "PyStackless_CallErrorHandler(): no exception is set");
        return -1;
    }
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    if (th != NULL && th->interp->error_handler != NULL)
        slp_call_error_handler(th);
    return PyErr_Occurred() ? -1 : 0;
}
