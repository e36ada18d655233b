"""Run all tests of Stackless Python: build/python Lib/test/test_stackless [unittest options]."""

import sys
import unittest
from pathlib import Path

folder = Path(__file__).resolve().parent
sys.path[0] = str(folder.parent)
unittest.main(module=folder.name)
