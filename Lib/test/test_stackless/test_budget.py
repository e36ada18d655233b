"""run(max_seconds=...): a budget of time, for game loops and servers.

Nothing here depends on how fast the machine is. Where a tasklet has to be interrupted at a certain place, it
stays there until it is, and small budgets are given again and again until that has happened.
"""

import asyncio
import contextlib
import contextvars
import ctypes
import functools
import gc
import itertools
import math
import re
import sys
import threading
import time
import unittest
import weakref

import stackless
from stackless import (atomic, bomb, channel, getcurrent, getmain, getovershoot, getruncount, run, schedule,
                       schedule_remove, set_accounting, switch_trap, tasklet)

from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import SANITIZED, check_python, run_python

A_MOMENT = 0.001
LONG = 3600.0


def spin():
    """Never end, never switch."""
    while True:
        pass


def end(*tasklets):
    """Kill them, without letting others run that are scheduled behind them."""
    for t in tasklets:
        if t.scheduled and not t.blocked:
            t.remove()
    for t in tasklets:
        t.kill()


class BudgetCase(LeavesNoTasklets, unittest.TestCase):
    """Helpers of the tests below."""

    def setUp(self):
        self.waiting = True

    def wait(self, *args):
        """Compute until a test has said that it is enough."""
        while self.waiting:
            pass
        return len(args)

    def interrupted_in(self, code, function, *args, **options):
        """A tasklet with that function, which a budget has interrupted in that code."""
        t = tasklet(function)(*args)
        while t.frame is None or t.frame.f_code is not code:
            self.assertIs(run(max_seconds=A_MOMENT, **options), t)
            self.assertTrue(t.alive and t.paused)
            t.insert()
        t.remove()
        return t

    def goes_on(self, t):
        """An interrupted tasklet is no longer held up, and ends."""
        self.waiting = False
        t.run()
        self.assertFalse(t.alive)

    def finish(self, t):
        """End an interrupted tasklet by an exception."""
        t.tempval = bomb(LookupError, "the end")
        with self.assertRaisesRegex(LookupError, "the end"):
            t.run()
        self.assertFalse(t.alive)


