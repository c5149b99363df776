"""What all parts of the benchmark share: clips, the command, and rows of the table."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.clips import read_frames, write_clip

THREADS = {"OMP_NUM_THREADS": "1"}
CHUNK = ("--set", "rendering.chunk_frames=30")


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    what: str
    result: str
    seconds: float | None = None


@dataclass(frozen=True)
class Work:
    """The clip, a folder for all that is made, and how much of it there is to do."""

    clip: Path
    folder: Path
    num_frames: int
    num_clips: int
    model: str

    def fresh(self, name: str) -> Path:
        """Return an empty folder."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place

    @cached_property
    def _shown(self) -> list[np.ndarray]:
        """Return the clip's first frames, 128 lines high."""
        frames = read_frames(self.clip, 0, self.num_frames, short=128)
        return [frame[: frame.shape[0] // 2 * 2, : frame.shape[1] // 2 * 2] for frame in frames]

    def write_clip(self, path: Path, frames: int, first: int = 0) -> None:
        """Write a part of the clip, which begins again where it is too short."""
        shown = self._shown
        write_clip(path, [shown[(first + number) % len(shown)] for number in range(frames)])

    def write_clips(self, folder: Path, count: int, frames: int, broken: Sequence[int] = ()) -> None:
        """Write ``count`` clips; those of the numbers in ``broken`` are none."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = folder / f"{number:03d}.mp4"
            if number in broken:
                path.write_bytes(b"no video")
            else:
                self.write_clip(path, frames, 7 * number)


def same(one: Path, other: Path) -> str:
    """Return whether two files have the same bytes, in words."""
    if not one.exists():
        return "no result"
    return "the same bytes" if one.read_bytes() == other.read_bytes() else "OTHER bytes"
