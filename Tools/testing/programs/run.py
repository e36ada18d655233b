"""`make test-programs`: real programs, unchanged, on the installed tree and on the base; both must do the same.

    run.py --tree build/programs/tree --base /usr/bin/python3.11 --srcdir . --scratch build/programs [NAME...]

The programs are Debian's packages, which a line in the tree's site-packages puts on its search path; those that are
missing are named. Each of PROGRAMS runs on both sides and gives a result, of which something is asked, so that two
failures are not taken for the same success. The last line reads `N passed, N failed`; the exit status is 1 when
anything failed.
"""

import argparse
import collections
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
DIST_PACKAGES = '/usr/lib/python3/dist-packages'
PACKAGES = ['python3-bs4', 'python3-django', 'python3-flask', 'python3-gevent', 'python3-greenlet',
            'python3-hypothesis', 'python3-numpy', 'python3-objgraph', 'python3-pip-whl', 'python3-pytest',
            'python3-setuptools', 'python3-sphinx', 'python3-wheel', 'python3-zope.interface']


class Failed(Exception):
    """A program did not do what it should."""


class Side:
    """One of the two pythons, with a scratch folder of its own."""

    def __init__(self, name, python, options):
        self.name = name
        self.python = python
        self.srcdir = os.path.abspath(options.srcdir)
        self.folder = os.path.join(os.path.abspath(options.scratch), name)
        shutil.rmtree(self.folder, True)
        os.makedirs(self.folder)

    def try_run(self, *arguments, python=None, timeout=1200, cwd=None, **env):
        """Run its python; return the CompletedProcess."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(('PYTHON', 'PIP_'))}
        return subprocess.run([python or self.python, *arguments], cwd=cwd or self.folder, text=True,
                              env={**kept, 'HOME': self.folder, 'LC_ALL': 'C.UTF-8', 'PYTHONHASHSEED': '0', **env},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout)

    def run(self, *arguments, **options):
        """The output of its python, which must succeed."""
        done = self.try_run(*arguments, **options)
        if done.returncode:
            raise Failed(f'{self.name}: exit status {done.returncode} of {" ".join(arguments)}\n{done.stdout[-4000:]}')
        return done.stdout

    def pytest(self, *arguments, **options):
        """{test: outcome} of a run of pytest, whether or not tests fail."""
        report = os.path.join(self.folder, 'report.xml')
        done = self.try_run('-m', 'pytest', '-q', '-p', 'no:cacheprovider', '--junit-xml', report, *arguments,
                            **options)
        if done.returncode not in (0, 1):
            raise Failed(f'{self.name}: pytest: exit status {done.returncode}\n{done.stdout[-4000:]}')
        outcomes = {}
        for case in xml.etree.ElementTree.parse(report).iter('testcase'):
            kinds = sorted({child.tag for child in case} & {'failure', 'error', 'skipped'})
            outcomes[f'{case.get("classname")}.{case.get("name")}'] = ' '.join(kinds) or 'passed'
        with open(os.path.join(self.folder, 'pytest.log'), 'w', encoding='utf-8') as file:
            file.write(done.stdout)
        return outcomes


def at_least(count):
    """A question: did as many tests pass?"""
    def ask(outcomes):
        numbers = collections.Counter(outcomes.values())
        if numbers['passed'] < count:
            raise Failed(f'{dict(numbers)}, and not {count} passed')
        return ', '.join(f'{number} {kind}' for kind, number in sorted(numbers.items()))
    return ask


def says(pattern, count=1):
    """A question: does the output match this as often?"""
    def ask(output):
        found = len(re.findall(pattern, output))
        if found < count:
            raise Failed(f'{pattern!r} is found {found} times, not {count}, in\n{output[-2000:]}')
        return f'{len(output.splitlines())} lines'
    return ask


# --- The programs: functions of a side that return what must be the same on both -------------------------------------

def wheel(side):
    """A pure wheel is built with pip and setuptools, installed in a virtual environment, run and removed."""
    project = os.path.join(side.folder, 'project')
    os.makedirs(project)
    for name, text in {
            'setup.py': 'from setuptools import setup\nsetup(name="counted", version="1.0", py_modules=["counted"],\n'
                        '      entry_points={"console_scripts": ["count-words=counted:main"]})\n',
            'counted.py': 'import collections, sys\n\ndef main():\n    print(*sorted(collections.Counter('
                          'sys.argv[1:]).items()))\n'}.items():
        with open(os.path.join(project, name), 'w', encoding='utf-8') as file:
            file.write(text)
    env = os.path.join(side.folder, 'env')
    side.run('-m', 'venv', env)
    python = os.path.join(env, 'bin', 'python')
    pip = ('-m', 'pip', '--disable-pip-version-check')
    side.run(*pip, 'wheel', '--no-index', '--no-build-isolation', '--no-deps', '-w', side.folder, project,
             python=python, PYTHONPATH=DIST_PACKAGES)
    side.run(*pip, 'install', '--no-index', '--find-links', side.folder, 'counted', python=python)
    output = side.run('a', 'b', 'a', python=os.path.join(env, 'bin', 'count-words'))
    output += side.run(*pip, 'list', python=python)
    side.run(*pip, 'uninstall', '-y', 'counted', python=python)
    return output + side.run(*pip, 'list', python=python)


def flask(side):
    """A Flask application answers requests; its handlers switch tasklets."""
    return side.run(os.path.join(HERE, 'flask_program.py'))


def django(side):
    """A Django site with a database answers requests; its views switch tasklets."""
    return side.run(os.path.join(HERE, 'django_program.py'))


def gevent(side):
    """gevent's servers, clients, pools, queues and timeouts."""
    return side.run(os.path.join(HERE, 'gevent_program.py'))


