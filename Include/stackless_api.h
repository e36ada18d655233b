/* The C API of Stackless Python: tasklets, channels and their scheduler for extensions and for programs that
 * embed Python.
 *
 * Conventions
 *
 * - All functions want the GIL, but for PyStackless_GetCurrentId().  None wants a Python frame: a program
 *   may call them straight after Py_Initialize(), or between two calls of Python code.  Its C code then is
 *   what the thread's main tasklet runs.
 * - A function that returns int answers 0 (or the value asked for), or -1 with an exception.  One that
 *   returns a pointer answers a new reference, or NULL with an exception.  Exceptions from these rules are
 *   noted.
 * - Arguments are borrowed: no function steals a reference.
 * - A tasklet or channel argument that is NULL, or of another type, raises TypeError.  Where the words
 *   "Errors are those of ..." name a Python method, its docstring lists them.
 * - Functions that switch let other tasklets run, and come back when the calling tasklet's turn comes again.
 *   The calling tasklet keeps its C stack meanwhile.  Their twins with _nr ("non recursive") need none, but
 *   may be called in one place only: as the last act of a C function with the flag METH_STACKLESS that the
 *   interpreter has offered this to.  int functions then answer 1, others Py_UnwindToken, to say that the C
 *   function must return Py_UnwindToken at once.  Without an offer they do what their twins do.
 * - Methods that a Python subclass overrides are not called: a function here is the method of the class.
 *
 * Stability of the ABI
 *
 * Tasklets and channels are opaque: no field, size or offset is part of the interface.  Within the 3.11
 * series, a function that was released keeps its name, arguments and meaning, a constant its value.  A
 * struct that the caller allocates (PyStackless_RunReport) begins with its size, so that fields can be added
 * at its end.  What was compiled against an older header runs with a newer library; STACKLESS_API_VERSION
 * grows when something is added.  The header compiles as C99 and C++17, also with Py_LIMITED_API.
 */
#ifndef STACKLESS_API_H
#define STACKLESS_API_H

#include <Python.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows with each addition to this header. */
#define STACKLESS_API_VERSION 1

/* --- Types --- */

/* A tasklet. */
typedef struct PyTaskletObject PyTaskletObject;

/* A channel. */
typedef struct PyChannelObject PyChannelObject;

/* The class ``stackless.tasklet``. */
PyAPI_DATA(PyTypeObject) PyTasklet_Type;

/* The class ``stackless.channel``. */
PyAPI_DATA(PyTypeObject) PyChannel_Type;

/* Is op, an object, a tasklet (of this class or a subclass)?  Cannot fail. */
#define PyTasklet_Check(op) PyObject_TypeCheck((PyObject *)(op), &PyTasklet_Type)

/* Is op, an object, a tasklet, and of no subclass?  Cannot fail. */
#define PyTasklet_CheckExact(op) Py_IS_TYPE((PyObject *)(op), &PyTasklet_Type)

/* Is op, an object, a channel (of this class or a subclass)?  Cannot fail. */
#define PyChannel_Check(op) PyObject_TypeCheck((PyObject *)(op), &PyChannel_Type)

/* Is op, an object, a channel, and of no subclass?  Cannot fail. */
#define PyChannel_CheckExact(op) Py_IS_TYPE((PyObject *)(op), &PyChannel_Type)

/* --- Unwinding --- */

/* What a C function with METH_STACKLESS (stackless_protocol.h) returns after a function with _nr said so:
 * "something else runs now". Never reference counted, never stored, never seen by Python code. */
PyAPI_DATA(PyObject *const) Py_UnwindToken;

/* Is it the token?  obj may be NULL. */
#define STACKLESS_UNWINDING(obj) ((PyObject *)(obj) == Py_UnwindToken)

/* --- Tasklets: making and binding --- */

/* A new tasklet.  type is a class of tasklets, NULL: ``stackless.tasklet``; func is a callable, or NULL or
 * None: the tasklet is not bound yet.  TypeError if type is no such class, or func is not callable. */
