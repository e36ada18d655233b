"""The type stubs of `stackless`: mypy accepts them, they say what is there, and they are of use."""

import ast
import importlib.util
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

import stackless

from . import interpreters

STUB = Path(stackless.__file__).with_name("__init__.pyi")
HAVE_MYPY = importlib.util.find_spec("mypy") is not None

PROGRAM = '''
import contextvars
import stackless
from stackless import bomb, channel, schedule, tasklet

class Worker(tasklet):
    def __init__(self, jobs: channel) -> None:
        super().__init__(self.work)
        self.jobs = jobs

    def work(self, limit: int) -> None:
        for job in self.jobs:
            print(job, limit)
            with stackless.atomic():
                limit -= 1
            schedule()

def on_switch(prev: tasklet, next: tasklet) -> None:
    print(prev.name, next.name)

jobs = channel()
worker: Worker = Worker(jobs)(3)
worker.name = "worker"
plain: tasklet = tasklet(print).bind(args=("hello",)).insert()
stackless.set_schedule_callback(on_switch)
count: int = jobs.send_sequence(["a", "b"])
number: int = schedule(5)
me: tasklet = schedule()
jobs.send_exception(StopIteration)
jobs.send_throw(ValueError("bad"))
jobs.send(bomb(ValueError, "bad"))
text: str = worker.context_run(str.upper, "text")
worker.set_context(contextvars.Context()).throw(KeyError, "k", pending=True)
worker.kill(pending=True)
for line in worker.stack().format():
    print(line)
main: tasklet = stackless.main
ids: list[int] = stackless.threads
stackless.pickle_with_tracing_state = True
raise stackless.TaskletExit(3)
'''

# Each line has a fault, and mypy must find it.
FAULTS = '''
import stackless
stackless.tasklet(3)
stackless.tasklet(print).bind(args=5)
stackless.channel().send()
stackless.schedule(1, 2)
stackless.getcurrent().alive = True
stackless.getcurrent().no_such_attribute
stackless.no_such_function()
number: str = stackless.getruncount()
stackless.getcurrent().throw("a string")
stackless.set_error_handler(5)
'''


def names_in_stub():
    """The public names of the stub, and of its classes: {name: kind}, {class: {name: kind}}."""
    tree = ast.parse(STUB.read_text())
    top, classes = {}, {}

    def collect(body, into):
        for node in body:
            if isinstance(node, ast.FunctionDef):
                into[node.name] = node
            elif isinstance(node, ast.ClassDef):
                into[node.name] = node
                collect(node.body, classes.setdefault(node.name, {}))
            elif isinstance(node, ast.AnnAssign):
                into[node.target.id] = node
    collect(tree.body, top)
    return top, classes


class TestAgainstTheModule(unittest.TestCase):
    """Without mypy, by the names alone."""

    def test_every_name_of_the_stub_exists(self):
        top, classes = names_in_stub()
        for name in top:
            if not name.startswith("_") or name == "_tasklet_get_unpicklable_state":
                self.assertTrue(hasattr(stackless, name), name)
        for cls, names in classes.items():
            for name in names:
                self.assertTrue(hasattr(getattr(stackless, cls), name), f"{cls}.{name}")

    def test_every_public_name_stands_in_the_stub(self):
        top, classes = names_in_stub()
        public = {name for name in dir(stackless) if not name.startswith("_")}
        self.assertEqual(public - set(top) - {"sys", "importlib", "ModuleType", "annotations"}, set())
        self.assertLessEqual(set(stackless.__all__), set(top))
        for cls in stackless.tasklet, stackless.channel, stackless.bomb, stackless.atomic:
            own = {name for name in vars(cls) if not name.startswith("__")}
            self.assertEqual(own - set(classes[cls.__name__]), set(), cls)

    def test_the_package_is_marked_as_typed(self):
        self.assertTrue(STUB.with_name("py.typed").exists())


@unittest.skipUnless(HAVE_MYPY, "needs the Debian package mypy")
class TestMypy(unittest.TestCase):
    def run_module(self, *arguments):
        """Run a module of mypy's in a scratch folder."""
        path = os.pathsep.join([str(STUB.parent.parent), interpreters.PACKAGES])
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, "-m", *arguments], cwd=folder, capture_output=True, text=True,
                                  env={**os.environ, "PYTHONPATH": path, "MYPY_CACHE_DIR": folder})
        return done.returncode, done.stdout + done.stderr

    def check(self, program):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "program.py")
            file.write_text(program)
            return self.run_module("mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file))

    def test_the_stub_is_right_about_the_module(self):
        with tempfile.NamedTemporaryFile("w") as private:
            private.write(r"stackless\._[a-z]+\..*")   # modules of its own, which no stub describes
            private.flush()
            status, output = self.run_module("mypy.stubtest", "stackless", "--concise", "--allowlist", private.name)
        self.assertEqual((status, output), (0, ""))

    def test_a_program_is_accepted(self):
        self.assertEqual(self.check(PROGRAM), (0, ""))

    def test_faults_are_found(self):
        status, output = self.check(FAULTS)
        self.assertEqual(status, 1, output)
        lines = {int(line.split(":")[1]) for line in output.splitlines() if ": error:" in line}
        self.assertEqual(lines, set(range(3, FAULTS.count("\n") + 1)), textwrap.indent(output, "  "))


if __name__ == "__main__":
    unittest.main()
