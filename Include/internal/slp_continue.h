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

/* One step.  SLP_ENTER: *top is the newest of the frames pushed on `shim`, whose result will be pushed on the
 * stack as the function leaves it; another value: what the shim returns; NULL: an exception is set. */
typedef PyObject *(*slp_continuation)(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                                      _PyInterpreterFrame **top);

/* The argument of SLP_GO_ON. */
enum {
    SLP_GO_CLASS_BASES,      /* Python/soft_class.c */
    SLP_GO_CLASS_PREPARED,
    SLP_GO_CLASS_BODY,
    SLP_GO_CLASS_MADE,
    SLP_GO_CLASS_HOOK,       /* Python/soft_classhooks.c */
    SLP_GO_CLASS_HOOK_FAILED,
    SLP_GO_IMPORT_LOADED,    /* Python/soft_import.c */
    SLP_GO_IMPORT_FAILED,
    SLP_GO_RAISE,            /* Python/soft_raise.c */
    SLP_GO_FUNCTION,         /* Python/protocol.c */
    SLP_GO_FUNCTION_FAILED,
    SLP_GO_COUNT,
};

extern const slp_continuation slp_continuations[SLP_GO_COUNT];

/* The steps, in the order of the list. */
PyObject *slp_go_class_bases(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                             _PyInterpreterFrame **top);
PyObject *slp_go_class_prepared(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                                _PyInterpreterFrame **top);
PyObject *slp_go_class_body(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                            _PyInterpreterFrame **top);
PyObject *slp_go_class_made(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                            _PyInterpreterFrame **top);
PyObject *slp_go_class_hook(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                            _PyInterpreterFrame **top);
PyObject *slp_go_class_hook_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                                   _PyInterpreterFrame **top);
PyObject *slp_go_import_loaded(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                               _PyInterpreterFrame **top);
PyObject *slp_go_import_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                               _PyInterpreterFrame **top);
PyObject *slp_go_raise(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                       _PyInterpreterFrame **top);
PyObject *slp_go_function(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                          _PyInterpreterFrame **top);
PyObject *slp_go_function_failed(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack,
                                 _PyInterpreterFrame **top);

#endif
