"""The switching figures on greenlets, each in its fastest form: direct switches that carry the value."""

from time import process_time

from greenlet import getcurrent, greenlet

from figures.resident import resident


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
