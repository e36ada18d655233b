"""What pickling keeps only on request: the flags of pickle_flags()."""

import collections
import contextvars
import functools
import pickle
import sys
import threading
import unittest

import stackless
from stackless import schedule_remove, tasklet
from test_stackless.cases import LeavesNoTasklets, needs_soft_switches

TRACING = stackless.PICKLEFLAGS_PRESERVE_TRACING_STATE
KEEP_FINALIZER = stackless.PICKLEFLAGS_PRESERVE_AG_FINALIZER
RESET_FINALIZER = stackless.PICKLEFLAGS_RESET_AG_FINALIZER
CONTEXT = stackless.PICKLEFLAGS_PICKLE_CONTEXT
VARIABLE = contextvars.ContextVar("VARIABLE", default="default")

events = []


def trace(frame, event, arg):
    events.append((event, frame.f_code.co_name))
    return trace


def profile(frame, event, arg):
    events.append((event, getattr(arg, "__name__", None) or frame.f_code.co_name))


def wait(value=None):
    return schedule_remove(value)


def read(out):
    wait()
    out.append(VARIABLE.get())
    VARIABLE.set("changed")
    out.append(VARIABLE.get())


def called():
    return 1


def body(out):
    wait()
    out.append(called())


def paused(function, *args):
    t = tasklet(function)(*args)
    t.run()
    return t


def roundtrip(obj, protocol=4):
    return pickle.loads(pickle.dumps(obj, protocol))


