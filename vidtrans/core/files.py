"""Files: write them atomically, read small ones safely, compute digests, and name them in errors.

Partial files have hidden names with the mark of a process, so that the files of killed processes can be found.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vidtrans.core.errors import MediaError, VidtransError
from vidtrans.core.system import WINDOWS, is_alive, max_name_length, name_length, retry_while_in_use

PARTIAL = ".partial"  # Suffix of the names of unfinished files
# Identifier of this host in the names of partial files, because hosts may share a folder
HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
PROCESS = "[0-9a-f]{8}-[0-9]+"  # Regular expression for the mark of a process (``process_mark``): 1a2b3c4d-1234
_MARK_LENGTH = 8 + 1 + 10  # Maximum length of ``process_mark``
# Age in seconds above which another host's partial file counts as left by a killed process, which is not visible here
_STALE_AGE_S = 86_400.0
# Maximum ``name_length`` of a suffix that a partial file's name keeps; a longer one is not a file type
_MAX_SUFFIX_LENGTH = 32
PACKAGE = Path(__file__).parent.parent  # Folder of the package, with its data files
PHOTOGRAPHS = PACKAGE / "assets" / "frames"  # Folder of the photographs that ship
CACHE_FOLDER = ".vidtrans"  # Default name of the cache folder
DATASET_FILE = "dataset.json"  # Name of the index file in a dataset's folder
TRAINING_FILE = "training.json"  # Name of the status file in the folder of a training's previews
IN_USE = "another program has it open"  # Reason in the error for a file that cannot be replaced
# Maximum size in bytes of a file for ``read_small_file``; no JSON file that vidtrans writes is larger
_MAX_SMALL_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 20  # Size of the blocks that ``digest_file`` reads, in bytes
_TOO_DEEP = "it is nested too deeply"  # Reason in the error for JSON with too many levels of brackets
# Free disk space in bytes below which a full disk is taken for the cause of a failed write
_NEARLY_FULL_BYTES = 1 << 20
# Numbers (errno) of errors that only writes cause, and for which the system does not name the file
_WRITE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# Placeholder of the number in the pattern of numbered pictures: %d, or %05d for at least five digits
NUMBER = re.compile("%(?:0(?P<digits>[0-9]{1,2}))?d(?![A-Za-z])")


def canonical_json(value: object) -> str:
    """Return JSON text, compact and with sorted keys: equal values give equal text.

    Raises ValueError on NaN, infinity and deep nesting.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value's canonical JSON, as hexadecimal text."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()


def base_name(path: Path) -> str:
    """Return a path's name without extension; for numbered pictures (clip.%05d.png), without the placeholder."""
    path = path.resolve()
    if path.is_dir():
        return path.name
    if NUMBER.search(path.stem) and not path.exists():
        return NUMBER.sub("", path.stem).strip("._- ") or path.parent.name or "pictures"
    return path.stem


def special_file_kind(path: Path) -> str:
    """Return the kind of a special file, such as "a pipe"; "" for files, folders and missing paths."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return ""
    kinds = {stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "")


def check_regular_file(path: Path, error: type[VidtransError] = MediaError) -> None:
    """Refuse pipes, devices and sockets as inputs, since opening or reading them may block. Raises ``error``."""
    if kind := special_file_kind(path):
        raise error(str(path), f"it is {kind}, not a file", "save its content to a file, and give that")


def digest_file(path: Path, check: Callable[[], None] | None = None) -> str:
    """Return the SHA-256 (hex) of a file's content. ``check`` is called between blocks, and may raise."""
    sha256 = hashlib.sha256()
    # Open without blocking, because the file may have been replaced by a pipe.
    with open(path, "rb", buffering=0, opener=_open_nonblocking) as stream:
        block = memoryview(bytearray(_BLOCK_BYTES))
        while count := stream.readinto(block):
            sha256.update(block[:count])
            if check:
                check()
    return sha256.hexdigest()


def _open_nonblocking(path: str, flags: int) -> int:
    """Open a file without blocking, also if it is a pipe; return its descriptor. An ``opener`` for ``open``."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def read_small_file(path: Path) -> bytes:
    """Return the content of a small file, of at most 256 MiB.

    Raises OSError if it cannot be read, and ValueError if it is not a regular file or is too large.
    """
    if kind := special_file_kind(path):
        raise ValueError(f"it is {kind}, not a file")
    with open(path, "rb", opener=_open_nonblocking) as stream:
        content = stream.read(_MAX_SMALL_BYTES + 1)
    if len(content) > _MAX_SMALL_BYTES:
        raise ValueError("it is too large")
    return content


def parse_json(text: str | bytes) -> Any:  # noqa: ANN401  (JSON)
    """Parse JSON text. Raises ValueError if it is not JSON, or is nested too deeply."""
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8") from None
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def read_small_json(path: Path) -> Any:  # noqa: ANN401  (JSON)
    """Parse a small JSON file. Raises the errors of ``read_small_file`` and ``parse_json``."""
    return parse_json(read_small_file(path))


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut; do nothing on Windows."""
    with suppress(OSError):  # Windows cannot open folders.
        _sync(folder, os.O_RDONLY)


