/* Steps of asyncio's C Task as frames (slp_asyncio.h has the picture).
 *
 * The event loop calls one of two C objects: a TaskStepMethWrapper, which does the step, or the builtin
 * method that a future calls when it is done ("wakeup"), which looks at the future and does the step.
 *
 * The structs of _asyncio are in no header: what is known of them is tried out on an object that is not in
 * use.
 *
 * This costs 5 to 10 % over a step of the base, and is done in tasklets only: main, where plain asyncio
 * programs run, has the thread's own C stack and would gain nothing.
 *
 * Rejected: the Task in Python that asyncio has, too.  Programs take 12 % (sleep(0)) to 45 % (short tasks)
 * longer with it, and there would be another type of task for tasklets.
 */
#include "slp_asyncio.h"

#include "slp_frame.h"
#include "slp_generators.h"
#include "slp_softcall.h"
#include "slp_thread.h"

/* --- what is in _asyncio ----------------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    PyObject *loop;
    PyObject *callbacks[3];
    PyObject *raised;      /* what a future that is done has for result(), or NULL */
    PyObject *results[4];
    int state;
    int flags;
    PyObject *more[4];
    PyObject *waiter;      /* the future that the task waits for, or NULL */
    PyObject *coroutine;
    PyObject *names[2];
    int must_cancel;
    int log_destroyed;
    Py_ssize_t cancels;
} task_object;

typedef struct {
    PyObject_HEAD
    task_object *task;
    PyObject *exception;   /* to be thrown, or NULL */
} step_object;

enum { STATE_PENDING = 0, STATE_CANCELLED = 1, STATE_FINISHED = 2 };

static PyTypeObject *task_type, *future_type, *step_type;
static PyObject *current_tasks;      /* a dict: loop to task */
static PyObject *cancelled_error;    /* the class */
static PyObject *result_name;        /* "result" */
/* Is the wakeup method's soft function registered? */
static bool knows_wakeup;

/* [task, stand-in, coroutine, None]; from SHIM_THROW on [task, stand-in, method or NULL, coroutine or method,
 * exception] */
static PyCodeObject *shim_step;
enum { SHIM_SEND = 0, SHIM_THROW = 4 };

/* --- the stand-in ------------------------------------------------------------------------------ */

/* Takes the place of a task's coroutine while C finishes the step.  It is made before the coroutine runs, so
 * that what comes of that is not lost where memory runs out. */
typedef struct {
    PyObject_HEAD
    task_object *task;     /* borrowed: of whose step it is */
    PyObject *coroutine;   /* NULL: it is in its place */
    int must_cancel;       /* of the task, as the coroutine has left it */
    slp_task_outcome outcome;
    PyObject *value;
} stand_in;

/* Put everything back in its place. */
static void
leave(stand_in *self)
{
    if (self->coroutine != NULL && self->task->coroutine == (PyObject *)self) {
        self->task->coroutine = self->coroutine;
        self->task->must_cancel = self->must_cancel;
        self->coroutine = NULL;
        Py_DECREF(self);
    }
}

/* C resumes it: the same comes of it as of the coroutine. */
static PySendResult
stand_in_send(PyObject *op, PyObject *Py_UNUSED(sent), PyObject **result)
{
    stand_in *self = (stand_in *)op;
    Py_INCREF(self);
    leave(self);
    PyObject *value = self->value;
    self->value = NULL;
    slp_task_outcome outcome = self->outcome;
    Py_DECREF(self);
    *result = NULL;
    if (outcome == SLP_TASK_RAISED) {
        _PyErr_Restore(_PyThreadState_GET(), Py_NewRef(Py_TYPE(value)), value,
                       PyException_GetTraceback(value));
        return PYGEN_ERROR;
    }
    *result = value;
    return outcome == SLP_TASK_YIELDED ? PYGEN_NEXT : PYGEN_RETURN;
}

static void
stand_in_dealloc(PyObject *op)
{
    Py_XDECREF(((stand_in *)op)->coroutine);
    Py_XDECREF(((stand_in *)op)->value);
    PyObject_Free(op);
}

static PyAsyncMethods stand_in_async = {.am_send = stand_in_send};

static PyTypeObject stand_in_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "stackless.task_step",
    .tp_basicsize = sizeof(stand_in),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = stand_in_dealloc,
    .tp_as_async = &stand_in_async,
};

