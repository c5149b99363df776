"""What pickles of torch describe: tensors and storages, names of what they would call, and what tensors are rebuilt by.

All of it is notes; nothing that a pickle names is looked up or run.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any


class PickleError(ValueError):
    """A pickle is damaged, or no pickle that ``torch.save`` writes."""


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle asks for."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """What a call would have made, which was not carried out."""

    made_by: str


@dataclass(frozen=True)
class Storage:
    """A run of ``length`` numbers in a file, of ``kind`` ('float32'), under a ``key``."""

    kind: str
    key: str
    length: int


@dataclass(frozen=True)
class StoredShape:
    """A tensor: a view of a storage, its ``offset`` and ``strides`` in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


KINDS = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def checked_key(key: object) -> str | int | None:
    """Return a key of a table. Raises PickleError for one that may take long to look up: a tuple, a large number."""
    if key is None or isinstance(key, str) or (type(key) is int and abs(key) < 2**31):
        return key
    raise PickleError("its pickle has a table with keys that are no names")


def _rebuild_tensor(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    grad: object = False,
    hooks: object = None,
    *rest: object,
) -> StoredShape:
    if hooks:
        raise PickleError("a tensor of it has hooks, which are programs")
    if not isinstance(storage, Storage):
        raise PickleError("a tensor of it has no storage")
    shape, strides = _whole_numbers(size), _whole_numbers(stride)
    (start,) = _whole_numbers((offset,))
    if len(shape) != len(strides):
        raise PickleError("the shape of a tensor is damaged")
    return StoredShape(storage, start, shape, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise PickleError("the shape of a tensor is damaged")
    if not all(type(value) is int and 0 <= value < 2**62 for value in values):
        raise PickleError("the shape of a tensor is damaged")
    return tuple(values)


def _ordered(*arguments: object) -> dict[Hashable, Any]:
    """Return the table that ``OrderedDict(…)`` makes; old files give its items."""
    made: dict[Hashable, Any] = {}
    if arguments and isinstance(arguments[0], list):
        for key, value in arguments[0]:
            made[checked_key(key)] = value
    return made


REBUILDS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda data, *rest: data,
    "collections.OrderedDict": _ordered,
    "torch.Size": lambda values=(): tuple(values) if isinstance(values, list | tuple) else (),
}
