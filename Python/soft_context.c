/* contextvars.Context.run() as frames: a shim enters the context, waits for the function, and leaves the
 * context again.
 *
 *      caller ──> <Context.run> shim ──> function
 */
#include "slp_softcall.h"
#include "slp_tasklet.h"

#include "internal/pycore_context.h"

/* [context, NULL, callable, args tuple, kwargs dict] */
static PyCodeObject *shim_run;

/* The context is left, or nobody could enter it any more. */
static void
leave_dropped(PyTaskletObject *t, _PyInterpreterFrame *shim)
{
    PyContext *context = (PyContext *)shim->localsplus[0];
    if (context != NULL && t->context == (PyObject *)context && context->ctx_entered) {
        t->context = (PyObject *)context->ctx_prev;
        context->ctx_prev = NULL;
        context->ctx_entered = 0;
        Py_DECREF(context);
    }
}

static PyObject *
soft_run(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 1) {
        return SLP_NOT_SOFT;   /* C raises the TypeError */
    }
    PyObject *tuple = _PyTuple_FromArray(args + 1, nargs - 1);
    PyObject *kwargs = kwnames == NULL ? PyDict_New()
                                       : _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, args + nargs, 1,
                                                           PyTuple_GET_SIZE(kwnames));
    if (tuple == NULL || kwargs == NULL || PyContext_Enter(self) < 0) {
        Py_XDECREF(tuple);
        Py_XDECREF(kwargs);
        return NULL;
    }
    PyObject *values[] = {Py_NewRef(self), NULL, Py_NewRef(args[0]), tuple, kwargs};
    *top = slp_shim_push(tstate, below, shim_run, 0, values, Py_ARRAY_LENGTH(values));
    if (*top == NULL) {
        (void)PyContext_Exit(self);
        return NULL;
    }
    return SLP_ENTER;
}

void
slp_soft_context_init(void)
{
    static const uint8_t code[] = {
        NOP, 0,
        CALL_FUNCTION_EX, 1,
        SLP_RUN_DONE, 0,
        SLP_RUN_FAILED, 0,
    };
    /* The call is covered, with the context left on the stack: the start with its mark, the length, the
     * handler, twice the depth. */
    static const uint8_t handlers[] = {0x80, 2, 3, 2};
    shim_run = slp_shim_make("<Context.run>", 5, code, sizeof(code), handlers, sizeof(handlers));
    if (shim_run == NULL) {
        PyErr_Print();
        Py_FatalError("cannot make the shim of Context.run()");
    }
    slp_shim_set_drop(shim_run, leave_dropped);
    slp_soft_register_method(&PyContext_Type, "run", soft_run);
}
