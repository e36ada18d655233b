"""The catalogue: every kernel and every switching figure that `run.py` measures, one row each.

Workers do not import this module: what they load beside the code they measure would only slow down
the counting of instructions.
"""

from typing import NamedTuple


class Kernel(NamedTuple):
    """One row of the catalogue."""

    name: str
    module: str
    loops: int
    about: str

    @property
    def path(self):
        """How a worker names the kernel."""
        return f"{self.module}.{self.name}"


class Figure(NamedTuple):
    """One row of the catalogue; `target` is in the row's unit, for a call of 35 ns."""

    name: str
    count: int
    unit: str
    target: float | None
    about: str


class Peer(NamedTuple):
    """One column: a system, and by what its counts are divided so that it takes about as long."""

    name: str
    divisor: int
    on_base: bool


# `loops` makes one pass last about 50 ms on the machine the project's figures come from.
KERNELS = (
    Kernel("calls", "functions", 80, "def with positional arguments, called by name"),
    Kernel("recursion", "functions", 250, "a function that calls itself twice"),
    Kernel("keywords", "functions", 40, "keyword arguments and defaults"),
    Kernel("star_args", "functions", 40, "f(*args, **kw) through decorator wrappers"),
    Kernel("closures", "functions", 220, "inner functions, free and shared variables"),
    Kernel("builtins", "functions", 80, "calls of C functions and methods from Python"),
    Kernel("higher_order", "functions", 70, "map, filter, min and reduce over Python functions"),
    Kernel("methods", "objects", 70, "bound methods, super() and class methods"),
    Kernel("attributes", "objects", 160, "load and store in dictionaries, slots and classes"),
    Kernel("instances", "objects", 90, "classes called, with a Python __init__"),
    Kernel("dunder", "objects", 140, "__add__, __mul__, __eq__, __lt__ and others in Python"),
    Kernel("containers", "objects", 110, "__getitem__, __len__, __contains__, __iter__ in Python"),
    Kernel("properties", "objects", 90, "property, descriptor, __getattr__, __call__"),
    Kernel("with_statement", "objects", 70, "__enter__ and __exit__ in Python"),
    Kernel("dicts", "data", 270, "store, load, update and walk dictionaries"),
    Kernel("lists", "data", 250, "append, index, slice, pop"),
    Kernel("tuples", "data", 110, "build, unpack, swap and compare tuples"),
    Kernel("sets", "data", 180, "add, membership and set algebra"),
    Kernel("strings", "data", 180, "concatenate, split, join, search, slice"),
    Kernel("floats", "data", 120, "float arithmetic and comparison"),
    Kernel("integers", "data", 90, "small integers, bits and two-digit integers"),
    Kernel("formatting", "data", 60, "f-strings and format specifications"),
    Kernel("sorting", "data", 230, "sorted and list.sort, with and without a Python key"),
    Kernel("json_text", "data", 140, "dumps and loads, C and pure-Python encoder"),
    Kernel("branches", "flow", 240, "while, for over range, branches, break and continue"),
    Kernel("comprehensions", "flow", 240, "list, dict and set comprehensions"),
    Kernel("generators", "flow", 380, "for over a generator function"),
    Kernel("pipelines", "flow", 170, "generators and generator expressions feeding each other"),
    Kernel("yield_from", "flow", 1100, "a tree walked by recursive yield from"),
    Kernel("coroutines", "flow", 370, "await through several coroutines"),
    Kernel("exceptions", "flow", 60, "raise, catch, finally, re-raise through frames"),
    Kernel("matching", "flow", 150, "match on literals, sequences, mappings and classes"),
    Kernel("scheduler", "programs", 170, "task scheduler with packets and queues (as richards)"),
    Kernel("gravity", "programs", 240, "bodies under gravity (as nbody)"),
    Kernel("flips", "programs", 100, "prefix reversals over permutations (as fannkuch)"),
    Kernel("constraints", "programs", 160, "chains of one-way constraints (as deltablue)"),
    Kernel("calculator", "programs", 600, "tokenise, parse and evaluate expressions"),
    Kernel("life", "programs", 300, "cellular automaton on a set of cells"),
    Kernel("trees", "programs", 400, "binary search trees of instances"),
    Kernel("tracer", "programs", 600, "spheres and rays with a vector class"),
)

KERNEL = {kernel.name: kernel for kernel in KERNELS}

FIGURES = (
    Figure("round_trip", 1_000_000, "ns", 50, "switch to another tasklet and back"),
    Figure("ping_pong", 500_000, "ns", 90, "a message to another tasklet and one back"),
    Figure("create", 500_000, "ns", 110, "create one tasklet, run it, let it finish"),
    Figure("create_many", 200_000, "ns", None, "the same, created a thousand at a time"),
    Figure("ring", 500_000, "ns", None, "one hop in a ring of 1,000"),
    Figure("sieve", 500, "us", None, "a chain of filters up to the 500th prime, per prime"),
)

BLOCKED = Figure("blocked", 100_000, "bytes", 400, "resident memory of one that waits")
BLOCKED_MANY = 1_000_000

PEERS = (
    Peer("stackless", 1, False),
    Peer("greenlet", 5, True),
    Peer("generators", 1, True),
    Peer("asyncio", 20, True),
)

# What the targets assume that a call of an empty function costs on the base, in ns.
REFERENCE_CALL = 35.0