class WithFlags(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.addCleanup(stackless.pickle_flags, stackless.pickle_flags())
        self.addCleanup(stackless.pickle_flags_default, stackless.pickle_flags_default())
        self.addCleanup(events.clear)

    def with_flags(self, flags, obj):
        stackless.pickle_flags(flags)
        try:
            return roundtrip(obj)
        finally:
            stackless.pickle_flags(0)


class TestFlags(WithFlags):
    def test_bits(self):
        self.assertEqual((TRACING, KEEP_FINALIZER, RESET_FINALIZER, CONTEXT), (1, 2, 4, 8))
        self.assertEqual(stackless.pickle_flags(), 0)

    def test_masks(self):
        self.assertEqual(stackless.pickle_flags(CONTEXT | TRACING), 0)
        self.assertEqual(stackless.pickle_flags(KEEP_FINALIZER, KEEP_FINALIZER | TRACING), CONTEXT | TRACING)
        self.assertEqual(stackless.pickle_flags(), CONTEXT | KEEP_FINALIZER)
        for wrong in 16, 1 << 20, -2:
            with self.assertRaises(ValueError):
                stackless.pickle_flags(wrong)
        self.assertEqual(stackless.pickle_flags(), CONTEXT | KEEP_FINALIZER)

    def test_threads_begin_with_the_default(self):
        seen = []
        stackless.pickle_flags(TRACING)
        stackless.pickle_flags_default(CONTEXT)
        thread = threading.Thread(target=lambda: seen.append(stackless.pickle_flags()))
        thread.start()
        thread.join()
        self.assertEqual((seen, stackless.pickle_flags()), ([CONTEXT], TRACING))


@needs_soft_switches
class TestTracing(WithFlags):
    def test_trace_function(self):
        t = paused(body, [])
        t.trace_function = trace
        self.assertIsNone(roundtrip(t).trace_function)
        loaded = self.with_flags(TRACING, t)
        self.assertIs(loaded.trace_function, trace)
        self.assertIsNone(loaded.profile_function)
        loaded.run()
        self.assertIn(("call", "called"), events)
        self.assertIsNone(sys.gettrace())

    def test_profile_function(self):
        t = paused(body, [])
        t.profile_function = profile
        self.assertIsNone(roundtrip(t).profile_function)
        loaded = self.with_flags(TRACING, t)
        self.assertEqual((loaded.trace_function, loaded.profile_function), (None, profile))
        loaded.run()
        self.assertIn(("call", "called"), events)
        self.assertIn(("c_call", "append"), events)
        self.assertIsNone(sys.getprofile())

    def test_trace_function_of_a_frame(self):
        t = paused(body, [])
        t.frame.f_back.f_trace = trace
        self.assertIsNone(roundtrip(t).frame.f_back.f_trace)
        self.assertIs(self.with_flags(TRACING, t).frame.f_back.f_trace, trace)

    def test_traced_while_suspended(self):
        """A tasklet that was traced when it was pickled goes on being traced, by its frame's trace function, too."""
        t = tasklet(body)([])
        t.trace_function = trace
        t.run()
        events.clear()
        loaded = self.with_flags(TRACING, t)
        self.assertIs(loaded.frame.f_back.f_trace, trace)
        loaded.run()
        self.assertIn(("line", "body"), events)
        self.assertIn(("return", "body"), events)
        events.clear()
        self.with_flags(0, t).run()
        self.assertEqual(events, [])

    def test_trace_function_of_a_generator(self):
        def generate():
            yield 1
            yield 2
        g = generate()
        next(g)
        g.gi_frame.f_trace = trace
        self.assertIsNone(roundtrip(g).gi_frame.f_trace)
        self.assertIs(self.with_flags(TRACING, g).gi_frame.f_trace, trace)

    def test_a_trace_function_that_does_not_pickle(self):
        t = paused(body, [])
        t.trace_function = Unpicklable()
        roundtrip(t)
        stackless.pickle_flags(TRACING)
        with self.assertRaisesRegex(pickle.PicklingError, "the trace functions"):
            pickle.dumps(t)
        t.trace_function = None

    def test_pickle_with_tracing_state(self):
        stackless.pickle_with_tracing_state = True
        self.assertEqual((stackless.pickle_flags(), stackless.pickle_flags_default()), (TRACING, TRACING))
        stackless.pickle_with_tracing_state = False
        self.assertFalse(stackless.pickle_with_tracing_state)

    def test_audit(self):
        """Loading trace functions is an event, as setting them is."""
        listen()
        self.addCleanup(heard.clear)
        t = paused(body, [])
        t.trace_function = trace
        stackless.pickle_flags(TRACING)
        data = pickle.dumps(t)
        t.trace_function = None
        heard.clear()
        pickle.loads(data)
        self.assertIn("sys.settrace", heard)


heard = collections.deque(maxlen=10)


@functools.cache
def listen():
    """Have `heard` hear; audit hooks stay for ever."""
    sys.addaudithook(lambda event, args: heard.append(event) if event.startswith("sys.set") else None)


class Unpicklable:
    def __call__(self, *args):
        return None

    def __reduce__(self):
        raise TypeError("no")


@needs_soft_switches
class TestContexts(WithFlags):
    def in_context(self, value, function, *args):
        context = contextvars.Context()
        context.run(VARIABLE.set, value)
        return context.run(paused, function, *args)

    def test_the_loaders_without_the_flag(self):
        out = []
        t = self.in_context("own", read, out)
        token = VARIABLE.set("of the loader")
        self.addCleanup(VARIABLE.reset, token)
        t, out = roundtrip((t, out))
        t.run()
        self.assertEqual(out, ["of the loader", "changed"])

    def test_its_own_with_the_flag(self):
        out = []
        t = self.in_context(["own"], read, out)
        loaded, result = self.with_flags(CONTEXT, (t, out))
        loaded.run()
        self.assertEqual(result, [["own"], "changed"])
        self.assertEqual(VARIABLE.get(), "default")
        t.run()
        self.assertEqual(out, [["own"], "changed"])   # that of the original was not shared

    def test_tasklets_that_share_one_still_do(self):
        def first(out):
            wait()
            VARIABLE.set("by the first")
            wait()

        def second(out):
            wait()
            out.append(VARIABLE.get())
        context, out = contextvars.Context(), []
        pair = [tasklet(first), tasklet(second)]
        for t in pair:
            t.set_context(context)
            t(out).run()
        pair, out = self.with_flags(CONTEXT, (pair, out))
        for t in pair:
            t.run()
        self.assertEqual(out, ["by the first"])
        pair[0].run()

    def test_inside_of_run(self):
        def outer(out):
            VARIABLE.set("outer")
            inner = contextvars.copy_context()
            inner.run(VARIABLE.set, "inner")
            inner.run(read, out)
            out.append(VARIABLE.get())
        out = []
        t = self.in_context("start", outer, out)
        loaded, result = self.with_flags(CONTEXT, (t, out))
        loaded.run()
        self.assertEqual(result, ["inner", "changed", "outer"])
        loaded, result = roundtrip((t, out))
        loaded.run()
        self.assertEqual(result[1:], ["changed", "default"])
        t.kill()

    def test_context_run_of_another_tasklet(self):
        def outer(out):
            stackless.getcurrent().context_run(read, out)
            out.append(VARIABLE.get())
        out = []
        t = self.in_context("start", outer, out)
        loaded, result = self.with_flags(CONTEXT, (t, out))
        loaded.run()
        self.assertEqual(result, ["start", "changed", "changed"])
        t.kill()

    def test_a_context_that_does_not_pickle(self):
        t = self.in_context(threading.Lock(), read, [])
        roundtrip(t)
        stackless.pickle_flags(CONTEXT)
        with self.assertRaisesRegex(pickle.PicklingError, "the context: TypeError: cannot pickle '_thread.lock'"):
            pickle.dumps(t)
        t.kill()


class TestAsyncGenerators(WithFlags):
    """The hook of sys.set_asyncgen_hooks() that an asynchronous generator has met."""

    def setUp(self):
        super().setUp()
        hooks = sys.get_asyncgen_hooks()
        self.addCleanup(sys.set_asyncgen_hooks, *hooks)
        self.addCleanup(begun.clear)
        self.addCleanup(finalized.clear)

    def suspended(self):
        """One that has yielded once, under the hooks of the test."""
        sys.set_asyncgen_hooks(firstiter, finalizer)
        g = numbers()
        with self.assertRaises(StopIteration):
            g.asend(None).send(None)
        sys.set_asyncgen_hooks(None, None)
        self.assertEqual(begun, [g])
        begun.clear()
        return g

    def test_the_loaders_hooks_by_default(self):
        data = pickle.dumps(self.suspended())
        finalized.clear()
        sys.set_asyncgen_hooks(firstiter, other_finalizer)
        g = pickle.loads(data)
        self.assertEqual(begun, [g])
        begun.clear()
        del g
        self.assertEqual(finalized, ["other"])

    def test_no_hooks_there(self):
        data = pickle.dumps(self.suspended())
        finalized.clear()
        pickle.loads(data)
        self.assertEqual((begun, finalized), ([], []))

    def test_one_that_had_none_gets_none(self):
        g = numbers()
        with self.assertRaises(StopIteration):
            g.asend(None).send(None)
        data = pickle.dumps(g)
        sys.set_asyncgen_hooks(firstiter, finalizer)
        pickle.loads(data)
        self.assertEqual((begun, finalized), ([], []))

    def test_its_own_by_value(self):
        g = self.suspended()
        stackless.pickle_flags(KEEP_FINALIZER)
        data = pickle.dumps(g)
        stackless.pickle_flags(0)
        sys.set_asyncgen_hooks(None, other_finalizer)
        del g
        finalized.clear()
        pickle.loads(data)
        self.assertEqual(finalized, ["own"])

    def test_as_one_that_has_not_begun(self):
        g = self.suspended()
        loaded = self.with_flags(RESET_FINALIZER, g)
        self.assertEqual(begun, [])
        sys.set_asyncgen_hooks(firstiter, other_finalizer)
        with self.assertRaises(StopIteration) as caught:
            loaded.asend(None).send(None)
        self.assertEqual(caught.exception.value, 2)
        self.assertEqual(begun, [loaded])
        begun.clear()
        finalized.clear()
        del loaded
        self.assertEqual(finalized, ["other"])


begun, finalized = [], []


def firstiter(generator):
    begun.append(generator)


def finalizer(generator):
    finalized.append("own")


def other_finalizer(generator):
    finalized.append("other")


async def numbers():
    yield 1
    yield 2


if __name__ == "__main__":
    unittest.main()
