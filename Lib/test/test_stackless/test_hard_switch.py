"""A tasklet can be suspended inside C functions: it keeps its C stack and goes on there."""

import ctypes
import gc
import json
import operator
import re
import sys
import unittest
import weakref

from stackless import channel, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches


class HardCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.ch = channel()
        self.log = []

    def suspended(self, action, *args, values=("value",)):
        """Call action(*args), which is to receive `values` from self.ch or to send them there; return its result."""
        outcome = []
        order = []

        def function():
            outcome.append(action(*args))
            order.append("after")
            schedule()
            order.append("end")

        def bystander():
            order.append("bystander")

        t = tasklet(function)()
        tasklet(bystander)()
        run()
        self.assertTrue(t.blocked)
        self.assertEqual(order, ["bystander"])
        for value in values:
            self.assertTrue(t.blocked)
            if self.ch.balance < 0:
                self.ch.send(value)
            else:
                self.assertEqual(self.ch.receive(), value)
                run()
        run()
        self.assertFalse(t.alive)
        self.assertEqual(order, ["bystander", "after", "end"])
        self.assertEqual(self.ch.balance, 0)
        return outcome[0]


class TestCalledByC(HardCase):
    """The switching function itself is called by C code."""

    def test_map_of_send(self):
        self.assertEqual(self.suspended(lambda: list(map(self.ch.send, [1, 2])), values=(1, 2)), [None, None])

    def test_map_of_schedule(self):
        order = []

        def function(name):
            order.append(list(map(schedule, [name + "1", name + "2"])))

        tasklet(function)("a")
        tasklet(function)("b")
        run()
        self.assertEqual(order, [["a1", "a2"], ["b1", "b2"]])

    def test_sort_key(self):
        self.assertEqual(self.suspended(lambda: sorted([1, 2], key=lambda _: self.ch.receive()), values=(9, 3)),
                         [2, 1])

    def test_min_and_max(self):
        self.assertEqual(self.suspended(lambda: max([1, 2], key=lambda _: self.ch.receive()), values=(9, 3)), 1)

    def test_filter(self):
        self.assertEqual(self.suspended(lambda: list(filter(lambda _: self.ch.receive(), [1, 2])), values=(0, 1)), [2])

    def test_operator_call(self):
        self.assertEqual(self.suspended(lambda: operator.call(lambda: self.ch.receive())), "value")

    def test_list_of_a_channel(self):
        def action():
            result = []
            for value in iter(self.ch.receive, "end"):
                result.append(value)
            return result

        self.assertEqual(self.suspended(action, values=(1, 2, "end")), [1, 2])

    def test_unpacking_a_channel(self):
        def action():
            a, b = self.ch
            return a, b

        def sender():
            for value in 1, 2:
                self.ch.send(value)
            self.ch.send_exception(StopIteration)

        outcome = []
        tasklet(lambda: outcome.append(action()))()
        tasklet(sender)()
        run()
        self.assertEqual(outcome, [(1, 2)])

    def test_next_and_zip(self):
        self.assertEqual(self.suspended(lambda: next(self.ch)), "value")
        self.assertEqual(self.suspended(lambda: next(zip(self.ch, [1]))), ("value", 1))


