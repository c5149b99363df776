"""A picture between two frames, along the flows between them.

Both flows are projected forward to the moment (as in Niklaus and Liu, "Softmax Splatting for Video Frame
Interpolation", CVPR 2020: where several pixels land, those that agree with the other frame weigh more). Motion is
quadratic in time where the frames before and after are known (Xu et al., "Quadratic Video Interpolation", NeurIPS
2019). Along each flow, both frames give a picture. The two pictures are mixed where they agree. Elsewhere only the
frame from which the flow starts is used, so that contours are seldom doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from vidtrans.core.compiling import compiled
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import BORDER, grid_axes, resize_flow, warp

FLOW_SHORT_SIDE = 384  # Short side at which flow is estimated, in pixels
FLOW = "dis"  # Flow method
COLOUR_SCALE = 8.0 / 255  # Difference of colours along a flow at which its weight falls to 1 / e
AGREEMENT_SCALE = 10.0 / 255  # Difference of two fetched pictures at which their agreement falls to 1 / e
TRUST_SCALE = 16.0 / 255  # As COLOUR_SCALE, for the trust in an acceleration
CURVED = 0.7  # Share of the measured acceleration: it is noisy, and linear motion is the better guess
SMOOTH_PX = 8.0  # Standard deviation of the smoothing of accelerations, in pixels of the flow's size
MIN_WEIGHT = 1e-4  # Weight of a pixel that does not agree at all
MEAN = np.full((1, 3), 1 / 3, np.float32)  # Weights of the channels in a mean
SMALLEST = 4  # Smallest side, in pixels, of the pyramid that fills holes
f32: Any = np.float32  # Short name of the scalar type in compiled code


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


class Mixer:
    """Makes pictures between frames, on two threads if there are ``threads``."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, min(2, threads)))

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def __call__(
        self,
        first: np.ndarray,
        second: np.ndarray,
        share: float,
        motion: Motion,
        before: Motion | None = None,
        after: Motion | None = None,
    ) -> tuple[np.ndarray, float]:
        """Return the picture at a ``share`` of the time from frame ``first`` to ``second``, and how certain it is.

        Frames are (H, W, 3) uint8 or uint16, and so is the picture. ``motion``: between them; ``before``: between the
        frame before and ``first``; ``after``: between ``second`` and the frame after it. The certainty is the share of
        pixels, 0 to 1, of which both frames show the same.
        """
        curves = _curves(motion, before, after)
        peak = float(np.iinfo(first.dtype).max)
        pictures = [np.asarray(frame * np.float32(1 / peak)) for frame in (first, second)]
        sides = (share, motion, curves[0], pictures), (1 - share, motion.reverse, curves[1], pictures[::-1])
        (one, one_trust, one_seen), (other, other_trust, other_seen) = self._pool.map(lambda side: _seen(*side), sides)
        mixed = _mix(one, other, one_trust, other_trust)
        certainty = max(one_seen, other_seen)
        return np.rint(np.clip(mixed * np.float32(peak), 0, peak)).astype(first.dtype), certainty


