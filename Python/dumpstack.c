/* Stacks written by signal handlers: what faulthandler and fatal errors show.
 *
 * The base writes every frame of the chain, shims included, which no user should see.  These are the
 * two functions of its traceback member that walk frames; the walk passes over shims and the text is
 * the base's.  Like the base's they may run in a signal handler of a broken process: no allocation,
 * no lock, no Python call, and nothing is believed that can be doubted cheaply.
 */
#include "slp_base.h"
#include "slp_shims.h"

#include "pycore_interp.h"
#include "pycore_pymem.h"
#include "pycore_pystate.h"
#include "pycore_traceback.h"

#include <unistd.h>

/* So many frames of a thread, and so many threads, are shown. */
#define MAX_FRAMES 100
#define MAX_THREADS 100

/* Write a string; errors have nowhere to go. */
static void
put(int fd, const char *text)
{
    ssize_t written = write(fd, text, strlen(text));
    (void)written;
}

/* Write a str object, or question marks where there is none. */
static void
put_object(int fd, PyObject *text)
{
    if (text != NULL && PyUnicode_Check(text)) {
        _Py_DumpASCII(fd, text);
    }
    else {
        put(fd, "???");
    }
}

/* Write the line of one frame. */
static void
put_frame(int fd, const _PyInterpreterFrame *frame)
{
    PyCodeObject *code = frame->f_code;
    int line = PyCode_Addr2Line(code, _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT));

    if (code->co_filename != NULL && PyUnicode_Check(code->co_filename)) {
        put(fd, "  File \"");
        _Py_DumpASCII(fd, code->co_filename);
        put(fd, "\"");
    }
    else {
        put(fd, "  File ???");
    }
    put(fd, ", line ");
    if (line >= 0) {
        _Py_DumpDecimal(fd, (size_t)line);
    }
    else {
        put(fd, "???");
    }
    put(fd, " in ");
    put_object(fd, code->co_name);
    put(fd, "\n");
}

/* Write the frames of a thread, the newest first. */
static void
put_stack(int fd, PyThreadState *tstate)
{
    if (_PyMem_IsPtrFreed(tstate) || _PyMem_IsPtrFreed(tstate->cframe)) {
        put(fd, "  <tstate is freed>\n");
        return;
    }
    const _PyInterpreterFrame *frame = tstate->cframe->current_frame;
    if (frame == NULL) {
        put(fd, "  <no Python frame>\n");
        return;
    }
    int shown = 0;
    /* At most every second frame is a shim: a longer walk is one through a chain that is broken. */
    for (int walked = 0; frame != NULL && walked <= 2 * MAX_FRAMES; walked++, frame = frame->previous) {
        if (_PyMem_IsPtrFreed((void *)frame) || _PyMem_IsPtrFreed(frame->f_code)) {
            put(fd, "  <freed frame>\n");
            return;
        }
        if (!PyCode_Check(frame->f_code)) {
            put(fd, "  <broken frame>\n");
            return;
        }
        if (slp_is_shim(frame)) {
            continue;
        }
        if (shown == MAX_FRAMES) {
            put(fd, "  ...\n");
            return;
        }
        put_frame(fd, frame);
        shown++;
    }
}

/* Write the stack of one thread under a heading. */
void
_Py_DumpTraceback(int fd, PyThreadState *tstate)
{
    put(fd, "Stack (most recent call first):\n");
    put_stack(fd, tstate);
}

/* Write the stacks of all threads of an interpreter.  Returns NULL, or what made it impossible.  interp
 * and current may be NULL, then they are those of this thread. */
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
            put(fd, "\n");
        }
        if (shown == MAX_THREADS) {
            put(fd, "...\n");
            break;
        }
        put(fd, tstate == current ? "Current thread 0x" : "Thread 0x");
        _Py_DumpHexadecimal(fd, tstate->thread_id, sizeof(unsigned long) * 2);
        put(fd, " (most recent call first):\n");
        if (tstate == current && tstate->interp->gc.collecting) {
            put(fd, "  Garbage-collecting\n");
        }
        put_stack(fd, tstate);
    }
    return NULL;
}