class TestNested(HardCase):
    """C code calls Python code, which switches."""

    def test_map(self):
        self.assertEqual(self.suspended(lambda: list(map(lambda _: self.ch.receive(), [1, 2])), values=("a", "b")),
                         ["a", "b"])

    def test_comparison_in_sort(self):
        class Item:
            def __lt__(item, other):
                return self.ch.receive()

        self.assertEqual(len(self.suspended(lambda: sorted([Item(), Item()]), values=(True,))), 2)

    def test_re_sub(self):
        self.assertEqual(self.suspended(lambda: re.sub("a", lambda match: self.ch.receive(), "banana"), values="xyz"),
                         "bxnynz")

    def test_hash_in_dict(self):
        class Key:
            def __hash__(key):
                return self.ch.receive()

        self.assertIsNone(self.suspended(lambda: {}.get(Key()), values=(7,)))

    def test_json_hooks(self):
        result = self.suspended(lambda: json.loads('{"a": {"b": 1}}', object_hook=lambda d: self.ch.receive()),
                                values=("inner", "outer"))
        self.assertEqual(result, "outer")

    def test_ctypes_callback(self):
        compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
        qsort = ctypes.CDLL(None).qsort
        array = (ctypes.c_int * 2)(2, 1)

        def greater(a, b):
            # How often qsort() asks is its own affair.
            if not self.log:
                self.log.append(self.ch.receive())
            return a[0] - b[0]

        def action():
            qsort(array, 2, ctypes.sizeof(ctypes.c_int), compare(greater))
            return list(array)

        self.assertEqual(self.suspended(action), [1, 2])

    def test_generator_in_c(self):
        def generator():
            yield self.ch.receive()

        self.assertEqual(self.suspended(lambda: list(generator())), ["value"])
        self.assertEqual(self.suspended(lambda: sum(generator()), values=(3,)), 3)
        self.assertEqual(self.suspended(lambda: " ".join(generator())), "value")

    def test_run_inside_c(self):
        """run() in C returns when the others are done."""
        def function():
            tasklet(self.log.append)("other")
            self.log.append(list(map(lambda _: run(), [1])))

        tasklet(function)()
        run()
        self.assertEqual(self.log, ["other", [None]])

    def test_schedule_remove(self):
        t = tasklet(lambda: self.log.append(list(map(lambda _: schedule_remove("back"), [1]))))()
        run()
        self.assertTrue(t.paused)
        t.insert()
        run()
        self.assertEqual(self.log, [["back"]])

    def test_run_of_a_tasklet(self):
        t = tasklet(self.log.append)("ran").remove()
        tasklet(lambda: list(map(lambda _: t.run(), [1])))()
        run()
        self.assertEqual(self.log, ["ran"])

    def test_deeply_nested(self):
        def nest(depth):
            return list(map(nest, [depth - 1])) if depth else self.ch.receive()

        result = self.suspended(nest, 50)
        for _ in range(50):
            (result,) = result
        self.assertEqual(result, "value")

    def test_deep_in_python_inside_c(self):
        def nest(depth):
            return nest(depth - 1) if depth else self.ch.receive()

        self.assertEqual(self.suspended(lambda: list(map(nest, [100]))), ["value"])

    def test_import_hook(self):
        class Finder:
            def find_spec(finder, name, path, target=None):
                if name == "slp_no_such_module":
                    self.log.append(self.ch.receive())

        def action():
            finder = Finder()
            sys.meta_path.insert(0, finder)
            try:
                import slp_no_such_module
            except ImportError as error:
                return error.name
            finally:
                sys.meta_path.remove(finder)

        self.assertEqual(self.suspended(action), "slp_no_such_module")
        self.assertEqual(self.log, ["value"])

    def test_finalizer(self):
        class Dying:
            def __del__(dying):
                self.log.append(self.ch.receive())

        def action():
            dying = Dying()
            del dying
            self.log.append("after del")

        self.suspended(action)
        self.assertEqual(self.log, ["value", "after del"])

    def test_finalizer_while_an_exception_travels(self):
        class Dying:
            def __del__(dying):
                self.ch.receive()

        def raises():
            dying = Dying()
            raise KeyError("mine")

        def action():
            try:
                raises()
            except KeyError as error:
                error.__traceback__ = None
                message = str(error)
            return message

        self.assertEqual(self.suspended(action), "'mine'")

    def test_weak_reference_callback(self):
        class Target:
            pass

        def action():
            target = Target()
            ref = weakref.ref(target, lambda ref: self.log.append(self.ch.receive()))
            del target
            return ref()

        self.assertIsNone(self.suspended(action))
        self.assertEqual(self.log, ["value"])

    def test_finalizer_run_by_the_collector(self):
        class Dying:
            def __init__(dying):
                dying.me = dying

            def __del__(dying):
                self.log.append(self.ch.receive())

        def action():
            Dying()
            gc.collect()

        self.suspended(action)
        self.assertEqual(self.log, ["value"])

    def test_trace_function(self):
        def trace(frame, event, arg):
            if event == "call" and frame.f_code is traced.__code__:
                self.log.append(self.ch.receive())

        def traced():
            return "traced"

        def action():
            sys.settrace(trace)
            try:
                return traced()
            finally:
                sys.settrace(None)

        self.assertEqual(self.suspended(action), "traced")
        self.assertEqual(self.log, ["value"])


