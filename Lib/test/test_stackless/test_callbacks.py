"""Callbacks on switches and channel operations, and the error handler for tasklets."""

import sys
import threading
import unittest

import stackless
from stackless import (channel, get_channel_callback, get_schedule_callback, getcurrent, getmain, run,
                       schedule, schedule_remove, set_channel_callback, set_error_handler,
                       set_schedule_callback, tasklet)

from .cases import LeavesNoTasklets


class CallbackCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []
        self.unraisable = []
        hook = sys.unraisablehook
        sys.unraisablehook = lambda args: self.unraisable.append(repr(args.exc_value))
        self.addCleanup(setattr, sys, "unraisablehook", hook)
        self.addCleanup(set_error_handler, None)
        self.addCleanup(set_channel_callback, None)
        self.addCleanup(set_schedule_callback, None)

    def name(self, t):
        return "main" if t.is_main else self.names.get(t, "?")

    def tasklets(self, **functions):
        self.names = {tasklet(function)(): name for name, function in functions.items()}
        return list(self.names)


class TestSetting(CallbackCase):
    SETTERS = ((set_schedule_callback, get_schedule_callback), (set_channel_callback, get_channel_callback))

    def test_returns_the_previous_one(self):
        for setter, getter in self.SETTERS:
            with self.subTest(setter=setter.__name__):
                first, second = lambda *args: None, lambda *args: None
                self.assertIsNone(getter())
                self.assertIsNone(setter(first))
                self.assertIs(getter(), first)
                self.assertIs(setter(second), first)
                self.assertIs(setter(None), second)
                self.assertIsNone(getter())

    def test_error_handler(self):
        first = lambda *args: None   # noqa: E731
        self.assertIsNone(set_error_handler(first))
        self.assertIs(set_error_handler(), first)
        self.assertIsNone(set_error_handler(None))

    def test_bad_arguments(self):
        for function in set_schedule_callback, set_channel_callback, set_error_handler:
            for bad in 3, "callback", [], object():
                with self.subTest(function=function.__name__, bad=bad):
                    with self.assertRaisesRegex(TypeError, "callable or None"):
                        function(bad)
            with self.assertRaises(TypeError):
                function(None, None)
        for function in set_schedule_callback, set_channel_callback:
            self.assertRaises(TypeError, function)


