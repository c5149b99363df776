"""Read and set what FFmpeg attaches to a track and PyAV hides, through a Matroska header in memory.

FFmpeg's demuxers attach cropping, Dolby Vision, stereo layout and projection to a track as side data, and its Matroska
muxer writes them as elements, whatever the container was. Reading these elements, and opening a header in which some
are replaced, is the only access to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import OutputContainer
from av.video.stream import VideoStream

# Identifiers of Matroska elements (RFC 9559), and the path to those of a track.
_SEGMENT, _TRACKS, _ENTRY, _CLUSTER = b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\xae", b"\x1f\x43\xb6\x75"
TRACK = (_SEGMENT, _TRACKS, _ENTRY)
VIDEO = (*TRACK, b"\xe0")
CODEC_DELAY = (*TRACK, b"\x56\xaa")
_CROPS = (b"\x54\xcc", b"\x54\xbb", b"\x54\xdd", b"\x54\xaa")  # left, top, right, bottom
_SIZES = ((b"\x54\xb0", b"\xb0"), (b"\x54\xba", b"\xba"))  # display and stored width, display and stored height
_DISPLAY_UNIT, _NUMBER, _VOID, _CHECKSUM = b"\x54\xb2", b"\x73\xc5", b"\xec", b"\xbf"
HEADER_BYTES = 1 << 24  # more than the description of a video track is from the start of a file
PROJECTION = (*VIDEO, b"\x76\x70")
_PROJECTION_KIND = b"\x76\x71"
_ADDITION, _ADDITION_KIND, _ADDITION_DATA = b"\x41\xe4", b"\x41\xe7", b"\x41\xed"
_DOLBY_VISION = (b"dvcC", b"dvvC", b"dvwC")
_WITH_COMPATIBILITY = (8, 10, 20)  # profiles whose base layer differs, by a number after the point
# Profiles without a base layer that other decoders can show: its colours are IPT-PQ.
DOLBY_VISION_ONLY = ("5", "10.0", "20.0")

Crop = tuple[int, int, int, int]
NO_CROP: Crop = (0, 0, 0, 0)


@dataclass(frozen=True)
class TrackSideData:
    """The side data of a video track.

    ``crop``: pixels that players cut off at the left, top, right and bottom of the stored picture. ``dolby_vision``:
    the profile, with its compatibility where that differs ("8.4"); '' without. ``projection``: the content of
    Matroska's element for spherical video; b'' without.
    """

    crop: Crop = NO_CROP
    dolby_vision: str = ""
    projection: bytes = b""


def read_track_side_data(stream: VideoStream) -> TrackSideData:
    """Return the side data of a video track; none where Matroska cannot hold its codec."""
    if not (header := video_header(stream)):
        return TrackSideData()
    video = dict(_elements(_find(header, VIDEO)))
    left, top, right, bottom = (int.from_bytes(video.get(name, b"")) for name in _CROPS)
    inside = left + right < stream.width and top + bottom < stream.height
    projection = video.get(PROJECTION[-1], b"")
    is_spherical = int.from_bytes(_find(projection, (_PROJECTION_KIND,))) > 0  # else it is only a rotation
    return TrackSideData(
        (left, top, right, bottom) if inside else NO_CROP,
        _dolby_vision(_find(header, TRACK)),
        projection if is_spherical else b"",
    )


def _dolby_vision(entry: bytes) -> str:
    """Return the Dolby Vision profile that a track's elements state: 7 bits after two bytes of version."""
    for name, value in _elements(entry):
        addition = dict(_elements(value)) if name == _ADDITION else {}
        data = addition.get(_ADDITION_DATA, b"")
        if addition.get(_ADDITION_KIND) in _DOLBY_VISION and len(data) >= 5:
            profile = data[2] >> 1
            return f"{profile}.{data[4] >> 4}" if profile in _WITH_COMPATIBILITY else str(profile)
    return ""


def video_header(stream: VideoStream, tags: Mapping[str, str] | None = None) -> bytes:
    """Return the Matroska header for a video track like ``stream``; b'' where Matroska cannot hold its codec.

    PyAV refuses codecs that Matroska has no name for, though FFmpeg writes them in QuickTime's or Microsoft's wrapping.
    """

    def add(out: OutputContainer) -> None:
        out.add_stream_from_template(stream, opaque=True).metadata.update(tags or {})

    def add_wrapped(out: OutputContainer) -> None:
        track = out.add_mux_stream("ffv1", width=stream.width, height=stream.height, time_base=stream.time_base)
        BitStreamFilterContext("null", stream, track)
        track.metadata.update(tags or {})

    for way in (add, add_wrapped):
        with suppress(av.error.FFmpegError, ValueError):
            return write_header(way)
    return b""


