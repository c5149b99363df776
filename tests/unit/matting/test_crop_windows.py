"""Windows around a thing: they contain it, and what is taken comes back to its place."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.matting.windows import MULTIPLE, Box, CropWindow, box_of

FRAME = (320, 180)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, top = draw(st.integers(0, FRAME[0] - 2)), draw(st.integers(0, FRAME[1] - 2))
    # A line of one pixel may fall between the pixels of a smaller window.
    return Box(left, top, draw(st.integers(left + 2, FRAME[0])), draw(st.integers(top + 2, FRAME[1])))


@given(boxes(), st.sampled_from([96, 320]))
def test_a_thing_lies_in_its_window_at_its_place(box: Box, side: int) -> None:
    window = CropWindow.around(box, FRAME, side)
    assert all(length % MULTIPLE == 0 for length in window.size)
    matte = np.zeros(FRAME[::-1], np.float32)
    matte[box.top : box.bottom, box.left : box.right] = 1
    taken = window.take(matte, border=0)
    assert taken.sum() / window.scale**2 >= 0.6 * matte.sum() - 4
    again = window.place(taken, FRAME)
    assert np.abs(again - matte).sum() <= 0.7 * 4 * sum(box.sides) / min(1.0, window.scale) + 8


def test_the_box_of_nothing_is_none() -> None:
    assert box_of(np.full((4, 4), 0.49, np.float32)) is None
    assert box_of(np.eye(4, dtype=np.float32)) == (0, 0, 4, 4)
