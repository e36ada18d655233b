/* Calls from outside: C code that no Python code has called runs something in the thread's main tasklet; and
 * the end of the tasklets that are inside of C functions. */
#include "slp_capi.h"

/* Does C code run here that neither Python code nor a tasklet has called?  False with RuntimeError. */
static bool
is_outside(const char *function)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL)
        return false;
    if (th->current == th->main && th->next == NULL && th->tstate->cframe == &th->tstate->root_cframe)
        return true;
    PyErr_Format(PyExc_RuntimeError, "%s(): Python code runs in this thread already", function);
    return false;
}

/* All three functions.  Steals `func` and `args`, either of which is NULL with an exception. */
static PyObject *
call_main(const char *function, PyObject *func, PyObject *args, PyObject *kwds)
{
    PyObject *result = func != NULL && args != NULL && is_outside(function) ? PyObject_Call(func, args, kwds)
                                                                            : NULL;
    Py_XDECREF(func);
    Py_XDECREF(args);
    return result;
}

PyObject *
PyStackless_Call_Main(PyObject *func, PyObject *args, PyObject *kwds)
{
    if (!slp_capi_is_call("PyStackless_Call_Main", args, kwds))
        return NULL;
    if (func == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyStackless_Call_Main(): func is NULL");
        return NULL;
    }
    return call_main("PyStackless_Call_Main", Py_NewRef(func), slp_capi_args(args), kwds);
}

/* The arguments that a format describes, as a tuple.  NULL with an exception. */
static PyObject *
build_args(const char *format, va_list values)
{
    if (format == NULL || *format == '\0')
        return PyTuple_New(0);
    PyObject *built = Py_VaBuildValue(format, values);
    if (built == NULL || PyTuple_Check(built))
        return built;
    PyObject *args = PyTuple_Pack(1, built);
    Py_DECREF(built);
    return args;
}

PyObject *
PyStackless_CallMethod_Main(PyObject *o, const char *name, const char *format, ...)
{
    va_list values;
    if (o == NULL || name == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyStackless_CallMethod_Main(): the object or its method is NULL");
        return NULL;
    }
    va_start(values, format);
    PyObject *args = build_args(format, values);
    va_end(values);
    PyObject *method = args != NULL ? PyObject_GetAttrString(o, name) : NULL;
    return call_main("PyStackless_CallMethod_Main", method, args, NULL);
}

PyObject *
PyStackless_CallCMethod_Main(PyMethodDef *meth, PyObject *self, const char *format, ...)
{
    va_list values;
    if (meth == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyStackless_CallCMethod_Main(): the method is NULL");
        return NULL;
    }
    va_start(values, format);
    PyObject *args = build_args(format, values);
    va_end(values);
    PyObject *method = args != NULL ? PyCFunction_New(meth, self) : NULL;
    return call_main("PyStackless_CallCMethod_Main", method, args, NULL);
}

/* --- the end --- */

/* Let the pinned tasklets of another thread end when they run next.  -1 with an exception. */
static int
end_pending(slp_thread *th)
{
    PyObject *list = slp_carrier_list_pinned(th);
    int status = list != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; status == 0 && i < PyList_GET_SIZE(list); i++)
        status = PyTasklet_KillEx((PyTaskletObject *)PyList_GET_ITEM(list, i), 1);
    Py_XDECREF(list);
    return status;
}

/* The same for all threads but this one.  Threads may end while that goes on. */
static int
end_others(slp_thread *th)
{
    PyThreadState *first = PyInterpreterState_ThreadHead(th->tstate->interp);
    size_t count = 0;
    for (PyThreadState *p = first; p != NULL; p = PyThreadState_Next(p))
        count++;
    slp_thread **others = PyMem_New(slp_thread *, count);
    if (others == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    count = 0;
    for (PyThreadState *p = first; p != NULL; p = PyThreadState_Next(p)) {
        slp_thread *other = slp_thread_peek(p);
        if (other != NULL && other != th && other->has_carriers)
            others[count++] = slp_thread_hold(other);
    }
    int status = 0;
    for (size_t i = 0; i < count; i++) {
        if (status == 0 && others[i]->tstate != NULL)
            status = end_pending(others[i]);
        slp_thread_release(others[i]);
    }
    PyMem_Free(others);
    return status;
}

int
PyStackless_kill_tasks_with_stacks(int allthreads)
{
    bool soft;
    slp_thread *th = slp_scheduler_enter(&soft);
    if (th == NULL)
        return -1;
    slp_pinned_end_all(th);
    return allthreads ? end_others(th) : 0;
}
