/* An extension that is soft on Stackless Python and runs on CPython as well: Doc/reference/c-protocol.rst. */
#define _GNU_SOURCE
#include "stackless_protocol.h"

#include <dlfcn.h>

/* PyStackless_CallOneArg_nr(), or what does the same on CPython. */
static PyObject *(*call_one_arg)(PyObject *callable, PyObject *arg);

static PyObject *
call(PyObject *module, PyObject *callable)
{
    return call_one_arg(callable, Py_None);
}

static PyObject *
call_fast(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return call_one_arg(args[0], args[1]);
}

static PyObject *
call_noargs(PyObject *module, PyObject *noargs)
{
    return call_one_arg((PyObject *)&PyType_Type, module);
}

static PyMethodDef methods[] = {
    {"call", call, METH_O | METH_STACKLESS, NULL},
    {"call_fast", (PyCFunction)(void (*)(void))call_fast, METH_FASTCALL | METH_STACKLESS, NULL},
    {"type_of_module", call_noargs, METH_NOARGS | METH_STACKLESS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "portable_extension",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit_portable_extension(void)
{
    *(void **)&call_one_arg = dlsym(RTLD_DEFAULT, "PyStackless_CallOneArg_nr");
    if (call_one_arg == NULL)
        call_one_arg = PyObject_CallOneArg;
    return PyModule_Create(&definition);
}
