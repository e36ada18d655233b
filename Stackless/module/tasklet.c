/* The tasklet type: what Python code sees of a tasklet (slp_tasklet.h).
 *
 * Budget: creating, running and ending one takes 100 ns in all, 50 where many run one after the other
 * (Tools/bench).  Reusing the memory of dead ones (slp_spares.h), ending without a mail to the next one where
 * nothing can happen (ends_quietly() in switch.c), and asking for this type first where instances are called
 * took it from 1,910 and 1,510 instructions to 1,590 and 1,090.
 */
#include "slp_tasklet.h"

#include "slp_channel.h"
#include "slp_idle.h"
#include "slp_module.h"
#include "slp_pickle_tasklet.h"
#include "slp_softcall.h"
#include "slp_spares.h"

#include "internal/pycore_gc.h"

/* This and the frame stack is all that a blocked tasklet costs. */
static_assert(sizeof(void *) != 8 || sizeof(PyTaskletObject) + sizeof(PyGC_Head) <= 160,
              "a tasklet object must fit its budget");

/* --- making and freeing --- */

/* A new, unbound tasklet of exactly this type, not yet known to the collector. */
static inline PyTaskletObject *
new_exact(slp_thread *th)
{
    PyTaskletObject *t = slp_spare_tasklet_take();
    if (SLP_UNLIKELY(t == NULL)) {
        t = PyObject_GC_New(PyTaskletObject, &PyTasklet_Type);
        if (t == NULL)
            return NULL;
        memset((char *)t + sizeof(PyObject), 0, sizeof(PyTaskletObject) - sizeof(PyObject));
        t->tempval = Py_NewRef(Py_None);
    }
    t->thread = slp_thread_hold(th);
    return t;
}

PyTaskletObject *
slp_tasklet_new_plain(slp_thread *th)
{
    PyTaskletObject *t = new_exact(th);
    if (t != NULL)
        _PyObject_GC_TRACK(t);
    return t;
}

PyTaskletObject *
slp_tasklet_new_main(slp_thread *th)
{
    /* A thread may want its main tasklet before anybody imports the module. */
    if (PyType_Ready(&PyTasklet_Type) < 0)
        return NULL;
    PyTaskletObject *t = new_exact(th);
    if (t == NULL)
        return NULL;
    t->flags.is_main = 1;
    Py_INCREF(t);
    t->next = t->prev = t;
    th->runcount = 1;
    _PyObject_GC_TRACK(t);
    return t;
}

static PyObject *
tasklet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL)
        return NULL;
    if (type == &PyTasklet_Type)
        return (PyObject *)slp_tasklet_new_plain(th);
    PyTaskletObject *t = (PyTaskletObject *)type->tp_alloc(type, 0);
    if (t != NULL) {
        t->thread = slp_thread_hold(th);
        t->tempval = Py_NewRef(Py_None);
    }
    return (PyObject *)t;
}

void
slp_tasklet_drop_trace(PyTaskletObject *t)
{
    slp_trace_state *trace = t->trace;
    if (trace == NULL)
        return;
    t->trace = NULL;
    Py_XDECREF(trace->traceobj);
    Py_XDECREF(trace->profileobj);
    PyMem_Free(trace);
}

slp_tasklet_extra *
slp_tasklet_get_extra(PyTaskletObject *t)
{
    if (t->extra == NULL)
        t->extra = PyMem_Calloc(1, sizeof(slp_tasklet_extra));
    return t->extra;
}

/* Free what `t->extra` points to. */
SLP_COLD static void
drop_extra(PyTaskletObject *t)
{
    slp_tasklet_extra *extra = t->extra;
    t->extra = NULL;
    Py_XDECREF(extra->name);
    Py_XDECREF(extra->slept);
    if (extra->destroy != NULL) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        extra->destroy(extra->user_data);
        PyErr_Restore(type, value, traceback);
    }
    PyMem_Free(extra);
}

