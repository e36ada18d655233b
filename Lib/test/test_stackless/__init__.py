"""Tests of Stackless Python: one file per subject.

    build/python Lib/test/test_stackless                       all of them
    build/python Lib/test/test_stackless -v -k TestOrder       with options of unittest: some of them
"""

from pathlib import Path


def load_tests(loader, tests, pattern):
    """Collect the test files beside this one."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        tests.addTests(loader.loadTestsFromName(f"{__name__}.{path.stem}"))
    return tests
