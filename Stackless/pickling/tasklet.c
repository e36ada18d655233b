/* Tasklets: how one pickles, and how its frames are built again.
 *
 * In an image: type() with the state
 *
 *   0  version          changes with the shims and the form of images
 *   1  flags            STATE_ bits; bits 0 and 1: flags.blocked, signed
 *   2  tempval          None where it is the tasklet itself (STATE_SELF)
 *   3  frames           a list of descriptions (slp_pickle_frame.h), the outermost first; [] if not alive
 *   4  exception        the one that it handles at its outermost level, or None
 *   5  contexts         with the pickle flag for it a tuple: the context in which it began, or None, and then
 *                       what each context_run() that it is in has set, the outermost first; else None
 *   6  trace functions  (trace, profile) with the pickle flag for it, else None
 *   7  attributes       what object.__getstate__() says, for subclasses; else None
 *   8  name             or None
 *   9  exceptions       what pickling loses of those in the frames (exceptions.c)
 *
 * A tasklet is always loaded as a paused one, or one that is not alive; the channel that it was blocked on
 * puts it into its queue.  If the channel comes first, it makes the tasklet a placeholder, which has a base
 * shim only: __setstate__ takes that for an empty tasklet.
 */
#include "slp_pickle_frame.h"

#include "slp_channel.h"
#include "slp_loops.h"
#include "slp_module.h"
#include "slp_pickle_tasklet.h"
#include "slp_shims.h"

#include "internal/pycore_context.h"

#define WHAT                 "a tasklet"

#define STATE_VERSION        1

enum {
    ITEM_VERSION,
    ITEM_FLAGS,
    ITEM_TEMPVAL,
    ITEM_FRAMES,
    ITEM_EXCEPTION,
    ITEM_CONTEXTS,
    ITEM_TRACE,
    ITEM_ATTRIBUTES,
    ITEM_NAME,
    ITEM_EXCEPTIONS,
    ITEM_COUNT,
};

#define STATE_ATOMIC         (1 << 2)
#define STATE_IGNORE_NESTING (1 << 3)
#define STATE_BLOCK_TRAP     (1 << 5)
#define STATE_PENDING_IRQ    (1 << 7)
#define STATE_INTERRUPTED    (1 << 8)
#define STATE_SELF           (1 << 9)
#define STATE_FLAGS                                                                                          \
    (3 | STATE_ATOMIC | STATE_IGNORE_NESTING | STATE_BLOCK_TRAP | STATE_PENDING_IRQ | STATE_INTERRUPTED      \
     | STATE_SELF)

/* The pickle flags that are looked at here. */
#define PRESERVE_TRACING_STATE 1
#define PICKLE_CONTEXT         8

/* --- describing --- */

/* Raise PicklingError; NULL. */
static PyObject *
refuse(PyTaskletObject *t, const char *why, PyObject *detail)
{
    PyObject *pickle = PyImport_ImportModule("_pickle");
    PyObject *error = pickle == NULL ? NULL : PyObject_GetAttrString(pickle, "PicklingError");
    if (error != NULL) {
        PyErr_Format(error, detail != NULL ? "cannot pickle %R: %s %S" : "cannot pickle %R: %s", t, why,
                     detail);
    }
    Py_XDECREF(error);
    Py_XDECREF(pickle);
    return NULL;
}

/* Can it be pickled?  -1 with the exception that says why not. */
static int
check_picklable(PyTaskletObject *t)
{
    if (t->thread->tstate != NULL && t->thread->current == t) {
        PyErr_Format(PyExc_RuntimeError,
                     "cannot pickle %R, which is the current tasklet: let another one do it", t);
        return -1;
    }
    if (t->flags.is_main) {
        refuse(t, "it is a main tasklet, which has the C stack of its thread; only others can be pickled",
               NULL);
        return -1;
    }
    if (t->flags.pinned) {
        PyObject *by = slp_pinned_by(t);
        if (by != NULL) {
            refuse(t,
                   "it waits inside a call from C code, which keeps it on a C stack; let it wait outside of",
                   by);
            Py_DECREF(by);
        }
        return -1;
    }
    return 0;
}

static bool
is_shim_named(_PyInterpreterFrame *frame, const char *name)
{
    return slp_is_shim(frame) && _PyUnicode_EqualToASCIIString(frame->f_code->co_name, name);
}

