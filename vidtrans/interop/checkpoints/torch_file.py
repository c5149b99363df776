"""Files of ``torch.save`` in all versions: read their contents safely, and each tensor on demand.

Since torch 1.6 a file is a zip archive with a pickle and an entry for each storage; before, it was five pickles and
then the bytes of the storages. No code in a file is run, and no more memory is used than its size justifies.
"""

from __future__ import annotations

import errno
import math
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidtrans.interop.checkpoints.pickle_reader import (
    MAX_BYTES,
    PickleError,
    PickleReader,
    PickleStream,
    Storage,
    StoredShape,
)

ITEM_BYTES = {"float64": 8, "int64": 8, "float32": 4, "int32": 4, "float16": 2, "bfloat16": 2, "int16": 2}  # others: 1
ZIP, LEGACY_MAGIC = b"PK\x03\x04", 0x1950A86A20F9469CFC6C
LEGACY_HEAD = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the pickle of the magic number, after its protocol byte
MAX_ENTRIES = 20_000  # storages of one file
MAX_DEPTH = 3  # nesting of tables and lists
LOCAL_HEADER = 30  # bytes before the name in a zip's local header


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a file: its shape, its dtype ``kind`` (such as 'float32'), and the location of its numbers."""

    shape: tuple[int, ...]
    kind: str
    path: Path
    at: int  # byte offset of its first number in the file
    length: int  # elements from its first to its last, both included
    strides: tuple[int, ...]

    @property
    def num_bytes(self) -> int:
        """Return the tensor's size in memory, in bytes."""
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
    """The contents of a file: ``value`` consists of tables, lists, texts, numbers and ``StoredTensor``.

    ``needs``: the names of functions and classes that the file calls for objects other than tensors.
    """

    value: Any
    needs: list[str]


def is_torch_file(path: Path) -> bool:
    """Return whether a file starts like a file of ``torch.save``; reads little. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(ZIP):
        return _is_archive(path)
    return head[:1] == b"\x80" and LEGACY_HEAD in head[2:32]


def is_bare_pickle(path: Path) -> bool:
    """Return whether a file starts like a pickle of any kind. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(2)
    return len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_archive(path: Path) -> bool:
    """Return whether a zip archive was written by torch.save."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _pickle_in(archive) is not None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, UnicodeError, EOFError):
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:  # raised for a seek before the start of the file
            raise
        return False


def _pickle_in(archive: zipfile.ZipFile) -> str | None:
    """Return the name of the pickle in an archive of torch.save; None for other archives, such as TorchScript."""
    names = archive.namelist() if len(archive.filelist) <= MAX_ENTRIES else []
    found = [name for name in names if name.count("/") <= 1 and name.rpartition("/")[2] == "data.pkl"]
    is_script = any(name.rpartition("/")[2] == "constants.pkl" for name in names)
    return found[0] if len(found) == 1 and not is_script else None


def read_torch_file(path: Path) -> TorchFile:
    """Read the contents of a file of ``torch.save``, without tensor data. Raises PickleError, OSError."""
    with path.open("rb") as file:
        is_zip = file.read(4) == ZIP
    return _read_zip(path) if is_zip else _read_legacy(path)


def _read_zip(path: Path) -> TorchFile:
    try:
        with zipfile.ZipFile(path) as archive:
            name = _pickle_in(archive)
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

    def place_of(storage: Storage) -> int:
        info = entries.get(folder + storage.key)
        wanted = storage.length * ITEM_BYTES.get(storage.kind, 1)
        is_whole = info is not None and info.compress_type == zipfile.ZIP_STORED
        if info is None or not is_whole or not wanted <= info.file_size == info.compress_size:
            raise PickleError(f"the numbers of storage '{storage.key[:40]}' are missing")
        with path.open("rb") as file:
            file.seek(info.header_offset)
            header = file.read(LOCAL_HEADER)
        at = info.header_offset + LOCAL_HEADER + _short(header, 26) + _short(header, 28)
        if at + info.file_size > size:
            raise PickleError("it is cut off")
        return at

    return TorchFile(_with_tensors(value, path, place_of), list(reader.needs))


def _is_big_endian(archive: zipfile.ZipFile, order: zipfile.ZipInfo | None) -> bool:
    if order is None or order.compress_type != zipfile.ZIP_STORED or order.file_size >= 16:
        return False
    return archive.read(order).strip() == b"big"


def _short(header: bytes, at: int) -> int:
    return int.from_bytes(header[at : at + 2], "little")


def _read_legacy(path: Path) -> TorchFile:
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
    places: dict[str, int] = {}
    with path.open("rb") as file:
        for key in keys:
            if not isinstance(key, str) or key not in lengths:
                raise PickleError("its list of storages does not fit its tensors")
            storage = lengths[key]
            file.seek(at)
            if int.from_bytes(file.read(8), "little") != storage.length:
                raise PickleError(f"the length of storage '{key[:40]}' does not match its tensors")
            places[key] = at + 8
            at += 8 + storage.length * ITEM_BYTES.get(storage.kind, 1)
            if at > size:
                raise PickleError("it is cut off")

    def place_of(storage: Storage) -> int:
        if storage.key not in places:
            raise PickleError(f"the numbers of storage '{storage.key[:40]}' are missing")
        return places[storage.key]

    needs = [name for reader in readers for name in reader.needs]
    return TorchFile(_with_tensors(value, path, place_of), needs)


def _with_tensors(value: object, path: Path, place_of: Callable[[Storage], int]) -> Any:  # noqa: ANN401
    """Return ``value`` with a checked ``StoredTensor`` for each tensor. Raises PickleError.

    Contents deeper than ``MAX_DEPTH`` tables and lists are left out. A shared object is converted only once, because a
    small file may contain a million references to a list of a million values.
    """
    done: dict[tuple[int, int], Any] = {}

    def located(view: StoredShape) -> StoredTensor:
        length, kind = _checked_length(view), view.storage.kind
        at = place_of(view.storage) + view.offset * ITEM_BYTES.get(kind, 1)
        return StoredTensor(view.shape, kind, path, at, length, view.strides)

    def walk(value: object, depth: int) -> Any:  # noqa: ANN401
        if not isinstance(value, StoredShape | dict | list | tuple):
            return value
        key = id(value), depth
        if key not in done:
            if isinstance(value, StoredShape):
                done[key] = located(value)
            elif isinstance(value, dict):
                done[key] = {k: walk(v, depth - 1) for k, v in value.items()} if depth else {}
            else:
                done[key] = [walk(v, depth - 1) for v in value] if depth else []
        return done[key]

    return walk(value, MAX_DEPTH)


def _checked_length(view: StoredShape) -> int:
    """Return the number of elements from a tensor's first to its last, both included.

    Raises PickleError if the tensor exceeds its storage, or has more elements than the storage.
    """
    count = math.prod(view.shape)
    length = 1 + sum((n - 1) * step for n, step in zip(view.shape, view.strides, strict=True)) if count else 0
    if view.offset + length > view.storage.length or count > view.storage.length:
        raise PickleError("one of its tensors exceeds its storage")
    return length
