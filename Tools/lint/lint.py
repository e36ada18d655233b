"""`make lint`: what a compiler does not see.

Text: no tabs, no blanks at line ends, one newline at the end, 110 columns in C and 120 in Python, and a first line that
says the file's subject.  C: every public header compiles by itself, as C and as C++, and every internal one as C.
Python: files compile without warnings and import nothing that they do not use.  Shell: scripts parse.

    lint.py --cc gcc --flags '-IInclude ...' SOURCE_TREE
"""

import argparse
import ast
import os
import shlex
import subprocess
import sys
import warnings

FOLDERS = ('.ci', 'Doc', 'Include', 'Lib', 'Modules', 'Programs', 'Python', 'Stackless', 'Tools', 'examples')
SCRIPTS = ('bootstrap', '.ci/run', 'Tools/install/python-config.in')
COLUMNS = {'.c': 110, '.h': 110, '.S': 110, '.py': 120}


class Lint:
    """The faults found so far."""

    def __init__(self):
        self.faults = 0

    def fault(self, path, line, text):
        print('%s:%d: %s' % (path, line, text))
        self.faults += 1

    def check_text(self, path, lines, columns):
        """Blanks, tabs, length of lines, and the first line."""
        if not lines:
            return
        for number, line in enumerate(lines, 1):
            body = line.rstrip('\n')
            if body != body.rstrip():
                self.fault(path, number, 'blanks at the end of the line')
            if '\t' in body:
                self.fault(path, number, 'tab')
            if len(body) > columns:
                self.fault(path, number, '%d columns, more than %d' % (len(body), columns))
        if not lines[-1].endswith('\n') or lines[-1] == '\n':
            self.fault(path, len(lines), 'the file must end with exactly one newline')
        if not lines[0].startswith(('/*', '//', '"""', "'''", '#', 'r"""')):
            self.fault(path, 1, 'the first line must say what the file is about')

    def check_python(self, path, text):
        """Warnings of the compiler, and names imported for nothing; `# noqa` on the line says that it is meant."""
        source = text.splitlines()
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            try:
                tree = ast.parse(text, path)
                compile(tree, path, 'exec', dont_inherit=True)
            except (SyntaxError, Warning) as error:
                line = getattr(error, 'lineno', None) or 1
                if '# noqa' not in source[line - 1]:
                    self.fault(path, line, error)
                return
        if os.path.basename(path) == '__init__.py':
            return
        imported = {}
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)) and getattr(node, 'module', '') != '__future__':
                for alias in node.names:
                    imported[(alias.asname or alias.name).partition('.')[0]] = node.lineno
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        used |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is str}
        for name, line in sorted(imported.items(), key=lambda item: item[1]):
            if name not in used and '# noqa' not in source[line - 1]:
                self.fault(path, line, '%s is imported and not used' % name)

    def check_header(self, root, path, compilers):
        """A header compiles when it is the only thing included."""
        for language, command in compilers:
            source = '#include "%s"\n' % os.path.join(root, path)
            done = subprocess.run([*command, '-fsyntax-only', '-x', language, '-'], input=source, text=True,
                                  stderr=subprocess.PIPE)
            if done.returncode:
                first = next((line for line in done.stderr.splitlines() if 'error' in line), done.stderr)
                self.fault(path, 1, 'does not compile by itself as %s: %s' % (language, first))


def source_files(root):
    """Yield the paths of our files below the root of the source tree."""
    for folder in FOLDERS:
        for where, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = sorted(name for name in folders if name not in ('__pycache__', 'cache'))
            yield from (os.path.relpath(os.path.join(where, name), root) for name in sorted(names))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cc', default='cc')
    parser.add_argument('--flags', default='')
    parser.add_argument('root')
    options = parser.parse_args(argv)
    root = os.path.abspath(options.root)
    compiler = shlex.split(options.cc) + shlex.split(options.flags)
    in_c = [('c', [*compiler, '-std=gnu11', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror'])]
    in_both = in_c + [('c++', [*compiler, '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-register', '-Werror'])]
    lint = Lint()
    count = 0
    for path in source_files(root):
        kind = os.path.splitext(path)[1]
        if kind not in COLUMNS:
            continue
        count += 1
        with open(os.path.join(root, path), encoding='utf-8') as file:
            text = file.read()
        lint.check_text(path, text.splitlines(keepends=True), COLUMNS[kind])
        if kind == '.py':
            lint.check_python(path, text)
        elif kind == '.h' and path.startswith('Include/internal/'):
            lint.check_header(root, path, in_c)
        elif kind == '.h' and path.startswith('Include/'):
            lint.check_header(root, path, in_both)
    for path in SCRIPTS:
        count += 1
        if subprocess.run(['sh', '-n', os.path.join(root, path)]).returncode:
            lint.fault(path, 1, 'the shell does not accept it')
    print('lint: %d files, %d faults' % (count, lint.faults))
    return 1 if lint.faults else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
