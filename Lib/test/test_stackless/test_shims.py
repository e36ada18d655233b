"""Shim frames, which continue C code in the evaluation loop, are never seen by a program.

What is expected of class instantiation, generators and `with` here is what CPython does.
"""

import gc
import importlib.util
import inspect
import io
import sys
import threading
import traceback
import tracemalloc
import unittest
import warnings

import stackless
from .interpreters import check_python


def names_of_stack():
    """Names of the callers, the caller first, as inspect tells them."""
    return [entry.function for entry in inspect.stack(0)[1:]]


def names_by_f_back():
    """The same by f_back."""
    names = []
    frame = sys._getframe(1)
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


def names_by_depth():
    """The same by sys._getframe(depth)."""
    names = []
    while True:
        try:
            names.append(sys._getframe(len(names) + 1).f_code.co_name)
        except ValueError:
            return names


def names_by_traceback():
    return [entry.name for entry in traceback.extract_stack()[-2::-1]]


def names_by_current_frames():
    frame = sys._current_frames()[threading.get_ident()]
    return [frame.f_code.co_name for frame, _ in traceback.walk_stack(frame)][1:]


WAYS = [names_of_stack, names_by_f_back, names_by_depth, names_by_traceback, names_by_current_frames]


class Base:
    def __init__(self, way, *args, **kwargs):
        self.names = way()


class Derived(Base):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)


class Fails:
    def __init__(self, *args, **kwargs):
        raise ValueError("fails")


class Returns:
    def __init__(self):
        return 5


class TestInstantiationIsInvisible(unittest.TestCase):
    def test_frames(self):
        for way in WAYS:
            with self.subTest(way.__name__):
                self.assertEqual(Base(way).names[:2], ["__init__", "test_frames"])
                self.assertEqual(Base(way, x=1).names[:2], ["__init__", "test_frames"])
                self.assertEqual(Base(*(way,)).names[:2], ["__init__", "test_frames"])
                self.assertEqual(Base(*(way,), **{"x": 1}).names[:2], ["__init__", "test_frames"])
                self.assertEqual(Derived(way).names[:3], ["__init__", "__init__", "test_frames"])

    def test_frames_of_nested_instantiations(self):
        class Outer:
            def __init__(self, way):
                self.inner = Derived(way)

        for way in WAYS:
            with self.subTest(way.__name__):
                self.assertEqual(Outer(way).inner.names[:4],
                                 ["__init__", "__init__", "__init__", "test_frames_of_nested_instantiations"])

    def names_of(self, function):
        """Names along the traceback of the exception that function() raises."""
        try:
            function()
        except Exception as error:
            return [entry.name for entry in traceback.extract_tb(error.__traceback__)][1:]

    def test_traceback(self):
        def plain():
            Fails()

        def star():
            Fails(*(1,), **{"x": 2})

        def returns():
            Returns()

        def wrong_arguments():
            Returns(1)

        self.assertEqual(self.names_of(plain), ["plain", "__init__"])
        self.assertEqual(self.names_of(star), ["star", "__init__"])
        self.assertEqual(self.names_of(returns), ["returns"])
        self.assertEqual(self.names_of(wrong_arguments), ["wrong_arguments"])

    def test_frames_kept_alive(self):
        """A frame object that outlives the call still shows its caller."""
        frames = []

        class Keeps:
            def __init__(self):
                frames.append(sys._getframe())

        def caller():
            Keeps()

        caller()
        self.assertEqual(frames[0].f_code.co_name, "__init__")
        self.assertEqual(frames[0].f_back.f_code.co_name, "caller")
        self.assertEqual(frames[0].f_back.f_back.f_code.co_name, "test_frames_kept_alive")
        self.assertIsInstance(frames[0].f_locals["self"], Keeps)

    def test_frames_of_a_generator_kept_alive(self):
        frames = []

        def generator():
            frames.append(sys._getframe())
            yield
            frames.append(sys._getframe().f_back)

        def caller():
            for _ in generator():
                pass

        caller()
        self.assertEqual([frame.f_code.co_name for frame in frames], ["generator", "caller"])
        self.assertIsNone(frames[0].f_back)

    def test_warnings_point_at_the_caller(self):
        class Warns:
            def __init__(self, level):
                warnings.warn("text", stacklevel=level)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            Warns(1)
            Warns(2)
        in_init = Warns.__init__.__code__.co_firstlineno + 1
        in_caller = inspect.currentframe().f_lineno - 2
        self.assertEqual([w.lineno for w in caught], [in_init, in_caller])

    def test_globals_of_the_caller(self):
        """C code that asks for the globals or locals of its caller gets those of Python code."""
        class Evaluates:
            def __init__(self, text):
                x = "local"
                self.value = eval(text)

        self.assertEqual(Evaluates("x").value, "local")
        self.assertEqual(Evaluates("Base").value, Base)

    def test_tracemalloc(self):
        class Allocates:
            def __init__(self):
                self.data = bytearray(10_000)

        tracemalloc.start(3)
        try:
            instance = Allocates()
            allocated = tracemalloc.get_object_traceback(instance.data)
        finally:
            tracemalloc.stop()
        lines = [frame.lineno for frame in allocated]
        first = Allocates.__init__.__code__.co_firstlineno
        self.assertEqual(lines[-2:], [first + 5, first + 1])

    def test_print_stack(self):
        class Prints:
            def __init__(self):
                out = io.StringIO()
                traceback.print_stack(file=out)
                self.text = out.getvalue()

        lines = Prints().text.splitlines()
        self.assertIn("in test_print_stack", lines[-4])
        self.assertIn("in __init__", lines[-2])

    def test_referrers(self):
        """Neither the collector nor a reference count shows more than an instance with one owner."""
        class Instance:
            def __init__(self):
                self.count = sys.getrefcount(self)

        for make in (Instance, lambda: Instance(*())):
            instance = make()
            self.assertEqual(sys.getrefcount(instance), 2)
            self.assertTrue(gc.is_tracked(instance))


