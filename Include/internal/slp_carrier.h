/* Carriers: the C stacks that tasklets run on.
 *
 * Definitions
 *   carrier    a C stack.  The *native* one belongs to the thread's main tasklet; all others are ours.
 *   activation one run of the evaluation loop, a C function call on some carrier.
 *   base activation
 *              the oldest activation of a carrier that runs tasklets.  It never returns; it loads one
 *              tasklet after the other.
 *   soft       a suspended tasklet without C frames.  Any base activation can go on with it.
 *   pinned     a suspended tasklet that has C frames, or main.  It goes on where they are: on its carrier.
 *   hop        where little is left of a carrier, a new activation runs on a fresh one, and comes back.
 *
 *      native                 carrier, in use                    carrier of a hop
 *      ┌───────────────┐      ┌────────────────────┐ high        ┌──────────────────┐ high
 *      │ main()        │      │ base activation    │             │ activation ──────────┐ returns
 *      │ activation    │      │ C function (map)   │      ┌─────>│ C function       │   │ to `below`
 *      │ C function    │      │ activation         │      │      │ activation       │   │
 *      │ activation    │      │ ...                │      │      │                  │   │
 *      │   main        │      │ C function         │      │      │ sp of a pinned   │   │
 *      │   suspended   │      ├────────────────────┤ limit│      │ tasklet          │   │
 *      ├───────────────┤ sp   │ slp_hop() ──────────────────┘    ├──────────────────┤ limit
 *      │               │      │   <────────────────────────────────────────────────────────┘
 *      └───────────────┘      ├────────────────────┤ low         └──────────────────┘ low
 *                             │ guard page         │
 *                             └────────────────────┘
 *
 *   state     sp        cframe       who owns it                     pages
 *   running   -         -            thread->carrier                 as used
 *   pinned    set       activation   tasklet->carrier                as used (4 to 5 KB at least)
 *   waiting   set       -            `below` of the carrier that a   as used
 *                                    hop goes on on
 *   idle      set       `home`       thread->idle                    a few KB: the base activation
 *   free      NULL      NULL         the pool                        given back beyond a bound
 *
 * Invariants (slp_carrier_check asserts them)
 *  1. thread->carrier is the one that the thread's code runs on, and slp_stack_limit is its limit.
 *  2. A carrier's `home` is its base activation's C frame record; NULL for the native one, for one of
 *     a hop, and before the first tasklet was loaded.  thread->home is thread->carrier->home.
 *  3. A tasklet other than main begins and ends in a base activation.
 *  4. Before anything is changed for a switch that leaves C frames behind, thread->idle has a carrier.
 *
 * Memory: carriers come from slabs of 16 stacks, one mapping each, that are unmapped when all are free; a
 * stack's lowest 64 KB are a guard (MADV_GUARD_INSTALL; else mprotect(), up to a budget of
 * mappings).  8 MB of addresses are reserved for a stack, as a thread has, half of them for
 * C code that recurses by itself; a parked one costs a page, and one of page tables.  All functions here
 * want the GIL.
 *
 * Rejected: 256 KB a stack, which saves most of the page table but is too little for the compiler, pickle
 * and repr() near the recursion limit.
 *
 * Rejected: copying C stacks to the heap and back, as historic Stackless and greenlet do.  It costs
 * 30 to 400 ns a KB, grows with depth, and breaks C code that keeps pointers into its stack.
 */
#ifndef SLP_CARRIER_H
#define SLP_CARRIER_H

#include "slp_base.h"
#include "slp_cxx.h"

struct slp_thread;
struct PyTaskletObject;
typedef struct slp_slab slp_slab;

typedef struct slp_carrier {
    void *sp;                          /* the saved stack pointer, while it does not run */
    _PyCFrame *cframe;                 /* the activation that goes on when it runs again */
    _PyCFrame *home;                   /* its base activation (invariant 2) */
    char *limit;                       /* an activation that would begin below this hops */
    char *low;                         /* the lowest usable byte; NULL: native, bounds unknown */
    char *high;                        /* one past the highest byte */
    slp_slab *slab;                    /* where it comes from; NULL: native */
    struct slp_carrier *below;         /* in a list: the next; of a hop: the carrier that waits for it */
    PyObject **stack_top;              /* pinned: the tasklet's tstate->datastack_top */
    struct PyTaskletObject *tasklet;   /* borrowed; who is pinned here, or NULL */
    bool in_c;                         /* pinned: C code made the switch, not the loop */
    int trash_nesting;                 /* pinned: its tstate->trash_delete_nesting */
    slp_cxx_state cxx;                 /* C++ exceptions of this stack, while it does not run */
    _PyCFrame start;                   /* below the base activation in the chain of tstate->cframe */
} slp_carrier;

