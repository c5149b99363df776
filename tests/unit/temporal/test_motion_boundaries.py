"""Tests of filters at motion boundaries: averages and votes must not mix the two sides of a moving edge."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from flicker import Frames, Make, added, causal, run, samples, window

from vidtrans.temporal import flow_tracking
from vidtrans.temporal.flow_tracking import FlowPath

SIDE, COUNT, STEP, RADIUS = 96, 12, 6, 16


def path(u: np.ndarray, v: np.ndarray) -> FlowPath:
    return FlowPath(u.astype(np.float32), v.astype(np.float32), np.ones(u.shape, np.float32))


def test_a_shift_a_zoom_and_a_turn_are_followed_and_an_edge_is_not() -> None:
    for size in ((1, 1), (1, 9), (7, 5)):
        assert (path(np.full(size, 3.5), np.full(size, -20.0)).evenness() == 1).all()
    y, x = np.mgrid[:24, :32].astype(np.float32)
    assert path(0.1 * x, 0.1 * y).evenness().min() > 0.99
    assert path(-0.1 * y, 0.1 * x).evenness().min() > 0.99
    edge = path(3.0 * (x >= 16), np.zeros_like(x))
    assert edge.evenness()[:, 15:17].max() < 0.1
    assert edge.evenness()[:, [14, 17]].min() == 1


def spots(count: int, seed: int, sigma: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(rng.normal(0, 1, (SIDE, count, 3)).astype(np.float32), (0, 0), sigma)
    spotted: np.ndarray = np.clip(150 + 35 * blurred / blurred.std(), 60, 240)
    return spotted


def quick_ball() -> tuple[Frames, Frames, Frames]:
    """Return frames of a ball that crosses still ground, looks with its inked outline and grain, masks without ink."""
    ground, skin = spots(SIDE, 3, 3), spots(SIDE, 4, 2)
    guides, looks, clear = [], [], []
    for t in range(COUNT):
        centre = (16 + STEP * t, SIDE // 2)
        ball, ink = (
            cv2.circle(np.zeros((SIDE, SIDE), np.uint8), centre, RADIUS, 255, thick, cv2.LINE_AA) for thick in (-1, 2)
        )
        cover = ball[..., None] / 255
        guides.append(ground * (1 - cover) + np.roll(skin, STEP * t, 1) * cover)
        looks.append(guides[-1] * (1 - ink[..., None] / 255))
        clear.append(cv2.dilate(ink, np.ones((7, 7))) == 0)
    rng = np.random.default_rng(5)
    return added(guides, [0.0] * COUNT), added(looks, [rng.normal(0, 6, (SIDE, SIDE, 3)) for _ in looks]), clear


@pytest.mark.parametrize("make", [window, causal])
def test_less_of_an_outline_is_left_where_it_passed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    guides, looks, clear = quick_ball()

    def ink_outside_the_outline() -> int:
        pictures = run(make(), samples(guides, looks))
        darker = (look.mean(2) - made.mean(2) for look, made in zip(looks, pictures, strict=True))
        return sum(int((by[where] > 25).sum()) for by, where in zip(darker, clear, strict=True))

    found = ink_outside_the_outline()
    monkeypatch.setattr(flow_tracking, "UNEVEN", 1e9)
    assert 0 < found < 0.7 * ink_outside_the_outline()
