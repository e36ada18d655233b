"""The programs in examples/ do what they say."""

import subprocess
import sys
import unittest
from pathlib import Path

from .cases import needs_soft_switches

# In the source tree and in an installed one.
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
if not EXAMPLES.exists():
    EXAMPLES = Path(sys.base_prefix, "share", "doc", "stackless-python", "examples")


class TestExamples(unittest.TestCase):
    def run_example(self, name, *options, status=0):
        """What the program prints, as lines."""
        done = subprocess.run([sys.executable, EXAMPLES / name, *options], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr if status == 0 else ""), (status, ""))
        return done.stdout.splitlines()

    def test_all_are_tested(self):
        tested = {name.removeprefix("test_") + ".py" for name in dir(self) if name.startswith("test_")}
        self.assertEqual({path.name for path in EXAMPLES.glob("*.py")}, tested - {"all_are_tested.py"})

    def test_hello(self):
        self.assertEqual(self.run_example("hello.py"),
                         ["3 tasklets are runnable, this one included",
                          "Ada says hello, 1 of 3", "Grace says hello, 1 of 2",
                          "Ada says hello, 2 of 3", "Grace says hello, 2 of 2",
                          "Ada says hello, 3 of 3", "all done"])

    def test_producer_consumer(self):
        lines = self.run_example("producer_consumer.py", "--producers=3", "--consumers=2", "--items=5")
        offered = sorted(line.split()[-1] for line in lines if line.startswith("producer"))
        taken = sorted(item for line in lines if line.startswith("consumer")
                       for item in line.partition(": ")[2].split())
        self.assertEqual(offered, sorted(f"{name}{number}" for name in "ABC" for number in range(1, 6)))
        self.assertEqual(taken, offered)

    def test_thread_ring(self):
        lines = self.run_example("thread_ring.py", "--tasklets", "7", "--hops", "1000")
        self.assertEqual(lines[0], f"tasklet {1000 % 7 + 1} has the token after 1,000 hops")
        self.run_example("thread_ring.py", "--tasklets", "1", status=2)

    def test_prime_sieve(self):
        self.assertEqual(self.run_example("prime_sieve.py", "--primes", "10"), ["2 3 5 7 11 13 17 19 23 29 "])

    def test_wordcount(self):
        folder = Path(subprocess.__file__).parent / "json"
        lines = self.run_example("wordcount.py", "--tasklets", "1000", "--folder", str(folder))
        self.assertRegex(lines[0], "^1,000 tasklets wait for work")
        self.assertRegex(lines[-2], "finds the same$")

    @needs_soft_switches
    def test_checkpointed_workflow(self):
        lines = self.run_example("checkpointed_workflow.py", "--demo")
        self.assertEqual([line for line in lines if line != "-- killed"],
                         ["reserved lamp", "reserved desk", "reserved pen", "charged 97 for order 7",
                          "shipped lamp", "shipped desk", "shipped pen", "order 7 is closed"])
        self.assertEqual(lines.count("-- killed"), 3)

    @needs_soft_switches
    def test_saved_simulation(self):
        lines = self.run_example("saved_simulation.py", "--customers=5", "--seed=2")
        self.assertRegex(lines[0], r"^at minute \d+: [1-6] tasklets, \d+ bytes$")
        self.assertEqual(len(lines), 1 + 5 + 1)
        self.assertEqual(lines[-1], "the same as without saving")

    @needs_soft_switches
    def test_hopping_tasklet(self):
        self.assertEqual(self.run_example("hopping_tasklet.py", "--hops=7"),
                         ["7 hops: 4 times in the first process, 3 times in the second process"])


if __name__ == "__main__":
    unittest.main()
