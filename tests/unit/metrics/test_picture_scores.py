"""Scores of pictures against values worked out by hand, other implementations, and strokes that are drawn here."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from clips import scene
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio

from vidtrans.metrics.picture_quality import (
    MIN_SIDE_PX,
    Brushwork,
    detail_ratio,
    l1_distance,
    psnr,
    sharpness,
    squared_error,
    ssim,
)


def plain(value: int, size: int = 16) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def reference_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, eq. 13, with an 11×11 Gaussian window of σ = 1.5, over the inner pixels of each channel."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    scores = []
    for k in range(3):
        x, y = a[..., k].astype(float), b[..., k].astype(float)
        blur = lambda p: gaussian_filter(p, 1.5, truncate=3.5)  # noqa: E731
        mx, my = blur(x), blur(y)
        vx, vy, vxy = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
        score = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
        scores.append(score[5:-5, 5:-5].mean())
    return float(np.mean(scores))


def test_psnr_is_scikit_images_and_ssim_that_of_the_paper_for_pictures_of_11_pixels_and_up() -> None:
    a = scene(40, 32, 1)
    noise = np.random.default_rng(0).integers(-60, 61, a.shape)
    b = np.clip(a.astype(int) + noise, 0, 255).astype(np.uint8)
    assert ssim(a, b) == pytest.approx(reference_ssim(a, b), abs=1e-6)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255))
    assert squared_error(a, b) == pytest.approx(np.square(a.astype(float) - b).mean())
    assert (l1_distance(a, b), ssim(a, b)) == pytest.approx((l1_distance(b, a), ssim(b, a)))
    assert ssim(plain(5, 11), plain(5, 11)) == 1
    with pytest.raises(ValueError, match="win_size"):
        ssim(plain(5, 10), plain(5, 10))


def test_sharpness_of_a_known_edge_and_of_a_blurred_picture() -> None:
    assert sharpness(plain(90)) == 0
    edge = plain(0, 20)
    edge[:, 10:] = 100
    # The Laplacian of a step of 100 is +100 on one side and −100 on the other: two columns of twenty.
    assert sharpness(edge) == pytest.approx(100 * 2 / 20)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert sharpness(gaussian_filter(picture, (1, 1, 0))) < sharpness(picture) / 2


def strokes() -> np.ndarray:
    """Thin strokes on one half of a grey picture, nothing on the other."""
    rng, picture = np.random.default_rng(3), plain(120, 160)
    for _ in range(30):
        (x, y), (u, v) = rng.integers((5, 5), (75, 155), (2, 2))
        cv2.line(picture, (int(x), int(y)), (int(u), int(v)), [int(c) for c in rng.integers(0, 256, 3)], 1)
    return picture


def test_noise_and_checkerboards_make_no_blurred_picture_sharp() -> None:
    picture = strokes()
    blurred = gaussian_filter(picture, (2, 2, 0))
    noise = np.random.default_rng(0).normal(0, 8, (*picture.shape[:2], 1))
    board = 4 * (2 * (np.indices(picture.shape[:2]).sum(0) % 2) - 1)[..., None]
    soft = detail_ratio(blurred, picture)
    assert soft < 0.4
    for faults in (noise, board):
        faulty = np.clip(blurred + faults, 0, 255).astype(np.uint8)
        assert sharpness(faulty) > sharpness(picture)
        assert detail_ratio(faulty, picture) < soft + 0.05


def test_detail_need_not_lie_at_the_same_pixel_and_may_be_more() -> None:
    picture = strokes()
    assert detail_ratio(picture, picture) == 1
    assert detail_ratio(np.roll(picture, 1, axis=1), picture) > 0.9
    crisp = picture + (picture.astype(float) - gaussian_filter(picture, (1.5, 1.5, 0)))
    assert detail_ratio(np.clip(crisp, 0, 255).astype(np.uint8), picture) > 1.1
    assert detail_ratio(picture, plain(7, 160)) == 0  # of a target without detail


SIDE = 192
PALETTE = ((200, 60, 40), (40, 80, 170), (230, 200, 90), (30, 30, 40))


def brushed(
    length: int, width: int, seed: int = 0, angle: float = 0.6, palette: Sequence[Sequence[int]] = PALETTE
) -> np.ndarray:
    """A picture covered with strokes of one size, about one direction, (SIDE, SIDE, 3) uint8."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIDE, SIDE, 3), 128, np.uint8)
    for _ in range(12 * SIDE * SIDE // (length * width)):
        x, y = rng.integers(0, SIDE, 2)
        turn = angle + 0.3 * rng.standard_normal()
        end = int(x + length * np.cos(turn)), int(y + length * np.sin(turn))
        cv2.line(picture, (int(x), int(y)), end, palette[rng.integers(len(palette))], width, cv2.LINE_AA)
    return picture


def alike(picture: np.ndarray, painting: np.ndarray) -> float:
    return Brushwork.of(picture).likeness(Brushwork.of(painting))


PAINTING = brushed(24, 6)
SAME = brushed(24, 6, seed=1)


def test_equal_pictures_are_alike_and_no_others_are_as_much() -> None:
    assert alike(PAINTING, PAINTING) == 1
    assert 0.5 < alike(SAME, PAINTING) < 1
    assert alike(SAME, PAINTING) == pytest.approx(alike(PAINTING, SAME))


@pytest.mark.parametrize(
    ("part", "other"),
    [
        ("texture", brushed(10, 2, seed=1)),
        ("colours", brushed(24, 6, seed=1, palette=[(250, 250, 250), (90, 160, 90)])),
        ("grouping", cv2.GaussianBlur(SAME, (0, 0), 3)),
    ],
)
def test_other_strokes_are_less_alike_and_the_part_says_why(part: str, other: np.ndarray) -> None:
    painting, same = Brushwork.of(PAINTING), Brushwork.of(SAME)
    assert alike(other, PAINTING) < alike(SAME, PAINTING) - 0.1
    assert Brushwork.of(other).distances(painting)[part] > 2 * same.distances(painting)[part]


def test_small_odd_and_plain_pictures_have_a_finite_distance_and_too_small_ones_are_refused() -> None:
    for size in ((MIN_SIDE_PX, MIN_SIDE_PX), (MIN_SIDE_PX, 301)):
        plain_one = np.full((*size, 3), 77, np.uint8)
        assert alike(plain_one, plain_one) == 1
        assert 0 < alike(plain_one, PAINTING) < 0.5
    with pytest.raises(ValueError, match="16 pixels a side, not 8x40"):
        Brushwork.of(np.zeros((40, 8, 3), np.uint8))
