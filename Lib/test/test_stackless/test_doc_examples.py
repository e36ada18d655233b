"""The complete programs among the examples of the guide run."""

import os
import re
import textwrap
import unittest
from pathlib import Path

from .cases import needs_soft_switches
from .interpreters import SRCDIR, check_python


def programs(text):
    """The literal blocks that begin with an import, as sources."""
    blocks = re.findall(r'::\n\n((?:(?:    .*)?\n)+)', text)
    return [source for source in map(textwrap.dedent, blocks) if source.startswith('import ')]


@unittest.skipIf(SRCDIR is None, 'an installed tree has no Doc/')
class TestGuide(unittest.TestCase):
    def check_programs(self, page):
        found = programs(Path(os.path.join(SRCDIR, 'Doc', 'guide', page)).read_text(encoding='utf-8'))
        self.assertTrue(found, page)
        for number, source in enumerate(found):
            with self.subTest(page, number=number):
                self.assertEqual(check_python(self, '-c', source), '')

    @needs_soft_switches
    def test_porting_stackless(self):
        self.check_programs('porting-stackless.rst')

    def test_porting_greenlet(self):
        self.check_programs('porting-greenlet.rst')


if __name__ == '__main__':
    unittest.main()
