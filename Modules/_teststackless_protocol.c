/* Test extension: C functions that follow the stackless protocol, and some that break it.
 *
 * It is compiled with the public headers alone, as any extension is.
 */
#define PY_SSIZE_T_CLEAN
#include "stackless_protocol.h"

#include "structmember.h"

/* --- functions of every signature: each calls its first argument, or what the object holds --- */

static PyObject *
call_o(PyObject *module, PyObject *callable)
{
    return PyStackless_Call_nr(callable, NULL, NULL);
}

static PyObject *
call_varargs(PyObject *module, PyObject *args)
{
    PyObject *rest = PyTuple_GetSlice(args, 1, PY_SSIZE_T_MAX);
    PyObject *result = PyStackless_Call_nr(PyTuple_GET_ITEM(args, 0), rest, NULL);
    Py_XDECREF(rest);
    return result;
}

static PyObject *
call_keywords(PyObject *module, PyObject *args, PyObject *kwargs)
{
    PyObject *rest = PyTuple_GetSlice(args, 1, PY_SSIZE_T_MAX);
    PyObject *result = PyStackless_Call_nr(PyTuple_GET_ITEM(args, 0), rest, kwargs);
    Py_XDECREF(rest);
    return result;
}

static PyObject *
call_fast(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return PyStackless_CallOneArg_nr(args[0], nargs > 1 ? args[1] : Py_None);
}

static PyObject *
call_fast_keywords(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *result = NULL;
    PyObject *kwargs = PyDict_New();
    PyObject *rest = PyTuple_New(nargs - 1);
    for (Py_ssize_t i = 1; rest != NULL && i < nargs; i++) {
        Py_INCREF(args[i]);
        PyTuple_SET_ITEM(rest, i - 1, args[i]);
    }
    Py_ssize_t keywords = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    for (Py_ssize_t i = 0; kwargs != NULL && i < keywords; i++) {
        if (PyDict_SetItem(kwargs, PyTuple_GET_ITEM(kwnames, i), args[nargs + i]) < 0)
            Py_CLEAR(kwargs);
    }
    if (kwargs != NULL && rest != NULL)
        result = PyStackless_Call_nr(args[0], rest, kwargs);
    Py_XDECREF(kwargs);
    Py_XDECREF(rest);
    return result;
}

typedef struct {
    PyObject_HEAD
    PyObject *callable;
} holder;

static PyObject *
holder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *callable;
    if (!PyArg_ParseTuple(args, "O:Holder", &callable))
        return NULL;
    holder *self = (holder *)type->tp_alloc(type, 0);
    if (self != NULL) {
        Py_INCREF(callable);
        self->callable = callable;
    }
    return (PyObject *)self;
}

static int
holder_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((holder *)self)->callable);
    return 0;
}

static int
holder_clear(PyObject *self)
{
    Py_CLEAR(((holder *)self)->callable);
    return 0;
}

static void
holder_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    holder_clear(self);
    Py_TYPE(self)->tp_free(self);
}

static PyObject *
holder_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return PyStackless_Call_nr(((holder *)self)->callable, args, kwargs);
}

static PyObject *
holder_noargs(PyObject *self, PyObject *noargs)
{
    return PyStackless_Call_nr(((holder *)self)->callable, NULL, NULL);
}

static PyObject *
holder_o(PyObject *self, PyObject *arg)
{
    return PyStackless_CallOneArg_nr(((holder *)self)->callable, arg);
}

static PyObject *
holder_reduce(PyObject *self, PyObject *noargs)
{
    return Py_BuildValue("O(O)", Py_TYPE(self), ((holder *)self)->callable);
}

