"""Class statements take no C stack, and behave as in CPython.

The scripts of class Differential run on the base as well, and have to print the same.
"""

import abc
import enum
import re
import textwrap
import typing
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion
from .test_soft_exec import ATTEMPT


class Named:
    """A descriptor that calls a function when it gets its name."""

    def __init__(self, f):
        self.f = f

    def __set_name__(self, owner, name):
        self.f()


def in_body(f):
    class C:
        f()


def in_prepare(f):
    class M(type):
        @classmethod
        def __prepare__(cls, name, bases):
            f()
            return {}

    class C(metaclass=M):
        pass


def in_mro_entries(f):
    class Base:
        def __mro_entries__(self, bases):
            f()
            return ()

    class C(Base()):
        pass


def in_metaclass_new(f):
    class M(type):
        def __new__(cls, *args):
            f()
            return super().__new__(cls, *args)

    class C(metaclass=M):
        pass


def in_metaclass_init(f):
    class M(type):
        def __init__(cls, *args):
            f()

    class C(metaclass=M):
        pass


def in_function_for_metaclass(f):
    class C(metaclass=lambda name, bases, namespace: f()):
        pass


def in_set_name(f):
    class C:
        d = Named(f)


def in_set_name_under_abc(f):
    class C(abc.ABC):
        d = Named(f)


def in_set_name_under_metaclass(f):
    class M(type):
        pass

    class C(metaclass=M):
        d = Named(f)


def in_set_name_under_metaclass_with_init(f):
    class M(type):
        def __init__(cls, *args):
            pass

    class C(metaclass=M):
        d = Named(f)


def in_init_subclass(f):
    class Base:
        def __init_subclass__(cls, **kwargs):
            f()

    class C(Base, key=1):
        pass


def in_enum(f):
    class E(enum.Enum):
        f()
        A = 1


def in_generic(f):
    T = typing.TypeVar("T")

    class C(typing.Generic[T]):
        f()


CONSTRUCTS = [in_body, in_prepare, in_mro_entries, in_metaclass_new, in_metaclass_init, in_function_for_metaclass,
              in_set_name, in_set_name_under_abc, in_set_name_under_metaclass,
              in_set_name_under_metaclass_with_init, in_init_subclass, in_enum, in_generic]


class Depth(unittest.TestCase):
    """Recursion nests frames, not C calls."""

    def test_constructs(self):
        for construct in CONSTRUCTS:
            with self.subTest(construct.__name__):
                recursion = Recursion()
                again = lambda: construct(lambda: recursion.step(again))
                self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))


@needs_soft_switches
class Blocked(LeavesNoTasklets, unittest.TestCase):
    """A tasklet that waits inside is restorable."""

    def test_constructs(self):
        for construct in CONSTRUCTS:
            with self.subTest(construct.__name__):
                channel = stackless.channel()
                results = []

                def wait():
                    results.append(channel.receive())

                tasklet = stackless.tasklet(construct)(wait)
                tasklet.run()
                self.assertTrue(tasklet.restorable)
                self.assertEqual(tasklet.nesting_level, 0)
                channel.send("value")
                stackless.run()
                self.assertEqual(results, ["value"])

    def test_two_classes_at_once(self):
        """Each tasklet's hooks get its own class, though the same functions are called."""
        channel = stackless.channel()
        owners = []

        class Descriptor:
            def __set_name__(self, owner, name):
                owners.append((owner.__name__, name, channel.receive()))

        def make(name):
            type(name, (), {"first": Descriptor(), "second": Descriptor()})

        tasklets = [stackless.tasklet(make)(name) for name in "AB"]
        stackless.run()
        for value in range(4):
            channel.send(value)
            stackless.run()
        self.assertEqual(owners, [("A", "first", 0), ("B", "first", 1), ("A", "second", 2), ("B", "second", 3)])
        self.assertFalse(any(tasklet.alive for tasklet in tasklets))


