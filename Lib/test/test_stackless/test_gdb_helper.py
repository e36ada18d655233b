"""The commands for gdb that show tasklets, of a process and of a core (Tools/gdb/stackless-gdb.py)."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest

from . import interpreters

# Makes tasklets in all states, says what gdb is to find, and stops in a C function that a tasklet has called.
PROGRAM = '''
import json, operator, os, signal, stackless, sys, threading

channel, other = stackless.channel(), stackless.channel()

def receive(*args):
    channel.receive()

def soft(*args):
    receive(
        1)

def pinned():
    operator.call(receive)

def generate():
    yield channel.receive()

def send():
    other.send(
        1)

class Named(stackless.tasklet):
    pass

def frames(frame):
    while frame is not None:
        yield [frame.f_code.co_qualname, frame.f_code.co_filename, frame.f_lineno]
        frame = frame.f_back

def state(t):
    if t is stackless.current or t is mains[0]:
        return 'current'
    if t.blocked:
        word = 'sending' if t._channel.balance > 0 else 'receiving'
        return f'blocked, {word} on channel {id(t._channel):#x}'
    return 'scheduled' if t.scheduled else 'waiting in run()' if t.is_main else 'paused'

def view(frame):
    return {t.name or str(id(t)): dict(
        address=id(t), main=t.is_main, name=t.name, state=state(t), pinned=t.pinned is not None and not t.is_main,
        frames=list(frames(frame if t is stackless.current else t.frame))) for t in stackless.tasklets()}

def stop():
    print(json.dumps(view(sys._getframe())), flush=True); os.kill(os.getpid(), signal.SIGTRAP)

def other_thread(inside):
    mains.append(stackless.current)
    stackless.current.name = 'the main tasklet of a thread'
    stackless.tasklet(pinned)().name = 'of another thread'
    stackless.run()
    inside.set()
    leave.acquire()

mains = []
leave = threading.Lock()
leave.acquire()
inside = threading.Event()
threading.Thread(target=other_thread, args=(inside,), daemon=True).start()
inside.wait()
Named(soft)().name = 'soft'
stackless.tasklet(pinned)().name = 'a "quoted" \\xe9\\u1234\\U0001f40d name'
stackless.tasklet(lambda: [*generate()])()
stackless.tasklet(send)().name = 'sender'
stackless.run()
paused = stackless.tasklet(stackless.schedule_remove)()
paused.run()
stackless.tasklet(stop)().name = 'stops in C'
stackless.tasklet(soft)().name = 'not started'
stackless.run()
'''


def without_carriers(text):
    """The output without the places of C stacks."""
    return re.sub(r'carrier 0x\w+ \(C stack 0x\w+ to 0x\w+, at 0x\w+\)', 'carrier', text)


def place(frame):
    name, file, line = frame
    return f'{name} ({file}:{line})'


class Gdb(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        if shutil.which('gdb') is None:
            if interpreters.BUILDDIR is not None:
                raise AssertionError('gdb is not installed')
            raise unittest.SkipTest('there is no gdb')
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix='gdb'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        if interpreters.BUILDDIR is not None:
            cls.folder_of_ours = os.path.realpath(interpreters.BUILDDIR)
            cls.scripts = [os.path.join(cls.folder_of_ours, name)
                           for name in ('python-gdb.py', 'libpython3.11.so.1.0-gdb.py')]
        else:
            cls.folder_of_ours = os.path.realpath(sys.base_prefix)
            cls.scripts = [os.path.join(cls.folder_of_ours, name)
                           for name in ('bin/python3.11-gdb.py', 'lib/libpython3.11.so.1.0-gdb.py')]
        cls.python = os.path.realpath(sys.executable)
        with open(cls.python, 'rb') as file:
            if file.read(4) != b'\x7fELF':
                raise unittest.SkipTest('the interpreter runs in an emulator, which gdb sees instead')

    def script(self, text):
        path = os.path.join(self.folder, 'script.py')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(textwrap.dedent(text))
        return path

    def gdb(self, *commands, program=(), source=True, **env):
        """What gdb prints for these commands."""
        if source:
            commands = (f'source {self.scripts[0]}', *commands)
        options = [word for command in ('set width 0', 'set height 0', *commands) for word in ('-ex', command)]
        done = interpreters.run('gdb', '-nx', '-batch', *options, '--args', *program, timeout=300, cwd=self.folder,
                                PYTHONIOENCODING='utf-8', LC_ALL='C.UTF-8', **env)
        return done.stdout + done.stderr


class TestLists(Gdb):
    """All states, live and in a core."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.core = os.path.join(cls.folder, 'core')
        cls.stripped = os.path.join(cls.folder, 'python')
        # Debug information is not needed.
        subprocess.run(['strip', '-o', cls.stripped, cls.python], check=True)
        self = cls('gdb')
        save = [] if interpreters.SANITIZED else [f'gcore {cls.core}']
        cls.live = self.gdb('run', 'echo BEGIN\\n', 'stackless-tasklets', 'echo END\\n', 'stackless-bt', *save,
                            program=(cls.stripped, '-B', self.script(PROGRAM)), PYTHONPATH=os.pathsep.join(sys.path))
        cls.expected = json.loads(re.search(r'(?m)^\{.*\}$', cls.live).group())

    def title(self, t):
        return f'{t["address"]:#x}' + ' main' * t['main'] + (f' "{t["name"]}"' if t['name'] else '')

    def check_list(self, printed):
        found = re.findall(r'(?m)^[* ] 0x.*$', without_carriers(printed))
        wanted = []
        for t in self.expected.values():
            # One of a C function has no frames; where all switches are hard, it is pinned as well.
            where = place(t['frames'][0]) if t['frames'] else 'C code'
            wanted.append(f'{"*" if t["state"] == "current" else " "} {self.title(t)}: {t["state"]}, in {where}'
                          + ', pinned on carrier' * t['pinned'])
        self.assertEqual(sorted(found), sorted(wanted))
        self.assertEqual(len(re.findall(r'(?m)^Thread \d+ \(LWP \d+, 0x\w+\):$', printed)), 2, printed)

    def check_stacks(self, printed):
        found = {}
        for title, state, stack in re.findall(r'(?m)^Tasklet (.*) \((.*)\):\n((?:  .*\n?)*)', printed):
            found[title] = (state, stack.splitlines())
        wanted = {self.title(t): (t['state'] + ', pinned' * t['pinned'],
                                  [f'  #{i} {place(frame)}' for i, frame in enumerate(t['frames'])]
                                  or ['  <no frame of Python code>']) for t in self.expected.values()}
        self.assertEqual(found, wanted)

    def test_the_program_has_all_states(self):
        states = [re.sub(' on channel.*', '', t['state']) for t in self.expected.values()]
        self.assertEqual(sorted(states), sorted(
            ['blocked, receiving'] * 4 + ['blocked, sending', 'current', 'current', 'paused', 'scheduled',
                                          'waiting in run()']))
        pinned = [t['name'] for t in self.expected.values() if t['pinned']]
        self.assertLessEqual({'of another thread', 'a "quoted" \xe9\u1234\U0001f40d name'}, set(pinned))

    def test_live_list(self):
        self.check_list(self.live.partition('BEGIN')[2].partition('END')[0])

    def test_live_stacks(self):
        self.check_stacks(self.live.partition('END')[2])

    def on_core(self, *commands):
        if interpreters.SANITIZED:
            self.skipTest('gdb would write the shadow memory, too')
        printed = self.gdb(f'core-file {self.core}', 'echo BEGIN\\n', *commands, program=(self.stripped,))
        # After the output come gdb's own complaints, of sources that are not there for instance.
        return printed.partition('BEGIN')[2]

    def test_core(self):
        self.check_list(self.on_core('stackless-tasklets'))
        self.check_stacks(self.on_core('stackless-bt'))

    def test_one_tasklet(self):
        t = self.expected['soft']
        stack = [f'  #{i} {place(frame)}' for i, frame in enumerate(t['frames'])]
        wanted = '\n'.join(['', f'Tasklet {self.title(t)} ({t["state"]}{", pinned" * t["pinned"]}):', *stack, 'END'])
        for argument in f'{t["address"]}', f'{t["address"]:#x}', f'{t["address"] - 16} + 16', 'soft', '"soft"':
            with self.subTest(argument=argument):
                printed = self.on_core(f'stackless-bt {argument}', 'echo END')
                self.assertEqual(printed[:len(wanted)], wanted)

    def test_a_name_with_quotes(self):
        for argument in ('a "quoted" \xe9\u1234\U0001f40d name', '"a "quoted" \xe9\u1234\U0001f40d name"'):
            self.assertIn('pinned', self.on_core(f'stackless-bt {argument}'))

    def test_wrong_arguments(self):
        self.assertIn('No tasklet has this name, and it is no address', self.on_core('stackless-bt nobody'))
        self.assertIn('There is no tasklet at 0x1000 that is alive.', self.on_core('stackless-bt 4096'))
        self.assertIn('stackless-tasklets takes no argument.', self.on_core('stackless-tasklets 1'))


