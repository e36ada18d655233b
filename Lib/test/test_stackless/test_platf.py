"""The switch between C stacks (Stackless/platf): the file of this machine, and those of other architectures as far as
cross compilers and qemu-user are installed (`make test-platf` tells what is missing)."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

from . import interpreters


def load_tool():
    """Import Tools/testing/platf.py, which lies in the source tree alone."""
    path = os.path.join(interpreters.SRCDIR, 'Tools', 'testing', 'platf.py')
    spec = importlib.util.spec_from_file_location('platf', path)
    module = sys.modules['platf'] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@unittest.skipUnless(interpreters.SRCDIR, 'needs the source tree')
class SwitchFiles(unittest.TestCase):
    """Tools/testing/platf_test.c with each of the files."""

    @classmethod
    def setUpClass(cls):
        cls.tool = load_tool()
        cls.ways = cls.tool.ways(interpreters.SRCDIR)
        cls.folder = tempfile.mkdtemp(prefix='platf')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)

    def test_this_machine(self):
        self.assertEqual(self.ways[0].emulator, (), 'no file is for this machine')
        passed, output = self.tool.test(self.ways[0], self.folder, interpreters.SRCDIR)
        self.assertTrue(passed, output)

    def test_other_machines(self):
        for way in self.ways[1:]:
            if not way.missing():
                with self.subTest(way=str(way)):
                    passed, output = self.tool.test(way, self.folder, interpreters.SRCDIR)
                    self.assertTrue(passed, output)

    def test_missing_c_library(self):
        """A cross compiler without its C library, which Debian only recommends, is told from one that can be used."""
        way = self.tool.Way('aarch64_aapcs', '', ('aarch64-linux-gnu-gcc',), ('cat',))
        compiler = os.path.join(self.folder, way.compiler[0])
        path = f'{self.folder}:/usr/bin:/bin'
        for library, missing in ('libc.a', ['libc6-dev-arm64-cross']), ('/usr/aarch64-linux-gnu/lib/libc.a', []):
            with self.subTest(library=library), unittest.mock.patch.dict(os.environ, PATH=path):
                with open(compiler, 'w', encoding='utf-8') as file:
                    file.write(f'#!/bin/sh\ntest "$1" = -print-file-name=libc.a && echo {library}\n')
                os.chmod(compiler, 0o755)
                self.assertEqual(way.missing(), missing)

    def test_debugger_walks_suspended_stack(self):
        """From slp_platf_resume, gdb finds all functions of a stack that does not run, before its first run too."""
        program = self.tool.build(self.ways[0], self.folder, interpreters.SRCDIR)
        walk = ['set $stack = (long) suspended->sp', 'set $before = $sp', 'set $there = $pc', 'set $sp = $stack',
                'set $pc = (long) &slp_platf_resume', 'backtrace', 'set $sp = $before', 'set $pc = $there']
        commands = ['set debuginfod enabled off', 'break inspect', 'run', *walk, 'echo SECOND\n', 'continue', *walk]
        done = subprocess.run(['gdb', '-nx', '-batch', *[word for line in commands for word in ('-ex', line)], program],
                              capture_output=True, text=True, timeout=120)
        functions = [re.findall(r'^#\d+ +(?:0x\w+ in )?(\w+) \(', part, re.MULTILINE)
                     for part in done.stdout.split('SECOND\n')]
        if 'leave' in functions[-1]:                       # inlined, or not
            functions[-1].remove('leave')
        self.assertEqual(functions, [['slp_platf_switch', 'slp_platf_start'],
                                     ['slp_platf_switch', *['descend_and_leave'] * 5, 'suspended_entry',
                                      'slp_platf_start']], done.stdout + done.stderr)

    def test_unknown_host(self):
        """configure names the architecture that nothing is there for, and those there are."""
        configure = os.path.join(interpreters.SRCDIR, 'configure')
        done = subprocess.run([configure, '--host=m68k-linux-gnu'], cwd=self.folder, capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('no file in Stackless/platf switches C stacks on m68k', done.stderr)
        for way in self.ways:
            self.assertIn(way.name, done.stderr)

    def test_files_have_one_shape(self):
        """Each says its hosts and its tests, draws its area, and has the same functions in the same order."""
        for way in self.ways:
            with open(way.path, encoding='utf-8') as file:
                text = file.read()
            wanted = [' * Hosts: ', ' * Tested: ', 'The saved register area', '<- CFA', '*/', '#include "platf.h"',
                      '#  error "' + os.path.basename(way.path), '\nfunction slp_platf_switch', '\nresume_point',
                      '\nend slp_platf_switch', '\nfunction slp_platf_start', '.cfi_undefined', '.Lstart:',
                      '\nend slp_platf_start', '\nfunction slp_platf_prepare', '\nend slp_platf_prepare']
            place = 0
            for part in wanted:
                with self.subTest(file=os.path.basename(way.path), part=part):
                    found = text.find(part, place)
                    self.assertNotEqual(found, -1)
                    place = max(place, found)


if __name__ == '__main__':
    unittest.main()
