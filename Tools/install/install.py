"""Install a self-contained tree: our executable and library, and a standard library of its own.

The tree can be moved and packed: nothing in it says where it lies.  The interpreter finds its library from its own
place (Python/paths.c), and so do the other files, each by one of the forms at HERE below.

    install.py ... install --prefix P --destdir D      what `make install` runs
    install.py ... uninstall --prefix P --destdir D
    install.py ... write-config --output FILE          python3.11-config
    install.py ... write-pc --output FILE              python-3.11.pc, python-3.11-embed.pc, stackless-embed.pc
    install.py ... freeze-site --output FILE.c         the installed tree's site module, to be linked in

The standard library is copied from the base's packages.  Debian adapts a few of its files to the system's Python
(dist-packages, no ensurepip); in the copy these places are put right, each by one of PATCHES below, which must
match exactly as often as it says, or the installation stops.
"""

import argparse
import ast
import glob
import marshal
import os
import pprint
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig

# With -I the folder of another tool is not on the search path, nor is our own.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'fork'))
from sysroot import SysrootError, adopt  # noqa: E402

VERSION = '3.11'
PYTHON_DIR = 'python' + VERSION
LIBRARY = 'libpython3.11.so.1.0'
# Where gdb looks for the commands that belong to a library.
GDB_SCRIPT = LIBRARY + '-gdb.py'
RECORD = 'stackless-installed-files.txt'
# The pkg-config name of the library for programs that embed, which then find it where it lies.
EMBED = 'stackless-embed'
EXAMPLES = ('share', 'doc', 'stackless-python', 'examples')
WHEELS = '/usr/share/python-wheels'
LICENCE_OF_BASE = '/usr/share/doc/libpython3.11-stdlib/copyright'

# Of the base's library folder, what belongs to the system and not to the standard library.
LEFT_OUT = {'EXTERNALLY-MANAGED', 'sitecustomize.py', 'dist-packages', '__pycache__'}

SITE_PACKAGES = '''\
            for libdir in libdirs:
                sitepackages.append(os.path.join(prefix, libdir, "python%d.%d" % sys.version_info[:2],
                                                 "site-packages"))
'''

IN_ENVIRONMENT = r'def is_virtual_environment\(\):\n    return .*\n'

# (file, pattern, replacement, how often it matches)
PATCHES = [
    ('sysconfig.py', r"prefix_scheme = '(posix_local|deb_system)'", "prefix_scheme = 'posix_prefix'", 2),
    ('site.py', r'(?s)            if is_virtual_environment:\n.*?(?=        else:\n)', SITE_PACKAGES, 1),
    ('ensurepip/__init__.py', r'(?m)^ +_ensurepip_is_disabled_in_debian_for_system\(\)\n', '', 1),
    # Debian's distutils and its setuptools already do in a virtual environment what is right in our tree.
    ('distutils/sysconfig.py', IN_ENVIRONMENT, 'def is_virtual_environment():\n    return True\n', 1),
    ('_distutils_system_mod.py', IN_ENVIRONMENT, 'def is_virtual_environment():\n    return True\n', 1),
]

# The variables of sysconfig that name places of the installation itself.
PLACES = {
    'BINDIR', 'BINLIBDEST', 'CONFIG_ARGS', 'CONFINCLUDEDIR', 'CONFINCLUDEPY', 'DESTDIRS', 'DESTLIB', 'DESTSHARED',
    'INCLDIRSTOMAKE', 'INCLUDEDIR', 'INCLUDEPY', 'LIBDEST', 'LIBDIR', 'LIBPC', 'LIBPL', 'MACHDESTLIB', 'MANDIR',
    'SCRIPTDIR', 'datarootdir', 'exec_prefix', 'prefix',
}

