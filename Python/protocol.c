/* The stackless protocol: calls of C functions of extensions that may ask for something (slp_protocol.h). */
#include "slp_protocol.h"

#include "slp_carrier.h"
#include "slp_frame.h"
#include "slp_guest.h"
#include "slp_softcall.h"

static PyCodeObject *shim_function;
static PyCodeObject *shim_request;

/* Where <soft request> begins. */
enum { ENTRY_CALL = 0, ENTRY_CALL_WITH_KEYWORDS = 2, ENTRY_SWITCH = 4 };

/* Where <soft function> goes on with a result. */
#define ENTRY_RESULT 1

/* --- the token --- */

/* Extensions that count references of the token are wrong, and harmless. */
static void
token_dealloc(PyObject *token)
{
    Py_SET_REFCNT(token, 1);
}

static PyObject *
token_repr(PyObject *token)
{
    return PyUnicode_FromString("<Py_UnwindToken>");
}

static PyTypeObject token_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0).tp_name = "_stackless.unwind_token",
    .tp_doc = "What C functions return to say that something comes first.  Python code never sees it.",
    .tp_basicsize = sizeof(PyObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = token_dealloc,
    .tp_repr = token_repr,
};

/* --- offers --- */

/* An offer to one C function, and what comes of it. */
typedef struct {
    slp_request outer;     /* what a function has asked for inside of which this one is called */
    PyTaskletObject *next; /* borrowed; the switch that was decided before, or NULL */
    slp_request request;   /* what the function has asked for */
    bool switches;         /* it has decided a switch */
} offer;

static void
drop_request(slp_request *request)
{
    Py_XDECREF(request->state);
    Py_XDECREF(request->callable);
    Py_XDECREF(request->args);
    Py_XDECREF(request->kwargs);
    *request = (slp_request){0};
}

/* -1 with MemoryError. */
static int
begin_offer(slp_thread *th, offer *o)
{
    /* A switch that is decided has to be possible, whatever the function does then.  Inside of a guest call
     * there are none, and the idle carriers are withheld. */
    if (th->idle == NULL && !slp_guest_runs(th) && slp_carrier_reserve(th) < 0) {
        return -1;
    }
    *o = (offer){.outer = th->request, .next = th->next};
    th->request = (slp_request){0};
    th->offered_in = th->tstate->cframe;
    return 0;
}

/* Make the switch that is decided, with the C stack.  What the tasklet finds afterwards: a new reference, or
 * NULL with an exception. */
static PyObject *
make_switch(slp_thread *th)
{
    if (slp_carrier_reserve(th) < 0) {
        Py_FatalError("no memory for the C stack of a switch that is decided");
    }
    return slp_switch_in_c(th);
}

/* Drop what is asked for, and make a switch that is decided.  The exception that is set stays, or becomes the
 * context of one that the switch has brought. */
static void
abandon(slp_thread *th, offer *o)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    drop_request(&o->request);
    if (o->switches) {
        Py_XDECREF(make_switch(th));
    }
    _PyErr_ChainExceptions(type, value, traceback);
}

/* What is wrong with an answer, or NULL. */
static const char *
find_fault(const offer *o, PyObject *answer)
{
    bool calls = o->request.callable != NULL || o->request.state != NULL;
    if (calls && o->switches) {
        return "after it has asked for two things";
    }
    if (answer == SLP_UNWIND) {
        return !calls && !o->switches ? "Py_UnwindToken, but has not asked for anything"
               : PyErr_Occurred()     ? "Py_UnwindToken with an exception set"
                                      : NULL;
    }
    if (calls || o->switches) {
        return answer == NULL ? "NULL, although what it has asked for comes first"
                              : "a result, although what it has asked for comes first";
    }
    if (answer == NULL) {
        return PyErr_Occurred() ? NULL : "NULL without setting an exception";
    }
    return PyErr_Occurred() ? "a result with an exception set" : NULL;
}

/* The name of what has answered, for errors. */
static PyObject *
name_of(PyObject *callable)
{
    if (!Py_IS_TYPE(callable, &slp_soft_state_type)) {
        return _PyObject_FunctionStr(callable);
    }
    PyStacklessFunctionDeclarationObject *d = ((slp_soft_state *)callable)->declaration;
    return PyUnicode_FromFormat("%s.%s()", d->module_name, d->name);
}

/* Raise SystemError for the answer (stolen) of `callable`.  An exception that was set is its context.
 * NULL. */
