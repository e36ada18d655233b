"""Channels: who waits, who runs after a transfer, exceptions as messages, iteration, closing, deadlocks."""

import sys
import traceback
import unittest
import weakref

from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from .cases import LeavesNoTasklets


class ChannelCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.ch = channel()
        self.log = []

    def receiver(self, name="R", count=1):
        for _ in range(count):
            self.log.append((name, self.ch.receive()))

    def sender(self, *values, name="S"):
        for value in values:
            self.ch.send(value)
            self.log.append((name, value))


class TestOrder(ChannelCase):
    """Who runs after a transfer.  `>` is logged before the call, `<` after it."""

    def order(self, first, preference=-1, schedule_all=0):
        """The log of a sender S, a receiver R and a bystander O, started in the order S, R, O or R, S, O."""
        ch = self.ch
        ch.preference = preference
        ch.schedule_all = schedule_all
        log = []

        def S():
            for turn in range(2):
                log.append(f"S>{turn}")
                ch.send(turn)
                log.append(f"S<{turn}")

        def R():
            for turn in range(2):
                log.append(f"R>{turn}")
                self.assertEqual(ch.receive(), turn)
                log.append(f"R<{turn}")

        def O():
            for _ in range(3):
                log.append("O")
                schedule()

        for function in (S, R, O) if first == "S" else (R, S, O):
            tasklet(function)()
        run()
        self.assertEqual(ch.balance, 0)
        return " ".join(log)

    def test_the_receiver_is_preferred(self):
        self.assertEqual(self.order("S", -1), "S>0 R>0 R<0 R>1 O S<0 S>1 R<1 O S<1 O")
        self.assertEqual(self.order("R", -1), "R>0 S>0 R<0 R>1 O S<0 S>1 R<1 O S<1 O")

    def test_nobody_is_preferred(self):
        self.assertEqual(self.order("S", 0), "S>0 R>0 R<0 R>1 O S<0 S>1 S<1 O R<1 O")
        self.assertEqual(self.order("R", 0), "R>0 S>0 S<0 S>1 O R<0 R>1 R<1 O S<1 O")

    def test_the_sender_is_preferred(self):
        self.assertEqual(self.order("S", 1), "S>0 R>0 S<0 S>1 O R<0 R>1 S<1 O R<1 O")
        self.assertEqual(self.order("R", 1), "R>0 S>0 S<0 S>1 O R<0 R>1 S<1 O R<1 O")

    def test_schedule_all_overrides_preference(self):
        for preference in -1, 0, 1:
            self.assertEqual(self.order("S", preference, 1), "S>0 R>0 O S<0 S>1 R<0 R>1 O S<1 R<1 O")
            self.assertEqual(self.order("R", preference, 1), "R>0 S>0 O R<0 R>1 S<0 S>1 O R<1 S<1 O")

    def test_first_come_first_served(self):
        for name in "abc":
            tasklet(self.receiver)(name)
        run()
        for value in 1, 2, 3:
            self.ch.send(value)
        self.assertEqual(self.log, [("a", 1), ("b", 2), ("c", 3)])
        self.log.clear()
        for name in "abc":
            tasklet(self.sender)(name)
        run()
        self.assertEqual([self.ch.receive() for _ in range(3)], ["a", "b", "c"])
        run()

    def test_the_preferred_partner_goes_directly_after_the_actor(self):
        partner = tasklet(lambda: (self.ch.receive(), self.log.append(getcurrent().next)))()
        run()
        bystander = tasklet(self.log.append)("bystander")
        self.ch.send(None)
        self.assertEqual(self.log, [bystander, "bystander"])
        self.assertFalse(partner.alive)

    def test_an_unpreferred_partner_goes_to_the_end(self):
        self.ch.preference = 0
        partner = tasklet(self.ch.receive)()
        run()
        bystander = tasklet(schedule)()
        self.ch.send(None)
        self.assertIs(bystander.next, partner)
        self.assertIs(partner.next, getcurrent())
        run()

    def test_main_takes_part(self):
        tasklet(self.sender)(1, 2)
        self.assertEqual([self.ch.receive(), self.ch.receive()], [1, 2])
        run()
        self.assertEqual(self.log, [("S", 1), ("S", 2)])


