/* The loop's side of the stackless protocol (Include/stackless_protocol.h): calls of C functions of
 * extensions that may answer SLP_UNWIND.
 *
 *      loop        slp_protocol_call(): offers, calls the C function
 *      function    takes the offer, writes what it asks for into th->request (or, by a switch, into
 *                  th->next), answers SLP_UNWIND
 *      loop        pushes the frames that do it, and runs them:
 *
 *      caller ──> <soft function> ──> frame of a Python function, or <soft request>
 *                   [state]             [NULL, callable, args (, kwargs)]
 *                 steps of a soft       calls anything; or makes a switch that is decided
 *                 function, if one waits
 *
 * Invariants
 *  1. The offer names the activation of the loop that has made it: Python code that runs inside of the C
 *     function (a destructor, a callback) is in another one, and never finds it.
 *  2. th->request is that of the innermost function that has an offer, or empty.
 *  3. When the C function has returned, what it has asked for is done, or dropped with a SystemError.  A
 *     switch that is decided is made in any case.
 *  4. Steps of soft functions always find an offer, so that they see one way of getting results.  Where C
 *     code is the caller, what they ask for is done by C (slp_soft_run()).
 *
 * Functions of our own that switch have SLP_METH_STACKLESS instead, which costs less (slp_switch.h).
 */
#ifndef SLP_PROTOCOL_H
#define SLP_PROTOCOL_H

#include "slp_continue.h"
#include "slp_switch.h"
#include "stackless_protocol.h"

/* A call of a soft function that has not ended. */
typedef struct slp_soft_state {
    PyObject_HEAD
    PyStacklessFunctionDeclarationObject *declaration; /* strong; NULL: the result is passed on */
    PyObject *objects[3];                              /* strong or NULL */
    long step;
    long n;
    void *any;
    int depth; /* how many others wait below, at least */
} slp_soft_state;

extern PyTypeObject slp_soft_state_type;

/* A new state; NULL with MemoryError, or RecursionError. */
slp_soft_state *slp_soft_state_new(PyThreadState *tstate, PyStacklessFunctionDeclarationObject *declaration,
                                   PyObject *const objects[3], long n, void *any);

/* Run all steps of it here, on the C stack, the first one with `arg`.  The result, or NULL with an
 * exception. */
PyObject *slp_soft_run(slp_thread *th, slp_soft_state *state, PyObject *arg);

/* Does the declaration have what is needed? */
static inline bool
slp_is_declaration(PyStacklessFunctionDeclarationObject *declaration)
{
    return declaration != NULL && Py_IS_TYPE(declaration, &PyStacklessFunctionDeclaration_Type);
}

/* The offer of the loop to the C function that runs, taken. */
static inline bool
slp_protocol_take_offer(slp_thread *th)
{
    bool offered = th->offered_in == th->tstate->cframe;
    th->offered_in = NULL;
    return offered;
}

/* Is `callable` one of an extension that takes offers? */
bool slp_takes_offers(PyObject *callable);

/* callable(*args, **kwargs) with an offer; a soft function's answer. */
PyObject *slp_protocol_call(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable,
                            PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                            _PyInterpreterFrame **top);

/* How many soft functions wait below what is about to be called, at least. */
int slp_soft_depth(PyThreadState *tstate);

/* What the frame runs, if it is a shim of the protocol's that is busy: a callable, or the declaration of a
 * soft function; else NULL.  Borrowed. */
PyObject *slp_protocol_callee(const _PyInterpreterFrame *frame);

/* Is it a state that a shim may hold (for images)? */
static inline bool
slp_is_soft_state(PyObject *op)
{
    return Py_IS_TYPE(op, &slp_soft_state_type);
}

/* Methods of the module _stackless._wrap. */
PyObject *slp_make_soft_state(PyObject *module, PyObject *args);

#endif
