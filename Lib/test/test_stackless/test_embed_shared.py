"""A C program that embeds libpython3.11.so, compiled with the flags that python3.11-config names: extensions,
tasklets, threads, interpreter life cycles."""

import functools
import os
import shutil
import sys
import tempfile
import textwrap
import typing
import unittest

from . import interpreters
from .extension_samples import SAMPLES

# What all sources begin with.
PREAMBLE = interpreters.IMPORTS + 'import faulthandler; faulthandler.enable()\n'

# What the sources for a hundred lives begin with, which also the base runs.
LIFE = '''
import json, operator, os, re, threading
ready = threading.Event()

def outlive():
    """Wait in a system call for what comes after the end of the interpreter."""
    ready.set()
    os.read(int(os.environ['LEFTOVERS']), 1)

def outlive_in_c():
    operator.call(outlive)

def leave(function):
    """A daemon thread that calls function(), which outlives the interpreter."""
    ready.clear()
    threading.Thread(target=function, daemon=True).start()
    ready.wait()

def left_threads():
    for function in outlive, outlive_in_c:
        leave(function)
'''

# One of three turns of a thread state: soft and pinned tasklets go on where they were in the last one.
TURN = '''
import operator, os, stackless
lives = globals().setdefault('lives', {})

class Life:
    """The tasklets of one thread state."""

    def __init__(self):
        self.turns, self.log = 0, []
        self.channels = [stackless.channel() for n in range(4)]
        for n, function in enumerate([self.soft, self.pinned, self.soft, self.pinned]):
            stackless.tasklet(function)(n)
        stackless.run()

    def soft(self, n):
        while True:
            self.log.append((n, self.channels[n].receive()))

    def pinned(self, n):
        try:
            operator.call(self.soft, n)
        finally:
            os.write(1, b'finally\\n')

    def turn(self):
        assert self.log == [], self.log
        for channel in self.channels:
            channel.send(self.turns)
        stackless.run()
        assert sorted(self.log) == [(n, self.turns) for n in range(4)], self.log
        self.log.clear()
        self.turns += 1
        if self.turns == 3:
            os.write(1, b'done\\n')

main = stackless.getmain()
if main not in lives:
    lives[main] = Life()
lives[main].turn()
del main
'''

# What a life of ours has besides: tasklets and channels.
TASKLETS = '''
import stackless
channel = stackless.channel()

def soft():
    channel.receive()

def pinned_in_call():
    operator.call(soft)

def pinned_in_re():
    try:
        re.sub('a', lambda match: channel.receive(), 'aaa')
    finally:
        json.dumps([1])

def work():
    stackless.schedule()

def leave_tasklets():
    """Finished, runnable, blocked ones and some that never ran, in the calling thread."""
    for n in range(10):
        for function in soft, pinned_in_call, pinned_in_re, work:
            stackless.tasklet(function)()
    stackless.run()
    assert len([t for t in stackless.tasklets() if t.pinned]) >= 20
    for n in range(10):
        stackless.tasklet(work)()
    stackless.schedule()
    stackless.tasklet(work)

def outlive_with_tasklets():
    leave_tasklets()
    outlive()

def outlive_in_tasklet():
    stackless.tasklet(outlive)()
    stackless.run()

def outlive_in_pinned_tasklet():
    stackless.tasklet(outlive_in_c)()
    stackless.run()
'''


class Growth(typing.NamedTuple):
    """What a program has more in use than before."""
    blocks: int      # of the object allocator
    allocated: int   # bytes of malloc()
    resident: int    # kilobytes that belong to no file


@functools.cache
def base_library_folder():
    """Where the base's shared library lies."""
    return interpreters.run_python('-c', 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))',
                                   python=interpreters.BASE).stdout.strip()


