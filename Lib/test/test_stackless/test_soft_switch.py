"""Python code that calls Python code does not nest the C stack, whatever syntax makes the call.

Each construct is written once, as a recursion through it.  Then a tasklet blocks at the bottom and
resumes, an exception travels up, and the recursion goes deeper than any C stack could.
"""

import functools
import sys
import threading
import types
import unittest

from stackless import channel, run, schedule, tasklet

from .cases import LeavesNoTasklets

# The thread that recurses has this C stack, 5 bytes of it for each level.
SMALL_STACK = 256 * 1024
DEEP = 50_000
FRAMES_PER_LEVEL = 6


def call_on_small_stack(function, *args):
    """function(*args) in a thread with a small C stack and room for very many Python frames."""
    outcome = []

    def body():
        try:
            outcome.append((function(*args), None))
        except BaseException as error:
            outcome.append((None, error))

    limit = sys.getrecursionlimit()
    size = threading.stack_size(SMALL_STACK)
    sys.setrecursionlimit(DEEP * FRAMES_PER_LEVEL + limit)
    try:
        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    result, error = outcome[0]
    if error is not None:
        raise error
    return result


class Construct(LeavesNoTasklets):
    """What every construct has to stand.

    descend(depth, bottom) calls itself `depth` times through the construct and then bottom();
    the result is the result of bottom() plus 1 for each level.
    """

    deep = DEEP

    def descend(self, depth, bottom):
        raise NotImplementedError

    def test_plain(self):
        for depth in 0, 1, 2, 10:
            self.assertEqual(self.descend(depth, lambda: 1000), 1000 + depth)

    def test_a_tasklet_blocks_inside(self):
        ch = channel()
        got = []

        def function(depth):
            got.append(self.descend(depth, ch.receive))
            got.append(self.descend(depth, ch.receive))

        for depth in 0, 1, 2, 100:
            got.clear()
            t = tasklet(function)(depth)
            run()
            self.assertTrue(t.blocked)
            ch.send(1000)
            run()
            self.assertTrue(t.blocked)
            ch.send(2000)
            run()
            self.assertFalse(t.alive)
            self.assertEqual(got, [1000 + depth, 2000 + depth])

    def test_many_tasklets_inside_at_once(self):
        got = []

        def function(number):
            def bottom():
                for _ in range(3):
                    schedule()
                return number

            got.append(self.descend(number % 7, bottom))

        for number in range(50):
            tasklet(function)(number)
        run()
        self.assertEqual(sorted(got), sorted(number + number % 7 for number in range(50)))

    def test_main_switches_inside(self):
        ch = channel()
        tasklet(ch.send)(1000)
        self.assertEqual(self.descend(5, ch.receive), 1005)
        run()

    def test_an_exception_comes_through(self):
        ch = channel()
        got = []

        def function(depth):
            try:
                self.descend(depth, ch.receive)
            except LookupError as error:
                got.append(error)
            got.append(self.descend(depth, ch.receive))

        for depth in 1, 100:
            got.clear()
            t = tasklet(function)(depth)
            run()
            ch.send_exception(LookupError, "sent")
            run()
            ch.send(0)
            run()
            self.assertFalse(t.alive)
            self.assertEqual(got[0].args, ("sent",))
            self.assertEqual(got[1], depth)

    def test_an_exception_without_a_switch(self):
        def bottom():
            raise LookupError("plain")

        with self.assertRaisesRegex(LookupError, "plain"):
            self.descend(20, bottom)

    def test_a_tasklet_is_dropped_inside(self):
        for depth in 1, 50:
            t = tasklet(self.descend)(depth, channel().receive)
            run()
            self.assertTrue(t.blocked)
            del t

    def test_deeper_than_the_c_stack(self):
        self.assertEqual(call_on_small_stack(self.descend, self.deep, lambda: 0), self.deep)

    def test_a_tasklet_blocks_deeper_than_the_c_stack(self):
        def function():
            got = []
            ch = channel()
            t = tasklet(lambda: got.append(self.descend(self.deep, ch.receive)))()
            run()
            self.assertTrue(t.blocked)
            ch.send(0)
            run()
            return got

        self.assertEqual(call_on_small_stack(function), [self.deep])

    def test_an_exception_from_deeper_than_the_c_stack(self):
        def bottom():
            raise LookupError("deep")

        def function():
            try:
                self.descend(self.deep, bottom)
            except LookupError as error:
                return error.args

        self.assertEqual(call_on_small_stack(function), ("deep",))


