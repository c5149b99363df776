"""Media are files: all that ship load, a user's own do, and slips are named in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from vidtrans.core.errors import UsageError
from vidtrans.strokes.media import load_medium

OIL = '[[layer]]\nbrush = "bristle"\nwidth = 10\n'


def test_a_users_medium_has_its_own_brush(tmp_path: Path) -> None:
    brush = np.zeros((8, 24), np.uint8)
    brush[2:6, 2:22] = 220
    cv2.imwrite(str(tmp_path / "mine.png"), brush)
    (tmp_path / "mine.toml").write_text(OIL.replace("bristle", "mine.png"))
    made = load_medium("mine.toml", tmp_path)
    assert made.name == "mine"
    assert made.brushes == {"mine.png": tmp_path / "mine.png"}
    cv2.imwrite(str(tmp_path / "mine.png"), brush // 2)
    assert load_medium("mine.toml", tmp_path).digest != made.digest
    bare = load_medium("mine.png", tmp_path)  # oil, with this brush
    assert len(bare.layers) == len(load_medium("oil").layers)
    assert {one.brush for one in bare.layers} == {"mine.png"}


def test_the_digest_depends_on_what_changes_pictures_alone(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        (tmp_path / "a.toml").write_text(text)
        return load_medium("a.toml", tmp_path).digest

    assert digest(OIL) == digest('summary = "mine"\n# a remark\n' + OIL)
    assert digest(OIL) != digest(OIL + "length = 3\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OIL + "widht = 3\n", "widht"),
        (OIL.replace("10", "0"), "width"),
        (OIL.replace("10", "2000"), "width"),
        (OIL.replace("bristle", "broom"), "broom"),
        (OIL + 'colour = "red"\n', "red"),
        (OIL + 'angle = "up"\n', "up"),
        ('summary = "nothing"\n', "without strokes"),
        ("layer = 3\n", "[[layer]]"),
        ("[layers]\n", "layers"),
        ("finish = 3\n" + OIL, "[finish]"),
        ("\x89PNG\r\n", "not"),
    ],
)
def test_slips_in_a_file_are_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(UsageError) as raised:
        load_medium("a.toml", tmp_path)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_brush_without_light_and_one_that_is_no_picture_are_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((8, 8), np.uint8))
    (tmp_path / "text.png").write_text("not a picture")
    for name, said in (("dark.png", "without light"), ("text.png", "not a picture"), ("none.png", "no such file")):
        with pytest.raises(UsageError, match=said):
            load_medium(name, tmp_path)
