"""Tests of Stackless Python: one file per subject.

    python -m test.test_stackless               all of them
    python -m unittest test.test_stackless.test_channel

Every file can also be run, or discovered by unittest, on its own.
"""

from pathlib import Path


def load_tests(loader, tests, pattern):
    """Collect the test files beside this one, for unittest and for `python -m test`."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        tests.addTests(loader.loadTestsFromName(f"{__name__}.{path.stem}"))
    return tests
