/* Looking at tasklets: repr, names, all of an interpreter's tasklets, and who waits in a deadlock. */
#include "slp_bomb.h"
#include "slp_channel.h"
#include "slp_module.h"

/* A deadlock names no more of those who wait. */
#define MAX_NAMED 10

/* --- frames --- */

_PyInterpreterFrame *
slp_tasklet_python_frame(PyTaskletObject *t)
{
    if (t->thread->tstate == NULL) {
        return NULL;
    }
    bool current = t->thread->current == t;
    _PyInterpreterFrame *frame = current ? t->thread->tstate->cframe->current_frame : t->frame;
    while (frame != NULL && _PyFrame_IsIncomplete(frame)) {
        frame = frame->previous;
    }
    return frame;
}

/* --- names --- */

/* The dict of an instance of a subclass: a new reference, or NULL without an exception. */
static PyObject *
get_dict(PyTaskletObject *t)
{
    PyObject *dict = NULL;
    if (Py_TYPE(t) != &PyTasklet_Type) {
        dict = PyObject_GenericGetDict((PyObject *)t, NULL);
        if (dict == NULL) {
            PyErr_Clear();   /* a class with __slots__ = () */
        }
    }
    return dict;
}

PyObject *
slp_tasklet_get_name(PyTaskletObject *t)
{
    PyObject *dict = get_dict(t);
    PyObject *name = dict != NULL ? PyDict_GetItemString(dict, "name")
                     : t->extra != NULL ? t->extra->name : NULL;
    PyObject *result = Py_NewRef(name != NULL ? name : Py_None);
    Py_XDECREF(dict);
    return result;
}

/* Keep `name` in the tasklet itself, or forget the one there (not a str).  -1 with MemoryError. */
static int
keep_name(PyTaskletObject *t, PyObject *name)
{
    bool is_str = name != NULL && PyUnicode_Check(name);
    if (is_str && slp_tasklet_get_extra(t) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (t->extra != NULL) {
        Py_XSETREF(t->extra->name, is_str ? Py_NewRef(name) : NULL);
    }
    return 0;
}

int
slp_tasklet_set_name(PyTaskletObject *t, PyObject *name)
{
    /* Instances of subclasses have a dict, most of them, and programs have used `name` all the time. */
    PyObject *dict = get_dict(t);
    if (dict != NULL) {
        int status = keep_name(t, name);
        if (status == 0) {
            status = name != NULL ? PyDict_SetItemString(dict, "name", name)
                                  : PyDict_DelItemString(dict, "name");
        }
        Py_DECREF(dict);
        if (status < 0 && name == NULL && PyErr_ExceptionMatches(PyExc_KeyError)) {
            PyErr_SetString(PyExc_AttributeError, "name");
        }
        return status;
    }
    if (name == NULL) {
        PyErr_SetString(PyExc_TypeError, "tasklet.name cannot be deleted; set it to None");
        return -1;
    }
    if (name != Py_None && !PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "tasklet.name must be a str or None, not %.200s",
                     Py_TYPE(name)->tp_name);
        return -1;
    }
    return keep_name(t, name);
}

/* --- repr --- */

/* One word for the state, as in the diagram of slp_tasklet.h. */
static const char *
state_name(PyTaskletObject *t)
{
    if (t->thread->tstate == NULL)
        return "without thread";
    if (t->thread->current == t)
        return "current";
    if (t->flags.blocked)
        return t->flags.blocked > 0 ? "sending" : "receiving";
    if (slp_in_chain(t))
        return "scheduled";
    if (t->flags.waits_in_run)
        return "waiting in run()";
    if (t->frame != NULL)
        return "paused";
    return PyCallable_Check(t->tempval) ? "bound" : "not alive";
}

