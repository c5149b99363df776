"""Safetensors of other tools: check the JSON header, and read each tensor on demand.

Eight bytes give the length of the header, which gives each tensor's dtype, shape and byte range after the header.
"""

from __future__ import annotations

import json
import math
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from vidtrans.interop.checkpoints.torch_file import ITEM_BYTES, StoredTensor

MAX_HEADER = 4 << 20  # bytes: tens of thousands of tensors
MAX_TENSORS = 20_000
MAX_AXES = 8
KINDS = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class SafetensorsError(ValueError):
    """A header is damaged, or does not match the file."""


def is_safetensors(path: Path) -> bool:
    """Return whether a file starts with a header that lists tensors; reads only the header. Raises OSError."""
    try:
        return any(isinstance(entry, dict) and "data_offsets" in entry for entry in _header(path)[0].values())
    except SafetensorsError:
        return False


def read_safetensors(path: Path) -> dict[str, StoredTensor]:
    """Return a file's tensors by name. Raises SafetensorsError, OSError."""
    table, begin = _header(path)
    size = path.stat().st_size - begin
    found = {name: _tensor(path, name, entry, begin, size) for name, entry in table.items()}
    places = sorted((one.at, one.length * ITEM_BYTES.get(one.kind, 1)) for one in found.values() if one.length)
    if any(at + length > after for (at, length), (after, _) in pairwise(places)):
        raise SafetensorsError("two of its tensors share their bytes")
    return found


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """Return the header's entries for tensors, unchecked, and the byte offset at which the tensors' data start."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if 2 <= length <= MAX_HEADER else b""
    if len(text) != length or not text.startswith(b"{"):
        raise SafetensorsError("its header is missing or cut off")
    try:
        table = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        raise SafetensorsError("its header is damaged") from None
    metadata = table.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise SafetensorsError("its metadata contain values that are not text")
    if len(table) > MAX_TENSORS:
        raise SafetensorsError("it has more tensors than any model")
    return table, 8 + length


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a key appears twice in it")
    return table


def _tensor(path: Path, name: str, entry: Any, begin: int, size: int) -> StoredTensor:  # noqa: ANN401  (of JSON)
    """Return the checked tensor of a header entry; the file has ``size`` bytes of data from offset ``begin`` on."""
    try:
        kind, shape, (first, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, end]
    except (TypeError, KeyError, ValueError):
        raise SafetensorsError(f"its header has no complete entry for '{name[:80]}'") from None
    if not isinstance(kind, str) or kind not in KINDS:
        raise SafetensorsError(f"'{name[:80]}' holds numbers of an unsupported type ({str(kind)[:20]})")
    if len(shape) > MAX_AXES or not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
        raise SafetensorsError(f"the shape or the byte range of '{name[:80]}' is out of bounds")
    length, ours = math.prod(shape), KINDS[kind]
    if end - first != length * ITEM_BYTES.get(ours, 1) or end > size:
        raise SafetensorsError(f"'{name[:80]}' is cut off, or its byte range does not fit its shape")
    strides = tuple(accumulate(reversed(shape[1:]), lambda a, b: a * b, initial=1))[::-1] if shape else ()
    return StoredTensor(tuple(shape), ours, path, begin + first, length, strides)
