/* Where the standard library is: what the base computes, seen from our own tree.
 *
 * The base works out sys.prefix and sys.path in a frozen script that knows the prefix it was compiled with
 * and nothing of us.  Two of its member's references come here instead:
 *
 *   Py_DecodeLocale     turns the compiled-in strings into values for the script.  Its prefix, the fallback
 *                       when no standard library stands above the program (an embedder), becomes ours if
 *                       this very library or executable is part of an installed tree.
 *   _PyConfig_FromDict  takes the script's results over.  In the build folder, known by a landmark file that
 *                       configure writes, the Lib/ of the source tree is added to the module search path, so
 *                       that the build's python, its virtual environments and embedders find our packages.
 *                       So is the library of an installed tree when an embedder finds another's.
 *                       With a standard library other than the base's, the base's frozen site module, which
 *                       knows the system's dist-packages, gives way to the one that the installed tree has.
 *
 * SLP_BASE_PREFIX and SLP_BASE_STDLIB, the base's own places, come from configure.
 */
#include "slp_base.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal/pycore_initconfig.h"

#include "slp_paths.h"

/* Made by configure in the build folder; its first line is the path of the source tree's Lib/. */
#define LANDMARK "stackless-lib.txt"

/* Write the folder of the executable or library that we are linked into; false when it cannot be told. */
static bool
find_image_folder(char *folder)
{
    Dl_info info;
    struct link_map *map;
    if (!dladdr1((void *)find_image_folder, &info, (void **)&map, RTLD_DL_LINKMAP)) {
        return false;
    }
    // The main program's name in the link map is empty, and its dli_fname merely argv[0].
    const char *image = map->l_name[0] != '\0' ? map->l_name : "/proc/self/exe";
    if (realpath(image, folder) == NULL) {
        return false;
    }
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    return true;
}

/* Write the prefix of the installed tree that we are part of; false when there is none. */
static bool
find_installed_prefix(char *prefix)
{
    char folder[PATH_MAX], stdlib[PATH_MAX];
    if (!find_image_folder(folder)) {
        return false;
    }
    // Both bin/python and lib/libpython lie one level below the prefix.
    int length = snprintf(stdlib, sizeof(stdlib), "%s/../lib/python3.11/os.py", folder);
    if (length >= (int)sizeof(stdlib) || access(stdlib, R_OK) != 0) {
        return false;
    }
    strcpy(prefix, folder);
    char *slash = strrchr(prefix, '/');
    *slash = '\0';
    return true;
}

/* As Py_DecodeLocale; the prefix compiled into the base gives way to that of our own tree.
 *
 * Values of environment variables come through here too and are told apart by their address: only a
 * compiled-in string lies inside a loaded image. */
wchar_t *
slp_decode_compiled_path(const char *text, size_t *length)
{
    char prefix[PATH_MAX];
    Dl_info info;
    if (strcmp(text, SLP_BASE_PREFIX) == 0 && dladdr(text, &info) && find_installed_prefix(prefix)) {
        text = prefix;
    }
    return Py_DecodeLocale(text, length);
}

/* The first line of the landmark in a folder, as a new string; NULL without an error when there is none. */
static PyObject *
read_landmark(const char *folder)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/" LANDMARK, folder) >= (int)sizeof(path)) {
        return NULL;
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return NULL;
    }
    char *line = fgets(path, sizeof(path), file);
    fclose(file);
    if (line == NULL) {
        return NULL;
    }
    line[strcspn(line, "\n")] = '\0';
    return PyUnicode_DecodeFSDefault(line);
}

/* The library of the installed tree that we are part of, as a new string, if `stdlib` is the base's, as for a
 * program that embeds us and has the system's python on its PATH; NULL, perhaps with an error, otherwise. */
static PyObject *
find_installed_lib(PyObject *stdlib)
{
    char prefix[PATH_MAX], lib[PATH_MAX];
    if (stdlib == NULL || !PyUnicode_Check(stdlib)
        || !_PyUnicode_EqualToASCIIString(stdlib, SLP_BASE_STDLIB) || !find_installed_prefix(prefix)
        || snprintf(lib, sizeof(lib), "%s/lib/python3.11", prefix) >= (int)sizeof(lib)) {
        return NULL;
    }
    return PyUnicode_DecodeFSDefault(lib);
}

/* The library with our packages when it is not on the search path by itself: the Lib/ of our source tree in a
 * build folder, or that of an installed tree; NULL, perhaps with an error, otherwise. */
