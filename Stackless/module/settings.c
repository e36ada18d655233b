/* Settings of an interpreter and its threads: soft switching, what pickling keeps, debug. */
#include "slp_module.h"

const char slp_enable_softswitch_doc[] =
"enable_softswitch($module, flag, /)\n"
"--\n\n"
"Switch tasklets without a C stack where possible (the default), or, if flag is\n"
"false, never; None only asks.  Returns the old value, a bool.\n\n"
"It counts for all threads of the interpreter.  While it is off, every suspended\n"
"tasklet keeps a C stack, and none is restorable.  For tests.\n\n"
"TypeError if flag is neither a bool, an int nor None.";

PyObject *
slp_module_enable_softswitch(PyObject *module, PyObject *flag)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    bool old = !th->interp->always_hard;
    if (flag != Py_None) {
        int value = slp_flag_arg("enable_softswitch", flag);
        if (value < 0) {
            return NULL;
        }
        th->interp->always_hard = !value;
        PyThreadState *p = PyInterpreterState_ThreadHead(th->tstate->interp);
        for (; p != NULL; p = PyThreadState_Next(p)) {
            slp_thread *other = slp_thread_peek(p);
            if (other != NULL) {
                other->always_hard = !value;
            }
        }
    }
    return PyBool_FromLong(old);
}

/* All flags of pickle_flags(). */
#define PICKLE_FLAGS 15

/* Change the bits of *word that the optional arguments (new, mask) say; the old word. */
static PyObject *
change_flags(const char *function, int *word, PyObject *const args[2])
{
    long values[2] = {-1, -1};
    int old = *word;
    for (int i = 0; i < 2; i++) {
        if (args[i] == NULL) {
            continue;
        }
        if (!PyLong_Check(args[i])) {
            PyErr_Format(PyExc_TypeError, "%s() arguments must be ints, not %.200s", function,
                         Py_TYPE(args[i])->tp_name);
            return NULL;
        }
        values[i] = PyLong_AsLong(args[i]);
        if (values[i] == -1 && PyErr_Occurred()) {
            return NULL;
        }
        if (values[i] != -1 && (values[i] & ~PICKLE_FLAGS) != 0) {
            PyErr_Format(PyExc_ValueError, "%s(): %ld has bits that are not defined", function, values[i]);
            return NULL;
        }
    }
    if (values[0] != -1) {
        int mask = values[1] == -1 ? PICKLE_FLAGS : (int)values[1];
        *word = (old & ~mask) | ((int)values[0] & mask);
    }
    return PyLong_FromLong(old);
}

const char slp_pickle_flags_doc[] =
"pickle_flags($module, /, new_flags=-1, mask=-1)\n"
"--\n\n"
"Set what pickling keeps in this thread: those bits of new_flags that are set in\n"
"mask.  -1 as new_flags only asks; -1 as mask means all.  Returns the old value.\n\n"
"The bits are the constants PICKLEFLAGS_...  ValueError for others, TypeError if\n"
"an argument is no int.";

PyObject *
slp_module_pickle_flags(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const keywords[] = {"new_flags", "mask", NULL};
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "pickle_flags"};
    PyObject *parts[2];
    slp_thread *th = slp_thread_now();
    if (th == NULL || !slp_optional_args(&parser, args, nargs, kwnames, 2, parts)) {
        return NULL;
    }
    return change_flags("pickle_flags", &th->pickle_flags, parts);
}

const char slp_pickle_flags_default_doc[] =
"pickle_flags_default($module, /, new_default=-1, mask=-1)\n"
"--\n\n"
"Set the pickle_flags() that new threads of the interpreter begin with, in the\n"
"same way.  Returns the old value.";

PyObject *
slp_module_pickle_flags_default(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const keywords[] = {"new_default", "mask", NULL};
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "pickle_flags_default"};
    PyObject *parts[2];
    slp_thread *th = slp_thread_now();
    if (th == NULL || !slp_optional_args(&parser, args, nargs, kwnames, 2, parts)) {
        return NULL;
    }
    return change_flags("pickle_flags_default", &th->interp->pickle_flags, parts);
}

const char slp_getdebug_doc[] =
"getdebug($module, /)\n"
"--\n\n"
"True in a build with assertions.";

PyObject *
slp_module_getdebug(PyObject *module, PyObject *noargs)
{
#ifdef NDEBUG
    Py_RETURN_FALSE;
#else
    Py_RETURN_TRUE;
#endif
}

int
slp_add_pickle_flags(PyObject *module)
{
    return PyModule_AddIntConstant(module, "PICKLEFLAGS_PRESERVE_TRACING_STATE", 1) < 0
                   || PyModule_AddIntConstant(module, "PICKLEFLAGS_PRESERVE_AG_FINALIZER", 2) < 0
                   || PyModule_AddIntConstant(module, "PICKLEFLAGS_RESET_AG_FINALIZER", 4) < 0
                   || PyModule_AddIntConstant(module, "PICKLEFLAGS_PICKLE_CONTEXT", 8) < 0
               ? -1
               : 0;
}
