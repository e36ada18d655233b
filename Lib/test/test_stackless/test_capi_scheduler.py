"""The C API of the scheduler: switching, run() and its limits in instructions, callbacks."""

import gc
import threading
import unittest
from test.support import catch_unraisable_exception

import stackless
from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from .capi import NULL, api
from .cases import LeavesNoTasklets, needs_soft_switches


def spin():
    """Never end, never switch."""
    while True:
        pass


class Switching(LeavesNoTasklets, unittest.TestCase):

    def test_schedule(self):
        for function in (api.PyStackless_Schedule, api.PyStackless_Schedule_nr):
            order = []
            tasklet(order.append)('other')
            self.assertEqual(function('value', 0), 'value')
            self.assertEqual(order, ['other'])
            self.assertIs(function(NULL, 0), getcurrent())

    def test_schedule_remove(self):
        for function in (api.PyStackless_Schedule, api.PyStackless_Schedule_nr):
            order = []
            t = tasklet(lambda: order.append(function('value', 1)))()
            run()
            self.assertTrue(t.paused)
            t.insert()
            run()
            self.assertEqual(order, ['value'])
            self.assertIs(function(NULL, 1), getmain())

    @needs_soft_switches
    def test_nr_leaves_no_c_frame(self):
        for function, level in ((api.PyStackless_Schedule_nr, 0), (api.PyStackless_Schedule, 1)):
            t = tasklet(lambda: function(NULL, 1))()
            run()
            self.assertEqual(t.nesting_level, level)
            t.kill()

    def test_nr_without_an_offer(self):
        results = []
        tasklet(lambda: results.append(list(map(api.PyStackless_Schedule_nr, 'ab', (0, 0)))))()
        tasklet(lambda: results.append(list(map(api.PyStackless_Schedule_nr, 'cd', (0, 0)))))()
        run()
        self.assertEqual(results, [['a', 'b'], ['c', 'd']])

    def test_token(self):
        self.assertTrue(api.Py_UnwindToken())
        self.assertTrue(api.STACKLESS_UNWINDING(None))      # stands for the token itself
        self.assertFalse(api.STACKLESS_UNWINDING(NULL))
        self.assertFalse(api.STACKLESS_UNWINDING(42))

    def test_exception_while_away(self):
        def work():
            try:
                api.PyStackless_Schedule(NULL, 1)
            except ValueError as error:
                caught.append(error.args)

        caught = []
        t = tasklet(work)()
        run()
        t.throw(ValueError, 'thrown')
        self.assertEqual(caught, [('thrown',)])

    def test_current(self):
        seen = []
        t = tasklet(lambda: seen.append(api.PyStackless_GetCurrent()))()
        run()
        self.assertEqual(seen, [t])
        self.assertIs(api.PyStackless_GetCurrent(), getmain())

    def test_current_id(self):
        """It can be asked for without the GIL as well."""
        seen = []
        tasklet(lambda: seen.append((stackless.getcurrentid(), api.PyStackless_GetCurrentId())))()
        run()
        (python, (with_gil, without_gil)), = seen
        self.assertEqual({with_gil, without_gil}, {python})
        self.assertEqual(api.PyStackless_GetCurrentId(), (threading.get_ident(),) * 2)

    def test_run_count(self):
        self.assertEqual(api.PyStackless_GetRunCount(), 1)
        for n in range(3):
            tasklet(schedule)()
        self.assertEqual(api.PyStackless_GetRunCount(), 4)
        run()
        self.assertEqual(api.PyStackless_GetRunCount(), 1)


