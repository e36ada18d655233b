/* Bombs: exceptions on their way to a tasklet.
 *
 * A bomb stands in a tasklet's tempval or travels through a channel like any value; where it would
 * be delivered, its exception is raised instead.
 */
#ifndef SLP_BOMB_H
#define SLP_BOMB_H

#include "slp_base.h"

typedef struct slp_bomb {
    PyObject_HEAD
    PyObject *type;                    /* strong, never NULL: what sys.exc_info() would give, */
    PyObject *value;                   /*   or, for value, a tuple of constructor arguments */
    PyObject *traceback;
} slp_bomb;

extern PyTypeObject slp_bomb_type;

/* builtins.TaskletExit (Stackless/module/taskletexit.c). */
extern PyTypeObject slp_TaskletExit;
#define SLP_TASKLET_EXIT ((PyObject *)&slp_TaskletExit)

static inline bool
slp_bomb_check(PyObject *op)
{
    return Py_IS_TYPE(op, &slp_bomb_type);
}

/* Set the exception that `bomb` carries (borrowed; it can explode again).  TypeError for a bomb
 * that carries no exception. */
void slp_bomb_explode(PyThreadState *tstate, PyObject *bomb);

/* Fetch the current exception into a new bomb.  Cannot fail: without memory, the result is a bomb
 * that carries MemoryError. */
PyObject *slp_bomb_from_error(PyThreadState *tstate);

/* A new bomb that raises exc(*args); TypeError if `exc` is no exception class.  `args` is a tuple. */
PyObject *slp_bomb_from_class(PyObject *exc, PyObject *args);

/* A new bomb that raises TaskletExit, as kill() does.  NULL with MemoryError. */
PyObject *slp_bomb_exit(void);

/* A new bomb for what `raise` and generator.throw() accept: a class with an optional value, or an
 * instance alone; `value` and `traceback` are None if absent.  TypeError names `where`, the
 * method, and what does not fit. */
PyObject *slp_bomb_from_throw(const char *where, PyObject *exc, PyObject *value, PyObject *traceback);

/* A new bomb that is never freed and raises exc(text) again and again: for places that cannot
 * allocate. */
PyObject *slp_bomb_forever(PyObject *exc, const char *text);

/* Ready the type, and make the bomb for times without memory.  -1 with an exception. */
int slp_bomb_init(void);

#endif
