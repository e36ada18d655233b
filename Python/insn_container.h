/* Instructions: building and unpacking containers, slices, strings. */

INSTRUCTION(BUILD_TUPLE)
{
    sp -= oparg;
    PyObject *tuple = _PyTuple_FromArraySteal(sp, oparg);
    if (tuple == NULL) {
        ERROR();
    }
    *sp++ = tuple;
    NEXT();
}

INSTRUCTION(BUILD_LIST)
{
    PyObject *list = PyList_New(oparg);
    if (list == NULL) {
        ERROR();
    }
    sp -= oparg;
    for (Py_ssize_t i = 0; i < oparg; i++) {
        PyList_SET_ITEM(list, i, sp[i]);
    }
    *sp++ = list;
    NEXT();
}

INSTRUCTION(BUILD_SET)
{
    PyObject *set = PySet_New(NULL);
    if (set == NULL) {
        ERROR();
    }
    int failed = 0;
    for (Py_ssize_t i = oparg; i > 0; i--) {
        PyObject *item = sp[-i];
        if (!failed) {
            failed = PySet_Add(set, item);
        }
        DECREF(item);
    }
    sp -= oparg;
    if (failed) {
        DECREF(set);
        ERROR();
    }
    *sp++ = set;
    NEXT_AFTER_CALL();
}

INSTRUCTION(BUILD_MAP)
{
    PyObject **items = sp - 2 * oparg;
    PyObject *map = _PyDict_FromItems(items, 2, items + 1, 2, oparg);
    if (map == NULL) {
        ERROR();
    }
    DROP(2 * oparg);
    *sp++ = map;
    NEXT_AFTER_CALL();
}

INSTRUCTION(BUILD_CONST_KEY_MAP)
{
    PyObject *keys = sp[-1];
    if (!PyTuple_CheckExact(keys) || PyTuple_GET_SIZE(keys) != (Py_ssize_t)oparg) {
        _PyErr_SetString(tstate, PyExc_SystemError, "bad BUILD_CONST_KEY_MAP keys argument");
        ERROR();
    }
    PyObject *map = _PyDict_FromItems(&PyTuple_GET_ITEM(keys, 0), 1, sp - oparg - 1, 1, oparg);
    if (map == NULL) {
        ERROR();
    }
    DROP(oparg + 1);
    *sp++ = map;
    NEXT_AFTER_CALL();
}

INSTRUCTION(BUILD_STRING)
{
    PyObject *string = _PyUnicode_JoinArray(&_Py_STR(empty), sp - oparg, oparg);
    if (string == NULL) {
        ERROR();
    }
    DROP(oparg);
    *sp++ = string;
    NEXT();
}

INSTRUCTION(BUILD_SLICE)
{
    PyObject *step = oparg == 3 ? *--sp : NULL;
    PyObject *stop = *--sp;
    PyObject *start = sp[-1];
    if (step == NULL && is_subscript(*next) && !TRACED()) {
        PyObject *part = slice_at_once(sp[-2], start, stop);
        if (part != NULL) {
            PyObject *container = sp[-2];
            sp--;
            sp[-1] = part;
            DECREF(start);
            DECREF(stop);
            DECREF(container);
            next += 1 + CACHES(BINARY_SUBSCR);
            NEXT_AFTER_CALL();
        }
    }
    PyObject *slice = PySlice_New(start, stop, step);
    DECREF(start);
    DECREF(stop);
    XDECREF(step);
    if (slice == NULL) {
        sp--;
        ERROR();
    }
    sp[-1] = slice;
    NEXT();
}

INSTRUCTION(FORMAT_VALUE)
{
    PyObject *spec = (oparg & FVS_MASK) == FVS_HAVE_SPEC ? *--sp : NULL;
    PyObject *value = *--sp;
    if (slp_has_heap_type(value) && !HOOKED()) {
        _PyInterpreterFrame *top;
        PyObject *answer = slp_soft_format_value(tstate, frame, value, spec, (int)oparg, &top);
        if (answer != SLP_NOT_SOFT) {
            DECREF(value);
            XDECREF(spec);
            if (answer == SLP_ENTER) {
                RUN_FRAMES(top);
            }
            if (answer == NULL) {
                ERROR();
            }
            *sp++ = answer;
            NEXT_AFTER_CALL();
        }
    }
    PyObject *result = slp_format_value(tstate, value, spec, oparg);
    if (result == NULL) {
        ERROR();
    }
    *sp++ = result;
    NEXT_AFTER_CALL();
}

