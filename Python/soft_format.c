/* "%s and %d" % (a, b) and "{} and {:>8}".format(a, b), where an argument's text is made by Python code.
 *
 * C would call it in the middle of its own work.  So the format is cut into pieces that have one argument
 * each, the texts are asked for one by one, as calls of <format pieces>, and C fits each into its piece:
 *
 *      "%s and %5r." % (a, b)
 *
 *      (str,  (a,), "%s",      None)    ──> str(a)  ──> "%s" % text          ┐
 *      (repr, (b,), " and %5s", None)   ──> repr(b) ──> " and %5s" % text    ├──> joined
 *      "."                                                                   ┘
 *
 * That is for formats that are plain, and right: C does those that name keys, attributes or items, take a
 * width from the arguments, or raise an error.
 */
#include "slp_loops.h"

#include "slp_opcodes.h"
#include "slp_softcall.h"

/* [list of texts, iterator of pieces] */
static PyCodeObject *shim_pieces;

/* A piece is a str, or a tuple of these. */
enum {
    CALL_OF,        /* what makes the text: str, repr, or format; None: C does it all */
    ARGS,           /* its arguments, a tuple; the object itself is the first of them */
    BEFORE,         /* a str: what comes before the text; with %, what the text is fitted in */
    SPEC,           /* a str: what the text is formatted with; None: % does that; True: it is ready */
    PIECE_SIZE,
};

static bool
is_piece(PyObject *op)
{
    if (!PyTuple_CheckExact(op) || PyTuple_GET_SIZE(op) != PIECE_SIZE) {
        return false;
    }
    PyObject *spec = PyTuple_GET_ITEM(op, SPEC);
    PyObject *args = PyTuple_GET_ITEM(op, ARGS);
    return PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) > 0
           && PyUnicode_CheckExact(PyTuple_GET_ITEM(op, BEFORE))
           && (spec == Py_None || spec == Py_True || PyUnicode_CheckExact(spec));
}

bool
slp_format_needs_call(PyThreadState *tstate, PyObject *piece, PyObject **callable, PyObject **args)
{
    if (!is_piece(piece) || PyTuple_GET_ITEM(piece, CALL_OF) == Py_None) {
        return false;
    }
    *callable = PyTuple_GET_ITEM(piece, CALL_OF);
    *args = PyTuple_GET_ITEM(piece, ARGS);
    return true;
}

/* before % text.  The text may be an instance of a subclass with a __str__ of its own, which is not asked;
 * where nothing is added to it, the result is that instance. */
static PyObject *
fit(PyObject *before, PyObject *text)
{
    PyObject *plain = PyUnicode_CheckExact(text) ? Py_NewRef(text) : _PyUnicode_Copy(text);
    PyObject *args = plain == NULL ? NULL : PyTuple_Pack(1, plain);
    PyObject *result = args == NULL ? NULL : PyUnicode_Format(before, args);
    if (result != NULL && result == plain) {
        Py_SETREF(result, Py_NewRef(text));
    }
    Py_XDECREF(plain);
    Py_XDECREF(args);
    return result;
}

/* The same of strings that are put together. */
static PyObject *
concatenate(PyObject *before, PyObject *text)
{
    return PyUnicode_GET_LENGTH(before) == 0 ? Py_NewRef(text) : PyUnicode_Concat(before, text);
}

/* The text of a piece, `made` by its call or NULL where it has none. */
static PyObject *
complete(PyObject *piece, PyObject *made)
{
    PyObject *before = PyTuple_GET_ITEM(piece, BEFORE);
    PyObject *spec = PyTuple_GET_ITEM(piece, SPEC);
    if (spec == Py_None) {
        return made == NULL ? PyUnicode_Format(before, PyTuple_GET_ITEM(piece, ARGS)) : fit(before, made);
    }
    if (spec == Py_True) {
        return made == NULL ? Py_NewRef(before) : concatenate(before, made);
    }
    PyObject *value = made == NULL ? PyTuple_GET_ITEM(PyTuple_GET_ITEM(piece, ARGS), 0) : made;
    PyObject *text = PyObject_Format(value, spec);
    PyObject *result = text == NULL ? NULL : concatenate(before, text);
    Py_XDECREF(text);
    return result;
}

int
slp_format_piece(PyThreadState *tstate, PyObject *list, PyObject *piece, PyObject *made)
{
    PyObject *text = NULL;
    if (made != NULL && !PyUnicode_Check(made)) {
        _PyErr_Format(tstate, PyExc_TypeError, "the text of a format is a %.200s", Py_TYPE(made)->tp_name);
    }
    else if (is_piece(piece)) {
        text = complete(piece, made);
    }
    else if (PyUnicode_CheckExact(piece)) {
        text = Py_NewRef(piece);
    }
    else {
        _PyErr_Format(tstate, PyExc_TypeError, "a %.200s is no piece of a format", Py_TYPE(piece)->tp_name);
    }
    int status = text == NULL ? -1 : PyList_Append(list, text);
    Py_XDECREF(text);
    return status;
}