class TestReturn(BudgetCase):
    def test_none_when_all_have_ended(self):
        got = []
        for n in range(3):
            tasklet(got.append)(n)
        self.assertIsNone(run(max_seconds=LONG))
        self.assertEqual(got, [0, 1, 2])

    def test_none_when_the_others_are_blocked(self):
        ch = channel()
        t = tasklet(ch.receive)()
        self.assertIsNone(run(max_seconds=LONG))
        self.assertTrue(t.blocked)
        ch.send(None)

    def test_the_tasklet_that_ran_when_it_was_over(self):
        ended = tasklet(int)()
        t = self.interrupted_in(spin.__code__, spin)
        self.assertFalse(ended.alive)
        self.assertEqual(getruncount(), 1)
        self.finish(t)

    def test_those_behind_it_stay_scheduled(self):
        t = tasklet(spin)()
        last = tasklet(int)()
        self.assertIs(run(max_seconds=A_MOMENT), t)
        self.assertTrue(last.scheduled)
        self.assertIsNone(run(max_seconds=LONG))
        self.assertFalse(last.alive)
        self.finish(t)

    def test_no_time_at_all_is_time_for_an_instruction(self):
        def function():
            got.append(1)

        for seconds in 0, 0.0, -1, -math.inf, -0.0:
            got, times = [], 0
            t = tasklet(function)()
            while run(max_seconds=seconds) is not None:
                t.insert()
                times += 1
            self.assertEqual((got, t.alive), ([1], False))
            self.assertGreater(times, 3)

    def test_time_without_end(self):
        for seconds in math.inf, 1e300, 3e9, 10**9, LONG, None:
            t = tasklet(sum)(range(10))
            self.assertIsNone(run(max_seconds=seconds))
            self.assertFalse(t.alive)

    def test_it_goes_on_where_it_was(self):
        got = []

        def function():
            for n in range(20_000):
                got.append(n)

        t = tasklet(function)()
        while run(max_seconds=1e-6) is not None:
            t.insert()
        self.assertEqual(got, list(range(20_000)))

    def test_a_game_loop_shares_the_time_among_all(self):
        """Who was interrupted and is inserted again comes after the others."""
        tasklets = [tasklet(spin)() for _ in range(4)]
        order = []
        for _ in range(8):
            order.append(run(max_seconds=A_MOMENT))
            order[-1].insert()
        self.assertEqual(order, tasklets * 2)
        end(*tasklets)

    def test_two_that_switch_all_the_time(self):
        """No switch gives anybody new time."""
        def function():
            while True:
                schedule()

        tasklets = [tasklet(function)() for _ in range(2)]
        self.assertIn(run(max_seconds=A_MOMENT), tasklets)
        end(*tasklets)

    def test_two_that_talk_all_the_time(self):
        ch = channel()

        def sender():
            while True:
                ch.send(1)

        def receiver():
            for _ in ch:
                pass

        tasklets = [tasklet(sender)(), tasklet(receiver)()]
        self.assertIn(run(max_seconds=A_MOMENT), tasklets)
        end(*tasklets)

    def test_new_tasklets_all_the_time(self):
        def function():
            tasklet(function)()

        tasklet(function)()
        self.assertIsNotNone(t := run(max_seconds=A_MOMENT))
        t.kill()
        while getruncount() > 1:
            end(getcurrent().next)

    def test_an_error_of_a_tasklet(self):
        tasklet(int)("x")
        t = tasklet(spin)()
        with self.assertRaisesRegex(ValueError, "invalid literal"):
            run(max_seconds=LONG)
        # The budget went with it.
        self.assertIs(run(100), t)
        self.assertEqual(getovershoot(), 0.0)
        self.finish(t)

    def test_kill_throw_and_bind_what_was_interrupted(self):
        def function():
            try:
                spin()
            except BaseException as error:
                got.append(type(error))
                raise

        got = []
        self.interrupted_in(spin.__code__, function).kill()
        with self.assertRaises(KeyError):
            self.interrupted_in(spin.__code__, function).throw(KeyError)
        t = self.interrupted_in(spin.__code__, function)
        t.throw(IndexError, pending=True)
        with self.assertRaises(IndexError):
            run(max_seconds=LONG)
        self.assertEqual(got, [stackless.TaskletExit, KeyError, IndexError])

    @needs_soft_switches
    def test_bind_and_drop_what_was_interrupted(self):
        got = []
        t = self.interrupted_in(spin.__code__, spin)
        t.bind(got.append, (1,))
        t.run()
        self.assertEqual(got, [1])
        t = weakref.ref(self.interrupted_in(spin.__code__, spin))
        gc.collect()
        self.assertIsNone(t())

    def test_from_c_code_and_with_stars(self):
        t = tasklet(spin)()
        call = functools.partial(run, max_seconds=A_MOMENT)
        self.assertEqual(list(map(lambda _: call(), [0])), [t])
        t.insert()
        self.assertIs(run(*(), **{"max_seconds": A_MOMENT}), t)
        self.finish(t)


