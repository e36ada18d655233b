/* The life of an slp_thread: made on first use, detached when its thread state is cleared.
 *
 *   moment                                   what is done                               [function]
 *   first use                                made with its main tasklet                 [slp_thread_get]
 *   the interpreter ends, after the          pinned tasklets of the calling thread are  [slp_atexit_call]
 *     program's own exit functions           killed
 *   PyThreadState_Clear() begins: the        the same, if it is the calling thread's    [dict_cleared]
 *     dict of the thread state goes
 *   PyThreadState_Clear() ends: on_delete    pinned tasklets are forgotten, all         [detach]
 *     is called                              tasklets lose their thread
 *   the last tasklet of it is freed          freed                                      [slp_thread_free]
 *
 * PyThreadState_Clear() is the one function through which all thread states go: those of threading, of
 * PyGILState_Release(), of ended interpreters and, in the child, of the threads that a fork has left
 * behind.  When it begins, its thread holds the GIL and can run Python code as always, since the base drops
 * the thread's objects there, whose destructors are any code.  In between, the struct stays attached, so
 * that such code does not make another one, which nobody would detach.
 */
#include "slp_thread.h"

#include "slp_accounting.h"
#include "slp_idle.h"
#include "slp_ints.h"
#include "slp_scheduler.h"
#include "slp_spares.h"

#include "internal/pycore_pylifecycle.h"

static const char capsule_name[] = "_stackless.thread";

/* tstate->on_delete: the last step of PyThreadState_Clear().  Its tasklets lose their thread. */
static void
detach(void *data)
{
    slp_thread *th = data;
    PyThreadState *tstate = th->tstate;
    PyInterpreterState *interp = tstate->interp;
    tstate->on_delete = th->on_delete;
    tstate->on_delete_data = th->on_delete_data;
    /* What ran since these were cleared may have made new ones. */
    for (int i = 0; i < 10 && (tstate->dict != NULL || tstate->context != NULL); i++) {
        Py_CLEAR(tstate->dict);
        Py_CLEAR(tstate->context);
    }
    slp_pinned_forget_all(th);
    tstate->root_cframe.previous = NULL;
    th->tstate = NULL;
    th->watchdog.notes = NULL;   /* on a C stack that may be gone */
    slp_watchdog_off(th);
    slp_scheduler_clear(th);
    slp_thread_drop_letters(th);
    slp_carrier_drop_idle(th);
    PyTaskletObject *current = th->current;
    th->current = NULL;
    Py_XDECREF(current);
    Py_CLEAR(th->survivors);
    Py_CLEAR(th->next);
    Py_CLEAR(th->main);
    slp_thread_release(th);
    slp_idle_look_again(interp);
    /* Destructors may have made another one: that is to be detached as well. */
    if (slp_thread_peek(tstate) != NULL) {
        Py_CLEAR(tstate->dict);
        Py_CLEAR(tstate->context);
    }
    if (tstate->on_delete != NULL) {
        tstate->on_delete(tstate->on_delete_data);
    }
}

/* The destructor of the capsule in the thread state's dict: the thread state is being cleared. */
static void
dict_cleared(PyObject *capsule)
{
    slp_thread *th = PyCapsule_GetPointer(capsule, capsule_name);
    PyThreadState *tstate = th->tstate;
    if (tstate == _PyThreadState_UncheckedGet() && th->current == th->main && th->next == NULL
        && !_Py_IsFinalizing() && !tstate->interp->finalizing) {
        /* A callback's PyGILState_Release() must not take its call for the outermost one. */
        tstate->gilstate_counter++;
        slp_pinned_end_all(th);
        tstate->gilstate_counter--;
    }
    th->on_delete = tstate->on_delete;
    th->on_delete_data = tstate->on_delete_data;
    tstate->on_delete = detach;
    tstate->on_delete_data = th;
}

void slp_atexit_call(PyInterpreterState *interp);

/* Takes the place of _PyAtExit_Call() where an interpreter ends. */
void
slp_atexit_call(PyInterpreterState *interp)
{
    _PyAtExit_Call(interp);
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    if (th != NULL && th->next == NULL) {
        slp_pinned_end_all(th);
    }
    if (interp == PyInterpreterState_Main()) {
        slp_ints_close();
        slp_spares_close();
    }
}

void
slp_thread_free(slp_thread *th)
{
    assert(th->tstate == NULL && th->main == NULL && th->current == NULL);
    /* Who still sleeps there belongs to a process that ends. */
    if (th->bell != NULL && !th->asleep) {
        PyThread_free_lock(th->bell);
    }
    PyObject_Free(th->spare_heap);
    slp_interp_release(th->interp);
    PyMem_RawFree(th);
}

static slp_thread *
make_thread(PyThreadState *tstate)
{
    PyObject *dict = _PyThreadState_GetDict(tstate);
    if (dict == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    slp_interp *interp = slp_interp_get(tstate->interp);
    if (interp == NULL) {
        return NULL;
    }
    slp_thread *th = PyMem_RawCalloc(1, sizeof(slp_thread));
    if (th == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    th->tstate = tstate;
    th->interp = slp_interp_hold(interp);
    th->watch = interp->watch;
    th->always_hard = interp->always_hard;
    th->pickle_flags = interp->pickle_flags;
    th->holders = 1;
    th->carrier = &th->native;
    slp_carrier_init_native(&th->native);
    slp_cxx_look();
    slp_watchdog_off(th);
    PyObject *capsule = PyCapsule_New(th, capsule_name, NULL);
    if (capsule == NULL) {
        th->tstate = NULL;
        slp_thread_release(th);
        return NULL;
    }
    PyTaskletObject *main = slp_tasklet_new_main(th);
    if (main == NULL || PyDict_SetItemString(dict, capsule_name, capsule) < 0) {
        if (main != NULL) {
            /* The ring holds one more reference to its only member. */
            main->next = main->prev = NULL;
            Py_DECREF(main);
            Py_DECREF(main);
        }
        Py_DECREF(capsule);
        th->tstate = NULL;
        slp_thread_release(th);
        return NULL;
    }
    th->main = main;
    th->current = (PyTaskletObject *)Py_NewRef(main);
    if (th->watch & SLP_WATCH_ACCOUNT) {
        slp_accounting_start(th);
    }
    tstate->root_cframe.previous = (_PyCFrame *)th;
    PyCapsule_SetDestructor(capsule, dict_cleared);
    Py_DECREF(capsule);
    return th;
}

slp_thread *
slp_thread_get(PyThreadState *tstate)
{
    slp_thread *th = slp_thread_peek(tstate);
    if (th != NULL) {
        return th;
    }
    /* The collector would run any code, which may want one as well. */
    int collecting = PyGC_Disable();
    th = make_thread(tstate);
    if (collecting) {
        PyGC_Enable();
    }
    return th;
}
