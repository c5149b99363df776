"""Files under their final name only when complete; canonical JSON; errors; events."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
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
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from processes import HANG_S
from safetensors import SafetensorError
from safetensors.torch import save_file

from vidtrans import errors, files, system
from vidtrans.errors import Interrupted, UsageError, VidtransError
from vidtrans.events import Stop
from vidtrans.files import (
    canonical_json,
    digest_file,
    digest_of,
    folder_bytes,
    naming_disk_errors,
    read_small_json,
    write_atomically,
    write_bytes,
    write_json,
)
from vidtrans.partials import HOST, PARTIAL, partial_path
from vidtrans.system import WINDOWS

repeatable = hypothesis_settings(max_examples=80)


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "out.mp4"
    with write_atomically(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == target.suffix
        temporary.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert names(target.parent) == ["out.mp4"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_and_what_was_there_stays(tmp_path: Path, error: type[BaseException]) -> None:
    target, old = tmp_path / "out.bin", tmp_path / "old.bin"
    old.write_bytes(b"before")

    def half(path: Path) -> None:
        with write_atomically(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    for path in (target, old):
        with pytest.raises(error):
            half(path)
    assert names(tmp_path) == ["old.bin"]
    assert old.read_bytes() == b"before"


def test_an_existing_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    with write_atomically(target) as temporary:
        temporary.write_bytes(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"


@pytest.mark.skipif(WINDOWS, reason="Windows replaces no open file")
def test_who_reads_a_file_while_it_is_replaced_reads_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        write_bytes(target, b"new")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"


def test_a_job_that_writes_nothing_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"), write_atomically(tmp_path / "a.txt"):
        pass
    assert names(tmp_path) == []


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    target = tmp_path / "out.d"
    leftover = partial_path(target)
    leftover.mkdir()
    (leftover / "old").write_bytes(b"x")
    with write_atomically(target) as temporary:
        assert not temporary.exists()
        temporary.mkdir()
        (temporary / "new").write_bytes(b"y")
    assert names(tmp_path) == ["out.d"]
    assert names(target) == ["new"]


def partials(target: Path, *pids: object) -> None:
    for pid in pids:
        mark = pid if isinstance(pid, str) else f"{HOST}-{pid}"
        target.with_name(f".{target.stem}.{mark}{PARTIAL}{target.suffix}").touch()


def test_what_dead_processes_left_is_cleared_away_and_what_living_ones_write_is_not(tmp_path: Path) -> None:
    target, other = tmp_path / "out.mp4", tmp_path / "two.mp4"
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    partials(target, living.pid, dead.pid, os.getpid(), "mine")
    partials(other, dead.pid)
    (tmp_path / f".out.{dead.pid}.txt").touch()
    (tmp_path / f"mine.{PARTIAL}.mp4").touch()
    before = set(names(tmp_path))
    files.remove_stale_partials(target)
    gone = {f".out.{HOST}-{pid}.partial.mp4" for pid in (dead.pid, os.getpid())}
    assert before - set(names(tmp_path)) == gone
    assert living.poll() is None
    living.communicate(b"\n")
    assert living.returncode == 0
    files.remove_stale_partials(target)
    assert f".out.{HOST}-{living.pid}.partial.mp4" not in names(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells")
def test_a_process_that_has_ended_is_dead_before_anybody_has_asked_how_it_went(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert ended.stdout is not None
    with ended.stdout as told:
        told.read()  # until it ends
    partials(tmp_path / "out.mp4", ended.pid)
    deadline = time.monotonic() + HANG_S
    while names(tmp_path) and time.monotonic() < deadline:
        files.remove_stale_partials(tmp_path / "out.mp4")
    assert names(tmp_path) == []
    assert ended.wait() == 0


@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_process_of_somebody_else_writes_is_left_alone(
    hidden: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """psutil finds no process of another user where /proc is mounted with hidepid; signal 0 still finds it."""

    def refuse(pid: int) -> None:
        raise psutil.NoSuchProcess(pid) if hidden else psutil.AccessDenied(pid)

    monkeypatch.setattr(psutil, "Process", refuse)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    monkeypatch.setattr(system, "WINDOWS", False)
    partials(tmp_path / "out.mp4", 4_000_000)
    files.remove_stale_partials(tmp_path / "out.mp4")
    assert names(tmp_path) == [f".out.{HOST}-4000000.partial.mp4"]


def test_what_another_host_writes_is_left_alone_for_a_day(tmp_path: Path) -> None:
    """Whether a process lives, only its own host knows, and numbers of dead ones here may be of living ones there."""
    target, mark = tmp_path / "out.mp4", "0123abcd-4000000"
    partials(target, mark)
    files.remove_stale_partials(target)
    assert names(tmp_path) == [f".out.{mark}.partial.mp4"]
    two_days_ago = time.time() - 2 * 86_400
    os.utime(tmp_path / f".out.{mark}.partial.mp4", (two_days_ago, two_days_ago))
    files.remove_stale_partials(target)
    assert names(tmp_path) == []


# Folders


def folder_of(path: Path, content: str) -> Path:
    path.mkdir()
    (path / content).touch()
    return path


def test_a_folder_takes_the_place_of_another_and_nothing_else_is_left(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "out", "old")
    folder_of(tmp_path / ".out.replaced", "older")  # of a run that was killed
    files.move_into_place(folder_of(tmp_path / "made", "new"), target)
    assert names(tmp_path) == ["out"]
    assert names(target) == ["new"]


def test_a_folder_that_gets_no_name_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, made, replace = folder_of(tmp_path / "out", "old"), folder_of(tmp_path / "made", "new"), os.replace

    def fails(source: Path, goal: Path) -> None:
        if source == made:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, goal)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space left"):
        files.move_into_place(made, target)
    assert names(tmp_path) == ["made", "out"]
    assert names(target) == ["old"]


@pytest.mark.parametrize("arrived", [False, True])
def test_a_run_that_was_killed_between_two_renames_is_cleaned_up_after(tmp_path: Path, arrived: bool) -> None:
    folder_of(tmp_path / ".out.replaced", "old")
    for name in ["out"] * arrived:
        folder_of(tmp_path / name, "new")
    files.finish_replacing(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["new" if arrived else "old"]


def test_where_nothing_can_be_removed_nothing_has_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is only read refuses even to remove what is not there, and by a name that the user does not know."""

    def refuse(path: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(files, "remove", refuse)
    files.finish_replacing(tmp_path / "out")


# Names and errors


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("clip.v2.mp4", "clip.v2"),
        ("in/frames_%04d.png", "frames"),
        ("in/%d.png", "in"),
        ("in/take-%04d.%d.png", "take"),
        ("of %d shots.mp4", "of  shots"),
        ("made %d.mp4", "made %d"),
        ("folder.d", "folder.d"),
        ("in", "in"),
    ],
)
def test_a_clip_is_called_by_its_name_without_ending_or_number(path: str, name: str) -> None:
    Path("made %d.mp4").touch()
    Path("folder.d").mkdir()
    Path("in").mkdir()
    assert files.base_name(Path(path)) == name


