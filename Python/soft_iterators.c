/* map, filter, zip, enumerate, reversed, iter() with Python code behind them: their steps (slp_iterators.h).
 *
 * Where the iterator keeps books of its own and asks another one first, the base's C code is called when that
 * one has answered (slp_iternext_with()).
 */
#include "slp_iterators.h"

/* Where the objects have what. */
static Py_ssize_t map_function, map_iterators;
static Py_ssize_t filter_function, filter_iterator;
static Py_ssize_t zip_iterators, zip_result, zip_strict;
static Py_ssize_t enumerate_iterator;
static Py_ssize_t reversed_sequence, reversed_index;
static Py_ssize_t sequence_sequence, sequence_index;
static Py_ssize_t calls_callable, calls_sentinel;

#define OBJECT(self, offset) SLP_FIELD(self, PyObject *, offset)

/* Is Python code behind one of the iterators in a tuple? */
static bool
any_in_python(PyObject *iterators, int depth)
{
    for (Py_ssize_t i = 0; iterators != NULL && i < PyTuple_GET_SIZE(iterators); i++) {
        if (slp_iterates_below(PyTuple_GET_ITEM(iterators, i), depth)) {
            return true;
        }
    }
    return false;
}

PyObject *
slp_row_begin(PyObject *reusable, Py_ssize_t count)
{
    if (reusable != NULL && Py_REFCNT(reusable) == 1 && PyTuple_GET_SIZE(reusable) == count) {
        return Py_NewRef(reusable);
    }
    PyObject *row = PyTuple_New(count);
    for (Py_ssize_t i = 0; row != NULL && i < count; i++) {
        PyTuple_SET_ITEM(row, i, Py_NewRef(Py_None));
    }
    return row;
}

/* --- map --- */

static bool
map_in_python(PyObject *self, int depth)
{
    return OBJECT(self, map_function) != NULL
           && (slp_may_be_soft(OBJECT(self, map_function))
               || any_in_python(OBJECT(self, map_iterators), depth));
}

static slp_do
map_step(slp_step *step)
{
    PyObject *function = OBJECT(step->self, map_function);
    PyObject *iterators = OBJECT(step->self, map_iterators);
    Py_ssize_t count = PyTuple_GET_SIZE(iterators);
    if (step->event == SLP_EVENT_END) {
        return SLP_DO_END;
    }
    if (count == 1) {
        return step->event == SLP_EVENT_START
                   ? slp_ask(step, PyTuple_GET_ITEM(iterators, 0), 0)
                   : slp_call_with(step, SLP_DO_TAIL, function, step->value, 0);
    }
    Py_ssize_t have = 0;
    if (step->event == SLP_EVENT_START) {
        step->work = slp_row_begin(NULL, count);
        if (step->work == NULL) {
            return SLP_DO_END;
        }
    }
    else {
        slp_row_put(step);
        have = step->phase + 1;
    }
    if (have < count) {
        return slp_ask(step, PyTuple_GET_ITEM(iterators, have), (int)have);
    }
    step->callee = function;
    step->args = &PyTuple_GET_ITEM(step->work, 0);
    step->nargs = PyTuple_GET_SIZE(step->work);
    return SLP_DO_TAIL;
}

/* map(function, xs) with a Python function over an iterator of C's. */
static PyObject *
map_quick(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, _PyInterpreterFrame **top)
{
    PyObject *function = OBJECT(self, map_function), *iterators = OBJECT(self, map_iterators);
    if (!Py_IS_TYPE(function, &PyFunction_Type) || PyTuple_GET_SIZE(iterators) != 1
        || slp_iterates_in_python(PyTuple_GET_ITEM(iterators, 0))) {
        return SLP_NOT_SOFT;
    }
    PyObject *iterator = PyTuple_GET_ITEM(iterators, 0);
    PyObject *value = Py_TYPE(iterator)->tp_iternext(iterator);
    if (value == NULL) {
        return NULL;
    }
    PyObject *answer = slp_enter_function(tstate, below, (PyFunctionObject *)function, &value, 1, NULL, top);
    Py_DECREF(value);
    return answer;
}

Py_ssize_t
slp_iterator_count(PyObject *self)
{
    iternextfunc next = Py_TYPE(self)->tp_iternext;
    return next == PyMap_Type.tp_iternext   ? PyTuple_GET_SIZE(OBJECT(self, map_iterators))
           : next == PyZip_Type.tp_iternext ? PyTuple_GET_SIZE(OBJECT(self, zip_iterators))
                                            : slp_zip_longest_count(self);
}

