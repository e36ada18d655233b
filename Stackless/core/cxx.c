/* Finding the C++ library (slp_cxx.h tells what for). */
#include "slp_cxx.h"

#include <dlfcn.h>

slp_cxx_state *(*slp_cxx_get_globals)(void);

void
slp_cxx_look(void)
{
    static const char *const libraries[] = {"libstdc++.so.6", "libc++abi.so.1"};
    if (slp_cxx_get_globals != NULL) {
        return;
    }
    void *found = dlsym(RTLD_DEFAULT, "__cxa_get_globals");
    for (size_t i = 0; found == NULL && i < Py_ARRAY_LENGTH(libraries); i++) {
        /* Only the extension sees the symbols of its libraries.  This one stays loaded. */
        void *library = dlopen(libraries[i], RTLD_LAZY | RTLD_NOLOAD);
        if (library != NULL) {
            found = dlsym(library, "__cxa_get_globals");
        }
    }
    memcpy(&slp_cxx_get_globals, &found, sizeof(found));
}

/* dlopen() for the import of extensions. */
void *
slp_dlopen_extension(const char *path, int flags)
{
    void *library = dlopen(path, flags);
    if (library != NULL) {
        slp_cxx_look();
    }
    return library;
}
