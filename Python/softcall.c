/* Calls of what is not a Python function: the registry of soft functions (slp_softcall.h). */
#include "slp_softcall.h"

#include <structmember.h>

#include "slp_frame.h"
#include "slp_protocol.h"

/* --- the registry ------------------------------------------------------------------------------ */

/* What soft functions are registered for: a PyMethodDef, a class, a tp_call, a slot's C function, or one
 * past the address of a type for its instances.  All differ, so one table serves.  Open addressing;
 * never more than half full. */
#define TABLE_SIZE 512

typedef struct {
    const void *key;
    slp_soft_function function;
} entry;

static entry table[TABLE_SIZE];
static size_t used;

static size_t
first_place(const void *key)
{
    uintptr_t bits = (uintptr_t)key >> 4;
    return (bits ^ bits >> 9) % TABLE_SIZE;
}

static slp_soft_function
find(const void *key)
{
    size_t place = first_place(key);
    while (table[place].key != NULL) {
        if (table[place].key == key) {
            return table[place].function;
        }
        place = (place + 1) % TABLE_SIZE;
    }
    return NULL;
}

static void
put(const void *key, slp_soft_function function)
{
    size_t place = first_place(key);
    while (table[place].key != NULL && table[place].key != key) {
        place = (place + 1) % TABLE_SIZE;
    }
    if (table[place].key == NULL && ++used > TABLE_SIZE / 2) {
        Py_FatalError("the table of soft functions is full");
    }
    table[place] = (entry){key, function};
}

/* What the soft function for instances of `type` is found by: tp_call, which subclasses inherit, unless
 * it is the one that all types with vectorcall share. */
static const void *
instances_key(PyTypeObject *type)
{
    return type->tp_call == PyVectorcall_Call ? (const char *)type + 1 : (const void *)type->tp_call;
}

void
slp_soft_register_function(PyObject *callable, slp_soft_function function)
{
    PyMethodDef *definition;
    if (PyCFunction_Check(callable)) {
        definition = ((PyCFunctionObject *)callable)->m_ml;
    }
    else {
        assert(Py_IS_TYPE(callable, &PyMethodDescr_Type));
        definition = ((PyMethodDescrObject *)callable)->d_method;
    }
    definition->ml_flags |= SLP_METH_SOFT;
    put(definition, function);
}

void
slp_soft_register_builtin(const char *name, slp_soft_function function)
{
    PyObject *builtin = PyDict_GetItemString(_PyInterpreterState_GET()->builtins, name);
    if (builtin == NULL || !PyCFunction_Check(builtin)) {
        Py_FatalError("a builtin function with a soft function is missing");
    }
    slp_soft_register_function(builtin, function);
}

slp_soft_function
slp_soft_registered_builtin(const char *name)
{
    PyObject *builtin = PyDict_GetItemString(_PyInterpreterState_GET()->builtins, name);
    return builtin != NULL && PyCFunction_Check(builtin) ? find(((PyCFunctionObject *)builtin)->m_ml) : NULL;
}

void
slp_soft_register_method(PyTypeObject *type, const char *name, slp_soft_function function)
{
    PyObject *method = PyDict_GetItemString(type->tp_dict, name);
    if (method == NULL || !Py_IS_TYPE(method, &PyMethodDescr_Type)) {
        Py_FatalError("a method with a soft function is missing");
    }
    slp_soft_register_function(method, function);
}

void
slp_soft_register_class(PyTypeObject *type, slp_soft_function function)
{
    put(type, function);
}

void
slp_soft_register_instances(PyTypeObject *type, slp_soft_function function)
{
    put(instances_key(type), function);
}

void
slp_soft_register_slot(void *slot, slp_soft_function function)
{
    put(slot, function);
}

/* --- calls ------------------------------------------------------------------------------------- */

