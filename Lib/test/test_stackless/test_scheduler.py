"""The scheduler: order of the run queue, run() and its nesting, uncaught exceptions, threads apart."""

import threading
import traceback
import unittest

from stackless import bomb, channel, getcurrent, getmain, getruncount, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets


class SchedulerCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []

    def twice(self, name):
        """Log, give way, log again."""
        self.log.append(f"{name}0")
        schedule()
        self.log.append(f"{name}1")

    def assert_log(self, expected):
        self.assertEqual(" ".join(self.log), expected)


class TestOrder(SchedulerCase):
    def setUp(self):
        super().setUp()
        self.a, self.b, self.c = [tasklet(self.twice)(name) for name in "abc"]

    def test_first_in_first_out(self):
        run()
        self.assert_log("a0 b0 c0 a1 b1 c1")

    def test_run_of_one_that_is_scheduled(self):
        """Those behind it run before the caller does."""
        self.b.run()
        self.log.append("main")
        run()
        self.assert_log("b0 c0 main a0 b1 c1 a1")

    def test_run_of_one_that_is_paused(self):
        """The caller is next when it gives way."""
        self.b.remove()
        self.b.run()
        self.log.append("main")
        run()
        self.assert_log("b0 main a0 c0 b1 a1 c1")

    def test_insert_goes_to_the_end(self):
        self.a.remove().insert()
        run()
        self.assert_log("b0 c0 a0 b1 c1 a1")

    def test_insert_of_one_that_is_scheduled_changes_nothing(self):
        self.a.insert()
        run()
        self.assert_log("a0 b0 c0 a1 b1 c1")

    def test_remove(self):
        self.b.remove()
        run()
        self.assert_log("a0 c0 a1 c1")
        self.b.run()
        self.b.run()

    def test_new_ones_go_to_the_end(self):
        tasklet(lambda: tasklet(self.twice)("n"))()
        run()
        self.assert_log("a0 b0 c0 a1 b1 c1 n0 n1")

    def test_main_schedules_like_anybody(self):
        for turn in range(3):
            self.log.append(f"main{turn}")
            schedule()
        self.assert_log("main0 a0 b0 c0 main1 a1 b1 c1 main2")

    def test_ended_ones_leave(self):
        self.assertEqual(getruncount(), 4)
        schedule()
        self.assertEqual(getruncount(), 4)
        schedule()
        self.assertEqual(getruncount(), 1)


class TestSchedule(SchedulerCase):
    def test_it_returns_the_current_tasklet(self):
        self.assertIs(schedule(), getcurrent())
        tasklet(schedule)()
        self.assertIs(schedule(), getcurrent())
        run()

    def test_it_returns_its_argument(self):
        value = object()
        self.assertIs(schedule(value), value)
        tasklet(schedule)()
        self.assertIs(schedule(value), value)
        self.assertIsNone(schedule(None))
        run()

    def test_too_many_arguments(self):
        for function in schedule, schedule_remove:
            with self.assertRaises(TypeError):
                function(1, 2)

    def test_whoever_sets_tempval_changes_the_result(self):
        def function():
            self.log.append(schedule("original"))

        t = tasklet(function)()
        schedule()
        t.tempval = "changed"
        run()
        self.assert_log("changed")

    def test_schedule_remove_pauses(self):
        def function():
            self.log.append(schedule_remove("value"))

        t = tasklet(function)()
        run()
        self.assertTrue(t.paused)
        self.assertEqual(getruncount(), 1)
        t.insert()
        run()
        self.assert_log("value")

    def test_schedule_remove_returns_the_current_tasklet(self):
        t = tasklet(lambda: self.log.append(schedule_remove()))()
        run()
        t.run()
        self.assertEqual(self.log, [t])

    def test_schedule_remove_on_a_lonely_main(self):
        self.assertIs(schedule_remove(), getmain())
        self.assertEqual(schedule_remove(5), 5)

    def test_schedule_remove_of_main(self):
        """Main is paused, and wakes when nothing is runnable."""
        tasklet(self.twice)("a")
        schedule_remove()
        self.log.append("main")
        self.assert_log("a0 a1 main")

    def test_main_is_inserted_by_a_tasklet(self):
        def function():
            getmain().insert()
            self.twice("a")

        tasklet(function)()
        schedule_remove()
        self.log.append("main")
        run()
        self.assert_log("a0 main a1")

    def test_tasklets_that_wake_each_other(self):
        def sleeper(name):
            schedule_remove()
            self.log.append(name)

        first, second = tasklet(sleeper)("first"), tasklet(sleeper)("second")
        run()
        tasklet(lambda: (second.insert(), first.insert()))()
        run()
        self.assert_log("second first")


