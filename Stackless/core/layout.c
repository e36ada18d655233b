/* PyStackless_Layout: where debuggers find what, in a process or a core that has no debug information.
 *
 * Tools/gdb/stackless-gdb.py reads this table, and by it the rest.  It is constant and without pointers, so
 * that it can be read from the file, too, where a core leaves it out.  Entries are a name of 32 bytes and 8
 * bytes of value; the name says which:
 *
 *   stackless.layout   the version of the rest: the first entry
 *   sizeof.STRUCT      a size
 *   STRUCT.FIELD       an offset
 *   bits.STRUCT.FLAG   the flags of a struct with just these bits set.  Where a compiler puts bit fields is
 *                      its own affair; so it is asked, by setting them.
 *   ""                 the end
 *
 * Nothing is written by hand but names, and one that is wrong does not compile.
 */
#include "slp_channel.h"
#include "slp_scheduler.h"

typedef struct {
    char name[32];
    union {
        int64_t number;
        __typeof__(((PyTaskletObject *)NULL)->flags) tasklet;
        __typeof__(((PyASCIIObject *)NULL)->state) str;
    } value;
} layout_entry;

static_assert(sizeof(layout_entry) == 40, "flags must fit into an entry");

PyAPI_DATA(const layout_entry) PyStackless_Layout[];

#define NUMBER(name, count)            {name, {.number = (count)}}
#define FIELD(title, type, member)     NUMBER(title "." #member, offsetof(type, member))
#define SIZE(title, type)              NUMBER("sizeof." title, sizeof(type))
#define BITS(title, member, all)       {"bits." #title "." #member, {.title = {.member = (all)}}}

const layout_entry PyStackless_Layout[] = {
    NUMBER("stackless.layout", 1),

    /* the base's */
    FIELD("runtime", _PyRuntimeState, interpreters.head),
    FIELD("interp", PyInterpreterState, next),
    FIELD("interp", PyInterpreterState, id),
    FIELD("interp", PyInterpreterState, threads.head),
    FIELD("interp", PyInterpreterState, gc.collecting),
    FIELD("interp", PyInterpreterState, gc.generations),
    FIELD("interp", PyInterpreterState, gc.permanent_generation),
    SIZE("generation", struct gc_generation),
    NUMBER("generations", NUM_GENERATIONS),
    FIELD("generation", struct gc_generation, head),
    FIELD("gc", PyGC_Head, _gc_next),
    SIZE("gc", PyGC_Head),
    FIELD("tstate", PyThreadState, next),
    FIELD("tstate", PyThreadState, thread_id),
    FIELD("tstate", PyThreadState, native_thread_id),
    FIELD("tstate", PyThreadState, cframe),
    FIELD("tstate", PyThreadState, root_cframe.previous),
    FIELD("cframe", _PyCFrame, current_frame),
    FIELD("frame", _PyInterpreterFrame, f_code),
    FIELD("frame", _PyInterpreterFrame, prev_instr),
    FIELD("frame", _PyInterpreterFrame, previous),
    FIELD("object", PyObject, ob_type),
    SIZE("object", PyObject),
    FIELD("var", PyVarObject, ob_size),
    FIELD("type", PyTypeObject, tp_base),
    FIELD("bytes", PyBytesObject, ob_sval),
    FIELD("code", PyCodeObject, co_filename),
    FIELD("code", PyCodeObject, co_qualname),
    FIELD("code", PyCodeObject, co_linetable),
    FIELD("code", PyCodeObject, co_firstlineno),
    FIELD("code", PyCodeObject, _co_firsttraceable),
    FIELD("code", PyCodeObject, co_code_adaptive),
    SIZE("code_unit", _Py_CODEUNIT),
    FIELD("str", PyASCIIObject, length),
    FIELD("str", PyASCIIObject, state),
    FIELD("str", PyUnicodeObject, data),
    SIZE("str_ascii", PyASCIIObject),
    SIZE("str_compact", PyCompactUnicodeObject),
    BITS(str, kind, 7),
    BITS(str, compact, 1),
    BITS(str, ascii, 1),

    /* ours */
    FIELD("thread", slp_thread, tstate),
    FIELD("thread", slp_thread, current),
    FIELD("tasklet", PyTaskletObject, next),
    FIELD("tasklet", PyTaskletObject, thread),
    FIELD("tasklet", PyTaskletObject, channel),
    FIELD("tasklet", PyTaskletObject, frame),
    FIELD("tasklet", PyTaskletObject, carrier),
    FIELD("tasklet", PyTaskletObject, extra),
    FIELD("tasklet", PyTaskletObject, flags),
    BITS(tasklet, blocked, -1),
    BITS(tasklet, is_main, 1),
    BITS(tasklet, pinned, 1),
    BITS(tasklet, waits_in_run, 1),
    BITS(tasklet, idle, 1),
    FIELD("extra", slp_tasklet_extra, name),
    FIELD("carrier", slp_carrier, sp),
    FIELD("carrier", slp_carrier, low),
    FIELD("carrier", slp_carrier, high),

    NUMBER("", 0),
};
