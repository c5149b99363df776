"""A project as one file to send: its files, and the commands that made them."""

from __future__ import annotations

import shutil
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.studio.project_folder import ProjectFolder, is_odd_name

COMMANDS = "commands.txt"
KEPT_S = 3600.0  # for which a pack may still be sent
RESERVED = 1 << 30  # bytes of the disk that stay free


def pack(folder: ProjectFolder, jobs: Sequence[Table]) -> Path:
    """Return a zip file of what the shelf shows, with the command lines of jobs that are done, the oldest first.

    Raises UsageError if the disk has no room for it, OSError.
    """
    place = folder.state / "packs"
    place.mkdir(exist_ok=True)
    for old in place.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink(missing_ok=True)
    files = sorted(_files(folder))
    if sum(file.stat().st_size for file in files) > shutil.disk_usage(place).free - RESERVED:
        raise UsageError(folder.root.name, "the disk has no room for a copy of it", "free some space")
    done = sorted((job for job in jobs if job["state"] == "done"), key=lambda job: int(job["number"]))
    path = place / f"{time.time_ns()}.zip"
    with zipfile.ZipFile(path, "w", strict_timestamps=False) as packed:  # not compressed: media are already
        for file in files:
            packed.write(file, f"{folder.root.name}/{folder.name_of(file)}")
        lines = "".join(f"{job['line']}\n" for job in done)
        packed.writestr(f"{folder.root.name}/{COMMANDS}", lines)
    return path


def _files(folder: ProjectFolder) -> Iterator[Path]:
    """Yield the files of all items; those in datasets and folders of pictures, too."""
    for item in folder.items():
        path = folder.place(item.name)
        if path.is_file():
            yield path
        else:
            found = (p for p in path.rglob("*") if p.is_file() and not p.is_symlink() and not _is_hidden(p, path))
            yield from (p for p in found if not is_odd_name(p.name))


def _is_hidden(path: Path, above: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(above).parts)
