/* Sequences, mappings and text: unpacking, displays with * and **, arguments of f(*args, **kwargs),
 * formatting of f-strings and what the interactive prompt prints.
 *
 * The error texts are those that CPython's users know.  A TypeError is reworded only when the object
 * cannot do at all what was asked of it; one that its own __iter__ or keys() raised is passed on.
 */
#include "slp_base.h"
#include "slp_support.h"

/* May `obj` be iterated, by its type alone? */
static inline bool
is_iterable(PyObject *obj)
{
    return Py_TYPE(obj)->tp_iter != NULL || PySequence_Check(obj);
}

/* --- unpacking --- */

/* Raise for an iterable that ended after `got` values. */
SLP_COLD static int
raise_too_few(PyThreadState *tstate, int before, int after, Py_ssize_t got)
{
    if (after < 0) {
        _PyErr_Format(tstate, PyExc_ValueError, "not enough values to unpack (expected %d, got %zd)",
                      before, got);
    }
    else {
        _PyErr_Format(tstate, PyExc_ValueError,
                      "not enough values to unpack (expected at least %d, got %zd)", before + after, got);
    }
    return -1;
}

/* Raise for an iterable that still had a value after `expected` of them. */
SLP_COLD static int
raise_too_many(PyThreadState *tstate, int expected)
{
    _PyErr_Format(tstate, PyExc_ValueError, "too many values to unpack (expected %d)", expected);
    return -1;
}

/* The next value of `iterator`; NULL without an exception at its end. */
static inline PyObject *
next_value(PyThreadState *tstate, PyObject *iterator)
{
    PyObject *value = Py_TYPE(iterator)->tp_iternext(iterator);
    if (value == NULL && _PyErr_Occurred(tstate) && _PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
        _PyErr_Clear(tstate);
    }
    return value;
}

/* A list or tuple has its values at hand: no iterator, and the length is known first. */
static int
unpack_items(PyThreadState *tstate, PyObject **items, Py_ssize_t size, int before, int after, PyObject **sp)
{
    if (size < before + (after > 0 ? after : 0)) {
        return raise_too_few(tstate, before, after, size);
    }
    if (after < 0 && size > before) {
        return raise_too_many(tstate, before);
    }
    if (after >= 0) {
        Py_ssize_t length = size - before - after;
        PyObject *middle = PyList_New(length);
        if (middle == NULL) {
            return -1;
        }
        for (Py_ssize_t i = 0; i < length; i++) {
            PyList_SET_ITEM(middle, i, Py_NewRef(items[before + i]));
        }
        sp[-1 - before] = middle;
        for (int i = 0; i < after; i++) {
            sp[-2 - before - i] = Py_NewRef(items[before + length + i]);
        }
    }
    for (int i = 0; i < before; i++) {
        sp[-1 - i] = Py_NewRef(items[i]);
    }
    return 0;
}

/* What follows the first `before` values of a pattern with a star: the middle as a list, then its
 * last `after` values moved out to the slots below `sp`. */
static int
unpack_rest(PyThreadState *tstate, PyObject *iterator, int before, int after, PyObject **sp)
{
    PyObject *middle = PySequence_List(iterator);
    if (middle == NULL) {
        return -1;
    }
    Py_ssize_t length = PyList_GET_SIZE(middle) - after;
    if (length < 0) {
        raise_too_few(tstate, before, after, before + after + length);
        Py_DECREF(middle);
        return -1;
    }
    *--sp = middle;
    for (int i = 0; i < after; i++) {
        *--sp = PyList_GET_ITEM(middle, length + i);
    }
    Py_SET_SIZE(middle, length);
    return 0;
}

/* Nothing may follow the last value of a pattern without a star. */
static int
check_exhausted(PyThreadState *tstate, PyObject *iterator, int expected)
{
    PyObject *extra = next_value(tstate, iterator);
    if (extra != NULL) {
        Py_DECREF(extra);
        return raise_too_many(tstate, expected);
    }
    return _PyErr_Occurred(tstate) ? -1 : 0;
}

