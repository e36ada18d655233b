/* --with-torture=pickle: a tasklet that a switch leaves without C frames is pickled, and goes on as what is
 * loaded.
 *
 * The state goes through the C pickler and unpickler.  The tasklet's frames are taken away, the loader builds
 * new ones of the state that came back, for the same tasklet, and those are compared with the old ones: each
 * must stand at the same instruction of the same code, with the same values.  Then it is they that run.
 *
 * So that nobody in the program notices, what the frames refer to keeps its identity.  The pickler has a
 * persistent_id() that sends by reference whatever somebody else may know.  By value go
 *
 *   - what the image alone refers to (the count is 1): the tuples and lists that it consists of, and numbers;
 *   - iterators and generators of builtin types that a frame alone refers to (the count is 2: the frame and
 *     the image), which is so for those of most for statements.  The copies are put in their place.
 *
 * A generator that runs in the tasklet goes by reference: its frame is taken out of it, and built again in
 * it.  The functions of the frames are made anew by the loader, and compared, but the old ones are put back,
 * since their defaults, attributes and weak references hang on them; so are frame objects.
 *
 * What the program could see of the round trip is kept from it: no tracing, no watchdog, no other thread, no
 * collection, and no frame below, whose builtins would be those of the loader.  Whatever goes wrong ends the
 * process with a message, but for a lack of memory while the state is under way: then the old frames go on.
 */
#include "slp_pickle_frame.h"

#include "slp_exchange.h"
#include "slp_pickle_tasklet.h"
#include "slp_scheduler.h"
#include "slp_shims.h"

#include "internal/pycore_context.h"

#if SLP_TORTURE_PICKLE

#  define PRESERVE_TRACING_STATE 1
#  define PICKLE_CONTEXT         8

/* --- there and back --- */

/* What was sent by reference, and the generators that were sent by value: lists. */
typedef struct {
    PyObject *kept;
    PyObject *generators;
    bool iterators;                    /* are iterators sent by value? */
} trip;

/* The trip that is under way; there is one at a time. */
static trip now;

/* Does the type belong to builtins or itertools, are its objects iterators, and do they pickle as what they
 * are?  Those of sets become lists. */
static bool
is_iterator_type(PyTypeObject *type)
{
    return type->tp_iternext != NULL && !PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)
           && type != &PySetIter_Type && type != &PyCoro_Type
           && (strchr(type->tp_name, '.') == NULL || strncmp(type->tp_name, "itertools.", 10) == 0);
}

static bool
has_weakrefs(PyObject *op)
{
    return PyType_SUPPORTS_WEAKREFS(Py_TYPE(op)) && *PyObject_GET_WEAKREFS_LISTPTR(op) != NULL;
}

static bool
goes_by_value(PyObject *op)
{
    if (op == Py_None || PyBool_Check(op)) {
        return true;
    }
    if (Py_REFCNT(op) == 1) {
        return PyTuple_CheckExact(op) || PyList_CheckExact(op) || PyLong_CheckExact(op)
               || PyBytes_CheckExact(op);
    }
    if (Py_REFCNT(op) != 2 || !now.iterators || has_weakrefs(op)) {
        return false;
    }
    if (PyGen_CheckExact(op)) {
        PyGenObject *gen = (PyGenObject *)op;
        return (gen->gi_frame_state == FRAME_CREATED || gen->gi_frame_state == FRAME_SUSPENDED)
               && ((_PyInterpreterFrame *)gen->gi_iframe)->frame_obj == NULL;
    }
    return is_iterator_type(Py_TYPE(op));
}

static PyObject *
persistent_id(PyObject *module, PyObject *op)
{
    if (goes_by_value(op)) {
        if (PyGen_CheckExact(op) && PyList_Append(now.generators, op) < 0) {
            return NULL;
        }
        Py_RETURN_NONE;
    }
    return PyList_Append(now.kept, op) < 0 ? NULL : PyLong_FromSsize_t(PyList_GET_SIZE(now.kept) - 1);
}

