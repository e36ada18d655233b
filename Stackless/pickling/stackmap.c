/* Stack maps: which instructions stand where, and what is on the stack before each (slp_stackmap.h).
 *
 * States are kept for leaders only: the first instruction and the targets of jumps and handlers.  The others'
 * are found by going on from the last leader before them, so that a map of long straight code stays small.
 */
#include "slp_stackmap.h"

#include "slp_pickle.h"
#include "slp_scheduler.h"
#include "slp_stackmap_code.h"

/* Depth and kinds before a leader, once a path has led there. */
typedef struct {
    int depth;    /* -1: not reached */
    bool pending; /* to be gone on from */
    slp_slot *slots;
} leader_state;

struct slp_stackmap {
    slp_code code;
    leader_state *leaders; /* by number of the leader */
    int leader_count;
    int *todo; /* stack of the pending ones */
    int todo_count;
    /* The abstract machine */
    slp_slot *stack; /* co_stacksize slots and one to spare */
    int depth;
};

static const char letters[] = "oN?iexldtcCf";

static const char *const kind_names[] = {
    [SLP_SLOT_OBJECT] = "an object",
    [SLP_SLOT_NULL] = "NULL",
    [SLP_SLOT_OBJECT_OR_NULL] = "an object or NULL",
    [SLP_SLOT_LASTI] = "the position of an instruction",
    [SLP_SLOT_EXCEPTION] = "an exception",
    [SLP_SLOT_EXCEPTION_OR_NONE] = "an exception or None",
    [SLP_SLOT_LIST] = "a list",
    [SLP_SLOT_DICT] = "a dict",
    [SLP_SLOT_TUPLE] = "a tuple",
    [SLP_SLOT_CELL] = "a cell",
    [SLP_SLOT_CELLS] = "a tuple of cells",
    [SLP_SLOT_CODE] = "a code object",
};

/* --- kinds --- */

#define KIND(k) ((slp_slot){.kind = (k), .count = -1})
#define OBJECT  KIND(SLP_SLOT_OBJECT)

static bool
never_null(slp_slot slot)
{
    return slot.kind != SLP_SLOT_NULL && slot.kind != SLP_SLOT_OBJECT_OR_NULL;
}

/* The kind of a value that is of one or the other. */
static slp_slot
join(slp_slot a, slp_slot b)
{
    if (a.kind == b.kind) {
        if (a.count == b.count) {
            return a;
        }
        return a.kind == SLP_SLOT_TUPLE ? KIND(SLP_SLOT_TUPLE) : OBJECT;
    }
    if (!never_null(a) || !never_null(b)) {
        return KIND(SLP_SLOT_OBJECT_OR_NULL);
    }
    bool exceptions = (a.kind == SLP_SLOT_EXCEPTION && b.kind == SLP_SLOT_EXCEPTION_OR_NONE)
                      || (b.kind == SLP_SLOT_EXCEPTION && a.kind == SLP_SLOT_EXCEPTION_OR_NONE);
    return exceptions ? KIND(SLP_SLOT_EXCEPTION_OR_NONE) : OBJECT;
}

/* Does a value of kind `slot` do where `wanted` is? */
static bool
fits(slp_slot slot, slp_slot_kind wanted)
{
    switch (wanted) {
    case SLP_SLOT_OBJECT_OR_NULL:
        return true;
    case SLP_SLOT_OBJECT:
        return never_null(slot);
    case SLP_SLOT_EXCEPTION_OR_NONE:
        return slot.kind == SLP_SLOT_EXCEPTION || slot.kind == SLP_SLOT_EXCEPTION_OR_NONE;
    case SLP_SLOT_TUPLE:
        return slot.kind == SLP_SLOT_TUPLE || slot.kind == SLP_SLOT_CELLS;
    default:
        return slot.kind == wanted;
    }
}

/* --- the abstract machine --- */

static int
push(slp_stackmap *map, const slp_insn *insn, slp_slot slot)
{
    if (map->depth >= map->code.object->co_stacksize) {
        return slp_code_error(&map->code, insn->start, "%s pushes more than the stack of %d takes",
                              slp_code_opname(insn->opcode), map->code.object->co_stacksize);
    }
    map->stack[map->depth++] = slot;
    return 0;
}

