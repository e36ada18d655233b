"""The C API of tasklets: the PyTasklet_ functions."""

import _thread
import gc
import sys
import unittest

from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from .capi import NULL, ChecksErrors, api
from .cases import LeavesNoTasklets, needs_soft_switches

TASKLET_ARGUMENT_ONLY = ('Run', 'Run_nr', 'Switch', 'Switch_nr', 'Insert', 'Remove', 'Kill', 'GetAtomic',
                         'GetIgnoreNesting', 'GetBlockTrap', 'GetPendingIrq', 'GetFrame', 'IsMain', 'IsCurrent',
                         'Alive', 'Paused', 'Scheduled', 'GetBlocked', 'Restorable', 'GetRecursionDepth',
                         'GetNestingLevel', 'GetUserData')


class Derived(tasklet):
    """A subclass."""


class Making(LeavesNoTasklets, ChecksErrors, unittest.TestCase):

    def test_type(self):
        self.assertIs(api.PyTasklet_Type(), tasklet)

    def test_check(self):
        for thing, is_tasklet, exact in ((tasklet(), 1, 1), (Derived(), 1, 0), (tasklet, 0, 0), (channel(), 0, 0)):
            self.assertEqual(api.PyTasklet_Check(thing), is_tasklet)
            self.assertEqual(api.PyTasklet_CheckExact(thing), exact)

    def test_new(self):
        self.assertIs(type(api.PyTasklet_New(NULL, NULL)), tasklet)
        self.assertIs(type(api.PyTasklet_New(tasklet, None)), tasklet)
        t = api.PyTasklet_New(Derived, print)
        self.assertIs(type(t), Derived)
        self.assertIs(t.tempval, print)

    def test_new_refuses(self):
        with self.assertRaisesRegex(TypeError, 'must be a class of tasklets, not <class .int.>'):
            api.PyTasklet_New(int, NULL)
        with self.assertRaisesRegex(TypeError, 'must be a class of tasklets, not 42'):
            api.PyTasklet_New(42, NULL)
        with self.assertRaisesRegex(TypeError, 'must be callable, not int'):
            api.PyTasklet_New(NULL, 42)

    def test_new_of_a_class_that_makes_something_else(self):
        class Strange(tasklet):
            def __new__(cls, func=None):
                return 42

        with self.assertRaisesRegex(TypeError, 'must be a tasklet, not int'):
            api.PyTasklet_New(Strange, NULL)

    def test_setup(self):
        results = []
        t = api.PyTasklet_New(NULL, lambda *args, **kwds: results.append((args, kwds)))
        self.assertEqual(api.PyTasklet_Setup(t, (1, 2), {'a': 3}), 0)
        self.assertTrue(t.scheduled)
        run()
        api.PyTasklet_Bind(t, results.append)
        with self.assertRaises(TypeError):
            api.PyTasklet_Setup(t, NULL, NULL)
            run()
        self.assertEqual(results, [((1, 2), {'a': 3})])

    def test_setup_refuses(self):
        t = tasklet(print)
        with self.assertRaisesRegex(TypeError, 'must be a tuple or NULL, not list'):
            api.PyTasklet_Setup(t, [], NULL)
        with self.assertRaisesRegex(TypeError, 'must be a dict or NULL, not tuple'):
            api.PyTasklet_Setup(t, NULL, ())
        with self.assertRaisesRegex(RuntimeError, 'not bound'):
            api.PyTasklet_Setup(tasklet(), NULL, NULL)
        with self.assertRaisesRegex(RuntimeError, 'alive'):
            api.PyTasklet_Setup(getcurrent(), NULL, NULL)
        self.refuses_other_types(api.PyTasklet_Setup, 'tasklet', NULL, NULL)

    def test_bind(self):
        t = tasklet()
        self.assertEqual(api.PyTasklet_Bind(t, len), 0)
        self.assertIs(t.tempval, len)
        self.assertEqual(api.PyTasklet_Bind(t, NULL), 0)
        self.assertIsNone(t.tempval)
        with self.assertRaisesRegex(TypeError, 'callable'):
            api.PyTasklet_Bind(t, 42)
        self.refuses_other_types(api.PyTasklet_Bind, 'tasklet', NULL)

    def test_bind_with_arguments(self):
        results = []
        t = tasklet()
        self.assertEqual(api.PyTasklet_BindEx(t, results.append, (1,), None), 0)
        self.assertTrue(t.paused)
        t.run()
        self.assertEqual(results, [1])
        api.PyTasklet_BindEx(t, dict, NULL, {'key': 1})
        self.assertTrue(t.alive)
        t.run()
        with self.assertRaisesRegex(TypeError, "'args' must be a tuple"):
            api.PyTasklet_BindEx(t, dict, 42, NULL)
        with self.assertRaisesRegex(TypeError, "'kwargs' must be a dict"):
            api.PyTasklet_BindEx(t, dict, NULL, 42)
        with self.assertRaisesRegex(RuntimeError, 'current'):
            api.PyTasklet_BindEx(getcurrent(), dict, NULL, NULL)
        self.refuses_other_types(api.PyTasklet_BindEx, 'tasklet', NULL, NULL, NULL)

    def test_bind_thread(self):
        t = tasklet(print)
        self.assertEqual(api.PyTasklet_BindThread(t, -1), 0)
        self.assertEqual(api.PyTasklet_BindThread(t, _thread.get_ident()), 0)
        self.assertEqual(t.thread_id, _thread.get_ident())
        with self.assertRaisesRegex(ValueError, 'bad thread'):
            api.PyTasklet_BindThread(t, 12345)
        with self.assertRaisesRegex(RuntimeError, 'main tasklet'):
            api.PyTasklet_BindThread(getmain(), -1)
        self.refuses_other_types(api.PyTasklet_BindThread, 'tasklet', -1)


