/* Attributes whose getter, setter or hook is a Python function, entered as frames (slp_soft.h).
 *
 * What Python runs when owner.name is looked up:
 *
 *   __getattribute__    instead of the lookup
 *   the lookup          property, or __get__ of a descriptor's class
 *   __getattr__         when either raises AttributeError, or the lookup finds nothing
 *
 * The attribute shim stands below the first two and sends an AttributeError to __getattr__; it stands
 * below that one too, because an AttributeError that leaves the instruction tells of owner and name.
 *
 * Whether Python is behind a name turns out in the middle of the lookup, which costs most of what an
 * attribute costs. So the lookup is done here to its end, C descriptors included; only what finds nothing,
 * and so raises, is left to C. (Looking first and then letting C look again made LOAD_ATTR 70 instructions
 * longer.)
 */
#include "slp_soft.h"

#include <structmember.h>

#include "slp_frame.h"
#include "slp_softcall.h"

/* The functions of a property, whose struct no header shows: read at the offsets of its members. */
static Py_ssize_t fget_offset, fset_offset, fdel_offset;
/* The same for the function of a classmethod or a staticmethod, and for the parts of a super object. */
static Py_ssize_t classmethod_offset, staticmethod_offset;
static Py_ssize_t super_thisclass_offset, super_self_offset, super_self_class_offset;

static PyObject *
part(PyObject *obj, Py_ssize_t offset)
{
    return *(PyObject **)((char *)obj + offset);
}

PyObject *
slp_classmethod_function(PyObject *classmethod)
{
    return part(classmethod, classmethod_offset);
}

PyObject *
slp_staticmethod_function(PyObject *staticmethod)
{
    return part(staticmethod, staticmethod_offset);
}

static PyFunctionObject *
function_or_null(PyObject *obj)
{
    return obj != NULL && Py_IS_TYPE(obj, &PyFunction_Type) ? (PyFunctionObject *)obj : NULL;
}

static bool
is_data_descriptor(PyObject *descr)
{
    return Py_TYPE(descr)->tp_descr_get != NULL && Py_TYPE(descr)->tp_descr_set != NULL;
}

/* The attribute of the instance itself (a new reference).  NULL: there is none, or an exception is set. */
static PyObject *
instance_attribute(PyObject *owner, PyObject *name)
{
    if (Py_TYPE(owner)->tp_flags & Py_TPFLAGS_MANAGED_DICT) {
        PyDictValues *values = *_PyObject_ValuesPointer(owner);
        if (values != NULL) {
            return _PyObject_GetInstanceAttribute(owner, values, name);
        }
    }
    PyObject **place = _PyObject_DictPointer(owner);
    if (place == NULL || *place == NULL) {
        return NULL;
    }
    PyObject *dict = Py_NewRef(*place);
    PyObject *value = PyDict_GetItemWithError(dict, name);
    Py_XINCREF(value);
    Py_DECREF(dict);
    return value;
}

/* Where the attribute shim is entered (slp_shims.h); or there is none, for object.__getattribute__(), whose
 * errors go out as they are. */
#define NO_SHIM 0

/* Enter func(*args) above an attribute shim.  Where `top` is NULL, the question is only whether there would
 * be frames, and the answer SLP_ENTER pushes none. */
static PyObject *
enter_getter(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
             PyFunctionObject *func, PyObject *const *args, Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    PyObject *values[2] = {owner, name};
    if (top == NULL) {
        return SLP_ENTER;
    }
    if (entry == NO_SHIM) {
        return slp_enter_function(tstate, below, func, args, nargs, NULL, top);
    }
    return slp_enter_above(tstate, below, slp_shim_getattr, entry, values, 2, func, args, nargs, top);
}

/* The __get__ of `descr`, for instance `self` (or NULL) of `type`, if it is a Python function.  `owner` is
 * what the attribute is looked up in. */
static PyObject *
enter_get(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
          PyObject *descr, PyObject *self, PyTypeObject *type, _PyInterpreterFrame **top)
{
    PyTypeObject *descr_type = Py_TYPE(descr);
    if (descr_type->tp_descr_get == slp_python_slots.type.tp_descr_get) {
        PyFunctionObject *get = slp_python_method(descr_type, &_Py_ID(__get__));
        if (get != NULL) {
            PyObject *args[3] = {descr, self == NULL ? Py_None : self, (PyObject *)type};
            return enter_getter(tstate, below, owner, name, entry, get, args, 3, top);
        }
    }
    else if (descr_type->tp_descr_get == PyProperty_Type.tp_descr_get && self != NULL && self != Py_None) {
        PyFunctionObject *fget = function_or_null(part(descr, fget_offset));
        if (fget != NULL) {
            return enter_getter(tstate, below, owner, name, entry, fget, &self, 1, top);
        }
    }
    return SLP_NOT_SOFT;
}

