/* A tasklet's frames while it does not run: building the first ones, dropping, traversing. */
#include "slp_shims.h"
#include "slp_tasklet.h"

/* The Python function that a call of `callable` enters at once, or NULL. */
static PyFunctionObject *
python_function(PyObject *callable)
{
    if (Py_IS_TYPE(callable, &PyMethod_Type)) {
        callable = PyMethod_GET_FUNCTION(callable);
    }
    return Py_IS_TYPE(callable, &PyFunction_Type) ? (PyFunctionObject *)callable : NULL;
}

/* A chunk with the base shim as its first frame, whose stack is empty, and room for `words` more:
 *
 *      chunk ┌─────────────────────────────────────────┐
 *            │ previous = NULL, size                   │
 *            │ base shim: header                       │
 *            │   NULL, callable, args (, kwargs)       │   nothing where the function's frame is there
 *            │   (the value of the first resumption)   │
 *            ├─────────────────────────────────────────┤
 *            │ room for the frame of a Python function │
 *            └─────────────────────────────────────────┘
 */
static inline _PyInterpreterFrame *
new_base(PyTaskletObject *t, PyCodeObject *shim, PyFunctionObject *func, size_t words)
{
    assert(t->frame == NULL && t->chunk == NULL);
    if (func == NULL) {
        func = slp_interp_base_function(t->thread->interp);
        if (func == NULL) {
            return NULL;
        }
    }
    _PyStackChunk *chunk = slp_chunk_new_heap(slp_frame_words(shim) + words);
    if (chunk == NULL) {
        return NULL;
    }
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)slp_chunk_base(chunk);
    frame->f_func = (PyFunctionObject *)Py_NewRef(func);
    frame->f_globals = func->func_globals;
    frame->f_builtins = func->func_builtins;
    frame->f_locals = NULL;
    frame->f_code = (PyCodeObject *)Py_NewRef(shim);
    frame->frame_obj = NULL;
    frame->previous = NULL;
    frame->stacktop = 0;
    frame->is_entry = false;
    frame->owner = FRAME_OWNED_BY_THREAD;
    t->chunk = chunk;
    t->exc_info = &t->exc_state;
    return frame;
}

int
slp_tasklet_make_stack(PyTaskletObject *t, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    PyCodeObject *shim = kwargs == NULL ? slp_shim_tasklet : slp_shim_tasklet_kw;
    PyFunctionObject *func = python_function(callable);
    size_t words_of_function = func == NULL ? 0 : slp_frame_words((PyCodeObject *)func->func_code);
    _PyInterpreterFrame *frame = new_base(t, shim, func, words_of_function);
    if (frame == NULL) {
        return -1;
    }
    frame->prev_instr = _PyCode_CODE(shim);
    frame->localsplus[frame->stacktop++] = NULL;
    frame->localsplus[frame->stacktop++] = Py_NewRef(callable);
    frame->localsplus[frame->stacktop++] = Py_NewRef(args);
    if (kwargs != NULL) {
        frame->localsplus[frame->stacktop++] = Py_NewRef(kwargs);
    }
    t->stack_top = (PyObject **)frame + slp_frame_words(shim);
    t->frame = frame;
    t->recursion_depth = 0;
    return 0;
}

int
slp_tasklet_make_frames(PyTaskletObject *t, PyObject *callable, PyObject *const *args, Py_ssize_t nargs)
{
    PyFunctionObject *func = python_function(callable);
    if (func == NULL) {
        return 0;
    }
    PyCodeObject *code = (PyCodeObject *)func->func_code;
    int bound = (PyObject *)func != callable;
    if (nargs + bound != code->co_argcount || code->co_kwonlyargcount != 0
        || (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS | CO_OPTIMIZED)) != CO_OPTIMIZED) {
        return 0;
    }
    _PyInterpreterFrame *base = new_base(t, slp_shim_started, func, slp_frame_words(code));
    if (base == NULL) {
        return -1;
    }
    base->prev_instr = _PyCode_CODE(slp_shim_started);
    _PyInterpreterFrame *frame =
        (_PyInterpreterFrame *)((PyObject **)base + slp_frame_words(slp_shim_started));
    slp_frame_init(frame, (PyFunctionObject *)Py_NewRef(func), NULL, code);
    frame->previous = base;
    if (bound) {
        frame->localsplus[0] = Py_NewRef(PyMethod_GET_SELF(callable));
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        frame->localsplus[bound + i] = Py_NewRef(args[i]);
    }
    for (int i = code->co_argcount; i < code->co_nlocalsplus; i++) {
        frame->localsplus[i] = NULL;
    }
    t->stack_top = (PyObject **)frame + slp_frame_words(code);
    t->frame = frame;
    t->flags.interrupted = 1;
    t->recursion_depth = 0;
    return 1;
}

