"""Where the builtin types are found that have no name in builtins: images refer to them by these names.

Those that the module types knows are found there. The others are globals of this module.
"""

# mypy: ignore-errors
# The types of empty containers' iterators are what this is about; mypy asks what the containers hold.

import builtins
import types
from collections import OrderedDict

from _stackless import _wrap  # type: ignore[import]

coroutine_wrapper, async_generator_asend, async_generator_athrow, anext_awaitable = _wrap.awaitable_types
async_generator_wrapped_value = _wrap.async_generator_wrapped_value_type

dict_keys = type({}.keys())
dict_values = type({}.values())
dict_items = type({}.items())
dict_keyiterator = type(iter({}))
dict_valueiterator = type(iter({}.values()))
dict_itemiterator = type(iter({}.items()))
dict_reversekeyiterator = type(reversed({}))
dict_reversevalueiterator = type(reversed({}.values()))
dict_reverseitemiterator = type(reversed({}.items()))
odict_keys = type(OrderedDict().keys())
odict_values = type(OrderedDict().values())
odict_items = type(OrderedDict().items())
odict_iterator = type(iter(OrderedDict()))

bytearray_iterator = type(iter(bytearray()))
bytes_iterator = type(iter(b""))
callable_iterator = type(iter(int, 1))
generic_alias_iterator = type(iter(list[int]))
iterator = type(iter(type("", (), {"__getitem__": int})()))
list_iterator = type(iter([]))
list_reverseiterator = type(reversed([]))
longrange_iterator = type(iter(range(2**70)))
memory_iterator = type(iter(memoryview(b"")))
range_iterator = type(iter(range(0)))
set_iterator = type(iter(set()))
str_ascii_iterator = type(iter(""))
str_iterator = type(iter("\u0431"))
tuple_iterator = type(iter(()))


def _names() -> dict[type, tuple[str, str]]:
    """The module and the name of each."""
    found = {}
    for module in types.__name__, __name__:
        namespace = vars(types) if module == types.__name__ else globals()
        for name, value in namespace.items():
            if type(value) is type and value.__module__ == "builtins" and not hasattr(builtins, value.__qualname__):
                found.setdefault(value, (module, name))
    for value in type(None), type(...), type(NotImplemented):
        found.pop(value, None)   # the pickler has a way of its own for these
    return found


TYPE_NAMES = _names()

#: Those that cannot be made by calling them: more than a name of them is no use to anybody.
INERT = frozenset(
    f"{module}.{name}" for cls, (module, name) in TYPE_NAMES.items() if cls.__flags__ & 1 << 7   # no tp_new
)


def register() -> None:
    """Tell the C pickler."""
    _wrap.type_names = TYPE_NAMES
