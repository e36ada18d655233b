"""Fuzz the loader of images: change images, load them, run what comes out; the interpreter must not die.

    fuzz.py --python PYTHON [--seconds S | --count N] [--seed FIRST] [--jobs N] [--keep FOLDER]

Each worker takes a range of seeds.  A seed whose case kills it is reported, what it said kept in FOLDER, and another
worker goes on behind it.  Code of an image may run for ever when it is told to end, or until it has used the memory
up: that is no fault.
`worker.py --keep SEED FILE` writes the case of a seed, `worker.py --case FILE` runs one.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
BATCH = 400

# What the base says, and ends the process, when it needs memory to say that there is none.
OUT_OF_MEMORY = "Cannot recover from MemoryErrors"


def is_endless(said):
    """Was the worker ended because the code of an image went on and on?"""
    return said.startswith("SIGALRM") or OUT_OF_MEMORY in said


def start(python, *arguments, **options):
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONFAULTHANDLER": "1"}
    command = [python, "-W", "ignore", "-X", "faulthandler", str(HERE / "worker.py"), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **options)


def run_batch(python, first, count):
    """Run seeds; (done, seed that killed the worker or None, what it said)."""
    read, write = os.pipe()

    def set_descriptor():
        os.dup2(write, 3)

    worker = start(python, first, count, preexec_fn=set_descriptor, pass_fds=(3, write),
                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(write)
    said = []
    with ThreadPoolExecutor(1) as pool:
        errors = pool.submit(worker.stderr.read)
        with os.fdopen(read) as lines:
            said = lines.read().split("\n")
        status = worker.wait()
        text = errors.result().decode(errors="replace")
    said = [line for line in said if line]
    if said and said[-1] == "done" and status == 0:
        return count, None, ""
    seeds = [int(line) for line in said if line.isdigit()]
    if not seeds:
        raise SystemExit(f"the worker could not begin:\n{text}")
    name = signal.Signals(-status).name if status < 0 else f"status {status}"
    return seeds[-1] - first, seeds[-1], f"{name}\n{text}"


def main():
    parser = argparse.ArgumentParser(description="fuzz the loader of images")
    parser.add_argument("--python", default="./python")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=pathlib.Path, default=pathlib.Path("fuzz"))
    options = parser.parse_args()
    end = None if options.seconds is None else time.monotonic() + options.seconds
    todo = options.count if options.seconds is None else 10**12
    if todo is None:
        parser.error("say --seconds or --count")

    def work(job):
        """A job takes every jobs-th stretch of seeds."""
        done = faults = endless = 0
        seed = options.seed + job * 10**9
        left = todo // options.jobs + (job < todo % options.jobs)
        while left > 0 and (end is None or time.monotonic() < end):
            ran, killer, said = run_batch(options.python, seed, min(BATCH, left))
            if killer is not None:
                ran += 1
            if killer is not None and is_endless(said):
                endless += 1
            elif killer is not None:
                faults += 1
                options.keep.mkdir(exist_ok=True)
                (options.keep / f"seed-{killer}.txt").write_text(said)
                print(f"fuzz: seed {killer}: {said.splitlines()[0]}: {options.keep}/seed-{killer}.txt", flush=True)
            done += ran
            left -= ran
            seed += ran
        return done, faults, endless

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(work, range(options.jobs)))
    done, faults, endless = (sum(column) for column in zip(*results))
    print(f"fuzz: {done} images, {faults} faults" + (f", {endless} that ran without end" if endless else ""))
    sys.exit(faults != 0)


if __name__ == "__main__":
    main()
