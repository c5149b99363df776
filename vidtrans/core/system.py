"""Differences between operating systems in file names, files in use, processes and memory."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

WINDOWS = os.name == "nt"  # Whether this system is Windows
MACOS = sys.platform == "darwin"  # Whether this system is macOS

_DEFAULT_NAME_LIMIT = 255  # Maximum ``name_length`` of a file name if the system reports no limit
_WINDOWS_PATH_LIMIT = 259  # Maximum length of a path on Windows without long paths, in UTF-16 units
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')  # Characters that Windows refuses in file names
# File names that Windows reserves for devices: NUL, COM1.txt
_DEVICES = re.compile(r"(CON|PRN|AUX|NUL|(COM|LPT)[1-9¹²³])(\..*)?", re.IGNORECASE)
# Pauses between retries, in seconds: a virus scanner, indexer or backup briefly opens each new file.
_RETRIES_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


def name_length(name: str) -> int:
    """Return the length of a file's name in the system's unit: bytes, or UTF-16 units on Windows."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2 if WINDOWS else len(os.fsencode(name))


def max_name_length(folder: Path) -> int:
    """Return the largest ``name_length`` of a file in ``folder``, which need not exist."""
    for place in (folder, *folder.absolute().parents):
        with suppress(OSError, ValueError, AttributeError):  # Windows has no ``pathconf``.
            return os.pathconf(place, "PC_NAME_MAX")
    return _DEFAULT_NAME_LIMIT


def path_key(path: Path) -> str:
    """Return a text that is equal for all spellings of a path; in lower case where the system ignores case."""
    text = str(path.resolve())
    return unicodedata.normalize("NFC", text).lower() if WINDOWS or MACOS else text


def name_key(name: str) -> str:
    """Return a name in Unicode form NFC, equal for all spellings of accents (macOS stores é as e and an accent)."""
    return unicodedata.normalize("NFC", name)


def path_as_stored(path: Path) -> Path:
    """Return a path in the Unicode normalisation of the file system's names.

    Names that do not exist in any normalisation are unchanged.
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[len(found.parts) :]:
        place = found / part
        if not part.isascii() and not os.path.lexists(place):
            with suppress(OSError, ValueError):  # The parent is not a folder, or cannot be read.
                alike = [name for name in os.listdir(found) if name_key(name) == name_key(part)]
                place = found / min(alike, default=part)
        found = place
    return found


def max_path_length() -> int | None:
    """Return the maximum length of a path on Windows, in UTF-16 units; None on other systems, or with long paths."""
    if not WINDOWS:
        return None
    with suppress(AttributeError, OSError, ImportError):
        import ctypes

        if ctypes.windll.ntdll.RtlAreLongPathsEnabled():  # type: ignore[attr-defined,unused-ignore]
            return None
    return _WINDOWS_PATH_LIMIT


def windows_name_problem(name: str) -> str:
    """Return the reason why Windows refuses a file or folder name; '' for a valid name, and on other systems."""
    if not WINDOWS or name in ("", ".", ".."):
        return ""
    if found := _FORBIDDEN.search(name):
        return f"Windows takes no {found[0]!r} in a name"
    if _DEVICES.fullmatch(name):
        return "Windows keeps this name for a device"
    return "Windows takes no space or dot at the end of a name" if name[-1] in " ." else ""


def is_too_long(path: str, room: int = 0) -> bool:
    """Return whether a path plus ``room`` characters is too long for Windows; False on other systems."""
    limit = max_path_length()
    return limit is not None and name_length(os.path.abspath(path)) + room > limit


def retry_while_in_use(call: Callable[[], object]) -> None:
    """Call a function that moves or deletes a file; on Windows, retry for 1.6 s while another program has it open.

    Raises the OSError of ``call``: PermissionError if the file stays in use.
    """
    for pause_s in _RETRIES_S if WINDOWS else ():
        try:
            call()
        except PermissionError:
            time.sleep(pause_s)
        else:
            return
    call()


def command_line(words: Sequence[str]) -> str:
    """Quote words as a command line of the system's shell."""
    return subprocess.list2cmdline(words) if WINDOWS else shlex.join(words)


def is_alive(pid: int) -> bool:
    """Return whether a process is running; a zombie process is not."""
    if not WINDOWS:  # On Windows, ``os.kill`` ends the process.
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True  # The process belongs to another user.
    import psutil  # The import takes milliseconds, and ``vidtrans --help`` imports this module.

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return not WINDOWS  # On other systems than Windows, the process exists, and the system hides it.
    except psutil.Error:
        return True


def peak_memory() -> int:
    """Return this process's peak memory in bytes."""
    if WINDOWS:
        import psutil

        memory = psutil.Process().memory_info()
        return int(getattr(memory, "peak_wset", memory.rss))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if MACOS else peak * 1024
