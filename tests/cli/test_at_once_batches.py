"""Looks of pictures without a model, where a command renders several clips, or a clip in parts."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames
from directed_clip import lossless
from paintings import write
from style_pictures import write_style_pictures

from vidtrans.cli.main import run
from vidtrans.config.recipe import render_recipe
from vidtrans.session import Context
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.stylize_request import StylizeRequest

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--device", "cpu")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two clips in clips/, and pictures in looks/."""
    for folder in ("clips", "looks"):
        (tmp_path / folder).mkdir()
    for name in ("a", "b"):
        lossless(tmp_path / "clips" / f"{name}.mkv", moving_frames(6, (96, 64)))
    write_style_pictures(tmp_path / "looks")
    return tmp_path / "clips"


def test_a_folder_of_clips_is_rendered_with_one_look(clips: Path, capsys: Capsys) -> None:
    wanted = ("stylize", clips, "--look", "looks/stripes.png", *SMALL, "-o", "out/", "--executor", "inline")
    table = said_json(capsys, *wanted)
    assert table["failed"] == {}
    assert [Path(item["output"]).name for item in table["items"]] == ["a.stripes.mkv", "b.stripes.mkv"]
    assert Path("out/a.stripes.mkv").read_bytes() == Path("out/b.stripes.mkv").read_bytes()
    assert len(list(Path(".vidtrans/at-once").iterdir())) == 1
    assert said_json(capsys, *wanted)["cached"]
    alone = ("stylize", clips / "a.mkv", "--look", "looks/stripes.png", *SMALL, "-o", "alone.mkv")
    said_json(capsys, *alone, "--jobs", "2")
    assert Path("alone.mkv").read_bytes() == Path("out/a.stripes.mkv").read_bytes()


def test_clips_of_a_list_have_pictures_of_their_own(clips: Path, capsys: Capsys) -> None:
    Path("shots").mkdir()
    shutil.move("looks", "shots/looks")
    rows = (
        '[[clips]]\nsource = "../clips/a.mkv"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\nrendering.look = "looks/chequers.png"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\noutput = "mix.mkv"\n'
        'rendering.look = "looks/stripes.png: 1, looks/chequers.png: 1"\n',
        '[[clips]]\nsource = "../clips/b.mkv"\nmodel = "identity"\nrendering.look = ""\n',
    )
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows))
    table = said_json(capsys, "stylize", "shots/list.toml", *SMALL, "-o", "out/", "--executor", "inline")
    assert table["failed"] == {}
    names = ["a.stripes.mkv", "b.chequers.mkv", "mix.mkv", "b.identity.mkv"]
    assert [Path(item["output"]).name for item in table["items"]] == names
    assert len({Path("out", name).read_bytes() for name in names}) == 4
    # A flag outranks the list, and is relative to the current folder.
    flagged = ("--look", "shots/looks/chequers.png", "-o", "flagged/", "--executor", "inline")
    Path("shots/list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows[:2]))
    table = said_json(capsys, "stylize", "shots/list.toml", *SMALL, *flagged)
    assert [item["model"] for item in table["items"]] == ["chequers", "chequers"]
    Path("chequers.png").write_bytes(Path("shots/looks/chequers.png").read_bytes())
    Path("shots/list.toml").write_text('[[clips]]\nsource = "../clips/a.mkv"\nrendering.look = "chequers.png"\n')
    assert "no such picture" in refuse(capsys, 2, "stylize", "shots/list.toml")
    Path("shots/list.toml").write_text('[[clips]]\nsource = "../clips/a.mkv"\n')
    assert "rendering.look" in refuse(capsys, 2, "stylize", "shots/list.toml")


def test_a_picture_that_is_damaged_fails_its_clips_alone(clips: Path, capsys: Capsys) -> None:
    Path("text.png").write_text("no picture")
    rows = ('[[clips]]\nsource = "clips/a.mkv"\nrendering.look = "text.png"\n', '[[clips]]\nsource = "clips/b.mkv"\n')
    Path("list.toml").write_text('rendering.look = "looks/stripes.png"\n' + "".join(rows))
    said(capsys, 5, "stylize", "list.toml", *SMALL, "-o", "out/", "--executor", "inline")
    assert [path.name for path in Path("out").glob("*.mkv")] == ["b.stripes.mkv"]


def test_a_dry_run_writes_nothing(clips: Path, capsys: Capsys) -> None:
    before = snapshot(Path())
    for what, output in ((clips / "a.mkv", "o.mkv"), (clips, "out/")):
        table = said_json(capsys, "stylize", what, "--look", "looks/stripes.png", *SMALL, "-o", output, "--dry-run")
        assert "estimate" in (table["items"][0] if "items" in table else table)
    assert snapshot(Path()) == before


def test_the_model_stays_in_the_cache_while_it_is_used(clips: Path) -> None:
    recipe = render_recipe(None, {"rendering": {"look": "looks/stripes.png"}})
    context = Context(device="cpu")
    render = RequestedRender(StylizeRequest(clips / "a.mkv", (), Path("o.mkv"), recipe), context, 0.0)
    assert render.look.path is not None
    context.cache.trim(0)
    assert render.look.path.is_file()
    path = render.look.path
    del render
    context.cache.trim(0)
    assert not path.exists()


def test_parts_of_a_printed_job_make_the_same_bytes(clips: Path, capsys: Capsys) -> None:
    options = ("--look", "looks/stripes.png", "--set", "rendering.chunk_frames=3", *SMALL)
    lossless(Path("long.mkv"), moving_frames(12, (48, 32)))
    lines = said(capsys, 0, "stylize", "long.mkv", *options, "-o", "o.mkv", "--print-jobs", "commands", "--jobs", "2")
    commands = [shlex.split(line.partition(" vidtrans ")[2]) for line in lines.splitlines() if " vidtrans " in line]
    assert [("--chunk" in words, "--look" in words) for words in commands] == [(True, True)] * 2
    shutil.rmtree(".vidtrans")  # where the job runs, the model is made
    for words in commands:
        assert run(words) == 0
    capsys.readouterr()
    said_json(capsys, "stylize", "long.mkv", *options, "-o", "whole.mkv", "--cache-dir", "other")
    assert Path("whole.mkv").read_bytes() == Path("o.mkv").read_bytes()


def test_a_result_is_corrected_from_another_folder_when_its_model_is_gone(clips: Path, capsys: Capsys) -> None:
    said_json(
        capsys,
        "stylize",
        clips / "a.mkv",
        "--look",
        "looks/stripes.png: 1, looks/chequers.png: 2",
        *SMALL,
        "-o",
        "o.mkv",
    )
    frames = decode(Path("o.mkv"))[2]
    frames[2][10:20, 10:20] = 250
    write(Path("fixes/0002.png"), frames[2])
    shutil.rmtree(".vidtrans/at-once")
    os.chdir("looks")
    cache = ("--cache-dir", "../.vidtrans")
    table = said_json(capsys, "fix", "../o.mkv", "--painted", "../fixes", "-o", "../f.mkv", *cache)
    assert table["corrections"] == [2]
