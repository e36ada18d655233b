"""Extensions made by Cython and by cffi: compiled against our headers, they run on our python, and switch tasklets
from within.

Programs run in processes of their own, so that a crash is reported for what it is.
"""

import os
import shutil
import subprocess
import sysconfig
import tempfile
import textwrap
import unittest

from . import interpreters
from .cases import needs_soft_switches

HERE = os.path.dirname(os.path.abspath(__file__))


class Compiled(unittest.TestCase):
    """A module is made once for the class: make(folder) writes NAME.c there."""

    NAME = None
    PACKAGE = None

    @classmethod
    def setUpClass(cls):
        if cls.PACKAGE is not None:
            interpreters.need_package(cls, cls.PACKAGE)
        cls.folder = tempfile.mkdtemp(prefix='compiled')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.make(cls.folder)
        includes = subprocess.run([interpreters.config_script(), '--includes'], capture_output=True, text=True,
                                  check=True).stdout.split()
        source = os.path.join(cls.folder, cls.NAME + '.c')
        module = os.path.join(cls.folder, cls.NAME + sysconfig.get_config_var('EXT_SUFFIX'))
        command = [*interpreters.compiler(), '-shared', '-fPIC', '-O1', '-pthread', *includes, source,
                   '-o', module, '-lm']
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f'{" ".join(command)}\n{done.stderr}')

    @classmethod
    def make(cls, folder):
        """Write the C source."""
        shutil.copy(os.path.join(HERE, cls.NAME + '.c'), folder)

    @classmethod
    def generate(cls, program):
        """Run a program that writes the C source, on our python, in the folder."""
        done = interpreters.run_python('-c', interpreters.IMPORTS + textwrap.dedent(program), cwd=cls.folder)
        if done.returncode:
            raise AssertionError(done.stdout + done.stderr)

    def check(self, program):
        """Run a program that ends by printing "done"."""
        preamble = f'''
import asyncio, gc, pickle, threading
import stackless
from stackless import channel, run, schedule, tasklet
sys.path.insert(0, {self.folder!r})
import {self.NAME} as sample
'''
        text = interpreters.IMPORTS + 'import faulthandler; faulthandler.enable()' + preamble
        printed = interpreters.check_python(self, '-c', text + textwrap.dedent(program) + '\nprint("done")')
        self.assertEqual(printed, 'done\n')


class Portable(Compiled):
    """An extension with METH_STACKLESS is soft on ours, and runs on CPython."""

    NAME = 'portable_extension'

    USE = '''
        assert sample.call(repr) == 'None'
        assert sample.call_fast(lambda n: n + 1, 1) == 2
        assert sample.type_of_module() is type(sys)
        assert sorted([2, 1], key=lambda n: sample.call_fast(int, n)) == [1, 2]
        try:
            sample.call(lambda arg: 1 // 0)
        except ZeroDivisionError:
            pass
        else:
            raise AssertionError('no exception')
    '''

    def test_on_ours(self):
        self.check(self.USE)

    @needs_soft_switches
    def test_is_soft_on_ours(self):
        self.check('''
            ch = channel()
            got = []
            t = tasklet(lambda: got.append(sample.call(lambda arg: ch.receive())))()
            run()
            assert t.blocked and t.pinned is None and t.restorable
            ch.send(1)
            assert got == [1]
        ''')

    def test_on_the_base(self):
        done = interpreters.run(interpreters.BASE, '-c', f'import sys; sys.path.insert(0, {self.folder!r})\n'
                                'import portable_extension as sample\n' + textwrap.dedent(self.USE))
        self.assertEqual((done.returncode, done.stderr), (0, ''))


