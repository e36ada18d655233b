/* Argument binding: from a call's arguments to the locals of a new frame.
 *
 * The parameters of a function are the first locals of its frame, in this order:
 *
 *      localsplus:  │ positional-only │ positional or keyword │ keyword-only │ *args │ **kwargs │ ...
 *                   0           posonlyargcount            argcount       named_count
 *                                     what a keyword can reach: └──────────────┘
 *
 * The arguments arrive as one array, the positional values and then one value per keyword name, and
 * every reference in it is stolen: binding walks it once, from front to back, and `struct call`
 * counts how far, so that a failure in the middle knows what is left to release.  What was moved into
 * the frame goes away with the frame.
 *
 * Budget: an exact positional call stores each argument once and touches nothing else.
 */
#include "slp_base.h"
#include "slp_callargs.h"
#include "slp_frame.h"

/* Keyword calls through a dict use the C stack up to this many arguments. */
#define SMALL_CALL 16

/* A call that is being bound. */
struct call {
    PyThreadState *tstate;
    PyFunctionObject *func;     /* borrowed */
    PyCodeObject *code;         /* borrowed: the function's code */
    PyObject **locals;          /* of the new frame */
    PyObject *const *args;      /* values: positional, then keywords; strong from `taken` on */
    Py_ssize_t nargs;           /* positional ones among them */
    Py_ssize_t nkw;             /* keyword ones */
    Py_ssize_t taken;           /* how many values have left `args` */
    PyObject *kwnames;          /* borrowed; NULL when nkw is 0 */
};

/* The next stolen value. */
static inline PyObject *
take(struct call *call)
{
    return call->args[call->taken++];
}

/* Parameters that have a name of their own, *args and **kwargs not counted. */
static inline int
named_count(const PyCodeObject *code)
{
    return code->co_argcount + code->co_kwonlyargcount;
}

static inline Py_ssize_t
default_count(const PyFunctionObject *func)
{
    return func->func_defaults == NULL ? 0 : PyTuple_GET_SIZE(func->func_defaults);
}

static inline PyObject *
parameter_name(const PyCodeObject *code, Py_ssize_t index)
{
    return PyTuple_GET_ITEM(code->co_localsplusnames, index);
}

/* Release the values that `args` still holds, from `taken` on. */
static void
drop_values(PyObject *const *args, Py_ssize_t taken, Py_ssize_t end)
{
    for (; taken < end; taken++) {
        Py_DECREF(args[taken]);
    }
}

/* --- errors --- */

static inline const char *
plural(Py_ssize_t count)
{
    return count == 1 ? "" : "s";
}

/* "f() takes from 1 to 2 positional arguments but 3 were given". */
SLP_COLD static void
raise_too_many(struct call *call)
{
    PyCodeObject *code = call->code;
    Py_ssize_t most = code->co_argcount;
    Py_ssize_t optional = default_count(call->func);
    Py_ssize_t kwonly_given = 0;
    for (int i = code->co_argcount; i < named_count(code); i++) {
        kwonly_given += call->locals[i] != NULL;
    }

    PyObject *takes = optional ? PyUnicode_FromFormat("from %zd to %zd", most - optional, most)
                               : PyUnicode_FromFormat("%zd", most);
    PyObject *also = kwonly_given
        ? PyUnicode_FromFormat(" positional argument%s (and %zd keyword-only argument%s)",
                               plural(call->nargs), kwonly_given, plural(kwonly_given))
        : PyUnicode_FromString("");
    if (takes != NULL && also != NULL) {
        _PyErr_Format(call->tstate, PyExc_TypeError, "%U() takes %U positional argument%s but %zd%U %s given",
                      call->func->func_qualname, takes, optional ? "s" : plural(most), call->nargs, also,
                      call->nargs == 1 && kwonly_given == 0 ? "was" : "were");
    }
    Py_XDECREF(takes);
    Py_XDECREF(also);
}

/* "'a'", "'a' and 'b'", "'a', 'b', and 'c'": the representations of a list of `count` names. */
static PyObject *
enumerate_names(PyObject *names)
{
    Py_ssize_t count = PyList_GET_SIZE(names);
    if (count == 1) {
        return Py_NewRef(PyList_GET_ITEM(names, 0));
    }
    PyObject *last = PyList_GET_ITEM(names, count - 1);
    if (count == 2) {
        return PyUnicode_FromFormat("%U and %U", PyList_GET_ITEM(names, 0), last);
    }
    PyObject *text = NULL;
    PyObject *comma = PyUnicode_FromString(", ");
    PyObject *others = PyList_GetSlice(names, 0, count - 1);
    if (comma != NULL && others != NULL) {
        PyObject *joined = PyUnicode_Join(comma, others);
        if (joined != NULL) {
            text = PyUnicode_FromFormat("%U, and %U", joined, last);
            Py_DECREF(joined);
        }
    }
    Py_XDECREF(comma);
    Py_XDECREF(others);
    return text;
}

