"""The functions, methods and attributes of historic Stackless, one by one: signatures, results, errors and their
words. What they do together is tested elsewhere."""

import contextvars
import importlib
import inspect
import sys
import threading
import unittest

import stackless
from stackless import bomb, channel, getcurrent, getmain, run, schedule, schedule_remove, switch_trap, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches

SIGNATURES = {
    "run": "(timeout=0, threadblock=False, soft=False, ignore_nesting=False, totaltimeout=False, *, max_seconds=None)",
    "getcurrent": "()", "getmain": "()", "getruncount": "()", "getcurrentid": "()", "getthreads": "()",
    "get_thread_info": "(thread_id=-1)", "getuncollectables": "()", "getdebug": "()", "switch_trap": "(change=0)",
    "set_schedule_callback": "(callable, /)", "get_schedule_callback": "()",
    "set_channel_callback": "(callable, /)", "get_channel_callback": "()", "set_error_handler": "(handler=None, /)",
    "enable_softswitch": "(flag, /)", "pickle_flags": "(new_flags=-1, mask=-1)",
    "pickle_flags_default": "(new_default=-1, mask=-1)", "_tasklet_get_unpicklable_state": "(tasklet, /)",
    "tasklet.bind": "(self, /, func=None, args=None, kwargs=None)", "tasklet.setup": "(self, /, *args, **kwargs)",
    "tasklet.insert": "(self, /)", "tasklet.remove": "(self, /)", "tasklet.run": "(self, /)",
    "tasklet.switch": "(self, /)", "tasklet.raise_exception": "(self, exc_class, /, *args)",
    "tasklet.throw": "(self, /, exc, val=None, tb=None, pending=False)", "tasklet.kill": "(self, /, pending=False)",
    "tasklet.set_atomic": "(self, flag, /)", "tasklet.set_ignore_nesting": "(self, flag, /)",
    "tasklet.bind_thread": "(self, /, thread_id=-1)", "tasklet.set_context": "(self, context, /)",
    "tasklet.context_run": "(self, callable, /, *args, **kwargs)",
    "channel.send": "(self, value, /)", "channel.receive": "(self, /)",
    "channel.send_exception": "(self, exc, /, *args)", "channel.send_throw": "(self, exc, val=None, tb=None, /)",
    "channel.send_sequence": "(self, iterable, /)", "channel.close": "(self, /)", "channel.open": "(self, /)",
}

READ_ONLY = {
    tasklet: "alive paused scheduled blocked restorable atomic ignore_nesting is_main is_current thread_id next prev "
             "_channel frame recursion_depth nesting_level cstate context_id pinned run_time switch_count",
    channel: "balance queue closing closed",
    bomb: "type value traceback",
}


class ReferenceCase(LeavesNoTasklets, unittest.TestCase):
    def refused(self, error, word, call, *args, **kwargs):
        """The call raises exactly that class of error, and its text has that word, in any case of letters."""
        with self.subTest(call=call, args=args, kwargs=kwargs):
            with self.assertRaises(error) as caught:
                call(*args, **kwargs)
            self.assertIs(type(caught.exception), error)
            self.assertIn(word.lower(), str(caught.exception).lower())

    def attributes(self, thing, **expected):
        self.assertEqual({name: getattr(thing, name) for name in expected}, expected)


class TestNames(ReferenceCase):
    def test_signatures(self):
        for name, signature in SIGNATURES.items():
            function = stackless
            for part in name.split("."):
                function = getattr(function, part)
            with self.subTest(name=name):
                self.assertEqual(str(inspect.signature(function)), signature)

    def test_read_only_attributes(self):
        for cls, names in READ_ONLY.items():
            for name in names.split():
                self.refused(AttributeError, "", setattr, cls(), name, 1)

    def test_classes_and_modules(self):
        for cls in tasklet, channel, bomb:
            self.assertEqual(cls.__module__, "_stackless")
        for name in "_stackless", "_stackless._wrap", "stackless._wrap":
            self.assertIn(name, sys.modules)
        self.assertIs(importlib.import_module("stackless._wrap"), sys.modules["_stackless._wrap"])