class TestScheduleCallback(CallbackCase):
    def test_every_switch_is_seen(self):
        a, b = self.tasklets(a=schedule, b=int)
        set_schedule_callback(lambda prev, next: self.log.append((self.name(prev), self.name(next))))
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [("main", "a"), ("a", "b"), ("b", "a"), ("a", "main")])

    def test_switches_by_channels_and_methods(self):
        ch = channel()
        a, b = self.tasklets(a=ch.receive, b=lambda: ch.send(1))
        set_schedule_callback(lambda prev, next: self.log.append((self.name(prev), self.name(next))))
        a.run()
        b.run()
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [("main", "a"), ("a", "b"), ("b", "a"), ("a", "main"), ("main", "b"),
                                    ("b", "main")])

    def test_it_runs_as_the_tasklet_that_is_left(self):
        def callback(prev, next):
            self.log.append(getcurrent() is prev and prev is not next)
        self.tasklets(a=schedule)
        set_schedule_callback(callback)
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [True, True])   # alone in the queue, schedule() does not switch

    def test_hard_switches(self):
        self.tasklets(a=lambda: list(map(lambda x: schedule(), [1])), b=int)
        set_schedule_callback(lambda prev, next: self.log.append((self.name(prev), self.name(next))))
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [("main", "a"), ("a", "b"), ("b", "a"), ("a", "main")])

    def test_an_error_is_reported_and_the_switch_goes_on(self):
        def callback(prev, next):
            raise ZeroDivisionError("callback")
        t, = self.tasklets(a=lambda: self.log.append("ran"))
        set_schedule_callback(callback)
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, ["ran"])
        self.assertEqual(self.unraisable, ["ZeroDivisionError('callback')"] * 2)

    def test_switching_in_it_is_refused(self):
        ch = channel()
        operations = [schedule, schedule_remove, run, ch.receive, lambda: ch.send(1)]

        def callback(prev, next):
            for operation in operations + [next.run, next.switch, next.kill]:
                try:
                    operation()
                except RuntimeError as error:
                    self.log.append("cannot switch" in str(error))
        self.tasklets(a=int)
        set_schedule_callback(callback)
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [True] * (len(operations) + 3) * 2)
        self.assertEqual(ch.balance, 0)

    def test_it_may_make_and_insert_tasklets(self):
        def callback(prev, next):
            set_schedule_callback(None)
            tasklet(self.log.append)("made inside")
        self.tasklets(a=int)
        set_schedule_callback(callback)
        run()
        self.assertEqual(self.log, ["made inside"])

    def test_it_may_set_tempval(self):
        def body():
            self.log.append(schedule(1))

        def callback(prev, next):
            if prev.tempval == 1:
                prev.tempval = 2
        self.tasklets(a=body, b=int)
        set_schedule_callback(callback)
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, [2])

    def test_it_may_start_and_stop_tracing(self):
        traced = []

        def traced_here():
            pass

        def body():
            schedule()
            traced_here()

        def tracer(frame, event, arg):
            traced.append(frame.f_code.co_name)

        def callback(prev, next):
            if not prev.is_main:
                sys.settrace(tracer)
        self.tasklets(a=body, b=body)
        set_schedule_callback(callback)
        before = sys.gettrace()
        run()
        set_schedule_callback(None)
        self.assertEqual([name for name in traced if name == "traced_here"], ["traced_here"] * 2)
        self.assertIs(sys.gettrace(), before)

    def try_on_ended(self, action):
        """Do `action(prev)` in the callback on the switch away from a tasklet that has ended."""
        (a,) = self.tasklets(a=lambda: None)

        def callback(prev, next):
            if prev is a:
                self.log.append(prev.alive)
                try:
                    action(prev)
                except BaseException as error:
                    self.log.append(f"{type(error).__name__}: {error}")
                else:
                    self.log.append("done")
        set_schedule_callback(callback)
        run()
        set_schedule_callback(None)
        for _ in range(3):
            schedule()
        self.assertEqual((self.log.pop(0), a.alive, a.scheduled, stackless.getruncount()), (False, False, False, 1))
        return self.log.pop()

    def test_one_that_has_ended_is_not_revived(self):
        """It was put into the run queue, without a frame: the interpreter crashed."""
        dead = "RuntimeError: {}(): tasklet is not alive"
        self.assertEqual(self.try_on_ended(lambda t: t.insert()), dead.format("insert"))
        self.assertEqual(self.try_on_ended(lambda t: t.kill(pending=True)), "done")
        self.assertEqual(self.try_on_ended(lambda t: t.bind(int, ())),
                         "RuntimeError: bind(): tasklet is the current one")

        def set_up(t):
            t.tempval = int
            t.setup()
        self.assertEqual(self.try_on_ended(set_up), "RuntimeError: setup(): tasklet is alive")
        self.assertRegex(self.try_on_ended(lambda t: t.__setstate__(())), "RuntimeError: .* is alive")

    def test_nor_by_other_threads(self):
        dead = "RuntimeError: {}(): tasklet is not alive"

        def from_outside(action):
            got = []

            def work(t):
                try:
                    action(t)
                    got.append("done")
                except RuntimeError as error:
                    got.append(f"RuntimeError: {error}")

            def in_thread(t):
                thread = threading.Thread(target=work, args=(t,))
                thread.start()
                thread.join()
            self.try_on_ended(in_thread)
            return got.pop()
        self.assertEqual(from_outside(lambda t: t.insert()), dead.format("insert"))
        self.assertEqual(from_outside(lambda t: t.run()), dead.format("run"))
        self.assertEqual(from_outside(lambda t: t.kill()), "done")
        self.assertEqual(from_outside(lambda t: t.kill(pending=True)), "done")
        self.assertEqual(from_outside(lambda t: t.throw(KeyError)), dead.format("throw"))
        self.assertEqual(from_outside(lambda t: t.throw(KeyError, pending=True)), dead.format("throw"))

    def test_what_does_not_switch_is_allowed(self):
        paused, victim = tasklet(schedule_remove)(), tasklet(schedule_remove)()
        dead = tasklet(int)()
        run()
        (a,) = self.tasklets(a=lambda: None)

        def callback(prev, next):
            if prev is not getmain():
                return
            paused.kill(pending=True)
            victim.throw(KeyError, "pending", pending=True)
            dead.kill()
            prev.run()
            for name, refused in ("kill", lambda: paused.kill()), ("run", a.run), ("switch", a.switch):
                try:
                    refused()
                except RuntimeError as error:
                    self.log.append((name, str(error)))
            try:
                prev.throw(ZeroDivisionError)
            except ZeroDivisionError:
                self.log.append("thrown at oneself")
        set_schedule_callback(callback)
        with self.assertRaisesRegex(KeyError, "pending"):
            run()
        set_schedule_callback(None)
        run()
        self.assertEqual(self.log, [(name, "cannot switch tasklets inside a callback") for name in
                                    ("kill", "run", "switch")] + ["thrown at oneself"])
        self.assertEqual((paused.alive, victim.alive, self.unraisable), (False, False, []))

    def test_who_is_about_to_run_stays(self):
        def callback(prev, next):
            for t in prev, next:
                with self.assertRaises(RuntimeError) as caught:
                    t.remove()
                self.log.append(str(caught.exception))

        tasklet(schedule)()
        stackless.set_schedule_callback(callback)
        schedule()
        stackless.set_schedule_callback(None)
        run()
        self.assertEqual(self.log[:2], ["remove(): tasklet is the main tasklet of its thread",
                                        "remove(): tasklet is about to run"])

    def test_every_thread_of_the_interpreter_is_watched(self):
        def work():
            tasklet(int)()
            run()
            self.log.append("thread done")
        set_schedule_callback(lambda prev, next: self.log.append(prev.is_main))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        set_schedule_callback(None)
        self.assertEqual(self.log, [True, False, "thread done"])

    def test_threads_that_were_there_before(self):
        ready, go = threading.Event(), threading.Event()

        def work():
            tasklet(int)()
            ready.set()
            go.wait()
            run()
        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        set_schedule_callback(lambda prev, next: self.log.append(prev.is_main))
        go.set()
        thread.join()
        set_schedule_callback(None)
        self.assertEqual(self.log, [True, False])

    def test_an_exception_in_flight_survives(self):
        class Switches:
            def __del__(dropped):
                schedule()

        def body():
            obj = Switches()
            raise KeyError(obj)

        def guarded():
            try:
                body()
            except KeyError as error:
                self.log.append("caught")
                error.args = ()
        self.tasklets(a=guarded, b=int)
        set_schedule_callback(lambda prev, next: None)
        run()
        set_schedule_callback(None)
        self.assertEqual(self.log, ["caught"])


