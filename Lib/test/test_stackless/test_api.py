"""The surface of the module: names, docstrings, signatures, constants, and bad input of everything."""

import copy
import inspect
import pickle
import sys
import unittest
import weakref

import stackless
from stackless import atomic, bomb, channel, getcurrent, getmain, run, schedule, tasklet

from .cases import LeavesNoTasklets

CLASSES = tasklet, channel, bomb, atomic

# What programs written for historic Stackless find in its __all__.
HISTORIC = """atomic channel enable_softswitch get_channel_callback get_schedule_callback get_thread_info getcurrent
getcurrentid getdebug getmain getruncount getthreads getuncollectables pickle_with_tracing_state run schedule
schedule_remove set_channel_callback set_error_handler set_schedule_callback switch_trap tasklet stackless""".split()


def functions():
    """All functions of the module."""
    return [getattr(stackless, name) for name in stackless.__all__
            if inspect.isbuiltin(getattr(stackless, name))]


def methods():
    """All methods of the classes, with instances that one can do anything to."""
    for cls in CLASSES:
        for name, value in vars(cls).items():
            if inspect.ismethoddescriptor(value) and not name.startswith("__"):
                yield cls, name


class TestModule(unittest.TestCase):
    def test_all(self):
        self.assertLessEqual(set(HISTORIC), set(stackless.__all__))
        self.assertEqual(sorted(stackless.__all__), sorted(set(stackless.__all__)))
        namespace = {}
        exec("from stackless import *", namespace)
        for name in stackless.__all__:
            self.assertIn(name, namespace)
        self.assertIs(stackless.stackless, stackless)
        self.assertIs(sys.modules["stackless"], stackless)

    def test_properties_are_what_the_functions_return(self):
        for name, function in (("current", "getcurrent"), ("main", "getmain"), ("runcount", "getruncount"),
                               ("threads", "getthreads"), ("debug", "getdebug"),
                               ("uncollectables", "getuncollectables")):
            self.assertEqual(getattr(stackless, name), getattr(stackless, function)())
            self.assertRaises(AttributeError, setattr, stackless, name, 1)
            self.assertRaises(AttributeError, delattr, stackless, name)

    def test_properties_are_computed_for_the_reader(self):
        seen = []
        t = tasklet(lambda: seen.append((stackless.current, stackless.main)))()
        run()
        self.assertEqual(seen, [(t, getmain())])

    def test_pickle_and_copy_by_name(self):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            self.assertIs(pickle.loads(pickle.dumps(stackless, protocol)), stackless)
        self.assertIs(copy.copy(stackless), stackless)
        self.assertIs(copy.deepcopy(stackless), stackless)

    def test_constants(self):
        self.assertEqual((stackless.PICKLEFLAGS_PRESERVE_TRACING_STATE,
                          stackless.PICKLEFLAGS_PRESERVE_AG_FINALIZER,
                          stackless.PICKLEFLAGS_RESET_AG_FINALIZER,
                          stackless.PICKLEFLAGS_PICKLE_CONTEXT), (1, 2, 4, 8))

    def test_types(self):
        for cls in CLASSES:
            self.assertEqual(cls.__module__, "_stackless")
            self.assertIs(type(cls), type)


