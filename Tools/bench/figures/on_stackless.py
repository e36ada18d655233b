"""The switching figures on tasklets and channels."""

from time import process_time

from stackless import channel, run, schedule, tasklet

from figures.resident import resident


def nothing():
    pass


def timed_run():
    """Run all that is scheduled and return the CPU seconds it took."""
    start = process_time()
    run()
    return process_time() - start


def round_trip(count):
    def loop():
        for _ in range(count):
            schedule()

    tasklet(loop)()
    tasklet(loop)()
    return timed_run()


def ping_pong(count):
    there = channel()
    back = channel()

    def ping():
        for value in range(count):
            there.send(value)
            back.receive()

    def pong():
        for _ in range(count):
            back.send(there.receive())

    tasklet(ping)()
    tasklet(pong)()
    return timed_run()


def create(count):
    start = process_time()
    for _ in range(count):
        tasklet(nothing)()
        schedule()
    return process_time() - start


def create_many(count):
    start = process_time()
    for _ in range(count // 1000):
        for _ in range(1000):
            tasklet(nothing)()
        run()
    return process_time() - start


def ring(count):
    laps = count // 1000
    channels = [channel() for _ in range(1000)]

    def first():
        for lap in range(laps):
            channels[1].send(lap)
            channels[0].receive()

    def hop(source, target):
        for _ in range(laps):
            target.send(source.receive())

    for index in range(1, 1000):
        tasklet(hop)(channels[index], channels[(index + 1) % 1000])
    tasklet(first)()
    return timed_run()


def numbers(target):
    value = 2
    while True:
        target.send(value)
        value += 1


def strain(prime, source, target):
    while True:
        value = source.receive()
        if value % prime:
            target.send(value)


def sieve(count):
    primes = []

    def collect():
        source = channel()
        tasklet(numbers)(source)
        for _ in range(count):
            prime = source.receive()
            primes.append(prime)
            target = channel()
            tasklet(strain)(prime, source, target)
            source = target

    tasklet(collect)()
    seconds = timed_run()
    assert len(primes) == count, primes[-1:]
    return seconds


def blocked(count):
    gate = channel()

    def wait():
        gate.receive()

    tasklet(wait)()
    run()
    before = resident()
    for _ in range(count):
        tasklet(wait)()
    run()
    size = resident() - before
    assert gate.balance == -count - 1, gate.balance
    return size
