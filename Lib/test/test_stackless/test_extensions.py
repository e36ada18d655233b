"""Real extensions, built for the stock CPython 3.11, on our python: alone and in tasklets.

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


if __name__ == '__main__':
    unittest.main()
