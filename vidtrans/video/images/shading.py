"""The light of a picture: shading by colour Retinex, and its transfer to another picture.

A picture is reflectance times shading. Of a step in luminance, the part that comes with a step in chromaticity is of
the reflectance, the rest of the light, which the Poisson equation integrates (Land and McCann, "Lightness and Retinex
Theory", 1971; the colour Retinex of Grosse et al., "Ground Truth Dataset and Baseline Evaluations for Intrinsic Image
Algorithms", ICCV 2009). Each frame is computed alone and without thresholds that switch.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

SHORT_SIDE = 180  # pixels at which shading is estimated; the steps below are those between such pixels
COLOUR_STEP = 0.1  # of log chromaticity: from here a step is of the reflectance alone
LIGHT_STEP = 1.0  # of log luminance: a step so steep is an edge of grey paint; shadows have softer edges
PULL = 0.002  # towards the luminance: it keeps waves of the light wider than about 20 pixels from drifting over time
FLOOR, COLOUR_FLOOR = 0.01, 0.003  # of linear light, so that the noise of dark pixels is not divided by nearly 0
GAMMA = 2.2  # of a display: light times g is a code value times g^(1/GAMMA)
FIT_RADIUS, FIT_VARIANCE = 0.25, 0.02  # window of the local fit of the light, as a share of the short side; smoothing
EDGE_RADIUS, EDGE_VARIANCE = 0.03, 0.01  # likewise, of its edges at full size
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


def transfer_shading(picture: np.ndarray, source: np.ndarray, amount: float, full: int = 255) -> np.ndarray:
    """Replace the light of a picture by the source's.

    The picture's light is what Retinex finds in it where the source's edges are edges of light: a picture that equals
    the source is returned as it is. Only the part of the difference that follows the source's light, within a window,
    is changed (He et al., "Guided Image Filtering", ECCV 2010), so that strokes stay as they are.

    Args:
        picture: (H, W, 3) float32, RGB code values from 0 to ``full``.
        source: likewise, of the same size.
        amount: from 0, nothing, to 1, all of the light.
        full: The code value of white.

    Returns:
        (H, W, 3) float32, from 0 to ``full``.
    """
    height, width = source.shape[:2]
    small = _small(source, full)
    log_luma, picture_luma = _log_luma(small), _log_luma(_small(picture, full))
    steps = _light_steps(small, log_luma)
    light = _integrate(log_luma, steps)
    change = light - _integrate(picture_luma, steps)
    slope, offset = _local_fit(light, change, FIT_RADIUS, FIT_VARIANCE)
    change = slope * light + offset
    # At full size the change follows the source's own edges, not those of the small picture.
    slope, offset = _local_fit(log_luma, change, EDGE_RADIUS, EDGE_VARIANCE)
    slope, offset = (cv2.resize(plane * np.float32(amount / GAMMA), (width, height)) for plane in (slope, offset))
    gain = cv2.exp(slope * _log_luma(cv2.pow(source * np.float32(1 / full), GAMMA)) + offset)
    return np.clip(picture * gain[..., None], 0, full)


def _integrate(log_luma: np.ndarray, shares: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the plane whose steps are nearest to those of ``log_luma`` times ``shares``; it has the same mean.

    All are (h, w) float32 with even sides; ``shares``: of the steps to the right and down, 0 to 1. The screened
    Poisson equation with free edges (least squares of the steps, and by ``PULL`` of the values), by a cosine transform.
    """
    right, down = (_step(log_luma, axis) * share for axis, share in zip((1, 0), shares, strict=True))
    divergence = right + down
    divergence[:, 1:] -= right[:, :-1]
    divergence[1:] -= down[:-1]
    return cv2.idct(cv2.dct(divergence - PULL * log_luma) / (_laplacian(log_luma.shape) - PULL))


@cache
def _laplacian(shape: tuple[int, int]) -> np.ndarray:
    down, right = (2 * np.cos(np.pi * np.arange(side) / side) - 2 for side in shape)
    return (down[:, None] + right).astype(np.float32)


def _small(picture: np.ndarray, full: int) -> np.ndarray:
    """Return linear light, (h, w, 3) float32 from 0 to 1, at the size of the estimate, whose sides are even."""
    height, width = picture.shape[:2]
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
    return cv2.pow(cv2.resize(picture, size, interpolation=cv2.INTER_AREA) * np.float32(1 / full), GAMMA)


def _log_luma(light: np.ndarray) -> np.ndarray:
    return cv2.log(light @ _LUMA + np.float32(FLOOR))


def _light_steps(light: np.ndarray, log_luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of the steps to the right and down, (h, w) float32 from 0 to 1, that are of the light."""
    chromaticity = cv2.log(light + np.float32(COLOUR_FLOOR))
    chromaticity -= chromaticity.mean(-1, keepdims=True)
    shares = []
    for axis in (1, 0):
        colour = (_step(chromaticity, axis) ** 2).sum(-1) / COLOUR_STEP**2
        paint = (_step(log_luma, axis) / LIGHT_STEP) ** 4
        shares.append(1 - np.minimum(np.maximum(colour, paint), 1))
    return shares[0], shares[1]


def _step(plane: np.ndarray, axis: int) -> np.ndarray:
    return np.diff(plane, axis=axis, append=np.take(plane, [-1], axis=axis))


def _local_fit(guide: np.ndarray, values: np.ndarray, radius: float, variance: float) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and offset of the values over the guide, fitted in windows and averaged, (h, w) float32 both."""
    side = 2 * max(1, round(radius * min(guide.shape))) + 1

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT)

    guide_mean, values_mean = mean(guide), mean(values)
    slope = (mean(guide * values) - guide_mean * values_mean) / (mean(guide * guide) - guide_mean**2 + variance)
    return mean(slope), mean(values_mean - slope * guide_mean)
