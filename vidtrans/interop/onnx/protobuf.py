"""A reader for protobuf messages (protobuf.dev, "Encoding"): yields the fields of a mapped file one by one.

It needs no schema and no library, and memory for one field at a time only, whatever sizes the file claims.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; groups (3 and 4) do not occur in ONNX files
MAX_VARINT_BYTES = 10
MAX_NAME = 1 << 12  # bytes
Buffer = mmap.mmap | bytes


class DamagedError(ValueError):
    """The bytes are not a valid protobuf message."""


class Field(NamedTuple):
    """One field: ``value`` of a varint or fixed-width field; ``start`` and ``end`` of its content in the buffer."""

    number: int
    wire: int
    value: int
    start: int
    end: int


@contextmanager
def map_file(path: Path) -> Iterator[Buffer]:
    """Yield the bytes of a file, memory-mapped so that only accessed parts are read. Raises OSError."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def read_varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Read a varint at offset ``at``; return its unsigned 64-bit value and the offset after it. Raises DamagedError."""
    value = 0
    for count in range(MAX_VARINT_BYTES):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise DamagedError("a number has no end")


def fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message in the bytes from ``start`` to ``end``. Raises DamagedError."""
    at = start
    while at < end:
        tag, at = read_varint(data, at, end)
        number, wire, value, begin = tag >> 3, tag & 7, 0, at
        if wire == VARINT:
            value, at = read_varint(data, at, end)
        elif wire == BYTES:
            length, begin = read_varint(data, at, end)
            at = begin + length
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise DamagedError(f"unknown wire type {wire}")
        if at > end or not 0 < number < 1 << 29:
            raise DamagedError("a field goes beyond its message")
        if wire in (FIXED32, FIXED64):
            value = int.from_bytes(data[begin:at], "little")
        yield Field(number, wire, value, begin, at)


def text_of(data: Buffer, field: Field, most: int = 1 << 12) -> str:
    """Return the first ``most`` bytes of a field as text."""
    return data[field.start : min(field.end, field.start + most)].decode("utf-8", "replace")


def name_of(data: Buffer, field: Field) -> str:
    """Return a name, by which two values are the same or not. Raises DamagedError unless it is short, and text."""
    if field.wire != BYTES:
        raise DamagedError("a name is a number")
    if field.end - field.start > MAX_NAME:
        raise DamagedError("a name is too long")
    try:
        return data[field.start : field.end].decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedError("a name is not text") from None


def signed(value: int) -> int:
    """Return an unsigned 64-bit value as a signed one (two's complement)."""
    return value - (1 << 64) if value >> 63 else value


def float_of(value: int) -> float:
    """Return the float whose IEEE 754 single-precision bits are ``value``."""
    (number,) = struct.unpack("<f", value.to_bytes(4, "little"))
    return float(number)


def integers_of(data: Buffer, field: Field) -> list[int]:
    """Return the signed integers of a repeated field, packed or not. Raises DamagedError."""
    if field.wire != BYTES:
        return [signed(field.value)]
    found, at = [], field.start
    while at < field.end:
        value, at = read_varint(data, at, field.end)
        found.append(signed(value))
    return found
