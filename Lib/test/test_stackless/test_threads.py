"""Tasklets and channels between threads: waking, sleeping, deadlocks of all threads, rebinding."""

import _thread
import ctypes
import sys
import threading
import time
import unittest
import weakref
from operator import call

import stackless
from stackless import atomic, channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

from . import interpreters
from .cases import LeavesNoTasklets, needs_soft_switches

# What a thread does takes microseconds; this only keeps a failing test from hanging.
PATIENCE = 60


class ThreadCase(LeavesNoTasklets, unittest.TestCase):
    def setUp(self):
        self.log = []

    def start(self, function, *args):
        """Run function(*args) in a thread; its exceptions fail the test."""
        failures = []

        def body():
            try:
                function(*args)
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=body, daemon=True)

        def finish():
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive(), "the thread hangs")
            if failures:
                raise failures[0]

        thread.finish = finish
        self.addCleanup(thread.join, PATIENCE)
        thread.start()
        return thread

    def sleeper(self, ch):
        """A thread whose main tasklet sleeps in ch.receive(), and logs what it gets, until that is None."""
        def body():
            self.main = getmain()
            ready.set()
            while (value := ch.receive()) is not None:
                self.log.append(value)

        ready = threading.Event()
        thread = self.start(body)
        self.assertTrue(ready.wait(PATIENCE))
        self.wait_until(lambda: ch.balance == -1)
        return thread

    def wait_until(self, condition):
        """Let other threads run until it holds."""
        for _ in range(PATIENCE * 100):
            if condition():
                return
            threading.Event().wait(0.01)
        self.fail("waited in vain")


class TestChannels(ThreadCase):
    def test_receive_from_another_thread(self):
        ch = channel()
        thread = self.start(lambda: [ch.send(i) for i in range(100)])
        self.assertEqual([ch.receive() for _ in range(100)], list(range(100)))
        thread.finish()

    def test_send_to_another_thread(self):
        ch = channel()
        thread = self.start(lambda: self.log.extend(ch.receive() for _ in range(100)))
        for i in range(100):
            ch.send(i)
        thread.finish()
        self.assertEqual(self.log, list(range(100)))

    def test_the_actor_goes_on_whatever_the_preference(self):
        for preference in -1, 0, 1:
            with self.subTest(preference=preference):
                ch = channel()
                ch.preference = preference
                tasklet(self.log.append)("other")
                thread = self.sleeper(ch)
                ch.send("value")
                self.assertNotIn("other", self.log)
                ch.send(None)
                run()
                thread.finish()
                self.log.clear()

    def test_ping_pong(self):
        ping, pong = channel(), channel()

        def work():
            for value in iter(ping.receive, None):
                pong.send(value + 1)

        thread = self.start(work)
        value = 0
        for _ in range(500):
            ping.send(value)
            value = pong.receive()
        ping.send(None)
        thread.finish()
        self.assertEqual(value, 500)

    def test_exceptions_travel(self):
        ch = channel()
        thread = self.start(lambda: ch.send_exception(KeyError, "text"))
        with self.assertRaises(KeyError):
            ch.receive()
        thread.finish()

    def test_many_threads_and_tasklets(self):
        ch, count, each = channel(), 8, 50

        def work(number):
            for i in range(each):
                tasklet(ch.send)((number, i))
            run()
            # The last send of the thread's main tasklet waits for all.
            done.receive()

        done = channel()
        threads = [self.start(work, n) for n in range(count)]
        got = [ch.receive() for _ in range(count * each)]
        for _ in threads:
            done.send(None)
        for thread in threads:
            thread.finish()
        self.assertEqual(sorted(got), [(n, i) for n in range(count) for i in range(each)])


