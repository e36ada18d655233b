/* Asynchronous generators, resumed by the loop: what asend(), athrow() and aclose() return.
 *
 * Each is an awaitable that resumes its generator, and whose result is what the generator yields to
 * it.  No header of the base says what is in them:
 *
 *      generator     what is resumed
 *      value         asend(): what is sent, or NULL; athrow(): the tuple of arguments; aclose(): NULL
 *      state         new, awaited, or closed: every use of that is an error
 *
 * slp_asyncgen_init() looks whether that is so on real ones; if not, they stay pinned.
 */
#ifndef SLP_ASYNCGEN_H
#define SLP_ASYNCGEN_H

#include "slp_soft.h"

/* What asend(), athrow() and aclose() return. */
typedef struct {
    PyObject_HEAD
    PyGenObject *generator;
    PyObject *value;
    int state;
} awaitable_object;

enum { STATE_NEW = 0, STATE_AWAITED = 1, STATE_CLOSED = 2 };

typedef struct {
    PyObject_HEAD
    PyObject *wrapped;
    PyObject *instead;
} anext_object;

extern PyObject *PyAnextAwaitable_New(PyObject *wrapped, PyObject *instead);

/* Are the base's objects such? */
bool slp_asyncgen_layout_is_known(void);

/* What the shim of an awaitable does when the generator yields to it, returns, or raises: bits. */
enum {
    SLP_ASYNC_CLOSES = 1,   /* the awaitable is closed then, whatever comes */
    SLP_ASYNC_ACLOSE = 2,   /* it is aclose()'s: no value may come, and the generator's end is success */
};

/* SLP_ASYNC_YIELDED: the awaitable's result; `value` itself (borrowed), where that is for the event loop;
 * NULL with an exception. */
PyObject *slp_async_yielded(PyThreadState *tstate, PyObject *awaitable, PyObject *value, int how);

/* SLP_ASYNC_RAISED, for the exception that is set: is it the success of aclose()?  Then none is set. */
bool slp_async_raised(PyThreadState *tstate, PyObject *awaitable, int how);

/* Send to such an awaitable, or to one that anext() with a default returns; a soft function's answer. */
PyObject *slp_asyncgen_send(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *awaitable,
                            PyObject *sent, _PyInterpreterFrame **top);

/* Look at the objects, make the shims, register the methods; once per process. */
SLP_COLD void slp_asyncgen_init(void);

#endif
