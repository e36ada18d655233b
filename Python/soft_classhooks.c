/* type.__new__(): the hooks __set_name__ and __init_subclass__ run as frames.
 *
 * They are the last that type.__new__() does.  So it is called as ever, but for the hooks that are Python
 * functions: what C calls of a function is the pointer in it, which leads to record_call() here.  That one
 * answers None and keeps the arguments, and when type.__new__() is through, a shim makes the calls, in the
 * same order:
 *
 *      type.__new__(metaclass, name, bases, namespace)
 *        1. C makes the class; record_call() for every hook
 *        2. <class hooks> shim ──> __set_name__(value, class, name) ...
 *                              ──> __init_subclass__(class, **kwargs)
 *        3. the shim returns the class
 *
 * Where some hook is not a Python function, all are left to C, so that the order stays.  The pointer stays
 * in the functions for good: when nothing is being recorded, it calls the function.
 */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_softcall.h"

/* What the shim's stack holds. */
enum {
    CLASS,
    CALLS,          /* a tuple of tuples (function, args, kwnames or None) */
    POSITION,       /* how many are done, an int */
    STACK_SIZE = POSITION + 2,
};

static PyCodeObject *shim_hooks;

/* The calls that type.__new__(), being called by the loop activation of `cframe`, wants to make.  In another
 * activation, the same function is called as ever. */
static __thread struct {
    _PyCFrame *cframe;       /* NULL: nothing is recorded */
    PyObject *calls;         /* list, borrowed */
} recording;

/* The vectorcall of a hook. */
static PyObject *
record_call(PyObject *function, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (recording.cframe == NULL || recording.cframe != _PyThreadState_GET()->cframe) {
        return _PyFunction_Vectorcall(function, args, nargsf, kwnames);
    }
    Py_ssize_t count = PyVectorcall_NARGS(nargsf) + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject *values = _PyTuple_FromArray(args, count);
    PyObject *call = NULL;
    int status = -1;
    if (values != NULL) {
        call = PyTuple_Pack(3, function, values, kwnames == NULL ? Py_None : kwnames);
    }
    if (call != NULL) {
        status = PyList_Append(recording.calls, call);
    }
    Py_XDECREF(values);
    Py_XDECREF(call);
    return status < 0 ? NULL : Py_NewRef(Py_None);
}

static void
let_record(PyObject *function)
{
    if (((PyFunctionObject *)function)->vectorcall == _PyFunction_Vectorcall) {
        ((PyFunctionObject *)function)->vectorcall = record_call;
    }
}

/* What was found out about the hooks of a class to be made. */
typedef enum {
    NO_HOOKS,
    SOFT_HOOKS,     /* Python functions only; they have got record_call() */
    OTHER_HOOKS,
} hook_kind;

/* The __set_name__ of what stands in the namespace. */
static hook_kind
find_set_names(PyObject *namespace)
{
    hook_kind kind = NO_HOOKS;
    PyObject *value;
    Py_ssize_t position = 0;
    while (PyDict_Next(namespace, &position, NULL, &value)) {
        PyObject *found =
            slp_has_heap_type(value) ? _PyType_Lookup(Py_TYPE(value), &_Py_ID(__set_name__)) : NULL;
        if (found != NULL) {
            if (!Py_IS_TYPE(found, &PyFunction_Type)) {
                return OTHER_HOOKS;
            }
            let_record(found);
            kind = SOFT_HOOKS;
        }
    }
    return kind;
}

/* object.__init_subclass__ (borrowed from object). */
static PyObject *object_init_subclass;

/* The __init_subclass__ that the class will inherit: the first of a base is the first of them all. */
static hook_kind
find_init_subclass(PyObject *bases)
{
    hook_kind kind = NO_HOOKS;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(bases); i++) {
        PyObject *base = PyTuple_GET_ITEM(bases, i);
        PyObject *found = NULL;
        if (PyType_Check(base)) {
            found = _PyType_Lookup((PyTypeObject *)base, &_Py_ID(__init_subclass__));
        }
        if (found == NULL || found == object_init_subclass) {
            continue;
        }
        PyObject *function = Py_IS_TYPE(found, &PyClassMethod_Type) ? slp_classmethod_function(found) : NULL;
        if (function == NULL || !Py_IS_TYPE(function, &PyFunction_Type)) {
            return OTHER_HOOKS;
        }
        let_record(function);
        kind = SOFT_HOOKS;
    }
    return kind;
}

