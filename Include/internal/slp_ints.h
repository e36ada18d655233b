#ifndef SLP_INTS_H
#define SLP_INTS_H
/* One-digit ints, made and freed without a way through the allocator.
 *
 * Most objects that a loop over numbers makes are ints of one digit, and each of them dies soon.  The base's
 * way to make one is a call that computes how many digits there are and asks the allocator; the way to free
 * one leads through object's destructor.  Here the last SLP_INTS_KEPT of them wait to be used again.
 *
 *      slp_ints.first --> [refcnt 0 | &PyLong_Type | ob_size: the next one | digit]
 *
 * Invariants:
 *   1. what waits is exactly an int, and was allocated for at least one digit;
 *   2. the list is empty, and nothing is put there, but between slp_ints_open() and slp_ints_close(); never
 *      in builds with AddressSanitizer; nothing moves while tracemalloc traces.  They shall see every object.
 */
#include "slp_base.h"

#include "internal/pycore_long.h"
#include "internal/pycore_pymem.h"

#define SLP_INTS_KEPT 256

typedef struct {
    PyLongObject *first;
    int room; /* how many more may wait */
} slp_int_list;

extern slp_int_list slp_ints;

/* The main interpreter begins, and is about to end. */
void slp_ints_open(void);
void slp_ints_close(void);

/* Has it at most one digit?  Of an int, or of a subclass. */
static inline bool
slp_is_one_digit(PyObject *value)
{
    return (size_t)(Py_SIZE(value) + 1) <= 2;
}

static inline long
slp_one_digit_value(PyObject *value)
{
    return (long)Py_SIZE(value) * (long)((PyLongObject *)value)->ob_digit[0];
}

/* Can `value` stand in the one digit of an int that is not one of the shared small ones? */
static inline bool
slp_fits_private_digit(int64_t value)
{
    return (value >= _PY_NSMALLPOSINTS || value < -_PY_NSMALLNEGINTS) && value < PyLong_BASE
           && value > -(long)PyLong_BASE;
}

/* Is it one of the shared small ints? */
static inline bool
slp_is_small_int(int64_t value)
{
    return -_PY_NSMALLNEGINTS <= value && value < _PY_NSMALLPOSINTS;
}

/* Give an int that nobody else can see another value.  One-digit ints all have the same size. */
static inline void
slp_overwrite_int(PyObject *op, int64_t value)
{
    assert(PyLong_CheckExact(op) && slp_fits_private_digit(value));
    Py_SET_SIZE(op, value < 0 ? -1 : 1);
    ((PyLongObject *)op)->ob_digit[0] = (digit)(value < 0 ? -value : value);
}

/* A new int that is not a small one. */
static inline PyObject *
slp_new_large_int(int64_t value)
{
    PyLongObject *op = slp_ints.first;
    if (SLP_UNLIKELY(op == NULL || !slp_fits_private_digit(value) || _Py_tracemalloc_config.tracing)) {
        return PyLong_FromLongLong(value);
    }
    slp_ints.first = (PyLongObject *)Py_SIZE(op);
    slp_ints.room++;
    slp_overwrite_int((PyObject *)op, value);
    Py_SET_REFCNT(op, 1);
    return (PyObject *)op;
}

/* An int with this value.  NULL with MemoryError. */
static inline PyObject *
slp_new_int(int64_t value)
{
    return slp_is_small_int(value) ? Py_NewRef((PyObject *)&_PyLong_SMALL_INTS[_PY_NSMALLNEGINTS + value])
                                   : slp_new_large_int(value);
}

/* a // b and a % b as Python has them: C truncates, Python floors.  b is not 0. */
static inline int64_t
slp_floor_divide(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static inline int64_t
slp_modulo(int64_t a, int64_t b)
{
    int64_t rest = a % b;
    return rest != 0 && (a < 0) != (b < 0) ? rest + b : rest;
}

#endif