class Embedding(unittest.TestCase):
    """The embedder, compiled once, in each of its modes."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='embed')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.program = os.path.join(cls.folder, 'embedder')
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'embedder.c')
        cls.library = interpreters.library()
        interpreters.compile_embedder(source, cls.program)

    def embed(self, mode, source, **env):
        """Run the source in the embedder, which must succeed; return what it printed."""
        done = interpreters.run(self.program, mode, sys.executable, PREAMBLE + textwrap.dedent(source),
                                **interpreters.EMBEDDED, **env)
        self.assertEqual(done.returncode, 0, f'exit status {done.returncode}\n{done.stdout}\n{done.stderr}')
        self.assertEqual(done.stderr, '')
        return done.stdout

    def test_it_is_our_library(self):
        self.embed('once', f'''
            import os
            assert 'Stackless 3.11' in sys.version, sys.version
            with open('/proc/self/maps') as maps:
                libraries = {{line.split()[-1] for line in maps if 'libpython' in line}}
            assert libraries == {{os.path.realpath({self.library!r})}}, libraries
        ''')

    def test_plain_initialize(self):
        """Py_Initialize without any configuration finds a library and runs tasklets."""
        printed = self.embed('plain', '''
            import json, _stackless
            _stackless.tasklet(lambda: print(json.dumps([1])))()
            _stackless.run()
        ''', PATH='/usr/bin:/bin')
        self.assertEqual(printed, '[1]\n')

    def test_configuration(self):
        """The embedded interpreter has the paths of the python it is told to be."""
        printed = self.embed('once', 'print(sys.prefix, sys.executable, sys.implementation.cache_tag)')
        self.assertEqual(printed.split(), [os.path.normpath(sys.prefix), os.path.normpath(sys.executable),
                                           sys.implementation.cache_tag])

    def test_isolated(self):
        """The host's own arguments, no site, no environment; and tasklets."""
        printed = self.embed('isolated', '''
            import operator, stackless
            assert sys.flags.isolated and sys.flags.no_site and sys.flags.ignore_environment, sys.flags
            assert 'site' not in sys.modules and 'stackless' in sys.modules
            assert '/nowhere' not in sys.path, sys.path
            channel = stackless.channel()
            stackless.tasklet(channel.send)(sys.argv)
            stackless.tasklet(operator.call)(lambda: print(*channel.receive()))
            stackless.run()
        ''', PYTHONPATH='/nowhere')
        self.assertEqual(printed, 'host --option argument\n')

    def test_tasklets(self):
        printed = self.embed('once', '''
            import stackless
            channel = stackless.channel()

            def produce():
                for n in range(1000):
                    channel.send(n)

            def consume():
                total = 0
                for n in range(1000):
                    total += channel.receive()
                print(total)

            stackless.tasklet(consume)()
            stackless.tasklet(produce)()
            stackless.run()
        ''')
        self.assertEqual(printed, '499500\n')

    def test_cycles(self):
        """Ten lives, each with finished, runnable and blocked tasklets left at its end."""
        printed = self.embed('cycles', '''
            import stackless
            channel = stackless.channel()
            finished = []

            def work(n):
                stackless.schedule()
                finished.append(n)

            for n in range(100):
                stackless.tasklet(work)(n)
                stackless.tasklet(channel.receive)()
            stackless.run()
            left = [stackless.tasklet(work)(n) for n in range(10)]
            stackless.schedule()
            never = stackless.tasklet(work)
            print(len(finished), channel.balance)
        ''')
        self.assertEqual(printed, '100 -100\n' * 10)

    def growth(self, source, base=False):
        """By how much the last eighty of a hundred lives grow."""
        env, python = {}, sys.executable
        if base:
            env, python = {'LD_LIBRARY_PATH': base_library_folder()}, interpreters.BASE
        done = interpreters.run(self.program, 'hundred', python, PREAMBLE + LIFE + source,
                                timeout=5 * interpreters.LIMIT, **interpreters.EMBEDDED, **env)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        lives = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
        self.assertEqual(len(lives), 100)
        return Growth(*(last - early for early, last in zip(lives[19], lives[99])))

    def assert_no_worse(self, ours, base, blocks=0):
        """At most so many blocks and their memory are more than on the base, and noise.

        AddressSanitizer keeps freed memory for a while, so resident memory says nothing there.
        """
        self.assertLessEqual(ours.blocks, base.blocks + blocks)
        self.assertLess(ours.allocated, base.allocated + blocks * 100 + 16 * 1024)
        if not interpreters.SANITIZED:
            self.assertLess(ours.resident, base.resident + blocks * 100 // 1024 + 2400)  # two arenas

    def test_a_hundred_lives(self):
        """They leave nothing behind, as those of the base do not."""
        ours = self.growth(TASKLETS + 'leave_tasklets()\n')
        self.assertEqual(ours.blocks, 0)
        if interpreters.BASE is not None:
            self.assert_no_worse(ours, self.growth('', base=True))

    def test_no_leaks_in_ten_lives(self):
        """Nothing is unreachable at the end of the process (in a build with AddressSanitizer, which looks for
        that); the base's ten lives leave nothing, either."""
        done = interpreters.run(self.program, 'cycles', sys.executable,
                                PREAMBLE + LIFE + TASKLETS + 'leave_tasklets()\n', PYTHONMALLOC='malloc',
                                **interpreters.sanitizer_options('detect_leaks=1', 'use_sigaltstack=0'))
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))

    def test_threads_outlive_a_hundred_lives(self):
        """What their frames hold is lost, on the base as well, and no more."""
        ours = self.growth('left_threads()\n')
        if interpreters.BASE is not None:
            self.assert_no_worse(ours, self.growth('left_threads()\n', base=True), blocks=10 * 80)

    def test_tasklets_of_threads_that_outlive_a_hundred_lives(self):
        """Soft tasklets are dropped; what pinned ones hold is lost, as what the thread's own frames hold."""
        plain = self.growth(TASKLETS + 'for n in range(3): leave(outlive)\n')
        ours = self.growth(TASKLETS + 'leave(outlive_in_tasklet)\n'
                                      'leave(outlive_in_pinned_tasklet)\n'
                                      'leave(outlive_with_tasklets)\n')
        self.assert_no_worse(ours, plain, blocks=20 * 32 * 80)   # at most 32 pinned ones a life

    def test_cycles_with_library_extensions(self):
        """The extensions of the standard library in ten lives of the interpreter."""
        printed = self.embed('cycles', '''
            from test_stackless.extension_samples import SAMPLES
            for name in 'ssl', 'sqlite3', 'ctypes':
                SAMPLES[name]()
            print('done')
        ''')
        self.assertEqual(printed, 'done\n' * 10)

    def test_c_api_in_ten_lives(self):
        """Calls from outside in each life; what they leave behind, callbacks included, ends with it."""
        printed = self.embed('cycles', '''
            import gc, stackless
            from test_stackless.capi import api, NULL
            channel, log = stackless.channel(), []

            def make():
                for n in range(3):
                    stackless.tasklet(channel.send)(n)

            results = api.outside([('PyStackless_Call_Main', make, NULL, NULL),
                                   ('PyStackless_RunBudget', 3600.0, 0, NULL),
                                   ('PyChannel_TryReceive', channel, 1), ('PyStackless_GetBlockedCount',)])
            ended = []
            stackless.tasklet(channel.receive)()
            left = stackless.tasklet(stackless.schedule)()
            api.PyTasklet_SetUserData(left, lambda: ended.append(1))
            api.PyStackless_SetScheduleFastcallback(log)
            api.PyStackless_SetChannelCallback(lambda *args: None)
            stackless.schedule()
            print(results, len(log))
        ''')
        self.assertEqual(printed, '[None, 0, (1, 0), 2] 3\n' * 10)

    def test_foreign_threads(self):
        """Threads made by the embedder run tasklets of their own."""
        printed = self.embed('threads', '''
            def life():
                import stackless
                seen = []

                def work(n):
                    stackless.schedule()
                    seen.append(n)

                for n in range(10):
                    stackless.tasklet(work)(n)
                stackless.run()
                assert seen == list(range(10)), seen
                print('done')
            life()
        ''')
        self.assertEqual(printed, 'done\n' * 3)

    def test_threads_with_small_stacks(self):
        """C functions that recurse by themselves had the second half of 64 KB, and crashed."""
        printed = self.embed('small-threads', '''
            def life():
                import json, re, stackless
                nested = None
                for _ in range(900):
                    nested = [nested]
                text = '[' * 900 + 'null' + ']' * 900
                channel = stackless.channel()
                seen = []

                def use(n):
                    """C functions that recurse, and C functions that call back."""
                    assert json.dumps(nested) == text
                    assert json.loads(text) == nested
                    assert sorted(range(100), key=lambda k: -k + n) == list(range(99, -1, -1))
                    assert re.sub('a', lambda match: match[0].upper(), 'banana') == 'bAnAnA'
                    seen.append(n)

                def plain(n):
                    return 0 if n == 0 else 1 + plain(n - 1)

                def through_sorted(n):
                    return sorted([n], key=lambda k: through_sorted(k - 1) if k else k)

                def through_re(n):
                    return 'x' if n == 0 else re.sub('x', lambda match: through_re(n - 1), 'x')

                def pinned(n):
                    re.sub('a', lambda match: str(channel.receive()), 'aaa')
                    use(n)

                use(-1)
                assert plain(900) == 900
                assert through_sorted(200) == [200]
                assert through_re(200) == 'x'
                for n in range(10):
                    stackless.tasklet(use)(n)
                    stackless.tasklet(pinned)(n + 10)
                    stackless.tasklet(plain)(900)
                    stackless.tasklet(through_re)(200)
                stackless.run()
                for n in range(30):
                    channel.send(n)
                stackless.run()
                assert sorted(seen) == list(range(-1, 20)), seen
                return 'done\\n'
            sys.stdout.write(life())
        ''')
        self.assertEqual(printed, 'done\n' * 3)

    def test_subinterpreters(self):
        printed = self.embed('subinterpreters', '''
            import stackless
            seen = []
            for n in range(10):
                stackless.tasklet(seen.append)(n)
            blocked = stackless.tasklet(stackless.channel().receive)()
            stackless.run()
            assert seen == list(range(10)), seen
            print('done')
        ''')
        self.assertEqual(printed, 'done\n' * 4)

    def test_thread_states_take_turns(self):
        """PyThreadState_Swap() between thread states of one interpreter and of several, each with its scheduler.

        Pinned tasklets are killed where their thread state is the current one when it goes.
        """
        printed = self.embed('swapped', TURN)
        self.assertEqual(printed, 'done\n' * 4 + 'finally\n' * 6)

    def test_a_thread_state_moves(self):
        """The tasklets of a thread state go on in the thread that has taken it over."""
        printed = self.embed('moved', TURN)
        self.assertEqual(printed, 'done\n' + 'finally\n' * 2)

    def test_interpreters_in_threads(self):
        """Each thread has an interpreter of its own, and the tasklets in there."""
        printed = self.embed('interpreter-threads', TURN)
        self.assertEqual(sorted(printed.split()), ['done'] * 3 + ['finally'] * 6)

    def test_all_extensions_together(self):
        """All of them in one process, alone and in tasklets that take turns."""
        left_out = interpreters.STACK_COPIERS if interpreters.SANITIZED else set()
        names = [name for name in SAMPLES if name not in left_out]
        for name in names:
            interpreters.need_package(self, name)
        printed = self.embed('once', f'''
            import stackless
            from test_stackless.extension_samples import SAMPLES
            SAMPLES = {{name: SAMPLES[name] for name in {names}}}
            for name, use in SAMPLES.items():
                use()
                print(name)

            def work(use):
                stackless.schedule()
                use()

            for use in SAMPLES.values():
                stackless.tasklet(work)(use)
            stackless.run()
            print('done')
        ''')
        self.assertEqual(printed.split(), [*names, 'done'])

    def test_flags_of_python_config(self):
        """The library is named for those who embed, and not for extensions."""
        def answer(*options):
            done = interpreters.run(interpreters.config_script(), *options)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout.split()

        self.assertIn('-lpython3.11', answer('--embed', '--libs'))
        self.assertNotIn('-lpython3.11', answer('--libs'))
        includes = [word for word in answer('--includes') if word.startswith('-I')]
        self.assertTrue(any(os.path.exists(os.path.join(word[2:], 'Python.h')) for word in includes), includes)


def add_tests():
    """One test method for each extension in the embedder."""
    for name in SAMPLES:
        def test(self, name=name):
            interpreters.need_package(self, name)
            self.assertEqual(self.embed('once', f'''
                from test_stackless.extension_samples import SAMPLES
                SAMPLES[{name!r}]()
                print('done')
            '''), 'done\n')
        test.__doc__ = f'{name} in the embedder.'
        setattr(Embedding, f'test_{name}', test)


add_tests()

if __name__ == '__main__':
    unittest.main()
