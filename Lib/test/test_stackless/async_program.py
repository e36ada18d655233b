"""A program that CPython runs, too: random walks through generators, coroutines, asynchronous generators and
their awaitables, written down step by step.

async_program.py SEED WALKS WATCHER (nothing, settrace or setprofile) prints a line per step: what was called,
what came of it, the traceback, and the events.  Both interpreters have to print the same.
"""

import random
import sys
import traceback
import types


#: What belongs to the walk itself, and is not watched.
OWN = ("drive", "walk", "attempt", "log", "show", "walk_async_generator", "exception", "iterable", "awaitable",
       "randrange", "choice")


class Iterator:
    """Delegated to; with throw() and close() in Python."""

    def __init__(self, log):
        self.log = log
        self.left = 3

    def __iter__(self):
        return self

    __await__ = __iter__

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration("iterator")
        return "item"

    def send(self, value):
        self.log("iterator got", value)
        return next(self)

    def throw(self, *args):
        self.log("iterator threw", args[0])
        if args[0] is KeyError:
            return "caught"
        if args[0] is IndexError:
            raise StopIteration("ended")
        raise args[0]

    def close(self):
        self.log("iterator closed")


class BadIterator(Iterator):
    """Its close() fails."""

    def close(self):
        raise LookupError("close")


