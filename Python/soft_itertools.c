/* The types of itertools; learnt when itertools is imported. */
#include "slp_softcall.h"
int
slp_soft_itertools(PyObject *module)
{
    return 0;
}
