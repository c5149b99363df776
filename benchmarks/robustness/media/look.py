"""An independent look at media files, for the benchmarks: the ffprobe program, and where it fails PyAV's plain decode.

Nothing of vidtrans is used here. PyAV runs in a process of its own (``python look.py FILE STREAM``), so
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

LIMIT_S = 900


class NoLook(Exception):
    """The file could not be looked at; says why."""


@dataclass(frozen=True)
class Packet:
    """A sound packet: its time in seconds, as the demuxer shows it after edit lists, and the SHA-256 of its bytes."""

    time_s: Fraction | None
    digest: str


@dataclass(frozen=True)
class MediaLook:
    """What an independent decoder showed: ``times_s`` in order of presentation, None where a frame has no time."""

    by: str
    stream: int
    times_s: tuple[Fraction | None, ...]
    width: int
    height: int
    sample_aspect_ratio: Fraction = Fraction(1)
    rotation: int = 0
    tracks: tuple[tuple[Packet, ...], ...] = ()

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
    properties: dict[str, Any] = json.loads(done.stdout.decode(errors="replace") or "{}")
    if done.returncode and not properties:
        raise NoLook(f"ffprobe: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
    return properties


def look_at(path: Path, stream: int | None = None, *, by_pyav: bool = False) -> MediaLook:
    """Decode a file's picture stream and read its sound packets. Raises NoLook.

    ``stream``: its number in the file; without it the first one that is no cover art. ``by_pyav``: let PyAV decode,
    whatever ffprobe can do.
    """
    try:
        streams = ffprobe(path, "-show_streams").get("streams", [])
    except NoLook:
        streams = []
    videos = picture_streams(streams)
    if not videos:
        return _by_pyav(path, -1 if stream is None else stream)
    chosen = next((s for s in videos if s["index"] == stream), videos[0])
    look = replace(_described(chosen), tracks=_sound(path, streams))
    found = () if by_pyav else _frames(path, chosen)
    if found:
        return replace(look, times_s=tuple(_time(f.get("pts"), chosen["time_base"]) for f in found))
    plain = _by_pyav(path, chosen["index"])
    return replace(look, by=plain.by, times_s=plain.times_s, width=plain.width, height=plain.height)


def in_own_process(script: Path, *arguments: str) -> dict[str, Any]:
    """What a script prints, as JSON. Raises NoLook."""
    try:
        done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise NoLook(f"{script.name} took more than {LIMIT_S} s") from None
    if done.returncode:
        raise NoLook("".join(done.stderr.decode(errors="replace").strip().splitlines()[-1:]))
    properties: dict[str, Any] = json.loads(done.stdout)
    return properties


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


def _time(pts: int | None, time_base: str) -> Fraction | None:
    return None if pts is None else pts * Fraction(time_base)


def _frames(path: Path, stream: dict[str, Any]) -> list[dict[str, Any]]:
    entries = "frame=pts"
    try:
        properties = ffprobe(path, "-select_streams", str(stream["index"]), "-show_entries", entries, "-show_frames")
    except NoLook:
        return []
    return [f for f in properties.get("frames", []) if f.get("media_type", "video") == "video"]


def _described(stream: dict[str, Any]) -> MediaLook:
    turns = [s["rotation"] for s in stream.get("side_data_list", []) if "rotation" in s]
    aspect = stream.get("sample_aspect_ratio", "1:1").replace(":", "/")
    exact = Fraction(aspect) if not aspect.endswith("/0") else Fraction(0)
    return MediaLook(
        by="ffprobe",
        stream=stream["index"],
        times_s=(),
        width=stream.get("width", 0),
        height=stream.get("height", 0),
        sample_aspect_ratio=exact or Fraction(1),
        rotation=round(turns[0]) if turns else 0,
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
    properties = ffprobe(path, "-select_streams", "a", "-show_data_hash", "sha256", "-show_packets")
    for packet in properties.get("packets", []):
        at = packet["stream_index"]
        if at in tracks:
            tracks[at].append(Packet(_time(packet.get("pts"), bases[at]), packet.get("data_hash", "")))
    return tuple(tuple(packets) for packets in tracks.values())


def _by_pyav(path: Path, stream: int) -> MediaLook:
    properties = in_own_process(Path(__file__), str(path), str(stream))
    times = tuple(_time(pts, properties["time_base"]) for pts in properties["pts"])
    return MediaLook("PyAV", properties["stream"], times, properties["width"], properties["height"])


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

    same_bytes: bool
    offset_ms: float  # change of (sound − picture) at the first packet and frame
    drift_ms: float  # by how much that change grew until the last packet and frame


def alignment(source: MediaLook, output: MediaLook, track: int = 0, first: int = 0) -> Alignment | None:
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
        return Alignment(False, float("nan"), float("nan"))
    stretch = before[at : at + len(after)]
    frames = source.times_s[first : first + len(output.times_s)]
    if len(frames) != len(output.times_s) or None in (frames[0], frames[-1], stretch[0].time_s, stretch[-1].time_s):
        return Alignment(True, float("nan"), float("nan"))
    begins = _moved(after[0].time_s, stretch[0].time_s) - _moved(output.times_s[0], frames[0])
    ends = _moved(after[-1].time_s, stretch[-1].time_s) - _moved(output.times_s[-1], frames[-1])
    return Alignment(True, float(begins * 1000), float((ends - begins) * 1000))


def _moved(after: Fraction | None, before: Fraction | None) -> Fraction:
    assert after is not None
    assert before is not None
    return after - before


if __name__ == "__main__":
    print(json.dumps(_decode_plainly(sys.argv[1], int(sys.argv[2]))))
