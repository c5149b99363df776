"""Masks, cut-outs and strokes are read from pictures of painted frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from things import moving_thing, with_strokes

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.matting.matte_request import COLOURS, MATTE, OFF, ON, Brushes, Strokes, parse_names

FRAMES, MATTES = moving_thing(2)
FRAME, THING = FRAMES[0], MATTES[0]


def save(picture: np.ndarray, name: str = "p.png") -> Path:
    order = [2, 1, 0, 3][: picture.shape[2]] if picture.ndim == 3 else None
    cv2.imwrite(name, picture if order is None else picture[..., order])
    return Path(name)


def matte_in(found: dict[str, np.ndarray | Strokes], name: str = MATTE) -> np.ndarray:
    matte = found[name]
    assert isinstance(matte, np.ndarray)
    return matte


def labels_in(found: dict[str, np.ndarray | Strokes], name: str = MATTE) -> np.ndarray:
    strokes = found[name]
    assert isinstance(strokes, Strokes)
    return strokes.labels


WHITE = np.where(THING, 255, 0).astype(np.uint8)
MASKS = {
    "white on black": WHITE,
    "object numbers": (THING * 5).astype(np.uint8),
    "object numbers in 16 bits": THING.astype(np.uint16),
    "a cut-out": np.dstack([FRAME, WHITE]),
    "a cut-out with alpha of 0 and 1": np.dstack([FRAME, THING.astype(np.uint8)]),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_and_cut_outs_are_read_as_they_are(name: str) -> None:
    assert np.array_equal(matte_in(Brushes().read(save(MASKS[name]), FRAME)), THING)


@pytest.mark.parametrize("layer", [False, True], ids=["over the frame", "on a layer"])
def test_strokes_are_found(layer: bool) -> None:
    painted = with_strokes(FRAME, THING)
    touched = (painted != FRAME).any(2)
    picture = np.dstack([painted, np.where(touched, 255, 0).astype(np.uint8)]) if layer else painted
    labels = labels_in(Brushes().read(save(picture), FRAME))
    assert set(np.unique(labels)) == {0, ON, OFF}
    assert THING[labels == ON].all()
    assert not THING[labels == OFF].any()
    assert np.array_equal(labels > 0, touched)


def test_a_frame_that_another_program_decoded_is_no_stroke() -> None:
    frame = FRAME.copy()
    frame[THING] = (230, 20, 10)
    painted = np.clip(frame.astype(int) + np.array([-14, 12, 12]), 0, 255).astype(np.uint8)
    painted[4:8, 10:40] = (255, 0, 0)
    painted[56:60, 44:56] = (0, 255, 0)
    labels = labels_in(Brushes().read(save(painted), frame))
    assert ((labels == ON).sum(), (labels == OFF).sum()) == (48, 120)


def test_colours_are_names_and_one_thing_is_off_the_other() -> None:
    names = {"man": COLOURS["magenta"], "car": COLOURS["blue"]}
    mask = np.zeros_like(FRAME)
    mask[10:30, 10:30], mask[50:90, 60:90] = names["man"], names["car"]
    found = Brushes(names=names).read(save(mask), FRAME)
    assert [int(matte_in(found, name).sum()) for name in names] == [400, 1200]
    strokes = FRAME.copy()
    strokes[10:14, 10:30], strokes[50:54, 60:90] = names["man"], names["car"]
    found = Brushes(names=names).read(save(strokes), FRAME)
    assert (labels_in(found, "man")[50:54, 60:90] == OFF).all()
    assert (labels_in(found, "car")[50:54, 60:90] == ON).all()


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (np.zeros((120, 160), np.uint8), "nothing is painted"),
        (np.full((120, 160), 255, np.uint8), "all of the frame"),
        (np.zeros((120, 120), np.uint8), "another shape"),
        (np.zeros((120, 160, 4), np.uint8), "fully transparent"),
        (np.dstack([np.where(THING, 255, 0)] + [np.zeros((120, 160))] * 2).astype(np.uint8), "name them"),
    ],
    ids=["empty", "full", "another shape", "transparent", "colours"],
)
def test_what_cannot_be_meant_is_said(picture: np.ndarray, words: str) -> None:
    with pytest.raises(MediaError, match=words):
        Brushes().read(save(picture), FRAME)


def test_colours_and_names_are_parsed() -> None:
    assert parse_names("man=red, car=#0000ff") == {"man": (255, 0, 0), "car": (0, 0, 255)}
    assert parse_names("") == {}
    for wrong in (
        "man",
        "man=",
        "=red",
        "man=rot",
        "man=red,man=blue",
        "a=red,b=red",
        "a/b=red",
        "a=red,A=blue",
        "a=black",
    ):
        with pytest.raises(UsageError):
            parse_names(wrong)
    with pytest.raises(UsageError, match="two meanings"):
        Brushes(outside=COLOURS["green"])
    with pytest.raises(UsageError, match="two meanings"):
        Brushes(names={"man": COLOURS["red"]})
