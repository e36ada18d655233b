"""Debian's greenlet and gevent, unchanged, inside and beside tasklets.

Greenlets switch on the thread's own C stack (Include/internal/slp_guest.h). So a greenlet may use the scheduler
like its main, while one that another tasklet has switched to runs to its next greenlet switch first.

Each case runs in a process of its own, so that a crash is reported for what it is.
"""

import textwrap
import unittest

from . import interpreters
from .cases import needs_soft_switches

PREAMBLE = interpreters.IMPORTS + '''
import faulthandler, gc, greenlet, operator, stackless
from stackless import channel, getcurrent, run, schedule, schedule_remove, tasklet
faulthandler.enable()

def here():
    return greenlet.getcurrent()

def inside(function, *args):
    """Call function(*args) inside of a C function."""
    return operator.call(function, *args)

class raises:
    """A `with` block that has to raise."""

    def __init__(self, kind, text=''):
        self.kind, self.text = kind, text

    def __enter__(self):
        pass

    def __exit__(self, kind, value, traceback):
        assert kind is not None, 'nothing was raised'
        assert issubclass(kind, self.kind) and self.text in str(value), repr(value)
        return True

REFUSED = raises(RuntimeError, 'a greenlet runs that a tasklet other than main has switched to')
'''


class GreenletCase(unittest.TestCase):
    packages = ('greenlet',)

    def setUp(self):
        for name in self.packages:
            interpreters.need_package(self, name)

    def passes(self, program, environment=None):
        """The program runs to its end; its errors."""
        done = interpreters.run_python('-c', PREAMBLE + textwrap.dedent(program) + "\nprint('the end')",
                                       timeout=600, **environment or {})
        self.assertEqual((done.returncode, done.stdout[-8:]), (0, 'the end\n'), f'{done.stdout}\n{done.stderr}')
        return done.stderr


