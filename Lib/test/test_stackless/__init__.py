"""Tests of Stackless Python: one file per subject.

    build/python Lib/test/test_stackless                    all of them, with the options of unittest
    build/python Lib/test/test_stackless/test_channel.py    one file

Every file can be run and imported on its own; none needs the package.
"""

from pathlib import Path


def load_tests(loader, tests, pattern):
    """Collect the test files beside this one, where the package is a part of `test`."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        tests.addTests(loader.loadTestsFromName(f"{__name__}.{path.stem}"))
    return tests
