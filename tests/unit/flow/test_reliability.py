"""Motion boundaries, photometric confidence, and the forward–backward test on motion that is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.flow.warping import forward_backward, photometric, warp

repeatable = hypothesis_settings(max_examples=40)


def affine(height: int, width: int, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """The flow of p → M (p − c) + c + s, c the centre."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float64)
    offsets = np.dstack([xs - (width - 1) / 2, ys - (height - 1) / 2])
    return (offsets @ (matrix - np.eye(2)).T + shift).astype(np.float32)


@repeatable
@given(st.floats(-0.2, 0.2), st.floats(0.85, 1.15), st.floats(-6, 6), st.floats(-6, 6))
def test_a_motion_and_its_inverse_agree_inside_and_nowhere_outside(a: float, zoom: float, x: float, y: float) -> None:
    h, w = 40, 56
    matrix, shift = zoom * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]), np.array([x, y])
    inverse = np.linalg.inv(matrix)
    flow, back = affine(h, w, matrix, shift), affine(h, w, inverse, -inverse @ shift)
    kept = forward_backward(flow, back)
    assert kept.dtype == bool
    ys, xs = np.mgrid[0:h, 0:w]
    to_x, to_y = xs + flow[..., 0], ys + flow[..., 1]
    slack = 1e-3
    inside = (to_x > slack) & (to_x < w - 1 - slack) & (to_y > slack) & (to_y < h - 1 - slack)
    outside = (to_x < -slack) | (to_x > w - 1 + slack) | (to_y < -slack) | (to_y > h - 1 + slack)
    assert kept[inside].all()
    assert not kept[outside].any()


def test_a_flow_that_is_not_a_number_is_not_reliable() -> None:
    flow = np.zeros((4, 5, 2), np.float32)
    flow[1, 2] = np.nan
    kept = forward_backward(flow, np.zeros_like(flow))
    assert not kept[1, 2]
    assert kept.sum() == 19


# Photometric confidence


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


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_confidence_of_whole_numbers_is_that_of_their_share_of_the_range(dtype: type) -> None:
    full = np.iinfo(dtype).max
    a, b = (scene(20, 14, s).astype(np.float64) / 255 for s in (1, 2))
    whole = photometric(np.rint(a * full).astype(dtype), np.rint(b * full).astype(dtype))
    assert np.allclose(whole, photometric(a.astype(np.float32), b.astype(np.float32)), atol=0.02)
    assert (whole >= 0).all()
    assert (whole <= 1).all()


def test_what_was_covered_is_doubted() -> None:
    big = scene(120, 90, 4)
    first, second = big[10:74, 10:106].copy(), np.ascontiguousarray(big[10:74, 6:102])
    cv2.rectangle(second, (40, 20), (60, 40), (255, 0, 255), -1)
    flow = np.full((64, 96, 2), (4, 0), np.float32)
    trusted = photometric(first, warp(second, flow))
    assert trusted[22:38, 38:54].max() < 0.2
    assert trusted[45:, 4:-4].min() > 0.9
