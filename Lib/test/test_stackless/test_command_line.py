"""The python command as a user meets it: options, variables, tools behind -m, scripts, exit, interactive
mode.

Most tests run the same thing on the base and compare what is printed.
"""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import zipfile

from . import interpreters

# Prints the settings that options and variables change.
SETTINGS = '''
import json, sys, io, faulthandler, tracemalloc, warnings
code = compile('x = 1\\n', 'f', 'exec')
print(json.dumps({
    'flags': str(sys.flags), 'xoptions': sys._xoptions, 'warnoptions': sys.warnoptions,
    'utf8': sys.flags.utf8_mode,
    'faulthandler': faulthandler.is_enabled(), 'tracemalloc': tracemalloc.get_traceback_limit(),
    'tracing': tracemalloc.is_tracing(), 'digits': sys.get_int_max_str_digits(), 'asserts': __debug__,
    'encodings': [sys.stdin.encoding, sys.stdout.encoding, sys.stdout.errors, sys.getfilesystemencoding()],
    'line_buffering': sys.stdout.line_buffering, 'write_through': sys.stdout.write_through,
    'bytecode': sys.dont_write_bytecode, 'cache': sys.pycache_prefix, 'filters': len(warnings.filters),
    'columns': len(list(code.co_positions())) and list(code.co_positions())[-1][2],
    'optimize': sys.flags.optimize, 'hash': hash('text') if sys.flags.hash_randomization == 0 else None,
    'frozen': 'os' in sys.modules and type(sys.modules['os'].__spec__.loader).__name__ or
              getattr(sys.modules['os'].__spec__, 'loader', None).__name__,
}))
'''


def without_times(text):
    """What is left of a text when addresses, times and paths of interpreters are gone."""
    text = re.sub(r'0x[0-9a-f]+', '0x...', text)
    text = re.sub(r'\d+(\.\d+)? (nsec|usec|msec|sec)', 'N sec', text)
    return text


def without_program(text):
    """A message without the path of the interpreter it speaks of."""
    return re.sub(r'\S*/python[\d.]*', 'python', text)


class Options(unittest.TestCase):
    """Single-letter options and -X, against the base."""

    def same_settings(self, *options, **env):
        interpreters.same_as_base(self, *options, '-c', SETTINGS, clean=without_times, **env)

    def test_letters(self):
        for options in ([], ['-B'], ['-E'], ['-I'], ['-O'], ['-OO'], ['-P'], ['-R'], ['-s'], ['-S'], ['-u'],
                        ['-v', '-E'][1:],
                        ['-W', 'error'], ['-W', 'ignore::DeprecationWarning'], ['-b'], ['-bb'], ['-q'],
                        ['-d'],
                        ['-x'][1:], ['-BEs'], ['-X', 'spam=1']):
            with self.subTest(options=options):
                self.same_settings(*options)

    def test_x_options(self):
        for option in ('dev', 'utf8', 'utf8=0', 'faulthandler', 'tracemalloc', 'tracemalloc=5',
                       'int_max_str_digits=1000',
                       'no_debug_ranges', 'frozen_modules=on', 'frozen_modules=off', 'warn_default_encoding',
                       'safe_path',
                       'pycache_prefix=cache', 'showrefcount'):
            with self.subTest(option=option):
                self.same_settings('-X', option)

    def test_import_times(self):
        done = interpreters.run_python('-X', 'importtime', '-c', 'import json')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r'(?m)^import time: +\d+ \| +\d+ \|  *json$')

    def test_verbose(self):
        done = interpreters.run_python('-v', '-c', 'import json')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"import 'json' #")
        self.assertIn('# cleanup', done.stderr)

    def test_wrong_options(self):
        for options in (['-Z'], ['-X', 'int_max_str_digits=5'], ['-X', 'tracemalloc=x'], ['-m'],
                        ['-W', 'nonsense', '-c', '']):
            with self.subTest(options=options):
                interpreters.same_as_base(self, *options, clean=without_program)

    def test_help(self):
        for option in '-h', '--help', '-?', '--help-env', '--help-xoptions':
            with self.subTest(option=option):
                interpreters.same_as_base(self, option, clean=without_program)


