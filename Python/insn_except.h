/* Instructions: raising and handling exceptions, `with`. */

INSTRUCTION(RAISE_VARARGS)
{
    if (oparg >= 1 && PyType_Check(sp[-oparg]) && !HOOKED()) {
        _PyInterpreterFrame *top;
        PyObject *answer = slp_soft_raise(tstate, frame, sp[-oparg], oparg == 2 ? sp[-1] : NULL, &top);
        if (answer == SLP_ENTER) {
            DROP(oparg);
            RUN_FRAMES(top);
        }
        if (answer == NULL) {
            ERROR();
        }
    }
    PyObject *cause = oparg == 2 ? *--sp : NULL;
    PyObject *exc = oparg >= 1 ? *--sp : NULL;
    if (slp_do_raise(tstate, exc, cause)) {
        goto unwind;
    }
    ERROR();
}

/* With oparg, the position of the original raise lies `oparg` below the exception. */
INSTRUCTION(RERAISE)
{
    if (oparg) {
        PyObject *lasti = sp[-(oparg + 1)];
        if (PyLong_Check(lasti)) {
            frame->prev_instr = CODE_START() + PyLong_AsLong(lasti);
            assert(!_PyErr_Occurred(tstate));
        }
        else {
            _PyErr_SetString(tstate, PyExc_SystemError, "lasti is not an int");
            ERROR();
        }
    }
    PyObject *exc = *--sp;
    assert(PyExceptionInstance_Check(exc));
    raise_again(tstate, exc);
    goto unwind;
}

LEAF(PUSH_EXC_INFO)
{
    PyObject *exc = sp[-1];
    _PyErr_StackItem *handled = tstate->exc_info;
    sp[-1] = handled->exc_value != NULL ? handled->exc_value : Py_NewRef(Py_None);
    *sp++ = Py_NewRef(exc);
    handled->exc_value = exc;
    NEXT();
}

INSTRUCTION(POP_EXCEPT)
{
    _PyErr_StackItem *handled = tstate->exc_info;
    PyObject *done = handled->exc_value;
    handled->exc_value = *--sp;
    XDECREF(done);
    NEXT_AFTER_CALL();
}

INSTRUCTION(CHECK_EXC_MATCH)
{
    PyObject *type = sp[-1];
    PyObject *exc = sp[-2];
    int matches;
    if ((PyObject *)Py_TYPE(exc) == type) {
        matches = 1;
    }
    else {
        if (slp_check_except_type(tstate, type) < 0) {
            ERROR();
        }
        matches = PyErr_GivenExceptionMatches(exc, type);
    }
    sp[-1] = Py_NewRef(matches ? Py_True : Py_False);
    DECREF(type);
    NEXT_AFTER_CALL();
}

/* Stack: exception, type.  Afterwards: rest, match; or the exception and None. */
INSTRUCTION(CHECK_EG_MATCH)
{
    PyObject *type = sp[-1];
    PyObject *exc = sp[-2];
    PyObject *match = NULL;
    PyObject *rest = NULL;
    if (slp_check_except_star_type(tstate, type) < 0
        || slp_exception_group_match(exc, type, &match, &rest) < 0) {
        ERROR();
    }
    sp[-1] = match;
    DECREF(type);
    if (match == Py_None) {
        XDECREF(rest);
    }
    else {
        sp[-2] = rest;
        PyErr_SetHandledException(match);
        DECREF(exc);
    }
    NEXT_AFTER_CALL();
}

/* Stack: original group, list of what the except* clauses raised. */
INSTRUCTION(PREP_RERAISE_STAR)
{
    PyObject *excs = sp[-1];
    PyObject *original = sp[-2];
    assert(PyList_Check(excs));
    PyObject *group = slp_reraise_star(tstate, original, excs);
    if (group == NULL) {
        ERROR();
    }
    sp--;
    sp[-1] = group;
    DECREF(excs);
    DECREF(original);
    NEXT_AFTER_CALL();
}

INSTRUCTION(LOAD_ASSERTION_ERROR)
{
    *sp++ = Py_NewRef(PyExc_AssertionError);
    NEXT();
}

/* --- with --- */

/* Stack: manager.  Afterwards: its bound __exit__, the result of __enter__ (for `async with`:
 * __aexit__, __aenter__).  A special method in Python runs as a frame, and pushes its own result. */
#define BEGIN_BLOCK(enter_name, exit_name, protocol)                                               \
    PyObject *manager = sp[-1];                                                                    \
    manager_methods methods;                                                                       \
    if (find_manager_methods(tstate, manager, !HOOKED(), &_Py_ID(enter_name), &_Py_ID(exit_name),  \
                             protocol, &methods) < 0) {                                            \
        ERROR();                                                                                   \
    }                                                                                              \
    sp[-1] = methods.exit;                                                                         \
    if (methods.python_enter != NULL) {                                                            \
        ENTER_FUNCTION(methods.python_enter, &manager, 1, NULL, 0);                                \
    }                                                                                              \
    PyObject *result = PyObject_CallNoArgs(methods.enter);                                         \
    DECREF(methods.enter);                                                                         \
    DECREF(manager);                                                                               \
    if (result == NULL) {                                                                          \
        ERROR();                                                                                   \
    }                                                                                              \
    *sp++ = result;                                                                                \
    NEXT_AFTER_CALL();

INSTRUCTION(BEFORE_WITH)
{
    BEGIN_BLOCK(__enter__, __exit__, "context manager")
}

INSTRUCTION(BEFORE_ASYNC_WITH)
{
    BEGIN_BLOCK(__aenter__, __aexit__, "asynchronous context manager")
}
#undef BEGIN_BLOCK

/* Stack: bound __exit__, lasti, the exception handled before, the exception.  Pushes what
 * __exit__(type, value, traceback) answers. */
INSTRUCTION(WITH_EXCEPT_START)
{
    PyObject *exc = sp[-1];
    PyObject *exit = sp[-4];
    assert(exc != NULL && PyExceptionInstance_Check(exc));
    PyObject *traceback = PyException_GetTraceback(exc);
    if (traceback == NULL) {
        traceback = Py_NewRef(Py_None);
    }
    if (Py_IS_TYPE(exit, &PyMethod_Type) && Py_IS_TYPE(PyMethod_GET_FUNCTION(exit), &PyFunction_Type)
        && !HOOKED()) {
        PyFunctionObject *func = (PyFunctionObject *)Py_NewRef(PyMethod_GET_FUNCTION(exit));
        PyObject *args[4] = {
            Py_NewRef(PyMethod_GET_SELF(exit)), Py_NewRef(PyExceptionInstance_Class(exc)), Py_NewRef(exc),
            traceback,
        };
        ENTER_FUNCTION(func, args, 4, NULL, 0);
    }
    PyObject *args[4] = {NULL, PyExceptionInstance_Class(exc), exc, traceback};
    PyObject *result = PyObject_Vectorcall(exit, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    DECREF(traceback);
    if (result == NULL) {
        ERROR();
    }
    *sp++ = result;
    NEXT_AFTER_CALL();
}
