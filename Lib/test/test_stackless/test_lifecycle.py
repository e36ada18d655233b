"""The end of the interpreter, with tasklets in every state; each case in a process of its own."""

import textwrap
import unittest

from . import interpreters
from .cases import needs_soft_switches

PROGRAM = '''
import atexit, os, sys, threading
from operator import call
import stackless
from stackless import *

def say(*words):
    print(*words, flush=True)

def inside(function, *args):
    """Call function(*args) inside of a C function."""
    return call(lambda: function(*args))

def guarded(function, *args):
    try:
        return inside(function, *args)
    except BaseException as error:
        say(type(error).__name__)
        raise
    finally:
        say("finally")

def deep(n, function, *args):
    return function(*args) if n == 0 else inside(deep, n - 1, function, *args)
'''


class LifeCase(unittest.TestCase):
    def ends(self, program, status=0, output='', errors=''):
        """The program ends with this exit status, prints `output`, and `errors` (a regular expression)."""
        done = interpreters.run_python('-X', 'faulthandler', '-c', PROGRAM + textwrap.dedent(program))
        self.assertEqual((done.returncode, done.stdout), (status, output), done.stderr)
        if errors:
            self.assertRegex(done.stderr, errors)
        else:
            self.assertEqual(done.stderr, '')


class TestLiveTasklets(LifeCase):
    def test_never_run(self):
        self.ends('t = tasklet(say)("never")')

    @needs_soft_switches
    def test_scheduled_blocked_paused_soft_ones_stop(self):
        self.ends('''
            def body(wait):
                try:
                    wait()
                finally:
                    say("finally")
            ch = channel()
            ts = [tasklet(body, (wait,)) for wait in (ch.receive, schedule_remove, schedule)]
            for t in ts: t.run()
            assert [t.blocked or t.paused or t.scheduled for t in ts] == [True] * 3
        ''')

    def test_pinned_ones_run_their_finally_blocks(self):
        self.ends('''
            ch = channel()
            ts = [tasklet(guarded)(wait) for wait in (ch.receive, schedule_remove)]
            run()
            say("end")
        ''', output='end\n' + 'TaskletExit\nfinally\n' * 2)

    def test_pinned_ones_without_references(self):
        self.ends('''
            ch = channel()
            tasklet(guarded)(ch.receive)
            run()
            say("end")
        ''', output='end\nTaskletExit\nfinally\n')

    def test_exit_functions_come_first(self):
        self.ends('''
            atexit.register(say, "atexit")
            t = tasklet(guarded)(schedule_remove)
            run()
        ''', output='atexit\nTaskletExit\nfinally\n')

    def test_modules_are_there_at_the_end(self):
        self.ends('''
            import json, logging
            def body():
                try:
                    inside(schedule_remove)
                finally:
                    say(json.dumps([1]), logging.getLogger().level, os.getpid() > 0)
            t = tasklet(body)()
            run()
        ''', output='[1] 30 True\n')

    def test_one_that_refuses(self):
        self.ends('''
            def refuse(_):
                while True:
                    try: schedule_remove()
                    except TaskletExit: pass
            t = tasklet(lambda: inside(refuse, 1))()
            run()
            say("end")
        ''', output='end\n')

    def test_one_that_raises(self):
        self.ends('''
            def body():
                try: inside(schedule_remove)
                finally: raise KeyError("late")
            t = tasklet(body)()
            run()
            say("end")
        ''', output='end\n', errors="KeyError: 'late'")

    def test_ten_thousand(self):
        self.ends('''
            ch = channel()
            for _ in range(10000): tasklet(ch.receive)()
            for _ in range(200): tasklet(inside)(ch.receive)
            run()
        ''')

    def test_destructors_that_switch_at_the_end(self):
        self.ends('''
            class Late:
                def __del__(self, tasklet=tasklet, run=run, write=os.write):
                    tasklet(write)(1, b"late\\n")
                    run()
            late = Late()
            sys.late = Late()
        ''', output='late\nlate\n')


