/* Bombs: exceptions on their way to a tasklet (slp_bomb.h). */
#include "slp_bomb.h"

#include "structmember.h"

/* The bomb for times without memory. */
static PyObject *memory_bomb;

/* A new bomb; steals its three parts, also on failure. */
static PyObject *
new_bomb(PyTypeObject *cls, PyObject *type, PyObject *value, PyObject *traceback)
{
    slp_bomb *bomb = (slp_bomb *)cls->tp_alloc(cls, 0);
    if (bomb == NULL) {
        Py_DECREF(type);
        Py_DECREF(value);
        Py_DECREF(traceback);
        return NULL;
    }
    bomb->type = type;
    bomb->value = value;
    bomb->traceback = traceback;
    return (PyObject *)bomb;
}

static PyObject *
bomb_new(PyTypeObject *cls, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"type", "value", "traceback", NULL};
    PyObject *type = Py_None, *value = Py_None, *traceback = Py_None;
    PyObject *parts = args;

    /* bomb(sys.exc_info()) means bomb(*sys.exc_info()) */
    if (PyTuple_GET_SIZE(args) == 1 && PyTuple_Check(PyTuple_GET_ITEM(args, 0)))
        parts = PyTuple_GET_ITEM(args, 0);
    if (!PyArg_ParseTupleAndKeywords(parts, kwargs, "|OOO:bomb", names, &type, &value, &traceback))
        return NULL;
    if (traceback != Py_None && !PyTraceBack_Check(traceback)) {
        PyErr_Format(PyExc_TypeError, "bomb() argument 'traceback' must be a traceback or None, not %.200s",
                     Py_TYPE(traceback)->tp_name);
        return NULL;
    }
    return new_bomb(cls, Py_NewRef(type), Py_NewRef(value), Py_NewRef(traceback));
}

static int
bomb_traverse(PyObject *self, visitproc visit, void *arg)
{
    slp_bomb *bomb = (slp_bomb *)self;
    Py_VISIT(bomb->type);
    Py_VISIT(bomb->value);
    Py_VISIT(bomb->traceback);
    return 0;
}

static int
bomb_clear(PyObject *self)
{
    slp_bomb *bomb = (slp_bomb *)self;
    Py_CLEAR(bomb->type);
    Py_CLEAR(bomb->value);
    Py_CLEAR(bomb->traceback);
    return 0;
}

static void
bomb_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, bomb_dealloc)
    bomb_clear(self);
    Py_TYPE(self)->tp_free(self);
    Py_TRASHCAN_END
}

/* Is it an exception that was raised while another one was being handled? */
static bool
has_context(PyObject *value)
{
    if (!PyExceptionInstance_Check(value))
        return false;
    PyObject *context = PyException_GetContext(value);
    Py_XDECREF(context);
    return context != NULL;
}

void
slp_bomb_explode(PyThreadState *tstate, PyObject *op)
{
    slp_bomb *bomb = (slp_bomb *)op;
    PyObject *type = bomb->type, *value = bomb->value;

    /* An instance alone is as good as its class and itself. */
    if (type != NULL && PyExceptionInstance_Check(type) && value == Py_None) {
        value = type;
        type = PyExceptionInstance_Class(value);
    }
    if (type == NULL || !PyExceptionClass_Check(type)) {
        _PyErr_Format(tstate, PyExc_TypeError, "a bomb can only raise exceptions, not %.200s",
                      type == NULL ? "nothing" : type == Py_None ? "None" : Py_TYPE(type)->tp_name);
        return;
    }
    PyObject *traceback = bomb->traceback == Py_None ? NULL : bomb->traceback;
    PyObject *handled = _PyErr_GetTopmostException(tstate)->exc_value;
    if (SLP_LIKELY(handled == NULL || handled == Py_None) || has_context(value)) {
        _PyErr_Restore(tstate, Py_NewRef(type), Py_NewRef(value), Py_XNewRef(traceback));
        return;
    }
    /* Who gets it is handling another exception: that one becomes its context, as with `raise`. */
    PyObject *new_type, *new_value, *new_traceback;
    _PyErr_SetObject(tstate, type, value);
    _PyErr_Fetch(tstate, &new_type, &new_value, &new_traceback);
    Py_XDECREF(new_traceback);
    _PyErr_Restore(tstate, new_type, new_value, Py_XNewRef(traceback));
}

PyObject *
slp_bomb_from_error(PyThreadState *tstate)
{
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    assert(type != NULL);
    PyObject *bomb = new_bomb(&slp_bomb_type, type, value != NULL ? value : Py_NewRef(Py_None),
                              traceback != NULL ? traceback : Py_NewRef(Py_None));
    if (bomb == NULL) {
        _PyErr_Clear(tstate);
        bomb = Py_NewRef(memory_bomb);
    }
    return bomb;
}

