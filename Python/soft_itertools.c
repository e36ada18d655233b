/* The iterators of itertools with Python code behind them: their steps (slp_iterators.h).
 *
 * Learnt when itertools is imported.  Its types are static ones, which all interpreters share.
 */
#include "slp_iterators.h"

/* Where the objects have what. */
static struct { Py_ssize_t function, iterator; } starmap, filterfalse;
static struct { Py_ssize_t function, iterator, flag; } takewhile, dropwhile;
static struct { Py_ssize_t source, active; } chain;
static struct { Py_ssize_t iterator, next, stop, step, count; } islice;
static struct { Py_ssize_t iterator, function, total, initial; } accumulate;
static struct { Py_ssize_t data, selectors; } compress;
static struct { Py_ssize_t iterator, old; } pairwise;
static struct { Py_ssize_t iterator; } cycle;
static struct { Py_ssize_t iterators, active, fill, result; } zip_longest;

#define OBJECT(self, offset) SLP_FIELD(self, PyObject *, offset)
#define NUMBER(self, offset) SLP_FIELD(self, Py_ssize_t, offset)

/* Is there an iterator at `offset`, and is Python code behind it? */
static bool
asks_python(PyObject *self, Py_ssize_t offset, int depth)
{
    return OBJECT(self, offset) != NULL && slp_iterates_below(OBJECT(self, offset), depth);
}

static bool
calls_python(PyObject *self, Py_ssize_t offset)
{
    return OBJECT(self, offset) != NULL && slp_may_be_soft(OBJECT(self, offset));
}

/* --- starmap --- */

static bool
starmap_in_python(PyObject *self, int depth)
{
    return calls_python(self, starmap.function) || asks_python(self, starmap.iterator, depth);
}

static slp_do
starmap_step(slp_step *step)
{
    if (step->event == SLP_EVENT_START) {
        return slp_ask(step, OBJECT(step->self, starmap.iterator), 0);
    }
    if (step->event == SLP_EVENT_END) {
        return SLP_DO_END;
    }
    if (!PyTuple_CheckExact(step->value)) {
        Py_SETREF(step->value, PySequence_Tuple(step->value));
        if (step->value == NULL) {
            return SLP_DO_END;
        }
    }
    step->callee = OBJECT(step->self, starmap.function);
    step->args = &PyTuple_GET_ITEM(step->value, 0);
    step->nargs = PyTuple_GET_SIZE(step->value);
    return SLP_DO_TAIL;
}

/* --- filterfalse, takewhile, dropwhile --- */

static bool
filterfalse_in_python(PyObject *self, int depth)
{
    return calls_python(self, filterfalse.function) || asks_python(self, filterfalse.iterator, depth);
}

static slp_do
filterfalse_step(slp_step *step)
{
    return slp_step_filter(step, OBJECT(step->self, filterfalse.function),
                           OBJECT(step->self, filterfalse.iterator), false);
}

/* The phases of both. */
enum { ASKED, CALLED, TESTED };

/* What comes between the item, which becomes `work`, and the truth of what the function says about it. */
static slp_do
test_item(slp_step *step, PyObject *function)
{
    if (step->phase == ASKED) {
        step->work = slp_step_take(step);
        return slp_call_with(step, SLP_DO_CALL, function, step->work, CALLED);
    }
    return slp_operate(step, SLP_DO_TRUTH, step->value, NULL, TESTED);
}

static bool
takewhile_in_python(PyObject *self, int depth)
{
    return calls_python(self, takewhile.function) || asks_python(self, takewhile.iterator, depth);
}

static slp_do
takewhile_step(slp_step *step)
{
    int *stopped = &SLP_FIELD(step->self, int, takewhile.flag);
    switch (step->event) {
    case SLP_EVENT_START:
        return *stopped ? SLP_DO_END : slp_ask(step, OBJECT(step->self, takewhile.iterator), ASKED);
    case SLP_EVENT_VALUE:
        break;
    default:
        return SLP_DO_END;
    }
    if (step->phase != TESTED) {
        return test_item(step, OBJECT(step->self, takewhile.function));
    }
    if (step->value == Py_True) {
        return slp_step_answer_work(step);
    }
    *stopped = 1;
    return SLP_DO_END;
}

static bool
dropwhile_in_python(PyObject *self, int depth)
{
    return asks_python(self, dropwhile.iterator, depth)
           || (!SLP_FIELD(self, int, dropwhile.flag) && calls_python(self, dropwhile.function));
}

