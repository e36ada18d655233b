"""functools.partial and functools.lru_cache take no C stack, and behave as in CPython.

The scripts of class Differential run on the base as well, and have to print the same.
"""

import functools
import sys
import textwrap
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion


class Partial(functools.partial):
    pass


def with_attribute(partial):
    """A partial object that does not merge with the one around it."""
    partial.attribute = 1
    return partial


class Depth(unittest.TestCase):
    """Recursion nests frames, not C calls."""

    def check(self, make):
        recursion = Recursion()
        again = make(lambda *args, **kwargs: recursion.step(again))
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_partial(self):
        self.check(lambda f: functools.partial(f, 1))
        self.check(lambda f: functools.partial(f, 1, key=2))
        self.check(lambda f: lambda: functools.partial(f, 1, key=2)(2, key=3))
        self.check(lambda f: lambda: functools.partial(f, *range(20))(*range(20), **{"key": 3}))
        self.check(lambda f: Partial(Partial(f, 1), 2, key=3))
        self.check(lambda f: functools.partial(with_attribute(functools.partial(f, 1, key=1)), 2, key=3))

    def test_partial_of_other_callables(self):
        class Callable:
            def __init__(self, f):
                self.f = f

            def __call__(self, *args):
                self.f()

            method = __call__

        self.check(lambda f: functools.partial(Callable(f), 1))
        self.check(lambda f: functools.partial(Callable(f).method, 1))
        self.check(lambda f: functools.partial(type("C", (), {"__init__": lambda self, *args: f()}), 1))

    def test_partialmethod(self):
        class C:
            def method(self, *args, **kwargs):
                self.f()

            shorter = functools.partialmethod(method, 1, key=2)
            of_partial = functools.partialmethod(functools.partial(method, key=2), 1)

        for name in ("shorter", "of_partial"):
            def make(f):
                obj = C()
                obj.f = f
                return lambda: getattr(obj, name)(3)
            self.check(make)

    def test_lru_cache(self):
        counter = iter(range(1000))
        for maxsize in (None, 10, 0):
            for typed in (False, True):
                def make(f):
                    cached = functools.lru_cache(maxsize, typed)(f)
                    return lambda: cached(next(counter), "a", key=1.5)
                with self.subTest(maxsize=maxsize, typed=typed):
                    self.check(make)

    def test_lru_cache_of_a_method(self):
        counter = iter(range(1000))

        def make(f):
            class C:
                method = functools.lru_cache(lambda self, *args: f())

            obj = C()
            return lambda: obj.method(next(counter))

        self.check(make)

    def test_lru_cache_of_partial(self):
        counter = iter(range(1000))

        def make(f):
            cached = functools.cache(functools.partial(f, 1))
            return lambda: cached(next(counter))

        self.check(make)


class Deep(unittest.TestCase):
    def test_many_levels(self):
        @functools.cache
        def cached(left):
            return left and cached(left - 1)

        def count(step, left):
            return left and functools.partial(count, step)(left - step)

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10 ** 6)
        results = []
        try:
            stackless.tasklet(lambda: results.append(cached(100_000)))()
            stackless.tasklet(lambda: results.append(count(1, 100_000)))()
            stackless.run()
        finally:
            sys.setrecursionlimit(limit)
        self.assertEqual(results, [0, 0])
        self.assertEqual(cached.cache_info().misses, 100_001)


@needs_soft_switches
class Restorable(LeavesNoTasklets, unittest.TestCase):
    """A tasklet that blocks in the function behind has no C frames."""

    def blocked_in(self, function):
        channel = stackless.channel()
        results = []
        tasklet = stackless.tasklet(lambda: results.append(function(channel.receive)))()
        stackless.run()
        self.assertTrue(tasklet.blocked)
        self.assertTrue(tasklet.restorable)
        channel.send(7)
        stackless.run()
        return results[0]

    def test_partial(self):
        self.assertEqual(self.blocked_in(functools.partial(lambda a, receive: a + receive(), 1)), 8)

    def test_lru_cache(self):
        cached = functools.lru_cache(5)(lambda receive: receive() + 1)
        self.assertEqual(self.blocked_in(cached), 8)
        self.assertEqual(cached.cache_info().currsize, 1)

    def test_same_key_from_two_tasklets(self):
        """Both miss; the second result finds the first one stored."""
        for maxsize, kept in ((None, "second"), (5, "first")):
            channel = stackless.channel()
            cached = functools.lru_cache(maxsize)(lambda x: channel.receive())
            results = []
            for _ in range(2):
                stackless.tasklet(lambda: results.append(cached(1)))()
            stackless.run()
            channel.send("first")
            channel.send("second")
            stackless.run()
            self.assertEqual(results, ["first", "second"])
            self.assertEqual(cached(1), kept)
            self.assertEqual(cached.cache_info()[:2], (1, 2))


