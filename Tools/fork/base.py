"""The base: the CPython 3.11 installation whose archives we link.

Run by a candidate interpreter itself, since only its own sysconfig knows where its parts lie:

    PYTHON Tools/fork/base.py probe         shell assignments for configure, or one line on stderr and status 1
    PYTHON Tools/fork/base.py fingerprint   one line that changes whenever a file that we build against changes
"""

import hashlib
import os
import platform
import shlex
import sys
import sysconfig

VERSION = (3, 11)
DEV_PACKAGE = 'libpython3.11-dev'


class Unsuitable(Exception):
    """This interpreter cannot be the base; the text says why and what to install."""


def locate():
    """Return {name: path or flags} of everything the build takes from this interpreter."""
    found = '%s is %s %s' % (sys.executable, platform.python_implementation(), platform.python_version())
    if sys.implementation.name != 'cpython' or sys.version_info[:2] != VERSION:
        raise Unsuitable('%s, but the base must be CPython 3.11: install the Debian package python3.11' % found)
    if 'Stackless' in sys.version:
        raise Unsuitable('%s is itself a Stackless Python: choose a stock CPython 3.11' % sys.executable)
    var = sysconfig.get_config_var
    folder = var('LIBPL')
    include = sysconfig.get_path('include')
    parts = {
        'BASE_PYTHON': sys.executable,
        'BASE_VERSION': platform.python_version(),
        'BASE_STATIC_ARCHIVE': os.path.join(folder, 'libpython3.11.a'),
        'BASE_PIC_ARCHIVE': os.path.join(folder, 'libpython3.11-pic.a'),
        'BASE_CONFIG_C': os.path.join(folder, 'config.c'),
        'BASE_PYTHON_O': os.path.join(folder, 'python.o'),
        'BASE_SHARED_LIBRARY': os.path.join(var('LIBDIR'), var('INSTSONAME')),
        'BASE_INCLUDE': include,
        'BASE_PREFIX': var('prefix'),
        'BASE_STDLIB': sysconfig.get_path('stdlib'),
        'BASE_LIBPL': folder,
        'BASE_MULTIARCH': var('MULTIARCH') or '',
        'BASE_CC': var('CC'),
        'BASE_LIBS': ' '.join(dict.fromkeys((var('MODLIBS') + ' ' + var('LIBS') + ' ' + var('SYSLIBS')).split())),
    }
    needed = [
        (parts['BASE_STATIC_ARCHIVE'], DEV_PACKAGE),
        (parts['BASE_PIC_ARCHIVE'], DEV_PACKAGE),
        (parts['BASE_CONFIG_C'], DEV_PACKAGE),
        (parts['BASE_PYTHON_O'], DEV_PACKAGE),
        (os.path.join(include, 'Python.h'), DEV_PACKAGE),
        (os.path.join(include, 'internal', 'pycore_frame.h'), DEV_PACKAGE),
        (parts['BASE_SHARED_LIBRARY'], 'libpython3.11'),
        (os.path.join(parts['BASE_STDLIB'], 'asyncio', '__init__.py'), 'libpython3.11-stdlib'),
        (os.path.join(parts['BASE_STDLIB'], 'ensurepip', '__init__.py'), 'python3.11-venv'),
    ]
    for path, package in needed:
        if not os.path.isfile(path):
            raise Unsuitable('%s lacks %s: install the Debian package %s' % (sys.executable, path, package))
    return parts


def build_inputs(parts):
    """Yield every file of the base that the build reads, headers included."""
    for name in ('BASE_PYTHON', 'BASE_STATIC_ARCHIVE', 'BASE_PIC_ARCHIVE', 'BASE_CONFIG_C', 'BASE_PYTHON_O'):
        yield parts[name]
    yield sysconfig.get_config_h_filename()
    yield sysconfig.get_makefile_filename()
    roots = [parts['BASE_INCLUDE'], os.path.join('/usr/include', parts['BASE_MULTIARCH'], 'python3.11')]
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                if name.endswith('.h'):
                    yield os.path.join(folder, name)


def fingerprint():
    """Digest of the contents of build_inputs()."""
    digest = hashlib.sha256()
    for path in build_inputs(locate()):
        with open(path, 'rb') as file:
            digest.update(path.encode() + b'\0' + file.read())
    return 'CPython %s %s' % (platform.python_version(), digest.hexdigest())


def main(argv):
    try:
        if argv == ['probe']:
            for name, value in locate().items():
                print('%s=%s' % (name, shlex.quote(value)))
            return 0
        if argv == ['fingerprint']:
            print(fingerprint())
            return 0
    except Unsuitable as error:
        print(error, file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
