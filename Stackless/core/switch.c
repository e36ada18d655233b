/* Switching tasklets: may it be done here, and the exchange of their states.
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
 * save_state() and load_state() are the only places that know the list; test_state.py has a test for
 * each row.  A soft switch happens between two instructions, with no C frame of the tasklet alive
 * and no exception set: what C code keeps in the thread state while it runs (trash_delete_nesting,
 * recursion_headroom, curexc_*) has nothing to save.
 *
 * Budget: 25 ns a switch as Python sees it, the call included (Tools/bench, "switch").
 */
#include "slp_switch.h"

#include "slp_bomb.h"
#include "slp_shims.h"

PyObject slp_unwind_token = {
    .ob_refcnt = 1,
    .ob_type = &PyBaseObject_Type,
};

/* Why a switch is refused; the words are those of the exception and of the documentation. */
typedef enum {
    REFUSED_NOT_OFFERED,
    REFUSED_NESTED,
    REFUSED_UNDER_WAY,
} refusal;

static const char *const refusal_text[] = {
    [REFUSED_NOT_OFFERED] = "cannot switch tasklets here: the switching function was called by C code, whose frames "
                            "would have to stay alive (call it from Python code)",
    [REFUSED_NESTED] = "cannot switch tasklets here: the current tasklet runs inside C code that called back into "
                       "Python, and the C frames would have to stay alive",
    [REFUSED_UNDER_WAY] = "cannot switch tasklets here: a switch is already under way",
};

static int
refuse(refusal why)
{
    PyErr_SetString(PyExc_RuntimeError, refusal_text[why]);
    return -1;
}

static bool
is_traced(const PyThreadState *tstate)
{
    return tstate->c_tracefunc != NULL || tstate->c_profilefunc != NULL || tstate->tracing != 0;
}

int
slp_check_switch(slp_thread *th, bool soft)
{
    PyThreadState *tstate = th->tstate;
    PyTaskletObject *current = th->current;
    if (!soft) {
        return refuse(REFUSED_NOT_OFFERED);
    }
    /* Main may leave any activation: it comes back to it, since the others run on top. */
    if (!current->flags.is_main && tstate->cframe != th->home) {
        return refuse(REFUSED_NESTED);
    }
    if (th->next != NULL) {
        return refuse(REFUSED_UNDER_WAY);
    }
    if (SLP_UNLIKELY(is_traced(tstate)) && current->trace == NULL) {
        current->trace = PyMem_Calloc(1, sizeof(slp_trace_state));
        if (current->trace == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

PyObject *
slp_switch(slp_thread *th, PyTaskletObject *next)
{
    assert(th->next == NULL && next != th->current && next->frame != NULL);
    th->next = (PyTaskletObject *)Py_NewRef(next);
    return SLP_UNWIND;
}

/* Move the trace and profile functions out of the thread state. */
static void
save_trace(PyThreadState *tstate, PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    assert(trace != NULL);
    trace->tracefunc = tstate->c_tracefunc;
    trace->profilefunc = tstate->c_profilefunc;
    trace->traceobj = tstate->c_traceobj;
    trace->profileobj = tstate->c_profileobj;
    trace->tracing = tstate->tracing;
    tstate->c_tracefunc = tstate->c_profilefunc = NULL;
    tstate->c_traceobj = tstate->c_profileobj = NULL;
    tstate->tracing = 0;
}

/* Move them back in. */
static void
load_trace(PyThreadState *tstate, PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    tstate->c_tracefunc = trace->tracefunc;
    tstate->c_profilefunc = trace->profilefunc;
    tstate->c_traceobj = trace->traceobj;
    tstate->c_profileobj = trace->profileobj;
    tstate->tracing = trace->tracing;
    trace->traceobj = trace->profileobj = NULL;
    slp_tasklet_drop_trace(t);
}

static inline void
save_state(PyThreadState *tstate, PyTaskletObject *t, _PyInterpreterFrame *frame)
{
    t->frame = frame;
    t->chunk = tstate->datastack_chunk;
    t->stack_top = tstate->datastack_top;
    t->exc_info = tstate->exc_info;
    t->context = tstate->context;
    t->recursion_depth = tstate->recursion_limit - tstate->recursion_remaining;
    if (SLP_UNLIKELY(is_traced(tstate))) {
        save_trace(tstate, t);
    }
}

static inline _PyInterpreterFrame *
load_state(PyThreadState *tstate, PyTaskletObject *t)
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
    if (SLP_UNLIKELY(t->trace != NULL)) {
        load_trace(tstate, t);
    }
    cframe->use_tracing = is_traced(tstate) && tstate->tracing == 0 ? 255 : 0;
    cframe->current_frame = frame;
    return frame;
}

/* --with-torture=gc-at-switch: the collector looks at every suspended tasklet, every time. */
static inline void
torture(void)
{
#if SLP_TORTURE_GC_AT_SWITCH
    PyGC_Collect();
#endif
}

_PyInterpreterFrame *
slp_switch_frames(PyThreadState *tstate, slp_thread *th, _PyInterpreterFrame *frame)
{
    PyTaskletObject *left = th->current;
    PyTaskletObject *next = th->next;
    assert(!_PyErr_Occurred(tstate));
    if (left->flags.is_main) {
        th->home = tstate->cframe;
    }
    save_state(tstate, left, frame);
    th->current = next;
    th->next = NULL;
    _PyInterpreterFrame *entered = load_state(tstate, next);
    slp_tasklet_check(left);
    slp_tasklet_check(next);
    Py_DECREF(left);
    torture();
    return entered;
}

_PyInterpreterFrame *
slp_switch_from_ended(PyThreadState *tstate, slp_thread *th, PyObject *result)
{
    PyTaskletObject *ended = th->current;
    _PyInterpreterFrame *shim = tstate->cframe->current_frame;
    assert(slp_is_shim(shim) && shim->previous == NULL);
    bool failed = result == NULL;
    Py_XDECREF(result);
    PyTaskletObject *next = (PyTaskletObject *)Py_NewRef(slp_scheduler_ended(th, failed));

    _PyStackChunk *chunk = tstate->datastack_chunk;
    PyObject *context = tstate->context;
    assert(chunk->previous == NULL);
    slp_trace_state dropped = {
        .traceobj = tstate->c_traceobj,
        .profileobj = tstate->c_profileobj,
    };
    tstate->c_tracefunc = tstate->c_profilefunc = NULL;
    tstate->c_traceobj = tstate->c_profileobj = NULL;
    tstate->tracing = 0;
    tstate->context = NULL;
    th->current = next;
    _PyInterpreterFrame *entered = load_state(tstate, next);
    tstate->context_ver++;

    /* Whatever destructors run now, run in the next tasklet. */
    slp_frame_clear(shim);
    slp_chunks_free_heap(chunk);
    Py_CLEAR(ended->exc_state.exc_value);
    Py_XDECREF(context);
    Py_XDECREF(dropped.traceobj);
    Py_XDECREF(dropped.profileobj);
    slp_tasklet_check(next);
    Py_DECREF(ended);
    torture();
    return entered;
}

PyObject *
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
