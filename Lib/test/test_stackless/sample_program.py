"""A program that uses every way in which Python code calls Python code.

The tests run it on our python and on the base, under tracers, profilers and debuggers, and compare. Each
function of CONSTRUCTS reaches `probe`, which a test may replace, through one construct.
"""

import asyncio
import contextlib
import contextvars
import functools


def probe(value=0):
    """The innermost function; returns its argument."""
    return value


def call(function, *args, **kwargs):
    return function(*args, **kwargs)


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


class Base:
    def __init__(self, value):
        self.value = value
        probe(value)


class Everything(Base):
    """Special methods that all come by the probe."""

    def __new__(cls, *args):
        probe('new')
        return super().__new__(cls)

    def __init__(self, value=1):
        super().__init__(value)

    def __call__(self, x):
        return probe(x)

    def __add__(self, other):
        return probe(3)

    def __radd__(self, other):
        return probe(4)

    def __iadd__(self, other):
        probe('iadd')
        return self

    def __neg__(self):
        return probe(-1)

    def __eq__(self, other):
        return probe(True)

    def __lt__(self, other):
        return probe(False)

    def __hash__(self):
        return probe(7)

    def __bool__(self):
        return probe(True)

    def __len__(self):
        return probe(2)

    def __contains__(self, item):
        return probe(item == 1)

    def __getitem__(self, key):
        return probe(key)

    def __setitem__(self, key, value):
        probe(key)

    def __delitem__(self, key):
        probe(key)

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return probe(name)

    def __str__(self):
        return probe('str')

    def __format__(self, spec):
        return probe('format')

    def __iter__(self):
        probe('iter')
        return iter([1, 2])

    def __enter__(self):
        probe('enter')
        return self

    def __exit__(self, kind, value, tb):
        return probe(kind is KeyError)

    @property
    def computed(self):
        return probe('property')

    @computed.setter
    def computed(self, value):
        probe(value)

    @staticmethod
    def static(x):
        return probe(x)

    @classmethod
    def of_class(cls, x):
        return probe(x)


class Counter:
    """An iterator written in Python."""

    def __init__(self, top):
        self.n, self.top = 0, top

    def __iter__(self):
        return self

    def __next__(self):
        if self.n == self.top:
            raise StopIteration
        self.n += 1
        return probe(self.n)


def plain_calls():
    f = lambda x, y=2, *rest, z=3, **more: probe(x + y + z)
    return f(1), f(1, 2, 3, z=4, w=5), call(probe, 5), call(probe,
                                                            value=6), probe(*[1]), probe(**{'value': 2})


def wrapped_calls():
    @decorated
    @decorated
    def inner(x):
        return probe(x)
    return inner(1), functools.partial(inner, 2)(), functools.partial(probe)(value=3)


def instances():
    e = Everything(5)
    return e.value, e(4), e.static(1), e.of_class(2), type('Made', (Base,), {})(3).value


def operators():
    e = Everything()
    e += 1
    return e + 1, 1 + e, -e, e == 1, e < 1, e != 1, hash(e), bool(e), not e, len(e), 1 in e, 2 in e, list(e)


def subscripts():
    e = Everything()
    e[2] = 3
    del e[2]
    return e[1], e[1:2].stop, e.anything, e.computed, setattr(e, 'computed', 1), str(e), f'{e}{e!s}{e:>3}'


def generate(top):
    try:
        for n in range(top):
            got = yield probe(n)
            if got:
                probe(got)
    finally:
        probe('finally')


def generators():
    g = generate(3)
    first = next(g), g.send('sent')
    g.close()
    with contextlib.suppress(KeyError):
        h = generate(2)
        next(h)
        h.throw(KeyError('thrown'))
    listed = [n for n in generate(3)], list(Counter(2)), [*generate(1)]
    return first, listed, sum(n for n in generate(3)), dict.fromkeys(generate(2))


def delegate(depth):
    if depth:
        return (yield from delegate(depth - 1))
    yield from generate(2)
    yield probe('leaf')
    return 'returned'


def delegation():
    def outer():
        result = yield from delegate(3)
        yield result
    return list(outer())