def sync_file(path: Path) -> None:
    """Flush a file from the system's cache to the disk."""
    _sync(path, os.O_RDWR)  # Windows cannot flush a read-only handle.


def _sync(path: Path, flags: int) -> None:
    """Flush a file or folder to the disk. ``flags``: for ``os.open``."""
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def link_target(path: Path) -> Path:
    """Return the target of a link, which need not exist; other paths are returned unchanged.

    Writing to the target leaves the link in place. Use it only for results that a user named: other links are refused.
    """
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def remove_stale_partials(target: Path) -> None:
    """Delete the partial files of killed processes for ``target``; files of running processes stay."""
    for partial in stale_partials(target):
        remove(partial)


def refresh_folder_listing(folder: Path) -> None:
    """Refresh the names in a folder that an NFS client has cached. The folder need not exist.

    For 30 to 60 seconds after a client has not found a name, it treats the name as absent, even if another host creates
    it (``acdirmin`` in nfs(5)). Opening the folder refreshes the cache, except on mounts with ``nocto``.
    """
    with suppress(OSError, ValueError):  # The folder may not exist, or its name may be invalid.
        try:
            os.scandir(folder).close()
        except FileNotFoundError:
            if folder.parent != folder:
                refresh_folder_listing(folder.parent)
                os.scandir(folder).close()


def move_into_place(finished: Path, target: Path) -> None:
    """Rename a finished file or folder to its final name, replacing an existing one.

    Raises OSError, with EBUSY if another program has ``target`` open: on Windows, ``target`` is then unchanged.
    """
    finish_replacing(target)
    if target.is_dir() and not target.is_symlink():
        _rename(target, replaced_path(target), target)
    try:
        _rename(finished, target, target)
    except BaseException:
        finish_replacing(target)
        raise
    sync_folder(target.parent)
    remove(replaced_path(target))


def _rename(old: Path, new: Path, target: Path) -> None:
    """Rename a file or folder. Raises OSError, with EBUSY if another program has ``target`` open."""
    try:
        retry_while_in_use(lambda: os.replace(old, new))
    except PermissionError as error:
        is_read_only = target.is_file() and not target.stat().st_mode & stat.S_IWRITE
        if not WINDOWS or not target.exists() or is_read_only:
            raise
        raise OSError(errno.EBUSY, IN_USE, str(target)) from error


def finish_replacing(target: Path) -> None:
    """Clean up after a process that was killed while it replaced the folder ``target``.

    If ``target`` is missing, the old folder is restored; otherwise the old folder is deleted.
    """
    old = replaced_path(target)
    if not old.exists():
        return
    if not target.exists():
        retry_while_in_use(lambda: os.replace(old, target))
    remove(old)


@contextmanager
def ignore_files_in_use(note: Callable[[str], None]) -> Iterator[None]:
    """Ignore the error of replacing a file that another program has open; call ``note`` with a message instead.

    Used for files that people open during a job, such as previews: a file in use must not end the job.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        note(f"{error.filename}: {IN_USE}; it was not refreshed")


@contextmanager
def write_atomically(target: Path) -> Iterator[Path]:
    """Yield a temporary path; on success fsync it and rename it to ``target``, on failure delete it.

    An OSError of the disk names ``target``, because the user does not know the temporary name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = partial_path(target)
    remove_stale_partials(target)
    try:
        yield temporary
        for path in filter(Path.is_file, temporary.rglob("*")) if temporary.is_dir() else (temporary,):
            sync_file(path)
        move_into_place(temporary, target)
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            # The error of a failed copy has two file names: the second is the target. In errors of FFmpeg, a file name
            # begins with "file:".
            name = str(error.filename2 or error.filename or "").removeprefix("file:")
            if temporary.name in Path(name).parts if name else error.errno in _WRITE_ERRORS:
                raise OSError(error.errno, error.strerror, str(target)) from error
        raise


@contextmanager
def convert_disk_errors(path: Path) -> Iterator[None]:
    """Convert a disk error in this block, even one that a library wrapped, to an OSError that names ``path``."""
    try:
        yield
    except Exception as error:
        code = _disk_error(error, path)
        if code is None:
            raise
        raise OSError(code, getattr(error, "strerror", "") or os.strerror(code), str(path)) from error


