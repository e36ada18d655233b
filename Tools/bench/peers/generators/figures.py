"""The switching figures that plain generators can express."""

import sys
from time import process_time

from peers.resident import resident


def echo():
    value = None
    while True:
        value = yield value


def nothing():
    return
    yield


def round_trip(count):
    generator = echo()
    start = process_time()
    for _ in range(count):
        next(generator)
    return process_time() - start


def round_trip_deep(count):
    def down(level):
        yield from down(level - 1) if level else echo()

    generator = down(99)
    start = process_time()
    for _ in range(count):
        next(generator)
    return process_time() - start


def ping_pong(count):
    generator = echo()
    send = generator.send
    send(None)
    start = process_time()
    for value in range(count):
        send(value)
    return process_time() - start


def create(count):
    start = process_time()
    for _ in range(count):
        next(nothing(), None)
    return process_time() - start


def create_many(count):
    start = process_time()
    for _ in range(count // 1000):
        batch = [nothing() for _ in range(1000)]
        for one in batch:
            next(one, None)
    return process_time() - start


def numbers():
    value = 2
    while True:
        yield value
        value += 1


def strain(prime, source):
    for value in source:
        if value % prime:
            yield value


def sieve(count):
    sys.setrecursionlimit(count + 1000)
    start = process_time()
    source = numbers()
    for _ in range(count):
        source = strain(next(source), source)
    return process_time() - start


def blocked(count):
    before = resident()
    waiting = []
    for _ in range(count):
        generator = echo()
        next(generator)
        waiting.append(generator)
    return resident() - before
