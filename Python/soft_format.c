/* "%s and %d" % (a, b) and "{} and {:>8}".format(a, b), where an argument's text is made by Python code.
 *
 * C would call it in the middle of its own work.  So the format is worked off here, from left to right: its
 * text and what C can say of the arguments is appended to the result, until an argument is to be asked in
 * Python; that is done by a frame, and the shim goes on behind it:
 *
 *      caller ──> <%> shim: [format, (a, b), position, "text so far"] ──> a.__str__()
 *
 * Where only one of them is, and the others are strings and numbers, it is asked first and C does the rest.
 *
 * With one argument in Python, % takes some 50 ns more than in C, which calls the method at once; that is
 * two shims' frames, a tuple, and that the format is read twice.  Piece by piece it takes twice that.
 *
 * All that is for formats that are plain, and right: C does those that name keys, attributes or items, take a
 * width from the arguments, or raise an error.  They are looked through before anything is done.
 */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_loops.h"
#include "slp_softcall.h"

/* What the stacks of these two shims hold. */
enum {
    FORMAT,         /* an exact str */
    ARGS,           /* a tuple */
    KWNAMES,        /* the names of the last ones, a tuple; or NULL */
    POSITION,       /* where to go on, an int: at the % whose text is asked for, behind the field */
    TAKEN,          /* how many arguments are used, an int; by fields (find_value()): one more */
    RESULT,         /* a str */
    STACK_SIZE = RESULT + 2,
};

static PyCodeObject *shim_percent, *shim_fields;
/* [format, args, index of the one that is asked] */
static PyCodeObject *shim_percent_at_once;

static Py_UCS4
char_at(PyObject *text, Py_ssize_t index)
{
    return index < PyUnicode_GET_LENGTH(text) ? PyUnicode_READ_CHAR(text, index) : 0;
}

static bool
is_digit(Py_UCS4 c)
{
    return c >= '0' && c <= '9';
}

/* Where the next % is; the length of the format if there is none. */
static Py_ssize_t
find_percent(PyObject *format, Py_ssize_t position)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    Py_ssize_t found = PyUnicode_FindChar(format, '%', position, length, 1);
    return found < 0 ? length : found;
}

/* Where the next brace is. */
static Py_ssize_t
find_brace(PyObject *format, Py_ssize_t position)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    int kind = PyUnicode_KIND(format);
    const void *data = PyUnicode_DATA(format);
    while (position < length && PyUnicode_READ(kind, data, position) != '{'
           && PyUnicode_READ(kind, data, position) != '}') {
        position++;
    }
    return position;
}

/* Append a text, which is stolen and may be NULL with an exception.  -1 with an exception.  As in C, a text
 * that nothing is added to is the result itself, an instance of a subclass too. */
static int
append(PyObject **values, PyObject *text)
{
    if (text == NULL) {
        return -1;
    }
    if (PyUnicode_GET_LENGTH(text) == 0) {
        Py_DECREF(text);
        return 0;
    }
    if (PyUnicode_GET_LENGTH(values[RESULT]) == 0) {
        Py_SETREF(values[RESULT], text);
        return 0;
    }
    PyUnicode_AppendAndDel(&values[RESULT], text);
    return values[RESULT] == NULL ? -1 : 0;
}

/* Append the format's own text from `start` to `end`. */
static int
append_literal(PyObject **values, Py_ssize_t start, Py_ssize_t end)
{
    return start == end ? 0 : append(values, PyUnicode_Substring(values[FORMAT], start, end));
}

/* The same text (stolen, may be NULL) as no instance of a subclass. */
static PyObject *
plain(PyObject *text)
{
    if (text != NULL && !PyUnicode_CheckExact(text)) {
        Py_SETREF(text, _PyUnicode_Copy(text));
    }
    return text;
}

/* Remember where to go on, before frames are pushed: it may fail.  -1 with an exception. */
static int
note(PyObject **values, Py_ssize_t position, Py_ssize_t taken)
{
    return slp_set_int(&values[POSITION], position) < 0 ? -1 : slp_set_int(&values[TAKEN], taken);
}