# --- calls ---


class TestPlainCall(Construct, unittest.TestCase):
    def descend(self, depth, bottom):
        return 1 + self.descend(depth - 1, bottom) if depth else bottom()


class TestCallWithArgs(Construct, unittest.TestCase):
    def descend(self, *args):
        depth, bottom = args
        return 1 + self.descend(*(depth - 1, bottom)) if depth else bottom()


class TestCallWithKwargs(Construct, unittest.TestCase):
    def descend(self, depth, bottom):
        return 1 + self.descend(**{"depth": depth - 1, "bottom": bottom}) if depth else bottom()


class TestCallWithBoth(Construct, unittest.TestCase):
    def level(self, depth, *, bottom):
        return 1 + self.level(*(depth - 1,), **{"bottom": bottom}) if depth else bottom()

    def descend(self, depth, bottom):
        return self.level(depth, bottom=bottom)


def forwarding(function):
    """The decorator everybody writes."""
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


class TestDecorated(Construct, unittest.TestCase):
    @forwarding
    @forwarding
    def descend(self, depth, bottom):
        return 1 + self.descend(depth - 1, bottom=bottom) if depth else bottom()


class TestBottomCalledWithArgs(Construct, unittest.TestCase):
    """The switching function itself is called with *args and **kwargs."""

    def descend(self, depth, bottom):
        return 1 + self.descend(*[depth - 1], bottom=bottom) if depth else bottom(*(), **{})


# --- generators ---


class TestForOverGenerator(Construct, unittest.TestCase):
    def levels(self, depth, bottom):
        if depth:
            for value in self.levels(depth - 1, bottom):
                yield value + 1
        else:
            yield bottom()

    def descend(self, depth, bottom):
        result = None
        for value in self.levels(depth, bottom):
            result = value
        return result


class TestYieldFrom(Construct, unittest.TestCase):
    def levels(self, depth, bottom):
        return 1 + (yield from self.levels(depth - 1, bottom)) if depth else bottom()
        yield

    def whole(self, depth, bottom):
        yield (yield from self.levels(depth, bottom))

    def descend(self, depth, bottom):
        for value in self.whole(depth, bottom):
            return value


class TestYieldFromWithYields(Construct, unittest.TestCase):
    """The value comes up through `depth` delegations as a yielded one."""

    def levels(self, depth, bottom):
        if depth:
            yield from self.levels(depth - 1, bottom)
        else:
            yield bottom()

    def descend(self, depth, bottom):
        result = None
        for value in self.levels(depth, bottom):
            result = value + depth
        return result


class TestGeneratorExpression(Construct, unittest.TestCase):
    def descend(self, depth, bottom):
        if not depth:
            return bottom()
        for value in (self.descend(d, bottom) for d in [depth - 1]):
            result = value + 1
        return result


@types.coroutine
def driven(coroutine):
    """A generator that yields the result of a coroutine."""
    yield (yield from coroutine)


class TestAwait(Construct, unittest.TestCase):
    async def level(self, depth, bottom):
        return 1 + await self.level(depth - 1, bottom) if depth else bottom()

    def descend(self, depth, bottom):
        for value in driven(self.level(depth, bottom)):
            return value


class TestAsyncWith(Construct, unittest.TestCase):
    class Manager:
        def __init__(self, depth, bottom):
            self.depth, self.bottom = depth, bottom

        async def __aenter__(self):
            if not self.depth:
                return self.bottom()
            async with TestAsyncWith.Manager(self.depth - 1, self.bottom) as value:
                return value + 1

        async def __aexit__(self, *exc_info):
            return False

    async def whole(self, depth, bottom):
        async with self.Manager(depth, bottom) as value:
            return value

    def descend(self, depth, bottom):
        for value in driven(self.whole(depth, bottom)):
            return value


