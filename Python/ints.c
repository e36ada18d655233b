/* The ints that wait to be used again (slp_ints.h). */
#include "slp_ints.h"

slp_int_list slp_ints;

#ifndef __SANITIZE_ADDRESS__
/* tp_dealloc of int.  Instances of its subclasses come here, too, from their own tp_dealloc. */
static void
int_dealloc(PyObject *op)
{
    if (SLP_LIKELY(slp_ints.room > 0 && PyLong_CheckExact(op) && slp_is_one_digit(op) && Py_SIZE(op) != 0
                   && !_Py_tracemalloc_config.tracing)) {
        Py_SET_SIZE(op, (Py_ssize_t)slp_ints.first);
        slp_ints.first = (PyLongObject *)op;
        slp_ints.room--;
        return;
    }
    Py_TYPE(op)->tp_free(op);
}
#endif

void
slp_ints_open(void)
{
#ifndef __SANITIZE_ADDRESS__
    assert(slp_ints.first == NULL);
    PyLong_Type.tp_dealloc = int_dealloc;
    slp_ints.room = SLP_INTS_KEPT;
#endif
}

void
slp_ints_close(void)
{
    slp_ints.room = 0;
    while (slp_ints.first != NULL) {
        PyLongObject *op = slp_ints.first;
        slp_ints.first = (PyLongObject *)Py_SIZE(op);
        PyObject_Free(op);
    }
}
