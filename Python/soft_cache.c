/* functools.lru_cache: on a miss, the function behind runs as a frame.
 *
 * The cache's own books are kept by the base's C code, which is called twice, with a stand-in in the place of
 * the function:
 *
 *      caller: cached(x)
 *        1. C looks for the key.  A hit is the answer.  A miss is counted, and the stand-in is called: it
 *           raises, so that C gives up and stores nothing.
 *        2. <lru_cache> shim ──> the function: runs as a frame
 *        3. its result lands on the shim.  C looks for the key again, misses, calls the stand-in: it returns
 *           the result, and takes back that a miss was counted; C stores the result.
 *
 * The key is made and compared twice, which must not be seen: where some argument may have a __hash__ in
 * Python, the stand-in calls the function at once, in C.  Where the key was stored in the meantime (the
 * function has called itself with the same arguments), the base does not look again, and step 3 does by hand
 * what it does: nothing, or put the new result in the place of the other where the cache is unbounded.
 *
 * The layout of a cached function is in no header: it is found out with functions made for that, when
 * functools is imported, and all that is used is checked there.
 */
#include "slp_frame.h"
#include "slp_softcall.h"
#include "slp_support.h"

/* --- the layout --- */

static struct {
    Py_ssize_t function;   /* offsets: PyObject *, what is called on a miss */
    Py_ssize_t cache;      /* PyObject *, a dict: keys, results or links */
    Py_ssize_t mark;       /* PyObject *, stands before the keyword arguments in a key */
    Py_ssize_t maxsize;    /* Py_ssize_t, -1: unbounded, 0: nothing is stored */
    Py_ssize_t misses;     /* Py_ssize_t */
    Py_ssize_t typed;      /* int */
} layout;

static ternaryfunc cached_call;

#define FIELD(obj, type, name) (*(type *)((char *)(obj) + layout.name))

bool
slp_is_cached_function(PyObject *op)
{
    return cached_call != NULL && Py_TYPE(op)->tp_call == cached_call;
}

/* --- the stand-in --- */

typedef struct {
    PyObject_HEAD
    PyObject *cached;      /* the cached function, borrowed */
    PyObject *function;    /* what it stands for */
    PyObject *args;        /* the positional arguments of the call that is expected, borrowed */
    PyObject *result;      /* what to answer; NULL: raise */
    bool asked;            /* was it called as expected? */
} stand_in;

/* One that is not in use, since there is hardly ever more than one. */
static stand_in *spare;

/* Is hashing `value`, and comparing it with its like, surely none of Python code's business? */
static bool
is_plain(PyObject *value, int depth)
{
    PyTypeObject *type = Py_TYPE(value);
    if (type == &PyUnicode_Type || type == &PyLong_Type || type == &PyFloat_Type || type == &PyBool_Type
        || type == &PyBytes_Type || type == &PyComplex_Type || value == Py_None) {
        return true;
    }
    if (type == &PyTuple_Type) {
        bool plain = depth < 3;
        for (Py_ssize_t i = 0; plain && i < PyTuple_GET_SIZE(value); i++) {
            plain = is_plain(PyTuple_GET_ITEM(value, i), depth + 1);
        }
        return plain;
    }
    if (type == &PyMethod_Type) {
        value = PyMethod_GET_FUNCTION(value);   /* self counts by its identity alone */
        type = Py_TYPE(value);
    }
    if (type == &PyCFunction_Type) {
        return true;
    }
    return type->tp_hash == PyBaseObject_Type.tp_hash
           && type->tp_richcompare != slp_python_slots.type.tp_richcompare;
}

static bool
are_plain(PyObject *args, PyObject *kwargs)
{
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); i++) {
        if (!is_plain(PyTuple_GET_ITEM(args, i), 0)) {
            return false;
        }
    }
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (kwargs != NULL && PyDict_Next(kwargs, &position, &name, &value)) {
        if (!PyUnicode_CheckExact(name) || !is_plain(value, 0)) {
            return false;
        }
    }
    return true;
}