static void
learn_map(void)
{
    PyObject *iterator = PyObject_GetIter(&_Py_STR(empty));
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyMap_Type, "OO", &PyTuple_Type, iterator);
    if (probe != NULL) {
        map_function = slp_find_word(probe, (Py_ssize_t)&PyTuple_Type);
        map_iterators = slp_find_tuple(probe, iterator);
    }
    Py_XDECREF(probe);
    Py_XDECREF(iterator);
    if (map_function && map_iterators) {
        slp_soft_iterator *soft = slp_soft_register_iterator(&PyMap_Type, map_step, map_in_python, "m");
        if (soft != NULL) {
            soft->quick = map_quick;
        }
    }
}

/* --- filter --- */

static bool
filter_in_python(PyObject *self, int depth)
{
    return OBJECT(self, filter_iterator) != NULL
           && (slp_may_be_soft(OBJECT(self, filter_function))
               || slp_iterates_below(OBJECT(self, filter_iterator), depth));
}

slp_do
slp_step_filter(slp_step *step, PyObject *function, PyObject *iterator, bool wanted)
{
    enum { ASKED, CALLED, TESTED };
    switch (step->event) {
    case SLP_EVENT_START:
        return slp_ask(step, iterator, ASKED);
    case SLP_EVENT_VALUE:
        break;
    default:
        return SLP_DO_END;
    }
    if (step->phase == ASKED) {
        step->work = slp_step_take(step);
        if (function == Py_None || function == (PyObject *)&PyBool_Type) {
            return slp_operate(step, SLP_DO_TRUTH, step->work, NULL, TESTED);
        }
        return slp_call_with(step, SLP_DO_CALL, function, step->work, CALLED);
    }
    int truth = slp_plain_truth(step->value);
    if (truth < 0) {
        return slp_operate(step, SLP_DO_TRUTH, step->value, NULL, TESTED);
    }
    if (truth == wanted) {
        return slp_step_answer_work(step);
    }
    Py_CLEAR(step->work);
    return slp_ask(step, iterator, ASKED);
}

static slp_do
filter_step(slp_step *step)
{
    return slp_step_filter(step, OBJECT(step->self, filter_function), OBJECT(step->self, filter_iterator),
                           true);
}

static void
learn_filter(void)
{
    PyObject *iterator = PyObject_GetIter(&_Py_STR(empty));
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyFilter_Type, "OO", &PyTuple_Type, iterator);
    if (probe != NULL) {
        filter_function = slp_find_word(probe, (Py_ssize_t)&PyTuple_Type);
        filter_iterator = slp_find_word(probe, (Py_ssize_t)iterator);
    }
    Py_XDECREF(probe);
    Py_XDECREF(iterator);
    if (filter_function && filter_iterator) {
        slp_soft_iterator_asks(
            slp_soft_register_iterator(&PyFilter_Type, filter_step, filter_in_python, "Noo"), filter_iterator,
            false);
    }
}

/* --- zip --- */

static bool
zip_in_python(PyObject *self, int depth)
{
    return any_in_python(OBJECT(self, zip_iterators), depth);
}

/* zip(strict=True): argument number `which` (from 0) is not as long as those before. */
static slp_do
zip_differs(Py_ssize_t which, const char *how)
{
    const char *plural = which == 1 ? " " : "s 1-";
    PyErr_Format(PyExc_ValueError, "zip() argument %zd is %s than argument%s%zd", which + 1, how, plural,
                 which);
    return SLP_DO_END;
}

/* Whatever has ended: with `strict`, it has to be the first, and the others are asked whether they have, too:
 * those are the phases past the last iterator. */
static slp_do
zip_ended(slp_step *step, PyObject *iterators)
{
    Py_ssize_t count = PyTuple_GET_SIZE(iterators);
    Py_ssize_t asked = step->phase % count;
    if (step->event == SLP_EVENT_RAISED && !slp_step_forgive(step, PyExc_StopIteration, NULL)) {
        return SLP_DO_END;
    }
    if (!step->guarded) {
        return SLP_DO_END;
    }
    if (step->phase < count && asked > 0) {
        return zip_differs(asked, "shorter");
    }
    asked++;
    return asked == count ? SLP_DO_END
                          : slp_ask(step, PyTuple_GET_ITEM(iterators, asked), (int)(count + asked));
}

