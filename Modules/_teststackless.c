/* Test extension: each name of stackless_api.h as a function of the same name that Python code can call.
 *
 * It is compiled with the public headers alone, as any extension is.  NULL, an object of this module, stands
 * for a NULL argument.  outside() calls such functions from C code that no Python code has called.
 */
#define PY_SSIZE_T_CLEAN
#include "stackless_api.h"

#include "pythread.h"

/* --- arguments and results --- */

static PyObject *null_object;

/* An argument, borrowed, or NULL for the object that stands for it. */
static PyObject *
object(PyObject *arg)
{
    return arg == null_object ? NULL : arg;
}

static PyObject *
from_object(void *result)
{
    return (PyObject *)result;
}

static PyObject *
from_int(int result)
{
    return result == -1 && PyErr_Occurred() ? NULL : PyLong_FromLong(result);
}

/* Of a function that ends in _nr: None, or what the interpreter wants to see. */
static PyObject *
from_status(int result)
{
    if (result == 1)
        return Py_UnwindToken;
    return result == 0 ? Py_NewRef(Py_None) : NULL;
}

/* Of a function that answers NULL also without an exception. */
static PyObject *
from_optional(void *result)
{
    return result != NULL || PyErr_Occurred() ? (PyObject *)result : Py_NewRef(Py_None);
}

static int
has_count(const char *name, Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%s() takes %zd arguments, not %zd", name, wanted, given);
    return 0;
}

#define O(i) object(args[i])
#define TASKLET(i) ((PyTaskletObject *)O(i))
#define CHANNEL(i) ((PyChannelObject *)O(i))
#define INT(i) ((int)PyLong_AsLong(args[i]))

/* --- data of the host --- */

/* What is tied to a tasklet here is an object; this is called with it when the tie ends. */
static void
call_and_drop(void *data)
{
    PyObject *result = PyObject_CallNoArgs((PyObject *)data);
    if (result == NULL)
        PyErr_WriteUnraisable((PyObject *)data);
    Py_XDECREF(result);
    Py_DECREF((PyObject *)data);
}

/* (tasklet, callable): it is called at the end; (tasklet, NULL): untie. */
static PyObject *
set_user_data(PyTaskletObject *task, PyObject *data)
{
    if (PyTasklet_SetUserData(task, data, data != NULL ? call_and_drop : NULL) < 0)
        return NULL;
    Py_XINCREF(data);
    Py_RETURN_NONE;
}

static PyObject *
get_user_data(PyTaskletObject *task)
{
    return from_optional(Py_XNewRef((PyObject *)PyTasklet_GetUserData(task)));
}

/* --- the fast callback --- */

static PyObject *hook_log;

/* Note who is switched to. */
static int
note_switch(PyTaskletObject *prev, PyTaskletObject *next)
{
    PyObject *pair = PyTuple_Pack(2, prev, next);
    int status = pair != NULL ? PyList_Append(hook_log, pair) : -1;
    Py_XDECREF(pair);
    return status;
}

