"""The life of a tasklet: binding, starting, pausing, ending, and what its attributes say meanwhile."""

import builtins
import datetime
import gc
import pickle
import unittest
import weakref

import stackless
from stackless import channel, getcurrent, getmain, getruncount, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches


def nothing():
    pass


class TaskletCase(LeavesNoTasklets, unittest.TestCase):
    def assert_state(self, t, alive=False, scheduled=False, paused=False, blocked=False):
        """All four at once, as real bools."""
        self.assertEqual(dict(alive=t.alive, scheduled=t.scheduled, paused=t.paused, blocked=t.blocked),
                         dict(alive=alive, scheduled=scheduled, paused=paused, blocked=blocked))
        for value in t.alive, t.scheduled, t.paused, t.blocked:
            self.assertIsInstance(value, bool)


class TestLifeCycle(TaskletCase):
    def test_unbound(self):
        self.assert_state(tasklet())

    def test_bound(self):
        self.assert_state(tasklet(nothing))

    def test_scheduled_by_a_call(self):
        t = tasklet(nothing)
        self.assertIs(t(), t)
        self.assert_state(t, alive=True, scheduled=True)
        run()
        self.assert_state(t)

    def test_scheduled_by_setup(self):
        t = tasklet(nothing)
        self.assertIs(t.setup(), t)
        self.assert_state(t, alive=True, scheduled=True)
        run()

    def test_current(self):
        seen = []
        t = tasklet(lambda: seen.append((getcurrent(), t.alive, t.scheduled, t.paused, t.blocked)))()
        run()
        self.assertEqual(seen, [(t, True, True, False, False)])

    def test_paused_by_schedule_remove(self):
        t = tasklet(schedule_remove)()
        run()
        self.assert_state(t, alive=True, paused=True)
        t.insert()
        self.assert_state(t, alive=True, scheduled=True)
        run()
        self.assert_state(t)

    def test_paused_by_remove(self):
        t = tasklet(nothing)()
        self.assertIs(t.remove(), t)
        self.assert_state(t, alive=True, paused=True)
        self.assertIs(t.insert(), t)
        run()
        self.assert_state(t)

    def test_blocked(self):
        ch = channel()
        for function, args in ((ch.receive, ()), (ch.send, (None,))):
            t = tasklet(function)(*args)
            run()
            self.assert_state(t, alive=True, scheduled=True, blocked=True)
            ch.send(None) if ch.balance < 0 else ch.receive()
            run()
            self.assert_state(t)

    def test_a_dead_tasklet_can_be_bound_again(self):
        log = []
        t = tasklet(log.append)("first")
        run()
        self.assertIs(t.bind(log.append), t)
        t("second")
        run()
        self.assertEqual(log, ["first", "second"])

    def test_a_dead_tasklet_has_forgotten_its_function(self):
        t = tasklet(nothing)()
        run()
        with self.assertRaisesRegex(RuntimeError, "not bound to a function"):
            t()

    def test_main(self):
        main = getmain()
        self.assertIs(main, getcurrent())
        self.assert_state(main, alive=True, scheduled=True)
        self.assertTrue(main.is_main)
        self.assertTrue(main.is_current)

    def test_main_seen_from_a_tasklet(self):
        seen = []

        def look():
            main = getmain()
            seen.append((main.is_main, main.is_current, main.alive, main.scheduled, main.paused))
            seen.append((getcurrent().is_main, getcurrent().is_current))

        tasklet(look)()
        run()
        self.assertEqual(seen, [(True, False, True, False, True), (False, True)])
        tasklet(look)()
        schedule()
        self.assertEqual(seen[2], (True, False, True, True, False))

    def test_the_result_is_dropped(self):
        class Result:
            pass

        refs = []

        def function():
            result = Result()
            refs.append(weakref.ref(result))
            return result

        t = tasklet(function)()
        self.assertIsNone(t.run())
        self.assertIsNone(refs[0]())
        self.assertIsNone(t.tempval)


