"""stackless.images: signed images, with code by reference, that load only what is allowed."""

import datetime
import gc
import hmac
import importlib.util
import pickle
import sys
import types
import unittest
import weakref

import stackless
from stackless import images
from test_stackless import image_samples as samples
from test_stackless.cases import LeavesNoTasklets, needs_soft_switches

KEY = b"a key for the tests" * 2
ALLOW = ["test_stackless.image_samples.*"]
SAMPLES = "test_stackless.image_samples"


def dump(obj, **options):
    return images.dump(obj, key=KEY, **options)


def load(data, allow=ALLOW, **options):
    return images.load(data, key=KEY, allow=allow, **options)


class Wants:
    """Pickles as a call of a function."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def global_name(module, name):
    """An image that wants a global by its name."""
    code = b"\x80\x04" + b"".join(b"\x8c" + bytes([len(n)]) + n.encode() for n in (module, name)) + b"\x93."
    return envelope(code)


def envelope(body):
    """An image of a pickle."""
    rest = importlib.util.MAGIC_NUMBER + body
    head = b"SLPIMG\x01\x00"
    return head + hmac.digest(KEY, head + rest, "sha256") + rest


class TestEnvelope(unittest.TestCase):
    def test_round_trip(self):
        values = [1, "two", {"three": (3.0, None)}, datetime.date(2001, 2, 3), {4}, b"5", range(6)]
        for code in "reference", "value":
            self.assertEqual(load(dump(values, code=code)), values)

    def test_every_byte_is_signed(self):
        data = dump(["some", "data"])
        for i in range(len(data)):
            changed = bytearray(data)
            changed[i] ^= 1
            with self.subTest(i), self.assertRaises(images.ImageError):
                load(changed)

    def test_nothing_is_read_before_the_signature_is_checked(self):
        data = bytearray(dump("some data"))
        data[8:40] = bytes(32)
        with self.assertRaisesRegex(images.SignatureError, "another key, or it was changed"):
            load(bytes(data[:44]) + b"this is no pickle")

    def test_truncated(self):
        data = dump("some data")
        for size in range(len(data)):
            with self.subTest(size), self.assertRaises(images.ImageError):
                load(data[:size])

    def test_another_key(self):
        with self.assertRaises(images.SignatureError):
            images.load(dump(1), key=KEY[::-1])

    def test_not_an_image(self):
        for data in b"", b"SLPIMG", pickle.dumps(1):
            with self.assertRaisesRegex(images.ImageError, "not an image"):
                load(data)

    def test_another_version(self):
        data = dump(1)
        with self.assertRaisesRegex(images.ImageError, "has version 2, this is version 1"):
            load(data[:6] + b"\x02" + data[7:])

    def test_another_bytecode(self):
        body = b"\x00\x00\r\n" + pickle.dumps(1)
        head = b"SLPIMG\x01\x00"
        with self.assertRaisesRegex(images.ImageError, "a Python with another bytecode"):
            load(head + hmac.digest(KEY, head + body, "sha256") + body)

    def test_keys(self):
        with self.assertRaisesRegex(TypeError, "key must be bytes, not str"):
            images.dump(1, key="x" * 40)
        with self.assertRaisesRegex(ValueError, "key must have 16 bytes at least, not 15"):
            images.dump(1, key=b"x" * 15)
        with self.assertRaisesRegex(ValueError, "key must have 16 bytes at least, not 0"):
            images.load(dump(1), key=b"")

    def test_options(self):
        for call in lambda: dump(1, code="other"), lambda: load(dump(1), code="other"):
            with self.assertRaisesRegex(ValueError, "code must be 'reference' or 'value', not 'other'"):
                call()
        with self.assertRaisesRegex(TypeError, "not a str"):
            load(dump(1), allow="shop.*")
        for wrong in "*", "", 1:
            with self.assertRaisesRegex(TypeError, "allow must hold names"):
                load(dump(1), allow=[wrong])


class TestCodeByReference(unittest.TestCase):
    def test_closures_and_methods(self):
        for function, expected in [(samples.adder(1), 6), (samples.Greeter("x").later(), None)]:
            data = dump(function)
            self.assertNotIn(function.__code__.co_code, data)
            loaded = load(data)
            self.assertIs(loaded.__code__, function.__code__)
            if expected is None:
                self.assertEqual(loaded(), ("hello", "x"))
            else:
                self.assertEqual(loaded(5), expected)

    def test_what_decorators_hide(self):
        self.assertEqual(load(dump(samples.decorated(7)))(), 7)
        (function,) = samples.not_to_be_found
        self.assertEqual(load(dump(function(8)))(), (8, "not to be found"))

    def test_by_value(self):
        data = dump(samples.adder(1), code="value")
        self.assertIn(samples.adder(1).__code__.co_code, data)
        with self.assertRaisesRegex(images.ImageError, "code by value: load it with code='value'"):
            load(data)
        self.assertEqual(load(data, code="value")(2), 3)

    def test_code_that_is_in_no_module(self):
        function = eval("lambda: 1", {"__name__": SAMPLES})
        with self.assertRaisesRegex(pickle.PicklingError, r"the code of <lambda> \(file '<string>', line 1\).*'value'"):
            dump(function)

    def test_only_images_know_references(self):
        data = dump(samples.adder(1))
        with self.assertRaisesRegex(images.ImageError, r"stackless.images.load\(\) only"):
            pickle.loads(data[44:])


@needs_soft_switches
class TestTasklets(LeavesNoTasklets, unittest.TestCase):
    def test_resumed_in_the_middle(self):
        for code in "reference", "value":
            results = []
            task = stackless.tasklet(samples.finish)(4, results)
            stackless.run()
            while task.alive:
                results, task = load(dump((results, task), code=code), code=code)
                task.insert()
                stackless.run()
            self.assertEqual(results, [6])

    def test_nothing_is_left_of_loading(self):
        """The unpickler holds methods of its own where the collector does not look."""
        task = stackless.tasklet(samples.finish)(1, [])
        stackless.run()
        data = dump(task)
        task.kill()
        loaded = load(data)
        gone = weakref.ref(loaded)
        loaded.kill()
        del loaded
        with self.assertRaises(images.ImageError):
            load(data, allow=[])
        gc.collect()
        self.assertIsNone(gone())
        self.assertFalse([obj for obj in gc.get_objects() if type(obj) is images._Unpickler])

    def test_no_code_in_the_image(self):
        task = stackless.tasklet(samples.finish)(4, [])
        stackless.run()
        data = dump(task)
        for function in samples.finish, samples.worker, samples.yield_here:
            self.assertNotIn(function.__code__.co_code, data)
        self.assertLess(len(data), 1500)
        task.kill()

    def test_frames_of_a_function_that_has_changed(self):
        namespace = {}
        task = stackless.tasklet(samples.finish)(1, [])
        stackless.run()
        data = dump(task)
        task.kill()
        old = samples.yield_here.__code__
        self.addCleanup(setattr, samples.yield_here, "__code__", old)
        source = "import stackless\ndef yield_here(value):\n    stackless.schedule_remove()\n    return value + 100"
        exec(source, namespace)
        samples.yield_here.__code__ = namespace["yield_here"].__code__
        found = images._Index.candidates
        self.addCleanup(setattr, images._Index, "candidates", found)
        images._Index.candidates = lambda *args: [c for c in found(*args) if c is not old and c != old]
        with self.assertRaisesRegex(images.ChangedCodeError, "image_samples.yield_here has changed since"):
            load(data)
        loaded = load(data, migrate=lambda reference, candidates: candidates[0])
        self.assertEqual(loaded.frame.f_code.co_code, samples.yield_here.__code__.co_code)
        loaded.kill()
        with self.assertRaises(ValueError):
            load(data, migrate=lambda reference, candidates: samples.worker)


class TestChangedCode(unittest.TestCase):
    """A module of one function, whose source changes."""

    NAME = "image_sample_that_changes"

    def module(self, source):
        spec = importlib.util.spec_from_loader(self.NAME, loader=Loader(source))
        module = importlib.util.module_from_spec(spec)
        module.__file__ = f"{self.NAME}.py"
        sys.modules[self.NAME] = module
        self.addCleanup(sys.modules.pop, self.NAME, None)
        spec.loader.exec_module(module)
        return module

    def image(self):
        return dump(self.module("def make():\n return lambda: 'old'\n").make())

    def load(self, data, **options):
        return load(data, [self.NAME + ".*"], **options)

    def test_unchanged(self):
        data = self.image()
        self.module("def make():\n return lambda: 'old'\n")
        self.assertEqual(self.load(data)(), "old")

    def test_changed(self):
        data = self.image()
        self.module("def make():\n return lambda: 'new'\n")
        with self.assertRaisesRegex(images.ChangedCodeError,
                                    rf"{self.NAME}.make.<locals>.<lambda> has changed since") as caught:
            self.load(data)
        self.assertEqual(caught.exception.reference.module, self.NAME)
        self.assertEqual(caught.exception.reference.qualname, "make.<locals>.<lambda>")

    def test_gone(self):
        data = self.image()
        self.module("")
        with self.assertRaisesRegex(images.ChangedCodeError, "has gone since"):
            self.load(data)
        del sys.modules[self.NAME]
        with self.assertRaisesRegex(images.ChangedCodeError, "has gone since"):
            self.load(data)

    def test_migration(self):
        data = self.image()
        module = self.module("def make():\n return lambda: 'new'\n")
        asked = []

        def migrate(reference, candidates):
            asked.append((str(reference), candidates))
            return candidates[0]

        self.assertEqual(self.load(data, migrate=migrate)(), "new")
        (code,) = [c for c in module.make.__code__.co_consts if isinstance(c, types.CodeType)]
        self.assertEqual(asked, [(f"{self.NAME}.make.<locals>.<lambda>", [code])])
        self.assertEqual(self.load(data, migrate=lambda r, c: lambda: "other")(), "other")

    def test_migration_that_refuses(self):
        data = self.image()
        self.module("")
        with self.assertRaises(images.ChangedCodeError):
            self.load(data, migrate=lambda reference, candidates: None)
        with self.assertRaisesRegex(TypeError, "must return a function, a code object or None, not int"):
            self.load(data, migrate=lambda reference, candidates: 1)


class Loader:
    def __init__(self, source):
        self.source = source

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        exec(compile(self.source, module.__file__, "exec"), vars(module))

    def get_code(self, name):
        return compile(self.source, f"{name}.py", "exec")


class TestAllowList(unittest.TestCase):
    def refused(self, data, words, allow=ALLOW):
        with self.assertRaisesRegex(images.ImageError, words):
            load(data, allow)

    def test_what_a_module_defines(self):
        point = samples.Point(1, 2)
        self.assertEqual(load(dump([point, samples.by_name, samples.Greeter.greet])),
                         [point, samples.by_name, samples.Greeter.greet])
        self.assertEqual(load(dump(point), [f"{SAMPLES}.Point"]), point)

    def test_nothing_else(self):
        self.refused(dump(samples.Point(1, 2)), f"wants {SAMPLES}.Point, which is not on the list", [])
        self.refused(dump(samples.by_name), "not on the list", [f"{SAMPLES}.Point"])
        self.refused(dump(samples.adder(1)), "not on the list", [])

    def test_what_runs_programs(self):
        for module, name in [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("builtins", "exec"),
                             ("builtins", "__import__"), ("builtins", "setattr"), ("subprocess", "Popen"),
                             ("__builtin__", "eval"), ("operator", "attrgetter"), ("types", "FunctionType"),
                             ("types", "CodeType"), ("stackless.images", "load")]:
            self.refused(global_name(module, name), "not on the list")

    def test_what_an_allowed_module_has_from_elsewhere(self):
        self.refused(global_name(SAMPLES, "system"), "has from elsewhere")
        self.refused(global_name(SAMPLES, "os"), "has from elsewhere")
        self.refused(global_name(SAMPLES, "os.system"), "has from elsewhere")
        self.refused(global_name("datetime", "sys"), "has from elsewhere")
        self.refused(global_name(SAMPLES, "by_name.real"), "real of .*by_name, which is not a class")

    def test_inner_attributes(self):
        self.refused(global_name(SAMPLES, "Greeter.greet.__globals__"), "an inner attribute")
        self.refused(global_name(SAMPLES, "Greeter.__class__"), "an inner attribute")
        self.refused(global_name(SAMPLES, "Greeter.__subclasses__"), "an inner attribute")
        self.refused(global_name(SAMPLES, "Greeter._secret"), "an inner attribute")
        for name in "__class__", "__globals__", "_private":
            self.refused(dump(Wants(getattr, samples.Point(1, 2), name)), f"wants attribute {name} of a Point")

    def test_getattr_finds_methods(self):
        self.assertEqual(load(dump([1, 2].append))(3), None)
        self.assertEqual(load(dump(samples.Greeter("x").greet))(), ("hello", "x"))

    def test_methods_with_underscores(self):
        """Those of a class that is allowed are code as other methods are."""
        greeter = samples.Greeter("x")
        self.assertIs(load(dump(samples.Greeter._prefix)), samples.Greeter._prefix)
        self.assertEqual(load(dump(greeter._prefix))(), "Dear x")
        self.assertEqual(load(dump(samples.Greeter._make))("y").name, "y")

    @needs_soft_switches
    def test_a_tasklet_in_a_method_with_an_underscore(self):
        t = stackless.tasklet(samples.Greeter("x")._letter)()
        stackless.run()
        copy = load(dump(t))
        for paused in t, copy:
            paused.insert()
            stackless.run()
            self.assertEqual(samples.letters.pop(), "Dear x, hello")

    def test_getattr_of_modules(self):
        self.refused(dump(Wants(getattr, sys, "exit")), "wants module sys, which is not on the list")
        self.assertIs(load(dump(samples)), samples)

    def test_types(self):
        self.assertEqual(load(dump([type(None), type(...)])), [type(None), type(...)])
        self.refused(dump(Wants(type, 1)), "wants the type of a int")

    def test_types_that_only_the_interpreter_makes(self):
        kept = [types.GeneratorType, type(iter([])), types.GeneratorType.send, types.AsyncGeneratorType.__anext__]
        self.assertEqual(load(dump(kept)), kept)
        for cls in types.FunctionType, types.CodeType, types.MethodType, types.CellType, types.ModuleType:
            self.refused(dump(cls), "not on the list")

    def test_globals_of_modules(self):
        from _stackless import _wrap

        self.refused(dump(Wants(_wrap.module_dict, "os")), "wants module os, which is not on the list")
        self.assertIs(load(dump(Wants(_wrap.module_dict, SAMPLES))), vars(samples))

    def test_what_images_are_made_of(self):
        self.assertIs(type(load(dump(stackless.bomb(ValueError, ValueError("x"))))), stackless.bomb)


if __name__ == "__main__":
    unittest.main()