class TestFunctions(ReferenceCase):
    def test_results(self):
        me = threading.get_ident()
        self.assertIsNone(run())
        self.assertIs(schedule(), getcurrent())
        self.assertEqual((schedule(5), schedule(retval=6), schedule_remove(7), schedule_remove(retval=8)), (5, 6, 7, 8))
        self.assertEqual((stackless.getcurrentid(), stackless.getthreads()[0]), (me, threading.main_thread().ident))
        for info in stackless.get_thread_info(), stackless.get_thread_info(-1), stackless.get_thread_info(thread_id=me):
            self.assertEqual(info, (getmain(), getcurrent(), 1))
        self.assertEqual((switch_trap(), switch_trap(1), switch_trap(change=-1)), (0, 0, 1))
        self.assertEqual((stackless.pickle_flags(15), stackless.pickle_flags(0, 3), stackless.pickle_flags(0)),
                         (0, 15, 12))
        self.assertIn("context", stackless._tasklet_get_unpicklable_state(tasklet()))

    def test_errors(self):
        for args in (1.5,), ("1",), (1, "x"):
            self.refused(TypeError, "", run, *args)
        self.refused(RuntimeError, "Thread id not found", stackless.get_thread_info, 12345)
        self.refused(TypeError, "", stackless.get_thread_info, "1")
        self.refused(TypeError, "", switch_trap, "1")
        for name in "set_schedule_callback", "set_channel_callback", "set_error_handler":
            self.refused(TypeError, "callable", getattr(stackless, name), 5)
        self.refused(ValueError, "", stackless.pickle_flags, 16)
        self.refused(ValueError, "", stackless.pickle_flags_default, 16)
        self.refused(TypeError, "", stackless._tasklet_get_unpicklable_state, 5)

    def test_under_a_switch_trap(self):
        t = tasklet(int)()
        switch_trap(1)
        try:
            for call in run, schedule, schedule_remove, t.run, t.switch, t.kill, channel().receive:
                self.refused(RuntimeError, "switch_trap", call)
        finally:
            switch_trap(-1)
        run()


