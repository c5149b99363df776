"""Painted frames as tests make them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from clips import moving_frames, write_clip

QUICK = ("--steps", 2, "--set=generator.channels=8", "--set=training.crop_size=32", "--set=training.batch_size=2")
EXACT = ("--codec", "ffv1", "--temporal", "off")  # a result that keeps every bit of what was painted


def painted(rgb: np.ndarray) -> np.ndarray:
    """A painting of a frame: other colours."""
    return np.ascontiguousarray((255 - rgb // 2)[..., ::-1])


def write(path: Path, picture: np.ndarray) -> Path:
    """Write a picture, (H, W, 3 or 4) with colours as RGB."""
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), picture[..., [2, 1, 0, 3][: picture.shape[2]]])
    return path


def clip_and_keys(keys: Sequence[int] = (2, 9), shots: Sequence[int] = (0,)) -> list[np.ndarray]:
    """Write ``c.mkv`` of 12 frames, and paintings of some in ``keys``; return the frames."""
    frames = moving_frames(12, shots=shots)
    write_clip(Path("c.mkv"), frames, codec="ffv1", pix_fmt="bgr0")
    for key in keys:
        write(Path(f"keys/{key:03d}.png"), painted(frames[key]))
    return frames
