/* Frames: describing one, reading a description, building the frame (slp_pickle_frame.h).
 *
 * Found with callgrind, in instructions for loading one of 100 tasklets that wait at a channel (14,000 in
 * all, of which 6,300 are __setstate__(); Tools/bench, "queue_100"), what is no longer there:
 *
 *   4,200   the stack map of the function, made anew for each tasklet; now kept with the code object
 *   3,600   PyArg_ParseTuple() of the state and of its two descriptions; now read item by item
 *   1,300   PyImport_Import() of the module of the globals, which calls __import__(), even for one that is
 *           there; with 50 frames of one function it was a third of all
 *   1,800   in dumping (13,000): Py_BuildValue() of the same tuples
 *
 * What is left is mostly the pickler's and the unpickler's own.  One tasklet alone is dominated by its code,
 * which is checked in full (slp_make_code()), and by the import of two globals by the unpickler.
 */
#include "slp_pickle_frame.h"

#include "slp_frame.h"
#include "slp_module.h"
#include "slp_shims.h"
#include "slp_support.h"

#define WHAT "a frame"

/* The items of a description (slp_pickle_frame.h). */
enum {
    ITEM_CODE,
    ITEM_GLOBALS,
    ITEM_UNIT,
    ITEM_FLAGS,
    ITEM_NULLS,
    ITEM_VALUES,
    ITEM_LOCALS,
    ITEM_GENERATOR,
    ITEM_EXCEPTION,
    ITEM_TRACE,
    ITEM_START,
    ITEM_COUNT,
};

/* --- describing --- */

/* The value of a slot as it stands in a description: a module's dict goes by reference. */
static PyObject *
value_out(PyObject *value)
{
    if (PyDict_CheckExact(value)) {
        PyObject *name = slp_name_of_module_dict(value);
        if (name != NULL) {
            return slp_new_module_dict_ref(name);
        }
    }
    return Py_NewRef(value);
}

/* All slots into *values, and which are NULL into *nulls.  -1 with an exception. */
static int
slots_out(_PyInterpreterFrame *frame, PyObject **values, PyObject **nulls)
{
    Py_ssize_t count = frame->stacktop;
    *nulls = NULL;
    *values = PyTuple_New(count);
    if (*values == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *value = frame->localsplus[i];
        if (value == NULL) {
            if (*nulls == NULL) {
                *nulls = PyBytes_FromStringAndSize(NULL, (count + 7) / 8);
                if (*nulls == NULL) {
                    Py_CLEAR(*values);
                    return -1;
                }
                memset(PyBytes_AS_STRING(*nulls), 0, PyBytes_GET_SIZE(*nulls));
            }
            PyBytes_AS_STRING(*nulls)[i / 8] |= (char)(1 << i % 8);
            value = Py_None;
        }
        PyObject *out = value_out(value);
        if (out == NULL) {
            Py_CLEAR(*values);
            Py_CLEAR(*nulls);
            return -1;
        }
        PyTuple_SET_ITEM(*values, i, out);
    }
    if (*nulls == NULL) {
        *nulls = Py_NewRef(Py_None);
    }
    return 0;
}

/* The namespace of a class body or a module; the f_locals of a function is a copy. */
static PyObject *
locals_out(_PyInterpreterFrame *frame)
{
    if (frame->f_locals == NULL || (frame->f_code->co_flags & CO_OPTIMIZED)) {
        Py_RETURN_NONE;
    }
    if (frame->f_locals == frame->f_globals) {
        Py_RETURN_TRUE;
    }
    return value_out(frame->f_locals);
}

/* f_trace, where it is to be kept. */
static PyObject *
trace_out(_PyInterpreterFrame *frame)
{
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    if (frame->frame_obj != NULL && frame->frame_obj->f_trace != NULL && th != NULL
        && (th->pickle_flags & 1)) {
        return Py_NewRef(frame->frame_obj->f_trace);
    }
    Py_RETURN_NONE;
}

/* A frame that has not begun takes its cells from its function, and gives the name to a generator. */
static PyObject *
start_out(_PyInterpreterFrame *frame)
{
    if (frame->prev_instr >= _PyCode_CODE(frame->f_code) || frame->f_func == NULL) {
        Py_RETURN_NONE;
    }
    PyFunctionObject *func = frame->f_func;
    return Py_BuildValue("OOO", func->func_closure != NULL ? func->func_closure : Py_None, func->func_name,
                         func->func_qualname);
}

