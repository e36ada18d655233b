/* Instructions: iteration, generators, coroutines.
 *
 * FOR_ITER and SEND resume generators and coroutines in this activation: their frame is linked on
 * top of the running one, and comes back through YIELD_VALUE (push the value, go on) or through
 * RETURN_VALUE (`generator_returned` below: end of the loop, end of the delegation).
 */

INSTRUCTION(GET_ITER)
{
    PyObject *iterable = sp[-1];
    if (slp_has_heap_type(iterable) && !HOOKED()) {
        ENTER_SOFT(slp_soft_iter(tstate, frame, iterable, &top), 1);
    }
    PyObject *iterator = PyObject_GetIter(iterable);
    if (iterator == NULL) {
        ERROR();
    }
    sp[-1] = iterator;
    DECREF(iterable);
    NEXT_AFTER_CALL();
}

INSTRUCTION(GET_YIELD_FROM_ITER)
{
    PyObject *iterator = slp_get_yield_from_iter(tstate, *--sp, frame->f_code);
    if (iterator == NULL) {
        ERROR();
    }
    *sp++ = iterator;
    NEXT_AFTER_CALL();
}

INSTRUCTION(FOR_ITER)
{
    PyObject *iterator = sp[-1];
    PyTypeObject *type = Py_TYPE(iterator);

    if (type == &PyListIter_Type) {
        slp_sequence_iterator *it = (slp_sequence_iterator *)iterator;
        PyObject *list = it->it_seq;
        if (list != NULL) {
            if (it->it_index < PyList_GET_SIZE(list)) {
                PyObject *item = PyList_GET_ITEM(list, it->it_index);
                it->it_index++;
                *sp++ = Py_NewRef(item);
                NEXT();
            }
            it->it_seq = NULL;
            DECREF(list);
        }
        goto iterator_exhausted;
    }
    if (type == &PyRangeIter_Type) {
        slp_range_iterator *it = (slp_range_iterator *)iterator;
        if (it->index >= it->len) {
            goto iterator_exhausted;
        }
        long value = (long)((unsigned long)it->start + (unsigned long)it->index * (unsigned long)it->step);
        if (is_store_fast(*next) && !(cframe.use_tracing & ~SLP_COARSE)) {
            PyObject *old = LOCAL(_Py_OPARG(*next));
            if (old != NULL && Py_REFCNT(old) == 1 && PyLong_CheckExact(old) && slp_is_one_digit(old)
                && slp_fits_private_digit(value)) {
                slp_overwrite_int(old, value);
                it->index++;
                next++;
                NEXT();
            }
        }
        PyObject *item = slp_new_int(value);
        if (item == NULL) {
            ERROR();
        }
        it->index++;
        *sp++ = item;
        NEXT();
    }
    if (type == &PyGen_Type && resumable((PyGenObject *)iterator) && !HOOKED()) {
        *(intptr_t *)sp = oparg;
        STORE_FRAME();
        ENTER(slp_resume_generator(tstate, (PyGenObject *)iterator, frame, Py_NewRef(Py_None)));
    }
    if (SLP_UNLIKELY(type->tp_iternext == slp_python_slots.type.tp_iternext) && !HOOKED()) {
        /* The value lands on the stack.  An exception ends at `callee_raised`. */
        PyFunctionObject *func = slp_python_method(type, &_Py_ID(__next__));
        if (func != NULL) {
            *(intptr_t *)sp = oparg;
            Py_INCREF(func);
            PyObject *self = Py_NewRef(iterator);
            ENTER_FUNCTION(func, &self, 1, NULL, 0);
        }
    }
    PyObject *item;
    if (slp_is_soft_iterator(type) && !HOOKED()) {
        _PyInterpreterFrame *top;
        *(intptr_t *)sp = oparg;
        slp_soft_iterator *soft = (slp_soft_iterator *)type->tp_as_async;
        item = soft->in_python(iterator, 0) ? slp_soft_next(tstate, frame, iterator, &top) : SLP_NOT_SOFT;
        if (item == SLP_ENTER) {
            RUN_FRAMES(top);
        }
        if (item == SLP_NOT_SOFT) {
            item = type->tp_iternext(iterator);
        }
    }
    else if (SLP_UNLIKELY(type->tp_iternext == slp_channel_iternext)) {
        slp_thread *thread = slp_thread_get(tstate);
        if (thread == NULL) {
            ERROR();
        }
        thread->soft_offered = true;
        item = slp_channel_iternext(iterator);
        if (item == SLP_UNWIND) {
            *(intptr_t *)sp = oparg;
            goto switch_tasklet;
        }
    }
    else if (SLP_UNLIKELY(type->tp_iternext == NULL)) {
        /* Code of a comprehension was called by hand, with something else. */
        _PyErr_Format(tstate, PyExc_TypeError, "'%.200s' object is not an iterator", type->tp_name);
        ERROR();
    }
    else {
        item = type->tp_iternext(iterator);
    }
    if (item != NULL) {
        *sp++ = item;
        NEXT_AFTER_CALL();
    }
    if (_PyErr_Occurred(tstate)) {
        if (!_PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
            ERROR();
        }
        if (tstate->c_tracefunc != NULL && !slp_is_shim(frame)) {
            STORE_STACK();
            slp_trace_exception(tstate, frame);
            UNSTORE_STACK();
        }
        _PyErr_Clear(tstate);
    }
iterator_exhausted:
    sp--;
    DECREF(iterator);
    next += oparg;
    NEXT_AFTER_CALL();
}