class Walk:
    """One set of objects, and what is done to them."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.lines = []

    def log(self, *what):
        self.lines.append(" ".join(map(self.show, what)))

    @staticmethod
    def show(what):
        if isinstance(what, (str, int, type(None))):
            return str(what)
        if isinstance(what, BaseException):
            return f"{type(what).__name__}{what.args}"
        if isinstance(what, tuple):
            return f"({', '.join(map(Walk.show, what))})"
        return getattr(what, "__name__", type(what).__name__)

    # Generators.  `depth` limits how deep they delegate.

    def generator(self, depth, style):
        """Yields, delegates, and handles what is thrown as `style` says."""
        for i in range(2):
            try:
                self.log("generator got", (yield f"g{depth}.{i}"))
                if depth:
                    self.log("delegate gave", (yield from self.iterable(depth - 1)))
            except KeyError as error:
                self.log("generator caught", error, error.__context__)
                if style == 0:
                    yield "after KeyError"
            except GeneratorExit:
                if style == 1:
                    yield "ignores the exit"
                if style == 2:
                    return "exits"
                raise
            finally:
                self.log("generator finally")
        return f"result of {depth}"

    @types.coroutine
    def waits(self, what):
        return (yield what)

    async def coroutine(self, depth, style):
        try:
            self.log("coroutine got", await self.waits(f"c{depth}"))
            if depth:
                self.log("awaited", await self.awaitable(depth - 1))
        except (KeyError, ValueError) as error:
            self.log("coroutine caught", error)
            if style == 0:
                await self.waits("after an error")
            if style == 1:
                raise RuntimeError("other") from error
        finally:
            if style == 2:
                await self.waits("finally")
        return f"coroutine {depth}"

    async def async_generator(self, depth, style):
        for i in range(2):
            try:
                self.log("async generator got", (yield f"a{depth}.{i}"))
                self.log("async generator awaited", await self.awaitable(depth - 1))
            except KeyError as error:
                self.log("async generator caught", error)
                if style == 0:
                    yield "after KeyError"
                if style == 1:
                    await self.waits("after KeyError")
            except GeneratorExit:
                if style == 1:
                    yield "ignores the exit"
                if style == 2:
                    await self.waits("awaits at the exit")
                if style == 3:
                    return
                raise
            except IndexError:
                if style == 0:
                    raise StopAsyncIteration
                if style == 1:
                    raise StopIteration
            finally:
                self.log("async generator finally")

    async def async_for(self, depth, style):
        result = []
        async for value in self.async_generator(depth, style):
            result.append(value)
            if len(result) == 4:
                break
        return ",".join(result)

    def iterable(self, depth):
        """Something for `yield from`."""
        choice = self.random.randrange(5)
        style = self.random.randrange(4)
        if choice == 0:
            return Iterator(self.log)
        if choice == 1:
            return BadIterator(self.log)
        if choice == 2:
            return self.coroutine(max(depth, 0), style).__await__()
        return self.generator(max(depth, 0), style)

    def awaitable(self, depth):
        """Something for `await`."""
        style = self.random.randrange(4)
        depth = max(depth, 0)
        agen = self.async_generator(depth, style)
        match self.random.randrange(10):
            case 0:
                return Iterator(self.log)
            case 1:
                return agen.asend(None)
            case 2:
                return agen.athrow(KeyError)
            case 3:
                return agen.aclose()
            case 4:
                return anext(agen, "default")
            case 5:
                return self.async_for(depth, style)
            case 6:
                return types.coroutine(self.generator)(depth, style)
            case _:
                return self.coroutine(depth, style)

    # Walking.

    def attempt(self, name, function, *args):
        try:
            self.log(name, args, "->", function(*args))
        except BaseException as error:
            entries = traceback.extract_tb(error.__traceback__)[1:]
            self.log(name, args, "raised", error, error.__context__, error.__cause__,
                     ",".join(f"{entry.name}:{entry.lineno}" for entry in entries))

    def exception(self):
        return self.random.choice([KeyError, KeyError("thrown"), ValueError, GeneratorExit, GeneratorExit(),
                                   IndexError, StopIteration, StopAsyncIteration])

    def drive(self, name, obj, steps):
        """Send to and throw into an iterator or awaitable."""
        for _ in range(steps):
            match self.random.randrange(7):
                case 0:
                    self.attempt(name + ".throw", obj.throw, self.exception())
                case 1:
                    self.attempt(name + ".send", obj.send, "sent")
                case 2 if hasattr(obj, "__next__"):
                    self.attempt(name + ".next", next, obj)
                case 3 if self.random.randrange(3) == 0:
                    self.attempt(name + ".close", obj.close)
                case _:
                    self.attempt(name + ".send", obj.send, None)

    def walk(self):
        depth = self.random.randrange(4)
        style = self.random.randrange(4)
        match self.random.randrange(5):
            case 0:
                self.drive("generator", self.generator(depth, style), 6)
            case 1:
                self.drive("coroutine", self.coroutine(depth, style), 6)
            case 2:
                self.drive("wrapper", self.coroutine(depth, style).__await__(), 6)
            case _:
                self.walk_async_generator(self.async_generator(depth, style))

    def walk_async_generator(self, agen):
        awaitables = []
        for _ in range(10):
            match self.random.randrange(7):
                case 0:
                    awaitables.append(("aclose", agen.aclose()))
                case 1:
                    awaitables.append(("athrow", agen.athrow(self.exception())))
                case 2:
                    awaitables.append(("anext", anext(agen, "default")))
                case 3:
                    awaitables.append(("asend", agen.asend("value")))
                case _:
                    awaitables.append(("asend", agen.asend(None)))
            name, awaitable = self.random.choice(awaitables[-2:])
            self.drive(name, awaitable, self.random.randrange(1, 4))
            self.log("running", agen.ag_running, "frame", agen.ag_frame is None,
                     self.show(agen.ag_await))

    def trace(self, frame, event, arg):
        if frame.f_code.co_name not in OWN:
            if event == "exception":
                arg = arg[1]
            self.log("    ", event, frame.f_code.co_name, frame.f_lineno, arg)
        return self.trace


def main(seed, walks, watcher):
    for number in range(seed, seed + walks):
        walk = Walk(number)
        if watcher != "nothing":
            getattr(sys, watcher)(walk.trace)
        walk.walk()
        sys.settrace(None)
        sys.setprofile(None)
        print("walk", number)
        print("\n".join(walk.lines))


if __name__ == "__main__":
    sys.unraisablehook = lambda unraisable: None
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
