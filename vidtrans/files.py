"""Files that appear under their final name only when they are complete."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vidtrans.errors import MediaError, VidtransError

PACKAGE = Path(__file__).parent  # what ships lies in it
PARTIAL = ".partial"
PID_DIGITS = 10
SMALL_BYTES = 1 << 28  # no JSON file of vidtrans's own is larger
TOO_DEEP = "it is nested too deeply"
USUAL_LIMIT = 255  # of a name's length, where the system does not tell
LONGEST_SUFFIX = 32  # a name's ending that is longer says nothing of a file's kind
# In a pattern, what stands for a picture's number: %d, or %05d with at least five digits.
NUMBER = re.compile("%(?:0(?P<digits>[0-9]{1,2}))?d(?![A-Za-z])")


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text.

    Raises:
        ValueError: on NaN and infinity, and where the value is nested too deeply.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def base_name(path: Path) -> str:
    """What a file or folder is called, without a file's ending; or a pattern, without its number."""
    path = path.resolve()
    if path.is_dir():
        return path.name
    if NUMBER.search(path.stem) and not path.exists():
        return NUMBER.sub("", path.stem).strip("._- ") or path.parent.name or "pictures"
    return path.stem


def special_file_kind(path: Path) -> str:
    """Return what a path is that is neither a file nor a folder, as "a pipe"; "" for these, and where nothing is."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    kinds = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
    return next((name for is_kind, name in (*kinds, (stat.S_ISSOCK, "a socket")) if is_kind(mode)), "")


def check_regular_file(path: Path, error: type[VidtransError] = MediaError) -> None:
    """Refuse pipes, devices and sockets as inputs: to open or read one may wait, or go on, for ever.

    Raises:
        VidtransError: of the class ``error``.
    """
    if kind := special_file_kind(path):
        raise error(str(path), f"it is {kind}, not a file", "save its content to a file, and give that")


def digest_file(path: Path, check: Callable[[], None] | None = None) -> str:
    """Return the SHA-256 (hex) of a file's content. ``check`` is called often meanwhile, and may raise."""
    sha256 = hashlib.sha256()
    # Not blocking: what was a file a moment ago may be a pipe now.
    with open(path, "rb", buffering=0, opener=_open_without_waiting) as stream:
        block = memoryview(bytearray(_BLOCK_BYTES))
        while count := stream.readinto(block):
            sha256.update(block[:count])
            if check:
                check()
    return sha256.hexdigest()


_BLOCK_BYTES = 1 << 20


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_small_file(path: Path) -> bytes:
    """Return the content of a small file, as vidtrans itself writes them.

    Raises:
        OSError: where it cannot be read.
        ValueError: where it is no ordinary file, which could be waited for without end, or is too large.
    """
    if kind := special_file_kind(path):
        raise ValueError(f"it is {kind}, not a file")
    with open(path, "rb", opener=_open_without_waiting) as stream:
        content = stream.read(SMALL_BYTES + 1)
    if len(content) > SMALL_BYTES:
        raise ValueError("it is too large")
    return content


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: where it is none, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None


def read_small_json(path: Path) -> Any:
    """Return the value of a small JSON file.

    Raises:
        OSError: where it cannot be read.
        ValueError: where it is damaged: no ordinary file, too large, or no JSON.
    """
    return parse_json(read_small_file(path))


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut, where the system lets a folder be synced."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_target(path: Path) -> Path:
    """Return the path that a link leads to, whether something is there or not; any other path as it is.

    What is written there leaves the link in place. For results that a user named: nothing else follows links.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def name_length(name: str) -> int:
    """Return the length of a file's name as the system counts it: in bytes, or on Windows in UTF-16 units."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2 if os.name == "nt" else len(os.fsencode(name))


def name_limit(folder: Path) -> int:
    """Return how long a name in ``folder`` may be, which need not be there yet."""
    for place in (folder, *folder.absolute().parents):
        with suppress(OSError, ValueError, AttributeError):  # Windows does not tell
            return os.pathconf(place, "PC_NAME_MAX")
    return USUAL_LIMIT


def _hidden_name(target: Path, stem: str, ending: str) -> str:
    """Return '.STEM' with room for ``ending``; where that is too long, cut and with a mark of the whole name."""
    room = name_limit(target.parent) - name_length(f".{ending}")
    if name_length(stem) <= room:
        return f".{stem}"
    mark = f"~{digest_of(target.name)[:12]}"
    while name_length(stem + mark) > room:
        stem = stem[:-1]  # never in the middle of a character, which FFmpeg could not be told
    return f".{stem}{mark}"


