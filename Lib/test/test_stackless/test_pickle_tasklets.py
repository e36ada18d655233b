"""Tasklets and channels pickle: suspended in any construct, they go on after loading."""

import collections
import contextlib
import contextvars
import functools
import itertools
import pickle
import unittest

import stackless
from _stackless import _wrap
from stackless import channel, schedule_remove, tasklet
from test_stackless.cases import PROTOCOLS, LeavesNoTasklets, needs_soft_switches


def wait(value=None):
    """Leave the run queue; the value when somebody runs the tasklet again."""
    return schedule_remove(value)


class Waiting:
    """Every special method waits in the middle."""

    def __init__(self, value=1):
        self.value = wait(value)

    def __repr__(self):
        return wait(f"Waiting({self.value})")

    def __enter__(self):
        return wait(self)

    def __exit__(self, *exc):
        wait()
        return exc[0] is KeyError

    def __add__(self, other):
        return wait(NotImplemented)

    def __eq__(self, other):
        return wait(self.value == other)

    def __bool__(self):
        return wait(bool(self.value))

    def __call__(self, *args, **kwargs):
        return wait((args, kwargs))

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return wait(name)

    def __getitem__(self, key):
        return wait(key * 2)

    def __setitem__(self, key, value):
        wait()
        self.value = key, value

    def __len__(self):
        return wait(3)

    def __contains__(self, item):
        return wait(item == 5)

    def __hash__(self):
        return wait(7)

    def __format__(self, spec):
        return wait("formatted" + spec)

    def __iter__(self):
        wait()
        return Iterator()

    @property
    def property(self):
        return wait("property")

    @property.setter
    def property(self, value):
        wait()
        self.value = value


class Right:
    def __radd__(self, other):
        return wait("radd")


class Iterator:
    def __init__(self):
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        wait()
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return self.left


class New:
    def __new__(cls, *args):
        wait()
        return super().__new__(cls)

    def __init__(self, *args):
        self.args = wait(args)


class Base:
    def f(self, n):
        return wait(n)


class Derived(Base):
    def f(self, n):
        return super().f(n) + wait(1)


class Awaitable:
    def __await__(self):
        wait()
        yield "awaited"
        return "result"


class AsyncContext:
    async def __aenter__(self):
        return wait("entered")

    async def __aexit__(self, *exc):
        wait()


class AsyncIterator:
    def __init__(self):
        self.left = 2

    def __aiter__(self):
        return self

    async def __anext__(self):
        wait()
        if self.left == 0:
            raise StopAsyncIteration
        self.left -= 1
        return self.left


def generate(n):
    try:
        for i in range(n):
            got = yield wait(i)
            if got:
                yield got
    finally:
        wait()


@contextlib.contextmanager
def managed():
    wait()
    try:
        yield wait("managed")
    finally:
        wait()


@functools.lru_cache
def cached(x):
    return wait(x + 1)


