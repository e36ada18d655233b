"""The language's own constructs take no C stack when they lead from Python to Python.

Each row recurses through one construct, and a C function called at the bottom tells where the C stack stands:
at depth 50 it stands where it stands at depth 2.
"""

import sys
import textwrap
import types
import unittest

import stackless
from _stackless import _c_stack_pointer
from .interpreters import check_python


class Recursion:
    """Counts the levels that are left, and notes the C stack at the bottom."""

    def __init__(self):
        self.left = 0
        self.pointer = None

    def step(self, again, value=None):
        """One level down by again(), or the bottom; returns the value."""
        if self.left == 0:
            self.pointer = _c_stack_pointer()
        else:
            self.left -= 1
            again()
        return value

    def pointer_at(self, depth, again):
        self.left = depth
        again()
        return self.pointer


#: Special method, code that calls it for `x`, and what the method returns.
EXPRESSIONS = [
    ("neg", "-x", 1), ("pos", "+x", 1), ("invert", "~x", 1),
    ("add", "x + 1", 1), ("radd", "1 + x", 1), ("mul", "x * 2", 1), ("pow", "x ** 2", 1),
    ("matmul", "x @ 2", 1), ("rmatmul", "2 @ x", 1), ("mod", "x % 2", 1), ("floordiv", "x // 1", 1),
    ("iadd", "y = x; y += 1", 1), ("ipow", "y = x; y **= 1", 1), ("divmod", "divmod(x, 1)", 1),
    ("rdivmod", "divmod(1, x)", 1), ("pow", "pow(x, 1)", 1),
    ("lt", "x < 1", True), ("gt", "1 < x", True), ("eq", "x == 1", True), ("eq", "x != 1", True),
    ("ne", "x != 1", True),
    ("bool", "not x", True), ("bool", "\nif x: pass", False), ("bool", "\nwhile x: pass", False),
    ("bool", "x or 1", True), ("bool", "x and 1", True), ("bool", "bool(x)", True),
    ("len", "not x", 0), ("len", "len(x)", 3), ("len", "\nif x: pass", 0),
    ("contains", "1 in x", 1), ("contains", "1 not in x", 0),
    ("getitem", "x[1]", 1), ("setitem", "x[1] = 2", None), ("delitem", "del x[1]", None),
    ("repr", "repr(x)", "r"), ("str", "str(x)", "s"), ("repr", "str(x)", "r"), ("format", "format(x)", "f"),
    ("format", "f'{x}'", "f"), ("format", "f'{x:5}'", "f"), ("str", "f'{x!s}'", "s"),
    ("repr", "f'{x!r:4}'", "r"), ("hash", "hash(x)", 4), ("abs", "abs(x)", 4), ("int", "int(x)", 3),
    ("float", "float(x)", 3.0), ("round", "round(x)", 2), ("round", "round(x, 2)", 2), ("dir", "dir(x)", []),
    ("reversed", "reversed(x)", 1), ("iter", "iter(x)", iter([])), ("iter", "\nfor i in x: pass", iter([])),
    ("next", "next(x)", 1), ("next", "next(x, None)", 1),
    ("getattr", "x.name", 1), ("getattr", "getattr(x, 'name')", 1), ("getattr", "getattr(x, 'name', 1)", 1),
    ("getattr", "hasattr(x, 'name')", 1), ("getattr", "x.name.bit_length()", 1),
    ("setattr", "x.name = 1", None), ("setattr", "setattr(x, 'name', 1)", None),
    ("delattr", "del x.name", None), ("delattr", "delattr(x, 'name')", None),
    ("call", "x()", 1), ("call", "x(*(1, 2), key=3)", 1),
]


