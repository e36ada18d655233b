/* Small helpers that the loop inlines; part of Python/evalloop.c. */

static inline PyGenObject *
generator_of(_PyInterpreterFrame *frame)
{
    return (PyGenObject *)((char *)frame - offsetof(PyGenObject, gi_iframe));
}

/* The exception that is set, normalised, with its traceback in place; it is no longer set. */
static inline PyObject *
take_exception(PyThreadState *tstate)
{
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(tstate, &type, &value, &traceback);
    _PyErr_NormalizeException(tstate, &type, &value, &traceback);
    PyException_SetTraceback(value, traceback != NULL ? traceback : Py_None);
    Py_XDECREF(traceback);
    Py_DECREF(type);
    return value;
}

/* Set `exc` (stolen) as the exception being raised, with the traceback it carries. */
static inline void
raise_again(PyThreadState *tstate, PyObject *exc)
{
    PyObject *type = Py_NewRef(PyExceptionInstance_Class(exc));
    _PyErr_Restore(tstate, type, exc, PyException_GetTraceback(exc));
}

/* The Python function behind a special method of `obj`'s type, or NULL (borrowed, no exception):
 * then obj.name() can run as a frame. */
static inline PyFunctionObject *
python_special(PyObject *obj, PyObject *name)
{
    if (!PyType_HasFeature(Py_TYPE(obj), Py_TPFLAGS_HEAPTYPE)) {
        return NULL;
    }
    PyObject *found = _PyType_Lookup(Py_TYPE(obj), name);
    return found != NULL && Py_IS_TYPE(found, &PyFunction_Type) ? (PyFunctionObject *)found : NULL;
}

/* What a with statement calls of its manager (new references). */
typedef struct {
    PyFunctionObject *python_enter;     /* a function whose frame gets the manager; or NULL, then */
    PyObject *enter;                    /* this one is bound */
    PyObject *exit;                     /* bound */
} manager_methods;

/* Find them, python_enter where `as_frame` allows it.  -1 with an exception. */
static inline int
find_manager_methods(PyThreadState *tstate, PyObject *manager, bool as_frame, PyObject *enter_name,
                     PyObject *exit_name, const char *protocol, manager_methods *found)
{
    found->enter = NULL;
    found->python_enter = as_frame ? python_special(manager, enter_name) : NULL;
    if (found->python_enter != NULL) {
        Py_INCREF(found->python_enter);
    }
    else if ((found->enter = _PyObject_LookupSpecial(manager, enter_name)) == NULL) {
        if (!_PyErr_Occurred(tstate)) {
            _PyErr_Format(tstate, PyExc_TypeError, "'%.200s' object does not support the %s protocol",
                          Py_TYPE(manager)->tp_name, protocol);
        }
        return -1;
    }
    found->exit = _PyObject_LookupSpecial(manager, exit_name);
    if (found->exit == NULL) {
        if (!_PyErr_Occurred(tstate)) {
            _PyErr_Format(tstate, PyExc_TypeError,
                          "'%.200s' object does not support the %s protocol (missed %U method)",
                          Py_TYPE(manager)->tp_name, protocol, exit_name);
        }
        Py_XDECREF(found->enter);
        Py_XDECREF(found->python_enter);
        return -1;
    }
    return 0;
}

/* Truth of a value that is not a bool: 1, 0, or -1 with an exception. */
static inline int
truth(PyObject *value)
{
    if (value == Py_None) {
        return 0;
    }
    return PyObject_IsTrue(value);
}

/* An int from a C long, where the caller owns `left` (a one-digit int) and has done with it: its
 * memory serves again when nobody else has it. */
static inline PyObject *
int_result(PyObject *left, long value)
{
    if (Py_REFCNT(left) == 1 && slp_fits_private_digit(value)) {
        slp_overwrite_int(left, value);
        return left;
    }
    PyObject *result = slp_new_int(value);
    Py_DECREF(left);
    return result;
}

/* Is `instruction` a store into a local variable?  Where the value that it is about to overwrite is
 * a number that only that variable (and the stack, where it is an operand) refers to, the number
 * is changed in place instead, and the store is skipped. */
