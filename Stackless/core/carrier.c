/* Carriers: slabs and the pool of free ones, switching between them, hops (slp_carrier.h has the picture).
 *
 * Budget: 10 ns a switch; 4 to 5 KB of memory for a pinned tasklet's stack (Tools/bench).
 */
#include "slp_carrier.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slp_overflow.h"
#include "slp_platf.h"
#include "slp_tasklet.h"

#if defined(__SANITIZE_ADDRESS__)
#  include <sanitizer/asan_interface.h>
#  include <sanitizer/common_interface_defs.h>
#endif

/* What is reserved for a stack, and what a hop leaves to the C code that the last activation calls: C code
 * that recurses by itself (the compiler, pickle, repr) stops at the recursion limit, and may take
 * megabytes until then.  Only what was touched costs memory. */
#if SIZEOF_VOID_P < 8
#  define STACK_SIZE ((size_t)512 * 1024)
#elif defined(__SANITIZE_ADDRESS__)
#  define STACK_SIZE ((size_t)16 * 1024 * 1024)
#else
#  define STACK_SIZE ((size_t)8 * 1024 * 1024)
#endif
#define MARGIN        (STACK_SIZE / 2)

/* A native stack below this size is too little for such C code, whatever part of it is left: a host may give
 * its threads 64 KB.  There every activation hops at once, and the stack is left to the host's own frames. */
#define SMALL_STACK ((size_t)1024 * 1024)

#define SLAB_CARRIERS 16
#define SLAB_OFFSET   ((size_t)64 * 1024)
#define SLAB_SIZE     (SLAB_OFFSET + SLAB_CARRIERS * STACK_SIZE)

/* A wide carrier, for C code that recurses by itself and is known to (slp_call_wide()), and how much of it
 * keeps its pages after use. */
#if SIZEOF_VOID_P < 8
#  define WIDE_SIZE ((size_t)32 * 1024 * 1024)
#else
#  define WIDE_SIZE ((size_t)512 * 1024 * 1024)
#endif
#define WIDE_KEPT ((size_t)1024 * 1024)

/* Free carriers that keep their pages, and that keep their slabs. */
#define KEPT_FREE 32

/* Guards that split mappings, of which a process has 65,530. */
#define SPLIT_GUARDS 16000
#ifndef MADV_GUARD_INSTALL
#  define MADV_GUARD_INSTALL 102
#endif

_Thread_local char *slp_stack_limit = (char *)UINTPTR_MAX;

/* What lies below the limit of the calling thread's native stack; 0 while that is not known. */
static _Thread_local size_t native_margin;

/* --- the pool --- */

struct slp_slab {
    slp_slab *next;                    /* in the list of those with a free carrier */
    slp_slab *prev;
    slp_slab *next_of_all;             /* in the list of all */
    slp_slab *prev_of_all;
    char *mapping;
    bool wide;                         /* it has one carrier, a wide one, */
    bool deep;                         /*   much of whose stack may have been touched, */
    int granted;                       /*   and by which the recursion limit is raised */
    slp_carrier *free;                 /* linked by `below` */
    int free_count;
    int split_guards;                  /* of its guards, those that are mappings of their own */
    slp_carrier carriers[SLAB_CARRIERS];
};

static slp_slab *open_slabs;           /* those with a free carrier */
static slp_slab *all_slabs;
static size_t free_count;
static size_t split_guards;

static void
open_slab(slp_slab *slab)
{
    slab->prev = NULL;
    slab->next = open_slabs;
    if (open_slabs != NULL) {
        open_slabs->prev = slab;
    }
    open_slabs = slab;
}

static void
close_slab(slp_slab *slab)
{
    if (slab->prev != NULL) {
        slab->prev->next = slab->next;
    }
    else {
        open_slabs = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->prev = slab->prev;
    }
}

/* Is the first of these pages, which are untouched, out of reach?  The kernel says so without a signal. */
static bool
is_guarded(const char *pages)
{
    return access(pages, F_OK) != 0 && errno == EFAULT;
}

/* Make the lowest pages of a stack of this slab a guard.  Without one, Python code still hops in time.
 *
 * madvise() is believed once it has been seen to do it: what emulates a kernel (qemu-user, for one) takes
 * advice for a hint, and answers all that it does not know with success.
 *
 * A guard that needs no mapping of its own gets one all the same while there are few: what saves a core from
 * outside, as gdb's gcore does, gives a mapping up where it cannot read it, unless told not to look there. */
