"""Images of tasklets that are kept in files or sent over networks: signed, small, and picky about what they load.

Loading a pickle can run any code: whoever writes the bytes decides.  An image of this module is an envelope
around a pickle that is opened only for those who know the key:

* it is signed (HMAC-SHA256), and the signature is checked before anything of it is read;
* code is by reference: module, qualified name and a hash of the code, so that an image ships no code and does
  not go on in a function that was changed meanwhile;
* it loads only what an allow-list names.

Example::

    from stackless import images

    data = images.dump(task, key=key)
    ...
    task = images.load(data, key=key, allow=["shop.*"])
    task.insert()
"""

import builtins
import copyreg
import functools
import hashlib
import hmac
import importlib
import importlib.util
import io
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

from _stackless import _wrap  # type: ignore[import]

from stackless import _typenames

__all__ = ["CodeReference", "ChangedCodeError", "ImageError", "SignatureError", "dump", "load"]

#      | 6: "SLPIMG" | 1: version | 1: 0 | 32: signature of all else | 4: magic number of the bytecode | pickle |
_NAME = b"SLPIMG"
_VERSION = 1
_HEAD = _NAME + bytes([_VERSION, 0])
_SIGNATURE = slice(len(_HEAD), len(_HEAD) + hashlib.sha256().digest_size)
_MAGIC = slice(_SIGNATURE.stop, _SIGNATURE.stop + len(importlib.util.MAGIC_NUMBER))
_SHORTEST_KEY = 16
_PROTOCOL = 5


class ImageError(ValueError):
    """Bytes that are not an image, or one that this program does not load."""


class SignatureError(ImageError):
    """The image was made with another key, or changed afterwards."""


@dataclass(frozen=True)
class CodeReference:
    """How an image names a code object."""

    module: str
    qualname: str
    hash: int

    def __str__(self) -> str:
        return f"{self.module}.{self.qualname}"


class ChangedCodeError(ImageError):
    """A function of the image is not there any more, or was changed since.

    `reference` is its CodeReference.
    """

    def __init__(self, reference: CodeReference, what: str) -> None:
        super().__init__(f"function {reference} {what} since the image was made")
        self.reference = reference


# --- code by reference ---


def _codes_in(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes_in(constant)


def _functions_in(namespace: dict[str, Any], module: str, seen: set[int]) -> Iterator[FunctionType]:
    """The functions of a namespace that its module has defined: methods, and what decorators have wrapped."""
    for value in list(namespace.values()):
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, type):
            if value.__module__ == module:
                yield from _functions_in(dict(vars(value)), module, seen)
            continue
        todo = [value]
        while todo:
            value = todo.pop()
            if isinstance(value, FunctionType):
                yield value
            for attribute in "__wrapped__", "__func__", "fget", "fset", "fdel", "func":
                if not isinstance(value, (type, ModuleType)):
                    try:
                        inner = object.__getattribute__(value, attribute)
                    except AttributeError:
                        continue
                    if inner is not None and id(inner) not in seen:
                        seen.add(id(inner))
                        todo.append(inner)


def _code_of_module(module: ModuleType) -> CodeType | None:
    """The code of a module anew, as its loader or its source has it."""
    spec = getattr(module, "__spec__", None)
    try:
        if spec is not None and hasattr(spec.loader, "get_code"):
            return spec.loader.get_code(spec.name)
        with open(module.__file__ or "", "rb") as file:
            return compile(file.read(), module.__file__ or "", "exec", dont_inherit=True)
    except (AttributeError, ImportError, OSError, SyntaxError, TypeError, ValueError):
        return None


