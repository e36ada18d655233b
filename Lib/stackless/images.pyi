from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Literal

__all__ = ["CodeReference", "ChangedCodeError", "ImageError", "SignatureError", "dump", "load"]

class ImageError(ValueError): ...
class SignatureError(ImageError): ...

@dataclass(frozen=True)
class CodeReference:
    module: str
    qualname: str
    hash: int

class ChangedCodeError(ImageError):
    reference: CodeReference
    def __init__(self, reference: CodeReference, what: str) -> None: ...

def dump(obj: Any, *, key: bytes, code: Literal["reference", "value"] = ...) -> bytes: ...
def load(
    data: bytes,
    *,
    key: bytes,
    allow: Iterable[str] = ...,
    code: Literal["reference", "value"] = ...,
    migrate: Callable[[CodeReference, list[CodeType]], CodeType | FunctionType | None] | None = ...,
) -> Any: ...
