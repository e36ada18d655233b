"""`"%s" % obj` and `"{}".format(obj)` take no C stack, and come to what they do in CPython."""

import re
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion


class Text:
    """Every text of it is asked for."""

    def __init__(self, ask):
        self.ask = ask

    def __str__(self):
        self.ask()
        return "text"

    __repr__ = __str__


class Formatted(Text):
    def __format__(self, spec):
        return str(self) + spec


#: What asks for the text of an object.
FORMATS = {
    "%s": lambda x: "%s" % x, "%r": lambda x: "a%-8r." % x, "many": lambda x: "%d %s%%" % (1, x),
    "%=": lambda x: percent_in_place(x), "{}": lambda x: "{}".format(x), "{0}": lambda x: "{1}{0!s:>3}".format(x, 5),
    "{name}": lambda x: "{{{name}}}".format(name=x), "{!r}": lambda x: "{!r:>9}".format(x),
    "{!s}": lambda x: "a{0!s}b".format(x), "subclass": lambda x: type("S", (str,), {})("{}").format(x),
    "str.format": lambda x: str.format("{}", x),
}


def percent_in_place(x):
    text = "<%s>"
    text %= x
    return text


class Depth(unittest.TestCase):
    def test_depth(self):
        for name, text_of in FORMATS.items():
            for make in Text, Formatted:
                with self.subTest(name, make=make):
                    recursion = Recursion()

                    def again():
                        text_of(make(lambda: recursion.step(again, 1)))
                    for _ in range(10):
                        recursion.pointer_at(2, again)   # warm, so that what can be specialised is
                    self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def test_a_deep_structure(self):
        class Node:
            def __init__(self, next):
                self.next = next

            def __repr__(self):
                return "(%r)" % self.next if self.next else "()"

            def __str__(self):
                return "[{}]".format(self.next) if self.next else "[]"

        node = None
        for _ in range(300):
            node = Node(node)
        self.assertEqual(repr(node), "(" * 300 + ")" * 300)
        self.assertEqual(str(node), "[" * 300 + "]" * 300)


@needs_soft_switches
class Suspended(LeavesNoTasklets, unittest.TestCase):
    def test_restorable_inside(self):
        for name, text_of in FORMATS.items():
            with self.subTest(name):
                results = []
                t = stackless.tasklet(lambda: results.append(text_of(Text(stackless.schedule_remove))))()
                stackless.run()
                self.assertEqual((t.restorable, t.nesting_level, results), (True, 0, []))
                t.run()
                self.assertEqual(len(results), 1)
                self.assertIn("text", results[0])


