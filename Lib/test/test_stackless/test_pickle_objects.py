"""Objects that frames often hold pickle, at the place where they are, and share what they refer to."""

import array
import collections
import contextvars
import copy
import functools
import gc
import io
import itertools
import operator
import pickle
import subprocess
import sys
import types
import unittest

import stackless
from stackless import _typenames

from .cases import Pickled

VARIABLE = contextvars.ContextVar("VARIABLE")


def double(x, y=0):
    return 2 * x + y


def compare(a, b):
    return b - a


class Base:
    def __init__(self, name="base"):
        self.name = name

    def method(self):
        return "Base", self.name

    def __hidden(self):
        return "hidden"

    def hidden(self):
        return self.__hidden

    @classmethod
    def of_class(cls):
        return cls.__name__

    @property
    def prop(self):
        """The name."""
        return self.name

    @functools.lru_cache
    def cached(self, x):
        return x


class Derived(Base):
    def method(self):
        return "Derived", self.name

    def upper(self):
        return super()

    @classmethod
    def upper_of_class(cls):
        return super()


class Items:
    """A sequence by __getitem__ alone."""

    def __getitem__(self, index):
        if index > 3:
            raise IndexError
        return index

    def __len__(self):
        return 4


def after(steps, iterator):
    for _ in range(steps):
        next(iterator)
    return iterator


def after_at_most(steps, iterator):
    for _ in range(steps):
        next(iterator, None)
    return iterator


def results(obj):
    """All that an iterator has left; the groups of groupby as lists."""
    left = []
    for item in itertools.islice(obj, 20):
        if isinstance(item, tuple) and len(item) == 2 and isinstance(item[1], itertools._grouper):
            item = item[0], list(item[1])
        left.append(item)
    return left


DICT = {"one": 1, "two": 2, "three": 3}
ORDERED = collections.OrderedDict(DICT)
WORDS = ["one", "two", "three"]

# What makes an iterator; its type must survive, unless it is in LISTS.
ITERATORS = {
    "dict": lambda: iter(DICT),
    "dict.values": lambda: iter(DICT.values()),
    "dict.items": lambda: iter(DICT.items()),
    "reversed dict": lambda: reversed(DICT),
    "reversed dict.values": lambda: reversed(DICT.values()),
    "reversed dict.items": lambda: reversed(DICT.items()),
    "OrderedDict": lambda: iter(ORDERED),
    "OrderedDict.items": lambda: iter(ORDERED.items()),
    "reversed OrderedDict": lambda: reversed(ORDERED),
    "set": lambda: iter({3, 1, 2}),
    "frozenset": lambda: iter(frozenset({3, 1, 2})),
    "list": lambda: iter(WORDS),
    "reversed list": lambda: reversed(WORDS),
    "tuple": lambda: iter((1, 2, 3)),
    "reversed tuple": lambda: reversed((1, 2, 3)),
    "str": lambda: iter("abc"),
    "str beyond ASCII": lambda: iter("a\u0431c"),
    "bytes": lambda: iter(b"abc"),
    "bytearray": lambda: iter(bytearray(b"abc")),
    "range": lambda: iter(range(3, 9, 2)),
    "long range": lambda: iter(range(2**70, 2**70 + 5)),
    "reversed range": lambda: reversed(range(5)),
    "memoryview": lambda: iter(memoryview(b"abc")),
    "memoryview of numbers": lambda: iter(memoryview(array.array("d", [1.0, 2.0, 3.0]))),
    "deque": lambda: iter(collections.deque([1, 2, 3])),
    "reversed deque": lambda: reversed(collections.deque([1, 2, 3])),
    "array": lambda: iter(array.array("i", [1, 2, 3])),
    "sequence by __getitem__": lambda: iter(Items()),
    "reversed sequence by __getitem__": lambda: reversed(Items()),
    "iter(callable, sentinel)": lambda: iter(functools.partial(next, iter([5, 6, 7, 8])), 8),
    "zip": lambda: zip(WORDS, "abc"),
    "zip strict": lambda: zip(WORDS, "abc", strict=True),
    "map": lambda: map(double, [1, 2, 3], [1, 1, 1]),
    "filter": lambda: filter(double, [1, 0, 3]),
    "enumerate": lambda: enumerate("abc", 5),
    "enumerate from afar": lambda: enumerate("abc", 2**70),
    "accumulate": lambda: itertools.accumulate([1, 2, 3], operator.mul, initial=2),
    "chain": lambda: itertools.chain([1, 2], [3]),
    "chain.from_iterable": lambda: itertools.chain.from_iterable([[1, 2], [3]]),
    "combinations": lambda: itertools.combinations("abcd", 2),
    "combinations_with_replacement": lambda: itertools.combinations_with_replacement("abc", 2),
    "compress": lambda: itertools.compress("abcd", [1, 0, 1, 1]),
    "count": lambda: itertools.count(3, 2),
    "count of floats": lambda: itertools.count(0.5),
    "cycle": lambda: itertools.cycle([1, 2, 3]),
    "dropwhile": lambda: itertools.dropwhile(operator.not_, [0, 1, 0, 2]),
    "filterfalse": lambda: itertools.filterfalse(None, [0, 1, 0, 0]),
    "groupby": lambda: itertools.groupby("aabbcc"),
    "islice": lambda: itertools.islice(range(20), 1, 15, 3),
    "pairwise": lambda: itertools.pairwise([1, 2, 3, 4]),
    "permutations": lambda: itertools.permutations("abc"),
    "product": lambda: itertools.product("ab", "cd"),
    "repeat": lambda: itertools.repeat("x", 3),
    "repeat for ever": lambda: itertools.repeat("x"),
    "starmap": lambda: itertools.starmap(double, [(1, 2), (3, 4), (5, 6)]),
    "takewhile": lambda: itertools.takewhile(bool, [1, 2, 3, 0, 4]),
    "tee": lambda: itertools.tee([1, 2, 3])[1],
    "zip_longest": lambda: itertools.zip_longest([1], [1, 2, 3], fillvalue=9),
}
# These come back as iterators over lists: what they iterate has another order, or hides its place.
LISTS = {"OrderedDict", "OrderedDict.items", "reversed OrderedDict", "set", "frozenset"}

