/* Builtin iterators with Python code behind them: next() as frames (map, filter, zip, itertools ...).
 *
 * Such an iterator has a *step function*, which does what the base's tp_iternext does, but for what may lead
 * to Python code: that it asks for, and is called again with the outcome.
 *
 *      slp_soft_next(below, map(f, generator))
 *        step: ASK generator      push a shim, <iterator>, and resume the generator above it
 *          ... the generator's value lands on the shim, whose SLP_ADVANCE calls
 *        step: TAIL f, value      call f, whose result is what next() answers
 *
 * What the iterator is between two steps stands on the shim's stack: [iterator, phase, work], where `phase`
 * says where to go on and `work` is whatever the step function keeps there.  As long as only C code is
 * called, no shim is pushed at all.
 *
 * The objects' own fields stay the base's: layouts are found out with real objects when the types are
 * registered, and where they are not understood, the type stays as it is.
 */
#ifndef SLP_ITERATORS_H
#define SLP_ITERATORS_H

#include "slp_softcall.h"

/* The iterators of lists and tuples. */
typedef struct {
    PyObject_HEAD
    Py_ssize_t it_index;
    PyObject *it_seq;
} slp_sequence_iterator;

/* What a step function wants done, and what it may be told then. */
typedef enum {
    SLP_DO_ASK,      /* next(callee):          VALUE, END, RAISED */
    SLP_DO_CALL,     /* callee(*args):         VALUE, RAISED */
    SLP_DO_TAIL,     /* callee(*args), whose result is the answer */
    SLP_DO_TRUTH,    /* bool(a):               VALUE (a bool); a and b are the operands */
    SLP_DO_EQUAL,    /* a == b:                VALUE (any object) */
    SLP_DO_ADD,      /* a + b:                 VALUE */
    SLP_DO_ITER,     /* iter(a):               VALUE, RAISED */
    SLP_DO_ITEM,     /* a[index]:              VALUE, RAISED */
    SLP_DO_ANSWER,   /* `value` is the answer */
    SLP_DO_END,      /* there is nothing more, or an exception is set */
    SLP_DO_C,        /* let the base do the rest */
} slp_do;

typedef enum {
    SLP_EVENT_START,
    SLP_EVENT_VALUE,
    SLP_EVENT_END,
    SLP_EVENT_RAISED,
} slp_event;

/* A run of a step function. */
typedef struct {
    PyThreadState *tstate;
    PyObject *self;           /* the iterator, borrowed */
    slp_event event;          /* what has happened; START: next() was called */
    int phase;                /* of the last request; 0 at START */
    PyObject *work;           /* kept from step to step, owned, or NULL */
    PyObject *value;          /* VALUE, RAISED: owned; dropped when the next request is on its way.
                                 SLP_DO_ANSWER: the answer */
    /* The request; all borrowed, from the iterator, from `work` or from `value`. */
    bool guarded;             /* exceptions come back as RAISED, else they are raised */
    PyObject *callee;
    PyObject *const *args;    /* of a call; may be `operands` */
    Py_ssize_t nargs;
    PyObject *operands[2];    /* of what is no call */
    Py_ssize_t index;
    _PyInterpreterFrame *shim;    /* the frame, once there is one */
} slp_step;

typedef struct {
    PyAsyncMethods async;         /* empty; types point here with tp_as_async */
    iternextfunc iternext;        /* the base's */
    slp_do (*step)(slp_step *step);
    /* Is Python code behind next(self)?  A guess will do; `depth` limits recursion. */
    bool (*in_python)(PyObject *self, int depth);
    /* Optional: the answer of slp_soft_next() in the simplest case, else SLP_NOT_SOFT. */
    PyObject *(*quick)(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                       _PyInterpreterFrame **top);
    /* What `work` is at each phase, one letter each: N nothing, o an object; or of all phases: m that of map,
     * z that of zip, l that of zip_longest. */
    const char *works;
    /* Where not 0, all that the step does at START is to ask the iterator in this field, phase 0. */
    Py_ssize_t first;
    bool first_guarded;
} slp_soft_iterator;

#define SLP_MAX_SOFT_ITERATORS 32
extern slp_soft_iterator slp_soft_iterators[SLP_MAX_SOFT_ITERATORS];

/* Is next() of `type` soft, if Python code is behind?  Where tp_as_async points tells it with one load. */
static inline bool
slp_is_soft_iterator(PyTypeObject *type)
{
    return (uintptr_t)type->tp_as_async - (uintptr_t)slp_soft_iterators < sizeof(slp_soft_iterators);
}

/* The same as slp_iterates_in_python(), of what is nested in other iterators, and no common iterator. */
bool slp_iterates_deeper(PyObject *obj, int depth);

static inline bool
slp_iterates_below(PyObject *obj, int depth)
{
    PyTypeObject *type = Py_TYPE(obj);
    return type != &PyListIter_Type && type != &PyRangeIter_Type && type != &PyTupleIter_Type
           && slp_iterates_deeper(obj, depth);
}

/* Does next(obj) run Python code?  false: maybe, where C code that we do not know is behind it. */
static inline bool
slp_iterates_in_python(PyObject *obj)
{
    return slp_iterates_below(obj, 0);
}

/* next(iterator), of a soft iterator with Python code behind it; a soft function's answer (slp_soft.h), where
 * NULL without an exception means the end, too.  `below` stands at FOR_ITER, SEND or SLP_STEP, with the jump
 * distance stored. */
PyObject *slp_soft_next(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *iterator,
                        _PyInterpreterFrame **top);

/* SLP_ADVANCE: go on with `event`; `guarded`: of a request that was.  Steals `value`.  The same answers, but
 * for SLP_NOT_SOFT.  At SLP_ENTER the shim waits, with its state stored; *gone: there is no shim any more,
 * and what answers now answers the frame below. */
