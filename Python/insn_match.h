/* Instructions: structural pattern matching. */

INSTRUCTION(GET_LEN)
{
    if (slp_has_heap_type(sp[-1]) && !HOOKED()) {
        ENTER_SOFT(slp_soft_len(tstate, frame, sp[-1], &top), 0);
    }
    Py_ssize_t length = PyObject_Length(sp[-1]);
    if (length < 0) {
        ERROR();
    }
    PyObject *result = slp_new_int(length);
    if (result == NULL) {
        ERROR();
    }
    *sp++ = result;
    NEXT_AFTER_CALL();
}

LEAF(MATCH_MAPPING)
{
    bool matches = PyType_HasFeature(Py_TYPE(sp[-1]), Py_TPFLAGS_MAPPING);
    *sp++ = Py_NewRef(matches ? Py_True : Py_False);
    NEXT();
}

LEAF(MATCH_SEQUENCE)
{
    bool matches = PyType_HasFeature(Py_TYPE(sp[-1]), Py_TPFLAGS_SEQUENCE);
    *sp++ = Py_NewRef(matches ? Py_True : Py_False);
    NEXT();
}

/* Stack: mapping, tuple of keys.  Pushes the tuple of values, or None. */
INSTRUCTION(MATCH_KEYS)
{
    PyObject *values = slp_match_keys(tstate, sp[-2], sp[-1]);
    if (values == NULL) {
        ERROR();
    }
    *sp++ = values;
    NEXT_AFTER_CALL();
}

/* Stack: subject, class, tuple of keyword names.  Leaves the tuple of attributes, or None. */
INSTRUCTION(MATCH_CLASS)
{
    PyObject *names = sp[-1];
    PyObject *type = sp[-2];
    PyObject *subject = sp[-3];
    PyObject *attributes = slp_match_class(tstate, subject, type, oparg, names);
    if (attributes == NULL) {
        if (_PyErr_Occurred(tstate)) {
            ERROR();
        }
        attributes = Py_NewRef(Py_None);
    }
    sp -= 2;
    sp[-1] = attributes;
    DECREF(names);
    DECREF(type);
    DECREF(subject);
    NEXT_AFTER_CALL();
}
