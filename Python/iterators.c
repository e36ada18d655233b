/* The driver of soft iterators (slp_iterators.h): runs step functions, and pushes frames for what they ask.
 *
 * The shim's code:
 *
 *      0  SLP_ADVANCE START     where a nested iterator begins
 *      1  SLP_STEP 1            waits here for what was asked; a value goes on at 2, the end at 3
 *      2  SLP_ADVANCE VALUE
 *      3  SLP_ADVANCE END
 *      4  SLP_STEP 1            the same, guarded: an exception goes on at 7
 *      5  SLP_ADVANCE VALUE
 *      6  SLP_ADVANCE END
 *      7  SLP_ADVANCE RAISED
 */
#include "slp_iterators.h"

#include "slp_frame.h"
#include "slp_generators.h"
#include "slp_ints.h"
#include "slp_support.h"

slp_soft_iterator slp_soft_iterators[SLP_MAX_SOFT_ITERATORS];
static int registered;

/* Stack: iterator, phase, work or NULL, what is being asked. */
static PyCodeObject *shim_iterator;
enum { WAIT = 1, GUARDED_WAIT = 4 };
enum { SLOT_SELF, SLOT_PHASE, SLOT_WORK, SLOTS };

/* --- which iterators ---------------------------------------------------------------------------- */

/* Nested deeper than this, Python code is taken to be behind. */
#define MAX_DEPTH 8

bool
slp_iterates_deeper(PyObject *obj, int depth)
{
    PyTypeObject *type = Py_TYPE(obj);
    if (type == &PyGen_Type) {
        return true;
    }
    if (type->tp_iternext == slp_python_slots.type.tp_iternext) {
        return slp_python_method(type, &_Py_ID(__next__)) != NULL;
    }
    if (slp_is_soft_iterator(type)) {
        slp_soft_iterator *soft = (slp_soft_iterator *)type->tp_as_async;
        return type->tp_iternext == soft->iternext && (depth >= MAX_DEPTH || soft->in_python(obj, depth + 1));
    }
    return false;
}

slp_soft_iterator *
slp_soft_register_iterator(PyTypeObject *type, slp_do (*step)(slp_step *), bool (*in_python)(PyObject *, int),
                           const char *works)
{
    if (slp_is_soft_iterator(type) || type->tp_as_async != NULL) {
        return NULL;
    }
    if (registered == SLP_MAX_SOFT_ITERATORS) {
        Py_FatalError("the table of soft iterators is full");
    }
    slp_soft_iterator *soft = &slp_soft_iterators[registered++];
    soft->iternext = type->tp_iternext;
    soft->step = step;
    soft->in_python = in_python;
    type->tp_as_async = &soft->async;
    soft->works = works;
    slp_soft_register_slot((void *)type->tp_iternext, slp_soft_iterator_next_method);
    return soft;
}

bool
slp_iterator_state_fits(PyObject *iterator, long phase, PyObject *work)
{
    if (!slp_is_soft_iterator(Py_TYPE(iterator))) {
        return false;
    }
    slp_soft_iterator *soft = (slp_soft_iterator *)Py_TYPE(iterator)->tp_as_async;
    if (strchr("mzl", *soft->works) != NULL) {
        long count = slp_iterator_count(iterator);
        if (*soft->works == 'm' && count == 1) {
            return phase == 0 && work == NULL;
        }
        return phase >= 0 && work != NULL && PyTuple_CheckExact(work) && PyTuple_GET_SIZE(work) == count
               && phase < (*soft->works == 'z' ? 2 * count : count);
    }
    return phase >= 0 && phase < (long)strlen(soft->works) && (work != NULL) == (soft->works[phase] == 'o');
}

/* --- frames ------------------------------------------------------------------------------------- */

static inline int
phase_number(PyObject *phase)
{
    return SLP_LIKELY((size_t)Py_SIZE(phase) <= 1)
               ? (int)(Py_SIZE(phase) * ((PyLongObject *)phase)->ob_digit[0])
               : (int)PyLong_AsLong(phase);
}