/* An image has a stack that no format leads to. */
static PyObject *
refuse(PyThreadState *tstate)
{
    _PyErr_SetString(tstate, PyExc_ValueError, "the arguments do not fit the format");
    return NULL;
}

/* --- % --------------------------------------------------------------------------------------------- */

/* The end of the specification whose % stands at `start`; -1: it is not plain. */
static Py_ssize_t
specification_end(PyObject *format, Py_ssize_t start)
{
    Py_ssize_t i = start + 1;
    Py_UCS4 c = char_at(format, i);
    if (c == 's' || c == 'r' || c == 'd') {
        return i + 1;
    }
    while (char_at(format, i) != 0 && strchr("-+ #0", (int)Py_MIN(char_at(format, i), 127)) != NULL) {
        i++;
    }
    while (is_digit(char_at(format, i))) {
        i++;
    }
    if (char_at(format, i) == '.') {
        i++;
        while (is_digit(char_at(format, i))) {
            i++;
        }
    }
    c = char_at(format, i);
    if (c == 'h' || c == 'l' || c == 'L') {
        c = char_at(format, ++i);
    }
    return c != 0 && c < 128 && strchr("sracdiuoxXeEfFgG", (int)c) != NULL ? i + 1 : -1;
}

/* What a look through a format and its arguments finds out. */
typedef struct {
    Py_ssize_t asked;           /* how many arguments are asked in Python */
    Py_ssize_t index;           /* the last one of them, */
    Py_ssize_t conversion;      /* and where its conversion character stands */
    bool others_are_plain;      /* C can do all others without asking them, and without an error */
} survey;

static bool
is_plain_value(PyObject *arg, Py_UCS4 conversion)
{
    if (conversion == 'd') {
        return PyLong_CheckExact(arg) && Py_ABS(Py_SIZE(arg)) <= 4;
    }
    return (conversion == 's' || conversion == 'r')
           && (PyUnicode_CheckExact(arg) || PyFloat_CheckExact(arg) || arg == Py_None || PyBool_Check(arg)
               || (PyLong_CheckExact(arg) && Py_ABS(Py_SIZE(arg)) <= 4));
}

/* Is every % of the format plain, and is there one for each argument? */
static bool
look_through(PyObject *format, PyObject *const *args, Py_ssize_t count, survey *found)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    Py_ssize_t taken = 0;
    *found = (survey){0, 0, 0, true};
    for (Py_ssize_t i = find_percent(format, 0); i < length; i = find_percent(format, i)) {
        if (char_at(format, i + 1) == '%') {
            i += 2;
            continue;
        }
        i = specification_end(format, i);
        if (i < 0 || taken == count) {
            return false;
        }
        PyObject *arg = args[taken];
        Py_UCS4 conversion = char_at(format, i - 1);
        if (slp_has_heap_type(arg)
            && ((conversion == 's' && slp_has_python_str(arg))
                || (conversion == 'r' && Py_TYPE(arg)->tp_repr == slp_python_slots.type.tp_repr))) {
            found->asked++;
            found->index = taken;
            found->conversion = i - 1;
        }
        else if (!is_plain_value(arg, conversion)) {
            found->others_are_plain = false;
        }
        taken++;
    }
    return taken == count;
}

/* The specification from `start` to `end`, whose conversion is s or r, % text.  Steals the text. */
static PyObject *
fit(PyObject *format, Py_ssize_t start, Py_ssize_t end, PyObject *text)
{
    bool alone = start == 0 && end == PyUnicode_GET_LENGTH(format);
    if (end - start == 2) {
        return alone && PyUnicode_GET_LENGTH(text) > 0 ? text : plain(text);
    }
    PyObject *specification = PyUnicode_Substring(format, start, end - 1);
    PyObject *exact = plain(Py_NewRef(text));
    PyObject *args = exact == NULL ? NULL : PyTuple_Pack(1, exact);
    PyObject *result = NULL;
    if (specification != NULL && args != NULL) {
        Py_SETREF(specification, PyUnicode_FromFormat("%Us", specification));
        result = specification == NULL ? NULL : PyUnicode_Format(specification, args);
    }
    if (alone && result == exact && result != NULL && PyUnicode_GET_LENGTH(result) > 0) {
        Py_SETREF(result, Py_NewRef(text));
    }
    Py_XDECREF(specification);
    Py_XDECREF(exact);
    Py_XDECREF(args);
    Py_DECREF(text);
    return result;
}

