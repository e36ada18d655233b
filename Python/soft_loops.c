/* What exhausts an iterator: list(g), tuple(g), set(g), [*g], f(*g), a, b = g, l += g, list.extend, str.join
 * (slp_loops.h).
 */
#include "slp_loops.h"

#include "slp_frame.h"
#include "slp_iterators.h"
#include "slp_opcodes.h"
#include "slp_softcall.h"

/* [iterable, list or set, iterable]: fill the container and return it, something of it, None, or nothing. */
static PyCodeObject *shim_list, *shim_tuple, *shim_extend, *shim_list_display;
static PyCodeObject *shim_set, *shim_frozenset, *shim_update, *shim_set_display;
/* [separator, iterable, list, iterable] */
static PyCodeObject *shim_join, *shim_bytes_join;
/* [before, iterable, list, iterable], [before, after, iterable, list, iterable] */
static PyCodeObject *shim_unpack, *shim_unpack_starred;
/* [NULL, callable, iterable, list, iterable], and the same above kwargs */
static PyCodeObject *shim_call_star, *shim_call_star_kw;

/* --- shared by all loops ------------------------------------------------------------------------ */

/* Is it an instance of a class that is iterable by Python code? */
static bool
has_python_iter(PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    if (!slp_has_heap_type(obj)) {
        return false;
    }
    if (type->tp_iter == NULL) {
        return type->tp_as_sequence != NULL
               && type->tp_as_sequence->sq_item == slp_python_slots.sequence.sq_item;
    }
    return type->tp_iter == slp_python_slots.type.tp_iter
           && slp_python_method(type, &_Py_ID(__iter__)) != NULL;
}

bool
slp_loops_in_python(PyObject *obj)
{
    return slp_iterates_in_python(obj) || has_python_iter(obj);
}

