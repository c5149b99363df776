"""Where a frame's places are in a key frame: flow over many frames, each found from that of its neighbour.

Directly found flow loses its way over a few frames, and flow that is put together from frame to frame drifts. Here the
flow from a frame to the key begins as that of the frame's neighbour, moved on by a frame, and is then found anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.scaling import blur
from vidtrans.flow.warping import agreement, squared_length, warp

VERSION = 1
SLACK = 0.5  # pixels² between a flow and the one back at which the trust is ½
TOLERANCE = 0.08 * 255  # σ of the source's difference, blurred, of what is the same place
AROUND = 1.5  # pixels, σ of that blur


@dataclass(frozen=True)
class Guide:
    """A frame as flow is found on it: ``rgb`` (H, W, 3) uint8, and in grey."""

    rgb: np.ndarray
    grey: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray) -> Guide:
        """Return that of a frame (H, W, 3) uint8."""
        return cls(rgb, np.ascontiguousarray(grey(rgb)))


@dataclass(frozen=True)
class Carried:
    """Where a frame's pixels are in a key: ``flow`` (H, W, 2), pixels, and ``trust`` in it (H, W), 0 to 1; float32."""

    flow: np.ndarray
    trust: np.ndarray

    @classmethod
    def nowhere(cls, height: int, width: int) -> Carried:
        """Return that of the key itself."""
        return cls(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))


@dataclass(frozen=True)
class Step:
    """The flow (H, W, 2) from a frame to the one after it, and ``back``."""

    onward: np.ndarray
    back: np.ndarray

    @classmethod
    def between(cls, first: Guide, second: Guide) -> Step:
        """Return that of two neighbours."""
        search = DISMedium()
        return cls(search(first.grey, second.grey), search(second.grey, first.grey))

    def reversed(self) -> Step:
        """Return the same step the other way."""
        return Step(self.back, self.onward)


class Walker:
    """Leads away from a key frame, frame by frame.

    ``there`` and ``back``: the flow from the frame that it is at to the key, and from the key to it.
    """

    def __init__(self, key: Guide, there: np.ndarray | None = None, back: np.ndarray | None = None) -> None:
        still = Carried.nowhere(*key.grey.shape).flow
        self.there = still if there is None else there
        self.back = still if back is None else back
        self._key, self._search = key, DISMedium()

    def advance(self, here: Guide, step: Step) -> Carried:
        """Return where the pixels of the next frame are in the key, with the step to that frame."""
        key = self._key
        self.there = self._search(here.grey, key.grey, step.back + warp(self.there, step.back))
        self.back = self._search(key.grey, here.grey, self.back + warp(step.onward, self.back))
        return Carried(self.there, agreement(self.there, self.back, SLACK) * _same(here.rgb, warp(key.rgb, self.there)))


def carry(key: Guide, others: Iterable[tuple[Guide, Step]]) -> Iterator[Carried]:
    """Yield where the pixels of frames are in a key.

    ``others`` begin beside the key and lead away from it, each with the step to it.
    """
    walker = Walker(key)
    return (walker.advance(here, step) for here, step in others)


def carry_along(
    key: int, guides: Sequence[Guide], steps: Sequence[Step], reach: int = 0
) -> Iterator[tuple[int, Carried]]:
    """Yield where the pixels of frames are in one of them, with their numbers; ``steps[n]`` leads from n to n + 1.

    ``reach``: only of so many frames on either side; 0 for all.
    """
    reach = reach or len(guides)
    after, before = range(key + 1, min(len(guides), key + reach + 1)), range(key - 1, max(-1, key - reach - 1), -1)
    yield from zip(after, carry(guides[key], ((guides[n], steps[n - 1]) for n in after)), strict=True)
    yield from zip(before, carry(guides[key], ((guides[n], steps[n].reversed()) for n in before)), strict=True)


def _same(here: np.ndarray, brought: np.ndarray) -> np.ndarray:
    """Return how alike pictures (H, W, 3) uint8 are, (H, W), 0 to 1, for all but fine detail."""
    difference = blur(cv2.subtract(here, brought, dtype=cv2.CV_32F), AROUND)
    return np.exp(squared_length(difference) * np.float32(-0.5 / TOLERANCE**2 / 3))