class TestDocumentation(unittest.TestCase):
    def test_everything_has_a_docstring(self):
        for thing in [stackless, *functions(), *CLASSES]:
            self.assertTrue(thing.__doc__, thing)
        for cls in CLASSES:
            for name, value in vars(cls).items():
                if not name.startswith("__") or name in ("__next__", "__enter__", "__exit__"):
                    self.assertTrue(value.__doc__, f"{cls.__name__}.{name}")

    def test_everything_has_a_signature(self):
        for thing in functions() + list(CLASSES):
            self.assertIsInstance(inspect.signature(thing), inspect.Signature, thing)
        for cls, name in methods():
            self.assertIsInstance(inspect.signature(getattr(cls, name)), inspect.Signature, name)

    def test_defaults(self):
        def defaults(thing):
            return {name: p.default for name, p in inspect.signature(thing).parameters.items()
                    if p.default is not p.empty}
        self.assertEqual(defaults(tasklet), dict(func=None, args=None, kwargs=None))
        self.assertEqual(defaults(tasklet.bind), dict(func=None, args=None, kwargs=None))
        self.assertEqual(defaults(tasklet.throw), dict(val=None, tb=None, pending=False))
        self.assertEqual(defaults(tasklet.kill), dict(pending=False))
        self.assertEqual(defaults(tasklet.bind_thread), dict(thread_id=-1))
        self.assertEqual(defaults(stackless.switch_trap), dict(change=0))
        self.assertEqual(defaults(stackless.get_thread_info), dict(thread_id=-1))
        self.assertEqual(defaults(stackless.pickle_flags), dict(new_flags=-1, mask=-1))
        self.assertEqual(defaults(stackless.pickle_flags_default), dict(new_default=-1, mask=-1))
        self.assertEqual(defaults(stackless.set_error_handler), dict(handler=None))


class Nasty:
    """No type that anything expects, and every question to it raises."""

    def __getattr__(self, name):
        raise ZeroDivisionError(name)

    __bool__ = __index__ = __int__ = __iter__ = __len__ = __call__ = lambda self, *args: 1 / 0


