"""An extension written for historic Stackless compiles unchanged, and does what it did there."""

import importlib.util
import os
import shutil
import subprocess
import tempfile
import unittest

from stackless import channel, getcurrent, run, schedule, tasklet

from . import interpreters
from .cases import LeavesNoTasklets, needs_soft_switches

NAME = 'historic_extension'


class Historic(LeavesNoTasklets, unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix='historic')
        cls.addClassCleanup(shutil.rmtree, folder, True)
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), NAME + '.c')
        path = os.path.join(folder, NAME + '.so')
        flags = subprocess.run([interpreters.config_script(), '--includes'], capture_output=True, text=True,
                               check=True).stdout.split()
        # The headers of historic Stackless defined STACKLESS; CPython's do not.
        done = subprocess.run([*interpreters.compiler(), '-shared', '-fPIC', '-O2', '-Wall', '-Werror', '-DSTACKLESS',
                               *flags, source, '-o', path], capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(done.stderr)
        spec = importlib.util.spec_from_file_location(NAME, path)
        cls.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(cls.module)

    def test_spawn(self):
        results = []
        t = self.module.spawn(results.append, 42)
        self.assertTrue(t.scheduled)
        run()
        self.assertEqual(results, [42])
        with self.assertRaisesRegex(TypeError, 'must be callable'):
            self.module.spawn(42)

    def test_wait(self):
        ch, got = channel(), []
        tasklet(lambda: got.append(self.module.wait(ch)))()
        run()
        ch.send('value')
        tasklet(ch.send)('from C')
        got += map(self.module.wait, [ch])
        self.assertEqual(got, ['value', 'from C'])
        with self.assertRaisesRegex(TypeError, 'wants a channel'):
            self.module.wait(42)
        run()

    @needs_soft_switches
    def test_wait_is_soft(self):
        ch = channel()
        t = tasklet(lambda: self.module.wait(ch))()
        run()
        self.assertEqual((t.blocked, t.nesting_level), (True, 0))
        ch.send(None)

    @needs_soft_switches
    def test_relay(self):
        """Its first switch keeps the C stack, its second one does not."""
        source, target = channel(), channel()
        t = tasklet(lambda: self.module.relay(source, target))()
        run()
        self.assertEqual(t.nesting_level, 1)
        source.send('value')
        run()
        self.assertEqual((t.blocked, t.nesting_level), (True, 0))
        self.assertEqual(target.receive(), 'value')
        run()
        with self.assertRaises(TypeError):
            self.module.relay(source, 42)

    def test_apply(self):
        ch, got = channel(), []
        tasklet(lambda: got.append(self.module.apply(ch.receive)))()
        tasklet(lambda: got.append(self.module.apply(lambda: ch.receive())))()
        run()
        ch.send(1)
        ch.send(2)
        self.assertEqual(got, [1, 2])
        with self.assertRaises(ZeroDivisionError):
            self.module.apply(lambda: 1 / 0)

    def test_pump(self):
        def spin():
            while not done:
                pass

        done = []
        t = tasklet(spin)()
        self.assertEqual(self.module.pump(1000), 2)
        self.assertTrue(t.scheduled)
        done.append(1)
        self.assertEqual(self.module.pump(0), 1)

    def test_fast_callback(self):
        self.module.counted()
        tasklet(schedule)()
        run()
        self.assertEqual(self.module.counted(), 2)
        self.assertFalse(getcurrent().paused)


if __name__ == '__main__':
    unittest.main()
