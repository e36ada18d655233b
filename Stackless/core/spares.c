/* The lists of spare tasklets and chunks (slp_spares.h). */
#include "slp_spares.h"

slp_spare_lists slp_spares;

void
slp_spares_open(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !SLP_TORTURE_TINY_CHUNKS
    assert(slp_spares.tasklets == NULL);
    slp_spares.tasklets_room = slp_spares.chunks_room = SLP_SPARES_KEPT;
#endif
}

void
slp_spares_close(void)
{
    while (slp_spares.tasklets != NULL) {
        PyTaskletObject *t = slp_spares.tasklets;
        slp_spares.tasklets = t->next;
        Py_DECREF(t->tempval);
        PyObject_GC_Del(t);
    }
    for (size_t n = 0; n < Py_ARRAY_LENGTH(slp_spares.chunks); n++) {
        while (slp_spares.chunks[n] != NULL) {
            _PyStackChunk *chunk = slp_spares.chunks[n];
            slp_spares.chunks[n] = chunk->previous;
            PyObject_Free(chunk);
        }
    }
    slp_spares.tasklets_room = slp_spares.chunks_room = 0;
}