static slp_do
dropwhile_step(slp_step *step)
{
    int *started = &SLP_FIELD(step->self, int, dropwhile.flag);
    switch (step->event) {
    case SLP_EVENT_START:
        return slp_ask(step, OBJECT(step->self, dropwhile.iterator), ASKED);
    case SLP_EVENT_VALUE:
        break;
    default:
        return SLP_DO_END;
    }
    if (step->phase == ASKED && *started) {
        return SLP_DO_ANSWER;
    }
    if (step->phase != TESTED) {
        return test_item(step, OBJECT(step->self, dropwhile.function));
    }
    if (step->value == Py_False) {
        *started = 1;
        return slp_step_answer_work(step);
    }
    Py_CLEAR(step->work);
    return slp_ask(step, OBJECT(step->self, dropwhile.iterator), ASKED);
}

/* --- chain --- */

/* May the iterables that are still to come from `source`, an iterator, be Python's?  Of a tuple or a list, as
 * that of chain(a, b) is, they can be looked at. */
static bool
has_python_iterables(PyObject *source, int depth)
{
    if (!Py_IS_TYPE(source, &PyTupleIter_Type) && !Py_IS_TYPE(source, &PyListIter_Type)) {
        return true;
    }
    PyObject *sequence = ((slp_sequence_iterator *)source)->it_seq;
    Py_ssize_t i = ((slp_sequence_iterator *)source)->it_index;
    for (; sequence != NULL && i < PySequence_Fast_GET_SIZE(sequence); i++) {
        PyObject *iterable = PySequence_Fast_GET_ITEM(sequence, i);
        if (slp_has_heap_type(iterable) || slp_iterates_below(iterable, depth)) {
            return true;
        }
    }
    return false;
}

static bool
chain_in_python(PyObject *self, int depth)
{
    PyObject *source = OBJECT(self, chain.source);
    return asks_python(self, chain.active, depth) || (source != NULL && has_python_iterables(source, depth));
}

static slp_do
chain_step(slp_step *step)
{
    enum { SOURCE_ASKED, ITER_CALLED, ACTIVE_ASKED };
    bool ended = step->event == SLP_EVENT_END;
    if (step->event == SLP_EVENT_RAISED) {
        ended = step->phase != ITER_CALLED && slp_step_forgive(step, PyExc_StopIteration, NULL);
        if (!ended) {
            if (step->phase == ITER_CALLED) {
                (void)slp_step_forgive(step, NULL, NULL);
            }
            if (step->phase != ACTIVE_ASKED) {
                slp_step_clear(step, chain.source);
            }
            return SLP_DO_END;
        }
    }
    if (ended) {
        slp_step_clear(step, step->phase == ACTIVE_ASKED ? chain.active : chain.source);
    }
    else if (step->event == SLP_EVENT_VALUE) {
        if (step->phase == ACTIVE_ASKED) {
            return SLP_DO_ANSWER;
        }
        if (step->phase == SOURCE_ASKED) {
            step->guarded = true;
            return slp_operate(step, SLP_DO_ITER, step->value, NULL, ITER_CALLED);
        }
        if (!PyIter_Check(step->value)) {
            /* Never so, but after a pickle that was tampered with. */
            PyErr_Format(PyExc_TypeError, "iter() returned non-iterator of type '%.100s'",
                         Py_TYPE(step->value)->tp_name);
            return SLP_DO_END;
        }
        Py_XSETREF(OBJECT(step->self, chain.active), slp_step_take(step));
    }
    PyObject *source = OBJECT(step->self, chain.source), *active = OBJECT(step->self, chain.active);
    step->guarded = true;
    if (source == NULL) {
        return SLP_DO_END;
    }
    return active != NULL ? slp_ask(step, active, ACTIVE_ASKED) : slp_ask(step, source, SOURCE_ASKED);
}

/* --- islice --- */

static bool
islice_in_python(PyObject *self, int depth)
{
    return asks_python(self, islice.iterator, depth);
}

/* Items are skipped until as many as `next` says have been seen; the one behind them is the answer, and moves
 * `next` on by the step, as far as `stop`.  The end is left to C. */
