/* Test of one switch file (Stackless/platf), without anything else of ours: its own main, plain C.
 *
 *     cc -O2 -funwind-tables -IInclude/internal Tools/testing/platf_test.c Stackless/platf/switch_X.S -lm
 *     ./a.out [SWITCHES]
 *
 * Prints one line per subject and the time of a switch.  The exit status is the number of failed checks,
 * up to 1.  Tools/testing/platf.py builds and runs it for all architectures.
 */
#include <fenv.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unwind.h>

#include "slp_platf.h"

#define STACK_SIZE ((size_t)256 * 1024)
#define NOINLINE   __attribute__((noinline, noclone))

/* The function below entry on every stack; unwinders stop there. */
__attribute__((visibility("hidden"))) void slp_platf_start(void);

static int failures;

/* Count and tell a check that does not hold. */
static void
check(bool holds, const char *subject, const char *what, long got, long wanted)
{
    if (!holds) {
        failures++;
        printf("%s: %s: %ld, not %ld\n", subject, what, got, wanted);
    }
}

/* A stack, and where it was left. */
typedef struct {
    void *sp;
    char *low;
    int number;
    long result;
} stack;

static void *main_sp;

/* Make a stack that begins with entry. */
static stack
new_stack(int number, void (*entry)(void *))
{
    stack made = {.number = number, .low = malloc(STACK_SIZE)};
    if (made.low == NULL) {
        printf("no memory\n");
        exit(1);
    }
    /* An odd end: prepare has to align. */
    made.sp = slp_platf_prepare(made.low, made.low + STACK_SIZE - 3, entry);
    return made;
}

/* Go on with a stack until it comes back; return what it passes. */
static void *
resume(stack *to, void *value)
{
    return slp_platf_switch(&main_sp, to->sp, value);
}

/* Go back to main from a stack; return what main passes. */
static void *
leave(stack *from, void *value)
{
    return slp_platf_switch(&from->sp, main_sp, value);
}

/* --- values, in both directions, the first one included --- */

static void
values_entry(void *value)
{
    stack *self = value;
    uintptr_t next = 1;
    for (;;) {
        uintptr_t got = (uintptr_t)leave(self, (void *)next);
        check(got == next * 3, "values", "value passed to a stack", (long)got, (long)(next * 3));
        next = got + 1;
    }
}

static void
test_values(void)
{
    stack s = new_stack(0, values_entry);
    uintptr_t wanted = 1;
    uintptr_t got = (uintptr_t)resume(&s, &s);
    for (int i = 0; i < 10; i++) {
        check(got == wanted, "values", "value passed to main", (long)got, (long)wanted);
        wanted = got * 3 + 1;
        got = (uintptr_t)resume(&s, (void *)(got * 3));
    }
    free(s.low);
}

/* --- callee-saved registers: all at once hold values of their own across a switch --- */

#if defined(__x86_64__)
#  define INTEGERS(DO) DO(0, "rbx") DO(1, "rbp") DO(2, "r12") DO(3, "r13") DO(4, "r14") DO(5, "r15")
#  define FLOATS(DO)
#elif defined(__i386__)
#  define INTEGERS(DO) DO(0, "ebp") DO(1, "ebx") DO(2, "edi") DO(3, "esi")
#  define FLOATS(DO)
#elif defined(__aarch64__)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "x19") DO(1, "x20") DO(2, "x21") DO(3, "x22") DO(4, "x23") DO(5, "x24") DO(6, "x25")          \
    DO(7, "x26") DO(8, "x27") DO(9, "x28") DO(10, "x29")
#  define FLOATS(DO)                                                                                    \
    DO(0, "d8") DO(1, "d9") DO(2, "d10") DO(3, "d11") DO(4, "d12") DO(5, "d13") DO(6, "d14") DO(7, "d15")
#  define FLOAT_CONSTRAINT "+w"
#elif defined(__arm__)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "r4") DO(1, "r5") DO(2, "r6") DO(3, "r7") DO(4, "r8") DO(5, "r9") DO(6, "r10") DO(7, "r11")
#  define FLOATS(DO)                                                                                    \
    DO(0, "d8") DO(1, "d9") DO(2, "d10") DO(3, "d11") DO(4, "d12") DO(5, "d13") DO(6, "d14") DO(7, "d15")
