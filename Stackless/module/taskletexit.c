/* TaskletExit: the builtin exception that ends a tasklet, and nothing else.
 *
 * It is a SystemExit, so that `except Exception` lets it through; but where Python is about to leave the
 * process because of a SystemExit, a TaskletExit is shown with its traceback as any other exception is.
 */
#include "slp_bomb.h"

#include "slp_ints.h"
#include "slp_spares.h"

#include "internal/pycore_pylifecycle.h"

PyDoc_STRVAR(taskletexit_doc,
"Ends the tasklet that it is raised in, without more ado.\n\n"
"tasklet.kill() raises it.  In a main tasklet it is an error like any other, and\n"
"does not end the process, as SystemExit does.");

PyTypeObject slp_TaskletExit = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "TaskletExit",
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = taskletexit_doc,
};

int slp_builtins_add_exceptions(PyObject *builtins);
int slp_toplevel_exception_matches(PyObject *exc);
PyObject *slp_pickle_import_module(const char *name);

/* Takes the place of _PyBuiltins_AddExceptions() where an interpreter is made. */
int
slp_builtins_add_exceptions(PyObject *builtins)
{
    if (_PyThreadState_GET()->interp == PyInterpreterState_Main()) {
        slp_ints_open();
        slp_spares_open();
    }
    slp_TaskletExit.tp_base = (PyTypeObject *)PyExc_SystemExit;
    if (_PyBuiltins_AddExceptions(builtins) < 0 || PyType_Ready(&slp_TaskletExit) < 0) {
        return -1;
    }
    return PyDict_SetItemString(PyModule_GetDict(builtins), "TaskletExit", SLP_TASKLET_EXIT);
}

/* Takes the place of PyErr_ExceptionMatches() where the base asks whether to end the process. */
int
slp_toplevel_exception_matches(PyObject *exc)
{
    return PyErr_ExceptionMatches(exc)
           && !(exc == PyExc_SystemExit && PyErr_ExceptionMatches(SLP_TASKLET_EXIT));
}

/* In protocols below 3 builtin exceptions have the name that they had in Python 2: enter TaskletExit into
 * the tables of _compat_pickle, one of which maps each way.  -1 with an exception. */
static int
add_compatible_name(PyObject *compat, const char *table, const char *from, const char *to)
{
    PyObject *mapping = PyObject_GetAttrString(compat, table);
    PyObject *key = Py_BuildValue("(ss)", from, "TaskletExit");
    PyObject *value = Py_BuildValue("(ss)", to, "TaskletExit");
    int status = mapping != NULL && key != NULL && value != NULL ? PyObject_SetItem(mapping, key, value) : -1;
    Py_XDECREF(mapping);
    Py_XDECREF(key);
    Py_XDECREF(value);
    return status;
}

/* Takes the place of PyImport_ImportModule() in the C pickler. */
PyObject *
slp_pickle_import_module(const char *name)
{
    PyObject *module = PyImport_ImportModule(name);
    if (module != NULL && strcmp(name, "_compat_pickle") == 0
        && (add_compatible_name(module, "NAME_MAPPING", "exceptions", "builtins") < 0
            || add_compatible_name(module, "REVERSE_NAME_MAPPING", "builtins", "exceptions") < 0)) {
        Py_CLEAR(module);
    }
    return module;
}