static int
tasklet_traverse(PyObject *self, visitproc visit, void *arg)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (t->flags.pinned && !slp_pinned_finalizes(t))
        return 0;   /* it may live on, so what it refers to is not to be cleared */
    Py_VISIT(t->channel);
    Py_VISIT(t->tempval);
    Py_VISIT(t->context);
    Py_VISIT(t->exc_state.exc_value);
    if (t->extra != NULL) {
        Py_VISIT(t->extra->name);
        Py_VISIT(t->extra->slept);
    }
    if (t->trace != NULL) {
        Py_VISIT(t->trace->traceobj);
        Py_VISIT(t->trace->profileobj);
    }
    return slp_tasklet_traverse_frames(t, visit, arg);
}

/* Release what it holds but its thread.  It is in no chain. */
static void
drop_contents(PyTaskletObject *t)
{
    assert(!slp_in_chain(t) && !t->flags.waits_in_run);
    if (t->flags.pinned)
        slp_pinned_forget(t);
    if (t->frame != NULL)
        slp_tasklet_drop_frames(t);
    slp_tasklet_drop_trace(t);
    t->exc_info = NULL;
    Py_CLEAR(t->exc_state.exc_value);
    Py_CLEAR(t->context);
    Py_SETREF(t->tempval, Py_NewRef(Py_None));
}

/* Only garbage is cleared: not current, in no run queue, not waiting in run(), but maybe blocked on
 * a channel that is garbage as well. */
static int
tasklet_clear(PyObject *self)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (t->flags.pinned && t->thread->tstate != NULL) {
        /* Others have been killed, or keep themselves.  This one is, when its last reference goes. */
        assert(!slp_pinned_finalizes(t));
        return 0;
    }
    if (t->flags.blocked) {
        PyChannelObject *channel;
        slp_channel_unlink(t, &channel);
        Py_DECREF(channel);
        Py_DECREF(t);
    }
    if (t->extra != NULL)
        Py_CLEAR(t->extra->name);
    drop_contents(t);
    return 0;
}

/* The last part of dealloc. */
static inline void
free_object(PyTaskletObject *t)
{
    slp_thread_release(t->thread);
    if (SLP_LIKELY(slp_spare_tasklet_give(t)))
        return;
    Py_DECREF(t->tempval);
    Py_TYPE(t)->tp_free((PyObject *)t);
}

/* Let a pinned tasklet die that nobody refers to.  False: it lives on.  A __del__() of its class has been
 * called already, and need not have killed it. */
SLP_COLD static bool
finish_pinned(PyTaskletObject *t)
{
    do {
        Py_SET_REFCNT(t, 1);
        slp_pinned_finalize((PyObject *)t);
        Py_SET_REFCNT(t, Py_REFCNT(t) - 1);
    } while (Py_REFCNT(t) == 0 && t->flags.pinned && t->thread->tstate != NULL);
    if (Py_REFCNT(t) == 0)
        return true;
    /* The base is about to drop the type of a subclass. */
    if (Py_TYPE(t)->tp_flags & Py_TPFLAGS_HEAPTYPE)
        Py_INCREF(Py_TYPE(t));
    return false;
}

/* Free one whose contents may hold further tasklets, and those others, to any depth. */
static void
dealloc_nested(PyObject *self)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    Py_TRASHCAN_BEGIN(t, PyTasklet_Type.tp_dealloc)
    drop_contents(t);
    free_object(t);
    Py_TRASHCAN_END
}

static void
tasklet_dealloc(PyObject *self)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (SLP_UNLIKELY(t->flags.pinned) && !finish_pinned(t))
        return;
    if (_PyObject_GC_IS_TRACKED(t))
        _PyObject_GC_UNTRACK(t);
    if (SLP_UNLIKELY(t->extra != NULL))
        drop_extra(t);
    if (t->weakrefs != NULL)
        PyObject_ClearWeakRefs(self);
    if (t->frame != NULL || t->tempval != Py_None || t->exc_state.exc_value != NULL || t->trace != NULL) {
        dealloc_nested(self);
        return;
    }
    assert(!slp_in_chain(t) && !t->flags.waits_in_run);
    Py_CLEAR(t->context);
    free_object(t);
}

/* --- binding and starting --- */

