"""The distribution as a whole: what it says it is, where its parts are, venv, pip, and binary wheels."""

import base64
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import unittest
import zipfile

from . import interpreters

# Prints what our python must have in common with the base, as JSON.
IDENTITY = '''
import importlib.machinery, importlib.util, json, platform, sys, sysconfig
print(json.dumps({
    'version': platform.python_version(), 'info': sys.version_info[:], 'hexversion': sys.hexversion,
    'implementation': sys.implementation.name, 'implementation_version': sys.implementation.version[:],
    'cache_tag': sys.implementation.cache_tag, 'multiarch': getattr(sys.implementation, '_multiarch', None),
    'platform_implementation': platform.python_implementation(), 'abiflags': sys.abiflags,
    'api_version': sys.api_version, 'suffixes': importlib.machinery.EXTENSION_SUFFIXES,
    'soabi': sysconfig.get_config_var('SOABI'), 'ext_suffix': sysconfig.get_config_var('EXT_SUFFIX'),
    'platform': sysconfig.get_platform(), 'magic': importlib.util.MAGIC_NUMBER.hex(), 'maxsize': sys.maxsize,
    'float': sys.float_repr_style, 'hash': sys.hash_info[:], 'int': sys.int_info[:],
    'builtins': sorted(dir(__builtins__)),
    'stdlib': sorted(sys.stdlib_module_names),
}))
'''


class Identity(unittest.TestCase):
    """What programs ask to find out where they run."""

    def test_version(self):
        self.assertIn('Stackless 3.11', sys.version)
        self.assertTrue(sys.version.startswith('%d.%d.%d' % sys.version_info[:3]), sys.version)
        self.assertEqual(sys.version_info[:2], (3, 11))

    def test_version_option(self):
        self.assertEqual(interpreters.check_python(self, '-V'), f'Python {platform.python_version()}\n')
        self.assertEqual(interpreters.check_python(self, '-VV'), f'Python {sys.version}\n')

    def test_platform_understands_the_version(self):
        self.assertEqual(platform.python_implementation(), 'CPython')
        self.assertEqual(platform.python_version(), '%d.%d.%d' % sys.version_info[:3])
        self.assertEqual(len(platform.python_build()), 2)
        self.assertRegex(platform.python_compiler(), r'^(GCC|Clang) \d')

    def test_same_as_base(self):
        """Everything that decides which files, caches and wheels fit is the base's; names are added only."""
        if interpreters.BASE is None:
            self.skipTest('there is no base python')
        ours = json.loads(interpreters.check_python(self, '-c', IDENTITY))
        base = json.loads(interpreters.check_python(self, '-c', IDENTITY, python=interpreters.BASE))
        for name in 'builtins', 'stdlib':
            self.assertEqual(set(base.pop(name)) - set(ours.pop(name)), set(), name)
        self.assertEqual(ours, base)


class Paths(unittest.TestCase):
    """Where the parts are."""

    def test_standard_library(self):
        self.assertTrue(os.path.exists(os.path.join(sysconfig.get_path('stdlib'), 'os.py')))
        self.assertEqual(os.path.dirname(os.__file__), sysconfig.get_path('stdlib'))

    def test_headers(self):
        for name in 'include', 'platinclude':
            self.assertTrue(os.path.isdir(sysconfig.get_path(name)), name)
        self.assertTrue(os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))
        self.assertTrue(os.path.exists(sysconfig.get_config_h_filename()), sysconfig.get_config_h_filename())

    def test_path_has_no_strays(self):
        """Every entry of sys.path of a fresh interpreter exists, the zip file of the library excepted."""
        path = json.loads(interpreters.check_python(self, '-I', '-c',
                                                    'import json, sys; print(json.dumps(sys.path))'))
        self.assertEqual([p for p in path if not os.path.exists(p) and not p.endswith('.zip')], [])
        self.assertEqual(len(path), len(set(path)), path)

    def test_executable(self):
        self.assertEqual(interpreters.check_python(self, '-c', 'import sys; print(sys.executable)').strip(),
                         os.path.normpath(sys.executable))

    def test_through_a_symbolic_link(self):
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, 'python')
            os.symlink(sys.executable, link)
            printed = interpreters.check_python(self, '-c', 'import sys, stackless; print(sys.prefix)',
                                                python=link, cwd=folder)
            self.assertEqual(printed.strip(), sys.prefix)

    def test_sysconfig_command(self):
        printed = interpreters.check_python(self, '-m', 'sysconfig')
        self.assertIn(f'Python version: "{sys.version_info[0]}.{sys.version_info[1]}"', printed)
        self.assertIn('EXT_SUFFIX', printed)

    def test_site(self):
        printed = interpreters.check_python(self, '-m', 'site')
        self.assertIn('ENABLE_USER_SITE: True', printed)

    def test_every_library_extension_imports(self):
        """All extension modules beside the library can be loaded."""
        folders = [p for p in sys.path if p.endswith('lib-dynload')]
        self.assertTrue(folders, sys.path)
        names = sorted({f.partition('.')[0] for f in os.listdir(folders[0]) if f.endswith('.so')})
        self.assertGreater(len(names), 30)
        program = f'for name in {names!r}:\n    __import__(name)\nprint("done")'
        self.assertEqual(interpreters.check_python(self, '-c', program), 'done\n')