class Mixed(GreenletCase):
    """Greenlets inside tasklets and tasklets inside greenlets."""

    def test_greenlets_within_tasklets(self):
        """Every tasklet has greenlets of its own and schedules only between their switches."""
        self.passes('''
            seen = []

            def produce(top):
                for n in range(top):
                    greenlet.getcurrent().parent.switch(n)
                return None

            def work(name):
                child = greenlet.greenlet(produce)
                n = child.switch(5)
                while n is not None:
                    seen.append((n, name))
                    stackless.schedule()
                    n = child.switch()
                assert child.dead

            for name in 'abc':
                stackless.tasklet(work)(name)
            stackless.run()
            assert sorted(seen) == [(n, name) for n in range(5) for name in 'abc'], seen
        ''')

    def test_scheduler_within_greenlet(self):
        """A greenlet runs tasklets to their end."""
        self.passes('''
            seen = []

            def work(name):
                for n in range(3):
                    seen.append((n, name))
                    stackless.schedule()

            def scheduler():
                for name in 'abc':
                    stackless.tasklet(work)(name)
                try:
                    stackless.run()
                except RuntimeError as error:
                    return str(error)

            refused = greenlet.greenlet(scheduler).switch()
            if refused is None:
                assert seen == [(n, name) for n in range(3) for name in 'abc'], seen
        ''')

    def test_schedule_within_greenlet_of_tasklet(self):
        """schedule() in a greenlet that a tasklet started works or is refused, and the tasklets end."""
        self.passes('''
            outcomes = []

            def inside():
                try:
                    stackless.schedule()
                except RuntimeError:
                    outcomes.append('refused')
                else:
                    outcomes.append('switched')

            def work():
                for _ in range(3):
                    greenlet.greenlet(inside).switch()
                    stackless.schedule()

            for _ in range(3):
                stackless.tasklet(work)()
            stackless.run()
            assert len(outcomes) == 9, outcomes
        ''')

    def test_thread_with_a_small_stack(self):
        """A greenlet of a tasklet runs on the thread's stack, however deep main is, and however small that is."""
        self.passes('''
            import os, sys, threading
            sys.setrecursionlimit(10_000)
            outcomes = []

            def use():
                outcomes.append(greenlet.greenlet(lambda: sum(range(10))).switch())

            def nest(depth):
                if depth:
                    return max(map(nest, [depth - 1]))
                stackless.tasklet(use)()
                stackless.run()
                return 0

            def work():
                for depth in range(0, 120, 2):
                    nest(depth)

            threading.stack_size(max(64 * 1024, os.sysconf('SC_THREAD_STACK_MIN')))
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert outcomes == [45] * 60, outcomes
        ''')

    def test_tasklet_switches_greenlets_away(self):
        """A tasklet run by a greenlet switches to that greenlet's parent, which uses the scheduler: no
        crash."""
        self.passes('''
            main = greenlet.getcurrent()
            log = []

            def work():
                log.append('tasklet')
                main.switch('out of a tasklet')
                log.append('tasklet again')

            def scheduler():
                stackless.tasklet(work)()
                try:
                    stackless.run()
                except RuntimeError:
                    log.append('refused')

            child = greenlet.greenlet(scheduler)
            child.switch()
            for use in (stackless.schedule, stackless.run, stackless.getruncount):
                try:
                    use()
                except RuntimeError as error:
                    log.append(str(error))
            for _ in range(3):
                if not child.dead:
                    try:
                        child.switch()
                    except RuntimeError as error:
                        log.append(str(error))
            print(log)
        ''')

    def test_unfinished_greenlets_die_with_their_tasklet(self):
        self.passes('''
            import gc
            caught = []

            def wait():
                try:
                    greenlet.getcurrent().parent.switch()
                except greenlet.GreenletExit:
                    caught.append(1)
                    raise

            def work():
                child = greenlet.greenlet(wait)
                child.switch()
                stackless.schedule()

            for _ in range(10):
                stackless.tasklet(work)()
            stackless.run()
            gc.collect()
            assert len(caught) == 10, caught
        ''')

    def test_greenlet_tree_over_many_tasklets(self):
        """Greenlets made in one tasklet are entered from another one: they work, or an error says why not."""
        self.passes('''
            made, log = [], []

            def echo(value):
                while True:
                    value = greenlet.getcurrent().parent.switch(value + 1)

            def maker():
                made.append(greenlet.greenlet(echo))
                log.append(made[0].switch(1))
                stackless.schedule()
                log.append('maker ends')

            def user():
                log.append(made[0].switch(10))
                stackless.schedule()

            stackless.tasklet(maker)()
            stackless.tasklet(user)()
            stackless.run()
            assert 2 in log and 'maker ends' in log, log
        ''')

    def test_greenlets_of_main_use_channels(self):
        """With soft and pinned tasklets, as sender and as receiver."""
        self.passes('''
            for wrap in (lambda f, *args: f(*args)), inside:
                ch, got = channel(), []
                t = tasklet(wrap)(lambda: got.append(ch.receive()))
                run()
                assert t.blocked
                assert greenlet.greenlet(lambda: (ch.send(1), 2)[1]).switch() == 2
                run()
                assert (got, t.alive) == ([1], False)

                t = tasklet(wrap)(ch.send, 3)
                greenlet.greenlet(lambda: got.append(ch.receive())).switch()
                run()
                assert (got, t.alive) == ([1, 3], False)
        ''')

    def test_tasklets_blocked_while_greenlets_switch(self):
        """A hundred tasklets wait, some inside of C; main's greenlets come and go; then all get their value."""
        self.passes('''
            ch, got = channel(), []
            for n in range(50):
                tasklet(lambda: got.append(ch.receive()))()
                tasklet(inside)(lambda: got.append(ch.receive()))
            run()

            def numbers():
                for n in range(50):
                    here().parent.switch(n)

            greenlets = [greenlet.greenlet(numbers) for _ in range(20)]
            for n in range(50):
                assert [g.switch() for g in greenlets] == [n] * 20
                ch.send(n)
                schedule()
            for g in greenlets[:10]:
                greenlet.greenlet(lambda: ch.send("end")).switch()
            for g in greenlets:
                g.throw()
            while ch.balance:
                ch.send("end")
            run()
            assert sorted(got[:50], key=str) == sorted(range(50), key=str), got
            assert len(got) == 100
        ''')

    def test_greenlets_wait_while_tasklets_switch(self):
        """Each tasklet has a suspended greenlet, with a C function in it, and blocks in a channel."""
        self.passes('''
            ch, got = channel(), []

            def wait():
                return inside(here().parent.switch, 'waits')

            def work(n):
                child = greenlet.greenlet(wait)
                assert child.switch() == 'waits'
                got.append((n, ch.receive()))
                child.switch('value')
                while not child.dead:
                    child.switch()

            for n in range(20):
                tasklet(work if n % 2 else lambda n: inside(work, n))(n)
            run()
            for n in range(20):
                ch.send(n)
            run()
            assert got == [(n, n) for n in range(20)], got
        ''')

    def test_what_a_greenlet_of_a_tasklet_may_not(self):
        """To switch tasklets: it is told so, and everything goes on. It may make and insert them, and throw pending
        exceptions."""
        self.passes('''
            log = []

            def blocked():
                ch.receive()

            def child():
                other = tasklet(log.append)('other')
                for use in (ch.send, 1), (ch.receive,), (schedule,), (schedule_remove,), (run,), (other.run,), (
                        other.switch,), (t.kill,):
                    with REFUSED:
                        use[0](*use[1:])
                    with REFUSED:
                        inside(*use)
                sleeper.throw(KeyError, pending=True)
                assert getcurrent() is parent

            def work():
                global parent
                parent = getcurrent()
                greenlet.greenlet(child).switch()
                log.append('work')

            ch, empty = channel(), channel()
            t = tasklet(blocked)
            t.bind(empty.receive, ())
            t.run()
            sleeper = tasklet(empty.receive)()
            sleeper.run()
            tasklet(work)()
            with raises(KeyError):
                run()
            run()
            assert sorted(log) == ['other', 'work'], log
            assert (t.blocked, ch.balance, empty.balance) == (True, 0, -1)
            empty.send(None)
        ''')

    def test_deadlock_in_a_greenlet_of_main(self):
        self.passes('''
            g = greenlet.greenlet(channel().receive)
            with raises(RuntimeError, 'Deadlock'):
                g.switch()
            assert g.dead
        ''')

    def test_the_watchdog(self):
        """A greenlet of a tasklet is not interrupted; the tasklet is, as soon as it is back."""
        self.passes('''
            for limit in dict(timeout=100), dict(max_seconds=0):
                log = []

                def compute():
                    log.append(sum(n for n in range(10_000)))
                    return 'value'

                def work():
                    getcurrent().set_atomic(True)
                    g = greenlet.greenlet(lambda: (getcurrent().set_atomic(False), compute())[1])
                    value = g.switch()
                    log.append(value)
                    while True:
                        pass

                t = tasklet(work)()
                t.set_atomic(True)
                assert run(**limit) is t
                assert log[0] == 49995000
                t.kill()
        ''')

    def test_current_greenlet_and_tasklet(self):
        """All tasklets of a thread see the greenlet in which main is; a greenlet is part of its tasklet."""
        self.passes('''
            seen = []

            def scheduler():
                tasklet(lambda: seen.append(here() is g))()
                run()
                seen.append(here() is g)

            g = greenlet.greenlet(scheduler)
            g.switch()
            t = tasklet(lambda: greenlet.greenlet(lambda: seen.append(getcurrent() is t)).switch())
            t.setup()
            run()
            assert seen == [True] * 3, seen
        ''')

    def test_context_variables(self):
        self.passes('''
            import contextvars
            variable = contextvars.ContextVar('variable', default='unset')

            def child():
                before = variable.get()
                variable.set('child')
                here().parent.switch(before)
                return variable.get()

            def work(n):
                variable.set(n)
                g = greenlet.greenlet(child)
                results.append(g.switch())
                schedule()
                results.append((g.switch(), variable.get()))

            results = []
            for n in range(2):
                t = tasklet(work)
                t.set_context(contextvars.Context())
                t.setup(n)
            run()
            assert results == ['unset'] * 2 + [('child', 0), ('child', 1)], results
            assert variable.get() == 'unset'
        ''')

    def test_deep(self):
        """Tasklets and greenlets in turn, one within the other, through C functions."""
        self.passes('''
            def deep(n):
                if n == 0:
                    return 0
                if getcurrent().is_main:
                    return 1 + greenlet.greenlet(lambda: inside(deep, n - 1)).switch()
                return 1 + inside(deep, n - 1)

            def work():
                results.append(greenlet.greenlet(lambda: deep(300)).switch())

            results = []
            tasklet(work)()
            run()
            assert results == [300] and deep(100) == 100
        ''')


