"""Real extensions, built for the stock CPython 3.11, on our python: alone, in tasklets, and mixed with
greenlets.

Each runs in a process of its own, so that a crash is reported for what it is.
"""

import textwrap
import unittest

from . import interpreters
from .extension_samples import SAMPLES

PREAMBLE = interpreters.IMPORTS + 'import faulthandler; faulthandler.enable()\n'


def check(test, program):
    """Run a program that ends by printing "done"; return what it printed before."""
    printed = interpreters.check_python(test, '-c', PREAMBLE + textwrap.dedent(program))
    test.assertTrue(printed.endswith('done\n'), printed)
    return printed.removesuffix('done\n')


class Alone(unittest.TestCase):
    """Each extension as in any program."""

    def use(self, name):
        check(self, f'''
            from test_stackless.extension_samples import SAMPLES
            for _ in range(3):
                SAMPLES[{name!r}]()
            print('done')
        ''')


class InTasklets(unittest.TestCase):
    """Each extension in several tasklets that take turns."""

    def use(self, name):
        check(self, f'''
            import stackless
            from test_stackless.extension_samples import SAMPLES
            finished = []

            def work(number):
                for _ in range(3):
                    stackless.schedule()
                    SAMPLES[{name!r}]()
                finished.append(number)

            for number in range(4):
                stackless.tasklet(work)(number)
            stackless.run()
            assert sorted(finished) == [0, 1, 2, 3], finished
            print('done')
        ''')


class InThreads(unittest.TestCase):
    """Each extension in tasklets of two threads at once."""

    def use(self, name):
        check(self, f'''
            import stackless, threading
            from test_stackless.extension_samples import SAMPLES
            SAMPLES[{name!r}]()
            finished = []

            def work(number):
                SAMPLES[{name!r}]()
                stackless.schedule()
                SAMPLES[{name!r}]()
                finished.append(number)

            def thread():
                for number in range(2):
                    stackless.tasklet(work)(number)
                stackless.run()

            threads = [threading.Thread(target=thread) for _ in range(2)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert len(finished) == 4, finished
            print('done')
        ''')


def add_tests():
    """One test method per extension and way of use."""
    for case in Alone, InTasklets, InThreads:
        for name in SAMPLES:
            def test(self, name=name):
                interpreters.need_package(self, name)
                self.use(name)
            test.__doc__ = f'{name}, {case.__doc__[0].lower()}{case.__doc__[1:]}'
            setattr(case, f'test_{name}', test)


add_tests()


class SwitchInCallback(unittest.TestCase):
    """A tasklet switches in a Python function that C called: it works, or RuntimeError says why not; never a
    crash."""

    def check_callback(self, call):
        """`call` is the source of a function `call(callback)` that has C code call callback() and returns at
        least 1."""
        program = '''
            import stackless
            outcomes = []

            def callback(*args):
                try:
                    stackless.schedule()
                except RuntimeError as error:
                    assert str(error), 'an empty message'
                    outcomes.append('refused')
                else:
                    outcomes.append('switched')
                return 0

            def work():
                call(callback)
                stackless.schedule()

            for _ in range(3):
                stackless.tasklet(work)()
            stackless.run()
            assert len(outcomes) >= 3 and len(set(outcomes)) == 1, outcomes
            assert stackless.getruncount() == 1
            print('done')
        '''
        interpreters.need_package(self, self._testMethodName.removeprefix('test_'))
        check(self, textwrap.dedent(call) + textwrap.dedent(program))

    def test_ctypes(self):
        self.check_callback('''
            import ctypes
            kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
            def call(callback):
                numbers = (ctypes.c_int * 3)(1, 2, 3)
                ctypes.CDLL(None).qsort(numbers, 3, 4, kind(callback))
        ''')

    def test_cffi(self):
        self.check_callback('''
            import cffi
            ffi = cffi.FFI()
            ffi.cdef('void qsort(void *, size_t, size_t, int (*)(const void *, const void *));')
            libc = ffi.dlopen(None)
            def call(callback):
                libc.qsort(ffi.new('int[3]'), 3, 4, ffi.callback('int(const void *, const void *)', callback))
        ''')

    def test_numpy(self):
        self.check_callback('''
            import numpy
            def call(callback):
                numpy.frompyfunc(callback, 1, 1)(numpy.arange(3))
        ''')

    def test_sqlite3(self):
        self.check_callback('''
            import sqlite3
            def call(callback):
                db = sqlite3.connect(':memory:')
                db.create_function('f', 0, callback)
                db.execute('select f()').fetchall()
        ''')

    def test_lxml(self):
        self.check_callback('''
            from lxml import etree
            def call(callback):
                etree.XML('<a/>').xpath('f()', extensions={(None, 'f'): callback})
        ''')