static slp_do
islice_step(slp_step *step)
{
    enum { SKIPPED, LAST };
    PyObject *self = step->self;
    if (step->event == SLP_EVENT_VALUE && step->phase == LAST) {
        Py_ssize_t stop = NUMBER(self, islice.stop), old = NUMBER(self, islice.next);
        Py_ssize_t next = (Py_ssize_t)((size_t)old + (size_t)NUMBER(self, islice.step));
        NUMBER(self, islice.count)++;
        NUMBER(self, islice.next) = next < old || (stop != -1 && next > stop) ? stop : next;
        return SLP_DO_ANSWER;
    }
    if (step->event == SLP_EVENT_END || step->event == SLP_EVENT_RAISED) {
        if (step->event == SLP_EVENT_RAISED) {
            (void)slp_step_forgive(step, NULL, NULL);
        }
        slp_step_clear(step, islice.iterator);
        return SLP_DO_END;
    }
    if (step->event == SLP_EVENT_VALUE) {
        NUMBER(self, islice.count)++;
    }
    Py_ssize_t count = NUMBER(self, islice.count), stop = NUMBER(self, islice.stop);
    bool skips = count < NUMBER(self, islice.next);
    if (OBJECT(self, islice.iterator) == NULL || (!skips && stop != -1 && count >= stop)) {
        return SLP_DO_C;
    }
    step->guarded = true;
    return slp_ask(step, OBJECT(self, islice.iterator), skips ? SKIPPED : LAST);
}

/* --- accumulate --- */

static bool
accumulate_in_python(PyObject *self, int depth)
{
    return asks_python(self, accumulate.iterator, depth) || calls_python(self, accumulate.function)
           || (OBJECT(self, accumulate.function) == NULL && OBJECT(self, accumulate.total) != NULL
               && slp_has_heap_type(OBJECT(self, accumulate.total)));
}

static slp_do
accumulate_step(slp_step *step)
{
    enum { ITEM_ASKED, COMBINED };
    PyObject *self = step->self;
    PyObject *function = OBJECT(self, accumulate.function), *total = OBJECT(self, accumulate.total);
    switch (step->event) {
    case SLP_EVENT_START:
        return OBJECT(self, accumulate.initial) != Py_None
                   ? SLP_DO_C
                   : slp_ask(step, OBJECT(self, accumulate.iterator), ITEM_ASKED);
    case SLP_EVENT_VALUE:
        break;
    default:
        return SLP_DO_END;
    }
    if (step->phase == ITEM_ASKED && total != NULL) {
        if (function == NULL) {
            return slp_operate(step, SLP_DO_ADD, total, step->value, COMBINED);
        }
        slp_operate(step, SLP_DO_CALL, total, step->value, COMBINED);
        step->callee = function;
        step->args = step->operands;
        step->nargs = 2;
        return SLP_DO_CALL;
    }
    OBJECT(self, accumulate.total) = Py_NewRef(step->value);
    Py_XDECREF(total);
    return SLP_DO_ANSWER;
}

/* --- compress --- */

static bool
compress_in_python(PyObject *self, int depth)
{
    return asks_python(self, compress.data, depth) || asks_python(self, compress.selectors, depth);
}

static slp_do
compress_step(slp_step *step)
{
    enum { DATA_ASKED, SELECTOR_ASKED, SELECTOR_TESTED };
    if (step->event == SLP_EVENT_END) {
        return SLP_DO_END;
    }
    if (step->event == SLP_EVENT_VALUE) {
        if (step->phase == DATA_ASKED) {
            step->work = slp_step_take(step);
            return slp_ask(step, OBJECT(step->self, compress.selectors), SELECTOR_ASKED);
        }
        if (step->phase == SELECTOR_ASKED) {
            return slp_operate(step, SLP_DO_TRUTH, step->value, NULL, SELECTOR_TESTED);
        }
        if (step->value == Py_True) {
            return slp_step_answer_work(step);
        }
        Py_CLEAR(step->work);
    }
    return slp_ask(step, OBJECT(step->self, compress.data), DATA_ASKED);
}

/* --- pairwise, cycle --- */

static bool
pairwise_in_python(PyObject *self, int depth)
{
    return asks_python(self, pairwise.iterator, depth);
}

/* Let C go on with what its iterator has answered; an exception is part of that. */
static slp_do
go_on_in_c(slp_step *step, Py_ssize_t iterator)
{
    if (step->event == SLP_EVENT_RAISED) {
        (void)slp_step_forgive(step, NULL, NULL);
    }
    return slp_step_answer(step, slp_iternext_with(step->self, iterator, slp_step_take(step)));
}

