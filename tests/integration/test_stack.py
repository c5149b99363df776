"""Guides from a 3D program, stacked as channels: found, put in order, taught, and asked for again when rendering."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY, quick_training, refuse, said
from clips import moving_frames, pictures_of, scene, times, write_folder
from directed_clip import lossless

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note
from vidtrans.core.settings import Size
from vidtrans.data.dataset import open_dataset
from vidtrans.models.model_file import read_record
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.pictures import open_reader

Capsys = pytest.CaptureFixture[str]

COUNT = 16
Tables = dict[str, dict[str, Any]]


def depth(i: int, size: tuple[int, int] = (64, 48)) -> np.ndarray:
    """A grey slope with a disc on it, (H, W, 3) uint8."""
    grey = cv2.cvtColor(moving_frames(i + 1, size)[-1], cv2.COLOR_RGB2GRAY)
    return np.dstack([grey] * 3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``shot/depth`` (grey), ``shot/normals`` (colour), and ``beauty``, the finished pictures."""
    folder = tmp_path_factory.mktemp("sets")
    write_folder(folder / "shot/depth", [depth(i)[..., 0] for i in range(COUNT)])
    write_folder(folder / "shot/normals", [255 - f for f in moving_frames(COUNT)])
    write_folder(folder / "beauty", moving_frames(COUNT))
    return folder


@pytest.fixture
def shot(sets: Path) -> Path:
    """The same in the test's own folder."""
    for name in ("shot", "beauty"):
        shutil.copytree(sets / name, name)
    return Path("shot")


