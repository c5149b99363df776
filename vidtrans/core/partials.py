"""Names of partial files and folders during writing, and the search for those that killed processes left."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
from contextlib import suppress
from pathlib import Path

from vidtrans.core.system import is_alive, name_length, name_limit

PARTIAL = ".partial"
HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]  # processes of several hosts may share a folder
PROCESS = "[0-9a-f]{8}-[0-9]+"  # the form of ``process_mark``
_MARK_LENGTH = 8 + 1 + 10
_ABANDONED_S = 86_400.0  # age from which another host's half-written file is stale, whose process is not known here
_LONGEST_SUFFIX = 32  # a longer ending of a name is not a file type


def process_mark() -> str:
    """Return a text that identifies this process among all processes on all hosts that may share a folder."""
    return f"{HOST}-{os.getpid()}"


def partial_path(target: Path) -> Path:
    """Return the hidden temporary path beside ``target`` (in the same folder, so that the rename is atomic)."""
    before, after = _partial_name(target)
    return target.with_name(f"{before}{process_mark()}{after}")


def replaced_path(target: Path) -> Path:
    """Return the hidden path for an old folder while the new one gets the name of ``target``."""
    return target.with_name(_hidden_name(target, target.name, ".replaced") + ".replaced")


def stale_partials(target: Path) -> list[Path]:
    """Return the partial files of ``target`` left by killed processes, or by this one; not of running processes."""
    before, after = _partial_name(target)
    found = []
    for name in os.listdir(target.parent):
        mark = name[len(before) : -len(after)]
        if name == f"{before}{mark}{after}" and re.fullmatch(PROCESS, mark) and _is_stale(target.with_name(name), mark):
            found.append(target.with_name(name))
    return found


def _is_stale(partial: Path, mark: str) -> bool:
    """Return whether the process that wrote a partial file has ended, or is this one."""
    host, _, number = mark.partition("-")
    if host == HOST:
        return int(number) == os.getpid() or not is_alive(int(number))
    with suppress(OSError):
        return time.time() - partial.stat().st_mtime > _ABANDONED_S
    return False


def _partial_name(target: Path) -> tuple[str, str]:
    """Return the parts of ``partial_path``'s name before and after the mark of a process."""
    suffix = target.suffix if name_length(target.suffix) <= _LONGEST_SUFFIX else ""
    after = f"{PARTIAL}{suffix}"
    stem = target.name[: len(target.name) - len(suffix)]
    return _hidden_name(target, stem, f".{'0' * _MARK_LENGTH}{after}") + ".", after


def _hidden_name(target: Path, stem: str, ending: str) -> str:
    """Return '.STEM' with room for ``ending``; a too long stem is cut and gets a digest of the whole name."""
    room = name_limit(target.parent) - name_length(f".{ending}")
    if name_length(stem) <= room:
        return f".{stem}"
    mark = f"~{hashlib.sha256(os.fsencode(target.name)).hexdigest()[:12]}"
    while name_length(stem + mark) > room:
        stem = stem[:-1]  # never in the middle of a character, which FFmpeg could not be told
    return f".{stem}{mark}"


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all in it. Raises the first OSError; ``shutil.copytree`` loses its number."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    target.mkdir()
    for path in source.iterdir():
        copy(path, target / path.name)
