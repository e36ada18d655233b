/* Instructions of the shims that drive generators (Python/soft_generators.c) and of those that wrap calls. */

/* --- shims of any kind --- */

/* Pop this frame, with what is left on its stack, and go on in the one below. */
#define POP_SHIM()                                                                                 \
    do {                                                                                           \
        STORE_STACK();                                                                             \
        _PyInterpreterFrame *below_ = frame->previous;                                             \
        cframe.current_frame = below_;                                                             \
        slp_frame_clear_and_pop(tstate, frame);                                                    \
        GO_BACK_TO(below_);                                                                        \
    } while (0)

INSTRUCTION(SLP_GIVE)
{
    PyObject *value = *--sp;
    POP_SHIM();
    *sp++ = value;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_GIVE_NONE)
{
    POP_SHIM();
    *sp++ = Py_NewRef(Py_None);
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

/* --- generators (soft_generators.c) --- */

/* A place to wait, not an instruction to run: the frame above was linked before the shim began.  Alone it
 * guards the frame of a generator that is not completely unpickled (Stackless/pickling/generator.c). */
INSTRUCTION(SLP_STEP)
{
    _PyErr_SetString(tstate, PyExc_SystemError, "a frame that is not there yet cannot be run");
    ERROR();
}

INSTRUCTION(SLP_STOP)
{
    (void)_PyGen_SetStopIterationValue(sp[-1]);
    ERROR();
}

INSTRUCTION(SLP_YIELD_ON)
{
    if (oparg && !slp_is_parked((PyGenObject *)sp[-2])) {
        goto not_parked;
    }
    PyObject *value = *--sp;
    if (oparg) {
        ((PyGenObject *)sp[-1])->gi_frame_state = FRAME_SUSPENDED;
    }
    STORE_STACK();
    _PyInterpreterFrame *caller = frame->previous;
    slp_frame_clear_and_pop(tstate, frame);
    if (SLP_UNLIKELY(cframe.use_tracing)) {
        caller = slp_yield_through(tstate, &tstate->exc_info, caller);
    }
    cframe.current_frame = caller;
    GO_BACK_TO(caller);
    *sp++ = value;
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_FINISH)
{
    returned_value = *--sp;
    STORE_STACK();
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    slp_frame_clear_and_pop(tstate, frame);
    frame = caller;
    LOAD_FRAME();
    goto generator_returned;
}

/* What the generator delegates to has raised: the generator goes on, above the caller. */
INSTRUCTION(SLP_FINISHED)
{
    PyGenObject *gen = (PyGenObject *)sp[-2];
    if (!slp_is_delegating(gen)) {
        goto not_parked;
    }
    raise_again(tstate, *--sp);
    PyObject *value = NULL;
    (void)_PyGen_FetchStopIterationValue(&value);
    STORE_STACK();
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    slp_frame_clear_and_pop(tstate, frame);   /* the generator is on the stack of who resumes it, too */
    frame = cframe.current_frame = slp_link_waiting(tstate, gen, caller);
    LOAD_FRAME();
    if (value == NULL) {
        goto delegate_raised;
    }
    returned_value = value;
    goto generator_returned;
}

not_parked:
    /* Only an image can make that. */
    _PyErr_Clear(tstate);
    _PyErr_SetString(tstate, PyExc_SystemError, "the generator of a shim is running");
    ERROR();

INSTRUCTION(SLP_CLOSE_INNER)
{
    PyGenObject *gen = (PyGenObject *)sp[-1];
    PyObject *delegate = _PyGen_yf(gen);
    PyObject *close = NULL;
    if (delegate != NULL) {
        gen->gi_frame_state = FRAME_EXECUTING;
        if (_PyObject_LookupAttr(delegate, &_Py_ID(close), &close) < 0) {
            PyErr_WriteUnraisable(delegate);
        }
        DECREF(delegate);
    }
    if (close == NULL) {
        next += oparg;
    }
    else {
        *sp++ = NULL;
        *sp++ = close;
    }
    NEXT_AFTER_CALL();
}

/* Resume the generator on top of the stack with the exception that is set. */
#define RESUME_RAISING()                                                                           \
    do {                                                                                           \
        PyGenObject *gen_ = (PyGenObject *)sp[-1];                                                 \
        if (!slp_is_parked(gen_)) {                                                                \
            goto not_parked;                                                                       \
        }                                                                                          \
        gen_->gi_frame_state = FRAME_SUSPENDED;                                                    \
        *(intptr_t *)sp = oparg;                                                                   \
        STORE_FRAME();                                                                             \
        frame = cframe.current_frame = slp_throw_into(tstate, gen_, frame);                        \
        goto enter_raising;                                                                        \
    } while (0)

INSTRUCTION(SLP_CLOSE)
{
    _PyErr_SetNone(tstate, PyExc_GeneratorExit);
    RESUME_RAISING();
}

INSTRUCTION(SLP_THROW)
{
    PyObject *args = sp[-2];
    PyGenObject *gen = (PyGenObject *)sp[-1];
    if (!slp_is_parked(gen)) {
        goto not_parked;
    }
    gen->gi_frame_state = FRAME_SUSPENDED;
    (void)slp_set_thrown(tstate, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args));
    if (!slp_takes_thrown(tstate, gen)) {
        ERROR();
    }
    RESUME_RAISING();
}