class Counting(LeavesNoTasklets, unittest.TestCase):
    """PyStackless_GetBlockedCount()."""

    def setUp(self):
        gc.collect()
        self.before = api.PyStackless_GetBlockedCount()

    def blocked(self):
        return api.PyStackless_GetBlockedCount() - self.before

    def test_senders_and_receivers(self):
        one, other = channel(), channel()
        for _ in range(3):
            tasklet(one.receive)()
        for _ in range(2):
            tasklet(other.send)(1)
        self.assertEqual(self.blocked(), 0)
        run()
        self.assertEqual(self.blocked(), 5)
        one.send(None)
        self.assertEqual(self.blocked(), 4)
        other.receive()
        self.assertEqual(self.blocked(), 3)
        one.queue.kill()
        self.assertEqual(self.blocked(), 2)
        one.queue.kill(pending=True)
        self.assertEqual(self.blocked(), 1)
        run()
        other.queue.kill()
        self.assertEqual(self.blocked(), 0)

    @needs_soft_switches
    def test_garbage(self):
        """Blocked tasklets that nobody refers to go with their channel."""
        def make():
            ch = channel()
            for _ in range(10):
                tasklet(lambda: ch.receive())()
            run()

        make()
        self.assertEqual(self.blocked(), 10)
        gc.collect()
        self.assertEqual(self.blocked(), 0)

    def test_threads(self):
        """Each thread has its own."""
        ch = channel()
        kept = []

        def make():
            kept.append(tasklet(ch.receive)())

        results = api.outside([('PyStackless_GetBlockedCount',), ('PyStackless_Call_Main', make, NULL, NULL),
                               ('PyStackless_RunWatchdog', 0), ('PyStackless_GetBlockedCount',)])
        self.assertEqual(results, [0, None, None, 1])
        self.assertEqual(self.blocked(), 0)

    @needs_soft_switches
    def test_tasklet_that_moves(self):
        ch = channel()
        t = tasklet(ch.receive)()
        run()
        self.assertEqual(self.blocked(), 1)
        self.assertEqual(api.outside([('PyTasklet_BindThread', t, -1), ('PyStackless_GetBlockedCount',)]), [0, 1])
        self.assertEqual(self.blocked(), 0)
        t.bind_thread()
        self.assertEqual(self.blocked(), 1)
        ch.send(None)
        self.assertEqual(self.blocked(), 0)


class Running(LeavesNoTasklets, unittest.TestCase):
    """PyStackless_RunWatchdog() and PyStackless_RunWatchdogEx()."""

    def test_flags(self):
        names = ('THREADBLOCK', 'SOFT', 'IGNORE_NESTING', 'TOTALTIMEOUT')
        for prefix in ('Py', 'PY'):
            self.assertEqual([getattr(api, f'{prefix}_WATCHDOG_{name}') for name in names], [1, 2, 4, 8])

    def test_without_limit(self):
        results = []
        tasklet(results.append)(1)
        self.assertIsNone(api.PyStackless_RunWatchdog(0))
        tasklet(results.append)(2)
        self.assertIsNone(api.PyStackless_RunWatchdogEx(0, 0))
        self.assertEqual(results, [1, 2])

    def test_interrupted(self):
        t = tasklet(spin)()
        self.assertIs(api.PyStackless_RunWatchdog(1000), t)
        self.assertTrue(t.paused)
        t.insert()
        self.assertIs(api.PyStackless_RunWatchdogEx(1000, 0), t)
        t.kill()

    def test_soft(self):
        def work():
            for _ in range(1000):
                schedule()
            schedule_remove()

        t = tasklet(work)()
        self.assertIsNone(api.PyStackless_RunWatchdogEx(100, api.Py_WATCHDOG_SOFT | api.PY_WATCHDOG_TOTALTIMEOUT))
        self.assertTrue(t.scheduled)
        t.kill()

    def test_totaltimeout(self):
        """Two that only switch are interrupted where their instructions are added up."""
        def work():
            while True:
                schedule()

        tasklets = [tasklet(work)() for _ in range(2)]
        interrupted = api.PyStackless_RunWatchdogEx(1000, api.Py_WATCHDOG_TOTALTIMEOUT)
        self.assertIn(interrupted, tasklets)
        for each in tasklets:
            each.kill()

    def test_ignore_nesting(self):
        t = tasklet(lambda: [None for _ in map(lambda _: spin(), [1])])()
        t2 = tasklet(lambda: next(iter(sorted([1, 2], key=lambda _: spin()))))()
        self.assertIn(api.PyStackless_RunWatchdogEx(1000, api.Py_WATCHDOG_IGNORE_NESTING), (t, t2))
        for each in (t, t2):
            each.kill()

    def test_threadblock(self):
        """It waits for what another thread makes runnable."""
        ch, got = channel(), []
        tasklet(lambda: got.append(ch.receive()))()
        asked = threading.Event()
        thread = threading.Thread(target=lambda: (asked.wait(), ch.send('value')))
        thread.start()
        api.PyStackless_RunWatchdogEx(0, 0)
        self.assertEqual(got, [])
        asked.set()
        api.PyStackless_RunWatchdogEx(0, api.Py_WATCHDOG_THREADBLOCK)
        self.assertEqual(got, ['value'])
        thread.join()

    def test_wrong_flags(self):
        for flags in (-1, 256):
            with self.assertRaisesRegex(ValueError, r'must be in 0\.\.255'):
                api.PyStackless_RunWatchdogEx(0, flags)

    def test_error_of_a_tasklet(self):
        tasklet(lambda: 1 / 0)()
        left = tasklet(schedule)()
        with self.assertRaises(ZeroDivisionError):
            api.PyStackless_RunWatchdog(0)
        self.assertTrue(left.scheduled)
        run()


