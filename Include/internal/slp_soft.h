/* Soft constructs: what leads from Python to Python is entered as frames, where C would call it.
 *
 * A soft function looks at an operation (an attribute, an operator, a call) that the loop is about
 * to have done by C.  Where a Python function is behind it, the function pushes the frames that do
 * it, a shim first where something is left to do with the result (slp_shims.h), and the loop
 * runs them:
 *
 *      caller ──> shim ──> frame of __add__
 *             <── SLP_... instruction of the shim <── result
 *
 * What a soft function answers
 *   SLP_ENTER     *top is the newest of the frames pushed on `below` and linked to it; run it.  The
 *                 operation's result will be pushed on the stack of `below`.
 *   SLP_NOT_SOFT  nothing was done: let C do it
 *   another value the result (a new reference): there was nothing to run
 *   NULL          an exception is set, no frame was left
 *
 * It borrows its arguments; frames own references to what they need.  It is only asked while no frame
 * evaluator is set (PEP 523).
 */
#ifndef SLP_SOFT_H
#define SLP_SOFT_H

#include "slp_base.h"
#include "slp_callargs.h"
#include "slp_frame.h"
#include "slp_shims.h"

/* Never reference counted, never seen by Python code. */
extern PyObject slp_enter_token;
extern PyObject slp_not_soft_token;
#define SLP_ENTER    (&slp_enter_token)
#define SLP_NOT_SOFT (&slp_not_soft_token)

/* The base's functions that call a special method written in Python, as they stand in the slots of a
 * class which defines all of them: type->tp_repr == slp_python_slots.type.tp_repr says that
 * repr() will look for __repr__ in Python.  Written once by slp_soft_init(). */
typedef struct {
    PyTypeObject type;
    PyNumberMethods number;
    PySequenceMethods sequence;
    PyMappingMethods mapping;
    PyAsyncMethods async;
    getattrofunc getattr_hook;   /* tp_getattro of a class with __getattr__, or that may have one */
} slp_slots;

extern slp_slots slp_python_slots;

/* Has slp_soft_init() run? */
extern bool slp_soft_ready;

/* Learn the slots above and register the soft functions of builtins, once per process, before any
 * Python code runs.  Ends the process where that fails. */
SLP_COLD void slp_soft_init(void);

/* The Python function that is found as `name` (interned) in the type's MRO, or NULL (borrowed, no
 * exception). */
static inline PyFunctionObject *
slp_python_method(PyTypeObject *type, PyObject *name)
{
    PyObject *found = _PyType_Lookup(type, name);
    return found != NULL && Py_IS_TYPE(found, &PyFunction_Type) ? (PyFunctionObject *)found : NULL;
}

/* The answer of a soft function that has pushed `shim` and, on it, begun: the shim stays for frames only. */
static inline PyObject *
slp_shim_begun(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *answer)
{
    if (answer != SLP_ENTER) {
        slp_frame_clear_and_pop(tstate, shim);
    }
    return answer;
}

/* Push the frame of func(*args) on `below`; a soft function's answer. */
static inline PyObject *
slp_enter_function(PyThreadState *tstate, _PyInterpreterFrame *below, PyFunctionObject *func,
                   PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    Py_ssize_t count = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    for (Py_ssize_t i = 0; i < count; i++) {
        Py_INCREF(args[i]);
    }
    Py_INCREF(func);
    PyObject *locals = slp_call_locals(func);
    _PyInterpreterFrame *frame = slp_frame_for_call(tstate, func, locals, args, nargs, kwnames);
    if (frame == NULL) {
        return NULL;
    }
    frame->previous = below;
    *top = frame;
    return SLP_ENTER;
}

/* The same with a shim between the two, which starts at `entry` when the function returns and has
 * `count` values (borrowed) on its stack. */
PyObject *slp_enter_above(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code, int entry,
                          PyObject *const *values, int count, PyFunctionObject *func, PyObject *const *args,
                          Py_ssize_t nargs, _PyInterpreterFrame **top);

/* The same above an empty shim that checks the result of special method `kind`. */
static inline PyObject *
slp_enter_checked(PyThreadState *tstate, _PyInterpreterFrame *below, slp_result_kind kind,
                  PyFunctionObject *func, PyObject *const *args, Py_ssize_t nargs, _PyInterpreterFrame **top)
{
    return slp_enter_above(tstate, below, slp_shim_check, slp_check_entry(kind), NULL, 0, func, args, nargs,
                           top);
}

/* Is it an instance of a class made at run time?  Only those have special methods in Python. */
static inline bool
slp_has_heap_type(PyObject *obj)
{
    return PyType_HasFeature(Py_TYPE(obj), Py_TPFLAGS_HEAPTYPE);
}