int
slp_unpack_iterable(PyThreadState *tstate, PyObject *iterable, int before, int after, PyObject **sp)
{
    if (PyTuple_CheckExact(iterable)) {
        return unpack_items(tstate, ((PyTupleObject *)iterable)->ob_item, PyTuple_GET_SIZE(iterable),
                            before, after, sp);
    }
    if (PyList_CheckExact(iterable)) {
        return unpack_items(tstate, ((PyListObject *)iterable)->ob_item, PyList_GET_SIZE(iterable),
                            before, after, sp);
    }
    PyObject *iterator = PyObject_GetIter(iterable);
    if (iterator == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError) && !is_iterable(iterable)) {
            _PyErr_Format(tstate, PyExc_TypeError, "cannot unpack non-iterable %.200s object",
                          Py_TYPE(iterable)->tp_name);
        }
        return -1;
    }
    int status = 0;
    int got = 0;
    while (got < before) {
        PyObject *value = next_value(tstate, iterator);
        if (value == NULL) {
            status = _PyErr_Occurred(tstate) ? -1 : raise_too_few(tstate, before, after, got);
            break;
        }
        got++;
        sp[-got] = value;
    }
    if (status == 0) {
        status = after < 0 ? check_exhausted(tstate, iterator, before)
                           : unpack_rest(tstate, iterator, before, after, sp - got);
    }
    if (status < 0) {
        for (; got > 0; got--) {
            Py_DECREF(sp[-got]);
        }
    }
    Py_DECREF(iterator);
    return status;
}

/* --- displays and arguments --- */

int
slp_list_extend(PyThreadState *tstate, PyObject *list, PyObject *iterable)
{
    PyObject *none = _PyList_Extend((PyListObject *)list, iterable);
    if (none == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError) && !is_iterable(iterable)) {
            _PyErr_Format(tstate, PyExc_TypeError, "Value after * must be an iterable, not %.200s",
                          Py_TYPE(iterable)->tp_name);
        }
        return -1;
    }
    Py_DECREF(none);
    return 0;
}

int
slp_dict_update(PyThreadState *tstate, PyObject *dict, PyObject *update)
{
    if (PyDict_Update(dict, update) < 0) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_AttributeError)) {
            _PyErr_Format(tstate, PyExc_TypeError, "'%.200s' object is not a mapping",
                          Py_TYPE(update)->tp_name);
        }
        return -1;
    }
    return 0;
}

/* Is the exception just fetched the KeyError by which a strict merge says that the name `*key` is
 * there already, and not one that the mapping raised itself?  The merge raises from C: its value has
 * no traceback, and while no other exception is being handled it is not even an instance yet. */
static bool
is_duplicate_key(PyObject *type, PyObject *value, PyObject *traceback, PyObject **key)
{
    if (type != PyExc_KeyError || value == NULL || traceback != NULL) {
        return false;
    }
    PyObject *args = value;
    if (PyExceptionInstance_Check(value)) {
        args = ((PyBaseExceptionObject *)value)->args;
    }
    if (!PyTuple_Check(args) || PyTuple_GET_SIZE(args) != 1) {
        return false;
    }
    *key = PyTuple_GET_ITEM(args, 0);
    return true;
}

void
slp_raise_kwargs_error(PyThreadState *tstate, PyObject *callable, PyObject *kwargs)
{
    if (_PyErr_ExceptionMatches(tstate, PyExc_AttributeError)) {
        _PyErr_Clear(tstate);
        PyObject *function = _PyObject_FunctionStr(callable);
        if (function != NULL) {
            _PyErr_Format(tstate, PyExc_TypeError, "%U argument after ** must be a mapping, not %.200s",
                          function, Py_TYPE(kwargs)->tp_name);
            Py_DECREF(function);
        }
        return;
    }
    if (!_PyErr_ExceptionMatches(tstate, PyExc_KeyError)) {
        return;
    }
    PyObject *type, *value, *traceback;
    PyObject *key;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    if (!is_duplicate_key(type, value, traceback, &key)) {
        _PyErr_Restore(tstate, type, value, traceback);
        return;
    }
    PyObject *function = _PyObject_FunctionStr(callable);
    if (function != NULL) {
        _PyErr_Format(tstate, PyExc_TypeError, "%U got multiple values for keyword argument '%S'",
                      function, key);
        Py_DECREF(function);
    }
    Py_DECREF(type);
    Py_DECREF(value);
    Py_XDECREF(traceback);
}

