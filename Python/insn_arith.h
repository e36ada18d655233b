/* Instructions: operators, comparisons, subscripts.
 *
 * Special methods in Python are entered as frames (slp_soft.h).  The specialised forms never meet any.
 */

/* A unary operator whose special method is a Python function, which then pushes the result itself. */
#define ENTER_UNARY(slot, name)                                                                    \
    do {                                                                                           \
        PyObject *operand_ = sp[-1];                                                               \
        if (slp_has_heap_type(operand_) && !HOOKED()) {                                            \
            PyNumberMethods *methods_ = Py_TYPE(operand_)->tp_as_number;                           \
            if (methods_ != NULL && methods_->slot == slp_python_slots.number.slot) {              \
                PyFunctionObject *unary_ = slp_python_method(Py_TYPE(operand_), &_Py_ID(name));    \
                if (unary_ != NULL) {                                                              \
                    Py_INCREF(unary_);                                                             \
                    sp--;                                                                          \
                    ENTER_FUNCTION(unary_, &operand_, 1, NULL, 0);                                 \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Have the shim `code` do an operator or a comparison of the top two values; `words` caches follow. */
#define RUN_OPERATOR(code, operator, words)                                                        \
    do {                                                                                           \
        sp -= 2;                                                                                   \
        _PyInterpreterFrame *shim_ = slp_operator_shim(tstate, frame, (code), sp[0], sp[1], (operator)); \
        if (shim_ == NULL) {                                                                       \
            ERROR();                                                                               \
        }                                                                                          \
        next += (words);                                                                           \
        RUN_FRAMES(shim_);                                                                         \
    } while (0)

/* Enter `func`(*args), borrowed, above the shim `code`; the top `count` values are dropped. */
#define ENTER_ABOVE(code, entry, func, args, nargs, count, words)                                  \
    do {                                                                                           \
        _PyInterpreterFrame *top_;                                                                 \
        if (slp_enter_above(tstate, frame, (code), (entry), NULL, 0, (func), (args), (nargs), &top_)   \
            == NULL) {                                                                             \
            ERROR();                                                                               \
        }                                                                                          \
        DROP(count);                                                                               \
        next += (words);                                                                           \
        RUN_FRAMES(top_);                                                                          \
    } while (0)

INSTRUCTION(UNARY_POSITIVE)
{
    ENTER_UNARY(nb_positive, __pos__);
    PyObject *result = PyNumber_Positive(sp[-1]);
    if (result == NULL) {
        ERROR();
    }
    REPLACE_TOP(result);
    NEXT_AFTER_CALL();
}

INSTRUCTION(UNARY_NEGATIVE)
{
    ENTER_UNARY(nb_negative, __neg__);
    PyObject *result = PyNumber_Negative(sp[-1]);
    if (result == NULL) {
        ERROR();
    }
    REPLACE_TOP(result);
    NEXT_AFTER_CALL();
}

INSTRUCTION(UNARY_INVERT)
{
    ENTER_UNARY(nb_invert, __invert__);
    PyObject *result = PyNumber_Invert(sp[-1]);
    if (result == NULL) {
        ERROR();
    }
    REPLACE_TOP(result);
    NEXT_AFTER_CALL();
}

INSTRUCTION(UNARY_NOT)
{
    PyObject *value = sp[-1];
    if (slp_has_heap_type(value) && !HOOKED()) {
        bool is_len;
        PyFunctionObject *func = slp_truth_method(value, &is_len);
        if (func != NULL) {
            ENTER_ABOVE(slp_shim_not, is_len ? SLP_ENTRY_NOT_LEN : SLP_ENTRY_NOT_BOOL, func, &value, 1, 1, 0);
        }
    }
    int is_true = value == Py_True ? 1 : value == Py_False ? 0 : truth(value);
    if (is_true < 0) {
        ERROR();
    }
    REPLACE_TOP(Py_NewRef(is_true ? Py_False : Py_True));
    NEXT_AFTER_CALL();
}

/* --- binary operators --- */

INSTRUCTION(BINARY_OP)
{
    PyObject *right = sp[-1];
    PyObject *left = sp[-2];
    assert((size_t)oparg < Py_ARRAY_LENGTH(binary_operators));
    PyObject *result = NULL;
    if (PyLong_CheckExact(left) && PyLong_CheckExact(right)) {
        if (is_two_digits(left) && is_two_digits(right)) {
            result = short_int_operator(left, right, oparg);
        }
    }
    else if (PyFloat_CheckExact(left) && PyFloat_CheckExact(right)) {
        result = float_operator(PyFloat_AS_DOUBLE(left), PyFloat_AS_DOUBLE(right), oparg);
    }
    else if ((slp_has_heap_type(left) || slp_has_heap_type(right))
             && slp_is_python_operator(left, right, (int)oparg) && !HOOKED()) {
        RUN_OPERATOR(slp_shim_binary, (int)oparg, CACHES(BINARY_OP));
    }
    else if (oparg == NB_INPLACE_ADD && PyList_CheckExact(left) && slp_may_loop_in_python(right)
             && !HOOKED()) {
        ENTER_SOFT_PAST(slp_soft_list_add(tstate, frame, left, right, &top), 2, CACHES(BINARY_OP));
    }
    else if ((oparg == NB_REMAINDER || oparg == NB_INPLACE_REMAINDER) && PyUnicode_CheckExact(left)
             && slp_may_format_in_python(right) && !HOOKED()) {
        _PyInterpreterFrame *top;
        PyObject *answer = slp_soft_percent(tstate, frame, left, right, &top);
        if (answer == SLP_ENTER) {
            DROP(2);
            next += CACHES(BINARY_OP);
            RUN_FRAMES(top);
        }
        if (answer == NULL) {
            ERROR();
        }
        result = answer == SLP_NOT_SOFT ? NULL : answer;
    }
    if (result == NULL) {
        /* A short cut that failed for want of memory is taken the long way, too. */
        result = binary_operators[oparg](left, right);
    }
    if (result == NULL) {
        ERROR();
    }
    sp--;
    sp[-1] = result;
    DECREF(left);
    DECREF(right);
    next += CACHES(BINARY_OP);
    NEXT_AFTER_CALL();
}

LEAF(BINARY_OP_ADAPTIVE)
{
    ADAPT((_Py_Specialize_BinaryOp(sp[-2], sp[-1], next, oparg, &LOCAL(0)), 0));
    GOTO_INSTRUCTION(BINARY_OP);
}

/* x = x <operator> y for a local variable x: is `left` the old value, which nobody else has? */
#define IS_STORED_BACK(left)                                                                       \
    (Py_REFCNT(left) == 2 && is_store_fast(next[CACHES(BINARY_OP)])                                \
     && LOCAL(_Py_OPARG(next[CACHES(BINARY_OP)])) == (left))

/* One-digit operands are computed in a C long; the sum, the difference or the product fits.  Two
 * digits take a call. */
#define INT_OPERATOR(expression, operator, big_operator)          \
    {                                                                                              \
        PyObject *left = sp[-2];                                                                   \
        PyObject *right = sp[-1];                                                                  \
        GUARD(PyLong_CheckExact(left) && PyLong_CheckExact(right));                                \
        PyObject *result;                                                                          \
        if (SLP_LIKELY(slp_is_one_digit(left) && slp_is_one_digit(right))) {                         \
            long a = slp_one_digit_value(left);                                                     \
            long b = slp_one_digit_value(right);                                                    \
            long value = expression;                                                               \
            if (IS_STORED_BACK(left) && slp_fits_private_digit(value)) {                           \
                slp_overwrite_int(left, value);                                                    \
                Py_DECREF(left);                                                                   \
                Py_DECREF(right);                                                                  \
                sp -= 2;                                                                           \
                next += CACHES(BINARY_OP) + 1;                                                     \
                NEXT();                                                                            \
            }                                                                                      \
            result = int_result(left, value);                                                      \
        }                                                                                          \
        else {                                                                                     \
            result = is_two_digits(left) && is_two_digits(right)                                   \
                         ? short_int_operator(left, right, operator)                               \
                         : NULL;                                                                   \
            if (result == NULL) {                                                                  \
                result = big_operator((PyLongObject *)left, (PyLongObject *)right);                \
            }                                                                                      \
            DECREF(left);                                                                       \
        }                                                                                          \
        DECREF(right);                                                                          \
        sp--;                                                                                      \
        if (SLP_UNLIKELY(result == NULL)) {                                                        \
            sp--;                                                                                  \
            ERROR();                                                                               \
        }                                                                                          \
        sp[-1] = result;                                                                           \
        next += CACHES(BINARY_OP);                                                                 \
        NEXT();                                                                                    \
    }

LEAF(BINARY_OP_ADD_INT) INT_OPERATOR(a + b, NB_ADD, _PyLong_Add)
LEAF(BINARY_OP_SUBTRACT_INT) INT_OPERATOR(a - b, NB_SUBTRACT, _PyLong_Subtract)
LEAF(BINARY_OP_MULTIPLY_INT) INT_OPERATOR(a * b, NB_MULTIPLY, _PyLong_Multiply)
#undef INT_OPERATOR

/* A float that only the stack owns serves as the result. */
#define FLOAT_OPERATOR(op)          \
    {                                                                                              \
        PyObject *left = sp[-2];                                                                   \
        PyObject *right = sp[-1];                                                                  \
        GUARD(PyFloat_CheckExact(left) && PyFloat_CheckExact(right));                              \
        double value = PyFloat_AS_DOUBLE(left) op PyFloat_AS_DOUBLE(right);                        \
        if (IS_STORED_BACK(left)) {                                                                \
            ((PyFloatObject *)left)->ob_fval = value;                                              \
            Py_DECREF(left);                                                                       \
            Py_DECREF(right);                                                                      \
            sp -= 2;                                                                               \
            next += CACHES(BINARY_OP) + 1;                                                         \
            NEXT();                                                                                \
        }                                                                                          \
        sp--;                                                                                      \
        next += CACHES(BINARY_OP);                                                                 \
        if (Py_REFCNT(left) == 1) {                                                                \
            ((PyFloatObject *)left)->ob_fval = value;                                              \
            Py_DECREF(right);                                                                      \
        }                                                                                          \
        else if (Py_REFCNT(right) == 1) {                                                          \
            ((PyFloatObject *)right)->ob_fval = value;                                             \
            sp[-1] = right;                                                                        \
            DECREF(left);                                                                       \
        }                                                                                          \
        else {                                                                                     \
            PyObject *result = PyFloat_FromDouble(value);                                          \
            DECREF(left);                                                                       \
            DECREF(right);                                                                      \
            if (SLP_UNLIKELY(result == NULL)) {                                                    \
                sp--;                                                                              \
                ERROR();                                                                           \
            }                                                                                      \
            sp[-1] = result;                                                                       \
        }                                                                                          \
        NEXT();                                                                                    \
    }

LEAF(BINARY_OP_ADD_FLOAT) FLOAT_OPERATOR(+)
LEAF(BINARY_OP_SUBTRACT_FLOAT) FLOAT_OPERATOR(-)
LEAF(BINARY_OP_MULTIPLY_FLOAT) FLOAT_OPERATOR(*)
#undef FLOAT_OPERATOR
#undef IS_STORED_BACK

LEAF(BINARY_OP_ADD_UNICODE)
{
    PyObject *left = sp[-2];
    PyObject *right = sp[-1];
    GUARD(PyUnicode_CheckExact(left) && Py_IS_TYPE(right, &PyUnicode_Type));
    PyObject *result = PyUnicode_Concat(left, right);
    sp--;
    DECREF(left);
    DECREF(right);
    if (result == NULL) {
        sp--;
        ERROR();
    }
    sp[-1] = result;
    next += CACHES(BINARY_OP);
    NEXT();
}

/* s = s + t, where the STORE_FAST that follows is done here: the string may grow in place. */
LEAF(BINARY_OP_INPLACE_ADD_UNICODE)
{
    PyObject *left = sp[-2];
    PyObject *right = sp[-1];
    GUARD(PyUnicode_CheckExact(left) && Py_IS_TYPE(right, &PyUnicode_Type));
    _Py_CODEUNIT store = next[CACHES(BINARY_OP)];
    assert(_Py_OPCODE(store) == STORE_FAST || _Py_OPCODE(store) == STORE_FAST__LOAD_FAST);
    PyObject **target = &LOCAL(_Py_OPARG(store));
    GUARD(*target == left);
    sp -= 2;
    DECREF(left);   /* the variable's reference is left */
    PyUnicode_Append(target, right);
    DECREF(right);
    if (*target == NULL) {
        ERROR();
    }
    next += CACHES(BINARY_OP) + 1;
    NEXT();
}

/* --- comparisons --- */

INSTRUCTION(COMPARE_OP)
{
    PyObject *right = sp[-1];
    PyObject *left = sp[-2];
    if (slp_is_python_comparison(left, right) && !HOOKED()) {
        RUN_OPERATOR(slp_shim_compare, (int)oparg, CACHES(COMPARE_OP));
    }
    PyObject *result = PyObject_RichCompare(left, right, oparg);
    if (result == NULL) {
        ERROR();
    }
    sp--;
    sp[-1] = result;
    DECREF(left);
    DECREF(right);
    next += CACHES(COMPARE_OP);
    NEXT_AFTER_CALL();
}

LEAF(COMPARE_OP_ADAPTIVE)
{
    ADAPT((_Py_Specialize_CompareOp(sp[-2], sp[-1], next, oparg), 0));
    GOTO_INSTRUCTION(COMPARE_OP);
}

/* A comparison and the conditional jump behind it.  `jump` says whether to take it. */
#define COMPARE_AND_JUMP(jump)                                                                     \
    do {                                                                                           \
        next += CACHES(COMPARE_OP) + 1;                                                            \
        if (jump) {                                                                                \
            int distance = _Py_OPARG(next[-1]);                                                    \
            int jump_opcode = _Py_OPCODE(next[-1]);                                                \
            if (jump_opcode == POP_JUMP_BACKWARD_IF_FALSE || jump_opcode == POP_JUMP_BACKWARD_IF_TRUE) { \
                CHECK_BREAKER();                                                                   \
                next -= distance;                                                                  \
                NEXT_AFTER_CALL();                                                                 \
            }                                                                                      \
            next += distance;                                                                      \
        }                                                                                          \
        NEXT();                                                                                    \
    } while (0)

/* Bits of the cached mask: 1 jump when less, 2 when equal, 4 when greater; eight times that where the
 * jump goes backward. */
#define JUMP_MASK(cache) ((cache)->mask | (cache)->mask >> 3)

LEAF(COMPARE_OP_INT_JUMP)
{
    PyObject *left = sp[-2];
    PyObject *right = sp[-1];
    GUARD(PyLong_CheckExact(left) && PyLong_CheckExact(right));
    GUARD(slp_is_one_digit(left) && slp_is_one_digit(right));
    int mask = JUMP_MASK((_PyCompareOpCache *)next);
    long a = slp_one_digit_value(left);
    long b = slp_one_digit_value(right);
    sp -= 2;
    DECREF(left);
    DECREF(right);
    bool jump = ((1 << (1 + (a > b) - (a < b))) & mask) != 0;
    COMPARE_AND_JUMP(jump);
}

LEAF(COMPARE_OP_FLOAT_JUMP)
{
    PyObject *left = sp[-2];
    PyObject *right = sp[-1];
    GUARD(PyFloat_CheckExact(left) && PyFloat_CheckExact(right));
    double a = PyFloat_AS_DOUBLE(left);
    double b = PyFloat_AS_DOUBLE(right);
    GUARD(!isunordered(a, b));
    int mask = JUMP_MASK((_PyCompareOpCache *)next);
    sp -= 2;
    DECREF(left);
    DECREF(right);
    bool jump = ((1 << (1 + (a > b) - (a < b))) & mask) != 0;
    COMPARE_AND_JUMP(jump);
}

/* Only == and !=, so that less and greater have the same bit. */
LEAF(COMPARE_OP_STR_JUMP)
{
    PyObject *left = sp[-2];
    PyObject *right = sp[-1];
    GUARD(PyUnicode_CheckExact(left) && PyUnicode_CheckExact(right));
    int equal = left == right ? 1 : _PyUnicode_Equal(left, right);
    if (equal < 0) {
        ERROR();
    }
    int mask = JUMP_MASK((_PyCompareOpCache *)next);
    sp -= 2;
    DECREF(left);
    DECREF(right);
    COMPARE_AND_JUMP((mask & (equal ? 2 : 1)) != 0);
}

#undef JUMP_MASK
#undef COMPARE_AND_JUMP

LEAF(IS_OP)
{
    PyObject *right = *--sp;
    PyObject *left = sp[-1];
    bool result = (left == right) ^ oparg;
    sp[-1] = Py_NewRef(result ? Py_True : Py_False);
    DECREF(left);
    DECREF(right);
    NEXT();
}

INSTRUCTION(CONTAINS_OP)
{
    PyObject *container = sp[-1];
    PyObject *item = sp[-2];
    if (slp_has_heap_type(container) && !HOOKED()
        && Py_TYPE(container)->tp_as_sequence->sq_contains == slp_python_slots.sequence.sq_contains) {
        PyFunctionObject *func = slp_python_method(Py_TYPE(container), &_Py_ID(__contains__));
        if (func != NULL) {
            PyObject *args[2] = {container, item};
            ENTER_ABOVE(slp_shim_not, oparg ? SLP_ENTRY_NOT : SLP_ENTRY_TRUTH, func, args, 2, 2, 0);
        }
    }
    if (slp_may_loop_in_python(container) && !HOOKED()) {
        ENTER_SOFT(slp_soft_contains(tstate, frame, container, item, oparg != 0, &top), 2);
    }
    int found = PySequence_Contains(container, item);
    if (found < 0) {
        ERROR();
    }
    sp--;
    sp[-1] = Py_NewRef((found ^ oparg) ? Py_True : Py_False);
    DECREF(item);
    DECREF(container);
    NEXT_AFTER_CALL();
}

/* --- subscripts --- */

INSTRUCTION(BINARY_SUBSCR)
{
    PyObject *index = sp[-1];
    PyObject *container = sp[-2];
    PyObject *result = item_at_once(container, index);
    if (result != NULL) {
        sp--;
        sp[-1] = result;
        DECREF(container);
        DECREF(index);
        next += CACHES(BINARY_SUBSCR);
        NEXT();
    }
    PyFunctionObject *getitem = python_special(container, &_Py_ID(__getitem__));
    if (getitem != NULL && !HOOKED()) {
        PyObject *args[2] = {container, index};
        sp -= 2;
        Py_INCREF(getitem);
        ENTER_FUNCTION(getitem, args, 2, NULL, CACHES(BINARY_SUBSCR));
    }
    result = SLP_NOT_SOFT;
    if ((slp_has_heap_type(container) || PyType_Check(container)) && !HOOKED()) {
        _PyInterpreterFrame *top;
        result = slp_soft_getitem(tstate, frame, container, index, &top);
        if (result == SLP_ENTER) {
            DROP(2);
            next += CACHES(BINARY_SUBSCR);
            RUN_FRAMES(top);
        }
    }
    if (result == SLP_NOT_SOFT) {
        result = PyObject_GetItem(container, index);
    }
    if (result == NULL) {
        ERROR();
    }
    sp--;
    sp[-1] = result;
    DECREF(container);
    DECREF(index);
    next += CACHES(BINARY_SUBSCR);
    NEXT_AFTER_CALL();
}

LEAF(BINARY_SUBSCR_ADAPTIVE)
{
    ADAPT(_Py_Specialize_BinarySubscr(sp[-2], sp[-1], next));
    GOTO_INSTRUCTION(BINARY_SUBSCR);
}

/* Index by a non-negative one-digit int.  `size` and `item` speak of `container` and `i`. */
#define SEQUENCE_INDEX(check, size, item)          \
    {                                                                                              \
        PyObject *index = sp[-1];                                                                  \
        PyObject *container = sp[-2];                                                              \
        GUARD(PyLong_CheckExact(index) && check(container));                                       \
        GUARD((size_t)Py_SIZE(index) <= 1);                                                        \
        Py_ssize_t i = slp_one_digit_value(index);                                                  \
        GUARD(i < size(container));                                                                \
        PyObject *result = Py_NewRef(item(container, i));                                          \
        sp--;                                                                                      \
        sp[-1] = result;                                                                           \
        DECREF(index);                                                                          \
        DECREF(container);                                                                      \
        next += CACHES(BINARY_SUBSCR);                                                             \
        NEXT();                                                                                    \
    }

LEAF(BINARY_SUBSCR_LIST_INT) SEQUENCE_INDEX(PyList_CheckExact, PyList_GET_SIZE, PyList_GET_ITEM)
LEAF(BINARY_SUBSCR_TUPLE_INT) SEQUENCE_INDEX(PyTuple_CheckExact, PyTuple_GET_SIZE, PyTuple_GET_ITEM)
#undef SEQUENCE_INDEX

INSTRUCTION(BINARY_SUBSCR_DICT)
{
    PyObject *key = sp[-1];
    PyObject *dict = sp[-2];
    GUARD(PyDict_CheckExact(dict));
    PyObject *value = PyDict_GetItemWithError(dict, key);
    if (value == NULL) {
        if (!_PyErr_Occurred(tstate)) {
            _PyErr_SetKeyError(key);
        }
        ERROR();
    }
    Py_INCREF(value);
    sp--;
    sp[-1] = value;
    DECREF(dict);
    DECREF(key);
    next += CACHES(BINARY_SUBSCR);
    NEXT_AFTER_CALL();
}

/* obj[i] with __getitem__ in Python: a plain frame. */
LEAF(BINARY_SUBSCR_GETITEM)
{
    PyObject *index = sp[-1];
    PyObject *container = sp[-2];
    _PyBinarySubscrCache *cache = (_PyBinarySubscrCache *)next;
    PyTypeObject *type = Py_TYPE(container);
    GUARD(type->tp_version_tag == read_u32(cache->type_version));
    PyFunctionObject *getitem = (PyFunctionObject *)((PyHeapTypeObject *)type)->_spec_cache.getitem;
    GUARD(getitem->func_version == cache->func_version);
    GUARD(!HOOKED());
    PyCodeObject *code = (PyCodeObject *)getitem->func_code;
    assert(code->co_argcount == 2);
    _PyInterpreterFrame *callee = slp_frame_alloc(tstate, slp_frame_words(code));
    if (callee == NULL) {
        ERROR();
    }
    Py_INCREF(getitem);
    slp_frame_init(callee, getitem, NULL, code);
    callee->localsplus[0] = container;
    callee->localsplus[1] = index;
    for (int i = 2; i < code->co_nlocalsplus; i++) {
        callee->localsplus[i] = NULL;
    }
    sp -= 2;
    next += CACHES(BINARY_SUBSCR);
    ENTER_CALLEE(callee);
}

INSTRUCTION(STORE_SUBSCR)
{
    PyObject *index = sp[-1];
    PyObject *container = sp[-2];
    PyObject *value = sp[-3];
    if (slp_has_heap_type(container) && !HOOKED()) {
        PyFunctionObject *func = slp_subscript_setter(container, &_Py_ID(__setitem__));
        if (func != NULL) {
            PyObject *args[3] = {container, index, value};
            ENTER_ABOVE(slp_shim_nothing, 0, func, args, 3, 3, CACHES(STORE_SUBSCR));
        }
    }
    if (PyObject_SetItem(container, index, value) < 0) {
        ERROR();
    }
    sp -= 3;
    DECREF(value);
    DECREF(container);
    DECREF(index);
    next += CACHES(STORE_SUBSCR);
    NEXT_AFTER_CALL();
}

LEAF(STORE_SUBSCR_ADAPTIVE)
{
    ADAPT(_Py_Specialize_StoreSubscr(sp[-2], sp[-1], next));
    GOTO_INSTRUCTION(STORE_SUBSCR);
}

LEAF(STORE_SUBSCR_LIST_INT)
{
    PyObject *index = sp[-1];
    PyObject *list = sp[-2];
    GUARD(PyLong_CheckExact(index) && PyList_CheckExact(list));
    GUARD((size_t)Py_SIZE(index) <= 1);
    Py_ssize_t i = slp_one_digit_value(index);
    GUARD(i < PyList_GET_SIZE(list));
    PyObject *old = PyList_GET_ITEM(list, i);
    PyList_SET_ITEM(list, i, sp[-3]);
    sp -= 3;
    DECREF(old);
    DECREF(index);
    DECREF(list);
    next += CACHES(STORE_SUBSCR);
    NEXT();
}

INSTRUCTION(STORE_SUBSCR_DICT)
{
    PyObject *key = sp[-1];
    PyObject *dict = sp[-2];
    GUARD(PyDict_CheckExact(dict));
    sp -= 3;
    int failed = _PyDict_SetItem_Take2((PyDictObject *)dict, key, sp[0]);
    DECREF(dict);
    if (failed) {
        ERROR();
    }
    next += CACHES(STORE_SUBSCR);
    NEXT_AFTER_CALL();
}

INSTRUCTION(DELETE_SUBSCR)
{
    PyObject *index = sp[-1];
    PyObject *container = sp[-2];
    if (slp_has_heap_type(container) && !HOOKED()) {
        PyFunctionObject *func = slp_subscript_setter(container, &_Py_ID(__delitem__));
        if (func != NULL) {
            PyObject *args[2] = {container, index};
            ENTER_ABOVE(slp_shim_nothing, 0, func, args, 2, 2, 0);
        }
    }
    if (PyObject_DelItem(container, index) < 0) {
        ERROR();
    }
    sp -= 2;
    DECREF(container);
    DECREF(index);
    NEXT_AFTER_CALL();
}
