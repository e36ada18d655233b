/* Exceptions: raise, the checks of except and except*, the search for a handler; and what can go wrong
 * when `await`, `async for` and `yield from` ask for an iterator.
 *
 * The exception table of a code object is a row of entries, sorted by start and without overlaps:
 *
 *     start | size | target | depth << 1 | lasti          all in code units
 *
 * Each number is a chain of six-bit digits, the highest first; bit 6 says that another digit follows,
 * and bit 7 marks the first byte of an entry, and of nothing else.  So a search can land anywhere and
 * find the entry it landed in.
 */
#include "slp_base.h"
#include "slp_support.h"

/* --- raise --- */

/* Raise again the exception that is being handled, traceback included. */
static int
reraise_handled(PyThreadState *tstate)
{
    PyObject *exc = _PyErr_GetTopmostException(tstate)->exc_value;
    if (exc == NULL || exc == Py_None) {
        _PyErr_SetString(tstate, PyExc_RuntimeError, "No active exception to reraise");
        return 0;
    }
    Py_INCREF(exc);
    _PyErr_Restore(tstate, Py_NewRef(PyExceptionInstance_Class(exc)), exc, PyException_GetTraceback(exc));
    return 1;
}

/* Has the class made an exception?  Else TypeError. */
static bool
check_made(PyThreadState *tstate, PyObject *class, PyObject *exc)
{
    if (!PyExceptionInstance_Check(exc)) {
        _PyErr_Format(tstate, PyExc_TypeError,
                      "calling %R should have returned an instance of BaseException, not %R", class,
                      Py_TYPE(exc));
        return false;
    }
    return true;
}

/* The exception that `obj` stands for: itself, or what the class makes.  Steals `obj`; `wrong` is the
 * complaint about anything else. */
static PyObject *
make_exception(PyThreadState *tstate, PyObject *obj, const char *wrong)
{
    if (PyExceptionInstance_Check(obj)) {
        return obj;
    }
    PyObject *exc = NULL;
    if (PyExceptionClass_Check(obj)) {
        exc = _PyObject_CallNoArgsTstate(tstate, obj);
        if (exc != NULL && !check_made(tstate, obj, exc)) {
            Py_CLEAR(exc);
        }
    }
    else {
        _PyErr_SetString(tstate, PyExc_TypeError, wrong);
    }
    Py_DECREF(obj);
    return exc;
}

/* raise exc from cause, where `exc` is an exception that was asked for as `type`.  Steals all; `cause` may be
 * NULL. */
static void
raise_from(PyThreadState *tstate, PyObject *type, PyObject *exc, PyObject *cause)
{
    if (cause == Py_None) {
        Py_DECREF(cause);
        PyException_SetCause(exc, NULL);
    }
    else if (cause != NULL) {
        cause = make_exception(tstate, cause, "exception causes must derive from BaseException");
        if (cause == NULL) {
            Py_DECREF(type);
            Py_DECREF(exc);
            return;
        }
        PyException_SetCause(exc, cause);
    }
    _PyErr_SetObject(tstate, type, exc);
    Py_DECREF(type);
    Py_DECREF(exc);
}

int
slp_do_raise(PyThreadState *tstate, PyObject *exc, PyObject *cause)
{
    if (exc == NULL) {
        return reraise_handled(tstate);
    }
    /* A class may make an instance of another one; what was asked for stays the type. */
    PyObject *type = Py_NewRef(PyExceptionClass_Check(exc) ? exc : PyExceptionInstance_Class(exc));
    exc = make_exception(tstate, exc, "exceptions must derive from BaseException");
    if (exc == NULL) {
        Py_DECREF(type);
        Py_XDECREF(cause);
        return 0;
    }
    raise_from(tstate, type, exc, cause);
    return 0;
}