static int
push_objects(slp_stackmap *map, const slp_insn *insn, int64_t count)
{
    while (count-- > 0) {
        if (push(map, insn, OBJECT) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The slot `below` the top (1: the top) must exist and do for `wanted`. */
static int
want(slp_stackmap *map, const slp_insn *insn, int64_t below, slp_slot_kind wanted)
{
    if (below > map->depth) {
        return slp_code_error(&map->code, insn->start, "%s takes %lld values from a stack of %d",
                              slp_code_opname(insn->opcode), (long long)below, map->depth);
    }
    if (!fits(map->stack[map->depth - below], wanted)) {
        return slp_code_error(&map->code, insn->start, "%s finds %s on the stack, not %s",
                              slp_code_opname(insn->opcode), kind_names[map->stack[map->depth - below].kind],
                              kind_names[wanted]);
    }
    return 0;
}

static int
pop(slp_stackmap *map, const slp_insn *insn, slp_slot_kind wanted)
{
    if (want(map, insn, 1, wanted) < 0) {
        return -1;
    }
    map->depth--;
    return 0;
}

static int
pop_objects(slp_stackmap *map, const slp_insn *insn, int64_t count)
{
    if (count > map->depth) {
        return want(map, insn, count, SLP_SLOT_OBJECT);
    }
    while (count-- > 0) {
        if (pop(map, insn, SLP_SLOT_OBJECT) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Take `taken` objects, push `given`. */
static int
exchange(slp_stackmap *map, const slp_insn *insn, int64_t taken, int64_t given)
{
    return pop_objects(map, insn, taken) < 0 ? -1 : push_objects(map, insn, given);
}

/* The same, with a result of a known kind. */
static int
exchange_for(slp_stackmap *map, const slp_insn *insn, int64_t taken, slp_slot slot)
{
    return pop_objects(map, insn, taken) < 0 ? -1 : push(map, insn, slot);
}

static int
build_tuple(slp_stackmap *map, const slp_insn *insn)
{
    bool cells = insn->oparg > 0;
    for (int64_t i = 1; cells && i <= insn->oparg && i <= map->depth; i++) {
        cells = map->stack[map->depth - i].kind == SLP_SLOT_CELL;
    }
    slp_slot tuple = {.kind = cells ? SLP_SLOT_CELLS : SLP_SLOT_TUPLE, .count = (int)insn->oparg};
    return exchange_for(map, insn, insn->oparg, tuple);
}

static int
make_function(slp_stackmap *map, const slp_insn *insn)
{
    if (pop(map, insn, SLP_SLOT_CODE) < 0) {
        return -1;
    }
    int cells = 0;
    int free_vars = map->stack[map->depth].count;
    if (insn->oparg & 0x08) {
        if (pop(map, insn, SLP_SLOT_CELLS) < 0) {
            return -1;
        }
        cells = map->stack[map->depth].count;
    }
    if (cells != free_vars) {
        return slp_code_error(&map->code, insn->start, "MAKE_FUNCTION has %d cells for %d free variables",
                              cells, free_vars);
    }
    if (insn->oparg & 0x04) {
        if (pop(map, insn, SLP_SLOT_TUPLE) < 0) {
            return -1;
        }
        if (map->stack[map->depth].count < 0 || map->stack[map->depth].count % 2 != 0) {
            return slp_code_error(&map->code, insn->start,
                                  "MAKE_FUNCTION finds annotations that are not pairs");
        }
    }
    if ((insn->oparg & 0x02) && pop(map, insn, SLP_SLOT_DICT) < 0) {
        return -1;
    }
    if ((insn->oparg & 0x01) && pop(map, insn, SLP_SLOT_TUPLE) < 0) {
        return -1;
    }
    return push(map, insn, OBJECT);
}

static slp_slot
kind_of_constant(PyObject *constant)
{
    if (PyTuple_CheckExact(constant)) {
        return (slp_slot){.kind = SLP_SLOT_TUPLE, .count = (int)PyTuple_GET_SIZE(constant)};
    }
    if (PyCode_Check(constant)) {
        return (slp_slot){.kind = SLP_SLOT_CODE, .count = ((PyCodeObject *)constant)->co_nfreevars};
    }
    return OBJECT;
}

/* The callable of a call with `count` arguments may stand on a NULL, or be a method below its self. */
static int
want_call(slp_stackmap *map, const slp_insn *insn, int64_t count)
{
    for (int64_t i = 1; i <= count + 1; i++) {
        if (want(map, insn, i, SLP_SLOT_OBJECT) < 0) {
            return -1;
        }
    }
    return want(map, insn, count + 2, SLP_SLOT_OBJECT_OR_NULL);
}

/* Apply an instruction to the stack, as it is where the instruction does not jump. */
static int
apply(slp_stackmap *map, const slp_insn *insn)
{
    const int64_t oparg = insn->oparg;
    switch (insn->opcode) {
    case NOP:
    case RESUME:
    case MAKE_CELL:
    case COPY_FREE_VARS:
    case JUMP_FORWARD:
    case JUMP_BACKWARD:
    case JUMP_BACKWARD_NO_INTERRUPT:
    case DELETE_FAST:
    case DELETE_DEREF:
    case DELETE_NAME:
    case DELETE_GLOBAL:
    case SETUP_ANNOTATIONS:
    case KW_NAMES:
        return 0;

    case POP_TOP:
    case STORE_FAST:
    case STORE_DEREF:
    case STORE_NAME:
    case STORE_GLOBAL:
    case DELETE_ATTR:
    case PRINT_EXPR:
    case IMPORT_STAR:
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
    case POP_JUMP_FORWARD_IF_NONE:
    case POP_JUMP_FORWARD_IF_NOT_NONE:
    case POP_JUMP_BACKWARD_IF_NONE:
    case POP_JUMP_BACKWARD_IF_NOT_NONE:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
    case RETURN_VALUE:
        return pop(map, insn, SLP_SLOT_OBJECT);

    case LOAD_CONST:
        return push(map, insn, kind_of_constant(PyTuple_GET_ITEM(map->code.object->co_consts, oparg)));
    case LOAD_FAST:
    case LOAD_DEREF:
    case LOAD_CLASSDEREF:
    case LOAD_NAME:
    case LOAD_BUILD_CLASS:
    case LOAD_ASSERTION_ERROR:
    case RETURN_GENERATOR:
        return push(map, insn, OBJECT);
    case LOAD_CLOSURE:
        return push(map, insn, KIND(SLP_SLOT_CELL));
    case PUSH_NULL:
        return push(map, insn, KIND(SLP_SLOT_NULL));
    case LOAD_GLOBAL:
        if ((oparg & 1) && push(map, insn, KIND(SLP_SLOT_NULL)) < 0) {
            return -1;
        }
        return push(map, insn, OBJECT);
    case LOAD_METHOD:
        return exchange_for(map, insn, 1, KIND(SLP_SLOT_OBJECT_OR_NULL)) < 0 ? -1 : push(map, insn, OBJECT);

    case COPY:
        return want(map, insn, oparg, SLP_SLOT_OBJECT) < 0 ? -1
                                                           : push(map, insn, map->stack[map->depth - oparg]);
    case SWAP: {
        if (want(map, insn, oparg, SLP_SLOT_OBJECT_OR_NULL) < 0) {
            return -1;
        }
        slp_slot top = map->stack[map->depth - 1];
        map->stack[map->depth - 1] = map->stack[map->depth - oparg];
        map->stack[map->depth - oparg] = top;
        return 0;
    }

    case UNARY_POSITIVE:
    case UNARY_NEGATIVE:
    case UNARY_NOT:
    case UNARY_INVERT:
    case LOAD_ATTR:
    case GET_ITER:
    case GET_YIELD_FROM_ITER:
    case GET_AITER:
    case GET_AWAITABLE:
    case ASYNC_GEN_WRAP:
        return exchange(map, insn, 1, 1);
    case YIELD_VALUE:
        return exchange(map, insn, 1, 1);
    case BINARY_OP:
    case BINARY_SUBSCR:
    case COMPARE_OP:
    case IS_OP:
    case CONTAINS_OP:
    case IMPORT_NAME:
        return exchange(map, insn, 2, 1);
    case STORE_SUBSCR:
        return exchange(map, insn, 3, 0);
    case DELETE_SUBSCR:
    case STORE_ATTR:
        return exchange(map, insn, 2, 0);
    case IMPORT_FROM:
    case GET_LEN:
    case MATCH_MAPPING:
    case MATCH_SEQUENCE:
    case GET_ANEXT:
    case FOR_ITER:
    case BEFORE_WITH:
    case BEFORE_ASYNC_WITH:
        return exchange(map, insn, 1, 2);
    case SEND:
        return exchange(map, insn, 2, 2);
    case MATCH_KEYS:
        return want(map, insn, 1, SLP_SLOT_TUPLE) < 0 || want(map, insn, 2, SLP_SLOT_OBJECT) < 0
                   ? -1
                   : push(map, insn, OBJECT);
    case MATCH_CLASS:
        return want(map, insn, 1, SLP_SLOT_TUPLE) < 0 ? -1 : exchange(map, insn, 3, 1);

    case BUILD_TUPLE:
        return build_tuple(map, insn);
    case BUILD_LIST:
        return exchange_for(map, insn, oparg, KIND(SLP_SLOT_LIST));
    case BUILD_SET:
    case BUILD_STRING:
    case BUILD_SLICE:
        return exchange(map, insn, oparg, 1);
    case BUILD_MAP:
        return exchange_for(map, insn, 2 * oparg, KIND(SLP_SLOT_DICT));
    case BUILD_CONST_KEY_MAP:
        return want(map, insn, 1, SLP_SLOT_TUPLE) < 0
                   ? -1
                   : exchange_for(map, insn, oparg + 1, KIND(SLP_SLOT_DICT));
    case LIST_TO_TUPLE:
        return pop(map, insn, SLP_SLOT_LIST) < 0 ? -1 : push(map, insn, KIND(SLP_SLOT_TUPLE));
    case FORMAT_VALUE:
        return exchange(map, insn, (oparg & FVS_MASK) == FVS_HAVE_SPEC ? 2 : 1, 1);
    case UNPACK_SEQUENCE:
        return exchange(map, insn, 1, oparg);
    case UNPACK_EX:
        return exchange(map, insn, 1, (oparg & 0xFF) + 1 + (oparg >> 8));
    case LIST_APPEND:
    case LIST_EXTEND:
        return pop(map, insn, SLP_SLOT_OBJECT) < 0 ? -1 : want(map, insn, oparg, SLP_SLOT_LIST);
    case SET_ADD:
    case SET_UPDATE:
        return pop(map, insn, SLP_SLOT_OBJECT) < 0 ? -1 : want(map, insn, oparg, SLP_SLOT_OBJECT);
    case MAP_ADD:
        return pop_objects(map, insn, 2) < 0 ? -1 : want(map, insn, oparg, SLP_SLOT_DICT);
    case DICT_MERGE:
        if (want(map, insn, 3 + oparg, SLP_SLOT_OBJECT) < 0) {
            return -1;
        }
        /* fall through */
    case DICT_UPDATE:
        return pop(map, insn, SLP_SLOT_OBJECT) < 0 ? -1 : want(map, insn, oparg, SLP_SLOT_DICT);

    case PRECALL:
        if (want_call(map, insn, oparg) < 0) {
            return -1;
        }
        if (map->stack[map->depth - oparg - 2].kind == SLP_SLOT_NULL) {
            map->stack[map->depth - oparg - 2] =
                KIND(SLP_SLOT_OBJECT_OR_NULL); /* a bound method, taken apart */
        }
        map->stack[map->depth - oparg - 1] = OBJECT;
        return 0;
    case CALL:
        if (want_call(map, insn, oparg) < 0) {
            return -1;
        }
        map->depth -= (int)oparg + 2;
        return push(map, insn, OBJECT);
    case CALL_FUNCTION_EX:
        if (want_call(map, insn, 1 + (oparg & 1)) < 0) {
            return -1;
        }
        map->depth -= 3 + (oparg & 1);
        return push(map, insn, OBJECT);
    case MAKE_FUNCTION:
        return make_function(map, insn);

    case RAISE_VARARGS:
        return pop_objects(map, insn, oparg);
    case RERAISE:
        if (oparg && want(map, insn, oparg + 1, SLP_SLOT_LASTI) < 0) {
            return -1;
        }
        return pop(map, insn, SLP_SLOT_EXCEPTION);
    case PUSH_EXC_INFO:
        return pop(map, insn, SLP_SLOT_EXCEPTION) < 0 || push(map, insn, KIND(SLP_SLOT_EXCEPTION_OR_NONE)) < 0
                   ? -1
                   : push(map, insn, KIND(SLP_SLOT_EXCEPTION));
    case POP_EXCEPT:
        return pop(map, insn, SLP_SLOT_EXCEPTION_OR_NONE);
    case CHECK_EXC_MATCH:
        return want(map, insn, 2, SLP_SLOT_OBJECT) < 0 ? -1 : exchange(map, insn, 1, 1);
    case CHECK_EG_MATCH:
        return pop(map, insn, SLP_SLOT_OBJECT) < 0 || pop(map, insn, SLP_SLOT_EXCEPTION_OR_NONE) < 0
                       || push(map, insn, KIND(SLP_SLOT_EXCEPTION_OR_NONE)) < 0
                   ? -1
                   : push(map, insn, KIND(SLP_SLOT_EXCEPTION_OR_NONE));
    case PREP_RERAISE_STAR:
        return pop(map, insn, SLP_SLOT_LIST) < 0 || pop(map, insn, SLP_SLOT_EXCEPTION) < 0
                   ? -1
                   : push(map, insn, KIND(SLP_SLOT_EXCEPTION_OR_NONE));
    case WITH_EXCEPT_START:
        return want(map, insn, 1, SLP_SLOT_EXCEPTION) < 0 || want(map, insn, 4, SLP_SLOT_OBJECT) < 0
                   ? -1
                   : push(map, insn, OBJECT);
    case END_ASYNC_FOR:
        return pop(map, insn, SLP_SLOT_EXCEPTION) < 0 ? -1 : pop(map, insn, SLP_SLOT_OBJECT);
    }
    return slp_code_error(&map->code, insn->start, "%s is not expected", slp_code_opname(insn->opcode));
}

/* How many values does the stack hold more after an instruction's jump than after going on? */
static int
jump_difference(int opcode)
{
    switch (opcode) {
    case FOR_ITER:
        return -2;
    case SEND:
        return -1;
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
        return 1;
    default:
        return 0;
    }
}

/* --- following the paths --- */

/* A path leads to the leader at `unit` with the lowest `depth` slots of the machine's stack, and `extra`
 * more. */
static int
reach(slp_stackmap *map, int unit, int depth, const slp_slot *extra, int extra_count)
{
    int number = map->code.units[unit].leader;
    leader_state *leader = &map->leaders[number];
    int total = depth + extra_count;
    if (total > map->code.object->co_stacksize) {
        return slp_code_error(&map->code, unit, "the stack here is deeper than %d",
                              map->code.object->co_stacksize);
    }
    bool changed = false;
    if (leader->depth < 0) {
        leader->slots = PyMem_New(slp_slot, total > 0 ? total : 1);
        if (leader->slots == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        leader->depth = total;
        for (int i = 0; i < total; i++) {
            leader->slots[i] = i < depth ? map->stack[i] : extra[i - depth];
        }
        changed = true;
    }
    else if (leader->depth != total) {
        return slp_code_error(&map->code, unit,
                              "one path leads here with %d values on the stack, another with %d",
                              leader->depth, total);
    }
    else {
        for (int i = 0; i < total; i++) {
            slp_slot joined = join(leader->slots[i], i < depth ? map->stack[i] : extra[i - depth]);
            if (joined.kind != leader->slots[i].kind || joined.count != leader->slots[i].count) {
                leader->slots[i] = joined;
                changed = true;
            }
        }
    }
    if (changed && !leader->pending) {
        leader->pending = true;
        map->todo[map->todo_count++] = number;
    }
    return 0;
}

/* An exception may be raised at `insn`, before or after it has taken its values. */
static int
reach_handler(slp_stackmap *map, const slp_insn *insn)
{
    const slp_handler *handler = slp_code_handler(&map->code, insn->start);
    if (handler == NULL) {
        return 0;
    }
    if (handler->depth > map->depth) {
        return slp_code_error(&map->code, insn->start, "its handler wants %d values on a stack of %d",
                              handler->depth, map->depth);
    }
    slp_slot extra[2];
    int count = 0;
    if (handler->lasti) {
        extra[count++] = KIND(SLP_SLOT_LASTI);
    }
    extra[count++] = KIND(SLP_SLOT_EXCEPTION);
    return reach(map, handler->target, handler->depth, extra, count);
}

/* How much of the stack is left while an instruction runs that may raise: what it has taken is gone. */
static int
lowest_depth(const slp_insn *insn, int before, int after)
{
    switch (insn->opcode) {
    case SWAP:
    case COPY:
    case NOP:
        return before;
    case CALL:
        return before - (int)insn->oparg - 2;
    case CALL_FUNCTION_EX:
        return before - 3 - (int)(insn->oparg & 1);
    case BUILD_TUPLE:
    case BUILD_LIST:
    case BUILD_SET:
    case BUILD_STRING:
    case BUILD_SLICE:
        return before - (int)insn->oparg;
    case BUILD_MAP:
        return before - 2 * (int)insn->oparg;
    case BUILD_CONST_KEY_MAP:
        return before - 1 - (int)insn->oparg;
    case UNPACK_SEQUENCE:
    case UNPACK_EX:
    case YIELD_VALUE:
    case UNARY_POSITIVE:
    case UNARY_NEGATIVE:
    case UNARY_NOT:
    case UNARY_INVERT:
    case LOAD_ATTR:
    case LOAD_METHOD:
    case GET_ITER:
    case GET_YIELD_FROM_ITER:
    case GET_AITER:
    case GET_AWAITABLE:
    case ASYNC_GEN_WRAP:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
    case LIST_TO_TUPLE:
    case FOR_ITER:
        return before - 1;
    case SEND:
    case BINARY_OP:
    case BINARY_SUBSCR:
    case COMPARE_OP:
    case IS_OP:
    case CONTAINS_OP:
    case IMPORT_NAME:
    case PREP_RERAISE_STAR:
        return before - 2;
    case FORMAT_VALUE:
        return before - ((insn->oparg & FVS_MASK) == FVS_HAVE_SPEC ? 2 : 1);
    case MATCH_CLASS:
        return before - 3;
    case MAKE_FUNCTION:
        return after - 1;
    default:
        return Py_MIN(before, after);
    }
}

/* Is this the jump on None that follows COPY 1, on no other path?  Then the value below is known to be None,
 * or not to be, afterwards. */
static bool
tests_copy_for_none(slp_stackmap *map, const slp_insn *insn)
{
    if (insn->opcode != POP_JUMP_FORWARD_IF_NOT_NONE && insn->opcode != POP_JUMP_BACKWARD_IF_NOT_NONE
        && insn->opcode != POP_JUMP_FORWARD_IF_NONE && insn->opcode != POP_JUMP_BACKWARD_IF_NONE) {
        return false;
    }
    const slp_unit *unit = &map->code.units[insn->start];
    return unit->leader < 0 && insn->start > 0 && map->code.units[insn->start - 1].opcode == COPY
           && map->code.units[insn->start - 1].oparg == 1;
}

static int
follow_jump(slp_stackmap *map, const slp_insn *insn)
{
    int after = map->depth;
    slp_slot *below = after > 0 ? &map->stack[after - 1] : NULL;
    bool exception =
        below != NULL && below->kind == SLP_SLOT_EXCEPTION_OR_NONE && tests_copy_for_none(map, insn);
    bool if_none = insn->opcode == POP_JUMP_FORWARD_IF_NONE || insn->opcode == POP_JUMP_BACKWARD_IF_NONE;
    if (exception && !if_none) {
        below->kind = SLP_SLOT_EXCEPTION;
    }
    int there = after + jump_difference(insn->opcode);
    slp_slot kept = {0};
    if (insn->opcode == SEND) {
        kept = map->stack[there - 1];
        map->stack[there - 1] = OBJECT; /* the result in the place of the receiver */
    }
    int failed = reach(map, insn->target, there, NULL, 0);
    if (insn->opcode == SEND) {
        map->stack[there - 1] = kept;
    }
    if (exception) {
        below->kind = if_none ? SLP_SLOT_EXCEPTION : SLP_SLOT_EXCEPTION_OR_NONE;
    }
    return failed;
}

/* What instructions want of their surroundings, and of the stack beyond what they take. */
static int
check_shape(slp_stackmap *map, const slp_insn *insn)
{
    if (insn->opcode == RETURN_VALUE && map->depth != 1) {
        return slp_code_error(&map->code, insn->start, "RETURN_VALUE finds %d values on the stack, not one",
                              map->depth);
    }
    if (insn->opcode == YIELD_VALUE && map->code.units[insn->next].oparg >= 2) {
        /* `yield from` and `await`: others look at what the generator delegates to */
        return want(map, insn, 2, SLP_SLOT_OBJECT);
    }
    return 0;
}

static int
follow_from(slp_stackmap *map, int number)
{
    leader_state *leader = &map->leaders[number];
    leader->pending = false;
    map->depth = leader->depth;
    memcpy(map->stack, leader->slots, (size_t)leader->depth * sizeof(slp_slot));
    int unit = map->code.leader_units[number];
    for (;;) {
        slp_insn insn;
        slp_code_insn(&map->code, unit, &insn);
        int before = map->depth;
        if (check_shape(map, &insn) < 0 || reach_handler(map, &insn) < 0 || apply(map, &insn) < 0) {
            return -1;
        }
        const slp_handler *handler = slp_code_handler(&map->code, insn.start);
        if (handler != NULL && handler->depth > lowest_depth(&insn, before, map->depth)) {
            return slp_code_error(&map->code, insn.start, "its handler wants values that %s takes",
                                  slp_code_opname(insn.opcode));
        }
        if (insn.target >= 0 && follow_jump(map, &insn) < 0) {
            return -1;
        }
        if (insn.ends) {
            return 0;
        }
        unit = insn.next;
        if (map->code.units[unit].leader >= 0) {
            return reach(map, unit, map->depth, NULL, 0);
        }
    }
}

slp_stackmap *
slp_stackmap_of(PyCodeObject *code)
{
    slp_stackmap *map = PyMem_Calloc(1, sizeof(slp_stackmap));
    if (map == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    if (slp_code_scan(&map->code, code) < 0) {
        slp_stackmap_free(map);
        return NULL;
    }
    int count = map->code.leader_count;
    map->leaders = PyMem_New(leader_state, count);
    map->todo = PyMem_New(int, count);
    map->stack = PyMem_New(slp_slot, (size_t)code->co_stacksize + 1);
    if (map->leaders == NULL || map->todo == NULL || map->stack == NULL) {
        PyErr_NoMemory();
        slp_stackmap_free(map);
        return NULL;
    }
    map->leader_count = count;
    for (int i = 0; i < count; i++) {
        map->leaders[i] = (leader_state){.depth = -1};
    }
    int failed = reach(map, 0, 0, NULL, 0);
    while (!failed && map->todo_count > 0) {
        failed = follow_from(map, map->todo[--map->todo_count]);
    }
    if (failed) {
        slp_stackmap_free(map);
        return NULL;
    }
    return map;
}

void
slp_stackmap_free(slp_stackmap *map)
{
    for (int i = 0; i < map->leader_count; i++) {
        PyMem_Free(map->leaders[i].slots);
    }
    PyMem_Free(map->leaders);
    PyMem_Free(map->todo);
    PyMem_Free(map->stack);
    slp_code_free(&map->code);
    PyMem_Free(map);
}

/* --- kept maps --- */

static void
free_kept(void *map)
{
    if (map != NULL) {
        slp_stackmap_free(map);
    }
}

slp_stackmap *
slp_stackmap_get(PyCodeObject *code)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    Py_ssize_t *index = &th->interp->map_index;
    if (*index == 0) {
        Py_ssize_t number = _PyEval_RequestCodeExtraIndex(free_kept);
        if (number < 0) {
            PyErr_SetString(PyExc_SystemError, "code objects have no room left for stack maps");
            return NULL;
        }
        *index = number + 1;
    }
    void *map = NULL;
    if (_PyCode_GetExtra((PyObject *)code, *index - 1, &map) < 0) {
        return NULL;
    }
    if (map == NULL) {
        map = slp_stackmap_of(code);
        if (map != NULL && _PyCode_SetExtra((PyObject *)code, *index - 1, map) < 0) {
            slp_stackmap_free(map);
            if (!PyErr_Occurred()) {
                PyErr_NoMemory();
            }
            return NULL;
        }
    }
    return map;
}

slp_stackmap *
slp_stackmap_of_shim(PyCodeObject *shim)
{
    static slp_stackmap *kept[64];
    slp_stackmap **place = &kept[((uintptr_t)shim >> 5) % Py_ARRAY_LENGTH(kept)];
    if (*place == NULL || (*place)->code.object != shim) {
        slp_stackmap *map = slp_stackmap_of(shim);
        if (map == NULL) {
            return NULL;
        }
        free_kept(*place);
        *place = map;
    }
    return *place;
}

/* --- questions --- */

static slp_wait_kind
wait_kind(int opcode)
{
    switch (opcode) {
    case CALL:
    case CALL_FUNCTION_EX:
    case BINARY_OP:
    case BINARY_SUBSCR:
    case COMPARE_OP:
    case CONTAINS_OP:
    case UNARY_POSITIVE:
    case UNARY_NEGATIVE:
    case UNARY_NOT:
    case UNARY_INVERT:
    case LOAD_ATTR:
    case LOAD_METHOD:
    case LOAD_GLOBAL:
    case LOAD_NAME:
    case IMPORT_NAME:
    case IMPORT_FROM:
    case GET_LEN:
    case GET_ITER:
    case GET_YIELD_FROM_ITER:
    case GET_AITER:
    case GET_ANEXT:
    case GET_AWAITABLE:
    case BEFORE_WITH:
    case BEFORE_ASYNC_WITH:
    case WITH_EXCEPT_START:
    case FORMAT_VALUE:
        return SLP_WAITS_VALUE;
    case STORE_ATTR:
    case STORE_SUBSCR:
    case DELETE_ATTR:
    case DELETE_SUBSCR:
    case STORE_NAME:
    case DELETE_NAME:
    case LIST_EXTEND:
    case SET_UPDATE:
        return SLP_WAITS_NOTHING;
    case POP_JUMP_FORWARD_IF_TRUE:
    case POP_JUMP_FORWARD_IF_FALSE:
    case POP_JUMP_BACKWARD_IF_TRUE:
    case POP_JUMP_BACKWARD_IF_FALSE:
    case JUMP_IF_TRUE_OR_POP:
    case JUMP_IF_FALSE_OR_POP:
        return SLP_WAITS_TRUTH;
    case FOR_ITER:
    case SEND:
        return SLP_WAITS_ITEM;
    case UNPACK_SEQUENCE:
    case UNPACK_EX:
        return SLP_WAITS_ITEMS;
    case RAISE_VARARGS:
        return SLP_WAITS_RAISE;
    case YIELD_VALUE:
    case RETURN_GENERATOR:
        return SLP_WAITS_YIELD;
    default:
        return SLP_WAITS_NOT;
    }
}

/* How many values an instruction pushes when what it waits for comes. */
static int
awaited_values(const slp_insn *insn, slp_wait_kind wait)
{
    switch (wait) {
    case SLP_WAITS_NOTHING:
    case SLP_WAITS_TRUTH:
    case SLP_WAITS_RAISE:
        return 0;
    case SLP_WAITS_ITEMS:
        return insn->opcode == UNPACK_SEQUENCE ? (int)insn->oparg
                                               : (int)((insn->oparg & 0xFF) + 1 + (insn->oparg >> 8));
    default:
        return 1;
    }
}

/* The instruction that ends with `unit`. */
static bool
find_last_unit(slp_stackmap *map, int unit, slp_insn *insn)
{
    if (unit < 0 || unit >= map->code.unit_count) {
        return false;
    }
    int start = unit;
    while (start > 0 && !map->code.units[start].is_start) {
        start--;
    }
    slp_code_insn(&map->code, start, insn);
    return insn->next == unit + 1;
}

slp_wait_kind
slp_stackmap_wait(slp_stackmap *map, int unit, int *distance)
{
    slp_insn insn;
    if (!find_last_unit(map, unit, &insn)) {
        return SLP_WAITS_NOT;
    }
    switch (insn.opcode) {
    case UNPACK_SEQUENCE:
        *distance = (int)insn.oparg;
        break;
    case UNPACK_EX:
        *distance = ~(int)insn.oparg;
        break;
    default:
        *distance = insn.target >= 0 ? insn.target - insn.next : 0;
    }
    return wait_kind(insn.opcode);
}

/* Bring the machine to before the instruction that starts at `unit`.  False if no path leads there. */
static int
go_to(slp_stackmap *map, int unit)
{
    int from = unit;
    while (map->code.units[from].leader < 0) {
        if (from == 0) {
            return 0;
        }
        from--;
    }
    leader_state *leader = &map->leaders[map->code.units[from].leader];
    if (leader->depth < 0) {
        return 0;
    }
    map->depth = leader->depth;
    memcpy(map->stack, leader->slots, (size_t)leader->depth * sizeof(slp_slot));
    while (from < unit) {
        slp_insn insn;
        slp_code_insn(&map->code, from, &insn);
        if (apply(map, &insn) < 0) {
            return -1;
        }
        if (insn.ends || insn.next > unit) {
            return 0;
        }
        if (insn.target >= 0 && tests_copy_for_none(map, &insn) && map->depth > 0
            && map->stack[map->depth - 1].kind == SLP_SLOT_EXCEPTION_OR_NONE
            && (insn.opcode == POP_JUMP_FORWARD_IF_NONE || insn.opcode == POP_JUMP_BACKWARD_IF_NONE)) {
            map->stack[map->depth - 1].kind = SLP_SLOT_EXCEPTION;
        }
        from = insn.next;
    }
    return 1;
}

int
slp_stackmap_stack(slp_stackmap *map, int unit, slp_position position, const slp_slot **slots)
{
    slp_insn insn;
    int reached = 0;
    slp_wait_kind wait = SLP_WAITS_NOT;
    if (position == SLP_BEFORE) {
        if (unit >= 0 && unit < map->code.unit_count && map->code.units[unit].is_start) {
            reached = go_to(map, unit);
        }
    }
    else if (find_last_unit(map, unit, &insn)) {
        wait = wait_kind(insn.opcode);
        if (wait != SLP_WAITS_NOT) {
            reached = go_to(map, insn.start);
        }
    }
    if (reached > 0 && wait != SLP_WAITS_NOT) {
        if (apply(map, &insn) < 0) {
            reached = -1;
        }
        else {
            map->depth -= awaited_values(&insn, wait);
        }
    }
    if (reached == 0) {
        return slp_code_error(&map->code, unit, "no frame can stand here");
    }
    *slots = map->stack;
    return reached < 0 ? -1 : map->depth;
}

/* --- checking values --- */

static bool
is_tuple_of_cells(PyObject *value, int count)
{
    if (!PyTuple_CheckExact(value) || PyTuple_GET_SIZE(value) != count) {
        return false;
    }
    for (int i = 0; i < count; i++) {
        if (!slp_is_cell(PyTuple_GET_ITEM(value, i))) {
            return false;
        }
    }
    return true;
}

static bool
value_fits(slp_stackmap *map, slp_slot slot, PyObject *value)
{
    if (value == NULL) {
        return slot.kind == SLP_SLOT_NULL || slot.kind == SLP_SLOT_OBJECT_OR_NULL;
    }
    switch (slot.kind) {
    case SLP_SLOT_OBJECT:
    case SLP_SLOT_OBJECT_OR_NULL:
        return true;
    case SLP_SLOT_NULL:
        return false;
    case SLP_SLOT_LASTI: {
        int overflow;
        if (!PyLong_CheckExact(value)) {
            return false;
        }
        long unit = PyLong_AsLongAndOverflow(value, &overflow);
        return !overflow && unit >= 0 && unit < map->code.unit_count;
    }
    case SLP_SLOT_EXCEPTION:
        return PyExceptionInstance_Check(value);
    case SLP_SLOT_EXCEPTION_OR_NONE:
        return value == Py_None || PyExceptionInstance_Check(value);
    case SLP_SLOT_LIST:
        return PyList_CheckExact(value);
    case SLP_SLOT_DICT:
        return PyDict_CheckExact(value);
    case SLP_SLOT_TUPLE:
        return PyTuple_CheckExact(value) && (slot.count < 0 || PyTuple_GET_SIZE(value) == slot.count);
    case SLP_SLOT_CELL:
        return slp_is_cell(value);
    case SLP_SLOT_CELLS:
        return is_tuple_of_cells(value, slot.count);
    case SLP_SLOT_CODE:
        return PyCode_Check(value) && ((PyCodeObject *)value)->co_nfreevars == slot.count;
    }
    Py_UNREACHABLE();
}

int
slp_stackmap_check_value(slp_stackmap *map, slp_slot slot, int index, PyObject *value)
{
    if (value_fits(map, slot, value)) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "value %d on the stack of %U is %s, not %s", index,
                 map->code.object->co_qualname, value == NULL ? "NULL" : Py_TYPE(value)->tp_name,
                 kind_names[slot.kind]);
    return -1;
}

int
slp_stackmap_check_locals(slp_stackmap *map, int unit, slp_position position, PyObject *const *values,
                          Py_ssize_t count)
{
    PyCodeObject *code = map->code.object;
    if (count != code->co_nlocalsplus) {
        PyErr_Format(PyExc_ValueError, "%U has %d local variables, not %zd", code->co_qualname,
                     code->co_nlocalsplus, count);
        return -1;
    }
    /* The instructions that have been run. */
    int done = position == SLP_BEFORE ? unit : unit + 1;
    for (int i = 0; i < count; i++) {
        _PyLocals_Kind kind = _PyLocals_GetKind(code->co_localspluskinds, i);
        PyObject *value = values[i];
        int made = map->code.cell_made_by[i]; /* the unit behind its MAKE_CELL or COPY_FREE_VARS; 0: none */
        const char *wanted = NULL;
        if (made > 0 && done >= made) {
            wanted = value != NULL && slp_is_cell(value) ? NULL : "a cell";
        }
        else if (kind & CO_FAST_FREE) {
            wanted = value == NULL ? NULL : "NULL";
        }
        if (wanted != NULL) {
            PyErr_Format(PyExc_ValueError, "variable %R of %U is %s, not %s",
                         PyTuple_GET_ITEM(code->co_localsplusnames, i), code->co_qualname,
                         value == NULL ? "NULL" : Py_TYPE(value)->tp_name, wanted);
            return -1;
        }
    }
    return 0;
}

/* --- for tests --- */

const char slp_stack_map_doc[] = PyDoc_STR(
    "_stack_map($module, code, /)\n--\n\n"
    "What stands on the value stack before each instruction of a code object.\n\n"
    "A list of (offset, kinds), for the instructions that can be reached; kinds has a letter for each\n"
    "value: o an object, N NULL, ? either, e an exception, x an exception or None, i the position of a\n"
    "raise, l a list, "
    "d a dict, t a tuple, c a cell, C a tuple of cells, f a code object.\n"
    "ValueError: the code is not such as the compiler makes.");

static PyObject *
as_list(slp_stackmap *map)
{
    PyObject *list = PyList_New(0);
    for (int unit = 0; list != NULL && unit < map->code.unit_count; unit++) {
        int reached = map->code.units[unit].is_start ? go_to(map, unit) : 0;
        if (reached == 0) {
            continue;
        }
        PyObject *text = reached > 0 ? PyUnicode_New(map->depth, 127) : NULL;
        for (int i = 0; text != NULL && i < map->depth; i++) {
            PyUnicode_WRITE(PyUnicode_1BYTE_KIND, PyUnicode_DATA(text), i, letters[map->stack[i].kind]);
        }
        PyObject *row =
            text != NULL ? Py_BuildValue("(nN)", unit * (Py_ssize_t)sizeof(_Py_CODEUNIT), text) : NULL;
        if (row == NULL || PyList_Append(list, row) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(row);
    }
    return list;
}

PyObject *
slp_module_stack_map(PyObject *module, PyObject *code)
{
    if (!PyCode_Check(code)) {
        return PyErr_Format(PyExc_TypeError, "expected a code object, not %.200s", Py_TYPE(code)->tp_name);
    }
    slp_stackmap *map = slp_stackmap_of((PyCodeObject *)code);
    if (map == NULL) {
        return NULL;
    }
    PyObject *list = as_list(map);
    slp_stackmap_free(map);
    return list;
}
