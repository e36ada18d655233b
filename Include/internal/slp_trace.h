/* Tracing and profiling: what sys.settrace, sys.setprofile and their C twins see.
 *
 * The loop calls these only while tracing is on (cframe.use_tracing) and checks the conditions
 * that differ between trace and profile functions in here.  All may run arbitrary Python code:
 * the loop stores the frame's stack pointer before and reloads prev_instr and the stack pointer
 * after slp_trace_instruction().
 */
#ifndef SLP_TRACE_H
#define SLP_TRACE_H

#include "slp_base.h"

/* The `call` event of a frame that is entered or resumed, also by throw().  -1 with an exception. */
int slp_trace_call(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* The `return` event of a frame that returns or yields `value`.  -1 with an exception (the caller
 * then drops `value`). */
int slp_trace_return(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *value);

/* The `return` event of a frame that an exception leaves; the exception stays set (or is replaced
 * by the one that the trace function raised). */
void slp_trace_unwind(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* The `exception` event; the exception stays set, or is replaced by the trace function's. */
void slp_trace_exception(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* A generator that the loop resumed has returned `value`: show the `exception` event of the
 * StopIteration that carries it, which C callers would have seen.  -1 with the trace function's
 * exception. */
int slp_trace_stop_iteration(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *value);

/* Before the instruction at frame->prev_instr (already set to it) runs: `line` and `opcode`
 * events.  `instr_prev` is the code unit index that the frame's prev_instr had before.
 * The trace function may jump: prev_instr and
 * stacktop may have changed on return.  -1 with an exception. */
int slp_trace_instruction(PyThreadState *tstate, _PyInterpreterFrame *frame, int instr_prev);

/* Call a callable with c_call, c_return and c_exception events when it is a C function or a method
 * descriptor; a plain vectorcall for anything else. */
PyObject *slp_traced_vectorcall(PyThreadState *tstate, PyObject *callable, PyObject *const *args,
                                size_t nargsf, PyObject *kwnames);
/* The same for f(*args, **kwargs). */
PyObject *slp_traced_call(PyThreadState *tstate, PyObject *callable, PyObject *args, PyObject *kwargs);

#endif
