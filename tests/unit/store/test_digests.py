"""The memory of files' digests: what is kept in its file, and what is not."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidtrans.core.files import digest_file
from vidtrans.store import cache
from vidtrans.store.cache import Digests


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    at_age(monkeypatch, 100)


def at_age(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the files that are written from now on be so old, by the clock of the memory."""
    monkeypatch.setattr(cache.time, "time_ns", lambda: time.monotonic_ns() + shift + round(seconds * 1e9))


time_ns = time.time_ns
shift = time.time_ns() - time.monotonic_ns()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def files_read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    found: list[Path] = []

    def watched(path: Path, *more: Any) -> str:
        found.append(path)
        return digest_file(path)

    monkeypatch.setattr(cache, "digest_file", watched)
    return found


def test_digests_are_remembered_and_a_changed_file_is_read_again(tmp_path: Path, files_read: list[Path]) -> None:
    file = written(tmp_path / "big", b"one")
    first = Digests(tmp_path).of(file)
    one, other = Digests(tmp_path), Digests(tmp_path)  # runs at the same time
    assert one.of(file) == first
    other.of(written(tmp_path / "b", b"b"))
    one.save()
    other.save()
    files_read.clear()
    again = Digests(tmp_path)
    assert again.of(file) == first
    again.of(tmp_path / "b")
    assert not files_read
    time.sleep(0.02)  # as long as a clock of file times may stand still
    file.write_bytes(b"two")  # same size
    assert again.of(file) != first
    assert files_read == [file]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no time of change")
def test_a_file_rewritten_in_place_with_its_old_time_is_read_again(tmp_path: Path) -> None:
    file = written(tmp_path / "big", b"one")
    before, run = file.stat(), Digests(tmp_path)
    first = run.of(file)
    time.sleep(0.02)
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = file.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (before.st_size, before.st_mtime_ns, before.st_ino)
    assert run.of(file) == digest_file(file) != first


@pytest.mark.parametrize("which", ["st_mtime_ns", "st_ctime_ns"])
def test_a_file_that_changed_a_moment_ago_is_not_remembered(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files_read: list[Path]
) -> None:
    """A second change would have the same time where the file system counts in seconds."""
    now = time_ns()

    def coarse(path: Path, *, follow_symlinks: bool = True) -> SimpleNamespace:
        found = os.stat(path, follow_symlinks=follow_symlinks)
        kept = {name: getattr(found, name) for name in ("st_size", "st_ino", "st_mode")}
        return SimpleNamespace(**{**kept, "st_mtime_ns": 1, "st_ctime_ns": 1, which: now})

    monkeypatch.setattr(Path, "stat", coarse)
    monkeypatch.setattr(cache.time, "time_ns", time_ns)
    run, file = Digests(tmp_path), written(tmp_path / "big", b"one")
    first = run.of(file)
    file.write_bytes(b"two")
    assert run.of(file) == digest_file(file) != first
    monkeypatch.setattr(cache.time, "time_ns", lambda: now + cache.SETTLED_NS + 1)
    run.of(file)
    files_read.clear()
    run.of(file)
    assert not files_read


def test_a_damaged_line_of_digests_is_forgotten(tmp_path: Path) -> None:
    files = [written(tmp_path / f"{n}", bytes([n])) for n in range(2)]
    run = Digests(tmp_path)
    wanted = [run.of(file) for file in files]
    run.save()
    whole = (tmp_path / cache.DIGESTS_FILE).read_bytes()
    flipped = (
        whole[:at] + bytes([byte ^ (1, 128)[at % 2]]) + whole[at + 1 :] for at, byte in list(enumerate(whole))[::3]
    )
    for data in (*flipped, b"[]", b"7\n", b"{", b'{"a": 7}', b"\xff\n\n"):
        (tmp_path / cache.DIGESTS_FILE).write_bytes(data)
        assert [Digests(tmp_path).of(file) for file in files] == wanted


@pytest.mark.parametrize(("useless", "dropped"), [(7, False), (8, True)])
def test_lines_that_say_nothing_spoil_no_other_and_many_of_them_are_written_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, useless: int, dropped: bool
) -> None:
    monkeypatch.setattr(cache, "MAX_STALE_LINES", 5)
    run = Digests(tmp_path)
    files = [written(tmp_path / f"{n}", b"x") for n in range(2)]
    wanted = [run.of(file) for file in files]
    run.save()
    path = tmp_path / cache.DIGESTS_FILE
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes() + b"[]\n" * (useless - 1))
    again = Digests(tmp_path)
    assert [again.of(file) for file in files] == wanted
    assert path.read_bytes().count(b"\n") == 2 + (0 if dropped else useless)
    monkeypatch.setattr(cache, "digest_file", lambda path: "read again")
    assert [Digests(tmp_path).of(file) for file in files] == wanted
