/* The life of an slp_interp: made on first use, emptied when the interpreter's dict goes. */
#include "slp_interp.h"

#include "slp_shims.h"
#include "slp_thread.h"

static const char capsule_name[] = "_stackless.interpreter";

void
slp_interp_release(slp_interp *si)
{
    if (--si->holders == 0) {
        PyMem_RawFree(si);
    }
}

/* The interpreter ends. */
static void
detach(PyObject *capsule)
{
    slp_interp *si = PyCapsule_GetPointer(capsule, capsule_name);
    si->watch = 0;
    si->schedule_hook = NULL;
    Py_CLEAR(si->schedule_callback);
    Py_CLEAR(si->channel_callback);
    Py_CLEAR(si->error_handler);
    Py_CLEAR(si->base_function);
    slp_interp_release(si);
}

slp_interp *
slp_interp_get(PyInterpreterState *interp)
{
    PyObject *dict = PyInterpreterState_GetDict(interp);
    if (dict == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    PyObject *name = PyUnicode_FromString(capsule_name);
    PyObject *capsule = name != NULL ? PyDict_GetItemWithError(dict, name) : NULL;
    Py_XDECREF(name);
    if (capsule != NULL) {
        return PyCapsule_GetPointer(capsule, capsule_name);
    }
    if (PyErr_Occurred()) {
        return NULL;
    }
    slp_interp *si = PyMem_RawCalloc(1, sizeof(slp_interp));
    if (si == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    si->holders = 1;
    capsule = PyCapsule_New(si, capsule_name, detach);
    if (capsule == NULL) {
        slp_interp_release(si);
        return NULL;
    }
    int status = PyDict_SetItemString(dict, capsule_name, capsule);
    Py_DECREF(capsule);
    return status == 0 ? si : NULL;
}

PyFunctionObject *
slp_interp_base_function(slp_interp *si)
{
    if (si->base_function == NULL) {
        /* The collector would run any code while somebody builds frames. */
        int collecting = PyGC_Disable();
        PyObject *builtins = _PyThreadState_GET()->interp->builtins;
        PyObject *globals = PyDict_New();
        if (globals != NULL && PyDict_SetItem(globals, &_Py_ID(__builtins__), builtins) == 0) {
            si->base_function = PyFunction_New((PyObject *)slp_shim_tasklet, globals);
        }
        Py_XDECREF(globals);
        if (collecting) {
            PyGC_Enable();
        }
    }
    return (PyFunctionObject *)si->base_function;
}

void
slp_interp_watch(PyInterpreterState *interp, int bit, bool on)
{
    slp_interp *si = slp_interp_get(interp);
    if (si == NULL) {
        PyErr_Clear();   /* the caller has it already: cannot be */
        return;
    }
    si->watch = on ? si->watch | bit : si->watch & ~bit;
    for (PyThreadState *p = PyInterpreterState_ThreadHead(interp); p != NULL; p = PyThreadState_Next(p)) {
        slp_thread *th = slp_thread_peek(p);
        if (th != NULL) {
            th->watch = on ? th->watch | bit : th->watch & ~bit;
        }
    }
}