class Depth(unittest.TestCase):
    """No construct nests the C stack, neither the generic instruction nor a specialised one."""

    def check(self, recursion, again):
        for _ in range(10):
            recursion.pointer_at(2, again)   # warm, so that what can be specialised is
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_special_methods(self):
        for name, source, value in EXPRESSIONS:
            with self.subTest(name, source=source):
                recursion = Recursion()
                namespace = {}
                exec(f"def again(x):\n {source}".replace("\n", "\n "), namespace)
                again = namespace["again"]
                cls = type("C", (), {})
                obj = cls()
                def method(self, *args, _step=recursion.step, _again=again, _value=value, **kwargs):
                    return _step(lambda: _again(self), _value)
                setattr(cls, f"__{name}__", method)
                self.check(recursion, lambda obj=obj, again=again: again(obj))

    def test_properties(self):
        recursion = Recursion()
        step = recursion.step

        class C:
            @property
            def got(self):
                return step(lambda: self.got)

            @property
            def set(self):
                return None

            @set.setter
            def set(self, value):
                step(lambda: setattr(self, "set", value))

            @set.deleter
            def set(self):
                step(lambda: delattr(self, "set"))

        class Derived(C):
            @property
            def got(self):
                return super().got

        for again in (lambda: C().got, lambda: Derived().got, lambda: setattr(C(), "set", 1),
                      lambda: delattr(C(), "set")):
            self.check(recursion, again)

    def test_descriptors(self):
        recursion = Recursion()
        step = recursion.step

        class Descriptor:
            def __get__(self, obj, cls):
                return step(lambda: C.attribute if obj is None else obj.attribute)

            def __set__(self, obj, value):
                step(lambda: setattr(obj, "attribute", value))

            def __delete__(self, obj):
                step(lambda: delattr(obj, "attribute"))

        class C:
            attribute = Descriptor()

        for again in (lambda: C().attribute, lambda: C.attribute, lambda: setattr(C(), "attribute", 1),
                      lambda: delattr(C(), "attribute")):
            self.check(recursion, again)

    def test_attribute_hooks(self):
        recursion = Recursion()
        step = recursion.step

        class Getattribute:
            def __getattribute__(self, name):
                return step(lambda: self.name)

        class Both:
            def __getattribute__(self, name):
                raise AttributeError(name)

            def __getattr__(self, name):
                return step(lambda: self.name)

        class AfterProperty:
            @property
            def name(self):
                raise AttributeError

            def __getattr__(self, name):
                return step(lambda: self.name)

        class Super:
            def __getattribute__(self, name):
                return super().__getattribute__(name)

            def __setattr__(self, name, value):
                super().__setattr__(name, value)

            name = property(lambda self: step(lambda: self.name),
                            lambda self, value: step(lambda: setattr(self, "name", value)))

        for cls in (Getattribute, Both, AfterProperty, Super):
            with self.subTest(cls.__name__):
                self.check(recursion, lambda cls=cls: cls().name)
        self.check(recursion, lambda: setattr(Super(), "name", 1))
        module = types.ModuleType("module")
        module.__getattr__ = lambda name: step(lambda: module.name)
        self.check(recursion, lambda: module.name)

    def test_class_calls(self):
        recursion = Recursion()
        step = recursion.step

        class Init:
            def __init__(self, *args, **kwargs):
                step(lambda: Init(*args, **kwargs))

        class New:
            def __new__(cls, *args, **kwargs):
                step(lambda: cls(*args, **kwargs))
                return super().__new__(cls)

        class NewAndInit:
            def __new__(cls, *args, **kwargs):
                return super().__new__(cls)

            def __init__(self, *args, **kwargs):
                step(lambda: NewAndInit(*args, **kwargs))

        class Meta(type):
            def __call__(cls, *args, **kwargs):
                return super().__call__(*args, **kwargs)

        class OfMeta(metaclass=Meta):
            def __init__(self, *args, **kwargs):
                step(lambda: OfMeta(*args, **kwargs))

        for cls in (Init, New, NewAndInit, OfMeta):
            with self.subTest(cls.__name__):
                self.check(recursion, lambda cls=cls: cls(1))
                self.check(recursion, lambda cls=cls: cls(*(1,), key=2))

    def test_metaclasses(self):
        recursion = Recursion()
        step = recursion.step

        class Meta(type):
            def __instancecheck__(cls, obj):
                return step(lambda: isinstance(1, cls), True)

            def __subclasscheck__(cls, other):
                return step(lambda: issubclass(int, cls), True)

            def __getattr__(cls, name):
                return step(lambda: cls.name)

            def __getitem__(cls, index):
                return step(lambda: cls[1])

            @property
            def got(cls):
                return step(lambda: cls.got)

        class C(metaclass=Meta):
            pass

        class Generic:
            def __class_getitem__(cls, index):
                return step(lambda: cls[1])

        for again in (lambda: isinstance(1, C), lambda: issubclass(int, C), lambda: C.name, lambda: C[1],
                      lambda: C.got, lambda: Generic[1]):
            self.check(recursion, again)

    def test_iteration(self):
        recursion = Recursion()
        step = recursion.step

        class Iterator:
            def __iter__(self):
                return self

            def __next__(self):
                step(self.loop)
                raise StopIteration(5)

            def loop(self):
                for _ in self:
                    self.fail()

        class Missing(dict):
            def __missing__(self, key):
                return step(lambda: self[1])

        self.check(recursion, lambda: Iterator().loop())
        self.check(recursion, lambda: Missing()[1])

    def test_chains(self):
        recursion = Recursion()
        step = recursion.step

        class Left:
            def __add__(self, other):
                return NotImplemented

            def __eq__(self, other):
                return Truth()

        class Right:
            def __radd__(self, other):
                return step(lambda: Left() + Right())

        class Truth:
            def __bool__(self):
                return step(lambda: Left() != 1, True)

        self.check(recursion, lambda: Left() + Right())
        self.check(recursion, lambda: Left() != 1)


