"""`make test-deb`: install the Debian packages in a minimal Debian, use them, and remove them again.

    deb_chroot.py --packages build/deb --scratch build/deb-chroot [--only NAME...]

The system is made with debootstrap from the sources that apt has on this machine, once, in SCRATCH/base; each
scenario below works on a fresh copy of it, in namespaces of its own, so that nothing stays mounted. It needs root and
the package debootstrap. The last line reads `N passed, N failed`; the exit status is 1 when anything failed.
"""

import argparse
import glob
import hashlib
import os
import pwd
import shutil
import subprocess
import sys
import textwrap
import traceback

RELEASE = 'bookworm'
PACKAGES = ['stackless-python3.11', 'libstackless-python3.11']
ALL_PACKAGES = [*PACKAGES, 'libstackless-python3.11-dev', 'stackless-python3.11-doc']
TREE = '/usr/lib/stackless-python3.11'
OUR_LIBRARY = TREE + '/lib/libpython3.11.so.1.0'

# What a package manager leaves behind in any case.
NOT_COMPARED = ('/var/cache/', '/var/lib/apt/', '/var/lib/dpkg/', '/var/log/', '/proc/', '/dev/', '/tmp/', '/run/',
                '/etc/ld.so.cache', '/etc/apt/', pwd.getpwuid(0).pw_dir + '/')

# What is mounted, and what is started, ends with the command, also when it is interrupted: nobody must ever delete
# a folder in which the machine's own /proc or /dev is mounted.
NAMESPACES = ['unshare', '--mount', '--pid', '--fork', '--kill-child']

# Mounts what programs expect in the namespace of this one command.
ENTER = ('mount -t proc proc "$0/proc" && mount -t devpts devpts "$0/dev/pts" && mount -t tmpfs tmpfs "$0/dev/shm"'
         ' && exec chroot "$0" "$@"')

ENVIRONMENT = {'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'HOME': '/root',
               'LC_ALL': 'C.UTF-8', 'DEBIAN_FRONTEND': 'noninteractive'}


class Failed(Exception):
    """A command in the system did not do what it should."""


def host_sources():
    """The lines of sources.list for Debian's own archives that this machine uses."""
    listed = subprocess.run(['apt-get', 'indextargets', '--format',
                             '$(ORIGIN)|$(REPO_URI)|$(CODENAME)|$(COMPONENT)',
                             'Created-By: Packages'], capture_output=True, text=True, check=True).stdout
    lines = []
    for line in dict.fromkeys(listed.splitlines()):
        origin, uri, codename, component = line.split('|')
        if origin == 'Debian' and codename.startswith(RELEASE):
            lines.append(f'deb {uri} {codename} {component}')
    if not lines:
        raise SystemExit(f'deb_chroot: apt on this machine does not know {RELEASE}: `apt-get update`?')
    return lines


def make_base(folder):
    """A minimal Debian with apt set up as on this machine."""
    sources = host_sources()
    mirror = next(line.split()[1] for line in sources if f' {RELEASE} ' in line)
    print(f'deb_chroot: debootstrap {RELEASE} from {mirror}', flush=True)
    half = folder + '.new'
    shutil.rmtree(half, True)
    subprocess.run([*NAMESPACES, 'debootstrap', '--variant=minbase', RELEASE, half, mirror], check=True,
                   stdout=subprocess.DEVNULL)
    with open(half + '/etc/apt/sources.list', 'w', encoding='utf-8') as file:
        file.write('\n'.join(sources) + '\n')
    acquire = subprocess.run(['apt-config', 'dump', 'Acquire'], capture_output=True, text=True, check=True).stdout
    with open(half + '/etc/apt/apt.conf.d/90host', 'w', encoding='utf-8') as file:
        file.write(acquire)
    certificates = '/etc/ssl/certs/ca-certificates.crt'
    if 'https:' in ''.join(sources) and not os.path.exists(half + certificates):
        os.makedirs(os.path.dirname(half + certificates), exist_ok=True)
        shutil.copy(certificates, half + certificates)
    with open(half + '/usr/sbin/policy-rc.d', 'w', encoding='utf-8') as file:
        file.write('#!/bin/sh\nexit 101\n')
    os.chmod(half + '/usr/sbin/policy-rc.d', 0o755)
    for name in 'resolv.conf', 'hosts':
        shutil.copy('/etc/' + name, half + '/etc/' + name)
    system = System(half)
    system.run('apt-get', 'update', '-q')
    system.run('apt-get', 'upgrade', '-q', '-y')
    os.rename(half, folder)


