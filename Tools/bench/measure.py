"""Start workers in fresh processes: for CPU time, and under valgrind for instruction counts."""

import ast
import os
import re
import signal
import subprocess
import tempfile
import time

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker.py")
TIMEOUT = 600

# The worker's exit status for a system that is not installed, and for a figure that it cannot do.
ABSENT = 3
UNABLE = 4

PAGE = os.sysconf("SC_PAGE_SIZE")


class Failed(Exception):
    """A worker ended badly; the text says how. `depth` is what it had said of a recursion's depth, if any."""

    depth = None


class Absent(Failed):
    """The measured system is not installed."""


class Unable(Failed):
    """The measured system has no such figure, or cannot do it; the text says why."""


class TooLong(Failed):
    """A worker did not answer in time."""


class TooLarge(Failed):
    """A worker took more memory than allowed."""


class Answer(dict):
    """What a worker answered, and in `peak` the most memory it had resident, in bytes."""

    peak = 0


def environment():
    """This process's environment without Python's own variables, and with hashing made repeatable."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return {**kept, "PYTHONHASHSEED": "0"}


def resident(pid):
    """Return the bytes of resident memory of a process, 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm") as statm:
            return int(statm.read().split()[1]) * PAGE
    except (OSError, IndexError):
        return 0


def watch(process, timeout, memory):
    """Wait for a process to end; kill it where it exceeds one of the limits. Return its peak memory."""
    end = time.monotonic() + timeout
    pause = 0.001
    try:
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                return usage.ru_maxrss * 1024
            if time.monotonic() > end:
                raise TooLong(f"no answer within {timeout:g} s")
            if memory and resident(process.pid) > memory:
                raise TooLarge(f"more than {memory / 1e9:.1f} GB")
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
    except BaseException:
        process.kill()
        process.wait()
        raise


def run_command(command, timeout=TIMEOUT, memory=None):
    """Run a command that answers as worker.py does, within limits, and return its answer."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        try:
            process = subprocess.Popen(command, env=environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        except OSError as error:
            raise Failed(f"{command[0]}: {error.strerror}") from None
        try:
            peak = watch(process, timeout, memory)
            return read_answer(process.returncode, out, err, peak)
        except Failed as error:
            error.depth = read_depth(out)
            raise


def read_answer(status, out, err, peak):
    """Make an Answer of what a worker that has ended with `status` wrote, or raise what fits."""
    out.seek(0, os.SEEK_END)
    out.seek(max(out.tell() - 4096, 0))
    err.seek(0)
    said = err.read(1 << 16).strip().splitlines() or ["no message"]
    if status in (ABSENT, UNABLE):
        raise (Absent if status == ABSENT else Unable)(said[-1])
    if status < 0:
        raise Failed(name_signal(-status))
    if status > 0:
        # A fatal error of Go begins with its name and goes on with the stacks.
        line = next((line for line in said if line.startswith("fatal error: ")), said[-1])
        raise Failed(f"exit status {status}: {line[:160]}")
    text = out.read()
    try:
        answer = Answer(ast.literal_eval(text.strip().splitlines()[-1]))
    except (IndexError, SyntaxError, ValueError, TypeError):
        raise Failed(f"no answer, but {text[-80:]!r}") from None
    if answer.get("value", 0) is None:
        raise Failed(answer.get("note", "no value"))
    answer.peak = peak
    return answer


def name_signal(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def read_depth(out):
    """Return the last depth that a worker said, or None."""
    out.seek(0, os.SEEK_END)
    out.seek(max(out.tell() - 4096, 0))
    depths = re.findall(r"^depth (\d+)$", out.read(), re.MULTILINE)
    return int(depths[-1]) if depths else None


def worker_command(python, *arguments):
    """The command that runs worker.py with `arguments` on the interpreter `python`."""
    return [python, "-s", "-P", "-B", WORKER, *map(str, arguments)]


def run_worker(python, *arguments, prefix=(), timeout=TIMEOUT):
    """Run worker.py with `arguments` on the interpreter `python` and return its answer."""
    return run_command([*prefix, *worker_command(python, *arguments)], timeout)


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