/* The specification % arg, in C. */
static PyObject *
fit_in_c(PyObject *format, Py_ssize_t start, Py_ssize_t end, PyObject *arg)
{
    Py_UCS4 conversion = char_at(format, end - 1);
    bool alone = start == 0 && end == PyUnicode_GET_LENGTH(format);
    if (end - start == 2 && !alone) {
        if (conversion == 's' || (conversion == 'd' && PyLong_CheckExact(arg))) {
            return plain(PyObject_Str(arg));
        }
        if (conversion == 'r') {
            return plain(PyObject_Repr(arg));
        }
    }
    PyObject *specification = PyUnicode_Substring(format, start, end);
    PyObject *args = specification == NULL ? NULL : PyTuple_Pack(1, arg);
    PyObject *result = args == NULL ? NULL : PyUnicode_Format(specification, args);
    Py_XDECREF(specification);
    Py_XDECREF(args);
    return result;
}

/* Go on with the text of the argument at the position, which is stolen, or NULL at the beginning: SLP_ENTER,
 * the result, or NULL with an exception. */
static PyObject *
go_on_with_percent(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject **values, PyObject *text,
                   _PyInterpreterFrame **top)
{
    PyObject *format = values[FORMAT], *args = values[ARGS];
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    Py_ssize_t position = PyLong_AsSsize_t(values[POSITION]), taken = PyLong_AsSsize_t(values[TAKEN]);
    for (;;) {
        Py_ssize_t start = find_percent(format, position);
        if (text == NULL && append_literal(values, position, start) < 0) {
            return NULL;
        }
        if (start >= length) {
            Py_XDECREF(text);
            return text != NULL || taken != PyTuple_GET_SIZE(args) ? refuse(tstate)
                                                                   : Py_NewRef(values[RESULT]);
        }
        if (char_at(format, start + 1) == '%' && text == NULL) {
            if (append_literal(values, start, start + 1) < 0) {
                return NULL;
            }
            position = start + 2;
            continue;
        }
        Py_ssize_t end = specification_end(format, start);
        if (end < 0 || taken >= PyTuple_GET_SIZE(args)) {
            Py_XDECREF(text);
            return refuse(tstate);
        }
        PyObject *arg = PyTuple_GET_ITEM(args, taken);
        Py_UCS4 conversion = char_at(format, end - 1);
        if (text == NULL && (conversion == 's' || conversion == 'r')) {
            if (note(values, start, taken) < 0) {
                return NULL;
            }
            text = conversion == 's' ? slp_soft_str(tstate, shim, arg, top)
                                     : slp_soft_repr(tstate, shim, arg, top);
            if (text == NULL || text == SLP_ENTER) {
                return text;
            }
            if (text == SLP_NOT_SOFT) {
                text = NULL;
            }
        }
        PyObject *piece = text != NULL ? fit(format, start, end, text) : fit_in_c(format, start, end, arg);
        text = NULL;
        if (append(values, piece) < 0) {
            return NULL;
        }
        position = end;
        taken++;
    }
}

/* --- str.format ------------------------------------------------------------------------------------ */

/* A replacement field: {name!conversion:spec}. */
typedef struct {
    Py_ssize_t name, name_end;
    Py_UCS4 conversion;             /* 0: there is none */
    Py_ssize_t spec, end;           /* at its } */
} field;