class Cython(Compiled):

    NAME = 'cython_sample'
    PACKAGE = 'Cython'

    @classmethod
    def make(cls, folder):
        shutil.copy(os.path.join(HERE, 'cython_sample.pyx'), folder)
        cls.generate('''
            from Cython.Compiler.Main import compile
            assert compile('cython_sample.pyx').num_errors == 0
        ''')

    #: What each construct is to give where f() returns its argument, as source of a dict.
    USES = '''
        def uses(f):
            """{name: (what it gives, what it is to give)}: every construct of the sample, calling f."""
            vector = sample.Vector([1, 2, 3], f)
            log = []
            generator = sample.delegating([1, 2], f)
            adding = sample.closure(f)
            class Manager:
                def __enter__(self):
                    return f(1)
                def __exit__(self, *exc):
                    return f(False)
            class Awaitable:
                def __await__(self):
                    return f(1)
                    yield
            def await_it():
                try:
                    sample.waiting(Awaitable(), f).send(None)
                except StopIteration as error:
                    return error.value
            return {
                'call': (sample.call(f, 1), 1),
                'guarded': (sample.guarded(lambda: f(2), log), 2),
                'fibonacci': (sample.fibonacci(6, lambda: f(0)), 8),
                'squares': (list(sample.squares([1, 2, 3], f)), [1, 4, 9]),
                'delegating': ([next(generator), next(generator)], [1, 4]),
                'waiting': (await_it(), 1),
                'closure': ([adding(1), adding(2)], [1, 3]),
                'with_block': (sample.with_block(Manager()), 1),
                'comprehension': (sample.comprehension([2, 1], f), ([2, 1], {2: 2, 1: 1}, [1, 2], (2, 1))),
                'operators': ((vector + vector).items, [2, 4, 6]),
                'items': ([vector[0], *vector], [1, 1, 2, 3]),
                'comparison': ([vector < 1, vector == 1], [0, 2]),
                'attributes': ([vector.length, vector.norm()], [3, 14.0]),
                'view': (sample.view_sum(bytearray(b'abc'), f), 294),
                'nogil': (sample.without_gil(1000), 499500),
                'qsort': (sample.sort_by_c([3, 1, 2], lambda a, b: f(a - b)), [1, 2, 3]),
            }

        def check(got):
            for name, (value, expected) in got.items():
                assert value == expected, (name, value, expected)
    '''

    def check_uses(self, program):
        self.check(textwrap.dedent(self.USES) + textwrap.dedent(program))

    def test_alone(self):
        self.check_uses('check(uses(lambda value: value))')

    def test_in_tasklets_that_take_turns(self):
        self.check_uses('''
            def f(value):
                schedule()
                return value
            finished = []
            for n in range(5):
                tasklet(lambda: (check(uses(f)), finished.append(n)))()
            run()
            assert len(finished) == 5
        ''')

    def test_values_from_channels(self):
        self.check_uses('''
            requests = channel()
            def f(value):
                answer = channel()
                requests.send((value, answer))
                return answer.receive()
            def serve():
                for value, answer in requests:
                    answer.send(value)
            finished = []
            server = tasklet(serve)()
            for n in range(5):
                tasklet(lambda: (check(uses(f)), finished.append(n)))()
            run()
            assert len(finished) == 5
            server.kill()
        ''')

    def test_in_threads(self):
        self.check_uses('''
            finished = []
            def f(value):
                schedule()
                return value
            def thread():
                for n in range(3):
                    tasklet(lambda: (check({k: v for k, v in uses(f).items() if k != 'qsort'}),
                                     sample.without_gil(100_000), finished.append(n)))()
                run()
            threads = [threading.Thread(target=thread) for _ in range(3)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            assert len(finished) == 9
        ''')

    def test_traced(self):
        self.check_uses('''
            events = []
            def trace(frame, event, arg):
                events.append(event)
                return trace
            def f(value):
                schedule()
                return value
            def work():
                check(uses(f))
            for install in sys.settrace, sys.setprofile:
                install(trace)
                tasklet(work)()
                check(uses(f))
                run()
                install(None)
                assert events
        ''')

    def test_asyncio(self):
        self.check('''
            async def main():
                got = await asyncio.gather(*[sample.waiting(asyncio.sleep(0, n), lambda n: n + 1) for n in range(10)])
                assert got == list(range(1, 11)), got
            asyncio.run(main())
            tasklet(lambda: asyncio.run(main()))()
            run()
        ''')

    def test_exceptions(self):
        self.check('''
            import traceback
            def names(error):
                return [entry.name for entry in traceback.extract_tb(error.__traceback__)]
            def raising():
                schedule()
                raise KeyError(1)
            def work():
                log = []
                try:
                    sample.guarded(raising, log)
                except KeyError as error:
                    assert names(error) == ['work', 'cython_sample.guarded', 'raising'], names(error)
                assert log == ['finally'], log
                assert sample.guarded(sample.fail, log) is None
                assert log == ['finally', "ValueError('from Cython')", 'finally'], log
                try:
                    next(sample.squares([1], lambda n: 1 // 0))
                except ZeroDivisionError as error:
                    assert names(error) == ['work', 'squares', '<lambda>'], names(error)
            for _ in range(3):
                tasklet(work)()
            run()
        ''')

    def test_kill_runs_finally(self):
        self.check('''
            log = []
            ch = channel()
            t = tasklet(sample.guarded)(ch.receive, log)
            run()
            assert t.blocked and t.pinned is not None and not t.restorable
            try:
                pickle.dumps(t)
            except pickle.PicklingError as error:
                assert 'keeps it on a C stack' in str(error), error
            else:
                raise AssertionError('a tasklet inside of a C function was pickled')
            t.kill()
            assert log == ['finally'] and not t.alive
        ''')

    def test_generators_that_are_left(self):
        self.check('''
            def f(value):
                schedule()
                return value
            def work():
                generator = sample.delegating(range(100), f)
                next(generator)
                del generator
                gc.collect()
                other = sample.delegating(range(100), f)
                next(other)
                other.close()
            for _ in range(3):
                tasklet(work)()
            run()
        ''')

    def test_recursion(self):
        """Deeper than a C stack has room: it goes on on another one."""
        self.check('''
            sys.setrecursionlimit(100_000)
            def down(n):
                return sample.call(down, n - 1) + 1 if n else 0
            assert down(20_000) == 20_000
            got = []
            tasklet(lambda: got.append(down(20_000)))()
            run()
            assert got == [20_000]
            sys.setrecursionlimit(1000)
            try:
                down(2000)
            except RecursionError:
                pass
            else:
                raise AssertionError('no RecursionError')
        ''')

    def test_c_api(self):
        self.check('''
            assert sample.current() is stackless.getcurrent()
            ch = sample.make_channel()
            assert type(ch) is channel
            got = []
            def receive():
                assert sample.current() is stackless.getcurrent()
                for _ in range(2):
                    got.append(sample.receive(ch))
            tasklet(receive)()
            tasklet(sample.send)(ch, 1)
            tasklet(lambda: got.append(sample.schedule(2)))()
            run()
            ch.send(3)
            assert got == [1, 2, 3], got
        ''')


