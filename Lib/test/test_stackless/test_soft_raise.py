"""raise C takes no C stack where C is made in Python, and behaves as in CPython."""

import textwrap
import unittest

from .interpreters import same_as_base
from .test_soft_constructs import Recursion


class Depth(unittest.TestCase):
    """Recursion nests frames, not C calls."""

    def check(self, make_class):
        recursion = Recursion()

        def again():
            try:
                raise made
            except Exception:
                pass

        made = make_class(lambda: recursion.step(again))
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_init(self):
        self.check(lambda f: type("C", (Exception,), {"__init__": lambda self: f()}))

    def test_new(self):
        def new(cls, f):
            f()
            return Exception.__new__(cls)

        self.check(lambda f: type("C", (Exception,), {"__new__": lambda cls: new(cls, f)}))

    def test_metaclass(self):
        def make_class(f):
            def call(cls):
                f()
                return KeyError()

            return type("M", (type,), {"__call__": call})("C", (Exception,), {})

        self.check(make_class)


class Differential(unittest.TestCase):
    """The base prints the same."""

    def test_raise(self):
        printed = same_as_base(self, "-c", textwrap.dedent('''
            import sys
            def t(f):
                try: f()
                except BaseException as exc:
                    while exc:
                        print(type(exc).__name__, exc, type(exc.__cause__), exc.__suppress_context__)
                        e=exc.__traceback__
                        while e: print('  ',e.tb_frame.f_code.co_name,e.tb_lineno); e=e.tb_next
                        exc=exc.__context__
            class A(Exception):
                def __init__(s): s.args=(1,2)
            class B(Exception):
                def __init__(s): 1/0
            class C(Exception):
                def __init__(s,x): pass
            class D(Exception):
                def __new__(c): return 5
            class E(Exception):
                def __new__(c): return KeyError('k')
            class M(type):
                def __call__(c,*a): return ValueError('m')
            class F(Exception,metaclass=M): pass
            class P(Exception): pass
            class H(Exception):
                def __init__(s): raise KeyError('in')
            def mk(c,cause=0):
                def r():
                    try: [][1]
                    except IndexError:
                        if cause==0: raise c
                        else: raise c from cause
                return r
            for c in (A,B,C,D,E,F,P,H,int):
                for cause in (0,None,A,B,KeyError('x'),5): t(mk(c,cause))
            ev=[]
            def tr(f,e,a): ev.append((f.f_code.co_name,e,f.f_lineno)); return tr
            sys.settrace(tr); t(mk(A)); t(mk(B)); sys.settrace(None); print(*ev,sep='\\n')
            def g():
                for x in gen(): pass
            class S(StopIteration):
                def __init__(s): pass
            def gen():
                yield 1
                raise S
            t(g)
            class It:
                n=0
                def __iter__(s): return s
                def __next__(s):
                    s.n+=1
                    if s.n>3: raise S
                    return s.n
            print([x for x in It()], list(It()))
        '''))
        self.assertGreater(len(printed.splitlines()), 100)


if __name__ == "__main__":
    unittest.main()
