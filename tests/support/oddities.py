"""Clips with something unusual about them, made and mended packet by packet."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from av.subtitles.subtitle import SubtitleSet
from clips import moving_frames, write_clip

FAST = {"crf": "12", "preset": "ultrafast"}
PQ, HLG, BT2020 = 16, 18, 9
# The eight orientations: a, b, c, d of the display matrix, and what makes the stored picture upright.
ORIENTATIONS: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "upright": ((1, 0, 0, 1), lambda p: p),
    "turned-right": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "upside-down": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "turned-left": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
    "mirrored-upside-down": ((1, 0, 0, -1), lambda p: p[::-1]),
    "transposed": ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
    "transposed-otherwise": ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
}


def write_frames(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str,
    pix_fmt: str,
    *,
    options: dict[str, str] | None = None,
    rate: int = 25,
    tags: dict[str, Any] | None = None,
    convert: dict[str, Any] | None = None,
) -> Path:
    """Frames (H, W, 3 or 4) uint8 or uint16, at a constant rate, without sound. ``tags`` of the codec's context."""
    kinds = {(1, 3): "rgb24", (1, 4): "rgba", (2, 3): "rgb48le", (2, 4): "rgba64le"}
    with closing(av.open(str(path), "w")) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0], pix_fmt
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            kind = kinds[frame.dtype.itemsize, frame.shape[2]]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format=kind)
            picture = picture.reformat(format=pix_fmt, **(convert or {}))
            picture.pts, picture.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def remux(
    source: Path,
    target: Path,
    keep: Callable[[int, av.Packet], bool] = lambda number, packet: True,
    change: Callable[[int, av.Packet], None] = lambda number, packet: None,
    **options: str,
) -> Path:
    """Copy packets; ``keep`` and ``change`` are given each with its number in its own track."""
    with closing(av.open(str(source))) as read, closing(av.open(str(target), "w", options=options)) as written:
        tracks = {s.index: written.add_stream_from_template(s, opaque=True) for s in read.streams}
        numbers = dict.fromkeys(tracks, -1)
        for packet in read.demux():
            if packet.dts is None:
                continue
            numbers[packet.stream_index] += 1
            number = numbers[packet.stream_index]
            if keep(number, packet):
                change(number, packet)
                packet.stream = tracks[packet.stream_index]
                written.mux(packet)
    return target


def index_first(source: Path, target: Path) -> Path:
    """An mp4 with its index before its media, so that it can be read however much is cut off."""
    return remux(source, target, movflags="+faststart")


def packets_before(path: Path, size: int) -> tuple[set[int], int]:
    """Of a whole file: the pictures' times, and the number of sounds, that lie within its first ``size`` bytes."""
    with closing(av.open(str(path))) as container:
        whole = [p for p in container.demux() if p.pts is not None and p.pos + p.size <= size]
        return {p.pts for p in whole if p.stream.type == "video"}, sum(p.stream.type == "audio" for p in whole)


