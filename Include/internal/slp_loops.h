/* Builtins that exhaust an iterator, or call a function again and again, as loops of shims: list(g), sum(g),
 * sorted(xs, key=f), a, b = g (Python/soft_loops.c, Python/soft_items.c, Python/soft_folds.c,
 * Python/soft_sort.c).
 *
 * Where Python code is behind the iterator or the function, a shim is pushed whose bytecode is the loop:
 *
 *      caller ──> <list of> shim: FOR_ITER, LIST_APPEND, JUMP_BACKWARD ──> generator
 *
 * so that the generator comes back to a FOR_ITER, a key function to a CALL, as in any loop.  C does
 * all others, at full speed.  As in C, the iterable lives until the loop is over: the shim holds it.
 */
#ifndef SLP_LOOPS_H
#define SLP_LOOPS_H

#include "slp_soft.h"

/* How a loop ends: the argument of SLP_LOOP_DONE. */
typedef enum {
    SLP_LOOP_TUPLE,        /* [..., list]: as a tuple */
    SLP_LOOP_FROZENSET,    /* [..., set]: as a frozenset */
    SLP_LOOP_JOIN,         /* [separator, iterable, list]: as a str, or as bytes */
    SLP_LOOP_FALSE,        /* any() has found nothing, all() something */
    SLP_LOOP_FOUND,        /* [negate, ...]: `in` has found the object */
    SLP_LOOP_NOT_FOUND,
    SLP_LOOP_MIN_EMPTY,    /* [default, ...]: the default, or ValueError */
    SLP_LOOP_MAX_EMPTY,
    SLP_LOOP_REDUCE_EMPTY, /* reduce() has nothing to begin with: TypeError */
    SLP_LOOP_BYTES,        /* [..., bytearray]: as bytes */
    SLP_LOOP_SORT,         /* [.., reverse, items, None, keys]: the items, sorted */
    SLP_LOOP_SORT_BY_KEYS, /* [iterable, reverse, items, key, keys]: the same, by their keys */
    SLP_LOOP_SORT_IN_PLACE, /* [list, reverse, items, key, keys]: None; the list is sorted */
} slp_loop_end;

/* Could they?  Two loads, for instructions. */
static inline bool
slp_may_loop_in_python(PyObject *obj)
{
    return Py_TYPE(obj)->tp_iternext != NULL || slp_has_heap_type(obj);
}

/* Do iter(obj) and next() of that run Python code? */
bool slp_loops_in_python(PyObject *obj);

/* SLP_LOOP_HINT: ask `iterable` for its length, as who makes room in a list of `size` items does.  -1 with an
 * exception. */
int slp_loop_hint(PyObject *iterable, Py_ssize_t size);
/* In its argument: C would begin another list here. */
#define SLP_HINT_OF_ANOTHER 16

/* SLP_LOOP_DONE: the result of the loop whose values are `values[0 .. count - 1]` (borrowed); NULL with an
 * exception. */
PyObject *slp_loop_done(PyThreadState *tstate, slp_loop_end how, PyObject *const *values, Py_ssize_t count);

/* What becomes of an item: the argument of SLP_TAKE_ITEM. */
typedef enum {
    SLP_TAKE_PAIR,         /* a key and its value, for a dict; the state is how many it has had, an int */
    SLP_TAKE_BYTES,        /* a byte, for a bytearray that bytes are made of, */
    SLP_TAKE_BYTEARRAY,    /* or that is the result; no state */
    SLP_TAKE_COUNT,        /* a key of a dict, whose value grows by one; no state */
    SLP_TAKE_CALL,         /* the state is called with it */
} slp_taker;

/* SLP_TAKE_ITEM: let `container` have the item.  -1 with an exception. */
int slp_take_item(PyThreadState *tstate, slp_taker how, PyObject *container, PyObject **state,
                  PyObject *item);

/* Instructions; soft functions but for what is said. */