PyAPI_FUNC(PyTaskletObject *) PyTasklet_New(PyTypeObject *type, PyObject *func);

/* Give the function of a bound tasklet its arguments, and put the tasklet at the end of the run queue. args
 * is a tuple or NULL, kwds a dict or NULL; TypeError otherwise.  Errors are those of ``tasklet.setup()``. */
PyAPI_FUNC(int) PyTasklet_Setup(PyTaskletObject *task, PyObject *args, PyObject *kwds);

/* Bind the tasklet to a callable.  The same as PyTasklet_BindEx() without arguments. */
PyAPI_FUNC(int) PyTasklet_Bind(PyTaskletObject *task, PyObject *func);

/* Bind the tasklet to a callable; with arguments it is alive then, and paused.  Each of func, args (a tuple
 * or list) and kwargs (a dict) may be NULL or None for absent.  Errors are those of ``tasklet.bind()``. */
PyAPI_FUNC(int) PyTasklet_BindEx(PyTaskletObject *task, PyObject *func, PyObject *args, PyObject *kwargs);

/* Let the tasklet belong to the thread with this id; (unsigned long)-1: the calling one.  Errors are those of
 * ``tasklet.bind_thread()``. */
PyAPI_FUNC(int) PyTasklet_BindThread(PyTaskletObject *task, unsigned long thread_id);

/* --- Tasklets: running --- */

/* Switch to the tasklet now; the caller stays in the run queue.  Errors are those of ``tasklet.run()``, and
 * what is raised in the calling tasklet before it goes on. */
PyAPI_FUNC(int) PyTasklet_Run(PyTaskletObject *task);

/* The same, without a C stack: may answer 1. */
PyAPI_FUNC(int) PyTasklet_Run_nr(PyTaskletObject *task);

/* Switch to the tasklet now; the caller leaves the run queue, and is paused.  Errors are those of
 * ``tasklet.switch()``, and what is raised in the calling tasklet before it goes on. */
PyAPI_FUNC(int) PyTasklet_Switch(PyTaskletObject *task);

/* The same, without a C stack: may answer 1. */
PyAPI_FUNC(int) PyTasklet_Switch_nr(PyTaskletObject *task);

/* Put a paused tasklet at the end of the run queue of its thread, which may be another one.  Does nothing if
 * it is there already.  Errors are those of ``tasklet.insert()``. */
PyAPI_FUNC(int) PyTasklet_Insert(PyTaskletObject *task);

/* Take a tasklet out of the run queue: it is paused then, and lives as long as somebody holds a reference.
 * Does nothing if it is in no queue.  Errors are those of ``tasklet.remove()``. */
PyAPI_FUNC(int) PyTasklet_Remove(PyTaskletObject *task);

/* --- Tasklets: exceptions --- */

/* Raise an exception in the tasklet, and switch to it.  klass is an exception class; args its arguments: a
 * tuple, NULL or None for none, or the only one.  Errors are those of ``tasklet.raise_exception()``; for the
 * current tasklet the exception itself. */
PyAPI_FUNC(int) PyTasklet_RaiseException(PyTaskletObject *task, PyObject *klass, PyObject *args);

/* Raise an exception in the tasklet. exc, val and tb are as in a ``raise`` of Python 2: a class and its
 * value, or an instance, and a traceback; val and tb may be NULL or None.  If pending is not 0 the tasklet
 * gets it when its turn comes, else it is switched to.  Errors are those of ``tasklet.throw()``; for the
 * current tasklet the exception itself. */
PyAPI_FUNC(int) PyTasklet_Throw(PyTaskletObject *task, int pending, PyObject *exc, PyObject *val,
                                PyObject *tb);

/* Raise ``TaskletExit`` in the tasklet, and switch to it; does nothing if it is not alive.  Errors are those
 * of ``tasklet.kill()``; for the current tasklet ``TaskletExit`` itself. */
PyAPI_FUNC(int) PyTasklet_Kill(PyTaskletObject *task);

/* The same; if pending is not 0 the tasklet gets it when its turn comes, and is not switched to. */
PyAPI_FUNC(int) PyTasklet_KillEx(PyTaskletObject *task, int pending);

