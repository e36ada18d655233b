/* The module _stackless._wrap: what images name, and the reducers that stackless registers. */
#include "slp_pickle.h"
#include "slp_pickle_frame.h"
#include "slp_protocol.h"

PyObject *
slp_refuse_image(const char *what, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    PyObject *text = PyUnicode_FromFormatV(format, args);
    va_end(args);
    if (text != NULL) {
        PyErr_Format(PyExc_ValueError, "cannot unpickle %s: %U", what, text);
        Py_DECREF(text);
    }
    return NULL;
}

bool
slp_int_in(PyObject *op, int *value)
{
    if (!PyLong_Check(op)) {
        PyErr_Format(PyExc_TypeError, "expected an int in the image, not %.200s", Py_TYPE(op)->tp_name);
        return false;
    }
    *value = _PyLong_AsInt(op);
    return *value != -1 || !PyErr_Occurred();
}

PyObject *
slp_tuple_of(PyObject **items, Py_ssize_t count)
{
    bool complete = true;
    for (Py_ssize_t i = 0; i < count; i++) {
        complete = complete && items[i] != NULL;
    }
    PyObject *tuple = complete ? PyTuple_New(count) : NULL;
    for (Py_ssize_t i = 0; i < count; i++) {
        if (tuple != NULL) {
            PyTuple_SET_ITEM(tuple, i, items[i]);
        }
        else {
            Py_XDECREF(items[i]);
        }
    }
    return tuple;
}

int
slp_add_stand_in(PyObject *module, PyTypeObject *stand_in, PyTypeObject *real)
{
    stand_in->tp_basicsize = real->tp_basicsize;
    stand_in->tp_itemsize = real->tp_itemsize;
    stand_in->tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC;
    stand_in->tp_dealloc = real->tp_dealloc;
    stand_in->tp_traverse = real->tp_traverse;
    stand_in->tp_clear = real->tp_clear;
    stand_in->tp_free = PyObject_GC_Del;
    return PyModule_AddType(module, stand_in);
}

static PyMethodDef wrap_methods[] = {
    {"reduce_code", slp_reduce_code, METH_O, "How a code object pickles."},
    {"reduce_cell", slp_reduce_cell, METH_O, "How a cell pickles."},
    {"reduce_function", slp_reduce_function, METH_O, "How a function pickles."},
    {"reduce_module", slp_reduce_module, METH_O, "How a module pickles."},
    {"reduce_traceback", slp_reduce_traceback, METH_O, "How a traceback pickles."},
    {"reduce_generator", slp_reduce_generator, METH_O, "How a generator or a coroutine pickles."},
    {"reduce_awaitable", slp_reduce_awaitable, METH_O,
     "How pickles what a coroutine or an asynchronous generator is awaited by."},
    {"awaitable", slp_make_awaitable, METH_VARARGS, "What asend(), athrow() or aclose() returned."},
    {"reduce_wrapped_value", slp_reduce_wrapped_value, METH_O,
     "How pickles what an asynchronous generator is about to yield."},
    {"wrapped_value", slp_make_wrapped_value, METH_O, "What an asynchronous generator is about to yield."},
    {"anext_awaitable", slp_make_anext, METH_VARARGS, "What anext() with a default returned."},
    {"coroutine_wrapper", slp_make_coroutine_wrapper, METH_O, "What coroutine.__await__() returned."},
    {"soft_function_state", slp_make_soft_state, METH_VARARGS, "A call of an extension's soft function."},
    {"code", slp_make_code, METH_VARARGS, "A code object of an image."},
    {"module", slp_make_module, METH_O, "A module of an image that is not imported by its name."},
    {"module_dict", slp_make_module_dict, METH_O, "The dict of the module of that name."},
    {"traceback", slp_make_traceback, METH_VARARGS, "A traceback of an image."},
    {"set_list_index", slp_set_list_index, METH_VARARGS, "Let an iterator over a list go on at an index."},
    {"memory_index", slp_memory_index, METH_O, "The index at which an iterator over a memoryview goes on."},
    {"unknown_shims", slp_unknown_shims, METH_NOARGS,
     "The names of the shims whose frames cannot be loaded from an image; for tests."},
    {"slot_names", slp_slot_names, METH_O,
     "The names of the local variables and cells of a code object, in the order of a frame's slots."},
    {"code_hash", slp_code_hash_method, METH_O,
     "A number that depends on all that a code object does, the same in every process."},
    {NULL},
};

/* Types without a name in any module. */
static int
add_awaitable_types(PyObject *wrap)
{
    PyObject *types = PyTuple_Pack(4, &_PyCoroWrapper_Type, &_PyAsyncGenASend_Type, &_PyAsyncGenAThrow_Type,
                                   &_PyAnextAwaitable_Type);
    int status = types == NULL ? -1 : PyModule_AddObjectRef(wrap, "awaitable_types", types);
    Py_XDECREF(types);
    return status < 0 ? -1
                      : PyModule_AddObjectRef(wrap, "async_generator_wrapped_value_type",
                                              (PyObject *)&_PyAsyncGenWrappedValue_Type);
}

static int
fill(PyObject *wrap)
{
    return PyModule_AddFunctions(wrap, wrap_methods) < 0
                   || slp_add_stand_in(wrap, &slp_stand_in_cell, &PyCell_Type) < 0
                   || slp_add_stand_in(wrap, &slp_stand_in_function, &PyFunction_Type) < 0
                   || slp_add_generator_types(wrap) < 0 || add_awaitable_types(wrap) < 0
                   || PyType_Ready(&slp_module_dict_ref_type) < 0
               ? -1
               : 0;
}

int
slp_wrap_init(PyObject *module)
{
    PyObject *wrap = PyModule_New("_stackless._wrap");
    int status = -1;
    if (wrap != NULL && fill(wrap) == 0
        && PyDict_SetItemString(PyImport_GetModuleDict(), "_stackless._wrap", wrap) == 0) {
        status = PyModule_AddObjectRef(module, "_wrap", wrap);
    }
    Py_XDECREF(wrap);
    return status;
}
