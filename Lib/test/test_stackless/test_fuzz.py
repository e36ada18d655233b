"""Changed images raise errors when they are loaded, or run somehow; the interpreter survives. `make fuzz` does more."""

import glob
import os
import subprocess
import sys
import unittest

from test_stackless import interpreters

FOLDER = os.path.join(interpreters.SRCDIR or "", "Tools", "fuzz")


@unittest.skipUnless(interpreters.SRCDIR, "needs the source tree")
class TestFuzz(unittest.TestCase):
    def run_tool(self, name, *arguments):
        with open(os.devnull, "w") as nowhere:
            return subprocess.run([sys.executable, "-W", "ignore", os.path.join(FOLDER, name), *arguments],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  preexec_fn=lambda: os.dup2(nowhere.fileno(), 3), pass_fds=(3,))

    def test_some_seeds(self):
        done = self.run_tool("fuzz.py", "--python", sys.executable, "--count", "1200", "--seed", "1")
        self.assertEqual((done.returncode, done.stdout), (0, "fuzz: 1200 images, 0 faults\n"))

    def test_there_is_something_to_change(self):
        read, write = os.pipe()
        with os.fdopen(read) as lines:
            process = subprocess.Popen([sys.executable, "-W", "ignore", os.path.join(FOLDER, "worker.py"), "1", "0"],
                                       preexec_fn=lambda: os.dup2(write, 3), pass_fds=(3, write))
            os.close(write)
            images, done = lines.read().splitlines()
        self.assertEqual((process.wait(), done), (0, "done"))
        self.assertGreater(int(images.removeprefix("images ")), 4)

    def test_cases_that_were_faults_once(self):
        cases = sorted(glob.glob(os.path.join(FOLDER, "cases", "*.img")))
        self.assertTrue(cases)
        for case in cases:
            with self.subTest(os.path.basename(case)):
                done = self.run_tool("worker.py", "--case", case)
                self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
