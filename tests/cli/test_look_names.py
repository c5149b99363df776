"""Names of looks: media and what is near them, and pictures whose names contain commas and colons."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames
from directed_clip import lossless
from made_music import clicks
from paintings import write
from style_pictures import write_style_pictures

from vidtrans.config.recipe import render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_file
from vidtrans.core.system import WINDOWS
from vidtrans.models.look_pictures import parse_pictures
from vidtrans.models.model_file import read_record
from vidtrans.models.paintings import painting_model, painting_names, painting_picture
from vidtrans.session import Context
from vidtrans.strokes.media import medium_names
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.requests import StylizeRequest

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")
ODD = ("day, night", "take: 2.png") if not WINDOWS else ("day, night", "take, 2.png")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(4, (96, 64)))
    write_style_pictures(tmp_path)


@pytest.fixture
def odd() -> Path:
    Path(ODD[0]).mkdir()
    return Path(shutil.copy("chequers.png", Path(*ODD)))


def test_the_list_of_models_names_the_media(capsys: Capsys) -> None:
    table = said_json(capsys, "model", "list")
    assert table["looks"] == [*painting_names(), *medium_names()]
    assert list(table["media"]) == list(medium_names())
    assert all(one["summary"] and Path(one["file"]).is_file() for one in table["media"].values())
    assert list(table["models"]) == [*sorted(["flower", "water", *painting_names()]), "identity"]


def test_paintings_that_ship_are_looks_by_name(capsys: Capsys) -> None:
    assert len(painting_names()) >= 2
    for name in painting_names():
        assert painting_model(name).stat().st_size < 500_000
        assert painting_picture(name) is not None
        record = read_record(painting_model(name))
        assert record.card["licence"] == "CC0-1.0"
        assert record.card["notes"]
        assert record.pairing["settings"]["looks"] == [name]
    name = painting_names()[0]
    table = said_json(capsys, "stylize", "clip.mkv", *SMALL, "--look", name)
    assert table["output"] == f"clip.{name}.mkv"
    said(capsys, 0, "stylize", "clip.mkv", *SMALL, "--model", name, "-o", "model.mkv")
    assert digest_file(Path(table["output"])) == digest_file(Path("model.mkv"))
    said(capsys, 0, "try", "clip.mkv", *SMALL[:2], "--look", name, "--vary", "strength=0.5,1", "-o", "try.png")
    assert f"the look {name} stands alone" in refuse(capsys, 2, "stylize", "clip.mkv", "--look", f"{name}: 1, oil: 1")
    refused = refuse(capsys, 2, "try", "clip.mkv", "--vary", f"look={name},stripes.png", "-o", "two.png")
    assert f"compare models: --model {name}" in refused
    compared = ("try", "clip.mkv", "--model", name, "--model", painting_names()[1], "-o", "two.png")
    said(capsys, 0, *compared, *SMALL[:2])
    assert "compares models" in refuse(capsys, 2, "stylize", "clip.mkv", "--look", f"{name}, {painting_names()[1]}")
    assert f"--look {name}" in refuse(capsys, 2, "look", name)
    assert f"did you mean '{name}'?" in refuse(capsys, 2, "stylize", "clip.mkv", "--look", f"{name}s")


def test_unknown_names_are_told_those_of_models_and_media_that_are_near(capsys: Capsys) -> None:
    stylize = ("stylize", "clip.mkv")
    Path("day").mkdir()
    medium = "it is a medium — use it without --model, as in: vidtrans stylize VIDEO --look oil"
    assert medium in refuse(capsys, 3, "model", "show", "oil")
    for model, told in (("Pencill", "did you mean the medium 'pencil'?"), ("flowr", "did you mean 'flower'?")):
        assert told in refuse(capsys, 3, *stylize, "--model", model)
    for look, told in (
        ("Pencill", "did you mean 'pencil'?"),
        ("stripes.png: 1, pencl: 1", "--look pencl: "),
        ("0: stripes.png, 5: pencl", "did you mean 'pencil'?"),
        ("flower", "did you mean the model 'flower'?"),
        ("absent, too.png", "--look absent, too.png: no such picture"),
        ("day", "it is a folder"),
    ):
        assert told in refuse(capsys, 2, *stylize, "--look", look)
    assert "--strokes oil; or leave out --model" in refuse(capsys, 2, *stylize, "--model", "flower", "--look", "oil")
    said(capsys, 0, "look", "stripes.png", "--optimise", "-o", "own.safetensors")
    told = refuse(capsys, 2, *stylize, "--model", "own", "--look", "oill")
    assert "to paint what the model makes in oil: --strokes oil; or choose from: stripes" in told


def _settings(look: str, models: tuple[str, ...] = (), **strokes: str) -> RequestedRender:
    tables = {"rendering": {"look": look} if look else {}, "strokes": strokes}
    request = StylizeRequest(Path("clip.mkv"), models, None, render_recipe(None, tables)).with_looks()
    return RequestedRender(request, Context(device="cpu"), 0)


def test_a_medium_paints_the_film_itself() -> None:
    Path("mine.toml").touch()
    for look, models in (("oil", ()), ("", ("oil",)), ("mine.toml", ())):
        render = _settings(look, models)
        assert render.model.is_identity
        assert render.with_model.models == ("identity",)
        assert render.with_model.recipe.tables["strokes"]["medium"] == (look or "oil")
        assert render.with_model.recipe.tables["rendering"]["look"] == ""
        assert render.target.output == Path(f"clip.{Path(look or 'oil').stem}.mp4")
    assert _settings("oil", medium="oil").with_model.recipe.tables["strokes"] == {"medium": "oil"}
    painted = _settings("stripes.png", medium="oil").with_model
    assert (painted.recipe.tables["strokes"]["medium"], painted.models == ("identity",)) == ("oil", False)
    with pytest.raises(UsageError, match="--strokes pencil is another one"):
        _ = _settings("oil", medium="pencil").with_model


def test_a_medium_is_neither_mixed_nor_followed_and_gives_way_to_a_picture_of_its_name() -> None:
    for look, told in (
        ("0: oil, 5s: pencil", "give --look oil alone"),
        ("oil: 0.5, stripes.png: 0.5", "--look stripes.png --strokes oil"),
        ("0: stripes.png, 5: pencil", "--look stripes.png --strokes pencil"),
    ):
        with pytest.raises(UsageError, match=re.escape(told)):
            parse_pictures(look)
    assert parse_pictures("oil").medium == "oil"
    shutil.copy("stripes.png", "oil")
    assert parse_pictures("oil").medium == ""


def test_a_list_of_clips_in_such_a_folder_names_such_pictures(odd: Path, capsys: Capsys) -> None:
    shutil.copy("stripes.png", odd.parent)
    look = f"{odd.name}: 1, stripes.png: 1"
    (odd.parent / "list.toml").write_text(f'[[clips]]\nsource = "../clip.mkv"\nrendering.look = "{look}"\n')
    table = said_json(capsys, "stylize", odd.parent / "list.toml", *SMALL, "-o", "out/", "--executor", "inline")
    assert table["failed"] == {}
    mixed = f"{odd}: 1, stripes.png: 1"
    said_json(capsys, "stylize", "clip.mkv", "--look", mixed, *SMALL, "-o", "o.mkv")
    assert Path(table["items"][0]["output"]).read_bytes() == Path("o.mkv").read_bytes()
    # The record of the result names them from where the cache lies.
    frame = decode(Path("o.mkv"))[2][1].copy()
    frame[10:20, 10:20] = 250
    write(Path("fixes/0001.png"), frame)
    os.chdir("fixes")
    cache = ("--cache-dir", "../.vidtrans")
    assert said_json(capsys, "fix", "../o.mkv", "--painted", ".", "-o", "../f.mkv", *cache)["corrections"] == [1]


@pytest.mark.thorough
def test_shares_lead_from_one_look_to_the_other_and_follow_a_sound(capsys: Capsys) -> None:
    def frames(look: str, *words: object) -> np.ndarray:
        command = ("stylize", "clip.mkv", "-o", "out.mkv", "--overwrite", *SMALL)
        said(capsys, 0, *command, "--engine", "torch", "--look", look, *words)
        return np.array(decode(Path("out.mkv"))[2], int)

    ink, oil = (frames(f"{name}.png") for name in ("stripes", "chequers"))
    moving = frames("stripes.png: 1 - frame/3, chequers.png: frame/3")
    assert np.abs(moving - frames("0: stripes.png, 3: chequers.png")).mean() < 1
    for number, near, far in ((0, ink, oil), (3, oil, ink)):
        assert np.abs(moving - near)[number].mean() < np.abs(moving - far)[number].mean()
    beats = []
    for first_s in (0.1, 0.2):
        clicks(120, 3, first_s=first_s).write(Path("s.wav"))
        beats.append(frames("stripes.png: 0.001 + on_beat(0.05), chequers.png: 0.5", "--sound", "s.wav"))
    assert not np.array_equal(beats[0][3], beats[1][3])


def test_slips_in_shares_are_one_line_and_a_dry_run_shows_what_moves(capsys: Capsys) -> None:
    ask = ("stylize", "clip.mkv", *SMALL)
    assert "shares may move" in refuse(capsys, 2, *ask, "--look", "stripes.png: lw, chequers.png: 1")
    told = refuse(capsys, 2, *ask, "--look", "stripes.png: floor(t), chequers.png: 0*t", dry_run=False)
    assert "at frame 0 all shares are 0" in told
    words = ("--look", "stripes.png: frame/3, chequers.png: 1", "--strength", "0: 0, 3: 1", "--mix", "0.2")
    lines = said(capsys, 0, *ask, *words, "--dry-run").splitlines()
    assert any(line.startswith("strength ") and line.endswith(" 0 to 1; works on what was inferred") for line in lines)
    assert any(line.startswith("stripes ") and "0 to 1; the network sees it" in line for line in lines)
    assert not any(line.startswith("mix") for line in lines)
