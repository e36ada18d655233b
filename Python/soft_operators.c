/* Operators and comparisons whose special methods are Python functions, entered as frames (slp_soft.h).
 *
 * An operator is a row of steps, each of which may answer NotImplemented, so that the next one is asked.
 * A step is a special method in Python, or a C function in a slot of either operand's type.
 * slp_soft_*_steps() takes steps until one has an answer or is a Python function; then that one's frame
 * is entered, and the shim below it goes on with the next step if it returns NotImplemented.
 *
 *   left <op>= right     in-place method of left
 *   left <op> right      method of left, reflected method of right; the other way round where the class of
 *                        right derives from that of left (and overrides the reflected method)
 *   sequences            + and * of C sequences, when numbers have no answer
 *
 * The row is made again for each step: while a step runs, nothing but the operands and the number of the next
 * step is kept, all in the shim's frame.
 */
#include "slp_soft.h"

/* The names of an operator: left.method(right), right.reflected(left), left.in_place(right). */
typedef struct {
    PyObject *method;
    PyObject *reflected;
    PyObject *in_place;
    Py_ssize_t slot;            /* offsets in PyNumberMethods */
    Py_ssize_t in_place_slot;
    const char *symbol;         /* what errors call it */
} operator_names;

#define NAMES(name, symbol_)                                                                       \
    {                                                                                              \
        &_Py_ID(__##name##__), &_Py_ID(__r##name##__), &_Py_ID(__i##name##__), SLOTS_##name, symbol_ \
    }
#define SLOTS(slot) offsetof(PyNumberMethods, nb_##slot), offsetof(PyNumberMethods, nb_inplace_##slot)
#define SLOTS_add SLOTS(add)
#define SLOTS_and SLOTS(and)
#define SLOTS_floordiv SLOTS(floor_divide)
#define SLOTS_lshift SLOTS(lshift)
#define SLOTS_matmul SLOTS(matrix_multiply)
#define SLOTS_mul SLOTS(multiply)
#define SLOTS_mod SLOTS(remainder)
#define SLOTS_or SLOTS(or)
#define SLOTS_pow SLOTS(power)
#define SLOTS_rshift SLOTS(rshift)
#define SLOTS_sub SLOTS(subtract)
#define SLOTS_truediv SLOTS(true_divide)
#define SLOTS_xor SLOTS(xor)

/* By BINARY_OP's argument, without the in-place half; and divmod(). */
#define PLAIN_OPERATORS NB_INPLACE_ADD
static const operator_names operators[PLAIN_OPERATORS + 1] = {
    [NB_ADD] = NAMES(add, "+"),
    [NB_AND] = NAMES(and, "&"),
    [NB_FLOOR_DIVIDE] = NAMES(floordiv, "//"),
    [NB_LSHIFT] = NAMES(lshift, "<<"),
    [NB_MATRIX_MULTIPLY] = NAMES(matmul, "@"),
    [NB_MULTIPLY] = NAMES(mul, "*"),
    [NB_REMAINDER] = NAMES(mod, "%"),
    [NB_OR] = NAMES(or, "|"),
    [NB_POWER] = NAMES(pow, "**"),
    [NB_RSHIFT] = NAMES(rshift, ">>"),
    [NB_SUBTRACT] = NAMES(sub, "-"),
    [NB_TRUE_DIVIDE] = NAMES(truediv, "/"),
    [NB_XOR] = NAMES(xor, "^"),
    [PLAIN_OPERATORS] = {&_Py_ID(__divmod__), &_Py_ID(__rdivmod__), NULL,
                         offsetof(PyNumberMethods, nb_divmod), -1, "divmod()"},
};

static bool
is_in_place(int operator)
{
    return operator >= NB_INPLACE_ADD && operator != SLP_DIVMOD;
}

static const operator_names *
names_of(int operator)
{
    return &operators[operator == SLP_DIVMOD ? PLAIN_OPERATORS
                                             : is_in_place(operator) ? operator - NB_INPLACE_ADD : operator];
}

/* The function in a number slot of a type, or NULL. */
static binaryfunc
number_slot(const PyNumberMethods *methods, Py_ssize_t offset)
{
    return methods == NULL || offset < 0 ? NULL : *(const binaryfunc *)((const char *)methods + offset);
}

static bool
is_python_slot(binaryfunc function, Py_ssize_t offset)
{
    return function != NULL && function == number_slot(&slp_python_slots.number, offset);
}

bool
slp_is_python_operator(PyObject *left, PyObject *right, int operator)
{
    const operator_names *names = names_of(operator);
    const PyNumberMethods *of_left = Py_TYPE(left)->tp_as_number;
    return is_python_slot(number_slot(of_left, names->slot), names->slot)
           || is_python_slot(number_slot(Py_TYPE(right)->tp_as_number, names->slot), names->slot)
           || (is_in_place(operator)
               && is_python_slot(number_slot(of_left, names->in_place_slot), names->in_place_slot));
}

/* --- the steps of an operator --- */

typedef enum {
    IN_PLACE,           /* left.__iadd__(right) */
    IN_PLACE_SLOT,      /* the same in C */
    FORWARD,            /* left.__add__(right) */
    REFLECTED,          /* right.__radd__(left) */
    LEFT_SLOT,          /* the slot of left's type, in C */
    RIGHT_SLOT,
    SEQUENCE,           /* + and * of sequences, or the error */
} step;

/* Does the class of right have a reflected method other than that of left's class? */
static bool
overrides(PyTypeObject *right, PyTypeObject *left, PyObject *reflected)
{
    PyObject *found = _PyType_Lookup(right, reflected);
    return found != NULL && found != _PyType_Lookup(left, reflected);
}

/* Write down the steps, at most four. */
static void
list_steps(PyObject *left, PyObject *right, int operator, step *steps)
{
    const operator_names *names = names_of(operator);
    PyTypeObject *left_type = Py_TYPE(left);
    PyTypeObject *right_type = Py_TYPE(right);
    if (is_in_place(operator)) {
        binaryfunc slot = number_slot(left_type->tp_as_number, names->in_place_slot);
        if (slot != NULL) {
            *steps++ = is_python_slot(slot, names->in_place_slot) ? IN_PLACE : IN_PLACE_SLOT;
        }
    }
    binaryfunc left_slot = number_slot(left_type->tp_as_number, names->slot);
    binaryfunc right_slot = NULL;
    if (left_type != right_type) {
        right_slot = number_slot(right_type->tp_as_number, names->slot);
    }
    bool left_is_python = is_python_slot(left_slot, names->slot);
    bool right_is_python = is_python_slot(right_slot, names->slot);
    bool right_first = right_slot != NULL && PyType_IsSubtype(right_type, left_type);
    if (left_is_python && right_is_python) {
        right_first = right_first && overrides(right_type, left_type, names->reflected);
    }
    else if (right_slot == left_slot) {
        right_slot = NULL;
    }
    step left_step = left_is_python ? FORWARD : LEFT_SLOT;
    step right_step = right_is_python ? REFLECTED : RIGHT_SLOT;
    if (right_first && right_slot != NULL) {
        *steps++ = right_step;
    }
    if (left_slot != NULL) {
        *steps++ = left_step;
    }
    if (!right_first && right_slot != NULL) {
        *steps++ = right_step;
    }
    *steps = SEQUENCE;
}

/* self.name(other), looked up in self's class: the frame of a Python function, or what C answers.  No
 * such method: NotImplemented. */
static PyObject *
call_special(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *self, PyObject *name,
             PyObject *other, _PyInterpreterFrame **top)
{
    PyObject *method = _PyType_Lookup(Py_TYPE(self), name);
    PyObject *args[2] = {self, other};
    if (method == NULL) {
        return Py_NewRef(Py_NotImplemented);
    }
    if (Py_IS_TYPE(method, &PyFunction_Type)) {
        return slp_enter_function(tstate, shim, (PyFunctionObject *)method, args, 2, NULL, top);
    }
    method = _PyObject_LookupSpecial(self, name);
    if (method == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_CallOneArg(method, other);
    Py_DECREF(method);
    return result;
}

/* The slot of `type` in C; ** has one argument more. */
static PyObject *
call_slot(PyTypeObject *type, Py_ssize_t offset, int operator, PyObject *left, PyObject *right)
{
    binaryfunc function = number_slot(type->tp_as_number, offset);
    if (function == NULL) {
        return Py_NewRef(Py_NotImplemented);
    }
    if (operator == NB_POWER || operator == NB_INPLACE_POWER) {
        return ((ternaryfunc)(void (*)(void))function)(left, right, Py_None);
    }
    return function(left, right);
}

/* sequence * count */
static PyObject *
repeat(PyThreadState *tstate, ssizeargfunc function, PyObject *sequence, PyObject *count)
{
    if (!_PyIndex_Check(count)) {
        _PyErr_Format(tstate, PyExc_TypeError, "can't multiply sequence by non-int of type '%.200s'",
                      Py_TYPE(count)->tp_name);
        return NULL;
    }
    Py_ssize_t times = PyNumber_AsSsize_t(count, PyExc_OverflowError);
    return times == -1 && _PyErr_Occurred(tstate) ? NULL : function(sequence, times);
}

/* The last step: sequences in C, or the TypeError. */
static PyObject *
as_sequence(PyThreadState *tstate, PyObject *left, PyObject *right, int operator)
{
    const PySequenceMethods *of_left = Py_TYPE(left)->tp_as_sequence;
    const PySequenceMethods *of_right = Py_TYPE(right)->tp_as_sequence;
    bool in_place = is_in_place(operator);
    if ((operator == NB_ADD || operator == NB_INPLACE_ADD) && of_left != NULL) {
        binaryfunc concat = in_place && of_left->sq_inplace_concat != NULL ? of_left->sq_inplace_concat
                                                                           : of_left->sq_concat;
        if (concat != NULL) {
            return concat(left, right);
        }
    }
    if (operator == NB_MULTIPLY || operator == NB_INPLACE_MULTIPLY) {
        ssizeargfunc function = NULL;
        if (of_left != NULL) {
            function = in_place && of_left->sq_inplace_repeat != NULL ? of_left->sq_inplace_repeat
                                                                      : of_left->sq_repeat;
        }
        if (function != NULL) {
            return repeat(tstate, function, left, right);
        }
        /* In place, the right side is not asked where the left one could be a sequence at all. */
        if (of_right != NULL && of_right->sq_repeat != NULL && !(in_place && of_left != NULL)) {
            return repeat(tstate, of_right->sq_repeat, right, left);
        }
    }
    const char *symbol = operator == NB_POWER ? "** or pow()" : names_of(operator)->symbol;
    _PyErr_Format(tstate, PyExc_TypeError, "unsupported operand type(s) for %.100s%s: '%.100s' and '%.100s'",
                  symbol, in_place ? "=" : "", Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
    return NULL;
}

static PyObject *
take_step(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *left, PyObject *right, int operator,
          step what, _PyInterpreterFrame **top)
{
    const operator_names *names = names_of(operator);
    switch (what) {
    case IN_PLACE:
        return call_special(tstate, shim, left, names->in_place, right, top);
    case IN_PLACE_SLOT:
        return call_slot(Py_TYPE(left), names->in_place_slot, operator, left, right);
    case FORWARD:
        return call_special(tstate, shim, left, names->method, right, top);
    case REFLECTED:
        return call_special(tstate, shim, right, names->reflected, left, top);
    case LEFT_SLOT:
        return call_slot(Py_TYPE(left), names->slot, operator, left, right);
    case RIGHT_SLOT:
        return call_slot(Py_TYPE(right), names->slot, operator, left, right);
    case SEQUENCE:
        break;
    }
    return as_sequence(tstate, left, right, operator);
}

PyObject *
slp_soft_binary_steps(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *left, PyObject *right,
                      int operator, int *stage, _PyInterpreterFrame **top)
{
    step steps[4] = {SEQUENCE, SEQUENCE, SEQUENCE, SEQUENCE};
    list_steps(left, right, operator, steps);
    for (;;) {
        step what = *stage < 4 ? steps[*stage] : SEQUENCE;
        ++*stage;
        PyObject *answer = take_step(tstate, shim, left, right, operator, what, top);
        if (answer != Py_NotImplemented || what == SEQUENCE) {
            return answer;
        }
        Py_DECREF(answer);
    }
}

/* --- comparisons --- */

static PyObject *const comparison_names[] = {
    [Py_LT] = &_Py_ID(__lt__), [Py_LE] = &_Py_ID(__le__), [Py_EQ] = &_Py_ID(__eq__),
    [Py_NE] = &_Py_ID(__ne__), [Py_GT] = &_Py_ID(__gt__), [Py_GE] = &_Py_ID(__ge__),
};
static const int swapped[] = {
    [Py_LT] = Py_GT, [Py_LE] = Py_GE, [Py_EQ] = Py_EQ, [Py_NE] = Py_NE, [Py_GT] = Py_LT, [Py_GE] = Py_LE,
};
static const char *const comparison_symbols[] = {
    [Py_LT] = "<", [Py_LE] = "<=", [Py_EQ] = "==", [Py_NE] = "!=", [Py_GT] = ">", [Py_GE] = ">=",
};

/* One side of a comparison.  *negated: the frame entered is that of __eq__ on behalf of object.__ne__. */
static PyObject *
compare_side(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *self, PyObject *other, int op,
             bool *negated, _PyInterpreterFrame **top)
{
    richcmpfunc compare = Py_TYPE(self)->tp_richcompare;
    *negated = false;
    if (compare == NULL) {
        return Py_NewRef(Py_NotImplemented);
    }
    if (compare != slp_python_slots.type.tp_richcompare) {
        return compare(self, other, op);
    }
    PyObject *name = comparison_names[op];
    PyObject *method = _PyType_Lookup(Py_TYPE(self), name);
    if (op == Py_NE && method != NULL && Py_IS_TYPE(method, &PyWrapperDescr_Type)
        && ((PyWrapperDescrObject *)method)->d_wrapped == (void *)PyBaseObject_Type.tp_richcompare
        && slp_python_method(Py_TYPE(self), &_Py_ID(__eq__)) != NULL) {
        *negated = true;
        name = &_Py_ID(__eq__);
    }
    else if (method == NULL || !Py_IS_TYPE(method, &PyFunction_Type)) {
        return compare(self, other, op);
    }
    return call_special(tstate, shim, self, name, other, top);
}

/* What a comparison comes to that neither side knows. */
static PyObject *
compare_by_identity(PyThreadState *tstate, PyObject *left, PyObject *right, int op)
{
    if (op == Py_EQ || op == Py_NE) {
        return PyBool_FromLong((left == right) == (op == Py_EQ));
    }
    _PyErr_Format(tstate, PyExc_TypeError, "'%s' not supported between instances of '%.100s' and '%.100s'",
                  comparison_symbols[op], Py_TYPE(left)->tp_name, Py_TYPE(right)->tp_name);
    return NULL;
}

PyObject *
slp_soft_compare_steps(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *left, PyObject *right,
                       int op, int *stage, _PyInterpreterFrame **top)
{
    bool right_first = !Py_IS_TYPE(left, Py_TYPE(right)) && PyType_IsSubtype(Py_TYPE(right), Py_TYPE(left))
                       && Py_TYPE(right)->tp_richcompare != NULL;
    for (int step_number = *stage % SLP_NEGATED; step_number < 2; step_number++) {
        bool negated;
        PyObject *answer;
        if ((step_number == 0) == right_first) {
            answer = compare_side(tstate, shim, right, left, swapped[op], &negated, top);
        }
        else {
            answer = compare_side(tstate, shim, left, right, op, &negated, top);
        }
        if (answer != Py_NotImplemented) {
            *stage = step_number + 1 + (negated ? SLP_NEGATED : 0);
            return answer;
        }
        Py_DECREF(answer);
    }
    return compare_by_identity(tstate, left, right, op);
}

_PyInterpreterFrame *
slp_operator_shim(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code, PyObject *left,
                  PyObject *right, int operator)
{
    PyObject *values[4] = {left, right, PyLong_FromLong(operator), Py_NewRef(Py_NotImplemented)};
    return slp_shim_push(tstate, below, code, 0, values, 4);
}
