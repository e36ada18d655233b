"""C functions of extensions that follow the stackless protocol (stackless_protocol.h) wait without C frames,
pickle, and cannot crash the interpreter when they break it."""

import functools
import gc
import pickle
import sys
import unittest
import weakref

import stackless
from _stackless import _wrap
from stackless import channel, run, schedule_remove, tasklet

from . import interpreters
from .capi import load
from .cases import BlocksSoftly, LeavesNoTasklets, needs_soft_switches
from .test_soft_constructs import Recursion

protocol = load('_teststackless_protocol')

#: Every way to call a function `f` without arguments from C: by name, a function that makes the call.
CALLS = {
    'METH_O': lambda f: protocol.call_o(f),
    'METH_VARARGS': lambda f: protocol.call_varargs(f),
    'METH_VARARGS | METH_KEYWORDS': lambda f: protocol.call_keywords(f),
    'METH_FASTCALL': lambda f: protocol.call_fast(lambda _: f()),
    'METH_FASTCALL | METH_KEYWORDS': lambda f: protocol.call_fast_keywords(f),
    'METH_NOARGS, method': lambda f: protocol.Holder(f).noargs(),
    'METH_O, method': lambda f: protocol.Holder(lambda _: f()).o(1),
    'unbound method': lambda f: protocol.Holder.noargs(protocol.Holder(f)),
    'tp_call': lambda f: protocol.Holder(f)(),
    'f(*args)': lambda f: protocol.call_o(*[f]),
    'f(**kwargs)': lambda f: protocol.call_keywords(f, **{}),
    'partial': lambda f: functools.partial(protocol.call_o, f)(),
    'key of sorted': lambda f: sorted([0], key=protocol.Holder(lambda _: f()))[0],
    'map': lambda f: list(map(protocol.call_o, [f]))[0],
    'promoted': lambda f: protocol.promoted(protocol.Holder(f)),
    'promoted_slot': lambda f: protocol.promoted_slot(protocol.Holder(f)),
    'promoted_all': lambda f: protocol.promoted_all(f),
    'soft function': lambda f: protocol.plus(f, 0),
    'nested soft functions': lambda f: protocol.nested(f, 0),
}

#: What such a call gives, where f() returns 1, if that is not 1.
RESULTS = {'key of sorted': 0, 'nested soft functions': 2}


def called_by_c(function, first, second):
    """function(first, second), called by C code, which offers nothing."""
    key = functools.cmp_to_key(lambda a, b: 0 if function(a, b) == 0 else 1)
    return key(first) < key(second)


