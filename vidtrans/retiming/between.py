"""A picture between two frames, along the flows between them.

Both flows are projected forward to the moment (as in Niklaus and Liu, "Softmax Splatting for Video Frame
Interpolation", CVPR 2020: where several pixels land, those that agree with the other frame weigh more). Motion is
quadratic in time where the frames before and after are known (Xu et al., "Quadratic Video Interpolation", NeurIPS
2019). Along each flow, the frame from which it starts gives a picture. The two pictures are mixed. Where a flow leads
to another colour in the other frame, its picture hardly counts, so that contours are seldom doubled.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from vidtrans.core.compiling import compiled
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import BORDER, grid_axes, warp
from vidtrans.pairing.drawings import ink
from vidtrans.video.colour.conversion import to_uint8

FLOW_SHORT_SIDE = 384  # Short side at which flow is estimated, in pixels
FLOW = "dis"  # Flow method
COLOUR_SCALE = 8.0 / 255  # Difference of colours along a flow at which its weight falls to 1 / e
AGREEMENT_SCALE = 10.0 / 255  # Difference of two fetched pictures at which their agreement falls to 1 / e
DISPLACED_PX = 2.0  # Displacement of contours that still counts as agreement, in pixels of the flow's size
TRUST_SCALE = 16.0 / 255  # As COLOUR_SCALE, for the trust in an acceleration
CURVED = 0.7  # Share of the measured acceleration: it is noisy, and linear motion is the better guess
SMOOTH_PX = 8.0  # Standard deviation of the smoothing of accelerations, in pixels of the flow's size
MEAN = np.full((1, 3), 1 / 3, np.float32)  # Weights of the channels in a mean
MIN_WEIGHT = 1e-4  # Weight of a pixel that does not agree at all
INK_LEVEL = 64  # Ink, 0 to 255, of the lines of a drawing
NEAR_PX = 32.0  # Distance to a line at which the picture of distances reaches 63 %, in pixels of the flow's size
SMOOTH_CELL = 4  # Side, in pixels of the flow's size, of the cells in which accelerations are smoothed
FAST_PX = 4.0  # Length of far motion, in pixels of the flow's size
SMALLEST = 4  # Smallest side, in pixels, of the pyramid that fills holes
f32: Any = np.float32  # Short name of the scalar type in compiled code


@dataclass(frozen=True)
class Motion:
    """The flows between two frames, ``forth`` and ``back``, (h, w, 2) float32 pixels, with their agreement.

    ``weights``, ``trust``: of the pixels of each frame, (h, w) float32 from 0 to 1: how well colours agree along the
    flow, and how far the flow is to be trusted. ``pictures``: the two frames, (h, w, 3) float32 in [0, 1].
    """

    forth: np.ndarray
    back: np.ndarray
    weights: tuple[np.ndarray, np.ndarray]
    trust: tuple[np.ndarray, np.ndarray]
    pictures: tuple[np.ndarray, np.ndarray]

    @cached_property
    def is_fast(self) -> bool:
        """Return whether a twentieth of the picture or more moves far."""
        return bool(np.percentile(np.abs(self.back), 95) > FAST_PX)

    @cached_property
    def reverse(self) -> Motion:
        """Return the motion from the second frame to the first."""
        return Motion(self.back, self.forth, self.weights[::-1], self.trust[::-1], self.pictures[::-1])


class Guide:
    """A frame at the size at which flow is estimated: what the estimator takes, and the picture (h, w, 3) float32.

    ``drawn``: it is a drawing of lines. Flow between two of these is estimated from the distance to the nearest line,
    because thin lines that move further than their width have nothing in common.
    """

    def __init__(self, rgb: np.ndarray, estimator: FlowEstimator, *, drawn: bool = False) -> None:
        self.prepared = estimator.prepare(_distance_picture(to_uint8(rgb)) if drawn else rgb)
        height, width = self.prepared.shape[:2]
        small = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
        self.picture = small.astype(np.float32) * np.float32(1 / np.iinfo(rgb.dtype).max)


def _distance_picture(rgb: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of a drawing to the nearest line as a grey picture, (H, W, 3) uint8."""
    lines = (ink(rgb) >= INK_LEVEL).astype(np.uint8)
    distance = cv2.distanceTransform(1 - lines, cv2.DIST_L2, 5) * min(1, FLOW_SHORT_SIDE / min(lines.shape))
    grey = np.rint(255 * (1 - np.exp(-distance / NEAR_PX))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _agreement(here: Guide, there: Guide, flow: np.ndarray, way_back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ``weights`` and the ``trust`` of a frame's pixels, see ``Motion``, by the flows to the other frame."""
    difference = _mean(cv2.absdiff(here.picture, warp(there.picture, flow)))
    error = cv2.magnitude(*cv2.split(flow + warp(way_back, flow)))
    weights = cv2.exp(difference * np.float32(-1 / COLOUR_SCALE)) + np.float32(MIN_WEIGHT)
    return weights, cv2.exp(difference * np.float32(-1 / TRUST_SCALE) - error)


def acceleration(after: Motion, before: Motion) -> np.ndarray:
    """Return half the second difference of the positions of a frame's pixels, (h, w, 2), smoothed.

    ``after``, ``before``: the motion from the frame to the next, and to the one before.
    """
    height, width = after.forth.shape[:2]
    small = max(1, width // SMOOTH_CELL), max(1, height // SMOOTH_CELL)
    trust = after.trust[0] * before.trust[0]
    weighted = (after.forth + before.forth) * (np.float32(CURVED / 2) * trust)[..., None]
    sums = [cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (weighted, trust)]
    weighted, total = (cv2.GaussianBlur(each, (0, 0), SMOOTH_PX / SMOOTH_CELL) for each in sums)
    smoothed = weighted / (total + np.float32(1e-3))[..., None]
    return cv2.resize(smoothed, (width, height), interpolation=cv2.INTER_LINEAR)


class Mixer:
    """Measures motion and makes pictures between frames, on two threads if there are ``threads``."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(max(1, min(2, threads)))
        self._estimators = [FlowEstimator(FLOW, FLOW_SHORT_SIDE) for _ in range(2)]  # One for each thread

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def guide(self, rgb: np.ndarray, *, drawn: bool = False) -> Guide:
        """Return a frame, (H, W, 3) uint8 or uint16, in which motion is measured; ``drawn``: see ``Guide``."""
        return Guide(rgb, self._estimators[0], drawn=drawn)

    def motion(self, first: Guide, second: Guide, before: Motion | None = None) -> Motion:
        """Return the motion between two frames.

        ``before``: the motion to the first frame from the one before it, which lasts as long. The search begins with
        what would go on of it: far motion is found that is missed otherwise.
        """

        def estimate(estimator: FlowEstimator, here: Guide, there: Guide, start: np.ndarray | None) -> np.ndarray:
            """Return the flow from one frame to the other."""
            return estimator.estimate(here.prepared, there.prepared, start)

        starts: tuple[np.ndarray | None, np.ndarray | None] = (None, None)
        if before is not None:
            starts = -before.back, -warp(-before.back, before.back)
        forth, back = self._pool.map(estimate, self._estimators, (first, second), (second, first), starts)
        sides = (first, second), (second, first), (forth, back), (back, forth)
        (weight, trust), (other_weight, other_trust) = self._pool.map(_agreement, *sides)
        return Motion(forth, back, (weight, other_weight), (trust, other_trust), (first.picture, second.picture))

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

        Frames are (H, W, C) uint8 or uint16, and so is the picture. ``motion``: between them; ``before``: between the
        frame before and ``first``; ``after``: between ``second`` and the frame after it. The certainty is the share of
        the frames' contours, 0 to 1, that the picture has and both frames confirm.
        """
        curves = _curves(motion, before, after)
        sides = (share, motion, curves[0], first), (1 - share, motion.reverse, curves[1], second)
        one, other = self._pool.map(lambda side: _Side(*side), sides)
        size = first.shape[1::-1]
        weights = [_enlarged(side.weight, size) for side in (one, other)]
        mixed = _mix(one.picture, other.picture, *weights)
        peak = np.iinfo(first.dtype).max
        return np.rint(np.clip(mixed, 0, peak)).astype(first.dtype), _certainty(one, other, motion)


class _Side:
    """The picture at the share ``way`` of the time to the other frame, along the flow that starts at a ``frame``.

    Attributes:
        picture: (H, W, C) float32, in the units of the frame.
        weight: How far its pixels are to be trusted, and how near the frame is, (h, w) float32, from 0 to about 1; all
            small arrays have the size of the flow.
        small: The picture, made of the frame in which motion was measured, (h, w, 3) float32 in [0, 1].
        is_sure: Where the other frame shows the same, though it may be a little displaced, (h, w) bool.
    """

    def __init__(self, way: float, motion: Motion, curve: np.ndarray | None, frame: np.ndarray) -> None:
        found, covered = _carried(way, motion, curve)
        moved, covered = found[..., :2], np.minimum(covered, 1)
        self.small = warp(motion.pictures[0], -moved)
        difference = self.small - warp(motion.pictures[1], found[..., 2:] - moved)
        distance = cv2.GaussianBlur(_mean(cv2.absdiff(difference, 0)), (0, 0), 1)
        seen = cv2.exp(distance * np.float32(-1 / AGREEMENT_SCALE)) * covered
        self.weight = cv2.GaussianBlur(seen + np.float32(1e-3), (0, 0), 1) * np.float32(1 - way)
        # Smoothed with its sign, so that its parts at both sides of a displaced line cancel
        error = np.abs(cv2.GaussianBlur(_mean(difference), (0, 0), DISPLACED_PX))
        self.is_sure = cv2.exp(error * np.float32(-1 / AGREEMENT_SCALE)) * covered > np.exp(-1)
        self.picture = _sampled(frame, moved)


def _certainty(one: _Side, other: _Side, motion: Motion) -> float:
    """Return the share of the frames' contours that the picture mixed of two sides has where a side is sure."""
    mixed = _mix(one.small, other.small, one.weight, other.weight)
    edges = [_contours(picture) for picture in (mixed, *motion.pictures)]
    wanted = max(float(edges[0].sum()), float((edges[1] + edges[2]).sum()) / 2)
    return float(edges[0][one.is_sure | other.is_sure].sum()) / wanted if wanted else 1.0


def _contours(picture: np.ndarray) -> np.ndarray:
    """Return how strong the contours of a picture (h, w, 3) float32 are: (h, w)."""
    grey = _mean(picture)
    return cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def _mean(picture: np.ndarray) -> np.ndarray:
    """Return the mean of the channels of a picture (h, w, 3) float32: (h, w)."""
    return cv2.transform(picture, MEAN)


def _mix(one: np.ndarray, other: np.ndarray, weight: np.ndarray, other_weight: np.ndarray) -> np.ndarray:
    """Return the mean of pictures (H, W, C) float32, weighted by (H, W) float32."""
    # OpenCV adds 1e-5 to the sum of the weights
    return cv2.blendLinear(one, other, weight * np.float32(1024), other_weight * np.float32(1024))


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return an array (h, w[, C]) float32 at another size (W, H)."""
    return cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)


def _sampled(frame: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Return a frame (H, W, C) uint8 or uint16, sampled bicubically at its pixels before they ``moved``: float32."""
    height, width = frame.shape[:2]
    columns, rows = grid_axes(height, width)
    scale = np.array([-width / moved.shape[1], -height / moved.shape[0]], np.float32)
    u, v = cv2.split(_enlarged(moved * scale, (width, height)))
    return cv2.remap(frame.astype(np.float32), u + columns, v + rows, cv2.INTER_CUBIC, borderMode=BORDER)


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