class Cffi(Compiled):
    """API mode; the classes share what callbacks do."""

    NAME = 'cffi_sample_module'
    PACKAGE = 'cffi'

    @classmethod
    def make(cls, folder):
        cls.generate(f'''
            import cffi
            from test_stackless.cffi_sample import DECLARATIONS, SOURCE
            ffi = cffi.FFI()
            ffi.cdef(DECLARATIONS)
            ffi.set_source('cffi_sample_module', SOURCE)
            ffi.emit_c_code('cffi_sample_module.c')
        ''')

    #: How C gets a function that calls f(number, object behind the handle).
    CALLBACK = '''
        ffi, lib = sample.ffi, sample.lib
        def called(number, handle):
            return ffi.from_handle(handle)(number)
        ffi.def_extern(name='visit')(called)
        ffi.def_extern(name='visit_exported')(called)
        visitors = [lib.visit, lib.visit_exported, ffi.callback('visitor', called)]
        def each(count, f, visitor=None):
            handle = ffi.new_handle(f)
            return lib.each(count, visitor or visitors[0], handle)
    '''

    def check_callbacks(self, program):
        self.check(textwrap.dedent(self.CALLBACK) + textwrap.dedent(program))

    def test_alone(self):
        self.check_callbacks('''
            for visitor in visitors:
                assert each(4, lambda n: n, visitor) == 6
            assert lib.counter == 12 and lib.LIMIT == 42
            p = ffi.new('point *', {'x': 3, 'y': 4.0, 'name': b'p'})
            assert lib.length(p) == 5.0 and ffi.string(p.name) == b'p'
        ''')

    def test_switches_in_callbacks(self):
        self.check_callbacks('''
            order = []
            def work(name):
                def f(number):
                    order.append((number, name))
                    schedule()
                    return number
                for visitor in visitors:
                    assert each(4, f, visitor) == 6
            tasks = [tasklet(work)(name) for name in range(3)]
            schedule()
            assert all(t.pinned is not None for t in tasks)
            run()
            one_round = [(number, name) for number in range(4) for name in range(3)]
            assert order == one_round * 3, order
        ''')

    def test_values_from_channels(self):
        self.check_callbacks('''
            ch = channel()
            got = []
            tasklet(lambda: got.append(each(5, lambda number: ch.receive())))()
            tasklet(lambda: got.append(each(5, lambda number: ch.send(number) or number)))()
            run()
            assert got == [10, 10], got
        ''')

    def test_callbacks_within_callbacks(self):
        self.check_callbacks('''
            def f(number, depth=3):
                schedule()
                return number + (each(2, lambda n: f(n, depth - 1)) if depth else 0)
            expected = each(3, f)
            got = []
            for _ in range(4):
                tasklet(lambda: got.append(each(3, f)))()
            run()
            assert got == [expected] * 4, got
        ''')

    def test_exceptions_and_kill(self):
        self.check_callbacks('''
            errors = []
            def onerror(exception, value, traceback):
                errors.append(exception)
            ffi.def_extern(name='visit', onerror=onerror, error=7)(called)
            def raising(number):
                schedule()
                raise KeyError
            got = []
            tasklet(lambda: got.append(each(2, raising)))()
            run()
            assert got == [14] and errors == [KeyError] * 2, (got, errors)
            ch = channel()
            t = tasklet(lambda: got.append(each(1, lambda number: ch.receive())))()
            run()
            assert t.blocked
            t.kill()
            assert errors[2:] == [TaskletExit] and got == [14, 7], (errors, got)
            assert not t.alive and ch.balance == 0
        ''')

    def test_thread_of_c(self):
        """A thread that Python did not make runs tasklets in the callback, and meets those of the main thread."""
        self.check_callbacks('''
            ch = channel()
            got = []
            def f(number):
                assert number == -1
                for n in range(3):
                    tasklet(lambda: (schedule(), got.append('worked')))()
                run()
                for n in range(3):
                    got.append(ch.receive())
                return stackless.getruncount()
            handle = ffi.new_handle(f)
            def start():
                got.append(('runcount', lib.in_thread(lib.visit, handle)))
            thread = threading.Thread(target=start)
            thread.start()
            for n in range(3):
                ch.send(n)
            thread.join()
            assert got == ['worked'] * 3 + [0, 1, 2, ('runcount', 1)], got
            for _ in range(20):
                assert lib.in_thread(lib.visit, ffi.new_handle(lambda number: number * 5)) == -5
        ''')

    def test_gc(self):
        """Owned memory goes with tasklets that are dropped."""
        self.check_callbacks('''
            freed = []
            def work(n):
                memory = ffi.gc(ffi.new('int[10]'), lambda pointer: freed.append(n))
                stackless.schedule_remove()
                memory[0] = 1
            tasks = [tasklet(work)(n) for n in range(5)]
            run()
            for t in tasks:
                t.kill()
            del t, tasks
            gc.collect()
            assert sorted(freed) == list(range(5)), freed
        ''')


