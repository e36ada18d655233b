/* Builtin functions and classes that call one special method and look at its result: where the method is a
 * Python function, its frame is entered above a shim that looks (slp_soft.h).
 */
#include "slp_soft.h"

#include "slp_frame.h"
#include "slp_ints.h"
#include "slp_softcall.h"

/* A soft function with one argument, of a builtin with one, which C code checks otherwise. */
#define ONE_ARGUMENT(name, function)                                                               \
    static PyObject *name(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,       \
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,              \
                          _PyInterpreterFrame **top)                                               \
    {                                                                                              \
        if (nargs != 1 || kwnames != NULL || !slp_has_heap_type(args[0])) {                        \
            return SLP_NOT_SOFT;                                                                   \
        }                                                                                          \
        return function(tstate, below, args[0], top);                                              \
    }

/* obj.name() with a check of the result, if it is a Python function. */
static PyObject *
call_checked(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, PyObject *name,
             slp_result_kind kind, _PyInterpreterFrame **top)
{
    PyFunctionObject *func = slp_python_method(Py_TYPE(obj), name);
    return func == NULL ? SLP_NOT_SOFT : slp_enter_checked(tstate, below, kind, func, &obj, 1, top);
}

/* obj.name(*rest), whose result is the builtin's. */
static PyObject *
call_unchecked(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, PyObject *name,
               PyObject *second, _PyInterpreterFrame **top)
{
    PyFunctionObject *func = slp_python_method(Py_TYPE(obj), name);
    PyObject *args[2] = {obj, second};
    return func == NULL ? SLP_NOT_SOFT
                        : slp_enter_function(tstate, below, func, args, second == NULL ? 1 : 2, NULL, top);
}

PyObject *
slp_soft_len(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PySequenceMethods *sequence = Py_TYPE(obj)->tp_as_sequence;
    if (sequence == NULL || sequence->sq_length != slp_python_slots.sequence.sq_length) {
        return SLP_NOT_SOFT;
    }
    return call_checked(tstate, below, obj, &_Py_ID(__len__), SLP_RESULT_LEN, top);
}

bool
slp_has_python_str(PyObject *obj)
{
    return slp_has_heap_type(obj)
           && (Py_TYPE(obj)->tp_str == slp_python_slots.type.tp_str
               || (Py_TYPE(obj)->tp_str == PyBaseObject_Type.tp_str
                   && Py_TYPE(obj)->tp_repr == slp_python_slots.type.tp_repr));
}

PyObject *
slp_soft_repr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    if (Py_TYPE(obj)->tp_repr != slp_python_slots.type.tp_repr) {
        return SLP_NOT_SOFT;
    }
    return call_checked(tstate, below, obj, &_Py_ID(__repr__), SLP_RESULT_REPR, top);
}

PyObject *
slp_soft_str(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(obj);
    if (type->tp_str == slp_python_slots.type.tp_str) {
        return call_checked(tstate, below, obj, &_Py_ID(__str__), SLP_RESULT_STR, top);
    }
    if (type->tp_str == PyBaseObject_Type.tp_str && type->tp_repr == slp_python_slots.type.tp_repr) {
        return call_checked(tstate, below, obj, &_Py_ID(__repr__), SLP_RESULT_STR, top);
    }
    return SLP_NOT_SOFT;
}

/* object.__format__, which is str() when there is no format (borrowed from object). */
static PyObject *object_format;

static PyObject *
format_of(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, PyObject *spec,
          _PyInterpreterFrame **top)
{
    if (spec != NULL && !PyUnicode_Check(spec)) {
        return SLP_NOT_SOFT;
    }
    PyObject *found = _PyType_Lookup(Py_TYPE(obj), &_Py_ID(__format__));
    if (found == object_format) {
        return spec == NULL || PyUnicode_GET_LENGTH(spec) == 0 ? slp_soft_str(tstate, below, obj, top)
                                                               : SLP_NOT_SOFT;
    }
    if (found == NULL || !Py_IS_TYPE(found, &PyFunction_Type)) {
        return SLP_NOT_SOFT;
    }
    PyObject *args[2] = {obj, spec == NULL ? &_Py_STR(empty) : spec};
    return slp_enter_checked(tstate, below, SLP_RESULT_FORMAT, (PyFunctionObject *)found, args, 2, top);
}

