"""Flow from a frame to a key frame over many frames, each estimated starting from its neighbour's flow.

Direct flow estimation fails over a few frames, and concatenated flow drifts. Here the flow from a frame to the key
frame starts as the neighbour's flow, shifted by one frame, and is then refined.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import agreement, blur, squared_length, warp

VERSION = 1
SLACK = 0.5  # pixels² between a flow and the one back at which the trust is ½
TOLERANCE = 0.08 * 255  # σ of the blurred colour difference between views of the same place
AROUND = 1.5  # pixels, σ of that blur


@dataclass(frozen=True)
class Guide:
    """A frame for flow estimation: ``rgb`` (H, W, 3) uint8, and the same in grey."""

    rgb: np.ndarray
    grey: np.ndarray

    @classmethod
    def of(cls, rgb: np.ndarray) -> Guide:
        """Return the guide of a frame (H, W, 3) uint8."""
        return cls(rgb, np.ascontiguousarray(grey(rgb)))


@dataclass(frozen=True)
class Carried:
    """The flow from a frame to a key frame: ``flow`` (H, W, 2), pixels, and ``trust`` in it (H, W), 0 to 1; float32."""

    flow: np.ndarray
    trust: np.ndarray

    @classmethod
    def nowhere(cls, height: int, width: int) -> Carried:
        """Return zero flow with full trust, for the key frame itself."""
        return cls(np.zeros((height, width, 2), np.float32), np.ones((height, width), np.float32))


@dataclass(frozen=True)
class Step:
    """The flow (H, W, 2) from a frame to the next one, ``onward``, and the reverse flow ``back``, in pixels."""

    onward: np.ndarray
    back: np.ndarray

    @classmethod
    def between(cls, first: Guide, second: Guide) -> Step:
        """Estimate the flow between two neighbouring frames."""
        search = DISMedium()
        return cls(search(first.grey, second.grey), search(second.grey, first.grey))

    def reversed(self) -> Step:
        """Return the step in the opposite direction."""
        return Step(self.back, self.onward)


class Walker:
    """Follows the motion away from a key frame, frame by frame.

    ``there`` and ``back``: the flow (H, W, 2), in pixels, from the current frame to the key frame, and the reverse.
    """

    def __init__(self, key: Guide, there: np.ndarray | None = None, back: np.ndarray | None = None) -> None:
        still = Carried.nowhere(*key.grey.shape).flow
        self.there = still if there is None else there
        self.back = still if back is None else back
        self._key, self._search = key, DISMedium()

    def advance(self, here: Guide, step: Step) -> Carried:
        """Return the flow from the next frame, ``here``, to the key frame; ``step``: the flow to ``here``."""
        key = self._key
        self.there = self._search(here.grey, key.grey, step.back + warp(self.there, step.back))
        self.back = self._search(key.grey, here.grey, self.back + warp(step.onward, self.back))
        return Carried(self.there, agreement(self.there, self.back, SLACK) * _same(here.rgb, warp(key.rgb, self.there)))


def carry(key: Guide, others: Iterable[tuple[Guide, Step]]) -> Iterator[Carried]:
    """Yield the flow from each frame to a key frame.

    ``others``: frames starting next to the key frame and leading away from it, each with the step to it.
    """
    walker = Walker(key)
    return (walker.advance(here, step) for here, step in others)


def carry_along(
    key: int, guides: Sequence[Guide], steps: Sequence[Step], reach: int = 0
) -> Iterator[tuple[int, Carried]]:
    """Yield (number, flow to frame ``key``) for frames on both sides of it; ``steps[n]``: the flow between n and n + 1.

    ``reach``: the largest distance in frames; 0 for all.
    """
    reach = reach or len(guides)
    after, before = range(key + 1, min(len(guides), key + reach + 1)), range(key - 1, max(-1, key - reach - 1), -1)
    yield from zip(after, carry(guides[key], ((guides[n], steps[n - 1]) for n in after)), strict=True)
    yield from zip(before, carry(guides[key], ((guides[n], steps[n].reversed()) for n in before)), strict=True)


def _same(here: np.ndarray, brought: np.ndarray) -> np.ndarray:
    """Return the similarity of two pictures (H, W, 3) uint8, without fine detail, as (H, W), 0 to 1."""
    difference = blur(cv2.subtract(here, brought, dtype=cv2.CV_32F), AROUND)
    return np.exp(squared_length(difference) * np.float32(-0.5 / TOLERANCE**2 / 3))