/* As in C, the last text is the result as it is, be it an instance of a subclass, if all others are empty. */
PyObject *
slp_format_done(PyObject *texts)
{
    Py_ssize_t last = PyList_GET_SIZE(texts) - 1;
    for (Py_ssize_t i = 0; i <= last; i++) {
        PyObject *text = PyList_GET_ITEM(texts, i);
        if (!PyUnicode_Check(text) || (PyUnicode_GET_LENGTH(text) > 0) != (i == last)) {
            return PyUnicode_Join(&_Py_STR(empty), texts);
        }
    }
    return last < 0 ? Py_NewRef(&_Py_STR(empty)) : Py_NewRef(PyList_GET_ITEM(texts, last));
}

/* --- cutting --------------------------------------------------------------------------------------- */

/* Formats that are being cut: what functions below return. */
typedef enum {
    FAILED = -1,    /* with an exception */
    NOT_PLAIN,      /* for C */
    CUT,
} outcome;

/* The text from `start` to `end` of a format. */
typedef struct {
    PyObject *format;
    Py_ssize_t start, end;
} part;

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

/* Append a piece; steals `before` and `spec`, which may be NULL with an exception. */
static outcome
add_piece(PyObject *pieces, PyObject *callable, PyObject *args, PyObject *before, PyObject *spec)
{
    PyObject *piece = NULL;
    if (args != NULL && before != NULL && spec != NULL) {
        piece = PyTuple_Pack(PIECE_SIZE, callable == NULL ? Py_None : callable, args, before, spec);
    }
    outcome result = piece != NULL && PyList_Append(pieces, piece) == 0 ? CUT : FAILED;
    Py_XDECREF(piece);
    Py_XDECREF(args);
    Py_XDECREF(before);
    Py_XDECREF(spec);
    return result;
}

/* Append text, which is stolen and may be NULL with an exception. */
static outcome
add_text(PyObject *pieces, PyObject *text)
{
    outcome result = text != NULL && PyList_Append(pieces, text) == 0 ? CUT : FAILED;
    Py_XDECREF(text);
    return result;
}

/* What makes the text of `value`, if Python does: str or repr (borrowed).  *failed: there is an exception. */
static PyObject *
text_function(PyThreadState *tstate, PyObject *value, Py_UCS4 conversion, bool *failed)
{
    if (conversion == 's' && slp_has_python_str(value)) {
        return (PyObject *)&PyUnicode_Type;
    }
    if (conversion == 'r' && slp_has_python_repr(value)) {
        PyObject *repr = slp_builtin(tstate, "repr");
        *failed = repr == NULL;
        return repr;
    }
    return NULL;
}

/* --- % --------------------------------------------------------------------------------------------- */

/* Where the conversion character of the specification behind a % at `index` stands; -1: it is not plain. */
static Py_ssize_t
find_conversion(PyObject *format, Py_ssize_t index)
{
    while (char_at(format, index) != 0 && strchr("-+ #0", (int)Py_MIN(char_at(format, index), 127)) != NULL) {
        index++;
    }
    while (is_digit(char_at(format, index))) {
        index++;
    }
    if (char_at(format, index) == '.') {
        index++;
        while (is_digit(char_at(format, index))) {
            index++;
        }
    }
    Py_UCS4 c = char_at(format, index);
    if (c == 'h' || c == 'l' || c == 'L') {
        c = char_at(format, ++index);
    }
    return c != 0 && c < 128 && strchr("sracdiuoxXeEfFgG", (int)c) != NULL ? index : -1;
}

/* Append the piece of a specification whose conversion character is the last of `spec`. */
static outcome
cut_percent(PyThreadState *tstate, PyObject *pieces, part spec, PyObject *value)
{
    bool failed = false;
    PyObject *function = text_function(tstate, value, char_at(spec.format, spec.end - 1), &failed);
    PyObject *before = PyUnicode_Substring(spec.format, spec.start, spec.end - (function != NULL));
    if (before != NULL && function != NULL) {
        Py_SETREF(before, PyUnicode_FromFormat("%Us", before));
    }
    if (failed) {
        Py_CLEAR(before);
    }
    return add_piece(pieces, function, PyTuple_Pack(1, value), before, Py_NewRef(Py_None));
}