def _disk_error(error: Exception, path: Path) -> int | None:
    """Return the number (errno) of a write error that names no file; None for other errors.

    ``path``: the written file, whose disk may be full.
    """
    if isinstance(error, OSError):
        return None if error.filename or error.errno not in _WRITE_ERRORS else error.errno
    if shutil.disk_usage(path.parent).free < _NEARLY_FULL_BYTES:
        return errno.ENOSPC
    if match := re.search(r"\(os error (\d+)\)", str(error)):  # The text of safetensors, which is written in Rust.
        return int(match[1])
    if not isinstance(error, RuntimeError) or "inline_container" not in str(error):  # torch's archive writer
        return None
    # The message of torch's archive writer has the reason if a file cannot be opened, but not if a write fails.
    return next((code for code in errno.errorcode if os.strerror(code) in str(error)), errno.EIO)


def write_bytes(target: Path, data: bytes) -> None:
    """Write a file atomically: the file has its old content until the new one is complete."""
    with write_atomically(target) as temporary:
        temporary.write_bytes(data)


def write_json(target: Path, value: object, *, indent: int | None = None) -> None:
    """Write a JSON file atomically, indented, or compact with sorted keys; in ASCII, which every encoding contains."""
    separators = (",", ":") if indent is None else None
    text = json.dumps(value, allow_nan=False, indent=indent, sort_keys=indent is None, separators=separators)
    write_bytes(target, (text + "\n").encode("ascii"))


def remove(path: Path) -> None:
    """Delete a file or folder if it exists. On Windows, files that another program has open are kept."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        retry_while_in_use(lambda: path.unlink(missing_ok=True))
    except PermissionError:
        if not WINDOWS:
            raise


def folder_bytes(folder: Path) -> int:
    """Return the total size of the files below ``folder`` in bytes; files that are deleted meanwhile count as 0."""
    total = 0
    for parent, _, names in os.walk(folder):  # Unlike ``rglob``, it ignores folders that are deleted meanwhile.
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def process_mark() -> str:
    """Return an ID of this process that is unique among the hosts that share a folder."""
    return f"{HOST}-{os.getpid()}"


def partial_path(target: Path) -> Path:
    """Return the hidden temporary path beside ``target`` (in the same folder, so that the rename is atomic)."""
    before, after = _partial_name(target)
    return target.with_name(f"{before}{process_mark()}{after}")


def replaced_path(target: Path) -> Path:
    """Return the hidden path to which the old folder ``target`` is moved while a new folder replaces it."""
    return target.with_name(_hidden_name(target, target.name, ".replaced") + ".replaced")


def stale_partials(target: Path) -> list[Path]:
    """Return the partial files of ``target`` that killed processes, or this process, left."""
    before, after = _partial_name(target)
    stale = []
    for name in os.listdir(target.parent):
        mark = name[len(before) : -len(after)]
        if name == f"{before}{mark}{after}" and re.fullmatch(PROCESS, mark) and _is_stale(target.with_name(name), mark):
            stale.append(target.with_name(name))
    return stale


def _is_stale(partial: Path, mark: str) -> bool:
    """Return whether the process that wrote a partial file has ended, or is this process. ``mark``: its mark."""
    host, _, number = mark.partition("-")
    if host == HOST:
        return int(number) == os.getpid() or not is_alive(int(number))
    with suppress(OSError):
        return time.time() - partial.stat().st_mtime > _STALE_AGE_S
    return False


def _partial_name(target: Path) -> tuple[str, str]:
    """Return the beginning and the ending of the name of a partial file; the mark of the process is between them.

    ``target``: the finished file, after which the partial file is named.
    """
    suffix = target.suffix if name_length(target.suffix) <= _MAX_SUFFIX_LENGTH else ""
    after = f"{PARTIAL}{suffix}"
    stem = target.name[: len(target.name) - len(suffix)]
    return _hidden_name(target, stem, f".{'0' * _MARK_LENGTH}{after}") + ".", after


def _hidden_name(target: Path, stem: str, ending: str) -> str:
    """Return the hidden name '.STEM', cut so that a name with ``ending`` is not too long.

    A cut stem ends with a digest of the whole name.
    """
    room = max_name_length(target.parent) - name_length(f".{ending}")
    if name_length(stem) <= room:
        return f".{stem}"
    mark = f"~{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}"
    while name_length(stem + mark) > room:
        stem = stem[:-1]  # Cut whole characters, because FFmpeg refuses incomplete ones.
    return f".{stem}{mark}"


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder recursively. Raises the first OSError; ``shutil.copytree`` loses its errno."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    target.mkdir()
    for path in source.iterdir():
        copy(path, target / path.name)
