"""``vidtrans model pack``, ``model add`` and ``model page``."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.core.errors import ModelError, UsageError
from vidtrans.video.images.picture import read_picture, write_picture


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data" / name))


def said(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    status = run([*map(str, words), "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status == found.get("exit_status", 0)
    return found


def test_from_one_machine_to_another(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(tiny_model, "sketch.safetensors")
    Path("CC0.txt").write_text("all is allowed", "utf-8")
    card = ("--author", "Ann", "--licence", "CC0-1.0", "--licence-file", "CC0.txt", "--notes", "lines")
    table = said(capsys, "model", "pack", "sketch", *card)
    assert (table["output"], table["name"], table["licence"]) == ("sketch.vidtrans.zip", "sketch", "CC0-1.0")
    assert said(capsys, "model", "pack", "sketch", *card)["cached"]
    other = tmp_path / "other"
    other.mkdir()
    pack = shutil.move("sketch.vidtrans.zip", other / "sketch.vidtrans.zip")
    added = said(capsys, "model", "add", pack)
    assert Path(added["output"]).read_bytes() == tiny_model.read_bytes()
    assert (Path(added["about"]) / "LICENSE.txt").read_text("utf-8") == "all is allowed"
    assert read_picture(Path(added["about"]) / "thumbnail.jpg").shape[2] == 3
    Path("sketch.safetensors").unlink()
    assert "sketch" in api.list_models()["models"]
    write_clip(Path("clip.mp4"), moving_frames(3))
    assert said(capsys, "stylize", "clip.mp4", "--model", "sketch", "-o", "a.mp4")["frames"] == 3
    assert said(capsys, "model", "add", pack)["cached"]


def test_the_command_that_made_it_is_in_it_without_folders(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--steps", "1", *tiny_flags("generator", "discriminator")]
    said(capsys, "train", tmp_path / dataset, *flags, "-o", "m.safetensors")
    table = said(capsys, "model", "pack", "m")
    assert table["command"].startswith("vidtrans train clip.dataset --steps 1")
    assert str(tmp_path) not in zipfile.ZipFile("m.vidtrans.zip").read("manifest.json").decode()
    with zipfile.ZipFile("m.vidtrans.zip") as packed:
        assert "thumbnail.jpg" in packed.namelist()  # the last preview of the training


def test_a_thumbnail_of_ones_own(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(Path("own.png"), np.full((900, 1600, 3), (250, 20, 20), np.uint8))
    said(capsys, "model", "pack", tiny_model, "--thumbnail", "own.png", "-o", "red.vidtrans.zip")
    said(capsys, "model", "add", "red.vidtrans.zip", "-o", "red.safetensors")
    picture = read_picture(Path("red.about/thumbnail.jpg"))
    assert picture.shape == (360, 640, 3)
    assert np.abs(picture.mean((0, 1)) - (250, 20, 20)).max() < 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model", "pack", "identity"], "it is built in — name a model file"),
        (["model", "pack", "MODEL", "-o", "x.zip"], "a pack is a .vidtrans.zip file — use -o x.vidtrans.zip"),
        (["model", "pack", "MODEL", "-o", "con.vidtrans.zip"], "cannot name a model on every system"),
        (["model", "pack", "MODEL", "--about", "gone.md"], "no such file"),
        (["model", "pack", "MODEL", "--about", "MODEL"], "it is not a text file — save it as text, in UTF-8"),
        (["model", "pack", "MODEL", "--thumbnail", "gone.png"], "gone.png"),
        (["model", "add", "gone.vidtrans.zip"], "no such file — give a .vidtrans.zip file"),
        (["model", "add", "MODEL"], "it is no pack of a model, or it is damaged"),
        (["model", "page"], "there is no pack in it — make one with 'vidtrans model pack"),
        (["model", "page", "gone"], "it is no folder"),
        (
            ["stylize", "clip.mp4", "--model", "x.vidtrans.zip"],
            "take the model from it: vidtrans model add x.vidtrans.zip",
        ),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(Path("clip.mp4"), moving_frames(2))
    Path("x.vidtrans.zip").write_bytes(b"PK")
    if words[:2] == ["model", "page"]:
        Path("x.vidtrans.zip").unlink()
    before = {*Path().iterdir()}
    assert run([str(tiny_model) if word == "MODEL" else word for word in words]) in (2, 3)
    found = capsys.readouterr()
    assert message in found.err
    assert "Traceback" not in found.err
    assert {p for p in Path().iterdir() if p.name != ".vidtrans"} <= before


def test_a_name_that_another_model_has(tiny_model: Path, next_model: Path) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    shutil.copy(next_model, "a.safetensors")
    with pytest.raises(UsageError, match="another model has this name — use --overwrite"):
        api.add_model("a.vidtrans.zip", "a.safetensors")
    assert Path("a.safetensors").read_bytes() == next_model.read_bytes()
    assert not Path("a.about").exists()
    api.add_model("a.vidtrans.zip", "a.safetensors", overwrite=True)
    assert Path("a.safetensors").read_bytes() == tiny_model.read_bytes()


def test_a_folder_of_somebody_else_beside_the_model_stays(tiny_model: Path) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    Path("a.about").mkdir()
    Path("a.about/diary.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"a\.about: .* holds 'diary.txt' — move that"):
        api.add_model("a.vidtrans.zip", "a.safetensors", overwrite=True)
    assert Path("a.about/diary.txt").read_text() == "mine"
    assert not Path("a.safetensors").exists()
    Path("a.about/diary.txt").unlink()
    api.add_model("a.vidtrans.zip", "a.safetensors")
    assert Path("a.about/README.md").is_file()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ((), "--model a"),
        (("-o", "b.safetensors"), "--model b"),
        (("-o", "models/b.safetensors"), "--model b"),
        (("-o", "my films/b.safetensors"), "--model 'my films/b.safetensors'"),
    ],
)
def test_the_line_to_use_a_model_finds_it(
    options: tuple[str, ...], line: str, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    assert run(["model", "add", "a.vidtrans.zip", *options]) == 0
    said_line = capsys.readouterr().out.splitlines()[-1]
    assert said_line.replace('"', "'").replace("\\", "/").endswith(line)  # Windows quotes otherwise


def test_a_pack_without_a_model_leaves_nothing(tiny_model: Path) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    with zipfile.ZipFile("a.vidtrans.zip") as packed:
        contents = {one: packed.read(one) for one in packed.namelist()}
    contents["a.safetensors"] = bytes(len(contents["a.safetensors"]))
    with zipfile.ZipFile("b.vidtrans.zip", "w") as packed:
        for name, content in contents.items():
            packed.writestr(name, content)
    with pytest.raises(ModelError, match="its hash differs"):
        api.add_model("b.vidtrans.zip", "b.safetensors")
    assert sorted(p.name for p in Path().glob("b.*")) == ["b.vidtrans.zip"]


def test_a_page_shows_a_folder_and_escapes_what_strangers_write(
    tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("packs").mkdir()
    api.pack_model(tiny_model, "packs/a b.vidtrans.zip", notes="<script>alert(1)</script>", licence='"><b>')
    api.pack_model(tiny_model, "packs/c.vidtrans.zip")
    Path("packs/damaged.vidtrans.zip").write_bytes(b"PK")
    assert run(["model", "page", "packs"]) == 0
    assert "damaged.vidtrans.zip: it is no pack" in capsys.readouterr().err
    page = Path("packs/models.html").read_text("utf-8")
    assert "<script>" not in page
    assert '"><b>' not in page
    assert 'href="a%20b.vidtrans.zip"' in page
    assert page.count("data:image/jpeg;base64,") == 2
    assert "none is named: ask its author" in page
    assert said(capsys, "model", "page", "packs")["cached"]
    Path("packs/c.vidtrans.zip").unlink()
    assert said(capsys, "model", "page", "packs")["packs"] == ["a b.vidtrans.zip"]  # its own page is replaced


def test_a_pack_is_replaced_by_one_with_another_card_but_nobodys_file(tiny_model: Path) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    assert api.pack_model(tiny_model, "a.vidtrans.zip", licence="CC0-1.0")["licence"] == "CC0-1.0"
    Path("b.vidtrans.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="it exists"):
        api.pack_model(tiny_model, "b.vidtrans.zip")
