/* Generators, coroutines, asynchronous generators, and what is awaited of them.
 *
 * In an image: generator(code, name, qualname) with the state
 *
 *   (frame state, description of the frame or None, origin or finalizer, bits)
 *
 * A generator that runs in a tasklet has no description here: its frame stands in that of the tasklet, which
 * says whose it is, since both are loaded in either order.  Until then it is *frameless*: its frame has the
 * code of the guard shim, which raises an error where anybody goes on with it.
 *
 *   state                  gi_frame_state   in an image
 *   not started            CREATED          with its frame
 *   waits at a yield       SUSPENDED        with its frame
 *   being closed           EXECUTING        with its frame: a <close> shim waits for what it delegates to
 *   runs in a tasklet      EXECUTING        without; the tasklet has it
 *   has ended              CLEARED          without
 */
#include "slp_pickle_frame.h"

#include "slp_frame.h"
#include "slp_shims.h"

#define WHAT          "a generator"

/* Bits of the state. */
#define HOOKS_INITED  1
#define CLOSED        2
#define RUNNING_ASYNC 4
#define HAD_FINALIZER 8

static PyTypeObject stand_in_generator;
static PyTypeObject stand_in_coroutine;
static PyTypeObject stand_in_async_generator;

/* The code of frames that are not there yet: raises SystemError. */
static PyCodeObject *guard;

static _PyInterpreterFrame *
frame_of(PyGenObject *gen)
{
    return (_PyInterpreterFrame *)gen->gi_iframe;
}

bool
slp_is_generator_shell(PyObject *op)
{
    return Py_IS_TYPE(op, &stand_in_generator) || Py_IS_TYPE(op, &stand_in_coroutine)
           || Py_IS_TYPE(op, &stand_in_async_generator);
}

bool
slp_is_async_generator(PyObject *op)
{
    return PyAsyncGen_CheckExact(op) || Py_IS_TYPE(op, &stand_in_async_generator);
}

bool
slp_is_coroutine(PyObject *op)
{
    return PyCoro_CheckExact(op) || Py_IS_TYPE(op, &stand_in_coroutine);
}

/* A generator, or a shell of one, of any kind. */
static bool
is_any_generator(PyObject *op)
{
    return PyGen_CheckExact(op) || PyCoro_CheckExact(op) || PyAsyncGen_CheckExact(op)
           || slp_is_generator_shell(op);
}

bool
slp_is_frameless_generator(PyObject *op)
{
    if (!is_any_generator(op)) {
        return false;
    }
    PyGenObject *gen = (PyGenObject *)op;
    _PyInterpreterFrame *frame = frame_of(gen);
    return gen->gi_frame_state == FRAME_EXECUTING && frame->f_code == guard && frame->previous == NULL
           && frame->frame_obj == NULL;
}

/* --- describing --- */

/* Does the frame stand in the chain of the frames that run? */
static bool
runs_here(_PyInterpreterFrame *wanted)
{
    _PyInterpreterFrame *frame = _PyThreadState_GET()->cframe->current_frame;
    for (; frame != NULL; frame = frame->previous) {
        if (frame == wanted) {
            return true;
        }
    }
    return false;
}

/* What happens to the finalizer of an asynchronous generator: the flags of pickle_flags(). */
#define PRESERVE_AG_FINALIZER 2
#define RESET_AG_FINALIZER    4

static PyObject *
origin_out(PyGenObject *gen, int *bits)
{
    if (PyGen_CheckExact(gen)) {
        Py_RETURN_NONE; /* the field is not initialised */
    }
    PyObject *value = gen->gi_origin_or_finalizer;
    if (PyCoro_CheckExact(gen)) {
        return Py_NewRef(value != NULL ? value : Py_None);
    }
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    int flags = th == NULL ? 0 : th->pickle_flags;
    if (flags & RESET_AG_FINALIZER) {
        *bits &= ~HOOKS_INITED;
        Py_RETURN_NONE;
    }
    *bits |= value != NULL ? HAD_FINALIZER : 0;
    return Py_NewRef(value != NULL && (flags & PRESERVE_AG_FINALIZER) ? value : Py_None);
}

