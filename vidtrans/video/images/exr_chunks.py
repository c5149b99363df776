"""Chunks of OpenEXR files: their check, and a layer as a file of its own, with channels that FFmpeg knows."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from vidtrans.core.errors import MediaError
from vidtrans.video.images.exr_header import MAGIC, MULTIPART, TILED, ExrLayer, Header, list_channels

_MOST_CHUNKS = 1 << 20
_ZIP_LINES = {2: 1, 3: 16}  # compressions that carry a checksum: lines a chunk


def with_channels(data: bytes, header: Header, layer: ExrLayer, names: dict[str, str]) -> bytes:
    """Return a layer's part as an OpenEXR file that FFmpeg reads whole.

    Its channels are renamed by ``names``, as FFmpeg ignores others, and its display window begins at 0, 0, because
    FFmpeg takes places in the picture for places in that window. Raises struct.error if that cannot be.
    """
    part = header.parts[layer.part]
    across, down = header.origin
    channels = enumerate(list_channels(part.listed))
    listed = b"".join(names.get(name, f"n{number}").encode() + rest for number, (name, rest) in channels) + b"\0"
    own = data[part.begin : part.at - 4] + struct.pack("<I", len(listed)) + listed
    own += data[part.at + len(part.listed) : part.end]
    for name in ("dataWindow", "displayWindow") if any(header.origin) else ():
        own = _moved(own, name, across, down)
    flags = header.flags & ~MULTIPART | TILED * part.is_tiled
    head = MAGIC + struct.pack("<I", flags) + own
    skipped = 4 if header.is_multipart else 0  # the number of the part
    chunks = [data[offset + skipped : end] for offset, _, end, number in _chunks(header, data) if number == layer.part]
    if down and not part.is_tiled:  # a chunk begins with the number of its first line
        chunks = [struct.pack("<i", struct.unpack_from("<i", chunk)[0] - down) + chunk[4:] for chunk in chunks]
    offsets, begin = [], len(head) + 8 * len(chunks)
    for chunk in chunks:
        offsets.append(struct.pack("<Q", begin))
        begin += len(chunk)
    return b"".join([head, *offsets, *chunks])


def _moved(attributes: bytes, name: str, across: int, down: int) -> bytes:
    """Return a part's attributes with the window ``name`` moved to the left and up."""
    key = name.encode() + b"\0box2i\0" + struct.pack("<i", 16)
    before, key, after = attributes.partition(key)
    left, top, right, bottom = struct.unpack_from("<4i", after)
    return before + key + struct.pack("<4i", left - across, top - down, right - across, bottom - down) + after[16:]


def check_chunks(header: Header, data: bytes, path: Path) -> None:
    """Raise MediaError where a chunk lies beyond the end of ``data``, the whole file, or its checksum fails.

    Files that are still being written, or were never finished, have chunks with offset 0. Only the compressions ZIP
    and ZIPS have checksums; damage inside other chunks is not detected.
    """
    has_checksums = header.compression in _ZIP_LINES and not header.is_multipart and not header.parts[0].is_tiled
    try:
        for offset, begin, end, _ in _chunks(header, data):
            if has_checksums:
                _check_zip(header, struct.unpack_from("<i", data, offset)[0], data[begin:end])
    except (ValueError, LookupError, struct.error, zlib.error):
        raise MediaError(str(path), "the file is cut short or damaged", "write it again, or delete it") from None


def _chunks(header: Header, data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield for each chunk its offset, begin and end of its pixels, and its part. Raises ValueError, LookupError."""
    for offset in _chunk_offsets(header, data):
        number = struct.unpack_from("<I", data, offset)[0] if header.is_multipart else 0
        # Before a chunk's size: the number of its part, and its tile or its line.
        at = offset + (4 if header.is_multipart else 0) + (16 if header.parts[number].is_tiled else 4)
        begin, end = at + 4, at + 4 + struct.unpack_from("<I", data, at)[0]
        if offset < header.end or end > len(data):
            raise ValueError("the file is cut short")
        yield offset, begin, end, number


def _chunk_offsets(header: Header, data: bytes) -> list[int]:
    """Return the offsets in the table of chunks; it ends where the first chunk begins. Raises ValueError."""
    offsets: list[int] = []
    first = len(data)
    lines = ((part.is_tiled, part.window[3] - part.window[1] + 1) for part in header.parts)
    most = sum(_MOST_CHUNKS if is_tiled else min(count, _MOST_CHUNKS) for is_tiled, count in lines)
    while (at := header.end + 8 * len(offsets)) < first:
        if len(offsets) >= min(most, _MOST_CHUNKS):
            raise ValueError("more chunks than lines")
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