/* --- the base's step --------------------------------------------------------------------------- */

/* A step as the base does it.  One of these objects is kept. */
static step_object *spare_step;

static PyObject *
step_in_c(PyObject *task, PyObject *exception)
{
    step_object *s = spare_step;
    spare_step = NULL;
    if (s == NULL) {
        s = (step_object *)step_type->tp_alloc(step_type, 0);
        if (s == NULL) {
            return NULL;
        }
    }
    s->task = (task_object *)Py_NewRef(task);
    s->exception = Py_XNewRef(exception);
    PyObject *none = PyTuple_New(0);
    PyObject *result = none == NULL ? NULL : step_type->tp_call((PyObject *)s, none, NULL);
    Py_XDECREF(none);
    Py_CLEAR(s->task);
    Py_CLEAR(s->exception);
    if (spare_step == NULL) {
        spare_step = s;
    }
    else {
        Py_DECREF(s);
    }
    return result;
}

/* --- the beginning of a step ------------------------------------------------------------------- */

/* Begin a step: make the task the current one of its loop.  False where the base has to do it, or to
 * complain. */
static bool
enter_task(PyThreadState *tstate, PyObject *task)
{
    task_object *t = (task_object *)task;
    slp_thread *thread = slp_thread_peek(tstate);
    if (thread == NULL || thread->current == thread->main) {
        return false;
    }
    if (t->state != STATE_PENDING || t->coroutine == NULL || !slp_leaves_room(tstate)) {
        return false;
    }
    Py_ssize_t count = PyDict_GET_SIZE(current_tasks);
    PyObject *current = PyDict_SetDefault(current_tasks, t->loop, task);
    if (current != task) {
        _PyErr_Clear(tstate);
        return false;
    }
    return PyDict_GET_SIZE(current_tasks) > count;
}

/* The step is not done, after all.  An error stays set. */
static void
leave_task(task_object *t)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyDict_DelItem(current_tasks, t->loop) < 0) {
        PyErr_WriteUnraisable((PyObject *)t);
    }
    PyErr_Restore(type, value, traceback);
}

/* The step is dropped: its loop may run other tasks. */
static void
drop_step(PyTaskletObject *t, _PyInterpreterFrame *shim)
{
    task_object *task = (task_object *)shim->localsplus[0];
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (PyDict_GetItemWithError(current_tasks, task->loop) == (PyObject *)task) {
        leave_task(task);
    }
    PyErr_Clear();
    PyErr_Restore(type, value, traceback);
}

/* The exception that the coroutine shall get (new), or NULL: `exception` (stolen, may be NULL), or a
 * CancelledError.  -1 with an error, and NULL. */
static int
choose_exception(task_object *t, PyObject *exception, PyObject **result)
{
    *result = exception;
    if (!t->must_cancel) {
        return 0;
    }
    int is_cancel = exception == NULL ? 0 : PyObject_IsInstance(exception, cancelled_error);
    if (is_cancel <= 0) {
        Py_CLEAR(*result);
        if (is_cancel == 0) {
            *result = PyObject_CallMethod((PyObject *)t, "_make_cancelled_error", NULL);
        }
        if (*result == NULL) {
            return -1;
        }
    }
    t->must_cancel = 0;
    return 0;
}

/* The shim above which the coroutine is resumed with `exception` (borrowed, may be NULL).  NULL with an
 * error. */
static _PyInterpreterFrame *
push_shim(PyThreadState *tstate, _PyInterpreterFrame *below, task_object *t, PyObject *exception)
{
    stand_in *self = PyObject_New(stand_in, &stand_in_type);
    if (self == NULL) {
        return NULL;
    }
    self->task = t;
    self->coroutine = self->value = NULL;
    if (exception == NULL) {
        PyObject *values[] = {Py_NewRef(t), (PyObject *)self, Py_NewRef(t->coroutine), Py_NewRef(Py_None)};
        return slp_shim_push(tstate, below, shim_step, SHIM_SEND, values, 4);
    }
    PyObject *method;
    PyObject *coroutine = Py_NewRef(t->coroutine);
    int is_method = _PyObject_GetMethod(coroutine, &_Py_ID(throw), &method);
    if (!is_method) {
        Py_DECREF(coroutine);
        if (method == NULL) {
            Py_DECREF(self);
            return NULL;
        }
    }
    PyObject *values[] = {Py_NewRef(t), (PyObject *)self, is_method ? method : NULL,
                          is_method ? coroutine : method, Py_NewRef(exception)};
    return slp_shim_push(tstate, below, shim_step, SHIM_THROW, values, 5);
}

