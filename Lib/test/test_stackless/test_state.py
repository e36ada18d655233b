"""What a switch saves and restores: one test or more for each field of a tasklet's state."""

import _thread
import contextvars
import decimal
import sys
import threading
import traceback
import unittest

from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets


class StateCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []


class TestExceptionState(StateCase):
    """sys.exc_info() is that of the tasklet, at any depth of handlers and generators."""

    def test_a_new_tasklet_handles_nothing(self):
        def function():
            self.log.append(sys.exc_info())
            self.log.append(sys.exception())

        try:
            raise KeyError
        except KeyError:
            tasklet(function)()
            run()
            self.assertIs(sys.exc_info()[0], KeyError)
        self.assertEqual(self.log, [(None, None, None), None])
        self.assertIsNone(sys.exception())

    def test_inside_except(self):
        def function(exc):
            try:
                raise exc
            except Exception:
                for _ in range(3):
                    schedule()
                    self.log.append(sys.exception() is exc)
            schedule()
            self.log.append(sys.exception() is None)

        for number in range(3):
            tasklet(function)(ValueError(number))
        run()
        self.assertEqual(self.log, [True] * 12)

    def test_nested_handlers(self):
        def function(name):
            try:
                raise KeyError(name)
            except KeyError:
                schedule()
                try:
                    raise ValueError(name)
                except ValueError as error:
                    schedule()
                    self.log.append((sys.exception().args, error.__context__.args))
                schedule()
                self.log.append(repr(sys.exception()))

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        self.assertEqual(self.log, [(("a",), ("a",)), (("b",), ("b",)), "KeyError('a')", "KeyError('b')"])

    def test_reraise_after_a_switch(self):
        def function(exc):
            try:
                try:
                    raise exc
                except Exception:
                    schedule()
                    raise
            except Exception as error:
                self.log.append(error is exc)

        for number in range(3):
            tasklet(function)(OSError(number))
        run()
        self.assertEqual(self.log, [True, True, True])

    def test_finally_after_a_switch(self):
        def function(exc):
            try:
                try:
                    raise exc
                finally:
                    schedule()
                    self.log.append(sys.exception() is exc)
            except Exception as error:
                self.log.append(error is exc)

        tasklet(function)(KeyError())
        tasklet(function)(ValueError())
        run()
        self.assertEqual(self.log, [True] * 4)

    def test_context_of_new_exceptions(self):
        """A new exception gets what its own tasklet handles as its context."""
        def function(exc):
            try:
                raise exc
            except Exception:
                schedule()
                try:
                    raise LookupError
                except LookupError as error:
                    self.log.append(error.__context__ is exc)

        tasklet(function)(KeyError())
        tasklet(function)(ValueError())
        run()
        self.assertEqual(self.log, [True, True])

    def test_no_context_from_another_tasklet(self):
        def handler():
            try:
                raise KeyError
            except KeyError:
                schedule()
                schedule()

        def raiser():
            try:
                raise ValueError
            except ValueError as error:
                self.log.append(error.__context__)

        tasklet(handler)()
        tasklet(raiser)()
        run()
        self.assertEqual(self.log, [None])

    def test_a_generator_suspended_in_except(self):
        """The generator has handlers of its own, between those of its caller."""
        def numbers(exc):
            try:
                raise exc
            except Exception:
                schedule()
                self.log.append(sys.exception() is exc)
                yield
                schedule()
                self.log.append(sys.exception() is exc)

        def function(outer, inner):
            try:
                raise outer
            except Exception:
                for _ in numbers(inner):
                    self.log.append(sys.exception() is outer)
                    schedule()
                    self.log.append(sys.exception() is outer)
                self.log.append(sys.exception() is outer)
            self.log.append(sys.exception() is None)

        for number in range(3):
            tasklet(function)(KeyError(number), ValueError(number))
        run()
        self.assertEqual(self.log, [True] * 18)

    def test_delegation_with_handlers_at_each_level(self):
        def level(depth, name):
            try:
                raise KeyError(name, depth)
            except KeyError as error:
                if depth:
                    yield from level(depth - 1, name)
                else:
                    schedule()
                    yield sys.exception().args
                schedule()
                self.log.append(sys.exception() is error)

        def function(name):
            for args in level(5, name):
                self.log.append(args == (name, 0))
                self.log.append(sys.exception() is None)

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        self.assertEqual(self.log, [True] * 16)

    def test_an_exception_sent_to_one_who_handles(self):
        ch = channel()

        def function():
            try:
                raise KeyError
            except KeyError as first:
                try:
                    ch.receive()
                except ValueError as second:
                    self.log.append(second.__context__ is first)
                self.log.append(sys.exception() is first)

        tasklet(function)()
        run()
        ch.send_exception(ValueError)
        self.assertEqual(self.log, [True, True])

    def test_the_exception_dies_with_the_handler(self):
        class Failure(Exception):
            def __del__(failure):
                self.log.append("freed")

        def function():
            try:
                raise Failure
            except Failure:
                schedule()
            self.log.append("handled")

        tasklet(function)()
        run()
        self.assertEqual(self.log, ["freed", "handled"])

    def test_except_star(self):
        def function(name):
            try:
                raise ExceptionGroup(name, [KeyError(name), ValueError(name)])
            except* KeyError as group:
                schedule()
                self.log.append((name, group.exceptions[0].args))
            except* ValueError as group:
                schedule()
                self.log.append((name, group.exceptions[0].args))

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        self.assertEqual(self.log, [("a", ("a",)), ("b", ("b",))] * 2)


