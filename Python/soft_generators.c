/* next(), send(), throw() and close() of generators and coroutines as frames.
 *
 * Where the base resumes a generator from C, a shim resumes it here:
 *
 *      caller ──> <next> shim ──> generator
 *
 * The shim's first instruction is SLP_STEP (or one that ends like it): the generator comes back to it as
 * to a FOR_ITER or a SEND, with a value to go on, or with its result by a jump.
 *
 * throw() goes to where the generator waits, which may be several `yield from` or `await` further in:
 *
 *      caller ──> <next> shim ──> outer ──> middle ──> inner: the exception is raised here
 *                                    (each at its SEND, as if that had just resumed the next one)
 *
 * so that what the inner one yields travels out through their YIELD_VALUE, what it returns is the value of
 * the `yield from`, and what it raises is raised there: what the base does by hand, level by level.  A
 * generator that waits for an iterator of another type is linked when that has raised, and is no caller of
 * its throw().  A tracer sees what it sees in the base: nothing of the outer ones while a value passes
 * through them, and a `call` where one goes on with an exception.  A GeneratorExit is not passed on: the
 * shim <throw GeneratorExit> first calls close() of what the outermost one delegates to.
 *
 * Only generators that are suspended (or, for send, not started) come here; all complaints about others are
 * the base's.
 */
#include "slp_eval.h"

#include "slp_generators.h"
#include "slp_iterators.h"
#include "slp_softcall.h"

/* [iterator]: next(iterator), generator.send(), generator.throw() */
static PyCodeObject *shim_next;
/* [default, iterator]: next(iterator, default) */
static PyCodeObject *shim_next_default;
/* [generator]: generator.close() */
static PyCodeObject *shim_close;
/* [generator, NULL, callable, tuple]: throw() of an iterator that the generator delegates to */
static PyCodeObject *shim_throw_inner;
/* [tuple, generator]: close what it delegates to, then throw(*tuple) */
static PyCodeObject *shim_throw_exit;

PyObject *
slp_delegate_of(PyGenObject *gen)
{
    PyObject *delegate = _PyGen_yf(gen);
    if (delegate != NULL) {
        assert(Py_REFCNT(delegate) > 1);
        Py_DECREF(delegate);   /* it is on the generator's stack, too */
    }
    return delegate;
}

/* The SEND of the delegation in which `gen` waits; NULL where the code is not as the compiler makes it. */
static _Py_CODEUNIT *
find_send(PyGenObject *gen)
{
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)gen->gi_iframe;
    _Py_CODEUNIT *yield = frame->prev_instr;
    if (yield <= _PyCode_CODE(frame->f_code) || _Py_OPCODE(yield[0]) != YIELD_VALUE
        || _Py_OPCODE(yield[-1]) != SEND) {
        return NULL;
    }
    return yield - 1;
}

bool
slp_is_delegating(PyGenObject *gen)
{
    return slp_is_parked(gen) && find_send(gen) != NULL;
}

bool
slp_leaves_room(PyThreadState *tstate)
{
    return tstate->recursion_remaining > 1;
}

static bool
is_generator(PyObject *obj)
{
    return Py_IS_TYPE(obj, &PyGen_Type) || Py_IS_TYPE(obj, &PyCoro_Type);
}

_PyInterpreterFrame *
slp_throw_into(PyThreadState *tstate, PyGenObject *gen, _PyInterpreterFrame *caller)
{
    _PyInterpreterFrame *frame = slp_resume_generator(tstate, gen, caller, Py_NewRef(Py_None));
    _PyErr_ChainStackItem(NULL);
    return frame;
}

_PyInterpreterFrame *
slp_push_next(PyThreadState *tstate, _PyInterpreterFrame *caller, PyObject *iterator, PyObject *instead)
{
    PyObject *values[] = {Py_XNewRef(instead), Py_NewRef(iterator)};
    _PyInterpreterFrame *shim = instead == NULL
                                    ? slp_shim_push(tstate, caller, shim_next, 1, values + 1, 1)
                                    : slp_shim_push(tstate, caller, shim_next_default, 1, values, 2);
    if (shim != NULL) {
        slp_frame_wait(shim, _Py_OPARG(*shim->prev_instr));
    }
    return shim;
}

