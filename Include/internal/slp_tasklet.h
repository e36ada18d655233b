/* The tasklet object.
 *
 * States, and the function that makes each step:
 *
 *     unbound ──bind(f)──> bound ──setup(args)──> scheduled <──insert / remove──> paused
 *                            ^                     │     ^
 *                            │                switch     │ send / receive finds a partner
 *                            │                     v     │
 *                          dead <──ended──────── current ──blocks──> blocked
 *
 *   state      `frame`        `next`        `flags.blocked`   owned by
 *   unbound    NULL           NULL          0                 whoever holds a reference
 *   bound      NULL           NULL          0                 (tempval holds the callable)
 *   scheduled  top frame      run queue     0                 the run queue (one reference)
 *   current    NULL           run queue     0                 thread->current and the run queue
 *   blocked    top frame      channel queue +-1               the channel (one reference)
 *   paused     top frame      NULL          0                 whoever holds a reference
 *   dead       NULL           NULL          0
 *
 * Invariants (slp_tasklet_check asserts them)
 *  1. `frame` is set exactly when the tasklet is alive and not current (main may have none, where C
 *     code uses the API without a Python frame); the oldest one is a base shim whose `previous` is NULL
 *     (main's oldest frame belongs to whatever the thread ran first).
 *  2. `chunk` is NULL for the current tasklet (its frame stack is the thread state's) and for one
 *     without frames.
 *  3. A tasklet is in at most one chain; `next` and `prev` are both set or both NULL in the run
 *     queue (a ring); in a channel queue the ends are NULL.
 *  4. A suspended tasklet is soft or pinned (slp_carrier.h).  Soft: every frame of its chain has a valid
 *     stacktop, and no activation of the loop belongs to it.  Pinned: its C frames stand on `carrier`;
 *     frames below a C call have no valid stacktop.  Main is always pinned.
 *
 * Memory: a tasklet that is blocked one call deep costs this object, 160 bytes with the collector's
 * header, and one exactly fitting heap chunk with two frames (the base shim and the function's),
 * about 220 bytes.  The budget is 400, checked by Tools/bench.
 */
#ifndef SLP_TASKLET_H
#define SLP_TASKLET_H

#include "slp_frame.h"
#include "slp_thread.h"

#include "stackless_api.h"

/* Trace and profile functions of a suspended tasklet; allocated only while there are any. */
typedef struct slp_trace_state {
    Py_tracefunc tracefunc;
    Py_tracefunc profilefunc;
    PyObject *traceobj;                /* strong or NULL */
    PyObject *profileobj;              /* strong or NULL */
    int tracing;
} slp_trace_state;

/* What few tasklets need; made on first use, freed with the tasklet. */
typedef struct slp_tasklet_extra {
    PyObject *name;                    /* strong or NULL; a str, read by the handler of a stack overflow */
    int64_t run_ns;                    /* run time that was counted (slp_accounting.h) */
    uint64_t switch_count;             /* times it was switched to, that were counted */
    void *user_data;                   /* the host's (PyTasklet_SetUserData), or NULL */
    void (*destroy)(void *);           /* what is done to it at the end, or NULL */
    struct PyTaskletObject *slept;     /* strong; of an idle tasklet, who ran before the thread fell asleep,
                                          for schedule callbacks; or NULL */
} slp_tasklet_extra;

struct PyTaskletObject {
    PyObject_HEAD
    struct PyTaskletObject *next;      /* neighbours in the run queue or in a channel's queue; */
    struct PyTaskletObject *prev;      /*   the chain owns one reference to each member */
    slp_thread *thread;                /* held, never NULL; its tstate is NULL once the thread is gone */
    union {
        PyChannelObject *channel; /* strong; the channel it is blocked on, or NULL */
        struct PyTaskletObject *runner_below; /* strong; while waits_in_run: the next outer caller */
    };
    PyObject *tempval;                 /* strong; the value (or bomb, or SLP_SELF) delivered when it
                                          resumes; the callable while it is bound and not alive */
    PyObject *context;                 /* strong or NULL; contextvars context while not current */
    _PyInterpreterFrame *frame;        /* top frame of the suspended chain */
    _PyStackChunk *chunk;              /* the frame stack, while suspended: newest chunk, */
    union {
        PyObject **stack_top;          /*   soft: first free word in it */
        slp_carrier *carrier;          /*   pinned: where its C frames are, and that word */
    };
    _PyErr_StackItem exc_state;        /* the exception that it handles, at its outermost level */
    _PyErr_StackItem *exc_info;        /* innermost level: &exc_state or a generator's; NULL = &exc_state */
    slp_trace_state *trace;            /* NULL: not traced */
    slp_tasklet_extra *extra;          /* NULL: no name, count or data of the host */
    PyObject *weakrefs;
    int recursion_depth;
    struct {
        signed int blocked : 2;        /* -1 receiving, +1 sending */
        unsigned int is_main : 1;
        unsigned int pinned : 1;       /* suspended with C frames */
        unsigned int waits_in_run : 1; /* it called run() and has not come back */
        unsigned int block_trap : 1;
        unsigned int atomic : 1;       /* the watchdog, signals and other threads wait */
        unsigned int ignore_nesting : 1; /* the watchdog interrupts it inside of C functions, too */
        unsigned int pending_irq : 1;  /* the watchdog wanted to, but could not yet */
        unsigned int interrupted : 1;  /* suspended before an instruction (slp_watchdog.h) */
        unsigned int threadblock : 1;  /* its run() sleeps while nobody is runnable */
        unsigned int ended : 1;        /* its function is done, and a callback runs before the switch away */
        unsigned int kept : 1;         /* pinned, and holds a reference to itself (Stackless/core/pinned.c) */
        unsigned int idle : 1;         /* sleeps while the thread has nobody to run (slp_idle.h) */
    } flags;
};