class TestAsyncFor(Construct, unittest.TestCase):
    class Once:
        def __init__(self, depth, bottom):
            self.depth, self.bottom = depth, bottom

        def __aiter__(self):
            return self

        async def __anext__(self):
            if not self.depth:
                return self.bottom()
            async for value in TestAsyncFor.Once(self.depth - 1, self.bottom):
                return value + 1

    async def whole(self, depth, bottom):
        async for value in self.Once(depth, bottom):
            return value

    def descend(self, depth, bottom):
        for value in driven(self.whole(depth, bottom)):
            return value


# --- instances ---


class TestInit(Construct, unittest.TestCase):
    class Level:
        def __init__(self, depth, bottom):
            self.value = TestInit.Level(depth - 1, bottom).value + 1 if depth else bottom()

    def descend(self, depth, bottom):
        return self.Level(depth, bottom).value


class TestInitWithKeywords(Construct, unittest.TestCase):
    class Level:
        def __init__(self, depth, /, unused=None, *, bottom):
            self.value = type(self)(depth - 1, bottom=bottom).value + 1 if depth else bottom()

    def descend(self, depth, bottom):
        return self.Level(depth, bottom=bottom).value


class TestInitWithStars(Construct, unittest.TestCase):
    class Level:
        def __init__(self, *args, **kwargs):
            depth, = args
            bottom = kwargs["bottom"]
            self.value = type(self)(*[depth - 1], **kwargs).value + 1 if depth else bottom()

    def descend(self, depth, bottom):
        return self.Level(*(depth,), **{"bottom": bottom}).value


class TestInitOfSubclass(Construct, unittest.TestCase):
    class Base:
        def __init__(self, depth, bottom):
            self.value = type(self)(depth - 1, bottom).value + 1 if depth else bottom()

    class Level(Base):
        def __init__(self, depth, bottom):
            super().__init__(depth, bottom)
            self.done = True

    class Inherits(Level):
        pass

    def descend(self, depth, bottom):
        instance = self.Inherits(depth, bottom)
        assert instance.done
        return instance.value


class TestInitWithSlots(Construct, unittest.TestCase):
    class Level:
        __slots__ = "value", "__weakref__"

        def __init__(self, depth, bottom):
            self.value = TestInitWithSlots.Level(depth - 1, bottom).value + 1 if depth else bottom()

    def descend(self, depth, bottom):
        return self.Level(depth, bottom).value


# --- subscripts ---


class TestSubscript(Construct, unittest.TestCase):
    class Items:
        def __init__(self, bottom):
            self.bottom = bottom

        def __getitem__(self, depth):
            return self[depth - 1] + 1 if depth else self.bottom()

    def descend(self, depth, bottom):
        return self.Items(bottom)[depth]


class TestSubscriptOfManyTypes(Construct, unittest.TestCase):
    """One place that meets many types, so that no specialised form stands there for long."""

    class Items:
        def __init__(self, bottom):
            self.bottom = bottom

        def __getitem__(self, part):
            depth = part.stop
            return subscript((self, OtherItems(self.bottom))[depth % 2], depth - 1) + 1 if depth else self.bottom()

    def descend(self, depth, bottom):
        subscript([1, 2], 1)
        return subscript(self.Items(bottom), depth)


class OtherItems(TestSubscriptOfManyTypes.Items):
    """The same, and yet another type."""


def subscript(container, stop):
    return container[:stop]


# --- with ---


class TestEnter(Construct, unittest.TestCase):
    class Manager:
        def __init__(self, depth, bottom):
            self.depth, self.bottom = depth, bottom

        def __enter__(self):
            if not self.depth:
                return self.bottom()
            with TestEnter.Manager(self.depth - 1, self.bottom) as value:
                return value + 1

        def __exit__(self, *exc_info):
            return False

    def descend(self, depth, bottom):
        with self.Manager(depth, bottom) as value:
            return value


class TestExit(Construct, unittest.TestCase):
    class Manager:
        def __init__(self, depth, bottom):
            self.depth, self.bottom = depth, bottom

        def __enter__(self):
            return self

        def __exit__(self, exc_type, exc, tb):
            assert exc_type is exc is tb is None
            if self.depth:
                with TestExit.Manager(self.depth - 1, self.bottom) as inner:
                    pass
                self.value = inner.value + 1
            else:
                self.value = self.bottom()

    def descend(self, depth, bottom):
        with self.Manager(depth, bottom) as manager:
            pass
        return manager.value


