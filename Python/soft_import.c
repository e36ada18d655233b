/* Imports: the import machinery, which is Python code, and so the bodies of modules run as frames.
 *
 * The base's C function resolves the name and looks whether the module is there.  Where it is not, it calls
 * importlib's _find_and_load(); where names may be submodules of a package, _handle_fromlist().  What C calls
 * of a Python function is the pointer in it: there record_call() stands, which keeps the arguments and lets
 * the C function fail.  Then the frame is entered here:
 *
 *      import a.b
 *        1. C: "a.b" is not in sys.modules; record_call() for _find_and_load()
 *        2. <import> shim ──> _find_and_load("a.b", __import__) ──> exec(code of a.b)
 *        3. the shim does the rest of the C function's work, whose last step may be
 *                         ──> _handle_fromlist(module, names, __import__)
 *
 * Modules that are there cost nothing of this.  With -X importtime, C does it all, since it takes the time.
 */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_softcall.h"
#include "slp_support.h"

/* What the shim's stack holds. */
enum {
    NAME,           /* as in the statement */
    FULL_NAME,      /* with the package's name before it, where it is relative */
    LEVEL,          /* an int */
    NAMES,          /* the names behind `import`, or NULL */
    STACK_SIZE = NAMES + 2,
};

/* Where the shim waits for _find_and_load(), and for _handle_fromlist(). */
enum { ENTRY_LOADED = 1, ENTRY_HANDLED = 3 };

static PyCodeObject *shim_import;

/* The call that C wants to make on behalf of the loop activation of `cframe`. */
static __thread struct {
    _PyCFrame *cframe;       /* NULL: nothing is recorded */
    PyObject *function;      /* strong, as `args`; NULL: nothing was called */
    PyObject *args;
} recording;

/* The vectorcall of _find_and_load() and _handle_fromlist(). */
static PyObject *
record_call(PyObject *function, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    if (recording.cframe == NULL || recording.cframe != _PyThreadState_GET()->cframe
        || recording.function != NULL || kwnames != NULL) {
        return _PyFunction_Vectorcall(function, args, nargsf, kwnames);
    }
    PyObject *values = _PyTuple_FromArray(args, PyVectorcall_NARGS(nargsf));
    if (values != NULL) {
        recording.args = values;
        recording.function = Py_NewRef(function);
        PyErr_SetNone(PyExc_SystemExit);   /* not for long */
    }
    return NULL;
}

/* Let the function of importlib record its calls.  False: it is none of ours. */
static bool
let_record(PyObject *importlib, PyObject *name)
{
    PyObject *function = PyDict_GetItemWithError(PyModule_GetDict(importlib), name);
    if (function == NULL || !Py_IS_TYPE(function, &PyFunction_Type)) {
        return false;
    }
    PyFunctionObject *func = (PyFunctionObject *)function;
    if (func->vectorcall == _PyFunction_Vectorcall) {
        func->vectorcall = record_call;
    }
    return func->vectorcall == record_call;
}

/* Is a module there that `import name` only has to look up? */
static bool
is_loaded(PyThreadState *tstate, PyObject *name)
{
    PyObject *modules = tstate->interp->modules;
    if (!PyDict_CheckExact(modules) || !PyUnicode_CheckExact(name)) {
        return false;
    }
    PyObject *module = PyDict_GetItemWithError(modules, name);
    return module != NULL && module != Py_None;
}

/* Would the frames be of use? */
static bool
may_be_soft(PyThreadState *tstate, PyObject *name, PyObject *names, int level)
{
    if (level == 0 && (names == NULL || names == Py_None) && is_loaded(tstate, name)) {
        return false;
    }
    PyObject *importlib = tstate->interp->importlib;
    return importlib != NULL && PyModule_Check(importlib)
           && !_PyInterpreterState_GetConfig(tstate->interp)->import_time
           && let_record(importlib, &_Py_ID(_find_and_load))
           && let_record(importlib, &_Py_ID(_handle_fromlist));
}

