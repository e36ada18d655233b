/* Soft functions of extensions: their declarations, their suspended calls, and how these pickle. */
#include "slp_pickle.h"
#include "slp_protocol.h"

#include <structmember.h>

#define WHAT "a call of a soft function"

/* --- declarations --- */

static PyObject *
declaration_repr(PyObject *self)
{
    PyStacklessFunctionDeclarationObject *d = (PyStacklessFunctionDeclarationObject *)self;
    return PyUnicode_FromFormat("<soft function %s.%s>", d->module_name, d->name);
}

/* By name: pickle looks for the object in its module. */
static PyObject *
declaration_reduce(PyObject *self, PyObject *noargs)
{
    return PyUnicode_FromString(((PyStacklessFunctionDeclarationObject *)self)->name);
}

static PyMemberDef declaration_members[] = {
    {"__name__", T_STRING, offsetof(PyStacklessFunctionDeclarationObject, name), READONLY},
    {"__module__", T_STRING, offsetof(PyStacklessFunctionDeclarationObject, module_name), READONLY},
    {NULL},
};

static PyMethodDef declaration_methods[] = {
    {"__reduce__", declaration_reduce, METH_NOARGS, "Pickles by name."},
    {NULL},
};

/* Declarations are static variables of extensions, which stay loaded. */
static void
declaration_dealloc(PyObject *self)
{
    Py_SET_REFCNT(self, 1);
}

PyTypeObject PyStacklessFunctionDeclaration_Type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0).tp_name = "_stackless.soft_function",
    .tp_doc = "A function in C that can wait without a C stack; only C code can call it.",
    .tp_basicsize = sizeof(PyStacklessFunctionDeclarationObject),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = declaration_dealloc,
    .tp_repr = declaration_repr,
    .tp_members = declaration_members,
    .tp_methods = declaration_methods,
};

int
PyStackless_InitFunctionDeclaration(PyStacklessFunctionDeclarationObject *declaration, PyObject *module,
                                    PyModuleDef *module_def)
{
    if (declaration == NULL || declaration->sfunc == NULL || declaration->name == NULL || module == NULL
        || !PyModule_Check(module)) {
        PyErr_SetString(PyExc_SystemError, "PyStackless_InitFunctionDeclaration(): the function, its name or "
                                           "its module is missing");
        return -1;
    }
    if (declaration->module_name == NULL) {
        declaration->module_name = module_def != NULL ? module_def->m_name : PyModule_GetName(module);
        if (declaration->module_name == NULL) {
            return -1;
        }
    }
    Py_SET_TYPE(declaration, &PyStacklessFunctionDeclaration_Type);
    return PyModule_AddObjectRef(module, declaration->name, (PyObject *)declaration);
}

/* --- calls --- */

slp_soft_state *
slp_soft_state_new(PyThreadState *tstate, PyStacklessFunctionDeclarationObject *declaration,
                   PyObject *const objects[3], long n, void *any)
{
    int depth = slp_soft_depth(tstate);
    if (depth >= Py_GetRecursionLimit()) {
        PyErr_SetString(PyExc_RecursionError,
                        "maximum recursion depth exceeded while calling a soft function");
        return NULL;
    }
    slp_soft_state *state = PyObject_GC_New(slp_soft_state, &slp_soft_state_type);
    if (state == NULL) {
        return NULL;
    }
    state->declaration = (PyStacklessFunctionDeclarationObject *)Py_XNewRef(declaration);
    for (int i = 0; i < 3; i++) {
        state->objects[i] = Py_XNewRef(objects[i]);
    }
    state->step = 0;
    state->n = n;
    state->any = any;
    state->depth = depth;
    PyObject_GC_Track(state);
    return state;
}

static int
state_traverse(PyObject *self, visitproc visit, void *arg)
{
    slp_soft_state *state = (slp_soft_state *)self;
    for (int i = 0; i < 3; i++) {
        Py_VISIT(state->objects[i]);
    }
    return 0;
}

static int
state_clear(PyObject *self)
{
    slp_soft_state *state = (slp_soft_state *)self;
    for (int i = 0; i < 3; i++) {
        Py_CLEAR(state->objects[i]);
    }
    return 0;
}

static void
state_dealloc(PyObject *self)
{
    PyObject_GC_UnTrack(self);
    Py_TRASHCAN_BEGIN(self, state_dealloc)
    (void)state_clear(self);
    Py_XDECREF(((slp_soft_state *)self)->declaration);
    PyObject_GC_Del(self);
    Py_TRASHCAN_END
}

/* soft_function_state(declaration or None, step, n, depth, those of the three objects that are there, which
 * these are as a sum of 1, 2 and 4). */