/* What C makes of `found`, an attribute of a class: bound to `self` (or NULL) of `type`.  Where `receiver` is
 * not NULL, a method is left unbound, and *receiver is its self (a new reference). */
static PyObject *
bind(PyThreadState *tstate, PyObject *owner, PyObject *name, int entry, PyObject *found, PyObject *self,
     PyTypeObject *type, PyObject **receiver)
{
    PyTypeObject *found_type = Py_TYPE(found);
    if (receiver != NULL && self != NULL && PyType_HasFeature(found_type, Py_TPFLAGS_METHOD_DESCRIPTOR)) {
        *receiver = Py_NewRef(self);
        return Py_NewRef(found);
    }
    if (entry == SLP_ENTRY_HOOKED && found_type != &PyFunction_Type) {
        return SLP_NOT_SOFT;   /* what it raises goes to __getattr__ */
    }
    PyObject *value = found_type->tp_descr_get(found, self, (PyObject *)type);
    if (value == NULL && entry != NO_SHIM) {
        slp_complete_attribute_error(tstate, owner, name);
    }
    return value;
}

/* The same, but where Python does it, by a frame. */
static PyObject *
enter_or_bind(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
              PyObject *found, PyObject *self, PyTypeObject *type, PyObject **receiver,
              _PyInterpreterFrame **top)
{
    Py_INCREF(found);
    if (Py_TYPE(found)->tp_descr_get == NULL) {
        return found;
    }
    PyObject *answer = enter_get(tstate, below, owner, name, entry, found, self, type, top);
    if (answer == SLP_NOT_SOFT) {
        answer = bind(tstate, owner, name, entry, found, self, type, receiver);
    }
    Py_DECREF(found);
    return answer;
}

/* The lookup of object.__getattribute__. */
static PyObject *
generic_lookup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
               PyObject **receiver, _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(owner);
    PyObject *found = _PyType_Lookup(type, name);
    if (found == NULL) {
        PyObject *value = instance_attribute(owner, name);
        return value != NULL || _PyErr_Occurred(tstate) ? value : SLP_NOT_SOFT;
    }
    if (!is_data_descriptor(found)) {
        /* Comparing with odd keys of the instance's dict can run any code. */
        Py_INCREF(found);
        PyObject *value = instance_attribute(owner, name);
        if (value == NULL && !_PyErr_Occurred(tstate)) {
            value = enter_or_bind(tstate, below, owner, name, entry, found, owner, type, receiver, top);
        }
        Py_DECREF(found);
        return value;
    }
    return enter_or_bind(tstate, below, owner, name, entry, found, owner, type, receiver, top);
}

/* The lookup of type.__getattribute__. */
static PyObject *
class_lookup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
             _PyInterpreterFrame **top)
{
    PyTypeObject *type = (PyTypeObject *)owner;
    PyTypeObject *metatype = Py_TYPE(owner);
    if (type->tp_dict == NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *meta = _PyType_Lookup(metatype, name);
    if (meta != NULL && is_data_descriptor(meta)) {
        return enter_or_bind(tstate, below, owner, name, entry, meta, owner, metatype, NULL, top);
    }
    Py_XINCREF(meta);
    PyObject *found = _PyType_Lookup(type, name);
    PyObject *answer = SLP_NOT_SOFT;
    if (found != NULL) {
        answer = enter_or_bind(tstate, below, owner, name, entry, found, NULL, type, NULL, top);
    }
    else if (meta != NULL) {
        answer = enter_or_bind(tstate, below, owner, name, entry, meta, owner, metatype, NULL, top);
    }
    Py_XDECREF(meta);
    return answer;
}

/* The lookup of super().name: the classes behind `thisclass` in the MRO of self's class. */
static PyObject *
super_lookup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
             PyObject **receiver, _PyInterpreterFrame **top)
{
    PyObject *thisclass = part(owner, super_thisclass_offset);
    PyObject *self = part(owner, super_self_offset);
    PyTypeObject *start = (PyTypeObject *)part(owner, super_self_class_offset);
    if (start == NULL || start->tp_mro == NULL || _PyUnicode_Equal(name, &_Py_ID(__class__))) {
        return SLP_NOT_SOFT;
    }
    PyObject *mro = Py_NewRef(start->tp_mro);
    PyObject *found = NULL;
    Py_ssize_t i = 0, n = PyTuple_GET_SIZE(mro);
    while (i < n && PyTuple_GET_ITEM(mro, i) != thisclass) {
        i++;
    }
    for (i++; i < n && found == NULL && !_PyErr_Occurred(tstate); i++) {
        found = PyDict_GetItemWithError(((PyTypeObject *)PyTuple_GET_ITEM(mro, i))->tp_dict, name);
    }
    PyObject *answer = SLP_NOT_SOFT;
    if (found != NULL) {
        answer = enter_or_bind(tstate, below, owner, name, SLP_ENTRY_UNHOOKED, found,
                               self == (PyObject *)start ? NULL : self, start, receiver, top);
    }
    else if (_PyErr_Occurred(tstate)) {
        answer = NULL;
    }
    Py_DECREF(mro);
    return answer;
}

