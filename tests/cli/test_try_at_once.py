"""``try`` with pictures instead of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said_json, snapshot
from clips import moving_frames
from directed_clip import lossless
from style_pictures import write_style_pictures

from vidtrans.video.images.picture import read_picture

Capsys = pytest.CaptureFixture[str]
TRY = ("try", "clip.mkv", "--frames", "2", "--size", "48", "--device", "cpu")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path)


def test_pictures_are_columns(capsys: Capsys) -> None:
    before = snapshot(Path())
    looks = ("--vary", "look=stripes.png,chequers.png")
    assert said_json(capsys, *TRY, *looks, "--dry-run")["dry_run"]
    assert snapshot(Path()) == before
    table = said_json(capsys, *TRY, *looks)
    assert table["columns"] == ["source", "--look stripes.png", "--look chequers.png"]
    assert said_json(capsys, *TRY, *looks)["cached"]
    more = ("--look", "stripes.png: 1, chequers.png: 1", "--vary", "look=stripes.png,clip", "--vary", "strength=0.5")
    table = said_json(capsys, *TRY, *more, "-o", "more.png")
    mixed = f"--look {more[1]}"
    columns = ["source", mixed, "--look stripes.png", "--look clip", "--strength 0.5"]
    assert table["columns"] == columns
    grid = read_picture(Path("more.png")).astype(int)
    widths = grid.shape[1] // len(columns)
    cells = [grid[-60:-10, n * widths + 20 : n * widths + 60] for n in range(len(columns))]
    assert min(np.abs(a - b).mean() for n, a in enumerate(cells) for b in cells[:n]) > 2
    # Another picture under the name makes another grid.
    Path("stripes.png").write_bytes(Path("chequers.png").read_bytes())
    assert not said_json(capsys, *TRY, *more, "-o", "more.png", "--overwrite")["cached"]


def test_media_and_settings_of_strokes_are_columns(capsys: Capsys) -> None:
    assert said_json(capsys, *TRY, "--strokes", "oil", "-o", "o.png")["columns"][:2] == ["source", "--strokes oil"]
    vary = ("--vary", "strokes=oil,pencil", "--vary", "strokes.size=2", "--vary", "palette=stripes.png")
    columns = ["source", "--strokes oil", "--strokes pencil", "--strokes-size 2", "--palette stripes.png"]
    assert said_json(capsys, *TRY, *vary, "--strokes-looseness", "0.5")["columns"] == columns
    grid = read_picture(Path("clip.try.png")).astype(int)
    widths = grid.shape[1] // len(columns)
    cells = [grid[-60:-10, n * widths + 20 : n * widths + 60] for n in range(len(columns))]
    assert min(np.abs(a - b).mean() for n, a in enumerate(cells) for b in cells[:n]) > 1
    vary = ("--vary", "look=oil,pencil", "--vary", "strokes-size=2")
    columns = ["source", "--look oil", "--look pencil", "--strokes-size 2"]
    assert said_json(capsys, *TRY, *vary, "-o", "looks.png")["columns"] == columns


def test_mistakes_are_one_line(capsys: Capsys) -> None:
    assert "there is no model" in refuse(capsys, 2, *TRY)
    assert "--vary look=oil,pencil" in refuse(capsys, 2, *TRY, "--look", "oil,pencil")
    assert "strokes.size 9" in refuse(capsys, 2, *TRY, "--vary", "strokes=oil,ink", "--vary", "strokes.size=9")
    assert "did you mean 'oil'" in refuse(capsys, 2, *TRY, "--vary", "strokes=oyl,ink")
    assert "one value each" in refuse(capsys, 2, *TRY, "--strokes", "oil", "--strokes-size", "0: 1, 3: 2")
    assert not Path("clip.try.png").exists()
    assert "no such picture" in refuse(capsys, 2, *TRY, "--look", "absent.png")
    assert "no such picture" in refuse(capsys, 2, *TRY, "--look", "stripes.png", "--vary", "look=absent.png")
    assert "one look each" in refuse(capsys, 2, *TRY, "--look", "0: stripes.png, 3: chequers.png")
    told = refuse(capsys, 2, *TRY, "--look", "stripes.png", "-o", "stripes.png", "--overwrite")
    assert "stripes.png" in told
