"""Apply the fork to an archive of the base, and prove that it is what the manifest says.

    fork.py apply --archive libpython3.11.a --output our-copy.a      carry out every row of the manifest
    fork.py inittab --config-c config.c --output inittab.c           the base's module table, ours added
    fork.py check ...                                                what `make check-fork` runs

A copy of the archive is edited with ar and objcopy; the base's own files are never touched.  The rows and their
format are described at the top of the manifest.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MANIFEST = os.path.join(HERE, 'manifest')
KINDS = ('replace', 'redirect', 'drop')
OUR_MODULES = ('_stackless',)
# Modules of the base that we look at when they are imported: Python/modulehooks.c has slp_init_NAME() for each.
HOOKED_MODULES = ('_collections', '_functools', 'itertools', '_pickle')
# What we may export: our API, and as the base does, the built-in modules' init functions.
PUBLIC_PREFIXES = ('PyStackless_', 'PyTasklet_', 'PyChannel_', 'PyStacklessFunctionDeclaration_', 'Py_UnwindToken',
                   *('PyInit_' + name for name in OUR_MODULES))

# Symbols that the linker and the C start-up files put into any executable.
LINKER_SYMBOLS = {'_IO_stdin_used', '__bss_start', '__data_start', '_edata', '_end', '_start', 'data_start',
                  '__environ', 'environ', '_environ', 'stderr', 'stdin', 'stdout', '_init', '_fini', '__dso_handle',
                  '__TMC_END__'}

Row = collections.namedtuple('Row', 'kind member symbol ours why line')


class ForkError(Exception):
    """The manifest or what it is applied to is wrong; the text says where."""


# --- The manifest and the binary tools ------------------------------------------------------------------------------

def read_manifest(path):
    """Return the rows of the manifest."""
    rows = []
    with open(path, encoding='utf-8') as file:
        for number, text in enumerate(file, 1):
            text = text.strip()
            if not text or text.startswith('#'):
                continue
            fields = text.split(None, 4)
            if len(fields) < 5:
                raise ForkError('%s:%d: a row has five columns: kind, member, symbol, ours, why' % (path, number))
            row = Row(*fields, number)
            if row.kind not in KINDS:
                raise ForkError('%s:%d: unknown kind %r' % (path, number, row.kind))
            if (row.kind == 'redirect') != ('=' in row.symbol) or (row.kind == 'drop') != (row.symbol == '-'):
                raise ForkError('%s:%d: %r is no symbol for a row of kind %s' % (path, number, row.symbol, row.kind))
            rows.append(row)
    return rows


# What the names of ar, nm and objdump begin with: the triplet of another architecture and a dash, for one.
tool_prefix = ''


def run(tool, *arguments, **options):
    """Run a binary tool and return its output."""
    command = [tool_prefix + tool, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if done.returncode:
        raise ForkError('%s failed: %s' % (' '.join(command[:3]), done.stderr.strip()))
    return done.stdout


def read_symbols(path, *flags):
    """Yield (member, name, type letter) for each symbol that nm reports."""
    member = os.path.basename(path)
    for line in run('nm', '-P', *flags, path).splitlines():
        if line.endswith(':'):
            member = re.sub(r'.*\[(.*)\]:$', r'\1', line)
            continue
        fields = line.split()
        if len(fields) >= 2:
            yield member, fields[0].partition('@')[0], fields[1]


def defined_by_member(archive):
    """{member: set of global names it defines}, empty members included."""
    table = {member: set() for member in run('ar', 't', archive).split()}
    for member, name, _ in read_symbols(archive, '-g', '--defined-only'):
        table[member].add(name)
    return table


def undefined_of_member(archive, wanted):
    """The names that one member refers to and does not define."""
    return {name for member, name, letter in read_symbols(archive, '-u') if member == wanted}


# --- apply ----------------------------------------------------------------------------------------------------------

def member_options(rows):
    """{member: objcopy options}, and the list of members to leave out."""
    options, dropped = {}, []
    for row in rows:
        if row.kind == 'drop':
            dropped.append(row.member)
        elif row.kind == 'replace':
            options.setdefault(row.member, []).append('--weaken-symbol=' + row.symbol)
        else:
            options.setdefault(row.member, []).append('--redefine-sym=' + row.symbol)
    return options, dropped


def apply_rows(rows, archive, output):
    """Write to `output` a copy of the archive with every row carried out."""
    members = run('ar', 't', archive).split()
    for row in rows:
        if members.count(row.member) != 1:
            raise ForkError('manifest line %d: %s has %d members named %s'
                            % (row.line, archive, members.count(row.member), row.member))
    options, dropped = member_options(rows)
    output = os.path.abspath(output)
    scratch = tempfile.mkdtemp(dir=os.path.dirname(output), prefix='fork-')
    try:
        copy = os.path.join(scratch, 'copy.a')
        shutil.copyfile(archive, copy)
        for member, flags in sorted(options.items()):
            run('ar', 'x', copy, member, cwd=scratch)
            run('objcopy', *flags, member, cwd=scratch)
            run('ar', 'r', copy, member, cwd=scratch)
        if dropped:
            run('ar', 'd', copy, *dropped, cwd=scratch)
        run('ar', 's', copy)
        os.replace(copy, output)
    finally:
        shutil.rmtree(scratch)


# --- inittab --------------------------------------------------------------------------------------------------------

def write_inittab(config_c, output):
    """Derive our table of built-in modules from the base's config.c."""
    with open(config_c, encoding='utf-8') as file:
        text = file.read()
    declaration = 'struct _inittab _PyImport_Inittab[] = {\n'
    if text.count(declaration) != 1:
        raise ForkError('%s does not look like a table of built-in modules' % config_c)
    externs = ''.join('extern PyObject* PyInit_%s(void);\n' % name for name in OUR_MODULES)
    externs += ''.join('extern PyObject* slp_init_%s(void);\n' % name for name in HOOKED_MODULES)
    rows = ''.join('    {"%s", PyInit_%s},\n' % (name, name) for name in OUR_MODULES)
    text = text.replace(declaration, externs + '\n' + declaration + rows)
    for name in HOOKED_MODULES:
        row = '{"%s", PyInit_%s}' % (name, name)
        if text.count(row) != 1:
            raise ForkError('%s has no built-in module %s' % (config_c, name))
        text = text.replace(row, '{"%s", slp_init_%s}' % (name, name))
    with open(output, 'w', encoding='utf-8') as file:
        file.write('/* The built-in modules of the base, and ours.  Made from %s. */\n' % os.path.basename(config_c))
        file.write(text)


