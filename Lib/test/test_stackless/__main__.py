"""Run all tests of Stackless Python: python -m test.test_stackless [unittest options]."""

import unittest

unittest.main(module="test.test_stackless")
