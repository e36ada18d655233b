/* Instructions of the shims that loop (slp_loops.h). */

/* Stack: ..., iterable, ..., list, iterator. */
INSTRUCTION(SLP_LOOP_HINT)
{
    Py_ssize_t size = oparg & SLP_HINT_OF_ANOTHER ? 0 : PyList_GET_SIZE(sp[-2]);
    if (slp_loop_hint(sp[-(int)(oparg & ~SLP_HINT_OF_ANOTHER)], size) < 0) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_LOOP_DONE)
{
    PyObject *result =
        slp_loop_done(tstate, (slp_loop_end)oparg, frame->localsplus, sp - frame->localsplus);
    if (result == NULL) {
        ERROR();
    }
    *sp++ = result;
    GOTO_INSTRUCTION(SLP_GIVE);
}

/* Stack: before, iterable, list, iterator.  Enough is known when there is one item more than wanted. */
INSTRUCTION(SLP_UNPACK_CHECK)
{
    if (PyList_GET_SIZE(sp[-2]) > PyLong_AsSsize_t(sp[-4])) {
        DROP(1);
        GOTO_INSTRUCTION(SLP_UNPACKED);
    }
    NEXT();
}

/* Stack: before, after, iterable, list, iterator: jump when all items before the starred one are there. */
INSTRUCTION(SLP_UNPACK_REST)
{
    if (PyList_GET_SIZE(sp[-2]) >= PyLong_AsSsize_t(sp[-5])) {
        next += oparg;
    }
    NEXT();
}

/* Stack: before, ..., list, or before, after, ..., list with oparg 1: push the items on the caller's stack,
 * the last one first. */
INSTRUCTION(SLP_UNPACKED)
{
    PyObject *list = *--sp;
    int before = (int)PyLong_AsLong(frame->localsplus[0]);
    int after = oparg ? (int)PyLong_AsLong(frame->localsplus[1]) : -1;
    int count = oparg ? before + 1 + after : before;
    STORE_STACK();
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    slp_frame_clear_and_pop(tstate, frame);
    GO_BACK_TO(caller);
    int failed = slp_unpack_iterable(tstate, list, before, after, sp + count);
    DECREF(list);
    if (failed) {
        ERROR();
    }
    sp += count;
    NEXT_AFTER_CALL();
}

/* Stack: list, reverse, items, key, keys, exception. */
INSTRUCTION(SLP_SORT_FAILED)
{
    raise_again(tstate, *--sp);
    slp_sort_failed(frame->localsplus[0], frame->localsplus[2]);
    goto unwind;
}

INSTRUCTION(SLP_TAKE_ITEM)
{
    if (slp_take_item(tstate, (slp_taker)oparg, sp[-4], &sp[-3], sp[-1]) < 0) {
        ERROR();
    }
    DROP(1);
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_SUM_ITEM)
{
    PyObject *item = sp[-1], *sum = sp[-3];
    PyObject *result;
    if (PyLong_CheckExact(item) && PyLong_CheckExact(sum)) {
        if (slp_is_one_digit(item) && slp_is_one_digit(sum)) {
            result = int_result(sum, slp_one_digit_value(sum) + slp_one_digit_value(item));
            sum = NULL;
        }
        else {
            result = _PyLong_Add((PyLongObject *)sum, (PyLongObject *)item);
        }
    }
    else if (PyFloat_CheckExact(item) && PyFloat_CheckExact(sum)) {
        result = PyFloat_FromDouble(PyFloat_AS_DOUBLE(sum) + PyFloat_AS_DOUBLE(item));
    }
    else {
        NEXT();
    }
    if (result == NULL) {
        ERROR();
    }
    sp[-3] = result;
    Py_XDECREF(sum);
    DROP(1);
    GOTO_INSTRUCTION(JUMP_BACKWARD_QUICK);
}