/* Put the function back in its place. */
static void
leave(stand_in *self)
{
    PyObject **place = &FIELD(self->cached, PyObject *, function);
    if (*place == (PyObject *)self) {
        *place = Py_NewRef(self->function);
        Py_DECREF(self);
    }
}

/* Called by the base on a miss: of the call that is expected, or of another that has got in between, from a
 * __eq__ in Python. */
static PyObject *
stand_in_call(PyObject *op, PyObject *args, PyObject *kwargs)
{
    stand_in *self = (stand_in *)op;
    if (args == self->args && !self->asked) {
        if (self->result != NULL) {
            self->asked = true;
            FIELD(self->cached, Py_ssize_t, misses)--;
            return Py_NewRef(self->result);
        }
        if (are_plain(args, kwargs)) {
            self->asked = true;
            _PyErr_Restore(_PyThreadState_GET(), Py_NewRef(PyExc_StopIteration), NULL, NULL);
            return NULL;
        }
    }
    PyObject *function = Py_NewRef(self->function);
    leave(self);
    PyObject *result = PyObject_Call(function, args, kwargs);
    Py_DECREF(function);
    return result;
}

static void
stand_in_dealloc(PyObject *op)
{
    Py_XDECREF(((stand_in *)op)->function);
    PyObject_Free(op);
}

static PyTypeObject stand_in_type = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "_stackless.stand_in",
    .tp_basicsize = sizeof(stand_in),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = stand_in_dealloc,
    .tp_call = stand_in_call,
};

/* Call cached(*args, **kwargs) with a stand-in, which answers `result` on a miss, or raises if that is NULL.
 * What C says; *missed: the stand-in was asked, and *function (a new reference) is what it stood for. */
static PyObject *
call_with_stand_in(PyThreadState *tstate, PyObject *cached, PyObject *args, PyObject *kwargs,
                   PyObject *result, bool *missed, PyObject **function)
{
    stand_in *self = spare;
    spare = NULL;
    if (self == NULL) {
        self = PyObject_New(stand_in, &stand_in_type);
        if (self == NULL) {
            *missed = false;
            return NULL;
        }
    }
    PyObject **place = &FIELD(cached, PyObject *, function);
    self->cached = cached;
    self->function = *place;
    self->args = args;
    self->result = result;
    self->asked = false;
    *place = Py_NewRef((PyObject *)self);
    tstate->recursion_remaining++;   /* the call of the stand-in counts as one */
    PyObject *answer = cached_call(cached, args, kwargs);
    tstate->recursion_remaining--;
    leave(self);
    *missed = self->asked;
    *function = self->function;
    self->function = NULL;
    if (Py_REFCNT(self) == 1 && spare == NULL) {
        spare = self;
    }
    else {
        Py_DECREF(self);
    }
    return answer;
}

/* --- keys --- */

/* The key of a call, as the base makes it.  A new reference; NULL with an exception. */
static PyObject *
make_key(PyObject *cached, PyObject *args, PyObject *kwargs)
{
    bool typed = FIELD(cached, int, typed) != 0;
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    Py_ssize_t keywords = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
    if (!typed && keywords == 0 && count == 1) {
        PyObject *only = PyTuple_GET_ITEM(args, 0);
        if (PyUnicode_CheckExact(only) || PyLong_CheckExact(only)) {
            return Py_NewRef(only);
        }
    }
    PyObject *list = PySequence_List(args);
    PyObject *name, *value;
    Py_ssize_t position = 0;
    bool ok = list != NULL
              && (keywords == 0 || PyList_Append(list, FIELD(cached, PyObject *, mark)) == 0);
    while (ok && keywords > 0 && PyDict_Next(kwargs, &position, &name, &value)) {
        ok = PyList_Append(list, name) == 0 && PyList_Append(list, value) == 0;
    }
    for (Py_ssize_t i = 0; ok && typed && i < count; i++) {
        ok = PyList_Append(list, (PyObject *)Py_TYPE(PyTuple_GET_ITEM(args, i))) == 0;
    }
    position = 0;
    while (ok && typed && keywords > 0 && PyDict_Next(kwargs, &position, &name, &value)) {
        ok = PyList_Append(list, (PyObject *)Py_TYPE(value)) == 0;
    }
    PyObject *key = ok ? PyList_AsTuple(list) : NULL;
    Py_XDECREF(list);
    return key;
}

