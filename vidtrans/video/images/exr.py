"""Read and write OpenEXR pictures, their layers and headers: linear scene light in half floats.

Policy. Light is linear, with BT.709 primaries unless the file names others, and is converted to and from code values by
the sRGB curve (IEC 61966-2-1): code 1.0 is light 1.0, brighter light is clipped. As OpenEXR prescribes, colours in a
file are premultiplied by alpha; in arrays they are straight. Fully transparent pixels therefore lose their colour in a
file. Alpha is coverage, linear in the file and in arrays. Light without coverage, such as a flame or a glow with alpha
0, has no straight colour: its alpha becomes its brightness, so that its light in a file is the same. Layers that are no
picture (depth, normals, vectors) are data: a range of values, one for the whole clip, is mapped to the codes from black
to white, without a curve.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.tags import (
    ACES_AP0,
    ACES_AP1,
    ADOBE_RGB,
    BT709_PRIMARIES,
    PRIMARIES,
    Primaries,
    code_of_light,
    light_of_codes,
)
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS
from vidtrans.video.images.still import (
    INVALID_VALUES_NOTE,
    MAX_VALID_VALUE,
    PICTURE,
    SPAN_REMEDY,
    PictureView,
    Still,
    default_span,
    fill_specks,
)

MAGIC = b"\x76\x2f\x31\x01"  # First four bytes of an OpenEXR file
_HEADER_OFFSET = 8  # Bytes before the first header of a file
TILED, LONG_NAMES, _DEEP, MULTIPART = 0x200, 0x400, 0x800, 0x1000  # Flags in the version field of a file
DWA = (8, 9)  # Numbers of the DWA compressions, which depend on the names of channels
CRYPTOMATTE = "CryptoObject"  # Name of the Cryptomatte of mattes
MAX_UINT32 = 0xFFFFFFFF
MAX_SHORT_NAME_BYTES = 31  # Longest name of a channel in a file without the flag ``LONG_NAMES``
_HALF_BYTES, _OTHER_BYTES = 2, 4  # Bytes per sample of half floats, and of floats and integers
_SPACES = ("colorInteropID", "oiio:ColorSpace")  # Names of attributes that state a colour space
# Names of the attributes whose values are read.
_ATTRIBUTE_NAMES = ("channels", "compression", "dataWindow", "displayWindow", "name", "chromaticities", *_SPACES)
_MAX_NAME_BYTES = 255  # Longest name of an attribute or a type
_MAX_VALUE_BYTES = 1 << 20  # Longest value of an attribute that is read
_MAX_ATTRIBUTES, _MAX_PARTS = 4096, 1024  # Most attributes per part, and parts per file
_MAX_CHANNEL_LIST_BYTES = 1 << 19  # Largest total length of the channel lists of all parts
_MAX_LISTED_LAYERS = 12  # Most layers named in a message
# Primaries of linear colour spaces, by the names that other programs write instead of chromaticities.
_LINEAR = {"ap0": ACES_AP0, "ap1": ACES_AP1, "rec2020": PRIMARIES[9], "p3d65": PRIMARIES[12], "adobergb": ADOBE_RGB}
# Primaries by all recognised names of linear colour spaces.
_NAMED = {"acescg": ACES_AP1, "aces2065-1": ACES_AP0} | {f"lin_{name}": own for name, own in _LINEAR.items()}
_MAX_CHUNKS = 1 << 20  # Most chunks in a file
_ZIP_LINES = {2: 1, 3: 16}  # Lines per chunk, by the number of each compression with a checksum: ZIPS, ZIP
_HALF_MAX = 65504.0  # Highest half float, which replaces infinite light until it is clipped
_GLOW_RATIO = 8.0  # Ratio of premultiplied light to alpha above which a pixel is a glow, not a bright surface
_STRIP = 64  # Lines converted at a time, which limits the memory of intermediate arrays
# FFmpeg's format of grey with alpha is absent, as it has both in one plane.
# Indices of the planes R, G, B and A in FFmpeg's pixel formats.
_PLANES = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "gray": (0, 0, 0)}


@dataclass(frozen=True)
class ExrLayer:
    """A layer of an EXR file. ``channels``: their names in the file, in the order R, G, B, A, or X, Y, Z.

    ``is_light``: whether it is a picture rather than data. ``name``: '' for a picture without a name. ``part``: the
    number of the part that contains it.
    """

    name: str
    part: int
    channels: tuple[str, ...]
    is_light: bool

    @property
    def is_plain(self) -> bool:
        """Whether the layer is the first part's picture, and its channels have no layer name: R, G, B."""
        return self.is_light and self.part == 0 and "." not in self.channels[0]


