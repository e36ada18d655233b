/* Accounting of run time and switches (slp_accounting.h). */
#include "slp_accounting.h"

#include "slp_module.h"
#include "slp_scheduler.h"

/* Time that the current tasklet of the thread has run and that is not charged yet. */
static int64_t
uncharged(const slp_thread *th)
{
    return slp_alarm_now() - th->charged_until;
}

/* Charge it. */
static void
charge(slp_thread *th)
{
    int64_t ns = uncharged(th);
    th->charged_until += ns;
    slp_tasklet_extra *extra = slp_tasklet_get_extra(th->charged);
    if (extra != NULL) {
        extra->run_ns += ns;
    }
}

void
slp_accounting_start(slp_thread *th)
{
    th->charged = th->current;
    th->charged_until = slp_alarm_now();
}

void
slp_accounting_switched(slp_thread *th, PyTaskletObject *entered)
{
    charge(th);
    if (entered == th->charged) {
        return;   /* a torture build suspends it for a moment */
    }
    th->charged = entered;
    slp_tasklet_extra *extra = slp_tasklet_get_extra(entered);
    if (extra != NULL) {
        extra->switch_count++;
    }
}

const char slp_set_accounting_doc[] =
"set_accounting($module, flag, /)\n"
"--\n\n"
"Count from now on how long each tasklet runs and how often it is switched to,\n"
"or, if flag (a bool or int) is false, do not.  Returns the old value, a bool.\n\n"
"It counts for all threads of the interpreter.  The figures are the tasklets'\n"
"run_time and switch_count; they add up each time it is on.  While it is off,\n"
"the default, it costs nothing.\n\n"
"TypeError if flag is of another type.\n\n"
"    set_accounting(True)\n"
"    run()\n"
"    print(getmain().run_time)";

PyObject *
slp_module_set_accounting(PyObject *module, PyObject *flag)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    int value = slp_flag_arg("set_accounting", flag);
    if (value < 0) {
        return NULL;
    }
    bool old = (th->watch & SLP_WATCH_ACCOUNT) != 0;
    if (value != old) {
        PyInterpreterState *interp = th->tstate->interp;
        slp_interp_watch(interp, SLP_WATCH_ACCOUNT, value);
        for (PyThreadState *p = PyInterpreterState_ThreadHead(interp); p != NULL; p = PyThreadState_Next(p)) {
            slp_thread *other = slp_thread_peek(p);
            if (other != NULL && value) {
                slp_accounting_start(other);
            }
            else if (other != NULL) {
                charge(other);
            }
        }
    }
    return PyBool_FromLong(old);
}

PyObject *
slp_tasklet_get_run_time(PyObject *self, void *closure)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    int64_t ns = t->extra != NULL ? t->extra->run_ns : 0;
    if (t->thread->current == t && (t->thread->watch & SLP_WATCH_ACCOUNT)) {
        ns += uncharged(t->thread);
    }
    return PyFloat_FromDouble((double)ns / 1e9);
}

PyObject *
slp_tasklet_get_switch_count(PyObject *self, void *closure)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    return PyLong_FromUnsignedLongLong(t->extra != NULL ? t->extra->switch_count : 0);
}
