"""The directories of TIFF files, also of those whose samples Pillow cannot read."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT, PROFILE = (
    *(254, 256, 257, 258, 262, 274, 284, 338, 339, 34675),
)
_READ = (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT)
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_ORIENTATION_PLACE = -1  # where its value lies in the file, and its type
DIRECTORY = -2  # where the directory itself lies
IS_NO_PAGE = 0b101  # in SUBFILE: a reduced version of another picture, or a mask
_MOST_PICTURES, _MOST_VALUES, _LONGEST_PROFILE = 100_000, 16, 1 << 24
_MOST_TAGS = 1 << 21  # in all pictures; forged directories may overlap, so the file's length does not limit them

_Entry = tuple[int, int, int, bytes]  # tag, type, number of values, and the values or where they lie

Tags = dict[int, tuple[int, ...]]


def read_directories(stream: BinaryIO) -> tuple[list[Tags], bytes]:
    """Return the tags of each picture, in order, and the ICC profile of the first.

    Raises ValueError, struct.error where the file is damaged.
    """
    start = stream.read(16)
    order, is_big = "<" if start[:2] == b"II" else ">", start[2:4].strip(b"\0") == b"+"
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), start, 8 if is_big else 4)
    found: list[Tags] = []
    profile = b""
    seen: set[int] = set()
    num_tags = 0
    while at and at not in seen and len(seen) < _MOST_PICTURES:
        seen.add(at)
        entries, following = _entries(stream, at, order, is_big)
        num_tags += len(entries)
        if num_tags > _MOST_TAGS:
            raise ValueError("a TIFF of too many tags")
        profile = profile if found else _profile(stream, entries, order)
        found.append(_tags(stream, entries, at, order))
        at = following
    if not found or not found[0].keys() >= {WIDTH, HEIGHT}:
        raise ValueError("a TIFF without pictures")
    return found, profile


def without_orientation(data: bytes) -> bytes:
    """Return the bytes of a TIFF file with the orientation tags of all its pictures set to upright."""
    patched, order = bytearray(data), "<" if data[:2] == b"II" else ">"
    for tags in read_directories(io.BytesIO(data))[0]:
        if _ORIENTATION_PLACE in tags:
            place, kind = tags[_ORIENTATION_PLACE]
            struct.pack_into(order + _TYPES[kind], patched, place, 1)
    return bytes(patched)


def with_first(data: np.ndarray, directory: int) -> np.ndarray:
    """Return a TIFF file's bytes, (N,) uint8, changed in place: its first picture is that of the directory there.

    A decoder would otherwise walk, slowly, through all pictures before it.
    """
    start = data[:16].tobytes()
    order, is_big = "<" if start[:2] == b"II" else ">", start[2:4].strip(b"\0") == b"+"
    place, form = (8, "Q") if is_big else (4, "I")
    stored = struct.pack(order + form, directory)
    data[place : place + len(stored)] = np.frombuffer(stored, np.uint8)
    return data


def _entries(stream: BinaryIO, at: int, order: str, is_big: bool) -> tuple[list[_Entry], int]:
    """Return the entries of the directory at an offset, and the offset of the next one."""
    wide = "Q" if is_big else "I"
    stream.seek(at)
    (count,) = struct.unpack(order + ("Q" if is_big else "H"), stream.read(8 if is_big else 2))
    layout = struct.Struct(f"{order}HH{wide}{8 if is_big else 4}s")
    entries = [layout.unpack(stream.read(layout.size)) for _ in range(min(count, 4096))]
    (following,) = struct.unpack(order + wide, stream.read(struct.calcsize(wide)))
    return entries, following


def _profile(stream: BinaryIO, entries: list[_Entry], order: str) -> bytes:
    """Return the ICC profile of a directory; b'' if it has none."""
    places = (entry for entry in entries if entry[0] == PROFILE and entry[2] <= _LONGEST_PROFILE)
    _, _, size, value = next(places, (PROFILE, 0, 0, b""))
    return _content(stream, value, size, order)


def _tags(stream: BinaryIO, entries: list[_Entry], at: int, order: str) -> Tags:
    """Return the tags of the directory at an offset, from its entries."""
    tags: Tags = {DIRECTORY: (at,)}
    for place, (tag, kind, number, value) in enumerate(entries):
        if tag in _READ and kind in _TYPES and 0 < number <= _MOST_VALUES:
            form = f"{order}{number}{_TYPES[kind]}"
            tags[tag] = struct.unpack(form, _content(stream, value, struct.calcsize(form), order))
            if tag == ORIENTATION:
                # An entry has 4 bytes, the number and the value; before the entries stands their own number.
                size, first = 4 + 2 * len(value), at + (8 if len(value) == 8 else 2)
                tags[_ORIENTATION_PLACE] = (first + size * (place + 1) - len(value), kind)
    return tags


def _content(stream: BinaryIO, value: bytes, size: int, order: str) -> bytes:
    """Return a tag's content: ``value``, the last field of its entry, or what lies at the file offset in that field."""
    if size <= len(value):
        return value[:size]
    stream.seek(struct.unpack(order + ("Q" if len(value) == 8 else "I"), value)[0])
    return stream.read(size)
