/* The steps that SLP_GO_ON runs (slp_continue.h). */
#include "slp_continue.h"

const slp_continuation slp_continuations[SLP_GO_COUNT] = {
    [SLP_GO_CLASS_BASES] = slp_go_class_bases,
    [SLP_GO_CLASS_PREPARED] = slp_go_class_prepared,
    [SLP_GO_CLASS_BODY] = slp_go_class_body,
    [SLP_GO_CLASS_MADE] = slp_go_class_made,
    [SLP_GO_CLASS_HOOK] = slp_go_class_hook,
    [SLP_GO_CLASS_HOOK_FAILED] = slp_go_class_hook_failed,
    [SLP_GO_IMPORT_LOADED] = slp_go_import_loaded,
    [SLP_GO_IMPORT_FAILED] = slp_go_import_failed,
    [SLP_GO_RAISE] = slp_go_raise,
    [SLP_GO_FUNCTION] = slp_go_function,
    [SLP_GO_FUNCTION_FAILED] = slp_go_function_failed,
};
