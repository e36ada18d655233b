/* Alarms (slp_alarm.h): the helper thread that keeps the time.
 *
 * Setting and clearing an alarm cost a mutex without contention each, 50 ns.  The helper is woken only for
 * an alarm that is due before it would wake anyway: a program that sets one for each frame of a
 * game, 16 ms away, wakes it 60 times a second.
 *
 * Rejected: a POSIX timer.  With a signal it would interrupt system calls of programs that know nothing of
 * it; with SIGEV_THREAD, glibc makes a new thread for every expiration.
 */
#include "slp_alarm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

/* How long the helper waits before it rings again. */
#define REPEAT_NS 1000000

int slp_alarms_set;

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t wake;               /* measures time by CLOCK_MONOTONIC */
    pthread_t thread;
    slp_alarm *alarms;                 /* all that are set */
    int64_t sleeps_until;              /* the helper does; INT64_MAX: until it is woken */
    bool running;                      /* the thread exists */
    bool stop;                         /* it is asked to end */
    bool initialised;
} helper = {
    .mutex = PTHREAD_MUTEX_INITIALIZER,
};

int64_t
slp_alarm_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Make the loops of `interp` look up. */
static void
set_breaker(PyInterpreterState *interp)
{
    _Py_atomic_store_relaxed(&interp->ceval.eval_breaker, 1);
}

/* Ring all alarms that are due; the answer is when to look again. */
static int64_t
ring_due(void)
{
    int64_t now = slp_alarm_now();
    int64_t again = INT64_MAX;
    for (slp_alarm *alarm = helper.alarms; alarm != NULL; alarm = alarm->next) {
        int64_t next = alarm->deadline;
        if (next <= now) {
            __atomic_store_n(&alarm->rings, true, __ATOMIC_RELAXED);
            set_breaker(alarm->interp);
            next = now + REPEAT_NS;
        }
        again = Py_MIN(again, next);
    }
    return again;
}

/* The helper thread. */
static void *
keep_time(void *unused)
{
    pthread_mutex_lock(&helper.mutex);
    while (!helper.stop) {
        helper.sleeps_until = ring_due();
        if (helper.sleeps_until == INT64_MAX) {
            pthread_cond_wait(&helper.wake, &helper.mutex);
        }
        else {
            struct timespec until = {
                .tv_sec = helper.sleeps_until / 1000000000,
                .tv_nsec = helper.sleeps_until % 1000000000,
            };
            pthread_cond_timedwait(&helper.wake, &helper.mutex, &until);
        }
    }
    pthread_mutex_unlock(&helper.mutex);
    return NULL;
}

/* The interpreter ends, the last of its threads is here: so does the helper. */
static void
stop_helper(void)
{
    pthread_mutex_lock(&helper.mutex);
    bool running = helper.running;
    helper.stop = true;
    helper.running = false;
    pthread_cond_signal(&helper.wake);
    pthread_mutex_unlock(&helper.mutex);
    if (running) {
        pthread_join(helper.thread, NULL);
    }
}

static void
before_fork(void)
{
    pthread_mutex_lock(&helper.mutex);
}

static void
after_fork_in_parent(void)
{
    pthread_mutex_unlock(&helper.mutex);
}

static void
init_wake(void)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&helper.wake, &attr);
    pthread_condattr_destroy(&attr);
}

/* The child has no helper.  If it is to run Python code, slp_signal_after_fork() comes next. */
static void
after_fork_in_child(void)
{
    helper.running = false;
    pthread_mutex_init(&helper.mutex, NULL);
    init_wake();
}

/* Start the helper if there is none; the mutex is held.  0, or an errno. */
static int
start_helper(void)
{
    if (helper.running) {
        return 0;
    }
    if (!helper.initialised) {
        init_wake();
        pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
        helper.initialised = true;
    }
    helper.stop = false;
    helper.sleeps_until = INT64_MIN;
    /* Signals are for the program's own threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&helper.thread, NULL, keep_time, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        helper.running = true;
        Py_AtExit(stop_helper);
    }
    return error;
}

int
slp_alarm_set(slp_alarm *alarm, PyInterpreterState *interp, int64_t deadline)
{
    assert(!alarm->set);
    pthread_mutex_lock(&helper.mutex);
    int error = start_helper();
    if (error == 0) {
        alarm->interp = interp;
        alarm->deadline = deadline;
        alarm->rings = false;
        alarm->set = true;
        alarm->next = helper.alarms;
        helper.alarms = alarm;
        slp_alarms_set++;
        if (deadline < helper.sleeps_until) {
            pthread_cond_signal(&helper.wake);
        }
    }
    pthread_mutex_unlock(&helper.mutex);
    if (error != 0) {
        PyErr_Format(PyExc_RuntimeError, "cannot start the thread that keeps the time: %s", strerror(error));
        return -1;
    }
    return 0;
}

void
slp_alarm_clear(slp_alarm *alarm)
{
    if (!alarm->set) {
        return;
    }
    pthread_mutex_lock(&helper.mutex);
    slp_alarm **link = &helper.alarms;
    while (*link != alarm) {
        link = &(*link)->next;
    }
    *link = alarm->next;
    alarm->set = alarm->rings = false;
    slp_alarms_set--;
    pthread_mutex_unlock(&helper.mutex);
}

/* Called by PyOS_AfterFork_Child() for the base's _PySignal_AfterFork() (Tools/fork/manifest): the alarms
 * that are still set need a helper.  The breaker would not do: the base has just computed it anew. */
void
slp_signal_after_fork(void)
{
    _PySignal_AfterFork();
    pthread_mutex_lock(&helper.mutex);
    if (helper.alarms != NULL && start_helper() != 0) {
        /* Too early is better than never. */
        for (slp_alarm *alarm = helper.alarms; alarm != NULL; alarm = alarm->next) {
            __atomic_store_n(&alarm->rings, true, __ATOMIC_RELAXED);
            set_breaker(alarm->interp);
        }
    }
    pthread_mutex_unlock(&helper.mutex);
}
