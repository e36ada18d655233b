"""Programs that embed Debian's libpython3.11.so.1.0 run unchanged on ours: gdb, vim, uWSGI."""

import http.client
import os
import shutil
import socket
import subprocess
import tempfile
import textwrap
import unittest

from . import interpreters

# Says in the embedding program whether it runs on our library.
OURS = '''
import os, stackless, sys
with open('/proc/self/maps') as maps:
    libraries = {line.split()[-1] for line in maps if 'libpython3' in line}
assert libraries == {%r}, libraries
'''

# For vim, which does not print without a terminal.
SAY = '''
import vim

def say(*words):
    with open('said', 'a') as file:
        print(*words, file=file)
'''


def library_path():
    """The environment in which the dynamic linker finds our library instead of the system's."""
    return {'LD_LIBRARY_PATH': os.path.dirname(interpreters.library()), **interpreters.EMBEDDED}


@unittest.skipIf(interpreters.SANITIZED, 'a program without AddressSanitizer cannot load a library with it')
class DropIn(unittest.TestCase):
    program = None   # what has to be installed

    @classmethod
    def setUpClass(cls):
        if cls.program is None:
            raise unittest.SkipTest('for subclasses')
        if shutil.which(cls.program) is None:
            if interpreters.BUILDDIR is not None:
                raise AssertionError(f'{cls.program} is not installed')
            raise unittest.SkipTest(f'there is no {cls.program}')
        cls.folder = tempfile.mkdtemp(prefix='dropin')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)

    def script(self, source):
        """A file with this Python source, which first checks that it runs on our library."""
        path = os.path.join(self.folder, 'script.py')
        with open(path, 'w') as file:
            file.write(OURS % os.path.realpath(interpreters.library()) + textwrap.dedent(source))
        return path

    def output(self, *command):
        """What the program prints on our library; it must end well and without errors."""
        done = interpreters.run(*command, cwd=self.folder, **library_path())
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        return done.stdout


class TestGdb(DropIn):
    """gdb is written in C++, and what Python code raises passes its frames as C++ exceptions."""

    program = 'gdb'

    def gdb(self, source):
        return self.output('gdb', '-nx', '-batch', '-x', self.script(source))

    def test_one_line(self):
        line = 'python import stackless; stackless.tasklet(print)("hello"); stackless.run()'
        self.assertEqual(self.output('gdb', '-nx', '-batch', '-ex', line), 'hello\n')

    def test_tasklets_evaluate(self):
        printed = self.gdb('''
            channel = stackless.channel()

            def square(n):
                channel.send(int(gdb.parse_and_eval(f'{n} * {n}')))

            for n in range(100):
                stackless.tasklet(square)(n)
            print(sum(channel.receive() for n in range(100)))
        ''')
        self.assertEqual(printed, f'{sum(n * n for n in range(100))}\n')

    def test_functions_wait_inside_of_expressions(self):
        """Two tasklets wait in the midst of gdb's evaluator at once, and go on in the other order."""
        printed = self.gdb('''
            channels = [stackless.channel(), stackless.channel()]

            class Wait(gdb.Function):
                def invoke(self, n):
                    return channels[int(n)].receive()

            Wait('wait')

            def evaluate(n):
                print(n, int(gdb.parse_and_eval(f'$wait({n}) + 1')))

            for n in range(2):
                stackless.tasklet(evaluate)(n)
            stackless.run()
            assert [channel.balance for channel in channels] == [-1, -1]
            channels[0].send(10)
            channels[1].send(20)
            stackless.run()
        ''')
        self.assertEqual(printed, '0 11\n1 21\n')

    def test_errors_pass_cpp_frames(self):
        printed = self.gdb('''
            channel = stackless.channel()

            class Fail(gdb.Function):
                def invoke(self, n):
                    channel.receive()
                    raise gdb.GdbError(f'no {n}')

            Fail('fail')

            def evaluate(n):
                try:
                    gdb.parse_and_eval(f'$fail({n})')
                except gdb.error as error:
                    print(error)

            for n in range(3):
                stackless.tasklet(evaluate)(n)
            stackless.run()
            for n in range(3):
                channel.send(None)
            stackless.run()
        ''')
        self.assertEqual(printed, ''.join(f'no {n}\n' for n in range(3)))

    def test_tasklets_are_left_when_gdb_ends(self):
        self.gdb('''
            import operator
            channel = stackless.channel()
            stackless.tasklet(channel.receive)()
            stackless.tasklet(operator.call)(channel.receive)
            stackless.run()
            never = stackless.tasklet(print)('never')
        ''')


