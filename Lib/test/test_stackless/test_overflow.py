"""C code that uses up the C stack of a tasklet: the process ends, and says which tasklet it was."""

import os
import re
import signal
import subprocess
import tempfile
import textwrap
import unittest

from . import interpreters

# repr() of a list in a list in a list ... is recursion in C alone.
PROGRAM = '''
import faulthandler, signal, sys, threading
from stackless import *
nested = []
for _ in range(200000): nested = [nested]
sys.setrecursionlimit(10 ** 8)

def overflow():
    print(hex(id(getcurrent())), file=sys.stderr, flush=True)
    repr(nested)

def outer():
    inside(overflow)

def inside(function):
    return list(map(lambda _: function(), [1]))

def use_carriers():
    t = tasklet(inside)(schedule)
    run()
'''

REPORT = r'(?s)^(0x[0-9a-f]+)\nFatal Python error: stack overflow: C code has used up the \d+ KB of C stack of ' \
         r'tasklet (0x[0-9a-f]+), which runs (\w+)\nStack \(most recent call first\):\n(.*)'


@unittest.skipIf(interpreters.SANITIZED, "AddressSanitizer needs more stack, and reports overflows itself")
class Overflow(unittest.TestCase):
    def overflow(self, program, function='outer', **env):
        """Run the program; return what it wrote after the first line of the report."""
        done = interpreters.run_python('-c', PROGRAM + textwrap.dedent(program), **interpreters.DEADLY, **env)
        self.assertEqual(done.returncode, -signal.SIGSEGV, done.stderr)
        self.assertRegex(done.stderr, REPORT)
        found = re.match(REPORT, done.stderr)
        self.assertEqual(int(found[1], 16), int(found[2], 16))
        self.assertEqual(found[3], function)
        return found[4]

    def test_in_a_tasklet(self):
        rest = self.overflow('tasklet(outer)(); run()')
        names = [line.split()[-1] for line in rest.splitlines() if line.startswith('  File')]
        self.assertEqual(names, ['overflow', '<lambda>', 'inside', 'outer'])

    def test_it_tells_the_name(self):
        for make in 'tasklet', 'type("Subclass", (tasklet,), {})':
            with self.subTest(make=make):
                done = interpreters.run_python('-c', PROGRAM + textwrap.dedent(f"""
                    t = {make}(outer)()
                    t.name = 'fetch \u20ac'
                    run()
                """), **interpreters.DEADLY)
                self.assertEqual(done.returncode, -signal.SIGSEGV, done.stderr)
                self.assertRegex(done.stderr, r" tasklet 0x[0-9a-f]+ named 'fetch \\u20ac', which runs outer\n")

    def test_a_name_that_was_taken_away_is_not_told(self):
        self.overflow('t = tasklet(outer)(); t.name = "once"; t.name = None; run()')

    def test_in_a_thread(self):
        self.overflow('''
            def work():
                tasklet(outer)()
                run()
            threading.Thread(target=work).start()
        ''')

    def test_where_advice_is_ignored(self):
        """A kernel, or what emulates one, that says yes to all advice has guards of the other kind."""
        with tempfile.TemporaryDirectory() as folder:
            source, library = os.path.join(folder, 'yes.c'), os.path.join(folder, 'yes.so')
            with open(source, 'w') as file:
                file.write('int madvise(void *address, unsigned long size, int advice) { return 0; }')
            subprocess.run(['gcc', '-shared', '-fPIC', source, '-o', library], check=True)
            self.overflow('tasklet(outer)(); run()', LD_PRELOAD=library)

    def test_faulthandler_enabled_before(self):
        rest = self.overflow('faulthandler.enable(); tasklet(outer)(); run()')
        self.assertIn('Fatal Python error: Segmentation fault', rest)

    def test_faulthandler_enabled_after(self):
        done = interpreters.run_python('-c', PROGRAM + textwrap.dedent('''
            use_carriers()
            faulthandler.enable()
            tasklet(outer)()
            run()
        '''), **interpreters.DEADLY)
        self.assertEqual(done.returncode, -signal.SIGSEGV, done.stderr)
        self.assertIn('Fatal Python error: Segmentation fault', done.stderr)
        self.assertRegex(done.stderr, r'stack overflow: C code has used up .* which runs outer')

    def test_other_faults_are_none_of_its_business(self):
        for fault in 'import ctypes; ctypes.string_at(16)', 'signal.raise_signal(signal.SIGSEGV)', \
                'import os; os.kill(os.getpid(), signal.SIGSEGV)':
            with self.subTest(fault=fault):
                done = interpreters.run_python('-c', PROGRAM + f'\nuse_carriers()\n{fault}\n',
                                               **interpreters.DEADLY)
                self.assertEqual((done.returncode, done.stderr), (-signal.SIGSEGV, ''))

    def test_the_handler_of_the_program_is_called(self):
        """One that was there before is called; one that is installed later has its way alone."""
        for program in 'signal.signal(signal.SIGSEGV, handler); use_carriers()', \
                'use_carriers(); signal.signal(signal.SIGSEGV, handler)':
            with self.subTest(program=program):
                printed = interpreters.check_python(self, '-c', PROGRAM + textwrap.dedent(f'''
                    def handler(*args): print("handled")
                    {program}
                    signal.raise_signal(signal.SIGSEGV)
                '''), **interpreters.DEADLY)
                self.assertEqual(printed, 'handled\n')


if __name__ == "__main__":
    unittest.main()
