"""A simulation that is saved in the middle, with all who take part in it, and reloaded.

Customers come to a counter, wait in a queue, are served and leave. Each is a tasklet, the queue is a channel. The
clock is a tasklet, too. All of it is one object graph, and one pickle.
"""

import argparse
import pickle
import random

import stackless


class Simulation:
    """A counter, its customers, and the time."""

    def __init__(self, customers, seed):
        self.random = random.Random(seed)
        self.now = 0
        self.sleeping = []
        self.counter = stackless.channel()
        self.log = []
        self.tasklets = [stackless.tasklet(self.clerk)()]
        self.tasklets += [stackless.tasklet(self.customer)(n) for n in range(customers)]

    def sleep(self, minutes):
        """What a tasklet calls to let time pass."""
        wake = stackless.channel()
        self.sleeping.append((self.now + minutes, len(self.sleeping), wake))
        wake.receive()

    def customer(self, number):
        self.sleep(self.random.randrange(60))
        came = self.now
        served = stackless.channel()
        self.counter.send((number, served))
        served.receive()
        self.log.append(f"{self.now:4} customer {number} leaves after {self.now - came} minutes")

    def clerk(self):
        for number, served in self.counter:
            self.sleep(self.random.randrange(1, 10))
            served.send(None)

    def run(self, until):
        """Let the simulation go on until that minute."""
        stackless.run()
        while self.sleeping and self.now < until:
            self.sleeping.sort(key=lambda entry: entry[:2])
            self.now, _, wake = self.sleeping.pop(0)
            wake.send(None)
            stackless.run()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()

    straight = Simulation(options.customers, options.seed)
    straight.run(until=500)

    first = Simulation(options.customers, options.seed)
    first.run(until=30)
    image = pickle.dumps(first)
    print(f"at minute {first.now}: {sum(t.alive for t in first.tasklets)} tasklets, {len(image)} bytes")
    reloaded = pickle.loads(image)
    reloaded.run(until=500)

    print(*reloaded.log, sep="\n")
    print("the same as without saving" if reloaded.log == straight.log else "it went differently")


if __name__ == "__main__":
    main()
