/* Callbacks, the error handler and the switch trap (slp_callbacks.h). */
#include "slp_callbacks.h"

#include "slp_module.h"

/* --- calling them --- */

/* Call `callback` (borrowed, but kept alive) so that nothing it does can switch; what it raises is
 * reported. */
static void
call_guarded(slp_thread *th, PyObject *callback, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    Py_INCREF(callback);
    th->watch |= SLP_WATCH_IN_CALLBACK;
    PyObject *result = PyObject_Vectorcall(callback, args, nargs, NULL);
    if (result == NULL) {
        PyErr_WriteUnraisable(callback);
    }
    Py_XDECREF(result);
    Py_DECREF(callback);
    th->watch &= ~SLP_WATCH_IN_CALLBACK;
    PyErr_Restore(type, value, traceback);
}

/* The same for the C function that sees switches. */
static void
call_hook(slp_thread *th, slp_schedule_hook_func *hook, PyTaskletObject *prev)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyTaskletObject *next = (PyTaskletObject *)Py_NewRef(th->next);
    th->watch |= SLP_WATCH_IN_CALLBACK;
    if (hook(prev, next) != 0 && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_SystemError, "the schedule callback in C failed without an exception");
    }
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(NULL);
    }
    th->watch &= ~SLP_WATCH_IN_CALLBACK;
    Py_DECREF(next);
    PyErr_Restore(type, value, traceback);
}

/* Who is left by the switch to th->next: a new reference, or NULL if that is none that callbacks see.  A
 * thread that sleeps has left whoever ran before, and nobody before it wakes somebody else. */
static PyTaskletObject *
tasklet_left(slp_thread *th)
{
    PyTaskletObject *prev = th->current;
    if (th->next->flags.idle) {
        return NULL;
    }
    if (prev->flags.idle) {
        if (prev->extra == NULL) {
            return NULL;   /* there was no callback when the thread fell asleep */
        }
        /* None: a signal handler has switched, and was seen. */
        prev = prev->extra->slept != NULL ? prev->extra->slept : prev;
    }
    return prev != th->next ? (PyTaskletObject *)Py_NewRef(prev) : NULL;
}

void
slp_call_schedule_callback(slp_thread *th)
{
    if (th->watch & SLP_WATCH_IN_CALLBACK) {
        return;
    }
    PyTaskletObject *prev = tasklet_left(th);
    if (prev == NULL) {
        return;
    }
    if (th->interp->schedule_hook != NULL) {
        call_hook(th, th->interp->schedule_hook, prev);
    }
    PyObject *callback = th->interp->schedule_callback;
    if (callback != NULL) {
        PyObject *args[] = {(PyObject *)prev, Py_NewRef(th->next)};
        call_guarded(th, callback, args, 2);
        Py_DECREF(args[1]);
    }
    Py_DECREF(prev);
}

void
slp_call_channel_callback(slp_thread *th, PyObject *channel, bool sending, bool will_block)
{
    PyObject *callback = th->interp->channel_callback;
    if (callback == NULL) {
        return;
    }
    PyObject *args[] = {channel, Py_NewRef(th->current), PyLong_FromLong(sending),
                        PyLong_FromLong(will_block)};
    call_guarded(th, callback, args, 4);   /* small ints cannot fail */
    Py_DECREF(args[1]);
    Py_DECREF(args[2]);
    Py_DECREF(args[3]);
}

void
slp_call_error_handler(slp_thread *th)
{
    PyObject *handler = Py_NewRef(th->interp->error_handler);
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    PyObject *args[] = {type, value, traceback != NULL ? traceback : Py_None};
    PyObject *result = PyObject_Vectorcall(handler, args, 3, NULL);
    if (result == NULL) {
        /* As if it had been raised in an `except` clause. */
        PyObject *new_type, *new_value, *new_traceback;
        PyErr_Fetch(&new_type, &new_value, &new_traceback);
        PyErr_NormalizeException(&new_type, &new_value, &new_traceback);
        PyObject *context = PyException_GetContext(new_value);
        if (context == NULL && new_value != value) {
            PyException_SetContext(new_value, Py_NewRef(value));
        }
        Py_XDECREF(context);
        PyErr_Restore(new_type, new_value, new_traceback);
    }
    Py_XDECREF(result);
    Py_DECREF(type);
    Py_DECREF(value);
    Py_XDECREF(traceback);
    Py_DECREF(handler);
}

/* --- setting them --- */

/* Put `callable` (None: nothing) into *slot.  The previous one or None; NULL with TypeError. */
static PyObject *
exchange(const char *function, PyObject **slot, PyObject *callable)
{
    if (callable != Py_None && !PyCallable_Check(callable)) {
        PyErr_Format(PyExc_TypeError, "%s() argument must be callable or None, not %.200s", function,
                     Py_TYPE(callable)->tp_name);
        return NULL;
    }
    PyObject *old = *slot;
    *slot = callable == Py_None ? NULL : Py_NewRef(callable);
    return old != NULL ? old : Py_NewRef(Py_None);
}

/* The same for a callback whose presence is a bit of slp_thread.watch. */
static PyObject *
exchange_callback(const char *function, PyObject **slot, int bit, PyObject *callable)
{
    PyObject *old = exchange(function, slot, callable);
    if (old != NULL) {
        bool hooked = bit == SLP_WATCH_SCHEDULE && slp_thread_now()->interp->schedule_hook != NULL;
        slp_interp_watch(PyInterpreterState_Get(), bit, *slot != NULL || hooked);
    }
    return old;
}