class CffiAbi(unittest.TestCase):
    """ABI mode: no compiler, callbacks through libffi closures."""

    check = Compiled.check
    NAME = 'cffi'
    folder = HERE

    def setUp(self):
        interpreters.need_package(self, 'cffi')

    def test_switches_in_callbacks(self):
        self.check('''
            ffi = sample.FFI()
            ffi.cdef('void qsort(void *, size_t, size_t, int (*)(const void *, const void *));')
            libc = ffi.dlopen(None)
            def sort(numbers, compare):
                array = ffi.new('int[]', numbers)
                callback = ffi.callback('int(const void *, const void *)', compare)
                libc.qsort(array, len(numbers), 4, callback)
                return list(array)
            def compare(a, b):
                schedule()
                return ffi.cast('int *', a)[0] - ffi.cast('int *', b)[0]
            got = []
            for n in range(5):
                tasklet(lambda n: got.append(sort([3, 1, n, 2], compare)))(n)
            run()
            assert sorted(got) == sorted(sorted([3, 1, n, 2]) for n in range(5)), got

            @ffi.callback('int(const void *, const void *)', error=0, onerror=lambda *error: got.append(error[0]))
            def raising(a, b):
                schedule()
                raise KeyError
            del got[:]
            tasklet(libc.qsort)(ffi.new('int[2]'), 2, 4, raising)
            run()
            assert set(got) == {KeyError}, got   # AddressSanitizer's qsort() compares twice
        ''')


del Compiled   # it has no tests of its own


if __name__ == '__main__':
    unittest.main()
