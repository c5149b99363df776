"""Pictures before and after a grade are found in each other, whatever became of size, frame and quality."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.grading.learning import locate, sample_pair


def picture(width: int = 480, height: int = 320, seed: int = 0) -> np.ndarray:
    """Smooth areas, edges and some texture."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((8, 12, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(60):
        colour = [float(v) for v in rng.random(3)]
        at = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(coarse, at, int(rng.integers(4, 30)), colour, -1, cv2.LINE_AA)
    fine = cv2.GaussianBlur(rng.normal(size=(height, width, 1)), (0, 0), 1)[..., None]
    return np.clip(255 * (coarse + 0.05 * fine), 0, 255).astype(np.uint8)


def graded(before: np.ndarray) -> np.ndarray:
    levels = (before / 255) ** np.array([0.8, 1.0, 1.25])
    return np.clip(255 * (0.05 + 0.85 * levels), 0, 255).astype(np.uint8)


def jpeg(before: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", before[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]


def resized(before: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(before, (width, height), interpolation=cv2.INTER_AREA)


AFTER = {
    "compressed": lambda p: jpeg(graded(p), 30),
    "cropped and smaller": lambda p: resized(graded(p)[40:280, 60:420], 270, 180),
    "16 bits": lambda p: graded(p).astype(np.uint16) * 257,
    "a negative": lambda p: 255 - graded(p),
}


@pytest.mark.parametrize("name", AFTER)
def test_samples_are_colours_of_the_same_places(name: str) -> None:
    before = picture()
    after = AFTER[name](before)
    placement = locate(before, after)
    assert placement.is_match
    samples = sample_pair(before, after, placement)
    assert len(samples.before) > 500
    wanted = 0.05 + 0.85 * samples.before ** np.array([0.8, 1.0, 1.25])
    wanted = 1 - wanted if name == "a negative" else wanted
    apart = np.abs(samples.after - wanted).mean(axis=1)
    assert np.average(apart, weights=samples.weights) < 0.015


def test_pictures_of_different_things_do_not_agree() -> None:
    assert not locate(picture(seed=1), picture(seed=2)).is_match


def test_what_is_flat_or_tiny_is_no_crash() -> None:
    for shape in ((16, 16), (1, 1), (300, 2)):
        assert not locate(np.full((*shape, 3), 90, np.uint8), scene(64, 48, 0)).is_match