PyObject *slp_iterator_advance(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_event event,
                               bool guarded, PyObject *value, _PyInterpreterFrame **top, bool *gone);
/* Beside the event in the argument of SLP_ADVANCE. */
#define SLP_ADVANCE_GUARDED 4

/* Let `type` be soft.  Once per process and type.  The entry, to add to, or NULL where it was soft before. */
slp_soft_iterator *slp_soft_register_iterator(PyTypeObject *type, slp_do (*step)(slp_step *),
                                              bool (*in_python)(PyObject *, int), const char *works);
/* At START, the step only asks what stands at `first`.  `soft` may be NULL. */
static inline void
slp_soft_iterator_asks(slp_soft_iterator *soft, Py_ssize_t first, bool guarded)
{
    if (soft != NULL) {
        soft->first = first;
        soft->first_guarded = guarded;
    }
}

/* Can a shim of `iterator` wait with these on its stack?  For what is loaded from a pickle. */
bool slp_iterator_state_fits(PyObject *iterator, long phase, PyObject *work);

/* --- for step functions --- */

/* The base's tp_iternext of `self`, whose field at `offset` is the iterator that it asks first: that has
 * answered already, with `value` (stolen), the end (NULL), or the exception that is set. */
PyObject *slp_iternext_with(PyObject *self, Py_ssize_t offset, PyObject *value);

/* After RAISED: if it is an exception of type `first` or `second` (may be NULL), forget it: true.  Else raise
 * it again: false. */
bool slp_step_forgive(slp_step *step, PyObject *first, PyObject *second);

/* Requests. */
static inline slp_do
slp_ask(slp_step *step, PyObject *iterator, int phase)
{
    step->callee = iterator;
    step->phase = phase;
    return SLP_DO_ASK;
}

static inline slp_do
slp_operate(slp_step *step, slp_do how, PyObject *a, PyObject *b, int phase)
{
    step->operands[0] = a;
    step->operands[1] = b;
    step->phase = phase;
    return how;
}

static inline slp_do
slp_call_with(slp_step *step, slp_do how, PyObject *callee, PyObject *argument, int phase)
{
    step->callee = callee;
    step->operands[0] = argument;
    step->args = step->operands;
    step->nargs = 1;
    step->phase = phase;
    return how;
}

/* Take the value of the event. */
static inline PyObject *
slp_step_take(slp_step *step)
{
    PyObject *value = step->value;
    step->value = NULL;
    return value;
}

/* `value` (stolen; NULL: an exception or the end) is the answer. */
static inline slp_do
slp_step_answer(slp_step *step, PyObject *value)
{
    Py_XSETREF(step->value, value);
    return value == NULL ? SLP_DO_END : SLP_DO_ANSWER;
}

/* What `work` is, is the answer. */
static inline slp_do
slp_step_answer_work(slp_step *step)
{
    Py_XSETREF(step->value, step->work);
    step->work = NULL;
    return SLP_DO_ANSWER;
}

/* Let the iterator drop the object in its field at `offset`, whatever exception is set. */
void slp_step_clear(slp_step *step, Py_ssize_t offset);

/* The truth of `obj`, 0 or 1, where that is plain; else -1. */
static inline int
slp_plain_truth(PyObject *obj)
{
    return obj == Py_True                          ? 1
           : obj == Py_False || obj == Py_None   ? 0
           : PyLong_CheckExact(obj)                ? Py_SIZE(obj) != 0
                                                   : -1;
}

/* A step function of filter and itertools.filterfalse: what tests as `wanted` is kept. */
slp_do slp_step_filter(slp_step *step, PyObject *function, PyObject *iterator, bool wanted);

/* A row of what several iterators have given, of which item `phase` is asked for: a tuple, which `work` is.
 * As in C it may be the one of the time before (`reusable`, may be NULL), if nobody has kept that.  NULL with
 * an exception. */
PyObject *slp_row_begin(PyObject *reusable, Py_ssize_t count);

/* The event's value is its item. */
static inline void
slp_row_put(slp_step *step)
{
    PyObject *old = PyTuple_GET_ITEM(step->work, step->phase);
    PyTuple_SET_ITEM(step->work, step->phase, slp_step_take(step));
    Py_DECREF(old);
}

/* It is complete, and the answer. */
static inline slp_do
slp_row_answer(slp_step *step)
{
    if (!PyObject_GC_IsTracked(step->work)) {
        PyObject_GC_Track(step->work);
    }
    return slp_step_answer_work(step);
}

/* --- finding out layouts --- */

#define SLP_FIELD(obj, type, offset) (*(type *)((char *)(obj) + (offset)))

/* The offset of the only word of `obj`, past the head, that equals `word`, or 0. */
Py_ssize_t slp_find_word(PyObject *obj, Py_ssize_t word);
/* The offset of the only tuple that `obj` refers to whose only item is `item`, or 0. */
Py_ssize_t slp_find_tuple(PyObject *obj, PyObject *item);
/* The offset of the only int that is `before` in one and `after` in the other, or 0. */
Py_ssize_t slp_find_int(PyObject *one, int before, PyObject *other, int after);

/* iterator.__next__(): registered for the slot's wrapper with each type (Python/soft_generators.c). */
PyObject *slp_soft_iterator_next_method(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                                        PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                                        _PyInterpreterFrame **top);

/* How many iterators a map, a zip or a zip_longest has. */
Py_ssize_t slp_iterator_count(PyObject *self);
Py_ssize_t slp_zip_longest_count(PyObject *self);

/* The shim, and the families. */
void slp_iterators_init(void);
void slp_soft_iterators_init(void);

#endif
