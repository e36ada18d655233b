"""next(), send(), throw() and close() of generators and coroutines take no C stack, and behave as in CPython.

What is expected of values, exceptions and tracebacks is what CPython does.
"""

import contextlib
import gc
import sys
import traceback
import types
import unittest
import unittest.mock

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base


def names_of(function):
    """The exception that function() raises, and the names along its traceback below this function."""
    try:
        function()
    except BaseException as error:
        return error, [entry.name for entry in traceback.extract_tb(error.__traceback__)][1:]
    raise AssertionError("nothing was raised")


@needs_soft_switches
class IsSoft(LeavesNoTasklets, unittest.TestCase):
    """A tasklet that blocks inside of the construct has no C frames."""

    def blocked_in(self, function, *values):
        """Let a tasklet run function(channel.receive), and look at it while it waits."""
        channel = stackless.channel()
        results = []
        tasklet = stackless.tasklet(lambda: results.append(function(channel.receive)))()
        stackless.run()
        self.assertTrue(tasklet.blocked)
        self.assertIsNone(tasklet.pinned)
        self.assertTrue(tasklet.restorable)
        self.assertEqual(tasklet.nesting_level, 0)
        for value in values:
            channel.send(value)
        stackless.run()
        return results[0]

    @staticmethod
    def generator(receive):
        yield receive()

    def test_next(self):
        self.assertEqual(self.blocked_in(lambda receive: next(self.generator(receive)), 1), 1)

    def test_next_with_default(self):
        self.assertEqual(self.blocked_in(lambda receive: next(self.generator(receive), None), 1), 1)

    def test_next_by_star(self):
        self.assertEqual(self.blocked_in(lambda receive: next(*[self.generator(receive)]), 1), 1)

    def test_next_method(self):
        self.assertEqual(self.blocked_in(lambda receive: self.generator(receive).__next__(), 1), 1)

    def test_send(self):
        self.assertEqual(self.blocked_in(lambda receive: self.generator(receive).send(None), 1), 1)

    def test_send_of_a_coroutine(self):
        async def coroutine(receive):
            await yields(receive)

        @types.coroutine
        def yields(receive):
            yield receive()

        self.assertEqual(self.blocked_in(lambda receive: coroutine(receive).send(None), 1), 1)

    def test_throw(self):
        def generator(receive):
            try:
                yield
            except KeyError:
                yield receive()

        def throws(receive):
            iterator = generator(receive)
            next(iterator)
            return iterator.throw(KeyError)

        self.assertEqual(self.blocked_in(throws, 1), 1)

    def test_throw_through_delegation(self):
        def inner(receive):
            try:
                yield
            except KeyError:
                return receive()

        def outer(receive):
            yield (yield from inner(receive)) + 1

        def throws(receive):
            iterator = outer(receive)
            next(iterator)
            return iterator.throw(KeyError)

        self.assertEqual(self.blocked_in(throws, 1), 2)

    def test_throw_into_an_iterator_in_python(self):
        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                return 1

            def throw(self, *args):
                return self.receive()

        def outer(receive):
            iterator = Iterator()
            iterator.receive = receive
            yield from iterator

        def throws(receive):
            iterator = outer(receive)
            next(iterator)
            return iterator.throw(KeyError)

        self.assertEqual(self.blocked_in(throws, 5), 5)

    def test_close(self):
        def inner(receive, log):
            try:
                yield
            finally:
                log.append(receive())

        def outer(receive, log):
            try:
                yield from inner(receive, log)
            finally:
                log.append(receive())

        def closes(receive):
            log = []
            iterator = outer(receive, log)
            next(iterator)
            iterator.close()
            return log

        self.assertEqual(self.blocked_in(closes, 1, 2), [1, 2])

    def test_contextmanager(self):
        @contextlib.contextmanager
        def manager(receive, log):
            log.append(receive())
            try:
                yield
            except KeyError:
                log.append(receive())

        def uses(receive):
            log = []
            with manager(receive, log):
                raise KeyError
            return log

        self.assertEqual(self.blocked_in(uses, 1, 2), [1, 2])

    def test_depth(self):
        """Recursion through next() needs no C stack."""
        kept = []

        def deep(level):
            if level:
                iterator = deep(level - 1)
                kept.append(iterator)
                yield next(iterator) + 1
            else:
                yield 0

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10**7)
        try:
            tasklet = stackless.tasklet(lambda: kept.append(next(deep(200_000))))()
            stackless.run()
        finally:
            sys.setrecursionlimit(limit)
        self.assertFalse(tasklet.alive)
        self.assertEqual(kept[-1], 200_000)


