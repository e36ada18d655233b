/* Instructions that only shims contain (slp_shims.h). */

/* This shim is done, and owns nothing any more: go on in the frame below. */
#define LEAVE_SHIM()                                                                               \
    do {                                                                                           \
        _PyInterpreterFrame *below_ = frame->previous;                                             \
        cframe.current_frame = below_;                                                             \
        Py_DECREF(frame->f_code);                                                                  \
        slp_frame_free(tstate, frame);                                                             \
        GO_BACK_TO(below_);                                                                        \
    } while (0)

/* Drop what is on the shim's stack, which may hold NULLs. */
#define DROP_ALL()                                                                                 \
    do {                                                                                           \
        while (sp > frame->localsplus) {                                                           \
            sp--;                                                                                  \
            XDECREF(*sp);                                                                          \
        }                                                                                          \
    } while (0)

/* __init__ has returned: the instance is the value of the class call. */
INSTRUCTION(SLP_INIT_RESULT)
{
    PyObject *result = *--sp;
    if (SLP_UNLIKELY(result != Py_None)) {
        _PyErr_Format(tstate, PyExc_TypeError, "__init__() should return None, not '%.200s'",
                      Py_TYPE(result)->tp_name);
        DECREF(result);
        ERROR();
    }
    DECREF(result);
    PyObject *instance = *--sp;
    LEAVE_SHIM();
    *sp++ = instance;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

/* --- the end of most shims --- */

INSTRUCTION(SLP_RETURN)
{
    PyObject *value = *--sp;
    DROP_ALL();
    LEAVE_SHIM();
    *sp++ = value;
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_RETURN_NOTHING)
{
    DROP_ALL();
    LEAVE_SHIM();
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_RETURN_TRUE)
{
    DROP_ALL();
    *sp++ = Py_NewRef(Py_True);
    GOTO_INSTRUCTION(SLP_RETURN);
}

INSTRUCTION(SLP_CHECK_RESULT)
{
    PyObject *owner = sp - 1 > frame->localsplus ? sp[-2] : NULL;
    PyObject *result = slp_check_result(tstate, (slp_result_kind)oparg, owner, sp[-1]);
    if (SLP_UNLIKELY(result == NULL)) {
        sp--;
        ERROR();
    }
    sp[-1] = result;
    NEXT_AFTER_CALL();
}

/* Stack: the condition if the jump keeps it, the distance, the truth. */
INSTRUCTION(SLP_JUMP_RESULT)
{
    bool is_true = sp[-1] == Py_True;
    Py_ssize_t distance = PyLong_AsSsize_t(sp[-2]);
    PyObject *condition = NULL;
    bool jump = is_true == ((oparg & 1) != 0);
    assert(PyBool_Check(sp[-1]));
    DROP(2);
    if (oparg & 2) {
        condition = *--sp;
        if (!jump) {
            DECREF(condition);
        }
    }
    LEAVE_SHIM();
    if (jump) {
        if (distance < 0) {
            CHECK_BREAKER();
        }
        next += distance;
        if (condition != NULL) {
            *sp++ = condition;
        }
    }
    NEXT_AFTER_CALL();
}

/* --- attributes --- */

/* Stack: owner, name, exception. */
INSTRUCTION(SLP_ATTR_FAILED)
{
    _PyInterpreterFrame *top;
    if (!PyErr_GivenExceptionMatches(sp[-1], PyExc_AttributeError)) {
        raise_again(tstate, *--sp);
        goto unwind;
    }
    PyObject *answer = slp_soft_getattr_hook(tstate, frame, sp[-3], sp[-2], &top);
    if (answer == SLP_NOT_SOFT) {
        GOTO_INSTRUCTION(SLP_ATTR_ERROR);
    }
    DROP(1);
    if (answer == SLP_ENTER) {
        next = CODE_START() + SLP_ENTRY_UNHOOKED;
        RUN_FRAMES(top);
    }
    if (answer == NULL) {
        goto unwind;
    }
    *sp++ = answer;
    GOTO_INSTRUCTION(SLP_RETURN);
}

INSTRUCTION(SLP_ATTR_ERROR)
{
    raise_again(tstate, *--sp);
    slp_complete_attribute_error(tstate, sp[-2], sp[-1]);
    goto unwind;
}

/* Stack: default, exception.  oparg: which exceptions, 0 StopIteration, 1 AttributeError. */
INSTRUCTION(SLP_DEFAULT)
{
    PyObject *exc = *--sp;
    if (!PyErr_GivenExceptionMatches(exc, oparg ? PyExc_AttributeError : PyExc_StopIteration)) {
        raise_again(tstate, exc);
        goto unwind;
    }
    DECREF(exc);
    GOTO_INSTRUCTION(SLP_RETURN);
}

/* --- operators --- */

/* Stack: left, right, operator, what the step before answered. */
#define OPERATOR_STEP(steps)                                                                       \
    {                                                                                              \
        if (sp[-1] == Py_NotImplemented) {                                                         \
            DROP(1);                                                                               \
            int stage = (int)oparg;                                                                \
            int operator = (int)PyLong_AsLong(sp[-1]);                                             \
            _PyInterpreterFrame *top;                                                              \
            PyObject *result = steps(tstate, frame, sp[-3], sp[-2], operator, &stage, &top);       \
            if (result == SLP_ENTER) {                                                             \
                next = CODE_START() + stage;                                                       \
                RUN_FRAMES(top);                                                                   \
            }                                                                                      \
            if (result == NULL) {                                                                  \
                ERROR();                                                                           \
            }                                                                                      \
            *sp++ = result;                                                                        \
            GOTO_INSTRUCTION(SLP_RETURN);                                                          \
        }                                                                                          \
    }

INSTRUCTION(SLP_BINARY_STEP)
{
    OPERATOR_STEP(slp_soft_binary_steps);
    GOTO_INSTRUCTION(SLP_RETURN);
}

INSTRUCTION(SLP_COMPARE_STEP)
{
    OPERATOR_STEP(slp_soft_compare_steps);
    if (oparg >= SLP_NEGATED) {
        next = CODE_START() + 2 * SLP_NEGATED;
        NEXT();
    }
    GOTO_INSTRUCTION(SLP_RETURN);
}
#undef OPERATOR_STEP

/* --- classes --- */

/* Stack: type, args, kwargs or NULL, what __new__ returned. */
INSTRUCTION(SLP_NEW_RESULT)
{
    _PyInterpreterFrame *top;
    PyObject *answer = slp_soft_init_after_new(tstate, frame, sp[-4], sp[-3], sp[-2], sp[-1], &top);
    if (answer == NULL) {
        ERROR();
    }
    if (answer == SLP_ENTER) {
        PyObject *instance = *--sp;
        DROP_ALL();
        *sp++ = instance;
        RUN_FRAMES(top);
    }
    Py_DECREF(answer);
    GOTO_INSTRUCTION(SLP_RETURN);
}

/* --- steps in C (slp_continue.h) --- */

INSTRUCTION(SLP_GO_ON)
{
    _PyInterpreterFrame *top;
    slp_stack stack = {frame->localsplus, (int)(sp - frame->localsplus), (int)(next - CODE_START())};
    PyObject *answer = slp_continuations[oparg](tstate, frame, &stack, &top);
    sp = stack.values + stack.count;
    if (answer == SLP_ENTER) {
        next = CODE_START() + stack.entry;
        RUN_FRAMES(top);
    }
    if (answer == NULL) {
        ERROR();
    }
    *sp++ = answer;
    GOTO_INSTRUCTION(SLP_RETURN);
}

INSTRUCTION(SLP_SWITCH)
{
    assert(slp_thread_peek(tstate)->next != NULL);
    goto switch_tasklet;
}

/* --- tasklets --- */

INSTRUCTION(SLP_TASKLET_ENDED)
{
    PyObject *result = *--sp;
    STORE_FRAME();
    frame = slp_switch_from_ended(tstate, slp_thread_peek(tstate), result);
    goto resume_tasklet;
}

INSTRUCTION(SLP_TASKLET_FAILED)
{
    raise_again(tstate, *--sp);
    STORE_FRAME();
    frame = slp_switch_from_ended(tstate, slp_thread_peek(tstate), NULL);
    goto resume_tasklet;
}

#undef DROP_ALL
#undef LEAVE_SHIM