/* "f() missing 2 required positional arguments: 'a' and 'b'": name the unbound among the parameters
 * from `first` to before `end`. */
SLP_COLD static void
raise_missing(struct call *call, Py_ssize_t first, Py_ssize_t end, const char *kind)
{
    PyObject *names = PyList_New(0);
    if (names == NULL) {
        return;
    }
    for (Py_ssize_t i = first; i < end; i++) {
        if (call->locals[i] != NULL) {
            continue;
        }
        PyObject *name = PyObject_Repr(parameter_name(call->code, i));
        if (name == NULL || PyList_Append(names, name) < 0) {
            Py_XDECREF(name);
            Py_DECREF(names);
            return;
        }
        Py_DECREF(name);
    }
    PyObject *text = enumerate_names(names);
    if (text != NULL) {
        Py_ssize_t count = PyList_GET_SIZE(names);
        _PyErr_Format(call->tstate, PyExc_TypeError, "%U() missing %zd required %s argument%s: %U",
                      call->func->func_qualname, count, kind, plural(count), text);
        Py_DECREF(text);
    }
    Py_DECREF(names);
}

/* Is `name` one of the call's keywords: 1, 0, or -1 with an exception. */
static int
is_keyword_given(struct call *call, PyObject *name)
{
    for (Py_ssize_t i = 0; i < call->nkw; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(call->kwnames, i);
        int same = keyword == name ? 1 : PyObject_RichCompareBool(keyword, name, Py_EQ);
        if (same != 0) {
            return same;
        }
    }
    return 0;
}

/* For a keyword that fits nothing: when positional-only parameters were given by name, say which. */
SLP_COLD static void
raise_unexpected_keyword(struct call *call, PyObject *keyword)
{
    PyObject *function = call->func->func_qualname;
    PyObject *names = PyList_New(0);
    if (names == NULL) {
        return;
    }
    for (int i = 0; i < call->code->co_posonlyargcount; i++) {
        PyObject *name = parameter_name(call->code, i);
        int given = is_keyword_given(call, name);
        if (given < 0 || (given > 0 && PyList_Append(names, name) < 0)) {
            Py_DECREF(names);
            return;
        }
    }
    if (PyList_GET_SIZE(names) == 0) {
        _PyErr_Format(call->tstate, PyExc_TypeError, "%U() got an unexpected keyword argument '%S'",
                      function, keyword);
    }
    else {
        PyObject *comma = PyUnicode_FromString(", ");
        PyObject *text = comma == NULL ? NULL : PyUnicode_Join(comma, names);
        if (text != NULL) {
            _PyErr_Format(call->tstate, PyExc_TypeError,
                          "%U() got some positional-only arguments passed as keyword arguments: '%U'",
                          function, text);
            Py_DECREF(text);
        }
        Py_XDECREF(comma);
    }
    Py_DECREF(names);
}

/* --- binding, step by step --- */

/* Move the positional values in; those beyond the parameters go to *args, or are only counted. */
static int
bind_positional(struct call *call)
{
    PyCodeObject *code = call->code;
    Py_ssize_t direct = Py_MIN(call->nargs, code->co_argcount);
    for (Py_ssize_t i = 0; i < direct; i++) {
        call->locals[i] = take(call);
    }
    Py_ssize_t extra = call->nargs - direct;
    if (code->co_flags & CO_VARARGS) {
        /* Takes the values over even when it fails. */
        PyObject *rest = _PyTuple_FromArraySteal(call->args + direct, extra);
        call->taken += extra;
        if (rest == NULL) {
            return -1;
        }
        call->locals[named_count(code)] = rest;
    }
    else {
        for (; extra > 0; extra--) {
            Py_DECREF(take(call));
        }
    }
    return 0;
}