# Values that come back equal.
VALUES = {
    "slice": slice(1, 2, 3),
    "Ellipsis": ...,
    "NotImplemented": NotImplemented,
    "alias": list[int],
    "alias of a dict": dict[str, tuple[int, ...]],
    "union": int | str,
    "simple namespace": types.SimpleNamespace(a=1, b=[2]),
    "mapping proxy": types.MappingProxyType({"a": 1}),
    "namespace of a class": vars(Base),
    "keys of a dict": DICT.keys(),
    "items of a dict": DICT.items(),
    "keys of an OrderedDict": ORDERED.keys(),
    "builtin function": len,
    "builtin class method": dict.fromkeys,
    "class method": Derived.of_class,
    "method of a metaclass": Base.mro,
    "slot": list.__add__,
    "method descriptor": list.append,
    "class method descriptor": dict.__dict__["fromkeys"],
    "attribute descriptor": BaseException.__dict__["__cause__"],
    "slot of a class": collections.deque.__dict__["maxlen"],
    "context variable": VARIABLE,
    "cached function": Base.__dict__["cached"],
    "memoryview": memoryview(b"abc"),
    "memoryview of numbers": memoryview(array.array("h", [1, 2, 3])),
    "memoryview with a shape": memoryview(b"abcdef").cast("B", (2, 3)),
}

# (object, the question that the loaded one must answer alike)
ANSWERS = {
    "bound method": (Base("x").method, lambda m: m()),
    "method found by no name": (Base("x").hidden(), lambda m: m()),
    "method of super()": (Derived("x").upper().method, lambda m: m()),
    "builtin method": ([1, 2].count, lambda m: m(2)),
    "method-wrapper": ([1].__add__, lambda m: m([2])),
    "super()": (Derived("x").upper(), lambda s: s.method()),
    "super() of a class": (Derived.upper_of_class(), lambda s: s.of_class()),
    "super of no object": (super(Derived), lambda s: s.__get__(Derived("y")).method()),
    "partial": (functools.partial(double, 2, y=1), lambda p: p()),
    "partialmethod": (functools.partialmethod(Base.method), lambda p: p.__get__(Base("z"))()),
    "property": (Base.__dict__["prop"], lambda p: (p.fget(Base("z")), p.__doc__)),
    "class method": (Base.__dict__["of_class"], lambda c: c.__get__(None, Derived)()),
    "static method": (staticmethod(double), lambda s: s(4)),
    "itemgetter": (operator.itemgetter(1, 0), lambda g: g("ab")),
    "attrgetter": (operator.attrgetter("name", "prop"), lambda g: g(Base("z"))),
    "methodcaller": (operator.methodcaller("split", ","), lambda g: g("a,b")),
    "lru_cache of a lambda": (functools.lru_cache(7, True)(lambda x: x + 1), lambda f: (f(1), f.cache_parameters())),
    "cmp_to_key": (functools.cmp_to_key(compare), lambda k: sorted([1, 3, 2], key=k)),
    "key of cmp_to_key": (functools.cmp_to_key(compare)(5), lambda k: (k.obj, k < functools.cmp_to_key(compare)(4))),
    "values of a dict": (DICT.values(), list),
    "bomb": (stackless.bomb(ValueError, ValueError("bang")), lambda b: (b.type, str(b.value), b.traceback)),
}


