/* What pins a tasklet: which C functions its frames are inside of.
 *
 *      base ─ frame ─ frame ──CALL sorted──> ░C░ ──> frame (is_entry) ─ frame <── top
 *                       └ prev_instr: the call that C is busy with
 *
 * A frame with `is_entry` began an activation of the loop, which C code called; so the frame below it is at
 * an instruction that C carries out.  The one on top is so too where C code made the switch itself.
 *
 * The function that was called stands on that frame's value stack, whose height is not stored while C is
 * busy.  It is computed from the code: calls hold their operands, the function last, until they are done.
 * For other instructions the answer is a str.
 */
#include "slp_module.h"
#include "slp_protocol.h"
#include "slp_shims.h"
#include "slp_support.h"

/* --- the height of the value stack --- */

typedef struct {
    const _Py_CODEUNIT *code;
    int size;
    int16_t *depth;                    /* before each instruction; -1: not reached, or no instruction */
    bool changed;
} analysis;

static void
reach(analysis *a, int index, int depth)
{
    if (index >= 0 && index < a->size && a->depth[index] < 0 && depth >= 0) {
        a->depth[index] = (int16_t)depth;
        a->changed = true;
    }
}

/* Where a jump leads, counted from the instruction behind it and its caches; 0: it is none. */
static int
jump_distance(int opcode, int oparg)
{
    switch (opcode) {
    case JUMP_BACKWARD: case JUMP_BACKWARD_NO_INTERRUPT: case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE: case POP_JUMP_BACKWARD_IF_NONE: case POP_JUMP_BACKWARD_IF_NOT_NONE:
        return -oparg;
    case JUMP_FORWARD: case POP_JUMP_FORWARD_IF_TRUE: case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_NONE: case POP_JUMP_FORWARD_IF_NOT_NONE: case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP: case FOR_ITER: case SEND:
        return oparg;
    default:
        return 0;
    }
}

static int
effect(int opcode, int oparg, bool jump)
{
    if (opcode == RETURN_GENERATOR) {
        return 1;   /* what the generator is resumed with */
    }
    return PyCompile_OpcodeStackEffectWithJump(opcode, opcode >= HAVE_ARGUMENT ? oparg : 0, jump);
}

static bool
falls_through(int opcode)
{
    return opcode != JUMP_BACKWARD && opcode != JUMP_BACKWARD_NO_INTERRUPT && opcode != JUMP_FORWARD
           && opcode != RETURN_VALUE && opcode != RAISE_VARARGS && opcode != RERAISE;
}

/* One pass over the code; the instruction at `wanted`, if it was reached, goes to *opcode and *oparg. */
static void
pass(analysis *a, PyCodeObject *code, int wanted, int *opcode_out, int *oparg_out)
{
    int oparg = 0;
    for (int i = 0; i < a->size;) {
        int opcode = _PyOpcode_Deopt[_Py_OPCODE(a->code[i])];
        oparg = oparg << 8 | _Py_OPARG(a->code[i]);
        int next = i + 1 + _PyOpcode_Caches[opcode];
        int depth = a->depth[i];
        if (depth >= 0) {
            int level, handler;
            bool push_lasti;
            if (i == wanted) {
                *opcode_out = opcode;
                *oparg_out = oparg;
            }
            if (slp_find_handler(code, i, &level, &handler, &push_lasti)) {
                reach(a, handler, level + push_lasti + 1);
            }
            if (opcode == EXTENDED_ARG) {
                reach(a, next, depth);
            }
            else {
                int distance = jump_distance(opcode, oparg);
                if (distance != 0) {
                    reach(a, next + distance, depth + effect(opcode, oparg, true));
                }
                if (falls_through(opcode)) {
                    reach(a, next, depth + effect(opcode, oparg, false));
                }
            }
        }
        if (opcode != EXTENDED_ARG) {
            oparg = 0;
        }
        i = next;
    }
}