def test_a_pattern_at_the_root_has_a_name_as_well() -> None:
    assert files.base_name(Path("/%d.png")) == "pictures"


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (OSError(errno.ENOSPC, "full"), "target.bin"),
        (OSError(errno.EIO, "broken", "other"), "other"),
        (OSError(errno.ENOENT, "not there"), None),
    ],
)
def test_an_error_of_the_disk_without_a_name_gets_one_and_others_stay(
    error: OSError, named: str | None, tmp_path: Path
) -> None:
    target = tmp_path / "target.bin"
    with pytest.raises(OSError, match=r"full|broken|not there") as raised, naming_disk_errors(target):
        raise error
    assert raised.value.errno == error.errno
    assert (raised.value.filename and Path(raised.value.filename).name) == named


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_an_error_of_the_temporary_file_names_the_target(prefix: str) -> None:
    target = Path("out.mp4")
    with pytest.raises(OSError, match="Permission") as raised, write_atomically(target) as temporary:
        raise OSError(errno.EACCES, "Permission denied", f"{prefix}{temporary}")
    assert raised.value.filename == str(target)


def test_a_name_that_is_no_text_has_a_digest(tmp_path: Path) -> None:
    assert digest_of(os.fsdecode(b"\xff")) != digest_of(os.fsdecode(b"\xfe"))