def describe(frame, event):
    """As "event name+line", where line 0 is that of the def."""
    return f"{event} {frame.f_code.co_name}+{frame.f_lineno - frame.f_code.co_firstlineno}"


class TestEvents(unittest.TestCase):
    """Trace and profile events of class instantiation and of generators in loops are those of CPython."""

    def trace(self, function, opcodes=False):
        """Events of function(), as "event name+line"."""
        events = []

        def tracer(frame, event, arg):
            if frame.f_code.co_filename != __file__:
                return None
            frame.f_trace_opcodes = opcodes
            if not opcodes or event == "opcode":
                events.append(describe(frame, event))
            return tracer

        sys.settrace(tracer)
        try:
            function()
        except Exception as error:
            events.append(type(error).__name__)
        finally:
            sys.settrace(None)
        return [event for event in events if " trace+" not in event]

    def profile(self, function):
        """Events of function() as a profiler sees them."""
        events = []

        def profiler(frame, event, arg):
            events.append(f"{event} {arg.__name__ if event.startswith('c_') else frame.f_code.co_name}")

        sys.setprofile(profiler)
        try:
            function()
        except Exception:
            pass
        finally:
            sys.setprofile(None)
        self.assertEqual(events.pop(), "c_call setprofile")
        return events

    class Simple:
        def __init__(self, x):
            self.x = x

    class Derived(Simple):
        def __init__(self, x):
            super().__init__(x)

    class WithoutInit:
        pass

    def test_trace_of_an_instantiation(self):
        def function():
            self.Simple(1)

        expected = ["call function+0", "line function+1", "call __init__+0", "line __init__+1",
                    "return __init__+1", "return function+1"]
        self.assertEqual(self.trace(function), expected)

        def function():
            self.Simple(*(1,), **{})

        self.assertEqual(self.trace(function), expected)

    def test_trace_of_a_derived_class(self):
        def function():
            self.Derived(x=1)

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1",
                          "call __init__+0", "line __init__+1",
                          "call __init__+0", "line __init__+1", "return __init__+1",
                          "return __init__+1", "return function+1"])

    def test_trace_of_a_failing_init(self):
        def function():
            Fails()

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1", "call __init__+0", "line __init__+1",
                          "exception __init__+1", "return __init__+1",
                          "exception function+1", "return function+1", "ValueError"])

    def test_trace_of_an_init_that_returns_something(self):
        def function():
            Returns()

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1", "call __init__+0", "line __init__+1",
                          "return __init__+1", "exception function+1", "return function+1", "TypeError"])

    def test_trace_of_wrong_arguments(self):
        def function():
            self.Simple()

        self.assertEqual(self.trace(function), ["call function+0", "line function+1", "exception function+1",
                                                "return function+1", "TypeError"])

    def test_trace_of_a_class_without_init(self):
        def function():
            self.WithoutInit()

        self.assertEqual(self.trace(function), ["call function+0", "line function+1", "return function+1"])

    def test_opcodes_of_an_instantiation(self):
        def function():
            return self.Simple(1)

        events = self.trace(function, opcodes=True)
        self.assertEqual(set(events), {"opcode function+1", "opcode __init__+1"})
        first = events.index("opcode __init__+1")
        self.assertEqual(events[first:].count("opcode __init__+1"), 5)
        self.assertEqual(events[first + 5:], ["opcode function+1"])

    def test_profile_of_an_instantiation(self):
        def function():
            self.Simple(1)
            self.Derived(2)
            self.WithoutInit()

        self.assertEqual(self.profile(function), ["call function", "call __init__", "return __init__",
                                                  "call __init__", "call __init__", "return __init__",
                                                  "return __init__", "return function"])

    def test_profile_of_a_failing_init(self):
        def function():
            Fails()

        self.assertEqual(self.profile(function), ["call function", "call __init__", "return __init__",
                                                  "return function"])

    def test_trace_of_a_generator_in_a_loop(self):
        def numbers():
            yield 1
            yield 2

        def function():
            for number in numbers():
                number

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1",
                          "call numbers+0", "line numbers+1", "return numbers+1", "line function+2",
                          "line function+1",
                          "call numbers+1", "line numbers+2", "return numbers+2", "line function+2",
                          "line function+1",
                          "call numbers+2", "return numbers+2", "return function+1"])

    def test_trace_of_a_delegation(self):
        def inner():
            yield 1
            return 2

        def outer():
            yield from inner()

        def function():
            for number in outer():
                number

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1",
                          "call outer+0", "line outer+1", "call inner+0", "line inner+1", "return inner+1",
                          "return outer+1", "line function+2", "line function+1",
                          "call outer+1", "call inner+1", "line inner+2", "return inner+2",
                          "exception outer+1", "return outer+1",
                          "return function+1"])

    def test_trace_of_a_delegation_without_a_result(self):
        def inner():
            yield 1

        def outer():
            yield from inner()

        def function():
            for number in outer():
                number

        self.assertEqual(self.trace(function)[-6:],
                         ["line function+1", "call outer+1", "call inner+1", "return inner+1",
                          "return outer+1", "return function+1"])

    def test_trace_of_a_generator_with_a_result(self):
        """Its StopIteration is an event of the loop."""
        def numbers():
            yield 1
            return 2

        def function():
            for number in numbers():
                number

        self.assertEqual(self.trace(function)[-5:], ["call numbers+1", "line numbers+2", "return numbers+2",
                                                     "exception function+1", "return function+1"])

    def test_trace_of_an_exception_through_a_loop(self):
        def numbers():
            yield 1
            raise KeyError

        def function():
            for number in numbers():
                number

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1",
                          "call numbers+0", "line numbers+1", "return numbers+1", "line function+2",
                          "line function+1",
                          "call numbers+1", "line numbers+2", "exception numbers+2", "return numbers+2",
                          "exception function+1", "return function+1", "KeyError"])

    def test_trace_of_await(self):
        async def inner():
            return 1

        async def outer():
            return await inner()

        def function():
            try:
                outer().send(None)
            except StopIteration:
                pass

        events = self.trace(function)
        self.assertEqual(events[:9],
                         ["call function+0", "line function+1", "line function+2",
                          "call outer+0", "line outer+1", "call inner+0", "line inner+1", "return inner+1",
                          "exception outer+1"])
        self.assertEqual(events[9], "return outer+1")

    def test_profile_of_generators(self):
        def inner():
            yield 1
            return 2

        def outer():
            yield from inner()

        def function():
            for number in outer():
                pass

        self.assertEqual(self.profile(function),
                         ["call function", "call outer", "call inner", "return inner", "return outer",
                          "call outer", "call inner", "return inner", "return outer", "return function"])

    def test_trace_of_with(self):
        class Manager:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                pass

        def function():
            with Manager():
                pass

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1", "call __enter__+0", "line __enter__+1",
                          "return __enter__+1", "line function+2", "line function+1",
                          "call __exit__+0", "line __exit__+1", "return __exit__+1", "return function+1"])

    def test_trace_of_with_and_an_exception(self):
        class Manager:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                return True

        def function():
            with Manager():
                raise KeyError

        self.assertEqual(self.trace(function),
                         ["call function+0", "line function+1", "call __enter__+0", "line __enter__+1",
                          "return __enter__+1", "line function+2", "exception function+2", "line function+1",
                          "call __exit__+0", "line __exit__+1", "return __exit__+1", "return function+1"])


