"""`make test-platf`: test the switch between C stacks of every architecture for which this machine has the tools.

A file Stackless/platf/switch_*.S says in its head what it is tested with:

     * Hosts: the patterns of configure's host triplets that it is for
     * Tested: a cross compiler, an emulator and the emulator's options (one line per way to run it)

The file for the machine itself is compiled with its own compiler and runs without an emulator, the others as far
as their tools are there; where the C++ compiler is there as well, exceptions are tested with it. Nothing is installed;
what is missing is named. The exit status is 1 if something failed.

    platf.py [--cc CC] [--srcdir TREE] [NAME ...]        NAME: amd64_sysv, for instance
"""

import argparse
import fnmatch
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass

SRCDIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ['-O2', '-g', '-Wall', '-Wextra', '-Werror', '-funwind-tables']
FOREIGN_FLAGS = ['-static', '-fno-pic']
NATIVE_SWITCHES = 10_000_000
FOREIGN_SWITCHES = 100_000

# What Debian calls an architecture, where the compilers' name for it is another one.
DEBIAN_NAMES = {'aarch64': 'arm64', 'arm': 'armhf', 'i686': 'i386', 'powerpc64le': 'ppc64el', 'x86_64': 'amd64'}


@dataclass(frozen=True)
class Way:
    """One way to run the test of a switch file."""

    name: str                           # of the file, without switch_ and .S
    path: str
    compiler: tuple[str, ...]
    emulator: tuple[str, ...]           # empty: the machine itself

    def __str__(self):
        return ' '.join([self.name, *(self.emulator or ('native',))])

    def missing(self):
        """Return the packages that it lacks on this machine."""
        lacking = []
        if shutil.which(self.compiler[0]) is None:
            lacking.append('gcc-' + self.compiler[0].removesuffix('-gcc'))
        elif self.emulator and not self.has_c_library():
            cpu = self.compiler[0].partition('-')[0]
            lacking.append(f'libc6-dev-{DEBIAN_NAMES.get(cpu, cpu)}-cross')
        if self.emulator and shutil.which(self.emulator[0]) is None:
            lacking.append('qemu-user')
        return lacking

    def has_c_library(self):
        """Tell whether programs can be compiled: Debian's cross compilers only recommend their C library."""
        found = subprocess.run([*self.compiler, '-print-file-name=libc.a'], capture_output=True, text=True).stdout
        return os.path.isabs(found)     # a bare name means that it is nowhere

    def cxx(self):
        """Return the C++ compiler that goes with the compiler, or None."""
        head, found, tail = self.compiler[0].rpartition('gcc')
        name = head + 'g++' + tail if found else {'cc': 'c++', 'clang': 'clang++'}.get(self.compiler[0])
        return name if name and shutil.which(name) else None


def host_of(compiler):
    """Return the four-part triplet of the machine that a compiler compiles for."""
    parts = subprocess.run([*compiler, '-dumpmachine'], capture_output=True, text=True, check=True).stdout.strip()
    cpu, _, rest = parts.partition('-')
    return parts if parts.count('-') >= 3 else f'{cpu}-unknown-{rest}'


def ways(srcdir=SRCDIR, native_compiler=('cc',)):
    """Return the ways to test all switch files, the native one first."""
    host = host_of(native_compiler)
    native, foreign = [], []
    for path in sorted(glob.glob(os.path.join(srcdir, 'Stackless', 'platf', 'switch_*.S'))):
        name = os.path.basename(path)[len('switch_'):-len('.S')]
        with open(path, encoding='utf-8') as file:
            head = file.read().partition('*/')[0]
        hosts = ' '.join(re.findall(r'^ \* Hosts: (.*)', head, re.MULTILINE)).split()
        if any(fnmatch.fnmatchcase(host, pattern) for pattern in hosts):
            native.append(Way(name, path, tuple(native_compiler), ()))
            continue
        for line in re.findall(r'^ \* Tested: (.*)', head, re.MULTILINE):
            compiler, *emulator = line.split()
            foreign.append(Way(name, path, (compiler,), tuple(emulator)))
    return native + foreign


def compile_test(way, folder, name, source, compiler, srcdir):
    """Compile a test program with the switch file, and return its path.  CalledProcessError on errors."""
    program = os.path.join(folder, f'{name}_{way.name}')
    subprocess.run([*compiler, *FLAGS, *(FOREIGN_FLAGS if way.emulator else ()),
                    '-I', os.path.join(srcdir, 'Include', 'internal'),
                    os.path.join(srcdir, 'Tools', 'testing', source),
                    '-x', 'assembler-with-cpp', way.path, '-lm', '-o', program],
                   check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return program


def build(way, folder, srcdir=SRCDIR):
    """Compile the test of a way in a folder, and return the path of the program.  CalledProcessError on errors."""
    return compile_test(way, folder, 'platf_test', 'platf_test.c', way.compiler, srcdir)


def build_cxx(way, folder, srcdir=SRCDIR):
    """Compile the test of exceptions; None where there is no C++ compiler."""
    if way.cxx() is None:
        return None
    return compile_test(way, folder, 'platf_cxx', 'platf_cxx.cc', [way.cxx(), *way.compiler[1:]], srcdir)


def test(way, folder, srcdir=SRCDIR):
    """Build and run; return whether all went well, and what was printed."""
    switches = FOREIGN_SWITCHES if way.emulator else NATIVE_SWITCHES
    passed, output = True, ''
    try:
        for program, *arguments in ((build(way, folder, srcdir), str(switches)), (build_cxx(way, folder, srcdir),)):
            if program is not None:
                done = subprocess.run([*way.emulator, program, *arguments], text=True, timeout=300,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                passed &= done.returncode == 0
                output += f'{done.stdout}exit status {done.returncode}\n'
    except subprocess.CalledProcessError as error:
        return False, f'{shlex.join(error.cmd)}\n{error.stdout}'
    except subprocess.TimeoutExpired as error:
        return False, f'{shlex.join(error.cmd)} does not end'
    return passed, output


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cc', default='cc', help='the compiler for this machine')
    parser.add_argument('--srcdir', default=SRCDIR)
    parser.add_argument('names', nargs='*', metavar='NAME')
    options = parser.parse_args(argv)
    every = ways(options.srcdir, tuple(shlex.split(options.cc)))
    unknown = set(options.names) - {way.name for way in every}
    if unknown:
        parser.error(f'no switch file is named {", ".join(sorted(unknown))}')
    counts = {'passed': 0, 'failed': 0, 'not tested': 0}
    lacking = []
    with tempfile.TemporaryDirectory(prefix='platf') as folder:
        for way in every:
            if options.names and way.name not in options.names:
                continue
            packages = way.missing()
            if packages:
                counts['not tested'] += 1
                lacking += packages
                print(f'{str(way):48} not tested, needs {" and ".join(packages)}')
                continue
            passed, output = test(way, folder, options.srcdir)
            counts['passed' if passed else 'failed'] += 1
            extent = '' if way.cxx() else ', without C++'
            print(f'{str(way):48} {"passed" if passed else "FAILED"}{extent}', flush=True)
            if not passed:
                print(output)
            elif not way.emulator:
                print('    ' + re.search('.*switches: .*', output).group())
    if lacking:
        print('For the others: apt-get install', *dict.fromkeys(lacking))
    print('platf:', ', '.join(f'{number} {what}' for what, number in counts.items()))
    return 1 if counts['failed'] else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
