/* Builtin types that are found under no name: generator, function, list_iterator and others.
 *
 * A tasklet can be suspended with one of them on the value stack: before isinstance(x, GeneratorType) is
 * called, or as the class of a method of a generator.  The pickler saves a class by __module__ and
 * __qualname__, and those of such types lead nowhere.  Lib/stackless/_typenames.py knows where they are
 * found; after `import stackless` the C pickler is told that in the place of the two attributes.  So the
 * image has an ordinary name.
 */
#include "slp_pickle.h"

int slp_pickle_lookup_attr(PyObject *obj, PyObject *name, PyObject **result);

/* The (module, name) of a type in the table that `import stackless` has made; borrowed, or NULL without an
 * exception. */
static PyObject *
find_name(PyObject *type)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *wrap = PyDict_GetItemString(modules, "_stackless._wrap");
    PyObject *names = wrap == NULL || !PyModule_Check(wrap)
                          ? NULL
                          : PyDict_GetItemString(PyModule_GetDict(wrap), "type_names");
    PyObject *found = names != NULL && PyDict_CheckExact(names) ? PyDict_GetItem(names, type) : NULL;
    return found != NULL && PyTuple_CheckExact(found) && PyTuple_GET_SIZE(found) == 2 ? found : NULL;
}

/* In a copy of the base's _pickle.o, what _PyObject_LookupAttr() is. */
int
slp_pickle_lookup_attr(PyObject *obj, PyObject *name, PyObject **result)
{
    bool is_name = name == &_Py_ID(__qualname__);
    if ((is_name || name == &_Py_ID(__module__)) && Py_IS_TYPE(obj, &PyType_Type)
        && !(((PyTypeObject *)obj)->tp_flags & Py_TPFLAGS_HEAPTYPE)) {
        PyObject *found = find_name(obj);
        if (found != NULL) {
            *result = Py_NewRef(PyTuple_GET_ITEM(found, is_name));
            return 1;
        }
    }
    return _PyObject_LookupAttr(obj, name, result);
}