/* The shim that waits for what the step asks, with its state on it: a new one on `below`, unless there is
 * one.  NULL with an exception. */
static inline _PyInterpreterFrame *
wait_on_shim(slp_step *step, _PyInterpreterFrame *below)
{
    int entry = step->guarded ? GUARDED_WAIT : WAIT;
    if (step->shim == NULL) {
        PyObject *phase = slp_new_int(step->phase);
        if (phase == NULL) {
            return NULL;
        }
        PyObject *values[SLOTS] = {Py_NewRef(step->self), phase, step->work};
        step->work = NULL;
        step->shim = slp_shim_push(step->tstate, below, shim_iterator, entry, values, SLOTS);
        if (step->shim == NULL) {
            return NULL;
        }
    }
    else {
        PyObject **slot = &step->shim->localsplus[SLOT_PHASE];
        if (phase_number(*slot) != step->phase) {
            PyObject *phase = slp_new_int(step->phase);
            if (phase == NULL) {
                return NULL;
            }
            Py_SETREF(*slot, phase);
        }
        assert(step->shim->localsplus[SLOT_WORK] == NULL);
        step->shim->localsplus[SLOT_WORK] = step->work;
        step->work = NULL;
    }
    step->shim->prev_instr = _PyCode_CODE(shim_iterator) + entry;
    step->shim->stacktop = SLOTS;
    return step->shim;
}

/* Nothing was to be waited for, after all. */
static void
stop_waiting(slp_step *step)
{
    _PyInterpreterFrame *shim = step->shim;
    if (shim == NULL || step->work != NULL) {
        return;   /* nor was it begun */
    }
    step->work = shim->localsplus[SLOT_WORK];
    shim->localsplus[SLOT_WORK] = NULL;
    if (shim->stacktop > SLOTS) {
        shim->stacktop = SLOTS;
        Py_DECREF(shim->localsplus[SLOTS]);
    }
}

/* Let the shim wait for `iterator` (a reference is taken), as FOR_ITER would.  NULL with an exception. */
static inline _PyInterpreterFrame *
wait_for_iterator(slp_step *step, _PyInterpreterFrame *below, PyObject *iterator)
{
    _PyInterpreterFrame *shim = wait_on_shim(step, below);
    if (shim != NULL) {
        shim->localsplus[SLOTS] = Py_NewRef(iterator);
        shim->stacktop = SLOTS + 1;
        slp_frame_wait(shim, _Py_OPARG(*shim->prev_instr));
    }
    return shim;
}

/* Push what asks the iterator on the shim that waits.  SLP_NOT_SOFT: C has to ask. */
static inline PyObject *
ask_with_frames(slp_step *step, PyObject *iterator, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    PyThreadState *tstate = step->tstate;
    PyTypeObject *type = Py_TYPE(iterator);
    _PyInterpreterFrame *shim;
    if (tstate->interp->eval_frame != NULL) {
        return SLP_NOT_SOFT;
    }
    if (type == &PyGen_Type) {
        if (((PyGenObject *)iterator)->gi_frame_state >= FRAME_EXECUTING) {
            return SLP_NOT_SOFT;
        }
        shim = wait_for_iterator(step, below, iterator);
        if (shim == NULL) {
            return NULL;
        }
        *top = slp_resume_generator(tstate, (PyGenObject *)iterator, shim, Py_NewRef(Py_None));
        return SLP_ENTER;
    }
    if (type->tp_iternext == slp_python_slots.type.tp_iternext) {
        PyFunctionObject *func = slp_python_method(type, &_Py_ID(__next__));
        if (func == NULL) {
            return SLP_NOT_SOFT;
        }
        shim = wait_for_iterator(step, below, iterator);
        return shim == NULL ? NULL : slp_enter_function(tstate, shim, func, &iterator, 1, NULL, top);
    }
    if (!slp_is_soft_iterator(type) || !slp_iterates_deeper(iterator, 0)) {
        return SLP_NOT_SOFT;
    }
    shim = wait_for_iterator(step, below, iterator);
    if (shim == NULL) {
        return NULL;
    }
    slp_soft_iterator *soft = (slp_soft_iterator *)type->tp_as_async;
    PyObject *answer = soft->quick == NULL ? SLP_NOT_SOFT : soft->quick(tstate, shim, iterator, top);
    if (answer == SLP_NOT_SOFT) {
        PyObject *values[] = {Py_NewRef(iterator), slp_new_int(0), NULL};
        *top = slp_shim_push(tstate, shim, shim_iterator, 0, values, SLOTS);
        answer = *top == NULL ? NULL : SLP_ENTER;
    }
    return answer;
}

