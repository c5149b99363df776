"""Clips whose frames show their numbers as a pattern, and what a file shows."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

VARIABLE = "phone"  # in the names of videos with a variable rate
SIDE, CELLS = 32, 4  # pixels of a frame, cells in a row; each cell is a bit


def picture(number: int, side: int = SIDE) -> np.ndarray:
    """Return a grey picture (H, W, 3; uint8) whose 16 cells are the bits of a number."""
    bits = [(number >> bit & 1) for bit in range(CELLS * CELLS)]
    grid = np.array(bits, np.uint8).reshape(CELLS, CELLS) * 170 + 40
    return np.repeat(np.kron(grid, np.ones((side // CELLS, side // CELLS), np.uint8))[..., None], 3, axis=2)


def number_of(rgb: np.ndarray) -> int:
    """Return the number that a picture shows."""
    side = rgb.shape[0] // CELLS
    middle = rgb[side // 2 :: side, side // 2 :: side, 1]
    return int(sum(1 << bit for bit, value in enumerate(middle.reshape(-1)) if value > 120))


def write_numbered(path: Path, numbers: list[int] | range, rate: Fraction | int | str, timecode: str = "") -> Path:
    """Write a video of numbered frames, losslessly, with a timecode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1" if path.suffix == ".mkv" else "png", rate=Fraction(rate))
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p" if path.suffix == ".mkv" else "rgb24"
        if timecode:
            stream.metadata["timecode"] = timecode
        for number in numbers:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(stream.encode())
    return path


def write_timed(path: Path, numbers: list[int] | range, pts: Sequence[int], base: Fraction, timecode: str = "") -> Path:
    """Write a QuickTime video of numbered frames at these times, in units of ``base`` seconds, losslessly."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mov") as container:
        stream = container.add_stream("png", rate=30)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = SIDE, SIDE, "rgb24", base
        stream.codec_context.time_base = base
        if timecode:
            stream.metadata["timecode"] = timecode
        for number, time in zip(numbers, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def times_in(path: Path) -> list[Fraction]:
    """Return the times of the frames of a video, in seconds from the first one."""
    with av.open(str(path)) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    return [time - times[0] for time in times]


_SHOWN: dict[tuple[str, float], list[int]] = {}


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of all frames of a video, or of the picture in a file."""
    key = str(path), path.stat().st_mtime
    if key not in _SHOWN:
        with av.open(str(path)) as container:
            _SHOWN[key] = [number_of(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return _SHOWN[key]