class TestExitAfterException(Construct, unittest.TestCase):
    # CPython looks through all handlers around for the context of a new exception.
    deep = 10_000

    class Manager:
        def __init__(self, depth, bottom):
            self.depth, self.bottom = depth, bottom

        def __enter__(self):
            return self

        def __exit__(self, exc_type, exc, tb):
            assert exc_type is KeyError and exc.args == (self.depth,) and tb is not None
            if self.depth:
                with TestExitAfterException.Manager(self.depth - 1, self.bottom) as inner:
                    raise KeyError(self.depth - 1) from None
                self.value = inner.value + 1
            else:
                self.value = self.bottom()
            return True

    def descend(self, depth, bottom):
        with self.Manager(depth, bottom) as manager:
            raise KeyError(depth)
        return manager.value


# --- all of them in one chain ---


class TestMixture(Construct, unittest.TestCase):
    """Each level goes through the next construct of the list."""

    def descend(self, depth, bottom):
        if not depth:
            return bottom()
        way = self.ways[depth % len(self.ways)]
        return way(self, *(depth - 1, bottom)) + 1

    class Instance:
        def __init__(self, test, depth, bottom):
            self.value = test.descend(depth, bottom)

        def __enter__(self):
            return self.value

        def __exit__(self, *exc_info):
            schedule()

    def by_init(self, depth, bottom):
        return self.Instance(self, depth, bottom).value

    def by_with(self, depth, bottom):
        with self.Instance(self, depth, bottom) as value:
            return value

    def by_generator(self, depth, bottom):
        for value in (self.descend(depth, bottom) for _ in [0]):
            result = value
        return result

    def by_yield_from(self, depth, bottom):
        def delegating():
            yield from delegated()

        def delegated():
            yield self.descend(depth, bottom)

        for value in delegating():
            result = value
        return result

    def by_await(self, depth, bottom):
        async def outer():
            return await inner()

        async def inner():
            return self.descend(depth, bottom)

        for value in driven(outer()):
            result = value
        return result

    @forwarding
    def by_wrapper(self, depth, bottom):
        return self.descend(depth, bottom)

    ways = [by_init, by_with, by_generator, by_yield_from, by_await, by_wrapper]


# --- what the recursions above do not show ---


