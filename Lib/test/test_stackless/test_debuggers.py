"""What looks into a running program sees it as on the base: tracing, profiling, pdb, cProfile, coverage,
faulthandler, tracemalloc, traceback, inspect.

All run sample_program.py, which calls Python from Python in every way the language has. A shim frame of ours
that shows anywhere is a failure here.
"""

import json
import os
import re
import shutil
import sys
import tempfile
import textwrap
import unittest

from . import interpreters

HERE = os.path.dirname(os.path.abspath(__file__))


def without_addresses(text):
    """Addresses out, also those whose front pdb's short representation cut off."""
    return re.sub(r'(0|\.\.)x[0-9a-f]+|[0-9a-f]{9,}(?=>)', '0x...', text)


class WithSample(unittest.TestCase):
    """Runs programs beside a copy of sample_program.py, on ours and the base."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='debug')
        self.addCleanup(shutil.rmtree, self.folder, True)
        shutil.copy(os.path.join(HERE, 'sample_program.py'), self.folder)

    def same(self, *args, clean=without_addresses, **options):
        return interpreters.same_as_base(self, *args, clean=clean, cwd=self.folder, **options)

    def same_program(self, program, *args, **options):
        """Run a program text as a script on both."""
        with open(os.path.join(self.folder, 'script.py'), 'w') as file:
            file.write(textwrap.dedent(program))
        printed = self.same('script.py', *args, **options)
        if not printed:
            self.fail(interpreters.run_python('script.py', *args, cwd=self.folder, **options).stderr)
        return printed


class Results(WithSample):
    """The program itself."""

    def test_results(self):
        self.same('sample_program.py')

    def test_results_repeated(self):
        """Specialised instructions give what the first run gave."""
        self.same_program('''
            import sample_program
            first = repr(sample_program.run_all())
            for _ in range(60):
                assert repr(sample_program.run_all()) == first
            print(first)
        ''')

    def test_results_while_traced(self):
        self.same_program('''
            import sample_program, sys
            first = repr(sample_program.run_all())
            sys.settrace(lambda *args: None)
            assert repr(sample_program.run_all()) == first
            def trace(frame, event, arg):
                frame.f_trace_opcodes = True
                return trace
            sys.settrace(trace)
            assert repr(sample_program.run_all()) == first
            sys.settrace(None)
            sys.setprofile(lambda *args: None)
            assert repr(sample_program.run_all()) == first
            print('same')
        ''')


class Tracing(WithSample):
    """Every event of sys.settrace and sys.setprofile, in order, with line and argument."""

    def events(self, body):
        self.same_program('''
            import re, sys, sample_program
            log = []

            def note(frame, event, arg):
                code = frame.f_code
                if 'sample_program' in code.co_filename:
                    if isinstance(arg, tuple) and len(arg) == 3:
                        arg = arg[:1]
                    name = getattr(arg, '__qualname__', None) or repr(arg)
                    log.append(f'{code.co_name}:{frame.f_lineno} {event} {re.sub("0x[0-9a-f]+", "", name)} '
                               f'{frame.f_back.f_code.co_name}')
        ''' + textwrap.indent(textwrap.dedent(body), ' ' * 12) + '''
            print('\\n'.join(log))
        ''')

    def test_lines(self):
        """Twice: before and after the code is specialised."""
        for warm in (0, 30):
            with self.subTest(warm=warm):
                self.events(f'''
                    def trace(frame, event, arg):
                        note(frame, event, arg)
                        return trace

                    for _ in range({warm}):
                        sample_program.run_all()
                    for construct in sample_program.CONSTRUCTS:
                        sys.settrace(trace)
                        construct()
                        sys.settrace(None)
                ''')

    def test_opcodes(self):
        self.events('''
            def trace(frame, event, arg):
                frame.f_trace_opcodes, frame.f_trace_lines = True, False
                note(frame, event, arg)
                if event == 'opcode':
                    log[-1] += f' {frame.f_lasti}'
                return trace

            for construct in sample_program.CONSTRUCTS:
                sys.settrace(trace)
                construct()
                sys.settrace(None)
        ''')

    def test_profile(self):
        for warm in (0, 30):
            with self.subTest(warm=warm):
                self.events(f'''
                    for _ in range({warm}):
                        sample_program.run_all()
                    for construct in sample_program.CONSTRUCTS:
                        sys.setprofile(note)
                        construct()
                        sys.setprofile(None)
                ''')

    def test_tracer_raises(self):
        """A trace function that raises at the nth event: the same exception, the same traceback."""
        self.same_program('''
            import sample_program, sys, traceback
            for construct in sample_program.CONSTRUCTS[:-1]:
                for stop in range(1, 60, 7):
                    count = 0

                    def trace(frame, event, arg):
                        global count
                        count += 1
                        if count == stop:
                            raise OverflowError(event)
                        return trace

                    sys.settrace(trace)
                    try:
                        construct()
                    except BaseException as error:
                        sys.settrace(None)
                        print(construct.__name__, stop, repr(error),
                              [(f.name, f.lineno) for f in traceback.extract_tb(error.__traceback__)])
                    sys.settrace(None)
        ''')

    def test_jumps(self):
        """Assignments to f_lineno in a trace function, allowed and refused ones."""
        self.same_program('''
            import sys

            def work(log):
                log.append(1)
                for i in range(2):
                    log.append((2, i))
                    log.append((3, i))
                log.append(4)
                with open(__file__) as f:
                    log.append(5)
                try:
                    log.append(6)
                except ValueError:
                    log.append(7)
                finally:
                    log.append(8)
                log.append(9)

            first = work.__code__.co_firstlineno
            for source in range(1, 15):
                for target in range(0, 16):
                    done = []

                    def trace(frame, event, arg):
                        if frame.f_code is work.__code__:
                            if event == 'line' and frame.f_lineno == first + source and not done:
                                done.append(1)
                                frame.f_lineno = first + target
                            return trace

                    log = []
                    sys.settrace(trace)
                    try:
                        work(log)
                    except BaseException as error:
                        sys.settrace(None)
                        log.append(repr(error))
                    sys.settrace(None)
                    print(source, target, log)
        ''')


class Frames(WithSample):
    """The chain of frames as Python sees it at the innermost call of every construct."""

    def test_chain(self):
        self.same_program('''
            import inspect, sample_program, sys, traceback
            seen = []

            def probe(value=0):
                chain, frame = [], sys._getframe()
                while frame is not None:
                    # f_lasti itself depends on whether a call was made in C, its position does not.
                    where = list(frame.f_code.co_positions())[frame.f_lasti // 2]
                    chain.append(f'{frame.f_code.co_name}:{frame.f_lineno}:{where}:{len(frame.f_locals)}')
                    frame = frame.f_back
                seen.append(' '.join(chain))
                assert len(inspect.stack(0)) == len(chain) == len(traceback.extract_stack())
                return value

            sample_program.probe = probe
            sample_program.run_all()
            print('\\\\n'.join(seen))
            del seen[:]
            for _ in range(20):
                sample_program.run_all()
            half = seen[len(seen) // 20 * 19:]
            print('\\\\n'.join(half))
        '''.replace('\\\\n', '\\n'))

    def test_errors_from_everywhere(self):
        """probe raises at its nth call: the traceback has the base's entries, lines and columns."""
        self.same_program('''
            import sample_program, traceback
            count = stop = 0

            def probe(value=0):
                global count
                count += 1
                if count == stop:
                    raise OverflowError(count)
                return value

            sample_program.probe = probe
            for construct in sample_program.CONSTRUCTS[:-1]:
                construct()
                for stop in range(1, 40):
                    count = 0
                    try:
                        construct()
                    except BaseException as error:
                        print(construct.__name__, stop, repr(error), [
                            (f.name, f.lineno, f.colno, f.end_colno)
                            for f in traceback.extract_tb(error.__traceback__)],
                            repr(error.__context__))
                    if count < stop:
                        break
        ''')

    def test_where_destructors_run(self):
        """The position in the frame below __del__, for the instructions that drop a last reference."""
        self.same_program('''
            import sys

            class D:
                def __init__(self, name):
                    self.name = name
                def __del__(self):
                    frame = sys._getframe(1)
                    where = list(frame.f_code.co_positions())[frame.f_lasti // 2]
                    print(self.name, frame.f_code.co_name, frame.f_lineno, where)

            class Box:
                pass

            def local_variables(same):
                d = D('assigned')

                d = None
                d = D('deleted')

                del d
                d = D('from a call')
                d = (
                    same)
                a = D('unpacked')
                a, b = (1,
                        2)
                for i in range(2):
                    d = D('assigned in a loop')
                    b = i

                d = D('in a cell')
                def inner(): return d
                d = (None)
                inner()
                e = D('at the return')
                return 5

            def parameters(a, b):
                a = b; b = a
                return a

            def containers():
                x = [D('item of a list')]

                x[0] = 1
                x = {'a': D('item of a dictionary')}
                x['a'] = (
                    2)
                b = Box()
                b.a = D('attribute')
                b.a = 3

                b.a = D('deleted attribute')
                del b.a
                x = [D('deleted item')]
                del x[0]
                [D('dropped'), 1]
                D('method').__init__('attribute of a temporary')
                for x in [D('iterated'), 1]:
                    pass

            def tests():
                D('is') is (
                    None)
                (D('not')
                 and
                 None)
                if D('if'):
                    pass
                while not D('while'):
                    pass
                D('compared') == (
                    1)
                None in [D('contained')]
                match D('matched'):
                    case 1:
                        pass
                    case _:
                        pass
                assert D('asserted')

            def exceptions():
                try:
                    raise KeyError(D('caught'))
                except KeyError as e:
                    pass

                try:
                    raise ValueError(D('caught without a name'))
                except ValueError:
                    pass
                return None

            def generator():
                d = D('in a generator')
                yield D('yielded')

                d = 1
                yield d

            for _ in range(20):
                local_variables(None)
                parameters(D('parameter'), 1)
                containers()
                tests()
                exceptions()
                for z in generator():
                    z = 1
            x = D('global')

            x = None
            x = D('deleted global')
            del x
        ''')

    def test_locals(self):
        """locals(), globals(), vars() and dir() in functions that C or a shim called."""
        self.same_program('''
            import functools

            class C:
                def __new__(cls, x):
                    self = super().__new__(cls)
                    print(sorted(locals()), sorted(vars()))
                    return self
                def __init__(self, x):
                    y = x
                    print(sorted(locals()), 'C' in globals(), dir())
                def __enter__(self):
                    z = 1
                    print(sorted(locals()), eval('z'))
                    exec('z = 2')
                    print(z)
                def __exit__(self, *a):
                    print(len(a), sorted(locals()))
                def __getattr__(self, name):
                    print(sorted(locals()), sorted(n for n in globals() if n[0] != '_'))
                    return 0
            def gen():
                a = 1
                yield sorted(locals())
            class Body:
                print(sorted(n for n in locals() if n[0] != '_'), __name__, __qualname__)
                x = 1
                print(eval('x'), [dir() for _ in range(1)] and 'x' in dir())
            with C(1):
                pass
            print(*gen(), C(2).other, functools.partial(lambda q: locals(), 3)())
            print(eval('locals() is globals()'))
        ''')


