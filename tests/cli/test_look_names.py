"""Names of looks: media and what is near them, and pictures whose names contain commas and colons."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames
from directed_clip import lossless
from paintings import write
from style_pictures import write_style_pictures

from vidtrans.config.recipe import render_recipe
from vidtrans.core.errors import UsageError
from vidtrans.core.system import WINDOWS
from vidtrans.models.look_pictures import parse_pictures, plain_name
from vidtrans.session import Context
from vidtrans.strokes.media import medium_names
from vidtrans.stylizing.requested_render import RequestedRender
from vidtrans.stylizing.stylize_request import StylizeRequest

Capsys = pytest.CaptureFixture[str]
SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--upscale", "bicubic", "--device", "cpu")
ODD = ("day, night", "take: 2.png") if not WINDOWS else ("day, night", "take, 2.png")


@pytest.fixture(autouse=True)
def _clip_and_pictures(tmp_path: Path) -> None:
    lossless(Path("clip.mkv"), moving_frames(4, (96, 64)))
    write_style_pictures(tmp_path)


@pytest.fixture
def odd() -> Path:
    """A picture whose path has a comma, and a colon where the system allows one."""
    Path(ODD[0]).mkdir()
    return Path(shutil.copy("chequers.png", Path(*ODD)))


def test_the_list_of_models_names_the_media(capsys: Capsys) -> None:
    table = said_json(capsys, "model", "list")
    assert list(table["media"]) == list(medium_names())
    assert all(one["summary"] and Path(one["file"]).is_file() for one in table["media"].values())
    assert list(table["models"]) == ["flower", "water", "identity"]
    lines = said(capsys, 0, "model", "list").splitlines()
    assert [line for line in lines if line.startswith("pencil") and table["media"]["pencil"]["summary"] in line]


def test_unknown_names_are_told_those_of_models_and_media_that_are_near(capsys: Capsys) -> None:
    stylize = ("stylize", "clip.mkv")
    medium = "it is a medium — use it without --model, as in: vidtrans stylize VIDEO --look oil"
    assert medium in refuse(capsys, 3, "model", "show", "oil")
    for model, told in (("Pencill", "did you mean the medium 'pencil'?"), ("flowr", "did you mean 'flower'?")):
        assert told in refuse(capsys, 3, *stylize, "--model", model)
        assert told in refuse(capsys, 3, "model", "show", model)
    for look, told in (
        ("Pencill", "did you mean 'pencil'?"),
        ("stripes.png: 1, pencl: 1", "--look pencl: "),
        ("0: stripes.png, 5: pencl", "did you mean 'pencil'?"),
        ("flower", "did you mean the model 'flower'?"),
        ("absent, too.png", "--look absent, too.png: no such picture"),
        ("day", "it is a folder"),
    ):
        Path("day").mkdir(exist_ok=True)
        assert told in refuse(capsys, 2, *stylize, "--look", look)
        assert told in refuse(capsys, 2, "try", "clip.mkv", "--look", look)
    assert "--strokes oil; or leave out --model" in refuse(capsys, 2, *stylize, "--model", "flower", "--look", "oil")
    said(capsys, 0, "look", "stripes.png", "--optimise", "-o", "own.safetensors")
    for look in ("oil", "oill"):
        told = refuse(capsys, 2, *stylize, "--model", "own", "--look", look)
        assert "to paint what the model makes in oil: --strokes oil; or choose from: stripes" in told


def _settings(look: str, models: tuple[str, ...] = (), **strokes: str) -> RequestedRender:
    tables = {"rendering": {"look": look} if look else {}, "strokes": strokes}
    request = StylizeRequest(Path("clip.mkv"), models, None, render_recipe(None, tables)).with_looks()
    return RequestedRender(request, Context(device="cpu"), 0)


def test_a_medium_paints_the_film_itself() -> None:
    Path("mine.toml").touch()
    for look, models in (("oil", ()), ("", ("oil",)), ("mine.toml", ())):
        render = _settings(look, models)
        assert render.look.is_identity
        assert render.with_model.models == ("identity",)
        assert render.with_model.recipe.tables["strokes"]["medium"] == (look or "oil")
        assert render.with_model.recipe.tables["rendering"]["look"] == ""
        assert render.target.output == Path(f"clip.{Path(look or 'oil').stem}.mp4")
    assert _settings("oil", medium="oil").with_model.recipe.tables["strokes"] == {"medium": "oil"}
    painted = _settings("stripes.png", medium="oil").with_model
    assert (painted.recipe.tables["strokes"]["medium"], painted.models == ("identity",)) == ("oil", False)
    with pytest.raises(UsageError, match="--strokes pencil is another one"):
        _ = _settings("oil", medium="pencil").with_model


@pytest.mark.parametrize(
    ("look", "told"),
    [
        ("0: oil, 5s: pencil", "give --look oil alone"),
        ("oil: 1", "give --look oil alone"),
        ("oil: 0.5, stripes.png: 0.5", "--look stripes.png --strokes oil"),
        ("0: stripes.png, 5: pencil", "--look stripes.png --strokes pencil"),
    ],
)
def test_a_medium_is_neither_mixed_nor_followed(look: str, told: str) -> None:
    with pytest.raises(UsageError, match=re.escape(told)):
        parse_pictures(look)


def test_a_picture_that_has_the_name_of_a_medium_comes_first() -> None:
    assert parse_pictures("oil").medium == "oil"
    shutil.copy("stripes.png", "oil")
    assert parse_pictures("oil").medium == ""


def test_media_are_tried_beside_each_other(capsys: Capsys) -> None:
    tried = ("try", "clip.mkv", "--frames", "1", "--overwrite")
    assert said_json(capsys, *tried, "--vary", "look=oil,pencil")["columns"] == [
        "source",
        "--look oil",
        "--look pencil",
    ]
    table = said_json(capsys, *tried, "--model", "flower", "--strokes", "oil", "--vary", "strokes.size=2")
    assert table["columns"] == ["source", "flower", "--strokes-size 2"]
    assert "compare media alone" in refuse(capsys, 2, *tried, "--vary", "look=oil,stripes.png")


def test_pictures_with_commas_and_colons_are_mixed_and_follow_each_other(odd: Path, capsys: Capsys) -> None:
    shutil.copy(odd, "plain.png")
    for number, form in enumerate(("{}: .6, stripes.png: .4", "0: stripes.png, 2: {}", "{}")):
        made = []
        for name, output in ((str(odd), f"odd{number}.mkv"), ("plain.png", f"plain{number}.mkv")):
            table = said_json(capsys, "stylize", "clip.mkv", "--look", form.format(name), *SMALL, "-o", output)
            made.append(Path(table["output"]).read_bytes())
        assert made[0] == made[1]
    table = said_json(
        capsys, "try", "clip.mkv", "--vary", f"look=stripes.png,{odd},chequers.png", "--frames", "1", *SMALL[:2]
    )
    assert table["columns"] == ["source", "--look stripes.png", f"--look {odd}", "--look chequers.png"]


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


def test_looks_of_a_model_are_named_after_such_pictures(odd: Path, capsys: Capsys) -> None:
    steps = [word for name in ("first", "next") for word in ("--set", f"generator.{name}_steps=1")]
    quick = ("--optimise", *steps, "--set", "training.look_measure=patches")
    assert "two pictures have this name" in refuse(capsys, 2, "look", odd, odd, *quick)
    said_json(capsys, "look", odd, *quick)
    assert Path(f"{plain_name(odd.stem)}.safetensors").is_file()
    table = said_json(capsys, "look", "stripes.png", odd, *quick, "-o", "both.safetensors")
    assert table["looks"] == ["stripes", plain_name(odd.stem)]
    made = set()
    for number, look in enumerate((plain_name(odd.stem), str(odd), f"0: {odd.name}, 9: stripes")):
        said_json(
            capsys, "stylize", "clip.mkv", "--model", "both", "--look", look, *SMALL, "-o", f"{number}.mkv", "--end", 1
        )
        made.add(Path(f"{number}.mkv").read_bytes())
    assert len(made) == 1


def test_what_can_be_read_in_two_ways_is_refused(capsys: Capsys) -> None:
    for name in ("a", "b", "a, b"):
        shutil.copy("stripes.png", name)
    told = refuse(capsys, 2, "try", "clip.mkv", "--vary", "look=a, b")
    assert "it can be read as 'a' and 'b' or as 'a, b' — rename a picture" in told
