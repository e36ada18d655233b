"""Corners of the evaluation loop that CPython's own tests leave dark.

Nothing here knows of tasklets: every test passes on CPython 3.11 as well.  The places are those where
this loop works differently inside: frames with a memory of their own, tracing by exchanging the dispatch
table, callees that run in the middle of an expression of the caller.
"""

import ctypes
import dis
import inspect
import itertools
import signal
import sys
import textwrap
import threading
import traceback
import types
import unittest
import weakref

from .interpreters import check_python


class Thing:
    """An object that can be watched."""


class TestRecursion(unittest.TestCase):
    """RecursionError in places that take no C stack, and what works after it."""

    def assert_recovers(self, function, *args):
        """RecursionError again and again, at the same depth, and normal calls in between."""
        def depth_left(depth=0):
            try:
                return depth_left(depth + 1)
            except RecursionError:
                return depth

        before = depth_left()
        for _ in range(3):
            with self.assertRaisesRegex(RecursionError, "maximum recursion depth exceeded"):
                function(*args)
            self.assertEqual(depth_left(), before)

    def test_function(self):
        def function(*args):
            return function(*args)

        self.assert_recovers(function)

    def test_keyword_function(self):
        def function(**kwargs):
            return function(**kwargs)

        self.assert_recovers(function)

    def test_generator_in_a_loop(self):
        def level():
            for value in level():
                yield value

        def function():
            for value in level():
                pass

        self.assert_recovers(function)

    def test_delegation(self):
        def level():
            yield from level()

        def function():
            for value in level():
                pass

        self.assert_recovers(function)

    def test_await(self):
        async def level():
            await level()

        self.assert_recovers(lambda: level().send(None))

    def test_init(self):
        class Level:
            def __init__(self, *args):
                Level(*args)

        self.assert_recovers(Level)
        self.assert_recovers(Level, 1)

    def test_init_without_stars(self):
        class Level:
            def __init__(self):
                Level()

        self.assert_recovers(Level)

    def test_enter_and_exit(self):
        class Enter:
            def __enter__(self):
                with Enter():
                    pass

            def __exit__(self, *exc_info):
                pass

        class Exit:
            def __enter__(self):
                pass

            def __exit__(self, *exc_info):
                with Exit():
                    pass

        def enter():
            with Enter():
                pass

        def exit():
            with Exit():
                pass

        def exit_after_exception():
            with Exit():
                raise KeyError

        for function in enter, exit, exit_after_exception:
            self.assert_recovers(function)

    def test_each_level_counts_once(self):
        """The depth at which the limit strikes is that of CPython, give or take the shims' nothing."""
        def deepest(step):
            depth = 0

            def count():
                nonlocal depth
                depth += 1
                step(count)

            with self.assertRaises(RecursionError):
                count()
            return depth

        def call(function):
            function()

        class Instance:
            def __init__(self, function):
                function()

        def generator(function):
            for _ in (lambda: (yield function()))():
                pass

        calls = deepest(call)
        limit = sys.getrecursionlimit()
        self.assertGreater(calls, limit // 2 - 50)
        self.assertLessEqual(calls, limit // 2)
        for step in Instance, lambda function: function(*()):
            depth = deepest(step)
            self.assertGreater(depth, limit // 3 - 50)
            self.assertLessEqual(depth, limit // 2)
        self.assertGreater(deepest(generator), limit // 4 - 50)

    def test_limit_raised_in_the_middle(self):
        limit = sys.getrecursionlimit()
        self.addCleanup(sys.setrecursionlimit, limit)

        def down(depth):
            if depth == 100:
                sys.setrecursionlimit(20_000)
            return down(depth + 1) if depth < 15_000 else depth

        self.assertEqual(down(0), 15_000)
        sys.setrecursionlimit(limit)
        with self.assertRaises(RecursionError):
            down(101)

    def test_limit_too_low(self):
        limit = sys.getrecursionlimit()

        def down(depth):
            if depth:
                return down(depth - 1)
            with self.assertRaisesRegex(RecursionError, "cannot set the recursion limit to"):
                sys.setrecursionlimit(50)

        down(100)
        self.assertEqual(sys.getrecursionlimit(), limit)


class TestLongJumps(unittest.TestCase):
    """Jump distances that need one, two and three EXTENDED_ARGs."""

    SIZES = 10, 100, 1_000, 40_000

    def make(self, template, size):
        """The function that `template` defines, with BODY replaced by `size` statements."""
        indent = template[:template.index("BODY")].rpartition("\n")[2]
        source = template.replace("BODY", f"\n{indent}".join(["x += 1"] * size))
        namespace = {}
        exec(source, namespace)
        return namespace["function"]

    def count_extended(self, function):
        codes = [function.__code__]
        for code in codes:
            codes.extend(const for const in code.co_consts if isinstance(const, types.CodeType))
        return max(sum(instruction.opname == "EXTENDED_ARG" for instruction in dis.get_instructions(code))
                   for code in codes)

    def test_for_over_range(self):
        for size in self.SIZES:
            function = self.make("def function():\n    x = 0\n    for i in range(3):\n        BODY\n"
                                 "    return x\n", size)
            self.assertEqual([function() for _ in range(10)], [3 * size] * 10)
        self.assertGreater(self.count_extended(function), 1)

    def test_for_over_a_generator(self):
        for size in self.SIZES:
            function = self.make("def function():\n    x = 0\n    for i in (j for j in (1, 2, 3)):\n"
                                 "        BODY\n    return x\n", size)
            self.assertEqual([function() for _ in range(10)], [3 * size] * 10)

    def test_for_over_an_empty_generator(self):
        for size in self.SIZES:
            function = self.make("def function():\n    x = 0\n    for i in (j for j in ()):\n        BODY\n"
                                 "    else:\n        x = 'else'\n    return x\n", size)
            self.assertEqual(function(), "else")

    def test_for_over_other_iterators(self):
        for size in self.SIZES:
            function = self.make("def function(items):\n    x = 0\n    for i in items:\n        BODY\n"
                                 "    return x\n", size)
            for items in [1, 2, 3], (1, 2, 3), "abc", {1, 2, 3}, iter([1, 2, 3]), map(int, "123"):
                self.assertEqual(function(items), 3 * size)

    def test_a_generator_with_a_long_body(self):
        for size in self.SIZES:
            function = self.make("def numbers():\n    x = 0\n    for i in range(3):\n        BODY\n"
                                 "        yield x\n"
                                 "def function():\n    total = 0\n    for x in numbers():\n"
                                 "        total += x\n    return total\n", size)
            self.assertEqual(function(), 6 * size)

    def test_delegation_in_a_long_loop(self):
        for size in self.SIZES:
            function = self.make("def function():\n    x = 0\n    while True:\n        yield from (x, x)\n"
                                 "        BODY\n        if x > 2:\n            return\n", size)
            got = []
            for x in function():
                got.append(x)
                if len(got) == 4:
                    break
            self.assertEqual(got, [0, 0, size, size][:len(got)])

    def test_exception_handlers_far_away(self):
        for size in self.SIZES:
            function = self.make("def function(items):\n    x = 0\n    try:\n        for i in items:\n"
                                 "            BODY\n    except KeyError:\n        return 'caught', x\n"
                                 "    finally:\n        x = None\n", size)

            def numbers():
                yield 1
                raise KeyError

            self.assertEqual(function(numbers()), ("caught", size))

    def test_many_constants_and_names(self):
        """Large arguments of every sort: constants, names, locals, cells, attributes."""
        size = 300
        lines = ["class C: pass", "def function():"]
        for number in range(size):
            lines.append(f"    v{number} = 'constant {number}'")
            lines.append(f"    C.a{number} = v{number}")
            lines.append(f"    global g{number}; g{number} = C.a{number}")
        lines.append(f"    def inner(): return {' + '.join(f'v{number}' for number in range(size))}")
        lines.append(f"    return inner() == {' + '.join(f'g{number}' for number in range(size))}")
        namespace = {}
        exec("\n".join(lines), namespace)
        for _ in range(20):
            self.assertIs(namespace["function"](), True)

    def test_many_arguments(self):
        for size in 10, 255, 256, 1000:
            names = [f"x{number}" for number in range(size)]
            namespace = {}
            exec(f"def function({', '.join(names)}): return [{', '.join(names)}]\n"
                 f"def positional(): return function({', '.join(map(str, range(size)))})\n"
                 f"def keywords(): return function({', '.join(f'{n}={i}' for i, n in enumerate(names))})\n"
                 f"class Class:\n    def __init__(self, {', '.join(names)}): self.x = [{', '.join(names)}]\n"
                 f"def instance(): return Class({', '.join(map(str, range(size)))}).x\n", namespace)
            for name in "positional", "keywords", "instance":
                for _ in range(10):
                    self.assertEqual(namespace[name](), list(range(size)))


class TestTracingMidway(unittest.TestCase):
    """Tracing that is switched on or off while a frame, or a generator in a loop, is running."""

    def setUp(self):
        self.events = []
        self.addCleanup(sys.settrace, sys.gettrace())
        self.addCleanup(sys.setprofile, sys.getprofile())

    def trace(self, frame, event, arg):
        if frame.f_code.co_filename == __file__ and frame.f_code is not TestTracingMidway.trace.__code__:
            self.events.append((event, frame.f_code.co_name, frame.f_lineno - frame.f_code.co_firstlineno))
            return self.trace

    def test_switched_on_in_a_generator(self):
        def numbers():
            yield 1
            sys.settrace(self.trace)
            yield 2
            yield 3

        def function():
            for number in numbers():
                number
            sys.settrace(None)

        function()
        self.assertEqual(self.events,
                         [("call", "numbers", 3), ("line", "numbers", 4), ("return", "numbers", 4),
                          ("call", "numbers", 4), ("return", "numbers", 4)])

    def test_switched_off_in_a_generator(self):
        def numbers():
            yield 1
            sys.settrace(None)
            yield 2

        def function():
            sys.settrace(self.trace)
            for number in numbers():
                number

        function()
        self.assertEqual(self.events,
                         [("call", "numbers", 0), ("line", "numbers", 1), ("return", "numbers", 1),
                          ("call", "numbers", 1), ("line", "numbers", 2)])

    def test_own_frame_traced_midway(self):
        """f_trace of a running frame and settrace() together give line events from there on."""
        def function():
            x = 1
            sys._getframe().f_trace = self.trace
            sys.settrace(self.trace)
            x = 2
            for x in range(2):
                x
            sys.settrace(None)
            return x

        self.assertEqual(function(), 1)
        lines = [line for event, name, line in self.events if (event, name) == ("line", "function")]
        self.assertEqual(lines, [4, 5, 6, 5, 6, 5, 7])

    def test_switched_on_in_init(self):
        class Class:
            def __init__(instance):
                sys.settrace(self.trace)

        def after():
            sys.settrace(None)

        def function():
            Class()
            after()

        function()
        self.assertEqual(self.events, [("call", "after", 0), ("line", "after", 1)])

    def test_switched_on_in_enter_and_off_in_exit(self):
        class Manager:
            def __enter__(manager):
                sys.settrace(self.trace)

            def __exit__(manager, *exc_info):
                sys.settrace(None)

        def body():
            return 1

        def function():
            for _ in range(2):
                with Manager():
                    body()

        function()
        self.assertEqual(self.events, [("call", "body", 0), ("line", "body", 1), ("return", "body", 1),
                                       ("call", "__exit__", 0), ("line", "__exit__", 1)] * 2)

    def test_switched_on_by_an_operator(self):
        """Any instruction that runs Python code may switch tracing on."""
        class Switch:
            def __add__(switch, other):
                sys.settrace(self.trace)
                return 1

            __lt__ = __getitem__ = __call__ = __contains__ = __getattr__ = __matmul__ = __iadd__ = __add__

            def __neg__(switch):
                return switch + 1

            __bool__ = __neg__
            __invert__ = __neg__

            def __iter__(switch):
                return iter([switch + 1])

            def __format__(switch, spec):
                return str(switch + 1)

            def __setattr__(switch, name, value):
                switch + 1

            def __setitem__(switch, name, value):
                switch + 1

            def __hash__(switch):
                return switch + 1

        def body():
            pass

        def attribute(switch): return switch.anything

        def store_attribute(switch): switch.x = 1

        def store_item(switch): switch[1] = 1

        def contains(switch): return 1 in switch

        def iterates(switch):
            for _ in switch:
                pass

        def unpacks(switch): a, = switch

        def in_place(switch): switch += 1

        def boolean(switch):
            if not switch:
                pass

        operations = [lambda s: s + 1, lambda s: s < 1, lambda s: s[1], lambda s: s(1), lambda s: s @ 1,
                      lambda s: -s, lambda s: ~s, lambda s: f"{s}", lambda s: {s: 1}, lambda s: {s},
                      attribute, store_attribute, store_item, contains, iterates, unpacks, in_place, boolean]
        for number, operation in enumerate(operations):
            with self.subTest(number=number):
                self.events.clear()

                def function():
                    try:
                        operation(Switch())
                    except TypeError:
                        pass
                    body()

                function()
                sys.settrace(None)
                self.assertIn(("call", "body", 0), self.events)

    def test_a_trace_function_that_raises(self):
        """It is switched off, and the exception is raised in the traced code, in a generator as well."""
        def trace(frame, event, arg):
            if frame.f_code is numbers.__code__ and event == "line" and frame.f_locals.get("number") == 1:
                raise KeyError("from the trace function")
            return trace

        def numbers():
            for number in range(3):
                yield number

        got = []
        sys.settrace(trace)
        with self.assertRaisesRegex(KeyError, "from the trace function"):
            for number in numbers():
                got.append(number)
        self.assertIsNone(sys.gettrace())
        self.assertEqual(got, [0])

    def test_a_profile_function_that_raises(self):
        def profile(frame, event, arg):
            if frame.f_code is numbers.__code__ and event == "return" and arg == 1:
                raise KeyError("from the profile function")

        def numbers():
            for number in range(3):
                yield number

        got = []
        sys.setprofile(profile)
        with self.assertRaisesRegex(KeyError, "from the profile function"):
            for number in numbers():
                got.append(number)
        self.assertIsNone(sys.getprofile())
        self.assertEqual(got, [0])

    def test_jump_inside_a_generator(self):
        def numbers():
            yield 1
            yield 2
            yield 3

        def trace(frame, event, arg):
            if frame.f_code is numbers.__code__:
                if event == "line" and frame.f_lineno == numbers.__code__.co_firstlineno + 2:
                    frame.f_lineno += 1
                return trace

        got = []
        sys.settrace(trace)
        for number in numbers():
            got.append(number)
        sys.settrace(None)
        self.assertEqual(got, [1, 3])

    def test_opcode_events_everywhere(self):
        """Per-opcode tracing of a generator, an __init__ and a with block changes nothing."""
        class Class:
            def __init__(self, *args):
                self.args = args

            def __enter__(self):
                return self

            def __exit__(self, *exc_info):
                return True

        def numbers():
            yield from (number for number in range(3))

        def function():
            got = []
            for number in numbers():
                with Class(number, *[number]) as instance:
                    got.append(instance.args)
                    raise KeyError
            return got

        def trace(frame, event, arg):
            nonlocal opcodes
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            opcodes += event == "opcode"
            return trace

        opcodes = 0
        for _ in range(3):
            sys.settrace(trace)
            got = function()
            sys.settrace(None)
            self.assertEqual(got, [(0, 0), (1, 1), (2, 2)])
        self.assertGreater(opcodes, 300)


class TestInterruptions(unittest.TestCase):
    """Signals, pending calls and asynchronous exceptions arrive in every kind of loop."""

    def interrupt(self, function):
        """function() until a signal handler raises.

        The signal is sent until the handler has run: where there is no level left for a call of the handler, a
        RecursionError takes the handler's place, in CPython too.
        """
        def handler(number, frame):
            if frame.f_code in outside:
                return      # the next signal comes
            signal.setitimer(signal.ITIMER_REAL, 0)
            arrived.append(frame.f_code.co_name)
            raise InterruptedError

        # Where a signal can come while function() does not run.
        outside = handler.__code__, sys._getframe().f_code
        arrived = []
        old = signal.signal(signal.SIGALRM, handler)
        try:
            with self.assertRaises(InterruptedError):
                signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
                function()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
        self.assertEqual(len(arrived), 1)

    def test_while_loop(self):
        def function():
            while True:
                pass

        self.interrupt(function)

    def test_for_over_a_generator(self):
        def numbers():
            while True:
                yield 1

        def function():
            for _ in numbers():
                pass

        self.interrupt(function)

    def test_for_over_a_c_iterator(self):
        def function():
            for _ in itertools.repeat(None):
                pass

        self.interrupt(function)

    def test_delegation(self):
        def inner():
            yield 1

        def outer():
            while True:
                yield from inner()

        def function():
            for _ in outer():
                pass

        self.interrupt(function)

    def test_instances(self):
        class Class:
            def __init__(self):
                pass

        def function():
            while True:
                Class()

        self.interrupt(function)

    def test_await(self):
        async def nothing():
            pass

        async def function():
            while True:
                await nothing()

        self.interrupt(lambda: function().send(None))

    def test_recursion(self):
        def function():
            try:
                function()
            except RecursionError:
                pass

        def forever():
            while True:
                function()

        self.interrupt(forever)

    def test_a_signal_inside_a_generator_leaves_it_finished(self):
        def numbers():
            while True:
                for _ in itertools.repeat(None, 1000):
                    pass
                yield 1

        def function():
            for _ in generator:
                pass

        generator = numbers()
        self.interrupt(function)
        self.assertFalse(generator.gi_running)

    def test_asynchronous_exceptions(self):
        import ctypes

        def numbers():
            while True:
                yield 1

        def body():
            try:
                started.set()
                for _ in numbers():
                    pass
            except InterruptedError:
                caught.append(True)

        started = threading.Event()
        caught = []
        thread = threading.Thread(target=body)
        thread.start()
        started.wait()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident),
                                                   ctypes.py_object(InterruptedError))
        thread.join()
        self.assertEqual(caught, [True])

    def test_threads_take_turns_in_every_loop(self):
        def numbers():
            while not stop:
                yield 1

        def body():
            for _ in numbers():
                counts[threading.current_thread().name] += 1
                if all(count > 100 for count in counts.values()):
                    stop.append(True)

        stop = []
        counts = {str(number): 0 for number in range(3)}
        threads = [threading.Thread(target=body, name=name) for name in counts]
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(interval)
        self.assertTrue(all(count > 100 for count in counts.values()))


class TestFrameObjects(unittest.TestCase):
    def test_kept_after_return(self):
        def inner(x):
            y = [x]
            frames.append(sys._getframe())
            return y

        def outer(x):
            return inner(x + 1)

        frames = []
        outer(1)
        frame, = frames
        self.assertEqual((frame.f_locals["x"], frame.f_locals["y"]), (2, [2]))
        self.assertEqual(frame.f_back.f_code.co_name, "outer")
        self.assertEqual(frame.f_back.f_locals["x"], 1)
        self.assertEqual(frame.f_lineno, inner.__code__.co_firstlineno + 3)
        self.assertIs(frame.f_globals, globals())
        frame.clear()
        self.assertNotIn("x", frame.f_locals)

    def test_kept_after_an_exception(self):
        def inner():
            x = 1
            raise KeyError(x)

        def generator():
            y = 2
            yield inner()

        class Class:
            def __init__(self):
                z = 3
                for _ in generator():
                    pass

        try:
            Class()
        except KeyError as error:
            tb = error.__traceback__
        frames = [frame for frame, _ in traceback.walk_tb(tb)][1:]
        self.assertEqual([frame.f_code.co_name for frame in frames], ["__init__", "generator", "inner"])
        self.assertEqual([frame.f_locals[name] for frame, name in zip(frames, "zyx")], [3, 2, 1])
        traceback.clear_frames(tb)
        self.assertEqual(frames[2].f_locals, {})

    def test_a_running_frame_cannot_be_cleared(self):
        def numbers():
            with self.assertRaisesRegex(RuntimeError, "cannot clear an executing frame"):
                sys._getframe().clear()
            with self.assertRaisesRegex(RuntimeError, "cannot clear an executing frame"):
                sys._getframe().f_back.clear()
            yield

        for _ in numbers():
            pass

    def test_the_frame_of_a_suspended_generator_is_cleared(self):
        def numbers():
            try:
                yield 1
            finally:
                log.append("finally")

        log = []
        generator = numbers()
        for _ in generator:
            generator.gi_frame.clear()
        self.assertEqual(log, ["finally"])

    def test_a_frame_outlives_its_generator(self):
        def numbers(x):
            yield sys._getframe()

        for frame in numbers(5):
            pass
        self.assertEqual(frame.f_locals, {"x": 5})
        self.assertIsNone(frame.f_back)

    def test_locals_of_all_kinds(self):
        def function(a, *args, b=2, **kwargs):
            def inner():
                return free, a

            free = 1
            del b
            return locals()

        got = function(1, 2, x=3)
        inner = got.pop("inner")
        self.assertEqual(got, {"a": 1, "args": (2,), "kwargs": {"x": 3}, "free": 1})
        self.assertEqual(inner(), (1, 1))

        class Body:
            x = 1
            names = sorted(name for name in locals() if not name.startswith("_"))

        self.assertEqual(Body.names, ["names", "x"] if "names" in Body.names else ["x"])

    def test_locals_of_a_generator_from_outside(self):
        def numbers(x):
            y = x + 1
            yield y
            y += 10
            yield y

        generator = numbers(1)
        for value in generator:
            self.assertEqual(inspect.getgeneratorlocals(generator), {"x": 1, "y": value})

    def test_unbound_locals(self):
        def local():
            if False:
                x = 1
            return x

        def free():
            def inner():
                return x

            if False:
                x = 1
            return inner()

        def deleted():
            x = 1
            del x
            del x

        with self.assertRaisesRegex(UnboundLocalError, "cannot access local variable 'x' where it is not"):
            local()
        with self.assertRaisesRegex(NameError, "cannot access free variable 'x' where it is not associated"):
            free()
        with self.assertRaisesRegex(UnboundLocalError, "cannot access local variable 'x'"):
            deleted()

    def test_frame_object_made_in_the_middle_of_a_loop(self):
        def numbers():
            for number in range(3):
                if number == 1:
                    frames.append(sys._getframe())
                yield number

        frames = []
        for number in numbers():
            frames.append(sys._getframe())
        self.assertEqual(len({id(frame) for frame in frames}), 2)

    def test_f_lineno_while_a_callee_runs(self):
        def here():
            return sys._getframe(1).f_lineno - sys._getframe(1).f_code.co_firstlineno

        class Class:
            def __init__(self):
                self.line = sys._getframe(1).f_lineno - sys._getframe(1).f_code.co_firstlineno

        def numbers():
            yield here()
            yield sys._getframe(1).f_lineno - sys._getframe(1).f_code.co_firstlineno

        def function():
            got = [here(),
                   here(*()),
                   Class().line]
            for line in numbers():
                got.append(line)
            return got

        self.assertEqual(function(), [1, 2, 3, 1, 4])


class TestValueStack(unittest.TestCase):
    """Inlined callees in the middle of deep expressions leave the stack as they found it."""

    class Number:
        def __init__(self, value, *, fail=False):
            if fail:
                raise KeyError(value)
            self.value = value

    def test_deep_expressions(self):
        N = self.Number

        def f(*args, **kwargs):
            return sum(args) + sum(kwargs.values())

        for _ in range(20):
            self.assertEqual([1, [2, f(*[3, N(4).value, f(*[5], x=N(value=6).value)]), {7: N(8).value}], 9],
                             [1, [2, 18, {7: 8}], 9])

    def test_exceptions_in_deep_expressions(self):
        N = self.Number
        things = []

        def thing():
            thing = Thing()
            things.append(weakref.ref(thing))
            return thing

        def generator():
            yield thing()
            raise KeyError

        def fails(*args):
            raise KeyError

        for expression in (lambda: [thing(), thing(), N(1, fail=True)],
                           lambda: [thing(), [x for x in generator()]],
                           lambda: (thing(), {1: thing(), 2: fails(*[thing()])}),
                           lambda: print(thing(), N(*[thing()], **{"fail": True})),
                           lambda: [(x, y) for x in generator() for y in generator()]):
            things.clear()
            for _ in range(20):
                with self.assertRaises(KeyError):
                    expression()
            self.assertEqual([ref() for ref in things], [None] * len(things))
            self.assertGreater(len(things), 0)

    def test_loops_in_loops_with_exceptions(self):
        def numbers(fail):
            for number in range(3):
                if number == fail:
                    raise KeyError(number)
                yield number

        got = []
        for outer in numbers(None):
            try:
                for inner in numbers(outer):
                    for innermost in (x for x in numbers(None)):
                        got.append((outer, inner, innermost))
            except KeyError as error:
                got.append(error.args[0])
        self.assertEqual(len(got), 3 + 3 + 6)
        self.assertEqual([item for item in got if isinstance(item, int)], [0, 1, 2])

    def test_temporaries_die_in_order(self):
        class Dying:
            def __init__(self, name):
                self.name = name

            def __del__(self):
                log.append(self.name)

        log = []
        [Dying("a"), Dying("b")]
        log.append("statement")
        Dying("c").name
        log.append("statement")
        self.assertEqual(log, ["b", "a", "statement", "c", "statement"])

    def test_finalizers_that_run_code_in_between(self):
        """A reference dropped by any instruction may run a generator, make instances, raise and recurse."""
        class Dying:
            def __del__(self):
                total.extend(TestValueStack.Number(value).value for value in numbers())
                try:
                    raise KeyError
                except KeyError:
                    pass

        def numbers():
            yield 1
            yield 2

        total = []
        for _ in range(10):
            x = Dying()
            x = None
            [Dying() for _ in numbers()]
            Dying() and None
            for _ in (Dying() for _ in range(2)):
                pass
        del _
        self.assertEqual(total, [1, 2] * 60)


class Definition(ctypes.Structure):
    """A PyMethodDef; at module level, since ctypes keeps all pointer types."""

    _fields_ = [("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int),
                ("doc", ctypes.c_char_p)]


class TestCalls(unittest.TestCase):
    def test_star_arguments_of_all_types(self):
        def function(*args, **kwargs):
            return args, kwargs

        def numbers():
            yield 1
            yield 2

        class Mapping:
            def keys(self):
                return ["x", "y"]

            def __getitem__(self, key):
                return key * 2

        for _ in range(20):
            for args in ((1, 2), [1, 2], numbers(), iter((1, 2)), {1: 0, 2: 0}, map(int, "12"),
                         (number for number in numbers())):
                self.assertEqual(function(*args), ((1, 2), {}))
            self.assertEqual(function(**Mapping()), ((), {"x": "xx", "y": "yy"}))
            self.assertEqual(function(*[1], *(2,), *[], **{"x": 1}, **{"y": 2}), ((1, 2), {"x": 1, "y": 2}))

    def test_errors_of_star_arguments(self):
        def function(*args, **kwargs):
            pass

        def fails():
            yield 1
            raise KeyError("inside")

        with self.assertRaisesRegex(KeyError, "inside"):
            function(*fails())
        with self.assertRaisesRegex(TypeError, r"function\(\) argument after \* must be an iterable"):
            function(*None)
        with self.assertRaisesRegex(TypeError, r"function\(\) argument after \*\* must be a mapping"):
            function(**[])
        with self.assertRaisesRegex(TypeError, r"function\(\) got multiple values for keyword argument 'x'"):
            function(**{"x": 1}, **{"x": 2})
        with self.assertRaisesRegex(TypeError, "Value after \\* must be an iterable, not int"):
            [*5]
        with self.assertRaisesRegex(TypeError, "keywords must be strings"):
            function(**{1: 2})

    def test_call_of_what_is_not_callable(self):
        number, nothing, text = 5, None, "text"
        for call in lambda: number(), lambda: number(*()), lambda: nothing(**{}), lambda: text(x=1):
            with self.assertRaisesRegex(TypeError, "object is not callable"):
                call()

    def test_callee_changes_at_one_place(self):
        def call(function, *args):
            return function(*args)

        def direct(function, x):
            return function(x)

        class Class:
            def __init__(self, x):
                self.x = x

            def method(self, y):
                return self.x + y

            def __call__(self, y):
                return self.x * y

        instance = Class(5)
        for _ in range(50):
            for caller in call, direct:
                self.assertEqual(caller(len, "ab"), 2)
                self.assertEqual(caller(lambda x: x + 1, 1), 2)
                self.assertEqual(caller(instance.method, 1), 6)
                self.assertEqual(caller(instance, 2), 10)
                self.assertEqual(caller(Class, 7).x, 7)
                self.assertEqual(caller(type, 7), int)
                self.assertEqual(caller(str, 7), "7")
                self.assertEqual(caller(tuple, "ab"), ("a", "b"))
                self.assertEqual(caller("a-b".split, "-"), ["a", "b"])
                self.assertEqual(caller(isinstance, *(1, int)) if caller is call else True, True)

    def test_functions_of_modules_at_one_place(self):
        """The function may change, the module may, and each module has entries of its own."""
        def call(module):
            return module.function(1)

        def read(module):
            return module.function

        modules = []
        for number in range(3):
            module = types.ModuleType(f"module_{number}")
            for filler in range(number * 5):
                setattr(module, f"filler_{filler}", None)
            module.function = lambda x, number=number: (number, x)
            modules.append(module)
        for number in 0, 1, 2, 1, 0:
            for _ in range(100):
                self.assertEqual(call(modules[number]), (number, 1))
                self.assertIs(read(modules[number]), modules[number].function)
        first = modules[0]
        for _ in range(20):
            first.function = lambda x: "new"
            self.assertEqual(call(first), "new")
            first.function = len
            with self.assertRaises(TypeError):
                call(first)
            del first.function
            with self.assertRaisesRegex(AttributeError, "module 'module_0' has no attribute 'function'"):
                call(first)
            first.another, first.function = 5, lambda x: (0, x)
            for _ in range(20):
                self.assertEqual(call(first), (0, 1))

    def test_a_function_changes(self):
        def function(x, y=1):
            return x + y

        def call():
            return function(10)

        for _ in range(50):
            self.assertEqual(call(), 11)
        function.__defaults__ = (2,)
        self.assertEqual(call(), 12)
        function.__code__ = (lambda x, y: x * y).__code__
        self.assertEqual(call(), 20)
        function.__defaults__ = None
        with self.assertRaisesRegex(TypeError, "missing 1 required positional argument: 'y'"):
            call()
        function.__kwdefaults__ = {"z": 5}
        function.__code__ = (lambda x, *, z: (x, z)).__code__
        self.assertEqual(call(), (10, 5))

    def test_globals_and_builtins_change(self):
        namespace = {}
        exec("def read(): return value\ndef size(): return len('abc')", namespace)
        with self.assertRaisesRegex(NameError, "name 'value' is not defined"):
            namespace["read"]()
        for number in range(50):
            namespace["value"] = number
            self.assertEqual((namespace["read"](), namespace["size"]()), (number, 3))
        namespace["len"] = lambda x: "mine"
        self.assertEqual(namespace["size"](), "mine")
        del namespace["len"]
        self.assertEqual(namespace["size"](), 3)
        for number in range(100):
            namespace[f"new{number}"] = number
        self.assertEqual((namespace["read"](), namespace["size"]()), (49, 3))

    def test_a_generator_function_called_in_every_way(self):
        def numbers(*args, **kwargs):
            yield args
            yield kwargs

        class Class:
            method = numbers

            def __iter__(self):
                yield from self.method(x=1)

        for _ in range(20):
            self.assertEqual(list(numbers(1, *[2], x=3)), [(1, 2), {"x": 3}])
            instance = Class()
            got = []
            for value in instance:
                got.append(value)
            self.assertEqual(got, [(instance,), {"x": 1}])

    def test_keyword_defaults_replaced_while_they_are_looked_up(self):
        program = textwrap.dedent("""
            class Key:
                def __init__(self, name):
                    self.name = name
                def __hash__(self):
                    return hash(self.name)
                def __eq__(self, other):
                    function.__kwdefaults__ = {}
                    return self.name == other

            def function(*, a, b, c):
                return a, b, c

            function.__kwdefaults__ = {Key(name): [name] for name in "abc"}
            print(function())
            """)
        printed = check_python(self, "-c", program, PYTHONMALLOC="debug")
        self.assertEqual(printed, "(['a'], ['b'], ['c'])\n")

    def test_a_c_function_that_fails_without_exception(self):
        """Also where the loop calls it directly, without the base's check of results."""
        method_o = 8
        prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        null = prototype(lambda module, argument: None)
        definition = Definition(b"null", ctypes.cast(null, ctypes.c_void_p), method_o, None)
        new = ctypes.pythonapi.PyCFunction_NewEx
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.POINTER(Definition), ctypes.c_void_p, ctypes.c_void_p]
        function = new(definition, None, None)
        for _ in range(50):
            with self.assertRaisesRegex(SystemError, "without (setting an )?exception"):
                function(1)


class TestThreads(unittest.TestCase):
    def test_recursion_in_many_threads_at_once(self):
        """Each thread has its frame memory and its count."""
        def down(depth):
            for value in generator(depth):
                return value

        def generator(depth):
            yield down(depth - 1) + 1 if depth else 0

        def body():
            for _ in range(20):
                results.append(down(300))

        results = []
        threads = [threading.Thread(target=body) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(results, [300] * 100)

    def test_a_generator_moves_between_threads(self):
        def numbers():
            for number in range(10):
                yield number, threading.get_ident()

        def body():
            for value in generator:
                got.append(value)
                return

        generator = numbers()
        got = []
        for _ in range(3):
            thread = threading.Thread(target=body)
            thread.start()
            thread.join()
        for value in generator:
            got.append(value)
        self.assertEqual([number for number, _ in got], list(range(10)))
        self.assertEqual(got[-1][1], threading.get_ident())


if __name__ == "__main__":
    unittest.main()
