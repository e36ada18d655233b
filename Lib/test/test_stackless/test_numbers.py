"""Numbers in the evaluation loop: arithmetic without calls, local variables changed in place, comparisons.

Nothing here knows of tasklets: every test passes on CPython 3.11 as well.  The loop computes small ints and
floats itself, and where nobody but a local variable refers to a number, it gives that number a new value and
does not make another one.  Nobody must be able to tell.
"""

import ctypes
import operator
import random
import sys
import tracemalloc
import unittest
import warnings

# Instructions are specialised after this many rounds at the latest.
WARM = 64


def nothing(frame, event, arg):
    """A trace function that goes on in every frame."""
    return nothing


class TestInPlace(unittest.TestCase):
    """A number that somebody else can see keeps its value."""

    def assert_same_every_time(self, function, expected):
        for _ in range(WARM):
            self.assertEqual(function(), expected)

    def test_values_of_range_are_kept(self):
        def kept():
            result = []
            for number in range(250, 600):
                result.append(number)
            return result

        self.assert_same_every_time(kept, list(range(250, 600)))

    def test_values_of_range_across_the_sizes_of_ints(self):
        edges = [-2**30, -257, -6, -5, 0, 256, 257, 2**30, 2**31, 2**60]

        def around(edge):
            result = []
            for number in range(edge - 3, edge + 4):
                result.append(number)
            return result

        for _ in range(WARM):
            for edge in edges:
                self.assertEqual(around(edge), [edge + offset for offset in (-3, -2, -1, 0, 1, 2, 3)])

    def test_variable_of_a_loop_that_is_assigned_to(self):
        def function():
            pairs = []
            for number in range(300, 320):
                before = number
                number += 1
                pairs.append((before, number))
            return pairs

        self.assert_same_every_time(function, [(n, n + 1) for n in range(300, 320)])

    def test_the_last_value_outlives_the_loop(self):
        def function():
            for number in range(1000, 1010):
                pass
            last = number
            for number in range(2000, 2010):
                pass
            return last, number

        self.assert_same_every_time(function, (1009, 2009))

    def test_two_loops_over_one_iterator(self):
        def function():
            result = []
            numbers = iter(range(1000, 1020))
            for first in numbers:
                for second in numbers:
                    result.append((first, second))
                    break
            return result

        self.assert_same_every_time(function, [(n, n + 1) for n in range(1000, 1020, 2)])

    def test_ints(self):
        def function():
            kept = []
            up, down, times = 1000, -1000, 300
            for _ in range(20):
                kept.append((up, down, times))
                up = up + 7
                down -= 1000
                times *= 3
            return kept

        self.assert_same_every_time(function, [(1000 + 7 * n, -1000 - 1000 * n, 300 * 3**n) for n in range(20)])

    def test_floats(self):
        def function():
            kept = []
            up, down, times = 0.5, 1e6, 3.0
            for _ in range(20):
                kept.append((up, down, times))
                up = up + 0.25
                down -= 0.5
                times *= 2.0
            return kept

        self.assert_same_every_time(function, [(0.5 + n / 4, 1e6 - n / 2, 3.0 * 2**n) for n in range(20)])

    def test_another_variable(self):
        def function(number, step):
            other = number
            number += step
            again = number
            number = number * step
            return other, again, number

        for _ in range(WARM):
            self.assertEqual(function(1000, 300), (1000, 1300, 390_000))
            self.assertEqual(function(1000.5, 0.5), (1000.5, 1001.0, 500.5))

    def test_both_operands(self):
        def function(number):
            number = number + number
            number = number * number
            number = number - number
            return number

        for _ in range(WARM):
            self.assertEqual(function(1000), 0)
            self.assertEqual(function(1000.5), 0.0)

    def test_the_result_goes_to_another_variable(self):
        def function(number, other):
            other = number + 1000
            number = other - 1
            return number, other

        for _ in range(WARM):
            self.assertEqual(function(1000, 5000), (1999, 2000))

    def test_an_argument_of_the_caller(self):
        def add(number, step):
            number += step
            return number

        def caller():
            number, fraction = 1000, 0.5
            number += 500
            fraction += 0.25
            results = add(number, 1), add(fraction, 1.0), add(1000 + number, 1), add(1.0 + fraction, 1.0)
            return results, number, fraction

        self.assert_same_every_time(caller, ((1501, 1.75, 2501, 2.75), 1500, 0.75))

    def test_constants(self):
        def function():
            number = 1000
            number += 1
            fraction = 1.5
            fraction *= 2.0
            return number, fraction, 1000, 1.5

        self.assert_same_every_time(function, (1001, 3.0, 1000, 1.5))

    def test_defaults(self):
        def function(number=1000, fraction=1.5):
            number += 1
            fraction += 0.5
            return number, fraction

        self.assert_same_every_time(function, (1001, 2.0))
        self.assertEqual(function.__defaults__, (1000, 1.5))

    def test_containers(self):
        def function():
            number = 1000
            record = Record()
            mapping, items, pair = {}, [], None
            for _ in range(10):
                number += 1
                mapping[number] = number
                items.append(number)
                pair = number, number
                record.number = number
                number += 1
                if (record.number, pair) != (number - 1, (number - 1, number - 1)):
                    return "changed"
            return mapping, items

        class Record:
            pass

        odd = list(range(1001, 1020, 2))
        self.assert_same_every_time(function, ({n: n for n in odd}, odd))

    def test_keys_are_found_again(self):
        def function():
            found = {}
            for number in range(1000, 1050):
                found[number] = str(number)
            return all(found[n] == str(n) for n in range(1000, 1050)) and len(found)

        self.assert_same_every_time(function, 50)

    def test_closures(self):
        def function():
            functions = []
            count = 1000
            for number in range(1000, 1010):
                functions.append(lambda number=number: number)
            for value in range(1000, 1010):
                def inner(step):
                    nonlocal count
                    before = count
                    count += step
                    return before
                functions.append(lambda inner=inner, value=value: inner(value))
            return [f() for f in functions], count

        befores = [1000 + sum(range(1000, 1000 + n)) for n in range(10)]
        self.assert_same_every_time(function, (list(range(1000, 1010)) + befores, 1000 + sum(range(1000, 1010))))

    def test_locals_of_a_generator(self):
        def numbers(count, step):
            for _ in range(10):
                yield count
                count += step

        def ranges():
            for number in range(1000, 1010):
                yield number

        for _ in range(WARM):
            self.assertEqual(list(numbers(1000, 7)), list(range(1000, 1070, 7)))
            self.assertEqual(list(numbers(0.5, 0.5)), [n / 2 for n in range(1, 11)])
            self.assertEqual(list(zip(ranges(), ranges())), [(n, n) for n in range(1000, 1010)])

    def test_what_locals_showed(self):
        def function():
            number, shown = 1000, []
            for _ in range(10):
                number += 1
                shown.append(dict(locals())["number"])
                shown.append(sys._getframe().f_locals["number"])
                number += 1
            return shown

        self.assert_same_every_time(function, [n for n in range(1001, 1020, 2) for _ in "ab"])

    def test_what_a_callee_sees_of_the_frame(self):
        def look():
            return sys._getframe(1).f_locals["number"]

        def function():
            seen, number = [], 1000
            for number in range(1000, 1010):
                seen.append(look())
            return seen

        self.assert_same_every_time(function, list(range(1000, 1010)))

    def test_subclasses_keep_their_type(self):
        class Int(int):
            pass

        class Float(float):
            pass

        def function(number, step):
            for _ in range(5):
                number = number + step
            return number

        for _ in range(WARM):
            function(1000, 1)
            function(1000.0, 1.0)
        start = Int(1000), Float(1000)
        for number in start:
            self.assertEqual(function(number, number), 6000)
            self.assertEqual(number, 1000)
        self.assertEqual([type(number) for number in start], [Int, Float])
        self.assertIs(type(function(True, 1000)), int)
        self.assertEqual(function(True, 1000), 5001)
        self.assertEqual(True + 0, 1)

    def test_traced_midway(self):
        """A tracer sees every line, and the values that the variables have there."""
        def function(rounds):
            seen, total = [], 1000
            for number in range(1000, 1000 + rounds):
                if number == 1005:
                    sys.settrace(tracer)
                    sys._getframe().f_trace = tracer
                total += number
                seen.append(total)
            sys.settrace(None)
            return seen

        def tracer(frame, event, arg):
            if frame.f_code is function.__code__ and event == "line":
                values.append((frame.f_locals["number"], frame.f_locals["total"]))
            return tracer

        totals = [1000 + sum(range(1000, 1001 + n)) for n in range(10)]
        outer = sys.gettrace()
        self.addCleanup(sys.settrace, outer)
        for _ in range(WARM):
            values = []
            self.assertEqual(function(10), totals)
            sys.settrace(outer)
            self.assertEqual([number for number, _ in values], sorted(number for number, _ in values))
            self.assertEqual({number for number, _ in values}, set(range(1005, 1010)))
            for number, total in values:
                self.assertIn(total, [totals[number - 1001], totals[number - 1000]])

    def test_traced_all_along(self):
        def function():
            kept, total, fraction = [], 1000, 0.5
            for number in range(1000, 1010):
                total += number
                fraction += 0.5
                kept.append((number, total, fraction))
            return kept

        expected = function()
        for _ in range(WARM):
            function()
        self.addCleanup(sys.settrace, sys.gettrace())
        sys.settrace(nothing)
        traced = function()
        sys.settrace(None)
        self.assertEqual(traced, expected)
        self.assertEqual(function(), expected)


