"""Which files are open or mapped, in this process and in its relatives."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

_listdir, _readlink, _open_file, _lstat = os.listdir, os.readlink, open, os.lstat
_MARK = b"EMULATED_SYSTEM="
_NEVER_MAPPED = (".json", ".jsonl", ".png", ".csv", ".html", ".TAG", ".lock")  # to read all that is mapped takes time
_relatives: dict[tuple[int, int], bool] = {}  # (process, inode of its folder in /proc) → whether it is emulated, too


def is_held(path: Any) -> bool:
    """Return whether a process has a file open or mapped."""
    return _find_holder(os.path.realpath(os.fsdecode(path)), below=False, cwd_only=False)


def held_in(path: Any, *, cwd_only: bool = False) -> bool:
    """Return whether a process has a file, or one in a folder, open or mapped, or works in that folder."""
    return _find_holder(os.path.realpath(os.fsdecode(path)), below=True, cwd_only=cwd_only)


def _find_holder(path: str, *, below: bool, cwd_only: bool) -> bool:
    for pid in _processes():
        places = [_link(f"/proc/{pid}/cwd")] if below and os.path.isdir(path) else []
        if not cwd_only:
            places += _files_of(pid, path)
        if any(place == path or (below and place.startswith(path + "/")) for place in places):
            return True
    return False


def _processes() -> list[str]:
    """Return the processes under the emulation."""
    others = [name for name in _listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    return ["self", *(name for name in others if _is_relative(int(name)))]


def _is_relative(pid: int) -> bool:
    try:
        key = pid, _lstat(f"/proc/{pid}").st_ino
    except OSError:
        return False
    if key not in _relatives:
        content = b""
        with suppress(OSError), _open_file(f"/proc/{pid}/environ", "rb") as file:
            content = file.read()
        _relatives[key] = any(entry.startswith(_MARK) and entry != _MARK for entry in content.split(b"\0"))
    return _relatives[key]


def _files_of(pid: str, start: str) -> list[str]:
    """Return the open and mapped files of a process that begin like this; folders are not held by who lists them."""
    found = []
    try:
        found = [_link(f"/proc/{pid}/fd/{handle}") for handle in _listdir(f"/proc/{pid}/fd")]
        content = b""
        if not start.endswith(_NEVER_MAPPED):
            with _open_file(f"/proc/{pid}/maps", "rb") as maps:
                content = maps.read()
        if os.fsencode(start) in content:
            found += [os.fsdecode(line[line.index(b"/") :]) for line in content.split(b"\n") if b" /" in line]
    except OSError:  # it has ended
        pass
    return [place for place in found if place.startswith(start) and not os.path.isdir(place)]


def _link(path: str) -> str:
    try:
        return _readlink(path)
    except OSError:
        return ""
