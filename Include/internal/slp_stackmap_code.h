/* Code objects taken apart and checked instruction by instruction: the first half of a stack map.
 *
 * slp_code_scan() sees to the invariants 1, 2, 4 and 5 of slp_stackmap.h, without the stack.
 */
#ifndef SLP_STACKMAP_CODE_H
#define SLP_STACKMAP_CODE_H

#include "slp_base.h"

typedef struct {
    int oparg;                  /* with all of its EXTENDED_ARGs, at the unit of the opcode */
    int leader;                 /* number of the leader that starts here, or -1 */
    int handler;                /* what covers the instruction, by index, or -1 */
    uint8_t opcode;
    bool is_start;              /* the first unit of an instruction, EXTENDED_ARG included */
} slp_unit;

/* A row of the exception table. */
typedef struct {
    int start, end;             /* units */
    int target;
    int depth;
    bool lasti;
} slp_handler;

typedef struct {
    PyCodeObject *object;       /* borrowed */
    slp_unit *units;
    int unit_count;
    int body;                   /* the RESUME behind the prefix */
    int *leader_units;          /* of each leader, by number; the first is unit 0 */
    int leader_count;
    slp_handler *handlers;
    int handler_count;
    int *cell_made_by;          /* of each local variable: the unit behind what makes its cell, or 0 */
} slp_code;

typedef struct {
    int start;                  /* first unit, maybe an EXTENDED_ARG */
    int next;                   /* behind its caches */
    bool jumps;
    int target;                 /* of its jump, or -1; in code that is not checked yet it may be anywhere */
    int oparg;
    uint8_t opcode;
    bool ends;                  /* nothing goes on behind it */
} slp_insn;

/* Take `code` apart and check it.  -1 with ValueError; *result is to be freed in any case. */
int slp_code_scan(slp_code *result, PyCodeObject *code);
void slp_code_free(slp_code *code);

/* The instruction that starts at `unit`. */
void slp_code_insn(const slp_code *code, int unit, slp_insn *insn);

/* What handles exceptions raised by the instruction that starts at `unit`, or NULL. */
static inline const slp_handler *
slp_code_handler(const slp_code *code, int unit)
{
    int index = code->units[unit].handler;
    return index < 0 ? NULL : &code->handlers[index];
}

const char *slp_code_opname(int opcode);

/* Set ValueError about `unit` of the code; -1. */
int slp_code_error(const slp_code *code, int unit, const char *format, ...);

#endif
