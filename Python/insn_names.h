/* Instructions: names in namespaces, globals, imports, class bodies, functions. */

INSTRUCTION(LOAD_NAME)
{
    PyObject *value = slp_load_name(tstate, frame, NAME_AT(oparg));
    if (value == NULL) {
        ERROR();
    }
    *sp++ = value;
    NEXT_AFTER_CALL();
}

INSTRUCTION(STORE_NAME)
{
    PyObject *name = NAME_AT(oparg);
    PyObject *namespace = frame->f_locals;
    if (namespace == NULL) {
        _PyErr_Format(tstate, PyExc_SystemError, "no locals found when storing %R", name);
        ERROR();
    }
    PyObject *value = sp[-1];
    int failed = PyDict_CheckExact(namespace) ? PyDict_SetItem(namespace, name, value)
                                              : PyObject_SetItem(namespace, name, value);
    if (failed) {
        ERROR();
    }
    sp--;
    DECREF(value);
    NEXT_AFTER_CALL();
}

INSTRUCTION(DELETE_NAME)
{
    PyObject *name = NAME_AT(oparg);
    PyObject *namespace = frame->f_locals;
    if (namespace == NULL) {
        _PyErr_Format(tstate, PyExc_SystemError, "no locals when deleting %R", name);
        ERROR();
    }
    if (PyObject_DelItem(namespace, name) != 0) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_KeyError)) {
            slp_raise_name_error(tstate, PyExc_NameError, "name '%.200s' is not defined", name);
        }
        ERROR();
    }
    NEXT_AFTER_CALL();
}

/* --- globals --- */

INSTRUCTION(LOAD_GLOBAL)
{
    PyObject *value = slp_load_global(tstate, frame, NAME_AT(oparg >> 1));
    if (value == NULL) {
        ERROR();
    }
    next += CACHES(LOAD_GLOBAL);
    *sp = NULL;
    sp += oparg & 1;
    *sp++ = value;
    NEXT_AFTER_CALL();
}

LEAF(LOAD_GLOBAL_ADAPTIVE)
{
    ADAPT(_Py_Specialize_LoadGlobal(frame->f_globals, frame->f_builtins, next, NAME_AT(oparg >> 1)));
    GOTO_INSTRUCTION(LOAD_GLOBAL);
}

LEAF(LOAD_GLOBAL_MODULE)
{
    _PyLoadGlobalCache *cache = (_PyLoadGlobalCache *)next;
    GUARD(PyDict_CheckExact(frame->f_globals));
    PyDictKeysObject *keys = ((PyDictObject *)frame->f_globals)->ma_keys;
    GUARD(keys->dk_version == read_u32(cache->module_keys_version));
    PyObject *value = DK_UNICODE_ENTRIES(keys)[cache->index].me_value;
    GUARD(value != NULL);
    next += CACHES(LOAD_GLOBAL);
    *sp = NULL;
    sp += oparg & 1;
    *sp++ = Py_NewRef(value);
    NEXT();
}

LEAF(LOAD_GLOBAL_BUILTIN)
{
    _PyLoadGlobalCache *cache = (_PyLoadGlobalCache *)next;
    GUARD(PyDict_CheckExact(frame->f_globals));
    GUARD(PyDict_CheckExact(frame->f_builtins));
    PyDictKeysObject *module_keys = ((PyDictObject *)frame->f_globals)->ma_keys;
    PyDictKeysObject *keys = ((PyDictObject *)frame->f_builtins)->ma_keys;
    GUARD(module_keys->dk_version == read_u32(cache->module_keys_version));
    GUARD(keys->dk_version == cache->builtin_keys_version);
    PyObject *value = DK_UNICODE_ENTRIES(keys)[cache->index].me_value;
    GUARD(value != NULL);
    next += CACHES(LOAD_GLOBAL);
    *sp = NULL;
    sp += oparg & 1;
    *sp++ = Py_NewRef(value);
    NEXT();
}

INSTRUCTION(STORE_GLOBAL)
{
    PyObject *value = sp[-1];
    if (PyDict_SetItem(frame->f_globals, NAME_AT(oparg), value) < 0) {
        ERROR();
    }
    sp--;
    DECREF(value);
    NEXT();
}

INSTRUCTION(DELETE_GLOBAL)
{
    PyObject *name = NAME_AT(oparg);
    if (PyDict_DelItem(frame->f_globals, name) < 0) {
        if (_PyErr_ExceptionMatches(tstate, PyExc_KeyError)) {
            slp_raise_name_error(tstate, PyExc_NameError, "name '%.200s' is not defined", name);
        }
        ERROR();
    }
    NEXT();
}

/* --- imports --- */

INSTRUCTION(IMPORT_NAME)
{
    _PyInterpreterFrame *top;
    PyObject *module =
        slp_import_name(tstate, frame, NAME_AT(oparg), sp[-1], sp[-2], HOOKED() ? NULL : &top);
    if (module == NULL) {
        ERROR();
    }
    DROP(2);
    if (module == SLP_ENTER) {
        RUN_FRAMES(top);
    }
    *sp++ = module;
    NEXT_AFTER_CALL();
}

INSTRUCTION(IMPORT_FROM)
{
    PyObject *value = slp_import_from(tstate, sp[-1], NAME_AT(oparg));
    if (value == NULL) {
        ERROR();
    }
    *sp++ = value;
    NEXT_AFTER_CALL();
}

INSTRUCTION(IMPORT_STAR)
{
    STORE_STACK();
    if (_PyFrame_FastToLocalsWithError(frame) < 0) {
        ERROR();
    }
    PyObject *namespace = frame->f_locals;
    if (namespace == NULL) {
        _PyErr_SetString(tstate, PyExc_SystemError, "no locals found during 'import *'");
        ERROR();
    }
    int failed = slp_import_star(tstate, namespace, sp[-1]);
    _PyFrame_LocalsToFast(frame, 0);
    if (failed) {
        ERROR();
    }
    DROP(1);
    NEXT_AFTER_CALL();
}

/* --- classes and functions --- */

INSTRUCTION(LOAD_BUILD_CLASS)
{
    PyObject *build_class = slp_load_build_class(tstate, frame);
    if (build_class == NULL) {
        ERROR();
    }
    *sp++ = build_class;
    NEXT();
}

INSTRUCTION(LOAD_CLASSDEREF)
{
    PyObject *value = slp_load_classderef(tstate, frame, oparg);
    if (value == NULL) {
        ERROR();
    }
    *sp++ = value;
    NEXT_AFTER_CALL();
}

INSTRUCTION(SETUP_ANNOTATIONS)
{
    if (slp_setup_annotations(tstate, frame) < 0) {
        ERROR();
    }
    NEXT_AFTER_CALL();
}

INSTRUCTION(MAKE_FUNCTION)
{
    PyObject *code = *--sp;
    PyFunctionObject *func = (PyFunctionObject *)PyFunction_New(code, frame->f_globals);
    DECREF(code);
    if (func == NULL) {
        ERROR();
    }
    if (oparg & 0x08) {
        func->func_closure = *--sp;
    }
    if (oparg & 0x04) {
        func->func_annotations = *--sp;
    }
    if (oparg & 0x02) {
        func->func_kwdefaults = *--sp;
    }
    if (oparg & 0x01) {
        func->func_defaults = *--sp;
    }
    *sp++ = (PyObject *)func;
    NEXT();
}