int
slp_dict_merge(PyThreadState *tstate, PyObject *callable, PyObject *dict, PyObject *update)
{
    if (_PyDict_MergeEx(dict, update, 2) < 0) {
        slp_raise_kwargs_error(tstate, callable, update);
        return -1;
    }
    return 0;
}

int
slp_check_args_iterable(PyThreadState *tstate, PyObject *callable, PyObject *args)
{
    if (is_iterable(args)) {
        return 0;
    }
    PyObject *function = _PyObject_FunctionStr(callable);
    if (function != NULL) {
        _PyErr_Format(tstate, PyExc_TypeError, "%U argument after * must be an iterable, not %.200s",
                      function, Py_TYPE(args)->tp_name);
        Py_DECREF(function);
    }
    return -1;
}

/* --- printing and formatting --- */

int
slp_print_expr(PyThreadState *tstate, PyObject *value)
{
    PyObject *hook = _PySys_GetAttr(tstate, &_Py_ID(displayhook));
    if (hook == NULL) {
        _PyErr_SetString(tstate, PyExc_RuntimeError, "lost sys.displayhook");
        return -1;
    }
    /* The hook may well replace itself while it runs. */
    Py_INCREF(hook);
    PyObject *result = PyObject_CallOneArg(hook, value);
    Py_DECREF(hook);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    return 0;
}

/* !s, !r and !a.  Steals `value`. */
static PyObject *
convert(PyObject *value, int conversion)
{
    PyObject *text;
    switch (conversion) {
    case FVC_STR:
        if (PyUnicode_CheckExact(value)) {
            return value;
        }
        text = PyObject_Str(value);
        break;
    case FVC_REPR:
        text = PyObject_Repr(value);
        break;
    default:
        text = PyObject_ASCII(value);
        break;
    }
    Py_DECREF(value);
    return text;
}

/* Does `value` format as object does, by __str__ alone when there is no spec? */
static inline bool
formats_as_str(PyObject *value)
{
    if (PyFloat_CheckExact(value) || PyLong_CheckExact(value)) {
        return true;
    }
    PyObject *inherited = _PyType_Lookup(&PyBaseObject_Type, &_Py_ID(__format__));
    return inherited != NULL && _PyType_Lookup(Py_TYPE(value), &_Py_ID(__format__)) == inherited;
}

/* f"{value:spec}" for the exact types whose __format__ is known: no method is looked up or called. */
static PyObject *
format_builtin(PyObject *value, PyObject *spec)
{
    _PyUnicodeWriter writer;
    Py_ssize_t end = PyUnicode_GET_LENGTH(spec);
    int status;
    _PyUnicodeWriter_Init(&writer);
    if (PyLong_CheckExact(value)) {
        status = _PyLong_FormatAdvancedWriter(&writer, value, spec, 0, end);
    }
    else if (PyFloat_CheckExact(value)) {
        status = _PyFloat_FormatAdvancedWriter(&writer, value, spec, 0, end);
    }
    else {
        status = _PyUnicode_FormatAdvancedWriter(&writer, value, spec, 0, end);
    }
    if (status < 0) {
        _PyUnicodeWriter_Dealloc(&writer);
        return NULL;
    }
    return _PyUnicodeWriter_Finish(&writer);
}

PyObject *
slp_format_value(PyThreadState *tstate, PyObject *value, PyObject *spec, int oparg)
{
    if ((oparg & FVC_MASK) != FVC_NONE) {
        value = convert(value, oparg & FVC_MASK);
        if (value == NULL) {
            Py_XDECREF(spec);
            return NULL;
        }
    }
    if (spec != NULL && PyUnicode_CheckExact(spec) && PyUnicode_GET_LENGTH(spec) == 0) {
        Py_CLEAR(spec);
    }
    PyObject *text;
    if (spec == NULL) {
        if (PyUnicode_CheckExact(value)) {
            return value;
        }
        text = formats_as_str(value) ? PyObject_Str(value) : PyObject_Format(value, NULL);
    }
    else {
        bool known = PyLong_CheckExact(value) || PyFloat_CheckExact(value) || PyUnicode_CheckExact(value);
        text = known && PyUnicode_CheckExact(spec) ? format_builtin(value, spec)
                                                   : PyObject_Format(value, spec);
        Py_DECREF(spec);
    }
    Py_DECREF(value);
    return text;
}
