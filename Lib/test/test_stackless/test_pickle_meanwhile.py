"""What the collector, special methods and other dumps do to an object while it is pickled or loaded, and what is
left where that fails."""

import contextlib
import contextvars
import gc
import pickle
import re
import sys
import threading
import types
import unittest
import weakref
from test.support import import_helper

import stackless
from _stackless import _wrap
from stackless import channel, schedule_remove, tasklet
from test_stackless.cases import LeavesNoTasklets, needs_soft_switches

EXCEPTIONS = 9


def wait(value=None):
    return schedule_remove(value)


def paused(function, *args):
    t = tasklet(function)(*args)
    t.run()
    return t


def recurse(depth, value=None):
    return recurse(depth - 1, value) if depth else wait()


class Collecting(LeavesNoTasklets, unittest.TestCase):
    """Tests of calls in which a collection takes place."""

    def setUp(self):
        self.action = None
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        gc.callbacks.append(self.collected)
        self.addCleanup(gc.callbacks.remove, self.collected)
        gc.freeze()
        self.addCleanup(gc.unfreeze)

    def collected(self, phase, info):
        if phase == "start" and self.action is not None:
            action, self.action = self.action, None
            action()

    def call(self, allocations, action, function, *args):
        """Call the function, in which a collection after so many allocations calls `action` first."""
        threshold = gc.get_threshold()
        gc.collect()
        # Those that are kept for later are used up.
        used = [(i,) * n for i in range(20) for n in range(12)], [contextvars.Context() for _ in range(20)]
        self.action = action
        count = gc.get_count()
        gc.set_threshold(count[0] + allocations)
        try:
            return function(*args)
        finally:
            gc.set_threshold(*threshold)
            self.action = None
            del used, count


@needs_soft_switches
class TestCollector(Collecting):
    """The object is whole, as it was before or as it is afterwards."""

    def test_tasklet_that_ends(self):
        def end():
            t.run()
            others.append(paused(recurse, 20, "other"))   # in the same memory

        others = []
        for allocations in range(40):
            with self.subTest(allocations=allocations):
                t = paused(recurse, 20, "value")
                frames = self.call(allocations, end, t.__reduce__)[2][3]
                self.assertIn([frame[5] for frame in frames[1:-1]], ([], [(n, "value") for n in range(20, -1, -1)]))
                t.kill()
        for other in others:
            other.kill()

    def test_generator_that_ends(self):
        def generator():
            a, b, c = [1], [2], [3]
            yield a, b, c

        def end():
            g.close()
            junk.extend([n] for n in range(10))

        junk = []
        for allocations in range(20):
            with self.subTest(allocations=allocations):
                g = generator()
                next(g)
                description = self.call(allocations, end, _wrap.reduce_generator, g)[2][1]
                self.assertIn(description and description[5], (None, ([1], [2], [3])))

    def test_cell_that_is_emptied(self):
        def empty():
            del cell.cell_contents
            junk.extend([n] for n in range(10))

        junk = []
        for allocations in range(10):
            with self.subTest(allocations=allocations):
                cell = types.CellType([allocations])
                self.assertIn(self.call(allocations, empty, _wrap.reduce_cell, cell)[2], (([allocations],), ()))

    def test_function_that_is_changed(self):
        def change():
            f.__defaults__ = f.__doc__ = None
            f.__qualname__ = f.__name__ = "other"

        for allocations in range(20):
            with self.subTest(allocations=allocations):
                f = lambda x=0: x  # noqa: E731
                f.__defaults__ = (bytearray(100),)
                f.__doc__ = "doc " * allocations
                f.__qualname__ = f.__name__ = "<name" + ">" * allocations
                state = self.call(allocations, change, _wrap.reduce_function, f)[2]
                self.assertIn(state[2:5], (("<name" + ">" * allocations,) * 2 + ((bytearray(100),),),
                                           ("other", "other", None)))

    def test_traceback_that_is_cut(self):
        def raising(depth):
            return raising(depth - 1) if depth else 1 / 0

        for allocations in range(40):
            with self.subTest(allocations=allocations):
                try:
                    raising(20)
                except ZeroDivisionError as e:
                    tb = e.__traceback__.tb_next
                    e.__traceback__ = None
                entries = self.call(allocations, lambda: setattr(tb, "tb_next", None), _wrap.reduce_traceback, tb)[1][0]
                self.assertIn(len(entries), (1, 21))

    def test_queue_that_changes(self):
        for allocations in range(8):
            with self.subTest(allocations=allocations):
                ch = channel()
                t = tasklet()
                queue = [t]
                with contextlib.suppress(ValueError):
                    self.call(allocations, lambda: queue.__setitem__(0, "no tasklet"), ch.__setstate__,
                              (1, 0, queue, None))
                self.assertIn(ch.queue, (t, None))

    def test_loading(self):
        """A tasklet that is being filled cannot be run yet."""
        def start():
            with contextlib.suppress(RuntimeError):
                loaded.run()

        # The first ones may come from those that are kept for later.
        t = paused(*[contextvars.Context().run for _ in range(4)], wait)
        state = t.__reduce__()[2]
        t.kill()
        # As an image has a context that does not pickle.
        frames = [frame[:5] + ((None,),) + frame[6:] if frame[0] == "<Context.run>" else frame for frame in state[3]]
        state = state[:3] + (frames,) + state[4:]
        for allocations in range(10):
            with self.subTest(allocations=allocations):
                loaded = tasklet()
                self.call(allocations, start, loaded.__setstate__, state)
                self.assertTrue(loaded.alive)
                loaded.run()
                self.assertFalse(loaded.alive)


