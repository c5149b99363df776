"""Read files of ``torch.save``, in all versions, without running their code; each tensor is read on demand.

Since torch 1.6 a file is a zip archive with a pickle and an entry per storage; older files are five pickles followed by
the bytes of the storages. No code in a file is run, and memory use is limited by the file size.

``torch.load(weights_only=True)`` is not used. It refuses files of pickle protocol 4 and 5; files of a few hundred bytes
can make it run forever (a key of nested tuples, whose hash takes 2^100 steps); it loads all tensors to identify a file;
and its refusals do not name the code that a file would run. Here memory and time are bounded by the length of the
pickle. A function or class in a pickle is represented by its name (``GlobalName``); the result of a call that does not
rebuild a tensor by an ``Opaque``.
"""

from __future__ import annotations

import errno
import math
import pickle
import struct
import zipfile
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

# First bytes of a zip archive, and the magic number of ``torch.save`` before version 1.6.
ZIP, LEGACY_MAGIC = b"PK\x03\x04", 0x1950A86A20F9469CFC6C
# Pickle of the magic number ``LEGACY_MAGIC``, after the pickle's protocol byte.
LEGACY_HEAD = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
LOCAL_HEADER_BYTES = 30  # Number of bytes before the file name in the local header of a zip entry.
MAX_ENTRIES = 20_000  # Largest number of tensor storages in a file.
MAX_DEPTH = 3  # Deepest nesting of tables and lists that is read.
# Largest size in bytes of a pickle without tensor data; the pickle of a real model is smaller than a megabyte.
MAX_BYTES = 32 << 20
MAX_READS = 4_000_000  # Largest number of reads of pickle instructions and their arguments, which limits the time.
# Largest number of values in the arguments of all calls, because a million calls may share one long list.
MAX_ARGUMENTS = 3_000_000
MAX_NAME_CHARACTERS = 200  # Number of characters of a function's or class's name that are stored.
# Number of bytes per element, by dtype name; 1 for all other dtypes.
ITEM_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int16": 2}
# Dtype names by the names of torch's storage classes.
STORAGE_DTYPES = {
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
# Exceptions that Python's unpickler raises for a damaged pickle.
_ERRORS = (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, pickle.UnpicklingError)


class PickleError(ValueError):
    """A pickle is damaged, or has a structure that ``torch.save`` does not write."""


@dataclass(frozen=True)
class GlobalName:
    """The name of a function or class in a pickle, which is never imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """The placeholder for the result of a call in a pickle that was not executed. ``callee``: the called name.

    Items added to the placeholder are ignored.
    """

    callee: str

    def append(self, value: object) -> None:
        """Ignore a value; the unpickler calls this method of lists."""

    extend = append


@dataclass(frozen=True)
class Storage:
    """A torch storage: ``length`` elements of dtype ``kind`` (such as 'float32') in a file, identified by ``key``."""

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
    """The bytes of one or several pickles; limits the number of reads, and so the time."""

    reads_left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to ``size`` bytes. Raises PickleError after ``MAX_READS`` calls."""
        self.reads_left -= 1
        if self.reads_left < 0:
            raise PickleError("it has more instructions than any model")
        return super().read(size)


def more_than_tensors(needs: list[str]) -> str:
    """Return the reason for refusing a pickle that calls the functions named in ``needs``, the outermost last."""
    return f"it holds more than tensors (it would run {needs[-1][:100]}, which vidtrans never does)"


class PickleReader(pickle._Unpickler):
    """A reader of the next pickle of a stream that follows Python's pickle instructions but executes no calls.

    ``needs``: the names of the functions and classes in the pickle that were not called, the outermost last.
    ``storages``: the tensor storages in the pickle, by key.
    """

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {}  # The methods by opcode; assigned after the class
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
        """Return the value of the next pickle. Raises PickleError if it is damaged or needs refused calls."""
        try:
            return self.load()
        except PickleError:
            if self.needs:
                raise PickleError(more_than_tensors(list(self.needs))) from None
            raise
        except (EOFError, struct.error):
            raise PickleError("its pickle is cut off") from None
        except _ERRORS as error:
            raise PickleError(f"its pickle is damaged ({type(error).__name__})") from None

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401  (Python has a class here)
        """Return the name of a function or class instead of importing it."""
        return GlobalName(module[:MAX_NAME_CHARACTERS], name[:MAX_NAME_CHARACTERS])

    def persistent_load(self, pid: Any) -> Storage:  # noqa: ANN401  (of a stranger's file)
        """Return the storage for a persistent id, a tuple ('storage', class, key, location, length, …)."""
        is_storage = isinstance(pid, tuple) and len(pid) >= 5 and pid[0] == "storage" and isinstance(pid[1], GlobalName)
        if not is_storage or pid[1].module != "torch":
            raise PickleError("it refers to external data in an unknown way")
        kind = STORAGE_DTYPES.get(pid[1].name)
        if kind is None or not isinstance(pid[2], str) or type(pid[4]) is not int or not 0 <= pid[4] < 2**48:
            raise PickleError(f"it holds numbers of an unsupported type ({pid[1].name[:40]})")
        if len(pid) > 5 and pid[5] is not None:
            why = "it has views of storages, as files of torch before 0.4 do: save it again with a newer torch"
            raise PickleError(why)
        return self.storages.setdefault(pid[2], Storage(kind, pid[2], pid[4]))

    def _call(self, function: object, arguments: object) -> Any:  # noqa: ANN401  (of a stranger's file)
        """Return the tensor or table that a call describes, or an ``Opaque`` for any other call."""
        rebuild = _REBUILDS.get(str(function)) if isinstance(function, GlobalName) else None
        if rebuild is None or not isinstance(arguments, tuple):
            callee = str(function) if isinstance(function, GlobalName) else "an object"
            self.needs.setdefault(callee)
            return Opaque(callee)
        self._copied += sum(len(sequence) for sequence in (arguments, *arguments) if isinstance(sequence, tuple | list))
        if self._copied > MAX_ARGUMENTS:
            raise PickleError("its pickle is far larger than any model's when it is unpacked")
        return rebuild(*arguments)

    def _instantiate(self, function: object, arguments: object) -> None:
        """Put the result of a call without arguments on the stack."""
        self.append(self._call(function, None))

    def _reduce(self) -> None:
        """Replace a function and its arguments on the stack by the result of the call (instruction REDUCE)."""
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _new_object(self) -> None:
        """Replace a class and its arguments on the stack by an ``Opaque`` (instruction NEWOBJ)."""
        self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], None)

    def _new_object_named(self) -> None:
        """Replace a class, its arguments and its named arguments by an ``Opaque`` (instruction NEWOBJ_EX)."""
        self.stack.pop()
        self._new_object()

    def _build(self) -> None:
        """Discard the state of an object (instruction BUILD)."""
        self.stack.pop()  # The state contains only module versions, or belongs to an object that is not created

    def _ignore_frame(self) -> None:
        """Skip the length of a frame (instruction FRAME)."""
        self.read(8)  # The 8 bytes with the length of the frame

    def _set_items(self) -> None:
        """Add the keys and values above the mark to the table below it (instruction SETITEMS)."""
        items = self.pop_mark()
        if isinstance(self.stack[-1], dict):  # Otherwise the object is an ``Opaque``
            self.stack[-1].update(_table(items))

    def _set_item(self) -> None:
        """Add one key and value to the table below them on the stack (instruction SETITEM)."""
        items = [self.stack.pop() for _ in range(2)][::-1]
        if isinstance(self.stack[-1], dict):
            self.stack[-1].update(_table(items))

    def _make_table(self) -> None:
        """Replace the keys and values above the mark by a table of them (instruction DICT)."""
        self.append(_table(self.pop_mark()))

    def _refuse(self) -> None:
        """Raise PickleError for an instruction that no model needs."""
        raise PickleError("its pickle has an instruction that no model needs")


