"""How much memory of this process is resident, in bytes."""

import gc
import os

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident():
    """Return the resident set size after a full collection."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * PAGE