class TestContext(StateCase):
    """Each tasklet has its current context; new ones share that of their creator."""

    def setUp(self):
        super().setUp()
        self.variable = contextvars.ContextVar("variable", default="default")

    def test_shared_with_the_creator(self):
        self.addCleanup(self.variable.reset, self.variable.set("main's"))
        tasklet(lambda: self.log.append(self.variable.get()))()
        tasklet(lambda: self.variable.set("tasklet's"))()
        run()
        self.assertEqual(self.log, ["main's"])
        self.assertEqual(self.variable.get(), "tasklet's")

    def test_of_the_one_who_binds(self):
        """The context is that of the moment of bind(), not of the start."""
        def make():
            self.variable.set("inside")
            return tasklet(lambda: self.log.append(self.variable.get()))

        t = contextvars.copy_context().run(make)
        t()
        run()
        self.assertEqual(self.log, ["inside"])
        self.assertEqual(self.variable.get(), "default")

    def test_contexts_apart(self):
        def function(name):
            self.variable.set(name)
            for _ in range(3):
                schedule()
                self.log.append(self.variable.get() == name)

        for name in "abc":
            contextvars.copy_context().run(lambda: tasklet(function)(name))
        run()
        self.assertEqual(self.log, [True] * 9)
        self.assertEqual(self.variable.get(), "default")

    def test_main_keeps_its_own(self):
        contextvars.copy_context().run(lambda: tasklet(lambda: self.variable.set("other"))())
        self.addCleanup(self.variable.reset, self.variable.set("main's"))
        run()
        self.assertEqual(self.variable.get(), "main's")

    def test_the_cache_of_a_variable(self):
        """The last value of a variable is cached, by thread: a switch must not make it stale."""
        def function(name):
            for turn in range(100):
                self.variable.set((name, turn))
                schedule()
                if self.variable.get() != (name, turn):
                    self.log.append((name, turn, self.variable.get()))

        for name in "abc":
            contextvars.copy_context().run(lambda: tasklet(function)(name))
        run()
        self.assertEqual(self.log, [])

    def test_decimal_contexts(self):
        def function(digits):
            with decimal.localcontext() as context:
                context.prec = digits
                schedule()
                self.log.append(len(str(decimal.Decimal(1) / 3)) - 2)

        for digits in 3, 5, 7:
            contextvars.copy_context().run(lambda: tasklet(function)(digits))
        run()
        self.assertEqual(self.log, [3, 5, 7])

    def test_context_id(self):
        here = getcurrent().context_id
        t = tasklet(schedule_remove)()
        self.assertEqual(t.context_id, here)
        run()
        self.assertEqual(t.context_id, here)
        other = contextvars.copy_context().run(lambda: tasklet(len))
        self.assertNotEqual(other.context_id, here)
        t.run()


