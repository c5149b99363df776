"""Clips that benchmarks read and write. Frames are (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

import vidtrans
from benchmarks.harness import Missing, need
from vidtrans.core.errors import VidtransError
from vidtrans.core.settings import Size
from vidtrans.rendering.benchmark import pictures
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.pictures import open_reader

SHIPPED = Path(vidtrans.__file__).parent / "assets" / "flower.mp4"
LOSSLESS = {"codec": "ffv1"}


@dataclass(frozen=True)
class Span:
    """Frames of one shot of a clip of the data set: ``first`` is the first one's number, ``count`` how many at most."""

    path: str
    first: int = 0
    count: int | None = None


def read_frames(
    path: Path, first: int = 0, count: int | None = None, *, short: int | None = None, least: int = 1
) -> list[np.ndarray]:
    """Return up to ``count`` frames from ``first`` on. Raises Missing.

    ``short``: the short side to scale to, in pixels. ``least``: the number of frames below which Missing is raised.
    """
    form = FrameFormat() if short is None else FrameFormat(Size(short=short))
    try:
        with open_reader(need(path), form) as reader:
            found = reader.frames(first, None if count is None else first + count)
            taken = [np.ascontiguousarray(frame.rgb) for frame in found]
    except VidtransError as error:
        raise Missing(str(error)) from None
    if len(taken) < least:
        raise Missing(f"{path} has only {len(taken)} frames from {first} on")
    return taken


def middle_square(rgb: np.ndarray, side: int) -> np.ndarray:
    """Return the middle square of a picture, scaled to (side, side, 3)."""
    height, width = rgb.shape[:2]
    scale = side / min(height, width)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    x, y = (size[0] - side) // 2, (size[1] - side) // 2
    return np.ascontiguousarray(rgb[y : y + side, x : x + side])


def square_frames(clip: Path | None, side: int, made_up: int = 120) -> list[np.ndarray]:
    """Return the middle squares of a clip's frames, or frames of a moving texture where there is no clip."""
    if clip is None:
        return list(pictures(side, side, made_up))
    return [middle_square(frame, side) for frame in read_frames(clip)]


def write_clip(path: Path, frames: Iterable[np.ndarray], rate: int = 25, *, tone: bool = False, **options: str) -> Path:
    """Write frames of an even size as H.264, with a tone for sound if asked for; ``options`` are x264's."""
    frames = list(frames)
    with closing(av.open(str(path), "w")) as out:
        video = out.add_stream("libx264", rate=rate, options={"preset": "ultrafast", **options})
        video.width, video.height, video.pix_fmt = frames[0].shape[1], frames[0].shape[0], "yuv420p"
        audio = out.add_stream("aac", rate=44100, layout="mono") if tone else None
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            picture.pts, picture.time_base = number, Fraction(1, rate)
            out.mux(video.encode(picture))
        out.mux(video.encode(None))
        if audio:
            wave = 0.2 * np.sin(2 * np.pi * 220 * np.arange(44100 * len(frames) // rate) / 44100)
            for at in range(0, len(wave), 1024):
                block = av.AudioFrame.from_ndarray(wave[None, at : at + 1024].astype(np.float32), "fltp", "mono")
                block.sample_rate, block.pts = 44100, at
                out.mux(audio.encode(block))
            out.mux(audio.encode(None))
    return path


def write_folder(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write frames as numbered PNG files of a folder, unless it is there."""
    if not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        for number, frame in enumerate(frames):
            write_picture(part / f"{number:05d}.png", frame)
        part.rename(folder)
    return folder


def render_frames(
    frames: Sequence[np.ndarray], model: str | Path, folder: Path, cache: Path, *, size: str = "source", look: str = ""
) -> list[np.ndarray]:
    """Return each frame as a model renders it by itself, lossless. ``folder`` is for what goes in and comes out.

    Raises Missing where it cannot be rendered.
    """
    output = folder.with_suffix(".mkv")
    rendering = {"cuts": "off", **({"size": size} if size else {}), **({"look": look} if look else {})}
    settings = {"encoding": LOSSLESS, "temporal": {"name": "off"}, "rendering": rendering}
    try:
        source = write_folder(folder, frames)
        vidtrans.stylize(source, model, output, settings=settings, cache_dir=cache, device="cpu", overwrite=True)
    except VidtransError as error:
        raise Missing(f"{model}: {error}") from None
    return read_frames(output)