/* --- calls --- */

/* Stack: cached function, args, kwargs or NULL. */
static PyCodeObject *shim_cache;

PyObject *
slp_cache_result(PyThreadState *tstate, PyObject *cached, PyObject *args, PyObject *kwargs, PyObject *result)
{
    PyObject *cache = FIELD(cached, PyObject *, cache);
    PyObject *key = make_key(cached, args, kwargs);
    if (key == NULL) {
        return NULL;
    }
    Py_INCREF(cache);
    int found = PyDict_Contains(cache, key);
    if (found > 0 && FIELD(cached, Py_ssize_t, maxsize) < 0) {
        found = PyDict_SetItem(cache, key, result) < 0 ? -1 : 1;
    }
    Py_DECREF(cache);
    Py_DECREF(key);
    if (found != 0) {
        return found < 0 ? NULL : Py_NewRef(result);
    }
    bool missed;
    PyObject *function = NULL;
    PyObject *answer = call_with_stand_in(tstate, cached, args, kwargs, result, &missed, &function);
    Py_XDECREF(function);
    return answer;
}

/* The miss of a call: run the function. */
static PyObject *
run_missed(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *cached, PyObject *function,
           PyObject *args, PyObject *kwargs, _PyInterpreterFrame **top)
{
    bool stores = FIELD(cached, Py_ssize_t, maxsize) != 0;
    if (stores) {
        PyObject *values[] = {Py_NewRef(cached), Py_NewRef(args), Py_XNewRef(kwargs)};
        below = slp_shim_push(tstate, below, shim_cache, 0, values, 3);
        if (below == NULL) {
            return NULL;
        }
    }
    PyObject *answer = slp_soft_call_ex(tstate, below, function, args, kwargs, top);
    if (answer == SLP_ENTER) {
        return answer;
    }
    if (answer == SLP_NOT_SOFT) {
        answer = PyObject_Call(function, args, kwargs);
    }
    if (stores) {
        slp_frame_clear_and_pop(tstate, below);
        if (answer != NULL) {
            Py_SETREF(answer, slp_cache_result(tstate, cached, args, kwargs, answer));
        }
    }
    return answer;
}

static PyObject *
soft_call_cached(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self, PyObject *const *args,
                 Py_ssize_t nargs, PyObject *kwnames, _PyInterpreterFrame **top)
{
    PyObject *function = FIELD(self, PyObject *, function);
    if (function == NULL || !slp_may_be_soft(function) || tstate->recursion_remaining <= 1) {
        return SLP_NOT_SOFT;
    }
    PyObject *tuple = _PyTuple_FromArray(args, nargs);
    PyObject *kwargs = NULL;
    PyObject *answer = NULL;
    if (tuple == NULL) {
        return NULL;
    }
    if (kwnames != NULL && PyTuple_GET_SIZE(kwnames) > 0) {
        kwargs = _PyDict_FromItems(&PyTuple_GET_ITEM(kwnames, 0), 1, args + nargs, 1,
                                   PyTuple_GET_SIZE(kwnames));
        if (kwargs == NULL) {
            goto done;
        }
    }
    bool missed;
    function = NULL;
    answer = call_with_stand_in(tstate, self, tuple, kwargs, NULL, &missed, &function);
    if (missed) {
        assert(answer == NULL);
        _PyErr_Clear(tstate);
        answer = run_missed(tstate, below, self, function, tuple, kwargs, top);
    }
    Py_XDECREF(function);

done:
    Py_DECREF(tuple);
    Py_XDECREF(kwargs);
    return answer;
}

/* --- finding out the layout --- */

