"""Read and write OpenEXR pictures: scene light in half floats, as compositing programs use it.

Policy. Light is linear with BT.709 primaries (OpenEXR's own default; chromaticities in a file are ignored), and is
converted to and from our codes by the sRGB curve (IEC 61966-2-1): code 1.0 is light 1.0, brighter light is clipped. As
OpenEXR prescribes, colours in a file are premultiplied by alpha; ours are straight. Fully transparent pixels therefore
lose their colour in a file. Alpha is coverage, linear in the file and in our arrays.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.srgb import code_of_light, light_of_codes
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS

_MOST = 65504.0  # of a half; stands for infinity until it is clipped
_STRIP = 64  # lines at a time: what is between the file and the picture stays small
# FFmpeg's planes, as R, G, B, A. Its layout of grey with alpha has both in one plane.
_PLANES = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "gray": (0, 0, 0)}


def encode_exr(picture: np.ndarray) -> bytes:
    """Return a picture as an OpenEXR file in half floats, ZIP-compressed; equal pictures give equal bytes.

    ``picture``: (H, W, 3) or (H, W, 4) uint8 or uint16 display codes, straight alpha.
    """
    light = light_of_codes(picture.dtype.name)[picture[..., :3]]
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / np.float32(np.iinfo(picture.dtype).max)
        light = np.concatenate([light * alpha, alpha], axis=2)
    light = light.astype(np.float16).astype(np.float32)  # rounded, where the encoder would truncate
    pix_fmt = "gbrapf32le" if picture.shape[2] == 4 else "gbrpf32le"
    context = av.CodecContext.create("exr", "w")
    context.height, context.width, context.pix_fmt = *picture.shape[:2], pix_fmt
    context.time_base = Fraction(1, 25)
    context.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(light), format=pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def read_exr(path: Path) -> np.ndarray:
    """Read display codes, (H, W, 3) or (H, W, 4) uint16, straight alpha; grey becomes RGB. Raises MediaError.

    Light above 1 and infinity become the highest code; light below 0 and NaN become 0. Pictures with too many pixels
    are refused before decoding, and so are truncated or damaged files, which FFmpeg would read in part.
    """
    try:
        header = read_header(path)
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise MediaError(str(path), "the file is too large for a picture", "make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    check_chunks(header, data, path)
    planes = _planes(_decoded(data, path), path)
    height, width = planes[0].shape
    picture = np.empty((height, width, len(planes)), np.uint16)
    for top in range(0, height, _STRIP):
        light = np.stack([plane[top : top + _STRIP] for plane in planes], axis=2).astype(np.float32)
        picture[top : top + _STRIP] = _codes(light)
    return picture


def _decoded(data: bytes, path: Path) -> av.VideoFrame:
    context = av.CodecContext.create("exr", "r")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError, MemoryError):
        raise unreadable(path) from None
    if not frames:
        raise unreadable(path)
    return frames[0]


def _planes(frame: av.VideoFrame, path: Path) -> list[np.ndarray]:
    """Return the planes R, G, B and, if present, alpha, each (H, W) float16 or float32."""
    name = frame.format.name
    if not name.endswith(("f16le", "f32le")):
        raise MediaError(str(path), f"it holds whole numbers ({name}), not light", "save it with half floats")
    kind: np.dtype[Any] = np.dtype(np.float16 if name.endswith("f16le") else np.float32)
    lines = [np.frombuffer(memoryview(p), kind).reshape(p.height, -1) for p in frame.planes]
    if name.startswith("yaf"):
        grey, alpha = lines[0][:, : 2 * frame.width : 2], lines[0][:, 1 : 2 * frame.width : 2]
        return [grey, grey, grey, alpha]
    return [lines[i][:, : frame.width] for i in _PLANES[name[: name.rindex("f")]]]


def _codes(light: np.ndarray) -> np.ndarray:
    """Convert light (H, W, 3 or 4) float32, premultiplied as in the file, to uint16 codes with straight alpha."""
    light = np.nan_to_num(light, nan=0.0, posinf=_MOST, neginf=0.0)
    if light.shape[2] == 4:
        alpha = np.clip(light[..., 3:], 0, 1)
        # Light without coverage keeps its colour.
        with np.errstate(over="ignore"):  # infinity is clipped below
            light = np.concatenate([light[..., :3] / np.where(alpha > 0, alpha, 1), alpha], axis=2)
    light = np.clip(light, 0, 1)
    light[..., :3] = code_of_light(light[..., :3])
    return np.rint(light * np.float32(65535)).astype(np.uint16)


MAGIC = b"\x76\x2f\x31\x01"
_TILED, _MULTIPART = 0x200, 0x1000  # flags beside the version
_ZIP_LINES = {2: 1, 3: 16}  # compressions that carry a checksum: lines a chunk
_HALF, _OTHER = 2, 4  # bytes
_WANTED = ("channels", "compression", "dataWindow", "displayWindow")
_LONGEST_NAME = 255
_LONGEST_VALUE = 1 << 20


@dataclass(frozen=True)
class Header:
    """The attributes of an EXR file that vidtrans uses.

    ``window``: left, top, right, bottom of the stored pixels, the last two inclusive; ``width`` and ``height``: of the
    display window. ``channels``: bytes per pixel by name. ``end``: the offset of the table of chunks, in bytes.
    """

    width: int
    height: int
    window: tuple[int, int, int, int]
    channels: dict[str, int]
    compression: int
    flags: int
    end: int


def read_header(path: Path) -> Header:
    """Read the header of the first part of a file. Raises MediaError, also for pictures above MAX_PIXELS."""
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
        raise MediaError(str(path), "it has no channels R, G, B nor Y", "save the picture's layer as a file of its own")
    return Header(width, height, windows[0], channels, compression, flags, end)


def check_chunks(header: Header, data: bytes, path: Path) -> None:
    """Raise MediaError where a chunk lies beyond the end of ``data``, the whole file, or its checksum fails.

    Files that are still being written, or were never finished, have chunks with offset 0. Only the compressions ZIP
    and ZIPS have checksums; damage inside other chunks is not detected.
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
    """Return the offsets in the table of chunks, which ends where the first chunk begins. Raises ValueError."""
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
    """Yield (name, value) of a header's attributes; values outside _WANTED are skipped, as previews can be large."""
    while name := _text(stream):
        _text(stream)  # its type
        (size,) = struct.unpack("<I", stream.read(4))
        if name in _WANTED and size <= _LONGEST_VALUE:
            yield name, stream.read(size)
        else:
            stream.seek(size, 1)
            yield name, b""


def _text(stream: BinaryIO) -> str:
    """Read text up to its terminating zero byte."""
    text = bytearray()
    while (byte := stream.read(1)) != b"\0":
        if not byte or len(text) > _LONGEST_NAME:
            raise ValueError("the header is cut or damaged")
        text += byte
    return text.decode("latin-1")


def _channels(value: bytes) -> Iterator[tuple[str, int]]:
    """Yield (name, bytes per pixel) from the channel list of a header: name, zero, type, flags, sampling."""
    while (end := value.index(b"\0")) > 0:
        (kind,) = struct.unpack_from("<i", value, end + 1)
        yield value[:end].decode("latin-1"), _HALF if kind == 1 else _OTHER
        value = value[end + 17 :]


def unreadable(path: Path) -> MediaError:
    """Return the error for a file that is not a readable picture."""
    return MediaError(str(path), "not a picture that can be read", "delete or replace it")