# Memory fails once, ever later, after the 300th call of a function: numbers of steps are no small ints there.
NO_MEMORY = """
import _testcapi, gc, sys

class Writer:
    def write(self, text):
        fail()
class Text:
    def __str__(self):
        fail()
        return "x"
class Meta(type):
    def __instancecheck__(cls, obj):
        fail()
        return False
class Written:
    def __str__(self):
        return "x"

def fail():
    calls.append(None)
    if len(calls) == 300:
        _testcapi.set_nomemory(number, number + 1)

writer, text, written = Writer(), Text(), Written()
classes = tuple(Meta("C", (), {}) for i in range(400))
functions = Writer.write, Text.__str__, Meta.__instancecheck__, Written.__str__
for operation in (lambda: print(*[written] * 400, file=writer),
                  lambda: isinstance(3, classes),
                  lambda: "%s" * 400 % ((text,) * 400),
                  lambda: ("{}" * 400).format(*[text] * 400)):
    failed = 0
    for number in range(25):
        calls = []
        gc.collect()
        before = [sys.getrefcount(function) for function in functions]
        try:
            operation()
        except MemoryError:
            failed += 1
        finally:
            _testcapi.remove_mem_hooks()
        gc.collect()
        assert before == [sys.getrefcount(function) for function in functions], number
    assert failed > 1, failed
"""


