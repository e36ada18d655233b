"""Damaged and hostile states of tasklets, frames and generators: an error that says what is wrong, or a tasklet
that runs; never a crash."""

import contextlib
import io
import itertools
import pickle
import random
import types
import unittest

import stackless
from _stackless import _wrap
from stackless import channel, schedule_remove, tasklet
from test_stackless import test_pickle_tasklets
from test_stackless.cases import LeavesNoTasklets, needs_soft_switches


def wait(value=None):
    return schedule_remove(value)


def items(n):
    for i in range(n):
        yield wait(i)


class Steps:
    def __iter__(self):
        return self

    def __next__(self):
        return wait(1)


def body(result):
    with contextlib.suppress(ZeroDivisionError):
        try:
            for x in items(3):
                result.append([x, wait(x)])
        except ValueError as e:
            wait(e)
    return result


def paused(function, *args):
    t = tasklet(function)(*args)
    t.run()
    return t


def replaced(sequence, index, value):
    out = list(sequence)
    out[index] = value
    return type(sequence)(out)


def code_with(code, **changes):
    make, args = _wrap.reduce_code(code.replace(**changes))
    return make(*args)


FRAMES = 3  #: item of a tasklet's state
CODE, GLOBALS, UNIT, FLAGS, NULLS, VALUES, LOCALS, GENERATOR, EXCEPTION, TRACE, START = range(11)


