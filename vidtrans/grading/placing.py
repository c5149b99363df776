"""Alignment of pictures before and after a grade, which may be resized, cropped or compressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidtrans.grading.samples import ColourSamples
from vidtrans.video.colour.conversion import to_uint8, unit

FINDING_SIDE = 384  # of the short side in pixels, at which one picture is found in the other
SAMPLING_SIDE = 512  # likewise, at which colours are compared
SAME_SHAPE = 0.02  # of the aspect: two shapes this alike may be the same framing
AGREES = 0.5  # correlation of structure from which two pictures show the same
NEAR = 0.9  # of the best correlation: the whole picture is preferred to a part of it
MIN_MATCHES = 12
BLUR = 1.5  # σ in pixels, against grain, compression and half a pixel out of step
FLAT = 0.03  # of full scale: the spread of colours around a sample at which it counts half
RIM, STEP = 4, 2  # pixels at the rim that are no samples, and between samples
EDGE = 0.004  # of full scale: what is this near to black or white may have been cut off


@dataclass(frozen=True)
class PairPlacement:
    """The position of ``before`` in ``after``: a 2×3 matrix from positions in one to the other, and their correlation.

    Positions are in units of the sides, (0, 0) to (1, 1). The correlation, 0 to 1, is the absolute one of structures.
    """

    matrix: np.ndarray
    correlation: float

    @property
    def agrees(self) -> bool:
        """True if the two pictures show the same content."""
        return self.correlation >= AGREES


def place(before: np.ndarray, after: np.ndarray) -> PairPlacement:
    """Locate the picture ``before`` in ``after``; both (H, W, 3) uint8 or uint16, of any size."""
    small = [_fit(to_uint8(picture), FINDING_SIDE) for picture in (before, after)]
    structure = [_structure(picture) for picture in small]
    whole = PairPlacement(np.eye(2, 3), 0.0)
    shapes = [picture.shape[1] / picture.shape[0] for picture in small]
    candidates = []
    if abs(shapes[0] / shapes[1] - 1) <= SAME_SHAPE:
        candidates.append(_refined(whole.matrix, structure))
        if candidates[0].correlation >= NEAR:
            return candidates[0]
    found = _found_by_features(structure)
    if found is not None:
        candidates.append(_refined(found, structure))
    return max(candidates, key=lambda c: c.correlation, default=whole)


def sample_pair(before: np.ndarray, after: np.ndarray, placement: PairPlacement) -> ColourSamples:
    """Return colours of both pictures at corresponding places; flatter places have more weight."""
    height, width = _fitted_size(before, SAMPLING_SIDE)
    here = cv2.resize(unit(before), (width, height), interpolation=cv2.INTER_AREA)
    # Averaged first: a warp that shrinks would sample single pixels.
    there = unit(after)
    full = np.array([there.shape[1], there.shape[0]])
    scale = max(1.0, float(min(np.linalg.norm(placement.matrix[:, :2], axis=0) * full / (width, height))))
    columns, rows = (max(1, round(side / scale)) for side in full.tolist())
    there = cv2.resize(there, (columns, rows), interpolation=cv2.INTER_AREA)
    matrix = _in_pixels(placement.matrix, (width, height), (columns, rows))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(there, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones((rows, columns), np.float32), matrix, (width, height), flags=flags)
    smooth = [cv2.GaussianBlur(picture, (0, 0), BLUR) for picture in (here, there)]
    spread = sum(_spread(picture, mean) for picture, mean in zip((here, there), smooth, strict=True))
    weights = (inside > 0.99) / (1 + spread / FLAT**2)
    cut = np.maximum(*(np.abs(picture - 0.5).max(axis=2) for picture in smooth)) > 0.5 - EDGE
    weights = np.where(cut, 0.3 * weights, weights)
    some = (slice(RIM, -RIM, STEP),) * 2
    before_, after_ = (picture[some].reshape(-1, 3).astype(np.float64) for picture in smooth)
    chosen = weights[some].ravel()
    used = chosen > 0
    return ColourSamples(before_[used], after_[used], chosen[used].astype(np.float64))


def _fitted_size(picture: np.ndarray, side: int) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = min(1.0, side / min(height, width))
    return max(16, round(height * scale)), max(16, round(width * scale))


def _fit(picture: np.ndarray, side: int) -> np.ndarray:
    height, width = _fitted_size(picture, side)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def _structure(picture: np.ndarray) -> np.ndarray:
    """Return a picture's structure, (H, W) float32: lightness without local mean and contrast, which grades change."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    around = cv2.GaussianBlur(grey, (0, 0), 8)
    detail = cv2.GaussianBlur(grey, (0, 0), 1) - around
    size = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), 8))
    return detail / (size + 1.0)