/* type.mro (borrowed from type). */
static PyObject *type_mro;

bool
slp_has_soft_hooks(PyTypeObject *metaclass, PyObject *const *args, bool keywords)
{
    if (!PyUnicode_Check(args[0]) || !PyTuple_Check(args[1]) || !PyDict_Check(args[2])) {
        return false;
    }
    hook_kind set_names = find_set_names(args[2]);
    hook_kind init_subclass = find_init_subclass(args[1]);
    if (set_names == OTHER_HOOKS || init_subclass == OTHER_HOOKS
        || (set_names == NO_HOOKS && init_subclass == NO_HOOKS)) {
        return false;
    }
    /* object.__init_subclass__ refuses keywords, which must be known before others are called. */
    if (init_subclass == NO_HOOKS && keywords) {
        return false;
    }
    if (_PyType_Lookup(metaclass, &_Py_ID(mro)) != type_mro) {
        return false;
    }
    if (_PyType_CalculateMetaclass(metaclass, args[1]) != metaclass) {
        PyErr_Clear();
        return false;
    }
    return true;
}

PyObject *
slp_soft_type_new(PyThreadState *tstate, _PyInterpreterFrame *below, PyTypeObject *metaclass, PyObject *args,
                  PyObject *kwargs, _PyInterpreterFrame **top)
{
    bool keywords = kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0;
    if (PyTuple_GET_SIZE(args) != 3 || !slp_has_soft_hooks(metaclass, &PyTuple_GET_ITEM(args, 0), keywords)) {
        return SLP_NOT_SOFT;
    }
    PyObject *calls = PyList_New(0);
    if (calls == NULL) {
        return NULL;
    }
    recording.cframe = tstate->cframe;
    recording.calls = calls;
    PyObject *class = PyType_Type.tp_new(metaclass, args, kwargs);
    recording.cframe = NULL;
    PyObject *values[3] = {class, class == NULL ? NULL : PyList_AsTuple(calls), PyLong_FromLong(0)};
    Py_DECREF(calls);
    if (values[CALLS] == NULL) {
        Py_XDECREF(class);
        Py_DECREF(values[POSITION]);
        return NULL;
    }
    *top = slp_shim_push(tstate, below, shim_hooks, 0, values, 3);
    return *top == NULL ? NULL : SLP_ENTER;
}

/* Stack: up to POSITION, and what the call before has returned, if there was one. */
PyObject *
slp_go_class_hook(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                  _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    if (stack->count > POSITION + 1) {
        Py_DECREF(values[--stack->count]);
    }
    Py_ssize_t position = PyLong_AsSsize_t(values[POSITION]);
    if (position >= PyTuple_GET_SIZE(values[CALLS])) {
        return Py_NewRef(values[CLASS]);
    }
    PyObject *call = PyTuple_GET_ITEM(values[CALLS], position);
    PyObject *args = PyTuple_GET_ITEM(call, 1);
    PyObject *kwnames = PyTuple_GET_ITEM(call, 2) == Py_None ? NULL : PyTuple_GET_ITEM(call, 2);
    if (slp_set_int(&values[POSITION], position + 1) < 0) {
        return NULL;
    }
    stack->entry = 1;
    Py_ssize_t nargs = PyTuple_GET_SIZE(args) - (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    return slp_enter_function(tstate, shim, (PyFunctionObject *)PyTuple_GET_ITEM(call, 0),
                              &PyTuple_GET_ITEM(args, 0), nargs, kwnames, top);
}

/* Stack: up to POSITION, and the exception.  What __set_name__ raises becomes the cause of another one. */
PyObject *
slp_go_class_hook_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                         _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    PyObject *exc = values[--stack->count];
    Py_ssize_t position = PyLong_AsSsize_t(values[POSITION]) - 1;
    _PyErr_Restore(tstate, Py_NewRef(PyExceptionInstance_Class(exc)), exc, PyException_GetTraceback(exc));
    if (position < 0 || position >= PyTuple_GET_SIZE(values[CALLS])) {
        return NULL;
    }
    PyObject *args = PyTuple_GET_ITEM(PyTuple_GET_ITEM(values[CALLS], position), 1);
    /* __init_subclass__ gets the class first. */
    if (PyTuple_GET_SIZE(args) == 3 && PyTuple_GET_ITEM(args, 1) == values[CLASS]) {
        _PyErr_FormatFromCauseTstate(tstate, PyExc_RuntimeError,
                                     "Error calling __set_name__ on '%.100s' instance %R in '%.100s'",
                                     Py_TYPE(PyTuple_GET_ITEM(args, 0))->tp_name, PyTuple_GET_ITEM(args, 2),
                                     ((PyTypeObject *)values[CLASS])->tp_name);
    }
    return NULL;
}