static void
install_guard(slp_slab *slab, char *pages)
{
    static bool believed;
    bool installed = madvise(pages, SLP_GUARD_SIZE, MADV_GUARD_INSTALL) == 0
                     && (believed || is_guarded(pages));
    believed |= installed;
    if (split_guards < SPLIT_GUARDS
        && (installed ? madvise(pages, SLP_GUARD_SIZE, MADV_DONTDUMP)
                      : mprotect(pages, SLP_GUARD_SIZE, PROT_NONE)) == 0) {
        split_guards++;
        slab->split_guards++;
    }
}

/* A new slab of free carriers.  -1 without memory.
 *
 * The guard of a stack lies beside the highest page of the one below it.  Where no stack begins at a
 * multiple of what a page table maps, the two share a page table: hence the offset. */
static int
new_slab(void)
{
    slp_cxx_look();
    slp_slab *slab = PyMem_RawCalloc(1, sizeof(slp_slab));
    if (slab == NULL) {
        return -1;
    }
    slab->mapping = mmap(NULL, SLAB_SIZE, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (slab->mapping == MAP_FAILED) {
        PyMem_RawFree(slab);
        return -1;
    }
    (void)madvise(slab->mapping, SLAB_SIZE, MADV_NOHUGEPAGE);
    for (size_t i = SLAB_CARRIERS; i-- > 0;) {
        slp_carrier *carrier = &slab->carriers[i];
        char *bottom = slab->mapping + SLAB_OFFSET + i * STACK_SIZE;
        install_guard(slab, bottom);
        carrier->slab = slab;
        carrier->low = bottom + SLP_GUARD_SIZE;
        carrier->high = bottom + STACK_SIZE;
        carrier->below = slab->free;
        slab->free = carrier;
    }
    slab->free_count = SLAB_CARRIERS;
    free_count += SLAB_CARRIERS;
    slab->next_of_all = all_slabs;
    if (all_slabs != NULL) {
        all_slabs->prev_of_all = slab;
    }
    all_slabs = slab;
    open_slab(slab);
    return 0;
}

/* Make a free carrier ready to be entered. */
static void
prepare(slp_carrier *carrier, void (*entry)(void *value))
{
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(carrier->low, (size_t)(carrier->high - carrier->low));
#endif
    carrier->below = NULL;
    carrier->home = NULL;
    carrier->tasklet = NULL;
    carrier->limit = carrier->low + MARGIN;
    carrier->cxx = (slp_cxx_state){0};
    carrier->start = (_PyCFrame){0};
    carrier->cframe = &carrier->start;
    carrier->sp = slp_platf_prepare(carrier->low, carrier->high, entry);
}

slp_carrier *
slp_carrier_new(void (*entry)(void *value))
{
    slp_overflow_watch();
    if (open_slabs == NULL && new_slab() < 0) {
        PyErr_NoMemory();
        return NULL;
    }
    slp_slab *slab = open_slabs;
    slp_carrier *carrier = slab->free;
    slab->free = carrier->below;
    if (--slab->free_count == 0) {
        close_slab(slab);
    }
    free_count--;
    prepare(carrier, entry);
    return carrier;
}

/* --- wide ones --- */

/* A free wide carrier, or NULL: one is kept. */
static slp_carrier *spare_wide;

static slp_carrier *
new_wide(void (*entry)(void *value))
{
    slp_overflow_watch();
    slp_carrier *carrier = spare_wide;
    if (carrier == NULL) {
        slp_slab *slab = PyMem_RawCalloc(1, sizeof(slp_slab));
        if (slab == NULL) {
            return NULL;
        }
        slab->mapping = mmap(NULL, WIDE_SIZE, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (slab->mapping == MAP_FAILED) {
            PyMem_RawFree(slab);
            return NULL;
        }
        (void)madvise(slab->mapping, WIDE_SIZE, MADV_NOHUGEPAGE);
        install_guard(slab, slab->mapping);
        slab->wide = true;
        slab->next_of_all = all_slabs;
        if (all_slabs != NULL) {
            all_slabs->prev_of_all = slab;
        }
        all_slabs = slab;
        carrier = &slab->carriers[0];
        carrier->slab = slab;
        carrier->low = slab->mapping + SLP_GUARD_SIZE;
        carrier->high = slab->mapping + WIDE_SIZE;
    }
    spare_wide = NULL;
    carrier->slab->granted = 0;   /* the call before may have ended with its thread */
    prepare(carrier, entry);
    return carrier;
}

/* Take a slab without carriers in use out of the list of all, and free it. */
static void
free_slab(slp_slab *slab, size_t size)
{
    if (slab->next_of_all != NULL) {
        slab->next_of_all->prev_of_all = slab->prev_of_all;
    }
    *(slab->prev_of_all != NULL ? &slab->prev_of_all->next_of_all : &all_slabs) = slab->next_of_all;
    munmap(slab->mapping, size);
    split_guards -= (size_t)slab->split_guards;
    PyMem_RawFree(slab);
}

static void
free_wide(slp_carrier *carrier)
{
    if (spare_wide != NULL) {
        free_slab(carrier->slab, WIDE_SIZE);
        return;
    }
    spare_wide = carrier;
    if (carrier->slab->deep) {
        carrier->slab->deep = false;
        (void)madvise(carrier->low, (size_t)(carrier->high - WIDE_KEPT - carrier->low), MADV_DONTNEED);
    }
}

void
slp_carrier_free(slp_carrier *carrier)
{
    slp_slab *slab = carrier->slab;
    carrier->sp = NULL;
    carrier->tasklet = NULL;
    carrier->cframe = carrier->home = NULL;
    if (slab->wide) {
        free_wide(carrier);
        return;
    }
    carrier->below = slab->free;
    slab->free = carrier;
    if (slab->free_count++ == 0) {
        open_slab(slab);
    }
    free_count++;
    if (free_count <= KEPT_FREE) {
        return;
    }
    if (slab->free_count == SLAB_CARRIERS) {
        /* The page tables go, too. */
        close_slab(slab);
        free_count -= SLAB_CARRIERS;
        free_slab(slab, SLAB_SIZE);
        return;
    }
    (void)madvise(carrier->low, (size_t)(carrier->high - carrier->low), MADV_DONTNEED);
}

void
slp_carrier_abandon(slp_carrier *carrier)
{
    while (carrier != NULL && carrier->slab != NULL) {
        slp_carrier *below = carrier->below;
        slp_carrier_free(carrier);
        carrier = below;
    }
}

PyObject *
slp_carrier_list_pinned(slp_thread *th)
{
    PyObject *list = PyList_New(0);
    for (slp_slab *slab = all_slabs; list != NULL && slab != NULL; slab = slab->next_of_all) {
        for (int i = 0; i < SLAB_CARRIERS && list != NULL; i++) {
            PyTaskletObject *t = slab->carriers[i].tasklet;
            if (t != NULL && t->thread == th && !t->flags.is_main
                && PyList_Append(list, (PyObject *)t) < 0) {
                Py_CLEAR(list);
            }
        }
    }
    return list;
}

/* --- switching --- */

void *
slp_carrier_switch(slp_carrier *from, slp_carrier *to, void *value)
{
    assert(to->sp != NULL);
    from->limit = slp_stack_limit;
    slp_stack_limit = to->limit;
    slp_cxx_switch(&from->cxx, &to->cxx);
    void *sp = to->sp;
    to->sp = NULL;
#if defined(__SANITIZE_ADDRESS__)
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, to->low, (size_t)(to->high - to->low));
    value = slp_platf_switch(&from->sp, sp, value);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
    return value;
#else
    return slp_platf_switch(&from->sp, sp, value);
#endif
}

void
slp_carrier_entered(slp_carrier *carrier)
{
    (void)carrier;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

#ifndef NDEBUG
void
slp_carrier_check(slp_thread *th)
{
    const slp_carrier *carrier = th->carrier;
    assert(th->home == carrier->home && carrier->sp == NULL);
    assert(slp_stack_limit == carrier->limit);
    assert((carrier == &th->native) == (carrier->slab == NULL));
    assert(carrier->slab != NULL || carrier->home == NULL);
}
#endif

/* --- hops --- */

/* The bounds of the calling thread's native stack.  False where the system does not tell. */
static bool
native_bounds(char **low, char **high)
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
        return false;
    }
    void *base;
    size_t size;
    bool known = pthread_attr_getstack(&attributes, &base, &size) == 0;
    pthread_attr_destroy(&attributes);
    *low = base;
    *high = (char *)base + size;
    return known;
}