@needs_soft_switches
class TestSpecialMethods(LeavesNoTasklets, unittest.TestCase):
    def test_name_of_a_function_that_is_looked_up(self):
        class Namespace:
            def __getattr__(self, name):
                f.__qualname__ = f"other{len(names)}"
                names.append(name)
                junk.extend("x" * n for n in range(300))
                return self

        names, junk = [], []
        module = types.ModuleType("made_up")
        module.namespace = Namespace()
        f = types.FunctionType((lambda: 5).__code__, {"__name__": "made_up"}, "f")
        path = [f"part{n}" for n in range(20)]
        f.__module__ = "made_up"
        f.__qualname__ = ".".join(["namespace", *path])
        self.addCleanup(sys.modules.pop, "made_up")
        sys.modules["made_up"] = module
        self.assertEqual(_wrap.reduce_function(f)[2][0], f.__code__)
        self.assertEqual(names, path)

    def test_attributes_of_a_tasklet_that_ends(self):
        class Ending(tasklet):
            __slots__ = ("attribute",)

            def __getattribute__(self, name):
                if name == "attribute" and self.alive:
                    self.run()
                return super().__getattribute__(name)

        t = Ending(recurse)(20)
        t.attribute = 1
        t.run()
        state = t.__reduce__()[2]
        self.assertEqual((state[3], state[7]), ([], (None, {"attribute": 1})))

    def test_attributes_of_a_channel(self):
        """What it says of itself fits together."""
        class Changing(channel):
            __slots__ = ("attribute",)

            def __getattribute__(self, name):
                if name == "attribute" and self.balance:
                    self.receive()
                return super().__getattribute__(name)

        ch = Changing()
        ch.attribute = 1
        paused(ch.send, 1)
        balance, _, queue, _ = ch.__reduce__()[2]
        self.assertEqual((balance, queue), (0, []))
        stackless.run()

    def test_keys_of_a_variable(self):
        class Key:
            def __hash__(self):
                return hash("__name__")

            def __eq__(self, other):
                t.run()
                return False

        def body():
            variables = {Key(): 1}
            recurse(20)
            return variables

        t = paused(body)
        self.assertEqual(len(t.__reduce__()[2][3]), 24)
        self.assertTrue(t.alive)
        t.kill()

    def test_keys_of_a_namespace_that_are_no_strings(self):
        self.addCleanup(globals().pop, 1)
        globals()[1] = 2
        t = paused(recurse, 0)
        self.assertEqual(t.__reduce__()[2][3][1][1], __name__)
        t.kill()


def first(obstacle):
    wait()


def second(obstacle):
    wait()


class Waiting:
    """Another dump begins while this one waits."""

    def __reduce__(self):
        stackless.schedule()
        raise TypeError("no pickle")


class Suspended:
    def __init__(self, wake):
        self.wake = wake

    def __reduce__(self):
        self.wake()
        raise TypeError("no pickle")


@needs_soft_switches
class TestDumps(LeavesNoTasklets, unittest.TestCase):
    def dump(self, t, errors):
        try:
            pickle.dumps(t)
        except pickle.PicklingError as error:
            errors.append(re.search(r": in (\w+) \(", str(error))[1])

    def test_nothing_holds_the_tasklet_afterwards(self):
        class Argument:
            pass

        argument = Argument()
        t = paused(first, argument)
        t.__reduce__()
        found = weakref.ref(argument)
        del argument, t
        gc.collect()
        self.assertIsNone(found())

    def test_of_tasklets_that_alternate(self):
        errors = []
        for function in first, second:
            tasklet(self.dump)(paused(function, Waiting()), errors)
        stackless.run()
        self.assertEqual(sorted(errors), ["first", "second"])

    def test_of_two_threads(self):
        errors, begun, end = [], threading.Event(), threading.Event()

        def wake():
            begun.set()
            end.wait()

        thread = threading.Thread(target=lambda: self.dump(paused(first, Suspended(wake)), errors))
        thread.start()
        begun.wait()
        t = paused(second, 1)
        t.__reduce__()
        end.set()
        thread.join()
        t.kill()
        self.assertEqual(errors, ["first"])


@needs_soft_switches
class TestDepth(LeavesNoTasklets, unittest.TestCase):
    def test_causes(self):
        def body():
            error = None
            for _ in range(200_000):
                cause, error = error, ValueError()
                error.__cause__ = cause
                error.__context__ = KeyError()
            try:
                raise error
            except ValueError:
                del error, cause
                wait()

        gc.disable()
        self.addCleanup(gc.enable)
        t = paused(body)
        rows = t.__reduce__()[2][EXCEPTIONS]
        self.assertEqual(len(rows), 200_000)
        t.kill()