/* --- Tasklets: flags --- */

/* 1 if nothing interrupts the tasklet, see ``tasklet.set_atomic()``; else 0. */
PyAPI_FUNC(int) PyTasklet_GetAtomic(PyTaskletObject *task);

/* Set that; answers the old value, 0 or 1. */
PyAPI_FUNC(int) PyTasklet_SetAtomic(PyTaskletObject *task, int flag);

/* 1 if the watchdog interrupts the tasklet also inside of C functions, see ``tasklet.set_ignore_nesting()``;
 * else 0. */
PyAPI_FUNC(int) PyTasklet_GetIgnoreNesting(PyTaskletObject *task);

/* Set that; answers the old value, 0 or 1. */
PyAPI_FUNC(int) PyTasklet_SetIgnoreNesting(PyTaskletObject *task, int flag);

/* 1 if blocking on a channel raises RuntimeError in the tasklet instead; else 0. */
PyAPI_FUNC(int) PyTasklet_GetBlockTrap(PyTaskletObject *task);

/* Set that. */
PyAPI_FUNC(int) PyTasklet_SetBlockTrap(PyTaskletObject *task, int flag);

/* 1 if the watchdog wanted to interrupt the tasklet, but could not yet; else 0. */
PyAPI_FUNC(int) PyTasklet_GetPendingIrq(PyTaskletObject *task);

/* --- Tasklets: what they are about --- */

/* Its innermost Python frame, a frame object; NULL without an exception if it has none: it has not started,
 * has ended, or only C code runs. */
PyAPI_FUNC(PyObject *) PyTasklet_GetFrame(PyTaskletObject *task);

/* 1 if it is the main tasklet of its thread; else 0. */
PyAPI_FUNC(int) PyTasklet_IsMain(PyTaskletObject *task);

/* 1 if it is the current tasklet of its thread; else 0. */
PyAPI_FUNC(int) PyTasklet_IsCurrent(PyTaskletObject *task);

/* 1 if it has something left to run; else 0. */
PyAPI_FUNC(int) PyTasklet_Alive(PyTaskletObject *task);

/* 1 if it is alive, and neither in the run queue nor blocked on a channel; else 0. */
PyAPI_FUNC(int) PyTasklet_Paused(PyTaskletObject *task);

/* 1 if it is in the run queue, or in that of a channel; else 0. */
PyAPI_FUNC(int) PyTasklet_Scheduled(PyTaskletObject *task);

/* 1 if it waits on a channel; else 0. */
PyAPI_FUNC(int) PyTasklet_GetBlocked(PyTaskletObject *task);

/* 1 if it is not inside of C functions, which pickling would lose; else 0. */
PyAPI_FUNC(int) PyTasklet_Restorable(PyTaskletObject *task);

/* The depth of its Python calls. */
PyAPI_FUNC(int) PyTasklet_GetRecursionDepth(PyTaskletObject *task);

/* The number of C functions that it is inside of. */
PyAPI_FUNC(int) PyTasklet_GetNestingLevel(PyTaskletObject *task);

/* --- Tasklets: data of the host --- */

/* Tie a pointer to the tasklet, in place of the one before. destroy (or NULL) is called with it when it is
 * replaced and when the tasklet is freed: with the GIL, and it must not use that tasklet.  The data stays
 * while the tasklet ends and is bound anew; pickling leaves it out. data NULL with destroy NULL unties.
 * MemoryError. */
PyAPI_FUNC(int) PyTasklet_SetUserData(PyTaskletObject *task, void *data, void (*destroy)(void *data));

/* The pointer, or NULL without an exception if there is none. */
PyAPI_FUNC(void *) PyTasklet_GetUserData(PyTaskletObject *task);

/* --- Channels --- */

/* A new channel.  type is a class of channels, NULL: ``stackless.channel``.  TypeError if it is no such
 * class. */
PyAPI_FUNC(PyChannelObject *) PyChannel_New(PyTypeObject *type);