class TestRunCount(SchedulerCase):
    def test_alone(self):
        self.assertEqual(getruncount(), 1)

    def test_scheduled_ones_count(self):
        tasklets = [tasklet(self.twice)("a") for _ in range(5)]
        self.assertEqual(getruncount(), 6)
        tasklets[0].remove()
        self.assertEqual(getruncount(), 5)
        tasklets[0].insert()
        self.assertEqual(getruncount(), 6)
        run()
        self.assertEqual(getruncount(), 1)

    def test_main_inside_run_does_not_count(self):
        tasklet(lambda: self.log.append(getruncount()))()
        tasklet(lambda: self.log.append(getruncount()))()
        run()
        self.assertEqual(self.log, [2, 1])

    def test_main_that_schedules_counts(self):
        tasklet(lambda: self.log.append(getruncount()))()
        schedule()
        self.assertEqual(self.log, [2])

    def test_blocked_and_paused_ones_do_not_count(self):
        ch = channel()
        waiting, paused = tasklet(ch.receive)(), tasklet(schedule_remove)()
        run()
        self.assertEqual(getruncount(), 1)
        ch.preference = 0
        ch.send(None)
        self.assertEqual(getruncount(), 2)
        paused.insert()
        self.assertEqual(getruncount(), 3)
        run()
        self.assertFalse(waiting.alive or paused.alive)


class TestRun(SchedulerCase):
    def test_alone_it_returns_at_once(self):
        self.assertIsNone(run())

    def test_it_returns_none(self):
        tasklet(self.twice)("a")
        self.assertIsNone(run())

    def test_it_runs_what_tasklets_create(self):
        def function(depth):
            self.log.append(str(depth))
            if depth:
                tasklet(function)(depth - 1)

        tasklet(function)(3)
        run()
        self.assert_log("3 2 1 0")

    def test_in_a_tasklet(self):
        def runner():
            self.log.append("runs")
            run()
            self.log.append("ran")

        tasklet(runner)()
        tasklet(self.twice)("a")
        run()
        self.log.append("main")
        self.assert_log("runs a0 a1 ran main")

    def test_the_innermost_caller_wakes_first(self):
        def runner(name):
            run()
            self.log.append(name)

        for name in "abc":
            tasklet(runner)(name)
        tasklet(self.twice)("t")
        run()
        self.log.append("main")
        self.assert_log("t0 t1 c b a main")

    def test_an_outer_caller_woken_by_hand(self):
        """The inner callers become ordinary runnable tasklets, the innermost first in the queue."""
        main = getmain()

        def runner(name):
            run()
            self.log.append(name)

        def waker():
            main.run()
            self.log.append("waker")

        tasklet(runner)("a")
        tasklet(runner)("b")
        tasklet(waker)()
        run()
        self.log.append("main")
        self.assertEqual(getruncount(), 4)
        run()
        self.assertEqual(sorted(self.log), ["a", "b", "main", "waker"])
        self.assertEqual(self.log[0], "main")
        self.assertLess(self.log.index("b"), self.log.index("a"))

    def test_a_tasklet_runs_itself_dry(self):
        """A caller of run() may call it again and again."""
        for turn in range(3):
            tasklet(self.log.append)(str(turn))
            run()
        self.assert_log("0 1 2")

    def test_blocked_ones_remain(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        self.assertTrue(t.blocked)
        ch.send(None)

    def test_in_a_loop_and_in_a_function(self):
        def inner():
            for _ in range(3):
                run()
                tasklet(self.log.append)("x")

        inner()
        run()
        self.assert_log("x x x")


class TestUncaught(SchedulerCase):
    def boom(self, text="mine"):
        self.log.append("fails")
        raise ZeroDivisionError(text)

    def test_it_is_raised_by_run(self):
        t = tasklet(self.boom)()
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            run()
        self.assertFalse(t.alive)

    def test_the_others_stay_scheduled(self):
        tasklet(self.twice)("a")
        tasklet(self.boom)()
        tasklet(self.twice)("b")
        with self.assertRaises(ZeroDivisionError):
            run()
        self.assert_log("a0 fails")
        self.assertEqual(getruncount(), 3)
        run()
        self.assert_log("a0 fails b0 a1 b1")

    def test_the_innermost_run_gets_it(self):
        def runner():
            try:
                run()
            except ZeroDivisionError:
                self.log.append("caught")

        tasklet(runner)()
        tasklet(self.boom)()
        run()
        self.assert_log("fails caught")

    def test_without_run_it_goes_to_main(self):
        tasklet(self.boom)()
        with self.assertRaises(ZeroDivisionError):
            schedule()

    def test_never_to_the_tasklet_that_ran_it(self):
        child = tasklet(self.boom)().remove()

        def parent():
            try:
                child.run()
            except ZeroDivisionError:
                self.log.append("wrong")
            else:
                self.log.append("parent")

        tasklet(parent)()
        with self.assertRaises(ZeroDivisionError):
            run()
        self.assert_log("fails")
        run()
        self.assert_log("fails parent")

    def test_main_that_ran_it_gets_it(self):
        t = tasklet(self.boom)()
        with self.assertRaises(ZeroDivisionError):
            t.run()

    def test_from_deep_down(self):
        def deep(depth):
            if depth:
                deep(depth - 1)
            else:
                schedule()
                raise LookupError("deep")

        tasklet(deep)(100)
        with self.assertRaisesRegex(LookupError, "deep"):
            run()

    def test_main_goes_on_in_what_the_hand_over_drops(self):
        """A value that the exception displaces has a destructor, in which main runs, and waits again."""
        class Switches:
            def __del__(dropped):
                self.log.append("dropped")
                schedule()

        for leaves in "run", "channel", "stays":
            with self.subTest(leaves=leaves):
                tasklet(self.boom)()
                with self.assertRaises(ZeroDivisionError):
                    schedule(Switches())
                self.assert_log("fails dropped")
                self.log.clear()
                if leaves == "run":
                    tasklet(self.twice)("a")
                    run()
                elif leaves == "channel":
                    ch = channel()
                    tasklet(ch.send)(5)
                    self.assertEqual(ch.receive(), 5)
                run()
                tasklet(self.twice)("b")
                run()
                self.assert_log("a0 a1 b0 b1" if leaves == "run" else "b0 b1")
                self.log.clear()
                self.assertEqual(getruncount(), 1)

    def test_what_waits_for_the_caller_of_run(self):
        """A value or a bomb in its tempval is not lost, whoever wakes it, and whether it is main or not."""
        def store(t, value):
            t.tempval = value

        def runner():
            for value in 5, bomb(KeyError, "stored"):
                tasklet(store)(getcurrent(), value)
                try:
                    self.log.append(run())
                except KeyError as error:
                    self.log.append(error.args[0])

        runner()
        self.assertEqual(self.log, [5, "stored"])
        self.log.clear()
        tasklet(runner)()
        run()
        self.assertEqual(self.log, [5, "stored"])

    def test_the_traceback_starts_with_the_receiver(self):
        def inner():
            raise KeyError

        def outer():
            inner()

        tasklet(outer)()
        try:
            run()
        except KeyError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names, ["test_the_traceback_starts_with_the_receiver", "outer", "inner"])

    def test_base_exceptions(self):
        for exc in KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration, RecursionError:
            def function():
                raise exc("text")

            tasklet(function)()
            with self.assertRaises(exc) as caught:
                run()
            self.assertEqual(caught.exception.args, ("text",))

    def test_many_failures(self):
        for number in range(10):
            tasklet(self.boom)(number)
        for number in range(10):
            with self.assertRaises(ZeroDivisionError) as caught:
                run()
            self.assertEqual(caught.exception.args, (number,))
        run()

    def test_context_of_the_exception(self):
        """What main handles does not become the context of an exception from elsewhere."""
        def function():
            raise KeyError("tasklet's")

        tasklet(function)()
        try:
            try:
                raise ValueError("main's")
            except ValueError:
                run()
        except KeyError as error:
            self.assertEqual(error.args, ("tasklet's",))


