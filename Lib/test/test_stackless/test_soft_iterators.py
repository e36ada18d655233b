"""next() of map, filter, zip, enumerate, itertools and the like takes no C stack with Python code behind it, and
is what it is in CPython."""

import gc
import itertools
import operator
import os
import sys
import textwrap
import unittest
import weakref

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import TESTS, same_as_base
from .test_soft_constructs import Recursion


def generator(f, count=1):
    for _ in range(count):
        yield f()


class Iterator:
    """Calls f() in its first __next__()."""

    def __init__(self, f):
        self.f = f

    def __iter__(self):
        return self

    def __next__(self):
        if self.f is None:
            raise StopIteration
        f, self.f = self.f, None
        return f()


class Sequence:
    """Calls f() for its only item."""

    def __init__(self, f):
        self.f = f

    def __getitem__(self, index):
        if index > 0:
            raise IndexError
        return self.f()

    def __len__(self):
        return 1


class Value:
    """Calls f() when it is tested, compared or added."""

    def __init__(self, f):
        self.f = f

    def __bool__(self):
        return bool(self.f())

    def __eq__(self, other):
        return self.f()

    def __add__(self, other):
        return self.f()


#: Iterators that call f() when they are asked.
ITERATORS = {
    "map": lambda f: map(lambda x: f(), [1]),
    "map, two iterables": lambda f: map(lambda x, y: f(), generator(int), Iterator(int)),
    "map, generator": lambda f: map(str, generator(f)),
    "map, class": lambda f: map(type("C", (), {"__init__": lambda self, x: f() and None}), [1]),
    "map, nested": lambda f: map(str, map(lambda x: f(), [1])),
    "filter": lambda f: filter(lambda x: f(), [1]),
    "filter, truth": lambda f: filter(None, generator(lambda: Value(f))),
    "filter, iterator": lambda f: filter(None, Iterator(f)),
    "filter, nested": lambda f: filter(None, filter(lambda x: f(), generator(lambda: 1))),
    "zip": lambda f: zip([1], Iterator(f)),
    "zip, strict": lambda f: zip(generator(f), [1], strict=True),
    "zip_longest": lambda f: itertools.zip_longest([], Iterator(f)),
    "enumerate": lambda f: enumerate(generator(f)),
    "enumerate, nested": lambda f: enumerate(enumerate(map(lambda x: f(), [1]))),
    "reversed": lambda f: reversed(Sequence(f)),
    "__getitem__": lambda f: iter(Sequence(f)),
    "iter, callable": lambda f: iter(lambda: f(), 0),
    "iter, comparison": lambda f: iter(int, Value(lambda: not f())),
    "starmap": lambda f: itertools.starmap(lambda x: f(), [(1,)]),
    "starmap, generator": lambda f: itertools.starmap(len, generator(lambda: ([f()],))),
    "filterfalse": lambda f: itertools.filterfalse(lambda x: not f(), [1]),
    "takewhile": lambda f: itertools.takewhile(lambda x: f(), [1]),
    "takewhile, generator": lambda f: itertools.takewhile(bool, generator(f)),
    "dropwhile": lambda f: itertools.dropwhile(lambda x: not f(), [1]),
    "dropwhile, iterator": lambda f: itertools.dropwhile(callable, Iterator(f)),
    "chain": lambda f: itertools.chain([], generator(f)),
    "chain, of generator": lambda f: itertools.chain.from_iterable(generator(lambda: [f()])),
    "chain, __iter__": lambda f: itertools.chain([], type("C", (), {"__iter__": lambda self: iter([f()])})()),
    "islice": lambda f: itertools.islice(generator(f), 5),
    "islice, skipped": lambda f: itertools.islice(generator(f, 2), 1, 2),
    "accumulate": lambda f: itertools.islice(itertools.accumulate([1, 2], lambda x, y: f()), 1, 2),
    "accumulate, generator": lambda f: itertools.accumulate(generator(f)),
    "accumulate, +": lambda f: itertools.islice(itertools.accumulate(generator(lambda: Value(f), 2)), 1, 2),
    "compress": lambda f: itertools.compress([1], generator(f)),
    "compress, truth": lambda f: itertools.compress([1], generator(lambda: Value(f))),
    "pairwise": lambda f: itertools.pairwise(generator(f, 2)),
    "cycle": lambda f: itertools.cycle(generator(f)),
}


def by_for(it):
    for _ in it:
        break


def by_yield_from(it):
    def delegate():
        yield from it

    for _ in delegate():
        break


#: Ways to ask.
DRIVERS = {
    "for": by_for,
    "next": next,
    "next, default": lambda it: next(it, None),
    "__next__": lambda it: it.__next__(),
    "yield from": by_yield_from,
}


class Depth(unittest.TestCase):
    def test_depth(self):
        """At depth 50, the C stack stands where it stands at depth 2."""
        for name, make in ITERATORS.items():
            for driver, ask in DRIVERS.items():
                with self.subTest(name, driver=driver):
                    recursion = Recursion()
                    again = lambda: ask(make(lambda: recursion.step(again, 1)))
                    self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_many_levels(self):
        def down(left):
            return left and next(map(down, [left - 1]))

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10 ** 6)
        results = []
        try:
            stackless.tasklet(lambda: results.append(down(100_000)))()
            stackless.run()
        finally:
            sys.setrecursionlimit(limit)
        self.assertEqual(results, [0])

    def test_many_nested_iterators(self):
        it = generator(lambda: 1)
        for _ in range(20_000):
            it = map(lambda x: x + 1, it)
        self.assertEqual(next(it), 20_001)


