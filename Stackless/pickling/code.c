/* Code objects, modules and their dicts, tracebacks. */
#include "slp_pickle.h"
#include "slp_stackmap.h"

#include "internal/pycore_import.h"
#include "internal/pycore_traceback.h"

#include "frameobject.h"

/* --- the hash of code --- */

/* FNV-1a: this is no protection against forgery, which the loader's checks are. */
#define HASH_START 0xcbf29ce484222325u

static uint64_t
hash_bytes(uint64_t hash, const void *bytes, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    }
    return hash;
}

static uint64_t
hash_int(uint64_t hash, int64_t value)
{
    for (int i = 0; i < 8; i++) {
        uint8_t byte = (uint8_t)((uint64_t)value >> (8 * i));
        hash = hash_bytes(hash, &byte, 1);
    }
    return hash;
}

static int hash_object(uint64_t *hash, PyObject *op);

/* The elements of a frozenset come in another order in every process. */
static int
hash_set(uint64_t *hash, PyObject *set)
{
    uint64_t sum = 0;
    PyObject *item, *iterator = PyObject_GetIter(set);
    if (iterator == NULL) {
        return -1;
    }
    while ((item = PyIter_Next(iterator)) != NULL) {
        uint64_t one = HASH_START;
        int status = hash_object(&one, item);
        Py_DECREF(item);
        if (status < 0) {
            break;
        }
        sum += one;
    }
    Py_DECREF(iterator);
    *hash = hash_int(*hash, (int64_t)sum);
    return PyErr_Occurred() ? -1 : 0;
}

/* Constants, and tuples of them. */
static int
hash_object(uint64_t *hash, PyObject *op)
{
    const char *type = Py_TYPE(op)->tp_name;
    *hash = hash_bytes(*hash, type, (Py_ssize_t)strlen(type));
    if (PyUnicode_CheckExact(op)) {
        *hash = hash_int(*hash, PyUnicode_KIND(op));
        *hash = hash_bytes(*hash, PyUnicode_DATA(op), PyUnicode_GET_LENGTH(op) * PyUnicode_KIND(op));
        return 0;
    }
    if (PyBytes_CheckExact(op)) {
        *hash = hash_bytes(*hash, PyBytes_AS_STRING(op), PyBytes_GET_SIZE(op));
        return 0;
    }
    if (PyCode_Check(op)) {
        uint64_t inner;
        if (slp_code_hash((PyCodeObject *)op, &inner) < 0) {
            return -1;
        }
        *hash = hash_int(*hash, (int64_t)inner);
        return 0;
    }
    if (PyTuple_CheckExact(op)) {
        if (Py_EnterRecursiveCall(" while hashing code")) {
            return -1;
        }
        *hash = hash_int(*hash, PyTuple_GET_SIZE(op));
        int status = 0;
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(op) && status == 0; i++) {
            status = hash_object(hash, PyTuple_GET_ITEM(op, i));
        }
        Py_LeaveRecursiveCall();
        return status;
    }
    if (PyFrozenSet_CheckExact(op)) {
        return hash_set(hash, op);
    }
    if (PyLong_CheckExact(op) || PyFloat_CheckExact(op) || PyComplex_CheckExact(op) || PyBool_Check(op)) {
        PyObject *text = PyObject_Repr(op);
        if (text == NULL) {
            return -1;
        }
        *hash = hash_bytes(*hash, PyUnicode_DATA(text), PyUnicode_GET_LENGTH(text));
        Py_DECREF(text);
    }
    return 0;
}

