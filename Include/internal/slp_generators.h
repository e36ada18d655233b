/* The builtin generator types, taught about tasklets, and resumed by shims. */
#ifndef SLP_GENERATORS_H
#define SLP_GENERATORS_H

#include "slp_base.h"

/* Set our slots in the generator types, once per process, before there are tasklets. */
void slp_generators_init(void);

/* Link a suspended generator to `caller`, on the stack of which it is, with what it is sent (stolen). */
static inline _PyInterpreterFrame *
slp_resume_generator(PyThreadState *tstate, PyGenObject *gen, _PyInterpreterFrame *caller, PyObject *sent)
{
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)gen->gi_iframe;
    _PyFrame_StackPush(frame, sent);
    gen->gi_frame_state = FRAME_EXECUTING;
    gen->gi_exc_state.previous_item = tstate->exc_info;
    tstate->exc_info = &gen->gi_exc_state;
    frame->previous = caller;
    frame->is_entry = false;
    return frame;
}

/* The same, for the exception that is set to be raised in it. */
_PyInterpreterFrame *slp_throw_into(PyThreadState *tstate, PyGenObject *gen, _PyInterpreterFrame *caller);

/* "generator", "coroutine" or "async generator". */
const char *slp_generator_kind(PyObject *generator);

#endif
