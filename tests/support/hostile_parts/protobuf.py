"""ONNX files, written field by field, so that they may say what no library would write."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

FLOAT, INT64, STRING = 1, 7, 8


def varint(number: int) -> bytes:
    """Return a number of up to 64 bits, negative ones as their complement."""
    number &= (1 << 64) - 1
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


def field(number: int, value: int | bytes | str) -> bytes:
    """Return a field: a number, or bytes after their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(number: int, values: Iterable[int | bytes | str]) -> bytes:
    """Return one field for each value."""
    return b"".join(field(number, value) for value in values)


def tensor(name: str, dims: Iterable[int], raw: bytes = b"", kind: int = FLOAT, more: bytes = b"") -> bytes:
    """Return a TensorProto."""
    return fields(1, dims) + field(2, kind) + field(8, name) + (field(9, raw) if raw else b"") + more


def floats(name: str, dims: tuple[int, ...], value: float = 0.1) -> bytes:
    """Return a TensorProto of one value throughout."""
    return tensor(name, dims, struct.pack("<f", value) * math.prod(dims))


def whole_numbers(name: str, values: list[int]) -> bytes:
    """Return a TensorProto of int64, (N,)."""
    return tensor(name, (len(values),), struct.pack(f"<{len(values)}q", *values), INT64)


def external(name: str, dims: tuple[int, ...], **entries: object) -> bytes:
    """Return a TensorProto whose data lies in another file: ``location``, ``offset``, ``length``."""
    pairs = fields(13, (field(1, key) + field(2, str(value)) for key, value in entries.items()))
    return tensor(name, dims, more=pairs + field(14, 1))


def attribute(name: str, value: object) -> bytes:
    """Return an AttributeProto of a whole number, a list of them, or ("graph", message)."""
    if isinstance(value, tuple):
        return field(1, name) + field(6, value[1]) + field(20, 5)
    if isinstance(value, list):
        return field(1, name) + fields(8, value) + field(20, 7)
    assert isinstance(value, int)
    return field(1, name) + field(3, value) + field(20, 2)


def node(kind: str, inputs: str, outputs: str, domain: str = "", **attributes: object) -> bytes:
    """Return a NodeProto; inputs and outputs are separated by spaces, and ``-`` is one that is left out."""
    names = fields(1, (n.strip("-") for n in inputs.split())) + fields(2, outputs.split())
    values = fields(5, (attribute(name, value) for name, value in attributes.items()))
    return names + field(4, kind) + values + (field(7, domain) if domain else b"")


def value_info(name: str, dims: Iterable[int | str], kind: int = FLOAT) -> bytes:
    """Return a ValueInfoProto of a tensor; sides that are text are free."""
    sides = (field(2, side) if isinstance(side, str) else field(1, side) for side in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, fields(1, sides))))


def graph(
    nodes: Iterable[bytes], inputs: Iterable[bytes], outputs: Iterable[bytes], weights: Iterable[bytes] = ()
) -> bytes:
    """Return a GraphProto."""
    return fields(1, nodes) + field(2, "g") + fields(5, weights) + fields(11, inputs) + fields(12, outputs)


def model(content: bytes, opset: int = 17, version: int = 8, more: bytes = b"") -> bytes:
    """Return a ModelProto of a graph."""
    return field(1, version) + field(8, field(1, "") + field(2, opset)) + field(7, content) + more


def function(name: str, nodes: Iterable[bytes]) -> bytes:
    """Return a FunctionProto of the domain ``own``, from ``x`` to ``y``."""
    used = field(9, field(1, "") + field(2, 17)) + field(9, field(1, "own") + field(2, 1))
    return field(1, name) + field(4, "x") + field(5, "y") + fields(7, nodes) + used + field(10, "own")
