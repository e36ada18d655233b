/* Continuations in C: a shim's instruction SLP_GO_ON hands the shim's value stack to a C function.
 *
 * For work of many steps between calls of Python code (a class statement, an import), where an instruction
 * for every step would say the same thing again and again: the step's function looks at the stack, pushes
 * frames where Python code is to be called next, and says where the shim goes on with their result:
 *
 *      shim   0 NOP
 *             1 SLP_GO_ON step   <── the frames' result, on top of the stack
 *
 * A row of the exception table that covers the unit before an instruction sends there what the frames raise
 * while the shim waits.
 */
#ifndef SLP_CONTINUE_H
#define SLP_CONTINUE_H

#include "slp_soft.h"

/* The stack of a shim that runs SLP_GO_ON. */
typedef struct {
    PyObject **values;       /* the oldest first; the shim owns them, NULLs allowed */
    int count;               /* how many there are; the function may push and pop */
    int entry;               /* the code unit where the shim goes on: the next one, unless set */
} slp_stack;

/* Put an int where another value stands.  -1 with an exception. */
static inline int
slp_set_int(PyObject **slot, Py_ssize_t value)
{
    PyObject *number = PyLong_FromSsize_t(value);
    if (number == NULL) {
        return -1;
    }
    Py_SETREF(*slot, number);
    return 0;
}

/* One step.  SLP_ENTER: *top is the newest of the frames pushed on `shim`, whose result will be pushed on the
 * stack as the function leaves it; another value: what the shim returns; NULL: an exception is set. */
typedef PyObject *(*slp_continuation)(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                                      _PyInterpreterFrame **top);

/* All steps: X(NAME, name), where SLP_GO_NAME is the argument of SLP_GO_ON and slp_go_name() the function. */
#define SLP_CONTINUATIONS(X)                                                                       \
    X(CLASS_BASES, class_bases)                 /* Python/soft_class.c */                          \
    X(CLASS_PREPARED, class_prepared)                                                              \
    X(CLASS_BODY, class_body)                                                                      \
    X(CLASS_MADE, class_made)                                                                      \
    X(CLASS_HOOK, class_hook)                   /* Python/soft_classhooks.c */                     \
    X(CLASS_HOOK_FAILED, class_hook_failed)                                                        \
    X(IMPORT_LOADED, import_loaded)             /* Python/soft_import.c */                         \
    X(IMPORT_FAILED, import_failed)                                                                \
    X(RAISE, raise)                             /* Python/soft_raise.c */                          \
    X(ANY_CLASS, any_class)                     /* Python/soft_isinstance.c */                     \
    X(PRINT, print)                             /* Python/soft_print.c */                          \
    X(PERCENT, percent)                         /* Python/soft_format.c */                         \
    X(PERCENT_AT_ONCE, percent_at_once)                                                            \
    X(FIELDS, fields)                                                                              \
    X(FUNCTION, function)                       /* Python/protocol.c */                            \
    X(FUNCTION_FAILED, function_failed)

#define SLP_DECLARE_CONTINUATION(NAME, name)                                                       \
    PyObject *slp_go_##name(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,    \
                            _PyInterpreterFrame **top);
SLP_CONTINUATIONS(SLP_DECLARE_CONTINUATION)

#define SLP_NUMBER_CONTINUATION(NAME, name) SLP_GO_##NAME,
enum {
    SLP_CONTINUATIONS(SLP_NUMBER_CONTINUATION)
    SLP_GO_COUNT
};

extern const slp_continuation slp_continuations[SLP_GO_COUNT];

#endif
