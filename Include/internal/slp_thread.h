/* What one OS thread (one PyThreadState) knows about its tasklets: the scheduler's state and the
 * mail box between the scheduler and the evaluation loop.
 *
 * It is reached in O(1) through tstate->root_cframe.previous: the thread state's own, bottom-most
 * C frame record, whose `previous` the base leaves NULL for ever and reads nowhere.  Its lifetime
 * is tied to the thread state's by a capsule in tstate->dict.
 */
#ifndef SLP_THREAD_H
#define SLP_THREAD_H

#include "slp_carrier.h"
#include "slp_interp.h"
#include "slp_watchdog.h"

struct PyTaskletObject;

/* Bits of slp_thread.watch: who wants to see switches, or forbids them.  While all are 0, a switch looks at
 * no more than that. */
#define SLP_WATCH_SCHEDULE    1        /* a schedule callback is set */
#define SLP_WATCH_CHANNELS    2        /* a channel callback is set */
#define SLP_WATCH_TRAP        4        /* slp_thread.switch_trap is not 0 */
#define SLP_WATCH_IN_CALLBACK 8        /* a callback runs, and must not switch */
#define SLP_WATCH_SOFT_DUE    16       /* the next switch goes to the watchdog's caller (slp_watchdog.h) */
#define SLP_WATCH_ACCOUNT     64       /* run time and switches are counted (slp_accounting.h) */
#define SLP_WATCH_ARRIVAL     32       /* slp_watchdog_switched() wants to hear who was entered */

/* What a switch leaves behind, to be dropped by who was switched to, since that may run any code. */
typedef struct {
    struct PyTaskletObject *tasklet;   /* strong; NULL: nothing was left */
    _PyInterpreterFrame *shim;         /* with the next four: of a tasklet that has ended */
    _PyStackChunk *chunk;
    PyObject *context;                 /* strong or NULL, as the next two */
    PyObject *traceobj;
    PyObject *profileobj;
} slp_leaving;

/* An exception for a tasklet that its thread runs: delivered when that thread looks at its eval breaker
 * (Stackless/module/tasklet_errors.c). */
typedef struct slp_letter {
    struct slp_letter *next;
    struct PyTaskletObject *tasklet;   /* strong */
    PyObject *bomb;                    /* strong */
} slp_letter;

/* What a C function of an extension asks the loop for (slp_protocol.h). */
typedef struct slp_request {
    struct slp_soft_state *state;      /* strong, as all here; the soft function that waits, or NULL */
    PyObject *callable;                /* what it waits for; NULL: nothing, its first step comes */
    PyObject *args;                    /* a tuple; without a callable the first step's retval */
    PyObject *kwargs;                  /* a dict, or NULL */
} slp_request;

typedef struct slp_thread {
    PyThreadState *tstate;             /* borrowed; NULL once the thread state is gone */
    Py_ssize_t holders;                /* the thread state, while it lives, and every tasklet that
                                          belongs to the thread: the last one frees this struct */
    struct PyTaskletObject *main;      /* strong; the thread's own flow of control */
    struct PyTaskletObject *current;   /* strong; the one that runs */
    struct PyTaskletObject *next;      /* strong; mail to the loop: who runs after SLP_UNWIND */
    struct PyTaskletObject *ender;     /* borrowed; the current tasklet, while it ends the pinned ones: it
                                          takes main's place as the waker.  Else NULL */
    struct PyTaskletObject *runners;   /* strong; innermost caller of run() that waits, linked
                                          by its `runner_below` */
    int runcount;                      /* tasklets in the run queue, the current one included */
    bool soft_offered;                 /* the loop offers: the C function it calls right now may
                                          return SLP_UNWIND (see slp_switch.h) */
    _PyCFrame *offered_in;             /* the activation that offers to an extension's C function, or NULL */
    slp_request request;               /* what such a function asks for */
    bool always_hard;                  /* no offer counts: every switch is a hard one */
    uint8_t counting;                  /* instructions are counted: SLP_COUNTING, or 0 */
    _PyCFrame *home;                   /* carrier->home: the base activation, if this one has it */
    slp_carrier *carrier;              /* the one that runs */
    slp_carrier *idle;                 /* those whose base activation has nothing to do, linked by `below` */
    slp_carrier *withheld;             /* idle ones that a guest call hides (slp_guest.h) */
    int idle_count;
    slp_leaving left;                  /* mail to the carrier that was switched to */
    slp_carrier native;                /* the thread's own stack */
    _PyStackChunk *spare_heap;         /* a freed heap chunk, or NULL (slp_frame.h) */
    slp_interp *interp;                /* held, that of the thread state */
    slp_letter *letters;               /* from other threads, the oldest first */
    PyObject *survivors;               /* strong; a list of tasklets that the collector may take for garbage,
                                          held until it is done (Stackless/core/pinned.c); or NULL */
    PyThread_type_lock bell;           /* what the thread sleeps on, locked; NULL: never slept (slp_idle.h) */
    _PyInterpreterFrame *shown_above;  /* the idle tasklet's frame, while it shows the waker's below */
    bool naps;                         /* it sleeps until a deadline */
    bool asleep;                       /* it sleeps, and nobody has woken it yet */
    int blocked_count;                 /* its tasklets that wait on channels */
    void (*on_delete)(void *);         /* with the next: tstate->on_delete, to be called after ours */
    void *on_delete_data;
    bool has_carriers;                 /* a tasklet of it may be pinned */
    int watch;                         /* SLP_WATCH_ bits */
    int switch_trap;                   /* not 0: switches are refused */
    struct PyTaskletObject *charged;   /* accounting (slp_accounting.h): borrowed, who runs, */
    int64_t charged_until;             /*   and until when its time is counted */
    int pickle_flags;
    slp_watchdog watchdog;             /* the limits of run() */
} slp_thread;

/* The state of `tstate`, or NULL if it was never asked for. */
static inline slp_thread *
slp_thread_peek(PyThreadState *tstate)
{
    return (slp_thread *)tstate->root_cframe.previous;
}

/* The state of `tstate`, made with its main tasklet on first use.  NULL with MemoryError. */
slp_thread *slp_thread_get(PyThreadState *tstate);

/* Is there anything for slp_thread_read_letters()? */
static inline bool
slp_thread_has_letters(const slp_thread *th)
{
    return th->letters != NULL || th->survivors != NULL;
}

/* Deliver the letters, and let go of survivors: 0, or -1 with the exception that one brings for the current
 * tasklet. */
int slp_thread_read_letters(slp_thread *th);

/* Throw them away. */
void slp_thread_drop_letters(slp_thread *th);

/* Let go of th->survivors, unless the collector runs.  May run any code. */
void slp_thread_drop_survivors(slp_thread *th);

/* Free the memory of a struct without holders. */
void slp_thread_free(slp_thread *th);

/* A tasklet comes to belong to the thread, or no longer does. */
static inline slp_thread *
slp_thread_hold(slp_thread *th)
{
    th->holders++;
    return th;
}

static inline void
slp_thread_release(slp_thread *th)
{
    if (--th->holders == 0)
        slp_thread_free(th);
}

#endif
