/* Switch between C stacks: 32-bit x86, System V ABI with stacks aligned to 16 bytes.
 * Hosts: i[3-6]86-*-linux-gnu i[3-6]86-*-linux-musl
 * Tested: i686-linux-gnu-gcc qemu-i386
 * Tested: i686-linux-gnu-gcc qemu-i386 -cpu pentium2
 *
 * The saved register area, seen from the saved stack pointer:
 *
 *      +28   caller's frame            <- CFA
 *      +24   return address
 *      +20   mxcsr (4), where there is one
 *      +18   whether there is one (2)
 *      +16   x87 control word (2)
 *      +12   esi
 *       +8   edi
 *       +4   ebx
 *       +0   ebp                       <- saved esp
 *
 * Debian's i386 runs on processors without SSE. slp_platf_prepare() asks the processor, and the answer
 * goes with the areas: a switch that leaves takes it over from the one that it goes to.
 */
#include "platf.h"

#if !defined(__i386__)
#  error "switch_i386_sysv.S is for 32-bit x86"
#endif

#define X87_CW         16
#define HAS_MXCSR      18
#define MXCSR          20
#define AREA           24              /* up to the return address */
#define MXCSR_CONTROL  0xffc0
#define CPUID_EDX_SSE  (1 << 25)

/* void *slp_platf_switch(void **from: +4, void *to: +8, void *value: +12) */
function slp_platf_switch
        endbr32
        movl    4(%esp), %ecx
        movl    8(%esp), %edx
        movl    12(%esp), %eax
        subl    $AREA, %esp
        .cfi_adjust_cfa_offset AREA
        movl    %ebp, 0(%esp)
        movl    %ebx, 4(%esp)
        movl    %edi, 8(%esp)
        movl    %esi, 12(%esp)
        .cfi_rel_offset ebp, 0
        .cfi_rel_offset ebx, 4
        .cfi_rel_offset edi, 8
        .cfi_rel_offset esi, 12
        fnstcw  X87_CW(%esp)
        movzwl  X87_CW(%esp), %ebx
        movzwl  HAS_MXCSR(%edx), %esi
        movw    %si, HAS_MXCSR(%esp)
        testl   %esi, %esi
        je      1f
        stmxcsr MXCSR(%esp)
        movl    MXCSR(%esp), %edi
1:      movl    %esp, (%ecx)
        movl    %edx, %esp

resume_point                           /* loading a control word is slow: only where it differs */
        cmpw    %bx, X87_CW(%esp)
        jne     4f
2:      testl   %esi, %esi
        je      3f
        xorl    MXCSR(%esp), %edi
        testl   $MXCSR_CONTROL, %edi
        jne     5f
3:      movl    0(%esp), %ebp
        movl    4(%esp), %ebx
        movl    8(%esp), %edi
        movl    12(%esp), %esi
        .cfi_remember_state
        .cfi_restore ebp
        .cfi_restore ebx
        .cfi_restore edi
        .cfi_restore esi
        addl    $AREA, %esp
        .cfi_adjust_cfa_offset -AREA
        ret
        .cfi_restore_state
4:      fldcw   X87_CW(%esp)
        jmp     2b
5:      ldmxcsr MXCSR(%esp)
        jmp     3b
end slp_platf_switch

/* The outermost frame: call entry (ebx) with the value of the first switch (eax). */
function slp_platf_start
        .cfi_undefined eip
        nop                            /* unwinders look up the byte before a return address */
.Lstart:
        movl    %eax, (%esp)
        call    *%ebx
        ud2
end slp_platf_start

/* void *slp_platf_prepare(void *low: +4, void *high: +8, void (*entry)(void *): +12) */
function slp_platf_prepare
        endbr32
        pushl   %ebx
        .cfi_adjust_cfa_offset 4
        .cfi_rel_offset ebx, 0
        pushl   %esi
        .cfi_adjust_cfa_offset 4
        .cfi_rel_offset esi, 0
        movl    16(%esp), %esi
        andl    $-16, %esi
        subl    $(AREA + 4 + 16), %esi
        movl    20(%esp), %eax
        movl    $0, 0(%esi)            /* ebp ends the chain of frame pointers */
        movl    %eax, 4(%esi)          /* ebx */
        fnstcw  X87_CW(%esi)
        movw    $0, HAS_MXCSR(%esi)
        movl    $1, %eax
        cpuid
        testl   $CPUID_EDX_SSE, %edx
        je      1f
        movw    $1, HAS_MXCSR(%esi)
        stmxcsr MXCSR(%esi)
1:      call    2f
        .cfi_adjust_cfa_offset 4
2:      popl    %ecx
        .cfi_adjust_cfa_offset -4
        addl    $(.Lstart - 2b), %ecx
        movl    %ecx, AREA(%esi)
        movl    %esi, %eax
        popl    %esi
        .cfi_adjust_cfa_offset -4
        .cfi_restore esi
        popl    %ebx
        .cfi_adjust_cfa_offset -4
        .cfi_restore ebx
        ret
end slp_platf_prepare
