/* What the switch files have in common: how a function of theirs begins and ends, and the stack note. */

/* Begin a function of ours that is called from C, or that unwinders shall know by its name. */
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

/* Where a suspended stack goes on. A debugger walks it with this as its program counter. */
.macro resume_point
        .globl  slp_platf_resume
        .hidden slp_platf_resume
slp_platf_resume:
.endm

        .section .note.GNU-stack, "", %progbits