/* Raise TypeError unless `func` is callable. */
static inline int
check_callable(PyObject *func)
{
    if (SLP_LIKELY(Py_TYPE(func)->tp_call != NULL))
        return 0;
    PyErr_Format(PyExc_TypeError, "tasklet function must be callable, not %.200s", Py_TYPE(func)->tp_name);
    return -1;
}

/* May the tasklet be bound anew or unbound?  With `keep_func` it must have a function already. */
static slp_refusal
why_not_bind(const PyTaskletObject *t, bool keep_func)
{
    if (t->thread->current == t)
        return TASKLET_CURRENT;
    if (t->flags.is_main)
        return TASKLET_MAIN;
    if (t->flags.blocked)
        return TASKLET_BLOCKED;
    if (slp_in_chain(t))
        return TASKLET_SCHEDULED;
    if (t->flags.waits_in_run)
        return TASKLET_WAITS_IN_RUN;
    if (t->flags.pinned)
        return TASKLET_PINNED;
    if (keep_func && (t->frame != NULL || !PyCallable_Check(t->tempval)))
        return TASKLET_UNBOUND;
    return TASKLET_OK;
}

/* A copy of the keyword arguments, NULL where there are none.  -1 with an exception.  Making it may run any
 * code (the collector, __eq__ of keys), so that it comes before a tasklet is looked at. */
static int
copy_kwargs(PyObject *kwargs, PyObject **copy)
{
    *copy = NULL;
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) > 0) {
        *copy = PyDict_Copy(kwargs);
        return *copy != NULL ? 0 : -1;
    }
    return 0;
}

/* bind(); NULL stands for None.  Whatever runs arbitrary code comes before or after the steps that
 * change the tasklet, and what it may have done to the tasklet is checked again. */
int
slp_tasklet_bind(PyTaskletObject *t, PyObject *func, PyObject *args, PyObject *kwargs)
{
    PyObject *arg_tuple = NULL, *own_kwargs = NULL, *context = NULL, *old = NULL, *old_context = NULL;
    int result = -1;
    slp_refusal why;

    if (func != NULL && check_callable(func) < 0)
        return -1;
    if (kwargs != NULL && !PyDict_Check(kwargs)) {
        PyErr_Format(PyExc_TypeError, "tasklet argument 'kwargs' must be a dict or None, not %.200s",
                     Py_TYPE(kwargs)->tp_name);
        return -1;
    }
    if (args == NULL)
        arg_tuple = PyTuple_New(0);
    else if (PyTuple_Check(args))
        arg_tuple = Py_NewRef(args);
    else if (PyList_Check(args))
        arg_tuple = PyList_AsTuple(args);
    else
        PyErr_Format(PyExc_TypeError, "tasklet argument 'args' must be a tuple, a list or None, not %.200s",
                     Py_TYPE(args)->tp_name);
    if (arg_tuple == NULL)
        return -1;
    if (copy_kwargs(kwargs, &own_kwargs) < 0)
        goto done;
    if (func != NULL) {
        context = slp_share_context(&_PyThreadState_GET()->context);
        if (context == NULL)
            goto done;
    }

    bool start = args != NULL || kwargs != NULL;
    while ((why = why_not_bind(t, start && func == NULL)) == TASKLET_OK && t->frame != NULL)
        slp_tasklet_drop_frames(t);
    if (why != TASKLET_OK) {
        slp_refuse("bind", why);
        goto done;
    }

    if (func != NULL) {
        old = t->tempval;
        t->tempval = Py_NewRef(func);
        old_context = t->context;
        t->context = Py_NewRef(context);
    }
    else if (!start) {
        old = t->tempval;
        t->tempval = Py_NewRef(Py_None);
    }
    if (start) {
        if (slp_tasklet_make_stack(t, t->tempval, arg_tuple, own_kwargs) < 0)
            goto done;
        slp_tasklet_check(t);
        /* The frame stack holds the callable. */
        slp_settle(t);
        slp_thread *th = slp_tasklet_thread(t);
        if (th != NULL && SLP_UNLIKELY(slp_is_traced(th->tstate)) && slp_tasklet_trace_as_thread(t) < 0)
            goto done;
    }
    result = 0;

done:
    Py_XDECREF(old);
    Py_XDECREF(old_context);
    Py_XDECREF(context);
    Py_XDECREF(own_kwargs);
    Py_DECREF(arg_tuple);
    return result;
}