INSTRUCTION(SLP_CLOSE_FAILED)
{
    raise_again(tstate, *--sp);
    RESUME_RAISING();
}
#undef RESUME_RAISING

INSTRUCTION(SLP_CLOSE_YIELDED)
{
    _PyErr_Format(tstate, PyExc_RuntimeError, "%s ignored GeneratorExit", slp_generator_kind(sp[-2]));
    ERROR();
}

INSTRUCTION(SLP_CLOSE_RAISED)
{
    PyObject *exc = *--sp;
    if (!PyErr_GivenExceptionMatches(exc, PyExc_GeneratorExit)
        && !PyErr_GivenExceptionMatches(exc, PyExc_StopIteration)) {
        raise_again(tstate, exc);
        goto unwind;
    }
    DECREF(exc);
    NEXT_AFTER_CALL();
}

/* --- asynchronous generators (soft_asyncgen.c) --- */

/* The generator yields to who awaits it: the awaitable's result.  Else it waits for something itself, and the
 * value is for the event loop. */
INSTRUCTION(SLP_ASYNC_YIELDED)
{
    PyObject *result = slp_async_yielded(tstate, sp[-3], sp[-1], (int)oparg);
    if (result == sp[-1]) {
        GOTO_INSTRUCTION(SLP_YIELD_ON);
    }
    DROP(1);
    if (result == NULL) {
        POP_SHIM();
        goto delegate_raised;
    }
    *sp++ = result;
    GOTO_INSTRUCTION(SLP_FINISH);
}

INSTRUCTION(SLP_ASYNC_ENDED)
{
    DROP(1);
    _PyErr_SetNone(tstate, PyExc_StopAsyncIteration);
    goto async_raised;
}

INSTRUCTION(SLP_ASYNC_RAISED)
{
    raise_again(tstate, *--sp);
async_raised:
    if (slp_async_raised(tstate, sp[-1], (int)oparg)) {
        *sp++ = Py_NewRef(Py_None);
        GOTO_INSTRUCTION(SLP_FINISH);
    }
    POP_SHIM();
    goto delegate_raised;
}

INSTRUCTION(SLP_ANEXT_RAISED)
{
    if (PyErr_GivenExceptionMatches(sp[-1], PyExc_StopAsyncIteration)) {
        DROP(1);
        GOTO_INSTRUCTION(SLP_FINISH);
    }
    raise_again(tstate, *--sp);
    POP_SHIM();
    goto delegate_raised;
}

/* --- asyncio's tasks (soft_asyncio.c) --- */

INSTRUCTION(SLP_TASK_STEPPED)
{
    PyObject *value = *--sp;
    PyObject *result = slp_task_stepped(tstate, frame->localsplus, (slp_task_outcome)oparg, value);
    if (result == NULL) {
        ERROR();
    }
    POP_SHIM();
    *sp++ = result;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

/* --- Context.run() (soft_context.c) --- */

INSTRUCTION(SLP_RUN_DONE)
{
    if (PyContext_Exit(sp[-2]) < 0) {
        ERROR();
    }
    PyObject *result = *--sp;
    POP_SHIM();
    *sp++ = result;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

INSTRUCTION(SLP_RUN_FAILED)
{
    raise_again(tstate, *--sp);
    (void)PyContext_Exit(sp[-1]);   /* its own exception takes the place of the other */
    goto unwind;
}

/* --- functools.lru_cache (soft_cache.c) --- */

INSTRUCTION(SLP_CACHE_RESULT)
{
    PyObject *result = slp_cache_result(tstate, sp[-4], sp[-3], sp[-2], sp[-1]);
    if (result == NULL) {
        ERROR();
    }
    POP_SHIM();
    *sp++ = result;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

/* --- iterators (iterators.c) --- */

INSTRUCTION(SLP_ADVANCE)
{
    _PyInterpreterFrame *top;
    const slp_event event = (slp_event)(oparg & 3);
    PyObject *value = event == SLP_EVENT_START ? NULL : *--sp;
    while (sp > frame->localsplus + 3) {
        DROP(1);
    }
    _PyInterpreterFrame *caller = frame->previous;
    bool gone;
    PyObject *answer =
        slp_iterator_advance(tstate, frame, event, (oparg & SLP_ADVANCE_GUARDED) != 0, value, &top, &gone);
    if (gone) {
        cframe.current_frame = caller;
        GO_BACK_TO(caller);
        if (answer == SLP_ENTER) {
            RUN_FRAMES(top);
        }
        if (answer == NULL) {
            goto callee_raised;
        }
        *sp++ = answer;
        CHECK_BREAKER();
        NEXT_AFTER_CALL();
    }
    if (answer == SLP_ENTER) {
        LOAD_FRAME();
        RUN_FRAMES(top);
    }
    if (answer == NULL) {
        if (_PyErr_Occurred(tstate)) {
            ERROR();
        }
        STORE_STACK();
        cframe.current_frame = caller;
        slp_frame_clear_and_pop(tstate, frame);
        frame = caller;
        LOAD_FRAME();
        returned_value = Py_NewRef(Py_None);
        goto generator_returned;
    }
    POP_SHIM();
    *sp++ = answer;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}
#undef POP_SHIM