PyObject *
slp_soft_import(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *name, PyObject *globals,
                PyObject *locals, PyObject *names, int level, _PyInterpreterFrame **top)
{
    if (top == NULL || !may_be_soft(tstate, name, names, level)) {
        return PyImport_ImportModuleLevelObject(name, globals, locals, names, level);
    }
    recording.cframe = tstate->cframe;
    recording.function = NULL;
    PyObject *module = PyImport_ImportModuleLevelObject(name, globals, locals, names, level);
    recording.cframe = NULL;
    if (recording.function == NULL) {
        return module;
    }
    assert(module == NULL);
    _PyErr_Clear(tstate);
    PyFunctionObject *function = (PyFunctionObject *)recording.function;
    PyObject *args = recording.args;
    recording.function = NULL;
    /* _find_and_load(name, import) or _handle_fromlist(module, names, import) */
    bool loads = PyTuple_GET_SIZE(args) == 2;
    PyObject *values[4] = {name, PyTuple_GET_ITEM(args, 0), NULL, names};
    PyObject *answer = NULL;
    values[LEVEL] = PyLong_FromLong(level);
    if (values[LEVEL] != NULL) {
        answer = slp_enter_above(tstate, below, shim_import, loads ? ENTRY_LOADED : ENTRY_HANDLED, values, 4,
                                 function, &PyTuple_GET_ITEM(args, 0), PyTuple_GET_SIZE(args), top);
        Py_DECREF(values[LEVEL]);
    }
    Py_DECREF(function);
    Py_DECREF(args);
    return answer;
}

/* --- after _find_and_load() --- */

/* import a.b: the package `a`.  Level 0: as a module of its own; else it is found by its full name, which is
 * `cut` characters shorter than that of the module. */
static PyObject *
first_package(PyThreadState *tstate, slp_stack *stack, long level, Py_ssize_t dot)
{
    PyObject *name = stack->values[NAME];
    PyObject *full_name = stack->values[FULL_NAME];
    PyObject *package;
    if (level == 0) {
        PyObject *front = PyUnicode_Substring(name, 0, dot);
        package = front == NULL ? NULL : PyImport_ImportModuleLevelObject(front, NULL, NULL, NULL, 0);
        Py_XDECREF(front);
        return package;
    }
    Py_ssize_t cut = PyUnicode_GET_LENGTH(name) - dot;
    PyObject *front = PyUnicode_Substring(full_name, 0, PyUnicode_GET_LENGTH(full_name) - cut);
    if (front == NULL) {
        return NULL;
    }
    package = PyImport_GetModule(front);
    if (package == NULL && !_PyErr_Occurred(tstate)) {
        _PyErr_Format(tstate, PyExc_KeyError, "%R not in sys.modules as expected", front);
    }
    Py_DECREF(front);
    return package;
}

/* from package import names: importlib looks for submodules. */
static PyObject *
handle_names(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, PyObject *module,
             _PyInterpreterFrame **top)
{
    PyObject *path;
    if (_PyObject_LookupAttr(module, &_Py_ID(__path__), &path) < 0) {
        return NULL;
    }
    if (path == NULL) {
        return Py_NewRef(module);
    }
    Py_DECREF(path);
    PyObject *function = PyObject_GetAttr(tstate->interp->importlib, &_Py_ID(_handle_fromlist));
    if (function == NULL) {
        return NULL;
    }
    PyObject *args[3] = {module, stack->values[NAMES], tstate->interp->import_func};
    PyObject *answer = slp_soft_call(tstate, shim, function, args, 3, NULL, top);
    if (answer == SLP_NOT_SOFT) {
        answer = PyObject_Vectorcall(function, args, 3, NULL);
    }
    Py_DECREF(function);
    stack->entry = ENTRY_HANDLED;
    return answer;
}

/* Stack: up to NAMES, and the module.  What `import` binds, or the frame of _handle_fromlist(). */
PyObject *
slp_go_import_loaded(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                     _PyInterpreterFrame **top)
{
    PyObject *module = stack->values[NAMES + 1];
    PyObject *name = stack->values[NAME];
    PyObject *names = stack->values[NAMES];
    long level = PyLong_AsLong(stack->values[LEVEL]);
    PyObject *answer;
    int has_names = names == NULL || names == Py_None ? 0 : PyObject_IsTrue(names);
    if (has_names < 0) {
        return NULL;
    }
    stack->count--;
    if (has_names) {
        answer = handle_names(tstate, shim, stack, module, top);
    }
    else {
        Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), 1);
        if (dot >= 0) {
            answer = first_package(tstate, stack, level, dot);
        }
        else {
            answer = dot == -1 ? Py_NewRef(module) : NULL;
        }
    }
    Py_DECREF(module);
    return answer;
}

/* --- errors --- */

/* Is it a frame of the import machinery? */
static bool
is_importlib(PyCodeObject *code)
{
    return _PyUnicode_EqualToASCIIString(code->co_filename, "<frozen importlib._bootstrap>")
           || _PyUnicode_EqualToASCIIString(code->co_filename, "<frozen importlib._bootstrap_external>");
}

