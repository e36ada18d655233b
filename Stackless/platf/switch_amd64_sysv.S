/* Switch between C stacks: amd64, System V ABI.
 * Hosts: x86_64-*-linux-gnu x86_64-*-linux-musl
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *      +64   caller's frame            <- CFA
 *      +56   return address
 *      +48   mxcsr (4), x87 control word (2), unused (2)
 *      +40   r15
 *      +32   r14
 *      +24   r13
 *      +16   r12
 *       +8   rbp
 *   sp: +0   rbx
 *
 * Of mxcsr only the control bits are callee-saved; its flags change with every rounding.
 * Rejected: leaving by an indirect jump.  The switch is called from one place, so that the return stack
 * of the processor predicts `ret` rightly, and it stays in step.
 */
#include "platf.h"

#if !defined(__x86_64__) || defined(__ILP32__)
#  error "switch_amd64_sysv.S is for 64-bit x86 with 64-bit pointers"
#endif

#define AREA           56              /* without the return address */
#define MXCSR          48
#define X87_CW         52
#define MXCSR_CONTROL  0xffc0

/* void *slp_platf_switch(void **from: rdi, void *to: rsi, void *value: rdx) */
function slp_platf_switch
        endbr64
        subq    $AREA, %rsp
        .cfi_adjust_cfa_offset AREA
        movq    %rbx, 0(%rsp)
        movq    %rbp, 8(%rsp)
        movq    %r12, 16(%rsp)
        movq    %r13, 24(%rsp)
        movq    %r14, 32(%rsp)
        movq    %r15, 40(%rsp)
        stmxcsr MXCSR(%rsp)
        fnstcw  X87_CW(%rsp)
        .cfi_rel_offset rbx, 0
        .cfi_rel_offset rbp, 8
        .cfi_rel_offset r12, 16
        .cfi_rel_offset r13, 24
        .cfi_rel_offset r14, 32
        .cfi_rel_offset r15, 40
        movl    MXCSR(%rsp), %ecx
        movzwl  X87_CW(%rsp), %r8d
        movq    %rdx, %rax
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp

        /* The same moment on the other stack.  Loading a control word is slow: only where it differs. */
        .globl  slp_platf_resume
        .hidden slp_platf_resume
slp_platf_resume:
        xorl    MXCSR(%rsp), %ecx
        testl   $MXCSR_CONTROL, %ecx
        jne     3f
1:      cmpw    %r8w, X87_CW(%rsp)
        jne     4f
2:      movq    0(%rsp), %rbx
        movq    8(%rsp), %rbp
        movq    16(%rsp), %r12
        movq    24(%rsp), %r13
        movq    32(%rsp), %r14
        movq    40(%rsp), %r15
        .cfi_remember_state
        .cfi_restore rbx
        .cfi_restore rbp
        .cfi_restore r12
        .cfi_restore r13
        .cfi_restore r14
        .cfi_restore r15
        addq    $AREA, %rsp
        .cfi_adjust_cfa_offset -AREA
        ret
        .cfi_restore_state
3:      ldmxcsr MXCSR(%rsp)
        jmp     1b
4:      fldcw   X87_CW(%rsp)
        jmp     2b
end slp_platf_switch

/* The outermost frame of a stack: entry (rbx) is called with the value of the first switch (rax). */
function slp_platf_start
        .cfi_undefined rip
        nop                            /* unwinders look at the instruction before the return address */
1:      movq    %rax, %rdi
        call    *%rbx
        ud2
end slp_platf_start

/* void *slp_platf_prepare(void *low: rdi, void *high: rsi, void (*entry)(void *): rdx) */
function slp_platf_prepare
        endbr64
        andq    $-16, %rsi
        leaq    -(AREA + 8 + 16)(%rsi), %rax
        leaq    slp_platf_start + 1(%rip), %rcx
        movq    %rdx, 0(%rax)          /* rbx: entry */
        movq    $0, 8(%rax)            /* rbp: the end of the chain of frame pointers */
        movq    $0, 16(%rax)
        movq    $0, 24(%rax)
        movq    $0, 32(%rax)
        movq    $0, 40(%rax)
        movq    $0, MXCSR(%rax)
        stmxcsr MXCSR(%rax)
        fnstcw  X87_CW(%rax)
        movq    %rcx, AREA(%rax)       /* return address */
        movq    $0, AREA + 8(%rax)     /* what would be the return address of slp_platf_start */
        movq    $0, AREA + 16(%rax)
        ret
end slp_platf_prepare
