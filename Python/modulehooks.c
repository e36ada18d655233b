/* Builtin modules of the base that we look at when they are imported.
 *
 * Their types and functions exist only then, and once per interpreter.  gen/inittab.c names our functions
 * in the place of the modules' own; the module definition that these return has one more step of execution,
 * which gets the module when it is complete.
 */
#include "slp_pickle.h"
#include "slp_softcall.h"

extern PyObject *PyInit__collections(void);
extern PyObject *PyInit__functools(void);
extern PyObject *PyInit__pickle(void);
extern PyObject *PyInit_itertools(void);
PyObject *slp_init__collections(void);
PyObject *slp_init__functools(void);
PyObject *slp_init__pickle(void);
PyObject *slp_init_itertools(void);

#define MAX_SLOTS 8

/* Let the definition that `init` returns end in `hook`; `slots` holds its slots from then on. */
static PyObject *
init_with_hook(PyObject *(*init)(void), int (*hook)(PyObject *module), PyModuleDef_Slot slots[MAX_SLOTS])
{
    PyModuleDef *definition = (PyModuleDef *)init();
    if (definition == NULL || definition->m_slots == slots) {
        return (PyObject *)definition;
    }
    assert(PyObject_TypeCheck((PyObject *)definition, &PyModuleDef_Type));
    int count = 0;
    for (PyModuleDef_Slot *slot = definition->m_slots; slot->slot != 0; slot++) {
        if (count == MAX_SLOTS - 2) {
            PyErr_Format(PyExc_SystemError, "module %s has too many slots", definition->m_name);
            return NULL;
        }
        slots[count++] = *slot;
    }
    slots[count++] = (PyModuleDef_Slot){Py_mod_exec, (void *)hook};
    slots[count] = (PyModuleDef_Slot){0, NULL};
    definition->m_slots = slots;
    return (PyObject *)definition;
}

PyObject *
slp_init__collections(void)
{
    static PyModuleDef_Slot slots[MAX_SLOTS];
    return init_with_hook(PyInit__collections, slp_soft_collections, slots);
}

PyObject *
slp_init__functools(void)
{
    static PyModuleDef_Slot slots[MAX_SLOTS];
    return init_with_hook(PyInit__functools, slp_soft_functools, slots);
}

PyObject *
slp_init_itertools(void)
{
    static PyModuleDef_Slot slots[MAX_SLOTS];
    return init_with_hook(PyInit_itertools, slp_soft_itertools, slots);
}

/* This one answers with the module itself. */
PyObject *
slp_init__pickle(void)
{
    PyObject *module = PyInit__pickle();
    if (module != NULL && slp_pickle_hook(module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}