class TestTasklets(ReferenceCase):
    def test_unbound(self):
        t = tasklet()
        self.attributes(t, alive=False, paused=False, scheduled=False, blocked=False, restorable=True, atomic=False,
                        ignore_nesting=False, block_trap=False, is_main=False, is_current=False, next=None, prev=None,
                        thread_id=threading.get_ident(), _channel=None, frame=None, recursion_depth=0, nesting_level=0,
                        cstate=None, trace_function=None, profile_function=None)
        self.refused(RuntimeError, "not bound to a function", t.setup)
        self.refused(RuntimeError, "not bound to a function", t)
        self.refused(RuntimeError, "", t.bind, None, ())
        for call in t.insert, t.run, t.switch:
            self.refused(RuntimeError, "", call)
        self.assertIs(t.remove(), t)

    def test_bound_and_set_up(self):
        t = tasklet()
        self.assertIs(t.bind(int), t)
        self.attributes(t, alive=False, tempval=int)
        self.assertIs(t.bind(None, ()), t)
        self.attributes(t, alive=True, paused=True, scheduled=False)
        self.assertIs(t.bind(), t)
        self.attributes(t, alive=False)
        t.bind(int, (), {})
        self.assertIs(t.insert().insert(), t)
        self.attributes(t, alive=True, paused=False, scheduled=True)
        self.refused(RuntimeError, "scheduled", t.bind, int)
        self.refused(RuntimeError, "alive", t.setup)
        self.assertIs(t.remove(), t)
        self.assertIs(t.bind(int).setup(), t)
        run()
        self.attributes(t, alive=False)

    def test_wrong_types(self):
        for args in (5,), (int, 5), (int, (), 5), (int, (), {}, 1):
            self.refused(TypeError, "", tasklet, *args)
            self.refused(TypeError, "", tasklet().bind, *args)
        t = tasklet(int)
        for name in "set_atomic", "set_ignore_nesting":
            self.assertEqual((getattr(t, name)(True), getattr(t, name)(0)), (False, True))
            self.refused(TypeError, "", getattr(t, name), "x")
        self.refused(TypeError, "", setattr, t, "block_trap", "x")
        self.refused(TypeError, "", t.set_context, 5)
        self.assertEqual(t.set_context(contextvars.Context()).context_run(int, "5"), 5)
        self.refused(RuntimeError, "not alive", setattr, t, "trace_function", print)

    def test_the_current_one(self):
        me = getcurrent()
        self.refused(RuntimeError, "", me.bind, int)
        self.refused(RuntimeError, "", me.bind)
        self.refused(RuntimeError, "", me.remove)
        self.assertIs(me.insert(), me)
        self.assertEqual((me.run(), me.switch()), (None, None))

    def test_blocked(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        self.attributes(t, blocked=True, scheduled=True, paused=False, alive=True, _channel=ch)
        self.attributes(ch, balance=-1, queue=t)
        for call in t.run, t.switch, t.insert, t.remove, t.bind:
            self.refused(RuntimeError, "blocked", call)
        ch.send(None)
        self.assertFalse(t.alive)

    def test_throw(self):
        t = tasklet(schedule_remove)()
        run()
        for args in (), ("x",), (5,), (int,):
            self.refused(TypeError, "", t.throw, *args)
            self.refused(TypeError, "", t.raise_exception, *args)
        self.refused(KeyError, "key", t.throw, KeyError, "key")
        self.refused(RuntimeError, "", t.throw, KeyError)
        self.refused(RuntimeError, "", t.raise_exception, KeyError)
        self.assertEqual((t.throw(TaskletExit), t.raise_exception(TaskletExit), t.kill()), (None,) * 3)

    @needs_soft_switches
    def test_bind_thread(self):
        t = tasklet(int)()
        self.refused(RuntimeError, "can't (re)bind a runnable tasklet", t.bind_thread)
        t.remove()
        self.refused(ValueError, "bad thread", t.bind_thread, 12345)
        self.refused(OverflowError, "", t.bind_thread, -5)
        self.assertIsNone(t.bind_thread(-1))
        t.kill()


class TestChannels(ReferenceCase):
    def test_attributes(self):
        ch = channel(1, 2, more=3)
        self.attributes(ch, balance=0, queue=None, preference=-1, schedule_all=0, closing=False, closed=False)
        for value, clamped in (5, 1), (-5, -1), (0, 0):
            ch.preference = value
            self.assertEqual(ch.preference, clamped)
        for name in "preference", "schedule_all":
            self.refused(TypeError, "", setattr, ch, name, "x")
        self.assertIs(iter(ch), ch)

    def test_errors(self):
        ch = channel()
        for args in (), ("x",), (5,), (int,):
            self.refused(TypeError, "", ch.send_exception, *args)
            self.refused(TypeError, "", ch.send_throw, *args)
        self.refused(RuntimeError, "Deadlock:", ch.receive)
        self.refused(RuntimeError, "Deadlock:", ch.send, 1)
        tasklet(int)()
        self.refused(RuntimeError, "receiving", ch.receive)
        tasklet(int)()
        self.refused(RuntimeError, "sending", ch.send, 1)
        ch.close()
        self.attributes(ch, closing=True, closed=True)
        self.refused(ValueError, "closed", ch.send, 1)
        self.refused(ValueError, "closed", ch.receive)
        self.refused(StopIteration, "", next, ch)
        ch.open()
        self.attributes(ch, closing=False, closed=False)

    def test_block_trap(self):
        getcurrent().block_trap = True
        self.addCleanup(setattr, getcurrent(), "block_trap", False)
        self.refused(RuntimeError, "block_trap", channel().receive)
        self.refused(RuntimeError, "block_trap", channel().send, 1)


class TestBombs(ReferenceCase):
    def test_forms(self):
        try:
            raise KeyError
        except KeyError:
            for b in bomb(*sys.exc_info()), bomb(sys.exc_info()):
                self.assertEqual((b.type, b.value, b.traceback), sys.exc_info())
        self.attributes(bomb(type=KeyError, value=1, traceback=None), type=KeyError, value=1, traceback=None)
        self.refused(TypeError, "", bomb, 1, 2, 3, 4)


if __name__ == "__main__":
    unittest.main()
