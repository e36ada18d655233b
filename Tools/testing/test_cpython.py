"""CPython's own test suite on our python, compared with the base it was made from.

Every module of the suite (package libpython3.11-testsuite) runs on both, and any module or single test that
passes on the base and not on ours is a failure. The base's results are kept in the build folder, under a key
that changes with the base, since they cost as much time as ours; a run that was broken off goes on where it
stopped.

    test_cpython.py --python build/python --base /usr/bin/python3.11
    test_cpython.py --python build/python --only test_sys test_descr
    test_cpython.py --python build/python --in-tasklet hard

With --in-tasklet ours runs inside a tasklet, in soft mode or with every switch forced hard.
"""

import argparse
import dataclasses
import functools
import hashlib
import json
import os
import subprocess
import sys
import time

import modules
from modules import BAD, CRASHED, FAILED, PASSED, SKIPPED, TIMEOUT, Result

# The states of a module, in the order of the summary.
STATES = (PASSED, FAILED, CRASHED, TIMEOUT, SKIPPED)

# How often a module that is worse than on the base is run again, alone, before that counts.
RETRIES = 2


def base_key(base):
    """A name for this very base: its version and build, and the package revision where dpkg knows it."""
    script = 'import sys, sysconfig, test; print(sys.version, sysconfig.get_platform(), test.__file__)'
    version = subprocess.run([base, '-I', '-c', script], capture_output=True, text=True)
    if version.returncode != 0:
        raise SystemExit(f'{base}: no test suite there; install libpython3.11-testsuite\n{version.stderr}')
    packages = subprocess.run(['dpkg-query', '-W', '-f', '${Version}\n', 'libpython3.11-stdlib',
                               'libpython3.11-testsuite'], capture_output=True, text=True).stdout
    return hashlib.sha256((version.stdout + packages).encode()).hexdigest()[:16]


class Cache:
    """The results of one python in a JSON file, saved after every module."""

    def __init__(self, path):
        self.path = path
        self.results = {}
        try:
            with open(path, encoding='utf-8') as file:
                self.results = {name: Result(**fields) for name, fields in json.load(file).items()}
        except (OSError, ValueError, TypeError):
            pass

    def add(self, result):
        """Remember one more result, without the output of modules that went well."""
        if result.state not in BAD:
            result = dataclasses.replace(result, output='')
        self.results[result.name] = result
        temporary = self.path + '.new'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump({name: dataclasses.asdict(r) for name, r in sorted(self.results.items())}, file,
                      indent=0)
        os.replace(temporary, self.path)


def progress(count, total, result, label):
    """One line for a finished module."""
    tests = f'{result.count(PASSED)} tests' if result.tests else ''
    print(f'[{count}/{total}] {label} {result.name}: {result.state} {tests} ({result.seconds:.1f} s)',
          flush=True)


def run_on(python, names, jobs, timeout, label, keep, in_tasklet=None):
    """Run `names` on `python` with `jobs` at a time; `keep` gets each Result."""
    count = 0

    def report(result):
        nonlocal count
        count += 1
        keep(result)
        progress(count, len(names), result, label)

    modules.run_many([functools.partial(modules.run_module, python, name, timeout, in_tasklet=in_tasklet)
                      for name in modules.in_order(names)], jobs, report)


def worse(ours, base):
    """What passes on the base and not here: a list of (test id or module name, our state)."""
    if base.state in BAD and not base.tests:
        return []
    if base.state == PASSED and ours.state in (CRASHED, TIMEOUT, SKIPPED):
        return [(ours.name, ours.state)]
    lost = [(test, ours.tests.get(test, 'missing')) for test, state in base.tests.items()
            if state == PASSED and ours.tests.get(test) != PASSED]
    if not lost and base.state == PASSED and ours.state != PASSED:
        lost = [(ours.name, ours.state)]
    return lost


def merge(first, second):
    """The better of two runs of a module, test by test: a test that passed once does pass."""
    tests = dict(first.tests)
    for test, state in second.tests.items():
        if tests.get(test) != PASSED:
            tests[test] = state
    state = second.state
    if PASSED in (first.state, second.state) or (
            FAILED in (first.state, second.state) and tests and FAILED not in tests.values()):
        state = PASSED
    return Result(first.name, state, first.seconds + second.seconds, tests, second.output or first.output)


