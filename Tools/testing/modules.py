"""Running modules of CPython's test suite, one process each, and reading their results.

Shared by run_tests.py (the quick set) and test_cpython.py (the whole suite, compared with the base).

A module is run by `python -m test --junit-xml FILE MODULE` in a session of its own and in a scratch folder,
so that a crash or a hang costs that module and nothing else. The XML gives the outcome of every single test;
a module that died before writing it is judged by its exit status.
"""

import atexit
import dataclasses
import fnmatch
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree

PASSED, FAILED, SKIPPED, CRASHED, TIMEOUT = 'passed', 'failed', 'skipped', 'crashed', 'timed out'
BAD = (FAILED, CRASHED, TIMEOUT)

# Tests that hang for ever in a virtual machine: there /dev/vsock exists, but nobody answers on it. And one that
# has a list of all builtin exceptions, which lacks TaskletExit.
IGNORED_TESTS = ('*VSOCK*', '*.ExceptionClassTests.test_inheritance')

# Tests that something cannot be pickled or copied which can after `import stackless`, without which nothing runs in a
# tasklet: generators, coroutines, descriptors of methods, functions and classes by value, views of dicts and memory.
IGNORED_IN_TASKLETS = (
    '*.test_dictviews.DictSetTest.test_copy', '*.test_dictviews.DictSetTest.test_pickle',
    '*.test_memoryview.OtherTest.test_copy', '*.test_memoryview.OtherTest.test_pickle',
    '*.ElementIterTest.test_copy', '*.test_unpickleable_result',
    '*.CoroutineTest.test_copy', '*.CoroutineTest.test_pickle', '*.GeneratorTest.test_copy',
    '*.GeneratorTest.test_pickle', '*.test_c_methods', '*.test_py_methods', '*.test_local_lookup_error',
    '*.SpecialAttrsTests.test_special_attrs2',
)

# The modules that take longest, started first so that the last minutes do not belong to one processor alone.
SLOWEST = (
    'test_concurrent_futures', 'test_multiprocessing_spawn', 'test_asyncio',
    'test_multiprocessing_forkserver',
    'test_multiprocessing_fork', 'test_signal', 'test_ssl', 'test_imaplib', 'test_io', 'test_venv',
    'test_socket',
    'test_subprocess', 'test_regrtest', 'test_threading', 'test_faulthandler', 'test_tokenize',
    'test_lib2to3',
    'test_unparse', 'test_zipfile', 'test_tarfile', 'test_fork1', 'test_statistics', 'test_decimal',
    'test_pdb',
)

# The modules whose processes die of signals and are to leave a file for their errors empty, where a python with
# AddressSanitizer would report its death.
DEADLY = ('test_faulthandler',)

IN_TASKLET = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'in_tasklet.py')

# What of the caller's environment a test may see. Everything else (PYTHON*, proxies, certificates, pip's
# settings, CI) only makes results differ from one machine to the next.
KEPT_VARIABLES = re.compile(r'(PATH|HOME|USER|LOGNAME|SHELL|TERM|TZ|TMPDIR|LANG|LC_\w+|LD_LIBRARY_PATH|'
                            r'(A|UB|L|T|M)SAN_OPTIONS|SLP_\w+)$')


# A job in the background starts with some signals ignored, and passes that on; tests that send them would
# fail. With a handler that does nothing they are still ignored here, and have their default effect in the
# children.
for _signal in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, lambda number, frame: None)

# Being terminated ends this process in an orderly way, as an exception does.
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))

# The sessions of the processes that are running, each named by the id of its leader.
running = set()


@atexit.register
def kill_all():
    """Leave no process behind, however this one ends."""
    for leader in list(running):
        kill_session(leader)


