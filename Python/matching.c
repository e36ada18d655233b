/* Pattern matching: mapping patterns with keys, class patterns.
 *
 * Both gather what a pattern asks of the subject into a tuple, in the order of the pattern, and stop
 * at the first key or attribute that is missing: what stands behind it is neither read nor checked.
 */
#include "slp_base.h"
#include "slp_support.h"

/* Not among the base's ready-made strings. */
static _Py_Identifier match_args_name = {.string = "__match_args__", .index = -1};

/* A tuple to be filled while other code runs: nobody finds it through the collector meanwhile. */
static PyObject *
new_hidden_tuple(Py_ssize_t size)
{
    PyObject *tuple = PyTuple_New(size);
    if (tuple != NULL && size > 0) {
        _PyObject_GC_UNTRACK(tuple);
    }
    return tuple;
}

static PyObject *
reveal_tuple(PyObject *tuple)
{
    if (PyTuple_GET_SIZE(tuple) > 0) {
        _PyObject_GC_TRACK(tuple);
    }
    return tuple;
}

/* --- mapping patterns --- */

/* How one mapping pattern reads its subject. */
typedef struct {
    PyObject *map;       /* borrowed */
    bool is_dict;        /* an exact dict: read it directly */
    PyObject *get;       /* strong: the mapping's `get`, bound or not; NULL for a dict */
    bool is_unbound;     /* `get` takes the mapping as its first argument */
    PyObject *missing;   /* strong: what `get` answers for a key that is not there; NULL for a dict */
    PyObject *seen;      /* strong: set of the keys so far; NULL when no two keys can be equal */
} MapReader;

static int
open_map(MapReader *reader, PyObject *map, PyObject *keys)
{
    *reader = (MapReader){.map = map, .is_dict = PyDict_CheckExact(map)};
    if (!reader->is_dict) {
        reader->is_unbound = _PyObject_GetMethod(map, &_Py_ID(get), &reader->get);
        if (reader->get == NULL) {
            return -1;
        }
        reader->missing = _PyObject_CallNoArgs((PyObject *)&PyBaseObject_Type);
        if (reader->missing == NULL) {
            return -1;
        }
    }
    /* Even a single key goes through the set, unless it is sure to be hashable. */
    if (PyTuple_GET_SIZE(keys) > 1 || !PyUnicode_CheckExact(PyTuple_GET_ITEM(keys, 0))) {
        reader->seen = PySet_New(NULL);
        if (reader->seen == NULL) {
            return -1;
        }
    }
    return 0;
}

static void
close_map(MapReader *reader)
{
    Py_XDECREF(reader->get);
    Py_XDECREF(reader->missing);
    Py_XDECREF(reader->seen);
}

/* ValueError when `key` was asked for before. */
static int
check_key_is_new(PyThreadState *tstate, MapReader *reader, PyObject *key)
{
    if (reader->seen == NULL) {
        return 0;
    }
    int seen = PySet_Contains(reader->seen, key);
    if (seen > 0) {
        _PyErr_Format(tstate, PyExc_ValueError, "mapping pattern checks duplicate key (%R)", key);
    }
    return seen != 0 ? -1 : PySet_Add(reader->seen, key);
}

/* The value of `key`; NULL without an exception when the mapping does not have it.  `get` is asked,
 * not __getitem__, so that a defaultdict does not grow. */
static PyObject *
read_key(PyThreadState *tstate, MapReader *reader, PyObject *key)
{
    if (reader->is_dict) {
        return Py_XNewRef(PyDict_GetItemWithError(reader->map, key));
    }
    PyObject *args[] = {reader->map, key, reader->missing};
    PyObject *value = reader->is_unbound
                          ? _PyObject_VectorcallTstate(tstate, reader->get, args, 3, NULL)
                          : _PyObject_VectorcallTstate(tstate, reader->get, args + 1,
                                                       2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    if (value == reader->missing) {
        Py_CLEAR(value);
    }
    return value;
}

PyObject *
slp_match_keys(PyThreadState *tstate, PyObject *map, PyObject *keys)
{
    Py_ssize_t count = PyTuple_GET_SIZE(keys);
    if (count == 0) {
        return PyTuple_New(0);
    }
    MapReader reader;
    PyObject *values = NULL;
    if (open_map(&reader, map, keys) == 0) {
        values = new_hidden_tuple(count);
    }
    for (Py_ssize_t i = 0; values != NULL && i < count; i++) {
        PyObject *key = PyTuple_GET_ITEM(keys, i);
        PyObject *value = check_key_is_new(tstate, &reader, key) < 0 ? NULL : read_key(tstate, &reader, key);
        if (value == NULL) {
            Py_DECREF(values);
            close_map(&reader);
            return _PyErr_Occurred(tstate) ? NULL : Py_NewRef(Py_None);
        }
        PyTuple_SET_ITEM(values, i, value);
    }
    close_map(&reader);
    return values == NULL ? NULL : reveal_tuple(values);
}

/* --- class patterns --- */

/* Is `name` among the names of the positional sub-patterns, of which the first `count` items of
 * `match_args` are taken? */
static bool
is_taken(PyObject *match_args, Py_ssize_t count, PyObject *name)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *other = PyTuple_GET_ITEM(match_args, i);
        if (other == name || _PyUnicode_EQ(other, name)) {
            return true;
        }
    }
    return false;
}