/* The index of the parameter that `keyword` names: -1 for none, -2 with an exception. */
static Py_ssize_t
find_parameter(PyCodeObject *code, PyObject *keyword)
{
    /* Names are interned as a rule, so identity finds nearly all. */
    PyObject **names = &PyTuple_GET_ITEM(code->co_localsplusnames, 0);
    int end = named_count(code);
    for (int i = code->co_posonlyargcount; i < end; i++) {
        if (names[i] == keyword) {
            return i;
        }
    }
    for (int i = code->co_posonlyargcount; i < end; i++) {
        int same = PyObject_RichCompareBool(keyword, names[i], Py_EQ);
        if (same != 0) {
            return same < 0 ? -2 : i;
        }
    }
    return -1;
}

/* Move the keyword values in; those without a parameter go to **kwargs, if there is one. */
static int
bind_keywords(struct call *call, PyObject *kwargs)
{
    for (Py_ssize_t k = 0; k < call->nkw; k++) {
        PyObject *keyword = PyTuple_GET_ITEM(call->kwnames, k);
        if (!PyUnicode_Check(keyword)) {
            _PyErr_Format(call->tstate, PyExc_TypeError, "%U() keywords must be strings",
                          call->func->func_qualname);
            return -1;
        }
        Py_ssize_t index = find_parameter(call->code, keyword);
        if (index >= 0) {
            if (call->locals[index] != NULL) {
                _PyErr_Format(call->tstate, PyExc_TypeError, "%U() got multiple values for argument '%S'",
                              call->func->func_qualname, keyword);
                return -1;
            }
            call->locals[index] = take(call);
            continue;
        }
        if (index == -2) {
            return -1;
        }
        if (kwargs == NULL) {
            raise_unexpected_keyword(call, keyword);
            return -1;
        }
        PyObject *value = take(call);
        int status = PyDict_SetItem(kwargs, keyword, value);
        Py_DECREF(value);
        if (status < 0) {
            return -1;
        }
    }
    return 0;
}

/* Fill the positional parameters that the call left open. */
static int
bind_defaults(struct call *call)
{
    Py_ssize_t argcount = call->code->co_argcount;
    Py_ssize_t required = argcount - default_count(call->func);
    for (Py_ssize_t i = call->nargs; i < required; i++) {
        if (call->locals[i] == NULL) {
            raise_missing(call, call->nargs, required, "positional");
            return -1;
        }
    }
    /* More defaults than parameters are possible: the last ones count. */
    for (Py_ssize_t i = Py_MAX(Py_MAX(call->nargs, required), 0); i < argcount; i++) {
        if (call->locals[i] == NULL) {
            call->locals[i] = Py_NewRef(PyTuple_GET_ITEM(call->func->func_defaults, i - required));
        }
    }
    return 0;
}

/* Fill the keyword-only parameters that the call left open. */
static int
bind_keyword_defaults(struct call *call)
{
    PyObject *defaults = Py_XNewRef(call->func->func_kwdefaults);   /* a look-up may set others */
    int first = call->code->co_argcount;
    int end = named_count(call->code);
    bool missing = false;
    for (int i = first; i < end; i++) {
        if (call->locals[i] != NULL) {
            continue;
        }
        if (defaults != NULL) {
            PyObject *value = PyDict_GetItemWithError(defaults, parameter_name(call->code, i));
            if (value != NULL) {
                call->locals[i] = Py_NewRef(value);
                continue;
            }
            if (_PyErr_Occurred(call->tstate)) {
                Py_DECREF(defaults);
                return -1;
            }
        }
        missing = true;
    }
    Py_XDECREF(defaults);
    if (missing) {
        raise_missing(call, first, end, "keyword-only");
        return -1;
    }
    return 0;
}

/* Bind everything.  The locals are NULL on arrival; on failure some of them are filled. */
static int
bind(struct call *call)
{
    PyCodeObject *code = call->code;
    PyObject *kwargs = NULL;
    if (code->co_flags & CO_VARKEYWORDS) {
        kwargs = PyDict_New();
        if (kwargs == NULL) {
            return -1;
        }
        call->locals[named_count(code) + ((code->co_flags & CO_VARARGS) != 0)] = kwargs;
    }
    if (bind_positional(call) < 0 || bind_keywords(call, kwargs) < 0) {
        return -1;
    }
    if (call->nargs > code->co_argcount && !(code->co_flags & CO_VARARGS)) {
        raise_too_many(call);
        return -1;
    }
    if (call->nargs < code->co_argcount && bind_defaults(call) < 0) {
        return -1;
    }
    if (code->co_kwonlyargcount > 0 && bind_keyword_defaults(call) < 0) {
        return -1;
    }
    return 0;
}

/* --- frames --- */

/* The empty assembly hides from the compiler that this is a memset(): for the few locals of a usual
 * function the call would take longer than the stores. */
