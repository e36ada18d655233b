"""Tasklets and channels as wholes: queues, flags, subclasses, other processes, and what is refused."""

import asyncio
import contextvars
import copy
import copyreg
import io
import multiprocessing
import pickle
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import stackless
from stackless import channel, schedule, schedule_remove, tasklet
from test_stackless.cases import LeavesNoTasklets, crowd, needs_soft_switches

HERE = Path(__file__).parent
VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


def receiver(ch, out, name):
    while True:
        value = ch.receive()
        out.append((name, value))
        if value is None:
            return


def sender(ch, value):
    return ch.send(value)


def wait(value=None):
    return schedule_remove(value)


def count(n, result):
    for i in range(n):
        schedule_remove()
        result.append(i)
    result.append("done")


def roundtrip(obj, protocol=pickle.HIGHEST_PROTOCOL):
    return pickle.loads(pickle.dumps(obj, protocol))


def paused(function, *args):
    """A tasklet that has run until it waits."""
    t = tasklet(function)(*args)
    t.run()
    return t


class WithDict(tasklet):
    def __init__(self, *args, required=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = required


class WithSlots(tasklet):
    __slots__ = ("slot", "unset")


class NamedChannel(channel):
    def __init__(self, name):
        super().__init__()
        self.name = name


@needs_soft_switches
class TestChannels(LeavesNoTasklets, unittest.TestCase):
    def test_empty_channel_keeps_its_flags(self):
        for preference in -1, 0, 1:
            for schedule_all in 0, 1:
                ch = channel()
                ch.preference, ch.schedule_all = preference, schedule_all
                if schedule_all:
                    ch.close()
                loaded = roundtrip(ch)
                self.assertEqual((loaded.preference, loaded.schedule_all, loaded.closing, loaded.balance),
                                 (preference, schedule_all, bool(schedule_all), 0))

    def test_queue_keeps_its_order(self):
        ch, out = channel(), []
        for name in "abc":
            paused(receiver, ch, out, name)
        ch, out = roundtrip((ch, out))
        self.assertEqual(ch.balance, -3)
        for value in 1, 2, 3:
            ch.send(value)
        self.assertEqual(out, [("a", 1), ("b", 2), ("c", 3)])
        for name in "abc":
            ch.send(None)
        self.assertEqual(ch.balance, -0)

    def test_senders_bring_their_values(self):
        ch = channel()
        for value in [1], "two", ch:
            paused(sender, ch, value)
        loaded = roundtrip(ch)
        self.assertEqual(loaded.balance, 3)
        self.assertEqual([loaded.receive(), loaded.receive()], [[1], "two"])
        self.assertIs(loaded.receive(), loaded)
        stackless.run()

    def test_either_order(self):
        ch, out = channel(), []
        t = paused(receiver, ch, out, "x")
        for first in True, False:
            pair = (ch, t, out) if first else (t, ch, out)
            a, b, out2 = roundtrip(pair)
            ch2, t2 = (a, b) if first else (b, a)
            self.assertTrue(t2.blocked)
            self.assertIs(ch2.queue, t2)
            ch2.send(None)
            self.assertEqual(out2, [("x", None)])
            self.assertFalse(t2.alive)

    def test_bomb_in_a_queue(self):
        ch = channel()

        def raising(ch):
            ch.send_exception(KeyError, "bomb")
        paused(raising, ch)
        loaded = roundtrip(ch)
        with self.assertRaises(KeyError):
            loaded.receive()
        stackless.run()

    def test_iteration_over_a_channel(self):
        def iterate(ch, out):
            for value in ch:
                out.append(value)
            out.append("end")
        ch, out = channel(), []
        paused(iterate, ch, out)
        ch, out = roundtrip((ch, out))
        ch.send(1)
        ch, out = roundtrip((ch, out))
        ch.send_exception(StopIteration)
        self.assertEqual(out, [1, "end"])

    def test_send_sequence_half_way(self):
        def send_all(ch):
            ch.send(ch.send_sequence(wait(i) if i == 2 else i for i in range(5)))
        ch = channel()
        t = paused(send_all, ch)
        ch, t = roundtrip((ch, t))
        self.assertEqual([ch.receive(), ch.receive()], [0, 1])
        stackless.run()
        ch, t = roundtrip((ch, t))
        t.run()
        self.assertEqual([ch.receive(), ch.receive(), ch.receive(), ch.receive()], [2, 3, 4, 5])
        stackless.run()

    def test_subclass_of_channel(self):
        ch = NamedChannel("name")
        ch.itself = ch
        loaded = roundtrip(ch)
        self.assertIs(type(loaded), NamedChannel)
        self.assertEqual(loaded.name, "name")
        self.assertIs(loaded.itself, loaded)


@needs_soft_switches
class TestTasklets(LeavesNoTasklets, unittest.TestCase):
    def test_states(self):
        unbound = roundtrip(tasklet())
        self.assertFalse(unbound.alive)
        bound = roundtrip(tasklet(count))
        out = []
        bound(1, out).run()
        bound.run()
        self.assertEqual(out, [0, "done"])
        new = tasklet(count)(1, [])
        new.remove()
        loaded = roundtrip(new)
        self.assertTrue(loaded.paused)
        loaded.run()
        loaded.run()
        self.assertFalse(loaded.alive)
        dead = paused(int)
        self.assertFalse(roundtrip(dead).alive)
        scheduled = tasklet(count)(0, [])
        self.assertTrue(roundtrip(scheduled).paused)
        scheduled.kill()

    def test_new_tasklets_of_all_kinds(self):
        cell = []

        def closure(a, b=2, *args, **kwargs):
            cell.append((a, b, args, kwargs))

        def generator(x):
            yield cell.append(x)

        class Callable:
            def method(self, x):
                self.x = x
        for make in (lambda: tasklet(closure)(1), lambda: tasklet(closure)(1, 2, 3, k=4),
                     lambda: tasklet(cell.append)(5), lambda: tasklet(generator)(6),
                     lambda: tasklet(Right().method)(7)):
            t = make()
            t.remove()
            loaded, result = roundtrip((t, cell))
            loaded.run()
            self.assertFalse(loaded.alive)
            t.kill()

    def test_flags_and_name(self):
        t = paused(wait)
        t.set_ignore_nesting(1)
        t.block_trap = True
        t.name = "the name"
        loaded = roundtrip(t)
        self.assertEqual((loaded.ignore_nesting, loaded.block_trap, loaded.atomic, loaded.name),
                         (True, True, False, "the name"))

        def body():
            with stackless.atomic():
                wait()
        self.assertTrue(roundtrip(paused(body)).atomic)

    def test_tempval(self):
        result = []
        t = tasklet(lambda: result.append(wait()))()
        t.run()
        t.tempval = "the value"
        loaded, result = roundtrip((t, result))
        loaded.run()
        self.assertEqual(result, ["the value"])

    def test_schedule_returns_the_tasklet(self):
        def body(out):
            out.append(schedule())
        out = []
        t = tasklet(body)(out)
        t.run()
        t.remove()
        loaded, out = roundtrip((t, out))
        loaded.run()
        self.assertIs(out[0], loaded)

    def test_subclasses(self):
        t = WithDict(wait, required="x")
        t.itself = t
        t()
        t.run()
        t = roundtrip(t)
        self.assertIs(type(t), WithDict)
        self.assertEqual(t.extra, "x")
        self.assertIs(t.itself, t)
        t = WithSlots(wait)()
        t.slot = 5
        t.run()
        t = roundtrip(t)
        self.assertEqual(t.slot, 5)
        self.assertFalse(hasattr(t, "unset"))

    def test_interrupted_by_the_watchdog(self):
        def busy(out):
            for i in range(200):
                out.append(i * 2)
        out = []
        t = tasklet(busy)(out)
        moves = 0
        while True:
            interrupted = stackless.run(37)
            if interrupted is None:
                break
            t, out = roundtrip((interrupted, out))
            moves += 1
            t.insert()
        self.assertEqual(out, [i * 2 for i in range(200)])
        self.assertGreater(moves, 10)

    def test_many_moves(self):
        t, result = paused(count, 1000, []), None
        result = t.frame.f_locals["result"]
        for _ in range(1000):
            t, result = roundtrip((t, result))
            t.run()
        self.assertFalse(t.alive)
        self.assertEqual(result, [*range(1000), "done"])

    def test_population(self):
        many = crowd(10_000)
        ch, out = channel(), []
        for i in range(many):
            tasklet(receiver)(ch, out, i)
        stackless.run()
        ch, out = roundtrip((ch, out))
        self.assertEqual(ch.balance, -many)
        for i in range(many):
            ch.send(None)
        self.assertEqual(out, [(i, None) for i in range(many)])

    def test_deep_tasklet(self):
        def deep(n):
            return deep(n - 1) + 1 if n else wait(0)
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(110_000)
        try:
            result = []
            t = paused(lambda: result.append(deep(100_000)))
            t, result = roundtrip((t, result))
            t.run()
            self.assertEqual(result, [100_000])
        finally:
            sys.setrecursionlimit(limit)

    def test_contexts(self):
        variable = contextvars.ContextVar("variable", default="default")

        def body(out):
            contextvars.Context().run(inner, out)
            out.append("back")

        def inner(out):
            wait()
            out.append(1)
        out = []
        t = paused(body, out)
        t, out = roundtrip((t, out))
        t.run()
        self.assertEqual(out, [1, "back"])
        self.assertEqual(variable.get(), "default")

    def test_the_context_of_context_run(self):
        """With the flag for it, the tasklet is inside that context when it comes back, and leaves it."""
        def body(out):
            VARIABLE.set("own")
            giver = tasklet(wait).set_context(contextvars.Context())
            giver.context_run(VARIABLE.set, "given")
            giver.context_run(inner, out)
            out.append(VARIABLE.get())

        def inner(out):
            contextvars.Context().run(innermost, out)
            out.append(VARIABLE.get())

        def innermost(out):
            VARIABLE.set("innermost")
            wait()
            out.append(VARIABLE.get())
        out = []
        t = paused(body, out)
        old = stackless.pickle_flags(stackless.PICKLEFLAGS_PICKLE_CONTEXT, stackless.PICKLEFLAGS_PICKLE_CONTEXT)
        try:
            t, out = roundtrip((t, out))
            state = t.__reduce__()[2]
        finally:
            stackless.pickle_flags(old, -1)
        t.run()
        self.assertEqual(out, ["innermost", "given", "own"])
        for contexts in (), (contextvars.Context(),), (contextvars.Context(),) * 3, (None, None), [1], (1, 2):
            with self.assertRaisesRegex(ValueError, "context"):
                tasklet().__setstate__((*state[:5], contexts, *state[6:]))

    def test_trace_functions_by_flag(self):
        t = paused(wait)
        t.trace_function = print
        self.assertIsNone(roundtrip(t).trace_function)
        stackless.pickle_with_tracing_state = True
        try:
            self.assertIs(roundtrip(t).trace_function, print)
        finally:
            stackless.pickle_with_tracing_state = False

    def test_copy(self):
        t = paused(count, 3, [])
        c = copy.copy(t)
        self.assertIs(c.frame.f_locals["result"], t.frame.f_locals["result"])
        d = copy.deepcopy(t)
        result = d.frame.f_locals["result"]
        while d.alive:
            d.run()
        self.assertEqual(result, [0, 1, 2, "done"])
        self.assertEqual(t.frame.f_locals["result"], [])


class Right:
    def method(self, x):
        self.x = x


def keep(value, out):
    wait()
    out.append(value)


class Registered:
    """Pickles by a reducer of copyreg only."""

    def __init__(self, value):
        self.value = value

    def __reduce_ex__(self, protocol):
        raise TypeError("copyreg is asked first")


@needs_soft_switches
class TestPicklers(LeavesNoTasklets, unittest.TestCase):
    """What the standard pickler offers works for what is in frames."""

    def resumed(self, loaded):
        t, out = loaded
        t.run()
        return out

    def test_out_of_band_buffers(self):
        value, out = bytearray(b"large") * 1000, []
        t = paused(keep, pickle.PickleBuffer(value), out)
        buffers = []
        data = pickle.dumps((t, out), 5, buffer_callback=buffers.append)
        self.assertLess(len(data), 2000)
        self.assertEqual([bytes(buffer) for buffer in buffers], [bytes(value)])
        (kept,) = self.resumed(pickle.loads(data, buffers=buffers))
        memoryview(kept)[0:1] = b"L"
        self.assertEqual(value[:2], b"La")   # not copied

    def test_copyreg(self):
        copyreg.pickle(Registered, lambda obj: (Registered, (obj.value + 1,)))
        self.addCleanup(copyreg.dispatch_table.pop, Registered)
        for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
            for dumps in pickle.dumps, pickle._dumps:
                out = []
                t = paused(keep, Registered(1), out)
                (kept,) = self.resumed(pickle.loads(dumps((t, out), protocol)))
                self.assertEqual(kept.value, 2)

    def test_subclasses_of_the_pickler(self):
        for base in pickle.Pickler, pickle._Pickler:
            class Override(base):
                def reducer_override(self, obj):
                    return (int, ("7",)) if isinstance(obj, Registered) else NotImplemented

                def persistent_id(self, obj):
                    return "the stream" if obj is sys.stdout else None

            class Unpickler(pickle.Unpickler):
                def persistent_load(self, name):
                    return name.upper()

            out, file = [], io.BytesIO()
            t = paused(keep, [Registered(1), sys.stdout], out)
            Override(file, 4).dump((t, out))
            self.assertEqual(self.resumed(Unpickler(io.BytesIO(file.getvalue())).load()), [[7, "THE STREAM"]])

    def test_files(self):
        with tempfile.TemporaryFile() as file:
            out = []
            pickle.dump((paused(keep, 5, out), out), file)
            file.seek(0)
            self.assertEqual(self.resumed(pickle.load(file)), [5])

    def test_copies_of_queues(self):
        ch, out = channel(), []
        paused(receiver, ch, out, "x")
        copied, copied_out = copy.deepcopy((ch, out))
        copied.send(None)
        self.assertEqual((out, copied_out, ch.balance), ([], [("x", None)], -1))


class TestRefusals(LeavesNoTasklets, unittest.TestCase):
    def test_current_and_main(self):
        with self.assertRaisesRegex(RuntimeError, "which is the current tasklet"):
            pickle.dumps(stackless.getcurrent())
        errors = []

        def body():
            try:
                pickle.dumps(stackless.getmain())
            except pickle.PicklingError as e:
                errors.append(str(e))
        tasklet(body)().run()
        self.assertRegex(errors[0], "main tasklet")

    @needs_soft_switches
    def test_pinned(self):
        t = paused(lambda: pickle.dumps(Reduces()))
        with self.assertRaisesRegex(pickle.PicklingError, "inside a call from C code.*dumps"):
            pickle.dumps(t)
        t.kill()

    @needs_soft_switches
    def test_alive(self):
        t = paused(wait)
        state = t.__reduce__()[2]
        with self.assertRaisesRegex(RuntimeError, "is alive"):
            t.__setstate__(state)
        t.kill()

    def test_running_generator(self):
        def generate():
            yield pickle.dumps(g)
        g = generate()
        with self.assertRaisesRegex(RuntimeError, "which is running"):
            next(g)


    def refused_naming(self, function, words):
        t = paused(function)
        with self.assertRaisesRegex(pickle.PicklingError, words):
            pickle.dumps(t)
        t.kill()

    @needs_soft_switches
    def test_inside_of_import(self):
        def importing():
            import waiting_module
            return waiting_module

        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "waiting_module.py").write_text("import stackless\nstackless.schedule_remove()\n")
            sys.path.insert(0, folder)
            self.addCleanup(sys.path.remove, folder)
            self.addCleanup(sys.modules.pop, "waiting_module", None)
            self.refused_naming(importing, "_find_and_load .*cannot pickle '_thread.lock' object")

    @needs_soft_switches
    def test_inside_of_a_step_of_asyncio(self):
        async def waiting():
            wait()

        self.refused_naming(lambda: asyncio.run(waiting()), "cannot pickle '_asyncio.Task' object")

    @needs_soft_switches
    def test_the_error_names_the_variable(self):
        def inner(lock):
            wait()

        def outer():
            inner(threading.Lock())
        t = paused(outer)
        for obj in t, [{"x": t}]:
            with self.assertRaisesRegex(
                    pickle.PicklingError,
                    r"in .*inner \(.*, line \d+\), local variable 'lock' is _thread.lock: "
                    "TypeError: cannot pickle '_thread.lock' object; let it go"):
                pickle.dumps(obj)
        t.kill()

    @needs_soft_switches
    def test_explain_pickle(self):
        def body(lock):
            [lock, wait()]
        self.assertEqual(stackless.explain_pickle(paused(wait)), [])
        lock = threading.Lock()
        t = paused(body, lock)
        local, on_stack = stackless.explain_pickle(t)
        self.assertEqual((local.tasklet, local.obj, local.filename), (t, lock, __file__))
        self.assertEqual(local.where, "local variable 'lock' is _thread.lock")
        self.assertEqual(on_stack.where, "value 0 on the stack is _thread.lock")
        self.assertEqual(local.line, body.__code__.co_firstlineno + 1)
        t.kill()
        problem, = stackless.explain_pickle(stackless.getcurrent())
        self.assertIsNone(problem.function)
        self.assertIn("current tasklet", problem.reason)

    def test_errors_of_others_stay_as_they_are(self):
        with self.assertRaisesRegex(TypeError, "^cannot pickle '_thread.lock' object$"):
            pickle.dumps([threading.Lock(), 1])


