"""How objects pickle that frames often hold and that the standard pickle module refuses or loses.

What stands here gives an object of the same type, at the same place, that shares what it refers to: an
iterator goes on over the same dict or list. CPython makes lists of what is left.
"""

import contextvars
import copyreg
import functools
import gc
import importlib
import itertools
import operator
import sys
from collections import OrderedDict
from types import (
    ClassMethodDescriptorType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodType,
)

from _stackless import _wrap, bomb  # type: ignore[import]

# Names in images: they are looked up here when an image is loaded.
__all__ = [
    "bound_method",
    "bound_super",
    "class_attribute",
    "class_namespace",
    "context",
    "context_variable",
    "dict_iterator",
    "exhausted",
    "list_iterator",
    "lru_cached",
    "mapping_proxy",
    "memory_iterator",
    "memory_view",
    "ordering_key",
]


# --- iterators ---

_ITERATORS_OF_DICTS = {
    "keys": iter,
    "values": lambda d: iter(d.values()),
    "items": lambda d: iter(d.items()),
    "reversed keys": reversed,
    "reversed values": lambda d: reversed(d.values()),
    "reversed items": lambda d: reversed(d.items()),
}


def exhausted(kind):
    """An iterator over nothing more, of a dict or a list."""
    if kind in _ITERATORS_OF_DICTS:
        return _ITERATORS_OF_DICTS[kind]({})
    made = reversed([]) if kind == "reversed list" else iter([])
    next(made, None)
    return made


def dict_iterator(kind, container, size, rest):
    """An iterator over a dict of `size` items that has the `rest` before it.

    Where the dict is not complete yet, since the iterator is among what it holds, it is one over the list.
    """
    if len(container) != size:
        return iter(rest)
    made = _ITERATORS_OF_DICTS[kind](container)
    for _ in range(size - len(rest)):
        next(made)
    return made


def _reducer_of_dict_iterator(kind):
    def reduce(iterator):
        container = next((obj for obj in gc.get_referents(iterator) if isinstance(obj, dict)), None)
        if container is None:
            return exhausted, (kind,)
        rest = iterator.__reduce__()[1][0]
        return dict_iterator, (kind, container, len(container), rest)

    return reduce


def list_iterator(container, index, backwards):
    """An iterator over a list that goes on at `index`, even where the list is not complete yet."""
    if type(container) is not list:
        raise TypeError(f"list_iterator() wants a list, not {type(container).__name__}")
    made = reversed(container) if backwards else iter(container)
    _wrap.set_list_index(made, index)
    return made


def _reduce_list_iterator(iterator):
    _, args, *index = iterator.__reduce__()
    if not index or type(args[0]) is not list:
        return iterator.__reduce__() if index else (exhausted, ("list",))
    return list_iterator, (args[0], index[0], False)


def _reduce_reversed_list(iterator):
    _, args, *index = iterator.__reduce__()
    if not index:
        return exhausted, ("reversed list",)
    return list_iterator, (args[0], index[0], True)


def memory_view(container, format, shape, readonly):
    """A memoryview of all of an object."""
    view = memoryview(container).cast("B")
    if format != "B" or len(shape) != 1:
        view = view.cast(format, shape) if len(shape) != 1 else view.cast(format)
    return view.toreadonly() if readonly else view


def _reduce_memory_view(view):
    container = view.obj
    if container is None or not view.c_contiguous or memoryview(container).nbytes != view.nbytes:
        raise TypeError("cannot pickle a memoryview of a part of an object: copy it by bytes(view)")
    return memory_view, (container, view.format, view.shape, view.readonly)


def memory_iterator(view, index):
    """An iterator over a memoryview that goes on at `index`."""
    made = iter(view)
    for _ in range(index):
        next(made)
    return made


def _reduce_memory_iterator(iterator):
    views = gc.get_referents(iterator)
    if not views:
        return memory_iterator, (memoryview(b""), 0)
    return memory_iterator, (views[0], _wrap.memory_index(iterator))


def _reduce_pairwise(iterator):
    referents = gc.get_referents(iterator)
    if not referents:
        return itertools.pairwise, ((),)
    inner, *left = referents
    return itertools.pairwise, (itertools.chain(left, inner) if left else inner,)


# --- methods and descriptors ---


def bound_method(function, owner):
    """A bound method."""
    return MethodType(function, owner)


def _reduce_method(method):
    """By name as CPython does, where that finds the method again; super().name is not found so."""
    function, owner = method.__func__, method.__self__
    name = getattr(function, "__name__", None)
    if isinstance(name, str):
        classes = type(owner).__mro__
        if isinstance(owner, type):
            classes = owner.__mro__ + classes
        found = next((vars(cls)[name] for cls in classes if name in vars(cls)), None)
        if found is function or getattr(found, "__func__", None) is function:
            return method.__reduce__()
    return bound_method, (function, owner)


def class_attribute(cls, name):
    """What stands in the class under that name, unbound."""
    return vars(cls)[name]


def _reduce_class_attribute(descriptor):
    return class_attribute, (descriptor.__objclass__, descriptor.__name__)


def bound_super(cls, *owner):
    """A super object; without `owner` an unbound one."""
    return super(cls, *owner)


