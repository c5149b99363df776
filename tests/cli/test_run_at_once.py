"""``run --at-once``: the whole chain for a picture, without training."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain import refuse, said, said_json, snapshot
from clips import moving_frames
from directed_clip import lossless
from documented import check_described
from style_pictures import write_style_pictures

Capsys = pytest.CaptureFixture[str]
RUN = ("run", "--look", "stripes.png", "--at-once", "--apply")
FAST = ("--codec", "ffv1", "--temporal", "off", "--device", "cpu", "--set", "rendering.size=48")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path)


def test_a_picture_is_rendered_without_training(capsys: Capsys) -> None:
    before = snapshot(Path())
    planned = said_json(capsys, *RUN, "clip.mkv", "-o", "out.mkv", *FAST, "--dry-run")
    assert planned["dry_run"]
    assert snapshot(Path()) == before
    assert "would render out.mkv: 6 frames" in said(capsys, 0, *RUN, "clip.mkv", "-o", "out.mkv", *FAST, "--dry-run")
    table = said_json(capsys, *RUN, "clip.mkv", "-o", "out.mkv", *FAST)
    check_described(("run",), table)
    assert (table["model"], table["dataset"], table["held_out"], table["frames"]) == ("stripes", None, None, 6)
    assert sorted(p.name for p in Path().glob("*.safetensors")) == []
    assert "up to date" in said(capsys, 0, *RUN, "clip.mkv", "-o", "out.mkv", *FAST)
    said_json(capsys, "stylize", "clip.mkv", "--look", "stripes.png", *FAST, "-o", "stylized.mkv")
    assert Path("out.mkv").read_bytes() == Path("stylized.mkv").read_bytes()


def test_several_clips_and_a_mixture(capsys: Capsys) -> None:
    Path("other.mkv").write_bytes(Path("clip.mkv").read_bytes())
    mixture = ("run", "--look", "stripes.png: 2, chequers.png: 1", "--at-once")
    clips = ("--apply", "clip.mkv", "--apply", "other.mkv")
    table = said_json(capsys, *mixture, *clips, "-o", "out/", *FAST, "--executor", "inline")
    check_described(("run",), table)
    names = [f"{clip}.stripes+chequers.mkv" for clip in ("clip", "other")]
    assert [Path(item["output"]).name for item in table["items"]] == names


def test_what_concerns_training_is_refused(capsys: Capsys) -> None:
    for more in (
        ("--steps", "5"),
        ("--minutes", "1"),
        ("--target", "clip.mkv"),
        ("--pairing", "edges"),
        ("--seed", "3"),
        ("--set", "training.lr=0.1"),
        ("--set", "generator.name=painter"),
        ("clip.mkv",),
    ):
        told = refuse(capsys, 2, *RUN, "clip.mkv", "-o", "out.mkv", *more)
        assert "nothing is trained with --at-once" in told
        assert " ".join(more).split("=")[0].split()[0] in told
    said_run = ("run", "--apply", "clip.mkv", "-o", "out.mkv", "--at-once")
    assert "it has no picture" in refuse(capsys, 2, *said_run)
    assert "2 looks" in refuse(capsys, 2, *said_run, "--look", "stripes.png", "--look", "chequers.png")
    assert "no such picture" in refuse(capsys, 2, *said_run, "--look", "absent.png")


def test_a_seed_for_all_commands_is_no_mistake(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDTRANS_SEED", "3")
    said_json(capsys, *RUN, "clip.mkv", "-o", "out.mkv", *FAST)
