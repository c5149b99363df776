"""What a dream sees of its clip, however far the camera goes."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidtrans.data.moving_windows import move_view
from vidtrans.dreaming.clip_view import RETURN, ClipView
from vidtrans.dreaming.dream_pictures import by_opencv, in_torch

HALF = np.diag([0.5, 0.5, 1.0])


@given(st.floats(0.25, 4.0), st.floats(-30, 30), st.floats(-1, 1), st.integers(1, 300))
@settings(max_examples=25)
def test_it_can_always_be_inverted(zoom: float, turn: float, shift: float, frames: int) -> None:
    view = ClipView.at(HALF)
    for _ in range(frames):
        view = view.moved(move_view(zoom, turn, shift, -shift))
        assert 0 <= view.share <= 1
    assert np.isfinite(np.linalg.inv(view.matrix)).all()


def test_an_endless_zoom_sees_less_and_less_of_the_clip_and_begins_again() -> None:
    view, shares, numbers = ClipView.at(HALF), [], []
    for number in range(400):
        view = view.moved(move_view(1.02, 0, 0, 0))
        shares.append(view.share)
        if view.since == 0:
            numbers.append(number)
    assert shares[:50] == [1.0] * 50
    assert len(numbers) >= 3
    assert shares[numbers[0]] == 0
    assert shares[numbers[0] - 1] < 0.05
    assert max(shares[numbers[0] : numbers[0] + RETURN + 2]) == 1.0


def test_devices_agree() -> None:
    frame = torch.rand(3, 24, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    one, other = (enlarge(frame, (83, 61), "faithful") for enlarge in (by_opencv, in_torch))
    assert one.shape == other.shape == (3, 61, 83)
    assert (one - other).abs().max() < 1e-4
