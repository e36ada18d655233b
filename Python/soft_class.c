/* Class statements: builtins.__build_class__() as steps between frames.
 *
 *      <class> shim ──> __mro_entries__ of bases that are no classes
 *                   ──> __prepare__ of the metaclass
 *                   ──> the class body, whose locals are the namespace
 *                   ──> the metaclass
 *
 * What the shim's stack holds, from the first step to the last; a step finds the result of the frames that
 * it has waited for on top.
 */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_softcall.h"

enum {
    FUNC,           /* the class body */
    NAME,
    STATED_BASES,   /* the tuple of the statement */
    KEYWORDS,       /* a dict without `metaclass`, or NULL */
    BASES,          /* the tuple for the metaclass; before, NULL, or a list after an __mro_entries__ */
    METACLASS,      /* before: the metaclass of the statement, or NULL */
    POSITION,       /* while bases are looked at: how many of them are done, an int */
    NAMESPACE = POSITION,
    CELL,           /* what the body returns: a cell for the class, or None */
    STACK_SIZE = CELL + 2,
};

/* Where the shim is entered. */
enum { ENTRY_BASES, ENTRY_PREPARED, ENTRY_BODY, ENTRY_MADE };

static PyCodeObject *shim_class;

/* callable(*args, **kwargs): frames that will push the result at `entry`; or the result, found in C. */
static PyObject *
call(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, int entry, PyObject *callable,
     PyObject *args, PyObject *kwargs, _PyInterpreterFrame **top)
{
    if (args == NULL) {
        return NULL;
    }
    PyObject *answer = slp_soft_call_ex(tstate, shim, callable, args, kwargs, top);
    if (answer == SLP_NOT_SOFT) {
        answer = PyObject_Call(callable, args, kwargs);
    }
    stack->entry = entry;
    Py_DECREF(args);
    return answer;
}

/* A step has got `answer` for what it asked: where that is a value, go on with `step` at once. */
static PyObject *
go_on(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, PyObject *answer,
      slp_continuation step, _PyInterpreterFrame **top)
{
    if (answer == NULL || answer == SLP_ENTER) {
        return answer;
    }
    stack->values[stack->count++] = answer;
    return step(tstate, shim, stack, top);
}

/* The metaclass: the statement's or the first base's, or of what all bases' metaclasses derive.  A new
 * reference. */
static PyObject *
choose_metaclass(PyObject *stated, PyObject *bases)
{
    PyObject *metaclass = stated;
    if (metaclass == NULL) {
        metaclass = PyTuple_GET_SIZE(bases) == 0 ? (PyObject *)&PyType_Type
                                                 : (PyObject *)Py_TYPE(PyTuple_GET_ITEM(bases, 0));
    }
    if (PyType_Check(metaclass)) {
        metaclass = (PyObject *)_PyType_CalculateMetaclass((PyTypeObject *)metaclass, bases);
    }
    return Py_XNewRef(metaclass);
}

/* All bases are known: ask for the namespace. */
static PyObject *
prepare(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    PyObject *metaclass = choose_metaclass(values[METACLASS], values[BASES]);
    if (metaclass == NULL) {
        return NULL;
    }
    Py_XSETREF(values[METACLASS], metaclass);
    /* type.__prepare__ makes a dict. */
    PyObject *hook = NULL;
    if (metaclass != (PyObject *)&PyType_Type
        && _PyObject_LookupAttr(metaclass, &_Py_ID(__prepare__), &hook) < 0) {
        return NULL;
    }
    PyObject *answer;
    if (hook == NULL) {
        answer = PyDict_New();
    }
    else {
        answer = call(tstate, shim, stack, ENTRY_PREPARED, hook,
                      PyTuple_Pack(2, values[NAME], values[BASES]), values[KEYWORDS], top);
        Py_DECREF(hook);
    }
    return go_on(tstate, shim, stack, answer, slp_go_class_prepared, top);
}

/* What __mro_entries__ has returned, on top of the stack, joins the bases.  -1 with an exception. */
static int
take_entries(PyThreadState *tstate, slp_stack *stack)
{
    PyObject *entries = stack->values[stack->count - 1];
    if (!PyTuple_Check(entries)) {
        _PyErr_SetString(tstate, PyExc_TypeError, "__mro_entries__ must return a tuple");
        return -1;
    }
    PyObject *bases = stack->values[BASES];
    Py_ssize_t end = PyList_GET_SIZE(bases);
    int status = PyList_SetSlice(bases, end, end, entries);
    stack->count--;
    Py_DECREF(entries);
    return status;
}

/* Base number `position` has an __mro_entries__: from here on, the bases are a list.  -1 with an
 * exception. */
static int
begin_entries(PyObject **values, Py_ssize_t position)
{
    if (values[BASES] == NULL) {
        PyObject *before = PyTuple_GetSlice(values[STATED_BASES], 0, position);
        values[BASES] = before == NULL ? NULL : PySequence_List(before);
        Py_XDECREF(before);
    }
    return values[BASES] == NULL ? -1 : slp_set_int(&values[POSITION], position + 1);
}

