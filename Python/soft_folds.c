/* What makes one value of many: sum, any, all, min, max, functools.reduce, `x in g` (slp_loops.h). */
#include "slp_loops.h"

#include "slp_ints.h"
#include "slp_opcodes.h"
#include "slp_softcall.h"

/* [iterable, sum so far, iterable] */
static PyCodeObject *shim_sum;
/* [iterable, iterable] */
static PyCodeObject *shim_any, *shim_all;
/* [default or NULL, iterable, iterable]; [default or NULL, key, iterable, iterable] */
static PyCodeObject *shim_min, *shim_max, *shim_min_by, *shim_max_by;
/* [function, iterable, value so far, iterator]; [function, iterable, iterator] */
static PyCodeObject *shim_reduce, *shim_reduce_first;
/* [negate, object, iterable, iterator] */
static PyCodeObject *shim_contains;

static PyObject *
soft_sum(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    if (nargs < 1 || nargs + named > 2
        || (named == 1 && !_PyUnicode_EqualToASCIIString(PyTuple_GET_ITEM(kwnames, 0), "start"))
        || !slp_loops_in_python(args[0])) {
        return SLP_NOT_SOFT;
    }
    PyObject *start = nargs + named == 2 ? args[1] : _PyLong_GetZero();
    if (PyUnicode_Check(start) || PyBytes_Check(start) || PyByteArray_Check(start)) {
        return SLP_NOT_SOFT;   /* C raises the TypeError */
    }
    PyObject *values[] = {args[0], start, args[0]};
    return slp_enter_loop(tstate, below, shim_sum, 0, values, 3, top);
}

static PyObject *
test_items(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *shim, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !slp_loops_in_python(args[0])) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[] = {args[0], args[0]};
    return slp_enter_loop(tstate, below, shim, 0, values, 2, top);
}

static PyObject *
soft_any(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return test_items(tstate, below, shim_any, args, nargs, kwnames, top);
}

static PyObject *
soft_all(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return test_items(tstate, below, shim_all, args, nargs, kwnames, top);
}

/* The value of a float, or of an int of one digit, which a double holds exactly.  False for others. */
static inline bool
plain_number(PyObject *op, double *value)
{
    if (PyFloat_CheckExact(op)) {
        *value = PyFloat_AS_DOUBLE(op);
        return true;
    }
    if (PyLong_CheckExact(op) && slp_is_one_digit(op)) {
        *value = (double)slp_one_digit_value(op);
        return true;
    }
    return false;
}

/* The least (`comparison` Py_LT) or the greatest (Py_GT) of plain numbers: answered here, since C takes
 * longer to sort its arguments out than to compare.  SLP_NOT_SOFT where there are others. */
static PyObject *
extreme_number(PyObject *const *args, Py_ssize_t nargs, int comparison)
{
    PyObject *best = args[0];
    double champion, value;
    if (!plain_number(best, &champion)) {
        return SLP_NOT_SOFT;
    }
    for (Py_ssize_t i = 1; i < nargs; i++) {
        if (!plain_number(args[i], &value)) {
            return SLP_NOT_SOFT;
        }
        if (comparison == Py_LT ? value < champion : value > champion) {
            best = args[i];
            champion = value;
        }
    }
    return Py_NewRef(best);
}

/* min() and max(): of one iterable, or of the arguments; with `key` and `default`. */
static PyObject *
extreme(PyThreadState *tstate, _PyInterpreterFrame *below, int comparison, PyObject *const *args,
        Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs > 1 && kwnames == NULL) {
        return extreme_number(args, nargs, comparison);
    }
    PyObject *key = NULL, *instead = NULL;
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (_PyUnicode_EqualToASCIIString(name, "key")) {
            key = args[nargs + i] == Py_None ? NULL : args[nargs + i];
        }
        else if (_PyUnicode_EqualToASCIIString(name, "default")) {
            instead = args[nargs + i];
        }
        else {
            return SLP_NOT_SOFT;
        }
    }
    if (nargs < 1 || (nargs > 1 && instead != NULL)) {
        return SLP_NOT_SOFT;
    }
    if (!(key != NULL && slp_may_be_soft(key)) && !(nargs == 1 && slp_loops_in_python(args[0]))) {
        return SLP_NOT_SOFT;
    }
    if (Py_TYPE(args[0])->tp_iter == NULL && !PySequence_Check(args[0]) && nargs == 1) {
        return SLP_NOT_SOFT;
    }
    PyObject *iterable = nargs == 1 ? Py_NewRef(args[0]) : _PyTuple_FromArray(args, nargs);
    if (iterable == NULL) {
        return NULL;
    }
    PyObject *values[] = {instead, key, iterable, iterable};
    PyObject *without_key[] = {instead, iterable, iterable};
    PyCodeObject *plain = comparison == Py_LT ? shim_min : shim_max;
    PyCodeObject *by_key = comparison == Py_LT ? shim_min_by : shim_max_by;
    PyObject *answer = key == NULL ? slp_enter_loop(tstate, below, plain, 0, without_key, 3, top)
                                   : slp_enter_loop(tstate, below, by_key, 0, values, 4, top);
    Py_DECREF(iterable);
    return answer;
}