class Running(LeavesNoTasklets, ChecksErrors, unittest.TestCase):

    def order_of(self, function):
        """Who runs in which order when main calls the function with a paused tasklet, while another one is in the
        queue."""
        order = []

        def work(name):
            order.append(name)
            schedule()
            order.append(name)

        tasklet(work)('b')
        t = tasklet().bind(work, ('a',))
        result = function(t)
        order.append('main')
        run()
        return result, order

    def test_run(self):
        for function in (tasklet.run, api.PyTasklet_Run, api.PyTasklet_Run_nr):
            result, order = self.order_of(function)
            self.assertEqual(order, ['a', 'main', 'b', 'a', 'b'])
            self.assertEqual(result, 0 if function is api.PyTasklet_Run else None)

    def test_switch(self):
        def by(function):
            order = []

            def caller():
                order.append('caller')
                order.append(function(target))

            target = tasklet().bind(order.append, ('target',))
            t = tasklet(caller)()
            run()
            self.assertTrue(t.paused)
            order.append('main')
            t.insert()
            run()
            return order

        self.assertEqual(by(tasklet.switch), ['caller', 'target', 'main', None])
        self.assertEqual(by(api.PyTasklet_Switch), ['caller', 'target', 'main', 0])
        self.assertEqual(by(api.PyTasklet_Switch_nr), ['caller', 'target', 'main', None])

    def test_to_oneself(self):
        for function in (api.PyTasklet_Run, api.PyTasklet_Switch):
            self.assertEqual(function(getcurrent()), 0)

    @needs_soft_switches
    def test_nr_leaves_no_c_frame(self):
        """The twins with _nr switch without the C stack, the plain functions keep it."""
        def nesting(function):
            def caller():
                function(target)

            target = tasklet().bind(schedule_remove, ())
            t = tasklet(caller)()
            run()
            level = t.nesting_level
            for each in (t, target):
                each.kill()
            return level

        self.assertEqual(nesting(api.PyTasklet_Switch_nr), 0)
        self.assertEqual(nesting(api.PyTasklet_Switch), 1)

        def nesting_of_run(function):
            levels = []

            def caller():
                function(tasklet().bind(lambda: levels.append(t.nesting_level), ()))

            t = tasklet(caller)()
            run()
            return levels

        self.assertEqual(nesting_of_run(api.PyTasklet_Run_nr), [0])
        self.assertEqual(nesting_of_run(api.PyTasklet_Run), [1])

    def test_nr_without_an_offer(self):
        """C code that calls them makes no offer: then they do what their twins do."""
        results = []
        targets = [tasklet().bind(results.append, (n,)) for n in range(3)]
        tasklet(lambda: results.append(list(map(api.PyTasklet_Run_nr, targets))))()
        run()
        self.assertEqual(results, [0, 1, 2, [None] * 3])

        results.clear()
        target = tasklet().bind(results.append, (0,))
        caller = tasklet(lambda: results.append(list(map(api.PyTasklet_Switch_nr, [target]))))()
        run()
        self.assertTrue(caller.paused)
        caller.insert()
        run()
        self.assertEqual(results, [0, [None]])

    def test_refused(self):
        dead = tasklet()
        for function in (api.PyTasklet_Run, api.PyTasklet_Run_nr, api.PyTasklet_Switch, api.PyTasklet_Switch_nr,
                         api.PyTasklet_Insert):
            with self.assertRaisesRegex(RuntimeError, 'not alive'):
                function(dead)
        ch = channel()
        blocked = tasklet(ch.receive)()
        run()
        for function in (api.PyTasklet_Run, api.PyTasklet_Switch, api.PyTasklet_Insert, api.PyTasklet_Remove):
            with self.assertRaisesRegex(RuntimeError, 'blocked on a channel'):
                function(blocked)
        ch.send(None)
        with self.assertRaisesRegex(RuntimeError, 'current'):
            api.PyTasklet_Remove(getcurrent())

    def test_other_types(self):
        for name in TASKLET_ARGUMENT_ONLY:
            self.refuses_other_types(getattr(api, 'PyTasklet_' + name), 'tasklet')
        for name in ('KillEx', 'SetAtomic', 'SetIgnoreNesting', 'SetBlockTrap'):
            self.refuses_other_types(getattr(api, 'PyTasklet_' + name), 'tasklet', 0)

    def test_insert_and_remove(self):
        results = []
        t = tasklet(results.append)(1)
        self.assertEqual(api.PyTasklet_Remove(t), 0)
        self.assertTrue(t.paused)
        self.assertEqual(api.PyTasklet_Remove(t), 0)
        run()
        self.assertEqual(results, [])
        self.assertEqual(api.PyTasklet_Insert(t), 0)
        self.assertEqual(api.PyTasklet_Insert(t), 0)
        run()
        self.assertEqual(results, [1])

    def test_from_another_thread(self):
        """A tasklet of another thread: what is allowed there, and what is not."""
        results = []
        t = tasklet().bind(results.append, ('ran',))
        seen = api.outside([('PyTasklet_Insert', t), ('PyTasklet_Scheduled', t), ('PyTasklet_Remove', t),
                            ('PyTasklet_Paused', t), ('PyTasklet_IsCurrent', t), ('PyTasklet_Run', t),
                            ('PyTasklet_IsCurrent', getcurrent())])
        self.assertEqual(seen, [0, 1, 0, 1, 0, 0, 1])
        self.assertEqual(results, [])
        run()
        self.assertEqual(results, ['ran'])
        t.bind(print, ())
        with self.assertRaisesRegex(RuntimeError, 'belongs to another thread'):
            api.outside([('PyTasklet_Switch', t)])
        t.bind(None)

    def test_without_a_thread(self):
        """What is left of a thread that has ended."""
        made = []
        api.outside([('PyStackless_Call_Main', lambda: made.append(tasklet().bind(made.append, (1,))), NULL, NULL)])
        t, = made
        self.assertEqual((api.PyTasklet_Alive(t), api.PyTasklet_Paused(t), api.PyTasklet_IsCurrent(t)), (0, 0, 0))
        for function in (api.PyTasklet_Run, api.PyTasklet_Insert):
            with self.assertRaisesRegex(RuntimeError, 'no thread'):
                function(t)
        self.assertEqual(api.PyTasklet_BindThread(t, -1), 0)
        self.assertEqual(api.PyTasklet_Run(t), 0)
        self.assertEqual(made, [t, 1])


