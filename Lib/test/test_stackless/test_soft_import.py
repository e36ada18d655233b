"""The import of a Python module takes no C stack, and behaves as in CPython.

The scripts of class Differential run on the base as well, and have to print the same.
"""

import importlib
import os
import re
import sys
import tempfile
import textwrap
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches
from .interpreters import same_as_base
from .test_soft_constructs import Recursion
from .test_soft_exec import ATTEMPT

#: Files of modules, and what stands in them.
MODULES = {
    "ok.py": "x = 1",
    "bad.py": "1 / 0",
    "bad_below.py": "import bad",
    "bad_import.py": "import no_such_module",
    "bad_syntax.py": "a b",
    "bad_from.py": "from ok import nothing",
    "raises_import_error.py": "raise ImportError('mine')",
    "circular/__init__.py": "from . import a",
    "circular/a.py": "from . import b\nv = 1",
    "circular/b.py": "from .a import v",
    "package/__init__.py": "",
    "package/first.py": "",
    "package/second.py": "z = 1",
    "package/relative.py": "from . import first\nfrom .second import z\nfrom .. import nothing",
    "package/deep/__init__.py": "from . import er\nprint(__name__)",
    "package/deep/er/__init__.py": "print(__name__)",
    "package/deep/er/bad.py": "1 / 0",
    "star/__init__.py": "__all__ = ['leaf', 'gone']",
    "star/leaf.py": "",
    "whole_star/__init__.py": "__all__ = ['leaf']",
    "whole_star/leaf.py": "",
    "replaced.py": "import sys\nclass M:\n    __path__ = []\n    q = 1\nsys.modules[__name__] = M()",
    "gone.py": "import sys\ndel sys.modules[__name__]",
}


class WithModules(unittest.TestCase):
    """The folder self.folder holds modules, and can be imported from."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="slptest")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        sys.path.insert(0, self.folder)
        self.addCleanup(sys.path.remove, self.folder)
        self.addCleanup(self.forget, set(sys.modules))

    def forget(self, known):
        for name in set(sys.modules) - known:
            del sys.modules[name]

    def write(self, modules):
        for name, text in modules.items():
            path = os.path.join(self.folder, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
        importlib.invalidate_caches()


class Depth(WithModules):
    """Recursion nests frames, not C calls."""

    def check(self, *statements):
        """Every module runs the statement, which imports the next one."""
        recursion = Recursion()
        count = 60
        self.write({"chain/__init__.py": "",
                    **{f"chain/m{i}.py": "import builtins\nbuiltins.slp_test_step(__name__)" for i in range(count)}})
        for statement in statements:
            with self.subTest(statement):
                def step(name):
                    number = int(name.rpartition("m")[2])
                    next_name = f"m{number + 1}"
                    recursion.step(lambda: exec(statement.replace("NEXT", next_name), {"__name__": "chain.x",
                                                                                       "__package__": "chain"}))

                import builtins
                builtins.slp_test_step = step
                self.addCleanup(vars(builtins).pop, "slp_test_step", None)
                pointers = []
                for depth in (2, 50, 2):
                    self.forget(set(sys.modules) - {f"chain.m{i}" for i in range(count)} - {"chain"})
                    pointers.append(recursion.pointer_at(depth, lambda: step("m0")))
                self.assertEqual(pointers[0], pointers[1])

    def test_statements(self):
        self.check("import chain.NEXT", "from chain import NEXT", "from chain.NEXT import builtins",
                   "from . import NEXT", "from .NEXT import builtins", "import chain.NEXT as name")

    def test_functions(self):
        self.check("__import__('chain.NEXT')", "__import__('chain', fromlist=['NEXT'])",
                   "import importlib; importlib.import_module('chain.NEXT')",
                   "import importlib; importlib.import_module('.NEXT', 'chain')")

    def test_replaced_import(self):
        import builtins
        original = builtins.__import__
        self.addCleanup(setattr, builtins, "__import__", original)
        builtins.__import__ = lambda *args, **kwargs: original(*args, **kwargs)
        self.check("import chain.NEXT", "from chain import NEXT")


@needs_soft_switches
class Blocked(LeavesNoTasklets, WithModules):
    """A tasklet that waits in a module's code is restorable."""

    def test_body(self):
        self.write({"waits/__init__.py": "", "waits/inner.py": "import stackless, sys\n"
                                                                "value = sys.slp_test_channel.receive()"})
        sys.slp_test_channel = stackless.channel()
        self.addCleanup(delattr, sys, "slp_test_channel")
        results = []

        def run():
            from waits.inner import value
            results.append(value)

        tasklet = stackless.tasklet(run)()
        tasklet.run()
        self.assertTrue(tasklet.restorable)
        self.assertEqual(tasklet.nesting_level, 0)
        sys.slp_test_channel.send("value")
        stackless.run()
        self.assertEqual(results, ["value"])


