"""Exceptions that come to a tasklet from outside, and those that end one: throw(), kill(), raise_exception(),
TaskletExit, SystemExit."""

import subprocess
import sys
import traceback
import unittest

import stackless
from stackless import channel, getcurrent, getmain, getruncount, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets


class ErrorCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []

    def worker(self, name, rounds=3):
        """Log every turn, and how it ends."""
        try:
            for i in range(rounds):
                self.log.append(f"{name}{i}")
                schedule()
        except BaseException as error:
            self.log.append(f"{name} {type(error).__name__}")
            raise

    def start(self, names="abc", rounds=3):
        return [tasklet(self.worker)(name, rounds) for name in names]

    def paused(self, name="p"):
        """A tasklet that has run once and is paused."""
        def body():
            try:
                schedule_remove()
                self.log.append(name)
            except BaseException as error:
                self.log.append(f"{name} {type(error).__name__}")
                raise
        t = tasklet(body)()
        t.run()
        self.assertTrue(t.paused)
        return t


class TestTaskletExit(unittest.TestCase):
    def test_builtin(self):
        import builtins
        self.assertIs(builtins.TaskletExit, TaskletExit)
        self.assertIs(stackless.TaskletExit, TaskletExit)
        self.assertEqual(TaskletExit.__mro__[1:3], (SystemExit, BaseException))
        self.assertEqual((TaskletExit.__module__, TaskletExit.__qualname__), ("builtins", "TaskletExit"))

    def test_it_is_an_exception_class_like_others(self):
        class Mine(TaskletExit):
            pass
        error = Mine(3)
        self.assertEqual((error.code, error.args), (3, (3,)))
        with self.assertRaises(SystemExit):
            raise error

    def run_python(self, source):
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_at_top_level_it_is_shown_as_an_error(self):
        status, shown = self.run_python("raise TaskletExit(7)")
        self.assertEqual(status, 1)
        self.assertTrue(shown.startswith("Traceback"), shown)
        self.assertTrue(shown.endswith("TaskletExit: 7\n"), shown)

    def test_system_exit_at_top_level_still_ends_the_process(self):
        self.assertEqual(self.run_python("raise SystemExit(7)"), (7, ""))

    def test_in_every_interpreter(self):
        import _xxsubinterpreters as interpreters
        interp = interpreters.create()
        try:
            interpreters.run_string(interp, "assert issubclass(TaskletExit, SystemExit)")
        finally:
            interpreters.destroy(interp)