class TestExit(LifeCase):
    """sys.exit() and friends keep the exit status wherever they are called."""

    def test_sys_exit_in_a_soft_tasklet(self):
        self.ends('tasklet(sys.exit)(3); run()', status=3)

    def test_sys_exit_in_a_pinned_tasklet(self):
        self.ends('tasklet(inside)(sys.exit, 3); run()', status=3)

    def test_sys_exit_deep(self):
        self.ends('tasklet(deep)(200, sys.exit, 3); run()', status=3)

    def test_sys_exit_while_main_is_blocked(self):
        self.ends('tasklet(sys.exit)(3); channel().receive()', status=3)

    def test_sys_exit_with_others_pinned(self):
        self.ends('''
            t = tasklet(guarded)(schedule_remove)
            run()
            tasklet(sys.exit)(3)
            run()
        ''', status=3, output='TaskletExit\nfinally\n')

    def test_sys_exit_in_another_thread(self):
        self.ends('''
            def work():
                tasklet(sys.exit)(3)
                run()
                say("goes on")
            t = threading.Thread(target=work); t.start(); t.join()
        ''', output='goes on\n')

    def test_os_exit(self):
        for wrap in '', 'inside, ':
            with self.subTest(wrap=wrap):
                self.ends(f'''
                    t = tasklet(guarded)(schedule_remove)
                    run()
                    tasklet({wrap}os._exit)(4)
                    run()
                ''' if not wrap else '''
                    tasklet(inside)(os._exit, 4)
                    run()
                ''', status=4)

    def test_an_exception(self):
        self.ends('tasklet(inside)(int, "x"); run()', status=1, errors='ValueError: invalid literal')

    def test_finalize_within_tasklets(self):
        """Py_Exit() called by C code, from wherever: the process ends right there."""
        for place in 'ctypes.pythonapi.Py_Exit(5)', 'tasklet(ctypes.pythonapi.Py_Exit)(5); run()', \
                'tasklet(deep)(50, ctypes.pythonapi.Py_Exit, 5); run()':
            with self.subTest(place=place):
                self.ends(f'''
                    import ctypes
                    atexit.register(say, "atexit")
                    t = tasklet(guarded)(schedule_remove)
                    run()
                    {place}
                ''', status=5, output='atexit\nTaskletExit\nfinally\n')

    def test_finalize_while_one_raises_at_its_end(self):
        """The error went to main, which ran on in the middle of the end."""
        self.ends('''
            import ctypes
            def body():
                try: inside(schedule_remove)
                finally: raise KeyError("late")
            t = tasklet(body)()
            run()
            tasklet(deep)(5, ctypes.pythonapi.Py_Exit, 5)
            run()
            say("main goes on")
        ''', status=5, errors="KeyError: 'late'")

    def test_keyboard_interrupt_in_a_tasklet(self):
        self.ends('''
            import signal
            def body():
                inside(signal.raise_signal, signal.SIGINT)
                for _ in range(100): pass
            tasklet(body)()
            try: run()
            except KeyboardInterrupt: say("interrupted")
        ''', output='interrupted\n')


class TestDaemonThreads(LifeCase):
    """Daemon threads end where they stand when the interpreter has gone, on a carrier as well."""

    def test_on_a_carrier_in_a_system_call(self):
        for wait in 'time.sleep(0.01)', 'channel().receive()', 'schedule()', 'pass':
            for wrap in 'tasklet(spin)()', 'tasklet(inside)(spin)', 'tasklet(deep)(20, spin)':
                with self.subTest(wait=wait, wrap=wrap):
                    self.ends(f'''
                        import time
                        def spin():
                            ready.set()
                            while True: {wait}
                        def work():
                            blocked = channel()
                            tasklet(inside)(blocked.receive)
                            schedule()
                            {wrap}
                            getmain().block = channel().receive() if False else None
                            run()
                        ready = threading.Event()
                        threading.Thread(target=lambda: work(), daemon=True).start()
                        ready.wait(60)
                    '''.replace('getmain().block = channel().receive() if False else None\n', '\n'))

    def test_asleep(self):
        self.ends('''
            ch = channel()
            threading.Thread(target=ch.receive, daemon=True).start()
            while ch.balance == 0: pass
            say("end")
        ''', output='end\n')

    def test_asleep_and_served_at_the_end(self):
        """They are not woken: what they sleep on is theirs."""
        self.ends('''
            import os, time

            class Last:
                def __init__(self):
                    self.channels, self.write = channels, os.write

                def __del__(self):
                    received = 0
                    while self.channels:
                        ch = self.channels.pop()
                        if ch.balance > 0:
                            received += ch.receive()
                    self.write(1, b"received %d\\n" % received)

            channels = [channel() for _ in range(20)]
            for ch in channels:
                threading.Thread(target=ch.send, args=(1,), daemon=True).start()
            while sum(ch.balance for ch in channels) < 20:
                time.sleep(0.01)
            time.sleep(0.05)
            del ch
            last = Last()
        ''', output='received 20\n')