class TestResumption(LeavesNoTasklets, unittest.TestCase):
    """Tasklets that switch inside a construct and then go on in it."""

    def run_two(self, function):
        """Run function("a") and function("b"), which share a log, in turns."""
        self.log = []
        for name in "ab":
            tasklet(function)(name)
        run()
        return self.log

    def test_a_generator_that_switches_between_values(self):
        def numbers():
            for number in range(3):
                schedule()
                yield number
                schedule()

        def function(name):
            for number in numbers():
                self.log.append(f"{name}{number}")

        self.assertEqual(self.run_two(function), ["a0", "b0", "a1", "b1", "a2", "b2"])

    def test_the_body_of_the_loop_switches(self):
        def numbers():
            yield 0
            yield 1

        def function(name):
            for number in numbers():
                schedule()
                self.log.append(f"{name}{number}")

        self.assertEqual(self.run_two(function), ["a0", "b0", "a1", "b1"])

    def test_break_out_of_a_generator_that_switched(self):
        def numbers():
            try:
                while True:
                    schedule()
                    yield 1
            finally:
                self.log.append("closed")

        def function(name):
            for number in numbers():
                break
            self.log.append(name)

        self.assertEqual(self.run_two(function), ["closed", "a", "closed", "b"])

    def test_values_sent_into_a_delegation(self):
        """send() into the outer generator, while the innermost one is in the loop's hands."""
        def inner():
            got = []
            for _ in range(3):
                got.append((yield len(got)))
            return got

        def outer():
            return (yield from inner())

        generator = outer()
        self.assertEqual([generator.send(None), generator.send("a"), generator.send("b")], [0, 1, 2])
        with self.assertRaises(StopIteration) as caught:
            generator.send("c")
        self.assertEqual(caught.exception.value, ["a", "b", "c"])

    def test_a_generator_resumed_by_another_tasklet(self):
        """Suspended at a yield, a generator belongs to nobody."""
        def numbers():
            for number in range(4):
                schedule()
                yield number

        generator = numbers()

        def function(name):
            for number in generator:
                self.log.append(f"{name}{number}")
                return

        self.log = []
        for name in "ab":
            tasklet(function)(name)
            run()
        self.assertEqual(self.log, ["a0", "b1"])
        for number in generator:
            self.log.append(number)
            break
        tasklet(function)("c")
        run()
        self.assertEqual(self.log, ["a0", "b1", 2, "c3"])

    def test_a_generator_that_runs_in_another_tasklet(self):
        ch = channel()

        def numbers():
            yield ch.receive()

        generator = numbers()

        def loop():
            for number in generator:
                self.log.append(number)

        self.log = []
        t = tasklet(loop)()
        run()
        self.assertTrue(generator.gi_running)
        with self.assertRaisesRegex(ValueError, "generator already executing"):
            for _ in generator:
                pass
        with self.assertRaisesRegex(ValueError, "generator already executing"):
            generator.send(None)
        with self.assertRaisesRegex(ValueError, "generator already executing"):
            generator.close()
        ch.send(5)
        self.assertEqual(self.log, [5])
        self.assertFalse(generator.gi_running)
        self.assertFalse(t.alive)

    def test_a_with_block_that_switches_all_over(self):
        class Manager:
            def __enter__(manager):
                schedule()
                return manager

            def __exit__(manager, exc_type, exc, tb):
                schedule()
                return exc_type is KeyError

        def function(name):
            with Manager():
                schedule()
                self.log.append(name)
            with Manager():
                schedule()
                raise KeyError
            self.log.append(name.upper())
            try:
                with Manager():
                    raise LookupError(name)
            except LookupError as error:
                self.log.append(error.args[0] * 2)

        self.assertEqual(self.run_two(function), ["a", "b", "A", "B", "aa", "bb"])

    def test_return_break_and_continue_out_of_with(self):
        class Manager:
            def __enter__(manager):
                schedule()

            def __exit__(manager, *exc_info):
                schedule()

        def returns():
            with Manager():
                return 1

        def function(name):
            result = returns()
            for number in range(3):
                with Manager():
                    if number == 0:
                        continue
                    break
            self.log.append((name, result, number))

        self.assertEqual(self.run_two(function), [("a", 1, 1), ("b", 1, 1)])

    def test_init_that_fails_after_a_switch(self):
        class Fails:
            def __init__(self, name):
                schedule()
                raise ValueError(name)

        def function(name):
            try:
                Fails(name)
            except ValueError as error:
                self.log.append(error.args[0])

        self.assertEqual(self.run_two(function), ["a", "b"])

    def test_init_that_returns_something_after_a_switch(self):
        class Wrong:
            def __init__(self):
                schedule()
                return 1

        def function(name):
            try:
                Wrong()
            except TypeError as error:
                self.log.append(str(error))

        self.assertEqual(self.run_two(function), ["__init__() should return None, not 'int'"] * 2)

    def test_as_an_operand(self):
        """Instances and values of generators in the middle of an expression: the value stack is kept."""
        class Number:
            def __init__(self, value):
                schedule()
                self.value = value

        def one(*args):
            schedule()
            return 1

        def function(name):
            self.log.append([name, one(*()) + Number(2).value * one(**{}),
                             [n for n in (one(i) for i in range(3))], Number(value=5).value])

        self.assertEqual(self.run_two(function), [["a", 3, [1, 1, 1], 5], ["b", 3, [1, 1, 1], 5]])

    def test_a_tasklet_whose_function_is_a_class(self):
        log = []

        class Body:
            def __init__(self, name):
                for turn in range(2):
                    log.append((name, turn))
                    schedule()

        tasklet(Body)("a")
        tasklet(Body)(name="b")
        run()
        self.assertEqual(log, [("a", 0), ("b", 0), ("a", 1), ("b", 1)])


if __name__ == "__main__":
    unittest.main()
