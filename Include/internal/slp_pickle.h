/* Pickling: how tasklets, and all that their frames refer to, become bytes and come back.
 *
 * Definitions
 *   reducer     a function that tells the pickler how an object is made again; copyreg knows one for each
 *               type below after `import stackless`.
 *   stand-in    a type of the module _stackless._wrap with the layout of a builtin type.  Loading makes
 *               an object of the stand-in; its __setstate__ fills it and turns it into the real type.  So
 *               cycles (a function and the cell that holds it) come back, and the builtin types get no
 *               __setstate__ that programs would see.
 *   shell       an object of a stand-in that is not yet filled.  It is safe to hold, to traverse, to free.
 *
 * What is in an image is described in Doc/internals/pickling.rst.  Loading trusts nothing: every item of
 * a state is checked before an object is changed, and errors (TypeError for a wrong type, ValueError for a
 * wrong value, slp_refuse_image()) name what is wrong.
 */
#ifndef SLP_PICKLE_H
#define SLP_PICKLE_H

#include "slp_tasklet.h"

/* The module _stackless._wrap, made as an attribute of _stackless.  -1 with an exception. */
int slp_wrap_init(PyObject *module);

/* Fill a stand-in's slots from those of the type for which it stands, and add it to the module.  -1 with
 * an exception. */
int slp_add_stand_in(PyObject *module, PyTypeObject *stand_in, PyTypeObject *real);

/* Raise ValueError "what: text"; NULL. */
SLP_COLD PyObject *slp_refuse_image(const char *what, const char *format, ...);

/* An int of an image: false with TypeError or OverflowError if it is none. */
bool slp_int_in(PyObject *op, int *value);

/* A tuple of the items, which it steals; if one of them is NULL, NULL with the exception that is set. */
PyObject *slp_tuple_of(PyObject **items, Py_ssize_t count);

/* --- the C pickler (Stackless/pickling/deep.c) --- */

/* Run it on a wide carrier from now on: `module` is _pickle, just made.  -1 with an exception. */
int slp_pickle_hook(PyObject *module);

/* A tasklet was reduced: errors of the dump that is under way will name it. */
void slp_pickle_reduced(PyObject *tasklet);

/* --- code and functions --- */

extern PyTypeObject slp_stand_in_cell;
extern PyTypeObject slp_stand_in_function;

/* A cell, or a shell of one. */
static inline bool
slp_is_cell(PyObject *op)
{
    return Py_IS_TYPE(op, &PyCell_Type) || Py_IS_TYPE(op, &slp_stand_in_cell);
}

/* Give a function the (closure or None, name, qualified name) of an image; -1 with an exception. */
int slp_function_set_start(PyFunctionObject *function, PyObject *start);

/* A number that depends on all that makes a code object do what it does, the same in every process. */
int slp_code_hash(PyCodeObject *code, uint64_t *hash);

/* How an image refers to a dict of globals: the name of the module whose dict it is, else the dict itself.
 * New reference. */
PyObject *slp_globals_out(PyObject *globals);
/* The dict again: new reference, NULL with an exception. */
PyObject *slp_globals_in(PyObject *ref, const char *what);
/* The name of the module in sys.modules whose dict this is (borrowed), or NULL without an exception. */
PyObject *slp_name_of_module_dict(PyObject *dict);

/* Methods of the module _stackless._wrap. */
PyObject *slp_reduce_code(PyObject *module, PyObject *code);
PyObject *slp_make_code(PyObject *module, PyObject *args);
PyObject *slp_reduce_cell(PyObject *module, PyObject *cell);
PyObject *slp_reduce_function(PyObject *module, PyObject *function);
PyObject *slp_reduce_module(PyObject *module, PyObject *pickled);
PyObject *slp_make_module(PyObject *module, PyObject *name);
PyObject *slp_make_module_dict(PyObject *module, PyObject *name);
PyObject *slp_reduce_traceback(PyObject *module, PyObject *traceback);
PyObject *slp_make_traceback(PyObject *module, PyObject *args);
PyObject *slp_set_list_index(PyObject *module, PyObject *args);
PyObject *slp_memory_index(PyObject *module, PyObject *iterator);
PyObject *slp_slot_names(PyObject *module, PyObject *code);
PyObject *slp_code_hash_method(PyObject *module, PyObject *code);

/* A small object that pickles as the dict of the module `name`.  New reference. */
PyObject *slp_new_module_dict_ref(PyObject *name);
extern PyTypeObject slp_module_dict_ref_type;

#endif