class TestIterators(Pickled):
    def test_at_every_place(self):
        for name, make in ITERATORS.items():
            for steps in range(4):
                expected = results(after_at_most(steps, make()))
                for loaded in self.each(after_at_most(steps, make())):
                    with self.subTest(name, steps=steps):
                        if name not in LISTS:
                            self.assertIs(type(loaded), type(make()) if steps < 3 else type(loaded))
                        self.assertEqual(results(loaded), expected)

    def test_pickling_does_not_move_them(self):
        for name, make in ITERATORS.items():
            with self.subTest(name):
                iterator = after(1, make())
                pickle.dumps(iterator)
                self.assertEqual(results(iterator), results(after(1, make())))

    def test_copies(self):
        for name, make in ITERATORS.items():
            for copied in copy.copy, copy.deepcopy:
                with self.subTest(name, copied=copied.__name__):
                    if copied is copy.copy and name in ("groupby", "tee"):
                        continue   # share their source, or copy themselves
                    self.assertEqual(results(copied(after(1, make()))), results(after(1, make())))

    def test_go_on_over_the_same_container(self):
        for make in iter, reversed:
            with self.subTest(make=make.__name__, of="list"):
                words = list(WORDS)
                loaded, iterator = pickle.loads(pickle.dumps((words, after(1, make(words)))))
                loaded[1] = "changed"
                self.assertEqual(next(iterator), "changed")
            with self.subTest(make=make.__name__, of="dict"):
                loaded, iterator = pickle.loads(pickle.dumps((DICT, after(1, make(DICT)))))
                loaded["four"] = 4
                with self.assertRaisesRegex(RuntimeError, "changed size"):
                    next(iterator)

    def test_share_what_they_iterate(self):
        shared = iter([1, 2, 3, 4])
        first, second = pickle.loads(pickle.dumps((zip(shared, shared), map(double, shared))))
        self.assertEqual(next(first), (1, 2))
        self.assertEqual(next(second), 6)
        self.assertEqual(next(shared), 1)

    def test_exhausted_ones_stay_so(self):
        for make in (lambda: iter([1]), lambda: reversed([1]), lambda: iter({1: 2}), lambda: iter(memoryview(b"a")),
                     lambda: itertools.pairwise([1])):
            iterator = make()
            list(iterator)
            for loaded in self.each(iterator):
                self.assertIs(type(loaded), type(iterator))
                self.assertEqual(list(loaded), [])

    def test_a_list_that_holds_its_own_iterator(self):
        for make, left in (iter, ["b"]), (reversed, ["a"]):
            items = ["a", None, "b"]
            items[1] = after(2, make(items))
            for loaded in self.each(items):
                self.assertEqual(list(loaded[1]), left)

    def test_a_dict_that_holds_its_own_iterator(self):
        items = {"a": 1, "b": None, "c": 3}
        items["b"] = after(1, iter(items))
        for loaded in self.each(items):
            self.assertEqual(list(loaded["b"]), ["b", "c"])

    def test_index_of_an_image(self):
        from _stackless import _wrap

        for wrong in (-1, -(2**62)):
            with self.assertRaisesRegex(ValueError, "cannot go on at"):
                _wrap.set_list_index(iter([]), wrong)
        with self.assertRaisesRegex(TypeError, "over a list, not int"):
            _wrap.set_list_index(1, 1)
        with self.assertRaisesRegex(TypeError, "over a memoryview, not list"):
            _wrap.memory_index([])
        far = iter([1])
        _wrap.set_list_index(far, 2**62)
        self.assertEqual(list(far), [])