class Errors(GreenletCase):
    """Exceptions and kills that cross over."""

    def test_an_error_of_a_greenlet_is_raised_in_its_tasklet(self):
        self.passes('''
            log = []

            def fail():
                raise KeyError('in a greenlet')

            def work():
                with raises(KeyError, 'in a greenlet'):
                    greenlet.greenlet(fail).switch()
                log.append('caught')
                inside(greenlet.greenlet(fail).switch)

            t = tasklet(work)()
            with raises(KeyError, 'in a greenlet'):
                run()
            assert (log, t.alive) == (['caught'], False)
        ''')

    def test_an_error_of_a_tasklet_is_raised_in_the_greenlet_that_runs_it(self):
        self.passes('''
            log = []

            def scheduler():
                tasklet(int)('x')
                with raises(ValueError):
                    run()
                log.append('caught')
                tasklet(inside)(int, 'y')
                run()

            with raises(ValueError, "'y'"):
                greenlet.greenlet(scheduler).switch()
            assert log == ['caught']
        ''')

    def test_exits(self):
        """SystemExit and TaskletExit pass through greenlets; GreenletExit ends one silently, and a tasklet not."""
        self.passes('''
            log = []

            def work():
                with raises(SystemExit, '3'):
                    greenlet.greenlet(sys.exit).switch(3)
                try:
                    greenlet.greenlet(getcurrent().kill).switch()
                finally:
                    log.append('finally')

            t = tasklet(work)()
            run()
            assert (log, t.alive) == (['finally'], False)

            def ends(kind):
                raise kind

            tasklet(lambda: log.append(greenlet.greenlet(ends).switch(greenlet.GreenletExit)))()
            run()
            assert isinstance(log[1], greenlet.GreenletExit), log
            tasklet(ends)(greenlet.GreenletExit)
            with raises(greenlet.GreenletExit):
                run()
        ''')

    def test_the_exit_status(self):
        for program, status in [
            ('tasklet(lambda: greenlet.greenlet(sys.exit).switch(3))(); run()', 3),
            ('greenlet.greenlet(lambda: (tasklet(sys.exit)(4), run())).switch()', 4),
            ('tasklet(lambda: greenlet.greenlet(int).switch("x"))(); run()', 1),
        ]:
            with self.subTest(program=program):
                done = interpreters.run_python('-c', PREAMBLE + program)
                self.assertEqual(done.returncode, status, done.stderr)

    def test_kill_a_tasklet_that_has_greenlets(self):
        """They stay as they are, and can be ended by whoever has them."""
        self.passes('''
            log, kept = [], []

            def wait(n):
                try:
                    here().parent.switch(n)
                finally:
                    log.append(n)

            def work(n):
                kept.append(greenlet.greenlet(wait))
                kept[-1].switch(n)
                schedule_remove()

            ts = [tasklet(work)(n) for n in range(3)]
            run()
            for t in ts:
                t.kill()
            assert [t.alive for t in ts] == [False] * 3
            assert (log, [g.dead for g in kept]) == ([], [False] * 3)
            kept.pop(1)
            assert log == [1], log
            tasklet(kept[1].throw)()
            run()
            assert log == [1, 2], log
            assert isinstance(kept[0].throw(), greenlet.GreenletExit)
            assert log == [1, 2, 0] and kept[0].dead
        ''')

    def test_a_greenlet_without_a_python_frame(self):
        """It has no frame stack, which a switch of tasklets would keep."""
        self.passes('''
            log = []

            def work():
                try:
                    schedule_remove()
                except IndexError:
                    log.append('tasklet')
                    schedule_remove()

            for start in inside, lambda f: f():
                t = tasklet(start)(work)
                run()
                greenlet.greenlet(t.throw).switch(IndexError)
                greenlet.greenlet(t.kill).switch()
                assert not t.alive
            assert log == ['tasklet'] * 2, log
            ch = channel()
            tasklet(ch.send)(5)
            assert greenlet.greenlet(ch.receive).switch() == 5
        ''')

    def test_throw_into_greenlets_and_tasklets(self):
        self.passes('''
            log = []

            def wait():
                try:
                    here().parent.switch()
                except KeyError:
                    log.append('greenlet')
                    return 'value'

            def work():
                g = greenlet.greenlet(wait)
                g.switch()
                try:
                    schedule_remove()
                except IndexError:
                    log.append('tasklet')
                log.append(g.throw(KeyError))

            t = tasklet(work)()
            run()
            t.throw(IndexError)
            assert log == ['tasklet', 'greenlet', 'value'], log
        ''')

    def test_handled_exceptions_are_kept_apart(self):
        self.passes('''
            seen = []

            def child():
                try:
                    raise IndexError
                except IndexError:
                    here().parent.switch()
                    seen.append(sys.exc_info()[0])

            def work():
                g = greenlet.greenlet(child)
                g.switch()
                try:
                    raise KeyError
                except KeyError:
                    schedule()
                    g.switch()
                    seen.append(sys.exc_info()[0])

            for _ in range(2):
                tasklet(work)()
            run()
            assert seen == [IndexError, KeyError] * 2, seen
            assert sys.exc_info()[0] is None
        ''')


