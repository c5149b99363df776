"""Clips with something unusual about them, made and mended packet by packet."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition
from clips import moving_frames, write_clip

FAST = {"crf": "12", "preset": "ultrafast"}
INTERLACED = {"crf": "8", "preset": "veryfast", "x264-params": "tff=1:interlaced=1"}
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
    """Of a whole file: the times of the pictures, and the number of sounds, whose bytes lie within the first ``size``."""
    with closing(av.open(str(path))) as container:
        whole = [p for p in container.demux() if p.pts is not None and p.pos + p.size <= size]
        return {p.pts for p in whole if p.stream.type == "video"}, sum(p.stream.type == "audio" for p in whole)


def rotted(source: Path, target: Path, seed: int, flips: int, part: tuple[float, float] = (0.3, 0.9)) -> Path:
    """A copy in which some bits of the media, in this part of it, are wrong."""
    data = bytearray(source.read_bytes())
    begin = data.index(b"mdat") + 4 if source.suffix in (".mp4", ".mov") else 2000
    low, high = (begin + int((len(data) - begin) * share) for share in part)
    rng = np.random.default_rng(seed)
    for place in rng.integers(low, high, flips):
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


def woven(count: int, size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    """Interlaced frames: a bar that moves 4 pixels from one field to the next, upper lines first."""
    width, height = size
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), 40, np.uint8)
        for field in (0, 1):
            left = 4 * (2 * number + field) % (width - 12)
            frame[field::2, left : left + 10] = 220
        frames.append(frame)
    return frames


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


def hdr_clip(path: Path, count: int = 3, *, transfer: int = PQ, frame: np.ndarray | None = None, **more: Any) -> Path:
    """10 bits of HEVC, tagged as HDR."""
    tags = {"color_trc": transfer, "color_primaries": BT2020, "colorspace": 9, "color_range": 1}
    options = {"crf": "4", "preset": "ultrafast", "x265-params": "log-level=error"}
    pictures = [ramp(256, 32) if frame is None else frame] * count
    convert = {"dst_colorspace": "BT2020"}
    return write_frames(path, pictures, "libx265", "yuv420p10le", options=options, tags=tags, convert=convert, **more)


def with_cover(path: Path, count: int = 8) -> Path:
    """A small video and a larger, still cover in one mp4."""
    film = write_clip(path.with_name("film.mp4"), moving_frames(count), options=FAST)
    cover = write_frames(path.with_name("cover.mp4"), [np.full((96, 128, 3), 200, np.uint8)], "mjpeg", "yuvj420p")
    with (
        closing(av.open(str(film))) as one,
        closing(av.open(str(cover))) as two,
        closing(av.open(str(path), "w")) as out,
    ):
        pictures = out.add_stream_from_template(one.streams.video[0], opaque=True)
        still: Any = out.add_stream_from_template(two.streams.video[0], opaque=True)
        still.disposition = Disposition.attached_pic
        for source, track in ((two, still), (one, pictures)):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
    return path


def two_tracks(path: Path, *, default: int, sizes: Sequence[tuple[int, int]] = ((64, 48), (96, 64))) -> Path:
    """Two films in one file, of which one is the default."""
    parts = [
        write_clip(path.with_name(f"part{i}{path.suffix}"), moving_frames(6, size), options=FAST)
        for i, size in enumerate(sizes)
    ]
    with closing(av.open(str(path), "w")) as out:
        sources = [av.open(str(part)) for part in parts]
        tracks: list[Any] = [out.add_stream_from_template(s.streams.video[0], opaque=True) for s in sources]
        for number, track in enumerate(tracks):
            track.disposition = Disposition.default if number == default else Disposition(0)
        for source, track in zip(sources, tracks, strict=True):
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = track
                    out.mux(packet)
            source.close()
    return path