/* The phase is the number of the iterator that was asked. */
static slp_do
zip_step(slp_step *step)
{
    PyObject *iterators = OBJECT(step->self, zip_iterators);
    Py_ssize_t count = PyTuple_GET_SIZE(iterators), have = 0;
    step->guarded = SLP_FIELD(step->self, int, zip_strict) != 0;
    switch (step->event) {
    case SLP_EVENT_START:
        step->work = slp_row_begin(OBJECT(step->self, zip_result), count);
        if (step->work == NULL) {
            return SLP_DO_END;
        }
        break;
    case SLP_EVENT_VALUE:
        if (step->phase >= count) {
            return zip_differs(step->phase % count, "longer");
        }
        slp_row_put(step);
        have = step->phase + 1;
        break;
    default:
        return zip_ended(step, iterators);
    }
    return have < count ? slp_ask(step, PyTuple_GET_ITEM(iterators, have), (int)have)
                        : slp_row_answer(step);
}

static void
learn_zip(void)
{
    PyObject *iterator = PyObject_GetIter(&_Py_STR(empty));
    PyObject *args = iterator == NULL ? NULL : PyTuple_Pack(1, iterator);
    PyObject *kwargs = PyDict_New();
    PyObject *lax = NULL, *strict = NULL;
    if (args != NULL && kwargs != NULL && PyDict_SetItemString(kwargs, "strict", Py_True) == 0) {
        lax = PyObject_Call((PyObject *)&PyZip_Type, args, NULL);
        strict = PyObject_Call((PyObject *)&PyZip_Type, args, kwargs);
    }
    if (lax != NULL && strict != NULL) {
        zip_iterators = slp_find_tuple(lax, iterator);
        zip_result = slp_find_tuple(lax, Py_None);
        zip_strict = slp_find_int(lax, 0, strict, 1);
    }
    Py_XDECREF(lax);
    Py_XDECREF(strict);
    Py_XDECREF(kwargs);
    Py_XDECREF(args);
    Py_XDECREF(iterator);
    if (zip_iterators && zip_result && zip_strict) {
        slp_soft_register_iterator(&PyZip_Type, zip_step, zip_in_python, "z");
    }
}

/* --- enumerate --- */

static bool
enumerate_in_python(PyObject *self, int depth)
{
    return OBJECT(self, enumerate_iterator) != NULL
           && slp_iterates_below(OBJECT(self, enumerate_iterator), depth);
}

static slp_do
enumerate_step(slp_step *step)
{
    switch (step->event) {
    case SLP_EVENT_START:
        return slp_ask(step, OBJECT(step->self, enumerate_iterator), 0);
    case SLP_EVENT_VALUE:
        return slp_step_answer(step, slp_iternext_with(step->self, enumerate_iterator, slp_step_take(step)));
    default:
        return SLP_DO_END;
    }
}

static void
learn_enumerate(void)
{
    PyObject *iterator = PyObject_GetIter(&_Py_STR(empty));
    PyObject *probe = PyObject_CallFunction((PyObject *)&PyEnum_Type, "O", iterator);
    enumerate_iterator = probe == NULL ? 0 : slp_find_word(probe, (Py_ssize_t)iterator);
    Py_XDECREF(probe);
    Py_XDECREF(iterator);
    if (enumerate_iterator) {
        slp_soft_iterator_asks(
            slp_soft_register_iterator(&PyEnum_Type, enumerate_step, enumerate_in_python, "N"),
            enumerate_iterator, false);
    }
}

/* --- reversed(), and iter() of what has __getitem__ --- */

static bool
indexes_in_python(PyObject *sequence)
{
    return sequence != NULL && Py_TYPE(sequence)->tp_as_sequence != NULL
           && Py_TYPE(sequence)->tp_as_sequence->sq_item == slp_python_slots.sequence.sq_item;
}

static bool
reversed_in_python(PyObject *self, int depth)
{
    return indexes_in_python(OBJECT(self, reversed_sequence));
}

static slp_do
reversed_step(slp_step *step)
{
    Py_ssize_t *index = &SLP_FIELD(step->self, Py_ssize_t, reversed_index);
    if (step->event == SLP_EVENT_START) {
        if (*index < 0) {
            return SLP_DO_C;
        }
        step->guarded = true;
        step->index = *index;
        return slp_operate(step, SLP_DO_ITEM, OBJECT(step->self, reversed_sequence), NULL, 0);
    }
    if (step->event == SLP_EVENT_VALUE) {
        --*index;
        return SLP_DO_ANSWER;
    }
    (void)slp_step_forgive(step, PyExc_IndexError, PyExc_StopIteration);
    *index = -1;
    slp_step_clear(step, reversed_sequence);
    return SLP_DO_END;
}

static bool
sequence_in_python(PyObject *self, int depth)
{
    return indexes_in_python(OBJECT(self, sequence_sequence));
}

