"""Tasklets and channels between threads: waking, sleeping, deadlocks of all threads, rebinding."""

import _thread
import ctypes
import threading
import time
import unittest
from operator import call

import stackless
from stackless import channel, getcurrent, getmain, run, schedule, schedule_remove, tasklet

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