static PyObject *
find_own_lib(PyObject *results)
{
    char folder[PATH_MAX];
    if (find_image_folder(folder)) {
        PyObject *lib = read_landmark(folder);
        if (lib != NULL || PyErr_Occurred()) {
            return lib;
        }
    }
    PyObject *installed = find_installed_lib(PyDict_GetItemString(results, "stdlib_dir"));
    if (installed != NULL || PyErr_Occurred()) {
        return installed;
    }
    // A virtual environment made with --copies holds a copy of the executable and remembers its home.
    PyObject *base = PyDict_GetItemString(results, "base_executable");
    const char *name = base != NULL && PyUnicode_Check(base) ? PyUnicode_AsUTF8(base) : NULL;
    if (name == NULL || realpath(name, folder) == NULL) {
        PyErr_Clear();
        return NULL;
    }
    char *slash = strrchr(folder, '/');
    *slash = '\0';
    return read_landmark(folder);
}

/* Let the frozen site be the installed tree's, unless the embedder has frozen modules of his own.
 *
 * The base looks at this table before its own. */
static void
use_installed_site(void)
{
    static struct _frozen table[2];
    table[0].name = "site";
    table[0].code = slp_frozen_site;
    table[0].size = (int)slp_frozen_site_size;
    if (PyImport_FrozenModules == NULL) {
        PyImport_FrozenModules = table;
    }
}

/* Does a ._pth file beside the executable say what the search path is?  Then it is that, and no more. */
static bool
has_pth_file(PyObject *results)
{
    PyObject *executable = PyDict_GetItemString(results, "executable");
    const char *name = NULL;
    if (executable != NULL && PyUnicode_Check(executable)) {
        name = PyUnicode_AsUTF8(executable);
    }
    if (name == NULL) {
        PyErr_Clear();
        return false;
    }
    const char *slash = strrchr(name, '/');
    const char *dot = strrchr(name, '.');
    size_t stem = dot != NULL && (slash == NULL || dot > slash + 1) ? (size_t)(dot - name) : strlen(name);
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%.*s._pth", (int)stem, name);
    return length < (int)sizeof(path) && access(path, R_OK) == 0;
}

/* Does the folder that a program lies in have the same library above it as that of an installed tree? */
static bool
has_library_of(const char *program, const char *prefix)
{
    char above[PATH_MAX + 32], ours[PATH_MAX + 32], found[PATH_MAX], expected[PATH_MAX];
    const char *slash = strrchr(program, '/');
    int length = slash == NULL ? 0 : (int)(slash - program);
    snprintf(above, sizeof(above), "%.*s/../lib/python3.11", length, program);
    snprintf(ours, sizeof(ours), "%s/lib/python3.11", prefix);
    return realpath(above, found) != NULL && realpath(ours, expected) != NULL && strcmp(found, expected) == 0;
}

/* Let sys._base_executable be the program in its tree when it was started through a link such as
 * /usr/bin/python: virtual environments are linked to it and look for the library from there.  0, or -1 with
 * an error. */
static int
name_base_executable(PyObject *results)
{
    char program[PATH_MAX], prefix[PATH_MAX];
    PyObject *base = PyDict_GetItemString(results, "base_executable");
    if (base == NULL || !PyUnicode_Check(base) || realpath("/proc/self/exe", program) == NULL
        || !find_installed_prefix(prefix) || !has_library_of(program, prefix)) {
        return 0;
    }
    const char *name = PyUnicode_AsUTF8(base);
    if (name == NULL) {
        PyErr_Clear();
    }
    else if (name[0] == '\0' || has_library_of(name, prefix)) {
        return 0;
    }
    PyObject *path = PyUnicode_DecodeFSDefault(program);
    int failed = path == NULL || PyDict_SetItemString(results, "base_executable", path) < 0;
    Py_XDECREF(path);
    return failed ? -1 : 0;
}

/* As _PyConfig_FromDict, with our Lib/ on the search path that was computed in a build folder, and with the
 * site module and the base executable of an installed tree. */
int
slp_config_from_results(PyConfig *config, PyObject *results)
{
    PyObject *stdlib = PyDict_GetItemString(results, "stdlib_dir");
    if (stdlib != NULL && PyUnicode_Check(stdlib)
        && !_PyUnicode_EqualToASCIIString(stdlib, SLP_BASE_STDLIB)) {
        use_installed_site();
    }
    // A search path that the embedder has set himself, or that was computed before, stays as it is.
    PyObject *paths = PyDict_GetItemString(results, "module_search_paths");
    if (!config->module_search_paths_set && paths != NULL && PyList_Check(paths) && !has_pth_file(results)) {
        PyObject *lib = find_own_lib(results);
        if (lib != NULL) {
            int failed = PyList_Append(paths, lib);
            Py_DECREF(lib);
            if (failed) {
                return -1;
            }
        }
        else if (PyErr_Occurred()) {
            return -1;
        }
    }
    if (name_base_executable(results) < 0) {
        return -1;
    }
    return _PyConfig_FromDict(config, results);
}