class Results(unittest.TestCase):

    def test_arguments_and_results(self):
        def echo(*args, **kwargs):
            return args, kwargs
        self.assertEqual(protocol.call_o(echo), ((), {}))
        self.assertEqual(protocol.call_varargs(echo, 1, 2), ((1, 2), {}))
        self.assertEqual(protocol.call_keywords(echo, 1, a=2), ((1,), {'a': 2}))
        self.assertEqual(protocol.call_fast(echo, 1), ((1,), {}))
        self.assertEqual(protocol.call_fast_keywords(echo, 1, 2, a=3), ((1, 2), {'a': 3}))
        self.assertEqual(protocol.Holder(echo).noargs(), ((), {}))
        self.assertEqual(protocol.Holder(echo).o(1), ((1,), {}))
        self.assertEqual(protocol.Holder(echo)(1, a=2), ((1,), {'a': 2}))

    def test_callables_of_all_kinds(self):
        class C:
            def __call__(self):
                return 'called'
        self.assertEqual(protocol.call_o(C()), 'called')
        self.assertEqual(protocol.call_o(int), 0)
        self.assertIsInstance(protocol.call_o(C), C)
        self.assertEqual(protocol.call_o('abc'.upper), 'ABC')
        self.assertEqual(protocol.call_o(C().__call__), 'called')
        self.assertEqual(protocol.call_o(protocol.Holder(int)), 0)

    def test_soft_functions(self):
        self.assertEqual(protocol.plus(lambda: 40, 2), 42)
        self.assertEqual(protocol.collect([lambda: 1, int, lambda: 'x']), [1, 0, 'x'])
        self.assertEqual(protocol.collect([]), [])
        self.assertEqual(protocol.nested(lambda: 1, 10), 12)

    def test_a_caller_in_C_gets_the_result(self):
        """With no offer the functions make the calls themselves."""
        text = repr(type('C', (), {'__repr__': lambda self: protocol.plus(lambda: 1, 1) and 'text'})())
        self.assertEqual(text, 'text')
        by_c = functools.cmp_to_key(protocol.call_varargs)
        self.assertTrue(by_c(lambda other: -1) < by_c(1))

    def test_the_offer_is_for_the_function_alone(self):
        self.assertTrue(protocol.offered())
        self.assertEqual(protocol.without_taking(lambda: protocol.offered()), (True,))
        self.assertEqual(protocol.passed_on(protocol.offered), (False, False, True))
        self.assertEqual(protocol.passed_on(lambda: protocol.offered()), (True, True, True))
        sys.setprofile(lambda *args: None)
        try:
            self.assertFalse(protocol.offered())
            self.assertEqual(protocol.plus(lambda: 1, 1), 2)
        finally:
            sys.setprofile(None)

    def test_traced(self):
        events = []
        def trace(frame, event, arg):
            events.append((frame.f_code.co_name, event))
            return trace
        def called():
            return 1
        sys.settrace(trace)
        protocol.plus(called)
        sys.settrace(None)
        self.assertEqual(events, [('called', 'call'), ('called', 'line'), ('called', 'return')])

    def test_watchdog(self):
        def spin():
            while True:
                pass
        t = tasklet(protocol.plus)(spin)
        self.assertIs(stackless.run(1000), t)
        self.assertTrue(t.restorable)
        t.kill()


class Depth(unittest.TestCase):

    def test_calls_take_no_c_stack(self):
        for name, call in CALLS.items():
            if name == 'key of sorted':
                continue   # its frame stands on one more C call, and is soft with few items as with many
            with self.subTest(name):
                recursion = Recursion()
                def again(call=call):
                    return call(lambda: recursion.step(again, 0))
                for _ in range(10):
                    recursion.pointer_at(2, again)
                self.assertEqual(recursion.pointer_at(2, again), recursion.pointer_at(50, again))

    def with_recursion_limit(self, limit, function):
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(limit)
        try:
            return function()
        finally:
            sys.setrecursionlimit(before)

    def test_millions_of_calls(self):
        def down(n):
            return protocol.plus(lambda: down(n - 1)) if n else 0
        self.assertEqual(self.with_recursion_limit(3_000_000, lambda: down(1_000_000)), 1_000_000)

    def test_soft_functions_are_bounded_by_the_recursion_limit(self):
        self.assertEqual(self.with_recursion_limit(300_000, lambda: protocol.nested(int, 200_000)), 200_001)
        with self.assertRaisesRegex(RecursionError, 'soft function'):
            protocol.nested(int, sys.getrecursionlimit() + 10)

    def test_functions_that_ask_for_themselves_are_bounded_too(self):
        loop = []
        call = functools.partial(protocol.call_varargs, protocol.Holder(lambda: loop[0]()))
        loop.append(call)
        with self.assertRaises(RecursionError):
            call()
        def endless():
            return protocol.call_o(functools.partial(endless))
        with self.assertRaises(RecursionError):
            endless()


@needs_soft_switches
class Blocking(BlocksSoftly, unittest.TestCase):

    def test_calls(self):
        for name, call in CALLS.items():
            with self.subTest(name):
                self.assertEqual(self.blocked_in(call, lambda receive: receive, 1), RESULTS.get(name, 1))
                self.assertEqual(self.blocked_in(call, lambda receive: lambda: receive(), 1), RESULTS.get(name, 1))

    def test_several_steps(self):
        self.assertEqual(self.blocked_in(protocol.collect, lambda receive: [receive] * 3, 1, 2, 3), [1, 2, 3])
        self.assertEqual(self.blocked_in(lambda f: protocol.nested(f, 10), lambda receive: receive, 1), 12)

    def test_switches_of_the_c_api(self):
        pair = self.blocked_in(protocol.receive_pair, lambda receive: receive.__self__, 1, 2)
        self.assertEqual(pair, (1, 2))

    def test_generators(self):
        def generator(receive):
            yield protocol.plus(receive)
            yield protocol.plus(receive)
        self.assertEqual(self.blocked_in(list, generator, 1, 2), [2, 3])