def _table(items: list[Any]) -> dict[Hashable, Any]:
    """Return the table of a list in which keys and values alternate.

    Raises PickleError for a key with a slow hash, such as a tuple or a large number.
    """
    for key in items[::2]:
        if key is not None and not isinstance(key, str) and not (type(key) is int and abs(key) < 2**31):
            raise PickleError("its pickle has a table with keys that are not names")
    return dict(zip(items[::2], items[1::2], strict=True))


def _ordered(*arguments: object) -> dict[Hashable, Any]:
    """Return the table of a call of ``OrderedDict``, whose argument is a list of items in old files."""
    pairs = arguments[0] if arguments and isinstance(arguments[0], list) else []
    return _table([part for key, value in pairs for part in (key, value)])


def _rebuild_tensor(
    storage: object, offset: object, size: object, stride: object, grad: object = 0, hooks: object = None, *rest: object
) -> StoredShape:
    """Return the shape and storage that a call of torch's ``_rebuild_tensor`` describes. Raises PickleError."""
    if hooks:
        raise PickleError("one of its tensors has hooks, which are programs")
    if not isinstance(storage, Storage):
        raise PickleError("one of its tensors has no storage")
    (start,), shape, strides = (_whole_numbers(values) for values in ((offset,), size, stride))
    if len(shape) != len(strides):
        raise PickleError("the shape of a tensor is damaged")
    return StoredShape(storage, start, shape, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    """Return a tuple or list of non-negative integers as a tuple. Raises PickleError for any other value."""
    numbers = tuple(values) if isinstance(values, tuple | list) else (None,)
    if len(numbers) > 16 or not all(type(value) is int and 0 <= value < 2**62 for value in numbers):
        raise PickleError("the shape of a tensor is damaged")
    return numbers


# Functions that replace the allowed calls in a pickle, by the name of the called function.
_REBUILDS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda data, *rest: data,
    "collections.OrderedDict": _ordered,
    "torch.Size": lambda values=(): tuple(values) if isinstance(values, list | tuple) else (),
}
# Methods of Python's unpickler by opcode.
_PICKLE_DISPATCH: dict[int, Callable[[Any], None]] = pickle._Unpickler.dispatch
# Methods by opcode (one byte) that replace those of Python's unpickler.
_OVERRIDES: dict[bytes, Callable[[Any], None]] = {
    pickle.FRAME: PickleReader._ignore_frame,
    pickle.REDUCE: PickleReader._reduce,
    pickle.NEWOBJ: PickleReader._new_object,
    pickle.NEWOBJ_EX: PickleReader._new_object_named,
    pickle.BUILD: PickleReader._build,
    pickle.SETITEM: PickleReader._set_item,
    pickle.SETITEMS: PickleReader._set_items,
    pickle.DICT: PickleReader._make_table,
    pickle.EMPTY_SET: _PICKLE_DISPATCH[pickle.EMPTY_LIST[0]],  # Sets become lists, because sets would hash each value
    pickle.ADDITEMS: _PICKLE_DISPATCH[pickle.APPENDS[0]],
    pickle.FROZENSET: _PICKLE_DISPATCH[pickle.LIST[0]],
    **dict.fromkeys((pickle.EXT1, pickle.EXT2, pickle.EXT4), PickleReader._refuse),
    **dict.fromkeys((pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER), PickleReader._refuse),
}
PickleReader.dispatch = _PICKLE_DISPATCH | {opcode[0]: do for opcode, do in _OVERRIDES.items()}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its shape, its dtype ``kind`` (such as 'float32'), and the location of its elements."""

    shape: tuple[int, ...]
    kind: str
    path: Path
    at: int  # Byte offset of its first number in the file
    length: int  # Number of elements from the first to the last, inclusive
    strides: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Return the size of the tensor in bytes."""
        return math.prod(self.shape) * ITEM_BYTES.get(self.kind, 1)

    def read(self) -> Any:  # noqa: ANN401  (no torch here)
        """Read the tensor, contiguous and on the CPU. Raises OSError, ValueError."""
        import torch

        with self.path.open("rb") as file:
            file.seek(self.at)
            data = bytearray(file.read(self.length * ITEM_BYTES.get(self.kind, 1)))
        kind = getattr(torch, self.kind)
        flat = torch.frombuffer(data, dtype=kind) if data else torch.empty(0, dtype=kind)
        return flat.as_strided(self.shape, self.strides).contiguous()