PyObject *
slp_soft_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable, PyObject *const *args,
              Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    slp_soft_function function;
    PyTypeObject *type = Py_TYPE(callable);
    if (type == &PyCFunction_Type || type == &PyCMethod_Type) {
        int flags = PyCFunction_GET_FLAGS(callable);
        if (!(flags & (SLP_METH_SOFT | METH_STACKLESS)) || tstate->c_profilefunc != NULL) {
            return SLP_NOT_SOFT;
        }
        if (flags & METH_STACKLESS) {
            return slp_protocol_call(tstate, below, callable, args, nargs, kwnames, top);
        }
        function = find(((PyCFunctionObject *)callable)->m_ml);
        assert(function != NULL);
        return function(tstate, below, PyCFunction_GET_SELF(callable), args, nargs, kwnames, top);
    }
    if (type == &PyMethodDescr_Type) {
        PyMethodDef *definition = ((PyMethodDescrObject *)callable)->d_method;
        if (!(definition->ml_flags & (SLP_METH_SOFT | METH_STACKLESS)) || tstate->c_profilefunc != NULL
            || nargs == 0 || !PyObject_TypeCheck(args[0], PyDescr_TYPE(callable))) {
            return SLP_NOT_SOFT;
        }
        if (definition->ml_flags & METH_STACKLESS) {
            return slp_protocol_call(tstate, below, callable, args, nargs, kwnames, top);
        }
        function = find(definition);
        assert(function != NULL);
        return function(tstate, below, args[0], args + 1, nargs - 1, kwnames, top);
    }
    if (type == &PyFunction_Type) {
        return slp_enter_function(tstate, below, (PyFunctionObject *)callable, args, nargs, kwnames, top);
    }
    if (type->tp_call == NULL) {
        return SLP_NOT_SOFT;
    }
    if (type->tp_flags & Py_TPFLAGS_HAVE_STACKLESS_CALL) {
        return slp_protocol_call(tstate, below, callable, args, nargs, kwnames, top);
    }
    if (type == &PyWrapperDescr_Type) {
        if (nargs == 0 || !PyObject_TypeCheck(args[0], PyDescr_TYPE(callable))) {
            return SLP_NOT_SOFT;
        }
        function = find(((PyWrapperDescrObject *)callable)->d_wrapped);
        return function == NULL ? SLP_NOT_SOFT
                                : function(tstate, below, args[0], args + 1, nargs - 1, kwnames, top);
    }
    function = NULL;
    if (type->tp_call == PyType_Type.tp_call) {
        function = find(callable);
    }
    if (function == NULL) {
        function = find(instances_key(type));
    }
    return function == NULL ? SLP_NOT_SOFT : function(tstate, below, callable, args, nargs, kwnames, top);
}

bool
slp_may_be_soft(PyObject *callable)
{
    while (Py_IS_TYPE(callable, &PyMethod_Type)) {
        callable = PyMethod_GET_FUNCTION(callable);
    }
    PyTypeObject *type = Py_TYPE(callable);
    if (type == &PyFunction_Type || slp_takes_offers(callable)) {
        return true;
    }
    if (PyCFunction_Check(callable) || type == &PyMethodDescr_Type) {
        return slp_is_soft_function(callable);
    }
    if (type->tp_call == NULL) {
        return false;
    }
    if (type->tp_call == PyType_Type.tp_call) {
        return ((PyTypeObject *)callable)->tp_vectorcall == NULL || find(callable) != NULL;
    }
    return find(type == &PyWrapperDescr_Type ? ((PyWrapperDescrObject *)callable)->d_wrapped
                                             : instances_key(type))
           != NULL;
}

PyObject *
slp_soft_call_ex(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable, PyObject *args,
                 PyObject *kwargs, _PyInterpreterFrame **top)
{
    PyObject *const *items = &PyTuple_GET_ITEM(args, 0);
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    if (kwargs == NULL || PyDict_GET_SIZE(kwargs) == 0) {
        return slp_soft_call(tstate, below, callable, items, nargs, NULL, top);
    }
    Py_ssize_t count = PyDict_GET_SIZE(kwargs);
    PyObject *kwnames = PyTuple_New(count);
    PyObject **vector = PyMem_Malloc((size_t)(nargs + count) * sizeof(PyObject *));
    PyObject *result = NULL;
    if (kwnames != NULL && vector != NULL) {
        memcpy(vector, items, (size_t)nargs * sizeof(PyObject *));
        PyObject *name, *value;
        Py_ssize_t position = 0, i = 0;
        bool all_names = true;
        while (PyDict_Next(kwargs, &position, &name, &value)) {
            all_names = all_names && PyUnicode_Check(name);
            PyTuple_SET_ITEM(kwnames, i, Py_NewRef(name));
            vector[nargs + i++] = value;
        }
        /* C raises the error for a keyword that is not a string. */
        result = all_names ? slp_soft_call(tstate, below, callable, vector, nargs, kwnames, top)
                           : SLP_NOT_SOFT;
    }
    else {
        PyErr_NoMemory();
    }
    PyMem_Free(vector);
    Py_XDECREF(kwnames);
    return result;
}