# How the files of the tree name its root, wherever that is.
HERE = {
    'sysconfig': '{root}',      # put in by the last lines of SYSCONFIG_DATA
    'make': '$(prefix)',
    'sh': '$prefix',
    'pkg-config': '${prefix}',
}
MAKE_PREFIX = 'prefix:=\t$(abspath $(dir $(lastword $(MAKEFILE_LIST)))../../..)'
SH_PREFIX = '$(dirname -- "$(dirname -- "$(realpath -- "$0")")")'
PKGCONFIG_PREFIX = '${pcfiledir}/../..'

SYSCONFIG_DATA = '''\
# The variables of this build, for sysconfig.  The second table names places in the tree.
import os

build_time_vars = {variables}
places = {places}

root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build_time_vars.update((name, value.replace('{root}', root)) for name, value in places.items())
'''

# A script's first lines: sh runs the interpreter that lies beside the script, which takes them for a string.
SCRIPT_START = '''\
#!/bin/sh
\'\'\'exec' "$(dirname -- "$(realpath -- "$0")")/python3.11" "$0" "$@"
' \'\'\'
'''
# The first lines that pip writes instead: it has the second form for names that are long or contain spaces.
PIP_START = r"""\A#!(/bin/sh\n'''exec' .*\n' '''|.*)\n"""
PYDOC = 'import pydoc\n\nif __name__ == "__main__":\n    pydoc.cli()\n'


class InstallError(Exception):
    """The tree cannot be installed; the text says why."""


def patched(path, name):
    """The text of one file of the base's standard library as it is in our tree."""
    with open(path, encoding='utf-8') as file:
        text = file.read()
    for target, pattern, replacement, count in PATCHES:
        if target == name:
            text, found = re.subn(pattern, lambda match: replacement, text)
            if found != count:
                raise InstallError('the base\'s %s is not as expected: %d places match %r, not %d'
                                   % (name, found, pattern, count))
    ast.parse(text, name)
    return text