/* next(generator) and generator.send(value). */
static PyObject *
send_with_frames(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *generator, PyObject *value,
                 PyObject *instead, _PyInterpreterFrame **top)
{
    PyGenObject *gen = (PyGenObject *)generator;
    bool startable = gen->gi_frame_state == FRAME_CREATED && value == Py_None;
    if (gen->gi_frame_state != FRAME_SUSPENDED && !startable) {
        return SLP_NOT_SOFT;
    }
    _PyInterpreterFrame *shim = slp_push_next(tstate, below, generator, instead);
    if (shim == NULL) {
        return NULL;
    }
    *top = slp_resume_generator(tstate, gen, shim, Py_NewRef(value));
    return SLP_ENTER;
}

/* next() of a builtin iterator with Python code behind it. */
static PyObject *
next_of_iterator(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *iterator, PyObject *instead,
                 _PyInterpreterFrame **top)
{
    if (!slp_iterates_in_python(iterator)) {
        return SLP_NOT_SOFT;
    }
    _PyInterpreterFrame *shim = slp_push_next(tstate, below, iterator, instead);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = slp_soft_next(tstate, shim, iterator, top);
    if (answer == SLP_ENTER) {
        return answer;
    }
    slp_frame_clear_and_pop(tstate, shim);
    if (answer == SLP_NOT_SOFT || answer != NULL) {
        return answer;
    }
    if (instead != NULL
        && (!_PyErr_Occurred(tstate) || _PyErr_ExceptionMatches(tstate, PyExc_StopIteration))) {
        _PyErr_Clear(tstate);
        return Py_NewRef(instead);
    }
    if (!_PyErr_Occurred(tstate)) {
        _PyErr_SetNone(tstate, PyExc_StopIteration);
    }
    return NULL;
}

/* What else is registered for next(), or NULL. */
static slp_soft_function next_of_others;

static PyObject *
soft_next(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs >= 1 && nargs <= 2 && kwnames == NULL && slp_is_soft_iterator(Py_TYPE(args[0]))) {
        return next_of_iterator(tstate, below, args[0], nargs == 2 ? args[1] : NULL, top);
    }
    if (nargs < 1 || nargs > 2 || kwnames != NULL || !Py_IS_TYPE(args[0], &PyGen_Type)) {
        return next_of_others == NULL ? SLP_NOT_SOFT
                                      : next_of_others(tstate, below, self, args, nargs, kwnames, top);
    }
    return send_with_frames(tstate, below, args[0], Py_None, nargs == 2 ? args[1] : NULL, top);
}

/* generator.__next__(): the wrapper of the slot. */
static PyObject *
soft_next_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 0 || kwnames != NULL || !Py_IS_TYPE(self, &PyGen_Type)) {
        return SLP_NOT_SOFT;
    }
    return send_with_frames(tstate, below, self, Py_None, NULL, top);
}

PyObject *
slp_soft_iterator_next_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                              PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                              _PyInterpreterFrame **top)
{
    if (nargs != 0 || kwnames != NULL || !slp_is_soft_iterator(Py_TYPE(self))) {
        return SLP_NOT_SOFT;
    }
    return next_of_iterator(tstate, below, self, NULL, top);
}

static PyObject *
soft_send(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !is_generator(self) || !slp_leaves_room(tstate)) {
        return SLP_NOT_SOFT;
    }
    return send_with_frames(tstate, below, self, args[0], NULL, top);
}

/* --- throw --- */

int
slp_set_thrown(PyThreadState *tstate, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type = args[0];
    PyObject *value = nargs > 1 && args[1] != Py_None ? args[1] : NULL;
    PyObject *traceback = nargs > 2 && args[2] != Py_None ? args[2] : NULL;
    if (traceback != NULL && !PyTraceBack_Check(traceback)) {
        return -1;
    }
    if (PyExceptionClass_Check(type)) {
        Py_INCREF(type);
        /* None is a value to be normalised, too, as it is in the base. */
        value = Py_XNewRef(nargs > 1 ? args[1] : NULL);
        Py_XINCREF(traceback);
        _PyErr_NormalizeException(tstate, &type, &value, &traceback);
        _PyErr_Restore(tstate, type, value, traceback);
        return 0;
    }
    if (!PyExceptionInstance_Check(type) || value != NULL) {
        return -1;
    }
    traceback = traceback != NULL ? Py_NewRef(traceback) : PyException_GetTraceback(type);
    _PyErr_Restore(tstate, Py_NewRef(PyExceptionInstance_Class(type)), Py_NewRef(type), traceback);
    return 0;
}

/* Can a tuple of these be thrown?  As slp_set_thrown() sees it. */
static bool
is_throwable(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1 || nargs > 3) {
        return false;
    }
    if (nargs > 2 && args[2] != Py_None && !PyTraceBack_Check(args[2])) {
        return false;
    }
    return PyExceptionClass_Check(args[0])
           || (PyExceptionInstance_Check(args[0]) && (nargs == 1 || args[1] == Py_None));
}

