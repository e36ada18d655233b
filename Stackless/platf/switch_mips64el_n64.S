/* Switch between C stacks: 64-bit little-endian mips, ABI n64 with hard float.
 * Hosts: mips64*el-*-linux-gnuabi64 mips64*el-*-linux-muslabi64
 * Tested: mips64el-linux-gnuabi64-gcc qemu-mips64el -cpu MIPS64R2-generic
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *     +160   caller's frame            <- CFA
 *     +152   fcsr (4), unused (4)
 *      +88   f24 ... f31
 *      +80   ra, the return address
 *      +72   fp, which is s8
 *      +64   gp
 *       +0   s0 ... s7                 <- saved sp
 *
 * Of fcsr the rounding mode, the enabled traps and flush-to-zero are restored; the rest are flags, and
 * causes, which would trap.
 */
#include "platf.h"

#if !defined(__mips64) || _MIPS_SIM != _ABI64 || !defined(__MIPSEL__) || !defined(__mips_hard_float)
#  error "switch_mips64el_n64.S is for 64-bit little-endian mips with the ABI n64 and hard float"
#endif

#define FCSR          152
#define AREA          160
#define FCSR_CONTROL  0x01000f83

        .set    nomips16
        .set    noat

/* void *slp_platf_switch(void **from: a0 ($4), void *to: a1 ($5), void *value: a2 ($6)) */
function slp_platf_switch
        daddiu  $sp, $sp, -AREA
        .cfi_adjust_cfa_offset AREA
        sd      $16, 0($sp)
        sd      $17, 8($sp)
        sd      $18, 16($sp)
        sd      $19, 24($sp)
        sd      $20, 32($sp)
        sd      $21, 40($sp)
        sd      $22, 48($sp)
        sd      $23, 56($sp)
        sd      $28, 64($sp)
        sd      $30, 72($sp)
        sd      $31, 80($sp)
        s.d     $f24, 88($sp)
        s.d     $f25, 96($sp)
        s.d     $f26, 104($sp)
        s.d     $f27, 112($sp)
        s.d     $f28, 120($sp)
        s.d     $f29, 128($sp)
        s.d     $f30, 136($sp)
        s.d     $f31, 144($sp)
        .cfi_rel_offset 16, 0
        .cfi_rel_offset 17, 8
        .cfi_rel_offset 18, 16
        .cfi_rel_offset 19, 24
        .cfi_rel_offset 20, 32
        .cfi_rel_offset 21, 40
        .cfi_rel_offset 22, 48
        .cfi_rel_offset 23, 56
        .cfi_rel_offset 28, 64
        .cfi_rel_offset 30, 72
        .cfi_rel_offset 31, 80
        .cfi_rel_offset 56, 88         /* 32 + the number of the floating-point register */
        .cfi_rel_offset 57, 96
        .cfi_rel_offset 58, 104
        .cfi_rel_offset 59, 112
        .cfi_rel_offset 60, 120
        .cfi_rel_offset 61, 128
        .cfi_rel_offset 62, 136
        .cfi_rel_offset 63, 144
        cfc1    $8, $31
        sw      $8, FCSR($sp)
        sd      $sp, 0($4)
        move    $2, $6
        li      $10, FCSR_CONTROL
        move    $sp, $5

resume_point                           /* loading the control register is slow: only where it differs */
        lw      $9, FCSR($sp)
        xor     $8, $8, $9
        and     $8, $8, $10
        bne     $8, $0, 2f
1:      ld      $16, 0($sp)
        ld      $17, 8($sp)
        ld      $18, 16($sp)
        ld      $19, 24($sp)
        ld      $20, 32($sp)
        ld      $21, 40($sp)
        ld      $22, 48($sp)
        ld      $23, 56($sp)
        ld      $28, 64($sp)
        ld      $30, 72($sp)
        ld      $31, 80($sp)
        l.d     $f24, 88($sp)
        l.d     $f25, 96($sp)
        l.d     $f26, 104($sp)
        l.d     $f27, 112($sp)
        l.d     $f28, 120($sp)
        l.d     $f29, 128($sp)
        l.d     $f30, 136($sp)
        l.d     $f31, 144($sp)
        .cfi_remember_state
        .cfi_restore 16
        .cfi_restore 17
        .cfi_restore 18
        .cfi_restore 19
        .cfi_restore 20
        .cfi_restore 21
        .cfi_restore 22
        .cfi_restore 23
        .cfi_restore 28
        .cfi_restore 30
        .cfi_restore 31
        .cfi_restore 56
        .cfi_restore 57
        .cfi_restore 58
        .cfi_restore 59
        .cfi_restore 60
        .cfi_restore 61
        .cfi_restore 62
        .cfi_restore 63
        daddiu  $sp, $sp, AREA
        .cfi_adjust_cfa_offset -AREA
        jr      $31
        .cfi_restore_state
2:      and     $9, $9, $10
        ctc1    $9, $31
        b       1b
end slp_platf_switch

/* The outermost frame: call entry (s0, $16) with the value of the first switch (v0, $2). */
function slp_platf_start
        .cfi_undefined 31
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        move    $4, $2
        move    $25, $16
        jalr    $25
        break
end slp_platf_start

/* void *slp_platf_prepare(void *low: a0 ($4), void *high: a1 ($5), void (*entry)(void *): a2 ($6)) */
function slp_platf_prepare
        li      $8, -16
        and     $5, $5, $8
        daddiu  $2, $5, -AREA
        cfc1    $8, $31
        sd      $6, 0($2)              /* s0 */
        sd      $28, 64($2)
        sd      $0, 72($2)             /* fp */
        sw      $8, FCSR($2)
        move    $9, $31
        .cfi_register 31, 9
        bal     1f
1:      daddiu  $8, $31, .Lstart - 1b
        sd      $8, 80($2)             /* ra */
        move    $31, $9
        .cfi_restore 31
        jr      $31
end slp_platf_prepare