def kill_session(leader):
    """Kill what is left of a process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass


@dataclasses.dataclass
class Result:
    """The outcome of one module: its state, the state of each test in it, and what it printed."""

    name: str
    state: str
    seconds: float = 0.0
    tests: dict = dataclasses.field(default_factory=dict)
    output: str = ''

    def count(self, state):
        """How many tests ended in `state`."""
        return sum(1 for s in self.tests.values() if s == state)

    def failures(self):
        """The names of the tests that failed."""
        return {test for test, state in self.tests.items() if state == FAILED}


def environment(**extra):
    """The environment of a test process: a small fixed part of ours, and `extra`."""
    env = {k: v for k, v in os.environ.items() if KEPT_VARIABLES.match(k)}
    env.setdefault('LANG', 'C.UTF-8')
    env.update(extra)
    return env


def leave_to_the_system():
    """What is to be in the environment for AddressSanitizer to leave deadly signals to the system."""
    return {'ASAN_OPTIONS': ':'.join([*filter(None, [os.environ.get('ASAN_OPTIONS')]), 'handle_segv=0'])}


def run_process(command, timeout, cwd, env):
    """Run `command` without input; return (exit status or None when it ran out of time, output, seconds).

    The process leads a session of its own, and what is left of that session afterwards is killed with it.
    """
    start = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   cwd=cwd, env=env, start_new_session=True)
        running.add(process.pid)
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            status = None
            # Where faulthandler is on, this prints what every thread is doing.
            process.send_signal(signal.SIGABRT)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        finally:
            kill_session(process.pid)
            process.wait()
            running.discard(process.pid)
        seconds = time.monotonic() - start
        out.seek(0)
        return status, out.read().decode('utf-8', 'replace'), seconds


def read_xml(path):
    """The tests of a JUnit file as {test id: state}; None when there is no readable file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    tests = {}
    for case in root.iter('testcase'):
        name = case.get('name')
        if case.find('failure') is not None or case.find('error') is not None:
            state = FAILED
        elif case.find('skipped') is not None or case.get('result') not in (None, 'completed'):
            state = SKIPPED
        else:
            state = PASSED
        # A name that occurs twice is as bad as its worst occurrence.
        if tests.get(name) != FAILED:
            tests[name] = state
    return tests


def run_module(python, name, timeout, verbose=False, in_tasklet=None):
    """Run one module of the suite on `python` and return its Result.

    With in_tasklet, 'soft' or 'hard', the suite runs inside a tasklet (see in_tasklet.py).
    """
    scratch = tempfile.mkdtemp(prefix='slptest')
    try:
        xml = os.path.join(scratch, 'result.xml')
        start = [IN_TASKLET, in_tasklet] if in_tasklet else ['-m']
        command = [python, *start, 'test', '--timeout', str(timeout), '--junit-xml', xml, '--tempdir', scratch]
        command += ['-v'] if verbose else ['-W']
        for pattern in IGNORED_TESTS + (IGNORED_IN_TASKLETS if in_tasklet else ()):
            command += ['-i', pattern]
        # The suite's own limit dumps the stacks of all threads; ours is the one behind it.
        extra = leave_to_the_system() if name in DEADLY else {}
        status, output, seconds = run_process(command + [name], timeout + 60, scratch, environment(**extra))
        tests = read_xml(xml)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Result(name, judge(name, status, output, tests), round(seconds, 2), tests or {}, output)


def judge(name, status, output, tests):
    """The state of a module from its exit status, what it printed, and its tests."""
    if status is None or status != 0 and re.search(r'^Timeout \(\d+:\d+:\d+\)!', output, re.M):
        return TIMEOUT
    if status == 0:
        # "test_x skipped" and "test_x skipped (resource denied)" are the suite's words for a module it did
        # not run.
        if not tests and re.search(r'^%s skipped' % re.escape(name), output, re.M):
            return SKIPPED
        return PASSED
    if status < 0 or tests is None:
        return CRASHED
    return FAILED


def without_ignored(result, in_tasklet):
    """The same result, without the tests that are left out of a run inside a tasklet."""
    if not in_tasklet:
        return result
    tests = {test: state for test, state in result.tests.items()
             if not any(fnmatch.fnmatchcase(test, pattern) for pattern in IGNORED_IN_TASKLETS)}
    return dataclasses.replace(result, tests=tests)


def list_modules(python):
    """The names of all modules of the suite, as `python` sees them."""
    status, output, _ = run_process([python, '-m', 'test', '--list-tests'], 120, tempfile.gettempdir(),
                                    environment())
    names = [line.strip() for line in output.splitlines() if re.match(r'test_\w+$', line.strip())]
    if status != 0 or not names:
        raise SystemExit(f'{python} finds no test suite; the package libpython3.11-testsuite carries it\n'
                         + output)
    return names


def in_order(names):
    """`names` with the slowest first."""
    rank = {name: i for i, name in enumerate(SLOWEST)}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def run_many(tasks, jobs, report):
    """Call the functions `tasks` on `jobs` threads, and `report` with what each returns, one at a time.

    An interrupt stops the start of new ones.
    """
    waiting, done = queue.SimpleQueue(), queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            try:
                task = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((task(), None))
            except BaseException as error:
                done.put((None, error))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        for _ in tasks:
            result, error = done.get()
            if error is not None:
                raise error
            report(result)
    finally:
        stop.set()


def tail(text, lines=60):
    """The last `lines` lines of `text`, with a word on what was cut."""
    parts = text.rstrip().splitlines()
    if len(parts) > lines:
        parts = [f'... ({len(parts) - lines} lines before these)'] + parts[-lines:]
    return '\n'.join(parts)