/* The soft way for all requests but SLP_DO_ASK and SLP_DO_TAIL, which `shim` waits for. */
static PyObject *
request_with_frames(slp_step *step, slp_do request, _PyInterpreterFrame *shim, _PyInterpreterFrame **top)
{
    PyThreadState *tstate = step->tstate;
    PyFunctionObject *func;
    PyObject *args[2];
    bool is_len;
    switch (request) {
    case SLP_DO_CALL:
        return slp_soft_call(tstate, shim, step->callee, step->args, step->nargs, NULL, top);
    case SLP_DO_TRUTH:
        func = slp_truth_method(step->operands[0], &is_len);
        return slp_enter_checked(tstate, shim, is_len ? SLP_RESULT_LEN_TRUTH : SLP_RESULT_BOOL, func,
                                 step->operands, 1, top);
    case SLP_DO_EQUAL:
        *top = slp_operator_shim(tstate, shim, slp_shim_compare, Py_NewRef(step->operands[0]),
                                 Py_NewRef(step->operands[1]), Py_EQ);
        return *top == NULL ? NULL : SLP_ENTER;
    case SLP_DO_ADD:
        *top = slp_operator_shim(tstate, shim, slp_shim_binary, Py_NewRef(step->operands[0]),
                                 Py_NewRef(step->operands[1]), NB_ADD);
        return *top == NULL ? NULL : SLP_ENTER;
    case SLP_DO_ITER:
        return slp_soft_iter(tstate, shim, step->operands[0], top);
    case SLP_DO_ITEM:
        func = slp_python_method(Py_TYPE(step->operands[0]), &_Py_ID(__getitem__));
        args[0] = step->operands[0];
        args[1] = slp_new_int(step->index);
        if (args[1] == NULL) {
            return NULL;
        }
        PyObject *answer = slp_enter_function(tstate, shim, func, args, 2, NULL, top);
        Py_DECREF(args[1]);
        return answer;
    default:
        Py_UNREACHABLE();
    }
}

/* May request_with_frames() have frames? */
static bool
leads_to_python(slp_step *step, slp_do request)
{
    PyObject *obj = step->operands[0];
    bool is_len;
    PySequenceMethods *sequence;
    switch (request) {
    case SLP_DO_CALL:
        return slp_may_be_soft(step->callee);
    case SLP_DO_TRUTH:
        return slp_has_heap_type(obj) && slp_truth_method(obj, &is_len) != NULL;
    case SLP_DO_EQUAL:
        return slp_is_python_comparison(obj, step->operands[1]);
    case SLP_DO_ADD:
        return slp_is_python_operator(obj, step->operands[1], NB_ADD);
    case SLP_DO_ITER:
        return slp_has_heap_type(obj);
    case SLP_DO_ITEM:
        sequence = Py_TYPE(obj)->tp_as_sequence;
        return sequence != NULL && sequence->sq_item == slp_python_slots.sequence.sq_item
               && slp_python_method(Py_TYPE(obj), &_Py_ID(__getitem__)) != NULL;
    default:
        return false;
    }
}

/* The same in C; NULL with an exception. */
static PyObject *
request_in_c(slp_step *step, slp_do request)
{
    switch (request) {
    case SLP_DO_CALL:
        return PyObject_Vectorcall(step->callee, step->args, (size_t)step->nargs, NULL);
    case SLP_DO_TRUTH: {
        int truth = PyObject_IsTrue(step->operands[0]);
        return truth < 0 ? NULL : PyBool_FromLong(truth);
    }
    case SLP_DO_EQUAL:
        return PyObject_RichCompare(step->operands[0], step->operands[1], Py_EQ);
    case SLP_DO_ADD:
        return PyNumber_Add(step->operands[0], step->operands[1]);
    case SLP_DO_ITER:
        return PyObject_GetIter(step->operands[0]);
    case SLP_DO_ITEM:
        return PySequence_GetItem(step->operands[0], step->index);
    default:
        Py_UNREACHABLE();
    }
}