int
slp_code_hash(PyCodeObject *code, uint64_t *hash)
{
    uint64_t h = HASH_START;
    PyObject *bytes = PyCode_GetCode(code);
    if (bytes == NULL) {
        return -1;
    }
    const int numbers[] = {code->co_argcount,  code->co_posonlyargcount, code->co_kwonlyargcount,
                           code->co_stacksize, code->co_flags,           code->co_nlocalsplus};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(numbers); i++) {
        h = hash_int(h, numbers[i]);
    }
    PyObject *const parts[] = {bytes,
                               code->co_exceptiontable,
                               code->co_consts,
                               code->co_names,
                               code->co_localsplusnames,
                               code->co_localspluskinds,
                               code->co_qualname};
    int status = 0;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(parts) && status == 0; i++) {
        status = hash_object(&h, parts[i]);
    }
    Py_DECREF(bytes);
    *hash = h;
    return status;
}

PyObject *
slp_code_hash_method(PyObject *module, PyObject *code)
{
    uint64_t hash;
    if (!PyCode_Check(code)) {
        return PyErr_Format(PyExc_TypeError, "code_hash() argument must be a code object, not %.200s",
                            Py_TYPE(code)->tp_name);
    }
    return slp_code_hash((PyCodeObject *)code, &hash) < 0 ? NULL : PyLong_FromUnsignedLongLong(hash);
}

PyObject *
slp_slot_names(PyObject *module, PyObject *code)
{
    if (!PyCode_Check(code)) {
        return PyErr_Format(PyExc_TypeError, "slot_names() argument must be a code object, not %.200s",
                            Py_TYPE(code)->tp_name);
    }
    return Py_NewRef(((PyCodeObject *)code)->co_localsplusnames);
}

/* --- code objects --- */

/* Images of another bytecode or of other shims do not load: the bytecode's magic number, and a version of
 * ours that changes with the shims and with the form of images. */
#define SHIM_VERSION 1

/* -1 with an exception. */
static long
image_version(void)
{
    long magic = PyImport_GetMagicNumber();
    return magic == -1 ? -1 : (magic & 0xffff) * 1000 + SHIM_VERSION;
}

/* In an image: code(version, hash, *arguments of types.CodeType). */
PyObject *
slp_reduce_code(PyObject *module, PyObject *op)
{
    if (!PyCode_Check(op)) {
        return PyErr_Format(PyExc_TypeError, "reduce_code() argument must be a code object, not %.200s",
                            Py_TYPE(op)->tp_name);
    }
    PyCodeObject *code = (PyCodeObject *)op;
    uint64_t hash;
    long version = image_version();
    if (version < 0 || slp_code_hash(code, &hash) < 0) {
        return NULL;
    }
    PyObject *make = PyObject_GetAttrString(module, "code");
    PyObject *bytes = PyCode_GetCode(code);
    PyObject *varnames = PyCode_GetVarnames(code);
    PyObject *freevars = PyCode_GetFreevars(code);
    PyObject *cellvars = PyCode_GetCellvars(code);
    PyObject *result = NULL;
    if (make != NULL && bytes != NULL && varnames != NULL && freevars != NULL && cellvars != NULL) {
        result = Py_BuildValue("O(lKiiiiiiOOOOOOOiOOOO)", make, version, (unsigned long long)hash,
                               code->co_argcount, code->co_posonlyargcount, code->co_kwonlyargcount,
                               code->co_nlocals, code->co_stacksize, code->co_flags, bytes, code->co_consts,
                               code->co_names, varnames, code->co_filename, code->co_name, code->co_qualname,
                               code->co_firstlineno, code->co_linetable, code->co_exceptiontable, freevars,
                               cellvars);
    }
    Py_XDECREF(make);
    Py_XDECREF(bytes);
    Py_XDECREF(varnames);
    Py_XDECREF(freevars);
    Py_XDECREF(cellvars);
    return result;
}

