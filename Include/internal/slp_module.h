/* What the files of the module _stackless share (Stackless/module). */
#ifndef SLP_MODULE_H
#define SLP_MODULE_H

#include "slp_interp.h"
#include "slp_scheduler.h"

#include "internal/pycore_context.h"

#define SLP_TASKLET(op) ((PyTaskletObject *)(op))

/* --- refusals (Stackless/module/tasklet_attrs.c) --- */

/* Why a tasklet cannot do what it is asked for. */
typedef enum {
    TASKLET_OK,
    TASKLET_NO_THREAD,
    TASKLET_DEAD,
    TASKLET_ALIVE,
    TASKLET_UNBOUND,
    TASKLET_BLOCKED,
    TASKLET_SCHEDULED,
    TASKLET_CURRENT,
    TASKLET_MAIN,
    TASKLET_WAITS_IN_RUN,
    TASKLET_OTHER_THREAD,
    TASKLET_PINNED,
} slp_refusal;

/* Raise RuntimeError "method(): why"; NULL. */
SLP_COLD PyObject *slp_refuse(const char *method, slp_refusal why);

/* --- types --- */

extern PyTypeObject slp_atomic_type;

/* --- pieces of the tasklet type --- */

extern PyGetSetDef slp_tasklet_getset[];

/* The flag that a method like set_atomic() takes: a bool or an int; -1 with TypeError. */
int slp_flag_arg(const char *method, PyObject *value);

PyObject *slp_tasklet_set_atomic(PyObject *self, PyObject *flag);
PyObject *slp_tasklet_set_ignore_nesting(PyObject *self, PyObject *flag);
extern const char slp_set_atomic_doc[];
extern const char slp_set_ignore_nesting_doc[];

/* run() of a tasklet of another thread: it becomes the next one that runs there. */
void slp_tasklet_make_next(PyTaskletObject *t);

/* Stackless/module/tasklet_errors.c */
PyObject *slp_tasklet_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *slp_tasklet_kill(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *slp_tasklet_raise_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs);
extern const char slp_throw_doc[];
extern const char slp_kill_doc[];
extern const char slp_raise_exception_doc[];

/* Alive as programs see it: what lost its thread is not. */
static inline bool
slp_tasklet_usable(PyTaskletObject *t)
{
    return t->thread->tstate != NULL && slp_tasklet_alive(t);
}

/* --- introspection (Stackless/module/tasklet_attrs.c) --- */

PyObject *slp_tasklet_repr(PyObject *t);

/* --- context variables --- */

/* The context that a new tasklet shares with its creator, which gets one if it has none yet: a
 * new reference, NULL with MemoryError. */
static inline PyObject *
slp_share_context(PyThreadState *tstate)
{
    if (SLP_UNLIKELY(tstate->context == NULL)) {
        tstate->context = PyContext_New();
    }
    return Py_XNewRef(tstate->context);
}

#endif