class Garbage(GreenletCase):
    def test_tasklets_and_greenlets_that_refer_to_each_other(self):
        """Cycles of finished ones are freed; an unfinished greenlet is not traversed by greenlet itself."""
        self.passes('''
            import weakref

            class Task(tasklet):
                pass

            class Green(greenlet.greenlet):
                pass

            refs = []

            def cycle(run_it):
                t, g = Task(lambda: None), Green(lambda: None)
                t.g, g.t = g, t
                if run_it:
                    t()
                    run()
                    g.switch()
                refs.extend((weakref.ref(t), weakref.ref(g)))

            cycle(False)
            cycle(True)
            gc.collect()
            assert [ref() for ref in refs] == [None] * 4, refs
        ''')

    @needs_soft_switches
    def test_a_blocked_tasklet_with_a_suspended_greenlet(self):
        """Dropped together with its channel: the greenlet gets its GreenletExit."""
        self.passes('''
            log = []

            def wait():
                try:
                    here().parent.switch()
                except greenlet.GreenletExit:
                    log.append('exit')
                    raise

            def work(ch):
                g = greenlet.greenlet(wait)
                g.switch()
                ch.receive()

            ch = channel()
            for _ in range(3):
                tasklet(work)(ch)
            run()
            assert ch.balance == -3
            del ch
            gc.collect()
            assert log == ['exit'] * 3, log
        ''')

    def test_a_greenlet_dropped_by_another_tasklet(self):
        self.passes('''
            log, kept = [], []

            def wait():
                try:
                    here().parent.switch()
                finally:
                    log.append(getcurrent() is dropper)

            tasklet(lambda: (kept.append(greenlet.greenlet(wait)), kept[0].switch(), None))()
            run()
            dropper = tasklet(kept.clear)()
            run()
            assert log == [True], log
        ''')

    def test_at_the_end_of_the_process(self):
        """With everything still there."""
        self.passes('''
            def wait():
                inside(here().parent.switch)

            def work():
                g = greenlet.greenlet(wait)
                g.switch()
                kept.append(g)
                inside(schedule_remove)

            kept = [tasklet(work)() for _ in range(3)]
            run()
            g = greenlet.greenlet(wait)
            g.switch()
            tasklet(schedule_remove)().run()
        ''')


