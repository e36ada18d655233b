/* Switch between C stacks: amd64, System V ABI.
 * Hosts: x86_64-*-linux-gnu x86_64-*-linux-musl
 * Tested: x86_64-linux-gnu-gcc qemu-x86_64
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *      +64   caller's frame            <- CFA
 *      +56   return address
 *      +52   x87 control word (2), unused (2)
 *      +48   mxcsr (4)
 *      +40   r15
 *      +32   r14
 *      +24   r13
 *      +16   r12
 *       +8   rbp
 *       +0   rbx                       <- saved rsp
 *
 * Of mxcsr only the control bits are callee-saved; its flags change with every inexact result.
 *
 * Shadow stacks are not switched. An executable with this file is not marked as made for them, so that
 * the system leaves them off.
 *
 * Rejected: leaving by an indirect jump. The switch has one caller, so that the processor's return stack
 * predicts `ret` rightly, and stays in step.
 */
#include "platf.h"

#if !defined(__x86_64__) || defined(__ILP32__)
#  error "switch_amd64_sysv.S is for 64-bit x86 with 64-bit pointers"
#endif

#define MXCSR          48
#define X87_CW         52
#define AREA           56              /* up to the return address */
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
        .cfi_rel_offset rbx, 0
        .cfi_rel_offset rbp, 8
        .cfi_rel_offset r12, 16
        .cfi_rel_offset r13, 24
        .cfi_rel_offset r14, 32
        .cfi_rel_offset r15, 40
        stmxcsr MXCSR(%rsp)
        fnstcw  X87_CW(%rsp)
        movl    MXCSR(%rsp), %ecx
        movzwl  X87_CW(%rsp), %r8d
        movq    %rdx, %rax
        movq    %rsp, (%rdi)
        movq    %rsi, %rsp

resume_point                           /* loading a control word is slow: only where it differs */
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

/* The outermost frame: call entry (rbx) with the value of the first switch (rax). */
function slp_platf_start
        .cfi_undefined rip
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        movq    %rax, %rdi
        call    *%rbx
        ud2
end slp_platf_start

/* void *slp_platf_prepare(void *low: rdi, void *high: rsi, void (*entry)(void *): rdx) */
function slp_platf_prepare
        endbr64
        andq    $-16, %rsi
        leaq    -(AREA + 8 + 16)(%rsi), %rax
        leaq    .Lstart(%rip), %rcx
        movq    %rdx, 0(%rax)          /* rbx */
        movq    $0, 8(%rax)            /* rbp ends the chain of frame pointers */
        stmxcsr MXCSR(%rax)
        fnstcw  X87_CW(%rax)
        movq    %rcx, AREA(%rax)
        movq    $0, AREA + 8(%rax)     /* no return address, for those who guess */
        movq    $0, AREA + 16(%rax)
        ret
end slp_platf_prepare
