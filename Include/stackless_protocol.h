/* The stackless protocol: C functions of extensions that call Python code, or block, and keep no C stack.
 *
 * An ordinary C function that calls Python code waits on the C stack until that returns.  A tasklet that
 * blocks meanwhile is pinned: it costs a C stack, and cannot be pickled; and each such call nests another
 * one.  A function with the flag METH_STACKLESS can do better.  It asks the interpreter for the call, and
 * returns Py_UnwindToken instead of a result.  The interpreter makes the call, and its result becomes that of
 * the function; or, if something is left to do with it, a soft function is called with the result: a function
 * in C that keeps all its state in three objects and some numbers.
 *
 *      interpreter ──calls──> C function      asks for f(), returns Py_UnwindToken
 *      interpreter ──calls──> f()             with no C function in between
 *      interpreter ──calls──> soft function   one more step, with the result of f()
 *
 * The interpreter offers this for one call of one function with the flag, and the first function of this
 * header (or with _nr in stackless_api.h) that is called then takes the offer.  A function that runs other
 * code before it asks should begin with STACKLESS_GETARG(), and have STACKLESS_PROMOTE_ALL() before it asks.
 * Without an offer (C code has called the function, or a profiler wants to see calls of C functions) the call
 * is made at once, and what it returns is the answer.
 *
 * What breaks the protocol raises SystemError with the name of the function, and never crashes.
 *
 * All functions want the GIL.  Compiles as C99 and C++17.
 */
#ifndef STACKLESS_PROTOCOL_H
#define STACKLESS_PROTOCOL_H

#include "stackless_api.h"

