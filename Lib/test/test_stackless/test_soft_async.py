"""Asynchronous generators and the base's awaitables take no C stack, and behave as in CPython."""

import contextlib
import os
import pathlib
import subprocess
import sys
import types
import unittest

from _stackless import _c_stack_pointer
from .cases import BlocksSoftly, needs_soft_switches
from .interpreters import same_as_base

BASE = os.environ.get("SLP_BASE_PYTHON", "/usr/bin/python3.11")


def run(coroutine):
    """The result of a coroutine, by sending None."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as end:
        return end.value


async def yields(receive):
    """Yields what comes, then what is sent."""
    yield (yield receive())


async def handles(receive):
    """Blocks where an exception is handled."""
    try:
        yield 1
    except KeyError:
        yield receive()
    finally:
        receive()


@needs_soft_switches
class IsSoft(BlocksSoftly, unittest.TestCase):
    """A tasklet that blocks inside of the construct has no C frames."""

    def test_async_for(self):
        async def loops(receive):
            return [value async for value in yields(receive)]

        self.assertEqual(self.blocked_in(run, loops, 1), [1, None])

    def test_asend(self):
        async def sends(receive):
            agen = yields(receive)
            return await agen.asend(None), await agen.asend(5)

        self.assertEqual(self.blocked_in(run, sends, 1), (1, 5))

    def test_anext(self):
        async def asks(receive):
            return await anext(yields(receive)), await yields(receive).__anext__()

        self.assertEqual(self.blocked_in(run, asks, 1, 2), (1, 2))

    def test_anext_with_default(self):
        async def ends(receive):
            receive()
            return
            yield

        async def asks(receive):
            return await anext(yields(receive), 7), await anext(ends(receive), 7)

        self.assertEqual(self.blocked_in(run, asks, 1, 2), (1, 7))

    def test_anext_of_an_iterator_in_python(self):
        class Iterator:
            def __init__(self, receive):
                self.receive = receive

            def __anext__(self):
                self.receive()
                return self.value()

            async def value(self):
                return self.receive()

        async def asks(receive):
            return await anext(Iterator(receive))

        self.assertEqual(self.blocked_in(run, asks, 1, 2), 2)

    def test_athrow(self):
        async def throws(receive):
            agen = handles(receive)
            await agen.asend(None)
            return await agen.athrow(KeyError), await agen.aclose()

        self.assertEqual(self.blocked_in(run, throws, 1, 2), (1, None))

    def test_aclose(self):
        async def closes(receive):
            agen = handles(receive)
            await agen.asend(None)
            return await agen.aclose()

        self.assertIsNone(self.blocked_in(run, closes, 1))

    def test_methods_of_awaitables(self):
        def result(function, *args):
            try:
                function(*args)
            except StopIteration as end:
                return end.value

        async def calls(receive):
            agen = handles(receive)
            yield_one = agen.asend(None)
            self.assertEqual(result(yield_one.send, None), 1)
            thrown = result(agen.asend(None).throw, KeyError)
            result(agen.aclose().__next__)
            return thrown, result(next, yields(receive).asend(None))

        self.assertEqual(self.blocked_in(run, calls, 1, 2, 3), (1, 3))

    def test_asynccontextmanager(self):
        @contextlib.asynccontextmanager
        async def manager(receive):
            first = receive()
            try:
                yield first
            except KeyError:
                receive()

        async def enters(receive):
            async with manager(receive) as value:
                raise KeyError(value)
            return value

        self.assertEqual(self.blocked_in(run, enters, 1, 2), 1)

    def test_coroutine_wrapper(self):
        class Awaitable:
            def __init__(self, receive):
                self.receive = receive

            async def coroutine(self):
                return self.receive()

            def __await__(self):
                return self.coroutine().__await__()

        async def awaits(receive):
            return await Awaitable(receive)

        def delegates(receive):
            return (yield from Awaitable(receive).__await__())

        self.assertEqual(self.blocked_in(run, awaits, 1), 1)
        self.assertEqual(self.blocked_in(run, delegates, 2), 2)

    def test_methods_of_a_coroutine_wrapper(self):
        @types.coroutine
        def waits():
            yield 1

        async def coroutine(receive):
            try:
                receive()
                await waits()
            except KeyError:
                receive()
                await waits()
            finally:
                receive()

        async def calls(receive):
            wrapper = coroutine(receive).__await__()
            values = [next(wrapper), wrapper.throw(KeyError)]
            wrapper.close()
            return values

        self.assertEqual(self.blocked_in(run, calls, 1, 2, 3), [1, 1])

    def test_generator_exit_thrown_through_a_delegation(self):
        def inner(receive):
            try:
                yield 1
            finally:
                receive()

        def outer(receive):
            try:
                yield from inner(receive)
            except GeneratorExit:
                receive()
                yield 2

        async def throws(receive):
            generator = outer(receive)
            next(generator)
            return generator.throw(GeneratorExit)

        self.assertEqual(self.blocked_in(run, throws, 1, 2), 2)

    def test_throw_while_a_tracer_is_set(self):
        def inner(receive):
            try:
                yield 1
            except KeyError:
                yield receive()

        def outer(receive):
            yield from inner(receive)

        async def throws(receive):
            generator = outer(receive)
            next(generator)
            sys.settrace(lambda *args: None)
            try:
                return generator.throw(KeyError)
            finally:
                sys.settrace(None)

        self.assertEqual(self.blocked_in(run, throws, 1), 1)


class Depth(unittest.TestCase):
    """Recursion takes no C stack: at depth 50 it stands where it stands at depth 2."""

    def check(self, descend):
        """`await descend(left)` goes on with left - 1, down to 0."""
        def pointer_at(depth):
            self.pointer = None
            run(descend(depth))
            return self.pointer

        pointer_at(2)
        self.assertIsNotNone(pointer_at(2))
        self.assertEqual(pointer_at(2), pointer_at(50))

    def note(self):
        self.pointer = _c_stack_pointer()

    def test_async_for(self):
        async def generator(left):
            if left == 0:
                self.note()
                return
            async for value in generator(left - 1):
                yield value
            yield left

        async def descend(left):
            return [value async for value in generator(left)]

        self.check(descend)

    def test_async_for_in_a_comprehension(self):
        async def generator(left):
            if left == 0:
                self.note()
            else:
                yield [value async for value in generator(left - 1)]

        async def descend(left):
            await anext(generator(left), None)

        self.check(descend)

    def test_athrow_and_aclose(self):
        async def generator(left):
            try:
                yield left
            finally:
                if left == 0:
                    self.note()
                else:
                    await descend(left - 1)

        async def descend(left):
            agen = generator(left)
            await agen.asend(None)
            if left % 2:
                await agen.aclose()
            else:
                with contextlib.suppress(KeyError):
                    await agen.athrow(KeyError)

        self.check(descend)

    def test_coroutine_wrappers(self):
        class Step:
            def __init__(self, left):
                self.left = left

            def __await__(self):
                return descend(self.left - 1).__await__()

        async def descend(left):
            if left == 0:
                self.note()
            else:
                await Step(left)

        self.check(descend)

    def test_ten_thousand_levels(self):
        async def generator(left):
            if left:
                async for value in generator(left - 1):
                    yield value
            yield left

        async def first():
            async for value in generator(10_000):
                return value

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(100_000)
        try:
            self.assertEqual(run(first()), 0)
        finally:
            sys.setrecursionlimit(limit)


class AsInCPython(unittest.TestCase):
    """A random program does the same in both interpreters."""

    def output(self, python, *args):
        program = pathlib.Path(__file__).with_name("async_program.py")
        result = subprocess.run([python, "-W", "ignore", program, *args], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout.splitlines()

    def check(self, *args):
        base = self.output(BASE, *args)
        self.assertGreater(len(base), 1000)
        self.assertEqual(self.output(sys.executable, *args), base)

    def test_results(self):
        self.check("0", "1500", "nothing")

    def test_trace_events(self):
        self.check("5000", "150", "settrace")

    def test_profile_events(self):
        self.check("6000", "150", "setprofile")


# Something is thrown into an asynchronous generator, and its class, or the iterator that the generator waits for, does
# something to the generator, or to its awaitable, when it is asked.
INTERFERENCE = """
import itertools

