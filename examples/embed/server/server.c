/* A chat server whose event loops are C and whose conversations are Python, each a tasklet.
 *
 *     server [options]
 *         --port N             where to listen, on 127.0.0.1 (0: a free one, which is printed)
 *         --threads N          so many event loops, each with the scheduler of its thread (2)
 *         --budget MS          milliseconds for scripts in each turn of a loop (5)
 *
 * SIGTERM and SIGINT end it: every script gets the end of its input, and the time to say goodbye.
 */
#define _GNU_SOURCE
#include "connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SCRIPTS_FOLDER
#    define SCRIPTS_FOLDER "scripts"
#endif

/* The seconds for goodbyes. */
static const double FAREWELL = 5.0;

struct worker {
    pthread_t thread;
    int epoll, wake;  /* wake: an eventfd that ends its wait */
    connection *all;  /* through left and right */
    connection *todo; /* those to look after, through next */
};

static int listener;
static double budget = 0.005;
static atomic_int stopping;
static PyObject *serve; /* of scripts/chat.py */

static void
die(const char *what)
{
    perror(what);
    exit(1);
}

/* End the wait of a worker.  From any thread. */
static void
wake(worker *w)
{
    uint64_t one = 1;
    if (write(w->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
        die("server: eventfd");
}

void
worker_look_after(connection *c)
{
    if (c->listed || c->fd < 0)
        return;
    c->listed = 1;
    c->next = c->worker->todo;
    c->worker->todo = (connection *)Py_NewRef((PyObject *)c);
    if (!pthread_equal(pthread_self(), c->worker->thread))
        wake(c->worker);
}

/* Release the connection that is the tasklet's user data. */
static void
release(void *c)
{
    Py_DECREF((PyObject *)c);
}

/* Begin a conversation: a tasklet that calls serve(connection). 0, or -1 with an exception. */
static int
begin(worker *w, int fd)
{
    connection *c = connection_new(w, fd);
    if (c == NULL) {
        close(fd);
        return -1;
    }
    struct epoll_event event = {.events = c->events = EPOLLIN, .data.ptr = c};
    PyTaskletObject *tasklet = NULL;
    PyObject *args = PyTuple_Pack(1, c);
    if (epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        PyErr_SetFromErrno(PyExc_OSError);
    else if (args != NULL && (tasklet = PyTasklet_New(NULL, serve)) != NULL
             && PyTasklet_SetUserData(tasklet, Py_NewRef((PyObject *)c), release) == 0
             && PyTasklet_Setup(tasklet, args, NULL) == 0) {
        c->right = w->all;
        if (w->all != NULL)
            w->all->left = c;
        w->all = (connection *)Py_NewRef((PyObject *)c);
    }
    Py_XDECREF(args);
    Py_XDECREF(tasklet);
    Py_DECREF(c);
    return PyErr_Occurred() ? -1 : 0;
}

/* The client is gone, or has been told everything. */
static void
end(connection *c)
{
    close(c->fd); /* which takes it out of epoll as well */
    c->fd = -1;
    if (c->left != NULL)
        c->left->right = c->right;
    else
        c->worker->all = c->right;
    if (c->right != NULL)
        c->right->left = c->left;
    Py_DECREF(c);
}

/* Watch for what the connection can make use of. */
static void
watch(connection *c)
{
    unsigned events = 0;
    if (!c->ended && c->input.size < INPUT_LIMIT)
        events |= EPOLLIN;
    if (c->output.size > 0 && !c->broken)
        events |= EPOLLOUT;
    if (events == c->events)
        return;
    struct epoll_event event = {.events = c->events = events, .data.ptr = c};
    if (events == 0
            ? epoll_ctl(c->worker->epoll, EPOLL_CTL_DEL, c->fd, NULL) < 0
            : epoll_ctl(c->worker->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0
                  && (errno != ENOENT || epoll_ctl(c->worker->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0))
        die("server: epoll_ctl");
}

/* Serve those who are to be looked after. */
static void
look_after(worker *w)
{
    connection *c = w->todo;
    w->todo = NULL;
    while (c != NULL) {
        connection *next = c->next;
        c->listed = 0;
        int again = connection_serve(c);
        if (again < 0)
            PyErr_Print();
        if (c->closed && (c->broken || c->output.size == 0))
            end(c);
        else {
            watch(c);
            if (again > 0)
                worker_look_after(c);
        }
        Py_DECREF(c);
        c = next;
    }
}

/* Run the scripts of this thread for at most so many seconds. */
static void
run_scripts(double seconds)
{
    PyStackless_RunReport report;
    memset(&report, 0, sizeof(report));
    report.size = sizeof(report);
    if (PyStackless_RunBudget(seconds, 0, &report) < 0)
        PyErr_Print(); /* one script less, the others go on */
    if (report.interrupted != NULL) {
        connection *c = PyTasklet_GetUserData(report.interrupted);
        if (c != NULL)
            c->interruptions++;
    }
    PyStackless_ClearRunReport(&report);
}

/* Wait for events and take them in.  Does not wait while scripts can run. */
static void
take_events(worker *w)
{
    struct epoll_event events[64];
    int count, timeout = PyStackless_GetRunCount() > 1 ? 0 : -1;
    Py_BEGIN_ALLOW_THREADS count = epoll_wait(w->epoll, events, 64, timeout);
    Py_END_ALLOW_THREADS for (int i = 0; i < count; i++)
    {
        connection *c = events[i].data.ptr;
        uint64_t number;
        if (c == NULL) { /* the listening socket, or wake() */
            if (read(w->wake, &number, sizeof(number)) < 0 && errno != EAGAIN)
                die("server: eventfd");
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd >= 0 && begin(w, fd) < 0)
                PyErr_Print();
        }
        else {
            if (events[i].events & (EPOLLERR | EPOLLHUP))
                c->ended = c->broken = 1;
            if (events[i].events & EPOLLIN)
                connection_read(c);
            worker_look_after(c);
        }
    }
}

/* An event loop. */
static void *
work(void *arg)
{
    worker *w = arg;
    PyGILState_STATE state = PyGILState_Ensure();
    while (!stopping) {
        take_events(w);
        look_after(w);
        run_scripts(budget);
        look_after(w);
    }
    for (connection *c = w->all; c != NULL; c = c->right) {
        c->ended = 1;
        c->input.size = 0;
        worker_look_after(c);
    }
    look_after(w);
    run_scripts(FAREWELL);
    look_after(w);
    while (w->all != NULL)
        end(w->all);
    while (w->todo != NULL) {
        connection *c = w->todo;
        w->todo = c->next;
        Py_DECREF(c);
    }
    PyGILState_Release(state);
    return NULL;
}

/* Listen on that port of 127.0.0.1, and say where. */
static void
listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof(address);
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0
        || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 128) < 0
        || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        die("server: cannot listen");
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
}

/* Start the interpreter and get serve() from chat.py. */
static void
start_python(void)
{
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.install_signal_handlers = 0;
    PyStatus status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        Py_ExitStatusException(status);
    PyObject *path = PySys_GetObject("path"), *folder = PyUnicode_DecodeFSDefault(SCRIPTS_FOLDER);
    PyObject *chat = NULL;
    if (PyType_Ready(&connection_type) == 0 && path != NULL && folder != NULL
        && PyList_Insert(path, 0, folder) == 0 && (chat = PyImport_ImportModule("chat")) != NULL)
        serve = PyObject_GetAttrString(chat, "serve");
    Py_XDECREF(folder);
    Py_XDECREF(chat);
    if (serve == NULL) {
        PyErr_Print();
        exit(1);
    }
}

int
main(int argc, char **argv)
{
    int port = 0, threads = 2;
    for (int i = 1; i < argc; i += 2) {
        double number = i + 1 < argc ? atof(argv[i + 1]) : -1;
        if (number >= 0 && number < 65536 && strcmp(argv[i], "--port") == 0)
            port = (int)number;
        else if (number >= 1 && number <= 64 && strcmp(argv[i], "--threads") == 0)
            threads = (int)number;
        else if (number > 0 && strcmp(argv[i], "--budget") == 0)
            budget = number / 1000;
        else {
            fprintf(stderr, "usage: server [--port N] [--threads N] [--budget MS]\n");
            return 2;
        }
    }

    sigset_t signals;
    int number;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    start_python();
    listen_on(port);

    worker *workers = calloc((size_t)threads, sizeof(*workers));
    PyThreadState *state = PyEval_SaveThread();
    for (int i = 0; workers != NULL && i < threads; i++) {
        worker *w = &workers[i];
        struct epoll_event event = {.events = EPOLLIN}, accept_event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
        w->epoll = epoll_create1(EPOLL_CLOEXEC);
        w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (w->epoll < 0 || w->wake < 0 || epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->wake, &event) < 0
            || epoll_ctl(w->epoll, EPOLL_CTL_ADD, listener, &accept_event) < 0
            || pthread_create(&w->thread, NULL, work, w) != 0)
            die("server: cannot start");
    }
    sigwait(&signals, &number);
    stopping = 1;
    for (int i = 0; workers != NULL && i < threads; i++)
        wake(&workers[i]);
    for (int i = 0; workers != NULL && i < threads; i++) {
        pthread_join(workers[i].thread, NULL);
        close(workers[i].epoll);
        close(workers[i].wake);
    }
    PyEval_RestoreThread(state);
    Py_CLEAR(serve);
    free(workers);
    close(listener);
    return Py_FinalizeEx() < 0;
}
