"""Headers of OpenEXR files: windows, parts, layers and primaries."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.primaries import ACES_AP0, ACES_AP1, ADOBE_RGB, BT709, TAGGED, Primaries
from vidtrans.video.frame_format import MAX_PIXELS

MAGIC = b"\x76\x2f\x31\x01"
_START = 8  # of the first header, in bytes
TILED, _DEEP, MULTIPART = 0x200, 0x800, 0x1000  # flags beside the version
DWA = (8, 9)  # compressions that treat channels by their names
_HALF, _OTHER = 2, 4  # bytes
_SPACES = ("colorInteropID", "oiio:ColorSpace")
_WANTED = ("channels", "compression", "dataWindow", "displayWindow", "name", "chromaticities", *_SPACES)
_LONGEST_NAME = 255
_LONGEST_VALUE = 1 << 20
_MOST_ATTRIBUTES, _MOST_PARTS = 4096, 1024  # attributes of a part
_MOST_LISTED = 1 << 19  # bytes of the lists of channels of all parts
_SHOWN = 12  # layers in a message
# Colour spaces of light that other programs name where the file has no chromaticities.
_LINEAR = {"ap0": ACES_AP0, "ap1": ACES_AP1, "rec2020": TAGGED[9], "p3d65": TAGGED[12], "adobergb": ADOBE_RGB}
_NAMED = {"acescg": ACES_AP1, "aces2065-1": ACES_AP0} | {f"lin_{name}": own for name, own in _LINEAR.items()}


@dataclass(frozen=True)
class ExrLayer:
    """A layer of an EXR file: ``channels`` by their names in the file, in the order R, G, B, A, or X, Y, Z.

    ``is_light``: whether it is a picture rather than data. ``name``: '' for a picture without a name. ``part``: the
    number of the part that holds it.
    """

    name: str
    part: int
    channels: tuple[str, ...]
    is_light: bool

    @property
    def is_plain(self) -> bool:
        """Whether it is the picture of the first part whose channels have no layer name: R, G, B."""
        return self.is_light and self.part == 0 and "." not in self.channels[0]


@dataclass(frozen=True)
class Part:
    """A part of a file; most files have one. ``channels``: bytes per sample, by name; ``listed``: their list as stored.

    ``at``, ``begin`` and ``end``: offsets in the file, in bytes, of that list, and of the part's header. ``window``: as
    in Header.
    """

    name: str
    channels: dict[str, int]
    at: int
    listed: bytes = field(repr=False)
    begin: int
    end: int
    is_tiled: bool
    window: tuple[int, int, int, int]
    primaries: Primaries = BT709


@dataclass(frozen=True)
class Header:
    """The attributes of an EXR file that vidtrans uses.

    ``window``: left, top, right, bottom of the stored pixels, the last two inclusive; ``width``, ``height`` and
    ``origin`` (left, top): of the display window. ``end``: the offset of the table of chunks, in bytes.
    """

    width: int
    height: int
    origin: tuple[int, int]
    window: tuple[int, int, int, int]
    parts: tuple[Part, ...]
    compression: int
    flags: int
    end: int

    @property
    def is_multipart(self) -> bool:
        """Whether the file has the multi-part format, which allows a single part too."""
        return bool(self.flags & MULTIPART)

    @property
    def channels(self) -> dict[str, int]:
        """The channels of the first part."""
        return self.parts[0].channels

    def layers(self) -> list[ExrLayer]:
        """Return the layers of all parts, pictures before data."""
        found = [layer for number, part in enumerate(self.parts) for layer in _layers(part, number, len(self.parts))]
        return sorted(found, key=lambda layer: not layer.is_light)


def read_header(path: Path) -> Header:
    """Read the header of a file. Raises MediaError, also for pictures above MAX_PIXELS."""
    try:
        with path.open("rb") as stream:
            magic, flags = struct.unpack("<4sI", stream.read(8))
            headers, ends = [_attributes(stream)], [_START, stream.tell()]
            while flags & MULTIPART and (more := _attributes(stream)):
                headers.append(more)
                ends.append(stream.tell())
                if len(headers) > _MOST_PARTS:
                    raise ValueError("too many parts")
            end = stream.tell()
        if sum(len(found["channels"][1]) for found in headers) > _MOST_LISTED:
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
        raise unreadable(path) from None
    if magic != MAGIC or min(map(min, sizes)) < 1:
        raise unreadable(path)
    for width, height in sizes:
        if width * height > MAX_PIXELS:
            raise MediaError(str(path), f"the picture is too large ({width}x{height})", "make it smaller")
    if flags & _DEEP:
        raise MediaError(str(path), "it has deep samples, several for a pixel", "flatten it")
    return Header(*sizes[1], windows[1][:2], windows[0], parts, compression, flags, end)


def choose_layer(header: Header, wanted: str, path: Path) -> ExrLayer:
    """Return the layer ``wanted``; if that is '', the picture. Raises MediaError where there is none.

    ``wanted`` may be the end of a name ("Depth" for "ViewLayer.Depth"), or a layer's only channel ("Depth.Z").
    """
    layers = header.layers()
    names = name_list([layer.name or "R, G, B" for layer in layers])
    if not wanted:
        pictures = [layer for layer in layers if layer.is_light]
        combined = [p for p in pictures if p.is_plain or p.name.lower().endswith(("combined", "rgba", "beauty"))]
        data = [one for one in layers if one.channels[0].rpartition(".")[2] not in "Aa"]
        chosen = combined or (pictures if len(pictures) == 1 else [] if pictures else data)
        if combined or len(chosen) == 1:
            return chosen[0]
        remedy = f"name one behind a #: {path.parent.name or path.name}#{layers[0].name}" if layers else "save R, G, B"
        raise MediaError(str(path), f"it has the layers {names}: none of them is the picture", remedy)
    exact = [one for one in layers if wanted in (one.name, *one.channels[: len(one.channels) == 1])]
    ending = [one for one in layers if _ends_in(one, wanted)]
    if chosen := exact or ending:
        return chosen[0]
    raise MediaError(str(path), f"no layer '{wanted}' in it", f"it has {names}")


def name_list(names: Sequence[str]) -> str:
    """Return the first of ``names`` as a text, with an ellipsis for the rest."""
    return ", ".join(names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")


def _ends_in(layer: ExrLayer, wanted: str) -> bool:
    names = [layer.name, *(layer.channels if len(layer.channels) == 1 else ())]
    return any(f".{name.lower()}".endswith(f".{wanted.lower()}") for name in names if name)


def _part(found: dict[str, tuple[int, bytes]], begin: int, end: int, *, tiled: bool) -> Part:
    at, listed = found["channels"]
    channels = {
        name: _HALF if struct.unpack_from("<i", rest, 1)[0] == 1 else _OTHER for name, rest in list_channels(listed)
    }
    name = found["name"][1].decode("latin-1") if "name" in found else ""
    primaries = _primaries({key: value for key, (_, value) in found.items()})
    window = struct.unpack("<4i", found["dataWindow"][1])
    return Part(name, channels, at, listed, begin, end, tiled or "tiles" in found, window, primaries)


def _primaries(found: dict[str, bytes]) -> Primaries:
    """Return the primaries of a part, from its attributes. Raises ValueError where the chromaticities are invalid."""
    if value := found.get("chromaticities"):
        numbers = struct.unpack("<8f", value)
        red, green, blue, white = zip(numbers[::2], numbers[1::2], strict=True)
        own = Primaries("other primaries", red, green, blue, white)
        known = (*TAGGED.values(), ADOBE_RGB, ACES_AP0, ACES_AP1)
        return next((one for one in known if one.is_like(own)), own)
    names = (found.get(key, b"").decode("latin-1").lower().removesuffix("_scene") for key in _SPACES)
    return next((_NAMED[name] for name in names if name in _NAMED), BT709)


def _layers(part: Part, number: int, count: int) -> Iterator[ExrLayer]:
    """Yield the layers of a part: its channels grouped by the name before the last dot, as RGB, XYZ, UV, Y or alone."""
    groups: dict[str, dict[str, str]] = {}
    for channel in part.channels:
        prefix, _, last = channel.rpartition(".")
        groups.setdefault(prefix, {})[last.upper()] = channel
    for prefix, own in groups.items():
        name = prefix or (part.name if count > 1 else "")
        left = dict(own)
        for roles, is_light in (("RGB", True), ("XYZ", False), ("UV", False), ("Y", True)):
            if left.keys() >= set(roles):
                used = roles + "A" if is_light and "A" in left else roles
                yield ExrLayer(name, number, tuple(left.pop(role) for role in used), is_light)
                break
        for last, channel in left.items():
            alone = len(own) == 1 and name
            if last != "W":  # of vectors
                yield ExrLayer(name if alone else channel, number, (channel,), is_light=False)


def _attributes(stream: BinaryIO) -> dict[str, tuple[int, bytes]]:
    """Return (offset, value) of a header's attributes by name; the value is b'' for those not in _WANTED.

    Raises ValueError where there are too many.
    """
    found: dict[str, tuple[int, bytes]] = {}
    count = 0
    while name := _text(stream):
        count += 1
        if count > _MOST_ATTRIBUTES:
            raise ValueError("too many attributes")
        _text(stream)  # its type
        (size,) = struct.unpack("<I", stream.read(4))
        at = stream.tell()
        if name in _WANTED and size <= _LONGEST_VALUE:
            found[name] = (at, stream.read(size))
        else:
            stream.seek(size, 1)
            found[name] = (at, b"")
    return found


def _text(stream: BinaryIO) -> str:
    """Read text up to its terminating zero byte."""
    text = bytearray()
    while (byte := stream.read(1)) != b"\0":
        if not byte or len(text) > _LONGEST_NAME:
            raise ValueError("the header is cut or damaged")
        text += byte
    return text.decode("latin-1")


def list_channels(value: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, zero byte and the rest of the entry) from the channel list: name, zero, type, flags, sampling."""
    at = 0
    while (end := value.index(b"\0", at)) > at:
        yield value[at:end].decode("latin-1"), value[end : end + 17]
        at = end + 17


def unreadable(path: Path) -> MediaError:
    """Return the error for a file that is not a readable picture."""
    return MediaError(str(path), "not a picture that can be read", "delete or replace it")
