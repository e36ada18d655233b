"""run() with a limit: who is interrupted, when, and how it goes on."""

import _imp
import gc
import importlib
import os
import sys
import tempfile
import unittest
from operator import call

from stackless import bomb, channel, getmain, getruncount, run, schedule, tasklet

from .cases import LeavesNoTasklets
from .interpreters import check_python


def spin():
    """Never end, never switch."""
    while True:
        pass


def count(to):
    """A loop of known length."""
    for number in range(to):
        number += 1


def drain(ticks, **options):
    """Run until nobody is runnable, interrupting every `ticks` instructions: how often that was."""
    times = 0
    while (interrupted := run(ticks, **options)) is not None:
        times += 1
        interrupted.insert()
    return times


class WatchdogCase(LeavesNoTasklets, unittest.TestCase):
    """Helpers of the tests below."""

    def interrupted_in(self, function, *args, ticks=100, **options):
        """A tasklet with that function, interrupted once."""
        t = tasklet(function)(*args)
        self.assertIs(run(ticks, **options), t)
        self.assertTrue(t.alive)
        self.assertTrue(t.paused)
        return t

    def finish(self, t):
        """End an interrupted tasklet by an exception."""
        t.tempval = bomb(LookupError, "the end")
        with self.assertRaisesRegex(LookupError, "the end"):
            t.run()
        self.assertFalse(t.alive)


class TestHard(WatchdogCase):
    def test_a_loop_that_never_ends_is_interrupted(self):
        t = self.interrupted_in(spin)
        self.assertEqual(getruncount(), 1)
        self.finish(t)

    def test_run_returns_none_when_all_have_ended(self):
        tasklet(count)(3)
        self.assertIsNone(run(1000))

    def test_run_with_nobody_to_run(self):
        self.assertIsNone(run(1000))
        self.assertIsNone(run(1000, True, True, True, True, max_seconds=1))

    def test_no_limit(self):
        for timeout in 0, -1, False:
            tasklet(count)(1000)
            self.assertIsNone(run(timeout))

    def test_an_interrupted_tasklet_goes_on_where_it_was(self):
        got = []

        def function():
            for number in range(100):
                got.append(number)

        tasklet(function)()
        self.assertGreater(drain(7), 50)
        self.assertEqual(got, list(range(100)))

    def test_few_ticks_are_instructions(self):
        # One round of the loop is JUMP_BACKWARD, FOR_ITER, STORE_FAST, LOAD_FAST, LOAD_CONST, BINARY_OP,
        # STORE_FAST: seven ticks, in code that is cold and in code that is warm.
        for attempt in range(3):
            t = self.interrupted_in(count, 10**6, ticks=5000)
            first = t.frame.f_locals["number"]
            t.insert()
            self.assertIs(run(70), t)
            self.assertEqual(t.frame.f_locals["number"], first + 10, attempt)
            self.finish(t)

    def test_many_ticks_are_an_estimate_and_always_the_same(self):
        t = self.interrupted_in(count, 10**6, ticks=5000)
        rounds = []
        for _ in range(4):
            first = t.frame.f_locals["number"]
            t.insert()
            self.assertIs(run(70_000), t)
            rounds.append(t.frame.f_locals["number"] - first)
        self.finish(t)
        self.assertLessEqual(max(rounds) - min(rounds), 1, rounds)
        self.assertTrue(5_000 < rounds[0] < 20_000, rounds)

    def test_many_ticks_in_long_loops_and_in_calls_without_loops(self):
        lines = "\n".join(f"        x{i} = number + {i}" for i in range(400))
        namespace = {}
        exec(f"def long_loop():\n    for number in range(10**9):\n{lines}\n"
             "def deep(n):\n    return deep(n - 1) + deep(n - 1) if n else 0\n"
             "def while_loop():\n    n = 0\n    while n != -1:\n        n += 1\n", namespace)
        for function, args in (namespace["long_loop"], ()), (namespace["deep"], (60,)), (namespace["while_loop"], ()):
            with self.subTest(function=function.__name__):
                t = tasklet(function)(*args)
                self.assertIs(run(50_000), t)
                t.kill()

    def test_the_slice_restarts_at_every_switch(self):
        def function():
            for _ in range(100):
                schedule()

        tasklet(function)()
        tasklet(function)()
        self.assertIsNone(run(100))

    def test_the_slice_is_one_tasklets(self):
        for _ in range(50):
            tasklet(count)(5)
        self.assertIsNone(run(100))

    def test_the_interrupted_one_is_not_the_first(self):
        tasklet(count)(1)
        t = tasklet(spin)()
        last = tasklet(count)(1)
        self.assertIs(run(100), t)
        self.assertTrue(last.scheduled)
        self.assertIsNone(run(100))
        self.finish(t)

    def test_it_need_not_be_inserted(self):
        t = self.interrupted_in(count, 1000)
        self.assertIsNone(run())
        self.assertTrue(t.paused)
        t.run()
        self.assertFalse(t.alive)

    def test_an_interrupted_tasklet_that_is_dropped_is_freed(self):
        t = self.interrupted_in(spin)
        del t
        gc.collect()

    def test_a_value_for_it_is_dropped(self):
        t = self.interrupted_in(count, 1000)
        t.tempval = ["nobody wants this"]
        t.insert()
        self.assertIsNone(run())
        self.assertFalse(t.alive)

    def test_it_is_bound_anew(self):
        got = []
        t = self.interrupted_in(spin)
        t.bind(got.append, ("bound",))
        t.run()
        self.assertEqual(got, ["bound"])
        self.assertFalse(t.alive)

    def test_other_tasklets_exceptions_come_out_of_run(self):
        def fail():
            raise LookupError("in a tasklet")

        tasklet(fail)()
        t = tasklet(spin)()
        with self.assertRaisesRegex(LookupError, "in a tasklet"):
            run(100)
        # The watchdog is off again.
        t.remove()
        tasklet(count)(1000)
        self.assertIsNone(run())
        self.finish(t)

    def test_main_is_interrupted_unless_c_code_is_in_between(self):
        check_python(self, "-c", """if True:
            from operator import call
            from stackless import getmain, run, schedule, tasklet

            def watch():
                got.append(run(50))

            def key(value):
                for _ in range(1000):
                    inside.append(len(got))
                return value

            got, inside = [], []
            tasklet(watch)().run()
            call(lambda: [key(value) for value in [2, 1]])
            for _ in range(1000):
                pass
            assert set(inside) == {0}, set(inside)
            assert got == [getmain()], got
            """)


