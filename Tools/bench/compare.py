"""Compare the switching figures of ours with those of the peers, interleaved in one run.

In each round every figure is measured on every peer, one after the other, each in a fresh process, so that
what else the machine does hits all alike. The best round counts. A peer that is not installed, that has
no such figure, that crashes, takes too long or too much memory leaves a cell that says so; the others go on.

    cell      what it holds
    value     the best of the rounds, in the figure's unit
    worst     the worst of the rounds
    peak      resident memory of the process at most, in bytes
    note      what ended a recursion, "" if nothing did
    missing   instead of a value: one of the kinds in MISSING
    why       the words for it
"""

import os
import shutil
import subprocess
import tempfile

import catalogue
from measure import Absent, Failed, TooLarge, TooLong, Unable, run_command, run_worker
from measure import worker_command

HERE = os.path.dirname(os.path.abspath(__file__))

MISSING = {
    "not installed": "the peer is not installed",
    "none": "the peer has no such figure, or cannot do it",
    "memory": "it would take more memory than allowed",
    "time": "it takes longer than allowed",
    "failed": "the process ended badly",
}

# How many rounds a slow figure gets at most, and above how many seconds a peer's turn counts as slow.
SLOW_ROUNDS = 2


class Peers:
    """The chosen peers, and how to start each; Go's program is built on first use, in a folder of ours."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.go = None

    def command(self, peer, *arguments):
        """Return the command that makes `peer` do `arguments`; raise Absent if it is not installed."""
        words = [str(word) for word in arguments]
        if peer.runs_on == "go":
            return [self.build_go(), *words]
        if peer.runs_on == "luajit":
            return [self.find("luajit", peer), os.path.join(HERE, "peers", "luajit", "figures.lua"), *words]
        python = self.options.ours if peer.runs_on == "ours" else self.options.base
        return worker_command(python, "figure", peer.name, *words)

    @staticmethod
    def find(program, peer):
        path = shutil.which(program)
        if path is None:
            raise Absent(f"there is no {program}: install the Debian package {peer.package}")
        return path

    def build_go(self):
        if self.go is None:
            compiler = self.find("go", catalogue.PEER["go"])
            path = os.path.join(self.folder, "figures")
            source = os.path.join(HERE, "peers", "go", "figures.go")
            environment = {"GOCACHE": os.path.join(self.folder, "cache"), "GOTOOLCHAIN": "local", **os.environ}
            done = subprocess.run([compiler, "build", "-o", path, source], env=environment, capture_output=True,
                                  text=True, timeout=300)
            if done.returncode != 0:
                raise Failed(f"go build: {done.stderr.strip()[:160]}")
            self.go = path
        return self.go

    def version(self, peer):
        """Return a short text that names the peer's version; raise Absent if it is not installed."""
        if peer.runs_on in ("go", "luajit"):
            return run_command(self.command(peer, "version"), 60)["version"]
        python = self.options.ours if peer.runs_on == "ours" else self.options.base
        try:
            return run_worker(python, "peer_version", peer.name)["version"]
        except Absent:
            raise Absent(f"there is no {peer.name}: install the Debian package {peer.package}") from None


def measure_call(options):
    """Return the nanoseconds of a call of an empty function on the base."""
    count = 1_000_000
    return run_worker(options.base, "figure", "calls", "call", count)["value"] * 1e9 / count