/* The values of a call with `first` before them, in `buffer` or on the heap; NULL with MemoryError.
 * Borrowed; released with drop_extended(). */
#define BUFFER_SIZE 8

static PyObject **
extend(PyObject *buffer[BUFFER_SIZE], PyObject *first, PyObject *const *args, Py_ssize_t count)
{
    PyObject **values = buffer;
    if (count >= BUFFER_SIZE) {
        values = PyMem_Malloc((size_t)(count + 1) * sizeof(PyObject *));
        if (values == NULL) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    values[0] = first;
    if (count > 0) {
        memcpy(values + 1, args, (size_t)count * sizeof(PyObject *));
    }
    return values;
}

/* callable(first, *args) */
static PyObject *
call_with_first(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable, PyObject *first,
                PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *buffer[BUFFER_SIZE];
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    PyObject **values = extend(buffer, first, args, count);
    if (values == NULL) {
        return NULL;
    }
    PyObject *result = slp_soft_call(tstate, below, callable, values, nargs + 1, kwnames, top);
    if (values != buffer) {
        PyMem_Free(values);
    }
    return result;
}

/* An instance whose class has a __call__ in Python. */
static PyObject *
soft_call_instance(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyFunctionObject *call = slp_python_method(Py_TYPE(self), &_Py_ID(__call__));
    if (call == NULL) {
        return SLP_NOT_SOFT;
    }
    return call_with_first(tstate, below, (PyObject *)call, self, args, nargs, kwnames, top);
}

/* A bound method, of whatever. */
static PyObject *
soft_call_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return call_with_first(tstate, below, PyMethod_GET_FUNCTION(self), PyMethod_GET_SELF(self), args, nargs,
                           kwnames, top);
}

/* staticmethod(f) called as it is. */
static PyObject *
soft_call_staticmethod(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                       PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *callable = slp_staticmethod_function(self);
    if (callable == NULL) {
        return SLP_NOT_SOFT;
    }
    Py_INCREF(callable);   /* a collection may run, whose code changes the staticmethod */
    PyObject *answer = slp_soft_call(tstate, below, callable, args, nargs, kwnames, top);
    Py_DECREF(callable);
    return answer;
}

/* Where a method-wrapper has its descriptor and its self: a struct that no header shows, with `__self__` the
 * only member.  Checked against a real one. */
static Py_ssize_t wrapper_descr_offset, wrapper_self_offset;

static void
learn_method_wrapper(void)
{
    wrapper_self_offset = _PyMethodWrapper_Type.tp_members[0].offset;
    wrapper_descr_offset = wrapper_self_offset - (Py_ssize_t)sizeof(PyObject *);
    PyObject *wrapper = PyObject_GetAttrString(Py_None, "__str__");
    PyObject *descr = PyDict_GetItemString(PyBaseObject_Type.tp_dict, "__str__");
    if (wrapper == NULL || !Py_IS_TYPE(wrapper, &_PyMethodWrapper_Type)
        || *(PyObject **)((char *)wrapper + wrapper_descr_offset) != descr
        || *(PyObject **)((char *)wrapper + wrapper_self_offset) != Py_None) {
        Py_FatalError("method-wrapper has an unknown layout");
    }
    Py_DECREF(wrapper);
}

/* super().__call__(...), object.__setattr__ of an instance: a slot's wrapper, bound. */
static PyObject *
soft_call_method_wrapper(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                         PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                         _PyInterpreterFrame **top)
{
    PyWrapperDescrObject *descr = *(PyWrapperDescrObject **)((char *)self + wrapper_descr_offset);
    slp_soft_function function = find(descr->d_wrapped);
    PyObject *bound = *(PyObject **)((char *)self + wrapper_self_offset);
    return function == NULL ? SLP_NOT_SOFT : function(tstate, below, bound, args, nargs, kwnames, top);
}

void
slp_soft_calls_init(void)
{
    learn_method_wrapper();
    slp_soft_register_instances(&_PyMethodWrapper_Type, soft_call_method_wrapper);
    slp_soft_register_instances(&PyStaticMethod_Type, soft_call_staticmethod);
    slp_soft_register_instances(&slp_python_slots.type, soft_call_instance);
    slp_soft_register_instances(&PyMethod_Type, soft_call_method);
}
