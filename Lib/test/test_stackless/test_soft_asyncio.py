"""asyncio in a tasklet takes no C stack, and behaves as in CPython."""

import asyncio
import os
import pathlib
import re
import subprocess
import sys
import unittest

import stackless
from _stackless import _c_stack_pointer
from .cases import BlocksSoftly, needs_soft_switches

BASE = os.environ.get("SLP_BASE_PYTHON", "/usr/bin/python3.11")


@needs_soft_switches
class IsSoft(BlocksSoftly, unittest.TestCase):
    """A tasklet that runs asyncio.run() and blocks in a task has no C frames."""

    def test_first_step(self):
        async def main(receive):
            return receive()

        self.assertEqual(self.blocked_in(asyncio.run, main, 1), 1)

    def test_after_sleeping(self):
        async def main(receive):
            await asyncio.sleep(0)
            first = receive()
            await asyncio.sleep(0.0001)
            return first, receive()

        self.assertEqual(self.blocked_in(asyncio.run, main, 1, 2), (1, 2))

    def test_after_a_future(self):
        async def main(receive):
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            loop.call_soon(future.set_result, 1)
            result = [await future, receive()]
            future = loop.create_future()
            loop.call_soon(future.set_exception, KeyError(2))
            try:
                await future
            except KeyError:
                result.append(receive())
            return result

        self.assertEqual(self.blocked_in(asyncio.run, main, 3, 4), [1, 3, 4])

    def test_where_it_is_cancelled(self):
        async def waits(receive):
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                return receive()

        async def main(receive):
            task = asyncio.create_task(waits(receive))
            await asyncio.sleep(0)
            task.cancel()
            return await task

        self.assertEqual(self.blocked_in(asyncio.run, main, 1), 1)

    def test_tasks_and_queues(self):
        async def produces(queue, receive):
            for _ in range(2):
                await queue.put(receive())

        async def main(receive):
            queue = asyncio.Queue(1)
            async with asyncio.TaskGroup() as group:
                group.create_task(produces(queue, receive))
                return [await queue.get(), await queue.get()]

        self.assertEqual(self.blocked_in(asyncio.run, main, 1, 2), [1, 2])

    def test_the_task_in_python(self):
        async def main(receive):
            return await asyncio.tasks._PyTask(other(receive))

        async def other(receive):
            await asyncio.sleep(0)
            return receive()

        self.assertEqual(self.blocked_in(asyncio.run, main, 1), 1)

    def test_no_c_stack(self):
        async def main():
            pointers.append(_c_stack_pointer())
            await asyncio.sleep(0)
            pointers.append(_c_stack_pointer())

        pointers = []
        stackless.tasklet(lambda: pointers.append(_c_stack_pointer()))()
        stackless.tasklet(lambda: asyncio.run(main()))()
        stackless.run()
        self.assertEqual(len(pointers), 3)
        self.assertEqual(len(set(pointers)), 1)


class AsInCPython(unittest.TestCase):
    """A program with all kinds of steps does the same in both interpreters."""

    def output(self, python, watcher):
        program = pathlib.Path(__file__).with_name("asyncio_program.py")
        result = subprocess.run([python, program, watcher], capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return re.sub("0x[0-9a-f]+", "0x", result.stdout).splitlines()

    def check(self, watcher):
        base = self.output(BASE, watcher)
        self.assertGreater(len(base), 60)
        self.assertEqual(self.output(sys.executable, watcher), base)

    def test_results(self):
        self.check("nothing")

    def test_trace_events(self):
        self.check("settrace")

    def test_profile_events(self):
        self.check("setprofile")


if __name__ == "__main__":
    unittest.main()