static slp_do
pairwise_step(slp_step *step)
{
    enum { FIRST_ASKED, NEXT_ASKED };
    PyObject *self = step->self;
    if (step->event != SLP_EVENT_START) {
        if (OBJECT(self, pairwise.iterator) == NULL) {
            return SLP_DO_C;
        }
        if (step->phase == NEXT_ASKED || step->event != SLP_EVENT_VALUE) {
            return go_on_in_c(step, pairwise.iterator);
        }
        Py_XSETREF(OBJECT(self, pairwise.old), slp_step_take(step));
    }
    step->guarded = true;
    return slp_ask(step, OBJECT(self, pairwise.iterator),
                   OBJECT(self, pairwise.old) == NULL ? FIRST_ASKED : NEXT_ASKED);
}

static bool
cycle_in_python(PyObject *self, int depth)
{
    return asks_python(self, cycle.iterator, depth);
}

static slp_do
cycle_step(slp_step *step)
{
    if (step->event == SLP_EVENT_START) {
        step->guarded = true;
        return slp_ask(step, OBJECT(step->self, cycle.iterator), 0);
    }
    return go_on_in_c(step, cycle.iterator);
}

/* --- zip_longest --- */

static bool
zip_longest_in_python(PyObject *self, int depth)
{
    PyObject *iterators = OBJECT(self, zip_longest.iterators);
    for (Py_ssize_t i = 0; iterators != NULL && i < PyTuple_GET_SIZE(iterators); i++) {
        PyObject *iterator = PyTuple_GET_ITEM(iterators, i);
        if (iterator != NULL && slp_iterates_below(iterator, depth)) {
            return true;
        }
    }
    return false;
}

Py_ssize_t
slp_zip_longest_count(PyObject *self)
{
    return PyTuple_GET_SIZE(OBJECT(self, zip_longest.iterators));
}

/* The phase is the number of the iterator that was asked.  Those that have ended are NULL in the tuple, and
 * `active` counts the others. */
static slp_do
zip_longest_step(slp_step *step)
{
    PyObject *self = step->self;
    PyObject *iterators = OBJECT(self, zip_longest.iterators), *fill = OBJECT(self, zip_longest.fill);
    Py_ssize_t count = PyTuple_GET_SIZE(iterators);
    Py_ssize_t have = step->phase + 1;
    if (step->event == SLP_EVENT_START) {
        if (count == 0 || NUMBER(self, zip_longest.active) == 0) {
            return SLP_DO_C;
        }
        step->work = slp_row_begin(OBJECT(self, zip_longest.result), count);
        if (step->work == NULL) {
            return SLP_DO_END;
        }
        have = 0;
    }
    else {
        if (step->event != SLP_EVENT_VALUE) {
            bool raised =
                step->event == SLP_EVENT_RAISED && !slp_step_forgive(step, PyExc_StopIteration, NULL);
            NUMBER(self, zip_longest.active)--;
            if (NUMBER(self, zip_longest.active) == 0 || raised) {
                NUMBER(self, zip_longest.active) = 0;
                return SLP_DO_END;
            }
            PyObject *ended = PyTuple_GET_ITEM(iterators, step->phase);
            PyTuple_SET_ITEM(iterators, step->phase, NULL);
            Py_XDECREF(ended);
            step->value = Py_NewRef(fill);
        }
        slp_row_put(step);
    }
    for (; have < count; have++) {
        step->phase = (int)have;
        if (PyTuple_GET_ITEM(iterators, have) != NULL) {
            step->guarded = true;
            return slp_ask(step, PyTuple_GET_ITEM(iterators, have), (int)have);
        }
        step->value = Py_NewRef(fill);
        slp_row_put(step);
    }
    return slp_row_answer(step);
}

/* --- finding out layouts ------------------------------------------------------------------------ */

/* What the layouts are found with: a module, and objects that stand nowhere else. */
typedef struct {
    PyObject *module;
    PyObject *function;      /* a class */
    PyObject *iterator;      /* an empty one */
    PyObject *other;
} means;