/* Where it is suspended, or what it will call: ", in f (file.py:12)".  A new str, maybe empty. */
static PyObject *
place(PyTaskletObject *t)
{
    _PyInterpreterFrame *frame = slp_tasklet_python_frame(t);
    if (frame != NULL) {
        PyCodeObject *code = frame->f_code;
        int line = PyCode_Addr2Line(code, _PyInterpreterFrame_LASTI(frame) * (int)sizeof(_Py_CODEUNIT));
        return PyUnicode_FromFormat(", in %U (%U:%d)", code->co_qualname, code->co_filename, line);
    }
    return PyUnicode_FromString("");
}

PyObject *
slp_tasklet_repr(PyObject *self)
{
    PyTaskletObject *t = SLP_TASKLET(self);
    PyObject *name = slp_tasklet_get_name(t);
    PyObject *where = name != NULL ? place(t) : NULL;
    PyObject *result = NULL;
    if (where != NULL && PyUnicode_Check(name)) {
        result = PyUnicode_FromFormat("<%s object at %p%s %R %s%U>", Py_TYPE(self)->tp_name, self,
                                      t->flags.is_main ? " main" : "", name, state_name(t), where);
    }
    else if (where != NULL) {
        result = PyUnicode_FromFormat("<%s object at %p%s %s%U>", Py_TYPE(self)->tp_name, self,
                                      t->flags.is_main ? " main" : "", state_name(t), where);
    }
    Py_XDECREF(name);
    Py_XDECREF(where);
    return result;
}

/* --- all of them --- */

static bool
is_any(PyTaskletObject *t, slp_thread *th)
{
    return slp_tasklet_usable(t) && !t->flags.idle;
}

static bool
is_pinned(PyTaskletObject *t, slp_thread *th)
{
    return t->flags.pinned && !t->flags.is_main;
}

static bool
is_blocked(PyTaskletObject *t, slp_thread *th)
{
    return t->flags.blocked && t->thread == th;
}

/* Append those of a generation of the collector that `fits` accepts.  Appending makes no objects, so that
 * the collector does not run meanwhile. */
