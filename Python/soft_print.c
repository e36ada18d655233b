/* print(): soft where the file is written to by Python code, or where an argument's text is made by it.
 *
 *      print(a, b, end="", file=log)
 *
 * is written in pieces, "a", " ", "b" and "".  As in C, the file's write() is got for each of them, then the
 * text is made, then it is written; in the end the file is flushed.  The shim goes on after each frame:
 *
 *      caller ──> <print> shim: [file, (a, b), piece 2, TEXT, write, ...] ──> b.__str__()
 */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_loops.h"
#include "slp_softcall.h"

/* What the shim's stack holds. */
enum {
    FILE_OBJECT,
    SEPARATOR,      /* a str */
    END,            /* a str */
    FLUSH,          /* a bool */
    ARGS,           /* a tuple */
    PIECE,          /* which one, an int: the arguments have even numbers; what comes behind one, odd ones */
    WAITS_FOR,      /* what a frame is doing: an int, one of those below */
    METHOD,         /* the bound write() or flush(), or NULL */
    STACK_SIZE = METHOD + 2,
};

enum {
    TEXT,
    WRITTEN,
    FLUSHED,
};

static PyCodeObject *shim_print;

#define SPACE   ((PyObject *)&_Py_SINGLETON(strings).ascii[' '])
#define NEWLINE ((PyObject *)&_Py_SINGLETON(strings).ascii['\n'])

/* The keyword arguments, borrowed; NULL where there is none. */
typedef struct {
    PyObject *sep, *end, *file, *flush;
} print_options;

static bool
read_options(print_options *options, PyObject *const *values, PyObject *kwnames)
{
    for (Py_ssize_t i = 0; kwnames != NULL && i < PyTuple_GET_SIZE(kwnames); i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        PyObject **option = _PyUnicode_EqualToASCIIString(name, "sep")     ? &options->sep
                            : _PyUnicode_EqualToASCIIString(name, "end")   ? &options->end
                            : _PyUnicode_EqualToASCIIString(name, "file")  ? &options->file
                            : _PyUnicode_EqualToASCIIString(name, "flush") ? &options->flush
                                                                           : NULL;
        if (option == NULL) {
            return false;
        }
        *option = values[i] == Py_None ? NULL : values[i];
    }
    return true;
}

/* The piece of that number (borrowed); NULL behind the last one. */
static PyObject *
piece_at(PyObject **values, Py_ssize_t number)
{
    Py_ssize_t count = PyTuple_GET_SIZE(values[ARGS]);
    if (number >= 2 * count) {
        return count == 0 && number == 0 ? values[END] : NULL;
    }
    if (number % 2 == 0) {
        return PyTuple_GET_ITEM(values[ARGS], number / 2);
    }
    return number + 1 < 2 * count ? values[SEPARATOR] : values[END];
}

/* Remember what frames are entered for, before they are: it may fail.  -1 with an exception. */
static int
note(PyObject **values, Py_ssize_t number, int waits_for)
{
    return slp_set_int(&values[PIECE], number) < 0 ? -1 : slp_set_int(&values[WAITS_FOR], waits_for);
}

/* method(*args), args at most one: as a soft function, or the result. */
static PyObject *
call(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *method, PyObject *const *args,
     Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    PyObject *with_self[2] = {NULL, nargs == 0 ? NULL : args[0]};
    if (PyMethod_Check(method) && Py_IS_TYPE(PyMethod_GET_FUNCTION(method), &PyFunction_Type)) {
        with_self[0] = PyMethod_GET_SELF(method);
        return slp_enter_function(tstate, shim, (PyFunctionObject *)PyMethod_GET_FUNCTION(method), with_self,
                                  nargs + 1, NULL, top);
    }
    if (Py_IS_TYPE(method, &PyFunction_Type)) {
        return slp_enter_function(tstate, shim, (PyFunctionObject *)method, args, nargs, NULL, top);
    }
    PyObject *answer = PyCFunction_Check(method)
                           ? SLP_NOT_SOFT
                           : slp_soft_call(tstate, shim, method, args, nargs, NULL, top);
    return answer == SLP_NOT_SOFT ? PyObject_Vectorcall(method, args, (size_t)nargs, NULL) : answer;
}

/* Go on with the piece of that number, with its text, which is stolen, or NULL where it is not made yet:
 * SLP_ENTER, None, or NULL with an exception. */
