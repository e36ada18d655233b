/* What takes the items of an iterator one by one: dict(g), d.update(g), bytes(g), bytearray(g), deque(g), its
 * extend() and extendleft(), and how collections.Counter counts (slp_loops.h).
 *
 *      caller ──> <dict of> shim: FOR_ITER, SLP_TAKE_ITEM, JUMP_BACKWARD ──> generator
 *
 * Generators and iterators of the base only: instances of classes in Python may have keys(), __bytes__() and
 * the like, which come first; C asks for these.
 */
#include "slp_loops.h"

#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_opcodes.h"
#include "slp_softcall.h"

/* [iterable, container, state, iterable]: fill the container; return it, bytes of it, or None.  The state is
 * what slp_take_item() says. */
static PyCodeObject *shim_dict, *shim_bytes, *shim_bytearray, *shim_deque;
static PyCodeObject *shim_dict_update, *shim_deque_extend, *shim_count;

/* collections.deque.append and appendleft (borrowed from deque). */
static PyObject *deque_append, *deque_appendleft;

/* --- items ---------------------------------------------------------------------------------------- */

/* One of the pairs that a dict is made of, the `index`th. */
static int
take_pair(PyThreadState *tstate, PyObject *dict, PyObject *pair, Py_ssize_t index)
{
    PyObject *items = PySequence_Fast(pair, "");
    if (items == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError)) {
            _PyErr_Format(tstate, PyExc_TypeError,
                          "cannot convert dictionary update sequence element #%zd to a sequence", index);
        }
        return -1;
    }
    int status = -1;
    if (PySequence_Fast_GET_SIZE(items) == 2) {
        /* A list may change while the key is hashed. */
        PyObject *key = Py_NewRef(PySequence_Fast_GET_ITEM(items, 0));
        PyObject *value = Py_NewRef(PySequence_Fast_GET_ITEM(items, 1));
        status = PyDict_SetItem(dict, key, value);
        Py_DECREF(key);
        Py_DECREF(value);
    }
    else {
        _PyErr_Format(tstate, PyExc_ValueError,
                      "dictionary update sequence element #%zd has length %zd; 2 is required", index,
                      PySequence_Fast_GET_SIZE(items));
    }
    Py_DECREF(items);
    return status;
}

static int
take_byte(PyThreadState *tstate, PyObject *bytes, PyObject *item, const char *name)
{
    Py_ssize_t value = PyNumber_AsSsize_t(item, NULL);
    if (value == -1 && _PyErr_Occurred(tstate)) {
        return -1;
    }
    if (value < 0 || value > 255) {
        _PyErr_Format(tstate, PyExc_ValueError, "%s must be in range(0, 256)", name);
        return -1;
    }
    Py_ssize_t size = PyByteArray_GET_SIZE(bytes);
    if (PyByteArray_Resize(bytes, size + 1) < 0) {
        return -1;
    }
    PyByteArray_AS_STRING(bytes)[size] = (char)value;
    return 0;
}

/* One more of `key`. */
static int
count(PyThreadState *tstate, PyObject *counts, PyObject *key)
{
    PyObject *one = _PyLong_GetOne();
    PyObject *before = PyDict_GetItemWithError(counts, key);
    if (before == NULL) {
        return _PyErr_Occurred(tstate) ? -1 : PyDict_SetItem(counts, key, one);
    }
    Py_INCREF(before);   /* its __add__ may change the dict */
    PyObject *after = PyNumber_Add(before, one);
    Py_DECREF(before);
    if (after == NULL) {
        return -1;
    }
    int status = PyDict_SetItem(counts, key, after);
    Py_DECREF(after);
    return status;
}