static int
collect_generation(PyObject *list, PyGC_Head *head, bool (*fits)(PyTaskletObject *, slp_thread *),
                   slp_thread *th)
{
    for (PyGC_Head *gc = _PyGCHead_NEXT(head); gc != head; gc = _PyGCHead_NEXT(gc)) {
        PyObject *op = (PyObject *)(gc + 1);
        if (PyTasklet_Check(op) && Py_REFCNT(op) > 0 && fits(SLP_TASKLET(op), th)
            && PyList_Append(list, op) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Append those in the run queue of a thread that `fits` accepts and the collector does not know. */
static int
collect_ring(PyObject *list, slp_thread *of, bool (*fits)(PyTaskletObject *, slp_thread *), slp_thread *th)
{
    PyTaskletObject *head = slp_ring_head(of), *t = head;
    do {
        if (!_PyObject_GC_IS_TRACKED(t) && fits(t, th) && PyList_Append(list, (PyObject *)t) < 0) {
            return -1;
        }
        t = t->next;
    } while (t != head && t != NULL);
    return 0;
}

/* A list of the tasklets of this interpreter that `fits` accepts. */
static PyObject *
collect(bool (*fits)(PyTaskletObject *, slp_thread *), slp_thread *th)
{
    struct _gc_runtime_state *state = &_PyInterpreterState_GET()->gc;
    PyObject *list = PyList_New(0);
    PyThreadState *tstate = PyInterpreterState_ThreadHead(th->tstate->interp);
    for (; list != NULL && tstate != NULL; tstate = PyThreadState_Next(tstate)) {
        slp_thread *of = slp_thread_peek(tstate);
        if (of != NULL && collect_ring(list, of, fits, th) < 0) {
            Py_CLEAR(list);
        }
    }
    for (int i = 0; list != NULL && i < NUM_GENERATIONS; i++) {
        if (collect_generation(list, &state->generations[i].head, fits, th) < 0) {
            Py_CLEAR(list);
        }
    }
    if (list != NULL && collect_generation(list, &state->permanent_generation.head, fits, th) < 0) {
        Py_CLEAR(list);
    }
    return list;
}

const char slp_tasklets_doc[] =
"tasklets($module, /)\n"
"--\n\n"
"A list of all tasklets of the interpreter that are alive, of all threads, main\n"
"tasklets included, in no particular order.";

PyObject *
slp_module_tasklets(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? collect(is_any, th) : NULL;
}

const char slp_getuncollectables_doc[] =
"getuncollectables($module, /)\n"
"--\n\n"
"A list of the tasklets that are suspended inside of C functions, and so keep a C\n"
"stack.  See tasklet.pinned.";

PyObject *
slp_module_getuncollectables(PyObject *module, PyObject *noargs)
{
    slp_thread *th = slp_thread_now();
    return th != NULL ? collect(is_pinned, th) : NULL;
}

/* --- deadlocks --- */

/* Append "\n  TASKLET on CHANNEL" to *text (stolen and replaced). */
static void
add_waiter(PyObject **text, PyTaskletObject *t)
{
    PyObject *tasklet = slp_tasklet_repr((PyObject *)t);
    PyObject *line = NULL;
    if (tasklet != NULL && t->channel != NULL) {
        line = PyUnicode_FromFormat("\n  %U on channel %p", tasklet, t->channel);
    }
    Py_XDECREF(tasklet);
    if (line != NULL) {
        PyUnicode_AppendAndDel(text, line);
    }
    else {
        Py_CLEAR(*text);
    }
}

PyObject *
slp_deadlock_text(slp_thread *th, const char *first)
{
    PyObject *text = PyUnicode_FromString(first);
    PyObject *list = text != NULL ? collect(is_blocked, th) : NULL;
    Py_ssize_t count = list != NULL ? PyList_GET_SIZE(list) : 0;
    for (Py_ssize_t i = 0; text != NULL && i < Py_MIN(count, MAX_NAMED); i++) {
        add_waiter(&text, SLP_TASKLET(PyList_GET_ITEM(list, i)));
    }
    if (text != NULL && count > MAX_NAMED) {
        PyUnicode_AppendAndDel(&text, PyUnicode_FromFormat("\n  and %zd more", count - MAX_NAMED));
    }
    if (list == NULL) {
        Py_CLEAR(text);
    }
    Py_XDECREF(list);
    PyErr_Clear();
    return text;
}

/* --- the stack --- */

const char slp_stack_doc[] =
"stack($self, /)\n"
"--\n\n"
"Where the tasklet is: a traceback.StackSummary of its frames, the innermost\n"
"last.  Empty before it starts and after it has ended.\n\n"
"    print(\"\".join(t.stack().format()))";

/* The module that knows how to show frames, which the first call imports.  The watchdog does not interrupt
 * that: another tasklet would find it half made. */
static PyObject *
import_inspection(void)
{
    slp_thread *th = slp_thread_now();
    if (th == NULL) {
        return NULL;
    }
    PyTaskletObject *current = (PyTaskletObject *)Py_NewRef(th->current);
    bool atomic = current->flags.atomic;
    current->flags.atomic = 1;
    PyObject *module = PyImport_ImportModule("stackless._inspection");
    current->flags.atomic = atomic;
    Py_DECREF(current);
    return module;
}

PyObject *
slp_tasklet_stack(PyObject *self, PyObject *noargs)
{
    PyObject *result = NULL;
    /* Found first: if the tasklet is current, it is the caller's. */
    _PyInterpreterFrame *frame = slp_tasklet_python_frame(SLP_TASKLET(self));
    PyObject *top = frame != NULL ? Py_XNewRef(_PyFrame_GetFrameObject(frame)) : Py_NewRef(Py_None);
    PyObject *module = top != NULL ? import_inspection() : NULL;
    if (module != NULL) {
        result = PyObject_CallMethod(module, "stack_of", "O", top);
        Py_DECREF(module);
    }
    Py_XDECREF(top);
    return result;
}