static PyObject *
go_on(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject **values, Py_ssize_t number, PyObject *text,
      _PyInterpreterFrame **top)
{
    PyObject *answer, *piece;
    for (; (piece = piece_at(values, number)) != NULL; number++) {
        if (text == NULL) {
            Py_XSETREF(values[METHOD], PyObject_GetAttr(values[FILE_OBJECT], &_Py_ID(write)));
            if (values[METHOD] == NULL) {
                return NULL;
            }
            if (note(values, number, TEXT) < 0) {
                return NULL;
            }
            text = PyUnicode_CheckExact(piece) ? Py_NewRef(piece) : slp_soft_str(tstate, shim, piece, top);
            if (text == SLP_ENTER) {
                return SLP_ENTER;
            }
            if (text == SLP_NOT_SOFT) {
                text = PyObject_Str(piece);
            }
            if (text == NULL) {
                return NULL;
            }
        }
        answer = note(values, number, WRITTEN) < 0
                     ? NULL
                     : call(tstate, shim, values[METHOD], &text, 1, top);
        Py_CLEAR(text);
        if (answer == NULL || answer == SLP_ENTER) {
            return answer;
        }
        Py_DECREF(answer);
    }
    if (values[FLUSH] != Py_True) {
        return Py_NewRef(Py_None);
    }
    Py_XSETREF(values[METHOD], PyObject_GetAttr(values[FILE_OBJECT], &_Py_ID(flush)));
    answer = values[METHOD] == NULL || note(values, number, FLUSHED) < 0
                 ? NULL
                 : call(tstate, shim, values[METHOD], NULL, 0, top);
    if (answer == NULL || answer == SLP_ENTER) {
        return answer;
    }
    Py_DECREF(answer);
    return Py_NewRef(Py_None);
}

/* A frame has made a text, written one, or flushed the file. */
PyObject *
slp_go_print(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    PyObject **values = stack->values;
    PyObject *result = values[--stack->count];
    long waits_for = PyLong_AsLong(values[WAITS_FOR]);
    Py_ssize_t number = PyLong_AsSsize_t(values[PIECE]);
    stack->entry = 0;
    if (waits_for == TEXT && PyUnicode_Check(result) && values[METHOD] != NULL
        && piece_at(values, number) != NULL) {
        return go_on(tstate, shim, values, number, result, top);
    }
    Py_DECREF(result);
    return waits_for == FLUSHED ? Py_NewRef(Py_None) : go_on(tstate, shim, values, number + 1, NULL, top);
}

static PyObject *
soft_print(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
           Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    print_options options = {NULL, NULL, NULL, NULL};
    if (!read_options(&options, args + nargs, kwnames)) {
        return SLP_NOT_SOFT;
    }
    PyObject *file = options.file == NULL ? _PySys_GetAttr(tstate, &_Py_ID(stdout)) : options.file;
    /* Where the file is written to by print() itself, C has to count the levels: shims are not counted. */
    if (file == NULL || file == Py_None || below->f_code == shim_print) {
        return SLP_NOT_SOFT;
    }
    bool soft = slp_has_heap_type(file);
    for (Py_ssize_t i = 0; !soft && i < nargs; i++) {
        soft = slp_has_python_str(args[i]);
    }
    PyObject *sep = options.sep == NULL ? SPACE : options.sep;
    PyObject *end = options.end == NULL ? NEWLINE : options.end;
    /* C raises the TypeErrors, and asks what is no bool. */
    if (!soft || !PyUnicode_Check(sep) || !PyUnicode_Check(end)
        || (options.flush != NULL && !PyBool_Check(options.flush))) {
        return SLP_NOT_SOFT;
    }
    Py_INCREF(file);   /* a collection may run, whose code sets another sys.stdout */
    PyObject *pieces = _PyTuple_FromArray(args, nargs);
    if (pieces == NULL) {
        Py_DECREF(file);
        return NULL;
    }
    PyObject *values[] = {
        file, Py_NewRef(sep), Py_NewRef(end),
        Py_NewRef(options.flush == NULL ? Py_False : options.flush), pieces,
        Py_NewRef(_PyLong_GetZero()), Py_NewRef(_PyLong_GetZero()), NULL,
    };
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_print, 0, values, STACK_SIZE - 1);
    if (shim == NULL) {
        return NULL;
    }
    return slp_shim_begun(tstate, shim, go_on(tstate, shim, shim->localsplus, 0, NULL, top));
}

void
slp_soft_print_init(void)
{
    SLP_LOOP_MAKE(shim_print, "<print>", STACK_SIZE, SLP_GO_ON, SLP_GO_PRINT);
    slp_soft_register_builtin("print", soft_print);
}