_PyInterpreterFrame *
slp_link_waiting(PyThreadState *tstate, PyGenObject *gen, _PyInterpreterFrame *caller)
{
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)gen->gi_iframe;
    _Py_CODEUNIT *send = find_send(gen);
    frame->prev_instr = send;
    slp_frame_wait(frame, _Py_OPARG(*send) | SLP_WAITS_FOR_THROW);
    gen->gi_frame_state = FRAME_EXECUTING;
    gen->gi_exc_state.previous_item = tstate->exc_info;
    tstate->exc_info = &gen->gi_exc_state;
    frame->previous = caller;
    frame->is_entry = false;
    tstate->recursion_remaining--;
    return frame;
}

bool
slp_takes_thrown(PyThreadState *tstate, PyGenObject *gen)
{
    if (gen->gi_frame_state == FRAME_SUSPENDED) {
        return true;
    }
    if (gen->gi_frame_state == FRAME_EXECUTING) {
        _PyErr_Format(tstate, PyExc_ValueError, "%s already executing", slp_generator_kind((PyObject *)gen));
    }
    else if (PyCoro_CheckExact(gen)) {
        _PyErr_SetString(tstate, PyExc_RuntimeError, "cannot reuse already awaited coroutine");
    }
    return false;
}

/* Mark all that wait for `inner`, from `gen` on, as executing, or as suspended again.  Nobody can go on with,
 * close or clear a generator that is executing. */
static void
mark_outer(PyGenObject *gen, PyGenObject *inner, bool executing)
{
    while (gen != inner) {
        gen->gi_frame_state = executing ? FRAME_EXECUTING : FRAME_SUSPENDED;
        gen = (PyGenObject *)slp_delegate_of(gen);
    }
}

/* What is thrown by a throw(*args) that comes to `gen`, which waits for `delegate` (or NULL).  1: a call of
 * the delegate's throw(), *method(*tuple).  0: the exception that is set.  -1: nothing, an exception is set.
 * All code that finds it out runs here, and may do anything to the generator. */
static int
find_thrown(PyThreadState *tstate, PyGenObject *gen, PyObject *delegate, PyObject *const *args,
            Py_ssize_t nargs, PyObject **method, PyObject **tuple)
{
    if (delegate != NULL) {
        Py_INCREF(delegate);
        int status = _PyObject_LookupAttr(delegate, &_Py_ID(throw), method);
        Py_DECREF(delegate);
        if (status < 0) {
            return -1;
        }
    }
    if (*method != NULL) {
        *tuple = _PyTuple_FromArray(args, nargs);
        if (*tuple != NULL && gen->gi_frame_state == FRAME_SUSPENDED && find_send(gen) != NULL) {
            return 1;
        }
        Py_CLEAR(*method);
        if (*tuple == NULL) {
            return 0;   /* the generator gets the MemoryError */
        }
        Py_CLEAR(*tuple);
    }
    (void)slp_set_thrown(tstate, args, nargs);
    return 0;
}

/* close() of what `gen` delegates to, and then the throw(): its shim.  NULL as throw_frames(). */
static _PyInterpreterFrame *
throw_exit_frame(PyThreadState *tstate, _PyInterpreterFrame *caller, PyGenObject *gen, PyObject *const *args,
                 Py_ssize_t nargs)
{
    PyObject *tuple = _PyTuple_FromArray(args, nargs);
    if (tuple == NULL || gen->gi_frame_state != FRAME_SUSPENDED) {
        Py_XDECREF(tuple);   /* a collection may have closed the generator */
        return NULL;
    }
    PyObject *values[] = {tuple, Py_NewRef(gen)};
    return slp_shim_push(tstate, caller, shim_throw_exit, 0, values, 2);
}

/* Throw into a suspended generator: link it, and all that it delegates to, to `caller`, which waits for it;
 * the frame in which to go on, or, with an exception set, to raise it.  NULL where the base has to do it, or,
 * with an exception set, where it failed. */
