"""Context variables of tasklets; threads they are bound to; trace and profile functions of sleeping ones."""

import contextvars
import sys
import threading
import unittest
from operator import call

import stackless
from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from . import interpreters
from .cases import LeavesNoTasklets, needs_soft_switches

variable = contextvars.ContextVar("variable", default="unset")


class ContextCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []

    def paused(self, function=schedule_remove, *args):
        t = tasklet(function)(*args)
        t.run()
        self.assertTrue(t.paused)
        return t


class TestSharing(ContextCase):
    def test_a_new_tasklet_shares_its_creators_context(self):
        self.assertEqual(tasklet(int).context_id, getcurrent().context_id)

        def body():
            variable.set("by the tasklet")
        token = variable.set("before")
        tasklet(body)()
        run()
        self.assertEqual(variable.get(), "by the tasklet")
        variable.reset(token)

    def test_each_has_a_current_context_of_its_own(self):
        def body(name):
            variable.set(name)
            schedule()
            self.log.append(variable.get())
        for name in "ab":
            contextvars.Context().run(tasklet(body).set_context(contextvars.Context()), name)
        run()
        self.assertEqual(self.log, ["a", "b"])
        self.assertEqual(variable.get(), "unset")


class TestSetContext(ContextCase):
    def test_of_one_that_waits_for_its_arguments(self):
        context = contextvars.Context()
        t = tasklet(lambda: self.log.append(variable.get()))
        self.assertIs(t.set_context(context), t)
        self.assertEqual(t.context_id, id(context))
        context.run(variable.set, "in context")
        t()
        run()
        self.assertEqual(self.log, ["in context"])

    def test_of_the_current_one(self):
        def body():
            context = contextvars.Context()
            context.run(variable.set, "in context")
            getcurrent().set_context(context)
            self.log.append((variable.get(), getcurrent().context_id == id(context)))
        tasklet(body).set_context(contextvars.Context())()
        run()
        self.assertEqual(self.log, [("in context", True)])

    def test_of_a_suspended_one(self):
        t = self.paused(lambda: (schedule_remove(), self.log.append(variable.get())))
        context = contextvars.Context()
        context.run(variable.set, "in context")
        t.set_context(context)
        t.run()
        self.assertEqual(self.log, ["in context"])

    def test_an_entered_context_stays(self):
        context = contextvars.Context()
        t = tasklet(lambda: context.run(schedule_remove)).set_context(contextvars.Context())()
        t.run()
        with self.assertRaisesRegex(RuntimeError, "has been entered"):
            t.set_context(contextvars.Context())
        t.run()
        t.set_context(contextvars.Context())

    def test_bad_arguments(self):
        for bad in None, 3, {}, variable:
            with self.assertRaisesRegex(TypeError, "contextvars.Context"):
                tasklet().set_context(bad)
        self.assertRaises(TypeError, tasklet().set_context)

    def test_of_one_scheduled_in_another_thread(self):
        made, stop = [], threading.Event()
        ready = threading.Event()

        def work():
            made.append(tasklet(int)())
            ready.set()
            stop.wait()
            run()
        thread = threading.Thread(target=work)
        thread.start()
        ready.wait()
        try:
            with self.assertRaisesRegex(RuntimeError, "another thread"):
                made[0].set_context(contextvars.Context())
        finally:
            stop.set()
            thread.join()


