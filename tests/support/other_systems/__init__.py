"""Emulate the rules of Windows or of macOS on Linux, in this process and in all Python processes that it starts.

``pytest --as-system windows|macos`` runs tests under it. Three kinds of rules:

- names that the system lacks are hidden from vidtrans and from the tests, and ``os.name`` and ``sys.platform`` answer
  them as the system does (``hidden``); libraries see the real system, so that they keep working;
- calls on files and processes fail for everybody as they fail there (``files``, ``names``, ``processes``);
- text without an encoding is the system's own (``text``).

What native code does (FFmpeg, OpenCV, safetensors, which open files by themselves) is not covered, but for the files
that it holds open or mapped; nor are drive letters, backslashes and file attributes.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from other_systems import files, hidden, names, processes, text
from other_systems.callers import BrokenRule as BrokenRule

OPTION = "--as-system"
VARIABLE = "EMULATED_SYSTEM"  # names the emulated system to child processes
SYSTEMS = ("windows", "macos")
START = Path(__file__).parent / "start"

_current = ""


def current() -> str:
    """Return the name of the emulated system; '' for none."""
    return _current


def variables(system: str) -> dict[str, str]:
    """Return the variables with which a Python process, and those that it starts, emulate a system; '' for none."""
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p) != START]
    path = os.pathsep.join([str(START), *others] if system else others)
    return {"PYTHONPATH": path, VARIABLE: system, **(_temporary_folder() if system == "macos" else {})}


def _temporary_folder() -> dict[str, str]:
    """Return the folder for temporary files, which macOS has behind a link (/var leads to /private/var)."""
    given = Path(os.environ.get("TMPDIR", tempfile.gettempdir()))
    if given.is_symlink():
        return {}
    folder = Path(tempfile.mkdtemp(prefix="macos-"))
    (folder / "private").mkdir()
    (folder / "var").symlink_to("private")
    return {"TMPDIR": str(folder / "var")}


def emulate(system: str) -> None:
    """Emulate a system from now on: call it once, before vidtrans is imported. It cannot be taken back.

    Raises ValueError where the name is none, or another system is emulated already.
    """
    global _current
    if system not in SYSTEMS or _current not in ("", system):
        raise ValueError(f"cannot emulate '{system}'" + (f" on top of '{_current}'" if _current else ""))
    if _current:
        return
    _current = system
    os.environ.update(variables(system))
    names.install(system)
    files.install(system)
    text.install(system)
    processes.install(system)
    hidden.install(system)  # last: the others need what it hides


def emulate_requested(arguments: Sequence[str]) -> None:
    """Emulate the system that pytest's command line names, if any."""
    for at, word in enumerate(arguments):
        name, equals, system = word.partition("=")
        if name == OPTION:
            emulate(system if equals else arguments[at + 1])


def fsync_like(replacement: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return what tests put in the place of ``os.fsync``, which keeps the emulated system's rule."""
    return files.fsync_rule(replacement) if _current == "windows" else replacement


def emulate_output() -> None:
    """Give standard output and standard error the encoding that they have on Windows in a pipe."""
    if _current == "windows":
        for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
            if stream is not None and not stream.isatty():
                stream.reconfigure(encoding="cp1252", errors=errors, newline="\r\n")