static PyObject *
persistent_load(PyObject *module, PyObject *id)
{
    return Py_XNewRef(PyList_GetItem(now.kept, PyLong_AsSsize_t(id)));
}

static PyMethodDef methods[] = {
    {"persistent_id", persistent_id, METH_O, NULL},
    {"persistent_load", persistent_load, METH_O, NULL},
};

/* An attribute of a module, which is imported only if nobody has done so yet. */
static PyObject *
attribute_of(const char *module_name, const char *name)
{
    PyObject *key = PyUnicode_FromString(module_name);
    PyObject *module = key == NULL ? NULL : PyImport_GetModule(key);
    if (module == NULL && key != NULL && !PyErr_Occurred()) {
        module = PyImport_ImportModuleLevelObject(key, NULL, NULL, NULL, 0);
    }
    PyObject *found = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    Py_XDECREF(module);
    Py_XDECREF(key);
    return found;
}

/* A pickler or an unpickler over the stream: _pickle.`type` with one of our two functions. */
static PyObject *
new_pickler(const char *type, PyObject *stream, PyMethodDef *hook)
{
    PyObject *cls = attribute_of("_pickle", type);
    PyObject *pickler = cls == NULL ? NULL : PyObject_CallOneArg(cls, stream);
    PyObject *function = pickler == NULL ? NULL : PyCFunction_New(hook, NULL);
    if (function == NULL || PyObject_SetAttrString(pickler, hook->ml_name, function) < 0) {
        Py_CLEAR(pickler);
    }
    Py_XDECREF(function);
    Py_XDECREF(cls);
    return pickler;
}

/* Pickle `state` and load it again; new reference, or NULL with an exception. */
static PyObject *
there_and_back(PyObject *state)
{
    PyObject *type = attribute_of("_io", "BytesIO");
    PyObject *stream = type == NULL ? NULL : PyObject_CallNoArgs(type);
    PyObject *pickler = stream == NULL ? NULL : new_pickler("Pickler", stream, &methods[0]);
    PyObject *done = pickler == NULL ? NULL : PyObject_CallMethod(pickler, "dump", "(O)", state);
    PyObject *start = done == NULL ? NULL : PyObject_CallMethod(stream, "seek", "i", 0);
    PyObject *unpickler = start == NULL ? NULL : new_pickler("Unpickler", stream, &methods[1]);
    PyObject *loaded = unpickler == NULL ? NULL : PyObject_CallMethod(unpickler, "load", NULL);
    Py_XDECREF(unpickler);
    Py_XDECREF(start);
    Py_XDECREF(done);
    Py_XDECREF(pickler);
    Py_XDECREF(stream);
    Py_XDECREF(type);
    return loaded;
}

/* Has stackless told copyreg how generators and iterators pickle? */
static int
iterators_are_known(void)
{
    PyObject *table = attribute_of("copyreg", "dispatch_table");
    int known = table == NULL ? -1 : PySequence_Contains(table, (PyObject *)&PyGen_Type);
    Py_XDECREF(table);
    return known;
}

/* The state of the tasklet, as it comes back; the attributes of a subclass stay what they are. */
static PyObject *
state_of(slp_thread *th, PyTaskletObject *t)
{
    int flags = th->pickle_flags;
    th->pickle_flags = PICKLE_CONTEXT;
    PyObject *state = slp_tasklet_state(t, th, Py_NewRef(Py_None));
    th->pickle_flags = flags;
    int known = state == NULL ? -1 : iterators_are_known();
    PyObject *loaded = NULL;
    if (known >= 0) {
        now.iterators = known;
        loaded = there_and_back(state);
    }
    Py_XDECREF(state);
    return loaded;
}

/* --- the old frames --- */

/* One of them.  That of a generator is in the generator no more, but in `copy`. */
typedef struct {
    _PyInterpreterFrame *frame;
    _PyInterpreterFrame *copy;         /* else NULL */
    _PyErr_StackItem handled;          /* what the generator had */
} old_frame;