class Endless:
    def __reduce__(self):
        return Endless, (Endless(),)


class TestDeepGraphs(unittest.TestCase):
    """The C pickler recurses to any depth."""

    def nested(self, depth):
        value = ()
        for _ in range(depth):
            value = (value,)
        return value

    def depth_of(self, value):
        depth = 0
        while value:
            value, = value
            depth += 1
        return depth

    def test_nested_tuples(self):
        for dumps in pickle.dumps, self.with_pickler:
            self.assertEqual(self.depth_of(pickle.loads(dumps(self.nested(100_000)))), 100_000)

    def with_pickler(self, value):
        file = io.BytesIO()
        pickle.Pickler(file).dump(value)
        return file.getvalue()

    @needs_soft_switches
    def test_in_a_local_variable(self):
        def body(value):
            wait()
        t = roundtrip(paused(body, self.nested(100_000)))
        self.assertEqual(self.depth_of(t.frame.f_back.f_locals["value"]), 100_000)

    def test_endless_recursion_ends(self):
        with self.assertRaises(RecursionError):
            pickle.dumps(Endless())
        self.recursion_limit_is_as_before()

    def recursion_limit_is_as_before(self):
        def recurse(n):
            return n and recurse(n - 1)
        with self.assertRaises(RecursionError):
            recurse(sys.getrecursionlimit())

    def test_limit_is_as_before(self):
        pickle.dumps(self.nested(5000))
        self.recursion_limit_is_as_before()

    def test_python_code_inside_has_the_usual_limit(self):
        def recurse():
            recurse()

        class Recursive:
            def __reduce__(self):
                recurse()
        with self.assertRaises(RecursionError):
            pickle.dumps(Recursive())

    def test_switch_while_pickling(self):
        out = []
        t = paused(lambda: out.append(pickle.dumps([Reduces(), self.nested(3000)])))
        other = paused(lambda: out.append(pickle.dumps([Reduces(), self.nested(4000)])))
        self.assertEqual(self.depth_of(pickle.loads(pickle.dumps(self.nested(3000)))), 3000)
        t.run()
        other.run()
        self.assertEqual([pickle.loads(data)[0] for data in out], [0, 0])


class Reduces:
    def __reduce__(self):
        wait()
        return int, ()


CHILD = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
import stackless
t, result = pickle.load(sys.stdin.buffer)
t.run()
pickle.dump((t, result), sys.stdout.buffer)
"""


def finish(t):
    """Run a tasklet in another process; what it has collected."""
    result = t.frame.f_locals["result"]
    while t.alive:
        t.run()
    return result


@needs_soft_switches
class TestOtherProcesses(LeavesNoTasklets, unittest.TestCase):
    def test_there_and_back(self):
        result = []
        t = paused(count, 4, result)
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", CHILD, str(HERE.parent)],
                                  input=pickle.dumps((t, result)), capture_output=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            t, result = pickle.loads(done.stdout)
        self.assertEqual(result, [0, 1, 2])
        t.run()
        self.assertEqual(result, [0, 1, 2, 3, "done"])

    def test_process_pool(self):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            self.assertEqual(pool.submit(finish, paused(count, 3, [])).result(), [0, 1, 2, "done"])

    def test_pipe(self):
        here, there = multiprocessing.Pipe()
        here.send(paused(count, 2, []))
        self.assertEqual(finish(there.recv()), [0, 1, "done"])


if __name__ == "__main__":
    unittest.main()
