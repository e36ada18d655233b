/* Code objects taken apart and checked instruction by instruction (slp_stackmap_code.h). */
#include "slp_stackmap_code.h"

#include "slp_opcodes.h"

/* Frames are measured in ints. */
#define MOST_SLOTS (1 << 24)

static const char *const opnames[256] = {
#define NAME(name) [name] = #name,
    SLP_GENERIC_INSTRUCTIONS(NAME)
#undef NAME
};

const char *
slp_code_opname(int opcode)
{
    return opnames[opcode] != NULL ? opnames[opcode] : "an unknown instruction";
}

int
slp_code_error(const slp_code *code, int unit, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    PyObject *what = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (what != NULL) {
        PyErr_Format(PyExc_ValueError, "code of %U (file %R, line %d), offset %zd: %U",
                     code->object->co_qualname, code->object->co_filename, code->object->co_firstlineno,
                     unit * (Py_ssize_t)sizeof(_Py_CODEUNIT), what);
        Py_DECREF(what);
    }
    return -1;
}

/* --- instructions --- */

/* How an instruction jumps: 1 forward, -1 backward, 0 not at all. */
static int
jump_direction(int opcode)
{
    switch (opcode) {
    case JUMP_FORWARD:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
    case FOR_ITER:
    case SEND:
        return 1;
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
        return -1;
    default:
        return 0;
    }
}

static bool
is_end(int opcode)
{
    return opcode == RETURN_VALUE || opcode == RERAISE || opcode == RAISE_VARARGS || opcode == JUMP_FORWARD
           || opcode == JUMP_BACKWARD || opcode == JUMP_BACKWARD_NO_INTERRUPT;
}

void
slp_code_insn(const slp_code *code, int unit, slp_insn *insn)
{
    insn->start = unit;
    while (code->units[unit].opcode == EXTENDED_ARG) {
        unit++;
    }
    insn->opcode = code->units[unit].opcode;
    insn->oparg = code->units[unit].oparg;
    insn->next = unit + 1 + _PyOpcode_Caches[insn->opcode];
    int direction = jump_direction(insn->opcode);
    insn->jumps = direction != 0;
    insn->target = direction == 0 ? -1 : insn->next + direction * insn->oparg;
    insn->ends = is_end(insn->opcode);
}

/* --- arguments --- */

static bool
has_name(const slp_code *code, int index)
{
    return index < PyTuple_GET_SIZE(code->object->co_names);
}

/* Is there a local variable `index`, and is it, or is it not, in a cell? */
static bool
has_local(const slp_code *code, int index, bool in_cell)
{
    if (index >= code->object->co_nlocalsplus) {
        return false;
    }
    _PyLocals_Kind kind = _PyLocals_GetKind(code->object->co_localspluskinds, index);
    return ((kind & (CO_FAST_CELL | CO_FAST_FREE)) != 0) == in_cell;
}

static bool
is_tuple_of_str(PyObject *names)
{
    if (!PyTuple_CheckExact(names)) {
        return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(names); i++) {
        if (!PyUnicode_Check(PyTuple_GET_ITEM(names, i))) {
            return false;
        }
    }
    return true;
}

