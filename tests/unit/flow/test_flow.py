"""Flow: what is reliable, warping and composing."""

from __future__ import annotations

import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import forward_backward, grid, resize_flow, sample_sharply, warp

repeatable = hypothesis_settings(max_examples=40)
sides = st.integers(2, 24)
moves = st.integers(-4, 4)


def even(height: int, width: int, x: float, y: float) -> np.ndarray:
    """The same displacement everywhere, (H, W, 2) float32."""
    return np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy()


# Warping


@repeatable
@given(sides, sides, moves, moves, st.booleans())
def test_warping_samples_at_p_plus_flow_and_repeats_the_border(w: int, h: int, x: int, y: int, bicubic: bool) -> None:
    picture = np.random.default_rng(w * h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    ys, xs = np.mgrid[0:h, 0:w]
    expected = picture[np.clip(ys + y, 0, h - 1), np.clip(xs + x, 0, w - 1)]
    found = warp(picture, even(h, w, x, y), bicubic=bicubic)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_bicubic_keeps_detail_that_bilinear_blurs() -> None:
    wave = np.broadcast_to(np.sin(np.arange(64) * 1.3), (8, 64)).astype(np.float32)
    exact = np.sin((np.arange(64) + 0.5) * 1.3)[None, 4:-4]
    flow = even(8, 64, 0.5, 0)
    linear, cubic = (np.abs(warp(wave, flow, bicubic=b)[:, 4:-4] - exact).mean() for b in (False, True))
    assert cubic < linear / 2


@pytest.mark.parametrize(("x", "y"), [(0.0, 0.0), (0.5, 0.0), (0.25, 0.5)])
@pytest.mark.parametrize("along", [0, 1])
def test_sharp_sampling_puts_three_quarters_of_the_curvature_back(x: float, y: float, along: int) -> None:
    """Of p², bilinear sampling is too high by t(1 − t), and the second difference is 2."""
    position = np.indices((16, 16), dtype=np.float32)[along]
    picture = np.dstack([position**2, 3 * position**2, position, np.full_like(position, 7)])
    rows, columns = np.indices((16, 16), dtype=np.float32)
    t = (y, x)[along]
    linear = picture[..., 0] + t * (2 * position + 1)
    bent = 0.75 * (x * (1 - x) + y * (1 - y))
    found = sample_sharply(picture, columns + np.float32(x), rows + np.float32(y))[2:-2, 2:-2]
    assert np.allclose(found[..., 0], (linear - bent)[2:-2, 2:-2], atol=1e-3)
    assert np.allclose(found[..., 1], 3 * (linear - bent)[2:-2, 2:-2], atol=1e-3)
    assert np.allclose(found[..., 2], (position + t)[2:-2, 2:-2], atol=1e-4)
    assert np.allclose(found[..., 3], 7, atol=1e-4)


@repeatable
@given(st.floats(0, 15), st.floats(0, 11))
def test_sharp_sampling_repeats_the_border(x: float, y: float) -> None:
    picture = np.random.default_rng(3).random((12, 16, 4), dtype=np.float32)
    wide = np.pad(picture, ((6, 6), (6, 6), (0, 0)), mode="edge")
    across, down = (np.full((1, 1), at, np.float32) for at in (x, y))
    inner, outer = sample_sharply(picture, across, down), sample_sharply(wide, across + 6, down + 6)
    assert np.allclose(inner, outer, atol=2e-3)
    assert np.allclose(sample_sharply(np.full((12, 16, 4), 5, np.float32), across - 9, down - 9), 5)


def test_the_grid_that_all_share_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="read-only"):
        grid(4, 5)[0] = 1
    assert grid(4, 5)[3, 2].tolist() == [2, 3]


@pytest.mark.parametrize(("across", "down"), [(4, 1), (2, 4)])
def test_a_shrunk_flow_is_the_mean_over_each_new_pixel(across: int, down: int) -> None:
    flow = np.random.default_rng(0).random((16, 16, 2), dtype=np.float32)
    assert resize_flow(flow, 16, 16) is flow
    means = flow.reshape(16 // down, down, 16 // across, across, 2).mean(axis=(1, 3))
    wanted = means / np.array([across, down], np.float32)
    assert np.allclose(resize_flow(flow, 16 // across, 16 // down), wanted, atol=1e-5)


def test_warping_leaves_its_arguments_alone() -> None:
    picture, flow = scene(20, 16, 0), even(16, 20, 1.5, -2)
    before = picture.copy(), flow.copy()
    warp(picture, flow)
    assert np.array_equal(picture, before[0])
    assert np.array_equal(flow, before[1])


# Reliability


def test_the_bound_is_that_of_sundaram() -> None:
    h, w = 6, 40
    zero = np.zeros((h, w, 2), np.float32)
    for gap, kept in ((0.70, True), (0.72, False)):  # |gap|² against 0.01 gap² + 0.5
        assert forward_backward(zero, even(h, w, gap, 0)).all() == kept
        assert forward_backward(zero, even(h, w, gap, 0)).any() == kept
    # A long flow is allowed more: 0.01 (20² + 18²) + 0.5 = 7.74 > 2².
    assert forward_backward(even(h, w, 20, 0), even(h, w, -18, 0))[:, :20].all()
    assert not forward_backward(even(h, w, 20, 0), even(h, w, -16, 0)).any()


def test_what_is_found_on_a_translation_is_kept_and_what_a_square_hides_is_not() -> None:
    """A textured background moves by (3, 0); a square of another texture moves by (−6, 0) over it."""
    big, square = scene(180, 120, 1), scene(24, 24, 2)
    first, second = big[10:106, 20:148].copy(), big[10:106, 17:145].copy()
    first[36:60, 70:94], second[36:60, 64:88] = square, square
    a, b, method = grey(first), grey(second), DISMedium()
    kept = forward_backward(method(a, b), method(b, a))
    background = np.ones(kept.shape, bool)
    background[20:76, 45:115] = background[:12] = background[-12:] = background[:, :12] = background[:, -12:] = False
    assert kept[background].mean() > 0.99
    # Background just left of the square, which the square covers in the second picture: x + 3 in [64, 70).
    assert kept[40:56, 62:66].mean() < 0.5


def test_a_flow_without_a_start_is_the_same_after_one_with_a_start() -> None:
    first, second, third = (grey(scene(96, 64, seed)) for seed in (1, 2, 3))
    method = DISMedium()
    wanted = method(first, second)
    far = even(64, 96, 20, -9)
    started = method(first, third, far)
    assert np.array_equal(method(first, second), wanted)
    assert np.array_equal(DISMedium()(first, third, far), started)
    assert np.array_equal(far, even(64, 96, 20, -9))
    assert method(first[:40, :50], second[:40, :50], far[:40, :50]).shape == (40, 50, 2)