/* owner.__getattr__(name), where nothing was found. */
static PyObject *
enter_hook(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
           _PyInterpreterFrame **top)
{
    PyFunctionObject *hook = slp_python_method(Py_TYPE(owner), &_Py_ID(__getattr__));
    PyObject *args[2] = {owner, name};
    if (hook == NULL) {
        return SLP_NOT_SOFT;
    }
    return enter_getter(tstate, below, owner, name, SLP_ENTRY_UNHOOKED, hook, args, 2, top);
}

/* The attribute of a class with __getattr__ in Python, looked up in C before: the value, NULL with an
 * exception, or the frame of __getattr__. */
static PyObject *
lookup_or_hook(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
               getattrofunc lookup, _PyInterpreterFrame **top)
{
    PyObject *value;
    if (top == NULL) {
        return SLP_ENTER;   /* perhaps: a C getter shall not run twice */
    }
    if (lookup == PyObject_GenericGetAttr) {
        value = _PyObject_GenericGetAttrWithDict(owner, name, NULL, 1);
        if (value != NULL || _PyErr_Occurred(tstate)) {
            return value;
        }
    }
    else {
        value = lookup(owner, name);
        if (value != NULL || !_PyErr_ExceptionMatches(tstate, PyExc_AttributeError)) {
            return value;
        }
        _PyErr_Clear(tstate);
    }
    return enter_hook(tstate, below, owner, name, top);
}

/* A class with __getattribute__, __getattr__ or both in Python. */
static PyObject *
hooked_lookup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
              _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(owner);
    PyObject *hook = type->tp_getattro == slp_python_slots.getattr_hook
                         ? _PyType_Lookup(type, &_Py_ID(__getattr__))
                         : NULL;
    if (hook != NULL && !Py_IS_TYPE(hook, &PyFunction_Type)) {
        return SLP_NOT_SOFT;
    }
    int entry = hook != NULL ? SLP_ENTRY_HOOKED : SLP_ENTRY_UNHOOKED;
    PyObject *getattribute = _PyType_Lookup(type, &_Py_ID(__getattribute__));
    if (getattribute == NULL) {
        return SLP_NOT_SOFT;
    }
    if (Py_IS_TYPE(getattribute, &PyFunction_Type)) {
        PyObject *args[2] = {owner, name};
        return enter_getter(tstate, below, owner, name, entry, (PyFunctionObject *)getattribute, args, 2,
                            top);
    }
    if (!Py_IS_TYPE(getattribute, &PyWrapperDescr_Type)) {
        return SLP_NOT_SOFT;
    }
    PyObject *answer = SLP_NOT_SOFT;
    getattrofunc lookup = (getattrofunc)((PyWrapperDescrObject *)getattribute)->d_wrapped;
    if (lookup == PyObject_GenericGetAttr) {
        answer = generic_lookup(tstate, below, owner, name, entry, NULL, top);
    }
    else if (lookup == PyType_Type.tp_getattro && PyType_Check(owner)) {
        answer = class_lookup(tstate, below, owner, name, entry, top);
    }
    if (answer == SLP_NOT_SOFT && hook != NULL) {
        answer = lookup_or_hook(tstate, below, owner, name, lookup, top);
    }
    return answer;
}