/* Is the argument one that the instruction can have? */
static bool
argument_fits(const slp_code *code, int opcode, int oparg)
{
    switch (opcode) {
    case LOAD_CONST:
        return oparg < PyTuple_GET_SIZE(code->object->co_consts);
    case KW_NAMES:
        return oparg < PyTuple_GET_SIZE(code->object->co_consts)
               && is_tuple_of_str(PyTuple_GET_ITEM(code->object->co_consts, oparg));
    case LOAD_GLOBAL:
        return has_name(code, oparg >> 1);
    case LOAD_NAME:
    case STORE_NAME:
    case DELETE_NAME:
    case STORE_GLOBAL:
    case DELETE_GLOBAL:
    case LOAD_ATTR:
    case STORE_ATTR:
    case DELETE_ATTR:
    case LOAD_METHOD:
    case IMPORT_NAME:
    case IMPORT_FROM:
        return has_name(code, oparg);
    case LOAD_FAST:
    case STORE_FAST:
    case DELETE_FAST:
        return has_local(code, oparg, false);
    case LOAD_CLOSURE:
    case LOAD_DEREF:
    case STORE_DEREF:
    case DELETE_DEREF:
        return has_local(code, oparg, true);
    case LOAD_CLASSDEREF:
        return has_local(code, oparg, true)
               && (_PyLocals_GetKind(code->object->co_localspluskinds, oparg) & CO_FAST_FREE);
    case MAKE_CELL:
        return has_local(code, oparg, true)
               && (_PyLocals_GetKind(code->object->co_localspluskinds, oparg) & CO_FAST_CELL);
    case COPY_FREE_VARS:
        return oparg > 0 && oparg == code->object->co_nfreevars;
    case BINARY_OP:
        return oparg <= NB_INPLACE_XOR;
    case COMPARE_OP:
        return oparg <= Py_GE;
    case IS_OP:
    case CONTAINS_OP:
    case CALL_FUNCTION_EX:
        return oparg <= 1;
    case GET_AWAITABLE:
    case RAISE_VARARGS:
    case RERAISE:
        return oparg <= 2;
    case RESUME:
        return oparg <= 3;
    case BUILD_SLICE:
        return oparg == 2 || oparg == 3;
    case FORMAT_VALUE:
        return oparg <= (FVC_MASK | FVS_MASK);
    case MAKE_FUNCTION:
        return oparg <= 15;
    case COPY:
    case SWAP:
    case LIST_APPEND:
    case SET_ADD:
    case MAP_ADD:
    case LIST_EXTEND:
    case SET_UPDATE:
    case DICT_UPDATE:
    case DICT_MERGE:
        return oparg >= 1 && oparg < MOST_SLOTS;
    default:
        return oparg < MOST_SLOTS;
    }
}

/* Read the instruction that begins at `unit`; its units and caches are filled in.  The unit behind it, or
 * -1. */
static int
scan_instruction(slp_code *code, const _Py_CODEUNIT *words, int unit)
{
    const int start = unit;
    int64_t oparg = 0;
    code->units[unit].is_start = true;
    while (_Py_OPCODE(words[unit]) == EXTENDED_ARG) {
        oparg = oparg << 8 | _Py_OPARG(words[unit]);
        if (oparg == 0 || unit - start == 3) {
            return slp_code_error(code, unit, "EXTENDED_ARG extends nothing");
        }
        code->units[unit].opcode = EXTENDED_ARG;
        if (++unit == code->unit_count) {
            return slp_code_error(code, start, "the code ends in the middle of an instruction");
        }
    }
    int opcode = _Py_OPCODE(words[unit]);
    oparg = oparg << 8 | _Py_OPARG(words[unit]);
    if (opnames[opcode] == NULL || opcode == CACHE) {
        return slp_code_error(code, unit, "there is no instruction with opcode %d", opcode);
    }
    if (oparg > INT32_MAX / 4 || !argument_fits(code, opcode, (int)oparg)) {
        return slp_code_error(code, unit, "%s cannot have the argument %lld", opnames[opcode],
                              (long long)oparg);
    }
    code->units[unit].opcode = (uint8_t)opcode;
    code->units[unit].oparg = (int)oparg;
    for (int i = _PyOpcode_Caches[opcode]; i > 0; i--) {
        if (++unit == code->unit_count || words[unit] != 0) {
            return slp_code_error(code, start, "%s is not followed by empty caches", opnames[opcode]);
        }
    }
    return unit + 1;
}