class TestSleeping(ThreadCase):
    def test_main_sleeps_when_its_last_tasklet_ends(self):
        """There was a bogus deadlock where another thread would have sent."""
        ch, go = channel(), threading.Event()

        def work():
            go.wait(PATIENCE)
            ch.send("value")

        thread = self.start(work)
        tasklet(go.set)()
        self.assertEqual(ch.receive(), "value")
        thread.finish()

    def test_a_tasklet_sleeps_while_main_is_blocked(self):
        mine, ch = channel(), channel()
        thread = self.start(lambda: ch.send("value"))
        tasklet(lambda: mine.send(ch.receive()))()
        self.assertEqual(mine.receive(), "value")
        run()
        thread.finish()

    def test_run_comes_back_without_threadblock(self):
        ch = channel()
        stop = threading.Event()
        thread = self.start(stop.wait, PATIENCE)
        t = tasklet(ch.receive)()
        run()
        self.assertTrue(t.blocked)
        stop.set()
        thread.finish()
        ch.send(None)

    def test_inserting_wakes(self):
        ch = channel()
        thread = self.sleeper(ch)
        t = tasklet(lambda: self.log.append(threading.get_ident()), ())
        t.bind_thread(thread.ident)
        t.insert()
        self.wait_until(lambda: self.log == [thread.ident])
        ch.send(None)
        thread.finish()

    def test_running_wakes(self):
        ch = channel()
        thread = self.sleeper(ch)
        t = tasklet(lambda: self.log.append(threading.get_ident()), ())
        t.bind_thread(thread.ident)
        t.run()
        self.wait_until(lambda: self.log == [thread.ident])
        ch.send(None)
        thread.finish()

    def test_setup_wakes(self):
        ch = channel()
        thread = self.sleeper(ch)
        t = tasklet(lambda: self.log.append(threading.get_ident()))
        t.bind_thread(thread.ident)
        t()
        self.wait_until(lambda: self.log == [thread.ident])
        ch.send(None)
        thread.finish()

    def test_killing_wakes(self):
        for pending in False, True:
            with self.subTest(pending=pending):
                caught = []

                def work():
                    ready.set()
                    try:
                        channel().receive()
                    except TaskletExit:
                        caught.append("exit")

                ready = threading.Event()
                mains = []
                thread = self.start(lambda: (mains.append(getmain()), work()))
                self.assertTrue(ready.wait(PATIENCE))
                self.wait_until(lambda: mains[0].blocked)
                mains[0].kill(pending)
                thread.finish()
                self.assertEqual(caught, ["exit"])

    def test_throwing_wakes(self):
        ch = channel()
        caught = []

        def work():
            with self.assertRaisesRegex(KeyError, "text"):
                ch.receive()
            caught.append(getcurrent() is getmain())

        thread = self.start(work)
        self.wait_until(lambda: ch.balance == -1)
        ch.queue.throw(KeyError, "text")
        thread.finish()
        self.assertEqual(caught, [True])

    def test_bystanders_do_not_see_the_idle_tasklet(self):
        ch = channel()
        thread = self.sleeper(ch)
        for t in stackless.tasklets():
            self.assertTrue(t.is_main or t.thread_id != thread.ident, t)
        ch.send(None)
        thread.finish()

    def test_what_other_threads_are_told_of_a_sleeper(self):
        ch = channel()
        thread = self.sleeper(ch)
        self.wait_until(lambda: stackless.get_thread_info(thread.ident) == (self.main, None, 0))
        # Woken, but this thread does not let it run yet.
        with atomic():
            ch.send(1)
            self.assertEqual(stackless.get_thread_info(thread.ident), (self.main, None, 1))
        ch.send(None)
        thread.finish()

    def test_a_sleeper_has_the_frames_of_who_waits(self):
        """Main's, or those of the caller of run()."""
        def names():
            frame = sys._current_frames().get(thread.ident)
            found = []
            while frame is not None:
                found.append(frame.f_code.co_name)
                frame = frame.f_back
            return found

        ch = channel()
        thread = self.sleeper(ch)
        self.wait_until(names)
        self.assertEqual(names()[:2], ["body", "body"])
        ch.send(None)
        thread.finish()
        self.assertEqual(names(), [])

        def waits():
            run(threadblock=True)

        def works():
            tasklet(lambda: (ch.receive(), getmain().insert()))()
            waits()

        thread = self.start(works)
        self.wait_until(lambda: names()[:2] == ["waits", "works"])
        ch.send(None)
        thread.finish()

    def start_watched(self, function):
        """A thread that runs function(); its switches are logged. Its `watch` and `ignore` switch that on and off."""
        def body():
            started.wait(PATIENCE)
            function()

        def callback(prev, next):
            if threading.get_ident() == thread.ident:
                self.log.append((prev.name, next.name))

        started = threading.Event()
        thread = self.start(body)
        thread.watch = lambda: stackless.set_schedule_callback(callback)
        thread.ignore = lambda: stackless.set_schedule_callback(None)
        self.addCleanup(thread.ignore)
        thread.watch()
        started.set()
        return thread

    def test_schedule_callbacks_do_not_see_the_idle_tasklet(self):
        def works():
            getmain().name = "main"
            t = tasklet(lambda: self.log.append(ch.receive()))()
            t.name = "t"
            t.run()
            self.log.append(ch.receive())
            self.log.append(ch.receive())

        ch = channel()
        thread = self.start_watched(works)
        expected = [("main", "t"), ("t", "main")]
        # Who runs when a value comes; the last time nobody else has run in between.
        for balance, events in (-2, [("main", "t"), 0]), (-1, [("t", "main"), 1]), (-1, [2]):
            self.asleep(thread, ch, balance)
            self.assertEqual(self.log, expected)
            ch.send(events[-1])
            expected += events
        thread.finish()
        self.assertEqual(self.log, expected)

    def test_a_schedule_callback_that_comes_and_goes(self):
        """What was remembered for it is forgotten."""
        def works():
            for _ in range(2):
                tasklet(ch.receive)().run()
            for _ in range(3):
                ch.receive()

        ch = channel()
        thread = self.start_watched(works)
        self.asleep(thread, ch, -3)
        first = weakref.ref(ch.queue)
        thread.ignore()
        ch.send(None)
        self.asleep(thread, ch, -2)
        self.wait_until(lambda: first() is None)
        ch.send(None)
        self.asleep(thread, ch, -1)
        ch.send(None)
        self.asleep(thread, ch, -1)
        # Main falls asleep without a callback, and wakes with one.
        self.log.clear()
        thread.watch()
        ch.send(None)
        self.asleep(thread, ch, -1)
        ch.send(None)
        thread.finish()
        self.assertEqual(self.log, [])

    def asleep(self, thread, ch, balance):
        """Wait until the thread sleeps, and so many wait on the channel."""
        self.wait_until(lambda: ch.balance == balance
                        and stackless.get_thread_info(thread.ident)[1:] == (None, 0))


