"""Clips of a thing that moves over a ground, with its true mattes, and what a person would paint on their frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from clips import write_clip

SIZE = (160, 120)
FAST = ("--set", "matting.steps=12", "--set", "matting.size=120", "--set", "matting.window=96")


def moving_thing(
    count: int, *, size: tuple[int, int] = SIZE, hidden: Sequence[int] = (), seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return frames (H, W, 3) uint8 of an orange ellipse over a blue-green ground, and its mattes, (H, W) bool.

    ``hidden``: frames in which it is not there.
    """
    rng = np.random.default_rng(seed)
    width, height = size
    ground = cv2.resize(rng.integers(0, 110, (9, 12, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    ground[..., 0] //= 3
    frames, mattes = [], []
    for n in range(count):
        matte = np.zeros((height, width), np.uint8)
        at = round(width * (0.3 + 0.02 * n)), round(height * (0.5 + 0.004 * n))
        if n not in hidden:
            cv2.ellipse(matte, at, (width // 8, height // 5), 3 * n, 0, 360, 1, -1)
        frame = ground.copy()
        frame[matte > 0] = (230, 120, 30)
        frames.append(frame)
        mattes.append(matte > 0)
    return frames, mattes


def clip_of(frames: Sequence[np.ndarray], name: str = "c.mkv") -> Path:
    """Write frames as a lossless clip."""
    return write_clip(Path(name), frames, codec="ffv1", pix_fmt="bgr0")


def write_mask(path: str | Path, matte: np.ndarray) -> Path:
    """Write a matte, (H, W) bool, white on black."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.where(matte, 255, 0).astype(np.uint8))
    return Path(path)


def with_strokes(frame: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return a frame with a green stroke on the thing and red ones off it."""
    painted = frame.copy()
    rows, columns = np.nonzero(matte)
    y, x = int(rows.mean()), int(columns.mean())
    cv2.line(painted, (x - 8, y), (x + 8, y), (0, 255, 0), 4)
    for off in (4, matte.shape[0] - 5):
        cv2.line(painted, (x - 20, off), (x + 20, off), (255, 0, 0), 4)
    return painted


def overlap(made: np.ndarray, matte: np.ndarray) -> float:
    """Return the intersection over union of a grey picture, (H, W[, 3]) uint8, and a matte."""
    inside = (made if made.ndim == 2 else made[..., 0]) >= 128
    either = (inside | matte).sum()
    return float((inside & matte).sum() / either) if either else 1.0
