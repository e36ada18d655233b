"""The sieve of Eratosthenes as a chain of tasklets.

A generator of numbers stands at the head of the chain.  The first number that reaches its end is a
prime, and a new filter for its multiples becomes the new end:

    numbers ──> not 2n ──> not 3n ──> not 5n ──> ... ──> next prime

Every arrow is a channel, every filter a tasklet.  When enough primes are found, the program just
stops: the tasklets that still wait for each other are garbage, and are collected as such.

    python examples/prime_sieve.py --primes 500
"""

import argparse
from collections.abc import Iterator
from itertools import count

from stackless import channel, run, tasklet


def send_numbers(target: channel) -> None:
    """Send 2, 3, 4 and so on, for ever."""
    for number in count(2):
        target.send(number)


def drop_multiples(prime: int, source: channel, target: channel) -> None:
    """Pass on what `prime` does not divide."""
    for number in source:
        if number % prime:
            target.send(number)


def primes(wanted: int) -> Iterator[int]:
    """The first `wanted` primes, in order; each one adds a filter to the chain."""
    end = channel()
    tasklet(send_numbers)(end)
    for _ in range(wanted):
        prime = end.receive()
        yield prime
        source, end = end, channel()
        tasklet(drop_multiples)(prime, source, end)


def print_primes(wanted: int) -> None:
    for prime in primes(wanted):
        print(prime, end=" ")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description="The sieve of Eratosthenes as a chain of tasklets.")
    parser.add_argument("--primes", type=int, default=500, metavar="N", help="how many primes to print")
    options = parser.parse_args()

    tasklet(print_primes)(options.primes)
    run()


if __name__ == "__main__":
    main()
