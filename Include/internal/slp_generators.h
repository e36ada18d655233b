/* The builtin generator types, taught about tasklets, and resumed by shims. */
#ifndef SLP_GENERATORS_H
#define SLP_GENERATORS_H

#include "slp_base.h"

/* Set our slots in the generator types, once per process. */
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

/* --- what makes their methods soft (Python/soft_generators.c) --- */

/* The base counts a call of a method as a level of recursion: near the limit it shall do so. */
bool slp_leaves_room(PyThreadState *tstate);

/* A <next> shim that waits at its SLP_STEP for the next value of `iterator`; `instead` (or NULL) is the
 * default.  NULL with MemoryError. */
_PyInterpreterFrame *slp_push_next(PyThreadState *tstate, _PyInterpreterFrame *caller, PyObject *iterator,
                                   PyObject *instead);

/* The answers of soft functions (slp_soft.h) for gen.throw(*args) and gen.close(). */
PyObject *slp_soft_throw(PyThreadState *tstate, _PyInterpreterFrame *below, PyGenObject *gen,
                         PyObject *const *args, Py_ssize_t nargs, _PyInterpreterFrame **top);
PyObject *slp_soft_close(PyThreadState *tstate, _PyInterpreterFrame *below, PyGenObject *gen,
                         _PyInterpreterFrame **top);

/* The answer of a soft function that has pushed `shim`, which waits for a suspended generator, for throwing
 * into it.  *top becomes the frame in which to go on, or, with an exception set, to raise it.  `closes`: a
 * GeneratorExit closes what the generator delegates to.  The shim goes where the base has to do it. */
PyObject *slp_throw_from_shim(PyThreadState *tstate, _PyInterpreterFrame *shim, PyGenObject *gen,
                              PyObject *const *args, Py_ssize_t nargs, bool closes,
                              _PyInterpreterFrame **top);

/* Link `gen`, which waits for what it delegates to, as its SEND would. */
_PyInterpreterFrame *slp_link_waiting(PyThreadState *tstate, PyGenObject *gen, _PyInterpreterFrame *caller);

/* The exception that throw(*args) names, set as the one being raised; -1 when the base has to complain, and
 * nothing is set. */
int slp_set_thrown(PyThreadState *tstate, PyObject *const *args, Py_ssize_t nargs);

/* Can the exception that is set be raised in `gen`, which was suspended before the code of the exception's
 * class ran?  Else it is what comes of the throw(), or, as in the base, another one in its place. */
bool slp_takes_thrown(PyThreadState *tstate, PyGenObject *gen);

/* A value is yielded to `caller`: suspend the generators there that wait for a throw() and pass it on,
 * without events; who gets it.  *link points to the exception state of the first one. */
_PyInterpreterFrame *slp_yield_through(PyThreadState *tstate, _PyErr_StackItem **link,
                                       _PyInterpreterFrame *caller);

/* Does nobody run it, though a shim may have marked it as executing meanwhile?  What comes out of an image
 * may be otherwise. */
static inline bool
slp_is_parked(const PyGenObject *gen)
{
    return gen->gi_frame_state < FRAME_EXECUTING
           || (gen->gi_frame_state == FRAME_EXECUTING
               && ((const _PyInterpreterFrame *)gen->gi_iframe)->previous == NULL);
}

/* Where a suspended generator stands in a `yield from` or an `await`: what it delegates to (borrowed).  Else
 * NULL. */
PyObject *slp_delegate_of(PyGenObject *gen);

/* Is it parked in a `yield from` or an `await`? */
bool slp_is_delegating(PyGenObject *gen);

/* "generator", "coroutine" or "async generator". */
const char *slp_generator_kind(PyObject *generator);

#endif
