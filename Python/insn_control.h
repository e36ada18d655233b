/* Instructions: jumps, entry, return. */

/* --- entry --- */

INSTRUCTION(RESUME)
{
    if (SLP_UNLIKELY(!slp_soft_ready)) {
        slp_soft_init();   /* the first Python code of the process, which is not warm yet */
    }
    _PyCode_Warmup(frame->f_code);
    GOTO_INSTRUCTION(RESUME_QUICK);
}

INSTRUCTION(RESUME_QUICK)
{
    if (oparg < 2) {
        CHECK_BREAKER();
    }
    NEXT_AFTER_CALL();
}

/* --- wide arguments --- */

/* The code is not specialised yet, or is being traced: run the generic form. */
LEAF(EXTENDED_ARG)
{
    assert(oparg);
    oparg = oparg << 8 | _Py_OPARG(*next);
    opcode = _PyOpcode_Deopt[_Py_OPCODE(*next)];
    next++;
    RUN_UNTRACED(opcode);
}

LEAF(EXTENDED_ARG_QUICK)
{
    assert(oparg);
    oparg = oparg << 8 | _Py_OPARG(*next);
    opcode = _Py_OPCODE(*next);
    next++;
    RUN_UNTRACED(opcode);
}

/* --- jumps --- */

LEAF(JUMP_FORWARD)
{
    next += oparg;
    NEXT();
}

LEAF(JUMP_BACKWARD)
{
    _PyCode_Warmup(frame->f_code);
    GOTO_INSTRUCTION(JUMP_BACKWARD_QUICK);
}

LEAF(JUMP_BACKWARD_QUICK)
{
    assert(oparg <= next - CODE_START());
    if (BREAKER_SET()) {
        frame->prev_instr = next - 1;
        if (slp_handle_breaker(tstate) < 0) {
            ERROR();
        }
        next -= oparg;
        NEXT_AFTER_CALL();
    }
    next -= oparg;
    NEXT();
}

LEAF(JUMP_BACKWARD_NO_INTERRUPT)
{
    next -= oparg;
    NEXT();
}

/* Where the truth of `condition`, which is no longer on the stack, is up to a Python function: enter it above
 * a shim that does the jump. */