static inline bool
is_store_fast(_Py_CODEUNIT instruction)
{
    return _Py_OPCODE(instruction) == STORE_FAST || _Py_OPCODE(instruction) == STORE_FAST__LOAD_FAST;
}

/* Is it a subscript that has not been specialised, as none is that gets a slice? */
static inline bool
is_subscript(_Py_CODEUNIT instruction)
{
    return _Py_OPCODE(instruction) == BINARY_SUBSCR || _Py_OPCODE(instruction) == BINARY_SUBSCR_ADAPTIVE;
}

/* The value slot of entry `hint` of a dict, if that entry is `name`'s; else NULL. */
static inline PyObject **
dict_hint_slot(PyDictObject *dict, PyObject *name, Py_ssize_t hint)
{
    PyDictKeysObject *keys = dict->ma_keys;
    if (dict->ma_values != NULL || hint >= keys->dk_nentries) {
        return NULL;
    }
    if (DK_IS_UNICODE(keys)) {
        PyDictUnicodeEntry *entry = DK_UNICODE_ENTRIES(keys) + hint;
        return entry->me_key == name ? &entry->me_value : NULL;
    }
    PyDictKeyEntry *entry = DK_ENTRIES(keys) + hint;
    return entry->me_key == name ? &entry->me_value : NULL;
}

/* The value in the entry of a module's dict that `cache` knows (borrowed); NULL where the cache does
 * not fit. */
static inline PyObject *
cached_module_value(PyObject *module, _PyAttrCache *cache)
{
    if (!PyModule_CheckExact(module)) {
        return NULL;
    }
    PyDictKeysObject *keys = ((PyDictObject *)((PyModuleObject *)module)->md_dict)->ma_keys;
    if (keys->dk_version != read_u32(cache->version)) {
        return NULL;
    }
    return DK_UNICODE_ENTRIES(keys)[cache->index].me_value;
}

/* What BINARY_OP's argument selects. */
static const binaryfunc binary_operators[] = {
    [NB_ADD] = PyNumber_Add,
    [NB_AND] = PyNumber_And,
    [NB_FLOOR_DIVIDE] = PyNumber_FloorDivide,
    [NB_LSHIFT] = PyNumber_Lshift,
    [NB_MATRIX_MULTIPLY] = PyNumber_MatrixMultiply,
    [NB_MULTIPLY] = PyNumber_Multiply,
    [NB_REMAINDER] = PyNumber_Remainder,
    [NB_OR] = PyNumber_Or,
    [NB_POWER] = _PyNumber_PowerNoMod,
    [NB_RSHIFT] = PyNumber_Rshift,
    [NB_SUBTRACT] = PyNumber_Subtract,
    [NB_TRUE_DIVIDE] = PyNumber_TrueDivide,
    [NB_XOR] = PyNumber_Xor,
    [NB_INPLACE_ADD] = PyNumber_InPlaceAdd,
    [NB_INPLACE_AND] = PyNumber_InPlaceAnd,
    [NB_INPLACE_FLOOR_DIVIDE] = PyNumber_InPlaceFloorDivide,
    [NB_INPLACE_LSHIFT] = PyNumber_InPlaceLshift,
    [NB_INPLACE_MATRIX_MULTIPLY] = PyNumber_InPlaceMatrixMultiply,
    [NB_INPLACE_MULTIPLY] = PyNumber_InPlaceMultiply,
    [NB_INPLACE_REMAINDER] = PyNumber_InPlaceRemainder,
    [NB_INPLACE_OR] = PyNumber_InPlaceOr,
    [NB_INPLACE_POWER] = _PyNumber_InPlacePowerNoMod,
    [NB_INPLACE_RSHIFT] = PyNumber_InPlaceRshift,
    [NB_INPLACE_SUBTRACT] = PyNumber_InPlaceSubtract,
    [NB_INPLACE_TRUE_DIVIDE] = PyNumber_InPlaceTrueDivide,
    [NB_INPLACE_XOR] = PyNumber_InPlaceXor,
};

/* Drop `count` values. */
__attribute__((noinline)) static void
drop_values(PyObject **values, Py_ssize_t count)
{
    while (count-- > 0) {
        Py_DECREF(values[count]);
    }
}