class TestEverywhere(WatchdogCase):
    """A program gives the same result however often it is interrupted."""

    def check(self, program):
        expected = []
        program(expected)
        for ticks in list(range(1, 40)) + [53, 97, 151, 199]:
            got = []
            t = tasklet(program)(got)
            drain(ticks)
            self.assertFalse(t.alive)
            self.assertEqual(got, expected, f"interrupted every {ticks} ticks")

    def test_loops(self):
        def program(got):
            total, text, share = 0, "", 0.5
            for i in range(10):
                total += i * i - 3
                text += str(i)
                share *= 1.5
                while i > 5:
                    i -= 1
                got.append((i, total, text, share))

        self.check(program)

    def test_generators(self):
        def numbers(to):
            for number in range(to):
                sent = yield number
                if sent:
                    yield -sent

        def outer():
            result = yield from inner()
            yield result

        def inner():
            yield 1
            try:
                yield 2
            finally:
                yield 3
            return 4

        def program(got):
            got.extend([number for number in numbers(5)])
            for number in numbers(3):
                got.append(number)
            g = numbers(3)
            got.append(next(g))
            got.append(g.send(7))
            g.close()
            for value in outer():
                got.append(value)

        self.check(program)

    def test_coroutines(self):
        class Awaitable:
            def __await__(self):
                yield 1
                return 2

        class Manager:
            async def __aenter__(self):
                return await Awaitable()

            async def __aexit__(self, *args):
                return True

        async def numbers():
            for number in range(3):
                yield number + await Awaitable()

        async def main(got):
            async for number in numbers():
                got.append(number)
            async with Manager() as value:
                got.append(value)
                raise LookupError

        def program(got):
            coroutine = main(got)
            try:
                while True:
                    got.append(coroutine.send(None))
            except StopIteration:
                got.append("end")

        self.check(program)

    def test_comprehensions(self):
        def program(got):
            got.append([x * y for x in range(4) for y in range(3) if x != y])
            got.append({x: {y for y in range(x)} for x in range(4)})
            got.append(sum(x for x in range(20)))

        self.check(program)

    def test_special_methods(self):
        class Number:
            def __init__(self, value):
                self.value = value

            def __add__(self, other):
                return Number(self.value + other.value)

            def __eq__(self, other):
                return self.value == other.value

            def __getitem__(self, index):
                return self.value + index

            def __getattr__(self, name):
                return name

            @property
            def double(self):
                return self.value * 2

            def __iter__(self):
                return iter([self.value])

            def __call__(self, *args, **kwargs):
                return args, kwargs

            def __len__(self):
                return self.value

            def __contains__(self, value):
                return value == self.value

        def program(got):
            a, b = Number(1), Number(2)
            got.append((a + b).value)
            got.append((a == b, a[5], a.missing, b.double, list(b)))
            got.append(a(1, *[2, 3], x=4, **{"y": 5}))
            got.append((len(b), 2 in b, bool(a)))
            got.append(f"{a.value:>3}{b.value!r}")

        self.check(program)

    def test_exceptions_and_with(self):
        class Manager:
            def __init__(self, got):
                self.got = got

            def __enter__(self):
                self.got.append("enter")
                return self

            def __exit__(self, kind, value, traceback):
                self.got.append(("exit", kind, sys.exc_info()[0]))
                return kind is LookupError

        def raising():
            try:
                raise ValueError("one")
            except ValueError as error:
                raise LookupError("two") from error
            finally:
                sys.exc_info()

        def program(got):
            with Manager(got) as m:
                got.append(m.got is got)
            with Manager(got):
                raising()
            try:
                with Manager(got):
                    raise TypeError
            except (KeyError, TypeError) as error:
                got.append((type(error), sys.exc_info()[0]))
            finally:
                got.append(sys.exc_info())
            try:
                raise ExceptionGroup("group", [KeyError(1), IndexError(2)])
            except* KeyError as group:
                got.append(len(group.exceptions))
            except* IndexError as group:
                got.append(len(group.exceptions))
            for i in range(3):
                try:
                    if i == 1:
                        continue
                    got.append(i)
                finally:
                    got.append("finally")
            got.append(sys.exc_info())

        self.check(program)

    def test_matching_and_unpacking(self):
        def program(got):
            for subject in [1, "x"], {"a": 1, "b": 2}, 5, (1, 2, 3), "text":
                match subject:
                    case [1, value]:
                        got.append(value)
                    case {"a": value, **rest}:
                        got.append((value, rest))
                    case int(value):
                        got.append(value)
                    case (first, *rest):
                        got.append((first, rest))
                    case _:
                        got.append("else")
            first, *middle, last = range(5)
            got.append((first, middle, last))

        self.check(program)

    def test_classes_functions_and_imports(self):
        def program(got):
            class Base:
                attribute = [n for n in range(3)]

                def method(self, /, a, b=2, *args, c=3, **kwargs):
                    return a, b, args, c, kwargs

            class Derived(Base):
                def method(self, *args, **kwargs):
                    return super().method(*args, **kwargs)

            got.append(Derived().method(1, c=5, d=6))
            got.append(Derived.attribute)
            import colorsys

            got.append(colorsys.rgb_to_hsv(0.5, 0.5, 0.5))

            def closure():
                nonlocal_value = 1

                def inner():
                    nonlocal nonlocal_value
                    nonlocal_value += 1
                    return nonlocal_value

                return inner

            f = closure()
            got.append((f(), f(), sorted([3, 1, 2], key=lambda x: -x)))

        self.check(program)

    def test_deep_recursion(self):
        def descend(depth):
            return depth and 1 + descend(depth - 1)

        got = []

        def program():
            got.append(descend(500))

        for ticks in 13, 100, 1001:
            tasklet(program)()
            drain(ticks)
        self.assertEqual(got, [500] * 3)

    def test_wide_arguments(self):
        names = [f"name{i}" for i in range(300)]
        source = "".join(f"{name} = {i} + 1000\n" for i, name in enumerate(names)) + "for x in range(3): name299 += x\n"
        code = compile(source, "wide", "exec")

        def program(got):
            namespace = {}
            exec(code, namespace)
            got.append([namespace[name] for name in names])

        expected = []
        program(expected)
        for ticks in 1, 2, 3, 5, 17:
            got = []
            tasklet(program)(got)
            drain(ticks, ignore_nesting=True)
            self.assertEqual(got, expected)

    def test_tasklets_that_talk(self):
        def program(got):
            ch = channel()
            back = channel()

            def double():
                for value in ch:
                    back.send(value * 2)
                back.send(None)

            tasklet(double)()
            for i in range(5):
                ch.send(i)
                got.append(back.receive())
            ch.send_exception(StopIteration)
            got.append(back.receive())

        self.check(program)

    def test_inside_of_c_code_if_nesting_is_ignored(self):
        def key(value):
            total = 0
            for i in range(10):
                total += i * value
            return -total

        def program():
            got.append(sorted(range(10), key=key))

        expected = list(range(9, -1, -1))
        for ticks in 1, 2, 3, 50, 500:
            got = []
            tasklet(program)()
            drain(ticks, ignore_nesting=True)
            self.assertEqual(got, [expected])