/* The contexts of the tasklet: the one before it entered others by Context.run() and context_run(), and what
 * each context_run() has set.  The frames know the rest. */
static PyObject *
contexts_out(PyTaskletObject *t)
{
    PyObject *contexts = PyList_New(0);
    PyObject *context = t->context;
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL && contexts != NULL; frame = frame->previous) {
        if (is_shim_named(frame, "<Context.run>") && PyContext_CheckExact(frame->localsplus[0])) {
            context = (PyObject *)((PyContext *)frame->localsplus[0])->ctx_prev;
        }
        else if (is_shim_named(frame, "<context_run>")) {
            if (PyList_Append(contexts, context) < 0) {
                Py_CLEAR(contexts);
            }
            context = frame->localsplus[0] != Py_None ? frame->localsplus[0] : NULL;
        }
    }
    PyObject *tuple = NULL;
    if (contexts != NULL && PyList_Append(contexts, context != NULL ? context : Py_None) == 0
        && PyList_Reverse(contexts) == 0) {
        tuple = PyList_AsTuple(contexts);
    }
    Py_XDECREF(contexts);
    return tuple;
}

/* The list of the frames' descriptions. */
static PyObject *
frames_out(PyTaskletObject *t)
{
    Py_ssize_t count = 0;
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL; frame = frame->previous) {
        count++;
    }
    PyObject *list = PyList_New(count);
    _PyInterpreterFrame *frame = t->frame;
    for (; list != NULL && frame != NULL; frame = frame->previous) {
        PyGenObject *gen = frame->owner == FRAME_OWNED_BY_GENERATOR ? _PyFrame_GetGenerator(frame) : NULL;
        slp_position position = frame == t->frame && t->flags.interrupted ? SLP_BEFORE : SLP_WAITING;
        PyObject *description = slp_frame_describe(frame, gen, position);
        if (description == NULL) {
            Py_CLEAR(list);
        }
        else {
            PyList_SET_ITEM(list, --count, description);
        }
    }
    return list;
}

static int
flags_out(PyTaskletObject *t)
{
    return (t->flags.blocked & 3) | (t->flags.atomic ? STATE_ATOMIC : 0)
           | (t->flags.ignore_nesting ? STATE_IGNORE_NESTING : 0)
           | (t->flags.block_trap ? STATE_BLOCK_TRAP : 0) | (t->flags.pending_irq ? STATE_PENDING_IRQ : 0)
           | (t->flags.interrupted ? STATE_INTERRUPTED : 0) | (t->tempval == SLP_SELF ? STATE_SELF : 0);
}

PyObject *
slp_attributes_out(PyObject *self, PyTypeObject *base)
{
    if (Py_IS_TYPE(self, base)) {
        Py_RETURN_NONE;
    }
    return PyObject_CallMethod((PyObject *)&PyBaseObject_Type, "__getstate__", "O", self);
}

int
slp_attributes_in(PyObject *self, PyObject *attributes)
{
    PyObject *dict = attributes, *slots = Py_None;
    if (PyTuple_CheckExact(attributes) && PyTuple_GET_SIZE(attributes) == 2) {
        dict = PyTuple_GET_ITEM(attributes, 0);
        slots = PyTuple_GET_ITEM(attributes, 1);
    }
    PyObject *const parts[] = {dict, slots};
    for (int i = 0; i < 2; i++) {
        PyObject *key, *value;
        Py_ssize_t pos = 0;
        if (parts[i] == Py_None) {
            continue;
        }
        if (!PyDict_CheckExact(parts[i])) {
            slp_refuse_image(WHAT, "its attributes are %.200s", Py_TYPE(attributes)->tp_name);
            return -1;
        }
        PyObject *copy = PyDict_Copy(parts[i]);
        if (copy == NULL) {
            return -1;
        }
        while (PyDict_Next(copy, &pos, &key, &value)) {
            if (PyObject_GenericSetAttr(self, key, value) < 0) {
                Py_DECREF(copy);
                return -1;
            }
        }
        Py_DECREF(copy);
    }
    return 0;
}

