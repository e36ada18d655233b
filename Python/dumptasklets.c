/* The stacks of tasklets that do not run, as signal handlers write them.
 *
 * Who is in a run queue is found there.  The others (blocked, paused, waiting in run()) are in no list of
 * ours, since that would cost each tasklet 16 bytes; but the collector knows them.  So its lists are walked,
 * the oldest objects first.  They may be in disorder: in the midst of a collection, of a change by another
 * thread, or because the process is broken.  Then tasklets may be missing from what is written, but none is
 * there twice, and the walk ends: a list is a ring through its head, and an object that another thread moves
 * meanwhile takes the walk to another ring, which does not lead back to where it began.  So each list's head
 * is an end; and the heads that a collection has for a while are found out by a tortoise (put_generation()).
 *
 * Budget: 50 ns for each object that the collector knows, so 0.5 s in a program with ten million of them.
 */
#include "slp_dump.h"
#include "slp_channel.h"
#include "slp_scheduler.h"

#include "pycore_traceback.h"

/* So many tasklets are shown, */
#define MAX_TASKLETS 100
/* and so many objects looked at: a longer list is taken for one that ends nowhere. */
#define MAX_OBJECTS ((size_t)100 * 1000 * 1000)

/* So many bytes are copied at once of what the collector's lists lead to. */
#define BLOCK 4096

/* What a dump knows while it goes on. */
typedef struct {
    int fd;
    int shown;                         /* so many of these */
    const void *tasklets[MAX_TASKLETS];
    bool many_threads;                 /* headings name the thread */
    size_t objects;                    /* looked at so far */
    PyTypeObject *type;                /* the last one that was looked at, */
    bool is_tasklet;                   /*   and what it is */
    uintptr_t block;                   /* where the block in `copy` comes from, 0: there is none */
} dump;

/* The last block that was copied: neighbours in a list often lie there.  It would be large for the stack of a
 * signal handler.  Two threads that write dumps at once disturb each other's, which end early then. */
static char copy[BLOCK];

/* What is looked at of every object. */
typedef struct {
    PyGC_Head gc;
    PyObject object;
} object_head;

/* A tasklet, and what belongs to it, as they were when they were looked at. */
typedef struct {
    const void *address;
    PyTaskletObject t;
    slp_thread thread;
} suspect;

static bool
copy_head(dump *d, object_head *head, const PyGC_Head *gc)
{
    uintptr_t block = (uintptr_t)gc & ~(uintptr_t)(BLOCK - 1);
    size_t offset = (uintptr_t)gc - block;
    if ((uintptr_t)gc % sizeof(void *) != 0) {
        return false;
    }
    if (offset + sizeof(*head) > BLOCK) {
        return slp_dump_copy(head, gc, sizeof(*head));
    }
    if (block != d->block) {
        d->block = slp_dump_copy(copy, (const void *)block, BLOCK) ? block : 0;
        if (d->block == 0) {
            return slp_dump_copy(head, gc, sizeof(*head));
        }
    }
    memcpy(head, copy + offset, sizeof(*head));
    return true;
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
    for (int depth = 0; depth < 100 && type != NULL; depth++) {
        if (type == &PyTasklet_Type) {
            d->is_tasklet = true;
            break;
        }
        if (!SLP_DUMP_FIELD(type, PyTypeObject, type, tp_base)) {
            break;
        }
    }
    return d->is_tasklet;
}