/* Instructions that come in pairs. */
static int
check_neighbours(slp_code *code, const slp_insn *insn)
{
    slp_insn next;
    switch (insn->opcode) {
    case KW_NAMES:
        slp_code_insn(code, insn->next, &next);
        if (next.opcode != PRECALL
            || PyTuple_GET_SIZE(PyTuple_GET_ITEM(code->object->co_consts, insn->oparg)) > next.oparg) {
            return slp_code_error(code, insn->start, "KW_NAMES has no call with that many arguments");
        }
        return 0;
    case PRECALL:
        slp_code_insn(code, insn->next, &next);
        if (next.opcode != CALL || next.oparg != insn->oparg) {
            return slp_code_error(code, insn->start, "PRECALL has no CALL");
        }
        return 0;
    case YIELD_VALUE:
        slp_code_insn(code, insn->next, &next);
        if (next.opcode != RESUME || next.oparg == 0) {
            return slp_code_error(code, insn->start, "YIELD_VALUE has no RESUME");
        }
        if (!(code->object->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR))) {
            return slp_code_error(code, insn->start, "YIELD_VALUE is not in a generator");
        }
        return 0;
    case SEND:
        slp_code_insn(code, insn->next, &next);
        if (next.opcode != YIELD_VALUE || code->units[insn->start].opcode == EXTENDED_ARG) {
            return slp_code_error(code, insn->start, "SEND has no YIELD_VALUE");
        }
        return 0;
    default:
        return 0;
    }
}

/* A jump or a handler at `from` leads to `target`. */
static int
add_target(slp_code *code, int from, int target)
{
    if (target < code->body || target >= code->unit_count || !code->units[target].is_start) {
        return slp_code_error(code, from, "it leads to offset %lld, where no instruction begins",
                              (long long)target * (long long)sizeof(_Py_CODEUNIT));
    }
    code->units[target].leader = 0; /* numbered later */
    return 0;
}

/* --- the prefix --- */

/* What stands before the function's own code. */
static int
check_prefix(slp_code *code)
{
    PyCodeObject *co = code->object;
    slp_insn insn;
    int unit = 0;
    int cells_left = co->co_ncellvars;
    const int generator = co->co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR);
    slp_code_insn(code, 0, &insn);
    if (co->co_nfreevars > 0) {
        if (insn.opcode != COPY_FREE_VARS) {
            return slp_code_error(code, 0, "it does not begin with COPY_FREE_VARS");
        }
        unit = insn.next;
        for (int i = co->co_nlocalsplus - co->co_nfreevars; i < co->co_nlocalsplus; i++) {
            code->cell_made_by[i] = unit;
        }
    }
    for (; unit < code->unit_count; unit = insn.next) {
        slp_code_insn(code, unit, &insn);
        if (insn.opcode != MAKE_CELL) {
            break;
        }
        if (code->cell_made_by[insn.oparg] != 0) {
            return slp_code_error(code, unit, "MAKE_CELL makes a cell again");
        }
        code->cell_made_by[insn.oparg] = insn.next;
        cells_left--;
    }
    if (cells_left != 0) {
        return slp_code_error(code, unit, "it does not make all of its cells");
    }
    if (generator != 0) {
        if ((generator & (generator - 1)) != 0) {
            return slp_code_error(code, unit, "it is several kinds of generator at once");
        }
        if (unit + 1 >= code->unit_count || code->units[unit].opcode != RETURN_GENERATOR
            || code->units[unit + 1].opcode != POP_TOP) {
            return slp_code_error(code, unit, "there is no RETURN_GENERATOR");
        }
        unit += 2;
    }
    if (unit >= code->unit_count || code->units[unit].opcode != RESUME || code->units[unit].oparg != 0) {
        return slp_code_error(code, unit, "there is no RESUME 0");
    }
    code->body = unit;
    for (unit++; unit < code->unit_count; unit = insn.next) {
        slp_code_insn(code, unit, &insn);
        if (insn.opcode == COPY_FREE_VARS || insn.opcode == MAKE_CELL || insn.opcode == RETURN_GENERATOR
            || (insn.opcode == RESUME && insn.oparg == 0)) {
            return slp_code_error(code, unit, "%s belongs to the beginning", opnames[insn.opcode]);
        }
    }
    return 0;
}

/* --- the table of exception handlers --- */

