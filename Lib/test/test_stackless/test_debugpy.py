"""debugpy, the debugger of editors, on programs with tasklets: Debian's package, spoken to as an editor does."""

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from . import interpreters

PATIENCE = 60

# What debugpy ends with when another process was faster, or it was too slow itself.
BAD_LUCK = re.compile('Address already in use|timed out waiting for adapter')


def free_port():
    """A port that nobody has, and that the kernel gives to nobody who asks for any."""
    with open('/proc/sys/net/ipv4/ip_local_port_range') as file:
        first, last = map(int, file.read().split())
    ports = [port for port in range(1024, 2 ** 16) if not first <= port <= last]
    while True:
        with contextlib.suppress(OSError), socket.create_server(('127.0.0.1', secrets.choice(ports or [0]))) as free:
            return free.getsockname()[1]


class Editor:
    """The editor's side of the Debug Adapter Protocol."""

    def __init__(self, port, process):
        self.serial = 0
        self.unread = []
        end = time.monotonic() + PATIENCE
        while True:
            try:
                self.socket = socket.create_connection(('127.0.0.1', port))
                break
            except ConnectionRefusedError:
                if process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile('rb')

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, command, **arguments):
        self.serial += 1
        message = {'seq': self.serial, 'type': 'request', 'command': command, 'arguments': arguments}
        data = json.dumps(message).encode()
        self.socket.sendall(b'Content-Length: %d\r\n\r\n%s' % (len(data), data))
        return self.serial

    def read(self):
        size = 0
        while (line := self.file.readline()) != b'\r\n':
            if not line:
                raise EOFError('the adapter has gone')
            size = int(re.fullmatch(rb'Content-Length: (\d+)\r\n', line)[1])
        return json.loads(self.file.read(size))

    def wait(self, fits):
        """The next message that fits; the others are kept."""
        for message in self.unread:
            if fits(message):
                self.unread.remove(message)
                return message
        while not fits(message := self.read()):
            self.unread.append(message)
        return message

    def event(self, *names):
        return self.wait(lambda m: m['type'] == 'event' and m['event'] in names)

    def request(self, command, **arguments):
        """Send a request and return what is answered."""
        serial = self.send(command, **arguments)
        answer = self.wait(lambda m: m['type'] == 'response' and m['request_seq'] == serial)
        if not answer['success']:
            raise AssertionError(f'{command}: {answer.get("message")}')
        return answer.get('body')

    # --- what a user does ---

    def attach(self, file, breakpoints):
        """[{'line': n, ...}] are the breakpoints in the file."""
        self.request('initialize', adapterID='test', pathFormat='path')
        self.send('attach', justMyCode=True)
        self.event('initialized')
        placed = self.request('setBreakpoints', source={'path': file}, breakpoints=breakpoints)['breakpoints']
        assert all(breakpoint['verified'] for breakpoint in placed), placed
        self.request('configurationDone')

    def stopped(self):
        """(reason, thread) once the program has stopped; reason is None when it has ended instead."""
        event = self.event('stopped', 'terminated')
        if event['event'] == 'terminated':
            return None, None
        return event['body']['reason'], event['body']['threadId']

    def stack(self, thread):
        return self.request('stackTrace', threadId=thread)['stackFrames']

    def places(self, thread):
        return [(frame['name'], frame['line']) for frame in self.stack(thread)]

    def variables(self, frame):
        scopes = self.request('scopes', frameId=frame['id'])['scopes']
        found = self.request('variables', variablesReference=scopes[0]['variablesReference'])['variables']
        return {variable['name']: variable['value'] for variable in found}

    def threads(self):
        return {thread['name']: thread['id'] for thread in self.request('threads')['threads']}


