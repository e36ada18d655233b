/* Instructions that only shims contain (slp_shims.h). */

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
    _PyInterpreterFrame *caller = frame->previous;
    cframe.current_frame = caller;
    DECREF(frame->f_code);
    slp_frame_free(tstate, frame);
    GO_BACK_TO(caller);
    *sp++ = instance;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}

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