/* Resume the coroutine of the current task; steals `exception`. */
static PyObject *
step(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *task, PyObject *exception,
     _PyInterpreterFrame **top)
{
    task_object *t = (task_object *)task;
    if (choose_exception(t, exception, &exception) < 0) {
        leave_task(t);
        return NULL;
    }
    Py_CLEAR(t->waiter);
    *top = push_shim(tstate, below, t, exception);
    PyObject *result = SLP_ENTER;
    if (*top == NULL) {
        _PyErr_Clear(tstate);
        leave_task(t);
        result = step_in_c(task, exception);   /* which meets the same error */
    }
    Py_XDECREF(exception);
    return result;
}

/* TaskStepMethWrapper() */
static PyObject *
soft_step(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *Py_UNUSED(args),
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    step_object *s = (step_object *)self;
    if (nargs != 0 || kwnames != NULL || s->task == NULL || !enter_task(tstate, (PyObject *)s->task)) {
        return SLP_NOT_SOFT;
    }
    return step(tstate, below, (PyObject *)s->task, Py_XNewRef(s->exception), top);
}

static bool
is_future(PyObject *obj)
{
    return Py_IS_TYPE(obj, future_type) || Py_IS_TYPE(obj, task_type);
}

/* The exception of a future that is done, or NULL. */
static PyObject *
exception_of(PyThreadState *tstate, PyObject *future)
{
    /* Other than result() the base does not raise what it takes from a future, so that the exception does not
     * get a context.  A CancelledError does. */
    bool raises = true;
    if (is_future(future)) {
        task_object *f = (task_object *)future;
        if (f->state == STATE_FINISHED && f->raised == NULL) {
            return NULL;
        }
        raises = f->state != STATE_FINISHED;
    }
    _PyErr_StackItem nothing = {.exc_value = NULL, .previous_item = NULL};
    _PyErr_StackItem *handled = tstate->exc_info;
    if (!raises) {
        tstate->exc_info = &nothing;
    }
    PyObject *result = PyObject_CallMethodNoArgs(future, result_name);
    tstate->exc_info = handled;
    if (result != NULL) {
        Py_DECREF(result);
        return NULL;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (raises && traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    Py_DECREF(type);
    Py_XDECREF(traceback);
    return value;
}

/* The method that a future calls when it is done. */
static PyObject *
soft_wakeup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !PyObject_TypeCheck(self, task_type) || !enter_task(tstate, self)) {
        return SLP_NOT_SOFT;
    }
    return step(tstate, below, self, exception_of(tstate, args[0]), top);
}

/* --- the end of a step ------------------------------------------------------------------------- */

/* After a step of `task` which has yielded `future`: see what wakes the task, and register it. */
static void
learn_wakeup(PyObject *task, PyObject *future)
{
    PyObject *callbacks = PyObject_GetAttrString(future, "_callbacks");
    if (callbacks != NULL && PyList_CheckExact(callbacks) && PyList_GET_SIZE(callbacks) > 0) {
        PyObject *last = PyList_GET_ITEM(callbacks, PyList_GET_SIZE(callbacks) - 1);
        PyObject *callback = PyTuple_Check(last) && PyTuple_GET_SIZE(last) > 0 ? PyTuple_GET_ITEM(last, 0)
                                                                               : NULL;
        if (callback != NULL && PyCFunction_CheckExact(callback) && PyCFunction_GET_SELF(callback) == task) {
            slp_soft_register_function(callback, soft_wakeup);
            knows_wakeup = true;
        }
    }
    PyErr_Clear();
    Py_XDECREF(callbacks);
}

/* Somebody else than the task was current at the end of its step: put him back, and let C complain. */
static PyObject *
leave_wrong_task(PyObject *task, PyObject *current, PyObject *result)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyObject *loop = ((task_object *)task)->loop;
    if (current == Py_None || PyDict_SetItem(current_tasks, loop, current) == 0) {
        PyObject *module = PyImport_ImportModule("_asyncio");
        if (module != NULL) {
            Py_XDECREF(PyObject_CallMethod(module, "_leave_task", "OO", loop, task));
            Py_DECREF(module);
        }
    }
    Py_XDECREF(result);
    if (type != NULL) {
        _PyErr_ChainExceptions(type, value, traceback);
    }
    return NULL;
}

