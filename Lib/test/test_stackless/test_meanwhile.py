"""What destructors, callbacks, the collector and other threads do in the middle of a step."""

import contextvars
import gc
import pickle
import sys
import threading
import time
import unittest
import weakref

import stackless
from stackless import channel, getcurrent, getmain, getruncount, run, schedule, schedule_remove, tasklet

from .capi import NULL, api
from .cases import LeavesNoTasklets, needs_soft_switches


class Pins:
    """An object whose hash is asked for by C code, and which runs `function` then."""

    def __init__(self, function):
        self.function = function

    def __hash__(self):
        self.function()
        return 1


class Dropped:
    """An object that runs `function` when it goes."""

    def __init__(self, function):
        self.function = function

    def __del__(self):
        self.function()


def in_thread(function, *args):
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


class MeanwhileCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []


class TestThreads(MeanwhileCase):
    def test_one_that_is_about_to_block(self):
        """It still runs: it can neither be moved to another thread, nor get another thread's context."""
        ready, leave = threading.Event(), threading.Event()

        def work():
            getcurrent()
            ready.set()
            leave.wait()

        def try_to(operation, *args):
            try:
                operation(*args)
            except RuntimeError:
                self.log.append("refused")
            else:
                self.log.append("done")

        def callback(prev, next):
            if prev is t:
                try_to(t.bind_thread, thread.ident)
                in_thread(try_to, t.set_context, contextvars.Context())

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(leave.set)
        ready.wait()
        ch = channel()
        for function in ch.receive, lambda: {Pins(ch.receive): 1}:
            t = tasklet(function)()
            stackless.set_schedule_callback(callback)
            self.addCleanup(stackless.set_schedule_callback, None)
            run()
            stackless.set_schedule_callback(None)
            self.assertEqual(self.log, ["refused"] * 2)
            self.assertTrue(t.blocked)
            self.assertEqual(t.thread_id, threading.get_ident())
            ch.send(3)
            run()
            self.assertFalse(t.alive)
            self.log.clear()

    @needs_soft_switches
    def test_killed_while_what_it_sent_goes(self):
        """The destructor lets its thread run it to its end: it does not get into the run queue then."""
        ready, go, done = threading.Event(), threading.Event(), threading.Event()

        def give_way():
            go.set()
            done.wait(60)

        def work():
            nonlocal t
            t = tasklet(channel().send)(Dropped(give_way))
            run()
            ready.set()
            go.wait(60)
            run()
            self.log.append(t.alive)
            done.set()
            finished.wait(60)
            run()
            self.log.append((t.alive, getruncount()))

        t = None
        finished = threading.Event()
        thread = threading.Thread(target=work)
        thread.start()
        ready.wait(60)
        t.kill()
        finished.set()
        thread.join()
        self.assertEqual(self.log, [False, (False, 1)])

    def test_tasklets_made_at_the_very_end_of_a_thread(self):
        """By destructors of what was still in its run queue."""
        made = []

        def work():
            tasklet(len)(Dropped(lambda: made.extend([getcurrent(), tasklet(len)(())])))

        in_thread(work)
        self.assertEqual(len(made), 2)
        for t in made:
            self.assertEqual((t.thread_id, t.scheduled), (-1, False))
            self.assertRaises(RuntimeError, t.run)

    def test_the_collector_runs_when_a_thread_uses_its_first(self):
        """It has one main tasklet, whoever asks for it first."""
        got = []

        def work(allocations):
            def finalize():
                if threading.get_ident() == ident:
                    got.append(getmain())

            def cycle():
                obj = Dropped(finalize)
                obj.cycle = obj

            ident = threading.get_ident()
            gc.collect()
            gc.disable()
            cycle()
            gc.set_threshold(gc.get_count()[0] + allocations)
            gc.enable()
            main = getcurrent()
            gc.disable()
            gc.collect()
            got.append(main)

        threshold = gc.get_threshold()
        try:
            for allocations in range(1, 6):
                in_thread(work, allocations)
                # Where another thread collects, only the last is there.
                for main in got:
                    self.assertIs(main, got[-1])
                got.clear()
        finally:
            gc.set_threshold(*threshold)
            gc.enable()

    def test_a_deep_dump_of_a_thread_that_ended(self):
        """What it was granted of the recursion limit does not count for the next one."""
        class Waits:
            def __reduce__(self):
                while True:
                    try:
                        ch.receive()
                    except TaskletExit:
                        pass

        class Measures:
            def __reduce__(obj):
                self.log.append(room())
                return int, ()

        def room():
            """Is there room for a few hundred calls?"""
            def recur(depth):
                return depth == 0 or recur(depth - 1)
            return recur(300)

        def nested(obj):
            for _ in range(3 * sys.getrecursionlimit()):
                obj = [obj]
            return obj

        def work():
            nonlocal t
            t = tasklet(pickle.dumps)(nested(Waits()))
            run()

        ch = channel()
        t = None
        in_thread(work)
        gc.garbage.clear()
        self.assertFalse(t.alive)
        for _ in range(3):
            pickle.dumps(nested(Measures()))
            room()
        self.assertEqual(self.log, [True] * 3)


