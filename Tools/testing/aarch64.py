"""`make test-aarch64`: our whole python for aarch64, built on this machine, and our tests on it under qemu-user.

    aarch64.py [options] build              fetch the packages, cross-compile
    aarch64.py [options] test [NAME ...]    the same, then our tests (not CPython's), or the named files
    aarch64.py [options] run [ARGUMENT ...] the same, then run the python with these arguments: a script, for one

Everything lies in one folder, aarch64/ in the build folder:

    packages/    Debian's packages for arm64, as apt downloads them, and apt's lists
    sysroot/     the packages unpacked: the base, the C library, what it is linked with, extensions for the tests
    build/       our build for aarch64
    python       runs our python under the emulator; to the tests it is sys.executable
    base/        python3.11, which runs the base likewise
    bin/         the compiler for the tests: it knows the sysroot, and the programs it links run under the emulator

Packages are fetched once (--fetch: again, in their newest versions), from the sources that this machine's apt uses,
and nothing is installed.  The last line of `test` is that of `make test`: N passed, N failed, N skipped.  A test
that the emulator or cross-compiling stands in the way of is in GAPS, with the reason, and counts as skipped.  Where
this machine's python has been built, test_pickle_moves lets tasklets go to and fro between the two machines.
"""

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys

SRCDIR = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# What the build needs, and what the tests do; apt adds what these depend on.
PACKAGES = ('libpython3.11-dev', 'python3.11-venv', 'libpython3.11-testsuite', 'python3-distutils', 'python3-lib2to3',
            'cython3', 'python3-cffi', 'python3-coverage', 'python3-debugpy', 'python3-flask', 'python3-gevent',
            'python3-greenlet', 'python3-lxml', 'python3-numpy', 'python3-objgraph', 'python3-psutil', 'python3-pytest')

# The links that dpkg's alternatives would make; the folder of libraries.
LIBRARIES = 'usr/lib/aarch64-linux-gnu'
ALTERNATIVES = {'libblas.so.3': 'blas/libblas.so.3', 'liblapack.so.3': 'lapack/liblapack.so.3'}

HOST = 'aarch64-linux-gnu'
EMULATOR = 'qemu-aarch64'
TOOLS = {HOST + '-gcc': 'gcc-' + HOST, HOST + '-g++': 'g++-' + HOST, EMULATOR: 'qemu-user', 'apt-get': 'apt',
         'dpkg-deb': 'dpkg'}

GAPS = {
    'test_budget.TestProcesses.test_fork':
        'the emulator fails an assertion of its own where a process with threads forks',
    'test_drop_in.*':
        'gdb, vim and uwsgi are programs of this machine, which load its python',
    'test_embed_examples.TestGame.test_with_a_window':
        'the SDL that is found is that of this machine',
    'test_embed_shared.Embedding.test_*hundred_lives':
        'an interpreter takes seconds to begin and to end under the emulator',
    'test_overflow.Overflow.test_other_faults_are_none_of_its_business':
        'the emulator writes a line of its own when a program dies of a signal',
    'test_overflow.Overflow.test_where_advice_is_ignored':
        'LD_PRELOAD would reach the emulator too, which itself ignores that advice',
    'test_platf.SwitchFiles.test_other_machines':
        'what the compiler links here runs under the emulator by itself',
}


# Runs a program under the emulator.  The script's path is argv[0], which makes it sys.executable: so the processes
# that a python starts run under the emulator too.
RUNNER = """\
#!/bin/sh
exec %(emulator)s -L %(sysroot)s -0 "$0" %(program)s "$@"
"""

# Compiles, and puts a program that was linked behind a runner, beside which it lies.
COMPILER = """\
#!/bin/sh
%(compiler)s --sysroot=%(sysroot)s "$@" || exit
program=a.out last=
for word; do
    test "$last" != -o || program=$word
    case $word in
        -shared|-c|-E|-S) exit ;;
    esac
    last=$word
done
test -f "$program" || exit 0
mv "$program" "$program.aarch64"
cat >"$program" <<END
#!/bin/sh
exec %(emulator)s -L %(sysroot)s -0 "\\$0" "$(realpath "$program.aarch64")" "\\$@"
END
chmod 755 "$program"
"""


class Failure(Exception):
    """A step did not succeed; the text says which and why."""


