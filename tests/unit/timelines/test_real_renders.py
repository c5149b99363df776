"""Timelines that are rendered, by the command that an editor uses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from chain import refuse, said, said_json
from made_timelines import TIMELINES, Maker
from timeline_samples import OtioSamples, edl_samples

import vidtrans as api

EDL = """\
TITLE: CUT
FCM: NON-DROP FRAME

001  CODED    V     C        01:00:00:05 01:00:00:15 01:00:00:00 01:00:00:10
* FROM CLIP NAME: coded.mov
002  AX       V     C        00:00:01:10 00:00:01:20 01:00:00:10 01:00:00:20
* FROM CLIP NAME: plain.mkv
"""


def test_shards_render_parts_of_an_edl_and_the_whole_writes_it_once(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, styled = media / "real.edl", tmp_path / "real.styled.edl"
    path.write_text(EDL)
    words = ["stylize", path, "--model", "identity", "-o", tmp_path, "--handles", "2", "--executor", "inline"]
    for shard in ("1/2", "2/2"):
        table = said_json(capsys, *words, "--shard", shard)
        assert (len(table["items"]), table["timeline"]) == (1, None)
    assert not styled.exists()
    table = said_json(capsys, *words)
    assert (table["cached"], table["timeline"], table["clips"]) == (True, str(styled), 2)
    assert edl_samples(styled, tmp_path, 25) == edl_samples(path, media, 25)
    styled.write_text("by hand")
    assert "it exists" in refuse(capsys, 2, *words, dry_run=False)


def test_the_jobs_of_a_timeline_render_its_parts_and_write_it(
    media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = media / "jobs.edl"
    path.write_text(EDL)
    words = ("stylize", path, "--model", "identity", "--handles", "2", "-o", tmp_path)
    [clip] = json.loads(said_json(capsys, *words, "--print-jobs", "json")["job"])["clips"]
    assert (clip["parts"], clip["output"]) == (2, str(tmp_path / "jobs.styled.edl"))
    assert not any(tmp_path.glob("*.mp4"))
    part, join = clip["part"][1:], clip["join"][1:]
    assert len(said_json(capsys, *(word.format(part=2) for word in part))["items"]) == 1
    assert "renders are missing (1 of 2)" in refuse(capsys, 1, *join, dry_run=False)
    assert said_json(capsys, *(word.format(part=1) for word in part))["timeline"] is None
    table = said_json(capsys, *join)
    assert (table["cached"], len(table["items"]), Path(table["timeline"])) == (True, 2, tmp_path / "jobs.styled.edl")
    assert edl_samples(tmp_path / "jobs.styled.edl", tmp_path, 25) == edl_samples(path, media, 25)
    (tmp_path / "jobs.styled.edl").unlink()
    lines = said(capsys, 0, *words, "--print-jobs", "commands").splitlines()
    assert [line.split(" --chunk ")[1] for line in lines] == ["1/2 --join", "2/2 --join"]
    assert said_json(capsys, *words, "--chunk", "1/2", "--join")["timeline"]  # all are rendered


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["two rates", "layers"])
def test_a_timeline_is_rendered_and_shows_the_same_frames(name: str, media: Path, tmp_path: Path) -> None:
    otio = pytest.importorskip("opentimelineio", reason="OpenTimelineIO is not installed")
    maker = Maker(otio, media)
    path = maker.write(f"real {name}", *TIMELINES[name](maker))
    api.stylize(path, model="identity", output=str(tmp_path / "out.otio"), handles=3, executor="inline")
    samples = [OtioSamples(otio, one).all(25) for one in (path, tmp_path / "out.otio")]
    assert samples[0] == samples[1]
