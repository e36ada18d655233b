"""What the fuzzer starts from: programs that are suspended in the middle of something, and what frames hold.

Each function of PROGRAMS runs as a tasklet until it has called pause() a number of times; OBJECTS makes values.
"""

import collections
import functools
import itertools
import types

import stackless


def pause(value=None):
    """Stop here until somebody runs the tasklet again."""
    stackless.schedule_remove()
    return value


def loops():
    total = 0
    for i in range(3):
        for word in ["a", "bc"]:
            pause()
            total += len(word) * i
        else:
            total -= 1
    while total > 0:
        total -= pause(1)
    return total


def handlers():
    out = []
    try:
        try:
            pause()
            raise ValueError("one")
        except ValueError as e:
            out.append(pause(str(e)))
            raise KeyError("two") from e
        finally:
            out.append(pause("finally"))
    except KeyError:
        pause()
    return out


def stars():
    try:
        pause()
        raise ExceptionGroup("many", [ValueError(1), KeyError(2), TypeError(3)])
    except* ValueError:
        pause()
    except* KeyError as group:
        pause()
        len(group.exceptions)
    except* TypeError:
        pause()


class Manager:
    def __enter__(self):
        pause()
        return self

    def __exit__(self, *error):
        pause()
        return error[0] is ZeroDivisionError


def managers():
    with Manager() as a, Manager():
        pause()
        a.x = 1 / 0
    with Manager():
        return pause("done")


def numbers(n):
    try:
        for i in range(n):
            got = yield pause(i)
            if got:
                return got
    finally:
        pause()


def delegating(n):
    result = yield from numbers(n)
    yield pause(result)


def generators():
    out = [x for x in delegating(2)]
    it = delegating(3)
    out.append(next(it))
    out.append(it.send(4))
    it.close()
    return out + list(y for y in itertools.islice(numbers(5), 2))


def comprehensions():
    return [pause(x) for x in (1, 2)], {pause(x) for x in (1, 2)}, {x: pause(x) for x in (1, 2)}


class Thing:
    def __init__(self, n):
        self.n = pause(n)

    @property
    def double(self):
        return pause(2 * self.n)

    @double.setter
    def double(self, value):
        self.n = pause(value) // 2

    def __add__(self, other):
        pause()
        return NotImplemented

    def __radd__(self, other):
        return pause(3)

    def __lt__(self, other):
        return pause(True)

    def __bool__(self):
        pause()
        return self.n > 1

    def __getitem__(self, i):
        return pause(i)

    def __setitem__(self, i, value):
        pause()

    def __getattr__(self, name):
        pause()
        raise AttributeError(name)

    def __iter__(self):
        pause()
        return iter([1, 2])

    def __len__(self):
        return pause(2)

    def __contains__(self, x):
        return pause(x == 1)

    def __format__(self, spec):
        return pause(spec)

    def __call__(self, *args, **kwargs):
        return pause(len(args) + len(kwargs))


def special_methods():
    a, b = Thing(1), Thing(2)
    a.double = b.double
    c = a + b, a < b, a[1], len(a), 1 in a, 3 not in a, f"{a:x}{b!r:>{a[2]}}"
    a[0] = 1
    if a and not b:
        return None
    for x in a:
        getattr(b, "missing", None)
        hasattr(b, "missing")
    return c, a(1, *c, k=2, **{"l": 3})


def closures():
    n = 0

    def add(x, *rest, y=1, **more):
        nonlocal n
        n += pause(x) + y + len(rest) + len(more)
        return lambda: (n, pause(x))

    class Local:
        attribute = add(1)

    return add(1, 2, y=3, z=4)(), [Local.attribute() for _ in range(2)]


def matching():
    for subject in ({"a": [1, 2]}, Thing(1), (1, 2, 3), "text"):
        match subject:
            case {"a": [x, *_], **rest}:
                pause((x, rest))
            case Thing(n=n) if pause(n):
                pause()
            case (1, *_, last):
                pause(last)
            case _:
                pause()


async def inner(n):
    pause()
    return n


class Steps:
    def __init__(self):
        self.left = 2

    def __aiter__(self):
        return self

    async def __anext__(self):
        pause()
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return self.left

    async def __aenter__(self):
        return pause(self)

    async def __aexit__(self, *error):
        pause()


async def outer():
    total = await inner(1)
    async with Steps() as steps:
        async for step in steps:
            total += step + await inner(2)
    return [x async for x in Steps()], total


def coroutines():
    coroutine = outer()
    try:
        coroutine.send(None)
    except StopIteration as e:
        return e.value


def channels():
    channel = stackless.channel()
    other = stackless.tasklet(lambda: [channel.send(pause(i)) for i in range(2)])()
    channel.preference = 1
    first = channel.receive()
    pause(other)
    return first, channel.receive()


def contexts():
    import contextvars

    return contextvars.copy_context().run(pause, 5)


def deep(n=12):
    return n and deep(n - 1) + 1 if n else pause(0)


