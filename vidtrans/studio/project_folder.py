"""The folder of a project: its files by name, and the operations of pages on them. Paths outside it are refused.

A page uploads files in parts: they are written to the disk, and checked before they get their final name.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock

from filelock import FileLock, Timeout

from vidtrans import model_suffixes
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import DATASET_FILE, TRAINING_FILE, folder_bytes, move_into_place
from vidtrans.core.settings import Table
from vidtrans.core.system import (
    WINDOWS,
    max_name_length,
    name_length,
    path_as_stored,
    retry_while_in_use,
    windows_name_problem,
)
from vidtrans.studio import STATE
from vidtrans.video.io.picture_paths import VIDEO_SUFFIXES, is_frame, is_picture

MAX_ITEMS = 20_000  # Largest number of files and folders in the file list of the page
MAX_DEPTH = 4  # Largest number of levels of subfolders in the file list of the page
NUM_SAMPLED_FILES = 40  # Number of files of a folder from which its kind is determined
DRIVE = re.compile(r"[A-Za-z]:")  # Drive letter of a Windows path, such as "C:"
# URL, hidden name or path outside the project in an option value, such as "man=../man.mkv" or "a.jpg: 0.6, ~/b.jpg: 1".
OUTSIDE_PATH = re.compile(
    r"(?:^|[=:,;|\s])(?:[/\\~]|[A-Za-z]:[/\\]|\.\.?(?:[/\\]|$)|\.[^0-9./\\])|[/\\]\.|://|[\x00-\x1f\x7f]"
)
NUMBER = re.compile(r"[0-9.]+")  # Number in a value, such as 0.6; it is not checked as a path
SEPARATOR, WORD_BREAK = re.compile(r"[=:,;|]"), re.compile(r"[=:,;|\s]+")  # Between the words of an option value
MAX_UPLOAD_BYTES = 64 << 30  # Largest size of an uploaded file
RESERVED_BYTES = 1 << 30  # Disk space that an upload or a zip file of the project must leave free
SAFETENSORS = ".safetensors"  # Suffix of model files whose header is checked after an upload
UPLOAD_KINDS = ("clip", "picture", "model")  # Kinds of files that a page may upload


@dataclass(frozen=True)
class ShelfItem:
    """A file or folder in the file list of the page (the shelf). ``modified``: in seconds since 1970.

    ``kind``: clip, picture, pictures, dataset, training, model, page, folder or file.
    """

    name: str
    kind: str
    num_bytes: int
    modified: float

    def table(self) -> Table:
        """Return the item for the page, as JSON values."""
        return {"name": self.name, "kind": self.kind, "bytes": self.num_bytes, "modified": self.modified}


class ProjectFolder:
    """The files below the project folder ``root``.

    Names are paths relative to it, with slashes. Names that lead outside raise UsageError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.state = self.root / STATE

    def prepare(self) -> None:
        """Create the studio's state folder. Raises UsageError if it cannot be written, or if it contains links."""
        if link := next(_links(self.state), None):
            why = "it is a link, and the studio writes and deletes files there"
            raise UsageError(str(link), why, f"delete it, or the folder {STATE}")
        try:
            self.state.mkdir(exist_ok=True)
            (self.state / "jobs").mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(
                str(self.root), f"nothing can be written there: {error.strerror}", "choose another"
            ) from None

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Lock the project, because two servers would start a job twice. Raises UsageError if it is locked."""
        lock = FileLock(self.state / "server.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(str(self.root), "a studio runs there already", "open its page, or end it") from None
        try:
            yield
        finally:
            lock.release()
            with suppress(
                OSError
            ):  # Remove the folder of a server that could not start; ``rmdir`` keeps existing files
                (self.state / "jobs").rmdir()
                (self.state / "server.lock").unlink(missing_ok=True)
                self.state.rmdir()

    def path_of(self, name: str) -> Path:
        """Return the path of a project name. Raises UsageError if the name is invalid or leads outside."""
        parts = name.split("/")
        if not name or has_forbidden_characters(name) or DRIVE.match(name):
            raise _name_error(name, "a name is a path in this folder, with slashes")
        for part in parts:
            if part in ("", ".", "..") or part.startswith((".", "~")):
                raise _name_error(name, "a part of it is empty, or begins with a dot or a tilde")
            if fault := windows_name_problem(part):
                raise _name_error(name, fault)
        path = path_as_stored(self.root.joinpath(*parts))
        self._check_inside(path, name)
        return path

    def existing(self, name: str) -> Path:
        """Return the path of an existing file or folder of the project. Raises UsageError."""
        path = self.path_of(name)
        if not path.exists():
            raise _name_error(name, "there is no such file in this folder")
        return path

    def picture_of(self, name: str) -> Path:
        """Return the file from which a thumbnail is made: the newest preview of a training, else the file itself.

        Raises UsageError.
        """
        path = self.existing(name)
        if path.is_dir() and _folder_kind(path) == "training":
            return self.existing(f"{name}/preview.png" if (path / "preview.png").is_file() else f"{name}/input.png")
        return path

    def check_value(self, text: str) -> None:
        """Raise UsageError if an option value, which may name files, could lead outside the project."""
        if self._is_name(text):
            return
        if OUTSIDE_PATH.search(text) or (WINDOWS and DRIVE.match(text)):
            raise _name_error(text[:80], "it leads out of this folder")
        if any(sign in text for sign in "*?["):
            raise _name_error(text[:80], "a page takes no patterns", "name the files")
        for word in {text, *SEPARATOR.split(text), *WORD_BREAK.split(text)}:
            if word.strip() and not NUMBER.fullmatch(word.strip()):
                self._check_inside(self.root / word.strip(), word)
            if word.strip().lower().endswith(".toml"):  # A list of clips or a preset can name programs and paths
                raise _name_error(text[:80], "a page takes no lists and no presets of your own", "use a terminal")

    def _is_name(self, text: str) -> bool:
        """Return whether a text is the name of an existing project file that is not a TOML file (list or preset)."""
        with suppress(UsageError, OSError):
            return self.existing(text).suffix.lower() != ".toml"
        return False

    def _check_inside(self, path: Path, name: str) -> None:
        """Raise UsageError if a path leads outside the project through a link, or is hidden or too long."""
        try:
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError):
            raise _name_error(name, "it cannot be read") from None
        if resolved != self.root and self.root not in resolved.parents:
            raise _name_error(name, "it leads out of this folder")
        if any(part.startswith(".") for part in resolved.relative_to(self.root).parts):
            raise _name_error(
                name, "it is a hidden file"
            )  # Of the studio or the cache, perhaps by a short name of Windows
        if any(name_length(part) > max_name_length(self.root) for part in path.relative_to(self.root).parts):
            raise _name_error(name, "it is too long")

    def name_of(self, path: Path) -> str:
        """Return the name of a path in the project: its relative path with slashes."""
        return path.relative_to(self.root).as_posix()

    def items(self) -> list[ShelfItem]:
        """Return the file list of the page, newest first; a dataset, training or picture folder is one item."""
        found = list(self._walk(self.root, 0))
        return sorted(found, key=lambda item: (-item.modified, item.name))[:MAX_ITEMS]

    def _walk(self, folder: Path, depth: int) -> Iterator[ShelfItem]:
        """Yield the items of a folder and its subfolders; ``depth``: the level of the folder below the project."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # It was removed meanwhile, or may not be read
            return
        for entry in entries:
            with suppress(OSError, UsageError):
                if entry.name.startswith((".", "~")) or has_forbidden_characters(entry.name):
                    continue  # A page cannot request such a name
                path = Path(entry.path)
                if entry.is_symlink():  # Resolving all paths would take a second for ten thousand
                    self._check_inside(path, entry.name)
                if not entry.is_dir():
                    state = entry.stat()
                    yield ShelfItem(self.name_of(path), file_kind(path), state.st_size, state.st_mtime)
                elif (kind := _folder_kind(path)) != "folder":
                    yield ShelfItem(self.name_of(path), kind, 0, entry.stat().st_mtime)
                elif depth < MAX_DEPTH:
                    yield from self._walk(path, depth + 1)

    def names(self, name: str) -> list[str]:
        """Return the names of the files in a folder of the project; [] if it does not exist.

        Raises UsageError, OSError.
        """
        folder = self.path_of(name)
        if not folder.exists():
            return []
        if not folder.is_dir():
            raise _name_error(name, "it is no folder")
        names = (path.name for path in folder.iterdir())
        return sorted(name for name in names if not (name.startswith(".") or has_forbidden_characters(name)))[
            :MAX_ITEMS
        ]

    def rename(self, name: str, new_name: str) -> None:
        """Rename a file or folder of the project. Raises UsageError if the new name is in use, OSError."""
        path, target = self.existing(name), self.path_of(new_name)
        if path.is_file() and path.suffix.lower() != target.suffix.lower():
            raise _name_error(
                new_name, f"its ending stays {path.suffix or 'none'}", f"call it {target.stem}{path.suffix}"
            )
        if target.exists():
            raise _name_error(new_name, "it exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        retry_while_in_use(lambda: path.rename(target))

    def delete(self, name: str) -> str:
        """Move a file or folder to the project's bin; return its number in the bin. Raises UsageError, OSError."""
        path = self.existing(name)
        folder = self.state / "bin" / f"{time.time_ns()}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name, "utf-8")
        try:
            retry_while_in_use(lambda: path.rename(folder / path.name))
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder.name

    def restore(self, number: str) -> str:
        """Move a deleted file back from the bin; return its name. Raises UsageError if the name is in use."""
        folder = self.state / "bin" / number
        if not number.isdigit() or not (folder / "name").is_file():
            raise _name_error(number, "the bin has no such file")
        name = (folder / "name").read_text("utf-8")
        target = self.path_of(name)
        if target.exists():
            raise _name_error(name, "it exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        retry_while_in_use(lambda: (folder / target.name).rename(target))
        shutil.rmtree(folder, ignore_errors=True)
        return name

    def bin(self) -> list[Table]:
        """Return the bin number and the name of each deleted file, newest first."""
        entries = []
        folders = (self.state / "bin").iterdir() if (self.state / "bin").is_dir() else ()
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):
                entries.append({"number": folder.name, "name": (folder / "name").read_text("utf-8")})
        return entries

    def empty_bin(self) -> int:
        """Delete the files in the bin for good; return the number of freed bytes."""
        freed = folder_bytes(self.state / "bin") if (self.state / "bin").is_dir() else 0
        shutil.rmtree(self.state / "bin", ignore_errors=True)
        return freed


def file_kind(path: Path) -> str:
    """Return the kind of a file by its suffix: clip, picture, model, page or file."""
    suffix = path.suffix.lower()
    if suffix in VIDEO_SUFFIXES:
        return "clip"
    if is_picture(path):
        return "picture"
    if suffix in _model_suffixes():
        return "model"
    return "page" if suffix in (".html", ".htm") else "file"


@cache
def _model_suffixes() -> frozenset[str]:
    """Return the suffixes of model files."""
    return frozenset(model_suffixes())  # Cached: looking them up for ten thousand files takes half a second


def _folder_kind(path: Path) -> str:
    """Return the kind of a folder: dataset, training, pictures (a clip, or painted key frames) or folder."""
    if (path / DATASET_FILE).is_file():
        return "dataset"
    if path.suffix == ".train" and (path / TRAINING_FILE).is_file():
        return "training"
    entries = [entry for entry, _ in zip(os.scandir(path), range(NUM_SAMPLED_FILES), strict=False)]
    pictures = [entry for entry in entries if is_frame(Path(entry.name))]
    return "pictures" if len(pictures) > len(entries) / 2 else "folder"


def _links(state: Path) -> Iterator[Path]:
    """Yield the links in the studio's state folder.

    The studio creates no links, so they come with the project of another person. A link may lead to other files of this
    user, which the studio would overwrite as a log, or delete as an old preview.
    """
    if _is_link(state):
        yield state
        return
    for parent, folders, files in os.walk(state):
        yield from (path for path in (Path(parent, name) for name in (*folders, *files)) if _is_link(path))


def _is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link or a Windows junction."""
    return path.is_symlink() or (WINDOWS and path.resolve() != path.parent.resolve() / path.name)  # Detects a junction


def has_forbidden_characters(name: str) -> bool:
    """Return whether a name has control characters, or backslashes, which separate paths on some systems."""
    return "\\" in name or any(unicodedata.category(sign).startswith("C") for sign in name)


def _name_error(name: str, why: str, remedy: str = "choose a file of this folder") -> UsageError:
    """Return a UsageError about a name of the project."""
    return UsageError(name or "the name", why, remedy)


class Uploads:
    """The uploads of files to a project. ``check``: a function that raises MediaError if a file is not media."""

    def __init__(self, folder: ProjectFolder, check: Callable[[Path], Table]) -> None:
        self._folder, self._check, self._lock = folder, check, Lock()

    def received(self, name: str, num_bytes: int, stamp: int) -> int:
        """Return the number of bytes of an unfinished upload that have arrived. Raises UsageError.

        ``num_bytes``, ``stamp``: the size and the time of change of the whole file.
        """
        partial = self._partial_path(name, num_bytes, stamp)
        return partial.stat().st_size if partial.is_file() else 0

    def add(self, name: str, offset: int, num_bytes: int, stamp: int, data: bytes, can_replace: bool = False) -> bool:
        """Add a part of an uploaded file at ``offset``; return whether the file is complete and has its final name.

        ``num_bytes``: the size of the whole file. ``stamp``: its time of change, so that another file with this name
        and size is not continued. ``can_replace``: whether the file may exist already, as a painted frame does. Raises
        UsageError, MediaError, OSError.
        """
        with self._lock:
            target, partial = self._folder.path_of(name), self._partial_path(name, num_bytes, stamp)
            self._check_upload(name, target, offset, num_bytes, len(data), can_replace=can_replace)
            partial.parent.mkdir(parents=True, exist_ok=True)
            if offset == 0:
                partial.unlink(missing_ok=True)
            elif (received := self.received(name, num_bytes, stamp)) != offset:
                raise UsageError(name, f"{received} bytes of it are here, not {offset}", "send it again")
            with partial.open("ab") as file:
                file.write(data)
            if offset + len(data) < num_bytes:
                return False
            try:
                self._check_content(target, partial)
            except MediaError:
                partial.unlink()
                raise
            target.parent.mkdir(parents=True, exist_ok=True)
            move_into_place(partial, target)
            return True

    def _check_upload(
        self, name: str, target: Path, offset: int, num_bytes: int, length: int, *, can_replace: bool
    ) -> None:
        """Raise UsageError if an upload is refused because of its kind, name or size, or because the disk is full.

        ``num_bytes``: the size of the whole file. ``length``: the size of the part at ``offset``. ``can_replace``: the
        file may exist already.
        """
        if file_kind(target) not in UPLOAD_KINDS:
            raise UsageError(name, "it is no clip, picture or model", "choose another file")
        if target.exists() and not can_replace:
            raise UsageError(name, "it exists already", "rename one of the two")
        if not 0 < num_bytes <= MAX_UPLOAD_BYTES or offset + length > num_bytes:
            raise UsageError(name, f"a file has 1 byte to {MAX_UPLOAD_BYTES >> 30} GiB", "choose another file")
        if shutil.disk_usage(self._folder.root).free - (num_bytes - offset) < RESERVED_BYTES:
            raise UsageError(name, "the disk is nearly full", "free some space")

    def _check_content(self, target: Path, partial: Path) -> None:
        """Raise MediaError if the content of an uploaded file does not match its suffix.

        Model weights are checked when they are loaded.
        """
        if file_kind(target) != "model":
            try:
                self._check(partial)
            except MediaError:  # Its message names the partial file
                why = "it cannot be read as a video or picture"
                raise MediaError(target.name, why, "choose another file, or convert it first") from None
        elif target.suffix.lower() == SAFETENSORS and not _has_header(partial):
            raise MediaError(target.name, "it is no model file", "choose another file")

    def _partial_path(self, name: str, num_bytes: int, stamp: int) -> Path:
        """Return the path of the unfinished file of an upload, which depends on the file's size and time of change."""
        target = self._folder.path_of(name)
        mark = hashlib.sha256(f"{name}\n{num_bytes}\n{stamp}".encode()).hexdigest()[:32]
        return self._folder.state / "uploads" / f"{mark}{target.suffix}"


def _has_header(path: Path) -> bool:
    """Return whether a file has a valid safetensors header, and as much data as the header states."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy"):
            return True
    except (SafetensorError, OSError, ValueError):
        return False
