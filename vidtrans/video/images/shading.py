"""Estimate the shading of a picture by colour Retinex, and transfer it to another picture.

A picture is reflectance times shading. A luminance step at a chromaticity step belongs to the reflectance, other
luminance steps belong to the shading, which the Poisson equation integrates (Land and McCann, "Lightness and Retinex
Theory", 1971; the colour Retinex of Grosse et al., "Ground Truth Dataset and Baseline Evaluations for Intrinsic Image
Algorithms", ICCV 2009). Each frame is computed independently and without hard thresholds, so that results do not
flicker.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

SHORT_SIDE_PX = 180  # Short side of the picture whose shading is estimated; "steps" are between its neighbouring pixels
CHROMA_STEP = 0.1  # Step of log chromaticity from which a luminance step is entirely a change of reflectance
PAINT_STEP = 1.0  # Step of log luminance that is an edge between greys of an object; shadows have softer edges
# Weight of log luminance in the Poisson equation, which keeps shading wider than about 20 pixels from drifting in time.
SCREENING = 0.002
# Linear light added to luminance, and to each channel, which keeps the log of dark noise small.
LUMA_FLOOR, CHROMA_FLOOR = 0.01, 0.003
GAMMA = 2.2  # Gamma of a display: light times g is a code value times g^(1/GAMMA)
FIT_RADIUS, FIT_VARIANCE = 0.25, 0.02  # Window of the local fit, as a share of the short side, and its regularisation
EDGE_RADIUS, EDGE_VARIANCE = 0.03, 0.01  # Window and regularisation of the fit of the shading to edges at full size
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # Weights of red, green and blue in luminance


def transfer_shading(picture: np.ndarray, source: np.ndarray, amount: float, full: int = 255) -> np.ndarray:
    """Replace the shading of a picture by that of another picture, ``source``.

    The picture's shading is estimated with the source's division of steps into reflectance and shading, so a picture
    that equals the source is returned unchanged. Only the part of the difference that follows the source's shading
    within a window is changed (He et al., "Guided Image Filtering", ECCV 2010), so that brush strokes remain.

    Args:
        picture: (H, W, 3) float32, RGB code values from 0 to ``full``.
        source: As ``picture``, of the same size.
        amount: From 0, no change, to 1, the whole shading.
        full: The code value of white.

    Returns:
        (H, W, 3) float32, from 0 to ``full``.
    """
    height, width = source.shape[:2]
    small = _downscale(source, full)
    log_luma, picture_luma = _log_luma(small), _log_luma(_downscale(picture, full))
    shares = _shading_shares(small, log_luma)
    shading = _integrate_shading(log_luma, shares)
    change = shading - _integrate_shading(picture_luma, shares)
    slope, offset = _local_fit(shading, change, FIT_RADIUS, FIT_VARIANCE)
    change = slope * shading + offset
    # At full size the change follows the edges of the source, not of the small picture.
    slope, offset = _local_fit(log_luma, change, EDGE_RADIUS, EDGE_VARIANCE)
    slope, offset = (cv2.resize(plane * np.float32(amount / GAMMA), (width, height)) for plane in (slope, offset))
    gain = cv2.exp(slope * _log_luma(cv2.pow(source * np.float32(1 / full), GAMMA)) + offset)
    return np.clip(picture * gain[..., None], 0, full)


def _integrate_shading(log_luma: np.ndarray, shares: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the log shading: the plane whose steps are nearest to the shading's shares of the steps of ``log_luma``.

    ``shares``: of the steps to the right and down, 0 to 1. All are (h, w) float32 with even sides, and the result has
    the mean of ``log_luma``. This is the screened Poisson equation with free edges (least squares of the steps, and
    with the weight ``SCREENING`` of the values), solved by a cosine transform.
    """
    right, down = (_step(log_luma, axis) * share for axis, share in zip((1, 0), shares, strict=True))
    divergence = right + down
    divergence[:, 1:] -= right[:, :-1]
    divergence[1:] -= down[:-1]
    return cv2.idct(cv2.dct(divergence - SCREENING * log_luma) / (_laplacian(log_luma.shape) - SCREENING))


@cache
def _laplacian(shape: tuple[int, int]) -> np.ndarray:
    """Return the eigenvalues of the Laplace operator in the cosine transform, (h, w) float32."""
    down, right = (2 * np.cos(np.pi * np.arange(side) / side) - 2 for side in shape)
    return (down[:, None] + right).astype(np.float32)


def _downscale(picture: np.ndarray, full: int) -> np.ndarray:
    """Return a picture as linear light, (h, w, 3) float32 from 0 to 1, at the reduced size of the estimate.

    Its sides are even. ``full``: the code value of white.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, SHORT_SIDE_PX / min(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
    return cv2.pow(cv2.resize(picture, size, interpolation=cv2.INTER_AREA) * np.float32(1 / full), GAMMA)


def _log_luma(light: np.ndarray) -> np.ndarray:
    """Return the logarithm of the luminance of linear light, (h, w) float32."""
    return cv2.log(light @ _LUMA + np.float32(LUMA_FLOOR))


def _shading_shares(light: np.ndarray, log_luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of shading, from 0 to 1, in the luminance steps to the right and down, (h, w) float32 each."""
    chromaticity = cv2.log(light + np.float32(CHROMA_FLOOR))
    chromaticity -= chromaticity.mean(-1, keepdims=True)
    shares = []
    for axis in (1, 0):
        colour = (_step(chromaticity, axis) ** 2).sum(-1) / CHROMA_STEP**2
        paint = (_step(log_luma, axis) / PAINT_STEP) ** 4
        shares.append(1 - np.minimum(np.maximum(colour, paint), 1))
    return shares[0], shares[1]


def _step(plane: np.ndarray, axis: int) -> np.ndarray:
    """Return the differences from each pixel to the next along an axis; 0 at the last pixel."""
    return np.diff(plane, axis=axis, append=np.take(plane, [-1], axis=axis))


def _local_fit(guide: np.ndarray, values: np.ndarray, radius: float, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and offset, (h, w) float32, of the guided filter: a local linear fit of ``values`` over ``guide``.

    ``radius``: of the window, as a share of the short side. ``variance``: the regularisation.
    """
    side = 2 * max(1, round(radius * min(guide.shape))) + 1

    def mean(plane: np.ndarray) -> np.ndarray:
        """Return the mean of a plane in the window around each pixel."""
        return cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT)

    guide_mean, values_mean = mean(guide), mean(values)
    slope = (mean(guide * values) - guide_mean * values_mean) / (mean(guide * guide) - guide_mean**2 + variance)
    return mean(slope), mean(values_mean - slope * guide_mean)
