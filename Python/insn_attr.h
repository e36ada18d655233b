/* Instructions: attributes and methods. */

INSTRUCTION(LOAD_ATTR)
{
    PyObject *owner = sp[-1];
    PyObject *value = SLP_NOT_SOFT;
    if (!HOOKED()) {
        _PyInterpreterFrame *top;
        value = slp_soft_getattr(tstate, frame, owner, NAME_AT(oparg), NULL, &top);
        if (value == SLP_ENTER) {
            DROP(1);
            next += CACHES(LOAD_ATTR);
            RUN_FRAMES(top);
        }
    }
    if (value == SLP_NOT_SOFT) {
        value = PyObject_GetAttr(owner, NAME_AT(oparg));
    }
    if (value == NULL) {
        ERROR();
    }
    sp[-1] = value;
    DECREF(owner);
    next += CACHES(LOAD_ATTR);
    NEXT_AFTER_CALL();
}

LEAF(LOAD_ATTR_ADAPTIVE)
{
    ADAPT(_Py_Specialize_LoadAttr(sp[-1], next, NAME_AT(oparg)));
    GOTO_INSTRUCTION(LOAD_ATTR);
}

/* End of the specialised loads: `value` is borrowed from the owner. */
#define LOADED(value)                                                                              \
    do {                                                                                           \
        PyObject *loaded_ = (value);                                                               \
        sp[-1] = Py_NewRef(loaded_);                                                               \
        DECREF(owner);                                                                          \
        next += CACHES(LOAD_ATTR);                                                                 \
        NEXT();                                                                                    \
    } while (0)

LEAF(LOAD_ATTR_INSTANCE_VALUE)
{
    PyObject *owner = sp[-1];
    PyTypeObject *type = Py_TYPE(owner);
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(type->tp_version_tag == read_u32(cache->version));
    PyDictValues *values = *_PyObject_ValuesPointer(owner);
    GUARD(values != NULL);
    PyObject *value = values->values[cache->index];
    GUARD(value != NULL);
    LOADED(value);
}

LEAF(LOAD_ATTR_WITH_HINT)
{
    PyObject *owner = sp[-1];
    PyTypeObject *type = Py_TYPE(owner);
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(type->tp_version_tag == read_u32(cache->version));
    PyDictObject *dict = (PyDictObject *)*_PyObject_ManagedDictPointer(owner);
    GUARD(dict != NULL);
    PyObject **slot = dict_hint_slot(dict, NAME_AT(oparg), cache->index);
    GUARD(slot != NULL && *slot != NULL);
    LOADED(*slot);
}

LEAF(LOAD_ATTR_SLOT)
{
    PyObject *owner = sp[-1];
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(Py_TYPE(owner)->tp_version_tag == read_u32(cache->version));
    PyObject *value = *(PyObject **)((char *)owner + cache->index);
    GUARD(value != NULL);
    LOADED(value);
}

LEAF(LOAD_ATTR_MODULE)
{
    PyObject *owner = sp[-1];
    PyObject *value = cached_module_value(owner, (_PyAttrCache *)next);
    GUARD(value != NULL);
    LOADED(value);
}
#undef LOADED

INSTRUCTION(STORE_ATTR)
{
    PyObject *owner = sp[-1];
    PyObject *value = sp[-2];
    if (slp_has_heap_type(owner) && !HOOKED()) {
        ENTER_SOFT_PAST(slp_soft_setattr(tstate, frame, owner, NAME_AT(oparg), value, &top), 2,
                        CACHES(STORE_ATTR));
    }
    if (PyObject_SetAttr(owner, NAME_AT(oparg), value) < 0) {
        ERROR();
    }
    sp -= 2;
    DECREF(value);
    DECREF(owner);
    next += CACHES(STORE_ATTR);
    NEXT_AFTER_CALL();
}

LEAF(STORE_ATTR_ADAPTIVE)
{
    ADAPT(_Py_Specialize_StoreAttr(sp[-1], next, NAME_AT(oparg)));
    GOTO_INSTRUCTION(STORE_ATTR);
}

LEAF(STORE_ATTR_INSTANCE_VALUE)
{
    PyObject *owner = sp[-1];
    PyTypeObject *type = Py_TYPE(owner);
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(type->tp_version_tag == read_u32(cache->version));
    PyDictValues *values = *_PyObject_ValuesPointer(owner);
    GUARD(values != NULL);
    Py_ssize_t index = cache->index;
    sp -= 2;
    PyObject *old = values->values[index];
    values->values[index] = sp[0];
    if (old == NULL) {
        _PyDictValues_AddToInsertionOrder(values, index);
    }
    else {
        DECREF(old);
    }
    DECREF(owner);
    next += CACHES(STORE_ATTR);
    NEXT();
}

LEAF(STORE_ATTR_WITH_HINT)
{
    PyObject *owner = sp[-1];
    PyObject *value = sp[-2];
    PyTypeObject *type = Py_TYPE(owner);
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(type->tp_version_tag == read_u32(cache->version));
    PyDictObject *dict = (PyDictObject *)*_PyObject_ManagedDictPointer(owner);
    GUARD(dict != NULL);
    PyObject **slot = dict_hint_slot(dict, NAME_AT(oparg), cache->index);
    GUARD(slot != NULL && *slot != NULL);
    sp -= 2;
    PyObject *old = *slot;
    *slot = value;
    if (!_PyObject_GC_IS_TRACKED((PyObject *)dict) && _PyObject_GC_MAY_BE_TRACKED(value)) {
        _PyObject_GC_TRACK((PyObject *)dict);
    }
    dict->ma_version_tag = DICT_NEXT_VERSION();
    DECREF(old);
    DECREF(owner);
    next += CACHES(STORE_ATTR);
    NEXT();
}