/* Take the import machinery's entries out of a traceback: all of them for an ImportError, which says itself
 * what is missing; else each run of them that ends where it called the code of a module.  A new reference, or
 * NULL for nothing left. */
static PyObject *
trim_traceback(PyObject *traceback, bool is_import_error)
{
    PyObject *first = Py_XNewRef(traceback);
    PyObject **link = &first;       /* what refers to the entry that is looked at */
    PyObject **run = NULL;          /* what refers to the first of a run of the machinery's */
    while (*link != NULL) {
        PyTracebackObject *entry = (PyTracebackObject *)*link;
        PyCodeObject *code = PyFrame_GetCode(entry->tb_frame);
        bool in_importlib = is_importlib(code);
        bool calls_module = _PyUnicode_EqualToASCIIString(code->co_name, "_call_with_frames_removed");
        Py_DECREF(code);
        if (!in_importlib) {
            run = NULL;
        }
        else if (run == NULL) {
            run = link;
        }
        if (in_importlib && (is_import_error || calls_module)) {
            PyObject *rest = Py_XNewRef((PyObject *)entry->tb_next);
            Py_XSETREF(*run, rest);
            link = run;
        }
        else {
            link = (PyObject **)&entry->tb_next;
        }
    }
    return first;
}

/* Stack: up to NAMES, and the exception. */
PyObject *
slp_go_import_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                     _PyInterpreterFrame **top)
{
    PyObject *exc = stack->values[--stack->count];
    PyObject *traceback = PyException_GetTraceback(exc);
    if (_PyInterpreterState_GetConfig(tstate->interp)->verbose == 0) {
        bool is_import_error = PyErr_GivenExceptionMatches(exc, PyExc_ImportError);
        Py_XSETREF(traceback, trim_traceback(traceback, is_import_error));
        PyException_SetTraceback(exc, traceback == NULL ? Py_None : traceback);
    }
    _PyErr_Restore(tstate, Py_NewRef(PyExceptionInstance_Class(exc)), exc, traceback);
    return NULL;
}

/* --- __import__(name, globals=None, locals=None, fromlist=(), level=0) --- */

enum { ARG_NAME, ARG_GLOBALS, ARG_LOCALS, ARG_NAMES, ARG_LEVEL, ARG_COUNT };

/* Which argument is called that; -1: none. */
static int
find_argument(PyObject *keyword)
{
    static const char *const keywords[ARG_COUNT] = {"name", "globals", "locals", "fromlist", "level"};
    for (int i = 0; i < ARG_COUNT; i++) {
        if (_PyUnicode_EqualToASCIIString(keyword, keywords[i])) {
            return i;
        }
    }
    return -1;
}

static PyObject *
soft_import(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
            Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *values[ARG_COUNT] = {NULL};
    if (nargs > ARG_COUNT) {
        return SLP_NOT_SOFT;
    }
    memcpy(values, args, (size_t)nargs * sizeof(PyObject *));
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        int index = find_argument(PyTuple_GET_ITEM(kwnames, i));
        if (index < 0 || values[index] != NULL) {
            return SLP_NOT_SOFT;
        }
        values[index] = args[nargs + i];
    }
    if (values[ARG_NAME] == NULL || !PyUnicode_Check(values[ARG_NAME])
        || (values[ARG_LEVEL] != NULL && !PyLong_CheckExact(values[ARG_LEVEL]))) {
        return SLP_NOT_SOFT;
    }
    int overflow = 0;
    long level = values[ARG_LEVEL] == NULL ? 0 : PyLong_AsLongAndOverflow(values[ARG_LEVEL], &overflow);
    if (overflow || level < 0 || level > INT_MAX) {
        return SLP_NOT_SOFT;
    }
    return slp_soft_import(tstate, below, values[ARG_NAME], values[ARG_GLOBALS], values[ARG_LOCALS],
                           values[ARG_NAMES], (int)level, top);
}

void
slp_soft_import_init(void)
{
    /* The shim waits before instruction 1 for the module, before 3 for what _handle_fromlist() returns. */
    static const uint8_t code[] = {NOP, 0, SLP_GO_ON, SLP_GO_IMPORT_LOADED, NOP, 0, SLP_RETURN, 0,
                                   SLP_GO_ON, SLP_GO_IMPORT_FAILED};
    static const uint8_t handlers[] = {0x80 | 0, 3, 4, (NAMES + 1) << 1};
    shim_import = slp_shim_make("<import>", STACK_SIZE, code, sizeof(code), handlers, sizeof(handlers));
    if (shim_import == NULL) {
        Py_FatalError("cannot prepare imports");
    }
    slp_soft_register_builtin("__import__", soft_import);
}
