"""The memory of files' digests: what is kept in its file, and what is not."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from vidtrans.store import digests
from vidtrans.store.digests import Digests


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is some time after the files of a test were written."""
    at_age(monkeypatch, 100)


def at_age(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the files that are written from now on be so old, by the clock of the memory."""
    monkeypatch.setattr(digests.time, "time_ns", lambda: time.monotonic_ns() + shift + round(seconds * 1e9))


shift = time.time_ns() - time.monotonic_ns()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def lines(folder: Path) -> list[str]:
    path = folder / digests.NAME
    return path.read_text(encoding="ascii").splitlines() if path.exists() else []


def test_each_file_is_one_line_however_often_it_is_asked_for_and_saved(tmp_path: Path) -> None:
    run = Digests(tmp_path)
    files = [written(tmp_path / name, b"x") for name in ("a", "ü")]
    for file in (*files, *files):
        run.of(file)
        run.save()
    assert len(lines(tmp_path)) == 2


def test_the_memory_is_a_plain_file_that_others_may_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        run = Digests(tmp_path)
        run.of(written(tmp_path / "a", b"x"))
        run.save()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / digests.NAME).stat().st_mode) == 0o644


def test_no_handle_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, opens = [], os.open
    monkeypatch.setattr(digests.os, "open", lambda *a, **k: opened.append(opens(*a, **k)) or opened[-1])
    run = Digests(tmp_path)
    run.of(written(tmp_path / "a", b"x"))
    run.save()
    assert len(opened) == 2
    for handle in opened:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle)


def test_without_a_folder_nothing_is_written_and_nothing_is_made(tmp_path: Path) -> None:
    run = Digests(tmp_path / "absent")
    run.of(written(tmp_path / "a", b"x"))
    run.save()
    assert not (tmp_path / "absent").exists()
    Digests(tmp_path).save()
    assert not (tmp_path / digests.NAME).exists()


def test_bytes_that_are_no_text_spoil_only_their_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a", b"x")
    run = Digests(tmp_path)
    wanted = run.of(file)
    run.save()
    path = tmp_path / digests.NAME
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    monkeypatch.setattr(digests, "digest_file", lambda path: "read again")
    assert Digests(tmp_path).of(file) == wanted


@pytest.mark.parametrize(("useless", "dropped"), [(0, False), (7, False), (8, True)])
def test_the_file_is_written_anew_when_most_lines_say_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, useless: int, dropped: bool
) -> None:
    """More than as many as there are that say something, and MAX_STALE_LINES."""
    monkeypatch.setattr(digests, "MAX_STALE_LINES", 5)
    run = Digests(tmp_path)
    files = [written(tmp_path / f"{n}", b"x") for n in range(2)]
    wanted = [run.of(file) for file in files]
    run.save()
    path = tmp_path / digests.NAME
    path.write_bytes(path.read_bytes() + b"[]\n" * useless)
    again = Digests(tmp_path)
    assert [again.of(file) for file in files] == wanted
    assert len(lines(tmp_path)) == 2 + (0 if dropped else useless)
    monkeypatch.setattr(digests, "digest_file", lambda path: "read again")
    assert [Digests(tmp_path).of(file) for file in files] == wanted


@pytest.mark.parametrize(("age_s", "kept"), [(0, 0), (1, 0), (3, 1), (100, 1), (-100, 0)])
def test_a_file_is_remembered_only_when_it_has_been_left_alone_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float, kept: int
) -> None:
    """Within the resolution of its times it may change again, and nobody would see it."""
    file = written(tmp_path / "a", b"x")
    at_age(monkeypatch, age_s)
    run = Digests(tmp_path)
    run.of(file)
    run.save()
    assert len(lines(tmp_path)) == kept