class TestGarbage(LifeCase):
    @needs_soft_switches
    def test_cycles_of_blocked_tasklets_and_channels(self):
        self.ends('''
            import gc, weakref
            refs = []
            def body(ch): ch.receive()
            ch = channel()
            refs.append(weakref.ref(ch))
            refs.append(weakref.ref(tasklet(body)(ch)))
            run()
            del ch
            gc.collect()
            say([ref() for ref in refs])
        ''', output='[None, None]\n')

    def test_a_tasklet_kept_alive_by_its_channel(self):
        self.ends('''
            import gc
            ch = channel()
            tasklet(lambda: say(ch.receive()))()
            run()
            gc.collect()
            ch.send("alive")
        ''', output='alive\n')

    def test_destructors_that_switch(self):
        self.ends('''
            class Sender:
                def __del__(self): ch.send("from __del__")
            def body():
                sender = Sender()
                del sender
                say("after")
            ch = channel()
            tasklet(body)()
            say(ch.receive())
            run()
        ''', output='from __del__\nafter\n')


@needs_soft_switches
class TestDropped(LifeCase):
    """A soft tasklet that nobody refers to is freed without running its finally blocks. What C code has changed for
    the time being in objects of others is put back."""

    def test_in_mid_sort(self):
        """The items were lost with the tasklet's frames."""
        self.ends('''
            import gc

            class Item:
                def __lt__(self, other):
                    schedule_remove()
                    return id(self) < id(other)

            def wait(item):
                schedule_remove()
                return id(item)

            for arguments in dict(key=wait), dict(key=wait, reverse=True), {}:
                items = [Item() for _ in range(5)]
                names = sorted(map(id, items))
                t = tasklet(items.sort)
                t.bind(items.sort, (), arguments)
                t.run()
                say(t.pinned is None, len(items))
                t.run()
                del t
                gc.collect()
                say(sorted(map(id, items)) == names)
                items.sort(key=id)
                items.append(None)
        ''', output='True 0\nTrue\n' * 2 + 'False 0\nTrue\n')

    def test_in_mid_sort_killed_and_bound_anew(self):
        self.ends('''
            items = [3, 1, 2]
            for end in lambda t: t.kill(), lambda t: t.bind(None), lambda t: t.bind(int, ()):
                t = tasklet(items.sort)
                t.bind(items.sort, (), dict(key=lambda n: schedule_remove()))
                t.run()
                say(items)
                end(t)
                say(sorted(items))
                t.kill()
        ''', output='[]\n[1, 2, 3]\n' * 3)

    def test_in_mid_sort_in_a_cycle(self):
        self.ends('''
            import gc

            def work(wait):
                me = tasklet_of[0]
                tasklet_of.clear()
                items.sort(key=lambda n: wait())
                me.name

            items, t = list("abc"), tasklet(work)
            tasklet_of = [t]
            t.bind(work, (schedule_remove,))
            t.run()
            say(items)
            del t
            gc.collect()
            say(items)
        ''', output="[]\n['a', 'b', 'c']\n")

    def test_in_a_context(self):
        """It could not be entered any more."""
        self.ends('''
            import contextvars, gc
            outer, inner = contextvars.copy_context(), contextvars.copy_context()
            t = tasklet(outer.run)(inner.run, schedule_remove)
            run()
            for context in outer, inner:
                try: context.run(int)
                except RuntimeError: say("entered")
            del t
            gc.collect()
            say(outer.run(inner.run, int))
            t = tasklet(inner.run)(schedule_remove)
            before = t.context_id
            run()
            say(t.context_id == id(inner))
            t.bind(None)
            say(t.context_id == before, inner.run(int))
        ''', output='entered\nentered\n0\nTrue\nTrue 0\n')

    def test_in_a_step_of_asyncio(self):
        """Its loop has no current task any more; killed, the tasklet leaves the loop in order."""
        self.ends('''
            import asyncio, gc, weakref

            async def step(log):
                try:
                    log.append(asyncio.current_task() is not None)
                    schedule_remove()
                finally:
                    log.append("finally")

            async def other():
                return "other"

            for kill in True, False:
                log, loop = [], asyncio.new_event_loop()
                t = tasklet(loop.run_until_complete)(step(log))
                run()
                say(t.pinned, asyncio.current_task(loop) is not None)
                if kill: t.kill()
                ref = weakref.ref(t)
                del t
                gc.collect()
                say(ref(), log, asyncio.current_task(loop), loop.is_running())
                if not kill:
                    # What run_until_complete() would have done in the end.
                    asyncio._set_running_loop(None)
                    loop = asyncio.new_event_loop()
                say(loop.run_until_complete(other()))
                loop.close()
            loop = None
        ''', output="""None True
None [True, 'finally'] None False
other
None True
None [True] None True
other
""", errors='Task was destroyed but it is pending|unclosed event loop|^$')

    def test_in_an_asynchronous_generator(self):
        """It was said to be running for ever."""
        self.ends('''
            import gc

            async def generate():
                schedule_remove()
                yield 1

            async def use():
                return [value async for value in generator]

            generator = generate()
            t = tasklet(lambda: use().send(None))()
            run()
            say(generator.ag_running)
            del t
            gc.collect()
            say(generator.ag_running)
            try: use().send(None)
            except StopIteration as stop: say(stop.value)
        ''', output='True\nFalse\n[]\n')

    def test_in_a_thread_that_ends(self):
        """The frames are kept for whoever binds the tasklet to a thread; then they go."""
        self.ends('''
            items = [3, 1, 2]

            def work():
                global t
                t = tasklet(lambda: items.sort(key=lambda n: (schedule_remove(), n)[1]))()
                run()

            for take_over in False, True:
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                say(items, t.alive)
                if take_over:
                    t.bind_thread()
                    while t.alive: t.run()
                t = None
                say(items)
        ''', output='[] False\n[3, 1, 2]\n[] False\n[1, 2, 3]\n')