class Exceptions(LeavesNoTasklets, unittest.TestCase):

    def test_pass_through(self):
        for call in CALLS.values():
            with self.assertRaises(ZeroDivisionError):
                call(lambda: 1 / 0)
        with self.assertRaises(ZeroDivisionError):
            protocol.collect([int, lambda: 1 / 0])

    def test_arguments_that_do_not_fit(self):
        with self.assertRaisesRegex(TypeError, 'positional argument'):
            protocol.call_varargs(lambda: None, 1)
        with self.assertRaisesRegex(TypeError, 'not callable'):
            protocol.call_o(1)
        self.assertRegex(str(protocol.caught(lambda x: None)), 'positional argument')
        self.assertRegex(str(protocol.caught(1)), 'not callable')

    def test_a_soft_function_gets_them(self):
        self.assertIsInstance(protocol.caught(lambda: 1 / 0), ZeroDivisionError)
        self.assertIsInstance(protocol.caught(lambda: protocol.plus(lambda: 1 / 0)), ZeroDivisionError)
        self.assertEqual(list(map(type, map(protocol.caught, [lambda: 1 / 0]))), [ZeroDivisionError])

    def test_traceback_shows_python_frames_only(self):
        def fail():
            raise KeyError
        error = protocol.caught(lambda: protocol.plus(fail))
        names = []
        traceback = error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        self.assertEqual(names, ['<lambda>', 'fail'])

    def test_that_a_channel_brings(self):
        ch = channel()
        got = []
        tasklet(lambda: got.append(protocol.caught(ch.receive)))()
        run()
        ch.send_exception(KeyError, 1)
        run()
        self.assertIsInstance(got[0], KeyError)

    def test_kill(self):
        ch = channel()
        events = []
        def work():
            try:
                protocol.collect([int, lambda: protocol.nested(lambda: protocol.receive_pair(ch), 3)])
            except TaskletExit:
                events.append('killed')
                raise
        t = tasklet(work)()
        run()
        self.assertTrue(t.blocked)
        t.kill()
        self.assertEqual(events, ['killed'])
        self.assertFalse(t.alive)
        self.assertEqual(ch.balance, 0)

    @needs_soft_switches
    def test_a_tasklet_that_is_dropped_frees_what_its_soft_functions_hold(self):
        class Resource:
            def __call__(self):
                return schedule_remove()
        resource = Resource()
        alive = weakref.ref(resource)
        t = tasklet(protocol.plus)(resource)
        run()
        del resource
        self.assertIsNotNone(alive())
        del t
        gc.collect()
        self.assertIsNone(alive())


class Greenlets(LeavesNoTasklets, unittest.TestCase):

    def test_within_greenlets_within_tasklets(self):
        """An offer inside of a greenlet leaves the C stacks alone that wait until tasklets can switch again."""
        interpreters.need_package(self, 'greenlet')
        import greenlet
        def child():
            for n in range(3):
                greenlet.getcurrent().parent.switch(protocol.plus(lambda: n))
        got = []
        def work():
            for _ in range(5):
                other = greenlet.greenlet(child)
                got.append([other.switch() for _ in range(3)])
                protocol.plus(lambda: stackless.schedule(1))
                other.switch()
        for _ in range(20):
            tasklet(lambda: sorted([1], key=lambda _: protocol.without_taking(stackless.schedule) and 1))()
        run()
        for _ in range(10):
            tasklet(work)()
        run()
        self.assertEqual(got, [[1, 2, 3]] * 50)