PyObject *
slp_reduce_with_state(PyObject *self, PyTypeObject *base, PyObject *state)
{
    if (state == NULL) {
        return NULL;
    }
    if (Py_IS_TYPE(self, base)) {
        return Py_BuildValue("O()N", base, state);
    }
    /* A subclass's __init__() may want arguments. */
    PyObject *copyreg = PyImport_ImportModule("copyreg");
    PyObject *newobj = copyreg == NULL ? NULL : PyObject_GetAttrString(copyreg, "__newobj__");
    PyObject *result = newobj == NULL ? NULL : Py_BuildValue("O(O)O", newobj, Py_TYPE(self), state);
    Py_XDECREF(newobj);
    Py_XDECREF(copyreg);
    Py_DECREF(state);
    return result;
}

/* The state, with the attributes, which it steals.  No code may run meanwhile, which may resume `t`. */
static PyObject *
describe(PyTaskletObject *t, slp_thread *th, PyObject *attributes)
{
    PyObject *exception = t->exc_state.exc_value;
    PyObject *contexts = th->pickle_flags & PICKLE_CONTEXT ? contexts_out(t) : Py_NewRef(Py_None);
    PyObject *trace = Py_None;
    if ((th->pickle_flags & PRESERVE_TRACING_STATE) && t->trace != NULL) {
        trace = Py_BuildValue("NN", slp_tasklet_get_trace(t, false), slp_tasklet_get_trace(t, true));
    }
    else {
        Py_INCREF(trace);
    }
    PyObject *items[ITEM_COUNT] = {
        [ITEM_VERSION] = PyLong_FromLong(STATE_VERSION),
        [ITEM_FLAGS] = PyLong_FromLong(flags_out(t)),
        [ITEM_TEMPVAL] = Py_NewRef(t->tempval == SLP_SELF ? Py_None : t->tempval),
        [ITEM_FRAMES] = frames_out(t),
        [ITEM_EXCEPTION] = Py_NewRef(exception != NULL ? exception : Py_None),
        [ITEM_CONTEXTS] = contexts,
        [ITEM_TRACE] = trace,
        [ITEM_ATTRIBUTES] = attributes,
        [ITEM_NAME] = Py_IS_TYPE(t, &PyTasklet_Type) ? slp_tasklet_get_name(t) : Py_NewRef(Py_None),
        [ITEM_EXCEPTIONS] = slp_exceptions_out(t),
    };
    return slp_tuple_of(items, ITEM_COUNT);
}

PyObject *
slp_tasklet_state(PyTaskletObject *t, slp_thread *th, PyObject *attributes)
{
    int collecting = PyGC_Disable();
    PyObject *state = describe(t, th, attributes);
    if (collecting) {
        PyGC_Enable();
    }
    return state;
}

const char slp_tasklet_reduce_doc[] =
    "__reduce__($self, /)\n"
    "--\n\n"
    "How the tasklet pickles.\n\n"
    "RuntimeError for the current tasklet; PicklingError for one that is inside a call\n"
    "from C code.";

PyObject *
slp_tasklet_reduce(PyObject *self, PyObject *noargs)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    if (check_picklable(t) < 0) {
        return NULL;
    }
    slp_pickle_reduced(self);
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    PyObject *attributes = slp_attributes_out(self, &PyTasklet_Type);
    if (attributes == NULL) {
        return NULL;
    }
    /* That has run any code. */
    if (check_picklable(t) < 0) {
        Py_DECREF(attributes);
        return NULL;
    }
    return slp_reduce_with_state(self, &PyTasklet_Type, slp_tasklet_state(t, th, attributes));
}

/* --- loading --- */

/* Raised by the function of a placeholder. */
static PyObject *
not_there(PyObject *self, PyObject *noargs)
{
    PyErr_SetString(PyExc_RuntimeError, "this tasklet was not completely unpickled");
    return NULL;
}

static PyMethodDef placeholder_def = {"placeholder", not_there, METH_NOARGS, NULL};

bool
slp_is_placeholder(PyTaskletObject *t)
{
    _PyInterpreterFrame *frame = t->frame;
    if (frame == NULL || frame->previous != NULL || frame->f_code != slp_shim_tasklet
        || frame->stacktop < 3) {
        return false;
    }
    PyObject *callable = frame->localsplus[1], *args = frame->localsplus[2];
    /* Without arguments: dropping it runs no code. */
    return PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) == 0 && PyCFunction_CheckExact(callable)
           && ((PyCFunctionObject *)callable)->m_ml == &placeholder_def;
}