class TestState(ChannelCase):
    def test_balance(self):
        ch = self.ch
        self.assertEqual(ch.balance, 0)
        for count in 1, 2, 3:
            tasklet(ch.send)(count)
            run()
            self.assertEqual(ch.balance, count)
        for count in 2, 1, 0:
            ch.receive()
            self.assertEqual(ch.balance, count)
        for count in 1, 2, 3:
            tasklet(ch.receive)()
            run()
            self.assertEqual(ch.balance, -count)
        for count in 2, 1, 0:
            ch.send(None)
            self.assertEqual(ch.balance, -count)
        run()

    def test_queue(self):
        ch = self.ch
        self.assertIsNone(ch.queue)
        waiting = [tasklet(ch.receive)() for _ in range(3)]
        run()
        queue = []
        t = ch.queue
        while t is not None:
            queue.append(t)
            t = t.next
        self.assertEqual(queue, waiting)
        for t in waiting:
            self.assertIs(ch.queue, t)
            ch.send(None)
        self.assertIsNone(ch.queue)

    def test_preference(self):
        ch = self.ch
        self.assertEqual(ch.preference, -1)
        for value, kept in (0, 0), (1, 1), (-1, -1), (7, 1), (-7, -1), (10**30, 1), (-10**30, -1), (True, 1):
            ch.preference = value
            self.assertEqual(ch.preference, kept)
        for wrong in None, "1", 1.0:
            with self.assertRaises(TypeError):
                ch.preference = wrong
        self.assertEqual(ch.preference, 1)

    def test_schedule_all(self):
        ch = self.ch
        self.assertEqual(ch.schedule_all, 0)
        ch.schedule_all = 1
        self.assertEqual(ch.schedule_all, 1)
        ch.schedule_all = 0
        self.assertEqual(ch.schedule_all, 0)
        for wrong in None, "1", 1.0:
            with self.assertRaises(TypeError):
                ch.schedule_all = wrong

    def test_read_only(self):
        for name in "balance", "queue", "closing", "closed":
            with self.subTest(name), self.assertRaises(AttributeError):
                setattr(self.ch, name, 1)
        with self.assertRaises(AttributeError):
            self.ch.anything = 1

    def test_results(self):
        tasklet(self.ch.receive)()
        run()
        self.assertIsNone(self.ch.send(1))
        tasklet(self.ch.send)(1)
        self.assertEqual(self.ch.receive(), 1)
        got = []
        tasklet(lambda: got.append(self.ch.send(2)))()
        self.assertEqual(self.ch.receive(), 2)
        run()
        self.assertEqual(got, [None])

    def test_argument_errors(self):
        for call in (lambda: self.ch.send(), lambda: self.ch.send(1, 2), lambda: self.ch.receive(1)):
            with self.assertRaises(TypeError):
                call()

    def test_values_pass_by_identity(self):
        for value in object(), None, [], (), self.ch, getcurrent(), StopIteration(), Exception:
            tasklet(self.ch.send)(value)
            self.assertIs(self.ch.receive(), value)
        run()

    def test_a_value_is_not_kept(self):
        class Value:
            pass

        value = Value()
        ref = weakref.ref(value)
        tasklet(self.ch.send)(value)
        del value
        run()
        self.assertIsNotNone(ref())
        self.ch.receive()
        run()
        self.assertIsNone(ref())

    def test_a_temporary_channel(self):
        log = []

        def function():
            log.append(channel().receive())

        t = tasklet(function)()
        run()
        ch = t._channel
        self.assertEqual(ch.balance, -1)
        ch.send("found")
        self.assertEqual(log, ["found"])

    def test_subclass(self):
        class Counting(channel):
            def __init__(self, name):
                self.name = name
                self.sent = 0

            def send(self, value):
                self.sent += 1
                return super().send(value)

        ch = Counting("name")
        tasklet(ch.send)(1)
        tasklet(ch.send)(2)
        self.assertEqual([ch.receive(), ch.receive()], [1, 2])
        run()
        self.assertEqual((ch.sent, ch.name), (2, "name"))

    def test_constructor_arguments_are_ignored(self):
        self.assertEqual(channel(1, 2, key=3).balance, 0)

    def test_type(self):
        self.assertEqual(channel.__module__, "_stackless")
        self.assertIs(iter(self.ch), self.ch)
        ref = weakref.ref(self.ch)
        self.assertIs(ref(), self.ch)
        self.ch = None
        self.assertIsNone(ref())