class TestRecursion(StateCase):
    def depth_left(self):
        """How many plain calls fit until RecursionError."""
        def down(depth):
            try:
                return down(depth + 1)
            except RecursionError:
                return depth

        return down(0)

    def test_every_tasklet_has_the_full_limit(self):
        def function():
            self.log.append(self.depth_left())

        def deep(depth):
            if depth:
                deep(depth - 1)
            else:
                tasklet(function)()
                run()

        deep(0)
        deep(400)
        shallow, from_deep = self.log
        self.assertEqual(shallow, from_deep)
        self.assertGreater(shallow, sys.getrecursionlimit() - 20)
        self.assertLessEqual(shallow, sys.getrecursionlimit())

    def test_a_switch_keeps_the_depth(self):
        """Two tasklets, one deep and one shallow: neither pays for the other, before or after."""
        def function(depth):
            if depth:
                return function(depth - 1)
            left = self.depth_left()
            for _ in range(3):
                schedule()
                self.log.append(self.depth_left() == left)

        before = self.depth_left()
        for depth in 0, 300, 700:
            tasklet(function)(depth)
        run()
        self.assertEqual(self.log, [True] * 9)
        self.assertEqual(self.depth_left(), before)

    def test_recursion_error_in_a_tasklet(self):
        def down():
            down()

        for _ in range(3):
            t = tasklet(down)()
            with self.assertRaisesRegex(RecursionError, "maximum recursion depth exceeded"):
                run()
            self.assertFalse(t.alive)

    def test_caught_in_the_tasklet(self):
        def down():
            down()

        def function():
            try:
                down()
            except RecursionError:
                schedule()
                self.log.append(self.depth_left() > sys.getrecursionlimit() - 20)

        tasklet(function)()
        tasklet(function)()
        run()
        self.assertEqual(self.log, [True, True])

    def test_the_limit_is_changed_while_others_wait(self):
        limit = sys.getrecursionlimit()

        def waits():
            schedule()
            self.log.append(self.depth_left())

        def changes():
            sys.setrecursionlimit(limit + 500)
            self.log.append(self.depth_left())

        try:
            tasklet(waits)()
            tasklet(changes)()
            run()
            self.assertEqual(abs(self.log[0] - self.log[1]) <= 2, True, self.log)
            self.assertGreater(self.log[1], limit + 480)
        finally:
            sys.setrecursionlimit(limit)

    def test_a_limit_that_was_lowered_below_the_depth_of_a_sleeping_tasklet(self):
        limit = sys.getrecursionlimit()
        caught = []

        def down(depth):
            if depth:
                return down(depth - 1)
            schedule_remove()
            down(1)

        def function(depth):
            try:
                down(depth)
            except RecursionError as error:
                caught.append(str(error))

        for _ in range(2):
            sys.setrecursionlimit(limit + 2000)
            try:
                t = tasklet(function)(limit + 1000)
                run()
            finally:
                sys.setrecursionlimit(limit)
            t.run()
            self.assertFalse(t.alive)
        self.assertEqual(len(caught), 2)
        self.assertIn("maximum recursion depth exceeded", caught[0])
        self.log.append(self.depth_left())

    def test_recursion_depth(self):
        def function(depth):
            if depth:
                return function(depth - 1)
            schedule_remove()

        t = tasklet(function)
        self.assertEqual(t.recursion_depth, 0)
        t(10)
        self.assertEqual(t.recursion_depth, 0)
        run()
        ten = t.recursion_depth
        u = tasklet(function)(20)
        run()
        self.assertEqual(u.recursion_depth - ten, 10)
        self.assertIn(ten - 10, (1, 2))
        t.run()
        u.run()

    def test_depth_is_back_after_many_switches(self):
        before = getcurrent().recursion_depth
        for _ in range(1000):
            tasklet(schedule)()
        run()
        self.assertEqual(getcurrent().recursion_depth, before)