/* Hand value to the tasklet that has waited longest in receive(), or block until one comes.  Errors are those
 * of ``channel.send()``. */
PyAPI_FUNC(int) PyChannel_Send(PyChannelObject *channel, PyObject *value);

/* The same, without a C stack: may answer 1. */
PyAPI_FUNC(int) PyChannel_Send_nr(PyChannelObject *channel, PyObject *value);

/* Take the value of the tasklet that has waited longest in send(), or block until one comes.  Errors are
 * those of ``channel.receive()``, and the exception that was sent. */
PyAPI_FUNC(PyObject *) PyChannel_Receive(PyChannelObject *channel);

/* The same, without a C stack: may answer Py_UnwindToken. */
PyAPI_FUNC(PyObject *) PyChannel_Receive_nr(PyChannelObject *channel);

/* Like PyChannel_Send(), but the receiver raises klass(*args). args is a tuple, NULL or None for no
 * arguments, or the only one.  TypeError if klass is no exception class. */
PyAPI_FUNC(int) PyChannel_SendException(PyChannelObject *channel, PyObject *klass, PyObject *args);

/* Like PyChannel_Send(), but the receiver raises the exception; exc, val and tb are as in
 * PyTasklet_Throw(). */
PyAPI_FUNC(int) PyChannel_SendThrow(PyChannelObject *channel, PyObject *exc, PyObject *val, PyObject *tb);

/* Hand value to a tasklet that waits in receive(), if there is one: 1; else 0, and nothing was done.  Never
 * switches or blocks: the receiver goes to the end of its run queue, whatever the channel's preference is. */
PyAPI_FUNC(int) PyChannel_TrySend(PyChannelObject *channel, PyObject *value);

/* Take the value of a tasklet that waits in send(), if there is one: 1, with a new reference in *value; else
 * 0, with NULL there.  Never switches or blocks: the sender goes to the end of its run queue.  An exception
 * that was sent is raised: -1, and NULL in *value. */
PyAPI_FUNC(int) PyChannel_TryReceive(PyChannelObject *channel, PyObject **value);

/* The tasklet that waits longest; None if nobody waits. */
PyAPI_FUNC(PyObject *) PyChannel_GetQueue(PyChannelObject *channel);

/* Let nobody block here any more: an operation that would, raises ValueError. */
PyAPI_FUNC(int) PyChannel_Close(PyChannelObject *channel);

/* Undo PyChannel_Close(). */
PyAPI_FUNC(int) PyChannel_Open(PyChannelObject *channel);

/* 1 if PyChannel_Close() was called; else 0. */
PyAPI_FUNC(int) PyChannel_GetClosing(PyChannelObject *channel);

/* 1 if PyChannel_Close() was called and nobody waits; else 0. */
PyAPI_FUNC(int) PyChannel_GetClosed(PyChannelObject *channel);

/* Who runs after a transfer: -1 the receiver, 1 the sender, 0 whoever made it happen.  An error is -1 as
 * well: ask PyErr_Occurred() unless the argument is known to be a channel. */
PyAPI_FUNC(int) PyChannel_GetPreference(PyChannelObject *channel);

/* Set that; other values count as -1 or 1. */
PyAPI_FUNC(int) PyChannel_SetPreference(PyChannelObject *channel, int preference);

/* 1 if after a transfer the next tasklet of the queue runs, whatever the preference is; else 0. */
PyAPI_FUNC(int) PyChannel_GetScheduleAll(PyChannelObject *channel);

/* Set that. */
PyAPI_FUNC(int) PyChannel_SetScheduleAll(PyChannelObject *channel, int flag);

/* The number of waiting senders, or minus the number of waiting receivers.  An error is -1 as well: ask
 * PyErr_Occurred() unless the argument is known to be a channel. */
PyAPI_FUNC(int) PyChannel_GetBalance(PyChannelObject *channel);

/* --- The scheduler --- */

/* Go to the end of the run queue, or leave it if remove is not 0, and let the next tasklet run.  Answers
 * retval, NULL: the current tasklet, when the caller's turn comes again.  Errors are those of
 * ``stackless.schedule_remove()``, and what is raised in the calling tasklet before it goes on. */