@needs_soft_switches
class TestFailures(LeavesNoTasklets, unittest.TestCase):
    def nested(self):
        """A state in which two different contexts are entered, and these."""
        outer, inner = contextvars.Context(), contextvars.Context()
        t = paused(outer.run, inner.run, wait)
        state = t.__reduce__()[2]
        t.kill()
        return state, outer, inner

    def entered_twice(self):
        """A state in which a context is entered twice, and that context."""
        state, outer, inner = self.nested()
        frames = [description[:5] + (tuple(outer if value is inner else value for value in description[5]),)
                  + description[6:] for description in state[3]]
        return state[:3] + (frames,) + state[4:], outer

    def test_contexts_are_left(self):
        state, context = self.entered_twice()
        with self.assertRaisesRegex(ValueError, "a context is entered twice"):
            tasklet().__setstate__(state)
        context.run(int)

    def test_contexts_that_the_tasklet_has_already(self):
        state, context = self.entered_twice()
        t = tasklet()
        t.set_context(context)
        with self.assertRaisesRegex(ValueError, "a context is entered twice"):
            t.__setstate__(state)
        context.run(int)

    def test_contexts_of_one_that_loads(self):
        state, outer, inner = self.nested()
        t = tasklet()
        t.__setstate__(state)
        for context in outer, inner:
            with self.assertRaisesRegex(RuntimeError, "cannot enter context"):
                context.run(int)
        t.run()
        for context in outer, inner:
            context.run(int)

    def test_placeholder_stays_one(self):
        """A channel has the tasklet in its queue: it can still be woken."""
        state, context = self.entered_twice()
        t, ch = tasklet(), channel()
        ch.__setstate__((-1, 0, [t], None))
        state = state[:1] + (3,) + state[2:]
        with self.assertRaisesRegex(ValueError, "a context is entered twice"):
            t.__setstate__(state)
        self.assertTrue(t.blocked)
        ch.send(1)
        with self.assertRaisesRegex(RuntimeError, "not completely unpickled"):
            stackless.run()
        context.run(int)

    def test_arguments_of_a_false_placeholder(self):
        """What runs code when it is dropped."""
        t, ch = tasklet(), channel()
        ch.__setstate__((-1, 0, [t], None))
        placeholder = t.__reduce__()[2][3][0][5][1]
        ch.send(1)
        with contextlib.suppress(RuntimeError):
            stackless.run()
        state = paused(recurse, 0).__reduce__()[2]
        t = tasklet(placeholder)([])
        t.remove()
        with self.assertRaisesRegex(RuntimeError, "is alive"):
            t.__setstate__(state)
        t.kill()

    def test_stand_in_for_the_module_of_the_reducers(self):
        iterator = type(iter(()))
        expected = pickle.dumps(iterator)
        wrap = sys.modules["_stackless._wrap"]
        self.addCleanup(sys.modules.__setitem__, "_stackless._wrap", wrap)
        sys.modules["_stackless._wrap"] = None
        with contextlib.suppress(pickle.PicklingError, AttributeError):
            pickle.dumps(iterator)
        sys.modules["_stackless._wrap"] = wrap
        self.assertEqual(pickle.dumps(iterator), expected)


def fresh():
    """A tasklet that waits in a function whose code nobody has loaded or reduced yet."""
    function = types.FunctionType(wait.__code__.replace(co_name="fresh"), globals(), argdefs=(None,))
    return paused(function)


@needs_soft_switches
class TestNoMemory(LeavesNoTasklets, unittest.TestCase):
    """At each allocation of a call: MemoryError, or what the base's pickler makes of it."""

    def each(self, prepare, call):
        testcapi = import_helper.import_module("_testcapi")
        gc.disable()
        self.addCleanup(gc.enable)
        streak = at = 0
        while streak < 40:
            argument = prepare()
            error = None
            testcapi.set_nomemory(at, at + 1)
            try:
                call(argument)
            except Exception as e:
                error = e
            finally:
                testcapi.remove_mem_hooks()
            if error is not None:
                self.assertIsInstance(error, (MemoryError, pickle.PicklingError), f"allocation {at}")
            streak = streak + 1 if error is None else 0
            at += 1

    def test_dumps(self):
        self.each(fresh, pickle.dumps)

    def test_contexts(self):
        flags = stackless.pickle_flags(8, 8)
        self.addCleanup(stackless.pickle_flags, flags, 8)
        self.each(lambda: paused(contextvars.Context().run, wait), tasklet.__reduce__)

    def test_loads(self):
        self.each(lambda: pickle.dumps(fresh()), pickle.loads)

    def test_states(self):
        context = contextvars.Context()

        def body():
            for _ in iter([1]):
                context.run(wait)

        t = paused(body)
        state = t.__reduce__()[2]
        t.kill()

        def load(t):
            context.run(int)
            t.__setstate__(state)

        self.each(tasklet, load)


if __name__ == "__main__":
    unittest.main()
