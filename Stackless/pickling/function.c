/* Functions and cells.
 *
 * A function that is found under its name in its module pickles by that name, as ever.  Any other (lambdas,
 * nested ones, those that a decorator hides) pickles by value.
 *
 * The C pickler tests for functions before it asks copyreg, and only knows names.  Tools/fork/manifest
 * points that test to a type that nothing has, so that copyreg is asked: its reducer is slp_reduce_function()
 * once stackless is imported.  Where there is none, slp_pickle_is_subtype() sends functions to where the test
 * would have sent them.
 */
#include "slp_pickle.h"

/* In a copy of the base's _pickle.o, what PyFunction_Type is. */
PyTypeObject slp_pickle_function_type = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless.no_function",
};

int slp_pickle_is_subtype(PyTypeObject *type, PyTypeObject *base);

/* Takes the place of PyType_IsSubtype() there: what has no reducer and is a class is saved by name; so is a
 * function. */
int
slp_pickle_is_subtype(PyTypeObject *type, PyTypeObject *base)
{
    return (base == &PyType_Type && type == &PyFunction_Type) || PyType_IsSubtype(type, base);
}

/* --- by name --- */

/* Does the dotted name lead from the module to the function?  Leaves no exception. */
static bool
leads_to(PyObject *module, PyObject *qualname, PyObject *function)
{
    PyObject *found = Py_NewRef(module);
    Py_ssize_t start = 0, length = PyUnicode_GET_LENGTH(qualname);
    while (found != NULL && start <= length) {
        Py_ssize_t dot = PyUnicode_FindChar(qualname, '.', start, length, 1);
        Py_ssize_t end = dot < 0 ? length : dot;
        PyObject *next = NULL, *name = PyUnicode_Substring(qualname, start, end);
        if (name != NULL) {
            (void)_PyObject_LookupAttr(found, name, &next);
            Py_DECREF(name);
        }
        Py_SETREF(found, next);
        start = end + 1;
    }
    PyErr_Clear();
    Py_XDECREF(found);
    return found == function;
}

/* Is it in any module, which the pickler will look through, too? */
static bool
is_in_any_module(PyObject *qualname, PyObject *function)
{
    PyObject *modules = PyDict_Values(PyImport_GetModuleDict());
    bool found = false;
    for (Py_ssize_t i = 0; modules != NULL && i < PyList_GET_SIZE(modules) && !found; i++) {
        found = leads_to(PyList_GET_ITEM(modules, i), qualname, function);
    }
    PyErr_Clear();
    Py_XDECREF(modules);
    return found;
}

/* Will the pickler find it by its name?  The names of its module and its own may change meanwhile. */
static bool
is_importable(PyObject *function, PyObject *name, PyObject *qualname)
{
    if (PyUnicode_FindChar(qualname, '<', 0, PyUnicode_GET_LENGTH(qualname), 1) >= 0) {
        return false;
    }
    if (name == NULL || name == Py_None) {
        return is_in_any_module(qualname, function);
    }
    if (!PyUnicode_Check(name)) {
        return false;
    }
    PyObject *module = PyImport_GetModule(name);
    if (module == NULL) {
        PyErr_Clear();
        module = PyImport_Import(name);
    }
    if (module == NULL) {
        PyErr_Clear();
        return false;
    }
    bool found = leads_to(module, qualname, function);
    Py_DECREF(module);
    return found;
}

/* --- by value --- */

static PyObject *
none_for_null(PyObject *op)
{
    return op != NULL ? op : Py_None;
}

/* In an image: function() with the state (code, globals, name, qualname, defaults, keyword defaults, closure,
 * doc, dict, annotations, module). */
