/* Instructions: calls.
 *
 * The stack of a call with n arguments:
 *
 *     LOAD_METHOD found a method:   method  self      arg 1 .. arg n
 *     anything else:                NULL    callable  arg 1 .. arg n
 *
 * PRECALL turns a bound method into the first shape; its specialised forms for C functions do the
 * whole call and skip CALL.  Either way a call consumes n + 2 slots and pushes one value.
 *
 * Python functions, classes whose __init__ is a Python function, and C functions that may answer
 * SLP_UNWIND never nest the C stack here.
 */

LEAF(KW_NAMES)
{
    assert(kwnames == NULL);
    kwnames = consts[oparg];
    NEXT();
}

/* The call's shape: how many arguments counting self, and the callable below them. */
#define CALL_SHAPE(total, callable)                                                                \
    const Py_ssize_t total = oparg + (sp[-(oparg + 2)] != NULL);                                          \
    PyObject *const callable = sp[-(total + 1)]

/* Drop the callable and its `total` arguments, and the NULL below where there is one.  The first two
 * are dropped in line: a loop here would cost the hot registers. */
#define DROP_CALL()                                                                                \
    do {                                                                                           \
        PyObject **slots_ = sp - total - 1;                                                        \
        sp -= oparg + 2;                                                                           \
        if (total > 0) {                                                                           \
            if (total > 1) {                                                                       \
                drop_values(slots_ + 2, total - 1);                                                \
            }                                                                                      \
            Py_DECREF(slots_[1]);                                                                  \
        }                                                                                          \
        Py_DECREF(slots_[0]);                                                                      \
    } while (0)

/* Replace the call's n + 2 slots, all still owned, by `result`; NULL: an exception is set. */
#define FINISH_CALL(result, instruction_words)                                                     \
    do {                                                                                           \
        PyObject *result_ = (result);                                                              \
        DROP_CALL();                                                                               \
        if (SLP_UNLIKELY(result_ == NULL)) {                                                       \
            ERROR();                                                                               \
        }                                                                                          \
        next += (instruction_words);                                                               \
        *sp++ = result_;                                                                           \
        CHECK_BREAKER();                                                                           \
        NEXT_AFTER_CALL();                                                                         \
    } while (0)

/* Where soft function `asked` (slp_soft.h, with `top` as its last argument) has frames for the call, or its
 * value: finish it. */
#define ENTER_SOFT_CALL(asked, instruction_words)                                                  \
    do {                                                                                           \
        _PyInterpreterFrame *top;                                                                  \
        PyObject *answer_ = (asked);                                                               \
        if (answer_ == SLP_ENTER) {                                                                \
            kwnames = NULL;                                                                        \
            DROP_CALL();                                                                           \
            next += (instruction_words);                                                           \
            RUN_FRAMES(top);                                                                       \
        }                                                                                          \
        if (answer_ != SLP_NOT_SOFT) {                                                             \
            kwnames = NULL;                                                                        \
            FINISH_CALL(answer_, instruction_words);                                               \
        }                                                                                          \
    } while (0)

/* Code units behind PRECALL up to the end of its CALL; behind CALL. */
#define PAST_PRECALL_AND_CALL (CACHES(PRECALL) + 1 + CACHES(CALL))

/* --- PRECALL --- */

LEAF(PRECALL)
{
    if (sp[-(oparg + 2)] == NULL && Py_IS_TYPE(sp[-(oparg + 1)], &PyMethod_Type)) {
        GOTO_INSTRUCTION(PRECALL_BOUND_METHOD);
    }
    next += CACHES(PRECALL);
    NEXT();
}

LEAF(PRECALL_ADAPTIVE)
{
    CALL_SHAPE(total, callable);
    ADAPT(_Py_Specialize_Precall(callable, next, total, kwnames, oparg));
    GOTO_INSTRUCTION(PRECALL);
}

