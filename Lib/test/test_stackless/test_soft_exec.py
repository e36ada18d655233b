"""exec() and eval() take no C stack, and behave as in CPython.

The scripts of class Differential run on the base as well, and have to print the same.
"""

import textwrap
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion

#: What the scripts share: attempt(f, ...) prints the result, or the exception with the frames it came through.
ATTEMPT = '''
def attempt(f, *args, **kwargs):
    try:
        print(f(*args, **kwargs))
    except BaseException as exc:
        print(type(exc).__name__, exc)
        entry = exc.__traceback__
        while entry:
            print("  ", entry.tb_frame.f_code.co_name, entry.tb_lineno)
            entry = entry.tb_next
'''


class Depth(unittest.TestCase):
    """Recursion nests frames, not C calls."""

    def check(self, code, function=exec):
        recursion = Recursion()
        namespace = {}
        namespace["step"] = lambda: recursion.step(again)
        again = lambda: function(code, namespace)
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_text(self):
        self.check("step()")
        self.check("step()", eval)

    def test_code(self):
        self.check(compile("step()", "<code>", "exec"))
        self.check(compile("step()", "<code>", "eval"), eval)

    def test_closure(self):
        recursion = Recursion()
        step = recursion.step

        def again():
            step(again)

        run = lambda: exec(again.__code__, {}, closure=again.__closure__)
        self.assertEqual(recursion.pointer_at(2, run), recursion.pointer_at(50, run))

    def test_through_other_soft_calls(self):
        recursion = Recursion()
        again = lambda: exec(*["step()", {"step": lambda: recursion.step(again)}], **{})
        self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))


@needs_soft_switches
class Blocked(LeavesNoTasklets, unittest.TestCase):
    """A tasklet that waits inside is restorable."""

    def test_many_levels(self):
        channel = stackless.channel()
        results = []

        def descend(level):
            if level == 0:
                return channel.receive()
            namespace = {"descend": descend, "level": level}
            if level % 2:
                return eval("descend(level - 1)", namespace)
            exec("result = descend(level - 1)", namespace)
            return namespace["result"]

        tasklet = stackless.tasklet(lambda: results.append(descend(300)))()
        tasklet.run()
        self.assertTrue(tasklet.restorable)
        self.assertEqual(tasklet.nesting_level, 0)
        channel.send("value")
        self.assertEqual(results, ["value"])

    def test_called_by_a_tasklet_itself(self):
        channel = stackless.channel()
        tasklet = stackless.tasklet(exec)("value = channel.receive()", {"channel": channel})
        tasklet.run()
        self.assertTrue(tasklet.restorable)
        channel.send(1)


class Differential(unittest.TestCase):
    """The base prints the same."""

    def check(self, script):
        printed = same_as_base(self, "-c", ATTEMPT + textwrap.dedent(script))
        self.assertGreater(len(printed.splitlines()), 5)

    def test_arguments(self):
        self.check('''
            import types
            namespace = {}
            attempt(exec, "x = 1", namespace)
            print(sorted(namespace))
            one = compile("1 + 1", "", "eval")
            for args in [(one,), (5,), ("x", 5), ("x", {}, 5), ("x", {}, {}, 5), (), ("a b",), ("1 +",),
                         ("1 / 0",), ("  \\t1 + 1",), ("x", types.MappingProxyType({})), ("\\0",), (b"1 + 1",),
                         (b"\\xff",), (bytearray(b"2"),), ("x", None, {"x": 1}), ("x", {"x": 1}, None)]:
                print(args[1:])
                attempt(exec, *args)
                attempt(eval, *args)
            attempt(exec, "x", wrong=1)
            attempt(eval, "x", globals={})
        ''')

    def test_closures(self):
        self.check('''
            def f():
                x = 1
                def inner():
                    nonlocal x
                    x += 1
                    return x
                def other(a):
                    return a
                exec(inner.__code__, closure=inner.__closure__)
                print(x)
                for closure in (None, (), (1,), inner.__closure__, inner.__closure__ * 2):
                    for code in (inner.__code__, other.__code__, "1"):
                        attempt(exec, code, closure=closure)
                attempt(eval, inner.__code__)
                attempt(eval, other.__code__)
            f()
        ''')

    def test_namespaces(self):
        self.check('''
            def f():
                y = 2
                print(eval("y"), sorted(eval("locals()")))
                exec("y = 3; z = 4")
                print(y, eval("z"), sorted(locals()))
            f()

            class C:
                exec("q = 1")
            print(C.q)

            class D(dict):
                def __getitem__(self, key):
                    print("get", key)
                    return key
            attempt(eval, "a + b", {}, D())
            attempt(eval, "a + b", D())
            print(eval("__builtins__", {"__builtins__": {}}), eval("[].__class__", {"__builtins__": {}}))
            def generate():
                yield 1
            print(type(eval(generate.__code__)))
        ''')

    def test_compiler_flags(self):
        script = '''
            from __future__ import annotations
            import sys
            exec("def f(x: no_such_name): pass\\nprint(f.__annotations__)")
            for line in range(5):
                print(eval("(lambda: sys._getframe().f_back.f_lineno)()"))
        '''
        self.assertIn("no_such_name", same_as_base(self, "-c", textwrap.dedent(script)))

    def test_events(self):
        self.check('''
            import sys
            events = []
            def record(frame, event, arg):
                events.append((frame.f_code.co_name, event, frame.f_lineno))
                return record
            def run():
                exec("x = 1\\ny = 2")
                eval("3")
                try:
                    exec("1 / 0")
                except ZeroDivisionError:
                    pass
            for switch in sys.settrace, sys.setprofile:
                switch(record)
                run()
                switch(None)
                print(*events, sep="\\n")
                events.clear()

            audited = []
            def hook(event, args):
                if audited is not None and event in ("exec", "compile"):
                    audited.append((event, str(args[0])[:12]))
            sys.addaudithook(hook)
            exec("x = 1")
            eval("2")
            exec(compile("1", "f", "exec"))
            kept, audited = audited, None
            print(*kept, sep="\\n")
        ''')


if __name__ == "__main__":
    unittest.main()
