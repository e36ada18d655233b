"""What exhausts an iterator in Python, or calls a key function, takes no C stack, and is what it is in CPython."""

import collections
import functools
import io
import re
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion
from .test_soft_iterators import Iterator, Sequence, generator


def unpack(x):
    a, = x
    return a


def unpack_starred(x):
    a, *b = x
    return a, b


def starred_before(x):
    *a, b = x
    return a, b


def received(*args, **kwargs):
    return args, kwargs


def extended(x):
    result = []
    result.extend(x)
    return result


def updated(x):
    result = {0}
    result.update(x)
    return result


def grown(x):
    result = [0]
    result += x
    return result


def sort(key):
    result = [1]
    result.sort(key=key)
    return result


#: What exhausts an iterable of one item.
EXHAUSTERS = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset, "sum": sum, "any": any, "all": all,
    "min": min, "max": max, "sorted": sorted, "[*]": lambda x: [*x], "{*}": lambda x: {*x},
    "(*,)": lambda x: (0, *x), "f(*)": lambda x: received(*x), "f(*, **)": lambda x: received(*x, key=1),
    "unpack": unpack, "starred": unpack_starred, "starred before": starred_before,
    "list.extend": extended, "set.update": updated,
    "+=": grown, "set.union": lambda x: {1}.union(x), "frozenset.union": lambda x: frozenset().union(x),
    "in": lambda x: 3 in x, "not in": lambda x: 3 not in x, "max, default": lambda x: max(x, default=1),
    "reduce": lambda x: functools.reduce(max, x), "reduce, initial": lambda x: functools.reduce(lambda a, b: b, x, 0),
}

#: The same, of iterators that are generators or the base's.
ITEM_TAKERS = {
    "bytes": bytes, "bytearray": bytearray, "deque": collections.deque,
    "deque, maxlen": lambda x: collections.deque(x, 1), "deque.extend": lambda x: collections.deque().extend(x),
    "Counter": collections.Counter,
    "deque.extendleft": lambda x: collections.deque().extendleft(x), "dict": lambda x: dict((i, i) for i in x),
    "dict.update": lambda x: {}.update((i, i) for i in x),
}


class ClassAskedInPython(type):
    def __instancecheck__(cls, obj):
        return cls.ask(obj)

    def __subclasscheck__(cls, obj):
        return cls.ask(obj)


class Text:
    """What str() and print() have to ask, and a file to write to."""

    def __init__(self, ask):
        self.ask = ask

    def __str__(self):
        self.ask(1)
        return "text"

    def write(self, text):
        self.ask(text)

    flush = __str__


def asked(ask):
    return ClassAskedInPython("Asked", (), {"ask": staticmethod(ask)})


#: What calls key(x).
KEYS = {
    "sorted": lambda key: sorted([1], key=key), "list.sort": sort, "min": lambda key: min([1], key=key),
    "max": lambda key: max(1, 2, key=key), "sorted, generator": lambda key: sorted(generator(int), key=key),
    "list(map)": lambda key: list(map(key, [1])), "sum(map)": lambda key: sum(map(key, (1,))),
    "join": lambda key: "".join(str(key(x)) for x in [1]), "unpack_ex": lambda key: unpack_starred(map(key, [1])),
    "isinstance, many": lambda key: isinstance(5, (str, asked(key), int)),
    "isinstance, union": lambda key: isinstance(5, str | asked(key)),
    "issubclass, many": lambda key: issubclass(int, (str, asked(key))),
    "print": lambda key: print(Text(key), file=io.StringIO()), "print, file": lambda key: print(1, file=Text(key)),
    "print, flush": lambda key: print(end="", file=Text(lambda x: x or key(x)), flush=True),
    "reduce": lambda key: functools.reduce(lambda x, y: key(y), [1, 2]),
    "reduce, initial": lambda key: functools.reduce(lambda x, y: key(y), [1], 0),
    "bytes.join": lambda key: b"".join(str(key(x)).encode() for x in [1]),
}


