"""What a plug-in's own tests may look like: its parts alone, without a training."""

import numpy as np
from vidtrans_negative import EDGES, NEGATIVE, Negative, NegativeSettings


def test_the_input_is_the_negative() -> None:
    frame = np.array([[[0, 100, 255]]], np.uint8)
    assert Negative(NegativeSettings()).input([frame]).tolist() == [[[255, 155, 0]]]


def test_at_strength_0_the_frame_stays() -> None:
    frame = np.array([[[0, 100, 255]]], np.uint8)
    assert (Negative(NegativeSettings(strength=0.0)).input([frame]) == frame).all()


def test_the_entries_name_parts_that_exist() -> None:
    assert all(callable(entry.load()) for entry in (NEGATIVE, EDGES))
