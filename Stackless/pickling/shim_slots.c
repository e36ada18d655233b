/* The stacks that shims can have while they wait: what a loader accepts (slp_shims.h has the shims).
 *
 * The instructions of shims trust their stacks.  Each row says for one place of a shim which values stand
 * there, the oldest first:
 *
 *   o  any object                 t  a tuple         i  an int from 0 to the row's `limit`
 *   N  NULL                       d  a dict          j  the distance of a jump (checked with the frame below)
 *   n  any object, or NULL        s  a str           g  a generator or coroutine
 *   y  a class                    c  a context, or None
 *   T  a tuple that throw() takes a  what asend() and athrow() return
 *   D  a dict, or NULL            L  a function of functools.lru_cache()
 *   x  a class of exceptions      S  a set
 *   f  a function                 l  a list (q: exactly a list)
 *   h  the calls of a class's hooks (Python/soft_classhooks.c)
 *   z  a call of an extension's soft function          b  bytes
 *   M  a dict or an instance of a subclass              B  a bytearray
 *
 * Shims without a row are twins: ordinary bytecode under a name, which has a stack map.
 */
#include "slp_pickle_frame.h"

#include "internal/pycore_context.h"

#include "slp_iterators.h"
#include "slp_opcodes.h"
#include "slp_protocol.h"
#include "slp_soft.h"
#include "slp_softcall.h"

typedef struct {
    const char *shim;
    const char *units; /* where it may stand: code units, -1 as ~ and others as chars from '0' on */
    const char *slots;
    slp_wait_kind wait;
    int limit;
} stack_row;

/* The code unit that a character of `units` stands for. */
#define UNIT(c) ((c) == '~' ? -1 : (c) - '0')

#define VALUE   SLP_WAITS_VALUE
#define ITEM    SLP_WAITS_ITEM
#define TRUTH   SLP_WAITS_TRUTH

