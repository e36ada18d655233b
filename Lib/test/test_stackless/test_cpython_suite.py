"""Tools/testing/test_cpython.py: what counts as worse than on the base, when CPython's own test suite runs on both."""

import importlib.util
import os
import sys
import unittest
from unittest import mock

from .interpreters import SRCDIR


@unittest.skipIf(SRCDIR is None, 'needs the source tree')
class TestComparison(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = os.path.join(SRCDIR, 'Tools', 'testing')
        spec = importlib.util.spec_from_file_location('compare_suites', os.path.join(folder, 'test_cpython.py'))
        cls.tool = importlib.util.module_from_spec(spec)
        with mock.patch.object(sys, 'path', [folder, *sys.path]), mock.patch.dict(sys.modules):
            spec.loader.exec_module(cls.tool)

    def worse(self, ours, base, in_tasklet=None):
        """The tests of a module that passes on both, given what passes on ours and on the base."""
        modules = self.tool.modules
        base, ours = (modules.Result('test_pickle', modules.PASSED, 1.0, dict.fromkeys(tests, modules.PASSED), '')
                      for tests in (base, ours))
        return self.tool.worse(ours, modules.without_ignored(base, in_tasklet))

    def test_a_test_that_did_not_run_is_missing(self):
        self.assertEqual(self.worse(['a'], ['a', 'test.test_pickle.C.test_py_methods']),
                         [('test.test_pickle.C.test_py_methods', 'missing')])

    def test_what_is_left_out_in_tasklets_is_not(self):
        for mode in 'soft', 'hard':
            self.assertEqual(self.worse(['a'], ['a', 'test.test_pickle.C.test_py_methods', 'test.test_pickle.C.test_x'],
                                        mode), [('test.test_pickle.C.test_x', 'missing')])


if __name__ == '__main__':
    unittest.main()
