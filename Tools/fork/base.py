"""The base: the CPython 3.11 installation whose archives we link.

Run by a candidate interpreter itself, since only its own sysconfig knows where its parts lie:

    PYTHON Tools/fork/base.py probe         shell assignments for configure, or one line on stderr and status 1
    PYTHON Tools/fork/base.py fingerprint   one line that changes whenever a file that we build against changes

A base of another architecture is named by one more argument, the folder that its packages are unpacked in
(sysroot.py).  Any python3.11 can then answer for it.
"""

import hashlib
import os
import platform
import shlex
import sys
import sysconfig

# With -I the script's own folder is not on the search path.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sysroot import SysrootError, adopt, inside  # noqa: E402

VERSION = (3, 11)
DEV_PACKAGE = 'libpython3.11-dev'


class Unsuitable(Exception):
    """This interpreter cannot be the base; the text says why and what to install."""


def locate(sysroot=''):
    """Return {name: path or flags} of everything the build takes from this interpreter, or from the one in a
    sysroot: paths are where this machine has them, but for those that the base itself will see."""
    found = '%s is %s %s' % (sys.executable, platform.python_implementation(), platform.python_version())
    if sys.implementation.name != 'cpython' or sys.version_info[:2] != VERSION:
        raise Unsuitable('%s, but the base must be CPython 3.11: install the Debian package python3.11' % found)
    if 'Stackless' in sys.version:
        raise Unsuitable('%s is itself a Stackless Python: choose a stock CPython 3.11' % sys.executable)
    version = adopt(sysroot) if sysroot else platform.python_version()
    var = sysconfig.get_config_var
    folder = inside(sysroot, var('LIBPL'))
    include = inside(sysroot, sysconfig.get_path('include'))
    stdlib = sysconfig.get_path('stdlib')
    parts = {
        'BASE_PYTHON': os.path.join(sysroot, 'usr/bin/python3.11') if sysroot else sys.executable,
        'BASE_VERSION': version,
        'BASE_STATIC_ARCHIVE': os.path.join(folder, 'libpython3.11.a'),
        'BASE_PIC_ARCHIVE': os.path.join(folder, 'libpython3.11-pic.a'),
        'BASE_CONFIG_C': os.path.join(folder, 'config.c'),
        'BASE_PYTHON_O': os.path.join(folder, 'python.o'),
        'BASE_SHARED_LIBRARY': inside(sysroot, os.path.join(var('LIBDIR'), var('INSTSONAME'))),
        'BASE_INCLUDE': include,
        'BASE_PREFIX': var('prefix'),
        'BASE_STDLIB': stdlib,
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
        (os.path.join(inside(sysroot, stdlib), 'asyncio', '__init__.py'), 'libpython3.11-stdlib'),
        (os.path.join(inside(sysroot, stdlib), 'ensurepip', '__init__.py'), 'python3.11-venv'),
    ]
    for path, package in needed:
        if not os.path.isfile(path):
            raise Unsuitable('%s lacks %s: install the Debian package %s' % (parts['BASE_PYTHON'], path, package))
    return parts


def build_inputs(parts, sysroot):
    """Yield every file of the base that the build reads, headers included."""
    for name in ('BASE_PYTHON', 'BASE_STATIC_ARCHIVE', 'BASE_PIC_ARCHIVE', 'BASE_CONFIG_C', 'BASE_PYTHON_O'):
        yield parts[name]
    yield inside(sysroot, sysconfig.get_config_h_filename())
    yield os.path.join(parts['BASE_LIBPL'], 'Makefile')
    multiarch = os.path.join('/usr/include', parts['BASE_MULTIARCH'], 'python3.11')
    roots = [parts['BASE_INCLUDE'], inside(sysroot, multiarch)]
    for root in roots:
        for folder, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                if name.endswith('.h'):
                    yield os.path.join(folder, name)


def fingerprint(sysroot=''):
    """Digest of the contents of build_inputs()."""
    digest = hashlib.sha256()
    parts = locate(sysroot)
    for path in build_inputs(parts, sysroot):
        with open(path, 'rb') as file:
            digest.update(path.encode() + b'\0' + file.read())
    return 'CPython %s %s' % (parts['BASE_VERSION'], digest.hexdigest())


def main(argv):
    try:
        if argv[:1] == ['probe'] and len(argv) <= 2:
            for name, value in locate(*argv[1:]).items():
                print('%s=%s' % (name, shlex.quote(value)))
            return 0
        if argv[:1] == ['fingerprint'] and len(argv) <= 2:
            print(fingerprint(*argv[1:]))
            return 0
    except (Unsuitable, SysrootError) as error:
        print(error, file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
