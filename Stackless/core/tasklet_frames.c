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

/*      chunk ┌─────────────────────────────────────────┐
 *            │ previous = NULL, size                   │
 *            │ base shim: header                       │ <── t->frame
 *            │   NULL, callable, args (, kwargs)       │
 *            │   (the value of the first resumption)   │
 *            ├─────────────────────────────────────────┤ <── t->stack_top
 *            │ room for the frame of a Python function │
 *            └─────────────────────────────────────────┘
 */
int
slp_tasklet_make_stack(PyTaskletObject *t, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    assert(t->frame == NULL && t->chunk == NULL);
    PyCodeObject *shim = kwargs == NULL ? slp_shim_tasklet : slp_shim_tasklet_kw;
    PyFunctionObject *func = python_function(callable);
    size_t words = slp_frame_words(shim);
    size_t words_of_function = func == NULL ? 0 : slp_frame_words((PyCodeObject *)func->func_code);
    _PyStackChunk *chunk = slp_chunk_new_heap(words + words_of_function);
    if (chunk == NULL) {
        return -1;
    }
    PyObject *builtins = _PyThreadState_GET()->interp->builtins;
    PyObject **base = slp_chunk_base(chunk);
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)base;
    frame->f_func = (PyFunctionObject *)Py_XNewRef(func);
    frame->f_globals = func != NULL ? func->func_globals : builtins;
    frame->f_builtins = func != NULL ? func->func_builtins : builtins;
    frame->f_locals = NULL;
    frame->f_code = (PyCodeObject *)Py_NewRef(shim);
    frame->frame_obj = NULL;
    frame->previous = NULL;
    frame->prev_instr = _PyCode_CODE(shim);
    frame->is_entry = false;
    frame->owner = FRAME_OWNED_BY_THREAD;
    int top = 0;
    frame->localsplus[top++] = NULL;
    frame->localsplus[top++] = Py_NewRef(callable);
    frame->localsplus[top++] = Py_NewRef(args);
    if (kwargs != NULL) {
        frame->localsplus[top++] = Py_NewRef(kwargs);
    }
    frame->stacktop = top;
    t->chunk = chunk;
    t->stack_top = base + words;
    t->frame = frame;
    t->exc_info = &t->exc_state;
    t->recursion_depth = 0;
    return 0;
}

/* A generator whose frame is dropped while it runs in a tasklet is finished. */
static void
drop_generator_frame(_PyInterpreterFrame *frame)
{
    PyGenObject *gen = _PyFrame_GetGenerator(frame);
    gen->gi_exc_state.previous_item = NULL;
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