void
slp_raise_made(PyThreadState *tstate, PyObject *class, PyObject *exc, PyObject *cause)
{
    if (check_made(tstate, class, exc)) {
        raise_from(tstate, Py_NewRef(class), Py_NewRef(exc), Py_XNewRef(cause));
    }
}

/* --- except, except* --- */

int
slp_check_except_type(PyThreadState *tstate, PyObject *type)
{
    bool fits = PyExceptionClass_Check(type);
    if (PyTuple_Check(type)) {
        fits = true;
        for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(type); i++) {
            fits = PyExceptionClass_Check(PyTuple_GET_ITEM(type, i));
        }
    }
    if (!fits) {
        _PyErr_SetString(tstate, PyExc_TypeError,
                         "catching classes that do not inherit from BaseException is not allowed");
        return -1;
    }
    return 0;
}

/* except* takes groups apart: a group type cannot be what it looks for. */
static int
refuse_group_type(PyThreadState *tstate, PyObject *type)
{
    int is_group = PyObject_IsSubclass(type, PyExc_BaseExceptionGroup);
    if (is_group > 0) {
        _PyErr_SetString(tstate, PyExc_TypeError,
                         "catching ExceptionGroup with except* is not allowed. Use except instead.");
    }
    return is_group == 0 ? 0 : -1;
}

