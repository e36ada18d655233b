/* Stacks of threads written by signal handlers: what faulthandler and fatal errors show.
 *
 * The base writes every frame of the chain, shims included, which no user should see; and it knows nothing of
 * tasklets that do not run.  These are the two functions of its traceback member that walk frames; the walk
 * passes over shims, the text is the base's, and tasklets follow the threads (dumptasklets.c).  The rules are
 * those of slp_dump.h.
 */
#include "slp_dump.h"
#include "slp_shims.h"

#include "pycore_interp.h"
#include "pycore_pymem.h"
#include "pycore_pystate.h"
#include "pycore_traceback.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* So many frames of a thread, and so many threads, are shown. */
#define MAX_FRAMES 100
#define MAX_THREADS 100

bool
slp_dump_readable(const void *start, size_t size)
{
    /* With a `how` that does not exist, this reads a signal mask and does nothing with it. */
    const size_t mask_size = _NSIG / 8, page = 4096;
    int saved_errno = errno;
    bool readable = (uintptr_t)start >= page && (uintptr_t)start + size > (uintptr_t)start;
    uintptr_t end = (uintptr_t)start + size;
    for (uintptr_t at = (uintptr_t)start & ~(page - 1); readable && at < end; at += page) {
        readable = syscall(SYS_rt_sigprocmask, -1, at, NULL, mask_size) == 0 || errno != EFAULT;
    }
    errno = saved_errno;
    return readable;
}

bool
slp_dump_copy(void *to, const void *from, size_t size)
{
    int saved_errno = errno;
    struct iovec here = {to, size}, there = {(void *)from, size};
    ssize_t copied = syscall(SYS_process_vm_readv, getpid(), &here, 1, &there, 1, 0);
    bool refused = copied < 0 && errno != EFAULT;
    errno = saved_errno;
    if (refused && slp_dump_readable(from, size)) {
        /* Where a sandbox does not let processes read, not even their own memory. */
        memcpy(to, from, size);
        return true;
    }
    return copied == (ssize_t)size;
}

void
slp_dump_text(int fd, const char *text)
{
    ssize_t written = write(fd, text, strlen(text));
    (void)written;
}

bool
slp_dump_is_str(PyObject *text)
{
    const Py_ssize_t shown = 500;
    if (!slp_dump_readable(text, sizeof(PyASCIIObject))
        || !slp_dump_readable(Py_TYPE(text), sizeof(PyTypeObject)) || !PyUnicode_Check(text)
        || !PyUnicode_IS_READY(text)
        || !(PyUnicode_IS_COMPACT(text) || slp_dump_readable(text, sizeof(PyUnicodeObject)))) {
        return false;
    }
    Py_ssize_t length = Py_MIN(PyUnicode_GET_LENGTH(text), shown);
    return length == 0
           || (length > 0 && slp_dump_readable(PyUnicode_DATA(text), (size_t)length * PyUnicode_KIND(text)));
}

/* Write a str object, or question marks where there is none. */
static void
put_object(int fd, PyObject *text)
{
    if (slp_dump_is_str(text)) {
        _Py_DumpASCII(fd, text);
    }
    else {
        slp_dump_text(fd, "???");
    }
}

/* The line of an instruction, or -1. */
static int
line_of(PyCodeObject *code, Py_ssize_t index)
{
    PyObject *table = code->co_linetable;
    if (index < -1 || index >= Py_SIZE(code) || !slp_dump_readable(table, sizeof(PyBytesObject))
        || !PyBytes_CheckExact(table)
        || !slp_dump_readable(table, sizeof(PyBytesObject) + (size_t)Py_SIZE(table))) {
        return -1;
    }
    return PyCode_Addr2Line(code, (int)index * (int)sizeof(_Py_CODEUNIT));
}