def partials():
    return functools.partial(pause, 3)(), functools.lru_cache(lambda x: pause(x))(4)


class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        return pause(1)


def key(value):
    return -pause(value)


def folds():
    numbers_ = [3, 1, 2]
    numbers_.sort(key=key)
    out = [sorted(numbers(3), key=key), min(numbers(2), key=key), max([1, 2], key=key), sum(numbers(2)),
           any(numbers(1)), "".join(str(x) for x in numbers(2)), [*numbers(2)], {*numbers(1)}, 1 in numbers(2),
           functools.reduce(lambda a, b: pause(a + b), [1, 2, 3])]
    numbers_.sort(key=lambda x: numbers_.sort(key=key) or x)
    return out


class Asked(type):
    def __instancecheck__(cls, obj):
        return pause(obj)


class Yes(metaclass=Asked):
    pass


class Log:
    def write(self, text):
        pause()

    def flush(self):
        pause()


def takers():
    letters = collections.deque(numbers(2))
    letters.extend(numbers(2))
    pairs = {}
    pairs.update((x, x) for x in numbers(2))
    numbers_ = [0]
    numbers_ += numbers(2)
    print(Thing(1), file=Log(), flush=True)
    return [letters, collections.Counter(numbers(2)), pairs, numbers_, dict((x, 1) for x in numbers(2)),
            bytes(numbers(2)), bytearray(numbers(2)), {1}.union(numbers(2)), "%s" % Thing(1),
            "{:>9}{!r}".format(1, Thing(2)), isinstance(0, (str, Yes, int))]


def unpacking():
    a, b = numbers(2)
    c, *d, (e, *f) = *numbers(2), numbers(1)
    *g, h = numbers(2)
    try:
        a, b = Endless()
    except ValueError:
        i, *j = numbers(1)
    return a, b, c, d, e, f, g, h, i, j


class Meta(type):
    def __prepare__(name, bases):
        return pause({})

    def __call__(cls, *args):
        return super().__call__(*args)

    def __instancecheck__(cls, obj):
        return pause(True)


def shims():
    out = [x for x in map(pause, numbers(2))] + [x for x in zip(numbers(1), enumerate(numbers(1)))]
    out += [x for x in itertools.accumulate(numbers(2), lambda a, b: pause(a))]
    out.append(isinstance(pause(1), (types.GeneratorType, types.CoroutineType)))
    exec("x = pause(1)", {"pause": pause})

    class Made(metaclass=Meta):
        def __new__(cls):
            pause()
            return super().__new__(cls)

        def __init__(self):
            pause()

        def __set_name__(self, owner, name):
            pause()

        def __init_subclass__(cls):
            pause()

    class Derived(Made):
        attribute = Made()

    return isinstance(Derived(), Made), out


def sequence():
    channel = stackless.channel()
    stackless.tasklet(lambda: [channel.receive() for _ in range(3)])()
    return channel.send_sequence(numbers(3))


async def yielding():
    for i in range(2):
        got = yield pause(i)
        pause(got)


async def awaiting():
    generator = yielding()
    out = [await generator.asend(None), await anext(generator, 5), await anext(generator, 6)]
    await generator.aclose()
    try:
        await yielding().athrow(KeyError)
    except KeyError:
        return out, await waiting()


@types.coroutine
def waiting():
    yield pause(1)
    return 2


def async_generators():
    coroutine = awaiting()
    while True:
        try:
            coroutine.send(None)
        except StopIteration as e:
            return e.value


class Bad(ValueError):
    def __init__(self):
        pause()


def raising():
    try:
        raise Bad
    except Bad:
        import colorsys
        return colorsys


PROGRAMS = [folds, takers, unpacking, shims, sequence, async_generators, raising, loops, handlers, stars, managers,
            generators, comprehensions, special_methods, closures, matching, coroutines, channels, contexts, deep,
            partials]


def make_cells():
    x = 1

    def get():
        return x, get

    return get


def suspended(generator, steps):
    for _ in range(steps):
        next(generator)
    return generator


def plain(n):
    try:
        for i in range(n):
            yield i
    except ValueError:
        yield "caught"


def after(iterator):
    next(iterator)
    return iterator


OBJECTS = [
    make_cells,
    lambda: [lambda x=1, *a, k=2: (x, a, k)] * 2,
    lambda: [suspended(plain(3), n) for n in range(4)],
    lambda: [inner(1), outer(), (x for x in [1, 2])],
    lambda: [after(iter({"a": 1, "b": 2}.items())), after(reversed([1, 2, 3])), after(iter([1, 2]))],
    lambda: [collections.OrderedDict(a=1).items(), {"a": 1}.keys(), after(itertools.pairwise([1, 2, 3]))],
    lambda: [make_cells().__code__, stars.__code__],
    lambda: [stackless.bomb(ValueError, ValueError(1)), stackless.channel(), stackless.tasklet(len)],
]