class _Index:
    """The code objects of modules, by qualified name; living functions first, then what the loader has."""

    def __init__(self) -> None:
        self.modules: dict[str, dict[str, list[CodeType]]] = {}
        self.loaded: set[str] = set()

    def _add(self, name: str, codes: Iterable[CodeType]) -> None:
        table = self.modules.setdefault(name, {})
        for outer in codes:
            for code in _codes_in(outer):
                found = table.setdefault(code.co_qualname, [])
                if all(_wrap.code_hash(code) != _wrap.code_hash(other) for other in found):
                    found.append(code)

    def candidates(self, module: ModuleType, qualname: str, wanted: int) -> list[CodeType]:
        """Code objects of that name; those with the hash that is wanted come first."""
        name = module.__name__
        if name not in self.modules:
            functions = _functions_in(vars(module), name, set())
            self._add(name, (function.__code__ for function in functions))
        found = self.modules[name].get(qualname, [])
        if name not in self.loaded and not any(_wrap.code_hash(code) == wanted for code in found):
            self.loaded.add(name)
            code = _code_of_module(module)
            if code is not None:
                self._add(name, [code])
            found = self.modules[name].get(qualname, [])
        return sorted(found, key=lambda code: _wrap.code_hash(code) != wanted)


def _modules_by_file() -> dict[str, ModuleType]:
    """The module that was made from a file, by what its code calls the file."""
    found: dict[str, ModuleType] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        names = [file] if isinstance(file, str) else []
        names += ["<frozen %s>" % name]
        for file in names:
            if file not in found or found[file].__name__ == "__main__":
                found[file] = module
    return found