static inline void
fill_null(PyObject **locals, Py_ssize_t first, Py_ssize_t end)
{
    for (; first < end; first++) {
        locals[first] = NULL;
        __asm__("" : "+r"(first));
    }
}

/* The general call: any mixture of arguments and parameters. */
static _PyInterpreterFrame *
frame_for_any_call(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames)
{
    PyCodeObject *code = frame->f_code;
    struct call call = {
        .tstate = tstate,
        .func = frame->f_func,
        .code = code,
        .locals = frame->localsplus,
        .args = args,
        .nargs = nargs,
        .nkw = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames),
        .kwnames = kwnames,
    };
    fill_null(frame->localsplus, 0, code->co_nlocalsplus);
    if (bind(&call) < 0) {
        drop_values(args, call.taken, nargs + call.nkw);
        slp_frame_clear_and_pop(tstate, frame);
        return NULL;
    }
    return frame;
}

/* Can a call without keywords be bound by storing its arguments, and defaults behind them? */
static inline bool
is_plain_call(const PyFunctionObject *func, const PyCodeObject *code, Py_ssize_t nargs)
{
    return (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) == 0
           && code->co_kwonlyargcount == 0
           && (nargs == code->co_argcount
               || (nargs < code->co_argcount && nargs + default_count(func) >= code->co_argcount));
}

/* After the arguments of a plain call: its defaults, then nothing. */
static inline void
finish_plain_call(PyFunctionObject *func, PyCodeObject *code, PyObject **locals, Py_ssize_t nargs)
{
    Py_ssize_t argcount = code->co_argcount;
    if (nargs < argcount) {
        Py_ssize_t required = argcount - default_count(func);
        for (; nargs < argcount; nargs++) {
            locals[nargs] = Py_NewRef(PyTuple_GET_ITEM(func->func_defaults, nargs - required));
        }
    }
    fill_null(locals, nargs, code->co_nlocalsplus);
}

/* A frame with its header written and nothing bound.  Steals `func` and `locals`. */
static inline _PyInterpreterFrame *
new_frame(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals, PyCodeObject *code)
{
    _PyInterpreterFrame *frame = slp_frame_alloc(tstate, (size_t)slp_frame_words(code));
    if (SLP_UNLIKELY(frame == NULL)) {
        Py_DECREF(func);
        Py_XDECREF(locals);
        return NULL;
    }
    slp_frame_init(frame, func, locals, code);
    return frame;
}

_PyInterpreterFrame *
slp_frame_for_call(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals, PyObject *const *args,
                   Py_ssize_t nargs, PyObject *kwnames)
{
    PyCodeObject *code = (PyCodeObject *)func->func_code;
    _PyInterpreterFrame *frame = new_frame(tstate, func, locals, code);
    if (SLP_UNLIKELY(frame == NULL)) {
        drop_values(args, 0, nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames)));
        return NULL;
    }
    if (kwnames != NULL || !is_plain_call(func, code, nargs)) {
        return frame_for_any_call(tstate, frame, args, nargs, kwnames);
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        frame->localsplus[i] = args[i];
    }
    finish_plain_call(func, code, frame->localsplus, nargs);
    return frame;
}

/* Parameters all collected: `def f(*args, **kwargs)`, the shape of every decorator's wrapper. */
static inline bool
collects_all(const PyCodeObject *code)
{
    return named_count(code) == 0
           && (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) == (CO_VARARGS | CO_VARKEYWORDS);
}

/* 0 when every key is a string, else -1 with TypeError. */
static int
check_keywords(PyThreadState *tstate, PyObject *kwargs)
{
    PyObject *key;
    Py_ssize_t position = 0;
    while (PyDict_Next(kwargs, &position, &key, NULL)) {
        if (!PyUnicode_Check(key)) {
            _PyErr_SetString(tstate, PyExc_TypeError, "keywords must be strings");
            return -1;
        }
    }
    return 0;
}

/* Undo a frame whose locals were not yet looked at. */
static void
abandon_frame(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    frame->stacktop = 0;
    slp_frame_clear_and_pop(tstate, frame);
}

/* f(*args, **kwargs) for a function that collects all: the tuple is passed on as it is, being
 * immutable; the dict becomes one of the function's own. */
