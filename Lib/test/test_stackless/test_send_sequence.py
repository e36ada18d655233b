"""channel.send_sequence(): what it sends, what it answers, and that it takes no C stack."""

import unittest
from operator import call

from stackless import channel, getcurrent, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets, needs_soft_switches


class SequenceCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.ch = channel()
        self.log = []

    def send(self, iterable):
        self.log.append(self.ch.send_sequence(iterable))

    def receive(self, count):
        return [self.ch.receive() for i in range(count)]


class TestSendSequence(SequenceCase):
    def test_items_and_count(self):
        for iterable in [1, 2, 3], "abc", range(3), {1: 1, 2: 2, 3: 3}, iter([1, 2, 3]), (x for x in "abc"):
            expected = list("abc") if not isinstance(iterable, (list, range, dict, str)) else list(iterable)
            t = tasklet(self.send)(iterable)
            received = self.receive(3)
            run()
            self.assertFalse(t.alive)
            if isinstance(iterable, (list, range, dict, str)):
                self.assertEqual(received, expected)
        self.assertEqual(self.log, [3] * 6)

    def test_nothing_to_send(self):
        self.assertEqual(self.ch.send_sequence([]), 0)
        self.assertEqual(self.ch.send_sequence(x for x in ()), 0)

    def test_many_items(self):
        tasklet(self.send)(range(1000))
        self.assertEqual(self.receive(1000), list(range(1000)))
        run()
        self.assertEqual(self.log, [1000])

    def test_the_receiver_is_waiting(self):
        t = tasklet(lambda: self.log.append(self.receive(3)))()
        t.run()
        self.assertEqual(self.ch.send_sequence("abc"), 3)
        run()
        self.assertEqual(self.log, [["a", "b", "c"]])

    def test_bad_arguments(self):
        def soft():
            self.ch.send_sequence(3)
        tasklet(soft)()
        with self.assertRaisesRegex(TypeError, "not iterable"):
            run()
        with self.assertRaisesRegex(TypeError, "not iterable"):
            list(map(self.ch.send_sequence, [3]))
        self.assertRaises(TypeError, self.ch.send_sequence)
        self.assertRaises(TypeError, self.ch.send_sequence, [], [])
        with self.assertRaises(TypeError):
            self.ch.send_sequence(iterable=[])

    def test_an_error_of_the_iterable(self):
        def items():
            yield 1
            raise ZeroDivisionError
        tasklet(self.send)(items())
        self.assertEqual(self.ch.receive(), 1)
        with self.assertRaises(ZeroDivisionError):
            run()
        self.assertEqual((self.log, self.ch.balance), ([], 0))

    def test_an_error_of_send(self):
        self.ch.close()
        with self.assertRaises(ValueError):
            self.ch.send_sequence("abc")

    def test_a_bomb_among_the_items(self):
        from stackless import bomb
        tasklet(self.send)([bomb(KeyError, "in the middle"), 2])
        with self.assertRaisesRegex(KeyError, "in the middle"):
            self.ch.receive()
        self.assertEqual(self.ch.receive(), 2)
        run()

    def test_the_send_of_a_subclass_is_used(self):
        class Doubling(channel):
            def send(self, value):
                super().send(value * 2)
        self.ch = Doubling()
        tasklet(self.send)([1, 2])
        self.assertEqual(self.receive(2), [2, 4])
        run()

    def test_killed_half_way(self):
        class Finished(Exception):
            pass

        def items():
            try:
                yield 1
                yield 2
            finally:
                self.log.append("items closed")
        t = tasklet(self.send)(items())
        self.assertEqual(self.ch.receive(), 1)
        schedule()
        t.kill()
        self.assertEqual((t.alive, self.ch.balance), (False, 0))
        self.assertEqual(self.log, ["items closed"])

    def test_dropped_half_way(self):
        t = tasklet(self.send)(range(3))
        t.run()
        self.ch.receive()
        schedule()
        del t, self.ch
        import gc
        gc.collect()
        run()


@needs_soft_switches
class TestNoCStack(SequenceCase):
    def test_a_blocked_sender_has_no_c_frames(self):
        t = tasklet(self.send)(range(3))
        t.run()
        self.assertTrue(t.blocked)
        self.assertEqual((t.nesting_level, t.restorable, t.pinned), (0, True, None))
        self.receive(3)
        run()

    def test_a_generator_that_blocks_has_none(self):
        def items():
            schedule_remove()
            yield 1
        t = tasklet(self.send)(items())
        t.run()
        self.assertTrue(t.paused)
        self.assertEqual(t.nesting_level, 0)
        t.run()
        self.assertEqual(self.ch.receive(), 1)
        run()

    def test_called_by_c(self):
        t = tasklet(lambda: self.log.append(call(lambda: self.ch.send_sequence("abc"))))()
        t.run()
        self.assertGreater(t.nesting_level, 0)
        self.assertEqual(self.receive(3), list("abc"))
        run()
        self.assertEqual(self.log, [3])

    def test_through_the_class(self):
        t = tasklet(lambda: self.log.append(channel.send_sequence(self.ch, "ab")))()
        t.run()
        self.assertEqual(t.nesting_level, 0)
        self.receive(2)
        run()
        self.assertEqual(self.log, [2])

    def test_star_arguments(self):
        t = tasklet(lambda args: self.log.append(self.ch.send_sequence(*args)))(["ab"])
        t.run()
        self.assertEqual(t.nesting_level, 0)
        self.receive(2)
        run()

    def test_frames_show_only_python(self):
        def items():
            frame = getcurrent().frame
            while frame is not None:
                self.log.append(frame.f_code.co_name)
                frame = frame.f_back
            yield 1
        tasklet(self.send)(items())
        self.ch.receive()
        run()
        self.assertEqual(self.log, ["items", "send", 1])


if __name__ == "__main__":
    unittest.main()