int
slp_make_placeholder(PyTaskletObject *t)
{
    PyObject *callable = PyCFunction_New(&placeholder_def, NULL);
    PyObject *args = callable == NULL ? NULL : PyTuple_New(0);
    int status = args == NULL ? -1 : slp_tasklet_make_stack(t, callable, args, NULL);
    Py_XDECREF(args);
    Py_XDECREF(callable);
    return status;
}

/* All frames of a tasklet, read and checked. */
typedef struct {
    slp_frame_image *frames;
    Py_ssize_t count;
} frame_images;

/* A generator that one of the frames is to belong to is marked by a frame that is linked to itself, so that
 * no other frame gets it. */
static bool
is_marked(PyGenObject *gen)
{
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)gen->gi_iframe;
    return frame->previous == frame;
}

static void
mark(PyGenObject *gen, bool on)
{
    _PyInterpreterFrame *frame = (_PyInterpreterFrame *)gen->gi_iframe;
    frame->previous = on ? frame : NULL;
}

/* Reading a description runs any code, which may have given the generator a frame. */
static int
check_frameless(PyGenObject *gen)
{
    if (!slp_is_frameless_generator((PyObject *)gen)) {
        slp_refuse_image(WHAT, "%U has its frame already", gen->gi_qualname);
        return -1;
    }
    return 0;
}

/* Are the marked generators still frameless? */
static int
check_generators(const frame_images *images)
{
    int status = 0;
    for (Py_ssize_t i = 0; i < images->count && status == 0; i++) {
        PyGenObject *gen = images->frames[i].gen;
        if (gen != NULL) {
            assert(is_marked(gen));
            mark(gen, false);
            status = check_frameless(gen);
            mark(gen, true);
        }
    }
    return status;
}

static void
clear_images(frame_images *images)
{
    for (Py_ssize_t i = 0; i < images->count; i++) {
        PyGenObject *gen = images->frames[i].gen;
        if (gen != NULL && is_marked(gen)) {
            mark(gen, false);
        }
        slp_frame_image_clear(&images->frames[i]);
    }
    PyMem_Free(images->frames);
}

static const char *const wait_names[] = {
    [SLP_WAITS_NOT] = "for nothing",
    [SLP_WAITS_VALUE] = "for a value",
    [SLP_WAITS_NOTHING] = "for the end of a statement",
    [SLP_WAITS_TRUTH] = "for a truth",
    [SLP_WAITS_ITEM] = "for an item",
    [SLP_WAITS_ITEMS] = "for several values",
    [SLP_WAITS_RAISE] = "for an exception",
    [SLP_WAITS_YIELD] = "to be resumed",
};

/* Does the frame hold the generator that runs above it, or the wrapper of a coroutine?  Nobody else may. */
static bool
holds(const slp_frame_image *below, PyGenObject *gen)
{
    Py_ssize_t count = PyTuple_GET_SIZE(below->values);
    PyObject *top = count > 0 ? PyTuple_GET_ITEM(below->values, count - 1) : NULL;
    return top != NULL && (top == (PyObject *)gen || slp_is_wrapper_of(top, gen));
}

/* Does a frame wait for what the one above it (NULL: what resumes the tasklet) gives it? */
static int
check_link(const slp_frame_image *below, const slp_frame_image *above)
{
    bool fits;
    if (above == NULL) {
        fits = below->wait == SLP_WAITS_VALUE || below->wait == SLP_WAITS_ITEM;
    }
    else if (above->gen != NULL) {
        fits = below->wait == SLP_WAITS_ITEM && holds(below, above->gen);
    }
    else if (above->func != NULL) {
        fits = below->wait == SLP_WAITS_VALUE || below->wait == SLP_WAITS_ITEM;
    }
    else {
        slp_wait_kind gives = slp_shim_gives(above->code);
        PyObject *const *values = &PyTuple_GET_ITEM(above->values, 0);
        fits = below->wait == gives || (below->wait == SLP_WAITS_ITEM && gives == SLP_WAITS_VALUE);
        if (fits && gives == SLP_WAITS_TRUTH) {
            int opcode = _PyOpcode_Deopt[_Py_OPCODE(_PyCode_CODE(below->code)[below->unit])];
            return slp_shim_check_jump(above->unit, values, PyTuple_GET_SIZE(above->values), opcode,
                                       below->distance);
        }
        if (fits && gives == SLP_WAITS_ITEMS) {
            return slp_shim_check_unpacking(above->code, values, below->distance);
        }
    }
    if (!fits) {
        slp_refuse_image(WHAT, "%U waits %s, which %U does not give", below->code->co_qualname,
                         wait_names[below->wait],
                         above == NULL ? below->code->co_qualname : above->code->co_qualname);
        return -1;
    }
    return 0;
}

