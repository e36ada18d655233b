"""Class instantiation and `with` without a C call: every corner of it.

Nothing here knows of tasklets: every test passes on CPython 3.11 as well.
"""

import copy
import gc
import pickle
import sys
import traceback
import unittest
import weakref


class Thing:
    """An object that can be watched."""


class TestInstantiation(unittest.TestCase):
    def make_often(self, make):
        """Often enough for every adaptive instruction to specialise, then once more."""
        def call():
            return make()

        for _ in range(100):
            call()
        return call()

    def test_init_that_returns_something(self):
        for value, name in ((5, "int"), ("text", "str"), (True, "bool"), ([], "list"), (Thing(), "Thing"),
                            (0, "int")):
            class Returns:
                def __init__(self):
                    return value

            for make in Returns, lambda: Returns(), lambda: Returns(*()), lambda: Returns(**{}):
                with self.assertRaises(TypeError) as caught:
                    make()
                self.assertEqual(str(caught.exception), f"__init__() should return None, not '{name}'")

    def test_init_that_returns_sometimes(self):
        class Sometimes:
            def __init__(self, value):
                return value

        for _ in range(50):
            self.assertIsInstance(Sometimes(None), Sometimes)
        with self.assertRaisesRegex(TypeError, "should return None, not 'int'"):
            Sometimes(1)

    def test_new_that_returns_another_type(self):
        class Other:
            def __new__(cls, *args):
                return args

            def __init__(self, *args):
                raise AssertionError("not an instance")

        self.assertEqual(self.make_often(lambda: Other(1, 2)), (1, 2))
        self.assertEqual(self.make_often(lambda: Other(*(1, 2))), (1, 2))

    def test_new_that_returns_a_subclass(self):
        class Base:
            def __new__(cls, value):
                return object.__new__(Derived)

            def __init__(self, value):
                self.value = value

        class Derived(Base):
            def __init__(self, value):
                self.derived = value

        instance = self.make_often(lambda: Base(3))
        self.assertIs(type(instance), Derived)
        self.assertEqual(vars(instance), {"derived": 3})

    def test_new_that_returns_a_subclass_without_python_init(self):
        class Base:
            def __new__(cls, kind, *args):
                return object.__new__(kind) if kind is not list else list.__new__(list)

            def __init__(self, kind, value):
                self.value = value

        class Derived(Base):
            __init__ = object.__init__

        self.assertEqual(Base(Base, 5).value, 5)
        self.assertEqual(vars(Base(Derived, 5)), {})
        self.assertEqual(Base(list, 5), [])

    def test_new_that_returns_an_existing_instance(self):
        class Single:
            instance = None

            def __new__(cls, value):
                if cls.instance is None:
                    cls.instance = super().__new__(cls)
                return cls.instance

            def __init__(self, value):
                self.values = getattr(self, "values", []) + [value]

        for value in range(5):
            instance = Single(value)
        self.assertEqual(instance.values, [0, 1, 2, 3, 4])

    def test_new_and_init_both_see_all_arguments(self):
        class Both:
            def __new__(cls, *args, **kwargs):
                self = super().__new__(cls)
                self.seen = args, kwargs
                return self

            def __init__(self, a, *args, b=None, **kwargs):
                self.got = a, args, b, kwargs

        instance = self.make_often(lambda: Both(1, 2, b=3, c=4))
        self.assertEqual(instance.seen, ((1, 2), {"b": 3, "c": 4}))
        self.assertEqual(instance.got, (1, (2,), 3, {"c": 4}))

    def test_new_that_fails(self):
        class Fails:
            def __new__(cls):
                raise KeyError("new")

            def __init__(self):
                raise AssertionError

        with self.assertRaisesRegex(KeyError, "new"):
            self.make_often(lambda: Fails())

    def test_metaclass_with_call(self):
        class Meta(type):
            def __call__(cls, *args, **kwargs):
                calls.append((args, kwargs))
                return super().__call__(*args, **kwargs)

        class Class(metaclass=Meta):
            def __init__(self, x, y=0):
                self.x, self.y = x, y

        calls = []
        instance = self.make_often(lambda: Class(1, y=2))
        self.assertEqual((instance.x, instance.y), (1, 2))
        self.assertEqual(calls, [((1,), {"y": 2})] * 101)

    def test_metaclass_that_returns_something_else(self):
        class Meta(type):
            def __call__(cls, *args):
                return args

        class Class(metaclass=Meta):
            def __init__(self):
                raise AssertionError

        self.assertEqual(self.make_often(lambda: Class(1, 2)), (1, 2))

    def test_metaclass_gets_its_call_later(self):
        class Meta(type):
            pass

        class Class(metaclass=Meta):
            def __init__(self):
                self.value = "init"

        def make():
            return Class()

        for _ in range(100):
            self.assertEqual(make().value, "init")
        Meta.__call__ = lambda cls: "metaclass"
        self.assertEqual(make(), "metaclass")
        del Meta.__call__
        self.assertEqual(make().value, "init")

    def test_init_changes(self):
        class Base:
            pass

        class Class(Base):
            def __init__(self):
                self.value = 1

        def make():
            return Class()

        for _ in range(100):
            self.assertEqual(make().value, 1)

        def other(self):
            self.value = 2

        Class.__init__ = other
        self.assertEqual(make().value, 2)
        Class.__init__.__code__ = (lambda self: setattr(self, "value", 3)).__code__
        self.assertEqual(make().value, 3)
        del Class.__init__
        self.assertFalse(hasattr(make(), "value"))
        Base.__init__ = other
        self.assertEqual(make().__class__, Class)
        Class.__init__ = len
        with self.assertRaisesRegex(TypeError, "takes exactly one argument"):
            make()

    def test_new_changes(self):
        class Class:
            def __init__(self):
                self.value = 1

        def make():
            return Class()

        for _ in range(100):
            make()
        Class.__new__ = lambda cls: "new"
        self.assertEqual(make(), "new")
        del Class.__new__
        self.assertEqual(make().value, 1)

    def test_init_that_is_no_plain_function(self):
        class Callable:
            def __call__(self, *args):
                seen.append(args)

        class Descriptor:
            def __get__(self, instance, owner):
                return lambda *args: seen.append((type(instance).__name__, *args))

        def decorated(*args, **kwargs):
            seen.append((len(args), kwargs))

        def generator(self, *args):
            yield

        seen = []
        A = type("A", (), {"__init__": Callable()})
        B = type("B", (), {"__init__": Descriptor()})
        C = type("C", (), {"__init__": staticmethod(lambda *args: seen.append(args))})
        D = type("D", (), {"__init__": classmethod(lambda cls, *args: seen.append((cls.__name__, *args)))})
        E = type("E", (), {"__init__": decorated})
        F = type("F", (), {"__init__": generator})
        for cls in A, B, C, D:
            self.assertIsInstance(cls(1, 2), cls)
        self.assertIsInstance(E(1, x=2), E)
        self.assertEqual(seen, [(1, 2), ("B", 1, 2), (1, 2), ("D", 1, 2), (2, {"x": 2})])
        with self.assertRaisesRegex(TypeError, "should return None, not 'generator'"):
            F()

    def test_init_from_a_c_base(self):
        class MyList(list):
            pass

        class MyDict(dict):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.extra = 1

        class MyError(Exception):
            def __init__(self, message, code):
                super().__init__(message)
                self.code = code

        class MyInt(int):
            def __init__(self, *args):
                self.extra = args

        class MyStr(str):
            def __new__(cls, value):
                return super().__new__(cls, value.upper())

        self.assertEqual(self.make_often(lambda: MyList("ab")), ["a", "b"])
        instance = self.make_often(lambda: MyDict([(1, 2)], x=3))
        self.assertEqual((instance, instance.extra), ({1: 2, "x": 3}, 1))
        error = self.make_often(lambda: MyError("text", 5))
        self.assertEqual((str(error), error.code, error.args), ("text", 5, ("text",)))
        number = self.make_often(lambda: MyInt("12"))
        self.assertEqual((number, number.extra), (12, ("12",)))
        self.assertEqual(self.make_often(lambda: MyStr("ab")), "AB")

    def test_object_and_its_arguments(self):
        class Empty:
            pass

        class OnlyInit:
            def __init__(self, x):
                pass

        class OnlyNew:
            def __new__(cls, x):
                return object.__new__(cls)

        with self.assertRaisesRegex(TypeError, r"Empty\(\) takes no arguments"):
            Empty(1)
        with self.assertRaisesRegex(TypeError, r"Empty\(\) takes no arguments"):
            Empty(x=1)
        self.make_often(lambda: OnlyInit(1))
        self.make_often(lambda: OnlyNew(1))
        with self.assertRaisesRegex(TypeError, r"OnlyInit.__init__\(\) missing 1 required"):
            OnlyInit()
        with self.assertRaisesRegex(TypeError, r"OnlyNew.__new__\(\) missing 1 required positional argument"):
            OnlyNew()

    def test_abstract_class(self):
        import abc

        class Abstract(abc.ABC):
            def __init__(self):
                self.value = 1

            @abc.abstractmethod
            def method(self):
                pass

        class Concrete(Abstract):
            def method(self):
                pass

        self.assertEqual(self.make_often(lambda: Concrete()).value, 1)
        with self.assertRaisesRegex(TypeError, "Can't instantiate abstract class Abstract"):
            Abstract()

    def test_chains_of_super(self):
        class A:
            def __init__(self, log):
                log.append("A")

        class B(A):
            def __init__(self, log):
                log.append("B")
                super().__init__(log)

        class C(A):
            def __init__(self, log):
                log.append("C")
                super().__init__(log)

        class D(B, C):
            def __init__(self, log):
                log.append("D")
                super().__init__(log)
                super(B, self).__init__(log)

        log = []
        D(log)
        self.assertEqual(log, ["D", "B", "C", "A", "C", "A"])
        log = []
        D(*[], **{"log": log})
        self.assertEqual(log, ["D", "B", "C", "A", "C", "A"])

    def test_argument_errors_name_the_init(self):
        class Class:
            def __init__(self, a, b=1, *, c):
                pass

        name = "TestInstantiation.test_argument_errors_name_the_init.<locals>.Class.__init__"
        for call, text in (
            (lambda: Class(), "() missing 1 required positional argument: 'a'"),
            (lambda: Class(1), "() missing 1 required keyword-only argument: 'c'"),
            (lambda: Class(1, 2, 3, c=4), "() takes from 2 to 3 positional arguments but 4 positional "
                                          "arguments (and 1 keyword-only argument) were given"),
            (lambda: Class(1, c=2, d=3), "() got an unexpected keyword argument 'd'"),
            (lambda: Class(1, c=2, a=3), "() got multiple values for argument 'a'"),
            (lambda: Class(*(1, 2, 3)), "() takes from 2 to 3 positional arguments but 4 were given"),
            (lambda: Class(**{"self": 1}), "() got multiple values for argument 'self'"),
        ):
            with self.assertRaises(TypeError) as caught:
                call()
            self.assertEqual(str(caught.exception), name + text)

    def test_keywords_that_are_no_strings(self):
        class Class:
            def __init__(self, **kwargs):
                pass

        with self.assertRaisesRegex(TypeError, "keywords must be strings"):
            Class(**{1: 2})

    def test_star_arguments_that_are_wrong(self):
        class Class:
            def __init__(self, *args, **kwargs):
                pass

        with self.assertRaisesRegex(TypeError, r"argument after \* must be an iterable, not int"):
            Class(*5)
        with self.assertRaisesRegex(TypeError, r"argument after \*\* must be a mapping, not int"):
            Class(**5)
        with self.assertRaisesRegex(TypeError, r"got multiple values for keyword argument 'x'"):
            Class(x=1, **{"x": 2})

    def test_kwargs_are_a_fresh_dict(self):
        class Class:
            def __init__(self, **kwargs):
                self.kwargs = kwargs

        given = {"x": 1}
        instance = Class(**given)
        self.assertEqual(instance.kwargs, given)
        self.assertIsNot(instance.kwargs, given)

    def test_a_failing_init_frees_the_instance(self):
        class Fails:
            def __init__(self):
                refs.append(weakref.ref(self))
                raise KeyError

        refs = []
        for make in Fails, lambda: Fails(), lambda: Fails(*()):
            try:
                make()
            except KeyError:
                pass
        self.assertEqual([ref() for ref in refs], [None] * 3)

    def test_init_drops_its_self(self):
        class Drops:
            def __init__(self):
                refs.append(weakref.ref(self))
                del self
                gc.collect()
                self = 5

        refs = []
        for make in Drops, lambda: Drops(), lambda: Drops(*()):
            self.assertIsInstance(make(), Drops)
        self.assertEqual([ref() for ref in refs], [None] * 3)

    def test_the_class_is_deleted_meanwhile(self):
        class Class:
            def __init__(self):
                nonlocal Class
                del Class
                gc.collect()
                self.value = 1

        self.assertEqual(Class().value, 1)

    def test_init_replaces_the_class_of_its_instance(self):
        class Other:
            pass

        class Class:
            def __init__(self):
                self.__class__ = Other

        self.assertIs(type(self.make_often(lambda: Class())), Other)

    def test_init_calls_itself_again(self):
        class Class:
            def __init__(self, depth=0):
                self.depth = depth
                if depth < 3:
                    self.__init__(depth + 1)

        self.assertEqual(self.make_often(lambda: Class()).depth, 3)

    def test_recursion_error_in_init(self):
        class Class:
            def __init__(self):
                self.child = Class()

        for _ in range(3):
            with self.assertRaisesRegex(RecursionError, "maximum recursion depth exceeded"):
                Class()

    def test_slots_and_dict_and_weak_references(self):
        class Slots:
            __slots__ = "a", "__weakref__"

            def __init__(self, a):
                self.a = a

        class Both(Slots):
            def __init__(self, a, b):
                super().__init__(a)
                self.b = b

        instance = self.make_often(lambda: Both(1, 2))
        self.assertEqual((instance.a, instance.b, vars(instance)), (1, 2, {"b": 2}))
        self.assertIs(weakref.ref(instance)(), instance)
        with self.assertRaises(AttributeError):
            Slots(1).other = 2

    def test_many_attributes(self):
        """More than fit the inline values, in different orders."""
        class Class:
            def __init__(self, order):
                for number in order:
                    setattr(self, f"x{number}", number)

        for size in 1, 5, 29, 30, 31, 100:
            for order in (range(size), range(size - 1, -1, -1)):
                instance = Class(order)
                self.assertEqual(list(vars(instance).values()), list(order))

    def test_dataclass_and_namedtuple_and_enum(self):
        import collections
        import dataclasses
        import enum

        @dataclasses.dataclass
        class Point:
            x: int
            y: int = 5
            tags: list = dataclasses.field(default_factory=list)

        Pair = collections.namedtuple("Pair", "a b", defaults=[2])

        class Colour(enum.Enum):
            RED = 1

        self.assertEqual(self.make_often(lambda: Point(1)), Point(1, 5, []))
        self.assertEqual(self.make_often(lambda: Pair(1)), (1, 2))
        self.assertIs(self.make_often(lambda: Colour(1)), Colour.RED)

    def test_type_itself(self):
        for _ in range(50):
            self.assertIs(type(5), int)
            self.assertEqual(type("X", (), {"a": 1}).a, 1)
        with self.assertRaisesRegex(TypeError, r"type\(\) takes 1 or 3 arguments"):
            type(1, 2)

    def test_copy_and_pickle(self):
        instance = Picklable([1, 2], other={"x": 3})
        for other in (copy.copy(instance), copy.deepcopy(instance),
                      *(pickle.loads(pickle.dumps(instance, protocol)) for protocol in range(6))):
            self.assertEqual(vars(other), vars(instance))
        error = PicklableError("text", 5)
        self.assertEqual(vars(pickle.loads(pickle.dumps(error))), {"code": 5})


