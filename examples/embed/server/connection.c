/* Connections: bytes in and out of a socket that never blocks, lines to a channel. */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Append to a buffer: 0, or -1 where there is no memory. */
static int
buffer_add(buffer *b, const char *bytes, size_t size)
{
    if (b->room - b->size < size) {
        size_t room = 2 * (b->size + size);
        char *larger = realloc(b->bytes, room);
        if (larger == NULL)
            return -1;
        b->bytes = larger;
        b->room = room;
    }
    if (size > 0)
        memcpy(b->bytes + b->size, bytes, size);
    b->size += size;
    return 0;
}

/* Take so many bytes away from its front. */
static void
buffer_drop(buffer *b, size_t size)
{
    b->size -= size;
    memmove(b->bytes, b->bytes + size, b->size);
}

connection *
connection_new(worker *w, int fd)
{
    PyChannelObject *lines = PyChannel_New(NULL);
    if (lines == NULL)
        return NULL;
    connection *c = PyObject_GC_New(connection, &connection_type);
    if (c == NULL) {
        Py_DECREF(lines);
        return NULL;
    }
    memset((char *)c + sizeof(PyObject), 0, sizeof(*c) - sizeof(PyObject));
    c->worker = w;
    c->fd = fd;
    c->lines = lines;
    PyObject_GC_Track((PyObject *)c);
    return c;
}

void
connection_read(connection *c)
{
    char bytes[4096];
    ssize_t size;
    while (c->input.size < INPUT_LIMIT && (size = recv(c->fd, bytes, sizeof(bytes), 0)) != 0) {
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (size < 0 || buffer_add(&c->input, bytes, (size_t)size) < 0) {
            c->ended = c->broken = 1;
            return;
        }
    }
    if (c->input.size < INPUT_LIMIT || memchr(c->input.bytes, '\n', c->input.size) == NULL)
        c->ended = 1;
}

/* Write what can be written. */
static void
write_output(connection *c)
{
    while (c->output.size > 0 && !c->broken) {
        ssize_t size = send(c->fd, c->output.bytes, c->output.size, MSG_NOSIGNAL);
        if (size >= 0)
            buffer_drop(&c->output, (size_t)size);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            c->ended = c->broken = 1;
    }
}

int
connection_serve(connection *c)
{
    write_output(c);
    if (c->closed)
        return 0;
    char *end = c->input.size > 0 ? memchr(c->input.bytes, '\n', c->input.size) : NULL;
    if (end == NULL && !c->ended)
        return 0;
    PyObject *line;
    if (end == NULL)
        line = Py_NewRef(Py_None);
    else
        line = PyUnicode_DecodeUTF8(c->input.bytes, end - c->input.bytes, "replace");
    if (line == NULL)
        return -1;
    int sent = PyChannel_TrySend(c->lines, line);
    Py_DECREF(line);
    if (sent > 0 && end != NULL)
        buffer_drop(&c->input, (size_t)(end + 1 - c->input.bytes));
    return sent < 0 ? -1 : 1;
}

/* --- what scripts see --- */

static PyObject *
connection_write(connection *c, PyObject *text)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == NULL)
        return NULL;
    if (c->closed || c->broken)
        Py_RETURN_NONE;
    if (c->output.size + (size_t)size > OUTPUT_LIMIT)
        c->ended = c->broken = 1;
    else if (buffer_add(&c->output, bytes, (size_t)size) < 0)
        return PyErr_NoMemory();
    worker_look_after(c);
    Py_RETURN_NONE;
}

static PyObject *
connection_close(connection *c, PyObject *unused)
{
    (void)unused;
    if (!c->closed) {
        c->closed = 1;
        worker_look_after(c);
    }
    Py_RETURN_NONE;
}

static PyObject *
connection_lines(connection *c, void *unused)
{
    (void)unused;
    return Py_NewRef((PyObject *)c->lines);
}

static PyObject *
connection_interruptions(connection *c, void *unused)
{
    (void)unused;
    return PyLong_FromLong(c->interruptions);
}

static int
connection_traverse(connection *c, visitproc visit, void *arg)
{
    Py_VISIT(c->lines);
    return 0;
}

static int
connection_clear(connection *c)
{
    Py_CLEAR(c->lines);
    return 0;
}

static void
connection_dealloc(connection *c)
{
    PyObject_GC_UnTrack((PyObject *)c);
    connection_clear(c);
    if (c->fd >= 0)
        close(c->fd);
    free(c->input.bytes);
    free(c->output.bytes);
    PyObject_GC_Del(c);
}

static PyMethodDef connection_methods[] = {
    {"write", (PyCFunction)connection_write, METH_O,
     "write(text): never blocks; lost when the client is gone"},
    {"close", (PyCFunction)connection_close, METH_NOARGS, "close(): after what was written is on its way"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef connection_getset[] = {
    {"lines", (getter)connection_lines, NULL, "the channel that lines come on; None: there are no more",
     NULL},
    {"interruptions", (getter)connection_interruptions, NULL, "how often the script took too long", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

PyTypeObject connection_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "server.connection",
    .tp_doc = "A client of the server.",
    .tp_basicsize = sizeof(connection),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_dealloc = (destructor)connection_dealloc,
    .tp_traverse = (traverseproc)connection_traverse,
    .tp_clear = (inquiry)connection_clear,
    .tp_methods = connection_methods,
    .tp_getset = connection_getset,
};