/* Is the oldest frame a base shim, and only that one? */
static bool
is_base_shim(const slp_frame_image *image)
{
    return image->code == slp_shim_tasklet || image->code == slp_shim_tasklet_kw
           || image->code == slp_shim_started;
}

/* Check frame `i` as one of a chain. */
static int
check_in_chain(const frame_images *images, Py_ssize_t i, bool interrupted)
{
    const slp_frame_image *image = &images->frames[i];
    bool top = i == images->count - 1;
    if (is_base_shim(image) != (i == 0)) {
        slp_refuse_image(WHAT, "frame %zd is %s base shim", i, i == 0 ? "no" : "a");
        return -1;
    }
    bool generating = (image->code->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR)) != 0;
    if (generating != (image->gen != NULL) && image->start == NULL) {
        slp_refuse_image(WHAT, "the frame of %U %s a generator", image->code->co_qualname,
                         generating ? "lacks" : "has");
        return -1;
    }
    /* What a shim that has not begun to call has on its stack is all that it needs. */
    if (top && image->code != slp_shim_started && is_base_shim(image) && image->unit == 0) {
        return 0;
    }
    if (i == 0 && image->unit == 0 && !top && image->code != slp_shim_started) {
        slp_refuse_image(WHAT, "its base shim has not begun");
        return -1;
    }
    return top && interrupted ? 0 : check_link(image, top ? NULL : image + 1);
}

/* Read all descriptions.  -1 with an exception, and nothing is left. */
static int
read_frames(PyObject *descriptions, bool interrupted, frame_images *images)
{
    Py_ssize_t count = PyTuple_GET_SIZE(descriptions);
    images->count = 0;
    images->frames = PyMem_New(slp_frame_image, count);
    if (images->frames == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    int status = 0;
    while (images->count < count && status == 0) {
        Py_ssize_t i = images->count;
        slp_position position = interrupted && i == count - 1 ? SLP_BEFORE : SLP_WAITING;
        status = slp_frame_read(PyTuple_GET_ITEM(descriptions, i), position, &images->frames[i]);
        if (status == 0) {
            PyGenObject *gen = images->frames[i].gen;
            if (gen != NULL && check_frameless(gen) < 0) {
                slp_frame_image_clear(&images->frames[i]);
                status = -1;
                break;
            }
            if (gen != NULL) {
                mark(gen, true);
            }
            images->count++;
        }
    }
    for (Py_ssize_t i = 0; i < count && status == 0; i++) {
        status = check_in_chain(images, i, interrupted);
    }
    if (status < 0) {
        clear_images(images);
    }
    return status;
}

/* A new reference to the context in which the tasklet begins, or NULL with an exception. */
static PyObject *
context_in(PyObject *contexts)
{
    if (contexts == Py_None) {
        return slp_share_context(&_PyThreadState_GET()->context);
    }
    bool fits = PyTuple_CheckExact(contexts) && PyTuple_GET_SIZE(contexts) > 0;
    for (Py_ssize_t i = 0; fits && i < PyTuple_GET_SIZE(contexts); i++) {
        PyObject *context = PyTuple_GET_ITEM(contexts, i);
        fits = PyContext_CheckExact(context) || (i == 0 && context == Py_None);
    }
    if (!fits) {
        return slp_refuse_image(WHAT, "its context is none");
    }
    PyObject *first = PyTuple_GET_ITEM(contexts, 0);
    return first == Py_None ? slp_share_context(&_PyThreadState_GET()->context) : Py_NewRef(first);
}

/* Is there a context for each context_run()? */
static int
check_contexts(const frame_images *images, PyObject *contexts)
{
    Py_ssize_t wanted = 1;
    for (Py_ssize_t i = 0; i < images->count; i++) {
        wanted += images->frames[i].shim
                  && _PyUnicode_EqualToASCIIString(images->frames[i].code->co_name, "<context_run>");
    }
    if (contexts != Py_None && PyTuple_GET_SIZE(contexts) != wanted) {
        slp_refuse_image(WHAT, "it has %zd contexts instead of %zd", PyTuple_GET_SIZE(contexts), wanted);
        return -1;
    }
    return 0;
}

/* Forget the list of claimed contexts, which nobody has entered. */
static void
release_contexts(PyObject *claimed)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(claimed); i++) {
        ((PyContext *)PyList_GET_ITEM(claimed, i))->ctx_entered = 0;
    }
    Py_DECREF(claimed);
}

