"""Names of files: which a system refuses, and which it takes for the same."""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from typing import Any

LONGEST_PATH, LONGEST_FOLDER = 259, 247  # UTF-16 units, where long paths are not switched on
_RESERVED = re.compile(r"(CON|PRN|AUX|NUL|COM[1-9¹²³]|LPT[1-9¹²³])(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')

_real_lstat, _real_listdir = os.lstat, os.listdir
_is_windows = False


def install(system: str) -> None:
    """Take a system's rules."""
    global _is_windows
    _is_windows = system == "windows"


def actual(path: Any) -> Any:
    """Return the path as it is written on the disk, where it differs in case or Unicode form from the one given."""
    if isinstance(path, int):
        return path
    try:
        text = os.fsdecode(path)
        _real_lstat(text)
        return path
    except (OSError, ValueError, TypeError):
        pass
    if not text or text.startswith("/proc/"):
        return path
    found = _find(text)
    if found == text:
        return path
    return os.fsencode(found) if isinstance(path, bytes) else found


def _find(text: str) -> str:
    """Return the path with each part as its folder has it; what is not there stays as it is."""
    folder, slash, name = text.rpartition("/")
    if folder and not _exists(folder):
        folder = _find(folder)
    if name in ("", ".", ".."):
        return folder + slash + name
    try:
        names = _real_listdir(folder or slash or ".")
    except OSError:
        return folder + slash + name
    if name not in names:
        wanted = _plain(name)
        name = next((other for other in names if _plain(other) == wanted), name)
    return folder + slash + name


def _exists(path: str) -> bool:
    try:
        _real_lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _plain(name: str) -> str:
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def check_length(path: Any, *, folder: bool = False) -> None:
    """Raise FileNotFoundError where a path is longer than Windows takes."""
    if not _is_windows or isinstance(path, int):
        return
    whole = os.path.abspath(os.fsdecode(path))
    if len(whole.encode("utf-16-le", "surrogatepass")) // 2 > (LONGEST_FOLDER if folder else LONGEST_PATH):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def check_name(path: Any) -> None:
    """Raise OSError where Windows takes no file or folder of a name."""
    if not _is_windows or isinstance(path, int):
        return
    name = os.path.basename(os.fsdecode(path).rstrip("/"))
    if name not in ("", ".", "..") and (_RESERVED.fullmatch(name) or _FORBIDDEN.search(name)):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
