"""Areas that fill the picture: cells of equal size that keep to its edges, and sheets of the colours it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from vidtrans.strokes import cells, kernels

NOTHING = np.empty((0, 0), np.float32)


def cells_of(picture: np.ndarray, want: np.ndarray = NOTHING, **changed: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the life and the labels of cells that were laid on a picture."""
    rules = np.zeros(cells.RULES, np.float32)
    names = ("cell", "square", "weight", "limit", "death", "follow", "turn", "fade", "stray", "share", "rounds", "root")
    values = dict(zip(names, (8, 1, 0.5, 1e6, 0, 0.3, 0.1, 0.2, 0, 0.1, 12, 1), strict=True)) | changed
    rules[: len(names)] = list(values.values())
    height, width = picture.shape[:2]
    lines = np.zeros((height // 2, width // 2, 3), np.float32)
    lines[..., 0] = 1
    life = np.empty((0, kernels.LIFE_COLUMNS), np.float32)
    flow, before = np.empty((0, 0, 2), np.float32), np.empty((0, 0), np.int32)
    life, _, _, _, labels = cells.tessellate(
        *(life, np.empty(0, np.int64), np.empty(0, np.uint8), 0, 7, 0),
        *(flow, picture, lines, want, NOTHING, before, rules),
    )
    return life, labels


def halves() -> np.ndarray:
    picture = np.full((64, 96, 3), 0.2, np.float32)
    picture[:, 45:] = 0.9
    return picture


@pytest.mark.thorough
def test_cells_fill_the_picture_with_areas_of_about_their_size() -> None:
    life, labels = cells_of(np.full((64, 96, 3), 0.5, np.float32))
    areas = np.bincount(labels.ravel(), minlength=len(life))
    assert labels.min() >= 0
    assert 0.6 * 64 < np.median(areas) < 1.5 * 64
    assert areas.std() < 0.4 * areas.mean()


def test_cells_keep_to_edges() -> None:
    _, labels = cells_of(halves(), weight=1.0)
    left, right = set(labels[:, :45].ravel()), set(labels[:, 45:].ravel())
    assert len(left & right) <= 1


def test_cells_live_only_where_they_are_wanted() -> None:
    want = np.full((64, 96), -1, np.float32)
    want[:, :30] = 1
    _, labels = cells_of(np.full((64, 96, 3), 0.5, np.float32), want, limit=cells.HOLE, death=-0.1)
    assert (labels[:, :28] >= 0).mean() > 0.9
    assert (labels[:, 50:] < 0).all()


def test_votes_take_spikes_away_and_leave_plain_areas() -> None:
    labels = np.zeros((24, 24), np.int32)
    labels[:, 12:] = 1
    spiked = labels.copy()
    spiked[8, 12:15] = 0
    made = cells.vote(spiked, 3)
    assert (made != labels).sum() <= 3
    assert (made[8, 13:] == 1).all()


def test_enlarged_labels_are_the_same_in_every_band() -> None:
    _, labels = cells_of(halves())
    whole, lower = np.empty((128, 192), np.int32), np.empty((40, 192), np.int32)
    cells.enlarge(whole, 0, labels, np.float32(0.5))
    cells.enlarge(lower, 60, labels, np.float32(0.5))
    assert np.array_equal(whole[60:100], lower)
    assert (whole[::2, ::2] == labels).mean() > 0.9


def test_a_rare_strong_colour_gets_a_sheet_of_its_own() -> None:
    picture = halves()
    picture[20:30, 10:20] = (0.9, 0.1, 0.1)
    colours = cells.sort_colours(picture, 3)
    assert any(np.allclose(colour, (0.9, 0.1, 0.1), atol=0.05) for colour in colours)
    nothing, flow = np.empty((0, 0, 0), np.float32), np.empty((0, 0, 2), np.float32)
    labels, _ = cells.sheets(picture, colours, nothing, flow, 1.0, np.zeros((64, 96), np.float32))
    assert np.abs(colours[labels] - picture).mean() < 0.03
