"""Tasklets inside of C functions that nobody refers to any more: killed at once, killed later, or kept."""

import contextvars
import functools
import gc
import sys
import threading
import unittest
import weakref
from operator import call

import stackless
from stackless import getcurrent, run, schedule, schedule_remove, switch_trap, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches

# What a thread does takes microseconds; this only keeps a failing test from hanging.
PATIENCE = 60

variable = contextvars.ContextVar("variable")


def both(test):
    """The test for one that the last reference is dropped to, and for one in a cycle."""
    def wrapper(self):
        for cycle in False, True:
            with self.subTest(cycle=cycle):
                test(self, cycle)
                self.assertEqual(stackless.getruncount(), 1)

    return functools.wraps(test)(wrapper)


class PinnedCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []
        self.references = []
        unraisable = []
        hook = sys.unraisablehook
        sys.unraisablehook = lambda args: unraisable.append(args.exc_value)
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        self.addCleanup(lambda: self.assertEqual(unraisable, []))

    def start(self, cycle, cls=tasklet, refusals=0):
        """A tasklet that waits inside of a C function, in a context of its own: a weak reference.

        With `cycle` its own variables refer to it, else self.references, and nobody else. When TaskletExit comes,
        it logs what it still has; so many times it goes on waiting.
        """
        def body():
            if cycle:
                data["tasklet"] = getcurrent()
            while True:
                try:
                    call(schedule_remove)
                    break
                except TaskletExit:
                    self.log.append((data["self"] is data, cell, variable.get(), len(contextvars.copy_context()),
                                     threading.get_ident()))
                    data["refusals"] -= 1
                    if data["refusals"] < 0:
                        raise

        data, cell = {"refusals": refusals}, "cell"
        data["self"] = data
        context = contextvars.Context()
        context.run(variable.set, "value")
        t = cls(body)().set_context(context)
        if not cycle:
            self.references.append(t)
        run()
        self.assertIsNotNone(t.pinned)
        return weakref.ref(t)

    def found(self):
        """The one that lives. The collector clears weak references even if their object lives on."""
        t, = [t for t in stackless.tasklets() if not t.is_main]
        return t

    def lose(self):
        """Drop the last reference, and let the collector look for what is in a cycle."""
        self.references.clear()
        gc.collect()

    def assert_killed(self, reference, thread=None, times=1):
        """It has heard of it, and had all that it had before."""
        ident = threading.get_ident() if thread is None else thread.ident
        self.assertEqual(self.log, [(True, "cell", "value", 1, ident)] * times)
        gc.collect()
        self.assertIsNone(reference())
        self.assertEqual(gc.garbage, [])
        self.log.clear()


class TestHere(PinnedCase):
    """Its own thread loses it."""

    @both
    def test_at_once(self, cycle):
        reference = self.start(cycle)
        self.lose()
        self.assert_killed(reference)

    @both
    def test_where_switches_are_forbidden(self, cycle):
        """It is killed when its turn comes."""
        reference = self.start(cycle)
        switch_trap(1)
        self.lose()
        switch_trap(-1)
        self.assertEqual(self.log, [])
        self.assertTrue(self.found().alive)
        run()
        self.assert_killed(reference)

    @both
    def test_in_a_callback(self, cycle):
        reference = self.start(cycle)
        tasklet(schedule)()
        stackless.set_schedule_callback(lambda prev, next: self.lose())
        run()
        stackless.set_schedule_callback(None)
        self.assert_killed(reference)

    @both
    def test_lost_again_before_its_turn(self, cycle):
        reference = self.start(cycle)
        switch_trap(1)
        self.lose()
        self.found().remove()
        gc.collect()
        switch_trap(-1)
        self.assertEqual(self.log, [])
        self.found().insert()
        run()
        self.assert_killed(reference)

    @both
    def test_it_goes_on_a_few_times(self, cycle):
        reference = self.start(cycle, refusals=5)
        self.lose()
        self.assert_killed(reference, times=6)

    @both
    def test_it_refuses(self, cycle):
        """Then it is kept, and all that it refers to; whoever wants it finds it in gc.garbage."""
        reference = self.start(cycle, refusals=12)
        self.lose()
        self.assertEqual(len(self.log), 10)
        self.assertEqual(gc.garbage, [self.found()])
        gc.garbage.clear()
        gc.collect()
        self.assertEqual(len(self.log), 10)
        # Once it has run, it is like any other: the last reference that goes kills it.
        t = self.found()
        t.kill()
        self.assertEqual(len(self.log), 11)
        del t
        gc.collect()
        self.assert_killed(reference, times=13)

    @needs_soft_switches
    def test_pinned_by_a_finalizer(self):
        """The collector has finalized it already, when it was soft."""
        class Runs:
            def __init__(self, holder):
                self.holder = holder

            def __del__(self):
                if not self.holder["tasklet"].pinned:
                    self.holder["tasklet"].run()

        def body(holder):
            data = {"holder": holder}
            data["self"] = data
            schedule_remove()
            try:
                call(schedule_remove)
            finally:
                self.log.append(sorted(data))

        for destructor_first in False, True:
            gc.collect()
            holder = {}
            if destructor_first:
                holder["runs"] = Runs(holder)
            holder["tasklet"] = tasklet(body)(holder)
            run()
            if not destructor_first:
                holder["runs"] = Runs(holder)
            del holder
            gc.collect()
            schedule()
            gc.collect()
        self.assertEqual(self.log, [["holder", "self"]] * 2)