INSTRUCTION(PRINT_EXPR)
{
    PyObject *value = *--sp;
    int failed = slp_print_expr(tstate, value);
    DECREF(value);
    if (failed) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

/* --- comprehensions and displays with stars --- */

LEAF(LIST_APPEND)
{
    PyObject *value = *--sp;
    if (_PyList_AppendTakeRef((PyListObject *)sp[-oparg], value) < 0) {
        ERROR();
    }
    NEXT();
}

INSTRUCTION(SET_ADD)
{
    PyObject *value = *--sp;
    int failed = PySet_Add(sp[-oparg], value);
    DECREF(value);
    if (failed) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(MAP_ADD)
{
    PyObject *value = *--sp;
    PyObject *key = *--sp;
    assert(PyDict_CheckExact(sp[-oparg]));
    if (_PyDict_SetItem_Take2((PyDictObject *)sp[-oparg], key, value) != 0) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(LIST_EXTEND)
{
    if (slp_may_loop_in_python(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_extend(tstate, frame, sp[-1 - (int)oparg], sp[-1], &top), 1);
    }
    PyObject *iterable = *--sp;
    int failed = slp_list_extend(tstate, sp[-oparg], iterable);
    DECREF(iterable);
    if (failed) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(SET_UPDATE)
{
    if (slp_may_loop_in_python(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_extend(tstate, frame, sp[-1 - (int)oparg], sp[-1], &top), 1);
    }
    PyObject *iterable = *--sp;
    int failed = _PySet_Update(sp[-oparg], iterable);
    DECREF(iterable);
    if (failed < 0) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(DICT_UPDATE)
{
    PyObject *update = *--sp;
    int failed = slp_dict_update(tstate, sp[-oparg], update);
    DECREF(update);
    if (failed) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(DICT_MERGE)
{
    PyObject *update = *--sp;
    int failed = slp_dict_merge(tstate, sp[-(2 + oparg)], sp[-oparg], update);
    DECREF(update);
    if (failed) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(LIST_TO_TUPLE)
{
    PyObject *tuple = PyList_AsTuple(sp[-1]);
    if (tuple == NULL) {
        ERROR();
    }
    REPLACE_TOP(tuple);
    NEXT();
}

/* --- unpacking --- */

INSTRUCTION(UNPACK_SEQUENCE)
{
    if (slp_may_loop_in_python(sp[-1]) && !HOOKED()) {
        ENTER_SOFT_PAST(slp_soft_unpack(tstate, frame, sp[-1], (int)oparg, -1, &top), 1,
                        CACHES(UNPACK_SEQUENCE));
    }
    PyObject *sequence = *--sp;
    int failed = slp_unpack_iterable(tstate, sequence, oparg, -1, sp + oparg);
    DECREF(sequence);
    if (failed) {
        ERROR();
    }
    sp += oparg;
    next += CACHES(UNPACK_SEQUENCE);
    NEXT_AFTER_CALL();
}

LEAF(UNPACK_SEQUENCE_ADAPTIVE)
{
    ADAPT((_Py_Specialize_UnpackSequence(sp[-1], next, oparg), 0));
    GOTO_INSTRUCTION(UNPACK_SEQUENCE);
}

LEAF(UNPACK_SEQUENCE_TWO_TUPLE)
{
    PyObject *tuple = sp[-1];
    GUARD(PyTuple_CheckExact(tuple));
    GUARD(PyTuple_GET_SIZE(tuple) == 2);
    sp[-1] = Py_NewRef(PyTuple_GET_ITEM(tuple, 1));
    *sp++ = Py_NewRef(PyTuple_GET_ITEM(tuple, 0));
    DECREF(tuple);
    next += CACHES(UNPACK_SEQUENCE);
    NEXT();
}

LEAF(UNPACK_SEQUENCE_TUPLE)
{
    PyObject *tuple = sp[-1];
    GUARD(PyTuple_CheckExact(tuple));
    GUARD(PyTuple_GET_SIZE(tuple) == oparg);
    sp--;
    for (Py_ssize_t i = oparg; i-- > 0;) {
        *sp++ = Py_NewRef(PyTuple_GET_ITEM(tuple, i));
    }
    DECREF(tuple);
    next += CACHES(UNPACK_SEQUENCE);
    NEXT();
}

LEAF(UNPACK_SEQUENCE_LIST)
{
    PyObject *list = sp[-1];
    GUARD(PyList_CheckExact(list));
    GUARD(PyList_GET_SIZE(list) == oparg);
    sp--;
    for (Py_ssize_t i = oparg; i-- > 0;) {
        *sp++ = Py_NewRef(PyList_GET_ITEM(list, i));
    }
    DECREF(list);
    next += CACHES(UNPACK_SEQUENCE);
    NEXT();
}

INSTRUCTION(UNPACK_EX)
{
    int before = oparg & 0xFF;
    int after = oparg >> 8;
    int count = before + 1 + after;
    if (slp_may_loop_in_python(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_unpack(tstate, frame, sp[-1], before, after, &top), 1);
    }
    PyObject *sequence = *--sp;
    int failed = slp_unpack_iterable(tstate, sequence, before, after, sp + count);
    DECREF(sequence);
    if (failed) {
        ERROR();
    }
    sp += count;
    NEXT_AFTER_CALL();
}
