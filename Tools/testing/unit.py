"""Runs one file of Lib/test/test_stackless in this process and writes what becomes of each test, as it
happens.

    python unit.py FILE RECORD [PATTERN ...]

A file named by SLP_GAPS, JSON of {pattern of test ids: reason}, says which tests cannot be run where this runs; they
are skipped.

RECORD gets one JSON object a line: first the plan, then a "start" and an outcome for every test. So that when
the process dies, the reader knows which test it died in, and which ones never ran.
"""

import faulthandler
import fnmatch
import gc
import importlib
import json
import os
import sys
import unittest


class Recorder(unittest.TextTestResult):
    """A text result that also writes every event to the record."""

    record = None
    # What the running test failed with so far, and whether its outcome is in the record.
    broken, noted = '', False

    def note(self, event, test, text=''):
        self.noted = event != 'start'
        self.record.write(json.dumps({'event': event, 'test': test.id(), 'text': text}) + '\n')
        self.record.flush()

    def startTest(self, test):
        self.note('start', test)
        self.broken = ''
        super().startTest(test)

    def stopTest(self, test):
        if self.broken:
            self.note('failed', test, self.broken)
        elif not self.noted:
            # unittest reports no outcome for a test one of whose subtests was skipped.
            self.note('passed', test)
        super().stopTest(test)

    def fail(self, test, error):
        """Note a failure once the test has ended, or now when it is a fixture that failed."""
        text = self._exc_info_to_string(error, test)
        if isinstance(test, unittest.TestCase):
            self.broken += text
        else:
            self.note('failed', test, text)

    def addSuccess(self, test):
        super().addSuccess(test)
        if not self.broken:
            self.note('passed', test)

    def addError(self, test, err):
        super().addError(test, err)
        self.fail(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fail(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.fail(test, err)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        # A skipped subtest is not a skipped test.
        if not hasattr(test, 'test_case'):
            self.note('skipped', test, reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note('passed', test)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note('failed', test, 'unexpected success')


def flatten(suite):
    """The tests of a suite, in order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def leave_out(tests, gaps):
    """Skip the tests that a pattern matches, with the pattern's reason, and fixtures that only they have use for."""
    kept = set()
    for test in tests:
        reasons = [reason for pattern, reason in gaps.items() if fnmatch.fnmatchcase(test.id(), pattern)]
        if reasons:
            setattr(test, test._testMethodName, unittest.skip(reasons[0])(getattr(type(test), test._testMethodName)))
        else:
            kept.add(type(test))
    for test in tests:
        if type(test) not in kept:
            type(test).setUpClass = classmethod(lambda cls: None)


def main():
    path, record, patterns = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3:]
    faulthandler.enable()
    folder = os.path.dirname(path)
    # The folder of the package takes the place of this script's own.
    sys.path[0] = os.path.dirname(folder)
    name = f'{os.path.basename(folder)}.{os.path.splitext(os.path.basename(path))[0]}'
    loader = unittest.TestLoader()
    loader.testNamePatterns = [p if '*' in p else f'*{p}*' for p in patterns] or None
    with open(record, 'w', encoding='utf-8') as file:
        Recorder.record = file
        try:
            suite = loader.loadTestsFromModule(importlib.import_module(name))
        except unittest.SkipTest as skip:
            print(f'{name} skipped: {skip}')
            file.write(json.dumps({'event': 'plan', 'tests': [name]}) + '\n')
            file.write(json.dumps({'event': 'skipped', 'test': name, 'text': str(skip)}) + '\n')
            return 0
        tests = list(flatten(suite))
        if os.environ.get('SLP_GAPS'):
            with open(os.environ['SLP_GAPS'], encoding='utf-8') as gaps:
                leave_out(tests, json.load(gaps))
        file.write(json.dumps({'event': 'plan', 'tests': [test.id() for test in tests]}) + '\n')
        file.flush()
        if 'gc-at-switch' in os.environ.get('SLP_TORTURE', '').split(','):
            # Each of the many collections looks at what the tests make, and not at all modules again.
            gc.freeze()
        runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Recorder)
        result = runner.run(suite)
        file.write(json.dumps({'event': 'end'}) + '\n')
    return 0 if result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
