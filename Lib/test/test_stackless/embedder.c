/* A program that embeds the shared library, for test_embed_shared.py.

       embedder MODE PYTHON SOURCE

   runs SOURCE in one life of the interpreter, in ten or in a hundred, in the way MODE says; PYTHON becomes
   the program name.

   In the mode `hundred`, it prints after each life how many blocks of the object allocator, bytes of malloc()
   and pages of memory are in use.  LEFTOVERS in the environment is a file descriptor:
   threads left behind that read from it return after the end of the interpreter. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *python, *source;

/* What sys.getallocatedblocks() asks; no public header has it. */
PyAPI_FUNC(Py_ssize_t) _Py_GetAllocatedBlocks(void);

/* Start the interpreter as an embedder does that cares where the library's files are. */
static void
start(const char *mode)
{
    PyConfig config;
    PyStatus status;

    if (strcmp(mode, "isolated") == 0) {
        static char *own_arguments[] = {"host", "--option", "argument"};
        PyConfig_InitIsolatedConfig(&config);
        config.site_import = 0;
        status = PyConfig_SetBytesArgv(&config, 3, own_arguments);
    }
    else {
        PyConfig_InitPythonConfig(&config);
        config.install_signal_handlers = 0;
        status = PyStatus_Ok();
    }
    if (!PyStatus_Exception(status)) {
        status = PyConfig_SetBytesString(&config, &config.program_name, python);
    }
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

/* How many threads the process has. */
static int
count_threads(void)
{
    DIR *folder = opendir("/proc/self/task");
    int count = 0;

    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

/* Print what the process has in use. */
static void
print_memory(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long resident = 0;

    if (fscanf(file, "%*d %ld", &resident) != 1) {
        abort();
    }
    fclose(file);
    printf("%zd %zu %ld\n", _Py_GetAllocatedBlocks(), mallinfo2().uordblks, resident);
}

/* A hundred lives; threads that outlive them end before the next one begins. */
static void
live_hundred_times(const char *mode)
{
    for (int i = 0; i < 100; i++) {
        int ends[2];
        char number[20];

        if (pipe(ends) != 0) {
            abort();
        }
        snprintf(number, sizeof(number), "%d", ends[0]);
        setenv("LEFTOVERS", number, 1);
        live(mode);
        close(ends[1]);
        while (count_threads() > 1) {
            usleep(100);
        }
        close(ends[0]);
        print_memory();
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
    if (strcmp(argv[1], "hundred") == 0) {
        live_hundred_times(argv[1]);
        return 0;
    }
    int lives = strcmp(argv[1], "cycles") == 0 ? 10 : 1;
    for (int i = 0; i < lives; i++) {
        live(argv[1]);
    }
    return 0;
}
