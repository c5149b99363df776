"""The light of a picture: found on painted patches, transferred to another picture, and steady over time."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vidtrans.video.images.shading import transfer_shading

SIZE = (180, 320)


def patches(seed: int = 0) -> np.ndarray:
    """Return flat patches of random colours, as Mondrian's: (H, W, 3) float32 linear light."""
    random = np.random.default_rng(seed)
    picture = np.full((*SIZE, 3), 0.5, np.float32)
    for _ in range(40):
        corner = random.uniform(0, 1, 2) * SIZE[::-1]
        shape = cv2.convexHull((corner + random.normal(0, 40, (5, 2))).astype(np.int32))
        cv2.fillConvexPoly(picture, shape, random.uniform(0.1, 0.9, 3).tolist(), cv2.LINE_AA)
    return picture


def lamp(at: float) -> np.ndarray:
    """Return the logarithm of a lamp's light, ``at`` a share of the width, and of a shadow with a soft edge."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32) / SIZE[0]
    shadow = 1 / (1 + np.exp(-(x - 1.1) / 0.03))
    return -1.5 * ((x - at * 1.8) ** 2 + (y - 0.5) ** 2) - 0.7 * shadow


def shown(light: np.ndarray) -> np.ndarray:
    return (255 * np.clip(light, 0, 1) ** (1 / 2.2)).astype(np.float32)


def log_luma(picture: np.ndarray) -> np.ndarray:
    return np.log((picture / 255) ** 2.2 @ np.float32([0.2126, 0.7152, 0.0722]) + 0.01)


def test_a_grey_wall_takes_the_light_and_not_the_paint_of_the_source() -> None:
    light = lamp(0.4)
    source = shown(patches(1) * np.exp(light)[..., None])
    wall = transfer_shading(np.full_like(source, 120), source, 1.0)
    found = log_luma(wall)

    def error(guess: np.ndarray) -> float:
        return float(np.var(guess - light) / np.var(light))

    assert error(found) < 0.25  # of the light's variance
    assert error(log_luma(source)) > 2 * error(found)  # a blend of the luminances would also show the patches


def test_the_amount_is_a_power_of_the_gain_and_16_bits_are_as_8() -> None:
    source = shown(patches() * np.exp(lamp(0.3))[..., None])
    wall = np.full_like(source, 100)
    whole, half = (transfer_shading(wall, source, amount) / wall for amount in (1.0, 0.5))
    assert np.allclose(half, np.sqrt(whole), rtol=1e-3)
    deep = transfer_shading(wall * 257, source * 257, 1.0, 65535)
    assert np.abs(deep / 257 - transfer_shading(wall, source, 1.0)).max() < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (37, 23)])
def test_small_and_black_pictures_keep_their_shape(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 40, np.float32)
    for source in (np.zeros_like(picture), np.full_like(picture, 255)):
        made = transfer_shading(picture, source, 1.0)
        assert made.shape == picture.shape
        assert np.isfinite(made).all()