class Hooks(unittest.TestCase):
    """What records the calls of hooks leaves everybody else's calls alone."""

    def test_a_class_made_in_a_hook(self):
        made = []

        class Descriptor:
            def __set_name__(self, owner, name):
                made.append((owner.__name__, name))
                if name == "outer":
                    type("Inner", (), {"inner": Descriptor()})

        class Outer:
            outer = Descriptor()
            last = Descriptor()

        self.assertEqual(made, [("Outer", "outer"), ("Inner", "inner"), ("Outer", "last")])

    def test_hook_called_from_c_later(self):
        class Descriptor:
            def __set_name__(self, owner, name):
                return name

        class C:
            d = Descriptor()

        call = type("Caller", (), {"__getitem__": Descriptor.__set_name__.__get__(C.d, Descriptor)})
        self.assertEqual(list(map(Descriptor.__set_name__, [C.d], [C], ["name"])), ["name"])
        self.assertTrue(call)


class Differential(unittest.TestCase):
    """The base prints the same."""

    def check(self, script):
        printed = same_as_base(self, "-c", ATTEMPT + textwrap.dedent(script),
                               clean=lambda text: re.sub("0x[0-9a-f]+", "0x", text))
        self.assertGreater(len(printed.splitlines()), 5)

    def check_statements(self, *statements):
        """Run each; what they raise comes with its causes."""
        self.check(f'''
            for statements in {statements!r}:
                print("##", statements.splitlines()[-1])
                def run():
                    try:
                        exec(statements, {{"__name__": "m"}})
                    except Exception as exc:
                        if exc.__cause__:
                            print("cause:", type(exc.__cause__), exc.__cause__)
                        raise
                attempt(run)
        ''')

    def test_bodies_and_cells(self):
        self.check_statements(
            "class C: x=1\nassert C.x==1",
            "class C:\n def f(self): return __class__\nassert C().f() is C",
            "class C:\n 1/0",
            "class C:\n class D:\n  class E: x=1/0",
        )

    def test_metaclasses(self):
        self.check_statements(
            "class M(type):\n"
            " def __new__(m,n,b,ns): ns.pop('__classcell__',0); return super().__new__(m,n,b,ns)\n"
            "class C(metaclass=M):\n def f(self): __class__",
            "class M(type):\n"
            " def __new__(m,n,b,ns): r=super().__new__(m,n,b,ns); return type('q',(),{})\n"
            "class C(metaclass=M):\n def f(self): __class__",
            "class M(type):\n @classmethod\n def __prepare__(*a): return 3\nclass C(metaclass=M): pass",
            "class M:\n def __call__(*a): pass\n def __prepare__(*a): return 3\n"
            "class C(metaclass=M()): pass",
            "class M:\n def __call__(*a): print(a[1:])\n"
            " def __prepare__(*a,**k): print(a[1:],k); return {'p':1}\n"
            "class C(1,metaclass=M()): print(p)",
            "class C(5): pass",
            "class C(5,6): pass",
            "class M(type): pass\nclass N(type): pass\nclass A(metaclass=M): pass\n"
            "class B(metaclass=N): pass\nclass C(A,B): pass",
            "class L(dict):\n def __setitem__(s,k,v): print('set',k); dict.__setitem__(s,k,v)\n"
            "class M(type):\n @classmethod\n def __prepare__(m,n,b,**k): print(n,b,k); return L()\n"
            " def __new__(m,n,b,ns,**k): return super().__new__(m,n,b,dict(ns))\n"
            "class C(metaclass=M,z=1): x=1",
        )

    def test_mro_entries(self):
        self.check_statements(
            "class E:\n def __mro_entries__(s,b): return 3\nclass C(E()): pass",
            "class E:\n def __mro_entries__(s,b): 1/0\nclass C(E()): pass",
            "class E:\n def __mro_entries__(s,b): print(len(b)); return (A,)\nclass A: pass\n"
            "class B: pass\nclass C(B,E(),metaclass=type): pass\n"
            "print(C.__mro__, len(C.__orig_bases__))",
            "class E:\n def __mro_entries__(s,b): print(len(b)); return ()\nclass A: pass\n"
            "class B: pass\nclass C(E(),B,E()): pass\nprint(C.__mro__, len(C.__orig_bases__))",
        )

    def test_hooks(self):
        self.check_statements(
            "def m(*a,**k): print(a,k); return 5\nclass C(1,2,metaclass=m,x=1): y=1\nprint(C)",
            "class D:\n def __set_name__(s,o,n): 1/0\nclass C:\n bad=D()",
            "class D:\n def __set_name__(s,o): 1/0\nclass C:\n bad=D()",
            "class D:\n def __set_name__(s,o,n): print(o,n)\nclass C:\n a=D();b=D()\n c=D()\nprint(C)",
            "class A:\n def __init_subclass__(c,**k): print(c,k); super().__init_subclass__(**k)\n"
            "class C(A): pass\nclass C(A,x=1): pass",
            "class A:\n def __init_subclass__(c,/,**k): print(c,k); c.z=1\nclass D:\n"
            " def __set_name__(s,o,n): print(o,n)\nclass C(A,y=D(),m=2): q=D()\nprint(C.z)\n"
            "X=type('X',(A,),{'q':D()},k=1)\nprint(X)\nclass M(type): pass\n"
            "class Z(A,metaclass=M): q=D()\nY=M('Y',(Z,),{'q':D()})\nprint(Y,type(Y))",
            "class A:\n def __init_subclass__(c): 1/0\nclass C(A): pass",
            "class A:\n def __init_subclass__(c): 1/0\nclass C(A,k=1): pass",
            "class A:\n def __init_subclass__(c): print('A')\nclass B(A):\n"
            " def __init_subclass__(c): print('B'); super().__init_subclass__()\nclass X: pass\n"
            "class C(X,A): pass\nclass C(X,B): pass\nclass C(B,A): pass\nclass D(C): pass\n"
            "class E(A,B): pass",
            "class C(x=1): pass",
            "class D:\n def __set_name__(s,o,n): print(n)\nclass C(x=1): d=D()",
            "class M(type):\n"
            " def __init__(s,*a,**k): print('init',a[0],sorted(a[2]),k); super().__init__(*a)\n"
            " def __call__(c,*a): print('call',a); return super().__call__(*a)\nclass D:\n"
            " def __set_name__(s,o,n): print(n)\nclass C(metaclass=M): d=D()\nclass E(C,k=1): d=D()\n"
            "print(E())",
            "class M(type):\n"
            " def __new__(m,n,b,ns,**k): print('new',n,k); return super().__new__(m,n,b,ns)\n"
            " def __init__(s,*a,**k): print('init',k)\nclass A(metaclass=M):\n"
            " def __init_subclass__(c,**k): print('sub',c,k)\nclass B(A,k=1): pass",
            "class M(type):\n def mro(c): print('mro'); return type.mro(c)\nclass D:\n"
            " def __set_name__(s,o,n): print(n)\nclass C(metaclass=M): d=D()",
        )

    def test_library(self):
        self.check_statements(
            "import enum\nclass E(enum.Enum):\n A=1;B=2\nprint(list(E))",
            "import abc\nclass D:\n def __set_name__(s,o,n): print(o,n)\nclass E(abc.ABC):\n"
            " @abc.abstractmethod\n def f(s): pass\n d=D()\nE()",
            "import typing\nT=typing.TypeVar('T')\nclass E(typing.Generic[T]): pass\n"
            "print(E[int], E.__orig_bases__)",
            "import typing\nclass E(typing.NamedTuple):\n a:int=1\nprint(E())",
            "import dataclasses\n@dataclasses.dataclass\nclass E:\n a:int=1\nprint(E().a)",
        )

    def test_arguments(self):
        self.check('''
            print(__build_class__(lambda: None, "x"))
            for args in [(), (1,), (lambda: 0, 1), (1, "x"), (lambda: 0,)]:
                attempt(__build_class__, *args)
            attempt(__build_class__, lambda: None, "x", metaclass=5)
            attempt(type, "x", (), {}, key=1)
            attempt(type, "x", (), 5)
            attempt(type.__new__, type, "x", (), 5)
        ''')

    def test_events(self):
        self.check('''
            import sys
            events = []
            def record(frame, event, arg):
                events.append((frame.f_code.co_name, event, frame.f_lineno))
                return record
            def run():
                class D:
                    def __set_name__(s, o, n): pass
                class M(type):
                    def __new__(m, *a): return super().__new__(m, *a)
                    def __init__(m, *a): super().__init__(*a)
                class A(metaclass=M):
                    def __init_subclass__(c): pass
                    d = D()
                class B(A):
                    d = D()
                try:
                    class B(A):
                        1 / 0
                except ZeroDivisionError:
                    pass
            for switch in sys.settrace, sys.setprofile:
                switch(record)
                run()
                switch(None)
                print(*events, sep="\\n")
                events.clear()
        ''')


if __name__ == "__main__":
    unittest.main()