@dataclass(frozen=True)
class ExrPart:
    """A part of an OpenEXR file, with its own header and channels; most files have one part.

    ``channels``: bytes per sample, by name. ``channel_list``: the list of channels as stored. ``list_offset``,
    ``begin`` and ``end``: file offsets of that list, and of the part's header. ``window``: as in ExrHeader.
    """

    name: str
    channels: dict[str, int]
    list_offset: int
    channel_list: bytes = field(repr=False)
    begin: int
    end: int
    is_tiled: bool
    window: tuple[int, int, int, int]
    primaries: Primaries = BT709_PRIMARIES


@dataclass(frozen=True)
class ExrHeader:
    """The attributes of an EXR file that vidtrans uses.

    ``window``: left, top, right, bottom of the stored pixels, the last two inclusive; ``width``, ``height`` and
    ``origin`` (left, top): of the display window. ``end``: the offset of the table of chunks, in bytes.
    """

    width: int
    height: int
    origin: tuple[int, int]
    window: tuple[int, int, int, int]
    parts: tuple[ExrPart, ...]
    compression: int
    flags: int
    end: int

    @property
    def is_multipart(self) -> bool:
        """Whether the file has the multi-part format, which also allows a single part."""
        return bool(self.flags & MULTIPART)

    @property
    def channels(self) -> dict[str, int]:
        """The channels of the first part: bytes per sample, by name."""
        return self.parts[0].channels

    def layers(self) -> list[ExrLayer]:
        """Return the layers of all parts, layers of light (pictures) before layers of data."""
        found = [layer for number, part in enumerate(self.parts) for layer in _layers(part, number, len(self.parts))]
        return sorted(found, key=lambda layer: not layer.is_light)


def read_header(path: Path) -> ExrHeader:
    """Read the header of an OpenEXR file. Raises MediaError, also for pictures of more than MAX_PIXELS."""
    try:
        with path.open("rb") as stream:
            magic, flags = struct.unpack("<4sI", stream.read(8))
            headers, ends = [_read_attributes(stream)], [_HEADER_OFFSET, stream.tell()]
            while flags & MULTIPART and (more := _read_attributes(stream)):
                headers.append(more)
                ends.append(stream.tell())
                if len(headers) > _MAX_PARTS:
                    raise ValueError("too many parts")
            end = stream.tell()
        if sum(len(found["channels"][1]) for found in headers) > _MAX_CHANNEL_LIST_BYTES:
            raise ValueError("too many channels")
        first = {name: value for name, (_, value) in headers[0].items()}
        windows = [struct.unpack("<4i", first[name]) for name in ("dataWindow", "displayWindow")]
        sizes = [(right - left + 1, bottom - top + 1) for left, top, right, bottom in windows]
        parts = tuple(
            _part(*each, tiled=bool(flags & TILED)) for each in zip(headers, ends[:-1], ends[1:], strict=True)
        )
        compression = first["compression"][0]
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    except (ValueError, LookupError, struct.error):
        raise unreadable_error(path) from None
    if magic != MAGIC or min(map(min, sizes)) < 1:
        raise unreadable_error(path)
    for width, height in sizes:
        if width * height > MAX_PIXELS:
            raise MediaError(str(path), f"the picture is too large ({width}x{height})", "make it smaller")
    if flags & _DEEP:
        raise MediaError(str(path), "it has deep samples, several for a pixel", "flatten it")
    return ExrHeader(*sizes[1], windows[1][:2], windows[0], parts, compression, flags, end)