/* All that was taken from a tasklet, the innermost frame first. */
typedef struct {
    old_frame *frames;
    Py_ssize_t count;
    _PyInterpreterFrame *top;
    _PyStackChunk *chunk;
    PyObject **stack_top;
    _PyErr_StackItem *exc_info;
    PyObject *exc_value;
    PyObject *context;                 /* borrowed: the innermost one */
    int depth;
    bool interrupted;
} old_frames;

static bool
is_shim_named(const _PyInterpreterFrame *frame, const char *name)
{
    return slp_is_shim(frame) && _PyUnicode_EqualToASCIIString(frame->f_code->co_name, name);
}

/* Let the tasklet leave the contexts that its frames have entered. */
static void
leave_contexts(PyTaskletObject *t, const old_frames *old)
{
    for (Py_ssize_t i = 0; i < old->count; i++) {
        _PyInterpreterFrame *frame = old->frames[i].frame;
        if (is_shim_named(frame, "<context_run>")) {
            PyObject *before = frame->localsplus[0];
            Py_XSETREF(t->context, before == Py_None ? NULL : Py_NewRef(before));
        }
        else if (is_shim_named(frame, "<Context.run>") && t->context == frame->localsplus[0]) {
            PyContext *left = (PyContext *)t->context;
            t->context = (PyObject *)left->ctx_prev;
            left->ctx_prev = NULL;
            left->ctx_entered = 0;
            Py_DECREF(left);
        }
    }
}

/* Take the frames of a suspended tasklet away; it becomes a placeholder.  -1 with MemoryError: then nothing
 * is as it was. */
static int
take(PyTaskletObject *t, old_frames *old)
{
    *old = (old_frames){
        .top = t->frame,
        .chunk = t->chunk,
        .stack_top = t->stack_top,
        .exc_info = t->exc_info,
        .exc_value = t->exc_state.exc_value,
        .context = t->context,
        .depth = t->recursion_depth,
        .interrupted = t->flags.interrupted,
    };
    Py_ssize_t count = 0;
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL; frame = frame->previous) {
        count++;
    }
    old->frames = PyMem_New(old_frame, count);
    if (old->frames == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (_PyInterpreterFrame *frame = t->frame, *previous; frame != NULL; frame = previous) {
        previous = frame->previous;
        old_frame *row = &old->frames[old->count];
        *row = (old_frame){.frame = frame};
        if (frame->owner == FRAME_OWNED_BY_GENERATOR) {
            PyGenObject *gen = _PyFrame_GetGenerator(frame);
            row->handled = gen->gi_exc_state;
            row->copy = slp_generator_take_frame(gen);
            if (row->copy == NULL) {
                return -1;
            }
        }
        old->count++;
    }
    leave_contexts(t, old);
    t->frame = NULL;
    t->chunk = NULL;
    t->stack_top = NULL;
    t->exc_state.exc_value = NULL;
    return slp_make_placeholder(t);
}

static void SLP_COLD _Py_NO_RETURN
die(PyTaskletObject *t, const char *what)
{
    fprintf(stderr, "--with-torture=pickle: %s\n", what);
    if (PyErr_Occurred()) {
        PyErr_Print();
    }
    PyObject *state = slp_tasklet_state(t, slp_thread_now(), Py_NewRef(Py_None));
    if (state != NULL) {
        PyObject_Print(PyTuple_GET_ITEM(state, 3), stderr, 0);
    }
    Py_FatalError("a tasklet does not come back from pickling as it was");
}

/* --- comparing --- */

/* The copy of an iterator has taken its place? */
static bool
is_copied(PyObject *was, PyObject *is)
{
    return was != NULL && is != NULL && Py_IS_TYPE(was, Py_TYPE(is))
           && (PyGen_CheckExact(was) || is_iterator_type(Py_TYPE(was)));
}

