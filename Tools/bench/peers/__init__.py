"""Switching figures, by the system they are measured on: one folder each, each in the system's own idiom.

A figure in Python is a function `NAME(count)` in `PEER/figures.py`. It sets up, performs `count`
operations, and returns the CPU seconds they took (`blocked`: the bytes of resident memory they cost;
`depth` and `depth_c`: the depth that was reached, and what ended it). A system that has no natural form
of a figure leaves it out. One that should be able and is not raises `Unable`, with the reason. The
figures of Go and LuaJIT are programs that take NAME and COUNT and answer in the same way as worker.py.
The rows stand in catalogue.py.
"""


class Unable(Exception):
    """The system has this figure and cannot do it; the text says why."""
