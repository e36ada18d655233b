/* What the files of the C API share (Stackless/capi): its functions are thin, and call what the module's
 * methods call.
 *
 *   loop       offers (slp_protocol.h), then calls a C function of an extension
 *   function   ..._nr(): the offer stands, SLP_UNWIND may come back, and becomes 1 or Py_UnwindToken
 *              all others: the offer is withdrawn first, so that a switch keeps the C stack
 */
#ifndef SLP_CAPI_H
#define SLP_CAPI_H

#include "slp_module.h"

/* Is the argument a tasklet, a channel?  False with TypeError. */
bool slp_capi_is_tasklet(const char *function, PyTaskletObject *t);
bool slp_capi_is_channel(const char *function, PyChannelObject *channel);

/* The beginning of a function that may switch, but not without its C stack.  False with MemoryError. */
bool slp_capi_without_offer(void);

/* Pass the offer to the extension's C function that has called (slp_protocol.h) on to the function of ours
 * that is called next.  False with MemoryError. */
bool slp_capi_with_offer(void);

/* Arguments as a tuple: `args` itself, empty for NULL and None, else of just `args`.  NULL with
 * MemoryError. */
PyObject *slp_capi_args(PyObject *args);

/* Are these arguments for a call: a tuple or NULL, a dict or NULL?  False with TypeError. */
bool slp_capi_is_call(const char *function, PyObject *args, PyObject *kwargs);

/* method(self, klass, *args), with `args` as for slp_capi_args(); the answer of an int function. */
int slp_capi_call_with(PyObject *(*method)(PyObject *, PyObject *const *, Py_ssize_t), PyObject *self,
                       PyObject *klass, PyObject *args);

/* The answer of an int function: 0; 1 for SLP_UNWIND; -1 for NULL.  Drops the result. */
static inline int
slp_capi_status(PyObject *result)
{
    if (result == NULL)
        return -1;
    if (result == SLP_UNWIND)
        return 1;
    Py_DECREF(result);
    return 0;
}

static inline PyObject *
slp_capi_or_none(PyObject *object)
{
    return object != NULL ? object : Py_None;
}

#endif