class Threads(GreenletCase):
    def test_each_thread_with_both(self):
        self.passes('''
            import threading
            got = []

            def numbers():
                for n in range(5):
                    here().parent.switch(n)

            def work(name):
                g = greenlet.greenlet(numbers)
                for n in range(5):
                    got.append((name, g.switch() == n))
                    inside(schedule) if n % 2 else schedule()

            def thread(name):
                for n in range(3):
                    tasklet(work)((name, n))
                run()

            threads = [threading.Thread(target=thread, args=(name,)) for name in range(4)]
            for t in threads: t.start()
            for t in threads: t.join()
            assert len(got) == 60 and all(ok for _, ok in got)
        ''')

    def test_channels_between_threads(self):
        """A greenlet of main sends to a tasklet of another thread, and the other way round."""
        self.passes('''
            import threading
            to, back = channel(), channel()

            def other():
                def echo():
                    for value in iter(to.receive, None):
                        back.send(value * 2)
                greenlet.greenlet(echo).switch()

            thread = threading.Thread(target=other)
            thread.start()

            def ask():
                for n in range(20):
                    to.send(n)
                    assert back.receive() == n * 2
                to.send(None)

            greenlet.greenlet(ask).switch()
            thread.join()
        ''')

    def test_a_greenlet_of_another_thread_is_refused(self):
        self.passes('''
            import threading
            kept = []

            def work():
                kept.append(greenlet.greenlet(lambda: here().parent.switch()))
                kept[0].switch()
                ready.set()
                leave.wait(60)

            ready, leave = threading.Event(), threading.Event()
            thread = threading.Thread(target=lambda: (tasklet(work)(), run()))
            thread.start()
            ready.wait(60)

            def use():
                with raises(greenlet.error, 'different thread'):
                    kept[0].switch()

            use()
            tasklet(use)()
            tasklet(inside)(use)
            run()
            leave.set()
            thread.join()
        ''')

    def test_a_thread_that_ends_with_both(self):
        self.passes('''
            import threading
            log = []

            def wait():
                try:
                    here().parent.switch()
                except greenlet.GreenletExit:
                    log.append('exit')

            def work():
                g = greenlet.greenlet(wait)
                g.switch()
                try:
                    inside(schedule_remove)
                finally:
                    log.append('finally')

            for _ in range(3):
                thread = threading.Thread(target=lambda: (tasklet(work)(), run()))
                thread.start()
                thread.join()
            gc.collect()
            assert sorted(log) == ['exit'] * 3 + ['finally'] * 3, log
        ''')


