/* C++ code that calls Python while exceptions are being handled and thrown, for test_cxx.py. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <exception>
#include <stdexcept>
#include <string>

/* handle(text, function): throw text, call function() while it is being handled, throw it on.
 * Answers (text of what was thrown on, result of function()). */
static PyObject *
handle(PyObject *, PyObject *args)
{
    const char *text;
    PyObject *function;
    if (!PyArg_ParseTuple(args, "sO", &text, &function)) {
        return nullptr;
    }
    PyObject *result = nullptr;
    try {
        try {
            throw std::runtime_error(text);
        }
        catch (const std::exception &) {
            result = PyObject_CallNoArgs(function);
            if (result == nullptr) {
                return nullptr;
            }
            throw;
        }
    }
    catch (const std::exception &error) {
        return Py_BuildValue("sN", error.what(), result);
    }
}

namespace {

/* Calls function() when it goes out of scope. */
struct at_end {
    PyObject *function;
    PyObject **result;
    int *on_their_way;

    ~at_end()
    {
        *result = PyObject_CallNoArgs(function);
        *on_their_way = std::uncaught_exceptions();
    }
};

/* What Python raised, on its way through C++ frames; the Python exception stays set meanwhile. */
struct python_error {};

} // namespace

/* unwind(text, function): throw text, call function() while it passes frames.
 * Answers (text, result of function(), how many exceptions were on their way afterwards). */
static PyObject *
unwind(PyObject *, PyObject *args)
{
    const char *text;
    PyObject *function;
    if (!PyArg_ParseTuple(args, "sO", &text, &function)) {
        return nullptr;
    }
    PyObject *result = nullptr;
    int on_their_way = -1;
    try {
        at_end guard{function, &result, &on_their_way};
        throw std::runtime_error(text);
    }
    catch (const std::exception &error) {
        return result == nullptr ? nullptr : Py_BuildValue("sNi", error.what(), result, on_their_way);
    }
}

/* Throw what function() raises through so many frames. */
static PyObject *
call_through(PyObject *function, int frames)
{
    std::string owned(100, 'x');
    PyObject *result = frames == 0 ? PyObject_CallNoArgs(function) : call_through(function, frames - 1);
    if (result == nullptr) {
        throw python_error();
    }
    return owned.size() == 100 ? result : nullptr;
}

/* through(function): function(), whose exceptions pass ten frames as C++ exceptions. */
static PyObject *
through(PyObject *, PyObject *function)
{
    try {
        return call_through(function, 10);
    }
    catch (const python_error &) {
        return nullptr;
    }
}

/* state(): (text of what is being handled or None, how many exceptions are on their way). */
static PyObject *
state(PyObject *, PyObject *)
{
    if (std::current_exception() == nullptr) {
        return Py_BuildValue("Oi", Py_None, std::uncaught_exceptions());
    }
    try {
        throw;
    }
    catch (const std::exception &error) {
        return Py_BuildValue("si", error.what(), std::uncaught_exceptions());
    }
}

static PyMethodDef functions[] = {
    {"handle", handle, METH_VARARGS, nullptr},
    {"unwind", unwind, METH_VARARGS, nullptr},
    {"through", through, METH_O, nullptr},
    {"state", state, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

static PyModuleDef_Slot slots[] = {{0, nullptr}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "cxx_sample", nullptr, 0, functions, slots, nullptr, nullptr, nullptr,
};

PyMODINIT_FUNC
PyInit_cxx_sample(void)
{
    return PyModuleDef_Init(&module);
}