static PyObject *
state_reduce(PyObject *self, PyObject *noargs)
{
    slp_soft_state *state = (slp_soft_state *)self;
    if (state->any != NULL) {
        return PyErr_Format(PyExc_TypeError, "cannot pickle a call of %s.%s(): it holds a pointer",
                            state->declaration->module_name, state->declaration->name);
    }
    PyObject *objects[3];
    int count = 0, present = 0;
    for (int i = 0; i < 3; i++) {
        if (state->objects[i] != NULL) {
            present |= 1 << i;
            objects[count++] = state->objects[i];
        }
    }
    PyObject *result = NULL;
    PyObject *wrap = PyImport_ImportModule("_stackless._wrap");
    PyObject *make = wrap == NULL ? NULL : PyObject_GetAttrString(wrap, "soft_function_state");
    PyObject *tuple = _PyTuple_FromArray(objects, count);
    PyObject *declaration = state->declaration == NULL ? Py_None : (PyObject *)state->declaration;
    if (make != NULL && tuple != NULL) {
        result = Py_BuildValue("O(OlliOi)", make, declaration, state->step, state->n, state->depth, tuple,
                               present);
    }
    Py_XDECREF(wrap);
    Py_XDECREF(make);
    Py_XDECREF(tuple);
    return result;
}

static PyMethodDef state_methods[] = {
    {"__reduce__", state_reduce, METH_NOARGS, "How it pickles."},
    {NULL},
};

PyTypeObject slp_soft_state_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0).tp_name = "_stackless.soft_function_state",
    .tp_doc = "A call of a soft function that waits.  Python code never sees it.",
    .tp_basicsize = sizeof(slp_soft_state),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = state_dealloc,
    .tp_traverse = state_traverse,
    .tp_clear = state_clear,
    .tp_methods = state_methods,
};

PyObject *
slp_make_soft_state(PyObject *module, PyObject *args)
{
    PyObject *function, *tuple;
    long step, n;
    int depth, present;
    if (!PyArg_ParseTuple(args, "OlliO!i:soft_function_state", &function, &step, &n, &depth, &PyTuple_Type,
                          &tuple, &present)) {
        return NULL;
    }
    PyStacklessFunctionDeclarationObject *declaration = NULL;
    if (function != Py_None) {
        declaration = (PyStacklessFunctionDeclarationObject *)function;
        if (!slp_is_declaration(declaration)) {
            return slp_refuse_image(WHAT, "%.200s is no soft function", Py_TYPE(function)->tp_name);
        }
    }
    if (present < 0 || present > 7 || __builtin_popcount((unsigned int)present) != PyTuple_GET_SIZE(tuple)
        || depth < 0 || depth > Py_GetRecursionLimit()) {
        return slp_refuse_image(WHAT, "it is not described as one");
    }
    PyObject *objects[3];
    Py_ssize_t next = 0;
    for (int i = 0; i < 3; i++) {
        objects[i] = present & 1 << i ? PyTuple_GET_ITEM(tuple, next++) : NULL;
    }
    if (declaration != NULL && declaration->check != NULL) {
        int status = declaration->check(step, objects[0], objects[1], objects[2], n);
        if (status < 0 || PyErr_Occurred()) {
            if (!PyErr_Occurred()) {
                slp_refuse_image(WHAT, "%s.%s() cannot go on with it", declaration->module_name,
                                 declaration->name);
            }
            return NULL;
        }
    }
    slp_soft_state *state = slp_soft_state_new(_PyThreadState_GET(), declaration, objects, n, NULL);
    if (state != NULL) {
        state->step = step;
        state->depth = depth;
    }
    return (PyObject *)state;
}

PyObject *
PyStackless_CallFunction(PyStacklessFunctionDeclarationObject *declaration, PyObject *arg, PyObject *ob1,
                         PyObject *ob2, PyObject *ob3, long n, void *any)
{
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_get(tstate);
    if (th == NULL) {
        return NULL;
    }
    bool offered = slp_protocol_take_offer(th);
    if (!slp_is_declaration(declaration)) {
        PyErr_SetString(PyExc_SystemError, "PyStackless_CallFunction(): the declaration is not ready "
                                           "(PyStackless_InitFunctionDeclaration())");
        return NULL;
    }
    PyObject *const objects[3] = {ob1, ob2, ob3};
    slp_soft_state *state = slp_soft_state_new(tstate, declaration, objects, n, any);
    if (state == NULL) {
        return NULL;
    }
    if (arg == NULL) {
        arg = Py_None;
    }
    if (offered) {
        th->request.state = state;
        th->request.args = Py_NewRef(arg);
        return SLP_UNWIND;
    }
    PyObject *result = slp_soft_run(th, state, arg);
    Py_DECREF(state);
    return result;
}
