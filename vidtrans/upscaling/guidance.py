"""A guided filter from colours to colours: its coefficients are found at a small size, and applied at the large one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from vidtrans.upscaling.resampling import size_of, spread

RADIUS = 2  # pixels of the small picture, of the windows in which a colour is a linear map of the guide's
EPSILON = 1e-3  # variance, of colours from 0 to 1, below which a window counts as flat


def guided(small_guide: np.ndarray, small: np.ndarray, guide: np.ndarray) -> np.ndarray:
    """Return the picture ``small`` at the guide's size, (H, W, 3), as a local linear map of the guide's colours.

    ``small_guide``: the guide at the size of ``small``, (h, w, 3) both.
    """
    size, planes = size_of(guide), list(cv2.split(guide))
    maps = local_maps(cv2.split(small_guide), cv2.split(small), _mean)
    return cv2.merge([_applied(map_, planes, size) for map_ in maps])


def local_maps(guide: Sequence[Any], picture: Sequence[Any], mean: Callable[[Any], Any]) -> list[list[Any]]:
    """Return for each channel of a picture the factors of the guide's three channels and the shift, averaged.

    Channels are arrays, or tensors; ``mean`` averages one over the windows.
    """
    means = [mean(channel) for channel in guide]
    a, b, c, d, e, f = (
        mean(guide[i] * guide[j]) - means[i] * means[j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    a, d, f = a + EPSILON, d + EPSILON, f + EPSILON
    # The inverse of a symmetric 3x3 matrix is its adjugate over its determinant.
    inverse = [[d * f - e * e, c * e - b * f, b * e - c * d], [], []]
    inverse[1] = [inverse[0][1], a * f - c * c, b * c - a * e]
    inverse[2] = [inverse[0][2], inverse[1][2], a * d - b * b]
    scale = 1 / (a * inverse[0][0] + b * inverse[0][1] + c * inverse[0][2])
    found = []
    for channel in picture:
        own = mean(channel)
        shared = [mean(other * channel) - its * own for other, its in zip(guide, means, strict=True)]
        factors = [sum(x * y for x, y in zip(row, shared, strict=True)) * scale for row in inverse]
        shift = own - sum(factor * its for factor, its in zip(factors, means, strict=True))
        found.append([mean(each) for each in (*factors, shift)])
    return found


def _applied(map_: list[np.ndarray], planes: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    *factors, made = (spread(each, size) for each in map_)
    for factor, plane in zip(factors, planes, strict=True):
        cv2.add(made, cv2.multiply(factor, plane, factor), made)
    return made


def _mean(picture: np.ndarray) -> np.ndarray:
    return cv2.blur(picture, (2 * RADIUS + 1,) * 2, borderType=cv2.BORDER_REPLICATE)