PyObject *
slp_soft_format_value(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *value, PyObject *spec,
                      int oparg, _PyInterpreterFrame **top)
{
    int conversion = oparg & FVC_MASK;
    if (conversion == FVC_NONE) {
        return format_of(tstate, below, value, spec, top);
    }
    if (conversion == FVC_ASCII) {
        return SLP_NOT_SOFT;
    }
    Py_XINCREF(spec);
    _PyInterpreterFrame *shim =
        slp_shim_push(tstate, below, slp_shim_format, spec == NULL ? SLP_ENTRY_FORMAT : SLP_ENTRY_FORMAT_WITH,
                      &spec, spec == NULL ? 0 : 1);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = conversion == FVC_STR ? slp_soft_str(tstate, shim, value, top)
                                             : slp_soft_repr(tstate, shim, value, top);
    return slp_shim_begun(tstate, shim, answer);
}

static PyObject *
hash_of(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    if (Py_TYPE(obj)->tp_hash != slp_python_slots.type.tp_hash) {
        return SLP_NOT_SOFT;
    }
    return call_checked(tstate, below, obj, &_Py_ID(__hash__), SLP_RESULT_HASH, top);
}

static PyObject *
absolute(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyNumberMethods *number = Py_TYPE(obj)->tp_as_number;
    if (number == NULL || number->nb_absolute != slp_python_slots.number.nb_absolute) {
        return SLP_NOT_SOFT;
    }
    return call_unchecked(tstate, below, obj, &_Py_ID(__abs__), NULL, top);
}

static PyObject *
as_int(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyNumberMethods *number = Py_TYPE(obj)->tp_as_number;
    if (number == NULL || number->nb_int != slp_python_slots.number.nb_int) {
        return SLP_NOT_SOFT;
    }
    return call_checked(tstate, below, obj, &_Py_ID(__int__), SLP_RESULT_INT, top);
}

static PyObject *
as_float(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    PyNumberMethods *number = Py_TYPE(obj)->tp_as_number;
    PyFunctionObject *func = NULL;
    if (number != NULL && number->nb_float == slp_python_slots.number.nb_float) {
        func = slp_python_method(Py_TYPE(obj), &_Py_ID(__float__));
    }
    return func == NULL ? SLP_NOT_SOFT
                        : slp_enter_above(tstate, below, slp_shim_check, slp_check_entry(SLP_RESULT_FLOAT),
                                          &obj, 1, func, &obj, 1, top);
}

static PyObject *
as_bool(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    bool is_len;
    PyFunctionObject *func = slp_truth_method(obj, &is_len);
    return func == NULL ? SLP_NOT_SOFT
                        : slp_enter_checked(tstate, below, is_len ? SLP_RESULT_LEN_TRUTH : SLP_RESULT_BOOL,
                                            func, &obj, 1, top);
}

static PyObject *
reversed_of(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    return call_unchecked(tstate, below, obj, &_Py_ID(__reversed__), NULL, top);
}

static PyObject *
dir_of(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    return call_checked(tstate, below, obj, &_Py_ID(__dir__), SLP_RESULT_DIR, top);
}

PyObject *
slp_soft_iter(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj, _PyInterpreterFrame **top)
{
    if (Py_TYPE(obj)->tp_iter != slp_python_slots.type.tp_iter) {
        return SLP_NOT_SOFT;
    }
    return call_checked(tstate, below, obj, &_Py_ID(__iter__), SLP_RESULT_ITER, top);
}

ONE_ARGUMENT(soft_len, slp_soft_len)
ONE_ARGUMENT(soft_repr, slp_soft_repr)
ONE_ARGUMENT(soft_str, slp_soft_str)
ONE_ARGUMENT(soft_hash, hash_of)
ONE_ARGUMENT(soft_abs, absolute)
ONE_ARGUMENT(soft_int, as_int)
ONE_ARGUMENT(soft_float, as_float)
ONE_ARGUMENT(soft_bool, as_bool)
ONE_ARGUMENT(soft_reversed, reversed_of)
ONE_ARGUMENT(soft_dir, dir_of)
ONE_ARGUMENT(soft_iter, slp_soft_iter)

static PyObject *
soft_format(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 1 || nargs > 2 || kwnames != NULL || !slp_has_heap_type(args[0])) {
        return SLP_NOT_SOFT;
    }
    return format_of(tstate, below, args[0], nargs == 2 ? args[1] : NULL, top);
}

/* object.__str__(x), super().__str__(): the repr. */
static PyObject *
soft_object_str(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 0 || kwnames != NULL || Py_TYPE(self)->tp_repr != slp_python_slots.type.tp_repr) {
        return SLP_NOT_SOFT;
    }
    return call_unchecked(tstate, below, self, &_Py_ID(__repr__), NULL, top);
}

