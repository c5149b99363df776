"""The directories of TIFF files, also of those whose samples Pillow cannot read."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT, PROFILE = (
    *(254, 256, 257, 258, 262, 274, 284, 338, 339, 34675),
)
_READ = (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT)
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_ORIENTATION_PLACE = -1  # where its value lies in the file, and its type
IS_NO_PAGE = 0b101  # in SUBFILE: a reduced version of another picture, or a mask
_MOST_PICTURES, _MOST_VALUES, _LONGEST_PROFILE = 100_000, 16, 1 << 24

Tags = dict[int, tuple[int, ...]]


def read_directories(stream: BinaryIO) -> tuple[list[Tags], bytes]:
    """Return the tags of each picture, in order, and the ICC profile of the first.

    Raises ValueError, struct.error where the file is damaged.
    """
    start = stream.read(16)
    order, is_big = "<" if start[:2] == b"II" else ">", start[2:4].strip(b"\0") == b"+"
    (at,) = struct.unpack_from(order + ("Q" if is_big else "I"), start, 8 if is_big else 4)
    found: list[Tags] = []
    first_profile = b""
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_PICTURES:
        seen.add(at)
        tags, profile, at = _directory(stream, at, order, is_big)
        first_profile = profile if not found else first_profile
        found.append(tags)
    if not found or not found[0].keys() >= {WIDTH, HEIGHT}:
        raise ValueError("a TIFF without pictures")
    return found, first_profile


def without_orientation(data: bytes) -> bytes:
    """Return the bytes of a TIFF file with the orientation tags of all its pictures set to upright."""
    patched, order = bytearray(data), "<" if data[:2] == b"II" else ">"
    for tags in read_directories(io.BytesIO(data))[0]:
        if _ORIENTATION_PLACE in tags:
            place, kind = tags[_ORIENTATION_PLACE]
            struct.pack_into(order + _TYPES[kind], patched, place, 1)
    return bytes(patched)


def _directory(stream: BinaryIO, at: int, order: str, is_big: bool) -> tuple[Tags, bytes, int]:
    """Return the tags of the directory at an offset, its ICC profile, and the offset of the next one."""
    wide = "Q" if is_big else "I"
    stream.seek(at)
    (count,) = struct.unpack(order + ("Q" if is_big else "H"), stream.read(8 if is_big else 2))
    layout = struct.Struct(f"{order}HH{wide}{8 if is_big else 4}s")
    entries = [layout.unpack(stream.read(layout.size)) for _ in range(min(count, 4096))]
    (following,) = struct.unpack(order + wide, stream.read(struct.calcsize(wide)))
    tags: Tags = {}
    profile = b""
    for place, (tag, kind, number, value) in enumerate(entries):
        if tag == PROFILE and number <= _LONGEST_PROFILE:
            profile = _content(stream, value, number, order + wide)
        elif tag in _READ and kind in _TYPES and 0 < number <= _MOST_VALUES:
            form = f"{order}{number}{_TYPES[kind]}"
            tags[tag] = struct.unpack(form, _content(stream, value, struct.calcsize(form), order + wide))
            if tag == ORIENTATION:
                first = at + (8 if is_big else 2) + layout.size * place
                tags[_ORIENTATION_PLACE] = (first + layout.size - len(value), kind)
    return tags, profile, following


def _content(stream: BinaryIO, value: bytes, size: int, offset: str) -> bytes:
    """Return a tag's content: ``value``, the last field of its entry, or what lies at the file offset in that field."""
    if size <= len(value):
        return value[:size]
    stream.seek(struct.unpack(offset, value)[0])
    return stream.read(size)
