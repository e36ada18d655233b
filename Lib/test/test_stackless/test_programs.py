"""Real programs, unchanged, do the same on ours as on the base.  `make test-programs` runs more of them."""

import os
import re
import unittest

from . import interpreters


@unittest.skipIf(interpreters.SRCDIR is None, 'the programs are with the sources')
class Programs(unittest.TestCase):
    """Debian's packages, each doing what it is for."""

    def run_program(self, package):
        """Run the program for a package on both; return its output."""
        interpreters.need_package(self, package)
        program = os.path.join(interpreters.SRCDIR, 'Tools', 'testing', 'programs', package + '_program.py')
        return interpreters.same_as_base(self, '-B', program)

    def test_flask(self):
        """Its handlers switch tasklets, in the threads of the server."""
        self.assertIn('GET /squares/10 200 application/json [0,1,4,9,16,25,36,49,64,81]',
                      self.run_program('flask'))

    def test_gevent(self):
        """Servers and clients of greenlets, with the standard library's sockets made cooperative."""
        self.assertIn('CLIENT 49 LINE 19', self.run_program('gevent'))

    def test_pytest(self):
        """It collects and runs the tests that another package ships."""
        interpreters.need_package(self, 'pytest')
        printed = interpreters.same_as_base(
            self, '-B', '-m', 'pytest', '-q', '--tb=no', '-p', 'no:cacheprovider', '--pyargs', 'zope.interface.tests',
            clean=lambda text: re.sub(r' in \d.*', '', text))
        self.assertGreater(int(re.search(r'(\d+) passed', printed).group(1)), 1000)


if __name__ == '__main__':
    unittest.main()
