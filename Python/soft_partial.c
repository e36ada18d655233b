/* functools.partial: a call is one of the function behind, with the arguments in front.
 *
 * The values of the call are gathered here and the function's own soft function is asked, so that no frame
 * stands for the partial object.
 */
#include "slp_softcall.h"

#include <structmember.h>

/* Where a partial object has its function, positional arguments (a tuple) and keyword arguments (a dict). */
static Py_ssize_t func_offset, args_offset, keywords_offset;

/* Its tp_call; NULL until the layout is known. */
static ternaryfunc partial_call;

#define FUNC(partial)     (*(PyObject **)((char *)(partial) + func_offset))
#define ARGS(partial)     (*(PyObject **)((char *)(partial) + args_offset))
#define KEYWORDS(partial) (*(PyObject **)((char *)(partial) + keywords_offset))

static bool
is_partial(PyObject *obj)
{
    return Py_TYPE(obj)->tp_call == partial_call;
}

/* The offset of an object that is a member of `type`, or 0. */
static Py_ssize_t
member_offset(PyTypeObject *type, const char *name)
{
    for (PyMemberDef *member = type->tp_members; member != NULL && member->name != NULL; member++) {
        if (strcmp(member->name, name) == 0 && (member->type == T_OBJECT || member->type == T_OBJECT_EX)) {
            return member->offset;
        }
    }
    return 0;
}

/* Put the keyword arguments of the chain, the inner ones first, into a dict that is empty.  No code runs.
 * -1 with an exception. */
static int
merge_chain(PyObject *partial, PyObject *merged)
{
    PyObject *inner = FUNC(partial);
    if (is_partial(inner) && merge_chain(inner, merged) < 0) {
        return -1;
    }
    return PyDict_Update(merged, KEYWORDS(partial));
}

