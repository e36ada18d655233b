/* Awaiting asend(), athrow() and aclose() of asynchronous generators as frames (slp_asyncgen.h).
 *
 *      who awaits, at SEND ──> <asynchronous generator> shim ──> generator
 *
 * The shim holds the awaitable and waits at its SLP_STEP.  The generator comes back
 *
 *      with a wrapped value     it has yielded: the awaitable is done, that is its result
 *      with another value       it awaits something: on to the event loop; the next send makes a new shim
 *      by returning             StopAsyncIteration
 *      by raising               the same exception; aclose() is content with its GeneratorExit
 *
 * anext(iterator, default) makes an awaitable around another one; its shim runs a SEND to that, and has the
 * default for a StopAsyncIteration.
 *
 * Only what goes well comes here: complaints about awaitables and generators in the wrong state are the
 * base's.
 */
#include "slp_asyncgen.h"

#include "slp_frame.h"
#include "slp_generators.h"
#include "slp_softcall.h"

typedef struct {
    PyObject_HEAD
    PyObject *value;
} wrapped_value;

/* Are the objects as the structs have it? */
static bool layout_is_known;

bool
slp_asyncgen_layout_is_known(void)
{
    return layout_is_known;
}

/* [awaitable, generator], entered at 1 + 4 * how */
static PyCodeObject *shim_async;
/* [default, awaitable, what is sent] */
static PyCodeObject *shim_anext;

/* --- the end of a step --- */

static bool
is_wrapped(PyObject *value)
{
    return Py_IS_TYPE(value, &_PyAsyncGenWrappedValue_Type);
}

PyObject *
slp_async_yielded(PyThreadState *tstate, PyObject *awaitable, PyObject *value, int how)
{
    awaitable_object *a = (awaitable_object *)awaitable;
    if (!is_wrapped(value)) {
        return value;
    }
    a->generator->gi_running_async = 0;
    if (how != 0) {
        a->state = STATE_CLOSED;
    }
    if (how & SLP_ASYNC_ACLOSE) {
        _PyErr_SetString(tstate, PyExc_RuntimeError, "async generator ignored GeneratorExit");
        return NULL;
    }
    return Py_NewRef(((wrapped_value *)value)->value);
}

bool
slp_async_raised(PyThreadState *tstate, PyObject *awaitable, int how)
{
    awaitable_object *a = (awaitable_object *)awaitable;
    bool is_end = _PyErr_ExceptionMatches(tstate, PyExc_StopAsyncIteration)
                  || _PyErr_ExceptionMatches(tstate, PyExc_GeneratorExit);
    /* The base forgets this one where something is thrown into an aclose() that waits. */
    if (how != SLP_ASYNC_ACLOSE) {
        a->generator->gi_running_async = 0;
    }
    if (how & SLP_ASYNC_CLOSES) {
        a->state = STATE_CLOSED;
    }
    if (is_end && (how & SLP_ASYNC_ACLOSE)) {
        _PyErr_Clear(tstate);
        return true;
    }
    if (is_end) {
        a->generator->gi_closed = 1;
    }
    return false;
}

/* --- the beginning --- */

/* The shim of an awaitable, which waits for the generator. */
static _PyInterpreterFrame *
push_shim(PyThreadState *tstate, _PyInterpreterFrame *below, awaitable_object *a, int how)
{
    PyObject *values[] = {Py_NewRef(a), Py_NewRef(a->generator)};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_async, 1 + 4 * how, values, 2);
    if (shim != NULL) {
        slp_frame_wait(shim, _Py_OPARG(*shim->prev_instr));
    }
    return shim;
}

/* Resume the generator with a value. */
static PyObject *
resume(PyThreadState *tstate, _PyInterpreterFrame *below, awaitable_object *a, int how, PyObject *sent,
       _PyInterpreterFrame **top)
{
    _PyInterpreterFrame *shim = push_shim(tstate, below, a, how);
    if (shim == NULL) {
        return NULL;
    }
    *top = slp_resume_generator(tstate, a->generator, shim, Py_NewRef(sent));
    return SLP_ENTER;
}