class Deep(unittest.TestCase):
    def test_many_levels(self):
        """Bounded by the recursion limit and memory alone."""
        class Down:
            def __init__(self, left=0):
                if left:
                    Down(left - 1)

            def __add__(self, left):
                return left and self + (left - 1)

            left = 0

            @property
            def next(self):
                self.left -= 1
                return self.left > 0 and self.next

        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(10 ** 6)
        try:
            for run in (lambda: Down(100_000), lambda: Down() + 100_000):
                stackless.tasklet(run)()
            obj = Down()
            obj.left = 100_000
            stackless.tasklet(lambda: obj.next)()
            stackless.run()
        finally:
            sys.setrecursionlimit(limit)
        self.assertEqual(obj.left, 0)


class Semantics(unittest.TestCase):
    """What could go wrong where C is not asked."""

    def test_attribute_errors_name_the_attribute(self):
        class C:
            @property
            def name(self):
                raise AttributeError("no")

        obj = C()
        with self.assertRaises(AttributeError) as caught:
            obj.name
        self.assertEqual((caught.exception.name, caught.exception.obj), ("name", obj))
        self.assertEqual(getattr(obj, "name", 5), 5)
        self.assertFalse(hasattr(obj, "name"))
        with self.assertRaises(AttributeError) as caught:
            object.__getattribute__(obj, "name")
        self.assertIsNone(caught.exception.name)

    def test_setters_pass_stop_iteration_on(self):
        class C:
            def __setattr__(self, name, value):
                raise StopIteration

        with self.assertRaises(StopIteration):
            setattr(C(), "name", 1)

    def test_hook_that_goes_away(self):
        class C:
            def __getattr__(self, name):
                return 1

            def __getattribute__(self, name):
                del C.__getattr__
                raise AttributeError("gone")

        with self.assertRaisesRegex(AttributeError, "gone"):
            C().name

    def test_descriptor_that_goes_away(self):
        class Key:
            def __hash__(self):
                return hash("name")

            def __eq__(self, other):
                if hasattr(C, "name"):
                    del C.name
                return False

        class Descriptor:
            def __get__(self, obj, cls):
                return 1

        class C:
            name = Descriptor()

        obj = C()
        obj.__dict__[Key()] = 0
        self.assertEqual(obj.name, 1)

    def test_getattr_of_a_module_that_changes(self):
        class Module(types.ModuleType):
            @property
            def name(self):
                vars(self).update(after)
                if not after:
                    del vars(self)["__getattr__"]
                raise AttributeError("gone")

        def hook(name):
            return "old"

        def new_hook(name):
            return "new"

        for after, expected in [({"__getattr__": new_hook}, "new"), ({"__getattr__": len}, 4)]:
            module = Module("module")
            module.__getattr__ = hook
            self.assertEqual(module.name, expected)
        after = {}
        for name, message in [("module", "module 'module' has no attribute 'name'"),
                              (5, "module has no attribute 'name'")]:
            module = Module("module")
            module.__getattr__ = hook
            module.__name__ = name
            with self.assertRaisesRegex(AttributeError, message):
                module.name

    def test_missing_that_changes(self):
        class Key:
            def __hash__(self):
                C.__missing__ = after
                return 5

        class C(dict):
            pass

        def missing(self, key):
            return "old"

        for after, expected in [(lambda self, key: "new", "new"), (staticmethod(type), Key)]:
            C.__missing__ = missing
            self.assertEqual(C()[Key()], expected)

    def test_counts_that_change(self):
        printed = check_python(self, "-c", textwrap.dedent('''
            import collections

            class Count:
                def __add__(self, other):
                    counts.clear()
                    return NotImplemented

            counts = collections.Counter()
            counts["key"] = Count()
            try:
                counts.update(key for key in ["key"])
            except TypeError as error:
                print(error)
            '''), PYTHONMALLOC="debug")
        self.assertEqual(printed, "unsupported operand type(s) for +: 'Count' and 'int'\n")

    def test_comparison_by_a_property(self):
        class C:
            @property
            def __eq__(self):
                raise AttributeError

        self.assertFalse(C() == C())

    def test_order_of_operands(self):
        calls = []

        class Base:
            def __add__(self, other):
                calls.append("Base.__add__")
                return NotImplemented

            def __radd__(self, other):
                calls.append("Base.__radd__")
                return NotImplemented

        class Same(Base):
            pass

        class Overrides(Base):
            def __radd__(self, other):
                calls.append("Overrides.__radd__")
                return NotImplemented

        for right, expected in [(Base(), ["Base.__add__"]),
                                (Same(), ["Base.__add__", "Base.__radd__"]),
                                (Overrides(), ["Overrides.__radd__", "Base.__add__"])]:
            calls.clear()
            with self.assertRaisesRegex(TypeError, "unsupported operand"):
                Base() + right
            self.assertEqual(calls, expected)

    def test_results_are_checked(self):
        for name, source, wrong, message in [
                ("bool", "not x", 1, "__bool__ should return bool, returned int"),
                ("len", "len(x)", -1, "should return >= 0"),
                ("len", "len(x)", "a", "cannot be interpreted as an integer"),
                ("repr", "repr(x)", 1, "__repr__ returned non-string"),
                ("str", "f'{x!s}'", 1, "__str__ returned non-string"),
                ("format", "f'{x}'", 1, "__format__ must return a str, not int"),
                ("hash", "hash(x)", "a", "should return an integer"),
                ("int", "int(x)", 1.0, "__int__ returned non-int"),
                ("float", "float(x)", 1, r"C\.__float__ returned non-float"),
                ("iter", "iter(x)", 1, "returned non-iterator of type 'int'")]:
            with self.subTest(name, source=source):
                cls = type("C", (), {f"__{name}__": lambda self, *args, _wrong=wrong: _wrong})
                with self.assertRaisesRegex((TypeError, ValueError), message):
                    eval(source, {"x": cls()})


