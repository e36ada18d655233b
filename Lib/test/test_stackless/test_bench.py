"""The benchmarks (Tools/bench): every figure of ours gives numbers, and a peer that ends badly does not end the
run."""

import contextlib
import importlib
import io
import os
import sys
import unittest
import unittest.mock

from . import interpreters
from .cases import needs_soft_switches

TOOL = os.path.join(interpreters.SRCDIR or '', 'Tools', 'bench')


# What one pickling figure takes.
PICKLED = {'dump': 2e-6, 'load': 3e-6, 'bytes': 3000}


def load(name):
    """Import a module of Tools/bench, which lies in the source tree alone."""
    sys.path.insert(0, TOOL)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(TOOL)


@unittest.skipUnless(interpreters.SRCDIR, 'needs the source tree')
class OurFigures(unittest.TestCase):

    def test_every_figure_gives_a_number(self):
        catalogue, measure = load('catalogue'), load('measure')
        sizes = {'ring': 3000, 'create_many': 1000, 'sieve': 20, 'depth': 5000, 'depth_c': 3000, 'blocked': 5000}
        for work in sorted({figure.work for figure in catalogue.FIGURES}):
            with self.subTest(work):
                answer = measure.run_worker(sys.executable, 'figure', 'stackless', work, sizes.get(work, 1000))
                if work.startswith('depth'):
                    self.assertEqual(answer, {'value': sizes[work], 'note': ''})
                else:
                    self.assertGreaterEqual(answer['value'], 0)

    @needs_soft_switches
    def test_every_pickling_figure_gives_numbers(self):
        catalogue, measure = load('catalogue'), load('measure')
        for work in sorted({image.work for image in catalogue.IMAGES}):
            with self.subTest(work):
                answer = measure.run_worker(sys.executable, 'image', work, 20)
                for part in answer, answer['plain']:
                    self.assertGreater(part['bytes'], 0)
                    self.assertTrue(part['dump'] > 0 and part['load'] > 0)

    def test_pickling_figures_are_printed_with_what_failed(self):
        run, images = load('run'), load('images')
        options = run.parse(['--ours', sys.executable, '--base', sys.executable, '--images', 'frame_1,frames_50',
                             '--rounds', '2'])
        self.assertEqual(options.tables, {'images'})
        with unittest.mock.patch.object(images, 'run_worker') as worker:
            worker.side_effect = [{**PICKLED, 'plain': PICKLED}, images.Failed('a crash'),
                                  {**PICKLED, 'dump': 1e-6, 'plain': PICKLED}, {**PICKLED, 'plain': PICKLED}]
            rows = images.measure_images(options, lambda text: None)
        self.assertEqual(rows['frame_1'], {**PICKLED, 'dump': 1e-6, 'plain': PICKLED})
        self.assertTrue(images.has_failed(rows))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            images.print_images(rows, options)
        self.assertIn('FAILED: a crash', printed.getvalue())
        for text in ('1.0', '3,000', '510'):
            self.assertIn(text, printed.getvalue().replace(rows['frames_50']['failed'], ''))


@unittest.skipUnless(interpreters.SRCDIR, 'needs the source tree')
class Limits(unittest.TestCase):
    """measure.run_command(), which every worker goes through."""

    def run_code(self, code, **limits):
        return load('measure').run_command([sys.executable, '-c', code], **limits)

    def test_crash_is_told_with_the_depth_reached(self):
        with self.assertRaises(load('measure').Failed) as caught:
            self.run_code('import os; print("depth 7"); print("depth 12", flush=True); os.abort()')
        self.assertEqual((str(caught.exception), caught.exception.depth), ('SIGABRT', 12))

    def test_process_that_takes_too_long_is_killed(self):
        with self.assertRaisesRegex(load('measure').TooLong, 'no answer within 0.2 s'):
            self.run_code('import signal; signal.pause()', timeout=0.2)

    def test_process_that_takes_too_much_memory_is_killed(self):
        with self.assertRaisesRegex(load('measure').TooLarge, 'more than 0.1 GB'):
            self.run_code('import signal; x = b"x" * 150_000_000; signal.pause()', memory=1e8)

    def test_exit_status_tells_what_is_missing(self):
        measure = load('measure')
        for status, kind in ((3, measure.Absent), (4, measure.Unable), (5, measure.Failed)):
            with self.subTest(status), self.assertRaisesRegex(kind, 'the reason'):
                self.run_code(f'import sys; print("the reason", file=sys.stderr); sys.exit({status})')


@unittest.skipUnless(interpreters.SRCDIR, 'needs the source tree')
class Report(unittest.TestCase):

    def make_result(self):
        """A comparison with a number, and with each way in which one can be missing."""
        def value(number, **more):
            return {'value': number, 'worst': number, 'peak': 0, 'note': '', **more}

        return {
            'call': 30.0, 'rounds': 2, 'quick': False, 'memory': 8e9,
            'machine': {'cpu': 'a CPU', 'architecture': 'x86_64', 'cores': 2, 'kernel': 'Linux 6.1', 'memory': 8},
            'versions': {'stackless': 'stackless 3.11.2', 'go': 'go1.19'},
            'figures': {
                'round_trip': {'stackless': value(50.0), 'go': value(75.0),
                               'luajit': {'missing': 'not installed', 'why': 'install luajit'}},
                'skynet_1m': {'stackless': value(1.0), 'go': {'missing': 'memory', 'why': 'more than 8.0 GB'},
                              'luajit': {'missing': 'not installed', 'why': 'install luajit'}},
                'depth': {'stackless': value(10_000_000), 'go': value(7_000, note='SIGSEGV'),
                          'luajit': {'missing': 'failed', 'why': 'SIGSEGV'}},
            },
        }

    def test_readme_has_ratios_between_its_marks(self):
        report = load('report')
        text = report.write_readme(self.make_result(), f'before\n\n{report.BEGIN}\nold\n{report.END}\nafter\n')
        self.assertTrue(text.startswith('before\n') and text.endswith('\nafter\n'))
        self.assertNotIn('old', text)
        for expected in ('switch, round trip', '50.0 ns', '1.5 ×', '> 8.0 GB', '≥ 10,000,000', '7,000', 'crash'):
            self.assertIn(expected, text)

    def test_table_of_pickling(self):
        rows = {'frames_50': {**PICKLED, 'plain': PICKLED}, 'frame_1': {'failed': 'a crash'}}
        text = load('report').write_images(rows)
        for expected in ('a tasklet, 50 frames', '2.0', '3,000', '3,402', 'FAILED: a crash'):
            self.assertIn(expected, text)

    def test_chart_is_well_formed(self):
        from xml.etree import ElementTree
        ElementTree.fromstring(load('report').chart(self.make_result()))

    def test_peer_that_is_missing_is_named_with_its_package(self):
        run, compare = load('run'), load('compare')
        options = run.parse(['--ours', sys.executable, '--base', sys.executable, '--figures', 'sieve_500',
                             '--peers', 'luajit', '--rounds', '1'])
        path, os.environ['PATH'] = os.environ.get('PATH', ''), os.path.dirname(TOOL)
        try:
            result = compare.compare(options, lambda text: None)
        finally:
            os.environ['PATH'] = path
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            compare.print_comparison(result, options)
        self.assertIn('install the Debian package luajit', printed.getvalue())


if __name__ == '__main__':
    unittest.main()
