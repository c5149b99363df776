"""Enlarge a picture: what it shows is kept, and what it cannot show comes from its source as far as both agree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidtrans.upscaling.guidance import guided
from vidtrans.upscaling.resampling import (
    BACK_PROJECTIONS,
    Size,
    back_project,
    enlarge,
    extremes,
    shrink,
    size_of,
    spread,
    unseen,
)

SHARPENING = 1.5  # of the edges, as a factor of what a blur removes from them
SHARPENED = 0.5  # pixels of the small picture: the blur's standard deviation
WINDOW = 3.0  # pixels of the small picture: the standard deviation of the window in which agreement is measured
RIDGE = 1e-4  # of the least squares; colours are from 0 to 1


@dataclass(frozen=True)
class Agreement:
    """How far the detail of the guided picture and of the sharpened edges is that of the truth, (h, w) from 0 to 1."""

    guided: np.ndarray
    edges: np.ndarray


def upscale(output: np.ndarray, source: np.ndarray, mode: str = "guided") -> np.ndarray:
    """Return a network's output at its source's size.

    Args:
        output: (h, w, 3) uint8, uint16 or float32 from 0 to 1.
        source: the frame that it was painted from, (H, W, 3) of any of these types.
        mode: of ``MODES``. "guided": with the detail of the source where it agrees; "faithful": by back-projection
            alone, which shows nothing but the output; "bicubic".

    Returns:
        (H, W, 3) of the output's type. A side that becomes smaller is averaged, whatever the mode.
    """
    size = size_of(source)
    if size_of(output) == size:
        return output
    x = _unit(output)
    if size[0] <= x.shape[1] or size[1] <= x.shape[0]:
        is_smaller = size[0] <= x.shape[1] and size[1] <= x.shape[0]
        return _as(shrink(x, size) if is_smaller else enlarge(x, size), output.dtype)
    if mode == "bicubic":
        return _as(enlarge(x, size), output.dtype)
    if mode == "faithful":
        return _as(enlarge(back_project(x, size, BACK_PROJECTIONS), size), output.dtype)
    return _as(_guided(x, _unit(source)), output.dtype)


def _guided(x: np.ndarray, source: np.ndarray) -> np.ndarray:
    size, small = size_of(source), size_of(x)
    small_source = shrink(source, small)
    twice = back_project(x, size, BACK_PROJECTIONS - 1)
    made = enlarge(cv2.add(twice, cv2.subtract(x, shrink(enlarge(twice, size), small))), size)
    agreement = measure(x, small_source)
    for detail, gain in (
        (unseen(guided(small_source, x, source), small), agreement.guided),
        (unseen(sharpened(x, twice, size), small), agreement.edges),
    ):
        made = cv2.add(made, cv2.multiply(detail, cv2.merge([spread(gain, size)] * 3)))
    low, high = extremes(x)
    span = high - low
    return _between(made, spread(low - span, size), spread(high + span, size))


def sharpened(x: np.ndarray, projected: np.ndarray, size: Size) -> np.ndarray:
    """Return the edges of a picture at ``size``, sharpened, and no brighter or darker than the pixels around them.

    ``projected``: the picture after its back-projections.
    """
    enlarged = enlarge(projected, size)
    blurred = blur(enlarged, SHARPENED * size[0] / x.shape[1])
    low, high = extremes(x)
    sharp = cv2.addWeighted(enlarged, 1 + SHARPENING, blurred, -SHARPENING, 0)
    return _between(sharp, spread(low, size), spread(high, size))


def measure(x: np.ndarray, source: np.ndarray) -> Agreement:
    """Measure one scale down, where ``x`` is the truth, how far each candidate is right; both are (h, w, 3)."""
    size = size_of(x)
    half = max(1, size[0] // 2), max(1, size[1] // 2)
    smaller, smaller_source = shrink(x, half), shrink(source, half)
    from_guide = unseen(guided(smaller_source, smaller, source), half)
    from_edges = unseen(sharpened(smaller, back_project(smaller, size, BACK_PROJECTIONS - 1), size), half)
    truth = x - enlarge(back_project(smaller, size, 1), size)
    return Agreement(*(np.clip(gain, 0, 1) for gain in gains(from_guide, from_edges, truth, _shared)))


def gains(from_guide: Any, from_edges: Any, truth: Any, shared: Callable[[Any, Any], Any]) -> tuple[Any, Any]:  # noqa: ANN401  (arrays, or tensors)
    """Return how much of each of two details makes the truth, by least squares in a window around each pixel.

    ``shared``: the product of two pictures, averaged over that window.
    """
    gg, ee = shared(from_guide, from_guide) + RIDGE, shared(from_edges, from_edges) + RIDGE
    ge, gt, et = shared(from_guide, from_edges), shared(from_guide, truth), shared(from_edges, truth)
    determinant = gg * ee - ge * ge
    return (ee * gt - ge * et) / determinant, (gg * et - ge * gt) / determinant


def _between(picture: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return cv2.max(cv2.min(picture, high), low)


def _shared(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the product of two pictures, summed over colours and averaged around each pixel, (h, w)."""
    return blur(cv2.transform(cv2.multiply(one, other), np.ones((1, 3), np.float32)), WINDOW)


def blur(picture: np.ndarray, deviation: float) -> np.ndarray:
    """Blur by a Gaussian of a standard deviation in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)


def _unit(picture: np.ndarray) -> np.ndarray:
    """Return a picture in float32, from 0 to 1."""
    if picture.dtype == np.float32:
        return picture
    return picture * np.float32(1 / np.iinfo(picture.dtype).max)


def _as(unit: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Return a picture from 0 to 1 in another type; what lies beyond is cut off."""
    if dtype == np.float32:
        return np.clip(unit, 0, 1)
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    return np.rint(np.clip(unit, 0, 1) * np.float32(most)).astype(dtype)
