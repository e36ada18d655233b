/* PyStackless_RunBudget(): the tasklets of a thread run for so many seconds, and no longer. */
#include "slp_capi.h"

/* The flags that it knows. */
static const int known_flags = Py_WATCHDOG_THREADBLOCK | Py_WATCHDOG_SOFT | Py_WATCHDOG_IGNORE_NESTING
                               | Py_WATCHDOG_TOTALTIMEOUT | PyStackless_BUDGET_REMOVE;

/* Reports of the first release end here; a size below is a mistake. */
#define SMALLEST_REPORT (offsetof(PyStackless_RunReport, switches) + sizeof(unsigned long long))

/* May it be called so, here?  False with an exception. */
static bool
check(slp_thread *th, double seconds, int flags, const PyStackless_RunReport *report)
{
    if (Py_IS_NAN(seconds))
        PyErr_SetString(PyExc_ValueError, "PyStackless_RunBudget(): seconds must be a number, not nan");
    else if ((flags & ~known_flags) != 0)
        PyErr_Format(PyExc_ValueError, "PyStackless_RunBudget(): %d has bits that are not defined", flags);
    else if (report != NULL && report->size < SMALLEST_REPORT)
        PyErr_Format(PyExc_ValueError,
                     "PyStackless_RunBudget(): the size of the report is %zu, it must be %zu", report->size,
                     sizeof(PyStackless_RunReport));
    else if (th->watchdog.caller != NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "PyStackless_RunBudget(): this is inside of a run() that has a limit already");
    else
        return true;
    return false;
}

/* Is what run() returned a tasklet that waits to go on?  It may be anything that a program has left there. */
static bool
was_interrupted(slp_thread *th, PyObject *result)
{
    PyTaskletObject *t = (PyTaskletObject *)result;
    return PyTasklet_Check(result) && t->thread == th && t->flags.interrupted && t->frame != NULL
           && !slp_in_chain(t) && !t->flags.waits_in_run;
}

int
PyStackless_RunBudget(double seconds, int flags, PyStackless_RunReport *report)
{
    bool soft;
    int64_t start = slp_alarm_now();
    slp_run_notes notes = {0};
    PyObject *interrupted = NULL;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (report != NULL) {
        size_t size = report->size;
        if (size >= SMALLEST_REPORT)
            *report = (PyStackless_RunReport){.size = size};
    }
    if (th == NULL || !check(th, seconds, flags, report))
        return -1;
    slp_limits limits = {
        .soft = (flags & Py_WATCHDOG_SOFT) != 0,
        .ignore_nesting = (flags & Py_WATCHDOG_IGNORE_NESTING) != 0,
        .timed = true,
        .max_seconds = seconds,
        .notes = &notes,
    };
    th->watchdog.overshoot = 0.0;
    PyObject *result = slp_scheduler_run_limited(th, &limits, (flags & Py_WATCHDOG_THREADBLOCK) != 0, false);
    int status = -1;
    if (result != NULL) {
        if (was_interrupted(th, result))
            interrupted = Py_NewRef(result);
        if (interrupted != NULL && !(flags & PyStackless_BUDGET_REMOVE))
            slp_scheduler_wake((PyTaskletObject *)interrupted, slp_ring_head(th));
        status = interrupted != NULL || th->runcount > 1;
        Py_DECREF(result);
    }
    if (report != NULL) {
        report->elapsed = (double)(slp_alarm_now() - start) / 1e9;
        report->overshoot = th->watchdog.overshoot;
        report->interrupted = (PyTaskletObject *)interrupted;
        report->overran = notes.overran;
        report->switches = notes.switches;
        report->runnable = th->runcount - 1;
        report->blocked = th->blocked_count;
    }
    else {
        Py_XDECREF(interrupted);
        Py_XDECREF(notes.overran);
    }
    return status;
}

void
PyStackless_ClearRunReport(PyStackless_RunReport *report)
{
    Py_CLEAR(report->interrupted);
    Py_CLEAR(report->overran);
}