static inline PyObject *
none_to_null(PyObject *arg)
{
    return arg == Py_None ? NULL : arg;
}

static int
tasklet_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"func", "args", "kwargs", NULL};
    PyObject *func = Py_None, *func_args = Py_None, *func_kwargs = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOO:tasklet", names, &func, &func_args, &func_kwargs))
        return -1;
    return slp_tasklet_bind((PyTaskletObject *)self, none_to_null(func), none_to_null(func_args),
                none_to_null(func_kwargs));
}

/* Sort the arguments of bind() and tasklet() into out[3], NULL for None or absent; borrowed. */
static inline bool
parse_bind_args(_PyArg_Parser *parser, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                PyObject *out[3])
{
    PyObject *buffer[3] = {NULL, NULL, NULL};
    PyObject *const *got = _PyArg_UnpackKeywords(args, nargs, NULL, kwnames, parser, 0, 3, 0, buffer);
    if (got == NULL)
        return false;
    /* With keywords the result has all slots, without it is `args`, and ends after nargs. */
    for (int i = 0; i < 3; i++)
        out[i] = i < nargs || kwnames != NULL ? none_to_null(got[i]) : NULL;
    return true;
}

static const char *const bind_keywords[] = {"func", "args", "kwargs", NULL};

/* tasklet(...), for this very type: __new__ and __init__ in one. */
static PyObject *
tasklet_vectorcall(PyObject *type, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    static _PyArg_Parser parser = {.keywords = bind_keywords, .fname = "tasklet"};
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_peek(tstate);
    PyObject *parts[3] = {NULL, NULL, NULL};
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);

    if (SLP_UNLIKELY(th == NULL)) {
        th = slp_thread_get(tstate);
        if (th == NULL)
            return NULL;
    }
    if (SLP_LIKELY(nargs == 1 && kwnames == NULL && args[0] != Py_None)) {
        /* Bound to a function and no more: nothing but the fields has to be set. */
        if (check_callable(args[0]) < 0)
            return NULL;
        PyObject *context = slp_share_context(&tstate->context);
        if (context == NULL)
            return NULL;
        PyTaskletObject *t = new_exact(th);
        if (t == NULL) {
            Py_DECREF(context);
            return NULL;
        }
        t->context = context;
        slp_set_tempval(t, Py_NewRef(args[0]));
        _PyObject_GC_TRACK(t);
        return (PyObject *)t;
    }
    if (!parse_bind_args(&parser, args, nargs, kwnames, parts))
        return NULL;
    PyTaskletObject *t = new_exact(th);
    if (t == NULL)
        return NULL;
    _PyObject_GC_TRACK(t);
    if ((parts[0] != NULL || parts[1] != NULL || parts[2] != NULL)
        && slp_tasklet_bind(t, parts[0], parts[1], parts[2]) < 0) {
        Py_DECREF(t);
        return NULL;
    }
    return (PyObject *)t;
}

PyDoc_STRVAR(bind_doc,
"bind($self, /, func=None, args=None, kwargs=None)\n"
"--\n\n"
"Bind the tasklet to a function; returns the tasklet.\n\n"
"With func alone the tasklet waits for its arguments (see setup()).  With args\n"
"(a tuple or list) or kwargs (a dict) it is alive, but paused: insert() or run()\n"
"starts it; func None keeps the function that it was bound to.  Without any\n"
"argument it is unbound.  The frames of a paused tasklet are dropped, without\n"
"running their finally blocks.  The tasklet shares the contextvars context of\n"
"the caller.\n\n"
"TypeError for wrong types; RuntimeError if the tasklet is current, scheduled,\n"
"blocked, waits in run(), is a main tasklet, or has no function.\n\n"
"    t = tasklet().bind(print, (\"hello\",))\n"
"    t.insert()");