/* Objects that a cached function made for this refers to. */
typedef struct {
    PyObject *dict;
    int dicts;
} referents;

static int
visit_dict(PyObject *obj, void *argument)
{
    referents *found = argument;
    if (PyDict_CheckExact(obj)) {
        found->dict = obj;
        found->dicts++;
    }
    return 0;
}

/* The offset of the only word of `obj` that equals `word`, or 0. */
static Py_ssize_t
find_word(PyObject *obj, Py_ssize_t word)
{
    Py_ssize_t offset = 0;
    for (Py_ssize_t i = sizeof(PyObject); i < Py_TYPE(obj)->tp_basicsize; i += sizeof(Py_ssize_t)) {
        if (*(Py_ssize_t *)((char *)obj + i) == word) {
            if (offset != 0) {
                return 0;
            }
            offset = i;
        }
    }
    return offset;
}

/* The offset of the only word that a call changes, from 0 to 1, or 0. */
static Py_ssize_t
find_counter(PyObject *obj, PyObject *args)
{
    Py_ssize_t before[64], offset = 0;
    const Py_ssize_t size = Py_TYPE(obj)->tp_basicsize;
    if ((size_t)size > sizeof(before)) {
        return 0;
    }
    memcpy(before, obj, (size_t)size);
    PyObject *result = PyObject_Call(obj, args, NULL);
    if (result == NULL) {
        return 0;
    }
    Py_DECREF(result);
    for (Py_ssize_t i = 0; i < size; i += sizeof(Py_ssize_t)) {
        Py_ssize_t now = *(Py_ssize_t *)((char *)obj + i);
        if (now != before[i / (Py_ssize_t)sizeof(Py_ssize_t)]) {
            if (offset != 0 || now != 1) {
                return 0;
            }
            offset = i;
        }
    }
    return offset;
}

/* The offset of the only int that is 0 in one and 1 in the other, or 0. */
static Py_ssize_t
find_flag(PyObject *off, PyObject *on)
{
    Py_ssize_t offset = 0;
    for (Py_ssize_t i = sizeof(PyObject); i < Py_TYPE(off)->tp_basicsize; i += sizeof(int)) {
        if (*(int *)((char *)off + i) == 0 && *(int *)((char *)on + i) == 1) {
            if (offset != 0) {
                return 0;
            }
            offset = i;
        }
    }
    return offset;
}

/* Is the key of cached(*args, **kwargs), which has just been called, what make_key() makes? */
static bool
key_is_known(PyObject *cached, PyObject *args, PyObject *kwargs)
{
    PyObject *result = PyObject_Call(cached, args, kwargs);
    PyObject *key = result == NULL ? NULL : make_key(cached, args, kwargs);
    bool known = key != NULL && PyDict_Contains(FIELD(cached, PyObject *, cache), key) == 1;
    Py_XDECREF(key);
    Py_XDECREF(result);
    return known;
}

/* Cached functions that find_layout() needs: unbounded, of a size that stands nowhere else, of no size, and
 * unbounded and typed. */
enum { UNBOUNDED, BOUNDED, EMPTY, TYPED, PROBES };
#define RARE_SIZE 0x5a17c0