class System:
    """A Debian in a folder."""

    def __init__(self, root):
        self.root = root

    def try_run(self, *command, user=None, cwd='/', **env):
        """Run a command in it; return the CompletedProcess, with errors in its output."""
        if user:
            command = ('setpriv', '--reuid', user, '--regid', 'nogroup', '--clear-groups', *command)
        if cwd != '/':
            command = ('env', '-C', cwd, *command)
        return subprocess.run([*NAMESPACES, 'sh', '-c', ENTER, self.root, *command],
                              env={**ENVIRONMENT, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=1200)

    def run(self, *command, **options):
        """Run a command that must succeed; return what it printed."""
        done = self.try_run(*command, **options)
        if done.returncode:
            raise Failed(f'{" ".join(command)}: exit status {done.returncode}\n{done.stdout[-6000:]}')
        return done.stdout

    def expect(self, wanted, *command, **options):
        """Run a command whose output must contain a text."""
        printed = self.run(*command, **options)
        if wanted not in printed:
            raise Failed(f'{" ".join(command)} did not print {wanted!r}:\n{printed[-6000:]}')

    def expect_failure(self, wanted, *command, **options):
        """Run a command that must fail and say a text."""
        done = self.try_run(*command, **options)
        if done.returncode == 0 or wanted not in done.stdout:
            raise Failed(f'{" ".join(command)} should fail with {wanted!r}: {done.returncode}\n{done.stdout[-6000:]}')

    def write(self, path, text):
        """Write a file in it."""
        os.makedirs(os.path.dirname(self.root + path), exist_ok=True)
        with open(self.root + path, 'w', encoding='utf-8') as file:
            file.write(textwrap.dedent(text).lstrip())

    def install(self, *packages):
        """Install packages by name, or our .deb files by path, with what they depend on."""
        return self.run('apt-get', 'install', '-q', '-y', '--no-install-recommends', *packages)

    def purge(self, *packages):
        """Purge packages and what was installed only for them."""
        return self.run('apt-get', 'purge', '-q', '-y', '--autoremove', *packages)

    def state(self):
        """What is in the file system, {path: digest, or target of a link}, without NOT_COMPARED."""
        found = {}
        for folder, folders, names in os.walk(self.root):
            below = folder[len(self.root):] + '/'
            folders[:] = [name for name in folders if not (below + name + '/').startswith(NOT_COMPARED)]
            found[below] = 'folder'
            for name in names + [f for f in folders if os.path.islink(os.path.join(folder, f))]:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    found[below + name] = os.readlink(path)
                elif os.path.isfile(path) and not (below + name).startswith(NOT_COMPARED):
                    with open(path, 'rb') as file:
                        found[below + name] = hashlib.sha256(file.read()).hexdigest()
        return found


def check_same_state(before, after):
    """Fail unless nothing in the file system has changed."""
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if changed:
        raise Failed('left behind, gone or changed:\n' + '\n'.join(
            f'{path}: {before.get(path)} -> {after.get(path)}' for path in changed[:40]))


# --- The scenarios: functions of a fresh system, in which our packages lie in /packages -----------------------------

def minimal(system):
    """Where there is no python at all, ours is `python`, complete with what apt installed for it, and goes again."""
    before = system.state()
    if os.path.exists(system.root + '/usr/bin/python3'):
        raise Failed('the minimal system has a python3 already')
    system.install(*our_files(system, *PACKAGES))
    system.expect('/usr/bin/stackless-python3.11', 'update-alternatives', '--query', 'python')
    system.expect('Stackless 3.11', 'python', '-VV')
    use_library(system)
    use_scripts(system)
    use_venvs(system)
    system.purge(*PACKAGES)
    shutil.rmtree(system.root + '/scratch')
    check_same_state(before, system.state())
    if os.path.exists(system.root + '/var/lib/dpkg/alternatives/python'):
        raise Failed('update-alternatives still knows python')


def use_library(system):
    """Every extension module of the library finds what it is linked with; the byte code is compiled."""
    system.expect('all imported', 'python', '-c', '''if True:
        import glob, importlib, os, sysconfig
        folder = sysconfig.get_config_var('DESTSHARED')
        names = sorted({os.path.basename(path).split('.')[0] for path in glob.glob(folder + '/*.so')})
        assert len(names) > 30, names
        for name in names:
            importlib.import_module(name)
        import json, ssl, sqlite3, stackless
        assert stackless.__cached__ and os.path.exists(json.__cached__), json.__cached__
        print('all imported')''')


def use_scripts(system):
    """Scripts named by #!, standard input, modules, another user, processes, and pip where it must not install."""
    system.write('/scratch/hello', '''
        #!/usr/bin/env python
        import multiprocessing, stackless, sys

        def square(n):
            return n * n

        if __name__ == '__main__':
            ch = stackless.channel()
            stackless.tasklet(lambda: ch.send(sys.version_info[:2]))()
            print('received', ch.receive())
            multiprocessing.set_start_method('spawn')
            with multiprocessing.Pool(2) as pool:
                print(pool.map(square, range(4)))
        ''')
    os.chmod(system.root + '/scratch/hello', 0o755)
    for user in None, 'nobody':
        system.expect('received (3, 11)\n[0, 1, 4, 9]', '/scratch/hello', user=user)
    system.expect('Help on package stackless', 'python', '-m', 'pydoc', 'stackless')
    system.expect('Help on package stackless', 'stackless-pydoc3.11', 'stackless')
    system.expect(TREE, 'python', '-m', 'pip', '--version')
    system.write('/scratch/project/setup.py', '''
        from setuptools import setup
        setup(name='nothing', version='1', py_modules=[])
        ''')
    system.expect_failure('externally-managed-environment', 'python', '-m', 'pip', 'install', '--no-index',
                          '/scratch/project')


def use_venvs(system):
    """As tox does: several environments, in each of which a project is installed and its tests run."""
    system.write('/scratch/tested/setup.py', '''
        from setuptools import setup
        setup(name='tested', version='1.0', py_modules=['tested'],
              entry_points={'console_scripts': ['say-tested=tested:main']})
        ''')
    system.write('/scratch/tested/tested.py', '''
        import stackless

        def gather(*functions):
            """Run the functions as tasklets; return their results in the order in which they end."""
            results = []
            for function in functions:
                stackless.tasklet(lambda f=function: results.append(f()))()
            stackless.run()
            return results

        def main():
            print('tested in', __file__)
        ''')
    system.write('/scratch/tested/test_tested.py', '''
        import sys
        import unittest

        import tested

        class Tests(unittest.TestCase):
            def test_gather(self):
                self.assertEqual(tested.gather(lambda: 1, lambda: 2), [1, 2])

            def test_installed_in_the_environment(self):
                self.assertTrue(tested.__file__.startswith(sys.prefix + '/lib/'), tested.__file__)
        ''')
    os.makedirs(system.root + '/scratch/run')
    shutil.copy(system.root + '/scratch/tested/test_tested.py', system.root + '/scratch/run')
    for name, options in ('links', []), ('copies', ['--copies']), ('system', ['--system-site-packages']):
        env = '/scratch/envs/' + name
        system.run('python', '-m', 'venv', *options, env)
        system.run(env + '/bin/pip', 'install', '--no-index', '--no-build-isolation', '/scratch/tested')
        system.expect('Ran 2 tests', env + '/bin/python', '-m', 'unittest', 'test_tested', cwd='/scratch/run')
        system.expect(f'tested in {env}/', env + '/bin/say-tested')
        system.expect(f"home = {TREE}/bin", 'cat', env + '/pyvenv.cfg')


def development(system):
    """With a compiler and our headers: extensions with setuptools, programs that embed; both python and library of
    Debian's are beside it, and stay what they are until ldconfig is told otherwise."""
    system.install('gcc', 'libc6-dev', 'pkg-config', 'python3', 'libpython3.11')
    before = system.state()
    system.install(*our_files(system, *ALL_PACKAGES))
    system.expect('3.11', 'python3', '-c', 'import sys; assert "Stackless" not in sys.version; print(sys.version)')
    build_extension(system)
    embed(system)
    replace_library(system)
    system.purge(*ALL_PACKAGES)
    shutil.rmtree(system.root + '/scratch')
    check_same_state(before, system.state())


def build_extension(system):
    """setuptools builds a C extension that uses our C API; a virtual environment runs it."""
    system.write('/scratch/project/setup.py', '''
        from setuptools import Extension, setup
        setup(name='sample', version='1.0', ext_modules=[Extension('sample', ['sample.c'])])
        ''')
    system.write('/scratch/project/sample.c', r'''
        #include <Python.h>
        #include <stackless_api.h>

        static PyObject *
        send(PyObject *self, PyObject *args)
        {
            PyChannelObject *channel;
            PyObject *value;
            if (!PyArg_ParseTuple(args, "OO", &channel, &value) || PyChannel_Send(channel, value) < 0) {
                return NULL;
            }
            Py_RETURN_NONE;
        }

        static PyMethodDef methods[] = {{"send", send, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
        static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "sample", NULL, -1, methods};

        PyMODINIT_FUNC
        PyInit_sample(void)
        {
            return PyModule_Create(&module);
        }
        ''')
    system.run('python', '-m', 'venv', '/scratch/env')
    system.run('/scratch/env/bin/pip', 'install', '--no-index', '--no-build-isolation', '/scratch/project')
    system.expect('received 42', '/scratch/env/bin/python', '-c', '''if True:
        import sample, stackless
        ch = stackless.channel()
        stackless.tasklet(sample.send)(ch, 42)
        print('received', ch.receive())''')
    system.run('python', 'setup.py', 'build_ext', '--inplace', cwd='/scratch/project')
    system.expect('built', 'python', '-c', 'import sample; print("built")', cwd='/scratch/project')


EMBEDDER = r'''
    #include <Python.h>

    int
    main(int argc, char **argv)
    {
        Py_Initialize();
        int failed = PyRun_SimpleString(argv[1]);
        return Py_FinalizeEx() < 0 || failed;
    }
    '''
SAY_LIBRARY = '''if True:
    import sys
    print('Stackless' if 'Stackless' in sys.version else 'CPython')
    print([line.split()[-1] for line in open('/proc/self/maps') if 'libpython' in line][0])'''


def embed(system):
    """A program that embeds ours is compiled with the flags of pkg-config or of the script."""
    system.write('/scratch/embedder.c', EMBEDDER)
    run_path = f' -Wl,-rpath,{TREE}/lib'
    for flags in ('$(pkg-config --cflags --libs stackless-embed)',
                  '$(pkg-config --cflags --libs stackless-python-3.11-embed)' + run_path,
                  '$(stackless-python3.11-config --embed --cflags --ldflags)' + run_path):
        system.run('sh', '-c', f'gcc /scratch/embedder.c -o /scratch/embedder {flags}')
        system.expect(f'Stackless\n{OUR_LIBRARY}', '/scratch/embedder', SAY_LIBRARY)
        system.expect('imported', '/scratch/embedder', 'import json, stackless; print("imported")')


def replace_library(system):
    """A program made for Debian's library has that one, and ours only while ldconfig is told so."""
    multiarch = system.run('gcc', '-print-multiarch').strip()
    system.run('sh', '-c', f'gcc /scratch/embedder.c -o /scratch/debians -I{TREE}/include/python3.11 '
               f'/usr/lib/{multiarch}/libpython3.11.so.1.0')
    system.expect(f'CPython\n/usr/lib/{multiarch}/libpython3.11.so.1.0', '/scratch/debians', SAY_LIBRARY)
    system.expect(f'Stackless\n{OUR_LIBRARY}', '/scratch/debians', SAY_LIBRARY, LD_LIBRARY_PATH=TREE + '/lib')
    drop_in = '/etc/ld.so.conf.d/00-stackless-python3.11.conf'
    system.write(drop_in, TREE + '/lib\n')
    system.run('ldconfig')
    system.expect(f'Stackless\n{OUR_LIBRARY}', '/scratch/debians', SAY_LIBRARY)
    system.expect('imported', '/scratch/debians', 'import json, stackless; print("imported")')
    os.unlink(system.root + drop_in)
    system.run('ldconfig')
    system.expect('CPython', '/scratch/debians', SAY_LIBRARY)


def alternatives(system):
    """`python` is the administrator's choice, and falls back to the other one when ours goes."""
    system.install('python3')
    system.run('update-alternatives', '--install', '/usr/bin/python', 'python', '/usr/bin/python3.11', '20')
    before = system.state()
    system.install(*our_files(system, *PACKAGES))
    system.expect('Stackless', 'python', '-VV')
    system.run('update-alternatives', '--set', 'python', '/usr/bin/python3.11')
    system.expect('absent', 'python', '-c', 'import sys; print("absent" if "Stackless" not in sys.version else "")')
    system.run('update-alternatives', '--set', 'python', '/usr/bin/stackless-python3.11')
    system.expect('Stackless', 'python', '-VV')
    system.run('apt-get', 'install', '-q', '-y', '--reinstall', *our_files(system, *PACKAGES))
    system.expect('Stackless', 'python', '-VV')
    system.purge(*PACKAGES)
    system.expect('Python 3.11', 'python', '-V')
    check_same_state(before, system.state())


def foreign_link(system):
    """A /usr/bin/python that belongs to another package stays as it is, whichever package came first."""
    system.install('python-is-python3')
    before = system.state()
    system.install(*our_files(system, *PACKAGES))
    system.expect('Stackless', 'stackless-python3.11', '-VV')
    if os.readlink(system.root + '/usr/bin/python') != 'python3':
        raise Failed('the link of python-is-python3 was replaced')
    system.purge(*PACKAGES)
    check_same_state(before, system.state())
    system.purge('python-is-python3')
    system.install(*our_files(system, *PACKAGES))
    system.install('python-is-python3')
    system.purge(*PACKAGES)
    check_same_state(before, system.state())


SCENARIOS = [minimal, development, alternatives, foreign_link]


def our_files(system, *packages):
    """The paths of packages of ours in the system."""
    return ['/packages/' + os.path.basename(glob.glob(f'{system.root}/packages/{name}_*.deb')[0]) for name in packages]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--packages', required=True)
    parser.add_argument('--scratch', required=True)
    parser.add_argument('--only', nargs='+', default=[])
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which('debootstrap') is None:
        sys.exit('deb_chroot: it takes root, and the Debian package debootstrap')
    scratch = os.path.abspath(options.scratch)
    base = os.path.join(scratch, 'base')
    with open('/proc/mounts', encoding='utf-8') as mounts:
        mounted = [line.split()[1] for line in mounts if line.split()[1].startswith(scratch + '/')]
    if mounted:
        sys.exit(f'deb_chroot: unmount {" ".join(mounted)} first')
    os.makedirs(scratch, exist_ok=True)
    if not os.path.isdir(base):
        make_base(base)
    absent = [name for name in ALL_PACKAGES if not glob.glob(f'{options.packages}/{name}_*.deb')]
    if absent:
        sys.exit(f'deb_chroot: {options.packages} has no package {", ".join(absent)}: `make deb`')
    failed = 0
    chosen = [scenario for scenario in SCENARIOS if not options.only or scenario.__name__ in options.only]
    for scenario in chosen:
        root = os.path.join(scratch, scenario.__name__)
        shutil.rmtree(root, True)
        subprocess.run(['cp', '-a', base, root], check=True)
        os.mkdir(root + '/packages')
        for path in glob.glob(os.path.join(options.packages, '*.deb')):
            shutil.copy(path, root + '/packages')
        print(f'{scenario.__name__}: {" ".join(scenario.__doc__.split())}', flush=True)
        try:
            scenario(System(root))
        except Exception as error:
            failed += 1
            if not isinstance(error, Failed):
                traceback.print_exc()
            print(f'{error}\n{scenario.__name__}: failed; its system is left in {root}', flush=True)
        else:
            print(f'{scenario.__name__}: passed', flush=True)
            shutil.rmtree(root)
    print(f'{len(chosen) - failed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