PyObject *
slp_frame_describe(_PyInterpreterFrame *frame, PyGenObject *gen, slp_position position)
{
    bool shim = slp_is_shim(frame);
    int flags = 0;
    PyObject *values, *nulls;
    assert(frame->stacktop >= 0);
    /* Only generators pass a throw() on; others may have something else on the first free slot. */
    if (position == SLP_WAITING && gen != NULL && _Py_OPCODE(*frame->prev_instr) == SEND
        && slp_frame_waits_for_throw(frame)) {
        flags |= SLP_FRAME_THROW;
    }
    if (slots_out(frame, &values, &nulls) < 0) {
        return NULL;
    }
    PyObject *code = shim ? frame->f_code->co_name : (PyObject *)frame->f_code;
    PyObject *globals = shim ? Py_NewRef(Py_None) : slp_globals_out(frame->f_globals);
    PyObject *exception =
        gen != NULL && gen->gi_exc_state.exc_value != NULL ? gen->gi_exc_state.exc_value : Py_None;
    PyObject *items[ITEM_COUNT] = {
        [ITEM_CODE] = Py_NewRef(code),
        [ITEM_GLOBALS] = globals,
        [ITEM_UNIT] = PyLong_FromLong(_PyInterpreterFrame_LASTI(frame)),
        [ITEM_FLAGS] = PyLong_FromLong(flags),
        [ITEM_NULLS] = nulls,
        [ITEM_VALUES] = values,
        [ITEM_LOCALS] = locals_out(frame),
        [ITEM_GENERATOR] = Py_NewRef(gen != NULL ? (PyObject *)gen : Py_None),
        [ITEM_EXCEPTION] = Py_NewRef(exception),
        [ITEM_TRACE] = trace_out(frame),
        [ITEM_START] = start_out(frame),
    };
    return slp_tuple_of(items, ITEM_COUNT);
}

/* --- reading --- */

/* Slot `i`, with NULLs. */
static PyObject *
slot(const slp_frame_image *image, Py_ssize_t i)
{
    if (image->nulls != NULL && (PyBytes_AS_STRING(image->nulls)[i / 8] & (1 << i % 8))) {
        return NULL;
    }
    return PyTuple_GET_ITEM(image->values, i);
}

void
slp_frame_image_clear(slp_frame_image *image)
{
    Py_CLEAR(image->code);
    Py_CLEAR(image->func);
    Py_CLEAR(image->locals);
    Py_CLEAR(image->values);
    Py_CLEAR(image->nulls);
    Py_CLEAR(image->gen);
    Py_CLEAR(image->exception);
    Py_CLEAR(image->trace);
    Py_CLEAR(image->start);
}

/* An exception leaves no frame with less on its stack than the handler counts on, nor with more than fits. */
static int
check_handler(const slp_frame_image *image, int depth)
{
    int level, handler;
    bool push_lasti;
    if (slp_find_handler(image->code, image->unit, &level, &handler, &push_lasti)
        && (level > depth || level + push_lasti + 1 > image->code->co_stacksize)) {
        slp_refuse_image(WHAT, "the stack of %U does not fit its exception handler",
                         image->code->co_qualname);
        return -1;
    }
    return 0;
}

