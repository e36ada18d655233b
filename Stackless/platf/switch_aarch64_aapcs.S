/* Switch between C stacks: aarch64, AAPCS64.
 * Hosts: aarch64-*-linux-gnu aarch64-*-linux-musl
 * Tested: aarch64-linux-gnu-gcc qemu-aarch64
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +176   caller's frame            <- CFA
 *     +160   fpcr (8), unused (8)
 *      +96   d8 ... d15
 *      +88   x30, the return address
 *      +80   x29, the frame pointer
 *       +0   x19 ... x28               <- saved sp
 *
 * Of v8 to v15 the lower halves are callee-saved. x18 is not: on Linux it is a scratch register.
 * Guarded control stacks are not switched; an executable with this file is not marked as made for them.
 */
#include "platf.h"

#if !defined(__aarch64__) || defined(__ILP32__) || defined(__AARCH64EB__)
#  error "switch_aarch64_aapcs.S is for little-endian aarch64 with 64-bit pointers"
#endif

#define FPCR  160
#define AREA  176

/* void *slp_platf_switch(void **from: x0, void *to: x1, void *value: x2) */
function slp_platf_switch
        hint    #34                    /* bti c */
        sub     sp, sp, #AREA
        .cfi_adjust_cfa_offset AREA
        stp     x19, x20, [sp, #0]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        .cfi_rel_offset x19, 0
        .cfi_rel_offset x20, 8
        .cfi_rel_offset x21, 16
        .cfi_rel_offset x22, 24
        .cfi_rel_offset x23, 32
        .cfi_rel_offset x24, 40
        .cfi_rel_offset x25, 48
        .cfi_rel_offset x26, 56
        .cfi_rel_offset x27, 64
        .cfi_rel_offset x28, 72
        .cfi_rel_offset x29, 80
        .cfi_rel_offset x30, 88
        .cfi_rel_offset d8, 96
        .cfi_rel_offset d9, 104
        .cfi_rel_offset d10, 112
        .cfi_rel_offset d11, 120
        .cfi_rel_offset d12, 128
        .cfi_rel_offset d13, 136
        .cfi_rel_offset d14, 144
        .cfi_rel_offset d15, 152
        mrs     x9, fpcr
        str     x9, [sp, #FPCR]
        mov     x10, sp
        str     x10, [x0]
        mov     x0, x2
        mov     sp, x1

resume_point                           /* loading the control register is slow: only where it differs */
        ldr     x10, [sp, #FPCR]
        cmp     x9, x10
        b.ne    2f
1:      ldp     x19, x20, [sp, #0]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        .cfi_remember_state
        .cfi_restore x19
        .cfi_restore x20
        .cfi_restore x21
        .cfi_restore x22
        .cfi_restore x23
        .cfi_restore x24
        .cfi_restore x25
        .cfi_restore x26
        .cfi_restore x27
        .cfi_restore x28
        .cfi_restore x29
        .cfi_restore x30
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        add     sp, sp, #AREA
        .cfi_adjust_cfa_offset -AREA
        ret
        .cfi_restore_state
2:      msr     fpcr, x10
        b       1b
end slp_platf_switch

/* The outermost frame: call entry (x19) with the value of the first switch (x0). */
function slp_platf_start
        .cfi_undefined x30
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        blr     x19
        brk     #1
end slp_platf_start

/* void *slp_platf_prepare(void *low: x0, void *high: x1, void (*entry)(void *): x2) */
function slp_platf_prepare
        hint    #34                    /* bti c */
        and     x1, x1, #-16
        sub     x0, x1, #AREA
        adr     x9, .Lstart
        mrs     x10, fpcr
        str     x2, [x0, #0]           /* x19 */
        stp     xzr, x9, [x0, #80]     /* x29 ends the chain of frame pointers; x30 */
        str     x10, [x0, #FPCR]
        ret
end slp_platf_prepare