# --- check ----------------------------------------------------------------------------------------------------------

class Checker:
    """Collects what is wrong and what is worth knowing."""

    def __init__(self):
        self.faults = []
        self.notes = []

    def fault(self, text, *values):
        self.faults.append(text % values)

    def note(self, text, *values):
        self.notes.append(text % values)


def object_of(row, folder):
    """The object file that a row's file is compiled to."""
    return os.path.join(folder, os.path.splitext(row.ours)[0] + '.o')


def check_rows(checker, rows, label, archive, folder, objects):
    """Every row exists in the base and in our objects, and nothing is taken over without one."""
    base = defined_by_member(archive)
    ours = {path: {name for _, name, _ in read_symbols(path, '-g', '--defined-only')} for path in objects}
    taken = set()
    for row in rows:
        where = '%s: manifest line %d (%s %s)' % (label, row.line, row.member, row.symbol)
        if row.member not in base:
            checker.fault('%s: the base has no such member', where)
            continue
        path = object_of(row, folder)
        if path not in ours:
            checker.fault('%s: %s is not among our objects', where, path)
            continue
        if row.kind == 'replace':
            wanted = {row.symbol}
            if row.symbol not in base[row.member]:
                checker.fault('%s: the base defines no such symbol there', where)
        elif row.kind == 'drop':
            wanted = base[row.member]
        else:
            old, new = row.symbol.split('=')
            wanted = {new}
            if old not in undefined_of_member(archive, row.member):
                checker.fault('%s: the member makes no reference to %s', where, old)
        for name in sorted(wanted - ours[path]):
            checker.fault('%s: %s does not define %s', where, row.ours, name)
        taken |= wanted
    everywhere = set().union(*base.values())
    for path in objects:
        for name in sorted(ours[path] & everywhere - taken):
            checker.fault('%s: %s takes over %s silently: the manifest has no row for it', label, path, name)
    checker.note('%s: %d rows, %d of our objects, %d members', label, len(rows), len(objects), len(base))


def dynamic_names(path):
    """The names a program or library exports to the dynamic linker."""
    return {name for _, name, _ in read_symbols(path, '-D', '--defined-only')}


def check_exports(checker, label, product, base):
    """Our product exports every dynamic symbol of the base's, and besides only our public API."""
    ours, theirs = dynamic_names(product), dynamic_names(base)
    for name in sorted(theirs - ours):
        checker.fault('%s: %s does not export %s, which the base does', label, product, name)
    extra = {name for name in ours - theirs - LINKER_SYMBOLS if not name.startswith(PUBLIC_PREFIXES)}
    for name in sorted(extra):
        # The sanitizers' runtime is part of an instrumented executable.
        if not re.match(r'_*(asan|ubsan|lsan|sanitizer|interceptor|interception)|__(start|stop)_asan', name):
            checker.fault('%s: %s exports %s, which neither the base nor our API has', label, product, name)
    public = len([name for name in ours - theirs if name.startswith(PUBLIC_PREFIXES)])
    checker.note('%s: %d dynamic symbols, as the base, and %d of our API', label, len(theirs), public)


