"""A base of another architecture: its packages are unpacked in a folder, a sysroot, and cannot run here.

What its own sysconfig would say is in a module of its standard library, and its paths are those it has on its own
machine.  A tool that is given a sysroot asks sysconfig as always, after adopt(), and reads files below inside().
"""

import glob
import importlib.util
import os
import re
import sys


class SysrootError(Exception):
    """The folder has no CPython 3.11 for development; the text says what is missing."""


def inside(sysroot, path):
    """Where a path of the base's machine is on this one."""
    return sysroot + path if sysroot else path


def adopt(sysroot):
    """Let this process's sysconfig answer for the base in a sysroot; return the base's version."""
    found = glob.glob(os.path.join(sysroot, 'usr/lib/python3.11/_sysconfigdata__[!l]*.py'))
    header = os.path.join(sysroot, 'usr/include/python3.11/patchlevel.h')
    if len(found) != 1 or not os.path.isfile(header):
        raise SysrootError('%s has no CPython 3.11: unpack the packages python3.11, libpython3.11-dev and '
                           'python3.11-venv of its architecture there' % sysroot)
    name = os.path.splitext(os.path.basename(found[0]))[0]
    spec = importlib.util.spec_from_file_location(name, found[0])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # sysconfig imports the module of this name when it is first asked.
    sys.modules[name] = module
    os.environ['_PYTHON_SYSCONFIGDATA_NAME'] = name
    with open(header, encoding='utf-8') as file:
        return re.search(r'#define PY_VERSION\s+"(.*)"', file.read()).group(1)
