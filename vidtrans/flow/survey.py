"""Survey a clip while its timestamps are read: find shots, near-duplicate frames, and the sharpness of each frame."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.settings import Table
from vidtrans.flow.cuts import CutDetector
from vidtrans.flow.estimator import grey

VERSION = 7  # Version of the measures and thresholds, which is part of the cache keys of all clips
PATCH_PX = 8  # Side of the patches whose changes decide on near-duplicates, in pixels
# By this limit 315 of 1,394 frames of a clip from a fixed camera are near-duplicates, of eight clips with motion none.
SAME_PATCH = 2.0  # Largest change of a near-duplicate in 8-bit levels; codec and sensor noise is smaller
MOTION_SIGMA = 1.5  # σ of the blur against noise before motion is measured, in pixels


@dataclass(frozen=True)
class Survey:
    """The results of surveying a clip.

    Attributes:
        shots: The first frame of each shot.
        looks: The first near-duplicate of each frame, or the frame.
        sharpness: The mean |Laplacian| of each frame, in grey levels at the size of the survey.
        held: The frames that equal the previous one at that size, and may equal it at full size.
        brightness: The mean grey level of each frame, 0 to 1.
        motion: The mean motion of edges since the previous frame, in pixels of the survey; 0 after a cut.
    """

    shots: tuple[int, ...]
    looks: tuple[int, ...] = ()
    sharpness: tuple[float, ...] = ()
    held: tuple[int, ...] = ()
    brightness: tuple[float, ...] = ()
    motion: tuple[float, ...] = ()

    @classmethod
    def of(cls, table: Table) -> Survey:
        """Return the survey that was stored as a table."""
        return cls(**{name: tuple(values) for name, values in table.items()})


class Surveyor:
    """Surveys a clip: add its frames in order, (H, W, 3) uint8, with a short side of about 128 pixels."""

    def __init__(self) -> None:
        self._cuts = CutDetector()
        self._reference: np.ndarray | None = None  # First of the current near-duplicates
        self._previous: np.ndarray | None = None
        self._looks: list[int] = []
        self._held: list[int] = []
        self._sharpness: list[float] = []
        self._brightness: list[float] = []
        self._motion: list[float] = []
        self._blurred: np.ndarray | None = None

    def add(self, rgb: np.ndarray) -> None:
        """Measure the next frame: cuts, repetition, sharpness, brightness and motion."""
        self._cuts.add(rgb)
        if self._previous is not None and np.array_equal(self._previous, rgb):
            self._held.append(len(self._looks))
        self._previous = rgb
        last = self._reference
        if last is None or last.shape != rgb.shape or largest_change(last, rgb) >= SAME_PATCH:
            self._reference = rgb
            self._looks.append(len(self._looks))
        else:
            self._looks.append(self._looks[-1])
        picture = grey(rgb)
        self._sharpness.append(round(float(np.abs(cv2.Laplacian(picture, cv2.CV_32F)).mean()), 3))
        self._brightness.append(round(float(picture.mean()) / 255, 5))
        blurred = cv2.GaussianBlur(picture, (0, 0), MOTION_SIGMA).astype(np.float32)
        before, self._blurred = self._blurred, blurred
        same = before is not None and before.shape == blurred.shape
        self._motion.append(round(edge_motion(before, blurred), 4) if same and before is not None else 0.0)

    def survey(self) -> Survey:
        """Return the survey of all added frames. The first frame of a shot is never a near-duplicate."""
        shots = self._cuts.shots()
        looks = tuple(max(first, shots[bisect_right(shots, n) - 1]) for n, first in enumerate(self._looks))
        motion = tuple(0.0 if n in shots else value for n, value in enumerate(self._motion))
        return Survey(shots, looks, tuple(self._sharpness), tuple(self._held), tuple(self._brightness), motion)


def edge_motion(before: np.ndarray, after: np.ndarray) -> float:
    """Return the mean motion of edges between two blurred grey pictures, (H, W) float32, in pixels.

    The change of each pixel divided by the slope is its motion across the edge (Horn and Schunck, "Determining optical
    flow", 1981); the mean is weighted by the squared slope. Contrast and brightness cancel.
    """
    across, down = [cv2.Sobel(after, cv2.CV_32F, *along, scale=0.125) for along in ((1, 0), (0, 1))]
    slope = np.square(across) + np.square(down)
    change = np.abs(after - before)
    return float((change * np.sqrt(slope)).sum() / (slope.sum() + 1.0))


def largest_change(first: np.ndarray, second: np.ndarray) -> float:
    """Return the difference of two pictures (H, W, 3) uint8 in the 8×8 patch that differs most, in 8-bit levels.

    A mean over the whole picture would miss a hand that moves in a still room.
    """
    red, green, blue = cv2.split(cv2.absdiff(first, second))
    # The channels are added by OpenCV, because NumPy's mean along an axis of three values takes five times as long.
    difference = (cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_16U) / 3).astype(np.float32)
    size = (max(1, difference.shape[1] // PATCH_PX), max(1, difference.shape[0] // PATCH_PX))
    return float(cv2.resize(difference, size, interpolation=cv2.INTER_AREA).max())


def find_near_duplicates(looks: tuple[int, ...], numbers: list[int]) -> set[int]:
    """Return those of the frame ``numbers`` that are near-duplicates of an earlier one of them.

    ``looks``: for each frame of the clip the first near-duplicate, see ``Survey``.
    """
    seen: set[int] = set()
    found = set()
    for number in numbers:
        if looks[number] in seen:
            found.add(number)
        seen.add(looks[number])
    return found


def find_blurred(sharpness: tuple[float, ...], numbers: list[int], share: float, reach: int = 12) -> set[int]:
    """Return those of the frame ``numbers``, of one shot, whose sharpness is below ``share`` of the local median.

    ``reach``: frames on each side over which the median is taken.
    """
    values = [sharpness[n] for n in numbers]
    return {
        number
        for i, number in enumerate(numbers)
        if values[i] < share * float(np.median(values[max(0, i - reach) : i + reach + 1]))
    }
