"""What becomes of the tasklets of a thread that ends."""

import gc
import os
import threading
import time
import unittest
import weakref
from operator import call

from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches


class EndCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []

    def in_thread(self, function, *args):
        """Run function(*args) in a thread, to its end."""
        thread = threading.Thread(target=function, args=args)
        thread.start()
        thread.join()
        return thread

    def pinned(self, wait):
        """The function of a tasklet that calls wait() inside of a C function, and logs how that ends."""
        try:
            call(lambda: wait())
        except BaseException as error:
            self.log.append((type(error).__name__, threading.get_ident(), getcurrent().is_main))
            raise
        finally:
            self.log.append("finally")

    def assert_killed_in(self, thread):
        self.assertEqual(self.log, [("TaskletExit", thread.ident, False), "finally"])


class TestPinned(EndCase):
    def test_paused(self):
        def work():
            self.t = tasklet(self.pinned)(schedule_remove)
            run()

        self.assert_killed_in(self.in_thread(work))
        self.assertFalse(self.t.alive)
        self.assertEqual(self.t.thread_id, -1)

    def test_blocked(self):
        ch = channel()

        def work():
            self.t = tasklet(self.pinned)(ch.receive)
            run()

        self.assert_killed_in(self.in_thread(work))
        self.assertEqual(ch.balance, 0)

    def test_scheduled(self):
        """Those that are runnable besides do not run."""
        def work():
            tasklet(self.log.append)("before")
            self.t = tasklet(self.pinned)(schedule)
            self.t.run()
            self.log.clear()
            tasklet(self.log.append)("after")

        self.assert_killed_in(self.in_thread(work))

    def test_waiting_in_run(self):
        def work():
            self.t = tasklet(self.pinned)(run)
            tasklet(getmain().run)()
            self.t.run()

        thread = self.in_thread(work)
        self.assertIn(("TaskletExit", thread.ident, False), self.log)

    def test_many_on_few_references(self):
        ch = channel()

        def work():
            for _ in range(50):
                tasklet(self.pinned)(ch.receive)
            run()

        self.in_thread(work)
        self.assertEqual(self.log.count("finally"), 50)
        self.assertEqual(ch.balance, 0)

    def test_another_exception_at_the_end_is_shown_and_no_more(self):
        def bad():
            try:
                call(lambda: schedule_remove())
            finally:
                raise KeyError("at the end")

        def work():
            self.t = tasklet(bad)()
            run()

        from test.support import catch_unraisable_exception
        with catch_unraisable_exception() as caught:
            self.in_thread(work)
            self.assertIs(caught.unraisable.exc_type, KeyError)
        self.assertFalse(self.t.alive)

    def test_what_the_end_pins_is_killed_as_well(self):
        def parent():
            try:
                self.pinned(schedule_remove)
            finally:
                tasklet(self.pinned)(schedule_remove).run()

        self.in_thread(lambda: (tasklet(parent)(), run()))
        self.assertEqual(self.log.count("finally"), 2)

    @needs_soft_switches
    def test_switching_at_the_end(self):
        def stubborn():
            try:
                self.pinned(schedule_remove)
            finally:
                schedule()
                self.log.append("scheduled")

        def work():
            self.t = tasklet(stubborn)()
            run()

        self.in_thread(work)
        self.assertEqual(self.log[-1], "scheduled")

    def test_one_that_refuses_to_die(self):
        def refuses(_):
            while True:
                try:
                    schedule_remove()
                except TaskletExit:
                    self.log.append("no")

        def work():
            self.t = tasklet(lambda: call(refuses, 1))()
            run()

        self.in_thread(work)
        self.assertEqual(self.log, ["no"] * 10)
        self.assertTrue(any(thing is self.t for thing in gc.garbage))
        gc.garbage.clear()
        self.assertFalse(self.t.alive)
        self.t.bind_thread()
        self.assertFalse(self.t.alive)

    def test_thread_local_data_is_there(self):
        local = threading.local()

        def wait():
            local.value = "mine"
            schedule_remove()

        def work():
            tasklet(self.pinned)(wait)
            run()

        self.assert_killed_in(self.in_thread(work))

    def test_carriers_are_given_back(self):
        """The pool would grow with each thread."""
        def refuses(_):
            while True:
                try:
                    schedule_remove()
                except TaskletExit:
                    pass

        def work():
            for _ in range(20):
                tasklet(lambda: call(refuses, 1))()
            run()

        def mappings():
            with open("/proc/self/smaps") as maps:
                return sum(1 for line in maps if line.startswith("Size:") and int(line.split()[1]) > 8000)

        def whole_life():
            thread = self.in_thread(work)
            gc.garbage.clear()
            # join() returns a little before the thread has given its stack back.
            end = time.monotonic() + 60
            while os.path.exists(f"/proc/self/task/{thread.native_id}"):
                self.assertLess(time.monotonic(), end, "the thread does not end")
                time.sleep(0.001)

        for _ in range(3):
            whole_life()
        before = mappings()
        for _ in range(10):
            whole_life()
        self.assertLessEqual(mappings(), before + 2)