/* Stack: up to POSITION, and what __mro_entries__ has returned, when one was called. */
PyObject *
slp_go_class_bases(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                   _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    PyObject *stated = values[STATED_BASES];
    Py_ssize_t position = PyLong_AsSsize_t(values[POSITION]);
    if (stack->count > POSITION + 1 && take_entries(tstate, stack) < 0) {
        return NULL;
    }
    for (; position < PyTuple_GET_SIZE(stated); position++) {
        PyObject *base = PyTuple_GET_ITEM(stated, position);
        PyObject *hook = NULL;
        if (!PyType_Check(base) && _PyObject_LookupAttr(base, &_Py_ID(__mro_entries__), &hook) < 0) {
            return NULL;
        }
        if (hook == NULL) {
            if (values[BASES] != NULL && PyList_Append(values[BASES], base) < 0) {
                return NULL;
            }
            continue;
        }
        PyObject *answer = NULL;
        if (begin_entries(values, position) == 0) {
            answer = call(tstate, shim, stack, ENTRY_BASES, hook, PyTuple_Pack(1, stated), NULL, top);
        }
        Py_DECREF(hook);
        if (answer == NULL || answer == SLP_ENTER) {
            return answer;
        }
        values[stack->count++] = answer;
        if (take_entries(tstate, stack) < 0) {
            return NULL;
        }
    }
    PyObject *bases = values[BASES] == NULL ? Py_NewRef(stated) : PyList_AsTuple(values[BASES]);
    if (bases == NULL) {
        return NULL;
    }
    Py_XSETREF(values[BASES], bases);
    stack->count = POSITION;
    Py_DECREF(values[POSITION]);
    return prepare(tstate, shim, stack, top);
}

/* Stack: up to NAMESPACE.  Enter the body. */
PyObject *
slp_go_class_prepared(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                      _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    PyObject *namespace = values[NAMESPACE];
    PyObject *metaclass = values[METACLASS];
    if (!PyMapping_Check(namespace)) {
        _PyErr_Format(tstate, PyExc_TypeError, "%.200s.__prepare__() must return a mapping, not %.200s",
                      PyType_Check(metaclass) ? ((PyTypeObject *)metaclass)->tp_name : "<metaclass>",
                      Py_TYPE(namespace)->tp_name);
        return NULL;
    }
    PyFunctionObject *func = (PyFunctionObject *)Py_NewRef(values[FUNC]);
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, func, Py_NewRef(namespace), NULL, 0, NULL);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = shim;
    stack->entry = ENTRY_BODY;
    *top = frame;
    return SLP_ENTER;
}

/* Stack: up to CELL.  Call the metaclass. */
PyObject *
slp_go_class_body(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                  _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    if (values[BASES] != values[STATED_BASES]
        && PyMapping_SetItemString(values[NAMESPACE], "__orig_bases__", values[STATED_BASES]) < 0) {
        return NULL;
    }
    PyObject *args = PyTuple_Pack(3, values[NAME], values[BASES], values[NAMESPACE]);
    PyObject *answer =
        call(tstate, shim, stack, ENTRY_MADE, values[METACLASS], args, values[KEYWORDS], top);
    return go_on(tstate, shim, stack, answer, slp_go_class_made, top);
}

/* Stack: up to CELL, and the class.  Has type.__new__() put it into the cell that the body's methods look
 * into? */
PyObject *
slp_go_class_made(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                  _PyInterpreterFrame **top)
{
    PyObject *cell = stack->values[CELL];
    PyObject *class = stack->values[CELL + 1];
    if (PyType_Check(class) && PyCell_Check(cell) && PyCell_GET(cell) != class) {
        if (PyCell_GET(cell) == NULL) {
            _PyErr_Format(tstate, PyExc_RuntimeError,
                          "__class__ not set defining %.200R as %.200R. "
                          "Was __classcell__ propagated to type.__new__?",
                          stack->values[NAME], class);
        }
        else {
            _PyErr_Format(tstate, PyExc_TypeError, "__class__ set to %.200R defining %.200R as %.200R",
                          PyCell_GET(cell), stack->values[NAME], class);
        }
        return NULL;
    }
    stack->count--;
    return class;
}

/* __build_class__(func, name, *bases, metaclass=..., **kwargs) */
static PyObject *
soft_build_class(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 2 || !PyFunction_Check(args[0]) || !PyUnicode_CheckExact(args[1])) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[STACK_SIZE] = {NULL};
    values[STATED_BASES] = _PyTuple_FromArray(args + 2, nargs - 2);
    if (values[STATED_BASES] == NULL) {
        return NULL;
    }
    if (kwnames != NULL) {
        values[KEYWORDS] = _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, args + nargs, 1,
                                             PyTuple_GET_SIZE(kwnames));
        if (values[KEYWORDS] == NULL) {
            goto failed;
        }
        values[METACLASS] = Py_XNewRef(_PyDict_GetItemWithError(values[KEYWORDS], &_Py_ID(metaclass)));
        if (values[METACLASS] != NULL && PyDict_DelItem(values[KEYWORDS], &_Py_ID(metaclass)) < 0) {
            goto failed;
        }
    }
    values[FUNC] = Py_NewRef(args[0]);
    values[NAME] = Py_NewRef(args[1]);
    values[POSITION] = PyLong_FromLong(0);
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_class, ENTRY_BASES, values, POSITION + 1);
    if (shim == NULL) {
        return NULL;
    }
    *top = shim;
    return SLP_ENTER;

failed:
    for (int i = 0; i < STACK_SIZE; i++) {
        Py_XDECREF(values[i]);
    }
    return NULL;
}

void
slp_soft_build_class_init(void)
{
    static const uint8_t code[] = {SLP_GO_ON, SLP_GO_CLASS_BASES, SLP_GO_ON, SLP_GO_CLASS_PREPARED,
                                   SLP_GO_ON, SLP_GO_CLASS_BODY, SLP_GO_ON, SLP_GO_CLASS_MADE};
    shim_class = slp_shim_make("<class>", STACK_SIZE, code, sizeof(code), NULL, 0);
    if (shim_class == NULL) {
        Py_FatalError("cannot prepare class statements");
    }
    slp_soft_register_builtin("__build_class__", soft_build_class);
}