/* As the base says it of a module that is loaded. */
SLP_COLD static void
raise_no_module_attribute(PyThreadState *tstate, PyObject *dict, PyObject *name)
{
    PyObject *module = PyDict_GetItemWithError(dict, &_Py_ID(__name__));
    if (module != NULL && PyUnicode_Check(module)) {
        _PyErr_Format(tstate, PyExc_AttributeError, "module '%U' has no attribute '%U'", module, name);
    }
    else if (!_PyErr_Occurred(tstate)) {
        _PyErr_Format(tstate, PyExc_AttributeError, "module has no attribute '%U'", name);
    }
}

/* A module, whose __getattr__ is a function in its namespace. */
static PyObject *
module_lookup(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
              _PyInterpreterFrame **top)
{
    PyObject *dict = ((PyModuleObject *)owner)->md_dict;
    PyObject *getattr = dict == NULL ? NULL : PyDict_GetItemWithError(dict, &_Py_ID(__getattr__));
    if (function_or_null(getattr) == NULL) {
        return _PyErr_Occurred(tstate) ? NULL : SLP_NOT_SOFT;
    }
    if (top == NULL) {
        return SLP_ENTER;
    }
    PyObject *value = _PyObject_GenericGetAttrWithDict(owner, name, NULL, 1);
    if (value != NULL || _PyErr_Occurred(tstate)) {
        return value;
    }
    /* A property may have changed it. */
    getattr = PyDict_GetItemWithError(dict, &_Py_ID(__getattr__));
    if (function_or_null(getattr) != NULL) {
        return enter_getter(tstate, below, owner, name, SLP_ENTRY_UNHOOKED, (PyFunctionObject *)getattr,
                            &name, 1, top);
    }
    if (getattr != NULL) {
        Py_INCREF(getattr);
        value = PyObject_CallOneArg(getattr, name);
        Py_DECREF(getattr);
    }
    else if (!_PyErr_Occurred(tstate)) {
        raise_no_module_attribute(tstate, dict, name);
    }
    return value;
}

PyObject *
slp_soft_getattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
                 PyObject **receiver, _PyInterpreterFrame **top)
{
    getattrofunc getattro = Py_TYPE(owner)->tp_getattro;
    if (getattro == PyObject_GenericGetAttr) {
        return Py_TYPE(owner)->tp_dict == NULL
                   ? SLP_NOT_SOFT
                   : generic_lookup(tstate, below, owner, name, SLP_ENTRY_UNHOOKED, receiver, top);
    }
    if (getattro == PyType_Type.tp_getattro) {
        return class_lookup(tstate, below, owner, name, SLP_ENTRY_UNHOOKED, top);
    }
    if (getattro == slp_python_slots.getattr_hook || getattro == slp_python_slots.type.tp_getattro) {
        return hooked_lookup(tstate, below, owner, name, top);
    }
    if (getattro == PyModule_Type.tp_getattro) {
        return module_lookup(tstate, below, owner, name, top);
    }
    if (getattro == PySuper_Type.tp_getattro) {
        return super_lookup(tstate, below, owner, name, receiver, top);
    }
    return SLP_NOT_SOFT;
}

