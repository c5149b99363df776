"""Files that a page sends, part by part: written to the disk as they come, and checked before they get their name."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import move_into_place
from vidtrans.core.settings import Table
from vidtrans.studio.project_folder import ProjectFolder, file_kind

LARGEST = 64 << 30  # bytes of a file
RESERVED = 1 << 30  # bytes of the disk that an upload leaves free
SAFETENSORS = ".safetensors"
TAKEN = ("clip", "picture", "model")  # kinds of files


class Uploads:
    """The uploads of a project. ``check``: raises MediaError for a file that is no media."""

    def __init__(self, folder: ProjectFolder, check: Callable[[Path], Table]) -> None:
        self._folder, self._check, self._lock = folder, check, Lock()

    def received(self, name: str, whole: int, stamp: int) -> int:
        """Return the number of bytes of an unfinished upload that are there. Raises UsageError."""
        partial = self._partial(name, whole, stamp)
        return partial.stat().st_size if partial.is_file() else 0

    def add(self, name: str, offset: int, whole: int, stamp: int, part: bytes, replace: bool = False) -> bool:
        """Add a part of a file of ``whole`` bytes at ``offset``; return whether it is complete and has its name.

        ``stamp``: when the file was changed last, so that no other file of its name and size is continued. ``replace``:
        the file may exist, as what is painted on a frame. Raises UsageError, MediaError, OSError.
        """
        with self._lock:
            target, partial = self._folder.place(name), self._partial(name, whole, stamp)
            self._check_wanted(name, target, offset, whole, len(part), replace=replace)
            partial.parent.mkdir(parents=True, exist_ok=True)
            if offset == 0:
                partial.unlink(missing_ok=True)
            elif (there := self.received(name, whole, stamp)) != offset:
                raise UsageError(name, f"{there} bytes of it are here, not {offset}", "send it again")
            with partial.open("ab") as file:
                file.write(part)
            if offset + len(part) < whole:
                return False
            try:
                self._check_content(target, partial)
            except MediaError:
                partial.unlink()
                raise
            target.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(partial, target)
            return True

    def _check_wanted(self, name: str, target: Path, offset: int, whole: int, length: int, *, replace: bool) -> None:
        """Raise UsageError if a file is not taken here."""
        if file_kind(target) not in TAKEN:
            raise UsageError(name, "it is no clip, picture or model", "choose another file")
        if target.exists() and not replace:
            raise UsageError(name, "it exists already", "rename one of the two")
        if not 0 < whole <= LARGEST or offset + length > whole:
            raise UsageError(name, f"a file has 1 byte to {LARGEST >> 30} GiB", "choose another file")
        if shutil.disk_usage(self._folder.root).free - (whole - offset) < RESERVED:
            raise UsageError(name, "the disk is nearly full", "free some space")

    def _check_content(self, target: Path, partial: Path) -> None:
        """Raise MediaError if a file is not what its ending says; weights are checked by those who load them."""
        if file_kind(target) != "model":
            try:
                self._check(partial)
            except MediaError:  # its words are about the partial file
                why = "it cannot be read as a video or picture"
                raise MediaError(target.name, why, "choose another file, or convert it first") from None
        elif target.suffix.lower() == SAFETENSORS and not _has_header(partial):
            raise MediaError(target.name, "it is no model file", "choose another file")

    def _partial(self, name: str, whole: int, stamp: int) -> Path:
        target = self._folder.place(name)
        mark = hashlib.sha256(f"{name}\n{whole}\n{stamp}".encode()).hexdigest()[:32]
        return self._folder.state / "uploads" / f"{mark}{target.suffix}"


def _has_header(path: Path) -> bool:
    """Return whether a file has the header of a safetensors file, and the data that it announces."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy"):
            return True
    except (SafetensorError, OSError, ValueError):
        return False
