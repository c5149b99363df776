"""An independent look at media files, for the benchmarks: the ffprobe program, and where it fails PyAV's plain decode.

Nothing of vidtrans is used here. PyAV and numpy run in a process of their own (``python media_look.py count …``), so
that the process which measures others stays small.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

LIMIT_S = 300


class NoLook(Exception):
    """The file could not be looked at; says why."""


@dataclass(frozen=True)
class Packet:
    """A sound packet: its time in seconds, as the demuxer shows it after edit lists, and the SHA-256 of its bytes."""

    time_s: Fraction | None
    digest: str


@dataclass(frozen=True)
class Look:
    """What an independent decoder showed: ``times_s`` in order of presentation, None where a frame has no time."""

    by: str
    stream: int
    times_s: tuple[Fraction | None, ...]
    width: int
    height: int
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    pix_fmt: str = ""
    colour: tuple[str, str, str] = ("unknown", "unknown", "unknown")  # matrix, range, transfer
    tracks: tuple[tuple[Packet, ...], ...] = ()
    interlaced: bool = False

    @property
    def orderly(self) -> bool:
        """Whether every frame has a time, and each is later than the one before."""
        return increases(self.times_s)

    @property
    def display_aspect(self) -> Fraction:
        """Width to height as it is shown, upright."""
        shown = Fraction(self.width, max(1, self.height)) * self.sample_aspect_ratio
        return 1 / shown if self.rotation % 180 and shown else shown


def increases(times_s: Sequence[Fraction | None]) -> bool:
    return None not in times_s and all(a < b for a, b in itertools.pairwise(times_s))  # type: ignore[operator]


def ffprobe(path: Path, *options: str) -> dict[str, Any]:
    """What ffprobe says, as JSON. One thread: on damaged files frame threads differ from run to run."""
    program = shutil.which("ffprobe")
    if program is None:
        raise NoLook("there is no ffprobe program on PATH")
    command = [program, "-v", "error", "-threads", "1", *options, "-of", "json", f"file:{path}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NoLook(f"ffprobe took more than {LIMIT_S} s") from None
    told: dict[str, Any] = json.loads(done.stdout.decode(errors="replace") or "{}")
    if done.returncode and not told:
        raise NoLook(f"ffprobe: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    return told


def look_at(path: Path, stream: int | None = None, *, pictures: bool = True, by_pyav: bool = False) -> Look:
    """Decode a file's picture stream and read its sound packets. Raises NoLook.

    ``stream``: its number in the file; without it the first one that is no cover art. ``pictures``: whether to
    decode; without that ``times_s`` is empty. ``by_pyav``: let PyAV decode, whatever ffprobe can do.
    """
    try:
        streams = ffprobe(path, "-show_streams").get("streams", [])
    except NoLook:
        streams = []
    videos = picture_streams(streams)
    if not videos:
        return _by_pyav(path, -1 if stream is None else stream) if pictures else _nothing(path)
    chosen = next((s for s in videos if s["index"] == stream), videos[0])
    look = replace(_described(chosen), tracks=_sound(path, streams))
    if not pictures:
        return look
    found = () if by_pyav else _frames(path, chosen)
    if found:
        times = tuple(_time(f.get("pts"), chosen["time_base"]) for f in found)
        return replace(look, times_s=times, interlaced=any(f.get("interlaced_frame") for f in found))
    plain = _by_pyav(path, chosen["index"])
    return replace(look, by=plain.by, times_s=plain.times_s, width=plain.width, height=plain.height)


def picture_streams(streams: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of ffprobe's streams that are pictures, and no cover art."""
    return [
        s for s in streams if s.get("codec_type") == "video" and not s.get("disposition", {}).get("attached_pic", 0)
    ]


def num_picture_streams(path: Path) -> int:
    try:
        return len(picture_streams(ffprobe(path, "-show_streams").get("streams", [])))
    except NoLook:
        return 0


def _nothing(path: Path) -> Look:
    raise NoLook(f"ffprobe finds no picture stream in {path.name}")


def _time(pts: int | None, time_base: str) -> Fraction | None:
    return None if pts is None else pts * Fraction(time_base)


def _frames(path: Path, stream: dict[str, Any]) -> list[dict[str, Any]]:
    entries = "frame=pts,interlaced_frame"
    try:
        told = ffprobe(path, "-select_streams", str(stream["index"]), "-show_entries", entries, "-show_frames")
    except NoLook:
        return []
    return [f for f in told.get("frames", []) if f.get("media_type", "video") == "video"]


def _described(stream: dict[str, Any]) -> Look:
    turns = [s["rotation"] for s in stream.get("side_data_list", []) if "rotation" in s]
    aspect = stream.get("sample_aspect_ratio", "1:1").replace(":", "/")
    exact = Fraction(aspect) if not aspect.endswith("/0") else Fraction(0)
    return Look(
        by="ffprobe",
        stream=stream["index"],
        times_s=(),
        width=stream.get("width", 0),
        height=stream.get("height", 0),
        sample_aspect_ratio=exact or Fraction(1),
        rotation=round(turns[0]) if turns else 0,
        pix_fmt=stream.get("pix_fmt", ""),
        colour=tuple(stream.get(k, "unknown") for k in ("color_space", "color_range", "color_transfer")),
    )


