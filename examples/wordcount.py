"""Count the words of the whole standard library with a hundred thousand tasklets.

    reader ──lines──> 100,000 workers ──words──> collector

The reader goes through every .py file and sends it line by line.  Each worker waits for a line, picks
the words out of it and sends them on.  The collector adds them up.  All workers exist at the same
time, each with its own stack of Python frames, and nobody but the channels tells them apart: a line
goes to the worker who has waited longest.

At the end a plain loop counts the same words again and the two results are compared.  The program
prints how many tasklets there were, how often they switched per second, and how much memory one of
them takes.

    python examples/wordcount.py --tasklets 100000
"""

import argparse
import os
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stackless import channel, getruncount, run, tasklet

NOT_OURS = {"site-packages", "dist-packages", "__pycache__"}
find_words = re.compile(r"[^\W\d]\w*").findall


def library_files(top: Path) -> Iterator[Path]:
    """Every .py file of the standard library under `top`, in a fixed order."""
    for folder, subfolders, names in os.walk(top):
        subfolders[:] = sorted(set(subfolders) - NOT_OURS)
        for name in sorted(names):
            if name.endswith(".py"):
                yield Path(folder, name)


def lines_of(path: Path) -> list[str]:
    """The lines of a file; a few files of the library are in odd encodings on purpose."""
    return path.read_text("utf-8", errors="replace").splitlines()


class WordCount:
    """The pipeline: two channels, and the tasklets along them."""

    def __init__(self, files: list[Path], workers: int) -> None:
        self.files = files
        self.workers = workers
        self.lines = channel()
        self.words = channel()
        self.counts: Counter[str] = Counter()
        self.switches = 0

    def start_workers(self) -> None:
        """Create all workers and let each run until it waits for its first line."""
        work = self.work
        for _ in range(self.workers):
            tasklet(work)()
        assert getruncount() == self.workers + 1
        run()
        assert self.lines.balance == -self.workers

    def count(self) -> Counter[str]:
        """Let the reader and the collector in; return when every tasklet has ended."""
        tasklet(self.read)()
        tasklet(self.collect)()
        run()
        assert self.lines.balance == self.words.balance == 0
        return self.counts

    def send(self, target: channel, value: object) -> None:
        """Send, and keep count: a sender always gives way, a receiver who was waiting had, too."""
        self.switches += 2 if target.balance < 0 else 1
        target.send(value)

    def read(self) -> None:
        """The reader: sends every line, then tells each worker and the collector to stop."""
        for path in self.files:
            for line in lines_of(path):
                self.send(self.lines, line)
        for _ in range(self.workers):
            self.lines.send_exception(StopIteration)
        self.words.send_exception(StopIteration)

    def work(self) -> None:
        """A worker: the loop ends when a StopIteration comes through the channel."""
        for line in self.lines:
            self.send(self.words, find_words(line))

    def collect(self) -> None:
        """The collector."""
        for words in self.words:
            self.counts.update(words)


def count_plainly(files: list[Path]) -> Counter[str]:
    """The same without any tasklets."""
    counts: Counter[str] = Counter()
    for path in files:
        for line in lines_of(path):
            counts.update(find_words(line))
    return counts


def resident() -> int:
    """Bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    parser = argparse.ArgumentParser(description="Count the words of the standard library.")
    parser.add_argument("--tasklets", type=int, default=100_000, metavar="N", help="number of workers")
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("stdlib")),
                        help="count the .py files below this one instead")
    options = parser.parse_args()
    if options.tasklets < 1:
        parser.error("at least one tasklet is needed")

    files = list(library_files(options.folder))
    before = resident()
    start = time.perf_counter()
    pipeline = WordCount(files, options.tasklets)
    pipeline.start_workers()
    created = time.perf_counter() - start
    after = resident()
    print(f"{options.tasklets:,} tasklets wait for work after {created:.2f} s, "
          f"{(after - before) // options.tasklets:,} bytes each, {after / 2**20:.0f} MiB in all")

    start = time.perf_counter()
    counts = pipeline.count()
    seconds = time.perf_counter() - start
    print(f"{counts.total():,} words in {len(files):,} files, {len(counts):,} different ones, "
          f"counted in {seconds:.2f} s")
    print(f"{pipeline.switches:,} switches, {pipeline.switches / seconds:,.0f} per second")

    start = time.perf_counter()
    same = counts == count_plainly(files)
    print(f"a plain loop takes {time.perf_counter() - start:.2f} s and finds "
          f"{'the same' if same else 'SOMETHING ELSE'}")
    print("most frequent:", ", ".join(f"{word} {number:,}" for word, number in counts.most_common(8)))
    sys.exit(not same)


if __name__ == "__main__":
    main()
