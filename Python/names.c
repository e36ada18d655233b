/* Names and variables: what LOAD_NAME and its kin do when the loop's own fast paths do not suffice.
 *
 * A namespace is either a plain dict, looked up directly, or any other mapping, asked through its
 * __getitem__; with the latter a KeyError means "not here" and every other exception is passed on.
 */
#include "slp_base.h"
#include "slp_support.h"

#define NOT_DEFINED        "name '%.200s' is not defined"
#define LOCAL_NOT_BOUND    "cannot access local variable '%s' where it is not associated with a value"
#define FREE_NOT_BOUND     "cannot access free variable '%s' where it is not associated with a value" \
                           " in enclosing scope"

/* Give the pending NameError its `name`, unless it has one.  Failures here do not matter to anyone:
 * the attribute only feeds suggestions. */
static void
attach_name(PyThreadState *tstate, PyObject *name)
{
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    _PyErr_NormalizeException(tstate, &type, &value, &traceback);
    if (PyErr_GivenExceptionMatches(value, PyExc_NameError)) {
        PyNameErrorObject *error = (PyNameErrorObject *)value;
        if (error->name == NULL) {
            error->name = Py_NewRef(name);
        }
    }
    _PyErr_Restore(tstate, type, value, traceback);
}

/* UnboundLocalError keeps `name` None, as users of the base know it: the variable is spelled right,
 * so there is nothing to suggest. */
void
slp_raise_name_error(PyThreadState *tstate, PyObject *exc_type, const char *format, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8(name);
    if (text == NULL) {
        return;
    }
    _PyErr_Format(tstate, exc_type, format, text);
    if (exc_type == PyExc_NameError) {
        attach_name(tstate, name);
    }
}

void
slp_raise_unbound(PyThreadState *tstate, PyCodeObject *code, int oparg)
{
    /* A mapping or an import may have failed for a reason of its own: that one is worth more. */
    if (_PyErr_Occurred(tstate)) {
        return;
    }
    PyObject *name = PyTuple_GET_ITEM(code->co_localsplusnames, oparg);
    if (oparg < code->co_nlocalsplus - code->co_nfreevars) {
        slp_raise_name_error(tstate, PyExc_UnboundLocalError, LOCAL_NOT_BOUND, name);
    }
    else {
        slp_raise_name_error(tstate, PyExc_NameError, FREE_NOT_BOUND, name);
    }
}

/* The value of `name` in `space`, a new reference.  NULL without an exception when it has none. */
static PyObject *
look_up(PyThreadState *tstate, PyObject *space, PyObject *name)
{
    if (PyDict_CheckExact(space)) {
        return Py_XNewRef(PyDict_GetItemWithError(space, name));
    }
    PyObject *value = PyObject_GetItem(space, name);
    if (value == NULL && _PyErr_ExceptionMatches(tstate, PyExc_KeyError)) {
        _PyErr_Clear(tstate);
    }
    return value;
}

/* Look in `space`; NULL with an exception set when nothing may follow. */
static inline bool
found_or_failed(PyThreadState *tstate, PyObject *space, PyObject *name, PyObject **value)
{
    *value = look_up(tstate, space, name);
    return *value != NULL || _PyErr_Occurred(tstate);
}

/* The same in the frame's local namespace, which must be there. */
static inline bool
found_in_locals_or_failed(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name, PyObject **value)
{
    if (frame->f_locals == NULL) {
        _PyErr_Format(tstate, PyExc_SystemError, "no locals when loading %R", name);
        *value = NULL;
        return true;
    }
    return found_or_failed(tstate, frame->f_locals, name, value);
}

PyObject *
slp_load_name(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name)
{
    PyObject *value;
    if (found_in_locals_or_failed(tstate, frame, name, &value)) {
        return value;
    }
    /* Here globals count as a dict even when they are an instance of a subclass. */
    value = PyDict_GetItemWithError(frame->f_globals, name);
    if (value != NULL) {
        return Py_NewRef(value);
    }
    if (_PyErr_Occurred(tstate) || found_or_failed(tstate, frame->f_builtins, name, &value)) {
        return value;
    }
    slp_raise_name_error(tstate, PyExc_NameError, NOT_DEFINED, name);
    return NULL;
}

PyObject *
slp_load_global(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name)
{
    PyObject *globals = frame->f_globals;
    PyObject *builtins = frame->f_builtins;
    PyObject *value;
    if (PyDict_CheckExact(globals) && PyDict_CheckExact(builtins)) {
        value = _PyDict_LoadGlobal((PyDictObject *)globals, (PyDictObject *)builtins, name);
        if (value != NULL) {
            return Py_NewRef(value);
        }
        if (_PyErr_Occurred(tstate)) {
            return NULL;
        }
    }
    else if (found_or_failed(tstate, globals, name, &value)
             || found_or_failed(tstate, builtins, name, &value)) {
        return value;
    }
    slp_raise_name_error(tstate, PyExc_NameError, NOT_DEFINED, name);
    return NULL;
}

PyObject *
slp_load_classderef(PyThreadState *tstate, _PyInterpreterFrame *frame, int oparg)
{
    PyCodeObject *code = frame->f_code;
    PyObject *name = PyTuple_GET_ITEM(code->co_localsplusnames, oparg);
    PyObject *value;
    if (found_in_locals_or_failed(tstate, frame, name, &value)) {
        return value;
    }
    value = PyCell_GET(frame->localsplus[oparg]);
    if (value == NULL) {
        slp_raise_unbound(tstate, code, oparg);
        return NULL;
    }
    return Py_NewRef(value);
}

PyObject *
slp_load_build_class(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    PyObject *value;
    if (!found_or_failed(tstate, frame->f_builtins, &_Py_ID(__build_class__), &value)) {
        _PyErr_SetString(tstate, PyExc_NameError, "__build_class__ not found");
    }
    return value;
}

int
slp_setup_annotations(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    PyObject *locals = frame->f_locals;
    PyObject *annotations;
    if (locals == NULL) {
        _PyErr_SetString(tstate, PyExc_SystemError, "no locals found when setting up annotations");
        return -1;
    }
    if (found_or_failed(tstate, locals, &_Py_ID(__annotations__), &annotations)) {
        Py_XDECREF(annotations);
        return annotations == NULL ? -1 : 0;
    }
    annotations = PyDict_New();
    if (annotations == NULL) {
        return -1;
    }
    int status = PyDict_CheckExact(locals)
                     ? PyDict_SetItem(locals, &_Py_ID(__annotations__), annotations)
                     : PyObject_SetItem(locals, &_Py_ID(__annotations__), annotations);
    Py_DECREF(annotations);
    return status;
}
