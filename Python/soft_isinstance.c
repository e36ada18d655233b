/* isinstance() and issubclass() of classes whose metaclass has the hook in Python.
 *
 * One class is asked by a frame whose result is tested for truth.  Those of a tuple or of a union are asked
 * one after the other, by the shim <any class>, until one says yes:
 *
 *      isinstance(x, (A, int, B)) ──> <any class> shim ──> type(A).__instancecheck__(A, x)
 *
 * Tuples in a tuple are left to C, which counts the levels.
 */
#include "slp_continue.h"

#include "internal/pycore_unionobject.h"

#include "slp_frame.h"
#include "slp_loops.h"
#include "slp_softcall.h"

/* What the shim's stack holds. */
enum {
    QUESTION,       /* which function: an int, a key of `questions` */
    CLASSES,        /* a tuple */
    OBJECT,
    POSITION,       /* of the class to be asked next, an int */
    STACK_SIZE = POSITION + 2,
};

static PyCodeObject *shim_any_class;

static const struct {
    PyObject *method;
    int (*in_c)(PyObject *obj, PyObject *cls);
} questions[] = {
    {&_Py_ID(__instancecheck__), PyObject_IsInstance},
    {&_Py_ID(__subclasscheck__), PyObject_IsSubclass},
};
enum {
    IS_INSTANCE,
    IS_SUBCLASS,
};

/* The hook that asks that class, where it is a Python function. */
static PyFunctionObject *
hook_of(PyObject *cls, int question)
{
    return PyType_CheckExact(cls) ? NULL : slp_python_method(Py_TYPE(cls), questions[question].method);
}

/* Ask one class: a bool, or as a soft function. */
static PyObject *
ask(PyThreadState *tstate, _PyInterpreterFrame *below, int question, PyObject *obj, PyObject *cls,
    _PyInterpreterFrame **top)
{
    if (question == IS_INSTANCE && Py_IS_TYPE(obj, (PyTypeObject *)cls)) {
        return Py_NewRef(Py_True);
    }
    PyFunctionObject *hook = hook_of(cls, question);
    PyObject *args[2] = {cls, obj};
    return hook == NULL
               ? SLP_NOT_SOFT
               : slp_enter_above(tstate, below, slp_shim_not, SLP_ENTRY_TRUTH, NULL, 0, hook, args, 2, top);
}

/* The classes of a tuple or a union (borrowed), where one is asked in Python; else NULL.  C sees to a union
 * that has something else than classes. */
static PyObject *
classes_to_ask(PyObject *classes, int question)
{
    bool is_union = Py_IS_TYPE(classes, &_PyUnion_Type);
    PyObject *items = is_union ? _Py_union_args(classes) : classes;
    bool any = false;
    if (!PyTuple_CheckExact(items)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(items); i++) {
        PyObject *item = PyTuple_GET_ITEM(items, i);
        if (is_union && !PyType_Check(item)) {
            return NULL;
        }
        any = any || hook_of(item, question) != NULL;
    }
    return any ? items : NULL;
}

/* Ask the classes from `position` on. */
static PyObject *
ask_from(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject **values, Py_ssize_t position,
         _PyInterpreterFrame **top)
{
    int question = (int)PyLong_AsLong(values[QUESTION]);
    PyObject *classes = values[CLASSES];
    for (; position < PyTuple_GET_SIZE(classes); position++) {
        PyObject *cls = PyTuple_GET_ITEM(classes, position);
        if (slp_set_int(&values[POSITION], position + 1) < 0) {
            return NULL;
        }
        PyObject *answer = ask(tstate, shim, question, values[OBJECT], cls, top);
        if (answer == SLP_ENTER) {
            return SLP_ENTER;
        }
        if (answer == SLP_NOT_SOFT) {
            int yes = questions[question].in_c(values[OBJECT], cls);
            answer = yes < 0 ? NULL : Py_NewRef(yes ? Py_True : Py_False);
        }
        if (answer != Py_False) {
            return answer;
        }
        Py_DECREF(answer);
    }
    return Py_NewRef(Py_False);
}

/* A class has answered. */
PyObject *
slp_go_any_class(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                 _PyInterpreterFrame **top)
{
    PyObject *answer = stack->values[--stack->count];
    stack->entry = 0;
    if (answer != Py_False) {
        return answer;
    }
    Py_DECREF(answer);
    return ask_from(tstate, shim, stack->values, PyLong_AsSsize_t(stack->values[POSITION]), top);
}

static PyObject *
soft_question(PyThreadState *tstate, _PyInterpreterFrame *below, int question, PyObject *obj,
              PyObject *classes, _PyInterpreterFrame **top)
{
    PyObject *items = classes_to_ask(classes, question);
    if (items == NULL) {
        return ask(tstate, below, question, obj, classes, top);
    }
    PyObject *values[] = {PyLong_FromLong(question), Py_NewRef(items), Py_NewRef(obj),
                          Py_NewRef(_PyLong_GetZero())};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_any_class, 0, values, STACK_SIZE - 1);
    if (shim == NULL) {
        return NULL;
    }
    return slp_shim_begun(tstate, shim, ask_from(tstate, shim, shim->localsplus, 0, top));
}

PyObject *
slp_soft_isinstance(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, PyObject *classes,
                    _PyInterpreterFrame **top)
{
    return soft_question(tstate, below, IS_INSTANCE, obj, classes, top);
}

static PyObject *
soft_isinstance(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return nargs != 2 || kwnames != NULL ? SLP_NOT_SOFT
                                         : soft_question(tstate, below, IS_INSTANCE, args[0], args[1], top);
}

static PyObject *
soft_issubclass(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return nargs != 2 || kwnames != NULL ? SLP_NOT_SOFT
                                         : soft_question(tstate, below, IS_SUBCLASS, args[0], args[1], top);
}

void
slp_soft_isinstance_init(void)
{
    SLP_LOOP_MAKE(shim_any_class, "<any class>", STACK_SIZE, SLP_GO_ON, SLP_GO_ANY_CLASS);
    slp_soft_register_builtin("isinstance", soft_isinstance);
    slp_soft_register_builtin("issubclass", soft_issubclass);
}