class Installer:
    """One installation: where things come from, where they go, and which files were written."""

    def __init__(self, options):
        self.options = options
        self.prefix = os.path.abspath(options.prefix)
        self.root = os.path.abspath(options.destdir) + self.prefix if options.destdir else self.prefix
        self.stdlib = os.path.join(self.root, 'lib', PYTHON_DIR)
        self.files = []

    # --- Small steps, each noting what it wrote ---

    def place(self, *parts):
        """The path of a file in the tree; its folder is made and the file noted."""
        path = os.path.join(self.root, *parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.files.append(os.path.relpath(path, self.root))
        return path

    def copy(self, source, *parts, mode=None):
        path = self.place(*parts)
        if os.path.lexists(path):
            os.unlink(path)
        shutil.copy2(source, path)
        os.chmod(path, mode or (0o755 if os.access(source, os.X_OK) else 0o644))

    def link(self, target, *parts):
        path = self.place(*parts)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(target, path)

    def write(self, text, *parts, mode=0o644):
        path = self.place(*parts)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)

    @staticmethod
    def rewrite(path, text):
        """Change a file that was copied."""
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def copy_tree(self, source, *parts, leave_out=frozenset()):
        """Copy the files below `source`, without caches, linked folders and the names in leave_out."""
        for folder, folders, names in os.walk(source):
            folders[:] = sorted(set(folders) - {'__pycache__'} - leave_out)
            below = os.path.relpath(folder, source)
            for name in sorted(set(names) - leave_out):
                self.copy(os.path.join(folder, name), *parts, os.path.normpath(os.path.join(below, name)))

    # --- The parts of the tree ---

    def programs(self):
        self.copy(os.path.join(self.options.builddir, 'python'), 'bin', PYTHON_DIR, mode=0o755)
        self.link(PYTHON_DIR, 'bin', 'python3')
        self.link(PYTHON_DIR, 'bin', 'python')
        self.write(config_script(self.options, installed=True), 'bin', PYTHON_DIR + '-config', mode=0o755)
        self.link(PYTHON_DIR + '-config', 'bin', 'python3-config')
        self.write(SCRIPT_START + PYDOC, 'bin', 'pydoc' + VERSION, mode=0o755)
        self.link('pydoc' + VERSION, 'bin', 'pydoc3')
        self.link('../lib/' + GDB_SCRIPT, 'bin', PYTHON_DIR + '-gdb.py')

    def library(self):
        self.copy(os.path.join(self.options.builddir, LIBRARY), 'lib', LIBRARY, mode=0o755)
        self.link(LIBRARY, 'lib', 'libpython3.11.so.1')
        self.link(LIBRARY, 'lib', 'libpython3.11.so')
        self.copy(os.path.join(self.options.srcdir, 'Tools', 'gdb', 'stackless-gdb.py'), 'lib', GDB_SCRIPT)
        for name in ('python-3.11', 'python-3.11-embed'):
            self.write(pkgconfig(self.options, name, installed=True), 'lib', 'pkgconfig', name + '.pc')
            self.link(name + '.pc', 'lib', 'pkgconfig', name.replace('-3.11', '3') + '.pc')
        self.write(pkgconfig(self.options, EMBED, installed=True), 'lib', 'pkgconfig', EMBED + '.pc')

    def headers(self):
        self.copy_tree(self.options.base_include, 'include', PYTHON_DIR)
        # The base's is a switch over architectures in /usr/include; ours is the real one.
        multiarch = os.path.join('/usr/include', self.options.multiarch, PYTHON_DIR, 'pyconfig.h')
        if os.path.exists(multiarch):
            self.copy(multiarch, 'include', PYTHON_DIR, 'pyconfig.h')
        self.copy_tree(os.path.join(self.options.srcdir, 'Include'), 'include', PYTHON_DIR)

    def standard_library(self):
        source = self.options.base_stdlib
        for name in sorted(set(os.listdir(source)) - LEFT_OUT):
            path = os.path.join(source, name)
            if name.startswith(('config-', '_sysconfigdata_')):
                continue
            if not os.path.isdir(path):
                self.copy(path, 'lib', PYTHON_DIR, name)
            elif name == 'lib-dynload' or os.path.exists(os.path.join(path, '__init__.py')):
                # A folder without __init__.py holds only the tests of a package that is not installed.
                self.copy_tree(path, 'lib', PYTHON_DIR, name)
        self.copy_tree(os.path.join(self.options.srcdir, 'Lib'), 'lib', PYTHON_DIR)
        for path in sorted(glob.glob(os.path.join(self.options.builddir, 'Modules', '_teststackless*.so'))):
            # As CPython installs the extensions of its own tests.
            self.copy(path, 'lib', PYTHON_DIR, 'lib-dynload', os.path.basename(path), mode=0o755)
        if os.path.exists(LICENCE_OF_BASE):
            self.copy(LICENCE_OF_BASE, 'lib', PYTHON_DIR, 'LICENSE.txt')
        self.copy(os.path.join(self.options.srcdir, 'LICENSE'), 'lib', PYTHON_DIR, 'stackless', 'LICENSE.txt')
        os.makedirs(os.path.join(self.stdlib, 'site-packages'), exist_ok=True)

    def examples(self):
        self.copy_tree(os.path.join(self.options.srcdir, 'examples'), *EXAMPLES)

    def patches(self):
        for name in sorted({patch[0] for patch in PATCHES}):
            path = os.path.join(self.stdlib, name)
            if os.path.exists(path) or 'distutils' not in name:     # most of distutils is a package of its own
                self.rewrite(path, patched(path, name))

    def relocated(self, value, language):
        """A variable's value with the places of the base replaced by ours, for a file of that language."""
        pattern = r'(?<![\w./])/usr(/lib/%s)?(?=[/\s\']|$)' % re.escape(self.options.multiarch)
        return re.sub(pattern, lambda match: HERE[language] + ('/lib' if match.group(1) else ''), value)

    def manual(self):
        page = 'stackless-python.1'
        self.copy(os.path.join(self.options.srcdir, 'Doc', 'man', page), 'share', 'man', 'man1', page)
        for name in (PYTHON_DIR, 'python3', 'python'):
            self.link(page, 'share', 'man', 'man1', name + '.1')

    def sysconfig_data(self):
        """What sysconfig answers: the base's variables with our places."""
        name = '_sysconfigdata__%s' % self.options.multiarch
        scope = {}
        with open(os.path.join(self.options.base_stdlib, name + '.py'), encoding='utf-8') as file:
            exec(file.read(), scope)
        variables = scope['build_time_vars']
        places = {key: self.relocated(variables.pop(key), 'sysconfig') for key in PLACES & set(variables)}
        variables['WHEEL_PKG_DIR'] = ''     # ensurepip has its own wheels
        self.write(SYSCONFIG_DATA.replace('{variables}', pprint.pformat(variables))
                   .replace('{places}', pprint.pformat(places)), 'lib', PYTHON_DIR, name + '.py')
        self.link(name + '.py', 'lib', PYTHON_DIR, '_sysconfigdata__linux_%s.py' % self.options.multiarch)

    def config_folder(self):
        """The folder with the Makefile that sysconfig and some build tools read."""
        source = self.options.base_libpl
        folder = os.path.basename(source)
        for name in sorted(os.listdir(source)):
            if not name.startswith('libpython') and name not in ('Makefile', 'python-config.py'):
                self.copy(os.path.join(source, name), 'lib', PYTHON_DIR, folder, name)
        with open(os.path.join(source, 'Makefile'), encoding='utf-8') as file:
            text = file.read()
        text = re.sub(r'(?m)^(%s)=.*$' % '|'.join(sorted(PLACES)),
                      lambda match: self.relocated(match.group(), 'make'), text)
        text, count = re.subn(r'(?m)^prefix=.*$', lambda match: MAKE_PREFIX, text)
        if count != 1:
            raise InstallError('the base\'s Makefile does not say where its prefix is')
        self.write(text, 'lib', PYTHON_DIR, folder, 'Makefile')
        self.link('../../' + LIBRARY, 'lib', PYTHON_DIR, folder, 'libpython3.11.so')

    def wheels(self):
        """Bundle the wheels that ensurepip installs; false when a package with them is missing."""
        path = os.path.join(self.stdlib, 'ensurepip', '__init__.py')
        for project in ('pip', 'setuptools'):
            found = sorted(glob.glob(os.path.join(WHEELS, project + '-*-py3-none-any.whl')))
            if not found:
                return False
            self.copy(found[-1], 'lib', PYTHON_DIR, 'ensurepip', '_bundled', os.path.basename(found[-1]))
            version = os.path.basename(found[-1]).split('-')[1]
            with open(path, encoding='utf-8') as file:
                text = file.read()
            text, count = re.subn(r'(?m)^_%s_VERSION = .*$' % project.upper(),
                                  '_%s_VERSION = "%s"' % (project.upper(), version), text)
            if count != 1:
                raise InstallError('the base\'s ensurepip does not say which %s it bundles' % project)
            self.rewrite(path, text)
        return True

    # --- What the new interpreter does itself ---

    def run(self, *arguments):
        """Run the interpreter of the tree."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(('PYTHON', 'PIP_'))}
        python = os.path.join(self.root, 'bin', PYTHON_DIR)
        if subprocess.run([python, '-E', '-s', *arguments], env=environment).returncode:
            raise InstallError('%s %s failed' % (python, ' '.join(arguments[:2])))

    def compile(self):
        tests = re.escape(self.stdlib) + '/(?!site-packages/)(.*/)?tests?/'
        arguments = ['-m', 'compileall', '-q', '-f', '-j0', '-x', tests]
        if self.options.destdir:
            arguments += ['-s', os.path.abspath(self.options.destdir), '-p', '/']
        self.run(*arguments, self.stdlib)

    def pip(self):
        """Install pip and setuptools from the bundled wheels; the scripts run the interpreter beside them."""
        before = set(self.everything()) - (self.recorded() - set(self.files))
        self.run('-B', '-m', 'ensurepip', '--upgrade', '--default-pip')
        added = set(self.everything()) - before
        self.files += sorted(added)
        for name in sorted(added):
            if os.path.dirname(name) == 'bin':
                path = os.path.join(self.root, name)
                with open(path, encoding='utf-8') as file:
                    text = file.read()
                self.rewrite(path, re.sub(PIP_START, lambda match: SCRIPT_START, text))

    def recorded(self):
        """The files of an earlier installation in the same place."""
        try:
            with open(os.path.join(self.stdlib, RECORD), encoding='utf-8') as file:
                return set(file.read().split('\n')[:-1])
        except FileNotFoundError:
            return set()

    def everything(self):
        """The paths of all files in bin/ and site-packages, relative to the root of the tree."""
        for top in (os.path.join(self.root, 'bin'), os.path.join(self.stdlib, 'site-packages')):
            for folder, _, names in os.walk(top):
                if os.path.basename(folder) != '__pycache__':
                    yield from (os.path.relpath(os.path.join(folder, name), self.root) for name in names)

    # --- The whole ---

    def install(self):
        self.programs()
        self.library()
        self.headers()
        self.standard_library()
        self.examples()
        self.manual()
        self.sysconfig_data()
        self.config_folder()
        self.patches()
        has_wheels = self.wheels()
        if has_wheels:
            self.pip()
        else:
            print('install: without pip: the Debian packages python3-pip-whl and python3-setuptools-whl are missing')
        self.compile()
        self.write('\n'.join(sorted(set(self.files))) + '\n', 'lib', PYTHON_DIR, RECORD)
        print('install: %d files in %s' % (len(set(self.files)), self.root))

    def uninstall(self):
        """Remove what was installed, caches included; what others put into the tree stays."""
        record = os.path.join(self.stdlib, RECORD)
        if not os.path.exists(record):
            raise InstallError('there is no %s: nothing is installed in %s' % (record, self.root))
        with open(record, encoding='utf-8') as file:
            names = file.read().split('\n')[:-1] + [os.path.relpath(record, self.root)]
        folders = set()
        for name in names:
            path = os.path.join(self.root, name)
            if os.path.lexists(path):
                os.unlink(path)
            stem = os.path.splitext(os.path.basename(path))[0]
            cache = os.path.join(os.path.dirname(path), '__pycache__')
            if path.endswith('.py') and os.path.isdir(cache):
                for entry in os.listdir(cache):
                    if entry.startswith(stem + '.cpython-'):
                        os.unlink(os.path.join(cache, entry))
                folders.add(cache)
            folder = os.path.dirname(path)
            while folder.startswith(self.root):
                folders.add(folder)
                folder = os.path.dirname(folder)
        for folder in sorted(folders | {os.path.join(self.stdlib, 'site-packages')}, key=len, reverse=True):
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
        print('uninstall: %d files removed from %s' % (len(names), self.root))


def frozen_site(options):
    """C source with the marshalled code of our site module, which the interpreter imports instead of site.py."""
    text = patched(os.path.join(options.base_stdlib, 'site.py'), 'site.py')
    data = marshal.dumps(compile(text, '<frozen site>', 'exec', dont_inherit=True, optimize=0))
    lines = [', '.join(map(str, data[at:at + 24])) for at in range(0, len(data), 24)]
    return ('/* The site module of an installed tree, from the base\'s site.py.  Made at build time. */\n'
            '#include <stddef.h>\n#include "slp_paths.h"\n\n'
            'const unsigned char slp_frozen_site[] = {\n    %s\n};\n'
            'const size_t slp_frozen_site_size = sizeof(slp_frozen_site);\n' % ',\n    '.join(lines))


# --- python3.11-config and the pkg-config files: for a tree, which they find from their own place, or for the build
# folder ---------------------------------------------------------------------------------------------------------------

def flags(options, language, installed):
    """(flags for the headers, flags for the library) as a file of that language says them."""
    if installed:
        return '-I%s/include/%s' % (HERE[language], PYTHON_DIR), '-L%s/lib' % HERE[language]
    build, source = os.path.abspath(options.builddir), os.path.abspath(options.srcdir)
    return '-I%s/Include -I%s' % (source, options.base_include), '-L%s -Wl,-rpath,%s' % (build, build)


def config_script(options, installed=False):
    """The text of python3.11-config."""
    includes, libs = flags(options, 'sh', installed)
    var = sysconfig.get_config_var
    libpl = options.base_libpl
    if installed:
        libpl = '%s/lib/%s/%s' % (HERE['sh'], PYTHON_DIR, os.path.basename(libpl))
    values = {
        'PREFIX': SH_PREFIX if installed else shlex.quote(os.path.abspath(options.builddir)),
        'INCLUDES': includes,
        'CFLAGS': ' '.join('{} {} {}'.format(var('BASECFLAGS'), var('CONFIGURE_CFLAGS'), var('OPT')).split()),
        'LIBS': ' '.join('{} {}'.format(var('LIBS'), var('SYSLIBS')).split()),
        'LDFLAGS': '{} {}'.format(libs, options.link_flags).strip(),
        'EXT_SUFFIX': var('EXT_SUFFIX'),
        'CONFIGDIR': libpl,
    }
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'python-config.in'), encoding='utf-8') as file:
        return re.sub('@([A-Z_]+)@', lambda match: values[match.group(1)], file.read())


def pkgconfig(options, name, installed=False):
    """The text of a pkg-config file: for extensions, for programs that embed, and EMBED."""
    includes, libs = flags(options, 'pkg-config', installed)
    embed = name.endswith('-embed')
    if name == EMBED and installed:
        libs += ' -Wl,-rpath,%s/lib' % HERE['pkg-config']
    purpose = 'Embed Stackless Python into an application' if embed else 'Build a C extension for Stackless Python'
    return '\n'.join([
        'prefix=' + (PKGCONFIG_PREFIX if installed else os.path.abspath(options.builddir)),
        '',
        'Name: Stackless Python',
        'Description: ' + purpose,
        'Version: ' + VERSION,
        'Libs:' + (' %s -lpython3.11' % f'{libs} {options.link_flags}'.strip() if embed else ''),
        'Libs.private: ' + ' '.join(sysconfig.get_config_var('LIBS').split()),
        'Cflags: ' + includes,
        '',
    ])


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('srcdir', 'builddir', 'base-stdlib', 'base-include', 'base-libpl', 'multiarch'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--link-flags', default='')
    parser.add_argument('--base-sysroot', help='the folder with the base of another architecture')
    commands = parser.add_subparsers(dest='command', required=True)
    for name in ('install', 'uninstall'):
        command = commands.add_parser(name)
        command.add_argument('--prefix', required=True)
        command.add_argument('--destdir', default='')
    for name in ('write-config', 'write-pc', 'freeze-site'):
        commands.add_parser(name).add_argument('--output', required=True)
    options = parser.parse_args(argv)
    try:
        if options.base_sysroot:
            adopt(options.base_sysroot)
        if options.command == 'install':
            if options.base_sysroot:
                raise InstallError('the interpreter of a tree finishes its installation itself, and one for another '
                                   'architecture does not run here: use it in its build folder')
            Installer(options).install()
        elif options.command == 'uninstall':
            Installer(options).uninstall()
        else:
            if options.command == 'write-config':
                text = config_script(options)
            elif options.command == 'freeze-site':
                text = frozen_site(options)
            else:
                text = pkgconfig(options, os.path.splitext(os.path.basename(options.output))[0])
            with open(options.output, 'w', encoding='utf-8') as file:
                file.write(text)
            os.chmod(options.output, 0o755 if options.command == 'write-config' else 0o644)
    except (InstallError, SysrootError, OSError) as error:
        print('install: %s' % error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
