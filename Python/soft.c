/* Soft constructs: what their families share (slp_soft.h). */
#include "slp_soft.h"

#include "slp_frame.h"
#include "slp_iterators.h"
#include "slp_loops.h"
#include "slp_softcall.h"

PyObject slp_enter_token = {
    .ob_refcnt = 1,
    .ob_type = &PyBaseObject_Type,
};

PyObject slp_not_soft_token = {
    .ob_refcnt = 1,
    .ob_type = &PyBaseObject_Type,
};

slp_slots slp_python_slots;
bool slp_soft_ready;

/* Special methods with slots of their own; the class that defines them has every slot there is.
 * tp_new, tp_call and so on are among them. */
static const char *const special_methods[] = {
    "__abs__", "__add__", "__aiter__", "__and__", "__anext__", "__await__", "__bool__", "__call__",
    "__contains__", "__delattr__", "__delete__", "__delitem__", "__divmod__", "__eq__", "__float__",
    "__floordiv__", "__ge__", "__get__", "__getattribute__", "__getitem__", "__gt__", "__hash__",
    "__iadd__", "__iand__", "__ifloordiv__", "__ilshift__", "__imatmul__", "__imod__", "__imul__",
    "__index__", "__init__", "__int__", "__invert__", "__ior__", "__ipow__", "__irshift__", "__isub__",
    "__iter__", "__itruediv__", "__ixor__", "__le__", "__len__", "__lshift__", "__lt__", "__matmul__",
    "__mod__", "__mul__", "__ne__", "__neg__", "__new__", "__next__", "__or__", "__pos__", "__pow__",
    "__radd__", "__rand__", "__rdivmod__", "__repr__", "__rfloordiv__", "__rlshift__", "__rmatmul__",
    "__rmod__", "__rmul__", "__ror__", "__rpow__", "__rrshift__", "__rshift__", "__rsub__",
    "__rtruediv__", "__rxor__", "__set__", "__setattr__", "__setitem__", "__str__", "__sub__",
    "__truediv__", "__xor__",
};

/* A class with the special methods `names`, all of them Ellipsis.  NULL with an exception. */
static PyTypeObject *
make_class(const char *const *names, size_t count)
{
    PyObject *result = NULL;
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < count; i++) {
        if (PyDict_SetItemString(dict, names[i], Py_Ellipsis) < 0) {
            Py_CLEAR(dict);
        }
    }
    if (dict != NULL && PyDict_SetItemString(dict, "__module__", Py_None) == 0) {
        result = PyObject_CallFunction((PyObject *)&PyType_Type, "s()O", "probe", dict);
    }
    Py_XDECREF(dict);
    return (PyTypeObject *)result;
}

/* Fill slp_python_slots.  -1 with an exception. */
static int
learn_slots(void)
{
    static const char *const with_getattr[] = {"__getattr__"};
    PyTypeObject *all = make_class(special_methods, Py_ARRAY_LENGTH(special_methods));
    PyTypeObject *hooked = make_class(with_getattr, Py_ARRAY_LENGTH(with_getattr));
    int status = -1;
    if (all != NULL && hooked != NULL) {
        slp_slots *slots = &slp_python_slots;
        slots->type = *all;
        slots->number = *all->tp_as_number;
        slots->sequence = *all->tp_as_sequence;
        slots->mapping = *all->tp_as_mapping;
        slots->async = *all->tp_as_async;
        slots->getattr_hook = hooked->tp_getattro;
        status = 0;
    }
    Py_XDECREF(all);
    Py_XDECREF(hooked);
    return status;
}

void
slp_soft_init(void)
{
    if (slp_shims_init() < 0 || learn_slots() < 0) {
        PyErr_Print();
        Py_FatalError("cannot prepare the soft constructs");
    }
    slp_soft_ready = true;
    slp_soft_calls_init();
    slp_soft_attributes_init();
    slp_soft_builtins_init();
    slp_soft_isinstance_init();
    slp_soft_classes_init();
    slp_soft_generators_init();
    slp_soft_iterators_init();
    slp_soft_context_init();
    slp_soft_exec_init();
    slp_soft_raise_init();
    slp_soft_import_init();
    slp_soft_async_init();
    slp_soft_asyncio_init();
    slp_soft_loops_init();
    slp_soft_items_init();
    slp_soft_folds_init();
    slp_soft_print_init();
    slp_soft_format_init();
    slp_soft_sort_init();
    slp_protocol_init();
}

PyObject *
slp_enter_above(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code, int entry,
                PyObject *const *values, int count, PyFunctionObject *func, PyObject *const *args,
                Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    for (int i = 0; i < count; i++) {
        Py_XINCREF(values[i]);
    }
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, code, entry, values, count);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = slp_enter_function(tstate, shim, func, args, nargs, NULL, top);
    if (answer == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
    }
    return answer;
}

PyObject *
slp_soft_jump(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *condition, int how,
              Py_ssize_t distance, _PyInterpreterFrame **top)
{
    bool is_len;
    PyFunctionObject *func = slp_truth_method(condition, &is_len);
    if (func == NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[2] = {condition, PyLong_FromSsize_t(distance)};
    PyObject *answer = NULL;
    if (values[1] != NULL) {
        bool keeps = (how & SLP_JUMP_KEEPS) != 0;
        int entry = how | (is_len ? SLP_JUMP_FROM_LEN : 0);
        answer = slp_enter_above(tstate, below, slp_shim_jump, entry, values + !keeps, 1 + keeps, func,
                                 &condition, 1, top);
        Py_DECREF(values[1]);
    }
    Py_DECREF(condition);
    return answer;
}
