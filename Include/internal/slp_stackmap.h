/* Stack maps: what stands on the value stack before each instruction of a code object.
 *
 * A frame that comes out of an image, and code that does, are data of unknown origin, while the loop
 * trusts both.  slp_stackmap_of() runs a code object abstractly: each instruction is applied to the
 * kinds of the values, in place of the values, on every path, exception handlers included.  That says
 * which stack a frame must have at which instruction; and it fails where the code is not such as the
 * compiler makes, so that the loop could be led astray:
 *
 *      offset  instruction        depth before   kinds before
 *           4  LOAD_GLOBAL 1          0
 *          16  LOAD_FAST 0            2          N o          N: NULL        o: an object
 *          18  PRECALL 1              3          N o o        ?: either      i: position of a raise
 *          22  CALL 1                 3          ? o o        e: exception   x: exception or None
 *
 * Terms
 *   unit       an index of code units (two bytes), which is how frames count
 *   position   where a frame stands: its prev_instr, and whether that is the instruction that it will run
 *              next (SLP_BEFORE) or the one whose result it waits for (SLP_WAITING)
 *
 * Invariants of code that has a map
 *  1. Every unit belongs to one instruction, of the base's generic ones, with empty caches behind it.
 *  2. Every jump and every handler leads to the first unit of an instruction behind the prefix, which is
 *     COPY_FREE_VARS, MAKE_CELL for each cell, RETURN_GENERATOR and POP_TOP, RESUME 0, each only where the
 *     code has use for it.  No path leads past the end.
 *  3. On every path to an instruction the stack has the same depth, never below 0 or above co_stacksize, and
 *     values of kinds that the instruction can take.
 *  4. Local variables, cells, constants and names are used by instructions made for them, and exist.
 *  5. The tables of exception handlers and of lines are well-formed and end with the code.
 */
#ifndef SLP_STACKMAP_H
#define SLP_STACKMAP_H

#include "slp_base.h"

typedef enum {
    SLP_SLOT_OBJECT,             /* any object */
    SLP_SLOT_NULL,
    SLP_SLOT_OBJECT_OR_NULL,
    SLP_SLOT_LASTI,              /* an int: the unit at which an exception was raised */
    SLP_SLOT_EXCEPTION,
    SLP_SLOT_EXCEPTION_OR_NONE,
    SLP_SLOT_LIST,
    SLP_SLOT_DICT,
    SLP_SLOT_TUPLE,              /* `count` items; -1: any number */
    SLP_SLOT_CELL,
    SLP_SLOT_CELLS,              /* a tuple of `count` cells */
    SLP_SLOT_CODE,               /* a code object with `count` free variables */
} slp_slot_kind;

typedef struct {
    slp_slot_kind kind;
    int count;
} slp_slot;

/* For what does a frame wait, at the instruction of its prev_instr? */
typedef enum {
    SLP_WAITS_NOT,               /* this instruction enters no frame */
    SLP_WAITS_VALUE,             /* a value, to be pushed */
    SLP_WAITS_NOTHING,           /* the end of a statement (SLP_RETURN_NOTHING) */
    SLP_WAITS_TRUTH,             /* a shim that does its jump (SLP_JUMP_RESULT) */
    SLP_WAITS_ITEM,              /* a value, or a jump at the end (FOR_ITER, SEND) */
    SLP_WAITS_ITEMS,             /* a shim that unpacks and pushes all the values (SLP_UNPACKED) */
    SLP_WAITS_RAISE,             /* a shim that raises an exception in its place */
    SLP_WAITS_YIELD,             /* to be resumed: a generator */
} slp_wait_kind;

typedef enum {
    SLP_BEFORE,
    SLP_WAITING,
} slp_position;

typedef struct slp_stackmap slp_stackmap;

/* The map of `code`; PyMem_Free()d by slp_stackmap_free().  NULL with ValueError that names the function, the
 * offset and what is wrong there.  Where the code has not run often enough to be specialised, as when it
 * has come out of an image, specialised instructions and cache entries are looked at as they are, and
 * refused. */
slp_stackmap *slp_stackmap_of(PyCodeObject *code);
void slp_stackmap_free(slp_stackmap *map);

/* The same, kept with the code, which owns it: borrowed. */
slp_stackmap *slp_stackmap_get(PyCodeObject *code);
/* The same for a shim.  Its code belongs to all interpreters: the map is kept until others have taken its
 * place. */
slp_stackmap *slp_stackmap_of_shim(PyCodeObject *shim);

/* The stack of a frame whose prev_instr is `unit`: its depth, and in *slots (borrowed, until the next call)
 * the kinds.  -1 with ValueError if no frame can stand there.  For SLP_WAITING: without the results, and
 * without the values that the instruction has taken. */
int slp_stackmap_stack(slp_stackmap *map, int unit, slp_position position, const slp_slot **slots);

/* What the instruction at prev_instr `unit` waits for; for SLP_WAITS_TRUTH and SLP_WAITS_ITEM, *distance is
 * that of its jump, negative if backwards; for SLP_WAITS_ITEMS, how many: the argument of UNPACK_SEQUENCE,
 * ~ that of UNPACK_EX.  SLP_WAITS_NOT as well where there is no such instruction. */
slp_wait_kind slp_stackmap_wait(slp_stackmap *map, int unit, int *distance);

/* Is the value (or NULL) such as the slot needs?  0, or -1 with ValueError that names the slot. */
int slp_stackmap_check_value(slp_stackmap *map, slp_slot slot, int index, PyObject *value);

/* Check the local variables, cells and free variables (`count` values) of a frame at a position. */
int slp_stackmap_check_locals(slp_stackmap *map, int unit, slp_position position, PyObject *const *values,
                              Py_ssize_t count);

/* _stackless._stack_map(code) and its docstring. */
PyObject *slp_module_stack_map(PyObject *module, PyObject *code);
extern const char slp_stack_map_doc[];

#endif
