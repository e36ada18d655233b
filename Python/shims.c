/* The code objects of the shims (slp_shims.h). */
#include "slp_shims.h"

#include "slp_frame.h"

PyCodeObject *slp_shim_init;
PyCodeObject *slp_shim_tasklet;
PyCodeObject *slp_shim_tasklet_kw;
PyCodeObject *slp_shim_started;
PyCodeObject *slp_shim_check;
PyCodeObject *slp_shim_not;
PyCodeObject *slp_shim_jump;
PyCodeObject *slp_shim_nothing;
PyCodeObject *slp_shim_getattr;
PyCodeObject *slp_shim_default;
PyCodeObject *slp_shim_binary;
PyCodeObject *slp_shim_compare;
PyCodeObject *slp_shim_format;
PyCodeObject *slp_shim_new;

/* One shim: its name, its instructions, and its exception table (may be empty). */
typedef struct {
    PyCodeObject **shim;
    const char *name;
    int stacksize;
    uint8_t code[64];
    int code_size;
    uint8_t handlers[12];
    int handlers_size;
} shim_source;

/* A row of an exception table: the start with its mark, the length, the handler, the depth. */
#define HANDLER(start, count, handler, depth) 0x80 | (start), (count), (handler), (depth) << 1

/* An entry of the shim that checks results. */
#define CHECK(kind) SLP_CHECK_RESULT, (kind), SLP_RETURN, 0

/* Four code units of the jump shim, for one kind of jump. */
#define JUMP(kind)                                                                                 \
    SLP_CHECK_RESULT, SLP_RESULT_BOOL, SLP_JUMP_RESULT, (kind), SLP_CHECK_RESULT,                  \
        SLP_RESULT_LEN_TRUTH, SLP_JUMP_RESULT, (kind)

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
    {
        .shim = &slp_shim_started,
        .name = "<started tasklet>",
        .stacksize = 1,
        .code = {NOP, 0, SLP_TASKLET_ENDED, 0, SLP_TASKLET_FAILED, 0},
        .code_size = 6,
        .handlers = {HANDLER(0, 1, 2, 0)},
        .handlers_size = 4,
    },
    {
        .shim = &slp_shim_check,
        .name = "<special result>",
        .stacksize = 2,
        .code = {CHECK(0), CHECK(1), CHECK(2), CHECK(3), CHECK(4), CHECK(5), CHECK(6), CHECK(7), CHECK(8),
                 CHECK(9), CHECK(10), CHECK(11), CHECK(12), CHECK(13)},
        .code_size = 4 * SLP_RESULTS,
    },
    {
        .shim = &slp_shim_not,
        .name = "<not>",
        .stacksize = 1,
        .code = {SLP_CHECK_RESULT, SLP_RESULT_BOOL, UNARY_NOT, 0, SLP_RETURN, 0,
                 SLP_CHECK_RESULT, SLP_RESULT_LEN_TRUTH, UNARY_NOT, 0, SLP_RETURN, 0,
                 UNARY_NOT, 0, UNARY_NOT, 0, SLP_RETURN, 0},
        .code_size = 18,
    },
    {
        .shim = &slp_shim_jump,
        .name = "<conditional jump>",
        .stacksize = 3,
        .code = {JUMP(0), JUMP(1), JUMP(2), JUMP(3)},
        .code_size = 32,
    },
    {
        .shim = &slp_shim_nothing,
        .name = "<statement>",
        .stacksize = 1,
        .code = {SLP_RETURN_NOTHING, 0},
        .code_size = 2,
    },
    {
        .shim = &slp_shim_getattr,
        .name = "<attribute>",
        .stacksize = 3,
        .code = {NOP, 0, SLP_RETURN, 0, NOP, 0, SLP_RETURN, 0, SLP_ATTR_FAILED, 0, SLP_ATTR_ERROR, 0},
        .code_size = 12,
        .handlers = {HANDLER(0, 1, 4, 2), HANDLER(2, 1, 5, 2)},
        .handlers_size = 8,
    },
    {
        .shim = &slp_shim_default,
        .name = "<default>",
        .stacksize = 2,
        .code = {NOP, 0, SLP_RETURN, 0, SLP_DEFAULT, 0,
                 NOP, 0, SLP_RETURN, 0, SLP_DEFAULT, 1,
                 NOP, 0, SLP_RETURN_TRUE, 0},
        .code_size = 16,
        .handlers = {HANDLER(0, 1, 2, 1), HANDLER(3, 1, 5, 1), HANDLER(6, 1, 5, 1)},
        .handlers_size = 12,
    },
    {
        .shim = &slp_shim_binary,
        .name = "<operator>",
        .stacksize = 4,
        .code = {SLP_BINARY_STEP, 0, SLP_BINARY_STEP, 1, SLP_BINARY_STEP, 2, SLP_BINARY_STEP, 3,
                 SLP_BINARY_STEP, 4},
        .code_size = 10,
    },
    {
        .shim = &slp_shim_compare,
        .name = "<comparison>",
        .stacksize = 4,
        .code = {SLP_COMPARE_STEP, 0, SLP_COMPARE_STEP, 1, SLP_COMPARE_STEP, 2, SLP_COMPARE_STEP, 3,
                 SLP_COMPARE_STEP, 4, SLP_COMPARE_STEP, 5, UNARY_NOT, 0, SLP_RETURN, 0},
        .code_size = 16,
    },
    {
        .shim = &slp_shim_format,
        .name = "<format>",
        .stacksize = 2,
        .code = {SWAP, 2, FORMAT_VALUE, 4, SLP_RETURN, 0, FORMAT_VALUE, 0, SLP_RETURN, 0},
        .code_size = 10,
    },
    {
        .shim = &slp_shim_new,
        .name = "<__new__ result>",
        .stacksize = 4,
        .code = {SLP_NEW_RESULT, 0, SLP_INIT_RESULT, 0},
        .code_size = 4,
    },
};

/* All shims of the process. */
#define MAX_SHIMS 128
static PyCodeObject *all_shims[MAX_SHIMS];
static int shim_count;

void
slp_shim_register(PyCodeObject *code)
{
    assert(slp_shim_find(code->co_name) == NULL);
    if (shim_count == MAX_SHIMS) {
        Py_FatalError("too many shims");
    }
    all_shims[shim_count++] = code;
}

/* The few that have something to put back. */
#define MAX_DROPS 4
static struct {
    PyCodeObject *code;
    slp_shim_drop drop;
} drops[MAX_DROPS];
static int drop_count;

void
slp_shim_set_drop(PyCodeObject *code, slp_shim_drop drop)
{
    assert(drop_count < MAX_DROPS);
    drops[drop_count].code = code;
    drops[drop_count++].drop = drop;
}

void
slp_shim_dropped(PyTaskletObject *t, _PyInterpreterFrame *shim)
{
    for (int i = 0; i < drop_count; i++) {
        if (drops[i].code == shim->f_code) {
            drops[i].drop(t, shim);
            return;
        }
    }
}

PyCodeObject *
slp_shim_number(int i)
{
    return i < shim_count ? all_shims[i] : NULL;
}

PyCodeObject *
slp_shim_find(PyObject *name)
{
    for (int i = 0; i < shim_count; i++) {
        if (PyUnicode_Compare(all_shims[i]->co_name, name) == 0) {
            return all_shims[i];
        }
    }
    return NULL;
}

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
    if (result != NULL) {
        slp_shim_register(result);
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
