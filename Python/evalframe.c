/* The public calls that run a frame object, pointed at our loop.
 *
 * In the base's static archive they reach its loop by a jump that the assembler resolved within the member,
 * so replacing the loop alone does not redirect them (`make check-fork` looks for such jumps).
 */
#include "slp_base.h"

/* Run a frame object that was made but not started. */
PyObject *
PyEval_EvalFrame(PyFrameObject *frame)
{
    return PyEval_EvalFrameEx(frame, 0);
}

/* The same; with `throwflag` the exception that is set is raised in the frame. */
PyObject *
PyEval_EvalFrameEx(PyFrameObject *frame, int throwflag)
{
    return _PyEval_EvalFrame(_PyThreadState_GET(), frame->f_frame, throwflag);
}