class TestBadInput(LeavesNoTasklets, unittest.TestCase):
    def tearDown(self):
        stackless.set_schedule_callback(None)
        stackless.set_channel_callback(None)
        stackless.set_error_handler(None)
        stackless.switch_trap(-stackless.switch_trap())
        stackless.enable_softswitch(True)
        stackless.pickle_flags(0)
        stackless.pickle_flags_default(0)
        super().tearDown()

    BAD = (None, 3, -1, 1 << 80, 1.5, "text", b"bytes", [], (), {}, object(), int, ValueError, ValueError("v"),
           Nasty(), len, type)
    # Where None, a callable or anything else is right, no error is expected; a crash never is.

    def survive(self, function, *args, **kwargs):
        try:
            function(*args, **kwargs)
        except Exception:
            pass
        except (TaskletExit, SystemExit):
            pass

    def test_functions_survive_anything(self):
        for function in functions():
            for count in range(4):
                for bad in self.BAD:
                    if function is stackless.run and count > 1:
                        continue   # threadblock may well sleep for ever
                    with self.subTest(function=function.__name__, bad=repr(type(bad)), count=count):
                        self.survive(function, *[bad] * count)
                        stackless.set_schedule_callback(None)
                        stackless.set_channel_callback(None)
                        stackless.switch_trap(-stackless.switch_trap())
            self.assertRaises(TypeError, function, *[None] * 9)
            self.assertRaises(TypeError, function, no_such_argument=1)

    def test_methods_survive_anything(self):
        for cls, name in methods():
            for count in range(4):
                for bad in self.BAD:
                    with self.subTest(cls=cls.__name__, method=name, bad=repr(type(bad)), count=count):
                        def body():
                            obj = cls()
                            self.survive(getattr(obj, name), *[bad] * count)
                        tasklet(body)()
                        try:
                            run()
                        except BaseException as error:
                            self.assertIsInstance(error, (Exception, TaskletExit))
                        while stackless.runcount > 1:
                            getcurrent().next.remove()

    def test_methods_want_their_own_kind(self):
        for cls, name in methods():
            for bad in self.BAD:
                if not isinstance(bad, cls):
                    with self.assertRaises(TypeError):
                        getattr(cls, name)(bad)

    def test_attributes_survive_anything(self):
        for cls in tasklet, channel, bomb:
            for name, value in vars(cls).items():
                if not inspect.isdatadescriptor(value) or name.startswith("__"):
                    continue
                for bad in self.BAD:
                    obj = cls()
                    self.survive(setattr, obj, name, bad)
                    self.survive(getattr, obj, name)
                    repr(obj)
                with self.assertRaises((TypeError, AttributeError)):
                    delattr(cls(), name)

    def test_constructors_survive_anything(self):
        for cls in CLASSES:
            for count in range(5):
                for bad in self.BAD:
                    self.survive(cls, *[bad] * count)
        for bad in self.BAD:
            for args in (len, bad), (len, (), bad), (bad, ()), (None, bad):
                self.survive(tasklet, *args)

    def test_flags(self):
        for function in stackless.pickle_flags, stackless.pickle_flags_default:
            self.assertEqual(function(), 0)
            self.assertEqual(function(5), 0)
            self.assertEqual(function(2, 3), 5)
            self.assertEqual(function(mask=1), 6)
            self.assertEqual(function(-1), 6)
            for bad in 16, -2, 1 << 20:
                self.assertRaises(ValueError, function, bad)
                self.assertRaises(ValueError, function, 0, bad)
            for bad in "1", 1.0, None:
                self.assertRaises(TypeError, function, bad)
            self.assertEqual(function(0), 6)

    def test_pickle_with_tracing_state(self):
        self.assertIs(stackless.pickle_with_tracing_state, False)
        stackless.pickle_with_tracing_state = True
        self.assertIs(stackless.pickle_with_tracing_state, True)
        self.assertEqual((stackless.pickle_flags(), stackless.pickle_flags_default()), (1, 1))
        stackless.pickle_with_tracing_state = False
        self.assertEqual((stackless.pickle_flags(), stackless.pickle_flags_default()), (0, 0))

    def test_pickle_flags_of_new_threads(self):
        import threading
        seen = []
        stackless.pickle_flags_default(8)
        thread = threading.Thread(target=lambda: seen.append(stackless.pickle_flags()))
        thread.start()
        thread.join()
        self.assertEqual((seen, stackless.pickle_flags()), ([8], 0))

    def test_enable_softswitch(self):
        self.assertIs(stackless.enable_softswitch(None), True)
        self.assertIs(stackless.enable_softswitch(False), True)
        self.assertIs(stackless.enable_softswitch(None), False)
        t = tasklet(schedule)()
        other = tasklet(schedule)()
        schedule()
        self.assertFalse(t.restorable)
        self.assertIs(stackless.enable_softswitch(True), False)
        run()
        self.assertFalse(t.alive or other.alive)
        self.assertRaises(TypeError, stackless.enable_softswitch, "yes")

    def test_retval(self):
        for function in schedule, stackless.schedule_remove:
            self.assertEqual(function(retval=5), 5)
            self.assertEqual(function(5), 5)
            self.assertIs(function(), getcurrent())
            self.assertRaises(TypeError, function, 1, 2)
            self.assertRaises(TypeError, function, 1, retval=2)
            self.assertRaises(TypeError, function, value=1)


class TestSubclasses(unittest.TestCase):
    def test_weak_references_and_attributes(self):
        for cls in tasklet, channel:
            class Mine(cls):
                pass
            for obj in cls(), Mine():
                self.assertIs(weakref.ref(obj)(), obj)
            obj = Mine()
            obj.attribute = 5
            self.assertEqual(obj.__dict__, {"attribute": 5})
            self.assertRaises(AttributeError, setattr, cls(), "attribute", 5)

    def test_bomb_is_final(self):
        with self.assertRaises(TypeError):
            type("Mine", (bomb,), {})

    def test_init_and_call_can_be_overridden(self):
        log = []

        class Mine(tasklet):
            def __init__(self, name):
                super().__init__(self.body)
                self.title = name

            def __call__(self, *args):
                return super().__call__(*args, self.title)

            def body(self, *args):
                log.append(args)
        self.assertIsInstance(Mine("me")(1), Mine)
        run()
        self.assertEqual(log, [(1, "me")])


if __name__ == "__main__":
    unittest.main()