static PyMethodDef holder_methods[] = {
    {"noargs", holder_noargs, METH_NOARGS | METH_STACKLESS, "Call what it holds."},
    {"o", holder_o, METH_O | METH_STACKLESS, "Call it with an argument."},
    {"__reduce__", holder_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef holder_members[] = {
    {"callable", T_OBJECT_EX, offsetof(holder, callable), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyTypeObject holder_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_teststackless_protocol.Holder",
    .tp_doc = "Holder(callable): an object that calls it when it is called.",
    .tp_basicsize = sizeof(holder),
    .tp_flags =
        Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_STACKLESS_CALL,
    .tp_new = holder_new,
    .tp_dealloc = holder_dealloc,
    .tp_traverse = holder_traverse,
    .tp_clear = holder_clear,
    .tp_call = holder_call,
    .tp_methods = holder_methods,
    .tp_members = holder_members,
};

/* --- soft functions --- */

static slp_softfunc plus_steps;
static slp_softcheck collect_check;

/* callable() + n */
static PyObject *
plus_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n, void **any)
{
    if (retval == NULL)
        return NULL;
    if (*step == 0) {
        *step = 1;
        return PyStackless_Call_nr(*ob1, NULL, NULL);
    }
    PyObject *summand = PyLong_FromLong(*n);
    PyObject *result = summand == NULL ? NULL : PyNumber_Add(retval, summand);
    Py_XDECREF(summand);
    return result;
}

static PyStacklessFunctionDeclarationObject plus_declaration = {PyObject_HEAD_INIT(NULL) plus_steps,
                                                                "plus_function", NULL, NULL};

static PyObject *
plus(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    long n = nargs > 1 ? PyLong_AsLong(args[1]) : 1;
    return PyStackless_CallFunction(&plus_declaration, NULL, args[0], NULL, NULL, n, NULL);
}

/* [callable() for callable in sequence]: ob1 is the tuple, ob2 the list, n the index. */
static PyObject *
collect_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n,
              void **any)
{
    if (retval == NULL)
        return NULL;
    if (*step == 0) {
        *ob2 = PyList_New(0);
        *step = 1;
    }
    else if (PyList_Append(*ob2, retval) < 0)
        return NULL;
    /* Without an offer calls give their results at once, and the loop goes on. */
    while (*ob2 != NULL && *n < PyTuple_GET_SIZE(*ob1)) {
        PyObject *answer = PyStackless_Call_nr(PyTuple_GET_ITEM(*ob1, (*n)++), NULL, NULL);
        if (answer == NULL || STACKLESS_UNWINDING(answer))
            return answer;
        int status = PyList_Append(*ob2, answer);
        Py_DECREF(answer);
        if (status < 0)
            return NULL;
    }
    PyObject *result = *ob2;
    *ob2 = NULL;
    return result;
}

static int
collect_check(long step, PyObject *ob1, PyObject *ob2, PyObject *ob3, long n)
{
    return step == 1 && ob1 != NULL && PyTuple_CheckExact(ob1) && ob2 != NULL && PyList_CheckExact(ob2)
                   && n >= 0 && n <= PyTuple_GET_SIZE(ob1)
               ? 0
               : -1;
}

static PyStacklessFunctionDeclarationObject collect_declaration = {PyObject_HEAD_INIT(NULL) collect_steps,
                                                                   "collect_function", NULL, collect_check};

static PyObject *
collect(PyObject *module, PyObject *sequence)
{
    PyObject *tuple = PySequence_Tuple(sequence);
    PyObject *result = tuple == NULL
                           ? NULL
                           : PyStackless_CallFunction(&collect_declaration, NULL, tuple, NULL, NULL, 0, NULL);
    Py_XDECREF(tuple);
    return result;
}

/* callable(), or, if that raises, the exception. */
static PyObject *
caught_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n,
             void **any)
{
    if ((*step)++ == 0) {
        PyObject *answer = PyStackless_Call_nr(*ob1, NULL, NULL);
        if (answer != NULL)
            return answer;
    }
    else if (retval != NULL) {
        Py_INCREF(retval);
        return retval;
    }
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
}

static PyStacklessFunctionDeclarationObject caught_declaration = {PyObject_HEAD_INIT(NULL) caught_steps,
                                                                  "caught_function", NULL, NULL};

static PyObject *
caught(PyObject *module, PyObject *callable)
{
    return PyStackless_CallFunction(&caught_declaration, NULL, callable, NULL, NULL, 0, NULL);
}

/* A soft function that calls a soft function: n times 1 more. */
static PyStacklessFunctionDeclarationObject nested_declaration;