def choose_layer(header: ExrHeader, name: str, path: Path) -> ExrLayer:
    """Return the layer with this name; for '' the layer that is the picture. Raises MediaError where there is none.

    ``name`` may be the end of a layer's name ("Depth" for "ViewLayer.Depth"), or a layer's only channel ("Depth.Z").
    """
    layers = header.layers()
    names = join_names([layer.name or "R, G, B" for layer in layers])
    if not name:
        pictures = [layer for layer in layers if layer.is_light]
        combined = [p for p in pictures if p.is_plain or p.name.lower().endswith(("combined", "rgba", "beauty"))]
        data = [layer for layer in layers if layer.channels[0].rpartition(".")[2] not in "Aa"]
        candidates = combined or (pictures if len(pictures) == 1 else [] if pictures else data)
        if combined or len(candidates) == 1:
            return candidates[0]
        remedy = f"name one behind a #: {path.parent.name or path.name}#{layers[0].name}" if layers else "save R, G, B"
        raise MediaError(str(path), f"it has the layers {names}: none of them is the picture", remedy)
    exact = [layer for layer in layers if name in (layer.name, *layer.channels[: len(layer.channels) == 1])]
    if matches := exact or [layer for layer in layers if _name_ends_with(layer, name)]:
        return matches[0]
    raise MediaError(str(path), f"no layer '{name}' in it", f"it has {names}")


def join_names(names: Sequence[str]) -> str:
    """Return the first ``names`` as text, with an ellipsis if there are more."""
    return ", ".join(names[:_MAX_LISTED_LAYERS]) + (" …" if len(names) > _MAX_LISTED_LAYERS else "")


def _name_ends_with(layer: ExrLayer, end: str) -> bool:
    """Return whether a layer's name, or that of its only channel, ends with ``end``, ignoring upper and lower case."""
    names = [layer.name, *(layer.channels if len(layer.channels) == 1 else ())]
    return any(f".{name.lower()}".endswith(f".{end.lower()}") for name in names if name)


def _part(attributes: dict[str, tuple[int, bytes]], begin: int, end: int, *, tiled: bool) -> ExrPart:
    """Return a part from its ``attributes``, (offset, value) by name; ``begin`` and ``end``: offsets of its header."""
    list_offset, channel_list = attributes["channels"]
    channels = {
        name: _HALF_BYTES if struct.unpack_from("<i", rest, 1)[0] == 1 else _OTHER_BYTES
        for name, rest in list_channels(channel_list)
    }
    name = attributes["name"][1].decode("latin-1") if "name" in attributes else ""
    primaries = _primaries({key: value for key, (_, value) in attributes.items()})
    window = struct.unpack("<4i", attributes["dataWindow"][1])
    is_tiled = tiled or "tiles" in attributes
    return ExrPart(name, channels, list_offset, channel_list, begin, end, is_tiled, window, primaries)


def _primaries(attributes: dict[str, bytes]) -> Primaries:
    """Return the primaries of a part, from its attributes. Raises ValueError where the chromaticities are invalid."""
    if value := attributes.get("chromaticities"):
        numbers = struct.unpack("<8f", value)
        red, green, blue, white = zip(numbers[::2], numbers[1::2], strict=True)
        stated = Primaries("other primaries", red, green, blue, white)
        named = (*PRIMARIES.values(), ADOBE_RGB, ACES_AP0, ACES_AP1)
        return next((primaries for primaries in named if primaries.is_like(stated)), stated)
    names = (attributes.get(key, b"").decode("latin-1").lower().removesuffix("_scene") for key in _SPACES)
    return next((_NAMED[name] for name in names if name in _NAMED), BT709_PRIMARIES)


def _layers(part: ExrPart, number: int, count: int) -> Iterator[ExrLayer]:
    """Yield the layers of a part: its channels grouped by the name before the last dot; ``number``: the part's number.

    Within a group, RGB, XYZ, UV or Y form a layer; any other channel is a layer of one channel. ``count``: number of
    parts.
    """
    groups: dict[str, dict[str, str]] = {}
    for channel in part.channels:
        prefix, _, last = channel.rpartition(".")
        groups.setdefault(prefix, {})[last.upper()] = channel
    for prefix, group in groups.items():
        name = prefix or (part.name if count > 1 else "")
        remaining = dict(group)
        for roles, is_light in (("RGB", True), ("XYZ", False), ("UV", False), ("Y", True)):
            if remaining.keys() >= set(roles):
                used = roles + "A" if is_light and "A" in remaining else roles
                yield ExrLayer(name, number, tuple(remaining.pop(role) for role in used), is_light)
                break
        for last, channel in remaining.items():
            is_only_channel = len(group) == 1 and name
            if last != "W":  # The homogeneous component of vectors is not used
                yield ExrLayer(name if is_only_channel else channel, number, (channel,), is_light=False)


