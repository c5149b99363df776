"""Old pictures that shine through where something was uncovered."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Ghost:
    """Of one frame: mean differences, in 8-bit levels, in the ``pixels`` that are new and in all others."""

    uncovered: float
    elsewhere: float
    pixels: int

    @property
    def excess(self) -> float:
        """How much further off the new pixels are than the others; below 0 they were spared."""
        return self.uncovered - self.elsewhere


def measure_ghost(output: np.ndarray, wanted: np.ndarray, uncovered: np.ndarray) -> Ghost | None:
    """How far a frame is from the one wanted, where something was uncovered since the frame before it and elsewhere.

    ``output`` and ``wanted`` (the per-frame picture, or a reference) are (H, W, 3) uint8, ``uncovered`` (H, W) bool. A
    filter that averages over time changes all of the picture; where it averages over what was not there yet, it
    changes it more, and an old picture shines through. None where nothing is new, or everything.
    """
    pixels = int(np.count_nonzero(uncovered))
    if not 0 < pixels < uncovered.size:
        return None
    off = cv2.absdiff(output, wanted).mean(axis=2, dtype=np.float32)
    total, new = off.sum(dtype=np.float64), off[uncovered].sum(dtype=np.float64)
    return Ghost(float(new / pixels), float((total - new) / (uncovered.size - pixels)), pixels)


def combine_ghosts(ghosts: list[Ghost]) -> Ghost | None:
    """Of a clip, in which every new pixel counts alike: a frame has the weight of what is new in it."""
    pixels = sum(g.pixels for g in ghosts)
    if not pixels:
        return None
    uncovered, elsewhere = (sum(getattr(g, k) * g.pixels for g in ghosts) / pixels for k in ("uncovered", "elsewhere"))
    return Ghost(uncovered, elsewhere, pixels)
