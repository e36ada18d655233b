"""Tasklets, channels and their scheduler.

A tasklet is a thread of execution that the program schedules itself: it runs until it yields with
schedule(), waits on a channel, or ends.  Switching costs tens of nanoseconds, and a waiting tasklet
a few hundred bytes.

    import stackless

    def producer(ch):
        for i in range(3):
            ch.send(i)
        ch.send_exception(StopIteration)

    def consumer(ch):
        for value in ch:
            print(value)

    ch = stackless.channel()
    stackless.tasklet(producer)(ch)
    stackless.tasklet(consumer)(ch)
    stackless.run()

The attributes `current`, `main` and `runcount` of this module are computed whenever they are read, for
the thread that reads them: they are what getcurrent(), getmain() and getruncount() return.
"""

import sys
from types import ModuleType

from builtins import TaskletExit  # noqa: F401

from _stackless import (
    atomic,
    bomb,
    channel,
    get_channel_callback,
    get_schedule_callback,
    getcurrent,
    getcurrentid,
    getmain,
    getruncount,
    run,
    schedule,
    schedule_remove,
    set_channel_callback,
    set_error_handler,
    set_schedule_callback,
    switch_trap,
    tasklet,
)

__all__ = [
    "atomic",
    "bomb",
    "channel",
    "get_channel_callback",
    "get_schedule_callback",
    "getcurrent",
    "getcurrentid",
    "getmain",
    "getruncount",
    "run",
    "schedule",
    "schedule_remove",
    "set_channel_callback",
    "set_error_handler",
    "set_schedule_callback",
    "stackless",
    "switch_trap",
    "tasklet",
]


class _StacklessModule(ModuleType):
    """The type of the module `stackless`, which gives it properties."""

    @property
    def current(self) -> tasklet:
        """The current tasklet of this thread."""
        return getcurrent()

    @property
    def main(self) -> tasklet:
        """The main tasklet of this thread."""
        return getmain()

    @property
    def runcount(self) -> int:
        """The number of runnable tasklets of this thread."""
        return getruncount()


# So that `from stackless import *` brings the name of the module, too.
stackless = sys.modules[__name__]
stackless.__class__ = _StacklessModule