class TestUncollectable(LifeCase):
    """gc.garbage, and what it has to do with tasklets."""

    def test_one_that_refuses_is_there_and_goes_on(self):
        self.ends('''
            import gc
            got = []

            def refuse():
                while not got:
                    try: schedule_remove()
                    except TaskletExit: refused.append(1)

            refused = []
            t = tasklet(inside)(refuse)
            run()
            del t
            gc.collect()
            say(len(refused), [t.alive for t in gc.garbage])
            got.append(1)
            gc.garbage.pop().run()
            say(gc.garbage)
        ''', output='10 [True]\n[]\n')

    @needs_soft_switches
    def test_saved_garbage_still_works(self):
        self.ends('''
            import gc
            gc.collect()
            gc.set_debug(gc.DEBUG_SAVEALL)

            def body(ch):
                while True: say(ch.receive())

            ch = channel()
            tasklet(body)(ch)
            run()
            del ch
            gc.collect()
            gc.set_debug(0)
            ch, = [thing for thing in gc.garbage if isinstance(thing, channel)]
            ch.send("saved")
            gc.garbage.clear()
        ''', output='saved\n')

    @needs_soft_switches
    def test_one_that_its_finalizer_brings_back(self):
        self.ends('''
            import gc

            class Kept(tasklet):
                def __del__(self):
                    kept.append(self)

            def body():
                me = getcurrent()
                schedule_remove()
                say("goes on")

            kept = []
            Kept(body)()
            run()
            gc.collect()
            kept.pop().run()
            say(gc.garbage, kept)
        ''', output='goes on\n[] []\n')

    def test_at_the_end_of_the_process(self):
        self.ends('''
            import gc

            def refuse():
                while True:
                    try: schedule_remove()
                    except TaskletExit: pass

            tasklet(inside)(refuse)
            run()
            gc.collect()
            say(len(gc.garbage))
        ''', output='1\n')