class Picklable:
    def __init__(self, value, **kwargs):
        self.value, self.kwargs = value, kwargs


class PicklableError(Exception):
    def __init__(self, text, code):
        super().__init__(text, code)
        self.code = code


class TestWith(unittest.TestCase):
    def test_errors(self):
        class NoEnter:
            def __exit__(self, *exc_info):
                pass

        class NoExit:
            def __enter__(self):
                raise AssertionError("looked up first")

        with self.assertRaisesRegex(TypeError, "object does not support the context manager protocol$"):
            with NoEnter():
                pass
        with self.assertRaisesRegex(TypeError, r"\(missed __exit__ method\)"):
            with NoExit():
                pass
        with self.assertRaisesRegex(TypeError, "'int' object does not support the context manager protocol"):
            with 5:
                pass

    def test_methods_of_the_type_alone(self):
        class Manager:
            def __enter__(self):
                return "type"

            def __exit__(self, *exc_info):
                return True

        manager = Manager()
        manager.__enter__ = lambda: "instance"
        manager.__exit__ = lambda *exc_info: False
        with manager as value:
            raise KeyError
        self.assertEqual(value, "type")

    def test_methods_of_all_kinds(self):
        class Callable:
            def __init__(self, *result):
                self.result = result

            def __call__(self, *args):
                log.append(len(args))
                return self.result

        class Manager:
            __enter__ = Callable("entered")
            __exit__ = Callable()

        class Static:
            @staticmethod
            def __enter__():
                return "static"

            @classmethod
            def __exit__(cls, *exc_info):
                log.append(cls)

        log = []
        with Manager() as value:
            self.assertEqual(value, ("entered",))
        with Static() as value:
            self.assertEqual(value, "static")
        self.assertEqual(log, [0, 3, Static])

    def test_exit_decides_by_truth(self):
        class Truth:
            def __bool__(self):
                log.append("bool")
                return True

        class Undecided:
            def __bool__(self):
                raise ValueError("undecided")

        class Manager:
            def __init__(self, result):
                self.result = result

            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                return self.result

        log = []
        with Manager(Truth()):
            raise KeyError
        with Manager(Truth()):
            pass
        self.assertEqual(log, ["bool"])
        for result in None, 0, "", []:
            with self.assertRaises(KeyError):
                with Manager(result):
                    raise KeyError
        with self.assertRaisesRegex(ValueError, "undecided"):
            with Manager(Undecided()):
                raise KeyError

    def test_exit_that_raises(self):
        class Manager:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                raise ValueError("exit")

        with self.assertRaisesRegex(ValueError, "exit") as caught:
            with Manager():
                raise KeyError("body")
        self.assertIsInstance(caught.exception.__context__, KeyError)

    def test_exit_with_wrong_arguments(self):
        class Manager:
            def __enter__(self):
                pass

            def __exit__(self):
                pass

        with self.assertRaisesRegex(TypeError, "takes 1 positional argument but 4 were given"):
            with Manager():
                pass
        with self.assertRaisesRegex(TypeError, "takes 1 positional argument but 4 were given") as caught:
            with Manager():
                raise KeyError
        self.assertIsInstance(caught.exception.__context__, KeyError)

    def test_traceback_of_enter_and_exit(self):
        class Manager:
            def __init__(self, fail):
                self.fail = fail

            def __enter__(self):
                if self.fail == "enter":
                    raise KeyError

            def __exit__(self, *exc_info):
                if self.fail == "exit":
                    raise KeyError

        def use(fail):
            with Manager(fail):
                pass

        for fail in "enter", "exit":
            try:
                use(fail)
            except KeyError as error:
                entries = traceback.extract_tb(error.__traceback__)
            self.assertEqual([entry.name for entry in entries[1:]], ["use", f"__{fail}__"])
            self.assertEqual(entries[1].lineno, use.__code__.co_firstlineno + 1)

    def test_exit_sees_the_exception_being_handled(self):
        class Manager:
            def __enter__(self):
                seen.append(sys.exception())

            def __exit__(self, exc_type, exc, tb):
                seen.append(sys.exception() is exc)
                return True

        seen = []
        with Manager():
            raise KeyError
        self.assertEqual(seen, [None, True])
        self.assertIsNone(sys.exception())

    def test_return_value_survives_exit(self):
        class Manager:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                return [None] * 10

        def returns():
            with Manager(), Manager():
                return "kept"

        def loops():
            for number in range(5):
                with Manager():
                    if number == 2:
                        continue
                    if number == 3:
                        break
            return number

        def swallows():
            with Manager():
                raise KeyError
            return "after"

        self.assertEqual((returns(), loops(), swallows()), ("kept", 3, "after"))

    def test_with_in_a_generator(self):
        class Manager:
            def __enter__(self):
                log.append("enter")

            def __exit__(self, exc_type, exc, tb):
                log.append(exc_type)

        def numbers():
            with Manager():
                yield 1
                yield 2

        log = []
        for number in numbers():
            break
        for number in numbers():
            pass
        self.assertEqual(log, ["enter", GeneratorExit, "enter", None])


if __name__ == "__main__":
    unittest.main()
