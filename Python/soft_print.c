/* print(): soft where the file is written to by Python code, or where an argument's text is made by it.
 *
 *      print(a, b, end="", file=log)
 *
 * is written in pieces, "a", " ", "b" and "".  <print> does for each of them what C does:
 *
 *      getattr(file, "write")(str(piece))
 *
 * and in the end getattr(file, "flush")(), if it is to be flushed.
 */
#include "slp_loops.h"

#include "slp_opcodes.h"
#include "slp_softcall.h"

/* [getattr, str, "write", "flush" or None, file, iterator of the pieces] */
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

/* The arguments with what stands between them and behind the last one. */
static PyObject *
pieces_of(PyObject *const *args, Py_ssize_t nargs, PyObject *sep, PyObject *end)
{
    PyObject *pieces = PyTuple_New(nargs == 0 ? 1 : 2 * nargs);
    if (pieces != NULL) {
        for (Py_ssize_t i = 0; i < nargs; i++) {
            PyTuple_SET_ITEM(pieces, 2 * i, Py_NewRef(args[i]));
            PyTuple_SET_ITEM(pieces, 2 * i + 1, Py_NewRef(i + 1 < nargs ? sep : end));
        }
        if (nargs == 0) {
            PyTuple_SET_ITEM(pieces, 0, Py_NewRef(end));
        }
    }
    return pieces;
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
    PyObject *pieces = pieces_of(args, nargs, sep, end);
    PyObject *iterator = pieces == NULL ? NULL : PyObject_GetIter(pieces);
    Py_XDECREF(pieces);
    if (iterator == NULL) {
        return NULL;
    }
    PyObject *answer = NULL;
    PyObject *getattr = slp_builtin(tstate, "getattr");
    if (getattr != NULL) {
        PyObject *flush = options.flush == Py_True ? &_Py_ID(flush) : Py_None;
        PyObject *values[] = {getattr, (PyObject *)&PyUnicode_Type, &_Py_ID(write), flush, file, iterator};
        answer = slp_enter_loop(tstate, below, shim_print, 0, values, 6, top);
    }
    Py_DECREF(iterator);
    return answer;
}

void
slp_soft_print_init(void)
{
    SLP_LOOP_MAKE(shim_print, "<print>", 12,
         NOP, 0,
         FOR_ITER, 33,                  /*  1: to 35 */
         PUSH_NULL, 0,
         COPY, 8,
         COPY, 5,
         COPY, 8,
         SLP_CODE_CALL(2),              /*  6 to 12: getattr(file, "write") */
         PUSH_NULL, 0,
         SWAP, 2,
         PUSH_NULL, 0,
         COPY, 9,
         COPY, 5,
         SLP_CODE_CALL(1),              /* 18 to 24: str(piece) */
         SLP_CODE_CALL(1),              /* 25 to 31 */
         POP_TOP, 0,
         POP_TOP, 0,
         JUMP_BACKWARD, 34,             /* 34: to 1 */
         COPY, 2,                       /* 35 */
         POP_JUMP_FORWARD_IF_FALSE, 21, /* 36: to 58 */
         PUSH_NULL, 0,
         COPY, 6,
         COPY, 3,
         COPY, 5,
         SLP_CODE_CALL(2),              /* 41 to 47: getattr(file, "flush") */
         PUSH_NULL, 0,
         SWAP, 2,
         SLP_CODE_CALL(0),              /* 50 to 56 */
         POP_TOP, 0,
         SLP_GIVE_NONE, 0);             /* 58 */
    slp_soft_register_builtin("print", soft_print);
}
