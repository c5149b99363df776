"""A world with many looks of the same frames: a clip, graded in twelve ways that are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.settings import Size
from vidtrans.grading.fitting import Operators
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.reader import ClipReader

NUM_LOOKS, SIDE, FRAMES = 12, 96, 150
HELD_OUT = 0.2  # share of the frames, at the clip's end, of which nothing is learned


@dataclass(frozen=True)
class World:
    """Folders of graded pictures to learn from, and frames (H, W, 3) uint8 that are in none, with their grades."""

    folders: list[Path]
    frames: list[np.ndarray]
    grades: list[Operators]

    def target(self, frame: np.ndarray, look: int) -> np.ndarray:
        return graded(frame, self.grades[look])


def drawn_grades(seed: int) -> list[Operators]:
    """Draw strong grades: a stop of light, casts, curves, contrast and colour."""
    rng = np.random.default_rng(seed)
    spreads = np.array([0.7, 1.0, 0.4, 0.25, 0.25, 0.25, 0.06, 0.06, 0.06, 0.25, 0.5])
    return [Operators(*(rng.standard_normal(len(spreads)) * spreads)) for _ in range(NUM_LOOKS)]


def graded(frame: np.ndarray, grade: Operators) -> np.ndarray:
    return np.rint(255 * np.clip(grade(frame / 255.0), 0, 1)).astype(np.uint8)


def make_world(clip: Path, folder: Path, seed: int = 0) -> World:
    """Write a clip's frames in each look, and return those that were held out."""
    with ClipReader(clip, FrameFormat(Size(short=SIDE))) as reader:
        frames = [frame.rgb for frame in reader.frames()]
    frames = [frames[n] for n in spread_numbers(len(frames), min(FRAMES, len(frames)))]
    known = round(len(frames) * (1 - HELD_OUT))
    grades, folders = drawn_grades(seed), []
    for number, grade in enumerate(grades):
        folders.append(folder / f"look{number:02d}")
        for at, frame in enumerate(frames[:known]):
            path = folders[-1] / f"{at:04d}.png"
            if not path.exists():
                write_picture(path, graded(frame, grade))
    return World(folders, frames[known:], grades)