class Greenlets(unittest.TestCase):
    """Greenlets inside tasklets and tasklets inside greenlets."""

    def setUp(self):
        for name in sorted(interpreters.STACK_COPIERS):
            interpreters.need_package(self, name)

    def test_greenlets_within_tasklets(self):
        """Every tasklet has greenlets of its own and schedules only between their switches."""
        check(self, '''
            import greenlet, stackless
            seen = []

            def produce(top):
                for n in range(top):
                    greenlet.getcurrent().parent.switch(n)
                return None

            def work(name):
                child = greenlet.greenlet(produce)
                n = child.switch(5)
                while n is not None:
                    seen.append((n, name))
                    stackless.schedule()
                    n = child.switch()
                assert child.dead

            for name in 'abc':
                stackless.tasklet(work)(name)
            stackless.run()
            assert sorted(seen) == [(n, name) for n in range(5) for name in 'abc'], seen
            print('done')
        ''')

    def test_scheduler_within_greenlet(self):
        """A greenlet runs tasklets to their end."""
        check(self, '''
            import greenlet, stackless
            seen = []

            def work(name):
                for n in range(3):
                    seen.append((n, name))
                    stackless.schedule()

            def scheduler():
                for name in 'abc':
                    stackless.tasklet(work)(name)
                try:
                    stackless.run()
                except RuntimeError as error:
                    return str(error)

            refused = greenlet.greenlet(scheduler).switch()
            if refused is None:
                assert seen == [(n, name) for n in range(3) for name in 'abc'], seen
            print('done')
        ''')

    def test_schedule_within_greenlet_of_tasklet(self):
        """schedule() in a greenlet that a tasklet started works or is refused, and the tasklets end."""
        check(self, '''
            import greenlet, stackless
            outcomes = []

            def inside():
                try:
                    stackless.schedule()
                except RuntimeError:
                    outcomes.append('refused')
                else:
                    outcomes.append('switched')

            def work():
                for _ in range(3):
                    greenlet.greenlet(inside).switch()
                    stackless.schedule()

            for _ in range(3):
                stackless.tasklet(work)()
            stackless.run()
            assert len(outcomes) == 9, outcomes
            print('done')
        ''')

    def test_thread_with_a_small_stack(self):
        """A greenlet of a tasklet runs on the thread's stack, however deep main is, and however small that is."""
        check(self, '''
            import greenlet, os, stackless, sys, threading
            sys.setrecursionlimit(10_000)
            outcomes = []

            def use():
                outcomes.append(greenlet.greenlet(lambda: sum(range(10))).switch())

            def nest(depth):
                if depth:
                    return max(map(nest, [depth - 1]))
                stackless.tasklet(use)()
                stackless.run()
                return 0

            def work():
                for depth in range(0, 120, 2):
                    nest(depth)

            threading.stack_size(max(64 * 1024, os.sysconf('SC_THREAD_STACK_MIN')))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert outcomes == [45] * 60, outcomes
            print('done')
        ''')

    def test_tasklet_switches_greenlets_away(self):
        """A tasklet run by a greenlet switches to that greenlet's parent, which uses the scheduler: no
        crash."""
        check(self, '''
            import greenlet, stackless
            main = greenlet.getcurrent()
            log = []

            def work():
                log.append('tasklet')
                main.switch('out of a tasklet')
                log.append('tasklet again')

            def scheduler():
                stackless.tasklet(work)()
                try:
                    stackless.run()
                except RuntimeError:
                    log.append('refused')

            child = greenlet.greenlet(scheduler)
            child.switch()
            for use in (stackless.schedule, stackless.run, stackless.getruncount):
                try:
                    use()
                except RuntimeError as error:
                    log.append(str(error))
            for _ in range(3):
                if not child.dead:
                    try:
                        child.switch()
                    except RuntimeError as error:
                        log.append(str(error))
            print(log)
            print('done')
        ''')

    def test_unfinished_greenlets_die_with_their_tasklet(self):
        check(self, '''
            import gc, greenlet, stackless
            caught = []

            def wait():
                try:
                    greenlet.getcurrent().parent.switch()
                except greenlet.GreenletExit:
                    caught.append(1)
                    raise

            def work():
                child = greenlet.greenlet(wait)
                child.switch()
                stackless.schedule()

            for _ in range(10):
                stackless.tasklet(work)()
            stackless.run()
            gc.collect()
            assert len(caught) == 10, caught
            print('done')
        ''')

    def test_greenlet_tree_over_many_tasklets(self):
        """Greenlets made in one tasklet are entered from another one: they work, or an error says why not."""
        check(self, '''
            import greenlet, stackless
            made, log = [], []

            def echo(value):
                while True:
                    value = greenlet.getcurrent().parent.switch(value + 1)

            def maker():
                made.append(greenlet.greenlet(echo))
                log.append(made[0].switch(1))
                stackless.schedule()
                log.append('maker ends')

            def user():
                log.append(made[0].switch(10))
                stackless.schedule()

            stackless.tasklet(maker)()
            stackless.tasklet(user)()
            stackless.run()
            assert 2 in log and 'maker ends' in log, log
            print('done')
        ''')

    def test_gevent_in_a_tasklet_and_channels_between(self):
        """gevent's loop in one tasklet; greenlets put what they computed on a list that the tasklet sends."""
        check(self, '''
            import gevent, stackless
            channel, received = stackless.channel(), []

            def loop():
                jobs = [gevent.spawn(lambda n=n: (gevent.sleep(0.001 * n), n)[1]) for n in range(5)]
                gevent.joinall(jobs)
                for job in jobs:
                    channel.send(job.value)
                channel.send(None)

            def receiver():
                while (value := channel.receive()) is not None:
                    received.append(value)

            stackless.tasklet(receiver)()
            stackless.tasklet(loop)()
            stackless.run()
            assert received == [0, 1, 2, 3, 4], received
            print('done')
        ''')


if __name__ == '__main__':
    unittest.main()
