"""What all parts of the benchmark share: clips, the command, and rows of the table."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path

import av

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

    def write_clip(self, path: Path, frames: int, first: int = 0) -> None:
        """Write a part of the clip, 128 lines high, which is gone through again where it is too short."""
        shown = self._shown
        with closing(av.open(str(path), "w")) as out:
            stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
            stream.width, stream.height, stream.pix_fmt = shown[0].width, shown[0].height, "yuv420p"
            for number in range(frames):
                frame = shown[(first + number) % len(shown)]
                frame.pts, frame.time_base = number, Fraction(1, 25)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))

    @cached_property
    def _shown(self) -> list[av.VideoFrame]:
        """Return the clip's first frames, small."""
        with closing(av.open(str(self.clip))) as container:
            frames = islice(container.decode(video=0), self.num_frames)
            return [f.reformat(height=128, width=f.width * 128 // f.height // 2 * 2) for f in frames]

    def write_clips(self, folder: Path, count: int, frames: int, broken: Sequence[int] = ()) -> None:
        """Write ``count`` clips; those of the numbers in ``broken`` are none."""
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            path = folder / f"{number:03d}.mp4"
            if number in broken:
                path.write_bytes(b"no video")
            else:
                self.write_clip(path, frames, 7 * number)


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment, in which the programs of its Python are found first."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **variables}


def vidtrans(*arguments: object, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder."""
    command = [sys.executable, "-m", "vidtrans", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment(**variables), capture_output=True, text=True, check=False
    )


def same(one: Path, other: Path) -> str:
    """Return whether two files have the same bytes, in words."""
    if not one.exists():
        return "no result"
    return "the same bytes" if one.read_bytes() == other.read_bytes() else "OTHER bytes"
