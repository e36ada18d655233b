/* raise C: where the class has an __init__, a __new__ or a metaclass in Python, frames make the instance.
 *
 * What is raised in the shim comes to the frame below, at its `raise`. */
#include "slp_continue.h"
#include "slp_frame.h"
#include "slp_softcall.h"
#include "slp_support.h"

/* What the shim's stack holds. */
enum {
    CLASS,
    CAUSE,          /* what stands behind `from`, or NULL */
    STACK_SIZE = CAUSE + 2,
};

static PyCodeObject *shim_raise;

PyObject *
slp_soft_raise(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *class, PyObject *cause,
               _PyInterpreterFrame **top)
{
    if (!PyExceptionClass_Check(class) || !PyType_HasFeature((PyTypeObject *)class, Py_TPFLAGS_HEAPTYPE)) {
        return SLP_NOT_SOFT;
    }
    PyObject *values[2] = {Py_NewRef(class), Py_XNewRef(cause)};
    _PyInterpreterFrame *shim = slp_shim_push(tstate, below, shim_raise, 0, values, 2);
    if (shim == NULL) {
        return NULL;
    }
    PyObject *answer = slp_soft_call(tstate, shim, class, NULL, 0, NULL, top);
    if (answer == SLP_ENTER) {
        return answer;
    }
    slp_frame_clear_and_pop(tstate, shim);
    if (answer == NULL || answer == SLP_NOT_SOFT) {
        return answer;
    }
    slp_raise_made(tstate, class, answer, cause);
    Py_DECREF(answer);
    return NULL;
}

/* Stack: up to CAUSE, and what the class has made. */
PyObject *
slp_go_raise(PyThreadState *tstate, _PyInterpreterFrame *shim, slp_stack *stack, _PyInterpreterFrame **top)
{
    PyObject *made = stack->values[CAUSE + 1];
    slp_raise_made(tstate, stack->values[CLASS], made, stack->values[CAUSE]);
    return NULL;
}

void
slp_soft_raise_init(void)
{
    static const uint8_t code[] = {SLP_GO_ON, SLP_GO_RAISE};
    shim_raise = slp_shim_make("<raise>", STACK_SIZE, code, sizeof(code), NULL, 0);
    if (shim_raise == NULL) {
        Py_FatalError("cannot prepare raise");
    }
}