PyObject *
slp_reduce_function(PyObject *module, PyObject *op)
{
    if (!PyFunction_Check(op)) {
        return PyErr_Format(PyExc_TypeError, "reduce_function() argument must be a function, not %.200s",
                            Py_TYPE(op)->tp_name);
    }
    PyFunctionObject *f = (PyFunctionObject *)op;
    PyObject *name = Py_XNewRef(f->func_module);
    PyObject *qualname = Py_NewRef(f->func_qualname);
    bool importable = is_importable(op, name, qualname);
    Py_XDECREF(name);
    if (importable) {
        return qualname;
    }
    Py_DECREF(qualname);
    /* The collector would run any code, which may set the attributes. */
    int collecting = PyGC_Disable();
    PyObject *annotations = PyFunction_GetAnnotations(op); /* as a dict */
    PyObject *result = NULL;
    if (annotations != NULL || !PyErr_Occurred()) {
        result = Py_BuildValue(
            "O()(ONOOOOOOOOO)", &slp_stand_in_function, f->func_code, slp_globals_out(f->func_globals),
            f->func_name, f->func_qualname, none_for_null(f->func_defaults),
            none_for_null(f->func_kwdefaults), none_for_null(f->func_closure), none_for_null(f->func_doc),
            none_for_null(f->func_dict), none_for_null(annotations), none_for_null(f->func_module));
    }
    if (collecting) {
        PyGC_Enable();
    }
    return result;
}

/* The code of a function that is not yet filled: it ends at once. */
static PyCodeObject *empty_code;

static PyObject *
function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "a function of an image is made without arguments");
        return NULL;
    }
    if (empty_code == NULL) {
        empty_code = PyCode_NewEmpty("<stackless>", "<function>", 1);
        if (empty_code == NULL) {
            return NULL;
        }
    }
    PyObject *globals = PyDict_New();
    PyObject *f = globals == NULL ? NULL : PyFunction_New((PyObject *)empty_code, globals);
    Py_XDECREF(globals);
    if (f != NULL) {
        Py_SET_TYPE(f, type);
    }
    return f;
}

static bool
is_closure_of(PyObject *closure, PyCodeObject *code)
{
    if (closure == Py_None) {
        return code->co_nfreevars == 0;
    }
    if (PyTuple_GET_SIZE(closure) != code->co_nfreevars) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(closure); i++) {
        if (!slp_is_cell(PyTuple_GET_ITEM(closure, i))) {
            return false;
        }
    }
    return true;
}

/* An object of that exact type, or None. */
static bool
is_optional(PyObject *op, PyTypeObject *type)
{
    return op == Py_None || Py_IS_TYPE(op, type);
}

/* Store a value of the state: None for NULL. */
static void
set_optional(PyObject **slot, PyObject *value)
{
    PyObject *new_value = value == Py_None ? NULL : Py_NewRef(value);
    Py_XSETREF(*slot, new_value);
}

int
slp_function_set_start(PyFunctionObject *function, PyObject *start)
{
    PyObject *closure, *name, *qualname;
    if (!PyTuple_CheckExact(start)) {
        slp_refuse_image("a function", "its closure and names are %.200s", Py_TYPE(start)->tp_name);
        return -1;
    }
    if (!PyArg_ParseTuple(start, "OUU:function", &closure, &name, &qualname)) {
        return -1;
    }
    if (!is_optional(closure, &PyTuple_Type)
        || !is_closure_of(closure, (PyCodeObject *)function->func_code)) {
        slp_refuse_image("a function", "the closure of %U does not fit its code", qualname);
        return -1;
    }
    set_optional(&function->func_closure, closure);
    Py_SETREF(function->func_name, Py_NewRef(name));
    Py_SETREF(function->func_qualname, Py_NewRef(qualname));
    return 0;
}

