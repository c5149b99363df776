"""``vidtrans model pack``, ``model add`` and ``model page``."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.cli.main import run
from vidtrans.core.errors import UsageError
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


def test_the_command_that_made_it_is_in_it_without_folders_and_a_thumbnail(
    dataset: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--steps", "1", *tiny_flags("generator", "discriminator")]
    said(capsys, "train", tmp_path / dataset, *flags, "-o", "m.safetensors")
    assert said(capsys, "model", "pack", "m")["command"].startswith("vidtrans train clip.dataset --steps 1")
    with zipfile.ZipFile("m.vidtrans.zip") as packed:
        assert str(tmp_path) not in packed.read("manifest.json").decode()
        assert "thumbnail.jpg" in packed.namelist()  # the last preview of the training
    write_picture(Path("own.png"), np.full((900, 1600, 3), (250, 20, 20), np.uint8))
    said(capsys, "model", "pack", "m", "--thumbnail", "own.png", "-o", "red.vidtrans.zip")
    said(capsys, "model", "add", "red.vidtrans.zip", "-o", "red.safetensors")
    picture = read_picture(Path("red.about/thumbnail.jpg"))
    assert picture.shape == (360, 640, 3)
    assert np.abs(picture.mean((0, 1)) - (250, 20, 20)).max() < 4


def test_mistakes_are_one_line(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(Path("clip.mp4"), moving_frames(2))
    pack, add, page = (("model", word) for word in ("pack", "add", "page"))
    for words, status, message in (
        ((*pack, "identity"), 3, "it is built in — name a model file"),
        ((*pack, tiny_model, "-o", "x.zip"), 2, "a pack is a .vidtrans.zip file — use -o x.vidtrans.zip"),
        ((*pack, tiny_model, "-o", "con.vidtrans.zip"), 2, "cannot name a model on every system"),
        ((*pack, tiny_model, "--about", "gone.md"), 3, "no such file"),
        ((*pack, tiny_model, "--about", tiny_model), 3, "it is not a text file — save it as text, in UTF-8"),
        ((*pack, tiny_model, "--thumbnail", "gone.png"), 3, "gone.png"),
        ((*add, "gone.vidtrans.zip"), 3, "no such file — give a .vidtrans.zip file"),
        ((*add, tiny_model), 3, "it is no pack of a model, or it is damaged"),
        (page, 3, "there is no pack in it — make one with 'vidtrans model pack"),
        ((*page, "gone"), 3, "it is no folder"),
        (("stylize", "clip.mp4", "--model", "x.vidtrans.zip"), 3, "take the model from it: vidtrans model add x"),
    ):
        assert message in refuse(capsys, status, *words, dry_run=False)
        if words == (*page, "gone"):
            Path("x.vidtrans.zip").write_bytes(b"PK")


def test_what_has_its_place_already_stays_unless_it_is_to_be_replaced(tiny_model: Path, next_model: Path) -> None:
    assert api.pack_model(tiny_model, "a.vidtrans.zip")["licence"] != "CC0-1.0"
    assert api.pack_model(tiny_model, "a.vidtrans.zip", licence="CC0-1.0")["licence"] == "CC0-1.0"
    Path("b.vidtrans.zip").write_bytes(b"mine")
    with pytest.raises(UsageError, match="it exists"):
        api.pack_model(tiny_model, "b.vidtrans.zip")
    shutil.copy(next_model, "a.safetensors")
    with pytest.raises(UsageError, match="another model has this name — use --overwrite"):
        api.add_model("a.vidtrans.zip", "a.safetensors")
    assert Path("a.safetensors").read_bytes() == next_model.read_bytes()
    assert not Path("a.about").exists()
    Path("a.about").mkdir()
    Path("a.about/diary.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"a\.about: .* holds 'diary.txt' — move that"):
        api.add_model("a.vidtrans.zip", "a.safetensors", overwrite=True)
    assert Path("a.about/diary.txt").read_text() == "mine"
    assert Path("a.safetensors").read_bytes() == next_model.read_bytes()
    Path("a.about/diary.txt").unlink()
    api.add_model("a.vidtrans.zip", "a.safetensors", overwrite=True)
    assert Path("a.safetensors").read_bytes() == tiny_model.read_bytes()
    assert Path("a.about/README.md").is_file()


def test_the_line_to_use_a_model_finds_it(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    api.pack_model(tiny_model, "a.vidtrans.zip")
    for options, line in (
        ((), "--model a"),
        (("-o", "models/b.safetensors"), "--model b"),
        (("-o", "my films/b.safetensors"), "--model 'my films/b.safetensors'"),
    ):
        assert run(["model", "add", "a.vidtrans.zip", *options]) == 0
        said_line = capsys.readouterr().out.splitlines()[-1]
        assert said_line.replace('"', "'").replace("\\", "/").endswith(line)  # Windows quotes otherwise


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