PyObject *
slp_soft_getattr_hook(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *owner, PyObject *name,
                      _PyInterpreterFrame **top)
{
    PyObject *hook = _PyType_Lookup(Py_TYPE(owner), &_Py_ID(__getattr__));
    if (hook == NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *args[2] = {owner, name};
    if (Py_IS_TYPE(hook, &PyFunction_Type)) {
        return slp_enter_function(tstate, shim, (PyFunctionObject *)hook, args, 2, NULL, top);
    }
    hook = _PyObject_LookupSpecial(owner, &_Py_ID(__getattr__));
    PyObject *value = hook == NULL ? NULL : PyObject_CallOneArg(hook, name);
    Py_XDECREF(hook);
    return value;
}

void
slp_complete_attribute_error(PyThreadState *tstate, PyObject *owner, PyObject *name)
{
    if (!_PyErr_ExceptionMatches(tstate, PyExc_AttributeError)) {
        return;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    _PyErr_NormalizeException(tstate, &type, &value, &traceback);
    if (PyErr_GivenExceptionMatches(value, PyExc_AttributeError)) {
        PyAttributeErrorObject *error = (PyAttributeErrorObject *)value;
        if (error->name == NULL && error->obj == NULL
            && (PyObject_SetAttr(value, &_Py_ID(name), name) < 0
                || PyObject_SetAttr(value, &_Py_ID(obj), owner) < 0)) {
            _PyErr_Clear(tstate);
        }
    }
    _PyErr_Restore(tstate, type, value, traceback);
}

/* --- setting and deleting --- */

/* Enter func(*args), whose result is dropped. */
static PyObject *
enter_setter(PyThreadState *tstate, _PyInterpreterFrame *below, PyFunctionObject *func, PyObject *const *args,
             Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    return slp_enter_above(tstate, below, slp_shim_nothing, 0, NULL, 0, func, args, nargs, top);
}

/* What object.__setattr__ and object.__delattr__ do, as far as it leads to Python. */
static PyObject *
generic_set(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
            PyObject *value, _PyInterpreterFrame **top)
{
    PyObject *descr = _PyType_Lookup(Py_TYPE(owner), name);
    if (descr == NULL) {
        return SLP_NOT_SOFT;
    }
    PyTypeObject *descr_type = Py_TYPE(descr);
    if (descr_type->tp_descr_set == PyProperty_Type.tp_descr_set) {
        PyFunctionObject *func = function_or_null(part(descr, value == NULL ? fdel_offset : fset_offset));
        PyObject *args[2] = {owner, value};
        return func == NULL ? SLP_NOT_SOFT
                              : enter_setter(tstate, below, func, args, value == NULL ? 1 : 2, top);
    }
    if (descr_type->tp_descr_set == slp_python_slots.type.tp_descr_set && descr_type->tp_descr_set != NULL) {
        PyFunctionObject *set =
            slp_python_method(descr_type, value == NULL ? &_Py_ID(__delete__) : &_Py_ID(__set__));
        PyObject *args[3] = {descr, owner, value};
        return set == NULL ? SLP_NOT_SOFT
                           : enter_setter(tstate, below, set, args, value == NULL ? 2 : 3, top);
    }
    return SLP_NOT_SOFT;
}

PyObject *
slp_soft_setattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
                 PyObject *value, _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(owner);
    if (type->tp_setattro == PyObject_GenericSetAttr) {
        return generic_set(tstate, below, owner, name, value, top);
    }
    if (type->tp_setattro != slp_python_slots.type.tp_setattro) {
        return SLP_NOT_SOFT;
    }
    PyObject *found = _PyType_Lookup(type, value == NULL ? &_Py_ID(__delattr__) : &_Py_ID(__setattr__));
    if (found == NULL) {
        return SLP_NOT_SOFT;
    }
    if (Py_IS_TYPE(found, &PyFunction_Type)) {
        PyObject *args[3] = {owner, name, value};
        return enter_setter(tstate, below, (PyFunctionObject *)found, args, value == NULL ? 2 : 3, top);
    }
    if (Py_IS_TYPE(found, &PyWrapperDescr_Type)
        && ((PyWrapperDescrObject *)found)->d_wrapped == (void *)PyObject_GenericSetAttr) {
        return generic_set(tstate, below, owner, name, value, top);
    }
    return SLP_NOT_SOFT;
}

/* --- builtins and wrappers --- */

/* getattr() with a default and hasattr(): above a shim that catches AttributeError and returns `instead`,
 * but only where there are frames to stand on it. */
static PyObject *
getattr_or(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name, int entry,
           PyObject *instead, _PyInterpreterFrame **top)
{
    PyObject *answer = slp_soft_getattr(tstate, below, owner, name, NULL, NULL);
    if (answer == SLP_ENTER) {
        PyObject *value = Py_NewRef(instead);
        _PyInterpreterFrame *shim = slp_shim_push(tstate, below, slp_shim_default, entry, &value, 1);
        if (shim == NULL) {
            return NULL;
        }
        answer = slp_shim_begun(tstate, shim, slp_soft_getattr(tstate, shim, owner, name, NULL, top));
    }
    if (answer == NULL && _PyErr_ExceptionMatches(tstate, PyExc_AttributeError)) {
        _PyErr_Clear(tstate);
        return Py_NewRef(instead);
    }
    if (entry == SLP_ENTRY_HASATTR && answer != NULL && answer != SLP_ENTER && answer != SLP_NOT_SOFT) {
        Py_DECREF(answer);
        return Py_NewRef(Py_True);
    }
    return answer;
}

static PyObject *
soft_getattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if ((nargs != 2 && nargs != 3) || kwnames != NULL || !PyUnicode_CheckExact(args[1])) {
        return SLP_NOT_SOFT;
    }
    return nargs == 2 ? slp_soft_getattr(tstate, below, args[0], args[1], NULL, top)
                      : getattr_or(tstate, below, args[0], args[1], SLP_ENTRY_GETATTR, args[2], top);
}