PyAPI_FUNC(PyObject *) PyStackless_Schedule(PyObject *retval, int remove);

/* The same, without a C stack: may answer Py_UnwindToken. */
PyAPI_FUNC(PyObject *) PyStackless_Schedule_nr(PyObject *retval, int remove);

/* The current tasklet of the thread. */
PyAPI_FUNC(PyObject *) PyStackless_GetCurrent(void);

/* A number that identifies the current tasklet of the thread while it exists; for a main tasklet the id of
 * the thread.  Wants no GIL and cannot fail. */
PyAPI_FUNC(unsigned long) PyStackless_GetCurrentId(void);

/* The number of runnable tasklets of the thread, the current one included. */
PyAPI_FUNC(int) PyStackless_GetRunCount(void);

/* The number of tasklets of the thread that wait on channels. */
PyAPI_FUNC(int) PyStackless_GetBlockedCount(void);

/* --- Running with a limit --- */

/* When nobody is runnable, sleep until another thread makes somebody so, instead of coming back. */
#define Py_WATCHDOG_THREADBLOCK 1
/* Interrupt nobody, but come back at the next switch. */
#define Py_WATCHDOG_SOFT 2
/* Interrupt also where C code of the tasklet is in between. */
#define Py_WATCHDOG_IGNORE_NESTING 4
/* Count the instructions of all tasklets together. */
#define Py_WATCHDOG_TOTALTIMEOUT 8

/* Py_WATCHDOG_THREADBLOCK. */
#define PY_WATCHDOG_THREADBLOCK Py_WATCHDOG_THREADBLOCK
/* Py_WATCHDOG_SOFT, as programs for historic Stackless spell it. */
#define PY_WATCHDOG_SOFT Py_WATCHDOG_SOFT
/* Py_WATCHDOG_IGNORE_NESTING, as programs for historic Stackless spell it. */
#define PY_WATCHDOG_IGNORE_NESTING Py_WATCHDOG_IGNORE_NESTING
/* Py_WATCHDOG_TOTALTIMEOUT, as programs for historic Stackless spell it. */
#define PY_WATCHDOG_TOTALTIMEOUT Py_WATCHDOG_TOTALTIMEOUT

/* Run the tasklets of the thread until none is runnable, or until one has run timeout instructions without a
 * switch (0: no limit).  Answers None, or the tasklet that was interrupted, which is paused then.  Errors are
 * those of ``stackless.run()``: the exception of a tasklet that ended with one. */
PyAPI_FUNC(PyObject *) PyStackless_RunWatchdog(long timeout);

/* The same with a sum of Py_WATCHDOG_ flags.  ValueError if flags is not in 0..255; flags without a meaning
 * are ignored. */
PyAPI_FUNC(PyObject *) PyStackless_RunWatchdogEx(long timeout, int flags);

/* Leave the tasklet that was interrupted paused, instead of putting it at the end of the run queue. */
#define PyStackless_BUDGET_REMOVE 256

/* What PyStackless_RunBudget() tells.  Fields that lie beyond the size that the caller has set are not filled
 * in. */
typedef struct PyStackless_RunReport {
    size_t size;                       /* the caller's: sizeof(PyStackless_RunReport) */
    double elapsed;                    /* seconds that the call has taken */
    double overshoot;                  /* seconds by which it came back too late; 0.0: in time */
    PyTaskletObject *interrupted;      /* the tasklet that was interrupted, a new reference, or NULL */
    PyTaskletObject *overran;          /* who ran when the time was up, a new reference, or NULL */
    int runnable;                      /* tasklets that are runnable still, without the caller */
    int blocked;                       /* tasklets that wait on channels */
    unsigned long long switches;       /* how often another tasklet began or went on to run meanwhile */
} PyStackless_RunReport;