/* The contexts that the frames have entered by Context.run(), from the outermost on: a list, with new ones
 * where the image has none.  They are marked as entered, so that nobody else enters them.  NULL with an
 * exception. */
static PyObject *
claim_contexts(const frame_images *images)
{
    PyObject *claimed = PyList_New(0);
    for (Py_ssize_t i = 0; i < images->count && claimed != NULL; i++) {
        const slp_frame_image *image = &images->frames[i];
        if (!image->shim || !_PyUnicode_EqualToASCIIString(image->code->co_name, "<Context.run>")) {
            continue;
        }
        PyObject *own = PyTuple_GET_ITEM(image->values, 0);
        own = own == Py_None ? PyContext_New() : Py_NewRef(own);
        if (own != NULL && ((PyContext *)own)->ctx_entered) {
            slp_refuse_image(WHAT, "a context is entered twice");
            Py_CLEAR(own);
        }
        if (own == NULL || PyList_Append(claimed, own) < 0) {
            release_contexts(claimed);
            claimed = NULL;
        }
        else {
            ((PyContext *)own)->ctx_entered = 1;
        }
        Py_XDECREF(own);
    }
    return claimed;
}

/* Enter the contexts that the tasklet has entered by Context.run(), which are claimed, and context_run(),
 * from the outermost on; *context becomes the innermost one. */
static void
enter_contexts(const frame_images *images, _PyInterpreterFrame **frames, PyObject *contexts,
               PyObject *claimed, PyObject **context)
{
    Py_ssize_t next = 1, next_claimed = 0;
    for (Py_ssize_t i = 0; i < images->count; i++) {
        _PyInterpreterFrame *frame = frames[i];
        if (is_shim_named(frame, "<Context.run>")) {
            PyObject *own = PyList_GET_ITEM(claimed, next_claimed++);
            Py_SETREF(frame->localsplus[0], Py_NewRef(own));
            ((PyContext *)own)->ctx_prev = (PyContext *)*context;
            *context = Py_NewRef(own);
        }
        else if (is_shim_named(frame, "<context_run>")) {
            if (frame->localsplus[0] == Py_None) {
                Py_SETREF(frame->localsplus[0], Py_NewRef(*context));
            }
            if (contexts != Py_None) {
                Py_SETREF(*context, Py_NewRef(PyTuple_GET_ITEM(contexts, next)));
                next++;
            }
        }
    }
}

/* Lists that are being sorted in place are so again. */
static void
resume_sorts(_PyInterpreterFrame **frames, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        if (is_shim_named(frames[i], "<list.sort>")) {
            slp_sort_resumed(frames[i]->localsplus[0], frames[i]->localsplus[2]);
        }
    }
}

/* Build the frames: all but those of generators in one chunk.  *context becomes the innermost one.  -1 with
 * an exception, and nothing has changed. */
static int
build(PyTaskletObject *t, frame_images *images, PyObject *contexts, PyObject **context)
{
    size_t words = 0;
    for (Py_ssize_t i = 0; i < images->count; i++) {
        words += images->frames[i].gen == NULL ? (size_t)slp_frame_words(images->frames[i].code) : 0;
    }
    PyFunctionObject *base = slp_interp_base_function(t->thread->interp);
    if (base == NULL) {
        return -1;
    }
    _PyInterpreterFrame **frames = PyMem_New(_PyInterpreterFrame *, images->count);
    _PyStackChunk *chunk = slp_chunk_new_heap(words);
    PyObject *claimed = frames == NULL || chunk == NULL ? NULL : claim_contexts(images);
    if (claimed == NULL) {
        if (!PyErr_Occurred()) {
            PyErr_NoMemory();
        }
        PyMem_Free(frames);
        slp_chunks_free_heap(chunk);
        return -1;
    }
    if (t->frame != NULL) {
        slp_tasklet_drop_frames(t);
    }
    images->frames[0].func = (PyFunctionObject *)Py_NewRef(base);
    PyObject **room = slp_chunk_base(chunk);
    _PyInterpreterFrame *below = NULL;
    _PyErr_StackItem *outer = &t->exc_state;
    int depth = 0;
    for (Py_ssize_t i = 0; i < images->count; i++) {
        slp_frame_image *image = &images->frames[i];
        _PyInterpreterFrame *frame;
        if (image->gen != NULL) {
            frame = (_PyInterpreterFrame *)image->gen->gi_iframe;
            slp_generator_adopt(image, below, outer);
            outer = &image->gen->gi_exc_state;
        }
        else {
            frame = (_PyInterpreterFrame *)room;
            room += slp_frame_words(image->code);
            slp_frame_build(image, frame, below);
            frame->previous = below;
        }
        depth += !slp_is_shim(frame) && image->start == NULL;
        frames[i] = below = frame;
    }
    t->chunk = chunk;
    t->stack_top = room;
    t->frame = below;
    t->exc_info = outer;
    t->recursion_depth = depth;
    resume_sorts(frames, images->count);
    enter_contexts(images, frames, contexts, claimed, context);
    Py_DECREF(claimed);
    PyMem_Free(frames);
    return 0;
}

