/* The stacks of tasklets that do not run, as signal handlers write them.
 *
 * Who is in a run queue is found there.  The others (blocked, paused, waiting in run()) are in no list of
 * ours, since that would cost each tasklet 16 bytes; but the collector knows them.  So its lists are walked,
 * the oldest objects first.  They may be in disorder: in the midst of a collection, of a change by another
 * thread, or because the process is broken.  Then tasklets may be missing from what is written.
 *
 * Budget: 30 ns for each object that the collector knows, so 0.3 s in a program with ten million of them.
 */
#include "slp_dump.h"
#include "slp_channel.h"
#include "slp_scheduler.h"

#include "pycore_traceback.h"

/* So many tasklets are shown, */
#define MAX_TASKLETS 100
/* and so many objects looked at: a longer list is taken for one that ends nowhere. */
#define MAX_OBJECTS ((size_t)100 * 1000 * 1000)

/* What a dump knows while it goes on. */
typedef struct {
    int fd;
    int shown;
    bool many_threads;                 /* headings name the thread */
    size_t objects;                    /* looked at so far */
    uintptr_t page;                    /* the last one that could be read, 0: none; neighbours lie in it */
    PyTypeObject *type;                /* the last one that was looked at, */
    bool is_tasklet;                   /*   and what it is */
} dump;

/* The pages of the collector's headers are tried one by one. */
#define PAGE_BITS 12

static bool
readable_object(dump *d, const PyGC_Head *gc)
{
    size_t size = sizeof(PyGC_Head) + sizeof(PyObject);
    uintptr_t first = (uintptr_t)gc >> PAGE_BITS;
    if (first == d->page && first != 0 && ((uintptr_t)gc + size - 1) >> PAGE_BITS == first) {
        return true;
    }
    bool readable = (uintptr_t)gc % sizeof(void *) == 0 && slp_dump_readable(gc, size);
    d->page = readable ? first : 0;
    return readable;
}

/* Is it the type of tasklets or a subclass?  Of its bases, only one can have the layout. */
static bool
is_tasklet_type(dump *d, PyTypeObject *type)
{
    if (type == d->type) {
        return d->is_tasklet;
    }
    d->type = type;
    d->is_tasklet = false;
    for (int depth = 0; depth < 100 && slp_dump_readable(type, sizeof(PyTypeObject)); depth++) {
        if (type == &PyTasklet_Type) {
            d->is_tasklet = true;
            break;
        }
        type = type->tp_base;
    }
    return d->is_tasklet;
}

/* Is it one that is alive and does not run? */
static bool
is_suspended(const PyTaskletObject *t)
{
    return slp_dump_readable(t, sizeof(PyTaskletObject)) && slp_dump_readable(t->thread, sizeof(slp_thread))
           && t->thread->tstate != NULL && t->thread->current != t && slp_tasklet_alive(t) && !t->flags.idle;
}

static void
put_pointer(int fd, const void *pointer)
{
    slp_dump_text(fd, "0x");
    _Py_DumpHexadecimal(fd, (uintptr_t)pointer, sizeof(void *) * 2);
}

/* Write ` "name"`, if it has one. */
static void
put_name(int fd, const PyTaskletObject *t)
{
    if (t->extra == NULL || !slp_dump_readable(t->extra, sizeof(slp_tasklet_extra))) {
        return;
    }
    PyObject *name = t->extra->name;
    if (slp_dump_is_str(name)) {
        slp_dump_text(fd, " \"");
        _Py_DumpASCII(fd, name);
        slp_dump_text(fd, "\"");
    }
}

static void
put_state(int fd, const PyTaskletObject *t)
{
    if (t->flags.blocked) {
        slp_dump_text(fd, t->flags.blocked > 0 ? "blocked, sending on channel "
                                               : "blocked, receiving on channel ");
        put_pointer(fd, t->channel);
    }
    else {
        slp_dump_text(fd, slp_in_chain(t) ? "scheduled"
                          : t->flags.waits_in_run ? "waiting in run()" : "paused");
    }
}

/* Write the heading and the frames of one tasklet.  False if there were enough before it. */
static bool
put_tasklet(dump *d, const PyTaskletObject *t)
{
    if (d->shown == MAX_TASKLETS) {
        slp_dump_text(d->fd, "\n...\n");
        return false;
    }
    d->shown++;
    slp_dump_text(d->fd, t->flags.is_main ? "\nMain tasklet " : "\nTasklet ");
    put_pointer(d->fd, t);
    put_name(d->fd, t);
    slp_dump_text(d->fd, " (");
    put_state(d->fd, t);
    /* Main is pinned always: it would say nothing. */
    if (t->flags.pinned && !t->flags.is_main) {
        slp_dump_text(d->fd, ", pinned");
    }
    if (d->many_threads && slp_dump_readable(t->thread->tstate, sizeof(PyThreadState))) {
        slp_dump_text(d->fd, ", thread 0x");
        _Py_DumpHexadecimal(d->fd, t->thread->tstate->thread_id, sizeof(unsigned long) * 2);
    }
    slp_dump_text(d->fd, ") (most recent call first):\n");
    slp_dump_frames(d->fd, t->frame);
    return true;
}

/* Write those in the run queue of a thread.  False if there were too many. */
static bool
put_run_queue(dump *d, const slp_thread *th)
{
    const PyTaskletObject *t = th->current;
    for (int i = 0; i <= MAX_TASKLETS + 1; i++) {
        if (!slp_dump_readable(t, sizeof(PyTaskletObject)) || (t = t->next) == th->current) {
            break;
        }
        if (is_suspended(t) && !put_tasklet(d, t)) {
            return false;
        }
    }
    return true;
}

/* Write those in a list of the collector that are in no run queue.  False if there were too many. */
static bool
put_generation(dump *d, const PyGC_Head *head)
{
    const PyGC_Head *gc = head;
    for (;;) {
        /* The collector keeps a bit in the pointer while it works. */
        gc = (const PyGC_Head *)(gc->_gc_next & ~(uintptr_t)(sizeof(void *) - 1));
        if (gc == head || ++d->objects > MAX_OBJECTS || !readable_object(d, gc)) {
            return true;
        }
        const PyTaskletObject *t = (const PyTaskletObject *)(gc + 1);
        if (is_tasklet_type(d, Py_TYPE(t)) && is_suspended(t) && (t->next == NULL || t->flags.blocked)
            && !put_tasklet(d, t)) {
            return false;
        }
    }
}

void
slp_dump_tasklets(int fd, PyInterpreterState *interp)
{
    dump d = {.fd = fd};
    bool any = false;
    PyThreadState *tstate = PyInterpreterState_ThreadHead(interp);
    d.many_threads = tstate != NULL && PyThreadState_Next(tstate) != NULL;
    for (; tstate != NULL; tstate = PyThreadState_Next(tstate)) {
        const slp_thread *th = slp_thread_peek(tstate);
        if (th == NULL || !slp_dump_readable(th, sizeof(slp_thread))) {
            continue;
        }
        any = true;
        if (!put_run_queue(&d, th)) {
            return;
        }
    }
    if (!any || !put_generation(&d, &interp->gc.permanent_generation.head)) {
        return;
    }
    for (int i = NUM_GENERATIONS; --i >= 0;) {
        if (!put_generation(&d, &interp->gc.generations[i].head)) {
            return;
        }
    }
}