/* The height of the value stack before the instruction at `index`, and that instruction.  -1: unknown. */
static int
stack_depth(PyCodeObject *code, int index, int *opcode, int *oparg)
{
    analysis a = {.code = _PyCode_CODE(code), .size = (int)Py_SIZE(code)};
    *opcode = -1;
    if (index < 0 || index >= a.size) {
        return -1;
    }
    a.depth = PyMem_Malloc((size_t)a.size * sizeof(int16_t));
    if (a.depth == NULL) {
        return -1;
    }
    for (int i = 0; i < a.size; i++) {
        a.depth[i] = -1;
    }
    a.depth[0] = 0;
    do {
        a.changed = false;
        pass(&a, code, index, opcode, oparg);
    } while (a.changed);
    int depth = a.depth[index];
    PyMem_Free(a.depth);
    return depth;
}

/* --- words for instructions --- */

static const char *const operators[] = {
    [NB_ADD] = "+", [NB_AND] = "&", [NB_FLOOR_DIVIDE] = "//", [NB_LSHIFT] = "<<", [NB_MATRIX_MULTIPLY] = "@",
    [NB_MULTIPLY] = "*", [NB_REMAINDER] = "%", [NB_OR] = "|", [NB_POWER] = "**", [NB_RSHIFT] = ">>",
    [NB_SUBTRACT] = "-", [NB_TRUE_DIVIDE] = "/", [NB_XOR] = "^", [NB_INPLACE_ADD] = "+=",
    [NB_INPLACE_AND] = "&=", [NB_INPLACE_FLOOR_DIVIDE] = "//=", [NB_INPLACE_LSHIFT] = "<<=",
    [NB_INPLACE_MATRIX_MULTIPLY] = "@=", [NB_INPLACE_MULTIPLY] = "*=", [NB_INPLACE_REMAINDER] = "%=",
    [NB_INPLACE_OR] = "|=", [NB_INPLACE_POWER] = "**=", [NB_INPLACE_RSHIFT] = ">>=",
    [NB_INPLACE_SUBTRACT] = "-=", [NB_INPLACE_TRUE_DIVIDE] = "/=", [NB_INPLACE_XOR] = "^=",
};

static const char *const comparisons[] = {"<", "<=", "==", "!=", ">", ">="};

/* What C does for an instruction that is no call: a new str. */
static PyObject *
describe_instruction(PyCodeObject *code, int opcode, int oparg)
{
    switch (opcode) {
    case BINARY_OP:
        if ((size_t)oparg < Py_ARRAY_LENGTH(operators)) {
            return PyUnicode_FromFormat("operator %s", operators[oparg]);
        }
        break;
    case COMPARE_OP:
        if ((size_t)oparg < Py_ARRAY_LENGTH(comparisons)) {
            return PyUnicode_FromFormat("operator %s", comparisons[oparg]);
        }
        break;
    case CONTAINS_OP:
        return PyUnicode_FromString("operator in");
    case UNARY_NEGATIVE: case UNARY_POSITIVE: case UNARY_INVERT:
        return PyUnicode_FromFormat("operator %s", opcode == UNARY_NEGATIVE ? "-" : opcode == UNARY_POSITIVE
                                                                                        ? "+" : "~");
    case LOAD_ATTR: case LOAD_METHOD: case STORE_ATTR: case DELETE_ATTR: case IMPORT_FROM:
        return PyUnicode_FromFormat("attribute %U", PyTuple_GET_ITEM(code->co_names, oparg));
    case IMPORT_NAME:
        return PyUnicode_FromFormat("import %U", PyTuple_GET_ITEM(code->co_names, oparg));
    case BINARY_SUBSCR: case STORE_SUBSCR: case DELETE_SUBSCR:
        return PyUnicode_FromString("subscript");
    case FOR_ITER: case GET_ITER: case UNPACK_SEQUENCE: case UNPACK_EX: case LIST_EXTEND: case SET_UPDATE:
    case GET_AITER: case GET_ANEXT: case GET_YIELD_FROM_ITER: case LIST_TO_TUPLE:
        return PyUnicode_FromString("iteration");
    case SEND: case GET_AWAITABLE:
        return PyUnicode_FromString("await or yield from");
    case BEFORE_WITH: case BEFORE_ASYNC_WITH: case WITH_EXCEPT_START:
        return PyUnicode_FromString("with");
    case FORMAT_VALUE:
        return PyUnicode_FromString("format");
    case MATCH_CLASS: case MATCH_KEYS: case MATCH_MAPPING: case MATCH_SEQUENCE:
        return PyUnicode_FromString("match");
    case MAP_ADD: case SET_ADD: case BUILD_MAP: case BUILD_SET: case DICT_UPDATE: case DICT_MERGE:
    case BUILD_CONST_KEY_MAP:
        return PyUnicode_FromString("hash");
    case UNARY_NOT: case POP_JUMP_FORWARD_IF_FALSE: case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE: case POP_JUMP_BACKWARD_IF_TRUE: case JUMP_IF_FALSE_OR_POP:
    case JUMP_IF_TRUE_OR_POP:
        return PyUnicode_FromString("truth test");
    default:
        break;
    }
    return PyUnicode_FromString("destructor, signal handler or callback");
}

