/* Accounting: how long each tasklet has run, and how often it was switched to.
 *
 * It is on or off for an interpreter and all its threads.  While it is on, slp_thread.watch has
 * SLP_WATCH_ACCOUNT, and each switch charges the time since the last one to the tasklet that is left.  That
 * is time by the clock, waiting for the GIL and sleeping in C functions included: what the other tasklets of
 * the thread had to wait for it.  While it is off, nothing of this is looked at.
 *
 * Figures stand in slp_tasklet.extra.  Where there is no memory for that, a slice goes uncounted.
 */
#ifndef SLP_ACCOUNTING_H
#define SLP_ACCOUNTING_H

#include "slp_tasklet.h"

/* SLP_WATCH_ACCOUNT, and the thread's current tasklet begins (or goes on) to run now. */
void slp_accounting_start(slp_thread *th);

/* SLP_WATCH_ACCOUNT, a switch to `entered` has been made.  The tasklet that was left still exists. */
void slp_accounting_switched(slp_thread *th, PyTaskletObject *entered);

/* For the module's method table, and the tasklet's attributes. */
PyObject *slp_module_set_accounting(PyObject *module, PyObject *flag);
PyObject *slp_tasklet_get_run_time(PyObject *self, void *closure);
PyObject *slp_tasklet_get_switch_count(PyObject *self, void *closure);
extern const char slp_set_accounting_doc[];

#endif
