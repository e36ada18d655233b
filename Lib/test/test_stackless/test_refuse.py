"""A switch while C frames of the tasklet are alive is refused, with the reason, and nothing is changed."""

import functools
import gc
import re
import unittest

from stackless import channel, getcurrent, getruncount, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets

REASON = "cannot switch tasklets here: .*C (code|frames)"


class RefuseCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.ch = channel()
        self.log = []

    def refused(self, action, *args):
        """Call action(*args) in a tasklet beside another runnable one: it must be refused, and then
        the tasklet must be able to block, resume and end."""
        outcome = []
        order = []

        def function():
            before = self.ch.balance, getruncount(), getcurrent().next
            try:
                outcome.append(action(*args))
            except RuntimeError as error:
                outcome.append(error)
            self.assertEqual((self.ch.balance, getruncount(), getcurrent().next), before)
            order.append("refused")
            schedule()
            order.append("goes on")
            self.ch.receive()
            order.append("received")

        def bystander():
            order.append("bystander")

        t = tasklet(function)()
        tasklet(bystander)()
        run()
        self.assertTrue(t.blocked)
        self.ch.send(None)
        self.assertFalse(t.alive)
        self.assertEqual(order, ["refused", "bystander", "goes on", "received"])
        self.assertIsInstance(outcome[0], RuntimeError)
        self.assertRegex(str(outcome[0]), REASON)


class TestCalledByC(RefuseCase):
    """The switching function itself is called by C code."""

    def test_map(self):
        self.refused(lambda: list(map(self.ch.send, [1])))

    def test_map_of_schedule(self):
        self.refused(lambda: list(map(schedule, [1])))

    def test_sort_key(self):
        self.refused(lambda: sorted([1], key=self.ch.send))

    def test_min_and_max(self):
        self.refused(lambda: max([1, 2], key=schedule))

    def test_filter(self):
        self.refused(lambda: list(filter(self.ch.send, [1])))

    def test_reduce(self):
        self.refused(lambda: functools.reduce(lambda a, b: self.ch.receive(), [1, 2]))

    def test_list_of_a_channel(self):
        self.refused(lambda: list(self.ch))

    def test_unpacking_a_channel(self):
        def action():
            a, b = self.ch

        self.refused(action)

    def test_next(self):
        self.refused(lambda: next(self.ch))

    def test_zip(self):
        self.refused(lambda: list(zip(self.ch)))

    def test_iter_with_sentinel(self):
        self.refused(lambda: list(iter(self.ch.receive, None)))


class TestNested(RefuseCase):
    """C code calls Python code that wants to switch."""

    def test_map(self):
        self.refused(lambda: list(map(lambda _: self.ch.receive(), [1])))

    def test_sort_key(self):
        self.refused(lambda: sorted([2, 1], key=lambda _: schedule()))

    def test_comparison_in_sort(self):
        class Item:
            def __lt__(item, other):
                self.ch.receive()

        self.refused(lambda: sorted([Item(), Item()]))

    def test_re_sub(self):
        self.refused(lambda: re.sub("a", lambda match: self.ch.receive(), "banana"))

    def test_hash_in_dict(self):
        class Key:
            def __hash__(key):
                self.ch.receive()

        self.refused(lambda: {}.get(Key()))

    def test_generator_in_c(self):
        def generator():
            yield self.ch.receive()

        self.refused(lambda: list(generator()))
        self.refused(lambda: sum(generator()))
        self.refused(lambda: " ".join(generator()))

    def test_run(self):
        self.refused(lambda: list(map(lambda _: run(), [1])))

    def test_schedule_remove(self):
        self.refused(lambda: list(map(lambda _: schedule_remove(), [1])))

    def test_run_of_a_tasklet(self):
        t = tasklet(self.log.append)("never").remove()
        self.refused(lambda: list(map(lambda _: t.run(), [1])))
        self.assertTrue(t.paused)
        self.assertEqual(self.log, [])

    def test_deeply_nested(self):
        def nest(depth):
            if depth:
                return list(map(nest, [depth - 1]))
            self.ch.receive()

        self.refused(nest, 50)

    def test_deep_in_python_inside_c(self):
        def nest(depth):
            return nest(depth - 1) if depth else self.ch.receive()

        self.refused(lambda: list(map(nest, [100])))

    def test_in_a_generator_in_a_for_loop_in_c(self):
        def generator():
            yield self.ch.receive()

        def loop(_):
            for value in generator():
                return value

        self.refused(lambda: list(map(loop, [1])))

    def test_finalizer(self):
        """An exception cannot leave __del__: it is reported, and the tasklet goes on."""
        errors = []

        class Dying:
            def __del__(dying):
                try:
                    self.ch.receive()
                except RuntimeError as error:
                    errors.append(str(error))

        def function():
            dying = Dying()
            del dying
            self.log.append(schedule("after"))

        tasklet(function)()
        tasklet(self.log.append)("other")
        run()
        self.assertEqual(self.log, ["other", "after"])
        self.assertRegex(errors[0], REASON)
        self.assertEqual(self.ch.balance, 0)

    def test_weak_reference_callback_and_collector(self):
        errors = []

        class Dying:
            def __init__(dying):
                dying.me = dying

            def __del__(dying):
                try:
                    schedule()
                except RuntimeError as error:
                    errors.append(str(error))

        def function():
            Dying()
            gc.collect()
            self.log.append("after")

        tasklet(function)()
        tasklet(self.log.append)("other")
        run()
        self.assertEqual(self.log, ["after", "other"])
        self.assertRegex(errors[0], REASON)


