"""The switching figures on greenlets, each in its fastest form: direct switches that carry the value."""

from time import process_time

from greenlet import getcurrent, greenlet

from peers import depth as recursion
from peers.resident import resident


def nothing():
    pass


def round_trip(count):
    def echo():
        switch = main.switch
        while True:
            switch()

    main = getcurrent()
    switch = greenlet(echo).switch
    switch()
    start = process_time()
    for _ in range(count):
        switch()
    return process_time() - start


def round_trip_deep(count):
    main = getcurrent()

    def echo(level):
        if level:
            echo(level - 1)
        switch = main.switch
        while True:
            switch()

    def down(level):
        if level:
            return down(level - 1)
        start = process_time()
        for _ in range(count):
            switch()
        return process_time() - start

    switch = greenlet(echo).switch
    switch(99)
    return down(99)


def round_trip_c(count):
    def echo(value):
        switch = main.switch
        while True:
            switch()

    def loop(value):
        for _ in range(count):
            switch()

    main = getcurrent()
    switch = greenlet(lambda: sorted((0,), key=echo)).switch
    switch()
    start = process_time()
    sorted((0,), key=loop)
    return process_time() - start


def ping_pong(count):
    def pong(value):
        switch = main.switch
        while True:
            value = switch(value)

    main = getcurrent()
    switch = greenlet(pong).switch
    switch(0)
    start = process_time()
    for value in range(count):
        switch(value)
    return process_time() - start


def create(count):
    start = process_time()
    for _ in range(count):
        greenlet(nothing).switch()
    return process_time() - start


def create_many(count):
    start = process_time()
    for _ in range(count // 1000):
        batch = [greenlet(nothing) for _ in range(1000)]
        for one in batch:
            one.switch()
    return process_time() - start


def ring(count):
    laps = count // 1000
    main = getcurrent()

    def hop(following):
        switch = following.switch
        value = main.switch()
        while True:
            value = switch(value)

    following = main
    hops = []
    for _ in range(999):
        one = greenlet(hop)
        one.switch(following)
        hops.append(one)
        following = one
    start = process_time()
    for value in range(laps):
        following.switch(value)
    return process_time() - start


def numbers():
    value = 2
    while True:
        getcurrent().parent.switch(value)
        value += 1


def strain(prime, source):
    me = getcurrent()
    source.parent = me
    while True:
        value = source.switch()
        if value % prime:
            me.parent.switch(value)


def sieve(count):
    start = process_time()
    source = greenlet(numbers)
    for _ in range(count):
        prime = source.switch()
        source = greenlet(lambda prime=prime, source=source: strain(prime, source))
    return process_time() - start


def skynet(count):
    """Each child ends with its number, which so goes to its parent: no channels."""

    def node(number, size):
        if size == 1:
            return number
        size //= 10
        children = [greenlet(node) for _ in range(10)]
        return sum(child.switch(number + index * size, size) for index, child in enumerate(children))

    start = process_time()
    total = greenlet(node).switch(0, count)
    seconds = process_time() - start
    assert total == count * (count - 1) // 2, total
    return seconds


def depth(count):
    return recursion.measure(lambda: greenlet(recursion.plain(count)).switch(1))


def depth_c(count):
    return recursion.measure(lambda: greenlet(recursion.through_c(count)).switch(1))


def blocked(count):
    main = getcurrent()

    def wait():
        main.switch()

    before = resident()
    waiting = []
    for _ in range(count):
        one = greenlet(wait)
        one.switch()
        waiting.append(one)
    return resident() - before