class TestEverywhere(BudgetCase):
    """Time runs out in the midst of all kinds of code."""

    def check(self, start, result, pinned=False):
        """start() waits somewhere inside. There it is interrupted, and gives that result when it goes on."""
        got = []
        self.waiting = True
        t = self.interrupted_in(self.wait.__func__.__code__, lambda: got.append(start()), ignore_nesting=pinned)
        if not pinned:
            self.assertIsNone(t.pinned)
            self.assertTrue(t.restorable)
        else:
            self.assertIsNotNone(t.pinned)
            self.assertGreater(t.nesting_level, 0)
        self.goes_on(t)
        self.assertEqual(got, [result])

    def test_generators(self):
        def numbers():
            self.wait()
            got = yield 1
            self.wait()
            yield got

        def outer():
            yield (yield from numbers())

        def send():
            g = numbers()
            return next(g), g.send(5)

        def throw():
            def catching():
                try:
                    yield 1
                except KeyError:
                    self.wait()
                    yield 2
            g = catching()
            return next(g), g.throw(KeyError)

        def close():
            def closing():
                try:
                    yield 1
                finally:
                    self.wait()
            g = closing()
            return next(g), g.close()

        def loop():
            return [n for n in outer()]

        self.check(loop, [1, None, None])
        self.check(send, (1, 5))
        self.check(throw, (1, 2))
        self.check(close, (1, None))
        self.check(lambda: next(outer()), 1)
        self.check(lambda: list(numbers()), [1, None])
        self.check(lambda: sum(self.wait(n) for n in range(3)), 3)

    def test_comprehensions(self):
        self.check(lambda: [self.wait(x) + y for x in range(2) for y in range(2)], [1, 2, 1, 2])
        self.check(lambda: {x: self.wait(x) for x in range(2)}, {0: 1, 1: 1})
        self.check(lambda: {self.wait(x) for x in range(2)}, {1})
        self.check(lambda: [x for x in range(2) if self.wait(x)], [0, 1])
        self.check(lambda: [[self.wait() for _ in range(2)] for _ in range(2)], [[0, 0], [0, 0]])

    def test_operators_and_comparisons(self):
        case = self

        class Number:
            def operate(self, *args):
                return case.wait(*args)

            __add__ = __radd__ = __iadd__ = __neg__ = __pow__ = __getitem__ = __eq__ = __lt__ = operate
            __len__ = __hash__ = __index__ = __contains__ = __matmul__ = __delitem__ = __invert__ = operate

        def minus():
            n = Number()
            n += 1
            return n

        def subscripts():
            n = Number()
            del n[1]
            return n[1], n[2]

        n = Number()
        for start, result in [
            (lambda: n + 1, 1), (lambda: 1 + n, 1), (minus, 1), (lambda: -n, 0), (lambda: n ** 2, 1),
            (lambda: n @ 1, 1), (lambda: ~n, 0), (subscripts, (1, 1)), (lambda: n == 1, 1),
            (lambda: n < 1 < 2, True), (lambda: len(n), 0), (lambda: hash(n), 0), (lambda: 1 in n, True),
            (lambda: 1 if n else 2, 2), (lambda: not n, True), (lambda: n == 1 and n < 2, 1),
        ]:
            self.check(start, result)

    def test_attributes_and_calls(self):
        case = self

        class Meta(type):
            def __call__(cls, *args):
                case.wait()
                return super().__call__(*args)

        class Descriptor:
            def __get__(self, instance, owner):
                return case.wait(instance, owner)

            def __set__(self, instance, value):
                case.wait(instance, value)

        class Thing(metaclass=Meta):
            descriptor = Descriptor()

            def __new__(cls, *args):
                case.wait()
                return super().__new__(cls)

            def __init__(self, *args):
                case.wait()

            @property
            def prop(self):
                return case.wait()

            def __getattr__(self, name):
                return case.wait(name)

            def __setattr__(self, name, value):
                case.wait()
                super().__setattr__(name, value)

            def __call__(self, *args, **kwargs):
                return case.wait(*args, *kwargs)

        self.waiting = False
        thing = Thing()
        for start, result in [
            (lambda: type(Thing(1)), Thing), (lambda: thing.prop, 0), (lambda: thing.missing, 1),
            (lambda: setattr(thing, "x", 1), None), (lambda: thing(1, *(2, 3), x=4, **{"y": 5}), 5),
            (lambda: thing.descriptor, 2), (lambda: getattr(thing, "other"), 1),
            (lambda: functools.partial(self.wait, 1)(2), 2), (lambda: functools.lru_cache(self.wait)(1), 1),
        ]:
            self.check(start, result)

    def test_texts_iterators_and_builtins(self):
        case = self

        class Text:
            def __str__(self):
                return str(case.wait())

            def __repr__(self):
                return str(case.wait())

            def __format__(self, spec):
                return str(case.wait(spec))

        class Items:
            def __init__(self):
                self.left = 3

            def __iter__(self):
                case.wait()
                return self

            def __next__(self):
                if not self.left:
                    raise StopIteration
                self.left -= 1
                return case.wait(self.left)

        def loop():
            return [n for n in Items()]

        text = Text()
        for start, result in [
            (lambda: f"{text}{text!r}{text!s}", "100"), (lambda: str(text), "0"), (loop, [1, 1, 1]),
            (lambda: list(map(self.wait, [1, 2])), [1, 1]), (lambda: list(filter(self.wait, [1, 2])), [1, 2]),
            (lambda: sorted([2, 1], key=self.wait), [2, 1]), (lambda: max([1, 2], key=self.wait), 1),
            (lambda: list(zip(iter(Items()), iter(Items()))), [(1, 1)] * 3), (lambda: [*iter(Items())], [1] * 3),
            (lambda: [n for n in enumerate(iter(Items()))], [(0, 1), (1, 1), (2, 1)]),
        ]:
            self.check(start, result)

    def test_with_and_exceptions(self):
        case = self

        class Manager:
            def __enter__(self):
                return case.wait()

            def __exit__(self, *error):
                return case.wait(*error) == 3

        @contextlib.contextmanager
        def manager():
            case.wait()
            try:
                yield 1
            except KeyError:
                case.wait()

        def with_class():
            with Manager() as value:
                raise KeyError
            return value, sys.exc_info()

        def with_generator():
            with manager() as value:
                raise KeyError
            return value, sys.exc_info()

        def handled():
            try:
                raise KeyError(1)
            except KeyError:
                self.wait()
                return sys.exc_info()[0]

        def in_finally():
            try:
                try:
                    raise KeyError(1)
                finally:
                    self.wait()
            except KeyError as error:
                return error.args

        def group():
            try:
                raise ExceptionGroup("", [KeyError(1), IndexError(2)])
            except* KeyError as caught:
                self.wait()
                return_value = len(caught.exceptions)
            except* IndexError:
                self.wait()
            return return_value

        for start, result in [
            (with_class, (0, (None,) * 3)), (with_generator, (1, (None,) * 3)), (handled, KeyError),
            (in_finally, (1,)), (group, 1),
        ]:
            self.check(start, result)

    def test_async(self):
        class Awaitable:
            def __await__(case):
                self.wait()
                return (yield from ())

        class Manager:
            async def __aenter__(case):
                await Awaitable()
                return self.wait()

            async def __aexit__(case, *error):
                return self.wait(*error) == 3

        async def numbers():
            for n in range(3):
                await Awaitable()
                yield n

        async def main():
            async with Manager() as value:
                raise KeyError
            return value, [n async for n in numbers()]

        def start():
            coroutine = main()
            try:
                coroutine.send(None)
            except StopIteration as stop:
                return stop.value

        self.check(start, (0, [0, 1, 2]))
        self.check(lambda: asyncio.run(main()), (0, [0, 1, 2]))

    def test_classes_code_and_contexts(self):
        def body():
            class Local:
                value = self.wait()
            return Local.value

        def decorated():
            @self.wait
            def function():
                pass
            return function

        def matched():
            match {"a": [1, 2]}:
                case {"a": [_, value]} if not self.wait():
                    return value

        for start, result in [
            (body, 0), (decorated, 1), (matched, 2), (lambda: exec("wait()", {"wait": self.wait}), None),
            (lambda: eval("wait(1)", {"wait": self.wait}), 1),
            (lambda: contextvars.copy_context().run(self.wait, 1, 2), 2),
        ]:
            self.check(start, result)

    def test_deep_recursion(self):
        class Step:
            def __init__(step, n):
                step.depth = deep(n - 1)

        def deep(n):
            if n == 0:
                return self.wait()
            return 1 + (deep(n - 1) if n % 2 else Step(n).depth)

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(100_000)
        self.addCleanup(sys.setrecursionlimit, limit)
        self.check(lambda: deep(20_000), 20_000)

    def test_recursion_without_loops(self):
        """Only calls look at the time there."""
        def deep(n):
            return deep(n - 1) + deep(n - 1) if n else 0

        self.finish(self.interrupted_in(deep.__code__, deep, 60))

    def test_inside_of_c_callbacks_if_nesting_is_ignored(self):
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(self.wait)
        got = []

        class Dropped:
            def __del__(dropped):
                got.append(self.wait())

        def destructor():
            Dropped()
            return got.pop()

        def weak_reference():
            things = [type("Thing", (), {})()]
            ref = weakref.ref(things[0], self.wait)
            things.clear()
            return ref()

        for start, result in [
            (lambda: callback(5), 1), (lambda: re.sub("a", lambda m: str(self.wait(m)), "bar"), "b1r"),
            (destructor, 0), (weak_reference, None),
            (lambda: list(itertools.accumulate([1, 2], lambda a, b: callback(a + b))), [1, 1]),
        ]:
            self.check(start, result, pinned=True)