/* LIST_EXTEND and SET_UPDATE: nothing is pushed. */
PyObject *slp_soft_extend(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container,
                          PyObject *iterable, _PyInterpreterFrame **top);
/* UNPACK_SEQUENCE (`after` -1) and UNPACK_EX: pushes all the values. */
PyObject *slp_soft_unpack(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *iterable, int before,
                          int after, _PyInterpreterFrame **top);
/* CONTAINS_OP without a __contains__. */
PyObject *slp_soft_contains(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *container,
                            PyObject *item, bool negate, _PyInterpreterFrame **top);
/* functools.reduce(): a soft function. */
PyObject *slp_soft_reduce(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *self,
                          PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames,
                          _PyInterpreterFrame **top);
/* list += iterable. */
PyObject *slp_soft_list_add(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *list,
                            PyObject *iterable, _PyInterpreterFrame **top);
/* CALL_FUNCTION_EX: callable(*iterable, **kwargs), kwargs a dict or NULL. */
PyObject *slp_soft_call_star(PyThreadState *tstate, _PyInterpreterFrame *below, PyObject *callable,
                             PyObject *iterable, PyObject *kwargs, _PyInterpreterFrame **top);

/* SLP_SORT_FAILED: give the list back what it had before key functions were called. */
void slp_sort_failed(PyObject *list, PyObject *items);
/* A list.sort() that goes on where it was suspended, with these values (an image was loaded): take the list
 * for one that is being sorted, whatever is done to it for a change. */
void slp_sort_resumed(PyObject *list, PyObject *items);
/* The ends of sorted() and list.sort(). */
PyObject *slp_sort_plain(PyObject *items, bool reverse);
PyObject *slp_sort_by_keys(PyObject *items, PyObject *keys, bool reverse);
PyObject *slp_sort_in_place(PyObject *list, PyObject *items, PyObject *keys, bool reverse);

/* Push the shim of a loop with `count` values (borrowed, may be NULL), begun at `entry`; a soft function's
 * answer. */
PyObject *slp_enter_loop(PyThreadState *tstate, _PyInterpreterFrame *below, PyCodeObject *shim, int entry,
                         PyObject *const *values, int count, _PyInterpreterFrame **top);

/* The shim of a loop, which ends the process where it cannot be made. */
PyCodeObject *slp_loop_make(const char *name, int stacksize, const uint8_t *code, int code_size,
                            const uint8_t *handlers, int handlers_size);

/* `shim`: one with this code, and no handlers. */
#define SLP_LOOP_MAKE(shim, name, stacksize, ...)                                                  \
    do {                                                                                           \
        static const uint8_t code_[] = {__VA_ARGS__};                                              \
        (shim) = slp_loop_make((name), (stacksize), code_, sizeof(code_), NULL, 0);                \
    } while (0)

/* Registration, called by slp_soft_init(). */
void slp_soft_loops_init(void);
void slp_soft_items_init(void);
void slp_soft_folds_init(void);
void slp_soft_sort_init(void);

/* Code of loops: calls and comparisons with their caches. */
#define SLP_CODE_CALL(count)                                                                       \
    PRECALL, (count), CACHE, 0, CALL, (count), CACHE, 0, CACHE, 0, CACHE, 0, CACHE, 0
#define SLP_CODE_COMPARE(op) COMPARE_OP, (op), CACHE, 0, CACHE, 0
/* Five units: exhaust iter(top) into the list that stands at `list` (LIST_APPEND's argument), or the set; the
 * iterable stands `holder` below the top. */
#define SLP_CODE_COLLECT(holder, list)                                                             \
    GET_ITER, 0, SLP_LOOP_HINT, (holder), FOR_ITER, 2, LIST_APPEND, (list), JUMP_BACKWARD, 3
#define SLP_CODE_COLLECT_SET(set) GET_ITER, 0, NOP, 0, FOR_ITER, 2, SET_ADD, (set), JUMP_BACKWARD, 3

#endif
