/* The switch from one C stack to another, one assembly file per architecture and ABI (Stackless/platf). */
#ifndef SLP_PLATF_H
#define SLP_PLATF_H

/* Save the callee-saved state on the current stack, store its stack pointer in *from, go on where `to`
 * was saved.  Returns `value` as passed by the switch that comes back here. */
void *slp_platf_switch(void **from, void *to, void *value);

/* Prepare an unused stack [low, high): the first switch to the result calls entry(value) on it; entry
 * never returns. */
void *slp_platf_prepare(void *low, void *high, void (*entry)(void *value));

#endif