/* Fill `layout` from `probes`, which cache `function`.  Whether all is as it should be. */
static bool
find_layout(PyObject *probes[PROBES], PyObject *function, PyObject *one, PyObject *other, PyObject *kwargs)
{
    PyObject *unbounded = probes[UNBOUNDED];
    referents found = {NULL, 0};
    layout.function = find_word(unbounded, (Py_ssize_t)function);
    layout.misses = find_counter(unbounded, one);
    layout.maxsize = find_word(probes[BOUNDED], RARE_SIZE);
    layout.typed = find_flag(unbounded, probes[TYPED]);
    if (!layout.function || !layout.misses || !layout.maxsize || !layout.typed
        || Py_TYPE(unbounded)->tp_traverse(unbounded, visit_dict, &found) != 0 || found.dicts != 1) {
        return false;
    }
    layout.cache = find_word(unbounded, (Py_ssize_t)found.dict);
    if (!layout.cache || PyDict_GET_SIZE(found.dict) != 1
        || FIELD(unbounded, Py_ssize_t, maxsize) != -1 || FIELD(probes[EMPTY], Py_ssize_t, maxsize) != 0
        || FIELD(probes[TYPED], PyObject *, function) != function) {
        return false;
    }
    /* The key of a call with nothing but keywords begins with the mark. */
    PyObject *cache = FIELD(probes[BOUNDED], PyObject *, cache);
    PyObject *none = PyTuple_New(0);
    PyObject *result = none == NULL ? NULL : PyObject_Call(probes[BOUNDED], none, kwargs);
    PyObject *key = NULL, *link;
    Py_ssize_t position = 0;
    if (result != NULL && PyDict_CheckExact(cache) && PyDict_Next(cache, &position, &key, &link)
        && PyTuple_CheckExact(key) && PyTuple_GET_SIZE(key) == 3) {
        layout.mark = find_word(probes[BOUNDED], (Py_ssize_t)PyTuple_GET_ITEM(key, 0));
    }
    Py_XDECREF(result);
    Py_XDECREF(none);
    return layout.mark != 0 && key_is_known(unbounded, one, NULL) && key_is_known(unbounded, other, NULL)
           && key_is_known(unbounded, other, kwargs) && key_is_known(probes[TYPED], one, NULL)
           && key_is_known(probes[TYPED], other, kwargs);
}

/* Find out the layout of a cached function; false (and no exception) where it is not understood. */
static bool
learn_layout(PyObject *type, PyObject *function)
{
    PyObject *probes[PROBES] = {
        PyObject_CallFunction(type, "OOOO", function, Py_None, Py_False, &PyTuple_Type),
        PyObject_CallFunction(type, "OiOO", function, RARE_SIZE, Py_False, &PyTuple_Type),
        PyObject_CallFunction(type, "OiOO", function, 0, Py_False, &PyTuple_Type),
        PyObject_CallFunction(type, "OOOO", function, Py_None, Py_True, &PyTuple_Type),
    };
    PyObject *one = Py_BuildValue("(i)", 1);
    PyObject *other = Py_BuildValue("(si)", "", 7);
    PyObject *kwargs = Py_BuildValue("{si}", "key", 7);
    bool fits = one != NULL && other != NULL && kwargs != NULL && probes[0] != NULL && probes[1] != NULL
                && probes[2] != NULL && probes[3] != NULL
                && find_layout(probes, function, one, other, kwargs);
    PyErr_Clear();
    Py_XDECREF(one);
    Py_XDECREF(other);
    Py_XDECREF(kwargs);
    for (int i = 0; i < PROBES; i++) {
        Py_XDECREF(probes[i]);
    }
    return fits;
}

static PyObject *
answer_none(PyObject *self, PyObject *args, PyObject *kwargs)
{
    Py_RETURN_NONE;
}

int
slp_soft_cache_init(PyObject *type)
{
    static PyMethodDef probed = {
        "probe", _PyCFunction_CAST(answer_none), METH_VARARGS | METH_KEYWORDS, NULL,
    };
    static const uint8_t code[] = {SLP_CACHE_RESULT, 0};
    if (cached_call != NULL || !PyType_Check(type)) {
        return 0;
    }
    PyObject *function = PyCFunction_New(&probed, NULL);
    if (function == NULL || PyType_Ready(&stand_in_type) < 0) {
        Py_XDECREF(function);
        return -1;
    }
    bool fits = learn_layout(type, function);
    Py_DECREF(function);
    if (!fits) {
        return 0;
    }
    shim_cache = slp_shim_make("<lru_cache>", 4, code, sizeof(code), NULL, 0);
    if (shim_cache == NULL) {
        return -1;
    }
    cached_call = ((PyTypeObject *)type)->tp_call;
    slp_soft_register_instances((PyTypeObject *)type, soft_call_cached);
    return 0;
}
