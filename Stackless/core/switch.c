/* Switching tasklets: may it be done here, and the rare halves of the exchange (slp_exchange.h).
 *
 * Budget: 25 ns a switch as Python sees it, the call included (Tools/bench, "switch").
 */
#include "slp_exchange.h"
#include "slp_scheduler.h"
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
    [REFUSED_NOT_OFFERED] = "cannot switch tasklets here: the switching function was called by C code, whose "
                            "frames would have to stay alive (call it from Python code)",
    [REFUSED_NESTED] = "cannot switch tasklets here: the current tasklet runs inside C code that called "
                       "back into Python, and the C frames would have to stay alive",
    [REFUSED_UNDER_WAY] = "cannot switch tasklets here: a switch is already under way",
};

static int
refuse(refusal why)
{
    PyErr_SetString(PyExc_RuntimeError, refusal_text[why]);
    return -1;
}

int
slp_check_switch_slow(slp_thread *th, bool soft)
{
    PyThreadState *tstate = th->tstate;
    PyTaskletObject *current = th->current;
    if (!soft) {
        return refuse(REFUSED_NOT_OFFERED);
    }
    if (!current->flags.is_main && tstate->cframe != th->home) {
        return refuse(REFUSED_NESTED);
    }
    if (th->next != NULL) {
        return refuse(REFUSED_UNDER_WAY);
    }
    /* A thread that has only run a generator of another one so far has no frame stack yet. */
    if (tstate->datastack_chunk == NULL && slp_frame_alloc_slow(tstate, 0) == NULL) {
        return -1;
    }
    if (slp_is_traced(tstate) && current->trace == NULL) {
        current->trace = PyMem_Calloc(1, sizeof(slp_trace_state));
        if (current->trace == NULL) {
            PyErr_NoMemory();
            return -1;
        }
    }
    return 0;
}

void
slp_save_trace(PyThreadState *tstate, PyTaskletObject *t)
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

void
slp_load_trace(PyThreadState *tstate, PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    tstate->c_tracefunc = trace->tracefunc;
    tstate->c_profilefunc = trace->profilefunc;
    tstate->c_traceobj = trace->traceobj;
    tstate->c_profileobj = trace->profileobj;
    tstate->tracing = trace->tracing;
    trace->traceobj = trace->profileobj = NULL;
    slp_tasklet_drop_trace(t);
    tstate->cframe->use_tracing = slp_is_traced(tstate) && tstate->tracing == 0 ? 255 : 0;
}

/* What a switch drops may have destructors, which run in the tasklet entered and may schedule, send
 * and receive there.  What waits in its tempval is kept out of their reach meanwhile. */
static PyObject *
hide_tempval(PyTaskletObject *t)
{
    PyObject *value = t->tempval;
    t->tempval = Py_NewRef(Py_None);
    return value;
}

static void
restore_tempval(PyTaskletObject *t, PyObject *value)
{
    slp_settle(t);
    slp_set_tempval(t, value);
}

void
slp_drop_left(PyTaskletObject *left, PyTaskletObject *entered)
{
    PyObject *value = hide_tempval(entered);
    Py_DECREF(left);
    restore_tempval(entered, value);
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
    _PyInterpreterFrame *entered = slp_load_state(tstate, next);
    tstate->context_ver++;

    PyObject *value = hide_tempval(next);
    slp_frame_clear(shim);
    slp_chunks_free_heap(chunk);
    Py_CLEAR(ended->exc_state.exc_value);
    Py_XDECREF(context);
    Py_XDECREF(dropped.traceobj);
    Py_XDECREF(dropped.profileobj);
    slp_tasklet_check(next);
    Py_DECREF(ended);
    restore_tempval(next, value);
    slp_torture_switch();
    return entered;
}