/* --- the driver --------------------------------------------------------------------------------- */

/* An exception that is set, or the end, is the outcome of a request. */
static void
note_failure(slp_step *step)
{
    if (!_PyErr_Occurred(step->tstate)) {
        step->event = SLP_EVENT_END;
        return;
    }
    PyObject *type, *value, *traceback;
    _PyErr_Fetch(step->tstate, &type, &value, &traceback);
    _PyErr_NormalizeException(step->tstate, &type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
        Py_DECREF(traceback);
    }
    Py_DECREF(type);
    step->event = SLP_EVENT_RAISED;
    step->value = value;
}

/* Go on with what a request has come to: `value` (stolen), or NULL at an end or with an exception.  false:
 * the exception is to be raised. */
static inline bool
note_outcome(slp_step *step, PyObject *value)
{
    if (SLP_LIKELY(value != NULL)) {
        step->event = SLP_EVENT_VALUE;
        step->value = value;
        return true;
    }
    if (!step->guarded && _PyErr_Occurred(step->tstate)) {
        return false;
    }
    note_failure(step);
    return true;
}

/* What a request needs no longer goes, whatever exception is set. */
static inline void
drop(slp_step *step, PyObject *value, PyObject *other)
{
    if (SLP_UNLIKELY(_PyErr_Occurred(step->tstate) != NULL)) {
        PyObject *type, *error, *traceback;
        _PyErr_Fetch(step->tstate, &type, &error, &traceback);
        Py_XDECREF(value);
        Py_XDECREF(other);
        _PyErr_Restore(step->tstate, type, error, traceback);
        return;
    }
    Py_XDECREF(value);
    Py_XDECREF(other);
}

/* SLP_DO_ASK.  SLP_ENTER, or the value, or NULL. */
static inline PyObject *
ask(slp_step *step, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    PyObject *iterator = Py_NewRef(step->callee);
    PyObject *value = step->value;
    if (SLP_UNLIKELY(value != NULL)) {
        step->value = NULL;
        Py_DECREF(value);
    }
    PyObject *answer = ask_with_frames(step, iterator, below, top);
    if (answer != SLP_ENTER) {
        if (answer == SLP_NOT_SOFT) {
            answer = Py_TYPE(iterator)->tp_iternext(iterator);
        }
        else {
            stop_waiting(step);
        }
        drop(step, NULL, iterator);
        return answer;
    }
    Py_DECREF(iterator);
    return SLP_ENTER;
}

/* SLP_DO_TAIL: nothing is left to wait for, and a shim that is there goes before the call.  The answer of
 * next(), or SLP_ENTER. */
static PyObject *
call_last(slp_step *step, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    PyObject *callee = Py_NewRef(step->callee);
    if (step->shim != NULL) {
        slp_frame_clear_and_pop(step->tstate, step->shim);
        step->shim = NULL;
        /* C code that is called now looks at frames. */
        step->tstate->cframe->current_frame = below;
    }
    PyObject *answer =
        step->tstate->interp->eval_frame != NULL
            ? SLP_NOT_SOFT
            : slp_soft_call(step->tstate, below, callee, step->args, step->nargs, NULL, top);
    if (answer == SLP_NOT_SOFT) {
        answer = PyObject_Vectorcall(callee, step->args, (size_t)step->nargs, NULL);
    }
    drop(step, callee, NULL);
    return answer;
}