/* Stack: receiver, value to send.  On a yield: receiver, yielded value; when the receiver is done:
 * its result, and a jump. */
INSTRUCTION(SEND)
{
    PyObject *sent = *--sp;
    PyObject *receiver = sp[-1];
    if ((Py_IS_TYPE(receiver, &PyGen_Type) || Py_IS_TYPE(receiver, &PyCoro_Type))
        && resumable((PyGenObject *)receiver) && !HOOKED()
        && (sent == Py_None || ((PyGenObject *)receiver)->gi_frame_state != FRAME_CREATED)) {
        *(intptr_t *)sp = oparg;
        STORE_FRAME();
        ENTER(slp_resume_generator(tstate, (PyGenObject *)receiver, frame, sent));
    }

    if (sent == Py_None && Py_TYPE(receiver)->tp_iternext == slp_python_slots.type.tp_iternext && !HOOKED()) {
        /* As in FOR_ITER. */
        PyFunctionObject *func = slp_python_method(Py_TYPE(receiver), &_Py_ID(__next__));
        if (func != NULL) {
            *(intptr_t *)sp = oparg;
            Py_DECREF(sent);
            Py_INCREF(func);
            PyObject *self = Py_NewRef(receiver);
            ENTER_FUNCTION(func, &self, 1, NULL, 0);
        }
    }

    if (slp_has_soft_send(receiver) && !HOOKED()) {
        _PyInterpreterFrame *top;
        *(intptr_t *)sp = oparg;
        PyObject *answer = slp_soft_send(tstate, frame, receiver, sent, &top);
        if (answer != SLP_NOT_SOFT) {
            DECREF(sent);
            if (answer == NULL) {
                ERROR();
            }
            RUN_FRAMES(top);
        }
    }

    PyObject *result;
    PySendResult status;
    if (sent == Py_None && slp_is_soft_iterator(Py_TYPE(receiver)) && !HOOKED()) {
        _PyInterpreterFrame *top;
        *(intptr_t *)sp = oparg;
        result = SLP_NOT_SOFT;
        if (slp_iterates_in_python(receiver)) {
            result = slp_soft_next(tstate, frame, receiver, &top);
        }
        if (result == SLP_ENTER) {
            Py_DECREF(sent);
            RUN_FRAMES(top);
        }
        if (result == SLP_NOT_SOFT) {
            result = Py_TYPE(receiver)->tp_iternext(receiver);
        }
        if (result == NULL && tstate->c_tracefunc != NULL
            && _PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
            slp_trace_exception(tstate, frame);
        }
        status = result != NULL                                   ? PYGEN_NEXT
                 : _PyGen_FetchStopIterationValue(&result) == 0 ? PYGEN_RETURN
                                                                : PYGEN_ERROR;
    }
    else if (tstate->c_tracefunc == NULL) {
        status = PyIter_Send(receiver, sent, &result);
    }
    else {
        /* The trace function sees the StopIteration that ends the delegation. */
        if (sent == Py_None && PyIter_Check(receiver)) {
            result = Py_TYPE(receiver)->tp_iternext(receiver);
        }
        else {
            result = PyObject_CallMethodOneArg(receiver, &_Py_ID(send), sent);
        }
        status = PYGEN_NEXT;
        if (result == NULL) {
            if (_PyErr_ExceptionMatches(tstate, PyExc_StopIteration)) {
                slp_trace_exception(tstate, frame);
            }
            status = _PyGen_FetchStopIterationValue(&result) == 0 ? PYGEN_RETURN : PYGEN_ERROR;
        }
    }
    DECREF(sent);
    if (status == PYGEN_ERROR) {
        ERROR();
    }
    if (status == PYGEN_RETURN) {
        sp[-1] = result;
        DECREF(receiver);
        next += oparg;
    }
    else {
        *sp++ = result;
    }
    NEXT_AFTER_CALL();
}

/* The generator that FOR_ITER or SEND of this frame resumed has returned `value`; the registers are
 * this frame's again. */