class TestNoMemory(unittest.TestCase):
    def test_frames_that_were_pushed_are_dropped(self):
        if importlib.util.find_spec("_testcapi") is None:
            self.skipTest("there is no _testcapi")
        check_python(self, "-c", NO_MEMORY)


class TestTaskletIsInvisible(unittest.TestCase):
    """The first frame of a tasklet is that of its function."""

    def in_tasklet(self, function, *args, **kwargs):
        results = []

        def body(*args, **kwargs):
            results.append(function(*args, **kwargs))

        stackless.tasklet(body)(*args, **kwargs)
        stackless.run()
        return results[0]

    def test_frames(self):
        for way in WAYS:
            with self.subTest(way.__name__):
                self.assertEqual(self.in_tasklet(way), ["body"])
                self.assertEqual(self.in_tasklet(lambda: Base(way).names), ["__init__", "<lambda>", "body"])

    def test_started_with_keywords(self):
        for way in WAYS:
            with self.subTest(way.__name__):
                self.assertEqual(self.in_tasklet(lambda x: way(), x=1), ["<lambda>", "body"])

    def test_globals_of_a_c_function(self):
        """The shim below the first function has no globals of its own: eval() sees builtins."""
        log = []
        stackless.tasklet(exec)("log.append(len('abc'))", {"log": log})
        stackless.run()
        self.assertEqual(log, [3])

    def test_events_of_a_tasklet(self):
        events = []

        def tracer(frame, event, arg):
            if frame.f_code.co_filename == __file__:
                events.append(describe(frame, event))
                return tracer

        def starter():
            sys.settrace(tracer)
            stackless.schedule()
            function()

        def function():
            stackless.schedule()

        stackless.tasklet(starter)()
        stackless.tasklet(stackless.schedule)()
        stackless.run()
        self.assertIsNone(sys.gettrace())
        self.assertEqual(events, ["call function+0", "line function+1", "return function+1"])

    def test_traceback_of_wrong_arguments(self):
        stackless.tasklet(lambda: None)(1)
        try:
            stackless.run()
        except TypeError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names, ["test_traceback_of_wrong_arguments"])

    def test_profile_of_a_tasklet(self):
        events = []

        def profiler(frame, event, arg):
            events.append(f"{event} {arg.__name__ if event.startswith('c_') else frame.f_code.co_name}")

        def starter():
            sys.setprofile(profiler)
            stackless.schedule()

        stackless.tasklet(starter)()
        stackless.tasklet(stackless.schedule)()
        stackless.run()
        self.assertIsNone(sys.getprofile())
        self.assertEqual(events, ["c_call schedule", "c_return schedule", "return starter"])


if __name__ == "__main__":
    unittest.main()
