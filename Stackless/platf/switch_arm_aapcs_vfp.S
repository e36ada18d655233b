/* Switch between C stacks: 32-bit arm, AAPCS with arguments in VFP registers (hard float).
 * Hosts: arm*-*-linux-gnueabihf arm*-*-linux-musleabihf
 * Tested: arm-linux-gnueabihf-gcc qemu-arm
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +104   caller's frame            <- CFA
 *     +100   lr, the return address
 *      +68   r4 ... r11
 *       +4   d8 ... d15
 *       +0   fpscr (4)                 <- saved sp
 *
 * Of fpscr the control bits (8 to 26) are callee-saved; below and above are flags.
 * Exceptions unwind with the tables of EHABI (.fnstart, .save), debuggers with .debug_frame.
 */
        .syntax unified
        .arm
        .cfi_sections .debug_frame
#include "platf.h"

#if !defined(__arm__) || !defined(__ARM_PCS_VFP) || defined(__ARMEB__)
#  error "switch_arm_aapcs_vfp.S is for little-endian arm with the hard-float ABI"
#endif

#define AREA  104

/* void *slp_platf_switch(void **from: r0, void *to: r1, void *value: r2) */
function slp_platf_switch
        .fnstart
        push    {r4-r11, lr}
        .save   {r4-r11, lr}
        .cfi_adjust_cfa_offset 36
        .cfi_rel_offset r4, 0
        .cfi_rel_offset r5, 4
        .cfi_rel_offset r6, 8
        .cfi_rel_offset r7, 12
        .cfi_rel_offset r8, 16
        .cfi_rel_offset r9, 20
        .cfi_rel_offset r10, 24
        .cfi_rel_offset r11, 28
        .cfi_rel_offset lr, 32
        vpush   {d8-d15}
        .vsave  {d8-d15}
        .cfi_adjust_cfa_offset 64
        .cfi_rel_offset d8, 0
        .cfi_rel_offset d9, 8
        .cfi_rel_offset d10, 16
        .cfi_rel_offset d11, 24
        .cfi_rel_offset d12, 32
        .cfi_rel_offset d13, 40
        .cfi_rel_offset d14, 48
        .cfi_rel_offset d15, 56
        vmrs    r3, fpscr
        str     r3, [sp, #-4]!
        .pad    #4
        .cfi_adjust_cfa_offset 4
        str     sp, [r0]
        mov     r0, r2
        mov     sp, r1

resume_point                           /* loading the control bits is slow: only where they differ */
        ldr     r1, [sp]
        eor     r3, r3, r1
        lsl     r3, r3, #5             /* bits 27 to 31 are flags */
        lsrs    r3, r3, #13            /* and so are bits 0 to 7 */
        vmsrne  fpscr, r1
        add     sp, sp, #4
        .cfi_adjust_cfa_offset -4
        vpop    {d8-d15}
        .cfi_adjust_cfa_offset -64
        .cfi_restore d8
        .cfi_restore d9
        .cfi_restore d10
        .cfi_restore d11
        .cfi_restore d12
        .cfi_restore d13
        .cfi_restore d14
        .cfi_restore d15
        pop     {r4-r11, pc}
        .fnend
end slp_platf_switch

/* The outermost frame: call entry (r4) with the value of the first switch (r0). */
function slp_platf_start
        .fnstart
        .cantunwind
        .cfi_undefined lr
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        blx     r4
        udf     #0
        .fnend
end slp_platf_start

/* void *slp_platf_prepare(void *low: r0, void *high: r1, void (*entry)(void *): r2) */
function slp_platf_prepare
        .fnstart
        bic     r1, r1, #15
        sub     r0, r1, #AREA
        adr     r3, .Lstart
        vmrs    r1, fpscr
        mov     r12, #0
        str     r1, [r0]
        str     r2, [r0, #68]          /* r4 */
        str     r12, [r0, #96]         /* r11 ends the chain of frame pointers */
        str     r3, [r0, #100]         /* lr */
        bx      lr
        .fnend
end slp_platf_prepare
