/* exec() and eval(): the code runs as a frame, which takes its locals from the call.
 *
 * Source text is compiled in C first.  Arguments that are refused are left to C, which says why; so nothing
 * that can be seen happens before all of them are known to be good.
 */
#include "slp_frame.h"
#include "slp_softcall.h"

/* In the base's pythonrun.c; no header shows it. */
extern const char *_Py_SourceAsString(PyObject *source, const char *function, const char *wanted,
                                      PyCompilerFlags *flags, PyObject **copy);

/* exec() gives None, whatever the code returns. */
static PyCodeObject *shim_exec;

/* A call of exec() or eval(), all borrowed. */
typedef struct {
    PyObject *source;
    PyObject *globals;
    PyObject *locals;
    PyObject *closure;       /* NULL: none */
} run_call;

/* The newest frame from `frame` downwards that is Python code's, or NULL. */
static _PyInterpreterFrame *
python_frame(_PyInterpreterFrame *frame)
{
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame;
}

/* Where the call leaves them out, the caller's globals and locals.  1; 0: let C refuse the call; -1 with an
 * exception. */
static int
complete(run_call *call, _PyInterpreterFrame *below)
{
    if (call->globals == Py_None) {
        _PyInterpreterFrame *caller = python_frame(below);
        if (caller == NULL) {
            return 0;
        }
        call->globals = caller->f_globals;
        if (call->locals == Py_None) {
            if (_PyFrame_FastToLocalsWithError(caller) < 0) {
                return -1;
            }
            call->locals = caller->f_locals;
        }
    }
    else if (call->locals == Py_None) {
        call->locals = call->globals;
    }
    return PyDict_Check(call->globals) && PyMapping_Check(call->locals);
}

/* Does the closure fit the free variables of the code? */
static bool
closure_fits(const run_call *call)
{
    Py_ssize_t wanted = ((PyCodeObject *)call->source)->co_nfreevars;
    if (call->closure == NULL) {
        return wanted == 0;
    }
    if (wanted == 0 || !PyTuple_CheckExact(call->closure) || PyTuple_GET_SIZE(call->closure) != wanted) {
        return false;
    }
    for (Py_ssize_t i = 0; i < wanted; i++) {
        if (!PyCell_Check(PyTuple_GET_ITEM(call->closure, i))) {
            return false;
        }
    }
    return true;
}

/* Compile what is no code object.  NULL with an exception. */
static PyObject *
compile_source(PyObject *source, const char *function, int start)
{
    PyCompilerFlags flags = _PyCompilerFlags_INIT;
    PyObject *copy = NULL;
    flags.cf_flags = PyCF_SOURCE_IS_UTF8;
    const char *text = _Py_SourceAsString(source, function, "string, bytes or code", &flags, &copy);
    if (text == NULL) {
        return NULL;
    }
    if (start == Py_eval_input) {
        text += strspn(text, " \t");
    }
    (void)PyEval_MergeCompilerFlags(&flags);
    PyObject *code = Py_CompileStringExFlags(text, "<string>", start, &flags, -1);
    Py_XDECREF(copy);
    return code;
}

/* Push the frame of `code` on `below`; a soft function's answer. */
static PyObject *
enter_code(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *code, const run_call *call,
           _PyInterpreterFrame **top)
{
    PyObject *builtins = _PyEval_BuiltinsFromGlobals(tstate, call->globals);
    if (builtins == NULL) {
        return NULL;
    }
    PyFrameConstructor parts = {
        .fc_globals = call->globals,
        .fc_builtins = builtins,
        .fc_name = ((PyCodeObject *)code)->co_name,
        .fc_qualname = ((PyCodeObject *)code)->co_name,
        .fc_code = code,
        .fc_closure = call->closure,
    };
    Py_INCREF(builtins);   /* a collection may run, whose code changes the globals */
    PyFunctionObject *func = _PyFunction_FromConstructor(&parts);
    Py_DECREF(builtins);
    if (func == NULL) {
        return NULL;
    }
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, func, Py_NewRef(call->locals), NULL, 0, NULL);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = below;
    *top = frame;
    return SLP_ENTER;
}

/* The common part: audit, compile, and the frame, on `waiting`. */
static PyObject *
run(PyThreadState *tstate, _PyInterpreterFrame *waiting, const run_call *call, const char *function,
    int start, _PyInterpreterFrame **top)
{
    int has_builtins = PyDict_Contains(call->globals, &_Py_ID(__builtins__));
    if (has_builtins < 0
        || (has_builtins == 0
            && PyDict_SetItem(call->globals, &_Py_ID(__builtins__), PyEval_GetBuiltins()) < 0)) {
        return NULL;
    }
    PyObject *code = PyCode_Check(call->source) ? Py_NewRef(call->source)
                                                : compile_source(call->source, function, start);
    PyObject *answer = NULL;
    if (code != NULL && PySys_Audit("exec", "O", code) == 0) {
        answer = enter_code(tstate, waiting, code, call, top);
    }
    Py_XDECREF(code);
    return answer;
}

/* Look at the arguments.  1: `call` is complete and good; 0: let C refuse it; -1 with an exception. */
static int
parse(run_call *call, _PyInterpreterFrame *below, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs < 1 || nargs > 3) {
        return 0;
    }
    *call = (run_call){args[0], nargs > 1 ? args[1] : Py_None, nargs > 2 ? args[2] : Py_None, NULL};
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        if (PyTuple_GET_SIZE(kwnames) > 1
            || !_PyUnicode_EqualToASCIIString(PyTuple_GET_ITEM(kwnames, 0), "closure")
            || !PyCode_Check(call->source)) {
            return 0;
        }
        call->closure = args[nargs] == Py_None ? NULL : args[nargs];
    }
    if (PyCode_Check(call->source) && !closure_fits(call)) {
        return 0;
    }
    return complete(call, below);
}

static PyObject *
soft_exec(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    run_call call;
    int good = parse(&call, below, args, nargs, kwnames);
    if (good <= 0) {
        return good < 0 ? NULL : SLP_NOT_SOFT;
    }
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_exec, 0, NULL, 0);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = run(tstate, shim, &call, "exec", Py_file_input, top);
    if (answer == NULL) {
        slp_frame_clear_and_pop(tstate, shim);
    }
    return answer;
}

static PyObject *
soft_eval(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
          Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    run_call call;
    int good = kwnames == NULL ? parse(&call, below, args, nargs, NULL) : 0;
    if (good <= 0) {
        return good < 0 ? NULL : SLP_NOT_SOFT;
    }
    return run(tstate, below, &call, "eval", Py_eval_input, top);
}

void
slp_soft_exec_init(void)
{
    static const uint8_t code[] = {SLP_GIVE_NONE, 0};
    shim_exec = slp_shim_make("<exec>", 1, code, sizeof(code), NULL, 0);
    if (shim_exec == NULL) {
        Py_FatalError("cannot prepare exec()");
    }
    slp_soft_register_builtin("exec", soft_exec);
    slp_soft_register_builtin("eval", soft_eval);
}
