"""What a model sees of the picture that another network made of a frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from clips import scene

from vidtrans.core.errors import UsageError
from vidtrans.pairing.pairing_records import make_pairing

FRAME, PICTURE = scene(40, 30, 1), scene(40, 30, 2)


def test_the_picture_of_the_other_network_is_the_input_in_grey_or_inverted_where_it_is_asked_for() -> None:
    grey = cv2.cvtColor(PICTURE, cv2.COLOR_RGB2GRAY)[..., None]
    for table, wanted in (
        ({}, PICTURE),
        ({"invert": True}, 255 - PICTURE),
        ({"channels": "grey"}, grey),
        ({"channels": "grey", "invert": True}, 255 - grey),
    ):
        assert np.array_equal(make_pairing("model", table).input([FRAME, PICTURE]), wanted)
    assert np.array_equal(make_pairing("model", {}).preview(PICTURE), PICTURE)


def test_a_drawing_is_taken_where_the_input_is_dark_lines_on_white() -> None:
    page = np.full((60, 80, 3), 250, np.uint8)
    cv2.line(page, (10, 10), (70, 50), (20, 20, 20), 2)
    lines = make_pairing("model", {"channels": "grey", "invert": True})
    assert lines.drawing_kind == "lines"
    made = lines.drawing_input(page)
    assert made.shape == (60, 80, 1)
    assert made[30, 40, 0] < 64
    assert made[5, 70, 0] == 255
    others = [make_pairing("model", s) for s in ({}, {"invert": True}, {"channels": "grey"})]
    assert [other.drawing_kind for other in others] == ["", "", ""]


def test_a_pairing_says_which_network_it_wants_at_which_size() -> None:
    wanted = make_pairing("model", {"model": "hed", "digest": "ab", "size": 480}).extraction
    assert wanted is not None
    assert (wanted.model, wanted.digest, wanted.size) == ("hed", "ab", 480)
    with pytest.raises(UsageError, match=r"pairing\.size = 9000: out of bounds"):
        make_pairing("model", {"size": 9000})
