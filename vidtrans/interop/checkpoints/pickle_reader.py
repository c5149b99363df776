"""A safe reader for pickles of torch: it calls nothing, and turns calls that rebuild tensors into descriptions.

``torch.load(weights_only=True)`` is not used: it refuses files of pickle protocol 4 and 5, and small files can keep it
busy for minutes. Here memory and time are bounded by the length of the pickle. A function or class in a pickle is
represented by its name (``Name``); the result of a call that does not rebuild a tensor by an ``Opaque``.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

MAX_BYTES = 32 << 20  # of a pickle without tensor data; a real model's has less than a megabyte
MAX_READS = 4_000_000  # reads of an instruction or of its argument
MAX_COPIED = 3_000_000  # values in the arguments of all calls: a million calls may share one long list
MAX_NAME = 200  # characters of a function's or a class's name that are stored
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
_DAMAGES = (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, pickle.UnpicklingError)


class PickleError(ValueError):
    """A pickle is damaged, or is not one that ``torch.save`` writes."""


@dataclass(frozen=True)
class Name:
    """The name of a function or class in a pickle."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """The placeholder for the result of a call of ``made_by`` that was not made; it ignores items added to it."""

    made_by: str

    def append(self, value: object) -> None:
        """Ignore a value; lists have this method."""

    extend = append


@dataclass(frozen=True)
class Storage:
    """A torch storage: ``length`` numbers of ``kind`` (such as 'float32') in a file, identified by ``key``."""

    kind: str
    key: str
    length: int


@dataclass(frozen=True)
class StoredShape:
    """A tensor as a view of a storage; ``offset`` and ``strides`` are counted in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class PickleStream(BytesIO):
    """The bytes of one or several pickles in memory; it limits the number of reads, and so the time."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes. Raises PickleError after ``MAX_READS`` calls."""
        self.left -= 1
        if self.left < 0:
            raise PickleError("it has more instructions than any model")
        return super().read(size)


def more_than_tensors(needs: list[str]) -> str:
    """Return the reason for refusing a pickle that calls the functions in ``needs``, the outermost last."""
    return f"it holds more than tensors (it would run {needs[-1][:100]}, which vidtrans never does)"


class PickleReader(pickle._Unpickler):
    """Reads the next pickle of a stream with Python's instructions, except that it calls nothing.

    ``needs``: the names of the functions and classes that it did not call, the outermost last. ``storages``: the
    storages that the pickle refers to, by key.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}  # filled in below
    stack: list[Any]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]
    read: Callable[[int], bytes]

    def __init__(self, stream: PickleStream) -> None:
        super().__init__(stream, encoding="latin-1")
        self.needs: dict[str, None] = {}
        self.storages: dict[str, Storage] = {}
        self._copied = 0

    def read_value(self) -> Any:  # noqa: ANN401  (of a stranger's file)
        """Return the pickle's value. Raises PickleError."""
        try:
            return self.load()
        except PickleError:
            if self.needs:
                raise PickleError(more_than_tensors(list(self.needs))) from None
            raise
        except (EOFError, struct.error):
            raise PickleError("its pickle is cut off") from None
        except _DAMAGES as error:
            raise PickleError(f"its pickle is damaged ({type(error).__name__})") from None

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (Python has a class here)
        """Return the name of a function or class without importing it."""
        return Name(module[:MAX_NAME], name[:MAX_NAME])

    def persistent_load(self, given: Any) -> Storage:  # noqa: ANN401  (of a stranger's file)
        """Return the storage of a persistent id, a tuple ('storage', class, key, location, length, …)."""
        is_storage = (
            isinstance(given, tuple) and len(given) >= 5 and given[0] == "storage" and isinstance(given[1], Name)
        )
        if not is_storage or given[1].module != "torch":
            raise PickleError("it refers to external data in an unknown way")
        kind = KINDS.get(given[1].name)
        if kind is None or not isinstance(given[2], str) or type(given[4]) is not int or not 0 <= given[4] < 2**48:
            raise PickleError(f"it holds numbers of an unsupported type ({given[1].name[:40]})")
        if len(given) > 5 and given[5] is not None:
            why = "it has views of storages, as files of torch before 0.4 do: save it again with a newer torch"
            raise PickleError(why)
        return self.storages.setdefault(given[2], Storage(kind, given[2], given[4]))

    def _call(self, function: object, arguments: object) -> Any:  # noqa: ANN401  (of a stranger's file)
        """Return the tensor or table that a call describes, or an ``Opaque`` for any other call."""
        rebuild = _REBUILDS.get(str(function)) if isinstance(function, Name) else None
        if rebuild is None or not isinstance(arguments, tuple):
            made_by = str(function) if isinstance(function, Name) else "an object"
            self.needs.setdefault(made_by)
            return Opaque(made_by)
        self._copied += sum(len(one) for one in (arguments, *arguments) if isinstance(one, tuple | list))
        if self._copied > MAX_COPIED:
            raise PickleError("its pickle is far larger than any model's when it is unpacked")
        return rebuild(*arguments)

    def _instantiate(self, function: object, arguments: object) -> None:
        self.append(self._call(function, None))

    def _reduce(self) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _new_object(self) -> None:
        self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], None)

    def _new_object_named(self) -> None:
        self.stack.pop()
        self._new_object()

    def _build(self) -> None:
        self.stack.pop()  # the state, which is only used for module versions and for objects that are not made

    def _ignore_frame(self) -> None:
        self.read(8)  # the length of the frame

    def _set_items(self) -> None:
        items = self.pop_mark()
        if isinstance(self.stack[-1], dict):  # else it is an ``Opaque``
            self.stack[-1].update(_table(items))

    def _set_item(self) -> None:
        items = [self.stack.pop() for _ in range(2)][::-1]
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_table(items))

    def _make_table(self) -> None:
        self.append(_table(self.pop_mark()))

    def _refuse(self) -> None:
        raise PickleError("its pickle has an instruction that no model needs")


