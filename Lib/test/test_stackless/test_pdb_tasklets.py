"""pdb in tasklets: stepping over what blocks, switches while stepping, breakpoints in many, post-mortem."""

import os
import re
import shutil
import tempfile
import textwrap
import unittest

from . import interpreters

# What programs begin with: `debugger(commands)` is a Pdb that reads these, with semicolons between them. The program
# itself begins in line 11.
PRELUDE = '''\
import io, operator, pdb, stackless, sys, threading
from stackless import channel, run, schedule, tasklet
def debugger(commands):
    d = pdb.Pdb(stdin=io.StringIO(commands.replace(';', '\\n') + '\\n'), stdout=sys.stdout, nosigint=True, readrc=False)
    d.use_rawinput, d.prompt = False, ''
    return d
def line_of(text):
    return 1 + next(i for i, line in enumerate(open(__file__)) if text in line)
'''


class Sessions(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='pdb')
        self.addCleanup(shutil.rmtree, self.folder, True)

    def session(self, program, *options, first='', commands='', errors=''):
        """What a program prints: of pdb's places, function and source line."""
        path = os.path.join(self.folder, 'program.py')
        with open(path, 'w') as file:
            file.write(PRELUDE + first + '\n' + textwrap.dedent(program))
        done = interpreters.run_python(*options, path, input=commands.replace(';', '\n') + '\n', cwd=self.folder,
                                       HOME=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, errors and done.stderr), done.stdout)
        self.assertIn(errors, done.stderr)
        text = done.stdout.replace('(Pdb) ', '')
        return re.sub(r'(?m)^[> ] \S*program\.py\(\d+\)(\S*?)(->.*)?\n-> (.*)$', r'\1: \3', text).splitlines()