int
slp_take_item(PyThreadState *tstate, slp_taker how, PyObject *container, PyObject **state, PyObject *item)
{
    switch (how) {
    case SLP_TAKE_PAIR: {
        Py_ssize_t index = PyLong_AsSsize_t(*state);
        return take_pair(tstate, container, item, index) < 0 ? -1 : slp_set_int(state, index + 1);
    }
    case SLP_TAKE_BYTES:
        return take_byte(tstate, container, item, "bytes");
    case SLP_TAKE_BYTEARRAY:
        return take_byte(tstate, container, item, "byte");
    case SLP_TAKE_COUNT:
        return count(tstate, container, item);
    case SLP_TAKE_CALL: {
        PyObject *result = PyObject_CallOneArg(*state, item);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    }
    Py_UNREACHABLE();
}

/* --- who takes ------------------------------------------------------------------------------------- */

/* Does Python code make the items of a C iterator or generator, which does not say how many there are? */
static bool
is_plain_source(PyObject *iterable)
{
    return Py_TYPE(iterable)->tp_iternext != NULL && !slp_has_heap_type(iterable)
           && slp_loops_in_python(iterable)
           && _PyType_Lookup(Py_TYPE(iterable), &_Py_ID(__length_hint__)) == NULL;
}

/* Push `shim` with a container and its state (both stolen; NULL with an exception). */
static PyObject *
take_all(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *shim, PyObject *container,
         PyObject *state, PyObject *iterable, _PyInterpreterFrame **top)
{
    PyObject *answer = NULL;
    if (container != NULL && state != NULL) {
        PyObject *values[] = {iterable, container, state, iterable};
        answer = slp_enter_loop(tstate, below, shim, 0, values, 4, top);
    }
    Py_XDECREF(container);
    Py_XDECREF(state);
    return answer;
}

/* A soft function of a class or method with one iterable. */
#define ONE_SOURCE(name, shim, container, state)                                                   \
    static PyObject *name(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,       \
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,              \
                          _PyInterpreterFrame **top)                                               \
    {                                                                                              \
        if (nargs != 1 || kwnames != NULL || !is_plain_source(args[0])) {                          \
            return SLP_NOT_SOFT;                                                                   \
        }                                                                                          \
        return take_all(tstate, below, (shim), (container), (state), args[0], top);                \
    }

/* deque.append of a deque. */
static PyObject *
bound_method(PyObject *method, PyObject *deque)
{
    return deque == NULL ? NULL : Py_TYPE(method)->tp_descr_get(method, deque, (PyObject *)Py_TYPE(deque));
}

ONE_SOURCE(soft_dict, shim_dict, PyDict_New(), Py_NewRef(_PyLong_GetZero()))
ONE_SOURCE(soft_dict_update, shim_dict_update, Py_NewRef(self), Py_NewRef(_PyLong_GetZero()))
ONE_SOURCE(soft_bytes, shim_bytes, PyByteArray_FromStringAndSize(NULL, 0), Py_NewRef(Py_None))
ONE_SOURCE(soft_bytearray, shim_bytearray, PyByteArray_FromStringAndSize(NULL, 0), Py_NewRef(Py_None))
ONE_SOURCE(soft_deque_extend, shim_deque_extend, Py_NewRef(self), bound_method(deque_append, self))
ONE_SOURCE(soft_deque_extendleft, shim_deque_extend, Py_NewRef(self), bound_method(deque_appendleft, self))

/* deque(iterable, maxlen) */
static PyObject *
soft_deque(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs < 1 || nargs + named > 2 || !is_plain_source(args[0])
        || (named == 1 && !_PyUnicode_EqualToASCIIString(PyTuple_GET_ITEM(kwnames, 0), "maxlen"))) {
        return SLP_NOT_SOFT;
    }
    PyObject *deque = PyObject_CallFunction(self, "()O", nargs + named == 2 ? args[1] : Py_None);
    return take_all(tstate, below, shim_deque, deque, bound_method(deque_append, deque), args[0], top);
}

/* Does the mapping have the dict's own method of that name? */
static bool
has_of_dict(PyObject *mapping, PyObject *name)
{
    return _PyType_Lookup(Py_TYPE(mapping), name) == _PyType_Lookup(&PyDict_Type, name);
}

/* _count_elements(mapping, iterable), where nothing that a dict does is overridden. */
static PyObject *
soft_count(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 2 || kwnames != NULL || !PyDict_Check(args[0]) || !is_plain_source(args[1])
        || !has_of_dict(args[0], &_Py_ID(get)) || !has_of_dict(args[0], &_Py_ID(__setitem__))) {
        return SLP_NOT_SOFT;
    }
    return take_all(tstate, below, shim_count, Py_NewRef(args[0]), Py_NewRef(Py_None), args[1], top);
}

/* --- shims ----------------------------------------------------------------------------------------- */

/* Five units; what follows finds [iterable, container]. */
#define TAKE_ALL(how) GET_ITER, 0, FOR_ITER, 2, SLP_TAKE_ITEM, (how), JUMP_BACKWARD, 3, POP_TOP, 0

void
slp_soft_items_init(void)
{
    SLP_LOOP_MAKE(shim_dict, "<dict of>", 5, TAKE_ALL(SLP_TAKE_PAIR), SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_dict_update, "<dict.update>", 5, TAKE_ALL(SLP_TAKE_PAIR), SLP_GIVE_NONE, 0);
    SLP_LOOP_MAKE(shim_bytes, "<bytes of>", 5, TAKE_ALL(SLP_TAKE_BYTES), SLP_LOOP_DONE, SLP_LOOP_BYTES);
    SLP_LOOP_MAKE(shim_bytearray, "<bytearray of>", 5, TAKE_ALL(SLP_TAKE_BYTEARRAY), SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_deque, "<deque of>", 5, TAKE_ALL(SLP_TAKE_CALL), SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_deque_extend, "<deque.extend>", 5, TAKE_ALL(SLP_TAKE_CALL), SLP_GIVE_NONE, 0);
    SLP_LOOP_MAKE(shim_count, "<count elements>", 5, TAKE_ALL(SLP_TAKE_COUNT), SLP_GIVE_NONE, 0);
    slp_soft_register_class(&PyDict_Type, soft_dict);
    slp_soft_register_class(&PyBytes_Type, soft_bytes);
    slp_soft_register_class(&PyByteArray_Type, soft_bytearray);
    slp_soft_register_method(&PyDict_Type, "update", soft_dict_update);
}

int
slp_soft_collections(PyObject *module)
{
    PyObject *dict = PyModule_GetDict(module);
    PyObject *deque = PyDict_GetItemString(dict, "deque");
    PyObject *counter = PyDict_GetItemString(dict, "_count_elements");
    if (deque != NULL && PyType_Check(deque)) {
        PyTypeObject *deque_type = (PyTypeObject *)deque;
        deque_append = PyDict_GetItemString(deque_type->tp_dict, "append");
        deque_appendleft = PyDict_GetItemString(deque_type->tp_dict, "appendleft");
        slp_soft_register_class(deque_type, soft_deque);
        slp_soft_register_method(deque_type, "extend", soft_deque_extend);
        slp_soft_register_method(deque_type, "extendleft", soft_deque_extendleft);
    }
    if (counter != NULL && PyCFunction_Check(counter)) {
        slp_soft_register_function(counter, soft_count);
    }
    return 0;
}
