"""What tasklets show of themselves: repr, name, stack, what pins them, all of them, who waits in a deadlock."""

import gc
import operator
import re
import sys
import threading
import traceback
import unittest

import stackless
from stackless import channel, getcurrent, getmain, run, schedule_remove, tasklet, tasklets

from .cases import LeavesNoTasklets, needs_soft_switches


class Case(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.ch = channel()

    def paused(self, function=schedule_remove, *args):
        t = tasklet(function)(*args)
        t.run()
        self.assertTrue(t.paused)
        return t


def sleep_here():
    schedule_remove()


def sleep_deep():
    sleep_here()


class TestRepr(Case):
    def test_states(self):
        t = tasklet()
        self.assertRegex(repr(t), r"^<_stackless\.tasklet object at 0x[0-9a-f]+ not alive>$")
        t.bind(sleep_here)
        self.assertRegex(repr(t), r" bound>$")
        t()
        self.assertRegex(repr(t), r" scheduled>$")
        run()
        self.assertRegex(repr(t), r" paused, in sleep_here \(.*test_introspection\.py:\d+\)>$")
        t.run()
        self.assertRegex(repr(t), r" not alive>$")

    def test_blocked(self):
        def receiver():
            self.ch.receive()
        t = tasklet(receiver)()
        t.run()
        line = receiver.__code__.co_firstlineno + 1
        self.assertRegex(repr(t), rf" receiving, in TestRepr\.test_blocked\.<locals>\.receiver \(.*:{line}\)>$")
        self.ch.send(1)
        run()

    def test_current_and_main(self):
        self.assertRegex(repr(getmain()), r" main current, in TestRepr\.test_current_and_main \(")
        seen = []
        tasklet(lambda: seen.append((repr(getcurrent()), repr(getmain()))))()
        run()
        self.assertRegex(seen[0][0], r"0x[0-9a-f]+ current, in TestRepr")
        self.assertRegex(seen[0][1], r" main waiting in run\(\), in TestRepr")

    def test_subclass(self):
        class Mine(tasklet):
            pass
        self.assertRegex(repr(Mine()), r"Mine object at 0x[0-9a-f]+ not alive>$")

    def test_channel(self):
        self.assertRegex(repr(self.ch), r"^<_stackless\.channel object at 0x[0-9a-f]+ balance=0>$")
        self.ch.close()
        self.assertRegex(repr(self.ch), "closing")

    def test_the_thread_has_gone(self):
        made = []
        thread = threading.Thread(target=lambda: (made.append(tasklet(sleep_here)()), run()))
        thread.start()
        thread.join()
        self.assertRegex(repr(made[0]), r" without thread>$")


class TestName(Case):
    def test_set_and_forget(self):
        t = tasklet()
        self.assertIsNone(t.name)
        t.name = "loader"
        self.assertEqual(t.name, "loader")
        self.assertIn(" 'loader' not alive", repr(t))
        t.name = "other"
        self.assertEqual(t.name, "other")
        t.name = None
        self.assertIsNone(t.name)
        t.name = None
        self.assertNotIn("'", repr(t))

    def test_bad_values(self):
        t = tasklet()
        for bad in 3, b"name", ["name"]:
            with self.assertRaisesRegex(TypeError, "str or None"):
                t.name = bad
        with self.assertRaises(TypeError):
            del t.name
        self.assertIsNone(t.name)

    def test_a_new_tasklet_does_not_inherit_the_name_of_a_dead_one(self):
        for i in range(100):
            t = tasklet()
            self.assertIsNone(t.name)
            t.name = f"tasklet {i}"

    def test_the_name_is_freed_with_the_tasklet(self):
        name = "".join(["some", " name"])
        before = sys.getrefcount(name)
        t = tasklet()
        t.name = name
        self.assertEqual(sys.getrefcount(name), before + 1)
        del t
        self.assertEqual(sys.getrefcount(name), before)

    def test_main(self):
        getmain().name = "the main one"
        self.assertIn("main 'the main one'", repr(getmain()))
        getmain().name = None

    def test_instances_of_subclasses_may_have_any_name(self):
        class Mine(tasklet):
            pass
        t = Mine()
        self.assertIsNone(t.name)
        t.name = 3
        self.assertEqual((t.name, t.__dict__), (3, {"name": 3}))
        t.name = "text"
        self.assertIn("'text'", repr(t))
        del t.name
        self.assertIsNone(t.name)
        with self.assertRaises(AttributeError):
            del t.name
        t.name = t   # a cycle like any other
        del t
        gc.collect()

    def test_subclass_without_dict(self):
        class Slim(tasklet):
            __slots__ = ()
        t = Slim()
        t.name = "slim"
        self.assertEqual(t.name, "slim")


class TestStack(Case):
    def test_of_a_suspended_one(self):
        t = self.paused(sleep_deep)
        stack = t.stack()
        self.assertIsInstance(stack, traceback.StackSummary)
        self.assertEqual([frame.name for frame in stack], ["sleep_deep", "sleep_here"])
        self.assertEqual(stack[-1].line, "schedule_remove()")
        shown = "".join(traceback.format_list(stack))
        self.assertRegex(shown, r'File ".*", line \d+, in sleep_here\n    schedule_remove\(\)')
        t.kill()

    def test_of_others(self):
        self.assertEqual(tasklet().stack(), [])
        self.assertEqual(tasklet(sleep_here).bind(args=()).stack(), [])
        t = self.paused()
        t.run()
        self.assertEqual(t.stack(), [])

    def test_of_the_current_one(self):
        self.assertEqual(getcurrent().stack()[-1].name, "test_of_the_current_one")

    def test_of_main_in_run(self):
        seen = []
        tasklet(lambda: seen.append(getmain().stack()))()
        run()
        self.assertEqual(seen[0][-1].name, "test_of_main_in_run")

    def test_inside_of_c(self):
        t = self.paused(lambda: list(map(lambda x: sleep_here(), [1])))
        self.assertEqual([frame.name for frame in t.stack()], ["<lambda>", "<lambda>", "sleep_here"])
        t.kill()

    def test_inside_of_generators(self):
        def items():
            sleep_here()
            yield

        def body():
            for item in items():
                pass
        t = self.paused(body)
        self.assertEqual([frame.name for frame in t.stack()], ["body", "items", "sleep_here"])
        t.run()

    def test_print_stack(self):
        import io
        t = self.paused(sleep_deep)
        out = io.StringIO()
        traceback.print_stack(t.frame, file=out)
        self.assertIn("in sleep_deep", out.getvalue())
        t.kill()


class TestTasklets(Case):
    def test_all_that_are_alive(self):
        dead, bound = tasklet(), tasklet(int)
        paused, scheduled = self.paused(), tasklet(int)()
        blocked = tasklet(self.ch.receive)()
        blocked.run()
        found = tasklets()
        for t in paused, scheduled, blocked, getmain():
            self.assertEqual(found.count(t), 1)
        for t in dead, bound:
            self.assertNotIn(t, found)
        paused.kill()
        blocked.kill()
        run()

    def test_old_ones_too(self):
        t = self.paused()
        gc.collect()
        self.assertIn(t, tasklets())
        gc.freeze()
        try:
            self.assertIn(t, tasklets())
        finally:
            gc.unfreeze()
        t.kill()

    def test_of_other_threads(self):
        ready, stop, made = threading.Event(), threading.Event(), []
        thread = threading.Thread(target=lambda: (made.append(getcurrent()), ready.set(), stop.wait()))
        thread.start()
        ready.wait()
        self.assertIn(made[0], tasklets())
        stop.set()
        thread.join()
        self.assertNotIn(made[0], tasklets())

    def test_many(self):
        gc.collect()
        before = len(tasklets())
        made = [tasklet(sleep_here)() for i in range(1000)]
        run()
        self.assertEqual(len(tasklets()), before + 1000)
        del made
        self.assertEqual(len(tasklets()), before)

    @needs_soft_switches
    def test_uncollectables(self):
        soft = self.paused()
        pinned = self.paused(lambda: operator.call(lambda: schedule_remove()))
        self.assertIn(pinned, stackless.getuncollectables())
        self.assertNotIn(soft, stackless.uncollectables)
        self.assertNotIn(getmain(), stackless.uncollectables)
        soft.kill()
        pinned.kill()


class Operand:
    """An object whose special methods sleep, called by C."""

    def sleep(self, *args):
        schedule_remove()
        return self

    __add__ = __getitem__ = __neg__ = __lt__ = sleep

    def __bool__(self):
        self.sleep()
        return True

    def __del__(self):
        self.sleep()


@needs_soft_switches
class TestPinned(Case):
    def pinned_by(self, function):
        """What pins a tasklet that sleeps in function(); it goes on afterwards."""
        t = self.paused(function)
        pinned, level = t.pinned, t.nesting_level
        self.assertEqual(t.restorable, level == 0)
        self.assertEqual(t.cstate is None, level == 0)
        if level:
            self.assertIs(t.cstate.task, t)
            self.assertGreater(t.cstate.size, 0)
        while t.alive:
            t.run()
        return pinned, level

    def test_soft(self):
        self.assertEqual(self.pinned_by(sleep_deep), (None, 0))

    def test_states_without_frames(self):
        for t in tasklet(), tasklet(int), tasklet(int).bind(args=()):
            self.assertEqual((t.pinned, t.nesting_level, t.restorable), (None, 0, True))

    def test_builtin_functions(self):
        key = lambda x: schedule_remove(x)   # noqa: E731
        self.assertEqual(self.pinned_by(lambda: operator.call(key, 1)), (operator.call, 1))
        self.assertEqual(self.pinned_by(lambda: re.sub("a", lambda m: key("b"), "a"))[0].__name__, "sub")
        self.assertEqual(self.pinned_by(lambda: operator.add(Operand.__new__(Silent), 1)), (operator.add, 1))

    def test_star_arguments(self):
        args = [lambda a, b: schedule_remove(), 1, 2]
        self.assertEqual(self.pinned_by(lambda: operator.call(*args)), (operator.call, 1))
        self.assertEqual(self.pinned_by(lambda: operator.call(*args, **{})), (operator.call, 1))

    def test_nested(self):
        def inner():
            return operator.call(lambda: schedule_remove())
        self.assertEqual(self.pinned_by(lambda: operator.call(inner)), (operator.call, 2))

    def test_called_by_c_itself(self):
        def body():
            operator.call(self.ch.send, 1)
        t = tasklet(body)()
        t.run()
        self.assertEqual((t.pinned, t.nesting_level), (operator.call, 1))
        self.ch.receive()
        run()

    def test_a_destructor(self):
        def body():
            obj = Operand()
            del obj
        pinned, level = self.pinned_by(body)
        self.assertIsInstance(pinned, str)
        self.assertIn("destructor", pinned)
        self.assertEqual(level, 1)

    def test_an_argument_whose_destructor_runs_at_the_end_of_the_call(self):
        pinned, level = self.pinned_by(lambda: len([Operand()]))
        self.assertEqual(level, 1)

    def test_at_any_depth_of_the_value_stack(self):
        """The callable is found among temporaries, in loops, `with`, `try` and generators."""
        call, key = operator.call, lambda: schedule_remove(0)

        def temporaries():
            return [1, (2, {3: [4, 5, call(key)]}), *range(3)]

        def in_blocks():
            for i in range(2):
                with threading.Lock():
                    try:
                        1 / 0
                    except ZeroDivisionError:
                        for j, k in [(1, 2)]:
                            [call(key) for x in [1]]

        def conditional(flag=True):
            return (0 if not flag else 1) + (call(key) or 2 if flag else 3)

        def generator():
            yield 1
            yield call(key)

        def in_generator():
            for x in generator():
                pass

        def with_keywords():
            return sorted([1, 2], key=lambda x: call(key) or x)

        namespace = dict(call=call, key=key)
        exec("def extended():\n    a = [%s]\n    return [%s, call(key)]"
             % (", ".join(f"'{i}'" for i in range(300)), ", ".join("a[0]" for i in range(300))), namespace)
        for function in temporaries, in_blocks, conditional, in_generator, with_keywords, \
                namespace["extended"]:
            with self.subTest(function=function.__name__):
                for i in range(20):   # until it is specialised
                    pinned, level = self.pinned_by(function)
                    self.assertIs(pinned, call)

    def test_main(self):
        seen = []

        def look():
            tasklet(lambda: seen.append((getmain().pinned, getmain().nesting_level)))()
            run()
        level = getmain().nesting_level
        operator.call(look)
        self.assertEqual(seen, [(operator.call, level + 1)])

    def test_the_current_one(self):
        seen = []
        level = getcurrent().nesting_level
        operator.call(lambda: seen.append((getcurrent().pinned, getcurrent().nesting_level)))
        self.assertEqual(seen, [(operator.call, level + 1)])


class Silent(Operand):
    def __del__(self):
        pass


class TestDeadlock(Case):
    def test_who_waits(self):
        def waiter():
            self.ch.receive()
        t = tasklet(waiter)()
        t.name = "the waiter"
        t.run()
        with self.assertRaises(RuntimeError) as caught:
            self.ch.receive()
        text = str(caught.exception)
        self.assertTrue(text.startswith("Deadlock: the last runnable tasklet cannot be blocked."), text)
        self.assertIn("'the waiter' receiving, in", text)
        self.assertIn(f"on channel {id(self.ch):#x}", text)
        t.kill()

    def test_main_waits(self):
        t = tasklet(sleep_here)()
        with self.assertRaises(RuntimeError) as caught:
            self.ch.receive()
        self.assertIn("receiving", str(caught.exception))
        t.kill()
        tasklet(int)()
        with self.assertRaises(RuntimeError) as caught:
            self.ch.send(1)
        self.assertIn("sending", str(caught.exception))

    def test_not_all_of_very_many(self):
        made = [tasklet(self.ch.receive)() for i in range(25)]
        run()
        with self.assertRaises(RuntimeError) as caught:
            channel().receive()
        lines = str(caught.exception).splitlines()
        self.assertLess(len(lines), 15)
        self.assertRegex(lines[-1], r"and \d+ more")
        for t in made:
            t.kill()


if __name__ == "__main__":
    unittest.main()