PyObject *
slp_bomb_from_class(PyObject *exc, PyObject *args)
{
    if (!PyExceptionClass_Check(exc)) {
        PyErr_Format(PyExc_TypeError, "exception class expected, not %R", exc);
        return NULL;
    }
    return new_bomb(&slp_bomb_type, Py_NewRef(exc), Py_NewRef(args), Py_NewRef(Py_None));
}

PyObject *
slp_bomb_exit(void)
{
    PyObject *none = PyTuple_New(0);
    PyObject *bomb = none != NULL ? slp_bomb_from_class(SLP_TASKLET_EXIT, none) : NULL;
    Py_XDECREF(none);
    return bomb;
}

PyObject *
slp_bomb_from_throw(const char *where, PyObject *exc, PyObject *value, PyObject *traceback)
{
    if (traceback != Py_None && !PyTraceBack_Check(traceback)) {
        PyErr_Format(PyExc_TypeError, "%s() third argument must be a traceback or None, not %.200s", where,
                     Py_TYPE(traceback)->tp_name);
        return NULL;
    }
    PyObject *tb = traceback == Py_None ? NULL : Py_NewRef(traceback);
    if (PyExceptionClass_Check(exc)) {
        PyObject *type = Py_NewRef(exc);
        value = Py_NewRef(value);
        PyErr_NormalizeException(&type, &value, &tb);
        return new_bomb(&slp_bomb_type, type, value, tb != NULL ? tb : Py_NewRef(Py_None));
    }
    if (!PyExceptionInstance_Check(exc)) {
        Py_XDECREF(tb);
        PyErr_Format(PyExc_TypeError,
                     "%s() first argument must be an exception class or instance, not %.200s", where,
                     Py_TYPE(exc)->tp_name);
        return NULL;
    }
    if (value != Py_None) {
        Py_XDECREF(tb);
        PyErr_Format(PyExc_TypeError, "%s() second argument must be None when the first is an instance",
                     where);
        return NULL;
    }
    if (tb == NULL)
        tb = PyException_GetTraceback(exc);
    return new_bomb(&slp_bomb_type, Py_NewRef(PyExceptionInstance_Class(exc)), Py_NewRef(exc),
                    tb != NULL ? tb : Py_NewRef(Py_None));
}

PyObject *
slp_bomb_forever(PyObject *exc, const char *text)
{
    PyObject *value = PyUnicode_FromString(text);
    if (value == NULL)
        return NULL;
    PyObject *bomb = new_bomb(&slp_bomb_type, Py_NewRef(exc), value, Py_NewRef(Py_None));
    /* It outlives the interpreter that made it, and so that one's collector. */
    if (bomb != NULL)
        PyObject_GC_UnTrack(bomb);
    return bomb;
}

int
slp_bomb_init(void)
{
    if (PyType_Ready(&slp_bomb_type) < 0)
        return -1;
    if (memory_bomb == NULL)
        memory_bomb = slp_bomb_forever(PyExc_MemoryError,
                                       "no memory to carry an exception to another tasklet");
    return memory_bomb != NULL ? 0 : -1;
}

static PyMemberDef bomb_members[] = {
    {"type", T_OBJECT, offsetof(slp_bomb, type), READONLY, "the exception class"},
    {"value", T_OBJECT, offsetof(slp_bomb, value), READONLY,
     "the exception, or a tuple of arguments to construct it with"},
    {"traceback", T_OBJECT, offsetof(slp_bomb, traceback), READONLY, "a traceback, or None"},
    {NULL},
};

PyDoc_STRVAR(bomb_doc,
"bomb(type=None, value=None, traceback=None)\n"
"--\n\n"
"An exception on its way to a tasklet.\n\n"
"A tasklet that resumes and finds a bomb in its tempval raises the bomb's\n"
"exception; so does channel.receive() when a bomb was sent.\n\n"
"The arguments are those of `raise` in its classic form, as sys.exc_info()\n"
"gives them; a single tuple of them is accepted, too.  TypeError if traceback\n"
"is neither a traceback nor None.\n\n"
"    try:\n"
"        work()\n"
"    except Exception:\n"
"        ch.send(bomb(*sys.exc_info()))");

PyTypeObject slp_bomb_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless.bomb",
    .tp_basicsize = sizeof(slp_bomb),
    .tp_dealloc = bomb_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = bomb_doc,
    .tp_traverse = bomb_traverse,
    .tp_clear = bomb_clear,
    .tp_members = bomb_members,
    .tp_alloc = PyType_GenericAlloc,
    .tp_new = bomb_new,
    .tp_free = PyObject_GC_Del,
};
