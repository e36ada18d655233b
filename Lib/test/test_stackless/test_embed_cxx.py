"""A host program in C++: its exceptions pass its own frames, above Python, below it and between runs of tasklets."""

import os
import shutil
import sys
import tempfile
import unittest

from . import interpreters

# What the host prints in each of its two lives.
LIFE = ''.join(f'caught: between runs {n}\non their way: 1\ncaught: on its way {n}\n' for n in range(3))


class TestHost(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if interpreters.cxx_compiler() is None:
            raise AssertionError('there is no C++ compiler: install the Debian package g++')
        cls.folder = tempfile.mkdtemp(prefix='embed')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.program = os.path.join(cls.folder, 'cxx_host')
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'cxx_host.cc')
        interpreters.compile_embedder(source, cls.program, '-std=c++17', '-Wall', '-Wextra', '-Wpedantic',
                                      '-Wshadow', '-Werror')

    def test_exceptions_stay_with_who_threw_them(self):
        """Eight tasklets throw, wait and handle at a time, while the host does the same; nothing is left over."""
        done = interpreters.run(self.program, sys.executable, **interpreters.EMBEDDED)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done.stdout)
        self.assertEqual(done.stdout, LIFE * 2 + 'left: 0 0\n')


if __name__ == '__main__':
    unittest.main()