def _sound(path: Path, streams: Sequence[dict[str, Any]]) -> tuple[tuple[Packet, ...], ...]:
    """The packets of every sound track of a known codec: nothing else can be copied by anyone."""
    tracks: dict[int, list[Packet]] = {
        s["index"]: []
        for s in streams
        if s.get("codec_type") == "audio" and s.get("codec_name", "unknown") != "unknown"
    }
    if not tracks:
        return ()
    bases = {s["index"]: s["time_base"] for s in streams}
    told = ffprobe(path, "-select_streams", "a", "-show_data_hash", "sha256", "-show_packets")
    for packet in told.get("packets", []):
        at = packet["stream_index"]
        if at in tracks:
            tracks[at].append(Packet(_time(packet.get("pts"), bases[at]), packet.get("data_hash", "")))
    return tuple(tuple(packets) for packets in tracks.values())


def _by_pyav(path: Path, stream: int) -> Look:
    told = _elsewhere("count", str(path), str(stream))
    times = tuple(_time(pts, told["time_base"]) for pts in told["pts"])
    return Look("PyAV", told["stream"], times, told["width"], told["height"])


def _decode_plainly(path: str, number: int) -> dict[str, Any]:
    """PyAV's own decoding of a stream (-1: the first), without options: the count, not the pictures."""
    import av

    with av.open(f"file:{path}") as container:
        stream = container.streams.video[0] if number < 0 else container.streams[number]
        pts = [frame.pts for frame in container.decode(stream)]
        size = {"width": stream.width, "height": stream.height}
        return {"stream": stream.index, "pts": pts, "time_base": str(stream.time_base), **size}


@dataclass(frozen=True)
class Alignment:
    """How the sound lies to the pictures in an output, against its source, both counted from frame to frame."""

    num_packets: int
    same_bytes: bool
    offset_ms: float  # change of (sound − picture) at the first packet and frame
    drift_ms: float  # by how much that change grew until the last packet and frame


def alignment(source: Look, output: Look, track: int = 0, first: int = 0) -> Alignment | None:
    """Compare one sound track; ``first``: the source's frame that is the output's first. None: nothing to compare.

    Packets are found again by their bytes, so it does not matter what a container says of a track's start.
    """
    if len(source.tracks) <= track or len(output.tracks) <= track or not output.tracks[track] or not output.times_s:
        return None
    before, after = source.tracks[track], output.tracks[track]
    digests = [p.digest for p in after]
    whole = [p.digest for p in before]
    at = next((i for i in range(len(whole) - len(digests) + 1) if whole[i : i + len(digests)] == digests), None)
    if at is None:
        return Alignment(len(after), False, float("nan"), float("nan"))
    stretch = before[at : at + len(after)]
    frames = source.times_s[first : first + len(output.times_s)]
    if len(frames) != len(output.times_s) or None in (frames[0], frames[-1], stretch[0].time_s, stretch[-1].time_s):
        return Alignment(len(after), True, float("nan"), float("nan"))
    begins = _moved(after[0].time_s, stretch[0].time_s) - _moved(output.times_s[0], frames[0])
    ends = _moved(after[-1].time_s, stretch[-1].time_s) - _moved(output.times_s[-1], frames[-1])
    return Alignment(len(after), True, float(begins * 1000), float((ends - begins) * 1000))


def _moved(after: Fraction | None, before: Fraction | None) -> Fraction:
    assert after is not None
    assert before is not None
    return after - before


def pixel_difference(source: Path, before: Look, output: Path, after: Look) -> float | None:
    """The largest mean difference, of 255, over three frames decoded by the ffmpeg program; None: not comparable."""
    plain = all(matrix_of(look) for look in (before, after)) and not before.rotation and not before.interlaced
    if not plain or (before.width, before.height) != (after.width, after.height) or not shutil.which("ffmpeg"):
        return None
    last = len(after.times_s) - 1
    numbers = sorted({0, last // 2, last})
    files = [[str(path), json.dumps(_colours(look))] for path, look in ((source, before), (output, after))]
    return float(_elsewhere("pixels", json.dumps(numbers), *files[0], *files[1])["mean"])


def matrix_of(look: Look) -> str | None:
    """The matrix to decode 8-bit pictures with: of the tag, else by the number of lines; None: other pictures."""
    if look.pix_fmt in RGB_PLACES:
        return "rgb"
    if look.pix_fmt.replace("yuvj", "yuv") not in CHROMA_STEPS or look.colour[2] in ("smpte2084", "arib-std-b67"):
        return None
    untagged = "bt709" if look.height >= 720 else "bt601"
    return untagged if look.colour[0] in ("unknown", "unspecified", "reserved") else MATRICES.get(look.colour[0])


CHROMA_STEPS = {"yuv420p": (2, 2), "yuv422p": (2, 1), "yuv444p": (1, 1)}  # across, down
RGB_PLACES = {"rgb24": (3, 0, 1, 2), "bgr24": (3, 2, 1, 0), "bgr0": (4, 2, 1, 0)}
MATRICES = {"bt709": "bt709", "smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020", "fcc": "fcc"}
RED_BLUE = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114), "bt2020": (0.2627, 0.0593), "fcc": (0.30, 0.11)}


