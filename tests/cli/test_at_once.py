"""``stylize --look PICTURE`` without a model: the look of any picture at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import said, said_json
from clips import decode, moving_frames, times
from directed_clip import lossless, same
from style_pictures import write_style_pictures

from vidtrans.core.errors import UsageError
from vidtrans.core.system import WINDOWS
from vidtrans.models.at_once import model_at_once
from vidtrans.models.loaded_model import load_model
from vidtrans.models.look_pictures import NamedPictures, parse_pictures
from vidtrans.session import Context
from vidtrans.video.images.picture import write_picture

Capsys = pytest.CaptureFixture[str]
# What is mended in a shot depends on all of its looks.
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lossless(tmp_path / "source.mkv", moving_frames(8, (96, 64)))


@pytest.fixture
def paintings(tmp_path: Path) -> tuple[Path, Path]:
    return write_style_pictures(tmp_path)


def test_a_picture_is_a_look_at_once(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    made = {}
    for painting in paintings:
        table = said_json(capsys, "stylize", source, "--look", painting, *SMALL, "-o", "o.mkv", "--overwrite")
        assert (table["model"], table["frames"]) == (painting.stem, 8)
        assert times(Path("o.mkv")) == times(source)
        made[painting.stem] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    frames = np.stack(decode(source)[2]).astype(int)
    assert min(np.abs(each - frames).mean() for each in made.values()) > 15
    assert np.abs(made["stripes"] - made["chequers"]).mean() > 15
    again = said_json(capsys, "stylize", source, "--look", paintings[1], *SMALL, "-o", "o.mkv")
    assert again["cached"]


def test_pictures_are_mixed_and_follow_each_other(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    one, other = paintings
    made = {}
    for name, look in (
        ("one", str(one)),
        ("other", str(other)),
        ("half", f"{one}: 1, {other}: 1"),
        ("in turn", f"0: {one}, 7: {other}"),
    ):
        said_json(capsys, "stylize", source, "--look", look, *SMALL, "-o", "o.mkv", "--overwrite")
        made[name] = np.stack(decode(Path("o.mkv"))[2]).astype(int)
    apart = np.abs(made["one"] - made["other"]).mean()
    for end in ("one", "other"):
        assert 0.1 * apart < np.abs(made["half"] - made[end]).mean() < 0.95 * apart
    assert same(list(made["in turn"][:1]), list(made["one"][:1]), within=3)
    assert same(list(made["in turn"][-1:]), list(made["other"][-1:]), within=3)


def test_what_is_no_picture_is_refused(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    assert "no such picture" in said(capsys, 2, "stylize", source, "--look", "absent.jpg", "-o", "o.mkv")
    Path("text.png").write_text("no picture")
    assert "--look text.png" in said(capsys, 3, "stylize", source, "--look", "text.png", "-o", "o.mkv")
    for share in ("-1", "much"):
        with pytest.raises(UsageError, match="share"):
            parse_pictures(f"{paintings[0]}: {share}, {paintings[1]}: 1")
    with pytest.raises(UsageError, match="share"):
        parse_pictures(f"{paintings[0]}: 0")
    assert "no model" in said(capsys, 2, "stylize", source, "-o", "o.mkv")


def test_equal_names_of_different_pictures_are_numbered(tmp_path: Path, paintings: tuple[Path, Path]) -> None:
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "stripes.png"
    other.write_bytes(paintings[1].read_bytes())
    found = parse_pictures(f"0: {paintings[0]}, 2s: {other}, 4s: {paintings[0]}")
    assert list(found.looks) == ["stripes", "stripes-2"]
    assert found.value == "0: stripes, 2.0s: stripes-2, 4.0s: stripes"


def test_a_mixture_may_be_longer_than_the_name_of_a_file(paintings: tuple[Path, Path]) -> None:
    many = ", ".join(f"{painting}: 1" for painting in paintings * 20)
    assert parse_pictures(many).value == "+".join(["stripes", "chequers"] * 20)


@pytest.mark.thorough
def test_several_processes_make_one_model(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    Path("clips").mkdir()
    for number in range(4):
        Path(f"clips/{number}.mkv").write_bytes(source.read_bytes())
    table = said_json(capsys, "stylize", "clips", "--look", paintings[0], *SMALL, "-o", "out/", "--jobs", "2")
    assert (len(table["items"]), table["failed"]) == (4, {})
    assert len(list(Path(".vidtrans/at-once").iterdir())) == 1


def test_a_look_is_painted_at_the_size_of_its_source_up_to_720_lines(
    paintings: tuple[Path, Path], capsys: Capsys
) -> None:
    sizes = {"small": (96, 64), "hd": (1280, 720), "uhd": (2560, 1440)}
    for name, (width, height) in sizes.items():
        write_picture(
            Path(f"{name}.png"), np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        )
    wanted = {"small": [96, 64], "hd": [1280, 720], "uhd": [1280, 720]}
    looks = load_model(str(model_at_once(parse_pictures(str(paintings[0])), Context()).path), Context())
    found = {name: list(looks.working_size("auto", size)) for name, size in sizes.items()}
    assert found == wanted
    assert looks.working_size("trained", sizes["uhd"]) == (512, 288)
    table = said_json(capsys, "stylize", "hd.png", "--look", paintings[0], "--dry-run")
    assert table["working_size"] == [1280, 720]
    assert table["trained_size"]["size"] == [512, 288]
    assert table["trained_size"]["seconds"] > 0
    assert "with --size 288" in said(capsys, 0, "stylize", "hd.png", "--look", paintings[0], "--dry-run")
    assert "trained_size" not in said_json(capsys, "stylize", "small.png", "--look", paintings[0], "--dry-run")


def test_odd_names_and_shapes_of_pictures(source: Path, paintings: tuple[Path, Path], capsys: Capsys) -> None:
    write_picture(Path("strip.png"), np.random.default_rng(1).integers(0, 256, (4, 3000, 3), dtype=np.uint8))
    said_json(capsys, "stylize", source, "--look", "strip.png", *SMALL, "-o", "strip.mkv")
    shutil.copy(paintings[0], "a .png")
    said_json(capsys, "stylize", source, "--look", f"0: a .png, 5: {paintings[1]}", *SMALL, "-o", "spaced.mkv")
    folder = Path("take:2") if not WINDOWS else Path("take 2")
    folder.mkdir()
    shutil.copy(paintings[0], folder / "a.png")
    said_json(capsys, "stylize", source, "--look", f"0: {folder}/a.png, 5: {paintings[1]}", *SMALL, "-o", "colon.mkv")
    long = NamedPictures({"\u7d75" * 45: (), "\u753b" * 45: ()}, "")
    assert len(long.name.encode()) <= 80
    many = ", ".join(f"{n}: {n}.png" for n in range(40))
    for n in range(40):
        shutil.copy(paintings[0], f"{n}.png")
    assert "up to 32" in said(capsys, 2, "stylize", source, "--look", many, *SMALL, "-o", "many.mkv")