static _PyInterpreterFrame *
throw_frames(PyThreadState *tstate, _PyInterpreterFrame *caller, PyGenObject *gen, PyObject *const *args,
             Py_ssize_t nargs, bool closes)
{
    /* First look, since nothing may be changed when the base has to do it. */
    if (gen->gi_frame_state != FRAME_SUSPENDED || !is_throwable(args, nargs)) {
        return NULL;
    }
    PyGenObject *inner = gen;
    PyObject *delegate = slp_delegate_of(inner);
    if (delegate != NULL && closes && PyErr_GivenExceptionMatches(args[0], PyExc_GeneratorExit)) {
        return throw_exit_frame(tstate, caller, gen, args, nargs);
    }
    for (; delegate != NULL; inner = (PyGenObject *)delegate, delegate = slp_delegate_of(inner)) {
        if (find_send(inner) == NULL) {
            return NULL;
        }
        if (!is_generator(delegate)) {
            break;
        }
        if (((PyGenObject *)delegate)->gi_frame_state != FRAME_SUSPENDED) {
            return NULL;
        }
    }

    /* As in the base, the innermost one is not executing yet. */
    PyObject *method = NULL, *tuple = NULL;
    mark_outer(gen, inner, true);
    int found = find_thrown(tstate, inner, delegate, args, nargs, &method, &tuple);
    mark_outer(gen, inner, false);

    _PyInterpreterFrame *frame = caller;
    for (PyGenObject *outer = gen; outer != inner; outer = (PyGenObject *)delegate) {
        delegate = slp_delegate_of(outer);
        frame = slp_link_waiting(tstate, outer, frame);
    }
    if (found < 0 || (found == 0 && !slp_takes_thrown(tstate, inner))) {
        if (inner == gen) {
            return NULL;
        }
        tstate->recursion_remaining++;
        return frame;
    }
    if (found == 0) {
        return slp_throw_into(tstate, inner, frame);
    }
    PyObject *values[] = {Py_NewRef(inner), NULL, method, tuple};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, frame, shim_throw_inner, 0, values, 4);
    if (shim == NULL) {
        frame = slp_link_waiting(tstate, inner, frame);
        tstate->recursion_remaining++;
        return frame;   /* it gets the MemoryError */
    }
    inner->gi_frame_state = FRAME_EXECUTING;
    return shim;
}

PyObject *
slp_throw_from_shim(PyThreadState *tstate, _PyInterpreterFrame *shim, PyGenObject *gen, PyObject *const *args,
                    Py_ssize_t nargs, bool closes, _PyInterpreterFrame **top)
{
    *top = throw_frames(tstate, shim, gen, args, nargs, closes);
    if (*top == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
        return _PyErr_Occurred(tstate) ? NULL : SLP_NOT_SOFT;
    }
    return SLP_ENTER;
}

_PyInterpreterFrame *
slp_yield_through(PyThreadState *tstate, _PyErr_StackItem **link, _PyInterpreterFrame *caller)
{
    while (slp_frame_waits_for_throw(caller)) {
        PyGenObject *gen = _PyFrame_GetGenerator(caller);
        assert(*link == &gen->gi_exc_state);
        *link = gen->gi_exc_state.previous_item;
        gen->gi_exc_state.previous_item = NULL;
        gen->gi_frame_state = FRAME_SUSPENDED;
        tstate->recursion_remaining++;
        caller->prev_instr++;   /* from SEND to YIELD_VALUE */
        _PyInterpreterFrame *next = caller->previous;
        caller->previous = NULL;
        caller = next;
    }
    return caller;
}

PyObject *
slp_soft_throw(PyThreadState *tstate, _PyInterpreterFrame *below, PyGenObject *gen, PyObject *const *args,
               Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    if (gen->gi_frame_state != FRAME_SUSPENDED || !slp_leaves_room(tstate)) {
        return SLP_NOT_SOFT;
    }
    _PyInterpreterFrame *shim = slp_push_next(tstate, below, (PyObject *)gen, NULL);
    return shim == NULL ? NULL : slp_throw_from_shim(tstate, shim, gen, args, nargs, true, top);
}

static PyObject *
soft_throw(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (kwnames != NULL || !is_generator(self)) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_throw(tstate, below, (PyGenObject *)self, args, nargs, top);
}

/* --- close --- */

PyObject *
slp_soft_close(PyThreadState *tstate, _PyInterpreterFrame *below, PyGenObject *gen, _PyInterpreterFrame **top)
{
    if (gen->gi_frame_state != FRAME_SUSPENDED || !slp_leaves_room(tstate)) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[] = {Py_NewRef(gen)};
    *top = slp_shim_push(tstate, below, shim_close, 0, values, 1);
    return *top == NULL ? NULL : SLP_ENTER;
}

static PyObject *
soft_close(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 0 || kwnames != NULL || !is_generator(self)) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_close(tstate, below, (PyGenObject *)self, top);
}