def interfere():
    if not armed:
        return
    armed.clear()
    try:
        print("  acts", act())
    except BaseException as error:
        print("  acts", repr(error))

class Iterator:
    def __iter__(self):
        return self
    __await__ = __iter__
    def __next__(self):
        return "next"
    def __getattr__(self, name):
        if name == "throw":
            interfere()
        raise AttributeError(name)
class Interferes(Exception):
    def __init__(self):
        interfere()
class Exits(GeneratorExit):
    def __init__(self):
        interfere()
class Ends(StopAsyncIteration):
    def __init__(self):
        interfere()

SOURCE = '''
async def run():
    kept = ["value %d" % i for i in range(3)]
    try:
        yield 1
        await Iterator()
        yield 2
    except BaseException as error:
        print("  in", repr(error), repr(error.__context__))
        raise
'''

def attempt(function, *args):
    try:
        print(" ", function(*args))
    except BaseException as error:
        print(" ", repr(error), repr(error.__context__))

acts = {
    "aclose": lambda: generator.aclose().send(None),
    "anext": lambda: generator.__anext__().send(None),
    "athrow": lambda: generator.athrow(KeyError).send(None),
    "clear": lambda: generator.ag_frame.clear(),
    "send": lambda: awaitable.send(None),
    "close": lambda: awaitable.close(),
    "throw": lambda: awaitable.throw(KeyError("key")),
}
kinds = {
    "asend": lambda: generator.asend(None),
    "athrow": lambda: generator.athrow(thrown),
    "aclose": lambda: generator.aclose(),
}
for case in itertools.product(acts, (Interferes, Exits, Ends, ValueError("v")), kinds, (0, 1, 2),
                              ("throw", "send")):
    act, thrown, kind, steps, ask = case
    print(*case)
    act, armed = acts[act], []
    namespace = {"Iterator": Iterator}
    exec(SOURCE, namespace)
    generator = namespace.pop("run")()
    for _ in range(steps):
        awaitable = generator.asend(None)
        attempt(awaitable.send, None)
    if steps < 2:
        awaitable = kinds[kind]()
    armed.append(True)
    attempt(getattr(awaitable, ask), thrown if ask == "throw" else None)
    attempt(awaitable.send, None)
    attempt(generator.asend(None).send, None)
    print(" ", generator.ag_running, generator.ag_frame is None)
"""


class Interference(unittest.TestCase):
    """Code that runs in order to find out what is thrown may do anything to the generator."""

    def test_generators_change_while_something_is_thrown(self):
        same_as_base(self, "-W", "ignore", "-c", INTERFERENCE, PYTHONMALLOC="debug")


if __name__ == "__main__":
    unittest.main()