class TestOrder(ErrorCase):
    def test_killing_a_scheduled_one_lets_those_behind_it_run_first(self):
        a, b, c = self.start()
        schedule()
        self.log.clear()
        b.kill()
        self.log.append("main")
        run()
        self.assertEqual(self.log[:4], ["b TaskletExit", "c1", "main", "a1"])

    def test_killing_a_paused_one_comes_back_at_once(self):
        p = self.paused()
        self.start("ab", 1)
        p.kill()
        self.log.append("main")
        run()
        self.assertEqual(self.log, ["p TaskletExit", "main", "a0", "b0"])
        self.assertFalse(p.alive)

    def test_killing_a_blocked_one_comes_back_at_once(self):
        ch = channel()
        t = tasklet(ch.receive)()
        t.run()
        self.start("ab", 1)
        t.kill()
        self.log.append("main")
        run()
        self.assertEqual(self.log, ["main", "a0", "b0"])
        self.assertEqual((ch.balance, ch.queue, t.alive), (0, None, False))

    def test_killing_the_next_one(self):
        a, = self.start("a", 1)
        a.kill()
        self.assertEqual(self.log, [])
        self.assertEqual((a.alive, getruncount()), (False, 1))

    def test_a_tasklet_that_never_ran_dies_without_running(self):
        t = tasklet().bind(self.worker, ("t",))
        t.kill()
        self.assertFalse(t.alive)
        self.assertEqual(self.log, [])

    def test_throw_at_one_that_never_ran_is_its_uncaught_error(self):
        t = tasklet(self.worker)("t")
        with self.assertRaisesRegex(KeyError, "k"):
            t.throw(KeyError, "k")
        self.assertFalse(t.alive)
        self.assertEqual(self.log, [])

    def test_pending_goes_to_the_end_of_the_queue(self):
        p = self.paused()
        a, = self.start("a", 1)
        p.kill(pending=True)
        self.assertTrue(p.scheduled)
        self.log.append("main")
        run()
        self.assertEqual(self.log, ["main", "a0", "p TaskletExit"])

    def test_pending_unblocks(self):
        ch = channel()
        t = tasklet(ch.send)("lost")
        t.run()
        t.throw(TaskletExit, pending=True)
        self.assertEqual((t.blocked, t.scheduled, ch.balance), (False, True, 0))
        run()
        self.assertFalse(t.alive)

    def test_pending_keeps_the_place_of_a_scheduled_one(self):
        a, b, c = self.start(rounds=1)
        b.kill(True)
        run()
        self.assertEqual(self.log, ["a0", "c0"])

    def test_the_caller_goes_on_behind_a_tasklet_that_survives(self):
        def survivor():
            try:
                schedule_remove()
            except TaskletExit:
                self.log.append("survived")
            schedule()
            self.log.append("later")
        t = tasklet(survivor)()
        t.run()
        self.assertIsNone(t.kill())
        self.log.append("main")
        self.assertTrue(t.alive)
        run()
        self.assertEqual(self.log, ["survived", "main", "later"])


class TestTargets(ErrorCase):
    def test_oneself(self):
        for method, args in (("throw", (KeyError,)), ("raise_exception", (KeyError,)), ("kill", ())):
            for pending in ((), (True,)) if method == "kill" else ((),):
                with self.subTest(method=method, pending=pending):
                    with self.assertRaises((KeyError, TaskletExit)):
                        getattr(getcurrent(), method)(*args, *pending)

    def test_dead_ones(self):
        ended = tasklet(int)()
        run()
        for t in tasklet(), tasklet(int), ended:
            with self.assertRaisesRegex(RuntimeError, r"^throw\(\): tasklet is not alive"):
                t.throw(KeyError)
            with self.assertRaisesRegex(RuntimeError, r"^raise_exception\(\): tasklet is not alive"):
                t.raise_exception(KeyError)
            self.assertIsNone(t.kill())
            self.assertIsNone(t.kill(pending=True))
            self.assertIsNone(t.throw(TaskletExit))
            self.assertIsNone(t.raise_exception(TaskletExit, 1))

    def test_main_in_the_queue(self):
        def body():
            getmain().throw(KeyError, "to main")
            self.log.append("after")
        tasklet(body)()
        with self.assertRaisesRegex(KeyError, "to main"):
            schedule()
        run()
        self.assertEqual(self.log, ["after"])

    def test_main_in_run(self):
        tasklet(lambda: getmain().throw(KeyError, "to main"))()
        with self.assertRaisesRegex(KeyError, "to main"):
            run()
        run()

    def test_main_blocked(self):
        ch = channel()
        tasklet(lambda: getmain().throw(KeyError, "to main"))()
        with self.assertRaisesRegex(KeyError, "to main"):
            ch.receive()
        self.assertEqual(ch.balance, 0)
        run()

    def test_an_outer_caller_of_run_wakes_the_inner_ones(self):
        def inner():
            run()
            self.log.append("inner")

        def thrower():
            getmain().throw(KeyError, "to main")
            self.log.append("thrower")
        tasklet(inner)()
        tasklet(thrower)()
        with self.assertRaises(KeyError):
            run()
        run()
        self.assertEqual(sorted(self.log), ["inner", "thrower"])

    def test_inside_c_functions(self):
        def body():
            try:
                list(map(lambda x: schedule_remove(), [1]))
            except ValueError as error:
                self.log.append(str(error))
        t = tasklet(body)()
        t.run()
        t.raise_exception(ValueError, "in map")
        self.assertEqual((self.log, t.alive), (["in map"], False))

    def test_called_by_c(self):
        p = self.paused()
        self.assertEqual(list(map(tasklet.kill, [p])), [None])
        self.assertEqual(self.log, ["p TaskletExit"])

    def test_the_thread_has_gone(self):
        import threading
        made = []

        def work():
            made.extend([tasklet(schedule_remove)(), tasklet(channel().receive)(), tasklet(int)()])
            run()
            made.append(tasklet(int)())
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        for t in made:
            if t.frame is not None or t in made[:2]:
                with self.assertRaisesRegex(RuntimeError, "has no thread"):
                    t.throw(KeyError)
            self.assertIsNone(t.kill())
            self.assertFalse(t.alive)

    def test_switch_trap(self):
        p = self.paused()
        stackless.switch_trap(1)
        try:
            with self.assertRaisesRegex(RuntimeError, "switch_trap"):
                p.kill()
            self.assertTrue(p.paused)
            p.kill(pending=True)
        finally:
            stackless.switch_trap(-1)
        run()
        self.assertFalse(p.alive)