@dataclass(frozen=True)
class TorchFile:
    """The contents of a file: ``value`` consists of tables, lists, texts, numbers and ``StoredTensor`` objects.

    ``needs``: the names of functions and classes that the file calls for objects other than tensors.
    """

    value: Any
    needs: list[str]


def is_torch_file(path: Path) -> bool:
    """Return whether ``torch.save`` wrote a file, from its first bytes or its archive's directory. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(ZIP):
        return _is_archive(path)
    return head[:1] == b"\x80" and LEGACY_HEAD in head[2:32]


def is_bare_pickle(path: Path) -> bool:
    """Return whether a file begins like a pickle of any kind. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive of ``torch.save``. Raises OSError if it cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _pickle_name(archive) is not None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError, EOFError):
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: a damaged directory led to a seek to a negative offset
            raise
        return False


def _pickle_name(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the pickle in an archive of torch.save; None for other archives, such as TorchScript."""
    names = archive.namelist() if len(archive.filelist) <= MAX_ENTRIES else []
    pickles = [name for name in names if name.count("/") <= 1 and name.rpartition("/")[2] == "data.pkl"]
    is_script = any(name.rpartition("/")[2] == "constants.pkl" for name in names)
    return pickles[0] if len(pickles) == 1 and not is_script else None


def read_torch_file(path: Path) -> TorchFile:
    """Read the contents of a file of ``torch.save``, without tensor data. Raises PickleError, OSError."""
    with path.open("rb") as file:
        is_zip = file.read(4) == ZIP
    return _read_zip(path) if is_zip else _read_legacy(path)


def _read_zip(path: Path) -> TorchFile:
    """Read the contents of a file of torch ≥ 1.6, without tensor data. Raises PickleError, OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = _pickle_name(archive)
            if name is None:
                raise PickleError("its archive has no pickle")
            data, entries = archive.getinfo(name), {info.filename: info for info in archive.filelist}
            if data.compress_type != zipfile.ZIP_STORED or data.file_size > MAX_BYTES:
                raise PickleError("its archive is compressed, or its pickle is far too large")
            reader = PickleReader(PickleStream(archive.read(data)))
            value = reader.read_value()
            order = name.removesuffix("data.pkl") + "byteorder"
            if _is_big_endian(archive, entries.get(order)):
                raise PickleError("its numbers are big-endian")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        raise PickleError("its archive is damaged (an offset lies before the start of the file)") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise PickleError(f"its archive is damaged ({type(error).__name__})") from None
    folder, size = name.removesuffix("data.pkl") + "data/", path.stat().st_size

    def offset_of(storage: Storage) -> int:
        """Return the byte offset of a storage's elements in the file. Raises PickleError if they are missing."""
        info = entries.get(folder + storage.key)
        num_bytes = storage.length * ITEM_BYTES.get(storage.kind, 1)
        is_whole = info is not None and info.compress_type == zipfile.ZIP_STORED
        if info is None or not is_whole or not num_bytes <= info.file_size == info.compress_size:
            raise PickleError(f"the numbers of storage '{storage.key[:40]}' are missing")
        with path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(LOCAL_HEADER_BYTES)
        at = info.header_offset + LOCAL_HEADER_BYTES + _read_uint16(header, 26) + _read_uint16(header, 28)
        if at + info.file_size > size:
            raise PickleError("it is cut off")
        return at

    return TorchFile(_locate_tensors(value, path, offset_of), list(reader.needs))


def _is_big_endian(archive: zipfile.ZipFile, order: zipfile.ZipInfo | None) -> bool:
    """Return whether the entry ``order`` of an archive, which states the byte order, is "big"."""
    if order is None or order.compress_type != zipfile.ZIP_STORED or order.file_size >= 16:
        return False
    return archive.read(order).strip() == b"big"


def _read_uint16(header: bytes, at: int) -> int:
    """Return the little-endian 16-bit number at offset ``at`` of a zip header."""
    return int.from_bytes(header[at : at + 2], "little")


def _read_legacy(path: Path) -> TorchFile:
    """Read the contents of a file of torch < 1.6, without tensor data. Raises PickleError, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        stream = PickleStream(file.read(MAX_BYTES))
    readers = [PickleReader(stream) for _ in range(5)]
    magic, _, system, value, keys = (reader.read_value() for reader in readers)
    if magic != LEGACY_MAGIC or not isinstance(keys, list):
        raise PickleError("it is not a file of torch.save")
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise PickleError("its numbers are big-endian")
    lengths, at = readers[3].storages, stream.tell()
    offsets: dict[str, int] = {}
    with path.open("rb") as file:
        for key in keys:
            if not isinstance(key, str) or key not in lengths:
                raise PickleError("its list of storages does not fit its tensors")
            storage = lengths[key]
            file.seek(at)
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise PickleError(f"the length of storage '{key[:40]}' does not match its tensors")
            offsets[key] = at + 8
            at += 8 + storage.length * ITEM_BYTES.get(storage.kind, 1)
            if at > size:
                raise PickleError("it is cut off")

    def offset_of(storage: Storage) -> int:
        """Return the byte offset of a storage's elements in the file. Raises PickleError if they are missing."""
        if storage.key not in offsets:
            raise PickleError(f"the numbers of storage '{storage.key[:40]}' are missing")
        return offsets[storage.key]

    needs = [name for reader in readers for name in reader.needs]
    return TorchFile(_locate_tensors(value, path, offset_of), needs)


def _locate_tensors(value: object, path: Path, offset_of: Callable[[Storage], int]) -> Any:  # noqa: ANN401
    """Return ``value`` with a checked ``StoredTensor`` for each tensor. Raises PickleError.

    ``offset_of``: a function that returns the byte offset of a storage in the file.

    Contents deeper than ``MAX_DEPTH`` tables and lists are omitted. A shared object is converted only once, because a
    small file may contain a million references to a list of a million values.
    """
    converted: dict[tuple[int, int], Any] = {}

    def locate(view: StoredShape) -> StoredTensor:
        """Return a tensor with the location of its elements in the file. Raises PickleError."""
        length, kind = _checked_length(view), view.storage.kind
        at = offset_of(view.storage) + view.offset * ITEM_BYTES.get(kind, 1)
        return StoredTensor(view.shape, kind, path, at, length, view.strides)

    def walk(value: object, depth: int) -> Any:  # noqa: ANN401
        """Return a value with located tensors, including tables and lists down to ``depth`` levels."""
        if not isinstance(value, StoredShape | dict | list | tuple):
            return value
        key = id(value), depth
        if key not in converted:
            if isinstance(value, StoredShape):
                converted[key] = locate(value)
            elif isinstance(value, dict):
                converted[key] = {k: walk(v, depth - 1) for k, v in value.items()} if depth else {}
            else:
                converted[key] = [walk(v, depth - 1) for v in value] if depth else []
        return converted[key]

    return walk(value, MAX_DEPTH)


def _checked_length(view: StoredShape) -> int:
    """Return the number of elements in the storage from a tensor's first to its last, inclusive.

    Raises PickleError if the tensor exceeds its storage, or has more elements than the storage.
    """
    count = math.prod(view.shape)
    length = 1 + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True)) if count else 0
    if view.offset + length > view.storage.length or count > view.storage.length:
        raise PickleError("one of its tensors exceeds its storage")
    return length