/* A number of the table: six bits a byte, the highest first.  -1 where it is malformed. */
static int64_t
read_number(const uint8_t **p, const uint8_t *end, bool first)
{
    int64_t number = 0;
    for (int length = 0; *p < end && length < 5; length++) {
        uint8_t byte = *(*p)++;
        if (((byte & 0x80) != 0) != (first && length == 0)) {
            return -1;
        }
        number = number << 6 | (byte & 0x3F);
        if (!(byte & 0x40)) {
            return number;
        }
    }
    return -1;
}

static int
scan_handlers(slp_code *code)
{
    PyObject *table = code->object->co_exceptiontable;
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(table);
    const uint8_t *end = p + PyBytes_GET_SIZE(table);
    int last_end = 0;
    /* A row takes four bytes at least. */
    code->handlers = PyMem_New(slp_handler, (size_t)PyBytes_GET_SIZE(table) / 4 + 1);
    if (code->handlers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (p < end) {
        int64_t start = read_number(&p, end, true);
        int64_t size = read_number(&p, end, false);
        int64_t target = read_number(&p, end, false);
        int64_t rest = read_number(&p, end, false);
        if (start < 0 || size <= 0 || target < 0 || rest < 0) {
            return slp_code_error(code, last_end, "the table of exception handlers is malformed");
        }
        if (start < last_end || start < code->body || start + size > code->unit_count
            || !code->units[start].is_start
            || (start + size < code->unit_count && !code->units[start + size].is_start)) {
            return slp_code_error(code, last_end, "the table of exception handlers covers %lld to %lld",
                                  (long long)start * 2, (long long)(start + size) * 2);
        }
        if ((rest >> 1) + (rest & 1) + 1 > code->object->co_stacksize) {
            return slp_code_error(code, (int)start, "its handler wants more than the stack of %d takes",
                                  code->object->co_stacksize);
        }
        if (target > INT32_MAX || add_target(code, (int)start, (int)target) < 0) {
            return target > INT32_MAX ? slp_code_error(code, (int)start, "its handler is nowhere") : -1;
        }
        for (int64_t unit = start; unit < start + size; unit++) {
            code->units[unit].handler = code->handler_count;
        }
        last_end = (int)(start + size);
        code->handlers[code->handler_count++] = (slp_handler){
            .start = (int)start,
            .end = last_end,
            .target = (int)target,
            .depth = (int)(rest >> 1),
            .lasti = rest & 1,
        };
    }
    return 0;
}

/* --- the table of lines --- */

/* How many numbers follow the first byte of an entry of a kind; `bytes`: plain ones. */
static void
payload_of(int kind, int *numbers, int *bytes)
{
    *numbers = kind == 14 ? 4 : kind == 13 ? 1 : 0;
    *bytes = kind < 10 ? 1 : kind < 13 ? 2 : 0;
}

/* Pass over the rest of an entry of a kind.  NULL where it does not end as it should. */
static const uint8_t *
skip_payload(const uint8_t *p, const uint8_t *end, int kind)
{
    int numbers, bytes;
    payload_of(kind, &numbers, &bytes);
    for (; bytes > 0; bytes--) {
        if (p == end || (*p++ & 0x80)) {
            return NULL;
        }
    }
    for (; numbers > 0; numbers--) {
        int length = 0;
        while (p < end && (*p & 0xC0) == 0x40 && length < 5) {
            length++;
            p++;
        }
        if (p == end || (*p++ & 0xC0) != 0) {
            return NULL;
        }
    }
    return p;
}

/* The base reads this table without looking for its end. */
static int
check_lines(slp_code *code)
{
    PyObject *table = code->object->co_linetable;
    const uint8_t *p = (const uint8_t *)PyBytes_AS_STRING(table);
    const uint8_t *end = p + PyBytes_GET_SIZE(table);
    int64_t covered = 0;
    while (p != NULL && p < end && (*p & 0x80)) {
        covered += (*p & 7) + 1;
        int kind = (*p >> 3) & 15;
        p = skip_payload(p + 1, end, kind);
    }
    if (p != end || covered != code->unit_count) {
        return slp_code_error(code, (int)Py_MIN(covered, code->unit_count),
                              "the table of lines is malformed");
    }
    return 0;
}

/* --- all of it --- */

static int
number_leaders(slp_code *code)
{
    int count = 0;
    code->units[0].leader = 0;
    for (int unit = 0; unit < code->unit_count; unit++) {
        if (code->units[unit].leader == 0) {
            code->units[unit].leader = count++;
        }
    }
    code->leader_units = PyMem_New(int, count);
    if (code->leader_units == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (int unit = 0; unit < code->unit_count; unit++) {
        if (code->units[unit].leader >= 0) {
            code->leader_units[code->units[unit].leader] = unit;
        }
    }
    code->leader_count = count;
    return 0;
}

static int
scan_units(slp_code *code, const _Py_CODEUNIT *words)
{
    slp_insn insn;
    if (code->unit_count == 0) {
        return slp_code_error(code, 0, "there is no code");
    }
    for (int unit = 0; unit < code->unit_count; unit++) {
        code->units[unit] = (slp_unit){.leader = -1, .handler = -1};
    }
    for (int unit = 0; unit < code->unit_count;) {
        unit = scan_instruction(code, words, unit);
        if (unit < 0) {
            return -1;
        }
    }
    /* No instruction that goes on may be the last one. */
    int last = code->unit_count - 1;
    while (!code->units[last].is_start) {
        last--;
    }
    slp_code_insn(code, last, &insn);
    if (!insn.ends) {
        return slp_code_error(code, last, "it leads past the end of the code");
    }
    if (check_prefix(code) < 0) {
        return -1;
    }
    for (int unit = 0; unit < code->unit_count; unit = insn.next) {
        slp_code_insn(code, unit, &insn);
        if (check_neighbours(code, &insn) < 0
            || (insn.jumps && add_target(code, unit, insn.target) < 0)) {
            return -1;
        }
    }
    return 0;
}

int
slp_code_scan(slp_code *result, PyCodeObject *code)
{
    result->object = code;
    if (code->co_stacksize > MOST_SLOTS || code->co_nlocalsplus > MOST_SLOTS
        || Py_SIZE(code) > INT32_MAX / 4) {
        return slp_code_error(result, 0, "its frames are too large");
    }
    /* The base adds these up as ints. */
    int64_t arguments = (int64_t)code->co_argcount + code->co_kwonlyargcount
                        + ((code->co_flags & CO_VARARGS) != 0) + ((code->co_flags & CO_VARKEYWORDS) != 0);
    if (arguments > code->co_nlocals) {
        return slp_code_error(result, 0, "it has more arguments than variables");
    }
    const bool fresh = code->co_warmup != 0; /* not specialised so far */
    PyObject *generic = fresh ? NULL : _PyCode_GetCode(code);
    if (!fresh && generic == NULL) {
        return -1;
    }
    const _Py_CODEUNIT *words = fresh ? _PyCode_CODE(code) : (const _Py_CODEUNIT *)PyBytes_AS_STRING(generic);
    int failed = -1;
    result->unit_count = (int)Py_SIZE(code);
    result->units = PyMem_New(slp_unit, (size_t)result->unit_count + 1);
    result->cell_made_by = PyMem_Calloc((size_t)code->co_nlocalsplus + 1, sizeof(int));
    if (result->units == NULL || result->cell_made_by == NULL) {
        PyErr_NoMemory();
    }
    else {
        failed = scan_units(result, words) < 0 || scan_handlers(result) < 0 || check_lines(result) < 0
                         || number_leaders(result) < 0
                     ? -1
                     : 0;
    }
    Py_XDECREF(generic);
    return failed;
}

void
slp_code_free(slp_code *code)
{
    PyMem_Free(code->units);
    PyMem_Free(code->leader_units);
    PyMem_Free(code->handlers);
    PyMem_Free(code->cell_made_by);
}