class Variables(unittest.TestCase):
    """PYTHON* variables, against the base."""

    def test_settings(self):
        for variables in ({'PYTHONOPTIMIZE': '2'}, {'PYTHONUTF8': '1'}, {'PYTHONDEVMODE': '1'},
                          {'PYTHONHASHSEED': '0'},
                          {'PYTHONHASHSEED': '42'}, {'PYTHONDONTWRITEBYTECODE': '1'},
                          {'PYTHONUNBUFFERED': '1'},
                          {'PYTHONIOENCODING': 'latin-1:replace'},
                          {'PYTHONWARNINGS': 'error,ignore::UserWarning'},
                          {'PYTHONFAULTHANDLER': '1'}, {'PYTHONTRACEMALLOC': '3'},
                          {'PYTHONINTMAXSTRDIGITS': '2000'},
                          {'PYTHONNODEBUGRANGES': '1'}, {'PYTHONNOUSERSITE': '1'}, {'PYTHONSAFEPATH': '1'},
                          {'PYTHONPYCACHEPREFIX': '/nowhere'}, {'PYTHONVERBOSE': '0'},
                          {'PYTHONCOERCECLOCALE': '0', 'LC_ALL': 'C'},
                          {'LC_ALL': 'C'}, {'PYTHONWARNDEFAULTENCODING': '1'}, {'PYTHONMALLOC': 'malloc'},
                          {'PYTHONMALLOC': 'debug'}, {'PYTHONINSPECT': ''}):
            with self.subTest(variables=variables):
                interpreters.same_as_base(self, '-c', SETTINGS, clean=without_times, **variables)

    def test_path(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'mine.py'), 'w') as file:
                file.write('print("found")\n')
            self.assertEqual(interpreters.check_python(self, '-c', 'import mine', PYTHONPATH=folder),
                             'found\n')
            self.assertNotEqual(interpreters.run_python('-E', '-c', 'import mine',
                                                        PYTHONPATH=folder).returncode, 0)

    def test_startup_file(self):
        """PYTHONSTARTUP is read in interactive mode and only there."""
        with tempfile.TemporaryDirectory() as folder:
            name = os.path.join(folder, 'startup.py')
            with open(name, 'w') as file:
                file.write('started = 42\n')
            done = interpreters.run_python('-i', input='print(started)\n', PYTHONSTARTUP=name)
            self.assertIn('42', done.stdout)

    def test_user_base(self):
        with tempfile.TemporaryDirectory() as folder:
            printed = interpreters.check_python(self, '-m', 'site', '--user-site', PYTHONUSERBASE=folder)
            self.assertTrue(printed.startswith(folder), printed)

    def test_breakpoint(self):
        printed = interpreters.check_python(self, '-c', 'breakpoint(); print("on")', PYTHONBREAKPOINT='0')
        self.assertEqual(printed, 'on\n')
        printed = interpreters.check_python(self, '-c', 'breakpoint("x")', PYTHONBREAKPOINT='builtins.print')
        self.assertEqual(printed, 'x\n')


# A module for the tools to work on, and a test of it.
SAMPLE = textwrap.dedent('''
    import sys

    def f(x, *args, **kw):
        """>>> f(1)
        1
        """
        return [y for y in (x, *args)][0]

    class C:
        def m(self):
            with open(__file__) as g:
                yield from g
''')
SAMPLE_TEST = textwrap.dedent('''
    import unittest, sample

    class T(unittest.TestCase):
        def test_f(self):
            self.assertEqual(sample.f(2), 2)
        def test_fails(self):
            self.assertEqual(sample.f(2), 3)
        def test_error(self):
            sample.f()
''')