static PyObject *
function_setstate(PyObject *self, PyObject *state)
{
    PyCodeObject *code;
    PyObject *ref, *name, *qualname, *defaults, *kwdefaults, *closure, *doc, *dict, *annotations, *module;
    if (!PyTuple_Check(state)) {
        return slp_refuse_image("a function", "its state is no tuple");
    }
    if (!PyArg_ParseTuple(state, "O!OUUOOOOOOO:function", &PyCode_Type, &code, &ref, &name, &qualname,
                          &defaults, &kwdefaults, &closure, &doc, &dict, &annotations, &module)) {
        return NULL;
    }
    if (!is_optional(defaults, &PyTuple_Type) || !is_optional(kwdefaults, &PyDict_Type)
        || !is_optional(closure, &PyTuple_Type) || !is_optional(dict, &PyDict_Type)
        || !is_optional(annotations, &PyDict_Type)) {
        return slp_refuse_image("a function", "a part of %U has the wrong type", qualname);
    }
    if (!is_closure_of(closure, code)) {
        return slp_refuse_image("a function", "the closure of %U does not fit its code", qualname);
    }
    PyObject *globals = slp_globals_in(ref, "a function");
    PyObject *model = globals == NULL ? NULL : PyFunction_New((PyObject *)code, globals);
    Py_XDECREF(globals);
    if (model == NULL) {
        return NULL;
    }
    if (!Py_IS_TYPE(self, &slp_stand_in_function)) {
        Py_DECREF(model);
        return slp_refuse_image("a function", "%U has been filled already", qualname);
    }
    PyFunctionObject *f = (PyFunctionObject *)self;
    PyFunctionObject *m = (PyFunctionObject *)model;
    Py_SET_TYPE(self, &PyFunction_Type);
    f->func_version = 0;
    Py_SETREF(f->func_code, Py_NewRef(code));
    Py_SETREF(f->func_globals, Py_NewRef(m->func_globals));
    Py_SETREF(f->func_builtins, Py_NewRef(m->func_builtins));
    Py_SETREF(f->func_name, Py_NewRef(name));
    Py_SETREF(f->func_qualname, Py_NewRef(qualname));
    set_optional(&f->func_defaults, defaults);
    set_optional(&f->func_kwdefaults, kwdefaults);
    set_optional(&f->func_closure, closure);
    Py_XSETREF(f->func_doc, Py_NewRef(doc));
    set_optional(&f->func_dict, dict);
    set_optional(&f->func_annotations, annotations);
    Py_XSETREF(f->func_module, Py_NewRef(module));
    Py_DECREF(model);
    Py_RETURN_NONE;
}

static PyMethodDef function_methods[] = {
    {"__setstate__", function_setstate, METH_O, "Fill the function."},
    {NULL},
};

PyTypeObject slp_stand_in_function = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.function",
    .tp_doc = "A function of an image.",
    .tp_methods = function_methods,
    .tp_new = function_new,
};

/* --- cells --- */

/* In an image: cell() with the state (contents,), or () where it is empty. */
PyObject *
slp_reduce_cell(PyObject *module, PyObject *cell)
{
    if (!PyCell_Check(cell)) {
        return PyErr_Format(PyExc_TypeError, "reduce_cell() argument must be a cell, not %.200s",
                            Py_TYPE(cell)->tp_name);
    }
    PyObject *contents = Py_XNewRef(PyCell_GET(cell));
    return contents == NULL ? Py_BuildValue("O()()", &slp_stand_in_cell)
                            : Py_BuildValue("O()(N)", &slp_stand_in_cell, contents);
}

static PyObject *
cell_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_SetString(PyExc_TypeError, "a cell of an image is made without arguments");
        return NULL;
    }
    PyObject *cell = PyCell_New(NULL);
    if (cell != NULL) {
        Py_SET_TYPE(cell, type);
    }
    return cell;
}

static PyObject *
cell_setstate(PyObject *self, PyObject *state)
{
    if (!PyTuple_Check(state) || PyTuple_GET_SIZE(state) > 1) {
        return slp_refuse_image("a cell", "its state is no tuple of one value or none");
    }
    if (!Py_IS_TYPE(self, &slp_stand_in_cell)) {
        return slp_refuse_image("a cell", "it has been filled already");
    }
    Py_SET_TYPE(self, &PyCell_Type);
    if (PyTuple_GET_SIZE(state) == 1) {
        PyObject *old = PyCell_GET(self);
        PyCell_SET(self, Py_NewRef(PyTuple_GET_ITEM(state, 0)));
        Py_XDECREF(old);
    }
    Py_RETURN_NONE;
}

static PyMethodDef cell_methods[] = {
    {"__setstate__", cell_setstate, METH_O, "Fill the cell."},
    {NULL},
};

PyTypeObject slp_stand_in_cell = {
    PyVarObject_HEAD_INIT(&PyType_Type, 0)
    .tp_name = "_stackless._wrap.cell",
    .tp_doc = "A cell of an image.",
    .tp_methods = cell_methods,
    .tp_new = cell_new,
};
