"""The programs in examples/embed, which embed Python, build with pkg-config and do what they say."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from . import interpreters
from .cases import crowd, needs_soft_switches
from .test_examples import EXAMPLES

GAME = EXAMPLES / 'embed' / 'game'
SERVER = EXAMPLES / 'embed' / 'server'

# How many play in tests that run all scripts to their end.
MANY = crowd(10_000)

RESULT = re.compile(r'tick (\d+), (\d+) actors, (\d+) runnable, (\d+) blocked, world ([0-9a-f]{16})\n\Z')


def pkg_config():
    """The environment in which pkg-config finds our files."""
    folder = os.path.dirname(interpreters.library())
    return {'PKG_CONFIG_PATH': folder if interpreters.BUILDDIR else os.path.join(folder, 'pkgconfig')}


def has_sdl():
    return subprocess.run(['pkg-config', '--exists', 'sdl2']).returncode == 0


class EmbedExample(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='embed')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)

    def output(self, *command, status=0, errors='', **env):
        """What a command prints, which must end with this status and these errors."""
        done = interpreters.run(*map(str, command), cwd=self.folder, **interpreters.EMBEDDED, **env)
        self.assertEqual((done.returncode, done.stderr), (status, errors), done.stdout)
        return done.stdout

    def path(self, name):
        return os.path.join(self.folder, name)

    @classmethod
    def make(cls, source, *options):
        """Build the example in this folder of ours with its own Makefile."""
        flags = interpreters.run(interpreters.config_script(), '--embed', '--ldflags').stdout.strip()
        done = interpreters.run('make', '-C', str(source), f'BUILD={cls.folder}', f'LDFLAGS={flags}',
                                f'CC={" ".join(interpreters.compiler())}', '-B', *options, **pkg_config())
        if done.returncode != 0 or done.stderr:
            raise AssertionError(f'{done.stdout}\n{done.stderr}')


class TestHello(EmbedExample):
    def test_ten_lines(self):
        flags = self.output('pkg-config', '--cflags', '--libs', 'stackless-embed', **pkg_config()).split()
        sanitized = [flag for flag in self.output(interpreters.config_script(), '--embed', '--ldflags').split()
                     if flag.startswith('-fsanitize')]
        self.output(*interpreters.compiler(), EXAMPLES / 'embed' / 'hello.c', '-o', self.path('hello'), *flags,
                    *sanitized)
        self.assertEqual(self.output(self.path('hello')), 'hello from Ada\nhello from Grace\n')


class TestGame(EmbedExample):
    """The game without a window. With --budget 0 the scripts of each tick run until all wait."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.game = os.path.join(cls.folder, 'game')
        cls.make(GAME, 'SDL=')

    def play(self, *options):
        """(tick, actors, runnable, blocked, checksum) at the end, and what was printed before."""
        printed = self.output(self.game, '--headless', *options)
        match = RESULT.search(printed)
        self.assertTrue(match, printed)
        return (*map(int, match.groups()[:4]), match[5]), printed[:match.start()]

    def state(self, *options):
        return self.play('--budget', '0', *options)[0]

    def test_the_same_game_every_time(self):
        town = '--actors', MANY, '--ticks', 200
        first = self.state(*town)
        self.assertEqual(first[:4], (200, MANY, 0, MANY))
        self.assertEqual(self.state(*town), first)
        self.assertNotEqual(self.state(*town, '--seed', '2')[4], first[4])

    @needs_soft_switches
    def test_a_saved_game_goes_on_in_another_process(self):
        town = '--actors', crowd(2_000)
        through = self.state(*town, '--ticks', '1500')
        halfway = self.state(*town, '--ticks', '700', '--save', self.path('saved'))
        self.assertNotEqual(halfway[4], through[4])
        self.assertEqual(self.state('--load', self.path('saved'), '--ticks', '700'), halfway)
        self.assertEqual(self.state('--load', self.path('saved'), '--ticks', '1500'), through)

    @needs_soft_switches
    def test_a_saved_game_keeps_who_had_no_time(self):
        tick, actors, runnable, blocked, checksum = self.play(
            '--actors', MANY, '--ticks', '1', '--budget', '0.000001', '--save', self.path('busy'))[0]
        self.assertGreater(runnable, 0)
        self.assertEqual(runnable + blocked, MANY)
        self.assertEqual(actors, MANY)
        self.assertEqual(self.state('--load', self.path('busy'), '--ticks', '300')[:4], (300, actors, 0, actors))

    def test_a_budget_interrupts_scripts(self):
        (_, actors, runnable, blocked, _), lines = self.play('--ticks', '60', '--budget', '0.000001', '--profile')
        self.assertGreater(runnable, 0)
        self.assertEqual(runnable + blocked, actors)
        self.assertRegex(lines, r'\Atick 60: 10000 tasklets, \d+ switches, [\d.]+ ms a frame, '
                                r'overshoot [\d.]+ ms, \d+ left over, stopped: (villager|baker|guard) \d+\n\Z')

    def test_reloaded_behaviours_count_from_the_next_day_on(self):
        town = '--actors', '500', '--ticks', '1500'
        changed = self.path('changed.py')
        source = (GAME / 'scripts' / 'behaviours.py').read_text()
        with open(changed, 'w') as file:
            file.write(source)
        plain = self.state(*town)
        self.assertEqual(self.state(*town, '--reload', changed + '@300'), plain)
        self.assertIn('me.earn(2)', source)
        with open(changed, 'w') as file:
            file.write(source.replace('me.earn(2)', 'me.earn(3)'))
        reloaded = self.state(*town, '--reload', changed + '@300')
        self.assertEqual(reloaded[:4], plain[:4])
        self.assertNotEqual(reloaded[4], plain[4])

    def test_options(self):
        hint = 'see the head of game.c for the options\n'
        for options, problem in ((['--bogus'], 'there is no option --bogus'),
                                 (['--headless'], '--headless needs --ticks'),
                                 (['--ticks', 'x'], 'a number that is not negative has to follow --ticks'),
                                 (['--save'], 'a file has to follow --save')):
            self.output(self.game, *options, status=2, errors=f'game: {problem}\n{hint}')

    def test_a_damaged_save_is_refused(self):
        with open(self.path('damaged'), 'wb') as file:
            file.write(b'nothing')
        done = interpreters.run(self.game, '--headless', '--ticks', '9', '--load', self.path('damaged'),
                                **interpreters.EMBEDDED)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('UnpicklingError', done.stderr)

    @unittest.skipUnless(has_sdl(), 'SDL2 (libsdl2-dev) is not installed')
    def test_with_a_window(self):
        self.addClassCleanup(self.make, GAME, 'SDL=')
        self.make(GAME)
        self.output(self.game, '--actors', '100', '--ticks', '70', '--picture', self.path('picture.bmp'),
                    SDL_VIDEODRIVER='dummy')
        with open(self.path('picture.bmp'), 'rb') as file:
            picture = file.read()
        self.assertEqual(picture[:2], b'BM')
        self.assertGreaterEqual(len(set(picture[200::4])), 4)   # ground, walkers, sleepers, bar