class Tools(unittest.TestCase):
    """Modules of the library run with -m, against the base."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='tools')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        with open(os.path.join(cls.folder, 'sample.py'), 'w') as file:
            file.write(SAMPLE)
        with open(os.path.join(cls.folder, 'test_sample.py'), 'w') as file:
            file.write(SAMPLE_TEST)
        with zipfile.ZipFile(os.path.join(cls.folder, 'sample.zip'), 'w') as archive:
            archive.write(os.path.join(cls.folder, 'sample.py'), 'sample.py')

    def same(self, *args, clean=without_times, **options):
        return interpreters.same_as_base(self, '-m', *args, clean=clean, cwd=self.folder, **options)

    def test_ast(self):
        self.same('ast', 'sample.py')

    def test_base64(self):
        self.same('base64', '-e', input='text')

    def test_calendar(self):
        self.same('calendar', '2024')

    def test_compileall(self):
        for python in (sys.executable, interpreters.BASE):
            if python:
                shutil.rmtree(os.path.join(self.folder, '__pycache__'), True)
                interpreters.check_python(self, '-m', 'compileall', '-q', 'sample.py', python=python,
                                          cwd=self.folder)
                with open(os.path.join(self.folder, '__pycache__', 'sample.cpython-311.pyc'), 'rb') as file:
                    content = file.read()
                if python == sys.executable:
                    ours = content
        self.assertEqual(ours, content, 'ours and the base compile differently')

    def test_dis(self):
        self.same('dis', 'sample.py')

    def test_doctest(self):
        self.same('doctest', '-v', 'sample.py')

    def test_gzip(self):
        with open(os.path.join(self.folder, 'text'), 'w') as file:
            file.write('text\n' * 100)
        self.same('gzip', 'text')
        self.same('gzip', '-d', 'text.gz')

    def test_http_server(self):
        """A file comes over HTTP from the server, which a signal ends."""
        server = subprocess.Popen([sys.executable, '-u', '-m', 'http.server', '--bind', '127.0.0.1', '0'],
                                  cwd=self.folder,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=interpreters.clean_environment())
        try:
            port = re.search(r' port (\d+)', server.stdout.readline())[1]
            program = (f'from urllib.request import urlopen\n'
                       f'print(urlopen("http://127.0.0.1:{port}/sample.py").read()[1:11])')
            self.assertEqual(interpreters.check_python(self, '-c', program, no_proxy='*'), "b'import sys'\n")
        finally:
            server.terminate()
            server.communicate()

    def test_inspect(self):
        self.same('inspect', 'textwrap:dedent')

    def test_json_tool(self):
        self.assertIn('"a": [', self.same('json.tool', input='{"a": [1, 2, {"b": null}]}'))
        self.same('json.tool', input='{broken')

    def test_pickle(self):
        program = 'import pickle; pickle.dump([1, {2: "x"}], open("data.pickle", "wb"))'
        interpreters.check_python(self, '-c', program, cwd=self.folder)
        self.same('pickle', 'data.pickle')
        self.same('pickletools', 'data.pickle')

    def test_pyclbr(self):
        self.same('pyclbr', 'sample.py')

    def test_pydoc(self):
        self.same('pydoc', 'textwrap.dedent')
        self.same('pydoc', './sample.py')

    def test_symtable_and_tabnanny(self):
        self.same('tabnanny', 'sample.py')
        self.same('py_compile', 'sample.py')

    def test_timeit(self):
        printed = interpreters.check_python(self, '-m', 'timeit', '-n', '10', '-r', '2', '-s', 'x = [1]',
                                            'for y in x: pass')
        self.assertRegex(printed, r'^10 loops, best of 2: [\d.]+ \w+ per loop')

    def test_tokenize(self):
        self.same('tokenize', 'sample.py')

    def test_trace(self):
        self.same('trace', '--count', '-C', 'counts', '--trace', 'sample.py')
        self.same('trace', '--listfuncs', 'sample.py')

    def test_unittest(self):
        self.same('unittest', 'test_sample',
                  clean=lambda text: re.sub(r'in [\d.]+s', '', text))

    def test_zipapp_and_zipfile(self):
        self.same('zipfile', '-l', 'sample.zip')
        self.same('zipfile', '-t', 'sample.zip')
        os.makedirs(os.path.join(self.folder, 'app'), exist_ok=True)
        with open(os.path.join(self.folder, 'app', '__main__.py'), 'w') as file:
            file.write('import sys; print("application", sys.argv[1:], __name__)\n')
        interpreters.check_python(self, '-m', 'zipapp', 'app', cwd=self.folder)
        for target in 'app', 'app.pyz':
            self.assertEqual(interpreters.check_python(self, target, 'x', cwd=self.folder),
                             "application ['x'] __main__\n")

    def test_unknown_module(self):
        for name in 'no_such_module', 'os.nothing', 'unittest.nothing', 'xml':
            interpreters.same_as_base(self, '-m', name, cwd=self.folder,
                                      clean=without_program)


class Scripts(unittest.TestCase):
    """Ways to run code, and ways in which it ends, against the base."""

    def same(self, program, *args, **options):
        return interpreters.same_as_base(self, '-c', textwrap.dedent(program), *args, clean=without_times,
                                         **options)

    def test_standard_input(self):
        interpreters.same_as_base(self, '-', 'a', 'b', input='import sys; print(sys.argv, __name__)\n')
        interpreters.same_as_base(self, input='print(1)\nprint(2)\n1/0\n')

    def test_interactive_from_a_pipe(self):
        interpreters.same_as_base(self, '-i', '-q',
                                  input='x = 1\nx + 1\nfor i in range(2):\n  i\n\n1/0\nprint(x)\n')

    def test_exit(self):
        for program in ('import sys; sys.exit()', 'import sys; sys.exit(3)',
                        'import sys; sys.exit("message")', 'raise SystemExit(257)',
                        'exit(4)', 'import os; os._exit(5)', '1/0', 'raise KeyboardInterrupt',
                        'import sys; sys.exit(None)',
                        'import atexit, sys; atexit.register(print, "bye"); sys.exit(6)', 'syntax error',
                        'raise SystemExit((1, 2))',
                        'import os; os.abort()',
                        'import sys; sys.excepthook = lambda *a: print("hook", a[0]); 1/0',
                        'import threading; threading.Thread(target=lambda: 1/0, name="T").start()',
                        'class D:\n    def __del__(self): 1/0\nd = D()',
                        'class D:\n    def __del__(self): 1/0\nD()'):
            with self.subTest(program=program):
                interpreters.same_as_base(self, '-c', program, clean=without_times)

    def test_interrupt(self):
        """SIGINT ends a program by the signal itself, after its finally blocks."""
        self.same('''
            import os, signal
            try:
                os.kill(os.getpid(), signal.SIGINT)
                while True:
                    pass
            finally:
                print('finally', flush=True)
        ''')

    def test_interrupt_in_each_construct(self):
        """A signal whose handler raises is delivered in loops of every shape."""
        self.same('''
            import contextlib, signal, sys

            class Tick(Exception):
                pass

            def handler(number, frame):
                if frame.f_code.co_name not in ('<module>', 'handler'):
                    raise Tick
                signal.setitimer(signal.ITIMER_REAL, 0.05)      # the construct does not run yet

            def forever():
                while True:
                    yield 1

            class Ever:
                def __iter__(self): return self
                def __next__(self): return 1

            def loop():
                while True: pass
            def for_generator():
                for x in forever(): pass
            def for_iterator():
                for x in Ever(): pass
            def comprehension():
                [x for x in forever() if 0]
            def calls():
                f = lambda: None
                while True: f()
            def recursion():
                def f(n): return f(n - 1) if n else 0
                while True: f(50)
            def with_block():
                while True:
                    with contextlib.nullcontext(): pass
            def instances():
                class C:
                    def __init__(self): self.x = 1
                while True: C()
            def in_sort():
                while True: sorted(range(50), key=lambda n: -n)
            def delegating():
                def d(): yield from forever()
                for x in d(): pass

            signal.signal(signal.SIGALRM, handler)
            for f in (loop, for_generator, for_iterator, comprehension, calls, recursion, with_block,
                      instances, in_sort, delegating):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.05)
                    f()
                except Tick as tick:
                    print(f.__name__)
        ''')

    def test_tracebacks(self):
        """Uncaught errors through all kinds of calls print as on the base."""
        for body in ('Broken()', 'Broken.__new__(Broken).method()', '[x for x in gen()]', 'list(gen())',
                     'next(gen())',
                     'with Manager(1): pass', 'with Manager(2): pass', 'with Manager(2): 1/0',
                     'Manager(0) + 1', 'f(*[1], **{"y": 2})',
                     'delegate(3)', 'asyncio.run(coro(3))', 'sorted([1, 2], key=f)',
                     'functools.partial(f, 1)()', 'wrapped(1)',
                     'exec("f(1)")', 'f"{Manager(0)}"', 'Manager(0).prop', 'with managed(): 1/0',
                     'raise ExceptionGroup("g", [ValueError(1)])',
                     'try:\n    f(1)\nexcept ZeroDivisionError as e:\n    raise KeyError(2) from e',
                     'try:\n    f(1)\nexcept ZeroDivisionError as e:\n    g(2)',
                     'class X(metaclass=Meta): pass', 'rec(2000)', 'f()',
                     'f(1, 2, 3)', 'f(1, z=3)', 'Broken(1, 2)', 'undefined', 'Manager(0).x.y',
                     'a, b = 1, 2, 3', 'for x in Manager(0): pass',
                     'match Manager(0):\n    case Manager(x=1): pass', 'import broken.module',
                     'async_outside()', 'lru(1)',
                     'agen_broken()', 'del undefined', 'assert f, "text"'):
            with self.subTest(body=body):
                program = textwrap.dedent('''
                    import asyncio, contextlib, functools

                    class Broken:
                        def __init__(self):
                            self.method()
                        def method(self):
                            return 1 / 0

                    class Manager:
                        def __init__(self, when): self.when = when
                        def __enter__(self):
                            if self.when == 1: f(1)
                        def __exit__(self, *a):
                            if self.when == 2: f(1)
                        def __add__(self, other): return f(other)
                        def __format__(self, spec): return f(1)
                        def __getattr__(self, name): return f(1)
                        def __iter__(self): return gen()
                        @property
                        def prop(self): return f(1)

                    class Meta(type):
                        def __init__(cls, *args): f(1)

                    def f(x, y=2): return x / 0
                    def g(x): return [f(y) for y in [x]]
                    def gen():
                        yield 1
                        yield f(1)
                    def inner(n):
                        if n: return (yield from inner(n - 1))
                        yield 1
                        f(1)
                    def delegate(n): return list(inner(n))
                    async def coro(n):
                        if n: return await coro(n - 1)
                        await asyncio.sleep(0)
                        f(1)
                    def rec(n): return rec(n - 1) if n else f(1)

                    def deco(func):
                        @functools.wraps(func)
                        def wrapper(*a, **k): return func(*a, **k)
                        return wrapper
                    wrapped = deco(deco(f))
                    lru = functools.lru_cache(f)

                    @contextlib.contextmanager
                    def managed():
                        yield
                        f(1)

                    async def agen():
                        yield 1
                        f(1)
                    async def take():
                        return [x async for x in agen()]
                    def agen_broken(): asyncio.run(take())
                ''') + body + '\n'
                with tempfile.TemporaryDirectory() as folder:
                    with open(os.path.join(folder, 'script.py'), 'w') as file:
                        file.write(program)
                    interpreters.same_as_base(self, 'script.py', cwd=folder, clean=without_times)

    def test_file_with_a_coding_line(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'script.py'), 'wb') as file:
                file.write('# -*- coding: latin-1 -*-\nprint(ascii("é"))\n'.encode('latin-1'))
            interpreters.same_as_base(self, 'script.py', cwd=folder)

    def test_bytecode_file(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, 'script.py'), 'w') as file:
                file.write('print(__file__, __name__)\n')
            program = 'import py_compile; py_compile.compile("script.py", "script.pyc")'
            interpreters.check_python(self, '-c', program, cwd=folder)
            interpreters.same_as_base(self, 'script.pyc', cwd=folder)

    def test_missing_file(self):
        interpreters.same_as_base(self, '/no/such/file.py', clean=without_program)

    def test_closed_streams(self):
        """The interpreter starts and ends with its standard streams closed."""
        for closed in '<&-', '>&-', '2>&-', '<&- >&- 2>&-':
            done = interpreters.run('sh', '-c', f'"{sys.executable}" -c "import sys; sys.exit(7)" {closed}')
            self.assertEqual(done.returncode, 7, closed)

    def test_tasklets_and_exit(self):
        """The exit status survives runnable, blocked and never-run tasklets."""
        done = interpreters.run_python('-c', textwrap.dedent('''
            import stackless, sys
            channel = stackless.channel()
            for n in range(10):
                stackless.tasklet(channel.receive)()
                stackless.tasklet(lambda: [stackless.schedule() for _ in range(5)])()
            stackless.schedule()
            stackless.tasklet(print)('never')
            sys.exit(9)
        '''))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (9, '', ''))


# How the screen ends when the interpreter or its debugger waits for a line.
PROMPTS = (b'>>> ', b'... ', b'(Pdb) ')


def wait_until_asleep(process):
    """Return when the process waits for something."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with open(f'/proc/{process}/stat') as file:
            if file.read().rpartition(')')[2].split()[0] == 'S':
                return
        time.sleep(0.01)
    raise AssertionError('the process never waits')