class TestFrames(StateCase):
    def test_no_frame_below_the_first(self):
        def function():
            self.log.append(sys._getframe().f_back)
            schedule()
            self.log.append(sys._getframe().f_back)
            with self.assertRaises(ValueError):
                sys._getframe(1)

        tasklet(function)()
        run()
        self.assertEqual(self.log, [None, None])

    def test_frames_of_a_suspended_tasklet(self):
        def inner(x):
            y = x * 2
            schedule_remove()

        def outer(x):
            inner(x + 1)

        t = tasklet(outer)(1)
        run()
        frame = t.frame
        self.assertEqual(frame.f_code.co_name, "inner")
        self.assertEqual({name: frame.f_locals[name] for name in "xy"}, {"x": 2, "y": 4})
        self.assertEqual(frame.f_back.f_locals["x"], 1)
        self.assertEqual(frame.f_lineno, inner.__code__.co_firstlineno + 2)
        self.assertEqual([line for _, line in traceback.walk_stack(frame)],
                         [inner.__code__.co_firstlineno + 2, outer.__code__.co_firstlineno + 1])
        t.run()
        self.assertEqual(frame.f_locals["y"], 4, "the frame outlives the tasklet")
        self.assertIsNone(t.frame)

    def test_a_frame_kept_after_its_return(self):
        frames = []

        def inner():
            frames.append(sys._getframe())
            schedule()

        def outer():
            inner()
            schedule()

        tasklet(outer)()
        tasklet(schedule)()
        run()
        self.assertEqual(frames[0].f_code.co_name, "inner")
        self.assertEqual(frames[0].f_back.f_code.co_name, "outer")
        self.assertIsNone(frames[0].f_back.f_back)

    def test_traceback_out_of_a_tasklet(self):
        def inner():
            schedule()
            raise KeyError

        def generator():
            yield inner()

        class Class:
            def __init__(instance):
                for _ in generator():
                    pass

        def outer(*args):
            Class(*args)

        tasklet(outer)()
        try:
            run()
        except KeyError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        self.assertEqual(names[0], "test_traceback_out_of_a_tasklet")
        self.assertEqual(names[1:], ["outer", "__init__", "generator", "inner"])
        # That of a finished generator is None everywhere.
        self.assertEqual([frame.f_back and frame.f_back.f_code.co_name for frame in frames[1:]],
                         [None, "outer", None, "generator"])

    def test_the_stack_of_current_frames(self):
        """sys._current_frames() shows the tasklet that runs, not those that wait."""
        def function():
            frame = sys._current_frames()[threading.get_ident()]
            self.log.append([entry.name for entry in traceback.extract_stack(frame)])

        tasklet(function)()
        tasklet(schedule)()
        run()
        self.assertEqual(self.log, [["function"]])

    def test_locals_and_cells(self):
        def function(name):
            cell = [name]

            def inner():
                return cell

            x = 1
            schedule()
            x += 1
            del cell[:]
            schedule()
            self.log.append((name, x, inner(), sorted(locals())))

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        names = ["cell", "inner", "name", "self", "x"]
        self.assertEqual(self.log, [("a", 2, [], names), ("b", 2, [], names)])

    def test_globals_and_builtins(self):
        namespace = {"schedule": schedule, "log": self.log, "tag": "other globals",
                     "__builtins__": {"len": lambda x: "other len", "print": print}}
        exec("def function():\n    schedule()\n    log.append((tag, len(())))", namespace)

        def here():
            schedule()
            self.log.append((globals() is not namespace, len(())))

        tasklet(namespace["function"])()
        tasklet(here)()
        run()
        self.assertEqual(self.log, [("other globals", "other len"), (True, 0)])