class TestExceptions(ChannelCase):
    def test_send_exception(self):
        tasklet(self.ch.send_exception)(ValueError, "text", 5)
        with self.assertRaises(ValueError) as caught:
            self.ch.receive()
        self.assertEqual(caught.exception.args, ("text", 5))
        run()

    def test_send_exception_to_one_who_waits(self):
        def function():
            try:
                self.ch.receive()
            except KeyError as error:
                self.log.append(error.args)

        tasklet(function)()
        run()
        self.assertIsNone(self.ch.send_exception(KeyError, "key"))
        self.assertEqual(self.log, [("key",)])

    def test_send_exception_that_is_no_exception(self):
        for arguments in ((), ("text",), (ValueError(),), (object,), (None,)):
            with self.assertRaises(TypeError):
                self.ch.send_exception(*arguments)
        self.assertEqual(self.ch.balance, 0)

    def test_base_exceptions(self):
        for exc in KeyboardInterrupt, GeneratorExit, StopIteration, BaseException:
            tasklet(self.ch.send_exception)(exc)
            with self.assertRaises(exc):
                self.ch.receive()
        run()

    def test_send_throw_keeps_the_traceback(self):
        def fails_here():
            raise ValueError("text")

        def function():
            try:
                fails_here()
            except ValueError:
                self.ch.send_throw(*sys.exc_info())

        tasklet(function)()
        try:
            self.ch.receive()
        except ValueError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names[-1], "fails_here")
        self.assertEqual(names[0], "test_send_throw_keeps_the_traceback")
        run()

    def test_send_throw_forms(self):
        instance = ValueError("instance")
        for arguments, args in (((ValueError,), ()),
                                ((ValueError, "x"), ("x",)),
                                ((ValueError, "x", None), ("x",)),
                                ((ValueError, (1, 2)), (1, 2)),
                                ((instance,), ("instance",)),
                                ((ValueError, instance), ("instance",))):
            tasklet(self.ch.send_throw)(*arguments)
            with self.assertRaises(ValueError) as caught:
                self.ch.receive()
            self.assertEqual(caught.exception.args, args)
        self.assertRaises(TypeError, self.ch.send_throw)
        for wrong in (1,), (object,), ("text",), (instance, "value"), (ValueError, None, 1):
            with self.assertRaises(TypeError):
                self.ch.send_throw(*wrong)
        self.assertEqual(self.ch.balance, 0)
        run()

    def test_uncaught_in_the_receiver(self):
        t = tasklet(self.receiver)()
        tasklet(self.ch.send_exception)(ZeroDivisionError, "sent")
        with self.assertRaisesRegex(ZeroDivisionError, "sent"):
            run()
        self.assertFalse(t.alive)
        run()