class TestTracing(MeanwhileCase):
    def test_the_collector_drops_the_function(self):
        """While the frame object for its event is made."""
        def trace(letter):
            """Set a function that nothing but the thread refers to."""
            def tracer(frame, event, arg):
                self.log.append(letter)
            sys.settrace(tracer)

        def finalize():
            if threading.get_ident() == ident:
                sys.settrace(None)
                self.log.append("-")

        def traced():
            pass

        def work():
            nonlocal ident
            ident = threading.get_ident()
            for allocations in range(1, 6):
                obj = Dropped(finalize)
                obj.cycle = obj
                del obj
                trace("t")
                gc.set_threshold(gc.get_count()[0] + allocations)
                gc.enable()
                traced()
                gc.disable()
                sys.settrace(None)
                gc.collect()

        ident = None
        threshold = gc.get_threshold()
        gc.collect()
        gc.disable()
        try:
            in_thread(work)
        finally:
            gc.set_threshold(*threshold)
            gc.enable()
        self.assertIn("-", self.log)
        self.assertIn("t", self.log)


class TestContexts(MeanwhileCase):
    def test_the_collector_replaces_one_in_use(self):
        """The base holds no reference to the current context while it copies or changes it."""
        def finalize():
            try:
                getcurrent().set_context(contextvars.Context())
            except RuntimeError as error:
                self.log.append(str(error))

        variable = contextvars.ContextVar("variable")
        threshold = gc.get_threshold()
        gc.collect()
        gc.disable()
        try:
            for act in contextvars.copy_context, lambda: variable.set(object()):
                for allocations in range(1, 8):
                    def work():
                        variable.set(1)
                        obj = Dropped(finalize)
                        obj.cycle = obj
                        del obj
                        hold = [contextvars.Context() for _ in range(300)]
                        gc.set_threshold(gc.get_count()[0] + allocations)
                        gc.enable()
                        act()
                        gc.disable()
                        gc.set_threshold(*threshold)
                        self.assertIsNotNone(variable.get())
                        del hold

                    tasklet(work)().set_context(contextvars.Context())
                    run()
                    gc.collect()
        finally:
            gc.set_threshold(*threshold)
            gc.enable()
        self.assertIn("set_context(): the tasklet is current, and the garbage collector runs", self.log)


class TestPinned(MeanwhileCase):
    def pinned(self, cls=tasklet, wait=schedule_remove):
        t = cls(lambda: {Pins(wait): 1})()
        run()
        self.assertIsNotNone(t.pinned)
        return t

    def test_killed_by_what_its_end_drops(self):
        for operation in "kill", "run":
            t = self.pinned()
            reference = weakref.ref(t)
            getcurrent().tempval = Dropped(lambda: getattr(reference(), operation)())
            del t
            run()
            gc.collect()
            self.assertIsNone(reference())
            schedule()
            self.assertEqual(getruncount(), 1)

    def test_one_of_a_subclass_that_refuses(self):
        """It is kept whole, and its type with it."""
        class Named(tasklet):
            pass

        def refuse():
            while not ends:
                try:
                    schedule_remove()
                except TaskletExit:
                    pass

        ends = []
        t = self.pinned(Named, refuse)
        t.attribute = "kept"
        references = sys.getrefcount(Named)
        del t
        gc.collect()
        t = gc.garbage.pop()
        self.assertIs(type(t), Named)
        self.assertEqual(t.attribute, "kept")
        self.assertEqual(sys.getrefcount(Named), references)
        # Nobody but itself refers to it now.
        reference = weakref.ref(t)
        del t
        gc.collect()
        self.assertEqual(gc.garbage, [])
        t = reference()
        self.assertIs(type(t), Named)
        self.assertEqual(t.attribute, "kept")
        self.assertEqual(sys.getrefcount(Named), references)
        ends.append(True)
        t.run()
        self.assertFalse(t.alive)
        del t
        self.assertIsNone(reference())


class TestCAPI(MeanwhileCase):
    def test_a_budget_and_what_a_program_stores(self):
        """What lies in the tempval of the caller is no interrupted tasklet."""
        other = tasklet(schedule_remove)()
        run()
        for value in 42, "text", other, None:
            def function():
                main.tempval = value
                main.run()

            main = getmain()
            tasklet(function)()
            self.assertIn(api.PyStackless_RunBudget(60.0, 0, NULL), (0, 1))
            run()
            self.assertEqual(getruncount(), 1)
        self.assertTrue(other.paused)
        other.kill()

    def test_a_thread_ends_while_all_are_killed(self):
        ready, leave = threading.Event(), threading.Event()

        def give_way():
            leave.set()
            time.sleep(0.1)

        def work():
            nonlocal t
            t = tasklet(lambda: {Pins(schedule_remove): 1})()
            run()
            t.tempval = Dropped(give_way)
            ready.set()
            leave.wait()

        t = None
        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        self.assertEqual(api.PyStackless_kill_tasks_with_stacks(1), 0)
        thread.join()
        self.assertFalse(t.alive)


if __name__ == "__main__":
    unittest.main()