static PyObject *
nested_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n,
             void **any)
{
    if (retval == NULL)
        return NULL;
    if ((*step)++ == 0) {
        return *n == 0 ? PyStackless_Call_nr(*ob1, NULL, NULL)
                       : PyStackless_CallFunction(&nested_declaration, NULL, *ob1, NULL, NULL, *n - 1, NULL);
    }
    PyObject *one = PyLong_FromLong(1);
    PyObject *result = one == NULL ? NULL : PyNumber_Add(retval, one);
    Py_XDECREF(one);
    return result;
}

static PyStacklessFunctionDeclarationObject nested_declaration = {PyObject_HEAD_INIT(NULL) nested_steps,
                                                                  "nested_function", NULL, NULL};

static PyObject *
nested(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return PyStackless_CallFunction(&nested_declaration, NULL, args[0], NULL, NULL, PyLong_AsLong(args[1]),
                                    NULL);
}

/* Two values from a channel; ob1 is the channel, ob2 the first value. */
static PyObject *
pair_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n, void **any)
{
    PyObject *value = retval;
    Py_XINCREF(value);
    switch (*step) {
    case 0:
        *step = 1;
        Py_XSETREF(value, PyChannel_Receive_nr((PyChannelObject *)*ob1));
        if (STACKLESS_UNWINDING(value))
            return value;
        /* fall through */
    case 1:
        if (value == NULL)
            return NULL;
        Py_XSETREF(*ob2, value);
        *step = 2;
        value = PyChannel_Receive_nr((PyChannelObject *)*ob1);
        if (STACKLESS_UNWINDING(value))
            return value;
        /* fall through */
    default: {
        PyObject *pair = value == NULL ? NULL : PyTuple_Pack(2, *ob2, value);
        Py_XDECREF(value);
        return pair;
    }
    }
}

static PyStacklessFunctionDeclarationObject pair_declaration = {PyObject_HEAD_INIT(NULL) pair_steps,
                                                                "pair_function", NULL, NULL};

static PyObject *
receive_pair(PyObject *module, PyObject *channel)
{
    return PyStackless_CallFunction(&pair_declaration, NULL, channel, NULL, NULL, 0, NULL);
}

/* callable() with a pointer in the state. */
static PyObject *
pointed(PyObject *module, PyObject *callable)
{
    static int target;
    return PyStackless_CallFunction(&plus_declaration, NULL, callable, NULL, NULL, 0, &target);
}

/* --- the macros of historic Stackless --- */

/* callable(), with the offer passed on; True if it was used. */
static PyObject *
promoted(PyObject *module, PyObject *callable)
{
    STACKLESS_GETARG();
    STACKLESS_PROMOTE(callable);
    PyObject *result = PyObject_CallNoArgs(callable);
    STACKLESS_ASSERT();
    return result;
}

/* The same with a function that is known to take offers. */
static PyObject *
promoted_all(PyObject *module, PyObject *callable)
{
    STACKLESS_GETARG();
    STACKLESS_PROMOTE_FLAG(1);
    STACKLESS_RETRACT();
    STACKLESS_PROMOTE_ALL();
    return PyStackless_Call_nr(callable, NULL, NULL);
}

/* The same as the slots of types and vectorcall functions spell it. */
static PyObject *
promoted_slot(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    STACKLESS_VECTORCALL_GETARG(promoted_slot);
    STACKLESS_VECTORCALL_PROMOTE_ALL(promoted_slot);
    STACKLESS_VECTORCALL_RETRACT(promoted_slot);
    STACKLESS_PROMOTE_METHOD(args[0], tp_repr);
    PyObject *text = PyObject_Repr(args[0]);
    if (text == NULL)
        return NULL;
    Py_DECREF(text);
    STACKLESS_VECTORCALL_ASSERT(promoted_slot);
    STACKLESS_PROMOTE_METHOD(args[0], tp_call);
    return PyObject_CallNoArgs(args[0]);
}

/* Was this call offered to unwind? */
static PyObject *
offered(PyObject *module, PyObject *noargs)
{
    return PyBool_FromLong(PyStackless_TakeOffer());
}

/* (callable(), callable()): the offer is passed on by hand, and taken back. */
static PyObject *
passed_on(PyObject *module, PyObject *callable)
{
    PyObject *first, *second;
    int taken = PyStackless_TakeOffer();
    first = PyObject_CallNoArgs(callable);
    if (taken)
        PyStackless_PassOffer();
    (void)PyStackless_TakeOffer();
    second = PyObject_CallNoArgs(callable);
    if (taken)
        PyStackless_PassOfferTo(callable);
    PyObject *third = PyObject_CallNoArgs(callable);
    STACKLESS_RETRACT();
    return Py_BuildValue("(NNN)", first, second, third);
}