/* Is it the same exception?  None is none. */
static bool
is_same_exception(PyObject *was, PyObject *is)
{
    return (was == Py_None ? NULL : was) == (is == Py_None ? NULL : is);
}

/* What is different in the new frame, or NULL. */
static const char *
difference(const _PyInterpreterFrame *was, const _PyInterpreterFrame *is)
{
    if (was->f_code != is->f_code || was->prev_instr != is->prev_instr || was->stacktop != is->stacktop) {
        return "a frame stands elsewhere";
    }
    if (was->owner != is->owner) {
        return "a frame has another owner";
    }
    for (int i = 0; i < was->stacktop; i++) {
        if (was->localsplus[i] != is->localsplus[i] && !is_copied(was->localsplus[i], is->localsplus[i])) {
            return "a frame has another value";
        }
    }
    if (slp_is_shim(was)) {
        return NULL;
    }
    if (was->f_globals != is->f_globals || was->f_builtins != is->f_builtins) {
        return "a frame has another namespace";
    }
    if (!(was->f_code->co_flags & CO_OPTIMIZED) && was->f_locals != is->f_locals) {
        return "a frame has another local namespace";
    }
    return was->prev_instr < _PyCode_CODE(was->f_code)
                   && was->f_func->func_closure != is->f_func->func_closure
               ? "a frame has another closure"
               : NULL;
}

/* The same for all frames, and for the tasklet. */
static const char *
difference_of_tasklet(PyTaskletObject *t, const old_frames *old)
{
    _PyInterpreterFrame *frame = t->frame;
    for (Py_ssize_t i = 0; i < old->count; i++) {
        const old_frame *row = &old->frames[i];
        if (frame == NULL || (row->copy != NULL && row->frame != frame)) {
            return "a frame is missing";
        }
        const char *what = difference(row->copy != NULL ? row->copy : row->frame, frame);
        if (what != NULL) {
            return what;
        }
        if (row->copy != NULL) {
            const _PyErr_StackItem *handled = &_PyFrame_GetGenerator(frame)->gi_exc_state;
            if (!is_same_exception(row->handled.exc_value, handled->exc_value)
                || handled->previous_item != row->handled.previous_item) {
                return "a generator handles another exception";
            }
        }
        frame = frame->previous;
    }
    if (frame != NULL) {
        return "there is a frame too many";
    }
    if (t->exc_info != old->exc_info || !is_same_exception(old->exc_value, t->exc_state.exc_value)) {
        return "the tasklet handles another exception";
    }
    return t->context != old->context         ? "the tasklet is in another context"
           : t->recursion_depth != old->depth ? "the depth is another one"
                                              : NULL;
}

/* --- going on --- */

/* Give the new frame what an old one has that is no part of the state, and drop the old one. */
static void
inherit(old_frame *row, _PyInterpreterFrame *frame)
{
    _PyInterpreterFrame *was = row->copy != NULL ? row->copy : row->frame;
    PyFunctionObject *func = frame->f_func;
    frame->f_func = was->f_func;
    was->f_func = func;
    frame->f_globals = was->f_globals;
    frame->f_builtins = was->f_builtins;
    if (was->f_code->co_flags & CO_OPTIMIZED) {
        frame->f_locals = was->f_locals;
        was->f_locals = NULL;
    }
    frame->frame_obj = was->frame_obj;
    was->frame_obj = NULL;
    if (frame->frame_obj != NULL) {
        frame->frame_obj->f_frame = frame;
    }
    slp_frame_clear(was);
    if (row->copy != NULL) {
        Py_XDECREF(row->handled.exc_value);
        PyMem_Free(row->copy);
    }
}

/* Without its frame it has no finally clause to run when it goes. */
static void
silence_generators(void)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(now.generators); i++) {
        ((PyGenObject *)PyList_GET_ITEM(now.generators, i))->gi_frame_state = FRAME_EXECUTING;
    }
}

