/* What ties a tasklet to other parts of Python: context, thread, trace and profile functions. */
#include "slp_channel.h"
#include "slp_module.h"

/* --- context variables --- */

const char slp_set_context_doc[] =
"set_context($self, context, /)\n"
"--\n\n"
"Give the tasklet another contextvars.Context; returns the tasklet.\n\n"
"TypeError if it is none.  RuntimeError if the present one has been entered with\n"
"Context.run() and not been left, the tasklet is current or scheduled in another\n"
"thread, or it is current while the garbage collector runs.\n\n"
"    t = tasklet(work).set_context(contextvars.Context())";

PyObject *
slp_tasklet_set_context(PyObject *self, PyObject *context)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    if (!PyContext_CheckExact(context)) {
        PyErr_Format(PyExc_TypeError, "set_context() argument must be a contextvars.Context, not %.200s",
                     Py_TYPE(context)->tp_name);
        return NULL;
    }
    bool current = t->thread->current == t;
    if (t->thread != th && (current || (t->next != NULL && !t->flags.blocked))) {
        return slp_refuse("set_context", TASKLET_OTHER_THREAD);
    }
    if (current && th->tstate->interp->gc.collecting) {
        /* The base may be about to copy or change the present one, which nothing else holds. */
        PyErr_SetString(PyExc_RuntimeError,
                        "set_context(): the tasklet is current, and the garbage collector runs");
        return NULL;
    }
    PyObject **slot = slp_context_slot(t);
    PyObject *old = *slot;
    if (old != NULL && ((PyContext *)old)->ctx_entered) {
        PyErr_SetString(PyExc_RuntimeError,
                        "set_context(): the tasklet's context has been entered, and not left");
        return NULL;
    }
    *slot = Py_NewRef(context);
    if (current) {
        th->tstate->context_ver++;
    }
    Py_XDECREF(old);
    return Py_NewRef(self);
}

const char slp_unpicklable_state_doc[] =
"_tasklet_get_unpicklable_state($module, tasklet, /)\n"
"--\n\n"
"What pickling a tasklet leaves out: a dict, whose key `context` has its\n"
"contextvars context, or None.  Provisional.  TypeError if it is no tasklet.";

PyObject *
slp_module_unpicklable_state(PyObject *module, PyObject *arg)
{
    if (!PyTasklet_Check(arg)) {
        PyErr_Format(PyExc_TypeError,
                     "_tasklet_get_unpicklable_state() argument must be a tasklet, not %.200s",
                     Py_TYPE(arg)->tp_name);
        return NULL;
    }
    PyObject *context = *slp_context_slot(SLP_TASKLET(arg));
    return Py_BuildValue("{s:N}", "context", Py_NewRef(context != NULL ? context : Py_None));
}

/* --- threads --- */

/* The thread argument `id`, -1 for the calling one: its thread state, or NULL without an exception. */
static PyThreadState *
find_thread(PyThreadState *tstate, unsigned long id)
{
    PyThreadState *p = PyInterpreterState_ThreadHead(tstate->interp);
    while (p != NULL && p->thread_id != id) {
        p = PyThreadState_Next(p);
    }
    return p;
}

static const char *const thread_keywords[] = {"thread_id", NULL};

/* A thread id; *here says that it is the calling thread's.  -1 with TypeError or OverflowError. */
static int
thread_id_arg(const char *function, PyObject *arg, unsigned long *id, bool *here)
{
    PyThreadState *tstate = _PyThreadState_GET();
    *id = tstate->thread_id;
    *here = true;
    if (arg == NULL) {
        return 0;
    }
    if (!PyLong_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "%s() argument 'thread_id' must be an int, not %.200s", function,
                     Py_TYPE(arg)->tp_name);
        return -1;
    }
    int overflow;
    if (PyLong_AsLongAndOverflow(arg, &overflow) == -1 && !overflow) {
        return PyErr_Occurred() ? -1 : 0;
    }
    *id = PyLong_AsUnsignedLong(arg);
    *here = *id == tstate->thread_id;
    return *id == (unsigned long)-1 && PyErr_Occurred() ? -1 : 0;
}

const char slp_bind_thread_doc[] =
"bind_thread($self, /, thread_id=-1)\n"
"--\n\n"
"Let the tasklet belong to another thread, by default to the calling one.\n\n"
"What is left of a thread that has ended can be taken over so.  A tasklet that is\n"
"blocked on a channel stays blocked.\n\n"
"RuntimeError if it is runnable, current, a main tasklet, waits in run(), or is\n"
"inside of C functions; TypeError, ValueError or OverflowError if there is no such\n"
"thread.";

