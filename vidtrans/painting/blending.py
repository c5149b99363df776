"""Blend what several key frames bring to a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.flow.warping import warp
from vidtrans.painting.carrying import Carried

LEAST_TRUST, LEAST_SHARE = 0.003, 0.02  # where no key is believed, the nearest ones are blended


@dataclass(frozen=True)
class Painting:
    """A painted key frame: its number, ``rgb`` (H, W, 3) float32 in [0, 1], and how far it is painted (H, W), 0 to 1.

    Where nothing is painted the colours say nothing.
    """

    frame: int
    rgb: np.ndarray
    cover: np.ndarray


def shares(frame: int, keys: Sequence[int]) -> np.ndarray:
    """Return how much each key counts by its distance in frames: (N,), of sum 1."""
    near = LEAST_SHARE + 1 / (1 + np.abs(np.subtract(keys, frame)))
    found: np.ndarray = near / near.sum()
    return found


def weigh(trust: np.ndarray | np.float32, share: float) -> np.ndarray:
    """Return how much a key counts by the trust in what it brings, (H, W) float32 or one number, and by its share."""
    return np.asarray((trust + np.float32(LEAST_TRUST)) * np.float32(share + LEAST_SHARE))


def blend(frame: int, brought: Sequence[tuple[Painting, Carried]]) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame's picture (H, W, 3) float32 from paintings and where it is in them, and trust in it (H, W)."""
    total: np.ndarray | None = None
    weight_sum = best = np.zeros(0, np.float32)
    for (painting, carried), share in zip(brought, shares(frame, [p.frame for p, _ in brought]), strict=True):
        packed = np.dstack([painting.rgb * painting.cover[..., None], painting.cover]).astype(np.float32)
        moved = warp(packed, carried.flow, bicubic=True)
        cover = np.clip(moved[..., 3], 0, 1)
        weight = weigh(carried.trust, share)
        part = moved * weight[..., None]
        trust = carried.trust * cover
        total = part if total is None else total + part
        weight_sum = weight if weight_sum.size == 0 else weight_sum + weight
        best = trust if best.size == 0 else np.maximum(best, trust)
    assert total is not None
    picture = total[..., :3] / np.maximum(total[..., 3:], 1e-4)
    return np.clip(picture, 0, 1), best
