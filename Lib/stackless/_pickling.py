"""What makes the standard pickle module know tasklets, and all that their frames refer to."""

import copyreg
import pickle
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


def register() -> None:
    """Enter the reducers into copyreg, and teach the Python pickler, which knows functions by name only."""
    copyreg.dispatch_table.update(REDUCERS)
    pickle._Pickler.dispatch[FunctionType] = _save_function
