/* A connection, and the object by which scripts see it.  All of it is touched with the GIL only. */
#pragma once

#define PY_SSIZE_T_CLEAN
#include "stackless_api.h"

/* More than this is not read ahead, and a longer line ends the input. */
enum { INPUT_LIMIT = 64 * 1024 };

/* A reader who is this far behind is cut off. */
enum { OUTPUT_LIMIT = 4 * 1024 * 1024 };

typedef struct {
    char *bytes;
    size_t size, room;
} buffer;

typedef struct worker worker;

typedef struct connection {
    PyObject_HEAD
    worker *worker; /* whose event loop it is in */
    int fd;
    unsigned events;                 /* what epoll watches for */
    int ended;                       /* there is no more input */
    int broken;                      /* output goes nowhere */
    int closed;                      /* the script is done with it */
    int listed;                      /* it is in the worker's list of those to look after */
    struct connection *next;         /* in that list, which has a reference */
    struct connection *left, *right; /* all of the worker, of which each has a reference */
    buffer input, output;
    PyChannelObject *lines; /* where the script waits for a line; None: there is no more */
    long interruptions;     /* how often the script took longer than its time */
} connection;

extern PyTypeObject connection_type;

/* Accept what a client asks for: a new reference, or NULL with an exception. */
connection *connection_new(worker *w, int fd);

/* Read what is there. */
void connection_read(connection *c);

/* Hand a line to the script if it waits, and write what can be written.  1: it wants to be looked after
 * again, as the script has not taken everything; 0: not before something happens; -1 with an exception. */
int connection_serve(connection *c);

/* In server.c: the worker is to call connection_serve().  From any thread. */
void worker_look_after(connection *c);
