"""`make test`: our own tests and the quick set of CPython's, on the python just built.

First come the files Lib/test/test_stackless/test_*.py, then the modules of --quick-list. Each runs in a
process of its own, with a time limit, in a scratch folder, and with a small fixed environment; a crash or a
hang is a failure. A module of CPython's that failed without crashing is run once more, since a few of them
depend on timing; when every test that fails then fails on the base too (for want of a name for localhost, say),
the machine is to blame, and the module counts as skipped.

The last line reads `N passed, N failed, N skipped`. It counts test methods for our own tests (those that a
crash prevented count as failed) and whole modules for CPython's. The exit status is 1 when anything failed.

    run_tests.py --python build/python --quick-list Tools/testing/quick-tests.txt --srcdir . --builddir build
    run_tests.py --python build/python test_channel test_sys

Our tests find in their environment SLP_BUILDDIR (the build folder), SLP_SRCDIR (the source tree),
SLP_BASE_PYTHON (the base python, the one that runs this script), SLP_TORTURE (the torture switches that are
compiled in) and SLP_OTHER_PYTHON (a python of ours for another machine, or nothing).
"""

import argparse
import fnmatch
import functools
import json
import os
import shutil
import sys
import tempfile
import time

import modules
from modules import CRASHED, FAILED, PASSED, SKIPPED, TIMEOUT, Result

# What is said of a test that a crash prevented.
NOT_RUN = 'not run'

HERE = os.path.dirname(os.path.abspath(__file__))


def read_record(path):
    """The tests of a record file of unit.py: ({test id: state}, {test id: text})."""
    tests, texts, plan, ended, running = {}, {}, [], False, None
    try:
        with open(path, encoding='utf-8') as file:
            events = [json.loads(line) for line in file if line.endswith('\n')]
    except OSError:
        events = []
    for event in events:
        kind = event['event']
        if kind == 'plan':
            plan = event['tests']
        elif kind == 'start':
            running = event['test']
        elif kind == 'end':
            ended = True
        else:
            # The worst of several outcomes counts.
            if tests.get(event['test']) != FAILED:
                tests[event['test']] = kind
            if kind != PASSED:
                texts[event['test']] = event['text']
            running = None if event['test'] == running else running
    if running and not ended:
        tests[running] = FAILED
        texts[running] = 'the process ended in this test'
    # Tests without an outcome: skipped with their class or module, or never reached.
    fixtures = [name for name, state in tests.items() if state == SKIPPED and name.startswith('setUp')]
    for test in plan:
        if test not in tests:
            # A fixture is recorded as "setUpClass (module.Class)" or "setUpModule (module)".
            by = [name for name in fixtures if test.startswith(name.partition('(')[2].rstrip(')') + '.')]
            tests[test] = SKIPPED if by else FAILED
            texts[test] = texts[by[0]] if by else NOT_RUN
    for name in fixtures:
        del tests[name]
    return tests, texts


def run_own(python, path, timeout, extra):
    """Run one of our test files; return its Result, with one entry per test method."""
    name = os.path.splitext(os.path.basename(path))[0]
    scratch = tempfile.mkdtemp(prefix='slptest')
    try:
        record = os.path.join(scratch, 'record')
        cwd = os.path.join(scratch, 'cwd')
        os.mkdir(cwd)
        command = [python, os.path.join(HERE, 'unit.py'), path, record]
        status, output, seconds = modules.run_process(command, timeout, cwd, modules.environment(**extra))
        tests, texts = read_record(record)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if status is None:
        state, output = TIMEOUT, f'{output}\n(stopped after {timeout} seconds)'
    elif status < 0:
        state, output = CRASHED, f'{output}\n(ended by signal {-status})'
    elif FAILED in tests.values() or status != 0:
        state = FAILED
    else:
        state = PASSED
    if state != PASSED and FAILED not in tests.values():
        # Nothing was loaded, or everything went well until the interpreter ended.
        tests[f'{name} (exit status {status})'] = FAILED
        texts[f'{name} (exit status {status})'] = output
    result = Result(name, state, round(seconds, 2), tests, output)
    result.texts = texts
    return result


def run_quick(python, base, name, timeout):
    """Run one of CPython's modules, and again when it failed; the second run counts, unless the base fails as
    much."""
    result = modules.run_module(python, name, timeout)
    if result.state != FAILED:
        return result
    again = modules.run_module(python, name, timeout, verbose=True)
    if again.state != FAILED:
        return again
    ours = again.failures()
    if ours and ours <= modules.run_module(base, name, timeout).failures():
        return Result(name, SKIPPED, again.seconds, {}, 'fails on the base too: ' + ' '.join(sorted(ours)))
    if result.tests:
        again.output = result.output
    return again


def read_list(path):
    """The names in a list file."""
    with open(path, encoding='utf-8') as file:
        return [line.strip() for line in file if line.strip() and not line.startswith('#')]