class TestExceptionsThere(WatchdogCase):
    """An exception for an interrupted tasklet is raised before the instruction it would go on with."""

    def outcomes(self, program):
        """What becomes of the program when it is ended at each of its instructions in turn."""
        result = set()
        for ticks in range(1, 10_000):
            got = []
            t = tasklet(program)(got)
            if run(ticks) is None:
                break
            t.tempval = bomb(KeyboardInterrupt, "stop")
            try:
                t.run()
            except KeyboardInterrupt:
                got.append("stopped")
            self.assertFalse(t.alive)
            result.add(tuple(got))
        return result

    def test_it_has_the_line(self):
        def function():
            while True:
                pass

        t = self.interrupted_in(function)
        t.tempval = bomb(LookupError, "here")
        try:
            t.run()
        except LookupError as error:
            traceback = error.__traceback__
            while traceback.tb_next:
                traceback = traceback.tb_next
            self.assertIs(traceback.tb_frame.f_code, function.__code__)
            self.assertIn(traceback.tb_lineno - function.__code__.co_firstlineno, (1, 2))

    def test_what_was_entered_is_left(self):
        class Manager:
            def __init__(self, got):
                self.got = got

            def __enter__(self):
                self.got.append("enter")

            def __exit__(self, *args):
                self.got.append("exit")

        def program(got):
            with Manager(got):
                got.append("body")
            try:
                with Manager(got):
                    raise ValueError
            except ValueError:
                pass

        for outcome in self.outcomes(program):
            # __enter__ and __exit__ may be interrupted themselves.
            text = " ".join(outcome)
            self.assertLessEqual(text.count("enter") - text.count("exit"), 1, outcome)

    def test_a_lock_is_never_left_locked(self):
        import threading

        locks = []

        def program(got):
            lock = threading.Lock()
            locks.append(lock)
            for _ in range(3):
                with lock:
                    got.append("body")
                try:
                    with lock:
                        raise ValueError
                except ValueError:
                    pass

        self.assertGreater(len(self.outcomes(program)), 3)
        self.assertEqual([lock.locked() for lock in locks], [False] * len(locks))

    def test_nor_where_it_is_left_early(self):
        """By `return` with a value, `break`, `continue`, and with another block in it."""
        import threading

        locks = []

        def returns(lock, value):
            with lock:
                return value

        def program(got):
            lock, other = threading.Lock(), threading.Lock()
            locks.extend([lock, other])
            returns(lock, len(locks))
            for number in range(3):
                with lock, other:
                    if number:
                        continue
                    with returns(other, other) if number > 5 else Nothing():
                        try:
                            number += 1
                        except KeyError:
                            pass
                        break
            with lock:
                for number in range(2):
                    number += 1

        class Nothing:
            def __enter__(self):
                pass

            def __exit__(self, *args):
                pass

        self.outcomes(program)
        self.assertGreater(len(locks), 50)
        self.assertEqual([lock.locked() for lock in locks], [False] * len(locks))

    def test_nor_an_asynchronous_one(self):
        class Lock:
            locked = False

            async def __aenter__(self):
                self.locked = True

            async def __aexit__(self, *args):
                self.locked = False

        locks = []

        async def enters(got):
            lock = Lock()
            locks.append(lock)
            async with lock:
                got.append("body")
            async with lock:
                return got

        def program(got):
            try:
                enters(got).send(None)
            except StopIteration:
                pass

        for outcome in self.outcomes(program):
            # __aexit__() itself may be interrupted before its first line.
            self.assertLessEqual(len(outcome), 3)
        codes = {Lock.__aexit__.__code__, Lock.__aenter__.__code__}
        for ticks in range(1, 1000):
            t = tasklet(program)([])
            if run(ticks) is None:
                break
            inside = t.frame.f_code in codes
            t.tempval = bomb(KeyboardInterrupt)
            with self.assertRaises(KeyboardInterrupt):
                t.run()
            if not inside:
                self.assertFalse(locks[-1].locked)

    def test_a_block_is_entered_inside_of_another(self):
        """The outer one's handlers count at the line of the inner `try`."""
        def handlers(got):
            try:
                got.append(1)
                try:
                    got.append(2)
                except KeyError:
                    pass
                got.append(3)
            except KeyboardInterrupt:
                got.append("caught")

        def cleanup(got):
            try:
                got.append(1)
                try:
                    got.append(2)
                except KeyError:
                    pass
                got.append(3)
            finally:
                got.append("finally")

        for outcome in self.outcomes(handlers):
            if 1 in outcome and 3 not in outcome:
                self.assertEqual(outcome[-1], "caught")
        for outcome in self.outcomes(cleanup):
            if 1 in outcome and 3 not in outcome:
                self.assertEqual(outcome[-2:], ("finally", "stopped"))

    def test_what_waits_for_the_caller_is_not_lost(self):
        for value, expected in (5, 5), (bomb(KeyError, "stored"), "stored"):
            def function():
                getmain().tempval = value
                spin()

            t = tasklet(function)()
            try:
                got = run(1000)
            except KeyError as error:
                got = error.args[0]
            self.assertEqual(got, expected)
            self.assertTrue(t.scheduled)
            self.assertIs(run(1000), t)
            self.finish(t)

    def test_the_handled_exception_is_restored(self):
        seen = []

        def program(got):
            try:
                inner()
            except KeyboardInterrupt:
                # Not what inner() was handling.
                seen.append(sys.exc_info()[0])
            seen.append(sys.exc_info()[0])

        def inner():
            try:
                raise ValueError
            except ValueError as error:
                error.args
            try:
                try:
                    raise KeyError
                finally:
                    sys.exc_info()
            except LookupError:
                pass

        self.outcomes(program)
        self.assertEqual(set(seen), {KeyboardInterrupt, None})
        self.assertIsNone(sys.exc_info()[0])

    def test_stop_iteration_does_not_end_a_loop_over_a_channel(self):
        ch = channel()
        got = []

        def function():
            for value in ch:
                got.append(value)

        # One tick after the other: it is interrupted right behind FOR_ITER, too.
        for ticks in range(1, 30):
            t = tasklet(function)()
            tasklet(ch.send)(1)
            interrupted = run(ticks)
            if interrupted is t:
                t.tempval = bomb(StopIteration)
                with self.assertRaises(StopIteration):
                    t.run()
                run()
                while ch.balance > 0:
                    ch.receive()
            else:
                ch.send_exception(StopIteration)
                run()
            self.assertFalse(t.alive)

    def test_generators_are_ended_properly(self):
        def numbers(got):
            try:
                for number in range(3):
                    yield number
            finally:
                got.append("closed")

        def program(got):
            for number in numbers(got):
                got.append(number)
                sys.exc_info()

        for outcome in self.outcomes(program):
            # After the last one, the `finally` block itself is interrupted.
            if 0 in outcome and 2 not in outcome:
                self.assertIn("closed", outcome)


