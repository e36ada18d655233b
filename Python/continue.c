/* The steps that SLP_GO_ON runs (slp_continue.h). */
#include "slp_continue.h"

#define ENTRY(NAME, name) [SLP_GO_##NAME] = slp_go_##name,
const slp_continuation slp_continuations[SLP_GO_COUNT] = {SLP_CONTINUATIONS(ENTRY)};