LEAF(PRECALL_BOUND_METHOD)
{
    PyObject *method = sp[-(oparg + 1)];
    GUARD(sp[-(oparg + 2)] == NULL && Py_IS_TYPE(method, &PyMethod_Type));
    sp[-(oparg + 2)] = Py_NewRef(PyMethod_GET_FUNCTION(method));
    sp[-(oparg + 1)] = Py_NewRef(PyMethod_GET_SELF(method));
    DECREF(method);
    next += CACHES(PRECALL);
    NEXT();
}

LEAF(PRECALL_PYFUNC)
{
    CALL_SHAPE(total, callable);
    GUARD(Py_IS_TYPE(callable, &PyFunction_Type));
    next += CACHES(PRECALL);
    NEXT();
}

/* --- CALL --- */

INSTRUCTION(CALL)
{
    CALL_SHAPE(total, callable);
    PyObject **args = sp - total;
    Py_ssize_t nargs = total - (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (!HOOKED()) {
        PyFunctionObject *func = NULL;
        if (Py_IS_TYPE(callable, &PyFunction_Type)) {
            func = (PyFunctionObject *)callable;
        }
        else if (Py_IS_TYPE(callable, &PyMethod_Type)
                 && Py_IS_TYPE(PyMethod_GET_FUNCTION(callable), &PyFunction_Type)) {
            /* A bound method that PRECALL left alone: the __exit__ of a `with` statement, which
             * stands where a method goes.  Its self takes that place. */
            func = (PyFunctionObject *)Py_NewRef(PyMethod_GET_FUNCTION(callable));
            *--args = Py_NewRef(PyMethod_GET_SELF(callable));
            nargs++;
            DECREF(callable);
        }
        if (func != NULL) {
            sp -= oparg + 2;
            PyObject *names = kwnames;
            kwnames = NULL;
            ENTER_FUNCTION(func, args, nargs, names, CACHES(CALL));
        }
        if (PyType_Check(callable)) {
            PyTypeObject *type = (PyTypeObject *)callable;
            PyFunctionObject *init = slp_python_init(type);
            if (init != NULL) {
                PyObject *result;
                _PyInterpreterFrame *callee = slp_frames_for_class(tstate, frame, type, init, args, nargs,
                                                                   kwnames, &result);
                kwnames = NULL;
                sp -= oparg + 2;
                if (callee == NULL) {
                    DECREF(type);
                    if (result == NULL) {
                        ERROR();
                    }
                    next += CACHES(CALL);
                    *sp++ = result;
                    NEXT_AFTER_CALL();
                }
                next += CACHES(CALL);
                STORE_FRAME();
                DECREF(type);
                ENTER(callee);
            }
        }
        if (Py_IS_TYPE(callable, &PyTasklet_Type)) {
            ENTER_SOFT_CALL(slp_tasklet_soft_setup(tstate, frame, callable, args, nargs, kwnames, &top),
                            CACHES(CALL));
        }
        else if (!slp_may_unwind(callable)) {
            ENTER_SOFT_CALL(slp_soft_call(tstate, frame, callable, args, nargs, kwnames, &top), CACHES(CALL));
        }
    }
    bool offered = slp_may_unwind(callable);
    PyObject *result;
    if (TRACED()) {
        result = slp_traced_vectorcall(tstate, callable, args, nargs | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                       kwnames);
    }
    else if (SLP_UNLIKELY(offered)) {
        result = call_with_offer(tstate, callable, args, nargs, kwnames);
    }
    else {
        result = PyObject_Vectorcall(callable, args, nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, kwnames);
    }
    kwnames = NULL;
    if (SLP_UNLIKELY(result == SLP_UNWIND) && offered) {
        DROP_CALL();
        next += CACHES(CALL);
        goto switch_tasklet;
    }
    FINISH_CALL(result, CACHES(CALL));
}

LEAF(CALL_ADAPTIVE)
{
    CALL_SHAPE(total, callable);
    ADAPT(_Py_Specialize_Call(callable, next, total, kwnames));
    GOTO_INSTRUCTION(CALL);
}

/* The Python function that the cache knows. */
#define CACHED_FUNCTION(total, func, code)                                                         \
    assert(kwnames == NULL);                                                                       \
    GUARD(!HOOKED());                                                                              \
    _PyCallCache *cache = (_PyCallCache *)next;                                                    \
    CALL_SHAPE(total, callable);                                                                   \
    GUARD(Py_IS_TYPE(callable, &PyFunction_Type));                                                 \
    PyFunctionObject *func = (PyFunctionObject *)callable;                                         \
    GUARD(func->func_version == read_u32(cache->func_version));                                    \
    PyCodeObject *code = (PyCodeObject *)func->func_code

/* Its new frame `callee`, which takes the function and the call's arguments. */
#define PUSH_WITH_ARGUMENTS(callee)                                                                \
    _PyInterpreterFrame *callee = slp_frame_alloc(tstate, slp_frame_words(code));                  \
    if (SLP_UNLIKELY(callee == NULL)) {                                                            \
        ERROR();                                                                                   \
    }                                                                                              \
    slp_frame_init(callee, func, NULL, code);                                                      \
    sp -= total;                                                                                   \
    for (Py_ssize_t i = 0; i < total; i++) {                                                       \
        callee->localsplus[i] = sp[i];                                                             \
    }

LEAF(CALL_PY_EXACT_ARGS)
{
    CACHED_FUNCTION(total, func, code);
    GUARD(code->co_argcount == total);
    PUSH_WITH_ARGUMENTS(callee);
    for (Py_ssize_t i = total; i < code->co_nlocalsplus; i++) {
        callee->localsplus[i] = NULL;
    }
    sp -= 2 - (total - oparg);
    next += CACHES(CALL);
    ENTER_CALLEE(callee);
}

LEAF(CALL_PY_WITH_DEFAULTS)
{
    CACHED_FUNCTION(total, func, code);
    GUARD(total <= code->co_argcount);
    int min_args = cache->min_args;
    GUARD(total >= min_args);
    PUSH_WITH_ARGUMENTS(callee);
    for (Py_ssize_t i = total; i < code->co_argcount; i++) {
        callee->localsplus[i] = Py_NewRef(PyTuple_GET_ITEM(func->func_defaults, i - min_args));
    }
    for (int i = code->co_argcount; i < code->co_nlocalsplus; i++) {
        callee->localsplus[i] = NULL;
    }
    sp -= 2 - (total - oparg);
    next += CACHES(CALL);
    ENTER_CALLEE(callee);
}
#undef PUSH_WITH_ARGUMENTS
#undef CACHED_FUNCTION

/* --- PRECALL for C functions: the whole call --- */

INSTRUCTION(PRECALL_NO_KW_TYPE_1)
{
    assert(kwnames == NULL && oparg == 1);
    CALL_SHAPE(total, callable);
    GUARD(total == 1 && callable == (PyObject *)&PyType_Type);
    PyObject *obj = sp[-1];
    sp -= 2;
    sp[-1] = Py_NewRef(Py_TYPE(obj));
    DECREF(obj);
    DECREF(&PyType_Type);
    next += PAST_PRECALL_AND_CALL;
    NEXT();
}

INSTRUCTION(PRECALL_NO_KW_STR_1)
{
    assert(kwnames == NULL && oparg == 1);
    CALL_SHAPE(total, callable);
    GUARD(total == 1 && callable == (PyObject *)&PyUnicode_Type);
    if (slp_has_heap_type(sp[-1]) && !HOOKED()) {
        ENTER_SOFT_CALL(slp_soft_str(tstate, frame, sp[-1], &top), PAST_PRECALL_AND_CALL);
    }
    FINISH_CALL(PyObject_Str(sp[-1]), PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_TUPLE_1)
{
    assert(kwnames == NULL && oparg == 1);
    CALL_SHAPE(total, callable);
    GUARD(total == 1 && callable == (PyObject *)&PyTuple_Type);
    if (SLP_UNLIKELY(slp_may_loop_in_python(sp[-1])) && !HOOKED()) {
        ENTER_SOFT_CALL(slp_soft_call(tstate, frame, callable, sp - 1, 1, NULL, &top),
                        PAST_PRECALL_AND_CALL);
    }
    FINISH_CALL(PySequence_Tuple(sp[-1]), PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_BUILTIN_CLASS)
{
    CALL_SHAPE(total, callable);
    GUARD(PyType_Check(callable));
    vectorcallfunc construct = ((PyTypeObject *)callable)->tp_vectorcall;
    GUARD(construct != NULL);
    Py_ssize_t nargs = total - (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (total > 0 && slp_may_loop_in_python(sp[-total]) && !HOOKED()) {
        ENTER_SOFT_CALL(slp_soft_call(tstate, frame, callable, sp - total, nargs, kwnames, &top),
                        PAST_PRECALL_AND_CALL);
    }
    PyObject *result = construct(callable, sp - total, nargs, kwnames);
    kwnames = NULL;
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

/* A C function with SLP_METH_SOFT in its `flags`: the soft way, if there is one. */
#define TRY_SOFT_FUNCTION(nargs)                                                                   \
    do {                                                                                           \
        if (SLP_UNLIKELY(flags & (SLP_METH_SOFT | METH_STACKLESS))) {                              \
            if (!HOOKED()) {                                                                       \
                ENTER_SOFT_CALL(                                                                   \
                    slp_soft_call(tstate, frame, callable, sp - total, (nargs), kwnames, &top),    \
                    PAST_PRECALL_AND_CALL);                                                        \
            }                                                                                      \
            flags &= ~(SLP_METH_SOFT | METH_STACKLESS);                                            \
        }                                                                                          \
    } while (0)

/* C functions are counted against the recursion limit. */
#define CALL_COUNTED(result, call)                                                                 \
    PyObject *result;                                                                              \
    do {                                                                                           \
        if (_Py_EnterRecursiveCallTstate(tstate, " while calling a Python object")) {              \
            ERROR();                                                                               \
        }                                                                                          \
        result = (call);                                                                           \
        tstate->recursion_remaining++;                                                             \
    } while (0)

/* The same for a function with SLP_METH_STACKLESS, which may switch instead of answering. */
#define CALL_OFFERED(result, call)                                                                 \
    PyObject *result;                                                                              \
    do {                                                                                           \
        slp_thread *thread_ = slp_thread_peek(tstate);                                             \
        if (SLP_UNLIKELY(thread_ == NULL)) {                                                       \
            thread_ = slp_thread_get(tstate);                                                      \
            if (thread_ == NULL) {                                                                 \
                ERROR();                                                                           \
            }                                                                                      \
        }                                                                                          \
        thread_->soft_offered = true;                                                              \
        result = (call);                                                                           \
        if (result == SLP_UNWIND) {                                                                \
            DROP_CALL();                                                                           \
            next += PAST_PRECALL_AND_CALL;                                                         \
            goto switch_tasklet;                                                                   \
        }                                                                                          \
    } while (0)

INSTRUCTION(PRECALL_NO_KW_BUILTIN_O)
{
    assert(kwnames == NULL);
    CALL_SHAPE(total, callable);
    GUARD(total == 1 && PyCFunction_CheckExact(callable));
    int flags = PyCFunction_GET_FLAGS(callable);
    PyCFunction function = PyCFunction_GET_FUNCTION(callable);
    TRY_SOFT_FUNCTION(total);
    if (SLP_LIKELY(flags == METH_O)) {
        CALL_COUNTED(result, function(PyCFunction_GET_SELF(callable), sp[-1]));
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    GUARD(flags == (METH_O | SLP_METH_STACKLESS));
    CALL_OFFERED(result, function(PyCFunction_GET_SELF(callable), sp[-1]));
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_BUILTIN_FAST)
{
    assert(kwnames == NULL);
    CALL_SHAPE(total, callable);
    GUARD(PyCFunction_CheckExact(callable));
    int flags = PyCFunction_GET_FLAGS(callable);
    _PyCFunctionFast function = (_PyCFunctionFast)(void (*)(void))PyCFunction_GET_FUNCTION(callable);
    TRY_SOFT_FUNCTION(total);
    if (SLP_LIKELY(flags == METH_FASTCALL)) {
        PyObject *result = function(PyCFunction_GET_SELF(callable), sp - total, total);
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    GUARD(flags == (METH_FASTCALL | SLP_METH_STACKLESS));
    CALL_OFFERED(result, function(PyCFunction_GET_SELF(callable), sp - total, total));
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_BUILTIN_FAST_WITH_KEYWORDS)
{
    CALL_SHAPE(total, callable);
    GUARD(PyCFunction_CheckExact(callable));
    int flags = PyCFunction_GET_FLAGS(callable);
    Py_ssize_t nargs = total - (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    GUARD((flags & ~(SLP_METH_STACKLESS | SLP_METH_SOFT | METH_STACKLESS))
          == (METH_FASTCALL | METH_KEYWORDS));
    TRY_SOFT_FUNCTION(nargs);
    _PyCFunctionFastWithKeywords function =
        (_PyCFunctionFastWithKeywords)(void (*)(void))PyCFunction_GET_FUNCTION(callable);
    PyObject *names = kwnames;
    kwnames = NULL;
    if (SLP_UNLIKELY(flags & SLP_METH_STACKLESS)) {
        CALL_OFFERED(result, function(PyCFunction_GET_SELF(callable), sp - total, nargs, names));
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    PyObject *result = function(PyCFunction_GET_SELF(callable), sp - total, nargs, names);
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_LEN)
{
    assert(kwnames == NULL);
    CALL_SHAPE(total, callable);
    GUARD(total == 1 && callable == tstate->interp->callable_cache.len);
    if (slp_has_heap_type(sp[-1]) && !HOOKED()) {
        ENTER_SOFT_CALL(slp_soft_len(tstate, frame, sp[-1], &top), PAST_PRECALL_AND_CALL);
    }
    Py_ssize_t length = PyObject_Length(sp[-1]);
    if (length < 0) {
        ERROR();
    }
    FINISH_CALL(slp_new_int(length), PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_ISINSTANCE)
{
    assert(kwnames == NULL);
    CALL_SHAPE(total, callable);
    GUARD(total == 2 && callable == tstate->interp->callable_cache.isinstance);
    if (!PyType_CheckExact(sp[-1]) && !slp_are_plain_classes(sp[-1]) && !HOOKED()) {
        ENTER_SOFT_CALL(slp_soft_isinstance(tstate, frame, sp[-2], sp[-1], &top), PAST_PRECALL_AND_CALL);
    }
    int is_instance = Py_TYPE(sp[-2]) == (PyTypeObject *)sp[-1] ? 1 : PyObject_IsInstance(sp[-2], sp[-1]);
    if (is_instance < 0) {
        ERROR();
    }
    FINISH_CALL(Py_NewRef(is_instance ? Py_True : Py_False), PAST_PRECALL_AND_CALL);
}

/* list.append(value), as a statement: the POP_TOP behind it is skipped too. */
INSTRUCTION(PRECALL_NO_KW_LIST_APPEND)
{
    assert(kwnames == NULL && oparg == 1);
    PyObject *method = sp[-3];
    PyObject *list = sp[-2];
    GUARD(method == tstate->interp->callable_cache.list_append);
    GUARD(PyList_Check(list));
    if (_PyList_AppendTakeRef((PyListObject *)list, sp[-1]) < 0) {
        sp--;
        ERROR();
    }
    sp -= 3;
    DECREF(list);
    DECREF(method);
    next += PAST_PRECALL_AND_CALL;
    if (SLP_LIKELY(_Py_OPCODE(*next) == POP_TOP)) {
        next++;
    }
    else {
        *sp++ = Py_NewRef(Py_None);
    }
    NEXT();
}

/* A method descriptor, unbound below its self. */
#define METHOD_DESCRIPTOR()                                                                        \
    CALL_SHAPE(total, callable);                                                                   \
    GUARD(Py_IS_TYPE(callable, &PyMethodDescr_Type) && total > 0);                                 \
    PyMethodDef *definition = ((PyMethodDescrObject *)callable)->d_method;                         \
    PyObject *self = sp[-total];                                                                   \
    int flags = definition->ml_flags

#define SELF_FITS() Py_IS_TYPE(self, PyDescr_TYPE(callable))

INSTRUCTION(PRECALL_NO_KW_METHOD_DESCRIPTOR_O)
{
    assert(kwnames == NULL);
    METHOD_DESCRIPTOR();
    GUARD(total == 2 && SELF_FITS());
    TRY_SOFT_FUNCTION(total);
    if (SLP_LIKELY(flags == METH_O)) {
        CALL_COUNTED(result, definition->ml_meth(self, sp[-1]));
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    GUARD(flags == (METH_O | SLP_METH_STACKLESS));
    CALL_OFFERED(result, definition->ml_meth(self, sp[-1]));
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_METHOD_DESCRIPTOR_NOARGS)
{
    assert(kwnames == NULL);
    METHOD_DESCRIPTOR();
    GUARD(total == 1 && SELF_FITS());
    TRY_SOFT_FUNCTION(total);
    if (SLP_LIKELY(flags == METH_NOARGS)) {
        CALL_COUNTED(result, definition->ml_meth(self, NULL));
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    GUARD(flags == (METH_NOARGS | SLP_METH_STACKLESS));
    CALL_OFFERED(result, definition->ml_meth(self, NULL));
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_NO_KW_METHOD_DESCRIPTOR_FAST)
{
    assert(kwnames == NULL);
    METHOD_DESCRIPTOR();
    GUARD(SELF_FITS());
    TRY_SOFT_FUNCTION(total);
    _PyCFunctionFast function = (_PyCFunctionFast)(void (*)(void))definition->ml_meth;
    if (SLP_LIKELY(flags == METH_FASTCALL)) {
        PyObject *result = function(self, sp - total + 1, total - 1);
        FINISH_CALL(result, PAST_PRECALL_AND_CALL);
    }
    GUARD(flags == (METH_FASTCALL | SLP_METH_STACKLESS));
    CALL_OFFERED(result, function(self, sp - total + 1, total - 1));
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}

INSTRUCTION(PRECALL_METHOD_DESCRIPTOR_FAST_WITH_KEYWORDS)
{
    METHOD_DESCRIPTOR();
    GUARD(SELF_FITS() && (flags & ~(SLP_METH_SOFT | METH_STACKLESS)) == (METH_FASTCALL | METH_KEYWORDS));
    Py_ssize_t nargs = total - (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    TRY_SOFT_FUNCTION(nargs);
    _PyCFunctionFastWithKeywords function =
        (_PyCFunctionFastWithKeywords)(void (*)(void))definition->ml_meth;
    PyObject *result = function(self, sp - total + 1, nargs - 1, kwnames);
    kwnames = NULL;
    FINISH_CALL(result, PAST_PRECALL_AND_CALL);
}
#undef SELF_FITS
#undef METHOD_DESCRIPTOR
#undef CALL_OFFERED
#undef CALL_COUNTED

/* --- f(*args, **kwargs) --- */

/* Stack: NULL, callable, args (, kwargs).  Any iterable and any mapping will do; after this they
 * are a tuple and a dict. */
INSTRUCTION(CALL_FUNCTION_EX)
{
    if (oparg & 1) {
        PyObject *kwargs = sp[-1];
        if (!PyDict_CheckExact(kwargs)) {
            PyObject *dict = PyDict_New();
            if (dict == NULL) {
                ERROR();
            }
            if (_PyDict_MergeEx(dict, kwargs, 2) < 0) {
                DECREF(dict);
                slp_raise_kwargs_error(tstate, sp[-3], kwargs);
                ERROR();
            }
            REPLACE_TOP(dict);
        }
    }
    PyObject **bottom = sp - 3 - (oparg & 1);
    if (!PyTuple_CheckExact(bottom[2])) {
        if (slp_check_args_iterable(tstate, bottom[1], bottom[2]) < 0) {
            ERROR();
        }
        if (!HOOKED()) {
            _PyInterpreterFrame *top;
            PyObject *answer = slp_soft_call_star(tstate, frame, bottom[1], bottom[2],
                                                  (oparg & 1) ? bottom[3] : NULL, &top);
            if (answer == NULL) {
                ERROR();
            }
            if (answer == SLP_ENTER) {
                while (sp > bottom) {
                    sp--;
                    XDECREF(*sp);
                }
                RUN_FRAMES(top);
            }
        }
        PyObject *tuple = PySequence_Tuple(bottom[2]);
        if (tuple == NULL) {
            ERROR();
        }
        Py_SETREF(bottom[2], tuple);
    }
    PyObject *callable = bottom[1];
    PyObject *args = bottom[2];
    PyObject *kwargs = (oparg & 1) ? bottom[3] : NULL;
    PyObject *result;
    bool offered = false;

    if (!HOOKED()) {
        if (Py_IS_TYPE(callable, &PyMethod_Type)) {
            /* A bound method: its function, with self in front. */
            PyObject *prepended = slp_tuple_with_first(PyMethod_GET_SELF(callable), args);
            if (prepended == NULL) {
                ERROR();
            }
            DECREF(args);
            args = bottom[2] = prepended;
            PyObject *function = Py_NewRef(PyMethod_GET_FUNCTION(callable));
            Py_SETREF(bottom[1], function);
            callable = function;
        }
        _PyInterpreterFrame *callee = NULL;
        if (Py_IS_TYPE(callable, &PyFunction_Type)) {
            PyFunctionObject *func = (PyFunctionObject *)callable;
            callee = slp_frame_for_call_ex(tstate, (PyFunctionObject *)Py_NewRef(func), slp_call_locals(func),
                                           args, kwargs);
            if (callee == NULL) {
                ERROR();
            }
            callee->previous = frame;
        }
        else if (PyType_Check(callable)) {
            PyTypeObject *type = (PyTypeObject *)callable;
            PyFunctionObject *init = slp_python_init(type);
            if (init != NULL) {
                callee = slp_frames_for_class_ex(tstate, frame, type, init, args, kwargs, &result);
                if (callee == NULL) {
                    goto called_ex;
                }
            }
        }
        if (callee != NULL) {
            while (sp > bottom) {
                sp--;
                XDECREF(*sp);
            }
            STORE_FRAME();
            ENTER(callee);
        }
        if (!slp_may_unwind(callable)) {
            _PyInterpreterFrame *top;
            result = slp_soft_call_ex(tstate, frame, callable, args, kwargs, &top);
            if (result == SLP_ENTER) {
                while (sp > bottom) {
                    sp--;
                    XDECREF(*sp);
                }
                RUN_FRAMES(top);
            }
            if (result != SLP_NOT_SOFT) {
                goto called_ex;
            }
        }
    }
    offered = slp_may_unwind(callable);
    if (TRACED()) {
        result = slp_traced_call(tstate, callable, args, kwargs);
    }
    else if (offered) {
        result = call_ex_with_offer(tstate, callable, args, kwargs);
    }
    else {
        result = PyObject_Call(callable, args, kwargs);
    }

called_ex:
    while (sp > bottom) {
        sp--;
        XDECREF(*sp);
    }
    if (result == SLP_UNWIND && offered) {
        goto switch_tasklet;
    }
    if (result == NULL) {
        ERROR();
    }
    *sp++ = result;
    CHECK_BREAKER();
    NEXT_AFTER_CALL();
}
#undef TRY_SOFT_FUNCTION
#undef ENTER_SOFT_CALL
#undef FINISH_CALL
#undef DROP_CALL
#undef CALL_SHAPE
