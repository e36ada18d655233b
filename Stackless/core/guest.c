/* Guest calls, and greenlet's functions that need them (slp_guest.h has the picture).
 *
 * Budget: 1 ns for a greenlet switch where main runs natively; two switches between carriers elsewhere.
 */
#include "slp_guest.h"

#include "slp_asyncio.h"
#include "slp_platf.h"

/* Below a stack pointer, where the ABI lets a function keep data without moving it. */
#define RED_ZONE 256

/* --- the call --- */

/* What a guest call runs, on the stack of its caller. */
typedef struct {
    slp_thread *th;
    slp_carrier *caller;
    void (*function)(void *argument);
    void *argument;
} guest;

/* greenlet's table of C functions, the capsule greenlet._C_API, and indices of it (its public greenlet.h). */
static void **api;
enum { API_TYPE = 0, API_GET_CURRENT = 4, API_THROW = 5, API_SWITCH = 6, API_GET_PARENT = 11 };

typedef PyObject *(*function0)(void);
typedef PyObject *(*function1)(PyObject *);
typedef PyObject *(*function2)(PyObject *, PyObject *);
typedef PyObject *(*function3)(PyObject *, PyObject *, PyObject *);
typedef PyObject *(*function4)(PyObject *, PyObject *, PyObject *, PyObject *);

/* The thread state was cleared, the carrier of a guest call's caller belongs to nobody: go on in the parent
 * of the current greenlet, which is leaked. */
SLP_COLD static _Noreturn void
give_up(void)
{
    for (;;) {
        PyObject *greenlet = ((function0)api[API_GET_CURRENT])();
        PyObject *parent = greenlet == NULL ? NULL : ((function1)api[API_GET_PARENT])(greenlet);
        PyObject *none = PyTuple_New(0);
        if (parent == NULL || none == NULL) {
            Py_FatalError("a greenlet was left in a tasklet of a thread that has ended");
        }
        PyErr_Clear();
        Py_XDECREF(((function3)api[API_SWITCH])(parent, none, NULL));
        Py_DECREF(none);
        Py_DECREF(parent);
        Py_DECREF(greenlet);
    }
}

/* Take the idle carriers out of sight of slp_check_switch(), or give them back. */
static void
withhold_idle(slp_thread *th)
{
    if (th->withheld == NULL) {
        th->withheld = th->idle;
        th->idle = NULL;
    }
}

static void
return_idle(slp_thread *th)
{
    if (th->withheld != NULL) {
        assert(th->idle == NULL);
        th->idle = th->withheld;
        th->withheld = NULL;
    }
}

/* The oldest function of a guest call on the native stack. */
static void
guest_entry(void *value)
{
    guest *g = value;
    slp_thread *th = g->th;
    slp_carrier_entered(&th->native);
    g->function(g->argument);
    if (th->tstate == NULL) {
        give_up();
    }
    assert(th->carrier == &th->native);
    slp_carrier_switch(&th->native, g->caller, NULL);
    Py_UNREACHABLE();
}

void
slp_guest_call(slp_thread *th, void (*function)(void *argument), void *argument)
{
    if (th->carrier == &th->native) {
        function(argument);
        return;
    }
    slp_carrier suspended = th->native;
    assert(suspended.sp != NULL);
    guest g = {.th = th, .caller = th->carrier, .function = function, .argument = argument};
    th->native.sp = slp_platf_prepare(th->native.low, (char *)suspended.sp - RED_ZONE, guest_entry);
    th->carrier = &th->native;
    th->home = NULL;
    if (slp_guest_runs(th)) {
        withhold_idle(th);
    }
    slp_thread_hold(th);
    slp_carrier_switch(g.caller, &th->native, &g);
    slp_thread_release(th);
    th->native = suspended;
    th->carrier = g.caller;
    th->home = g.caller->home;
    if (!slp_guest_runs(th)) {
        return_idle(th);
    }
}

bool
slp_guest_has_room(const slp_thread *th)
{
    uintptr_t sp = (uintptr_t)th->native.sp, limit = (uintptr_t)th->native.limit;
    return sp > limit || limit - sp < slp_native_margin() / 2;
}

bool
slp_guest_runs(const slp_thread *th)
{
    const slp_carrier *oldest = th->carrier;
    while (oldest->below != NULL) {
        oldest = oldest->below;
    }
    return oldest == &th->native && th->current != th->main;
}

/* --- greenlet's functions --- */

/* greenlet's own ones. */
static function3 original_switch;         /* greenlet.switch(*args, **kwargs) */
static function2 original_throw;          /* greenlet.throw(*args) */
static function3 original_api_switch;     /* PyGreenlet_Switch(greenlet, args, kwargs) */
static function4 original_api_throw;      /* PyGreenlet_Throw(greenlet, type, value, traceback) */
static destructor original_dealloc;

/* A call of one of them. */
typedef struct {
    function2 call2;                      /* one of the three is set */
    function3 call3;
    function4 call4;
    PyObject *arguments[4];
    PyObject *result;
} greenlet_call;

static void
make_call(void *argument)
{
    greenlet_call *c = argument;
    PyObject **a = c->arguments;
    c->result = c->call2 != NULL ? c->call2(a[0], a[1])
              : c->call3 != NULL ? c->call3(a[0], a[1], a[2])
              : c->call4(a[0], a[1], a[2], a[3]);
}

static void
make_dealloc(void *self)
{
    original_dealloc(self);
}

