from __future__ import annotations

from pathlib import Path

import pytest

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Table
from vidtrans.studio import project_folder as module
from vidtrans.studio.project_folder import ProjectFolder, Uploads


def check(path: Path) -> Table:
    if b"bad" in path.read_bytes():
        raise MediaError(path.name, "it cannot be decoded", "choose another")
    return {}


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(ProjectFolder(tmp_path), check)


def test_a_file_has_its_name_once_it_is_whole(uploads: Uploads, tmp_path: Path) -> None:
    assert uploads.received("a.mp4", 6, 7) == 0
    assert not uploads.add("a.mp4", 0, 6, 7, b"abc")
    assert uploads.received("a.mp4", 6, 7) == 3
    assert not (tmp_path / "a.mp4").exists()
    assert uploads.add("a.mp4", 3, 6, 7, b"def")
    assert (tmp_path / "a.mp4").read_bytes() == b"abcdef"


def test_no_other_file_of_the_same_name_is_continued(uploads: Uploads, tmp_path: Path) -> None:
    uploads.add("a.mp4", 0, 6, 7, b"old")
    assert [uploads.received("a.mp4", *of) for of in ((6, 7), (6, 8), (7, 7))] == [3, 0, 0]
    with pytest.raises(UsageError, match="0 bytes of it are here"):
        uploads.add("a.mp4", 3, 6, 8, b"new")
    assert not (tmp_path / "a.mp4").exists()


def test_a_model_has_the_header_of_one(uploads: Uploads, tmp_path: Path) -> None:
    header = b'{"__metadata__":{}}'
    good = len(header).to_bytes(8, "little") + header
    for bad in (b"import os\n", b"\xff" * 20, (5).to_bytes(8, "little") + b"abcde"):
        with pytest.raises(MediaError, match="no model file"):
            uploads.add("a.safetensors", 0, len(bad), 7, bad)
    assert uploads.add("a.safetensors", 0, len(good), 7, good)
    assert (tmp_path / "a.safetensors").read_bytes() == good


def test_what_is_no_media_leaves_nothing(uploads: Uploads, tmp_path: Path) -> None:
    with pytest.raises(MediaError):
        uploads.add("a.mp4", 0, 3, 7, b"bad")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["a.exe", "a.html", "a.toml", "a.py", "a", "../a.mp4", ".studio/a.mp4", "/a.mp4"])
def test_other_files_and_places_are_refused(uploads: Uploads, tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        uploads.add(name, 0, 1, 7, b"a")
    assert not list(tmp_path.parent.glob("a.*"))


def test_a_file_is_replaced_only_where_that_is_meant(uploads: Uploads, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(UsageError, match="exists already"):
        uploads.add("a.png", 0, 3, 7, b"new")
    assert uploads.add("a.png", 0, 3, 7, b"new", can_replace=True)
    assert (tmp_path / "a.png").read_bytes() == b"new"


def test_too_much_is_refused(uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    for whole in (0, module.MAX_UPLOAD_BYTES + 1):
        with pytest.raises(UsageError, match="a file has"):
            uploads.add("a.mp4", 0, whole, 7, b"a")
    with pytest.raises(UsageError, match="a file has"):
        uploads.add("a.mp4", 0, 1, 7, b"ab")
    monkeypatch.setattr(module, "RESERVED_BYTES", 1 << 60)
    with pytest.raises(UsageError, match="disk is nearly full"):
        uploads.add("a.mp4", 0, 1, 7, b"a")