class TestContextRun(ContextCase):
    def setUp(self):
        super().setUp()
        self.t = tasklet().set_context(contextvars.Context())

    def test_in_the_context_of_the_tasklet(self):
        self.t.context_run(variable.set, 5)
        self.assertEqual(variable.get(), "unset")
        self.assertEqual(self.t.context_run(variable.get), 5)

    def test_arguments_and_result(self):
        def function(*args, **kwargs):
            return variable.get(), args, kwargs
        self.t.context_run(variable.set, 5)
        self.assertEqual(self.t.context_run(function, 1, 2, x=3), (5, (1, 2), {"x": 3}))
        self.assertEqual(list(map(self.t.context_run, [function])), [(5, (), {})])

    def test_an_error_leaves_the_context(self):
        for call in self.t.context_run, lambda f: list(map(self.t.context_run, [f])):
            with self.assertRaises(ZeroDivisionError):
                call(lambda: 1 / 0)
            self.assertEqual(variable.get(), "unset")

    def test_with_the_own_context(self):
        self.assertEqual(getcurrent().context_run(lambda: getcurrent().context_id), getcurrent().context_id)

    def test_bad_arguments(self):
        for args in (), (3,), (None, 1):
            with self.assertRaises(TypeError):
                self.t.context_run(*args)
            with self.assertRaises(TypeError):
                list(map(lambda args: self.t.context_run(*args), [args]))
        self.assertEqual(variable.get(), "unset")

    @needs_soft_switches
    def test_a_switch_inside_is_soft(self):
        def function():
            schedule_remove()
            self.log.append(variable.get())
        self.t.context_run(variable.set, 5)
        runner = tasklet(lambda: self.t.context_run(function))()
        runner.run()
        self.assertEqual((runner.nesting_level, variable.get()), (0, "unset"))
        self.assertEqual(runner.context_id, self.t.context_id)
        runner.run()
        self.assertEqual(self.log, [5])

    def test_killed_inside(self):
        runner = tasklet(lambda: self.t.context_run(schedule_remove))()
        runner.run()
        runner.kill()
        self.assertFalse(runner.alive)
        self.assertEqual(variable.get(), "unset")

    def test_nested_and_repeated(self):
        other = tasklet().set_context(contextvars.Context())
        for i in range(100):
            self.t.context_run(variable.set, i)
            other.context_run(variable.set, -i)
            self.assertEqual(self.t.context_run(lambda: (other.context_run(variable.get), variable.get())),
                             (-i, i))


class TestUnpicklableState(unittest.TestCase):
    def test_context(self):
        context = contextvars.Context()
        t = tasklet(int).set_context(context)
        self.assertEqual(stackless._tasklet_get_unpicklable_state(t), {"context": context})
        self.assertRaises(TypeError, stackless._tasklet_get_unpicklable_state, 3)


class TestThreads(ContextCase):
    def test_getthreads(self):
        stop, ready = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: (ready.set(), stop.wait()))
        thread.start()
        ready.wait()
        try:
            self.assertEqual(stackless.threads[0], threading.main_thread().ident)
            self.assertIn(thread.ident, stackless.getthreads())
        finally:
            stop.set()
            thread.join()
        self.assertNotIn(thread.ident, stackless.getthreads())

    def test_get_thread_info(self):
        here = getmain(), getcurrent(), stackless.getruncount()
        for args in (), (-1,), (threading.get_ident(),):
            self.assertEqual(stackless.get_thread_info(*args), here)
        self.assertEqual(stackless.get_thread_info(thread_id=-1), here)
        for bad in "1", 1.5, None:
            self.assertRaises(TypeError, stackless.get_thread_info, bad)
        for unknown in 1, -2, 1 << 70, -1 << 70:
            self.assertRaisesRegex(RuntimeError, f"Thread id not found: {unknown}", stackless.get_thread_info, unknown)

    @needs_soft_switches
    def test_bind_thread_takes_over_what_a_thread_left(self):
        made = []

        def body():
            schedule_remove()
            self.log.append(threading.get_ident())

        def work():
            made.append(tasklet(body)())
            run()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        t, = made
        self.assertEqual((t.alive, t.thread_id), (False, -1))
        t.bind_thread()
        self.assertEqual((t.alive, t.paused, t.thread_id), (True, True, threading.get_ident()))
        t.insert()
        run()
        self.assertEqual(self.log, [threading.get_ident()])

    def test_bind_thread_refusals(self):
        scheduled = tasklet(int)()
        with self.assertRaisesRegex(RuntimeError, r"can't \(re\)bind a runnable tasklet"):
            scheduled.bind_thread()
        run()
        with self.assertRaisesRegex(RuntimeError, "main tasklet"):
            getmain().bind_thread()
        pinned = self.paused(lambda: call(lambda: schedule_remove()))
        with self.assertRaisesRegex(RuntimeError, "C functions"):
            pinned.bind_thread()
        pinned.kill()
        t = tasklet()
        self.assertRaisesRegex(ValueError, "bad thread", t.bind_thread, 1)
        self.assertRaises(OverflowError, t.bind_thread, -2)
        self.assertRaises(TypeError, t.bind_thread, "1")
        self.assertIsNone(t.bind_thread())
        self.assertIsNone(t.bind_thread(-1))
        self.assertIsNone(t.bind_thread(thread_id=threading.get_ident()))

    @needs_soft_switches
    def test_a_blocked_one_may_be_bound(self):
        ch = channel()
        t = tasklet(lambda: self.log.append(ch.receive()))()
        t.run()
        t.bind_thread(threading.get_ident())
        ch.send(1)
        run()
        self.assertEqual(self.log, [1])

    def test_bind_thread_keeps_the_name(self):
        made = []
        thread = threading.Thread(target=lambda: made.append(tasklet()))
        thread.start()
        thread.join()
        made[0].name = "orphan"
        made[0].bind_thread()
        self.assertEqual(made[0].name, "orphan")