/* throw() has raised `*value`: is that the coroutine's return?  Then it becomes the result. */
static slp_task_outcome
outcome_of_throw(PyThreadState *tstate, PyObject **value)
{
    if (!PyErr_GivenExceptionMatches(*value, PyExc_StopIteration)) {
        return SLP_TASK_RAISED;
    }
    PyObject *result;
    _PyErr_Restore(tstate, Py_NewRef(Py_TYPE(*value)), Py_NewRef(*value), NULL);
    if (_PyGen_FetchStopIterationValue(&result) < 0) {
        _PyErr_Clear(tstate);
        return SLP_TASK_RAISED;
    }
    Py_SETREF(*value, result);
    return SLP_TASK_RETURNED;
}

PyObject *
slp_task_stepped(PyThreadState *tstate, PyObject *const *stack, slp_task_outcome outcome, PyObject *value)
{
    PyObject *task = stack[0];
    task_object *t = (task_object *)task;
    stand_in *self = (stand_in *)stack[1];
    if (outcome == SLP_TASK_THROW_RAISED) {
        outcome = outcome_of_throw(tstate, &value);
    }
    PyObject *future = NULL;
    if (SLP_UNLIKELY(!knows_wakeup) && outcome == SLP_TASK_YIELDED && is_future(value)) {
        future = Py_NewRef(value);
    }
    self->outcome = outcome;
    self->value = value;
    self->must_cancel = t->must_cancel;
    self->coroutine = t->coroutine;
    t->coroutine = Py_NewRef(self);
    t->must_cancel = 0;
    PyObject *current = _PyDict_Pop(current_tasks, t->loop, Py_None);
    PyObject *result = step_in_c(task, NULL);
    leave(self);
    if (SLP_UNLIKELY(current != task)) {
        result = leave_wrong_task(task, current, result);
    }
    Py_XDECREF(current);
    if (SLP_UNLIKELY(future != NULL)) {
        if (result != NULL) {
            learn_wakeup(task, future);
        }
        Py_DECREF(future);
    }
    return result;
}

/* --- start-up ---------------------------------------------------------------------------------- */

/* Does attribute `name` of `object` say `expected` (borrowed)? */
static bool
says(void *object, const char *name, PyObject *expected)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    PyErr_Clear();
    Py_XDECREF(value);
    return value == expected;
}

/* Fill the fields of a task that nobody uses, and see whether its attributes say so. */
static bool
task_is_as_expected(void)
{
    if (task_type->tp_basicsize != sizeof(task_object) || task_type->tp_new == NULL) {
        return false;
    }
    PyObject *none = PyTuple_New(0);
    task_object *t = none == NULL ? NULL : (task_object *)task_type->tp_new(task_type, none, NULL);
    Py_XDECREF(none);
    if (t == NULL) {
        return false;
    }
    bool result = t->loop == NULL && t->waiter == NULL && t->coroutine == NULL && t->must_cancel == 0;
    if (result) {
        t->loop = Py_NewRef(Py_Ellipsis);
        t->waiter = Py_NewRef(Py_True);
        t->raised = Py_NewRef(Py_NotImplemented);
        t->coroutine = Py_NewRef(Py_False);
        result = says(t, "_loop", Py_Ellipsis) && says(t, "_fut_waiter", Py_True)
                 && says(t, "_exception", Py_NotImplemented)
                 && says(t, "_coro", Py_False) && says(t, "_must_cancel", Py_False);
        t->must_cancel = 1;
        result = result && says(t, "_must_cancel", Py_True) && says(t, "_log_destroy_pending", Py_False);
        t->must_cancel = 0;
        PyObject *pending = PyObject_GetAttrString((PyObject *)t, "_state");
        t->state = STATE_CANCELLED;
        PyObject *cancelled = PyObject_GetAttrString((PyObject *)t, "_state");
        t->state = STATE_FINISHED;
        PyObject *finished = PyObject_GetAttrString((PyObject *)t, "_state");
        t->state = STATE_PENDING;
        result = result && pending != NULL && cancelled != NULL && finished != NULL
                 && _PyUnicode_EqualToASCIIString(pending, "PENDING")
                 && _PyUnicode_EqualToASCIIString(cancelled, "CANCELLED")
                 && _PyUnicode_EqualToASCIIString(finished, "FINISHED");
        Py_XDECREF(pending);
        Py_XDECREF(cancelled);
        Py_XDECREF(finished);
        Py_CLEAR(t->loop);
        Py_CLEAR(t->waiter);
        Py_CLEAR(t->raised);
        Py_CLEAR(t->coroutine);
    }
    Py_DECREF(t);
    return result;
}

