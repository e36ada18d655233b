/* What torture builds do at every switch, besides: to the tasklet that was left, and when the next one runs.
 *
 * --with-torture=move-frames: the frames of the tasklet that was left move to other memory, so that a
 * pointer to one that nobody knows of points to freed memory.
 * --with-torture=pickle: they are pickled, and it goes on with what is loaded (roundtrip.c).
 * --with-torture=gc-at-switch: the collector runs.
 */
#include "slp_exchange.h"
#include "slp_pickle_tasklet.h"

#if SLP_TORTURE_MOVE_FRAMES

/* One chunk and its copy. */
typedef struct {
    char *old;
    char *new;
    size_t size;
} moved_chunk;

/* Where `address`, of a frame or the end of one, lies now; itself, if not in a chunk that moved. */
static void *
moved(const moved_chunk *chunks, int count, void *address)
{
    for (int i = 0; i < count; i++) {
        /* No frame begins where its chunk does, but the last one may end where the chunk ends. */
        if (chunks[i].old < (char *)address && (char *)address <= chunks[i].old + chunks[i].size) {
            return chunks[i].new + ((char *)address - chunks[i].old);
        }
    }
    return address;
}

/* More chunks are left where they are. */
#define MOST_CHUNKS 16

static void
move_frames(PyTaskletObject *t)
{
    moved_chunk chunks[MOST_CHUNKS] = {{NULL, NULL, 0}};
    int count = 0;
    for (_PyStackChunk *chunk = t->chunk; chunk != NULL; chunk = chunk->previous) {
        if (count == MOST_CHUNKS) {
            return;
        }
        chunks[count++].old = (char *)chunk;
    }
    for (int i = 0; i < count; i++) {
        size_t size = ((_PyStackChunk *)chunks[i].old)->size & ~(size_t)SLP_CHUNK_HEAP;
        chunks[i].size = size;
        chunks[i].new = PyObject_Malloc(size);
        if (chunks[i].new == NULL) {
            Py_FatalError("no memory for torture");
        }
        memcpy(chunks[i].new, chunks[i].old, size);
    }
    for (int i = 0; i + 1 < count; i++) {
        _PyStackChunk *chunk = (_PyStackChunk *)chunks[i].new;
        chunk->previous = (_PyStackChunk *)chunks[i + 1].new;
        chunk->top = (size_t)moved(chunks, count, (void *)chunk->top);
    }
    t->chunk = (_PyStackChunk *)chunks[0].new;
    t->stack_top = moved(chunks, count, t->stack_top);
    t->frame = moved(chunks, count, t->frame);
    for (_PyInterpreterFrame *frame = t->frame; frame != NULL; frame = frame->previous) {
        frame->previous = moved(chunks, count, frame->previous);
        if (frame->owner == FRAME_OWNED_BY_THREAD && frame->frame_obj != NULL) {
            frame->frame_obj->f_frame = frame;
        }
    }
    for (int i = 0; i < count; i++) {
        memset(chunks[i].old, 0xDD, chunks[i].size);
        PyObject_Free(chunks[i].old);
    }
}

#endif

#if SLP_TORTURE_MOVE_FRAMES || SLP_TORTURE_PICKLE
void
slp_torture_left(PyTaskletObject *t)
{
#  if SLP_TORTURE_MOVE_FRAMES
    if (!t->flags.pinned && t->frame != NULL) {
        move_frames(t);
    }
#  endif
#  if SLP_TORTURE_PICKLE
    slp_roundtrip_note(t);
#  endif
}
#endif

#if SLP_TORTURE_GC_AT_SWITCH || SLP_TORTURE_PICKLE
void
slp_torture_entered(void)
{
#  if SLP_TORTURE_PICKLE
    slp_roundtrip();
#  endif
#  if SLP_TORTURE_GC_AT_SWITCH
    PyGC_Collect();
#  endif
}
#endif