def test_a_folder_that_vanishes_while_it_is_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanished(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "rmdir", vanished)
    files.remove(folder_of(tmp_path / "out", "x"))


def test_a_full_disk_at_the_last_moment_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.txt"
    target.write_bytes(b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(target, b"new")
    assert names(tmp_path) == ["a.txt"]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("of_a_folder", [False, True])
def test_the_content_is_synced_before_the_rename_and_the_folder_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_a_folder: bool
) -> None:
    target, synced, fsync = tmp_path / "out.d", [], os.fsync

    def recorded(handle: int) -> None:
        synced.append((os.fstat(handle).st_ino, target.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", recorded)
    with write_atomically(target) as temporary:
        content = temporary / "in" / "content" if of_a_folder else temporary
        content.parent.mkdir(parents=True, exist_ok=True)
        content.write_bytes(b"whole")
        inode = content.stat().st_ino
    assert synced == [(inode, False), *([] if WINDOWS else [(tmp_path.stat().st_ino, True)])]


def test_a_folder_that_cannot_be_synced_is_no_error_and_no_handle_stays_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network file systems sync files only."""
    handles = []

    def files_only(handle: int) -> None:
        handles.append(handle)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", files_only)
    write_bytes(tmp_path / "a.txt", b"whole")
    assert names(tmp_path) == ["a.txt"]
    assert len(handles) == (1 if WINDOWS else 2)
    for handle in handles:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(handle)


def test_targets_that_differ_in_suffix_alone_do_not_share_a_temporary_name() -> None:
    assert partial_path(Path("a/x.mp4")) != partial_path(Path("a/x.mkv"))
    assert partial_path(Path("a/x.mp4")).name.startswith(".")


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


def reordered(value: object) -> object:
    """The same value, with every table's keys put in in the other order."""
    if isinstance(value, dict):
        return {k: reordered(value[k]) for k in reversed(list(value))}
    if isinstance(value, list):
        return [reordered(v) for v in value]
    return value


@repeatable
@given(json_values)
def test_equal_values_give_equal_text_whatever_their_order(value: object) -> None:
    text = canonical_json(value)
    assert canonical_json(reordered(value)) == text
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@repeatable
@given(json_values, json_values)
def test_values_with_different_text_have_different_digests(a: object, b: object) -> None:
    assert (digest_of(a) == digest_of(b)) == (canonical_json(a) == canonical_json(b))


def test_a_digest_is_the_one_that_it_always_was() -> None:
    """Cache keys are made of it."""
    value = {"b": [1, 2.5, None, True], "a": "ü×"}
    assert canonical_json(value) == '{"a":"ü×","b":[1,2.5,null,true]}'
    assert digest_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"x": value}, indent=1)
    assert names(tmp_path) == []


def test_json_files_are_the_same_for_the_same_value(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    write_json(tmp_path / "b.json", {"a": [2], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes() == b'{"a":[2],"b":1}\n'
    assert digest_file(tmp_path / "a.json") == digest_file(tmp_path / "b.json")


def test_a_small_json_file_is_read(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"é": [1, None]})
    assert read_small_json(tmp_path / "a.json") == {"é": [1, None]}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b"[" * 100_000, b'{"a":' * 100_000])
