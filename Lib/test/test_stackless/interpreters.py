"""Running pythons from a test: ours, the base, and programs that embed ours.

`make test` says in the environment where things are: SLP_BUILDDIR (the build folder), SLP_SRCDIR (the source
tree) and SLP_BASE_PYTHON (the base our python was made from). Without it the paths are None and the tests
that need one skip.
"""

import difflib
import itertools
import os
import subprocess
import sys

BUILDDIR = os.environ.get('SLP_BUILDDIR')
SRCDIR = os.environ.get('SLP_SRCDIR')
BASE = os.environ.get('SLP_BASE_PYTHON')
if BASE is None and os.path.exists('/usr/bin/python3.11'):
    BASE = '/usr/bin/python3.11'

# The folder this package lies in, for processes that import from it.
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def clean_environment(**extra):
    """The environment without anything that steers a python, and with `extra` (None removes a name)."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')}
    for name, value in extra.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


def run(*command, input='', timeout=120, cwd=None, **env):
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


def differences(ours, base):
    """The first lines in which two texts differ, '' when they are the same."""
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
    wrong = differences(clean(ours.stdout), clean(base.stdout)) or differences(clean(ours.stderr),
                                                                               clean(base.stderr))
    if wrong:
        test.fail(f'{wrong}\nerrors of ours:\n{ours.stderr[-2000:]}\n'
                  f'errors of the base:\n{base.stderr[-2000:]}')
    test.assertEqual(ours.returncode, base.returncode, ours.stderr)
    return ours.stdout
