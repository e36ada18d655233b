"""Tasklets move between two processes and go on in each.

The other process runs the python of SLP_OTHER_PYTHON, which `make test-aarch64` sets to one for another machine; else
the same python.
"""

import os
import pickle
import subprocess
import sys
import unittest
from pathlib import Path

import stackless
from stackless import channel, schedule_remove, tasklet
from test_stackless import test_pickle_tasklets as samples
from test_stackless.cases import LeavesNoTasklets, crowd, needs_soft_switches

HERE = Path(__file__).parent

#: Runs what comes one step further and sends it back, again and again.
OTHER = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
import stackless
while True:
    try:
        size = int(sys.stdin.buffer.readline())
    except ValueError:
        break
    results, t = pickle.loads(sys.stdin.buffer.read(size))
    if t is not None:
        t.run()
    else:
        results.run()
    data = pickle.dumps((results, t), 4)
    sys.stdout.buffer.write(b"%d\\n" % len(data) + data)
    sys.stdout.buffer.flush()
"""


def other_python():
    return os.environ.get("SLP_OTHER_PYTHON") or sys.executable


class Other:
    """The other process."""

    def __enter__(self):
        self.process = subprocess.Popen([other_python(), "-W", "ignore", "-c", OTHER, str(HERE.parent)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def step(self, results, t):
        """Both, after the tasklet has run there until it waits."""
        data = pickle.dumps((results, t), 4)
        self.process.stdin.write(b"%d\n" % len(data) + data)
        self.process.stdin.flush()
        size = int(self.process.stdout.readline())
        return pickle.loads(self.process.stdout.read(size))


def count(results):
    for i in range(1000):
        results.append((i, os.getpid()))
        schedule_remove()
    results.append("done")


def worker(number, jobs, results):
    while True:
        job = jobs.receive()
        if job is None:
            return
        results.append((number, job))


class Population:
    """Tasklets that wait at a channel for jobs."""

    def __init__(self, size):
        self.jobs, self.results, self.size = channel(), [], size
        for number in range(size):
            tasklet(worker)(number, self.jobs, self.results)
        stackless.run()

    def run(self):
        """A job for each of them."""
        for job in range(self.size):
            self.jobs.send(job)
        stackless.run()


@needs_soft_switches
class TestMoves(LeavesNoTasklets, unittest.TestCase):
    def test_a_thousand_times(self):
        results = []
        t = tasklet(count)(results)
        t.run()
        with Other() as other:
            for _ in range(500):
                results, t = other.step(results, t)
                if t.alive:
                    t.run()
        self.assertFalse(t.alive)
        self.assertEqual(results.pop(), "done")
        self.assertEqual([i for i, _ in results], list(range(1000)))
        pids = {pid for _, pid in results}
        self.assertEqual(len(pids), 2)
        self.assertTrue(all(pid == os.getpid() for i, pid in results if i % 2 == 0))

    def test_every_construct(self):
        """Each program goes on here and there in turn, and begins on either side."""
        with Other() as other:
            for program in samples.PROGRAMS:
                samples.cached.cache_clear()
                expected = samples.run_plain(program)[0]
                for first in 0, 1:
                    with self.subTest(program.__name__, first=first):
                        samples.cached.cache_clear()
                        results = []
                        t = tasklet(collect)(program, results)
                        t.remove()
                        step = first
                        while t.alive:
                            if step % 2:
                                results, t = other.step(results, t)
                            else:
                                t.run()
                            step += 1
                        self.assertEqual(results, [expected])

    def test_a_population_keeps_its_order(self):
        number = crowd(10_000)
        population = Population(number)
        with Other() as other:
            population, _ = other.step(population, None)
            self.assertEqual(population.jobs.balance, -number)
            population.run()
            population, _ = other.step(population, None)
        self.assertEqual(population.results, 3 * [(i, i) for i in range(number)])
        for _ in range(number):
            population.jobs.send(None)
        stackless.run()
        self.assertEqual(population.jobs.balance, 0)


def collect(program, results):
    results.append(program())


if __name__ == "__main__":
    unittest.main()