@contextlib.contextmanager
def managed(name):
    probe(name)
    try:
        yield name
    except ValueError:
        probe('swallowed')
    finally:
        probe('left')


def with_blocks():
    seen = []
    with Everything() as e, managed('outer') as m:
        seen.append(probe(m))
    with managed('inner'):
        raise ValueError('to be swallowed')
    with Everything():
        raise KeyError('to be swallowed')
    with contextlib.ExitStack() as stack:
        stack.enter_context(managed('stack'))
        stack.callback(probe, 'callback')
    return seen, e.value


def exceptions():
    def fail(n):
        try:
            if n:
                fail(n - 1)
            raise KeyError(probe(n))
        except KeyError as error:
            if n == 2:
                raise ValueError(n) from error
            raise
        finally:
            probe(n)

    caught = []
    try:
        fail(3)
    except (ValueError, TypeError) as error:
        caught.append(repr(error.__cause__))
    try:
        raise ExceptionGroup('group', [ValueError(1), KeyError(2)])
    except* ValueError as group:
        caught.append(len(group.exceptions))
    except* KeyError:
        caught.append(probe('key'))
    return caught


def callbacks():
    data = [3, 1, 2]
    cached = functools.lru_cache(probe)
    return (sorted(data, key=lambda n: probe(-n)), list(map(probe, data)), list(filter(probe, data)),
            max(data, key=probe),
            functools.reduce(lambda a, b: probe(a + b), data), cached(1), cached(1),
            contextvars.copy_context().run(probe, 'context'))


def matching(subject=None):
    results = []
    for subject in (1, [1, 2, 3], {'a': 1, 'b': 2}, Base(4), 'text', None):
        match subject:
            case int(n) if probe(n):
                results.append(n)
            case [first, *rest]:
                results.append((first, rest))
            case {'a': a, **others}:
                results.append((a, others))
            case Base(value=v):
                results.append(v)
            case str() | None as other:
                results.append(probe(other))
    return results


def code_objects():
    space = {'probe': probe}
    exec('class Body:\n    x = probe(1)\n    def f(self):\n        return probe(2)\n', space)
    return space['Body'].x, space['Body']().f(), eval(compile('probe(3) + probe(4)', '<sum>', 'eval'), space)


def loops(n=6):
    total = 0
    while n:
        n -= 1
        if n % 2:
            continue
        if n == 0:
            break
        for i in range(n):
            total += probe(i)
        else:
            total += 1
    else:
        total = -1
    return total, {k: probe(v) for k, v in zip('ab', range(2))}, {probe(c)
                                                                  for c in 'x'}, [[probe(i) for i in range(2)]
                                                                                  for _ in 'ab']


class Asynchronous:
    """An async context manager and an async iterator."""

    def __init__(self, top):
        self.n, self.top = 0, top

    async def __aenter__(self):
        await asyncio.sleep(0)
        return probe(self)

    async def __aexit__(self, *info):
        await asyncio.sleep(0)
        probe('aexit')

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self.n == self.top:
            raise StopAsyncIteration
        await asyncio.sleep(0)
        self.n += 1
        return probe(self.n)


async def agenerate(top):
    try:
        for n in range(top):
            await asyncio.sleep(0)
            yield probe(n)
    finally:
        probe('afinally')


async def awaiting(depth):
    if depth:
        return 1 + await awaiting(depth - 1)
    await asyncio.sleep(0)
    return probe(0)


def coroutines():
    async def main():
        results = [await awaiting(4)]
        async with Asynchronous(2) as manager:
            async for n in manager:
                results.append(n)
        results += [n async for n in agenerate(3)]
        results += await asyncio.gather(*(awaiting(n) for n in range(3)))
        return results
    return asyncio.run(main())


CONSTRUCTS = (plain_calls, wrapped_calls, instances, operators, subscripts, generators, delegation,
              with_blocks, exceptions,
              callbacks, matching, code_objects, loops, coroutines)


def run_all():
    """Run every construct and return {name: result}."""
    return {construct.__name__: construct() for construct in CONSTRUCTS}


if __name__ == '__main__':
    for name, result in run_all().items():
        print(name, result)