class TestOvershoot(BudgetCase):
    """getovershoot() is judged by the clock of the tasklets."""

    def test_in_time(self):
        for seconds in LONG, math.inf:
            tasklet(int)()
            run(max_seconds=seconds)
            self.assertEqual(getovershoot(), 0.0)
            self.assertIs(type(getovershoot()), float)

    def test_a_c_function_that_takes_long(self):
        times = []

        def function():
            times.append(time.monotonic())
            time.sleep(0.02)
            times.append(time.monotonic())

        t = tasklet(function)()
        t.set_atomic(True)
        begin = time.monotonic()
        run(max_seconds=A_MOMENT)
        end = time.monotonic()
        # It began to count after `begin`, and before the tasklet did.
        self.assertGreaterEqual(getovershoot(), times[1] - (times[0] + A_MOMENT) - 1e-6)
        self.assertLessEqual(getovershoot(), end - (begin + A_MOMENT) + 1e-6)
        self.assertFalse(t.alive)

    def test_an_interruption(self):
        t = tasklet(spin)()
        begin = time.monotonic()
        self.assertIs(run(max_seconds=A_MOMENT), t)
        end = time.monotonic()
        self.assertGreaterEqual(end - begin, A_MOMENT)
        self.assertTrue(0 < getovershoot() <= end - begin - A_MOMENT + 1e-6, getovershoot())
        self.finish(t)

    def test_it_is_that_of_the_last_one_with_a_budget(self):
        t = tasklet(spin)()
        run(max_seconds=0)
        t.remove()
        late = getovershoot()
        self.assertGreater(late, 0)
        tasklet(int)()
        run()
        tasklet(int)()
        run(1000)
        self.assertEqual(getovershoot(), late)
        with self.assertRaises(TypeError):
            run(max_seconds="1")
        self.assertEqual(getovershoot(), late)
        run(max_seconds=LONG)
        self.assertEqual(getovershoot(), 0.0)
        t.kill()

    def test_an_error_comes_too_late(self):
        def function():
            time.sleep(0.01)
            raise KeyError

        t = tasklet(function)()
        t.set_atomic(True)
        with self.assertRaises(KeyError):
            run(max_seconds=A_MOMENT)
        self.assertGreater(getovershoot(), 0)

    def test_each_thread_has_its_own(self):
        def work():
            before = getovershoot()
            run(max_seconds=LONG)
            results.append((before, getovershoot()))

        results = []
        t = tasklet(spin)()
        run(max_seconds=A_MOMENT)
        late = getovershoot()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(results, [(0.0, 0.0)])
        self.assertEqual(getovershoot(), late)
        t.kill()