# For programs: run an operation again and again, each time with a collection at a later one of its allocations.
COLLECTING = """
import gc, sys

def change_while(change, operation):
    for number in range(25):
        def hook(phase, info):
            if phase == "start" and armed:
                armed.clear()
                change()
        operation.prepare()
        gc.disable()
        gc.collect()
        armed, kept = [True], [{} for _ in range(200)]   # the free list of dicts is empty now
        gc.callbacks.append(hook)
        gc.set_threshold(gc.get_count()[0] + number)
        gc.enable()
        try:
            result = operation()
        except Exception as error:
            result = error
        gc.set_threshold(0)
        armed.clear()
        gc.callbacks.remove(hook)
        print(number, repr(result), file=sys.__stdout__)
"""


class Collections(unittest.TestCase):
    """The code that a collection runs may take away what the operation that allocates works with."""

    def check(self, program):
        # What is freed is overwritten at once.
        printed = check_python(self, "-c", COLLECTING + textwrap.dedent(program), PYTHONMALLOC="debug")
        self.assertEqual(len(printed.splitlines()), 25)

    def test_methods_of_a_class(self):
        self.check(r'''
            class Call:
                def prepare(self):
                    global C
                    namespace = {}
                    exec("class C:\n def __new__(cls, *args): return object.__new__(cls)\n"
                         " def __init__(self, *args): pass\n def __repr__(self): return 'C()'", namespace)
                    C = namespace.pop("C")
                def __call__(self):
                    return C(*range(30))
            def change():
                for name in "__new__", "__init__":
                    delattr(C, name)
            change_while(change, Call())
        ''')

    def test_partial(self):
        self.check('''
            import functools
            class Call:
                def prepare(self):
                    global p
                    p = functools.partial(f, 1, 2, k=3)
                def __call__(self):
                    return p(4, q=5)
            def f(*args, **kwargs):
                return len(args), kwargs
            def change():
                p.__setstate__((f, (1,) * 100_000, {"a": 1}, {}))
            change_while(change, Call())
        ''')

    def test_a_staticmethod(self):
        self.check('''
            import functools
            class Call:
                def prepare(self):
                    global s
                    s = staticmethod(functools.partial(f, *range(30), k=3))
                def __call__(self):
                    return len(s(4, q=5)[0])
            def f(*args, **kwargs):
                return args, kwargs
            def change():
                s.__init__(len)
            change_while(change, Call())
        ''')

    def test_standard_output(self):
        self.check('''
            class Writer:
                def write(self, text):
                    pass
                def flush(self):
                    pass
            class Call:
                def prepare(self):
                    sys.stdout = Writer()
                def __call__(self):
                    print(*range(30))
            def change():
                sys.stdout = Writer()
            change_while(change, Call())
        ''')

    def test_builtins_of_exec(self):
        self.check('''
            class Call:
                def prepare(self):
                    global names
                    names = {"__builtins__": {"len": len}}
                def __call__(self):
                    exec(code, names)
                    return names.get("n")
            code = compile("n = len('abc')", "<code>", "exec")
            def change():
                names["__builtins__"] = {"len": len}
            change_while(change, Call())
        ''')


class TestOddNames(unittest.TestCase):
    """The name of an attribute can be an instance of a subclass of str."""

    def test_getattr_hasattr_setattr(self):
        class Name(str):
            pass

        class Plain:
            pass

        class Slotted:
            __slots__ = ("attribute",)

        for cls in Plain, Slotted:
            for _ in range(5):
                obj = cls()
                setattr(obj, Name("attribute"), 1)
                self.assertEqual(getattr(obj, Name("attribute")), 1)
                self.assertEqual(getattr(obj, Name("attribute"), 2), 1)
                self.assertEqual(getattr(obj, Name("other"), 2), 2)
                self.assertTrue(hasattr(obj, Name("attribute")))
                self.assertFalse(hasattr(obj, Name("other")))
                self.assertEqual(object.__getattribute__(obj, Name("attribute")), 1)
                delattr(obj, Name("attribute"))
                self.assertFalse(hasattr(obj, Name("attribute")))


if __name__ == "__main__":
    unittest.main()