def _table(items: list[Any]) -> dict[Hashable, Any]:
    """Return the table of alternating keys and values.

    Raises PickleError for a key that may be slow to look up, such as a tuple or a large number.
    """
    for key in items[::2]:
        if key is not None and not isinstance(key, str) and not (type(key) is int and abs(key) < 2**31):
            raise PickleError("its pickle has a table with keys that are not names")
    return dict(zip(items[::2], items[1::2], strict=True))


def _ordered(*arguments: object) -> dict[Hashable, Any]:
    """Return the table for a call of ``OrderedDict``, whose argument in old files is a list of items."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return _table([part for key, value in pairs for part in (key, value)])


def _rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, grad: object = 0, hooks: object = None, *rest: object
) -> StoredShape:
    if hooks:
        raise PickleError("one of its tensors has hooks, which are programs")
    if not isinstance(storage, Storage):
        raise PickleError("one of its tensors has no storage")
    (start,), shape, strides = (_whole_numbers(values) for values in ((offset,), size, stride))
    if len(shape) != len(strides):
        raise PickleError("the shape of a tensor is damaged")
    return StoredShape(storage, start, shape, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    made = tuple(values) if isinstance(values, tuple | list) else (None,)
    if len(made) > 16 or not all(type(value) is int and 0 <= value < 2**62 for value in made):
        raise PickleError("the shape of a tensor is damaged")
    return made


_REBUILDS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda data, *rest: data,
    "collections.OrderedDict": _ordered,
    "torch.Size": lambda values=(): tuple(values) if isinstance(values, list | tuple) else (),
}
_PYTHON: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
_CHANGED: dict[bytes, Callable[[Any], None]] = {
    pickle.FRAME: PickleReader._ignore_frame,
    pickle.REDUCE: PickleReader._reduce,
    pickle.NEWOBJ: PickleReader._new_object,
    pickle.NEWOBJ_EX: PickleReader._new_object_named,
    pickle.BUILD: PickleReader._build,
    pickle.SETITEM: PickleReader._set_item,
    pickle.SETITEMS: PickleReader._set_items,
    pickle.DICT: PickleReader._make_table,
    pickle.EMPTY_SET: _PYTHON[pickle.EMPTY_LIST[0]],  # sets look each value up
    pickle.ADDITEMS: _PYTHON[pickle.APPENDS[0]],
    pickle.FROZENSET: _PYTHON[pickle.LIST[0]],
    **dict.fromkeys((pickle.EXT1, pickle.EXT2, pickle.EXT4), PickleReader._refuse),
    **dict.fromkeys((pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER), PickleReader._refuse),
}
PickleReader.dispatch = _PYTHON | {opcode[0]: do for opcode, do in _CHANGED.items()}