PyObject *
slp_tasklet_bind_thread(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static _PyArg_Parser parser = {.keywords = thread_keywords, .fname = "bind_thread"};
    PyTaskletObject *t = SLP_TASKLET(self);
    PyObject *arg;
    unsigned long id;
    bool here;
    if (!slp_optional_args(&parser, args, nargs, kwnames, 1, &arg)
        || thread_id_arg("bind_thread", arg, &id, &here) < 0) {
        return NULL;
    }
    PyThreadState *tstate = _PyThreadState_GET();
    if (!here) {
        tstate = find_thread(tstate, id);
        if (tstate == NULL) {
            PyErr_Format(PyExc_ValueError, "bad thread: no thread has the id %lu", id);
            return NULL;
        }
    }
    slp_thread *th = slp_thread_get(tstate);
    if (th == NULL) {
        return NULL;
    }
    if (t->flags.is_main) {
        return slp_refuse("bind_thread", TASKLET_MAIN);
    }
    if (t->thread->current == t || (t->next != NULL && !t->flags.blocked)) {
        return slp_refuse("bind_thread", TASKLET_RUNNABLE);
    }
    if (t->flags.waits_in_run) {
        return slp_refuse("bind_thread", TASKLET_WAITS_IN_RUN);
    }
    if (t->flags.pinned) {
        return slp_refuse("bind_thread", TASKLET_PINNED);
    }
    if (t->thread != th) {
        slp_thread *old = t->thread;
        t->thread = slp_thread_hold(th);
        if (t->flags.blocked) {
            old->blocked_count--;
            th->blocked_count++;
        }
        slp_thread_release(old);
    }
    Py_RETURN_NONE;
}

const char slp_getthreads_doc[] =
"getthreads($module, /)\n"
"--\n\n"
"A list of the ids of all threads of the interpreter, the main thread first.";

PyObject *
slp_module_getthreads(PyObject *module, PyObject *noargs)
{
    PyObject *list = PyList_New(0);
    PyThreadState *p = PyInterpreterState_ThreadHead(_PyInterpreterState_GET());
    for (; list != NULL && p != NULL; p = PyThreadState_Next(p)) {
        PyObject *id = PyLong_FromUnsignedLong(p->thread_id);
        /* The newest comes first there. */
        if (id == NULL || PyList_Insert(list, 0, id) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(id);
    }
    return list;
}

const char slp_get_thread_info_doc[] =
"get_thread_info($module, /, thread_id=-1)\n"
"--\n\n"
"What a thread, by default the calling one, is about: a tuple of its main tasklet,\n"
"its current tasklet, and the number of its runnable tasklets.  The tasklets are\n"
"None if the thread has not used any yet; the current one is None while another\n"
"thread sleeps, since nobody can run there.\n\n"
"RuntimeError if there is no such thread, TypeError if thread_id is no int.";

PyObject *
slp_module_get_thread_info(PyObject *module, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static _PyArg_Parser parser = {.keywords = thread_keywords, .fname = "get_thread_info"};
    PyObject *arg;
    unsigned long id;
    bool here;
    if (slp_thread_now() == NULL || !slp_optional_args(&parser, args, nargs, kwnames, 1, &arg)) {
        return NULL;
    }
    if (thread_id_arg("get_thread_info", arg, &id, &here) < 0) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_RuntimeError, "Thread id not found: %S", arg);
        }
        return NULL;
    }
    PyThreadState *tstate = find_thread(_PyThreadState_GET(), id);
    if (tstate == NULL) {
        PyErr_Format(PyExc_RuntimeError, "Thread id not found: %lu", id);
        return NULL;
    }
    slp_thread *th = slp_thread_peek(tstate);
    if (th == NULL) {
        return Py_BuildValue("OOi", Py_None, Py_None, 0);
    }
    if (tstate != _PyThreadState_GET() && th->current->flags.idle) {
        return Py_BuildValue("OOi", th->main, Py_None, th->runcount - 1);
    }
    return Py_BuildValue("OOi", th->main, th->current, th->runcount);
}

/* --- trace and profile functions --- */

PyObject *
slp_tasklet_get_trace(PyTaskletObject *t, bool profile)
{
    PyThreadState *tstate = t->thread->tstate;
    PyObject *found = NULL;
    if (tstate != NULL && t->thread->current == t) {
        found = profile ? tstate->c_profileobj : tstate->c_traceobj;
    }
    else if (t->trace != NULL) {
        found = profile ? t->trace->profileobj : t->trace->traceobj;
    }
    return Py_NewRef(found != NULL ? found : Py_None);
}

/* The C function behind sys.settrace() or sys.setprofile(), NULL if it cannot be found.  Debuggers put
 * functions into their places that warn of who calls them; the module's definition still has the first. */
