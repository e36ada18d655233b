"""Garbage: tasklets, channels and generators in cycles, dropped tasklets, and the collector at any moment."""

import gc
import operator
import sys
import textwrap
import tracemalloc
import types
import unittest
import weakref

from stackless import channel, getcurrent, getruncount, run, schedule, schedule_remove, tasklet

from . import interpreters
from .cases import LeavesNoTasklets, needs_soft_switches


class Thing:
    """An object that can be watched."""


class GarbageCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []
        gc.collect()
        self.unraisable = []
        self.addCleanup(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = lambda args: self.unraisable.append(repr(args.exc_value))

    def tearDown(self):
        self.assertEqual(self.unraisable, [], "garbage is freed silently")
        super().tearDown()
        self.assertEqual(gc.garbage, [])

    def assert_freed(self, *refs):
        self.assertEqual([ref() for ref in refs], [None] * len(refs))

    def assert_alive(self, *refs):
        for ref in refs:
            self.assertIsNotNone(ref())


@needs_soft_switches
class TestReferenceCounts(GarbageCase):
    """Without a cycle nothing needs the collector."""

    def setUp(self):
        super().setUp()
        gc.disable()
        self.addCleanup(gc.enable)

    def test_never_started(self):
        thing = Thing()
        ref = weakref.ref(thing)
        for t in tasklet(lambda x=thing: x), tasklet(len, (thing,)), tasklet(len, (), {"x": thing}):
            pass
        del thing, t
        self.assert_freed(ref)

    def test_after_the_end(self):
        thing = Thing()
        ref = weakref.ref(thing)
        t = tasklet(lambda *args, **kwargs: None)(thing, x=thing)
        del thing
        self.assert_alive(ref)
        run()
        self.assert_freed(ref)
        ref = weakref.ref(t)
        del t
        self.assert_freed(ref)

    def test_a_paused_one_is_dropped(self):
        """Its frames and all they hold are freed; its finally blocks do not run."""
        thing = Thing()
        ref = weakref.ref(thing)

        def function(local):
            try:
                [local, schedule_remove()]
            finally:
                self.log.append("finally")

        t = tasklet(function)(thing)
        del thing
        run()
        self.assert_alive(ref)
        t_ref = weakref.ref(t)
        del t
        self.assert_freed(ref, t_ref)
        self.assertEqual(self.log, [])

    def test_a_deep_one_is_dropped(self):
        refs = []

        def function(depth):
            thing = Thing()
            refs.append(weakref.ref(thing))
            if depth:
                return function(depth - 1)
            schedule_remove()

        t = tasklet(function)(100)
        run()
        self.assert_alive(*refs)
        del t
        self.assertEqual(len(refs), 101)
        self.assert_freed(*refs)

    def test_dropped_in_the_middle_of_every_construct(self):
        refs = []

        def watched():
            thing = Thing()
            refs.append(weakref.ref(thing))
            return thing

        def generator():
            thing = watched()
            schedule_remove()
            yield thing

        def delegating():
            thing = watched()
            yield from generator()
            del thing

        class Class:
            def __init__(self):
                self.thing = watched()
                for _ in delegating():
                    pass

        class Manager:
            def __init__(self):
                self.thing = watched()

            def __enter__(self):
                return Class(*[])

            def __exit__(self, *exc_info):
                pass

        def function():
            thing = watched()
            with Manager() as manager:
                return thing, manager

        t = tasklet(function)()
        run()
        self.assertEqual(len(refs), 5)
        self.assert_alive(*refs)
        del t
        self.assert_freed(*refs)

    def test_dropped_while_it_handles_an_exception(self):
        class Failure(Exception):
            pass

        refs = []

        def function():
            try:
                raise Failure
            except Failure as error:
                refs.append(weakref.ref(error))
                schedule_remove()

        t = tasklet(function)()
        run()
        self.assert_alive(*refs)
        del t
        gc.collect()
        self.assert_freed(*refs)

    def test_a_frame_outlives_the_dropped_tasklet(self):
        def function(name):
            schedule_remove()

        t = tasklet(function)("kept")
        run()
        frame = t.frame
        del t
        self.assertEqual(frame.f_locals["name"], "kept")
        self.assertEqual(frame.f_code, function.__code__)
        self.assertIsNone(frame.f_back)

    def test_a_generator_outlives_the_dropped_tasklet(self):
        """It was running in the tasklet; it is finished then."""
        def generator():
            try:
                schedule_remove()
            finally:
                self.log.append("finally")
            yield 1

        g = generator()

        def function():
            for _ in g:
                pass

        t = tasklet(function)()
        run()
        del t, function
        self.assertFalse(g.gi_running)
        self.assertEqual(list(g), [])
        self.assertIsNone(g.gi_frame)
        g.close()
        self.assertEqual(self.log, [])

    def test_the_queue_keeps_it(self):
        t = tasklet(self.log.append)("ran")
        ref = weakref.ref(t)
        del t
        self.assert_alive(ref)
        run()
        self.assertEqual(self.log, ["ran"])
        self.assert_freed(ref)

    def test_the_channel_keeps_it(self):
        ch = channel()
        t = tasklet(lambda: self.log.append(ch.receive()))()
        ref = weakref.ref(t)
        del t
        run()
        self.assert_alive(ref)
        ch.send("value")
        self.assertEqual(self.log, ["value"])
        self.assert_freed(ref)

    def test_a_finalizer_sees_everything_work(self):
        """__del__ of what a dropped tasklet held may use tasklets."""
        class Dying:
            def __del__(dying):
                tasklet(self.log.append)("new")
                self.log.append(getcurrent().is_main)

        def function():
            dying = Dying()
            schedule_remove()
            return dying

        t = tasklet(function)()
        run()
        del t
        run()
        self.assertEqual(self.log, [True, "new"])

    def test_a_finalizer_switches_while_a_value_waits(self):
        """It runs in the tasklet that was just entered, whose value arrives all the same."""
        class Dying:
            def __del__(thing):
                self.log.append("dying")
                try:
                    schedule()
                except RuntimeError:
                    self.assertFalse(getcurrent().is_main)

        def paused(thing):
            tasklet(self.log.append)("other")
            schedule_remove()

        def ending(thing):
            tasklet(self.log.append)("other")

        for function in paused, ending:
            self.log.clear()
            tasklet(function)(Dying())
            self.assertEqual(schedule("value"), "value")
            run()
            self.assertEqual(sorted(self.log), ["dying", "other"])

    def test_references_are_counted_exactly(self):
        """A thousand switches through every path leave the counts of what they carry as they were."""
        thing = Thing()
        ch = channel()
        before = sys.getrefcount(thing), sys.getrefcount(None) // 10_000

        def sender():
            for _ in range(1000):
                ch.send(thing)
                schedule(thing)

        def receiver():
            for _ in range(1000):
                ch.receive()

        tasklet(sender)()
        tasklet(receiver)()
        run()
        self.assertEqual((sys.getrefcount(thing), sys.getrefcount(None) // 10_000), before)


class TestSpares(GarbageCase):
    """The object of a dead tasklet, and the memory of its frames, serve again."""

    def test_nothing_is_left_of_the_one_before(self):
        """Whatever a tasklet had when it died."""
        def body():
            getcurrent().set_ignore_nesting(True)
            getcurrent().set_atomic(True)
            getcurrent().block_trap = True
            try:
                raise KeyError
            except KeyError:
                schedule_remove()

        def states(t):
            return (t.alive, t.blocked, t.scheduled, t.atomic, t.ignore_nesting, t.block_trap, t.name, t.frame,
                    t.nesting_level, t.recursion_depth, t.next, t.prev, t.tempval)

        fresh = states(tasklet())
        places = set()
        for i in range(20):
            t = tasklet(body)()
            t.name = f"number {i}"
            run()
            t.tempval = [i]
            places.add(id(t))
            del t
            self.assertEqual(states(tasklet()), fresh)
        self.assertLess(len(places), 20)

    def test_killed_again(self):
        """One that was killed as garbage comes back as another, which is killed as well."""
        def body():
            try:
                operator.call(schedule_remove)
            except TaskletExit:
                self.log.append("killed")
                raise

        for i in range(5):
            tasklet(body)()
            run()
        gc.collect()
        self.assertEqual(self.log, ["killed"] * 5)

    def test_frames_of_any_size(self):
        def of_size(n):
            names = ", ".join(f"x{i}" for i in range(n))
            namespace = {}
            exec(f"def f(value):\n    {names or 'x'} = {'value' if n < 2 else f'[value] * {n}'}\n"
                 f"    return [{names or 'x'}]", namespace)
            return namespace["f"]

        functions = [of_size(n) for n in range(0, 200, 7)] * 2
        for function in functions + functions[::-1]:
            tasklet(lambda: self.log.append(sum(function(1)) == len(function(1))))()
            tasklet(function)(1)
            run()
        self.assertEqual(self.log, [True] * len(functions) * 2)

    def assert_blocks_stay(self, setup, statement):
        """Running the statement again and again takes no more memory, in a process that has no spares yet.

        Caches fill at first, and once in a while later; the spares would grow in every round.
        """
        code = textwrap.dedent(f"""
            import gc, sys
            from stackless import run, schedule_remove, tasklet
            {setup}
            def growth(count):
                before = sys.getallocatedblocks()
                for _ in range(count):
                    {statement}
                gc.collect()
                return sys.getallocatedblocks() - before

            print(min(growth(150) for _ in range(6)))
        """)
        result = interpreters.run_python("-c", code)
        self.assertEqual((result.stderr, result.returncode), ("", 0))
        self.assertLess(int(result.stdout), 50)

    @needs_soft_switches
    def test_memory_of_frames_above_the_first(self):
        """Of tasklets that are dropped inside of a call."""
        self.assert_blocks_stay("def body(): (lambda: schedule_remove())()", "tasklet(body)().run()")

    def test_objects_of_bare_tasklets(self):
        self.assert_blocks_stay("", "tasklet.__new__(tasklet).bind(len)(''); run()")

    def test_tracemalloc_sees_them(self):
        tasklet(len)("")
        run()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        t = tasklet(len)
        self.assertIsNotNone(tracemalloc.get_object_traceback(t))
        del t
        tracemalloc.stop()
        tasklet(len)("")
        run()


@needs_soft_switches
class TestCycles(GarbageCase):
    def test_a_channel_and_one_who_waits(self):
        """Nobody else knows the channel: both are garbage."""
        def function():
            thing = Thing()
            refs.append(weakref.ref(thing))
            ch = channel()
            refs.append(weakref.ref(ch))
            ch.receive()

        refs = []
        refs.append(weakref.ref(tasklet(function)()))
        run()
        gc.collect()
        self.assertEqual(len(refs), 3)
        self.assert_freed(*refs)

    def test_a_sender_with_its_value(self):
        def function():
            ch = channel()
            thing = Thing()
            refs.append(weakref.ref(ch))
            refs.append(weakref.ref(thing))
            ch.send((thing, ch))

        refs = []
        tasklet(function)()
        run()
        gc.collect()
        self.assert_freed(*refs)

    def test_many_on_one_channel(self):
        def function(ch):
            ch.receive()

        ch = channel()
        refs = [weakref.ref(tasklet(function)(ch)) for _ in range(100)]
        refs.append(weakref.ref(ch))
        run()
        gc.collect()
        self.assert_alive(*refs)
        del ch
        gc.collect()
        self.assert_freed(*refs)

    def test_two_who_wait_for_each_other(self):
        def function(mine, other):
            mine.receive()
            other.send(1)

        a, b = channel(), channel()
        refs = [weakref.ref(tasklet(function)(a, b)), weakref.ref(tasklet(function)(b, a)), weakref.ref(a)]
        run()
        del a, b
        gc.collect()
        self.assert_freed(*refs)

    def test_a_tasklet_that_knows_itself(self):
        def function():
            me = getcurrent()
            refs.append(weakref.ref(me))
            schedule_remove()
            return me

        refs = []
        tasklet(function)()
        run()
        gc.collect()
        self.assert_freed(*refs)

    def test_a_frame_object_in_its_own_frame(self):
        def function():
            frame = sys._getframe()
            thing = Thing()
            refs.append(weakref.ref(thing))
            schedule_remove()
            return frame, thing

        refs = []
        t = tasklet(function)()
        run()
        del t
        gc.collect()
        self.assert_freed(*refs)

    def test_a_generator_inside_the_tasklet(self):
        """The cycle goes through the frame of a generator that runs in the suspended tasklet."""
        def generator(me, thing):
            schedule_remove()
            yield me, thing

        def function():
            thing = Thing()
            refs.append(weakref.ref(thing))
            for _ in generator(getcurrent(), thing):
                pass

        refs = []
        t = tasklet(function)()
        refs.append(weakref.ref(t))
        run()
        gc.collect()
        self.assert_alive(*refs)
        del t
        gc.collect()
        self.assert_freed(*refs)

    def test_coroutines_inside_the_tasklet(self):
        """The cycle goes through channel, tasklet and a chain of coroutines and generators that it runs."""
        async def inner(ch):
            ch.receive()

        async def outer(ch):
            await inner(ch)

        @types.coroutine
        def drive(ch):
            yield from outer(ch)

        def function():
            ch = channel()
            refs.append(weakref.ref(ch))
            for _ in drive(ch):
                pass

        refs = []
        refs.append(weakref.ref(tasklet(function)()))
        run()
        gc.collect()
        self.assert_freed(*refs)

    def test_a_cycle_through_the_value_on_its_way(self):
        t = tasklet(lambda: schedule_remove((getcurrent(), Thing())))()
        run()
        refs = [weakref.ref(t), weakref.ref(t.tempval[1])]
        del t
        gc.collect()
        self.assert_freed(*refs)

    def test_a_cycle_through_an_instance_in_the_making(self):
        """Only the init shim and the frame of __init__ know the instance."""
        class Class:
            def __init__(instance):
                instance.tasklet = getcurrent()
                refs.append(weakref.ref(instance))
                schedule_remove()

        refs = []
        t = tasklet(Class)()
        refs.append(weakref.ref(t))
        run()
        gc.collect()
        self.assert_alive(*refs)
        del t
        gc.collect()
        self.assert_freed(*refs)

    def test_a_bound_tasklet(self):
        t = tasklet()
        t.bind(lambda: t)
        ref = weakref.ref(t)
        del t
        gc.collect()
        self.assert_freed(ref)

    def test_arguments(self):
        t = tasklet()
        t.bind(len, (t,), {"x": t})
        ref = weakref.ref(t)
        del t
        gc.collect()
        self.assert_freed(ref)

    def test_a_subclass_with_attributes(self):
        class Named(tasklet):
            pass

        class Line(channel):
            pass

        ch = Line()
        t = Named(ch.receive)()
        t.me, ch.me = ch, t
        refs = [weakref.ref(t), weakref.ref(ch)]
        run()
        del t, ch
        gc.collect()
        self.assert_freed(*refs)

    def test_weak_reference_callbacks(self):
        def function():
            ch = channel()
            refs.append(weakref.ref(getcurrent(), lambda ref: self.log.append("freed")))
            ch.receive()

        refs = []
        tasklet(function)()
        run()
        gc.collect()
        self.assertEqual(self.log, ["freed"])

    def test_a_sieve(self):
        """A whole network is dropped at once."""
        def numbers(target):
            number = 2
            while True:
                target.send(number)
                number += 1

        def strain(prime, source, target):
            for number in source:
                if number % prime:
                    target.send(number)

        refs = []
        source = channel()
        refs.append(weakref.ref(tasklet(numbers)(source)))
        primes = []
        for _ in range(20):
            primes.append(source.receive())
            target = channel()
            refs.append(weakref.ref(tasklet(strain)(primes[-1], source, target)))
            source = target
        self.assertEqual(primes[-1], 71)
        run()
        del source, target
        gc.collect()
        self.assert_freed(*refs)


class TestCollectAnytime(GarbageCase):
    def test_in_tasklets(self):
        def generator():
            for number in range(3):
                gc.collect()
                schedule()
                gc.collect()
                yield number

        class Class:
            def __init__(instance, name):
                gc.collect()
                instance.numbers = [number for number in generator()]
                for number in generator():
                    gc.collect()
                instance.name = name

            def __enter__(instance):
                gc.collect()
                schedule()

            def __exit__(instance, *exc_info):
                gc.collect()
                schedule()

        def function(*args):
            instance = Class(*args)
            with instance:
                gc.collect()
            self.log.append((instance.name, instance.numbers))

        for name in "abc":
            tasklet(function)(name)
        while getruncount() > 1:
            gc.collect()
            schedule()
        self.assertEqual(self.log, [(name, [0, 1, 2]) for name in "abc"])

    def test_at_every_allocation(self):
        """With a threshold of 1 the collector runs all the time."""
        def level(depth):
            if depth:
                yield from level(depth - 1)
            yield [depth, schedule()]

        class Pair:
            def __init__(self, *args, **kwargs):
                self.both = args, kwargs

        def function(name):
            total = []
            for depth, _ in level(5):
                try:
                    raise KeyError(depth)
                except KeyError as error:
                    schedule()
                    total.append(Pair(error.args[0], name=name).both[0][0])
            ch.send((name, total))

        ch = channel()
        threshold = gc.get_threshold()
        gc.set_threshold(1, 1, 1)
        try:
            for name in "abcde":
                tasklet(function)(name)
            got = [ch.receive() for _ in "abcde"]
            run()
        finally:
            gc.set_threshold(*threshold)
        self.assertEqual(sorted(got), [(name, [0, 1, 2, 3, 4, 5]) for name in "abcde"])

    def test_while_a_tasklet_is_set_up(self):
        """The collector's finalizers may do anything to it: the interpreter crashed."""
        class Cycle:
            def __init__(cycle, finalizer):
                cycle.cycle, cycle.finalizer = cycle, finalizer

            def __del__(cycle):
                finalized.append(1)
                try:
                    cycle.finalizer()
                except RuntimeError as error:
                    refusals.append(str(error))

        def function(*args, **kwargs):
            self.log.append((args, kwargs))

        def unbind(t):
            t.bind()

        def rebind(t):
            t.bind(function, ("other",))

        def set_up(t):
            t(other=1)

        def store(t):
            t.tempval = None

        def call(t):
            t.setup("ours", a=1)

        def bind(t):
            t.bind(function, ("ours",), {"a": 1})

        def bind_arguments(t):
            t.bind(None, ["ours"], {"a": 1})
            t.insert()

        threshold = gc.get_threshold()
        finalized, refusals = [], []
        self.addCleanup(gc.set_threshold, *threshold)
        for action in call, bind, bind_arguments:
            for finalizer in unbind, rebind, set_up, store:
                for allocations in range(1, 8):
                    with self.subTest(action=action.__name__, finalizer=finalizer.__name__, at=allocations):
                        t = tasklet(function)
                        dicts = [{} for _ in range(300)]   # those that are kept for later are used up
                        gc.collect()
                        gc.disable()
                        Cycle(lambda: finalizer(t))
                        gc.set_threshold(gc.get_count()[0] + allocations)
                        gc.enable()
                        try:
                            action(t)
                        except RuntimeError as error:
                            refusals.append(str(error))
                        finally:
                            gc.disable()
                            gc.set_threshold(*threshold)
                            gc.enable()
                        run()
                        gc.collect()
                        run()
                        del dicts
                        self.assertTrue(set(map(repr, self.log)) <= {
                            "(('ours',), {'a': 1})", "(('other',), {})", "((), {'other': 1})"}, self.log)
                        self.log.clear()
        self.assertTrue(finalized)
        for refusal in refusals:
            self.assertRegex(refusal, r"^(setup|bind|insert)\(\): tasklet is ")

    def test_between_every_two_instructions(self):
        """A trace function that collects at every opcode of a tasklet."""
        def trace(frame, event, arg):
            frame.f_trace_opcodes = True
            gc.collect(0)
            return trace

        def generator():
            for number in range(2):
                yield schedule(number)

        class Class:
            def __init__(self, *args):
                self.args = args

        def inner(name):
            self.log.append((name, [Class(number, *[name]).args for number in generator()]))

        def function(name):
            sys.settrace(trace)
            inner(name)
            sys.settrace(None)

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        self.assertEqual(self.log, [(name, [(0, name), (1, name)]) for name in "ab"])

    def test_what_the_collector_sees(self):
        """A suspended tasklet refers to the values in its frames."""
        thing = Thing()

        def function(argument):
            local = [argument]
            schedule_remove()
            return local

        t = tasklet(function)(thing)
        run()
        self.assertTrue(gc.is_tracked(t))
        self.assertTrue(any(referrer is t for referrer in gc.get_referrers(thing)))
        t.run()


if __name__ == "__main__":
    unittest.main()
