/* An extension as they were written for historic Stackless: one header, and the macros of its time. */
#include <Python.h>
#ifdef STACKLESS
#include "stackless_api.h"
#endif

/* spawn(function, *args): a new tasklet that calls it. */
static PyObject *
spawn(PyObject *self, PyObject *args)
{
    PyTaskletObject *task = NULL;
    PyObject *rest = PyTuple_GetSlice(args, 1, PyTuple_GET_SIZE(args));
    if (rest != NULL)
        task = PyTasklet_New(NULL, PyTuple_GET_ITEM(args, 0));
    if (task != NULL && PyTasklet_Setup(task, rest, NULL)) {
        Py_DECREF(task);
        task = NULL;
    }
    Py_XDECREF(rest);
    return (PyObject *)task;
}

/* wait(channel): what is received there. */
static PyObject *
wait(PyObject *self, PyObject *arg)
{
    STACKLESS_GETARG();
    if (!PyChannel_Check(arg)) {
        PyErr_SetString(PyExc_TypeError, "wait() wants a channel");
        return NULL;
    }
    STACKLESS_PROMOTE_ALL();
    return PyChannel_Receive_nr((PyChannelObject *)arg);
}

/* relay(source, target): receive, and send on. */
static PyObject *
relay(PyObject *self, PyObject *args)
{
    STACKLESS_GETARG();
    PyChannelObject *source, *target;
    PyObject *value;
    int ret;
    if (!PyArg_ParseTuple(args, "O!O!:relay", &PyChannel_Type, &source, &PyChannel_Type, &target))
        return NULL;
    if ((value = PyChannel_Receive(source)) == NULL)
        return NULL;
    STACKLESS_PROMOTE_ALL();
    ret = PyChannel_Send_nr(target, value);
    Py_DECREF(value);
    if (ret < 0)
        return NULL;
    if (ret > 0)
        return Py_UnwindToken;
    Py_INCREF(Py_None);
    return Py_None;
}

/* apply(callable): call it. */
static PyObject *
apply(PyObject *self, PyObject *callable)
{
    STACKLESS_GETARG();
    PyObject *noargs = PyTuple_New(0), *retval;
    if (noargs == NULL)
        return NULL;
    STACKLESS_PROMOTE(callable);
    retval = PyObject_Call(callable, noargs, NULL);
    STACKLESS_ASSERT();
    Py_DECREF(noargs);
    if (STACKLESS_UNWINDING(retval))
        return retval;
    return retval;
}

/* pump(timeout): run for so many instructions at most; the name of who was interrupted is not told. */
static PyObject *
pump(PyObject *self, PyObject *args)
{
    long timeout;
    PyObject *victim;
    if (!PyArg_ParseTuple(args, "l:pump", &timeout))
        return NULL;
    victim = PyStackless_RunWatchdogEx(timeout, PY_WATCHDOG_TOTALTIMEOUT | PY_WATCHDOG_IGNORE_NESTING);
    if (victim == NULL)
        return NULL;
    if (PyTasklet_Check(victim)) {
        PyTaskletObject *t = (PyTaskletObject *)victim;
        PyTasklet_SetBlockTrap(t, 0);
        if (PyTasklet_Insert(t)) {
            Py_DECREF(victim);
            return NULL;
        }
    }
    Py_DECREF(victim);
    return PyLong_FromLong(PyStackless_GetRunCount());
}

static int switches;

static int
count(PyTaskletObject *from, PyTaskletObject *to)
{
    switches += from != to;
    return 0;
}

/* counted(): switches that were seen while it was on; it is off now if it was on, and on if it was off. */
static PyObject *
counted(PyObject *self, PyObject *noargs)
{
    static slp_schedule_hook_func *hook;
    int seen = switches;
    switches = 0;
    hook = hook == NULL ? count : NULL;
    PyStackless_SetScheduleFastcallback(hook);
    return PyLong_FromLong(seen);
}

static PyMethodDef methods[] = {
    {"spawn", spawn, METH_VARARGS, NULL},
    {"wait", wait, METH_O | METH_STACKLESS, NULL},
    {"relay", relay, METH_VARARGS | METH_STACKLESS, NULL},
    {"apply", apply, METH_O | METH_STACKLESS, NULL},
    {"pump", pump, METH_VARARGS, NULL},
    {"counted", counted, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "historic_extension", NULL, -1, methods};

PyMODINIT_FUNC
PyInit_historic_extension(void)
{
    return PyModule_Create(&definition);
}