/* --- attributes (Python/soft_attr.c) --- */

/* owner.name.  NULL `receiver`: the value.  Else, where it is a method of a class, *receiver may be set to
 * its self (a new reference), and the answer is the unbound method; it is not touched otherwise. NULL
 * `top`: the answer SLP_ENTER says that there may be frames to enter, and nothing was done. */
PyObject *slp_soft_getattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner,
                           PyObject *name, PyObject **receiver, _PyInterpreterFrame **top);
/* owner.name = value, or del owner.name (value NULL).  Result: None, pushed nowhere: when the frames
 * are done, nothing is on the stack of `below`.  `name` is interned. */
PyObject *slp_soft_setattr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *owner,
                           PyObject *name, PyObject *value, _PyInterpreterFrame **top);
/* SLP_ATTR_FAILED: owner.__getattr__(name) after an AttributeError; `shim` goes on with the result.
 * SLP_NOT_SOFT: there is none any more. */
PyObject *slp_soft_getattr_hook(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *owner,
                                PyObject *name, _PyInterpreterFrame **top);
/* SLP_ATTR_ERROR: where the exception that is set is an AttributeError that names no attribute, let it name
 * this one. */
SLP_COLD void slp_complete_attribute_error(PyThreadState *tstate, PyObject *owner, PyObject *name);

/* What a classmethod or staticmethod object wraps (borrowed), or NULL. */
PyObject *slp_classmethod_function(PyObject *classmethod);
PyObject *slp_staticmethod_function(PyObject *staticmethod);

/* --- operators (Python/soft_operators.c) --- */

/* BINARY_OP's argument, and one more. */
#define SLP_DIVMOD (NB_INPLACE_XOR + 1)

/* Would a C function call a special method in Python for this operator? */
bool slp_is_python_operator(PyObject *left, PyObject *right, int operator);
/* The protocol of left <operator> right from step *stage on, until a step has an answer or is a Python
 * function: then *stage is the step that comes if that returns NotImplemented. */
PyObject *slp_soft_binary_steps(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *left,
                                PyObject *right, int operator, int *stage, _PyInterpreterFrame **top);
/* The same for a comparison (Py_LT ...).  *stage is at least SLP_NEGATED when the function is an __eq__ whose
 * answer is to be negated. */
#define SLP_NEGATED 3
PyObject *slp_soft_compare_steps(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *left,
                                 PyObject *right, int op, int *stage, _PyInterpreterFrame **top);

/* Would C call a __lt__ or the like in Python? */
static inline bool
slp_is_python_comparison(PyObject *left, PyObject *right)
{
    return Py_TYPE(left)->tp_richcompare == slp_python_slots.type.tp_richcompare
           || Py_TYPE(right)->tp_richcompare == slp_python_slots.type.tp_richcompare;
}

/* The shim that does an operator or a comparison, to be run; steals `left` and `right`.  NULL with an
 * exception. */
_PyInterpreterFrame *slp_operator_shim(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code,
                                       PyObject *left, PyObject *right, int operator);

/* The Python function that a truth test of `value` calls, or NULL; *is_len says that it is a __len__. */
static inline PyFunctionObject *
slp_truth_method(PyObject *value, bool *is_len)
{
    PyTypeObject *type = Py_TYPE(value);
    *is_len = false;
    if (type->tp_as_number != NULL && type->tp_as_number->nb_bool != NULL) {
        return type->tp_as_number->nb_bool == slp_python_slots.number.nb_bool
                   ? slp_python_method(type, &_Py_ID(__bool__))
                   : NULL;
    }
    if (type->tp_as_mapping != NULL && type->tp_as_mapping->mp_length == slp_python_slots.mapping.mp_length) {
        *is_len = true;
        return slp_python_method(type, &_Py_ID(__len__));
    }
    return NULL;
}

/* A conditional jump of `below` on `condition`: steals it, unless the answer is SLP_NOT_SOFT.  `how`: bits
 * SLP_JUMP_IF_TRUE, SLP_JUMP_KEEPS. */
PyObject *slp_soft_jump(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *condition, int how,
                        Py_ssize_t distance, _PyInterpreterFrame **top);

/* --- subscripts (Python/soft_subscript.c) --- */

/* container[index], where __getitem__ is no Python function: __class_getitem__, __missing__. */
PyObject *slp_soft_getitem(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container,
                           PyObject *index, _PyInterpreterFrame **top);
/* The Python function that container[index] = value or del container[index] calls, or NULL. */
PyFunctionObject *slp_subscript_setter(PyObject *container, PyObject *name);

