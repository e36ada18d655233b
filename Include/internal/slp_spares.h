/* What dead tasklets leave for the next ones: their objects, and the memory of their frames.
 *
 * Creating, running and ending a tasklet takes two blocks of memory, and the allocator's way to a block and
 * back, the collector's included, was a sixth of its instructions.  Here the last ones wait, for all threads:
 *
 *      slp_spares.tasklets ──next──> dead tasklet ──next──> ...
 *      slp_spares.chunks[n] ──previous──> heap chunk of 16 * n bytes ──previous──> ...
 *
 * Invariants:
 *   1. a tasklet that waits is exactly of the type, untracked, and zero but for its head, `next`, and
 *      `tempval`, which is None; so whoever takes one has nothing to clear;
 *   2. a chunk that waits is the only one of its stack, and of the size that its place says;
 *   3. the lists are empty, and nothing is put there, but between slp_spares_open() and slp_spares_close();
 *      never in builds with AddressSanitizer or --with-torture=tiny-chunks, or while tracemalloc traces.
 *      They shall see every object.
 */
#ifndef SLP_SPARES_H
#define SLP_SPARES_H

#include "slp_frame.h"
#include "slp_tasklet.h"

#include "internal/pycore_pymem.h"

/* How many wait at most, of each kind. */
#define SLP_SPARES_KEPT 1024

/* Chunks up to this size wait; most tasklets' first chunks have about 250 bytes. */
#define SLP_SPARE_CHUNK_BYTES 1024

typedef struct {
    PyTaskletObject *tasklets;
    int tasklets_room; /* how many more may wait */
    int chunks_room;
    _PyStackChunk *chunks[SLP_SPARE_CHUNK_BYTES / 16 + 1];
} slp_spare_lists;

extern slp_spare_lists slp_spares;

/* The main interpreter begins, and is about to end. */
void slp_spares_open(void);
void slp_spares_close(void);

/* What slp_chunk_new_heap() rounds sizes to, as the allocator does anyway. */
static inline size_t
slp_spare_chunk_size(size_t bytes)
{
    return (bytes + 15) & ~(size_t)15;
}

/* A chunk of `bytes`, rounded as above; its head is not filled in.  NULL: none waits. */
static inline _PyStackChunk *
slp_spare_chunk_take(size_t bytes)
{
    if (SLP_UNLIKELY(bytes > SLP_SPARE_CHUNK_BYTES)) {
        return NULL;
    }
    _PyStackChunk **place = &slp_spares.chunks[bytes / 16];
    _PyStackChunk *chunk = *place;
    if (SLP_LIKELY(chunk != NULL && !_Py_tracemalloc_config.tracing)) {
        assert(bytes % 16 == 0);
        *place = chunk->previous;
        slp_spares.chunks_room++;
        return chunk;
    }
    return NULL;
}

/* Keep a heap chunk of `bytes`.  False: it must be freed. */
static inline bool
slp_spare_chunk_give(_PyStackChunk *chunk, size_t bytes)
{
    if (SLP_UNLIKELY(bytes > SLP_SPARE_CHUNK_BYTES || bytes % 16 != 0 || slp_spares.chunks_room <= 0
                     || _Py_tracemalloc_config.tracing)) {
        return false;
    }
    chunk->previous = slp_spares.chunks[bytes / 16];
    slp_spares.chunks[bytes / 16] = chunk;
    slp_spares.chunks_room--;
    return true;
}

/* A tasklet as invariant 1 says, with one reference.  NULL: none waits. */
static inline PyTaskletObject *
slp_spare_tasklet_take(void)
{
    PyTaskletObject *t = slp_spares.tasklets;
    if (SLP_LIKELY(t != NULL && !_Py_tracemalloc_config.tracing)) {
        slp_spares.tasklets = t->next;
        slp_spares.tasklets_room++;
        t->next = NULL;
        Py_SET_REFCNT(t, 1);
        return t;
    }
    return NULL;
}

/* Keep a tasklet that nobody refers to any more, and which holds nothing but None as its tempval.  False: it
 * must be freed. */
static inline bool
slp_spare_tasklet_give(PyTaskletObject *t)
{
    if (SLP_UNLIKELY(slp_spares.tasklets_room <= 0 || !Py_IS_TYPE(t, &PyTasklet_Type)
                     || _Py_tracemalloc_config.tracing)) {
        return false;
    }
    assert(t->prev == NULL && t->channel == NULL && t->tempval == Py_None && t->context == NULL);
    assert(t->frame == NULL && t->chunk == NULL && t->stack_top == NULL && t->exc_state.exc_value == NULL);
    assert(t->trace == NULL && t->extra == NULL && t->weakrefs == NULL && !_PyObject_GC_IS_TRACKED(t));
    _Py_AS_GC(t)->_gc_prev = 0;   /* its finalizer may have run */
    t->thread = NULL;
    t->exc_state.previous_item = NULL;
    t->exc_info = NULL;
    t->recursion_depth = 0;
    memset(&t->flags, 0, sizeof(t->flags));
    t->next = slp_spares.tasklets;
    slp_spares.tasklets = t;
    slp_spares.tasklets_room--;
    return true;
}

#endif
