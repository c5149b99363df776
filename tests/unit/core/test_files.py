"""Files under their final name only when complete; canonical JSON; errors; events."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from vidtrans.core import files, system
from vidtrans.core.files import (
    HOST,
    PARTIAL,
    canonical_json,
    convert_disk_errors,
    digest_of,
    read_small_json,
    write_atomically,
    write_bytes,
)
from vidtrans.core.system import WINDOWS


def names(folder: Path = Path()) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def raising(error: BaseException) -> Callable[..., Any]:
    def fails(*_: object, **__: object) -> None:
        raise error

    return fails


def test_a_file_appears_only_when_it_is_complete() -> None:
    target = Path("new", "out.mp4")
    with write_atomically(target) as temporary:
        assert (temporary.parent, temporary.suffix) == (target.parent, target.suffix)
        temporary.write_bytes(b"old")
        assert not target.exists()
    if WINDOWS:  # it replaces no open file
        write_bytes(target, b"new")
    else:
        with target.open("rb") as reader, write_atomically(target) as temporary:
            temporary.write_bytes(b"new")
            assert reader.read() == b"old"
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["out.mp4"]


def half_written(path: Path, error: type[BaseException]) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_a_failure_leaves_nothing_and_what_was_there_stays() -> None:
    Path("old.bin").write_bytes(b"before")
    for name in ("out.bin", "old.bin"):
        with pytest.raises(KeyboardInterrupt):
            half_written(Path(name), KeyboardInterrupt)
    with pytest.raises(OSError, match="No such file"), write_atomically(Path("a.txt")):
        pass  # and writes nothing
    assert names() == ["old.bin"]
    assert Path("old.bin").read_bytes() == b"before"


def partials(target: Path, *pids: object) -> None:
    for pid in pids:
        mark = pid if isinstance(pid, str) else f"{HOST}-{pid}"
        target.with_name(f".{target.stem}.{mark}{PARTIAL}{target.suffix}").touch()


def test_what_dead_processes_left_is_cleared_away_and_what_living_ones_write_is_not() -> None:
    target = Path("out.mp4")
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    partials(target, living.pid, dead.pid, os.getpid(), "mine")
    partials(Path("two.mp4"), dead.pid)
    Path(f".out.{dead.pid}.txt").touch()
    Path(f"mine.{PARTIAL}.mp4").touch()
    before = set(names())
    files.remove_stale_partials(target)
    assert before - set(names()) == {f".out.{HOST}-{pid}.partial.mp4" for pid in (dead.pid, os.getpid())}
    assert living.poll() is None
    living.communicate(b"\n")
    files.remove_stale_partials(target)
    assert f".out.{HOST}-{living.pid}.partial.mp4" not in names()


def test_what_a_process_of_somebody_else_writes_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil finds no process of another user where /proc is mounted with hidepid; signal 0 still finds it."""
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    monkeypatch.setattr(system, "WINDOWS", False)
    partials(Path("out.mp4"), 4_000_000)
    for error in (psutil.NoSuchProcess(4_000_000), psutil.AccessDenied(4_000_000)):
        monkeypatch.setattr(psutil, "Process", raising(error))
        files.remove_stale_partials(Path("out.mp4"))
        assert names() == [f".out.{HOST}-4000000.partial.mp4"]


def test_what_another_host_writes_is_left_alone_for_a_day() -> None:
    """Whether a process lives, only its own host knows, and numbers of dead ones here may be of living ones there."""
    target, left = Path("out.mp4"), Path(".out.0123abcd-4000000.partial.mp4")
    partials(target, "0123abcd-4000000")
    files.remove_stale_partials(target)
    assert names() == [left.name]
    two_days_ago = time.time() - 2 * 86_400
    os.utime(left, (two_days_ago, two_days_ago))
    files.remove_stale_partials(target)
    assert names() == []


def folder_of(path: Path, content: str) -> Path:
    path.mkdir()
    (path / content).touch()
    return path