class TestArguments(ErrorCase):
    def test_forms_of_throw(self):
        try:
            raise KeyError("made elsewhere")
        except KeyError as error:
            made = error
        for args, expected in (((KeyError,), "KeyError()"),
                               ((KeyError, 1), "KeyError(1)"),
                               ((KeyError, (1, 2)), "KeyError(1, 2)"),
                               ((KeyError, KeyError(3)), "KeyError(3)"),
                               ((KeyError(4),), "KeyError(4)"),
                               ((KeyError(5), None, None), "KeyError(5)"),
                               ((KeyError, None, made.__traceback__), "KeyError()")):
            with self.subTest(args=args):
                def body():
                    try:
                        schedule_remove()
                    except KeyError as error:
                        self.log.append(error)
                t = tasklet(body)()
                t.run()
                t.throw(*args)
                self.assertEqual(repr(self.log.pop()), expected)

    def test_keywords(self):
        p = self.paused()
        p.throw(exc=KeyError, val="v", tb=None, pending=True)
        with self.assertRaisesRegex(KeyError, "v"):
            run()

    def test_the_traceback_is_kept(self):
        def raiser():
            raise KeyError("from afar")
        try:
            raiser()
        except KeyError as error:
            info = type(error), error, error.__traceback__
        p = self.paused()
        try:
            p.throw(*info)
        except KeyError as error:
            names = [f.name for f in traceback.extract_tb(error.__traceback__)]
        self.assertIn("body", names)
        self.assertEqual(names[-1], "raiser")

    def test_bad_arguments(self):
        p = self.paused()
        for args in ((), (3,), ("KeyError",), (None,), (int,), (KeyError(1), 2), (KeyError, None, 3)):
            with self.subTest(throw=args), self.assertRaises(TypeError):
                p.throw(*args)
        for args in ((), ("a string",), (KeyError(1),), (None,), (int,)):
            with self.subTest(raise_exception=args), self.assertRaises(TypeError):
                p.raise_exception(*args)
        with self.assertRaises(TypeError):
            p.kill(True, True)
        with self.assertRaises(TypeError):
            p.kill(what=True)
        self.assertTrue(p.paused)
        p.kill()

    def test_raise_exception_instantiates_for_the_caller(self):
        class Picky(Exception):
            def __init__(self, a, b):
                super().__init__(a, b)
        p = self.paused()
        with self.assertRaises(TypeError):
            p.raise_exception(Picky, 1)
        self.assertTrue(p.paused)
        with self.assertRaises(Picky):
            p.raise_exception(Picky, 1, 2)

    def test_pending_that_has_no_truth_value(self):
        class Bad:
            def __bool__(self):
                raise ZeroDivisionError
        p = self.paused()
        with self.assertRaises(ZeroDivisionError):
            p.kill(Bad())
        p.kill()

    def test_what_was_to_be_sent_may_run_code_when_it_is_dropped(self):
        ch = channel()

        class Dropped:
            def __del__(dropped):
                self.log.append("dropped")
                schedule()
        t = tasklet(ch.send)(Dropped())
        t.run()
        other, = self.start("o", 1)
        t.kill()
        run()
        self.assertEqual(self.log, ["dropped", "o0"])
        self.assertFalse(t.alive)