SLP_COLD static PyObject *
refuse_answer(slp_thread *th, offer *o, PyObject *callable, const char *what, PyObject *answer)
{
    if (answer != SLP_UNWIND) {
        Py_XDECREF(answer);
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *name = name_of(callable);
    if (name != NULL) {
        PyErr_Format(PyExc_SystemError, "%U returned %s", name, what);
        Py_DECREF(name);
    }
    _PyErr_ChainExceptions(type, value, traceback);
    abandon(th, o);
    return NULL;
}

/* The answer of `callable` to the offer, checked: SLP_UNWIND only if there is one thing that it has asked
 * for. */
static PyObject *
end_offer(slp_thread *th, offer *o, PyObject *callable, PyObject *answer)
{
    o->request = th->request;
    o->switches = th->next != o->next;
    th->request = o->outer;
    th->offered_in = NULL;
    const char *fault = find_fault(o, answer);
    return SLP_LIKELY(fault == NULL) ? answer : refuse_answer(th, o, callable, fault, answer);
}

/* --- steps --- */

/* Run one step of a soft function with `retval`, borrowed, or NULL with an exception.  Its answer,
 * checked. */
static PyObject *
make_step(slp_thread *th, slp_soft_state *state, PyObject *retval, offer *o)
{
    if (state->declaration == NULL) {
        return Py_XNewRef(retval);
    }
    if (begin_offer(th, o) < 0) {
        return NULL;
    }
    PyObject *answer = state->declaration->sfunc(retval, &state->step, &state->objects[0], &state->objects[1],
                                                 &state->objects[2], &state->n, &state->any);
    return end_offer(th, o, (PyObject *)state, answer);
}

/* Do what is asked for here.  The result, or NULL with an exception. */
static PyObject *
do_request(slp_thread *th, offer *o)
{
    if (o->switches) {
        return make_switch(th);
    }
    slp_request request = o->request;
    PyObject *result = request.callable == NULL
                           ? slp_soft_run(th, request.state, request.args)
                           : PyObject_Call(request.callable, request.args, request.kwargs);
    drop_request(&request);
    return result;
}

PyObject *
slp_soft_run(slp_thread *th, slp_soft_state *state, PyObject *arg)
{
    if (_Py_EnterRecursiveCallTstate(th->tstate, " while calling a soft function")) {
        return NULL;
    }
    offer o;
    PyObject *retval = Py_NewRef(arg);
    PyObject *answer;
    while ((answer = make_step(th, state, retval, &o)) == SLP_UNWIND) {
        Py_XDECREF(retval);
        retval = do_request(th, &o);
    }
    Py_XDECREF(retval);
    _Py_LeaveRecursiveCallTstate(th->tstate);
    return answer;
}

/* Push the frame that does what is asked for on `frame`: `request` loses what it takes.  NULL with an
 * exception. */
static _PyInterpreterFrame *
push_request(PyThreadState *tstate, slp_request *request, _PyInterpreterFrame *frame)
{
    PyObject *callable = request->callable;
    if (callable == NULL) {
        return slp_shim_push(tstate, frame, shim_request, ENTRY_SWITCH, NULL, 0);
    }
    if (Py_IS_TYPE(callable, &PyFunction_Type)) {
        PyFunctionObject *func = (PyFunctionObject *)Py_NewRef(callable);
        PyObject *locals = slp_call_locals(func);
        _PyInterpreterFrame *callee =
            slp_frame_for_call_ex(tstate, func, locals, request->args, request->kwargs);
        if (callee != NULL) {
            callee->previous = frame;
            return callee;
        }
        /* Arguments that do not fit.  The shim finds that out again, and raises it above the soft
         * function. */
        PyErr_Clear();
    }
    PyObject *values[4] = {NULL, callable, request->args, request->kwargs};
    bool keywords = request->kwargs != NULL;
    request->callable = request->args = request->kwargs = NULL;
    return slp_shim_push(tstate, frame, shim_request, keywords ? ENTRY_CALL_WITH_KEYWORDS : ENTRY_CALL,
                         values, keywords ? 4 : 3);
}

/* Push all frames of a request on `below`.  The newest one, or NULL with an exception and nothing pushed. */
static _PyInterpreterFrame *
push_request_and_state(PyThreadState *tstate, slp_request *request, _PyInterpreterFrame *below)
{
    if (request->state == NULL) {
        return push_request(tstate, request, below);
    }
    PyObject *values[2] = {(PyObject *)request->state, request->args};
    request->state = NULL;
    if (request->callable == NULL) {
        request->args = NULL;
        return slp_shim_push(tstate, below, shim_function, ENTRY_RESULT, values, 2);
    }
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_function, ENTRY_RESULT, values, 1);
    if (shim == NULL) {
        return NULL;
    }
    _PyInterpreterFrame *top = push_request(tstate, request, shim);
    if (top == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
    }
    return top;
}