/* What C is busy with at the instruction where `frame` stands: a new reference, NULL with MemoryError. */
static PyObject *
describe(_PyInterpreterFrame *frame)
{
    PyCodeObject *code = frame->f_code;
    if (slp_is_shim(frame)) {
        PyObject *asked_for = slp_protocol_callee(frame);
        return Py_NewRef(asked_for != NULL ? asked_for : code->co_name);
    }
    int oparg = 0, opcode;
    int depth = stack_depth(code, _PyInterpreterFrame_LASTI(frame), &opcode, &oparg);
    int below = -1;                    /* values below the callable's slot, or its method's */
    if (depth >= 0) {
        below = opcode == CALL ? depth - 2
                : opcode == PRECALL ? depth - oparg - 2
                : opcode == CALL_FUNCTION_EX ? depth - 3 - (oparg & 1) : -1;
    }
    if (below >= 0 && below + 2 <= code->co_stacksize) {
        PyObject **slot = frame->localsplus + code->co_nlocalsplus + below;
        PyObject *callable = opcode != CALL_FUNCTION_EX && slot[0] != NULL ? slot[0] : slot[1];
        /* It has no references while its own destructor runs. */
        if (callable != NULL && Py_REFCNT(callable) > 0) {
            return Py_NewRef(callable);
        }
    }
    if (below >= 0) {
        return PyUnicode_FromString("call");
    }
    return describe_instruction(code, opcode, oparg);
}

/* --- the frames of a tasklet --- */

/* Its newest frame, and whether C code made the switch there. */
static _PyInterpreterFrame *
newest_frame(PyTaskletObject *t, bool *in_c)
{
    *in_c = false;
    if (t->thread->tstate == NULL) {
        return NULL;
    }
    if (t->thread->current == t) {
        return t->thread->tstate->cframe->current_frame;
    }
    *in_c = t->flags.pinned && t->frame != NULL && t->carrier->in_c;
    return t->frame;
}

int
slp_nesting_level(PyTaskletObject *t)
{
    bool in_c;
    int level = 0;
    for (_PyInterpreterFrame *frame = newest_frame(t, &in_c); frame != NULL; frame = frame->previous) {
        level += frame->is_entry && frame->previous != NULL;
    }
    return level + in_c;
}

PyObject *
slp_pinned_by(PyTaskletObject *t)
{
    bool in_c;
    _PyInterpreterFrame *frame = newest_frame(t, &in_c);
    while (frame != NULL && !in_c) {
        in_c = frame->is_entry;
        frame = frame->previous;
    }
    return frame != NULL ? describe(frame) : Py_NewRef(Py_None);
}