class Tally:
    """Results as they come in, and what is printed of them."""

    def __init__(self, total):
        self.total, self.seen = total, 0
        self.own, self.quick = [], []

    def add(self, kind, result):
        """Keep a result and print a line for it."""
        self.seen += 1
        (self.own if kind == 'own' else self.quick).append(result)
        skipped = result.count(SKIPPED)
        counts = f'{result.count(PASSED)} passed' + (f', {result.count(FAILED)} failed'
                                                     if result.count(FAILED) else '') \
            + (f', {skipped} skipped' if skipped else '')
        print(f'[{self.seen}/{self.total}] {result.name}: {result.state} ({counts}; {result.seconds:.1f} s)',
              flush=True)

    def counts(self):
        """(passed, failed, skipped): test methods of ours, modules of CPython's."""
        passed = sum(r.count(PASSED) for r in self.own) + sum(r.state == PASSED for r in self.quick)
        failed = sum(r.count(FAILED) for r in self.own) + sum(r.state in modules.BAD for r in self.quick)
        skipped = sum(r.count(SKIPPED) for r in self.own) + sum(r.state == SKIPPED for r in self.quick)
        return passed, failed, skipped

    def show_failures(self):
        """The output of everything that failed, then a table of it."""
        bad = [r for r in self.own + self.quick if r.state in modules.BAD or r.count(FAILED)]
        for result in bad:
            print(f'\n=== {result.name}: {result.state}')
            print(modules.tail(result.output, 150))
        rows = []
        for result in bad:
            texts = getattr(result, 'texts', {})
            lost = [test for test, state in result.tests.items() if state == FAILED]
            for test in lost or ['(the module itself)']:
                words = texts.get(test, '').strip().splitlines()
                if words != [NOT_RUN]:
                    rows.append((result.name, result.state, test, words[-1] if words else ''))
            missed = sum(texts.get(test) == NOT_RUN for test in lost)
            if missed:
                rows.append((result.name, result.state, f'{missed} tests after that', NOT_RUN))
        if rows:
            print(f'\n{"file or module":24} {"state":9} test: last line')
            for name, state, test, words in rows[:300]:
                print(f'{name:24} {state:9} {test}' + (f': {words[:120]}' if words else ''))

    def show_skips(self):
        """One line for each skipped test of ours, with the reason."""
        for result in self.own:
            for test, state in result.tests.items():
                if state == SKIPPED:
                    print(f'skipped: {test}: {getattr(result, "texts", {}).get(test, "")}')
        for result in self.quick:
            if result.state == SKIPPED:
                print(f'skipped: {result.name}: {modules.tail(result.output, 1).strip()}')


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--python', default='build/python', help='the python to test (default: %(default)s)')
    parser.add_argument('--base', default=sys.executable, help='the base python (default: this one)')
    parser.add_argument('--quick-list', help="file with the names of CPython's modules to run")
    parser.add_argument('--srcdir', default=os.path.dirname(os.path.dirname(HERE)), help='the source tree')
    parser.add_argument('--builddir', help='the build folder (default: the folder of --python)')
    parser.add_argument('--torture', default='', help='the torture switches of this build, with commas')
    parser.add_argument('--gaps', default='', help='file with the tests to skip, JSON of {pattern of test ids: reason}')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 2,
                        help='processes at a time (%(default)s)')
    parser.add_argument('--other', default='', help='a python of ours for another machine, to which tasklets move')
    parser.add_argument('--timeout', type=int, default=300, help='seconds a file may take (%(default)s)')
    parser.add_argument('--budget', type=int, default=1800,
                        help='seconds for everything: what has not started by then fails (%(default)s)')
    parser.add_argument('names', nargs='*', help='only these files or modules (shell patterns)')
    args = parser.parse_args()

    start = time.monotonic()
    python = os.path.abspath(args.python)
    if not os.access(python, os.X_OK):
        parser.error(f'{python}: no such executable')
    srcdir = os.path.abspath(args.srcdir)
    extra = {'SLP_BUILDDIR': os.path.abspath(args.builddir or os.path.dirname(python)), 'SLP_SRCDIR': srcdir,
             'SLP_BASE_PYTHON': os.path.abspath(args.base), 'SLP_TORTURE': args.torture,
             'SLP_GAPS': args.gaps and os.path.abspath(args.gaps),
             'SLP_OTHER_PYTHON': args.other and os.path.abspath(args.other)}
    folder = os.path.join(srcdir, 'Lib', 'test', 'test_stackless')
    own = sorted(f for f in os.listdir(folder) if f.startswith('test_') and f.endswith('.py'))
    quick = read_list(args.quick_list) if args.quick_list else []
    if args.names:
        own = [f for f in own if any(fnmatch.fnmatch(f[:-3], p) for p in args.names)]
        chosen = [m for m in quick if any(fnmatch.fnmatch(m, p) for p in args.names)]
        # A plain name that is in neither list is a module of CPython's outside the quick set.
        quick = chosen + [p for p in args.names if p.isidentifier() and p + '.py' not in own
                          and p not in chosen]

    def unless_late(run, kind, name, *rest):
        """Run it, unless the budget is used up."""
        if time.monotonic() - start > args.budget:
            return kind, Result(name, TIMEOUT, 0, {name: FAILED},
                                'not started: the time for the whole run was up')
        return kind, run(*rest)

    tasks = [functools.partial(unless_late, run_own, 'own', f[:-3], python, os.path.join(folder, f),
                               args.timeout, extra)
             for f in own]
    tasks += [functools.partial(unless_late, run_quick, 'quick', name, python, args.base, name, args.timeout)
              for name in modules.in_order(quick)]
    tally = Tally(len(tasks))
    modules.run_many(tasks, args.jobs, lambda item: tally.add(*item))

    tally.show_skips()
    tally.show_failures()
    passed, failed, skipped = tally.counts()
    seconds = time.monotonic() - start
    print(f'\n{len(own)} files of ours and {len(quick)} modules of CPython in {seconds:.0f} s')
    print(f'{passed} passed, {failed} failed, {skipped} skipped', flush=True)
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
