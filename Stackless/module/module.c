/* The module _stackless: the types and functions that the Python package `stackless` shows. */
#include "slp_accounting.h"
#include "slp_bomb.h"
#include "slp_callbacks.h"
#include "slp_channel.h"
#include "slp_module.h"
#include "slp_pickle.h"
#include "slp_stackmap.h"

PyDoc_STRVAR(run_doc,
"run($module, /, timeout=0, threadblock=False, soft=False,\n"
"    ignore_nesting=False, totaltimeout=False, *, max_seconds=None)\n"
"--\n\n"
"Run the tasklets of this thread until none is runnable, or until the time is up.\n\n"
"The caller leaves the run queue meanwhile.  Calls nest: the innermost caller\n"
"comes back first.  Raises the exception of a tasklet that ended with one; all\n"
"others stay scheduled then, and a further run() goes on with them.  Tasklets\n"
"that are blocked or paused may remain.\n\n"
"timeout         int: a tasklet that runs so many instructions without a switch\n"
"                is interrupted; 0 or less: it is not\n"
"threadblock     where nobody is runnable, sleep until another thread makes\n"
"                somebody so, instead of coming back\n"
"soft            do not interrupt, but come back at the next switch\n"
"ignore_nesting  interrupt also where C code of the tasklet is in between\n"
"                (an estimate, exact for the last hundred)\n"
"totaltimeout    count the instructions of all tasklets together\n"
"max_seconds     number: interrupt when so many seconds have passed; see\n"
"                getovershoot()\n\n"
"Returns the tasklet that was interrupted, which is paused then: insert() lets it\n"
"go on; None if none was.  While a call with timeout or max_seconds waits,\n"
"these have no effect in further ones.  TypeError for a timeout that is no int.\n\n"
"    tasklet(print)(\"hello\")\n"
"    interrupted = run(1000)\n"
"    if interrupted:\n"
"        interrupted.insert()");

PyDoc_STRVAR(getovershoot_doc,
"getovershoot($module, /)\n"
"--\n\n"
"By how many seconds the last run(max_seconds=...) of this thread came back too\n"
"late: a float, 0.0 if it came back in time.\n\n"
"    run(max_seconds=0.010)\n"
"    budget = 0.016 - getovershoot()");

static PyObject *
module_getovershoot(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? PyFloat_FromDouble(th->watchdog.overshoot) : NULL;
}

PyDoc_STRVAR(schedule_doc,
"schedule($module, /, retval=...)\n"
"--\n\n"
"Go to the end of the run queue, and let the next tasklet run.\n\n"
"Returns retval, by default the current tasklet, when the caller's turn comes\n"
"again.");

PyDoc_STRVAR(schedule_remove_doc,
"schedule_remove($module, /, retval=...)\n"
"--\n\n"
"Leave the run queue, and let the next tasklet run: the caller is paused until\n"
"somebody inserts or runs it.\n\n"
"Returns retval, by default the current tasklet.  If nobody else is runnable, the\n"
"innermost caller of run() wakes, else the main tasklet; RuntimeError\n"
"(\"Deadlock: ...\") if that one is blocked on a channel.  A main tasklet on its\n"
"own comes back at once.");

PyDoc_STRVAR(getcurrent_doc,
"getcurrent($module, /)\n"
"--\n\n"
"The current tasklet of this thread.");

static PyObject *
module_getcurrent(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? Py_NewRef(th->current) : NULL;
}

PyDoc_STRVAR(getmain_doc,
"getmain($module, /)\n"
"--\n\n"
"The main tasklet of this thread.");

static PyObject *
module_getmain(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? Py_NewRef(th->main) : NULL;
}

PyDoc_STRVAR(getruncount_doc,
"getruncount($module, /)\n"
"--\n\n"
"The number of runnable tasklets of this thread, the current one included.");

static PyObject *
module_getruncount(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? PyLong_FromLong(th->runcount) : NULL;
}

PyDoc_STRVAR(getcurrentid_doc,
"getcurrentid($module, /)\n"
"--\n\n"
"A number that identifies the current tasklet while it exists; for a main\n"
"tasklet the id of its thread.");

static PyObject *
module_getcurrentid(PyObject *module, PyObject *noargs)
{
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_peek(tstate);
    if (th == NULL || th->current == th->main)
        return PyLong_FromUnsignedLong(tstate->thread_id);
    return PyLong_FromVoidPtr(th->current);
}

PyDoc_STRVAR(c_stack_pointer_doc,
"_c_stack_pointer($module, /)\n"
"--\n\n"
"Private, for tests: where the C stack stands, as an int.  Two calls that answer\n"
"the same stand equally deep in C, however deep in Python.");

