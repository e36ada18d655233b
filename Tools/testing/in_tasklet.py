"""Run a module as `python -m MODULE` does, but inside a tasklet.

    in_tasklet.py soft test test_sys        switches are soft where they can be
    in_tasklet.py hard test test_sys        every switch is a hard one

A second tasklet takes turns with it whenever it yields.  The exit status is that of the module.
"""

import runpy
import sys

import stackless


def main():
    mode, module = sys.argv[1:3]
    if mode not in ('soft', 'hard'):
        raise SystemExit(f'in_tasklet.py: unknown mode {mode!r}, choose soft or hard')
    if mode == "hard":
        stackless.enable_softswitch(False)
    sys.argv[:3] = [sys.argv[0]]
    # What `python -m` puts first in sys.path is the current folder, not this script's.
    sys.path[0] = ''
    outcome = []

    def body():
        try:
            runpy.run_module(module, run_name='__main__', alter_sys=True)
        except BaseException as error:
            outcome.append(error)

    def companion(task):
        while task.alive:
            stackless.schedule()

    task = stackless.tasklet(body)()
    stackless.tasklet(companion)(task)
    stackless.run()
    for error in outcome:
        raise error


if __name__ == '__main__':
    main()