/* Fill the tasklet anew from a state that has come back. */
static void
exchange(PyTaskletObject *t, PyObject *state)
{
    old_frames old;
    if (take(t, &old) < 0) {
        die(t, "no memory");
    }
    PyObject *tempval = Py_NewRef(t->tempval);
    PyObject *done = slp_tasklet_setstate((PyObject *)t, state);
    if (done == NULL) {
        die(t, "the loader refuses it");
    }
    Py_DECREF(done);
    const char *what = difference_of_tasklet(t, &old);
    if (what == NULL && t->tempval != tempval && !is_copied(tempval, t->tempval)) {
        what = "it waits with another value";
    }
    if (what == NULL && t->flags.interrupted != old.interrupted) {
        what = "it was interrupted, or not";
    }
    if (what != NULL) {
        die(t, what);
    }
    silence_generators();
    Py_DECREF(tempval);
    _PyInterpreterFrame *frame = t->frame;
    for (Py_ssize_t i = 0; i < old.count; i++) {
        inherit(&old.frames[i], frame);
        frame = frame->previous;
    }
    slp_chunks_free_heap(old.chunk);
    Py_XDECREF(old.exc_value);
    PyMem_Free(old.frames);
}

static void
make_trip(slp_thread *th, PyTaskletObject *t)
{
    now = (trip){.kept = PyList_New(0), .generators = PyList_New(0)};
    PyObject *state = now.kept == NULL || now.generators == NULL ? NULL : state_of(th, t);
    if (state != NULL) {
        exchange(t, state);
    }
    else if (PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
    }
    else {
        die(t, "it does not pickle");
    }
    Py_XDECREF(state);
    Py_XDECREF(now.kept);
    Py_XDECREF(now.generators);
}

/* --- when --- */

/* Can the tasklet be pickled?  Those that run a step of a task of asyncio cannot, since its tasks cannot. */
static bool
is_restorable(const PyTaskletObject *t)
{
    if (t->flags.pinned || t->frame == NULL) {
        return false;
    }
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL; frame = frame->previous) {
        if (is_shim_named(frame, "<task step>")) {
            return false;
        }
    }
    return true;
}

/* Strong, or NULL. */
static PyTaskletObject *just_left;

void
slp_roundtrip_note(PyTaskletObject *left)
{
    assert(just_left == NULL);
    if (is_restorable(left)) {
        just_left = (PyTaskletObject *)Py_NewRef(left);
    }
}

/* The depth that a trip may add to that of the tasklet which runs. */
#  define DEPTH 1000

void
slp_roundtrip(void)
{
    PyTaskletObject *t = just_left;
    if (t == NULL) {
        return;
    }
    just_left = NULL;
    slp_thread *th = t->thread;
    PyThreadState *tstate = th->tstate;
    PyTaskletObject *current = th->current;
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    _PyInterpreterFrame *frame = tstate->cframe->current_frame;
    uint8_t use_tracing = tstate->cframe->use_tracing;
    PyThreadState_EnterTracing(tstate);
    int collecting = PyGC_Disable();
    long ticks = th->watchdog.ticks;
    uint8_t counting = th->counting;
    bool atomic = current->flags.atomic;
    tstate->cframe->current_frame = NULL;
    th->counting = 0;
    current->flags.atomic = 1;
    tstate->recursion_remaining += DEPTH;
    make_trip(th, t);
    tstate->recursion_remaining -= DEPTH;
    current->flags.atomic = atomic;
    th->counting = counting;
    tstate->cframe->current_frame = frame;
    th->watchdog.ticks = ticks;
    if (collecting) {
        PyGC_Enable();
    }
    PyThreadState_LeaveTracing(tstate);
    tstate->cframe->use_tracing = use_tracing;
    PyErr_Restore(type, value, traceback);
    if (Py_REFCNT(t) == 1) {
        th->left.tasklet = t;
        slp_drop_left(th);
    }
    else {
        Py_DECREF(t);
    }
}

#endif