static PyCFunction
find_in_sys(const char *name)
{
    PyObject *modules = PyImport_GetModuleDict();
    PyObject *sys = modules != NULL ? PyDict_GetItemString(modules, "sys") : NULL;
    PyModuleDef *def = sys != NULL && PyModule_Check(sys) ? PyModule_GetDef(sys) : NULL;
    PyMethodDef *method = def != NULL ? def->m_methods : NULL;
    while (method != NULL && method->ml_name != NULL && strcmp(method->ml_name, name) != 0) {
        method++;
    }
    return method != NULL && method->ml_name != NULL && method->ml_flags == METH_O ? method->ml_meth : NULL;
}

/* sys.settrace(value) or sys.setprofile(value), which know the C function that goes with it. */
static int
call_sys(bool profile, PyObject *value)
{
    static PyCFunction functions[2];
    if (functions[profile] == NULL) {
        functions[profile] = find_in_sys(profile ? "setprofile" : "settrace");
    }
    if (functions[profile] == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "lost sys.settrace");
        return -1;
    }
    PyObject *result = functions[profile](NULL, value);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

/* The C function and object that sys.settrace(value) would set, into *func and *obj; nothing is set. */
static int
learn(PyThreadState *tstate, bool profile, PyObject *value, Py_tracefunc *func, PyObject **obj)
{
    Py_tracefunc *func_slot = profile ? &tstate->c_profilefunc : &tstate->c_tracefunc;
    PyObject **obj_slot = profile ? &tstate->c_profileobj : &tstate->c_traceobj;
    Py_tracefunc old_func = *func_slot;
    PyObject *old_obj = *obj_slot;
    int use_tracing = tstate->cframe->use_tracing;
    *func_slot = NULL;
    *obj_slot = NULL;
    int status = call_sys(profile, value);
    *func = *func_slot;
    *obj = *obj_slot;
    *func_slot = old_func;
    *obj_slot = old_obj;
    tstate->cframe->use_tracing = use_tracing;
    return status;
}

int
slp_tasklet_set_trace(PyTaskletObject *t, bool profile, PyObject *value)
{
    const char *name = profile ? "profile_function" : "trace_function";
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return -1;
    }
    if (value == NULL) {
        PyErr_Format(PyExc_TypeError, "tasklet.%s cannot be deleted; set it to None", name);
        return -1;
    }
    if (value != Py_None && !PyCallable_Check(value)) {
        PyErr_Format(PyExc_TypeError, "tasklet.%s must be callable or None, not %.200s", name,
                     Py_TYPE(value)->tp_name);
        return -1;
    }
    if (!slp_tasklet_usable(t)) {
        slp_refuse(name, t->thread->tstate == NULL ? TASKLET_NO_THREAD : TASKLET_DEAD);
        return -1;
    }
    if (t == th->current) {
        return call_sys(profile, value);
    }
    Py_tracefunc func;
    PyObject *obj;
    if (learn(th->tstate, profile, value, &func, &obj) < 0) {
        return -1;
    }
    if (t->thread->current == t) {
        Py_XDECREF(obj);
        slp_refuse(name, TASKLET_OTHER_THREAD);
        return -1;
    }
    if (t->trace == NULL) {
        t->trace = PyMem_Calloc(1, sizeof(slp_trace_state));
        if (t->trace == NULL) {
            Py_XDECREF(obj);
            PyErr_NoMemory();
            return -1;
        }
    }
    PyObject *old;
    if (profile) {
        old = t->trace->profileobj;
        t->trace->profilefunc = func;
        t->trace->profileobj = obj;
    }
    else {
        old = t->trace->traceobj;
        t->trace->tracefunc = func;
        t->trace->traceobj = obj;
    }
    if (t->trace->tracefunc == NULL && t->trace->profilefunc == NULL && t->trace->tracing == 0) {
        slp_tasklet_drop_trace(t);
    }
    Py_XDECREF(old);
    return 0;
}

/* threading._trace_hook or _profile_hook, a new reference; NULL without an exception where there is none.
 * threading.gettrace() is a Python function: a call of it would be traced. */
static PyObject *
get_hook(PyObject *threading, const char *name)
{
    PyObject *hook = PyObject_GetAttrString(threading, name);
    if (hook == NULL) {
        PyErr_Clear();   /* a module of this name that is not the library's */
    }
    else if (hook == Py_None) {
        Py_CLEAR(hook);
    }
    return hook;
}

int
slp_tasklet_trace_as_thread(PyTaskletObject *t)
{
    static const char *const names[] = {"_trace_hook", "_profile_hook"};
    PyObject *threading = PyImport_GetModule(&_Py_ID(threading));
    int status = 0;
    for (int profile = 0; threading != NULL && status == 0 && profile < 2; profile++) {
        PyObject *hook = get_hook(threading, names[profile]);
        if (hook != NULL && PyCallable_Check(hook) && slp_tasklet_usable(t) && t->thread->current != t) {
            status = slp_tasklet_set_trace(t, profile, hook);
        }
        Py_XDECREF(hook);
    }
    Py_XDECREF(threading);
    return status < 0 || PyErr_Occurred() ? -1 : 0;
}
