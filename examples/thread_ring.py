"""A ring of tasklets that pass a token round.

The classic test of how cheap it is to have many threads of control and to switch between them:
every tasklet of the ring takes the token from its left neighbour, subtracts one and hands it to its
right neighbour.  Whoever gets it at zero is the winner.

    python examples/thread_ring.py --tasklets 503 --hops 1000000
"""

import argparse
import time

from stackless import channel, run, tasklet


class Ring:
    """`size` tasklets, each of which knows the channel on its left and the one on its right."""

    def __init__(self, size: int) -> None:
        self.winner = 0
        self.links = [channel() for _ in range(size)]
        for number in range(1, size + 1):
            tasklet(self.member)(number, self.links[number - 1], self.links[number % size])

    def member(self, number: int, left: channel, right: channel) -> None:
        """Take the token from the left, hand it on to the right, until it is used up."""
        while True:
            hops = left.receive()
            if hops == 0:
                self.winner = number
                return
            right.send(hops - 1)

    def pass_token(self, hops: int) -> int:
        """Let the token go `hops` hops from the first member on; the number of who has it then."""
        tasklet(self.links[0].send)(hops)
        run()
        return self.winner


def main() -> None:
    parser = argparse.ArgumentParser(description="A ring of tasklets that pass a token round.")
    parser.add_argument("--tasklets", type=int, default=503, metavar="N", help="size of the ring")
    parser.add_argument("--hops", type=int, default=1_000_000, metavar="N")
    options = parser.parse_args()
    if options.tasklets < 2:
        parser.error("a ring has at least two members")

    ring = Ring(options.tasklets)
    start = time.perf_counter()
    winner = ring.pass_token(options.hops)
    seconds = time.perf_counter() - start
    print(f"tasklet {winner} has the token after {options.hops:,} hops")
    print(f"{seconds:.2f} seconds, {seconds / max(1, options.hops) * 1e9:.0f} ns a hop")


if __name__ == "__main__":
    main()
