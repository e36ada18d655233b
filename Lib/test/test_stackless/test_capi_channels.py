"""The C API of channels: the PyChannel_ functions."""

import threading
import time
import unittest

from stackless import channel, getcurrent, run, schedule, set_channel_callback, tasklet

from .capi import NULL, ChecksErrors, api
from .cases import LeavesNoTasklets, needs_soft_switches


class Derived(channel):
    """A subclass."""


class Making(ChecksErrors, unittest.TestCase):

    def test_type(self):
        self.assertIs(api.PyChannel_Type(), channel)

    def test_check(self):
        for thing, is_channel, exact in ((channel(), 1, 1), (Derived(), 1, 0), (channel, 0, 0), (tasklet(), 0, 0)):
            self.assertEqual(api.PyChannel_Check(thing), is_channel)
            self.assertEqual(api.PyChannel_CheckExact(thing), exact)

    def test_new(self):
        self.assertIs(type(api.PyChannel_New(NULL)), channel)
        self.assertIs(type(api.PyChannel_New(Derived)), Derived)
        for wrong in (int, 42):
            with self.assertRaisesRegex(TypeError, 'must be a class of channels'):
                api.PyChannel_New(wrong)

    def test_new_of_a_class_that_makes_something_else(self):
        class Strange(channel):
            def __new__(cls):
                return 42

        with self.assertRaisesRegex(TypeError, 'must be a channel, not int'):
            api.PyChannel_New(Strange)


class Transfers(LeavesNoTasklets, ChecksErrors, unittest.TestCase):

    def test_send(self):
        for function, result in ((api.PyChannel_Send, 0), (api.PyChannel_Send_nr, None)):
            ch, got = channel(), []
            tasklet(lambda: got.append(function(ch, 'first')))()
            run()
            self.assertEqual(ch.receive(), 'first')
            run()
            self.assertEqual(got, [result])
            tasklet(lambda: got.append(ch.receive()))()
            run()
            self.assertEqual(function(ch, 'second'), result)
            self.assertEqual(got, [result, 'second'])

    def test_receive(self):
        for function in (api.PyChannel_Receive, api.PyChannel_Receive_nr):
            ch, got = channel(), []
            tasklet(lambda: got.append(function(ch)))()
            run()
            ch.send('first')
            self.assertEqual(got, ['first'])
            tasklet(ch.send)('second')
            run()
            self.assertEqual(function(ch), 'second')
            run()

    @needs_soft_switches
    def test_nr_leaves_no_c_frame(self):
        ch = channel()
        for function, args, level in ((api.PyChannel_Receive_nr, (ch,), 0), (api.PyChannel_Receive, (ch,), 1),
                                      (api.PyChannel_Send_nr, (ch, 1), 0), (api.PyChannel_Send, (ch, 1), 1)):
            t = tasklet(lambda: function(*args))()
            run()
            self.assertEqual(t.nesting_level, level, function.__name__)
            t.kill()

    def test_nr_without_an_offer(self):
        """C code that calls them makes no offer: then they do what their twins do."""
        ch, got = channel(), []
        tasklet(lambda: got.append(list(map(api.PyChannel_Receive_nr, [ch] * 3))))()
        tasklet(lambda: got.append(list(map(api.PyChannel_Send_nr, [ch] * 3, 'abc'))))()
        run()
        self.assertCountEqual(got, [['a', 'b', 'c'], [None] * 3])

    def test_errors(self):
        with self.assertRaisesRegex(RuntimeError, 'Deadlock'):
            api.PyChannel_Send(channel(), 1)
        with self.assertRaisesRegex(RuntimeError, 'Deadlock'):
            api.PyChannel_Receive(channel())
        closed = channel()
        closed.close()
        with self.assertRaisesRegex(ValueError, 'closed'):
            api.PyChannel_Send_nr(closed, 1)
        with self.assertRaisesRegex(ValueError, 'closed'):
            api.PyChannel_Receive_nr(closed)

    def test_null_to_send(self):
        for function in (api.PyChannel_Send, api.PyChannel_Send_nr, api.PyChannel_TrySend):
            with self.assertRaisesRegex(TypeError, 'the value to send is NULL'):
                function(channel(), NULL)

    def test_other_types(self):
        for name in ('Receive', 'Receive_nr', 'GetQueue', 'Close', 'Open', 'GetClosing', 'GetClosed',
                     'GetPreference', 'GetScheduleAll', 'GetBalance'):
            self.refuses_other_types(getattr(api, 'PyChannel_' + name), 'channel')
        for name in ('Send', 'Send_nr', 'TrySend', 'TryReceive', 'SetPreference', 'SetScheduleAll'):
            self.refuses_other_types(getattr(api, 'PyChannel_' + name), 'channel', 1)
        self.refuses_other_types(api.PyChannel_SendException, 'channel', ValueError, NULL)
        self.refuses_other_types(api.PyChannel_SendThrow, 'channel', ValueError, NULL, NULL)

    def received(self, function, *args):
        """What a receiver raises that function(channel, *args) sends to."""
        def receive():
            try:
                ch.receive()
            except Exception as error:
                caught.append(error)

        ch, caught = channel(), []
        tasklet(receive)()
        run()
        self.assertEqual(function(ch, *args), 0)
        return caught[0]

    def test_send_exception(self):
        for args, expected in ((NULL, ()), (None, ()), ((1, 2), (1, 2)), ('text', ('text',))):
            error = self.received(api.PyChannel_SendException, ValueError, args)
            self.assertEqual((type(error), error.args), (ValueError, expected))
        for wrong in (NULL, 42, ValueError()):
            with self.assertRaisesRegex(TypeError, 'must be an exception class'):
                api.PyChannel_SendException(channel(), wrong, NULL)

    def test_send_throw(self):
        try:
            raise KeyError('original')
        except KeyError as caught:
            original = caught
        self.assertIs(self.received(api.PyChannel_SendThrow, original, NULL, NULL), original)
        error = self.received(api.PyChannel_SendThrow, ValueError, 'text', original.__traceback__)
        self.assertEqual((type(error), error.args), (ValueError, ('text',)))
        self.assertIsNotNone(error.__traceback__.tb_next.tb_next)
        for wrong in (NULL, 42):
            with self.assertRaises(TypeError):
                api.PyChannel_SendThrow(channel(), wrong, NULL, NULL)