class Interactive(unittest.TestCase):
    """The prompt, on a terminal, with readline."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='home')
        self.addCleanup(shutil.rmtree, self.folder, True)
        with open(os.path.join(self.folder, 'inputrc'), 'w') as file:
            file.write('set enable-bracketed-paste off\nset bell-style none\n')

    def session(self, lines, python=sys.executable):
        """Type the lines, each when a prompt is there; return the exit status and the text of the screen.

        A line is text, or a pair (keys, what the screen then ends with).
        """
        env = interpreters.clean_environment(HOME=self.folder, INPUTRC=os.path.join(self.folder, 'inputrc'),
                                             TERM='dumb',
                                             LC_ALL='C.UTF-8')
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.folder)
            os.execve(python, [python, '-q', '-i'], env)
        screen = b''

        def read(endings):
            """Read from the terminal until the new text ends like that, or nobody writes to it any more."""
            nonlocal screen
            start, deadline = len(screen), time.monotonic() + 60
            while not screen[start:].endswith(endings):
                if not select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
                    self.fail(f'the screen does not end with {endings}:\n{screen.decode(errors="replace")}')
                try:
                    data = os.read(terminal, 4096)
                except OSError:
                    return
                screen += data

        try:
            read(PROMPTS)
            for line in lines:
                keys, ending = line if isinstance(line, tuple) else (line + '\n', PROMPTS)
                if keys == '\x03':
                    if screen.endswith(PROMPTS):
                        # Between the prompt and its wait for a key, readline overlooks signals.
                        wait_until_asleep(child)
                    else:
                        time.sleep(0.2)     # it is to come in the middle of a loop
                os.write(terminal, keys.encode())
                read(ending if isinstance(ending, tuple) else ending.encode())
            read(b'no prompt is to come')
            child, status = 0, os.waitpid(child, 0)[1]
            return os.waitstatus_to_exitcode(status), screen.decode().replace('\r\n', '\n')
        finally:
            os.close(terminal)
            if child:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    def same_session(self, *lines, clean=without_times):
        """The same session on ours and the base must look the same."""
        if interpreters.BASE is None:
            self.skipTest('there is no base python')
        ours, base = self.session(lines), self.session(lines, interpreters.BASE)
        self.assertEqual(clean(interpreters.as_on_base(ours[1])), clean(base[1]))
        self.assertEqual(ours[0], base[0])
        return ours[1]

    def test_statements(self):
        screen = self.same_session('1 + 1', '_ * 21', 'def f(x):', '    return [y for y in range(x)]', '',
                                   'f(3)', 'for i in range(2):',
                                   '    print(i)', '', 'import sys; sys.ps1', "'é'", 'exit()')
        self.assertIn('42', screen)

    def test_errors(self):
        screen = self.same_session('def f(): return 1/0', '', 'f()', '1 +', 'x = (', '1)', 'x', 'class A:',
                                   '  def __init__(self): f()', '',
                                   'A()', 'import traceback; traceback.print_exc()', 'sys.last_value',
                                   'exit(3)')
        self.assertIn('ZeroDivisionError', screen)

    def test_history(self):
        """The cursor keys bring lines back."""
        screen = self.same_session('print("first")', 'print("second")', ('\x1b[A\x1b[A\n', PROMPTS),
                                   ('\x10\n', PROMPTS), 'exit()')
        self.assertEqual(screen.count('\nfirst\n'), 3)

    def test_history_file(self):
        self.session(['remembered = 1', 'exit()'])
        with open(os.path.join(self.folder, '.python_history')) as file:
            self.assertIn('remembered = 1', file.read())

    def test_completion(self):
        screen = self.same_session('import sys', ('sys.implementati\t', 'on'), '.name',
                                   ('sys.exec_p\t', 'refix'), '', 'exit()')
        self.assertIn("'cpython'", screen)

    def test_interrupt(self):
        """Control-C at the prompt, in a loop, and in a generator's loop goes back to the prompt."""
        screen = self.same_session('x = 5', ('\x03', PROMPTS), 'def g():', '    while True: yield 1', '',
                                   'def h():', '    print("running")',
                                   '    for y in g(): pass', '', ('h()\n', 'running\r\n'), ('\x03', PROMPTS),
                                   'x', 'exit()',
                                   clean=lambda text: re.sub(r'  File .*\n', '', text))
        self.assertEqual(screen.count('KeyboardInterrupt'), 2)

    def test_end_of_input(self):
        self.same_session('x = 1', ('\x04', ''))

    def test_help_and_copyright(self):
        self.same_session('help', 'exit', 'quit', 'exit()')

    def test_breakpoint(self):
        self.same_session('def f(x):', '    breakpoint()', '    return x + 1', '', 'f(1)', 'p x', 'n', 'c',
                          'exit()')

    def test_tasklets(self):
        status, screen = self.session(['import stackless', 't = stackless.tasklet(print)("in a tasklet")',
                                       'stackless.run()',
                                       'c = stackless.channel()', 'stackless.tasklet(c.send)(7).alive',
                                       'c.receive()',
                                       'stackless.tasklet(lambda: 1/0)() and None', 'stackless.run()',
                                       'stackless.getruncount()',
                                       'exit()'])
        self.assertEqual(status, 0, screen)
        self.assertIn('in a tasklet\n', screen)
        self.assertIn('\n7\n', screen)
        self.assertIn('ZeroDivisionError', screen)

    def test_banner(self):
        done = interpreters.run_python('-i', input='')
        self.assertTrue(done.stderr.startswith(f'Python {sys.version} on linux\n'), done.stderr)

    def test_code_module(self):
        interpreters.same_as_base(self, '-m', 'code', '-q', input='x = [n for n in range(3)]\nx\n1/0\n')

    def test_asyncio_prompt(self):
        done = interpreters.run_python('-m', 'asyncio', input='await asyncio.sleep(0, "slept")\n')
        self.assertIn("'slept'", done.stdout + done.stderr)


if __name__ == '__main__':
    unittest.main()
