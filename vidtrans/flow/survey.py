"""A first look at a clip, while its timestamps are read: shots, how sharp each frame is, which hardly change."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector
from vidtrans.settings import Table

__all__ = ["ANALYSIS_SHORT_SIDE", "VERSION", "Survey", "Surveyor"]

# Bump when a measure or a threshold changes: what is cached of every clip depends on it.
VERSION = 5
PATCH = 8
# Grey levels, 0 to 255. Above what codecs and sensors add to a still picture: on a locked-off clip 315 of 1,394
# frames stay below it, on eight clips with motion none does.
SAME_PATCH = 2.0


@dataclass(frozen=True)
class Survey:
    """``shots``: the first frame of each. ``looks``: for each frame, the first of those that look just like it.

    ``sharpness``: each frame's mean |Laplacian|, in grey levels at the size of the survey.
    """

    shots: tuple[int, ...]
    looks: tuple[int, ...] = ()
    sharpness: tuple[float, ...] = ()

    @classmethod
    def of(cls, table: Table) -> Survey:
        return cls(**{name: tuple(values) for name, values in table.items()})


class Surveyor:
    """Feed it the frames of a clip in order, (H, W, 3) uint8, short sides near ``ANALYSIS_SHORT_SIDE``."""

    def __init__(self) -> None:
        self._cuts = CutDetector()
        self._kept: np.ndarray | None = None
        self._looks: list[int] = []
        self._sharpness: list[float] = []

    def add(self, rgb: np.ndarray) -> None:
        self._cuts.add(rgb)
        if self._kept is None or self._kept.shape != rgb.shape or largest_change(self._kept, rgb) >= SAME_PATCH:
            self._kept = rgb
            self._looks.append(len(self._looks))
        else:
            self._looks.append(self._looks[-1])
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        self._sharpness.append(round(float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean()), 3))

    def survey(self) -> Survey:
        shots = self._cuts.shots()
        return Survey(shots, _within_shots(self._looks, shots), tuple(self._sharpness))


def _within_shots(looks: list[int], shots: tuple[int, ...]) -> tuple[int, ...]:
    """``looks``, with the first frame of a shot never one that looks like another."""
    firsts = (shots[bisect_right(shots, number) - 1] for number in range(len(looks)))
    return tuple(max(look, first) for look, first in zip(looks, firsts, strict=True))


def largest_change(first: np.ndarray, second: np.ndarray) -> float:
    """The largest mean difference, in grey levels, of any patch of 8×8 pixels: something small may have moved.

    Both (H, W, 3) uint8. A mean over the picture would call a room in which one hand moves a still.
    """
    difference = cv2.absdiff(first, second).mean(axis=2, dtype=np.float32)
    size = (max(1, difference.shape[1] // PATCH), max(1, difference.shape[0] // PATCH))
    return float(cv2.resize(difference, size, interpolation=cv2.INTER_AREA).max())


def find_near_duplicates(looks: tuple[int, ...], numbers: list[int]) -> set[int]:
    """Those of ``numbers`` that look just like one before them that is in ``numbers`` too."""
    seen: set[int] = set()
    found = set()
    for number in numbers:
        if looks[number] in seen:
            found.add(number)
        seen.add(looks[number])
    return found


def find_blurred(sharpness: tuple[float, ...], numbers: list[int], share: float, reach: int = 12) -> set[int]:
    """Those of ``numbers`` (of one shot) whose sharpness is below ``share`` of the median around them."""
    values = [sharpness[n] for n in numbers]
    return {
        number
        for i, number in enumerate(numbers)
        if values[i] < share * float(np.median(values[max(0, i - reach) : i + reach + 1]))
    }