/* Call a C function that may answer SLP_UNWIND. */
SLP_COLD static PyObject *
call_with_offer(PyThreadState *tstate, PyObject *callable, PyObject *const *args, Py_ssize_t nargs,
                PyObject *kwnames)
{
    slp_thread *thread = slp_thread_get(tstate);
    if (thread == NULL) {
        return NULL;
    }
    thread->soft_offered = true;
    PyObject *result = PyObject_Vectorcall(callable, args, nargs, kwnames);
    thread->soft_offered = false;
    return result;
}

/* The same for callable(*args, **kwargs). */
SLP_COLD static PyObject *
call_ex_with_offer(PyThreadState *tstate, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    slp_thread *thread = slp_thread_get(tstate);
    if (thread == NULL) {
        return NULL;
    }
    thread->soft_offered = true;
    PyObject *result = PyObject_Call(callable, args, kwargs);
    thread->soft_offered = false;
    return result;
}

/* Traceback entries carry line numbers.  Code that is warm gets the array that makes them cheap (a
 * fifth of the time of raise and except goes into decoding the location table otherwise). */
static inline void
prepare_line_numbers(PyCodeObject *code)
{
    if (code->co_warmup == 0 && code->_co_linearray == NULL) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        if (_PyCode_CreateLineArray(code) < 0) {
            PyErr_Clear();
        }
        PyErr_Restore(type, value, traceback);
    }
}

/* The value of an int that has at most two digits, which a C long holds with room to spare. */
static inline bool
is_two_digits(PyObject *value)
{
    return (size_t)(Py_SIZE(value) + 2) <= 4;
}

static inline int64_t
two_digits_value(PyObject *value)
{
    const digit *digits = ((PyLongObject *)value)->ob_digit;
    switch (Py_SIZE(value)) {
    case 0:
        return 0;
    case 1:
        return digits[0];
    case -1:
        return -(int64_t)digits[0];
    case 2:
        return (int64_t)digits[1] << PyLong_SHIFT | digits[0];
    default:
        return -((int64_t)digits[1] << PyLong_SHIFT | digits[0]);
    }
}

/* container[index] where an index of one digit falls into a list, a tuple or a string; else NULL, without an
 * exception.  The specialised forms know neither negative indices nor strings. */
static inline PyObject *
item_at_once(PyObject *container, PyObject *index)
{
    if (!PyLong_CheckExact(index) || !slp_is_one_digit(index)) {
        return NULL;
    }
    const bool is_str = PyUnicode_CheckExact(container) && PyUnicode_IS_READY(container);
    if (!is_str && !PyList_CheckExact(container) && !PyTuple_CheckExact(container)) {
        return NULL;
    }
    const Py_ssize_t size = is_str ? PyUnicode_GET_LENGTH(container) : Py_SIZE(container);
    Py_ssize_t i = slp_one_digit_value(index);
    i += i < 0 ? size : 0;
    if ((size_t)i >= (size_t)size) {
        return NULL;
    }
    if (!is_str) {
        return Py_NewRef(PyList_CheckExact(container) ? PyList_GET_ITEM(container, i)
                                                      : PyTuple_GET_ITEM(container, i));
    }
    if (PyUnicode_IS_ASCII(container)) {
        return Py_NewRef((PyObject *)&_Py_SINGLETON(strings).ascii[PyUnicode_1BYTE_DATA(container)[i]]);
    }
    return NULL;
}

/* One end of a slice: `otherwise` for None; false where it is neither None nor an int of one digit. */
static inline bool
slice_end(PyObject *end, Py_ssize_t otherwise, Py_ssize_t *value)
{
    if (end == Py_None) {
        *value = otherwise;
        return true;
    }
    if (!PyLong_CheckExact(end) || !slp_is_one_digit(end)) {
        return false;
    }
    *value = slp_one_digit_value(end);
    return true;
}

/* container[start:stop] for a list, a tuple, a string or bytes, without a slice object; NULL without an
 * exception where there is no such short cut (with MemoryError, too: the long way finds that out again). */
