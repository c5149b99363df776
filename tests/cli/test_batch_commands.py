"""Folders of clips: counterparts and results by name, results beside their sources, and the report of a night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import refuse, said_json, vidtrans, vidtrans_json
from clips import moving_frames, write_clip, write_folder
from directed_clip import lossless
from flicker import flickering

import vidtrans as api
from vidtrans.batch.inputs import match_clips
from vidtrans.cli.main import run
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


@pytest.mark.thorough
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
    found = match_clips(made, place / "clips", "--source")
    assert [p.name for p in found] == ["shot-2.mov", "shot-20.mov", "shot.mov", "shot.mov", "a.mov"]
    assert match_clips(made, place / "clips" / "a.mov", "--source") == [place / "clips" / "a.mov"] * 5
    with pytest.raises(UsageError, match="no clip with a matching name"):
        match_clips([Path("shots.mp4")], place / "clips", "--source")


@pytest.mark.thorough
def test_a_folder_of_renders_is_deflickered_and_scored(place: Path) -> None:
    deflickered = vidtrans_json("deflicker", "renders", "--source", "clips", "-o", "calm")
    results = ["a.x.deflickered.mp4", "b.y.deflickered.mp4"]
    assert [Path(item["output"]).name for item in deflickered["items"]] == results
    vidtrans("deflicker", "renders/b.y.mov", "--source", "clips/b.mov", "-o", "one.mp4", "--cache-dir", "other")
    assert Path("one.mp4").read_bytes() == Path("calm/b.y.deflickered.mp4").read_bytes()
    scored = vidtrans("evaluate", "renders", "calm", "--source", "clips", "-o", "scores")
    assert scored.stdout.count(".mov") == 2
    assert "warping error" in scored.stdout
    scores = {f"{name}{of}.scores.png" for name in ("a.x", "b.y") for of in ("", ".deflickered")}
    assert {p.name for p in Path("scores").glob("*.png")} == scores
    rows = json.loads(Path("scores/vidtrans-batch.json").read_text())["items"]
    before, after = rows[0]["warping_error"], rows[2]["warping_error"]
    assert 0 < after < before
    beside = ("deflicker", "renders", "--source", "clips", "-o", "renders", "--executor", "inline")
    assert not vidtrans_json(*beside)["cached"]
    assert (again := vidtrans_json(*beside))["cached"]  # results of an earlier run are no clips
    assert len(again["items"]) == 2


@pytest.mark.thorough
def test_a_dataset_of_each_or_of_all(place: Path, capsys: Capsys) -> None:
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


Capsys = pytest.CaptureFixture[str]
RENDER = ("stylize", "clips", "--model", "identity", "-o", "out", "--executor", "inline")
SHORT_CHUNKS = ("--set", "rendering.chunk_frames=6")


@pytest.fixture
def night() -> None:
    Path("clips").mkdir()
    for number, frames in enumerate((12, 20)):
        write_clip(Path(f"clips/c{number}.mp4"), moving_frames(frames))


@pytest.mark.usefixtures("night")
def test_a_batch_with_a_broken_clip(capsys: Capsys) -> None:
    Path("clips/broken.mp4").write_bytes(b"nothing")
    assert run([*RENDER, *SHORT_CHUNKS]) == 5
    capsys.readouterr()
    vidtrans("stylize", "clips/c0.mp4", "--model", "identity", "-o", "aside.mp4", "--temporal", "off")
    table = said_json(capsys, "batch", "report", "out")
    chunks = [json.loads(line) for path in Path(".vidtrans/log").iterdir() for line in path.read_text().splitlines()]
    assert {tuple(chunk["frames"]) for chunk in chunks} >= {(0, 6), (6, 12), (12, 18), (18, 20)}
    assert all(set(chunk["seconds"]) >= {"read", "filter", "encode"} for chunk in chunks if chunk["chunk"] == 0)
    assert (table["clips"], len(table["hosts"])) == (3, 1)
    assert table["chunks"] >= 6
    assert [failure["clip"] for failure in table["failures"]] == ["broken.mp4"]
    page = Path("out/vidtrans-batch.html").read_text()
    assert "broken.mp4" in page
    assert "http" not in page.replace("http-equiv", "")
    assert said_json(capsys, "batch", "report", "out")["chunks"] == table["chunks"]  # its own page is replaced


@pytest.mark.usefixtures("night")
def test_parts_of_a_clip_and_one_that_failed(capsys: Capsys) -> None:
    part = ("stylize", "clips/c1.mp4", "--model", "identity", "-o", "one.mp4", *SHORT_CHUNKS)
    vidtrans(*part, "--chunk", "1/2")
    refuse(capsys, 1, *part, "--join")
    table = api.batch_report(".", "page.html")
    assert table["failures"][0]["part"] == "join"
    assert "not rendered" in table["failures"][0]["error"]
    assert table["frames"] == 12


@pytest.mark.usefixtures("night")
def test_nothing_to_tell_of_and_a_page_of_somebody_else(capsys: Capsys) -> None:
    assert "in the last 24 hours" in refuse(capsys, 3, "batch", "report")
    assert refuse(capsys, 2, "batch", "report", "-o", "page.png")
    vidtrans(*RENDER)
    Path("mine.html").write_text("mine")
    assert "it exists" in refuse(capsys, 2, "batch", "report", "out", "-o", "mine.html")
    assert said_json(capsys, "batch", "report", "out", "--dry-run")["dry_run"]
    assert not Path("out/vidtrans-batch.html").exists()
    vidtrans("cache", "clean")
    assert not list(Path(".vidtrans").glob("log/*"))


AS_IT_IS = ("--model", "identity", "--beside")


@pytest.fixture
def one_and_two() -> None:
    for name in ("one/a.mp4", "one/b.mp4", "two/a.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        write_clip(Path(name), moving_frames(3))


def files() -> list[str]:
    return sorted(p.as_posix() for p in Path().rglob("*.mp4") if not p.as_posix().startswith("."))


@pytest.mark.usefixtures("one_and_two")
def test_the_result_of_a_folder_of_pictures_lies_beside_it_and_jobs_name_the_places(capsys: Capsys) -> None:
    vidtrans("stylize", "one/a.mp4", "--model", "identity", "-o", "one/shot/%03d.png")
    for source in ("one/shot", "one/shot/%03d.png"):
        table = vidtrans_json("stylize", source, *AS_IT_IS, "--dry-run")
        assert Path(table["output"]).parts[:2] == ("one", "shot.identity")
    printed = vidtrans("stylize", "one", *AS_IT_IS, "--print-jobs", "commands").stdout
    assert "one/a.identity.mp4" in printed
    assert "--beside" not in printed
    Path("list.toml").write_text("[[clip]]\nvideo = 'one/a.mp4'\n")
    assert "--beside and a list of clips" in refuse(capsys, 2, "stylize", "list.toml", "--beside")


@pytest.mark.usefixtures("one_and_two")
def test_results_of_many_clips_lie_beside_their_sources_and_are_no_sources_of_the_next_run(capsys: Capsys) -> None:
    keys, inline = ("--minutes", "0", "--keyframes", "keys/a"), ("--executor", "inline")
    write_folder(Path("keys/a"), moving_frames(1), ["000001.png"])
    painted = vidtrans_json("propagate", "two/a.mp4", "--beside", *keys)
    assert painted["output"] == str(Path("two/a.painted.mp4"))
    Path("two/a.painted.mp4").unlink()
    names = [f"{one}{{}}.mp4" for one in ("one/a", "one/b", "two/a")]
    for cached in (False, True):
        table = vidtrans_json("deflicker", "one", "two", "--beside", *inline)
        results = [name.format(".deflickered") for name in names]
        assert [Path(item["output"]).as_posix() for item in table["items"]] == results
        assert (table["cached"], table["output"]) == (cached, None)
    assert files() == sorted([*(name.format("") for name in names), *results])
    refused = refuse(capsys, 2, "deflicker", "two/a.mp4", "--beside", "-o", "x.mp4")
    assert "--beside and -o: both say where results go" in refused


def test_a_folder_is_watched_and_what_fails_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("vidtrans.batch.watching.SETTLED_S", 0.0)
    monkeypatch.setattr("vidtrans.batch.watching.POLL_S", 0.01)
    (place / "clips" / "c.mp4").write_text("no video")
    words = "batch watch clips -o out --model identity --temporal off --idle 0 --json"
    command = words.split()
    assert run(command) == 5
    table = json.loads(capsys.readouterr().out)
    assert [Path(item["output"]).name for item in table["items"]] == ["a.identity.mp4", "b.identity.mp4"]
    assert list(table["failed"]) == [str(Path("clips/c.mp4"))]
    rows = json.loads(Path("out/vidtrans-batch.json").read_text())["items"]
    assert {row["state"] for row in rows} == {"done", "failed"}
    (place / "clips" / "c.mp4").unlink()
    again = said_json(capsys, *command[:-1])
    assert again["cached"]  # started again, it finds the results
    for wrong, why in (
        (("clips", "-o", "clips", "--model", "identity"), "painted again"),
        (("none", "-o", "out", "--model", "identity"), "no such folder"),
        (("clips", "-o", "out"), "--look"),
        (("clips", "-o", "out", "--model", "nowhere"), "no model of this name"),
    ):
        assert why in refuse(capsys, 3 if "nowhere" in wrong else 2, "batch", "watch", *wrong), wrong
