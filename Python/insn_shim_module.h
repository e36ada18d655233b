/* Instructions of the shims of the module _stackless (Stackless/module/soft_module.c). */

/* Pop this shim, which has nothing left on its stack, and go on in the frame below with `value`. */
#define RETURN_FROM_SHIM(value)                                                                    \
    do {                                                                                           \
        _PyInterpreterFrame *below_ = frame->previous;                                             \
        cframe.current_frame = below_;                                                             \
        Py_DECREF(frame->f_code);                                                                  \
        slp_frame_free(tstate, frame);                                                             \
        GO_BACK_TO(below_);                                                                        \
        *sp++ = (value);                                                                           \
        CHECK_BREAKER();                                                                           \
        NEXT_AFTER_CALL();                                                                         \
    } while (0)

/* Stack: what the context was before, or None; the result. */
INSTRUCTION(SLP_CONTEXT_DONE)
{
    PyObject *result = *--sp;
    slp_context_restore(tstate, *--sp);
    RETURN_FROM_SHIM(result);
}

/* Stack: the same; the exception. */
INSTRUCTION(SLP_CONTEXT_FAILED)
{
    PyObject *exc = *--sp;
    slp_context_restore(tstate, *--sp);
    raise_again(tstate, exc);
    goto unwind;
}

/* Stack: count, channel.send, iterator, item.  Prepare the call of send(item). */
INSTRUCTION(SLP_SEQUENCE_ITEM)
{
    sp[1] = sp[-1];
    sp[0] = Py_NewRef(sp[-3]);
    sp[-1] = NULL;
    sp += 2;
    NEXT();
}

/* Stack: count, channel.send, iterator, what send() returned. */
INSTRUCTION(SLP_SEQUENCE_SENT)
{
    DROP(1);
    Py_ssize_t count = PyLong_AsSsize_t(sp[-3]);
    PyObject *more = PyLong_FromSsize_t(count + 1);
    if (more == NULL) {
        ERROR();
    }
    Py_SETREF(sp[-3], more);
    NEXT_AFTER_CALL();
}

/* Stack: count, channel.send. */
INSTRUCTION(SLP_SEQUENCE_DONE)
{
    DROP(1);
    PyObject *count = *--sp;
    RETURN_FROM_SHIM(count);
}

#undef RETURN_FROM_SHIM