class TestThreadblock(ThreadCase):
    """run(threadblock=True) waits for other threads, with and without a limit."""

    def visited(self, *args, **limits):
        """Who was run in a run(threadblock=True) until a visitor from another thread ends it."""
        main, leave = getmain(), threading.Event()

        def visit():
            self.wait_until(lambda: not main.scheduled)
            for i in range(3):
                t = tasklet(self.log.append)
                t.bind_thread(main.thread_id)
                t(i)
            self.wait_until(lambda: len(self.log) == 3)
            main.insert()
            leave.wait(PATIENCE)

        thread = self.start(visit)
        run(*args, threadblock=True, **limits)
        leave.set()
        thread.finish()
        return self.log

    def test_with_nothing_to_run_yet(self):
        self.assertEqual(self.visited(), [0, 1, 2])

    def test_when_everything_has_run(self):
        tasklet(int)()
        self.assertEqual(self.visited(), [0, 1, 2])

    def test_with_a_timeout(self):
        self.assertEqual(self.visited(1000000), [0, 1, 2])

    def test_with_much_time(self):
        self.assertEqual(self.visited(max_seconds=2 * PATIENCE), [0, 1, 2])

    def test_the_time_is_over(self):
        leave = threading.Event()
        thread = self.start(leave.wait, PATIENCE)
        self.assertIsNone(run(max_seconds=0.01, threadblock=True))
        leave.set()
        thread.finish()

    def test_a_tasklet_that_blocks(self):
        ch, main = channel(), getmain()
        t = tasklet(lambda: (self.log.append(ch.receive()), main.run()))()

        def work():
            ch.send("value")
            leave.wait(PATIENCE)

        leave = threading.Event()
        thread = self.start(work)
        run(threadblock=True)
        self.assertEqual(self.log, ["value"])
        leave.set()
        run()
        thread.finish()
        self.assertFalse(t.alive)

    def test_without_other_threads_it_comes_back(self):
        tasklet(self.log.append)("ran")
        run(threadblock=True)
        run(threadblock=True)
        self.assertEqual(self.log, ["ran"])


