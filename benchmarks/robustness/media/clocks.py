"""Clocks and tracks: files as recorders and editors leave them, rendered unchanged, and what other readers see of them.

    python -m benchmarks.robustness.media.clocks [--only TEXT]

Each row makes a clip of one second, renders it, and measures one value of the result with PyAV or OpenCV. Exits 1 if a
row has another value than the right one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import harness
from benchmarks.robustness.media.running import Ran, run_vidtrans

SIZE, SOUND_HZ = (64, 48), 48_000


def film(path: str, video: str, sound: str = "", rate: Fraction = Fraction(25), **options: str) -> None:
    """A second of noise, with a tone; ``options`` of the muxer, or ``timecode``."""
    timecode = options.pop("timecode", "")
    with av.open(path, "w", options=options) as out:
        pictures: Any = out.add_stream(video, rate=rate)
        pictures.width, pictures.height, pictures.pix_fmt = *SIZE, "yuv420p"
        pictures.codec_context.max_b_frames = 0
        if timecode:
            pictures.metadata["timecode"] = timecode
        tone: Any = out.add_stream(sound, rate=SOUND_HZ, layout="mono") if sound else None
        packets = []
        for number in range(round(rate)):
            rgb = np.random.default_rng(number).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
            packets += pictures.encode(av.VideoFrame.from_ndarray(rgb, "rgb24"))
        packets += pictures.encode(None)
        if tone is not None:
            out.start_encoding()
            block, kind = tone.codec_context.frame_size or 1024, tone.codec_context.format.name
            for at in range(0, SOUND_HZ, block):
                wave = np.sin(np.arange(at, at + block) / 20)[None] / 3
                samples = (wave * 32767).astype(np.int16) if kind.startswith("s16") else wave.astype(np.float32)
                frame = av.AudioFrame.from_ndarray(samples, kind, "mono")
                frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, at, Fraction(1, SOUND_HZ)
                packets += tone.encode(frame)
            packets += tone.encode(None)
        for packet in sorted(packets, key=lambda p: p.dts * p.time_base):
            out.mux(packet)


def render(source: str, output: str, *more: str) -> Ran:
    return run_vidtrans(["stylize", source, "--model", "identity", "--json", *more, "-o", output], Path.cwd())


def num_samples(path: str) -> int:
    """The samples that a player plays."""
    with av.open(path) as container:
        return sum(frame.samples for frame in container.decode(audio=0))


# The rows: each returns what it measured


def start(name: str, video: str, sound: str) -> object:
    """The start of the earliest track, in ms."""
    film(name, video, sound, output_ts_offset="582")
    render(name, "o.mp4")
    with av.open("o.mp4") as container:
        return min(round(1000 * s.start_time * s.time_base) for s in container.streams if s.start_time is not None)


def hidden(sound: str, output: str) -> object:
    """Samples more than a player plays of the source, whose first 310 ms its edit list hides."""
    film("whole.mov", "mpeg4", sound)
    with av.open("whole.mov") as read, av.open("a.mov", "w") as out:
        tracks = {s.index: out.add_stream_from_template(s, opaque=True) for s in read.streams}
        for packet in [p for p in read.demux() if p.size]:
            moved = round(Fraction(31, 100) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - moved, packet.dts - moved, tracks[packet.stream_index]
            out.mux(packet)
    render("a.mov", output)
    return num_samples(output) - num_samples("a.mov")


def rate(source: str, output: str) -> object:
    """The rate that OpenCV sees of 30 frames whose times are whole milliseconds."""
    film(source, "libx264", rate=Fraction(30))
    render(source, output)
    return round(cv2.VideoCapture(output).get(cv2.CAP_PROP_FPS), 3)


def old_sound(codec: str, output: str) -> object:
    """Samples of a copy; or the remedy."""
    film("a.avi", "mpeg4", codec)
    ran = render("a.avi", output)
    return num_samples(output) - num_samples("a.avi") if ran.status == 0 else ran.error.partition(" — ")[2]


def font(output: str) -> object:
    """True if an attached font is copied, or named in a warning."""
    film("a.mkv", "libx264")
    with av.open("a.mkv") as read, av.open("b.mkv", "w") as out:
        track = out.add_stream_from_template(read.streams.video[0], opaque=True)
        out.add_attachment("letters.ttf", "font/ttf", b"not really")
        for packet in [p for p in read.demux() if p.size]:
            packet.stream = track
            out.mux(packet)
    ran = render("b.mkv", output)
    with av.open(output) as container:
        return bool(container.streams.attachments) or any("letters.ttf" in warning for warning in ran.warnings)


def timecode() -> object:
    """The timecode of a drop-frame clip of which every ninth frame is missing."""
    film("a.mov", "libx264", rate=Fraction(30_000, 1001), timecode="16:37:10;02")
    with av.open("a.mov") as read, av.open("b.mov", "w") as out:
        track = out.add_stream_from_template(read.streams.video[0], opaque=True)
        track.codec_context.framerate = Fraction(30_000, 1001)
        track.metadata["timecode"] = "16:37:10;02"
        packets = [p for p in read.demux(video=0) if p.size]
        for packet in [p for number, p in enumerate(packets) if number % 9 != 4]:
            packet.stream = track
            out.mux(packet)
    render("b.mov", "o.mov")
    with av.open("o.mov") as container:
        return container.streams.video[0].metadata.get("timecode")


ROWS: dict[str, tuple[Callable[[], object], object]] = {
    "clock: transport stream": (partial(start, "a.ts", "libx264", "aac"), 0),
    "clock: program stream": (partial(start, "a.vob", "mpeg2video", "ac3"), 0),
    "clock: recording in Matroska": (partial(start, "a.mkv", "libx264", "aac"), 0),
    "edit list: AAC to Matroska": (partial(hidden, "aac", "o.mkv"), 0),
    "edit list: PCM to Matroska": (partial(hidden, "pcm_s16le", "o.mkv"), 0),
    "edit list: AAC to MP4": (partial(hidden, "aac", "o.mp4"), 0),
    "rate: Matroska to Matroska": (partial(rate, "a.mkv", "o.mkv"), 30.0),
    "rate: Matroska to MP4": (partial(rate, "a.mkv", "o.mp4"), 30.0),
    "rate: raw H.264": (partial(rate, "a.h264", "o.mp4"), 30.0),
    "old sound: ADPCM to Matroska": (partial(old_sound, "adpcm_ms", "o.mkv"), 0),
    "old sound: ADPCM to MP4": (
        partial(old_sound, "adpcm_ms", "o.mp4"),
        "use -o with .mkv, or --set encoding.sound=none",
    ),
    "font: Matroska to Matroska": (partial(font, "o.mkv"), True),
    "font: Matroska to MP4": (partial(font, "o.mp4"), True),
    "timecode: frames missing": (timecode, "16:37:10;02"),
}


def main() -> int:
    parser = harness.parser(__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="only rows with this in their name")
    options = parser.parse_args()
    home, wrong = Path.cwd(), 0
    print(f"{'row':<32} {'measured':<52} right")
    for name, (measure, right) in ROWS.items():
        if options.only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="media-clocks-") as place:
            os.chdir(place)
            try:
                measured = measure()
            except (OSError, ValueError, av.error.FFmpegError) as error:
                measured = f"{type(error).__name__}: {error}"
            finally:
                os.chdir(home)
        wrong += measured != right
        print(f"{name:<32} {measured!s:<52} {right}", flush=True)
    print(f"{wrong} rows have another value than the right one", file=sys.stderr)
    return int(wrong > 0)


if __name__ == "__main__":
    harness.run(main)
