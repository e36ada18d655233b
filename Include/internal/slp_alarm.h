/* Alarms: a moment at which a thread's evaluation loop is to be interrupted (Stackless/core/alarm.c).
 *
 * One helper thread per process, started on first use, sleeps until the earliest alarm is due.  Then it
 * marks the alarm and sets the eval breaker of its interpreter, again every millisecond until the alarm is
 * cleared, since the base takes the breaker back whenever it has answered a request of its own.  The
 * thread that the alarm is for finds the mark in slp_handle_breaker() (Python/breaker.c).
 *
 *          slp_alarm_set()            the helper, at the deadline
 *   clear ────────────────> set ──────────────────────────────────> set, rings
 *     ^                      │                                          │
 *     └── slp_alarm_clear() ─┴──────────────────────────────────────────┘
 *
 * The helper holds no GIL and touches nothing of Python's but the breaker.  fork() leaves it behind: the
 * child starts one of its own at once, if alarms of the thread that forked are set.
 */
#ifndef SLP_ALARM_H
#define SLP_ALARM_H

#include "slp_base.h"

typedef struct slp_alarm {
    struct slp_alarm *next;            /* in the list of all that are set, guarded by the helper's mutex */
    PyInterpreterState *interp;        /* borrowed: whose loop is to be interrupted */
    int64_t deadline;                  /* nanoseconds of slp_alarm_now() */
    bool set;                          /* in the list */
    bool rings;                        /* atomic; written by the helper, under its mutex */
} slp_alarm;

/* How many alarms of the process are set; written under the mutex, read without. */
extern int slp_alarms_set;

/* The time of CLOCK_MONOTONIC in nanoseconds. */
int64_t slp_alarm_now(void);

/* Set an alarm that is clear.  -1 with RuntimeError where the helper thread cannot be started. */
int slp_alarm_set(slp_alarm *alarm, PyInterpreterState *interp, int64_t deadline);

/* Take it back, whatever has become of it. */
void slp_alarm_clear(slp_alarm *alarm);

/* Takes the place of _PySignal_AfterFork() in the child of a fork. */
void slp_signal_after_fork(void);

/* Has its deadline passed? */
static inline bool
slp_alarm_rings(const slp_alarm *alarm)
{
    return __atomic_load_n(&alarm->rings, __ATOMIC_RELAXED);
}

#endif
