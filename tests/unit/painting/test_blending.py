"""What several painted key frames come to in one frame."""

from __future__ import annotations

import numpy as np

from vidtrans.painting.composing import LEVELS, Painting, blend, calibrated_shares
from vidtrans.painting.maps import KeyFlow

SIZE = (6, 8)
SURE = KeyFlow(np.zeros((*SIZE, 2), np.float32), np.ones(SIZE, np.float32))
UNSURE = KeyFlow(np.zeros((*SIZE, 2), np.float32), np.zeros(SIZE, np.float32))


def flat(frame: int, colour: float, cover: np.ndarray | float = 1.0) -> Painting:
    rgb = np.full((*SIZE, 3), colour, np.float32)
    return Painting(frame, rgb, np.broadcast_to(np.float32(cover), SIZE).astype(np.float32))


def left_half() -> np.ndarray:
    cover = np.zeros(SIZE, np.float32)
    cover[:, :4] = 1
    return cover


def test_a_key_frame_that_is_sure_outweighs_one_that_is_not() -> None:
    made = blend(5, [(flat(4, 0.2), UNSURE), (flat(9, 0.8), SURE)])
    assert np.all(made.rgb > 0.75)
    assert np.all(made.trust == 1)
    either = blend(5, [(flat(4, 0.2), UNSURE), (flat(9, 0.8), UNSURE)])
    assert 0.2 < either.rgb.mean() < 0.5  # the nearer one counts more where none is sure
    assert np.all(either.trust == 0)


def test_the_painting_of_the_very_frame_is_what_it_shows() -> None:
    made = blend(4, [(flat(4, 0.25), SURE), (flat(9, 0.8), SURE)])
    assert np.all(made.rgb == 0.25)
    part = blend(4, [(flat(4, 0.25, left_half()), SURE), (flat(9, 0.75), SURE)])
    assert np.all(part.rgb[:, :4] == 0.25)
    assert np.allclose(part.rgb[:, 4:], 0.75)


def test_what_is_not_painted_says_nothing_or_shows_the_frame_below() -> None:
    layer = flat(4, 0.25, left_half())
    alone = blend(6, [(layer, SURE)])
    assert np.allclose(alone.rgb[:, :3], 0.25)
    assert np.all(alone.trust[:, 5:] == 0)
    assert np.all(alone.cover[:, 5:] == 0)
    with_whole = blend(6, [(layer, SURE), (flat(9, 0.75), SURE)])
    assert np.allclose(with_whole.rgb[:, 5:], 0.75)
    assert np.all(with_whole.cover == 1)
    over = blend(6, [(layer, SURE)], under=np.full((*SIZE, 3), 0.5, np.float32))
    assert np.allclose(over.rgb[:, :3], 0.25)
    assert np.all(over.rgb[:, 5:] == 0.5)
    assert np.all(over.trust == 1)


COUNTS = np.full(len(LEVELS), 100.0)


def test_where_nothing_was_compared_the_trust_itself_counts_and_where_nothing_is_sure_the_surest() -> None:
    assert calibrated_shares(np.zeros(len(LEVELS)), np.zeros(len(LEVELS))) == LEVELS
    counts = np.where(np.array(LEVELS) > 0.5, 0, COUNTS)
    assert max(calibrated_shares(counts * 0.01, counts)) == 1
