"""Benchmarks of Stackless Python, side by side with the interpreter it stands on and with its peers.

    python Tools/bench/run.py --ours build/python --base /usr/bin/python3.11 [options]

`make bench` calls it so. Three tables come out of one run:

1.  Pure-Python kernels, one concept or one small program each (kernels/), as the ratio of our CPU time
    to the base's: below 1 is faster. Each repetition is a fresh process per interpreter, base and ours
    in turn, so that the noise of the machine hits both; each process warms up and takes several passes.
    The figure of an interpreter is its fastest pass of all. The column `noise` says by how much the
    second best process was slower than the best: a difference smaller than that says nothing. Where
    it exceeds 2 %, repetitions are added, up to three times as many. Both interpreters must return the
    same checksum.

2.  Switching figures (peers/, compare.py): round trips, channel ping-pong, create-run-finish, ring,
    sieve, skynet, the resident bytes of one that waits, and the depth of recursion, on our interpreter and
    on its peers: Go on one processor, LuaJIT, and on the base greenlet, gevent, asyncio and generators.
    The peers take turns within each round. Beside each figure stands its ratio to ours. The
    project's targets are meant for a machine where a call of an empty function takes 35 ns on the
    base, and are converted to this one. Times are CPU times.

3.  Pickling figures (images.py): the time of a dump and of a load, and the bytes, of tasklets and
    channels, beside plain data with the same contents and what historic Stackless 3.7 took.

Options:

    --kernels a,b      only these kernels, and no switching figures; --list names them all
    --peers [a,b]      only the switching figures, on these peers (all)
    --figures a,b      only these switching figures
    --images [a,b]     only these pickling figures (all); with --peers or --figures both tables
    --only PART        `kernels`, `switching` or `images`
    --repeat N         processes per kernel and interpreter (5)
    --rounds N         rounds over all peers and pickling figures (5; the slowest figures get two at most)
    --memory BYTES     the memory that one process may take (8e9, or what is free)
    --timeout S        the seconds that one figure may take on one peer (180)
    --quick            fewer and shorter repetitions, no million tasklets: two minutes for either table
    --instructions     count instructions under valgrind instead of time. They do not depend on
                       what else the machine does: the same files give the same counts, so this is the
                       measure for small improvements. They are not time: check with time at last
    --json FILE        write all that was measured to FILE
    --list             name the kernels, the switching and the pickling figures, and what each is about

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
import images
from compare import compare, has_failed, print_comparison
from measure import Absent, Failed, Unable, count_instructions, run_worker

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


def run_switching(options):
    """Measure and print the switching figures on all peers; return the result."""
    result = compare(options, progress)
    print_comparison(result, options)
    return result


def run_images(options):
    """Measure and print the pickling figures; return their rows by name."""
    rows = images.measure_images(options, progress)
    images.print_images(rows, options)
    return rows


# The figures that can be counted: the rest is the same work at another size, or no work.
COUNTED = ("round_trip", "round_trip_deep", "round_trip_c", "ping_pong", "create", "create_many", "ring")


def count_switching(options):
    """Count the instructions of each switching figure on our interpreter; return them by name."""
    print("Switching on ours, in instructions an operation")
    table = {}
    failures = {}
    for figure in options.figures:
        if figure.name not in COUNTED:
            continue
        progress(f"{figure.name}")
        try:
            counts = count_instructions(options.ours, "figure", "stackless", figure.work, count=20_000)
            table[figure.name] = sum(counts.values())
            text = f"{table[figure.name]:>10.0f}"
        except (Absent, Unable) as error:
            table[figure.name] = "-"
            text = f"{'n/a':>10}  {error}"
        except Failed as error:
            table[figure.name] = text = f"  FAILED: {error}"
            failures[figure.name] = str(error)
        progress("")
        print(f"  {figure.name:18}{text}", flush=True)
    print()
    return {"figures": table, "failures": failures}


def print_catalogue():
    for kernel in catalogue.KERNELS:
        print(f"  {kernel.name:16}{kernel.about}")
    for figure in catalogue.FIGURES:
        print(f"  {figure.name:16}(switching) {figure.about}")
    for image in catalogue.IMAGES:
        print(f"  {image.name:16}(pickling) {image.about}")
    for peer in catalogue.PEERS:
        print(f"  {peer.name:16}(peer) {peer.title}{peer.package and f', Debian package {peer.package}'}")


def default_ours():
    """The interpreter of the usual build directory, if it has been built."""
    path = os.path.normpath(os.path.join(HERE, "..", "..", "build", "python"))
    return path if os.path.exists(path) else None


def parse(arguments):
    """Read the command line; what is chosen becomes lists of catalogue rows."""
    parser = argparse.ArgumentParser(description="Benchmarks side by side with the base and with peers.")
    parser.add_argument("--ours", "--python", default=default_ours(), help="our interpreter (build/python)")
    parser.add_argument("--base", default=sys.executable, help="the base interpreter (this one)")
    parser.add_argument("--kernels", metavar="A,B", help="only these kernels, no switching figures")
    parser.add_argument("--only", choices=("kernels", "switching", "images"), help="only one of the tables")
    parser.add_argument("--repeat", type=int, metavar="N", help="processes per kernel and interpreter (5)")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter repetitions")
    parser.add_argument("--instructions", action="store_true", help="count instructions under valgrind")
    parser.add_argument("--peers", nargs="?", const="", metavar="A,B", help="only switching, on these peers (all)")
    parser.add_argument("--figures", metavar="A,B", help="only these switching figures")
    parser.add_argument("--images", nargs="?", const="", metavar="A,B", help="only these pickling figures (all)")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds over the peers (5)")
    parser.add_argument("--memory", type=float, metavar="BYTES", help="memory of one process (8e9, or what is free)")
    parser.add_argument("--timeout", type=float, default=180, metavar="S", help="seconds for one figure (180)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured to FILE")
    parser.add_argument("--list", action="store_true", help="name kernels and figures, and end")
    options = parser.parse_args(arguments)
    if options.ours is None and not options.list:
        parser.error("build/python does not exist: build it, or name an interpreter with --ours")
    if options.repeat is None:
        options.repeat = 3 if options.quick else 5
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    if options.rounds is None:
        options.rounds = 1 if options.quick else 5
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if options.memory is None:
        options.memory = min(8e9, 0.8 * available_memory())
    options.tables = chosen_tables(options)
    options.images = choose(parser, "pickling figure", options.images, catalogue.IMAGE)
    options.kernels = choose(parser, "kernel", options.kernels, catalogue.KERNEL)
    options.peers = choose(parser, "peer", options.peers, catalogue.PEER)
    figures = choose(parser, "figure", options.figures, catalogue.FIGURE)
    quick = options.quick and not options.figures
    options.figures = [figure for figure in figures if figure.quick or not quick]
    return options


def chosen_tables(options):
    """The names of the tables that are wanted; without an option that says so, all of them."""
    if options.only:
        return {options.only}
    chosen = {
        "kernels": bool(options.kernels),
        "switching": options.peers is not None or bool(options.figures),
        "images": options.images is not None,
    }
    return {name for name, wanted in chosen.items() if wanted} or set(chosen)


def choose(parser, what, names, rows):
    """Turn a list of names on the command line into rows of the catalogue; none means all."""
    wanted = names.split(",") if names else list(rows)
    if unknown := [name for name in wanted if name not in rows]:
        parser.error(f"no {what} named {', '.join(unknown)}; --list names them")
    return [row for name, row in rows.items() if name in wanted]


def available_memory():
    """Return the bytes of memory that are free for new processes."""
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


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
    if "kernels" in options.tables:
        result["kernels"] = run_kernels(options)
        failed = any("failed" in row for row in result["kernels"].values())
    if "switching" in options.tables:
        if options.instructions:
            result["switching"] = count_switching(options)
            failed = failed or bool(result["switching"]["failures"])
        else:
            result["switching"] = run_switching(options)
            failed = failed or has_failed(result["switching"])
    if "images" in options.tables and not options.instructions:
        result["images"] = run_images(options)
        failed = failed or images.has_failed(result["images"])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(result, file, indent=1)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