/* Resume the generator with an exception. */
static PyObject *
resume_raising(PyThreadState *tstate, _PyInterpreterFrame *below, awaitable_object *a, int how,
               PyObject *const *args, Py_ssize_t nargs, bool closes, _PyInterpreterFrame **top)
{
    _PyInterpreterFrame *shim = push_shim(tstate, below, a, how);
    return shim == NULL ? NULL
                        : slp_throw_from_shim(tstate, shim, a->generator, args, nargs, closes, top);
}

static PyObject *
send_to_asend(PyThreadState *tstate, _PyInterpreterFrame *below, awaitable_object *a, PyObject *sent,
              _PyInterpreterFrame **top)
{
    PyGenObject *gen = a->generator;
    bool is_new = a->state == STATE_NEW;
    if (is_new && sent == Py_None && a->value != NULL) {
        sent = a->value;
    }
    bool startable = gen->gi_frame_state == FRAME_CREATED && sent == Py_None;
    if (a->state == STATE_CLOSED || (is_new && gen->gi_running_async)
        || (gen->gi_frame_state != FRAME_SUSPENDED && !startable)) {
        return SLP_NOT_SOFT;
    }
    PyObject *answer = resume(tstate, below, a, SLP_ASYNC_CLOSES, sent, top);
    if (answer != NULL) {
        a->state = STATE_AWAITED;
        gen->gi_running_async = 1;
    }
    return answer;
}

static PyObject *
send_to_athrow(PyThreadState *tstate, _PyInterpreterFrame *below, awaitable_object *a, PyObject *sent,
               _PyInterpreterFrame **top)
{
    PyGenObject *gen = a->generator;
    int how = a->value == NULL ? SLP_ASYNC_ACLOSE | SLP_ASYNC_CLOSES : 0;
    if (a->state == STATE_CLOSED || gen->gi_frame_state != FRAME_SUSPENDED) {
        return SLP_NOT_SOFT;
    }
    if (a->state == STATE_AWAITED) {
        return resume(tstate, below, a, how, sent, top);
    }
    if (gen->gi_running_async || gen->gi_closed || sent != Py_None) {
        return SLP_NOT_SOFT;
    }
    PyObject *const *args = a->value == NULL ? &PyExc_GeneratorExit : &PyTuple_GET_ITEM(a->value, 0);
    Py_ssize_t nargs = a->value == NULL ? 1 : PyTuple_GET_SIZE(a->value);
    /* An exception class in Python may look at these. */
    char closed = gen->gi_closed;
    a->state = STATE_AWAITED;
    gen->gi_running_async = 1;
    gen->gi_closed = a->value == NULL;
    PyObject *answer = resume_raising(tstate, below, a, how | SLP_ASYNC_CLOSES, args, nargs, false, top);
    if (answer == NULL && a->value != NULL) {
        (void)slp_async_raised(tstate, (PyObject *)a, SLP_ASYNC_CLOSES);
        return NULL;
    }
    if (answer != SLP_ENTER) {
        if (answer == NULL && gen->gi_frame_state != FRAME_SUSPENDED) {
            _PyErr_Clear(tstate);   /* a collection has closed it, and C finds nothing left to do */
            answer = SLP_NOT_SOFT;
        }
        a->state = STATE_NEW;
        gen->gi_running_async = 0;
        gen->gi_closed = closed;
    }
    return answer;
}

/* --- anext() with a default --- */

/* Does the base ask `awaitable` for nothing that a SEND would not? */
static bool
is_plain_awaitable(PyObject *awaitable)
{
    return Py_IS_TYPE(awaitable, &PyCoro_Type) || Py_IS_TYPE(awaitable, &_PyAsyncGenASend_Type)
           || Py_IS_TYPE(awaitable, &_PyAsyncGenAThrow_Type);
}