class TestObstacles(BudgetCase):
    """A budget of 0 is used up at once: only the obstacle keeps the tasklet from being interrupted."""

    def steps(self, function, **options):
        """What an atomic tasklet has logged when it is interrupted, after it took the atomic flag away itself."""
        log = []
        t = tasklet(function)(log)
        t.set_atomic(True)
        self.assertIs(run(max_seconds=0, **options), t)
        self.assertFalse(t.atomic)
        seen = log[:]
        t.run()
        self.assertFalse(t.alive)
        return seen, log

    def test_atomic(self):
        def function(log):
            log.append(sum(n for n in range(1000)))
            getcurrent().set_atomic(False)
            log.append("after")

        self.assertEqual(self.steps(function), ([499500], [499500, "after"]))

    def test_the_end_of_an_atomic_block(self):
        def function(log):
            with atomic():
                getcurrent().set_atomic(True)
                log.append("inside")
            getcurrent().set_atomic(False)
            log.append("after")

        self.assertEqual(self.steps(function), (["inside"], ["inside", "after"]))

    def test_switch_trap(self):
        def function(log):
            switch_trap(1)
            getcurrent().set_atomic(False)
            log.append(sum(n for n in range(1000)))
            switch_trap(-1)
            log.append("after")

        self.assertEqual(self.steps(function), ([499500], [499500, "after"]))

    def test_c_functions(self):
        def step(log, a, b):
            getcurrent().set_atomic(False)
            log.append(sum(n for n in range(1000)))

        def function(log):
            re.sub("a", lambda m: step(log, 1, 2) or "", "bar")
            log.append("after")

        self.assertEqual(self.steps(function), ([499500], [499500, "after"]))
        self.assertEqual(self.steps(function, ignore_nesting=True), ([], [499500, "after"]))

    def test_ignore_nesting_of_the_tasklet(self):
        def function(log):
            getcurrent().set_ignore_nesting(True)
            re.sub("a", lambda m: getcurrent().set_atomic(False) and log.append("inside") or "", "bar")
            log.append("after")

        self.assertEqual(self.steps(function), ([], ["inside", "after"]))

    def test_trace_functions(self):
        def function(log):
            def trace(frame, event, arg):
                getcurrent().set_atomic(False)
                log.append(sum(n for n in range(1000)))

            sys.settrace(trace)
            (lambda: None)()
            sys.settrace(None)
            log.append("after")

        seen, log = self.steps(function)
        self.assertEqual(seen, [499500])
        self.assertEqual(log[-1], "after")

    def test_callbacks(self):
        """They are never interrupted; tasklets are, before and behind."""
        def callback(prev, next):
            log.append("in")
            sum(n for n in range(100))
            log.append("out")

        log, interrupted = [], []
        t = tasklet(lambda: [schedule(), schedule()])()
        other = tasklet(lambda: [schedule(), schedule()])()
        stackless.set_schedule_callback(callback)
        self.addCleanup(stackless.set_schedule_callback, None)
        while t.alive or other.alive:
            interrupted.append(run(max_seconds=0))
            if interrupted[-1]:
                interrupted[-1].insert()
        self.assertGreater(len(interrupted), 10)
        self.assertEqual(log, ["in", "out"] * (len(log) // 2))

    def test_the_obstacle_of_one_is_not_that_of_the_next(self):
        """What is left undone while an atomic one runs is done to whoever runs then."""
        t = tasklet(lambda: [schedule() for _ in range(3)])()
        t.set_atomic(True)
        other = tasklet(spin)()
        self.assertIs(run(max_seconds=0), other)
        self.assertTrue(t.scheduled)
        self.assertIsNone(run())
        other.kill()


class TestOptions(BudgetCase):
    def test_soft(self):
        got = []

        def function():
            while True:
                got.append(sum(n for n in range(1000)))
                schedule()

        t = tasklet(function)()
        for expected in 1, 2:
            self.assertIsNone(run(max_seconds=0, soft=True))
            self.assertEqual(len(got), expected)
        self.assertTrue(t.scheduled)
        t.kill()

    def test_soft_while_time_passes(self):
        def function():
            while True:
                schedule()
                got.append(1)

        got = []
        tasklets = [tasklet(function)() for _ in range(2)]
        self.assertIsNone(run(max_seconds=A_MOMENT, soft=True))
        self.assertEqual([t.scheduled for t in tasklets], [True] * 2)
        end(*tasklets)

    def test_soft_at_a_channel_and_at_the_end(self):
        ch = channel()
        t = tasklet(ch.receive)()
        tasklet(int)()
        other = tasklet(int)()
        self.assertIsNone(run(max_seconds=0, soft=True))
        self.assertTrue(t.blocked)
        self.assertIsNone(run(max_seconds=0, soft=True))
        self.assertTrue(other.alive)
        run()
        ch.send(None)

    def test_soft_with_one_that_never_switches(self):
        """The test waits in the tasklet until the time is up for certain."""
        def function():
            end = time.monotonic() + 5 * A_MOMENT
            while time.monotonic() < end:
                pass

        t = tasklet(function)()
        self.assertIsNone(run(max_seconds=A_MOMENT, soft=True))
        self.assertFalse(t.alive)
        self.assertGreater(getovershoot(), 0)

    def test_ticks_and_time(self):
        t = tasklet(spin)()
        self.assertIs(run(100, max_seconds=LONG), t)
        self.assertEqual(getovershoot(), 0.0)
        t.insert()
        self.assertIs(run(sys.maxsize, max_seconds=A_MOMENT), t)
        self.assertGreater(getovershoot(), 0)
        t.insert()
        self.assertIs(run(-1, max_seconds=A_MOMENT), t)
        self.finish(t)

    def test_ticks_begin_anew_and_time_does_not(self):
        def function():
            while True:
                schedule()

        tasklets = [tasklet(function)() for _ in range(2)]
        self.assertIn(run(1000, max_seconds=A_MOMENT), tasklets)
        self.assertGreater(getovershoot(), 0)
        for t in tasklets:
            t.insert()
        self.assertIn(run(1000, max_seconds=LONG, totaltimeout=True), tasklets)
        self.assertEqual(getovershoot(), 0.0)
        end(*tasklets)

    def test_totaltimeout_alone_limits_nothing(self):
        tasklet(sum)(range(1000))
        self.assertIsNone(run(max_seconds=LONG, totaltimeout=True))

    def test_threadblock_with_one_that_another_thread_inserts(self):
        t = tasklet(spin)
        t.bind(spin, ())
        thread = threading.Thread(target=t.insert)
        thread.start()
        while run(max_seconds=A_MOMENT, threadblock=True) is not t:
            pass
        thread.join()
        self.finish(t)

    def test_threadblock_sleeps_until_the_time_is_up(self):
        leave = threading.Event()
        thread = threading.Thread(target=leave.wait)
        thread.start()
        begin = time.monotonic()
        self.assertIsNone(run(max_seconds=0.02, threadblock=True))
        self.assertGreaterEqual(time.monotonic() - begin, 0.02)
        leave.set()
        thread.join()


class TestNested(BudgetCase):
    def test_an_inner_budget_has_no_effect(self):
        for outer, inner in itertools.product([dict(max_seconds=LONG), dict(timeout=10**8)],
                                              [dict(max_seconds=0), dict(timeout=1)]):
            got = []

            def function():
                t = tasklet(sum)(n for n in range(1000))
                got.append((run(**inner), t.alive))

            tasklet(function)()
            with self.subTest(outer=outer, inner=inner):
                self.assertIsNone(run(**outer))
                self.assertEqual(got, [(None, False)])
                self.assertEqual(getovershoot(), 0.0)

    def test_the_outer_one_gets_who_runs_inside(self):
        def function():
            got.append(run(max_seconds=LONG))

        got = []
        inner = tasklet(spin)
        outer = tasklet(function)()
        inner.setup()
        while (t := run(max_seconds=A_MOMENT)) is not inner:
            self.assertIs(t, outer)
            outer.insert()
        self.assertTrue(outer.scheduled)
        self.assertIsNone(run())
        self.assertEqual(got, [None])
        self.finish(inner)

    def test_inside_of_a_run_without_one(self):
        def function():
            t = tasklet(spin)()
            got.append(run(max_seconds=A_MOMENT) is t)
            got.append(getovershoot() > 0)
            t.kill()

        got = []
        tasklet(function)()
        self.assertIsNone(run())
        self.assertEqual(got, [True, True])

    def test_many_one_inside_of_the_other(self):
        def function(n):
            if n:
                tasklet(function)(n - 1)
                got.append(run(max_seconds=LONG))
            else:
                spin()

        got = []
        tasklet(function)(10)
        t = None
        while t is None or t.frame.f_code is not spin.__code__:
            if t is not None:
                t.insert()
            t = run(max_seconds=A_MOMENT)
        self.assertIsNone(run())
        self.assertEqual(got, [None] * 10)
        self.finish(t)

    def test_the_caller_is_woken_by_hand(self):
        """Who runs it gives the rest of the time back."""
        def function():
            getmain().run()
            schedule_remove()

        t = tasklet(function)()
        self.assertIsNone(run(max_seconds=LONG))
        other = tasklet(spin)()
        self.assertIs(run(max_seconds=A_MOMENT), other)
        end(t, other)

    def test_main_itself_is_interrupted(self):
        """A tasklet may give main a budget."""
        check_python(self, "-c", """if True:
            from stackless import getmain, run, tasklet
            got = []
            tasklet(lambda: got.append(run(max_seconds=0.001)))().run()
            while not got:
                pass
            assert got == [getmain()], got
            """)


class TestThreads(BudgetCase):
    def test_each_thread_has_its_own(self):
        def work(n):
            t = tasklet(spin)()
            for _ in range(20):
                results[n].append(run(max_seconds=A_MOMENT) is t)
                t.insert()
            t.kill()

        results = [[] for _ in range(3)]
        threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [[True] * 20] * 3)

    def test_another_thread_computes_meanwhile(self):
        def compute():
            while not leave:
                pass

        leave = []
        thread = threading.Thread(target=compute)
        thread.start()
        t = self.interrupted_in(spin.__code__, spin)
        leave.append(True)
        thread.join()
        self.finish(t)


class TestProcesses(BudgetCase):
    def test_fork(self):
        """The child keeps the time itself, in the middle of a budget and with a new one."""
        # AddressSanitizer does not bear a fork while the thread that keeps the time starts.
        prepare = "tasklet(int)(); run(max_seconds=1); time.sleep(0.2)" if SANITIZED else ""
        check_python(self, "-c", f"""if True:
            import os, stackless, time
            from stackless import run, tasklet

            def spin():
                while True: pass

            def fork():
                global pid
                pid = os.fork()
                spin()

            {prepare}
            t = tasklet(fork)()
            pid = None
            while pid is None:
                t.insert()
                assert run(max_seconds=0.01) is t
            t.insert()
            assert run(max_seconds=0.001) is t
            t.kill()
            if pid:
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            """)

    def test_signals_are_handled_meanwhile(self):
        self.assertEqual(check_python(self, "-c", """if True:
            import signal
            from stackless import run, tasklet

            def handler(*args):
                print("handled", flush=True)

            def function():
                signal.raise_signal(signal.SIGUSR1)
                signal.raise_signal(signal.SIGINT)
                while True: pass

            signal.signal(signal.SIGUSR1, handler)
            tasklet(function)()
            try:
                run(max_seconds=3600)
            except KeyboardInterrupt:
                print("interrupted")
            """), "handled\ninterrupted\n")

    def test_the_process_ends_meanwhile(self):
        """By an exit, by an error, and while a daemon thread has a budget."""
        spins = "lambda: [0 for _ in iter(int, 1)]"
        for program, status in [
            ("tasklet(lambda: sys.exit(3))(); run(max_seconds=3600)", 3),
            ("tasklet(lambda: os._exit(4))(); run(max_seconds=3600)", 4),
            (f"threading.Thread(target=lambda: (tasklet({spins})(), ready.set(), run(max_seconds=3600)), "
             "daemon=True).start(); ready.wait()", 0),
            (f"ts = [tasklet({spins})() for _ in range(3)]; run(max_seconds=0.001)", 0),
        ]:
            with self.subTest(program=program):
                done = run_python("-c", "import os, sys, threading\nfrom stackless import run, tasklet\n"
                                  f"ready = threading.Event()\n{program}")
                self.assertEqual((done.returncode, done.stderr), (status, ""))


class TestTracing(BudgetCase):
    def test_lines_are_seen_once(self):
        def trace(frame, event, arg):
            if frame.f_code is traced.__code__:
                seen.append((event, frame.f_lineno - traced.__code__.co_firstlineno))
                return trace

        def traced():
            total = 0
            for n in range(60):
                total += n
            return total

        def program():
            sys.settrace(trace)
            traced()
            sys.settrace(None)

        seen = []
        program()
        expected = seen[:]
        for seconds in 0, 1e-5, 1e-4:
            seen.clear()
            t = tasklet(program)()
            while run(max_seconds=seconds) is not None:
                t.insert()
            self.assertEqual(seen, expected)


class TestAccounting(BudgetCase):
    """What each tasklet is said to have taken, by its own clock."""

    def setUp(self):
        super().setUp()
        set_accounting(True)
        self.addCleanup(set_accounting, False)

    def test_an_interrupted_tasklet(self):
        t = tasklet(spin)()
        total = 0
        for n in range(1, 4):
            begin = time.monotonic()
            self.assertIs(run(max_seconds=A_MOMENT), t)
            total += time.monotonic() - begin
            self.assertEqual(t.switch_count, n)
            self.assertLessEqual(t.run_time, total + 1e-6)
            t.insert()
        self.assertGreater(t.run_time, 0)
        t.kill()

    def test_two_that_share_the_time(self):
        def function(n):
            begin = time.monotonic()
            while time.monotonic() < begin + 5 * A_MOMENT:
                pass
            clocks[n] = time.monotonic() - begin

        clocks = [0, 0]
        tasklets = [tasklet(function)(n) for n in range(2)]
        for t in tasklets:
            t.set_atomic(True)
        idle = tasklet(spin)()
        self.assertIs(run(max_seconds=0), idle)
        for t, clock in zip(tasklets, clocks):
            self.assertGreaterEqual(t.run_time, clock - 1e-6)
            self.assertEqual(t.switch_count, 1)
        idle.kill()


class TestArguments(BudgetCase):
    def test_numbers_of_all_kinds(self):
        from decimal import Decimal
        from fractions import Fraction

        class Number:
            def __float__(self):
                return LONG

        for seconds in True, 10, LONG, Decimal(10), Fraction(7, 2), Number():
            tasklet(int)()
            self.assertIsNone(run(max_seconds=seconds))

    def test_refused(self):
        """Nothing has changed then: those who are scheduled have not run."""
        class Fails:
            def __float__(self):
                raise LookupError

        t = tasklet(int)()
        for seconds, error in [
            ("1", TypeError), (b"1", TypeError), ([], TypeError), (1j, TypeError), (math.nan, ValueError),
            (10**400, OverflowError), (Fails(), LookupError), (object(), TypeError),
        ]:
            with self.subTest(seconds=seconds), self.assertRaises(error):
                run(max_seconds=seconds)
        with self.assertRaisesRegex(TypeError, "takes at most 5 positional arguments"):
            run(0, 0, 0, 0, 0, 1.0)
        self.assertTrue(t.scheduled)
        run()

    def test_refused_in_a_callback_and_under_a_trap(self):
        """The watchdog is not left behind."""
        t = tasklet(sum)(n for n in range(10_000))
        switch_trap(1)
        try:
            with self.assertRaisesRegex(RuntimeError, "switch_trap"):
                run(max_seconds=0)
        finally:
            switch_trap(-1)
        self.assertIsNone(run())
        self.assertFalse(t.alive)


if __name__ == "__main__":
    unittest.main()
