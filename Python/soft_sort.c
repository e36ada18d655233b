/* sorted() and list.sort() with keys by Python functions (slp_loops.h).
 *
 *      caller ──> <sort> shim: for each item, CALL key ──> key function
 *
 * When all keys are there, the base's list.sort() sorts with a key function that hands them over, one after
 * the other: that calls key functions for all items in their order, before it compares.  As there, a list
 * is empty while its keys are computed, and a change to it is an error after it has been sorted.
 *
 * Rejected: a merge sort in bytecode, so that comparisons by __lt__ in Python are frames too.  The order of
 * the comparisons would be another one, and a list that compares itself is rare next to a key.
 */
#include "slp_loops.h"

#include "slp_opcodes.h"
#include "slp_softcall.h"
#include "slp_tasklet.h"

/* [iterable, reverse, items, key or None, keys, iterable] */
static PyCodeObject *shim_sorted;
enum {
    ENTRY_COLLECT = 0,
    ENTRY_KEYS = 8,   /* the items are there: no iterable on top */
};
/* [list, reverse, items, key, keys] */
static PyCodeObject *shim_sort;

/* list.sort (owned). */
static PyObject *list_sort;

/* The key function that hands keys over: its self is a list of them, the next one last.  The list lets go of
 * them, so that they die inside of the sort, as they do without us. */
static PyObject *
next_key(PyObject *keys, PyObject *item)
{
    Py_ssize_t size = PyList_GET_SIZE(keys);
    if (size == 0) {
        PyErr_SetString(PyExc_RuntimeError, "a sort has lost its keys");
        return NULL;
    }
    Py_SET_SIZE(keys, size - 1);
    return PyList_GET_ITEM(keys, size - 1);
}

static PyMethodDef next_key_def = {"key", next_key, METH_O, NULL};

/* list.sort(items, key=key or None, reverse=reverse): None, or NULL. */
static PyObject *
sort_list(PyObject *items, PyObject *key, bool reverse)
{
    PyObject *names = Py_BuildValue("(ss)", "key", "reverse");
    if (names == NULL) {
        return NULL;
    }
    PyObject *args[] = {items, key == NULL ? Py_None : key, reverse ? Py_True : Py_False};
    PyObject *none = PyObject_Vectorcall(list_sort, args, 1, names);
    Py_DECREF(names);
    return none;
}

/* The same with keys[i] as the key of items[i]. */
static PyObject *
sort_with_keys(PyObject *items, PyObject *keys, bool reverse)
{
    PyObject *key = PyList_Reverse(keys) < 0 ? NULL : PyCFunction_New(&next_key_def, keys);
    PyObject *none = key == NULL ? NULL : sort_list(items, key, reverse);
    Py_XDECREF(key);
    return none;
}

PyObject *
slp_sort_plain(PyObject *items, bool reverse)
{
    PyObject *none = sort_list(items, NULL, reverse);
    Py_XDECREF(none);
    return none == NULL ? NULL : Py_NewRef(items);
}

/* Let two lists exchange what they hold. */
static void
exchange(PyListObject *a, PyListObject *b)
{
    PyObject **items = a->ob_item;
    Py_ssize_t size = Py_SIZE(a), allocated = a->allocated;
    a->ob_item = b->ob_item;
    a->allocated = b->allocated;
    Py_SET_SIZE(a, Py_SIZE(b));
    b->ob_item = items;
    b->allocated = allocated;
    Py_SET_SIZE(b, size);
}

/* Where the list is being sorted in place: give it its items back.  Was it changed meanwhile? */
static bool
give_back(PyObject *list, PyObject *items)
{
    PyListObject *sorted = (PyListObject *)list;
    bool changed = sorted->allocated != -1;
    if (!changed) {
        sorted->allocated = 0;
    }
    exchange(sorted, (PyListObject *)items);
    (void)PyList_SetSlice(items, 0, PY_SSIZE_T_MAX, NULL);
    return changed;
}

void
slp_sort_resumed(PyObject *list, PyObject *items)
{
    PyListObject *sorted = (PyListObject *)list;
    if (Py_SIZE(sorted) > 0) {
        return; /* that change is an error, but at the end */
    }
    if (sorted->allocated == -1 && Py_SIZE(items) == 0) {
        ((PyListObject *)items)->allocated = -1; /* a key function sorts the list that is being sorted */
    }
    sorted->allocated = -1;
}

void
slp_sort_failed(PyObject *list, PyObject *items)
{
    if (list != items && PyList_Check(list) && PyList_CheckExact(items)) {
        (void)give_back(list, items);
    }
}

PyObject *
slp_sort_by_keys(PyObject *items, PyObject *keys, bool reverse)
{
    PyObject *none = sort_with_keys(items, keys, reverse);
    Py_XDECREF(none);
    return none == NULL ? NULL : Py_NewRef(items);
}

PyObject *
slp_sort_in_place(PyObject *list, PyObject *items, PyObject *keys, bool reverse)
{
    bool changed = give_back(list, items);
    PyObject *none = sort_with_keys(list, keys, reverse);
    if (none != NULL && changed) {
        Py_DECREF(none);
        PyErr_SetString(PyExc_ValueError, "list modified during sort");
        return NULL;
    }
    return none;
}

