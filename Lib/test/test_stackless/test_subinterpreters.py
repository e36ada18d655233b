"""Tasklets in sub-interpreters; each case in a process of its own."""

import textwrap
import unittest

from . import interpreters

PROGRAM = '''
import threading
import _xxsubinterpreters as interpreters
from operator import call
from stackless import *

def inside(function, *args):
    return call(lambda: function(*args))

USE = """if True:
    from operator import call
    from stackless import *
    ch = channel()
    def inside(function, *args):
        return call(lambda: function(*args))
    tasklet(lambda: [ch.send(i) for i in range(3)])()
    tasklet(inside)(lambda: [ch.send(i) for i in range(3)])
    got = [ch.receive() for _ in range(6)]
    assert sorted(got) == [0, 0, 1, 1, 2, 2], got
    run()
    """

LEAVE = """if True:
    from operator import call
    from stackless import *
    import os
    def guarded():
        try: call(lambda: schedule_remove())
        finally: os.write(1, b"finally" + bytes([10]))
    kept = [tasklet(guarded)(), tasklet(schedule_remove)(), tasklet(channel().receive)()]
    run()
    kept.append(tasklet(schedule)())
    """
'''


class SubInterpreters(unittest.TestCase):
    def passes(self, program, output=''):
        done = interpreters.run_python('-X', 'faulthandler', '-c', PROGRAM + textwrap.dedent(program),
                                       CAPI_TESTS=interpreters.TESTS)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, output, ''))

    def test_create_use_and_end(self):
        self.passes('''
            for _ in range(5):
                other = interpreters.create()
                interpreters.run_string(other, USE)
                interpreters.run_string(other, USE)
                interpreters.destroy(other)
        ''')

    def test_c_api(self):
        """Callbacks that C sets, counts and user pointers belong to one interpreter."""
        self.passes('''
            import os, sys
            sys.path.insert(0, os.environ['CAPI_TESTS'])
            from test_stackless.capi import api, NULL
            log = []
            api.PyStackless_SetScheduleFastcallback(log)
            other = interpreters.create()
            interpreters.run_string(other, """if True:
                import os, sys
                sys.path.insert(0, os.environ['CAPI_TESTS'])
                from test_stackless.capi import api, NULL
                from stackless import *
                ch = channel()
                t = tasklet(ch.receive)()
                api.PyTasklet_SetUserData(t, lambda: os.write(1, b'gone'))
                assert api.PyStackless_RunBudget(3600.0, 0, NULL) == 0
                assert api.PyStackless_GetBlockedCount() == 1
                assert api.PyChannel_TrySend(ch, 1) == 1
                run()
                del t
                """)
            assert api.PyStackless_GetBlockedCount() == 0
            assert log == [], log
            schedule()
            tasklet(lambda: None)()
            run()
            assert len(log) == 2, log
            interpreters.destroy(other)
            api.PyStackless_SetScheduleFastcallback(NULL)
        ''', 'gone')

    def test_use_in_another_thread(self):
        self.passes('''
            other = interpreters.create()
            for _ in range(3):
                thread = threading.Thread(target=interpreters.run_string, args=(other, USE))
                thread.start()
                thread.join()
            interpreters.destroy(other)
        ''')

    def test_end_with_live_tasklets(self):
        """The pinned one runs its finally block."""
        self.passes('''
            other = interpreters.create()
            interpreters.run_string(other, LEAVE)
            interpreters.destroy(other)
        ''', output='finally\n')

    def test_left_to_the_end_of_the_process(self):
        self.passes('''
            other = interpreters.create()
            interpreters.run_string(other, USE)
        ''')

    def test_tasklets_of_both_live_side_by_side(self):
        self.passes('''
            ch = channel()
            t = tasklet(inside)(ch.receive)
            run()
            other = interpreters.create()
            interpreters.run_string(other, USE)
            ch.send("value")
            assert not t.alive
            interpreters.destroy(other)
        ''')

    def test_callbacks_are_of_one_interpreter(self):
        self.passes('''
            seen = []
            set_schedule_callback(lambda *args: seen.append(args))
            other = interpreters.create()
            interpreters.run_string(other, USE)
            assert seen == []
            set_schedule_callback(None)
            interpreters.destroy(other)
        ''')


if __name__ == "__main__":
    unittest.main()
