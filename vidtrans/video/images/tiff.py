"""Read the directories of TIFF files, including files whose samples Pillow cannot read."""

from __future__ import annotations

import io
import struct
from typing import BinaryIO

import numpy as np

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # First bytes of TIFF and BigTIFF files
# Numbers of the TIFF tags that are used.
SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT, PROFILE = (
    *(254, 256, 257, 258, 262, 274, 284, 338, 339, 34675),
)
# Tags whose values ``read_directories`` returns.
_TAGS_TO_READ = (SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, ORIENTATION, PLANES, EXTRA, FORMAT)
_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # Format characters of ``struct`` by TIFF's number of the type
# Pseudo tags, added by ``read_directories``: file offset and type of the orientation value; offset of the directory.
_ORIENTATION_OFFSET, DIRECTORY = -1, -2
NON_PAGE_FLAGS = 0b101  # Flags of SUBFILE: a reduced version of another picture, or a mask
# Most pictures, most values of a tag, longest profile.
_MAX_PICTURES, _MAX_VALUES, _MAX_PROFILE_BYTES = 100_000, 16, 1 << 24
_MAX_TAGS = 1 << 21  # Most tags in all pictures; forged directories may overlap, so the file's length is no limit

# An entry of a directory: tag, type, number of values, and the values or their file offset.
_Entry = tuple[int, int, int, bytes]

Tags = dict[int, tuple[int, ...]]  # Values of a directory by tag


def read_directories(stream: BinaryIO) -> tuple[list[Tags], bytes]:
    """Return the tags of each picture, in order, and the ICC profile of the first.

    Raises ValueError, struct.error where the file is damaged.
    """
    start = stream.read(16)
    order, is_big = "<" if start[:2] == b"II" else ">", start[2:4].strip(b"\0") == b"+"
    (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), start, 8 if is_big else 4)
    directories: list[Tags] = []
    profile = b""
    visited: set[int] = set()
    num_tags = 0
    while offset and offset not in visited and len(visited) < _MAX_PICTURES:
        visited.add(offset)
        entries, next_offset = _entries(stream, offset, order, is_big)
        num_tags += len(entries)
        if num_tags > _MAX_TAGS:
            raise ValueError("a TIFF of too many tags")
        profile = profile if directories else _profile(stream, entries, order)
        directories.append(_tags(stream, entries, offset, order))
        offset = next_offset
    if not directories or not directories[0].keys() >= {WIDTH, HEIGHT}:
        raise ValueError("a TIFF without pictures")
    return directories, profile


def clear_orientations(data: bytes) -> bytes:
    """Return the bytes of a TIFF file with the orientation tags of all its pictures set to upright."""
    patched, order = bytearray(data), "<" if data[:2] == b"II" else ">"
    for tags in read_directories(io.BytesIO(data))[0]:
        if _ORIENTATION_OFFSET in tags:
            offset, value_type = tags[_ORIENTATION_OFFSET]
            struct.pack_into(order + _TYPES[value_type], patched, offset, 1)
    return bytes(patched)


def set_first_directory(data: np.ndarray, directory: int) -> np.ndarray:
    """Make the directory at this offset the first of a TIFF file's bytes, (N,) uint8, in place; return them.

    Otherwise a decoder would walk, slowly, through all earlier pictures.
    """
    start = data[:16].tobytes()
    order, is_big = "<" if start[:2] == b"II" else ">", start[2:4].strip(b"\0") == b"+"
    offset, pointer_format = (8, "Q") if is_big else (4, "I")
    pointer = struct.pack(order + pointer_format, directory)
    data[offset : offset + len(pointer)] = np.frombuffer(pointer, np.uint8)
    return data


def _entries(stream: BinaryIO, offset: int, order: str, is_big: bool) -> tuple[list[_Entry], int]:
    """Return the entries of the directory at an offset, and the offset of the next directory.

    ``order``: the byte order as a format character of ``struct``. ``is_big``: the file is a BigTIFF.
    """
    wide = "Q" if is_big else "I"
    stream.seek(offset)
    (count,) = struct.unpack(order + ("Q" if is_big else "H"), stream.read(8 if is_big else 2))
    layout = struct.Struct(f"{order}HH{wide}{8 if is_big else 4}s")
    entries = [layout.unpack(stream.read(layout.size)) for _ in range(min(count, 4096))]
    (next_offset,) = struct.unpack(order + wide, stream.read(struct.calcsize(wide)))
    return entries, next_offset


def _profile(stream: BinaryIO, entries: list[_Entry], order: str) -> bytes:
    """Return the ICC profile of a directory; b'' if it has none."""
    profiles = (entry for entry in entries if entry[0] == PROFILE and entry[2] <= _MAX_PROFILE_BYTES)
    _, _, size, value = next(profiles, (PROFILE, 0, 0, b""))
    return _entry_content(stream, value, size, order)


def _tags(stream: BinaryIO, entries: list[_Entry], directory: int, order: str) -> Tags:
    """Return the tags of the directory at an offset, from its entries."""
    tags: Tags = {DIRECTORY: (directory,)}
    for i, (tag, value_type, number, value) in enumerate(entries):
        if tag in _TAGS_TO_READ and value_type in _TYPES and 0 < number <= _MAX_VALUES:
            layout = f"{order}{number}{_TYPES[value_type]}"
            tags[tag] = struct.unpack(layout, _entry_content(stream, value, struct.calcsize(layout), order))
            if tag == ORIENTATION:
                # A directory is the number of entries, then the entries: 4 bytes, number of values, value.
                size, first = 4 + 2 * len(value), directory + (8 if len(value) == 8 else 2)
                tags[_ORIENTATION_OFFSET] = (first + size * (i + 1) - len(value), value_type)
    return tags


def _entry_content(stream: BinaryIO, value: bytes, size: int, order: str) -> bytes:
    """Return the ``size`` bytes of an entry: its ``value`` field, or the bytes at the file offset in that field."""
    if size <= len(value):
        return value[:size]
    stream.seek(struct.unpack(order + ("Q" if len(value) == 8 else "I"), value)[0])
    return stream.read(size)