class OwnTests(GreenletCase):
    """What greenlet itself is tested by, in Debian's package. (Left out: tests that the memory of the process does
    not grow, which take minutes.)"""

    packages = ('greenlet', 'objgraph', 'psutil')

    def run_them(self, call):
        errors = self.passes(f'''
            import os, unittest
            import greenlet.tests

            def leaves(suite):
                for test in suite:
                    if isinstance(test, unittest.TestSuite):
                        yield from leaves(test)
                    elif 'untracked_memory' not in test.id():
                        yield test

            def run_all():
                folder = os.path.dirname(greenlet.tests.__file__)
                top = os.path.dirname(os.path.dirname(folder))
                suite = unittest.defaultTestLoader.discover(folder, top_level_dir=top)
                results.append(unittest.TextTestRunner(verbosity=2).run(unittest.TestSuite(leaves(suite))))

            # So long each test waits for greenlets of ended threads.
            greenlet.tests.TestCase.cleanup_max_sleep_seconds = 0.05
            results = []
            {call}
            run()
            assert results[0].wasSuccessful()
            assert results[0].testsRun > 100, results
        ''', {'GREENLET_SKIP_LEAKCHECKS': '1'})
        self.assertRegex(errors, r'Ran \d+ tests')

    def test_in_main(self):
        self.run_them('run_all()')

    def test_beside_tasklets(self):
        self.run_them('[tasklet(f)(schedule_remove) for f in [inside, lambda f: f()] * 5]; run(); run_all()')

    def test_in_a_tasklet(self):
        self.run_them('tasklet(run_all)()')

    def test_in_a_tasklet_within_c(self):
        self.run_them('tasklet(inside)(run_all)')