class Depth(unittest.TestCase):
    def check(self, recursion, again):
        for _ in range(10):
            recursion.pointer_at(2, again)   # warm, so that what can be specialised is
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_iterables(self):
        for name, exhaust in EXHAUSTERS.items():
            for make in generator, Iterator, Sequence, lambda f: map(lambda x: f(), [1]):
                with self.subTest(name, make=make):
                    recursion = Recursion()

                    def again():
                        exhaust(make(lambda: recursion.step(again, 1)))
                    self.check(recursion, again)

    def test_items(self):
        for name, take in ITEM_TAKERS.items():
            for make in generator, lambda f: map(lambda x: f(), [1]):
                with self.subTest(name, make=make):
                    recursion = Recursion()

                    def again():
                        take(make(lambda: recursion.step(again, 1)))
                    self.check(recursion, again)

    def test_keys(self):
        for name, call in KEYS.items():
            with self.subTest(name):
                recursion = Recursion()

                def again():
                    call(lambda x: recursion.step(again, 1))
                self.check(recursion, again)


@needs_soft_switches
class Suspended(LeavesNoTasklets, unittest.TestCase):
    def test_restorable_inside(self):
        results = []
        t = stackless.tasklet(lambda: results.append(sorted([2, 1], key=stackless.schedule_remove)))()
        u = stackless.tasklet(lambda: results.append(list(generator(lambda: stackless.schedule_remove(5)))))()
        stackless.run()
        self.assertEqual((u.restorable, u.nesting_level), (True, 0))
        u.run()
        self.assertEqual(results, [[5]])
        t.kill()

    def test_a_list_that_is_dropped_in_mid_sort(self):
        t = stackless.tasklet(sort)(lambda x: stackless.schedule_remove())
        stackless.run()
        self.assertTrue(t.restorable)
        t.kill()
        self.assertFalse(t.alive)


