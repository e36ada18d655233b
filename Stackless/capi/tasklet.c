/* The C API of tasklets: the PyTasklet_ functions, documented in stackless_api.h. */
#include "slp_capi.h"

/* --- making and binding --- */

PyTaskletObject *
PyTasklet_New(PyTypeObject *type, PyObject *func)
{
    if (type == NULL)
        type = &PyTasklet_Type;
    if (!PyType_Check(type) || !PyType_IsSubtype(type, &PyTasklet_Type)) {
        PyErr_Format(PyExc_TypeError, "PyTasklet_New(): type must be a class of tasklets, not %R", type);
        return NULL;
    }
    PyObject *callable = (PyObject *)type;
    PyObject *t = func == NULL || func == Py_None ? PyObject_CallNoArgs(callable)
                                                  : PyObject_CallOneArg(callable, func);
    /* __new__() may answer anything. */
    if (t != NULL && !slp_capi_is_tasklet("PyTasklet_New", (PyTaskletObject *)t))
        Py_CLEAR(t);
    return (PyTaskletObject *)t;
}

int
PyTasklet_Setup(PyTaskletObject *task, PyObject *args, PyObject *kwds)
{
    if (!slp_capi_is_tasklet("PyTasklet_Setup", task) || !slp_capi_is_call("PyTasklet_Setup", args, kwds))
        return -1;
    PyObject *tuple = slp_capi_args(args);
    PyObject *result = tuple != NULL ? slp_tasklet_setup((PyObject *)task, tuple, kwds) : NULL;
    Py_XDECREF(tuple);
    return slp_capi_status(result);
}

int
PyTasklet_Bind(PyTaskletObject *task, PyObject *func)
{
    return PyTasklet_BindEx(task, func, NULL, NULL);
}

static inline PyObject *
none_to_null(PyObject *arg)
{
    return arg == Py_None ? NULL : arg;
}

int
PyTasklet_BindEx(PyTaskletObject *task, PyObject *func, PyObject *args, PyObject *kwargs)
{
    if (!slp_capi_is_tasklet("PyTasklet_BindEx", task))
        return -1;
    return slp_tasklet_bind(task, none_to_null(func), none_to_null(args), none_to_null(kwargs));
}

int
PyTasklet_BindThread(PyTaskletObject *task, unsigned long thread_id)
{
    if (!slp_capi_is_tasklet("PyTasklet_BindThread", task))
        return -1;
    if (thread_id == (unsigned long)-1)
        return slp_capi_status(slp_tasklet_bind_thread((PyObject *)task, NULL, 0, NULL));
    PyObject *id = PyLong_FromUnsignedLong(thread_id);
    PyObject *result = id != NULL ? slp_tasklet_bind_thread((PyObject *)task, &id, 1, NULL) : NULL;
    Py_XDECREF(id);
    return slp_capi_status(result);
}

/* --- running --- */

int
PyTasklet_Run(PyTaskletObject *task)
{
    return slp_capi_without_offer() ? PyTasklet_Run_nr(task) : -1;
}

int
PyTasklet_Run_nr(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_Run", task))
        return -1;
    return slp_capi_with_offer() ? slp_capi_status(slp_tasklet_run((PyObject *)task, NULL)) : -1;
}

int
PyTasklet_Switch(PyTaskletObject *task)
{
    return slp_capi_without_offer() ? PyTasklet_Switch_nr(task) : -1;
}

int
PyTasklet_Switch_nr(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_Switch", task))
        return -1;
    return slp_capi_with_offer() ? slp_capi_status(slp_tasklet_switch((PyObject *)task, NULL)) : -1;
}

int
PyTasklet_Insert(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_Insert", task))
        return -1;
    return slp_capi_status(slp_tasklet_insert((PyObject *)task, NULL));
}

int
PyTasklet_Remove(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_Remove", task))
        return -1;
    return slp_capi_status(slp_tasklet_remove((PyObject *)task, NULL));
}

/* --- exceptions --- */

int
PyTasklet_RaiseException(PyTaskletObject *task, PyObject *klass, PyObject *args)
{
    if (!slp_capi_is_tasklet("PyTasklet_RaiseException", task) || !slp_capi_without_offer())
        return -1;
    return slp_capi_call_with(slp_tasklet_raise_exception, (PyObject *)task, klass, args);
}

