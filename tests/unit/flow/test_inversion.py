"""The motion back, from the motion there."""

from __future__ import annotations

import numpy as np

from vidtrans.flow.warping import agreement, invert, warp


def test_the_inverse_of_a_smooth_flow_leads_back() -> None:
    ys, xs = np.mgrid[0:48, 0:64].astype(np.float32)
    flow = np.dstack([3 + 2 * np.sin(ys / 9), 1.5 * np.cos(xs / 11)]).astype(np.float32)
    back = invert(flow)
    inner = (slice(8, -8), slice(8, -8))
    assert back.dtype == np.float32
    assert np.abs(back + warp(flow, back))[inner].max() < 0.02
    assert np.abs(flow + warp(back, flow))[inner].max() < 0.05


def test_an_even_motion_is_only_turned_round() -> None:
    flow = np.full((9, 12, 2), (2.5, -1), np.float32)
    assert np.array_equal(invert(flow), -flow)
    assert not invert(np.zeros((9, 12, 2), np.float32)).any()


def test_of_two_places_that_move_to_one_only_one_agrees() -> None:
    """A square moves over a still ground; the strip of the ground that it hides agrees, its own front does not."""
    flow = np.zeros((40, 60, 2), np.float32)
    flow[10:30, 10:30, 0] = 8
    agrees = agreement(flow, invert(flow), slack=0.1)
    square, strip = agrees[14:26, 10:30], agrees[14:26, 31:37]
    assert square[:, :10].min() > 0.9
    assert square[:, 13:].max() < 0.1
    assert strip.min() > 0.9