static outcome
cut_percents(PyThreadState *tstate, PyObject *pieces, PyObject *format, PyObject *const *values,
             Py_ssize_t count)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    Py_ssize_t start = 0, taken = 0;
    for (Py_ssize_t i = 0; i < length; i++) {
        if (char_at(format, i) != '%') {
            continue;
        }
        if (char_at(format, i + 1) == '%') {
            i++;
            continue;
        }
        i = find_conversion(format, i + 1);
        if (i < 0 || taken == count) {
            return NOT_PLAIN;
        }
        outcome cut = cut_percent(tstate, pieces, (part){format, start, i + 1}, values[taken++]);
        if (cut != CUT) {
            return cut;
        }
        start = i + 1;
    }
    if (taken < count) {
        return NOT_PLAIN;
    }
    /* The text of one specification alone may be the result as it is. */
    if (start == length && PyList_GET_SIZE(pieces) == 1) {
        return CUT;
    }
    /* There may be a %% in the rest. */
    PyObject *rest = PyUnicode_Substring(format, start, length);
    PyObject *nothing = PyTuple_New(0);
    PyObject *text = rest == NULL || nothing == NULL ? NULL : PyUnicode_Format(rest, nothing);
    Py_XDECREF(rest);
    Py_XDECREF(nothing);
    return add_text(pieces, text);
}

/* --- str.format ------------------------------------------------------------------------------------ */

/* What a format takes values from. */
typedef struct {
    PyObject *const *args;      /* positional ones, then those of kwnames */
    Py_ssize_t nargs;
    PyObject *kwnames;
    Py_ssize_t taken;           /* fields without a name so far; -1: there are numbers */
} arguments;

/* The value of the field with that name (borrowed); NULL where C is to look. */
static PyObject *
find_value(arguments *from, part name)
{
    Py_ssize_t index = 0;
    Py_UCS4 first = char_at(name.format, name.start);
    if (name.start == name.end) {
        return from->taken >= 0 && from->taken < from->nargs ? from->args[from->taken++] : NULL;
    }
    if (is_digit(first)) {
        for (Py_ssize_t i = name.start; i < name.end; i++) {
            index = 10 * index + (Py_ssize_t)(char_at(name.format, i) - '0');
            if (!is_digit(char_at(name.format, i)) || index >= from->nargs) {
                return NULL;
            }
        }
        if (from->taken > 0) {
            return NULL;
        }
        from->taken = -1;
        return from->args[index];
    }
    for (; from->kwnames != NULL && index < PyTuple_GET_SIZE(from->kwnames); index++) {
        PyObject *word = PyTuple_GET_ITEM(from->kwnames, index);
        if (PyUnicode_GET_LENGTH(word) == name.end - name.start
            && PyUnicode_Tailmatch(name.format, word, name.start, name.end, -1) == 1) {
            return from->args[from->nargs + index];
        }
    }
    return NULL;
}

/* Append the piece of the replacement field `field`, which stands in braces; steals the text before it. */
static outcome
cut_field(PyThreadState *tstate, PyObject *pieces, PyObject *before, part field, arguments *from)
{
    PyObject *format = field.format;
    Py_ssize_t end = field.start;
    while (end < field.end && char_at(format, end) != '!' && char_at(format, end) != ':') {
        if (char_at(format, end) == '.' || char_at(format, end) == '[') {
            Py_DECREF(before);
            return NOT_PLAIN;
        }
        end++;
    }
    PyObject *value = find_value(from, (part){format, field.start, end});
    Py_UCS4 conversion = 0;
    if (end < field.end && char_at(format, end) == '!') {
        conversion = char_at(format, end + 1);
        end += 2;
    }
    if (value == NULL || (conversion != 0 && conversion != 's' && conversion != 'r')
        || end > field.end || (end < field.end && char_at(format, end) != ':')) {
        Py_DECREF(before);
        return NOT_PLAIN;
    }
    PyObject *spec = PyUnicode_Substring(format, Py_MIN(end + 1, field.end), field.end);
    if (conversion != 0) {
        PyObject *function = conversion == 's' ? (PyObject *)&PyUnicode_Type : slp_builtin(tstate, "repr");
        return add_piece(pieces, function, function == NULL ? NULL : PyTuple_Pack(1, value), before, spec);
    }
    if (spec != NULL && slp_has_python_format(value, spec)) {
        PyObject *function = slp_builtin(tstate, "format");
        PyObject *args = function == NULL ? NULL : PyTuple_Pack(2, value, spec);
        Py_DECREF(spec);
        return add_piece(pieces, function, args, before, Py_NewRef(Py_True));
    }
    return add_piece(pieces, NULL, PyTuple_Pack(1, value), before, spec);
}