static PyObject *
is_soft_function(PyObject *module, PyObject *op)
{
    return PyBool_FromLong(PyStacklessFunctionDeclarationType_CheckExact(op)
                           && Py_TYPE(op) == &PyStacklessFunctionDeclaration_Type);
}

/* (callable(),) with an offer that nobody has taken: correct, but not soft. */
static PyObject *
without_taking(PyObject *module, PyObject *callable)
{
    PyObject *result = PyObject_CallNoArgs(callable);
    PyObject *tuple = result == NULL ? NULL : PyTuple_Pack(1, result);
    Py_XDECREF(result);
    return tuple;
}

/* --- misuse --- */

static PyObject *
token_for_nothing(PyObject *module, PyObject *noargs)
{
    return Py_UnwindToken;
}

static PyObject *
token_with_exception(PyObject *module, PyObject *callable)
{
    PyObject *answer = PyStackless_Call_nr(callable, NULL, NULL);
    PyErr_SetString(PyExc_KeyError, "of the function");
    return answer;
}

static PyObject *
result_after_request(PyObject *module, PyObject *callable)
{
    PyObject *answer = PyStackless_Call_nr(callable, NULL, NULL);
    if (!STACKLESS_UNWINDING(answer))
        Py_XDECREF(answer);
    Py_RETURN_NONE;
}

static PyObject *
error_after_request(PyObject *module, PyObject *callable)
{
    PyObject *answer = PyStackless_Call_nr(callable, NULL, NULL);
    if (!STACKLESS_UNWINDING(answer))
        Py_XDECREF(answer);
    PyErr_SetString(PyExc_KeyError, "of the function");
    return NULL;
}

static PyObject *
result_after_switch(PyObject *module, PyObject *channel)
{
    PyObject *answer = PyChannel_Receive_nr((PyChannelObject *)channel);
    if (!STACKLESS_UNWINDING(answer))
        Py_XDECREF(answer);
    Py_RETURN_NONE;
}

/* Requests twice: only the first one counts as one. */
static PyObject *
two_requests(PyObject *module, PyObject *callable)
{
    PyObject *first = PyStackless_Call_nr(callable, NULL, NULL);
    PyObject *second = PyStackless_Call_nr(callable, NULL, NULL);
    if (!STACKLESS_UNWINDING(second))
        Py_XDECREF(second);
    return first;
}

/* Counts references of the token. */
static PyObject *
counted_token(PyObject *module, PyObject *callable)
{
    PyObject *answer = PyStackless_Call_nr(callable, NULL, NULL);
    for (int i = 0; i < 3; i++)
        Py_XDECREF(answer);
    return answer;
}

/* What a step does wrong: n says what. */
static PyObject *
faulty_steps(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2, PyObject **ob3, long *n,
             void **any)
{
    if (*n == 0)
        return Py_UnwindToken;
    if (*n == 1)
        return NULL;
    if (*n == 2) {
        PyErr_SetString(PyExc_KeyError, "of the function");
        Py_RETURN_NONE;
    }
    if ((*step)++ == 0)
        return PyStackless_Call_nr(*ob1, NULL, NULL);
    *n -= 3;
    return faulty_steps(retval, step, ob1, ob2, ob3, n, any);
}

static PyStacklessFunctionDeclarationObject faulty_declaration = {PyObject_HEAD_INIT(NULL) faulty_steps,
                                                                  "faulty_function", NULL, NULL};

static PyObject *
faulty(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    return PyStackless_CallFunction(&faulty_declaration, NULL, args[0], NULL, NULL, PyLong_AsLong(args[1]),
                                    NULL);
}

static PyObject *
not_ready(PyObject *module, PyObject *noargs)
{
    static PyStacklessFunctionDeclarationObject declaration = {PyObject_HEAD_INIT(NULL) plus_steps,
                                                               "not_ready_function", NULL, NULL};
    return PyStackless_CallFunction(&declaration, NULL, NULL, NULL, NULL, 0, NULL);
}

