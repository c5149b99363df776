"""Label maps become a plane for each class; what all pairings promise is in test_registries.py."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.errors import UsageError
from vidtrans.pairing.class_colours import colours
from vidtrans.pairing.labels import Labels, LabelsSettings
from vidtrans.pairing.pairing_records import make_pairing

PALETTE = "#804080, f423e8 #464646"


def grey(labels: np.ndarray) -> np.ndarray:
    return np.repeat(labels.astype(np.uint8)[..., None], 3, axis=2)


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    return np.where(labels[..., None] == np.arange(classes), 255, 0).astype(np.uint8)


def areas(seed: int, classes: int, size: int = 48) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, classes, (size // 8, size // 8)), np.ones((8, 8), int))


@given(st.integers(0, 1000))
@hypothesis_settings(max_examples=20)
def test_colours_that_compression_changed_a_little_are_those_of_the_palette(seed: int) -> None:
    labels, rng = areas(seed, 3), np.random.default_rng(seed)
    noise = rng.integers(-9, 10, (*labels.shape, 3))
    frame = np.clip(colours(PALETTE)[labels].astype(int) + noise, 0, 255).astype(np.uint8)
    made = Labels(LabelsSettings(classes=3, palette=PALETTE, clean=False)).input([frame])
    assert np.array_equal(made, one_hot(labels, 3))


@pytest.mark.parametrize("scale", [0.61, 1.4])
@pytest.mark.parametrize("palette", ["", "#000000 #646464 #dcdcdc"])
def test_scaling_a_map_gives_no_pixel_a_label_that_is_not_beside_it(scale: float, palette: str) -> None:
    labels = np.kron(areas(3, 2) * 2, np.ones((4, 4), int))
    side = round(len(labels) * scale)
    frame = colours(palette)[labels] if palette else grey(labels)
    scaled = cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cleaned, plain = (
        Labels(LabelsSettings(classes=3, palette=palette, clean=clean)).input([scaled]) for clean in (True, False)
    )
    assert (plain[..., 1] != 0).mean() > 0.005  # the case is one
    assert (cleaned[..., 1] != 0).mean() < 0.0005
    assert (cleaned.max(axis=2) == 255).all()
    exact = cv2.resize(labels.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
    right = [(made == one_hot(exact, 3)).all(axis=2).mean() for made in (cleaned, plain)]
    assert right[0] > max(0.99, right[1])


def test_borders_are_on_both_sides_as_pix2pixhd_has_them() -> None:
    labels = areas(5, 4)
    made = Labels(LabelsSettings(classes=4, boundaries=True, clean=False)).input([grey(labels)])
    assert made.shape == (48, 48, 5)
    around = np.pad(labels, 1, mode="edge")
    beside = (around[1:-1, 2:], around[2:, 1:-1], around[1:-1, :-2], around[:-2, 1:-1])
    expected = np.any([labels != other for other in beside], axis=0)
    assert np.array_equal(made[..., 4] == 255, expected)
    assert np.array_equal(made[..., :4], one_hot(labels, 4))


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"palette": "#12345"}, "'#12345' is no colour"),
        ({"palette": PALETTE, "classes": 2}, "3 colours, for 2"),
        ({"classes": 300}, "grey levels name 256"),
        ({"classes": 0}, "out of bounds"),
    ],
)
def test_settings_that_mean_nothing_are_refused(table: dict[str, object], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        make_pairing("labels", table)


def test_people_see_the_palette_and_colours_of_their_own_for_the_rest() -> None:
    labels = areas(1, 5)
    pairing = Labels(LabelsSettings(classes=5, palette=PALETTE, boundaries=True))
    table = [*map(tuple, colours(PALETTE).tolist())]
    planes = np.concatenate([one_hot(labels, 5), np.zeros((48, 48, 1), np.uint8)], axis=2)
    shown = pairing.preview(planes)
    for number in range(5):
        (colour,) = {tuple(c) for c in shown[labels == number].tolist()}
        assert (colour in table) == (number < 3)
    assert not pairing.preview(np.zeros((2, 2, 6), np.uint8)).any()