class TestOperators(unittest.TestCase):
    """An operator in the loop gives what the functions of the module `operator` give."""

    symbols = {"add": "+", "sub": "-", "mul": "*", "and_": "&", "or_": "|", "xor": "^", "lshift": "<<",
               "rshift": ">>", "floordiv": "//", "mod": "%", "truediv": "/"}
    edges = [0, 1, 2, 3, 7, 31, 32, 33, 63, 64, 65, 256, 257, 2**29, 2**30 - 1, 2**30, 2**30 + 1, 2**31, 2**32,
             2**59 - 1, 2**59, 2**60 - 1, 2**60, 2**60 + 1, 2**61, 2**62, 2**63 - 1, 2**63, 2**90]

    def in_the_loop(self, name):
        """New functions for the operator, to be specialised for what they meet first; all but the first
        store the result in the variable of the left operand."""
        namespace = {}
        exec(f"def plain(a, b): return a {self.symbols[name]} b\n"
             f"def stored(a, b):\n    a = a {self.symbols[name]} b\n    return a\n"
             f"def augmented(a, b):\n    a {self.symbols[name]}= b\n    return a\n", namespace)
        return namespace["plain"], namespace["stored"], namespace["augmented"]

    def outcome(self, function, a, b):
        try:
            result = function(a, b)
        except (ArithmeticError, ValueError) as error:
            # Not the message: that of an augmented operator differs.
            return type(error)
        return type(result), repr(result)

    def compare(self, name, pairs, warm=(12, 5)):
        """All of `pairs`, in functions that were specialised for the types of `warm`."""
        expected = getattr(operator, name)
        for function in self.in_the_loop(name):
            for _ in range(WARM):
                function(*warm)
            for a, b in pairs:
                if name == "lshift" and b > 1000:
                    continue
                self.assertEqual(self.outcome(function, a, b), self.outcome(expected, a, b), (name, a, b))

    def test_edges(self):
        values = self.edges + [-value for value in self.edges]
        pairs = [(a, b) for a in values for b in values]
        for name in self.symbols:
            with self.subTest(name):
                self.compare(name, pairs)

    def test_random_ints(self):
        source = random.Random(311)
        bits = [8, 29, 30, 31, 58, 59, 60, 61]

        def number():
            size = 1 << source.choice(bits)
            return source.randint(-size, size)

        pairs = [(number(), number()) for _ in range(1000)]
        for name in self.symbols:
            with self.subTest(name):
                self.compare(name, pairs)

    def test_floats(self):
        values = [0.0, -0.0, 1.0, -1.5, 3.0, 1e300, -1e300, 5e-324, float("inf"), float("-inf"), float("nan")]
        pairs = [(a, b) for a in values for b in values]
        for name in "add", "sub", "mul", "truediv", "floordiv", "mod":
            with self.subTest(name):
                self.compare(name, pairs, (12.0, 5.0))

    def test_mixed_types(self):
        values = [True, False, 5, 2**40, 1.5, 1j]
        pairs = [(a, b) for a in values for b in values]
        for name in "add", "sub", "mul", "truediv":
            with self.subTest(name):
                self.compare(name, pairs)
                self.compare(name, pairs, (12.0, 5.0))

    def test_errors(self):
        for message, call in [("integer division or modulo by zero", lambda a, b: a // b),
                              ("integer modulo by zero", lambda a, b: a % b),
                              ("division by zero", lambda a, b: a / b)]:
            for _ in range(WARM):
                call(1000, 7)
            with self.assertRaisesRegex(ZeroDivisionError, message):
                call(1000, 0)
        for symbol in "<<", ">>":
            shift = eval(f"lambda a, b: a {symbol} b")
            for _ in range(WARM):
                shift(1000, 2)
            with self.assertRaisesRegex(ValueError, "negative shift count"):
                shift(1000, -1)


class TestAtOnce(unittest.TestCase):
    """What is answered without a call of C is what C answers."""

    VALUES = (0, 1, 3, -1, -3, 6, -6, 7, -7, 100, -100, 2**30, -2**31, True, None)
    SEQUENCES = ([], [1, 2, 3, 4, 5, 6], (), (1, 2, 3, 4, 5, 6), '', 'abcdef', 'a\xe9\u20acdef', b'', b'abcdef',
                 bytearray(b'abcdef'), range(6))

    def outcome(self, function, *args):
        """What the function returns, with its type, or the exception that it raises."""
        try:
            result = function(*args)
        except Exception as exc:
            return type(exc), str(exc)
        return type(result), result

    def compare(self, ours, reference, *args):
        for _ in range(3):
            self.assertEqual(self.outcome(ours, *args), self.outcome(reference, *args), args)

    def test_indices(self):
        for sequence in self.SEQUENCES:
            for index in self.VALUES:
                self.compare(lambda s, i: s[i], operator.getitem, sequence, index)

    def test_slices(self):
        def reference(sequence, start, stop):
            return operator.getitem(sequence, slice(start, stop))

        for sequence in self.SEQUENCES:
            for start in self.VALUES:
                for stop in self.VALUES:
                    self.compare(lambda s, i, j: s[i:j], reference, sequence, start, stop)
        self.compare(lambda s, i, j: s[i:j], reference, 'abc', 'x', 1)

    def test_whole_slices_of_what_cannot_change_are_the_same_object(self):
        for sequence in ('abcdef', (1, 2, 3), b'abcdef'):
            self.assertIs(sequence[:], sequence)
        numbers = [1, 2]
        self.assertIsNot(numbers[:], numbers)

    def test_strings_whose_characters_are_not_in_place_yet(self):
        """Made by the old API, which writes into an array first; only the first use makes a string of it."""
        new, array = ctypes.pythonapi.PyUnicode_FromUnicode, ctypes.pythonapi.PyUnicode_AsUnicode
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_ssize_t]
        array.restype, array.argtypes = ctypes.c_void_p, [ctypes.py_object]

        def made():
            with warnings.catch_warnings():
                warnings.simplefilter('ignore', DeprecationWarning)
                text = new(None, 6)
            ctypes.memmove(array(text), 'abcdef'.encode(f'utf-32-{sys.byteorder[0]}e'), 24)
            return text

        self.assertEqual(made()[1:3], 'bc')
        self.assertEqual(made()[-1], 'f')

    def test_slices_of_subclasses_ask_them(self):
        for base in (list, tuple, str, bytes):
            class Asked(base):
                def __getitem__(self, index):
                    return index

            self.assertEqual(Asked()[1:2], slice(1, 2))

    def test_extremes(self):
        nan = float('nan')
        numbers = [0, 1, -1, 1000, -1000, 2**30, 2**70, True, 0.0, -0.0, 1.5, nan]
        for left in numbers:
            for right in numbers:
                self.assertIs(min(left, right), right if right < left else left)
                self.assertIs(max(left, right), right if right > left else left)
        self.assertEqual(min(5, 3, 4), 3)
        self.assertEqual(max(5.0, 7.0, 6.0), 7.0)
        self.assertRaises(TypeError, min, 5, 'x')

    def test_divmod(self):
        for left in (0, 1, 7, -7, 300, -300, 2**30 - 1, 2**30, -2**62):
            for right in (1, -1, 3, -3, 1000, -1000, 2**31):
                self.assertEqual(divmod(left, right), (left // right, left % right))
        self.assertRaises(ZeroDivisionError, divmod, 1, 0)

    def test_freed_ints_serve_again(self):
        for count in (10, 1000):
            numbers = [number * 1000 for number in range(count)]
            self.assertEqual(sum(numbers), 1000 * count * (count - 1) // 2)
            del numbers

    def test_memory_of_ints_that_serve_again_is_traced(self):
        tracemalloc.start()
        try:
            kept = [number + 100000 for number in range(10)]
            self.assertTrue(all(tracemalloc.get_object_traceback(number) for number in kept))
        finally:
            tracemalloc.stop()


class TestComparisons(unittest.TestCase):
    """A comparison together with the jump behind it."""

    symbols = {"lt": "<", "le": "<=", "eq": "==", "ne": "!=", "ge": ">=", "gt": ">"}
    shapes = ["""
def function(a, b):
    if a {} b:
        return True
    return False
""", """
def function(a, b):
    if not a {} b:
        return False
    return True
""", """
def function(a, b):
    rounds = 0
    while a {} b:
        rounds += 1
        if rounds == 3:
            return True
    return False
""", """
def function(a, b):
    rounds = 0
    while not a {} b:
        rounds += 1
        if rounds == 3:
            return False
    return True
""", """
def function(a, b):
    return [0 for _ in "x" if a {} b] == [0]
""", """
def function(a, b):
    assert a == a or a != a
    return True if a {} b else False
"""]

    kinds = [
        [0, 1, -1, 256, 257, -1000, 1000, 2**30 - 1, -2**30 + 1, 2**30, -2**30, 2**60, 2**70, True],
        [0.0, -0.0, 1.5, -1.5, 1e300, float("inf"), float("-inf"), float("nan")],
        ["", "a", "b", "ab", "a" * 100, "\xe9", "\u20ac", "\U0001f600"],
        [1, 1.0, 1.5, 2**53 + 1, 2.0**53, True],
    ]

    def functions(self, name):
        for shape in self.shapes:
            namespace = {}
            exec(shape.format(self.symbols[name]), namespace)
            yield namespace["function"]

    def test_every_operator_on_every_kind(self):
        for name in self.symbols:
            expected = getattr(operator, name)
            for values in self.kinds:
                pairs = [(a, b) for a in values for b in values]
                for function in self.functions(name):
                    for _ in range(WARM):
                        function(values[0], values[1])
                    for a, b in pairs:
                        self.assertIs(function(a, b), expected(a, b), (name, a, b))

    def test_other_types_at_one_place(self):
        for name in self.symbols:
            expected = getattr(operator, name)
            for function in self.functions(name):
                for a, b in [(1, 2), (2, 1), (1, 1), (0.5, 1.5), ("a", "b"), ("b", "b"), ((1,), (2,)), (1, 2)] * 8:
                    self.assertIs(function(a, b), expected(a, b), (name, a, b))

    def test_strings_that_are_equal_and_not_the_same(self):
        def function(text):
            if text == "abc":
                return 1
            elif text != "x":
                return 2
            return 3

        for _ in range(WARM):
            self.assertEqual([function("".join(text)) for text in ("abc", "x", "zzz")], [1, 3, 2])

    def test_results_that_are_no_bool(self):
        class Answer:
            def __init__(self, truth):
                self.truth = truth

            def __bool__(self):
                if self.truth is None:
                    raise KeyError("no truth")
                return self.truth

        class Value:
            def __init__(self, truth):
                self.truth = truth

            def __lt__(self, other):
                return Answer(self.truth)

        def function(a, b):
            if a < b:
                return True
            return False

        for _ in range(WARM):
            function(1, 2)
        for _ in range(WARM):
            self.assertIs(function(Value(True), 1), True)
            self.assertIs(function(Value(False), 1), False)
            with self.assertRaisesRegex(KeyError, "no truth"):
                function(Value(None), 1)

    def test_a_long_loop_with_the_jump_back(self):
        def function(limit):
            number = 0
            while number < limit:
                number += 1
            return number

        for limit in 0, 1, 10, 100_000, 300.5:
            self.assertEqual(function(limit), int(limit) + (limit % 1 > 0))


if __name__ == "__main__":
    unittest.main()