class Client:
    """One who talks with the server."""

    def __init__(self, test, port):
        self.socket = socket.create_connection(('127.0.0.1', port), timeout=60)
        test.addCleanup(self.socket.close)
        self.file = self.socket.makefile('r', encoding='utf-8')
        test.addCleanup(self.file.close)

    def say(self, *lines):
        self.socket.sendall(''.join(f'{line}\n' for line in lines).encode())

    def hear(self, count=1):
        return [self.file.readline().rstrip('\n') for n in range(count)]


class TestServer(EmbedExample):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make(SERVER)

    def serve(self, *options):
        """Start the server; its port."""
        self.server = subprocess.Popen(
            [self.path('server'), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=interpreters.clean_environment(**interpreters.EMBEDDED))
        self.addCleanup(self.server.communicate)
        self.addCleanup(self.server.kill)
        return int(self.server.stdout.readline().rpartition(':')[2])

    def enter(self, port, name):
        client = Client(self, port)
        client.say(name)
        self.assertEqual(client.hear(2), ['your name?', f'{name} is here'])
        return client

    def end(self, errors=''):
        """End the server as an administrator does."""
        self.server.send_signal(signal.SIGTERM)
        _, printed = self.server.communicate(timeout=120)
        self.assertEqual(self.server.returncode, 0, printed)
        self.assertRegex(printed, errors or r'\A\Z')

    def test_clients_of_all_threads_hear_each_other(self):
        port = self.serve('--threads', '3')
        clients = []
        for n in range(12):
            clients.append(self.enter(port, f'client{n}'))
            for client in clients[:-1]:
                self.assertEqual(client.hear(), [f'client{n} is here'])
        clients[0].say('hello', 'how are you', 'é' * 30000)
        for client in clients:
            self.assertEqual(client.hear(3), ['client0: hello', 'client0: how are you', 'client0: ' + 'é' * 30000])
        clients[1].say('/quit')
        self.assertEqual(clients[1].hear(2), ['goodbye', ''])
        clients[2].socket.shutdown(socket.SHUT_WR)
        self.assertEqual(clients[0].hear(2), ['client1 is gone', 'client2 is gone'])
        clients[0].say('/who')
        self.assertEqual(clients[0].hear(), [' '.join(sorted(f'client{n}' for n in (0, *range(3, 12))))])
        self.end()
        for client in clients[3:]:
            self.assertTrue(client.file.read().endswith('goodbye\n'))

    def test_one_that_computes_does_not_stop_the_others(self):
        port = self.serve('--threads', '1', '--budget', '1')
        spinner, other = self.enter(port, 'spinner'), self.enter(port, 'other')
        self.assertEqual(spinner.hear(), ['other is here'])
        spinner.say('/spin')
        other.say('hello', 'are you busy?')
        self.assertEqual(other.hear(2), ['other: hello', 'other: are you busy?'])
        other.say('/stop')
        self.assertEqual(spinner.hear(3), ['other: hello', 'other: are you busy?', 'interrupted'])
        self.end()

    def test_errors_end_one_conversation(self):
        port = self.serve('--threads', '1')
        failing, other = self.enter(port, 'failing'), self.enter(port, 'other')
        failing.say('/fail')
        self.assertEqual(failing.hear(3), ['other is here', 'goodbye', ''])
        self.assertEqual(other.hear(), ['failing is gone'])
        self.end(r'ValueError: failing said so\n\Z')

    def test_many_that_come_and_go(self):
        port = self.serve('--threads', '2')
        for n in range(300):
            client = Client(self, port)
            client.say(f'visitor{n % 7}', '/quit')
            self.assertEqual(client.hear(4), ['your name?', f'visitor{n % 7} is here', 'goodbye', ''])
        left = [Client(self, port) for n in range(100)]
        self.assertEqual([client.hear() for client in left], [['your name?']] * 100)
        self.end()


if __name__ == '__main__':
    unittest.main()