class TracedCase(ContextCase):
    """Leaves trace and profile functions as they were, and has a tracer that logs the events of traced()."""

    def setUp(self):
        super().setUp()
        for module in sys, threading:
            self.addCleanup(module.settrace, module.gettrace())
            self.addCleanup(module.setprofile, module.getprofile())

    def tracer(self, frame, event, arg):
        if frame.f_code.co_name == "traced":
            self.log.append(event)
        return self.tracer

    def traced(self):
        pass


class TestTraceFunctions(TracedCase):
    """tasklet.trace_function and profile_function."""

    def body(self):
        schedule_remove()
        self.traced()

    def test_of_a_suspended_one(self):
        t = self.paused(self.body)
        before = sys.gettrace()
        self.assertIsNone(t.trace_function)
        t.trace_function = self.tracer
        self.assertEqual(t.trace_function, self.tracer)
        self.assertIs(sys.gettrace(), before)
        t.run()
        self.assertEqual(self.log, ["call", "line", "return"])
        self.assertIs(sys.gettrace(), before)

    def test_profile(self):
        t = self.paused(self.body)
        t.profile_function = self.tracer
        self.assertEqual((t.profile_function, t.trace_function), (self.tracer, None))
        t.run()
        self.assertEqual(self.log, ["call", "return"])

    def test_taken_back_before_it_runs(self):
        t = self.paused(self.body)
        t.trace_function = t.profile_function = self.tracer
        t.trace_function = None
        t.profile_function = None
        self.assertEqual((t.profile_function, t.trace_function), (None, None))
        t.run()
        self.assertEqual(self.log, [])

    def test_of_one_that_never_ran(self):
        t = tasklet(self.traced)()
        t.trace_function = self.tracer
        run()
        self.assertEqual(self.log, ["call", "line", "return"])

    def test_of_the_current_one(self):
        def body():
            getcurrent().trace_function = self.tracer
            self.log.append(sys.gettrace() == self.tracer == getcurrent().trace_function)
            getcurrent().trace_function = None
            getcurrent().profile_function = self.tracer
            self.log.append(sys.getprofile() == self.tracer == getcurrent().profile_function)
            getcurrent().profile_function = None
        tasklet(body)()
        run()
        self.assertEqual(self.log, [True, True])

    def test_where_others_stand_for_sys_settrace(self):
        """Debuggers put functions there that warn of who calls them: they are not called."""
        for name in "settrace", "setprofile":
            self.addCleanup(setattr, sys, name, getattr(sys, name))
            setattr(sys, name, self.log.append)
        interpreters.check_python(self, "-c", """if True:
            import sys
            sys.settrace = sys.setprofile = None
            import stackless
            events = []
            t = stackless.tasklet(lambda: None)()
            t.trace_function = t.profile_function = lambda frame, event, arg: events.append(event)
            stackless.run()
            assert events == ["call", "call", "return"], events
        """)
        t = self.paused(self.body)
        t.trace_function = self.tracer
        t.run()
        self.assertEqual(self.log, ["call", "line", "return"])

    def test_what_sys_settrace_has_set_is_shown(self):
        t = self.paused(lambda: (sys.settrace(self.tracer), schedule_remove()))
        self.assertEqual(t.trace_function, self.tracer)
        t.kill()

    def test_refusals(self):
        for name in "trace_function", "profile_function":
            for t in tasklet(), tasklet(int):
                with self.assertRaisesRegex(RuntimeError, "not alive"):
                    setattr(t, name, self.tracer)
                self.assertIsNone(getattr(t, name))
            t = self.paused()
            for bad in 3, "tracer":
                with self.assertRaises(TypeError):
                    setattr(t, name, bad)
            with self.assertRaises(TypeError):
                delattr(t, name)
            t.kill()

    def test_of_the_current_one_of_another_thread(self):
        ready, stop, made = threading.Event(), threading.Event(), []
        thread = threading.Thread(target=lambda: (made.append(getcurrent()), ready.set(), stop.wait()))
        thread.start()
        ready.wait()
        try:
            with self.assertRaisesRegex(RuntimeError, "another thread"):
                made[0].trace_function = self.tracer
        finally:
            stop.set()
            thread.join()

    def test_a_schedule_callback_that_traces_who_comes(self):
        def callback(prev, next):
            if not next.is_main:
                next.trace_function = self.tracer
        t = self.paused(self.body)
        stackless.set_schedule_callback(callback)
        t.run()
        stackless.set_schedule_callback(None)
        self.assertEqual(self.log, ["call", "line", "return"])


