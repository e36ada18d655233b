"""A program that CPython runs, too: asyncio's tasks in all the ways in which a step can begin and end.

asyncio_program.py WATCHER (nothing, settrace or setprofile) prints what happens.  Both interpreters have to print
the same: ours runs it in a tasklet, and once more in main.
"""

import asyncio
import contextvars
import sys
import traceback

try:
    import stackless
except ImportError:   # the other interpreter
    stackless = None

events = []
var = contextvars.ContextVar("var", default="none")


def log(*what):
    events.append(" ".join(map(str, what)))


def describe(error):
    if error is None:
        return "nothing"
    names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
    names = [name for name in names if name != "run_until_complete"]
    return f"{type(error).__name__}{error.args} {names} context=({describe(error.__context__)})"


class Bad:
    """Awaits what a task cannot wait for."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


class OwnFuture(asyncio.futures._PyFuture):
    """A future in Python: the task calls its result()."""

    def result(self):
        log("result() called")
        return super().result()


class OwnTask(asyncio.Task):
    """A task whose class is in Python."""


async def outcome(coroutine):
    """What comes of a task."""
    task = asyncio.create_task(coroutine)
    try:
        log("outcome", await task)
    except BaseException as error:
        log("outcome", describe(error))
    log(task.done(), task.cancelled(), task.cancelling())
    return task


async def returns(value):
    await asyncio.sleep(0)
    return value


async def raises(error):
    await asyncio.sleep(0)
    raise error


async def catches(future):
    try:
        log("future gave", await future)
    except BaseException as error:
        log("future raised", describe(error))
        await asyncio.sleep(0)
        raise RuntimeError("later")


async def cancels_itself():
    asyncio.current_task().cancel("by itself")
    log("still running")
    await asyncio.sleep(0)


async def cancels_itself_at_last():
    asyncio.current_task().cancel("at last")
    return 1


async def resists():
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError as error:
        log("resists", describe(error))
        asyncio.current_task().uncancel()
        await asyncio.sleep(0)
        return "resisted"


def future_of(loop, call, *args, cls=None):
    future = loop.create_future() if cls is None else cls(loop=loop)
    loop.call_soon(getattr(future, call), *args)
    return future


async def main():
    loop = asyncio.get_running_loop()
    for value in (1, None, (1, 2), StopAsyncIteration()):
        await outcome(returns(value))
    for error in (KeyError(1), StopAsyncIteration(), asyncio.CancelledError("raised")):
        await outcome(raises(error))
    for value in (None, 1, "text", loop, asyncio.current_task()):
        await outcome(waits(value))
    for cls in (None, OwnFuture):
        await outcome(catches(future_of(loop, "set_result", 5, cls=cls)))
        await outcome(catches(future_of(loop, "set_exception", KeyError("set"), cls=cls)))
        await outcome(catches(future_of(loop, "cancel", "cancelled", cls=cls)))
    await outcome(cancels_itself())
    await outcome(cancels_itself_at_last())
    for coroutine in (asyncio.sleep(10), resists(), catches(loop.create_future())):
        task = asyncio.create_task(coroutine)
        await asyncio.sleep(0)
        task.cancel("from outside")
        task.cancel("once more")
        try:
            log("cancelled gave", await task)
        except BaseException as error:
            log("cancelled raised", describe(error))
    never = asyncio.create_task(returns(1))
    never.cancel()
    log(await asyncio.gather(never, returns(2), raises(ValueError(3)), return_exceptions=True))
    try:
        raise LookupError("being handled")
    except LookupError:
        await outcome(catches(future_of(loop, "set_exception", KeyError("other"))))
    log(await OwnTask(returns("own task")))
    await in_context()
    await others(loop)
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(10)
    except TimeoutError as error:
        log("timeout", describe(error))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(returns(i)) for i in range(3)]
    log([task.result() for task in tasks])


async def waits(value):
    return await Bad(value)


async def in_context():
    """Each task has a context of its own."""
    async def sets(value):
        var.set(value)
        await asyncio.sleep(0)
        log("context", var.get())

    await asyncio.gather(sets(1), sets(2))
    log("context", var.get())


async def others(loop):
    """Steps that the base refuses, and who is current."""
    current = asyncio.current_task()
    other = asyncio.create_task(returns("other"))
    asyncio.tasks._leave_task(loop, current)
    log("current", asyncio.current_task())
    asyncio.tasks._enter_task(loop, current)
    log(asyncio.current_task() is current, await other)
    steps = []
    loop.set_exception_handler(lambda loop, what: log("handler", describe(what.get("exception"))))

    class Loop:
        """Keeps what a task wants to be called."""

        def __getattr__(self, name):
            return getattr(loop, name)

        def call_soon(self, callback, *args, context=None):
            steps.append(callback)

    own = Loop()
    task = asyncio.Task(returns("twice"), loop=own)
    asyncio.tasks._enter_task(own, task)
    try:
        steps[0]()
    except RuntimeError as error:
        log("entered", type(error).__name__, "Cannot enter into task" in str(error))
    asyncio.tasks._leave_task(own, task)
    log(steps[0](), len(steps), task._fut_waiter, steps[1](), task.done())
    try:
        steps[0]()
    except asyncio.InvalidStateError as error:
        log("again", type(error).__name__)

    async def leaves():
        asyncio.tasks._leave_task(own, asyncio.current_task(own))

    task = asyncio.Task(leaves(), loop=own)
    try:
        steps[-1]()
    except RuntimeError as error:
        log("left", "does not match the current task None" in str(error), task.done())

    async def interrupts():
        raise KeyboardInterrupt("in a step")

    task = asyncio.Task(interrupts(), loop=own)
    try:
        steps[-1]()
    except KeyboardInterrupt as error:
        log(describe(error), task.done(), describe(task.exception()))
    loop.set_exception_handler(None)


def trace(frame, event, arg):
    if frame.f_code.co_filename == __file__ and frame.f_code.co_name not in ("log", "describe", "<genexpr>"):
        if event == "exception":
            arg = arg[0].__name__
        elif not isinstance(arg, (int, str, type(None))):
            arg = type(arg).__name__
        log("    ", event, frame.f_code.co_name, frame.f_lineno, arg)
    return trace


def watched():
    if sys.argv[1] != "nothing":
        getattr(sys, sys.argv[1])(trace)
    asyncio.run(main())
    sys.settrace(None)
    sys.setprofile(None)


if __name__ == "__main__":
    for runs_in_tasklet in (True, False):
        events.clear()
        if runs_in_tasklet and stackless is not None:
            stackless.tasklet(watched)()
            stackless.run()
        else:
            watched()
        print("\n".join(events))
