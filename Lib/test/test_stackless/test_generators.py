"""Generators and coroutines that the evaluation loop resumes without a C call: every corner of it.

Nothing here knows of tasklets: every test passes on CPython 3.11 as well.
"""

import gc
import inspect
import itertools
import sys
import traceback
import types
import unittest
import weakref


class Thing:
    """An object that can be watched."""


class TestGeneratorInLoop(unittest.TestCase):
    def test_stop_iteration_inside(self):
        def numbers():
            yield 1
            raise StopIteration("inside")

        got = []
        with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration") as caught:
            for number in numbers():
                got.append(number)
        self.assertEqual(got, [1])
        self.assertIsInstance(caught.exception.__cause__, StopIteration)
        self.assertEqual(caught.exception.__cause__.args, ("inside",))
        self.assertIs(caught.exception.__context__, caught.exception.__cause__)

    def test_stop_iteration_of_an_inner_next(self):
        def numbers(iterator):
            while True:
                yield next(iterator)

        with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration"):
            for number in numbers(iter([1, 2])):
                pass

    def test_it_ends_at_once(self):
        def numbers():
            return
            yield

        for number in numbers():
            self.fail("empty")
        else:
            number = "else"
        self.assertEqual(number, "else")

    def test_the_value_of_return_is_dropped(self):
        refs = []

        def numbers():
            yield 1
            thing = Thing()
            refs.append(weakref.ref(thing))
            return thing

        for _ in numbers():
            pass
        self.assertIsNone(refs[0]())

    def test_it_closes_itself(self):
        def numbers():
            with self.assertRaisesRegex(ValueError, "generator already executing"):
                generator.close()
            yield 1

        generator = numbers()
        got = []
        for number in generator:
            got.append(number)
        self.assertEqual(got, [1])

    def test_it_resumes_itself(self):
        def by_for():
            for _ in generator:
                self.fail("it runs")
            yield

        def by_next():
            next(generator)
            yield

        def by_send():
            generator.send(None)
            yield

        def by_throw():
            generator.throw(KeyError)
            yield

        def by_yield_from():
            yield from generator

        for function in by_for, by_next, by_send, by_throw, by_yield_from:
            generator = function()
            with self.subTest(function.__name__):
                with self.assertRaisesRegex(ValueError, "generator already executing"):
                    for _ in generator:
                        pass
            self.assertIsNone(generator.gi_frame)

    def test_the_body_resumes_it(self):
        generator = (number for number in range(10))
        got = []
        for number in generator:
            got.append((number, next(generator)))
        self.assertEqual(got, [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)])

    def test_the_body_exhausts_it(self):
        generator = (number for number in range(10))
        got = []
        for number in generator:
            got.append(number)
            got.append(list(generator))
        self.assertEqual(got, [0, list(range(1, 10))])

    def test_the_body_closes_it(self):
        def numbers():
            try:
                yield 1
                self.fail("not resumed")
            finally:
                log.append("closed")

        log = []
        generator = numbers()
        for number in generator:
            generator.close()
            log.append("body")
        self.assertEqual(log, ["closed", "body"])

    def test_the_body_throws_into_it(self):
        def numbers():
            for number in range(5):
                try:
                    yield number
                except KeyError:
                    yield "caught"

        generator = numbers()
        got = []
        for number in generator:
            got.append(number)
            if number == 1:
                got.append(generator.throw(KeyError))
        self.assertEqual(got, [0, 1, "caught", 2, 3, 4])

    def test_two_loops_over_one(self):
        generator = (number for number in range(6))
        got = []
        for first in generator:
            for second in generator:
                got.append((first, second))
                if second % 3 == 2:
                    break
        self.assertEqual(got, [(0, 1), (0, 2), (3, 4), (3, 5)])

    def test_it_deletes_its_own_name(self):
        """The loop holds the only reference."""
        def numbers():
            nonlocal generator
            yield 1
            del generator
            gc.collect()
            yield 2

        generator = numbers()
        got = []
        for number in generator:
            got.append(number)
        self.assertEqual(got, [1, 2])

    def test_it_is_freed_by_break(self):
        def numbers():
            try:
                yield 1
            finally:
                log.append("finally")

        log = []
        for number in numbers():
            break
        log.append("after")
        self.assertEqual(log, ["finally", "after"])

    def test_it_is_freed_by_an_exception(self):
        def numbers():
            thing = Thing()
            refs.append(weakref.ref(thing))
            yield thing

        refs = []
        try:
            for number in numbers():
                del number
                raise KeyError
        except KeyError:
            pass
        self.assertIsNone(refs[0]())

    def test_it_ignores_generator_exit(self):
        def numbers():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        generator = numbers()
        for number in generator:
            with self.assertRaisesRegex(RuntimeError, "generator ignored GeneratorExit"):
                generator.close()
            break

    def test_an_exception_before_the_first_value(self):
        def numbers():
            raise KeyError("first")
            yield

        generator = numbers()
        with self.assertRaisesRegex(KeyError, "first"):
            for _ in generator:
                pass
        self.assertEqual(list(generator), [])

    def test_an_exception_is_caught_around_the_loop(self):
        def numbers():
            for number in itertools.count():
                if number == 3:
                    raise KeyError(number)
                yield number

        got = []
        for turn in range(3):
            try:
                for number in numbers():
                    got.append(number)
            except KeyError as error:
                got.append(error.args)
        self.assertEqual(got, [0, 1, 2, (3,)] * 3)

    def test_sent_values_are_none(self):
        def numbers():
            got.append((yield 1))
            got.append((yield 2))

        got = []
        for _ in numbers():
            pass
        self.assertEqual(got, [None, None])

    def test_state_while_it_runs(self):
        def numbers():
            states.append(state())
            yield
            states.append(state())

        def state():
            return generator.gi_running, generator.gi_suspended, inspect.getgeneratorstate(generator)

        states = []
        generator = numbers()
        for _ in generator:
            self.assertEqual(state(), (False, True, "GEN_SUSPENDED"))
        self.assertEqual(states, [(True, False, "GEN_RUNNING")] * 2)
        self.assertEqual(state(), (False, False, "GEN_CLOSED"))
        self.assertIsNone(generator.gi_frame)

    def test_frame_while_it_runs(self):
        def numbers():
            self.assertIs(sys._getframe(), generator.gi_frame)
            self.assertEqual(sys._getframe().f_back.f_code.co_name, "test_frame_while_it_runs")
            yield sys._getframe()

        generator = numbers()
        for frame in generator:
            self.assertIsNone(frame.f_back)
            self.assertIs(frame, generator.gi_frame)

    def test_other_iterators_at_the_same_place(self):
        """One loop, many types of iterables: no form of the instruction is for one of them alone."""
        def total(iterable):
            result = 0
            for number in iterable:
                result += number
            return result

        class Iterator:
            def __init__(self):
                self.left = 4

            def __iter__(self):
                return self

            def __next__(self):
                self.left -= 1
                if self.left < 0:
                    raise StopIteration
                return self.left

        class GetItem:
            def __getitem__(self, index):
                if index > 3:
                    raise IndexError
                return index

        def numbers():
            yield from range(4)

        for _ in range(20):
            for iterable in ([0, 1, 2, 3], (0, 1, 2, 3), range(4), {0, 1, 2, 3}, {0: 1, 1: 1, 2: 1, 3: 1},
                             numbers(), (number for number in numbers()), Iterator(), GetItem(),
                             iter([0, 1, 2, 3]), map(int, "0123"), filter(None, [1, 2, 3]),
                             bytes([0, 1, 2, 3]), reversed(range(4)), dict.fromkeys(range(4)).keys(),
                             itertools.islice(itertools.count(), 4)):
                self.assertEqual(total(iterable), 6)

    def test_range_at_its_limits(self):
        for arguments in ((2**63 - 3, 2**63 - 1), (2**63 - 2, 2**63 + 2), (-2**63, -2**63 + 2),
                          (2**70, 2**70 + 2), (2**62, 2**62 + 2**61, 2**60),
                          (5, 0, -2), (0, 5, 2), (0, 0), (3, 0)):
            got = []
            for number in range(*arguments):
                got.append(number)
            self.assertEqual(got, list(range(*arguments)))

    def test_a_list_that_changes_under_the_loop(self):
        numbers = [0, 1, 2, 3]
        got = []
        for number in numbers:
            got.append(number)
            if number < 3:
                numbers.append(number + 10)
            if number == 11:
                del numbers[3:]
        self.assertEqual(got, [0, 1, 2, 3, 10, 11])
        iterator = iter(numbers)
        for number in iterator:
            pass
        numbers.append(99)
        self.assertEqual(list(iterator), [])

    def test_not_iterable(self):
        with self.assertRaisesRegex(TypeError, "'int' object is not iterable"):
            for _ in 5:
                pass

        class Wrong:
            def __iter__(self):
                return 5

        with self.assertRaisesRegex(TypeError, r"iter\(\) returned non-iterator of type 'int'"):
            for _ in Wrong():
                pass

    def test_nested_a_hundred_deep(self):
        def level(depth):
            if depth:
                for value in level(depth - 1):
                    yield value + 1
            else:
                yield 0
                yield 1000

        got = []
        for value in level(100):
            got.append(value)
        self.assertEqual(got, [100, 1100])

    def test_an_exception_through_a_hundred_levels(self):
        def level(depth):
            try:
                if depth:
                    for value in level(depth - 1):
                        yield value
                else:
                    yield 0
                    raise KeyError
            finally:
                log.append(depth)

        log = []
        try:
            for value in level(100):
                pass
        except KeyError as error:
            length = sum(1 for _ in traceback.walk_tb(error.__traceback__))
        self.assertEqual(length, 102)
        self.assertEqual(log, list(range(101)))


