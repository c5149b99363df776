"""A picture between two frames, along the flows between them.

Both flows are projected forward to the moment (as in Niklaus and Liu, "Softmax Splatting for Video Frame
Interpolation", CVPR 2020: where several pixels land, those that agree with the other frame weigh more). Motion is
quadratic in time where the frames before and after are known (Xu et al., "Quadratic Video Interpolation", NeurIPS
2019). Each flow gives two pictures, one from each frame; where they agree they are mixed, elsewhere the frame that the
flow comes from is used alone, so that no contour is seen twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import BORDER, grid_axes, resize_flow, warp

FLOW_SHORT_SIDE = 384  # Short side at which flow is estimated, in pixels
FLOW = "dis-fine"  # Flow method
COLOUR_SCALE = 8.0 / 255  # Difference of colours along a flow at which its weight falls to 1 / e
AGREEMENT_SCALE = 10.0 / 255  # Difference of two fetched pictures at which their agreement falls to 1 / e
TRUST_SCALE = 16.0 / 255  # As COLOUR_SCALE, for the trust in an acceleration
CURVED = 0.7  # Share of the measured acceleration: it is noisy, and linear motion is the better guess
SMOOTH_PX = 8.0  # Standard deviation of the smoothing of accelerations, in pixels of the flow's size
MIN_WEIGHT = 1e-4  # Weight of a pixel that does not agree at all
SMALLEST = 4  # Smallest side, in pixels, of the pyramid that fills holes


@dataclass(frozen=True)
class Motion:
    """The flows between two frames, ``forth`` and ``back``, (h, w, 2) float32 pixels, with their agreement.

    ``weights``, ``trust``: of the pixels of each frame, (h, w) float32 from 0 to 1: how well colours agree along the
    flow, and how far the flow is to be trusted.
    """

    forth: np.ndarray
    back: np.ndarray
    weights: tuple[np.ndarray, np.ndarray]
    trust: tuple[np.ndarray, np.ndarray]

    @cached_property
    def reverse(self) -> Motion:
        """Return the motion from the second frame to the first."""
        return Motion(self.back, self.forth, self.weights[::-1], self.trust[::-1])


class Guide:
    """A frame at the size at which flow is estimated: what the estimator takes, and the picture (h, w, 3) float32."""

    def __init__(self, rgb: np.ndarray, estimator: FlowEstimator) -> None:
        self.prepared = estimator.prepare(rgb)
        height, width = self.prepared.shape[:2]
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        self.picture = small.astype(np.float32) * np.float32(1 / np.iinfo(rgb.dtype).max)


def measure_motion(first: Guide, second: Guide, estimator: FlowEstimator) -> Motion:
    """Return the motion between two frames."""
    forth, back = estimator.estimate_both(first.prepared, second.prepared)
    sides = (first.picture, second.picture, forth, back), (second.picture, first.picture, back, forth)
    weights, trust = [], []
    for here, there, flow, way_back in sides:
        difference = np.abs(here - warp(there, flow)).mean(2)
        error = np.linalg.norm(flow + warp(way_back, flow), axis=2)
        weights.append(np.exp(-difference / COLOUR_SCALE).astype(np.float32) + np.float32(MIN_WEIGHT))
        trust.append(np.exp(-difference / TRUST_SCALE - error).astype(np.float32))
    return Motion(forth, back, (weights[0], weights[1]), (trust[0], trust[1]))


def acceleration(after: Motion, before: Motion) -> np.ndarray:
    """Return half the second difference of the positions of a frame's pixels, (h, w, 2), smoothed.

    ``after``, ``before``: the motion from the frame to the next, and to the one before.
    """
    trust = after.trust[0] * before.trust[0]
    weighted = (after.forth + before.forth) / 2 * trust[..., None]
    total = cv2.GaussianBlur(trust, (0, 0), SMOOTH_PX) + np.float32(1e-3)
    smoothed = cv2.GaussianBlur(weighted, (0, 0), SMOOTH_PX) / total[..., None]
    return np.asarray(np.float32(CURVED) * smoothed)


def between(
    first: np.ndarray,
    second: np.ndarray,
    share: float,
    motion: Motion,
    before: Motion | None = None,
    after: Motion | None = None,
) -> tuple[np.ndarray, float]:
    """Return the picture at a ``share`` of the time from frame ``first`` to ``second``, and how far it is certain.

    Frames are (H, W, 3) uint8 or uint16, and so is the picture. ``motion``: between them; ``before``: between the frame
    before and ``first``; ``after``: between ``second`` and the frame after it. The certainty is the share of pixels,
    0 to 1, of which both frames show the same.
    """
    curves = [acceleration(motion, before.reverse) if before else None]
    curves.append(acceleration(motion.reverse, after) if after else None)
    if curves[0] is None and curves[1] is not None:
        curves[0] = warp(curves[1], motion.forth)
    elif curves[1] is None and curves[0] is not None:
        curves[1] = warp(curves[0], motion.back)
    peak = float(np.iinfo(first.dtype).max)
    pictures = [frame.astype(np.float32) * np.float32(1 / peak) for frame in (first, second)]
    total: np.ndarray = np.zeros_like(pictures[0])
    weight: np.ndarray = np.zeros(first.shape[:2], np.float32)
    certain = 0.0
    sides = (share, motion, curves[0], pictures), (1 - share, motion.reverse, curves[1], pictures[::-1])
    for way, flows, curve, (here, there) in sides:
        moved: np.ndarray = np.float32(way) * flows.forth
        if curve is not None:
            moved = moved - np.float32(way * (1 - way)) * curve
        found, covered = project(moved, np.concatenate([moved, flows.forth], 2), flows.weights[0])
        to_here, to_there = -found[..., :2], found[..., 2:] - found[..., :2]
        own, other = (_fetch(picture, flow) for picture, flow in ((here, to_here), (there, to_there)))
        difference = cv2.GaussianBlur(np.abs(own - other).mean(2), (0, 0), 1)
        agreement = np.exp(difference * np.float32(-1 / AGREEMENT_SCALE))
        share_of_other = (np.float32(way) * agreement)[..., None]
        full = cv2.resize(np.minimum(covered, 1), agreement.shape[::-1], interpolation=cv2.INTER_LINEAR)
        trust = cv2.GaussianBlur(agreement * full + np.float32(1e-3), (0, 0), 1)
        total += trust[..., None] * (own + share_of_other * (other - own))
        weight += trust
        certain = max(certain, float((agreement * full > np.exp(-1)).mean()))
    mixed = total / weight[..., None]
    return np.rint(np.clip(mixed, 0, 1) * np.float32(peak)).astype(first.dtype), certain


def project(moved: np.ndarray, values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry ``values``, (h, w, C) float32, to where ``moved``, (h, w, 2) pixels, takes their pixels; fill the holes.

    Where several pixels land on one, their values are averaged by ``weights``, (h, w). Returns the values (h, w, C),
    and how many pixels landed on each, (h, w).
    """
    height, width = weights.shape
    columns, rows = grid_axes(height, width)
    x, y = columns + moved[..., 0], rows + moved[..., 1]
    left, top = np.floor(x), np.floor(y)
    across, down = x - left, y - top
    places, shares = [], []
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        column, row = left + dx, top + dy
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        share = (across if dx else 1 - across) * (down if dy else 1 - down)
        places.append(np.where(inside, row * width + column, 0).astype(np.int64).ravel())
        shares.append(np.where(inside, share, 0).ravel())
    place, share = np.concatenate(places), np.concatenate(shares)
    count = height * width
    covered = np.bincount(place, share, count)
    weighted = share * np.tile(weights.ravel(), 4)
    total = np.bincount(place, weighted, count)
    sums = [np.bincount(place, weighted * np.tile(values[..., n].ravel(), 4), count) for n in range(values.shape[2])]
    carried = (np.stack(sums, 1) / np.maximum(total, 1e-12)[:, None]).astype(np.float32)
    found = covered.astype(np.float32).reshape(height, width)
    return _filled(carried.reshape(height, width, -1), np.minimum(found, 1)), found


def _filled(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return ``values``, (h, w, C), with those of unknown pixels from around; ``known``: from 0 to 1, (h, w)."""
    levels = [(values * known[..., None], known)]
    while min(levels[-1][1].shape) > SMALLEST:
        levels.append((np.atleast_3d(cv2.pyrDown(levels[-1][0])), cv2.pyrDown(levels[-1][1])))
    weighted, share = levels.pop()
    found = weighted / np.maximum(share, 1e-6)[..., None]
    for weighted, share in reversed(levels):
        around = np.atleast_3d(cv2.resize(found, share.shape[::-1], interpolation=cv2.INTER_LINEAR))
        certain = np.minimum(share * 4, 1)[..., None]
        found = around + certain * (weighted / np.maximum(share, 1e-6)[..., None] - around)
    return np.asarray(found, np.float32)


def _fetch(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) sampled along a flow, which may be of a smaller size."""
    height, width = picture.shape[:2]
    full = flow if flow.shape[:2] == (height, width) else resize_flow(flow, width, height)
    columns, rows = grid_axes(height, width)
    return cv2.remap(picture, columns + full[..., 0], rows + full[..., 1], cv2.INTER_CUBIC, borderMode=BORDER)