class TestIteration(ChannelCase):
    def test_until_stop_iteration(self):
        def function():
            for value in self.ch:
                self.log.append(value)
            self.log.append("end")

        t = tasklet(function)()
        for value in 1, 2, 3:
            self.ch.send(value)
        self.assertTrue(t.blocked)
        self.ch.send_exception(StopIteration)
        self.assertEqual(self.log, [1, 2, 3, "end"])
        self.assertFalse(t.alive)

    def test_the_sender_comes_first(self):
        def function():
            for value in range(3):
                self.ch.send(value)
            self.ch.send_exception(StopIteration)

        tasklet(function)()
        got = []
        for value in self.ch:
            got.append(value)
        self.assertEqual(got, [0, 1, 2])
        run()

    def test_another_exception_leaves_the_loop(self):
        def function():
            try:
                for value in self.ch:
                    self.log.append(value)
            except LookupError as error:
                self.log.append(error.args)

        tasklet(function)()
        self.ch.send(1)
        self.ch.send_exception(LookupError, "lost")
        self.assertEqual(self.log, [1, ("lost",)])

    def test_until_closed_and_empty(self):
        for value in 1, 2:
            tasklet(self.ch.send)(value)
        run()
        self.ch.close()
        got = []
        for value in self.ch:
            got.append(value)
        self.assertEqual(got, [1, 2])
        run()
        for _ in self.ch:
            self.fail("closed and empty")
        with self.assertRaises(StopIteration):
            self.ch.__next__()

    def test_comprehension(self):
        t = tasklet(lambda: self.log.append([value * 2 for value in self.ch]))()
        for value in 1, 2, 3:
            self.ch.send(value)
        self.ch.send_exception(StopIteration)
        self.assertEqual(self.log, [[2, 4, 6]])
        self.assertFalse(t.alive)

    def test_dunder_next(self):
        t = tasklet(lambda: self.log.append(self.ch.__next__()))()
        run()
        self.assertTrue(t.blocked)
        self.ch.send(5)
        self.assertEqual(self.log, [5])

    def test_a_loop_in_a_loop(self):
        other = channel()

        def function():
            for outer in self.ch:
                for inner in other:
                    self.log.append((outer, inner))

        t = tasklet(function)()
        for outer in 1, 2:
            self.ch.send(outer)
            for inner in "ab":
                other.send(inner)
            other.send_exception(StopIteration)
        self.ch.send_exception(StopIteration)
        self.assertEqual(self.log, [(1, "a"), (1, "b"), (2, "a"), (2, "b")])
        self.assertFalse(t.alive)


class TestClosing(ChannelCase):
    def flags(self):
        return self.ch.closing, self.ch.closed

    def test_flags(self):
        self.assertEqual(self.flags(), (False, False))
        self.assertIsNone(self.ch.close())
        self.assertEqual(self.flags(), (True, True))
        self.assertIsNone(self.ch.open())
        self.assertEqual(self.flags(), (False, False))

    def test_closing_with_somebody_waiting(self):
        t = tasklet(self.ch.send)(1)
        run()
        self.ch.close()
        self.assertEqual(self.flags(), (True, False))
        self.assertTrue(t.blocked, "those who wait are not woken")
        self.assertEqual(self.ch.receive(), 1)
        self.assertEqual(self.flags(), (True, True))
        run()

    def test_what_would_block_is_refused(self):
        self.ch.close()
        with self.assertRaises(ValueError):
            self.ch.receive()
        with self.assertRaises(ValueError):
            self.ch.send(1)
        self.assertEqual(self.ch.balance, 0)

    def test_what_has_a_partner_works(self):
        t = tasklet(self.ch.receive)()
        run()
        self.ch.close()
        self.ch.send(1)
        self.assertFalse(t.alive)

    def test_opened_again(self):
        self.ch.close()
        self.ch.open()
        t = tasklet(self.ch.receive)()
        run()
        self.assertTrue(t.blocked)
        self.ch.send(1)

    def test_the_trap_is_tested_before_the_flag(self):
        self.ch.close()
        getcurrent().block_trap = True
        try:
            with self.assertRaises(RuntimeError):
                self.ch.receive()
        finally:
            getcurrent().block_trap = False

    def test_the_flag_is_tested_before_the_deadlock(self):
        with self.assertRaisesRegex(RuntimeError, "Deadlock"):
            self.ch.receive()
        self.ch.close()
        with self.assertRaises(ValueError):
            self.ch.receive()


