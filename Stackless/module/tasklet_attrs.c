/* The attributes of tasklets, and why a tasklet refuses what it is asked for. */
#include "slp_accounting.h"
#include "slp_module.h"

#include "internal/pycore_namespace.h"

static const char *const refusal_texts[] = {
    [TASKLET_NO_THREAD] = "tasklet has no thread",
    [TASKLET_DEAD] = "tasklet is not alive",
    [TASKLET_ALIVE] = "tasklet is alive",
    [TASKLET_UNBOUND] = "tasklet is not bound to a function",
    [TASKLET_BLOCKED] = "tasklet is blocked on a channel",
    [TASKLET_SCHEDULED] = "tasklet is scheduled",
    [TASKLET_CURRENT] = "tasklet is the current one",
    [TASKLET_NEXT] = "tasklet is about to run",
    [TASKLET_MAIN] = "tasklet is the main tasklet of its thread",
    [TASKLET_WAITS_IN_RUN] = "tasklet waits in run()",
    [TASKLET_OTHER_THREAD] = "tasklet belongs to another thread",
    [TASKLET_PINNED] = "tasklet is inside C functions",
    [TASKLET_RUNNABLE] = "can't (re)bind a runnable tasklet",
};

PyObject *
slp_refuse(const char *method, slp_refusal why)
{
    PyErr_Format(PyExc_RuntimeError, "%s(): %s", method, refusal_texts[why]);
    return NULL;
}

static bool
is_current(PyTaskletObject *t)
{
    return t->thread->current == t;
}

static PyObject *
or_none(void *object)
{
    return Py_NewRef(object != NULL ? (PyObject *)object : Py_None);
}

bool
slp_optional_args(struct _PyArg_Parser *parser, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                  int count, PyObject **out)
{
    PyObject *buffer[4] = {NULL};
    PyObject *const *got = _PyArg_UnpackKeywords(args, nargs, NULL, kwnames, parser, 0, count, 0, buffer);
    if (got == NULL) {
        return false;
    }
    /* With keywords the result has all slots, without it is `args`, and ends after nargs. */
    for (int i = 0; i < count; i++) {
        out[i] = i < nargs || kwnames != NULL ? got[i] : NULL;
    }
    return true;
}

static PyObject *
get_alive(PyObject *self, void *closure)
{
    return PyBool_FromLong(slp_tasklet_usable(SLP_TASKLET(self)));
}

static PyObject *
get_paused(PyObject *self, void *closure)
{
    return PyBool_FromLong(slp_tasklet_usable(SLP_TASKLET(self)) && !slp_in_chain(SLP_TASKLET(self)));
}

static PyObject *
get_scheduled(PyObject *self, void *closure)
{
    return PyBool_FromLong(slp_in_chain(SLP_TASKLET(self)));
}

static PyObject *
get_blocked(PyObject *self, void *closure)
{
    return PyBool_FromLong(SLP_TASKLET(self)->flags.blocked != 0);
}

static PyObject *
get_restorable(PyObject *self, void *closure)
{
    return PyBool_FromLong(slp_nesting_level(SLP_TASKLET(self)) == 0);
}

static PyObject *
get_nesting_level(PyObject *self, void *closure)
{
    return PyLong_FromLong(slp_nesting_level(SLP_TASKLET(self)));
}

static PyObject *
get_is_main(PyObject *self, void *closure)
{
    return PyBool_FromLong(SLP_TASKLET(self)->flags.is_main);
}

static PyObject *
get_is_current(PyObject *self, void *closure)
{
    return PyBool_FromLong(is_current(SLP_TASKLET(self)));
}

static PyObject *
get_next(PyObject *self, void *closure)
{
    return or_none(SLP_TASKLET(self)->next);
}

static PyObject *
get_prev(PyObject *self, void *closure)
{
    return or_none(SLP_TASKLET(self)->prev);
}

static PyObject *
get_channel(PyObject *self, void *closure)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    return or_none(t->flags.blocked ? t->channel : NULL);
}

static PyObject *
get_frame(PyObject *self, void *closure)
{
    _PyInterpreterFrame *frame = slp_tasklet_python_frame(SLP_TASKLET(self));
    if (frame == NULL)
        Py_RETURN_NONE;
    return Py_XNewRef(_PyFrame_GetFrameObject(frame));
}