/* The attribute `name` of `subject` for a pattern of class `type` whose first `count` positional names
 * are taken; NULL without an exception when the subject lacks it. */
static PyObject *
read_attribute(PyThreadState *tstate, PyObject *subject, PyObject *type, PyObject *match_args,
               Py_ssize_t count, PyObject *name)
{
    if (is_taken(match_args, count, name)) {
        _PyErr_Format(tstate, PyExc_TypeError, "%s() got multiple sub-patterns for attribute %R",
                      ((PyTypeObject *)type)->tp_name, name);
        return NULL;
    }
    PyObject *value;
    _PyObject_LookupAttr(subject, name, &value);
    return value;
}

/* type.__match_args__ for `nargs` positional sub-patterns, checked: a tuple of at least that many
 * items.  An empty one with *match_self set means that the only sub-pattern gets the subject itself,
 * as for int(x), str(x) and their kin. */
static PyObject *
get_match_args(PyThreadState *tstate, PyObject *type, Py_ssize_t nargs, bool *match_self)
{
    const char *type_name = ((PyTypeObject *)type)->tp_name;
    PyObject *match_args;
    if (_PyObject_LookupAttrId(type, &match_args_name, &match_args) < 0) {
        return NULL;
    }
    *match_self = false;
    if (match_args == NULL) {
        *match_self = PyType_HasFeature((PyTypeObject *)type, _Py_TPFLAGS_MATCH_SELF);
        match_args = PyTuple_New(0);
        if (match_args == NULL) {
            return NULL;
        }
    }
    else if (!PyTuple_CheckExact(match_args)) {
        _PyErr_Format(tstate, PyExc_TypeError, "%s.__match_args__ must be a tuple (got %s)", type_name,
                      Py_TYPE(match_args)->tp_name);
        Py_DECREF(match_args);
        return NULL;
    }
    Py_ssize_t allowed = *match_self ? 1 : PyTuple_GET_SIZE(match_args);
    if (allowed < nargs) {
        _PyErr_Format(tstate, PyExc_TypeError, "%s() accepts %zd positional sub-pattern%s (%zd given)",
                      type_name, allowed, allowed == 1 ? "" : "s", nargs);
        Py_DECREF(match_args);
        return NULL;
    }
    return match_args;
}

/* Fill `attributes` in the order of the pattern; -1 when the subject does not match, or with an
 * exception. */
static int
fill_attributes(PyThreadState *tstate, PyObject *attributes, PyObject *subject, PyObject *type,
                Py_ssize_t nargs, PyObject *match_args, bool match_self, PyObject *kwargs)
{
    /* A pattern that gets the subject itself names no attribute. */
    Py_ssize_t named = match_self ? 0 : nargs;
    if (match_self) {
        PyTuple_SET_ITEM(attributes, 0, Py_NewRef(subject));
    }
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *name = PyTuple_GET_ITEM(match_args, i);
        if (!PyUnicode_CheckExact(name)) {
            _PyErr_Format(tstate, PyExc_TypeError, "__match_args__ elements must be strings (got %s)",
                          Py_TYPE(name)->tp_name);
            return -1;
        }
        PyObject *value = read_attribute(tstate, subject, type, match_args, i, name);
        if (value == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(attributes, i, value);
    }
    /* The compiler has seen to it that no keyword stands twice. */
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(kwargs); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwargs, i);
        PyObject *value = read_attribute(tstate, subject, type, match_args, named, name);
        if (value == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(attributes, nargs + i, value);
    }
    return 0;
}

PyObject *
slp_match_class(PyThreadState *tstate, PyObject *subject, PyObject *type, Py_ssize_t nargs, PyObject *kwargs)
{
    if (!PyType_Check(type)) {
        _PyErr_SetString(tstate, PyExc_TypeError, "called match pattern must be a type");
        return NULL;
    }
    if (PyObject_IsInstance(subject, type) <= 0) {
        return NULL;
    }
    bool match_self = false;
    PyObject *match_args = NULL;
    if (nargs > 0) {
        match_args = get_match_args(tstate, type, nargs, &match_self);
        if (match_args == NULL) {
            return NULL;
        }
    }
    PyObject *attributes = new_hidden_tuple(nargs + PyTuple_GET_SIZE(kwargs));
    if (attributes != NULL
        && fill_attributes(tstate, attributes, subject, type, nargs, match_args, match_self, kwargs) < 0) {
        Py_CLEAR(attributes);
    }
    Py_XDECREF(match_args);
    return attributes == NULL ? NULL : reveal_tuple(attributes);
}
