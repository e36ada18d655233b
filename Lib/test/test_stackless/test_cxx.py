"""C++ exceptions that are being handled, or on their way, in several tasklets at once."""

import os
import shutil
import subprocess
import sysconfig
import tempfile
import textwrap
import unittest

from . import interpreters

PREAMBLE = '''
import sys
sys.path.insert(0, {folder!r})
from operator import call
from stackless import *
'''


class TestCxx(unittest.TestCase):
    """Each in a process of its own, where the C++ library was not loaded before."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='cxx')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        compiler = interpreters.cxx_compiler()
        if compiler is None:
            raise AssertionError('there is no C++ compiler: install the Debian package g++')
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cxx_sample.cc')
        includes = subprocess.run([interpreters.config_script(), '--includes'], capture_output=True, text=True,
                                  check=True).stdout.split()
        subprocess.run([compiler, '-std=c++17', '-O1', '-Wall', '-Wextra', '-shared', '-fPIC', *includes, source,
                        '-o', os.path.join(cls.folder, 'cxx_sample' + sysconfig.get_config_var('EXT_SUFFIX'))],
                       check=True)

    def check(self, source):
        """The source runs without errors, with or without others before that need C stacks."""
        for imports in ('from cxx_sample import *\n',
                        'ch = channel()\n'
                        'ts = [tasklet(call)(ch.receive) for n in range(5)]\n'
                        'run()\n'
                        'for n in range(5): ch.send(n)\n'
                        'from cxx_sample import *\n'):
            program = PREAMBLE.format(folder=self.folder) + imports + textwrap.dedent(source)
            done = interpreters.run_python('-X', 'faulthandler', '-c', program)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))

    def test_handled_in_several_tasklets(self):
        """They end their handlers in the order in which they began them, and not the other way round."""
        self.check('''
            channels = [channel() for n in range(10)]
            results = []

            def work(n):
                results.append(handle(f'error {n}', channels[n].receive))

            for n in range(10): tasklet(work)(n)
            run()
            for n in range(10): channels[n].send(n)
            run()
            assert results == [(f'error {n}', n) for n in range(10)], results
            assert state() == (None, 0)
        ''')

    def test_on_their_way_in_several_tasklets(self):
        self.check('''
            channels = [channel() for n in range(10)]
            results = []

            def work(n):
                results.append(unwind(f'error {n}', channels[n].receive))

            for n in range(10): tasklet(work)(n)
            run()
            assert state() == (None, 0), state()
            for n in range(10): channels[n].send(n)
            run()
            assert results == [(f'error {n}', n, 1) for n in range(10)], results
            assert state() == (None, 0)
        ''')

    def test_main_handles_while_tasklets_run(self):
        self.check('''
            ch = channel()
            results = []

            def work():
                results.append(state())
                results.append(handle('inner', ch.receive))
                results.append(state())

            def outer():
                tasklet(work)()
                run()
                return state()

            assert handle('outer', outer) == ('outer', ('outer', 0))
            ch.send(1)
            run()
            assert results == [(None, 0), ('inner', 1), (None, 0)], results
        ''')

    def test_handled_on_the_next_stack(self):
        """Recursion through C functions goes on on another C stack, where `throw;` finds the exception."""
        self.check('''
            sys.setrecursionlimit(200000)

            def deep(n):
                return state() if n == 0 else call(lambda: deep(n - 1))

            for n in range(2):
                assert handle('outer', lambda: deep(30000)) == ('outer', ('outer', 0))
            ch = channel()
            results = []

            def work(n):
                results.append(handle(n, lambda: deep(30000) + (ch.receive(),)))

            for n in 'abc': tasklet(work)(n)
            run()
            for n in 'abc': ch.send(n)
            run()
            assert results == [(n, (n, 0, n)) for n in 'abc'], results
        ''')

    def test_python_exceptions_pass_as_cpp_exceptions(self):
        self.check('''
            ch = channel()
            results = []

            def work(n):
                try:
                    through(ch.receive)
                except ValueError as error:
                    results.append((n, str(error)))

            for n in range(3): tasklet(work)(n)
            run()
            for n in range(3): ch.send_exception(ValueError, n)
            run()
            assert results == [(n, str(n)) for n in range(3)], results
        ''')

    def test_killed_in_a_handler(self):
        self.check('''
            ch = channel()
            left = [tasklet(handle)(f'error {n}', ch.receive) for n in range(3)]
            run()
            left[0].kill()
            left[2].kill()
            assert [t.alive for t in left] == [False, True, False]
            assert handle('after', state) == ('after', ('after', 0))
        ''')

    def test_threads(self):
        self.check('''
            import threading
            results = []

            def life(k):
                ch = channel()
                ends = []

                def work(n):
                    ends.append(handle(f'{k} {n}', lambda: (ch.receive(), state())))

                for n in range(20): tasklet(work)(n)
                run()
                for n in range(20): ch.send(n)
                run()
                results.append(ends == [(f'{k} {n}', (n, (f'{k} {n}', 0))) for n in range(20)])

            threads = [threading.Thread(target=life, args=(k,)) for k in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            assert results == [True] * 4, results
        ''')


if __name__ == '__main__':
    unittest.main()
