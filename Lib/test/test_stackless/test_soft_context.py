"""contextvars.Context.run() takes no C stack, and behaves as in CPython."""

import contextvars
import traceback
import unittest

import stackless
from .cases import LeavesNoTasklets, needs_soft_switches

variable = contextvars.ContextVar("variable", default=0)


class ContextRun(LeavesNoTasklets, unittest.TestCase):
    @needs_soft_switches
    def test_is_soft(self):
        channel = stackless.channel()
        results = []
        context = contextvars.copy_context()

        def inside(value, *, keyword):
            variable.set(value)
            return channel.receive(), variable.get(), keyword

        def run():
            results.append(context.run(inside, 1, keyword=2))
            results.append(variable.get())

        tasklet = stackless.tasklet(run)()
        stackless.run()
        self.assertTrue(tasklet.blocked)
        self.assertIsNone(tasklet.pinned)
        self.assertTrue(tasklet.restorable)
        self.assertEqual(variable.get(), 0)
        channel.send("value")
        stackless.run()
        self.assertEqual(results, [("value", 1, 2), 0])
        self.assertEqual(context[variable], 1)

    def test_exception(self):
        """It leaves the context, and the traceback shows who called and who raised."""
        context = contextvars.copy_context()

        def fails():
            variable.set(1)
            raise KeyError

        try:
            context.run(fails)
        except KeyError as error:
            names = [entry.name for entry in traceback.extract_tb(error.__traceback__)]
        self.assertEqual(names, ["test_exception", "fails"])
        self.assertEqual(variable.get(), 0)
        self.assertEqual(context.run(variable.get), 1)

    def test_entered_twice(self):
        context = contextvars.copy_context()
        with self.assertRaisesRegex(RuntimeError, "is already entered"):
            context.run(lambda: context.run(int))
        self.assertEqual(context.run(int), 0)

    def test_wrong_arguments(self):
        context = contextvars.copy_context()
        with self.assertRaisesRegex(TypeError, "missing 1 required positional argument"):
            context.run()
        with self.assertRaisesRegex(TypeError, "not callable"):
            context.run(5)
        self.assertEqual(context.run(int), 0)

    def test_any_callable(self):
        self.assertEqual(contextvars.copy_context().run(sorted, [2, 1], reverse=True), [2, 1])
        self.assertEqual(contextvars.copy_context().run(*(max, 1, 2), **{"key": abs}), 2)


if __name__ == "__main__":
    unittest.main()
