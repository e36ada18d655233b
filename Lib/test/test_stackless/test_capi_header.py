"""The public headers: a C and a C++ compiler accept each alone, and each of its names is exported, documented and
tested."""

import ast
import ctypes
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from . import interpreters
from .capi import api

# The public headers, and their pages in Doc/reference.
HEADERS = {'stackless_api.h': 'c-api.rst', 'stackless_protocol.h': 'c-protocol.rst'}

HERE = os.path.dirname(os.path.abspath(__file__))


def include_folders():
    """Where the compiler finds our headers and the base's: what python3.11-config says."""
    done = subprocess.run([interpreters.config_script(), '--includes'], capture_output=True, text=True, check=True)
    return [word.removeprefix('-I') for word in done.stdout.split()]


def header_path(header):
    """The header of that name, in the first folder that has it."""
    return next(path for path in (os.path.join(folder, header) for folder in include_folders())
                if os.path.exists(path))


def header_text(header):
    with open(header_path(header), encoding='utf-8') as file:
        return file.read()


def functions(*headers):
    """The names of functions and data that the headers declare."""
    return {name for header in headers for name in re.findall(r'(?m)^PyAPI_\w+\([^)]*\) (\w+)', header_text(header))}


def declared(header):
    """{name: comment} of all that the header declares: functions, data, macros and types."""
    text = header_text(header)
    found = {}
    pattern = (r'(?s)/\* ((?:(?!\*/).)*?) \*/\n'
               r'(?:PyAPI_\w+\([^)]*\) (\w+)|#define (\w+)|typedef[^;{]*?\b(\w+)(?:\)\([^;]*\))?;'
               r'|typedef struct (\w+) \{)')
    for match in re.finditer(pattern, text):
        found[next(filter(None, match.groups()[1:]))] = match[1]
    every = re.findall(r'(?m)^PyAPI_\w+\([^)]*\) (\w+)|^#define (\w+)', text)
    undocumented = {a or b for a, b in every} - set(found) - {'STACKLESS_API_H', 'STACKLESS_PROTOCOL_H'}
    assert not undocumented, f'no comment precedes {undocumented}'
    return found


class Compiling(unittest.TestCase):
    """The header is the only thing that a file includes."""

    def accept(self, compiler, language, *options, before=''):
        if shutil.which(compiler) is None:
            self.fail(f'there is no {compiler}: install the Debian package g++')
        ours, *others = include_folders()
        for header in HEADERS:
            source = f'{before}#include "{header}"\nint one = STACKLESS_API_VERSION;\n'
            done = subprocess.run([compiler, '-x', language, *options, '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
                                   f'-I{ours}', *[f'-isystem{folder}' for folder in others], '-'],
                                  input=source, text=True, capture_output=True)
            self.assertEqual((done.returncode, done.stderr), (0, ''))

    def test_c(self):
        for standard in ('c99', 'c11', 'gnu17'):
            self.accept(interpreters.compiler()[0], 'c', f'-std={standard}', '-pedantic')

    def test_cxx(self):
        name = interpreters.cxx_compiler() or 'g++'
        for standard in ('c++11', 'c++17', 'c++20'):
            self.accept(name, 'c++', f'-std={standard}', '-pedantic', '-Wno-register')

    def test_limited_api(self):
        self.accept(interpreters.compiler()[0], 'c', '-std=c99', before='#define Py_LIMITED_API 0x030b0000\n')

    def test_after_python_h(self):
        """The usual order in sources for historic Stackless."""
        self.accept(interpreters.compiler()[0], 'c', '-std=c99', before='#include <Python.h>\n')


class Names(unittest.TestCase):

    def exported_by_library(self):
        done = subprocess.run(['nm', '-D', '--defined-only', interpreters.library()], capture_output=True, text=True,
                              check=True)
        return set(re.findall(r' (\w+)$', done.stdout, re.MULTILINE))

    def test_exported(self):
        """By what runs here, and by the library."""
        names = functions(*HEADERS)
        self.assertGreater(len(names), 70)
        here = ctypes.CDLL(None)
        self.assertEqual({name for name in names if not hasattr(here, name)}, set())
        self.assertEqual(names - self.exported_by_library(), set())

    def test_nothing_else_is_exported(self):
        ours = {name for name in self.exported_by_library()
                if name.startswith(('PyTasklet_', 'PyChannel_', 'PyStackless', 'Py_Unwind'))}
        # The table is for debuggers.
        self.assertEqual(ours - functions(*HEADERS), {'PyStackless_Layout'})

    def test_exercised(self):
        """Each function, macro and datum is called by the tests of the C API."""
        used = set()
        for path in glob.glob(os.path.join(HERE, 'test_capi_*.py')):
            if os.path.basename(path) == os.path.basename(__file__):
                continue
            with open(path, encoding='utf-8') as file:
                tree = ast.parse(file.read(), path)
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute):
                    used.add(node.attr)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    used.add(node.value)
        # Tests that take them in turn name parts.
        for prefix in ('PyTasklet_', 'PyChannel_', 'PyTasklet_Get', 'PyTasklet_Set', 'Py_WATCHDOG_', 'PY_WATCHDOG_'):
            used |= {prefix + name for name in list(used)}
        types = {'PyTaskletObject', 'PyChannelObject', 'slp_schedule_hook_func', 'PyStackless_RunReport',
                 'STACKLESS_API_VERSION'}
        self.assertEqual(set(declared('stackless_api.h')) - used - types, set())

    def test_wrapped(self):
        """The test extension has them all, so that none is left out by its being forgotten there."""
        self.assertEqual({name for name in functions('stackless_api.h') if not hasattr(api, name)}, set())

    @unittest.skipUnless(interpreters.SRCDIR, 'needs the source tree')
    def test_documented(self):
        """The pages of the reference have each name, with the comment that the header has now."""
        tool = os.path.join(interpreters.SRCDIR, 'Tools/docs/capi.py')
        for header, name in HEADERS.items():
            path = os.path.join(interpreters.SRCDIR, 'Doc/reference', name)
            done = subprocess.run([sys.executable, '-B', tool, '--check', header_path(header), path],
                                  capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))
            with open(path, encoding='utf-8') as file:
                page = file.read()
            self.assertEqual({name for name in declared(header) if not re.search(rf'\b{name}\b', page)}, set())

    def test_protocol_is_exercised(self):
        """The test extension uses each name of stackless_protocol.h."""
        with open(os.path.join(interpreters.SRCDIR, 'Modules/_teststackless_protocol.c'), encoding='utf-8') as file:
            used = set(re.findall(r'\w+', file.read()))
        self.assertEqual(set(declared('stackless_protocol.h')) - used, set())


class Host(unittest.TestCase):
    """The example of the documentation: a program that embeds, written in C alone."""

    def test_host(self):
        folder = tempfile.mkdtemp(prefix='host')
        self.addCleanup(shutil.rmtree, folder, True)
        program = os.path.join(folder, 'host')
        interpreters.compile_embedder(os.path.join(HERE, 'capi_host.c'), program, '-std=c99')
        done = interpreters.run(program, **interpreters.EMBEDDED)
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(done.stdout, EXPECTED)


EXPECTED = '''\
in time, runnable 0, blocked 2
in time, runnable 0, blocked 2
Ann: march
in time, runnable 0, blocked 2
Bob: halt
in time, runnable 0, blocked 1
in time, runnable 0, blocked 0
nobody waits for "sing"
in time, runnable 0, blocked 0
retired: 3
'''


if __name__ == '__main__':
    unittest.main()
