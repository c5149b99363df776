"""``vidtrans batch report``: the page of a night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import refuse, said_json, vidtrans
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.cli.main import run

Capsys = pytest.CaptureFixture[str]
RENDER = ("stylize", "clips", "--model", "identity", "-o", "out", "--set", "rendering.chunk_frames=6")


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for number, frames in enumerate((12, 20)):
        write_clip(Path(f"clips/c{number}.mp4"), moving_frames(frames))


def test_a_batch_with_a_broken_clip(capsys: Capsys) -> None:
    Path("clips/broken.mp4").write_bytes(b"nothing")
    assert run(list(RENDER)) == 5
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
    again = said_json(capsys, "batch", "report", "out")  # its own page is replaced
    assert again["chunks"] == table["chunks"]


def test_parts_of_a_clip_and_one_that_failed(capsys: Capsys) -> None:
    part = ("stylize", "clips/c1.mp4", "--model", "identity", "-o", "one.mp4", *RENDER[-2:])
    vidtrans(*part, "--chunk", "1/2")
    refuse(capsys, 1, *part, "--join")
    table = api.batch_report(".", "page.html")
    assert table["failures"][0]["part"] == "join"
    assert "not rendered" in table["failures"][0]["error"]
    assert table["frames"] == 12


def test_nothing_to_tell_of_and_a_page_of_somebody_else(capsys: Capsys) -> None:
    assert "in the last 24 hours" in refuse(capsys, 3, "batch", "report")
    assert refuse(capsys, 2, "batch", "report", "--hours", "0")
    assert refuse(capsys, 2, "batch", "report", "-o", "page.png")
    vidtrans(*RENDER)
    Path("mine.html").write_text("mine")
    assert "it exists" in refuse(capsys, 2, "batch", "report", "out", "-o", "mine.html")
    assert said_json(capsys, "batch", "report", "out", "--dry-run")["dry_run"]
    assert not Path("out/vidtrans-batch.html").exists()
    vidtrans("cache", "clean")
    assert not list(Path(".vidtrans").glob("log/*"))
