"""Clips of a camera that stands still, and of one that moves: what the tests of plates share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from chain import TINY
from clips import scene, write_clip

import vidtrans as api

SIZE = (96, 64)


def before(seed: int, count: int = 24, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """A disc that crosses the background ``seed``; the camera stands still."""
    frames = []
    for i in range(count):
        frame = scene(*size, seed)
        cv2.circle(frame, (int(size[0] * (i + 1) / (count + 1)), size[1] // 2), size[1] // 8, (250, 40, 40), -1)
        frames.append(frame)
    return frames


def panned(count: int = 24, size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    wide = scene(size[0] + 4 * count, size[1], 3)
    return [np.ascontiguousarray(wide[:, 4 * i : 4 * i + size[0]]) for i in range(count)]


def dataset_of(frames: list[np.ndarray], name: str = "seen", **tables: Any) -> Path:
    write_clip(Path(f"{name}.mp4"), frames)
    api.make_dataset(f"{name}.mp4", settings={**TINY, "dataset": {**TINY["dataset"], "size": "64"}, **tables})
    return Path(f"{name}.dataset")
