"""What makes the standard pickle module know tasklets, and all that their frames refer to."""

import copyreg
import pickle
from types import CellType, CodeType, FunctionType, ModuleType, TracebackType

from _stackless import _wrap  # type: ignore[import]

REDUCERS = {
    CellType: _wrap.reduce_cell,
    CodeType: _wrap.reduce_code,
    FunctionType: _wrap.reduce_function,
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
