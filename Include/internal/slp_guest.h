/* Guest calls: what must run on the thread's native stack, called by a tasklet that runs on a carrier.
 *
 * greenlet (and gevent, which is made of it) keeps a coroutine's C frames by copying the part of the C stack
 * that they occupied, and copies them back to the same addresses.  That is right as long as there is one
 * C stack.  So there is one for it: whatever switches greenlets is run on the native stack, below the frames
 * of the suspended main tasklet, as if main had called it.
 *
 *      native                     carrier of a tasklet T
 *      ┌────────────────┐         ┌─────────────────────┐
 *      │ main()         │         │ base activation     │
 *      │ activation     │         │ C function          │
 *      │   main         │         │ activation of T     │
 *      │   suspended    │         │ greenlet.switch(),  │
 *      ├────────────────┤ sp      │   our function      │
 *      │ red zone       │         │ slp_guest_call() ───────────┐ to the native stack, and back
 *      ├────────────────┤ <───────│   keeps: native     │<──────┘ when switch() returns
 *      │ guest: switch()│         └─────────────────────┘ sp of T: it waits
 *      │  of greenlet   │
 *      │ ...            │   From here on greenlet copies slices in and out, at any height: those of
 *      └────────────────┘   main too.  They are back in place when the guest call returns.
 *
 * Invariants
 *  1. Greenlets are switched only while thread->carrier is &thread->native and runs.  What th->native holds
 *     (sp, cframe, ...) means nothing then, so a guest call keeps it on its caller's carrier, where it is
 *     found again by whoever comes back, in whatever order greenlets come back.
 *  2. While a guest call of a tasklet other than main is under way, that tasklet stays current, and no
 *     tasklet can be switched to: main's C frames may be copied away.  slp_guest_runs() says so, and
 *     th->idle is empty then (its members wait in th->withheld), so that slp_check_switch() asks it.
 *  3. All tasklets of a thread see one and the same current greenlet: the one in which main was suspended.
 *
 * A guest call need not come back: a tasklet that main runs inside of a greenlet may switch to that
 * greenlet's parent, which goes on and may end the program.  If it comes back after the thread state was
 * cleared, its caller is no tasklet any more: the greenlet hands over to its parent, again and again.
 *
 * Rejected: a C stack of its own for each greenlet, which needs a greenlet of our own making; reaching into
 * greenlet's structs, which differ from release to release; a main greenlet for each tasklet, since gevent
 * has one hub for a thread.
 */
#ifndef SLP_GUEST_H
#define SLP_GUEST_H

#include "slp_thread.h"

/* Run function(argument) on the thread's native stack, and come back when it returns. */
void slp_guest_call(slp_thread *th, void (*function)(void *argument), void *argument);

/* Is enough native stack left for a guest call: half of what lies below its limit, at least? */
bool slp_guest_has_room(const slp_thread *th);

/* Does the thread run on its native stack, or hopped from it, in the name of a tasklet other than main? */
bool slp_guest_runs(const slp_thread *th);

/* The import of an extension module by the base (Tools/fork/manifest): if it is greenlet's, what it defines
 * for switching is replaced by functions of ours, which make guest calls.  -1 with an exception. */
int slp_import_fixup_extension(PyObject *module, PyObject *name, PyObject *filename, PyObject *modules);

#endif
