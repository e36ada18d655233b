"""What runs inside the measured interpreter: one kernel or one figure, in a fresh process.

    worker.py time MODULE.KERNEL LOOPS PASSES   CPU seconds of each pass, and the checksum
    worker.py work MODULE.KERNEL LOOPS          the same work untimed, for an instruction counter
    worker.py opcodes MODULE.KERNEL LOOPS       specialised instructions in the kernel's code, after a run
    worker.py figure SYSTEM NAME COUNT          one switching figure on one system
    worker.py image NAME SIZE                   one pickling figure
    worker.py version                           what interpreter this is
    worker.py peer_version SYSTEM               what version of the system is installed

The answer is one line, a Python literal, on standard output. Exit status 3 says that the
system is not installed, 4 that it has no such figure or cannot do it; the last line on standard error
says why.
"""

import gc
import os
import sys
from importlib import import_module
from time import process_time

# Enough for the base's adaptive instructions to settle, whatever the size of the timed part.
WARM_UP = 3


def load(name):
    """Return the kernel function that `name` names as MODULE.KERNEL."""
    module, function = name.split(".")
    return getattr(import_module(f"kernels.{module}"), function)


def time_kernel(name, loops, passes):
    kernel = load(name)
    kernel(WARM_UP)
    gc.collect()
    seconds = []
    for _ in range(passes):
        start = process_time()
        checksum = kernel(loops)
        seconds.append(process_time() - start)
    return {"seconds": seconds, "checksum": repr(checksum)}


def work(name, loops):
    kernel = load(name)
    kernel(WARM_UP)
    return {"checksum": repr(kernel(loops))}


def opcodes(name, loops):
    """Count, per code object the kernel entered, the instructions in their present, specialised form."""
    import dis

    entered = {}

    def note(frame, event, argument):
        if event == "call":
            entered[frame.f_code] = entered.get(frame.f_code, 0) + 1

    kernel = load(name)
    sys.setprofile(note)
    kernel(1)
    sys.setprofile(None)
    kernel(loops)
    listing = {}
    for code, count in entered.items():
        tally = {}
        for instruction in dis.get_instructions(code, adaptive=True):
            if instruction.opname != "CACHE":
                tally[instruction.opname] = tally.get(instruction.opname, 0) + 1
        listing[f"{code.co_qualname} ({os.path.basename(code.co_filename)}:{code.co_firstlineno})"] = {
            "calls": count,
            "instructions": tally,
        }
    return listing


def figure(system, name, count):
    """Measure one figure; ends the process with status 3 or 4 where there is none, and says why."""
    from peers import Unable

    try:
        module = import_module(f"peers.{system}.figures")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    if not hasattr(module, name):
        print(f"no such figure on {system}", file=sys.stderr)
        sys.exit(4)
    try:
        value = getattr(module, name)(count)
    except Unable as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(4)
    if isinstance(value, tuple):
        return dict(zip(("value", "note"), value))
    return {"value": value}


def pickling(obj):
    """What pickling an object takes: the CPU seconds of a dump and of a load, and the bytes."""
    import pickle

    def seconds(function, argument):
        """Of one call, the fastest of five passes, each of a number of calls that takes long enough to measure."""
        calls = 1
        while True:
            passes = []
            for _ in range(5):
                gc.collect()
                start = process_time()
                for _ in range(calls):
                    function(argument)
                passes.append(process_time() - start)
            if min(passes) > 0.005:
                return min(passes) / calls
            calls *= 10

    data = pickle.dumps(obj, pickle.HIGHEST_PROTOCOL)
    dump = seconds(lambda obj: pickle.dumps(obj, pickle.HIGHEST_PROTOCOL), obj)
    return {"dump": dump, "load": seconds(pickle.loads, data), "bytes": len(data)}


def image(name, size):
    """Measure one pickling figure, and the plain data beside it."""
    obj, plain = getattr(import_module("peers.stackless.images"), name)(size)
    return {**pickling(obj), "plain": pickling(plain)}


def peer_version(system):
    import platform

    try:
        module = import_module(system if system in ("greenlet", "gevent") else "sys")
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        sys.exit(3)
    return {"version": f"{system} {getattr(module, '__version__', platform.python_version())}"}


def main(arguments):
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    command, *rest = arguments
    values = [int(word) if word.isdigit() else word for word in rest]
    if command == "version":
        answer = {"version": " ".join(sys.version.split()), "executable": sys.executable}
    else:
        does = {"time": time_kernel, "work": work, "opcodes": opcodes, "figure": figure, "image": image,
                "peer_version": peer_version}
        answer = does[command](*values)
    print(repr(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
