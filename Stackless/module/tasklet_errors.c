/* Raising exceptions in other tasklets: throw(), kill(), raise_exception().
 *
 *   the tasklet is            what happens to it, before the switch (if pending is false) to it
 *   current                   the exception is raised at once, nothing else
 *   scheduled                 keeps its place; those between it and the caller run before the caller
 *   paused, never started     goes to the end of the run queue, so that the caller comes after it
 *   blocked                   the same; it leaves the channel, and what it was about to send is dropped
 *   waiting in run()          the same; that wait is over, and so are those of the inner callers
 *   of another thread         the same there; if pending is false it is the next one there
 *   current in another thread it is raised there when the thread looks at its eval breaker
 *   not alive                 RuntimeError, but for TaskletExit, which it does not need
 */
#include "slp_bomb.h"
#include "slp_channel.h"
#include "slp_idle.h"
#include "slp_module.h"

void
slp_tasklet_arm(PyTaskletObject *t, PyObject *bomb)
{
    slp_thread *th = t->thread;
    PyTaskletObject *head = slp_ring_head(th);
    PyChannelObject *channel = NULL;
    PyObject *displaced = t->tempval;
    t->tempval = bomb;
    if (t->flags.blocked) {
        slp_channel_unlink(t, &channel);
        slp_ring_insert(th, head, t);
        slp_idle_notify(th);
    }
    else if (!slp_in_chain(t)) {
        slp_scheduler_wake(t, head);
    }
    Py_DECREF(displaced);
    Py_XDECREF(channel);
}

/* Send `bomb` (stolen) to a tasklet that another thread runs at the moment.  -1 with MemoryError. */
static int
post_letter(PyTaskletObject *t, PyObject *bomb)
{
    slp_thread *th = t->thread;
    slp_letter *letter = PyMem_Malloc(sizeof(slp_letter));
    if (letter == NULL) {
        Py_DECREF(bomb);
        PyErr_NoMemory();
        return -1;
    }
    *letter = (slp_letter){.tasklet = (PyTaskletObject *)Py_NewRef(t), .bomb = bomb};
    slp_letter **end = &th->letters;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = letter;
    _PyEval_SignalAsyncExc(th->tstate->interp);
    return 0;
}

int
slp_thread_read_letters(slp_thread *th)
{
    int status = 0;
    slp_thread_drop_survivors(th);
    while (th->letters != NULL && status == 0) {
        slp_letter *letter = th->letters;
        PyTaskletObject *t = letter->tasklet;
        PyObject *bomb = letter->bomb;
        th->letters = letter->next;
        PyMem_Free(letter);
        if (t == th->current && !t->flags.ended) {
            slp_bomb_explode(th->tstate, bomb);
            Py_DECREF(bomb);
            status = -1;
        }
        else if (t->thread->tstate != NULL && slp_tasklet_alive(t) && t->thread->current != t) {
            slp_tasklet_arm(t, bomb);
        }
        else {
            Py_DECREF(bomb);   /* it has ended meanwhile */
        }
        Py_DECREF(t);
    }
    return status;
}

void
slp_thread_drop_letters(slp_thread *th)
{
    while (th->letters != NULL) {
        slp_letter *letter = th->letters;
        th->letters = letter->next;
        Py_DECREF(letter->tasklet);
        Py_DECREF(letter->bomb);
        PyMem_Free(letter);
    }
}

/* Is this about ending the tasklet, and no more? */
static bool
carries_exit(PyObject *bomb)
{
    PyObject *type = ((slp_bomb *)bomb)->type;
    return PyExceptionClass_Check(type) && PyErr_GivenExceptionMatches(type, SLP_TASKLET_EXIT);
}

/* The tasklet's thread has ended: let it be dead, without running any of its code. */
static void
drop_orphan(PyTaskletObject *t)
{
    if (t->flags.blocked) {
        PyChannelObject *channel;
        slp_channel_unlink(t, &channel);
        Py_DECREF(channel);
        Py_DECREF(t);
    }
    if (t->flags.is_main || t->frame == NULL) {
        return;
    }
    if (t->flags.pinned) {
        slp_pinned_forget(t);
    }
    else {
        slp_tasklet_drop_frames(t);
    }
}

