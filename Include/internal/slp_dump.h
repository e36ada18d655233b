/* Stacks written by signal handlers: what faulthandler and fatal errors show.
 *
 *   Python/dumpstack.c      a stack, and those of all threads: takes the place of the base's
 *   Python/dumptasklets.c   tasklets that do not run
 *
 * Everything here may run in a signal handler of a broken process, or in a thread without the GIL while
 * others run: no allocation, no lock, no Python call.  What comes and goes (tasklets, threads, frames) is
 * looked at in copies that the kernel makes, since it may go between a look at it and the next; what lives
 * long (types, code objects, names) is read where it is, once slp_dump_readable() has tried it.  So neither a
 * damaged pointer nor a race ends the process; it ends a list.
 */
#ifndef SLP_DUMP_H
#define SLP_DUMP_H

#include "slp_base.h"

/* Can these bytes be read?  Asks the kernel, about 100 ns a page. */
bool slp_dump_readable(const void *start, size_t size);

/* Copy bytes that another thread may change or unmap meanwhile, about 300 ns.  False: they cannot be read. */
bool slp_dump_copy(void *to, const void *from, size_t size);

/* The same for a field of the struct that a pointer, which may be anything, leads to. */
#define SLP_DUMP_FIELD(to, type, pointer, field)                                                   \
    slp_dump_copy(&(to), (const char *)(pointer) + offsetof(type, field), sizeof(to))

/* Is it a str object whose first characters, as many as are shown of one, can be read? */
bool slp_dump_is_str(PyObject *text);

/* Write a string; errors have nowhere to go. */
void slp_dump_text(int fd, const char *text);

/* Write the frames of a chain, the newest first, without shims. */
void slp_dump_frames(int fd, const _PyInterpreterFrame *frame);

/* Write the stacks of the tasklets of an interpreter that do not run, each under a heading. */
void slp_dump_tasklets(int fd, PyInterpreterState *interp);

#endif