class TestNothingChanges(RefuseCase):
    def test_the_value_of_a_refused_send_is_released(self):
        """It is neither queued nor leaked."""
        class Value:
            def __del__(value):
                self.log.append("released")

        self.refused(lambda: list(map(self.ch.send, [Value()])))
        self.assertEqual(self.log, ["released"])

    def test_a_refused_send_to_one_who_waits(self):
        """The receiver keeps waiting."""
        other = channel()
        waiting = tasklet(lambda: self.log.append(other.receive()))()
        run()
        self.refused(lambda: list(map(other.send, ["lost"])))
        self.assertTrue(waiting.blocked)
        self.assertEqual(other.balance, -1)
        other.send("value")
        self.assertEqual(self.log, ["value"])

    def test_a_transfer_without_a_switch_is_not_refused(self):
        other = channel()
        other.preference = 0
        waiting = tasklet(lambda: self.log.append(other.receive()))()
        run()
        self.assertEqual(list(map(other.send, ["value"])), [None])
        run()
        self.assertEqual(self.log, ["value"])
        tasklet(other.send)("back")
        run()
        self.assertEqual(next(other), "back")
        self.assertFalse(waiting.alive)
        run()

    def test_nothing_to_switch_to_is_not_refused(self):
        self.assertEqual(list(map(schedule, "ab")), ["a", "b"])
        self.assertEqual(list(map(lambda _: run(), "ab")), [None, None])

    def test_uncaught_it_travels_through_the_c_code(self):
        def function():
            list(map(lambda _: self.ch.receive(), [1]))

        t = tasklet(function)()
        with self.assertRaisesRegex(RuntimeError, REASON):
            run()
        self.assertFalse(t.alive)
        self.assertEqual(self.ch.balance, 0)

    def test_after_the_c_code_has_returned(self):
        def function():
            list(map(len, [()]))
            sorted([3, 1, 2], key=lambda value: -value)
            self.log.append(self.ch.receive())

        tasklet(function)()
        run()
        self.ch.send("value")
        self.assertEqual(self.log, ["value"])

    def test_again_and_again(self):
        def function():
            for _ in range(100):
                try:
                    list(map(lambda _: schedule(), [1]))
                except RuntimeError:
                    self.log.append("refused")
                schedule()

        tasklet(function)()
        tasklet(function)()
        run()
        self.assertEqual(len(self.log), 200)


class TestMainInsideC(RefuseCase):
    """Main may switch at any C depth: the others run on top of its C frames, and it comes back."""

    def inside_c(self, function):
        return list(map(lambda _: function(), [1]))[0]

    def test_run(self):
        tasklet(self.log.append)(1)
        self.inside_c(lambda: run())
        self.assertEqual(self.log, [1])

    def test_called_by_c(self):
        """C code that calls the switching function itself cannot be left, by main neither."""
        tasklet(self.log.append)(1)
        for function in run, schedule, schedule_remove:
            with self.assertRaisesRegex(RuntimeError, REASON):
                self.inside_c_directly(function)
        self.assertEqual(getruncount(), 2)
        run()

    def inside_c_directly(self, function):
        for _ in iter(function, None):
            break

    def test_tasklets_started_at_another_depth(self):
        def function(name):
            for turn in range(3):
                self.log.append(f"{name}{turn}")
                schedule()

        tasklet(function)("a")
        schedule()
        self.inside_c(lambda: (tasklet(function)("b"), schedule()))
        self.inside_c(lambda: self.inside_c(lambda: schedule()))
        run()
        self.assertEqual(self.log, ["a0", "a1", "b0", "a2", "b1", "b2"])

    def test_receive(self):
        tasklet(self.ch.send)("value")
        self.assertEqual(self.inside_c(lambda: self.ch.receive()), "value")
        run()

    def test_an_exception_comes_to_main_inside_c(self):
        def function():
            raise KeyError("mine")

        tasklet(function)()
        with self.assertRaises(KeyError):
            self.inside_c(lambda: run())


if __name__ == "__main__":
    unittest.main()
