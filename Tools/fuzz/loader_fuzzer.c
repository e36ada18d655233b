/* libFuzzer's way to the loader of images: bytes that it makes up from those that led to new branches of the
 * loader's code (Stackless/pickling, compiled for coverage) are loaded and run by worker.py.
 *
 * fuzz.py's changes keep images well-formed; this one finds by itself what an image may look like.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* worker.load_and_run */
static PyObject *load_and_run;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    Py_Initialize();
    if (PyRun_SimpleString("import sys, warnings; warnings.simplefilter('ignore')\n"
                           "sys.path[:0] = '" FUZZ_FOLDER "', '" FUZZ_LIB "'\n"
                           "import worker; worker.prepare()\n")
        != 0) {
        Py_FatalError("the fuzzer's worker cannot be set up");
    }
    PyObject *worker = PyImport_ImportModule("worker");
    load_and_run = worker == NULL ? NULL : PyObject_GetAttrString(worker, "load_and_run");
    if (load_and_run == NULL) {
        Py_FatalError("the fuzzer has no worker");
    }
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PyObject *result = PyObject_CallFunction(load_and_run, "y#", (const char *)data, (Py_ssize_t)size);
    if (result == NULL) {
        PyErr_Clear();   /* every exception is a right answer */
    }
    Py_XDECREF(result);
    return 0;
}
