"""Clips that the tests make themselves: small, with content whose motion and place in time are known."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np

if TYPE_CHECKING:
    from vidtrans.video.io.clip import Frame


def scene(width: int, height: int, seed: int) -> np.ndarray:
    """A smooth random background, (H, W, 3) uint8: enough texture for flow, little enough for codecs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (max(3, height // 8), max(3, width // 8), 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def moving_frames(num_frames: int, size: tuple[int, int] = (64, 48), shots: Sequence[int] = (0,)) -> list[np.ndarray]:
    """Frames (H, W, 3) uint8: a disc that crosses a background. A new background begins at each of ``shots``."""
    width, height = size
    frames = []
    for i in range(num_frames):
        shot = max(k for k, first in enumerate(shots) if first <= i)
        frame = scene(width, height, seed=shot).copy()
        centre = (int(width * (0.2 + 0.6 * ((i * 0.03) % 1))), int(height * (0.5 + 0.2 * np.sin(i / 5))))
        cv2.circle(frame, centre, max(3, height // 6), (230, 60, 40), -1, cv2.LINE_AA)
        frames.append(frame)
    return frames


def write_clip(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 15360),
    rate: int = 30,
    sound: bool = False,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames, by default at a constant ``rate`` from 0, or at ``pts`` (in ``time_base``); maybe with a tone."""
    height, width = frames[0].shape[:2]
    step = int(1 / (rate * time_base))
    stamps = list(pts) if pts is not None else [i * step for i in range(len(frames))]
    mov = path.suffix in (".mp4", ".mov")
    muxing = {"video_track_timescale": str(time_base.denominator)} if mov else {}
    with closing(av.open(str(path), "w", options=muxing)) as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {"crf": "12", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.time_base = time_base
        audio: Any = container.add_stream("aac", rate=44100, layout="mono") if sound else None
        for frame, stamp in zip(frames, stamps, strict=True):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture = picture.reformat(format=pix_fmt)
            picture.pts, picture.time_base = stamp, time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if audio is not None:
            seconds = float((stamps[-1] + step - stamps[0]) * time_base)
            for packet in _tone(audio, seconds):
                container.mux(packet)
    return path


def write_folder(folder: Path, frames: Sequence[np.ndarray], names: Sequence[str] | None = None) -> Path:
    """Frames as the pictures of a folder, by default 0.png, 1.png … 10.png: in order only if numbers are numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in zip(names or [f"{i}.png" for i in range(len(frames))], frames, strict=True):
        cv2.imwrite(str(folder / name), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR) if frame.ndim == 3 else frame)
    return folder


def pictures_of(path: Path) -> dict[str, np.ndarray]:
    """An independent look into a folder of pictures, or at one: RGB by name."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {f.name: cv2.cvtColor(cv2.imread(str(f)), cv2.COLOR_BGR2RGB) for f in files}


def _tone(audio: Any, seconds: float) -> list[Any]:
    rate, block, packets = 44100, 1024, []
    for at in range(0, int(seconds * rate), block):
        t = (at + np.arange(block)) / rate
        samples = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        packets += audio.encode(frame)
    return packets + audio.encode(None)


def decode(path: Path) -> tuple[list[int], Fraction, list[np.ndarray]]:
    """An independent count: (PTS, time base, RGB frames) by PyAV's plain decoding."""
    with closing(av.open(str(path))) as container:
        stream = container.streams.video[0]
        frames = [(f.pts, f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
        assert stream.time_base is not None
        return [int(p or 0) for p, _ in frames], stream.time_base, [rgb for _, rgb in frames]


def times(path: Path) -> list[Fraction]:
    """Presentation times in seconds, exact."""
    pts, base, _ = decode(path)
    return [p * base for p in pts]


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """(time in seconds, bytes) of every sound packet."""
    with closing(av.open(str(path))) as container:
        if not container.streams.audio:
            return []
        stream = container.streams.audio[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.pts is not None]


def numbered(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Frames with their number written across the top, as eight black or white squares."""
    for number, frame in enumerate(frames):
        for bit in range(8):
            frame[:7, 7 * bit : 7 * bit + 7] = 255 * (number >> bit & 1)
    return list(frames)


def same_frames(a: Sequence[Frame], b: Sequence[Frame]) -> bool:
    """Whether both are the same frames: numbers, times and pixels."""
    alike = ((x.index, x.pts) == (y.index, y.pts) and np.array_equal(x.rgb, y.rgb) for x, y in zip(a, b, strict=False))
    return len(a) == len(b) and all(alike)


def number_in(rgb: np.ndarray) -> int:
    return sum(int(rgb[2:5, 7 * bit + 2 : 7 * bit + 5].mean() > 127) << bit for bit in range(8))