#ifdef __cplusplus
extern "C" {
#endif

#undef METH_STACKLESS

/* --- Flags --- */

/* In the flags of a PyMethodDef, with any calling convention: the function may return Py_UnwindToken.
 * CPython reserves the bit for this, and ignores it. */
#define METH_STACKLESS 0x0100

/* In the flags of a type with tp_call: tp_call may return Py_UnwindToken.  Subclasses do not inherit it. */
#define Py_TPFLAGS_HAVE_STACKLESS_CALL (1UL << 15)

/* --- Calls --- */

/* Call callable(*args, **kwargs), as the last act of a function or of a step.  args is a tuple or NULL,
 * kwargs a dict or NULL; TypeError otherwise.  Answers Py_UnwindToken, or, without an offer, the result. */
PyAPI_FUNC(PyObject *) PyStackless_Call_nr(PyObject *callable, PyObject *args, PyObject *kwargs);

/* The same for callable(arg). */
PyAPI_FUNC(PyObject *) PyStackless_CallOneArg_nr(PyObject *callable, PyObject *arg);

/* --- Soft functions --- */

/* One step of a soft function.  retval, borrowed, is what the step begins with: first the argument of
 * PyStackless_CallFunction(), later the result of what the last step has asked for, or NULL with an exception
 * set if that has failed.  *step is 0 at first; the function notes there where it goes on.  *ob1, *ob2 and
 * *ob3 are objects or NULL, of which the function owns one reference each; it may replace them.  *n is a
 * number, *any a pointer; while that is not NULL, a tasklet that waits cannot be pickled.  A step answers the
 * result, NULL with an exception, or Py_UnwindToken, which it got from a function that it has asked: then it
 * is called again.  In a step, functions of this header always answer Py_UnwindToken, or NULL; those of
 * stackless_api.h may have a result at once. */
typedef PyObject *(slp_softfunc)(PyObject *retval, long *step, PyObject **ob1, PyObject **ob2,
                                 PyObject **ob3, long *n, void **any);

/* Can a soft function go on in this state: 0, or -1?  An exception may be set, too.  Asked when a suspended
 * call is unpickled, whose image may have been damaged or forged. */
typedef int(slp_softcheck)(long step, PyObject *ob1, PyObject *ob2, PyObject *ob3, long n);

/* A soft function as an object: a static variable of the extension, initialized with
 * PyObject_HEAD_INIT(NULL), the function and its name.  Suspended calls pickle by the names: module_name.name
 * has to be this object. */
typedef struct PyStacklessFunctionDeclarationObject {
    PyObject_HEAD
    slp_softfunc *sfunc;               /* the function */
    const char *name;                  /* its name in the module */
    const char *module_name;           /* NULL: PyStackless_InitFunctionDeclaration() sets it */
    slp_softcheck *check;              /* NULL: it can go on in any state */
} PyStacklessFunctionDeclarationObject;

/* The class of such objects. */
PyAPI_DATA(PyTypeObject) PyStacklessFunctionDeclaration_Type;

/* Is op, an object, a soft function?  Cannot fail. */
#define PyStacklessFunctionDeclarationType_CheckExact(op)                                                    \
    Py_IS_TYPE((PyObject *)(op), &PyStacklessFunctionDeclaration_Type)

/* Make the declaration ready, and add it to the module under its name.  Where module_name is NULL it becomes
 * that of module_def, or, if that is NULL, of the module.  SystemError if the function, its name or the
 * module is missing. */
PyAPI_FUNC(int) PyStackless_InitFunctionDeclaration(PyStacklessFunctionDeclarationObject *declaration,
                                                    PyObject *module, PyModuleDef *module_def);

/* Call a soft function, as the last act of a function or of a step.  arg is the retval of its first step,
 * NULL: None; the others are what its state begins with.  Answers Py_UnwindToken, or, without an offer, the
 * result. RecursionError if too many soft functions wait for each other; SystemError if the declaration is
 * not ready. */
PyAPI_FUNC(PyObject *) PyStackless_CallFunction(PyStacklessFunctionDeclarationObject *declaration,
                                                PyObject *arg, PyObject *ob1, PyObject *ob2, PyObject *ob3,
                                                long n, void *any);

/* --- The offer by hand --- */

/* Take the offer: 1 if there was one, else 0.  Cannot fail. */
PyAPI_FUNC(int) PyStackless_TakeOffer(void);

/* Pass an offer that was taken on to what is called next.  Cannot fail. */
PyAPI_FUNC(void) PyStackless_PassOffer(void);

/* The same, if callable is a C function, a method or an instance that takes offers; else do nothing.  Cannot
 * fail. */
PyAPI_FUNC(void) PyStackless_PassOfferTo(PyObject *callable);

/* Take the offer into a new variable, stackless: 1 or 0.  This and the next are for sources for historic
 * Stackless. */
#define STACKLESS_GETARG() int stackless = PyStackless_TakeOffer()

/* Pass an offer that STACKLESS_GETARG() has taken on to what is called next, which takes it. */
#define STACKLESS_PROMOTE_ALL() ((stackless) ? PyStackless_PassOffer() : (void)0)

/* The same, if flag is not 0. */
#define STACKLESS_PROMOTE_FLAG(flag) ((stackless) && (flag) ? PyStackless_PassOffer() : (void)0)

/* The same, if op, an object, takes offers when it is called. */
#define STACKLESS_PROMOTE(op) ((stackless) ? PyStackless_PassOfferTo((PyObject *)(op)) : (void)0)

/* The same, if the function in the slot (a name as tp_call) of the type of op takes offers.  Here only
 * tp_call does, so that what other slots call nests. */
#define STACKLESS_PROMOTE_METHOD(op, slot)                                                                   \
    ((stackless) && offsetof(PyTypeObject, slot) == offsetof(PyTypeObject, tp_call)                          \
         ? PyStackless_PassOfferTo((PyObject *)(op))                                                         \
         : (void)0)

/* Take an offer back that was passed on, and that nobody has taken. */
#define STACKLESS_RETRACT() ((void)PyStackless_TakeOffer())

/* The same: behind a call that should have taken it. */
#define STACKLESS_ASSERT() STACKLESS_RETRACT()

/* STACKLESS_GETARG() in func, a vectorcall function; sources for Stackless 3.8 spell it so. */
#define STACKLESS_VECTORCALL_GETARG(func) STACKLESS_GETARG()

/* STACKLESS_PROMOTE_ALL() before a vectorcall of func. */
#define STACKLESS_VECTORCALL_PROMOTE_ALL(func) STACKLESS_PROMOTE_ALL()

/* STACKLESS_RETRACT() after a vectorcall of func. */
#define STACKLESS_VECTORCALL_RETRACT(func) STACKLESS_RETRACT()

/* STACKLESS_ASSERT() after a vectorcall of func. */
#define STACKLESS_VECTORCALL_ASSERT(func) STACKLESS_ASSERT()

#ifdef __cplusplus
}
#endif
#endif