def test_a_damaged_json_file_is_a_value_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        read_small_json(tmp_path / "a.json")


def test_a_file_that_is_absent_a_folder_or_too_large_is_not_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(OSError, match=tmp_path.name):
            read_small_json(path)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ValueError, match="too large"):
        read_small_json(tmp_path / "huge.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_the_place_of_a_json_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(ValueError, match="a pipe"):
        read_small_json(tmp_path / "a.json")


def test_a_value_that_is_nested_too_deep_has_no_digest() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="deep"):
        digest_of(value)


def test_remove_takes_links_files_folders_and_nothing_at_all(tmp_path: Path) -> None:
    keep = tmp_path / "keep"
    keep.mkdir()
    (keep / "x").write_bytes(b"123")
    link, folder, file = tmp_path / "link", tmp_path / "folder", tmp_path / "file"
    link.symlink_to(keep, target_is_directory=True)
    (folder / "in").mkdir(parents=True)
    file.write_bytes(b"12")
    assert folder_bytes(tmp_path) == 5
    for path in (link, folder, file, tmp_path / "absent"):
        files.remove(path)
    assert names(tmp_path) == ["keep"]
    assert names(keep) == ["x"]


def test_a_folder_is_asked_for_anew_by_opening_it_or_the_first_above_it_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    scandir = os.scandir

    def opened(folder: Path) -> Any:
        asked.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", opened)
    files.look_anew(tmp_path)
    assert asked == [tmp_path]
    files.look_anew(tmp_path / "a" / "b")
    assert asked[1:4] == [tmp_path / "a" / "b", tmp_path / "a", tmp_path]
    (tmp_path / "file").touch()
    for name in ("file", "n\0", "x" * 300):  # no folder: nothing to be asked
        files.look_anew(tmp_path / name)


def test_every_error_is_one_line_of_what_why_and_remedy() -> None:
    assert str(VidtransError("a\nb.mp4", "went  wrong", "do this")) == "a b.mp4: went wrong — do this"
    assert str(UsageError("x")) == "x"
    assert str(UsageError("x", "", "y")) == "x — y"


def test_every_error_has_the_exit_status_of_the_contract() -> None:
    known = [c for c in VidtransError.__subclasses__() if c.__module__ == errors.__name__ and c is not Interrupted]
    found = {c.__name__: c.exit_status for c in known}
    assert found == {"UsageError": 2, "MediaError": 3, "ModelError": 3, "DeviceError": 4, "BatchError": 5}
    assert VidtransError.exit_status == 1
    assert Interrupted().exit_status == 130
    assert Interrupted(143).exit_status == 143


def test_a_stop_remembers_why() -> None:
    stop = Stop()
    assert not stop.requested
    stop.request(143)
    assert stop.requested
    assert stop.exit_status == 143


def torch_saves(path: Path) -> None:
    torch.save({"weights": torch.zeros(1 << 18)}, path)


def safetensors_saves(path: Path) -> None:
    save_file({"weights": torch.zeros(1 << 18)}, str(path))


@pytest.mark.parametrize("save", [torch_saves, safetensors_saves])
def test_a_library_that_cannot_write_is_understood_where_the_disk_is_full(
    save: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource")
    target = tmp_path / "made"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))  # as a disk does that has room for so much
    try:
        with pytest.raises(OSError, match=r"error|large") as told, naming_disk_errors(target):
            save(target)  # there is room on the disk: it was something else
        # torch does not pass on what.
        assert told.value.errno == (errno.EIO if save is torch_saves else errno.EFBIG)
        monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=4096))
        with pytest.raises(OSError, match="space") as told, naming_disk_errors(target):
            save(target)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(target))


@pytest.mark.parametrize("error", [RuntimeError("of another kind"), SafetensorError("no such tensor"), KeyError("x")])
def test_a_library_that_fails_for_other_reasons_says_so_itself(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as told, naming_disk_errors(tmp_path / "made"):
        raise error
    assert told.value is error
