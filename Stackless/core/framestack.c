/* Frame stacks: chunks, their growth, and the spares (slp_frame.h has the picture). */
#include "slp_frame.h"

#include <pthread.h>

#include "slp_spares.h"
#include "slp_thread.h"

/* A native frame stack begins with what the base takes for every chunk; a tasklet's second chunk is
 * small, since most never need it.  From there on chunks double, up to a bound. */
#define FIRST_ARENA_CHUNK ((size_t)16 * 1024)
#define SECOND_HEAP_CHUNK ((size_t)512)
#define LARGEST_CHUNK     ((size_t)1024 * 1024)

#define HEADER_SIZE offsetof(_PyStackChunk, data)

/* The spare arena chunk of each OS thread, freed by the key's destructor when the thread ends. */
static _Thread_local _PyStackChunk *spare_arena;
static pthread_key_t spare_arena_key;
static pthread_once_t spare_arena_once = PTHREAD_ONCE_INIT;

static void
free_spare_arena(void *chunk)
{
    _PyObject_VirtualFree(chunk, ((_PyStackChunk *)chunk)->size);
    spare_arena = NULL;
}

static void
make_spare_arena_key(void)
{
    if (pthread_key_create(&spare_arena_key, free_spare_arena) != 0) {
        Py_FatalError("no thread-specific key for frame stacks");
    }
}

static size_t
chunk_bytes(const _PyStackChunk *chunk)
{
    return chunk->size & ~(size_t)SLP_CHUNK_HEAP;
}

static bool
is_heap(const _PyStackChunk *chunk)
{
    return (chunk->size & SLP_CHUNK_HEAP) != 0;
}

/* A heap chunk of `bytes`, one that waits (slp_spares.h) or a new one; NULL without an exception. */
static inline _PyStackChunk *
allocate_heap(size_t bytes)
{
    _PyStackChunk *chunk = slp_spare_chunk_take(bytes);
    if (chunk == NULL) {
        chunk = PyObject_Malloc(bytes);
        if (chunk == NULL) {
            return NULL;
        }
    }
    chunk->size = bytes | SLP_CHUNK_HEAP;
    return chunk;
}

/* Let one wait, or free it. */
static inline void
free_heap(_PyStackChunk *chunk)
{
    if (!slp_spare_chunk_give(chunk, chunk_bytes(chunk))) {
        PyObject_Free(chunk);
    }
}

/* Keep a freed chunk as the spare of its kind, or let it go: the larger of the two stays. */
static void
retire_chunk(PyThreadState *tstate, _PyStackChunk *chunk)
{
#if SLP_TORTURE_TINY_CHUNKS
    const bool keep = false;
#else
    const bool keep = true;
#endif
    if (is_heap(chunk)) {
        slp_thread *th = slp_thread_peek(tstate);
        if (keep && th != NULL && (th->spare_heap == NULL || th->spare_heap->size < chunk->size)) {
            _PyStackChunk *smaller = th->spare_heap;
            th->spare_heap = chunk;
            chunk = smaller;
        }
        if (chunk != NULL) {
            free_heap(chunk);
        }
        return;
    }
    if (keep && (spare_arena == NULL || spare_arena->size < chunk->size)) {
        pthread_once(&spare_arena_once, make_spare_arena_key);
        _PyStackChunk *smaller = spare_arena;
        spare_arena = chunk;
        pthread_setspecific(spare_arena_key, chunk);
        chunk = smaller;
    }
    if (chunk != NULL) {
        _PyObject_VirtualFree(chunk, chunk->size);
    }
}

/* The spare of a kind, if it has `bytes`; else NULL. */
static _PyStackChunk *
take_spare(PyThreadState *tstate, bool heap, size_t bytes)
{
    _PyStackChunk *chunk;
    if (heap) {
        slp_thread *th = slp_thread_peek(tstate);
        if (th == NULL || th->spare_heap == NULL || chunk_bytes(th->spare_heap) < bytes) {
            return NULL;
        }
        chunk = th->spare_heap;
        th->spare_heap = NULL;
        return chunk;
    }
    if (spare_arena == NULL || spare_arena->size < bytes) {
        return NULL;
    }
    chunk = spare_arena;
    spare_arena = NULL;
    pthread_setspecific(spare_arena_key, NULL);
    return chunk;
}