/* The text from `start` on, where brace and brace are one, up to a single one at *end or the format's end. */
static PyObject *
literal(PyObject *format, Py_ssize_t start, Py_ssize_t *end)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    PyObject *text = PyUnicode_FromStringAndSize(NULL, 0);
    Py_ssize_t i = start;
    while (text != NULL) {
        Py_UCS4 c = char_at(format, i);
        bool brace = i < length && (c == '{' || c == '}');
        if (i < length && !brace) {
            i++;
            continue;
        }
        bool pair = brace && char_at(format, i + 1) == c;
        PyObject *more = PyUnicode_Substring(format, start, i + pair);
        PyUnicode_AppendAndDel(&text, more);
        if (!pair) {
            break;
        }
        i += 2;
        start = i;
    }
    *end = i;
    return text;
}

static outcome
cut_fields(PyThreadState *tstate, PyObject *pieces, PyObject *format, arguments *from)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(format);
    for (Py_ssize_t i = 0; i < length; i++) {
        PyObject *before = literal(format, i, &i);
        if (before == NULL) {
            return FAILED;
        }
        if (i == length) {
            return add_text(pieces, before);
        }
        Py_ssize_t end = i + 1;
        while (end < length && char_at(format, end) != '}' && char_at(format, end) != '{') {
            end++;
        }
        if (char_at(format, i) != '{' || char_at(format, end) != '}') {
            Py_DECREF(before);
            return NOT_PLAIN;
        }
        outcome cut = cut_field(tstate, pieces, before, (part){format, i + 1, end}, from);
        if (cut != CUT) {
            return cut;
        }
        i = end;
    }
    return CUT;
}

/* --- soft functions -------------------------------------------------------------------------------- */

/* Push the shim for a format that has been cut into `pieces` (stolen), if so. */
static PyObject *
format_pieces(PyThreadState *tstate, _PyInterpreterFrame *below, outcome cut, PyObject *pieces,
              _PyInterpreterFrame **top)
{
    if (cut != CUT) {
        Py_XDECREF(pieces);
        return cut == FAILED ? NULL : SLP_NOT_SOFT;
    }
    PyObject *iterator = PyObject_GetIter(pieces);
    PyObject *texts = PyList_New(0);
    PyObject *answer = NULL;
    Py_DECREF(pieces);
    if (iterator != NULL && texts != NULL) {
        PyObject *values[] = {texts, iterator};
        answer = slp_enter_loop(tstate, below, shim_pieces, 0, values, 2, top);
    }
    Py_XDECREF(iterator);
    Py_XDECREF(texts);
    return answer;
}

PyObject *
slp_soft_percent(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *format, PyObject *args,
                 _PyInterpreterFrame **top)
{
    bool many = PyTuple_CheckExact(args);
    PyObject *const *values = many ? &PyTuple_GET_ITEM(args, 0) : &args;
    Py_ssize_t count = many ? PyTuple_GET_SIZE(args) : 1;
    bool soft = false;
    for (Py_ssize_t i = 0; !soft && i < count; i++) {
        soft = slp_has_python_str(values[i]) || slp_has_python_repr(values[i]);
    }
    if (!soft || (!many && PyTuple_Check(args))) {
        return SLP_NOT_SOFT;
    }
    PyObject *pieces = PyList_New(0);
    outcome cut = pieces == NULL ? FAILED : cut_percents(tstate, pieces, format, values, count);
    return format_pieces(tstate, below, cut, pieces, top);
}

static PyObject *
soft_str_format(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    bool soft = false;
    for (Py_ssize_t i = 0; !soft && i < count; i++) {
        soft = slp_has_python_str(args[i]) || slp_has_python_repr(args[i])
               || slp_has_python_format(args[i], NULL);
    }
    if (!soft) {
        return SLP_NOT_SOFT;
    }
    arguments from = {args, nargs, kwnames, 0};
    PyObject *pieces = PyList_New(0);
    outcome cut = pieces == NULL ? FAILED : cut_fields(tstate, pieces, self, &from);
    return format_pieces(tstate, below, cut, pieces, top);
}

void
slp_soft_format_init(void)
{
    SLP_LOOP_MAKE(shim_pieces, "<format pieces>", 6,
         NOP, 0,
         FOR_ITER, 4,                   /* 1: to 6 */
         SLP_FORMAT_PIECE, 2,           /* 2: to 1 */
         CALL_FUNCTION_EX, 0,
         SLP_FORMAT_PIECE_MADE, 0,
         JUMP_BACKWARD, 5,              /* 5: to 1 */
         SLP_LOOP_DONE, SLP_LOOP_FORMAT);
    slp_soft_register_method(&PyUnicode_Type, "format", soft_str_format);
}
