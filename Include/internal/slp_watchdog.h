/* The watchdog: run() with a limit interrupts the tasklets that it runs.
 *
 * Terms
 *   tick       one instruction, as `dis` shows it (one with EXTENDED_ARG before it is one)
 *   slice      the ticks that a tasklet may run without a switch, or that all may with totaltimeout
 *   deadline   the time at which run(max_seconds=...) wants to come back
 *   caller     the tasklet that called run() with a limit and waits in it.  There is one at most:
 *              nested calls get no limit while it waits
 *   used up    no tick is left, or the deadline has passed
 *   obstacle   what forbids an interruption here and now (below)
 *
 *              run(timeout) or run(max_seconds)             a tick is counted, or a switch begins
 *       off ─────────────────────────────────────> armed ───┐ the slice anew (not with totaltimeout)
 *        ^                                         │ ^ └────┘
 *        │                                used up, │ └────────────────────────────┐
 *        │                             or deadline v         switch: the slice    │ anew, as above
 *        ├── interrupt: the tasklet is ───────── used up ─────────────────────────┘
 *        │   taken out, the caller wakes           │
 *        │   (no obstacle)                         │ soft=True
 *        ├── next switch: the caller ────────── soft due
 *        │   runs instead
 *        └── the caller wakes for another reason, in any state
 *
 *   state      counting   SOFT_DUE   what holds
 *   off        0          0          caller NULL, the alarm is clear
 *   armed      slice > 0  0          caller waits in run(); the deadline is not known to have passed
 *   used up    1          0          ticks is 0; each instruction asks again whether an obstacle is left (an
 *                                     import is looked for less often)
 *   soft due   0          1          the next slp_switch() goes to the caller
 *
 * Invariants
 *  1. `caller` waits in run(): slp_watchdog_off() is called when it is taken off the list of runners.
 *  2. While `counting`, the activation that runs has the slow dispatch table, or will have after its next
 *     NEXT_AFTER_CALL(): use_tracing is not 0.  The base resets that when a trace function returns or is
 *     set, but the table stays, and the slow entry sets it again; so does a switch (SLP_WATCH_ARRIVAL).
 *  3. A tasklet that is interrupted has flags.interrupted, its prev_instr is the instruction that it was
 *     interrupted *before*: it goes on at it, not behind it, and is pushed no value; a bomb is raised there.
 *
 * Obstacles: the tasklet is atomic; a switch_trap is set; a callback of the scheduler or a trace function
 * runs; C code of the tasklet is in between, or it imports a module (unless its own or run()'s
 * ignore_nesting is set); importlib looks for one; a switch is under way; the frame is a shim's or has not
 * got to its RESUME; an instruction that belongs to the one before it: between KW_NAMES and CALL, behind
 * EXTENDED_ARG, on the way from the end of a `with` block into __exit__() or __aexit__(), between the end of
 * an `except` block and POP_EXCEPT, before PUSH_EXC_INFO, and NOP.  All but the first two would leave things
 * half done where an exception is raised in the interrupted tasklet.  An import holds locks besides, which
 * other threads wait for, and other tasklets of the thread find the module half made.
 *
 * Nothing of this costs anything while the watchdog is off: counting is a matter of the dispatch table,
 * the deadline one of the eval breaker.
 */
#ifndef SLP_WATCHDOG_H
#define SLP_WATCHDOG_H

#include "slp_alarm.h"

struct PyTaskletObject;
struct slp_thread;

/* The value of cframe.use_tracing for a loop that counts; a loop that traces has the base's 255. */
#define SLP_COUNTING 1
/* The same while it only estimates. */
#define SLP_COARSE 2

/* So many ticks, the last of a slice, are counted one by one; before, they are estimated at the ends of
 * loops and at the beginnings of functions. */
#define SLP_EXACT_TICKS 100

/* What was seen during a run(). */
typedef struct slp_run_notes {
    struct PyTaskletObject *overran;   /* strong; who ran when the deadline passed, or NULL */
    uint64_t switches;
} slp_run_notes;

typedef struct slp_watchdog {
    struct PyTaskletObject *caller;    /* borrowed (the list of runners owns it); NULL: off */
    struct PyTaskletObject *pending;   /* borrowed: the current tasklet, if it has flags.pending_irq */
    long ticks;                        /* left; while `importing`, until the next look at that obstacle */
    long slice;                        /* what `ticks` starts from; 0: no limit of ticks */
    bool importing;                    /* nothing is left, but the current tasklet imports */
    bool total;                        /* a switch does not start a new slice */
    bool soft;                         /* wait for a switch */
    bool ignore_nesting;
    bool late;                         /* the deadline has passed */
    bool soft_due;                     /* the next switch wakes the caller */
    slp_alarm alarm;                   /* set while there is a deadline that has not passed */
    int64_t deadline;                  /* 0: none */
    double overshoot;                  /* seconds by which the last run() with a deadline was late */
    slp_run_notes *notes;              /* what the caller wants to know, or NULL */
    struct PyTaskletObject *entered;   /* while `notes`: borrowed, the tasklet that was switched to last */
} slp_watchdog;

/* What a caller of run() asks for. */
typedef struct slp_limits {
    long timeout;                      /* ticks; 0: no limit */
    bool soft;
    bool ignore_nesting;
    bool total;
    bool timed;
    double max_seconds;                /* where `timed` */
    slp_run_notes *notes;              /* zeros, to be filled in; or NULL */
} slp_limits;

/* The current tasklet is about to wait in run(): arm the watchdog, unless it is.  -1 with RuntimeError. */
int slp_watchdog_arm(struct slp_thread *th, const slp_limits *limits);

/* The caller does not wait any more (or run() need not even begin). */
void slp_watchdog_off(struct slp_thread *th);

/* Nothing is left of the slice.  May the current tasklet be interrupted before the instruction at
 * frame->prev_instr (its state is stored)?  True: th->next is who runs now, and the loop must switch.
 * False: it goes on; any code may have run. */
bool slp_watchdog_interrupt(struct slp_thread *th, _PyInterpreterFrame *frame);

/* The alarm rings, the calling thread's loop has looked up. */
void slp_watchdog_late(struct slp_thread *th);

/* SLP_WATCH_SOFT_DUE, a switch to th->next begins: the caller takes its place. */
void slp_watchdog_soft(struct slp_thread *th);

/* SLP_WATCH_ARRIVAL, a switch to `entered` has been made. */
void slp_watchdog_switched(PyThreadState *tstate, struct slp_thread *th, struct PyTaskletObject *entered);

#endif