class Member:
    """The code of one archive member, as far as it matters who reaches whom without naming a global symbol."""

    def __init__(self, path):
        self.functions = {}         # {name: (section, start)}
        self.globals = set()
        for line in run('objdump', '-t', path).splitlines():
            match = re.match(r'([0-9a-f]+) (.).{4}.F (\S+)\t[0-9a-f]+(?: \.hidden)? (\S+)$', line)
            if match:
                self.functions[match.group(4)] = (match.group(3), int(match.group(1), 16))
                if match.group(2) != 'l':
                    self.globals.add(match.group(4))
        self.jumps = self.read_jumps(path)

    @staticmethod
    def read_jumps(path):
        """{(section, address): {functions that refer to it}}, for references that the linker cannot redirect.

        A reference by global symbol goes to ours; one against the section, or one that the assembler has
        resolved within it, stays in the base's code.
        """
        jumps = collections.defaultdict(set)
        section = function = pending = None
        for line in run('objdump', '-dr', '--no-show-raw-insn', path).splitlines():
            if pending and ': R_' not in line:
                jumps[pending].add(function)
            pending = None
            match = re.match(r'Disassembly of section (\S+):', line)
            if match:
                section = match.group(1)
                continue
            match = re.match(r'[0-9a-f]+ <(.+)>:$', line)
            if match:
                function = match.group(1)
                continue
            match = re.search(r': R_(\S+)\s+(\.\S+?)(?:\+0x([0-9a-f]+))?$', line)
            if match:
                # Relative ones count from the end of the reference, which lies four bytes on.
                address = int(match.group(3) or '0', 16) + (4 if re.search('PC32|PLT32', match.group(1)) else 0)
                jumps[match.group(2), address].add(function)
                continue
            match = re.match(r'\s+[0-9a-f]+:\t\S+\s+([0-9a-f]+) <[^+>]+>$', line)
            if match:
                pending = section, int(match.group(1), 16)
        return jumps

    def callers(self, symbol):
        """The functions that reach `symbol` past the linker, its own parts (symbol.cold and so on) aside."""
        return {name for name in self.jumps.get(self.functions.get(symbol), ())
                if name.split('.')[0] != symbol.split('.')[0]}

    def live_paths(self, symbol, replaced):
        """Yield the global functions, not replaced themselves, from which the base's `symbol` is still reached."""
        seen, todo = set(), [symbol]
        while todo:
            for caller in self.callers(todo.pop()) - seen:
                seen.add(caller)
                name = caller.split('.')[0]
                if name in replaced:
                    continue
                if name in self.globals or not self.callers(caller):
                    yield name
                else:
                    todo.append(caller)


def check_callers(checker, rows, label, archive):
    """No caller within a replaced function's own member bypasses our definition."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in sorted({row.member for row in rows if row.kind == 'replace'}):
            run('ar', 'x', os.path.abspath(archive), name, cwd=scratch)
            member = Member(os.path.join(scratch, name))
            replaced = {row.symbol for row in rows if row.member == name and row.kind == 'replace'}
            for symbol in sorted(replaced):
                for caller in sorted(set(member.live_paths(symbol, replaced))):
                    checker.fault('%s: %s in %s reaches the base\'s %s within the member, past our definition',
                                  label, caller, name, symbol)


def check(options):
    """Run all checks; print what was found; return the exit status."""
    rows = read_manifest(options.manifest)
    checker = Checker()
    variants = (('static', options.static_archive, options.static_objects,
                 options.executable, options.base_executable),
                ('shared', options.pic_archive, options.pic_objects, options.library, options.base_library))
    for label, archive, folder, product, base in variants:
        objects = [os.path.join(folder, name) for name in options.objects.split()]
        check_rows(checker, rows, label, archive, folder, objects)
        check_callers(checker, rows, label, archive)
        check_exports(checker, label, product, base)
    for text in checker.notes:
        print('check-fork: ' + text)
    for text in checker.faults:
        print('check-fork: FAULT: ' + text)
    verdict = '%d faults' % len(checker.faults) if checker.faults else 'the fork is what the manifest says'
    print('check-fork: ' + verdict)
    return 1 if checker.faults else 0


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--manifest', default=MANIFEST)
    parser.add_argument('--tool-prefix', default='', help='what the names of the binary tools begin with')
    commands = parser.add_subparsers(dest='command', required=True)
    command = commands.add_parser('apply')
    command.add_argument('--archive', required=True)
    command.add_argument('--output', required=True)
    command = commands.add_parser('inittab')
    command.add_argument('--config-c', required=True)
    command.add_argument('--output', required=True)
    command = commands.add_parser('check')
    for name in ('static-archive', 'pic-archive', 'static-objects', 'pic-objects', 'objects', 'executable', 'library',
                 'base-executable', 'base-library'):
        command.add_argument('--' + name, required=True)
    options = parser.parse_args(argv)
    global tool_prefix
    tool_prefix = options.tool_prefix
    try:
        if options.command == 'apply':
            apply_rows(read_manifest(options.manifest), options.archive, options.output)
        elif options.command == 'inittab':
            write_inittab(options.config_c, options.output)
        else:
            return check(options)
    except ForkError as error:
        print('fork: %s' % error, file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