class TestTrouble(Gdb):
    """What is not there, or damaged, is said so."""

    def test_no_process(self):
        self.assertIn('There is no process: run, attach or core-file first.',
                      self.gdb('stackless-tasklets', program=(self.python,)))

    def test_another_program(self):
        printed = self.gdb('starti', 'stackless-tasklets', program=('/bin/true',))
        self.assertIn('This is no Stackless Python 3.11, or its symbols are not loaded yet', printed)

    def test_too_early(self):
        printed = self.gdb('break main', 'run', 'stackless-bt', program=(self.python, '-c', ''))
        self.assertIn('The interpreter has not been started yet, or has ended.', printed)

    def test_no_tasklets(self):
        printed = self.gdb('run', 'stackless-tasklets',
                           program=(self.python, '-S', '-c', 'import os; os.kill(os.getpid(), 5)'))
        self.assertIn('<it has used no tasklets>', printed)

    def damaged(self, change):
        """What is printed of two blocked tasklets after `change`, a statement about `program` and `tasklet`."""
        program = self.script('''
            import os, stackless
            channel = stackless.channel()
            def wait():
                channel.receive()
            stackless.tasklet(wait)().name = 'first'
            stackless.tasklet(wait)().name = 'second'
            stackless.run()
            os.kill(os.getpid(), 5)
        ''')
        find = 'next(t for _, _, ts in program.everything() for t in ts if t.name == "first")'
        write = ('lambda at, value: program.memory.inferior.write_memory('
                 'at, value.to_bytes(program.memory.pointer_size, program.memory.order))')
        return self.gdb('run', 'python program = Program()', f'python tasklet = {find}', f'python write = {write}',
                        f'python at = program.at; {change}', 'echo BEGIN\\n', 'stackless-tasklets', 'stackless-bt',
                        program=(self.python, '-B', program)).partition('BEGIN')[2]

    def test_damaged_list(self):
        printed = self.damaged('write(tasklet.address - at["sizeof.gc"] + at["gc._gc_next"], 0x50)')
        self.assertIn('Tasklets may be missing: the memory at 0x50 cannot be read.', printed)
        self.assertIn('"first"', printed)

    def test_damaged_frames(self):
        printed = self.damaged('write(tasklet.frame + at["frame.previous"], tasklet.frame)')
        self.assertRegex(printed, 'the frames are damaged: that at 0x[0-9a-f]* is its own caller')
        self.assertIn('"second"', printed)

    def test_damaged_code(self):
        for value, words in (0x50, 'the memory at 0x[0-9a-f]+ cannot be read'), \
                            ('tasklet.address', 'is damaged: it has no code'):
            with self.subTest(value=value):
                printed = self.damaged(f'write(tasklet.frame + at["frame.f_code"], {value})')
                self.assertRegex(printed, f'"first": blocked, .*, <.*{words}.*>')
                self.assertRegex(printed, f'  <.*{words}.*>')
                self.assertRegex(printed, r'"second": blocked, .*, in wait \(')

    def test_damaged_name(self):
        printed = self.damaged('write(program.pointer(tasklet.address + at["tasklet.extra"]) + at["extra.name"], 80)')
        self.assertIn('"<the memory at 0x60 cannot be read>"', printed)

    def test_damaged_run_queue(self):
        printed = self.damaged('write(next(iter(program.threads.values())).current + at["tasklet.next"], 0x50)')
        self.assertIn('Tasklets may be missing: the memory at', printed)
        self.assertIn('"second"', printed)

    def test_damaged_interpreter(self):
        printed = self.damaged('write(program.runtime + at["runtime.interpreters.head"], 0x50)')
        self.assertRegex(printed, 'The state of the interpreter is damaged: the memory at 0x[0-9a-f]+ cannot be read')


class TestLoading(Gdb):

    def test_auto_load(self):
        """gdb finds the commands beside the executable, and beside the library."""
        library = os.path.realpath(interpreters.library())
        for program in self.python, library:
            with self.subTest(program=program):
                trust = f'add-auto-load-safe-path {self.folder_of_ours}'
                done = interpreters.run('gdb', '-nx', '-batch', '-iex', trust, '-ex', 'help stackless-bt', program)
                self.assertIn('stackless-bt [TASKLET]', done.stdout, done.stderr)

    def test_many_objects(self):
        """Of all tasklets, a hundred frames are shown; those that the collector knows may be many."""
        program = self.script('''
            import os, stackless
            objects = [[] for _ in range(200_000)]
            channel = stackless.channel()
            def deep(n):
                channel.receive() if n == 0 else deep(n - 1)
            stackless.tasklet(deep)(300)
            stackless.run()
            os.kill(os.getpid(), 5)
        ''')
        printed = self.gdb('run', 'stackless-bt', program=(self.python, program))
        self.assertIn('  #99 deep (', printed)
        self.assertIn('\n  ...\n', printed)
        self.assertNotIn('  #100 deep (', printed)


if __name__ == '__main__':
    unittest.main()