class Pdb(WithSample):
    """Scripted sessions of the debugger."""

    def session(self, program, commands):
        with open(os.path.join(self.folder, 'debugged.py'), 'w') as file:
            file.write(textwrap.dedent(program).lstrip('\n'))
        return self.same('-m', 'pdb', 'debugged.py', input=commands.replace(';', '\n') + '\n',
                         HOME=self.folder)

    def test_step_into_everything(self):
        """A step at a time through the whole program."""
        for construct in ('plain_calls', 'wrapped_calls', 'instances', 'operators', 'subscripts',
                          'generators', 'delegation', 'with_blocks',
                          'exceptions', 'matching', 'loops'):
            with self.subTest(construct=construct):
                self.session(f'''
                    import sample_program
                    sample_program.{construct}()
                    print('end')
                ''', f'b sample_program.{construct};c;' + 's;' * 60 + 'where;up;up;down;args;cl;y;q;y')

    def test_step_in_a_coroutine(self):
        self.session('''
            import asyncio
            async def inner(n):
                await asyncio.sleep(0)
                return n
            async def main():
                x = await inner(1)
                async for y in agen():
                    x += y
                return x
            async def agen():
                for i in range(2):
                    yield await inner(i)
            print(asyncio.run(main()))
        ''', 'b 5;c;n;n;s;s;s;n;w;r;c;q')

    PROGRAM = '''
        class Manager:
            def __init__(self, n):
                self.n = n
            def __enter__(self):
                return self.n
            def __exit__(self, *args):
                return True
        def gen(top):
            for i in range(top):
                got = yield i
            return top
        def work(n):
            total = 0
            with Manager(n) as m:
                for x in gen(m):
                    total += x
            m = Manager(total)
            return m.n
        print(work(3))
        print('end')
    '''

    def test_commands(self):
        for commands in ('s;s;s;n;s;s;p n;r;s;s;w;q', 'b work;c;n;n;s;s;r;n;p total;until;until 18;p m;c;q',
                         'b work;c;n;j 17;n;n;c;q', 'b 10, i == 2;c;p i, top;w;u;p x, total;d;c;q',
                         'b gen;c;s;s;s;r;r;q',
                         'tbreak 15;c;display total;n;n;n;undisplay total;j 16;j 12;j 5;c;q',
                         'b 15;commands 1;p total;c;end;c;q',
                         'b Manager.__init__;c;w;a;r;n;c;q', 'b Manager.__exit__;c;w;p args;s;s;s;s;c;q',
                         'c;c;q;y',
                         'b work;c;interact;print(n);q', 'b work;c;!n = 5;c;q', 'b work;ignore 1 1;c;q',
                         'll;source work;whatis work;q',
                         'b work;condition 1 n == 2;c;q', 'b work;c;retval;unt;unt;ret;retval;q',
                         'step;step;run;q'):
            with self.subTest(commands=commands):
                self.session(self.PROGRAM, commands)

    def test_post_mortem(self):
        self.session('''
            class Manager:
                def __init__(self): self.fail(0)
                def fail(self, n):
                    with open(__file__) as f:
                        return [1 / x for x in range(n, 3)]
            def gen():
                yield Manager()
            def main():
                deep = 1
                for x in gen():
                    deep = 2
            main()
        ''', 'c;w;p n;u;u;u;p deep;u;u;d;q;q')

    def test_pm_after_the_fact(self):
        self.same_program('''
            import pdb, sys, io, sample_program
            def probe(value=0):
                raise OverflowError(value)
            sample_program.probe = probe
            for construct in sample_program.CONSTRUCTS[:-1]:
                try:
                    construct()
                except BaseException as error:
                    out = io.StringIO()
                    typed = io.StringIO('w;u;u;p sorted(locals());q;'.replace(';', chr(10)))
                    debugger = pdb.Pdb(stdin=typed, stdout=out, nosigint=True, readrc=False)
                    debugger.use_rawinput = False
                    debugger.reset()
                    debugger.interaction(None, error.__traceback__)
                    print(construct.__name__, out.getvalue())
        '''.replace('\\\\n', '\\n'))