class TestTracing(StateCase):
    """sys.settrace() and sys.setprofile() concern the tasklet that calls them, and nobody else."""

    def tracer(self, name, log):
        def trace(frame, event, arg):
            if frame.f_code.co_filename == __file__:
                log.append((name, event, frame.f_code.co_name))
            return trace

        return trace

    def test_a_new_tasklet_is_not_traced(self):
        def function():
            self.log.append((sys.gettrace(), sys.getprofile()))
            self.other()

        events = []
        tasklet(function)()
        trace = self.tracer("main", events)
        sys.settrace(trace)
        run()
        still = sys.gettrace()
        sys.settrace(None)
        self.assertIs(still, trace)
        self.assertEqual(self.log, [(None, None)])
        self.assertEqual([event for event in events if event[2] in ("function", "other")], [])

    def other(self):
        pass

    def test_tracing_ends_with_the_tasklet(self):
        events = []

        def function():
            sys.settrace(self.tracer("function", events))
            self.other()

        tasklet(function)()
        run()
        self.assertIsNone(sys.gettrace())
        self.other()
        self.assertEqual(events, [("function", "call", "other"), ("function", "line", "other"),
                                  ("function", "return", "other")])

    def test_only_its_own_events(self):
        events = []

        def traced(name):
            sys.settrace(self.tracer(name, events))
            for _ in range(3):
                self.other()
                schedule()
            sys.settrace(None)

        def untraced():
            for _ in range(3):
                self.other()
                schedule()
                self.log.append(sys.gettrace())

        tasklet(traced)("a")
        tasklet(untraced)()
        tasklet(traced)("b")
        run()
        one = [("call", "other"), ("line", "other"), ("return", "other")]
        self.assertEqual(events, [(name, *event) for _ in range(3) for name in "ab" for event in one])
        self.assertEqual(self.log, [None] * 3)

    def test_profiling(self):
        events = []

        def profile(name):
            def function(frame, event, arg):
                events.append((name, event, arg.__name__ if event.startswith("c_") else frame.f_code.co_name))

            return function

        def profiled(name):
            sys.setprofile(profile(name))
            self.other()
            schedule()
            self.other()
            sys.setprofile(None)

        tasklet(profiled)("a")
        tasklet(profiled)("b")
        run()
        self.assertIsNone(sys.getprofile())
        for name in "ab":
            mine = [event[1:] for event in events if event[0] == name]
            self.assertEqual(mine, [("call", "other"), ("return", "other"), ("c_call", "schedule"),
                                    ("c_return", "schedule"), ("call", "other"), ("return", "other"),
                                    ("c_call", "setprofile")])

    def test_main_profiles_and_runs_tasklets(self):
        events = []

        def profile(frame, event, arg):
            events.append((event, arg.__name__ if event.startswith("c_") else frame.f_code.co_name))

        tasklet(self.other)()
        sys.setprofile(profile)
        run()
        sys.setprofile(None)
        self.assertEqual(events, [("c_call", "run"), ("c_return", "run"), ("c_call", "setprofile")])

    def test_local_trace_functions(self):
        """f_trace goes on after a switch, line by line."""
        lines = []

        def trace(frame, event, arg):
            if frame.f_code is function.__code__:
                lines.append((event, frame.f_lineno - function.__code__.co_firstlineno))
                return trace

        def function():
            schedule()
            schedule()
            return 1

        def starter():
            sys.settrace(trace)
            function()
            sys.settrace(None)

        tasklet(starter)()
        tasklet(schedule)()
        run()
        self.assertEqual(lines, [("call", 0), ("line", 1), ("line", 2), ("line", 3), ("return", 3)])

    def test_a_switch_inside_the_trace_function(self):
        """The others are not traced meanwhile, and the trace function goes on where it was."""
        def trace(frame, event, arg):
            if frame.f_code is self.other.__func__.__code__:
                self.log.append(event)
                schedule()
                self.log.append("back")

        def function():
            sys.settrace(trace)
            self.other()
            self.log.append(sys.gettrace() is trace)
            sys.settrace(None)

        tasklet(function)()
        tasklet(lambda: self.log.append(sys.gettrace()))()
        run()
        self.assertEqual(self.log, ["call", None, "back", True])


class TestOther(StateCase):
    def test_ids(self):
        ids = [getcurrent()]
        tasklet(lambda: ids.append(getcurrent()))()
        tasklet(lambda: ids.append(getmain()))()
        run()
        self.assertEqual(ids[2], ids[0])
        self.assertNotEqual(ids[1], ids[0])

    def test_a_thread_that_only_runs_a_generator(self):
        """Its main tasklet has no frame of its own on a frame stack."""
        def numbers():
            tasklet(self.log.append)("tasklet")
            run()
            self.log.append("back")
            done.release()
            yield

        done = _thread.allocate_lock()
        done.acquire()
        _thread.start_new_thread(numbers().__next__, ())
        self.assertTrue(done.acquire(timeout=60))
        self.assertEqual(self.log, ["tasklet", "back"])

    def test_main_switches_inside_a_deep_destructor(self):
        """What other tasklets drop meanwhile is freed at once, as if main were not deep in deallocations."""
        log = []

        class Loud:
            def __del__(self):
                log.append('freed')

        def other():
            box = Loud()
            for _ in range(20):
                box = [box]
            del box
            log.append('after')

        class Bottom:
            def __del__(self):
                tasklet(other)()
                run()

        # The base defers what is dropped more than 50 deallocations deep.
        chain = Bottom()
        for _ in range(30):
            chain = [chain]
        del chain
        self.assertEqual(log, ['freed', 'after'])

    def test_asyncgen_hooks_belong_to_the_thread(self):
        hooks = sys.get_asyncgen_hooks()
        tasklet(lambda: self.log.append(sys.get_asyncgen_hooks()))()
        run()
        self.assertEqual(self.log, [hooks])


if __name__ == "__main__":
    unittest.main()