class Exceptions(LeavesNoTasklets, ChecksErrors, unittest.TestCase):

    def caught_by(self, deliver):
        """What a tasklet catches that is paused while deliver(tasklet) is called."""
        caught = []

        def work():
            try:
                schedule_remove()
            except BaseException as error:
                caught.append(error)

        t = tasklet(work)()
        run()
        result = deliver(t)
        self.assertEqual(result, 0)
        run()
        error, = caught
        return error

    def test_raise_exception(self):
        error = self.caught_by(lambda t: api.PyTasklet_RaiseException(t, ValueError, (1, 2)))
        self.assertEqual((type(error), error.args), (ValueError, (1, 2)))
        for nothing in (NULL, None, ()):
            error = self.caught_by(lambda t: api.PyTasklet_RaiseException(t, ValueError, nothing))
            self.assertEqual((type(error), error.args), (ValueError, ()))
        error = self.caught_by(lambda t: api.PyTasklet_RaiseException(t, ValueError, 'text'))
        self.assertEqual(error.args, ('text',))

    def test_raise_exception_refuses(self):
        t = tasklet(print)
        for wrong in (NULL, None, 'text', int, ValueError()):
            with self.assertRaisesRegex(TypeError, 'must be an exception class'):
                api.PyTasklet_RaiseException(t, wrong, NULL)
        with self.assertRaisesRegex(RuntimeError, 'not alive'):
            api.PyTasklet_RaiseException(t, ValueError, NULL)
        self.refuses_other_types(api.PyTasklet_RaiseException, 'tasklet', ValueError, NULL)

    def test_to_oneself(self):
        with self.assertRaisesRegex(ValueError, 'here'):
            api.PyTasklet_RaiseException(getcurrent(), ValueError, 'here')
        with self.assertRaisesRegex(ValueError, 'here'):
            api.PyTasklet_Throw(getcurrent(), 0, ValueError('here'), NULL, NULL)
        with self.assertRaises(TaskletExit):
            api.PyTasklet_Kill(getcurrent())

    def test_throw(self):
        try:
            raise KeyError('original')
        except KeyError as caught:
            original = caught
        error = self.caught_by(lambda t: api.PyTasklet_Throw(t, 0, original, NULL, NULL))
        self.assertIs(error, original)
        error = self.caught_by(lambda t: api.PyTasklet_Throw(t, 0, ValueError, 'text', original.__traceback__))
        self.assertEqual(error.args, ('text',))
        lines = []
        traceback = error.__traceback__
        while traceback is not None:
            lines.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        self.assertEqual(lines[-1], 'test_throw')

    def test_throw_pending(self):
        order = []

        def work():
            try:
                schedule_remove()
            except ValueError:
                order.append('caught')

        for pending, expected in ((1, ['caller', 'caught']), (0, ['caught', 'caller'])):
            t = tasklet(work)()
            run()
            self.assertEqual(api.PyTasklet_Throw(t, pending, ValueError, NULL, NULL), 0)
            order.append('caller')
            run()
            self.assertEqual(order, expected)
            order.clear()

    def test_throw_refuses(self):
        for wrong in (NULL, 42, int):
            with self.assertRaises(TypeError):
                api.PyTasklet_Throw(tasklet(print)(), 0, wrong, NULL, NULL)
        run()
        self.refuses_other_types(api.PyTasklet_Throw, 'tasklet', 0, ValueError, NULL, NULL)

    def test_kill(self):
        self.assertIsInstance(self.caught_by(api.PyTasklet_Kill), TaskletExit)
        self.assertIsInstance(self.caught_by(lambda t: api.PyTasklet_KillEx(t, 1)), TaskletExit)
        self.assertEqual(api.PyTasklet_Kill(tasklet()), 0)

    def test_kill_pending(self):
        t = tasklet(schedule_remove)()
        run()
        self.assertEqual(api.PyTasklet_KillEx(t, 1), 0)
        self.assertTrue(t.scheduled)
        self.assertEqual(api.PyTasklet_KillEx(t, 0), 0)
        self.assertFalse(t.alive)

    def test_kill_from_another_thread(self):
        t = tasklet(schedule_remove)()
        run()
        self.assertEqual(api.outside([('PyTasklet_Kill', t)]), [0])
        self.assertTrue(t.scheduled)
        run()
        self.assertFalse(t.alive)