def write_header(add: Callable[[OutputContainer], object]) -> bytes:
    """Return the Matroska header for the tracks that ``add`` adds. Raises av.error.FFmpegError, ValueError."""
    header = BytesIO()
    out = av.open(header, "w", format="matroska", options={"fflags": "+bitexact"})
    try:
        add(out)
        out.start_encoding()
        return header.getvalue()
    finally:
        with suppress(av.error.FFmpegError, ValueError):  # a file without packets
            out.close()


def changed_header(header: bytes, changes: Mapping[Sequence[bytes], bytes]) -> BytesIO:
    """Return a Matroska file of a header and no packet, with new content of the elements at these paths."""
    for path, content in {**changes, (_SEGMENT, _CLUSTER): b"\xe7\x81\x00"}.items():  # a cluster ends the header
        header = _with_element(header, path, content)
    return BytesIO(header)


def _with_element(data: bytes, path: Sequence[bytes], content: bytes) -> bytes:
    """Return elements with new content of the first one at ``path``, which is added if it is missing."""
    wanted, rest = path[0], path[1:]
    written, found = b"", False
    for name, value in _elements(data):
        if name == wanted and not found:
            value, found = _with_element(value, rest, content) if rest else content, True
        written += _element(name, value)
    return written if found else written + _element(wanted, _with_element(b"", rest, content) if rest else content)


def set_pixel_aspect(path: Path, aspect: Fraction) -> None:
    """Write the width of a pixel over its height into a Matroska file, as its display size; PyAV cannot.

    The space comes from shorter numbers, a checksum and reserved space. Without enough, nothing is written.
    """
    with path.open("r+b") as file:
        data = file.read(HEADER_BYTES)
        begin, end = _span(data, TRACK[:-1])
        written = b""
        for name, content in _elements(data[begin:end]):
            if name == _ENTRY and (video := dict(_elements(_find(content, VIDEO[-1:])))):
                width, height = (int.from_bytes(video.get(shown, video[stored])) for shown, stored in _SIZES)
                for (shown, _), value in zip(_SIZES, (max(1, round(width * aspect)), height), strict=True):
                    video[shown] = value.to_bytes((value.bit_length() + 7) // 8)
                video.pop(_DISPLAY_UNIT, None)  # pixels
                entry = [(key, value.lstrip(b"\0") if key == _NUMBER else value) for key, value in _elements(content)]
                content = b"".join(_element(*item) for item in entry if item[0] != _VOID)
                content = _with_element(content, VIDEO[-1:], b"".join(map(_element, video, video.values())))
            if name not in (_CHECKSUM, _VOID):
                written += _element(name, content)
        spare = end - begin - len(written)
        if spare == 0 or spare >= 2:
            num_size = 8 if spare >= 9 else 1
            filler = (1 << 7 * num_size | max(0, spare - 1 - num_size)).to_bytes(num_size)
            file.seek(begin)
            file.write((written + _VOID + filler).ljust(end - begin, b"\0")[: end - begin])


def _element(name: bytes, content: bytes) -> bytes:
    """Return an element, with its size in as few bytes as hold it; all ones would mean an unknown size."""
    num_size = next(n for n in range(1, 9) if len(content) < (1 << 7 * n) - 1)
    return name + (1 << 7 * num_size | len(content)).to_bytes(num_size) + content


def _find(data: bytes, path: Sequence[bytes]) -> bytes:
    """Return the content of the first element at ``path``; b'' without one."""
    begin, end = _span(data, path)
    return data[begin:end]


def _span(data: bytes, path: Sequence[bytes]) -> tuple[int, int]:
    """Return where the content of the first element at ``path`` begins and ends; (0, 0) without one."""
    begin, end = 0, len(data)
    for name in path:
        inside = ((first, last) for other, first, last in _places(data, begin, end) if other == name)
        begin, end = next(inside, (0, 0))
    return begin, end


def _elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (identifier, content) of the elements that FFmpeg wrote."""
    return ((name, data[begin:end]) for name, begin, end in _places(data, 0, len(data)))


def _places(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (identifier, begin, end of the content) of elements; one of unknown size reaches to the end."""
    while at < end:
        num_name = 9 - data[at].bit_length()
        name, at = data[at : at + num_name], at + num_name
        num_size = 9 - data[at].bit_length()
        unknown = (1 << 7 * num_size) - 1
        size, at = int.from_bytes(data[at : at + num_size]) & unknown, at + num_size
        last = end if size == unknown else min(end, at + size)
        yield name, at, last
        at = last