class Gevent(GreenletCase):
    """gevent's loop in tasklets."""

    packages = ('greenlet', 'gevent')

    SERVER = textwrap.dedent('''
        import gevent, gevent.event, gevent.queue, gevent.server, gevent.socket

        def serve(socket, address):
            while data := socket.recv(100):
                socket.sendall(data.upper())

        def talk():
            """A server and five clients, all greenlets."""
            server = gevent.server.StreamServer(('127.0.0.1', 0), serve)
            server.start()
            got = []

            def client(n):
                with gevent.socket.create_connection(('127.0.0.1', server.server_port)) as socket:
                    socket.sendall(b'client %d' % n)
                    got.append(socket.recv(100))

            gevent.joinall([gevent.spawn(client, n) for n in range(5)], raise_error=True)
            server.stop()
            return sorted(got)

        TALKED = [b'CLIENT %d' % n for n in range(5)]
        ''')

    def passes(self, program):
        return super().passes(self.SERVER + textwrap.dedent(program))

    def test_sockets(self):
        self.passes('''
            got = []
            for wrap in (lambda f: f()), inside:
                for _ in range(2):
                    tasklet(wrap)(lambda: got.append(talk()))
            run()
            got.append(talk())
            assert got == [TALKED] * 5, got
        ''')

    def test_sockets_in_threads(self):
        self.passes('''
            import threading
            got = []
            work = lambda: (tasklet(lambda: got.append(talk()))(), run())
            threads = [threading.Thread(target=work) for _ in range(3)]
            for t in threads: t.start()
            for t in threads: t.join()
            assert got == [TALKED] * 3, got
        ''')

    def test_queues(self):
        """Between greenlets of a tasklet, and between tasklets as long as nobody has to wait."""
        self.passes('''
            got = []

            def produce(queue):
                for n in range(10):
                    queue.put(n)
                queue.put(StopIteration)

            def work():
                queue = gevent.queue.Queue(2)
                jobs = [gevent.spawn(produce, queue), gevent.spawn(lambda: got.append(list(queue)))]
                gevent.joinall(jobs, raise_error=True)

            for _ in range(3):
                tasklet(work)()
            run()
            assert got == [list(range(10))] * 3, got

            queue, got = gevent.queue.Queue(), []
            tasklet(lambda: [(queue.put(n), schedule()) for n in range(3)])()
            tasklet(lambda: [(got.append(queue.get()), schedule()) for n in range(3)])()
            run()
            assert got == [0, 1, 2], got
        ''')

    def test_waiting_for_another_tasklet(self):
        """gevent's loop knows nothing of it: an error says that nothing can happen."""
        self.passes('''
            queue = gevent.queue.Queue()
            tasklet(queue.get)()
            tasklet(queue.put)(1)
            with raises(gevent.exceptions.LoopExit):
                run()
            run()
            assert queue.get() == 1
        ''')

    def test_channels(self):
        """A greenlet of main uses them; one of a tasklet is told to leave that to its tasklet."""
        self.passes('''
            ch, got = channel(), []
            tasklet(ch.send)(7)
            gevent.spawn(lambda: got.append(ch.receive())).join()
            assert got == [7]

            def refused():
                with REFUSED:
                    ch.receive()
                got.append('refused')

            tasklet(lambda: gevent.spawn(refused).join())()
            run()
            assert got == [7, 'refused'] and ch.balance == 0, got
        ''')

    def test_timeouts_errors_and_kills(self):
        self.passes('''
            def work():
                with raises(gevent.Timeout), gevent.Timeout(0.01):
                    gevent.sleep(60)
                gevent.get_hub().exception_stream = None
                with raises(ValueError):
                    gevent.spawn(int, 'x').get()
                job = gevent.spawn(gevent.sleep, 60)
                gevent.sleep(0)
                job.kill()
                assert job.dead
                jobs.append(gevent.spawn(gevent.sleep, 60))
                gevent.sleep(0)
                schedule_remove()

            jobs = []
            ts = [tasklet(work)() for _ in range(2)]
            run()
            for t in ts:
                t.kill()
            assert [t.alive for t in ts] == [False] * 2
            gevent.killall(jobs)
            assert [job.dead for job in jobs] == [True] * 2
        ''')

    def test_events_and_the_thread_pool(self):
        self.passes('''
            def work():
                event = gevent.event.AsyncResult()
                gevent.spawn(event.set, 5)
                got.append(event.get())
                got.append(gevent.get_hub().threadpool.apply(sum, ([1, 2],)))

            got = []
            tasklet(work)()
            tasklet(inside)(work)
            run()
            assert got == [5, 3] * 2, got
        ''')

    def test_gevent_in_a_tasklet_and_channels_between(self):
        """gevent's loop in one tasklet; greenlets put what they computed on a list that the tasklet sends."""
        self.passes('''
            channel, received = stackless.channel(), []

            def loop():
                jobs = [gevent.spawn(lambda n=n: (gevent.sleep(0.001 * n), n)[1]) for n in range(5)]
                gevent.joinall(jobs)
                for job in jobs:
                    channel.send(job.value)
                channel.send(None)

            def receiver():
                while (value := channel.receive()) is not None:
                    received.append(value)

            stackless.tasklet(receiver)()
            stackless.tasklet(loop)()
            stackless.run()
            assert received == [0, 1, 2, 3, 4], received
        ''')


if __name__ == '__main__':
    unittest.main()