class _Pickler(pickle.Pickler):
    """Saves code by reference."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, _PROTOCOL)
        self.index = _Index()
        self.by_file = _modules_by_file()
        self.dispatch_table = dict(copyreg.dispatch_table)
        self.dispatch_table[CodeType] = self.reduce_code  # type: ignore[assignment]

    def reduce_code(self, code: CodeType) -> tuple[Any, ...]:
        module = self.by_file.get(code.co_filename)
        wanted = _wrap.code_hash(code)
        if module is not None:
            candidates = self.index.candidates(module, code.co_qualname, wanted)
            if candidates and _wrap.code_hash(candidates[0]) == wanted:
                return _referred_code, (module.__name__, code.co_qualname, wanted)
        raise pickle.PicklingError(
            f"cannot refer to the code of {code.co_qualname} (file {code.co_filename!r}, line {code.co_firstlineno}): "
            "it is not found in a module; use code='value'"
        )


def _referred_code(module: str, qualname: str, hash: int) -> CodeType:
    raise ImageError("code by reference is loaded by stackless.images.load() only")


# --- what may be loaded ---

_SAFE_BUILTINS = frozenset(
    """NotImplemented Ellipsis bool bytearray bytes classmethod complex dict enumerate filter float frozenset int iter
    list map memoryview object property range reversed set slice staticmethod str super tuple zip
    len abs min max sum next print repr""".split()
) | {name for name, value in vars(builtins).items() if isinstance(value, type) and issubclass(value, BaseException)}

# What images are made of.
_OWN = (
    "_stackless.bomb", "_stackless.channel", "_stackless.tasklet", "_stackless._wrap.*", "stackless._reducers.*",
    "collections.OrderedDict", "collections.defaultdict", "collections.deque", "_collections._deque_iterator",
    "_collections._deque_reverse_iterator", "copyreg._reconstructor", "copyreg.__newobj__", "copyreg.__newobj_ex__",
    "functools.partial", "functools.partialmethod", "itertools.*", "types.SimpleNamespace",
    "datetime.*", "decimal.*", "fractions.*", "uuid.UUID", "uuid.SafeUUID", "array._array_reconstructor",
)

# Attributes with underscores that method objects are found by.
_SAFE_ATTRIBUTES = frozenset("__call__ __contains__ __getitem__ __iter__ __len__ __next__ __setitem__"
                             " __aiter__ __anext__ __await__".split())


def _defines(cls: type, name: str) -> bool:
    """Does the class, or one that it inherits from, define a method of this name in Python?"""
    for base in cls.__mro__:
        if name in vars(base):
            return isinstance(vars(base)[name], (FunctionType, classmethod, staticmethod))
    return False


class _AllowList:
    def __init__(self, allow: Iterable[str]) -> None:
        if isinstance(allow, str):
            raise TypeError("allow must be a collection of names, not a str")
        self.names = {*_OWN, *_typenames.INERT}
        for name in allow:
            if not isinstance(name, str) or not name.strip("*."):
                raise TypeError(f"allow must hold names such as 'package.module.name' or 'package.*', not {name!r}")
            self.names.add(name)

    def allows(self, name: str) -> bool:
        """Is it there, or a part of what is there?"""
        if name in self.names:
            return True
        parts = name.split(".")
        return any(".".join(parts[:end]) + ".*" in self.names for end in range(1, len(parts)))

    def allows_module(self, name: str) -> bool:
        return self.allows(name) or name + ".*" in self.names


class _Unpickler(pickle.Unpickler):
    """Loads what the list allows, and code by reference."""

    def __init__(self, file: io.BytesIO, allowed: _AllowList, by_value: bool, migrate: "_Migrate | None") -> None:
        super().__init__(file)
        self.allowed = allowed
        self.by_value = by_value
        self.migrate = migrate
        self.index = _Index()
        self.own = {
            (__name__, "_referred_code"): self.referred_code,
            ("builtins", "getattr"): self.attribute,
            ("builtins", "type"): self.type_of,
            ("importlib", "import_module"): functools.partial(self.of_module, importlib.import_module),
            ("_stackless._wrap", "module"): functools.partial(self.of_module, _wrap.module),
            ("_stackless._wrap", "module_dict"): functools.partial(self.of_module, _wrap.module_dict),
        }

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if (module, name) in self.own:
            return self.own[module, name]
        if full == "_stackless._wrap.code" and not self.by_value:
            raise ImageError("the image contains code by value: load it with code='value' to allow that")
        if full in self.allowed.names:
            return super().find_class(module, name)
        head, *inner = name.split(".")
        if module == "builtins" and head in _SAFE_BUILTINS and not any(part.startswith("_") for part in inner):
            return super().find_class(module, name)
        if not self.allowed.allows(full):
            raise ImageError(f"the image wants {full}, which is not on the list of what may be loaded")
        return self.own_of_module(module, head, inner)

    def own_of_module(self, module: str, head: str, inner: list[str]) -> Any:
        """What a module has defined itself; what it has imported from elsewhere is not meant by ``module.*``."""
        found = super().find_class(module, head)
        origin = getattr(found, "__module__", module)
        foreign = isinstance(origin, str) and origin != module and not self.allowed.allows_module(origin)
        if isinstance(found, ModuleType) or foreign:
            raise ImageError(f"the image wants {module}.{head}, which that module has from elsewhere")
        for part in inner:
            if part.startswith("_") and not (isinstance(found, type) and _defines(found, part)):
                raise ImageError(f"the image wants {part} of {module}.{head}, an inner attribute")
            if not isinstance(found, type):
                raise ImageError(f"the image wants {part} of {module}.{head}, which is not a class")
            found = getattr(found, part)
        return found

    def of_module(self, make: Callable[[str], Any], name: str) -> Any:
        if not isinstance(name, str) or not self.allowed.allows_module(name):
            raise ImageError(f"the image wants module {name}, which is not on the list of what may be loaded")
        return make(name)

    def attribute(self, obj: Any, name: str) -> Any:
        """What builtin functions and methods of objects are found by."""
        cls = obj if isinstance(obj, type) else type(obj)
        if not isinstance(name, str) or (name.startswith("_") and name not in _SAFE_ATTRIBUTES
                                         and not _defines(cls, name)):
            raise ImageError(f"the image wants attribute {name} of a {type(obj).__name__}")
        if isinstance(obj, ModuleType):
            return self.find_class(obj.__name__, name)
        return getattr(obj, name)

    def type_of(self, obj: Any) -> type:
        """The type of a constant, which has no name."""
        if obj is None or obj is ... or obj is NotImplemented:
            return type(obj)
        raise ImageError(f"the image wants the type of a {type(obj).__name__}")

    def referred_code(self, module: str, qualname: str, hash: int) -> CodeType:
        reference = CodeReference(module, qualname, hash)
        if not self.allowed.allows_module(module) and not self.allowed.allows(str(reference)):
            raise ImageError(f"the image wants code of {module}, which is not on the list of what may be loaded")
        candidates: list[CodeType] = []
        try:
            candidates = self.index.candidates(importlib.import_module(module), qualname, hash)
        except ImportError:
            pass
        if candidates and _wrap.code_hash(candidates[0]) == hash:
            return candidates[0]
        replacement = None if self.migrate is None else self.migrate(reference, candidates)
        if isinstance(replacement, FunctionType):
            replacement = replacement.__code__
        if replacement is None:
            raise ChangedCodeError(reference, "has changed" if candidates else "has gone")
        if not isinstance(replacement, CodeType):
            kind = type(replacement).__name__
            raise TypeError(f"migrate() must return a function, a code object or None, not {kind}")
        return replacement


_Migrate = Callable[[CodeReference, list[CodeType]], "CodeType | FunctionType | None"]


# --- the envelope ---


def _sign(data: bytes, key: bytes) -> bytes:
    return hmac.digest(key, _HEAD + data[_SIGNATURE.stop:], "sha256")


def _check_key(key: bytes) -> None:
    if not isinstance(key, (bytes, bytearray)):
        raise TypeError(f"key must be bytes, not {type(key).__name__}")
    if len(key) < _SHORTEST_KEY:
        raise ValueError(
            f"key must have {_SHORTEST_KEY} bytes at least, not {len(key)}: secrets.token_bytes(32) makes one"
        )


def _check_code(code: str) -> None:
    if code not in ("reference", "value"):
        raise ValueError(f"code must be 'reference' or 'value', not {code!r}")


def dump(obj: Any, *, key: bytes, code: str = "reference") -> bytes:
    """An image of a tasklet, or of any object that tasklets are in.

    :param key: the secret that signs the image, 16 bytes at least
    :param code: ``"reference"``: functions that are saved by value name their code, by module, qualified name and
        hash; ``"value"``: the image contains it
    :raises pickle.PicklingError: something in it does not pickle
    """
    _check_key(key)
    _check_code(code)
    file = io.BytesIO()
    file.write(_HEAD + bytes(_SIGNATURE.stop - _SIGNATURE.start) + importlib.util.MAGIC_NUMBER)
    pickler = _Pickler(file) if code == "reference" else pickle.Pickler(file, _PROTOCOL)
    pickler.dump(obj)
    data = bytearray(file.getbuffer())
    data[_SIGNATURE] = _sign(data, key)
    return bytes(data)


def load(
    data: bytes, *, key: bytes, allow: Iterable[str] = (), code: str = "reference", migrate: _Migrate | None = None
) -> Any:
    """The object of an image.

    :param key: the secret that the image was made with
    :param allow: what may be imported beside what images are made of: ``"package.module.name"``, or
        ``"package.*"`` for all that a package or module defines
    :param code: ``"value"`` to load code that is contained in the image
    :param migrate: ``migrate(reference, candidates)`` is asked for the code of a function that has changed: a
        CodeReference, and the code objects that have its name now.  It returns a function or code object to go on
        with, or None.  The frames of the image must fit it: they are checked.
    :raises SignatureError: another key, or the image was changed
    :raises ChangedCodeError: a function of the image has changed
    :raises ImageError: not an image, one of another version, or it wants something that is not allowed
    """
    _check_key(key)
    _check_code(code)
    allowed = _AllowList(allow)
    data = bytes(data)
    if data[: len(_NAME)] != _NAME or len(data) < _MAGIC.stop:
        raise ImageError("these bytes are not an image of a tasklet")
    if data[: len(_HEAD)] != _HEAD:
        raise ImageError(f"the image has version {data[len(_NAME)]}, this is version {_VERSION}")
    if not hmac.compare_digest(data[_SIGNATURE], _sign(data, key)):
        raise SignatureError("the image was made with another key, or it was changed")
    if data[_MAGIC] != importlib.util.MAGIC_NUMBER:
        raise ImageError("the image was made by a Python with another bytecode")
    unpickler = _Unpickler(io.BytesIO(data[_MAGIC.stop:]), allowed, code == "value", migrate)
    try:
        return unpickler.load()
    finally:
        # Its memo, and its stack after an error, have bound methods of it; the collector sees into neither.
        pickle.Unpickler.__init__(unpickler, io.BytesIO())
