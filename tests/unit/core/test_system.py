"""Rules of other systems that can be tested on any: names, paths, files in use, command lines."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vidtrans.core import files, system
from vidtrans.core.errors import UsageError, describe_error
from vidtrans.core.files import ignore_files_in_use, remove, write_bytes
from vidtrans.output.result import check_parents
from vidtrans.store.cache import check_cache_folder, require_locks

A = Path("a")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (system, files):
        monkeypatch.setattr(module, "WINDOWS", True)
    monkeypatch.setattr(system, "_RETRIES_S", (0.0, 0.0))


def refusing(times: int, call: Callable[..., None]) -> Callable[..., None]:
    """The call, which is refused so many times as a file is that another program has open."""
    left = [times]

    def refused(*arguments: object, **options: object) -> None:
        if left[0]:
            left[0] -= 1
            raise PermissionError(errno.EACCES, "Permission denied", str(arguments[0]))
        call(*arguments, **options)

    return refused


@pytest.mark.usefixtures("windows")
def test_a_file_that_a_virus_scanner_has_for_a_moment_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(A, b"old")
    monkeypatch.setattr(os, "replace", refusing(2, os.replace))
    write_bytes(A, b"new")
    assert A.read_bytes() == b"new"


@pytest.mark.usefixtures("windows")
def test_a_file_that_a_player_has_open_stays_and_the_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(A, b"old")
    monkeypatch.setattr(os, "replace", refusing(99, os.replace))
    with pytest.raises(OSError, match="another program has it open") as raised:
        write_bytes(A, b"new")
    remedy = "close it there and run the same command again: finished work is kept"
    assert describe_error(raised.value) == (f"a: another program has it open — {remedy}", 1)
    assert [p.name for p in Path().iterdir()] == ["a"]
    assert A.read_bytes() == b"old"
    A.chmod(0o444)
    with pytest.raises(PermissionError):  # a read-only file is not said to be open
        write_bytes(A, b"new")


@pytest.mark.usefixtures("windows")
def test_what_is_open_is_left_where_it_was_to_be_cleared_away(monkeypatch: pytest.MonkeyPatch) -> None:
    write_bytes(A, b"old")
    monkeypatch.setattr(os, "unlink", refusing(99, os.unlink))
    remove(A)
    assert A.exists()


def test_names_that_windows_refuses_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    fine = dict.fromkeys(("console.mp4", "clip.v2.mp4", ".."), "")
    devices = dict.fromkeys(("con", "NUL.mp4", "com1.tar.gz"), "device")
    faults = {"a:b.mp4": "':'", 'a".mp4': "'\"'", "clip.": "at the end", "clip ": "at the end"}
    for name, fault in {**fine, **devices, **faults}.items():
        monkeypatch.setattr(system, "WINDOWS", False)
        assert system.windows_name_problem(name) == ""
        monkeypatch.setattr(system, "WINDOWS", True)
        found = system.windows_name_problem(name)
        assert fault in found
        assert bool(found) == bool(fault)


@pytest.mark.usefixtures("windows")
def test_names_and_paths_that_windows_refuses_are_refused_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no ':'"):
        check_parents(Path("shot:2.mp4"))
    with pytest.raises(UsageError, match="device"):
        check_parents(Path("aux/a.mp4"))
    with pytest.raises(UsageError, match="more than the 259 characters that Windows takes"):
        check_parents(tmp_path.joinpath(*["folder"] * 40, "a.mp4"))
    check_parents(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match=r"--cache-dir .* more than the 259 characters"):
        check_cache_folder(Path("/" + "c" * 150))
    check_cache_folder(Path("/" + "c" * 50))
    # A path that turns out too long.
    line, status = describe_error(FileNotFoundError(errno.ENOENT, "no", "/a" * 140)) or ("", 0)
    assert "too long for Windows" in line
    assert status == 2
    assert describe_error(FileNotFoundError(errno.ENOENT, "no", "/a")) is None


def test_paths_that_differ_in_case_are_the_same_where_the_system_has_them_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "WINDOWS", False)
    for same in (True, False):
        monkeypatch.setattr(system, "MACOS", same)
        assert (system.path_key(Path("Clip.MP4")) == system.path_key(Path("clip.mp4"))) == same


@pytest.mark.parametrize("error", [NotImplementedError("flock"), OSError(errno.EOPNOTSUPP, "no")])
def test_a_disk_without_locks_is_one_line(error: Exception) -> None:
    with pytest.raises(Exception, match="its file system has no locks") as raised, require_locks(Path("cache")):
        raise error
    line = "cache cache: its file system has no locks — give a --cache-dir on a local disk"
    assert describe_error(raised.value) == (line, 1)
    with pytest.raises(OSError, match="denied"), require_locks(Path("cache")):
        raise PermissionError(errno.EACCES, "denied")


def test_a_preview_that_a_viewer_has_open_ends_nothing() -> None:
    notes: list[str] = []
    with ignore_files_in_use(notes.append):
        raise OSError(errno.EBUSY, files.IN_USE, "preview.png")
    assert notes == ["preview.png: another program has it open; it was not refreshed"]
    with pytest.raises(OSError, match="full"), ignore_files_in_use(notes.append):
        raise OSError(errno.ENOSPC, "full", "preview.png")
