/* Switch between C stacks: 64-bit little-endian PowerPC (POWER8 and later), ELFv2 ABI.
 * Hosts: powerpc64le-*-linux-gnu powerpc64le-*-linux-musl
 * Tested: powerpc64le-linux-gnu-gcc qemu-ppc64le
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +560   lr, the return address    (in the caller's frame, where the ABI wants them)
 *     +552   cr
 *     +544   caller's frame: its back chain         <- CFA
 *     +528   vscr (16)
 *     +520   unused
 *     +512   fpscr (8)
 *     +320   v20 ... v31
 *     +176   f14 ... f31
 *      +32   r14 ... r31
 *      +24   unused (toc)
 *      +16   unused (lr)
 *       +8   unused (cr)
 *       +0   back chain: the caller's r1            <- saved r1
 *
 * Of fpscr the rounding modes, the enabled exceptions and the non-IEEE mode are restored, of vscr the
 * non-Java mode; the rest are flags. r2 stays: all callers lie in one module.
 */
#include "platf.h"

#if !defined(__powerpc64__) || !defined(__LITTLE_ENDIAN__) || _CALL_ELF != 2
#  error "switch_ppc64le_elfv2.S is for 64-bit little-endian PowerPC with the ABI ELFv2"
#endif

#define GPRS    32
#define FPRS    176
#define VRS     320
#define FPSCR   512
#define VSCR    528
#define AREA    544
#define CR_SAVE 8
#define LR_SAVE 16
#define HEADER  32                     /* the least that a frame has */

/* DWARF's numbers */
#define DWARF_F0   32
#define DWARF_V0   77
#define DWARF_LR   65
#define DWARF_CR2  70

/* Do `what` with each of the callee-saved registers. */
.macro each_gpr what:vararg
        .irp    n, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \what   \n
        .endr
.endm
.macro each_vr what:vararg
        .irp    n, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        \what   \n
        .endr
.endm
.macro save_gpr n
        std     %r\n, GPRS + 8 * (\n - 14)(%r1)
        .cfi_rel_offset \n, GPRS + 8 * (\n - 14)
.endm
.macro load_gpr n
        ld      %r\n, GPRS + 8 * (\n - 14)(%r1)
.endm
.macro save_fpr n
        stfd    %f\n, FPRS + 8 * (\n - 14)(%r1)
        .cfi_rel_offset DWARF_F0 + \n, FPRS + 8 * (\n - 14)
.endm
.macro load_fpr n
        lfd     %f\n, FPRS + 8 * (\n - 14)(%r1)
.endm
.macro save_vr n
        li      %r10, VRS + 16 * (\n - 20)
        stvx    %v\n, %r1, %r10
        .cfi_rel_offset DWARF_V0 + \n, VRS + 16 * (\n - 20)
.endm
.macro load_vr n
        li      %r10, VRS + 16 * (\n - 20)
        lvx     %v\n, %r1, %r10
.endm
.macro restored_gpr n
        .cfi_restore \n
.endm
.macro restored_fpr n
        .cfi_restore DWARF_F0 + \n
.endm
.macro restored_vr n
        .cfi_restore DWARF_V0 + \n
.endm

/* void *slp_platf_switch(void **from: r3, void *to: r4, void *value: r5) */
function slp_platf_switch
        mflr    %r0
        mfcr    %r11
        std     %r0, LR_SAVE(%r1)
        stw     %r11, CR_SAVE(%r1)
        stdu    %r1, -AREA(%r1)
        .cfi_adjust_cfa_offset AREA
        .cfi_rel_offset DWARF_LR, AREA + LR_SAVE
        .cfi_rel_offset DWARF_CR2, AREA + CR_SAVE
        each_gpr save_gpr
        each_gpr save_fpr
        each_vr save_vr
        mffs    %f0
        stfd    %f0, FPSCR(%r1)
        mfvscr  %v0
        li      %r10, VSCR
        stvx    %v0, %r1, %r10
        ld      %r8, FPSCR(%r1)
        lwz     %r9, VSCR(%r1)
        std     %r1, 0(%r3)
        mr      %r3, %r5
        mr      %r1, %r4

resume_point                           /* loading a control register is slow: only where it differs */
        ld      %r11, FPSCR(%r1)
        xor     %r8, %r8, %r11
        andi.   %r11, %r8, 0xff        /* enables, non-IEEE, binary rounding */
        bne     3f
        srdi    %r8, %r8, 32
        andi.   %r11, %r8, 7           /* decimal rounding */
        bne     3f
1:      lwz     %r11, VSCR(%r1)
        xor     %r9, %r9, %r11
        andis.  %r11, %r9, 1           /* non-Java */
        bne     4f
2:      each_gpr load_gpr
        each_gpr load_fpr
        each_vr load_vr
        .cfi_remember_state
        each_gpr restored_gpr
        each_gpr restored_fpr
        each_vr restored_vr
        addi    %r1, %r1, AREA
        .cfi_adjust_cfa_offset -AREA
        ld      %r0, LR_SAVE(%r1)
        lwz     %r11, CR_SAVE(%r1)
        mtlr    %r0
        mtcrf   0x38, %r11             /* cr2, cr3, cr4 */
        .cfi_restore DWARF_LR
        .cfi_restore DWARF_CR2
        blr
        .cfi_restore_state
3:      lfd     %f0, FPSCR(%r1)
        mtfsf   0xff, %f0, 1, 0
        b       1b
4:      li      %r10, VSCR
        lvx     %v0, %r1, %r10
        mtvscr  %v0
        b       2b
end slp_platf_switch

/* The outermost frame: call entry (r14) with the value of the first switch (r3). */
function slp_platf_start
        .cfi_undefined DWARF_LR
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        mr      %r12, %r14             /* a function finds its table of contents by it */
        mtctr   %r12
        bctrl
        trap
end slp_platf_start

/* void *slp_platf_prepare(void *low: r3, void *high: r4, void (*entry)(void *): r5) */
function slp_platf_prepare
        clrrdi  %r4, %r4, 4
        addi    %r6, %r4, -HEADER      /* the frame of slp_platf_start */
        addi    %r3, %r6, -AREA
        li      %r0, 0
        std     %r0, 0(%r6)            /* the end of the back chain */
        mfcr    %r7
        stw     %r7, CR_SAVE(%r6)
        std     %r6, 0(%r3)
        std     %r5, GPRS(%r3)         /* r14 */
        std     %r0, GPRS + 136(%r3)   /* r31 ends the chain of frame pointers */
        mffs    %f0
        stfd    %f0, FPSCR(%r3)
        mfvscr  %v0
        li      %r10, VSCR
        stvx    %v0, %r3, %r10
        mflr    %r0
        .cfi_register DWARF_LR, 0
        bcl     20, 31, 1f
1:      mflr    %r7
        addi    %r7, %r7, .Lstart - 1b
        std     %r7, LR_SAVE(%r6)
        mtlr    %r0
        .cfi_restore DWARF_LR
        blr
end slp_platf_prepare
