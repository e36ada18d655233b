/* Tracing and profiling: what sys.settrace, sys.setprofile and their C twins see.
 *
 * Terms
 *   tracer      tstate->c_tracefunc: gets call, line, opcode, exception and return
 *   profiler    tstate->c_profilefunc: gets call, return, c_call, c_return and c_exception
 *   visible     a frame past its first RESUME, or a generator's; the others (a frame that is still
 *               making its cells, a shim) have no events
 *
 * Rules
 *   1. While a tracer or profiler runs (tstate->tracing > 0) no event happens in its thread.
 *   2. The tracer comes before the profiler; when it fails the profiler is not asked.
 *   3. During an event frame.f_lineno is the line of the instruction at prev_instr, fixed in the frame
 *      object, so that a tracer which looks at it twice sees the same.
 *   4. An event that happens with an exception set leaves it set, unless the tracer raises another.
 *   5. A `line` event stands before an instruction that has a line, when
 *        a. it is the first one traced since the frame's first RESUME, or
 *        b. the instruction before it in time belongs to another line (or none), or
 *        c. control came to it from further down: each round of a loop on one line is an event.
 *           SEND is exempt: it is the target of the waiting loop inside `yield from` and `await`.
 *   6. An `opcode` event stands before every instruction, after its `line` event.
 */
#include "slp_base.h"
#include "slp_switch.h"
#include "slp_thread.h"
#include "slp_trace.h"

/* --- one event --- */

/* Report `what` about `frame` (visible) to `func`.  -1 with an exception. */
static int
report(PyThreadState *tstate, Py_tracefunc func, PyObject *obj, _PyInterpreterFrame *frame, int what,
       PyObject *arg)
{
    if (tstate->tracing > 0) {
        return 0;
    }
    /* The function may unset itself, and what the collector runs may do so: the base drops its reference. */
    Py_XINCREF(obj);
    PyFrameObject *frame_obj = _PyFrame_GetFrameObject(frame);
    if (frame_obj == NULL || _PyCode_InitLineArray(frame->f_code) < 0) {
        Py_XDECREF(obj);
        return -1;
    }
    int outer_what = tstate->tracing_what;
    PyThreadState_EnterTracing(tstate);
    tstate->tracing_what = what;
    frame_obj->f_lineno = _PyCode_LineNumberFromArray(frame->f_code, _PyInterpreterFrame_LASTI(frame));
    int status = func(obj, frame_obj, what, arg);
    frame_obj->f_lineno = 0;
    tstate->tracing_what = outer_what;
    PyThreadState_LeaveTracing(tstate);
    Py_XDECREF(obj);
    return status == 0 ? 0 : -1;
}

static int
report_to_tracer(PyThreadState *tstate, _PyInterpreterFrame *frame, int what, PyObject *arg)
{
    if (tstate->c_tracefunc == NULL) {
        return 0;
    }
    return report(tstate, tstate->c_tracefunc, tstate->c_traceobj, frame, what, arg);
}

static int
report_to_profiler(PyThreadState *tstate, _PyInterpreterFrame *frame, int what, PyObject *arg)
{
    if (tstate->c_profilefunc == NULL) {
        return 0;
    }
    return report(tstate, tstate->c_profilefunc, tstate->c_profileobj, frame, what, arg);
}

/* The end of an event: put back the exception that was set aside, or drop it where the event failed
 * with one of its own.  Answers `status`. */