class Folder:
    """The folder that everything lies in."""

    def __init__(self, builddir, srcdir):
        self.srcdir = srcdir
        self.top = os.path.join(os.path.abspath(builddir), 'aarch64')
        self.packages = os.path.join(self.top, 'packages')
        self.sysroot = os.path.join(self.top, 'sysroot')
        self.build = os.path.join(self.top, 'build')
        self.python = os.path.join(self.top, 'python')
        self.base = os.path.join(self.top, 'base', 'python3.11')
        self.bin = os.path.join(self.top, 'bin')


def call(command, log, **options):
    """Run a command with its output in a log file; Failure with the end of the log if it fails."""
    with open(log, 'w', encoding='utf-8') as file:
        done = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        with open(log, encoding='utf-8', errors='replace') as file:
            end = ''.join(file.readlines()[-20:])
        raise Failure(f'{end}{shlex.join(command)}: exit status {done.returncode}, all output is in {log}')


def check_tools():
    """Failure if a tool is missing."""
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise Failure('tools are missing: apt-get install --no-install-recommends ' + ' '.join(missing))


# --- The packages ---------------------------------------------------------------------------------------------------

def download(folder):
    """Let apt fetch the packages and what they depend on, with a state of its own; return the files."""
    state, cache = (os.path.join(folder.packages, name) for name in ('state', 'cache'))
    archives = os.path.join(cache, 'archives')
    for path in (os.path.join(state, 'lists', 'partial'), os.path.join(archives, 'partial')):
        os.makedirs(path, exist_ok=True)
    for name in os.listdir(archives):
        if name.endswith('.deb'):
            os.unlink(os.path.join(archives, name))
    status = os.path.join(state, 'status')      # nothing is installed there
    with open(status, 'w', encoding='utf-8'):
        pass
    settings = {'APT::Architecture': 'arm64', 'APT::Architectures': 'arm64', 'Dir::State': state,
                'Dir::State::status': status, 'Dir::Cache': cache, 'APT::Sandbox::User': 'root',
                'APT::Keep-Downloaded-Packages': 'true'}
    apt = ['apt-get', '-q', *[word for name, value in settings.items() for word in ('-o', f'{name}={value}')]]
    call([*apt, 'update'], os.path.join(folder.packages, 'update.log'))
    call([*apt, 'install', '--download-only', '--yes', '--no-install-recommends', *PACKAGES],
         os.path.join(folder.packages, 'download.log'))
    return sorted(os.path.join(archives, name) for name in os.listdir(archives) if name.endswith('.deb'))


def tie_links(sysroot):
    """Let absolute links stay within the sysroot, and make those of the alternatives."""
    for folder, folders, names in os.walk(sysroot):
        for name in folders + names:
            path = os.path.join(folder, name)
            if os.path.islink(path) and os.path.isabs(os.readlink(path)):
                target = os.path.relpath(sysroot + os.readlink(path), folder)
                os.unlink(path)
                os.symlink(target, path)
    for name, target in ALTERNATIVES.items():
        os.symlink(target, os.path.join(sysroot, LIBRARIES, name))


def make_sysroot(folder, again):
    """Fetch and unpack the packages, unless that was done.  The folder appears when all is in it."""
    stamp = os.path.join(folder.sysroot, 'packages.txt')
    wanted = ' '.join(PACKAGES) + '\n'
    if not again and os.path.exists(stamp):
        with open(stamp, encoding='utf-8') as file:
            if file.readline() == wanted:
                return
    print('aarch64: fetching the packages', flush=True)
    os.makedirs(folder.packages, exist_ok=True)
    files = download(folder)
    if not files:
        raise Failure(f'apt downloaded no package: see {folder.packages}/download.log')
    unpacked = folder.sysroot + '.new'
    shutil.rmtree(unpacked, ignore_errors=True)
    os.makedirs(unpacked)
    for file in files:
        call(['dpkg-deb', '--extract', file, unpacked], os.path.join(folder.packages, 'unpack.log'))
    tie_links(unpacked)
    with open(os.path.join(unpacked, 'packages.txt'), 'w', encoding='utf-8') as file:
        file.write(wanted + ''.join(os.path.basename(name) + '\n' for name in files))
    shutil.rmtree(folder.sysroot, ignore_errors=True)
    os.rename(unpacked, folder.sysroot)
    print(f'aarch64: {len(files)} packages in {folder.sysroot}', flush=True)