class Profilers(WithSample):
    """Counts of calls."""

    def test_cprofile(self):
        """cProfile counts the same calls of the same functions by the same callers."""
        for warm in (0, 30):
            with self.subTest(warm=warm):
                self.same_program(f'''
                    import cProfile, os, pstats, re, sample_program
                    for _ in range({warm}):
                        sample_program.run_all()
                    profile = cProfile.Profile()
                    for construct in sample_program.CONSTRUCTS[:-1]:
                        profile.runcall(construct)
                    profile.create_stats()
                    def name(key):
                        function = re.sub('0x[0-9a-f]+', '', key[2])
                        return f"{{os.path.basename(key[0])}}:{{key[1]}}:{{function}}"
                    for key in sorted(profile.stats, key=name):
                        calls, primitive, _, _, callers = profile.stats[key]
                        called_by = sorted((name(k), v[0], v[1]) for k, v in callers.items())
                        print(name(key), calls, primitive, called_by)
                ''')

    def test_profile(self):
        """The same for the profiler written in Python."""
        self.same_program('''
            import os, profile, re, sample_program
            profiler = profile.Profile(bias=0)
            profiler.runcall(lambda: [construct() for construct in sample_program.CONSTRUCTS[:-1]])
            profiler.create_stats()
            for key, (calls, primitive, *_) in sorted(profiler.stats.items(), key=lambda i: str(i[0])):
                if 'profile' not in key[0] or 'sample_program' in key[0]:
                    print(os.path.basename(key[0]), key[1:], calls, primitive)
        ''')

    def test_cprofile_command(self):
        self.same('-m', 'cProfile', '-s', 'name', 'sample_program.py',
                  clean=lambda text: re.sub(r'(?s)\n +\d+ function calls.*', '', text))
        printed = interpreters.check_python(self, '-m', 'cProfile', 'sample_program.py', cwd=self.folder)
        self.assertIn('run_all', printed)

    def test_cprofile_in_tasklets(self):
        """Profiling the main tasklet around run() is no obstacle, and shows no shim."""
        printed = interpreters.check_python(self, '-c', textwrap.dedent('''
            import cProfile, stackless
            profile = cProfile.Profile()

            def work():
                for _ in range(3):
                    stackless.schedule()

            def main():
                for _ in range(3):
                    stackless.tasklet(work)()
                stackless.run()

            profile.runcall(main)
            profile.create_stats()
            for key in profile.stats:
                assert 'shim' not in str(key).lower(), key
            print([v[0] for k, v in profile.stats.items() if k[2] == 'main'])
        '''))
        self.assertEqual(printed, '[1]\n')

    def test_trace_module(self):
        self.same('-m', 'trace', '--count', '--missing', '-C', 'counts', 'sample_program.py')
        # Without the site module, since what that imports is not the same in an installed tree.
        libraries = os.pathsep.join([sys.base_prefix, interpreters.base_prefix()])
        self.same('-S', '-m', 'trace', '--trackcalls', '--ignore-dir', libraries, 'sample_program.py')