class Callbacks(LeavesNoTasklets, unittest.TestCase):

    def setUp(self):
        for function in (api.PyStackless_SetScheduleFastcallback, api.PyStackless_SetScheduleCallback,
                         api.PyStackless_SetChannelCallback):
            self.addCleanup(function, NULL)

    def test_schedule_callback(self):
        seen = []
        self.assertEqual(api.PyStackless_SetScheduleCallback(lambda *args: seen.append(args)), 0)
        t = tasklet(lambda: None)()
        run()
        for nothing in (NULL, None):
            self.assertEqual(api.PyStackless_SetScheduleCallback(nothing), 0)
            self.assertIsNone(stackless.get_schedule_callback())
        tasklet(lambda: None)()
        run()
        self.assertEqual(seen, [(getmain(), t), (t, getmain())])

    def test_channel_callback(self):
        seen = []
        ch = channel()
        self.assertEqual(api.PyStackless_SetChannelCallback(lambda *args: seen.append(args)), 0)
        t = tasklet(ch.receive)()
        run()
        self.assertEqual(api.PyStackless_SetChannelCallback(NULL), 0)
        ch.send(None)
        self.assertEqual(seen, [(ch, t, 0, 1)])

    def test_not_callable(self):
        for function in (api.PyStackless_SetScheduleCallback, api.PyStackless_SetChannelCallback):
            with self.assertRaisesRegex(TypeError, 'must be callable'):
                function(42)

    def test_fast_callback(self):
        log, python = [], []
        self.assertEqual(api.PyStackless_SetScheduleFastcallback(log), 0)
        t = tasklet(lambda: None)()
        run()
        switches = [(getmain(), t), (t, getmain())]
        self.assertEqual(log, switches)
        # Beside one in Python, either of which may go first.
        stackless.set_schedule_callback(lambda *args: python.append((args, len(log))))
        t2 = tasklet(lambda: None)()
        run()
        self.assertEqual(log[2:], [(getmain(), t2), (t2, getmain())])
        self.assertEqual(python, [((getmain(), t2), 3), ((t2, getmain()), 4)])
        stackless.set_schedule_callback(None)
        tasklet(lambda: None)()
        run()
        self.assertEqual(len(log), 6)
        stackless.set_schedule_callback(lambda *args: python.append(args))
        self.assertEqual(api.PyStackless_SetScheduleFastcallback(NULL), 0)
        tasklet(lambda: None)()
        run()
        self.assertEqual((len(log), len(python)), (6, 4))

    def test_fast_callback_in_other_threads(self):
        log = []
        api.PyStackless_SetScheduleFastcallback(log)
        api.outside([('PyStackless_Call_Main', lambda: tasklet(lambda: None)(), NULL, NULL),
                     ('PyStackless_RunWatchdog', 0)])
        self.assertEqual(len(log), 2)

    def test_fast_callback_that_switches(self):
        api.PyStackless_SetScheduleFastcallback('switch')
        with catch_unraisable_exception() as caught:
            schedule()
            tasklet(lambda: None)()
            run()
            api.PyStackless_SetScheduleFastcallback(NULL)
            self.assertIs(caught.unraisable.exc_type, RuntimeError)
            self.assertRegex(str(caught.unraisable.exc_value), 'inside a callback')

    def test_fast_callback_that_fails_silently(self):
        api.PyStackless_SetScheduleFastcallback('fail')
        with catch_unraisable_exception() as caught:
            tasklet(lambda: None)()
            run()
            api.PyStackless_SetScheduleFastcallback(NULL)
            self.assertIs(caught.unraisable.exc_type, SystemError)

    def test_switch_trap(self):
        self.assertEqual(api.PyStackless_AdjustSwitchTrap(1), 0)
        self.addCleanup(lambda: stackless.switch_trap(-stackless.switch_trap()))
        t = tasklet(lambda: None)()
        for function in (schedule, lambda: api.PyStackless_Schedule(NULL, 0), lambda: api.PyTasklet_Run(t),
                         lambda: api.PyTasklet_Switch(t), lambda: api.PyStackless_RunWatchdog(0)):
            with self.assertRaisesRegex(RuntimeError, 'switch_trap'):
                function()
        self.assertEqual(api.PyStackless_AdjustSwitchTrap(2), 1)
        self.assertEqual(api.PyStackless_AdjustSwitchTrap(-3), 3)
        run()
        with self.assertRaises(OverflowError):
            api.PyStackless_AdjustSwitchTrap(2 ** 31 - 1)
            api.PyStackless_AdjustSwitchTrap(1)

    def test_negative_switch_trap(self):
        """-1 is a value, not an error."""
        self.assertEqual(api.PyStackless_AdjustSwitchTrap(-1), 0)
        self.assertEqual(api.PyStackless_AdjustSwitchTrap(1), -1)

    def test_error_handler(self):
        handled = []
        error = ValueError('original')
        with self.assertRaises(ValueError) as caught:
            api.PyStackless_CallErrorHandler(error)
        self.assertIs(caught.exception, error)
        self.addCleanup(stackless.set_error_handler, None)
        stackless.set_error_handler(lambda *args: handled.append(args))
        self.assertIsNone(api.PyStackless_CallErrorHandler(error))
        self.assertEqual(handled[0][:2], (ValueError, error))

        def fails(*args):
            raise KeyError('of the handler')

        stackless.set_error_handler(fails)
        with self.assertRaises(KeyError) as caught:
            api.PyStackless_CallErrorHandler(error)
        self.assertIs(caught.exception.__context__, error)

    def test_error_handler_without_an_error(self):
        with self.assertRaisesRegex(SystemError, 'no exception is set'):
            api.PyStackless_CallErrorHandler(NULL)