static const stack_row rows[] = {
    {"<tasklet>", "0", "Not", VALUE, 0},
    {"<tasklet>", "2", "", VALUE, 0},
    {"<tasklet with keywords>", "0", "Notd", VALUE, 0},
    {"<tasklet with keywords>", "2", "", VALUE, 0},
    {"<started tasklet>", "0", "", VALUE, 0},
    {"<__init__ result>", "~", "o", VALUE, 0},
    {"<not>", "~2567", "", VALUE, 0},
    {"<conditional jump>", "~135", "j", VALUE, 0},
    {"<conditional jump>", "79;=", "oj", VALUE, 0},
    {"<statement>", "~", "", VALUE, 0},
    {"<attribute>", "02", "os", VALUE, 0},
    {"<default>", "036", "o", VALUE, 0},
    {"<operator>", "~0123", "ooi", VALUE, SLP_DIVMOD},
    {"<comparison>", "~012346", "ooi", VALUE, Py_GE},
    {"<format>", "~", "o", VALUE, 0},
    {"<format>", "123", "", VALUE, 0},
    {"<__new__ result>", "~", "ytn", VALUE, 0},
    {"<__new__ result>", "0", "o", VALUE, 0},
    {"<next>", "0", "o", ITEM, 0},
    {"<next with default>", "0", "oo", ITEM, 0},
    {"<close>", "7", "g", VALUE, 0},
    {"<close>", "9<", "g", ITEM, 0},
    {"<throw>", "1", "g", VALUE, 0},
    {"<throw GeneratorExit>", "7", "Tg", VALUE, 0},
    {"<throw GeneratorExit>", "9<", "Tg", ITEM, 0},
    {"<asynchronous generator>", "048<", "ao", ITEM, 0},
    {"<anext with default>", "0", "oo", ITEM, 0},
    {"<exec>", "~", "", VALUE, 0},
    {"<import>", "0", "ssIn", VALUE, 0},
    {"<import>", "2", "soIn", VALUE, 0},
    {"<raise>", "~", "xn", VALUE, 0},
    {"<class>", "~", "fstDqnI", VALUE, 0},
    {"<class>", "0", "fstDto", VALUE, 0},
    {"<class>", "1", "fstDtoo", VALUE, 0},
    {"<class>", "2", "fstDtooo", VALUE, 0},
    {"<class hooks>", "0", "yhI", VALUE, 0},
    {"<Context.run>", "1", "c", VALUE, 0},
    {"<context_run>", "0", "c", VALUE, 0},
    {"<lru_cache>", "~", "LtD", VALUE, 0},
    {"<iterator>", "14", "oIn", VALUE, 0},
    {"<iterator>", "14", "oIno", ITEM, 0},
    {"<send_sequence>", "1", "Ioo", ITEM, 0},
    {"<send_sequence>", "9", "Ioo", VALUE, 0},
    {"<list of>", "0", "ol", VALUE, 0},
    {"<list of>", "2", "olo", ITEM, 0},
    {"<tuple of>", "0", "ol", VALUE, 0},
    {"<tuple of>", "2", "olo", ITEM, 0},
    {"<list.extend>", "0", "ol", VALUE, 0},
    {"<list.extend>", "2", "olo", ITEM, 0},
    {"<list display>", "0", "ol", VALUE, 0},
    {"<list display>", "2", "olo", ITEM, 0},
    {"<set of>", "0", "oS", VALUE, 0},
    {"<set of>", "2", "oSo", ITEM, 0},
    {"<frozenset of>", "0", "oS", VALUE, 0},
    {"<frozenset of>", "2", "oSo", ITEM, 0},
    {"<set.update>", "0", "oS", VALUE, 0},
    {"<set.update>", "2", "oSo", ITEM, 0},
    {"<set display>", "0", "oS", VALUE, 0},
    {"<set display>", "2", "oSo", ITEM, 0},
    {"<str.join>", "0", "sol", VALUE, 0},
    {"<str.join>", "2", "solo", ITEM, 0},
    {"<bytes.join>", "0", "bol", VALUE, 0},
    {"<bytes.join>", "2", "bolo", ITEM, 0},
    {"<unpacking>", "0", "Ioq", VALUE, 0},
    {"<unpacking>", "1", "Ioqo", ITEM, 0},
    {"<starred unpacking>", "0", "IIoq", VALUE, 0},
    {"<starred unpacking>", "2", "IIoqo", ITEM, 0},
    {"<starred unpacking>", "8", "IIooq", VALUE, 0},
    {"<starred unpacking>", ":", "IIooqo", ITEM, 0},
    {"<call with *>", "0", "Nool", VALUE, 0},
    {"<call with *>", "2", "Noolo", ITEM, 0},
    {"<call with *>", "8", "", VALUE, 0},
    {"<call with * and **>", "0", "dNool", VALUE, 0},
    {"<call with * and **>", "2", "dNoolo", ITEM, 0},
    {"<call with * and **>", "9", "d", VALUE, 0},
    {"<sum>", "07", "oo", VALUE, 0},
    {"<sum>", "1", "ooo", ITEM, 0},
    {"<any>", "0", "o", VALUE, 0},
    {"<any>", "1", "oo", ITEM, 0},
    {"<any>", "2", "oo", TRUTH, 0},
    {"<all>", "0", "o", VALUE, 0},
    {"<all>", "1", "oo", ITEM, 0},
    {"<all>", "2", "oo", TRUTH, 0},
    {"<min>", "0", "no", VALUE, 0},
    {"<min>", "1", "noo", ITEM, 0},
    {"<min>", "3", "nooo", ITEM, 0},
    {"<min>", "8", "noooo", VALUE, 0},
    {"<min>", "9", "noooo", TRUTH, 0},
    {"<max>", "0", "no", VALUE, 0},
    {"<max>", "1", "noo", ITEM, 0},
    {"<max>", "3", "nooo", ITEM, 0},
    {"<max>", "8", "noooo", VALUE, 0},
    {"<max>", "9", "noooo", TRUTH, 0},
    {"<min by key>", "0", "noo", VALUE, 0},
    {"<min by key>", "1", "nooo", ITEM, 0},
    {"<min by key>", ";", "noooo", VALUE, 0},
    {"<min by key>", "=", "nooooo", ITEM, 0},
    {"<min by key>", "G", "noooooo", VALUE, 0},
    {"<min by key>", "L", "nooooooo", VALUE, 0},
    {"<min by key>", "M", "nooooooo", TRUTH, 0},
    {"<max by key>", "0", "noo", VALUE, 0},
    {"<max by key>", "1", "nooo", ITEM, 0},
    {"<max by key>", ";", "noooo", VALUE, 0},
    {"<max by key>", "=", "nooooo", ITEM, 0},
    {"<max by key>", "G", "noooooo", VALUE, 0},
    {"<max by key>", "L", "nooooooo", VALUE, 0},
    {"<max by key>", "M", "nooooooo", TRUTH, 0},
    {"<reduce>", "1", "oooo", ITEM, 0},
    {"<reduce>", "<", "ooooo", VALUE, 0},
    {"<reduce from the first>", "1", "ooo", ITEM, 0},
    {"<reduce from the first>", "3", "oooo", ITEM, 0},
    {"<reduce from the first>", ">", "ooooo", VALUE, 0},
    {"<in>", "1", "oooo", ITEM, 0},
    {"<in>", "9", "oooo", VALUE, 0},
    {"<in>", ":", "oooo", TRUTH, 0},
    {"<any class>", "~", "itoI", VALUE, 1},
    {"<dict of>", "0", "odI", VALUE, 0},
    {"<dict of>", "1", "odIo", ITEM, 0},
    {"<dict.update>", "0", "oMI", VALUE, 0},
    {"<dict.update>", "1", "oMIo", ITEM, 0},
    {"<bytes of>", "0", "oBo", VALUE, 0},
    {"<bytes of>", "1", "oBoo", ITEM, 0},
    {"<bytearray of>", "0", "oBo", VALUE, 0},
    {"<bytearray of>", "1", "oBoo", ITEM, 0},
    {"<deque of>", "0", "ooo", VALUE, 0},
    {"<deque of>", "1", "oooo", ITEM, 0},
    {"<deque.extend>", "0", "ooo", VALUE, 0},
    {"<deque.extend>", "1", "oooo", ITEM, 0},
    {"<count elements>", "0", "oMo", VALUE, 0},
    {"<count elements>", "1", "oMoo", ITEM, 0},
    {"<print>", "~", "ooootIIn", VALUE, 0},
    {"<% at once>", "~", "stI", VALUE, 0},
    {"<%>", "~", "stnIIs", VALUE, 0},
    {"<str.format>", "~", "stnIIs", VALUE, 0},
    {"<soft function>", "0", "z", VALUE, 0},
    {"<soft request>", "024", "", VALUE, 0},
    {"<sorted>", "0", "oolol", VALUE, 0},
    {"<sorted>", "2", "oololo", ITEM, 0},
    {"<sorted>", "D", "oololoo", VALUE, 0},
    {"<list.sort>", "<", "loqoqoo", VALUE, 0},
};