class SoftSwitchesOff(LeavesNoTasklets, unittest.TestCase):

    def test_steps_get_what_they_have_asked_for(self):
        before = stackless.enable_softswitch(False)
        self.addCleanup(stackless.enable_softswitch, before)
        ch = channel()
        got = []
        t = tasklet(lambda: got.extend([protocol.receive_pair(ch), protocol.plus(ch.receive),
                                        protocol.collect([ch.receive, int])]))()
        run()
        self.assertFalse(t.restorable)
        self.assertIs(t.pinned, protocol.pair_function)
        for n in range(4):
            ch.send(n)
        self.assertEqual(got, [(0, 1), 3, [3, 0]])


@needs_soft_switches
class Pinned(LeavesNoTasklets, unittest.TestCase):

    def test_names_the_callable(self):
        for call in protocol.call_o, protocol.plus:
            with self.subTest(call):
                blocking = functools.partial(schedule_remove, 1)   # C code, which makes no offer
                t = tasklet(lambda call=call: call(blocking))()
                run()
                self.assertIs(t.pinned, blocking)
                t.kill()


class References(unittest.TestCase):

    def test_no_reference_is_lost_or_left(self):
        value = object()
        def give(*args):
            return value
        def fail(*args):
            raise KeyError
        def everything():
            for call in CALLS.values():
                if call not in (CALLS['soft function'], *map(CALLS.get, RESULTS)):
                    self.assertIs(call(give), value)
                protocol.caught(lambda call=call: call(fail))
            protocol.collect([give] * 3)
            protocol.caught(lambda: protocol.collect([give, fail]))
        watched = (value, give, fail, None, protocol.plus_function, protocol.collect_function)
        everything()
        gc.collect()
        before = [sys.getrefcount(x) for x in watched]
        for _ in range(100):
            everything()
        gc.collect()
        after = [sys.getrefcount(x) for x in watched]
        # None is shared by all that runs; what is lost per round would be 100.
        for old, new in zip(before, after):
            self.assertLess(abs(new - old), 50)


@needs_soft_switches
class Pickling(LeavesNoTasklets, unittest.TestCase):
    """A tasklet that waits in a call pickles, and the copy goes on from there, as often as one likes."""

    def check(self, function, expected):
        got = []
        t = tasklet(lambda: got.append(function()))()
        run()
        while t.alive:
            image = pickle.dumps((t, got))
            t.kill()
            t, got = pickle.loads(image)
            t.run()
        self.assertEqual(got, [expected])

    def test_calls(self):
        for name, call in CALLS.items():
            with self.subTest(name):
                self.check(lambda call=call: call(lambda: schedule_remove(1)), RESULTS.get(name, 1))

    def test_soft_functions(self):
        self.check(lambda: protocol.plus(lambda: schedule_remove(1), 2), 3)
        self.check(lambda: protocol.collect([lambda: schedule_remove(1), int, lambda: schedule_remove(2)]),
                   [1, 0, 2])
        self.check(lambda: protocol.nested(lambda: schedule_remove(1), 10), 12)
        self.check(lambda: protocol.plus(functools.partial(lambda value: schedule_remove(value), 1)), 2)

    def test_blocked_on_a_channel_of_the_c_api(self):
        ch = channel()
        got = []
        t = tasklet(lambda: got.append(protocol.receive_pair(ch)))()
        run()
        ch.send(1)
        ch2, t2, got2 = pickle.loads(pickle.dumps((ch, t, got)))
        t.kill()
        ch2.send(2)
        run()
        self.assertEqual(got2, [(1, 2)])

    def test_declarations_pickle_by_name(self):
        self.assertTrue(protocol.is_soft_function(protocol.plus_function))
        self.assertFalse(protocol.is_soft_function(protocol.plus))
        self.assertIs(pickle.loads(pickle.dumps(protocol.plus_function)), protocol.plus_function)
        self.assertEqual(repr(protocol.plus_function),
                         '<soft function _teststackless_protocol.plus_function>')

    def test_a_pointer_does_not_pickle(self):
        t = tasklet(protocol.pointed)(lambda: schedule_remove(1))
        run()
        with self.assertRaisesRegex(pickle.PicklingError,
                                    r"call of _teststackless_protocol.plus_function\(\): it holds a pointer"):
            pickle.dumps(t)
        t.kill()

    def test_damaged_images(self):
        make = _wrap.soft_function_state
        collect = protocol.collect_function
        good = (collect, 1, 0, 0, ((), []), 3)
        make(*good)
        for place, wrong in ((0, int), (0, None.__class__), (3, -1), (3, 10 ** 9), (4, ((), [], 1)), (4, ()),
                             (5, 8), (5, -1), (5, 7)):
            args = list(good)
            args[place] = wrong
            with self.subTest(place=place, wrong=wrong), self.assertRaisesRegex(ValueError, 'soft function'):
                make(*args)
        for place, wrong in ((1, 0), (1, 5), (2, 1), (2, -1), (4, ([], []))):
            args = list(good)
            args[place] = wrong
            with self.subTest(place=place, wrong=wrong):
                with self.assertRaisesRegex(ValueError, 'collect_function'):
                    make(*args)