def _read_attributes(stream: BinaryIO) -> dict[str, tuple[int, bytes]]:
    """Return (offset, value) of a header's attributes by name; the value is b'' unless in _ATTRIBUTE_NAMES.

    Raises ValueError where there are too many.
    """
    found: dict[str, tuple[int, bytes]] = {}
    count = 0
    while name := _read_text(stream):
        count += 1
        if count > _MAX_ATTRIBUTES:
            raise ValueError("too many attributes")
        _read_text(stream)  # Skip the type
        (size,) = struct.unpack("<I", stream.read(4))
        at = stream.tell()
        if name in _ATTRIBUTE_NAMES and size <= _MAX_VALUE_BYTES:
            found[name] = (at, stream.read(size))
        else:
            stream.seek(size, 1)
            found[name] = (at, b"")
    return found


def _read_text(stream: BinaryIO) -> str:
    """Read text from a header up to its terminating zero byte. Raises ValueError if it is too long."""
    text = bytearray()
    while (byte := stream.read(1)) != b"\0":
        if not byte or len(text) > _MAX_NAME_BYTES:
            raise ValueError("the header is cut or damaged")
        text += byte
    return text.decode("latin-1")


def list_channels(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, rest of the entry) from a channel list; an entry is a name, a zero byte, type, flags and sampling.

    The rest begins with the zero byte.
    """
    at = 0
    while (end := value.index(b"\0", at)) > at:
        yield value[at:end].decode("latin-1"), value[end : end + 17]
        at = end + 17


def unreadable_error(path: Path) -> MediaError:
    """Return the MediaError for a file that is not a readable picture."""
    return MediaError(str(path), "not a picture that can be read", "delete or replace it")


def extract_layer(data: bytes, header: ExrHeader, layer: ExrLayer, names: dict[str, str]) -> bytes:
    """Return the part that contains a layer as an OpenEXR file that FFmpeg can read completely.

    ``names``: FFmpeg's names of the layer's channels, by their names in the file; FFmpeg ignores channels with other
    names. The display window is moved to begin at 0, 0, because FFmpeg takes coordinates of the picture for
    coordinates in that window. Raises struct.error if that is impossible.
    """
    part = header.parts[layer.part]
    origin_x, origin_y = header.origin
    channels = enumerate(list_channels(part.channel_list))
    channel_list = b"".join(names.get(name, f"n{number}").encode() + rest for number, (name, rest) in channels) + b"\0"
    attributes = data[part.begin : part.list_offset - 4] + struct.pack("<I", len(channel_list)) + channel_list
    attributes += data[part.list_offset + len(part.channel_list) : part.end]
    for name in ("dataWindow", "displayWindow") if any(header.origin) else ():
        attributes = _move_window(attributes, name, -origin_x, -origin_y)
    flags = header.flags & ~MULTIPART | TILED * part.is_tiled
    head = MAGIC + struct.pack("<I", flags) + attributes
    skipped = 4 if header.is_multipart else 0  # The part number at the start of a chunk
    chunks = [data[offset + skipped : end] for offset, _, end, number in _chunks(header, data) if number == layer.part]
    if origin_y and not part.is_tiled:  # A chunk begins with the number of its first line
        chunks = [struct.pack("<i", struct.unpack_from("<i", chunk)[0] - origin_y) + chunk[4:] for chunk in chunks]
    offsets, begin = [], len(head) + 8 * len(chunks)
    for chunk in chunks:
        offsets.append(struct.pack("<Q", begin))
        begin += len(chunk)
    return b"".join([head, *offsets, *chunks])


def _move_window(attributes: bytes, name: str, dx: int, dy: int) -> bytes:
    """Return a part's attributes with the window ``name`` moved ``dx`` pixels to the right and ``dy`` down."""
    key = name.encode() + b"\0box2i\0" + struct.pack("<i", 16)
    before, key, after = attributes.partition(key)
    left, top, right, bottom = struct.unpack_from("<4i", after)
    return before + key + struct.pack("<4i", left + dx, top + dy, right + dx, bottom + dy) + after[16:]


