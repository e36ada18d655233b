"""set_accounting(): run times and switch counts of tasklets."""

import gc
import threading
import time
import unittest

import stackless
from stackless import channel, getcurrent, getmain, run, schedule, set_accounting, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import check_python


def hard_schedule():
    """schedule() with a C function in between."""
    list(map(lambda n: schedule(n), (1,)))


class AccountingCase(LeavesNoTasklets, unittest.TestCase):
    """Accounting is on while a test runs."""

    def setUp(self):
        self.assertIs(set_accounting(True), False)

    def tearDown(self):
        set_accounting(False)
        super().tearDown()


class TestSetting(LeavesNoTasklets, unittest.TestCase):
    def test_returns_the_old_value(self):
        self.assertIs(set_accounting(True), False)
        self.assertIs(set_accounting(1), True)
        self.assertIs(set_accounting(0), True)
        self.assertIs(set_accounting(False), False)

    def test_argument_of_another_type(self):
        with self.assertRaisesRegex(TypeError, r"set_accounting\(\) argument must be a bool or an int, not str"):
            set_accounting("yes")
        self.assertIs(set_accounting(False), False)

    def test_nothing_is_counted_while_it_is_off(self):
        t = tasklet(schedule)()
        run()
        self.assertEqual((t.run_time, t.switch_count), (0.0, 0))
        self.assertIs(type(t.run_time), float)

    def test_figures_stay_and_add_up(self):
        def function():
            schedule()
            schedule()

        t = tasklet(function)()
        set_accounting(True)
        t.run()
        set_accounting(False)
        first = t.run_time, t.switch_count
        self.assertGreater(first[0], 0)
        self.assertEqual(first[1], 1)
        t.run()
        self.assertEqual((t.run_time, t.switch_count), first)
        set_accounting(True)
        t.run()
        set_accounting(False)
        self.assertGreater(t.run_time, first[0])
        self.assertEqual(t.switch_count, 2)

    def test_attributes_cannot_be_set(self):
        for name in "run_time", "switch_count":
            with self.assertRaises(AttributeError):
                setattr(tasklet(), name, 1)


class TestCounts(AccountingCase):
    def test_soft_switches(self):
        def function():
            for _ in range(4):
                schedule()

        tasks = [tasklet(function)() for _ in range(2)]
        before = getmain().switch_count
        run()
        self.assertEqual([t.switch_count for t in tasks], [5, 5])
        self.assertEqual(getmain().switch_count - before, 1)

    def test_hard_switches(self):
        def function():
            for _ in range(4):
                hard_schedule()

        tasks = [tasklet(function)() for _ in range(2)]
        run()
        self.assertEqual([t.switch_count for t in tasks], [5, 5])

    def test_a_schedule_alone_is_no_switch(self):
        before = getcurrent().switch_count
        schedule()
        self.assertEqual(getcurrent().switch_count, before)

    def test_channels(self):
        ch = channel()
        t = tasklet(lambda: [ch.receive(), ch.receive()])()
        run()
        self.assertEqual(t.switch_count, 1)
        before = getmain().switch_count
        ch.send(1)
        ch.send(2)
        self.assertEqual(t.switch_count, 3)
        self.assertEqual(getmain().switch_count - before, 2)

    def test_nested_run(self):
        inner = []

        def outer():
            inner.append(tasklet(lambda: None)())
            run()

        t = tasklet(outer)()
        run()
        self.assertEqual(t.switch_count, 2)
        self.assertEqual(inner[0].switch_count, 1)

    def test_an_exception_switches_to_main(self):
        t = tasklet(lambda: 1 / 0)()
        before = getmain().switch_count
        with self.assertRaises(ZeroDivisionError):
            run()
        self.assertEqual((t.switch_count, getmain().switch_count - before), (1, 1))

    def test_throw_and_kill(self):
        def function():
            try:
                schedule()
            except ValueError:
                schedule()

        t = tasklet(function)()
        t.run()
        t.throw(ValueError)
        t.kill()
        self.assertFalse(t.alive)
        self.assertEqual(t.switch_count, 3)

    def test_interruptions(self):
        def spin():
            while True:
                pass

        t = tasklet(spin)()
        for _ in range(3):
            self.assertIs(run(100), t)
            t.insert()
        t.kill()
        self.assertEqual(t.switch_count, 4)

    def test_a_rebound_tasklet_keeps_its_figures(self):
        t = tasklet(lambda: None)()
        run()
        t.bind(lambda: None, ())
        t.run()
        self.assertEqual(t.switch_count, 2)

    def test_subclass_and_name(self):
        class Named(tasklet):
            pass

        t = Named(schedule)()
        t.name = "a name"
        tasklet(schedule)()
        run()
        self.assertEqual((t.switch_count, t.name), (2, "a name"))