int
slp_set_schedule_hook(slp_schedule_hook_func *hook)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return -1;
    }
    th->interp->schedule_hook = hook;
    slp_interp_watch(PyInterpreterState_Get(), SLP_WATCH_SCHEDULE,
                     hook != NULL || th->interp->schedule_callback != NULL);
    return 0;
}

const char slp_set_schedule_callback_doc[] =
"set_schedule_callback($module, callable, /)\n"
"--\n\n"
"Have callable(prev, next) called on every switch of tasklets, in all threads of\n"
"the interpreter; None: no more.  Returns the previous callable, or None.\n\n"
"It runs before the switch, as the tasklet prev; where the thread has slept in\n"
"between, prev is who ran before.  It must not switch: what would do so raises\n"
"RuntimeError.  What it raises is reported as unraisable.\n\n"
"TypeError if the argument is neither callable nor None.";

PyObject *
slp_set_schedule_callback(PyObject *module, PyObject *callable)
{
    slp_thread *th = slp_thread_now();
    return th == NULL ? NULL : exchange_callback("set_schedule_callback", &th->interp->schedule_callback,
                                                 SLP_WATCH_SCHEDULE, callable);
}

const char slp_get_schedule_callback_doc[] =
"get_schedule_callback($module, /)\n"
"--\n\n"
"The callable of set_schedule_callback(), or None.";

/* The callable or None. */
static PyObject *
or_none(PyObject *callable)
{
    return Py_NewRef(callable != NULL ? callable : Py_None);
}

PyObject *
slp_get_schedule_callback(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th == NULL ? NULL : or_none(th->interp->schedule_callback);
}

const char slp_set_channel_callback_doc[] =
"set_channel_callback($module, callable, /)\n"
"--\n\n"
"Have callable(channel, tasklet, sending, willblock) called on every send and\n"
"receive, in all threads of the interpreter; None: no more.  Returns the previous\n"
"callable, or None.\n\n"
"It runs before the operation takes effect.  tasklet is the one that sends or\n"
"receives; sending and willblock are 0 or 1.  The value sent is in the tasklet's\n"
"tempval, and can be changed there.  It must not use channels nor switch: that\n"
"raises RuntimeError.  What it raises is reported as unraisable.\n\n"
"TypeError if the argument is neither callable nor None.";

PyObject *
slp_set_channel_callback(PyObject *module, PyObject *callable)
{
    slp_thread *th = slp_thread_now();
    return th == NULL ? NULL : exchange_callback("set_channel_callback", &th->interp->channel_callback,
                                                 SLP_WATCH_CHANNELS, callable);
}

const char slp_get_channel_callback_doc[] =
"get_channel_callback($module, /)\n"
"--\n\n"
"The callable of set_channel_callback(), or None.";

PyObject *
slp_get_channel_callback(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th == NULL ? NULL : or_none(th->interp->channel_callback);
}

const char slp_set_error_handler_doc[] =
"set_error_handler($module, handler=None, /)\n"
"--\n\n"
"Have handler(type, value, traceback) called when a tasklet ends with an\n"
"exception, in all threads of the interpreter; None: no more.  Returns the\n"
"previous handler, or None.\n\n"
"It runs as that tasklet.  When it returns, the exception counts as handled; what\n"
"it raises goes to run() or the main tasklet instead.  It is not asked about main\n"
"tasklets, TaskletExit and SystemExit.\n\n"
"TypeError if the argument is neither callable nor None.";

PyObject *
slp_set_error_handler(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL || !_PyArg_CheckPositional("set_error_handler", nargs, 0, 1)) {
        return NULL;
    }
    return exchange("set_error_handler", &th->interp->error_handler, nargs > 0 ? args[0] : Py_None);
}

/* --- the switch trap --- */

const char slp_switch_trap_doc[] =
"switch_trap($module, /, change=0)\n"
"--\n\n"
"Add change, an int, to this thread's switch trap; returns its old value.\n\n"
"While it is not 0, what would switch to another tasklet of the thread raises\n"
"RuntimeError, and the watchdog does not interrupt.  Tasklets can still end, and\n"
"wake those of other threads.\n\n"
"TypeError if change is no int, OverflowError if it is too large.\n\n"
"    switch_trap(1)\n"
"    try:\n"
"        update()    # whoever calls schedule() in here learns of it\n"
"    finally:\n"
"        switch_trap(-1)";

PyObject *
slp_switch_trap(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const keywords[] = {"change", NULL};
    static _PyArg_Parser parser = {.keywords = keywords, .fname = "switch_trap"};
    PyObject *arg;
    slp_thread *th = slp_thread_now();
    if (th == NULL || !slp_optional_args(&parser, args, nargs, kwnames, 1, &arg)) {
        return NULL;
    }
    int old = th->switch_trap, change = 0, sum;
    if (arg != NULL) {
        if (!PyLong_Check(arg)) {
            PyErr_Format(PyExc_TypeError, "switch_trap() argument must be an int, not %.200s",
                         Py_TYPE(arg)->tp_name);
            return NULL;
        }
        change = _PyLong_AsInt(arg);
        if (change == -1 && PyErr_Occurred()) {
            return NULL;
        }
    }
    if (__builtin_add_overflow(old, change, &sum)) {
        PyErr_SetString(PyExc_OverflowError, "switch_trap(): the level gets too large");
        return NULL;
    }
    th->switch_trap = sum;
    th->watch = sum != 0 ? th->watch | SLP_WATCH_TRAP : th->watch & ~SLP_WATCH_TRAP;
    return PyLong_FromLong(old);
}