class Differential(unittest.TestCase):
    """The base prints the same."""

    def check(self, script):
        printed = same_as_base(self, "-c", textwrap.dedent(script))
        self.assertGreater(len(printed.splitlines()), 5)

    def test_partial(self):
        self.check('''
            from functools import partial
            import sys, traceback

            class P(partial):
                pass

            def f(a, b=2, *args, c=3, **kwargs):
                return a, b, args, c, kwargs

            def try_(function, *args, **kwargs):
                try:
                    print(function(*args, **kwargs))
                except Exception as error:
                    print(type(error), error, [e.name for e in traceback.extract_tb(error.__traceback__)])

            tagged = partial(f, 1, c=4, d=5)
            tagged.tag = 1
            for p in (partial(f), partial(f, 1), partial(f, 1, c=5), partial(f, d=1, e=2),
                      P(P(f, 1, d=1), 2, d=3, e=4), partial(tagged, 2, e=5, c=6), partial(f, a=1),
                      partial(f, *range(30), **{"k%d" % i: i for i in range(30)})):
                for again in range(3):
                    try_(p)
                    try_(p, 7)
                    try_(p, 7, d=8, c=9)
                    try_(p, e=1, d=2)
                    try_(p, a=1, a_=2)
                    try_(p, *range(20), **{"k%d" % i: -i for i in range(0, 30, 5)})
            broken = partial(f, 1)
            broken.keywords[1] = 2
            try_(broken)
            try_(partial(lambda: 1 / 0))
            try_(partial(len, [1, 2]))
            events = []
            def g(x):
                return x
            sys.settrace(lambda frame, event, arg: events.append((event, frame.f_code.co_name)))
            partial(g, 1)()
            partial(partial(g), x=1)()
            sys.settrace(None)
            print(*events, sep="\\n")
            ''')

    def test_lru_cache(self):
        self.check('''
            from functools import lru_cache, partial
            import random, sys, traceback

            class Equal:
                """All alike, and it tells who asks."""
                def __init__(self, name):
                    self.name = name
                def __hash__(self):
                    print("hash", self.name)
                    return 5
                def __eq__(self, other):
                    print("eq", self.name)
                    return True

            def f(*args, **kwargs):
                if args == (3,):
                    raise ValueError("three")
                return [args, kwargs]

            for maxsize in (None, 0, 1, 3):
                for typed in (False, True):
                    cached = lru_cache(maxsize, typed)(f)
                    chosen = random.Random(5)
                    for i in range(300):
                        args = chosen.choice([(1,), (1.0,), (True,), ("a",), (1, 2), (1, 2.0), (), (3,), ((1, 2),),
                                              (None,), (int,), (len,), (f,), (frozenset((1,)),), ([],), (Equal(i),),
                                              (5,)])
                        kwargs = chosen.choice([{}, {}, {}, {"a": 1}, {"b": 1, "a": 2}, {"a": 2, "b": 1},
                                                {"a": []}])
                        try:
                            print(args and type(args[0]).__name__, len(cached(*args, **kwargs)),
                                  cached.cache_info())
                        except Exception as error:
                            names = [e.name for e in traceback.extract_tb(error.__traceback__)]
                            print(type(error), error, names, cached.cache_info())

            for maxsize in (None, 0, 2, 5):
                values = iter(range(1000))
                depth = 0
                @lru_cache(maxsize)
                def same(x):
                    """The same key again, inside."""
                    global depth
                    print(same.cache_info())
                    depth += 1
                    if depth < 4:
                        same(x)
                        same(x + depth)
                    return next(values)
                print(same(1), same(1), same(2), same(3), same(1), same.cache_info())

                @lru_cache(maxsize)
                def clears(x):
                    cache_info = clears.cache_info()
                    clears.cache_clear()
                    return cache_info
                print(clears(1), clears(1), clears(2), clears(1), clears.cache_info())

                cached = lru_cache(maxsize)(partial(f, 1))
                print(cached(2), cached(2), cached(key=2), cached.cache_info())

                class C:
                    @lru_cache(maxsize)
                    def method(self, x):
                        return x
                obj = C()
                print(obj.method(1), obj.method(1), C.method(obj, 1), C.method.cache_info())

            events = []
            @lru_cache
            def g(x):
                return x
            def tracer(frame, event, arg):
                events.append((event, frame.f_code.co_name))
                return tracer
            for setter in (sys.settrace, sys.setprofile):
                setter(tracer)
                g(1)
                g(1)
                g(len(events))
                setter(None)
                print(events)
            ''')

    def test_unwanted_references(self):
        """The function is the cache's own again, and nothing is left over."""
        self.check('''
            from functools import lru_cache
            import gc, sys
            def f(x, key=0):
                return [x]
            cached = lru_cache(4)(f)
            before = sys.getrefcount(f)
            for i in range(20):
                cached(i % 7)
                cached("a", key=i % 3)
                print(sys.getrefcount(f) - before, f in gc.get_referents(cached),
                      sys.getrefcount(cached))
            ''')


if __name__ == "__main__":
    unittest.main()