static PyObject *
tasklet_bind(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static _PyArg_Parser parser = {.keywords = bind_keywords, .fname = "bind"};
    PyObject *parts[3];
    if (!parse_bind_args(&parser, args, nargs, kwnames, parts)
        || slp_tasklet_bind((PyTaskletObject *)self, parts[0], parts[1], parts[2]) < 0)
        return NULL;
    return Py_NewRef(self);
}

PyDoc_STRVAR(setup_doc,
"setup($self, /, *args, **kwargs)\n"
"--\n\n"
"Give the function of a bound tasklet its arguments and put the tasklet at the\n"
"end of the run queue of its thread; returns the tasklet.\n\n"
"Calling the tasklet does the same.  RuntimeError if it is alive, or not bound\n"
"to a function.\n\n"
"    tasklet(print)(\"hello\")\n"
"    run()");

/* May it be set up?  Then the thread; else NULL with RuntimeError. */
static inline slp_thread *
check_setup(PyTaskletObject *t)
{
    slp_thread *th = slp_tasklet_thread(t);
    slp_refusal why = TASKLET_OK;
    if (SLP_UNLIKELY(th == NULL))
        why = TASKLET_NO_THREAD;
    else if (SLP_UNLIKELY(t->frame != NULL || t == th->current || t->flags.is_main))
        why = TASKLET_ALIVE;
    else if (SLP_UNLIKELY(Py_TYPE(t->tempval)->tp_call == NULL))
        why = TASKLET_UNBOUND;
    if (SLP_LIKELY(why == TASKLET_OK))
        return th;
    slp_refuse("setup", why);
    return NULL;
}

/* Put a tasklet whose frames were made into the run queue. */
static inline PyObject *
schedule_new(slp_thread *th, PyTaskletObject *t)
{
    slp_tasklet_check(t);
    slp_ring_append(th, (PyTaskletObject *)Py_NewRef(t));
    if (SLP_LIKELY(_PyObject_GC_IS_TRACKED(t)))
        _PyObject_GC_UNTRACK(t);
    slp_idle_notify(th);
    /* The frame stack holds the callable. */
    slp_settle(t);
    if (SLP_UNLIKELY(slp_is_traced(th->tstate)) && slp_tasklet_trace_as_thread(t) < 0)
        return NULL;
    return Py_NewRef(t);
}

PyObject *
slp_tasklet_setup(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    PyObject *own_kwargs;
    if (copy_kwargs(kwargs, &own_kwargs) < 0)
        return NULL;
    slp_thread *th = check_setup(t);
    int made = th != NULL ? slp_tasklet_make_stack(t, t->tempval, args, own_kwargs) : -1;
    PyObject *result = made == 0 ? schedule_new(th, t) : NULL;
    Py_XDECREF(own_kwargs);
    return result;
}

/* slp_module.h: the same, called by Python code, which offers the arguments as they stand on its stack. */
PyObject *
slp_tasklet_soft_setup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                       PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (kwnames != NULL)
        return SLP_NOT_SOFT;
    slp_thread *th = check_setup(t);
    if (th == NULL)
        return NULL;
    int made = slp_tasklet_make_frames(t, t->tempval, args, nargs);
    if (made <= 0)
        return made < 0 ? NULL : SLP_NOT_SOFT;
    return schedule_new(th, t);
}

/* --- scheduling --- */

PyDoc_STRVAR(insert_doc,
"insert($self, /)\n"
"--\n\n"
"Put a paused tasklet at the end of the run queue of its thread; returns the\n"
"tasklet.  Does nothing if it is there already.\n\n"
"RuntimeError if it is blocked on a channel, or not alive.");

PyObject *
slp_tasklet_insert(PyObject *self, PyObject *noargs)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (t->flags.blocked)
        return slp_refuse("insert", TASKLET_BLOCKED);
    if (slp_tasklet_thread(t) == NULL)
        return slp_refuse("insert", TASKLET_NO_THREAD);
    if (!slp_tasklet_alive(t))
        return slp_refuse("insert", TASKLET_DEAD);
    if (!slp_in_chain(t))
        slp_scheduler_wake(t, slp_ring_head(t->thread));
    slp_scheduler_check(t->thread);
    return Py_NewRef(self);
}

