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

    def test_end_with_tasklets_in_every_state(self):
        """With trace functions, a finalizer that switches, a list in mid sort, a step of asyncio; five times."""
        self.passes('''
            source = """if True:
                import asyncio, operator, sys
                from stackless import *

                def trace(*args): pass

                def traced():
                    sys.settrace(trace)
                    schedule_remove()

                class Late:
                    def __del__(self, tasklet=tasklet, run=run):
                        tasklet(int)()
                        run()

                async def step():
                    schedule_remove()

                items, ch = [3, 1, 2], channel()
                kept = [tasklet(f)(*args) for f, *args in [
                    (traced,), (schedule_remove,), (operator.call, schedule_remove), (ch.receive,),
                    (operator.call, ch.receive), (step().send, None),
                    (lambda: items.sort(key=lambda n: schedule_remove()),)]]
                run()
                kept += [tasklet(int), tasklet(schedule)(), Late(), tasklet(operator.call)(schedule)]
                kept[-1].run()
                late = Late()
                """
            for _ in range(5):
                other = interpreters.create()
                interpreters.run_string(other, source)
                interpreters.destroy(other)
        ''')

    def test_threads_of_its_own(self):
        """Their tasklets end with them."""
        self.passes('''
            source = """if True:
                import operator, os, threading
                from stackless import *

                def guarded():
                    try: schedule_remove()
                    finally: os.write(1, b"finally" + bytes([10]))

                def work():
                    kept.extend((tasklet(operator.call)(guarded), tasklet(schedule_remove)()))
                    run()

                kept = []
                threads = [threading.Thread(target=work) for _ in range(3)]
                for thread in threads: thread.start()
                for thread in threads: thread.join()
                assert [t.alive for t in kept] == [False] * 6, kept
                """
            other = interpreters.create(isolated=False)
            interpreters.run_string(other, source)
            interpreters.destroy(other)
        ''', output='finally\n' * 3)

    def test_fork_within_one(self):
        self.passes('''
            source = """if True:
                import os
                from stackless import *
                t = tasklet(schedule_remove)()
                run()
                try:
                    pid = os.fork()
                except RuntimeError as error:
                    assert "fork" in str(error), error
                else:
                    raise AssertionError("a fork that the base refuses")
                t.run()
                assert not t.alive
                """
            other = interpreters.create()
            interpreters.run_string(other, source)
            interpreters.destroy(other)
        ''')

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