static slp_do
sequence_step(slp_step *step)
{
    Py_ssize_t *index = &SLP_FIELD(step->self, Py_ssize_t, sequence_index);
    if (step->event == SLP_EVENT_START) {
        if (*index == PY_SSIZE_T_MAX) {
            return SLP_DO_C;
        }
        step->guarded = true;
        step->index = *index;
        return slp_operate(step, SLP_DO_ITEM, OBJECT(step->self, sequence_sequence), NULL, 0);
    }
    if (step->event == SLP_EVENT_VALUE) {
        ++*index;
        return SLP_DO_ANSWER;
    }
    if (slp_step_forgive(step, PyExc_IndexError, PyExc_StopIteration)) {
        slp_step_clear(step, sequence_sequence);
    }
    return SLP_DO_END;
}

static void
learn_sequences(void)
{
    PyObject *sequence = PyBytes_FromStringAndSize(NULL, 4321);
    PyObject *probe = sequence == NULL ? NULL : PyObject_CallOneArg((PyObject *)&PyReversed_Type, sequence);
    if (probe != NULL) {
        reversed_sequence = slp_find_word(probe, (Py_ssize_t)sequence);
        reversed_index = slp_find_word(probe, 4320);
    }
    Py_XDECREF(probe);
    probe = sequence == NULL ? NULL : PySeqIter_New(sequence);
    PyObject *moved = probe == NULL ? NULL : PyObject_CallMethod(probe, "__setstate__", "i", 4320);
    if (moved != NULL) {
        sequence_sequence = slp_find_word(probe, (Py_ssize_t)sequence);
        sequence_index = slp_find_word(probe, 4320);
    }
    Py_XDECREF(moved);
    Py_XDECREF(probe);
    Py_XDECREF(sequence);
    if (reversed_sequence && reversed_index) {
        slp_soft_register_iterator(&PyReversed_Type, reversed_step, reversed_in_python, "N");
    }
    if (sequence_sequence && sequence_index) {
        slp_soft_register_iterator(&PySeqIter_Type, sequence_step, sequence_in_python, "N");
    }
}

/* --- iter(callable, sentinel) --- */

static bool
calls_in_python(PyObject *self, int depth)
{
    return OBJECT(self, calls_callable) != NULL
           && (slp_may_be_soft(OBJECT(self, calls_callable))
               || slp_has_heap_type(OBJECT(self, calls_sentinel)));
}

/* The end: the iterator lets go of what it has. */
static slp_do
calls_end(slp_step *step)
{
    slp_step_clear(step, calls_callable);
    slp_step_clear(step, calls_sentinel);
    return SLP_DO_END;
}

static slp_do
calls_step(slp_step *step)
{
    enum { CALLED, COMPARED, TESTED };
    PyObject *sentinel = OBJECT(step->self, calls_sentinel);
    if (step->event == SLP_EVENT_START) {
        step->guarded = true;
        step->callee = OBJECT(step->self, calls_callable);
        step->nargs = 0;
        step->phase = CALLED;
        return SLP_DO_CALL;
    }
    if (step->event == SLP_EVENT_RAISED) {
        return slp_step_forgive(step, PyExc_StopIteration, NULL) ? calls_end(step) : SLP_DO_END;
    }
    if (step->phase == CALLED) {
        if (sentinel == NULL) {
            return SLP_DO_END;   /* the call has exhausted this iterator */
        }
        if (sentinel == step->value) {
            return calls_end(step);
        }
        step->work = slp_step_take(step);
        return slp_operate(step, SLP_DO_EQUAL, sentinel, step->work, COMPARED);
    }
    if (step->phase == COMPARED) {
        return slp_operate(step, SLP_DO_TRUTH, step->value, NULL, TESTED);
    }
    return step->value == Py_True ? calls_end(step) : slp_step_answer_work(step);
}

static void
learn_calls(void)
{
    PyObject *probe = PyCallIter_New((PyObject *)&PyTuple_Type, (PyObject *)&PyList_Type);
    if (probe != NULL) {
        calls_callable = slp_find_word(probe, (Py_ssize_t)&PyTuple_Type);
        calls_sentinel = slp_find_word(probe, (Py_ssize_t)&PyList_Type);
    }
    Py_XDECREF(probe);
    if (calls_callable && calls_sentinel) {
        slp_soft_register_iterator(&PyCallIter_Type, calls_step, calls_in_python, "Noo");
    }
}

void
slp_soft_iterators_init(void)
{
    slp_iterators_init();
    learn_map();
    learn_filter();
    learn_zip();
    learn_enumerate();
    learn_sequences();
    learn_calls();
    PyErr_Clear();
}