PyObject *
slp_make_code(PyObject *module, PyObject *args)
{
    if (PyTuple_GET_SIZE(args) != 20 || !PyLong_CheckExact(PyTuple_GET_ITEM(args, 0))
        || !PyLong_CheckExact(PyTuple_GET_ITEM(args, 1))) {
        return slp_refuse_image("code", "it is not described by a version, a hash and 18 arguments");
    }
    long version = PyLong_AsLong(PyTuple_GET_ITEM(args, 0));
    if (version == -1 && PyErr_Occurred()) {
        return NULL;
    }
    long here = image_version();
    if (here < 0) {
        return NULL;
    }
    if (version != here) {
        return slp_refuse_image("code",
                                "the image was made by another Python: bytecode %ld and shims %ld, here they "
                                "are %ld and %ld",
                                version / 1000, version % 1000, here / 1000, here % 1000);
    }
    PyObject *rest = PyTuple_GetSlice(args, 2, 20);
    PyObject *code = rest == NULL ? NULL : PyObject_CallObject((PyObject *)&PyCode_Type, rest);
    Py_XDECREF(rest);
    if (code == NULL) {
        return NULL;
    }
    /* First of all: the base reads and writes past the end of code that breaks off. */
    if (slp_stackmap_get((PyCodeObject *)code) == NULL) {
        Py_DECREF(code);
        return NULL;
    }
    uint64_t hash;
    unsigned long long wanted = PyLong_AsUnsignedLongLong(PyTuple_GET_ITEM(args, 1));
    if ((wanted == (unsigned long long)-1 && PyErr_Occurred())
        || slp_code_hash((PyCodeObject *)code, &hash) < 0) {
        Py_DECREF(code);
        return NULL;
    }
    if (hash != wanted) {
        slp_refuse_image("code", "that of %U does not have the hash that the image gives",
                         ((PyCodeObject *)code)->co_qualname);
        Py_DECREF(code);
        return NULL;
    }
    return code;
}

/* --- modules --- */

/* Is it sys.modules[name]? */
static bool
is_loaded_as(PyObject *module, PyObject *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *found = PyDict_GetItemWithError(modules, name);
    if (found == NULL) {
        PyErr_Clear();
    }
    return found == module;
}

PyObject *
slp_reduce_module(PyObject *module, PyObject *pickled)
{
    if (!PyModule_Check(pickled)) {
        return PyErr_Format(PyExc_TypeError, "reduce_module() argument must be a module, not %.200s",
                            Py_TYPE(pickled)->tp_name);
    }
    PyObject *name = PyModule_GetNameObject(pickled);
    if (name == NULL) {
        return NULL;
    }
    PyObject *result = NULL;
    if (is_loaded_as(pickled, name)) {
        PyObject *importlib = PyImport_ImportModule("importlib");
        PyObject *import = importlib == NULL ? NULL : PyObject_GetAttrString(importlib, "import_module");
        result = import == NULL ? NULL : Py_BuildValue("O(O)", import, name);
        Py_XDECREF(import);
        Py_XDECREF(importlib);
    }
    else {
        PyObject *make = PyModule_CheckExact(pickled) ? PyObject_GetAttrString(module, "module")
                                                      : Py_NewRef(Py_TYPE(pickled));
        result = make == NULL ? NULL : Py_BuildValue("O(O)O", make, name, PyModule_GetDict(pickled));
        Py_XDECREF(make);
    }
    Py_DECREF(name);
    return result;
}

PyObject *
slp_make_module(PyObject *wrap, PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        return slp_refuse_image("a module", "its name is no str, but %.200s", Py_TYPE(name)->tp_name);
    }
    return PyModule_NewObject(name);
}

/* dict[name], for an exact str: borrowed, or NULL.  Runs no __eq__() of other keys, raises no exception, and
 * clears none. */
static PyObject *
find_by_name(PyObject *dict, PyObject *name)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    if (((PyDictObject *)dict)->ma_keys->dk_kind != DICT_KEYS_GENERAL) {
        return PyDict_GetItemWithError(dict, name);
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (PyUnicode_CheckExact(key) && PyUnicode_Compare(key, name) == 0) {
            return value;
        }
    }
    return NULL;
}