class Coverage(WithSample):
    """Debian's coverage with its tracer in C."""

    def setUp(self):
        super().setUp()
        interpreters.need_package(self, 'coverage')

    def measure(self, python):
        """The lines and branches of sample_program that coverage reports on `python`."""
        data = {'COVERAGE_FILE': os.path.join(self.folder, 'data'), 'PYTHONPATH': interpreters.PACKAGES}
        options = dict(python=python, cwd=self.folder, **data)
        interpreters.check_python(self, '-m', 'coverage', 'erase', **options)
        interpreters.check_python(self, '-m', 'coverage', 'run', '--branch', '--include=sample_program.py',
                                  'sample_program.py', **options)
        interpreters.check_python(self, '-m', 'coverage', 'json', '-q', '-o', 'report.json', **options)
        with open(os.path.join(self.folder, 'report.json')) as file:
            report = json.load(file)['files']['sample_program.py']
        lines = interpreters.check_python(self, '-m', 'coverage', 'report', '-m', **options)
        return report, lines

    def test_lines_and_branches(self):
        if interpreters.BASE is None:
            self.skipTest('there is no base python')
        ours, base = self.measure(sys.executable), self.measure(interpreters.BASE)
        self.assertEqual(ours, base)
        self.assertGreater(ours[0]['summary']['percent_covered'], 80)

    # What runs at the same time: several of these, which pause.
    TASKS = '''
        from runner import pause

        def generate(n):
            for i in range(n):
                got = yield i
                pause()
                if got:
                    return 5

        def handle(n):
            try:
                pause()
                if n == 1:
                    raise ValueError
                if n == 7:
                    return 8
            except ValueError:
                pause()
                n = 2
            finally:
                pause()
            return n

        class Task:
            def __init__(self, n):
                self.n = n
                pause()

            def __enter__(self):
                pause()
                return [x for x in generate(self.n)]

            def __exit__(self, *error):
                pause()
                return error[0] is KeyError

        def work(n):
            with Task(n) as things:
                while things:
                    things.pop()
                    pause()
                if n == 0:
                    raise KeyError
                handle(n)
            return never if n > 10 else sorted([3, 2, n], key=lambda x: (pause(), x)[1])
    '''

    RUN = '''
        import runner, tasks
        runner.run(tasks.work, range(4))
    '''

    THREADS = '''
        import threading, time
        def pause():
            time.sleep(0)
        def run(function, values):
            threads = [threading.Thread(target=function, args=(n,)) for n in values]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    '''

    GREENLETS = '''
        import greenlet
        waiting = []
        def pause():
            waiting.append(greenlet.getcurrent())
            main.switch()
        def run(function, values):
            global main
            main = greenlet.getcurrent()
            waiting.extend(greenlet.greenlet(lambda n=n: function(n)) for n in values)
            while waiting:
                waiting.pop(0).switch()
    '''

    TASKLETS = '''
        import stackless
        pause = stackless.schedule
        def run(function, values):
            for n in values:
                stackless.tasklet(function)(n)
            stackless.run()
    '''

    def of_tasks(self, python, runner, *options):
        """The lines and branches of TASKS that coverage reports where they are run so."""
        for name, text in ('tasks', self.TASKS), ('runner', runner), ('start', self.RUN):
            with open(os.path.join(self.folder, name + '.py'), 'w') as file:
                file.write(textwrap.dedent(text))
        data = {'COVERAGE_FILE': os.path.join(self.folder, 'data'), 'PYTHONPATH': interpreters.PACKAGES}
        for arguments in (['run', '--branch', '--include=tasks.py', *options, 'start.py'],
                          ['json', '-q', '-o', 'report.json']):
            interpreters.check_python(self, '-m', 'coverage', *arguments, python=python, cwd=self.folder, **data)
        with open(os.path.join(self.folder, 'report.json')) as file:
            report = json.load(file)['files']['tasks.py']
        self.assertGreater(len(report['executed_lines']), 35)
        return {name: report[name] for name in ('executed_lines', 'missing_lines', 'executed_branches',
                                                'missing_branches')}

    def test_tasklets_as_threads(self):
        """Code in tasklets, which coverage knows nothing about, is measured as it is in threads on the base."""
        if interpreters.BASE is None:
            self.skipTest('there is no base python')
        base = self.of_tasks(interpreters.BASE, self.THREADS)
        self.assertEqual(self.of_tasks(sys.executable, self.TASKLETS), base)
        self.assertEqual(self.of_tasks(sys.executable, self.THREADS), base)

    def test_tasklets_as_greenlets(self):
        """And as it is in greenlets, where coverage is told of them."""
        if interpreters.BASE is None:
            self.skipTest('there is no base python')
        interpreters.need_package(self, 'greenlet')
        base = self.of_tasks(interpreters.BASE, self.GREENLETS, '--concurrency=greenlet')
        self.assertEqual(self.of_tasks(sys.executable, self.TASKLETS), base)

    def test_tasklets_and_the_tracer_in_python(self):
        ours = self.of_tasks(sys.executable, self.TASKLETS)
        self.assertEqual(self.of_tasks(sys.executable, self.TASKLETS, '--timid'), ours)

    def test_tracer_in_c(self):
        printed = interpreters.check_python(self, '-m', 'coverage', 'debug', 'sys', cwd=self.folder,
                                            PYTHONPATH=interpreters.PACKAGES)
        self.assertRegex(printed, r'CTracer: available')