/* object.__format__(x, ""): str(x) */
static PyObject *
soft_object_format(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 1 || kwnames != NULL || !PyUnicode_Check(args[0]) || PyUnicode_GET_LENGTH(args[0]) > 0) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_str(tstate, below, self, top);
}

static PyObject *
soft_round(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 1 || nargs > 2 || kwnames != NULL || !slp_has_heap_type(args[0])) {
        return SLP_NOT_SOFT;
    }
    PyObject *digits = nargs == 2 && args[1] != Py_None ? args[1] : NULL;
    return call_unchecked(tstate, below, args[0], &_Py_ID(__round__), digits, top);
}

/* pow(a, b) and divmod(a, b): as operators. */
static PyObject *
as_operator(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *const *args, int operator,
            _PyInterpreterFrame **top)
{
    if (!slp_is_python_operator(args[0], args[1], operator)) {
        return SLP_NOT_SOFT;
    }
    *top = slp_operator_shim(tstate, below, slp_shim_binary, Py_NewRef(args[0]), Py_NewRef(args[1]),
                             operator);
    return *top == NULL ? NULL : SLP_ENTER;
}

static PyObject *
soft_pow(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
         Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    return nargs != 2 || kwnames != NULL ? SLP_NOT_SOFT : as_operator(tstate, below, args, NB_POWER, top);
}

/* divmod() of ints of one digit, answered at once. */
static PyObject *
divmod_ints(PyObject *left, PyObject *right)
{
    if (!PyLong_CheckExact(left) || !PyLong_CheckExact(right) || !slp_is_one_digit(left)
        || !slp_is_one_digit(right) || Py_SIZE(right) == 0) {
        return SLP_NOT_SOFT;
    }
    const long a = slp_one_digit_value(left), b = slp_one_digit_value(right);
    PyObject *quotient = slp_new_int(slp_floor_divide(a, b));
    PyObject *rest = slp_new_int(slp_modulo(a, b));
    PyObject *pair = quotient != NULL && rest != NULL ? PyTuple_Pack(2, quotient, rest) : NULL;
    Py_XDECREF(quotient);
    Py_XDECREF(rest);
    return pair;
}

static PyObject *
soft_divmod(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs != 2 || kwnames != NULL) {
        return SLP_NOT_SOFT;
    }
    PyObject *answer = divmod_ints(args[0], args[1]);
    return answer == SLP_NOT_SOFT ? as_operator(tstate, below, args, SLP_DIVMOD, top) : answer;
}

static PyObject *
soft_next(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    if (nargs < 1 || nargs > 2 || kwnames != NULL
        || Py_TYPE(args[0])->tp_iternext != slp_python_slots.type.tp_iternext) {
        return SLP_NOT_SOFT;
    }
    PyFunctionObject *next = slp_python_method(Py_TYPE(args[0]), &_Py_ID(__next__));
    if (next == NULL) {
        return SLP_NOT_SOFT;
    }
    if (nargs == 1) {
        return slp_enter_function(tstate, below, next, args, 1, NULL, top);
    }
    return slp_enter_above(tstate, below, slp_shim_default, SLP_ENTRY_NEXT, args + 1, 1, next, args, 1, top);
}

void
slp_soft_builtins_init(void)
{
    object_format = PyDict_GetItemString(PyBaseObject_Type.tp_dict, "__format__");
    slp_soft_register_builtin("abs", soft_abs);
    slp_soft_register_builtin("dir", soft_dir);
    slp_soft_register_builtin("divmod", soft_divmod);
    slp_soft_register_builtin("format", soft_format);
    slp_soft_register_builtin("hash", soft_hash);
    slp_soft_register_builtin("iter", soft_iter);
    slp_soft_register_builtin("len", soft_len);
    slp_soft_register_builtin("next", soft_next);
    slp_soft_register_builtin("pow", soft_pow);
    slp_soft_register_builtin("repr", soft_repr);
    slp_soft_register_builtin("round", soft_round);
    slp_soft_register_class(&PyBool_Type, soft_bool);
    slp_soft_register_class(&PyFloat_Type, soft_float);
    slp_soft_register_class(&PyLong_Type, soft_int);
    slp_soft_register_class(&PyReversed_Type, soft_reversed);
    slp_soft_register_class(&PyUnicode_Type, soft_str);
    slp_soft_register_method(&PyBaseObject_Type, "__format__", soft_object_format);
    slp_soft_register_slot((void *)PyBaseObject_Type.tp_str, soft_object_str);
}