def decorated(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return f(*args, **kwargs)
    return wrapper


@decorated
def wrapped(a, *, b):
    return wait((a, b))


def drive(coroutine):
    """Run a coroutine to its end; what it awaits and its result."""
    values = []
    try:
        while True:
            values.append(coroutine.send(None))
    except StopIteration as stop:
        return values, stop.value


#: Each function waits a number of times, and returns something that can be compared.
PROGRAMS = []


def program(function):
    PROGRAMS.append(function)
    return function


@program
def iterators():
    def waiting(values):
        for value in values:
            yield wait(value)

    def both(a, b):
        return wait((a, b))

    return ([x for x in map(wait, [1, 2])], [x for x in map(both, waiting([1, 2]), waiting([3, 4]))],
            [x for x in filter(wait, [0, 1])], [x for x in zip([1, 2], waiting([3, 4]))],
            [x for x in zip(waiting([1]), waiting([2]), strict=True)], [x for x in enumerate(waiting("ab"), 5)],
            [x for x in itertools.chain([1], waiting([2, 3]))], [x for x in itertools.accumulate([1, 2, 3], both)],
            [x for x in itertools.starmap(both, [(1, 2)])], [x for x in itertools.islice(waiting("abcd"), 1, 3)],
            [x for x in itertools.takewhile(wait, [1, 2, 0, 3])], next(map(wait, [5])), next(zip(waiting([])), 7))


class Iterable:
    def __iter__(self):
        wait()
        return iter([3, 4])


@program
def loops():
    def waiting(values):
        for value in values:
            yield wait(value)

    def key(value):
        return -wait(value)

    return [list(waiting([1, 2])), tuple(waiting([1, 2])), set(waiting([1])), frozenset(waiting([2])),
            functools.reduce(lambda a, b: [a, wait(b)], [1, 2, 3]), b",".join(x.encode() for x in waiting("ab")),
            functools.reduce(lambda a, b: [a, b], waiting([1, 2]), 0), functools.reduce(max, waiting([1, 2])),
            list(Iterable()), sum(waiting([1, 2]), 10), any(waiting([0, 1])), all(waiting([1, 0])),
            min(waiting([3, 1, 2])), max([3, 1, 2], key=key), min(3, 1, key=key), sorted(waiting([2, 3, 1])),
            sorted([2, 3, 1], key=key), "-".join(waiting("ab")), 2 in waiting([1, 2]), 5 not in waiting([1, 2]),
            [*waiting("ab"), *waiting("c")], {*waiting([1])}, wrapped(*waiting([1]), b=2)]


class Asked(type):
    def __instancecheck__(cls, obj):
        return wait(obj == cls.__name__)

    def __subclasscheck__(cls, obj):
        return wait(obj.__name__ == cls.__name__)


class A(metaclass=Asked):
    pass


class B(metaclass=Asked):
    pass


class Log:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += wait(text)

    def flush(self):
        wait()


class Vague:
    """Compares to something whose truth has to be asked for."""

    def __init__(self, n):
        self.n = n

    def __eq__(self, other):
        return Waiting(self.n == other)

    def __lt__(self, other):
        return Waiting(self.n < other.n)

    def __gt__(self, other):
        return Waiting(self.n > other.n)


@program
def truths():
    def waiting(values):
        for value in values:
            yield wait(value)

    vague = [Vague(2), Vague(1), Vague(3)]
    return [any(waiting([Waiting(0), Waiting(1), 2])), all(waiting([Waiting(1), Waiting(0), 2])), 1 in waiting(vague),
            5 in waiting(vague), min(waiting(vague)).n, max(waiting(vague)).n, min(vague, key=lambda v: wait(v)).n,
            max(vague, key=lambda v: wait(v)).n]


@program
def takers():
    counts, numbers, log = collections.Counter("ab"), collections.deque([0], 3), Log()
    pairs, items_ = {0: 0}, [0]
    counts.update(wait(x) for x in "abc")
    numbers.extend(wait(x) for x in range(4))
    numbers.extendleft(wait(x) for x in "xy")
    pairs.update((x, wait(x)) for x in range(2))
    items_ += (wait(x) for x in range(2))
    print(1, Waiting(2), "three", file=log, flush=True)
    print(end=".", file=log)
    return [counts, numbers, pairs, items_, log.text, dict((wait(x), 1) for x in "ab"),
            bytes(wait(x) for x in range(3)), bytearray(wait(x) for x in range(3)),
            collections.deque(wait(x) for x in range(3)),
            collections.deque((wait(x) for x in range(3)), maxlen=2), {1}.union(wait(x) for x in range(3)),
            frozenset([1]).union(wait(x) for x in range(3)), isinstance("B", (int, A, B)), isinstance("C", A | B),
            "%s and %-20r" % (Waiting(1), Waiting(2)), "{}{!r:>20}{x}".format(Waiting(1), Waiting(2), x=Waiting(3)),
            isinstance("A", (A, (bytes, str))), issubclass(A, (B, A)), issubclass(int, (A, B))]


@program
def unpacking():
    a, b, c = items(3)
    d, *e = items(3)
    *f, g = Waiting()
    h, *i, (j, *k) = 1, 2, items(1)
    l, m = Iterable()
    [(n, o), *p] = items(2), *items(2)
    q, *r, s, t = (wait(x) for x in "abcd")
    return a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t


@program
def unpacking_that_fails():
    def failing(n):
        yield from items(n)
        raise KeyError(wait("failed"))

    def starred(x):
        a, b, *c = x
        return a, b, c

    out = []
    for make in lambda: items(1), lambda: items(5), lambda: failing(1), lambda: failing(3):
        try:
            a, b = make()
        except (ValueError, KeyError) as e:
            out.append((type(e), str(e), wait()))
        try:
            out.append(starred(make()))
        except (ValueError, KeyError) as e:
            out.append((type(e), str(e)))
    return out


@program
def sorting_in_place():
    numbers, words, nothing = [3, 1, 2], ["bb", "a", "ccc"], []

    def key(value):
        assert numbers == [] or words == []
        return -wait(value)

    def length(word):
        if len(word) == 3:
            numbers.sort(key=key, reverse=True)
        return wait(len(word))

    numbers.sort(key=key)
    words.sort(key=length)
    nothing.sort(key=key)
    return numbers, words, nothing


@program
def sorting_that_fails():
    def failing(value):
        return 1 // (wait(value) - 2)

    def changing(value):
        numbers.append(wait(7))
        return value

    def nested(value):
        numbers.sort(key=lambda x: wait(x))
        return -value

    out = []
    for key in failing, changing, nested:
        numbers = [3, 2, 1]
        try:
            numbers.sort(key=key)
        except (ZeroDivisionError, ValueError) as e:
            out.append(str(e))
        out.append(numbers)
    return out


@program
def plain_call():
    def inner(a, *args, b=2, **kwargs):
        return wait((a, args, b, kwargs))
    return inner(1), inner(1, 2, 3, b=4, c=5), (lambda x: wait(x))(6)


@program
def closure():
    n = 0

    def step():
        nonlocal n
        n += wait(2)
        return n
    return [step(), step(), n]


@program
def argument_unpacking():
    return wrapped(1, b=2), wrapped(*[wait(1)], **{"b": wait(2)})


@program
def for_loop():
    out = []
    for i in range(3):
        out.append(wait(i))
    for c in "ab":
        out.append(wait(c))
    for k, v in {"x": 1, "y": 2}.items():
        out.append((wait(k), v))
    return out


@program
def while_loop_and_try():
    n = 0
    while True:
        try:
            n += wait(1)
            if n > 3:
                break
            if n == 2:
                raise KeyError(n)
        except KeyError as e:
            n += wait(1)
            assert e.args == (2,)
        else:
            wait()
        finally:
            wait()
    return n


@program
def nested_exceptions():
    import sys
    try:
        raise ValueError(1)
    except ValueError as first:
        wait()
        assert sys.exc_info()[1] is first
        try:
            raise KeyError(2)
        except KeyError as second:
            wait()
            assert second.__context__ is first
            assert sys.exc_info()[1] is second
        assert sys.exc_info()[1] is first
        wait()
        try:
            raise
        except ValueError as again:
            return again is first, sys.exc_info()[1] is first


@program
def exception_group():
    out = []
    try:
        raise ExceptionGroup("g", [ValueError(1), KeyError(2)])
    except* ValueError as e:
        out.append(wait(repr(e)))
    except* KeyError as e:
        out.append(wait(repr(e)))
    return out


@program
def with_statement():
    with Waiting(3) as w, contextlib.suppress(ZeroDivisionError):
        wait()
        assert w.value == 3
        raise KeyError
    with managed() as m:
        wait()
    return m


@program
def comprehension():
    return ([wait(i) for i in range(3)], {wait(i) for i in range(2)}, {i: wait(i) for i in "ab"},
            [wait(x) + y for x in (1, 2) for y in (3, 4)])


@program
def generator_in_for():
    return [x for x in generate(3)]


@program
def generator_expression():
    out = []
    for x in (wait(i) + 1 for i in range(3)):
        out.append(x)
    return out


@program
def generator_methods():
    g = generate(5)
    out = [next(g), next(g, None), g.send("sent"), g.send(None)]
    try:
        g.throw(KeyError("thrown"))
    except KeyError as e:
        out.append(e.args)
    out.append(next(g, "default"))
    h = generate(2)
    out.append(next(h))
    h.close()
    return out


@program
def yield_from():
    def middle():
        result = yield from inner()
        yield wait(result)
        return "middle"

    def inner():
        got = yield from [1, 2]
        assert got is None
        try:
            yield wait("inner")
        except KeyError:
            yield wait("caught")
        return "done"

    out = []
    g = middle()
    for x in g:
        out.append(x)
        if x == "inner":
            out.append(g.throw(KeyError))
    return out


@program
def close_while_delegating():
    def inner():
        try:
            yield 1
        finally:
            wait()

    def outer():
        try:
            yield from inner()
        finally:
            wait()

    g = outer()
    next(g)
    g.close()
    return next(g, "ended")


@program
def coroutines():
    async def inner(x):
        return wait(x), await Awaitable()

    async def outer():
        out = [await inner(1)]
        async with AsyncContext() as entered:
            out.append(wait(entered))
        async for x in AsyncIterator():
            out.append(wait(x))
        out.append([x async for x in AsyncIterator()])
        return out

    return drive(outer())


@program
def instantiation():
    return Waiting(5).value, New(1, 2).args


@program
def operators():
    x = Waiting(1)
    return (x + Right(), x == 1, x != 1, not x, 5 in x, 4 in x, x[3], len(x), hash(x), bool(x), x and 2, x or 2,
            1 if x else 0, f"{x:spec}", f"{x!r}", repr(x), str(x))


@program
def truth_jumps():
    x, y = Waiting(1), Waiting(0)
    out = []
    n = 0
    while x:
        n += 1
        if y:
            out.append("never")
        elif not y:
            out.append(n)
        if n == 3:
            x = y
    return out, [i for i in (1, 2) if Waiting(i - 1)], x and 1, (y or x) is x


@program
def attributes():
    x = Waiting(1)
    x.property = 5
    value = x.value
    x[1] = 2
    return x.property, value, x.value, x.missing, getattr(x, "other"), getattr(x, "another", None), hasattr(x, "y")


class Setting:
    def __setattr__(self, name, value):
        value = wait(value)
        object.__setattr__(self, name, value)

    def __delattr__(self, name):
        name = wait(name)
        object.__delattr__(self, name)


@program
def attributes_set_by_name():
    x = Setting()
    results = [setattr(x, "a", 1), setattr(x, "b", 2), delattr(x, "a"), setattr(Waiting(1), "property", 5)]
    return results, vars(x)


@program
def calls():
    x = Waiting(1)
    return x(1, a=2), functools.partial(wrapped, 1)(b=2), cached(1), cached(1), x.__call__(3)


@program
def python_iterator():
    return [i for i in Waiting()], next(Iterator()), next(Iterator(), 0)


@program
def bound_method_of_super():
    return Derived().f(1)


@program
def match_statement():
    out = []
    for subject in [1, {"a": 2}, [3, 4], "x"]:
        match subject:
            case int(n) if wait(n):
                out.append(n)
            case {"a": a}:
                out.append(wait(a))
            case [first, *rest] if Waiting(first):
                out.append(wait(rest))
            case _:
                out.append(wait(subject))
    return out


@program
def many_values_on_the_stack():
    return [1, wait(2), (3, wait(4), {5: wait(6)}), wait(7) + wait(8) * wait(9)]


@program
def keyword_arguments_pending():
    def f(*args, **kwargs):
        return args, kwargs
    return f(1, wait(2), a=wait(3), b=f(x=wait(4))), print(end=wait(""))


@program
def builtin_iterators():
    it = Iterator()
    return ([x for x in map(wait, [1, 2])], [x for x in filter(wait, [0, 1, 2])],
            [x for x in zip(items(2), items(3))], [x for x in enumerate(items(2), 5)],
            [x for x in iter(it.__next__, 0)], next(map(wait, [3])),
            [x for x in itertools.chain(items(1), items(2))], [x for x in itertools.islice(items(5), 2)],
            [x for x in itertools.takewhile(wait, [1, 1, 0])], [x for x in itertools.accumulate(items(3))],
            [x for x in itertools.starmap(pair, [(1, 2), (3, 4)])], [x for x in itertools.dropwhile(wait, [1, 0, 1])])


def items(n):
    for i in range(n):
        yield wait(i)


def pair(a, b):
    return wait((a, b))


@program
def executed():
    namespace = {"wait": wait}
    exec("x = wait(1)\nfor i in range(2): x += wait(i)", namespace)
    return namespace["x"], eval("wait(5) + wait(6)")


@program
def async_generators():
    async def numbers(n):
        try:
            for i in range(n):
                await Awaitable()
                sent = yield wait(i)
                if sent:
                    yield sent
        finally:
            wait()

    async def main():
        out = []
        async for x in numbers(2):
            out.append(wait(x))
        g = numbers(3)
        out.append(await g.asend(None))
        out.append(await g.asend("sent"))
        out.append(await anext(g))
        out.append(await anext(g, "default"))
        await g.aclose()
        h = numbers(2)
        await h.__anext__()
        try:
            await h.athrow(KeyError)
        except KeyError:
            out.append("caught")
        out.append([x async for x in numbers(2)])
        return out
    return drive(main())


@program
def assertion_and_delete():
    x = [1, 2, 3]
    del x[wait(1)]
    a, *b, c = [wait(1), 2, 3, 4]
    assert wait(True), wait("not reached")
    global module_variable
    module_variable = wait(5)
    return x, a, b, c, module_variable


@program
def containers_from_generators():
    items_, set_ = [0], {0}
    items_.extend(items(2))
    set_.update(items(2))
    return items_, set_, max(items(3)), wrapped_without_keywords(*items(2)), wrapped_without_keywords(*items(1), b=3)


def wrapped_without_keywords(*args, **kwargs):
    return wait((args, kwargs))


@program
def contexts():
    def inner(value):
        old = VARIABLE.get(None)
        VARIABLE.set(wait(value))
        return old, VARIABLE.get()

    context = contextvars.Context()
    return context.run(inner, 1), contextvars.Context().run(inner, 2), stackless.getcurrent().context_run(wait, 3)


VARIABLE = contextvars.ContextVar("VARIABLE")


class Prepared(type):
    def __prepare__(name, bases, **kwargs):
        return wait({"prepared": name})


class Replaced:
    def __mro_entries__(self, bases):
        return wait((Base,))


@program
def class_bodies():
    class Plain:
        first = wait(1)

        def method(self):
            return __class__

        second = [wait(x) for x in (1, 2)]

    plain = Plain.first, Plain.second, Plain().method() is Plain
    del Plain

    class Made(Replaced(), metaclass=Prepared, **{"a": 1} if wait(0) else {}):
        third = wait(3)
        locals()["fourth"] = wait(4)

    return plain, Made.prepared, Made.third, Made.fourth, Made.__bases__


class Failure(Exception):
    def __init__(self):
        self.value = wait("value")


@program
def raised_classes():
    out = []
    try:
        raise Failure
    except Failure as e:
        out.append(e.value)
    return out


class Throwable:
    """An iterator with methods in Python, to which a generator delegates."""

    def __iter__(self):
        return self

    def __next__(self):
        return wait("next")

    def throw(self, *args):
        return wait("thrown")

    def close(self):
        wait()


@program
def delegation_to_an_object():
    def delegating():
        try:
            yield from Throwable()
        except GeneratorExit:
            yield wait("closed")

    g = delegating()
    out = [next(g), next(g), g.throw(KeyError)]
    out.append(g.throw(GeneratorExit))
    return out, next(g, None)


#: Between two instructions these have on the stack what does not pickle: the token of a ContextVar, a local class.
ONLY_WHERE_THEY_WAIT = [contexts, class_bodies]

#: With a changed value these may loop for ever.
ENDLESS_IF_CHANGED = [while_loop_and_try, truth_jumps]


def run_plain(function):
    """The result of the program, and how often it waits."""
    result = []
    t = tasklet(lambda: result.append(function()))()
    waits = 0
    t.run()
    while t.alive:
        waits += 1
        t.run()
    return result[0], waits


@needs_soft_switches
class TestConstructs(LeavesNoTasklets, unittest.TestCase):
    """Each program is moved at each place where it waits."""

    def check(self, function, each_step, protocol, dumps=pickle.dumps):
        cached.cache_clear()
        expected, waits = run_plain(function)
        self.assertGreater(waits, 0)
        for at in [None] if each_step else range(waits):
            cached.cache_clear()
            results = channel()
            results.preference = 1
            t = tasklet(deliver)(function, results)
            t.run()
            step = 0
            while t.alive and not t.blocked:
                self.assertFalse(t.scheduled)
                if at is None or at == step:
                    results, t = pickle.loads(dumps((results, t), protocol))
                step += 1
                t.run()
            self.assertEqual(results.receive(), expected)
            stackless.run()

    def test_move_once_at_every_wait(self):
        for function in PROGRAMS:
            with self.subTest(function.__name__):
                self.check(function, False, pickle.HIGHEST_PROTOCOL)

    def test_move_at_every_instruction(self):
        """The watchdog interrupts after each one, in code that is not specialised as in code that is."""
        for function in PROGRAMS:
            if function in ONLY_WHERE_THEY_WAIT:
                continue
            with self.subTest(function.__name__):
                cached.cache_clear()
                expected = run_plain(function)[0]
                cached.cache_clear()
                results = channel()
                results.preference = 1
                t = tasklet(deliver)(function, results)
                moves = 0
                while True:
                    interrupted = stackless.run(1)
                    if not t.alive or t.blocked:
                        break
                    self.assertIn(interrupted, (t, None))
                    results, t = pickle.loads(pickle.dumps((results, t)))
                    moves += 1
                    t.insert()
                self.assertEqual(results.receive(), expected)
                stackless.run()
                self.assertGreater(moves, 15)

    def test_every_shim_is_known_to_the_loader(self):
        import asyncio  # noqa: F401
        # The first is refused with its task, which does not pickle; the second is no place to wait; the third is
        # the first frame of an activation that C code has begun, where no tasklet waits softly.
        refused = {"<task step>", "<unfilled generator>", "<finalize>"}
        self.assertEqual(set(_wrap.unknown_shims()) - refused, set())

    def test_move_at_every_wait(self):
        for protocol in PROTOCOLS:
            for function in PROGRAMS:
                with self.subTest(function.__name__, protocol=protocol):
                    self.check(function, True, protocol)

    def test_python_pickler(self):
        for function in PROGRAMS:
            with self.subTest(function.__name__):
                self.check(function, True, 4, pickle._dumps)


def deliver(function, results):
    results.send(function())


if __name__ == "__main__":
    unittest.main()
