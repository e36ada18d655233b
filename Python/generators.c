/* Generators whose frames the loop runs itself: their birth and their end. */
#include "slp_eval.h"

#include "slp_generators.h"

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

/* A generator that runs in a suspended tasklet becomes garbage together with it.  It cannot be
 * closed: the base would report "generator already executing" to sys.unraisablehook. */
static void
finalize(PyObject *self)
{
    if (((PyGenObject *)self)->gi_frame_state != FRAME_EXECUTING) {
        base_finalize(self);
    }
}

void
slp_generators_init(void)
{
    if (base_finalize == NULL) {
        base_finalize = PyGen_Type.tp_finalize;
        assert(PyCoro_Type.tp_finalize == base_finalize && PyAsyncGen_Type.tp_finalize == base_finalize);
        PyGen_Type.tp_finalize = PyCoro_Type.tp_finalize = PyAsyncGen_Type.tp_finalize = finalize;
    }
}