/* No need to make room; only that it is there, where somebody promises a lot. */
int
slp_loop_hint(PyObject *iterable, Py_ssize_t size)
{
    if (PyGen_CheckExact(iterable)) {
        return 0;
    }
    Py_ssize_t length = PyObject_LengthHint(iterable, 8);
    if (length < 0) {
        return -1;
    }
    if (length > 1 << 20 && size <= PY_SSIZE_T_MAX - length) {
        void *room = length > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(PyObject *)
                         ? NULL
                         : PyMem_Malloc((size_t)length * sizeof(PyObject *));
        if (room == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        PyMem_Free(room);
    }
    return 0;
}

PyObject *
slp_loop_done(PyThreadState *tstate, slp_loop_end how, PyObject *const *values, Py_ssize_t count)
{
    switch (how) {
    case SLP_LOOP_TUPLE:
        return PyList_AsTuple(values[count - 1]);
    case SLP_LOOP_FROZENSET:
        return PyFrozenSet_New(values[count - 1]);
    case SLP_LOOP_JOIN:
        return PyUnicode_Check(values[0]) ? PyUnicode_Join(values[0], values[count - 1])
                                          : _PyBytes_Join(values[0], values[count - 1]);
    case SLP_LOOP_BYTES: {
        PyObject *bytes = values[count - 1];
        return PyBytes_FromStringAndSize(PyByteArray_AS_STRING(bytes), PyByteArray_GET_SIZE(bytes));
    }
    case SLP_LOOP_FALSE:
        return Py_NewRef(Py_False);
    case SLP_LOOP_FOUND:
        return Py_NewRef(values[0] == Py_True ? Py_False : Py_True);
    case SLP_LOOP_NOT_FOUND:
        return Py_NewRef(values[0]);
    case SLP_LOOP_MIN_EMPTY:
    case SLP_LOOP_MAX_EMPTY:
        if (values[0] != NULL) {
            return Py_NewRef(values[0]);
        }
        _PyErr_Format(tstate, PyExc_ValueError, "%s() arg is an empty sequence",
                      how == SLP_LOOP_MIN_EMPTY ? "min" : "max");
        return NULL;
    case SLP_LOOP_REDUCE_EMPTY:
        _PyErr_SetString(tstate, PyExc_TypeError, "reduce() of empty iterable with no initial value");
        return NULL;
    case SLP_LOOP_SORT:
        return slp_sort_plain(values[2], values[1] == Py_True);
    case SLP_LOOP_SORT_BY_KEYS:
        return slp_sort_by_keys(values[2], values[4], values[1] == Py_True);
    case SLP_LOOP_SORT_IN_PLACE:
        return slp_sort_in_place(values[0], values[2], values[4], values[1] == Py_True);
    }
    Py_UNREACHABLE();
}

PyObject *
slp_enter_loop(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *shim, int entry,
               PyObject *const *values, int count, _PyInterpreterFrame **top)
{
    for (int i = 0; i < count; i++) {
        Py_XINCREF(values[i]);
    }
    *top = slp_shim_push(tstate, below, shim, entry, values, count);
    return *top == NULL ? NULL : SLP_ENTER;
}

PyCodeObject *
slp_loop_make(const char *name, int stacksize, const uint8_t *code, int code_size, const uint8_t *handlers,
              int handlers_size)
{
    PyCodeObject *shim = slp_shim_make(name, stacksize, code, code_size, handlers, handlers_size);
    if (shim == NULL) {
        PyErr_Print();
        Py_FatalError("cannot make the shim of a loop");
    }
    return shim;
}

/* --- containers --------------------------------------------------------------------------------- */

/* Push a shim that fills `container` (stolen, may be NULL with an exception) from `iterable`. */
static PyObject *
fill(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *shim, PyObject *container,
     PyObject *iterable, _PyInterpreterFrame **top)
{
    if (container == NULL) {
        return NULL;
    }
    PyObject *values[] = {iterable, container, iterable};
    PyObject *answer = slp_enter_loop(tstate, below, shim, 0, values, 3, top);
    Py_DECREF(container);
    return answer;
}

/* A soft function of a class or method with one iterable, for which `make` is made and filled by `shim`. */
#define ONE_ITERABLE(name, refused, make, shim)                                                    \
    static PyObject *name(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,       \
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,              \
                          _PyInterpreterFrame **top)                                               \
    {                                                                                              \
        if (nargs != 1 || kwnames != NULL || !slp_may_loop_in_python(args[0]) || (refused)         \
            || !slp_loops_in_python(args[0])) {                                                    \
            return SLP_NOT_SOFT;                                                                   \
        }                                                                                          \
        return fill(tstate, below, (shim), (make), args[0], top);                                  \
    }

ONE_ITERABLE(soft_list, false, PyList_New(0), shim_list)
ONE_ITERABLE(soft_tuple, false, PyList_New(0), shim_tuple)
ONE_ITERABLE(soft_set, PyAnySet_Check(args[0]), PySet_New(NULL), shim_set)
ONE_ITERABLE(soft_frozenset, PyAnySet_Check(args[0]), PySet_New(NULL), shim_frozenset)
ONE_ITERABLE(soft_list_extend, self == args[0], Py_NewRef(self), shim_extend)
ONE_ITERABLE(soft_set_union, !PySet_CheckExact(self) || PyAnySet_Check(args[0]), PySet_New(self), shim_set)
ONE_ITERABLE(soft_frozenset_union, !PyFrozenSet_CheckExact(self) || PyAnySet_Check(args[0]), PySet_New(self),
             shim_frozenset)
ONE_ITERABLE(soft_set_update, PyAnySet_Check(args[0]), Py_NewRef(self), shim_update)

static PyObject *
soft_join(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !slp_loops_in_python(args[0])) {
        return SLP_NOT_SOFT;
    }
    /* It makes a list of an iterator, whose __iter__ is called then. */
    PyObject *iterator = PyObject_GetIter(args[0]);
    if (iterator == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError)) {
            _PyErr_SetString(tstate, PyExc_TypeError, "can only join an iterable");
        }
        return NULL;
    }
    PyObject *list = PyList_New(0);
    PyObject *answer = NULL;
    if (list != NULL) {
        PyObject *values[] = {self, iterator, list, iterator};
        PyCodeObject *shim = PyUnicode_Check(self) ? shim_join : shim_bytes_join;
        answer = slp_enter_loop(tstate, below, shim, 0, values, 4, top);
    }
    Py_XDECREF(list);
    Py_DECREF(iterator);
    return answer;
}

PyObject *
slp_soft_extend(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container, PyObject *iterable,
                _PyInterpreterFrame **top)
{
    if (!slp_loops_in_python(iterable)) {
        return SLP_NOT_SOFT;
    }
    if (PyList_Check(container)) {
        return fill(tstate, below, shim_list_display, Py_NewRef(container), iterable, top);
    }
    return PyAnySet_Check(iterable)
               ? SLP_NOT_SOFT
               : fill(tstate, below, shim_set_display, Py_NewRef(container), iterable, top);
}

PyObject *
slp_soft_list_add(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *list, PyObject *iterable,
                  _PyInterpreterFrame **top)
{
    PyNumberMethods *number = Py_TYPE(iterable)->tp_as_number;
    if ((number != NULL && number->nb_add != NULL) || !slp_loops_in_python(iterable)) {
        return SLP_NOT_SOFT;
    }
    return fill(tstate, below, shim_list, Py_NewRef(list), iterable, top);
}

PyObject *
slp_soft_unpack(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *iterable, int before, int after,
                _PyInterpreterFrame **top)
{
    if (!slp_loops_in_python(iterable)) {
        return SLP_NOT_SOFT;
    }
    PyObject *first = PyLong_FromLong(before);
    PyObject *last = PyLong_FromLong(after);
    PyObject *list = PyList_New(0);
    PyObject *answer = NULL;
    if (first != NULL && last != NULL && list != NULL) {
        PyObject *values[] = {first, last, iterable, list, iterable};
        PyObject *plain[] = {first, iterable, list, iterable};
        answer = after < 0 ? slp_enter_loop(tstate, below, shim_unpack, 0, plain, 4, top)
                           : slp_enter_loop(tstate, below, shim_unpack_starred, 0, values, 5, top);
    }
    Py_XDECREF(first);
    Py_XDECREF(last);
    Py_XDECREF(list);
    return answer;
}