/* Read the field whose { stands at `start`.  False: it is not plain. */
static bool
read_field(PyObject *format, Py_ssize_t start, field *f)
{
    f->end = find_brace(format, start + 1);
    if (char_at(format, f->end) != '}') {
        return false;
    }
    f->name = f->name_end = start + 1;
    for (; f->name_end < f->end; f->name_end++) {
        Py_UCS4 c = char_at(format, f->name_end);
        if (c == '.' || c == '[') {
            return false;
        }
        if (c == '!' || c == ':') {
            break;
        }
    }
    f->spec = f->name_end;
    f->conversion = 0;
    if (f->spec < f->end && char_at(format, f->spec) == '!') {
        f->conversion = char_at(format, f->spec + 1);
        f->spec += 2;
        if (f->conversion != 's' && f->conversion != 'r' && f->conversion != 'a') {
            return false;
        }
    }
    if (f->spec < f->end && char_at(format, f->spec) == ':') {
        f->spec++;
        return true;
    }
    return f->spec == f->end;
}

/* The value of a field (borrowed); NULL where C is to look for it.  *taken: how many fields had no name, and
 * one more; 0: there was a number. */
static PyObject *
find_value(PyObject *format, const field *f, PyObject *args, PyObject *kwnames, Py_ssize_t *taken)
{
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    Py_ssize_t nargs = PyTuple_GET_SIZE(args) - named;
    Py_ssize_t index = 0;
    if (f->name == f->name_end) {
        return *taken >= 1 && *taken <= nargs ? PyTuple_GET_ITEM(args, (*taken)++ - 1) : NULL;
    }
    if (is_digit(char_at(format, f->name))) {
        for (Py_ssize_t i = f->name; i < f->name_end; i++) {
            index = 10 * index + (Py_ssize_t)(char_at(format, i) - '0');
            if (!is_digit(char_at(format, i)) || index >= nargs) {
                return NULL;
            }
        }
        if (*taken > 1) {
            return NULL;
        }
        *taken = 0;
        return PyTuple_GET_ITEM(args, index);
    }
    for (; index < named; index++) {
        PyObject *word = PyTuple_GET_ITEM(kwnames, index);
        if (PyUnicode_Check(word) && PyUnicode_GET_LENGTH(word) == f->name_end - f->name
            && PyUnicode_Tailmatch(format, word, f->name, f->name_end, -1) == 1) {
            return PyTuple_GET_ITEM(args, nargs + index);
        }
    }
    return NULL;
}

/* Is every field plain, and is there a value for it? */
static bool
are_plain_fields(PyObject *format, PyObject *args, PyObject *kwnames)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format), taken = 1;
    for (Py_ssize_t i = find_brace(format, 0); i < length; i = find_brace(format, i)) {
        field f;
        if (char_at(format, i + 1) == char_at(format, i)) {
            i += 2;
            continue;
        }
        if (char_at(format, i) == '}' || !read_field(format, i, &f)
            || find_value(format, &f, args, kwnames, &taken) == NULL) {
            return false;
        }
        i = f.end + 1;
    }
    return true;
}

/* The text of a field, in C. */
static PyObject *
format_in_c(PyObject *value, Py_UCS4 conversion, PyObject *spec)
{
    PyObject *converted = conversion == 's'   ? PyObject_Str(value)
                          : conversion == 'r' ? PyObject_Repr(value)
                          : conversion == 'a' ? PyObject_ASCII(value)
                                              : Py_NewRef(value);
    PyObject *text = converted == NULL ? NULL : PyObject_Format(converted, spec);
    Py_XDECREF(converted);
    return text;
}