@pytest.fixture(scope="module")
def model(sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack")
    cache = {"cache_dir": folder / "cache"}
    api.make_dataset(sets / "shot", folder / "d", pairing="stack", target=sets / "beauty", settings=TINY, **cache)
    api.train(folder / "d", folder / "stacked.safetensors", settings=quick_training(1), **cache)
    return folder / "stacked.safetensors"


def make(shot: Path, *guides: str, target: str = "beauty", **options: Any) -> dict[str, Any]:
    settings: Tables = {"dataset": {**TINY["dataset"], "size": "source"}}
    if guides:
        settings["pairing"] = {"guides": list(guides)}
    return api.make_dataset(shot, pairing="stack", target=target, settings=settings, **options)


# The pairing


def test_guides_are_read_side_by_side_at_the_first_ones_size(tmp_path: Path) -> None:
    frames = moving_frames(6)
    write_folder(tmp_path / "a", frames)
    lossless(tmp_path / "b.mp4", [cv2.resize(255 - f, (32, 24)) for f in frames])
    with open_reader(tmp_path, FrameFormat(Size(short=24)), guides=("a", "b")) as reader:
        found = list(reader.frames())
        assert [f.index for f in found] == list(range(6))
        assert all(f.rgb.shape == (24, 32, 3) and len(f.pictures) == 2 for f in found)
        assert [p.shape for p in found[0].pictures] == [(24, 32, 3)] * 2
        assert [f.index for f in reader.frames(2, 4)] == [2, 3]
    write_folder(tmp_path / "c", [f[::-1] for f in frames])
    with open_reader(tmp_path, guides=("c", "b", "a")) as reader:
        flipped, shrunk, plain = next(reader.frames()).pictures
        assert np.array_equal(flipped, frames[0][::-1])
        assert np.array_equal(plain, frames[0])
        assert shrunk.shape == plain.shape
    with open_reader(tmp_path, guides=("b", "a")) as reader:
        first = next(reader.frames())
        assert first.rgb.shape == first.guides[0].shape == (24, 32, 3)


def test_guides_have_names_of_their_own_and_grey_ones_one_channel() -> None:
    pairing = make_pairing("stack", {"guides": ["normals", "depth:1", "labels:3"]})
    assert (pairing.guides, pairing.in_channels) == (("normals", "depth", "labels"), 7)
    normals, grey, labels = scene(8, 6, 1), depth(0, (8, 6)), scene(8, 6, 2)
    made = pairing.input([normals, grey, labels])
    assert made.shape == (6, 8, 7)
    assert np.array_equal(made, np.dstack([normals, grey[..., :1], labels]))
    for guides in (["a", "a"], ["a:1", "a"], [":1"], [""]):
        with pytest.raises(UsageError, match="each needs a name of its own"):
            make_pairing("stack", {"guides": guides})


# Guides on disk


# The dataset


def test_all_guides_of_a_folder_are_taken_and_the_grey_ones_known(shot: Path) -> None:
    table = make(shot)
    dataset = open_dataset(Path("shot.dataset"))
    assert dataset.pairing_table["settings"]["guides"] == ["depth:1", "normals"]
    assert (dataset.pairing.in_channels, table["frames"], table["left_out"]) == (4, COUNT, 0)
    folders = {"shot.depth": "shot/depth", "shot.normals": "shot/normals", "shot.target": "beauty"}
    assert {p.name for p in Path("shot.dataset").iterdir()} == {"dataset.json", *folders}
    for name, source in folders.items():
        stored, given = pictures_of(Path("shot.dataset") / name), pictures_of(Path(source))
        assert all(np.array_equal(stored[f"{i:06d}.png"], given[f"{i}.png"]) for i in range(COUNT)), name
    pair = dataset.pairs[0]
    assert [p.parent.name for p in pair.inputs] == ["shot.depth", "shot.normals"]
    assert pair.target.parent.name == "shot.target"


def test_the_settings_say_which_guides_and_in_which_order_and_what_is_taught_is_none(shot: Path) -> None:
    make(shot, "normals", "depth")
    dataset = open_dataset(Path("shot.dataset"))
    assert [p.parent.name for p in dataset.pairs[0].inputs] == ["shot.normals", "shot.depth"]
    assert dataset.pairing.in_channels == 6  # grey is taken for three channels, as it was asked
    Path("beauty").rename("shot/beauty")  # the finished pictures may lie beside the guides
    make(shot, target="shot/beauty", output="beside")
    assert open_dataset(Path("beside")).pairing.guides == ("depth", "normals")


def test_frames_that_every_guide_has_are_taken(shot: Path) -> None:
    whole = [pictures_of(shot / name) for name in ("depth", "normals")] + [pictures_of(Path("beauty"))]
    missing = (2, 5, 6, 9)
    for i in missing:
        (shot / "normals" / f"{i}.png").unlink()
    heard: list[Any] = []
    assert make(shot, report=heard.append)["frames"] == 12
    left = [i for i in range(COUNT) if i not in missing]
    for side, name in zip(whole, ("depth", "normals", "target"), strict=True):
        stored = list(pictures_of(Path(f"shot.dataset/shot.{name}")).values())
        assert all(np.array_equal(made, side[f"{i}.png"]) for made, i in zip(stored, left, strict=True))
    assert [e.text for e in heard if isinstance(e, Note) and e.level == "warning"] == [
        "shot: depth has 16 frames, normals has 12 frames: the 12 that all have are used",
        "beauty: it has 16 frames, shot 12: matched by name",
    ]


def test_what_makes_no_dataset_is_answered_with_how_it_should_look(shot: Path, capsys: Capsys) -> None:
    lossless(Path("video.mp4"), moving_frames(2)).rename("video")
    write_folder(Path("pictures"), moving_frames(2))
    Path("empty").mkdir()
    stack = ("--pairing", "stack")
    for source in ("video", "pictures", "empty"):
        told = refuse(capsys, 2, "make-dataset", source, *stack, "--target", "beauty")
        assert "no guides in it" in told
        assert "depth/, normals/" in told
    assert "--target" in refuse(capsys, 2, "make-dataset", shot, *stack)
    guides = '--set=pairing.guides=["depth:1", "albedo"]'
    told = refuse(capsys, 3, "make-dataset", shot, *stack, "--target", "beauty", guides)
    assert "no guide 'albedo' in it (it has depth, normals)" in told
    lossless(shot / "albedo.mkv", moving_frames(COUNT))
    (shot / "depth" / "3.png").unlink()  # a gap does not go with a video
    told = refuse(capsys, 3, "make-dataset", shot, *stack, "--target", "beauty")
    assert "frames are missing in guide 'depth'" in told


# The model


def test_a_stack_is_taught_and_rendered(model: Path, shot: Path, capsys: Capsys) -> None:
    assert read_record(model).in_channels == 4
    told = said(capsys, 0, "stylize", shot, "--model", model)
    assert "shot.stacked: 16 frames" in told
    made = pictures_of(Path("shot.stacked"))
    assert sorted(made) == sorted(p.name for p in (shot / "depth").iterdir())
    assert all(p.shape == (48, 64, 3) for p in made.values())
    said(capsys, 0, "stylize", shot, "--model", model, "-o", "shot.mp4", "--set=rendering.picture_fps=24")
    assert times(Path("shot.mp4")) == [Fraction(i, 24) for i in range(COUNT)]


def test_guides_that_do_not_fit_the_model_are_refused(model: Path, shot: Path, clip: Path, capsys: Capsys) -> None:
    (shot / "normals").rename(shot / "normal")
    told = refuse(capsys, 3, "stylize", shot, "--model", model)
    assert "no guide 'normals' in it (it has depth, normal)" in told
    assert "like the guides" in told
    assert "no guide 'depth'" in refuse(capsys, 3, "stylize", "beauty", "--model", model)
    for other in (clip, "beauty/0.png"):
        told = refuse(capsys, 3, "stylize", other, "--model", model)
        assert "not a folder of guides — give one that holds depth, normals" in told
    (shot / "normal").rename(shot / "normals")
    write_folder(shot / "depth", [scene(32, 32, 1)], ["3.png"])
    assert "resize them to one size" in refuse(capsys, 2, "stylize", shot, "--model", model)
    (shot / "depth" / "3.png").write_bytes(b"")
    assert "3.png" in refuse(capsys, 3, "stylize", shot, "--model", model)