/* Is it a tuple (function, args, kwnames or None), with a name for some of the last arguments? */
static bool
is_call(PyObject *value)
{
    if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != 3
        || !Py_IS_TYPE(PyTuple_GET_ITEM(value, 0), &PyFunction_Type)
        || !PyTuple_CheckExact(PyTuple_GET_ITEM(value, 1))) {
        return false;
    }
    PyObject *names = PyTuple_GET_ITEM(value, 2);
    if (names == Py_None) {
        return true;
    }
    if (!PyTuple_CheckExact(names)
        || PyTuple_GET_SIZE(names) > PyTuple_GET_SIZE(PyTuple_GET_ITEM(value, 1))) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(names, i))) {
            return false;
        }
    }
    return true;
}

bool
slp_are_hook_calls(PyObject *value)
{
    if (!PyTuple_CheckExact(value)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++) {
        if (!is_call(PyTuple_GET_ITEM(value, i))) {
            return false;
        }
    }
    return true;
}

/* X.__new__(metaclass, *args, **kwargs), where X is type. */
static PyObject *
soft_new(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (self != (PyObject *)&PyType_Type || nargs != 4 || !PyType_Check(args[0])
        || !PyType_IsSubtype((PyTypeObject *)args[0], &PyType_Type)
        || !slp_has_soft_hooks((PyTypeObject *)args[0], args + 1, kwnames != NULL)) {
        return SLP_NOT_SOFT;
    }
    /* C refuses metaclasses that build on another one written in C. */
    PyTypeObject *native = (PyTypeObject *)args[0];
    while (native->tp_new == slp_python_slots.type.tp_new) {
        native = native->tp_base;
    }
    if (native->tp_new != PyType_Type.tp_new) {
        return SLP_NOT_SOFT;
    }
    PyObject *kwargs = NULL;
    PyObject *rest = _PyTuple_FromArray(args + 1, nargs - 1);
    if (rest == NULL) {
        return NULL;
    }
    if (kwnames != NULL) {
        kwargs = _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, args + nargs, 1,
                                   PyTuple_GET_SIZE(kwnames));
        if (kwargs == NULL) {
            Py_DECREF(rest);
            return NULL;
        }
    }
    PyObject *answer = slp_soft_type_new(tstate, below, (PyTypeObject *)args[0], rest, kwargs, top);
    Py_DECREF(rest);
    Py_XDECREF(kwargs);
    return answer;
}

void
slp_soft_classhooks_init(void)
{
    /* The first instruction begins; the shim waits before the second, covered by the handler. */
    static const uint8_t code[] = {SLP_GO_ON, SLP_GO_CLASS_HOOK, SLP_GO_ON, SLP_GO_CLASS_HOOK,
                                   SLP_GO_ON, SLP_GO_CLASS_HOOK_FAILED};
    static const uint8_t handlers[] = {0x80 | 0, 2, 2, (POSITION + 1) << 1};
    shim_hooks = slp_shim_make("<class hooks>", STACK_SIZE, code, sizeof(code), handlers, sizeof(handlers));
    type_mro = PyDict_GetItemString(PyType_Type.tp_dict, "mro");
    object_init_subclass = PyDict_GetItemString(PyBaseObject_Type.tp_dict, "__init_subclass__");
    PyObject *new = PyDict_GetItemString(PyType_Type.tp_dict, "__new__");
    if (shim_hooks == NULL || type_mro == NULL || object_init_subclass == NULL || new == NULL) {
        Py_FatalError("cannot prepare the hooks of class statements");
    }
    slp_soft_register_function(new, soft_new);
}