/* Do what is forbidden. */
static int
switch_inside(PyTaskletObject *prev, PyTaskletObject *next)
{
    PyObject *result = PyStackless_Schedule(NULL, 0);
    (void)prev;
    (void)next;
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Fail without saying why. */
static int
fail_silently(PyTaskletObject *prev, PyTaskletObject *next)
{
    (void)prev;
    (void)next;
    return 1;
}

/* NULL, a list that takes (prev, next), or the name of a misdeed. */
static PyObject *
set_fast_callback(PyObject *arg)
{
    slp_schedule_hook_func *hook = NULL;
    if (arg != NULL && PyList_Check(arg)) {
        Py_XSETREF(hook_log, Py_NewRef(arg));
        hook = note_switch;
    }
    else if (arg != NULL) {
        hook = PyUnicode_CompareWithASCIIString(arg, "switch") == 0 ? switch_inside : fail_silently;
    }
    return from_int(PyStackless_SetScheduleFastcallback(hook));
}

/* --- the rest that needs more than a line --- */

static PyObject *
try_receive(PyChannelObject *channel, int with_place)
{
    PyObject *value = NULL;
    int status = PyChannel_TryReceive(channel, with_place ? &value : NULL);
    if (status < 0)
        return NULL;
    return status ? Py_BuildValue("(iN)", 1, value) : Py_BuildValue("(i)", 0);
}

/* The last report, as a dict. */
static PyObject *
describe(const PyStackless_RunReport *report)
{
    PyObject *interrupted = report->interrupted != NULL ? (PyObject *)report->interrupted : Py_None;
    PyObject *overran = report->overran != NULL ? (PyObject *)report->overran : Py_None;
    return Py_BuildValue("{s:d,s:d,s:O,s:O,s:i,s:i,s:K}", "elapsed", report->elapsed, "overshoot",
                         report->overshoot, "interrupted", interrupted, "overran", overran, "runnable",
                         report->runnable, "blocked", report->blocked, "switches", report->switches);
}

/* (seconds, flags, size of the report; 0: the right one, NULL: no report): the status, with a report
 * (status, report); an exception gets the report as an attribute. */
static PyObject *
run_budget(double seconds, int flags, PyObject *size)
{
    PyStackless_RunReport report;
    PyObject *described, *type, *value, *traceback;
    int status;
    if (PyErr_Occurred())
        return NULL;
    if (size == NULL)
        return from_int(PyStackless_RunBudget(seconds, flags, NULL));
    report.size = PyLong_AsSize_t(size);
    if (report.size != 0) {
        status = PyStackless_RunBudget(seconds, flags, &report);
        return from_int(status);
    }
    report.size = sizeof(report);
    status = PyStackless_RunBudget(seconds, flags, &report);
    PyErr_Fetch(&type, &value, &traceback);
    described = describe(&report);
    PyStackless_ClearRunReport(&report);
    if (status >= 0)
        return described != NULL ? Py_BuildValue("(iN)", status, described) : NULL;
    PyErr_NormalizeException(&type, &value, &traceback);
    if (described == NULL || PyObject_SetAttrString(value, "report", described) < 0)
        PyErr_Clear();
    Py_XDECREF(described);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

/* Do the references go?  They are taken here. */
static PyObject *
clear_report(PyObject *one, PyObject *other)
{
    PyStackless_RunReport report;
    report.size = sizeof(report);
    report.interrupted = (PyTaskletObject *)Py_NewRef(one);
    report.overran = (PyTaskletObject *)Py_NewRef(other);
    PyStackless_ClearRunReport(&report);
    return PyBool_FromLong(report.interrupted == NULL && report.overran == NULL);
}

/* The id with the GIL, and without it. */
static PyObject *
current_ids(void)
{
    unsigned long with_gil = PyStackless_GetCurrentId(), without_gil;
    Py_BEGIN_ALLOW_THREADS
    without_gil = PyStackless_GetCurrentId();
    Py_END_ALLOW_THREADS
    return Py_BuildValue("(kk)", with_gil, without_gil);
}

/* (exception or NULL): None if the handler has dealt with it. */
static PyObject *
call_error_handler(PyObject *exception)
{
    if (exception != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    return PyStackless_CallErrorHandler() == 0 ? Py_NewRef(Py_None) : NULL;
}

/* A C method, for PyStackless_CallCMethod_Main(). */
static PyObject *
pair_with(PyObject *self, PyObject *args)
{
    return PyTuple_Pack(2, self, args);
}

static PyMethodDef pair_method = {"pair_with", pair_with, METH_VARARGS, NULL};

/* (object, name, string, int), as name("string", int); name alone; or without anything. */
static PyObject *
call_method_main(PyObject *o, PyObject *name, PyObject *text, PyObject *number)
{
    const char *method = name != NULL ? PyUnicode_AsUTF8(name) : NULL;
    if (text == NULL)
        return PyStackless_CallMethod_Main(o, method, number == NULL ? NULL : "l",
                                           number == NULL ? 0L : PyLong_AsLong(number));
    return PyStackless_CallMethod_Main(o, method, "s#l", PyUnicode_AsUTF8(text), PyUnicode_GetLength(text),
                                       PyLong_AsLong(number));
}

/* --- the functions --- */

#define PLAIN METH_FASTCALL
#define SOFT (METH_FASTCALL | METH_STACKLESS)

/* name, flags, number of arguments, result */
#define FUNCTIONS(X)                                                                                         \
    X(PyTasklet_Check, PLAIN, 1, PyBool_FromLong(PyTasklet_Check(O(0))))                                     \
    X(PyTasklet_CheckExact, PLAIN, 1, PyBool_FromLong(PyTasklet_CheckExact(O(0))))                           \
    X(PyTasklet_Type, PLAIN, 0, Py_NewRef((PyObject *)&PyTasklet_Type))                                      \
    X(PyChannel_Check, PLAIN, 1, PyBool_FromLong(PyChannel_Check(O(0))))                                     \
    X(PyChannel_CheckExact, PLAIN, 1, PyBool_FromLong(PyChannel_CheckExact(O(0))))                           \
    X(PyChannel_Type, PLAIN, 0, Py_NewRef((PyObject *)&PyChannel_Type))                                      \
    X(Py_UnwindToken, PLAIN, 0, PyBool_FromLong(Py_UnwindToken != NULL))                                     \
    X(STACKLESS_UNWINDING, PLAIN, 1,                                                                         \
      PyBool_FromLong(STACKLESS_UNWINDING(args[0] == Py_None ? Py_UnwindToken : O(0))))                      \
    X(PyTasklet_New, PLAIN, 2, from_object(PyTasklet_New((PyTypeObject *)O(0), O(1))))                       \
    X(PyTasklet_Setup, PLAIN, 3, from_int(PyTasklet_Setup(TASKLET(0), O(1), O(2))))                          \
    X(PyTasklet_Bind, PLAIN, 2, from_int(PyTasklet_Bind(TASKLET(0), O(1))))                                  \
    X(PyTasklet_BindEx, PLAIN, 4, from_int(PyTasklet_BindEx(TASKLET(0), O(1), O(2), O(3))))                  \
    X(PyTasklet_BindThread, PLAIN, 2,                                                                        \
      from_int(PyTasklet_BindThread(TASKLET(0), PyLong_AsUnsignedLongMask(args[1]))))                        \
    X(PyTasklet_Run, PLAIN, 1, from_int(PyTasklet_Run(TASKLET(0))))                                          \
    X(PyTasklet_Run_nr, SOFT, 1, from_status(PyTasklet_Run_nr(TASKLET(0))))                                  \
    X(PyTasklet_Switch, PLAIN, 1, from_int(PyTasklet_Switch(TASKLET(0))))                                    \
    X(PyTasklet_Switch_nr, SOFT, 1, from_status(PyTasklet_Switch_nr(TASKLET(0))))                            \
    X(PyTasklet_Insert, PLAIN, 1, from_int(PyTasklet_Insert(TASKLET(0))))                                    \
    X(PyTasklet_Remove, PLAIN, 1, from_int(PyTasklet_Remove(TASKLET(0))))                                    \
    X(PyTasklet_RaiseException, PLAIN, 3, from_int(PyTasklet_RaiseException(TASKLET(0), O(1), O(2))))        \
    X(PyTasklet_Throw, PLAIN, 5, from_int(PyTasklet_Throw(TASKLET(0), INT(1), O(2), O(3), O(4))))            \
    X(PyTasklet_Kill, PLAIN, 1, from_int(PyTasklet_Kill(TASKLET(0))))                                        \
    X(PyTasklet_KillEx, PLAIN, 2, from_int(PyTasklet_KillEx(TASKLET(0), INT(1))))                            \
    X(PyTasklet_GetAtomic, PLAIN, 1, from_int(PyTasklet_GetAtomic(TASKLET(0))))                              \
    X(PyTasklet_SetAtomic, PLAIN, 2, from_int(PyTasklet_SetAtomic(TASKLET(0), INT(1))))                      \
    X(PyTasklet_GetIgnoreNesting, PLAIN, 1, from_int(PyTasklet_GetIgnoreNesting(TASKLET(0))))                \
    X(PyTasklet_SetIgnoreNesting, PLAIN, 2, from_int(PyTasklet_SetIgnoreNesting(TASKLET(0), INT(1))))        \
    X(PyTasklet_GetBlockTrap, PLAIN, 1, from_int(PyTasklet_GetBlockTrap(TASKLET(0))))                        \
    X(PyTasklet_SetBlockTrap, PLAIN, 2, from_int(PyTasklet_SetBlockTrap(TASKLET(0), INT(1))))                \
    X(PyTasklet_GetPendingIrq, PLAIN, 1, from_int(PyTasklet_GetPendingIrq(TASKLET(0))))                      \
    X(PyTasklet_GetFrame, PLAIN, 1, from_optional(PyTasklet_GetFrame(TASKLET(0))))                           \
    X(PyTasklet_IsMain, PLAIN, 1, from_int(PyTasklet_IsMain(TASKLET(0))))                                    \
    X(PyTasklet_IsCurrent, PLAIN, 1, from_int(PyTasklet_IsCurrent(TASKLET(0))))                              \
    X(PyTasklet_Alive, PLAIN, 1, from_int(PyTasklet_Alive(TASKLET(0))))                                      \
    X(PyTasklet_Paused, PLAIN, 1, from_int(PyTasklet_Paused(TASKLET(0))))                                    \
    X(PyTasklet_Scheduled, PLAIN, 1, from_int(PyTasklet_Scheduled(TASKLET(0))))                              \
    X(PyTasklet_GetBlocked, PLAIN, 1, from_int(PyTasklet_GetBlocked(TASKLET(0))))                            \
    X(PyTasklet_Restorable, PLAIN, 1, from_int(PyTasklet_Restorable(TASKLET(0))))                            \
    X(PyTasklet_GetRecursionDepth, PLAIN, 1, from_int(PyTasklet_GetRecursionDepth(TASKLET(0))))              \
    X(PyTasklet_GetNestingLevel, PLAIN, 1, from_int(PyTasklet_GetNestingLevel(TASKLET(0))))                  \
    X(PyTasklet_SetUserData, PLAIN, 2, set_user_data(TASKLET(0), O(1)))                                      \
    X(PyTasklet_GetUserData, PLAIN, 1, get_user_data(TASKLET(0)))                                            \
    X(PyChannel_New, PLAIN, 1, from_object(PyChannel_New((PyTypeObject *)O(0))))                             \
    X(PyChannel_Send, PLAIN, 2, from_int(PyChannel_Send(CHANNEL(0), O(1))))                                  \
    X(PyChannel_Send_nr, SOFT, 2, from_status(PyChannel_Send_nr(CHANNEL(0), O(1))))                          \
    X(PyChannel_Receive, PLAIN, 1, PyChannel_Receive(CHANNEL(0)))                                            \
    X(PyChannel_Receive_nr, SOFT, 1, PyChannel_Receive_nr(CHANNEL(0)))                                       \
    X(PyChannel_SendException, PLAIN, 3, from_int(PyChannel_SendException(CHANNEL(0), O(1), O(2))))          \
    X(PyChannel_SendThrow, PLAIN, 4, from_int(PyChannel_SendThrow(CHANNEL(0), O(1), O(2), O(3))))            \
    X(PyChannel_TrySend, PLAIN, 2, from_int(PyChannel_TrySend(CHANNEL(0), O(1))))                            \
    X(PyChannel_TryReceive, PLAIN, 2, try_receive(CHANNEL(0), O(1) != NULL))                                 \
    X(PyChannel_GetQueue, PLAIN, 1, PyChannel_GetQueue(CHANNEL(0)))                                          \
    X(PyChannel_Close, PLAIN, 1, from_int(PyChannel_Close(CHANNEL(0))))                                      \
    X(PyChannel_Open, PLAIN, 1, from_int(PyChannel_Open(CHANNEL(0))))                                        \
    X(PyChannel_GetClosing, PLAIN, 1, from_int(PyChannel_GetClosing(CHANNEL(0))))                            \
    X(PyChannel_GetClosed, PLAIN, 1, from_int(PyChannel_GetClosed(CHANNEL(0))))                              \
    X(PyChannel_GetPreference, PLAIN, 1, from_int(PyChannel_GetPreference(CHANNEL(0))))                      \
    X(PyChannel_SetPreference, PLAIN, 2, from_int(PyChannel_SetPreference(CHANNEL(0), INT(1))))              \
    X(PyChannel_GetScheduleAll, PLAIN, 1, from_int(PyChannel_GetScheduleAll(CHANNEL(0))))                    \
    X(PyChannel_SetScheduleAll, PLAIN, 2, from_int(PyChannel_SetScheduleAll(CHANNEL(0), INT(1))))            \
    X(PyChannel_GetBalance, PLAIN, 1, from_int(PyChannel_GetBalance(CHANNEL(0))))                            \
    X(PyStackless_Schedule, PLAIN, 2, PyStackless_Schedule(O(0), INT(1)))                                    \
    X(PyStackless_Schedule_nr, SOFT, 2, PyStackless_Schedule_nr(O(0), INT(1)))                               \
    X(PyStackless_GetCurrent, PLAIN, 0, PyStackless_GetCurrent())                                            \
    X(PyStackless_GetCurrentId, PLAIN, 0, current_ids())                                                     \
    X(PyStackless_GetRunCount, PLAIN, 0, from_int(PyStackless_GetRunCount()))                                \
    X(PyStackless_GetBlockedCount, PLAIN, 0, from_int(PyStackless_GetBlockedCount()))                        \
    X(PyStackless_RunWatchdog, PLAIN, 1, PyStackless_RunWatchdog(INT(0)))                                    \
    X(PyStackless_RunWatchdogEx, PLAIN, 2, PyStackless_RunWatchdogEx(INT(0), INT(1)))                        \
    X(PyStackless_RunBudget, PLAIN, 3, run_budget(PyFloat_AsDouble(args[0]), INT(1), O(2)))                  \
    X(PyStackless_ClearRunReport, PLAIN, 2, clear_report(O(0), O(1)))                                        \
    X(PyStackless_SetChannelCallback, PLAIN, 1, from_int(PyStackless_SetChannelCallback(O(0))))              \
    X(PyStackless_SetScheduleCallback, PLAIN, 1, from_int(PyStackless_SetScheduleCallback(O(0))))            \
    X(PyStackless_SetScheduleFastcallback, PLAIN, 1, set_fast_callback(O(0)))                                \
    X(PyStackless_AdjustSwitchTrap, PLAIN, 1, from_int(PyStackless_AdjustSwitchTrap(INT(0))))                \
    X(PyStackless_CallErrorHandler, PLAIN, 1, call_error_handler(O(0)))                                      \
    X(PyStackless_Call_Main, PLAIN, 3, PyStackless_Call_Main(O(0), O(1), O(2)))                              \
    X(PyStackless_CallMethod_Main, PLAIN, 4, call_method_main(O(0), O(1), O(2), O(3)))                       \
    X(PyStackless_CallCMethod_Main, PLAIN, 3,                                                                \
      PyStackless_CallCMethod_Main(O(0) != NULL ? &pair_method : NULL, O(1), O(2) == NULL ? "" : "O", O(2))) \
    X(PyStackless_kill_tasks_with_stacks, PLAIN, 1, from_int(PyStackless_kill_tasks_with_stacks(INT(0))))

#define DEFINE(name, flags, count, result)                                                                   \
    static PyObject *wrapped_##name(PyObject *module, PyObject *const *args, Py_ssize_t nargs)               \
    {                                                                                                        \
        (void)module;                                                                                        \
        (void)args;                                                                                          \
        return has_count(#name, nargs, count) ? (result) : NULL;                                             \
    }
FUNCTIONS(DEFINE)

/* --- calls from outside --- */

typedef PyObject *(*wrapper)(PyObject *, PyObject *const *, Py_ssize_t);

static const struct {
    const char *name;
    wrapper function;
} table[] = {
#define NAME(name, flags, count, result) {#name, wrapped_##name},
    FUNCTIONS(NAME)
    {NULL, NULL},
};

/* What a thread is to do, and what came of it. */
typedef struct {
    PyObject *calls;                   /* a sequence of tuples (name, argument, ...) */
    PyObject *results;                 /* a list, or NULL with the exception below */
    PyObject *exception[3];
    PyInterpreterState *interp;
    PyThread_type_lock done;
} mission;

static PyObject *
call_one(PyObject *call)
{
    PyObject *name = PyTuple_GetItem(call, 0);
    PyObject *args[8];
    Py_ssize_t nargs = PyTuple_Size(call) - 1, i;
    if (name == NULL || nargs > 8)
        return NULL;
    for (i = 0; i < nargs; i++)
        args[i] = PyTuple_GetItem(call, i + 1);
    for (i = 0; table[i].name != NULL; i++)
        if (PyUnicode_CompareWithASCIIString(name, table[i].name) == 0)
            return table[i].function(NULL, args, nargs);
    PyErr_SetObject(PyExc_NameError, name);
    return NULL;
}

static void
carry_out(void *arg)
{
    mission *m = (mission *)arg;
    PyGILState_STATE state = PyGILState_Ensure();
    Py_ssize_t i;
    m->results = PyList_New(0);
    for (i = 0; m->results != NULL && i < PySequence_Size(m->calls); i++) {
        PyObject *call = PySequence_GetItem(m->calls, i);
        PyObject *result = call != NULL ? call_one(call) : NULL;
        if (result == NULL || PyList_Append(m->results, result) < 0)
            Py_CLEAR(m->results);
        Py_XDECREF(result);
        Py_XDECREF(call);
    }
    PyErr_Fetch(&m->exception[0], &m->exception[1], &m->exception[2]);
    PyGILState_Release(state);
    PyThread_release_lock(m->done);
}

/* outside(calls): make the calls [(name, argument, ...), ...] one after the other in a new thread that no
 * Python code has made or runs in; the list of their results.  The first exception is raised here. */
static PyObject *
outside(PyObject *module, PyObject *calls)
{
    mission m = {NULL, NULL, {NULL, NULL, NULL}, NULL, NULL};
    (void)module;
    m.calls = calls;
    m.done = PyThread_allocate_lock();
    if (m.done == NULL)
        return PyErr_NoMemory();
    PyThread_acquire_lock(m.done, WAIT_LOCK);
    if (PyThread_start_new_thread(carry_out, &m) == (unsigned long)-1) {
        PyThread_free_lock(m.done);
        PyErr_SetString(PyExc_RuntimeError, "cannot start a thread");
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS
    PyThread_acquire_lock(m.done, WAIT_LOCK);
    Py_END_ALLOW_THREADS
    PyThread_free_lock(m.done);
    if (m.results == NULL)
        PyErr_Restore(m.exception[0], m.exception[1], m.exception[2]);
    return m.results;
}

/* --- the module --- */

static PyMethodDef methods[] = {
#define METHOD(name, flags, count, result) {#name, (PyCFunction)(void (*)(void))wrapped_##name, flags, NULL},
    FUNCTIONS(METHOD)
    {"outside", outside, METH_O, "Call functions from C code that no Python code has called."},
    {NULL, NULL, 0, NULL},
};

static const struct {
    const char *name;
    int value;
} constants[] = {
#define CONSTANT(name) {#name, name}
    CONSTANT(STACKLESS_API_VERSION),
    CONSTANT(Py_WATCHDOG_THREADBLOCK),
    CONSTANT(Py_WATCHDOG_SOFT),
    CONSTANT(Py_WATCHDOG_IGNORE_NESTING),
    CONSTANT(Py_WATCHDOG_TOTALTIMEOUT),
    CONSTANT(PY_WATCHDOG_THREADBLOCK),
    CONSTANT(PY_WATCHDOG_SOFT),
    CONSTANT(PY_WATCHDOG_IGNORE_NESTING),
    CONSTANT(PY_WATCHDOG_TOTALTIMEOUT),
    CONSTANT(PyStackless_BUDGET_REMOVE),
    {NULL, 0},
};

static int
execute(PyObject *module)
{
    int i;
    if (null_object == NULL)
        null_object = PyUnicode_FromString("NULL, the pointer");
    if (null_object == NULL || PyModule_AddObjectRef(module, "NULL", null_object) < 0)
        return -1;
    for (i = 0; constants[i].name != NULL; i++)
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) < 0)
            return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_teststackless",
    "The functions of stackless_api.h, for tests.",
    0,
    methods,
    slots,
    NULL,
    NULL,
    NULL,
};

PyMODINIT_FUNC
PyInit__teststackless(void)
{
    return PyModuleDef_Init(&definition);
}
