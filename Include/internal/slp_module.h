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
    TASKLET_NEXT,
    TASKLET_MAIN,
    TASKLET_WAITS_IN_RUN,
    TASKLET_OTHER_THREAD,
    TASKLET_PINNED,
    TASKLET_RUNNABLE,
} slp_refusal;

/* The arguments of a function whose parameters are all optional, sorted into out[] (borrowed; NULL: absent),
 * `count` of them, at most 4.  False with TypeError. */
bool slp_optional_args(struct _PyArg_Parser *parser, PyObject *const *args, Py_ssize_t nargs,
                       PyObject *kwnames, int count, PyObject **out);

/* Raise RuntimeError "method(): why"; NULL. */
SLP_COLD PyObject *slp_refuse(const char *method, slp_refusal why);

/* --- types --- */

extern PyTypeObject slp_atomic_type;

/* --- pieces of the tasklet type --- */

extern PyGetSetDef slp_tasklet_getset[];

/* Stackless/module/tasklet.c; run() and switch() take an offer. */
PyObject *slp_tasklet_setup(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *slp_tasklet_insert(PyObject *self, PyObject *noargs);
PyObject *slp_tasklet_remove(PyObject *self, PyObject *noargs);
PyObject *slp_tasklet_run(PyObject *self, PyObject *noargs);
PyObject *slp_tasklet_switch(PyObject *self, PyObject *noargs);

/* bind(); NULL stands for None.  -1 with an exception. */
int slp_tasklet_bind(PyTaskletObject *t, PyObject *func, PyObject *args, PyObject *kwargs);

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

/* --- introspection (Stackless/module/introspection.c) --- */

PyObject *slp_tasklet_repr(PyObject *t);
PyObject *slp_tasklet_stack(PyObject *self, PyObject *noargs);
PyObject *slp_module_tasklets(PyObject *module, PyObject *noargs);
PyObject *slp_module_getuncollectables(PyObject *module, PyObject *noargs);
extern const char slp_stack_doc[];
extern const char slp_tasklets_doc[];
extern const char slp_getuncollectables_doc[];

/* The depth of its Python calls. */
int slp_tasklet_recursion_depth(PyTaskletObject *t);

/* Its innermost Python frame, or NULL. */
_PyInterpreterFrame *slp_tasklet_python_frame(PyTaskletObject *t);

/* The name (a new reference, None: it has none; NULL with an exception).  That of an instance of a subclass
 * stands in its dict; in t->extra is a copy then, which the program may have made stale. */
PyObject *slp_tasklet_get_name(PyTaskletObject *t);
int slp_tasklet_set_name(PyTaskletObject *t, PyObject *name);

/* `first`, and a line for each tasklet of the thread that is blocked on a channel.  NULL without an exception
 * where that cannot be made. */
PyObject *slp_deadlock_text(slp_thread *th, const char *first);

/* --- pinned tasklets (Stackless/module/pinned_by.c) --- */

/* The number of C functions that its frames are inside of. */
int slp_nesting_level(PyTaskletObject *t);

/* The innermost of them: a callable, or a str that says what C is doing.  None if there is none; NULL with
 * MemoryError. */
PyObject *slp_pinned_by(PyTaskletObject *t);

/* --- settings (Stackless/module/tasklet_context.c, settings.c) --- */

PyObject *slp_tasklet_set_context(PyObject *self, PyObject *context);
PyObject *slp_tasklet_bind_thread(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *slp_module_unpicklable_state(PyObject *module, PyObject *tasklet);
PyObject *slp_module_getthreads(PyObject *module, PyObject *noargs);
PyObject *slp_module_get_thread_info(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                     PyObject *kwnames);
PyObject *slp_module_enable_softswitch(PyObject *module, PyObject *flag);
PyObject *slp_module_pickle_flags(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *kwnames);
PyObject *slp_module_pickle_flags_default(PyObject *module, PyObject *const *args, Py_ssize_t nargs,
                                          PyObject *kwnames);
PyObject *slp_module_getdebug(PyObject *module, PyObject *noargs);
extern const char slp_set_context_doc[];
extern const char slp_bind_thread_doc[];
extern const char slp_unpicklable_state_doc[];
extern const char slp_getthreads_doc[];
extern const char slp_get_thread_info_doc[];
extern const char slp_enable_softswitch_doc[];
extern const char slp_pickle_flags_doc[];
extern const char slp_pickle_flags_default_doc[];
extern const char slp_getdebug_doc[];

/* Add the constants of pickle_flags().  -1 with an exception. */
int slp_add_pickle_flags(PyObject *module);

/* The trace or profile function: new reference or None. */
PyObject *slp_tasklet_get_trace(PyTaskletObject *t, bool profile);
int slp_tasklet_set_trace(PyTaskletObject *t, bool profile, PyObject *value);

/* A tasklet has got frames while its thread is traced or profiled: give it the functions of
 * threading.settrace() and threading.setprofile(), as a new thread would get them.  Its program may have done
 * anything to it meanwhile.  -1 with an exception. */
SLP_COLD int slp_tasklet_trace_as_thread(PyTaskletObject *t);

/* --- methods that call Python (Stackless/module/soft_module.c) --- */

PyObject *slp_tasklet_context_run(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames);
PyObject *slp_channel_send_sequence(PyObject *self, PyObject *iterable);
extern const char slp_context_run_doc[];
extern const char slp_send_sequence_doc[];

/* Make `before` (stolen; None: no context) the thread's context again. */
void slp_context_restore(PyThreadState *tstate, PyObject *before);

/* tasklet(...)(...) and setup(), a soft function (slp_softcall.h): the frame of a simple Python function is
 * made of the caller's stack at once. */
PyObject *slp_tasklet_soft_setup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                                 PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                                 _PyInterpreterFrame **top);

/* Register their soft twins, once per process; the types are ready.  -1 with an exception. */
int slp_soft_module_init(void);

#endif