int
slp_tasklet_recursion_depth(PyTaskletObject *t)
{
    PyThreadState *tstate = t->thread->tstate;
    return is_current(t) ? tstate->recursion_limit - tstate->recursion_remaining : t->recursion_depth;
}

static PyObject *
get_recursion_depth(PyObject *self, void *closure)
{
    return PyLong_FromLong(slp_tasklet_recursion_depth(SLP_TASKLET(self)));
}

static PyObject *
get_thread_id(PyObject *self, void *closure)
{
    slp_thread *th = slp_tasklet_thread(SLP_TASKLET(self));
    return th != NULL ? PyLong_FromUnsignedLong(th->tstate->thread_id) : PyLong_FromLong(-1);
}

static PyObject *
get_context_id(PyObject *self, void *closure)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    PyObject *context = is_current(t) ? slp_share_context(&t->thread->tstate->context)
                                     : Py_XNewRef(t->context);
    if (context == NULL && PyErr_Occurred())
        return NULL;
    PyObject *id = PyLong_FromVoidPtr(context);
    Py_XDECREF(context);
    return id;
}

static PyObject *
get_tempval(PyObject *self, void *closure)
{
    PyObject *value = SLP_TASKLET(self)->tempval;
    return Py_NewRef(value == SLP_SELF ? self : value);
}

static int
set_tempval(PyObject *self, PyObject *value, void *closure)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "tasklet.tempval cannot be deleted");
        return -1;
    }
    PyObject *old = SLP_TASKLET(self)->tempval;
    SLP_TASKLET(self)->tempval = Py_NewRef(value);
    Py_DECREF(old);
    return 0;
}

static PyObject *
get_block_trap(PyObject *self, void *closure)
{
    return PyBool_FromLong(SLP_TASKLET(self)->flags.block_trap);
}

static int
set_block_trap(PyObject *self, PyObject *value, void *closure)
{
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "tasklet.block_trap cannot be deleted");
        return -1;
    }
    if (!PyLong_Check(value)) {
        PyErr_Format(PyExc_TypeError, "tasklet.block_trap must be a bool or an int, not %.200s",
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    SLP_TASKLET(self)->flags.block_trap = PyObject_IsTrue(value) == 1;
    return 0;
}

/* --- flags --- */

static PyObject *
get_atomic(PyObject *self, void *closure)
{
    return PyBool_FromLong(SLP_TASKLET(self)->flags.atomic);
}

static PyObject *
get_ignore_nesting(PyObject *self, void *closure)
{
    return PyBool_FromLong(SLP_TASKLET(self)->flags.ignore_nesting);
}

int
slp_flag_arg(const char *method, PyObject *value)
{
    if (PyLong_Check(value)) {
        return PyObject_IsTrue(value);
    }
    PyErr_Format(PyExc_TypeError, "%s() argument must be a bool or an int, not %.200s", method,
                 Py_TYPE(value)->tp_name);
    return -1;
}

const char slp_set_atomic_doc[] =
"set_atomic($self, flag, /)\n"
"--\n\n"
"Let nothing interrupt the tasklet while flag (a bool or int) is true; returns\n"
"the old value, a bool.\n\n"
"While an atomic tasklet runs, the watchdog does not interrupt it, and the\n"
"interpreter handles no signals and gives no other thread its turn.  The\n"
"tasklet may still switch, or wait for something, itself.\n\n"
"TypeError if flag is of another type.  `with atomic():` does the same for the\n"
"current tasklet.\n\n"
"    old = getcurrent().set_atomic(True)";

PyObject *
slp_tasklet_set_atomic(PyObject *self, PyObject *flag)
{
    int value = slp_flag_arg("set_atomic", flag);
    if (value < 0) {
        return NULL;
    }
    bool old = SLP_TASKLET(self)->flags.atomic;
    SLP_TASKLET(self)->flags.atomic = value;
    return PyBool_FromLong(old);
}

const char slp_set_ignore_nesting_doc[] =
"set_ignore_nesting($self, flag, /)\n"
"--\n\n"
"Let the watchdog interrupt the tasklet also inside of C functions, if flag (a\n"
"bool or int) is true; returns the old value, a bool.\n\n"
"TypeError if flag is of another type.";

PyObject *
slp_tasklet_set_ignore_nesting(PyObject *self, PyObject *flag)
{
    int value = slp_flag_arg("set_ignore_nesting", flag);
    if (value < 0) {
        return NULL;
    }
    bool old = SLP_TASKLET(self)->flags.ignore_nesting;
    SLP_TASKLET(self)->flags.ignore_nesting = value;
    return PyBool_FromLong(old);
}

/* --- what else it shows --- */

static PyObject *
get_name(PyObject *self, void *closure)
{
    return slp_tasklet_get_name(SLP_TASKLET(self));
}

static int
set_name(PyObject *self, PyObject *value, void *closure)
{
    return slp_tasklet_set_name(SLP_TASKLET(self), value);
}

static PyObject *
get_pinned(PyObject *self, void *closure)
{
    return slp_pinned_by(SLP_TASKLET(self));
}

/* What historic Stackless shows as the C stack that it has saved. */
static PyObject *
get_cstate(PyObject *self, void *closure)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    if (!t->flags.pinned || t->flags.is_main) {
        Py_RETURN_NONE;
    }
    PyObject *kwargs = Py_BuildValue("{s:O,s:n,s:i}", "task", self, "size",
                                     (Py_ssize_t)(t->carrier->high - (char *)t->carrier->sp), "nesting_level",
                                     slp_nesting_level(t));
    PyObject *result = kwargs != NULL ? _PyNamespace_New(kwargs) : NULL;
    Py_XDECREF(kwargs);
    return result;
}

