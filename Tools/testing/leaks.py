"""`make test-leaks`: runs each of our tests again and again in one process, and reports those whose memory grows.

    leaks.py --python build/python [--srcdir .] [test_channel ...]

The base has no count of references, but what is never freed stays allocated: after some rounds for caches to fill,
and a full collection after each, a test must end with as many blocks, tasklets and objects of the collector as it began
with.  A test whose count of blocks grows in every one of ROUNDS rounds leaks.  Files whose tests run in processes of
their own have nothing to show here, and are left out.

The worker (`--worker FILE`) runs in ours, and prints a line for each test that leaks.
"""

import argparse
import array
import gc
import linecache
import os
import pathlib
import re
import subprocess
import sys
import typing
import unittest

WARM_UP, ROUNDS = 4, 4

# Tests of other processes, of build tools, or that take minutes a round.
LEFT_OUT = {'test_bench', 'test_compiled', 'test_debuggers', 'test_distribution', 'test_drop_in',
            'test_embed_cxx', 'test_embed_examples', 'test_embed_shared', 'test_examples', 'test_fork', 'test_fuzz',
            'test_install', 'test_many', 'test_overflow', 'test_platf', 'test_programs', 'test_stubs',
            'test_capi_header', 'test_capi_historic', 'test_command_line', 'test_cpython_suite'}

# In these, tasklets refuse to die when their thread ends.  Their C stacks are given up, and what C functions hold
# there stays for ever.
NEVER_FREED = {'test_a_deep_dump_of_a_thread_that_ended', 'test_carriers_are_given_back',
               'test_it_refuses_and_its_thread_ends', 'test_one_that_refuses_to_die'}


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def settle(counts, number):
    """Enter how many blocks and tasklets are left when all garbage is gone, without an allocation that stays."""
    import stackless
    sys._clear_type_cache()
    for folder in list(sys.path_importer_cache):
        if not os.path.exists(folder):
            del sys.path_importer_cache[folder]
    for clear_cache in [*typing._cleanups, linecache.clearcache, re.purge]:
        clear_cache()
    for _ in range(3):
        gc.collect()
    counts[2 * number] = sys.getallocatedblocks()
    counts[2 * number + 1] = len(stackless.tasklets())


def growth(test):
    """How much the numbers have grown in each round; None if the test does not pass."""
    counts = array.array("q", [0] * 2 * (ROUNDS + 1))
    for number in range(WARM_UP + ROUNDS + 1):
        # A suite runs the fixtures of the class and of the module, too; it is made anew, since it drops its tests.
        result = unittest.TestResult()
        again = type(test)(test._testMethodName)
        unittest.TestSuite([again]).run(result)
        if not result.wasSuccessful() or result.skipped:
            return None
        del again, result
        # Garbage of one round is not to be closed within the next one: each generator's end looks through all
        # exceptions that are being handled there, a long way in a deep recursion.
        gc.collect()
        if number >= WARM_UP:
            settle(counts, number - WARM_UP)
    return [(counts[i + 2] - counts[i], counts[i + 3] - counts[i + 1]) for i in range(0, 2 * ROUNDS, 2)]


def work(path):
    """Run the tests of a file; the status is 1 if one leaks."""
    path = pathlib.Path(path)
    sys.path.insert(0, str(path.parent.parent))
    suite = unittest.defaultTestLoader.loadTestsFromName(f'{path.parent.name}.{path.stem}')
    leaks = tested = left_out = 0
    sys.stdout.flush()
    report = os.fdopen(os.dup(1), 'w')
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    for test in tests_of(suite):
        rounds = None if test._testMethodName in NEVER_FREED else growth(test)
        if rounds is None:
            left_out += 1
            continue
        tested += 1
        if all(blocks > 0 for blocks, _ in rounds) or all(tasklets > 0 for _, tasklets in rounds):
            leaks += 1
            print(f'  {test.id()}: blocks and tasklets more in each round: {rounds}', file=report, flush=True)
    print(f'{path.stem}: {tested} tests, {leaks} leak, {left_out} cannot be run again and again', file=report,
          flush=True)
    return leaks > 0


def main():
    parser = argparse.ArgumentParser(description='find tests of ours that leak')
    parser.add_argument('--python', default='./python')
    parser.add_argument('--srcdir', type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument('--builddir')
    parser.add_argument('--worker', metavar='FILE')
    parser.add_argument('tests', nargs='*')
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)
    folder = options.srcdir.resolve() / 'Lib' / 'test' / 'test_stackless'
    paths = [path for path in sorted(folder.glob('test_*.py'))
             if (path.stem in options.tests if options.tests else path.stem not in LEFT_OUT)]
    environment = dict(os.environ, PYTHONHASHSEED='0', SLP_SRCDIR=str(options.srcdir.resolve()),
                       SLP_BASE_PYTHON=sys.executable, SLP_BUILDDIR=options.builddir or os.getcwd())
    failed = []
    for path in paths:
        done = subprocess.run([options.python, '-X', 'faulthandler', __file__, '--worker', str(path)], env=environment,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode:
            failed.append(path.stem)
        if done.returncode not in (0, 1):
            print(f'{path.stem}: status {done.returncode}\n{done.stderr[-3000:]}', flush=True)
    print(f'{len(paths)} files, {len(failed)} with leaks{": " if failed else ""}{", ".join(failed)}')
    return bool(failed)


if __name__ == '__main__':
    sys.exit(main())