class TestEnd(ErrorCase):
    def test_tasklet_exit_is_silent(self):
        def body():
            raise TaskletExit("quiet")
        tasklet(body)()
        run()

    def test_a_system_exit_reaches_run(self):
        tasklet(sys.exit)(3)
        with self.assertRaises(SystemExit) as caught:
            run()
        self.assertIs(type(caught.exception), SystemExit)
        self.assertEqual(caught.exception.code, 3)

    def run_python(self, source):
        done = subprocess.run([sys.executable, "-c", "from stackless import *\nimport sys\n" + source],
                              capture_output=True, text=True)
        return done.returncode, done.stderr

    def test_the_exit_code_is_that_of_the_tasklet(self):
        self.assertEqual(self.run_python("tasklet(sys.exit)(42)\nrun()"), (42, ""))
        self.assertEqual(self.run_python("tasklet(sys.exit)(42)\nschedule()"), (42, ""))
        self.assertEqual(self.run_python("tasklet(lambda: [sys.exit(42) for i in '1'])()\nrun()"), (42, ""))

    def test_the_exit_code_of_nested_runs(self):
        self.assertEqual(self.run_python(
            "def outer():\n    tasklet(sys.exit)(43)\n    run()\n    print('not reached')\n"
            "tasklet(outer)()\nrun()\nprint('not reached')\n"), (43, ""))

    def test_a_handler_of_ordinary_errors_does_not_stop_it(self):
        self.assertEqual(self.run_python(
            "tasklet(sys.exit)(44)\ntry:\n    run()\nexcept Exception:\n    pass\n"), (44, ""))

    def test_a_handler_of_everything_sees_the_code(self):
        self.assertEqual(self.run_python(
            "tasklet(sys.exit)(45)\ntry:\n    run()\nexcept BaseException as e:\n    sys.exit(e.code + 1)\n"),
            (46, ""))

    def test_on_other_threads_only_the_tasklet_ends(self):
        import threading
        log = []

        def work():
            tasklet(sys.exit)(3)
            run()
            log.append("went on")
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        self.assertEqual(log, ["went on"])

    def test_other_errors_reach_run_and_the_others_stay(self):
        def body():
            raise ZeroDivisionError("mine")
        tasklet(body)()
        self.start("a", 1)
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            run()
        run()
        self.assertEqual(self.log, ["a0"])

    def test_the_tasklet_that_ran_it_does_not_get_the_error(self):
        def child():
            raise ZeroDivisionError

        def parent():
            tasklet(child)().run()
            self.log.append("parent goes on")
        tasklet(parent)()
        with self.assertRaises(ZeroDivisionError):
            run()
        run()
        self.assertEqual(self.log, ["parent goes on"])

    def test_a_finally_block_runs_when_killed(self):
        def body():
            try:
                schedule_remove()
            finally:
                self.log.append("finally")
        t = tasklet(body)()
        t.run()
        t.kill()
        self.assertEqual(self.log, ["finally"])

    def test_a_thrown_exception_gets_its_context(self):
        def body():
            try:
                1 / 0
            except ZeroDivisionError:
                schedule_remove()
        t = tasklet(body)()
        t.run()
        with self.assertRaises(KeyError) as caught:
            t.throw(KeyError)
        self.assertIsInstance(caught.exception.__context__, ZeroDivisionError)


if __name__ == "__main__":
    unittest.main()
