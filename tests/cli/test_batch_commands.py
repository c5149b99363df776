"""Folders of clips for deflicker, evaluate and make-dataset; results beside their sources by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import refuse, vidtrans, vidtrans_json
from clips import moving_frames
from directed_clip import lossless
from flicker import flickering

from vidtrans.batch.inputs import counterparts
from vidtrans.core.errors import UsageError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """clips/a.mov and b.mov; renders/a.x.mov and b.y.mov, which flicker."""
    for folder in ("clips", "renders"):
        (tmp_path / folder).mkdir()
    for n, name in enumerate(("a", "b")):
        frames = moving_frames(12 + n, size=(64, 48))
        lossless(tmp_path / "clips" / f"{name}.mov", frames)
        lossless(tmp_path / "renders" / f"{name}.{'xy'[n]}.mov", flickering(frames))
    return tmp_path


def test_clips_of_one_source_are_filtered_once(program: Path) -> None:
    lossless(Path("a.mov"), moving_frames(40, size=(64, 48)) * 3)
    clips = [f'[[clips]]\nsource = "a.mov"\noutput = "{n}.mkv"\nrendering.strength = 0.{n}\n' for n in (3, 6)]
    Path("list.toml").write_text("\n".join(['model = "identity"', *clips]))
    flags = ("--filter-source", "hflip", "--device", "cpu", "--jobs", "2")
    told = vidtrans_json("stylize", "list.toml", *flags, "-o", "out")
    assert (len(told["items"]), told["failed"]) == (2, {})
    assert len(list(Path(".vidtrans/filter").iterdir())) == 1


def test_counterparts_go_by_the_longest_name_that_theirs_begins_with(place: Path) -> None:
    for name in ("shot.mov", "shot-2.mov", "shot-20.mov"):
        (place / "clips" / name).touch()
    made = [Path(name) for name in ("shot-2.x.mp4", "shot-20.x.mp4", "shot-3.mp4", "shot_graded.mov", "a.mp4")]
    found = counterparts(made, place / "clips", "--source")
    assert [p.name for p in found] == ["shot-2.mov", "shot-20.mov", "shot.mov", "shot.mov", "a.mov"]
    assert counterparts(made, place / "clips" / "a.mov", "--source") == [place / "clips" / "a.mov"] * 5
    with pytest.raises(UsageError, match="no clip with a matching name"):
        counterparts([Path("shots.mp4")], place / "clips", "--source")


@pytest.mark.thorough
def test_a_folder_of_renders_is_deflickered_and_scored(place: Path) -> None:
    deflickered = vidtrans_json("deflicker", "renders", "--source", "clips", "-o", "calm")
    assert [Path(item["output"]).name for item in deflickered["items"]] == [
        "a.x.deflickered.mp4",
        "b.y.deflickered.mp4",
    ]
    vidtrans("deflicker", "renders/b.y.mov", "--source", "clips/b.mov", "-o", "one.mp4", "--cache-dir", "other")
    assert Path("one.mp4").read_bytes() == Path("calm/b.y.deflickered.mp4").read_bytes()
    scored = vidtrans("evaluate", "renders", "calm", "--source", "clips", "-o", "scores")
    assert scored.stdout.count(".mov") == 2
    assert "warping error" in scored.stdout
    assert {p.name for p in Path("scores").glob("*.png")} == {
        "a.x.scores.png",
        "b.y.scores.png",
        "a.x.deflickered.scores.png",
        "b.y.deflickered.scores.png",
    }
    rows = json.loads(Path("scores/vidtrans-batch.json").read_text())["items"]
    before, after = rows[0]["warping_error"], rows[2]["warping_error"]
    assert 0 < after < before
    assert len(vidtrans_json("evaluate", "renders", "--source", "clips")["items"]) == 2
    beside = ("deflicker", "renders", "--source", "clips", "-o", "renders", "--executor", "inline")
    assert not vidtrans_json(*beside)["cached"]
    assert (again := vidtrans_json(*beside))["cached"]  # results of an earlier run are no clips
    assert len(again["items"]) == 2


@pytest.mark.thorough
def test_a_dataset_of_each_or_of_all(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "clips" / "c.mov").write_text("no video")
    each = vidtrans_json("make-dataset", "clips", "--each", "--size", "48", "-o", "sets", expect=5)
    assert {p.name for p in Path("sets").glob("*.dataset")} == {"a.dataset", "b.dataset"}
    assert list(each["failed"]) == ["clips/c.mov"]
    (place / "clips" / "c.mov").unlink()
    assert vidtrans_json("make-dataset", "clips", "--size", "48", "-o", "all.dataset")["frames"] == 25
    paired = vidtrans_json(
        "make-dataset", "renders", "--each", "--pairing", "aligned", "--target", "clips", "--size", "48", "-o", "pairs"
    )
    assert len(paired["items"]) == 2
    assert "give --each" in refuse(capsys, 2, "make-dataset", "clips", "--jobs", "2", "-o", "more.dataset")