/* A generator whose frame is dropped while it runs in a tasklet is finished. */
static void
drop_generator_frame(_PyInterpreterFrame *frame)
{
    PyGenObject *gen = _PyFrame_GetGenerator(frame);
    gen->gi_exc_state.previous_item = NULL;
    if (PyAsyncGen_CheckExact(gen)) {
        ((PyAsyncGenObject *)gen)->ag_running_async = 0;
    }
    frame->previous = NULL;
    gen->gi_frame_state = FRAME_CLEARED;
    _PyErr_ClearExcState(&gen->gi_exc_state);
    _PyFrame_Clear(frame);
}

void
slp_tasklet_drop_frames(PyTaskletObject *t)
{
    assert(!t->flags.is_main && !t->flags.pinned);
    _PyInterpreterFrame *frame = t->frame;
    _PyStackChunk *chunk = t->chunk;
    t->frame = NULL;
    t->chunk = NULL;
    t->stack_top = NULL;
    t->flags.interrupted = 0;
    t->exc_info = &t->exc_state;
    while (frame != NULL) {
        _PyInterpreterFrame *previous = frame->previous;
        if (frame->owner == FRAME_OWNED_BY_GENERATOR) {
            drop_generator_frame(frame);
        }
        else {
            if (slp_is_shim(frame)) {
                slp_shim_dropped(t, frame);
            }
            slp_frame_clear(frame);
        }
        frame = previous;
    }
    slp_chunks_free_heap(chunk);
    Py_CLEAR(t->exc_state.exc_value);
}

/* Visit what a frame of a pinned tasklet surely owns.  Its value stack is not known where it is below a C
 * call: what that refers to counts as referred to from outside, and is never taken for garbage. */
static int
traverse_locals(_PyInterpreterFrame *frame, visitproc visit, void *arg)
{
    Py_VISIT(frame->frame_obj);
    Py_VISIT(frame->f_locals);
    Py_VISIT(frame->f_func);
    Py_VISIT(frame->f_code);
    for (int i = 0; i < frame->f_code->co_nlocalsplus; i++) {
        Py_VISIT(frame->localsplus[i]);
    }
    return 0;
}

int
slp_tasklet_traverse_frames(PyTaskletObject *t, visitproc visit, void *arg)
{
    if (t->flags.is_main) {
        return 0;   /* opaque, as a running thread's frames are */
    }
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL; frame = frame->previous) {
        if (frame->owner == FRAME_OWNED_BY_GENERATOR) {
            continue;   /* the generator traverses it */
        }
        int stop = t->flags.pinned ? traverse_locals(frame, visit, arg)
                                   : _PyFrame_Traverse(frame, visit, arg);
        if (stop) {
            return stop;
        }
    }
    return 0;
}

#ifndef NDEBUG
void
slp_tasklet_check(PyTaskletObject *t)
{
    bool current = t->thread->current == t;
    assert(!current || t->frame == NULL);
    assert(!current || !t->flags.pinned);
    assert(t->frame != NULL || t->flags.pinned || (t->chunk == NULL && t->stack_top == NULL));
    assert(t->flags.blocked == 0 || (t->channel != NULL && slp_tasklet_alive(t)));
    assert(!t->flags.is_main || current || t->flags.pinned || t->thread->tstate == NULL);
    if (t->frame != NULL) {
        assert(t->exc_info != NULL);
        _PyInterpreterFrame *frame = t->frame;
        if (!t->flags.is_main) {
            for (;;) {
                assert(t->flags.pinned || (!frame->is_entry && frame->stacktop >= 0));
                if (frame->previous == NULL) {
                    break;
                }
                frame = frame->previous;
            }
            assert(slp_is_shim(frame));
        }
    }
}
#endif