/* --- calls -------------------------------------------------------------------------------------- */

/* The keywords of both: *key may be None.  Is all of it known, and plain? */
static bool
parse(PyObject *const *values, PyObject *kwnames, PyObject **key, bool *reverse)
{
    *key = Py_None;
    *reverse = false;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (_PyUnicode_EqualToASCIIString(name, "key")) {
            *key = values[i];
        }
        else if (_PyUnicode_EqualToASCIIString(name, "reverse") && PyLong_Check(values[i])
                 && Py_ABS(Py_SIZE(values[i])) <= 1) {
            *reverse = Py_SIZE(values[i]) != 0;
        }
        else {
            return false;
        }
    }
    return true;
}

static PyObject *
soft_sorted(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *key;
    bool reverse;
    if (nargs != 1 || !parse(args + 1, kwnames, &key, &reverse)) {
        return SLP_NOT_SOFT;
    }
    bool loops = slp_loops_in_python(args[0]);
    if (!loops && (key == Py_None || !slp_may_be_soft(key))) {
        return SLP_NOT_SOFT;
    }
    PyObject *items = loops ? PyList_New(0) : PySequence_List(args[0]);
    PyObject *keys = PyList_New(0);
    PyObject *answer = NULL;
    if (items != NULL && keys != NULL) {
        PyObject *values[] = {args[0], reverse ? Py_True : Py_False, items, key, keys, args[0]};
        answer = slp_enter_loop(tstate, below, shim_sorted, loops ? ENTRY_COLLECT : ENTRY_KEYS, values,
                                loops ? 6 : 5, top);
    }
    Py_XDECREF(items);
    Py_XDECREF(keys);
    return answer;
}

static PyObject *
soft_sort(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *key;
    bool reverse;
    if (nargs != 0 || !parse(args, kwnames, &key, &reverse) || key == Py_None || !slp_may_be_soft(key)) {
        return SLP_NOT_SOFT;
    }
    PyObject *items = PyList_New(0);
    PyObject *keys = PyList_New(0);
    PyObject *answer = NULL;
    if (items != NULL && keys != NULL) {
        PyObject *values[] = {self, reverse ? Py_True : Py_False, items, key, keys};
        answer = slp_enter_loop(tstate, below, shim_sort, 0, values, 5, top);
        if (answer != NULL) {
            exchange((PyListObject *)self, (PyListObject *)items);
            ((PyListObject *)self)->allocated = -1;   /* whatever is done to the list changes it */
        }
    }
    Py_XDECREF(items);
    Py_XDECREF(keys);
    return answer;
}

/* A list that is being sorted gets its items back. */
static void
drop_sort(PyTaskletObject *t, _PyInterpreterFrame *shim)
{
    slp_sort_failed(shim->localsplus[0], shim->localsplus[2]);
}

/* --- shims -------------------------------------------------------------------------------------- */

/* [x, reverse, items, key, keys]: 17 units, the keys of all items into `keys`. */
#define KEYS                                                                                       \
    COPY, 3,                                                                                       \
    GET_ITER, 0,                                                                                   \
    FOR_ITER, 14,                       /*  2: to 17 */                                            \
    PUSH_NULL, 0,                                                                                  \
    COPY, 5,                                                                                       \
    COPY, 3,                                                                                       \
    SLP_CODE_CALL(1),                   /*  6 to 12 */                                             \
    SWAP, 2,                                                                                       \
    POP_TOP, 0,                                                                                    \
    LIST_APPEND, 2,                                                                                \
    JUMP_BACKWARD, 15                   /* 16: to 2 */

void
slp_soft_sort_init(void)
{
    static const uint8_t sorted_code[] = {
        SLP_CODE_COLLECT(6, 4),
        COPY, 2,
        POP_JUMP_FORWARD_IF_NOT_NONE, 1,
        SLP_LOOP_DONE, SLP_LOOP_SORT,
        KEYS,
        SLP_LOOP_DONE, SLP_LOOP_SORT_BY_KEYS,
    };
    static const uint8_t sort_code[] = {
        KEYS,
        SLP_LOOP_DONE, SLP_LOOP_SORT_IN_PLACE,
        SLP_SORT_FAILED, 0,
    };
    /* The keys are covered, with five values left on the stack: the start with its mark, the length, the
     * handler, twice the depth. */
    static const uint8_t sort_handlers[] = {0x80, 17, 18, 10};
    shim_sorted = slp_loop_make("<sorted>", 10, sorted_code, sizeof(sorted_code), NULL, 0);
    shim_sort = slp_loop_make("<list.sort>", 10, sort_code, sizeof(sort_code), sort_handlers,
                              sizeof(sort_handlers));
    slp_shim_set_drop(shim_sort, drop_sort);
    list_sort = PyObject_GetAttrString((PyObject *)&PyList_Type, "sort");
    if (list_sort == NULL) {
        Py_FatalError("list has no sort()");
    }
    slp_soft_register_builtin("sorted", soft_sorted);
    slp_soft_register_method(&PyList_Type, "sort", soft_sort);
}
