/* The C pickler on a wide carrier: objects nested to any depth pickle, and errors name the tasklet.
 *
 * The base's C pickler recurses in C, and stops at the recursion limit.  Its three entries, `dump`, `dumps`
 * and `Pickler.dump`, are ours: they call the base's on a wide carrier (slp_carrier.h).  Where the limit
 * would be exceeded there, slp_pickle_check_recursion() raises it for the time of the call while the
 * carrier has room.  Python code that the pickler calls is bounded as ever.
 *
 * Where pickling fails after a tasklet was reduced, stackless._pickling makes the error name the frame and
 * the variable that is in the way.
 */
#include "slp_pickle.h"
#include "slp_scheduler.h"
#include "slp_softcall.h"

/* So many levels more at once, while there are so many bytes left. */
#define GRANT 1000
#define ROOM  ((size_t)4 * 1024 * 1024)

int slp_pickle_check_recursion(PyThreadState *tstate, const char *where);

/* Takes the place of _Py_CheckRecursiveCall() in _pickle.o: the recursion limit is reached. */
int
slp_pickle_check_recursion(PyThreadState *tstate, const char *where)
{
    slp_thread *th = slp_thread_peek(tstate);
    if (th != NULL && slp_wide_room(th) > ROOM) {
        *slp_wide_granted(th) += GRANT;
        tstate->recursion_remaining += GRANT;
        return 0;
    }
    return _Py_CheckRecursiveCall(tstate, where);
}

/* --- errors --- */

/* A dump that is under way.  Tasklets that dump may be suspended in any order. */
typedef struct running_dump {
    PyTaskletObject *dumper; /* borrowed */
    PyObject *reduced;       /* the tasklet that was reduced last: strong, or NULL */
    struct running_dump *next;
} running_dump;

/* All of them, the latest first. */
static running_dump *running;

/* The innermost dump of the tasklet, or NULL. */
static running_dump *
find_dump(PyTaskletObject *dumper)
{
    running_dump *dump = running;
    while (dump != NULL && dump->dumper != dumper) {
        dump = dump->next;
    }
    return dump;
}

void
slp_pickle_reduced(PyObject *tasklet)
{
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    running_dump *dump = th == NULL ? NULL : find_dump(th->current);
    if (dump != NULL) {
        Py_XSETREF(dump->reduced, Py_NewRef(tasklet));
    }
}

/* The current tasklet begins a dump.  NULL with MemoryError.  On the heap, since the stack of a tasklet that
 * never runs again goes away before the dump ends. */
static running_dump *
begin_dump(slp_thread *th)
{
    running_dump *dump = PyMem_New(running_dump, 1);
    if (dump == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    *dump = (running_dump){th->current, NULL, running};
    running = dump;
    return dump;
}

/* The tasklet that was reduced last in it: new reference, or NULL. */
static PyObject *
end_dump(running_dump *dump)
{
    running_dump **place = &running;
    while (*place != dump) {
        place = &(*place)->next;
    }
    *place = dump->next;
    PyObject *reduced = dump->reduced;
    PyMem_Free(dump);
    return reduced;
}

/* Let the exception that is set name what is in the way of pickling the tasklet. */
static void
explain(PyObject *tasklet)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        PyException_SetTraceback(value, traceback);
    }
    PyObject *name = PyUnicode_FromString("stackless._pickling");
    PyObject *module = name == NULL ? NULL : PyImport_GetModule(name);
    PyObject *better = module == NULL ? NULL : PyObject_CallMethod(module, "explained", "OO", tasklet, value);
    Py_XDECREF(name);
    Py_XDECREF(module);
    if (better != NULL && better != Py_None) {
        PyErr_SetObject((PyObject *)Py_TYPE(better), better);
        Py_DECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    }
    else {
        PyErr_Clear();
        PyErr_Restore(type, value, traceback);
    }
    Py_XDECREF(better);
}

/* --- the entries --- */

typedef struct {
    PyCFunction base;
    int flags;
    PyObject *self;
    PyObject *const *args;
    Py_ssize_t nargs;
    PyObject *kwnames;
    PyObject *result;
} entry_call;

static void
call_base(void *argument)
{
    entry_call *call = argument;
    call->result = call->flags & METH_O ? call->base(call->self, call->args[0])
                                        : ((_PyCFunctionFastWithKeywords)(void (*)(void))call->base)(
                                            call->self, call->args, call->nargs, call->kwnames);
}

static PyObject *
call_entry(entry_call *call)
{
    PyThreadState *tstate = _PyThreadState_GET();
    slp_thread *th = slp_thread_get(tstate);
    running_dump *dump = th == NULL ? NULL : begin_dump(th);
    if (dump == NULL) {
        return NULL;
    }
    slp_call_wide(th, call_base, call);
    PyObject *reduced = end_dump(dump);
    if (call->result == NULL && reduced != NULL) {
        explain(reduced);
    }
    Py_XDECREF(reduced);
    return call->result;
}

static PyCFunction base_dump, base_dumps, base_method;

static PyObject *
pickle_dump(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    entry_call call = {base_dump, METH_FASTCALL, self, args, nargs, kwnames, NULL};
    return call_entry(&call);
}

static PyObject *
pickle_dumps(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    entry_call call = {base_dumps, METH_FASTCALL, self, args, nargs, kwnames, NULL};
    return call_entry(&call);
}

static PyObject *
pickler_dump(PyObject *self, PyObject *obj)
{
    entry_call call = {base_method, METH_O, self, &obj, 1, NULL, NULL};
    return call_entry(&call);
}

/* Put `ours` into a method definition with those flags, which then calls it instead of *base. */
static bool
take_over(PyMethodDef *def, int flags, PyCFunction ours, PyCFunction *base)
{
    if (def->ml_meth == ours) {
        return true;
    }
    if (def->ml_flags != flags) {
        return false;
    }
    *base = def->ml_meth;
    def->ml_meth = ours;
    return true;
}

int
slp_pickle_hook(PyObject *module)
{
    PyObject *dump = PyObject_GetAttrString(module, "dump");
    PyObject *dumps = PyObject_GetAttrString(module, "dumps");
    PyObject *pickler = PyObject_GetAttrString(module, "Pickler");
    PyObject *method = pickler == NULL ? NULL : PyObject_GetAttrString(pickler, "dump");
    const int flags = METH_FASTCALL | METH_KEYWORDS;
    int status = -1;
    if (dump != NULL && dumps != NULL && method != NULL) {
        if (PyCFunction_Check(dump) && PyCFunction_Check(dumps) && Py_IS_TYPE(method, &PyMethodDescr_Type)
            && take_over(((PyCFunctionObject *)dump)->m_ml, flags, _PyCFunction_CAST(pickle_dump), &base_dump)
            && take_over(((PyCFunctionObject *)dumps)->m_ml, flags, _PyCFunction_CAST(pickle_dumps),
                         &base_dumps)
            && take_over(((PyMethodDescrObject *)method)->d_method, METH_O, pickler_dump, &base_method)) {
            status = 0;
        }
        else {
            PyErr_SetString(PyExc_SystemError, "the base's _pickle is not as expected");
        }
    }
    Py_XDECREF(dump);
    Py_XDECREF(dumps);
    Py_XDECREF(method);
    Py_XDECREF(pickler);
    return status;
}
