#include "slp_base.h"
#include "slp_platf.h"
__asm__(".text\n.globl slp_platf_switch\n.hidden slp_platf_switch\n.type slp_platf_switch,@function\nslp_platf_switch:\n"
"pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\nsubq $8,%rsp\nstmxcsr (%rsp)\nfnstcw 4(%rsp)\n"
"movq %rsp,(%rdi)\nmovq %rsi,%rsp\nmovq %rdx,%rax\n ldmxcsr (%rsp)\n fldcw 4(%rsp)\naddq $8,%rsp\npopq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
".globl slp_tramp\n.hidden slp_tramp\nslp_tramp: movq %rax,%rdi\n callq *%rbx\n hlt\n");
extern void slp_tramp(void);
void *slp_platf_prepare(void *low, void *high, void (*entry)(void *value))
{
    uint64_t *sp = (uint64_t *)((uintptr_t)high & ~(uintptr_t)15);
    *--sp = 0; *--sp = 0;
    *--sp = (uint64_t)(uintptr_t)slp_tramp;
    *--sp = 0; *--sp = (uint64_t)(uintptr_t)entry; *--sp=0; *--sp=0; *--sp=0; *--sp=0;
    --sp; ((uint32_t *)sp)[0] = 0x1f80; ((uint32_t *)sp)[1] = 0x37f;
    return sp;
}