def check_chunks(header: ExrHeader, data: bytes, path: Path) -> None:
    """Raise MediaError if a chunk ends beyond the end of ``data``, the whole file, or its checksum is wrong.

    In incomplete files, chunks have the offset 0. Only the compressions ZIP and ZIPS have checksums; damage inside
    other chunks is not detected.
    """
    has_checksums = header.compression in _ZIP_LINES and not header.is_multipart and not header.parts[0].is_tiled
    try:
        for offset, begin, end, _ in _chunks(header, data):
            if has_checksums:
                _check_zip_chunk(header, struct.unpack_from("<i", data, offset)[0], data[begin:end])
    except (ValueError, LookupError, struct.error, zlib.error):
        raise MediaError(str(path), "the file is cut short or damaged", "write it again, or delete it") from None


def _chunks(header: ExrHeader, data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield for each chunk its offset, the begin and end of its pixels, and its part's number.

    Raises ValueError, LookupError.
    """
    for offset in _chunk_offsets(header, data):
        number = struct.unpack_from("<I", data, offset)[0] if header.is_multipart else 0
        # A chunk begins with the number of its part, if there are several, with its tile or line, and with its size.
        at = offset + (4 if header.is_multipart else 0) + (16 if header.parts[number].is_tiled else 4)
        begin, end = at + 4, at + 4 + struct.unpack_from("<I", data, at)[0]
        if offset < header.end or end > len(data):
            raise ValueError("the file is cut short")
        yield offset, begin, end, number


def _chunk_offsets(header: ExrHeader, data: bytes) -> list[int]:
    """Return the offsets in the table of chunks, which ends where the first chunk begins. Raises ValueError."""
    offsets: list[int] = []
    first_chunk = len(data)
    lines = ((part.is_tiled, part.window[3] - part.window[1] + 1) for part in header.parts)
    max_chunks = sum(_MAX_CHUNKS if is_tiled else min(count, _MAX_CHUNKS) for is_tiled, count in lines)
    while (at := header.end + 8 * len(offsets)) < first_chunk:
        if len(offsets) >= min(max_chunks, _MAX_CHUNKS):
            raise ValueError("more chunks than lines")
        (offset,) = struct.unpack_from("<Q", data, at)
        if offset > len(data):
            raise ValueError("the file is cut short")
        offsets.append(offset)
        first_chunk = min(first_chunk, offset)
    if not offsets:
        raise ValueError("no chunks")
    return offsets


def _check_zip_chunk(header: ExrHeader, line: int, chunk: bytes) -> None:
    """Check the size and checksum of a ZIP chunk, whose first line of the picture is ``line``.

    Raises ValueError or zlib.error if the chunk is damaged.
    """
    left, _, right, bottom = header.window
    lines = min(_ZIP_LINES[header.compression], bottom - line + 1)
    expected = max(0, lines) * (right - left + 1) * sum(header.channels.values())
    if len(chunk) == expected:  # Stored uncompressed, as compression did not make it smaller
        return
    inflate = zlib.decompressobj()
    if len(inflate.decompress(chunk, expected + 1)) != expected or not inflate.eof:
        raise ValueError("a damaged chunk")


def encode_exr(picture: np.ndarray) -> bytes:
    """Encode a picture as OpenEXR in half floats, ZIP-compressed; equal pictures give equal bytes.

    ``picture``: (H, W, 3) or (H, W, 4) uint8 or uint16 code values, straight alpha.
    """
    light = light_of_codes(picture.dtype.name)[picture[..., :3]]
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / np.float32(np.iinfo(picture.dtype).max)
        light = np.concatenate([light * alpha, alpha], axis=2)
    light = light.astype(np.float16).astype(np.float32)  # Rounds; the encoder would truncate
    pix_fmt = "gbrapf32le" if picture.shape[2] == 4 else "gbrpf32le"
    context = av.CodecContext.create("exr", "w")
    context.height, context.width, context.pix_fmt = *picture.shape[:2], pix_fmt
    context.time_base = Fraction(1, 25)
    context.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(light), format=pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def encode_mattes(mattes: Mapping[str, np.ndarray]) -> bytes:
    """Encode mattes, (H, W) float32 from 0 to 1, as the layers of one OpenEXR file; equal mattes give equal bytes.

    A matte is the channel ``NAME.A``, in half floats; all are also one Cryptomatte, from which compositors choose by
    name. Each line is compressed by ZIP. FFmpeg's encoder has no channels but those of a picture.
    """
    planes = {f"{name}.A": matte.astype("<f2") for name, matte in mattes.items()} | _cryptomatte(mattes)
    names = sorted(planes)
    height, width = planes[names[0]].shape
    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<iiii", 1 if planes[name].dtype == "<f2" else 2, 0, 1, 1) for name in names
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    ids = {name: f"{_cryptomatte_id(name):08x}" for name in sorted(mattes)}
    texts = {
        "name": CRYPTOMATTE,
        "hash": "MurmurHash3_32",
        "conversion": "uint32_to_float32",
        "manifest": json.dumps(ids, separators=(",", ":")),
    }
    key = f"cryptomatte/{_cryptomatte_id(CRYPTOMATTE):08x}"[:-1]
    attributes = (
        ("channels", "chlist", channels + b"\0"),
        ("compression", "compression", b"\x02"),  # ZIPS: a line in each chunk
        *((f"{key}/{name}", "string", text.encode()) for name, text in sorted(texts.items())),
        ("dataWindow", "box2i", window),
        ("displayWindow", "box2i", window),
        ("lineOrder", "lineOrder", b"\0"),
        ("pixelAspectRatio", "float", struct.pack("<f", 1)),
        ("screenWindowCenter", "v2f", bytes(8)),
        ("screenWindowWidth", "float", struct.pack("<f", 1)),
    )
    has_long_names = max(len(name.encode()) for name in names) > MAX_SHORT_NAME_BYTES
    head = MAGIC + struct.pack("<I", 2 | (LONG_NAMES if has_long_names else 0))
    for name, kind, value in attributes:
        head += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value
    head += b"\0"
    chunks = [_zip_line(y, b"".join(planes[name][y].tobytes() for name in names)) for y in range(height)]
    offsets = np.cumsum([len(head) + 8 * height, *map(len, chunks)])[:-1]
    return head + offsets.astype("<u8").tobytes() + b"".join(chunks)


def _cryptomatte(mattes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the channels of a Cryptomatte of mattes (H, W), (H, W) float32 by name.

    Each pixel has the ids and the shares of the things that cover it, the largest share first: two of them in the
    channels of each rank. Friedman and Jones, "Fully automatic ID mattes with support for motion blur and transparency"
    (Cryptomatte), SIGGRAPH 2015; specification 1.2.0.
    """
    names = sorted(mattes)
    shares = np.stack([mattes[name].astype(np.float32) for name in names])
    ids = np.array([_cryptomatte_id(name) for name in names], np.uint32).view(np.float32)
    order = np.argsort(-shares, axis=0, kind="stable")
    found = {}
    for rank in range(2 * math.ceil(len(names) / 2)):
        which = order[min(rank, len(names) - 1)]
        share = np.take_along_axis(shares, which[None], 0)[0] if rank < len(names) else np.zeros_like(shares[0])
        layer, (id_channel, share_channel) = f"{CRYPTOMATTE}{rank // 2:02}", ("RG", "BA")[rank % 2]
        found[f"{layer}.{id_channel}"] = np.where(share > 0, ids[which], np.float32(0)).astype("<f4")
        found[f"{layer}.{share_channel}"] = share.astype("<f4")
    return found


def _cryptomatte_id(name: str) -> int:
    """Return the id of a name: its MurmurHash3 of 32 bits, changed where it would not be a usual float32."""
    data, found = name.encode(), 0
    for at in range(0, len(data), 4):
        block = int.from_bytes(data[at : at + 4], "little") * 0xCC9E2D51 & MAX_UINT32
        block = (block << 15 | block >> 17) & MAX_UINT32
        found ^= block * 0x1B873593 & MAX_UINT32
        if at + 4 <= len(data):
            found = (found << 13 | found >> 19) & MAX_UINT32
            found = (found * 5 + 0xE6546B64) & MAX_UINT32
    found ^= len(data)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        found = (found ^ found >> shift) * factor & MAX_UINT32
    found ^= found >> 16
    return found if 0 < found >> 23 & 255 < 255 else found ^ 1 << 23


def _zip_line(number: int, line: bytes) -> bytes:
    """Return the chunk of a line: its bytes with even places first, as differences, deflated where that is shorter."""
    values = np.frombuffer(line, np.uint8)
    ordered = np.concatenate([values[::2], values[1::2]]).astype(np.int16)
    steps = np.diff(ordered, prepend=ordered[:1]) + 128
    steps[0] = ordered[0]
    packed = zlib.compress((steps & 255).astype(np.uint8).tobytes(), 4)
    packed = packed if len(packed) < len(line) else line
    return struct.pack("<ii", number, len(packed)) + packed


def read_exr(path: Path, view: PictureView = PICTURE) -> Still:
    """Read a layer of an OpenEXR file; grey becomes RGB. Raises MediaError.

    Light above 1 becomes the highest code, light below 0 becomes 0. Specks of invalid values are filled from the pixels
    around them; elsewhere infinity becomes the highest code, and NaN 0. Data are mapped from the view's span to black
    and white; without a span, from ``default_span`` of their values. Pictures with too many pixels are refused before
    decoding, and so are truncated or damaged files, which FFmpeg would read in part.
    """
    header = read_header(path)
    layer = choose_layer(header, view.layer, path)
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise MediaError(str(path), "the file is too large for a picture", "make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    check_chunks(header, data, path)
    if view.span is None and layer.is_light:
        return _read_light(header, layer, data, path)
    return _read_data(header, layer, data, view, path)


def _read_light(header: ExrHeader, layer: ExrLayer, data: bytes, path: Path) -> Still:
    """Read a layer as a picture: linear light becomes uint16 sRGB codes with straight alpha. Raises MediaError."""
    roles = ("Y", "A") if layer.channels[0].upper().endswith("Y") else ("R", "G", "B", "A")
    planes = _planes(_decoded(data, path, header, layer, dict(zip(layer.channels, roles, strict=False))), path)
    filled, has_invalid = zip(*map(fill_specks, planes), strict=True)
    primaries = header.parts[layer.part].primaries
    matrix = None if primaries.is_like(BT709_PRIMARIES) or len(roles) == 2 else primaries.to_bt709().astype(np.float32)
    height, width = filled[0].shape
    picture = np.empty((height, width, len(filled)), np.uint16)
    num_bright = num_glowing = 0
    for top in range(0, height, _STRIP):
        light = np.stack([plane[top : top + _STRIP] for plane in filled], axis=2).astype(np.float32)
        if matrix is not None:
            light[..., :3] = cv2.transform(np.nan_to_num(light[..., :3], posinf=_HALF_MAX, neginf=0.0), matrix)
        minimum = np.minimum(np.minimum(light[..., 0], light[..., 1]), light[..., 2])
        num_bright += int((minimum > 1).sum())
        num_glowing += _add_glow_alpha(light) if light.shape[2] == 4 else 0
        picture[top : top + _STRIP] = _light_to_codes(light)
    notes = [] if layer.is_plain else [f"its layer {layer.name} is read{_other_layers_text(header, layer)}"]
    notes += [] if matrix is None else [f"colours of {primaries.name}: converted to sRGB"]
    if num_bright > height * width / 2:
        notes.append(f"most of its light is above 1, and becomes white: if it is data, {SPAN_REMEDY}")
    notes += [INVALID_VALUES_NOTE] if any(has_invalid) else []
    notes += ["light without cover (alpha 0) covers as much as it is bright"] if num_glowing else []
    return Still(picture, notes=tuple(notes), reading=int(num_glowing > 0))


def _read_data(header: ExrHeader, layer: ExrLayer, data: bytes, view: PictureView, path: Path) -> Still:
    """Read a layer as data: a grey picture of one channel, else the first three channels as R, G and B."""
    channels = [
        c for c in layer.channels if not (layer.is_light and c.upper().endswith("A") and len(layer.channels) > 1)
    ]
    planes = [_planes(_decoded(data, path, header, layer, {c: "Y"}), path)[0].astype(np.float32) for c in channels]
    values = np.stack(planes, axis=2)
    is_valid = np.abs(values) < MAX_VALID_VALUE
    if header.parts[layer.part].channels[channels[0]] == _HALF_BYTES:
        is_valid &= np.abs(values) < _HALF_MAX
    is_valid &= _stored_mask(header, layer, is_valid.shape[:2])[..., None]
    low, high = (float(values[is_valid].min()), float(values[is_valid].max())) if is_valid.any() else (0.0, 0.0)
    black, white = view.span or default_span(low, high)
    unit = np.clip(np.nan_to_num((values - black) / np.float32(white - black), nan=0.0), 0, 1)
    codes = np.rint(unit * np.float32(65535)).astype(np.uint16)
    if len(channels) == 1:
        codes = np.repeat(codes, 3, axis=2)
    elif len(channels) == 2:
        codes = np.dstack([codes, np.zeros_like(codes[..., 0])])
    what = f"its layer {layer.name} is" if layer.name else f"its channels {', '.join(channels)} are"
    return Still(np.ascontiguousarray(codes), notes=(f"{what} read, as data",), values=(low, high))


def _stored_mask(header: ExrHeader, layer: ExrLayer, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask, (H, W) bool, of the pixels that the file stores; FFmpeg sets all other pixels to 0."""
    window, (origin_x, origin_y) = header.parts[layer.part].window, header.origin
    left, right = (max(0, edge - origin_x) for edge in (window[0], window[2] + 1))
    top, bottom = (max(0, edge - origin_y) for edge in (window[1], window[3] + 1))
    stored = np.zeros(shape, bool)
    stored[top:bottom, left:right] = True
    return stored


def _other_layers_text(header: ExrHeader, layer: ExrLayer) -> str:
    """Return a text for the user on the named layers that are not read; '' if there are none."""
    others = [other.name for other in header.layers() if other.name and other != layer]
    return f"; a # names another, as in '#{others[0]}': it has {join_names(others)}" if others else ""


def _decoded(data: bytes, path: Path, header: ExrHeader, layer: ExrLayer, names: dict[str, str]) -> av.VideoFrame:
    """Decode a layer; ``names``: FFmpeg's name of each channel to decode, by name in the file. Raises MediaError."""
    if any(name != stored_name for stored_name, name in names.items()) or not layer.is_plain or any(header.origin):
        if header.compression in DWA:
            raise MediaError(str(path), f"the layer {layer.name or 'R, G, B'} is compressed by DWA", "save it with ZIP")
        try:
            data = extract_layer(data, header, layer, names)
        except struct.error:
            raise unreadable_error(path) from None
    context = av.CodecContext.create("exr", "r")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError, MemoryError):
        raise unreadable_error(path) from None
    if not frames:
        raise unreadable_error(path)
    return frames[0]


def _planes(frame: av.VideoFrame, path: Path) -> list[np.ndarray]:
    """Return the planes R, G, B and, if present, alpha, each (H, W) float16 or float32."""
    name = frame.format.name
    if not name.endswith(("f16le", "f32le")):
        raise MediaError(str(path), f"it holds whole numbers ({name}), not light", "save it with half floats")
    dtype: np.dtype[Any] = np.dtype(np.float16 if name.endswith("f16le") else np.float32)
    lines = [np.frombuffer(memoryview(p), dtype).reshape(p.height, -1) for p in frame.planes]
    if name.startswith("yaf"):
        grey, alpha = lines[0][:, : 2 * frame.width : 2], lines[0][:, 1 : 2 * frame.width : 2]
        return [grey, grey, grey, alpha]
    return [lines[i][:, : frame.width] for i in _PLANES[name[: name.rindex("f")]]]


def _add_glow_alpha(light: np.ndarray) -> int:
    """Set the alpha of glowing pixels to their brightness, in place; return the number of these pixels.

    ``light``: (H, W, 4) float32, premultiplied. Pixels whose light is below the lowest code of alpha are not counted.
    """
    brightest = np.clip(np.nan_to_num(light[..., :3], nan=0.0).max(axis=2), 0, 1)
    alpha = np.clip(np.nan_to_num(light[..., 3], nan=0.0), 0, 1)
    glows = brightest > np.maximum(_GLOW_RATIO * alpha, 0.5 / 65535)
    light[..., 3][glows] = brightest[glows]
    return int(glows.sum())


def _light_to_codes(light: np.ndarray) -> np.ndarray:
    """Convert light (H, W, 3 or 4) float32, premultiplied as in the file, to uint16 codes with straight alpha."""
    light = np.nan_to_num(light, nan=0.0, posinf=_HALF_MAX, neginf=0.0)
    if light.shape[2] == 4:
        alpha = np.clip(light[..., 3:], 0, 1)
        with np.errstate(over="ignore"):  # Infinity is clipped below
            light = np.concatenate([light[..., :3] / np.where(alpha > 0, alpha, 1), alpha], axis=2)
    light = np.clip(light, 0, 1)
    light[..., :3] = code_of_light(light[..., :3])
    return np.rint(light * np.float32(65535)).astype(np.uint16)