class TestSoft(WatchdogCase):
    def test_run_returns_at_the_next_switch(self):
        got = []

        def function():
            while True:
                for _ in range(1000):
                    pass
                got.append(1)
                schedule()

        t = tasklet(function)()
        self.assertIsNone(run(100, soft=True))
        self.assertEqual(got, [1])
        self.assertTrue(t.scheduled)
        self.assertIsNone(run(100, soft=True))
        self.assertEqual(got, [1, 1])
        t.remove()

    def test_at_a_channel(self):
        ch = channel()
        got = []

        def receiver():
            while True:
                got.append(ch.receive())

        def sender():
            for number in range(10**6):
                count(100)
                ch.send(number)

        r, s = tasklet(receiver)(), tasklet(sender)()
        self.assertIsNone(run(50, soft=True))
        self.assertLess(len(got), 3)
        self.assertIsNone(run(50, soft=True))
        self.assertLess(len(got), 5)
        for t in r, s:
            if t.scheduled and not t.blocked:
                t.remove()

    def test_two_that_run_each_other_directly(self):
        # Neither gives way to the queue.
        tasklets = []

        def function(other):
            while True:
                tasklets[other].run()

        tasklets.append(tasklet(function)(1))
        tasklets.append(tasklet(function)(0))
        self.assertIsNone(run(100, soft=True, totaltimeout=True))
        for t in tasklets:
            t.remove()

    def test_at_the_end_of_a_tasklet(self):
        tasklet(count)(1000)
        t = tasklet(spin)()
        self.assertIsNone(run(100, soft=True))
        t.remove()

    def test_with_totaltimeout(self):
        rounds = []

        def function():
            while True:
                rounds.append(1)
                schedule()

        tasklets = [tasklet(function)() for _ in range(3)]
        self.assertIsNone(run(1000, soft=True, totaltimeout=True))
        self.assertTrue(25 < len(rounds) < 200, len(rounds))   # many ticks are an estimate
        for t in tasklets:
            t.remove()

    def test_a_tasklet_that_waits_in_run_is_made_runnable(self):
        got = []

        def inner():
            count(1000)
            schedule()
            got.append("inner")

        def outer():
            tasklet(inner)()
            got.append(run())

        t = tasklet(outer)()
        self.assertIsNone(run(100, soft=True))
        self.assertTrue(t.scheduled)
        run()
        self.assertEqual(sorted(got, key=str), [None, "inner"])


