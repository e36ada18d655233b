"""faulthandler shows the tasklets that do not run: when asked, after a while, on signals and when the process dies."""

import re
import signal
import textwrap
import unittest

from . import interpreters
from .cases import needs_soft_switches

# A program begins with it: `make(n)` blocks n tasklets, `pinned()` is one inside of a C function.
PRELUDE = '''
import ctypes, faulthandler, gc, operator, os, resource, signal, stackless, sys, threading, time
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
channel = stackless.channel()

def receive(*args):
    channel.receive()

def outer():
    receive()

def pinned():
    operator.call(receive)

def make(count, function=outer):
    tasklets = [stackless.tasklet(function)() for _ in range(count)]
    stackless.run()
    return tasklets
'''


def masked(text):
    """The report without addresses, files and line numbers."""
    text = re.sub('0x[0-9a-f]+', '0x', text)
    return re.sub(r'  File ".*", line \d+ in ', '  ', text)


class TestDumps(unittest.TestCase):

    def run_program(self, program, status=0):
        """Run it; it must end with this status.  What it wrote to stderr."""
        done = interpreters.run_python('-X', 'faulthandler', '-c', PRELUDE + textwrap.dedent(program),
                                       **interpreters.DEADLY)
        self.assertEqual(done.returncode, status, f'{done.stdout}\n{done.stderr[-3000:]}')
        return done.stderr

    def headings(self, report):
        """Without a word about pinned ones, which all are in builds that switch hard always."""
        return re.findall(r'(?m)^\w.*:$', masked(report).replace(', pinned', ''))

    @needs_soft_switches
    def test_every_state(self):
        report = self.run_program('''
            class Named(stackless.tasklet):
                pass

            Named(outer)().name = 'a "name" \\xe9'
            stackless.tasklet(pinned)()
            other = stackless.channel()
            stackless.tasklet(lambda: other.send(1))()
            stackless.run()
            paused = stackless.tasklet(lambda: stackless.schedule_remove())()
            paused.run()
            stackless.tasklet(lambda: faulthandler.dump_traceback())()
            scheduled = stackless.tasklet(outer)()
            stackless.run()
        ''')
        self.assertEqual(masked(report), textwrap.dedent('''\
            Current thread 0x (most recent call first):
              <lambda>

            Tasklet 0x (scheduled) (most recent call first):
              outer

            Main tasklet 0x (waiting in run()) (most recent call first):
              <module>

            Tasklet 0x "a "name" \\xe9" (blocked, receiving on channel 0x) (most recent call first):
              receive
              outer

            Tasklet 0x (blocked, receiving on channel 0x, pinned) (most recent call first):
              receive
              pinned

            Tasklet 0x (blocked, sending on channel 0x) (most recent call first):
              <lambda>

            Tasklet 0x (paused) (most recent call first):
              <lambda>
        '''))

    def test_addresses(self):
        """They are those of repr()."""
        report = self.run_program('''
            t = make(1)[0]
            faulthandler.dump_traceback()
            print('%x %x' % (id(t), id(channel)), file=sys.stderr)
        ''')
        *_, tasklet, channel = report.split()
        self.assertRegex(report, f'Tasklet 0x0*{tasklet} .* on channel 0x0*{channel}[,)]')

    def test_only_the_current_thread(self):
        report = self.run_program('make(1); faulthandler.dump_traceback(all_threads=False)')
        self.assertEqual(masked(report), 'Stack (most recent call first):\n  <module>\n')

    def test_deadly_signal(self):
        report = self.run_program('make(1); ctypes.string_at(0)', -signal.SIGSEGV)
        self.assertIn('Fatal Python error: Segmentation fault', report)
        self.assertRegex(masked(report), r'Tasklet 0x \(blocked, .*\n  receive\n  outer\n')

    def test_fatal_error(self):
        report = self.run_program('make(1); ctypes.pythonapi.Py_FatalError(b"so it is")', -signal.SIGABRT)
        self.assertRegex(masked(report), r'Tasklet 0x \(blocked, .*\n  receive\n  outer\n')

    def test_overflow_of_the_c_stack(self):
        """The handler's own stack is large enough."""
        report = self.run_program('make(1); faulthandler._stack_overflow()', -signal.SIGSEGV)
        self.assertRegex(masked(report), r'Tasklet 0x \(blocked, .*\n  receive\n  outer\n')

    def test_later(self):
        """Another thread of C writes it, while this one hangs in C."""
        report = self.run_program('''
            make(2)
            faulthandler.dump_traceback_later(0.2, exit=True)
            time.sleep(60)
        ''', 1)
        self.assertEqual(self.headings(report),
                         ['Thread 0x (most recent call first):',
                          *['Tasklet 0x (blocked, receiving on channel 0x) (most recent call first):'] * 2])

    def test_registered_signal(self):
        report = self.run_program('''
            make(1)
            faulthandler.register(signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
        ''')
        self.assertEqual(len(self.headings(report)), 2, report)

    def test_other_threads(self):
        """With more than one thread, it says whose tasklet it is."""
        report = self.run_program('''
            inside, leave = threading.Event(), threading.Event()

            def work():
                make(1)
                print(f'{threading.get_ident():x}', file=sys.stderr)
                inside.set()
                leave.wait()

            thread = threading.Thread(target=work)
            thread.start()
            inside.wait()
            make(1)
            faulthandler.dump_traceback()
            leave.set()
            thread.join()
        ''')
        ident, rest = report.split('\n', 1)
        threads = re.findall(r'^Tasklet .*, thread 0x0*([0-9a-f]+)\)', rest, re.MULTILINE)
        self.assertEqual(len(threads), 2, rest)
        self.assertEqual(threads.count(ident), 1, rest)

    def test_a_thread_that_is_gone(self):
        """It has taken the C stacks of its tasklets with it; the others go on to be known, without a thread."""
        report = self.run_program('''
            kept = []
            thread = threading.Thread(target=lambda: kept.extend(make(2) + make(1, pinned)))
            thread.start()
            thread.join()
            faulthandler.dump_traceback()
        ''')
        self.assertEqual(self.headings(report), ['Current thread 0x (most recent call first):'])

    def test_bound(self):
        """A hundred are shown, of blocked ones as of scheduled ones."""
        for state in 'make(101)', 'make(100); t = stackless.tasklet(outer)()', \
                     't = [stackless.tasklet(outer)() for _ in range(101)]':
            with self.subTest(state=state):
                report = self.run_program(f'{state}; faulthandler.dump_traceback()')
                self.assertEqual(report.count('\nTasklet'), 100)
                self.assertTrue(report.endswith('\n\n...\n'), report[-300:])
        report = self.run_program('make(100); faulthandler.dump_traceback()')
        self.assertEqual(report.count('\nTasklet'), 100)
        self.assertNotIn('...', report)

    def test_frozen_objects(self):
        report = self.run_program('make(1); gc.collect(); gc.freeze(); make(1); faulthandler.dump_traceback()')
        self.assertEqual(report.count('\nTasklet'), 2, report)

    def test_in_the_midst_of_a_collection(self):
        report = self.run_program('''
            class Cycle:
                def __del__(self):
                    faulthandler.dump_traceback()
            make(1)
            cycle = Cycle()
            cycle.cycle = cycle
            del cycle
            gc.collect()
        ''')
        self.assertIn('Garbage-collecting', report)

    def test_damaged_lists(self):
        """Where a list of the collector leads nowhere, the report ends, and not the process."""
        for word in 0x1000, 2 ** (8 * 8 - 1), 3, 'id(channel) + 1', 'id(int) + 3':
            with self.subTest(word=word):
                report = self.run_program(f'''
                    gc.collect()
                    gc.disable()
                    tasklets = make(2)
                    ctypes.c_size_t.from_address(id(tasklets[0]) - 16).value = {word}
                    faulthandler.dump_traceback()
                    os._exit(0)
                ''')
                self.assertEqual(self.headings(report)[0], 'Current thread 0x (most recent call first):')
                self.assertEqual(report.count('\nTasklet'), 1, report)

    def test_rings_in_lists(self):
        """Where a list comes back to one of its objects, or to the head of another list, the walk ends: a ring
        would keep it for minutes.  No tasklet is shown twice."""
        for leads_to in 'last', 'first', 'middle', 'older':
            with self.subTest(leads_to=leads_to):
                report = self.run_program(f'''
                    resource.setrlimit(resource.RLIMIT_CPU, ({interpreters.LIMIT // 8},) * 2)
                    gc.collect()
                    gc.disable()
                    tasklets = make(2)
                    # Each of them lies in pages of its own.
                    large = [(channel,) * 1000 for _ in range(100)]
                    older = large[0]
                    if {leads_to!r} == 'older':
                        gc.collect(0)
                        tasklets += make(1)
                        large += [(channel,) * 1000 for _ in range(100)]
                    first, middle, last = tasklets[0], large[50], large[-1]
                    word = ctypes.c_size_t.from_address(id(last) - 16)
                    word.value = id({leads_to}) - 16
                    faulthandler.dump_traceback()
                    os._exit(0)
                ''')
                self.assertEqual(report.count('\nTasklet'), 3 if leads_to == 'older' else 2, report)

    def test_while_everything_changes(self):
        """Reports are written without the GIL while tasklets come and go: nobody falls over that."""
        report = self.run_program('''
            out = open(os.devnull, 'w')
            end = time.monotonic() + 2
            faulthandler.dump_traceback_later(0.001, repeat=True, file=out)
            rounds = 0
            while time.monotonic() < end or rounds < 10:
                tasklets = make(200) + make(5, pinned)
                garbage = [[[] for _ in range(10)] for _ in range(1000)]
                for _ in tasklets:
                    channel.send(None)
                rounds += 1
            faulthandler.cancel_dump_traceback_later()
        ''')
        self.assertEqual(report, '')


if __name__ == '__main__':
    unittest.main()
