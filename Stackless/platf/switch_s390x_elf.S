/* Switch between C stacks: s390x, ELF ABI.
 * Hosts: s390x-*-linux-gnu s390x-*-linux-musl
 * Tested: s390x-linux-gnu-gcc qemu-s390x
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +320   frame of the caller's locals           <- CFA
 *     +160   caller's back chain, and its register save area, which we do not use
 *     +152   r14, the return address
 *      +88   r6 ... r13
 *      +24   f8 ... f15
 *      +16   fpc (4), unused (4)
 *       +8   unused
 *       +0   back chain: the caller's r15           <- saved r15
 *
 * Of fpc the masks (byte 0) and the rounding modes (byte 3) are restored; between them are flags.
 */
#include "platf.h"

#if !defined(__s390x__)
#  error "switch_s390x_elf.S is for 64-bit s390"
#endif

#define FPC          16
#define AREA         160
#define CALLER_AREA  160               /* what every function gets from its caller */

/* void *slp_platf_switch(void **from: r2, void *to: r3, void *value: r4) */
function slp_platf_switch
        lgr     %r1, %r15
        aghi    %r15, -AREA
        .cfi_adjust_cfa_offset AREA
        stg     %r1, 0(%r15)
        std     %f8, 24(%r15)
        std     %f9, 32(%r15)
        std     %f10, 40(%r15)
        std     %f11, 48(%r15)
        std     %f12, 56(%r15)
        std     %f13, 64(%r15)
        std     %f14, 72(%r15)
        std     %f15, 80(%r15)
        stmg    %r6, %r14, 88(%r15)
        .cfi_rel_offset f8, 24
        .cfi_rel_offset f9, 32
        .cfi_rel_offset f10, 40
        .cfi_rel_offset f11, 48
        .cfi_rel_offset f12, 56
        .cfi_rel_offset f13, 64
        .cfi_rel_offset f14, 72
        .cfi_rel_offset f15, 80
        .cfi_rel_offset r6, 88
        .cfi_rel_offset r7, 96
        .cfi_rel_offset r8, 104
        .cfi_rel_offset r9, 112
        .cfi_rel_offset r10, 120
        .cfi_rel_offset r11, 128
        .cfi_rel_offset r12, 136
        .cfi_rel_offset r13, 144
        .cfi_rel_offset r14, 152
        stfpc   FPC(%r15)
        l       %r0, FPC(%r15)
        stg     %r15, 0(%r2)
        lgr     %r2, %r4
        lgr     %r15, %r3

resume_point                           /* loading the control register is slow: only where it differs */
        x       %r0, FPC(%r15)
        nilf    %r0, 0xff0000ff
        jne     2f
1:      ld      %f8, 24(%r15)
        ld      %f9, 32(%r15)
        ld      %f10, 40(%r15)
        ld      %f11, 48(%r15)
        ld      %f12, 56(%r15)
        ld      %f13, 64(%r15)
        ld      %f14, 72(%r15)
        ld      %f15, 80(%r15)
        lmg     %r6, %r14, 88(%r15)
        .cfi_remember_state
        .cfi_restore f8
        .cfi_restore f9
        .cfi_restore f10
        .cfi_restore f11
        .cfi_restore f12
        .cfi_restore f13
        .cfi_restore f14
        .cfi_restore f15
        .cfi_restore r6
        .cfi_restore r7
        .cfi_restore r8
        .cfi_restore r9
        .cfi_restore r10
        .cfi_restore r11
        .cfi_restore r12
        .cfi_restore r13
        .cfi_restore r14
        aghi    %r15, AREA
        .cfi_adjust_cfa_offset -AREA
        br      %r14
        .cfi_restore_state
2:      lfpc    FPC(%r15)
        j       1b
end slp_platf_switch

/* The outermost frame: call entry (r7) with the value of the first switch (r2). */
function slp_platf_start
        .cfi_undefined r14
        nopr                           /* unwinders look up the byte before a return address */
.Lstart:
        basr    %r14, %r7
        j       . + 2                  /* an operation that does not exist */
end slp_platf_start

/* void *slp_platf_prepare(void *low: r2, void *high: r3, void (*entry)(void *): r4) */
function slp_platf_prepare
        nill    %r3, 0xfff0
        lgr     %r2, %r3
        aghi    %r2, -(AREA + CALLER_AREA)
        la      %r1, AREA(%r2)
        larl    %r5, .Lstart
        lghi    %r0, 0
        stg     %r1, 0(%r2)
        stg     %r0, 0(%r1)            /* the end of the back chain */
        stfpc   FPC(%r2)
        stg     %r4, 96(%r2)           /* r7 */
        stg     %r0, 128(%r2)          /* r11, where functions with alloca have a frame pointer */
        stg     %r5, 152(%r2)          /* r14 */
        br      %r14
end slp_platf_prepare
