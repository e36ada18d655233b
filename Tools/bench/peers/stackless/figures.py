"""The switching figures on tasklets and channels."""

from time import process_time

from stackless import channel, run, schedule, tasklet

from peers import Unable, depth as recursion
from peers.resident import resident


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


def round_trip_deep(count):
    def down(level):
        if level:
            down(level - 1)
        else:
            for _ in range(count):
                schedule()

    tasklet(down)(99)
    tasklet(down)(99)
    return timed_run()


class InC(map):
    """map() enters frames; what iterates over a subclass is C code."""


def round_trip_c(count):
    def loop(value):
        for _ in range(count):
            schedule()
        return value

    def outer():
        list(InC(loop, (0,)))

    tasklet(outer)()
    tasklet(outer)()
    try:
        return timed_run()
    except RuntimeError as error:
        raise Unable(error) from None


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
    """The clock stops with the last prime, as it does for the peers: the chain still holds numbers then."""
    primes = []
    times = []

    def collect():
        times.append(process_time())
        source = channel()
        tasklet(numbers)(source)
        for _ in range(count):
            prime = source.receive()
            primes.append(prime)
            target = channel()
            tasklet(strain)(prime, source, target)
            source = target
        times.append(process_time())

    tasklet(collect)()
    run()
    assert len(primes) == count, primes[-1:]
    return times[1] - times[0]


def skynet(count):
    def node(answer, number, size):
        if size == 1:
            answer.send(number)
            return
        size //= 10
        answers = channel()
        for index in range(10):
            tasklet(node)(answers, number + index * size, size)
        total = 0
        for _ in range(10):
            total += answers.receive()
        answer.send(total)

    return timed_skynet(count, node)


def skynet_child_first(count):
    """The same with `run()` on each child, which lets it run now: few are alive at a time."""

    def node(answer, number, size):
        if size == 1:
            answer.send(number)
            return
        size //= 10
        answers = channel()
        for index in range(10):
            tasklet().bind(node, (answers, number + index * size, size)).run()
        total = 0
        for _ in range(10):
            total += answers.receive()
        answer.send(total)

    return timed_skynet(count, node)


def timed_skynet(count, node):
    """Run a tree of `node` with `count` leaves, check its sum and return the CPU seconds."""
    totals = []

    def collect():
        answer = channel()
        tasklet(node)(answer, 0, count)
        totals.append(answer.receive())

    tasklet(collect)()
    seconds = timed_run()
    assert totals == [count * (count - 1) // 2], totals
    return seconds


def depth(count):
    return deepest(recursion.plain(count))


def depth_c(count):
    return deepest(recursion.through_c(count))


def deepest(down):
    """Run the recursion `down` in a tasklet."""

    def call():
        reached = []
        tasklet(lambda: reached.append(down(1)))()
        run()
        return reached[0]

    return recursion.measure(call)


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