#define TEST_IN_PYTHON(condition, how, distance)                                                   \
    do {                                                                                           \
        if (slp_has_heap_type(condition) && !HOOKED()) {                                           \
            _PyInterpreterFrame *top_;                                                             \
            PyObject *answer_ =                                                                    \
                slp_soft_jump(tstate, frame, (condition), (how), (distance), &top_);               \
            if (answer_ == SLP_ENTER) {                                                            \
                RUN_FRAMES(top_);                                                                  \
            }                                                                                      \
            if (answer_ == NULL) {                                                                 \
                ERROR();                                                                           \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* A conditional jump on the popped value, `when` it is true (1) or false (0); `jump` is the step. */
#define POP_JUMP(when, step, distance)          \
    {                                                                                              \
        PyObject *condition = *--sp;                                                               \
        if (condition == ((when) ? Py_False : Py_True)) {                                          \
            DECREF(condition);                                                                  \
            NEXT();                                                                                \
        }                                                                                          \
        if (condition == ((when) ? Py_True : Py_False)) {                                          \
            DECREF(condition);                                                                  \
            step;                                                                                  \
            NEXT();                                                                                \
        }                                                                                          \
        frame->prev_instr = next - 1;                                                              \
        TEST_IN_PYTHON(condition, (when) ? SLP_JUMP_IF_TRUE : 0, (distance));                      \
        int is_true = truth(condition);                                                            \
        DECREF(condition);                                                                         \
        if (is_true < 0) {                                                                         \
            ERROR();                                                                               \
        }                                                                                          \
        if (is_true == (when)) {                                                                   \
            step;                                                                                  \
        }                                                                                          \
        NEXT_AFTER_CALL();                                                                         \
    }

#define JUMP_AHEAD (next += oparg)
#define JUMP_BACK                                                                                  \
    CHECK_BREAKER();                                                                               \
    next -= oparg

LEAF(POP_JUMP_FORWARD_IF_TRUE) POP_JUMP(1, JUMP_AHEAD, oparg)
LEAF(POP_JUMP_FORWARD_IF_FALSE) POP_JUMP(0, JUMP_AHEAD, oparg)
LEAF(POP_JUMP_BACKWARD_IF_TRUE) POP_JUMP(1, JUMP_BACK, -oparg)
LEAF(POP_JUMP_BACKWARD_IF_FALSE) POP_JUMP(0, JUMP_BACK, -oparg)
#undef POP_JUMP

#define POP_JUMP_NONE(test, step)          \
    {                                                                                              \
        PyObject *value = *--sp;                                                                   \
        bool jump = value test Py_None;                                                            \
        DECREF(value);                                                                          \
        if (jump) {                                                                                \
            step;                                                                                  \
        }                                                                                          \
        NEXT();                                                                                    \
    }

LEAF(POP_JUMP_FORWARD_IF_NONE) POP_JUMP_NONE(==, JUMP_AHEAD)
LEAF(POP_JUMP_FORWARD_IF_NOT_NONE) POP_JUMP_NONE(!=, JUMP_AHEAD)
LEAF(POP_JUMP_BACKWARD_IF_NONE) POP_JUMP_NONE(==, JUMP_BACK)
LEAF(POP_JUMP_BACKWARD_IF_NOT_NONE) POP_JUMP_NONE(!=, JUMP_BACK)
#undef POP_JUMP_NONE
#undef JUMP_BACK
#undef JUMP_AHEAD

/* `and`, `or`: keep the value and jump, or drop it. */
#define JUMP_OR_POP(when)          \
    {                                                                                              \
        PyObject *condition = sp[-1];                                                              \
        if (slp_has_heap_type(condition)) {                                                        \
            sp--;                                                                                  \
            TEST_IN_PYTHON(condition, ((when) ? SLP_JUMP_IF_TRUE : 0) | SLP_JUMP_KEEPS, oparg);    \
            sp++;                                                                                  \
        }                                                                                          \
        int is_true = condition == Py_True ? 1 : condition == Py_False ? 0 : truth(condition);     \
        if (is_true < 0) {                                                                         \
            ERROR();                                                                               \
        }                                                                                          \
        if (is_true == (when)) {                                                                   \
            next += oparg;                                                                         \
        }                                                                                          \
        else {                                                                                     \
            sp--;                                                                                  \
            DECREF(condition);                                                                  \
        }                                                                                          \
        NEXT_AFTER_CALL();                                                                         \
    }

INSTRUCTION(JUMP_IF_TRUE_OR_POP) JUMP_OR_POP(1)
INSTRUCTION(JUMP_IF_FALSE_OR_POP) JUMP_OR_POP(0)
#undef JUMP_OR_POP

/* --- return --- */

INSTRUCTION(RETURN_VALUE)
{
    PyObject *value = *--sp;
    assert(sp == STACK_BASE());
    STORE_STACK();
    if (TRACED() && slp_trace_return(tstate, frame, value) < 0) {
        DECREF(value);
        goto leave_raising;
    }
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    if (SLP_LIKELY(!frame->is_entry && frame->owner == FRAME_OWNED_BY_THREAD)) {
        slp_frame_clear_and_pop(tstate, frame);
        tstate->recursion_remaining++;
        GO_BACK_TO(caller);
        *sp++ = value;
        NEXT_AFTER_CALL();
    }
    tstate->recursion_remaining++;
    if (frame->is_entry) {
        tstate->cframe = cframe.previous;
        tstate->cframe->use_tracing = cframe.use_tracing;
        return value;
    }
    slp_generator_finished(tstate, frame, false);
    frame = caller;
    LOAD_FRAME();
    returned_value = value;
    goto generator_returned;
}