class TestDelegation(unittest.TestCase):
    def test_throw_into_the_inner_one(self):
        def inner():
            try:
                yield 1
            except KeyError as error:
                got.append(error.args)
            got.append((yield 2))
            return "result"

        def outer():
            got.append((yield from inner()))
            yield 3

        got = []
        generator = outer()
        self.assertEqual(next(generator), 1)
        self.assertEqual(generator.throw(KeyError("thrown")), 2)
        self.assertEqual(generator.send("sent"), 3)
        self.assertEqual(got, [("thrown",), "sent", "result"])

    def test_throw_is_not_caught(self):
        def inner():
            yield 1

        def outer():
            try:
                yield from inner()
            except KeyError:
                yield "caught outside"

        generator = outer()
        next(generator)
        self.assertEqual(generator.throw(KeyError), "caught outside")

    def test_throw_into_a_finished_one(self):
        def inner():
            yield 1

        generator = inner()
        list(generator)
        for _ in range(2):
            with self.assertRaises(KeyError):
                generator.throw(KeyError)

    def test_close_goes_inside_first(self):
        def inner():
            try:
                yield 1
            finally:
                log.append("inner")

        def outer():
            try:
                yield from inner()
            finally:
                log.append("outer")

        log = []
        generator = outer()
        for _ in generator:
            generator.close()
        self.assertEqual(log, ["inner", "outer"])

    def test_close_that_is_ignored_inside(self):
        def inner():
            try:
                yield 1
            except GeneratorExit:
                yield 2

        def outer():
            yield from inner()

        generator = outer()
        next(generator)
        with self.assertRaisesRegex(RuntimeError, "generator ignored GeneratorExit"):
            generator.close()

    def test_gi_yieldfrom(self):
        def inner():
            seen.append(generator.gi_yieldfrom)
            yield
            seen.append(generator.gi_yieldfrom)

        def outer():
            yield from inner_generator

        seen = []
        inner_generator = inner()
        generator = outer()
        next(generator)
        self.assertIs(generator.gi_yieldfrom, inner_generator)
        with self.assertRaises(StopIteration):
            next(generator)
        self.assertIsNone(generator.gi_yieldfrom)
        self.assertEqual(seen[0], None)

    def test_the_inner_one_is_shared(self):
        def inner():
            yield from range(4)

        def outer(inner):
            yield from inner

        shared = inner()
        first, second = outer(shared), outer(shared)
        self.assertEqual([next(first), next(second), next(shared), next(first)], [0, 1, 2, 3])
        self.assertEqual((list(first), list(second)), ([], []))

    def test_the_inner_one_is_finished_or_running(self):
        def outer(inner):
            return (yield from inner)

        finished = (number for number in ())
        list(finished)
        with self.assertRaises(StopIteration) as caught:
            next(outer(finished))
        self.assertIsNone(caught.exception.value)

        def runs():
            yield next(outer(running))

        running = runs()
        with self.assertRaisesRegex(ValueError, "generator already executing"):
            next(running)

    def test_send_to_inner_ones_of_all_kinds(self):
        class WithSend:
            def __iter__(self):
                return self

            def __next__(self):
                return "next"

            def send(self, value):
                return ("sent", value)

        def outer(inner):
            yield from inner

        generator = outer(WithSend())
        self.assertEqual([next(generator), generator.send(1), next(generator), generator.send(None)],
                         ["next", ("sent", 1), "next", "next"])
        generator = outer([1, 2])
        next(generator)
        with self.assertRaisesRegex(AttributeError, "'list_iterator' object has no attribute 'send'"):
            generator.send(1)

    def test_results_of_all_kinds(self):
        """The value of StopIteration, for tuples and exceptions as well."""
        def inner(value):
            return value
            yield

        def outer(value):
            return (yield from inner(value))

        for value in (None, (), (1, 2), ValueError("x"), StopIteration(5), [], "text", {}):
            with self.assertRaises(StopIteration) as caught:
                next(outer(value))
            self.assertIs(caught.exception.value, value)

    def test_stop_iteration_raised_inside(self):
        def inner():
            raise StopIteration
            yield

        def outer():
            yield from inner()

        with self.assertRaisesRegex(RuntimeError, "generator raised StopIteration"):
            next(outer())

    def test_a_generator_in_itself(self):
        def outer():
            yield 1
            yield from generator

        generator = outer()
        next(generator)
        with self.assertRaisesRegex(ValueError, "generator already executing"):
            next(generator)

    def test_coroutine_awaited_twice(self):
        async def inner():
            return 1

        async def outer():
            coroutine = inner()
            await coroutine
            await coroutine

        with self.assertRaisesRegex(RuntimeError, "cannot reuse already awaited coroutine"):
            outer().send(None)

    def test_coroutine_that_is_being_awaited(self):
        @types.coroutine
        def pause():
            yield

        async def inner():
            await pause()

        async def outer(coroutine):
            await coroutine

        shared = inner()
        first, second = outer(shared), outer(shared)
        first.send(None)
        with self.assertRaisesRegex(RuntimeError, "coroutine is being awaited already"):
            second.send(None)
        first.close()

    def test_await_of_what_cannot_be_awaited(self):
        async def outer(what):
            await what

        with self.assertRaisesRegex(TypeError, "object int can't be used in 'await' expression"):
            outer(5).send(None)

        class Wrong:
            def __await__(self):
                return 5

        with self.assertRaisesRegex(TypeError, r"__await__\(\) returned non-iterator of type 'int'"):
            outer(Wrong()).send(None)

    def test_yield_from_a_coroutine(self):
        async def coroutine():
            pass

        def generator(inner):
            yield from inner

        inner = coroutine()
        with self.assertRaisesRegex(TypeError, "cannot 'yield from' a coroutine object in a non-coroutine"):
            next(generator(inner))
        inner.close()

    def test_stop_iteration_from_a_coroutine(self):
        async def inner():
            raise StopIteration

        async def outer():
            await inner()

        with self.assertRaisesRegex(RuntimeError, "coroutine raised StopIteration"):
            outer().send(None)

    def test_async_for_and_with_in_full(self):
        @types.coroutine
        def pause(value):
            return (yield value)

        class Manager:
            async def __aenter__(self):
                log.append(await pause("enter"))
                return self

            async def __aexit__(self, *exc_info):
                log.append(await pause("exit"))
                return exc_info[0] is KeyError

        async def numbers():
            for number in range(3):
                log.append(await pause(number))
                yield number

        async def whole():
            total = 0
            async for number in numbers():
                async with Manager():
                    total += number
                    if number == 1:
                        raise KeyError
            return total + sum([number async for number in numbers()])

        log = []
        coroutine = whole()
        paused = [coroutine.send(None)]
        try:
            for turn in itertools.count():
                paused.append(coroutine.send(turn))
        except StopIteration as stop:
            self.assertEqual(stop.value, 6)
        self.assertEqual(paused, [0, "enter", "exit", 1, "enter", "exit", 2, "enter", "exit", 0, 1, 2])
        self.assertEqual(log, list(range(12)))

    def test_traceback_through_delegations(self):
        def inner():
            yield 1
            raise KeyError

        def middle():
            yield from inner()

        def outer():
            for number in middle():
                yield number

        try:
            for number in outer():
                pass
        except KeyError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names[1:], ["outer", "middle", "inner"])

    def test_exception_context_across_generators(self):
        """What the caller handles is the context of what the generator raises, and not after it."""
        def numbers():
            yield sys.exception()
            yield sys.exception()
            try:
                raise ValueError
            except ValueError as error:
                yield error.__context__
            yield sys.exception()

        def delegating():
            yield from numbers()

        for function in numbers, delegating:
            got = []
            generator = function()
            for seen in generator:
                got.append(type(seen))
                break
            try:
                raise KeyError
            except KeyError:
                for seen in generator:
                    got.append(type(seen))
            self.assertEqual(got, [type(None), KeyError, KeyError, KeyError])

    def test_the_collector_sees_no_stale_stack(self):
        """What a running generator has on its value stack changes too often to be looked at, also after
        a call that failed half-way and while it is traced."""
        class NeedsMore:
            def __enter__(self, more):
                pass

            def __exit__(self, *args):
                pass

        class TakesLess:
            def __enter__(self):
                return self

            def __exit__(self):
                pass

        class Once:
            done = False

            def __iter__(self):
                return self

            def __next__(self):
                if self.done:
                    raise StopIteration
                self.done = True

        def numbers(step):
            yield
            before = len(gc.get_referents(generator))
            try:
                if step == "enter fails":
                    with NeedsMore():
                        pass
                elif step == "exit fails":
                    with TakesLess():
                        raise ValueError
                else:
                    for value in Once():
                        pass
            except TypeError:
                pass
            value = None
            yield len(gc.get_referents(generator)) - before

        def trace(frame, event, arg):
            return trace

        for step in "enter fails", "exit fails", "loop ends":
            for tracer in None, trace:
                generator = numbers(step)
                old = sys.gettrace()
                sys.settrace(tracer)
                try:
                    got = [value for value in generator]
                finally:
                    sys.settrace(old)
                self.assertLessEqual(got[1], 2, (step, tracer))

    def test_a_tracer_fails_at_the_end_of_a_loop(self):
        """The loop ends all the same, as it does over any iterator."""
        def numbers():
            yield 1
            return "result"

        def function():
            for number in numbers():
                pass
            return "went on"

        def trace(frame, event, arg):
            if event == "exception" and frame.f_code is function.__code__:
                raise KeyError
            return trace

        old = sys.gettrace()
        sys.settrace(trace)
        try:
            self.assertEqual(function(), "went on")
        finally:
            sys.settrace(old)


if __name__ == "__main__":
    unittest.main()
