/* The switch from one C stack to another; Stackless/platf/switch_<arch>_<abi>.S has it.
 *
 * A stack that does not run is known by its stack pointer alone.  What the ABI makes a function preserve
 * (registers and floating-point control words) lies there, in a saved register area that each file draws;
 * status flags, signal masks and thread-local storage are not part of it.  Doc/internals/platforms.rst
 * tells what is tested where, and how to add an architecture.
 *
 * Budget: 10 ns a switch on amd64 (Tools/testing/platf_test.c prints it).
 */
#ifndef SLP_PLATF_H
#define SLP_PLATF_H

/* Save the callee-saved state on the current stack, store its stack pointer in *from, go on where `to`
 * was saved.  Returns `value` as passed by the switch that comes back here. */
__attribute__((visibility("hidden")))
void *slp_platf_switch(void **from, void *to, void *value);

/* Prepare an unused stack [low, high): the first switch to the result calls entry(value) on it, with the
 * floating-point control words that hold now; entry never returns.  Nothing else of the caller is kept. */
__attribute__((visibility("hidden")))
void *slp_platf_prepare(void *low, void *high, void (*entry)(void *value));

#endif