# --- The build ------------------------------------------------------------------------------------------------------

def write_script(path, template, **values):
    """Write an executable script; the values are quoted."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(template % {name: shlex.quote(value) for name, value in values.items()})
    os.chmod(path, 0o755)


def write_scripts(folder):
    """Write the scripts that run our python, the base and the compiler."""
    emulator, sysroot = shutil.which(EMULATOR), folder.sysroot
    write_script(folder.python, RUNNER, emulator=emulator, sysroot=sysroot,
                 program=os.path.join(folder.build, 'python'))
    write_script(folder.base, RUNNER, emulator=emulator, sysroot=sysroot,
                 program=os.path.join(sysroot, 'usr/bin/python3.11'))
    for compiler in HOST + '-gcc', HOST + '-g++':
        write_script(os.path.join(folder.bin, compiler), COMPILER, emulator=emulator, sysroot=sysroot,
                     compiler=shutil.which(compiler))


def build(folder, options):
    """Configure, unless that was done with the same options, and make."""
    command = [os.path.join(folder.srcdir, 'configure'), '--host=' + HOST, '--with-base-sysroot=' + folder.sysroot,
               *shlex.split(options.configure)]
    os.makedirs(folder.build, exist_ok=True)
    stamp = os.path.join(folder.build, 'configured')
    line = shlex.join(command) + '\n'
    try:
        with open(stamp, encoding='utf-8') as file:
            configured = file.read() == line
    except FileNotFoundError:
        configured = False
    if not configured:
        call(command, os.path.join(folder.build, 'configure.log'), cwd=folder.build)
        with open(stamp, 'w', encoding='utf-8') as file:
            file.write(line)
    # A make that runs this script must not hand its job server down.
    environment = {name: value for name, value in os.environ.items()
                   if name not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')}
    call(['make', f'-j{options.jobs}', '--no-print-directory'], os.path.join(folder.build, 'make.log'),
         cwd=folder.build, env=environment)
    write_scripts(folder)


# --- The tests ------------------------------------------------------------------------------------------------------

def other_python(options):
    """The option that names this machine's python, where it has been built: tasklets move between the two."""
    native = os.path.join(options.builddir, 'python')
    return ['--other', native] if os.path.exists(native) else []


def run_tests(folder, options):
    """Run our tests, or the named files of them; return the exit status."""
    gaps = os.path.join(folder.top, 'gaps.json')
    with open(gaps, 'w', encoding='utf-8') as file:
        json.dump({'test_stackless.' + pattern: reason for pattern, reason in GAPS.items()}, file)
    command = [sys.executable, '-B', os.path.join(folder.srcdir, 'Tools', 'testing', 'run_tests.py'),
               '--python', folder.python, '--base', folder.base, '--builddir', folder.build, '--srcdir', folder.srcdir,
               *other_python(options), '--gaps', gaps, '--jobs', str(options.jobs), '--timeout', '1500',
               '--budget', '7200', *options.arguments]
    path = folder.bin + os.pathsep + os.environ['PATH']
    return subprocess.run(command, env=dict(os.environ, PATH=path)).returncode


# --- The command line -----------------------------------------------------------------------------------------------

def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--builddir', default='build', help='the build folder (default: %(default)s)')
    parser.add_argument('--srcdir', default=SRCDIR, help='the source tree')
    parser.add_argument('--configure', default='', metavar='OPTIONS', help="more options for configure, such as "
                        "'--with-assertions'")
    parser.add_argument('--fetch', action='store_true', help='fetch the packages anew')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 2, help='processes at a time (%(default)s)')
    parser.add_argument('command', choices=('build', 'test', 'run'))
    parser.add_argument('arguments', nargs=argparse.REMAINDER)
    options = parser.parse_args(argv)
    folder = Folder(options.builddir, os.path.abspath(options.srcdir))
    try:
        check_tools()
        make_sysroot(folder, options.fetch)
        build(folder, options)
    except (Failure, OSError) as error:
        print(f'aarch64: {error}', file=sys.stderr)
        return 1
    if options.command == 'run':
        os.execv(folder.python, [folder.python, *options.arguments])
    if options.command == 'test':
        return run_tests(folder, options)
    print(f'aarch64: {folder.python}')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