static _PyInterpreterFrame *
frame_for_pass_through(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *args, PyObject *kwargs)
{
    PyObject *dict = kwargs == NULL ? PyDict_New() : PyDict_Copy(kwargs);
    if (dict == NULL) {
        abandon_frame(tstate, frame);
        return NULL;
    }
    frame->localsplus[0] = Py_NewRef(args);
    frame->localsplus[1] = dict;
    fill_null(frame->localsplus, 2, frame->f_code->co_nlocalsplus);
    return frame;
}

/* Spread `args` and `kwargs` into an array with its own references, and a tuple of the names. */
static _PyInterpreterFrame *
frame_for_spread_call(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *args, PyObject *kwargs)
{
    PyObject *small[SMALL_CALL];
    PyObject **values = small;
    PyObject *kwnames = NULL;
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    Py_ssize_t nkw = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
    if (nargs + nkw > SMALL_CALL) {
        values = PyMem_New(PyObject *, nargs + nkw);
    }
    if (nkw > 0) {
        kwnames = PyTuple_New(nkw);
    }
    if (values == NULL || (nkw > 0 && kwnames == NULL)) {
        if (values == NULL) {
            PyErr_NoMemory();
        }
        Py_XDECREF(kwnames);
        abandon_frame(tstate, frame);
        frame = NULL;
    }
    else {
        for (Py_ssize_t i = 0; i < nargs; i++) {
            values[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
        }
        PyObject *key, *value;
        Py_ssize_t position = 0;
        for (Py_ssize_t i = 0; i < nkw && PyDict_Next(kwargs, &position, &key, &value); i++) {
            PyTuple_SET_ITEM(kwnames, i, Py_NewRef(key));
            values[nargs + i] = Py_NewRef(value);
        }
        frame = frame_for_any_call(tstate, frame, values, nargs, kwnames);
        Py_XDECREF(kwnames);
    }
    if (values != small) {
        PyMem_Free(values);
    }
    return frame;
}

_PyInterpreterFrame *
slp_frame_for_call_ex(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals, PyObject *args,
                      PyObject *kwargs)
{
    PyCodeObject *code = (PyCodeObject *)func->func_code;
    _PyInterpreterFrame *frame = new_frame(tstate, func, locals, code);
    if (SLP_UNLIKELY(frame == NULL)) {
        return NULL;
    }
    if (kwargs != NULL && PyDict_GET_SIZE(kwargs) == 0) {
        kwargs = NULL;
    }
    if (kwargs != NULL && check_keywords(tstate, kwargs) < 0) {
        abandon_frame(tstate, frame);
        return NULL;
    }
    if (collects_all(code) && PyTuple_CheckExact(args)) {
        return frame_for_pass_through(tstate, frame, args, kwargs);
    }
    Py_ssize_t nargs = PyTuple_GET_SIZE(args);
    if (kwargs != NULL || !is_plain_call(func, code, nargs)) {
        return frame_for_spread_call(tstate, frame, args, kwargs);
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        frame->localsplus[i] = Py_NewRef(PyTuple_GET_ITEM(args, i));
    }
    finish_plain_call(func, code, frame->localsplus, nargs);
    return frame;
}

PyObject *
slp_tuple_with_first(PyObject *first, PyObject *rest)
{
    Py_ssize_t size = PyTuple_GET_SIZE(rest);
    PyObject *tuple = PyTuple_New(size + 1);
    if (tuple == NULL) {
        return NULL;
    }
    PyTuple_SET_ITEM(tuple, 0, Py_NewRef(first));
    for (Py_ssize_t i = 0; i < size; i++) {
        PyTuple_SET_ITEM(tuple, i + 1, Py_NewRef(PyTuple_GET_ITEM(rest, i)));
    }
    return tuple;
}

PyObject *
_PyEval_Vector(PyThreadState *tstate, PyFunctionObject *func, PyObject *locals, PyObject *const *args,
               size_t nargs, PyObject *kwnames)
{
    size_t count = nargs + (kwnames == NULL ? 0 : (size_t)PyTuple_GET_SIZE(kwnames));
    for (size_t i = 0; i < count; i++) {
        Py_INCREF(args[i]);
    }
    Py_INCREF(func);
    Py_XINCREF(locals);
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, func, locals, args, (Py_ssize_t)nargs, kwnames);
    if (frame == NULL) {
        return NULL;
    }
    PyObject *result = _PyEval_EvalFrame(tstate, frame, 0);
    /* Whoever pushes an entry frame releases it, whatever the loop did with it.  Destructors count as
     * one level of recursion. */
    tstate->recursion_remaining--;
    slp_frame_clear_and_pop(tstate, frame);
    tstate->recursion_remaining++;
    return result;
}
