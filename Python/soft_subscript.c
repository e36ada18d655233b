/* Subscripts that lead to Python functions, other than __getitem__, which BINARY_SUBSCR enters itself. */
#include "slp_soft.h"

PyFunctionObject *
slp_subscript_setter(PyObject *container, PyObject *name)
{
    PyMappingMethods *mapping = Py_TYPE(container)->tp_as_mapping;
    if (mapping == NULL || mapping->mp_ass_subscript != slp_python_slots.mapping.mp_ass_subscript) {
        return NULL;
    }
    return slp_python_method(Py_TYPE(container), name);
}

/* A class of which there is a __class_getitem__, the usual classmethod of a Python function. */
static PyObject *
class_getitem(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *type, PyObject *index,
              _PyInterpreterFrame **top)
{
    if (Py_TYPE(type)->tp_getattro != PyType_Type.tp_getattro
        || (Py_TYPE(type)->tp_as_mapping != NULL && Py_TYPE(type)->tp_as_mapping->mp_subscript != NULL)
        || _PyType_Lookup(Py_TYPE(type), &_Py_ID(__class_getitem__)) != NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *found = _PyType_Lookup((PyTypeObject *)type, &_Py_ID(__class_getitem__));
    if (found == NULL || !Py_IS_TYPE(found, &PyClassMethod_Type)) {
        return SLP_NOT_SOFT;
    }
    PyObject *func = slp_classmethod_function(found);
    if (func == NULL || !Py_IS_TYPE(func, &PyFunction_Type)) {
        return SLP_NOT_SOFT;
    }
    PyObject *args[2] = {type, index};
    return slp_enter_function(tstate, below, (PyFunctionObject *)func, args, 2, NULL, top);
}

PyObject *
slp_soft_getitem(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container, PyObject *index,
                 _PyInterpreterFrame **top)
{
    if (PyType_Check(container)) {
        return class_getitem(tstate, below, container, index, top);
    }
    if (!PyDict_Check(container)
        || _PyType_Lookup(Py_TYPE(container), &_Py_ID(__getitem__))
               != _PyType_Lookup(&PyDict_Type, &_Py_ID(__getitem__))) {
        return SLP_NOT_SOFT;
    }
    PyFunctionObject *missing = slp_python_method(Py_TYPE(container), &_Py_ID(__missing__));
    if (missing == NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *value = PyDict_GetItemWithError(container, index);
    if (value != NULL || _PyErr_Occurred(tstate)) {
        return Py_XNewRef(value);
    }
    /* Hashing and comparing may have changed it; where it is no function now, C looks for the key again. */
    missing = slp_python_method(Py_TYPE(container), &_Py_ID(__missing__));
    PyObject *args[2] = {container, index};
    return missing == NULL ? SLP_NOT_SOFT
                           : slp_enter_function(tstate, below, missing, args, 2, NULL, top);
}