class Debugpy(unittest.TestCase):

    def setUp(self):
        interpreters.need_package(self, 'debugpy')
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix='debugpy'))
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.file = os.path.join(self.folder, 'program.py')

    def line(self, mark):
        """The line of the program with this comment."""
        with open(self.file) as file:
            return 1 + next(i for i, line in enumerate(file) if line.rstrip().endswith('# ' + mark))

    def start(self, program, *breakpoints, listen=True):
        """Run the program with an editor at it.  Breakpoints are marks, or pairs of one and a condition."""
        with open(self.file, 'w') as file:
            file.write(textwrap.dedent(program))
        pairs = [mark if isinstance(mark, tuple) else (mark, None) for mark in breakpoints]
        places = [{'line': self.line(mark), **({'condition': condition} if condition else {})}
                  for mark, condition in pairs]
        for attempts_left in reversed(range(5)):
            with contextlib.ExitStack() as attempt:
                try:
                    self.start_once(attempt, places, listen)
                except (OSError, EOFError):
                    if not attempts_left or not self.had_bad_luck():
                        raise
                else:
                    self.addCleanup(attempt.pop_all().close)
                    break

    def start_once(self, attempt, places, listen):
        """Leave to the attempt what is to be done at its end."""
        port = free_port()
        options = ['-m', 'debugpy', '--listen', str(port), '--wait-for-client'] if listen else []
        # The adapter, a process that debugpy starts, has the same output and belongs to the same group.
        self.output = [tempfile.TemporaryFile('w+', dir=self.folder) for _ in range(2)]
        self.process = subprocess.Popen(
            [sys.executable, *options, self.file, str(port)], cwd=self.folder, stdin=subprocess.DEVNULL,
            stdout=self.output[0], stderr=self.output[1], start_new_session=True,
            env=interpreters.clean_environment(PYTHONPATH=interpreters.PACKAGES, PYDEVD_DISABLE_FILE_VALIDATION='1',
                                               DEBUGPY_PROCESS_SPAWN_TIMEOUT=str(PATIENCE)))
        attempt.callback(self.end)
        self.editor = Editor(port, self.process)
        attempt.callback(self.editor.close)
        self.editor.attach(self.file, places)

    def had_bad_luck(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)
        self.output[1].seek(0)
        return BAD_LUCK.search(self.output[1].read())

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for file in self.output:
            file.close()

    def finished(self):
        """Let the program go on to its end; what it has printed.  pydevd has nothing to complain about."""
        self.assertEqual(self.editor.stopped(), (None, None))
        status = self.process.wait(PATIENCE)
        for file in self.output:
            file.seek(0)
        printed, errors = [file.read() for file in self.output]
        self.assertEqual((status, errors), (0, ''), errors[-6000:])
        return printed

    PROGRAM = '''
        import operator, stackless, sys
        {first}

        def work(name, channel):
            first = channel.receive()       # first
            second = receive(channel)       # second
            total = first + second          # total
            return total

        def receive(channel):
            return operator.call(channel.receive)

        def send(channel):
            for n in 10, 20:
                channel.send(n)             # send

        def main():
            channel = stackless.channel()
            worker = stackless.tasklet(work)
            worker.name = 'worker'
            worker('w', channel)
            sender = stackless.tasklet(send)
            sender.name = 'sender'
            sender(channel)
            stackless.run()                 # run
            print('end')

        main()
    '''

    def test_steps_over_channels(self):
        """A breakpoint in a tasklet; `next` over what blocks, in the loop and inside of C."""
        self.start(self.PROGRAM.format(first=''), 'first')
        editor = self.editor
        reason, thread = editor.stopped()
        self.assertEqual(reason, 'breakpoint')
        self.assertEqual(editor.places(thread), [('work', self.line('first'))])
        for mark, variable, value in ('second', 'first', '10'), ('total', 'second', '20'):
            editor.request('next', threadId=thread)
            self.assertEqual(editor.stopped(), ('step', thread))
            top = editor.stack(thread)[0]
            self.assertEqual((top['name'], top['line']), ('work', self.line(mark)))
            self.assertEqual(editor.variables(top)[variable], value)
        answer = editor.request('evaluate', expression='first + second', frameId=editor.stack(thread)[0]['id'])
        self.assertEqual(answer['result'], '30')
        editor.request('continue', threadId=thread)
        self.assertEqual(self.finished(), 'end\n')

    def test_condition_in_many_tasklets(self):
        self.start('''
            import stackless

            def work(n):
                stackless.schedule()
                y = n * 2
                stackless.schedule()        # here
                return y

            for n in range(6):
                stackless.tasklet(work)(n)
            stackless.run()
            print('end')
        ''', ('here', 'n in (2, 4)'))
        for wanted in '2', '4':
            reason, thread = self.editor.stopped()
            self.assertEqual(reason, 'breakpoint')
            self.assertEqual(self.editor.variables(self.editor.stack(thread)[0])['n'], wanted)
            self.editor.request('continue', threadId=thread)
        self.assertEqual(self.finished(), 'end\n')

    PATCH = 'from _pydevd_bundle import pydevd_stackless; pydevd_stackless.patch_stackless()'

    def test_tasklets_are_shown_as_threads(self):
        """pydevd's integration of historic Stackless: each tasklet that does not run, with stack and variables."""
        self.start(self.PROGRAM.format(first=self.PATCH), 'second')
        editor = self.editor
        reason, thread = editor.stopped()
        self.assertEqual(editor.places(thread), [('work', self.line('second'))])
        threads = editor.threads()
        self.assertEqual(threads['MainThread'], thread)
        shown = {re.sub(r' \(\d+\)$', '', name): number for name, number in threads.items() if number != thread}
        self.assertEqual(set(shown), {'paused None of MainThread', 'scheduled sender of MainThread'})
        self.assertEqual([name for name, _ in editor.places(shown['paused None of MainThread'])], ['main', '<module>'])
        sender = editor.stack(shown['scheduled sender of MainThread'])
        self.assertEqual([(frame['name'], frame['line']) for frame in sender], [('send', self.line('send'))])
        self.assertEqual(editor.variables(sender[0])['n'], '10')
        self.assertEqual(editor.request('evaluate', expression='n + 1', frameId=sender[0]['id'])['result'], '11')
        editor.request('next', threadId=thread)
        self.assertEqual(editor.stopped(), ('step', thread))
        self.assertEqual(editor.places(thread), [('work', self.line('total'))])
        editor.request('continue', threadId=thread)
        self.assertEqual(self.finished(), 'end\n')

    def test_tasklets_that_run_already(self):
        """The editor comes when the tasklet waits: the schedule callback of the integration traces it from there."""
        self.start(f'''
            import debugpy, stackless, sys
            debugpy.listen(int(sys.argv[1]))
            {self.PATCH}

            def work(channel):
                got = channel.receive()
                got += 1                    # here
                return got

            channel = stackless.channel()
            stackless.tasklet(work)(channel)
            stackless.run()
            debugpy.wait_for_client()
            channel.send(5)
            print('end')
        ''', 'here', listen=False)
        reason, thread = self.editor.stopped()
        self.assertEqual(reason, 'breakpoint')
        top = self.editor.stack(thread)[0]
        self.assertEqual((top['name'], top['line']), ('work', self.line('here')))
        self.assertEqual(self.editor.variables(top)['got'], '5')
        self.editor.request('continue', threadId=thread)
        self.assertEqual(self.finished(), 'end\n')


if __name__ == '__main__':
    unittest.main()
