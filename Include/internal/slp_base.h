/* The one place where CPython's own headers enter our C code.
 *
 * Every file of ours includes this first.  It opens the base's internal headers (Py_BUILD_CORE)
 * and adds the few macros that all families share.  Public headers never include it.
 */
#ifndef SLP_BASE_H
#define SLP_BASE_H

#ifndef Py_BUILD_CORE
#  define Py_BUILD_CORE 1
#endif
#define PY_SSIZE_T_CLEAN
#include "Python.h"

#include <stdbool.h>
#include <stddef.h>

#include "internal/pycore_abstract.h"
#include "internal/pycore_call.h"
#include "internal/pycore_ceval.h"
#include "internal/pycore_code.h"
#include "internal/pycore_dict.h"
#include "internal/pycore_exceptions.h"
#include "internal/pycore_floatobject.h"
#include "internal/pycore_frame.h"
#include "internal/pycore_function.h"
#include "internal/pycore_genobject.h"
#include "internal/pycore_interp.h"
#include "internal/pycore_list.h"
#include "internal/pycore_long.h"
#include "internal/pycore_moduleobject.h"
#include "internal/pycore_object.h"
#include "internal/pycore_opcode.h"
#include "internal/pycore_pyerrors.h"
#include "internal/pycore_pymem.h"
#include "internal/pycore_pystate.h"
#include "internal/pycore_runtime.h"
#include "internal/pycore_tuple.h"

#include "stackless_protocol.h"

#if PY_VERSION_HEX < 0x030b0000 || PY_VERSION_HEX >= 0x030c0000
#  error "Stackless Python 3.11 is built against CPython 3.11"
#endif

#define SLP_LIKELY(cond)   __builtin_expect(!!(cond), 1)
#define SLP_UNLIKELY(cond) __builtin_expect(!!(cond), 0)
#define SLP_COLD           __attribute__((cold, noinline))

/* In the flags of a C function of our own: it may switch (slp_switch.h).  Those of extensions have
 * METH_STACKLESS, the flag that CPython keeps free for us (stackless_protocol.h). */
#define SLP_METH_STACKLESS 0x20000

/* In the flags of a C function of the base: it has a soft function (slp_softcall.h). */
#define SLP_METH_SOFT 0x10000

#endif