class TestExceptions(HardCase):
    def test_an_exception_sent_comes_out_of_the_c_function(self):
        def action():
            try:
                return list(map(lambda _: self.ch.receive(), [1]))
            except LookupError as error:
                return error.args

        outcome = []
        tasklet(lambda: outcome.append(action()))()
        run()
        self.ch.send_exception(KeyError, "mine")
        self.assertEqual(outcome, [("mine",)])

    def test_uncaught_it_travels_through_the_c_code(self):
        t = tasklet(lambda: list(map(lambda _: self.ch.receive(), [1])))()
        run()
        with self.assertRaises(KeyError):
            self.ch.send_exception(KeyError)
        self.assertFalse(t.alive)

    def test_handled_exceptions_are_each_tasklets_own(self):
        def function(name):
            try:
                raise KeyError(name)
            except KeyError:
                list(map(lambda _: schedule(), [1, 2]))
                self.log.append(sys.exc_info()[1].args[0])

        for name in "abc":
            tasklet(function)(name)
        run()
        self.assertEqual(self.log, list("abc"))
        self.assertEqual(sys.exc_info(), (None, None, None))


class TestMixed(HardCase):
    """Soft out, hard in, and the other way round."""

    def test_alternately(self):
        def function(name):
            for turn in range(100):
                list(map(lambda _: schedule(), [1]))
                schedule()
                self.log.append((turn, name))

        for name in "abc":
            tasklet(function)(name)
        run()
        self.assertEqual(self.log, [(turn, name) for turn in range(100) for name in "abc"])

    def test_many_at_once(self):
        def function(number):
            return list(map(lambda n: self.ch.receive() + n, [number]))

        results = []
        for number in range(500):
            tasklet(lambda n: results.append(function(n)))(number)
        run()
        self.assertEqual(self.ch.balance, -500)
        for number in range(500):
            self.ch.send(1000)
        self.assertEqual(results, [[1000 + number] for number in range(500)])

    def test_carriers_serve_again(self):
        """Ten rounds of a hundred at once."""
        for _ in range(10):
            for _ in range(100):
                tasklet(lambda: list(map(lambda _: self.ch.receive(), [1])))()
            run()
            for _ in range(100):
                self.ch.send(None)
            self.assertEqual(self.ch.balance, 0)

    @needs_soft_switches
    def test_after_the_c_code_has_returned(self):
        def function():
            list(map(lambda _: schedule(), [1]))
            self.log.append(self.ch.receive())

        t = tasklet(function)()
        run()
        self.assertTrue(t.restorable)
        self.ch.send("value")
        self.assertEqual(self.log, ["value"])


class TestMainInsideC(HardCase):
    """Main, too, may switch at any C depth, and comes back to it."""

    def inside_c(self, function):
        return list(map(lambda _: function(), [1]))[0]

    def test_run(self):
        tasklet(self.log.append)(1)
        self.inside_c(lambda: run())
        self.assertEqual(self.log, [1])

    def test_called_by_c(self):
        tasklet(self.log.append)(1)
        self.assertEqual(list(map(schedule, ["back"])), ["back"])
        self.assertEqual(self.log, [1])

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

    def test_nothing_to_switch_to(self):
        self.assertEqual(list(map(schedule, "ab")), ["a", "b"])
        self.assertEqual(list(map(lambda _: run(), "ab")), [None, None])


class TestDeep(HardCase):
    """Recursion through C is bounded by the recursion limit and by memory, not by a C stack."""

    DEPTH = 30_000

    def setUp(self):
        super().setUp()
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10 * self.DEPTH)
        self.addCleanup(sys.setrecursionlimit, limit)

    @staticmethod
    def nest(depth):
        return max(map(TestDeep.nest, [depth - 1])) if depth else 0

    def test_main(self):
        self.assertEqual(self.nest(self.DEPTH), 0)

    def test_tasklet(self):
        tasklet(lambda: self.log.append(self.nest(self.DEPTH)))()
        run()
        self.assertEqual(self.log, [0])

    def test_a_tasklet_suspended_there(self):
        def nest(depth):
            return max(map(nest, [depth - 1])) if depth else self.ch.receive()

        outcome = []
        for _ in range(3):
            tasklet(lambda: outcome.append(nest(self.DEPTH // 3)))()
        run()
        for number in range(3):
            self.ch.send(number)
        self.assertEqual(outcome, [0, 1, 2])

    def test_an_exception_from_there(self):
        def nest(depth):
            if depth:
                max(map(nest, [depth - 1]))
            raise KeyError("deep")

        with self.assertRaises(KeyError) as caught:
            nest(3000)
        caught.exception.__traceback__ = None

    def test_sorted_key_and_re_sub(self):
        def by_key(depth):
            return sorted([depth], key=lambda d: by_key(d - 1) and 1)[0] if depth else 1

        def by_sub(depth):
            return re.sub("a", lambda match: by_sub(depth - 1), "a") if depth else "x"

        self.assertEqual(by_key(2000), 2000)
        self.assertEqual(by_sub(2000), "x")


if __name__ == "__main__":
    unittest.main()