PyDoc_STRVAR(remove_doc,
"remove($self, /)\n"
"--\n\n"
"Take a tasklet out of the run queue, so that it is paused; returns the tasklet.\n"
"Does nothing if it is not in the queue.\n\n"
"RuntimeError if it is current, a main tasklet, or blocked on a channel.");

PyObject *
slp_tasklet_remove(PyObject *self, PyObject *noargs)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (t->flags.blocked)
        return slp_refuse("remove", TASKLET_BLOCKED);
    if (slp_in_chain(t)) {
        if (slp_ring_head(t->thread) == t)
            return slp_refuse("remove", t == t->thread->current ? TASKLET_CURRENT : TASKLET_NEXT);
        if (t->flags.is_main)
            return slp_refuse("remove", TASKLET_MAIN);
        slp_ring_unlink(t->thread, t);
        slp_scheduler_check(t->thread);
        /* The caller holds it. */
        assert(Py_REFCNT(t) > 1);
        Py_DECREF(t);
    }
    return Py_NewRef(self);
}

void
slp_tasklet_make_next(PyTaskletObject *t)
{
    slp_thread *th = t->thread;
    PyTaskletObject *head = slp_ring_head(th);
    if (t == head)
        return;
    if (slp_in_chain(t)) {
        slp_ring_unlink(th, t);
        slp_ring_insert(th, head->next, t);
        slp_idle_notify(th);
    }
    else {
        slp_scheduler_wake(t, head->next);
    }
}

/* run(), and switch() if the caller leaves the queue. */
static inline PyObject *
switch_to(PyObject *self, const char *method, bool leave)
{
    bool soft;
    slp_thread *th = slp_scheduler_approach(&soft);
    if (th == NULL)
        return NULL;
    PyTaskletObject *t = (PyTaskletObject *)self;
    PyTaskletObject *current = th->current;

    if (SLP_LIKELY(!slp_is_between(th)))
        slp_settle(current);
    if (t == current)
        Py_RETURN_NONE;
    if (SLP_UNLIKELY(t->thread->tstate == NULL))
        return slp_refuse(method, TASKLET_NO_THREAD);
    if (SLP_UNLIKELY(t->thread != th && leave))
        return slp_refuse(method, TASKLET_OTHER_THREAD);
    if (SLP_UNLIKELY(t->flags.blocked))
        return slp_refuse(method, TASKLET_BLOCKED);
    if (SLP_UNLIKELY(!slp_tasklet_alive(t)))
        return slp_refuse(method, TASKLET_DEAD);
    if (SLP_UNLIKELY(t->thread != th)) {
        slp_tasklet_make_next(t);
        Py_RETURN_NONE;
    }
    if (slp_check_switch(th, soft) < 0)
        return NULL;
    if (!slp_in_chain(t))
        slp_scheduler_wake(t, current);
    if (leave) {
        slp_ring_unlink(th, current);
        Py_DECREF(current);
    }
    return slp_switch(th, t, soft);
}

PyDoc_STRVAR(run_doc,
"run($self, /)\n"
"--\n\n"
"Switch to the tasklet now; returns None when the caller's turn comes again.\n\n"
"The caller stays in the run queue.  A paused tasklet is put just before it, so\n"
"that the caller is next when the tasklet yields; if the tasklet is in the queue\n"
"already, those between it and the caller run first.  A tasklet of another\n"
"thread becomes the next one there, and the caller goes on.\n\n"
"RuntimeError if it is blocked on a channel, or not alive.");

PyObject *
slp_tasklet_run(PyObject *self, PyObject *noargs)
{
    return switch_to(self, "run", false);
}

PyDoc_STRVAR(switch_doc,
"switch($self, /)\n"
"--\n\n"
"Switch to the tasklet now, and pause the caller: like run(), but the caller\n"
"leaves the run queue.\n\n"
"RuntimeError as for run(), and for a tasklet of another thread.");