generator_returned:
{
    PyObject *value = returned_value;
    assert(*(intptr_t *)sp >= 0);
    const int distance = (int)*(intptr_t *)sp & ~SLP_WAITS_FOR_THROW;
    /* Generators and coroutine.__await__() say without a StopIteration that they return None, and so do
     * builtin iterators at their end. */
    if (SLP_UNLIKELY(tstate->c_tracefunc != NULL) && !(*(intptr_t *)sp & SLP_WAITS_FOR_THROW)
        && !slp_is_shim(frame)
        && (value != Py_None
            || !(Py_IS_TYPE(sp[-1], &PyGen_Type) || Py_IS_TYPE(sp[-1], &_PyCoroWrapper_Type)
                 || slp_is_soft_iterator(Py_TYPE(sp[-1]))))) {
        STORE_STACK();
        if (slp_trace_stop_iteration(tstate, frame, value) < 0) {
            /* A loop passes over what the tracer raises at its end, whatever it iterates. */
            if (_Py_OPCODE(next[-1]) != FOR_ITER) {
                DECREF(value);
                goto resumed_raising;
            }
            _PyErr_Clear(tstate);
        }
    }
    UNSTORE_STACK();
    PyObject *generator = sp[-1];
    if (_Py_OPCODE(next[-1]) == FOR_ITER) {
        sp--;
        DECREF(value);
    }
    else {
        sp[-1] = value;   /* SEND, or what does the same in a shim */
    }
    DECREF(generator);
    next += distance;
    NEXT_AFTER_CALL();
}

INSTRUCTION(YIELD_VALUE)
{
    PyObject *value = *--sp;
    assert(frame->owner == FRAME_OWNED_BY_GENERATOR);
    PyGenObject *gen = generator_of(frame);
    gen->gi_frame_state = FRAME_SUSPENDED;
    STORE_STACK();
    if (TRACED()) {
        if (slp_trace_return(tstate, frame, value) < 0) {
            DECREF(value);
            goto leave_raising;
        }
        if (!frame->is_entry) {
            frame->previous = slp_yield_through(tstate, &gen->gi_exc_state.previous_item, frame->previous);
        }
    }
    tstate->recursion_remaining++;
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    if (frame->is_entry) {
        tstate->cframe = cframe.previous;
        tstate->cframe->use_tracing = cframe.use_tracing;
        return value;
    }
    tstate->exc_info = gen->gi_exc_state.previous_item;
    gen->gi_exc_state.previous_item = NULL;
    frame->previous = NULL;
    GO_BACK_TO(caller);
    *sp++ = value;
    NEXT_AFTER_CALL();
}

/* The body has not begun: the frame moves into a new generator, which is the call's result. */
INSTRUCTION(RETURN_GENERATOR)
{
    STORE_STACK();
    PyObject *gen = slp_generator_from_frame(tstate, frame);
    if (gen == NULL) {
        ERROR();
    }
    tstate->recursion_remaining++;
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    if (frame->is_entry) {
        /* Who pushed this frame will clear and pop it. */
        frame->stacktop = 0;
        frame->f_locals = NULL;
        Py_INCREF(frame->f_func);
        Py_INCREF(frame->f_code);
        tstate->cframe = cframe.previous;
        tstate->cframe->use_tracing = cframe.use_tracing;
        return gen;
    }
    slp_frame_free(tstate, frame);
    GO_BACK_TO(caller);
    *sp++ = gen;
    NEXT_AFTER_CALL();
}

/* --- coroutines and asynchronous iteration --- */

INSTRUCTION(GET_AWAITABLE)
{
    PyObject *iterable = sp[-1];
    if (slp_has_heap_type(iterable) && !HOOKED()) {
        ENTER_SOFT(slp_soft_awaitable(tstate, frame, iterable, &top), 1);
    }
    PyObject *awaitable = slp_get_awaitable(tstate, iterable, oparg);
    if (awaitable == NULL) {
        ERROR();
    }
    sp[-1] = awaitable;
    DECREF(iterable);
    NEXT_AFTER_CALL();
}

INSTRUCTION(GET_AITER)
{
    if (slp_has_heap_type(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_aiter(tstate, frame, sp[-1], &top), 1);
    }
    PyObject *iterator = slp_get_aiter(tstate, sp[-1]);
    if (iterator == NULL) {
        ERROR();
    }
    REPLACE_TOP(iterator);
    NEXT_AFTER_CALL();
}

INSTRUCTION(GET_ANEXT)
{
    if (slp_has_heap_type(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_anext(tstate, frame, sp[-1], &top), 0);
    }
    PyObject *awaitable = slp_get_anext(tstate, sp[-1]);
    if (awaitable == NULL) {
        ERROR();
    }
    *sp++ = awaitable;
    NEXT_AFTER_CALL();
}

INSTRUCTION(ASYNC_GEN_WRAP)
{
    PyObject *wrapped = _PyAsyncGenValueWrapperNew(sp[-1]);
    if (wrapped == NULL) {
        ERROR();
    }
    REPLACE_TOP(wrapped);
    NEXT();
}

/* Stack: asynchronous iterator, exception from its __anext__. */
INSTRUCTION(END_ASYNC_FOR)
{
    PyObject *exc = *--sp;
    if (PyErr_GivenExceptionMatches(exc, PyExc_StopAsyncIteration)) {
        DECREF(exc);
        sp--;
        DECREF(*sp);
        NEXT_AFTER_CALL();
    }
    raise_again(tstate, exc);
    goto unwind;
}
