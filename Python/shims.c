/* The code objects of the shims (slp_shims.h). */
#include "slp_shims.h"

#include "slp_frame.h"

PyCodeObject *slp_shim_init;
PyCodeObject *slp_shim_tasklet;
PyCodeObject *slp_shim_tasklet_kw;

/* One shim: its name, its instructions, and its exception table (may be empty). */
typedef struct {
    PyCodeObject **shim;
    const char *name;
    int stacksize;
    uint8_t code[10];
    int code_size;
    uint8_t handlers[4];
    int handlers_size;
} shim_source;

/* All instructions up to the handler are covered, with nothing left on the stack: the start with
 * its mark, the length, the handler, the depth. */
#define COVERED(count) {0x80, (count), (count), 0}

static const shim_source sources[] = {
    {
        .shim = &slp_shim_init,
        .name = "<__init__ result>",
        .stacksize = 2,
        .code = {SLP_INIT_RESULT, 0},
        .code_size = 2,
    },
    {
        .shim = &slp_shim_tasklet,
        .name = "<tasklet>",
        .stacksize = 4,
        .code = {NOP, 0, POP_TOP, 0, CALL_FUNCTION_EX, 0, SLP_TASKLET_ENDED, 0, SLP_TASKLET_FAILED, 0},
        .code_size = 10,
        .handlers = COVERED(4),
        .handlers_size = 4,
    },
    {
        .shim = &slp_shim_tasklet_kw,
        .name = "<tasklet with keywords>",
        .stacksize = 5,
        .code = {NOP, 0, POP_TOP, 0, CALL_FUNCTION_EX, 1, SLP_TASKLET_ENDED, 0, SLP_TASKLET_FAILED, 0},
        .code_size = 10,
        .handlers = COVERED(4),
        .handlers_size = 4,
    },
};

PyCodeObject *
slp_shim_make(const char *shim_name, int stacksize, const uint8_t *instructions, int code_size,
              const uint8_t *exception_table, int table_size)
{
    PyCodeObject *result = NULL;
    PyObject *code = PyBytes_FromStringAndSize((const char *)instructions, code_size);
    PyObject *handlers = PyBytes_FromStringAndSize((const char *)exception_table, table_size);
    PyObject *none = PyTuple_New(0);
    PyObject *name = PyUnicode_InternFromString(shim_name);
    PyObject *filename = PyUnicode_InternFromString("<stackless>");
    PyObject *lines = PyBytes_FromStringAndSize(NULL, 0);
    if (code && handlers && none && name && filename && lines) {
        result = PyCode_NewWithPosOnlyArgs(0, 0, 0, 0, stacksize, CO_OPTIMIZED | CO_NEWLOCALS, code,
                                           none, none, none, none, none, filename, name, name, 1, lines,
                                           handlers);
    }
    Py_XDECREF(code);
    Py_XDECREF(handlers);
    Py_XDECREF(none);
    Py_XDECREF(name);
    Py_XDECREF(filename);
    Py_XDECREF(lines);
    return result;
}

static PyCodeObject *
assemble(const shim_source *source)
{
    return slp_shim_make(source->name, source->stacksize, source->code, source->code_size, source->handlers,
                         source->handlers_size);
}

int
slp_shims_init(void)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(sources); i++) {
        PyCodeObject **shim = sources[i].shim;
        if (*shim == NULL) {
            *shim = assemble(&sources[i]);
            if (*shim == NULL) {
                return -1;
            }
            assert((*shim)->_co_firsttraceable >= Py_SIZE(*shim));
        }
    }
    return 0;
}

_PyInterpreterFrame *
slp_shim_push(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *code, int entry,
              PyObject *const *values, int count)
{
    assert(count <= code->co_stacksize);
    _PyInterpreterFrame *shim = slp_frame_alloc(tstate, slp_frame_words(code));
    if (SLP_UNLIKELY(shim == NULL)) {
        for (int i = 0; i < count; i++) {
            Py_XDECREF(values[i]);
        }
        return NULL;
    }
    shim->f_func = NULL;
    shim->f_globals = below->f_globals;
    shim->f_builtins = below->f_builtins;
    shim->f_locals = NULL;
    shim->f_code = (PyCodeObject *)Py_NewRef(code);
    shim->frame_obj = NULL;
    shim->previous = below;
    shim->prev_instr = _PyCode_CODE(code) + entry - 1;
    shim->stacktop = count;
    shim->is_entry = false;
    shim->owner = FRAME_OWNED_BY_THREAD;
    for (int i = 0; i < count; i++) {
        shim->localsplus[i] = values[i];
    }
    return shim;
}