@needs_soft_switches
class TestStates(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.t = paused(body, [])
        self.state = self.t.__reduce__()[2]

    def refused(self, state, error=(ValueError, TypeError), match=""):
        t = tasklet()
        with self.assertRaisesRegex(error, match):
            t.__setstate__(state)
        self.assertFalse(t.alive)

    def with_frame(self, number, item, value):
        """The state with one item of one frame's description replaced."""
        frames = self.state[FRAMES]
        return replaced(self.state, FRAMES, replaced(frames, number, replaced(frames[number], item, value)))

    def test_the_state_itself(self):
        for i in range(len(self.state)):
            for value in object(), -1, "x", 10**30:
                with contextlib.suppress(ValueError, TypeError, OverflowError):
                    tasklet().__setstate__(replaced(self.state, i, value))
        for wrong in None, (), self.state[:-1], list(self.state):
            self.refused(wrong)
        self.refused(replaced(self.state, 0, 99), match="version 99 of them")
        simple = paused(wait).__reduce__()[2]
        self.refused(replaced(simple, FRAMES, simple[FRAMES][1:]), match="frame 0 is no base shim")
        self.refused(replaced(simple, FRAMES, simple[FRAMES] * 2), match="frame 2 is a base shim")
        self.refused(replaced(self.state, FRAMES, [1]), match="described by int")

    def test_generator_twice(self):
        generating = self.state[FRAMES][2]
        self.assertEqual(generating[CODE].co_name, "items")
        self.refused(self.state, match="generator that lacks its frame")   # it runs in the other tasklet

    def test_offsets(self):
        state = paused(wait).__reduce__()[2]
        frame = state[FRAMES][1]
        for unit in range(-5, 200):
            new = replaced(frame, UNIT, unit)
            t = tasklet()
            with contextlib.suppress(ValueError):
                t.__setstate__(replaced(state, FRAMES, [state[FRAMES][0], new]))
                self.assertEqual(unit, frame[UNIT])
                t.run()
        self.refused(replaced(state, FRAMES, [state[FRAMES][0], replaced(frame, UNIT, 10**6)]))

    def test_stack_depth(self):
        state = paused(wait, 5).__reduce__()[2]
        base, frame = state[FRAMES]
        for values in (), frame[VALUES] + (1,), frame[VALUES] * 50, (None,) * 1000:
            self.refused(replaced(state, FRAMES, [base, replaced(frame, VALUES, values)]))
        self.refused(replaced(state, FRAMES, [base, replaced(frame, NULLS, b"\xff" * 100)]))

    def unpacking(self):
        """The states of tasklets that wait in an unpacking, and of one that waits in another loop."""
        def two():
            a, b = Steps()

        def starred():
            a, *b, c = Steps()

        for function in two, starred, lambda: [*Steps()]:
            t = paused(function)
            yield t.__reduce__()[2]
            t.kill()

    def test_unpacking_another_number_of_values(self):
        for state in list(self.unpacking())[:2]:
            shim = state[FRAMES][2]
            self.assertIn("unpacking", shim[CODE])
            for i, count in enumerate(shim[VALUES]):
                for wrong in -1, 0, 3, 255, 256, 2**20, 2**31, 2**63:
                    if isinstance(count, int):
                        new = replaced(shim, VALUES, replaced(shim[VALUES], i, wrong))
                        match = "does not fit its place" if wrong in (-1, 2**63) else "another number of values"
                        self.refused(replaced(state, FRAMES, replaced(state[FRAMES], 2, new)), match=match)

    def test_unpacking_below_another_instruction(self):
        states = list(self.unpacking())
        for below, above in itertools.permutations(states, 2):
            frames = below[FRAMES][:2] + above[FRAMES][2:]
            self.refused(replaced(below, FRAMES, frames), match="another number of values|does not give")

    def test_raise_gets_nothing_but_an_exception(self):
        def raising():
            raise test_pickle_tasklets.Failure

        t = paused(raising)
        state = t.__reduce__()[2]
        t.kill()
        base, frame, *shims, made, top = state[FRAMES]
        self.assertEqual(shims[0][CODE], "<raise>")
        self.refused(replaced(state, FRAMES, [base, frame, top]), match="raising waits for an exception")
        self.refused(replaced(state, FRAMES, [base, frame]), match="raising waits for an exception")
        self.refused(replaced(state, FRAMES, [base, shims[0], *shims]), match="which <raise> does not give")

    def test_lists_of_a_sort(self):
        """Whatever the lists are, and whichever of them are the same one."""
        def sorting(numbers):
            numbers.sort(key=wait)

        numbers = [3, 1, 2]
        t = paused(sorting, numbers)
        state = t.__reduce__()[2]
        t.kill()
        base, frame, shim, top = state[FRAMES]
        self.assertEqual(shim[CODE], "<list.sort>")
        for choice in itertools.product([None, "numbers", "items", "keys", "new", "full", 5], repeat=3):
            lists = {"numbers": [], "items": [1, 2], "keys": [9], "new": [], "full": [4, 5], None: None, 5: 5}
            values = list(shim[VALUES])
            values[0], values[2], values[4] = (lists[name] for name in choice)
            frames = [base, frame, replaced(shim, VALUES, tuple(values)), top]
            t = tasklet()
            with contextlib.suppress(ValueError, RuntimeError):
                t.__setstate__(replaced(state, FRAMES, frames))
                while t.alive:
                    t.run()
                    repr(lists)

    def test_unknown_shim(self):
        state = paused(wait).__reduce__()[2]
        base, frame = state[FRAMES]
        self.refused(replaced(state, FRAMES, [replaced(base, CODE, "<nothing>"), frame]), match="no shim '<nothing>'")

    def test_cells(self):
        def closing():
            x = 1

            def inner():
                return x
            wait(inner)
        state = paused(closing).__reduce__()[2]
        base, frame, top = state[FRAMES]
        for i, value in enumerate(frame[VALUES]):
            if isinstance(value, types.CellType):
                new = replaced(frame, VALUES, replaced(frame[VALUES], i, 5))
                self.refused(replaced(state, FRAMES, [base, new, top]), match="not a cell")

    def test_hostile_code(self):
        code = wait.__code__
        for bytecode in b"", b"\0", b"\xff\0" * 8, bytes(range(1, 65)), code.co_code[:-2], code.co_code[2:]:
            with self.assertRaises((ValueError, TypeError)):
                code_with(code, co_code=bytecode)
        with self.assertRaises(ValueError):
            code_with(code, co_stacksize=0)

    def test_unfilled_generators_raise(self):
        shell = _wrap.generator(items.__code__, "items", "items")
        shell.__setstate__((0, None, None, None, 0))
        with self.assertRaisesRegex(ValueError, "already executing"):
            next(shell)
        with self.assertRaises(ValueError):
            shell.close()
        self.assertIs(type(shell), types.GeneratorType)

    def test_generator_states(self):
        g = (x for x in [1, 2])
        next(g)
        make, args, state = _wrap.reduce_generator(g)
        for i, values in enumerate([(5, -2, 1, 4), (1, ()), (5,), (), ("x",)]):
            for value in values:
                with self.subTest(item=i, value=value), self.assertRaises((ValueError, TypeError)):
                    make(*args).__setstate__(replaced(state, i, value))
        with self.assertRaises((ValueError, TypeError)):
            make(wait.__code__, "x", "x")

    def test_filled_twice(self):
        g = (x for x in [1, 2])
        make, args, state = _wrap.reduce_generator(g)
        shell = make(*args)
        setstate = shell.__setstate__
        setstate(state)
        with self.assertRaisesRegex(ValueError, "filled already"):
            setstate(state)

    def test_placeholders(self):
        ch, t = channel(), tasklet()
        ch.__setstate__((-1, 0, [t], None))
        self.assertEqual(ch.balance, -1)
        self.assertTrue(t.blocked)
        with self.assertRaisesRegex(RuntimeError, "not completely unpickled"):
            ch.send(1)
            stackless.run()

    def test_channel_states(self):
        t = paused(wait)
        for state in (None, (), (1, 0, [], None), (0, 16, [], None), (0, 4, [], None), (-1, 0, [1], None),
                      (-1, 0, [stackless.getcurrent()], None), (0, 0, (), None), (0, 0, [], 5),
                      (-2**31, 0, [], None), (-2, 0, [t, t], None)):
            with self.assertRaises((ValueError, TypeError, OverflowError)):
                channel().__setstate__(state)
        with self.assertRaisesRegex(ValueError, "cannot unpickle a channel: its state has 3 items"):
            channel().__setstate__((0, 0, []))


def mutate(random, state):
    """A state with one thing changed somewhere in its frames."""
    frames = list(state[FRAMES])
    kind = random.randrange(8)
    n = random.randrange(len(frames))
    frame = list(frames[n])
    values = list(frame[VALUES])
    pool = [None, 1, -1, (), [], {}, "s", KeyError(), types.CellType(), wait, int, wait.__code__,
            *(v for f in frames for v in f[VALUES])]
    if kind == 0:
        frame[UNIT] += random.randrange(-9, 10)
    elif kind == 1 and values:
        values[random.randrange(len(values))] = random.choice(pool)
    elif kind == 2:
        values.insert(random.randrange(len(values) + 1), random.choice(pool))
    elif kind == 3 and values:
        del values[random.randrange(len(values))]
    elif kind == 4:
        frame[NULLS] = bytes(random.randrange(256) for _ in range((len(values) + 7) // 8)) or None
    elif kind == 5:
        frame[CODE] = random.choice(frames)[CODE]
    elif kind == 6:
        frame[FLAGS] = random.randrange(4)
    else:
        frames[random.randrange(len(frames))], frames[n] = frames[n], frames[random.randrange(len(frames))]
    frame[VALUES] = tuple(values)
    if kind != 7:
        frames[n] = tuple(frame)
    return replaced(state, FRAMES, frames)


class Mutating(pickle._Pickler):
    """Changes one thing in the state of each tasklet that it saves."""

    def __init__(self, file, seed):
        super().__init__(file, 4)
        self.random = random.Random(seed)

    def reducer_override(self, obj):
        if isinstance(obj, tasklet):
            make, args, state = obj.__reduce__()
            return make, args, mutate(self.random, state)
        return NotImplemented


@needs_soft_switches
class TestMutations(LeavesNoTasklets, unittest.TestCase):
    """Loads what was changed at random, and runs what loads."""

    def test_random_changes(self):
        loaded = 0
        for number, program in enumerate(test_pickle_tasklets.PROGRAMS):
            if program in test_pickle_tasklets.ENDLESS_IF_CHANGED:
                continue
            for seed in range(12):
                test_pickle_tasklets.cached.cache_clear()
                t = paused(program)
                for _ in range(seed):
                    if t.alive:
                        t.run()
                if not t.alive:
                    break
                file = io.BytesIO()
                Mutating(file, 1000 * number + seed).dump(t)
                try:
                    changed = pickle.loads(file.getvalue())
                except Exception:
                    continue
                loaded += 1
                for _ in range(40):
                    if not changed.alive:
                        break
                    try:
                        changed.run()
                    except BaseException:
                        break
        self.assertGreater(loaded, 5)


if __name__ == "__main__":
    unittest.main()
