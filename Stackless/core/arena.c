/* Arenas: the memory of small objects, tasklets and their frames, a megabyte at a time.
 *
 * A program that makes a million tasklets touches 500 MB of fresh pages, and the kernel needs longer to hand
 * them out one fault after the other than the tasklets need to run.  An arena is taken as a whole instead.
 *
 * Measured with skynet, 1,000,000 tasklets alive (CPU seconds, the kernel's part in brackets): 0.86 (0.36)
 * page by page, 0.72 (0.22) with arenas taken as a whole.  Rejected: huge pages, 1.6 (1.15), since two
 * megabytes have to be cleared before the first byte is used, and a virtual machine's host pays for them
 * once more.
 */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

/* What the object allocator maps at a time. */
#define ARENA_BYTES ((size_t)1 << 20)

/* The object allocator's reference to mmap64() leads here (Tools/fork/manifest). */
void *
slp_arena_map(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
#ifdef MAP_POPULATE
    if (length >= ARENA_BYTES) {
        flags |= MAP_POPULATE;
    }
#endif
    return mmap(address, length, protection, flags, fd, offset);
}
