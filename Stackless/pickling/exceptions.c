/* Exceptions in frames: what the pickling of exceptions loses.
 *
 * Exceptions pickle without their traceback, cause and context, in the base and here.  A tasklet that is
 * suspended while it handles some goes on as if nothing had happened only if those come back: so its image
 * has a list of rows (exception, traceback, cause, context, suppress_context), one for each exception that
 * stands in a frame, and for those that it leads to.
 */
#include "slp_pickle_tasklet.h"

#include "slp_pickle.h"

/* Where a row has what its exception leads to. */
enum {
    ROW_CAUSE = 2,
    ROW_CONTEXT,
};

/* Append the row of `value`, if it is an exception that `seen` (a set of addresses) lacks. */
static int
add_exception(PyObject *rows, PyObject *seen, PyObject *value)
{
    if (value == NULL || !PyExceptionInstance_Check(value)) {
        return 0;
    }
    PyObject *key = PyLong_FromVoidPtr(value);
    int known = key == NULL ? -1 : PySet_Contains(seen, key);
    int status = known != 0 ? known : PySet_Add(seen, key);
    Py_XDECREF(key);
    if (status != 0) {
        return status < 0 ? -1 : 0;
    }
    PyBaseExceptionObject *e = (PyBaseExceptionObject *)value;
    if (e->traceback != NULL || e->cause != NULL || e->context != NULL || e->suppress_context) {
        PyObject *row = Py_BuildValue("OOOOi", value, e->traceback != NULL ? e->traceback : Py_None,
                                      e->cause != NULL ? e->cause : Py_None,
                                      e->context != NULL ? e->context : Py_None, e->suppress_context);
        status = row == NULL ? -1 : PyList_Append(rows, row);
        Py_XDECREF(row);
    }
    return status;
}

/* Append the rows of all that the rows lead to, which may be deeper than a C stack. */
static int
add_causes(PyObject *rows, PyObject *seen)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows); i++) {
        PyObject *row = PyList_GET_ITEM(rows, i);
        if (add_exception(rows, seen, PyTuple_GET_ITEM(row, ROW_CAUSE)) < 0
            || add_exception(rows, seen, PyTuple_GET_ITEM(row, ROW_CONTEXT)) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
slp_exceptions_out(PyTaskletObject *t)
{
    PyObject *rows = PyList_New(0);
    PyObject *seen = PySet_New(NULL);
    int status = rows == NULL || seen == NULL ? -1 : add_exception(rows, seen, t->exc_state.exc_value);
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL && status == 0; frame = frame->previous) {
        for (int i = 0; i < frame->stacktop && status == 0; i++) {
            status = add_exception(rows, seen, frame->localsplus[i]);
        }
        if (frame->owner == FRAME_OWNED_BY_GENERATOR && status == 0) {
            status = add_exception(rows, seen, _PyFrame_GetGenerator(frame)->gi_exc_state.exc_value);
        }
    }
    status = status < 0 ? -1 : add_causes(rows, seen);
    Py_XDECREF(seen);
    if (status < 0) {
        Py_XDECREF(rows);
        return NULL;
    }
    if (PyList_GET_SIZE(rows) == 0) {
        Py_SETREF(rows, Py_NewRef(Py_None));
    }
    return rows;
}

/* None, or an exception. */
static bool
is_optional_exception(PyObject *op)
{
    return op == Py_None || PyExceptionInstance_Check(op);
}

static PyObject *
null_for_none(PyObject *op)
{
    return op == Py_None ? NULL : Py_NewRef(op);
}

/* Give one exception back what the row says. */
static int
restore_row(PyObject *row)
{
    PyObject *exc, *traceback, *cause, *context;
    int suppress;
    if (!PyTuple_CheckExact(row)) {
        slp_refuse_image("an exception", "its row is %.200s", Py_TYPE(row)->tp_name);
        return -1;
    }
    if (!PyArg_ParseTuple(row, "OOOOp:exception", &exc, &traceback, &cause, &context, &suppress)) {
        return -1;
    }
    if (!PyExceptionInstance_Check(exc) || !is_optional_exception(cause) || !is_optional_exception(context)
        || (traceback != Py_None && !PyTraceBack_Check(traceback))) {
        slp_refuse_image("an exception", "a part of it has the wrong type");
        return -1;
    }
    PyException_SetTraceback(exc, traceback);
    PyException_SetCause(exc, null_for_none(cause));
    PyException_SetContext(exc, null_for_none(context));
    ((PyBaseExceptionObject *)exc)->suppress_context = (char)suppress;
    return 0;
}

int
slp_exceptions_in(PyObject *rows)
{
    if (rows == Py_None) {
        return 0;
    }
    if (!PyList_CheckExact(rows)) {
        slp_refuse_image("an exception", "the rows are %.200s", Py_TYPE(rows)->tp_name);
        return -1;
    }
    int status = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rows) && status == 0; i++) {
        PyObject *row = Py_NewRef(PyList_GET_ITEM(rows, i));
        status = restore_row(row);
        Py_DECREF(row);
    }
    return status;
}
