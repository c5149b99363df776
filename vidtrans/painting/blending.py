"""Blend the paint that several key frames transfer to a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vidtrans.flow.warping import blur, grow, shrink, warp
from vidtrans.painting.carrying import Carried

LEAST_COVER, LEAST_WEIGHT = 1e-3, 1e-6
LINES = 270  # of a frame, to which the next lengths in pixels belong
DETAIL, SEAM = 1.5, 2.0  # σ of what is more than tone, and by which seams between key frames are softened
SHARPNESS = 4  # power of the weights by which the best key frame is chosen
LEAST_TRUST, LEAST_SHARE = 0.003, 0.02  # where no key frame is trusted, the nearest ones are blended
WHOLE = 0.995  # of a frame that is painted is all of it: paint programs leave seams


@dataclass(frozen=True)
class Painting:
    """A painted key frame: its number, ``rgb`` (H, W, 3) float32 in [0, 1], and the opacity ``cover`` (H, W), 0 to 1.

    Where cover is 0 the colours have no meaning.
    """

    frame: int
    rgb: np.ndarray
    cover: np.ndarray

    @cached_property
    def packed(self) -> np.ndarray:
        """Return colours multiplied by cover, and cover, as (H, W, 4) float32."""
        return np.dstack([self.rgb * self.cover[..., None], self.cover]).astype(np.float32)

    @property
    def is_whole(self) -> bool:
        """Return whether the whole frame is painted."""
        return float(self.cover.mean()) > WHOLE


def shares(frame: int, keys: Sequence[int]) -> np.ndarray:
    """Return the weight of each key frame by its distance from ``frame``, in frames: (N,), of sum 1."""
    near = LEAST_SHARE + 1 / (1 + np.abs(np.subtract(keys, frame)))
    found: np.ndarray = near / near.sum()
    return found


def weigh(trust: np.ndarray | np.float32, share: float) -> np.ndarray:
    """Return a key frame's weight from the trust in its paint, (H, W) or a number, and its share by distance."""
    return np.asarray((trust + np.float32(LEAST_TRUST)) * np.float32(share + LEAST_SHARE))


@dataclass(frozen=True)
class Blend:
    """The blended paint of a frame from several key frames.

    Attributes:
        rgb: (H, W, 3) float32 in [0, 1].
        trust: The trust in the colours, (H, W) float32, 0 to 1.
        cover: The opacity of the paint, (H, W) float32, 0 to 1.
    """

    rgb: np.ndarray
    trust: np.ndarray
    cover: np.ndarray


def blend(frame: int, brought: Sequence[tuple[Painting, Carried]], under: np.ndarray | None = None) -> Blend:
    """Blend the paint of several key frames in a frame.

    Args:
        frame: The frame's number.
        brought: The key frames' paintings, each with the flow from the frame to the key frame.
        under: The source frame, (H, W, 3) float32 in [0, 1], which shows through the unpainted areas of each painting.
            If None, unpainted areas have no weight, so that only the paintings with paint there are blended.
    """
    left = next((1 - painting.cover for painting, _ in brought if painting.frame == frame), None)
    colours, weights, covers, most, trusts = [], [], [], [], []
    for (painting, carried), share in zip(brought, shares(frame, [p.frame for p, _ in brought]), strict=True):
        is_here = painting.frame == frame
        moved = painting.packed if is_here else warp(painting.packed, carried.flow, lanczos=True)
        cover = np.clip(moved[..., 3], 0, 1)
        weight = weigh(carried.trust, share)
        if left is not None and not is_here:  # the frame itself was painted: others count where it was not
            weight = weight * left
        if under is None:
            colours.append(moved[..., :3] / np.maximum(moved[..., 3:], LEAST_COVER))
            weights.append(weight * cover)
            trusts.append(carried.trust * cover)
        else:
            colours.append(np.clip(moved[..., :3], 0, cover[..., None]) + (1 - cover)[..., None] * under)
            weights.append(weight)
            trusts.append(carried.trust)
        covers.append(weight * cover)
        most.append(cover)
    total = np.maximum(sum(weights), LEAST_WEIGHT)
    parts = [weight / total for weight in weights]
    rgb = sum(share[..., None] * colour for colour, share in zip(colours, parts, strict=True))
    if len(brought) > 1 and all(painting.is_whole for painting, _ in brought):  # else their edges would be softened
        rgb = rgb + _lost_detail(rgb, colours, parts)
    rgb = np.clip(rgb, 0, 1)
    painted = np.maximum.reduce(most) if under is None else np.clip(sum(covers) / total, 0, 1)
    return Blend(rgb, np.maximum.reduce(trusts), painted)


def _lost_detail(mean: np.ndarray, colours: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the detail of the highest-weighted picture (H, W, 3) at each place, minus the detail of the mean.

    A mean of textures that do not align exactly is soft (Burt and Adelson, "A Multiresolution Spline", 1983).
    """
    scale = max(1, round(min(mean.shape[:2]) / LINES))
    best = [blur(weight**SHARPNESS, float(SEAM * scale)) for weight in weights]
    total = np.maximum(sum(best), LEAST_WEIGHT)
    detail = -_detail(mean, scale)
    for colour, share in zip(colours, best, strict=True):
        detail += (share / total)[..., None] * _detail(colour, scale)
    return detail


def _detail(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return the high frequencies of a picture; their blur is computed at 1/``scale`` of its size, to save time."""
    height, width = picture.shape[:2]
    small = shrink(picture, (max(1, width // scale), max(1, height // scale))) if scale > 1 else picture
    found: np.ndarray = picture - grow(blur(small, DETAIL), (width, height))
    return found