class Trying(LeavesNoTasklets, unittest.TestCase):
    """Operations that neither block nor switch."""

    def test_nobody_waits(self):
        ch = channel()
        self.assertEqual(api.PyChannel_TrySend(ch, 1), 0)
        self.assertEqual(api.PyChannel_TryReceive(ch, 1), (0,))
        self.assertEqual(ch.balance, 0)
        ch.close()
        self.assertEqual(api.PyChannel_TrySend(ch, 1), 0)
        self.assertEqual(api.PyChannel_TryReceive(ch, 1), (0,))

    def test_those_who_wait_for_the_same(self):
        ch = channel()
        t = tasklet(ch.send)(1)
        run()
        self.assertEqual(api.PyChannel_TrySend(ch, 2), 0)
        self.assertEqual(ch.balance, 1)
        t.kill()
        t = tasklet(ch.receive)()
        run()
        self.assertEqual(api.PyChannel_TryReceive(ch, 1), (0,))
        t.kill()

    def test_send(self):
        """The receiver runs when its turn comes, whatever the preference is."""
        for preference in (-1, 0, 1):
            for schedule_all in (0, 1):
                ch, order = channel(), []
                ch.preference, ch.schedule_all = preference, schedule_all
                tasklet(lambda: order.append(ch.receive()))()
                run()
                tasklet(order.append)('before')
                self.assertEqual(api.PyChannel_TrySend(ch, 'value'), 1)
                order.append('host')
                run()
                self.assertEqual(order, ['host', 'before', 'value'])

    def test_receive(self):
        for preference in (-1, 0, 1):
            ch, order = channel(), []
            ch.preference = preference
            tasklet(lambda: order.append(ch.send('value')))()
            run()
            self.assertEqual(api.PyChannel_TryReceive(ch, 1), (1, 'value'))
            self.assertEqual(order, [])
            run()
            self.assertEqual(order, [None])

    def test_receive_an_exception(self):
        ch = channel()
        tasklet(ch.send_exception)(ValueError, 'sent')
        run()
        with self.assertRaisesRegex(ValueError, 'sent'):
            api.PyChannel_TryReceive(ch, 1)
        run()

    def test_send_an_exception(self):
        """A bomb is raised in the receiver."""
        from stackless import bomb
        ch, caught = channel(), []

        def receive():
            try:
                ch.receive()
            except ValueError as error:
                caught.append(error)

        tasklet(receive)()
        run()
        self.assertEqual(api.PyChannel_TrySend(ch, bomb(ValueError, ValueError('sent'))), 1)
        run()
        self.assertEqual(len(caught), 1)

    def test_no_place_for_the_value(self):
        ch = channel()
        t = tasklet(ch.send)(1)
        run()
        with self.assertRaisesRegex(TypeError, 'the place for the value is NULL'):
            api.PyChannel_TryReceive(ch, NULL)
        self.assertEqual(ch.balance, 1)
        t.kill()

    def test_channel_callback(self):
        """It sees an operation that takes effect, and may change the value; and none that does not."""
        def callback(channel, t, sending, willblock):
            seen.append((t is getcurrent(), sending, willblock))
            if sending:
                t.tempval = 'changed'

        seen, got, ch = [], [], channel()
        tasklet(lambda: got.append(ch.receive()))()
        run()
        set_channel_callback(callback)
        self.addCleanup(set_channel_callback, None)
        api.PyChannel_TrySend(ch, 'value')
        self.assertEqual(api.PyChannel_TrySend(ch, 'another'), 0)
        self.assertEqual(api.PyChannel_TryReceive(ch, 1), (0,))
        set_channel_callback(None)
        self.assertEqual(seen, [(True, 1, 0)])
        run()
        self.assertEqual(got, ['changed'])

    def test_partner_goes_during_the_callback(self):
        """Another thread ends it meanwhile."""
        def callback(*args):
            api.outside([('PyTasklet_KillEx', t, 1)])

        ch = channel()
        t = tasklet(ch.receive)()
        run()
        set_channel_callback(callback)
        self.addCleanup(set_channel_callback, None)
        self.assertEqual(api.PyChannel_TrySend(ch, 'value'), 0)
        set_channel_callback(None)
        run()

    def test_inside_a_callback(self):
        def callback(*args):
            for function in (api.PyChannel_TrySend, api.PyChannel_TryReceive):
                with self.assertRaisesRegex(RuntimeError, 'inside a callback'):
                    function(ch, 1)
            called.append(1)

        called, ch = [], channel()
        t = tasklet(ch.receive)()
        api.PyStackless_SetScheduleCallback(callback)
        self.addCleanup(api.PyStackless_SetScheduleCallback, NULL)
        schedule()
        api.PyStackless_SetScheduleCallback(NULL)
        self.assertEqual(called, [1, 1])
        t.kill()

    def test_from_another_thread(self):
        ch, got = channel(), []
        tasklet(lambda: got.append(ch.receive()))()
        run()
        self.assertEqual(api.outside([('PyChannel_TrySend', ch, 'value'), ('PyChannel_TrySend', ch, 'another')]),
                         [1, 0])
        self.assertEqual(got, [])
        run()
        self.assertEqual(got, ['value'])

    def test_wakes_a_thread_that_sleeps(self):
        def send():
            while not api.PyChannel_TrySend(ch, 'value'):
                time.sleep(0)

        ch, got = channel(), []
        tasklet(lambda: got.append(ch.receive()))()
        thread = threading.Thread(target=send)
        thread.start()
        api.PyStackless_RunWatchdogEx(0, api.Py_WATCHDOG_THREADBLOCK)
        thread.join()
        self.assertEqual(got, ['value'])

    @needs_soft_switches
    def test_receiver_without_a_thread(self):
        """A tasklet whose thread has ended is no partner."""
        ch = channel()
        api.outside([('PyStackless_Call_Main', lambda: tasklet(ch.receive)(), NULL, NULL),
                     ('PyStackless_RunWatchdog', 0)])
        self.assertEqual(ch.balance, -1)
        self.assertEqual(api.PyChannel_TrySend(ch, 1), 0)
        self.assertEqual(ch.balance, 0)