class Differential(WithModules):
    """The base prints the same."""

    def check(self, script):
        self.write(MODULES)
        start = f"import sys\nsys.path.insert(0, {self.folder!r})\nsys.dont_write_bytecode = True\n"
        printed = same_as_base(self, "-c", start + ATTEMPT + textwrap.dedent(script),
                               clean=lambda text: re.sub("0x[0-9a-f]+", "0x", text))
        self.assertGreater(len(printed.splitlines()), 5)

    def check_statements(self, *statements):
        """Run each; print what is bound, or what is raised with its traceback."""
        self.check(f'''
            for statement in {statements!r}:
                print("##", statement)
                namespace = {{"__name__": "main"}}
                attempt(exec, statement, namespace)
                print(sorted((name, getattr(value, "__name__", repr(value))) for name, value in namespace.items()
                             if not name.startswith("__")))
        ''')

    def test_statements(self):
        self.check_statements(
            "import ok", "import ok as o", "from ok import x", "from ok import y", "import ok.x",
            "from circular import a", "import circular.a", "import package.relative",
            "from package import first, second", "import package.first", "import package.first as name",
            "from package import nothing", "import package.deep.er", "from star import *",
            "from whole_star import *", "import replaced", "from replaced import q", "from replaced import w",
            "import replaced.w", "import gone", "import gone as name", "from gone import x",
            "import json.decoder", "from xml.dom import minidom", "from . import x", "from .x import y",
            "import sys\nsys.modules['none'] = None\nimport none")

    def test_errors(self):
        """Tracebacks are without the machinery's frames where the base's are."""
        self.check_statements(
            "import bad", "import bad_below", "import bad_import", "import bad_syntax", "import bad_from",
            "import raises_import_error", "import no_such_module.x", "from package.deep.er import bad",
            "import package.deep.er.bad", "import importlib; importlib.import_module('bad')",
            "import sys\nclass F:\n def find_spec(*args): raise KeyError\nsys.meta_path.insert(0, F)\nimport virtual",
            "import sys\nclass F:\n def find_spec(self, name, *args): name == 'virtual' and __import__('bad')\n"
            "sys.meta_path.insert(0, F)\nimport virtual",
            "import sys\ndel sys.meta_path[0].find_spec\nimport virtual")

    def test_functions(self):
        self.check_statements(
            "print(__import__('wsgiref.util'))", "__import__('')", "__import__(5)", "__import__('ok', level=-1)",
            "__import__('x', level=1)", "__import__('x', {'__package__': 5}, level=1)", "__import__()",
            "__import__(name='package.second', fromlist=('second',)).z", "__import__('package', fromlist=(5,))",
            "__import__('package', fromlist=5)", "__import__('ok', wrong=1)", "__import__('ok', name='ok')",
            "__import__('second', {'__package__': 'package'}, level=1).z",
            "import importlib; importlib.import_module('.first', 'package')",
            "import importlib, package.deep; importlib.reload(package.deep)")

    def test_replaced_import(self):
        self.check('''
            import builtins
            original = builtins.__import__
            def replaced(*args, **kwargs):
                print(args[0], args[3:], kwargs)
                return original(*args, **kwargs)
            builtins.__import__ = replaced
            import package.second
            from package import first
            attempt(exec, "import bad_below")
        ''')

    def test_events(self):
        self.check('''
            import sys
            events = []
            def record(frame, event, arg):
                events.append((frame.f_code.co_name, event, frame.f_lineno))
                return record
            def run():
                import ok
                from package import first
                try:
                    import bad
                except ZeroDivisionError:
                    pass
                from . import x
            for switch in sys.settrace, sys.setprofile:
                switch(record)
                try:
                    run()
                except ImportError:
                    pass
                switch(None)
                print(*events, sep="\\n")
                events.clear()
                del sys.modules["ok"], sys.modules["package"], sys.modules["package.first"]

            audited = []
            def hook(event, args):
                if audited is not None and event in ("import", "exec"):
                    audited.append((event, args[0] if event == "import" else args[0].co_name))
            sys.addaudithook(hook)
            import ok, package.first
            from package import second
            kept, audited = audited, None
            print(*kept, sep="\\n")
        ''')

    def test_importtime(self):
        """C takes the times, so that it does the import."""
        self.write(MODULES)
        times = re.compile(r"\d+ \| +\d+ \|")
        script = f"import sys; sys.path.insert(0, {self.folder!r}); import package.second"
        same_as_base(self, "-X", "importtime", "-S", "-c", script,
                     clean=lambda text: re.sub(" +", " ", times.sub("", text)))


if __name__ == "__main__":
    unittest.main()
