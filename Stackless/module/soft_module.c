/* Methods of ours that call Python: tasklet.context_run() and channel.send_sequence().
 *
 * Each exists twice: as a soft function, for calls that the loop makes (slp_softcall.h), and in C, for all
 * others.
 */
#include "slp_channel.h"
#include "slp_module.h"
#include "slp_shims.h"
#include "slp_softcall.h"

static PyCodeObject *shim_context;
static PyCodeObject *shim_sequence;

/* --- context_run() --- */

const char slp_context_run_doc[] =
"context_run($self, callable, /, *args, **kwargs)\n"
"--\n\n"
"Call callable(*args, **kwargs) in the contextvars context of the tasklet; returns\n"
"its result.\n\n"
"It is the caller that runs it; the tasklet only gives the context, which need not\n"
"be left by others first, as it must for Context.run().\n\n"
"    t.context_run(variable.set, 42)";

/* The tasklet's context, which gets one if it has none.  NULL with MemoryError. */
static PyObject *
context_of(PyTaskletObject *t)
{
    PyObject *context = *slp_context_slot(t);
    if (context != NULL) {
        return Py_NewRef(context);
    }
    /* Making it may run any code, which may give the tasklet another one. */
    context = PyContext_New();
    PyObject **slot = slp_context_slot(t);
    if (context != NULL && *slot == NULL) {
        *slot = Py_NewRef(context);
    }
    return context;
}

/* Make the tasklet's context the thread's: the one before, or None; NULL with an exception. */
static PyObject *
enter_context(PyThreadState *tstate, PyTaskletObject *t)
{
    PyObject *context = context_of(t);
    if (context == NULL) {
        return NULL;
    }
    PyObject *before = tstate->context;
    tstate->context = context;
    tstate->context_ver++;
    return before != NULL ? before : Py_NewRef(Py_None);
}

void
slp_context_restore(PyThreadState *tstate, PyObject *before)
{
    PyObject *context = tstate->context;
    if (before == Py_None) {
        Py_CLEAR(before);
    }
    tstate->context = before;
    tstate->context_ver++;
    Py_XDECREF(context);
}

/* TypeError if there is nothing to call. */
static int
check_context_run(PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "context_run() needs a callable");
        return -1;
    }
    if (!PyCallable_Check(args[0])) {
        PyErr_Format(PyExc_TypeError, "context_run() argument 'callable' must be callable, not %.200s",
                     Py_TYPE(args[0])->tp_name);
        return -1;
    }
    return 0;
}

PyObject *
slp_tasklet_context_run(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyThreadState *tstate = _PyThreadState_GET();
    if (check_context_run(args, nargs) < 0) {
        return NULL;
    }
    PyObject *before = enter_context(tstate, SLP_TASKLET(self));
    if (before == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_Vectorcall(args[0], args + 1, nargs - 1, kwnames);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    slp_context_restore(tstate, before);
    PyErr_Restore(type, value, traceback);
    return result;
}

static PyObject *
soft_context_run(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (check_context_run(args, nargs) < 0) {
        return NULL;
    }
    PyObject *tuple = _PyTuple_FromArray(args + 1, nargs - 1);
    PyObject *kwargs = kwnames == NULL ? PyDict_New()
                                       : _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, args + nargs, 1,
                                                           PyTuple_GET_SIZE(kwnames));
    PyObject *before = tuple != NULL && kwargs != NULL ? enter_context(tstate, SLP_TASKLET(self)) : NULL;
    if (before == NULL) {
        Py_XDECREF(tuple);
        Py_XDECREF(kwargs);
        return NULL;
    }
    PyObject *values[] = {Py_NewRef(before), NULL, Py_NewRef(args[0]), tuple, kwargs};
    *top = slp_shim_push(tstate, below, shim_context, 0, values, Py_ARRAY_LENGTH(values));
    if (*top == NULL) {
        slp_context_restore(tstate, before);
        return NULL;
    }
    Py_DECREF(before);
    return SLP_ENTER;
}

/* --- send_sequence() --- */

const char slp_send_sequence_doc[] =
"send_sequence($self, iterable, /)\n"
"--\n\n"
"Send the items of iterable one after the other; returns their number.\n\n"
"Errors are those of send(), which is called for each item, and of the iterable.\n\n"
"    ch.send_sequence(range(10))  # 10";

PyObject *
slp_channel_send_sequence(PyObject *self, PyObject *iterable)
{
    PyObject *item, *iterator = PyObject_GetIter(iterable);
    PyObject *send = iterator != NULL ? PyObject_GetAttrString(self, "send") : NULL;
    Py_ssize_t count = 0;
    bool failed = send == NULL;
    while (!failed && (item = PyIter_Next(iterator)) != NULL) {
        PyObject *sent = PyObject_CallOneArg(send, item);
        Py_DECREF(item);
        failed = sent == NULL;
        count += !failed;
        Py_XDECREF(sent);
    }
    Py_XDECREF(send);
    Py_XDECREF(iterator);
    return failed || PyErr_Occurred() ? NULL : PyLong_FromSsize_t(count);
}

static PyObject *
soft_send_sequence(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0)) {
        return SLP_NOT_SOFT;   /* C raises the TypeError */
    }
    PyObject *iterator = PyObject_GetIter(args[0]);
    PyObject *send = iterator != NULL ? PyObject_GetAttrString(self, "send") : NULL;
    PyObject *zero = send != NULL ? PyLong_FromLong(0) : NULL;
    if (zero == NULL) {
        Py_XDECREF(send);
        Py_XDECREF(iterator);
        return NULL;
    }
    PyObject *values[] = {zero, send, iterator};
    *top = slp_shim_push(tstate, below, shim_sequence, 1, values, Py_ARRAY_LENGTH(values));
    return *top != NULL ? SLP_ENTER : NULL;
}

/* --- registration --- */

int
slp_soft_module_init(void)
{
    static const uint8_t context_code[] = {
        CALL_FUNCTION_EX, 1,
        SLP_CONTEXT_DONE, 0,
        SLP_CONTEXT_FAILED, 0,
    };
    /* The call is covered, with one value left on the stack: the start with its mark, the length, the
     * handler, twice the depth. */
    static const uint8_t context_handlers[] = {0x80, 1, 2, 2};
    static const uint8_t sequence_code[] = {
        NOP, 0,                        /* no loop begins at the first instruction */
        FOR_ITER, 10,
        SLP_SEQUENCE_ITEM, 0,
        PRECALL, 1, CACHE, 0,
        CALL, 1, CACHE, 0, CACHE, 0, CACHE, 0, CACHE, 0,
        SLP_SEQUENCE_SENT, 0,
        JUMP_BACKWARD, 11,
        SLP_SEQUENCE_DONE, 0,
    };
    if (shim_sequence != NULL) {
        return 0;   /* in an earlier interpreter of the process */
    }
    shim_context = slp_shim_make("<context_run>", 5, context_code, sizeof(context_code), context_handlers,
                                 sizeof(context_handlers));
    if (shim_context == NULL) {
        return -1;
    }
    shim_sequence = slp_shim_make("<send_sequence>", 6, sequence_code, sizeof(sequence_code), NULL, 0);
    if (shim_sequence == NULL) {
        return -1;
    }
    slp_soft_register_instances(&PyTasklet_Type, slp_tasklet_soft_setup);
    slp_soft_register_method(&PyTasklet_Type, "setup", slp_tasklet_soft_setup);
    slp_soft_register_method(&PyTasklet_Type, "context_run", soft_context_run);
    slp_soft_register_method(&PyChannel_Type, "send_sequence", soft_send_sequence);
    return 0;
}