class TestElsewhere(PinnedCase):
    """Another thread loses it."""

    def in_thread(self, *steps):
        """Run the steps one after the other in a thread, up to the next None: a thread, and a function that makes it
        go on."""
        def body():
            for step in steps:
                if step is None:
                    paused.release()
                    go_on.acquire(timeout=PATIENCE)
                else:
                    step()
            paused.release()

        def resume():
            go_on.release()
            self.assertTrue(paused.acquire(timeout=PATIENCE))

        paused, go_on = threading.Semaphore(0), threading.Semaphore(0)
        thread = threading.Thread(target=body)
        thread.start()
        self.assertTrue(paused.acquire(timeout=PATIENCE))
        return thread, resume

    def start_in_thread(self, cycle, *steps, refusals=0):
        """What start() does, in a thread that pauses then: the weak reference, the thread, and what makes it go on."""
        started = []
        thread, resume = self.in_thread(lambda: started.append(self.start(cycle, refusals=refusals)), None, *steps)
        return started.pop(), thread, resume

    @both
    def test_its_thread_kills_it(self, cycle):
        reference, thread, resume = self.start_in_thread(cycle, run)
        self.lose()
        self.assertEqual(self.log, [])
        self.assertTrue(self.found().alive)
        resume()
        self.assert_killed(reference, thread)
        thread.join()

    @both
    def test_its_thread_ends(self, cycle):
        reference, thread, resume = self.start_in_thread(cycle)
        self.lose()
        self.assertEqual(self.log, [])
        resume()
        thread.join()
        self.assert_killed(reference, thread)

    @both
    def test_it_is_lost_again_and_its_thread_ends(self, cycle):
        """Killed but never run: whatever was done to it meanwhile."""
        reference, thread, resume = self.start_in_thread(cycle)
        self.lose()
        self.found().remove()
        gc.collect()
        self.assertEqual(self.log, [])
        resume()
        thread.join()
        self.assert_killed(reference, thread)

    @both
    def test_it_goes_on_and_is_lost_again(self, cycle):
        reference, thread, resume = self.start_in_thread(cycle, run, None, run, None, run, refusals=2)
        self.lose()
        for _ in range(3):
            resume()
            gc.collect()
        self.assert_killed(reference, thread, times=3)
        thread.join()

    def test_it_goes_on_while_the_collector_runs(self):
        """It is pinned again, and its finalizer is not called again before the collector clears the cycle."""
        class Waits:
            def __del__(self):
                resumes.pop()()

        def prepare():
            self.references.append(self.start(True, refusals=1))
            data = next(ob for ob in gc.get_objects() if type(ob) is dict and ob.get("self") is ob)
            data["waits"] = Waits()

        resumes = []
        thread, resume = self.in_thread(prepare, None, run, None, run)
        resumes.append(resume)
        reference = self.references.pop()
        gc.collect()
        self.assertEqual(resumes, [])
        self.assertEqual(len(self.log), 1)
        self.found()
        gc.collect()
        resume()
        thread.join()
        self.assert_killed(reference, thread, times=2)

    def test_it_refuses_and_its_thread_ends(self):
        """It has been given up already."""
        _, thread, resume = self.start_in_thread(False, self.references.clear, None, refusals=100)
        resume()
        self.assertEqual((len(self.log), len(gc.garbage)), (10, 1))
        resume()
        thread.join()
        self.assertEqual((len(self.log), len(gc.garbage)), (10, 1))
        gc.garbage.clear()

    @both
    def test_a_thread_without_tasklets_loses_it(self, cycle):
        reference = self.start(cycle)
        thread = threading.Thread(target=self.lose)
        thread.start()
        thread.join()
        self.assertEqual(self.log, [])
        run()
        self.assert_killed(reference)


class TestSubclasses(PinnedCase):
    """With a __del__() of their own, which the base calls instead."""

    class Named(tasklet):
        """With attributes, which may make a cycle."""

    class Careful(Named):
        def __del__(self):
            self.log.append("del")
            super().__del__()

    class Careless(Named):
        def __del__(self):
            self.log.append("del")

    def start_instance(self, cls):
        """One that its own attributes refer to."""
        reference = self.start(False, cls)
        reference().log = []
        return reference

    def test_one_that_calls_super(self):
        for cls in self.Named, self.Careful, self.Careless:
            with self.subTest(cls=cls):
                reference = self.start_instance(cls)
                log = reference().log
                self.lose()
                self.assertEqual(log, [] if cls is self.Named else ["del"])
                self.assert_killed(reference)

    def test_in_a_cycle_of_attributes(self):
        for cls in self.Named, self.Careful, self.Careless:
            with self.subTest(cls=cls):
                reference = self.start_instance(cls)
                log = reference().log
                reference().me = reference()
                self.lose()
                self.assertEqual(log, [] if cls is self.Named else ["del"])
                self.assert_killed(reference)

    def test_in_a_cycle_of_variables(self):
        """The collector leaves one alone whose __del__() need not kill it; its thread ends it."""
        def body(cls):
            reference = self.start(True, cls)
            reference().log = []
            references.append(reference)
            gc.collect()
            alive.append(reference() is not None)

        for cls in self.Named, self.Careful, self.Careless:
            with self.subTest(cls=cls):
                references, alive = [], []
                thread = threading.Thread(target=body, args=(cls,))
                thread.start()
                thread.join()
                self.assertEqual(alive, [cls is not self.Named])
                self.assert_killed(references[0], thread)


if __name__ == "__main__":
    unittest.main()
