"""What exhausts an iterator in Python, or calls a key function, takes no C stack, and is what it is in CPython."""

import functools
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
    "in": lambda x: 3 in x, "not in": lambda x: 3 not in x, "max, default": lambda x: max(x, default=1),
    "reduce": lambda x: functools.reduce(max, x), "reduce, initial": lambda x: functools.reduce(lambda a, b: b, x, 0),
}

#: What calls key(x).
KEYS = {
    "sorted": lambda key: sorted([1], key=key), "list.sort": sort, "min": lambda key: min([1], key=key),
    "max": lambda key: max(1, 2, key=key), "sorted, generator": lambda key: sorted(generator(int), key=key),
    "list(map)": lambda key: list(map(key, [1])), "sum(map)": lambda key: sum(map(key, (1,))),
    "join": lambda key: "".join(str(key(x)) for x in [1]), "unpack_ex": lambda key: unpack_starred(map(key, [1])),
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
import functools, sys

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