def count_for(figure, peer, options):
    """How many operations one turn performs."""
    if figure.unit == "ns":
        return max(figure.count // peer.divisor // (4 if options.quick else 1) // 1000, 1) * 1000
    if figure.unit == "levels" and options.quick:
        return figure.count // 10
    return figure.count


def convert(value, figure, count):
    """Convert what a worker measured into the figure's unit."""
    if figure.unit == "ns":
        return value / count * 1e9
    if figure.unit == "bytes":
        return value / count
    return value * {"ms": 1e3, "s": 1, "levels": 1}[figure.unit]


def measure_cell(figure, peer, peers, options):
    """Measure one figure on one peer once; return a cell."""
    count = count_for(figure, peer, options)
    try:
        command = peers.command(peer, figure.work, count)
        answer = run_command(command, options.timeout, options.memory)
    except Failed as error:
        if figure.unit == "levels" and error.depth:
            return {"value": error.depth, "worst": error.depth, "peak": 0, "note": str(error)}
        return missing(error)
    value = convert(answer["value"], figure, count)
    return {"value": value, "worst": value, "peak": answer.peak, "note": answer.get("note", "")}


def missing(error):
    """Make a cell of what went wrong."""
    kinds = {Absent: "not installed", Unable: "none", TooLarge: "memory", TooLong: "time"}
    return {"missing": kinds.get(type(error), "failed"), "why": str(error)}


def foresee(figure, peer, table, options):
    """Return a cell without a value where a smaller figure of the same work shows that it would not fit."""
    for smaller in catalogue.FIGURES:
        if smaller.work != figure.work or smaller.count >= figure.count or figure.unit not in ("s", "bytes"):
            continue
        cell = table.get(smaller.name, {}).get(peer.name)
        if cell is None:
            continue
        if "missing" in cell:
            return dict(cell)
        if cell["peak"] * figure.count / smaller.count > options.memory:
            return {"missing": "memory", "why": f"more than {options.memory / 1e9:.1f} GB"}
    return None


def better(old, new, figure):
    """Combine the cells of two rounds: the best value, and the worst beside it."""
    if old is None or "missing" in new:
        return new
    best, worst = (max, min) if figure.unit == "levels" else (min, max)
    chosen = new if best(old["value"], new["value"]) == new["value"] else old
    return {**chosen, "worst": worst(old["worst"], new["worst"]), "peak": max(old["peak"], new["peak"])}


def compare(options, progress):
    """Measure the chosen figures on the chosen peers; return the result, as it goes into the JSON file."""
    table = {figure.name: {} for figure in options.figures}
    versions = {}
    calls = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        peers = Peers(options, folder)
        present = []
        for peer in options.peers:
            progress(f"looking for {peer.name}")
            try:
                versions[peer.name] = peers.version(peer)
                present.append(peer)
            except Failed as error:
                for row in table.values():
                    row[peer.name] = missing(error)
        for number in range(options.rounds):
            progress("call of an empty function")
            calls.append(measure_call(options))
            for figure in options.figures:
                if number >= (SLOW_ROUNDS if figure.slow or figure.unit == "levels" else options.rounds):
                    continue
                for peer in present[:: -1 if number % 2 else 1]:
                    progress(f"round {number + 1} of {options.rounds}: {figure.name} on {peer.name}")
                    row = table[figure.name]
                    if "missing" in row.get(peer.name, {}):
                        continue
                    cell = foresee(figure, peer, table, options) or measure_cell(figure, peer, peers, options)
                    row[peer.name] = better(row.get(peer.name), cell, figure)
    progress("")
    return {
        "call": min(calls),
        "rounds": options.rounds,
        "quick": options.quick,
        "memory": options.memory,
        "machine": describe_machine(),
        "versions": versions,
        "figures": table,
    }


def describe_machine():
    """Say what the figures were measured on, in neutral words."""
    model = ""
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    system = os.uname()
    return {
        "cpu": model or system.machine,
        "architecture": system.machine,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": f"{system.sysname} {'.'.join(system.release.split('.')[:2])}",
        "memory": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30),
    }


def number(value, unit):
    """A value as text, as exact as makes sense."""
    if unit == "levels":
        return f"{value:,.0f}"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}" if value >= 10 else f"{value:,.2f}"


def ratio(row, peer, figure):
    """How many times the peer needs of what ours needs, or None; below 1 the peer is ahead."""
    ours, theirs = row.get("stackless", {}), row.get(peer, {})
    if figure.unit == "levels" or not ours.get("value", 0) > 0 or not theirs.get("value", 0) > 0:
        return None
    return theirs["value"] / ours["value"]


def short(cell, figure):
    """The value of a cell, or the word for that there is none."""
    if not cell:
        return "-"
    if "missing" in cell:
        return {"not installed": "absent", "none": "n/a", "failed": "FAILED"}.get(cell["missing"]) or (
            f"> {cell['why'].split('than ')[-1]}" if cell["missing"] == "memory" else
            f"> {cell['why'].split('within ')[-1]}")
    mark = ">= " if figure.unit == "levels" and not cell["note"] else ""
    return mark + number(cell["value"], figure.unit)


def print_comparison(result, options):
    """Print the figures with their targets, ours first, and beside each peer's figure its ratio to ours."""
    call = result["call"]
    print(f"Switching; beside each peer's figure what it is in ours (above 1: ours is ahead). "
          f"A call of an empty function takes {call:.1f} ns on the base here")
    heads = "".join(f"{peer.name:>12}{'':7}" for peer in options.peers)
    print(f"  {'':18}{'unit':7}{'target':>7}{'here':>6}{heads}".rstrip())
    for figure in options.figures:
        row = result["figures"][figure.name]
        target = here = ""
        if figure.target:
            target = f"{figure.target:g}"
            scale = 1 if figure.unit == "bytes" else call / catalogue.REFERENCE_CALL
            here = number(figure.target * scale, figure.unit) if figure.unit == "s" else f"{figure.target * scale:.0f}"
        cells = ""
        for peer in options.peers:
            factor = ratio(row, peer.name, figure) if peer.name != "stackless" else None
            beside = "" if factor is None else f"x{factor:.2f}" if factor < 100 else f"x{factor:.0f}"
            cells += f"{short(row.get(peer.name), figure):>12}{beside:>7}"
        print(f"  {figure.name:18}{figure.unit:7}{target:>7}{here:>6}{cells}".rstrip())
    for line in remarks(result, options):
        print(f"  {line}")
    print()


def remarks(result, options):
    """Yield what is to be said about cells: why one is missing, and what ended a recursion."""
    said = set()
    for figure in options.figures:
        for peer in options.peers:
            cell = result["figures"][figure.name].get(peer.name, {})
            if cell.get("missing") == "not installed":
                line = f"{peer.name}: {cell['why']}"
            elif "missing" in cell and not cell["why"].startswith("no such figure"):
                line = f"{figure.name} on {peer.name}: {cell['why']}"
            elif cell.get("note"):
                line = f"{figure.name} on {peer.name}: ended by {cell['note']}"
            else:
                continue
            if line not in said:
                said.add(line)
                yield line


def has_failed(result):
    """Whether ours failed, or a peer ended badly in what it should be able to do."""
    cells = (cell for row in result["figures"].values() for cell in row.values())
    return any(cell.get("missing") == "failed" for cell in cells)