PyObject *
slp_tasklet_switch(PyObject *self, PyObject *noargs)
{
    return switch_to(self, "switch", true);
}

static PyMethodDef tasklet_methods[] = {
    {"bind", _PyCFunction_CAST(tasklet_bind), METH_FASTCALL | METH_KEYWORDS, bind_doc},
    {"setup", _PyCFunction_CAST(slp_tasklet_setup), METH_VARARGS | METH_KEYWORDS, setup_doc},
    {"insert", slp_tasklet_insert, METH_NOARGS, insert_doc},
    {"remove", slp_tasklet_remove, METH_NOARGS, remove_doc},
    {"run", slp_tasklet_run, METH_NOARGS | SLP_METH_STACKLESS, run_doc},
    {"switch", slp_tasklet_switch, METH_NOARGS | SLP_METH_STACKLESS, switch_doc},
    {"throw", _PyCFunction_CAST(slp_tasklet_throw), METH_FASTCALL | METH_KEYWORDS | SLP_METH_STACKLESS,
     slp_throw_doc},
    {"kill", _PyCFunction_CAST(slp_tasklet_kill), METH_FASTCALL | METH_KEYWORDS | SLP_METH_STACKLESS,
     slp_kill_doc},
    {"raise_exception", _PyCFunction_CAST(slp_tasklet_raise_exception), METH_FASTCALL | SLP_METH_STACKLESS,
     slp_raise_exception_doc},
    {"context_run", _PyCFunction_CAST(slp_tasklet_context_run), METH_FASTCALL | METH_KEYWORDS,
     slp_context_run_doc},
    {"set_context", slp_tasklet_set_context, METH_O, slp_set_context_doc},
    {"bind_thread", _PyCFunction_CAST(slp_tasklet_bind_thread),
     METH_FASTCALL | METH_KEYWORDS, slp_bind_thread_doc},
    {"stack", slp_tasklet_stack, METH_NOARGS, slp_stack_doc},
    {"set_atomic", slp_tasklet_set_atomic, METH_O, slp_set_atomic_doc},
    {"__reduce__", slp_tasklet_reduce, METH_NOARGS, slp_tasklet_reduce_doc},
    {"__setstate__", slp_tasklet_setstate, METH_O, slp_tasklet_setstate_doc},
    {"set_ignore_nesting", slp_tasklet_set_ignore_nesting, METH_O, slp_set_ignore_nesting_doc},
    {NULL},
};

PyDoc_STRVAR(tasklet_doc,
"tasklet(func=None, args=None, kwargs=None)\n"
"--\n\n"
"A thread of execution that is scheduled by the program itself.\n\n"
"Calling the tasklet supplies the arguments of func and puts it into the run\n"
"queue of the thread that created it; with args or kwargs it has them already,\n"
"and is paused: see bind(), whose arguments and errors these are.  The value\n"
"that func returns is dropped; an exception that it does not catch is raised by\n"
"the innermost run() that waits, else in the main tasklet.\n\n"
"    def hello(name):\n"
"        print(\"hello\", name)\n\n"
"    tasklet(hello)(\"world\")\n"
"    run()");

PyTypeObject PyTasklet_Type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless.tasklet",
    .tp_basicsize = sizeof(PyTaskletObject),
    .tp_dealloc = tasklet_dealloc,
    .tp_repr = slp_tasklet_repr,
    .tp_call = slp_tasklet_setup,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .tp_doc = tasklet_doc,
    .tp_traverse = tasklet_traverse,
    .tp_clear = tasklet_clear,
    .tp_weaklistoffset = offsetof(PyTaskletObject, weakrefs),
    .tp_methods = tasklet_methods,
    .tp_getset = slp_tasklet_getset,
    .tp_init = tasklet_init,
    .tp_alloc = PyType_GenericAlloc,
    .tp_new = tasklet_new,
    .tp_free = PyObject_GC_Del,
    .tp_finalize = slp_pinned_finalize,
    .tp_vectorcall = tasklet_vectorcall,
};