static PyObject *
soft_min(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return extreme(tstate, below, Py_LT, args, nargs, kwnames, top);
}

static PyObject *
soft_max(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return extreme(tstate, below, Py_GT, args, nargs, kwnames, top);
}

PyObject *
slp_soft_reduce(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 2 || nargs > 3 || kwnames != NULL
        || (Py_TYPE(args[1])->tp_iter == NULL && !PySequence_Check(args[1]))
        || !(slp_may_be_soft(args[0]) || slp_loops_in_python(args[1]))) {
        return SLP_NOT_SOFT;
    }
    PyObject *iterator = PyObject_GetIter(args[1]);
    if (iterator == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError)) {
            _PyErr_SetString(tstate, PyExc_TypeError, "reduce() arg 2 must support iteration");
        }
        return NULL;
    }
    PyObject *from_first[] = {args[0], args[1], iterator};
    PyObject *from_initial[] = {args[0], args[1], nargs == 3 ? args[2] : NULL, iterator};
    PyObject *answer = nargs == 3 ? slp_enter_loop(tstate, below, shim_reduce, 0, from_initial, 4, top)
                                  : slp_enter_loop(tstate, below, shim_reduce_first, 0, from_first, 3, top);
    Py_DECREF(iterator);
    return answer;
}

PyObject *
slp_soft_contains(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container, PyObject *item,
                  bool negate, _PyInterpreterFrame **top)
{
    PySequenceMethods *sequence = Py_TYPE(container)->tp_as_sequence;
    if ((sequence != NULL && sequence->sq_contains != NULL) || !slp_loops_in_python(container)) {
        return SLP_NOT_SOFT;
    }
    PyObject *iterator = PyObject_GetIter(container);
    if (iterator == NULL) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_TypeError)) {
            _PyErr_Format(tstate, PyExc_TypeError, "argument of type '%.200s' is not iterable",
                          Py_TYPE(container)->tp_name);
        }
        return NULL;
    }
    PyObject *values[] = {negate ? Py_True : Py_False, item, container, iterator};
    PyObject *answer = slp_enter_loop(tstate, below, shim_contains, 0, values, 4, top);
    Py_DECREF(iterator);
    return answer;
}

/* --- shims -------------------------------------------------------------------------------------- */

/* [default, iterable, best, iterator] */
#define EXTREME(op, empty)                                                                         \
    GET_ITER, 0,                                                                                   \
    FOR_ITER, 14,                       /*  1: to 16 */                                            \
    SWAP, 2,                                                                                       \
    FOR_ITER, 11,                       /*  3: to 15 */                                            \
    COPY, 1,                                                                                       \
    COPY, 4,                                                                                       \
    SLP_CODE_COMPARE(op),               /*  6 to 8 */                                              \
    POP_JUMP_FORWARD_IF_FALSE, 3,       /*  9: to 13 */                                            \
    SWAP, 3,                                                                                       \
    POP_TOP, 0,                                                                                    \
    JUMP_BACKWARD, 10,                  /* 12: to 3 */                                             \
    POP_TOP, 0,                         /* 13 */                                                   \
    JUMP_BACKWARD, 12,                  /* 14: to 3 */                                             \
    SLP_GIVE, 0,                        /* 15 */                                                   \
    SLP_LOOP_DONE, (empty)              /* 16 */

/* [default, key, iterable, best key, best item, iterator] */
#define EXTREME_BY(op, empty)                                                                      \
    GET_ITER, 0,                                                                                   \
    FOR_ITER, 38,                       /*  1: to 40 */                                            \
    PUSH_NULL, 0,                                                                                  \
    COPY, 5,                                                                                       \
    COPY, 3,                                                                                       \
    SLP_CODE_CALL(1),                   /*  5 to 11 */                                             \
    SWAP, 3,                                                                                       \
    FOR_ITER, 25,                       /* 13: to 39 */                                            \
    PUSH_NULL, 0,                                                                                  \
    COPY, 7,                                                                                       \
    COPY, 3,                                                                                       \
    SLP_CODE_CALL(1),                   /* 17 to 23 */                                             \
    COPY, 1,                                                                                       \
    COPY, 6,                                                                                       \
    SLP_CODE_COMPARE(op),               /* 26 to 28 */                                             \
    POP_JUMP_FORWARD_IF_FALSE, 6,       /* 29: to 36 */                                            \
    SWAP, 5,                                                                                       \
    SWAP, 2,                                                                                       \
    SWAP, 4,                                                                                       \
    POP_TOP, 0,                                                                                    \
    POP_TOP, 0,                                                                                    \
    JUMP_BACKWARD, 23,                  /* 35: to 13 */                                            \
    POP_TOP, 0,                         /* 36 */                                                   \
    POP_TOP, 0,                                                                                    \
    JUMP_BACKWARD, 26,                  /* 38: to 13 */                                            \
    SLP_GIVE, 0,                        /* 39 */                                                   \
    SLP_LOOP_DONE, (empty)              /* 40 */