static PyObject *
send_to_anext(PyThreadState *tstate, _PyInterpreterFrame *below, anext_object *a, PyObject *sent,
              _PyInterpreterFrame **top)
{
    if (!is_plain_awaitable(a->wrapped)) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[] = {Py_NewRef(a->instead), Py_NewRef(a->wrapped), Py_NewRef(sent)};
    *top = slp_shim_push(tstate, below, shim_anext, 0, values, 3);
    return *top == NULL ? NULL : SLP_ENTER;
}

PyObject *
slp_asyncgen_send(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *awaitable, PyObject *sent,
                  _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(awaitable);
    if (!layout_is_known) {
        return SLP_NOT_SOFT;
    }
    if (type == &_PyAsyncGenASend_Type) {
        return send_to_asend(tstate, below, (awaitable_object *)awaitable, sent, top);
    }
    if (type == &_PyAsyncGenAThrow_Type) {
        return send_to_athrow(tstate, below, (awaitable_object *)awaitable, sent, top);
    }
    assert(type == &_PyAnextAwaitable_Type);
    return send_to_anext(tstate, below, (anext_object *)awaitable, sent, top);
}

/* --- throw() --- */

/* asend().throw(), athrow().throw(), aclose().throw() */
static PyObject *
soft_throw(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    awaitable_object *a = (awaitable_object *)self;
    if (kwnames != NULL || a->state == STATE_CLOSED || a->generator->gi_frame_state != FRAME_SUSPENDED
        || !slp_leaves_room(tstate)) {
        return SLP_NOT_SOFT;
    }
    int how = Py_IS_TYPE(self, &_PyAsyncGenASend_Type) ? SLP_ASYNC_CLOSES
              : a->value == NULL                       ? SLP_ASYNC_ACLOSE
                                                       : 0;
    _PyInterpreterFrame *next = slp_push_next(tstate, below, self, NULL);
    if (next == NULL) {
        return NULL;
    }
    PyObject *answer = resume_raising(tstate, next, a, how, args, nargs, true, top);
    if (answer == NULL && slp_async_raised(tstate, self, how)) {
        _PyErr_SetNone(tstate, PyExc_StopIteration);
    }
    return slp_shim_begun(tstate, next, answer);
}

/* --- start-up --- */

/* A generator of nothing, never to be started. */
static PyObject *
make_generator(void)
{
    static const char instructions[] = {RETURN_GENERATOR, 0, POP_TOP, 0, (char)LOAD_CONST, 0,
                                        RETURN_VALUE, 0};
    PyObject *result = NULL;
    PyObject *bytes = PyBytes_FromStringAndSize(instructions, sizeof(instructions));
    PyObject *consts = PyTuple_Pack(1, Py_None);
    PyObject *none = PyTuple_New(0);
    PyObject *name = PyUnicode_InternFromString("<asynchronous generator>");
    PyObject *lines = PyBytes_FromStringAndSize(NULL, 0);
    PyObject *globals = PyDict_New();
    if (bytes && consts && none && name && lines && globals) {
        PyObject *code = (PyObject *)PyCode_NewWithPosOnlyArgs(
            0, 0, 0, 0, 1, CO_OPTIMIZED | CO_NEWLOCALS | CO_ASYNC_GENERATOR, bytes, consts, none, none, none,
            none, name, name, name, 1, lines, lines);
        PyObject *function = code == NULL ? NULL : PyFunction_New(code, globals);
        result = function == NULL ? NULL : PyObject_CallNoArgs(function);
        Py_XDECREF(function);
        Py_XDECREF(code);
    }
    Py_XDECREF(bytes);
    Py_XDECREF(consts);
    Py_XDECREF(none);
    Py_XDECREF(name);
    Py_XDECREF(lines);
    Py_XDECREF(globals);
    return result;
}

/* Is `awaitable` (stolen, may be NULL) of `type`, as a new one should be?  Its value shall be `value`, or,
 * where that is the type tuple, be a tuple. */
