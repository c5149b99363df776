"""Packs of models: what is written is read, and what a stranger has changed is refused in one line."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.core.errors import ModelError
from vidtrans.core.files import digest_file
from vidtrans.models.packs import (
    LICENCE,
    MANIFEST,
    MAX_ENTRY_BYTES,
    README,
    PackFacts,
    about_text,
    extract_model,
    is_model_name,
    open_pack,
    reencode_thumbnail,
    strip_folders,
    write_pack,
)

Contents = dict[str, bytes]


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    model = tmp_path / "m.safetensors"
    model.write_bytes(bytes(range(256)) * 9)
    facts = PackFacts("ink", digest_file(model), model.stat().st_size, "Ann", "CC0-1.0", "a line", "vidtrans train x")
    write_pack(tmp_path / "ink.vidtrans.zip", model, facts, {README: about_text(facts, "").encode(), LICENCE: b"free"})
    return tmp_path / "ink.vidtrans.zip"


def test_what_is_packed_is_read(pack: Path, tmp_path: Path) -> None:
    found = open_pack(pack)
    assert (found.facts.name, found.facts.licence, found.licence_text) == ("ink", "CC0-1.0", "free")
    assert "vidtrans model add ink.vidtrans.zip" in found.about
    extract_model(found, tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_no_text_controls_a_terminal(pack: Path, tmp_path: Path) -> None:
    facts = replace(open_pack(pack).facts, licence="free\x1b[2J\n\x07", command="a\x1b]0;b")
    write_pack(tmp_path / "2", tmp_path / "m.safetensors", facts, {README: b"about"})
    found = open_pack(tmp_path / "2").facts
    assert not {*"\x1b\n\x07"} & {*found.licence, *found.command}


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Contents], None]:
    def changed(contents: Contents) -> None:
        table = json.loads(contents[MANIFEST])
        change(table)
        contents[MANIFEST] = json.dumps(table).encode()

    return changed


FORGED: dict[str, Callable[[Contents], object]] = {
    "no manifest": lambda c: c.pop(MANIFEST),
    "another file": lambda c: c.setdefault("../../evil.py", b"x"),
    "a list": lambda c: c.update({MANIFEST: b"[]"}),
    "deep": lambda c: c.update({MANIFEST: b"[" * 30000}),
    "a large manifest": lambda c: c.update({MANIFEST: b" " * (MAX_ENTRY_BYTES[MANIFEST] + 1)}),
    "a name with a folder": _manifest(lambda t: t.update(name="../ink")),
    "a device": _manifest(lambda t: t.update(name="con")),
    "another size": _manifest(lambda t: t.update(size=9)),
    "a negative size": _manifest(lambda t: t.update(size=-1)),
    "another format": _manifest(lambda t: t.update(format=2)),
    "no hash": _manifest(lambda t: t.update(sha256="")),
    "no command": _manifest(lambda t: t.pop("command")),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_pack_is_refused(name: str, pack: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack) as packed:
        contents = {one: packed.read(one) for one in packed.namelist()}
    FORGED[name](contents)
    with zipfile.ZipFile(tmp_path / "forged", "w", zipfile.ZIP_DEFLATED) as packed:
        for one, content in contents.items():
            packed.writestr(one, content)
    with pytest.raises(ModelError, match=" — "):
        open_pack(tmp_path / "forged")


@pytest.mark.parametrize(("method", "damage"), [(zipfile.ZIP_BZIP2, 0), (zipfile.ZIP_LZMA, 0x5A)])
def test_other_methods_of_compression_are_refused(method: int, damage: int, pack: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack) as packed, zipfile.ZipFile(tmp_path / "forged", "w", method) as forged:
        for one in packed.namelist():
            forged.writestr(one, packed.read(one))
    content = bytearray((tmp_path / "forged").read_bytes())
    begin = content.index(MANIFEST.encode()) + len(MANIFEST)
    content[begin + 10 : begin + 40] = bytes(one ^ damage for one in content[begin + 10 : begin + 40])
    (tmp_path / "forged").write_bytes(content)
    with pytest.raises(ModelError, match="compressed in a way that packs are not"):
        open_pack(tmp_path / "forged")


def test_a_place_before_the_beginning_is_damage(pack: Path, tmp_path: Path) -> None:
    content = bytearray(pack.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = (2**31).to_bytes(4, "little")  # where the list of files begins
    (tmp_path / "forged").write_bytes(content)
    with pytest.raises(ModelError, match=" — "):
        open_pack(tmp_path / "forged")


def test_another_model_is_refused_by_its_hash(pack: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(pack) as packed:
        contents = {one: packed.read(one) for one in packed.namelist()}
    contents["ink.safetensors"] = contents["ink.safetensors"][::-1]
    with zipfile.ZipFile(tmp_path / "forged", "w") as packed:
        for one, content in contents.items():
            packed.writestr(one, content)
    with pytest.raises(ModelError, match="its hash differs"):
        extract_model(open_pack(tmp_path / "forged"), tmp_path / "out")


@given(data=st.data())
def test_damage_is_one_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "m").write_bytes(b"model" * 99)
    facts = PackFacts("ink", digest_file(folder / "m"), 495)
    write_pack(folder / "p", folder / "m", facts, {README: b"about"})
    content = bytearray((folder / "p").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    (folder / "p").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        extract_model(open_pack(folder / "p"), folder / "out")
    except ModelError as error:
        assert "\n" not in str(error)  # noqa: PT017  (damage may also be harmless)
    else:
        assert (folder / "out").read_bytes() == b"model" * 99


@given(st.text(max_size=90))
def test_a_name_is_one_file_of_a_folder(name: str) -> None:
    if is_model_name(name):
        assert Path(f"x/{name}.safetensors").name == f"{name}.safetensors"
        assert not set(name) & set('/\\:*?"<>|\0\n')
        assert name[-1] not in " ."


def test_a_command_names_no_folders() -> None:
    line = [
        *("train", "/home/ann/My Films/x.dataset", "--set", "a.b=../c/d.png", "--rate", "30000/1001", "--region"),
        *("man=/home/x y/m.mkv", "C:\\Users\\ann\\x.mp4", "--look", "0: /a b/b.jpg: 0.6, ~/c/d.png: 0.4", "y.dataset/"),
    ]
    assert strip_folders(line) == [
        *("train", "x.dataset", "--set", "a.b=d.png", "--rate", "30000/1001", "--region"),
        *("man=m.mkv", "x.mp4", "--look", "0: b.jpg: 0.6, d.png: 0.4", "y.dataset"),
    ]


@pytest.mark.parametrize("data", [b"", b"<svg/>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_thumbnail_that_is_none(data: bytes) -> None:
    assert reencode_thumbnail(data) == b""