class TestBusyThreads(ThreadCase):
    def test_insert_into_a_busy_thread(self):
        stop = []

        def work():
            ready.set()
            while not stop:
                schedule()

        ready = threading.Event()
        thread = self.start(work)
        self.assertTrue(ready.wait(PATIENCE))
        for i in range(200):
            t = tasklet(self.log.append)
            t.bind_thread(thread.ident)
            t(i)
        last = tasklet(stop.append)
        last.bind_thread(thread.ident)
        last(True)
        thread.finish()
        self.assertEqual(self.log, list(range(200)))

    def test_insert_and_remove_against_switches(self):
        """Two threads change one ring while its own thread switches as fast as it can."""
        stop = []

        def spin():
            while not stop:
                schedule()

        def work():
            self.spinners = [tasklet(spin)() for _ in range(5)]
            ready.set()
            run()

        def disturb():
            for _ in range(2000):
                for t in self.spinners:
                    try:
                        t.remove()
                    except RuntimeError:
                        pass  # it is the current one
                    t.insert()

        ready = threading.Event()
        thread = self.start(work)
        self.assertTrue(ready.wait(PATIENCE))
        others = [self.start(disturb) for _ in range(2)]
        for other in others:
            other.finish()
        stop.append(True)
        thread.finish()

    def test_switch_to_another_thread_is_refused(self):
        ch = channel()
        thread = self.sleeper(ch)
        with self.assertRaisesRegex(RuntimeError, "another thread"):
            self.main.switch()
        ch.send(None)
        thread.finish()

    def test_kill_the_tasklet_that_another_thread_runs(self):
        """The bomb was lost: the tasklet dropped it at its next switch."""
        for hop in False, True:
            with self.subTest(switches=hop):
                def spin():
                    try:
                        ready.set()
                        while True:
                            if hop:
                                schedule()
                    finally:
                        self.log.append("finally")

                ready = threading.Event()
                spinner = tasklet(spin, ())
                def work():
                    spinner.bind_thread()
                    spinner.insert()
                    run()

                thread = self.start(work)
                self.assertTrue(ready.wait(PATIENCE))
                spinner.kill()
                thread.finish()
                self.assertEqual(self.log, ["finally"])
                self.assertFalse(spinner.alive)
                self.log.clear()


class TestDeadlock(ThreadCase):
    def test_alone(self):
        with self.assertRaisesRegex(RuntimeError, "^Deadlock: the last runnable tasklet cannot be blocked"):
            channel().receive()

    def test_a_thread_in_a_system_call_could_still_send(self):
        ch = channel()
        ready, go = _thread.allocate_lock(), _thread.allocate_lock()
        ready.acquire()
        go.acquire()

        def work():
            ready.release()
            go.acquire()
            ch.send("value")

        thread = self.start(work)
        ready.acquire()
        tasklet(go.release)()
        self.assertEqual(ch.receive(), "value")
        thread.finish()

    def others_sleep(self):
        """Whether no other thread could run: run() comes back at once then."""
        start = time.monotonic()
        run(max_seconds=0.05, threadblock=True)
        return time.monotonic() - start < 0.05

    def test_all_threads_sleep(self):
        """Who comes last gets the error, and may help the others then."""
        ch = channel()
        thread = self.sleeper(ch)
        self.wait_until(self.others_sleep)   # a tasklet blocks before its thread sleeps
        with self.assertRaisesRegex(RuntimeError, "^Deadlock: the last runnable tasklet of all threads"):
            channel().receive()
        ch.send(None)
        thread.finish()

    def test_the_thread_that_could_have_sent_ends(self):
        for uses_tasklets in False, True:
            with self.subTest(uses_tasklets=uses_tasklets):
                ch, go = channel(), threading.Event()
                thread = self.start(lambda: (go.wait(PATIENCE), uses_tasklets and getcurrent()))
                tasklet(go.set)()
                with self.assertRaisesRegex(RuntimeError, "Deadlock|receiving without a sender available"):
                    ch.receive()
                thread.finish()
                self.assertEqual(ch.balance, 0)


