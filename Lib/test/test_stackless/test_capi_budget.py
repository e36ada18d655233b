"""The C API's PyStackless_RunBudget(): tasklets run for so many seconds."""

import time
import unittest

from stackless import channel, getcurrent, getmain, getovershoot, run, schedule, tasklet

from .capi import NULL, api
from .cases import LeavesNoTasklets

A_MOMENT = 0.005
LONG = 3600.0


def spin():
    """Never end, never switch."""
    while True:
        pass


class Budget(LeavesNoTasklets, unittest.TestCase):

    def budget(self, seconds, flags=0):
        """(status, report)"""
        return api.PyStackless_RunBudget(seconds, flags, 0)

    def test_nobody_is_runnable(self):
        status, report = self.budget(LONG)
        self.assertEqual(status, 0)
        elapsed = report.pop('elapsed')
        self.assertGreaterEqual(elapsed, 0)
        self.assertEqual(report, dict(overshoot=0.0, interrupted=None, overran=None, runnable=0, blocked=0,
                                      switches=0))

    def test_all_end_in_time(self):
        results = []
        for n in range(3):
            tasklet(results.append)(n)
        status, report = self.budget(LONG)
        self.assertEqual(status, 0)
        self.assertEqual(results, [0, 1, 2])
        self.assertEqual((report['overshoot'], report['interrupted'], report['overran'], report['runnable']),
                         (0.0, None, None, 0))

    def test_interrupted(self):
        """It goes to the end of the queue, and on in the next call."""
        order = []

        def work():
            order.append('first')
            while len(order) < 2:
                pass
            order.append('last')

        t = tasklet(work)()
        while not order:
            status, report = self.budget(A_MOMENT)
        self.assertEqual(status, 1)
        self.assertIs(report['interrupted'], t)
        self.assertIs(report['overran'], t)
        self.assertGreaterEqual(report['elapsed'], A_MOMENT)
        self.assertGreaterEqual(report['overshoot'], 0.0)
        self.assertEqual(report['overshoot'], getovershoot())
        self.assertEqual(report['runnable'], 1)
        self.assertTrue(t.scheduled)
        order.append('host')
        status, report = self.budget(LONG)
        self.assertEqual((status, report['interrupted']), (0, None))
        self.assertEqual(order, ['first', 'host', 'last'])

    def test_order(self):
        """Who was interrupted comes after those who wait for their turn."""
        t, other = tasklet(spin)(), tasklet(spin)()
        self.assertEqual([self.budget(A_MOMENT)[1]['interrupted'] for _ in range(3)], [t, other, t])
        for each in (t, other):
            each.kill()

    def test_remove(self):
        t = tasklet(spin)()
        status, report = self.budget(A_MOMENT, api.PyStackless_BUDGET_REMOVE)
        self.assertEqual((status, report['runnable']), (1, 0))
        self.assertIs(report['interrupted'], t)
        self.assertTrue(t.paused)
        t.kill()

    def test_no_time_at_all(self):
        for seconds in (0.0, -1.0):
            t = tasklet(spin)()
            status, report = self.budget(seconds)
            self.assertEqual(status, 1)
            self.assertIs(report['interrupted'], t)
            t.kill()

    def test_who_overran(self):
        """A tasklet whose C function took too long, though another one is interrupted then."""
        def sleeps():
            time.sleep(0.05)
            ch.receive()

        ch = channel()
        culprit = tasklet(sleeps)()
        culprit.set_atomic(True)    # so that it sleeps, however late it begins
        t = tasklet(spin)()
        status, report = self.budget(A_MOMENT)
        self.assertIs(report['overran'], culprit)
        self.assertGreaterEqual(report['overshoot'], 0.05 - 2 * A_MOMENT)
        self.assertEqual(status, 1)
        culprit.kill()
        t.kill()

    def test_who_overran_and_ended(self):
        """Its end gives control back, and nobody has looked at the time before."""
        culprit = tasklet(time.sleep)(0.03)
        status, report = self.budget(A_MOMENT)
        self.assertEqual((status, report['interrupted']), (0, None))
        self.assertIs(report['overran'], culprit)
        self.assertGreaterEqual(report['overshoot'], 0.03 - 2 * A_MOMENT)

    def test_atomic(self):
        """An atomic tasklet is not interrupted, but told of."""
        def work():
            end = time.monotonic() + 0.03
            while time.monotonic() < end:
                pass
            getcurrent().set_atomic(False)
            spin()

        t = tasklet(work)()
        t.set_atomic(True)
        status, report = self.budget(A_MOMENT)
        self.assertIs(report['interrupted'], t)
        self.assertIs(report['overran'], t)
        self.assertGreaterEqual(report['overshoot'], 0.01)
        t.kill()

    def test_soft(self):
        """Nobody is interrupted: it comes back at a switch."""
        def work():
            while True:
                counts.append(None)
                schedule()

        counts = []
        tasklets = [tasklet(work)() for _ in range(2)]
        status, report = self.budget(A_MOMENT, api.Py_WATCHDOG_SOFT)
        self.assertEqual((status, report['interrupted'], report['runnable']), (1, None, 2))
        self.assertIn(report['overran'], tasklets)
        for each in tasklets:
            each.kill()

    def test_threadblock(self):
        """Without anybody to run it waits until the time is up; nobody overran then."""
        status, report = self.budget(A_MOMENT, api.Py_WATCHDOG_THREADBLOCK)
        self.assertEqual((status, report['interrupted'], report['overran']), (0, None, None))

    def test_ignore_nesting(self):
        t = tasklet(lambda: sorted([1, 2], key=lambda _: spin()))()
        status, report = self.budget(A_MOMENT, api.Py_WATCHDOG_IGNORE_NESTING)
        self.assertIs(report['interrupted'], t)
        t.kill()

    def test_blocked(self):
        ch = channel()
        for _ in range(3):
            tasklet(ch.receive)()
        status, report = self.budget(LONG)
        self.assertEqual((status, report['blocked'], report['runnable']), (0, 3, 0))
        for _ in range(3):
            ch.send(None)

    def test_error_of_a_tasklet(self):
        """It is raised, with the report filled in; the others go on in the next call."""
        results = []
        tasklet(lambda: 1 / 0)()
        tasklet(results.append)(1)
        with self.assertRaises(ZeroDivisionError) as caught:
            self.budget(LONG)
        self.assertEqual(caught.exception.report['runnable'], 1)
        self.assertEqual(caught.exception.report['interrupted'], None)
        self.assertEqual(self.budget(LONG)[0], 0)
        self.assertEqual(results, [1])

    def test_switches(self):
        """Each tasklet's beginning, and its going on; that the caller comes back does not count."""
        for n in range(3):
            tasklet(schedule)()
        self.assertEqual(self.budget(LONG)[1]['switches'], 6)
        tasklet(lambda: None)()
        self.assertEqual(self.budget(LONG)[1]['switches'], 1)

    def test_without_report(self):
        t = tasklet(spin)()
        self.assertEqual(api.PyStackless_RunBudget(A_MOMENT, 0, NULL), 1)
        t.kill()
        self.assertEqual(api.PyStackless_RunBudget(A_MOMENT, 0, NULL), 0)

    def test_woken_by_hand(self):
        """Who runs the caller of a budget gives the rest of the time back."""
        t = tasklet(lambda: getmain().run())()
        status, report = self.budget(LONG)
        self.assertEqual((status, report['interrupted'], report['runnable']), (1, None, 1))
        self.assertTrue(t.scheduled)
        run()

    def test_refused(self):
        with self.assertRaisesRegex(ValueError, 'must be a number, not nan'):
            self.budget(float('nan'))
        for flags in (16, 512, -1):
            with self.assertRaisesRegex(ValueError, 'bits that are not defined'):
                self.budget(LONG, flags)
        with self.assertRaisesRegex(ValueError, 'the size of the report is 8, it must be'):
            api.PyStackless_RunBudget(LONG, 0, 8)

    def test_inside_of_another(self):
        def inner():
            with self.assertRaisesRegex(RuntimeError, 'has a limit already'):
                self.budget(A_MOMENT)
            called.append(1)

        called = []
        tasklet(inner)()
        self.budget(LONG)
        tasklet(inner)()
        run(10 ** 9)
        self.assertEqual(called, [1, 1])

    def test_inside_of_one_without_a_limit(self):
        def inner():
            statuses.append(self.budget(A_MOMENT)[0])

        statuses = []
        tasklet(inner)()
        run()
        self.assertEqual(statuses, [0])

    def test_many_frames(self):
        """A game's loop: three scripts share what there is, nobody is lost."""
        def script(n):
            for _ in range(5):
                progress[n] += 1
                schedule()

        progress = [0] * 3
        for n in range(3):
            tasklet(script)(n)
        frames = 0
        while self.budget(A_MOMENT)[0]:
            frames += 1
        self.assertEqual(progress, [5] * 3)

    def test_clear_report(self):
        self.assertTrue(api.PyStackless_ClearRunReport(tasklet(), tasklet()))


if __name__ == '__main__':
    unittest.main()
