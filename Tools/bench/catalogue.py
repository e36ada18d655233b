"""The catalogue: every kernel, switching figure, peer and pickling figure that `run.py` measures, one row each.

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
    """One row of the comparison with peers.

    `work` is the function that measures it. With the unit ns a value is for one of `count` operations,
    and `count` is divided by the peer's divisor; bytes are for one of `count`; all other units are for
    the whole, whose size is the same for all. `target` is for a machine where a call takes 35 ns.
    """

    name: str
    work: str
    count: int
    unit: str
    target: float | None
    title: str
    about: str

    @property
    def slow(self):
        """Whether it takes minutes, over all peers: two rounds at most."""
        return self.count == 1_000_000 and self.unit in ("s", "bytes")

    @property
    def quick(self):
        """Whether it is measured with --quick too."""
        return not self.slow and (self.work, self.count) != ("sieve", 1_000)


class Image(NamedTuple):
    """One row of the pickling figures.

    `work` is the function that makes what is pickled, of `size` frames or tasklets. `historic` is what historic
    Stackless 3.7 took for it, in microseconds and bytes.
    """

    name: str
    work: str
    size: int
    historic: tuple[float, float, int] | None
    title: str
    about: str


class Peer(NamedTuple):
    """One column: a system, what runs it, and by what counts are divided so that it takes about as long."""

    name: str
    divisor: int
    runs_on: str
    package: str
    title: str


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
    Figure("round_trip", "round_trip", 1_000_000, "ns", 50, "switch, round trip",
           "switch to another tasklet and back"),
    Figure("round_trip_deep", "round_trip_deep", 1_000_000, "ns", 50, "the same, 100 frames deep",
           "the same where both are 100 calls deep"),
    Figure("round_trip_c", "round_trip_c", 500_000, "ns", 80, "the same, out of a C callback",
           "the same where both are inside a function that C code calls"),
    Figure("ping_pong", "ping_pong", 500_000, "ns", 90, "channel ping-pong",
           "a message to another tasklet and one back"),
    Figure("create", "create", 500_000, "ns", 100, "create, run, finish",
           "create one tasklet, run it, let it finish"),
    Figure("create_many", "create_many", 200_000, "ns", None, "the same, by the thousand",
           "the same, created a thousand at a time"),
    Figure("ring", "ring", 500_000, "ns", 60, "ring of 1,000, one hop", "one hop in a ring of 1,000"),
    Figure("sieve_500", "sieve", 500, "ms", None, "prime sieve, 500", "a chain of filters up to the 500th prime"),
    Figure("sieve_1000", "sieve", 1_000, "ms", 40, "prime sieve, 1,000",
           "a chain of filters up to the 1,000th prime"),
    Figure("skynet_100k", "skynet", 100_000, "s", None, "skynet, 100,000",
           "a tree of tasklets, ten children each, 100,000 leaves, which sums up numbers"),
    Figure("skynet_1m", "skynet", 1_000_000, "s", 1, "skynet, 1,000,000", "the same with 1,000,000 leaves"),
    Figure("child_first_100k", "skynet_child_first", 100_000, "s", None, "skynet child first, 100,000",
           "skynet where each child runs as soon as it is created, by tasklet.run()"),
    Figure("child_first_1m", "skynet_child_first", 1_000_000, "s", 1, "skynet child first, 1,000,000",
           "the same with 1,000,000 leaves"),
    Figure("blocked_10k", "blocked", 10_000, "bytes", 400, "memory, 10,000 wait",
           "resident memory of one that waits, of 10,000"),
    Figure("blocked_100k", "blocked", 100_000, "bytes", 400, "memory, 100,000 wait", "the same of 100,000"),
    Figure("blocked_1m", "blocked", 1_000_000, "bytes", 400, "memory, 1,000,000 wait",
           "the same of 1,000,000"),
    Figure("depth", "depth", 10_000_000, "levels", None, "recursion, plain",
           "how deep a function can call itself, up to 10,000,000"),
    Figure("depth_c", "depth_c", 10_000_000, "levels", None, "recursion, through C",
           "the same where each level calls the next through a C function, map()"),
)

FIGURE = {figure.name: figure for figure in FIGURES}

IMAGES = (
    Image("frame_1", "deep", 1, (14.0, 12.4, 510), "a tasklet, 1 frame", "a paused tasklet, one frame deep"),
    Image("frames_50", "deep", 50, (185.0, 44.0, 3_402), "a tasklet, 50 frames", "a paused tasklet, 50 frames deep"),
    Image("queue_100", "queue", 100, (560.0, 150.0, 7_643), "a channel, 100 wait", "a channel where 100 tasklets wait"),
    Image("channels_10k", "channels", 10_000, None, "10,000 channels, 1 waits at each",
          "10,000 channels, where one tasklet waits at each"),
)

IMAGE = {image.name: image for image in IMAGES}

PEERS = (
    Peer("stackless", 1, "ours", "", "Stackless"),
    Peer("go", 1, "go", "golang-go", "Go"),
    Peer("luajit", 1, "luajit", "luajit", "LuaJIT"),
    Peer("greenlet", 5, "base", "python3-greenlet", "greenlet"),
    Peer("gevent", 20, "base", "python3-gevent", "gevent"),
    Peer("asyncio", 20, "base", "", "asyncio"),
    Peer("generators", 1, "base", "", "generators"),
)

PEER = {peer.name: peer for peer in PEERS}

# What the targets assume that a call of an empty function costs on the base, in ns.
REFERENCE_CALL = 35.0
