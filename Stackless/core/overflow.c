/* Stack overflow in C: what is said when C code runs into the guard page below a carrier.
 *
 * Python code never does: it hops to another carrier in time, or meets the recursion limit.  C code that
 * recurses by itself may.  The kernel sends SIGSEGV then, and a handler has no room on that stack: so each
 * thread that uses carriers gets an alternate one, unless it has one.  The handler says which tasklet it
 * was, shows its Python frames, and leaves the rest to whoever was there before (faulthandler, the
 * program's own, or the system, which ends the process and leaves a core).
 *
 *   SIGSEGV is                              what the handler does
 *   a guard page's, of this carrier         reports; takes itself away; the fault happens again
 *   another fault                           calls the handler that was there before, or takes itself away
 *   sent (faulthandler, enabled later,      reports if the lowest page of this carrier was touched, since the
 *     passes faults on so)                    address is lost; then as another fault
 *
 * A handler that the program installs later replaces ours, as it replaces any: then it is the program's.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "slp_overflow.h"
#include "slp_shims.h"
#include "slp_tasklet.h"

#include "pycore_traceback.h"

/* Room for this handler, and one that is called by it. */
#define ALTERNATE_SIZE ((size_t)64 * 1024)

static struct sigaction previous;
static bool installed;
static pthread_key_t alternate_key;
static _Thread_local bool has_alternate;
static _Thread_local volatile sig_atomic_t reported;

static void
put(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));
    (void)written;
}

/* The running carrier of the calling thread, or NULL; th->native for the native one. */
static slp_carrier *
running_carrier(slp_thread **thread)
{
    PyThreadState *tstate = PyGILState_GetThisThreadState();
    slp_thread *th = tstate != NULL ? slp_thread_peek(tstate) : NULL;
    *thread = th;
    return th != NULL && th->carrier->slab != NULL ? th->carrier : NULL;
}

/* The destructor of `alternate_key`: the thread ends, on its native stack. */
static void
drop_alternate(void *memory)
{
    stack_t stack = {.ss_flags = SS_DISABLE};
    sigaltstack(&stack, NULL);
    munmap(memory, ALTERNATE_SIZE);
}

/* Say what has happened.  All that is read here belongs to the calling thread. */
static void
report(slp_thread *th, const slp_carrier *carrier)
{
    PyThreadState *tstate = th->tstate;
    reported = 1;
    put("Fatal Python error: stack overflow: C code has used up the ");
    _Py_DumpDecimal(STDERR_FILENO, (size_t)(carrier->high - carrier->low) / 1024);
    put(" KB of C stack of ");
    put(th->current->flags.is_main ? "the main tasklet 0x" : "tasklet 0x");
    _Py_DumpHexadecimal(STDERR_FILENO, (uintptr_t)th->current, sizeof(void *) * 2);
    const slp_tasklet_extra *extra = th->current->extra;
    if (extra != NULL && extra->name != NULL) {
        put(" named '");
        _Py_DumpASCII(STDERR_FILENO, extra->name);
        put("'");
    }
    const _PyInterpreterFrame *frame = tstate->cframe->current_frame;
    const _PyInterpreterFrame *first = NULL;
    for (; frame != NULL; frame = frame->previous) {
        first = slp_is_shim(frame) ? first : frame;
    }
    if (first != NULL) {
        put(", which runs ");
        _Py_DumpASCII(STDERR_FILENO, first->f_code->co_qualname);
    }
    put("\n");
    _Py_DumpTraceback(STDERR_FILENO, tstate);
}

/* Was the lowest page of the carrier ever used? */
static bool
is_touched(const slp_carrier *carrier)
{
    unsigned char resident = 0;
    return mincore(carrier->low, 1, &resident) == 0 && (resident & 1);
}

/* The handler of SIGSEGV. */
static void
on_fault(int number, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    slp_thread *th;
    slp_carrier *carrier = running_carrier(&th);
    bool overflow = false;
    if (carrier != NULL && !reported) {
        const char *address = info->si_addr;
        overflow = info->si_code > 0
                       ? carrier->low - SLP_GUARD_SIZE <= address && address < carrier->low
                       : is_touched(carrier);
    }
    if (overflow) {
        report(th, carrier);
    }
    errno = saved_errno;
    if ((previous.sa_flags & SA_SIGINFO) && previous.sa_sigaction != NULL) {
        previous.sa_sigaction(number, info, context);
    }
    else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    }
    else {
        sigaction(SIGSEGV, &previous, NULL);
        if (info->si_code <= 0) {
            raise(number);
        }
    }
}

void
slp_overflow_watch(void)
{
    stack_t stack;
    if (has_alternate) {
        return;
    }
    has_alternate = true;
    if (!installed && pthread_key_create(&alternate_key, drop_alternate) != 0) {
        return;
    }
    if (sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE)) {
        void *memory = mmap(NULL, ALTERNATE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) {
            stack = (stack_t){.ss_sp = memory, .ss_size = ALTERNATE_SIZE};
            sigaltstack(&stack, NULL);
            pthread_setspecific(alternate_key, memory);
        }
    }
    if (!installed) {
        installed = true;
        struct sigaction action = {
            .sa_sigaction = on_fault,
            .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER,
        };
        sigemptyset(&action.sa_mask);
        sigaction(SIGSEGV, &action, &previous);
    }
}
