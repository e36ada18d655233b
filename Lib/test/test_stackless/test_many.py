"""Very many tasklets, very deep tasklets."""

import gc
import os
import sys
import threading
import traceback
import unittest

from stackless import channel, getcurrent, getruncount, run, schedule, tasklet

from .cases import crowd, needs_soft_switches

MANY = crowd(100_000)
DEEP = 1_000_000


class ManyCase(unittest.TestCase):
    def tearDown(self):
        left = getruncount() - 1
        while getruncount() > 1:
            getcurrent().next.remove()
        self.assertEqual(left, 0, "the test left runnable tasklets behind")


class TestManyTasklets(ManyCase):
    def test_take_turns(self):
        counts = [0] * MANY

        def function(number):
            for _ in range(3):
                counts[number] += 1
                schedule()

        for number in range(MANY):
            tasklet(function)(number)
        self.assertEqual(getruncount(), MANY + 1)
        run()
        self.assertEqual(set(counts), {3})

    def test_wait_on_one_channel(self):
        ch = channel()
        got = []

        def function():
            got.append(ch.receive())

        for _ in range(MANY):
            tasklet(function)()
        run()
        self.assertEqual(ch.balance, -MANY)
        for number in range(MANY):
            ch.send(number)
        self.assertEqual(got, list(range(MANY)))
        self.assertEqual(ch.balance, 0)

    def test_in_a_chain(self):
        """One value goes through all of them."""
        def function(source, target):
            target.send(source.receive() + 1)

        first = source = channel()
        for _ in range(MANY):
            target = channel()
            tasklet(function)(source, target)
            source = target
        tasklet(first.send)(0)
        self.assertEqual(source.receive(), MANY)
        run()

    @needs_soft_switches
    def test_are_collected(self):
        def function():
            channel().receive()

        gc.collect()
        before = len(gc.get_objects())
        gc.disable()
        try:
            for _ in range(MANY):
                tasklet(function)()
            run()
        finally:
            gc.enable()
        self.assertGreater(len(gc.get_objects()) - before, MANY)
        gc.collect()
        self.assertLess(len(gc.get_objects()) - before, 1000)

    def test_are_dropped_at_once(self):
        """A list of them is freed without the collector."""
        paused = [tasklet(schedule, ()) for _ in range(MANY)]
        for t in paused:
            t.run()
        for t in paused:
            t.remove()
        self.assertTrue(all(t.paused for t in paused))
        del paused, t

    def test_hold_each_other(self):
        """A chain of paused tasklets, each known to the next one only: freeing it does not nest in C."""
        def function(previous):
            getcurrent().remove_me = previous
            schedule()

        class Chained(tasklet):
            pass

        previous = None
        for _ in range(MANY):
            previous = Chained(function)(previous)
        while getruncount() > 1:
            getcurrent().next.remove()
        del previous

    def test_end_in_any_order(self):
        waiting = {}

        def function(number):
            waiting[number].receive()
            ended.append(number)

        ended = []
        count = MANY // 10
        for number in range(count):
            waiting[number] = channel()
            tasklet(function)(number)
        run()
        order = sorted(range(count), key=lambda number: number * 7919 % count)
        for number in order:
            waiting[number].send(None)
        self.assertEqual(ended, order)

    def test_created_and_ended_in_turn(self):
        count = 0

        def function():
            nonlocal count
            count += 1

        for _ in range(MANY):
            tasklet(function)()
            schedule()
        self.assertEqual(count, MANY)


class TestDeepTasklets(ManyCase):
    def setUp(self):
        self.addCleanup(sys.setrecursionlimit, sys.getrecursionlimit())
        sys.setrecursionlimit(DEEP + 10_000)

    def test_a_million_levels(self):
        def down(depth):
            return 1 + down(depth - 1) if depth else 0

        result = []
        tasklet(lambda: result.append(down(DEEP)))()
        run()
        self.assertEqual(result, [DEEP])

    def test_a_switch_at_the_bottom(self):
        ch = channel()
        result = []

        def down(depth):
            return 1 + down(depth - 1) if depth else ch.receive()

        t = tasklet(lambda: result.append(down(DEEP)))()
        run()
        self.assertGreater(t.recursion_depth, DEEP)
        ch.send(5)
        self.assertEqual(result, [DEEP + 5])

    def test_two_deep_ones_take_turns(self):
        result = []

        def down(depth):
            if depth % 10_000 == 0:
                schedule()
            return 1 + down(depth - 1) if depth else 0

        for _ in range(2):
            tasklet(lambda: result.append(down(DEEP // 4)))()
        run()
        self.assertEqual(result, [DEEP // 4] * 2)

    def test_dropped_at_the_bottom(self):
        def down(depth):
            return 1 + down(depth - 1) if depth else channel().receive()

        t = tasklet(down)(DEEP // 4)
        run()
        self.assertTrue(t.blocked)
        del t
        gc.collect()

    def test_an_exception_from_the_bottom(self):
        def down(depth):
            if depth:
                return down(depth - 1)
            raise LookupError("deep")

        def function():
            try:
                down(DEEP // 10)
            except LookupError as error:
                lengths.append(sum(1 for _ in traceback.walk_tb(error.__traceback__)))

        lengths = []
        tasklet(function)()
        run()
        self.assertEqual(lengths, [DEEP // 10 + 2])

    def test_in_a_thread_with_a_small_stack(self):
        def down(depth):
            return 1 + down(depth - 1) if depth else schedule(0)

        def body():
            tasklet(lambda: result.append(down(DEEP)))()
            tasklet(lambda: result.append(down(DEEP // 2)))()
            run()

        result = []
        size = threading.stack_size(max(64 * 1024, os.sysconf('SC_THREAD_STACK_MIN')))
        try:
            thread = threading.Thread(target=body)
            thread.start()
        finally:
            threading.stack_size(size)
        thread.join()
        self.assertEqual(result, [DEEP, DEEP // 2])

    def test_a_call_loop_at_every_depth(self):
        """Calls at the edge of a chunk of frame memory work like all others."""
        def leaf(a, b=2, *args, **kwargs):
            return a + b

        def down(depth):
            total = 0
            for _ in range(3):
                total += leaf(1)
            return total + down(depth - 1) if depth else total

        result = []
        tasklet(lambda: result.append(down(5000)))()
        run()
        self.assertEqual(result, [5001 * 9])

    def test_frames_of_all_sizes(self):
        """Functions whose frames are larger than a chunk, in between."""
        functions = []
        for size in 1, 10, 100, 1000, 5000:
            names = ", ".join(f"x{number}" for number in range(size))
            namespace = {}
            exec(f"def function(down):\n    {names}, = range({size})\n"
                 f"    result = down()\n    return result + x{size - 1}\n", namespace)
            functions.append((size, namespace["function"]))

        def down(depth):
            if not depth:
                return schedule(0)
            return functions[depth % len(functions)][1](lambda: down(depth - 1))

        result = []
        for _ in range(3):
            tasklet(lambda: result.append(down(50)))()
        run()
        self.assertEqual(result, [sum(size - 1 for size, _ in functions) * 10] * 3)


if __name__ == "__main__":
    unittest.main()
