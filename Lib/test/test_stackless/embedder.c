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
source_thread(void *unused)
{
    PyGILState_STATE state = PyGILState_Ensure();

    (void)unused;
    run_source();
    PyGILState_Release(state);
    return NULL;
}

/* 64 KB, or what this machine's threads have at least. */
static size_t
small_stack_size(void)
{
    long least = sysconf(_SC_THREAD_STACK_MIN);
    return least > 64 * 1024 ? (size_t)least : 64 * 1024;
}

/* Run `start` in three threads, with stacks of this size (0: as usual). */
static void
run_threads(void *(*start)(void *), size_t stack_size)
{
    pthread_t threads[3];
    pthread_attr_t attributes;
    PyThreadState *main_state = PyEval_SaveThread();

    pthread_attr_init(&attributes);
    if (stack_size != 0 && pthread_attr_setstacksize(&attributes, stack_size) != 0) {
        abort();
    }
    for (int i = 0; i < 3; i++) {
        if (pthread_create(&threads[i], &attributes, start, NULL) != 0) {
            abort();
        }
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_attr_destroy(&attributes);
    PyEval_RestoreThread(main_state);
}

#define STATES 4
#define TURNS  3

/* Four thread states take turns on this thread: two of this interpreter, and two that have one each. */
static void
run_swapped(void)
{
    PyThreadState *main_state = PyThreadState_Get(), *states[STATES];

    states[0] = PyThreadState_New(main_state->interp);
    states[1] = PyThreadState_New(main_state->interp);
    states[2] = Py_NewInterpreter();
    states[3] = Py_NewInterpreter();
    for (int turn = 0; turn < TURNS; turn++) {
        for (int i = 0; i < STATES; i++) {
            PyThreadState_Swap(states[i]);
            run_source();
        }
    }
    /* One goes while it is current, and one while another one is. */
    PyThreadState_Swap(states[0]);
    PyThreadState_Clear(states[0]);
    PyThreadState_Swap(main_state);
    PyThreadState_Delete(states[0]);
    PyThreadState_Clear(states[1]);
    PyThreadState_Delete(states[1]);
    for (int i = 2; i < STATES; i++) {
        PyThreadState_Swap(states[i]);
        Py_EndInterpreter(states[i]);
    }
    PyThreadState_Swap(main_state);
}

/* A thread that runs the source once with a thread state that others have used. */
static void *
borrowing_thread(void *state)
{
    PyEval_AcquireThread(state);
    run_source();
    PyEval_ReleaseThread(state);
    return NULL;
}

/* A thread state goes from one thread to the next. */
static void
run_moved(void)
{
    PyThreadState *main_state = PyThreadState_Get();
    PyThreadState *state = PyThreadState_New(main_state->interp);

    PyEval_SaveThread();
    for (int turn = 0; turn < TURNS; turn++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, borrowing_thread, state) != 0) {
            abort();
        }
        pthread_join(thread, NULL);
    }
    PyEval_AcquireThread(state);
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
    PyEval_RestoreThread(main_state);
}

static pthread_barrier_t turn_begins;

/* A thread with an interpreter of its own, which lets the others go on in the middle of its turns. */
static void *
interpreter_thread(void *unused)
{
    PyGILState_STATE gil = PyGILState_Ensure();
    PyThreadState *before = PyThreadState_Get();
    PyThreadState *own = Py_NewInterpreter();

    (void)unused;
    for (int turn = 0; turn < TURNS; turn++) {
        Py_BEGIN_ALLOW_THREADS
        pthread_barrier_wait(&turn_begins);
        Py_END_ALLOW_THREADS
        run_source();
    }
    Py_EndInterpreter(own);
    PyThreadState_Swap(before);
    PyGILState_Release(gil);
    return NULL;
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
        run_threads(source_thread, 0);
    }
    else if (strcmp(mode, "small-threads") == 0) {
        run_threads(source_thread, small_stack_size());
    }
    else if (strcmp(mode, "interpreter-threads") == 0) {
        pthread_barrier_init(&turn_begins, NULL, 3);
        run_threads(interpreter_thread, 0);
        pthread_barrier_destroy(&turn_begins);
    }
    else if (strcmp(mode, "swapped") == 0) {
        run_swapped();
    }
    else if (strcmp(mode, "moved") == 0) {
        run_moved();
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
    FILE *file = fopen("/proc/self/status", "r");
    char line[200];
    long resident = 0;

    do {
        if (fgets(line, sizeof(line), file) == NULL) {
            abort();
        }
    } while (sscanf(line, "RssAnon: %ld kB", &resident) != 1);
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
