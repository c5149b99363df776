"""What is tested: a device; how much of it; and how pictures are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vidtrans.inference.device import Device


@dataclass(frozen=True)
class Scale:
    """How much a self-test does. Sides are in pixels.

    ``large_side``: of the picture that does not fit into memory; above 256, the least side of tiles. ``rate_sizes``:
    (width, height) of the clips that the rates are of, the first everywhere, the others on a GPU only.
    ``rate_frames``: of these clips, ``rate_frames_on_gpu`` there.
    """

    side: int = 256
    frames: int = 10
    large_side: int = 640
    training_side: int = 64
    training_steps: int = 50
    rate_sizes: tuple[tuple[int, int], ...] = ((256, 256), (1280, 720))
    rate_frames: int = 12
    rate_frames_on_gpu: int = 96


@dataclass(frozen=True)
class Subject:
    """The device that is tested, and a folder for temporary files."""

    device: Device
    folder: Path
    scale: Scale = field(default_factory=Scale)


def psnr(made: np.ndarray, wanted: np.ndarray) -> float:
    """Return the PSNR in dB of pictures of one shape and integer type; 200 for equal ones. Raises ValueError.

    Raises where they are of several shapes or types: a broadcast would compare something else.
    """
    if (made.shape, made.dtype) != (wanted.shape, wanted.dtype):
        raise ValueError(f"{made.shape} {made.dtype} instead of {wanted.shape} {wanted.dtype}")
    full = float(np.iinfo(wanted.dtype).max)
    error = float(np.mean((made.astype(np.float64) - wanted) ** 2))
    return round(float(min(200.0, 10 * np.log10(full**2 / max(error, 1e-20)))), 2)


def alike(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two arrays are equal to the bit."""
    return first.dtype == second.dtype and np.array_equal(first, second)