/* What slp_reduce_generator() returns.  No code may run meanwhile, which may resume the generator. */
static PyObject *
describe(PyGenObject *gen, PyTypeObject *stand_in)
{
    _PyInterpreterFrame *frame = frame_of(gen);
    int state = gen->gi_frame_state;
    PyObject *description;
    if (state == FRAME_EXECUTING && frame->f_code != guard && (frame->stacktop < 0 || runs_here(frame))) {
        return PyErr_Format(PyExc_RuntimeError,
                            "cannot pickle %.200s %R, which is running: only another tasklet "
                            "can pickle it, while this one is suspended without C frames",
                            Py_TYPE(gen)->tp_name, gen->gi_qualname);
    }
    if (state >= FRAME_COMPLETED
        || (state == FRAME_EXECUTING && (frame->previous != NULL || frame->f_code == guard))) {
        description = Py_NewRef(Py_None);
    }
    else {
        description = slp_frame_describe(frame, NULL, SLP_WAITING);
        if (description == NULL) {
            return NULL;
        }
    }
    int bits = (gen->gi_hooks_inited ? HOOKS_INITED : 0) | (gen->gi_closed ? CLOSED : 0)
               | (gen->gi_running_async ? RUNNING_ASYNC : 0);
    PyObject *exception = gen->gi_exc_state.exc_value;
    PyObject *origin = origin_out(gen, &bits);
    return Py_BuildValue("O(OOO)(iNONi)", stand_in, gen->gi_code, gen->gi_name, gen->gi_qualname, state,
                         description, exception != NULL ? exception : Py_None, origin, bits);
}

PyObject *
slp_reduce_generator(PyObject *module, PyObject *op)
{
    PyTypeObject *stand_in = PyGen_CheckExact(op)        ? &stand_in_generator
                             : PyCoro_CheckExact(op)     ? &stand_in_coroutine
                             : PyAsyncGen_CheckExact(op) ? &stand_in_async_generator
                                                         : NULL;
    if (stand_in == NULL) {
        return PyErr_Format(PyExc_TypeError, "reduce_generator() argument must be a generator, not %.200s",
                            Py_TYPE(op)->tp_name);
    }
    int collecting = PyGC_Disable();
    PyObject *result = describe((PyGenObject *)op, stand_in);
    if (collecting) {
        PyGC_Enable();
    }
    return result;
}

/* --- shells --- */

/* Give the frame of `gen` the guard's code.  -1 with an exception. */
static int
guard_frame(PyGenObject *gen)
{
    _PyInterpreterFrame *frame = frame_of(gen);
    PyObject *func = PyFunction_New((PyObject *)guard, _PyThreadState_GET()->interp->builtins);
    if (func == NULL) {
        return -1;
    }
    frame->f_func = (PyFunctionObject *)func;
    frame->f_globals = frame->f_func->func_globals;
    frame->f_builtins = frame->f_func->func_builtins;
    frame->f_locals = NULL;
    frame->f_code = (PyCodeObject *)Py_NewRef(guard);
    frame->frame_obj = NULL;
    frame->previous = NULL;
    frame->prev_instr = _PyCode_CODE(guard) - 1;
    frame->stacktop = 0;
    frame->is_entry = false;
    frame->owner = FRAME_OWNED_BY_GENERATOR;
    return 0;
}

static PyObject *
generator_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyCodeObject *code;
    PyObject *name, *qualname;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        return PyErr_Format(PyExc_TypeError, "%s takes no keyword arguments", type->tp_name);
    }
    if (!PyArg_ParseTuple(args, "O!UU:generator", &PyCode_Type, &code, &name, &qualname)) {
        return NULL;
    }
    int kind = type == &stand_in_generator   ? CO_GENERATOR
               : type == &stand_in_coroutine ? CO_COROUTINE
                                             : CO_ASYNC_GENERATOR;
    if ((code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) != kind) {
        return slp_refuse_image(WHAT, "%U is not the code of such a one", code->co_qualname);
    }
    Py_ssize_t slots = Py_MAX(code->co_nlocalsplus + code->co_stacksize, guard->co_stacksize + 1);
    PyGenObject *gen = PyObject_GC_NewVar(PyGenObject, type, slots);
    if (gen == NULL) {
        return NULL;
    }
    gen->gi_code = (PyCodeObject *)Py_NewRef(code);
    gen->gi_weakreflist = NULL;
    gen->gi_name = Py_NewRef(name);
    gen->gi_qualname = Py_NewRef(qualname);
    gen->gi_exc_state.exc_value = NULL;
    gen->gi_exc_state.previous_item = NULL;
    gen->gi_origin_or_finalizer = NULL;
    gen->gi_hooks_inited = gen->gi_closed = gen->gi_running_async = 0;
    gen->gi_frame_state = FRAME_CLEARED;
    if (guard_frame(gen) == 0) {
        gen->gi_frame_state = FRAME_EXECUTING;
        _PyObject_GC_TRACK(gen);
        return (PyObject *)gen;
    }
    _PyObject_GC_TRACK(gen);
    Py_DECREF(gen);
    return NULL;
}

