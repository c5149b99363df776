"""The messages for common first mistakes: each names the mistake and the command to use instead."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import refuse, said, tiny_flags
from clips import moving_frames
from directed_clip import lossless
from style_pictures import write_style_pictures

TINY = (*tiny_flags("dataset", "generator", "training"), "--steps", "2", "--device", "cpu")
Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(8, (96, 64)))
    write_style_pictures(tmp_path)


def test_a_mistyped_file_is_told_the_name_that_is_near(capsys: Capsys) -> None:
    assert "clp.mkv: no such file — did you mean 'clip.mkv'?" in refuse(capsys, 3, "probe", "clp.mkv")
    assert "zz.mkv: no such file — check the name" in refuse(capsys, 3, "probe", "zz.mkv")
    told = refuse(capsys, 2, "stylize", "clip.mkv", "--look", "stripe.png")
    assert "--look stripe.png: no such picture — did you mean 'stripes.png'?" in told


def test_a_picture_is_no_model_and_a_look_that_ships_no_picture(capsys: Capsys) -> None:
    told = refuse(capsys, 3, "stylize", "clip.mkv", "--model", "stripes.png")
    assert "stripes.png: it is a picture, not a model — paint in its style with --look stripes.png" in told
    for command in (("run", "--look", "oil", "--apply", "clip.mkv", "-o", "o.mp4"), ("look", "oil")):
        assert "it is a look that ships, and is learned — vidtrans stylize VIDEO --look oil" in refuse(
            capsys, 2, *command
        )


def test_two_looks_are_not_silently_one(capsys: Capsys) -> None:
    for second in (("--look", "ink"), ("--look=ink",)):
        told = refuse(capsys, 2, "stylize", "clip.mkv", "--look", "oil", *second)
        assert '--look: it was given twice — mix looks as in "oil: 0.5, ink: 0.5"' in told


def test_the_number_of_a_frame_is_told_from_seconds(capsys: Capsys) -> None:
    render = ("stylize", "clip.mkv", "--model", "identity", *SMALL)
    told = said(capsys, 0, *render, "--end", "2", "-o", "a.mkv")
    assert "2 is the number of a frame: 2 frames of clip.mkv are rendered; for seconds write 2s" in told
    assert "number of a frame" not in said(capsys, 0, *render, "--end", "0.1s", "-o", "b.mkv")


def test_one_picture_to_learn_from_is_pointed_to_its_style(capsys: Capsys) -> None:
    told = said(capsys, 0, "make-dataset", "stripes.png", "-o", "one.dataset")
    assert "from one picture a model learns that picture alone; its style is painted by: vidtrans stylize VIDEO" in told
    assert "that picture alone" not in said(capsys, 0, "make-dataset", "clip.mkv")


def test_a_short_training_is_called_a_sketch(capsys: Capsys) -> None:
    told = said(capsys, 0, "run", "clip.mkv", "--apply", "clip.mkv", "-o", "o.mkv", *TINY)
    assert "2 steps give a blurred sketch: the same with more --steps goes on from it" in told