class Attributes(LeavesNoTasklets, unittest.TestCase):

    def test_flags(self):
        t = tasklet(print)
        for name, attribute in (('Atomic', 'atomic'), ('IgnoreNesting', 'ignore_nesting')):
            get, change = (getattr(api, f'PyTasklet_{verb}{name}') for verb in ('Get', 'Set'))
            self.assertEqual([get(t), change(t, 1), get(t)], [0, 0, 1])
            self.assertIs(getattr(t, attribute), True)
            self.assertEqual([change(t, 7), change(t, 0), get(t)], [1, 1, 0])

    def test_block_trap(self):
        t = tasklet(channel().receive)()
        self.assertEqual([api.PyTasklet_GetBlockTrap(t), api.PyTasklet_SetBlockTrap(t, 5),
                          api.PyTasklet_GetBlockTrap(t)], [0, 0, 1])
        with self.assertRaisesRegex(RuntimeError, 'block_trap'):
            run()
        self.assertEqual([api.PyTasklet_SetBlockTrap(t, 0), api.PyTasklet_GetBlockTrap(t)], [0, 0])

    def test_pending_irq(self):
        """An atomic tasklet that has used up its slice is to be interrupted as soon as that is allowed."""
        seen = []

        def work():
            me = getcurrent()
            seen.append(api.PyTasklet_GetPendingIrq(me))
            me.set_atomic(True)
            for _ in range(1000):
                pass
            seen.append(api.PyTasklet_GetPendingIrq(me))
            me.set_atomic(False)
            for _ in range(1000):
                pass

        t = tasklet(work)()
        self.assertIs(run(100), t)
        self.assertEqual(seen, [0, 1])
        self.assertEqual(api.PyTasklet_GetPendingIrq(t), 0)
        t.kill()

    def test_frame(self):
        frames = []

        def work():
            frames.append(sys._getframe())
            frames.append(api.PyTasklet_GetFrame(getcurrent()))
            schedule_remove()

        t = tasklet(work)
        self.assertIsNone(api.PyTasklet_GetFrame(t))
        t()
        run()
        self.assertIs(frames[0], frames[1])
        self.assertIs(api.PyTasklet_GetFrame(t), frames[0])
        t.kill()
        self.assertIsNone(api.PyTasklet_GetFrame(t))

    def states(self, t):
        """(alive, paused, scheduled, blocked, current, main)"""
        names = ('Alive', 'Paused', 'Scheduled', 'GetBlocked', 'IsCurrent', 'IsMain')
        return ''.join(str(getattr(api, f'PyTasklet_{name}')(t)) for name in names)

    def test_states(self):
        t = tasklet(lambda: seen.append(self.states(getcurrent())) or ch.receive())
        seen, ch = [], channel()
        self.assertEqual(self.states(getcurrent()), '101011')
        self.assertEqual(self.states(t), '000000')
        t.bind(None, ())
        self.assertEqual(self.states(t), '110000')
        t.insert()
        self.assertEqual(self.states(t), '101000')
        run()
        self.assertEqual(seen, ['101010'])
        self.assertEqual(self.states(t), '101100')
        ch.send(None)
        self.assertEqual(self.states(t), '000000')

    @needs_soft_switches
    def test_nesting(self):
        def blocked_in(function):
            t = tasklet(function)()
            run()
            result = api.PyTasklet_Restorable(t), api.PyTasklet_GetNestingLevel(t)
            ch.send(None)
            return result

        ch = channel()
        self.assertEqual(blocked_in(ch.receive), (1, 0))
        self.assertEqual(blocked_in(lambda: api.PyChannel_Receive(ch)), (0, 1))

    def test_recursion_depth(self):
        def work(depth):
            if depth:
                work(depth - 1)
            else:
                depths.append(api.PyTasklet_GetRecursionDepth(getcurrent()))
                depths.append(getcurrent().recursion_depth)
                schedule_remove()

        depths = []
        t = tasklet(work)(0)
        other = tasklet(work)(10)
        run()
        # The call of a C function may count, or not.
        for in_c, in_python in (depths[:2], depths[2:]):
            self.assertIn(in_c - in_python, (0, 1))
        self.assertIn(api.PyTasklet_GetRecursionDepth(other) - api.PyTasklet_GetRecursionDepth(t), (9, 10, 11))
        self.assertEqual(api.PyTasklet_GetRecursionDepth(tasklet()), 0)
        for each in (t, other):
            each.kill()