class TestChannelCallback(CallbackCase):
    def callback(self, ch, t, sending, willblock):
        self.log.append((self.name(t), sending, willblock, t.tempval))

    def test_what_it_sees(self):
        ch = channel()
        self.tasklets(a=lambda: ch.send("value"), b=ch.receive)
        set_channel_callback(self.callback)
        run()
        set_channel_callback(None)
        self.assertEqual(self.log, [("a", 1, 1, "value"), ("b", 0, 0, None)])
        self.log.clear()
        self.tasklets(b=ch.receive, a=lambda: ch.send("value"))
        set_channel_callback(self.callback)
        run()
        set_channel_callback(None)
        self.assertEqual(self.log, [("b", 0, 1, None), ("a", 1, 0, "value")])
        for entry in self.log:
            self.assertEqual([type(x) for x in entry[1:3]], [int, int])

    def test_iteration_and_sequences_are_seen(self):
        ch = channel()

        def receiver():
            for value in ch:
                pass
        self.tasklets(b=receiver)
        set_channel_callback(self.callback)
        run()
        ch.send(1)
        ch.send_exception(StopIteration)
        set_channel_callback(None)
        self.assertEqual([entry[:3] for entry in self.log],
                         [("b", 0, 1), ("main", 1, 0), ("b", 0, 1), ("main", 1, 0)])

    def test_an_error_is_reported_and_the_operation_goes_on(self):
        def callback(*args):
            raise ZeroDivisionError("callback")
        ch = channel()
        tasklet(ch.send)(42)
        set_channel_callback(callback)
        self.assertEqual(ch.receive(), 42)
        set_channel_callback(None)
        run()
        self.assertEqual(self.unraisable, ["ZeroDivisionError('callback')"] * 2)

    def test_channels_and_switches_in_it_are_refused(self):
        ch, other = channel(), channel()

        def callback(*args):
            for operation in (ch.receive, other.receive, lambda: other.send(1), schedule, run,
                              lambda: next(other), lambda: other.send_exception(KeyError)):
                try:
                    operation()
                except RuntimeError as error:
                    self.log.append("inside a callback" in str(error))
        tasklet(ch.send)(42)
        set_channel_callback(callback)
        self.assertEqual(ch.receive(), 42)
        set_channel_callback(None)
        run()
        self.assertEqual(self.log, [True] * 14)
        self.assertEqual((ch.balance, other.balance), (0, 0))

    def test_the_value_sent_can_be_changed(self):
        def callback(ch, t, sending, willblock):
            if sending:
                t.tempval = t.tempval.upper()
        ch = channel()
        tasklet(ch.send)("text")
        set_channel_callback(callback)
        self.assertEqual(ch.receive(), "TEXT")
        set_channel_callback(None)
        run()

    def test_what_a_receiver_finds_in_its_tempval_is_dropped(self):
        def callback(ch, t, sending, willblock):
            t.tempval = "left behind"
        ch = channel()
        tasklet(ch.receive)()
        set_channel_callback(callback)
        run()
        set_channel_callback(None)
        ch.send(1)
        run()

    def test_it_can_be_removed_from_within(self):
        def callback(*args):
            self.log.append(set_channel_callback(None) is callback)
        ch = channel()
        tasklet(ch.send)(1)
        set_channel_callback(callback)
        run()
        ch.receive()
        run()
        self.assertEqual(self.log, [True])