class TestStepping(Sessions):

    PROGRAM = '''
        ch = channel()
        def consume(d):
            d.set_trace()
            a = receive()
            b = a + receive()
            return b
        def produce():
            for i in 10, 20:
                ch.send(i)
        tasklet(consume)(debugger('n;p a;n;p b;n;c'))
        tasklet(produce)()
        run()
        print('end')
    '''
    STEPS = ['consume(): a = receive()', 'consume(): b = a + receive()', '10', 'consume(): return b', '30',
             '--Return--', 'consume(): return b', 'end']

    def test_next_over_a_switch(self):
        """The tasklets that run meanwhile are not stepped through."""
        self.assertEqual(self.session(self.PROGRAM, first='receive = lambda: ch.receive()'), self.STEPS)

    def test_next_over_a_switch_inside_of_c(self):
        self.assertEqual(self.session(self.PROGRAM, first='receive = lambda: operator.call(lambda: ch.receive())'),
                         self.STEPS)

    def test_next_over_a_switch_inside_of_a_generator(self):
        self.assertEqual(self.session(self.PROGRAM, first='receive = lambda: next(ch.receive() for _ in [1])'),
                         self.STEPS)

    def test_step_to_the_channel(self):
        """`step` ends on the far side of a switch, in the same tasklet, since the other is not traced."""
        program = self.PROGRAM.replace("'n;p a", "'s;s;s;s")
        self.assertEqual(self.session(program, first='receive = lambda: ch.receive()'),
                         ['consume(): a = receive()', '--Call--', '<lambda>(): receive = lambda: ch.receive()',
                          '<lambda>(): receive = lambda: ch.receive()', '--Return--',
                          '<lambda>(): receive = lambda: ch.receive()', 'consume(): b = a + receive()',
                          'consume(): return b', '30', '--Return--', 'consume(): return b', 'end'])

    def test_two_debuggers(self):
        """Each tasklet has its own; they take turns with the tasklets."""
        printed = self.session('''
            def work(name, d):
                d.set_trace()
                x = name
                schedule()
                y = x + x
                schedule()
            tasklet(work)('a', debugger('n;n;p x;n;p y;c'))
            tasklet(work)('b', debugger('n;p x;n;n;n;c'))
            run()
        ''')
        lines = ['work(): x = name', 'work(): schedule()', 'work(): y = x + x', 'work(): schedule()']
        self.assertEqual(printed, [
            *lines[:2],                         # a
            *lines[:2], "'b'",                  # b
            lines[2], "'a'", lines[3], "'aa'",  # a, which goes on
            *lines[2:], '--Return--', lines[3]])

    def one_debugger(self, commands):
        """Two tasklets with one debugger, which is to stop at the first line of either."""
        return self.session(f'''
            def work(name):
                x = name
                schedule()
                return x
            d = debugger({commands!r})
            d.reset()
            d.botframe = sys._getframe()    # it has begun, as with d.runcall()
            d.set_break(__file__, line_of('x = name'))
            for name in 'a', 'b':
                t = tasklet(work)(name)
                t.trace_function = d.trace_dispatch
            d.set_continue()
            run()
        ''')

    def test_next_with_one_debugger_in_two(self):
        """`next` waits for the function in which it was typed, unless there is a breakpoint on the way."""
        self.assertEqual(self.one_debugger('n;cl 1;n;p x;c'), [
            'work(): x = name', 'work(): schedule()', f'Deleted breakpoint 1 at {self.folder}/program.py:12',
            'work(): return x', "'a'"])
        self.assertEqual(self.one_debugger('n;n;p name;c'), [
            'work(): x = name', 'work(): schedule()', 'work(): x = name', "'b'"])

    def test_step_with_one_debugger_in_two(self):
        """`step` goes where the next line is, and so from one tasklet to the other."""
        self.assertEqual(self.one_debugger('s;s;s;s;p x;s;p x;s;s;p x;c'), [
            'work(): x = name', 'work(): schedule()',
            '--Call--', 'work(): def work(name):', 'work(): x = name', 'work(): schedule()', "'b'",
            'work(): return x', "'a'", '--Return--', 'work(): return x',
            'work(): return x', "'b'"])

    def test_breakpoint_in_tasklets(self):
        """breakpoint(), with commands from the standard input."""
        printed = self.session('''
            def work(n):
                breakpoint()
                y = n * 2
                schedule()
                return y
            for n in 1, 2:
                tasklet(work)(n)
            run()
            print('end')
        ''', commands='n;p y;n;p y;c;c')
        self.assertEqual(printed, [
            'work(): y = n * 2', 'work(): schedule()', '2',
            'work(): y = n * 2',                # the second comes to its breakpoint() meanwhile
            "*** NameError: name 'y' is not defined", 'work(): return y', 'end'])

    def test_where(self):
        """The stack is the tasklet's alone, and has nothing of ours."""
        printed = self.session('''
            def inner(d):
                schedule()
                d.set_trace()
                return 1
            def outer(d):
                return operator.call(inner, d)
            tasklet(outer)(debugger('w;up;p list(locals());up;down;c'))
            run()
        ''')
        stack = ['outer(): return operator.call(inner, d)', 'inner(): return 1']
        self.assertEqual(printed, [stack[1], *stack, stack[0], "['d']", '*** Oldest frame', stack[1]])

    def test_jump_and_until(self):
        printed = self.session('''
            def work(d):
                d.set_trace()
                log = []
                for i in range(3):
                    schedule()
                    log.append(i)
                log.append('after')
                log.append('skipped')
                print(log)
            tasklet(work)(debugger('n;n;unt 17;j 18;c'))
            run()
        ''')
        self.assertEqual(printed, [
            'work(): log = []', 'work(): for i in range(3):', 'work(): schedule()', "work(): log.append('after')",
            "work(): log.append('skipped')", "[0, 1, 2, 'skipped']"])

    def test_quit(self):
        """BdbQuit goes where the errors of tasklets go; the other tasklets live."""
        printed = self.session('''
            import bdb
            def work(d):
                d.set_trace()
                schedule()
                print('not reached')
            tasklet(work)(debugger('n;q'))
            other = tasklet(lambda: [schedule(), print('other')])()
            try:
                run()
            except bdb.BdbQuit:
                print('quit')
            run()
        ''')
        self.assertEqual(printed, ['work(): schedule()', "work(): print('not reached')", 'quit', 'other'])

    def test_commands_that_switch(self):
        """What is typed may send, receive and schedule, inside of the trace function."""
        printed = self.session('''
            ch = channel()
            def other():
                print('other has', ch.receive())
                ch.send('an answer')
            def work(d):
                x = 1
                d.set_trace()
                x = 2
                return x
            tasklet(other)()
            tasklet(work)(debugger('!ch.send(x);p ch.receive();!_ = schedule();n;p x;c'))
            run()
            print('end')
        ''')
        self.assertEqual(printed, ['work(): x = 2', 'other has 1', "'an answer'", 'work(): return x', '2', 'end'])

    def test_a_tasklet_that_is_killed_while_stepped(self):
        printed = self.session('''
            def work(d):
                try:
                    d.set_trace()
                    schedule()
                    print('not reached')
                finally:
                    x = 'cleared up'
                    print(x)
            t = tasklet(work)(debugger('n;n;n;c'))
            t.run()
            t.kill()
            print('end')
        ''')
        self.assertEqual(printed, ['work(): schedule()', 'TaskletExit', 'work(): schedule()',
                                   "work(): x = 'cleared up'", 'work(): print(x)', 'cleared up', 'end'])

    def test_a_tasklet_that_runs_already(self):
        """A debugger is put on one that sleeps: by trace_function, and f_trace of its frames."""
        printed = self.session('''
            def inner():
                schedule()
                x = 1
                return x
            def outer():
                y = inner()
                return y + 1
            t = tasklet(outer)()
            t.run()
            d = debugger('n;n;n;p y;c')
            d.reset()
            d.set_step()
            t.trace_function = d.trace_dispatch
            frame = t.frame
            while frame is not None:
                frame.f_trace = d.trace_dispatch
                d.botframe = frame
                frame = frame.f_back
            run()
            print(sys.gettrace())
        ''')
        self.assertEqual(printed, ['inner(): x = 1', 'inner(): return x', '--Return--', 'inner(): return x',
                                   'outer(): return y + 1', '1', 'None'])