def greenlet_tests(side):
    """greenlet's own tests."""
    return side.pytest('--pyargs', 'greenlet.tests')


def bs4_tests(side):
    """The tests that Beautiful Soup ships, under pytest."""
    return side.pytest('--pyargs', 'bs4')


def zope_tests(side):
    """The tests that zope.interface ships, under pytest."""
    return side.pytest('--pyargs', 'zope.interface')


def numpy_tests(side):
    """numpy's own tests of its core."""
    return side.pytest('--pyargs', 'numpy.core', '-m', 'not slow', timeout=2400)


def sphinx(side):
    """Sphinx makes the HTML of our documentation: the same files with the same content."""
    target = os.path.join(side.folder, 'html')
    side.run('-m', 'sphinx', '-W', '-q', '-b', 'html', os.path.join(side.srcdir, 'Doc'), target)
    pages = {}
    for folder, folders, names in os.walk(target):
        folders[:] = [name for name in folders if name not in ('.doctrees', '_static')]
        for name in names:
            if name.endswith(('.html', '.js')):
                path = os.path.join(folder, name)
                with open(path, encoding='utf-8') as file:
                    pages[os.path.relpath(path, target)] = file.read()
    return pages


def enough_pages(pages):
    """A question: was that all of the documentation?"""
    if len(pages) < 25 or 'tasklet' not in pages['index.html']:
        raise Failed(f'only {len(pages)} pages: {sorted(pages)}')
    return f'{len(pages)} pages'


PROGRAMS = {
    wheel: says(r"\('a', 2\) \('b', 1\)\n(?s:.*)counted +1\.0"),
    flask: says(' 200 ', 54),
    django: says(' 200 ', 4),
    gevent: says('timed out'),
    greenlet_tests: at_least(100),
    bs4_tests: at_least(500),
    zope_tests: at_least(1000),
    numpy_tests: at_least(10000),
    sphinx: enough_pages,
}


def first_difference(ours, base):
    """Where two results differ, as text."""
    if isinstance(ours, dict):
        keys = [key for key in sorted(ours.keys() | base.keys()) if ours.get(key) != base.get(key)]
        return '\n'.join(f'{key}: ours {str(ours.get(key))[:200]}, base {str(base.get(key))[:200]}'
                         for key in keys[:20])
    lines = [pair for pair in zip(ours.splitlines(), base.splitlines()) if pair[0] != pair[1]]
    return f'ours {lines[0][0]!r}\nbase {lines[0][1]!r}' if lines else 'one has more lines than the other'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in 'tree', 'base', 'srcdir', 'scratch':
        parser.add_argument('--' + name, required=True)
    parser.add_argument('names', nargs='*', help='only these of the programs')
    options = parser.parse_args()
    missing = [name for name in PACKAGES if subprocess.run(['dpkg', '-s', name], capture_output=True).returncode]
    if missing:
        sys.exit('test-programs: apt-get install -y --no-install-recommends ' + ' '.join(missing))
    unknown = set(options.names) - {program.__name__ for program in PROGRAMS}
    if unknown:
        sys.exit(f'test-programs: there is no {", ".join(sorted(unknown))}')
    with open(os.path.join(options.tree, 'lib', 'python3.11', 'site-packages', 'debian.pth'), 'w') as file:
        file.write(f'import site; site.addsitedir({DIST_PACKAGES!r})\n')
    ours = Side('ours', os.path.join(os.path.abspath(options.tree), 'bin', 'python3.11'), options)
    base = Side('base', options.base, options)
    if 'Stackless' not in ours.run('-VV') or 'Stackless' in base.run('-VV'):
        sys.exit('test-programs: the tree is not ours, or the base is')
    failed = passed = 0
    for program, ask in PROGRAMS.items():
        name = program.__name__
        if options.names and name not in options.names:
            continue
        try:
            results, seconds = [], []
            for side in ours, base:
                start = time.monotonic()
                results.append(program(side))
                seconds.append(time.monotonic() - start)
            if results[0] != results[1]:
                raise Failed('the results differ:\n' + first_difference(*results))
            print(f'{name}: passed: {ask(results[0])} ({seconds[0]:.1f} s, base {seconds[1]:.1f} s)', flush=True)
            passed += 1
        except (Failed, subprocess.TimeoutExpired) as error:
            print(f'{name}: failed: {error}', flush=True)
            failed += 1
    print(f'{passed} passed, {failed} failed')
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