int
PyTasklet_Throw(PyTaskletObject *task, int pending, PyObject *exc, PyObject *val, PyObject *tb)
{
    if (!slp_capi_is_tasklet("PyTasklet_Throw", task) || !slp_capi_without_offer())
        return -1;
    PyObject *args[] = {slp_capi_or_none(exc), slp_capi_or_none(val), slp_capi_or_none(tb),
                        pending ? Py_True : Py_False};
    return slp_capi_status(slp_tasklet_throw((PyObject *)task, args, 4, NULL));
}

int
PyTasklet_Kill(PyTaskletObject *task)
{
    return PyTasklet_KillEx(task, 0);
}

int
PyTasklet_KillEx(PyTaskletObject *task, int pending)
{
    if (!slp_capi_is_tasklet("PyTasklet_KillEx", task) || !slp_capi_without_offer())
        return -1;
    PyObject *flag = pending ? Py_True : Py_False;
    return slp_capi_status(slp_tasklet_kill((PyObject *)task, &flag, 1, NULL));
}

/* --- flags --- */

/* Change a flag: the old value. */
#define EXCHANGE(field, value)                                                                               \
    do {                                                                                                     \
        int old = (field);                                                                                   \
        (field) = (value) != 0;                                                                              \
        return old;                                                                                          \
    } while (0)

/* A function that answers `value`, which may use `task`. */
#define GETTER(name, value)                                                                                  \
    int name(PyTaskletObject *task)                                                                          \
    {                                                                                                        \
        return slp_capi_is_tasklet(#name, task) ? (value) : -1;                                              \
    }

GETTER(PyTasklet_GetAtomic, task->flags.atomic)

int
PyTasklet_SetAtomic(PyTaskletObject *task, int flag)
{
    if (!slp_capi_is_tasklet("PyTasklet_SetAtomic", task))
        return -1;
    EXCHANGE(task->flags.atomic, flag);
}

GETTER(PyTasklet_GetIgnoreNesting, task->flags.ignore_nesting)

int
PyTasklet_SetIgnoreNesting(PyTaskletObject *task, int flag)
{
    if (!slp_capi_is_tasklet("PyTasklet_SetIgnoreNesting", task))
        return -1;
    EXCHANGE(task->flags.ignore_nesting, flag);
}

GETTER(PyTasklet_GetBlockTrap, task->flags.block_trap)

int
PyTasklet_SetBlockTrap(PyTaskletObject *task, int flag)
{
    if (!slp_capi_is_tasklet("PyTasklet_SetBlockTrap", task))
        return -1;
    task->flags.block_trap = flag != 0;
    return 0;
}

GETTER(PyTasklet_GetPendingIrq, task->flags.pending_irq)

/* --- what they are about --- */

PyObject *
PyTasklet_GetFrame(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_GetFrame", task))
        return NULL;
    _PyInterpreterFrame *frame = slp_tasklet_python_frame(task);
    return frame != NULL ? Py_XNewRef(_PyFrame_GetFrameObject(frame)) : NULL;
}

GETTER(PyTasklet_IsMain, task->flags.is_main)
GETTER(PyTasklet_IsCurrent, task->thread->current == task)
GETTER(PyTasklet_Alive, slp_tasklet_usable(task))
GETTER(PyTasklet_Paused, slp_tasklet_usable(task) && !slp_in_chain(task))
GETTER(PyTasklet_Scheduled, slp_in_chain(task))
GETTER(PyTasklet_GetBlocked, task->flags.blocked != 0)
GETTER(PyTasklet_Restorable, slp_nesting_level(task) == 0)
GETTER(PyTasklet_GetRecursionDepth, slp_tasklet_recursion_depth(task))
GETTER(PyTasklet_GetNestingLevel, slp_nesting_level(task))

/* --- data of the host --- */

int
PyTasklet_SetUserData(PyTaskletObject *task, void *data, void (*destroy)(void *data))
{
    if (!slp_capi_is_tasklet("PyTasklet_SetUserData", task))
        return -1;
    if (task->extra == NULL && data == NULL && destroy == NULL)
        return 0;
    slp_tasklet_extra *extra = slp_tasklet_get_extra(task);
    if (extra == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    void *old_data = extra->user_data;
    void (*old_destroy)(void *) = extra->destroy;
    extra->user_data = data;
    extra->destroy = destroy;
    if (old_destroy != NULL)
        old_destroy(old_data);
    return 0;
}

void *
PyTasklet_GetUserData(PyTaskletObject *task)
{
    if (!slp_capi_is_tasklet("PyTasklet_GetUserData", task))
        return NULL;
    return task->extra != NULL ? task->extra->user_data : NULL;
}