/* SLP_DO_CALL of a Python function.  SLP_ENTER, or NULL with an exception. */
static inline PyObject *
call_function(slp_step *step, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    PyObject *value = slp_step_take(step);
    PyFunctionObject *function = (PyFunctionObject *)step->callee;
    _PyInterpreterFrame *shim = wait_on_shim(step, below);
    PyObject *answer = shim == NULL ? NULL
                                    : slp_enter_function(step->tstate, shim, function, step->args,
                                                         step->nargs, NULL, top);
    if (SLP_UNLIKELY(answer == NULL)) {
        stop_waiting(step);
    }
    if (SLP_UNLIKELY(value != NULL)) {
        drop(step, value, NULL);
    }
    return answer;
}

/* Any other request.  SLP_ENTER, or the value, or NULL with an exception. */
static PyObject *
do_request(slp_step *step, slp_do request, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    PyObject *callee = Py_XNewRef(step->callee), *value = slp_step_take(step);
    PyObject *operands[2] = {Py_XNewRef(step->operands[0]), Py_XNewRef(step->operands[1])};
    PyObject *answer = SLP_NOT_SOFT;
    if (leads_to_python(step, request) && step->tstate->interp->eval_frame == NULL) {
        _PyInterpreterFrame *shim = wait_on_shim(step, below);
        answer = shim == NULL ? NULL : request_with_frames(step, request, shim, top);
        if (answer != SLP_ENTER) {
            stop_waiting(step);
        }
    }
    if (answer == SLP_NOT_SOFT) {
        answer = request_in_c(step, request);
    }
    drop(step, callee, value);
    drop(step, operands[0], operands[1]);
    return answer;
}

/* Run steps until there is an answer, or frames have to run. */
static PyObject *
run(slp_step *step, _PyInterpreterFrame *below, _PyInterpreterFrame **top)
{
    slp_soft_iterator *soft = (slp_soft_iterator *)Py_TYPE(step->self)->tp_as_async;
    PyObject *answer;
    do {
        step->guarded = false;
        step->callee = step->operands[0] = step->operands[1] = NULL;
        slp_do request = soft->step(step);
        switch (request) {
        case SLP_DO_ASK:
            answer = ask(step, below, top);
            break;
        case SLP_DO_ANSWER:
            answer = slp_step_take(step);
            goto done;
        case SLP_DO_END:
            answer = NULL;
            goto done;
        case SLP_DO_C:
            answer = soft->iternext(step->self);
            goto done;
        case SLP_DO_TAIL:
            answer = call_last(step, below, top);
            goto done;
        case SLP_DO_CALL:
            if (SLP_LIKELY(Py_IS_TYPE(step->callee, &PyFunction_Type))
                && step->tstate->interp->eval_frame == NULL) {
                answer = call_function(step, below, top);
                break;
            }
            /* fall through */
        default:
            answer = do_request(step, request, below, top);
        }
    } while (answer != SLP_ENTER && note_outcome(step, answer));
done:
    if (SLP_UNLIKELY(step->value != NULL || step->work != NULL)) {
        drop(step, step->value, step->work);
    }
    return answer;
}

/* The beginning of most: phase 0 waits for a generator. */
static PyObject *
ask_first(PyThreadState *tstate, _PyInterpreterFrame *below, slp_soft_iterator *soft, PyObject *iterator,
          PyGenObject *gen, _PyInterpreterFrame **top)
{
    int entry = soft->first_guarded ? GUARDED_WAIT : WAIT;
    PyObject *values[] = {Py_NewRef(iterator), slp_new_int(0), NULL, Py_NewRef(gen)};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_iterator, entry + 1, values, SLOTS + 1);
    if (shim == NULL) {
        return NULL;
    }
    slp_frame_wait(shim, _Py_OPARG(*shim->prev_instr));
    *top = slp_resume_generator(tstate, gen, shim, Py_NewRef(Py_None));
    return SLP_ENTER;
}

