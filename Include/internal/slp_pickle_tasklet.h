/* Pickling of tasklets and channels: their __reduce__() and __setstate__(). */
#ifndef SLP_PICKLE_TASKLET_H
#define SLP_PICKLE_TASKLET_H

#include "slp_tasklet.h"

PyObject *slp_tasklet_reduce(PyObject *self, PyObject *noargs);
PyObject *slp_tasklet_setstate(PyObject *self, PyObject *state);
PyObject *slp_channel_reduce(PyObject *self, PyObject *noargs);
PyObject *slp_channel_setstate(PyObject *self, PyObject *state);
extern const char slp_tasklet_reduce_doc[];
extern const char slp_tasklet_setstate_doc[];
extern const char slp_channel_reduce_doc[];
extern const char slp_channel_setstate_doc[];

/* What a tasklet pickles as: its state, a tuple with the items that Stackless/pickling/tasklet.c lists.
 * Only for one that is suspended without C frames.  Steals `attributes` (slp_attributes_out()). */
PyObject *slp_tasklet_state(PyTaskletObject *t, slp_thread *th, PyObject *attributes);

#if SLP_TORTURE_PICKLE
/* --with-torture=pickle (Stackless/pickling/roundtrip.c): a switch has left the tasklet; the other one
 * runs. */
void slp_roundtrip_note(PyTaskletObject *left);
void slp_roundtrip(void);
#endif

/* A tasklet that a channel of an image has in its queue, before its own state is loaded: alive, but all that
 * it can do is raise RuntimeError. */
bool slp_is_placeholder(PyTaskletObject *t);
int slp_make_placeholder(PyTaskletObject *t);

/* The (type, arguments, state) of an object: of `base` itself, or of a subclass.  Steals `state`, which may
 * be NULL: then NULL. */
PyObject *slp_reduce_with_state(PyObject *self, PyTypeObject *base, PyObject *state);

/* The attributes that a subclass gives its instances; None for `base` itself. */
PyObject *slp_attributes_out(PyObject *self, PyTypeObject *base);
int slp_attributes_in(PyObject *self, PyObject *attributes);

/* What pickling loses of the exceptions in the frames (Stackless/pickling/exceptions.c): a list, or None. */
PyObject *slp_exceptions_out(PyTaskletObject *t);
int slp_exceptions_in(PyObject *rows);

#endif
