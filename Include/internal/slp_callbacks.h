/* Callbacks: Python functions that see switches, channel operations and uncaught exceptions.
 *
 * They belong to the interpreter (slp_interp.h).  While the first two run, the thread must not switch: what
 * wants to raises RuntimeError.  What they raise themselves is reported as unraisable.
 */
#ifndef SLP_CALLBACKS_H
#define SLP_CALLBACKS_H

#include "slp_switch.h"

/* th->next is set: call the schedule callback with the current tasklet and that one. */
SLP_COLD void slp_call_schedule_callback(slp_thread *th);

/* The current tasklet is about to send (`sending`) or to receive: call the channel callback. */
SLP_COLD void slp_call_channel_callback(slp_thread *th, PyObject *channel, bool sending, bool will_block);

/* The current tasklet ends with the exception that is set.  Afterwards none is, or that of the handler. */
SLP_COLD void slp_call_error_handler(slp_thread *th);

/* Have `hook` (NULL: nothing) called on every switch of the interpreter, before the callable.  -1 with
 * MemoryError. */
int slp_set_schedule_hook(slp_schedule_hook_func *hook);

/* For the module's method table. */
PyObject *slp_set_schedule_callback(PyObject *module, PyObject *callable);
PyObject *slp_get_schedule_callback(PyObject *module, PyObject *noargs);
PyObject *slp_set_channel_callback(PyObject *module, PyObject *callable);
PyObject *slp_get_channel_callback(PyObject *module, PyObject *noargs);
PyObject *slp_set_error_handler(PyObject *module, PyObject *const *args, Py_ssize_t nargs);
PyObject *slp_switch_trap(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);

extern const char slp_set_schedule_callback_doc[];
extern const char slp_get_schedule_callback_doc[];
extern const char slp_set_channel_callback_doc[];
extern const char slp_get_channel_callback_doc[];
extern const char slp_set_error_handler_doc[];
extern const char slp_switch_trap_doc[];

#endif