static PyObject *
slice_at_once(PyObject *container, PyObject *start, PyObject *stop)
{
    PyTypeObject *type = Py_TYPE(container);
    Py_ssize_t size, low, high;
    if (type == &PyUnicode_Type && PyUnicode_IS_READY(container)) {
        size = PyUnicode_GET_LENGTH(container);
    }
    else if (type == &PyList_Type || type == &PyTuple_Type || type == &PyBytes_Type) {
        size = Py_SIZE(container);
    }
    else {
        return NULL;
    }
    if (!slice_end(start, 0, &low) || !slice_end(stop, size, &high)) {
        return NULL;
    }
    Py_ssize_t count = PySlice_AdjustIndices(size, &low, &high, 1);
    PyObject *part;
    if (type == &PyList_Type) {
        part = PyList_GetSlice(container, low, low + count);
    }
    else if (count == size) {
        return Py_NewRef(container);
    }
    else if (type == &PyUnicode_Type) {
        part = PyUnicode_Substring(container, low, low + count);
    }
    else if (type == &PyTuple_Type) {
        part = PyTuple_GetSlice(container, low, low + count);
    }
    else {
        part = PyBytes_FromStringAndSize(PyBytes_AS_STRING(container) + low, count);
    }
    if (part == NULL) {
        PyErr_Clear();
    }
    return part;
}

/* An operator on two ints of at most two digits; NULL without an exception where there is no short
 * cut (NULL with MemoryError, too: the long way finds that out again).  Borrows its operands. */
static PyObject *
short_int_operator(PyObject *left, PyObject *right, Py_ssize_t operator)
{
    const int64_t a = two_digits_value(left);
    const int64_t b = two_digits_value(right);
    int64_t result;
    switch (operator) {
    case NB_ADD:
        result = a + b;
        break;
    case NB_SUBTRACT:
        result = a - b;
        break;
    case NB_MULTIPLY:
        if (__builtin_mul_overflow(a, b, &result)) {
            return NULL;
        }
        break;
    case NB_AND:
    case NB_INPLACE_AND:
        result = a & b;
        break;
    case NB_OR:
    case NB_INPLACE_OR:
        result = a | b;
        break;
    case NB_XOR:
    case NB_INPLACE_XOR:
        result = a ^ b;
        break;
    case NB_RSHIFT:
    case NB_INPLACE_RSHIFT:
        if (b < 0) {
            return NULL;
        }
        result = a >> (b > 63 ? 63 : b);
        break;
    case NB_LSHIFT:
    case NB_INPLACE_LSHIFT:
        if (b < 0 || b > 31 || !slp_is_one_digit(left)) {
            return NULL;
        }
        result = (int64_t)((uint64_t)a << b);
        break;
    case NB_FLOOR_DIVIDE:
    case NB_INPLACE_FLOOR_DIVIDE:
        if (b == 0) {
            return NULL;
        }
        result = slp_floor_divide(a, b);
        break;
    case NB_REMAINDER:
    case NB_INPLACE_REMAINDER:
        if (b == 0) {
            return NULL;
        }
        result = slp_modulo(a, b);
        break;
    case NB_TRUE_DIVIDE:
    case NB_INPLACE_TRUE_DIVIDE:
        /* Two doubles divide exactly rounded when both ints are doubles: one digit surely is. */
        if (b == 0 || !slp_is_one_digit(left) || !slp_is_one_digit(right)) {
            return NULL;
        }
        return PyFloat_FromDouble((double)a / (double)b);
    default:
        return NULL;
    }
    return slp_new_int(result);
}

/* The same for two floats. */
static PyObject *
float_operator(double a, double b, Py_ssize_t operator)
{
    if ((operator == NB_TRUE_DIVIDE || operator == NB_INPLACE_TRUE_DIVIDE) && b != 0.0) {
        return PyFloat_FromDouble(a / b);
    }
    return NULL;
}

/* Is `unit` an instruction of `code`, and not a cache entry that looks like one? */
SLP_COLD static bool
is_instruction(PyCodeObject *code, const _Py_CODEUNIT *unit)
{
    const _Py_CODEUNIT *instruction = _PyCode_CODE(code);
    while (instruction < unit) {
        instruction += 1 + _PyOpcode_Caches[_PyOpcode_Deopt[_Py_OPCODE(*instruction)]];
    }
    return instruction == unit;
}
