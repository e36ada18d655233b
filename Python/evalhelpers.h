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

/* Truth of a value that is not a bool: 1, 0, or -1 with an exception. */
static inline int
truth(PyObject *value)
{
    if (value == Py_None) {
        return 0;
    }
    return PyObject_IsTrue(value);
}

/* The value of an int that has at most one digit. */
static inline bool
is_single_digit(PyObject *value)
{
    return (size_t)(Py_SIZE(value) + 1) <= 2;
}

static inline long
single_digit_value(PyObject *value)
{
    return (long)Py_SIZE(value) * (long)((PyLongObject *)value)->ob_digit[0];
}

/* Can `value` stand in the one digit of an int that is not one of the shared small ones? */
static inline bool
fits_private_digit(long value)
{
    return (value >= _PY_NSMALLPOSINTS || value < -_PY_NSMALLNEGINTS) && value < PyLong_BASE
           && value > -(long)PyLong_BASE;
}

/* Give an int that nobody else can see another value.  One-digit ints all have the same size. */
static inline void
overwrite_int(PyObject *op, long value)
{
    assert(PyLong_CheckExact(op) && is_single_digit(op) && fits_private_digit(value));
    Py_SET_SIZE(op, value < 0 ? -1 : 1);
    ((PyLongObject *)op)->ob_digit[0] = (digit)(value < 0 ? -value : value);
}

/* An int from a C long, where the caller owns `left` (a one-digit int) and has done with it: its
 * memory serves again when nobody else has it. */
static inline PyObject *
int_result(PyObject *left, long value)
{
    if (-_PY_NSMALLNEGINTS <= value && value < _PY_NSMALLPOSINTS) {
        Py_DECREF(left);
        return Py_NewRef((PyObject *)&_PyLong_SMALL_INTS[_PY_NSMALLNEGINTS + value]);
    }
    if (Py_REFCNT(left) == 1 && fits_private_digit(value)) {
        overwrite_int(left, value);
        return left;
    }
    PyObject *result = PyLong_FromLong(value);
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
        if (b < 0 || b > 31 || !is_single_digit(left)) {
            return NULL;
        }
        result = (int64_t)((uint64_t)a << b);
        break;
    case NB_FLOOR_DIVIDE:
    case NB_INPLACE_FLOOR_DIVIDE:
        if (b == 0) {
            return NULL;
        }
        result = a / b - (a % b != 0 && (a < 0) != (b < 0));   /* C truncates, Python floors */
        break;
    case NB_REMAINDER:
    case NB_INPLACE_REMAINDER:
        if (b == 0) {
            return NULL;
        }
        result = a % b;
        if (result != 0 && (a < 0) != (b < 0)) {
            result += b;
        }
        break;
    case NB_TRUE_DIVIDE:
    case NB_INPLACE_TRUE_DIVIDE:
        /* Two doubles divide exactly rounded when both ints are doubles: one digit surely is. */
        if (b == 0 || !is_single_digit(left) || !is_single_digit(right)) {
            return NULL;
        }
        return PyFloat_FromDouble((double)a / (double)b);
    default:
        return NULL;
    }
    return PyLong_FromLongLong(result);
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