class TestSignals(LifeCase):
    """Handlers run in whatever tasklet the main thread runs."""

    def test_a_handler_that_switches(self):
        self.ends('''
            import signal

            def handler(*args):
                say("handler", getcurrent() is t)
                schedule()
                say("back", getcurrent() is t)

            def body():
                signal.raise_signal(signal.SIGUSR1)
                say("body")

            signal.signal(signal.SIGUSR1, handler)
            for wrap in lambda f: f(), inside:
                t = tasklet(wrap)(body)
                tasklet(say)("other")
                run()
        ''', output='handler True\nother\nback True\nbody\n' * 2)

    def test_an_alarm_in_each_kind_of_tasklet(self):
        self.ends('''
            import signal

            class Alarm(Exception):
                pass

            def handler(*args):
                raise Alarm

            def spin():
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.01)
                    while True: pass
                except Alarm:
                    say("alarm", getcurrent() is t)

            def numbers():
                while True: yield 1

            def generate():
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.01)
                    for _ in numbers(): pass
                except Alarm:
                    say("alarm", getcurrent() is t)

            signal.signal(signal.SIGALRM, handler)
            for function, args in (spin, ()), (inside, (spin,)), (deep, (50, spin)), (generate, ()):
                t = tasklet(function)(*args)
                run()
        ''', output='alarm True\n' * 4)

    def test_keyboard_interrupts_reach_run_and_the_others_stay(self):
        """In a soft one, in a pinned one, and while main is blocked."""
        self.ends('''
            import signal

            def body():
                signal.raise_signal(signal.SIGINT)

            for function, args in (body, ()), (inside, (body,)):
                for wait in run, channel().receive:
                    t = tasklet(function)(*args)
                    other = tasklet(say)("other")
                    try: wait()
                    except KeyboardInterrupt: say("interrupted", t.alive, other.alive)
                    run()
        ''', output='interrupted False True\nother\n' * 4)

    def test_an_uncaught_keyboard_interrupt_ends_the_process(self):
        self.ends('''
            import signal
            t = tasklet(guarded)(schedule_remove)
            tasklet(inside)(signal.raise_signal, signal.SIGINT)
            run()
        ''', status=-2, output='TaskletExit\nfinally\n', errors='KeyboardInterrupt')

    def test_not_in_other_threads(self):
        self.ends('''
            import signal

            def work():
                tasklet(inside)(signal.raise_signal, signal.SIGINT)
                run()
                say("goes on")

            try:
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
                while True: pass
            except KeyboardInterrupt:
                thread.join()
                say("interrupted")
        ''', output='goes on\ninterrupted\n')


class TestTracing(LifeCase):
    def test_trace_functions_of_tasklets_that_live_at_the_end(self):
        self.ends('''
            def body():
                sys.settrace(lambda *args: None)
                sys.setprofile(lambda *args: None)
                inside(schedule_remove)
            ts = [tasklet(body)() for _ in range(3)]
            run()
            say(sys.gettrace())
        ''', output='None\n')

    def test_each_tasklet_has_its_own_functions(self):
        """They stay with it while others run, and go with it."""
        self.ends('''
            def trace(*args): pass
            def profile(*args): pass

            def body(wait):
                sys.settrace(trace)
                sys.setprofile(profile)
                wait()
                assert (sys.gettrace(), sys.getprofile()) == (trace, profile)

            def plain():
                assert (sys.gettrace(), sys.getprofile()) == (None, None)

            ts = [tasklet(body)(schedule), tasklet(body)(lambda: inside(schedule)), tasklet(plain)()]
            schedule()
            say([(t.trace_function, t.profile_function) == (trace, profile) for t in ts[:2]])
            run()
            say(sys.gettrace(), sys.getprofile(), ts[0].alive)
        ''', output='[True, True]\nNone None False\n')

    def test_faulthandler_in_tasklets(self):
        done = interpreters.run_python('-c', PROGRAM + textwrap.dedent('''
            import faulthandler
            def soft_one(): faulthandler.dump_traceback(all_threads=False)
            def pinned_one(): inside(soft_one)
            tasklet(soft_one)(); tasklet(pinned_one)()
            run()
        '''))
        self.assertEqual(done.returncode, 0)
        names = [line.split()[-1] for line in done.stderr.splitlines() if line.startswith('  File')]
        self.assertEqual(names, ['soft_one', 'soft_one', '<lambda>', 'inside', 'pinned_one'])


class TestThreadStates(LifeCase):
    def test_sub_interpreter_run_on_a_carrier(self):
        """Another thread state is swapped in while a tasklet's carrier runs, and tasklets run in it."""
        self.ends('''
            import _xxsubinterpreters as interpreters
            source = """if True:
                import operator, stackless
                ch = stackless.channel()
                def work(): operator.call(lambda: [ch.send(i) for i in range(3)])
                stackless.tasklet(work)()
                assert [ch.receive() for _ in range(3)] == [0, 1, 2]
                """
            def body():
                other = interpreters.create()
                for _ in range(2):
                    interpreters.run_string(other, source)
                    inside(schedule)
                interpreters.destroy(other)
                say("done")
            for _ in range(3): tasklet(inside)(body)
            run()
        ''', output='done\n' * 3)


if __name__ == "__main__":
    unittest.main()
