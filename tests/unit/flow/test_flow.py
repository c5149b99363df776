"""Flow: what is reliable, warping and composing."""

from __future__ import annotations

import numpy as np
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import agreement, forward_backward, invert, photometric, warp

repeatable = hypothesis_settings(max_examples=20)
sides = st.integers(2, 24)
moves = st.integers(-4, 4)


def even(height: int, width: int, x: float, y: float) -> np.ndarray:
    """The same displacement everywhere, (H, W, 2) float32."""
    return np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy()


@repeatable
@given(sides, sides, moves, moves, st.booleans())
def test_warping_samples_at_p_plus_flow_and_repeats_the_border(w: int, h: int, x: int, y: int, bicubic: bool) -> None:
    picture = np.random.default_rng(w * h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    ys, xs = np.mgrid[0:h, 0:w]
    expected = picture[np.clip(ys + y, 0, h - 1), np.clip(xs + x, 0, w - 1)]
    found = warp(picture, even(h, w, x, y), bicubic=bicubic)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_the_bound_is_that_of_sundaram() -> None:
    h, w = 6, 40
    zero = np.zeros((h, w, 2), np.float32)
    for gap, kept in ((0.70, True), (0.72, False)):  # |gap|² against 0.01 gap² + 0.5
        assert forward_backward(zero, even(h, w, gap, 0)).all() == kept
        assert forward_backward(zero, even(h, w, gap, 0)).any() == kept
    # A long flow is allowed more: 0.01 (20² + 18²) + 0.5 = 7.74 > 2².
    assert forward_backward(even(h, w, 20, 0), even(h, w, -18, 0))[:, :20].all()
    assert not forward_backward(even(h, w, 20, 0), even(h, w, -16, 0)).any()


def test_a_flow_without_a_start_is_the_same_after_one_with_a_start() -> None:
    first, second, third = (grey(scene(96, 64, seed)) for seed in (1, 2, 3))
    method = DISMedium()
    wanted = method(first, second)
    far = even(64, 96, 20, -9)
    started = method(first, third, far)
    assert np.array_equal(method(first, second), wanted)
    assert np.array_equal(DISMedium()(first, third, far), started)
    assert np.array_equal(far, even(64, 96, 20, -9))


def test_confidence_is_one_where_pictures_agree_and_falls_as_a_gaussian() -> None:
    first = np.full((2, 3, 3), 0.5, np.float32)
    second = first.copy()
    second[0, 0, 1] += 0.1  # one σ
    second[1, 2] += 0.5
    found = photometric(first, second)
    assert found.dtype == np.float32
    assert found.shape == (2, 3)
    assert np.isclose(found[0, 0], np.exp(-0.5))
    assert np.isclose(found[1, 2], np.exp(-0.75 / 0.02))
    assert (np.delete(found.ravel(), [0, 5]) == 1).all()
    assert np.isclose(photometric(first, second, sigma=0.2)[0, 0], np.exp(-0.125))


def test_the_inverse_of_a_smooth_flow_leads_back() -> None:
    ys, xs = np.mgrid[0:48, 0:64].astype(np.float32)
    flow = np.dstack([3 + 2 * np.sin(ys / 9), 1.5 * np.cos(xs / 11)]).astype(np.float32)
    back = invert(flow)
    inner = (slice(8, -8), slice(8, -8))
    assert back.dtype == np.float32
    assert np.abs(back + warp(flow, back))[inner].max() < 0.02
    assert np.abs(flow + warp(back, flow))[inner].max() < 0.05


def test_of_two_places_that_move_to_one_only_one_agrees() -> None:
    """A square moves over a still ground; the strip of the ground that it hides agrees, its own front does not."""
    flow = np.zeros((40, 60, 2), np.float32)
    flow[10:30, 10:30, 0] = 8
    agrees = agreement(flow, invert(flow), slack=0.1)
    square, strip = agrees[14:26, 10:30], agrees[14:26, 31:37]
    assert square[:, :10].min() > 0.9
    assert square[:, 13:].max() < 0.1
    assert strip.min() > 0.9
