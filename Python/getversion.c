/* sys.version: the base's text, with our name at the end.
 *
 * "3.11.2 (main, ...) [GCC 12.2.0] Stackless 3.11": our name follows the bracketed compiler, so that
 * whoever parses sys.version (the platform module's regular expression is one) still can.
 */
#include "slp_base.h"

#define STACKLESS_TAG " Stackless 3.11"

/* The version as one line of text, built once. */
const char *
Py_GetVersion(void)
{
    static char text[256];

    if (text[0] == '\0') {
        PyOS_snprintf(text, sizeof(text), "%.80s (%.80s) %.60s" STACKLESS_TAG,
                      PY_VERSION, Py_GetBuildInfo(), Py_GetCompiler());
    }
    return text;
}