/* [function, iterable, value, iterator]; 17 units: value = function(value, item) for each item, and then the
 * value. */
#define REDUCE                                                                                     \
    FOR_ITER, 16,                       /*  0: to 17 */                                            \
    PUSH_NULL, 0,                                                                                  \
    COPY, 6,                                                                                       \
    COPY, 5,                                                                                       \
    COPY, 4,                                                                                       \
    SLP_CODE_CALL(2),                   /*  5 to 11 */                                             \
    SWAP, 2,                                                                                       \
    POP_TOP, 0,                                                                                    \
    SWAP, 3,                                                                                       \
    POP_TOP, 0,                                                                                    \
    JUMP_BACKWARD, 17,                  /* 16: to 0 */                                             \
    SLP_GIVE, 0                         /* 17 */

void
slp_soft_folds_init(void)
{
    SLP_LOOP_MAKE(shim_sum, "<sum>", 5,
         GET_ITER, 0,
         FOR_ITER, 8,                   /* 1: to 10 */
         SLP_SUM_ITEM, 2,               /* 2: to 1 */
         SWAP, 2,
         SWAP, 3,
         SWAP, 2,
         BINARY_OP, NB_ADD, CACHE, 0,
         SWAP, 2,
         JUMP_BACKWARD, 9,              /* 9: to 1 */
         SLP_GIVE, 0);
    SLP_LOOP_MAKE(shim_any, "<any>", 4,
         GET_ITER, 0,
         FOR_ITER, 3,                   /* 1: to 5 */
         POP_JUMP_FORWARD_IF_TRUE, 1,   /* 2: to 4 */
         JUMP_BACKWARD, 3,              /* 3: to 1 */
         SLP_RETURN_TRUE, 0,
         SLP_LOOP_DONE, SLP_LOOP_FALSE);
    SLP_LOOP_MAKE(shim_all, "<all>", 4,
         GET_ITER, 0,
         FOR_ITER, 3,                   /* 1: to 5 */
         POP_JUMP_FORWARD_IF_FALSE, 1,  /* 2: to 4 */
         JUMP_BACKWARD, 3,              /* 3: to 1 */
         SLP_LOOP_DONE, SLP_LOOP_FALSE,
         SLP_RETURN_TRUE, 0);
    SLP_LOOP_MAKE(shim_min, "<min>", 7, EXTREME(Py_LT, SLP_LOOP_MIN_EMPTY));
    SLP_LOOP_MAKE(shim_max, "<max>", 7, EXTREME(Py_GT, SLP_LOOP_MAX_EMPTY));
    SLP_LOOP_MAKE(shim_min_by, "<min by key>", 11, EXTREME_BY(Py_LT, SLP_LOOP_MIN_EMPTY));
    SLP_LOOP_MAKE(shim_max_by, "<max by key>", 11, EXTREME_BY(Py_GT, SLP_LOOP_MAX_EMPTY));
    SLP_LOOP_MAKE(shim_reduce, "<reduce>", 9, NOP, 0, REDUCE);
    SLP_LOOP_MAKE(shim_reduce_first, "<reduce from the first>", 9,
         NOP, 0,
         FOR_ITER, 19,                  /* 1: to 21 */
         SWAP, 2,
         REDUCE,                        /* 3 to 20 */
         SLP_LOOP_DONE, SLP_LOOP_REDUCE_EMPTY);
    SLP_LOOP_MAKE(shim_contains, "<in>", 8,
         NOP, 0,
         FOR_ITER, 10,                  /* 1: to 12 */
         COPY, 1,
         COPY, 5,
         IS_OP, 0,
         POP_JUMP_FORWARD_IF_TRUE, 7,   /* 5: to 13 */
         COPY, 4,
         SLP_CODE_COMPARE(Py_EQ),       /* 7 to 9 */
         POP_JUMP_FORWARD_IF_TRUE, 2,   /* 10: to 13 */
         JUMP_BACKWARD, 11,             /* 11: to 1 */
         SLP_LOOP_DONE, SLP_LOOP_NOT_FOUND,
         SLP_LOOP_DONE, SLP_LOOP_FOUND);
    slp_soft_register_builtin("sum", soft_sum);
    slp_soft_register_builtin("any", soft_any);
    slp_soft_register_builtin("all", soft_all);
    slp_soft_register_builtin("min", soft_min);
    slp_soft_register_builtin("max", soft_max);
}
