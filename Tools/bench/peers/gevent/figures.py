"""The switching figures on gevent's greenlets, their hub, and its channels without buffer."""

from time import process_time

import gevent
from gevent.event import Event
from gevent.queue import Channel

from peers import depth as recursion
from peers.resident import resident


def nothing():
    pass


def timed(*greenlets):
    """Wait for all and return the CPU seconds it took; what one raised is raised here."""
    start = process_time()
    gevent.joinall(greenlets, raise_error=True)
    return process_time() - start


def round_trip(count):
    def loop():
        for _ in range(count):
            gevent.sleep(0)

    return timed(gevent.spawn(loop), gevent.spawn(loop))


def round_trip_deep(count):
    def down(level):
        if level:
            down(level - 1)
        else:
            for _ in range(count):
                gevent.sleep(0)

    return timed(gevent.spawn(down, 99), gevent.spawn(down, 99))


def round_trip_c(count):
    def loop(value):
        for _ in range(count):
            gevent.sleep(0)
        return value

    def outer():
        sorted((0,), key=loop)

    return timed(gevent.spawn(outer), gevent.spawn(outer))


def ping_pong(count):
    there = Channel()
    back = Channel()

    def ping():
        for value in range(count):
            there.put(value)
            back.get()

    def pong():
        for _ in range(count):
            back.put(there.get())

    return timed(gevent.spawn(ping), gevent.spawn(pong))


def create(count):
    start = process_time()
    for _ in range(count):
        gevent.spawn(nothing).join()
    return process_time() - start


def create_many(count):
    start = process_time()
    for _ in range(count // 1000):
        gevent.joinall([gevent.spawn(nothing) for _ in range(1000)])
    return process_time() - start


def ring(count):
    laps = count // 1000
    channels = [Channel() for _ in range(1000)]

    def first():
        for lap in range(laps):
            channels[1].put(lap)
            channels[0].get()

    def hop(source, target):
        for _ in range(laps):
            target.put(source.get())

    hops = [gevent.spawn(hop, channels[i], channels[(i + 1) % 1000]) for i in range(1, 1000)]
    return timed(gevent.spawn(first), *hops)


def numbers(target):
    value = 2
    while True:
        target.put(value)
        value += 1


def strain(prime, source, target):
    while True:
        value = source.get()
        if value % prime:
            target.put(value)


def sieve(count):
    start = process_time()
    source = Channel()
    greenlets = [gevent.spawn(numbers, source)]
    for _ in range(count):
        prime = source.get()
        target = Channel()
        greenlets.append(gevent.spawn(strain, prime, source, target))
        source = target
    seconds = process_time() - start
    gevent.killall(greenlets)
    return seconds


def skynet(count):
    def node(answer, number, size):
        if size == 1:
            answer.put(number)
            return
        size //= 10
        answers = Channel()
        for index in range(10):
            gevent.spawn(node, answers, number + index * size, size)
        answer.put(sum(answers.get() for _ in range(10)))

    start = process_time()
    answer = Channel()
    gevent.spawn(node, answer, 0, count)
    total = answer.get()
    seconds = process_time() - start
    assert total == count * (count - 1) // 2, total
    return seconds


def depth(count):
    return recursion.measure(lambda: gevent.spawn(recursion.plain(count), 1).get())


def depth_c(count):
    return recursion.measure(lambda: gevent.spawn(recursion.through_c(count), 1).get())


def blocked(count):
    gate = Event()
    before = resident()
    waiting = [gevent.spawn(gate.wait) for _ in range(count)]
    gevent.sleep(0)
    size = resident() - before
    gate.set()
    gevent.joinall(waiting)
    return size