class TestTotal(WatchdogCase):
    def test_the_limit_is_that_of_all_together(self):
        tasklets = [tasklet(count)(10) for _ in range(100)]
        interrupted = run(1000, totaltimeout=True)
        self.assertIn(interrupted, tasklets)
        alive = [t for t in tasklets if t.alive]
        self.assertTrue(50 < len(alive) < 100)
        self.assertIsNone(run())

    def test_switches_do_not_restart_it(self):
        def function():
            while True:
                schedule()

        tasklets = [tasklet(function)() for _ in range(3)]
        interrupted = run(1000, totaltimeout=True)
        self.assertIn(interrupted, tasklets)
        for t in tasklets:
            t.remove()


class TestNested(WatchdogCase):
    def test_a_nested_limit_has_no_effect(self):
        got = []

        def outer():
            inner = tasklet(count)(100)
            got.append(run(10))
            got.append(inner.alive)

        tasklet(outer)()
        self.assertIsNone(run(100_000))
        self.assertEqual(got, [None, False])

    def test_the_outer_caller_gets_what_runs_inside(self):
        got = []
        inner = tasklet(spin)
        outer = tasklet(lambda: got.append(run(10)))()
        inner.setup()
        self.assertIs(run(1000), inner)
        # The one that waited in its own run() is runnable.
        self.assertTrue(outer.scheduled)
        self.assertIsNone(run())
        self.assertEqual(got, [None])
        self.finish(inner)

    def test_after_the_outer_one_has_returned_limits_work_again(self):
        for _ in range(3):
            self.finish(self.interrupted_in(spin))

    def test_a_limit_within_a_run_without_one(self):
        got = []

        def outer():
            inner = tasklet(spin)()
            got.append(run(100) is inner)
            inner.tempval = bomb(LookupError)
            try:
                inner.run()
            except LookupError:
                got.append("not here")

        tasklet(outer)()
        with self.assertRaises(LookupError):
            run()
        run()
        self.assertEqual(got, [True])

    def test_main_is_woken_by_hand(self):
        def function():
            getmain().run()
            spin()

        t = tasklet(function)()
        self.assertIsNone(run(1000))
        # The watchdog is off: this is not interrupted.
        u = tasklet(count)(1000)
        t.remove()
        self.assertIsNone(run())
        self.assertFalse(u.alive)
        self.finish(t)