def test_a_folder_takes_the_place_of_another_or_leaves_it_where_it_gets_no_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target, made, replace = folder_of(Path("out"), "old"), folder_of(Path("made"), "new"), os.replace
    full = raising(OSError(errno.ENOSPC, "No space left on device"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda source, goal: (full if source == made else replace)(source, goal))
        with pytest.raises(OSError, match="No space left"):
            files.move_into_place(made, target)
    assert (names(), names(target)) == (["made", "out"], ["old"])
    folder_of(Path(".out.replaced"), "older")  # of a run that was killed
    files.move_into_place(made, target)
    assert (names(), names(target)) == (["out"], ["new"])


def test_a_link_is_removed_and_what_it_leads_to_stays() -> None:
    folder_of(Path("keep"), "x")
    Path("link").symlink_to("keep", target_is_directory=True)
    files.remove(Path("link"))
    assert (names(), names(Path("keep"))) == (["keep"], ["x"])


@pytest.mark.parametrize("arrived", [False, True])
def test_a_run_that_was_killed_between_two_renames_is_cleaned_up_after(
    arrived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder_of(Path(".out.replaced"), "old")
    for name in ["out"] * arrived:
        folder_of(Path(name), "new")
    files.finish_replacing(Path("out"))
    assert names() == ["out"]
    assert names(Path("out")) == ["new" if arrived else "old"]
    # A folder may vanish meanwhile; a disk that is only read refuses even to remove what is not there.
    monkeypatch.setattr(os, "rmdir", raising(FileNotFoundError(errno.ENOENT, "No such file or directory")))
    files.remove(Path("out"))
    monkeypatch.setattr(files, "remove", raising(OSError(errno.EROFS, "Read-only file system", "out")))
    files.finish_replacing(Path("out"))


def test_an_error_of_the_disk_without_a_name_gets_one_and_others_stay() -> None:
    full, broken, absent = (
        OSError(errno.ENOSPC, "full"),
        OSError(errno.EIO, "broken", "other"),
        OSError(errno.ENOENT, ""),
    )
    others = ((absent, None), (SafetensorError("no such tensor"), None), (KeyError("x"), None))
    for error, named in ((full, "target.bin"), (broken, "other"), *others):
        with pytest.raises(type(error)) as raised, convert_disk_errors(Path("target.bin")):
            raise error
        assert getattr(raised.value, "filename", None) == named


def test_the_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, synced, fsync = tmp_path / "out.d", [], os.fsync

    def recorded(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, target.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    with write_atomically(target) as temporary:
        content = temporary / "in" / "content"
        content.parent.mkdir(parents=True, exist_ok=True)
        content.write_bytes(b"whole")
        inode = content.stat().st_ino
    assert synced == [(inode, False), *([] if WINDOWS else [(tmp_path.stat().st_ino, True)])]


def test_a_digest_is_the_one_that_it_always_was() -> None:
    """Cache keys are made of it."""
    value = {"b": [1, 2.5, None, True], "a": "ü×"}
    assert canonical_json(value) == '{"a":"ü×","b":[1,2.5,null,true]}'
    assert digest_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert digest_of(os.fsdecode(b"\xff")) != digest_of(os.fsdecode(b"\xfe"))  # names that are no text
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(ValueError, match="deep"):
        digest_of(nested)


def test_a_file_that_is_absent_damaged_too_large_or_a_pipe_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(OSError, match=tmp_path.name):
            read_small_json(path)
    for content in (b"", b"\xff\xfe\xfd", b"[" * 100_000, b'{"a":' * 20_000):
        Path("a.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"\w"):
            read_small_json(Path("a.json"))
    monkeypatch.setattr(files, "_MAX_SMALL_BYTES", 1 << 20)
    os.truncate("a.json", 1 << 40)
    with pytest.raises(ValueError, match="too large"):
        read_small_json(Path("a.json"))
    if hasattr(os, "mkfifo"):  # it is not waited for
        os.mkfifo("pipe.json")
        with pytest.raises(ValueError, match="a pipe"):
            read_small_json(Path("pipe.json"))


@pytest.mark.parametrize(("save", "why"), [(torch.save, errno.EIO), (save_file, errno.EFBIG)])  # torch does not say why
def test_a_library_that_cannot_write_is_understood_where_the_disk_is_full(
    save: Callable[..., None], why: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource, target, weights = pytest.importorskip("resource"), Path("made"), {"weights": torch.zeros(1 << 18)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))  # as a disk does that has room for so much
    try:
        with pytest.raises(OSError, match=r"error|large") as told, convert_disk_errors(target):
            save(weights, target)  # there is room on the disk: it was something else
        assert told.value.errno == why
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
        with pytest.raises(OSError, match="space") as told, convert_disk_errors(target):
            save(weights, target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(target))