class TestBreakpoints(Sessions):

    def test_condition_in_many_tasklets(self):
        printed = self.session('''
            def work(n):
                schedule()
                y = n * 2
                schedule()
                return y
            def main():
                for n in range(5):
                    tasklet(work)(n)
                run()
            d = debugger('c;p n;c;p n;n;n;p y;c')
            d.set_break(__file__, line_of('y = n * 2'), cond='n in (2, 4)')
            threading.settrace(d.trace_dispatch)
            d.runcall(main)
        ''')
        self.assertEqual(printed, ['main(): for n in range(5):', 'work(): y = n * 2', '2', 'work(): y = n * 2', '4',
                                   'work(): schedule()', 'work(): return y', '8'])

    def test_ignored_and_temporary(self):
        """Counts are those of the function, whichever tasklet runs it."""
        printed = self.session('''
            def work(n):
                schedule()
                y = n
            def main():
                for n in range(4):
                    tasklet(work)(n)
                run()
            d = debugger('ignore 1 2;tbreak 12;c;p n;c;p n;c;p n;c')
            d.set_break(__file__, line_of('y = n'))
            threading.settrace(d.trace_dispatch)
            d.runcall(main)
        ''')
        self.assertEqual([line for line in printed if line.isdigit()], ['0', '2', '3'])

    def test_run_as_a_module(self):
        """python -m pdb stops in tasklets once threading.settrace() is told, as it does in threads."""
        program = '''
            def work(n):
                schedule()
                return n
            for n in range(3):
                tasklet(work)(n)
            run()
            print('end')
        '''
        trace = '!threading.settrace(sys.gettrace())'
        printed = self.session(program, '-m', 'pdb', commands=f'b 14;c;{trace};cl 1;b 13, n == 1;c;p n;c;q')
        at = printed.index('<module>(): for n in range(3):')
        self.assertEqual(printed[at + 2:at + 6],
                         [f'Breakpoint 2 at {self.folder}/program.py:13', 'work(): return n', '1', 'end'])
        self.assertNotIn('work(): return n', self.session(program, '-m', 'pdb', commands='b 13;c;q'))