class TestDeadlock(ChannelCase):
    TEXT = r"^Deadlock: the last runnable tasklet cannot be blocked\.(\n  |$)"

    def test_main_alone(self):
        for action in (self.ch.receive, lambda: self.ch.send(1)):
            with self.assertRaisesRegex(RuntimeError, self.TEXT):
                action()
            self.assertEqual(self.ch.balance, 0)
            self.assertTrue(getmain().is_current)

    def test_main_in_run_wakes(self):
        t = tasklet(self.ch.receive)()
        self.assertIsNone(run())
        self.assertTrue(t.blocked)
        self.ch.send(None)

    def test_main_paused_wakes(self):
        """The last one blocks while main is paused: main goes on after its schedule_remove()."""
        t = tasklet(self.ch.receive)()
        self.assertEqual(schedule_remove("value"), "value")
        self.assertTrue(t.blocked)
        self.ch.send(None)

    def test_the_last_one_while_main_is_blocked(self):
        other = channel()

        def function():
            try:
                other.receive()
            except RuntimeError as error:
                self.log.append(str(error))
            self.ch.send("saved")

        tasklet(function)()
        self.assertEqual(self.ch.receive(), "saved")
        self.assertRegex(self.log[0], self.TEXT)
        self.assertEqual(other.balance, 0)
        run()

    def test_uncaught_it_goes_to_main(self):
        other = channel()
        t = tasklet(other.receive)()
        with self.assertRaisesRegex(RuntimeError, self.TEXT):
            self.ch.receive()
        self.assertFalse(t.alive)
        self.assertEqual((self.ch.balance, other.balance), (0, 0))

    def test_main_receives_and_the_last_one_ends(self):
        tasklet(len)("")
        with self.assertRaisesRegex(RuntimeError, "receiving without a sender available"):
            self.ch.receive()
        self.assertEqual(self.ch.balance, 0)

    def test_main_sends_and_the_last_one_ends(self):
        tasklet(len)("")
        with self.assertRaisesRegex(RuntimeError, "sending without a receiver available"):
            self.ch.send(1)
        self.assertEqual(self.ch.balance, 0)

    def test_main_is_blocked_and_the_last_one_fails(self):
        def function():
            raise ZeroDivisionError("mine")

        tasklet(function)()
        with self.assertRaisesRegex(ZeroDivisionError, "mine"):
            self.ch.receive()
        self.assertEqual(self.ch.balance, 0)

    def test_the_last_one_leaves_while_main_is_blocked(self):
        def function():
            try:
                schedule_remove()
            except RuntimeError as error:
                self.log.append(str(error))
            self.ch.send(1)

        tasklet(function)()
        self.assertEqual(self.ch.receive(), 1)
        self.assertRegex(self.log[0], "^Deadlock")
        run()

    def test_a_runner_that_is_not_main(self):
        """A tasklet calls run() and another one blocks: the caller wakes, not main."""
        def runner():
            run()
            self.log.append("runner")

        tasklet(runner)()
        t = tasklet(self.ch.receive)()
        run()
        self.log.append("main")
        self.assertEqual(self.log, ["runner", "main"])
        self.assertTrue(t.blocked)
        self.ch.send(None)

    def test_everything_works_after_a_deadlock(self):
        with self.assertRaises(RuntimeError):
            self.ch.receive()
        tasklet(self.ch.send)(1)
        self.assertEqual(self.ch.receive(), 1)
        run()


class TestPatterns(ChannelCase):
    def test_ping_pong(self):
        there, back = channel(), channel()

        def pong():
            for value in there:
                back.send(value + 1)

        tasklet(pong)()
        value = 0
        for _ in range(1000):
            there.send(value)
            value = back.receive()
        there.send_exception(StopIteration)
        self.assertEqual(value, 1000)
        run()

    def test_a_pipeline(self):
        def stage(source, target):
            for value in source:
                target.send(value + 1)
            target.send_exception(StopIteration)

        first = source = channel()
        for _ in range(100):
            source, previous = channel(), source
            tasklet(stage)(previous, source)
        tasklet(self.feed)(first, 50)
        got = []
        for value in source:
            got.append(value)
        self.assertEqual(got, [value + 100 for value in range(50)])
        run()

    def feed(self, target, count):
        for value in range(count):
            target.send(value)
        target.send_exception(StopIteration)

    def test_sending_channels_over_channels(self):
        def server():
            for question, reply in self.ch:
                reply.send(question * 2)

        def client(number):
            reply = channel()
            self.ch.send((number, reply))
            self.log.append(reply.receive())

        t = tasklet(server)()
        for number in range(10):
            tasklet(client)(number)
        run()
        self.assertEqual(sorted(self.log), [2 * number for number in range(10)])
        self.assertTrue(t.blocked)
        self.ch.send_exception(StopIteration)


if __name__ == "__main__":
    unittest.main()
