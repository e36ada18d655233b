"""Code, functions, cells, modules and tracebacks pickle after `import stackless`."""

import copy
import io
import os
import pickle
import subprocess
import sys
import traceback
import types
import unittest

import stackless
from _stackless import _wrap

from .cases import Pickled


def by_name(value):
    return value


def counter(start):
    """A function with a cell that both of its inner functions share."""

    def add(n=1, *, times=1):
        """Count."""
        nonlocal start
        start += n * times
        return start

    def get():
        return start

    return add, get


def recursive():
    def fact(n):
        return 1 if n < 2 else n * fact(n - 1)

    return fact


class TestFunctions(Pickled):
    def test_importable_functions_keep_their_identity(self):
        for obj in by_name, os.path.join, Pickled.each, traceback.format_exc:
            for loaded in self.each(obj):
                self.assertIs(loaded, obj)

    def test_importable_functions_have_the_bytes_of_the_base(self):
        script = "import pickle, os; print(pickle.dumps(os.path.join), pickle._dumps(os.path.join))"
        base = subprocess.run([os.environ["SLP_BASE_PYTHON"], "-c", script], capture_output=True, text=True)
        self.assertEqual(base.stdout.strip(), f"{pickle.dumps(os.path.join)} {pickle._dumps(os.path.join)}")

    def test_lambda_in_a_container(self):
        for loaded in self.each([lambda a, b=2: a + b]):
            self.assertEqual(loaded[0](1), 3)

    def test_closures_share_their_cells(self):
        for add, get in self.each(counter(10)):
            self.assertEqual(add(2, times=3), 16)
            self.assertEqual(get(), 16)

    def test_everything_of_a_function_comes_back(self):
        def f(a: int, b="x", *, c=[1]) -> str:
            """Doc."""

        f.attribute = 5
        f.__module__ = "elsewhere"
        for g in self.each(f):
            self.assertIsNot(g, f)
            self.assertEqual(g.__code__, f.__code__)
            for name in (
                "__name__ __qualname__ __defaults__ __kwdefaults__ __doc__ __dict__ __annotations__ __module__"
            ).split():
                self.assertEqual(getattr(g, name), getattr(f, name), name)
            self.assertIs(g.__globals__, globals())
            self.assertIs(type(g), types.FunctionType)

    def test_function_that_refers_to_itself(self):
        for fact in self.each(recursive()):
            self.assertEqual(fact(5), 120)
            self.assertIs(fact.__closure__[0].cell_contents, fact)

    def test_cell_first_then_function(self):
        cell = recursive().__closure__[0]
        for loaded in self.each(cell):
            self.assertIs(type(loaded), types.CellType)
            self.assertIs(loaded.cell_contents.__closure__[0], loaded)

    def test_foreign_globals_go_along(self):
        namespace = {"__name__": "no module", "x": 3}
        exec("def f(): return x, f", namespace)
        for f in self.each(namespace["f"]):
            self.assertEqual(f(), (3, f))
            self.assertEqual(f.__globals__["__name__"], "no module")

    def test_function_hidden_by_a_decorator_goes_by_value(self):
        def original():
            return "original"

        original.__module__ = __name__
        original.__qualname__ = "by_name"
        for loaded in self.each(original):
            self.assertEqual(loaded(), "original")

    def test_function_without_a_module(self):
        def f():
            pass

        f.__module__ = None
        for loaded in self.each(f):
            self.assertIsNone(loaded.__module__)

    def test_pickler_with_its_own_table_is_as_the_base(self):
        class Bare(pickle.Pickler):
            dispatch_table = {}

        class BareInPython(pickle._Pickler):
            dispatch_table = {}

        for cls in Bare, BareInPython:
            file = io.BytesIO()
            with self.assertRaisesRegex((pickle.PicklingError, AttributeError), "Can.t pickle .*<lambda>"):
                cls(file).dump(lambda: None)
            cls(file).dump(by_name)

    def test_without_stackless_all_is_as_in_the_base(self):
        script = (
            "import pickle, types\n"
            "def f(): pass\n"
            "for obj in f, (lambda: 0), f.__code__, types, types.CellType(1):\n"
            "    try: print(pickle.dumps(obj))\n"
            "    except Exception as e: print(type(e), str(e).split(' at 0x')[0])\n"
        )
        outputs = [
            subprocess.run([python, "-c", script], capture_output=True, text=True).stdout
            for python in (sys.executable, os.environ["SLP_BASE_PYTHON"])
        ]
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(len(outputs[0].splitlines()), 5)

    def test_in_another_process(self):
        data = pickle.dumps((counter(1), lambda: stackless.getcurrent()))
        script = (
            "import pickle, sys\n"
            "(add, get), current = pickle.loads(sys.stdin.buffer.read())\n"
            "print(add(4), get(), 'stackless' in str(type(current.__globals__)))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], input=data, capture_output=True, cwd=os.path.dirname(__file__) + "/.."
        )
        self.assertEqual(done.stdout.split()[:2], [b"5", b"5"], done.stderr)