class TestTypesWithoutAName(Pickled):
    """generator is found nowhere under that name; a tasklet may still have it on its stack."""

    def test_types(self):
        for cls in _typenames.TYPE_NAMES:
            for loaded in self.each(cls):
                self.assertIs(loaded, cls)

    def test_all_types_of_the_module_types(self):
        for name in types.__all__:
            cls = getattr(types, name)
            if isinstance(cls, type):
                for loaded in self.each(cls):
                    self.assertIs(loaded, cls)

    def test_the_picklers_agree(self):
        for cls in types.GeneratorType, type(iter([])), int, type(None):
            for protocol in 4, 5:
                self.assertEqual(pickle.dumps(cls, protocol), pickle._dumps(cls, protocol))

    def test_namespaces_stay_those_of_their_classes(self):
        gc.freeze()
        self.addCleanup(gc.unfreeze)
        for cls in Base, Derived, Items, int, type, object, types.MappingProxyType:
            for loaded in self.each(vars(cls)):
                self.assertIs(gc.get_referents(loaded)[0], gc.get_referents(vars(cls))[0], cls)

    def test_methods_of_such_types(self):
        for cls in _typenames.TYPE_NAMES:
            for name, value in vars(cls).items():
                if isinstance(value, (types.MethodDescriptorType, types.WrapperDescriptorType)):
                    for loaded in self.each(value):
                        self.assertIs(loaded, value, name)

    def test_all_iterators(self):
        for name, make in ITERATORS.items():
            if name == "array":
                continue   # its module hides the type
            with self.subTest(name):
                for loaded in self.each(type(make())):
                    self.assertIs(loaded, type(make()))

    def test_without_stackless_they_are_refused(self):
        script = "import pickle, types\ntry: pickle.dumps(types.GeneratorType)\nexcept Exception as e: print(e)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        self.assertIn("attribute lookup generator on builtins failed", done.stdout)


class TestOthers(Pickled):
    def test_values(self):
        for name, value in VALUES.items():
            for loaded in self.each(value):
                with self.subTest(name):
                    self.assertIs(type(loaded), type(value))
                    self.assertEqual(loaded, value)

    def test_answers(self):
        for name, (obj, ask) in ANSWERS.items():
            for loaded in self.each(obj):
                with self.subTest(name):
                    self.assertIs(type(loaded), type(obj))
                    self.assertEqual(ask(loaded), ask(obj))

    def test_copies(self):
        for name, value in VALUES.items():
            for copied in copy.copy, copy.deepcopy:
                if name.startswith("memoryview") or "namespace of" in name or copied(value) is value:
                    continue
                with self.subTest(name, copied=copied.__name__):
                    self.assertEqual(copied(value), value)

    def test_views_see_the_same_dict(self):
        loaded, view = pickle.loads(pickle.dumps((DICT, DICT.keys())))
        loaded["four"] = 4
        self.assertIn("four", view)

    def test_bound_methods_that_have_a_name_pickle_as_ever(self):
        class Plain(pickle.Pickler):
            dispatch_table = {}

        for method in Derived.of_class, Base.mro, Base("x").method:
            plain = io.BytesIO()
            Plain(plain, 4).dump(method)
            self.assertEqual(pickle.dumps(method, 4), plain.getvalue())

    def test_identity_of_self(self):
        base = Base("x")
        loaded, method = pickle.loads(pickle.dumps((base, base.hidden())))
        self.assertIs(method.__self__, loaded)

    def test_memoryview_of_a_part(self):
        with self.assertRaisesRegex(TypeError, r"a part of an object: copy it by bytes\(view\)"):
            pickle.dumps(memoryview(b"abc")[1:])

    def test_memoryviews_keep_what_they_are(self):
        data = bytearray(b"abc")
        loaded, view, fixed = pickle.loads(pickle.dumps((data, memoryview(data), memoryview(data).toreadonly())))
        view[0] = 120
        self.assertEqual(loaded, b"xbc")
        self.assertEqual((view.readonly, fixed.readonly), (False, True))

    def test_context(self):
        context = contextvars.Context()
        context.run(VARIABLE.set, [1])
        for loaded in self.each(context):
            self.assertEqual(list(loaded.items()), [(VARIABLE, [1])])

    def test_context_variable_without_a_name(self):
        with self.assertRaisesRegex(TypeError, "cannot pickle context variable 'nowhere': no module has it"):
            pickle.dumps(contextvars.ContextVar("nowhere"))

    def test_weak_references_are_refused(self):
        import weakref

        with self.assertRaisesRegex(TypeError, "cannot pickle 'weakref.ReferenceType' object"):
            pickle.dumps(weakref.ref(Base))


if __name__ == "__main__":
    unittest.main()