/* As go_on_with_percent(). */
static PyObject *
go_on_with_fields(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject **values, PyObject *text,
                  _PyInterpreterFrame **top)
{
    PyObject *format = values[FORMAT];
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    Py_ssize_t position = PyLong_AsSsize_t(values[POSITION]), taken = PyLong_AsSsize_t(values[TAKEN]);
    for (;;) {
        if (text != NULL && append(values, position < length ? plain(text) : text) < 0) {
            return NULL;
        }
        text = NULL;
        Py_ssize_t start = find_brace(format, position);
        if (append_literal(values, position, start) < 0) {
            return NULL;
        }
        if (start >= length) {
            return Py_NewRef(values[RESULT]);
        }
        if (char_at(format, start + 1) == char_at(format, start)) {
            if (append_literal(values, start, start + 1) < 0) {
                return NULL;
            }
            position = start + 2;
            continue;
        }
        field f;
        PyObject *value = char_at(format, start) == '{' && read_field(format, start, &f)
                              ? find_value(format, &f, values[ARGS], values[KWNAMES], &taken)
                              : NULL;
        if (value == NULL) {
            return refuse(tstate);
        }
        PyObject *spec = f.spec == f.end ? NULL : PyUnicode_Substring(format, f.spec, f.end);
        if ((spec == NULL && f.spec < f.end) || note(values, f.end + 1, taken) < 0) {
            Py_XDECREF(spec);
            return NULL;
        }
        int conversion = f.conversion == 's' ? FVC_STR : f.conversion == 'r' ? FVC_REPR
                         : f.conversion == 'a'                               ? FVC_ASCII
                                                                             : FVC_NONE;
        text = slp_soft_format_value(tstate, shim, value, spec, conversion, top);
        if (text == SLP_NOT_SOFT) {
            text = format_in_c(value, f.conversion, spec);
        }
        Py_XDECREF(spec);
        if (text == SLP_ENTER || text == NULL) {
            return text;
        }
        position = f.end + 1;
    }
}

/* --- shims ----------------------------------------------------------------------------------------- */

typedef PyObject *(*go_on)(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject **values,
                           PyObject *text, _PyInterpreterFrame **top);

/* Do `continue_` with what a frame has returned. */
static PyObject *
continue_with_text(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, go_on continue_,
                   _PyInterpreterFrame **top)
{
    PyObject *kwnames = stack->values[KWNAMES];
    PyObject *text = stack->values[--stack->count];
    stack->entry = 0;
    if (!PyUnicode_Check(text) || (kwnames != NULL && (!PyTuple_CheckExact(kwnames)
        || PyTuple_GET_SIZE(kwnames) > PyTuple_GET_SIZE(stack->values[ARGS])))) {
        Py_DECREF(text);
        return refuse(tstate);
    }
    return continue_(tstate, shim, stack->values, text, top);
}

PyObject *
slp_go_percent(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    return continue_with_text(tstate, shim, stack, go_on_with_percent, top);
}

PyObject *
slp_go_fields(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    return continue_with_text(tstate, shim, stack, go_on_with_fields, top);
}

/* Push a shim and begin; steals the format and the arguments. */
static PyObject *
begin(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code, go_on continue_,
      PyObject *format, PyObject *args, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *values[] = {format, args, Py_XNewRef(kwnames), Py_NewRef(_PyLong_GetZero()),
                          Py_NewRef(code == shim_percent ? _PyLong_GetZero() : _PyLong_GetOne()),
                          Py_NewRef(&_Py_STR(empty))};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, code, 0, values, STACK_SIZE - 1);
    if (shim == NULL) {
        return NULL;
    }
    return slp_shim_begun(tstate, shim, continue_(tstate, shim, shim->localsplus, NULL, top));
}

/* format % args, where only the argument at found->index is asked. */
static PyObject *
percent_at_once(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *format, PyObject *args,
                const survey *found, _PyInterpreterFrame **top)
{
    PyObject *arg = PyTuple_GET_ITEM(args, found->index);
    bool is_repr = char_at(format, found->conversion) == 'r';
    PyObject *values[] = {is_repr ? _PyUnicode_Copy(format) : Py_NewRef(format), Py_NewRef(args),
                          PyLong_FromSsize_t(found->index)};
    if (values[0] == NULL || values[2] == NULL) {
        Py_XDECREF(values[0]);
        Py_DECREF(values[1]);
        Py_XDECREF(values[2]);
        return NULL;
    }
    if (is_repr) {
        /* Of the text, which is not to be quoted. */
        PyUnicode_WRITE(PyUnicode_KIND(values[0]), PyUnicode_DATA(values[0]), found->conversion, 's');
    }
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_percent_at_once, 0, values, 3);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = is_repr ? slp_soft_repr(tstate, shim, arg, top) : slp_soft_str(tstate, shim, arg, top);
    return slp_shim_begun(tstate, shim, answer);
}

