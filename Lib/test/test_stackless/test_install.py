"""`make install`: a tree that can be moved, and `make uninstall`."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
import unittest

from . import interpreters
from .test_distribution import write_wheel

# What the tree is made for; it is never there. The whole path does not stand in this file, which is installed, too.
PREFIX = os.path.join('/opt', 'stackless for tests')

WITHOUT_PIP_VARIABLES = {name: None for name in os.environ if name.startswith('PIP_')}


def make(target, folder):
    """Run a target of the build's Makefile that works on the tree for PREFIX below the folder."""
    done = interpreters.run('make', '-C', interpreters.BUILDDIR, '-o', 'all', target, f'prefix={PREFIX}',
                            f'DESTDIR={folder}', timeout=300, **WITHOUT_PIP_VARIABLES)
    if done.returncode:
        raise AssertionError(f'make {target}\n{done.stdout}\n{done.stderr}')


def contents(tree):
    """The paths of everything in a tree but folders, relative to it."""
    return {os.path.relpath(os.path.join(folder, name), tree)
            for folder, folders, names in os.walk(tree)
            for name in [*names, *(f for f in folders if os.path.islink(os.path.join(folder, f)))]}


@unittest.skipIf(interpreters.BUILDDIR is None, 'this is an installed tree already')
class Installed(unittest.TestCase):
    """A tree is installed below DESTDIR, packed with tar and unpacked in another place; the first one is gone."""

    @classmethod
    def setUpClass(cls):
        with open(os.path.join(interpreters.BUILDDIR, 'Makefile'), encoding='utf-8') as file:
            if re.search(r'(?m)^BASE_SYSROOT = \S', file.read()):
                raise unittest.SkipTest('a build for another architecture cannot be installed')
        cls.folder = os.path.realpath(tempfile.mkdtemp(prefix='install'))
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.staging = os.path.join(cls.folder, 'test', 'staging area')
        make('install', cls.staging)
        cls.names = contents(cls.staging + PREFIX)
        archive = os.path.join(cls.folder, 'tree.tar')
        subprocess.run(['tar', '-C', cls.staging + PREFIX, '-cf', archive, '.'], check=True)
        shutil.rmtree(cls.staging)
        cls.tree = os.path.join(cls.folder, 'moved')
        os.mkdir(cls.tree)
        subprocess.run(['tar', '-C', cls.tree, '-xf', archive], check=True)
        os.unlink(archive)
        cls.python = os.path.join(cls.tree, 'bin', 'python3.11')

    def check(self, *command, **options):
        """Run a command, which must succeed; return what it printed."""
        done = interpreters.run(*command, timeout=300, **WITHOUT_PIP_VARIABLES, **options)
        self.assertEqual(done.returncode, 0, f'{command}\n{done.stdout}\n{done.stderr}')
        return done.stdout

    def test_no_file_says_where_it_was_installed(self):
        """Byte code is the exception: it names its source, which the import system puts right."""
        named = [name for name in self.names if not name.endswith('.pyc')
                 and not os.path.islink(os.path.join(self.tree, name))
                 and self.mentions(name, PREFIX, self.staging)]
        self.assertEqual(named, [])

    def mentions(self, name, *words):
        """Does the file of that name contain one of the words?"""
        with open(os.path.join(self.tree, name), 'rb') as file:
            data = file.read()
        return any(word.encode() in data for word in words)

    def test_byte_code_names_the_prefix(self):
        """Not the staging area, which is no more than a station on the way there."""
        compiled = [name for name in self.names if name.endswith('.pyc')]
        self.assertGreater(len(compiled), 500)
        self.assertEqual([name for name in compiled if self.mentions(name, self.staging)], [])

    def test_links_stay_within(self):
        for name in self.names:
            path = os.path.join(self.tree, name)
            if os.path.islink(path):
                self.assertFalse(os.path.isabs(os.readlink(path)), name)
                self.assertTrue(os.path.realpath(path).startswith(self.tree + '/'), name)
                self.assertTrue(os.path.exists(path), name)

    def test_paths(self):
        program = ('import json, os, stackless, sys, traceback\n'
                   'for path in sys.prefix, sys.exec_prefix, sys.base_prefix, os.__file__, json.__file__, '
                   'stackless.__file__, json.dumps.__code__.co_filename: print(path)\n'
                   'print(*sys.path[1:], sep="\\n")')
        paths = self.check(self.python, '-s', '-c', program).splitlines()
        self.assertEqual(paths[:3], [self.tree] * 3)
        for path in paths:
            self.assertTrue(path.startswith(self.tree), paths)

    def test_through_a_symbolic_link(self):
        link = os.path.join(self.folder, 'linked-python')
        os.symlink(self.python, link)
        self.addCleanup(os.unlink, link)
        self.assertEqual(self.check(link, '-c', 'import sys; print(sys.prefix)').strip(), self.tree)

    def test_sysconfig(self):
        """Every place that sysconfig names is in the tree where it is now, and those that must exist do."""
        program = 'import json, sysconfig; print(json.dumps([sysconfig.get_paths(), sysconfig.get_config_vars()]))'
        paths, variables = json.loads(self.check(self.python, '-c', program))
        for name, path in paths.items():
            self.assertTrue(path.startswith(self.tree), f'{name}: {path}')
        for name in 'prefix', 'exec_prefix', 'BINDIR', 'LIBDIR', 'LIBPL', 'INCLUDEPY', 'LIBPC', 'DESTSHARED', 'LIBDEST':
            self.assertTrue(variables[name].startswith(self.tree), f'{name}: {variables[name]}')
            self.assertTrue(os.path.isdir(variables[name]), f'{name}: {variables[name]}')
        self.assertNotIn(PREFIX, str(variables))
        self.assertNotIn('{root}', str(variables))
        self.assertTrue(os.path.exists(os.path.join(variables['INCLUDEPY'], 'Python.h')))
        self.assertTrue(os.path.exists(os.path.join(variables['LIBPL'], 'Makefile')))

    def test_makefile(self):
        """The Makefile of the library finds its prefix, too."""
        path = self.check(self.python, '-c', 'import sysconfig; print(sysconfig.get_makefile_filename())').strip()
        printed = self.check('make', '-s', '-f', path, '--eval', 'show: ; @echo $(prefix) $(LIBDIR)', 'show')
        self.assertEqual(printed.split(), [self.tree, os.path.join(self.tree, 'lib')])

    def embed(self, flags):
        """Compile the embedding program with the flags and run it, as the tree's python and as nothing."""
        program = os.path.join(self.folder, 'embedder')
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'embedder.c')
        compiler = (sysconfig.get_config_var('CC') or 'cc').split()
        compiler = compiler if shutil.which(compiler[0]) else ['cc']
        self.check(*compiler, '-O1', source, '-o', program, *flags, f'-Wl,-rpath,{self.tree}/lib')
        self.addCleanup(os.unlink, program)
        printed = self.check(program, 'once', self.python, 'import sys, stackless; print(sys.prefix)',
                             **interpreters.EMBEDDED)
        self.assertEqual(printed.strip(), self.tree)
        printed = self.check(program, 'plain', '', 'import stackless; print(stackless.__file__)',
                             PATH='/usr/bin:/bin', **interpreters.EMBEDDED)
        self.assertTrue(printed.startswith(self.tree), printed)

    def test_config_script(self):
        script = os.path.join(self.tree, 'bin', 'python3-config')
        self.assertEqual(self.check(script, '--prefix').strip(), self.tree)
        self.assertTrue(os.path.isdir(self.check(script, '--configdir').strip()))
        flags = self.check(script, '--embed', '--cflags', '--ldflags').split()
        self.assertIn(f'-I{self.tree}/include/python3.11', flags)
        self.embed(flags)

    def test_pkgconfig(self):
        self.embed(self.check('pkg-config', '--cflags', '--libs', 'python3-embed',
                              PKG_CONFIG_PATH=os.path.join(self.tree, 'lib', 'pkgconfig')).split())

    def test_c_api(self):
        """The header is there, and the extension that its tests use: they pass in the tree."""
        for name in ('header', 'outside'):
            self.check(self.python, '-B', '-m', f'test.test_stackless.test_capi_{name}')

    def test_scripts(self):
        """pip and pydoc run the interpreter beside them, also where a link elsewhere names them."""
        self.assertIn(self.tree, self.check(os.path.join(self.tree, 'bin', 'pip3'), '--version'))
        link = os.path.join(self.folder, 'linked-pydoc')
        os.symlink(os.path.join(self.tree, 'bin', 'pydoc3'), link)
        self.addCleanup(os.unlink, link)
        self.assertIn('Help on package stackless', self.check(link, 'stackless'))

    def test_pip_installs_into_the_tree(self):
        """pip with a wheel and its script, and away again: the tree is as before."""
        before = contents(self.tree)
        wheel = write_wheel(self.folder, 'sample_pure', {'sample_pure.py': b'def main():\n    print("sample")\n'},
                            entry_points='[console_scripts]\nsample-script = sample_pure:main\n')
        pip = (os.path.join(self.tree, 'bin', 'pip'), '--disable-pip-version-check', '--no-cache-dir')
        self.check(*pip, 'install', '--root-user-action=ignore', '--no-index', wheel)
        self.assertEqual(self.check(os.path.join(self.tree, 'bin', 'sample-script')), 'sample\n')
        self.check(*pip, 'uninstall', '--root-user-action=ignore', '-y', 'sample-pure')
        self.assertEqual({name for name in contents(self.tree) ^ before if '__pycache__' not in name}, set())

    def test_venv_of_a_moved_tree(self):
        """A virtual environment names its tree: once that has moved, the links are made anew."""
        env = os.path.join(self.folder, 'env')
        self.addCleanup(shutil.rmtree, env, True)
        self.check(self.python, '-m', 'venv', '--without-pip', env)
        program = 'import stackless, sys; print(sys.prefix, sys.base_prefix)'
        env_python = os.path.join(env, 'bin', 'python')
        self.assertEqual(self.check(env_python, '-c', program).split(), [env, self.tree])
        elsewhere = os.path.join(self.folder, 'elsewhere')
        os.rename(self.tree, elsewhere)
        self.addCleanup(os.rename, elsewhere, self.tree)
        for name in 'python', 'python3', 'python3.11':
            os.unlink(os.path.join(env, 'bin', name))
        self.check(os.path.join(elsewhere, 'bin', 'python'), '-m', 'venv', '--without-pip', '--upgrade', env)
        self.assertEqual(self.check(env_python, '-c', program).split(), [env, elsewhere])

    def manual(self):
        """The source of the manual page that `man python` finds, without its escapes."""
        with open(os.path.join(self.tree, 'share', 'man', 'man1', 'python.1'), encoding='utf-8') as file:
            return file.read().replace('\\-', '-')

    def test_manual_has_every_option(self):
        options = re.findall(r'(?m)^(--?[\w-]+)', self.check(self.python, '--help'))
        self.assertGreater(len(options), 20)
        text = self.manual()
        self.assertEqual([option for option in options if not re.search(rf'(?<![\w-]){option}(?![\w-])', text)], [])

    def test_manual_example(self):
        program = re.search(r'(?s)\.nf\n(.*?)\.fi', self.manual()).group(1)
        self.assertEqual(self.check(self.python, '-c', program), 'got a message\n')

    def test_venv_through_a_link_beside_another_python(self):
        """As /usr/bin/python may be: the library is that of the tree, not the one above the link."""
        fake = os.path.join(self.folder, 'fake')
        self.addCleanup(shutil.rmtree, fake)
        for name in 'bin', 'lib':
            os.makedirs(os.path.join(fake, name))
        os.symlink(os.path.dirname(os.__file__), os.path.join(fake, 'lib', 'python3.11'))
        os.symlink(self.python, os.path.join(fake, 'bin', 'python'))
        env = os.path.join(fake, 'env')
        self.check(os.path.join(fake, 'bin', 'python'), '-m', 'venv', '--without-pip', env)
        program = 'import os, stackless, sys; print(sys.prefix, sys.base_prefix, os.__file__)'
        self.assertEqual(self.check(os.path.join(env, 'bin', 'python'), '-c', program).split(),
                         [env, self.tree, os.path.join(self.tree, 'lib', 'python3.11', 'os.py')])

    def test_uninstall(self):
        """Everything that was installed goes, and only that."""
        staging = os.path.join(self.folder, 'uninstall')
        self.addCleanup(shutil.rmtree, staging, True)
        tree = staging + PREFIX
        shutil.copytree(self.tree, tree, symlinks=True)
        foreign = os.path.join(tree, 'lib', 'python3.11', 'site-packages', 'foreign.py')
        with open(foreign, 'w', encoding='utf-8') as file:
            file.write('')
        self.check(os.path.join(tree, 'bin', 'python'), '-c', 'import foreign, asyncio, test.test_stackless.cases')
        make('uninstall', staging)
        left = {name for name in contents(tree) if '__pycache__/foreign.' not in name}
        self.assertEqual(left, {os.path.relpath(foreign, tree)})

    def test_uninstall_leaves_no_folder(self):
        staging = os.path.join(self.folder, 'uninstall')
        self.addCleanup(shutil.rmtree, staging, True)
        shutil.copytree(self.tree, staging + PREFIX, symlinks=True)
        make('uninstall', staging)
        self.assertFalse(os.path.exists(staging + PREFIX))


if __name__ == '__main__':
    unittest.main()