static bool
step_is_as_expected(PyTypeObject *type)
{
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || type->tp_basicsize != sizeof(step_object)
        || type->tp_call == NULL || type->tp_alloc == NULL) {
        return false;
    }
    step_object *s = (step_object *)type->tp_alloc(type, 0);
    if (s == NULL) {
        return false;
    }
    s->task = (task_object *)Py_NewRef(Py_Ellipsis);
    bool result = says(s, "__self__", Py_Ellipsis);
    Py_CLEAR(s->task);
    Py_DECREF(s);
    return result;
}

/* The type of the objects that do a step: it is in no module, but a subclass of object. */
static PyTypeObject *
find_step_type(void)
{
    PyTypeObject *found = NULL;
    PyObject *types = PyObject_CallMethod((PyObject *)&PyBaseObject_Type, "__subclasses__", NULL);
    for (Py_ssize_t i = 0; types != NULL && i < PyList_GET_SIZE(types) && found == NULL; i++) {
        PyTypeObject *type = (PyTypeObject *)PyList_GET_ITEM(types, i);
        if (strcmp(type->tp_name, "TaskStepMethWrapper") == 0 && step_is_as_expected(type)) {
            found = type;
        }
    }
    Py_XDECREF(types);
    return found;
}

/* A class of the module, or NULL (borrowed). */
static PyTypeObject *
find_class(PyObject *module, const char *name)
{
    PyObject *found = PyDict_GetItemString(PyModule_GetDict(module), name);
    return found != NULL && PyType_Check(found) ? (PyTypeObject *)found : NULL;
}

void
slp_adopt_asyncio(PyObject *module)
{
    if (step_type != NULL) {
        return;   /* imported again, in another interpreter */
    }
    task_type = find_class(module, "Task");
    future_type = find_class(module, "Future");
    current_tasks = PyDict_GetItemString(PyModule_GetDict(module), "_current_tasks");
    PyObject *exceptions = PyImport_ImportModule("asyncio.exceptions");
    cancelled_error = exceptions == NULL ? NULL : PyObject_GetAttrString(exceptions, "CancelledError");
    Py_XDECREF(exceptions);
    result_name = PyUnicode_InternFromString("result");
    PyTypeObject *found = find_step_type();
    if (result_name != NULL && found != NULL && task_type != NULL && future_type != NULL
        && cancelled_error != NULL && current_tasks != NULL && PyDict_CheckExact(current_tasks)
        && task_is_as_expected() && PyType_Ready(&stand_in_type) == 0) {
        Py_INCREF(current_tasks);
        step_type = found;
        slp_soft_register_instances(found, soft_step);
    }
    PyErr_Clear();
}

void
slp_soft_asyncio_init(void)
{
    static const uint8_t code[] = {
        SEND, 1,
        SLP_TASK_STEPPED, SLP_TASK_YIELDED,
        SLP_TASK_STEPPED, SLP_TASK_RETURNED,
        SLP_TASK_STEPPED, SLP_TASK_RAISED,
        PRECALL, 1, CACHE, 0,    /* 4 */
        CALL, 1, CACHE, 0, CACHE, 0, CACHE, 0, CACHE, 0,
        SLP_TASK_STEPPED, SLP_TASK_YIELDED,
        SLP_TASK_STEPPED, SLP_TASK_THROW_RAISED,
    };
    /* The start with its mark, the length, the handler, twice the depth. */
    static const uint8_t handlers[] = {0x80 | 0, 1, 3, 4, 0x80 | 4, 7, 12, 4};
    shim_step = slp_shim_make("<task step>", 5, code, sizeof(code), handlers, sizeof(handlers));
    if (shim_step == NULL) {
        PyErr_Print();
        Py_FatalError("cannot make the shim of asyncio's tasks");
    }
    slp_shim_set_drop(shim_step, drop_step);
}