int
slp_check_except_star_type(PyThreadState *tstate, PyObject *type)
{
    if (slp_check_except_type(tstate, type) < 0) {
        return -1;
    }
    if (!PyTuple_Check(type)) {
        return refuse_group_type(tstate, type);
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(type); i++) {
        if (refuse_group_type(tstate, PyTuple_GET_ITEM(type, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

/* May split() answer these?  Without a match nobody looks at the rest. */
static inline bool
are_halves(PyObject *match, PyObject *rest)
{
    return match == Py_None
           || (PyExceptionInstance_Check(match) && (rest == Py_None || PyExceptionInstance_Check(rest)));
}

/* Let a group split itself.  split() may be user code: its answer is checked. */
static int
split_group(PyObject *group, PyObject *type, PyObject **match, PyObject **rest)
{
    PyObject *pair = PyObject_CallMethod(group, "split", "(O)", type);
    if (pair == NULL) {
        return -1;
    }
    int status = -1;
    const char *type_name = Py_TYPE(group)->tp_name;
    if (!PyTuple_Check(pair)) {
        PyErr_Format(PyExc_TypeError, "%.200s.split must return a tuple, not %.200s", type_name,
                     Py_TYPE(pair)->tp_name);
    }
    else if (PyTuple_GET_SIZE(pair) < 2) {
        PyErr_Format(PyExc_TypeError, "%.200s.split must return a 2-tuple, got tuple of size %zd", type_name,
                     PyTuple_GET_SIZE(pair));
    }
    else if (!are_halves(PyTuple_GET_ITEM(pair, 0), PyTuple_GET_ITEM(pair, 1))) {
        PyErr_Format(PyExc_TypeError, "%.200s.split must return exceptions or None", type_name);
    }
    else {
        *match = Py_NewRef(PyTuple_GET_ITEM(pair, 0));
        *rest = Py_NewRef(PyTuple_GET_ITEM(pair, 1));
        status = 0;
    }
    Py_DECREF(pair);
    return status;
}

PyObject *
slp_reraise_star(PyThreadState *tstate, PyObject *original, PyObject *excs)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(excs); i++) {
        PyObject *exc = PyList_GET_ITEM(excs, i);
        if (exc != Py_None && !PyExceptionInstance_Check(exc)) {
            _PyErr_Format(tstate, PyExc_SystemError, "except* found '%.200s' among its exceptions",
                          Py_TYPE(exc)->tp_name);
            return NULL;
        }
    }
    return _PyExc_PrepReraiseStar(original, excs);
}

int
slp_exception_group_match(PyObject *exc, PyObject *type, PyObject **match, PyObject **rest)
{
    /* None: the clauses before this one took everything. */
    if (exc == Py_None) {
        *match = Py_NewRef(Py_None);
        *rest = Py_NewRef(Py_None);
        return 0;
    }
    bool is_group = PyObject_TypeCheck(exc, (PyTypeObject *)PyExc_BaseExceptionGroup);
    if (PyErr_GivenExceptionMatches(exc, type)) {
        if (is_group) {
            *match = Py_NewRef(exc);
        }
        else {
            /* The clause expects a group, so a naked exception gets one around it. */
            PyObject *members = PyTuple_Pack(1, exc);
            *match = members == NULL ? NULL : _PyExc_CreateExceptionGroup("", members);
            Py_XDECREF(members);
            if (*match == NULL) {
                return -1;
            }
        }
        *rest = Py_NewRef(Py_None);
        return 0;
    }
    if (is_group) {
        return split_group(exc, type, match, rest);
    }
    *match = Py_NewRef(Py_None);
    *rest = Py_NewRef(exc);
    return 0;
}

/* --- the exception table --- */

#define ENTRY_START  0x80
#define MORE_DIGITS  0x40
#define DIGIT        0x3f

/* Below this many bytes walking from entry to entry beats halving.  No entry of four 32-bit numbers
 * is as long as half of it. */
#define SHORT_TABLE  64

/* Read one number.  A damaged table never makes us read past `end`. */
static inline const uint8_t *
read_number(const uint8_t *p, const uint8_t *end, int *number)
{
    unsigned int value = 0;
    while (p < end) {
        uint8_t byte = *p++;
        value = (value << 6) | (byte & DIGIT);
        if (!(byte & MORE_DIGITS)) {
            break;
        }
    }
    *number = (int)value;
    return p;
}

/* The first byte of an entry from which a walk reaches the entry that holds `index`, if there is one. */
static const uint8_t *
narrow_table(const uint8_t *low, const uint8_t *high, int index)
{
    const uint8_t *end = high;
    while (high - low > SHORT_TABLE) {
        const uint8_t *middle = low + (high - low) / 2;
        while (middle > low && !(*middle & ENTRY_START)) {
            middle--;
        }
        if (middle == low) {
            break;
        }
        int start;
        read_number(middle, end, &start);
        if (start > index) {
            high = middle;
        }
        else {
            low = middle;
        }
    }
    return low;
}

int
slp_find_handler(PyCodeObject *code, int index, int *level, int *handler, bool *push_lasti)
{
    PyObject *table = code->co_exceptiontable;
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(table);
    const uint8_t *end = p + PyBytes_GET_SIZE(table);
    p = narrow_table(p, end, index);
    while (p < end) {
        int start, size;
        p = read_number(p, end, &start);
        if (start > index) {
            return 0;
        }
        p = read_number(p, end, &size);
        if ((unsigned int)index - (unsigned int)start < (unsigned int)size) {
            int depth_and_lasti;
            p = read_number(p, end, handler);
            read_number(p, end, &depth_and_lasti);
            *level = depth_and_lasti >> 1;
            *push_lasti = depth_and_lasti & 1;
            return 1;
        }
        while (p < end && !(*p & ENTRY_START)) {
            p++;
        }
    }
    return 0;
}

/* --- await, async for, yield from --- */

/* What `async with` awaits comes from the manager's methods: say so. */
SLP_COLD static void
raise_unawaitable(PyThreadState *tstate, PyTypeObject *type, int oparg)
{
    if (oparg != 0 && (type->tp_as_async == NULL || type->tp_as_async->am_await == NULL)) {
        _PyErr_Format(tstate, PyExc_TypeError,
                      "'async with' received an object from %s that does not implement __await__: %.100s",
                      oparg == 1 ? "__aenter__" : "__aexit__", type->tp_name);
    }
}

PyObject *
slp_get_awaitable(PyThreadState *tstate, PyObject *iterable, int oparg)
{
    PyObject *iterator = _PyCoro_GetAwaitableIter(iterable);
    if (iterator == NULL) {
        raise_unawaitable(tstate, Py_TYPE(iterable), oparg);
        return NULL;
    }
    if (PyCoro_CheckExact(iterator)) {
        PyObject *awaited = _PyGen_yf((PyGenObject *)iterator);
        if (awaited != NULL) {
            Py_DECREF(awaited);
            Py_DECREF(iterator);
            _PyErr_SetString(tstate, PyExc_RuntimeError, "coroutine is being awaited already");
            return NULL;
        }
    }
    return iterator;
}

PyObject *
slp_get_aiter(PyThreadState *tstate, PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    if (type->tp_as_async == NULL || type->tp_as_async->am_aiter == NULL) {
        _PyErr_Format(tstate, PyExc_TypeError,
                      "'async for' requires an object with __aiter__ method, got %.100s", type->tp_name);
        return NULL;
    }
    PyObject *iterator = type->tp_as_async->am_aiter(obj);
    if (iterator == NULL) {
        return NULL;
    }
    type = Py_TYPE(iterator);
    if (type->tp_as_async == NULL || type->tp_as_async->am_anext == NULL) {
        _PyErr_Format(tstate, PyExc_TypeError,
                      "'async for' received an object from __aiter__ that does not implement __anext__: "
                      "%.100s", type->tp_name);
        Py_DECREF(iterator);
        return NULL;
    }
    return iterator;
}

PyObject *
slp_get_anext(PyThreadState *tstate, PyObject *aiter)
{
    PyTypeObject *type = Py_TYPE(aiter);
    if (type->tp_as_async == NULL || type->tp_as_async->am_anext == NULL) {
        _PyErr_Format(tstate, PyExc_TypeError,
                      "'async for' requires an iterator with __anext__ method, got %.100s", type->tp_name);
        return NULL;
    }
    PyObject *next = type->tp_as_async->am_anext(aiter);
    /* What an asynchronous generator answers is an iterator already. */
    if (next == NULL || type == &PyAsyncGen_Type) {
        return next;
    }
    PyObject *iterator = _PyCoro_GetAwaitableIter(next);
    if (iterator == NULL) {
        _PyErr_FormatFromCauseTstate(tstate, PyExc_TypeError,
                                     "'async for' received an invalid object from __anext__: %.100s",
                                     Py_TYPE(next)->tp_name);
    }
    Py_DECREF(next);
    return iterator;
}

PyObject *
slp_get_yield_from_iter(PyThreadState *tstate, PyObject *iterable, PyCodeObject *code)
{
    if (PyGen_CheckExact(iterable)) {
        return iterable;
    }
    PyObject *iterator = NULL;
    if (!PyCoro_CheckExact(iterable)) {
        iterator = PyObject_GetIter(iterable);
    }
    else if (code->co_flags & (CO_COROUTINE | CO_ITERABLE_COROUTINE)) {
        return iterable;
    }
    else {
        _PyErr_SetString(tstate, PyExc_TypeError,
                         "cannot 'yield from' a coroutine object in a non-coroutine generator");
    }
    Py_DECREF(iterable);
    return iterator;
}

void
slp_convert_stop_iteration(PyThreadState *tstate, PyGenObject *gen)
{
    const char *message = NULL;
    bool is_async_gen = PyAsyncGen_CheckExact(gen);
    if (_PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
        message = is_async_gen             ? "async generator raised StopIteration"
                  : PyCoro_CheckExact(gen) ? "coroutine raised StopIteration"
                                           : "generator raised StopIteration";
    }
    else if (is_async_gen && _PyErr_ExceptionMatches(tstate, PyExc_StopAsyncIteration)) {
        message = "async generator raised StopAsyncIteration";
    }
    if (message != NULL) {
        _PyErr_FormatFromCauseTstate(tstate, PyExc_RuntimeError, "%s", message);
    }
}