class Misuse(LeavesNoTasklets, unittest.TestCase):
    """What breaks the protocol raises SystemError with the function's name."""

    def check(self, function, *args, what, name=None):
        name = name or function.__name__
        text = rf'^_teststackless_protocol\.{name}\(\) returned {what}'
        with self.assertRaisesRegex(SystemError, text) as caught:
            function(*args)
        return caught.exception

    def test_token_for_nothing(self):
        self.check(protocol.token_for_nothing, what='Py_UnwindToken, but has not asked for anything')

    def test_token_of_a_function_without_the_flag_is_an_object(self):
        for call in (lambda: protocol.token_without_flag(), lambda: protocol.token_without_flag(*[]),
                     lambda: list(map(lambda _: protocol.token_without_flag(), [0]))[0]):
            for _ in range(20):
                self.assertEqual(repr(call()), '<Py_UnwindToken>')

    def test_token_and_exception(self):
        self.check(protocol.token_with_exception, int, what='NULL')

    def test_result_after_a_request(self):
        self.check(protocol.result_after_request, int, what='a result, although')
        self.check(protocol.result_after_request, lambda: None, what='a result, although')

    def test_exception_after_a_request(self):
        error = self.check(protocol.error_after_request, int, what='NULL, although')
        self.assertIsInstance(error.__context__, KeyError)

    @needs_soft_switches
    def test_result_after_a_switch(self):
        """The switch is made all the same."""
        ch = channel()
        errors = []
        def work():
            try:
                protocol.result_after_switch(ch)
            except SystemError as error:
                errors.append(str(error))
        t = tasklet(work)()
        run()
        self.assertTrue(t.blocked)
        ch.send(1)
        run()
        t = tasklet(work)()
        run()
        t.kill()
        self.assertEqual(len(errors), 1)
        self.assertRegex(errors[0], r'result_after_switch\(\) returned a result')
        self.assertFalse(t.alive)

    def test_second_request(self):
        """There is one offer: the second call is made at once."""
        calls = []
        self.assertIsNone(protocol.two_requests(lambda: calls.append(len(calls))))
        self.assertEqual(calls, [0, 1])

    def test_the_token_cannot_be_freed(self):
        for _ in range(10):
            self.assertEqual(protocol.counted_token(int), 0)

    def test_steps(self):
        for fault, what in enumerate(('Py_UnwindToken, but has not asked for anything',
                                      'NULL without setting an exception', 'a result with an exception set')):
            with self.subTest(what):
                self.check(protocol.faulty, int, fault, what=what, name='faulty_function')
                self.check(protocol.faulty, int, fault + 3, what=what, name='faulty_function')
                with self.assertRaisesRegex(SystemError, what):
                    called_by_c(protocol.faulty, int, fault + 3)

    def test_declarations_that_are_not_ready(self):
        with self.assertRaisesRegex(SystemError, 'not ready'):
            protocol.not_ready()

    def test_arguments(self):
        for which, error, text in ((0, TypeError, 'callable is NULL'), (1, TypeError, 'tuple or NULL, not'),
                                   (2, TypeError, 'dict or NULL, not'), (3, TypeError, 'argument is NULL'),
                                   (4, SystemError, 'not ready'), (5, SystemError, 'is missing')):
            with self.subTest(which), self.assertRaisesRegex(error, text):
                protocol.wrong_arguments(which)


if __name__ == '__main__':
    unittest.main()