static bool
is_int_up_to(PyObject *value, long limit)
{
    int overflow;
    if (!PyLong_CheckExact(value)) {
        return false;
    }
    long n = PyLong_AsLongAndOverflow(value, &overflow);
    return !overflow && n >= 0 && n <= limit;
}

/* Will throw() take these arguments? */
static bool
is_throwable(PyObject *args)
{
    Py_ssize_t count = PyTuple_CheckExact(args) ? PyTuple_GET_SIZE(args) : 0;
    if (count < 1 || count > 3) {
        return false;
    }
    PyObject *type = PyTuple_GET_ITEM(args, 0);
    PyObject *traceback = count > 2 ? PyTuple_GET_ITEM(args, 2) : Py_None;
    return (traceback == Py_None || PyTraceBack_Check(traceback))
           && (PyExceptionClass_Check(type)
               || (PyExceptionInstance_Check(type) && (count == 1 || PyTuple_GET_ITEM(args, 1) == Py_None)));
}

static bool
fits(char letter, PyObject *value, int limit)
{
    if (value == NULL) {
        return letter == 'N' || letter == 'n' || letter == 'D';
    }
    switch (letter) {
    case 'o':
    case 'n':
        return true;
    case 't':
        return PyTuple_CheckExact(value);
    case 'd':
    case 'D':
        return PyDict_CheckExact(value);
    case 'T':
        return is_throwable(value);
    case 'a':
        return Py_IS_TYPE(value, &_PyAsyncGenASend_Type) || Py_IS_TYPE(value, &_PyAsyncGenAThrow_Type);
    case 'L':
        return slp_is_cached_function(value);
    case 'x':
        return PyExceptionClass_Check(value);
    case 'f':
        return Py_IS_TYPE(value, &PyFunction_Type);
    case 'h':
        return slp_are_hook_calls(value);
    case 'z':
        return slp_is_soft_state(value);
    case 'l':
        return PyList_Check(value);
    case 'q':
        return PyList_CheckExact(value);
    case 'S':
        return PyAnySet_Check(value);
    case 'B':
        return PyByteArray_CheckExact(value);
    case 'M':
        return PyDict_Check(value);
    case 'b':
        return PyBytes_Check(value);
    case 's':
        return PyUnicode_CheckExact(value);
    case 'y':
        return PyType_Check(value);
    case 'c':
        return value == Py_None || PyContext_CheckExact(value);
    case 'g':
        return PyGen_CheckExact(value) || PyCoro_CheckExact(value) || PyAsyncGen_CheckExact(value)
               || slp_is_generator_shell(value);
    case 'i':
        return is_int_up_to(value, limit);
    case 'I':
        return is_int_up_to(value, LONG_MAX);
    case 'j':
        return PyLong_CheckExact(value);
    default:
        return false;
    }
}

