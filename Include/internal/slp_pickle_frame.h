/* Frames in images: how a suspended frame is described, and how it is built again.
 *
 * A description is a tuple:
 *
 *   code        a code object, or the name of a shim
 *   globals     the name of the module whose dict they are, or the dict; None for a shim
 *   unit        where it stands: the code unit of its prev_instr
 *   flags       SLP_FRAME_ bits
 *   nulls       which slots are NULL, a bit for each, as bytes; None: none is
 *   values      local variables, cells, value stack; None where a slot is NULL
 *   locals      f_locals where it is a namespace of its own; True: the globals; None: there is none
 *   generator   whose frame it is, where that runs in a tasklet; None
 *   exception   what the generator handles, or None
 *   f_trace     or None
 *   start       (closure or None, name, qualified name) of the function, where it has not begun; else None
 *
 * Reading a description checks all of it, against the stack map of the code (slp_stackmap.h) or the
 * signature of the shim (Stackless/pickling/shim_slots.c), before a frame is built of it.
 */
#ifndef SLP_PICKLE_FRAME_H
#define SLP_PICKLE_FRAME_H

#include "slp_pickle.h"
#include "slp_stackmap.h"

#define SLP_FRAME_THROW 1          /* it waits because of a throw() (SLP_WAITS_FOR_THROW) */

/* A description, read and checked. */
typedef struct {
    PyCodeObject *code;            /* strong, as all objects here */
    PyFunctionObject *func;        /* holds code and globals; NULL: a shim's, which
                                      takes them from the frame below (the base shim gets one) */
    PyObject *locals;              /* or NULL */
    PyObject *values;              /* a tuple */
    PyObject *nulls;               /* bytes, or NULL */
    PyGenObject *gen;              /* or NULL */
    PyObject *exception;           /* or NULL */
    PyObject *trace;               /* or NULL */
    PyObject *start;               /* or NULL */
    bool shim;                     /* the code is that of a shim of ours */
    int unit;
    int flags;
    slp_wait_kind wait;            /* for what it waits, at a position SLP_WAITING */
    int distance;                  /* what slp_stackmap_wait() says */
} slp_frame_image;

/* The description of a suspended frame.  `gen`: the generator whose frame it is while it runs in a tasklet,
 * or NULL.  `position`: SLP_BEFORE for a frame that was interrupted. */
PyObject *slp_frame_describe(_PyInterpreterFrame *frame, PyGenObject *gen, slp_position position);

/* Read a description; 0, or -1 with an exception that says what is wrong, and nothing is left in *image. */
int slp_frame_read(PyObject *description, slp_position position, slp_frame_image *image);
void slp_frame_image_clear(slp_frame_image *image);

/* Write it into `frame`, which has room for it and owns nothing.  Takes what *image holds, but for `gen` and
 * `exception`. */
void slp_frame_build(slp_frame_image *image, _PyInterpreterFrame *frame, _PyInterpreterFrame *below);

/* Set f_trace of a frame that was built, if the description had one.  -1 with an exception. */
int slp_frame_restore_trace(slp_frame_image *image, _PyInterpreterFrame *frame);

/* --- shims (Stackless/pickling/shim_slots.c) --- */

/* Does the table of stacks know the shim?  If not, it is a twin, which has a stack map. */
bool slp_shim_has_rows(PyCodeObject *shim);

/* A list of the names of all shims that are neither in the table nor have a stack map. */
PyObject *slp_unknown_shims(PyObject *module, PyObject *noargs);

/* The shim of a conditional jump, and the jump (its opcode, its distance) of the frame below. */
int slp_shim_check_jump(int unit, PyObject *const *values, Py_ssize_t count, int opcode, int distance);

/* Does a shim that unpacks give as many values as the frame below wants (slp_stackmap_wait())? */
int slp_shim_check_unpacking(PyCodeObject *shim, PyObject *const *values, int wanted);

/* Is this stack one that it can have at `unit`?  *wait: for what it waits there. */
int slp_shim_check_stack(PyCodeObject *shim, int unit, PyObject *const *values, Py_ssize_t count,
                         slp_wait_kind *wait, int *distance);

/* What the frame below gets from the shim when it is done: SLP_WAITS_VALUE, _NOTHING, _TRUTH, _ITEM,
 * _ITEMS or _RAISE. */
slp_wait_kind slp_shim_gives(PyCodeObject *shim);

/* --- generators (Stackless/pickling/generator.c) --- */

/* Is it a generator of an image (or a shell of one) that waits to get its frame from a tasklet? */
bool slp_is_frameless_generator(PyObject *op);
/* Is it a shell of a generator or a coroutine? */
bool slp_is_generator_shell(PyObject *op);

/* Fill the generator from the description of its frame, which takes `image`; its frame is linked to `below`
 * and runs.  Only for one that is frameless. */
void slp_generator_adopt(slp_frame_image *image, _PyInterpreterFrame *below, _PyErr_StackItem *outer);
/* The same for one that waits: state CREATED, SUSPENDED, or EXECUTING while it is being closed. */
void slp_generator_fill(PyGenObject *gen, slp_frame_image *image, int state);

#if SLP_TORTURE_PICKLE
/* Make a generator that runs in a suspended tasklet frameless: what its frame was, to be freed with
 * PyMem_Free(), owns all that it owned.  NULL with MemoryError. */
_PyInterpreterFrame *slp_generator_take_frame(PyGenObject *gen);
#endif

/* Add the stand-ins for generators to the module _stackless._wrap. */
int slp_add_generator_types(PyObject *wrap);
PyObject *slp_reduce_generator(PyObject *module, PyObject *generator);
/* Is it an asynchronous generator, or a shell of one? */
bool slp_is_async_generator(PyObject *op);
/* Is it a coroutine, or a shell of one? */
bool slp_is_coroutine(PyObject *op);

/* Is it what __await__() of that coroutine returned? */
bool slp_is_wrapper_of(PyObject *wrapper, PyGenObject *coroutine);

/* --- awaitables (Stackless/pickling/awaitables.c): methods of the module _stackless._wrap --- */

PyObject *slp_reduce_awaitable(PyObject *module, PyObject *awaitable);
PyObject *slp_make_awaitable(PyObject *module, PyObject *args);
PyObject *slp_reduce_wrapped_value(PyObject *module, PyObject *wrapped);
PyObject *slp_make_wrapped_value(PyObject *module, PyObject *value);
PyObject *slp_make_anext(PyObject *module, PyObject *args);
PyObject *slp_make_coroutine_wrapper(PyObject *module, PyObject *coroutine);

#endif