/* Stack: format, args, index, text. */
PyObject *
slp_go_percent_at_once(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                       _PyInterpreterFrame **top)
{
    PyObject *text = stack->values[--stack->count];
    PyObject *args = stack->values[1];
    Py_ssize_t count = PyTuple_GET_SIZE(args), index = PyLong_AsSsize_t(stack->values[2]);
    PyObject *result = NULL;
    if (!PyUnicode_Check(text) || index >= count) {
        refuse(tstate);
    }
    else {
        PyObject *exact = plain(Py_NewRef(text));
        PyObject *texts = exact == NULL ? NULL : PyTuple_New(count);
        for (Py_ssize_t i = 0; texts != NULL && i < count; i++) {
            PyTuple_SET_ITEM(texts, i, Py_NewRef(i == index ? exact : PyTuple_GET_ITEM(args, i)));
        }
        result = texts == NULL ? NULL : PyUnicode_Format(stack->values[0], texts);
        if (result != NULL && result == exact && count == 1 && PyUnicode_GET_LENGTH(exact) > 0) {
            Py_SETREF(result, Py_NewRef(text));
        }
        Py_XDECREF(exact);
        Py_XDECREF(texts);
    }
    Py_DECREF(text);
    return result;
}

PyObject *
slp_soft_percent(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *format, PyObject *args,
                 _PyInterpreterFrame **top)
{
    bool many = PyTuple_CheckExact(args);
    survey found;
    PyObject *const *first = many ? &PyTuple_GET_ITEM(args, 0) : &args;
    Py_ssize_t count = many ? PyTuple_GET_SIZE(args) : 1;
    if ((PyTuple_Check(args) && !many) || !look_through(format, first, count, &found) || found.asked == 0) {
        return SLP_NOT_SOFT;
    }
    PyObject *values = many ? Py_NewRef(args) : PyTuple_Pack(1, args);
    if (values == NULL) {
        return NULL;
    }
    if (found.asked == 1 && found.others_are_plain) {
        PyObject *answer = percent_at_once(tstate, below, format, values, &found, top);
        Py_DECREF(values);
        return answer;
    }
    return begin(tstate, below, shim_percent, go_on_with_percent, Py_NewRef(format), values, NULL, top);
}

static PyObject *
soft_str_format(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    bool soft = false;
    for (Py_ssize_t i = 0; !soft && i < count; i++) {
        soft = slp_has_heap_type(args[i]);
    }
    if (!soft) {
        return SLP_NOT_SOFT;
    }
    PyObject *format = plain(Py_NewRef(self));
    PyObject *values = _PyTuple_FromArray(args, count);
    if (format == NULL || values == NULL || !are_plain_fields(format, values, kwnames)) {
        PyObject *answer = format == NULL || values == NULL ? NULL : SLP_NOT_SOFT;
        Py_XDECREF(format);
        Py_XDECREF(values);
        return answer;
    }
    return begin(tstate, below, shim_fields, go_on_with_fields, format, values, kwnames, top);
}

void
slp_soft_format_init(void)
{
    SLP_LOOP_MAKE(shim_percent, "<%>", STACK_SIZE, SLP_GO_ON, SLP_GO_PERCENT);
    SLP_LOOP_MAKE(shim_percent_at_once, "<% at once>", 4, SLP_GO_ON, SLP_GO_PERCENT_AT_ONCE);
    SLP_LOOP_MAKE(shim_fields, "<str.format>", STACK_SIZE, SLP_GO_ON, SLP_GO_FIELDS);
    slp_soft_register_method(&PyUnicode_Type, "format", soft_str_format);
}