class TestPostMortem(Sessions):

    FAILS = '''
        def inner(n):
            schedule()
            return 1 / n
        def outer(n):
            deep = 'outer'
            return operator.call(inner, n)
        tasklet(outer)(0)
    '''

    def after_error(self, how, commands='w;p n;up;p deep;q'):
        program = [textwrap.dedent(self.FAILS), f'd = debugger({commands!r})\n', textwrap.dedent(how)]
        printed = self.session(''.join(program))
        text = '\n'.join(printed)
        self.assertIn("inner(): return 1 / n\n0\nouter(): return operator.call(inner, n)\n'outer'", text)
        return text

    def test_error_that_run_raised(self):
        text = self.after_error('''
            try:
                run()
            except ZeroDivisionError as error:
                d.reset()
                d.interaction(None, error.__traceback__)
        ''')
        self.assertIn('<module>(): run()', text)

    def test_in_the_error_handler(self):
        """The debugger stands in the tasklet that has failed, and main is not in its stack."""
        text = self.after_error('''
            def handler(kind, value, traceback):
                d.reset()
                d.interaction(None, traceback)
                print('handled', stackless.current.is_main)
            stackless.set_error_handler(handler)
            run()
        ''')
        self.assertNotIn('run()', text)
        self.assertIn('handled False', text)

    def test_module(self):
        """python -m pdb enters it for the error of a tasklet that nobody catches."""
        printed = self.session(textwrap.dedent(self.FAILS) + 'run()\n', '-m', 'pdb', commands='c;p n;up;p deep;q;q',
                               errors='ZeroDivisionError')
        self.assertIn('Uncaught exception. Entering post mortem debugging', printed)
        self.assertIn("'outer'", printed)
        self.assertIn('0', printed)


class TestTraceFunctions(Sessions):
    """Each tasklet has its own, whatever the others do."""

    def test_lines_of_each(self):
        """Three trace functions in three tasklets that switch at every line: each sees the lines of its own."""
        self.assertEqual(self.session('''
            def work(tracer, switch):
                sys.settrace(tracer)
                inner(switch)
                sys.settrace(None)
            def inner(switch):
                a = 1
                switch()
                for i in range(2):
                    switch()
                return a
            def tracer_for(log):
                def tracer(frame, event, arg):
                    if frame.f_code is inner.__code__:
                        log.append((event[0], frame.f_lineno - inner.__code__.co_firstlineno))
                        assert sys.gettrace() is tracer and stackless.current.trace_function is tracer
                    return tracer
                return tracer
            logs = [[] for _ in range(4)]
            for log, switch in zip(logs, [schedule, lambda: operator.call(schedule), schedule]):
                tasklet(work)(tracer_for(log), switch)
            plain = tasklet(inner)(lambda: [schedule(), logs[3].append(sys.gettrace())])
            run()
            assert logs[0] == logs[1] == logs[2], logs
            print(*logs[0])
            print(logs[3])
        '''), ["('c', 0) ('l', 1) ('l', 2) ('l', 3) ('l', 4) ('l', 3) ('l', 4) ('l', 3) ('l', 5) ('r', 5)",
               '[None, None, None]'])

    def test_tracer_that_switches(self):
        """A trace function may switch itself: the tasklet waits in the midst of the event."""
        self.assertEqual(self.session('''
            def work(log):
                x = 1
                log.append(x)
                return x
            def tracer(frame, event, arg):
                if frame.f_code is work.__code__:
                    schedule()
                    log.append(event)
                return tracer
            log = []
            t = tasklet(work)(log)
            t.trace_function = tracer
            tasklet(lambda: [schedule() and log.append('other') for _ in range(3)])()
            run()
            print(*log)
        '''), ['call other line other line 1 other line return'])

    def test_interrupted_by_the_watchdog(self):
        """A tasklet that is interrupted again and again has the same events as one that is not."""
        self.assertEqual(self.session('''
            def work():
                total = 0
                for i in range(50):
                    total += i
                return total
            def events(timeout):
                log = []
                def tracer(frame, event, arg):
                    if frame.f_code is work.__code__:
                        log.append((event, frame.f_lineno, arg))
                    return tracer
                t = tasklet(work)()
                t.trace_function = tracer
                interruptions = 0
                while t.alive:
                    interrupted = run(timeout)
                    if interrupted is not None:
                        interruptions += 1
                        interrupted.insert()
                return log, interruptions
            whole, none = events(0)
            parts, many = events(20)
            print(whole == parts, none, many > 10, len(whole))
        '''), ['True 0 True 105'])


if __name__ == '__main__':
    unittest.main()