class Ending(LeavesNoTasklets, unittest.TestCase):
    """PyStackless_kill_tasks_with_stacks()."""

    def test_this_thread(self):
        """Those inside of C functions end, the others are paused."""
        def wait_in_c():
            try:
                api.PyStackless_Schedule(NULL, 1)
            finally:
                ended.append(getcurrent())

        ended = []
        t = tasklet(wait_in_c)()
        run()
        runnable = tasklet(ended.append)('runnable')
        self.assertEqual(api.PyStackless_kill_tasks_with_stacks(0), 0)
        self.assertEqual(ended, [t])
        self.assertFalse(t.alive)
        self.assertTrue(runnable.paused)
        runnable.run()

    def test_other_threads(self):
        """Theirs get the exception when they run next."""
        def thread_main():
            made.append(tasklet(work)())
            run()
            ready.set()
            go_on.wait()
            run()

        def work():
            try:
                api.PyStackless_Schedule(NULL, 1)
            except TaskletExit:
                made.append('exit')

        made, ready, go_on = [], threading.Event(), threading.Event()
        thread = threading.Thread(target=thread_main)
        thread.start()
        ready.wait()
        self.assertEqual(api.PyStackless_kill_tasks_with_stacks(0), 0)
        self.assertTrue(made[0].paused)
        self.assertEqual(api.PyStackless_kill_tasks_with_stacks(1), 0)
        self.assertTrue(made[0].scheduled)
        go_on.set()
        thread.join()
        self.assertEqual(made[1:], ['exit'])

    def test_inside_a_callback(self):
        def callback(*args):
            with self.assertRaisesRegex(RuntimeError, 'inside a callback'):
                api.PyStackless_kill_tasks_with_stacks(0)
            called.append(1)

        called = []
        stackless.set_schedule_callback(callback)
        self.addCleanup(stackless.set_schedule_callback, None)
        tasklet(lambda: None)()
        run()
        stackless.set_schedule_callback(None)
        self.assertEqual(called, [1, 1])


if __name__ == '__main__':
    unittest.main()