def _seen(
    way: float, motion: Motion, curve: np.ndarray | None, pictures: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the picture at the share ``way`` of the time, along the flow of the first of two ``pictures``.

    Pictures are (H, W, 3) float32. The other results are how far its pixels are to be trusted, (H, W) float32, and the
    share of pixels that both pictures show alike.
    """
    found, covered = _carried(way, motion, curve)
    height, width = pictures[0].shape[:2]
    own = _fetch(pictures[0], -found[..., :2])
    other = _fetch(pictures[1], found[..., 2:] - found[..., :2])
    difference = cv2.GaussianBlur(cv2.transform(cv2.absdiff(own, other), MEAN), (0, 0), 1)
    agreement = cv2.exp(difference * np.float32(-1 / AGREEMENT_SCALE))
    seen = agreement * cv2.resize(np.minimum(covered, 1), (width, height), interpolation=cv2.INTER_LINEAR)
    trust = cv2.GaussianBlur(seen + np.float32(1e-3), (0, 0), 1)
    share_of_other = np.float32(way) * agreement
    return _mix(own, other, 1 - share_of_other, share_of_other), trust, float((seen > np.exp(-1)).mean())


def _mix(one: np.ndarray, other: np.ndarray, weight: np.ndarray, other_weight: np.ndarray) -> np.ndarray:
    """Return the mean of pictures (H, W, 3) float32, weighted by (H, W) float32."""
    # OpenCV adds 1e-5 to the sum of the weights
    return cv2.blendLinear(one, other, weight * np.float32(1024), other_weight * np.float32(1024))


def _fetch(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) float32, sampled bicubically along a flow, which may be of a smaller size."""
    height, width = picture.shape[:2]
    columns, rows = grid_axes(height, width)
    u, v = cv2.split(resize_flow(np.ascontiguousarray(flow), width, height))
    return cv2.remap(picture, u + columns, v + rows, cv2.INTER_CUBIC, borderMode=BORDER)


def _curves(motion: Motion, before: Motion | None, after: Motion | None) -> list[np.ndarray | None]:
    """Return the accelerations of the pixels of both frames; None without frames around them."""
    curves = [acceleration(motion, before.reverse) if before else None]
    curves.append(acceleration(motion.reverse, after) if after else None)
    if curves[0] is None and curves[1] is not None:
        curves[0] = warp(curves[1], motion.forth)
    elif curves[1] is None and curves[0] is not None:
        curves[1] = warp(curves[0], motion.back)
    return curves


def _carried(way: float, motion: Motion, curve: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the displacements of the first frame's pixels at the share ``way`` of the time, where they are then.

    The displacements are to the moment and to the second frame, (h, w, 4); the second array, (h, w), says how many
    pixels landed.
    """
    moved: np.ndarray = np.float32(way) * motion.forth
    if curve is not None:
        moved = moved - np.float32(way * (1 - way)) * curve
    height, width = motion.weights[0].shape
    sums = np.zeros((height, width, 6), np.float32)
    project(np.ascontiguousarray(moved), motion.forth, motion.weights[0], sums)
    carried = sums[..., :4] / np.maximum(sums[..., 4:5], np.float32(1e-12))
    covered = np.ascontiguousarray(sums[..., 5])
    return _filled(carried, np.minimum(covered, 1)), covered


@compiled
def project(moved: np.ndarray, flow: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
    """Add the displacements of pixels to where ``moved`` takes them, shared between the four nearest pixels.

    ``moved``, ``flow``: (h, w, 2); ``weights``: (h, w); ``sums``: (h, w, 6) of zeros, which becomes the weighted sums
    of ``moved`` and ``flow``, of the weights, and how many pixels landed. All float32.
    """
    height, width = weights.shape
    for y in range(height):
        for x in range(width):
            u, v, weight = moved[y, x, 0], moved[y, x, 1], weights[y, x]
            at_x, at_y = f32(x) + u, f32(y) + v
            left, top = int(np.floor(at_x)), int(np.floor(at_y))
            if left < -1 or top < -1 or left >= width or top >= height:
                continue
            across, down = at_x - f32(left), at_y - f32(top)
            for dy in range(2):
                row = top + dy
                if row < 0 or row >= height:
                    continue
                share_y = down if dy else f32(1) - down
                for dx in range(2):
                    column = left + dx
                    if column < 0 or column >= width:
                        continue
                    share = share_y * (across if dx else f32(1) - across)
                    part = share * weight
                    cell = sums[row, column]
                    cell[0] += part * u
                    cell[1] += part * v
                    cell[2] += part * flow[y, x, 0]
                    cell[3] += part * flow[y, x, 1]
                    cell[4] += part
                    cell[5] += share


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