/* --- filling --- */

/* Replace the guard by what `image` describes. */
static void
fill_frame(PyGenObject *gen, slp_frame_image *image, _PyInterpreterFrame *below)
{
    _PyInterpreterFrame *frame = frame_of(gen);
    PyFunctionObject *func = frame->f_func;
    assert(frame->f_code == guard && frame->stacktop == 0 && frame->f_locals == NULL);
    slp_frame_build(image, frame, below);
    frame->owner = FRAME_OWNED_BY_GENERATOR;
    frame->previous = below;
    gen->gi_exc_state.exc_value = Py_XNewRef(image->exception);
    Py_DECREF(guard);
    Py_DECREF(func);
}

void
slp_generator_adopt(slp_frame_image *image, _PyInterpreterFrame *below, _PyErr_StackItem *outer)
{
    image->gen->gi_exc_state.previous_item = outer;
    fill_frame(image->gen, image, below);
}

void
slp_generator_fill(PyGenObject *gen, slp_frame_image *image, int state)
{
    fill_frame(gen, image, NULL);
    gen->gi_frame_state = (int8_t)state;
}

#if SLP_TORTURE_PICKLE
_PyInterpreterFrame *
slp_generator_take_frame(PyGenObject *gen)
{
    _PyInterpreterFrame *frame = frame_of(gen);
    size_t size = (size_t)slp_frame_words(frame->f_code) * sizeof(PyObject *);
    _PyInterpreterFrame *copy = PyMem_Malloc(size);
    if (copy == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    memcpy(copy, frame, size);
    if (guard_frame(gen) < 0) {
        PyMem_Free(copy);
        return NULL;
    }
    gen->gi_exc_state.exc_value = NULL;
    return copy;
}
#endif

/* Read the description of a frame that waits, and fill the generator with it. */
static int
read_frame(PyGenObject *gen, PyObject *description, PyObject *exception, int state)
{
    slp_frame_image image;
    if (slp_frame_read(description, SLP_WAITING, &image) < 0) {
        return -1;
    }
    int status = -1;
    bool started = state != FRAME_CREATED;
    if (image.gen != NULL || image.code != gen->gi_code || image.wait != SLP_WAITS_YIELD
        || (_Py_OPCODE(_PyCode_CODE(image.code)[image.unit]) == RETURN_GENERATOR) == started) {
        slp_refuse_image(WHAT, "the frame of %U does not fit its state", gen->gi_qualname);
    }
    else if (exception != Py_None && !PyExceptionInstance_Check(exception)) {
        slp_refuse_image(WHAT, "%U handles %.200s, which is no exception", gen->gi_qualname,
                         Py_TYPE(exception)->tp_name);
    }
    else if (!slp_is_frameless_generator((PyObject *)gen)) {
        slp_refuse_image(WHAT, "%U has been filled already", gen->gi_qualname);
    }
    else {
        image.exception = exception == Py_None ? NULL : Py_NewRef(exception);
        slp_generator_fill(gen, &image, state);
        status = slp_frame_restore_trace(&image, frame_of(gen));
    }
    slp_frame_image_clear(&image);
    return status;
}

/* A generator that has ended needs no frame. */
static void
end_shell(PyGenObject *gen)
{
    gen->gi_frame_state = FRAME_CLEARED;
    _PyFrame_Clear(frame_of(gen));
}

/* The type for which a shell stands, or NULL where it is none any more. */
static PyTypeObject *
real_type(PyObject *shell)
{
    return Py_IS_TYPE(shell, &stand_in_generator)         ? &PyGen_Type
           : Py_IS_TYPE(shell, &stand_in_coroutine)       ? &PyCoro_Type
           : Py_IS_TYPE(shell, &stand_in_async_generator) ? &PyAsyncGen_Type
                                                          : NULL;
}

/* The finalizer of an asynchronous generator, or the origin of a coroutine. */
static int
set_origin(PyGenObject *gen, PyTypeObject *type, PyObject *origin, int bits)
{
    if (origin != Py_None && type == &PyCoro_Type && !PyTuple_CheckExact(origin)) {
        slp_refuse_image(WHAT, "the origin of a coroutine is %.200s", Py_TYPE(origin)->tp_name);
        return -1;
    }
    PyObject *value = origin == Py_None || type == &PyGen_Type ? NULL : Py_NewRef(origin);
    gen->gi_closed = (bits & CLOSED) != 0;
    gen->gi_running_async = (bits & RUNNING_ASYNC) != 0;
    gen->gi_hooks_inited = (bits & HOOKS_INITED) != 0;
    if (type == &PyAsyncGen_Type && value == NULL && (bits & HAD_FINALIZER)) {
        value = Py_XNewRef(_PyThreadState_GET()->async_gen_finalizer);
    }
    Py_XSETREF(gen->gi_origin_or_finalizer, value);
    return 0;
}

/* The asynchronous generator is the loader's now: its event loop hears of it, as of one that begins. */
static int
call_firstiter(PyGenObject *gen, int bits)
{
    PyObject *firstiter = _PyThreadState_GET()->async_gen_firstiter;
    if (firstiter == NULL || (bits & (HOOKS_INITED | HAD_FINALIZER)) != (HOOKS_INITED | HAD_FINALIZER)) {
        return 0;
    }
    Py_INCREF(firstiter);
    PyObject *result = PyObject_CallOneArg(firstiter, (PyObject *)gen);
    Py_DECREF(firstiter);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *
generator_setstate(PyObject *self, PyObject *state)
{
    int frame_state, bits;
    PyObject *description, *exception, *origin;
    PyTypeObject *type = real_type(self);
    PyGenObject *gen = (PyGenObject *)self;
    if (type == NULL) {
        return slp_refuse_image(WHAT, "%U has been filled already", gen->gi_qualname);
    }
    if (!PyTuple_Check(state)) {
        return slp_refuse_image(WHAT, "its state is %.200s", Py_TYPE(state)->tp_name);
    }
    if (!PyArg_ParseTuple(state, "iOOOi:generator", &frame_state, &description, &exception, &origin, &bits)) {
        return NULL;
    }
    bool framed = description != Py_None;
    bool known = framed ? frame_state == FRAME_CREATED || frame_state == FRAME_SUSPENDED
                              || frame_state == FRAME_EXECUTING
                        : frame_state == FRAME_EXECUTING || frame_state == FRAME_CLEARED
                              || frame_state == FRAME_COMPLETED;
    if (!known) {
        return slp_refuse_image(WHAT, "%d is no state of %U", frame_state, gen->gi_qualname);
    }
    if (framed && read_frame(gen, description, exception, frame_state) < 0) {
        return NULL;
    }
    if (!framed && frame_state != FRAME_EXECUTING) {
        if (!slp_is_frameless_generator(self)) {
            return slp_refuse_image(WHAT, "%U has ended, but a tasklet runs it", gen->gi_qualname);
        }
        end_shell(gen);
    }
    if (real_type(self) != type) {
        return slp_refuse_image(WHAT, "%U has been filled already", gen->gi_qualname);
    }
    if (set_origin(gen, type, origin, bits) < 0) {
        return NULL;
    }
    Py_SET_TYPE(self, type);
    if (type == &PyAsyncGen_Type && call_firstiter(gen, bits) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyMethodDef generator_methods[] = {
    {"__setstate__", generator_setstate, METH_O, "Fill the generator."},
    {NULL},
};

static PyTypeObject stand_in_generator = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.generator",
    .tp_doc = "A generator of an image.",
    .tp_methods = generator_methods,
    .tp_new = generator_new,
};

static PyTypeObject stand_in_coroutine = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.coroutine",
    .tp_doc = "A coroutine of an image.",
    .tp_methods = generator_methods,
    .tp_new = generator_new,
};

static PyTypeObject stand_in_async_generator = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.async_generator",
    .tp_doc = "An asynchronous generator of an image.",
    .tp_methods = generator_methods,
    .tp_new = generator_new,
};

int
slp_add_generator_types(PyObject *wrap)
{
    static const uint8_t guard_code[] = {SLP_STEP, 0};
    if (guard == NULL) {
        guard = slp_shim_make("<unfilled generator>", 1, guard_code, sizeof(guard_code), NULL, 0);
        if (guard == NULL) {
            return -1;
        }
    }
    return slp_add_stand_in(wrap, &stand_in_generator, &PyGen_Type) < 0
                   || slp_add_stand_in(wrap, &stand_in_coroutine, &PyCoro_Type) < 0
                   || slp_add_stand_in(wrap, &stand_in_async_generator, &PyAsyncGen_Type) < 0
               ? -1
               : 0;
}