/* Run the tasklets of the thread until none is runnable, or until so many seconds have passed.  Answers 1 if
 * tasklets were left runnable (or interrupted), 0 if none was.  The tasklet that is interrupted goes to the
 * end of the run queue. flags is a sum of PyStackless_BUDGET_REMOVE and Py_WATCHDOG_ flags, of which
 * Py_WATCHDOG_TOTALTIMEOUT has no meaning here. report may be NULL; it is filled in after errors, too.
 * ValueError if seconds is nan, flags has undefined bits, or the report's size is too small; RuntimeError if
 * a limit is in force already, which the caller is inside of; the exception of a tasklet that ended with
 * one: all others stay as they are, and a further call goes on with them. */
PyAPI_FUNC(int) PyStackless_RunBudget(double seconds, int flags, PyStackless_RunReport *report);

/* Release the references of a report, and set them to NULL.  Cannot fail. */
PyAPI_FUNC(void) PyStackless_ClearRunReport(PyStackless_RunReport *report);

/* --- Callbacks --- */

/* Have callable(channel, tasklet, sending, willblock) called on every send and receive, in all threads of the
 * interpreter; NULL or None: no more.  TypeError if it is not callable.  See
 * ``stackless.set_channel_callback()``. */
PyAPI_FUNC(int) PyStackless_SetChannelCallback(PyObject *callable);

/* Have callable(prev, next) called on every switch, in all threads of the interpreter; NULL or None: no more.
 * TypeError if it is not callable.  See ``stackless.set_schedule_callback()``. */
PyAPI_FUNC(int) PyStackless_SetScheduleCallback(PyObject *callable);

/* The type of such a C function; both tasklets are borrowed. */
typedef int(slp_schedule_hook_func)(PyTaskletObject *prev, PyTaskletObject *next);

/* The same for a C function, beside the callable and before it; NULL: no more.  It must not switch: what
 * would do so raises RuntimeError.  An answer other than 0 means an exception, which is reported as
 * unraisable.  MemoryError. */
PyAPI_FUNC(int) PyStackless_SetScheduleFastcallback(slp_schedule_hook_func *func);

/* Add change to the thread's switch trap: while that is not 0, what would switch raises RuntimeError.
 * Answers the old value; ask PyErr_Occurred() if that is -1.  OverflowError. */
PyAPI_FUNC(int) PyStackless_AdjustSwitchTrap(int change);

/* Call the error handler with the exception that is set. 0: it has handled that, and none is set; -1: the
 * exception that it raised is set, or, without a handler, the same one.  SystemError if none was set. */
PyAPI_FUNC(int) PyStackless_CallErrorHandler(void);

/* --- Calls from outside --- */

/* Call func(*args, **kwds) in the main tasklet of the thread, for C code that no Python code has called.
 * args is a tuple or NULL, kwds a dict or NULL. Answers the result; RuntimeError if Python code, or a
 * tasklet, runs in the thread; the exception of func, or of a tasklet that nobody else gets. */
PyAPI_FUNC(PyObject *) PyStackless_Call_Main(PyObject *func, PyObject *args, PyObject *kwds);

/* The same for o.name(...), with arguments as in PyObject_CallMethod(). */
PyAPI_FUNC(PyObject *) PyStackless_CallMethod_Main(PyObject *o, const char *name, const char *format, ...);

/* The same for a C function that is called with self, as if it were a method, with arguments as in
 * PyObject_CallMethod().  meth is kept, not copied. */
PyAPI_FUNC(PyObject *) PyStackless_CallCMethod_Main(PyMethodDef *meth, PyObject *self, const char *format,
                                                    ...);

/* End the tasklets of the thread that are suspended inside of C functions, by raising ``TaskletExit`` in
 * them; for the end of a program: all others of the thread are paused before.  If allthreads is not 0, those
 * of other threads get it when they run next.  Afterwards no exception is set.  MemoryError, RuntimeError
 * inside a callback. */
PyAPI_FUNC(int) PyStackless_kill_tasks_with_stacks(int allthreads);

#ifdef __cplusplus
}
#endif

/* METH_STACKLESS, and what C functions with that flag ask the interpreter with: sources for historic
 * Stackless include no other header. */
#include "stackless_protocol.h"

#endif