/* All three methods.  Steals `bomb`, which is NULL with an exception. */
static PyObject *
raise_in(slp_thread *th, PyTaskletObject *t, const char *method, PyObject *bomb, bool pending, bool soft)
{
    PyTaskletObject *current = th->current;
    if (bomb == NULL) {
        return NULL;
    }
    if (t == current && !t->flags.ended) {
        slp_bomb_explode(th->tstate, bomb);
        Py_DECREF(bomb);
        return NULL;
    }
    bool orphan = slp_tasklet_thread(t) == NULL;
    if (orphan || !slp_tasklet_alive(t)) {
        bool exits = carries_exit(bomb);
        Py_DECREF(bomb);
        if (!exits) {
            return slp_refuse(method, orphan ? TASKLET_NO_THREAD : TASKLET_DEAD);
        }
        if (orphan) {
            drop_orphan(t);
        }
        Py_RETURN_NONE;
    }
    bool here = t->thread == th;
    if (here && !pending && slp_check_switch(th, soft) < 0) {
        Py_DECREF(bomb);
        return NULL;
    }
    if (!here && t == t->thread->current && t->thread->next == NULL) {
        if (post_letter(t, bomb) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    slp_tasklet_arm(t, bomb);
    /* What was dropped may have run any code, even the tasklet itself. */
    if (!here && !pending && t->thread->tstate != NULL && t->next != NULL && !t->flags.blocked) {
        slp_tasklet_make_next(t);
    }
    if (!here || pending) {
        Py_RETURN_NONE;
    }
    slp_settle(current);
    if (t == th->current || t->next == NULL || t->flags.blocked) {
        Py_RETURN_NONE;
    }
    if (slp_check_switch(th, soft) < 0) {
        return NULL;
    }
    return slp_switch(th, t, soft);
}

/* The argument `pending`: 0, 1, or -1 with an exception. */
static int
pending_arg(PyObject *arg)
{
    return arg == NULL ? 0 : PyObject_IsTrue(arg);
}

const char slp_throw_doc[] =
"throw($self, exc, val=None, tb=None, pending=False)\n"
"--\n\n"
"Raise an exception in the tasklet, where it is suspended; returns None.\n\n"
"exc is an exception class with an optional value val, or an instance alone;\n"
"tb is a traceback or None.  The tasklet runs at once; with pending it runs when\n"
"its turn comes, and the caller goes on.  A blocked tasklet leaves its channel.  A\n"
"tasklet that never ran ends with the exception; the current one raises it from\n"
"here.\n\n"
"TypeError if these are no exception; RuntimeError if the tasklet is not alive,\n"
"but for TaskletExit.\n\n"
"    t.throw(ValueError, \"bad input\")";

PyObject *
slp_tasklet_throw(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const keywords[] = {"exc", "val", "tb", "pending", NULL};
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "throw"};
    bool soft;
    slp_thread *th = slp_scheduler_approach(&soft);
    if (th == NULL) {
        return NULL;
    }
    PyObject *buffer[4] = {NULL};
    PyObject *const *got = _PyArg_UnpackKeywords(args, nargs, NULL, kwnames, &parser, 1, 4, 0, buffer);
    if (got == NULL) {
        return NULL;
    }
    /* With keywords the result has all slots, without it is `args`, and ends after nargs. */
    PyObject *parts[4] = {NULL};
    for (int i = 0; i < 4; i++) {
        parts[i] = i < nargs || kwnames != NULL ? got[i] : NULL;
    }
    int pending = pending_arg(parts[3]);
    if (pending < 0) {
        return NULL;
    }
    PyObject *bomb = slp_bomb_from_throw("throw", parts[0], parts[1] != NULL ? parts[1] : Py_None,
                                         parts[2] != NULL ? parts[2] : Py_None);
    return raise_in(th, SLP_TASKLET(self), "throw", bomb, pending, soft);
}

const char slp_kill_doc[] =
"kill($self, /, pending=False)\n"
"--\n\n"
"Raise TaskletExit in the tasklet, so that it ends; returns None.\n\n"
"Order of execution and pending are as in throw().  Does nothing if the tasklet\n"
"is not alive.  If its thread has ended, its frames are dropped without running\n"
"any of their code.  A tasklet that catches TaskletExit lives on.";

PyObject *
slp_tasklet_kill(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const keywords[] = {"pending", NULL};
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "kill"};
    bool soft;
    slp_thread *th = slp_scheduler_approach(&soft);
    if (th == NULL) {
        return NULL;
    }
    int pending = 0;
    if (nargs > 0 || kwnames != NULL) {
        PyObject *buffer[1] = {NULL};
        PyObject *const *got = _PyArg_UnpackKeywords(args, nargs, NULL, kwnames, &parser, 0, 1, 0, buffer);
        if (got == NULL || (pending = pending_arg(got[0])) < 0) {
            return NULL;
        }
    }
    return raise_in(th, SLP_TASKLET(self), "kill", slp_bomb_exit(), pending, soft);
}

const char slp_raise_exception_doc[] =
"raise_exception($self, exc_class, /, *args)\n"
"--\n\n"
"Raise exc_class(*args) in the tasklet, at once: as throw(exc_class(*args)).\n\n"
"TypeError if exc_class is not an exception class; RuntimeError if the tasklet is\n"
"not alive, but for TaskletExit.\n\n"
"    t.raise_exception(TimeoutError, \"5 seconds\")";

PyObject *
slp_tasklet_raise_exception(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    bool soft;
    slp_thread *th = slp_scheduler_approach(&soft);
    if (th == NULL) {
        return NULL;
    }
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "raise_exception() needs an exception class");
        return NULL;
    }
    if (!PyExceptionClass_Check(args[0])) {
        PyErr_Format(PyExc_TypeError,
                     "raise_exception() argument 'exc_class' must be an exception class, not %R", args[0]);
        return NULL;
    }
    PyObject *exc = PyObject_Vectorcall(args[0], args + 1, nargs - 1, NULL);
    if (exc == NULL) {
        return NULL;
    }
    PyObject *bomb = slp_bomb_from_throw("raise_exception", exc, Py_None, Py_None);
    Py_DECREF(exc);
    return raise_in(th, SLP_TASKLET(self), "raise_exception", bomb, false, soft);
}