class TestVim(DropIn):
    program = 'vim.nox'

    def vim(self, source, *commands):
        """What the script writes with say()."""
        script = self.script(SAY + textwrap.dedent(source))
        path = os.path.join(self.folder, 'said')
        with open(path, 'w'):
            pass
        self.output('vim.nox', '-u', 'NONE', '-i', 'NONE', '-n', '-es', '-c', f'py3file {script}',
                    *(word for command in commands for word in ('-c', command)), '-c', 'qall!')
        with open(path) as file:
            return file.read()

    def test_tasklets_edit(self):
        said = self.vim('''
            channel = stackless.channel()

            def write():
                while True:
                    vim.current.buffer.append(channel.receive())

            stackless.tasklet(write)()
            stackless.run()
        ''', 'py3 channel.send("first")', 'py3 channel.send("second")', 'py3 say(*vim.current.buffer[1:])')
        self.assertEqual(said, 'first second\n')

    def test_wait_inside_of_an_expression_of_vim(self):
        said = self.vim('''
            channel = stackless.channel()

            def evaluate():
                say(vim.eval('1 + py3eval("channel.receive()")'))

            stackless.tasklet(evaluate)()
            stackless.run()
            channel.send(41)
            stackless.run()
        ''')
        self.assertEqual(said, '42\n')


class TestUwsgi(DropIn):
    """Requests are handled by tasklets: one waits for the other in each thread of the server."""

    program = 'uwsgi-core'
    application = '''
        def application(environ, start_response):
            channel = stackless.channel()

            def compute(n):
                stackless.schedule()
                channel.send(n * n)

            for n in range(int(environ['QUERY_STRING'])):
                stackless.tasklet(compute)(n)
            start_response('200 OK', [('Content-Type', 'text/plain')])

            def body():
                for n in range(int(environ['QUERY_STRING'])):
                    yield b'%d\\n' % channel.receive()

            return body()
    '''

    def serve(self, *options):
        """Start the server; the path of its socket."""
        path = os.path.join(self.folder, 'socket')
        server = subprocess.Popen(
            ['uwsgi-core', '--plugin', 'python3', '--http-socket', path, '--master', '--die-on-term',
             '--need-app', '--disable-logging', '--wsgi-file', self.script(self.application), *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=self.folder, env=interpreters.clean_environment(**library_path()))
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.terminate)
        printed = []
        for line in server.stdout:
            printed.append(line)
            if line.startswith('spawned uWSGI worker'):
                return path
        self.fail(f'the server did not start:\n{"".join(printed)}')

    def get(self, path, query):
        """The body of the answer."""
        connection = http.client.HTTPConnection('localhost', timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(path)
        try:
            connection.request('GET', f'/?{query}')
            answer = connection.getresponse()
            self.assertEqual(answer.status, 200)
            return answer.read().decode()
        finally:
            connection.close()

    def check(self, *options):
        path = self.serve(*options)
        for count in 1, 10, 1000, 0:
            self.assertEqual(self.get(path, count), ''.join(f'{n * n}\n' for n in range(count)))

    def test_one_thread(self):
        self.check()

    def test_several_threads(self):
        self.check('--enable-threads', '--threads', '3')


if __name__ == '__main__':
    unittest.main()
