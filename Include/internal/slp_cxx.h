/* What the C++ library keeps per thread, and what belongs to a C stack.
 *
 * Between `catch (...) {` and its end, and while an exception passes frames, the C++ library has it in a
 * list of the thread (__cxa_get_globals() of the C++ ABI). C++ code may call Python just there, and the
 * tasklet that runs then may switch.  What goes on may be in the midst of handling another exception, and
 * ends that one first: the list is no stack any more, and exceptions are mixed up.  So each carrier has its
 * own.
 *
 * A hop begins with the list of the stack that it continues, since `throw;` is to find the exception there.
 *
 * The library is not linked, and may be loaded at any time, not always where dlsym() sees it by default.  It
 * is looked for when a thread gets its scheduler, when carriers are made, and when an extension was loaded.
 * Where something else loads the first C++ code of the process (ctypes, for one), and that code handles an
 * exception in the very call, its list is found too late if no carriers are made meanwhile.
 *
 * Budget: 3 instructions a hard switch as long as there is no C++ library; 27 with one, of which 19 find the
 * thread's list (__cxa_get_globals() and __tls_get_addr(); callgrind, amd64).  A turn of the loop
 * `while True: operator.call(stackless.schedule)`, one hard switch, takes 631 and 655.  Soft switches do
 * not come here.
 */
#ifndef SLP_CXX_H
#define SLP_CXX_H

#include "slp_base.h"

/* What __cxa_get_globals() points to: the exceptions being handled, the number of those on their way, and on
 * 32-bit ARM one that is being propagated. */
typedef struct {
    void *handled;
    void *on_their_way;
#if defined(__ARM_EABI__)
    void *propagated;
#endif
} slp_cxx_state;

/* __cxa_get_globals(), or NULL as long as no C++ library was seen. */
extern slp_cxx_state *(*slp_cxx_get_globals)(void)__attribute__((visibility("hidden")));

/* Look for the C++ library, if it was not seen yet. */
void slp_cxx_look(void);

/* Copy the state of the running stack; nothing without a C++ library. */
static inline void
slp_cxx_copy(slp_cxx_state *to)
{
    if (slp_cxx_get_globals != NULL) {
        *to = *slp_cxx_get_globals();
    }
}

/* The running stack is left for another one, which has its own state. */
static inline void
slp_cxx_switch(slp_cxx_state *from, const slp_cxx_state *to)
{
    if (slp_cxx_get_globals != NULL) {
        slp_cxx_state *state = slp_cxx_get_globals();
        *from = *state;
        *state = *to;
    }
}

#endif
