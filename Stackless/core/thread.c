/* The life of an slp_thread: made on first use, detached when its thread state is cleared. */
#include "slp_thread.h"

#include "slp_generators.h"
#include "slp_scheduler.h"

static const char capsule_name[] = "_stackless.thread";

/* The thread state is being cleared: its tasklets lose their thread. */
static void
detach(PyObject *capsule)
{
    slp_thread *th = PyCapsule_GetPointer(capsule, capsule_name);
    th->tstate->root_cframe.previous = NULL;
    th->tstate = NULL;
    slp_watchdog_off(th);
    slp_scheduler_clear(th);
    slp_carrier_drop_idle(th);
    PyTaskletObject *current = th->current;
    th->current = NULL;
    Py_XDECREF(current);
    Py_CLEAR(th->next);
    Py_CLEAR(th->main);
    slp_thread_release(th);
}

void
slp_thread_free(slp_thread *th)
{
    assert(th->tstate == NULL && th->main == NULL && th->current == NULL);
    if (th->bell != NULL) {
        PyThread_free_lock(th->bell);
    }
    PyObject_Free(th->spare_heap);
    slp_interp_release(th->interp);
    PyMem_RawFree(th);
}

slp_thread *
slp_thread_get(PyThreadState *tstate)
{
    slp_thread *th = slp_thread_peek(tstate);
    if (th != NULL) {
        return th;
    }
    PyObject *dict = _PyThreadState_GetDict(tstate);
    if (dict == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    slp_interp *interp = slp_interp_get(tstate->interp);
    if (interp == NULL) {
        return NULL;
    }
    th = PyMem_RawCalloc(1, sizeof(slp_thread));
    if (th == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    slp_generators_init();
    th->tstate = tstate;
    th->interp = slp_interp_hold(interp);
    th->watch = interp->watch;
    th->always_hard = interp->always_hard;
    th->pickle_flags = interp->pickle_flags;
    th->holders = 1;
    th->carrier = &th->native;
    slp_carrier_init_native(&th->native);
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
    tstate->root_cframe.previous = (_PyCFrame *)th;
    PyCapsule_SetDestructor(capsule, detach);
    Py_DECREF(capsule);
    return th;
}
