/* The exchange of two tasklets' states, inlined into the loop.
 *
 * A tasklet's state is what the thread state holds on its behalf while it runs:
 *
 *   thread state                         tasklet                 why
 *   cframe->current_frame                frame                   where it goes on
 *   datastack_chunk, _top, _limit        chunk, stack_top        its frames' memory
 *   exc_info                             exc_info                exceptions being handled
 *   context                              context                 context variables
 *   recursion_remaining                  recursion_depth         each has the full limit
 *   c_tracefunc, ..., tracing            trace                   traced one by one
 *   trash_delete_nesting                 (thread's, main only)   main may leave from inside a destructor
 *
 * slp_save_state(), slp_load_state() and slp_switch_frames() are the only places that know the list;
 * test_state.py has a test for each row.  A soft switch happens between two instructions, with no
 * exception set and, but for main, no C frame of the tasklet alive: what else C code keeps in the
 * thread state while it runs (recursion_headroom, curexc_*) has nothing to save.
 */
#ifndef SLP_EXCHANGE_H
#define SLP_EXCHANGE_H

#include "slp_bomb.h"
#include "slp_switch.h"

/* Move the trace and profile functions out of the thread state, or back in. */
void slp_save_trace(PyThreadState *tstate, PyTaskletObject *t);
void slp_load_trace(PyThreadState *tstate, PyTaskletObject *t);

/* Drop the last reference to a tasklet that was just left for `entered`. */
SLP_COLD void slp_drop_left(PyTaskletObject *left, PyTaskletObject *entered);

static inline void
slp_save_state(PyThreadState *tstate, PyTaskletObject *t, _PyInterpreterFrame *frame)
{
    t->frame = frame;
    t->chunk = tstate->datastack_chunk;
    t->stack_top = tstate->datastack_top;
    t->exc_info = tstate->exc_info;
    t->context = tstate->context;
    t->recursion_depth = tstate->recursion_limit - tstate->recursion_remaining;
    if (SLP_UNLIKELY(t->trace != NULL)) {
        slp_save_trace(tstate, t);   /* slp_check_switch() has made room because it is traced */
    }
}

static inline _PyInterpreterFrame *
slp_load_state(PyThreadState *tstate, PyTaskletObject *t)
{
    _PyInterpreterFrame *frame = t->frame;
    _PyCFrame *cframe = tstate->cframe;
    t->frame = NULL;
    tstate->datastack_chunk = t->chunk;
    tstate->datastack_top = t->stack_top;
    tstate->datastack_limit = slp_chunk_limit(t->chunk);
    t->chunk = NULL;
    t->stack_top = NULL;
    tstate->exc_info = t->exc_info;
    if (tstate->context != t->context) {
        tstate->context = t->context;
        tstate->context_ver++;
    }
    t->context = NULL;
    tstate->recursion_remaining = tstate->recursion_limit - t->recursion_depth;
    if (SLP_UNLIKELY(t->flags.is_main)) {
        tstate->trash_delete_nesting = t->thread->main_trash_nesting;
    }
    cframe->use_tracing = 0;
    if (SLP_UNLIKELY(t->trace != NULL)) {
        slp_load_trace(tstate, t);
    }
    cframe->current_frame = frame;
    return frame;
}

/* --with-torture=gc-at-switch: the collector looks at every suspended tasklet, every time. */
static inline void
slp_torture_switch(void)
{
#if SLP_TORTURE_GC_AT_SWITCH
    PyGC_Collect();
#endif
}

/* Save the state of the current tasklet, whose top frame is `frame` (stack pointer and prev_instr
 * stored), and load th->next's: afterwards it is current and tstate->cframe->current_frame is its
 * top frame, which is returned. */
static inline _PyInterpreterFrame *
slp_switch_frames(PyThreadState *tstate, slp_thread *th, _PyInterpreterFrame *frame)
{
    PyTaskletObject *left = th->current;
    PyTaskletObject *next = th->next;
    assert(!_PyErr_Occurred(tstate));
    if (left->flags.is_main) {
        th->home = tstate->cframe;
        th->main_trash_nesting = tstate->trash_delete_nesting;
        tstate->trash_delete_nesting = 0;
    }
    slp_save_state(tstate, left, frame);
    th->current = next;
    th->next = NULL;
    _PyInterpreterFrame *entered = slp_load_state(tstate, next);
    slp_tasklet_check(left);
    slp_tasklet_check(next);
    if (SLP_UNLIKELY(Py_REFCNT(left) == 1)) {
        slp_drop_left(left, next);
    }
    else {
        Py_DECREF(left);
    }
    slp_torture_switch();
    return entered;
}

/* Take the current tasklet's tempval: a new reference, or NULL with the bomb's exception set. */
static inline PyObject *
slp_take_tempval(PyThreadState *tstate, PyTaskletObject *t)
{
    PyObject *value = t->tempval;
    t->tempval = Py_NewRef(Py_None);
    if (SLP_UNLIKELY(value == SLP_SELF)) {
        Py_DECREF(value);
        return Py_NewRef(t);
    }
    if (SLP_LIKELY(!slp_bomb_check(value))) {
        return value;
    }
    slp_bomb_explode(tstate, value);
    Py_DECREF(value);
    return NULL;
}

#endif