#  define FLOAT_CONSTRAINT "+w"
#elif defined(__powerpc64__)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "r14") DO(1, "r15") DO(2, "r16") DO(3, "r17") DO(4, "r18") DO(5, "r19") DO(6, "r20")          \
    DO(7, "r21") DO(8, "r22") DO(9, "r23") DO(10, "r24") DO(11, "r25") DO(12, "r26") DO(13, "r27")      \
    DO(14, "r28") DO(15, "r29") DO(16, "r30") DO(17, "r31")
#  define FLOATS(DO)                                                                                    \
    DO(0, "fr14") DO(1, "fr15") DO(2, "fr16") DO(3, "fr17") DO(4, "fr18") DO(5, "fr19") DO(6, "fr20")   \
    DO(7, "fr21") DO(8, "fr22") DO(9, "fr23") DO(10, "fr24") DO(11, "fr25") DO(12, "fr26")              \
    DO(13, "fr27") DO(14, "fr28") DO(15, "fr29") DO(16, "fr30") DO(17, "fr31")
#  define FLOAT_CONSTRAINT "+d"
#  define VECTORS(DO)                                                                                   \
    DO(0, "v20") DO(1, "v21") DO(2, "v22") DO(3, "v23") DO(4, "v24") DO(5, "v25") DO(6, "v26")          \
    DO(7, "v27") DO(8, "v28") DO(9, "v29") DO(10, "v30") DO(11, "v31")
#elif defined(__s390x__)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "r6") DO(1, "r7") DO(2, "r8") DO(3, "r9") DO(4, "r10") DO(5, "r11") DO(6, "r12") DO(7, "r13")
#  define FLOATS(DO)                                                                                    \
    DO(0, "f8") DO(1, "f9") DO(2, "f10") DO(3, "f11") DO(4, "f12") DO(5, "f13") DO(6, "f14") DO(7, "f15")
#  define FLOAT_CONSTRAINT "+f"
#elif defined(__mips64)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "$16") DO(1, "$17") DO(2, "$18") DO(3, "$19") DO(4, "$20") DO(5, "$21") DO(6, "$22")          \
    DO(7, "$23") DO(8, "$30")
#  define FLOATS(DO)                                                                                    \
    DO(0, "$f24") DO(1, "$f25") DO(2, "$f26") DO(3, "$f27") DO(4, "$f28") DO(5, "$f29") DO(6, "$f30")   \
    DO(7, "$f31")
#  define FLOAT_CONSTRAINT "+f"
#elif defined(__riscv)
#  define INTEGERS(DO)                                                                                  \
    DO(0, "s0") DO(1, "s1") DO(2, "s2") DO(3, "s3") DO(4, "s4") DO(5, "s5") DO(6, "s6") DO(7, "s7")     \
    DO(8, "s8") DO(9, "s9") DO(10, "s10") DO(11, "s11")
#  define FLOATS(DO)                                                                                    \
    DO(0, "fs0") DO(1, "fs1") DO(2, "fs2") DO(3, "fs3") DO(4, "fs4") DO(5, "fs5") DO(6, "fs6")          \
    DO(7, "fs7") DO(8, "fs8") DO(9, "fs9") DO(10, "fs10") DO(11, "fs11")
#  define FLOAT_CONSTRAINT "+f"
#else
#  error "name the callee-saved registers of this architecture"
#endif
#ifndef VECTORS
#  define VECTORS(DO)
#endif

/* A register variable is the register wherever an asm statement mentions it, and a compiler that obeys the
 * ABI leaves it alone over a call. */