PyObject *
slp_soft_next(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *iterator,
              _PyInterpreterFrame **top)
{
    PyTypeObject *type = Py_TYPE(iterator);
    slp_soft_iterator *soft = (slp_soft_iterator *)type->tp_as_async;
    if (type->tp_iternext != soft->iternext) {
        return SLP_NOT_SOFT;
    }
    if (soft->quick != NULL) {
        PyObject *answer = soft->quick(tstate, below, iterator, top);
        if (answer != SLP_NOT_SOFT) {
            return answer;
        }
    }
    if (soft->first != 0) {
        PyObject *asked = SLP_FIELD(iterator, PyObject *, soft->first);
        if (asked != NULL && Py_IS_TYPE(asked, &PyGen_Type)
            && ((PyGenObject *)asked)->gi_frame_state < FRAME_EXECUTING) {
            return ask_first(tstate, below, soft, iterator, (PyGenObject *)asked, top);
        }
    }
    slp_step step = {.tstate = tstate, .self = iterator, .event = SLP_EVENT_START};
    PyObject *answer = run(&step, below, top);
    if (answer != SLP_ENTER && step.shim != NULL) {
        slp_frame_clear_and_pop(tstate, step.shim);
    }
    return answer;
}

PyObject *
slp_iterator_advance(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_event event, bool guarded,
                     PyObject *value, _PyInterpreterFrame **top, bool *gone)
{
    *gone = false;
    PyObject **slots = shim->localsplus;
    slp_step step = {.tstate = tstate, .self = slots[SLOT_SELF], .event = event, .shim = shim};
    step.phase = phase_number(slots[SLOT_PHASE]);
    step.work = slots[SLOT_WORK];
    slots[SLOT_WORK] = NULL;
    shim->stacktop = SLOTS;
    if (event == SLP_EVENT_START && !slp_iterates_in_python(step.self)) {
        return Py_TYPE(step.self)->tp_iternext(step.self);
    }
    if (event == SLP_EVENT_END && value != Py_None) {
        /* A generator's result. */
        (void)_PyGen_SetStopIterationValue(value);
        Py_DECREF(value);
        value = NULL;
        if (!guarded) {
            Py_XDECREF(step.work);
            return NULL;
        }
        note_failure(&step);
    }
    else if (event == SLP_EVENT_END) {
        Py_DECREF(value);
    }
    else {
        step.value = value;
    }
    PyObject *answer = run(&step, shim->previous, top);
    *gone = step.shim == NULL;
    return answer;
}

/* --- for step functions ------------------------------------------------------------------------- */

bool
slp_step_forgive(slp_step *step, PyObject *first, PyObject *second)
{
    PyObject *exc = slp_step_take(step);
    assert(step->event == SLP_EVENT_RAISED);
    if ((first != NULL && PyErr_GivenExceptionMatches(exc, first))
        || (second != NULL && PyErr_GivenExceptionMatches(exc, second))) {
        Py_DECREF(exc);
        return true;
    }
    PyObject *type = Py_NewRef(PyExceptionInstance_Class(exc));
    _PyErr_Restore(step->tstate, type, exc, PyException_GetTraceback(exc));
    return false;
}

void
slp_step_clear(slp_step *step, Py_ssize_t offset)
{
    PyObject *type, *value, *traceback;
    PyObject *dropped = SLP_FIELD(step->self, PyObject *, offset);
    SLP_FIELD(step->self, PyObject *, offset) = NULL;
    _PyErr_Fetch(step->tstate, &type, &value, &traceback);
    Py_XDECREF(dropped);
    _PyErr_Restore(step->tstate, type, value, traceback);
}

/* Stands in for an iterator that has answered.  Who asks it once more than expected (an iterator that was
 * asked again while it waited, or one whose image was damaged) gets the iterator's own next answer. */
typedef struct {
    PyObject_HEAD
    PyObject **place;       /* where the iterator is to be again */
    PyObject *iterator;     /* NULL where it has ended and been forgotten meanwhile */
    PyObject *value;
    PyObject *exception[3];
    bool asked;
} answered;

static PyObject *
answered_next(PyObject *op)
{
    answered *self = (answered *)op;
    if (self->asked) {
        return self->iterator == NULL ? NULL : Py_TYPE(self->iterator)->tp_iternext(self->iterator);
    }
    self->asked = true;
    *self->place = self->iterator;
    if (self->value == NULL) {
        PyErr_Restore(self->exception[0], self->exception[1], self->exception[2]);
    }
    return self->value;
}