class TestTracedAsThreads(TracedCase):
    """What threading.settrace() and threading.setprofile() set, new tasklets get while their thread is traced."""

    def made(self, make):
        """What a tasklet sees of its own, made by `make` while the thread is traced."""
        sys.settrace(lambda *args: None)
        t = make(self.traced)
        sys.settrace(None)
        run()
        if t.alive:
            t.run()
        return self.log

    def test_every_way_to_make_one(self):
        threading.settrace(self.tracer)
        for make in (lambda f: tasklet(f)(), lambda f: tasklet(f, ()), lambda f: tasklet().bind(f, ()),
                     lambda f: tasklet().bind(f).setup(), lambda f: tasklet(f)(*[], **{}),
                     lambda f: tasklet(lambda x: f())(x=1), lambda f: tasklet(call)(f)):
            self.log.clear()
            self.assertEqual(self.made(make), ["call", "line", "return"])

    def test_profile(self):
        threading.setprofile(self.tracer)
        sys.setprofile(lambda *args: None)
        tasklet(self.traced)()
        sys.setprofile(None)
        run()
        self.assertEqual(self.log, ["call", "return"])

    def test_not_without_it(self):
        """What sys.settrace() has set concerns the current tasklet only."""
        sys.settrace(self.tracer)
        t = tasklet(self.traced)()
        sys.settrace(None)
        self.assertIsNone(t.trace_function)
        run()
        self.assertEqual(self.log, [])

    def test_not_while_the_thread_is_not_traced(self):
        threading.settrace(self.tracer)
        t = tasklet(self.traced)()
        self.assertIsNone(t.trace_function)
        run()

    def test_of_tasklets_that_these_make(self):
        def outer():
            tasklet(self.traced)()
        threading.settrace(self.tracer)
        self.made(lambda f: tasklet(outer)())
        self.assertEqual(self.log, ["call", "line", "return"])

    def test_each_has_its_own(self):
        """One that ends its tracing does not end that of others."""
        def trace(frame, event, arg):
            if frame.f_code.co_name == "stops":
                sys.settrace(None)
            return self.tracer(frame, event, arg) and trace

        def stops():
            schedule()
            self.traced()

        def goes_on():
            schedule()
            self.traced()

        threading.settrace(trace)
        self.made(lambda f: [tasklet(stops)(), tasklet(goes_on)()][0])
        self.assertEqual(self.log, ["call", "line", "return"])

    def test_a_hook_that_is_no_function(self):
        threading.settrace(5)
        sys.settrace(lambda *args: None)
        t = tasklet(self.traced)()
        sys.settrace(None)
        self.assertIsNone(t.trace_function)
        run()

    def test_another_module_of_this_name(self):
        self.addCleanup(sys.modules.__setitem__, "threading", threading)
        for module in object(), None:
            sys.modules["threading"] = module
            self.made(lambda f: tasklet(f)())
        del sys.modules["threading"]
        self.made(lambda f: tasklet(f)())

    def test_an_audit_hook_that_runs_it(self):
        """Code that runs when the function is set may do anything to the tasklet."""
        interpreters.check_python(self, "-c", """if True:
            import stackless, sys, threading
            def audit(event, args):
                if event == "sys.settrace" and made:
                    made.pop().run()
            made, log = [], []
            sys.addaudithook(audit)
            threading.settrace(lambda *args: None)
            sys.settrace(lambda *args: None)
            for _ in range(3):
                t = stackless.tasklet(log.append)
                made.append(t)
                t(1)
                stackless.run()
            sys.settrace(None)
            assert log == [1, 1, 1], log
        """)


if __name__ == "__main__":
    unittest.main()