def _reduce_super(obj):
    # The object forwards its attributes.
    cls = super.__dict__["__thisclass__"].__get__(obj)
    owner = super.__dict__["__self__"].__get__(obj)
    return bound_super, (cls,) if owner is None else (cls, owner)


def _reduce_property(obj):
    return property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)


def _reduce_wrapping_method(obj):
    return type(obj), (obj.__func__,)


# --- functools ---


def lru_cached(function, maxsize, typed):
    """A function with an empty cache."""
    return functools.lru_cache(maxsize, typed)(function)


def _reduce_lru_cached(wrapper):
    name = wrapper.__reduce__()
    found = sys.modules.get(getattr(wrapper, "__module__", None))
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        found = None
    if found is wrapper:
        return name
    parameters = wrapper.cache_parameters()
    return lru_cached, (wrapper.__wrapped__, parameters["maxsize"], parameters["typed"])


def ordering_key(compare, *obj):
    """What functools.cmp_to_key() returns, or a key that that made of an object."""
    key = functools.cmp_to_key(compare)
    return key(*obj) if obj else key


def _reduce_ordering_key(key):
    return ordering_key, tuple(obj for obj in gc.get_referents(key) if obj is not type(key))


# --- namespaces ---


def class_namespace(cls):
    """The __dict__ of a class, whatever its metaclass calls so."""
    return vars(type)["__dict__"].__get__(cls)


def mapping_proxy(mapping):
    """A read-only view of a mapping."""
    return MappingProxyType(mapping)


def _viewed(proxy):
    """The mapping that a mapping proxy shows."""
    (mapping,) = [obj for obj in gc.get_referents(proxy) if obj is not type(proxy)]
    return mapping


def _reduce_mapping_proxy(proxy):
    mapping = _viewed(proxy)
    if type(mapping) is dict and "__doc__" in mapping:
        for cls in _all_classes():
            if _viewed(class_namespace(cls)) is mapping:
                return class_namespace, (cls,)
    return mapping_proxy, (mapping,)


def _all_classes():
    """Every class there is, once.  The collector does not know builtin ones, nor those of before a gc.freeze()."""
    found, seen = [object], {id(object)}
    for cls in found:
        yield cls
        # A metaclass may have a method of that name, too.
        for subclass in type.__subclasses__(cls):
            if id(subclass) not in seen:
                seen.add(id(subclass))
                found.append(subclass)


# --- contexts ---


def context(values):
    """A Context in which the variables have the values."""
    made = contextvars.Context()
    for variable, value in values:
        made.run(variable.set, value)
    return made


def _reduce_context(obj):
    return context, (list(obj.items()),)


def context_variable(module, name):
    """The context variable that is a global of a module."""
    found = getattr(importlib.import_module(module), name, None)
    if type(found) is not contextvars.ContextVar:
        raise AttributeError(f"module {module!r} has no context variable {name!r}")
    return found


def _reduce_context_variable(variable):
    """By name, as a global of the module that made it."""
    for name, module in list(sys.modules.items()):
        if getattr(module, "__dict__", {}).get(variable.name) is variable:
            return context_variable, (name, variable.name)
    raise TypeError(f"cannot pickle context variable {variable.name!r}: no module has it as a global of that name")


# --- tasklets' values ---


def _reduce_bomb(obj):
    return bomb, (obj.type, obj.value, obj.traceback)


REDUCERS = {
    type(iter({})): _reducer_of_dict_iterator("keys"),
    type(iter({}.values())): _reducer_of_dict_iterator("values"),
    type(iter({}.items())): _reducer_of_dict_iterator("items"),
    type(reversed({})): _reducer_of_dict_iterator("reversed keys"),
    type(reversed({}.values())): _reducer_of_dict_iterator("reversed values"),
    type(reversed({}.items())): _reducer_of_dict_iterator("reversed items"),
    type(iter([])): _reduce_list_iterator,
    type(reversed([])): _reduce_reversed_list,
    memoryview: _reduce_memory_view,
    type(iter(memoryview(b""))): _reduce_memory_iterator,
    itertools.pairwise: _reduce_pairwise,
    MethodType: _reduce_method,
    ClassMethodDescriptorType: _reduce_class_attribute,
    GetSetDescriptorType: _reduce_class_attribute,
    MemberDescriptorType: _reduce_class_attribute,
    super: _reduce_super,
    property: _reduce_property,
    classmethod: _reduce_wrapping_method,
    staticmethod: _reduce_wrapping_method,
    type(functools.lru_cache(len)): _reduce_lru_cached,
    type(functools.cmp_to_key(operator.sub)): _reduce_ordering_key,
    MappingProxyType: _reduce_mapping_proxy,
    contextvars.Context: _reduce_context,
    contextvars.ContextVar: _reduce_context_variable,
    bomb: _reduce_bomb,
}

# A view is what the method of its dict returns.
for _cls in dict, OrderedDict:
    for _name in "keys", "values", "items":
        _method = getattr(_cls, _name)

        def _reduce_view(view, method=_method):
            return method, (next(obj for obj in gc.get_referents(view) if isinstance(obj, dict)),)

        REDUCERS[type(_method(_cls()))] = _reduce_view


def register() -> None:
    copyreg.dispatch_table.update(REDUCERS)