/* Never reference counted: one lives on the C stack from the call of a tp_iternext until that asks it. */
static PyTypeObject answered_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "_stackless.answered",
    .tp_basicsize = sizeof(answered),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_iter = PyObject_SelfIter,
    .tp_iternext = answered_next,
};

PyObject *
slp_iternext_with(PyObject *self, Py_ssize_t offset, PyObject *value)
{
    PyObject **place = &SLP_FIELD(self, PyObject *, offset);
    answered stand_in = {
        .ob_base = {.ob_refcnt = 2, .ob_type = &answered_type},
        .place = place,
        .iterator = Py_XNewRef(*place),
        .value = value,
    };
    if (value == NULL) {
        PyErr_Fetch(&stand_in.exception[0], &stand_in.exception[1], &stand_in.exception[2]);
    }
    *place = (PyObject *)&stand_in;
    PyObject *answer = Py_TYPE(self)->tp_iternext(self);
    if (!stand_in.asked) {
        *place = stand_in.iterator;
        Py_XDECREF(value);
    }
    Py_XDECREF(stand_in.iterator);
    return answer;
}

/* --- finding out layouts ------------------------------------------------------------------------ */

Py_ssize_t
slp_find_word(PyObject *obj, Py_ssize_t word)
{
    Py_ssize_t offset = 0;
    for (Py_ssize_t i = sizeof(PyObject); i < Py_TYPE(obj)->tp_basicsize; i += sizeof(Py_ssize_t)) {
        if (SLP_FIELD(obj, Py_ssize_t, i) == word) {
            if (offset != 0) {
                return 0;
            }
            offset = i;
        }
    }
    return offset;
}

/* What slp_find_tuple() looks for among an object's referents, and what it has found. */
typedef struct {
    PyObject *item;
    PyObject *tuple;
    int count;
} wanted_tuple;

static int
visit_tuple(PyObject *obj, void *argument)
{
    wanted_tuple *wanted = argument;
    if (PyTuple_CheckExact(obj) && PyTuple_GET_SIZE(obj) == 1 && PyTuple_GET_ITEM(obj, 0) == wanted->item) {
        wanted->tuple = obj;
        wanted->count++;
    }
    return 0;
}

Py_ssize_t
slp_find_tuple(PyObject *obj, PyObject *item)
{
    wanted_tuple wanted = {item, NULL, 0};
    (void)Py_TYPE(obj)->tp_traverse(obj, visit_tuple, &wanted);
    return wanted.count == 1 ? slp_find_word(obj, (Py_ssize_t)wanted.tuple) : 0;
}

Py_ssize_t
slp_find_int(PyObject *one, int before, PyObject *other, int after)
{
    Py_ssize_t offset = 0;
    for (Py_ssize_t i = sizeof(PyObject); i < Py_TYPE(one)->tp_basicsize; i += sizeof(int)) {
        if (SLP_FIELD(one, int, i) == before && SLP_FIELD(other, int, i) == after) {
            if (offset != 0) {
                return 0;
            }
            offset = i;
        }
    }
    return offset;
}

void
slp_iterators_init(void)
{
    static const uint8_t code[] = {
        SLP_ADVANCE, SLP_EVENT_START,
        SLP_STEP, 1,
        SLP_ADVANCE, SLP_EVENT_VALUE,
        SLP_ADVANCE, SLP_EVENT_END,
        SLP_STEP, 1,
        SLP_ADVANCE, SLP_EVENT_VALUE,
        SLP_ADVANCE, SLP_EVENT_END | SLP_ADVANCE_GUARDED,
        SLP_ADVANCE, SLP_EVENT_RAISED,
    };
    /* The start with its mark, the length, the handler, twice the depth. */
    static const uint8_t handlers[] = {0x80 | GUARDED_WAIT, 1, 7, SLOTS << 1};
    shim_iterator = slp_shim_make("<iterator>", SLOTS + 2, code, sizeof(code), handlers, sizeof(handlers));
    if (shim_iterator == NULL || PyType_Ready(&answered_type) < 0) {
        PyErr_Print();
        Py_FatalError("cannot make the shim of iterators");
    }
}