/* Write the line of a frame of this code, which has come to the instruction `index`. */
static void
put_frame(int fd, PyCodeObject *code, Py_ssize_t index)
{
    int line = line_of(code, index);
    if (slp_dump_is_str(code->co_filename)) {
        slp_dump_text(fd, "  File \"");
        _Py_DumpASCII(fd, code->co_filename);
        slp_dump_text(fd, "\"");
    }
    else {
        slp_dump_text(fd, "  File ???");
    }
    slp_dump_text(fd, ", line ");
    if (line >= 0) {
        _Py_DumpDecimal(fd, (size_t)line);
    }
    else {
        slp_dump_text(fd, "???");
    }
    slp_dump_text(fd, " in ");
    put_object(fd, code->co_name);
    slp_dump_text(fd, "\n");
}

void
slp_dump_frames(int fd, const _PyInterpreterFrame *frame)
{
    if (frame == NULL) {
        slp_dump_text(fd, "  <no Python frame>\n");
        return;
    }
    int shown = 0;
    /* At most every second frame is a shim: a longer walk is one through a chain that is broken. */
    _PyInterpreterFrame copy;
    for (int walked = 0; frame != NULL && walked <= 2 * MAX_FRAMES; walked++, frame = copy.previous) {
        if (!slp_dump_copy(&copy, frame, sizeof(copy)) || _PyMem_IsPtrFreed(copy.f_code)) {
            slp_dump_text(fd, "  <freed frame>\n");
            return;
        }
        PyCodeObject *code = copy.f_code;
        if (!slp_dump_readable(code, sizeof(PyCodeObject)) || !PyCode_Check(code)) {
            slp_dump_text(fd, "  <broken frame>\n");
            return;
        }
        if (slp_is_shim_code(code)) {
            continue;
        }
        if (shown == MAX_FRAMES) {
            slp_dump_text(fd, "  ...\n");
            return;
        }
        put_frame(fd, code, copy.prev_instr - _PyCode_CODE(code));
        shown++;
    }
}

/* Write the frames of a thread. */
static void
put_stack(int fd, PyThreadState *tstate)
{
    if (_PyMem_IsPtrFreed(tstate) || _PyMem_IsPtrFreed(tstate->cframe)) {
        slp_dump_text(fd, "  <tstate is freed>\n");
        return;
    }
    slp_dump_frames(fd, tstate->cframe->current_frame);
}

/* Write the stack of one thread under a heading. */
void
_Py_DumpTraceback(int fd, PyThreadState *tstate)
{
    slp_dump_text(fd, "Stack (most recent call first):\n");
    put_stack(fd, tstate);
}

/* Write the stacks of all threads of an interpreter, and of its tasklets that do not run.  Returns NULL, or
 * what made it impossible.  interp and current may be NULL, then they are those of this thread. */
const char *
_Py_DumpTracebackThreads(int fd, PyInterpreterState *interp, PyThreadState *current)
{
    if (current == NULL) {
        /* This one does not depend on who has the GIL. */
        current = PyGILState_GetThisThreadState();
    }
    if (interp == NULL) {
        interp = current != NULL ? current->interp : _PyGILState_GetInterpreterStateUnsafe();
        if (interp == NULL) {
            return "unable to get the interpreter state";
        }
    }
    PyThreadState *tstate = PyInterpreterState_ThreadHead(interp);
    if (tstate == NULL) {
        return "unable to get the thread head state";
    }
    for (int shown = 0; tstate != NULL; shown++, tstate = PyThreadState_Next(tstate)) {
        if (shown > 0) {
            slp_dump_text(fd, "\n");
        }
        if (shown == MAX_THREADS) {
            slp_dump_text(fd, "...\n");
            break;
        }
        slp_dump_text(fd, tstate == current ? "Current thread 0x" : "Thread 0x");
        _Py_DumpHexadecimal(fd, tstate->thread_id, sizeof(unsigned long) * 2);
        slp_dump_text(fd, " (most recent call first):\n");
        if (tstate == current && tstate->interp->gc.collecting) {
            slp_dump_text(fd, "  Garbage-collecting\n");
        }
        put_stack(fd, tstate);
    }
    slp_dump_tasklets(fd, interp);
    return NULL;
}
