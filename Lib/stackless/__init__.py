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

The attributes `current`, `main`, `runcount`, `threads`, `debug` and `uncollectables` of this module are
computed whenever they are read, for the thread that reads them: they are what getcurrent(), getmain(),
getruncount(), getthreads(), getdebug() and getuncollectables() return.
"""

import importlib
import sys
from types import ModuleType

from builtins import TaskletExit  # noqa: F401

from stackless import _pickling, _reducers

from _stackless import (
    PICKLEFLAGS_PICKLE_CONTEXT,
    PICKLEFLAGS_PRESERVE_AG_FINALIZER,
    PICKLEFLAGS_PRESERVE_TRACING_STATE,
    PICKLEFLAGS_RESET_AG_FINALIZER,
    _tasklet_get_unpicklable_state,
    _wrap,  # type: ignore[attr-defined]
    atomic,
    bomb,
    channel,
    enable_softswitch,
    get_channel_callback,
    get_schedule_callback,
    get_thread_info,
    getcurrent,
    getcurrentid,
    getdebug,
    getmain,
    getovershoot,
    getruncount,
    getthreads,
    getuncollectables,
    pickle_flags,
    pickle_flags_default,
    run,
    schedule,
    schedule_remove,
    set_accounting,
    set_channel_callback,
    set_error_handler,
    set_schedule_callback,
    switch_trap,
    tasklet,
    tasklets,
)

__all__ = [
    "PICKLEFLAGS_PICKLE_CONTEXT",
    "PICKLEFLAGS_PRESERVE_AG_FINALIZER",
    "PICKLEFLAGS_PRESERVE_TRACING_STATE",
    "PICKLEFLAGS_RESET_AG_FINALIZER",
    "PickleProblem",
    "atomic",
    "bomb",
    "channel",
    "enable_softswitch",
    "explain_pickle",
    "get_channel_callback",
    "get_schedule_callback",
    "get_thread_info",
    "getcurrent",
    "getcurrentid",
    "getdebug",
    "getmain",
    "getovershoot",
    "getruncount",
    "getthreads",
    "getuncollectables",
    "pickle_flags",
    "pickle_flags_default",
    "pickle_with_tracing_state",
    "run",
    "schedule",
    "schedule_remove",
    "set_accounting",
    "set_channel_callback",
    "set_error_handler",
    "set_schedule_callback",
    "stackless",
    "switch_trap",
    "tasklet",
    "tasklets",
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

    @property
    def threads(self) -> list[int]:
        """The ids of all threads, the main thread first."""
        return getthreads()

    @property
    def debug(self) -> bool:
        """Is this a build with assertions?"""
        return getdebug()

    @property
    def uncollectables(self) -> list[tasklet]:
        """The tasklets that are suspended inside of C functions."""
        return getuncollectables()

    @property
    def pickle_with_tracing_state(self) -> bool:
        """Does pickling keep trace and profile functions?  Setting it counts for this thread and for new ones."""
        return bool(pickle_flags() & PICKLEFLAGS_PRESERVE_TRACING_STATE)

    @pickle_with_tracing_state.setter
    def pickle_with_tracing_state(self, value: bool) -> None:
        flag = PICKLEFLAGS_PRESERVE_TRACING_STATE if value else 0
        pickle_flags(flag, PICKLEFLAGS_PRESERVE_TRACING_STATE)
        pickle_flags_default(flag, PICKLEFLAGS_PRESERVE_TRACING_STATE)

    def __reduce__(self):
        """Pickle and copy the module by its name."""
        return importlib.import_module, (self.__name__,)

    def __reduce_ex__(self, protocol):
        """The same for any protocol."""
        return self.__reduce__()


explain_pickle = _pickling.explain_pickle
PickleProblem = _pickling.PickleProblem
_pickling.register()
_reducers.register()

# So that `from stackless import *` brings the name of the module, too.
stackless = sys.modules[__name__]
stackless.__class__ = _StacklessModule

# Its second name, which pickles of Stackless 2 and 3 may have.
sys.modules["stackless._wrap"] = _wrap
