/* Imports: `import a.b`, `from m import name`, `from m import *`.
 *
 * Finding and loading modules is the import machinery's work; here stand the three instructions' own
 * rules: which __import__ is asked, where a name is looked for, and what the errors say.
 */
#include "slp_softcall.h"
#include "slp_support.h"

/* builtins.__import__ as the frame sees it: a new reference. */
static PyObject *
get_import_function(PyThreadState *tstate, PyObject *builtins)
{
    PyObject *function;
    if (PyDict_Check(builtins)) {
        function = Py_XNewRef(_PyDict_GetItemWithError(builtins, &_Py_ID(__import__)));
    }
    else {
        function = PyObject_GetItem(builtins, &_Py_ID(__import__));
        if (function == NULL && _PyErr_ExceptionMatches(tstate, PyExc_KeyError)) {
            _PyErr_Clear(tstate);
        }
    }
    if (function == NULL && !_PyErr_Occurred(tstate)) {
        _PyErr_SetString(tstate, PyExc_ImportError, "__import__ not found");
    }
    return function;
}

PyObject *
slp_import_name(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name, PyObject *fromlist,
                PyObject *level, _PyInterpreterFrame **top)
{
    PyObject *function = get_import_function(tstate, frame->f_builtins);
    if (function == NULL) {
        return NULL;
    }
    PyObject *locals = frame->f_locals != NULL ? frame->f_locals : Py_None;
    PyObject *module;
    if (function == tstate->interp->import_func) {
        int depth = _PyLong_AsInt(level);
        module = depth == -1 && _PyErr_Occurred(tstate)
                     ? NULL
                     : slp_soft_import(tstate, frame, name, frame->f_globals, locals, fromlist, depth, top);
    }
    else {
        PyObject *args[] = {NULL, name, frame->f_globals, locals, fromlist, level};
        module = top == NULL ? SLP_NOT_SOFT
                             : slp_soft_call(tstate, frame, function, args + 1, 5, NULL, top);
        if (module == SLP_NOT_SOFT) {
            module = PyObject_Vectorcall(function, args + 1, 5 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
        }
    }
    Py_DECREF(function);
    return module;
}

/* --- from module import name --- */

/* The submodule `package`.`name`, when it has been imported but not (yet) bound in its package, as
 * happens in circular imports.  NULL without an exception when there is none. */
static PyObject *
find_submodule(PyObject *package, PyObject *name)
{
    PyObject *full_name = PyUnicode_FromFormat("%U.%U", package, name);
    if (full_name == NULL) {
        return NULL;
    }
    PyObject *module = PyImport_GetModule(full_name);
    Py_DECREF(full_name);
    return module;
}

/* Is the module still being executed?  Whatever goes wrong while asking means no. */
static bool
is_initializing(PyThreadState *tstate, PyObject *module)
{
    PyObject *spec = PyObject_GetAttr(module, &_Py_ID(__spec__));
    int initializing = spec == NULL ? 0 : _PyModuleSpec_IsInitializing(spec);
    Py_XDECREF(spec);
    _PyErr_Clear(tstate);
    return initializing > 0;
}

/* Raise the ImportError for a `name` that `module` does not have.  `package` is the module's name:
 * NULL when it has none. */
SLP_COLD static void
raise_missing_name(PyThreadState *tstate, PyObject *module, PyObject *name, PyObject *package)
{
    PyObject *shown = package != NULL && PyUnicode_Check(package)
                          ? Py_NewRef(package)
                          : PyUnicode_FromString("<unknown module name>");
    if (shown == NULL) {
        return;
    }
    PyObject *message;
    PyObject *path = PyModule_GetFilenameObject(module);
    if (path == NULL) {
        _PyErr_Clear(tstate);
        message = PyUnicode_FromFormat("cannot import name %R from %R (unknown location)", name, shown);
    }
    else {
        const char *format = package != NULL && is_initializing(tstate, module)
                                 ? "cannot import name %R from partially initialized module %R "
                                   "(most likely due to a circular import) (%S)"
                                 : "cannot import name %R from %R (%S)";
        message = PyUnicode_FromFormat(format, name, shown, path);
    }
    if (message != NULL) {
        PyErr_SetImportError(message, package != NULL && PyUnicode_Check(package) ? package : NULL, path);
        Py_DECREF(message);
    }
    Py_XDECREF(path);
    Py_DECREF(shown);
}

PyObject *
slp_import_from(PyThreadState *tstate, PyObject *module, PyObject *name)
{
    PyObject *value;
    if (_PyObject_LookupAttr(module, name, &value) != 0) {
        return value;
    }
    PyObject *package = PyObject_GetAttr(module, &_Py_ID(__name__));
    if (package == NULL) {
        _PyErr_Clear(tstate);
    }
    else if (PyUnicode_Check(package)) {
        value = find_submodule(package, name);
    }
    if (value == NULL && !_PyErr_Occurred(tstate)) {
        raise_missing_name(tstate, module, name, package);
    }
    Py_XDECREF(package);
    return value;
}

/* --- from module import * --- */

/* Raise for a name that is not a string, out of __all__ or of the module's __dict__. */
SLP_COLD static void
raise_bad_star_name(PyThreadState *tstate, PyObject *module, PyObject *name, bool from_dict)
{
    PyObject *module_name = PyObject_GetAttr(module, &_Py_ID(__name__));
    if (module_name == NULL) {
        return;
    }
    if (!PyUnicode_Check(module_name)) {
        _PyErr_Format(tstate, PyExc_TypeError, "module __name__ must be a string, not %.100s",
                      Py_TYPE(module_name)->tp_name);
    }
    else {
        _PyErr_Format(tstate, PyExc_TypeError, "%s in %U.%s must be str, not %.100s",
                      from_dict ? "Key" : "Item", module_name, from_dict ? "__dict__" : "__all__",
                      Py_TYPE(name)->tp_name);
    }
    Py_DECREF(module_name);
}

/* The names that `module` offers: its __all__, or the keys of its __dict__ (then names with a leading
 * underscore are private). */
static PyObject *
get_star_names(PyThreadState *tstate, PyObject *module, bool *from_dict)
{
    PyObject *names;
    *from_dict = false;
    if (_PyObject_LookupAttr(module, &_Py_ID(__all__), &names) != 0) {
        return names;
    }
    *from_dict = true;
    PyObject *dict;
    if (_PyObject_LookupAttr(module, &_Py_ID(__dict__), &dict) < 0) {
        return NULL;
    }
    if (dict == NULL) {
        _PyErr_SetString(tstate, PyExc_ImportError, "from-import-* object has no __dict__ and no __all__");
        return NULL;
    }
    names = PyMapping_Keys(dict);
    Py_DECREF(dict);
    return names;
}

/* Bind `module`.`name` in `locals`, unless the name is private. */
static int
import_star_name(PyThreadState *tstate, PyObject *locals, PyObject *module, PyObject *name, bool from_dict)
{
    if (!PyUnicode_Check(name)) {
        raise_bad_star_name(tstate, module, name, from_dict);
        return -1;
    }
    if (from_dict) {
        if (PyUnicode_READY(name) < 0) {
            return -1;
        }
        if (PyUnicode_GET_LENGTH(name) > 0 && PyUnicode_READ_CHAR(name, 0) == '_') {
            return 0;
        }
    }
    PyObject *value = PyObject_GetAttr(module, name);
    if (value == NULL) {
        return -1;
    }
    int status = PyDict_CheckExact(locals) ? PyDict_SetItem(locals, name, value)
                                           : PyObject_SetItem(locals, name, value);
    Py_DECREF(value);
    return status;
}

int
slp_import_star(PyThreadState *tstate, PyObject *locals, PyObject *module)
{
    bool from_dict;
    PyObject *names = get_star_names(tstate, module, &from_dict);
    if (names == NULL) {
        return -1;
    }
    /* __all__ may be any sequence, and ends where indexing it does. */
    int status = 0;
    for (Py_ssize_t i = 0; status == 0; i++) {
        PyObject *name = PySequence_GetItem(names, i);
        if (name == NULL) {
            if (_PyErr_ExceptionMatches(tstate, PyExc_IndexError)) {
                _PyErr_Clear(tstate);
            }
            else {
                status = -1;
            }
            break;
        }
        status = import_star_name(tstate, locals, module, name, from_dict);
        Py_DECREF(name);
    }
    Py_DECREF(names);
    return status;
}
