"""How deep a recursion goes, also where the process dies of it."""

import os
import sys


def note(level):
    """Say how deep we are, at once, for a parent that wants to know it after a crash."""
    os.write(1, b"depth %d\n" % level)


def plain(limit):
    """Return a function that calls itself until `limit`; call it with 1."""

    def down(level):
        if level % 1000 == 0:
            note(level)
        return level if level >= limit else down(level + 1)

    return down


def through_c(limit):
    """The same, where each level calls the next through the C function `map`."""

    def down(level):
        if level % 1000 == 0:
            note(level)
        return level if level >= limit else list(map(down, (level + 1,)))[0]

    return down


def measure(call):
    """Call without a recursion limit; return the depth and what ended it ("" if nothing did).

    `call` takes no argument and runs the recursion. Where an exception ends it the depth is what `note`
    has said last, as after a crash, so None is returned for it.
    """
    sys.setrecursionlimit(1 << 30)
    try:
        return call(), ""
    except (RecursionError, MemoryError) as error:
        return None, type(error).__name__