static bool
is_as_expected(PyObject *awaitable, PyTypeObject *type, PyObject *gen, PyObject *value)
{
    if (awaitable == NULL || !Py_IS_TYPE(awaitable, type)
        || type->tp_basicsize != sizeof(awaitable_object)) {
        Py_XDECREF(awaitable);
        return false;
    }
    awaitable_object *a = (awaitable_object *)awaitable;
    bool value_fits = value == (PyObject *)&PyTuple_Type ? a->value != NULL && PyTuple_CheckExact(a->value)
                                                         : a->value == value;
    bool result = (PyObject *)a->generator == gen && value_fits && a->state == STATE_NEW;
    if (result) {
        Py_XDECREF(PyObject_CallMethod(awaitable, "close", NULL));
        result = a->state == STATE_CLOSED;
    }
    Py_DECREF(awaitable);
    return result;
}

/* The same for a wrapped value, and for what anext() makes. */
static bool
wrappers_are_as_expected(PyObject *x, PyObject *y)
{
    PyObject *wrapped = _PyAsyncGenValueWrapperNew(x);
    PyObject *anext = PyAnextAwaitable_New(x, y);
    bool result = wrapped != NULL && anext != NULL
                  && _PyAsyncGenWrappedValue_Type.tp_basicsize == sizeof(wrapped_value)
                  && _PyAnextAwaitable_Type.tp_basicsize == sizeof(anext_object)
                  && ((wrapped_value *)wrapped)->value == x && ((anext_object *)anext)->wrapped == x
                  && ((anext_object *)anext)->instead == y;
    Py_XDECREF(wrapped);
    Py_XDECREF(anext);
    return result;
}

static bool
learn_layout(void)
{
    PyObject *gen = make_generator();
    PyObject *x = PyUnicode_InternFromString("asend");
    PyObject *y = PyUnicode_InternFromString("athrow");
    bool result = gen != NULL && x != NULL && y != NULL && PyAsyncGen_CheckExact(gen)
                  && is_as_expected(PyObject_CallMethodOneArg(gen, x, x), &_PyAsyncGenASend_Type, gen, x)
                  && is_as_expected(PyObject_CallMethodOneArg(gen, y, x), &_PyAsyncGenAThrow_Type, gen,
                                    (PyObject *)&PyTuple_Type)
                  && is_as_expected(PyObject_CallMethod(gen, "aclose", NULL), &_PyAsyncGenAThrow_Type, gen,
                                    NULL)
                  && wrappers_are_as_expected(x, y);
    PyErr_Clear();
    Py_XDECREF(gen);
    Py_XDECREF(x);
    Py_XDECREF(y);
    return result;
}

void
slp_asyncgen_init(void)
{
#define STEP(how)                                                                                  \
    SLP_STEP, 1, SLP_ASYNC_YIELDED, (how), SLP_ASYNC_ENDED, (how), SLP_ASYNC_RAISED, (how)
    static const uint8_t async_code[] = {STEP(0), STEP(1), STEP(2), STEP(3)};
#undef STEP
    /* One row per step: the start with its mark, the length, the handler, twice the depth. */
    static const uint8_t async_handlers[] = {
        0x80 | 0, 1, 3, 2, 0x80 | 4, 1, 7, 2, 0x80 | 8, 1, 11, 2, 0x80 | 12, 1, 15, 2,
    };
    static const uint8_t anext_code[] = {
        SEND, 1,
        SLP_YIELD_ON, 0,
        SLP_FINISH, 0,
        SLP_ANEXT_RAISED, 0,
    };
    static const uint8_t anext_handlers[] = {0x80 | 0, 1, 3, 2};
    shim_async = slp_shim_make("<asynchronous generator>", 3, async_code, sizeof(async_code), async_handlers,
                               sizeof(async_handlers));
    shim_anext = slp_shim_make("<anext with default>", 3, anext_code, sizeof(anext_code), anext_handlers,
                               sizeof(anext_handlers));
    if (shim_async == NULL || shim_anext == NULL) {
        PyErr_Print();
        Py_FatalError("cannot make the shims of asynchronous generators");
    }
    layout_is_known = learn_layout();
    if (layout_is_known) {
        slp_soft_register_method(&_PyAsyncGenASend_Type, "throw", soft_throw);
        slp_soft_register_method(&_PyAsyncGenAThrow_Type, "throw", soft_throw);
    }
}
