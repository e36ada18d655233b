"""Start workers in fresh processes: for CPU time, and under valgrind for instruction counts."""

import ast
import os
import re
import subprocess
import tempfile

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")
TIMEOUT = 600

# The worker's exit status for a system that is not installed, or has no such figure.
ABSENT = 3


class Failed(Exception):
    """A worker ended badly; the text says how."""


class Absent(Failed):
    """The measured system is not installed."""


def environment():
    """This process's environment without Python's own variables, and with hashing made repeatable."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, "PYTHONHASHSEED": "0"}


def run_worker(python, *arguments, prefix=()):
    """Run worker.py with `arguments` on the interpreter `python` and return its answer."""
    command = [*prefix, python, "-s", "-P", "-B", WORKER, *map(str, arguments)]
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        raise Failed(f"no answer within {TIMEOUT} s") from None
    except OSError as error:
        raise Failed(f"{command[0]}: {error.strerror}") from None
    if done.returncode == ABSENT:
        raise Absent((done.stderr.strip().splitlines() or ["absent"])[-1])
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise Failed(f"{how}: {last[:160]}")
    try:
        return ast.literal_eval(done.stdout.strip().splitlines()[-1])
    except (IndexError, SyntaxError, ValueError):
        raise Failed(f"no answer, but {done.stdout[-80:]!r}") from None


def read_counts(path):
    """Read a cachegrind output file: instructions per function name."""
    counts = {}
    name = None
    with open(path, errors="replace") as lines:
        for line in lines:
            if line.startswith("fn="):
                name = line[3:].strip()
            elif match := re.match(r"\d+ (\d+)", line):
                counts[name] = counts.get(name, 0) + int(match[1])
    return counts


def count_once(python, *arguments):
    """Run a worker under cachegrind and return the instructions of each function."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "counts")
        prefix = ("valgrind", "-q", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={path}")
        run_worker(python, *arguments, prefix=prefix)
        return read_counts(path)


def count_instructions(python, *arguments, count):
    """Return the instructions that one of `count` operations takes, by function.

    Two runs, of `count` and of twice `count`: the difference is free of start-up, imports and warm-up.
    """
    once = count_once(python, *arguments, count)
    twice = count_once(python, *arguments, 2 * count)
    names = once.keys() | twice.keys()
    return {name: (twice.get(name, 0) - once.get(name, 0)) / count for name in names}
