"""Benchmarks of Stackless Python, side by side with the interpreter it stands on and with its peers.

    python Tools/bench/run.py --ours build/python --base /usr/bin/python3.11 [options]

`make bench` calls it so. Two tables come out of one run:

1.  Pure-Python kernels, one concept or one small program each (kernels/), as the ratio of our CPU time
    to the base's: below 1 is faster. Each repetition is a fresh process per interpreter, base and ours
    in turn, so that the noise of the machine hits both; each process warms up and takes several passes.
    The figure of an interpreter is its fastest pass of all. The column `noise` says by how much the
    second best process was slower than the best: a difference smaller than that says nothing. Where
    it exceeds 2 %, repetitions are added, up to three times as many. Both interpreters must return the
    same checksum.

2.  Switching figures (figures/): round trip, channel ping-pong, create-run-finish, ring, sieve, and
    the resident bytes of one that waits, on our interpreter, and where they are installed on greenlet,
    generators and asyncio, on the base. Beside each figure stands how many calls of an empty
    function on the base it costs, measured in the same run, since machines differ; the project's
    targets are meant for a machine where that call takes 35 ns, and are converted to this one.

Options:

    --kernels a,b      only these kernels, and no switching figures; --list names them all
    --only PART        `kernels` or `switching`
    --repeat N         processes per kernel and interpreter (5)
    --quick            fewer and shorter repetitions, no million tasklets: two minutes and not five
    --instructions     count instructions under valgrind instead of time. They do not depend on
                       what else the machine does: the same files give the same counts, so this is the
                       measure for small improvements. They are not time: check with time at last
    --json FILE        write all that was measured to FILE
    --list             name the kernels and the switching figures, and what each is about

To find out *why* a kernel is slow, profile_kernel.py shows the instructions by function and the
specialised instructions the kernel's code has become. The noise of a machine shows when the base is
measured against itself: --ours and --base the same.

Each kernel's passes last about 50 ms; a change of a kernel invalidates older figures. The exit status
is 1 if anything failed, whatever the ratios: speed is judged by people.
"""

import argparse
import json
import math
import os
import platform
import sys

import catalogue
from measure import Absent, Failed, count_instructions, run_worker

HERE = os.path.dirname(os.path.abspath(__file__))
PASSES = 5

# Above this noise a kernel gets more repetitions, up to this many times the wanted number.
NOISY = 0.02
PATIENCE = 3


