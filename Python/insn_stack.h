/* Instructions: the value stack, constants, local variables, cells. */

LEAF(NOP)
{
    NEXT();
}

LEAF(CACHE)
{
    Py_UNREACHABLE();
}

LEAF(POP_TOP)
{
    PyObject *value = *--sp;
    DECREF(value);
    NEXT();
}

LEAF(PUSH_NULL)
{
    *sp++ = NULL;
    NEXT();
}

LEAF(COPY)
{
    PyObject *value = sp[-oparg];
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(SWAP)
{
    PyObject *top = sp[-1];
    sp[-1] = sp[-oparg];
    sp[-oparg] = top;
    NEXT();
}

LEAF(LOAD_CONST)
{
    PyObject *value = consts[oparg];
    *sp++ = Py_NewRef(value);
    NEXT();
}

/* --- fast locals --- */

LEAF(LOAD_FAST)
{
    PyObject *value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(STORE_FAST)
{
    PyObject *old = LOCAL(oparg);
    LOCAL(oparg) = *--sp;
    XDECREF(old);
    NEXT();
}

LEAF(DELETE_FAST)
{
    PyObject *old = LOCAL(oparg);
    if (old == NULL) {
        goto unbound_local;
    }
    LOCAL(oparg) = NULL;
    DECREF(old);
    NEXT();
}

/* Two instructions in one dispatch; the second's argument is in its own code unit. */

LEAF(LOAD_FAST__LOAD_FAST)
{
    PyObject *value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    oparg = _Py_OPARG(*next++);
    value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(LOAD_FAST__LOAD_CONST)
{
    PyObject *value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    value = consts[_Py_OPARG(*next++)];
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(LOAD_CONST__LOAD_FAST)
{
    PyObject *value = consts[oparg];
    *sp++ = Py_NewRef(value);
    oparg = _Py_OPARG(*next++);
    value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(STORE_FAST__LOAD_FAST)
{
    PyObject *old = LOCAL(oparg);
    LOCAL(oparg) = *--sp;
    XDECREF(old);
    oparg = _Py_OPARG(*next++);
    PyObject *value = LOCAL(oparg);
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(STORE_FAST__STORE_FAST)
{
    PyObject *old = LOCAL(oparg);
    LOCAL(oparg) = *--sp;
    XDECREF(old);
    oparg = _Py_OPARG(*next++);
    old = LOCAL(oparg);
    LOCAL(oparg) = *--sp;
    XDECREF(old);
    NEXT();
}

/* --- cells --- */

INSTRUCTION(MAKE_CELL)
{
    PyObject *initial = LOCAL(oparg);
    PyObject *cell = PyCell_New(initial);
    if (cell == NULL) {
        ERROR();
    }
    LOCAL(oparg) = cell;
    XDECREF(initial);
    NEXT();
}

LEAF(COPY_FREE_VARS)
{
    PyCodeObject *code = frame->f_code;
    PyObject *closure = frame->f_func->func_closure;
    PyObject **free_vars = &LOCAL(code->co_nlocals + code->co_nplaincellvars);
    assert(oparg == code->co_nfreevars);
    for (Py_ssize_t i = 0; i < oparg; i++) {
        free_vars[i] = Py_NewRef(PyTuple_GET_ITEM(closure, i));
    }
    NEXT();
}

LEAF(LOAD_CLOSURE)
{
    PyObject *cell = LOCAL(oparg);
    if (SLP_UNLIKELY(cell == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(cell);
    NEXT();
}

LEAF(LOAD_DEREF)
{
    PyObject *value = PyCell_GET(LOCAL(oparg));
    if (SLP_UNLIKELY(value == NULL)) {
        goto unbound_local;
    }
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(STORE_DEREF)
{
    PyObject *cell = LOCAL(oparg);
    PyObject *old = PyCell_GET(cell);
    PyCell_SET(cell, *--sp);
    XDECREF(old);
    NEXT();
}

LEAF(DELETE_DEREF)
{
    PyObject *cell = LOCAL(oparg);
    PyObject *old = PyCell_GET(cell);
    if (old == NULL) {
        goto unbound_local;
    }
    PyCell_SET(cell, NULL);
    DECREF(old);
    NEXT();
}

unbound_local:
    slp_raise_unbound(tstate, frame->f_code, oparg);
    ERROR();