class TestDroppedChains(unittest.TestCase):
    """The end of a generator that delegates to one which delegates ..., when nobody refers to it any more."""

    def chain(self, levels, log, bottom):
        def generator(level):
            try:
                if level:
                    yield from generator(level - 1)
                else:
                    yield from bottom()
            except BaseException as error:
                log.append((level, type(error).__name__))
                raise

        iterator = generator(levels)
        next(iterator)
        return iterator

    def coroutines(self, levels, log, bottom):
        @types.coroutine
        def end():
            yield from bottom()

        async def coroutine(level):
            try:
                await (coroutine(level - 1) if level else end())
            except BaseException as error:
                log.append((level, type(error).__name__))
                raise

        started = coroutine(levels)
        started.send(None)
        return started

    def chains(self, levels, bottom):
        for chain in self.chain, self.coroutines:
            with self.subTest(chain.__name__), unittest.mock.patch("sys.unraisablehook") as hook:
                log = []
                started = chain(levels, log, bottom)
                del started
                yield levels, log, hook

    def test_from_the_innermost_one_on(self):
        def bottom():
            yield 1

        for levels in 3, 50:
            for levels, log, hook in self.chains(levels, bottom):
                self.assertEqual(log, [(level, "GeneratorExit") for level in range(levels + 1)])
                hook.assert_not_called()

    def test_one_that_raises(self):
        def bottom():
            try:
                yield 1
            finally:
                raise KeyError("bottom")

        for levels in 3, 50:
            for levels, log, hook in self.chains(levels, bottom):
                self.assertEqual(log, [(level, "KeyError") for level in range(levels + 1)])
                hook.assert_called_once()
                self.assertEqual(hook.call_args.args[0].exc_type, KeyError)

    def test_one_that_goes_on(self):
        def bottom():
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    pass

        for levels in 3, 50:
            for levels, log, hook in self.chains(levels, bottom):
                self.assertEqual(log, [(level, "RuntimeError") for level in range(levels + 1)])
                self.assertEqual(str(hook.call_args_list[0].args[0].exc_value), "generator ignored GeneratorExit")
                log.clear()

    def test_in_an_exception_handler(self):
        """The exception that is handled there stays, and is the context."""
        contexts = []

        def bottom():
            try:
                yield 1
            except GeneratorExit as error:
                contexts.append(error.__context__)
                raise

        for levels in 3, 50:
            started = self.chain(levels, [], bottom)
            try:
                raise KeyError(levels)
            except KeyError as error:
                del started
                self.assertIs(sys.exc_info()[1], error)
                self.assertIs(contexts.pop(), error)

    def test_deep(self):
        """It takes no C stack, whatever the recursion limit is by then."""
        def bottom():
            yield 1

        limit = sys.getrecursionlimit()
        gc.collect()   # garbage of other tests would be closed in the depth, each looking for a handled exception
        for make in self.chain, self.coroutines:
            log = []
            sys.setrecursionlimit(10**7)
            try:
                started = make(100_000, log, bottom)
            finally:
                sys.setrecursionlimit(limit)
            del started
            self.assertEqual(len(log), 100_001)
            self.assertEqual(set(name for _, name in log), {"GeneratorExit"})