/* Add those of the call; where the chain has the name, too, in its place.  -1 with an exception. */
static int
merge_call(PyObject *merged, PyObject *const *values, PyObject *kwnames)
{
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        if (PyDict_SetItem(merged, PyTuple_GET_ITEM(kwnames, i), values[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Nested deeper than this, which only subclasses and objects with attributes are, C does it. */
#define MAX_NESTING 50

/* What a call of a chain of partial objects amounts to. */
typedef struct {
    PyObject *function;       /* behind all of them, borrowed */
    Py_ssize_t positional;    /* how many arguments they have */
    Py_ssize_t keywords;      /* at most so many keywords */
} shape;

/* false where C has to do it. */
static bool
look_at_chain(PyObject *partial, shape *s)
{
    *s = (shape){partial, 0, 0};
    for (int depth = 0; is_partial(s->function); depth++) {
        PyObject *p = s->function;
        if (depth == MAX_NESTING || FUNC(p) == NULL || ARGS(p) == NULL || !PyTuple_CheckExact(ARGS(p))
            || KEYWORDS(p) == NULL || !PyDict_CheckExact(KEYWORDS(p))) {
            return false;
        }
        PyObject *name, *value;
        Py_ssize_t position = 0;
        while (PyDict_Next(KEYWORDS(p), &position, &name, &value)) {
            if (!PyUnicode_CheckExact(name)) {
                return false;
            }
        }
        s->positional += PyTuple_GET_SIZE(ARGS(p));
        s->keywords += PyDict_GET_SIZE(KEYWORDS(p));
        s->function = FUNC(p);
    }
    return slp_may_be_soft(s->function);
}

/* Put the positional arguments of the chain in front of `end` (new references). */
static void
fill_positional(PyObject *partial, PyObject **end)
{
    for (; is_partial(partial); partial = FUNC(partial)) {
        PyObject *args = ARGS(partial);
        end -= PyTuple_GET_SIZE(args);
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
            end[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
        }
    }
}

#define BUFFER_SIZE 8

/* The usual case: a Python function, no keywords, few arguments.  SLP_NOT_SOFT where it is another. */
static PyObject *
call_function(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *buffer[BUFFER_SIZE];
    PyObject *function = FUNC(self), *own = ARGS(self);
    if (function == NULL || !Py_IS_TYPE(function, &PyFunction_Type) || !PyTuple_CheckExact(own)
        || !PyDict_CheckExact(KEYWORDS(self)) || PyDict_GET_SIZE(KEYWORDS(self)) != 0) {
        return SLP_NOT_SOFT;
    }
    Py_ssize_t first = PyTuple_GET_SIZE(own);
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (first + count > BUFFER_SIZE) {
        return SLP_NOT_SOFT;
    }
    for (Py_ssize_t i = 0; i < first; i++) {
        buffer[i] = PyTuple_GET_ITEM(own, i);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        buffer[first + i] = args[i];
    }
    return slp_enter_function(tstate, below, (PyFunctionObject *)function, buffer, first + nargs, kwnames,
                              top);
}

static PyObject *
soft_call_partial(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                  Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *answer = call_function(tstate, below, self, args, nargs, kwnames, top);
    if (answer != SLP_NOT_SOFT) {
        return answer;
    }
    shape s;
    PyObject *merged = NULL;
    if (!look_at_chain(self, &s)) {
        return SLP_NOT_SOFT;
    }
    if (s.keywords > 0) {
        /* A collection may run, whose code changes the chain: look again.  Then no code runs until all that
         * is needed of the chain is held. */
        merged = PyDict_New();
        if (merged == NULL || !look_at_chain(self, &s)) {
            Py_XDECREF(merged);
            return merged == NULL ? NULL : SLP_NOT_SOFT;
        }
    }
    PyObject *buffer[BUFFER_SIZE], **values = buffer;
    Py_ssize_t own_keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    Py_ssize_t positional = s.positional + nargs, room = positional + s.keywords + own_keywords;
    Py_ssize_t count = 0;
    PyObject *names = NULL;
    answer = NULL;
    Py_INCREF(s.function);
    if (room > BUFFER_SIZE) {
        values = PyMem_Malloc((size_t)room * sizeof(PyObject *));
        if (values == NULL) {
            PyErr_NoMemory();
            goto done;
        }
    }
    fill_positional(self, values + s.positional);
    for (Py_ssize_t i = 0; i < nargs + (merged == NULL ? own_keywords : 0); i++) {
        values[s.positional + i] = Py_NewRef(args[i]);
    }
    count = positional + (merged == NULL ? own_keywords : 0);
    if (merged == NULL) {
        names = Py_XNewRef(kwnames);
    }
    else {
        if (merge_chain(self, merged) < 0 || merge_call(merged, args + nargs, kwnames) < 0) {
            goto done;
        }
        names = PyTuple_New(PyDict_GET_SIZE(merged));
        if (names == NULL) {
            goto done;
        }
        PyObject *name, *value;
        Py_ssize_t position = 0;
        for (Py_ssize_t i = 0; PyDict_Next(merged, &position, &name, &value); i++) {
            PyTuple_SET_ITEM(names, i, Py_NewRef(name));
            values[count++] = Py_NewRef(value);
        }
    }
    answer = slp_soft_call(tstate, below, s.function, values, positional, names, top);

done:
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_DECREF(values[i]);
    }
    if (values != buffer) {
        PyMem_Free(values);
    }
    Py_XDECREF(merged);
    Py_XDECREF(names);
    Py_DECREF(s.function);
    return answer;
}

/* Learn where a partial object has what, and check it with a real one; false (and no exception) where that is
 * not as it should be. */
static bool
learn_layout(PyTypeObject *type)
{
    func_offset = member_offset(type, "func");
    args_offset = member_offset(type, "args");
    keywords_offset = member_offset(type, "keywords");
    if (!func_offset || !args_offset || !keywords_offset) {
        return false;
    }
    PyObject *function = (PyObject *)&PyTuple_Type;
    PyObject *keywords = PyDict_New();
    PyObject *args = Py_BuildValue("(Oi)", function, 5);
    PyObject *probe = NULL;
    if (keywords != NULL && args != NULL && PyDict_SetItemString(keywords, "key", Py_None) == 0) {
        probe = PyObject_Call((PyObject *)type, args, keywords);
    }
    bool fits = probe != NULL && FUNC(probe) == function && PyTuple_CheckExact(ARGS(probe))
                && PyTuple_GET_SIZE(ARGS(probe)) == 1
                && PyTuple_GET_ITEM(ARGS(probe), 0) == PyTuple_GET_ITEM(args, 1)
                && PyDict_CheckExact(KEYWORDS(probe)) && PyDict_GET_SIZE(KEYWORDS(probe)) == 1;
    Py_XDECREF(probe);
    Py_XDECREF(args);
    Py_XDECREF(keywords);
    PyErr_Clear();
    return fits;
}

void
slp_soft_partial_init(PyObject *type)
{
    if (partial_call == NULL && PyType_Check(type) && learn_layout((PyTypeObject *)type)) {
        partial_call = ((PyTypeObject *)type)->tp_call;
        slp_soft_register_instances((PyTypeObject *)type, soft_call_partial);
    }
}
