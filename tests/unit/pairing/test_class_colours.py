"""Classes by their colours: each pixel has one, whatever is done to the map."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.pairing.class_colours import ClassColours, distinct_colours
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.pairing.palettes import KNOWN_PALETTES, with_palette_file
from vidtrans.pairing.segment import Change, ChangeSettings, SegmentSettings
from vidtrans.video.images.picture import pack_colours


def maps(seed: int, classes: int = 3, size: tuple[int, int] = (24, 36)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(-1, classes, (max(1, size[0] // 6), max(1, size[1] // 6))).astype(np.int16)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_NEAREST)


@given(seed=st.integers(0, 10**6), classes=st.integers(2, 40), ignored=st.booleans())
@hypothesis_settings(max_examples=20)
def test_labels_come_back_from_their_picture(seed: int, classes: int, ignored: bool) -> None:
    text = " ".join(f"#{code:06x}" for code in pack_colours(distinct_colours(classes)))
    found, labels = ClassColours(text, "#010203" if ignored else ""), maps(seed, classes)
    picture = found.picture(labels)
    if ignored:
        assert (picture[labels < 0] == (1, 2, 3)).all()
    assert not (found.table == found.none).all(axis=1).any()
    known = labels >= 0
    assert (found.labels(picture)[known] == labels[known]).all()
    assert (found.labels(picture, clean=True)[known] == labels[known]).all()


def test_far_colours_are_of_no_class_and_counted() -> None:
    classes, picture = ClassColours("#000000 #ffffff", "#ff00ff"), np.zeros((10, 10, 3), np.uint8)
    picture[2:6, 2:6] = (250, 128, 0)
    picture[7:] = (255, 0, 255)
    labels = classes.labels(picture)
    assert (labels[2:6, 2:6] == -1).all()
    assert (labels[7:] == -1).all()
    assert classes.count_unknown(picture) == 16
    assert classes.shares([picture]).tolist() == [1.0, 0.0]
    assert classes.shares([]).tolist() == [0.5, 0.5]


def test_known_palettes_are_whole() -> None:
    voc = KNOWN_PALETTES["voc"]  # the first and the last colours of the development kit, and its border
    assert list(voc.classes.values())[:3] == ["#000000", "#800000", "#008000"]
    assert (voc.classes["person"], voc.classes["tvmonitor"], voc.ignore) == ("#c08080", "#004080", "#e0e0c0")
    sizes = {"cityscapes": 19, "voc": 21, "camvid": 11, "facades": 12}
    assert {name: len(known.classes) for name, known in KNOWN_PALETTES.items()} == sizes
    for name in KNOWN_PALETTES:
        pairing = make_pairing("segment", with_palette_file({"palette": name.upper()}))
        assert pairing.class_colours is not None
        assert len(pairing.class_colours) == sizes[name]
    assert with_palette_file({"palette": "cityscapes", "ignore": "#ffffff"})["ignore"] == "#ffffff"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"palette": "#ff0000 #zz0000"}, "'#zz0000' is no colour"),
        ({"palette": "#ff0000 #ff0000"}, "two classes have the same colour"),
        ({"palette": " ".join(f"#{n:06x}" for n in range(257))}, "there may be 256"),
        ({"ignore": "256"}, "256 is no grey level"),
        ({"ignore": "sky"}, "'sky' is no colour"),
    ],
)
def test_wrong_classes_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        SegmentSettings(**settings)


def test_a_change_is_of_two_frames_or_two_clips() -> None:
    one, other = (np.full((2, 2, 3), level, np.uint8) for level in (1, 2))
    frames, clips = Change(ChangeSettings(frames_back=3)), Change(ChangeSettings(guides=("a", "b")))
    assert (frames.offsets, frames.pictures_per_frame) == ((-3, 0), 1)
    assert (clips.offsets, clips.pictures_per_frame) == ((0,), 2)
    assert frames.input([one, other])[0, 0].tolist() == clips.input([one, other])[0, 0].tolist() == [1, 1, 1, 2, 2, 2]
    with pytest.raises(ValueError, match="name both"):
        ChangeSettings(guides=("a",))