/* Look at a tasklet.  Is it one that is alive and does not run? */
static bool
is_suspended(suspect *s, const PyTaskletObject *t)
{
    s->address = t;
    return slp_dump_copy(&s->t, t, sizeof(s->t)) && slp_dump_copy(&s->thread, s->t.thread, sizeof(s->thread))
           && s->thread.tstate != NULL && s->thread.current != t && (s->t.frame != NULL || s->t.flags.is_main)
           && !s->t.flags.idle;
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
    slp_tasklet_extra extra;
    if (t->extra != NULL && slp_dump_copy(&extra, t->extra, sizeof(extra)) && slp_dump_is_str(extra.name)) {
        slp_dump_text(fd, " \"");
        _Py_DumpASCII(fd, extra.name);
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

/* Write the heading and the frames of one tasklet, once.  False if there were enough before it. */
static bool
put_tasklet(dump *d, const suspect *s)
{
    const PyTaskletObject *t = &s->t;
    unsigned long id;
    for (int i = 0; i < d->shown; i++) {
        if (d->tasklets[i] == s->address) {
            return true;
        }
    }
    if (d->shown == MAX_TASKLETS) {
        slp_dump_text(d->fd, "\n...\n");
        return false;
    }
    d->tasklets[d->shown++] = s->address;
    slp_dump_text(d->fd, t->flags.is_main ? "\nMain tasklet " : "\nTasklet ");
    put_pointer(d->fd, s->address);
    put_name(d->fd, t);
    slp_dump_text(d->fd, " (");
    put_state(d->fd, t);
    /* Main is pinned always: it would say nothing. */
    if (t->flags.pinned && !t->flags.is_main) {
        slp_dump_text(d->fd, ", pinned");
    }
    if (d->many_threads && SLP_DUMP_FIELD(id, PyThreadState, s->thread.tstate, thread_id)) {
        slp_dump_text(d->fd, ", thread 0x");
        _Py_DumpHexadecimal(d->fd, id, sizeof(id) * 2);
    }
    slp_dump_text(d->fd, ") (most recent call first):\n");
    slp_dump_frames(d->fd, t->frame);
    return true;
}

/* Write those in the run queue of a thread.  False if there were too many. */
static bool
put_run_queue(dump *d, const slp_thread *th)
{
    suspect s;
    const PyTaskletObject *t = th->current;
    for (int i = 0; i <= MAX_TASKLETS + 1; i++) {
        if (!SLP_DUMP_FIELD(t, PyTaskletObject, t, next) || t == th->current) {
            break;
        }
        if (is_suspended(&s, t) && !put_tasklet(d, &s)) {
            return false;
        }
    }
    return true;
}

/* Write those in a list of the collector that are in no run queue.  False if there were too many.
 *
 * The tortoise (Brent's) waits at an object while the walk goes as far again as it has come; then it is set
 * to where the walk is.  A walk that comes to where it waits goes in a ring. */
static bool
put_generation(dump *d, const struct _gc_runtime_state *collector, const PyGC_Head *list)
{
    suspect s;
    object_head head;
    head.gc = *list;
    const PyGC_Head *tortoise = NULL;
    for (size_t steps = 0, next_rest = 1;; steps++) {
        /* The collector keeps a bit in the pointer while it works. */
        const PyGC_Head *gc = (const PyGC_Head *)(head.gc._gc_next & ~(uintptr_t)(sizeof(void *) - 1));
        bool is_list = (uintptr_t)gc - (uintptr_t)collector < sizeof(*collector);
        if (is_list || gc == tortoise || ++d->objects > MAX_OBJECTS || !copy_head(d, &head, gc)) {
            return true;
        }
        if (steps == next_rest) {
            tortoise = gc;
            next_rest *= 2;
        }
        if (is_tasklet_type(d, Py_TYPE(&head.object)) && is_suspended(&s, (const PyTaskletObject *)(gc + 1))
            && (s.t.next == NULL || s.t.flags.blocked) && !put_tasklet(d, &s)) {
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
        slp_thread th;
        const slp_thread *at = slp_thread_peek(tstate);
        if (at == NULL || !slp_dump_copy(&th, at, sizeof(th))) {
            continue;
        }
        any = true;
        if (!put_run_queue(&d, &th)) {
            return;
        }
    }
    if (!any || !put_generation(&d, &interp->gc, &interp->gc.permanent_generation.head)) {
        return;
    }
    for (int i = NUM_GENERATIONS; --i >= 0;) {
        if (!put_generation(&d, &interp->gc, &interp->gc.generations[i].head)) {
            return;
        }
    }
}