def _partial_name(target: Path) -> tuple[str, str]:
    """Return what stands before and after the number of a process in the name of ``partial_path``."""
    suffix = target.suffix if name_length(target.suffix) <= LONGEST_SUFFIX else ""
    after = f"{PARTIAL}{suffix}"
    stem = target.name[: len(target.name) - len(suffix)]
    return _hidden_name(target, stem, f".{'0' * PID_DIGITS}{after}") + ".", after


def partial_path(target: Path) -> Path:
    """The hidden name beside ``target`` under which it is written (the same folder, so a rename is atomic)."""
    before, after = _partial_name(target)
    return target.with_name(f"{before}{os.getpid()}{after}")


def remove_stale_partials(target: Path) -> None:
    """Delete what killed processes left of earlier tries at ``target``; those of living ones stay."""
    before, after = _partial_name(target)
    with os.scandir(target.parent) as entries:  # there may be ten thousand
        names = [e.name for e in entries if e.name.startswith(before) and e.name.endswith(after)]
    for name in names:
        number = name[len(before) : -len(after)]
        if number.isdecimal() and (int(number) == os.getpid() or not _is_alive(int(number))):
            remove(target.with_name(name))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _replaced(target: Path) -> Path:
    """Where an old folder waits while the new one gets its name."""
    ending = ".replaced"
    return target.with_name(_hidden_name(target, target.name, ending) + ending)


def move_into_place(made: Path, target: Path) -> None:
    """Give a finished file or folder its final name, in place of what has it."""
    finish_replacing(target)
    if target.is_dir() and not target.is_symlink():
        os.replace(target, _replaced(target))
    try:
        os.replace(made, target)
    except BaseException:
        finish_replacing(target)
        raise
    sync_folder(target.parent)
    remove(_replaced(target))


def finish_replacing(target: Path) -> None:
    """Clean up after a run that was killed while it gave a new folder its name."""
    old = _replaced(target)
    if old.exists() and not target.exists():
        os.replace(old, target)
    remove(old)


# A write that fails with less than this left has failed for it.
NEARLY_FULL = 1 << 20
# What only a write fails with; the system does not say of which file.
OF_A_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def write_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path; on success fsync it and rename it to ``target``, on failure remove it.

    An OSError of the disk speaks of ``target``: nobody has heard of the temporary name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(target)
    remove_stale_partials(target)
    try:
        yield temporary
        if temporary.is_dir():
            for child in temporary.rglob("*"):
                if child.is_file():
                    sync_file(child)
        else:
            sync_file(temporary)
        move_into_place(temporary, target)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError) and _is_about(error, temporary):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def _is_about(error: OSError, temporary: Path) -> bool:
    """Whether it says that this file, or one in this folder, cannot be written."""
    named = str(error.filename or "").removeprefix("file:")  # FFmpeg's names
    return temporary.name in Path(named).parts if named else error.errno in OF_A_WRITE


@contextmanager
def naming_disk_errors(path: Path) -> Iterator[None]:
    """While ``path`` is written: an OSError of the disk names it.

    Libraries have errors of their own: where it was the disk, that OSError is raised instead.
    """
    try:
        yield
    except OSError as error:
        if error.filename or error.errno not in OF_A_WRITE:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except Exception as error:
        code = _disk_error(error, path)
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def _disk_error(error: Exception, path: Path) -> int | None:
    """The system's number for what a library could not write; None where it was something else."""
    if shutil.disk_usage(path.parent).free < NEARLY_FULL:
        return errno.ENOSPC
    if told := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors
        return int(told[1])
    if not isinstance(error, RuntimeError) or "inline_container" not in str(error):  # torch's writer of archives
        return None
    # It tells in words why a file cannot be opened, and keeps to itself why it cannot be written.
    return next((code for code in errno.errorcode if os.strerror(code) in str(error)), errno.EIO)


def write_bytes(target: Path, data: bytes) -> None:
    with write_atomically(target) as temporary:
        temporary.write_bytes(data)


def write_json(target: Path, value: Any, *, indent: int | None = None) -> None:
    # ASCII, so that no file name and no system's own encoding can spoil it.
    compact: dict[str, Any] = {"sort_keys": True, "separators": (",", ":")}
    text = json.dumps(value, allow_nan=False, **(compact if indent is None else {"indent": indent}))
    write_bytes(target, (text + "\n").encode("ascii"))


def remove(path: Path) -> None:
    """Delete a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def folder_bytes(folder: Path) -> int:
    """Sum of the sizes of the files below ``folder``; files that vanish meanwhile count as 0."""
    total = 0
    for child in folder.rglob("*"):
        with suppress(OSError):
            total += child.stat().st_size if child.is_file() else 0
    return total
