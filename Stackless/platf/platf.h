/* What the switch files have in common: how a function of theirs begins and ends, and the stack note. */

/* Begin a function that is called from C. */
.macro function name
        .text
        .balign 16
        .globl  \name
        .hidden \name
        .type   \name, %function
\name:
        .cfi_startproc
.endm

/* End it. */
.macro end name
        .cfi_endproc
        .size   \name, . - \name
.endm

        .section .note.GNU-stack, "", %progbits
