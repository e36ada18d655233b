/* The types of functools and reduce(), taught to call Python functions as frames; learnt when _functools is
 * imported. */
#include "slp_loops.h"
#include "slp_softcall.h"

int
slp_soft_functools(PyObject *module)
{
    PyObject *dict = PyModule_GetDict(module);
    PyObject *partial = PyDict_GetItemString(dict, "partial");
    PyObject *reduce = PyDict_GetItemString(dict, "reduce");
    PyObject *cached = PyDict_GetItemString(dict, "_lru_cache_wrapper");
    if (partial != NULL) {
        slp_soft_partial_init(partial);
    }
    if (reduce != NULL && PyCFunction_Check(reduce)) {
        slp_soft_register_function(reduce, slp_soft_reduce);
    }
    return cached == NULL ? 0 : slp_soft_cache_init(cached);
}