class TestObstacles(WatchdogCase):
    def test_c_code_in_between(self):
        def step():
            for _ in range(2):
                count(1000)

        def function():
            call(step)
            got.append("called")
            spin()

        got = []
        t = self.interrupted_in(function, ticks=10)
        self.assertEqual(got, [] if "called" not in got else ["called"])
        t.insert()
        self.assertIs(run(100), t)
        self.assertEqual(got, ["called"])
        self.finish(t)

    def test_ignore_nesting_interrupts_inside(self):
        def step():
            while True:
                pass

        def function():
            call(step)

        t = self.interrupted_in(function, ignore_nesting=True)
        self.assertIs(t.frame.f_code, step.__code__)
        self.finish(t)


class TestImports(WatchdogCase):
    """Other threads wait for the locks that an import holds, and other tasklets find the module half made."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        with open(os.path.join(folder, "slow_to_import.py"), "w") as file:
            file.write("numbers = []\nfor number in range(2000):\n    numbers.append(number)\nready = True\n")
        sys.path.insert(0, folder)
        self.addCleanup(sys.path.remove, folder)
        self.addCleanup(sys.modules.pop, "slow_to_import", None)

    def interruptions(self, function, *args, ticks=1, **options):
        """Run function(*args) in a tasklet: for each interruption, is the import lock held, and how much of the module
        is there?"""
        sys.modules.pop("slow_to_import", None)
        seen = set()
        tasklet(function)(*args)
        while (interrupted := run(ticks, **options)) is not None:
            module = sys.modules.get("slow_to_import")
            seen.add((_imp.lock_held(), "none" if module is None else "all" if hasattr(module, "ready") else "half"))
            if module is not None and hasattr(module, "ready"):
                interrupted.kill()
                break
            interrupted.insert()
        self.assertTrue(seen)
        return seen

    def statement(self):
        import slow_to_import
        self.assertTrue(slow_to_import.ready)

    def deep(self, function, levels=50):
        return self.deep(function, levels - 1) if levels else function()

    def test_they_are_not_interrupted(self):
        for function, *args in ([self.statement], [importlib.import_module, "slow_to_import"],
                                [__import__, "slow_to_import"], [self.deep, self.statement]):
            def body():
                function(*args)
                spin()

            for options in {}, {"ticks": 10}, {"totaltimeout": True}, {"ticks": 10, "max_seconds": 1e-9}:
                with self.subTest(function=function, options=options):
                    self.assertLessEqual(self.interruptions(body, **options), {(False, "none"), (False, "all")})

    def test_the_next_one_gets_no_more_than_its_slice(self):
        def other():
            for _ in range(50):
                got.append("slow_to_import" in sys.modules)

        for options in {}, {"totaltimeout": True}:
            with self.subTest(options=options):
                got = []
                sys.modules.pop("slow_to_import", None)
                tasklet(self.statement)()
                t = tasklet(other)()
                while (interrupted := run(100, **options)) is not t:
                    interrupted.insert()
                self.assertLessEqual(len(got), 0 if options else 20)
                self.assertLessEqual(set(got), {True})
                t.kill()

    def test_code_of_the_module_is_if_nesting_is_ignored(self):
        """But never that of importlib, which holds the lock of all imports."""
        for nested in False, True:
            with self.subTest(nested=nested):
                function, args = (call, (self.statement,)) if nested else (self.statement, ())
                seen = self.interruptions(function, *args, ignore_nesting=True)
                self.assertIn((False, "half"), seen)
                self.assertLessEqual({lock for lock, _ in seen}, {False})

    def test_a_stack_is_shown_by_a_module_that_is_whole(self):
        """It is imported at the first need."""
        output = check_python(self, "-c", """if True:
            from stackless import *
            def f():
                print(getcurrent().stack()[-1].name)
            for _ in range(3): tasklet(f)()
            while t := run(1, ignore_nesting=True): t.insert()
        """)
        self.assertEqual(output, "f\n" * 3)


class TestTracing(WatchdogCase):
    def test_traced_and_counted(self):
        lines = []

        def tracer(frame, event, arg):
            if frame.f_code is traced.__code__:
                lines.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
                return tracer

        def traced():
            total = 0
            for i in range(5):
                total += i
            return total

        def program():
            sys.settrace(tracer)
            traced()
            sys.settrace(None)

        program()
        expected = lines[:]
        for ticks in range(1, 60):
            lines.clear()
            tasklet(program)()
            drain(ticks)
            self.assertEqual(lines, expected, f"interrupted every {ticks} ticks")

    def test_counting_goes_on_when_tracing_ends(self):
        def function():
            sys.settrace(lambda *args: None)
            count(10)
            sys.settrace(None)
            spin()

        for ticks in 10, 1000:
            t = self.interrupted_in(function, ticks=ticks)
            self.finish(t)
        self.assertIsNone(sys.gettrace())

    def test_counting_goes_on_when_profiling_ends(self):
        calls = []

        def function():
            sys.setprofile(lambda *args: calls.append(args[1]))
            count(10)
            sys.setprofile(None)
            spin()

        t = self.interrupted_in(function, ticks=1000)
        self.assertIn("call", calls)
        self.finish(t)

    def test_a_profiler_sees_the_same(self):
        events = []

        def program():
            sys.setprofile(lambda frame, event, arg: events.append((event, frame.f_code.co_name)))
            count(3)
            len([1])
            sorted([2, 1], key=abs)
            sys.setprofile(None)

        program()
        expected = events[:]
        for ticks in 1, 2, 3, 10:
            events.clear()
            tasklet(program)()
            drain(ticks)
            self.assertEqual(events, expected)


class TestArguments(WatchdogCase):
    def test_wrong_ones(self):
        for args, kwargs in [
            ((1.5,), {}),
            (("1",), {}),
            ((1, "yes"), {}),
            ((1,), {"soft": None}),
            ((1, 0, 0, 0, 0, 0.5), {}),
            ((), {"seconds": 1}),
            ((), {"max_seconds": "1"}),
        ]:
            with self.assertRaises(TypeError, msg=(args, kwargs)):
                run(*args, **kwargs)
        with self.assertRaises(OverflowError):
            run(10**30)
        with self.assertRaises(ValueError):
            run(max_seconds=float("nan"))
        self.assertEqual(getruncount(), 1)

    def test_positions_and_names(self):
        tasklet(count)(3)
        self.assertIsNone(run(1000, False, False, False, False))
        tasklet(count)(3)
        self.assertIsNone(run(timeout=1000, threadblock=0, soft=0, ignore_nesting=0, totaltimeout=0))

    def test_with_star_arguments(self):
        t = tasklet(spin)()
        self.assertIs(run(*(100,), **{"totaltimeout": True}), t)
        self.finish(t)

    def test_from_c_code(self):
        t = tasklet(spin)()
        self.assertEqual(list(map(run, [100])), [t])
        self.finish(t)


if __name__ == "__main__":
    unittest.main()