/* Where the stack of the running carrier gets scarce.  The highest address until the thread's first
 * activation of the loop, which finds the bounds of the native stack. */
extern _Thread_local char *slp_stack_limit __attribute__((tls_model("initial-exec")));

/* A free carrier from the pool, its saved stack pointer such that the first switch to it calls
 * entry(value) there.  NULL with MemoryError. */
slp_carrier *slp_carrier_new(void (*entry)(void *value));

/* Give a carrier back to the pool; nothing runs on it, and what lies on it is forgotten. */
void slp_carrier_free(slp_carrier *carrier);

/* Give back the carrier of a tasklet that never runs again, and those that wait for its hops. */
void slp_carrier_abandon(slp_carrier *carrier);

/* A new list of the tasklets of the thread that are pinned to carriers, without main.  NULL with
 * MemoryError. */
PyObject *slp_carrier_list_pinned(struct slp_thread *th);

/* Leave the C stack of `from`, go on where `to` was left (or at its entry, with `value`).  Returns when
 * somebody switches back, with that switch's value. */
void *slp_carrier_switch(slp_carrier *from, slp_carrier *to, void *value);

/* The first statement of an entry: the other end of the switch that came here. */
void slp_carrier_entered(slp_carrier *carrier);

/* The activation that begins at address `here`, below slp_stack_limit, finds little room: is that so
 * (then it must hop), or is it the thread's first, or on a stack that we do not know? */
bool slp_stack_is_low(const char *here);

/* How many bytes of the calling thread's native stack lie below its limit; 0 if that is not known. */
size_t slp_native_margin(void);

/* Run _PyEval_EvalFrameDefault(tstate, frame, throwflag) on a fresh carrier, and come back with its
 * result.  False where there is no memory for one (no exception set), and nothing was run. */
bool slp_hop(PyThreadState *tstate, _PyInterpreterFrame *frame, int throwflag, PyObject **result);

/* Call function(argument) on a *wide* carrier, whose stack is far larger (512 MB of addresses; only what is
 * touched costs memory): for C code that recurses by itself.  Where there is no memory for one, or one runs
 * already, it is called here. */
void slp_call_wide(struct slp_thread *th, void (*function)(void *), void *argument);

/* How many bytes are left until an activation that begins here would hop, if a wide carrier runs; else 0. */
size_t slp_wide_room(struct slp_thread *th);

/* By how much the recursion limit is raised until the call on the running wide carrier ends.  Only where
 * slp_wide_room() is not 0. */
int *slp_wide_granted(struct slp_thread *th);

/* The entry of a carrier that runs tasklets: its base activation (Stackless/core/switch.c). */
void slp_carrier_main(void *thread);

/* --- bookkeeping of the idle ones of a thread --- */

/* Make sure that th->idle has one.  -1 with MemoryError. */
int slp_carrier_reserve(struct slp_thread *th);

/* The base activation of a carrier has nothing to do.  May still be running when this is called. */
void slp_carrier_retire(struct slp_thread *th, slp_carrier *carrier);

/* So many idle ones a thread keeps. */
#define SLP_KEPT_IDLE 8

/* Give those back that are too many.  Called on another carrier; a base activation owns nothing. */
void slp_carrier_trim_idle(struct slp_thread *th);

/* The carrier struct of a thread's native stack, zeroed so far. */
void slp_carrier_init_native(slp_carrier *carrier);

/* Assert the invariants above for the running carrier; empty in builds without assertions. */
#ifdef NDEBUG
#  define slp_carrier_check(th) ((void)0)
#else
void slp_carrier_check(struct slp_thread *th);
#endif

/* The thread ends: give all idle ones back. */
void slp_carrier_drop_idle(struct slp_thread *th);

#endif