/* --- class calls (Python/instantiate.c) --- */

/* type(*args, **kwargs) goes on with what __new__ returned: the frame of a Python __init__, which `shim` then
 * finishes; or the instance. */
PyObject *slp_soft_init_after_new(PyThreadState *tstate, _PyInterpreterFrame *shim, PyObject *type,
                                  PyObject *args, PyObject *kwargs, PyObject *instance,
                                  _PyInterpreterFrame **top);

/* --- the hooks of new classes (Python/soft_classhooks.c) --- */

/* Would type.__new__(metaclass, *args), which are three, call hooks, all of them Python functions? */
bool slp_has_soft_hooks(PyTypeObject *metaclass, PyObject *const *args, bool keywords);
/* Is it what the shim <class hooks> keeps of the calls that it makes? */
bool slp_are_hook_calls(PyObject *value);
/* type.__new__(metaclass, *args, **kwargs): frames where hooks in Python are to be called. */
PyObject *slp_soft_type_new(PyThreadState *tstate, _PyInterpreterFrame *below, PyTypeObject *metaclass,
                            PyObject *args, PyObject *kwargs, _PyInterpreterFrame **top);

/* --- imports (Python/soft_import.c) --- */

/* What __import__(name, globals, locals, names, level) does.  NULL `top`: in C. */
PyObject *slp_soft_import(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *name,
                          PyObject *globals, PyObject *locals, PyObject *names, int level,
                          _PyInterpreterFrame **top);

/* --- raise (Python/soft_raise.c) --- */

/* raise class from cause (may be NULL).  When the frames are done, the exception is raised in `below`. */
PyObject *slp_soft_raise(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *class, PyObject *cause,
                         _PyInterpreterFrame **top);

/* --- isinstance (Python/soft_isinstance.c) --- */

/* Is it a tuple without a class of Python's making, of which isinstance() and issubclass() ask nothing? */
static inline bool
slp_are_plain_classes(PyObject *classes)
{
    if (!PyTuple_CheckExact(classes)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(classes); i++) {
        if (!PyType_CheckExact(PyTuple_GET_ITEM(classes, i))) {
            return false;
        }
    }
    return true;
}

/* isinstance(obj, classes): a soft function. */
PyObject *slp_soft_isinstance(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                              PyObject *classes, _PyInterpreterFrame **top);

/* --- formats (Python/soft_format.c) --- */

/* Could `format % args` call a __str__ or __repr__ in Python? */
static inline bool
slp_may_format_in_python(PyObject *args)
{
    if (!PyTuple_CheckExact(args)) {
        return slp_has_heap_type(args);
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        if (slp_has_heap_type(PyTuple_GET_ITEM(args, i))) {
            return true;
        }
    }
    return false;
}

/* format % args, of an exact str: a soft function, which may have the result at once. */
PyObject *slp_soft_percent(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *format,
                           PyObject *args, _PyInterpreterFrame **top);

/* --- builtins (Python/soft_builtins.c) --- */

PyObject *slp_soft_len(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                       _PyInterpreterFrame **top);
/* Does str(obj) call a Python function? */
bool slp_has_python_str(PyObject *obj);
PyObject *slp_soft_str(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                       _PyInterpreterFrame **top);
PyObject *slp_soft_repr(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                        _PyInterpreterFrame **top);
PyObject *slp_soft_iter(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                        _PyInterpreterFrame **top);
/* FORMAT_VALUE; `spec` may be NULL. */
PyObject *slp_soft_format_value(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *value,
                                PyObject *spec, int oparg, _PyInterpreterFrame **top);

/* --- asynchronous iteration (Python/soft_async.c) --- */

/* GET_AITER, GET_ANEXT and GET_AWAITABLE (with its argument) of `obj`. */
PyObject *slp_soft_aiter(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                         _PyInterpreterFrame **top);
PyObject *slp_soft_anext(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                         _PyInterpreterFrame **top);
PyObject *slp_soft_awaitable(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *obj,
                             _PyInterpreterFrame **top);

/* Awaitables of the base's that pass on what they are sent; in no header. */
extern PyTypeObject _PyAnextAwaitable_Type;

static inline bool
slp_has_soft_send(PyObject *receiver)
{
    PyTypeObject *type = Py_TYPE(receiver);
    return type == &_PyAsyncGenASend_Type || type == &_PyCoroWrapper_Type || type == &_PyAsyncGenAThrow_Type
           || type == &_PyAnextAwaitable_Type;
}

/* SEND to one of those: `below` waits for the result as for a generator's. */
PyObject *slp_soft_send(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *receiver, PyObject *sent,
                        _PyInterpreterFrame **top);

#endif
