"""Files that a page sends, part by part: written to the disk as they come, and checked before they get their name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import move_into_place
from vidtrans.core.settings import Table
from vidtrans.studio.project_folder import ProjectFolder, file_kind

LARGEST = 64 << 30  # bytes of a file
RESERVED = 1 << 30  # bytes of the disk that an upload leaves free
TAKEN = ("clip", "picture", "model")  # kinds of files


class Uploads:
    """The uploads of a project. ``check``: raises MediaError for a file that is no media."""

    def __init__(self, folder: ProjectFolder, check: Callable[[Path], Table]) -> None:
        self._folder, self._check = folder, check

    def received(self, name: str) -> int:
        """Return the number of bytes of an unfinished upload that are there. Raises UsageError."""
        partial = self._partial(name)
        return partial.stat().st_size if partial.is_file() else 0

    def add(self, name: str, offset: int, whole: int, part: bytes, *, replace: bool = False) -> bool:
        """Add a part of a file of ``whole`` bytes at ``offset``; return whether it is complete and has its name.

        ``replace``: the file may exist, as what is painted on a frame. Raises UsageError, MediaError, OSError.
        """
        target, partial = self._folder.place(name), self._partial(name)
        if file_kind(target) not in TAKEN:
            raise UsageError(name, "it is no clip, picture or model", "choose another file")
        if target.exists() and not replace:
            raise UsageError(name, "it exists already", "rename one of the two")
        partial.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self._folder.root).free
        if not 0 < whole <= LARGEST or offset + len(part) > whole:
            raise UsageError(name, f"a file has 1 byte to {LARGEST >> 30} GiB", "choose another file")
        if free - (whole - offset) < RESERVED:
            raise UsageError(name, "the disk is nearly full", "free some space")
        if offset == 0:
            partial.unlink(missing_ok=True)
        elif self.received(name) != offset:
            raise UsageError(name, f"{self.received(name)} bytes of it are here, not {offset}", "send it again")
        with partial.open("ab") as file:
            file.write(part)
        if offset + len(part) < whole:
            return False
        if file_kind(target) != "model":  # a model is checked by those who load it
            try:
                self._check(partial)
            except MediaError:
                partial.unlink()
                raise
        target.parent.mkdir(parents=True, exist_ok=True)
        move_into_place(partial, target)
        return True

    def _partial(self, name: str) -> Path:
        target = self._folder.place(name)
        flat = name.replace("/", "_")[-120:]
        return self._folder.state / "uploads" / f"{flat.removesuffix(target.suffix)}{target.suffix}"
