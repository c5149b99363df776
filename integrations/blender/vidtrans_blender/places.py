"""The folders and names of results and jobs."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from .faults import UserError

FOLDER = "vidtrans"  # beside the .blend
RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # of Windows, with any ending
MOST_NAME = 48  # letters of a strip's or model's name in the name of a file


def work_folder(blend: str, chosen: str) -> Path:
    """Return the folder for results and jobs: the one of the preferences, or one beside the saved file.

    Raises:
        UserError: Neither is known.
    """
    if chosen:
        return Path(chosen).expanduser()
    if not blend:
        raise UserError(
            "this file was never saved, and results are stored beside it — save it (Ctrl S), then try again"
        )
    return Path(blend).parent / FOLDER


def plain_name(text: str) -> str:
    """Return a text as a part of file names of every system."""
    kept = re.sub(r"[^\w-]+", "_", re.sub(r"\.\w{1,5}$", "", text)).strip("_-")  # without the ending of a file
    kept = kept[:MOST_NAME] or "clip"
    return f"{kept}_" if RESERVED.fullmatch(kept) else kept


def new_number(jobs: Path) -> int:
    """Return the next number of a job."""
    numbers = [int(path.name) for path in jobs.iterdir() if path.name.isdecimal()] if jobs.is_dir() else []
    return max(numbers, default=0) + 1


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return the key by which ``frame2`` comes before ``frame10``."""
    return [(int(word), "") if word.isdecimal() else (-1, word.lower()) for word in re.split(r"(\d+)", name) if word]


def linked_names(pictures: Sequence[tuple[int, Path]]) -> list[str]:
    """Return the names of pictures in a folder of their own, in whose order they are a clip.

    They keep their names, whose numbers painted frames and mattes refer to, if these have the same order.
    """
    names = [path.name for _, path in pictures]
    if len(set(names)) == len(names) and sorted(names, key=natural_key) == names:
        return names
    return [f"{index:06d}{path.suffix.lower()}" for index, path in pictures]


def link_pictures(pictures: Sequence[tuple[int, Path]], folder: Path) -> None:
    """Put pictures into a folder of their own: as links, or as copies where there are none.

    Args:
        pictures: The index of each frame, and its file; one file may stand for several frames.
        folder: An empty or new folder.

    Raises:
        UserError: A picture is not there, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for (_, path), name in zip(pictures, linked_names(pictures), strict=True):
        if not path.is_file():
            raise UserError(f"{path}: this picture is not there — relink the strip")
        if not (folder / name).exists():
            _link(path, folder / name)


def _link(path: Path, name: Path) -> None:
    for way in (os.link, os.symlink, shutil.copy2):
        try:
            way(path, name)
            return
        except (OSError, NotImplementedError):
            continue
    raise UserError(f"{name}: it cannot be written — free disk space, or choose another folder in the preferences")