class TestThreads(SchedulerCase):
    def in_thread(self, function):
        """Run `function` in a thread; its result, or its exception."""
        outcome = []

        def body():
            try:
                outcome.append((function(), None))
            except BaseException as error:
                outcome.append((None, error))

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    def test_every_thread_has_its_main(self):
        main, current = self.in_thread(lambda: (getmain(), getcurrent()))
        self.assertIs(main, current)
        self.assertIsNot(main, getmain())

    def test_every_thread_has_its_queue(self):
        def function():
            tasklet(self.twice)("t")
            self.assertEqual(getruncount(), 2)
            run()
            return getruncount()

        tasklet(self.twice)("m")
        self.assertEqual(self.in_thread(function), 1)
        self.assert_log("t0 t1")
        self.assertEqual(getruncount(), 2)
        run()
        self.assert_log("t0 t1 m0 m1")

    def test_channels_within_a_thread(self):
        def function():
            ch = channel()
            tasklet(ch.send)("value")
            value = ch.receive()
            run()
            return value

        self.assertEqual(self.in_thread(function), "value")

    def test_uncaught_in_a_thread(self):
        def function():
            def fail():
                raise KeyError("in the thread")

            tasklet(fail)()
            run()

        with self.assertRaisesRegex(KeyError, "in the thread"):
            self.in_thread(function)

    def test_threads_that_switch_at_the_same_time(self):
        def function():
            ch = channel()

            def worker():
                for value in ch:
                    schedule()
                    total.append(value)

            total = []
            for _ in range(20):
                tasklet(worker)()
            for value in range(2000):
                ch.send(value)
            run()
            for _ in range(20):
                ch.send_exception(StopIteration)
            run()
            sums.append(sum(total))

        sums = []
        threads = [threading.Thread(target=function) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sums, [sum(range(2000))] * 4)

    def test_a_thread_ends_with_tasklets_left(self):
        def function():
            def waits():
                channel().receive()

            left = [tasklet(waits)(), tasklet(schedule_remove)(), tasklet(self.twice)("never")]
            left[0].run()
            return left

        left = self.in_thread(function)
        for t in left:
            self.assertFalse(t.alive)
        del left, t


if __name__ == "__main__":
    unittest.main()
