/* Generators whose frames the loop runs itself: their birth and their end. */
#include "slp_eval.h"

#include "slp_generators.h"
#include "slp_loops.h"
#include "slp_opcodes.h"

PyObject *
slp_generator_from_frame(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    PyGenObject *gen = (PyGenObject *)_Py_MakeCoro(frame->f_func);
    if (gen == NULL) {
        return NULL;
    }
    assert(frame->frame_obj == NULL);
    _PyInterpreterFrame *own = (_PyInterpreterFrame *)gen->gi_iframe;
    _PyFrame_Copy(frame, own);
    own->owner = FRAME_OWNED_BY_GENERATOR;
    own->is_entry = false;
    own->previous = NULL;
    gen->gi_frame_state = FRAME_CREATED;
    return (PyObject *)gen;
}

void
slp_generator_finished(PyThreadState *tstate, _PyInterpreterFrame *frame, bool raised)
{
    PyGenObject *gen = _PyFrame_GetGenerator(frame);
    gen->gi_frame_state = FRAME_COMPLETED;
    tstate->exc_info = gen->gi_exc_state.previous_item;
    gen->gi_exc_state.previous_item = NULL;
    frame->previous = NULL;
    if (raised) {
        slp_convert_stop_iteration(tstate, gen);
    }
    _PyErr_ClearExcState(&gen->gi_exc_state);
    gen->gi_frame_state = FRAME_CLEARED;
    _PyFrame_Clear(frame);
}

/* What tp_finalize of the generator types was; the same for all of them. */
static destructor base_finalize;

/* The base closes what a generator delegates to, and what that delegates to, by calls that nest: 65,000
 * levels take 8 MB of C stack.  Chains longer than this are closed by the loop. */
#define LEVELS_CLOSED_IN_C 20

/* [generator.close, generator]: the first frame of an activation that finalizes. */
static PyCodeObject *shim_finalize;
static PyObject *close_method, *coroutine_close_method;

/* Does a suspended generator or coroutine delegate to others so many levels deep? */
static bool
delegates_deeply(PyObject *self)
{
    for (int levels = 0; levels < LEVELS_CLOSED_IN_C; levels++) {
        if (!(PyGen_CheckExact(self) || PyCoro_CheckExact(self))
            || ((PyGenObject *)self)->gi_frame_state != FRAME_SUSPENDED) {
            return false;
        }
        self = slp_delegate_of((PyGenObject *)self);
        if (self == NULL) {
            return false;
        }
    }
    return true;
}

/* Close it as self.close() in Python code would.  False: that cannot be begun here. */
static bool
close_in_loop(PyThreadState *tstate, PyObject *self)
{
    _PyInterpreterFrame *below = tstate->cframe->current_frame;
    if (below == NULL) {
        return false;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    PyObject *method = PyGen_CheckExact(self) ? close_method : coroutine_close_method;
    PyObject *values[] = {Py_NewRef(method), Py_NewRef(self)};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_finalize, 0, values, 2);
    PyObject *none = NULL;
    if (shim != NULL) {
        /* One level for the activation, and one for the call of a method, which C does not count. */
        tstate->recursion_remaining += 2;
        none = _PyEval_EvalFrame(tstate, shim, 0);
        tstate->recursion_remaining -= 2;
        slp_frame_clear_and_pop(tstate, shim);
    }
    if (none == NULL) {
        PyErr_WriteUnraisable(self);
    }
    Py_XDECREF(none);
    _PyErr_Restore(tstate, type, value, traceback);
    return true;
}

/* A generator that runs in a suspended tasklet becomes garbage together with it.  It cannot be
 * closed: the base would report "generator already executing" to sys.unraisablehook. */
static void
finalize(PyObject *self)
{
    if (((PyGenObject *)self)->gi_frame_state == FRAME_EXECUTING) {
        return;
    }
    if (SLP_UNLIKELY(delegates_deeply(self)) && close_in_loop(_PyThreadState_GET(), self)) {
        return;
    }
    base_finalize(self);
}

/* The method close() of a type.  Lives on. */
static PyObject *
close_of(PyTypeObject *type)
{
    PyObject *method = PyObject_GetAttrString((PyObject *)type, "close");
    if (method == NULL) {
        Py_FatalError("generators have no close()");
    }
    return method;
}

void
slp_generators_init(void)
{
    if (base_finalize == NULL) {
        base_finalize = PyGen_Type.tp_finalize;
        assert(PyCoro_Type.tp_finalize == base_finalize && PyAsyncGen_Type.tp_finalize == base_finalize);
        SLP_LOOP_MAKE(shim_finalize, "<finalize>", 2, SLP_CODE_CALL(0), RETURN_VALUE, 0);
        close_method = close_of(&PyGen_Type);
        coroutine_close_method = close_of(&PyCoro_Type);
        PyGen_Type.tp_finalize = PyCoro_Type.tp_finalize = PyAsyncGen_Type.tp_finalize = finalize;
    }
}
