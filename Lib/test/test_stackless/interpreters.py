"""Running pythons from a test: ours, the base, and programs that embed ours.

`make test` says in the environment where things are: SLP_BUILDDIR (the build folder), SLP_SRCDIR (the source
tree) and SLP_BASE_PYTHON (the base our python was made from). Without it, in an installed tree for instance,
the paths are None and the tests do without them or skip.
"""

import ctypes
import difflib
import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import sysconfig

BUILDDIR = os.environ.get('SLP_BUILDDIR')
SRCDIR = os.environ.get('SLP_SRCDIR')
BASE = os.environ.get('SLP_BASE_PYTHON')
if BASE is None and os.path.exists('/usr/bin/python3.11'):
    BASE = '/usr/bin/python3.11'

# The folder this package lies in, for processes that import from it.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# The seconds that a process may take. Where the collector runs at every switch, whoever has much memory is slow; and
# an emulator, where the tests in SLP_GAPS are left out, always is.
SLOW = 'gc-at-switch' in os.environ.get('SLP_TORTURE', '').split(',') or os.environ.get('SLP_GAPS')
LIMIT = 600 if SLOW else 120

# Where Debian's packages put the extensions that the tests use. An installed tree does not look there by itself.
PACKAGES = '/usr/lib/python3/dist-packages'

# What a program begins with that imports from this package or from Debian's packages.
IMPORTS = f'''
import sys
sys.path.insert(0, {TESTS!r})
if {PACKAGES!r} not in sys.path:
    sys.path.append({PACKAGES!r})
'''

# Is this a build with AddressSanitizer? It does not bear that greenlet copies parts of the C stack.
SANITIZED = hasattr(ctypes.CDLL(None), '__asan_init')
STACK_COPIERS = {'greenlet', 'gevent'}


def sanitizer_options(*options):
    """An environment variable that adds options for AddressSanitizer to those that are set."""
    return {'ASAN_OPTIONS': ':'.join([*filter(None, [os.environ.get('ASAN_OPTIONS')]), *options])}


# For processes that die of a signal: its default action is to be that of the system.
DEADLY = sanitizer_options('handle_segv=0', 'handle_sigbus=0', 'handle_abort=0', 'handle_sigfpe=0',
                           'handle_sigill=0')

# For programs that embed: the options that our executable brings along (Programs/sanitizer_options.c).
EMBEDDED = sanitizer_options('detect_leaks=0', 'allocator_may_return_null=1', 'use_sigaltstack=0')


def need_package(test, name):
    """Skip `test` where the package cannot be used.

    Under `make test` one that is not installed is a failure, since the packages are part of the set-up.
    """
    if SANITIZED and name in STACK_COPIERS:
        test.skipTest(f'{name} copies parts of the C stack, which AddressSanitizer takes for an error')
    if BUILDDIR is None and importlib.util.find_spec(name) is None \
            and not os.path.isdir(os.path.join(PACKAGES, name)):
        test.skipTest(f'there is no {name}')


def config_script():
    """The python3.11-config of the build folder or of the installed tree."""
    return os.path.join(BUILDDIR or os.path.join(sys.base_prefix, 'bin'), 'python3.11-config')


def library():
    """The shared library of the build folder or of the installed tree."""
    return os.path.join(BUILDDIR or os.path.join(sys.base_prefix, 'lib'), 'libpython3.11.so')


def compiler():
    """The command of the C compiler that our python was built with, or of another one."""
    command = (sysconfig.get_config_var('CC') or 'cc').split()
    return command if shutil.which(command[0]) else ['cc']


def cxx_compiler():
    """The C++ compiler that belongs to compiler(): for the same machine.  None if there is none."""
    name = compiler()[0].replace('gcc', 'g++')
    return shutil.which(name if 'g++' in name else 'g++')


def compile_embedder(source, program, *options):
    """Compile a C or C++ program that embeds our library, with the flags that python3.11-config names."""
    flags = [subprocess.run([config_script(), '--embed', option], capture_output=True, text=True,
                            check=True).stdout.split() for option in ('--cflags', '--ldflags')]
    command = [*([cxx_compiler()] if source.endswith('.cc') else compiler()), *flags[0], '-O1', *options, source,
               '-o', program, *flags[1], f'-Wl,-rpath,{os.path.dirname(library())}']
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f'{" ".join(command)}\n{done.stderr}')


def clean_environment(**extra):
    """The environment without anything that steers a python, and with `extra` (None removes a name)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')}
    for name, value in extra.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def run(*command, input='', timeout=LIMIT, cwd=None, **env):
    """Run a command to its end; return the CompletedProcess with text in stdout and stderr."""
    return subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          env=clean_environment(**env), encoding='utf-8', errors='backslashreplace')


def run_python(*args, python=None, **options):
    """Run ours (or `python`) with `args`."""
    return run(python or sys.executable, *args, **options)


def check_python(test, *args, **options):
    """Run ours with `args`, fail `test` unless it exits with 0, and return what it printed."""
    done = run_python(*args, **options)
    test.assertEqual(done.returncode, 0, f'exit status {done.returncode}\n{done.stdout}\n{done.stderr}')
    return done.stdout


@functools.cache
def base_prefix():
    """The sys.prefix of the base."""
    return run_python('-c', 'import sys; print(sys.prefix)', python=BASE).stdout.strip()


def as_on_base(text):
    """What ours printed, with the place of an installed tree replaced by that of the base."""
    return text.replace(os.path.normpath(sys.base_prefix), base_prefix())


def differences(ours, base):
    """The first lines in which two texts differ, '' when they are the same."""
    if ours == base:
        return ''   # difflib takes minutes to find that out
    lines = difflib.unified_diff(base.splitlines(), ours.splitlines(), 'base', 'ours', lineterm='', n=5)
    return '\n'.join(line[:400] for line in itertools.islice(lines, 80))


def same_as_base(test, *args, clean=lambda text: text, **options):
    """Run ours and the base with `args`; both must give the same status, output and errors. Returns our
    output.

    `clean` takes away what may differ, such as addresses and times.
    """
    if BASE is None:
        test.skipTest('there is no base python')
    ours, base = run_python(*args, **options), run_python(*args, python=BASE, **options)
    wrong = differences(clean(as_on_base(ours.stdout)), clean(base.stdout)) \
        or differences(clean(as_on_base(ours.stderr)), clean(base.stderr))
    if wrong:
        test.fail(f'{wrong}\nerrors of ours:\n{ours.stderr[-2000:]}\n'
                  f'errors of the base:\n{base.stderr[-2000:]}')
    test.assertEqual(ours.returncode, base.returncode, ours.stderr)
    return ours.stdout