PyObject *
slp_name_of_module_dict(PyObject *dict)
{
    PyObject *name = find_by_name(dict, &_Py_ID(__name__));
    if (name == NULL || !PyUnicode_CheckExact(name)) {
        return NULL;
    }
    PyObject *found = find_by_name(PyImport_GetModuleDict(), name);
    if (found == NULL || !PyModule_Check(found) || PyModule_GetDict(found) != dict) {
        return NULL;
    }
    return name;
}

PyObject *
slp_globals_out(PyObject *globals)
{
    PyObject *name = slp_name_of_module_dict(globals);
    return Py_NewRef(name != NULL ? name : globals);
}

PyObject *
slp_make_module_dict(PyObject *wrap, PyObject *name)
{
    if (!PyUnicode_Check(name)) {
        return slp_refuse_image("a module's dict", "its name is no str, but %.200s", Py_TYPE(name)->tp_name);
    }
    PyObject *module = PyImport_GetModule(name);
    if (module == NULL && !PyErr_Occurred()) {
        module = PyImport_Import(name);
    }
    if (module == NULL) {
        return NULL;
    }
    if (!PyModule_Check(module)) {
        Py_DECREF(module);
        return slp_refuse_image("a module's dict", "%R is no module", name);
    }
    PyObject *dict = Py_NewRef(PyModule_GetDict(module));
    Py_DECREF(module);
    return dict;
}

PyObject *
slp_globals_in(PyObject *ref, const char *what)
{
    if (PyDict_CheckExact(ref)) {
        return Py_NewRef(ref);
    }
    if (!PyUnicode_Check(ref)) {
        return slp_refuse_image(what, "its globals are no dict, but %.200s", Py_TYPE(ref)->tp_name);
    }
    return slp_make_module_dict(NULL, ref);
}

/* --- references to modules' dicts, which stand in a frame where the dict itself was --- */

typedef struct {
    PyObject_HEAD
    PyObject *name;
} module_dict_ref;

static void
ref_dealloc(PyObject *self)
{
    Py_DECREF(((module_dict_ref *)self)->name);
    PyObject_Free(self);
}

static PyObject *
ref_reduce(PyObject *self, PyObject *noargs)
{
    PyObject *wrap = PyImport_ImportModule("_stackless._wrap");
    PyObject *make = wrap == NULL ? NULL : PyObject_GetAttrString(wrap, "module_dict");
    PyObject *result = make == NULL ? NULL : Py_BuildValue("O(O)", make, ((module_dict_ref *)self)->name);
    Py_XDECREF(make);
    Py_XDECREF(wrap);
    return result;
}

static PyMethodDef ref_methods[] = {
    {"__reduce__", ref_reduce, METH_NOARGS, "The module's dict."},
    {NULL},
};

PyTypeObject slp_module_dict_ref_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.module_dict_reference",
    .tp_basicsize = sizeof(module_dict_ref),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = ref_dealloc,
    .tp_methods = ref_methods,
};

PyObject *
slp_new_module_dict_ref(PyObject *name)
{
    module_dict_ref *ref = PyObject_New(module_dict_ref, &slp_module_dict_ref_type);
    if (ref != NULL) {
        ref->name = Py_NewRef(name);
    }
    return (PyObject *)ref;
}

/* --- tracebacks --- */

/* In an image: traceback([(code, globals, lasti, lineno), ...]), the outermost first.  What the local
 * variables of the frames were is not kept. */
