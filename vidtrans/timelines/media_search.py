"""Search for the media that a timeline names: paths and URLs of this or another machine, or names in folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PureWindowsPath
from urllib.parse import unquote

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import NUMBER
from vidtrans.core.system import name_key, path_as_stored
from vidtrans.timelines.timeline import TimelineClip
from vidtrans.video.frame_format import PICTURE_SUFFIXES
from vidtrans.video.io.picture_paths import VIDEO_SUFFIXES, is_pattern, picture_files

MAX_FILES = 1_000_000  # Largest number of files and folders in the searched folders
MEDIA_SUFFIXES = (*VIDEO_SUFFIXES, *PICTURE_SUFFIXES)  # Suffixes of files that are found by name
# Scheme of a URL, such as "file:"; at least two letters, as a single one is a drive of Windows
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_DRIVE = re.compile(r"/?[A-Za-z]:[\\/]")  # Start of a Windows path with a drive, such as "C:/" or "/C:/"


class MediaSearch:
    """A search for the media of a timeline, first at their paths, then by name.

    Args:
        timeline: The file of the timeline; relative paths start at its folder.
        folders: Folders that are searched for file names, with their subfolders, before the timeline's own folder,
            which is searched without subfolders. Raises UsageError if one does not exist.
    """

    def __init__(self, timeline: Path, folders: Sequence[Path]) -> None:
        self._timeline, self._folders = timeline, list(folders)
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"--media {folder}", "there is no such folder", "name the folder that has the media")
        self._names: dict[str, list[Path]] | None = None

    def find(self, clip: TimelineClip) -> Path:
        """Return the path of the media of a clip: a file, or a pattern of numbered pictures.

        Raises MediaError if missing.
        """
        candidates = _candidate_paths(clip.media, self._timeline.parent) if clip.media else []
        for path in candidates:
            if _exists(path := path_as_stored(path)):
                return path
        names = [*(path.name for path in candidates), *clip.names]
        for name in dict.fromkeys(filter(None, names)):
            if file := self._find_by_name(name, candidates, clip):
                return file
        what = clip.media or " or ".join(dict.fromkeys(clip.names))
        remedy = "give the folder that has it as --media FOLDER, or disable the clip"
        raise MediaError(clip.where(self._timeline), f"its media is missing: {what}", remedy)

    def _find_by_name(self, name: str, candidates: Sequence[Path], clip: TimelineClip) -> Path | None:
        """Return the file with a name, with or without its suffix; None if there is none.

        Of several files, the one with the most folder names in common with a candidate path is returned. Raises
        MediaError if that leaves several.
        """
        if NUMBER.search(name):
            matches = [folder / name for folder in self._all_folders() if _exists(folder / name)]
        else:
            files = self._files_by_name().get(name_key(name).casefold(), [])
            matches = [path for path in files if name_key(path.name) == name_key(name)] or files
        elsewhere = [path for path in matches if path.parent != self._timeline.parent]
        matches = elsewhere or matches
        if len(matches) < 2:
            return matches[0] if matches else None
        ranks = [max((_num_equal_folders(path, other) for other in candidates), default=0) for path in matches]
        best = [path for path, rank in zip(matches, ranks, strict=True) if rank == max(ranks)]
        if len(best) > 1:
            why = f"its media '{name}' is in several folders: {best[0].parent} and {best[1].parent}"
            raise MediaError(clip.where(self._timeline), why, "name the right folder with --media")
        return best[0]

    def _files_by_name(self) -> dict[str, list[Path]]:
        """Return the media files of the searched folders by case-folded name, with and without suffix."""
        if self._names is None:
            self._names = {}
            for path in self._files():
                for name in {name_key(one).casefold() for one in (path.name, path.stem)}:
                    self._names.setdefault(name, []).append(path)
        return self._names

    def _files(self) -> Iterable[Path]:
        """Yield the media files of the searched folders. Raises UsageError if there are too many files."""
        number = 0
        for folder in self._all_folders():
            for path in sorted(folder.iterdir()):
                number += 1
                if number > MAX_FILES:
                    raise UsageError(f"--media {self._folders[0]}", "it holds too many files", "name a smaller folder")
                if path.suffix.lower() in MEDIA_SUFFIXES and path.is_file():
                    yield path

    def _all_folders(self) -> Iterable[Path]:
        """Yield the searched folders with their subfolders, then the timeline's own folder."""
        searched: set[str] = set()
        for folder in self._folders:
            for root, folders, _ in os.walk(folder):
                folders.sort()
                searched.add(os.path.realpath(root))
                yield Path(root)
        own = self._timeline.parent
        if os.path.realpath(own) not in searched:
            yield own


def _candidate_paths(media: str, folder: Path) -> list[Path]:
    """Return the paths that a media path or URL may mean, the likeliest first; [] for a URL of a network.

    ``folder``: the folder of relative paths.
    """
    text = media.strip()
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() != "file":
        return []
    plain = text
    if scheme:
        plain = text[len(scheme[0]) :]
        if plain.startswith("//"):
            host, slash, rest = plain[2:].partition("/")
            local = host.lower() in ("", "localhost", "127.0.0.1")
            plain = slash + rest if local else (f"{host}/{rest}" if _DRIVE.match(f"{host}/") else plain)
    texts = [unquote(plain), plain] if scheme else [plain, unquote(plain)]
    return [_local_path(one, folder) for one in dict.fromkeys(texts) if one and "\0" not in one]


def _local_path(text: str, folder: Path) -> Path:
    """Return a path relative to ``folder``, in the form of this system; backslashes of Windows become slashes."""
    if _DRIVE.match(text):
        text = text.lstrip("/")
    if os.sep == "/" and (_DRIVE.match(text) or "\\" in text) and not (folder / text).exists():
        return folder / PureWindowsPath(text).as_posix()
    return folder / text


def _exists(path: Path) -> bool:
    """Return whether a path is an existing file, or a pattern that matches pictures."""
    try:
        return path.is_file() or (is_pattern(path) and bool(picture_files(path)))
    except (OSError, ValueError):  # Not a valid name on this system
        return False


def _num_equal_folders(path: Path, other: Path) -> int:
    """Return the number of equal folder names at the end of two paths, before their file names."""
    number = 0
    for one, two in zip(reversed(path.parent.parts), reversed(other.parent.parts), strict=False):
        if name_key(one).casefold() != name_key(two).casefold():
            break
        number += 1
    return number
