"""What is pickled for the pickling figures: tasklets, and beside them plain data that say the same.

A figure is a function `NAME(size)` that returns two objects: the tasklets, or channels with those that wait
there, and a dictionary or a list of dictionaries with the names, local variables and offsets of their frames.
"""

from stackless import channel, run, schedule_remove, tasklet


def frame_of(function, offset, **variables):
    """What a frame of `function` is, as plain data."""
    code = function.__code__
    return {
        "name": code.co_qualname,
        "file": code.co_filename,
        "globals": function.__module__,
        "line": code.co_firstlineno,
        "offset": offset,
        "locals": variables,
    }


def down(level):
    if level:
        return down(level - 1) + 1
    schedule_remove()
    return 0


def deep(size):
    """A paused tasklet, `size` frames deep."""
    t = tasklet(down)(size - 1)
    t.run()
    return t, [frame_of(down, 2 * level, level=level) for level in reversed(range(size))]


def wait(ch):
    return ch.receive()


def queue(size):
    """A channel with `size` tasklets in its queue."""
    ch = channel()
    for _ in range(size):
        tasklet(wait)(ch)
    run()
    return ch, {"balance": -size, "queue": [frame_of(wait, 10, ch=0) for _ in range(size)]}


def channels(size):
    """As many channels, with one tasklet in the queue of each."""
    all_channels = [channel() for _ in range(size)]
    for ch in all_channels:
        tasklet(wait)(ch)
    run()
    return all_channels, [{"balance": -1, "queue": [frame_of(wait, 10, ch=index)]} for index in range(size)]
