"""What makes the standard pickle module know tasklets, and all that their frames refer to."""

import copyreg
import io
import pickle
from collections import namedtuple
from collections.abc import Iterator
from types import (
    AsyncGeneratorType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    ModuleType,
    TracebackType,
)

from _stackless import _wrap  # type: ignore[import]

from stackless import _typenames

REDUCERS = {
    AsyncGeneratorType: _wrap.reduce_generator,
    CellType: _wrap.reduce_cell,
    CodeType: _wrap.reduce_code,
    CoroutineType: _wrap.reduce_generator,
    FunctionType: _wrap.reduce_function,
    GeneratorType: _wrap.reduce_generator,
    ModuleType: _wrap.reduce_module,
    TracebackType: _wrap.reduce_traceback,
}


def _save_function(pickler, function, name=None):
    """Save a function as the C pickler does: what its reducer says, else by name."""
    table = getattr(pickler, "dispatch_table", copyreg.dispatch_table)
    reducer = table.get(FunctionType)
    reduced = function.__qualname__ if reducer is None else reducer(function)
    if isinstance(reduced, str):
        pickler.save_global(function, reduced)
    else:
        pickler.save_reduce(obj=function, *reduced)


def _save_type(pickler, cls):
    """Save a type as the C pickler does: some are found elsewhere than they say."""
    found = _typenames.TYPE_NAMES.get(cls) if type(cls) is type else None
    if found is None:
        pickle._Pickler.save_type(pickler, cls)
        return
    if pickler.proto >= 4:
        for name in found:
            pickler.save(name)
        pickler.write(pickle.STACK_GLOBAL)
    else:
        pickler.write(pickle.GLOBAL + "{}\n{}\n".format(*found).encode())
    pickler.memoize(cls)


def register() -> None:
    """Enter the reducers into copyreg, and teach the Python pickler, which knows functions by name only."""
    copyreg.dispatch_table.update(REDUCERS)
    copyreg.dispatch_table.update(dict.fromkeys(_wrap.awaitable_types, _wrap.reduce_awaitable))
    copyreg.dispatch_table[_wrap.async_generator_wrapped_value_type] = _wrap.reduce_wrapped_value
    pickle._Pickler.dispatch[FunctionType] = _save_function
    pickle._Pickler.dispatch[type] = _save_type
    _typenames.register()


class PickleProblem(namedtuple("PickleProblem", "tasklet function filename line where obj reason advice")):
    """What is in the way of pickling a tasklet: an element of explain_pickle().

    function    qualified name of the frame's function, with the file and the line where it waits; all
                three are None where it is the tasklet as a whole
    where       which value of the frame it is, in words
    obj         the value that does not pickle
    reason      the error that pickling it raises, in words
    advice      what to do
    """

    __slots__ = ()

    def __str__(self) -> str:
        place = "" if self.function is None else f"in {self.function} ({self.filename}, line {self.line}), "
        return f"{place}{self.where}: {self.reason}; {self.advice}"


ADVICE = (
    "let it go before the tasklet waits, keep it outside of the tasklet, or give its class a reducer with copyreg"
)


def _reason(obj) -> str | None:
    """Why an object does not pickle, or None if it does."""
    try:
        pickle.Pickler(io.BytesIO(), pickle.HIGHEST_PROTOCOL).dump(obj)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _describe(value) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _line(code: CodeType, unit: int) -> int | None:
    """The line of a code unit."""
    for start, end, line in code.co_lines():
        if start <= max(unit, 0) * 2 < end:
            return line
    return code.co_firstlineno


def _problems(tasklet, state) -> Iterator[PickleProblem]:
    """Look at all that the state of a tasklet refers to, the innermost frame first."""
    _, _, tempval, frames, exception, context, trace, attributes, *_ = state
    for description in reversed(frames):
        code, _, unit, _, _, values, namespace = description[:7]
        if isinstance(code, CodeType):
            function, filename, line = code.co_qualname, code.co_filename, _line(code, unit)
            names = _wrap.slot_names(code)
        else:
            function, filename, line, names = code, "<stackless>", 0, ()
        named = [
            (f"local variable {names[i]!r}" if i < len(names) else f"value {i - len(names)} on the stack", value)
            for i, value in enumerate(values)
        ]
        for where, value in (*named, ("the local namespace", namespace)):
            if reason := _reason(value):
                where = f"{where} is {_describe(value)}"
                yield PickleProblem(tasklet, function, filename, line, where, value, reason, ADVICE)
    for where, value in (
        ("tempval", tempval),
        ("the exception that it handles", exception),
        ("the context", context),
        ("the trace functions", trace),
        ("attributes", attributes),
    ):
        if reason := _reason(value):
            yield PickleProblem(tasklet, None, None, None, where, value, reason, ADVICE)


def explain_pickle(tasklet) -> list[PickleProblem]:
    """What is in the way of pickling a tasklet, as a list that is empty if it pickles."""
    try:
        state = tasklet.__reduce__()[2]
    except (RuntimeError, pickle.PicklingError) as error:
        advice = "pickle it from another tasklet, while it waits outside of calls from C code"
        return [PickleProblem(tasklet, None, None, None, "the tasklet", tasklet, str(error), advice)]
    return list(_problems(tasklet, state))


def explained(tasklet, error: Exception) -> Exception | None:
    """The error that names what is in the way; called when `error` ended the pickling of a tasklet."""
    if not isinstance(error, Exception) or isinstance(error, RecursionError):
        return None
    for problem in _problems(tasklet, tasklet.__reduce__()[2]):
        better = pickle.PicklingError(f"cannot pickle {tasklet!r}: {problem}")
        better.__cause__ = error
        return better
    return None
