/* Frame memory: how the frames of Python code are allocated, pushed and popped.
 *
 * A frame stack is a chain of chunks; the thread state points at the newest one:
 *
 *      tstate->datastack_chunk ──> ┌──────────┐ previous ──> older chunk ──> ... ──> NULL
 *                                  │ header   │
 *                                  ├──────────┤ slp_chunk_base()
 *                                  │ frame    │   a frame is CPython's _PyInterpreterFrame:
 *                                  │ frame    │   header words, locals, cells, value stack
 *      tstate->datastack_top   ──> ├──────────┤
 *                                  │ free     │
 *      tstate->datastack_limit ──> └──────────┘
 *
 * Two kinds of chunk, told apart by bit 0 of `size`:
 *
 * - arena chunks belong to a thread's native flow of control.  They come from the base's arena
 *   allocator, since the base (when a thread state is deleted) and greenlet free them behind our
 *   back, knowing `previous` and `size`.
 * - heap chunks belong to tasklets.  They come from the object allocator, the first one sized to
 *   fit, and only we free them.
 *
 * Invariants
 *  1. datastack_chunk, _top and _limit are all NULL or all set.
 *  2. `top` of a chunk that is not the oldest holds datastack_top as it was in the chunk before.
 *     The oldest heap chunk has no use for it and lets its first frame begin there.
 *  3. The first frame of the oldest arena chunk begins one word past the others' first, so that no
 *     pop takes it for a frame whose chunk goes (a thread keeps its first chunk until it ends).
 *  4. A pop frees the newest chunk when its first frame goes; one freed chunk of each kind is kept
 *     as a spare, so that a call loop across a chunk edge allocates nothing (it costs 6.5 us
 *     a call in the base, which maps and unmaps 16 KB each time).
 */
#ifndef SLP_FRAME_H
#define SLP_FRAME_H

#include "slp_base.h"

/* Words of a frame's header, before its locals. */
#define SLP_FRAME_HEADER_WORDS ((int)FRAME_SPECIALS_SIZE)

/* Words that a frame of `code` takes. */
static inline int
slp_frame_words(const PyCodeObject *code)
{
    return code->co_nlocalsplus + code->co_stacksize + SLP_FRAME_HEADER_WORDS;
}

/* Room for `words`, from a new chunk; the slow half of slp_frame_alloc().  MemoryError on failure. */
_PyInterpreterFrame *slp_frame_alloc_slow(PyThreadState *tstate, size_t words);

/* Give back the memory of `frame`, the newest of its stack, when it is the first of its chunk. */
void slp_frame_free_slow(PyThreadState *tstate, _PyInterpreterFrame *frame);

/* Room for a frame of `words`.  NULL with MemoryError.
 *
 * --with-torture=tiny-chunks: every frame has a chunk of its own, so that each push and each pop
 * crosses an edge and a stale pointer into a frame that is gone points to freed memory. */
static inline _PyInterpreterFrame *
slp_frame_alloc(PyThreadState *tstate, size_t words)
{
    PyObject **top = tstate->datastack_top;
#if SLP_TORTURE_TINY_CHUNKS
    top = NULL;
#endif
    if (SLP_LIKELY(top != NULL && words <= (size_t)(tstate->datastack_limit - top))) {
        tstate->datastack_top = top + words;
        return (_PyInterpreterFrame *)top;
    }
    return slp_frame_alloc_slow(tstate, words);
}

/* Where the first frame of a chunk begins. */
#define SLP_CHUNK_HEAP 1u
static inline PyObject **
slp_chunk_base(_PyStackChunk *chunk)
{
    if (chunk->previous != NULL) {
        return &chunk->data[0];
    }
    return (chunk->size & SLP_CHUNK_HEAP) ? (PyObject **)&chunk->top : &chunk->data[1];
}

static inline PyObject **
slp_chunk_limit(_PyStackChunk *chunk)
{
    return (PyObject **)((char *)chunk + (chunk->size & ~(size_t)SLP_CHUNK_HEAP));
}

/* Give back the memory of `frame`, the newest of its stack. */
static inline void
slp_frame_free(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    PyObject **base = (PyObject **)frame;
    _PyStackChunk *chunk = tstate->datastack_chunk;
    /* Either kind of chunk starts within three words of its header. */
    if (SLP_UNLIKELY((size_t)((char *)base - (char *)chunk) <= offsetof(_PyStackChunk, data))) {
        slp_frame_free_slow(tstate, frame);
        return;
    }
    tstate->datastack_top = base;
}

/* The oldest chunk of a tasklet's frame stack, with room for exactly `words`; NULL with MemoryError. */
_PyStackChunk *slp_chunk_new_heap(size_t words);

/* Free a chain of heap chunks. */
void slp_chunks_free_heap(_PyStackChunk *chunk);

/* Release everything that a finished frame owns; its memory stays.  Not for generators' frames. */
static inline void
slp_frame_clear(_PyInterpreterFrame *frame)
{
    if (SLP_UNLIKELY(frame->frame_obj != NULL)) {
        _PyFrame_Clear(frame);   /* the frame may have to live on in its frame object */
        return;
    }
    PyObject **value = frame->localsplus;
    for (PyObject **end = value + frame->stacktop; value < end; value++) {
        Py_XDECREF(*value);
    }
    Py_XDECREF(frame->f_locals);
    Py_XDECREF(frame->f_func);
    Py_DECREF(frame->f_code);
}

/* The same, then free its memory.  `frame` is the newest of its stack. */
static inline void
slp_frame_clear_and_pop(PyThreadState *tstate, _PyInterpreterFrame *frame)
{
    slp_frame_clear(frame);
    slp_frame_free(tstate, frame);
}

/* Write the header of a new frame.  Steals `func` and `locals`; `previous` is left to the linker. */
static inline void
slp_frame_init(_PyInterpreterFrame *frame, PyFunctionObject *func, PyObject *locals, PyCodeObject *code)
{
    frame->f_func = func;
    frame->f_globals = func->func_globals;
    frame->f_builtins = func->func_builtins;
    frame->f_locals = locals;
    frame->f_code = (PyCodeObject *)Py_NewRef(code);
    frame->frame_obj = NULL;
    frame->prev_instr = _PyCode_CODE(code) - 1;
    frame->stacktop = code->co_nlocalsplus;
    frame->is_entry = false;
    frame->owner = FRAME_OWNED_BY_THREAD;
}

#endif
