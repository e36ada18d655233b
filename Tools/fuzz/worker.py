"""One process of the fuzzer: loads changed images and runs what comes out of them.

    python worker.py FIRST_SEED COUNT          writes "seed\\n" to descriptor 3 before each case
    python worker.py --keep SEED FILE          writes the case of a seed to a file
    python worker.py --case FILE               runs the case of a file
    python worker.py --corpus FOLDER           writes the images to start from

The process dies where the interpreter has a fault; all exceptions are right answers.
"""

import gc
import io
import os
import pickle
import resource
import signal
import sys
import types

import _stackless
import stackless
from _stackless import _wrap

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mutate  # noqa: E402
import programs  # noqa: E402

INSTRUCTIONS = 3000
SECONDS = 20


def images():
    """The images to start from: each program at each of its pauses, and interrupted by the watchdog."""
    made = {}
    for program in programs.PROGRAMS:
        tasklet = stackless.tasklet(program)()
        for step in range(40):
            stackless.run()
            if not tasklet.alive:
                break
            add(made, f"{program.__name__} {step}", tasklet)
            if tasklet.blocked:
                drop(tasklet)
                break
            tasklet.insert()
        for limit in range(5, 120, 23):
            tasklet = stackless.tasklet(program)()
            interrupted = stackless.run(limit)
            if interrupted is not None and interrupted.alive and interrupted.restorable:
                add(made, f"{program.__name__} interrupted {limit}", interrupted)
            drop(tasklet)
    for number, make in enumerate(programs.OBJECTS):
        add(made, f"object {number}", make())
    return made


def add(made, name, obj):
    try:
        made[name] = pickle.dumps(obj, 4)
    except Exception:
        pass   # not everything pickles


def code_with_its_hash(version, hash, *args):
    """Code of an image: changed code gets the hash that it would have, as an attacker would see to."""
    try:
        code = types.CodeType(*args)
        _stackless._stack_map(code)
    except Exception:
        return _wrap.code(version, hash, *args)
    return _wrap.code(version, _wrap.code_hash(code), *args)


class Loader(pickle.Unpickler):
    """Imports only what the images to start from do."""

    names = set()

    def find_class(self, module, name):
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"{module}.{name}")
        if (module, name) == ("_stackless._wrap", "code"):
            return code_with_its_hash
        return super().find_class(module, name)


class Recorder(pickle.Unpickler):
    def find_class(self, module, name):
        Loader.names.add((module, name))
        return super().find_class(module, name)


def drop(tasklet):
    """End a tasklet, however it takes that."""
    try:
        if tasklet.alive and not tasklet.is_main:
            tasklet.kill(pending=True)
            for _ in range(5):
                if stackless.getruncount() == 1:
                    break
                left = stackless.run(INSTRUCTIONS)
                if left is not None:
                    left.remove()
    except BaseException:
        pass


def start(function, *args):
    """Run something as a tasklet of its own, for a while."""
    tasklet = stackless.tasklet(function)(*args)
    go_on(tasklet)


def go_on(tasklet):
    for _ in range(4):
        try:
            if not tasklet.alive:
                return
            if not tasklet.scheduled and not tasklet.blocked:
                tasklet.insert()
            stackless.run(INSTRUCTIONS)
        except BaseException:
            pass
    drop(tasklet)


def look_at(obj):
    """Read what can be seen of it, as a debugger would."""
    frame = getattr(obj, "frame", None) or getattr(obj, "gi_frame", None) or getattr(obj, "cr_frame", None)
    while frame is not None:
        repr(frame), frame.f_lineno, frame.f_lasti, list(frame.f_locals)
        list(frame.f_code.co_positions())
        frame = frame.f_back
    repr(obj)


def step(iterator):
    for _ in range(3):
        next(iterator)


def run(obj, depth=0):
    """Look at a loaded object, and run what can be run."""
    try:
        look_at(obj)
    except BaseException:
        pass
    if isinstance(obj, stackless.tasklet):
        try:
            pickle.dumps(obj)
        except BaseException:
            pass
        go_on(obj)
    elif isinstance(obj, types.FunctionType):
        start(obj)
    elif isinstance(obj, types.CoroutineType):
        start(obj.send, None)
    elif isinstance(obj, types.CodeType):
        if not obj.co_freevars:
            start(types.FunctionType(obj, vars(programs)))
    elif isinstance(obj, stackless.channel):
        while obj.balance and obj.queue is not None:
            tasklet = obj.queue
            drop(tasklet)
            if obj.queue is tasklet:
                break
    elif isinstance(obj, (list, tuple)) and depth < 3:
        for item in obj[:10]:
            run(item, depth + 1)
    elif hasattr(obj, "__next__"):
        start(step, obj)


def load_and_run(data):
    try:
        obj = Loader(io.BytesIO(data)).load()
    except BaseException:
        return
    run(obj)


def reserves_terabytes():
    """Is this a build with AddressSanitizer, which would take a limit of its address space for the end of memory?"""
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[0]) * resource.getpagesize() > 1 << 40


def prepare():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not reserves_terabytes():
        resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
    stackless.set_error_handler(lambda *error: None)
    sys.unraisablehook = lambda *args: None
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    made = images()
    for data in made.values():
        Recorder(io.BytesIO(data)).load()
    sys.stdout = sys.stderr = io.StringIO()
    return made


def main():
    if sys.argv[1] == "--case":
        with open(sys.argv[2], "rb") as file:
            data = file.read()
        prepare()
        load_and_run(data)
        return
    if sys.argv[1] == "--keep":
        with open(sys.argv[3], "wb") as file:
            file.write(mutate.mutate(int(sys.argv[2]), prepare())[1])
        return
    if sys.argv[1] == "--corpus":
        for name, data in prepare().items():
            with open(os.path.join(sys.argv[2], name.replace(" ", "-")), "wb") as file:
                file.write(data)
        return
    first, count = int(sys.argv[1]), int(sys.argv[2])
    made = prepare()
    os.write(3, b"images %d\n" % len(made))
    for seed in range(first, first + count):
        os.write(3, b"%d\n" % seed)
        signal.alarm(SECONDS)
        load_and_run(mutate.mutate(seed, made)[1])
        if seed % 64 == 0:
            gc.collect()
    signal.alarm(0)
    os.write(3, b"done\n")
    os._exit(0)


if __name__ == "__main__":
    main()
