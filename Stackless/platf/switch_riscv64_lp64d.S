/* Switch between C stacks: 64-bit RISC-V with double-precision registers, ABI lp64d.
 * Hosts: riscv64-*-linux-gnu riscv64-*-linux-musl
 * Tested: riscv64-linux-gnu-gcc qemu-riscv64
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +208   caller's frame            <- CFA
 *     +200   fcsr (4), unused (4)
 *     +104   fs0 ... fs11
 *       +8   s0 ... s11
 *       +0   ra, the return address    <- saved sp
 *
 * Of fcsr the rounding mode (bits 5 to 7) is restored; below are flags. gp and tp are the thread's.
 */
#include "platf.h"

#if !defined(__riscv) || __riscv_xlen != 64 || !defined(__riscv_float_abi_double)
#  error "switch_riscv64_lp64d.S is for 64-bit RISC-V with the ABI lp64d"
#endif

#define FCSR  200
#define AREA  208

/* void *slp_platf_switch(void **from: a0, void *to: a1, void *value: a2) */
function slp_platf_switch
        addi    sp, sp, -AREA
        .cfi_adjust_cfa_offset AREA
        sd      ra, 0(sp)
        sd      s0, 8(sp)
        sd      s1, 16(sp)
        sd      s2, 24(sp)
        sd      s3, 32(sp)
        sd      s4, 40(sp)
        sd      s5, 48(sp)
        sd      s6, 56(sp)
        sd      s7, 64(sp)
        sd      s8, 72(sp)
        sd      s9, 80(sp)
        sd      s10, 88(sp)
        sd      s11, 96(sp)
        fsd     fs0, 104(sp)
        fsd     fs1, 112(sp)
        fsd     fs2, 120(sp)
        fsd     fs3, 128(sp)
        fsd     fs4, 136(sp)
        fsd     fs5, 144(sp)
        fsd     fs6, 152(sp)
        fsd     fs7, 160(sp)
        fsd     fs8, 168(sp)
        fsd     fs9, 176(sp)
        fsd     fs10, 184(sp)
        fsd     fs11, 192(sp)
        .cfi_rel_offset ra, 0
        .cfi_rel_offset s0, 8
        .cfi_rel_offset s1, 16
        .cfi_rel_offset s2, 24
        .cfi_rel_offset s3, 32
        .cfi_rel_offset s4, 40
        .cfi_rel_offset s5, 48
        .cfi_rel_offset s6, 56
        .cfi_rel_offset s7, 64
        .cfi_rel_offset s8, 72
        .cfi_rel_offset s9, 80
        .cfi_rel_offset s10, 88
        .cfi_rel_offset s11, 96
        .cfi_rel_offset fs0, 104
        .cfi_rel_offset fs1, 112
        .cfi_rel_offset fs2, 120
        .cfi_rel_offset fs3, 128
        .cfi_rel_offset fs4, 136
        .cfi_rel_offset fs5, 144
        .cfi_rel_offset fs6, 152
        .cfi_rel_offset fs7, 160
        .cfi_rel_offset fs8, 168
        .cfi_rel_offset fs9, 176
        .cfi_rel_offset fs10, 184
        .cfi_rel_offset fs11, 192
        frcsr   t0
        sw      t0, FCSR(sp)
        sd      sp, 0(a0)
        mv      a0, a2
        mv      sp, a1

resume_point                           /* loading the control register is slow: only where it differs */
        lw      t1, FCSR(sp)
        xor     t0, t0, t1
        srli    t0, t0, 5
        bnez    t0, 2f
1:      ld      ra, 0(sp)
        ld      s0, 8(sp)
        ld      s1, 16(sp)
        ld      s2, 24(sp)
        ld      s3, 32(sp)
        ld      s4, 40(sp)
        ld      s5, 48(sp)
        ld      s6, 56(sp)
        ld      s7, 64(sp)
        ld      s8, 72(sp)
        ld      s9, 80(sp)
        ld      s10, 88(sp)
        ld      s11, 96(sp)
        fld     fs0, 104(sp)
        fld     fs1, 112(sp)
        fld     fs2, 120(sp)
        fld     fs3, 128(sp)
        fld     fs4, 136(sp)
        fld     fs5, 144(sp)
        fld     fs6, 152(sp)
        fld     fs7, 160(sp)
        fld     fs8, 168(sp)
        fld     fs9, 176(sp)
        fld     fs10, 184(sp)
        fld     fs11, 192(sp)
        .cfi_remember_state
        .cfi_restore ra
        .cfi_restore s0
        .cfi_restore s1
        .cfi_restore s2
        .cfi_restore s3
        .cfi_restore s4
        .cfi_restore s5
        .cfi_restore s6
        .cfi_restore s7
        .cfi_restore s8
        .cfi_restore s9
        .cfi_restore s10
        .cfi_restore s11
        .cfi_restore fs0
        .cfi_restore fs1
        .cfi_restore fs2
        .cfi_restore fs3
        .cfi_restore fs4
        .cfi_restore fs5
        .cfi_restore fs6
        .cfi_restore fs7
        .cfi_restore fs8
        .cfi_restore fs9
        .cfi_restore fs10
        .cfi_restore fs11
        addi    sp, sp, AREA
        .cfi_adjust_cfa_offset -AREA
        ret
        .cfi_restore_state
2:      fscsr   t1
        j       1b
end slp_platf_switch

/* The outermost frame: call entry (s1) with the value of the first switch (a0). */
function slp_platf_start
        .cfi_undefined ra
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        jalr    s1
        ebreak
end slp_platf_start

/* void *slp_platf_prepare(void *low: a0, void *high: a1, void (*entry)(void *): a2) */
function slp_platf_prepare
        andi    a1, a1, -16
        addi    a0, a1, -AREA
        lla     t0, .Lstart
        frcsr   t1
        sd      t0, 0(a0)              /* ra */
        sd      zero, 8(a0)            /* s0 ends the chain of frame pointers */
        sd      a2, 16(a0)             /* s1 */
        sw      t1, FCSR(a0)
        ret
end slp_platf_prepare