class TestOthers(Pickled):
    def test_code(self):
        for code in by_name.__code__, counter.__code__, compile("x = 1", "file", "exec"):
            for loaded in self.each(code):
                self.assertEqual(loaded, code)
                self.assertEqual(list(loaded.co_lines()), list(code.co_lines()))
                self.assertEqual(list(loaded.co_positions()), list(code.co_positions()))

    def test_code_is_saved_without_what_the_loop_has_learnt(self):
        def f(n):
            return n + 1

        before = pickle.dumps(f.__code__)
        for i in range(1000):
            f(i)
        self.assertEqual(pickle.dumps(f.__code__), before)

    def test_cell(self):
        for loaded in self.each(types.CellType([1])):
            self.assertEqual(loaded.cell_contents, [1])
        for loaded in self.each(types.CellType()):
            with self.assertRaises(ValueError):
                loaded.cell_contents
        cell = types.CellType()
        cell.cell_contents = cell
        for loaded in self.each(cell):
            self.assertIs(loaded.cell_contents, loaded)

    def test_cell_copies(self):
        cell = types.CellType([1])
        self.assertIs(copy.copy(cell).cell_contents, cell.cell_contents)
        self.assertEqual(copy.deepcopy(cell).cell_contents, [1])
        self.assertIsNot(copy.deepcopy(cell).cell_contents, cell.cell_contents)

    def test_modules(self):
        for module in sys, os.path, stackless, types:
            for loaded in self.each(module):
                self.assertIs(loaded, module)
            self.assertIs(copy.copy(module), module)

    def test_module_that_is_not_imported(self):
        module = types.ModuleType("made_up")
        module.x = 1
        for loaded in self.each(module):
            self.assertEqual((loaded.__name__, loaded.x), ("made_up", 1))

    def test_traceback(self):
        def raising():
            raise KeyError("here")

        try:
            raising()
        except KeyError as e:
            tb = e.__traceback__
        for loaded in self.each(tb):
            self.assertEqual(traceback.format_tb(loaded), traceback.format_tb(tb))
            self.assertEqual(loaded.tb_next.tb_frame.f_locals, {})
            self.assertIs(loaded.tb_frame.f_globals, globals())


class TestDamagedImages(unittest.TestCase):
    """What does not fit together is refused, with an error that says what."""

    def reduced(self, f):
        return _wrap.reduce_function(f)

    def test_code_of_another_version(self):
        make, args = _wrap.reduce_code(by_name.__code__)
        with self.assertRaisesRegex(ValueError, "made by another Python: bytecode 1 "):
            make(1000 + args[0] % 1000, *args[1:])

    def test_code_with_another_hash(self):
        make, args = _wrap.reduce_code(by_name.__code__)
        with self.assertRaisesRegex(ValueError, "by_name does not have the hash"):
            make(args[0], args[1] ^ 1, *args[2:])

    def test_code_with_wrong_arguments(self):
        make, args = _wrap.reduce_code(by_name.__code__)
        for wrong in ((), args[:-1], ("x", *args[1:])):
            with self.assertRaises(ValueError):
                make(*wrong)
        with self.assertRaises(TypeError):
            make(*args[:2], "x", *args[3:])

    def test_function_state(self):
        make, args, state = self.reduced(counter(1)[0])
        for i, value in enumerate(
            [None, 5, b"", b"", [], [], [], None, [], [], None],
        ):
            if value is None and i in (7, 10):
                continue   # these may be anything
            wrong = state[:i] + (value,) + state[i + 1:]
            with self.subTest(item=i), self.assertRaises((TypeError, ValueError)):
                make().__setstate__(wrong)
        for wrong in None, (), state[:-1], state[:6] + (None,) + state[7:], state[:6] + ((1,),) + state[7:]:
            with self.assertRaises((TypeError, ValueError)):
                make().__setstate__(wrong)

    def test_filled_only_once(self):
        make, args, state = self.reduced(counter(1)[0])
        shell = make()
        setstate = shell.__setstate__
        setstate(state)
        with self.assertRaisesRegex(ValueError, "add has been filled already"):
            setstate(state)
        cell = _wrap.cell()
        setstate = cell.__setstate__
        setstate((1,))
        with self.assertRaisesRegex(ValueError, "filled already"):
            setstate((2,))

    def test_shells_can_be_dropped(self):
        for make in _wrap.function, _wrap.cell:
            make()
            with self.assertRaises(TypeError):
                make(1)

    def test_traceback(self):
        code = by_name.__code__
        for entries in [], [1], [(code, __name__, 1, 1)], [(code, __name__, 10**6, 1)], [(code, None, 0, 1)], ():
            with self.assertRaises((TypeError, ValueError)):
                _wrap.traceback(entries)


if __name__ == "__main__":
    unittest.main()
