"""A clip and its plain look, and what a directed render of it must show: shared by the tests of masks and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from clips import moving_frames, write_clip

from vidtrans.pipeline.blend import Blend

Frames = list[np.ndarray]
COUNT = 24
# At the source's size and without a filter, what a plain render shows is the look itself, pixel by pixel.
EXACT: dict[str, dict[str, Any]] = {
    "rendering": {"size": "source", "chunk_frames": 10},
    "temporal": {"name": "off"},
    "encoding": {"codec": "ffv1"},
}
PICTURES = ("--size", "source", "--temporal", "off")
FLAGS = (*PICTURES, "--codec", "ffv1", "--set=rendering.chunk_frames=10")


@dataclass(frozen=True)
class FrameBlend:
    """The blend of one frame, with these values of its options."""

    strength: float = 1.0
    keep_colour: float = 0.0
    keep_shading: float = 0.0
    mix: float = 0.0

    def __call__(self, source: np.ndarray, look: np.ndarray, matte: np.ndarray | None = None) -> np.ndarray:
        return Blend.run(look, source, matte, self.__dict__)


@dataclass(frozen=True)
class Shoot:
    """``source`` and ``look`` are the clip's frames and the plain look of each; ``cache`` holds the model's outputs."""

    clip: Path
    model: Path
    cache: Path
    source: Frames
    look: Frames

    @property
    def command(self) -> tuple[object, ...]:
        """The command that renders the clip into ``out.mkv``."""
        return ("stylize", self.clip, "--model", self.model, "--cache-dir", self.cache, "-o", "out.mkv", *FLAGS)

    def expected(
        self, direction: Callable[[int], FrameBlend] = lambda _: FrameBlend(), mask: Sequence[np.ndarray] | None = None
    ) -> Frames:
        return directed(self.source, self.look, direction, mask)


def directed(
    source: Frames, look: Frames, direction: Callable[[int], FrameBlend], mask: Sequence[np.ndarray] | None
) -> Frames:
    grey = [None] * len(source) if mask is None else [m[..., 0] for m in mask]
    return [direction(i)(s, x, m) for i, (s, x, m) in enumerate(zip(source, look, grey, strict=True))]


def same(a: Sequence[np.ndarray], b: Sequence[np.ndarray], within: int = 0) -> bool:
    return len(a) == len(b) and all(np.abs(x.astype(int) - y).max() <= within for x, y in zip(a, b, strict=True))


def lossless(path: Path, frames: Sequence[np.ndarray], **options: Any) -> Path:
    """Frames as a video that gives back every pixel, at exact times."""
    return write_clip(path, frames, codec="libx264rgb", pix_fmt="rgb24", options={"qp": "0"}, **options)


def halves(count: int, size: tuple[int, int] = (64, 48), step: int = 1) -> Frames:
    """Masks whose white left part is 10 pixels wide and grows by ``step`` a frame; its border is grey."""
    frames = []
    for i in range(count):
        grey = np.zeros((size[1], size[0]), np.uint8)
        edge = min(10 + step * i, size[0] - 2)
        grey[:, :edge], grey[:, edge : edge + 2] = 255, 100
        frames.append(np.dstack([grey] * 3))
    return frames


def three_clips(folder: Path) -> Path:
    """A new folder with three short clips of different lengths: 0.mov, 1.mov, 2.mov."""
    folder.mkdir()
    for n in range(3):
        lossless(folder / f"{n}.mov", moving_frames(8 + n, size=(48, 32)))
    return folder
