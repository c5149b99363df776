"""The folder of a project: its files by name, and what a page may do with them. Nothing outside it is reached.

Files that a page sends come part by part: they are written to the disk, and checked before they get their name.
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

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.files import folder_bytes, move_into_place
from vidtrans.core.settings import Table
from vidtrans.core.system import WINDOWS, as_found, name_fault, name_length, name_limit, when_free
from vidtrans.data.dataset import INDEX as DATASET_FILE
from vidtrans.models.formats import suffixes
from vidtrans.studio import STATE
from vidtrans.training.training_words import STATUS_FILE
from vidtrans.video.io.picture_paths import VIDEO_SUFFIXES, is_frame, is_picture

MOST_ITEMS = 20_000  # of a listing
DEEPEST = 4  # folders inside folders that a listing enters
LOOKED_AT = 40  # files of a folder by which its kind is found
DRIVE = re.compile(r"[A-Za-z]:")
# In a value that may name files, also several with other words between ("man=man.mkv", "a.jpg: 0.6, oil: 0.4"): what
# begins at the root, at home or at a drive, goes up, is hidden, or is an address.
OUTWARD = re.compile(
    r"(?:^|[=:,;|\s])(?:[/\\~]|[A-Za-z]:[/\\]|\.\.?(?:[/\\]|$)|\.[^0-9./\\])|[/\\]\.|://|[\x00-\x1f\x7f]"
)
NUMBER = re.compile(r"[0-9.]+")
BETWEEN, WORDS = re.compile(r"[=:,;|]"), re.compile(r"[=:,;|\s]+")  # what divides words in such a value
LARGEST = 64 << 30  # bytes of an uploaded file
RESERVED = 1 << 30  # bytes of the disk that an upload, or a copy of the project, leaves free
SAFETENSORS = ".safetensors"
TAKEN = ("clip", "picture", "model")  # kinds of files that a page may send


@dataclass(frozen=True)
class ShelfItem:
    """A file or folder of the project.

    ``kind``: clip, picture, pictures, dataset, training, model, page, folder or file.
    """

    name: str
    kind: str
    num_bytes: int
    modified: float

    def table(self) -> Table:
        """Return the item as a page receives it."""
        return {"name": self.name, "kind": self.kind, "bytes": self.num_bytes, "modified": self.modified}


class ProjectFolder:
    """The files below ``root``. Names are relative paths with slashes. Raises UsageError for names outside."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.state = self.root / STATE

    def prepare(self) -> None:
        """Make the folder of jobs. Raises UsageError if nothing can be written here, or if its own folder has links."""
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
        """Hold the folder: two servers would start a job twice. Raises UsageError if another one has it."""
        lock = FileLock(self.state / "server.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(str(self.root), "a studio runs there already", "open its page, or end it") from None
        try:
            yield
        finally:
            lock.release()
            with suppress(OSError):  # a server that could not start leaves nothing; files that are there stay
                (self.state / "jobs").rmdir()
                (self.state / "server.lock").unlink(missing_ok=True)
                self.state.rmdir()

    def place(self, name: str) -> Path:
        """Return the path of a name. Raises UsageError if it is not valid, or leads out of the folder."""
        parts = name.split("/")
        if not name or is_odd_name(name) or DRIVE.match(name):
            raise _refused(name, "a name is a path in this folder, with slashes")
        for part in parts:
            if part in ("", ".", "..") or part.startswith((".", "~")):
                raise _refused(name, "a part of it is empty, or begins with a dot or a tilde")
            if fault := name_fault(part):
                raise _refused(name, fault)
        path = as_found(self.root.joinpath(*parts))
        self._check_inside(path, name)
        return path

    def existing(self, name: str) -> Path:
        """Return the path of a file or folder that exists. Raises UsageError."""
        path = self.place(name)
        if not path.exists():
            raise _refused(name, "there is no such file in this folder")
        return path

    def picture_of(self, name: str) -> Path:
        """Return the file whose thumbnail stands for a name: of a training, its newest preview. Raises UsageError."""
        path = self.existing(name)
        if path.is_dir() and _folder_kind(path) == "training":
            return self.existing(f"{name}/preview.png" if (path / "preview.png").is_file() else f"{name}/input.png")
        return path

    def check_value(self, text: str) -> None:
        """Raise UsageError if a value that may name files could lead out of the folder."""
        if self._is_name(text):
            return
        if OUTWARD.search(text) or (WINDOWS and DRIVE.match(text)):
            raise _refused(text[:80], "it leads out of this folder")
        if any(sign in text for sign in "*?["):
            raise _refused(text[:80], "a page takes no patterns", "name the files")
        for word in {text, *BETWEEN.split(text), *WORDS.split(text)}:
            if word.strip() and not NUMBER.fullmatch(word.strip()):
                self._check_inside(self.root / word.strip(), word)
            if word.strip().lower().endswith(".toml"):  # a list of clips, or a preset, says what is run, and where
                raise _refused(text[:80], "a page takes no lists and no presets of your own", "use a terminal")

    def _is_name(self, text: str) -> bool:
        """Return whether a text is the name of a file that exists, and no list."""
        with suppress(UsageError, OSError):
            return self.existing(text).suffix.lower() != ".toml"
        return False

    def _check_inside(self, path: Path, name: str) -> None:
        """Raise UsageError if a link on the way to a path leads out of the folder, or the name is too long."""
        try:
            resolved = path.resolve()
        except (OSError, ValueError, RuntimeError):
            raise _refused(name, "it cannot be read") from None
        if resolved != self.root and self.root not in resolved.parents:
            raise _refused(name, "it leads out of this folder")
        if any(part.startswith(".") for part in resolved.relative_to(self.root).parts):
            raise _refused(name, "it is a hidden file")  # of the studio or the cache; Windows has other names for them
        if any(name_length(part) > name_limit(self.root) for part in path.relative_to(self.root).parts):
            raise _refused(name, "it is too long")

    def name_of(self, path: Path) -> str:
        """Return the name of a path in the folder."""
        return path.relative_to(self.root).as_posix()

    def items(self) -> list[ShelfItem]:
        """Return what the folder holds, newest first. A dataset, a training, and a folder of pictures, is one item."""
        found = list(self._walk(self.root, 0))
        return sorted(found, key=lambda item: (-item.modified, item.name))[:MOST_ITEMS]

    def _walk(self, folder: Path, depth: int) -> Iterator[ShelfItem]:
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:  # it was just removed, or may not be read
            return
        for entry in entries:
            with suppress(OSError, UsageError):
                if entry.name.startswith((".", "~")) or is_odd_name(entry.name):
                    continue  # no name that a page could ask for
                path = Path(entry.path)
                if entry.is_symlink():  # resolving every path would take a second for ten thousand
                    self._check_inside(path, entry.name)
                if not entry.is_dir():
                    state = entry.stat()
                    yield ShelfItem(self.name_of(path), file_kind(path), state.st_size, state.st_mtime)
                elif (kind := _folder_kind(path)) != "folder":
                    yield ShelfItem(self.name_of(path), kind, 0, entry.stat().st_mtime)
                elif depth < DEEPEST:
                    yield from self._walk(path, depth + 1)

    def names(self, name: str) -> list[str]:
        """Return the names of the files in a folder, none where it does not exist. Raises UsageError, OSError."""
        folder = self.place(name)
        if not folder.exists():
            return []
        if not folder.is_dir():
            raise _refused(name, "it is no folder")
        names = (path.name for path in folder.iterdir())
        return sorted(name for name in names if not (name.startswith(".") or is_odd_name(name)))[:MOST_ITEMS]

    def rename(self, name: str, new: str) -> None:
        """Rename a file or folder. Raises UsageError if the new name is taken, OSError."""
        path, target = self.existing(name), self.place(new)
        if path.is_file() and path.suffix.lower() != target.suffix.lower():
            raise _refused(new, f"its ending stays {path.suffix or 'none'}", f"call it {target.stem}{path.suffix}")
        if target.exists():
            raise _refused(new, "it exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        when_free(lambda: path.rename(target))

    def delete(self, name: str) -> str:
        """Move a file or folder to the project's bin, and return its name there. Raises UsageError, OSError."""
        path = self.existing(name)
        folder = self.state / "bin" / f"{time.time_ns()}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name, "utf-8")
        try:
            when_free(lambda: path.rename(folder / path.name))
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder.name

    def restore(self, number: str) -> str:
        """Move a deleted file back to its place, and return its name. Raises UsageError if the place is taken."""
        folder = self.state / "bin" / number
        if not number.isdigit() or not (folder / "name").is_file():
            raise _refused(number, "the bin has no such file")
        name = (folder / "name").read_text("utf-8")
        target = self.place(name)
        if target.exists():
            raise _refused(name, "it exists already")
        target.parent.mkdir(parents=True, exist_ok=True)
        when_free(lambda: (folder / target.name).rename(target))
        shutil.rmtree(folder, ignore_errors=True)
        return name

    def bin(self) -> list[Table]:
        """Return the deleted files, newest first."""
        found = []
        folders = (self.state / "bin").iterdir() if (self.state / "bin").is_dir() else ()
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):
                found.append({"number": folder.name, "name": (folder / "name").read_text("utf-8")})
        return found

    def empty_bin(self) -> int:
        """Delete what is in the bin for good, and return the number of bytes that were freed."""
        freed = folder_bytes(self.state / "bin") if (self.state / "bin").is_dir() else 0
        shutil.rmtree(self.state / "bin", ignore_errors=True)
        return freed


def file_kind(path: Path) -> str:
    """Return the kind of a file, by its suffix."""
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
    return frozenset(suffixes())  # looking them up for each of ten thousand files takes half a second


def _folder_kind(path: Path) -> str:
    """Return the kind of a folder: dataset, training, pictures (a clip, or painted key frames) or folder."""
    if (path / DATASET_FILE).is_file():
        return "dataset"
    if path.suffix == ".train" and (path / STATUS_FILE).is_file():
        return "training"
    entries = [entry for entry, _ in zip(os.scandir(path), range(LOOKED_AT), strict=False)]
    pictures = [entry for entry in entries if is_frame(Path(entry.name))]
    return "pictures" if len(pictures) > len(entries) / 2 else "folder"


def _links(state: Path) -> Iterator[Path]:
    """Yield the links in the studio's own folder, which makes none: somebody who sent the project has put them there.

    One may lead to files of this user, which the studio would overwrite as a log, or delete as an old preview.
    """
    if _is_link(state):
        yield state
        return
    for parent, folders, files in os.walk(state):
        yield from (path for path in (Path(parent, name) for name in (*folders, *files)) if _is_link(path))


def _is_link(path: Path) -> bool:
    return path.is_symlink() or (WINDOWS and path.resolve() != path.parent.resolve() / path.name)  # a junction


def is_odd_name(name: str) -> bool:
    """Return whether a name has signs that a page cannot send, or that divide paths on some systems."""
    return "\\" in name or any(unicodedata.category(sign).startswith("C") for sign in name)


def _refused(name: str, why: str, remedy: str = "choose a file of this folder") -> UsageError:
    return UsageError(name or "the name", why, remedy)


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
