"""Files of the project in programs of this machine: a painted frame in a paint program, others in the file manager."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.system import MACOS, WINDOWS

# Headers of requests that a proxy on this machine passes on for somebody else.
FORWARDING = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
WAIT_S = 3.0  # for a program that cannot start to say so; those that run on are left alone


def is_same_machine(host: str | None, *, is_open: bool) -> bool:
    """Return whether a request comes from this machine.

    ``host``: the client's address. ``is_open``: other machines reach the server; then a proxy here may pass on what
    others ask, and nobody is known to sit here.
    """
    if is_open or not host:
        return False
    try:
        found = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def open_in_program(path: Path, root: Path) -> None:
    """Open a file in the system's default program for its kind. Raises UsageError if there is none.

    ``root``: the project's folder, of which no program is started.
    """
    if WINDOWS:
        try:
            os.startfile(path)  # type: ignore[attr-defined,unused-ignore]
        except OSError as error:
            raise _failed(path, error.strerror or "no program opens it") from None
        return
    _start([_opener(path, root), str(path)], path)


def show_in_file_manager(path: Path, root: Path) -> None:
    """Show a file in the system's file manager. Raises UsageError if there is none."""
    if WINDOWS:
        manager = Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "explorer.exe"
        subprocess.Popen(f'"{manager}" /select,"{path}"', cwd=manager.parent)
    elif MACOS:
        _start([_opener(path, root), "-R", str(path)], path)
    else:
        _start([_opener(path, root), str(path.parent)], path)


def _opener(path: Path, root: Path) -> str:
    """Return the program of this system that opens files. Raises UsageError."""
    if not MACOS and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise _failed(path, "this machine shows no windows")
    name = "open" if MACOS else "xdg-open"
    found = shutil.which(name)
    if found is None or not os.path.isabs(found) or root in Path(found).resolve().parents:
        raise _failed(path, f"the program {name} is not installed")
    return found


def _start(words: Sequence[str], path: Path) -> None:
    process = subprocess.Popen(
        words,
        cwd=Path(words[0]).parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        status = process.wait(WAIT_S)
    except subprocess.TimeoutExpired:  # it is the program
        threading.Thread(target=process.wait, daemon=True, name="own program").start()
        return
    if status:
        raise _failed(path, "no program is set up for this kind of file")


def _failed(path: Path, why: str) -> UsageError:
    return UsageError(path.name, f"it cannot be opened: {why}", "open it from the folder yourself")
