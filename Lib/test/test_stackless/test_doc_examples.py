"""The complete programs among the examples of the guide run."""

import os
import re
import textwrap
import unittest
from pathlib import Path

from .interpreters import SRCDIR, check_python

PAGES = 'porting-stackless.rst', 'porting-greenlet.rst'


def programs(text):
    """The literal blocks that begin with an import, as sources."""
    blocks = re.findall(r'::\n\n((?:(?:    .*)?\n)+)', text)
    return [source for source in map(textwrap.dedent, blocks) if source.startswith('import ')]


@unittest.skipIf(SRCDIR is None, 'an installed tree has no Doc/')
class TestGuide(unittest.TestCase):
    def test_programs(self):
        for page in PAGES:
            found = programs(Path(os.path.join(SRCDIR, 'Doc', 'guide', page)).read_text(encoding='utf-8'))
            self.assertTrue(found, page)
            for number, source in enumerate(found):
                with self.subTest(page, number=number):
                    self.assertEqual(check_python(self, '-c', source), '')


if __name__ == '__main__':
    unittest.main()