static PyObject *
wrong_arguments(PyObject *module, PyObject *which)
{
    switch (PyLong_AsLong(which)) {
    case 0:
        return PyStackless_Call_nr(NULL, NULL, NULL);
    case 1:
        return PyStackless_Call_nr(Py_None, Py_None, NULL);
    case 2:
        return PyStackless_Call_nr(Py_None, NULL, Py_None);
    case 3:
        return PyStackless_CallOneArg_nr(Py_None, NULL);
    case 4:
        return PyStackless_CallFunction(NULL, NULL, NULL, NULL, NULL, 0, NULL);
    default:
        return PyStackless_InitFunctionDeclaration(&plus_declaration, Py_None, NULL) < 0 ? NULL : Py_None;
    }
}

/* --- the module --- */

#define CAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"call_o", call_o, METH_O | METH_STACKLESS, NULL},
    {"call_varargs", call_varargs, METH_VARARGS | METH_STACKLESS, NULL},
    {"call_keywords", CAST(call_keywords), METH_VARARGS | METH_KEYWORDS | METH_STACKLESS, NULL},
    {"call_fast", CAST(call_fast), METH_FASTCALL | METH_STACKLESS, NULL},
    {"call_fast_keywords", CAST(call_fast_keywords), METH_FASTCALL | METH_KEYWORDS | METH_STACKLESS, NULL},
    {"plus", CAST(plus), METH_FASTCALL | METH_STACKLESS, NULL},
    {"collect", collect, METH_O | METH_STACKLESS, NULL},
    {"caught", caught, METH_O | METH_STACKLESS, NULL},
    {"nested", CAST(nested), METH_FASTCALL | METH_STACKLESS, NULL},
    {"receive_pair", receive_pair, METH_O | METH_STACKLESS, NULL},
    {"pointed", pointed, METH_O | METH_STACKLESS, NULL},
    {"promoted", promoted, METH_O | METH_STACKLESS, NULL},
    {"promoted_slot", CAST(promoted_slot), METH_FASTCALL | METH_STACKLESS, NULL},
    {"promoted_all", promoted_all, METH_O | METH_STACKLESS, NULL},
    {"offered", offered, METH_NOARGS | METH_STACKLESS, NULL},
    {"passed_on", passed_on, METH_O | METH_STACKLESS, NULL},
    {"is_soft_function", is_soft_function, METH_O, NULL},
    {"without_taking", without_taking, METH_O | METH_STACKLESS, NULL},
    {"token_for_nothing", token_for_nothing, METH_NOARGS | METH_STACKLESS, NULL},
    {"token_without_flag", token_for_nothing, METH_NOARGS, NULL},
    {"token_with_exception", token_with_exception, METH_O | METH_STACKLESS, NULL},
    {"result_after_request", result_after_request, METH_O | METH_STACKLESS, NULL},
    {"error_after_request", error_after_request, METH_O | METH_STACKLESS, NULL},
    {"result_after_switch", result_after_switch, METH_O | METH_STACKLESS, NULL},
    {"two_requests", two_requests, METH_O | METH_STACKLESS, NULL},
    {"counted_token", counted_token, METH_O | METH_STACKLESS, NULL},
    {"faulty", CAST(faulty), METH_FASTCALL | METH_STACKLESS, NULL},
    {"not_ready", not_ready, METH_NOARGS | METH_STACKLESS, NULL},
    {"wrong_arguments", wrong_arguments, METH_O | METH_STACKLESS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_teststackless_protocol",
    .m_size = -1,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__teststackless_protocol(void)
{
    PyStacklessFunctionDeclarationObject *declarations[] = {&plus_declaration,   &collect_declaration,
                                                            &caught_declaration, &nested_declaration,
                                                            &pair_declaration,   &faulty_declaration};
    PyObject *module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    for (size_t i = 0; i < Py_ARRAY_LENGTH(declarations); i++) {
        if (PyStackless_InitFunctionDeclaration(declarations[i], module, &definition) < 0)
            goto failed;
    }
    if (PyModule_AddType(module, &holder_type) < 0)
        goto failed;
    return module;
failed:
    Py_DECREF(module);
    return NULL;
}