PROGRAM = r'''
import itertools

class Words(str):
    def __str__(self): print("Words"); return "other"
    def __format__(self, spec): print("format of Words"); return "formatted"
class Str:
    def __str__(self): print("str"); return "Str"
class Repr:
    def __repr__(self): print("repr"); return "Repr"
class Both(Str, Repr): pass
class Formatted(Both):
    def __format__(self, spec): print("format", repr(spec)); return f"<{spec}>"
class GivesWords:
    def __str__(self): return Words("words")
    def __repr__(self): return Words("more words")
    def __format__(self, spec): return Words("formatted words")
class Wrong:
    def __str__(self): return 5
    __repr__ = __str__
    def __format__(self, spec): return 5
class Fails:
    def __str__(self): raise ValueError("no text")
    __repr__ = __str__
    def __format__(self, spec): raise ValueError("no format")
class Number(int):
    def __str__(self): return "number"
class Mapping(dict):
    def __str__(self): return "mapping"
class Sequence(tuple):
    def __str__(self): return "sequence"
class Reflected(Str):
    def __rmod__(self, other): return "reflected"
class Iso:
    __str__ = staticmethod(lambda: "static")
class Derived(str):
    def __rmod__(self, other): return "derived"

def show(f):
    try:
        result = f()
        print(type(result), repr(result))
    except BaseException as e:
        tb, lines = e.__traceback__, []
        while tb: lines.append((tb.tb_frame.f_code.co_name, tb.tb_lineno)); tb = tb.tb_next
        print(type(e), e, lines)

VALUES = [Str(), Repr(), Both(), Formatted(), GivesWords(), Wrong(), Fails(), Number(7), Mapping(a=1), Sequence((1,)),
    Reflected(), Iso(), Derived("d"), Words("w"), 5, "s", 1.5, None, {"a": Str()}, (), (Repr(),), object]
PERCENT = ["", "%", "%s", "%r", "%a", "%d", "%5s|", "%-7r|", "%.2s", "%10.3r|", "%05d", "a%sb", "%%%s%%", "%s%%", "%%",
    "%c", "%(a)s", "%*s", "%y", "%s%", "%s %s", "%s%r%s", "%ls", "%hd", "%+s", "% 5d", "%.s", "%5.", "%5%",
    "\u20ac%s\U0001f600%r", "\0%s", "%\0s", "%\u20ac"]
for text in PERCENT:
    for a in VALUES:
        show(lambda: text % a)
        show(lambda: text % (a,))
        for b in VALUES[:7] + [5]:
            show(lambda: text % (a, b))
    show(lambda: text % (Str(), 2, Repr()))
    show(lambda: Words(text) % (Str(), 2, Repr()))
    show(lambda: text % Sequence((Str(), 1, Repr())))

FIELDS = ["", "{}", "{!r}", "{!s}", "{!a}", "{:}", "{:>5}", "{!r:>9}", "{!s:.2}", "{0}", "{0}{0!r}", "{1}{0}", "{0}{}",
    "{}{0}", "{x}", "{x!r}{}", "{}{x}", "{{}}", "{{{}}}", "}}{}{{", "{", "}", "{}}", "{{}", "{!}", "{!rx}", "{!x}",
    "{!r:",
    "{0.a}", "{0[0]}", "{x.y}", "{:{}}", "{:{x}}", "{}{}{}", "{9}", "{99999999999999999999}", "{y}", "{ x}", "{x }",
    "{:[}",
    "{0:!}", "{:d}", "a{}b{}c", "\u20ac{}\U0001f600{!r}", "\0{}", "{\0}", "{:\0>5}", "{0!s:>6}{0!r:>6}", "{01}", "{-1}",
    "{x!s}{x}"]
for text in FIELDS:
    for a in VALUES:
        show(lambda: text.format(a))
        show(lambda: text.format(a, x=a))
        show(lambda: text.format(x=a))
        for b in VALUES[:7] + [5]:
            show(lambda: text.format(a, b))
            show(lambda: text.format(a, b, x=b, y=a))
    show(lambda: text.format(Str(), 2, Repr()))
    show(lambda: Words(text).format(Str(), 2, Repr(), **{"": Str(), " x": Str()}))
    show(lambda: str.format(text, Str()))
    show(lambda: text.format(*[Str(), Repr()], **{"x": Both()}))
show(lambda: str.format(5, Str()))
show(lambda: str.format())
show(lambda: "{}".format)
'''

TRACED = r'''
import sys
class Str:
    def __str__(self): return "Str"
    def __format__(self, spec): return "Formatted"
events = []
def tracer(frame, event, arg):
    if not isinstance(arg, (str, int, tuple, type(None))): arg = type(arg)
    events.append((frame.f_code.co_name, event, frame.f_lineno, arg, frame.f_back.f_code.co_name))
    return tracer
def formatted():
    return "%s %r" % (Str(), 1), "{} {!s}".format(Str(), Str())
for install in sys.settrace, sys.setprofile:
    for _ in range(3):
        install(tracer)
        formatted()
        install(None)
        print(events)
        events.clear()
'''


class Differences(unittest.TestCase):
    def test_same_as_base(self):
        same_as_base(self, "-c", PROGRAM, clean=lambda text: re.sub("0x[0-9a-f]+", "0x", text))

    def test_events(self):
        same_as_base(self, "-c", TRACED)


if __name__ == "__main__":
    unittest.main()