static bool
row_fits(const stack_row *row, PyObject *const *values)
{
    for (Py_ssize_t i = 0; row->slots[i] != '\0'; i++) {
        if (!fits(row->slots[i], values[i], row->limit)) {
            return false;
        }
    }
    return true;
}

/* Does the stack of an iterator's shim fit the iterator?  true of all other shims. */
static bool
iterator_fits(PyCodeObject *shim, PyObject *const *values)
{
    return !_PyUnicode_EqualToASCIIString(shim->co_name, "<iterator>")
           || slp_iterator_state_fits(values[0], PyLong_AsLong(values[1]), values[2]);
}

/* The shim that checks results has a place for each kind of result; all but one have an empty stack. */
static int
check_result_shim(int unit, PyObject *const *values, Py_ssize_t count)
{
    int next = unit + 1;
    return next >= 0 && next % 2 == 0 && next < 2 * SLP_RESULTS
           && (next / 2 != SLP_RESULT_FLOAT || count == 1)
           && (count == 0 || (count == 1 && values[0] != NULL));
}

bool
slp_shim_has_rows(PyCodeObject *shim)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rows); i++) {
        if (_PyUnicode_EqualToASCIIString(shim->co_name, rows[i].shim)) {
            return true;
        }
    }
    return shim == slp_shim_check;
}

PyObject *
slp_unknown_shims(PyObject *module, PyObject *noargs)
{
    PyObject *names = PyList_New(0);
    PyCodeObject *shim;
    for (int i = 0; names != NULL && (shim = slp_shim_number(i)) != NULL; i++) {
        if (slp_shim_has_rows(shim)) {
            continue;
        }
        slp_stackmap *map = slp_stackmap_of(shim);
        if (map != NULL) {
            slp_stackmap_free(map);
            continue;
        }
        PyErr_Clear();
        if (PyList_Append(names, shim->co_name) < 0) {
            Py_CLEAR(names);
        }
    }
    return names;
}

