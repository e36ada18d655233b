/* A program that embeds the shared library, for test_embed_shared.py.

       embedder MODE PYTHON SOURCE

   runs SOURCE in one life of the interpreter, in ten or in a hundred, in the way MODE says; PYTHON becomes
   the program name. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *python, *source;

/* Start the interpreter as an embedder does that cares where the library's files are. */
static void
start(const char *mode)
{
    PyConfig config;
    PyStatus status;

    if (strcmp(mode, "isolated") == 0) {
        PyConfig_InitIsolatedConfig(&config);
    }
    else {
        PyConfig_InitPythonConfig(&config);
    }
    config.install_signal_handlers = 0;
    status = PyConfig_SetBytesString(&config, &config.program_name, python);
    if (!PyStatus_Exception(status)) {
        status = Py_InitializeFromConfig(&config);
    }
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status)) {
        Py_ExitStatusException(status);
    }
}

/* Run the source in __main__ and end the process with status 1 when it fails. */
static void
run_source(void)
{
    if (PyRun_SimpleString(source) != 0) {
        fprintf(stderr, "the source failed\n");
        exit(1);
    }
}

/* A thread that Python did not make: it takes the GIL, runs the source, and gives it back. */
static void *
foreign_thread(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();

    (void)unused;
    run_source();
    PyGILState_Release(state);
    return NULL;
}

/* Run the source in three such threads, with stacks of this size (0: as usual). */
static void
run_threads(size_t stack_size)
{
    pthread_t threads[3];
    pthread_attr_t attributes;
    PyThreadState *main_state = PyEval_SaveThread();

    pthread_attr_init(&attributes);
    if (stack_size != 0 && pthread_attr_setstacksize(&attributes, stack_size) != 0) {
        abort();
    }
    for (int i = 0; i < 3; i++) {
        if (pthread_create(&threads[i], &attributes, foreign_thread, NULL) != 0) {
            abort();
        }
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_attr_destroy(&attributes);
    PyEval_RestoreThread(main_state);
}

/* One life of the interpreter: from start to Py_FinalizeEx. */
static void
live(const char *mode)
{
    if (strcmp(mode, "plain") == 0) {
        Py_Initialize();
    }
    else {
        start(mode);
    }
    if (strcmp(mode, "threads") == 0) {
        run_threads(0);
    }
    else if (strcmp(mode, "small-threads") == 0) {
        run_threads(64 * 1024);
    }
    else if (strcmp(mode, "subinterpreters") == 0) {
        PyThreadState *main_state = PyThreadState_Get();
        for (int i = 0; i < 3; i++) {
            PyThreadState *other = Py_NewInterpreter();
            run_source();
            Py_EndInterpreter(other);
            PyThreadState_Swap(main_state);
        }
        run_source();
    }
    else {
        run_source();
    }
    if (Py_FinalizeEx() < 0) {
        fprintf(stderr, "Py_FinalizeEx failed\n");
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: embedder MODE PYTHON SOURCE\n");
        return 2;
    }
    python = argv[2];
    source = argv[3];
    int lives = strcmp(argv[1], "cycles") == 0 ? 10 : strcmp(argv[1], "hundred") == 0 ? 100 : 1;
    for (int i = 0; i < lives; i++) {
        live(argv[1]);
    }
    return 0;
}
