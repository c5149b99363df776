"""The layout of OpenEXR files ("OpenEXR File Layout", openexr.com): sizes from the header, and whether all is there.

Not the OpenEXR wheel (3.5.3): its ``File`` prints damage on standard output, its ``InputFile`` crashes on such files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vidtrans.core.errors import MediaError
from vidtrans.video.frame_format import MAX_PIXELS

MAGIC = b"\x76\x2f\x31\x01"
_TILED, _MULTIPART = 0x200, 0x1000  # flags beside the version
_ZIP_LINES = {2: 1, 3: 16}  # compressions that carry a checksum: lines a chunk
_HALF, _OTHER = 2, 4  # bytes
_WANTED = ("channels", "compression", "dataWindow", "displayWindow")
_LONGEST_NAME = 255
_LONGEST_VALUE = 1 << 20


@dataclass(frozen=True)
class Header:
    """The attributes of an EXR file that matter here.

    ``window``: left, top, right, bottom of what is stored, the last two inclusive; ``width`` and ``height`` are those
    of the display window. ``channels``: bytes per pixel by name. ``end``: where the table of chunks begins, in bytes.
    """

    width: int
    height: int
    window: tuple[int, int, int, int]
    channels: dict[str, int]
    compression: int
    flags: int
    end: int


def read_header(path: Path) -> Header:
    """Read the header of the file's first part. Raises MediaError, also for pictures above MAX_PIXELS."""
    try:
        with path.open("rb") as stream:
            magic, flags = struct.unpack("<4sI", stream.read(8))
            found = dict(_attributes(stream))
            while flags & _MULTIPART and dict(_attributes(stream)):
                pass
            end = stream.tell()
        windows = [struct.unpack("<4i", found[name]) for name in ("dataWindow", "displayWindow")]
        sizes = [(right - left + 1, bottom - top + 1) for left, top, right, bottom in windows]
        channels = dict(_channels(found["channels"]))
        compression = found["compression"][0]
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    except (ValueError, LookupError, struct.error):
        raise unreadable(path) from None
    if magic != MAGIC or min(map(min, sizes)) < 1:
        raise unreadable(path)
    for width, height in sizes:
        if width * height > MAX_PIXELS:
            raise MediaError(str(path), f"the picture is too large ({width}x{height})", "make it smaller")
    if "Y" not in channels and not channels.keys() >= {"R", "G", "B"}:
        raise MediaError(str(path), "it has no channels R, G, B nor Y", "save the layer that is the picture by itself")
    return Header(width, height, windows[0], channels, compression, flags, end)


def check_chunks(header: Header, data: bytes, path: Path) -> None:
    """Raise MediaError where a chunk lies beyond the end of ``data``, the whole file, or fails its checksum.

    A file that is still being written, or was never finished, has chunks with an offset of 0. Only the compressions ZIP
    and ZIPS have checksums; damage inside of others is not detected.
    """
    # Before a chunk's size: its tile or its line, and the number of its part.
    before_size = (16 if header.flags & _TILED else 4) + (4 if header.flags & _MULTIPART else 0)
    has_checksums = header.compression in _ZIP_LINES and not header.flags & (_TILED | _MULTIPART)
    try:
        for offset in _chunk_offsets(header.end, data):
            (size,) = struct.unpack_from("<I", data, offset + before_size)
            begin = offset + before_size + 4
            if offset < header.end or begin + size > len(data):
                raise ValueError("the file is cut short")
            if has_checksums:
                _check_zip(header, struct.unpack_from("<i", data, offset)[0], data[begin : begin + size])
    except (ValueError, struct.error, zlib.error):
        raise MediaError(str(path), "the file is cut short or damaged", "write it again, or delete it") from None


def _chunk_offsets(begin: int, data: bytes) -> list[int]:
    """Return the table of chunks, which ends where the first of them begins. Raises ValueError."""
    offsets: list[int] = []
    first = len(data)
    while (at := begin + 8 * len(offsets)) < first:
        (offset,) = struct.unpack_from("<Q", data, at)
        if offset > len(data):
            raise ValueError("the file is cut short")
        offsets.append(offset)
        first = min(first, offset)
    if not offsets:
        raise ValueError("no chunks")
    return offsets


def _check_zip(header: Header, line: int, chunk: bytes) -> None:
    left, _, right, bottom = header.window
    lines = min(_ZIP_LINES[header.compression], bottom - line + 1)
    expected = max(0, lines) * (right - left + 1) * sum(header.channels.values())
    if len(chunk) == expected:  # it would not have become smaller, and is stored as it is
        return
    inflate = zlib.decompressobj()
    if len(inflate.decompress(chunk, expected + 1)) != expected or not inflate.eof:
        raise ValueError("a damaged chunk")


def _attributes(stream: BinaryIO) -> Iterator[tuple[str, bytes]]:
    """Yield a header's attributes by name, with the values of _WANTED; previews and manifests can be large."""
    while name := _text(stream):
        _text(stream)  # its type
        (size,) = struct.unpack("<I", stream.read(4))
        if name in _WANTED and size <= _LONGEST_VALUE:
            yield name, stream.read(size)
        else:
            stream.seek(size, 1)
            yield name, b""


def _text(stream: BinaryIO) -> str:
    """Read text up to its closing zero."""
    text = bytearray()
    while (byte := stream.read(1)) != b"\0":
        if not byte or len(text) > _LONGEST_NAME:
            raise ValueError("the header is cut or damaged")
        text += byte
    return text.decode("latin-1")


def _channels(value: bytes) -> Iterator[tuple[str, int]]:
    """Yield (name, bytes per pixel) of a header's list of channels. An entry: name, zero, type, flags, sampling."""
    while (end := value.index(b"\0")) > 0:
        (kind,) = struct.unpack_from("<i", value, end + 1)
        yield value[:end].decode("latin-1"), _HALF if kind == 1 else _OTHER
        value = value[end + 17 :]


def unreadable(path: Path) -> MediaError:
    """Return the error of a file that is no picture."""
    return MediaError(str(path), "not a picture that can be read", "delete or replace it")