const char *
slp_generator_kind(PyObject *generator)
{
    return PyCoro_CheckExact(generator)       ? "coroutine"
           : PyAsyncGen_CheckExact(generator) ? "async generator"
                                              : "generator";
}

/* --- registration --- */

/* One entry of an exception table: `count` code units from `start` on are covered by `handler`, which finds
 * `depth` values and the exception on the stack. */
#define COVER(start, count, handler, depth) 0x80 | (start), (count), (handler), (depth) << 1

static PyCodeObject *
make_shim(const char *name, int stacksize, const uint8_t *code, size_t code_size, const uint8_t *handlers,
          size_t handlers_size)
{
    PyCodeObject *shim = slp_shim_make(name, stacksize, code, (int)code_size, handlers, (int)handlers_size);
    if (shim == NULL) {
        PyErr_Print();
        Py_FatalError("cannot make the shims of generators");
    }
    return shim;
}

static void
make_shims(void)
{
    static const uint8_t next_code[] = {
        SLP_STEP, 1,
        SLP_GIVE, 0,
        SLP_STOP, 0,
    };
    static const uint8_t default_code[] = {
        SLP_STEP, 1,
        SLP_GIVE, 0,
        POP_TOP, 0,
        SLP_GIVE, 0,
        SLP_DEFAULT, 0,          /* 4 */
    };
    static const uint8_t default_handlers[] = {COVER(0, 1, 4, 1)};
    static const uint8_t close_code[] = {
        SLP_CLOSE_INNER, 8,
        PRECALL, 0, CACHE, 0,
        CALL, 0, CACHE, 0, CACHE, 0, CACHE, 0, CACHE, 0,
        POP_TOP, 0,
        SLP_CLOSE, 1,            /* 9 */
        SLP_CLOSE_YIELDED, 0,
        SLP_GIVE_NONE, 0,
        SLP_CLOSE_FAILED, 1,     /* 12 */
        SLP_CLOSE_YIELDED, 0,
        SLP_GIVE_NONE, 0,
        SLP_CLOSE_RAISED, 0,     /* 15 */
        SLP_GIVE_NONE, 0,
    };
    static const uint8_t close_handlers[] = {COVER(0, 8, 12, 1), COVER(9, 1, 15, 0), COVER(12, 1, 15, 0)};
    static const uint8_t throw_code[] = {
        NOP, 0,
        CALL_FUNCTION_EX, 0,
        SLP_YIELD_ON, 1,
        SLP_FINISHED, 0,
    };
    static const uint8_t throw_handlers[] = {COVER(0, 2, 3, 1)};
    static const uint8_t exit_code[] = {
        SLP_CLOSE_INNER, 8,
        PRECALL, 0, CACHE, 0,
        CALL, 0, CACHE, 0, CACHE, 0, CACHE, 0, CACHE, 0,
        POP_TOP, 0,
        SLP_THROW, 1,            /* 9 */
        SLP_YIELD_ON, 0,
        SLP_FINISH, 0,
        SLP_CLOSE_FAILED, 1,     /* 12 */
        SLP_YIELD_ON, 0,
        SLP_FINISH, 0,
    };
    static const uint8_t exit_handlers[] = {COVER(0, 8, 12, 2)};
    shim_next = make_shim("<next>", 2, next_code, sizeof(next_code), NULL, 0);
    shim_next_default = make_shim("<next with default>", 3, default_code, sizeof(default_code),
                                  default_handlers, sizeof(default_handlers));
    shim_close = make_shim("<close>", 4, close_code, sizeof(close_code), close_handlers,
                           sizeof(close_handlers));
    shim_throw_inner = make_shim("<throw>", 5, throw_code, sizeof(throw_code), throw_handlers,
                                 sizeof(throw_handlers));
    shim_throw_exit = make_shim("<throw GeneratorExit>", 4, exit_code, sizeof(exit_code), exit_handlers,
                                sizeof(exit_handlers));
}

void
slp_soft_generators_init(void)
{
    make_shims();
    slp_generators_init();
    PyTypeObject *const types[] = {&PyGen_Type, &PyCoro_Type};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        slp_soft_register_method(types[i], "send", soft_send);
        slp_soft_register_method(types[i], "throw", soft_throw);
        slp_soft_register_method(types[i], "close", soft_close);
    }
    slp_soft_register_slot((void *)PyGen_Type.tp_iternext, soft_next_method);
    next_of_others = slp_soft_registered_builtin("next");
    slp_soft_register_builtin("next", soft_next);
}
