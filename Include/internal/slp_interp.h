/* What one interpreter knows about tasklets: callbacks, defaults.
 *
 * A capsule in the interpreter's dict owns it.  Every slp_thread of the interpreter holds it, so that it is
 * reached in O(1) and outlives the dict; its objects go when the interpreter ends.
 */
#ifndef SLP_INTERP_H
#define SLP_INTERP_H

#include "slp_base.h"

struct PyTaskletObject;

typedef struct slp_interp {
    Py_ssize_t holders;                /* the interpreter, and its threads: the last one frees this struct */
    PyObject *schedule_callback;       /* strong or NULL, as all objects here */
    PyObject *channel_callback;
    int (*schedule_hook)(struct PyTaskletObject *prev, struct PyTaskletObject *next);  /* or NULL */
    PyObject *error_handler;
    PyObject *base_function;           /* what slp_interp_base_function() returns, once it was asked for */
    bool always_hard;                  /* soft switching is off: slp_thread.always_hard of new threads */
    int pickle_flags;                  /* those of new threads */
    Py_ssize_t map_index;              /* where code objects keep stack maps, and 1; 0: nowhere yet */
    int watch;                         /* slp_watch bits that every thread has */
} slp_interp;

/* That of `interp`, made on first use.  NULL with MemoryError. */
slp_interp *slp_interp_get(PyInterpreterState *interp);

static inline slp_interp *
slp_interp_hold(slp_interp *si)
{
    si->holders++;
    return si;
}

void slp_interp_release(slp_interp *si);

/* The function that the base shim of a tasklet belongs to where no function in Python does (it never runs):
 * so that C code finds globals there, empty but for __builtins__, which PyImport_Import() insists upon.
 * Borrowed; NULL with MemoryError. */
PyFunctionObject *slp_interp_base_function(slp_interp *si);

/* Set or take back a bit of slp_thread.watch in all threads of the interpreter, those to come included. */
void slp_interp_watch(PyInterpreterState *interp, int bit, bool on);

#endif