/* The current thread if it is not on its native stack, else NULL. */
static inline slp_thread *
thread_on_carrier(void)
{
    slp_thread *th = slp_thread_peek(_PyThreadState_GET());
    return SLP_LIKELY(th == NULL || th->carrier == &th->native) ? NULL : th;
}

/* Make a call on the native stack; its result, or NULL with an exception. */
static PyObject *
call_as_guest(slp_thread *th, greenlet_call *call)
{
    if (!slp_guest_has_room(th)) {
        PyErr_SetString(PyExc_MemoryError, "cannot switch greenlets here: the thread's own C stack is full");
        return NULL;
    }
    slp_guest_call(th, make_call, call);
    return call->result;
}

/* What stands in the place of each of them. */

static PyObject *
guest_switch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    slp_thread *th = thread_on_carrier();
    if (SLP_LIKELY(th == NULL)) {
        return original_switch(self, args, kwargs);
    }
    return call_as_guest(th, &(greenlet_call){.call3 = original_switch, .arguments = {self, args, kwargs}});
}

static PyObject *
guest_throw(PyObject *self, PyObject *args)
{
    slp_thread *th = thread_on_carrier();
    if (SLP_LIKELY(th == NULL)) {
        return original_throw(self, args);
    }
    return call_as_guest(th, &(greenlet_call){.call2 = original_throw, .arguments = {self, args}});
}

static PyObject *
guest_api_switch(PyObject *self, PyObject *args, PyObject *kwargs)
{
    slp_thread *th = thread_on_carrier();
    if (SLP_LIKELY(th == NULL)) {
        return original_api_switch(self, args, kwargs);
    }
    return call_as_guest(th, &(greenlet_call){.call3 = original_api_switch,
                                              .arguments = {self, args, kwargs}});
}

static PyObject *
guest_api_throw(PyObject *self, PyObject *type, PyObject *value, PyObject *traceback)
{
    slp_thread *th = thread_on_carrier();
    if (SLP_LIKELY(th == NULL)) {
        return original_api_throw(self, type, value, traceback);
    }
    return call_as_guest(th, &(greenlet_call){.call4 = original_api_throw,
                                              .arguments = {self, type, value, traceback}});
}

/* An unfinished greenlet is switched to when it is freed, with GreenletExit. */
static void
guest_dealloc(PyObject *self)
{
    slp_thread *th = thread_on_carrier();
    if (SLP_LIKELY(th == NULL)) {
        original_dealloc(self);
    }
    else {
        slp_guest_call(th, make_dealloc, self);
    }
}

/* --- the import of greenlet --- */

/* Replace the C function of a method by `ours`, and store it in *original.  The definition is copied, since
 * greenlet's may be in read-only memory.  -1 with ImportError if the method is not what we know. */
static int
replace_method(PyTypeObject *type, PyMethodDef *copy, const char *name, int flags, PyCFunction ours,
               PyCFunction *original)
{
    PyObject *descriptor = PyDict_GetItemString(type->tp_dict, name);
    if (descriptor == NULL || !Py_IS_TYPE(descriptor, &PyMethodDescr_Type)
        || ((PyMethodDescrObject *)descriptor)->d_method->ml_flags != flags) {
        PyErr_Format(PyExc_ImportError, "this release of greenlet does not fit Stackless Python: "
                     "greenlet.%s() is not the method that it used to be", name);
        return -1;
    }
    PyMethodDescrObject *method = (PyMethodDescrObject *)descriptor;
    if (method->d_method != copy) {
        *copy = *method->d_method;
        *original = copy->ml_meth;
        copy->ml_meth = ours;
        method->d_method = copy;
    }
    return 0;
}

/* Put our functions in the place of greenlet's.  -1 with an exception. */
static int
adopt_greenlet(PyObject *module)
{
    static PyMethodDef switch_method, throw_method;
    static PyCFunction switch_function;
    PyObject *capsule = PyObject_GetAttrString(module, "_C_API");
    api = capsule == NULL ? NULL : PyCapsule_GetPointer(capsule, "greenlet._C_API");
    Py_XDECREF(capsule);
    if (api == NULL) {
        return -1;
    }
    PyTypeObject *type = api[API_TYPE];
    if (replace_method(type, &switch_method, "switch", METH_VARARGS | METH_KEYWORDS,
                       _PyCFunction_CAST(guest_switch), &switch_function) < 0
        || replace_method(type, &throw_method, "throw", METH_VARARGS, guest_throw, &original_throw) < 0) {
        return -1;
    }
    original_switch = (function3)(void (*)(void))switch_function;
    if (type->tp_dealloc != guest_dealloc) {
        original_dealloc = type->tp_dealloc;
        type->tp_dealloc = guest_dealloc;
    }
    if (api[API_SWITCH] != (void *)guest_api_switch) {
        original_api_switch = (function3)api[API_SWITCH];
        api[API_SWITCH] = (void *)guest_api_switch;
    }
    if (api[API_THROW] != (void *)guest_api_throw) {
        original_api_throw = (function4)api[API_THROW];
        api[API_THROW] = (void *)guest_api_throw;
    }
    return 0;
}

int
slp_import_fixup_extension(PyObject *module, PyObject *name, PyObject *filename, PyObject *modules)
{
    if (_PyUnicode_EqualToASCIIString(name, "greenlet._greenlet") && adopt_greenlet(module) < 0) {
        return -1;
    }
    if (_PyUnicode_EqualToASCIIString(name, "_asyncio")) {
        slp_adopt_asyncio(module);
    }
    return _PyImport_FixupExtensionObject(module, name, filename, modules);
}
