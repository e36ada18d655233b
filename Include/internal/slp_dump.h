/* Stacks written by signal handlers: what faulthandler and fatal errors show.
 *
 *   Python/dumpstack.c      a stack, and those of all threads: takes the place of the base's
 *   Python/dumptasklets.c   tasklets that do not run
 *
 * Everything here may run in a signal handler of a broken process, or in a thread without the GIL while
 * others run: no allocation, no lock, no Python call.  Nothing is read that slp_dump_readable() has not
 * tried, so that a damaged pointer ends a list, not the process.
 */
#ifndef SLP_DUMP_H
#define SLP_DUMP_H

#include "slp_base.h"

/* Can these bytes be read?  Asks the kernel, about 100 ns a page. */
bool slp_dump_readable(const void *start, size_t size);

/* Is it a str object whose first characters, as many as are shown of one, can be read? */
bool slp_dump_is_str(PyObject *text);

/* Write a string; errors have nowhere to go. */
void slp_dump_text(int fd, const char *text);

/* Write the frames of a chain, the newest first, without shims. */
void slp_dump_frames(int fd, const _PyInterpreterFrame *frame);

/* Write the stacks of the tasklets of an interpreter that do not run, each under a heading. */
void slp_dump_tasklets(int fd, PyInterpreterState *interp);

#endif
