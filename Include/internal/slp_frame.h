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
 *   allocator, since the base (PyThreadState_Clear) and greenlet free them behind our back.
 * - heap chunks belong to tasklets.  They come from the object allocator, the first one sized to
 *   fit, and only we free them.
 *
 * Invariants
 *  1. datastack_chunk, _top and _limit are all NULL or all set.
 *  2. The first frame of the oldest arena chunk starts one word past the chunk's base, so that
 *     popping it never frees the chunk (a thread keeps its first chunk until it ends).
 *  3. A pop frees the newest chunk when its first frame goes; one freed chunk is kept as a spare
 *     per thread, so that a call loop across a chunk edge allocates nothing.
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

/* Room for a frame of `words`.  NULL with MemoryError. */
static inline _PyInterpreterFrame *
slp_frame_alloc(PyThreadState *tstate, size_t words)
{
    PyObject **top = tstate->datastack_top;
    if (SLP_LIKELY(top != NULL && words <= (size_t)(tstate->datastack_limit - top))) {
        tstate->datastack_top = top + words;
        return (_PyInterpreterFrame *)top;
    }
    return slp_frame_alloc_slow(tstate, words);
}

/* First word that frames of a chunk may use.  Heap chunks have no use for the base's `top`. */
#define SLP_CHUNK_HEAP 1u
static inline PyObject **
slp_chunk_base(_PyStackChunk *chunk)
{
    return (chunk->size & SLP_CHUNK_HEAP) ? (PyObject **)&chunk->top : &chunk->data[0];
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

/* A heap chunk with room for `words` of frames; NULL with MemoryError. */
_PyStackChunk *slp_chunk_new_heap(size_t words);

/* Free a chain of heap chunks. */
void slp_chunks_free_heap(_PyStackChunk *chunk);

/* Release everything a finished frame owns, then its memory.  `frame` is the newest of its thread
 * and not owned by a generator.  Does not touch the recursion count. */
void slp_frame_clear_and_pop(PyThreadState *tstate, _PyInterpreterFrame *frame);

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
