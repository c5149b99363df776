from __future__ import annotations

from pathlib import Path

import pytest

from vidtrans.core.errors import UsageError
from vidtrans.core.system import WINDOWS
from vidtrans.studio.project_folder import ProjectFolder

OUTWARD = [
    "/etc/passwd", "../secret", "a/../../secret", "a/./b", "~/secret", "C:/secret", "C:\\secret", "\\\\host\\share",
    ".studio/jobs", ".vidtrans", "a//b", "", "a\0b", "a\nb", "link/secret.mp4", "a\\b", "state/jobs", "link/new.mp4",
]  # fmt: skip
OUTWARD_VALUES = [
    "/etc/passwd", "man=/etc/passwd", "man=not:/etc/passwd", "a.jpg: 0.6, /b.jpg: 0.4", "../a", "man=../a", "a/../../b",
    "http://x/y", "rtsp://x", "file:///etc/passwd", "~/a", "C:\\a", "0: a.jpg, 9: ../b.jpg", "link/secret.mp4",
    "man=link/secret.mp4", ".studio/jobs/1", "man=.vidtrans/x", "a/.hidden", "concat:/etc/passwd|b", "a\0",
    "link/new.mp4", "man=a link/new.mp4", "l[i]nk/x.mp4", "*/x.mp4", "lin?/x", "clips.toml", "list.TOML",
    "state/jobs/x",
]  # fmt: skip
INWARD_VALUES = [
    *("my film ~ cut.mp4", "take 1 .mp4", "a[1].mp4", "Recording 3.45.12\u202fPM.mov", "a.mp4", "man=man.mkv"),
    *("not:man.mkv", "a.jpg: 0.6, oil: .4", "0: a.jpg, 2s: b.jpg", "looks/a b.png"),
]


@pytest.fixture
def folder(tmp_path: Path) -> ProjectFolder:
    outside, root = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    root.mkdir()
    (outside / "secret.mp4").write_bytes(b"x")
    if not WINDOWS:
        for name, target in (("link", outside), ("a link", outside), ("state", root / ".studio")):
            (root / name).symlink_to(target)
    return ProjectFolder(root)


@pytest.mark.parametrize("name", [name for name in OUTWARD if not (WINDOWS and name.startswith(("link", "state")))])
def test_no_name_leads_out_of_the_folder(folder: ProjectFolder, name: str) -> None:
    for action in (folder.path_of, folder.existing, folder.delete, folder.names, lambda n: folder.rename("a", n)):
        with pytest.raises(UsageError):
            action(name)


@pytest.mark.parametrize(
    "value", [one for one in OUTWARD_VALUES if not (WINDOWS and ("link" in one or "state" in one))]
)
def test_no_value_that_names_files_leads_out_of_the_folder(folder: ProjectFolder, value: str) -> None:
    with pytest.raises(UsageError):
        folder.check_value(value)


def test_values_that_name_files_of_the_folder_are_accepted(folder: ProjectFolder) -> None:
    for value in INWARD_VALUES:
        if value.endswith((".mp4", ".mov")):
            (folder.root / value).write_bytes(b"x")
        folder.check_value(value)


def test_a_deleted_file_is_restored_from_the_bin_until_that_is_emptied(folder: ProjectFolder) -> None:
    (folder.root / "sub").mkdir()
    (folder.root / "sub" / "a.png").write_bytes(b"a")
    number = folder.delete("sub/a.png")
    assert folder.items() == []
    assert folder.bin() == [{"number": number, "name": "sub/a.png"}]
    assert folder.restore(number) == "sub/a.png"
    assert (folder.root / "sub" / "a.png").read_bytes() == b"a"
    assert folder.bin() == []
    number = folder.delete("sub/a.png")
    (folder.root / "sub" / "a.png").write_bytes(b"b")
    with pytest.raises(UsageError, match="exists already"):
        folder.restore(number)
    assert folder.empty_bin() >= 1
    with pytest.raises(UsageError, match="no such file"):
        folder.restore(number)
    with pytest.raises(UsageError, match="no such file"):
        folder.restore("../jobs")


def test_a_file_is_renamed_but_not_over_another_one(folder: ProjectFolder) -> None:
    for name in ("a.png", "b.png"):
        (folder.root / name).write_text(name)
    folder.rename("a.png", "new/c.png")
    assert (folder.root / "new" / "c.png").read_text() == "a.png"
    with pytest.raises(UsageError, match="exists already"):
        folder.rename("b.png", "new/c.png")
    for ending in ("b.py", "b.toml", "b"):
        with pytest.raises(UsageError, match=r"its ending stays \.png"):
            folder.rename("b.png", ending)
    assert (folder.root / "b.png").exists()