def without_threads(text):
    """A faulthandler report without thread ids and paths, and without the extension modules it lists."""
    text = re.sub(r'0x[0-9a-f]+', '0x...', text)
    return re.sub(r'\n*Extension modules:.*', '', text)


class Faulthandler(WithSample):
    """Dumps of Python stacks, written while things are broken."""

    def same_program(self, program, *args):
        with open(os.path.join(self.folder, 'script.py'), 'w') as file:
            file.write(textwrap.dedent(program))
        return self.same('-X', 'faulthandler', 'script.py', *args, clean=without_threads,
                         **interpreters.DEADLY)

    def test_dump_at_every_probe(self):
        self.same_program('''
            import faulthandler, sample_program, sys
            def probe(value=0):
                faulthandler.dump_traceback()
                return value
            sample_program.probe = probe
            for construct in sample_program.CONSTRUCTS:
                construct()
        ''')

    def test_deep(self):
        """A deep stack is cut at 100 frames."""
        self.same_program('''
            import faulthandler, sys
            class C:
                def __init__(self, n): f(n)
            def f(n, *rest):
                if n:
                    C(n - 1) if n % 2 else f(*(n - 1, 1))
                else:
                    faulthandler.dump_traceback()
            f(150)
        ''')

    def test_deadly_signals(self):
        for deed in ('import ctypes; ctypes.string_at(0)', 'os.abort()', 'os.kill(os.getpid(), 8)',
                     'faulthandler._fatal_error_c_thread()',
                     'faulthandler._sigsegv()', 'faulthandler._stack_overflow()', 'os.kill(os.getpid(), 7)'):
            with self.subTest(deed=deed):
                self.same_program(f'''
                    import faulthandler, os, resource
                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                    class C:
                        def __enter__(self):
                            for x in self.gen():
                                pass
                        def __exit__(self, *a): pass
                        def gen(self):
                            {deed}
                            yield 1
                    def main(*args):
                        with C(): pass
                    main(*[1])
                ''')

    def test_threads(self):
        self.same_program('''
            import faulthandler, sys, threading, time
            inside, leave = threading.Barrier(3), threading.Lock()
            def gen(n):
                inside.wait()
                leave.acquire(); leave.release()
                yield n
            def work(n):
                for x in gen(n): pass
            def place(t):
                frame = sys._current_frames()[t.ident]
                return frame.f_code, frame.f_lineno
            threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
            leave.acquire()
            for t in threads: t.start()
            inside.wait()
            while any(place(t) != (gen.__code__, gen.__code__.co_firstlineno + 2) for t in threads):
                time.sleep(0.01)
            faulthandler.dump_traceback(all_threads=True)
            leave.release()
            for t in threads: t.join()
        ''')

    def test_later(self):
        self.same_program('''
            import faulthandler, time
            def gen():
                # In one line, so that the dump is the same whenever it comes.
                faulthandler.dump_traceback_later(0.3, exit=True); time.sleep(30)
                yield
            next(gen())
        ''')

    def test_user_signal(self):
        self.same_program('''
            import faulthandler, os, signal
            faulthandler.register(signal.SIGUSR1)
            def f(*a):
                os.kill(os.getpid(), signal.SIGUSR1)
            f(*[1])
        ''')

    def test_in_a_tasklet(self):
        """A crash in a tasklet names the tasklet's frames and nothing of ours."""
        done = interpreters.run_python('-X', 'faulthandler', '-c', textwrap.dedent('''
            import ctypes, resource, stackless
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            def inner(*args):
                stackless.schedule()
                ctypes.string_at(0)
            def outer():
                inner(*[1])
            def work(n):
                outer()
            stackless.tasklet(work)(1)
            stackless.tasklet(work)(2)
            stackless.run()
        '''), **interpreters.DEADLY)
        self.assertEqual(done.returncode, -11, done.stderr)
        names = re.findall(r'line \d+ in (\S+)', done.stderr)
        self.assertEqual(names[:4], ['string_at', 'inner', 'outer', 'work'], done.stderr)
        # The other tasklet, and main.
        self.assertEqual(names[4:], ['inner', 'outer', 'work', '<module>'], done.stderr)


class Tracemalloc(WithSample):
    """The stacks of allocations."""

    def test_tracebacks(self):
        self.same_program('''
            import sample_program, tracemalloc
            tracemalloc.start(20)
            def probe(value=0):
                thing = bytearray()
                stack = tracemalloc.get_object_traceback(thing)
                lines.append(' '.join(str(f.lineno) for f in stack))
                return value
            lines = []
            sample_program.probe = probe
            for _ in range(3):
                del lines[:]
                sample_program.run_all()
            print(len(lines))
            print(*lines, sep='\\\\n')
        '''.replace('\\\\n', '\\n'))

    def test_snapshots(self):
        self.same_program('''
            import sample_program, tracemalloc
            kept = []
            def probe(value=0):
                kept.append(bytearray(1000))
                return value
            sample_program.probe = probe
            sample_program.run_all()
            del kept[:]
            tracemalloc.start(10)
            sample_program.run_all()
            snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, __file__, 5)])
            for statistic in snapshot.statistics('lineno'):
                if statistic.size > 100000:
                    print(statistic.count)
        ''')


if __name__ == '__main__':
    unittest.main()
