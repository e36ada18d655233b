/* Where iterators stand that do not say so, or that cannot be told: for Lib/stackless/_reducers.py. */
#include "slp_eval.h"

#include "slp_pickle.h"

/* An iterator over a memoryview begins as those over sequences do: the index stands first. */
PyObject *
slp_memory_index(PyObject *module, PyObject *iterator)
{
    PyTypeObject *type = Py_TYPE(iterator);
    /* The type has no other name that the linker knows. */
    if (PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) || strcmp(type->tp_name, "memory_iterator") != 0) {
        return PyErr_Format(PyExc_TypeError, "expected an iterator over a memoryview, not %.200s",
                            type->tp_name);
    }
    return PyLong_FromSsize_t(((slp_sequence_iterator *)iterator)->it_index);
}

/* The iterator's own __setstate__ takes no index behind the end of the list, which is empty as long as what
 * it holds is being loaded. */
PyObject *
slp_set_list_index(PyObject *module, PyObject *args)
{
    PyObject *iterator;
    Py_ssize_t index;
    if (!PyArg_ParseTuple(args, "On:set_list_index", &iterator, &index)) {
        return NULL;
    }
    bool backwards = Py_IS_TYPE(iterator, &PyListRevIter_Type);
    if (!backwards && !Py_IS_TYPE(iterator, &PyListIter_Type)) {
        return PyErr_Format(PyExc_TypeError, "expected an iterator over a list, not %.200s",
                            Py_TYPE(iterator)->tp_name);
    }
    if (index < (backwards ? -1 : 0)) {
        return PyErr_Format(PyExc_ValueError, "an iterator over a list cannot go on at %zd", index);
    }
    ((slp_sequence_iterator *)iterator)->it_index = index;
    Py_RETURN_NONE;
}