bool
slp_stack_is_low(const char *here)
{
    if (slp_stack_limit == (char *)UINTPTR_MAX) {
        char *low, *high;
        slp_stack_limit = NULL;
        if (native_bounds(&low, &high) && low <= here && here < high) {
            size_t size = (size_t)(high - low);
            native_margin = size < SMALL_STACK ? size : Py_MIN(size / 2, MARGIN);
            slp_stack_limit = low + native_margin;
        }
    }
    /* Far below the limit it is another stack altogether, which somebody else has made. */
    return here < slp_stack_limit && (size_t)(slp_stack_limit - here) <= Py_MAX(native_margin, MARGIN);
}

size_t
slp_native_margin(void)
{
    return native_margin;
}

/* What a hop runs, on the stack where it began. */
typedef struct {
    PyThreadState *tstate;
    _PyInterpreterFrame *frame;
    int throwflag;
    slp_carrier *carrier;
    PyObject *result;
} hop;

/* The oldest function on a hop's carrier. */
static void
hop_entry(void *value)
{
    hop *h = value;
    slp_carrier *carrier = h->carrier;
    slp_carrier_entered(carrier);
    h->result = _PyEval_EvalFrameDefault(h->tstate, h->frame, h->throwflag);
    slp_thread *th = slp_thread_peek(h->tstate);
    assert(th->carrier == carrier);
    th->carrier = carrier->below;
    th->home = th->carrier->home;
    slp_cxx_copy(&th->carrier->cxx);
    slp_carrier_switch(carrier, th->carrier, h);
    Py_UNREACHABLE();
}