/* A chunk of at least `needed` bytes, larger than the newest one of its stack so far (or NULL). */
static _PyStackChunk *
new_chunk(PyThreadState *tstate, const _PyStackChunk *newest, size_t needed)
{
    bool heap = newest != NULL && is_heap(newest);
    _PyStackChunk *chunk = take_spare(tstate, heap, needed);
    if (chunk != NULL) {
        return chunk;
    }
#if SLP_TORTURE_TINY_CHUNKS
    size_t bytes = needed;
    newest = NULL;
#else
    size_t bytes = heap ? SECOND_HEAP_CHUNK : FIRST_ARENA_CHUNK;
#endif
    if (newest != NULL) {
        while (bytes < 2 * chunk_bytes(newest) && bytes < LARGEST_CHUNK) {
            bytes *= 2;
        }
    }
    while (bytes < needed) {
        bytes *= 2;
    }
    if (heap) {
        return allocate_heap(bytes);
    }
    chunk = _PyObject_VirtualAlloc(bytes);
    if (chunk != NULL) {
        chunk->size = bytes;
    }
    return chunk;
}

_PyInterpreterFrame *
slp_frame_alloc_slow(PyThreadState *tstate, size_t words)
{
    /* One word more, for the oldest arena chunk. */
    if (words > (size_t)(INT_MAX / 2) / sizeof(PyObject *)) {
        _PyErr_NoMemory(tstate);
        return NULL;
    }
    _PyStackChunk *newest = tstate->datastack_chunk;
    _PyStackChunk *chunk = new_chunk(tstate, newest, HEADER_SIZE + (words + 1) * sizeof(PyObject *));
    if (chunk == NULL) {
        _PyErr_NoMemory(tstate);
        return NULL;
    }
    chunk->previous = newest;
    chunk->top = (size_t)tstate->datastack_top;
    PyObject **base = slp_chunk_base(chunk);
    tstate->datastack_chunk = chunk;
    tstate->datastack_limit = slp_chunk_limit(chunk);
    tstate->datastack_top = base + words;
    return (_PyInterpreterFrame *)base;
}

void
slp_frame_free_slow(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    _PyStackChunk *chunk = tstate->datastack_chunk;
    _PyStackChunk *previous = chunk->previous;
    assert((PyObject **)frame == slp_chunk_base(chunk));
    if (previous == NULL) {
        tstate->datastack_top = (PyObject **)frame;
        return;
    }
    tstate->datastack_chunk = previous;
    tstate->datastack_top = (PyObject **)chunk->top;
    tstate->datastack_limit = slp_chunk_limit(previous);
    retire_chunk(tstate, chunk);
}

_PyStackChunk *
slp_chunk_new_heap(size_t words)
{
    size_t bytes = offsetof(_PyStackChunk, top) + words * sizeof(PyObject *);
    _PyStackChunk *chunk = allocate_heap(slp_spare_chunk_size(bytes));
    if (chunk == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    chunk->previous = NULL;
    return chunk;
}

void
slp_chunks_free_heap(_PyStackChunk *chunk)
{
    while (chunk != NULL) {
        _PyStackChunk *previous = chunk->previous;
        assert(is_heap(chunk));
        free_heap(chunk);
        chunk = previous;
    }
}

/* --- what the base's own code calls ---------------------------------------------------------- */

/* Takes the place of the base's function: its PyEval_EvalCode() pushes its frame inline, and comes
 * here when the chunk is full. */
_PyInterpreterFrame *
_PyThreadState_BumpFramePointerSlow(PyThreadState *tstate, size_t size)
{
    return slp_frame_alloc_slow(tstate, size);
}

void
_PyThreadState_PopFrame(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    slp_frame_free(tstate, frame);
}