/* Frames of this tasklet exist: it can run, runs, or waits. */
static inline bool
slp_tasklet_alive(const PyTaskletObject *t)
{
    return t->frame != NULL || (t->thread->current == t && !t->flags.ended) || t->flags.is_main;
}

/* Its thread, or NULL once that is gone. */
static inline slp_thread *
slp_tasklet_thread(const PyTaskletObject *t)
{
    return t->thread->tstate != NULL ? t->thread : NULL;
}

/* Where its contextvars context is: strong or NULL. */
static inline PyObject **
slp_context_slot(PyTaskletObject *t)
{
    bool runs = t->thread->tstate != NULL && t->thread->current == t;
    return runs ? &t->thread->tstate->context : &t->context;
}

/* The context in such a place, to be shared with somebody else; one is made if there is none yet.  A new
 * reference, NULL with MemoryError. */
static inline PyObject *
slp_share_context(PyObject **slot)
{
    if (SLP_UNLIKELY(*slot == NULL)) {
        *slot = PyContext_New();
    }
    return Py_XNewRef(*slot);
}

/* The main tasklet of a new thread, already the only member of its run queue (which owns one
 * reference; the result is another).  The caller makes it `main` and `current`.  NULL with
 * MemoryError. */
PyTaskletObject *slp_tasklet_new_main(slp_thread *th);

/* A new, unbound tasklet of the thread, of exactly this type.  NULL with MemoryError. */
PyTaskletObject *slp_tasklet_new_plain(slp_thread *th);

/* Its extra struct, made on first use.  NULL without memory, no exception set. */
slp_tasklet_extra *slp_tasklet_get_extra(PyTaskletObject *t);

/* Free what `t->trace` points to; it becomes NULL. */
void slp_tasklet_drop_trace(PyTaskletObject *t);

/* Build the frame stack of a bound tasklet: a base shim with the callable and its arguments,
 * steals nothing.  `args` is a tuple, `kwargs` a dict or NULL.  Afterwards the tasklet is alive
 * (paused).  -1 with MemoryError. */
int slp_tasklet_make_stack(PyTaskletObject *t, PyObject *callable, PyObject *args, PyObject *kwargs);

/* The same for callable(*args) with `nargs` values, where that is a Python function which takes just these
 * as they are: its frame stands on the base shim already, and the tasklet is like one that was interrupted
 * before its first instruction.  So no tuple is made, and nothing is there for the collector to look at.
 * 1: done; 0: it is not as simple as that, and nothing was done; -1 with MemoryError. */
int slp_tasklet_make_frames(PyTaskletObject *t, PyObject *callable, PyObject *const *args, Py_ssize_t nargs);

/* Deliver `bomb` (stolen) when `t`, which is not current, runs next: it becomes runnable, in its thread,
 * which lives.  May run any code. */
void slp_tasklet_arm(PyTaskletObject *t, PyObject *bomb);

/* Drop all frames of a tasklet that is not current, without running any of their code. */
void slp_tasklet_drop_frames(PyTaskletObject *t);

/* Visit what the suspended frames own (those of generators belong to their generators). */
int slp_tasklet_traverse_frames(PyTaskletObject *t, visitproc visit, void *arg);

/* tp_finalize: a pinned tasklet that nobody refers to is killed, or kept if it refuses
 * (Stackless/core/pinned.c). */
void slp_pinned_finalize(PyObject *t);

/* One with flags.kept runs or is forgotten: its reference to itself goes, which is not the last. */
SLP_COLD void slp_pinned_release(PyTaskletObject *t);

/* Does the collector kill it when it is pinned?  A __del__() of its class takes the place of
 * slp_pinned_finalize(), and may have forgotten about super(). */
static inline bool
slp_pinned_finalizes(const PyTaskletObject *t)
{
    return Py_TYPE(t)->tp_finalize == slp_pinned_finalize;
}

/* It becomes pinned, and the collector has looked at it. */
SLP_COLD void slp_pinned_begin_again(PyTaskletObject *t);

/* It becomes pinned.  May allocate, runs no code. */
static inline void
slp_pinned_begin(PyTaskletObject *t)
{
    t->flags.pinned = 1;
    if (SLP_UNLIKELY(_Py_AS_GC(t)->_gc_prev & (_PyGC_PREV_MASK_FINALIZED | _PyGC_PREV_MASK_COLLECTING)))
        slp_pinned_begin_again(t);
}

/* The calling thread ends, or its interpreter: raise TaskletExit in all its pinned tasklets.  What is
 * runnable is paused, and does not run.  Those that refuse to die are put into gc.garbage.  Leaves no
 * exception. */
void slp_pinned_end_all(slp_thread *th);

/* The thread is gone, and with it the C frames of all its pinned tasklets. */
void slp_pinned_forget_all(slp_thread *th);

/* The thread of a pinned tasklet is gone, and its C frames with it: what they hold is lost. */
void slp_pinned_forget(PyTaskletObject *t);

/* Assert the invariants above; empty in builds without assertions. */
#ifdef NDEBUG
#  define slp_tasklet_check(t) ((void)0)
#else
void slp_tasklet_check(PyTaskletObject *t);
#endif

#endif