PyObject *
slp_soft_call_star(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable, PyObject *iterable,
                   PyObject *kwargs, _PyInterpreterFrame **top)
{
    /* A profile function wants to see the call in the caller's frame. */
    if (tstate->c_profilefunc != NULL || !slp_loops_in_python(iterable)) {
        return SLP_NOT_SOFT;
    }
    PyObject *list = PyList_New(0);
    if (list == NULL) {
        return NULL;
    }
    PyObject *values[] = {kwargs, NULL, callable, iterable, list, iterable};
    PyObject *answer = kwargs == NULL
                           ? slp_enter_loop(tstate, below, shim_call_star, 0, values + 1, 5, top)
                           : slp_enter_loop(tstate, below, shim_call_star_kw, 0, values, 6, top);
    Py_DECREF(list);
    return answer;
}

/* --- shims -------------------------------------------------------------------------------------- */

void
slp_soft_loops_init(void)
{
    SLP_LOOP_MAKE(shim_list, "<list of>", 4, SLP_CODE_COLLECT(3, 2), SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_tuple, "<tuple of>", 4, SLP_CODE_COLLECT(3, 2), SLP_LOOP_DONE, SLP_LOOP_TUPLE);
    SLP_LOOP_MAKE(shim_extend, "<list.extend>", 4, SLP_CODE_COLLECT(3, 2), SLP_GIVE_NONE, 0);
    SLP_LOOP_MAKE(shim_list_display, "<list display>", 4, SLP_CODE_COLLECT(3, 2), SLP_RETURN_NOTHING, 0);
    SLP_LOOP_MAKE(shim_set, "<set of>", 4, SLP_CODE_COLLECT_SET(2), SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_frozenset, "<frozenset of>", 4, SLP_CODE_COLLECT_SET(2), SLP_LOOP_DONE,
                  SLP_LOOP_FROZENSET);
    SLP_LOOP_MAKE(shim_update, "<set.update>", 4, SLP_CODE_COLLECT_SET(2), SLP_GIVE_NONE, 0);
    SLP_LOOP_MAKE(shim_set_display, "<set display>", 4, SLP_CODE_COLLECT_SET(2), SLP_RETURN_NOTHING, 0);
    SLP_LOOP_MAKE(shim_join, "<str.join>", 5, SLP_CODE_COLLECT(3, 2), SLP_LOOP_DONE, SLP_LOOP_JOIN);
    SLP_LOOP_MAKE(shim_bytes_join, "<bytes.join>", 5, SLP_CODE_COLLECT(3, 2), SLP_LOOP_DONE, SLP_LOOP_JOIN);
    SLP_LOOP_MAKE(shim_unpack, "<unpacking>", 5, GET_ITER, 0, FOR_ITER, 3, LIST_APPEND, 2,
                  SLP_UNPACK_CHECK, 0, JUMP_BACKWARD, 4, SLP_UNPACKED, 0);
    /* As in C: first those before the star, one by one; then what list() of the iterator does. */
    SLP_LOOP_MAKE(shim_unpack_starred, "<starred unpacking>", 7,
                  GET_ITER, 0,
                  SLP_UNPACK_REST, 3,                     /*  1: to 5 */
                  FOR_ITER, 10,                           /*  2: to 13 */
                  LIST_APPEND, 2,
                  JUMP_BACKWARD, 4,                       /*  4: to 1 */
                  COPY, 1,
                  SWAP, 3,
                  SWAP, 2,
                  SLP_CODE_COLLECT(3 | SLP_HINT_OF_ANOTHER, 2), /*  8 to 12 */
                  SLP_UNPACKED, 1);
    SLP_LOOP_MAKE(shim_call_star, "<call with *>", 6, SLP_CODE_COLLECT(3, 2), SWAP, 2, POP_TOP, 0,
                  LIST_TO_TUPLE, 0, CALL_FUNCTION_EX, 0, SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_call_star_kw, "<call with * and **>", 7, SLP_CODE_COLLECT(3, 2), SWAP, 2, POP_TOP, 0,
         LIST_TO_TUPLE, 0, COPY, 4, CALL_FUNCTION_EX, 1, SLP_GIVE, 0);
    slp_soft_register_class(&PyList_Type, soft_list);
    slp_soft_register_class(&PyTuple_Type, soft_tuple);
    slp_soft_register_class(&PySet_Type, soft_set);
    slp_soft_register_class(&PyFrozenSet_Type, soft_frozenset);
    slp_soft_register_method(&PyList_Type, "extend", soft_list_extend);
    slp_soft_register_method(&PySet_Type, "update", soft_set_update);
    slp_soft_register_method(&PySet_Type, "union", soft_set_union);
    slp_soft_register_method(&PyFrozenSet_Type, "union", soft_frozenset_union);
    slp_soft_register_method(&PyUnicode_Type, "join", soft_join);
    slp_soft_register_method(&PyBytes_Type, "join", soft_join);
}