class TestSignals(unittest.TestCase):
    def test_keyboard_interrupt_while_asleep(self):
        print_ = interpreters.check_python(self, '-c', f'''if True:
            import os, signal, stackless, threading
            ch, done = stackless.channel(), threading.Event()

            def work():
                # The other thread sleeps, or will: a signal is not lost in between.
                while ch.balance == 0:
                    pass
                os.kill(os.getpid(), signal.SIGINT)
                done.wait({PATIENCE})

            thread = threading.Thread(target=work)
            thread.start()
            try:
                ch.receive()
            except KeyboardInterrupt:
                print("interrupted", ch.balance, stackless.getcurrent() is stackless.getmain())
            done.set()
            thread.join()
        ''')
        self.assertEqual(print_, "interrupted 0 True\n")

    def test_a_handler_that_sends(self):
        print_ = interpreters.check_python(self, '-c', f'''if True:
            import os, signal, stackless, threading
            ch, done = stackless.channel(), threading.Event()
            signal.signal(signal.SIGUSR1, lambda *args: ch.send("from the handler"))

            def work():
                while ch.balance == 0:
                    pass
                os.kill(os.getpid(), signal.SIGUSR1)
                done.wait({PATIENCE})

            thread = threading.Thread(target=work)
            thread.start()
            print(ch.receive())
            done.set()
            thread.join()
        ''')
        self.assertEqual(print_, "from the handler\n")

    def while_asleep(self, program):
        """What a program prints, in which interrupt() sends SIGINT as soon as somebody waits in ch.receive()."""
        return interpreters.check_python(self, '-c', f'''if True:
            import contextvars, os, signal, sys, threading, traceback
            from stackless import channel, getcurrent, getmain, run, set_error_handler, tasklet
            ch, done = channel(), threading.Event()

            def interrupt():
                def body():
                    # A signal is not lost between the two.
                    while ch.balance == 0:
                        pass
                    os.kill(os.getpid(), signal.SIGINT)
                    done.wait({PATIENCE})

                threading.Thread(target=body).start()
        ''' + program + '''
            done.set()
        ''')

    def test_the_error_handler_is_not_asked(self):
        """No tasklet has ended, and who waits is interrupted."""
        self.assertEqual(self.while_asleep('''
            set_error_handler(lambda *args: print("handler"))
            interrupt()
            try:
                ch.receive()
            except KeyboardInterrupt as error:
                print("interrupted", ch.balance, [f.name for f in traceback.extract_tb(error.__traceback__)])
        '''), "interrupted 0 ['<module>']\n")

    def test_a_handler_that_raises_what_ends_tasklets(self):
        for error in "TaskletExit", "SystemExit", "ValueError":
            self.assertEqual(self.while_asleep(f'''
            def handler(*args):
                raise {error}("from the handler")

            signal.signal(signal.SIGINT, handler)
            interrupt()
            try:
                ch.receive()
            except BaseException as error:
                print(repr(error), ch.balance)
            '''), f"{error}('from the handler') 0\n")

    def test_it_goes_to_who_waits_in_run(self):
        self.assertEqual(self.while_asleep('''
            def waits():
                try:
                    run(threadblock=True)
                except KeyboardInterrupt:
                    print("interrupted", getcurrent() is w, main_waits.balance)
                main_waits.send(None)

            main_waits = channel()
            w = tasklet(waits)()
            t = tasklet(ch.receive)()
            interrupt()
            main_waits.receive()
            print(t.blocked)
            t.kill()
        '''), "interrupted True -1\nTrue\n")

    def test_what_a_handler_sees(self):
        """The frames of who waits, and its context."""
        self.assertEqual(self.while_asleep('''
            variable = contextvars.ContextVar("variable")
            variable.set("value")

            def handler(number, frame):
                print(frame is waiting, frame.f_code.co_name)
                here = sys._getframe()
                print(here.f_back is frame, variable.get())
                variable.set("changed")
                kept.append(here)
                ch.send("from the handler")

            def wait():
                global waiting
                waiting = sys._getframe()
                interrupt()
                return ch.receive()

            kept = []
            ch.preference = 1   # the handler goes on
            signal.signal(signal.SIGINT, handler)
            print(wait(), variable.get())
            print(kept[0].f_back is waiting, kept[0].f_back.f_back.f_code.co_name)
        '''), "True wait\nTrue value\nfrom the handler changed\nTrue <module>\n")

    def test_a_handler_that_switches(self):
        """The frames of who waits are no longer below when that one runs."""
        self.assertEqual(self.while_asleep('''
            def names(frame):
                while frame is not None:
                    yield frame.f_code.co_name
                    frame = frame.f_back

            def handler(*args):
                print(*names(sys._getframe()))
                tasklet(print)("other")
                run()
                print(*names(sys._getframe()))
                ch.send("sent")
                print(*names(sys._getframe()))

            def wait():
                return ch.receive()

            signal.signal(signal.SIGINT, handler)
            interrupt()
            print(wait())
            run()
        '''), "handler wait <module>\nother\nhandler\nsent\nhandler\n")

    def test_an_error_after_a_switch(self):
        """The same as without."""
        self.assertEqual(self.while_asleep('''
            def handler(*args):
                tasklet(print)("other")
                run()
                raise KeyError("from the handler")

            set_error_handler(lambda *args: print("handler"))
            signal.signal(signal.SIGINT, handler)
            interrupt()
            try:
                ch.receive()
            except KeyError as error:
                print(error)
        '''), "other\n'from the handler'\n")

    def test_what_a_handler_sets_in_a_context_that_is_not_there_yet(self):
        self.assertEqual(self.while_asleep('''
            def handler(*args):
                variable.set("by the handler")
                ch.send(None)

            variable = contextvars.ContextVar("variable")
            signal.signal(signal.SIGINT, handler)
            interrupt()
            ch.receive()
            print(variable.get())
        '''), "by the handler\n")

    def test_the_context_of_who_waits_in_run(self):
        """From the start, and after a handler has let somebody wait there."""
        self.assertEqual(self.while_asleep('''
            def handler(*args):
                print(variable.get(), sys._getframe(1).f_code.co_name)
                if names:
                    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
                    tasklet(waits)(names.pop()).set_context(contextvars.Context())
                    run()
                else:
                    ch.send(None)

            def waits(name):
                variable.set(name)
                run(threadblock=True)

            names = ["third", "second"]
            variable = contextvars.ContextVar("variable")
            variable.set("main's")
            ch.preference = 1
            signal.signal(signal.SIGINT, handler)
            interrupt()
            ch.receive()
        '''), "main's <module>\nsecond waits\nthird waits\n")
        self.assertEqual(self.while_asleep('''
            def handler(*args):
                print(variable.get())
                ch.send(None)

            def waits():
                variable.set("its own")
                interrupt()
                run(threadblock=True)

            variable = contextvars.ContextVar("variable")
            variable.set("main's")
            ch.preference = 1
            signal.signal(signal.SIGINT, handler)
            tasklet(waits)().set_context(contextvars.Context())
            ch.receive()
        '''), "its own\n")

    def test_who_waits_is_let_go_without_a_switch(self):
        """By the handler, or by another thread: its frames are freed."""
        self.assertEqual(self.while_asleep('''
            import weakref

            def let_go():
                global w
                reference = weakref.ref(w)
                w.insert()
                w.remove()
                w = None
                print(reference())

            def handler(number, frame):
                print(frame.f_code.co_name)
                del frame
                let_go()
                print(sys._getframe().f_back)
                go_on.send(None)

            def waits():
                run(threadblock=True)

            go_on = channel()
            go_on.preference = 1
            signal.signal(signal.SIGINT, handler)
            w = tasklet(waits)()
            tasklet(ch.receive)()
            interrupt()
            go_on.receive()
        '''), "waits\nNone\nNone\n")

    def test_what_the_handler_drops_makes_somebody_runnable(self):
        """The thread looks again before it sleeps."""
        self.assertEqual(self.while_asleep('''
            import stackless

            class Last:
                def __del__(self):
                    tasklet(ch.send)("from the destructor")

            def handler(*args):
                stackless.set_schedule_callback(None)
                held.pop()
                tasklet(print)("handler switches")
                run()
                stackless.set_schedule_callback(lambda prev, next: None)

            stackless.set_schedule_callback(lambda prev, next: None)
            held = [tasklet(lambda last: stackless.schedule_remove())(Last())]
            signal.signal(signal.SIGINT, handler)
            interrupt()
            print(ch.receive())
        '''), "handler switches\nfrom the destructor\n")