class Frames(unittest.TestCase):
    def test_of_a_call_from_c(self):
        """Where map() has waited for a generator and then calls a C function, what that calls has the right caller."""
        class Named:
            def names(self):
                frame = sys._getframe()
                names = []
                while frame is not None and len(names) < 3:
                    names.append(frame.f_code.co_name)
                    frame = frame.f_back
                return names

        names = list(map(operator.methodcaller("names"), (Named() for _ in range(2))))
        self.assertEqual([each[:2] for each in names], [["names", "test_of_a_call_from_c"]] * 2)


@needs_soft_switches
class Restorable(LeavesNoTasklets, unittest.TestCase):
    def test_restorable(self):
        """A tasklet that blocks in the code behind has no C frames."""
        for name, make in ITERATORS.items():
            for driver, ask in DRIVERS.items():
                with self.subTest(name, driver=driver):
                    channel = stackless.channel()
                    tasklet = stackless.tasklet(lambda: ask(make(channel.receive)))()
                    stackless.run()
                    self.assertTrue(tasklet.blocked)
                    self.assertEqual((tasklet.pinned, tasklet.restorable), (None, True))
                    while tasklet.blocked:
                        channel.send(1)
                        stackless.run()
                    self.assertFalse(tasklet.alive)

    def test_killed_inside(self):
        for name, make in ITERATORS.items():
            with self.subTest(name):
                channel = stackless.channel()
                kept = [None]

                def wait():
                    kept[0] = weakref.ref(marker := Iterator(None))
                    channel.receive()
                    return marker

                tasklet = stackless.tasklet(lambda: by_for(make(wait)))()
                stackless.run()
                self.assertTrue(tasklet.blocked)
                tasklet.kill()
                gc.collect()
                self.assertIsNone(kept[0]())


class Differential(unittest.TestCase):
    """The base prints the same."""

    SCRIPT = os.path.join(TESTS, "test_stackless", "iterator_combinations.py")

    def test_values(self):
        printed = same_as_base(self, self.SCRIPT, "values")
        self.assertGreater(len(printed.splitlines()), 10_000)

    def test_events(self):
        printed = same_as_base(self, self.SCRIPT, "events")
        self.assertGreater(len(printed.splitlines()), 10_000)

    def check(self, script):
        printed = same_as_base(self, "-c", textwrap.dedent(script))
        self.assertGreater(len(printed.splitlines()), 2)

    def test_reentrancy(self):
        """The code behind asks the iterator that is asking it."""
        self.check('''
            import itertools
            for kind in (enumerate, zip, lambda g: map(lambda x: x, g), lambda g: filter(None, g),
                         itertools.chain, itertools.cycle, itertools.accumulate):
                def again():
                    yield 1
                    yield next(it)
                it = kind(again())
                try:
                    for x in it:
                        print(x)
                        if isinstance(x, int) and x > 5:
                            break
                except ValueError as error:
                    print(error)
                class Again:
                    left = 3
                    def __iter__(self):
                        return self
                    def __next__(self):
                        self.left -= 1
                        if self.left < 0:
                            raise StopIteration
                        return (self.left, next(it, None))
                it = kind(Again())
                print([x for x, _ in zip(it, range(5))])
            def call():
                return next(it2, 5)
            it2 = iter(call, 5)
            values = [3, 4]
            def call():
                value = values.pop()
                if value == 4:
                    print(list(iter2))
                return value
            iter2 = iter(lambda: values.pop() if values else 3, 3)
            print(next(iter2, "end"), list(iter2), next(iter2, "end"))
            ''')

    def test_references(self):
        """Nothing is kept that the base lets go, and the other way round."""
        self.check('''
            import itertools, weakref
            class C:
                pass
            def new(refs):
                for i in range(3):
                    obj = C()
                    refs.append(weakref.ref(obj))
                    yield obj
                    del obj
            for kind in (enumerate, zip, lambda g: map(lambda x: [x], g), lambda g: filter(None, g),
                         itertools.pairwise, itertools.chain, itertools.cycle,
                         lambda g: itertools.takewhile(lambda x: True, g),
                         lambda g: itertools.islice(g, 1, 3), lambda g: zip(g, range(3), strict=True)):
                refs = []
                it = kind(new(refs))
                for x in it:
                    del x
                    print([r() is None for r in refs])
                    if len(refs) == 3:
                        break
                print([r() is None for r in refs])
                del it
                print([r() is None for r in refs])
            ''')

    def test_islice_that_its_source_advances(self):
        """What an iterator written in Python does to the islice that is asking it."""
        self.check('''
            import itertools
            class Source:
                def __init__(self, *args):
                    self.n, self.inside, self.islice = 0, False, itertools.islice(self, *args)
                def __iter__(self):
                    return self
                def __next__(self):
                    self.n += 1
                    if self.n % 3 == 0 and not self.inside:
                        self.inside = True
                        got.append(('inner', next(self.islice, 'end')))
                        self.inside = False
                    return self.n * 1000
            for args in (None,), (5,), (2, 30, 3), (0, 50, 7), (3, None, 4), (1, 9, 2**62):
                source, got = Source(*args), []
                for item in source.islice:
                    got.append(item)
                    if len(got) > 40:
                        break
                print(got, source.n)
            ''')

    def test_subclasses(self):
        self.check('''
            class M(map):
                def __next__(self):
                    return super().__next__() + 1
            class E(enumerate):
                pass
            print(list(M(lambda x: x, [1, 2])), [x for x in M(lambda x: x, [1, 2])])
            print(next(M(lambda x: x, [1])), next(M(lambda x: x, []), None))
            print(list(E(x for x in "ab")), [x for x in E(x for x in "ab")], next(E(x for x in "ab")))
            ''')


if __name__ == "__main__":
    unittest.main()