class Behaviour(unittest.TestCase):
    """What CPython does, the shims do."""

    def test_values_and_the_end(self):
        def generator():
            received = yield 1
            return received

        iterator = generator()
        self.assertEqual(next(iterator), 1)
        error, names = names_of(lambda: iterator.send(5))
        self.assertIsInstance(error, StopIteration)
        self.assertEqual(error.value, 5)
        self.assertEqual(names, ["<lambda>"])
        error, names = names_of(lambda: next(iterator))
        self.assertEqual((error.value, error.args), (None, ()))
        self.assertEqual(next(iterator, "default"), "default")

    def test_default_after_a_result(self):
        def generator():
            return 5
            yield

        self.assertEqual(next(generator(), "default"), "default")

    def test_traceback(self):
        def inner():
            yield
            raise KeyError

        def outer():
            yield from inner()

        iterator = outer()
        next(iterator)
        error, names = names_of(lambda: next(iterator))
        self.assertEqual(names, ["<lambda>", "outer", "inner"])

    def test_traceback_of_throw(self):
        def inner():
            yield

        def outer():
            yield from inner()

        iterator = outer()
        next(iterator)
        error, names = names_of(lambda: iterator.throw(KeyError("k")))
        self.assertIsInstance(error, KeyError)
        self.assertEqual(names, ["<lambda>", "outer", "inner"])

    def test_frames_seen_inside(self):
        def generator():
            frame = sys._getframe()
            yield [frame.f_code.co_name, frame.f_back.f_code.co_name]

        def caller():
            return next(generator())

        self.assertEqual(caller(), ["generator", "caller"])

    def test_context_of_a_thrown_exception(self):
        def inner():
            yield

        def outer():
            try:
                raise ValueError
            except ValueError:
                yield from inner()

        iterator = outer()
        next(iterator)
        error, names = names_of(lambda: iterator.throw(KeyError))
        self.assertIsInstance(error.__context__, ValueError)

    def test_running_generator_refuses(self):
        def generator():
            yield next(iterator)

        iterator = generator()
        error, names = names_of(lambda: next(iterator))
        self.assertIsInstance(error, ValueError)
        self.assertEqual(str(error), "generator already executing")

    def test_first_value(self):
        def generator():
            yield

        error, names = names_of(lambda: generator().send(1))
        self.assertEqual(str(error), "can't send non-None value to a just-started generator")

    def test_stop_iteration_inside(self):
        def generator():
            yield
            raise StopIteration

        iterator = generator()
        next(iterator)
        error, names = names_of(lambda: next(iterator, None))
        self.assertIsInstance(error, RuntimeError)
        self.assertEqual(str(error), "generator raised StopIteration")

    def test_generator_that_ignores_its_exit(self):
        def inner():
            try:
                yield
            except GeneratorExit:
                yield

        def outer():
            yield from inner()

        for function in inner, outer:
            with self.subTest(function.__name__):
                iterator = function()
                next(iterator)
                error, names = names_of(iterator.close)
                self.assertIsInstance(error, RuntimeError)
                self.assertEqual(str(error), "generator ignored GeneratorExit")

    def test_close_of_an_iterator_that_fails(self):
        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                return 1

            def close(self):
                raise OSError

        def outer():
            yield from Iterator()

        iterator = outer()
        next(iterator)
        error, names = names_of(lambda: iterator.close())
        self.assertIsInstance(error, OSError)
        self.assertEqual(names, ["<lambda>", "outer", "close"])
        self.assertIsNone(iterator.gi_frame)

    def test_throw_of_an_iterator(self):
        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                return 1

            def throw(self, kind, *rest):
                if kind is KeyError:
                    return "yielded"
                raise StopIteration("result") if kind is IndexError else OSError

        def outer():
            yield (yield from Iterator())

        for kind, expected in [(KeyError, "yielded"), (IndexError, "result")]:
            iterator = outer()
            next(iterator)
            self.assertEqual(iterator.throw(kind), expected)
        iterator = outer()
        next(iterator)
        error, names = names_of(lambda: iterator.throw(ValueError))
        self.assertIsInstance(error, OSError)
        self.assertEqual(names, ["<lambda>", "outer", "throw"])

    def test_throw_that_cannot_be_looked_up(self):
        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                return 1

            def __getattr__(self, name):
                if name == "throw":
                    raise OSError(name)
                raise AttributeError(name)

        def inner():
            yield from Iterator()

        def outer(iterator):
            try:
                yield from iterator
            except OSError as error:
                yield error.args

        waiting = inner()
        iterator = outer(waiting)
        next(iterator)
        self.assertEqual(iterator.throw(ValueError), ("throw",))
        self.assertEqual(next(waiting), 1)

    def test_events_of_a_profiler(self):
        def generator():
            yield

        def run():
            next(generator())

        events = []
        sys.setprofile(lambda frame, event, arg: events.append((event, frame.f_code.co_name)))
        run()
        sys.setprofile(None)
        self.assertIn(("c_call", "run"), events)
        self.assertIn(("c_return", "run"), events)


# Chains of generators into which something is thrown whose class, or the iterator at the end of the chain, closes
# one of the generators, or goes on with it, when it is asked.
INTERFERENCE = """
import itertools

def interfere():
    if not armed:
        return
    armed.clear()
    try:
        print(" ", action, index, getattr(chain[index], action)(*[None] * (action == "send")))
    except BaseException as error:
        print(" ", action, index, repr(error))

class Interferes(Exception):
    def __init__(self):
        interfere()
class Exits(GeneratorExit):
    def __init__(self):
        interfere()
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
class Yields:
    def __iter__(self):
        yield 1
        yield 2
    __await__ = __iter__

GENERATOR = '''
def run(level, inner):
    kept = ["value %d" % i for i in range(3)]
    try:
        return (yield from inner)
    except BaseException as error:
        print("  in", level, repr(error), repr(error.__context__))
        raise
'''
COROUTINE = GENERATOR.replace("def", "async def").replace("yield from", "await")

def make(kind, depth, last):
    made = [last()]
    for level in range(depth):
        # The function is gone with the frame.
        namespace = {}
        exec(kind, namespace)
        made.append(namespace.pop("run")(level, made[-1]))
    return made[:0:-1]

for case in itertools.product((GENERATOR, COROUTINE), (1, 2, 3), (Iterator, Yields), ("close", "send"),
                              (Interferes, Exits, ValueError("v")), (0, 1, 2)):
    kind, depth, last, action, thrown, index = case
    if index >= depth:
        continue
    print(depth, last.__name__, action, index, repr(thrown))
    chain, armed = make(kind, depth, last), []
    chain[0].send(None)
    armed.append(True)
    for ask in lambda: chain[0].throw(thrown), lambda: chain[0].send(None):
        try:
            print(" ", ask())
        except BaseException as error:
            print(" ", repr(error), repr(error.__context__))
    for one in chain:
        one.close()
"""


class Interference(unittest.TestCase):
    """Code that runs in order to find out what is thrown may do anything to the generators."""

    def test_generators_change_while_something_is_thrown(self):
        same_as_base(self, "-c", INTERFERENCE, PYTHONMALLOC="debug")


if __name__ == "__main__":
    unittest.main()