class UserData(LeavesNoTasklets, ChecksErrors, unittest.TestCase):
    """A pointer of the host's; here it is a callable that is called at the end."""

    def test_set_and_get(self):
        ended = []
        t = tasklet()
        self.assertIsNone(api.PyTasklet_GetUserData(t))
        one, other = (lambda: ended.append(1)), (lambda: ended.append(2))
        api.PyTasklet_SetUserData(t, one)
        self.assertIs(api.PyTasklet_GetUserData(t), one)
        api.PyTasklet_SetUserData(t, other)
        self.assertIs(api.PyTasklet_GetUserData(t), other)
        self.assertEqual(ended, [1])
        api.PyTasklet_SetUserData(t, NULL)
        self.assertEqual(ended, [1, 2])
        self.assertIsNone(api.PyTasklet_GetUserData(t))

    def test_nothing_to_untie(self):
        t = tasklet()
        api.PyTasklet_SetUserData(t, NULL)
        self.assertIsNone(api.PyTasklet_GetUserData(t))

    def test_end_of_the_tasklet(self):
        """It stays while the tasklet runs, ends and is bound anew, and goes with the object."""
        ended = []
        t = tasklet(schedule)
        t.name = 'with a name'
        api.PyTasklet_SetUserData(t, lambda: ended.append('gone'))
        for _ in range(2):
            t.bind(schedule, ())
            t.insert()
            run()
        self.assertEqual(ended, [])
        self.assertEqual(t.name, 'with a name')
        del t
        self.assertEqual(ended, ['gone'])

    def test_exception_that_is_set_survives(self):
        """A tasklet is freed while an exception travels."""
        def fail():
            t = tasklet()
            api.PyTasklet_SetUserData(t, lambda: ended.append('gone'))
            raise ValueError('travels')

        ended = []
        with self.assertRaisesRegex(ValueError, 'travels'):
            fail()
        gc.collect()
        self.assertEqual(ended, ['gone'])

    def test_refused(self):
        self.refuses_other_types(api.PyTasklet_SetUserData, 'tasklet', NULL)


if __name__ == '__main__':
    unittest.main()
