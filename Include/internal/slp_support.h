/* What instructions call when the work is too long to stand in the loop.
 *
 * One function per job; none knows about dispatch, the value stack or frames beyond its arguments.
 * Unless said otherwise: arguments are borrowed, an object result is a new reference, failure is
 * NULL or -1 with an exception set in `tstate`.
 */
#ifndef SLP_SUPPORT_H
#define SLP_SUPPORT_H

#include "slp_base.h"

/* --- names and variables (Python/names.c) --- */

/* Raise `exc_type` with `format` (one %s: the name) and, for NameError itself, set its `name`
 * attribute. */
SLP_COLD void slp_raise_name_error(PyThreadState *tstate, PyObject *exc_type, const char *format,
                                   PyObject *name);
/* Raise UnboundLocalError or NameError for local, cell or free variable `oparg` of `code`. */
SLP_COLD void slp_raise_unbound(PyThreadState *tstate, PyCodeObject *code, int oparg);
/* LOAD_NAME: locals (any mapping), globals, builtins (any mapping). */
PyObject *slp_load_name(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name);
/* LOAD_GLOBAL without a cache: globals, builtins, either a plain dict or any mapping. */
PyObject *slp_load_global(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name);
/* LOAD_CLASSDEREF: the class namespace first, then free variable `oparg`. */
PyObject *slp_load_classderef(PyThreadState *tstate, _PyInterpreterFrame *frame, int oparg);
/* LOAD_BUILD_CLASS. */
PyObject *slp_load_build_class(PyThreadState *tstate, _PyInterpreterFrame *frame);
/* SETUP_ANNOTATIONS: make sure that the local namespace has `__annotations__`. */
int slp_setup_annotations(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* --- imports (Python/imports.c) --- */

/* import name: calls builtins.__import__, or the import machinery directly when it is the original.  A soft
 * function's answer; NULL `top`: never SLP_ENTER. */
PyObject *slp_import_name(PyThreadState *tstate, _PyInterpreterFrame *frame, PyObject *name,
                          PyObject *fromlist, PyObject *level, _PyInterpreterFrame **top);
PyObject *slp_import_from(PyThreadState *tstate, PyObject *module, PyObject *name);
/* from module import *: into the dict or mapping `locals`. */
int slp_import_star(PyThreadState *tstate, PyObject *locals, PyObject *module);

/* --- sequences, mappings, slices (Python/containers.c) --- */

/* Unpack `iterable` into `before` values, and with after >= 0 a list of the middle and `after`
 * more values.  They are stored downwards from sp[-1], so that the first value ends on top:
 * `sp` points past the last slot to fill.  -1 with ValueError ("not enough values to unpack
 * (expected 3, got 2)", "too many values to unpack (expected 2)") or TypeError ("cannot unpack
 * non-iterable X object"); then nothing is left in the slots. */
int slp_unpack_iterable(PyThreadState *tstate, PyObject *iterable, int before, int after, PyObject **sp);
/* LIST_EXTEND: TypeError "Value after * must be an iterable, not X". */
int slp_list_extend(PyThreadState *tstate, PyObject *list, PyObject *iterable);
/* DICT_UPDATE: TypeError "'X' object is not a mapping". */
int slp_dict_update(PyThreadState *tstate, PyObject *dict, PyObject *update);
/* DICT_MERGE of f(**kwargs): TypeErrors name `callable`, as f(**kwargs) does on a bad mapping or a
 * name given twice ("f() got multiple values for keyword argument 'x'"). */
int slp_dict_merge(PyThreadState *tstate, PyObject *callable, PyObject *dict, PyObject *update);
/* CALL_FUNCTION_EX: 0 if `args` can be iterated, else -1 with "f() argument after * must be an
 * iterable, not X". */
int slp_check_args_iterable(PyThreadState *tstate, PyObject *callable, PyObject *args);
/* CALL_FUNCTION_EX: raise for a `kwargs` that PyDict_Update refused (error set). */
SLP_COLD void slp_raise_kwargs_error(PyThreadState *tstate, PyObject *callable, PyObject *kwargs);

/* --- pattern matching (Python/matching.c) --- */

/* Values of `map` for every key of the tuple `keys`, as a tuple; None when one is missing.
 * ValueError for a key given twice. */
PyObject *slp_match_keys(PyThreadState *tstate, PyObject *map, PyObject *keys);
/* The attributes that `case type(p1, ..., k1=...)` binds, as a tuple; NULL without error when
 * `subject` does not match.  `kwargs` is a tuple of names. */
PyObject *slp_match_class(PyThreadState *tstate, PyObject *subject, PyObject *type, Py_ssize_t nargs,
                          PyObject *kwargs);

/* --- exceptions (Python/raising.c) --- */

/* raise exc from cause: steals both (either may be NULL).  1 when the exception being handled was
 * re-raised (its traceback is in place), 0 when a new one was raised. */
int slp_do_raise(PyThreadState *tstate, PyObject *exc, PyObject *cause);
/* raise class from cause (may be NULL), where calling the class has made `exc`. */
void slp_raise_made(PyThreadState *tstate, PyObject *class, PyObject *exc, PyObject *cause);
/* Is `type` (a class or a tuple) fit for `except`: 0, else -1 with TypeError. */
int slp_check_except_type(PyThreadState *tstate, PyObject *type);
/* The same for except*: also refuses ExceptionGroup and its subclasses. */
int slp_check_except_star_type(PyThreadState *tstate, PyObject *type);
/* except* type: split `exc`.  *match and *rest get new references, None for nothing. */
int slp_exception_group_match(PyObject *exc, PyObject *type, PyObject **match, PyObject **rest);
/* PREP_RERAISE_STAR: what to raise after the except* clauses have raised `excs` (a list) for `original`; None
 * for nothing.  SystemError where something else got into the list, by way of a pickle. */
PyObject *slp_reraise_star(PyThreadState *tstate, PyObject *original, PyObject *excs);
/* Find the handler of instruction offset `index` (in code units).  1 with level, handler (code
 * units) and whether the handler wants lasti pushed; 0 when there is none. */
int slp_find_handler(PyCodeObject *code, int index, int *level, int *handler, bool *push_lasti);
/* "'async with' received an object from __aenter__ ..." and its kin: SEND's GET_AWAITABLE errors.
 * `oparg` 1 for __aenter__, 2 for __aexit__, 0 for plain await. */
PyObject *slp_get_awaitable(PyThreadState *tstate, PyObject *iterable, int oparg);
/* GET_AITER: type(obj).__aiter__, checked for __anext__. */
PyObject *slp_get_aiter(PyThreadState *tstate, PyObject *obj);
/* GET_ANEXT: an awaitable iterator for the next value of `aiter`. */
PyObject *slp_get_anext(PyThreadState *tstate, PyObject *aiter);
/* GET_YIELD_FROM_ITER: steals `iterable`; `code` is the code that yields from it. */
PyObject *slp_get_yield_from_iter(PyThreadState *tstate, PyObject *iterable, PyCodeObject *code);
/* A generator, coroutine or async generator frame let StopIteration (or StopAsyncIteration) out:
 * turn it into RuntimeError, as PEP 479 wants.  An exception is set. */
SLP_COLD void slp_convert_stop_iteration(PyThreadState *tstate, PyGenObject *gen);

/* --- the eval breaker (Python/breaker.c) --- */

/* Handle what the eval breaker announces: signals, pending calls, a request for the GIL, an
 * asynchronous exception.  -1 with an exception. */
int slp_handle_breaker(PyThreadState *tstate);

/* --- printing and formatting (Python/containers.c) --- */

/* PRINT_EXPR: sys.displayhook(value). */
int slp_print_expr(PyThreadState *tstate, PyObject *value);
/* FORMAT_VALUE: steals `value` and `spec` (may be NULL). */
PyObject *slp_format_value(PyThreadState *tstate, PyObject *value, PyObject *spec, int oparg);

#endif
