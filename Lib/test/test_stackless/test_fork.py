"""fork() and multiprocessing in tasklets; each case in a process of its own."""

import textwrap
import unittest

from . import interpreters
from .cases import needs_soft_switches

PROGRAM = '''
import os, sys, threading
from operator import call
from stackless import *

def inside(function, *args):
    """Call function(*args) inside of a C function."""
    return call(lambda: function(*args))

def deep(n, function, *args):
    return function(*args) if n == 0 else inside(deep, n - 1, function, *args)

def fork(in_child):
    """Fork; the child runs in_child(), to the end of the process; return the child's exit status."""
    pid = os.fork()
    if pid == 0:
        in_child()
        sys.exit(7)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
'''


class Fork(unittest.TestCase):
    def passes(self, program):
        """The program runs to its end without a word."""
        done = interpreters.run_python('-X', 'faulthandler', '-c', PROGRAM + textwrap.dedent(program))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))

    def test_in_main_soft_and_pinned(self):
        for call in 'body()', 'tasklet(body)(); run()', 'tasklet(inside)(body); run()', \
                'tasklet(deep)(30, body); run()':
            with self.subTest(call=call):
                self.passes(f'''
                    ch = channel()
                    others = [tasklet(ch.receive)(), tasklet(inside)(ch.receive)]
                    run()

                    def in_child():
                        for i in range(2): ch.send(i)
                        assert not any(t.alive for t in others), others
                        got = []
                        tasklet(call)(lambda: [ch.send(i) for i in range(3)])
                        while len(got) < 3: got.append(ch.receive())
                        assert got == [0, 1, 2]

                    def body():
                        assert fork(in_child) == 7
                        done.append(True)

                    done, parent = [], os.getpid()
                    {call}
                    assert done == [True]
                    in_child()
                ''')

    def test_in_a_thread(self):
        self.passes('''
            def work():
                tasklet(inside)(body)
                run()

            def body():
                assert fork(lambda: None) == 0, "the thread's SystemExit ends the thread alone"

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        ''')

    @needs_soft_switches
    def test_tasklets_of_other_threads_lose_their_thread(self):
        self.passes('''
            def work():
                global soft, pinned
                ch = channel()
                soft = tasklet(schedule_remove, ())
                soft.run()
                pinned = tasklet(inside)(schedule_remove)
                run()
                ready.set()
                leave.wait(60)

            def in_child():
                for t in soft, pinned:
                    assert not t.alive and t.thread_id == -1, t
                soft.bind_thread()
                assert soft.alive
                soft.run()
                assert not soft.alive
                pinned.bind_thread()
                assert not pinned.alive, "its C frames are in the parent"

            ready, leave = threading.Event(), threading.Event()
            thread = threading.Thread(target=work)
            thread.start()
            ready.wait(60)
            assert fork(in_child) == 7
            leave.set()
            thread.join()
        ''')

    def test_a_thread_that_sleeps(self):
        self.passes('''
            ch = channel()
            thread = threading.Thread(target=ch.receive, daemon=True)
            thread.start()
            while ch.balance == 0: pass

            def in_child():
                try:
                    channel().receive()
                except RuntimeError as error:
                    assert str(error).startswith("Deadlock: the last runnable tasklet cannot"), error
                else:
                    assert False, "the threads of the parent are not there"

            assert fork(in_child) == 7
            ch.send(None)
            thread.join()
        ''')

    def test_multiprocessing(self):
        for method in 'fork', 'spawn':
            with self.subTest(method=method):
                self.passes(f'''
                    import multiprocessing
                    def body():
                        context = multiprocessing.get_context({method!r})
                        child = context.Process(target=int)
                        child.start()
                        child.join()
                        done.append(child.exitcode)
                    done = []
                    tasklet(body)()
                    tasklet(inside)(body)
                    run()
                    assert done == [0, 0], done
                ''')


if __name__ == "__main__":
    unittest.main()
