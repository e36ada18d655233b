/* The stackless protocol, the extensions' side: offers, and requests for calls (stackless_protocol.h). */
#include "slp_capi.h"
#include "slp_protocol.h"

/* The state of the calling thread.  NULL with MemoryError. */
static slp_thread *
this_thread(void)
{
    return slp_thread_get(_PyThreadState_GET());
}

/* Ask for callable(*args, **kwargs): steals `args`, which is NULL with an exception.  Py_UnwindToken, or NULL
 * with an exception. */
static PyObject *
ask_for_call(slp_thread *th, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    if (args == NULL) {
        return NULL;
    }
    if (!Py_IS_TYPE(callable, &PyFunction_Type)) {
        /* What is called may ask for such a call itself, and so on: a state that passes the result on counts
         * them. */
        static PyObject *const none[3];
        th->request.state = slp_soft_state_new(th->tstate, NULL, none, 0, NULL);
        if (th->request.state == NULL) {
            Py_DECREF(args);
            return NULL;
        }
    }
    th->request.callable = Py_NewRef(callable);
    th->request.args = args;
    th->request.kwargs = Py_XNewRef(kwargs);
    return SLP_UNWIND;
}

PyObject *
PyStackless_Call_nr(PyObject *callable, PyObject *args, PyObject *kwargs)
{
    slp_thread *th = this_thread();
    if (th == NULL) {
        return NULL;
    }
    bool offered = slp_protocol_take_offer(th);
    if (callable == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyStackless_Call_nr(): the callable is NULL");
        return NULL;
    }
    if (!slp_capi_is_call("PyStackless_Call_nr", args, kwargs)) {
        return NULL;
    }
    PyObject *tuple = args == NULL ? PyTuple_New(0) : Py_NewRef(args);
    if (offered) {
        return ask_for_call(th, callable, tuple, kwargs);
    }
    PyObject *result = tuple == NULL ? NULL : PyObject_Call(callable, tuple, kwargs);
    Py_XDECREF(tuple);
    return result;
}

PyObject *
PyStackless_CallOneArg_nr(PyObject *callable, PyObject *arg)
{
    slp_thread *th = this_thread();
    if (th == NULL) {
        return NULL;
    }
    bool offered = slp_protocol_take_offer(th);
    if (callable == NULL || arg == NULL) {
        PyErr_SetString(PyExc_TypeError, "PyStackless_CallOneArg_nr(): the callable or its argument is NULL");
        return NULL;
    }
    return offered ? ask_for_call(th, callable, PyTuple_Pack(1, arg), NULL)
                   : PyObject_CallOneArg(callable, arg);
}

int
PyStackless_TakeOffer(void)
{
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    return th != NULL && slp_protocol_take_offer(th);
}

void
PyStackless_PassOffer(void)
{
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    if (th != NULL && th->request.callable == NULL && th->request.state == NULL) {
        th->offered_in = th->tstate->cframe;
    }
}

void
PyStackless_PassOfferTo(PyObject *callable)
{
    while (callable != NULL && Py_IS_TYPE(callable, &PyMethod_Type)) {
        callable = PyMethod_GET_FUNCTION(callable);
    }
    if (callable != NULL && slp_takes_offers(callable)) {
        PyStackless_PassOffer();
    }
}
