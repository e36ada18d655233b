/* Test of one switch file (Stackless/platf): C++ exceptions on stacks that are switched.
 *
 *     c++ -O2 -IInclude/internal -x c++ Tools/testing/platf_cxx.cc -x assembler-with-cpp switch_X.S
 *
 * A C function called from a tasklet may lie in a C++ library: what it throws is to be caught where C++ says,
 * with the registers of the catching function, also when the stack was left and entered again in between; and
 * what nobody catches is to end in std::terminate(), not beyond the outermost frame.  Tools/testing/platf.py
 * builds and runs it.
 *
 * No stack is left while an exception is on its way or being handled: the C++ library keeps a list of these
 * for the thread, which is not part of a switch.
 */
#include <cstdio>
#include <cstdlib>
#include <exception>

extern "C" {
#include "slp_platf.h"
}

namespace {

constexpr size_t stack_size = 256 * 1024;
constexpr int depth = 20;

int failures;

/* Count and tell a check that does not hold. */
void check(bool holds, const char *what, long got, long wanted)
{
    if (!holds) {
        failures++;
        std::printf("exceptions: %s: %ld, not %ld\n", what, got, wanted);
    }
}

/* A stack, where it was left, and what has happened on it. */
struct stack {
    void *sp;
    char *low;
    int number;
    int caught;
    int destroyed;
    bool done;
};

void *main_sp;

stack new_stack(int number, void (*entry)(void *))
{
    char *low = static_cast<char *>(std::malloc(stack_size));
    return {slp_platf_prepare(low, low + stack_size, entry), low, number, 0, 0, false};
}

void resume(stack *to)
{
    slp_platf_switch(&main_sp, to->sp, to);
}

void leave(stack *from)
{
    slp_platf_switch(&from->sp, main_sp, nullptr);
}

struct thrown {
    int number, level;
};

/* An object whose destructor counts. */
struct guard {
    stack *self;
    ~guard()
    {
        self->destroyed++;
    }
};

/* Leave at each level on the way down; throw from the last one, over all of them. */
__attribute__((noinline)) void descend(stack *self, int level)
{
    guard held{self};
    leave(self);
    if (level == 0) {
        throw thrown{self->number, depth};
    }
    descend(self, level - 1);
    __asm__ volatile("");              /* no tail call */
}

/* Catch what comes from below; values that lie in registers over the call are as they were. */
__attribute__((noinline)) void catch_one(stack *self, long seed)
{
    long a = seed * 3, b = seed * 5, c = seed * 7, d = seed * 11;
    double x = static_cast<double>(seed) * 0.5, y = static_cast<double>(seed) * 0.25;
    __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+m"(x), "+m"(y));
    double p = x, q = y;
    try {
        descend(self, depth - 1);
        check(false, "nothing was thrown", 0, 1);
    }
    catch (const thrown &what) {
        check(what.number == self->number, "the exception of stack", what.number, self->number);
        check(what.level == depth, "its level", what.level, depth);
        self->caught++;
    }
    bool kept = a == seed * 3 && b == seed * 5 && c == seed * 7 && d == seed * 11;
    check(kept, "integers of the catcher", a, seed * 3);
    check(p == x && q == y, "floats of the catcher", static_cast<long>(p), static_cast<long>(x));
}

void catching_entry(void *value)
{
    stack *self = static_cast<stack *>(value);
    for (int round = 0; round < 3; round++) {
        catch_one(self, self->number * 1000 + round);
        leave(self);
    }
    self->done = true;
    for (;;) {
        leave(self);
    }
}

/* Stacks that throw, unwind and catch in turns. */
void test_in_turns()
{
    constexpr int count = 10;
    stack stacks[count];
    for (int i = 0; i < count; i++) {
        stacks[i] = new_stack(i, catching_entry);
    }
    for (bool going = true; going;) {
        going = false;
        for (stack &one : stacks) {
            resume(&one);
            going |= !one.done;
        }
        try {
            throw thrown{-1, 0};
        }
        catch (const thrown &what) {
            check(what.number == -1, "the exception of main", what.number, -1);
        }
    }
    for (stack &one : stacks) {
        check(one.caught == 3, "exceptions caught", one.caught, 3);
        check(one.destroyed == 3 * depth, "objects destroyed", one.destroyed, 3 * depth);
        std::free(one.low);
    }
}

stack *uncaught;

/* The handler that std::terminate() calls, on the stack that threw. */
[[noreturn]] void terminated()
{
    uncaught->caught = 1;
    for (;;) {
        leave(uncaught);
    }
}

void throwing_entry(void *value)
{
    throw thrown{static_cast<stack *>(value)->number, 0};
}

/* Nobody catches it: the unwinder has to find the end of the stack. */
void test_uncaught()
{
    stack one = new_stack(1, throwing_entry);
    uncaught = &one;
    std::set_terminate(terminated);
    resume(&one);
    check(one.caught == 1, "calls of the terminate handler", one.caught, 1);
    std::free(one.low);
}

}  // namespace

int main()
{
    test_in_turns();
    test_uncaught();
    std::printf("exceptions: %s\n", failures == 0 ? "ok" : "FAILED");
    return failures > 0;
}