@needs_soft_switches
class TestSoft(EndCase):
    def body(self):
        try:
            schedule_remove()
            self.log.append("goes on")
        finally:
            self.log.append("finally")

    @needs_soft_switches
    def test_it_stops_where_it_is(self):
        def work():
            self.t = tasklet(self.body)()
            run()

        self.in_thread(work)
        self.assertEqual(self.log, [])
        self.assertEqual((self.t.alive, self.t.frame, self.t.thread_id), (False, None, -1))
        self.assertEqual((self.t.paused, self.t.scheduled), (False, False))
        for method in self.t.run, self.t.insert, self.t.switch:
            with self.assertRaisesRegex(RuntimeError, "tasklet has no thread"):
                method()
        self.t.bind_thread()
        self.t.run()
        self.assertEqual(self.log, ["goes on", "finally"])

    def test_kill_drops_the_frames(self):
        def work():
            self.t = tasklet(self.body)()
            run()

        self.in_thread(work)
        self.t.kill()
        self.t.bind_thread()
        self.assertFalse(self.t.alive)
        self.assertEqual(self.log, [])

    def test_without_references_it_is_freed(self):
        def work():
            t = tasklet(self.body)()
            self.ref = weakref.ref(t)
            del t
            schedule()
            tasklet(self.body)()

        self.in_thread(work)
        self.assertIsNone(self.ref())

    def test_main_of_a_dead_thread(self):
        self.in_thread(lambda: setattr(self, "t", getmain()))
        self.assertFalse(self.t.alive)
        with self.assertRaises(RuntimeError):
            self.t.bind_thread()
        with self.assertRaisesRegex(RuntimeError, "tasklet has no thread"):
            self.t.run()


class TestLateCode(EndCase):
    def test_tasklets_made_by_destructors_of_thread_locals(self):
        """The thread's struct was made a second time, and pointed to a thread state that was gone."""
        local = threading.local()
        made = []

        class Late:
            def __del__(self):
                made.append(tasklet(schedule_remove)())
                run()

        def work():
            getcurrent()
            local.late = Late()

        for _ in range(3):
            self.in_thread(work)
        self.assertEqual(len(made), 3)
        for t in made:
            self.assertEqual((t.alive, t.thread_id), (False, -1))

    def test_the_same_from_the_context(self):
        import contextvars
        variable = contextvars.ContextVar("variable")
        made = []

        class Late:
            def __del__(self):
                made.append(tasklet(schedule_remove)())
                run()

        def work():
            getcurrent()
            variable.set(Late())

        self.in_thread(work)
        self.assertEqual([t.alive for t in made], [False])


class TestGenerators(EndCase):
    def test_a_thread_that_only_runs_generators_of_others(self):
        def generate():
            yield 1
            yield threading.get_ident()

        generator = generate()
        next(generator)
        thread = self.in_thread(lambda: self.log.extend(generator))
        self.assertEqual(self.log, [thread.ident])


if __name__ == "__main__":
    unittest.main()