/* Have what is asked for done by frames on `below`.  A soft function's answer. */
static PyObject *
enter_request(PyThreadState *tstate, slp_thread *th, offer *o, _PyInterpreterFrame *below,
              _PyInterpreterFrame **top)
{
    *top = push_request_and_state(tstate, &o->request, below);
    drop_request(&o->request);
    if (*top == NULL) {
        abandon(th, o);
        return NULL;
    }
    return SLP_ENTER;
}

/* A step, with `retval` (may be NULL) off the stack. */
static PyObject *
go_on(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, PyObject *retval,
      _PyInterpreterFrame **top)
{
    offer o;
    slp_thread *th = slp_thread_peek(tstate);
    PyObject *answer = make_step(th, (slp_soft_state *)stack->values[0], retval, &o);
    stack->entry = ENTRY_RESULT;
    return answer == SLP_UNWIND ? enter_request(tstate, th, &o, shim, top) : answer;
}

/* Stack: the state, and what the step before has asked for. */
PyObject *
slp_go_function(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    PyObject *retval = stack->values[--stack->count];
    PyObject *answer = go_on(tstate, shim, stack, retval, top);
    Py_DECREF(retval);
    return answer;
}

/* Stack: the state, and the exception that came instead. */
PyObject *
slp_go_function_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                       _PyInterpreterFrame **top)
{
    PyObject *exc = stack->values[--stack->count];
    _PyErr_Restore(tstate, Py_NewRef(PyExceptionInstance_Class(exc)), exc, PyException_GetTraceback(exc));
    return go_on(tstate, shim, stack, NULL, top);
}

/* --- calls --- */

bool
slp_takes_offers(PyObject *callable)
{
    if (PyCFunction_Check(callable)) {
        return (PyCFunction_GET_FLAGS(callable) & METH_STACKLESS) != 0;
    }
    PyTypeObject *type = Py_TYPE(callable);
    if (type == &PyMethodDescr_Type) {
        return (((PyMethodDescrObject *)callable)->d_method->ml_flags & METH_STACKLESS) != 0;
    }
    return (type->tp_flags & Py_TPFLAGS_HAVE_STACKLESS_CALL) != 0;
}

PyObject *
slp_protocol_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable,
                  PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    offer o;
    slp_thread *th = slp_thread_get(tstate);
    if (th == NULL || begin_offer(th, &o) < 0) {
        return NULL;
    }
    PyObject *answer = PyObject_Vectorcall(callable, args, (size_t)nargs, kwnames);
    answer = end_offer(th, &o, callable, answer);
    return answer == SLP_UNWIND ? enter_request(tstate, th, &o, below, top) : answer;
}

void
slp_protocol_init(void)
{
    static const uint8_t function_code[] = {
        NOP, 0, SLP_GO_ON, SLP_GO_FUNCTION, SLP_GO_ON, SLP_GO_FUNCTION_FAILED};
    static const uint8_t handlers[] = {0x80 | 0, 1, 2, 1 << 1};
    static const uint8_t request_code[] = {CALL_FUNCTION_EX, 0, SLP_RETURN, 0, CALL_FUNCTION_EX, 1,
                                           SLP_RETURN,       0, SLP_SWITCH, 0, SLP_RETURN,       0};
    shim_function =
        slp_shim_make("<soft function>", 2, function_code, sizeof(function_code), handlers, sizeof(handlers));
    shim_request = slp_shim_make("<soft request>", 4, request_code, sizeof(request_code), NULL, 0);
    if (shim_function == NULL || shim_request == NULL || PyType_Ready(&token_type) < 0
        || PyType_Ready(&slp_soft_state_type) < 0 || PyType_Ready(&PyStacklessFunctionDeclaration_Type) < 0) {
        Py_FatalError("cannot prepare the stackless protocol");
    }
    slp_unwind_token.ob_type = &token_type;
}

int
slp_soft_depth(PyThreadState *tstate)
{
    _PyInterpreterFrame *frame = tstate->cframe->current_frame;
    while (frame != NULL && slp_is_shim(frame)) {
        if (frame->f_code == shim_function) {
            return ((slp_soft_state *)frame->localsplus[0])->depth + 1;
        }
        frame = frame->previous;
    }
    return 0;
}

PyObject *
slp_protocol_callee(const _PyInterpreterFrame *frame)
{
    if (frame->f_code == shim_function) {
        return (PyObject *)((slp_soft_state *)frame->localsplus[0])->declaration;
    }
    bool calls = frame->f_code == shim_request && _Py_OPCODE(*frame->prev_instr) == CALL_FUNCTION_EX;
    return calls ? frame->localsplus[1] : NULL;
}
