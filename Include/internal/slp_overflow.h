/* Stack overflow in C is reported (Stackless/core/overflow.c). */
#ifndef SLP_OVERFLOW_H
#define SLP_OVERFLOW_H

#include "slp_base.h"

/* What lies below a carrier and must not be touched: several pages, since a C function may skip one. */
#define SLP_GUARD_SIZE ((size_t)64 * 1024)

/* The calling thread is about to use carriers: report if one overflows. */
void slp_overflow_watch(void);

#endif
