"""Show where the instructions of a kernel go, on our interpreter and on the base.

    python Tools/bench/profile_kernel.py KERNEL [--ours PATH] [--base PATH] [--top N] [--opcodes]

Runs the kernel under valgrind's cachegrind on both, twice each, so that start-up can be subtracted,
and prints the instructions of one turn by C function. Functions of a stripped executable have no
names and appear as ???: to read the base by function as well, link one from the base's archive without
stripping and name it with --base. KERNEL may be a switching figure too (round_trip, ping_pong, create,
ring), which is shown for our interpreter alone.

With --opcodes: the specialised instructions the kernel's code objects consist of after a run, and how
often each code object is entered in a turn. That is how to see that a kernel exercises what it says, and
where an instruction did not specialise.
"""

import argparse
import sys

import catalogue
from measure import Failed, count_instructions, run_worker
from run import COUNTED, default_ours


def counts_of(name, options):
    """Instructions per turn by function, by interpreter."""
    if name in catalogue.KERNEL:
        loops = max(catalogue.KERNEL[name].loops // 40, 2)
        pythons = {"base": options.base, "ours": options.ours}
        path = catalogue.KERNEL[name].path
        return {who: count_instructions(python, "work", path, count=loops) for who, python in pythons.items()}
    return {"ours": count_instructions(options.ours, "figure", "stackless", name, count=20_000)}


def print_functions(name, options):
    """Print the functions that take the most instructions, side by side."""
    columns = counts_of(name, options)
    totals = {who: sum(counts.values()) for who, counts in columns.items()}
    functions = {function for counts in columns.values() for function in counts}
    heaviest = sorted(functions, key=lambda name: -max(counts.get(name, 0) for counts in columns.values()))
    print(f"{name}: instructions of one turn")
    print("  " + "".join(f"{who:>14}" for who in columns) + "  function")
    print("  " + "".join(f"{total:>14,.0f}" for total in totals.values()) + "  (all)")
    for function in heaviest[: options.top]:
        numbers = "".join(f"{counts.get(function, 0):>14,.0f}" for counts in columns.values())
        print(f"  {numbers}  {function}")
    if len(totals) == 2:
        print(f"  ratio {totals['ours'] / totals['base']:.3f}")
    print()


def print_opcodes(name, options):
    """Print the instructions of each code object that the kernel enters, on our interpreter."""
    kernel = catalogue.KERNEL[name]
    listing = run_worker(options.ours, "opcodes", kernel.path, kernel.loops // 20 + 2)
    print(f"{name}: specialised instructions after a run")
    for code, entry in sorted(listing.items(), key=lambda item: -item[1]["calls"]):
        print(f"  {code}: entered {entry['calls']} times")
        words = sorted(entry["instructions"].items(), key=lambda item: (-item[1], item[0]))
        print("      " + " ".join(word if count == 1 else f"{word}*{count}" for word, count in words))
    print()


def main(arguments):
    parser = argparse.ArgumentParser(description="Where the instructions of a kernel go.")
    parser.add_argument("names", nargs="+", metavar="KERNEL")
    parser.add_argument("--ours", "--python", default=default_ours(), help="our interpreter (build/python)")
    parser.add_argument("--base", default=sys.executable, help="the base interpreter (this one)")
    parser.add_argument("--top", type=int, default=25, metavar="N", help="functions to show (25)")
    parser.add_argument("--opcodes", action="store_true", help="the specialised instructions, no counting")
    options = parser.parse_args(arguments)
    if options.ours is None:
        parser.error("build/python does not exist: build it, or name an interpreter with --ours")
    known = catalogue.KERNEL.keys() if options.opcodes else catalogue.KERNEL.keys() | set(COUNTED)
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"no kernel named {', '.join(unknown)}")
    for name in options.names:
        try:
            (print_opcodes if options.opcodes else print_functions)(name, options)
        except Failed as error:
            print(f"{name}: FAILED: {error}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