/* An object of class `name`, made with arguments as for Py_BuildValue().  NULL, maybe with an exception. */
static PyObject *
make(const means *m, const char *name, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    PyObject *args = Py_VaBuildValue(format, values);
    va_end(values);
    PyObject *type = PyObject_GetAttrString(m->module, name);
    PyObject *made = args == NULL || type == NULL ? NULL : PyObject_Call(type, args, NULL);
    Py_XDECREF(type);
    Py_XDECREF(args);
    return made;
}

static Py_ssize_t
find_object(PyObject *probe, PyObject *object)
{
    return slp_find_word(probe, (Py_ssize_t)object);
}

/* Register the type of `probe` (stolen), if all its fields were found.  The entry, or NULL. */
static slp_soft_iterator *
finish(PyObject *probe, bool found, slp_do (*step)(slp_step *), bool (*in_python)(PyObject *, int),
       const char *works)
{
    slp_soft_iterator *soft =
        found ? slp_soft_register_iterator(Py_TYPE(probe), step, in_python, works) : NULL;
    Py_XDECREF(probe);
    PyErr_Clear();
    return soft;
}

/* probe.__setstate__(state), with one argument as for Py_BuildValue().  Whether that went well. */
static bool
set_state(PyObject *probe, const char *format, PyObject *state)
{
    PyObject *done = PyObject_CallMethod(probe, "__setstate__", format, state);
    Py_XDECREF(done);
    return done != NULL;
}

static void
learn_functions(const means *m)
{
    PyObject *probe = make(m, "starmap", "(OO)", m->function, m->iterator);
    bool found = probe != NULL && (starmap.function = find_object(probe, m->function))
                 && (starmap.iterator = find_object(probe, m->iterator));
    slp_soft_iterator_asks(finish(probe, found, starmap_step, starmap_in_python, "N"), starmap.iterator,
                           false);
    probe = make(m, "filterfalse", "(OO)", m->function, m->iterator);
    found = probe != NULL && (filterfalse.function = find_object(probe, m->function))
            && (filterfalse.iterator = find_object(probe, m->iterator));
    slp_soft_iterator_asks(finish(probe, found, filterfalse_step, filterfalse_in_python, "Noo"),
                           filterfalse.iterator, false);

    PyObject *other = make(m, "takewhile", "(OO)", m->function, m->iterator);
    probe = make(m, "takewhile", "(OO)", m->function, m->iterator);
    found = probe != NULL && other != NULL && (takewhile.function = find_object(probe, m->function))
            && (takewhile.iterator = find_object(probe, m->iterator)) && set_state(other, "(O)", Py_True)
            && (takewhile.flag = slp_find_int(probe, 0, other, 1));
    Py_XDECREF(other);
    finish(probe, found, takewhile_step, takewhile_in_python, "Noo");
    other = make(m, "dropwhile", "(OO)", m->function, m->iterator);
    probe = make(m, "dropwhile", "(OO)", m->function, m->iterator);
    found = probe != NULL && other != NULL && (dropwhile.function = find_object(probe, m->function))
            && (dropwhile.iterator = find_object(probe, m->iterator)) && set_state(other, "(O)", Py_True)
            && (dropwhile.flag = slp_find_int(probe, 0, other, 1));
    Py_XDECREF(other);
    slp_soft_iterator_asks(finish(probe, found, dropwhile_step, dropwhile_in_python, "Noo"),
                           dropwhile.iterator, false);
}

static void
learn_chain(const means *m)
{
    PyObject *probe = make(m, "chain", "()");
    PyObject *state = PyTuple_Pack(2, m->iterator, m->other);
    bool found = probe != NULL && state != NULL && set_state(probe, "(O)", state)
                 && (chain.source = find_object(probe, m->iterator))
                 && (chain.active = find_object(probe, m->other));
    Py_XDECREF(state);
    finish(probe, found, chain_step, chain_in_python, "NNN");
}

static void
learn_counters(const means *m)
{
    PyObject *probe = make(m, "islice", "(Oiii)", m->iterator, 10001, 20002, 30003);
    PyObject *count = PyLong_FromLong(40004);
    bool found = probe != NULL && count != NULL && (islice.iterator = find_object(probe, m->iterator))
                 && (islice.next = slp_find_word(probe, 10001)) && (islice.stop = slp_find_word(probe, 20002))
                 && (islice.step = slp_find_word(probe, 30003))
                 && set_state(probe, "O", count) && (islice.count = slp_find_word(probe, 40004));
    Py_XDECREF(count);
    finish(probe, found, islice_step, islice_in_python, "NN");

    probe = make(m, "accumulate", "(OO)", m->iterator, m->function);
    found = probe != NULL && (accumulate.iterator = find_object(probe, m->iterator))
            && (accumulate.function = find_object(probe, m->function))
            && (accumulate.initial = find_object(probe, Py_None))
            && set_state(probe, "O", (PyObject *)&PyList_Type)
            && (accumulate.total = find_object(probe, (PyObject *)&PyList_Type));
    finish(probe, found, accumulate_step, accumulate_in_python, "NN");
}