static int
restore_unless_failed(PyThreadState *tstate, int status, PyObject *type, PyObject *value, PyObject *traceback)
{
    if (status == 0) {
        _PyErr_Restore(tstate, type, value, traceback);
        return 0;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return status;
}

/* An event for tracer and profiler, with or without an exception set (rule 4). */
static int
report_to_both(PyThreadState *tstate, _PyInterpreterFrame *frame, int what, PyObject *arg)
{
    if ((tstate->c_tracefunc == NULL && tstate->c_profilefunc == NULL) || tstate->tracing > 0
        || _PyFrame_IsIncomplete(frame)) {
        return 0;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    int status = report_to_tracer(tstate, frame, what, arg);
    if (status == 0) {
        status = report_to_profiler(tstate, frame, what, arg);
    }
    return restore_unless_failed(tstate, status, type, value, traceback);
}

/* --- frames --- */

int
slp_trace_call(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    return report_to_both(tstate, frame, PyTrace_CALL, Py_None);
}

int
slp_trace_return(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *value)
{
    return report_to_both(tstate, frame, PyTrace_RETURN, value);
}

void
slp_trace_unwind(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    /* Failure has put its own exception in the place of the old one, and the frame ends anyway. */
    (void)report_to_both(tstate, frame, PyTrace_RETURN, NULL);
}

/* The exception as a tracer wants it: (type, value, traceback), nothing of it NULL. */
static PyObject *
exception_argument(PyObject *type, PyObject *value, PyObject *traceback)
{
    return PyTuple_Pack(3, type, value == NULL ? Py_None : value, traceback == NULL ? Py_None : traceback);
}

/* The `exception` event for the exception that is set.  -1 when the tracer's own has replaced it. */
static int
report_exception(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    if (tstate->c_tracefunc == NULL || tstate->tracing > 0 || _PyFrame_IsIncomplete(frame)) {
        return 0;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    _PyErr_NormalizeException(tstate, &type, &value, &traceback);
    PyObject *argument = exception_argument(type, value, traceback);
    int status = 0;
    if (argument == NULL) {
        /* No memory for an event: the program goes on without it. */
        _PyErr_Clear(tstate);
    }
    else {
        status = report_to_tracer(tstate, frame, PyTrace_EXCEPTION, argument);
        Py_DECREF(argument);
    }
    return restore_unless_failed(tstate, status, type, value, traceback);
}

void
slp_trace_exception(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    (void)report_exception(tstate, frame);
}

int
slp_trace_stop_iteration(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *value)
{
    if (_PyGen_SetStopIterationValue(value) < 0 || report_exception(tstate, frame) < 0) {
        return -1;
    }
    _PyErr_Clear(tstate);
    return 0;
}

/* --- lines and instructions --- */

/* Rule 5, for an instruction at `index` on `line` that ran after the one at `before`. */
static bool
starts_line(PyCodeObject *code, int before, int index, int line)
{
    if (before <= code->_co_firsttraceable) {
        return true;
    }
    if (_PyCode_LineNumberFromArray(code, before) != line) {
        return true;
    }
    return index < before && _Py_OPCODE(_PyCode_CODE(code)[index]) != SEND;
}

int
slp_trace_instruction(PyThreadState *tstate, _PyInterpreterFrame *frame, int instr_prev)
{
    if (tstate->c_tracefunc == NULL || tstate->tracing > 0 || _PyFrame_IsIncomplete(frame)) {
        return 0;
    }
    PyCodeObject *code = frame->f_code;
    PyFrameObject *frame_obj = _PyFrame_GetFrameObject(frame);
    if (frame_obj == NULL || _PyCode_InitLineArray(code) < 0) {
        return -1;
    }
    if (frame_obj->f_trace_lines) {
        int index = _PyInterpreterFrame_LASTI(frame);
        int line = _PyCode_LineNumberFromArray(code, index);
        if (line != -1 && starts_line(code, instr_prev, index, line)
            && report_to_tracer(tstate, frame, PyTrace_LINE, Py_None) < 0) {
            return -1;
        }
    }
    if (frame_obj->f_trace_opcodes) {
        return report_to_tracer(tstate, frame, PyTrace_OPCODE, Py_None);
    }
    return 0;
}

/* --- C functions --- */

/* The arguments of a call, in one of two forms. */
struct c_call {
    PyObject *const *vector;    /* vectorcall's arguments: used when `tuple` is NULL */
    size_t nargsf;
    PyObject *tuple;            /* f(*args, **kwargs)'s arguments, or NULL */
    PyObject *keywords;         /* names (a tuple) after a vector, a dict after a tuple; may be NULL */
};

static PyObject *
make_call(PyObject *callable, const struct c_call *call)
{
    if (call->tuple == NULL) {
        return PyObject_Vectorcall(callable, call->vector, call->nargsf, call->keywords);
    }
    return PyObject_Call(callable, call->tuple, call->keywords);
}

/* The visible frame that is calling, or NULL. */
static _PyInterpreterFrame *
calling_frame(PyThreadState *tstate)
{
    _PyInterpreterFrame *frame = tstate->cframe->current_frame;
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame;
}

/* What the events of a call name: a C function itself; a method descriptor bound to `self`, since
 * profilers want the C function that runs; NULL for a call that is no business of a profiler's. */
static PyObject *
reported_callable(PyThreadState *tstate, PyObject *callable, PyObject *self)
{
    if (tstate->c_profilefunc == NULL || tstate->tracing > 0) {
        return NULL;
    }
    if (PyCFunction_CheckExact(callable) || PyCMethod_CheckExact(callable)) {
        return Py_NewRef(callable);
    }
    if (!Py_IS_TYPE(callable, &PyMethodDescr_Type) || self == NULL) {
        return NULL;
    }
    PyObject *bound = Py_TYPE(callable)->tp_descr_get(callable, self, (PyObject *)Py_TYPE(self));
    if (bound == NULL) {
        /* The wrong type of self: the call itself says so best. */
        _PyErr_Clear(tstate);
    }
    return bound;
}

static int
report_c_event(PyThreadState *tstate, int what, PyObject *target)
{
    _PyInterpreterFrame *frame = calling_frame(tstate);
    return frame == NULL ? 0 : report_to_profiler(tstate, frame, what, target);
}

/* c_return of a function that asked for a switch.  The switch is decided and cannot be taken back (what
 * the profiler calls finds it under way and is refused one of its own), so what the profiler
 * raises goes to sys.unraisablehook. */
static void
report_switch(PyThreadState *tstate, PyObject *target)
{
    if (report_c_event(tstate, PyTrace_C_RETURN, target) < 0) {
        PyErr_WriteUnraisable(target);
    }
}

/* c_return or c_exception for the `result` (stolen) of a call.  The result to go on with. */
static PyObject *
report_c_result(PyThreadState *tstate, PyObject *target, PyObject *result)
{
    if (result == SLP_UNWIND) {
        report_switch(tstate, target);
        return result;
    }
    if (result != NULL) {
        if (report_c_event(tstate, PyTrace_C_RETURN, target) < 0) {
            Py_CLEAR(result);
        }
        return result;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    int status = report_c_event(tstate, PyTrace_C_EXCEPTION, target);
    (void)restore_unless_failed(tstate, status, type, value, traceback);
    return NULL;
}

/* Make the call, with its events.  The offer to switch stands only during the call itself, so that
 * nothing which the profiler calls can take it. */
static PyObject *
call_with_events(PyThreadState *tstate, PyObject *callable, PyObject *self, struct c_call *call)
{
    slp_thread *offering = NULL;
    if (slp_may_unwind(callable)) {
        offering = slp_thread_get(tstate);
        if (offering == NULL) {
            return NULL;
        }
    }
    PyObject *target = reported_callable(tstate, callable, self);
    PyObject *result = NULL;
    if (target == NULL || report_c_event(tstate, PyTrace_C_CALL, target) == 0) {
        if (offering != NULL) {
            offering->soft_offered = true;
        }
        result = make_call(callable, call);
        if (offering != NULL) {
            offering->soft_offered = false;
        }
        if (target != NULL) {
            result = report_c_result(tstate, target, result);
        }
    }
    Py_XDECREF(target);
    return result;
}

PyObject *
slp_traced_vectorcall(PyThreadState *tstate, PyObject *callable, PyObject *const *args, size_t nargsf,
                      PyObject *kwnames)
{
    struct c_call call = {.vector = args, .nargsf = nargsf, .keywords = kwnames};
    PyObject *self = PyVectorcall_NARGS(nargsf) > 0 ? args[0] : NULL;
    return call_with_events(tstate, callable, self, &call);
}

PyObject *
slp_traced_call(PyThreadState *tstate, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    struct c_call call = {.tuple = args, .keywords = kwargs};
    PyObject *self = PyTuple_GET_SIZE(args) > 0 ? PyTuple_GET_ITEM(args, 0) : NULL;
    return call_with_events(tstate, callable, self, &call);
}