LEAF(STORE_ATTR_SLOT)
{
    PyObject *owner = sp[-1];
    _PyAttrCache *cache = (_PyAttrCache *)next;
    GUARD(Py_TYPE(owner)->tp_version_tag == read_u32(cache->version));
    PyObject **slot = (PyObject **)((char *)owner + cache->index);
    sp -= 2;
    PyObject *old = *slot;
    *slot = sp[0];
    XDECREF(old);
    DECREF(owner);
    next += CACHES(STORE_ATTR);
    NEXT();
}

INSTRUCTION(DELETE_ATTR)
{
    PyObject *owner = sp[-1];
    if (slp_has_heap_type(owner) && !HOOKED()) {
        _PyInterpreterFrame *top;
        PyObject *answer = slp_soft_setattr(tstate, frame, owner, NAME_AT(oparg), NULL, &top);
        if (answer == SLP_ENTER) {
            DROP(1);
            RUN_FRAMES(top);
        }
        if (answer == NULL) {
            ERROR();
        }
    }
    if (PyObject_SetAttr(owner, NAME_AT(oparg), NULL) < 0) {
        ERROR();
    }
    sp--;
    DECREF(owner);
    NEXT_AFTER_CALL();
}

/* --- methods: push (method, self), or (NULL, callable) where there is nothing to bind --- */

INSTRUCTION(LOAD_METHOD)
{
    PyObject *owner = sp[-1];
    PyObject *method = SLP_NOT_SOFT;
    PyObject *receiver = NULL;
    if (!HOOKED()) {
        _PyInterpreterFrame *top;
        method = slp_soft_getattr(tstate, frame, owner, NAME_AT(oparg), &receiver, &top);
        if (method == SLP_ENTER) {
            DROP(1);
            *sp++ = NULL;   /* the value will be pushed above */
            next += CACHES(LOAD_METHOD);
            RUN_FRAMES(top);
        }
    }
    if (method == SLP_NOT_SOFT) {
        method = NULL;
        if (_PyObject_GetMethod(owner, NAME_AT(oparg), &method)) {
            receiver = Py_NewRef(owner);
        }
    }
    if (method == NULL) {
        ERROR();
    }
    if (receiver != NULL) {
        sp[-1] = method;
        *sp++ = receiver;
    }
    else {
        sp[-1] = NULL;
        *sp++ = method;
    }
    DECREF(owner);
    next += CACHES(LOAD_METHOD);
    NEXT_AFTER_CALL();
}

LEAF(LOAD_METHOD_ADAPTIVE)
{
    ADAPT(_Py_Specialize_LoadMethod(sp[-1], next, NAME_AT(oparg)));
    GOTO_INSTRUCTION(LOAD_METHOD);
}

/* The method is in the cache, its self on the stack. */
#define FOUND_METHOD()                                                                             \
    do {                                                                                           \
        sp[-1] = Py_NewRef(read_obj(cache->descr));                                                \
        *sp++ = self;                                                                              \
        next += CACHES(LOAD_METHOD);                                                               \
        NEXT();                                                                                    \
    } while (0)

LEAF(LOAD_METHOD_WITH_VALUES)
{
    PyObject *self = sp[-1];
    PyTypeObject *type = Py_TYPE(self);
    _PyLoadMethodCache *cache = (_PyLoadMethodCache *)next;
    GUARD(type->tp_version_tag == read_u32(cache->type_version));
    GUARD(*_PyObject_ManagedDictPointer(self) == NULL);
    PyDictKeysObject *keys = ((PyHeapTypeObject *)type)->ht_cached_keys;
    GUARD(keys->dk_version == read_u32(cache->keys_version));
    FOUND_METHOD();
}

LEAF(LOAD_METHOD_WITH_DICT)
{
    PyObject *self = sp[-1];
    _PyLoadMethodCache *cache = (_PyLoadMethodCache *)next;
    GUARD(Py_TYPE(self)->tp_version_tag == read_u32(cache->type_version));
    PyDictObject *dict = *(PyDictObject **)((char *)self + (int16_t)cache->dict_offset);
    GUARD(dict != NULL);
    GUARD(dict->ma_keys->dk_version == read_u32(cache->keys_version));
    FOUND_METHOD();
}

LEAF(LOAD_METHOD_NO_DICT)
{
    PyObject *self = sp[-1];
    _PyLoadMethodCache *cache = (_PyLoadMethodCache *)next;
    GUARD(Py_TYPE(self)->tp_version_tag == read_u32(cache->type_version));
    FOUND_METHOD();
}
#undef FOUND_METHOD

LEAF(LOAD_METHOD_MODULE)
{
    PyObject *owner = sp[-1];
    PyObject *value = cached_module_value(owner, (_PyAttrCache *)next);
    GUARD(value != NULL);
    sp[-1] = NULL;
    *sp++ = Py_NewRef(value);
    DECREF(owner);
    next += CACHES(LOAD_METHOD);
    NEXT();
}

LEAF(LOAD_METHOD_CLASS)
{
    PyObject *cls = sp[-1];
    _PyLoadMethodCache *cache = (_PyLoadMethodCache *)next;
    GUARD(PyType_Check(cls));
    GUARD(((PyTypeObject *)cls)->tp_version_tag == read_u32(cache->type_version));
    PyObject *method = Py_NewRef(read_obj(cache->descr));
    sp[-1] = NULL;
    *sp++ = method;
    DECREF(cls);
    next += CACHES(LOAD_METHOD);
    NEXT();
}