bool
slp_hop(PyThreadState *tstate, _PyInterpreterFrame *frame, int throwflag, PyObject **result)
{
    PyObject *type, *value, *traceback;   /* what throwflag raises */
    PyErr_Fetch(&type, &value, &traceback);
    slp_thread *th = slp_thread_get(tstate);
    slp_carrier *carrier = th == NULL ? NULL : slp_carrier_new(hop_entry);
    PyErr_Restore(type, value, traceback);
    if (carrier == NULL) {
        return false;
    }
    hop h = {.tstate = tstate, .frame = frame, .throwflag = throwflag, .carrier = carrier};
    slp_carrier *here = th->carrier;
    slp_cxx_copy(&carrier->cxx);
    carrier->below = here;
    th->carrier = carrier;
    th->home = NULL;
    slp_carrier_switch(here, carrier, &h);
    slp_carrier_free(carrier);
    *result = h.result;
    return true;
}

/* --- calls on wide carriers --- */

typedef struct {
    slp_thread *th;
    void (*function)(void *);
    void *argument;
    slp_carrier *carrier;
} wide_call;

/* The oldest function on a wide carrier. */
static void
wide_entry(void *value)
{
    wide_call *call = value;
    slp_carrier *carrier = call->carrier;
    slp_carrier_entered(carrier);
    call->function(call->argument);
    slp_thread *th = call->th;
    th->tstate->recursion_remaining -= carrier->slab->granted;
    carrier->slab->granted = 0;
    assert(th->carrier == carrier);
    th->carrier = carrier->below;
    th->home = th->carrier->home;
    slp_cxx_copy(&th->carrier->cxx);
    slp_carrier_switch(carrier, th->carrier, call);
    Py_UNREACHABLE();
}

void
slp_call_wide(slp_thread *th, void (*function)(void *), void *argument)
{
    slp_carrier *here = th->carrier;
    slp_carrier *carrier = here->slab != NULL && here->slab->wide ? NULL : new_wide(wide_entry);
    if (carrier == NULL) {
        function(argument);
        return;
    }
    wide_call call = {.th = th, .function = function, .argument = argument, .carrier = carrier};
    slp_cxx_copy(&carrier->cxx);
    carrier->below = here;
    th->carrier = carrier;
    th->home = NULL;
    slp_carrier_switch(here, carrier, &call);
    slp_carrier_free(carrier);
}

int *
slp_wide_granted(slp_thread *th)
{
    return &th->carrier->slab->granted;
}

size_t
slp_wide_room(slp_thread *th)
{
    const slp_carrier *carrier = th->carrier;
    const char *here = __builtin_frame_address(0);
    if (carrier->slab == NULL || !carrier->slab->wide || here < carrier->limit) {
        return 0;
    }
    carrier->slab->deep |= here < carrier->high - WIDE_KEPT;
    return (size_t)(here - carrier->limit);
}

void
slp_carrier_init_native(slp_carrier *carrier)
{
    (void)carrier;
#if defined(__SANITIZE_ADDRESS__)
    native_bounds(&carrier->low, &carrier->high);
#endif
}

/* --- idle ones --- */

int
slp_carrier_reserve(slp_thread *th)
{
    if (th->idle == NULL) {
        th->idle = slp_carrier_new(slp_carrier_main);
        th->has_carriers = true;
        th->idle_count += th->idle != NULL;
    }
    return th->idle != NULL ? 0 : -1;
}

void
slp_carrier_retire(slp_thread *th, slp_carrier *carrier)
{
    carrier->below = th->idle;
    th->idle = carrier;
    th->idle_count++;
}

void
slp_carrier_trim_idle(slp_thread *th)
{
    while (th->idle_count > SLP_KEPT_IDLE) {
        slp_carrier *carrier = th->idle;
        th->idle = carrier->below;
        th->idle_count--;
        slp_carrier_free(carrier);
    }
}

void
slp_carrier_drop_idle(slp_thread *th)
{
    while (th->idle != NULL || th->withheld != NULL) {
        slp_carrier **list = th->idle != NULL ? &th->idle : &th->withheld;
        slp_carrier *carrier = *list;
        *list = carrier->below;
        th->idle_count--;
        slp_carrier_free(carrier);
    }
}
