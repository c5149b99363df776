"""Blend what several key frames bring to a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vidtrans.flow.warping import warp
from vidtrans.painting.carrying import Carried

LEAST_TRUST, LEAST_SHARE = 0.003, 0.02  # where no key is believed, the nearest ones are blended
WHOLE = 0.995  # of a frame that is painted is all of it: paint programs leave seams


@dataclass(frozen=True)
class Painting:
    """A painted key frame: its number, ``rgb`` (H, W, 3) float32 in [0, 1], and how far it is painted (H, W), 0 to 1.

    Where nothing is painted the colours say nothing.
    """

    frame: int
    rgb: np.ndarray
    cover: np.ndarray

    @cached_property
    def packed(self) -> np.ndarray:
        """Return colours times cover, and cover: (H, W, 4) float32."""
        return np.dstack([self.rgb * self.cover[..., None], self.cover]).astype(np.float32)

    @property
    def is_whole(self) -> bool:
        """Return whether all of the frame is painted."""
        return float(self.cover.mean()) > WHOLE


def shares(frame: int, keys: Sequence[int]) -> np.ndarray:
    """Return how much each key counts by its distance in frames: (N,), of sum 1."""
    near = LEAST_SHARE + 1 / (1 + np.abs(np.subtract(keys, frame)))
    found: np.ndarray = near / near.sum()
    return found


def weigh(trust: np.ndarray | np.float32, share: float) -> np.ndarray:
    """Return how much a key counts by the trust in what it brings, (H, W) float32 or one number, and by its share."""
    return np.asarray((trust + np.float32(LEAST_TRUST)) * np.float32(share + LEAST_SHARE))


@dataclass(frozen=True)
class Blend:
    """What key frames bring to a frame.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1].
        trust: In that, (H, W) float32, 0 to 1.
        cover: How far anything was painted there, (H, W) float32, 0 to 1.
    """

    rgb: np.ndarray
    trust: np.ndarray
    cover: np.ndarray


def blend(frame: int, brought: Sequence[tuple[Painting, Carried]], under: np.ndarray | None = None) -> Blend:
    """Return what paintings come to in a frame.

    Args:
        frame: Its number.
        brought: The paintings, and where the frame is in each.
        under: The frame itself, (H, W, 3) float32 in [0, 1], which shows where nothing is painted; None where that says
            nothing, and other key frames count alone.
    """
    total: np.ndarray | None = None
    weights = trusts = most = np.zeros(0, np.float32)
    left = next((1 - painting.cover for painting, _ in brought if painting.frame == frame), None)
    for (painting, carried), share in zip(brought, shares(frame, [p.frame for p, _ in brought]), strict=True):
        is_here = painting.frame == frame
        moved = painting.packed if is_here else warp(painting.packed, carried.flow, bicubic=True)
        weight = weigh(carried.trust, share)
        if left is not None and not is_here:  # the frame itself was painted: others count where it was not
            weight = weight * left
        trust = carried.trust if under is not None else carried.trust * np.clip(moved[..., 3], 0, 1)
        part = moved * weight[..., None]
        total = part if total is None else total + part
        weights = weight if weights.size == 0 else weights + weight
        trusts = trust if trusts.size == 0 else np.maximum(trusts, trust)
        most = moved[..., 3] if most.size == 0 else np.maximum(most, moved[..., 3])
    assert total is not None
    if under is None:
        return Blend(np.clip(total[..., :3] / np.maximum(total[..., 3:], 1e-6), 0, 1), trusts, np.clip(most, 0, 1))
    cover = np.clip(total[..., 3] / weights, 0, 1)
    rgb = total[..., :3] / weights[..., None] + (1 - cover)[..., None] * under
    return Blend(np.clip(rgb, 0, 1), trusts, cover)