def rotted(source: Path, target: Path, seed: int, flips: int, part: tuple[float, float] = (0.3, 0.9)) -> Path:
    """A copy in which some bits of this part of the file are wrong."""
    data = bytearray(source.read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(*(int(len(data) * share) for share in part), flips):
        data[place] ^= 1 << int(rng.integers(8))
    target.write_bytes(data)
    return target


def turned(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write the display matrix into the one track of an mp4."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def woven(count: int, first: str = "tff", size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Interlaced frames: a bar that moves 4 pixels from one field to the next. ``first``: the upper lines (tff) or the
    lower ones (bff).
    """
    width, height = size
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        for field in (0, 1):
            left = 4 * (2 * number + field) % (width - 12)
            frame[(first == "bff") ^ field :: 2, left : left + 10] = 220
        frames.append(frame)
    return frames


WOVEN = {"h264": "libx264", "mpeg2": "mpeg2video", "prores": "prores_ks", "ffv1": "ffv1"}


def write_woven(path: Path, frames: Sequence[np.ndarray], first: str = "tff", codec: str = "h264", **tags: Any) -> Path:
    """Frames that are encoded, and flagged, as interlaced."""
    height, width = frames[0].shape[:2]
    pix_fmt = "yuv422p10le" if codec == "prores" else "yuv420p"
    options = {"h264": {"crf": "6", "preset": "veryfast"}, "mpeg2": {"b:v": "8M", "g": "6"}}.get(codec, {})
    graph = Graph()
    places = [
        graph.add_buffer(width=width, height=height, format=pix_fmt, time_base=Fraction(1, 25)),
        graph.add("setfield", first),
        graph.add("buffersink"),
    ]
    for one, following in pairwise(places):
        one.link_to(following)
    graph.configure()
    with closing(av.open(str(path), "w")) as container:
        stream: Any = container.add_stream(WOVEN[codec], rate=25, options=options | {"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture = picture.reformat(format=pix_fmt, dst_colorspace="ITU709" if tags else "ITU601")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            graph.push(picture)
            container.mux(stream.encode(graph.vpull()))
        container.mux(stream.encode(None))
    return path


def combing(rgb: np.ndarray) -> float:
    """How much lines differ from those above and below: near 0 where nothing is woven."""
    lines = rgb[..., 1].astype(int)
    return float(np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean())


def cut_outs(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """(H, W, 4): an orange disc with a soft edge; what is not seen of the ground is a loud green."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    frames = []
    for number in range(count):
        frame = np.zeros((height, width, 4), np.uint8)
        frame[..., :3] = (220, 100, 30)
        distance = np.hypot(x - width * 0.3 - number, y - height / 2)
        frame[..., 3] = np.clip((height / 3 - distance) * 32, 0, 255)
        frame[distance > height / 3 + 4, :3] = (0, 255, 0)
        frames.append(frame)
    return frames


def ramp(width: int = 1024, height: int = 32) -> np.ndarray:
    """(H, W, 3) uint16, grey from black to white in as many steps as it is wide."""
    grey = np.linspace(0, 65535, width).round().astype(np.uint16)
    return np.broadcast_to(grey[None, :, None], (height, width, 3)).copy()


def write_grey(
    path: Path, grey: np.ndarray, codec: str, pix_fmt: str, *, count: int = 3, options: dict[str, str] | None = None
) -> Path:
    """Still frames of grey, (H, W) codes of 10 bits: exactly these, whatever swscale would make of them.

    Three at least: of fewer, x265 makes up times.
    """
    height, width = grey.shape
    with closing(av.open(str(path), "w")) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        for number in range(count):
            frame = av.VideoFrame(width, height, pix_fmt)
            for plane, codes in zip(frame.planes, (grey, None, None), strict=True):
                lines = np.full((plane.height, plane.line_size // 2), 512, "<u2")
                if codes is not None:
                    lines[:, :width] = codes
                plane.update(lines.tobytes())
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def hdr_clip(path: Path, count: int = 3, *, transfer: int = PQ, frame: np.ndarray | None = None, **more: Any) -> Path:
    """10 bits of HEVC, tagged as HDR."""
    tags = {"color_trc": transfer, "color_primaries": BT2020, "colorspace": 9, "color_range": 1}
    options = {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=error"}
    pictures = [ramp(256, 32) if frame is None else frame] * count
    convert = {"dst_colorspace": "BT2020"}
    return write_frames(path, pictures, "libx265", "yuv420p10le", options=options, tags=tags, convert=convert, **more)


HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
# Of the film below: in milliseconds when words begin and end, and chapters of half a second.
WORDS = [(300, 700, "one"), (900, 1400, "two"), (1700, 1950, "three")]
LANGUAGES = ("eng", "fra")


def write_film(path: Path, timecode: str = "10:00:00:05", rate: int = 24) -> Path:
    """Two seconds with all that goes along: two sound tracks, subtitles, chapters, a timecode, a title."""
    words = "mov_text" if path.suffix in (".mov", ".mp4") else "subrip"
    with closing(av.open(str(path), "w")) as out:
        video: Any = out.add_stream("libx264", rate=rate, options=FAST)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.metadata["timecode"] = timecode
        sounds: list[Any] = [out.add_stream("aac", rate=44_100, layout="mono") for _ in LANGUAGES]
        for sound, language in zip(sounds, LANGUAGES, strict=True):
            sound.metadata["language"] = language
        text: Any = out.add_stream(words)
        text.codec_context.subtitle_header, text.codec_context.time_base = HEADER, Fraction(1, 1000)
        text.metadata["language"] = "deu"
        out.metadata["title"] = "A film"
        out.set_chapters(
            [
                {"id": i, "start": 500 * i, "end": 500 * i + 500, "time_base": Fraction(1, 1000)}
                | {"metadata": {"title": f"part {i}"}}
                for i in range(4)
            ]
        )
        packets: list[tuple[float, int, Any]] = []
        for number, rgb in enumerate(moving_frames(2 * rate)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, rate)
            packets += [(float(p.dts * p.time_base), 0, p) for p in video.encode(frame)]
        packets += [(float(p.dts * p.time_base), 0, p) for p in video.encode(None)]
        for number, sound in enumerate(sounds):
            packets += [(float(p.dts * p.time_base), 1 + number, p) for p in tone(sound, 2.0, 440 * (number + 1))]
        for begins, ends, line in WORDS:
            said = SubtitleSet.create(b"0,0,Default,,0,0,0,," + line.encode(), 0, ends - begins, pts=begins * 1000)
            packet = text.codec_context.encode_subtitle(said)
            packet.pts = packet.dts = begins
            packet.duration, packet.time_base, packet.stream = ends - begins, Fraction(1, 1000), text
            packets.append((begins / 1000, 9, packet))
        for _, _, packet in sorted(packets, key=lambda item: item[:2]):
            out.mux(packet)
    return path


def tone(track: Any, seconds: float, hertz: int) -> list[Any]:
    """The packets of a plain tone, mono, of 44,100 samples a second, or 48,000 for Opus."""
    rate, packets = track.codec_context.sample_rate, []
    block = track.codec_context.frame_size or 1024
    for at in range(0, int(seconds * rate), block):
        samples = (0.3 * np.sin(2 * np.pi * hertz * (at + np.arange(block)) / rate)).astype(np.float32)
        kind = track.codec_context.format.name
        whole = {"s16": np.int16, "s32": np.int32}.get(kind.removesuffix("p"))
        shaped = samples if whole is None else (samples * np.iinfo(whole).max).astype(whole)
        frame = av.AudioFrame.from_ndarray(shaped[None], format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        packets += track.encode(frame)
    return packets + track.encode(None)


def with_sound(video: Path, path: Path, codec: str, *, late_s: float = 0.0, seconds: float = 1.0) -> Path:
    """The pictures of ``video`` with a tone, which begins ``late_s`` later."""
    with closing(av.open(str(video))) as read, closing(av.open(str(path), "w")) as out:
        pictures = out.add_stream_from_template(read.streams.video[0], opaque=True)
        pictures.codec_context.framerate = read.streams.video[0].average_rate
        sound: Any = out.add_stream(codec, rate=48_000, layout="mono", bit_rate=64_000 if "wma" in codec else 0)
        packets = [(p, 0) for p in read.demux(video=0) if p.dts is not None]
        for packet, _ in packets:
            packet.stream = pictures
        out.start_encoding()
        for packet in tone(sound, seconds, 440):
            shift = round(late_s / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packets.append((packet, 1))
        for packet, _ in sorted(packets, key=lambda item: (item[0].dts * item[0].time_base, item[1])):
            out.mux(packet)
    return path


def with_cover(path: Path, count: int = 8) -> Path:
    """A small video and a larger, still cover in one mp4."""
    film = write_clip(path.with_name("film.mp4"), moving_frames(count), options=FAST)
    cover = write_frames(path.with_name("cover.mp4"), [np.full((96, 128, 3), 200, np.uint8)], "mjpeg", "yuvj420p")
    return beside(path, [film, cover], [Disposition.default, Disposition.attached_pic])


def two_tracks(path: Path, *, default: int, sizes: Sequence[tuple[int, int]] = ((64, 48), (96, 64))) -> Path:
    """Two films in one file, of which one is the default."""
    parts = [
        write_clip(path.with_name(f"part{i}{path.suffix}"), moving_frames(6, size), options=FAST)
        for i, size in enumerate(sizes)
    ]
    return beside(path, parts, [Disposition.default if i == default else Disposition(0) for i in range(len(parts))])


def beside(path: Path, parts: Sequence[Path], dispositions: Sequence[Disposition]) -> Path:
    """The video tracks of several files in one."""
    with closing(av.open(str(path), "w")) as out, ExitStack() as stack:
        sources = [stack.enter_context(closing(av.open(str(part)))) for part in parts]
        tracks: list[Any] = [out.add_stream_from_template(s.streams.video[0], opaque=True) for s in sources]
        for track, disposition in zip(tracks, dispositions, strict=True):
            track.disposition = disposition
        for source, track in zip(sources, tracks, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
    return path


def edited(source: Path, target: Path, *spans_s: tuple[float, float]) -> Path:
    """A QuickTime file of which players show these spans, in s, as its edit lists say. Its index must come last."""
    data = bytearray(source.read_bytes())
    movie = data.index(b"moov") - 4
    scale = struct.unpack_from(">I", data, data.index(b"mvhd") + 16)[0]
    tracks = [at - 4 for at in range(movie, len(data)) if data[at : at + 4] == b"trak"]
    for track in reversed(tracks):
        ticks = struct.unpack_from(">I", data, data.index(b"mdhd", track) + 16)[0]
        place = data.index(b"mdia", track) - 4
        edits = data.find(b"edts", track, place) - 4
        first = max(0, struct.unpack_from(">i", data, edits + 28)[0]) if edits > 0 else 0
        entries = [(round((end - begin) * scale), first + round(begin * ticks)) for begin, end in spans_s]
        table = b"".join(struct.pack(">IiHH", *entry, 1, 0) for entry in entries)
        box = struct.pack(">I4sI4sII", 24 + len(table), b"edts", 16 + len(table), b"elst", 0, len(entries)) + table
        start = edits if edits > 0 else place
        end = start + (struct.unpack_from(">I", data, edits)[0] if edits > 0 else 0)
        data[start:end] = box
        for parent in (track, movie):
            struct.pack_into(">I", data, parent, struct.unpack_from(">I", data, parent)[0] + len(box) - (end - start))
    target.write_bytes(data)
    return target


def boxed(source: Path, target: Path, *boxes: bytes) -> Path:
    """A copy of an H.264 mp4, its index last, with boxes in the description of its pictures."""
    data, added = bytearray(source.read_bytes()), b"".join(boxes)
    entry = data.index(b"avc1", data.index(b"stsd"))
    end = entry - 4 + struct.unpack_from(">I", data, entry - 4)[0]
    data[end:end] = added
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"):
        at = entry - 4 if name == b"avc1" else data.index(name) - 4
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(added))
    assert data.index(b"moov") > data.index(b"mdat")
    target.write_bytes(data)
    return target


def box(kind: bytes, content: bytes) -> bytes:
    """A box of an mp4."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def clean_aperture(width: int, height: int, x: int = 0, y: int = 0) -> bytes:
    """The box that says which part of the picture is shown; ``x``, ``y``: of its centre, in half pixels."""
    return box(b"clap", struct.pack(">8i", width, 1, height, 1, x, 2, y, 2))


def dolby_vision(profile: int, compatibility: int) -> bytes:
    """The box of Dolby Vision."""
    bits = struct.pack(">H", profile << 9 | 3 << 3 | 5)  # level 3, with a base layer and metadata
    return box(b"dvcC" if profile < 8 else b"dvvC", bytes([1, 0]) + bits + bytes([compatibility << 4]) + bytes(19))


def stereo(layout: int) -> bytes:
    """The box of stereo 3D; 1: one view above the other, 2: side by side."""
    return box(b"st3d", bytes(4) + bytes([layout]))


def spherical(*bounds: int) -> bytes:
    """The box of a film all around; ``bounds``: what it leaves out at the top, bottom, left and right, in 2^-32."""
    equirectangular = box(b"equi", bytes(4) + struct.pack(">4I", *(bounds or (0,) * 4)))
    projection = box(b"proj", box(b"prhd", bytes(16)) + equirectangular)
    return box(b"sv3d", box(b"svhd", bytes(4) + b"made\0") + projection)


def with_captions(source: Path, target: Path) -> Path:
    """A copy of an H.264 mp4, with closed captions in its pictures from the second one on."""
    message = b"\xb5\x00\x31GA94\x03\x41\xff\xfc\x80\x80\xff"  # one pair of bytes, which says nothing
    unit = b"\x06\x04" + bytes([len(message)]) + message + b"\x80"
    with closing(av.open(str(source))) as read, closing(av.open(str(target), "w")) as out:
        track = out.add_stream_from_template(read.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in read.demux(video=0) if p.size):
            written = av.Packet(bytes(packet) if not number else struct.pack(">I", len(unit)) + unit + bytes(packet))
            written.pts, written.dts, written.time_base = packet.pts, packet.dts, packet.time_base
            written.stream, written.is_keyframe = track, packet.is_keyframe
            out.mux(written)
    return target
