"""The messages for common first mistakes: each names the mistake and the command to use instead."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from chain import refuse, said, said_json, tiny_flags
from clips import moving_frames
from directed_clip import lossless
from made_models import make_model
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


def test_a_picture_is_no_model_and_a_medium_no_picture(capsys: Capsys) -> None:
    told = refuse(capsys, 3, "stylize", "clip.mkv", "--model", "stripes.png")
    assert "stripes.png: it is a picture, not a model — paint in its style with --look stripes.png" in told
    for command in (("run", "--look", "oil", "--apply", "clip.mkv", "-o", "o.mp4"), ("look", "oil")):
        assert "it is a medium, and nothing is learned — vidtrans stylize VIDEO --look oil" in refuse(
            capsys, 2, *command
        )


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("stylize clip.mkv --look Oil", "--look Oil: there is no such medium or picture — did you mean 'oil'?"),
        ("stylize clip.mkv --look pensil", "did you mean 'pencil'?"),
        ("stylize clip.mkv --style ink", "No such option '--style'. Did you mean '--look'?"),
        ("stylize clip.mkv --resolution 512", "Did you mean '--size'?"),
        ("stylize clip.mkv --crf 18", "Did you mean '--set encoding.crf=N'?"),
        ("train clip.dataset --epochs 5", "Did you mean '--steps'?"),
        ("stylize clip.mkv oil", "'oil': a look, where a clip is expected — write: vidtrans stylize clip.mkv --look"),
        ("stylize clip.mkv flower", "write: vidtrans stylize clip.mkv --model flower"),
        ("clip.mkv", "'clip.mkv' is no command: write 'vidtrans stylize clip.mkv --look oil'."),
        ("oil clip.mkv", "'oil' is a medium: write 'vidtrans stylize VIDEO --look oil'."),
        ("help", "No such command 'help'. Did you mean '--help'?"),
        ("help stylize", "write 'vidtrans stylize --help'."),
        ("version", "Did you mean '--version'?"),
        ("models", "Did you mean 'model list'?"),
        ("render clip.mkv", "Did you mean 'stylize'?"),
        ("info clip.mkv", "Did you mean 'probe'?"),
        ("cache clear", "No such command 'clear'. Did you mean 'clean'?"),
        ("model ls", "Did you mean 'list'?"),
        ("preset info", "Did you mean 'show'?"),
        ("stylize clip.mkv --look oil --strength 150%", "write 1.5 for 150%"),
        ("stylize clip.mkv --look oil --mix 7.5%", "write 0.075 for 7.5%"),
        ("stylize clip.mkv --look oil --set rendering.strength=50%", "write 0.5 for 50%"),
        ("stylize http://a.org/x.mp4 --look oil", "http://a.org/x.mp4: it is an address, not a file of this machine"),
        ("stylize clip.mkv --look s3://b/c.png", "it is an address"),
        ("stylize clip.mkv --look oil -o file:///tmp/x.mp4", "it is an address"),
    ],
)
def test_a_near_word_is_answered_with_the_right_one(line: str, says: str, capsys: Capsys) -> None:
    told = refuse(capsys, 2, *line.split())
    assert says in told
    assert len(told) < 170


def test_a_mistyped_file_of_a_model_is_told_the_name_that_is_near(capsys: Capsys) -> None:
    Path("mine.safetensors").write_bytes(b"")
    for name in ("mine.safetensor", "mien.safetensors", "./mine.safetensor"):
        told = refuse(capsys, 3, "stylize", "clip.mkv", "--model", name)
        assert "no such file — did you mean 'mine.safetensors'?" in told
    assert "did you mean 'flower'?" in refuse(capsys, 3, "stylize", "clip.mkv", "--model", "flowr")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no folder here that takes no files")
@pytest.mark.parametrize(
    "line", ["stylize clip.mkv --look oil -o", "keyframes clip.mkv -o", "make-dataset clip.mkv -o"]
)
def test_a_folder_that_takes_no_files_is_named_before_any_work(line: str, capsys: Capsys) -> None:
    told = refuse(capsys, 2, *line.split(), "/proc/x.mp4")
    assert "/proc/x.mp4: no file can be written into '/proc' — choose another place with -o" in told


def test_a_size_that_is_not_reached_is_said(capsys: Capsys) -> None:
    render = ("stylize", "clip.mkv", "--model", "identity", "--dry-run", "--size")
    told = said(capsys, 0, *render, "2500")
    assert "--size 2500: clip.mkv is 96x64, and a short side enlarges nothing" in told
    assert "--size 3750x2500 enlarges it" in told
    for reached in ("64", "96x64", "300x200", "source"):
        assert "enlarges" not in said(capsys, 0, *render, reached)


def test_a_folder_of_one_clip_is_a_folder_of_clips(capsys: Capsys) -> None:
    Path("one").mkdir()
    Path("clip.mkv").rename("one/a.mkv")
    render = ("stylize", "--model", "identity", *SMALL)
    for given, place in (("one", "made"), ("one/*.mkv", "found")):
        said(capsys, 0, *render, given, "-o", place)
        assert Path(place, "a.identity.mkv").is_file()
    assert "have a folder of results" in refuse(capsys, 2, *render, "one", "-o", "x.mkv")
    told = refuse(capsys, 3, "probe", "one")
    assert "one: a folder of 1 video, where one clip is expected — name the video, as one/a.mkv" in told


def test_two_looks_are_not_silently_one(capsys: Capsys) -> None:
    for second in (("--look", "pencil"), ("--look=pencil",)):
        told = refuse(capsys, 2, "stylize", "clip.mkv", "--look", "oil", *second)
        assert '--look: it was given twice — mix pictures as in "a.jpg: 0.5, b.jpg: 0.5"' in told


def test_the_number_of_a_frame_is_told_from_seconds(capsys: Capsys) -> None:
    render = ("stylize", "clip.mkv", "--model", "identity", *SMALL)
    told = said(capsys, 0, *render, "--end", "2", "-o", "a.mkv")
    assert "2 is the number of a frame: 2 frames of clip.mkv are rendered; for seconds write 2s" in told
    assert "number of a frame" not in said(capsys, 0, *render, "--end", "0.1s", "-o", "b.mkv")


def test_one_picture_to_learn_from_is_pointed_to_its_style(capsys: Capsys) -> None:
    told = said(capsys, 0, "make-dataset", "stripes.png", "-o", "one.dataset")
    assert "from one picture a model learns that picture alone; its style is painted by: vidtrans stylize VIDEO" in told
    assert "that picture alone" not in said(capsys, 0, "make-dataset", "clip.mkv")
    Path("pair").mkdir()
    for side in ("A", "B"):
        Path("pair", side).mkdir()
        shutil.copy("stripes.png", f"pair/{side}/stripes.png")
    painted = ("--pairing", "aligned", "--set", "dataset.val_fraction=0", "-o", "pair.dataset")
    assert "that picture alone" not in said(capsys, 0, "make-dataset", "pair", *painted)


def test_a_short_training_is_called_a_sketch(capsys: Capsys) -> None:
    told = said(capsys, 0, "run", "clip.mkv", "--apply", "clip.mkv", "-o", "o.mkv", *TINY)
    assert "2 steps give a blurred sketch: the same with more --steps goes on from it" in told


def test_a_clip_smaller_than_the_pictures_of_the_training_is_enlarged_for_the_network(
    tiny_model: Path, capsys: Capsys
) -> None:
    """At a smaller scale a network that learned from pairs finds no eyes in a face."""
    lossless(Path("small.mkv"), moving_frames(2, (32, 24)))
    make_model("untrained.safetensors", "edges", size=32)
    seen = {}
    for name, *flags in ((tiny_model,), (tiny_model, "--size", "source"), ("untrained",)):
        render = ("stylize", "small.mkv", "--model", name, "-o", "o.mkv", "--temporal", "off", "--overwrite")
        table = said_json(capsys, *render, *flags)
        assert table["size"] == [32, 24]
        seen[(name, *flags)] = table["working_size"]
    assert list(seen.values()) == [[43, 32], [32, 24], [32, 24]]