class TestErrorHandler(CallbackCase):
    def fail(self):
        raise ZeroDivisionError("in tasklet")

    def test_it_handles(self):
        def handler(type, value, traceback):
            self.log.append((type, str(value), traceback is value.__traceback__, getcurrent()))
        set_error_handler(handler)
        t = tasklet(self.fail)()
        run()
        self.assertEqual(self.log, [(ZeroDivisionError, "in tasklet", True, t)])
        self.assertFalse(t.alive)

    def test_what_it_raises_goes_to_run(self):
        def handler(type, value, traceback):
            raise KeyError("from the handler")
        set_error_handler(handler)
        tasklet(self.fail)()
        with self.assertRaisesRegex(KeyError, "from the handler") as caught:
            run()
        self.assertIsInstance(caught.exception.__context__, ZeroDivisionError)

    def test_it_may_raise_the_same_exception(self):
        def handler(type, value, traceback):
            raise value
        set_error_handler(handler)
        tasklet(self.fail)()
        with self.assertRaisesRegex(ZeroDivisionError, "in tasklet"):
            run()

    def test_not_for_exits_and_not_for_main(self):
        def leave(error):
            raise error
        set_error_handler(lambda *args: self.log.append(args))
        tasklet(leave)(TaskletExit())
        run()
        tasklet(leave)(SystemExit(3))
        with self.assertRaises(SystemExit):
            run()
        with self.assertRaises(ZeroDivisionError):
            self.fail()
        self.assertEqual(self.log, [])

    def test_an_exit_of_the_handler_is_silent(self):
        def handler(type, value, traceback):
            raise TaskletExit
        set_error_handler(handler)
        tasklet(self.fail)()
        run()

    def test_it_may_switch(self):
        def handler(type, value, traceback):
            self.log.append("handler")
            schedule()
            self.log.append("handler again")
        set_error_handler(handler)
        tasklet(self.fail)()
        tasklet(self.log.append)("other")
        run()
        self.assertEqual(self.log, ["handler", "other", "handler again"])

    def test_errors_of_inner_runs(self):
        def outer():
            tasklet(self.fail)()
            run()
            self.log.append("outer goes on")
        set_error_handler(lambda *args: self.log.append("handler"))
        tasklet(outer)()
        run()
        self.assertEqual(self.log, ["handler", "outer goes on"])


class TestSubinterpreters(unittest.TestCase):
    def test_callbacks_belong_to_the_interpreter(self):
        import _xxsubinterpreters as interpreters
        interp = interpreters.create()
        callback = lambda *args: None   # noqa: E731
        stackless.set_error_handler(callback)
        try:
            interpreters.run_string(interp, "import stackless\n"
                                            "assert stackless.set_error_handler(len) is None\n"
                                            "assert stackless.get_schedule_callback() is None\n"
                                            "stackless.set_schedule_callback(print)\n")
        finally:
            interpreters.destroy(interp)
            self.assertIs(stackless.set_error_handler(None), callback)
        self.assertIsNone(get_schedule_callback())


if __name__ == "__main__":
    unittest.main()