PyObject *
slp_reduce_traceback(PyObject *module, PyObject *op)
{
    if (!PyTraceBack_Check(op)) {
        return PyErr_Format(PyExc_TypeError, "reduce_traceback() argument must be a traceback, not %.200s",
                            Py_TYPE(op)->tp_name);
    }
    PyObject *make = PyObject_GetAttrString(module, "traceback");
    /* The collector would run any code, which may set tb_next. */
    int collecting = PyGC_Disable();
    PyObject *entries = PyList_New(0);
    for (PyTracebackObject *tb = (PyTracebackObject *)op; entries != NULL && tb != NULL; tb = tb->tb_next) {
        _PyInterpreterFrame *frame = tb->tb_frame->f_frame;
        PyObject *globals = slp_globals_out(frame->f_globals);
        PyObject *entry = Py_BuildValue("ONii", frame->f_code, globals, tb->tb_lasti, tb->tb_lineno);
        if (entry == NULL || PyList_Append(entries, entry) < 0) {
            Py_CLEAR(entries);
        }
        Py_XDECREF(entry);
    }
    if (collecting) {
        PyGC_Enable();
    }
    PyObject *result = entries != NULL && make != NULL ? Py_BuildValue("O(O)", make, entries) : NULL;
    Py_XDECREF(make);
    Py_XDECREF(entries);
    return result;
}

/* A frame that has ended at `lasti`, without its variables. */
static PyFrameObject *
make_ended_frame(PyCodeObject *code, PyObject *globals, int lasti)
{
    PyFrameObject *f = PyFrame_New(_PyThreadState_GET(), code, globals, NULL);
    if (f == NULL) {
        return NULL;
    }
    for (int i = 0; i < code->co_nlocalsplus; i++) {
        if (_PyLocals_GetKind(code->co_localspluskinds, i) & CO_FAST_FREE) {
            /* Readers of f_locals count on these. */
            PyObject *cell = PyCell_New(NULL);
            if (cell == NULL) {
                Py_DECREF(f);
                return NULL;
            }
            Py_XSETREF(f->f_frame->localsplus[i], cell);
        }
    }
    f->f_frame->prev_instr = _PyCode_CODE(code) + lasti;
    return f;
}

/* One entry, put on top of `next` (stolen, None at the innermost one). */
static PyObject *
make_entry(PyObject *entry, PyObject *next)
{
    PyCodeObject *code;
    PyObject *ref;
    int lasti, lineno;
    if (!PyTuple_Check(entry)
        || !PyArg_ParseTuple(entry, "O!Oii:traceback", &PyCode_Type, &code, &ref, &lasti, &lineno)) {
        Py_DECREF(next);
        return PyErr_Occurred() ? NULL : slp_refuse_image("a traceback", "an entry is no tuple");
    }
    if (lasti < 0 || lasti % (int)sizeof(_Py_CODEUNIT) != 0
        || lasti / (int)sizeof(_Py_CODEUNIT) >= Py_SIZE(code)) {
        Py_DECREF(next);
        return slp_refuse_image("a traceback", "%d is no offset in the code of %U", lasti, code->co_qualname);
    }
    PyObject *globals = slp_globals_in(ref, "a traceback");
    PyFrameObject *frame =
        globals == NULL ? NULL : make_ended_frame(code, globals, lasti / (int)sizeof(_Py_CODEUNIT));
    PyObject *tb = NULL;
    if (frame != NULL) {
        tb = PyObject_CallFunction((PyObject *)&PyTraceBack_Type, "OOii", next, frame, lasti, lineno);
    }
    Py_XDECREF(frame);
    Py_XDECREF(globals);
    Py_DECREF(next);
    return tb;
}

PyObject *
slp_make_traceback(PyObject *module, PyObject *args)
{
    PyObject *entries;
    if (!PyArg_ParseTuple(args, "O!:traceback", &PyList_Type, &entries)) {
        return NULL;
    }
    if (PyList_GET_SIZE(entries) == 0) {
        return slp_refuse_image("a traceback", "it has no entries");
    }
    entries = PyList_AsTuple(entries);
    if (entries == NULL) {
        return NULL;
    }
    PyObject *tb = Py_NewRef(Py_None);
    for (Py_ssize_t i = PyTuple_GET_SIZE(entries); i > 0 && tb != NULL; i--) {
        tb = make_entry(PyTuple_GET_ITEM(entries, i - 1), tb);
    }
    Py_DECREF(entries);
    return tb;
}