int
slp_shim_check_jump(int unit, PyObject *const *values, Py_ssize_t count, int opcode, int distance)
{
    int entry = unit + 1;
    bool if_true = opcode == POP_JUMP_FORWARD_IF_TRUE || opcode == POP_JUMP_BACKWARD_IF_TRUE
                   || opcode == JUMP_IF_TRUE_OR_POP;
    bool keeps = opcode == JUMP_IF_TRUE_OR_POP || opcode == JUMP_IF_FALSE_OR_POP;
    int overflow;
    if (((entry & SLP_JUMP_IF_TRUE) != 0) == if_true && ((entry & SLP_JUMP_KEEPS) != 0) == keeps
        && PyLong_AsLongAndOverflow(values[count - 1], &overflow) == distance && !overflow) {
        return 0;
    }
    slp_refuse_image("a frame", "a conditional jump is not that of the frame below");
    return -1;
}

/* Is it the shim of a starred unpacking? */
static bool
is_starred(PyCodeObject *shim)
{
    return _PyUnicode_EqualToASCIIString(shim->co_name, "<starred unpacking>");
}

int
slp_shim_check_unpacking(PyCodeObject *shim, PyObject *const *values, int wanted)
{
    if (is_starred(shim) ? wanted < 0 && PyLong_AsLong(values[0]) == (~wanted & 0xFF)
                               && PyLong_AsLong(values[1]) == ~wanted >> 8
                         : PyLong_AsLong(values[0]) == wanted) {
        return 0;
    }
    slp_refuse_image("a frame", "it unpacks another number of values than the frame below wants");
    return -1;
}

int
slp_shim_check_stack(PyCodeObject *shim, int unit, PyObject *const *values, Py_ssize_t count,
                     slp_wait_kind *wait, int *distance)
{
    *wait = SLP_WAITS_VALUE;
    *distance = 0;
    if (shim == slp_shim_check) {
        if (check_result_shim(unit, values, count)) {
            return 0;
        }
        /* setattr() and delattr(), which answer with the None that is there. */
        if (unit == 0 && count == 1 && values[0] == Py_None) {
            *wait = SLP_WAITS_NOTHING;
            return 0;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(rows); i++) {
        const stack_row *row = &rows[i];
        if (!_PyUnicode_EqualToASCIIString(shim->co_name, row->shim)
            || (Py_ssize_t)strlen(row->slots) != count) {
            continue;
        }
        for (const char *c = row->units; *c != '\0'; c++) {
            if (UNIT(*c) == unit && row_fits(row, values) && iterator_fits(shim, values)) {
                *wait = row->wait;
                *distance = row->wait == VALUE ? 0 : _Py_OPARG(_PyCode_CODE(shim)[unit]);
                return 0;
            }
        }
    }
    slp_refuse_image("a frame", "the stack of shim %R does not fit its place", shim->co_name);
    return -1;
}

slp_wait_kind
slp_shim_gives(PyCodeObject *shim)
{
    static const char *const items[] = {"<throw>", "<throw GeneratorExit>", "<asynchronous generator>",
                                        "<anext with default>", "<iterator>"};
    if (shim == slp_shim_nothing || _PyUnicode_EqualToASCIIString(shim->co_name, "<list display>")
        || _PyUnicode_EqualToASCIIString(shim->co_name, "<set display>")) {
        return SLP_WAITS_NOTHING;
    }
    if (shim == slp_shim_jump) {
        return SLP_WAITS_TRUTH;
    }
    if (_PyUnicode_EqualToASCIIString(shim->co_name, "<raise>")) {
        return SLP_WAITS_RAISE;
    }
    if (is_starred(shim) || _PyUnicode_EqualToASCIIString(shim->co_name, "<unpacking>")) {
        return SLP_WAITS_ITEMS;
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(items); i++) {
        if (_PyUnicode_EqualToASCIIString(shim->co_name, items[i])) {
            return SLP_WAITS_ITEM;
        }
    }
    return SLP_WAITS_VALUE;
}
