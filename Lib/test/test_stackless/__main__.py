"""Run all tests of Stackless Python: build/python Lib/test/test_stackless [unittest options]."""

import sys
import unittest

unittest.main(module=None, argv=[sys.argv[0], "discover", "-s", sys.path[0], *sys.argv[1:]])