class TestArguments(TaskletCase):
    def call(test, /, *args, **kwargs):
        """What a function gets that is started by tasklet(...)(*args, **kwargs)."""
        got = []

        def function(*args, **kwargs):
            got.append((args, kwargs))

        tasklet(function)(*args, **kwargs)
        run()
        return got[0]

    def test_none(self):
        self.assertEqual(self.call(), ((), {}))

    def test_positional(self):
        self.assertEqual(self.call(1, "two", [3]), ((1, "two", [3]), {}))

    def test_keywords(self):
        self.assertEqual(self.call(1, x=2, self=3, func=4), ((1,), {"x": 2, "self": 3, "func": 4}))

    def test_defaults_and_keyword_only(self):
        got = []

        def function(a, b=2, /, c=3, *rest, d, e=5, **others):
            got.append((a, b, c, rest, d, e, others))

        tasklet(function)(1, d=4)
        tasklet(function)(1, 22, 33, 44, 55, d=4, f=6)
        run()
        self.assertEqual(got, [(1, 2, 3, (), 4, 5, {}), (1, 22, 33, (44, 55), 4, 5, {"f": 6})])

    def test_wrong_arguments_are_an_error_of_the_tasklet(self):
        t = tasklet(lambda a: None)(1, 2)
        with self.assertRaisesRegex(TypeError, r"takes 1 positional argument but 2 were given"):
            run()
        self.assertFalse(t.alive)
        t = tasklet(lambda a: None)(b=1)
        with self.assertRaisesRegex(TypeError, r"got an unexpected keyword argument 'b'"):
            run()
        self.assertFalse(t.alive)

    def test_kwargs_are_copied(self):
        got = []
        kwargs = {"x": 1}
        t = tasklet(lambda **kw: got.append(kw), (), kwargs)
        kwargs["x"] = 2
        t.run()
        self.assertEqual(got, [{"x": 1}])

    def test_callables_of_all_sorts(self):
        log = []

        class Callable:
            def __call__(self, x):
                log.append(("__call__", x))

            def method(self, x):
                log.append(("method", x))

            @classmethod
            def class_method(cls, x):
                log.append((cls, x))

            @staticmethod
            def static_method(x):
                log.append(("static", x))

        class Instantiated:
            def __init__(self, x):
                log.append((type(self).__name__, x))

        for function in (Callable(), Callable().method, Callable.class_method, Callable.static_method,
                         Instantiated, log.append, lambda x: log.append(("lambda", x))):
            tasklet(function)(1)
        run()
        self.assertEqual(log, [("__call__", 1), ("method", 1), (Callable, 1), ("static", 1),
                               ("Instantiated", 1), 1, ("lambda", 1)])

    def test_a_generator_function_is_called_and_not_run(self):
        log = []

        def generator():
            log.append("runs")
            yield

        t = tasklet(generator)()
        run()
        self.assertEqual(log, [])
        self.assertFalse(t.alive)

    def test_a_switching_function_as_the_tasklet_itself(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        self.assertTrue(t.blocked)
        ch.send(1)
        self.assertFalse(t.alive)
        t = tasklet(schedule)("value")
        t.run()
        self.assertTrue(t.alive)
        run()
        self.assertFalse(t.alive)

    def test_a_c_function_that_imports(self):
        """It finds globals that have __builtins__, as it does in a thread of its own; builtins are not them."""
        t = tasklet(datetime.datetime.strptime)("1999", "%Y")
        copy = pickle.loads(pickle.dumps(t))
        run()
        copy.insert()
        run()
        self.assertEqual((t.alive, copy.alive), (False, False))
        tasklet(exec)("defined_by_exec = 1")
        run()
        self.assertFalse(hasattr(builtins, "defined_by_exec"))

    def test_run_as_the_tasklet_itself(self):
        log = []
        t = tasklet(run)()
        tasklet(log.append)(1)
        run()
        self.assertEqual(log, [1])
        self.assertFalse(t.alive)


class TestFirstFrame(TaskletCase):
    """The frame of a Python function with plain arguments is built when the tasklet is set up."""

    def test_cells_and_free_variables(self):
        log = []

        def function(x, y):
            def inner():
                nonlocal x
                x += y
                return x
            log.append((inner(), inner()))

        tasklet(function)(1, 2)
        run()
        self.assertEqual(log, [(3, 5)])

    def test_bound_method(self):
        class Thing:
            def method(self, x):
                self.x = x

        thing = Thing()
        tasklet(thing.method)(5)
        tasklet(Thing.method).setup(thing, 6)
        run()
        self.assertEqual(thing.x, 6)

    def test_a_loop_of_setups_specialises_to_the_same(self):
        log = []
        for i in range(50):
            tasklet(log.append if i % 7 == 0 else lambda x: log.append(x))(i)
        run()
        self.assertEqual(log, list(range(50)))

    def test_not_started_it_has_no_frame(self):
        t = tasklet(lambda x: x)(1)
        self.assertIsNone(t.frame)
        self.assertEqual(t.recursion_depth, 0)
        self.assertTrue(t.alive and t.scheduled and t.restorable)
        t.remove()

    def test_killed_before_it_starts(self):
        def function(x):
            try:
                self.fail("it has run")
            finally:
                self.fail("its finally has run")

        t = tasklet(function)(1)
        t.kill()
        self.assertFalse(t.alive)

    def test_an_exception_before_it_starts_passes_no_line_of_it(self):
        seen = []

        def function(x):
            self.fail("it has run")

        t = tasklet(function)(1)
        try:
            t.throw(ZeroDivisionError("thrown"))
        except ZeroDivisionError as error:
            traceback = error.__traceback__
            while traceback is not None:
                seen.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
        self.assertTrue(seen)
        self.assertNotIn("function", seen)

    def test_what_it_holds_is_dropped_with_it(self):
        class Thing:
            pass

        thing = Thing()
        gone = weakref.ref(thing)
        t = tasklet(lambda x: x)(thing)
        del thing
        t.remove()
        self.assertIsNotNone(gone())
        del t
        self.assertIsNone(gone())

    def test_its_first_call_is_traced(self):
        events = []

        def function(x):
            return x

        def tracer(frame, event, arg):
            if frame.f_code is function.__code__:
                events.append((event, frame.f_lineno - function.__code__.co_firstlineno))
            return tracer

        t = tasklet(function)(1)
        t.trace_function = tracer
        run()
        self.assertEqual(events, [("call", 0), ("line", 1), ("return", 1)])

    def test_a_generator_function_makes_its_generator(self):
        made = []

        def function(x):
            yield x

        tasklet(lambda x: made.append(function(x)))(3)
        tasklet(function)(4)
        run()
        self.assertEqual(list(made[0]), [3])


class TestBind(TaskletCase):
    def test_returns_the_tasklet(self):
        t = tasklet()
        self.assertIs(t.bind(nothing), t)
        self.assertIs(t.bind(), t)
        self.assertIs(t.bind(nothing, ()), t)

    def test_with_args_it_is_paused(self):
        log = []
        t = tasklet(log.append, ("x",))
        self.assert_state(t, alive=True, paused=True)
        run()
        self.assertEqual(log, [])
        t.insert()
        run()
        self.assertEqual(log, ["x"])

    def test_args_and_kwargs_in_all_forms(self):
        log = []

        def function(*args, **kwargs):
            log.append((args, kwargs))

        tasklet(function, (1,), {"a": 2}).insert()
        tasklet(function, [1]).insert()
        tasklet(function, kwargs={"a": 2}).insert()
        tasklet(function, None, {}).insert()
        tasklet(func=function, args=()).insert()
        tasklet().bind(function, args=(3,), kwargs=None).insert()
        run()
        self.assertEqual(log, [((1,), {"a": 2}), ((1,), {}), ((), {"a": 2}), ((), {}), ((), {}), ((3,), {})])

    def test_args_for_the_function_it_has(self):
        log = []
        t = tasklet(log.append)
        t.bind(None, ("x",))
        self.assert_state(t, alive=True, paused=True)
        t.run()
        self.assertEqual(log, ["x"])

    def test_a_second_function_replaces_the_first(self):
        log = []
        t = tasklet(log.append).bind(log.extend)
        t([1, 2])
        run()
        self.assertEqual(log, [1, 2])

    def test_unbinding(self):
        t = tasklet(nothing).bind()
        with self.assertRaisesRegex(RuntimeError, "not bound to a function"):
            t()
        with self.assertRaisesRegex(RuntimeError, "not bound to a function"):
            t.bind(None, ())

    @needs_soft_switches
    def test_unbinding_a_paused_one_skips_its_finally(self):
        log = []

        def function():
            try:
                schedule_remove()
            finally:
                log.append("finally")

        t = tasklet(function)()
        run()
        t.bind()
        self.assert_state(t)
        gc.collect()
        self.assertEqual(log, [])

    @needs_soft_switches
    def test_binding_a_paused_one_anew(self):
        log = []

        def function():
            schedule_remove()
            log.append("never")

        t = tasklet(function)()
        run()
        t.bind(log.append)("new")
        run()
        self.assertEqual(log, ["new"])

    def test_not_callable(self):
        for what in 1, "print", ():
            with self.assertRaisesRegex(TypeError, "callable"):
                tasklet(what)
            with self.assertRaisesRegex(TypeError, "callable"):
                tasklet().bind(what)

    def test_args_of_wrong_type(self):
        for wrong in 1, "ab", {}:
            with self.assertRaises(TypeError):
                tasklet(nothing, wrong)
        for wrong in 1, "ab", [], ():
            with self.assertRaises(TypeError):
                tasklet(nothing, (), wrong)
        with self.assertRaises(TypeError):
            tasklet(nothing, (), {}, None)
        with self.assertRaises(TypeError):
            tasklet(function=nothing)

    def test_scheduled(self):
        t = tasklet(nothing)()
        with self.assertRaisesRegex(RuntimeError, "scheduled"):
            t.bind(nothing)
        with self.assertRaisesRegex(RuntimeError, "scheduled"):
            t.bind()
        run()

    def test_blocked(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        with self.assertRaisesRegex(RuntimeError, "blocked"):
            t.bind(nothing)
        self.assertEqual(ch.balance, -1)
        ch.send(None)

    def test_current(self):
        errors = []

        def function():
            for arguments in ((nothing,), (), (None, ())):
                try:
                    getcurrent().bind(*arguments)
                except RuntimeError as error:
                    errors.append(str(error))

        tasklet(function)()
        run()
        self.assertEqual(len(errors), 3)
        self.assertIn("current", errors[0])

    def test_main(self):
        with self.assertRaises(RuntimeError):
            getmain().bind()
        errors = []

        def function():
            try:
                getmain().bind()
            except RuntimeError as error:
                errors.append(error)

        tasklet(function)()
        run()
        self.assertEqual(len(errors), 1)

    def test_no_function_ever(self):
        with self.assertRaisesRegex(RuntimeError, "not bound to a function"):
            tasklet().bind(None, ())
        with self.assertRaisesRegex(RuntimeError, "not bound to a function"):
            tasklet()()


class TestErrors(TaskletCase):
    def test_setup_of_one_that_is_alive(self):
        t = tasklet(nothing)()
        for method in t, t.setup:
            with self.assertRaisesRegex(RuntimeError, "tasklet is alive"):
                method()
        run()

    def test_insert(self):
        with self.assertRaises(RuntimeError):
            tasklet().insert()
        with self.assertRaises(RuntimeError):
            tasklet(nothing).insert()
        t = tasklet(nothing)()
        run()
        with self.assertRaises(RuntimeError):
            t.insert()

    def test_insert_and_remove_of_a_blocked_one(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        with self.assertRaisesRegex(RuntimeError, "blocked"):
            t.insert()
        with self.assertRaisesRegex(RuntimeError, "blocked"):
            t.remove()
        with self.assertRaisesRegex(RuntimeError, "blocked"):
            t.run()
        self.assertEqual(ch.balance, -1)
        ch.send(None)

    def test_remove_of_current(self):
        with self.assertRaisesRegex(RuntimeError, "current"):
            getcurrent().remove()
        self.assertEqual(getruncount(), 1)

    def test_run_of_a_dead_one(self):
        for t in tasklet(), tasklet(nothing):
            with self.assertRaises(RuntimeError):
                t.run()

    def test_running_oneself_does_nothing(self):
        self.assertIsNone(getcurrent().run())
        log = []

        def function():
            getcurrent().run()
            log.append("after")

        tasklet(function)()
        run()
        self.assertEqual(log, ["after"])

    def test_insert_twice_and_remove_twice(self):
        t = tasklet(nothing)()
        self.assertIs(t.insert(), t)
        self.assertEqual(getruncount(), 2)
        t.remove()
        self.assertIs(t.remove(), t)
        self.assertEqual(getruncount(), 1)
        t.run()

    def test_attributes_are_read_only(self):
        t = tasklet(nothing)
        for name in ("alive", "paused", "scheduled", "blocked", "is_main", "is_current", "next", "prev",
                     "frame"):
            with self.subTest(name), self.assertRaises(AttributeError):
                setattr(t, name, 1)
        with self.assertRaises(AttributeError):
            t.anything = 1


class TestAttributes(TaskletCase):
    def test_tempval_delivers_a_value(self):
        got = []
        t = tasklet(lambda: got.append(schedule_remove("own")))()
        run()
        self.assertEqual(t.tempval, "own")
        t.tempval = "changed"
        t.run()
        self.assertEqual(got, ["changed"])

    def test_next_and_prev_of_the_run_queue(self):
        a, b = tasklet(nothing)(), tasklet(nothing)()
        main = getcurrent()
        self.assertEqual([main.next, a.next, b.next], [a, b, main])
        self.assertEqual([main.prev, a.prev, b.prev], [b, main, a])
        a.remove()
        self.assertEqual([a.next, a.prev], [None, None])
        self.assertEqual([main.next, b.next], [b, main])
        run()
        a.run()

    def test_next_and_prev_of_a_channel(self):
        ch = channel()
        a, b = tasklet(ch.receive)(), tasklet(ch.receive)()
        run()
        self.assertEqual([a.prev, a.next, b.prev, b.next], [None, b, a, None])
        ch.send(1)
        ch.send(1)

    def test_frame(self):
        def inner():
            schedule_remove()

        def outer():
            inner()

        t = tasklet(outer)
        self.assertIsNone(t.frame)
        t()
        self.assertIsNone(t.frame)
        run()
        self.assertEqual(t.frame.f_code.co_name, "inner")
        self.assertEqual(t.frame.f_back.f_code.co_name, "outer")
        self.assertIsNone(t.frame.f_back.f_back)
        t.run()
        self.assertIsNone(t.frame)

    def test_frame_of_the_current_tasklet(self):
        self.assertIs(getcurrent().frame.f_code, TestAttributes.test_frame_of_the_current_tasklet.__code__)

    def test_block_trap(self):
        ch = channel()
        errors = []

        def function():
            getcurrent().block_trap = True
            for action in (ch.receive, lambda: ch.send(1)):
                try:
                    action()
                except RuntimeError as error:
                    errors.append(error)
            getcurrent().block_trap = False
            ch.receive()
            errors.append("received")

        t = tasklet(function)()
        self.assertFalse(t.block_trap)
        run()
        self.assertEqual(len(errors), 2)
        self.assertEqual(ch.balance, -1)
        ch.send(None)
        self.assertEqual(errors[2], "received")

    def test_block_trap_allows_what_does_not_block(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        getcurrent().block_trap = True
        try:
            ch.send(1)
        finally:
            getcurrent().block_trap = False
        self.assertFalse(t.alive)

    def test_block_trap_takes_a_number(self):
        t = tasklet()
        t.block_trap = 1
        self.assertTrue(t.block_trap)
        t.block_trap = 0
        self.assertFalse(t.block_trap)
        for wrong in None, "yes":
            with self.assertRaises(TypeError):
                t.block_trap = wrong


class TestSwitch(TaskletCase):
    def test_the_caller_of_switch_is_paused(self):
        main = getcurrent()
        seen = []

        def function():
            seen.append((main.paused, getruncount()))

        t = tasklet(function)()
        self.assertIsNone(t.switch())
        self.assertEqual(seen, [(True, 1)])

    def test_switch_back(self):
        log = []
        main = getmain()

        def function():
            log.append("t1")
            main.switch()
            log.append("t2")

        t = tasklet(function)()
        t.switch()
        log.append("main")
        self.assertTrue(t.paused)
        t.run()
        self.assertEqual(log, ["t1", "main", "t2"])

    def test_switch_to_oneself_and_to_nobody(self):
        self.assertIsNone(getcurrent().switch())
        with self.assertRaises(RuntimeError):
            tasklet().switch()


class TestObject(TaskletCase):
    def test_type(self):
        self.assertEqual(tasklet.__module__, "_stackless")
        self.assertEqual(tasklet.__name__, "tasklet")
        self.assertTrue(repr(tasklet()).startswith("<_stackless.tasklet object at 0x"))

    def test_identity(self):
        a, b = tasklet(nothing), tasklet(nothing)
        self.assertEqual(len({a, b, a}), 2)
        self.assertNotEqual(a, b)

    def test_weak_reference(self):
        t = tasklet(nothing)
        ref = weakref.ref(t)
        self.assertIs(ref(), t)
        t()
        del t
        self.assertIsNotNone(ref(), "the run queue keeps it")
        run()
        self.assertIsNone(ref())

    def test_subclass(self):
        class Named(tasklet):
            def __init__(self, name, function):
                super().__init__(function)
                self.name = name

            def setup(self, *args):
                return super().setup(self.name, *args)

            __call__ = setup

        log = []
        t = Named("me", lambda *args: log.append((getcurrent().name, *args)))
        t(1)
        self.assertIs(getcurrent().next, t)
        run()
        self.assertEqual(log, [("me", "me", 1)])

    def test_subclass_with_other_arguments(self):
        class Other(tasklet):
            def __new__(cls, *args, **kwargs):
                return super().__new__(cls)

            def __init__(self, *, callback):
                super().__init__()
                self.bind(callback)

        log = []
        Other(callback=log.append)("x")
        run()
        self.assertEqual(log, ["x"])

    def test_init_again(self):
        log = []
        t = tasklet(log.append)
        t.__init__(log.extend)
        t("ab")
        run()
        self.assertEqual(log, ["a", "b"])

    def test_uninitialised(self):
        t = tasklet.__new__(tasklet, "ignored", key="ignored")
        self.assertFalse(t.alive)
        t.bind(nothing)()
        run()

    def test_the_module_names_what_the_guide_names(self):
        for name in ("tasklet", "channel", "run", "schedule", "schedule_remove", "getcurrent", "getmain",
                     "getruncount"):
            with self.subTest(name):
                self.assertTrue(hasattr(stackless, name))
                self.assertIn(name, stackless.__all__)

    def test_docstrings(self):
        for what in (tasklet, tasklet.bind, tasklet.setup, tasklet.run, tasklet.insert, tasklet.remove,
                     channel, channel.send, channel.receive,
                     run, schedule, schedule_remove, getcurrent, getmain, getruncount):
            with self.subTest(what):
                self.assertTrue(what.__doc__)


if __name__ == "__main__":
    unittest.main()
