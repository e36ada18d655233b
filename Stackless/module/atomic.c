/* atomic: the context manager that keeps the watchdog, signals and other threads away. */
#include "slp_module.h"

/* Entered more deeply than this, an atomic object has no room for the flags to restore. */
#define MAX_DEPTH 64

typedef struct {
    PyObject_HEAD
    uint64_t old;                      /* what the flag was at each __enter__, the newest in bit 0 */
    int depth;
} atomic_object;

static PyObject *
atomic_enter(PyObject *self, PyObject *noargs)
{
    atomic_object *atomic = (atomic_object *)self;
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    if (atomic->depth == MAX_DEPTH) {
        PyErr_Format(PyExc_RuntimeError, "an atomic object can be entered %d times at once", MAX_DEPTH);
        return NULL;
    }
    atomic->old = atomic->old << 1 | th->current->flags.atomic;
    atomic->depth++;
    th->current->flags.atomic = 1;
    return Py_NewRef(self);
}

static PyObject *
atomic_exit(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    atomic_object *atomic = (atomic_object *)self;
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    if (atomic->depth == 0) {
        PyErr_SetString(PyExc_RuntimeError, "atomic.__exit__() without __enter__()");
        return NULL;
    }
    th->current->flags.atomic = atomic->old & 1;
    atomic->old >>= 1;
    atomic->depth--;
    Py_RETURN_NONE;
}

static PyObject *
atomic_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (type == &slp_atomic_type && !_PyArg_NoKeywords("atomic", kwargs)) {
        return NULL;
    }
    if (type == &slp_atomic_type && !_PyArg_NoPositional("atomic", args)) {
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

/* How it pickles, inside of its block, too. */
static PyObject *
atomic_reduce(PyObject *self, PyObject *noargs)
{
    atomic_object *atomic = (atomic_object *)self;
    return Py_BuildValue("O()(iK)", Py_TYPE(self), atomic->depth, (unsigned long long)atomic->old);
}

static PyObject *
atomic_setstate(PyObject *self, PyObject *state)
{
    atomic_object *atomic = (atomic_object *)self;
    int depth;
    unsigned long long old;
    if (!PyTuple_Check(state)) {
        return PyErr_Format(PyExc_TypeError, "the state of an atomic object must be a tuple, not %.200s",
                            Py_TYPE(state)->tp_name);
    }
    if (!PyArg_ParseTuple(state, "iK:atomic", &depth, &old)) {
        return NULL;
    }
    if (depth < 0 || depth > MAX_DEPTH) {
        return PyErr_Format(PyExc_ValueError, "an atomic object cannot be entered %d times", depth);
    }
    atomic->depth = depth;
    atomic->old = old;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(enter_doc,
"__enter__($self, /)\n"
"--\n\n"
"Set the flag atomic of the current tasklet; returns the object.");

PyDoc_STRVAR(exit_doc,
"__exit__($self, /, *exc_info)\n"
"--\n\n"
"Give the current tasklet the flag back that was found by __enter__().");

static PyMethodDef atomic_methods[] = {
    {"__enter__", atomic_enter, METH_NOARGS, enter_doc},
    {"__reduce__", atomic_reduce, METH_NOARGS, "How the object pickles."},
    {"__setstate__", atomic_setstate, METH_O, "Fill a new object with what __reduce__() has said of one."},
    {"__exit__", _PyCFunction_CAST(atomic_exit), METH_FASTCALL, exit_doc},
    {NULL},
};

PyDoc_STRVAR(atomic_doc,
"atomic()\n"
"--\n\n"
"A context manager: nothing interrupts the current tasklet in the block.\n\n"
"The watchdog waits, signals are not handled, and other threads do not run\n"
"unless the tasklet waits for something.  It may still switch itself, and whoever\n"
"is current at the end of the block gets the flag that was found at its\n"
"beginning.  See tasklet.set_atomic().\n\n"
"    with atomic():\n"
"        counter += 1");

PyTypeObject slp_atomic_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless.atomic",
    .tp_basicsize = sizeof(atomic_object),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .tp_doc = atomic_doc,
    .tp_methods = atomic_methods,
    .tp_new = atomic_new,
};