def progress(text):
    """Show what is being measured, where someone watches."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values else float("nan")


class Series:
    """The passes of one kernel on one interpreter, over all processes."""

    def __init__(self):
        self.minima = []
        self.checksum = None

    def add(self, answer):
        self.minima.append(min(answer["seconds"]))
        self.checksum = answer["checksum"]

    @property
    def best(self):
        return min(self.minima)

    @property
    def noise(self):
        """By how much the second best process was slower than the best."""
        best, second = sorted(self.minima)[:2] if len(self.minima) > 1 else (1.0, 1.0)
        return second / best - 1


def time_kernel(kernel, options):
    """Measure one kernel on both interpreters in turn; return its row."""
    loops = max(kernel.loops // (2 if options.quick else 1), 1)
    base, ours = Series(), Series()
    for repetition in range(options.repeat * PATIENCE):
        if repetition >= options.repeat and max(base.noise, ours.noise) <= NOISY:
            break
        turns = [(options.base, base), (options.ours, ours)]
        for python, series in turns[:: -1 if repetition % 2 else 1]:
            series.add(run_worker(python, "time", kernel.path, loops, PASSES))
    if base.checksum != ours.checksum:
        raise Failed(f"wrong result: {ours.checksum} and not {base.checksum}")
    scale = 1000 / loops
    return {
        "base": base.best * scale,
        "ours": ours.best * scale,
        "ratio": ours.best / base.best,
        "noise": max(base.noise, ours.noise),
    }


def count_kernel(kernel, options):
    """Count the instructions of one turn of a kernel on both interpreters; return its row, in thousands."""
    loops = max(kernel.loops // 40, 2)
    base, ours = (
        sum(count_instructions(python, "work", kernel.path, count=loops).values()) / 1e3
        for python in (options.base, options.ours)
    )
    return {"base": base, "ours": ours, "ratio": ours / base}


def run_kernels(options):
    """Measure and print the kernels; return their rows by name."""
    unit = "kinstr" if options.instructions else "ms"
    print(f"Pure Python, per turn in {unit}; ratio below 1: ours is faster")
    noise = "" if options.instructions else f"{'noise':>8}"
    print(f"  {'kernel':16}{'base':>12}{'ours':>12}{'ratio':>8}{noise}")
    rows = {}
    for number, kernel in enumerate(options.kernels, 1):
        progress(f"kernel {number} of {len(options.kernels)}: {kernel.name}")
        try:
            row = (count_kernel if options.instructions else time_kernel)(kernel, options)
        except Failed as error:
            row = {"failed": str(error)}
        rows[kernel.name] = row
        progress("")
        if "failed" in row:
            print(f"  {kernel.name:16}  FAILED: {row['failed']}", flush=True)
        else:
            noise = f"{row['noise']:>8.1%}" if "noise" in row else ""
            times = f"{row['base']:>12.4f}{row['ours']:>12.4f}"
            print(f"  {kernel.name:16}{times}{row['ratio']:>8.3f}{noise}", flush=True)
    print_means(rows, options.kernels)
    return rows


def print_means(rows, chosen):
    """Print the geometric mean of the concepts, of the programs, and of all."""
    programs = {kernel.name for kernel in chosen if kernel.module == "programs"}
    ratios = {name: row["ratio"] for name, row in rows.items() if "ratio" in row}
    groups = {
        "concepts": [ratio for name, ratio in ratios.items() if name not in programs],
        "programs": [ratio for name, ratio in ratios.items() if name in programs],
        "all": list(ratios.values()),
    }
    for name, values in groups.items():
        if values:
            print(f"  geometric mean, {name:9}{f'of {len(values)}':>15}{geometric_mean(values):>8.3f}")
    print()


def measure_call(options):
    """Return the nanoseconds of a call of an empty function on the base."""
    count = 1_000_000
    return run_worker(options.base, "figure", "calls", "call", count)["value"] * 1e9 / count


def switching_value(figure, peer, options):
    """Measure one figure on one system once; return it in the figure's unit."""
    count = figure.count
    if figure.name != "sieve":
        count = max(count // peer.divisor // (4 if options.quick else 1) // 1000, 1) * 1000
    python = options.base if peer.on_base else options.ours
    seconds = run_worker(python, "figure", peer.name, figure.name, count)["value"]
    return seconds / count * {"ns": 1e9, "us": 1e6}[figure.unit]


def blocked_value(count, peer, options):
    python = options.base if peer.on_base else options.ours
    return run_worker(python, "figure", peer.name, "blocked", count)["value"] / count


def cell(value, call, unit):
    """One figure as text: the value, and for a time in ns what it is in calls of an empty function."""
    if not isinstance(value, float):
        return f"{value:>11}{'':7}"
    return f"{value:>11,.1f}" + (f"{value / call:>7.2f}" if unit == "ns" else f"{'':7}")


def run_switching(options):
    """Measure and print the switching figures; return them by figure and system."""
    repeat = max(options.repeat, 3)
    table = {figure.name: {} for figure in catalogue.FIGURES}
    calls = []
    failures = {}
    for _ in range(repeat):
        progress("call of an empty function")
        calls.append(measure_call(options))
        for figure in catalogue.FIGURES:
            for peer in catalogue.PEERS:
                if isinstance(table[figure.name].get(peer.name, 0.0), str):
                    continue
                progress(f"{figure.name} on {peer.name}")
                try:
                    value = switching_value(figure, peer, options)
                    table[figure.name][peer.name] = min(value, table[figure.name].get(peer.name, value))
                except Absent:
                    table[figure.name][peer.name] = "-"
                except Failed as error:
                    table[figure.name][peer.name] = "FAILED"
                    failures[f"{figure.name} on {peer.name}"] = str(error)
    call = min(calls)
    table.update(measure_blocked(options, failures))
    progress("")
    print_switching(table, call)
    for what, why in failures.items():
        print(f"  FAILED: {what}: {why}")
    print()
    return {"call": call, "figures": table, "failures": failures}


def measure_blocked(options, failures):
    """Measure the bytes of one that waits among 100,000, and among 1,000,000 where memory allows it."""
    table = {}
    counts = [catalogue.BLOCKED.count] + [catalogue.BLOCKED_MANY] * (not options.quick)
    for count in counts:
        row = table[f"blocked {count:,}"] = {}
        for peer in catalogue.PEERS:
            progress(f"{count:,} blocked on {peer.name}")
            fewer = table.get(f"blocked {catalogue.BLOCKED.count:,}", {}).get(peer.name)
            if isinstance(fewer, str) or fewer and fewer * count > options.memory:
                row[peer.name] = fewer if isinstance(fewer, str) else "not tried"
                continue
            try:
                row[peer.name] = blocked_value(count, peer, options)
            except Absent:
                row[peer.name] = "-"
            except Failed as error:
                row[peer.name] = "FAILED"
                failures[f"{count:,} blocked on {peer.name}"] = str(error)
    return table


def print_switching(table, call):
    """Print the switching figures with their targets."""
    print(f"Switching; beside each time: in calls of an empty function, {call:.1f} ns on the base here")
    names = [peer.name for peer in catalogue.PEERS]
    heads = "".join(f"{name:>11}{'':7}" for name in names)
    print(f"  {'':18}{'unit':6}{'target':>7}{'here':>6}{heads}".rstrip())
    units = {figure.name: figure for figure in (*catalogue.FIGURES, catalogue.BLOCKED)}
    for name, row in table.items():
        figure = units[name.split()[0]]
        target = here = ""
        if figure.target:
            target = f"{figure.target:.0f}"
            here = f"{figure.target * call / catalogue.REFERENCE_CALL:.0f}" if figure.unit == "ns" else target
        cells = "".join(cell(row[peer], call, figure.unit) for peer in names)
        print(f"  {name.replace('_', ' '):18}{figure.unit:6}{target:>7}{here:>6}{cells}".rstrip())


def count_switching(options):
    """Count the instructions of each switching figure on our interpreter; return them by name."""
    print("Switching on ours, in instructions an operation")
    table = {}
    failures = {}
    for figure in catalogue.FIGURES:
        if figure.name == "sieve":
            continue
        progress(f"{figure.name}")
        try:
            counts = count_instructions(options.ours, "figure", "stackless", figure.name, count=20_000)
            table[figure.name] = sum(counts.values())
            text = f"{table[figure.name]:>10.0f}"
        except Absent:
            table[figure.name] = text = "  -"
        except Failed as error:
            table[figure.name] = text = f"  FAILED: {error}"
            failures[figure.name] = str(error)
        progress("")
        print(f"  {figure.name.replace('_', ' '):18}{text}", flush=True)
    print()
    return {"figures": table, "failures": failures}


def print_catalogue():
    for kernel in catalogue.KERNELS:
        print(f"  {kernel.name:16}{kernel.about}")
    for figure in (*catalogue.FIGURES, catalogue.BLOCKED):
        print(f"  {figure.name:16}(switching) {figure.about}")


def default_ours():
    """The interpreter of the usual build directory, if it has been built."""
    path = os.path.normpath(os.path.join(HERE, "..", "..", "build", "python"))
    return path if os.path.exists(path) else None


def parse(arguments):
    """Read the command line; --kernels becomes a list of catalogue rows."""
    parser = argparse.ArgumentParser(description="Benchmarks side by side with the base and with peers.")
    parser.add_argument("--ours", "--python", default=default_ours(), help="our interpreter (build/python)")
    parser.add_argument("--base", default=sys.executable, help="the base interpreter (this one)")
    parser.add_argument("--kernels", metavar="A,B", help="only these kernels, no switching figures")
    parser.add_argument("--only", choices=("kernels", "switching"), help="only one of the two tables")
    parser.add_argument("--repeat", type=int, metavar="N", help="processes per kernel and interpreter (5)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions")
    parser.add_argument("--instructions", action="store_true", help="count instructions under valgrind")
    parser.add_argument("--memory", type=float, default=2e9, metavar="BYTES",
                        help="leave out a figure that would need more (2e9)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured to FILE")
    parser.add_argument("--list", action="store_true", help="name kernels and figures, and end")
    options = parser.parse_args(arguments)
    if options.ours is None and not options.list:
        parser.error("build/python does not exist: build it, or name an interpreter with --ours")
    if options.repeat is None:
        options.repeat = 3 if options.quick else 5
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    wanted = options.kernels.split(",") if options.kernels else list(catalogue.KERNEL)
    if unknown := [name for name in wanted if name not in catalogue.KERNEL]:
        parser.error(f"no kernel named {', '.join(unknown)}; --list names them")
    if options.kernels:
        options.only = "kernels"
    options.kernels = [catalogue.KERNEL[name] for name in wanted]
    return options


def main(arguments):
    options = parse(arguments)
    if options.list:
        print_catalogue()
        return 0
    result = {"machine": platform.platform(), "instructions": options.instructions}
    for name in ("base", "ours"):
        path = getattr(options, name)
        try:
            version = run_worker(path, "version")["version"]
        except Failed as error:
            print(f"{name}: {path}: {error}", file=sys.stderr)
            return 2
        result[name] = {"path": path, "version": version}
        print(f"{name}: {path}: {version}")
    print()
    failed = False
    if options.only != "switching":
        result["kernels"] = run_kernels(options)
        failed = any("failed" in row for row in result["kernels"].values())
    if options.only != "kernels":
        result["switching"] = (count_switching if options.instructions else run_switching)(options)
        failed = failed or bool(result["switching"]["failures"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