/* Do position, variables and stack of a frame of Python code fit its code? */
static int
check_python_frame(slp_frame_image *image, slp_position position, PyObject *const *slots)
{
    PyCodeObject *code = image->code;
    slp_stackmap *map = image->shim ? slp_stackmap_of_shim(code) : slp_stackmap_get(code);
    if (map == NULL) {
        return -1;
    }
    const slp_slot *kinds = NULL;
    bool begins = image->start != NULL;
    if (begins != (image->unit == -1 && position == SLP_BEFORE)) {
        slp_refuse_image(WHAT, "%U has not begun, or has", code->co_qualname);
        return -1;
    }
    int depth = begins ? 0 : slp_stackmap_stack(map, image->unit, position, &kinds);
    if (depth < 0) {
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(image->values);
    if (count != code->co_nlocalsplus + depth) {
        slp_refuse_image(WHAT, "%U has %zd values instead of %d", code->co_qualname, count,
                         code->co_nlocalsplus + depth);
        return -1;
    }
    for (int i = 0; i < depth; i++) {
        if (slp_stackmap_check_value(map, kinds[i], i, slots[code->co_nlocalsplus + i]) < 0) {
            return -1;
        }
    }
    if (slp_stackmap_check_locals(map, image->unit, position, slots, code->co_nlocalsplus) < 0
        || (!begins && check_handler(image, depth) < 0)) {
        return -1;
    }
    image->wait =
        position == SLP_BEFORE ? SLP_WAITS_NOT : slp_stackmap_wait(map, image->unit, &image->distance);
    return 0;
}

/* The namespaces of a frame of Python code, and the function that holds them. */
static int
read_namespaces(slp_frame_image *image, PyObject *globals_ref, PyObject *locals)
{
    PyObject *globals = slp_globals_in(globals_ref, WHAT);
    if (globals == NULL) {
        return -1;
    }
    image->func = (PyFunctionObject *)PyFunction_New((PyObject *)image->code, globals);
    Py_DECREF(globals);
    if (image->func == NULL) {
        return -1;
    }
    if (image->start != NULL && slp_function_set_start(image->func, image->start) < 0) {
        return -1;
    }
    bool optimized = (image->code->co_flags & CO_OPTIMIZED) != 0;
    if (optimized != (locals == Py_None)) {
        slp_refuse_image(WHAT, "%U has %s local namespace", image->code->co_qualname, optimized ? "a" : "no");
        return -1;
    }
    if (!optimized) {
        image->locals = Py_NewRef(locals == Py_True ? image->func->func_globals : locals);
    }
    return 0;
}

/* Is the exception that a generator handles one? */
static int
read_exception(slp_frame_image *image, PyObject *exception)
{
    if (exception == Py_None) {
        return 0;
    }
    if (!PyExceptionInstance_Check(exception)) {
        slp_refuse_image(WHAT, "a generator handles %.200s, which is no exception",
                         Py_TYPE(exception)->tp_name);
        return -1;
    }
    image->exception = Py_NewRef(exception);
    return 0;
}

/* The code and the slots. */
static int
read_body(slp_frame_image *image, slp_position position, PyObject *code, PyObject *globals, PyObject *locals)
{
    bool shim = PyUnicode_Check(code);
    image->shim = shim;
    if (shim) {
        PyCodeObject *found = slp_shim_find(code);
        if (found == NULL) {
            slp_refuse_image(WHAT, "there is no shim %R here", code);
            return -1;
        }
        image->code = (PyCodeObject *)Py_NewRef(found);
    }
    else if (PyCode_Check(code)) {
        image->code = (PyCodeObject *)Py_NewRef(code);
    }
    else {
        slp_refuse_image(WHAT, "its code is %.200s", Py_TYPE(code)->tp_name);
        return -1;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(image->values);
    if (count > image->code->co_nlocalsplus + image->code->co_stacksize
        || (image->nulls != NULL && PyBytes_GET_SIZE(image->nulls) != (count + 7) / 8)) {
        slp_refuse_image(WHAT, "%U has too many values", image->code->co_qualname);
        return -1;
    }
    PyObject *few[32];
    PyObject **slots = count <= 32 ? few : PyMem_New(PyObject *, count);
    if (slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        slots[i] = slot(image, i);
    }
    int status;
    if (shim) {
        status = slp_shim_has_rows(image->code) ? slp_shim_check_stack(image->code, image->unit, slots, count,
                                                                       &image->wait, &image->distance)
                                                : check_python_frame(image, position, slots);
        if (status == 0 && (globals != Py_None || image->gen != NULL)) {
            slp_refuse_image(WHAT, "shim %R has globals or a generator", code);
            status = -1;
        }
        image->locals = Py_NewRef(locals);
    }
    else {
        status = check_python_frame(image, position, slots);
        status = status < 0 ? -1 : read_namespaces(image, globals, locals);
    }
    if (slots != few) {
        PyMem_Free(slots);
    }
    return status;
}

/* A throw() is passed on by generators that wait at their SEND. */
static int
check_flags(const slp_frame_image *image)
{
    bool may_pass_throw = image->gen != NULL && image->wait == SLP_WAITS_ITEM
                          && _Py_OPCODE(_PyCode_CODE(image->code)[image->unit]) == SEND;
    if ((image->flags & ~SLP_FRAME_THROW) != 0 || (image->flags != 0 && !may_pass_throw)) {
        slp_refuse_image(WHAT, "%U has the flags %d", image->code->co_qualname, image->flags);
        return -1;
    }
    return 0;
}

/* Is the frame of a generator past the instruction that makes generators?  It would make another one of a
 * frame that is part of an object already. */
static bool
has_made_generator(const slp_frame_image *image)
{
    const _Py_CODEUNIT *units = _PyCode_CODE(image->code);
    for (int unit = 0; unit < image->unit; unit++) {
        if (_Py_OPCODE(units[unit]) == RETURN_GENERATOR) {
            return true;
        }
    }
    return false;
}

int
slp_frame_read(PyObject *description, slp_position position, slp_frame_image *image)
{
    *image = (slp_frame_image){0};
    if (!PyTuple_CheckExact(description)) {
        slp_refuse_image(WHAT, "it is described by %.200s", Py_TYPE(description)->tp_name);
        return -1;
    }
    if (PyTuple_GET_SIZE(description) != ITEM_COUNT) {
        slp_refuse_image(WHAT, "it is described by %zd items", PyTuple_GET_SIZE(description));
        return -1;
    }
    PyObject *const *items = &PyTuple_GET_ITEM(description, 0);
    PyObject *code = items[ITEM_CODE];
    PyObject *globals = items[ITEM_GLOBALS];
    PyObject *nulls = items[ITEM_NULLS];
    PyObject *values = items[ITEM_VALUES];
    PyObject *locals = items[ITEM_LOCALS];
    PyObject *generator = items[ITEM_GENERATOR];
    PyObject *exception = items[ITEM_EXCEPTION];
    PyObject *trace = items[ITEM_TRACE];
    PyObject *start = items[ITEM_START];
    if (!slp_int_in(items[ITEM_UNIT], &image->unit) || !slp_int_in(items[ITEM_FLAGS], &image->flags)) {
        return -1;
    }
    if (!PyTuple_Check(values)) {
        slp_refuse_image(WHAT, "its values are %.200s", Py_TYPE(values)->tp_name);
        return -1;
    }
    if (nulls != Py_None && !PyBytes_CheckExact(nulls)) {
        slp_refuse_image(WHAT, "its NULLs are given by %.200s", Py_TYPE(nulls)->tp_name);
        return -1;
    }
    image->values = Py_NewRef(values);
    image->nulls = nulls == Py_None ? NULL : Py_NewRef(nulls);
    image->trace = trace == Py_None ? NULL : Py_NewRef(trace);
    image->start = start == Py_None ? NULL : Py_NewRef(start);
    if (generator != Py_None) {
        if (!slp_is_frameless_generator(generator)) {
            slp_refuse_image(WHAT, "%.200s is no generator that lacks its frame",
                             Py_TYPE(generator)->tp_name);
            goto failed;
        }
        image->gen = (PyGenObject *)Py_NewRef(generator);
    }
    if (read_body(image, position, code, globals, locals) < 0 || read_exception(image, exception) < 0
        || check_flags(image) < 0) {
        goto failed;
    }
    if (image->gen != NULL && image->gen->gi_code != image->code) {
        slp_refuse_image(WHAT, "%U is not the code of its generator", image->code->co_qualname);
        goto failed;
    }
    if (image->gen != NULL && !has_made_generator(image)) {
        slp_refuse_image(WHAT, "%U is about to make the generator that it belongs to",
                         image->code->co_qualname);
        goto failed;
    }
    return 0;

failed:
    slp_frame_image_clear(image);
    return -1;
}

/* --- building --- */

void
slp_frame_build(slp_frame_image *image, _PyInterpreterFrame *frame, _PyInterpreterFrame *below)
{
    PyFunctionObject *func = image->func;
    Py_ssize_t count = PyTuple_GET_SIZE(image->values);
    bool shim = image->shim;
    frame->f_code = image->code;
    frame->f_func = func;
    frame->f_globals = func != NULL ? func->func_globals : below->f_globals;
    frame->f_builtins = func != NULL ? func->func_builtins : below->f_builtins;
    frame->f_locals = shim ? NULL : image->locals;
    frame->frame_obj = NULL;
    frame->prev_instr = _PyCode_CODE(image->code) + image->unit;
    frame->stacktop = (int)count;
    frame->is_entry = false;
    frame->owner = image->gen != NULL ? FRAME_OWNED_BY_GENERATOR : FRAME_OWNED_BY_THREAD;
    for (Py_ssize_t i = 0; i < count; i++) {
        frame->localsplus[i] = Py_XNewRef(slot(image, i));
    }
    if (image->wait == SLP_WAITS_ITEM) {
        slp_frame_wait(frame, image->distance | (image->flags & SLP_FRAME_THROW ? SLP_WAITS_FOR_THROW : 0));
    }
    image->func = NULL;
    image->code = NULL;
    if (!shim) {
        image->locals = NULL;
    }
}

int
slp_frame_restore_trace(slp_frame_image *image, _PyInterpreterFrame *frame)
{
    if (image->trace == NULL || _PyFrame_IsIncomplete(frame)) {
        return 0;
    }
    PyFrameObject *f = _PyFrame_GetFrameObject(frame);
    if (f == NULL) {
        return -1;
    }
    Py_XSETREF(f->f_trace, Py_NewRef(image->trace));
    return 0;
}