def write_wheel(folder, name, files, tag='py3-none-any', entry_points=''):
    """Write a wheel with the given {path: bytes} into folder; return its path."""
    info = f'{name}-1.0.dist-info'
    files = dict(files)
    files[f'{info}/METADATA'] = f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n'.encode()
    pure = 'true' if tag.endswith('any') else 'false'
    files[f'{info}/WHEEL'] = (f'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\n'
                              f'Tag: {tag}\n').encode()
    if entry_points:
        files[f'{info}/entry_points.txt'] = entry_points.encode()
    record = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()
        record.append(f'{path},sha256={digest},{len(data)}')
    files[f'{info}/RECORD'] = '\n'.join([*record, f'{info}/RECORD,,\n']).encode()
    wheel = os.path.join(folder, f'{name}-1.0-{tag}.whl')
    with zipfile.ZipFile(wheel, 'w') as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


# An extension of the kind that wheels carry: it creates and calls Python functions and looks into frames.
EXTENSION = r'''
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>

static PyObject *
call_twice(PyObject *self, PyObject *function)
{
    PyObject *first = PyObject_CallNoArgs(function);
    if (first == NULL) {
        return NULL;
    }
    PyObject *second = PyObject_CallNoArgs(function);
    if (second == NULL) {
        Py_DECREF(first);
        return NULL;
    }
    return Py_BuildValue("(NN)", first, second);
}

static PyObject *
caller_line(PyObject *self, PyObject *unused)
{
    PyFrameObject *frame = PyEval_GetFrame();
    return PyLong_FromLong(frame == NULL ? -1 : PyFrame_GetLineNumber(frame));
}

static PyMethodDef methods[] = {
    {"call_twice", call_twice, METH_O, NULL},
    {"caller_line", caller_line, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "sample_binary", NULL, -1, methods,
                                    NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit_sample_binary(void)
{
    return PyModule_Create(&module);
}
'''