@needs_soft_switches
class TestBindThread(ThreadCase):
    def finished(self, function, *args):
        thread = self.start(function, *args)
        thread.finish()
        return thread

    def test_take_over_a_paused_tasklet_of_a_dead_thread(self):
        def work():
            self.t = tasklet(self.steps)()
            self.t.run()

        self.finished(work)
        self.assertEqual(self.log, [1])
        self.assertEqual((self.t.alive, self.t.scheduled), (False, False))
        self.assertEqual((self.t.frame, self.t.thread_id), (None, -1))
        for method in self.t.run, self.t.insert, self.t.switch, self.t.setup:
            with self.assertRaisesRegex(RuntimeError, "tasklet has no thread"):
                method()
        self.t.bind_thread()
        self.assertTrue(self.t.alive)
        self.assertEqual(self.t.thread_id, threading.get_ident())
        self.assertEqual(self.t.frame.f_code.co_name, "steps")
        self.t.run()
        self.assertEqual(self.log, [1, 2])
        self.assertFalse(self.t.alive)

    def steps(self):
        self.log.append(1)
        schedule_remove()
        self.log.append(2)

    def test_take_over_a_blocked_tasklet(self):
        ch = channel()

        def work():
            self.t = tasklet(lambda: self.log.append(ch.receive()))()
            self.t.run()

        self.finished(work)
        self.assertTrue(self.t.blocked)
        self.t.bind_thread()
        self.assertTrue(self.t.blocked)
        ch.send("value")
        self.assertEqual(self.log, ["value"])

    def test_take_over_one_that_never_ran(self):
        self.finished(lambda: setattr(self, "t", tasklet(self.log.append)("value")))
        self.t.bind_thread()
        self.t.run()
        self.assertEqual(self.log, ["value"])

    def test_take_over_by_a_third_thread(self):
        self.finished(lambda: (setattr(self, "t", tasklet(self.steps)()), self.t.run()))
        self.finished(lambda: (self.t.bind_thread(), self.t.run()))
        self.assertEqual(self.log, [1, 2])

    def test_a_generator_half_way(self):
        def generate():
            yield 1
            schedule_remove()
            yield 2

        def work():
            self.t = tasklet(consume)()
            self.t.run()

        def consume():
            for x in (x for x in generate()):
                self.log.append(x)

        self.finished(work)
        self.t.bind_thread()
        self.t.run()
        self.assertEqual(self.log, [1, 2])

    def test_nobody_can_be_sent_to_a_dead_thread(self):
        """A receiver whose thread has ended leaves the queue, and the next one is served."""
        ch = channel()
        self.finished(lambda: tasklet(ch.receive)().run())
        self.assertEqual(ch.balance, -1)
        tasklet(lambda: self.log.append(ch.receive()))()
        run()
        ch.send("value")
        self.assertEqual((self.log, ch.balance), (["value"], 0))

    def test_a_receiver_that_was_passed_over(self):
        """It gets no value that nobody has sent."""
        def receives():
            try:
                self.log.append(ch.receive())
            except RuntimeError as error:
                self.log.append(str(error))

        ch = channel()
        self.finished(lambda: (setattr(self, "t", tasklet(receives)()), self.t.run()))
        t = tasklet(ch.send)("value")
        run()
        self.assertEqual((ch.balance, ch.queue), (1, t))
        self.t.bind_thread()
        self.t.run()
        self.assertEqual(self.log, ["receive() was given up: the tasklet's thread had ended when somebody sent"])
        self.assertEqual(ch.receive(), "value")
        run()

    def test_what_a_dead_thread_has_sent_is_received(self):
        """The senders go on when somebody takes them over."""
        def sends(value):
            ch.send(value)
            self.log.append("sent")

        def works():
            self.senders = [tasklet(sends)(n) for n in range(2)] + [tasklet(ch.send_exception)(KeyError, "text")]
            run()

        ch = channel()
        self.finished(works)
        self.assertEqual(ch.balance, 3)
        self.assertEqual([ch.receive(), ch.receive()], [0, 1])
        with self.assertRaisesRegex(KeyError, "text"):
            next(ch)
        self.assertEqual(ch.balance, 0)
        for t in self.senders:
            self.assertFalse(t.blocked)
            t.bind_thread()
            t.run()
        self.assertEqual(self.log, ["sent", "sent"])

    def test_a_sender_of_a_dead_thread_that_nobody_holds(self):
        """It is freed when its value is taken, and what it drops may use the channel."""
        class Last:
            def __del__(self):
                tasklet(ch.send)("from the destructor")
                run()

        def sends(last):
            ch.send("value")

        ch = channel()
        self.finished(lambda: (tasklet(sends)(Last()), run()))
        self.assertEqual([ch.receive(), ch.balance], ["value", 1])
        self.assertEqual([ch.receive(), ch.balance], ["from the destructor", 0])
        run()