def _colours(look: Look) -> dict[str, Any]:
    full = look.colour[1] == "pc" or look.pix_fmt.startswith("yuvj")
    size = {"stream": look.stream, "width": look.width, "height": look.height}
    return {"matrix": matrix_of(look), "full": full, "pix_fmt": look.pix_fmt, **size}


def decode_rgb(path: Path, look: Look, numbers: Sequence[int]) -> Any:
    """Frames of these numbers: (n, H, W, 3) float in 0 … 255. The ffmpeg program decodes, nothing of it converts.

    The matrix and the range are those of the file's tags, the arithmetic is that of the standards, chroma lies where
    H.264 puts it (left). Raises NoLook.
    """
    return _decode_rgb(str(path), _colours(look), numbers)


def _decode_rgb(path: str, colours: dict[str, Any], numbers: Sequence[int]) -> Any:
    import numpy as np

    chosen = "+".join(f"eq(n\\,{n})" for n in numbers)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-noautorotate", "-i", f"file:{path}"]
    command += ["-map", f"0:{colours['stream']}", "-vf", f"select={chosen}", "-vsync", "0"]
    command += ["-f", "rawvideo", "-pix_fmt", colours["pix_fmt"], "-"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoLook(f"ffmpeg: {error}") from None
    flat, count = np.frombuffer(done.stdout, np.uint8), len(numbers)
    if not len(flat) or len(flat) % count:
        raise NoLook(f"ffmpeg gave {len(flat)} bytes for {count} frames: {done.stderr.decode(errors='replace')[-200:]}")
    return np.stack([_to_rgb(raw, colours) for raw in flat.reshape(count, -1)])


def _to_rgb(raw: Any, colours: dict[str, Any]) -> Any:
    """The bytes of one picture to (H, W, 3) float."""
    import numpy as np

    width, height, pix_fmt = colours["width"], colours["height"], colours["pix_fmt"].replace("yuvj", "yuv")
    if pix_fmt in RGB_PLACES:
        channels, *places = RGB_PLACES[pix_fmt]
        return raw.reshape(height, width, channels)[..., places].astype(np.float32)
    across, down = CHROMA_STEPS[pix_fmt]
    small = (-(-height // down), -(-width // across))
    planes = np.split(raw.astype(np.float32), [height * width, height * width + small[0] * small[1]])
    y = planes[0].reshape(height, width)
    u, v = (_upsampled(plane.reshape(small) - 128, width, height, across, down) for plane in planes[1:])
    if not colours["full"]:
        y, u, v = (y - 16) * (255 / 219), u * (255 / 224), v * (255 / 224)
    red, blue = RED_BLUE[colours["matrix"]]
    green = 1 - red - blue
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.clip(np.stack([r, (y - red * r - blue * b) / green, b], axis=-1), 0, 255)


def _upsampled(plane: Any, width: int, height: int, across: int, down: int) -> Any:
    """A chroma plane at the size of luma, linearly between samples; across they lie on even columns."""
    import numpy as np

    for axis, size, step, shift in ((1, width, across, 0.0), (0, height, down, (down - 1) / 2)):
        at = np.clip((np.arange(size) - shift) / step, 0, plane.shape[axis] - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, plane.shape[axis] - 1)
        share = (at - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share[None]
        plane = np.take(plane, low, axis) * (1 - share) + np.take(plane, high, axis) * share
    return plane


def _elsewhere(*arguments: str) -> dict[str, Any]:
    """One of this module's tasks in a process of its own. Raises NoLook."""
    try:
        done = subprocess.run([sys.executable, str(Path(__file__)), *arguments], capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NoLook(f"PyAV took more than {LIMIT_S} s") from None
    if done.returncode:
        raise NoLook("".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:]))
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _compare_pixels(numbers: str, source: str, before: str, output: str, after: str) -> dict[str, Any]:
    import numpy as np

    wanted = json.loads(numbers)
    one = _decode_rgb(source, json.loads(before), wanted)
    other = _decode_rgb(output, json.loads(after), wanted)
    return {"mean": float(np.abs(one - other).mean(axis=(1, 2, 3)).max())}


if __name__ == "__main__":
    if sys.argv[1] == "count":
        print(json.dumps(_decode_plainly(sys.argv[2], int(sys.argv[3]))))
    else:
        print(json.dumps(_compare_pixels(*sys.argv[2:7])))
