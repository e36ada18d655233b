"""The C API, called by C code that no Python code has called: no frame runs, and yet tasklets do."""

import threading
import time
import unittest

from stackless import channel, getcurrent, getmain, run, schedule, tasklet

from .capi import NULL, api


class Outside(unittest.TestCase):

    def test_call_main(self):
        seen = []

        def function(*args, **kwds):
            seen.append((getcurrent().is_main, threading.get_ident(), args, kwds))
            return 'result'

        self.assertEqual(api.outside([('PyStackless_Call_Main', function, (1, 2), {'a': 3})]), ['result'])
        (is_main, thread, args, kwds), = seen
        self.assertTrue(is_main)
        self.assertNotEqual(thread, threading.get_ident())
        self.assertEqual((args, kwds), ((1, 2), {'a': 3}))

    def test_call_main_of_a_c_function(self):
        self.assertEqual(api.outside([('PyStackless_Call_Main', len, ('four',), NULL)]), [4])

    def test_call_method(self):
        self.assertEqual(api.outside([('PyStackless_CallMethod_Main', 'text', 'upper', NULL, NULL)]), ['TEXT'])
        self.assertEqual(api.outside([('PyStackless_CallMethod_Main', 'a', '__mul__', NULL, 3)]), ['aaa'])
        self.assertEqual(api.outside([('PyStackless_CallMethod_Main', 'cab', 'find', 'a', 1)]), [1])

    def test_call_c_method(self):
        self.assertEqual(api.outside([('PyStackless_CallCMethod_Main', True, 'self', 'argument')]),
                         [('self', ('argument',))])
        self.assertEqual(api.outside([('PyStackless_CallCMethod_Main', True, 'self', NULL)]), [('self', ())])

    def test_refused_inside(self):
        """Python code runs here."""
        for call in (lambda: api.PyStackless_Call_Main(len, ('four',), NULL),
                     lambda: api.PyStackless_CallMethod_Main('text', 'upper', NULL, NULL),
                     lambda: api.PyStackless_CallCMethod_Main(True, 'self', 'argument')):
            with self.assertRaisesRegex(RuntimeError, r'_Main\(\): Python code runs in this thread already'):
                call()

    def test_refused_in_a_tasklet(self):
        """A C function that is a tasklet's own: no Python frame, but not outside either."""
        def make():
            tasklet(api.PyStackless_Call_Main)(len, ('four',), NULL)

        with self.assertRaisesRegex(RuntimeError, 'runs in this thread already'):
            api.outside([('PyStackless_Call_Main', make, NULL, NULL), ('PyStackless_RunWatchdog', 0)])

    def test_wrong_arguments(self):
        with self.assertRaisesRegex(TypeError, 'func is NULL'):
            api.outside([('PyStackless_Call_Main', NULL, NULL, NULL)])
        with self.assertRaisesRegex(TypeError, 'must be a tuple or NULL'):
            api.outside([('PyStackless_Call_Main', len, [], NULL)])
        with self.assertRaisesRegex(TypeError, 'must be a dict or NULL'):
            api.outside([('PyStackless_Call_Main', len, NULL, [])])
        with self.assertRaisesRegex(TypeError, 'the object or its method is NULL'):
            api.outside([('PyStackless_CallMethod_Main', NULL, 'upper', NULL, NULL)])
        with self.assertRaisesRegex(TypeError, 'the object or its method is NULL'):
            api.outside([('PyStackless_CallMethod_Main', 'text', NULL, NULL, NULL)])
        with self.assertRaisesRegex(TypeError, 'the method is NULL'):
            api.outside([('PyStackless_CallCMethod_Main', NULL, 'self', NULL)])
        with self.assertRaises(AttributeError):
            api.outside([('PyStackless_CallMethod_Main', 'text', 'no_such_method', NULL, NULL)])
        with self.assertRaises(TypeError):
            api.outside([('PyStackless_Call_Main', 42, NULL, NULL)])

    def test_tasklets_survive_between_calls(self):
        order = []

        def work(name):
            for n in range(3):
                order.append((name, n))
                schedule()

        def make():
            for name in 'ab':
                tasklet(work)(name)

        results = api.outside([('PyStackless_Call_Main', make, NULL, NULL), ('PyStackless_GetRunCount',),
                               ('PyStackless_Schedule', None, 0), ('PyStackless_Schedule', 'back', 0),
                               ('PyStackless_GetRunCount',), ('PyStackless_RunWatchdog', 0),
                               ('PyStackless_GetRunCount',)])
        self.assertEqual(results, [None, 3, None, 'back', 3, None, 1])
        self.assertEqual(order, [(name, n) for n in range(3) for name in 'ab'])

    def test_main_in_c(self):
        """The C code is what the main tasklet runs: it can send, receive and be switched to."""
        ch, got = channel(), []

        def make():
            got.append(getmain())
            tasklet(lambda: [got.append(ch.receive()), ch.send('answer')])()

        results = api.outside([('PyStackless_Call_Main', make, NULL, NULL), ('PyChannel_Send', ch, 'question'),
                               ('PyChannel_Receive', ch), ('PyStackless_GetCurrent',)])
        self.assertEqual(results, [None, 0, 'answer', got[0]])
        self.assertEqual(got[1], 'question')

    def test_main_without_frame(self):
        results = api.outside([('PyStackless_GetCurrent',)])
        main, = results
        frames = []

        def look():
            frames.append((api.PyTasklet_GetFrame(getmain()), api.PyTasklet_Alive(getmain()),
                           api.PyTasklet_GetRecursionDepth(getmain())))

        api.outside([('PyStackless_Call_Main', lambda: tasklet(look)() and None, NULL, NULL),
                     ('PyStackless_RunWatchdog', 0)])
        self.assertEqual(frames, [(None, 1, 0)])
        # Its thread has ended.
        self.assertEqual([api.PyTasklet_IsMain(main), api.PyTasklet_Alive(main)], [1, 0])

    def test_all_kinds_of_switches(self):
        """run(), switch(), kill() and throw() from C code without a frame."""
        log = []

        def work():
            try:
                while True:
                    log.append('runs')
                    schedule()
            except (TaskletExit, ValueError) as error:
                log.append(type(error))

        for call, expected in ((('PyTasklet_Run',), 'runs'), (('PyTasklet_Kill',), TaskletExit),
                               (('PyTasklet_RaiseException', ValueError, NULL), ValueError),
                               (('PyTasklet_Throw', 0, ValueError, NULL, NULL), ValueError)):
            log.clear()
            t = tasklet().bind(work, ())
            api.outside([('PyTasklet_BindThread', t, -1), ('PyTasklet_Run', t), (call[0], t, *call[1:])])
            # Who is suspended inside of C functions when its thread ends gets a TaskletExit.
            self.assertEqual(log[:2], ['runs', expected])

    def test_budget(self):
        def make():
            def spin():
                while True:
                    pass
            made.append(tasklet(spin)())

        made = []
        _, (status, report), killed = api.outside([('PyStackless_Call_Main', make, NULL, NULL),
                                                   ('PyStackless_RunBudget', 0.005, 0, 0),
                                                   ('PyStackless_kill_tasks_with_stacks', 0)])
        self.assertEqual((status, report['interrupted'], report['runnable'], killed), (1, made[0], 1, 0))

    def test_error_of_a_tasklet(self):
        def make():
            tasklet(lambda: 1 / 0)()

        with self.assertRaises(ZeroDivisionError):
            api.outside([('PyStackless_Call_Main', make, NULL, NULL), ('PyStackless_RunWatchdog', 0)])

    def test_main_waits_for_another_thread(self):
        """C code that blocks puts its thread to sleep until a tasklet of another one sends."""
        def send():
            while ch.balance == 0:
                time.sleep(0)
            ch.send('value')

        ch = channel()
        thread = threading.Thread(target=send)
        thread.start()
        self.assertEqual(api.outside([('PyChannel_Receive', ch)]), ['value'])
        thread.join()

    def test_a_thousand_threads(self):
        """Nothing is left of a thread that was outside once."""
        def make():
            tasklet(results.append)(1)

        results = []
        for _ in range(1000):
            api.outside([('PyStackless_Call_Main', make, NULL, NULL), ('PyStackless_RunWatchdog', 0)])
        self.assertEqual(len(results), 1000)
        run()


if __name__ == '__main__':
    unittest.main()