class Venv(unittest.TestCase):
    """Virtual environments, and pip in one of them, without a network."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='venv')
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)

    def make(self, name, *options):
        """Make a venv and return its python."""
        target = os.path.join(self.folder, name)
        interpreters.check_python(self, '-m', 'venv', *options, target, timeout=300)
        return os.path.join(target, 'bin', 'python')

    def check_prefix(self, python, folder):
        """The venv's python is ours, with its own prefix and our library."""
        program = ('import stackless, sys, sysconfig\n'
                   'print(sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), sys.version)')
        prefix, base_prefix, purelib, version = interpreters.check_python(self, '-c', program,
                                                                          python=python).split(None, 3)
        self.assertEqual(prefix, folder)
        self.assertEqual(base_prefix, os.path.normpath(sys.base_prefix))
        self.assertTrue(purelib.startswith(folder), purelib)
        self.assertEqual(version.strip(), sys.version)

    def test_links(self):
        self.check_prefix(self.make('links', '--without-pip', '--symlinks'),
                          os.path.join(self.folder, 'links'))

    def test_copies(self):
        self.check_prefix(self.make('copies', '--without-pip', '--copies'),
                          os.path.join(self.folder, 'copies'))

    def test_venv_of_a_venv(self):
        first = self.make('first', '--without-pip')
        target = os.path.join(self.folder, 'second')
        interpreters.check_python(self, '-m', 'venv', '--without-pip', target, python=first)
        self.check_prefix(os.path.join(target, 'bin', 'python'), target)

    def test_isolated_from_system_packages(self):
        python = self.make('alone', '--without-pip')
        self.assertNotEqual(interpreters.run_python('-c', 'import numpy', python=python).returncode, 0)

    def test_tasklets_in_a_venv(self):
        python = self.make('tasklets', '--without-pip')
        program = 'import stackless; stackless.tasklet(print)("from a tasklet"); stackless.run()'
        self.assertEqual(interpreters.check_python(self, '-c', program, python=python), 'from a tasklet\n')

    def test_activate(self):
        python = self.make('active', '--without-pip')
        activate = os.path.join(os.path.dirname(python), 'activate')
        done = interpreters.run('bash', '-c', f'. {activate} && python -c "import sys; print(sys.prefix)"')
        self.assertEqual(done.stdout.strip(), os.path.join(self.folder, 'active'), done.stderr)

    def test_pip(self):
        """pip comes with the venv, installs a wheel and its script, lists it, and takes it away again."""
        python = self.make('pip')
        wheel = write_wheel(self.folder, 'sample_pure', {
            'sample_pure.py': b'import stackless\n\ndef main():\n'
                              b'    stackless.tasklet(print)("sample")\n    stackless.run()\n'},
            entry_points='[console_scripts]\nsample-script = sample_pure:main\n')
        pip = ('-m', 'pip', '--disable-pip-version-check', '--no-cache-dir')
        env = {name: None for name in os.environ if name.startswith('PIP_')}
        options = {'python': python, 'timeout': 300, **env}
        printed = interpreters.check_python(self, *pip, 'install', '--no-index', wheel, **options)
        self.assertIn('Successfully installed', printed)
        script = interpreters.run(os.path.join(os.path.dirname(python), 'sample-script'))
        self.assertEqual((script.returncode, script.stdout), (0, 'sample\n'), script.stderr)
        self.assertRegex(interpreters.check_python(self, *pip, 'list', **options),
                         r'(?m)^sample[-_]pure +1\.0')
        self.assertIn('Version: 1.0', interpreters.check_python(self, *pip, 'show', 'sample-pure', **options))
        self.assertIn('No broken requirements', interpreters.check_python(self, *pip, 'check', **options))
        interpreters.check_python(self, *pip, 'uninstall', '-y', 'sample-pure', **options)
        self.assertNotEqual(interpreters.run_python('-c', 'import sample_pure', python=python).returncode, 0)
        tags = interpreters.check_python(self, *pip, 'debug', '--verbose', **options)
        self.assertIn(f'cp311-cp311-{sysconfig.get_platform().replace("-", "_").replace(".", "_")}', tags)

    def test_binary_wheel(self):
        """A wheel with an extension, compiled with the flags that sysconfig names, installs and works."""
        compiler = (sysconfig.get_config_var('CC') or 'cc').split()
        compiler = compiler if shutil.which(compiler[0]) else ['cc']
        suffix = sysconfig.get_config_var('EXT_SUFFIX')
        source = os.path.join(self.folder, 'sample_binary.c')
        binary = os.path.join(self.folder, 'sample_binary' + suffix)
        with open(source, 'w') as file:
            file.write(EXTENSION)
        done = subprocess.run([*compiler, '-shared', '-fPIC', '-O2', f'-I{sysconfig.get_path("include")}',
                               f'-I{sysconfig.get_path("platinclude")}', source, '-o', binary],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(binary, 'rb') as file:
            tag = f'cp311-cp311-{sysconfig.get_platform().replace("-", "_").replace(".", "_")}'
            wheel = write_wheel(self.folder, 'sample_binary', {os.path.basename(binary): file.read()}, tag)
        # The wheel of pip runs without being installed, which spares a second venv with pip.
        wheels = [os.path.join(folder, name) for folder in ('/usr/share/python-wheels', )
                  if os.path.isdir(folder)
                  for name in os.listdir(folder) if re.match(r'pip-.*\.whl$', name)]
        if not wheels:
            self.skipTest("Debian's wheel of pip is not there (package python3-pip-whl)")
        target = os.path.join(self.folder, 'target')
        interpreters.check_python(self, os.path.join(wheels[0], 'pip'), 'install', '--no-index',
                                  '--no-cache-dir',
                                  '--disable-pip-version-check', '--target', target, wheel,
                                  **{name: None for name in os.environ if name.startswith('PIP_')})
        program = textwrap.dedent('''
            import sample_binary, stackless
            assert sample_binary.call_twice(iter('ab').__next__) == ('a', 'b')
            assert sample_binary.call_twice(lambda: [n for n in range(3)]) == ([0, 1, 2], [0, 1, 2])
            assert sample_binary.caller_line() == 5
            lines = []
            def work():
                stackless.schedule()
                lines.append(sample_binary.caller_line())
            for _ in range(3):
                stackless.tasklet(work)()
            stackless.run()
            assert lines == [9, 9, 9], lines
            try:
                sample_binary.call_twice(lambda: 1 / 0)
            except ZeroDivisionError:
                print('done')
        ''')
        self.assertEqual(interpreters.check_python(self, '-c', program, PYTHONPATH=target), 'done\n')


@unittest.skipIf(interpreters.SRCDIR is None, 'the sources are not here')
class DebianPackages(unittest.TestCase):
    """debian/ says the same as the rest of the sources."""

    @staticmethod
    def read(name):
        with open(os.path.join(interpreters.SRCDIR, name), encoding='utf-8') as file:
            return file.read()

    def test_build_dependencies(self):
        """They are those that bootstrap installs, without what every build of a package has."""
        installed = re.search(r'(?s)build_packages="(.*?)"', self.read('bootstrap')).group(1)
        wanted = set(installed.replace('\\\n', ' ').split()) - {'binutils', 'gcc', 'libc6-dev', 'make'}
        needed = re.search(r'(?s)Build-Depends:\n(.*?)\nBuild-Depends-Indep', self.read('debian/control')).group(1)
        self.assertEqual({line.strip(' ,') for line in needed.splitlines()}, wanted | {'debhelper-compat (= 13)'})

    def test_version(self):
        """A package's version begins with that of the Python it is."""
        version = re.match(r'stackless-python3\.11 \(([^+]*)\+stackless', self.read('debian/changelog')).group(1)
        self.assertEqual(version, platform.python_version())


if __name__ == '__main__':
    unittest.main()