class Attributes(LeavesNoTasklets, unittest.TestCase):

    def test_queue_and_balance(self):
        ch = channel()
        self.assertIsNone(api.PyChannel_GetQueue(ch))
        self.assertEqual(api.PyChannel_GetBalance(ch), 0)
        receivers = [tasklet(ch.receive)() for _ in range(2)]
        run()
        self.assertIs(api.PyChannel_GetQueue(ch), receivers[0])
        self.assertEqual(api.PyChannel_GetBalance(ch), -2)
        for each in receivers:
            ch.send(None)
        sender = tasklet(ch.send)(1)
        run()
        self.assertEqual(api.PyChannel_GetBalance(ch), 1)
        sender.kill()

    def test_closing(self):
        def state():
            return api.PyChannel_GetClosing(ch), api.PyChannel_GetClosed(ch)

        ch = channel()
        self.assertEqual(state(), (0, 0))
        t = tasklet(ch.send)(1)
        run()
        self.assertEqual(api.PyChannel_Close(ch), 0)
        self.assertEqual(state(), (1, 0))
        t.kill()
        self.assertEqual(state(), (1, 1))
        self.assertEqual(api.PyChannel_Open(ch), 0)
        self.assertEqual(state(), (0, 0))

    def test_preference(self):
        ch = channel()
        self.assertEqual(api.PyChannel_GetPreference(ch), -1)
        for value, stored in ((0, 0), (1, 1), (100, 1), (-100, -1)):
            self.assertEqual(api.PyChannel_SetPreference(ch, value), 0)
            self.assertEqual(api.PyChannel_GetPreference(ch), stored)
            self.assertEqual(ch.preference, stored)

    def test_schedule_all(self):
        ch = channel()
        self.assertEqual(api.PyChannel_GetScheduleAll(ch), 0)
        for value, stored in ((5, 1), (0, 0), (-1, 1)):
            self.assertEqual(api.PyChannel_SetScheduleAll(ch, value), 0)
            self.assertEqual(api.PyChannel_GetScheduleAll(ch), stored)


if __name__ == '__main__':
    unittest.main()