static void
learn_others(const means *m)
{
    PyObject *probe = make(m, "compress", "(OO)", m->iterator, m->other);
    bool found = probe != NULL && (compress.data = find_object(probe, m->iterator))
                 && (compress.selectors = find_object(probe, m->other));
    slp_soft_iterator_asks(finish(probe, found, compress_step, compress_in_python, "Noo"), compress.data,
                           false);

    /* What a pairwise object has kept is the item that its iterator gives first. */
    PyObject *list = Py_BuildValue("[OO]", m->function, m->other);
    PyObject *iterator = list == NULL ? NULL : PyObject_GetIter(list);
    probe = iterator == NULL ? NULL : make(m, "pairwise", "(O)", iterator);
    PyObject *pair = probe == NULL ? NULL : Py_TYPE(probe)->tp_iternext(probe);
    found = pair != NULL && (pairwise.iterator = find_object(probe, iterator))
            && (pairwise.old = find_object(probe, m->other));
    Py_XDECREF(pair);
    Py_XDECREF(iterator);
    Py_XDECREF(list);
    finish(probe, found, pairwise_step, pairwise_in_python, "NN");

    probe = make(m, "cycle", "(O)", m->iterator);
    found = probe != NULL && (cycle.iterator = find_object(probe, m->iterator));
    slp_soft_iterator_asks(finish(probe, found, cycle_step, cycle_in_python, "N"), cycle.iterator, true);
}

/* The tuple of iterators and that of results have one item each, an iterator and None. */
static void
learn_zip_longest(const means *m)
{
    PyObject *args = PyTuple_Pack(1, m->iterator);
    PyObject *kwargs = PyDict_New();
    PyObject *type = PyObject_GetAttrString(m->module, "zip_longest");
    PyObject *probe = NULL;
    if (args != NULL && kwargs != NULL && type != NULL
        && PyDict_SetItemString(kwargs, "fillvalue", m->function) == 0) {
        probe = PyObject_Call(type, args, kwargs);
    }
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    /* Two numbers are 1: how many iterators there are, which stays so, and how many have not ended. */
    bool found = probe != NULL && (zip_longest.iterators = slp_find_tuple(probe, m->iterator))
                 && (zip_longest.result = slp_find_tuple(probe, Py_None))
                 && (zip_longest.fill = find_object(probe, m->function));
    if (found) {
        Py_ssize_t size = Py_TYPE(probe)->tp_basicsize;
        Py_ssize_t before[32];
        found = (size_t)size <= sizeof(before);
        if (found) {
            memcpy(before, probe, (size_t)size);
            Py_XDECREF(Py_TYPE(probe)->tp_iternext(probe));   /* the end */
            zip_longest.active = 0;
            for (Py_ssize_t i = sizeof(PyObject); i < size; i += sizeof(Py_ssize_t)) {
                if (before[i / (Py_ssize_t)sizeof(Py_ssize_t)] == 1 && NUMBER(probe, i) == 0) {
                    found = zip_longest.active == 0;
                    zip_longest.active = i;
                }
            }
            found = found && zip_longest.active != 0;
        }
    }
    Py_XDECREF(type);
    finish(probe, found, zip_longest_step, zip_longest_in_python, "l");
}

int
slp_soft_itertools(PyObject *module)
{
    means m = {
        .module = module,
        .function = (PyObject *)&PyTuple_Type,
        .iterator = PyObject_GetIter(&_Py_STR(empty)),
        .other = PyObject_GetIter(&_Py_STR(empty)),
    };
    if (m.iterator != NULL && m.other != NULL) {
        learn_functions(&m);
        learn_chain(&m);
        learn_counters(&m);
        learn_others(&m);
        learn_zip_longest(&m);
    }
    Py_XDECREF(m.iterator);
    Py_XDECREF(m.other);
    return PyErr_Occurred() ? -1 : 0;
}