def compare(python, names, ours, base, timeout, in_tasklet):
    """Print how ours compares with the base, running doubtful modules again; return the number of losses."""
    losses, unsteady = {}, []
    for name in names:
        lost = worse(ours[name], base[name])
        for _ in range(RETRIES):
            if not lost:
                break
            print(f'again: {name} ({len(lost)} worse than on the base)', flush=True)
            again = modules.run_module(python, name, timeout, verbose=ours[name].state in (CRASHED, TIMEOUT),
                                       in_tasklet=in_tasklet)
            ours[name] = merge(ours[name], again)
            lost = worse(ours[name], base[name])
            if not lost:
                unsteady.append(name)
        if lost:
            losses[name] = lost

    for name, lost in losses.items():
        print(f'\n=== {name}: {ours[name].state} here, {base[name].state} on the base')
        print(modules.tail(ours[name].output, 120))
    for name, lost in losses.items():
        print(f'\n{name}: passes on the base and not here:')
        for test, state in lost[:200]:
            print(f'    {state:9} {test}')

    print()
    for title, results in (('base', base), ('ours', ours)):
        states = [results[name].state for name in names]
        tests = sum(results[name].count(PASSED) for name in names)
        counts = ', '.join(f'{states.count(state)} {state}' for state in STATES)
        print(f'{title}: {counts} of {len(names)} modules; {tests} tests passed')
        bad = [f'{name} ({results[name].state})' for name in names if results[name].state in BAD]
        if bad:
            print(f'      {" ".join(bad)}')
    gained = [name for name in names if ours[name].state == PASSED and base[name].state in BAD]
    if gained:
        print(f'better than the base: {" ".join(gained)}')
    if unsteady:
        print(f'passed only when run again: {" ".join(unsteady)}')
    count = sum(len(lost) for lost in losses.values())
    print(f'worse than the base: {count} tests in {len(losses)} modules' + (f' ({" ".join(losses)})' if losses
                                                                            else ''))
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--python', default='build/python', help='our python (default: %(default)s)')
    parser.add_argument('--base', default='/usr/bin/python3.11', help='the base (default: %(default)s)')
    parser.add_argument('--builddir', help="where to keep the base's results (default: beside --python)")
    parser.add_argument('--only', nargs='+', default=[], metavar='MODULE', help='run these modules only')
    parser.add_argument('--exclude', nargs='+', default=[], metavar='MODULE', help='run all but these')
    parser.add_argument('--in-tasklet', choices=('soft', 'hard'), help='run ours inside a tasklet')
    parser.add_argument('--base-only', action='store_true', help='run and keep the results of the base alone')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 2,
                        help='modules at a time (default: %(default)s)')
    parser.add_argument('--timeout', type=int, default=600,
                        help='seconds a module may take (default: %(default)s)')
    args = parser.parse_args()

    start = time.monotonic()
    python, base_python = os.path.abspath(args.python), os.path.abspath(args.base)
    builddir = os.path.abspath(args.builddir or os.path.dirname(python))
    os.makedirs(builddir, exist_ok=True)
    names = args.only or [name for name in modules.list_modules(base_python) if name not in args.exclude]

    cache = Cache(os.path.join(builddir, f'cpython-base-{base_key(base_python)}.json'))
    todo = [name for name in names if name not in cache.results]
    print(f'{len(names)} modules; the base has results for {len(names) - len(todo)}', flush=True)
    run_on(base_python, todo, args.jobs, args.timeout, 'base', cache.add)
    for name in todo:
        if cache.results[name].state in BAD:
            again = modules.run_module(base_python, name, args.timeout)
            cache.add(merge(cache.results[name], again))
            progress(todo.index(name) + 1, len(todo), cache.results[name], 'base, again:')
    base_seconds = time.monotonic() - start
    if args.base_only:
        print(f'base done in {base_seconds:.0f} s: {cache.path}')
        return 0

    ours = {}
    def keep(result):
        ours[result.name] = result

    run_on(python, names, args.jobs, args.timeout, 'ours', keep, args.in_tasklet)
    base = {name: modules.without_ignored(cache.results[name], args.in_tasklet) for name in names}
    count = compare(python, names, ours, base, args.timeout, args.in_tasklet)
    print(f'wall time: {time.monotonic() - start:.0f} s, of which the base {base_seconds:.0f} s')
    return 1 if count else 0


if __name__ == '__main__':
    sys.exit(main())