static PyObject *
get_trace(PyObject *self, void *profile)
{
    return slp_tasklet_get_trace(SLP_TASKLET(self), profile != NULL);
}

static int
set_trace(PyObject *self, PyObject *value, void *profile)
{
    return slp_tasklet_set_trace(SLP_TASKLET(self), profile != NULL, value);
}

PyGetSetDef slp_tasklet_getset[] = {
    {"alive", get_alive, NULL, "has something left to run"},
    {"paused", get_paused, NULL, "alive, but neither in the run queue nor blocked on a channel"},
    {"scheduled", get_scheduled, NULL, "in the run queue, or in the queue of a channel"},
    {"blocked", get_blocked, NULL, "waits on a channel"},
    {"restorable", get_restorable, NULL, "it is not inside of C functions, which pickling would lose"},
    {"nesting_level", get_nesting_level, NULL, "number of C functions that it is inside of"},
    {"pinned", get_pinned, NULL,
     "the innermost C function that it is inside of, or a str that says what C is doing; None if it is not"},
    {"cstate", get_cstate, NULL,
     "of one suspended inside of C functions: a namespace with the `size` of its C stack; else None"},
    {"name", get_name, set_name, "a str for people to read, or None"},
    {"trace_function", get_trace, set_trace,
     "the function that sys.settrace() has set in the tasklet, or None", NULL},
    {"profile_function", get_trace, set_trace,
     "the function that sys.setprofile() has set in the tasklet, or None", (void *)1},
    {"is_main", get_is_main, NULL, "the main tasklet of its thread"},
    {"is_current", get_is_current, NULL, "the current tasklet of its thread"},
    {"next", get_next, NULL, "the next one in the run queue (a ring) or in a channel's queue, or None"},
    {"prev", get_prev, NULL, "the previous one in the run queue (a ring) or in a channel's queue, or None"},
    {"_channel", get_channel, NULL, "the channel it is blocked on, or None"},
    {"frame", get_frame, NULL, "its innermost Python frame, or None before it starts and after it ended"},
    {"recursion_depth", get_recursion_depth, NULL, "depth of its Python calls"},
    {"thread_id", get_thread_id, NULL, "id of its thread, -1 if that has ended"},
    {"context_id", get_context_id, NULL, "id() of its contextvars context"},
    {"atomic", get_atomic, NULL, "nothing interrupts it, see set_atomic()"},
    {"ignore_nesting", get_ignore_nesting, NULL,
     "the watchdog interrupts it also inside of C functions, see set_ignore_nesting()"},
    {"run_time", slp_tasklet_get_run_time, NULL,
     "seconds for which it has run while set_accounting() was on, a float"},
    {"switch_count", slp_tasklet_get_switch_count, NULL,
     "how often it was switched to while set_accounting() was on"},
    {"tempval", get_tempval, set_tempval, "the value that it gets when it resumes"},
    {"block_trap", get_block_trap, set_block_trap, "blocking on a channel raises RuntimeError instead"},
    {NULL},
};
