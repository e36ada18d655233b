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
 *
 * and for one that leaves C frames behind, on its carrier:
 *
 *   cframe                               carrier->cframe         the activation that goes on
 *   datastack_top                        carrier->stack_top      (`carrier` takes the place of stack_top)
 *   trash_delete_nesting                 carrier->trash_nesting  it may be inside a destructor
 *   curexc_*                             a C frame of switch.c   so may an exception be set
 *
 * slp_save_state(), slp_load_state() and the functions that call them are the only places that know
 * the list; test_state.py has a test for each row.  What else C code keeps in the thread state
 * while it runs (recursion_headroom) has nothing to save.
 */
#ifndef SLP_EXCHANGE_H
#define SLP_EXCHANGE_H

#include "slp_bomb.h"
#include "slp_switch.h"

/* Move the trace and profile functions out of the thread state, or back in. */
void slp_save_trace(PyThreadState *tstate, PyTaskletObject *t);
void slp_load_trace(PyThreadState *tstate, PyTaskletObject *t);

/* Drop what th->left holds.  Runs any code, as the current tasklet. */
SLP_COLD void slp_drop_left(slp_thread *th);

/* Somebody wants to see that the current tasklet's place is taken by `entered`. */
SLP_COLD void slp_watched_arrival(PyThreadState *tstate, slp_thread *th, PyTaskletObject *entered);

/* Everything but the top of the frame stack. */
static inline void
slp_save_state(PyThreadState *tstate, PyTaskletObject *t, _PyInterpreterFrame *frame)
{
    t->frame = frame;
    t->chunk = tstate->datastack_chunk;
    t->exc_info = tstate->exc_info;
    t->context = tstate->context;
    t->recursion_depth = tstate->recursion_limit - tstate->recursion_remaining;
    if (SLP_UNLIKELY(t->trace != NULL)) {
        slp_save_trace(tstate, t);   /* slp_check_switch() has made room because it is traced */
    }
}

static inline _PyInterpreterFrame *
slp_load_state(PyThreadState *tstate, slp_thread *th, PyTaskletObject *t, PyObject **stack_top)
{
    _PyInterpreterFrame *frame = t->frame;
    _PyCFrame *cframe = tstate->cframe;
    t->frame = NULL;
    tstate->datastack_chunk = t->chunk;
    tstate->datastack_top = stack_top;
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
    if (SLP_UNLIKELY(tstate->recursion_remaining < 0)) {
        /* The limit was lowered meanwhile.  The next call raises RecursionError; far below 0, the base would
         * take that for a failure to recover from one, and abort. */
        tstate->recursion_remaining = 0;
    }
    cframe->use_tracing = 0;
    if (SLP_UNLIKELY(t->trace != NULL)) {
        slp_load_trace(tstate, t);
    }
    if (SLP_UNLIKELY(th->watch != 0)) {
        slp_watched_arrival(tstate, th, t);
    }
    cframe->current_frame = frame;
    return frame;
}

/* What a switch does besides in torture builds (Stackless/core/torture.c): to the tasklet that was left,
 * and when the next one is entered, which may run any code. */
#if SLP_TORTURE_MOVE_FRAMES || SLP_TORTURE_PICKLE
void slp_torture_left(PyTaskletObject *t);
#else
#  define slp_torture_left(t) ((void)0)
#endif
#if SLP_TORTURE_GC_AT_SWITCH || SLP_TORTURE_PICKLE
void slp_torture_entered(void);
#else
#  define slp_torture_entered() ((void)0)
#endif

/* A switch from one soft tasklet to another: both run in this activation.  Save the state of the current
 * tasklet, whose top frame is `frame` (stack pointer and prev_instr stored), and load th->next's:
 * afterwards it is current and tstate->cframe->current_frame is its top frame, which is returned. */
static inline _PyInterpreterFrame *
slp_switch_frames(PyThreadState *tstate, slp_thread *th, _PyInterpreterFrame *frame)
{
    PyTaskletObject *left = th->current;
    PyTaskletObject *next = th->next;
    assert(!_PyErr_Occurred(tstate) && tstate->cframe == th->home && !next->flags.pinned);
    slp_save_state(tstate, left, frame);
    left->stack_top = tstate->datastack_top;
    th->current = next;
    th->next = NULL;
    _PyInterpreterFrame *entered = slp_load_state(tstate, th, next, next->stack_top);
    slp_tasklet_check(left);
    slp_tasklet_check(next);
    slp_torture_left(left);
    if (SLP_UNLIKELY(Py_REFCNT(left) == 1)) {
        th->left.tasklet = left;
        slp_drop_left(th);
    }
    else {
        Py_DECREF(left);
    }
    slp_torture_entered();
    return entered;
}

/* Any other switch from a tasklet that goes on living, by the loop (`soft`) or by a C function.  Comes
 * back when this carrier is switched to: then th->current is the tasklet that it runs, with
 * tstate->cframe->current_frame as its top frame. */
void slp_switch_carriers(PyThreadState *tstate, slp_thread *th, _PyInterpreterFrame *frame, bool soft);

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
