"""The operations of upscaling on arrays, by OpenCV: pictures are (H, W, 3) float32, maps (H, W); sizes (width, height).

``tensor_pictures`` has the same functions for tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

Size = tuple[int, int]


def size_of(picture: np.ndarray) -> Size:
    """Return the (width, height) of a picture."""
    return picture.shape[1], picture.shape[0]


def shrink(picture: np.ndarray, size: Size) -> np.ndarray:
    """Shrink by area averaging."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def enlarge(picture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge by bicubic interpolation."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def spread(picture: np.ndarray, size: Size) -> np.ndarray:
    """Enlarge by bilinear interpolation, which never overshoots: for maps and limits."""
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def extremes(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest value around each pixel, within one pixel."""
    around = np.ones((3, 3), np.uint8)
    return cv2.erode(picture, around), cv2.dilate(picture, around)


def between(picture: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Limit a picture to two others."""
    return cv2.max(cv2.min(picture, high), low)


def widened(low: np.ndarray, high: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a range that also contains a picture."""
    return cv2.min(low, picture), cv2.max(high, picture)


def blur(picture: np.ndarray, deviation: float) -> np.ndarray:
    """Blur by a Gaussian of a standard deviation in pixels."""
    return cv2.GaussianBlur(picture, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)


def mean_around(channel: np.ndarray, reach: int) -> np.ndarray:
    """Average a map over the square within ``reach`` pixels of each pixel."""
    return cv2.blur(channel, (2 * reach + 1,) * 2, borderType=cv2.BORDER_REPLICATE)


def plus(one: np.ndarray, other: np.ndarray, factor: float = 1) -> np.ndarray:
    """Return ``one + factor * other``, of pictures or of maps."""
    return cv2.add(one, other) if factor == 1 else cv2.addWeighted(one, 1, other, factor, 0)


def plus_product(total: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return ``total + one * other``, of maps; ``total`` and ``one`` are overwritten."""
    return cv2.add(total, cv2.multiply(one, other, one), total)


def minus(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the difference of two pictures or maps."""
    return cv2.subtract(one, other)


def times(picture: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply all channels of a picture by a map."""
    return cv2.multiply(picture, cv2.merge([weights] * picture.shape[2]))


def product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the product of two pictures, summed over channels: a map."""
    return cv2.transform(cv2.multiply(one, other), np.ones((1, one.shape[2]), np.float32))


def clip(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Limit values to a range."""
    return np.clip(values, low, high)


def luma(picture: np.ndarray) -> np.ndarray:
    """Return the luma of a picture, by the weights of BT.601: a map."""
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def channels(picture: np.ndarray) -> Sequence[np.ndarray]:
    """Return the channels of a picture, each a map."""
    return cv2.split(picture)


def merge(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the picture with these channels."""
    return cv2.merge(list(maps))
