/* The path configuration of the base, corrected for our own tree (Python/paths.c). */
#ifndef SLP_PATHS_H
#define SLP_PATHS_H

#include "slp_base.h"

wchar_t *slp_decode_compiled_path(const char *text, size_t *length);
int slp_config_from_results(PyConfig *config, PyObject *results);

/* The site module of an installed tree, marshalled; made at build time (gen/frozen_site.c). */
extern const unsigned char slp_frozen_site[];
extern const size_t slp_frozen_site_size;

#endif
