"""Prints what iterators answer, in combinations of iterators, functions and ways to ask; run by
test_soft_iterators on ours and on the base.

    iterator_combinations.py values     values, exceptions, tracebacks and __reduce__() in between
    iterator_combinations.py events     what trace and profile functions see
"""

import functools
import itertools
import sys
import traceback


# --- objects with special methods -----------------------------------------------------------------------

class Truth:
    def __init__(self, value):
        self.value = value

    def __bool__(self):
        return self.value

    def __repr__(self):
        return f"Truth({self.value})"


class Sized:
    def __init__(self, value):
        self.value = value

    def __len__(self):
        return self.value

    def __repr__(self):
        return f"Sized({self.value})"


class Bad:
    def __bool__(self):
        raise ZeroDivisionError("bool")

    def __eq__(self, other):
        raise ZeroDivisionError("eq")

    def __repr__(self):
        return "Bad()"


class Alike:
    def __eq__(self, other):
        return Truth(other == 3)

    def __add__(self, other):
        return self

    def __repr__(self):
        return "Alike()"


# --- iterables ------------------------------------------------------------------------------------------

def generator():
    yield 1
    yield 2
    yield 3
    return 7


def short():
    yield 5


def raising():
    yield 1
    raise KeyError("generator")


class Iterator:
    def __init__(self):
        self.left = 3

    def __iter__(self):
        return self

    def __next__(self):
        self.left -= 1
        if self.left < 0:
            raise StopIteration("done")
        return self.left


class Raises(Iterator):
    def __next__(self):
        raise KeyError("next")


class Iterable:
    def __iter__(self):
        return iter([[4], (5,), "x"])


class Sequence:
    def __getitem__(self, i):
        if i == 3:
            raise IndexError
        return i

    def __len__(self):
        return 3


class Broken(Sequence):
    def __getitem__(self, i):
        if i == 1:
            raise KeyError(i)
        return i


class Stops(Sequence):
    def __getitem__(self, i):
        if i == 2:
            raise StopIteration(i)
        return i


ITERABLES = {
    "list": lambda: [1, 2, 3], "empty": lambda: [], "generator": generator, "short": short, "raising": raising,
    "none": lambda: (x for x in []), "Iterator": Iterator, "Raises": Raises, "Iterable": Iterable,
    "Sequence": Sequence, "Broken": Broken, "Stops": Stops, "bad": lambda: iter([1, Bad()]),
    "truths": lambda: (x for x in (Truth(True), Sized(0), Sized(2), Truth(False), 1, 0)),
    "map": lambda: map(lambda x: [x], generator()), "alike": lambda: (Alike() for _ in range(3)),
    "lists": lambda: ([x] for x in generator()), "mixed": lambda: [Iterator(), Iterable(), 5],
    "iterators": lambda: (f() for f in (generator, Iterator, short)), "keys": lambda: [1, 1, 2, 2, 2, 3, 1],
}


# --- functions ------------------------------------------------------------------------------------------

def add(a, b=1, *rest):
    return (a, b, *rest)


def less(a, *rest):
    return Truth(repr(a) < "2")


def error(*args):
    raise ValueError("function")


def stop(*args):
    raise StopIteration("function")


class Callable:
    def __init__(self, *args):
        self.args = args

    def __call__(self, *args):
        return self.args or args

    def __repr__(self):
        return f"Callable{self.args}"


FUNCTIONS = {
    "add": add, "less": less, "error": error, "stop": stop, "sized": lambda *args: Sized(0), "None": None,
    "bool": bool, "str": str, "class": Callable, "instance": Callable(), "partial": functools.partial(add, 5),
    "bad": lambda *args: Bad(),
}


def counter(*values):
    """A function that returns one of the values after the other."""
    values = list(values)

    def call():
        if not values:
            raise StopIteration
        return values.pop(0)

    return call


# --- iterators over these -------------------------------------------------------------------------------

ZIPPED = [(), ("generator",), ("generator", "list"), ("list", "Iterator"), ("short", "generator"),
          ("generator", "short"), ("generator", "Iterator", "Sequence"), ("none", "generator"), ("none", "none"),
          ("raising", "list"), ("list", "raising"), ("none", "Raises"), ("list", "generator", "short"),
          ("Stops", "Iterator"), ("none", "none", "short"), ("generator", "none")]


def iterables(*names):
    return [ITERABLES[name]() for name in names]


def of_functions():
    """(label, function that makes an iterator) for those that call one."""
    for name, f in FUNCTIONS.items():
        def apply(kind, *names, f=f, **kwargs):
            yield f"{kind.__name__} {name} {names} {kwargs}", lambda: kind(f, *iterables(*names), **kwargs)

        def apply_second(kind, *names, f=f, **kwargs):
            yield f"{kind.__name__} {name} {names} {kwargs}", lambda: kind(*iterables(*names), f, **kwargs)

        for a in ITERABLES:
            for kind in (filter, itertools.filterfalse):
                yield from apply(kind, a)
            if f is not None:
                for kind in (map, itertools.takewhile, itertools.dropwhile):
                    yield from apply(kind, a)
            yield from apply_second(itertools.accumulate, a)
            yield from apply_second(itertools.groupby, a)
        yield from apply_second(itertools.accumulate, "generator", initial=Alike())
        if f is not None:
            for names in ZIPPED[2:]:
                yield from apply(map, *names)
            for a in ("lists", "mixed", "iterators", "list", "map"):
                yield from apply(itertools.starmap, a)