/* f_trace of the frames of a tasklet that is complete otherwise. */
static int
traces_in(PyTaskletObject *t, frame_images *images)
{
    int status = 0;
    _PyInterpreterFrame *frame = t->frame;
    for (Py_ssize_t i = images->count; i > 0 && status == 0; i--) {
        status = slp_frame_restore_trace(&images->frames[i - 1], frame);
        frame = frame->previous;
    }
    return status;
}

/* Is it a tasklet to be filled?  Else -1 with RuntimeError. */
static int
check_empty(PyTaskletObject *t)
{
    if (t->frame != NULL && slp_is_placeholder(t)) {
        return 0;
    }
    if (slp_tasklet_alive(t) || t->thread->current == t || slp_in_chain(t) || t->flags.pinned) {
        PyErr_Format(PyExc_RuntimeError, "__setstate__(): %R is alive", t);
        return -1;
    }
    return 0;
}

/* The trace and profile functions. */
static int
trace_in(PyTaskletObject *t, PyObject *trace)
{
    PyObject *functions[2];
    if (trace == Py_None || t->frame == NULL) {
        return 0;
    }
    if (!PyTuple_CheckExact(trace) || PyTuple_GET_SIZE(trace) != 2) {
        slp_refuse_image(WHAT, "its trace functions are %.200s", Py_TYPE(trace)->tp_name);
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        functions[i] = PyTuple_GET_ITEM(trace, i);
        if (functions[i] != Py_None && slp_tasklet_set_trace(t, i == 1, functions[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* What the parts of a state are. */
typedef struct {
    int flags;
    PyObject *tempval, *frames, *exception, *contexts, *trace, *attributes, *name, *exceptions;
} tasklet_state;

static int
parse_state(PyObject *state, tasklet_state *s)
{
    int version;
    if (!PyTuple_Check(state)) {
        slp_refuse_image(WHAT, "its state is %.200s", Py_TYPE(state)->tp_name);
        return -1;
    }
    if (PyTuple_GET_SIZE(state) != ITEM_COUNT) {
        slp_refuse_image(WHAT, "its state has %zd items", PyTuple_GET_SIZE(state));
        return -1;
    }
    PyObject *const *items = &PyTuple_GET_ITEM(state, 0);
    if (!slp_int_in(items[ITEM_VERSION], &version) || !slp_int_in(items[ITEM_FLAGS], &s->flags)) {
        return -1;
    }
    s->tempval = items[ITEM_TEMPVAL];
    s->frames = items[ITEM_FRAMES];
    s->exception = items[ITEM_EXCEPTION];
    s->contexts = items[ITEM_CONTEXTS];
    s->trace = items[ITEM_TRACE];
    s->attributes = items[ITEM_ATTRIBUTES];
    s->name = items[ITEM_NAME];
    s->exceptions = items[ITEM_EXCEPTIONS];
    if (!PyList_Check(s->frames)) {
        slp_refuse_image(WHAT, "its frames are %.200s", Py_TYPE(s->frames)->tp_name);
        return -1;
    }
    if (version != STATE_VERSION) {
        slp_refuse_image(WHAT, "the image has version %d of them, here it is %d", version, STATE_VERSION);
        return -1;
    }
    if ((s->flags & ~STATE_FLAGS) != 0 || (s->flags & 3) == 2) {
        slp_refuse_image(WHAT, "its flags are %d", s->flags);
        return -1;
    }
    if (s->exception != Py_None && !PyExceptionInstance_Check(s->exception)) {
        slp_refuse_image(WHAT, "it handles %.200s, which is no exception", Py_TYPE(s->exception)->tp_name);
        return -1;
    }
    return 0;
}

/* Fill the tasklet, which is empty and settled.  What it had is in *context and *exception afterwards.
 * -1 with an exception, and it is as it was, or complete but for f_trace of its frames. */
static int
fill(PyTaskletObject *t, const tasklet_state *s, frame_images *images, PyObject **context,
     PyObject **exception)
{
    bool alive = images->count > 0;
    if (alive && build(t, images, s->contexts, context) < 0) {
        return -1;
    }
    if (!alive && t->frame != NULL) {
        slp_tasklet_drop_frames(t);
    }
    t->flags.atomic = (s->flags & STATE_ATOMIC) != 0;
    t->flags.ignore_nesting = (s->flags & STATE_IGNORE_NESTING) != 0;
    t->flags.block_trap = (s->flags & STATE_BLOCK_TRAP) != 0;
    t->flags.pending_irq = (s->flags & STATE_PENDING_IRQ) != 0;
    t->flags.interrupted = alive && (s->flags & STATE_INTERRUPTED) != 0;
    *exception = t->exc_state.exc_value;
    t->exc_state.exc_value = s->exception == Py_None ? NULL : Py_NewRef(s->exception);
    PyObject *old_context = t->context;
    t->context = *context;
    *context = old_context;
    slp_set_tempval(t, s->flags & STATE_SELF ? Py_NewRef(SLP_SELF) : Py_NewRef(s->tempval));
    slp_tasklet_check(t);
    return traces_in(t, images);
}

const char slp_tasklet_setstate_doc[] =
    "__setstate__($self, state, /)\n"
    "--\n\n"
    "Fill a new tasklet with what __reduce__() has said of one.\n\n"
    "RuntimeError if it is alive; TypeError or ValueError if the state is not such as\n"
    "__reduce__() makes.";

PyObject *
slp_tasklet_setstate(PyObject *self, PyObject *state)
{
    PyTaskletObject *t = (PyTaskletObject *)self;
    tasklet_state s;
    frame_images images = {0};
    if (check_empty(t) < 0 || parse_state(state, &s) < 0) {
        return NULL;
    }
    PyObject *context = context_in(s.contexts);
    PyObject *descriptions = context == NULL ? NULL : PyList_AsTuple(s.frames);
    bool alive = descriptions != NULL && PyTuple_GET_SIZE(descriptions) > 0;
    bool interrupted = (s.flags & STATE_INTERRUPTED) != 0;
    if (descriptions == NULL || (alive && read_frames(descriptions, interrupted, &images) < 0)) {
        Py_XDECREF(descriptions);
        Py_XDECREF(context);
        return NULL;
    }
    Py_DECREF(descriptions);
    PyObject *result = NULL, *old_exception = NULL;
    int wanted = (s.flags & 3) == 3 ? -1 : s.flags & 3;
    slp_settle(t);
    int blocked = t->flags.blocked;
    /* Reading may have run any code, and so may that; from here on nothing does until it is filled. */
    if (check_empty(t) < 0 || check_contexts(&images, s.contexts) < 0 || check_generators(&images) < 0) {
        goto done;
    }
    if (blocked && (!alive || blocked != wanted)) {
        slp_refuse_image(WHAT, "a channel has it in its queue, where it does not wait");
        goto done;
    }
    int collecting = PyGC_Disable();
    int status = fill(t, &s, &images, &context, &old_exception);
    if (collecting) {
        PyGC_Enable();
    }
    if (status < 0 || slp_exceptions_in(s.exceptions) < 0 || trace_in(t, s.trace) < 0
        || (s.attributes != Py_None && slp_attributes_in(self, s.attributes) < 0)
        || (s.name != Py_None && Py_IS_TYPE(self, &PyTasklet_Type) && slp_tasklet_set_name(t, s.name) < 0)) {
        goto done;
    }
    result = Py_NewRef(Py_None);

done:
    if (images.frames != NULL) {
        clear_images(&images);
    }
    Py_XDECREF(old_exception);
    Py_XDECREF(context);
    return result;
}