static PyObject *
soft_hasattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 2 || kwnames != NULL || !PyUnicode_CheckExact(args[1])) {
        return SLP_NOT_SOFT;
    }
    return getattr_or(tstate, below, args[0], args[1], SLP_ENTRY_HASATTR, Py_False, top);
}

/* setattr() and delattr() answer None: the second half of the checking shim returns what is on its stack. */
static PyObject *
set_with_result(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner, PyObject *name,
                PyObject *value, bool generic, _PyInterpreterFrame **top)
{
    PyObject *none = Py_NewRef(Py_None);
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, slp_shim_check, 1, &none, 1);
    if (shim == NULL) {
        return NULL;
    }
    Py_INCREF(name);
    if (PyUnicode_CheckExact(name)) {
        PyUnicode_InternInPlace(&name);
    }
    PyObject *answer = generic ? generic_set(tstate, shim, owner, name, value, top)
                               : slp_soft_setattr(tstate, shim, owner, name, value, top);
    Py_DECREF(name);
    return slp_shim_begun(tstate, shim, answer);
}

static PyObject *
soft_setattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 3 || kwnames != NULL || !PyUnicode_CheckExact(args[1])) {
        return SLP_NOT_SOFT;
    }
    return set_with_result(tstate, below, args[0], args[1], args[2], false, top);
}

static PyObject *
soft_delattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
             Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 2 || kwnames != NULL || !PyUnicode_CheckExact(args[1])) {
        return SLP_NOT_SOFT;
    }
    return set_with_result(tstate, below, args[0], args[1], NULL, false, top);
}

/* object.__getattribute__(self, name), super().__getattribute__(name) */
static PyObject *
soft_generic_getattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !PyUnicode_CheckExact(args[0])) {
        return SLP_NOT_SOFT;
    }
    return generic_lookup(tstate, below, self, args[0], NO_SHIM, NULL, top);
}

/* type.__getattribute__(cls, name) */
static PyObject *
soft_class_getattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !PyUnicode_CheckExact(args[0]) || !PyType_Check(self)) {
        return SLP_NOT_SOFT;
    }
    return class_lookup(tstate, below, self, args[0], NO_SHIM, top);
}

/* object.__setattr__(self, name, value), object.__delattr__(self, name): both wrap one slot. */
static PyObject *
soft_generic_setattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                     Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if ((nargs != 1 && nargs != 2) || kwnames != NULL || !PyUnicode_CheckExact(args[0])) {
        return SLP_NOT_SOFT;
    }
    return set_with_result(tstate, below, self, args[0], nargs == 2 ? args[1] : NULL, true, top);
}

static Py_ssize_t
offset_of(PyTypeObject *type, const char *name)
{
    for (PyMemberDef *member = type->tp_members; member->name != NULL; member++) {
        if (strcmp(member->name, name) == 0) {
            return member->offset;
        }
    }
    Py_FatalError("a builtin type lacks a member");
}

void
slp_soft_attributes_init(void)
{
    fget_offset = offset_of(&PyProperty_Type, "fget");
    fset_offset = offset_of(&PyProperty_Type, "fset");
    fdel_offset = offset_of(&PyProperty_Type, "fdel");
    classmethod_offset = offset_of(&PyClassMethod_Type, "__func__");
    staticmethod_offset = offset_of(&PyStaticMethod_Type, "__func__");
    super_thisclass_offset = offset_of(&PySuper_Type, "__thisclass__");
    super_self_offset = offset_of(&PySuper_Type, "__self__");
    super_self_class_offset = offset_of(&PySuper_Type, "__self_class__");
    slp_soft_register_builtin("getattr", soft_getattr);
    slp_soft_register_builtin("hasattr", soft_hasattr);
    slp_soft_register_builtin("setattr", soft_setattr);
    slp_soft_register_builtin("delattr", soft_delattr);
    slp_soft_register_slot((void *)PyObject_GenericGetAttr, soft_generic_getattr);
    slp_soft_register_slot((void *)PyType_Type.tp_getattro, soft_class_getattr);
    slp_soft_register_slot((void *)PyObject_GenericSetAttr, soft_generic_setattr);
}
