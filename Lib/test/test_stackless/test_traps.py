"""What keeps a tasklet from being switched or interrupted: switch_trap(), block_trap, atomic."""

import ctypes
import signal
import threading
import unittest

import stackless
from stackless import atomic, channel, getcurrent, run, schedule, schedule_remove, switch_trap, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches


class TrapCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []


class TestSwitchTrap(TrapCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(lambda: switch_trap(-switch_trap()))

    def test_it_counts(self):
        self.assertEqual(switch_trap(), 0)
        self.assertEqual(switch_trap(2), 0)
        self.assertEqual(switch_trap(-1), 2)
        self.assertEqual(switch_trap(-1), 1)
        self.assertEqual(switch_trap(0), 0)

    def test_switches_are_refused_and_nothing_changes(self):
        ch = channel()
        t = tasklet(self.log.append)("ran")
        switch_trap(1)
        for operation in schedule, schedule_remove, run, t.run, t.switch, t.kill, ch.receive, \
                lambda: ch.send(1), lambda: t.throw(KeyError):
            with self.subTest(operation=operation):
                with self.assertRaisesRegex(RuntimeError, "switch_trap"):
                    operation()
                self.assertTrue(t.scheduled)
                self.assertEqual(ch.balance, 0)
        switch_trap(-1)
        run()
        self.assertEqual(self.log, ["ran"])

    def test_a_negative_level_is_a_trap_too(self):
        switch_trap(-1)
        t = tasklet(int)()
        self.assertRaises(RuntimeError, schedule)
        switch_trap(1)
        run()
        self.assertFalse(t.alive)

    def test_scheduling_to_oneself_is_allowed(self):
        switch_trap(1)
        self.assertIs(schedule(), getcurrent())
        self.assertIsNone(run())

    def test_waking_another_thread_is_allowed(self):
        ch = channel()
        waiting, done = threading.Event(), threading.Event()
        received = []

        def receiver():
            received.append(ch.receive())

        def work():
            tasklet(receiver)()
            run()
            waiting.set()
            done.wait()
            run()
        thread = threading.Thread(target=work)
        thread.start()
        waiting.wait()
        switch_trap(1)
        ch.send("across")
        switch_trap(-1)
        done.set()
        thread.join()
        self.assertEqual(received, ["across"])

    def test_it_belongs_to_the_thread(self):
        switch_trap(1)
        levels = []
        thread = threading.Thread(target=lambda: levels.append(switch_trap()))
        thread.start()
        thread.join()
        self.assertEqual(levels, [0])

    def test_a_tasklet_may_end(self):
        def body():
            switch_trap(1)
        tasklet(body)()
        run()
        self.assertEqual(switch_trap(-1), 1)

    def test_preference_that_needs_no_switch(self):
        ch = channel()
        ch.preference = 1
        t = tasklet(lambda: self.log.append(ch.receive()))()
        t.run()
        switch_trap(1)
        ch.send("value")   # the sender goes on
        switch_trap(-1)
        run()
        self.assertEqual(self.log, ["value"])

    def test_bad_arguments(self):
        for bad in 1.5, "1", None, [1]:
            self.assertRaises(TypeError, switch_trap, bad)
        self.assertRaises(TypeError, switch_trap, 1, 1)
        self.assertRaises(OverflowError, switch_trap, 1 << 40)
        switch_trap(2**31 - 1)
        self.assertRaises(OverflowError, switch_trap, 1)
        switch_trap(-(2**31 - 1))
        self.assertEqual(switch_trap(), 0)


class TestBlockTrap(TrapCase):
    def test_blocking_is_refused(self):
        ch = channel()

        def body():
            getcurrent().block_trap = True
            for operation in ch.receive, lambda: ch.send(1), lambda: ch.send_exception(KeyError), \
                    lambda: next(ch):
                try:
                    operation()
                except RuntimeError as error:
                    self.log.append("block_trap" in str(error))
        tasklet(body)()
        run()
        self.assertEqual(self.log, [True] * 4)
        self.assertEqual(ch.balance, 0)

    def test_what_need_not_block_works(self):
        ch = channel()
        tasklet(ch.send)(5)
        run()
        getcurrent().block_trap = True
        try:
            self.assertEqual(ch.receive(), 5)
        finally:
            getcurrent().block_trap = False
        run()


class TestAtomic(TrapCase):
    def tearDown(self):
        self.assertFalse(getcurrent().set_atomic(False))
        super().tearDown()

    def test_set_atomic(self):
        t = tasklet()
        self.assertIs(t.atomic, False)
        self.assertIs(t.set_atomic(1), False)
        self.assertIs(t.atomic, True)
        self.assertIs(t.set_atomic(False), True)
        self.assertIs(t.set_ignore_nesting(True), False)
        self.assertIs(t.ignore_nesting, True)
        self.assertIs(t.set_ignore_nesting(0), True)
        for method in t.set_atomic, t.set_ignore_nesting:
            for bad in None, 1.0, "yes", []:
                with self.assertRaisesRegex(TypeError, "must be a bool or an int"):
                    method(bad)
            self.assertRaises(TypeError, method)
        for name in "atomic", "ignore_nesting":
            self.assertRaises(AttributeError, setattr, t, name, True)

    def test_a_new_tasklet_is_not_atomic(self):
        with atomic():
            self.assertFalse(tasklet(int).atomic)

    def test_the_context_manager(self):
        current = getcurrent()
        with atomic() as entered:
            self.assertIsInstance(entered, atomic)
            self.assertTrue(current.atomic)
            with atomic():
                self.assertTrue(current.atomic)
            self.assertTrue(current.atomic)
        self.assertFalse(current.atomic)

    def test_one_object_entered_repeatedly(self):
        a = atomic()
        with a, a, a:
            self.assertTrue(getcurrent().atomic)
            getcurrent().set_atomic(False)
            with a:
                self.assertTrue(getcurrent().atomic)
            self.assertFalse(getcurrent().atomic)
        self.assertFalse(getcurrent().atomic)
        for i in range(64):
            a.__enter__()
        self.assertRaises(RuntimeError, a.__enter__)
        for i in range(64):
            a.__exit__(None, None, None)
        self.assertRaises(RuntimeError, a.__exit__, None, None, None)

    def test_an_exception_passes(self):
        with self.assertRaises(KeyError):
            with atomic():
                raise KeyError
        self.assertFalse(getcurrent().atomic)

    def test_arguments(self):
        self.assertRaises(TypeError, atomic, 1)
        self.assertRaises(TypeError, atomic, flag=1)

        class Mine(atomic):
            def __init__(self, name):
                self.name = name
        with Mine("mine") as mine:
            self.assertEqual((mine.name, getcurrent().atomic), ("mine", True))

    def test_an_atomic_tasklet_may_switch(self):
        def body(name):
            with atomic():
                for i in range(2):
                    self.log.append(f"{name}{i}")
                    schedule()
        tasklet(body)("a")
        tasklet(body)("b")
        run()
        self.assertEqual(self.log, ["a0", "b0", "a1", "b1"])

    @needs_soft_switches
    @needs_soft_switches
    def test_a_switch_in_the_block_is_soft(self):
        def body():
            with atomic():
                schedule_remove()
        t = tasklet(body)()
        t.run()
        self.assertEqual(t.nesting_level, 0)
        self.assertTrue(t.atomic)
        t.run()
        self.assertFalse(t.alive)

    def test_who_is_current_at_the_end_gets_the_old_flag(self):
        a = atomic()
        t = tasklet(a.__enter__)()
        t.run()
        a.__exit__()
        self.assertFalse(getcurrent().atomic)

    def test_signals_wait(self):
        log = self.log
        old = signal.signal(signal.SIGUSR1, lambda *args: log.append("signal"))
        try:
            with atomic():
                ctypes.PyDLL(None)["raise"](signal.SIGUSR1)   # os.kill() would look for signals itself
                for i in range(1000):
                    log.append
                log.append("end of block")
            for i in range(1000):
                log.append
        finally:
            signal.signal(signal.SIGUSR1, old)
        self.assertEqual(log, ["end of block", "signal"])

    def test_other_threads_wait(self):
        counter = [0]
        running, stop = threading.Event(), threading.Event()

        def work():
            running.set()
            while not stop.is_set():
                counter[0] += 1
        thread = threading.Thread(target=work)
        thread.start()
        running.wait()
        try:
            with atomic():
                before = counter[0]
                for i in range(500_000):
                    pass
                after = counter[0]
        finally:
            stop.set()
            thread.join()
        self.assertEqual(before, after)

    def test_flags_are_kept_by_dead_and_new_ones(self):
        t = tasklet(int)
        t.set_atomic(True)
        t()
        run()
        self.assertTrue(t.atomic)


class TestModuleNames(unittest.TestCase):
    def test_public(self):
        for name in "atomic", "switch_trap":
            self.assertIn(name, stackless.__all__)


if __name__ == "__main__":
    unittest.main()