#define SET_INTEGER(n, name)                                                                              \
    register uintptr_t i##n __asm__(name) = (uintptr_t)seed * 1000003u + n;                               \
    __asm__ volatile("" : "+r"(i##n));
#define SET_FLOAT(n, name)                                                                                \
    register double f##n __asm__(name) = seed * 1000.5 + n;                                               \
    __asm__ volatile("" : FLOAT_CONSTRAINT(f##n));
#define SET_VECTOR(n, name)                                                                               \
    register __vector unsigned v##n __asm__(name) = {seed + n, seed * 3 + n, seed * 5 + n, seed * 7 + n}; \
    __asm__ volatile("" : "+v"(v##n));
#define GET_INTEGER(n, name)                                                                              \
    __asm__ volatile("" : "+r"(i##n));                                                                    \
    integers[n] = i##n;
#define GET_FLOAT(n, name)                                                                                \
    __asm__ volatile("" : FLOAT_CONSTRAINT(f##n));                                                        \
    floats[n] = f##n;
#define GET_VECTOR(n, name)                                                                               \
    __asm__ volatile("" : "+v"(v##n));                                                                    \
    vectors[n][0] = v##n[0], vectors[n][1] = v##n[1], vectors[n][2] = v##n[2], vectors[n][3] = v##n[3];
#define CHECK_INTEGER(n, name)                                                                            \
    check(integers[n] == (uintptr_t)seed * 1000003u + n, "registers", name, (long)integers[n],            \
          (long)((uintptr_t)seed * 1000003u + n));
#define CHECK_FLOAT(n, name)                                                                              \
    check(floats[n] == seed * 1000.5 + n, "registers", name, (long)floats[n], (long)(seed * 1000.5 + n));
#define CHECK_VECTOR(n, name)                                                                             \
    for (unsigned k = 0; k < 4; k++) {                                                                    \
        check(vectors[n][k] == seed * (2 * k + 1) + n, "registers", name, vectors[n][k],                  \
              (long)(seed * (2 * k + 1) + n));                                                            \
    }

/* Fill all callee-saved registers, switch, look at them. */
static NOINLINE void
hold_registers(unsigned seed, void **from, void *to)
{
    uintptr_t integers[32];
    double floats[32];
    unsigned vectors[32][4];
    {
        VECTORS(SET_VECTOR)
        FLOATS(SET_FLOAT)
        INTEGERS(SET_INTEGER)
        slp_platf_switch(from, to, NULL);
        INTEGERS(GET_INTEGER)
        FLOATS(GET_FLOAT)
        VECTORS(GET_VECTOR)
    }
    INTEGERS(CHECK_INTEGER)
    FLOATS(CHECK_FLOAT)
    VECTORS(CHECK_VECTOR)
    (void)floats;
    (void)vectors;
}

#if defined(__powerpc64__)
/* The callee-saved fields of the condition register, set by this function alone. */
static NOINLINE void
hold_conditions(unsigned seed, void **from, void *to)
{
    unsigned fields = seed % 2 ? 0x00a5a000u : 0x005a5000u, got;
    __asm__ volatile("mtcrf 0x38, %0" : : "r"(fields) : "cr2", "cr3", "cr4");
    slp_platf_switch(from, to, NULL);
    __asm__ volatile("mfcr %0" : "=r"(got));
    check((got & 0x00fff000u) == fields, "registers", "cr2, cr3, cr4", got & 0x00fff000u, fields);
}
#elif defined(__mips64)
/* The pointer to a module's globals, which a compiler does not give away as a register variable. */
static NOINLINE void
hold_conditions(unsigned seed, void **from, void *to)
{
    uintptr_t mark = (uintptr_t)seed * 1000003u + 28, got;
    register void *a0 __asm__("$4") = from;
    register void *a1 __asm__("$5") = to;
    register void *(*callee)(void **, void *, void *) __asm__("$25") = slp_platf_switch;
    __asm__ volatile("move $16, $28\n\t"
                     "move $28, %[mark]\n\t"
                     "jalr $25\n\t"
                     "move %[got], $28\n\t"
                     "move $28, $16"
                     : [got] "=&r"(got), "+r"(a0), "+r"(a1), "+r"(callee)
                     : [mark] "r"(mark)
                     : "$2", "$3", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16",
                       "$24", "$31", "memory");
    check(got == mark, "registers", "gp", (long)got, (long)mark);
}
#else
#  define hold_conditions(seed, from, to) ((void)0)
#endif

static void
registers_entry(void *value)
{
    stack *self = value;
    for (unsigned i = 0;; i++) {
        hold_registers((unsigned)self->number * 100 + i, &self->sp, main_sp);
        hold_conditions((unsigned)self->number, &self->sp, main_sp);
    }
}

static void
test_registers(void)
{
    stack stacks[3];
    for (int i = 0; i < 3; i++) {
        stacks[i] = new_stack(i + 1, registers_entry);
        resume(&stacks[i], &stacks[i]);
    }
    for (int i = 0; i < 30; i++) {
        hold_registers((unsigned)i + 7000, &main_sp, stacks[i % 3].sp);
        hold_conditions((unsigned)i, &main_sp, stacks[i % 3].sp);
    }
    for (int i = 0; i < 3; i++) {
        free(stacks[i].low);
    }
}

/* --- floating-point control: each stack rounds in its own way --- */

static const int modes[4] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

/* Which of the modes does arithmetic follow? */
static NOINLINE int
observed_mode(void)
{
#if defined(__i386__)
    /* Doubles are computed by the x87 there; ask the SSE unit, where there is one. */
    unsigned mxcsr;
    if (!__builtin_cpu_supports("sse")) {
        return fegetround();
    }
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return (int)(mxcsr >> 3 & 0xc00);
#else
    volatile double one = 1.0, tiny = 0x1p-60;
    bool up = one + tiny > 1.0, down = one - tiny < 1.0, minus_up = -one + tiny > -1.0;
    return up ? FE_UPWARD : down && minus_up ? FE_TOWARDZERO : down ? FE_DOWNWARD : FE_TONEAREST;
#endif
}

#if defined(__x86_64__) || defined(__i386__)
/* The same on the x87. */
static NOINLINE int
observed_other_mode(void)
{
    volatile long double one = 1.0L, tiny = 0x1p-80L;
    bool up = one + tiny > 1.0L, down = one - tiny < 1.0L, minus_up = -one + tiny > -1.0L;
    return up ? FE_UPWARD : down && minus_up ? FE_TOWARDZERO : down ? FE_DOWNWARD : FE_TONEAREST;
}
#else
#  define observed_other_mode observed_mode
#endif

#if defined(__powerpc64__)
/* The non-Java bit of vscr, which modes have no influence on. */
static void
set_vector_mode(int number)
{
    __vector unsigned word = {number % 2 ? 0x10000u : 0, 0, 0, 0};
    __asm__ volatile("mtvscr %0" : : "v"(word));
}

static int
vector_mode(void)
{
    __vector unsigned word;
    __asm__ volatile("mfvscr %0" : "=v"(word));
    return (word[0] & 0x10000u) != 0;
}
#else
#  define set_vector_mode(number) ((void)(number))
#  define vector_mode()           (number % 2)
#endif

/* Check that all control words are those of modes[number]. */
static void
check_mode(int number, const char *where)
{
    check(fegetround() == modes[number], "control words", where, fegetround(), modes[number]);
    check(observed_mode() == modes[number], "control words", where, observed_mode(), modes[number]);
    check(observed_other_mode() == modes[number], "control words", where, observed_other_mode(),
          modes[number]);
    check(vector_mode() == number % 2, "control words, vectors", where, vector_mode(), number % 2);
}

static void
set_mode(int number)
{
    fesetround(modes[number]);
    set_vector_mode(number);
}

static void
modes_entry(void *value)
{
    stack *self = value;
    check_mode(1, "a stack does not begin with those of its maker");
    set_mode(self->number);
    for (;;) {
        leave(self, NULL);
        check_mode(self->number, "those of a stack have changed");
    }
}

static void
test_control_words(void)
{
    stack stacks[4];
    set_mode(1);
    for (int i = 0; i < 4; i++) {
        stacks[i] = new_stack(i, modes_entry);
    }
    for (int i = 0; i < 64; i++) {
        set_mode(i / 4 % 4);
        volatile double inexact = 1.0 / (i + 3.0);
        (void)inexact;
        resume(&stacks[i % 4], &stacks[i % 4]);
        check_mode(i / 4 % 4, "those of main have changed");
    }
    set_mode(0);
    for (int i = 0; i < 4; i++) {
        free(stacks[i].low);
    }
}

/* --- control words that change apart from each other: one at a time differs between two stacks --- */

#if defined(__x86_64__) || defined(__i386__)
#  define APART 1
/* The first is the rounding of SSE, where there is SSE. */
static void
set_first(unsigned number)
{
    unsigned mxcsr;
    if (__builtin_cpu_supports("sse")) {
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        mxcsr = (mxcsr & ~0x6000u) | number << 13;
        __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    }
}

static unsigned
first(unsigned wanted)
{
    unsigned mxcsr;
    if (!__builtin_cpu_supports("sse")) {
        return wanted;
    }
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    return mxcsr >> 13 & 3;
}

/* The second is the rounding of the x87, and its precision: double or extended. */
static void
set_second(unsigned number)
{
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    word = (unsigned short)((word & ~0xf00u) | (number & 3) << 10 | (number & 4 ? 0x200 : 0x300));
    __asm__ volatile("fldcw %0" : : "m"(word));
}

static unsigned
second(void)
{
    unsigned short word;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    return (word >> 10 & 3u) | ((word & 0x300) == 0x200 ? 4u : 0u);
}
#elif defined(__powerpc64__)
#  define APART 1
/* The first is binary rounding. */
static void
set_first(unsigned number)
{
    fesetround(modes[number]);
}

static unsigned
first(unsigned wanted)
{
    return fegetround() == modes[wanted] ? wanted : 99;
}

/* The second is decimal rounding, and the mode of vectors. */
static void
set_second(unsigned number)
{
    switch (number & 3) {
    case 0: __asm__ volatile("mtfsfi 7, 0, 1"); break;
    case 1: __asm__ volatile("mtfsfi 7, 1, 1"); break;
    case 2: __asm__ volatile("mtfsfi 7, 2, 1"); break;
    case 3: __asm__ volatile("mtfsfi 7, 7, 1"); break;
    }
    set_vector_mode(number & 4 ? 1 : 0);
}

static unsigned
second(void)
{
    union {
        double value;
        uint64_t bits;
    } fpscr;
    __asm__ volatile("mffs %0" : "=d"(fpscr.value));
    unsigned decimal = fpscr.bits >> 32 & 7;
    return (decimal == 7 ? 3 : decimal) | (vector_mode() ? 4u : 0u);
}
#endif

#if defined(APART)
static void
check_apart(unsigned one, unsigned two, const char *where)
{
    check(first(one) == one, "control words apart, first", where, (long)first(one), (long)one);
    check(second() == two, "control words apart, second", where, (long)second(), (long)two);
}

/* Take on all pairs of settings, in turns with main. */
static void
apart_entry(void *value)
{
    stack *self = value;
    for (unsigned i = 0;; i = (i + 1) % 32) {
        set_first(i % 4);
        set_second(i / 4);
        leave(self, NULL);
        check_apart(i % 4, i / 4, "those of a stack have changed");
    }
}

static void
test_apart(void)
{
    fenv_t before;
    fegetenv(&before);
    stack s = new_stack(0, apart_entry);
    for (unsigned i = 0; i < 32; i++) {
        set_first(i % 4);
        set_second(i / 4);
        for (int k = 0; k < 32; k++) {
            resume(&s, &s);
            check_apart(i % 4, i / 4, "those of main have changed");
        }
    }
    set_second(0);
    fesetenv(&before);
    free(s.low);
}
#else
/* There is but one. */
static void
test_apart(void)
{
}
#endif

/* --- the chain of stack frames, where the ABI has one --- */

#if defined(__powerpc64__) || defined(__s390x__)
/* Follow the links of a suspended stack: each leads up within the stack, the last is zero.  Return how many
 * lead somewhere.  On s390x, frames of C functions have none, and `most` ends the walk before them. */
static int
follow_chain(const stack *suspended, int most)
{
    int links = 0;
    char *frame = suspended->sp, *next;
    for (; links < most && (next = *(char **)frame) != NULL; frame = next) {
        bool within = next > frame && next < suspended->low + STACK_SIZE;
        check(within, "back chain", "a link leads out of the stack, by", (long)(next - frame), 0);
        if (!within) {
            break;
        }
        links++;
    }
    return links;
}

static void
chain_entry(void *value)
{
    for (;;) {
        leave(value, NULL);
    }
}

static void
test_chain(void)
{
    stack s = new_stack(0, chain_entry);
    int links = follow_chain(&s, 100);
    check(links == 1, "back chain", "links of a stack that has not run", links, 1);
    resume(&s, &s);
#  if defined(__powerpc64__)
    /* slp_platf_switch, perhaps leave, chain_entry, slp_platf_start */
    links = follow_chain(&s, 100);
    check(links == 2 || links == 3, "back chain", "links of a stack that has run", links, 2);
#  else
    links = follow_chain(&s, 1);
    check(links == 1, "back chain", "links of a stack that has run", links, 1);
#  endif
    free(s.low);
}
#else
/* There is none, or that of frame pointers, which unwinding sees. */
static void
test_chain(void)
{
}
#endif

/* --- alignment, deep stacks, many stacks --- */

/* Is this function's frame aligned as the compiler believes? */
static NOINLINE void
check_alignment(const char *where)
{
    _Alignas(__BIGGEST_ALIGNMENT__ > 16 ? 16 : __BIGGEST_ALIGNMENT__) char local[32];
    char *volatile address = local;
    size_t wanted = __BIGGEST_ALIGNMENT__ > 16 ? 16 : __BIGGEST_ALIGNMENT__;
    check((uintptr_t)address % wanted == 0, "alignment", where, (long)((uintptr_t)address % wanted), 0);
}

/* Recurse, and leave on the way down and on the way back. */
static NOINLINE long
descend(stack *self, int levels)
{
    char *volatile here = (char *)&levels;
    check(here >= self->low && here < self->low + STACK_SIZE, "deep", "bytes from the low end",
          (long)(here - self->low), 0);
    leave(self, NULL);
    if (levels == 0) {
        return 0;
    }
    long below = descend(self, levels - 1);
    leave(self, NULL);
    return below + self->number * levels;
}

#define LEVELS 500

static void
deep_entry(void *value)
{
    stack *self = value;
    check_alignment("in an entry");
    self->result = descend(self, LEVELS);
    for (;;) {
        leave(self, self);
    }
}

static void
test_deep(void)
{
    enum { COUNT = 20 };
    stack stacks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        stacks[i] = new_stack(i, deep_entry);
    }
    for (int step = 0; step < 2 * LEVELS + 2; step++) {
        for (int i = 0; i < COUNT; i++) {
            resume(&stacks[i], &stacks[i]);
        }
    }
    check_alignment("in main");
    for (int i = 0; i < COUNT; i++) {
        long wanted = (long)i * LEVELS * (LEVELS + 1) / 2;
        check(stacks[i].result == wanted, "deep", "result", stacks[i].result, wanted);
        free(stacks[i].low);
    }
}

/* --- from stack to stack, main only at the ends --- */

#define RING 200

static stack ring[RING];

static void
ring_entry(void *value)
{
    uintptr_t hops = (uintptr_t)value;
    for (;;) {
        int here = (int)(hops % RING);
        stack *self = &ring[here];
        check(self->number == here, "ring", "stack", here, self->number);
        hops++;
        void *to = hops == 50 * RING ? main_sp : ring[hops % RING].sp;
        hops = (uintptr_t)slp_platf_switch(&self->sp, to, (void *)hops);
    }
}

static void
test_ring(void)
{
    for (int i = 0; i < RING; i++) {
        ring[i] = new_stack(i, ring_entry);
    }
    uintptr_t hops = (uintptr_t)resume(&ring[0], NULL);
    check(hops == 50 * RING, "ring", "hops", (long)hops, 50 * RING);
    for (int i = 0; i < RING; i++) {
        free(ring[i].low);
    }
}

/* --- unwinding ends at the outermost frame --- */

/* What a walk has seen. */
typedef struct {
    int frames;
    int ours;                          /* frames of descend_and_walk */
    bool entry;
    uintptr_t last;                    /* the function of the last frame */
} walk;

static NOINLINE void descend_and_walk(walk *seen, int levels);
static void walk_entry(void *value);

/* The address of a function, comparable with what unwinders say. */
static uintptr_t
plain(uintptr_t address)
{
#if defined(__arm__)
    return address & ~(uintptr_t)1;
#else
    return address;
#endif
}

static _Unwind_Reason_Code
see_frame(struct _Unwind_Context *context, void *argument)
{
    walk *seen = argument;
    if (_Unwind_GetIP(context) == 0) {
        return _URC_NO_REASON;         /* the end, as libgcc shows it */
    }
    seen->last = plain((uintptr_t)_Unwind_GetRegionStart(context));
    seen->ours += seen->last == plain((uintptr_t)descend_and_walk);
    seen->entry |= seen->last == plain((uintptr_t)walk_entry);
    return ++seen->frames > 1000 ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static NOINLINE void
descend_and_walk(walk *seen, int levels)
{
    if (levels > 1) {
        descend_and_walk(seen, levels - 1);
    }
    else {
        _Unwind_Backtrace(see_frame, seen);
    }
    __asm__ volatile("");              /* no tail call */
}

static void
walk_entry(void *value)
{
    stack *self = value;
    for (;;) {
        walk seen = {0};
        descend_and_walk(&seen, 10);
        check(seen.ours == 10, "unwinding", "frames of a recursion", seen.ours, 10);
        check(seen.entry, "unwinding", "frames of the entry", seen.entry, 1);
#if !defined(__arm__)                  /* there the outermost frame is not shown */
        check(seen.last == (uintptr_t)slp_platf_start, "unwinding", "last function", (long)seen.last,
              (long)(uintptr_t)slp_platf_start);
#endif
        check(seen.frames == 12 || seen.frames == 11, "unwinding", "frames in all", seen.frames, 12);
        leave(self, NULL);
    }
}

/* Here a debugger can look at a stack that does not run (Lib/test/test_stackless/test_platf.py does). */
static NOINLINE void
inspect(stack *suspended)
{
    __asm__ volatile("" : : "r"(suspended) : "memory");
}

/* Leave from some levels below the entry. */
static NOINLINE void
descend_and_leave(stack *self, int levels)
{
    if (levels > 1) {
        descend_and_leave(self, levels - 1);
    }
    else {
        leave(self, NULL);
    }
    __asm__ volatile("");              /* no tail call */
}

static void
suspended_entry(void *value)
{
    descend_and_leave(value, 5);
    for (;;) {
        leave(value, NULL);
    }
}

static void
test_unwinding(void)
{
    stack suspended = new_stack(0, suspended_entry);
    inspect(&suspended);
    resume(&suspended, &suspended);
    inspect(&suspended);
    free(suspended.low);
    stack s = new_stack(0, walk_entry);
    resume(&s, &s);
    resume(&s, NULL);
    free(s.low);
}

/* --- time --- */

static void
swing_entry(void *value)
{
    stack *self = value;
    for (;;) {
        value = leave(self, value);
    }
}

/* Switch so many times, and return the nanoseconds of one. */
static double
measure(long switches)
{
    stack s = new_stack(0, swing_entry);
    resume(&s, &s);
    struct timespec begin, end;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
    for (long i = 0; i < switches / 2; i++) {
        void *got = resume(&s, (void *)(uintptr_t)i);
        check(got == (void *)(uintptr_t)i, "many", "value", (long)(uintptr_t)got, i);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
    free(s.low);
    double elapsed = (double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec);
    return elapsed / (double)switches;
}

int
main(int argc, char **argv)
{
    long switches = argc > 1 ? atol(argv[1]) : 10000000;
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"values", test_values}, {"registers", test_registers}, {"control words", test_control_words},
        {"apart", test_apart},   {"back chain", test_chain},    {"deep", test_deep},
        {"ring", test_ring},     {"unwinding", test_unwinding},
    };
    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        int before = failures;
        tests[i].run();
        printf("%s: %s\n", tests[i].name, failures == before ? "ok" : "FAILED");
    }
    double nanoseconds = measure(switches);
    printf("%ld switches: %.1f ns each\n", switches, nanoseconds);
    return failures > 0;
}