PROGRAM = r'''
import collections, functools, sys

def g(*a): yield from a
def failing(*a):
    yield from a
    raise KeyError("at the end")
class I:
    def __init__(self, *a): self.i = iter(a)
    def __iter__(self): print("iter"); return self
    def __next__(self): return next(self.i)
    def __length_hint__(self): print("hint"); return 3
class BadHint(I):
    def __length_hint__(self): raise ZeroDivisionError
class AnotherIterator(I):
    def __iter__(self):
        print("again")
        self.again = hasattr(self, "again")
        return iter("xyz") if self.again else self
class Dying(I):
    def __del__(self): print("dead")
class HugeHint(I):
    def __length_hint__(self): return sys.maxsize
class BadIter:
    def __iter__(self): raise TypeError("no")
class S:
    def __getitem__(self, i):
        if i > 2: raise IndexError
        return i
class NoBool:
    def __bool__(self): raise ValueError("no truth")
    def __repr__(self): return "NoBool"
    def __hash__(self): return 1

def unpack(x): a, b = x; return a, b
def starred(x): a, *b, c = x; return a, b, c
def starred_first(x): *a, b = x; return a, b
def starred_last(x): a, b, *c = x; return a, b, c
def extend(x): l = [1]; l.extend(x); return l
def update(x): s = {1}; s.update(x); return sorted(s, key=str)
def grow(x): l = [1]; l += x; return l
def dict_update(x): d = {"a": 0}; d.update(x); return d
def deque_extend(x): d = collections.deque([0], 3); d.extend(x); return d
def deque_extendleft(x): d = collections.deque([0], 3); d.extendleft(x); return d
class Counts(collections.Counter):
    def __setitem__(self, key, value): print("set", key, value); super().__setitem__(key, value)
def star(*a, **k): return a, k
def show(f):
    try:
        print(f())
    except BaseException as e:
        tb, lines = e.__traceback__, []
        while tb: lines.append((tb.tb_frame.f_code.co_name, tb.tb_lineno)); tb = tb.tb_next
        print(type(e), e, lines)

ROWS = [list, tuple, lambda x: sorted(set(x), key=str), lambda x: sorted(frozenset(x), key=str),
    lambda x: [0, *x], lambda x: sorted({0, *x}, key=str), lambda x: (0, *x), unpack, starred, starred_first,
    starred_last, extend, update, sum, any, all, min, max, lambda x: min(x, key=lambda v: -v),
    lambda x: max(x, key=lambda v: -v, default=9),
    lambda x: max(x, default=7), lambda x: max(x, default=None, key=None), sorted, lambda x: sorted(x, reverse=True),
    lambda x: sorted(x, key=lambda v: -v), lambda x: sorted(x, key=str, reverse=1), ",".join, b",".join,
    lambda x: 1 in x, lambda x: 1 not in x, lambda x: "b" in x, lambda x: star(*x), lambda x: star(1, *x, z=2),
    lambda x: star(*x, **{"k": 1}), lambda x: sum(x, start=5), lambda x: sum(x, []), lambda x: sum(x, ""),
    lambda x: functools.reduce(lambda a, b: [a, b], x), lambda x: functools.reduce(lambda a, b: [a, b], x, 0),
    lambda x: functools.reduce(3, x), lambda x: functools.reduce(max, x), lambda x: functools.reduce(lambda: 0, x, x),
    lambda x: functools.reduce(lambda a, b: 0, 5), lambda x: functools.reduce(lambda a, b: 0, x, 1, 2),
    grow, lambda x: sorted({0}.union(x), key=str), lambda x: sorted(frozenset([0]).union(x), key=str), bytes, bytearray,
    lambda x: sorted({1}.union(x, x), key=str), lambda x: dict((a, 1) for a in x), dict, dict_update,
    lambda x: dict(x, a=1),
    lambda x: dict([a, 2] for a in x), lambda x: dict(iter([a, 1]) for a in x), lambda x: dict((a, 2, 3) for a in x),
    lambda x: dict(a + "b" for a in x), collections.deque, lambda x: collections.deque(x, 2), deque_extend,
    deque_extendleft, lambda x: collections.deque(x, maxlen=1), lambda x: collections.deque(x, maxlen=-1),
    lambda x: collections.deque(x, 0), lambda x: collections.deque(iterable=x), lambda x: collections.deque(x, bad=1),
    collections.Counter, Counts, lambda x: collections.Counter(a for a in [*x] * 2),
    lambda x: bytes(a + 253 for a in x), lambda x: bytearray(a * 100 for a in x), lambda x: bytes(x, "ascii"),
    lambda x: max(*x, key=lambda v: v), lambda x: min(x, bad=1), lambda x: list(x, x), lambda x: sorted(x, key=3)]
MAKERS = [g, failing, I, AnotherIterator, Dying, lambda *a: BadHint(*a), HugeHint, lambda *a: BadIter(), lambda *a: S(),
    lambda *a: map(lambda x: x, a), lambda *a: zip(g(*a), a)]
for _ in range(3):
    for make in MAKERS:
        for items in (), (1,), (3, 1, 2), (3, 1), ("a", "b"), ([],), (True, 0.5), (NoBool(), NoBool()):
            for row in ROWS:
                if make is HugeHint and row is ROWS[0]: continue
                show(lambda: row(make(*items)))

def sort(l, **k): l.sort(**k); return l
L = [3, 1, 2]
def look(v): print(len(L), L); return v
def append(v): L.append(v); return v
def nested(v): L.sort(); L.sort(key=lambda x: x); return -v
def fail(v): L.append(1); 1 / 0
show(lambda: sort([3, 1, 2], key=lambda v: -v))
show(lambda: sort([3, 1, 2], key=lambda v: v, reverse=1))
show(lambda: sort([(1, "b"), (0, "c"), (1, "a")], key=lambda v: v[0], reverse=True))
show(lambda: sort([3, 1, 2], key=lambda v: 1 // (v - 2)))
show(lambda: sort([3, 1, 2], key=lambda v: v, reverse="no"))
for key in look, append, nested, fail:
    show(lambda: sort(L, key=key))
    print(L)

class Meta(type):
    def __instancecheck__(cls, obj): print("asked about", obj); return cls.answer
    def __subclasscheck__(cls, obj): print("asked about", obj.__name__); return cls.answer
class Yes(metaclass=Meta): answer = [1]
class No(metaclass=Meta): answer = ""
class Fails(metaclass=Meta): answer = NoBool()
for classes in (No, Yes, Fails), (No, No), (int, Yes), (No, int), (No, (No, Yes)), (No, 5), (5, No), (), (No, ()), \
        No | str, No | Yes, str | None | No, (No | bytes, int), (No, list[int]), No | list[int], (No, int | str):
    for _ in range(3):
        show(lambda: isinstance(7, classes))
        show(lambda: issubclass(int, classes))

for leaf in int, str, No:
    deep = leaf
    for _ in range(sys.getrecursionlimit() + 5): deep = (deep,)
    show(lambda: isinstance(7, deep))
    show(lambda: issubclass(int, deep))

class Log:
    def write(self, *args): print("write", args, file=sys.__stdout__)
    def flush(self, *args): print("flush", args, file=sys.__stdout__); return 1 // self.n
    n = 1
class Proxy:
    def __getattr__(self, name): print("getattr", name, file=sys.__stdout__); return getattr(Log(), name)
class Broken(Log):
    def write(self, text): raise OSError(text)
class NoFlush:
    write = print
class Text:
    def __str__(self): return "Text()"
class Repr:
    def __repr__(self): return "Repr()"
class Wrong:
    def __str__(self): return 5
class Words(str):
    def __str__(self): return "other words"
failing_flush = Log()
failing_flush.n = 0
for file in Log(), Proxy(), Broken(), None, sys.__stdout__, NoFlush(), object(), 5, failing_flush:
    for args in (), (1,), ("a", Text()), (Repr(), 2, 3), (1, Wrong(), 2), (Words("w"),):
        show(lambda: print(*args, file=file))
        show(lambda: print(*args, file=file, sep=", ", end="."))
        show(lambda: print(*args, file=file, sep=Words("s"), end=None, flush=True))
        show(lambda: print(*args, file=file, sep=None, flush=[1]))
        show(lambda: print(*args, file=file, sep=5))
        show(lambda: print(*args, file=file, end=b""))
        show(lambda: print(*args, file=file, other=b""))
        sys.stdout = file
        try:
            print(*args, flush=True)
        except Exception as e:
            print(repr(e), file=sys.__stdout__)
        finally:
            sys.stdout = sys.__stdout__
del sys.stdout
try: print(Text())
except Exception as e: error = e
sys.stdout = sys.__stdout__
print(repr(error))

events = []
def tracer(frame, event, arg):
    events.append((frame.f_code.co_name, event, frame.f_lineno - frame.f_code.co_firstlineno, repr(arg)[:60],
                   frame.f_back.f_code.co_name))
    return tracer
def traced(row, make):
    try: row(make(2, 1))
    except Exception as e: events.append(repr(e))
for make in g, failing, I, S, lambda *a: map(lambda x: x, a):
    for row in ROWS[:29]:
        sys.settrace(tracer)
        traced(row, make)
        sys.settrace(None)
        print(events); events.clear()
'''


class Differences(unittest.TestCase):
    def test_same_as_base(self):
        same_as_base(self, "-c", PROGRAM, clean=lambda text: re.sub("0x[0-9a-f]+", "0x", text))


if __name__ == "__main__":
    unittest.main()