def of_iterables():
    """The same for those that call none."""
    for flag in (False, True):
        for names in ZIPPED:
            yield f"zip {names} {flag}", lambda: zip(*iterables(*names), strict=flag)
            yield f"zip_longest {names} {flag}", lambda: itertools.zip_longest(*iterables(*names), fillvalue=flag)
    for a in ITERABLES:
        def apply(label, kind, *more):
            yield f"{label} {a} {more}", lambda: kind(ITERABLES[a](), *more)

        yield from apply("enumerate", enumerate)
        yield from apply("enumerate", enumerate, 2 ** 63 - 2)
        yield from apply("iter", iter)
        yield from apply("chain", itertools.chain.from_iterable)
        yield from apply("chain", lambda x: itertools.chain(x, generator(), ITERABLES[a]()))
        yield from apply("chain", lambda x: itertools.chain([1], (2,), x))
        yield from apply("cycle", itertools.cycle)
        yield from apply("pairwise", itertools.pairwise)
        for more in ((2,), (1, None), (0, 3, 2), (1, 2), (5, 9), (0,)):
            yield from apply("islice", itertools.islice, *more)
        for b in ("list", "generator", "truths", "raising", "bad"):
            yield from apply(f"compress {b}", lambda x: itertools.compress(x, ITERABLES[b]()))
        yield from apply("nested", lambda x: enumerate(zip(map(add, x), filter(less, generator()))))
    for a in ("list", "Sequence", "Broken", "Stops"):
        yield f"reversed {a}", lambda: reversed(ITERABLES[a]())
    for sentinel in (2, 3, Alike(), Bad(), None):
        for label, make in [("numbers", lambda: counter(1, 2, 3, 2)), ("error", lambda: error),
                            ("stop", lambda: stop), ("alike", lambda: counter(1, Alike(), Bad()))]:
            yield f"iter call {label} {sentinel}", lambda: iter(make(), sentinel)


# --- ways to ask ----------------------------------------------------------------------------------------

def show(value):
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[{', '.join(map(show, value))}]"
    text = repr(value)
    return type(value).__name__ if " at 0x" in text else text


def state(it):
    try:
        return show(it.__reduce__()[1:])
    except Exception as failure:
        return type(failure).__name__


def by_next(it, out):
    for _ in range(8):
        out.append(show(next(it)))
        out.append(state(it))


def by_next_default(it, out):
    for _ in range(8):
        out.append(show(next(it, None)))


def by_method(it, out):
    for _ in range(8):
        out.append(show(it.__next__()))


def by_for(it, out):
    for x in it:
        out.append(show(x))
        out.append(state(it))
        if len(out) > 16:
            break
    else:
        out.append("else")
    for x in it:
        out.append(show(x))
        break


def by_yield_from(it, out):
    def delegate():
        result = yield from it
        out.append(("result", show(result)))

    for x in delegate():
        out.append(show(x))
        if len(out) > 8:
            break


def by_comprehension(it, out):
    out.append([show(x) for x in itertools.islice(it, 8)])


def while_handling(it, out):
    try:
        raise OSError
    except OSError:
        for x in it:
            out.append(show(x))
            if len(out) > 8:
                break


# --- what is printed ------------------------------------------------------------------------------------

def values(make, ask):
    """What is answered in the end."""
    out = []
    try:
        ask(make(), out)
    except Exception as failure:
        names = [e.name for e in traceback.extract_tb(failure.__traceback__)]
        context = failure.__context__ and type(failure.__context__).__name__
        out.append((type(failure).__name__, show(failure.args), names, context))
    return out


def events(make, ask, setter):
    """What a trace function or a profile function sees of this file."""
    seen = []

    def observe(frame, event, arg):
        code = frame.f_code
        if code.co_filename != __file__ or code.co_name in ("show", "state"):
            return None
        if event == "exception":
            arg = arg[0].__name__
        elif event.startswith("c_"):
            arg = arg.__name__
        seen.append(f"{code.co_name} {event} {frame.f_lineno} {show(arg)}")
        return observe

    setter(observe)
    try:
        ask(make(), [])
    except Exception:
        pass
    finally:
        setter(None)
    return seen


def main(what):
    for label, make in itertools.chain(of_functions(), of_iterables()):
        if what == "values":
            for ask in (by_next, by_next_default, by_method, by_for, by_yield_from, by_comprehension,
                        while_handling):
                print(label, ask.__name__, *values(make, ask))
        else:
            for ask in (by_next, by_for, by_yield_from):
                for setter in (sys.settrace, sys.setprofile):
                    print(label, ask.__name__, setter.__name__, *events(make, ask, setter), sep="\n   ")


if __name__ == "__main__":
    main(sys.argv[1])