class TestForeignThreads(ThreadCase):
    """Threads that Python did not start, by way of ctypes."""

    def call_in_foreign_thread(self, function):
        """Call function() in a thread that libc starts; it takes the GIL and gives it back."""
        libc = ctypes.CDLL(None)
        start_type = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
        failures = []

        def body(_):
            try:
                function()
            except BaseException as error:
                failures.append(error)

        start = start_type(body)
        thread = ctypes.c_ulong()
        self.assertEqual(libc.pthread_create(ctypes.byref(thread), None, start, None), 0)
        self.assertEqual(libc.pthread_join(thread, None), 0)
        if failures:
            raise failures[0]

    def test_tasklets_in_a_foreign_thread(self):
        def work():
            for i in range(3):
                tasklet(self.log.append)(i)
            run()

        self.call_in_foreign_thread(work)
        self.assertEqual(self.log, [0, 1, 2])

    def test_a_pinned_tasklet_is_killed_when_the_thread_goes(self):
        def pinned():
            try:
                call(lambda: schedule_remove())
            finally:
                self.log.append("finally")

        def work():
            self.t = tasklet(pinned)()
            run()
            self.log.append("end of thread")

        self.call_in_foreign_thread(work)
        self.assertEqual(self.log, ["end of thread", "finally"])
        self.assertFalse(self.t.alive)


class TestSmallStacks(unittest.TestCase):
    def test_threads_with_32_kilobytes(self):
        interpreters.check_python(self, '-c', '''if True:
            import os, stackless, threading
            from operator import call
            # some architectures want more
            threading.stack_size(max(32 * 1024, os.sysconf('SC_THREAD_STACK_MIN')))
            log = []

            def work():
                ch = stackless.channel()
                stackless.tasklet(call)(lambda: [ch.send(i) for i in range(3)])
                log.extend(ch.receive() for _ in range(3))
                log.append(sum(map(lambda x: depth(x), [50])))

            def depth(n):
                return 0 if n == 0 else 1 + max(map(depth, [n - 1]))

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            assert log == [0, 1, 2, 50], log
        ''')


if __name__ == "__main__":
    unittest.main()