static PyObject *
module_c_stack_pointer(PyObject *module, PyObject *noargs)
{
    return PyLong_FromVoidPtr(__builtin_frame_address(0));
}

static PyMethodDef module_methods[] = {
    {"run", _PyCFunction_CAST(slp_scheduler_run), METH_FASTCALL | METH_KEYWORDS | SLP_METH_STACKLESS,
     run_doc},
    {"schedule", _PyCFunction_CAST(slp_scheduler_schedule),
     METH_FASTCALL | METH_KEYWORDS | SLP_METH_STACKLESS,
     schedule_doc},
    {"schedule_remove", _PyCFunction_CAST(slp_scheduler_schedule_remove),
     METH_FASTCALL | METH_KEYWORDS | SLP_METH_STACKLESS, schedule_remove_doc},
    {"getovershoot", module_getovershoot, METH_NOARGS, getovershoot_doc},
    {"getcurrent", module_getcurrent, METH_NOARGS, getcurrent_doc},
    {"getmain", module_getmain, METH_NOARGS, getmain_doc},
    {"getruncount", module_getruncount, METH_NOARGS, getruncount_doc},
    {"getcurrentid", module_getcurrentid, METH_NOARGS, getcurrentid_doc},
    {"set_schedule_callback", slp_set_schedule_callback, METH_O, slp_set_schedule_callback_doc},
    {"get_schedule_callback", slp_get_schedule_callback, METH_NOARGS, slp_get_schedule_callback_doc},
    {"set_channel_callback", slp_set_channel_callback, METH_O, slp_set_channel_callback_doc},
    {"get_channel_callback", slp_get_channel_callback, METH_NOARGS, slp_get_channel_callback_doc},
    {"set_error_handler", _PyCFunction_CAST(slp_set_error_handler), METH_FASTCALL, slp_set_error_handler_doc},
    {"switch_trap", _PyCFunction_CAST(slp_switch_trap), METH_FASTCALL | METH_KEYWORDS, slp_switch_trap_doc},
    {"tasklets", slp_module_tasklets, METH_NOARGS, slp_tasklets_doc},
    {"getuncollectables", slp_module_getuncollectables, METH_NOARGS, slp_getuncollectables_doc},
    {"getthreads", slp_module_getthreads, METH_NOARGS, slp_getthreads_doc},
    {"get_thread_info", _PyCFunction_CAST(slp_module_get_thread_info), METH_FASTCALL | METH_KEYWORDS,
     slp_get_thread_info_doc},
    {"getdebug", slp_module_getdebug, METH_NOARGS, slp_getdebug_doc},
    {"enable_softswitch", slp_module_enable_softswitch, METH_O, slp_enable_softswitch_doc},
    {"set_accounting", slp_module_set_accounting, METH_O, slp_set_accounting_doc},
    {"pickle_flags", _PyCFunction_CAST(slp_module_pickle_flags),
     METH_FASTCALL | METH_KEYWORDS, slp_pickle_flags_doc},
    {"pickle_flags_default", _PyCFunction_CAST(slp_module_pickle_flags_default),
     METH_FASTCALL | METH_KEYWORDS,
     slp_pickle_flags_default_doc},
    {"_tasklet_get_unpicklable_state", slp_module_unpicklable_state, METH_O, slp_unpicklable_state_doc},
    {"_stack_map", slp_module_stack_map, METH_O, slp_stack_map_doc},
    {"_c_stack_pointer", module_c_stack_pointer, METH_NOARGS, c_stack_pointer_doc},
    {NULL},
};

static int
module_exec(PyObject *module)
{
    if (slp_bomb_init() < 0 || slp_scheduler_init() < 0 || slp_channel_init() < 0)
        return -1;
    if (PyModule_AddType(module, &PyTasklet_Type) < 0 || PyModule_AddType(module, &PyChannel_Type) < 0
        || PyModule_AddType(module, &slp_bomb_type) < 0 || PyModule_AddType(module, &slp_atomic_type) < 0)
        return -1;
    if (slp_soft_module_init() < 0 || slp_add_pickle_flags(module) < 0 || slp_wrap_init(module) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
    {0, NULL},
};

PyDoc_STRVAR(module_doc,
"Tasklets, channels and their scheduler.  Programs import `stackless`, which\n"
"shows all of this.");

/* All state belongs to threads (slp_thread.h), so the module has none. */
static PyModuleDef module_def = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_stackless",
    .m_doc = module_doc,
    .m_methods = module_methods,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__stackless(void)
{
    return PyModuleDef_Init(&module_def);
}