def _in_pixels(matrix: np.ndarray, size: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """Convert a unit placement to pixel-centre coordinates, between pictures of these (width, height)."""
    to_unit = np.array([[1 / size[0], 0, 0.5 / size[0]], [0, 1 / size[1], 0.5 / size[1]], [0, 0, 1]])
    to_pixels = np.array([[other[0], 0, -0.5], [0, other[1], -0.5], [0, 0, 1]])
    return (to_pixels @ np.vstack([matrix, [0, 0, 1]]) @ to_unit)[:2]


def _in_units(matrix: np.ndarray, size: tuple[int, int], other: tuple[int, int]) -> np.ndarray:
    """Convert a placement from pixels to units, the inverse of ``_in_pixels``."""
    to_pixels = np.array([[size[0], 0, -0.5], [0, size[1], -0.5], [0, 0, 1]])
    to_unit = np.array([[1 / other[0], 0, 0.5 / other[0]], [0, 1 / other[1], 0.5 / other[1]], [0, 0, 1]])
    return (to_unit @ np.vstack([matrix, [0, 0, 1]]) @ to_pixels)[:2]


def _sizes(structure: list[np.ndarray]) -> list[tuple[int, int]]:
    return [(picture.shape[1], picture.shape[0]) for picture in structure]


def _refined(matrix: np.ndarray, structure: list[np.ndarray]) -> PairPlacement:
    """Refine a placement to the best agreement, by ECC (Evangelidis and Psarakis, TPAMI 2008)."""
    first, second = structure
    sizes = _sizes(structure)
    start = _in_pixels(matrix, *sizes).astype(np.float32)
    best = PairPlacement(matrix, _correlation(first, second, start))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    try:
        _, found = cv2.findTransformECC(first, second, start.copy(), cv2.MOTION_AFFINE, criteria, None, 5)
    except cv2.error:  # it did not converge
        return best
    moved = PairPlacement(_in_units(found.astype(np.float64), *sizes), _correlation(first, second, found))
    return max(best, moved, key=lambda p: p.correlation)


def _correlation(first: np.ndarray, second: np.ndarray, matrix: np.ndarray) -> float:
    """Return the absolute correlation of two structures where they overlap, so that a negative matches, too."""
    size = (first.shape[1], first.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    there = cv2.warpAffine(second, matrix, size, flags=flags)
    inside = cv2.warpAffine(np.ones_like(second), matrix, size, flags=flags) > 0.5
    if inside.mean() < 0.05:
        return 0.0
    a, b = first[inside], there[inside]
    return float(abs(np.mean(a * b)) / np.sqrt(np.mean(a * a) * np.mean(b * b) + 1e-9))


def _found_by_features(structure: list[np.ndarray]) -> np.ndarray | None:
    """Return a placement from matched features (SIFT: Lowe, IJCV 2004); None if too few match."""
    sift: Any = cv2.SIFT.create(nfeatures=2000)  # OpenCV's stubs lack what it does
    pictures = [np.clip(128 + 40 * picture, 0, 255).astype(np.uint8) for picture in structure]
    (points, descriptors), (other_points, other_descriptors) = (sift.detectAndCompute(p, None) for p in pictures)
    if descriptors is None or other_descriptors is None or min(len(descriptors), len(other_descriptors)) < 2:
        return None
    matches = cv2.BFMatcher().knnMatch(descriptors, other_descriptors, k=2)
    good = [m[0] for m in matches if len(m) == 2 and m[0].distance < 0.75 * m[1].distance]
    if len(good) < MIN_MATCHES:
        return None
    here = np.array([points[m.queryIdx].pt for m in good], np.float32)
    there = np.array([other_points[m.trainIdx].pt for m in good], np.float32)
    matrix, inliers = cv2.estimateAffine2D(here, there, method=cv2.RANSAC, ransacReprojThreshold=3.0)
    if matrix is None or inliers.sum() < MIN_MATCHES:
        return None
    return _in_units(matrix, *_sizes(structure))


def _spread(picture: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return the local variance of colours about ``mean``, the blurred picture: summed over channels, (H, W).

    The window is a Gaussian with σ 2 · ``BLUR`` pixels. Units of full scale, squared.
    """
    difference = picture - mean
    return cv2.GaussianBlur(np.sum(difference * difference, axis=2), (0, 0), 2 * BLUR)