class TestTimes(AccountingCase):
    def test_the_running_slice_counts(self):
        first = getcurrent().run_time
        while (second := getcurrent().run_time) == first:
            pass
        self.assertGreater(second, first)

    def test_time_is_charged_to_who_ran(self):
        def wait_for_clock():
            start = getcurrent().run_time
            while getcurrent().run_time == start:
                pass

        t, idle = tasklet(wait_for_clock)(), tasklet(wait_for_clock)()
        idle.remove()
        run()
        self.assertGreater(t.run_time, 0)
        self.assertEqual(idle.run_time, 0)
        ended = t.run_time
        idle.run()
        self.assertEqual(t.run_time, ended)
        self.assertGreater(idle.run_time, 0)

    def test_the_sum_is_the_time_of_the_thread(self):
        tasks = [tasklet(hard_schedule)() for _ in range(5)] + [tasklet(schedule)() for _ in range(5)]
        main = getmain()
        begin, counted = time.monotonic_ns(), main.run_time
        set_accounting(False)
        set_accounting(True)
        run()
        set_accounting(False)
        passed = time.monotonic_ns() - begin
        total = main.run_time - counted + sum(t.run_time for t in tasks)
        self.assertLess(total, passed / 1e9 + 1e-6)
        self.assertTrue(all(t.run_time > 0 for t in tasks))


class TestThreads(LeavesNoTasklets, unittest.TestCase):
    def in_thread(self, function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()

    def test_new_threads_count(self):
        got = []

        def function():
            t = tasklet(schedule)()
            tasklet(schedule)()
            run()
            got.append((t.switch_count, t.run_time > 0, getmain().switch_count, getmain().run_time > 0))

        set_accounting(True)
        self.addCleanup(set_accounting, False)
        self.in_thread(function)
        self.assertEqual(got, [(2, True, 1, True)])

    def test_a_thread_that_runs_already(self):
        ready, go = threading.Event(), threading.Event()
        got = []

        def function():
            t = tasklet(schedule)()
            tasklet(schedule)()
            ready.set()
            go.wait()
            run()
            got.append((t.switch_count, getmain().run_time > 0))

        thread = threading.Thread(target=function)
        thread.start()
        ready.wait()
        set_accounting(True)
        self.addCleanup(set_accounting, False)
        go.set()
        thread.join()
        self.assertEqual(got, [(2, True)])

    @needs_soft_switches
    def test_a_tasklet_of_an_ended_thread(self):
        got = []

        def function():
            got.append(tasklet(schedule)())
            got[0].run()

        set_accounting(True)
        self.addCleanup(set_accounting, False)
        self.in_thread(function)
        self.assertEqual(got[0].switch_count, 1)
        self.assertGreater(got[0].run_time, 0)


class TestLifecycle(unittest.TestCase):
    def test_in_a_fork_and_at_exit(self):
        check_python(self, "-c", """if 1:
            import os, stackless
            stackless.set_accounting(True)
            t = stackless.tasklet(lambda: list(map(lambda n: stackless.schedule(), (1, 2))))()
            t.run()
            pid = os.fork()
            t.run()
            assert t.switch_count == 2
            if pid:
                assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        """)

    def test_a_name_that_refers_to_its_tasklet_is_collected(self):
        class Name(str):
            pass

        gone = []

        class Canary:
            def __del__(self):
                gone.append(True)

        t = tasklet()
        t.name = Name("cyclic")
        t.name.owner, t.name.canary = t, Canary()
        del t
        gc.collect()
        self.assertEqual(gone, [True])

    def test_ended_tasklets_are_freed_with_their_figures(self):
        set_accounting(True)
        self.addCleanup(set_accounting, False)
        for _ in range(100):
            tasklet(schedule)()
        run()
        gc.collect()
        self.assertNotIn(False, [t.is_main for t in stackless.tasklets()])
