"""Pictures as clips: one picture, a folder of pictures, or folders of guides side by side."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.files import NUMBER
from vidtrans.video.frame_format import DEFAULT_FORMAT, PICTURE_SUFFIXES, UNREAD_FRAMES, UNREAD_SUFFIXES, FrameFormat
from vidtrans.video.images.exr_header import read_header
from vidtrans.video.images.exr_view import ExrView
from vidtrans.video.images.picture import EXR, resize
from vidtrans.video.images.picture_stack import PictureStack, num_pictures
from vidtrans.video.io.clip import ClipIndex, Frame, Reader
from vidtrans.video.io.hardware import HardwareDecoder
from vidtrans.video.io.picture_reader import PictureFiles, PictureReader
from vidtrans.video.io.reader import ClipReader

# Other files in a folder of guides are ignored.
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg", ".ts", ".ogv", ".wmv", ".flv"),
    *(".nut", ".gif"),
)


def split_view(path: Path) -> tuple[Path, str]:
    """Return the source of a path, and the view of OpenEXR pictures behind a # in it: shot/depth#Z=0..80; else ''.

    A # alone, shot/#Z, is a view of the folder.
    """
    if "#" not in path.name or path.exists():
        return path, ""
    name, _, view = path.name.partition("#")
    return (path.with_name(name) if name else path.parent), view


def is_picture(path: Path) -> bool:
    """Return whether a file name has the ending of a picture."""
    return split_view(path)[0].suffix.lower() in PICTURE_SUFFIXES


def natural_order(path: Path) -> list[tuple[int, int | str]]:
    """Return a sort key that puts frame2.png before frame10.png."""
    parts = re.split(r"([0-9]+)", path.name)
    # The name itself comes last, so that 1.png and 01.png have an order too, the same on every file system.
    return [*((0, int(p)) if p.isdecimal() else (1, p.lower()) for p in parts if p), (2, path.name)]


def is_pattern(path: Path) -> bool:
    """Return whether a path is a pattern of numbered pictures, frames/%05d.png, and not an existing file."""
    path, _ = split_view(path)
    return bool(NUMBER.search(path.name)) and is_picture(path) and not path.exists()


def is_picture_source(path: Path) -> bool:
    """Return whether a source consists of pictures: a picture, a folder, or a pattern."""
    return is_picture(path) or split_view(path)[0].is_dir()


def is_picture_sequence(path: Path) -> bool:
    """Return whether a path stands for any number of pictures: a folder, a pattern, or a file of many."""
    return split_view(path)[0].is_dir() or is_pattern(path) or is_stack(path)


def is_stack(path: Path) -> bool:
    """Return whether a picture file holds several: a TIFF stack, an animated PNG or WebP."""
    return num_pictures(path) > 1


def format_number(pattern: str, number: int) -> str:
    """Return the file name for a number in a pattern."""
    return NUMBER.sub(lambda found: str(number).zfill(int(found["digits"] or 1)), pattern, count=1)


def _pattern_files(pattern: Path) -> list[Path]:
    number = NUMBER.search(pattern.name)
    assert number is not None
    least = int(number["digits"] or 1)
    before, after = re.escape(pattern.name[: number.start()]), re.escape(pattern.name[number.end() :])
    name = re.compile(f"{before}([0-9]{{{least}}}|[1-9][0-9]{{{least},}}){after}")
    files = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    found = sorted((int(match[1]), path) for path in files if (match := name.fullmatch(path.name)))
    return [path for _, path in found]


def picture_files(path: Path) -> list[Path]:
    """Return the picture files of a source, in order: the file itself, or those of a folder or a pattern."""
    path, _ = split_view(path)
    if path.is_dir():
        return pictures_in(path)
    return _pattern_files(path) if is_pattern(path) else [path]


def pictures_in(folder: Path) -> list[Path]:
    """Return the picture files of a folder in natural order, without hidden files."""
    found = (p for p in folder.iterdir() if is_picture(p) and p.is_file() and not p.name.startswith("."))
    return sorted(found, key=natural_order)


def unread_in(folder: Path) -> list[Path]:
    """Return the pictures of a folder that are in formats that are not read, sorted."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in UNREAD_FRAMES and not p.name.startswith("."))
    return sorted(found, key=natural_order)


def refuse_unread(path: Path) -> None:
    """Raise MediaError where a file, or a pattern, is a picture in a format that is not read."""
    if path.suffix.lower() in UNREAD_SUFFIXES and not path.is_dir():
        raise _unread(path, "it", path.suffix)


def _unread(path: Path, what: str, suffix: str) -> MediaError:
    kind = suffix.lower().lstrip(".")
    convert = f"ffmpeg -i %04d.{kind} -pix_fmt rgb48 %04d.png" if kind in ("dpx", "cin") else "save it as PNG or EXR"
    where = ", film scans after their log curve was taken off" if kind in ("dpx", "cin") else ""
    return MediaError(str(path), f"{what}: {kind.upper()} is not read here", f"convert{where}: {convert}")


def _files_to_read(path: Path) -> list[Path]:
    """Return the picture files of a source. Raises MediaError where there are none."""
    if files := picture_files(path):
        return files
    if path.is_dir():
        if unread := unread_in(path):
            raise _unread(path, f"its pictures ({unread[0].name} …)", unread[0].suffix)
        remedy = "give a video, a picture, or a folder of pictures"
        raise MediaError(str(path), "no pictures in this folder", remedy)
    there = pictures_in(path.parent)[:1] if path.parent.is_dir() else []
    remedy = f"the folder has {there[0].name}" if there else "check the folder"
    raise MediaError(str(path), "no pictures match the pattern", remedy)


def find_guides(folder: Path) -> dict[str, Path]:
    """Return the guides of a folder by name, sorted: each subfolder of pictures, and each video.

    Raises MediaError where two guides (folder and video, or two videos) have the same name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        is_video = path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
        if path.name.startswith(".") or not (is_video or (path.is_dir() and pictures_in(path))):
            continue
        name = path.stem if is_video else path.name
        if name in found:
            why = f"'{found[name].name}' and '{path.name}' would both be guide '{name}'"
            raise MediaError(str(folder), why, "rename or move one of them")
        found[name] = path
    return found


def _choose_guides(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the guides with these names, in this order. Raises MediaError where one is missing."""
    found = find_guides(folder) if folder.is_dir() else {}
    chosen: dict[str, Path] = {}
    for name in names:
        own, sign, view = name.partition("#")
        if own not in found and (own or not pictures_in(folder)):
            has = f"it has {', '.join(found)}" if found else "it has none"
            raise MediaError(str(folder), f"no guide '{own}' in it ({has})", "name its folders like the guides")
        whole = found.get(own, folder / "")
        chosen[name] = (whole.with_name(whole.name + sign + view) if own else folder / (sign + view)) if sign else whole
    return chosen


def fixed_guide(folder: Path, name: str) -> str:
    """Return a guide's name, with the range of its values where it is data without one. Raises MediaError."""
    path = _choose_guides(folder, [name])[name]
    if not is_picture_source(path):
        return name
    with open_reader(path) as reader:
        view = reader.fix_span() if isinstance(reader, PictureReader) else None
    return f"{name.partition('#')[0]}#{view}" if view else name


def layers_in(folder: Path) -> list[str]:
    """Return the names of the layers of a folder's OpenEXR pictures, from the first one."""
    files = [path for path in pictures_in(folder) if path.suffix.lower() == EXR] if folder.is_dir() else []
    return [layer.name for layer in read_header(files[0]).layers() if layer.name] if files else []


def unequal_guides(folder: Path, names: Sequence[str]) -> str:
    """Return a warning with the number of frames of each guide, from headers, where the numbers differ; else ''."""
    with ExitStack() as stack:
        readers = {n: stack.enter_context(open_reader(p)) for n, p in _choose_guides(folder, names).items()}
        counts = {n: count for n, reader in readers.items() if (count := reader.num_frames_expected)}
    if len(set(counts.values())) < 2:
        return ""
    return f"{', '.join(f'{n} has {c} frames' for n, c in counts.items())}: the first {min(counts.values())} are used"


class _GuideReader:
    """A reader of a folder of guides, each a folder of pictures or a video, read in parallel.

    The first of ``names`` is the frame; the others are its ``guides``, resized to its size.
    """

    def __init__(
        self, path: Path, names: Sequence[str], frame_format: FrameFormat, *, threads: int, tolerant: bool
    ) -> None:
        self.path, self.names = Path(path), names
        self._open = partial(open_reader, frame_format=frame_format, threads=threads, tolerant=tolerant)

    def __enter__(self) -> _GuideReader:
        if not self.path.is_dir():
            raise MediaError(str(self.path), "not a folder of guides", f"give one that holds {', '.join(self.names)}")
        with ExitStack() as stack:
            guides = _choose_guides(self.path, self.names).values()
            self._readers = [stack.enter_context(self._open(guide)) for guide in guides]
            for reader in self._readers:
                if isinstance(reader, PictureReader):
                    reader.fix_span()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def num_frames_expected(self) -> int | None:
        return min((n for r in self._readers if (n := r.num_frames_expected)), default=None)

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        stop = stop if index is None else min(stop or index.num_frames, index.num_frames)
        self._count = start
        self._ended: list[Reader] = []
        with ExitStack() as stack:
            streams = [stack.enter_context(closing(r.frames(start, stop))) for r in self._readers]
            while True:
                together = [next(stream, None) for stream in streams]
                self._ended = [r for r, frame in zip(self._readers, together, strict=True) if frame is None]
                if self._ended:
                    return
                first, *others = (frame for frame in together if frame is not None)
                height, width = first.rgb.shape[:2]
                guides = tuple(np.ascontiguousarray(resize(f.rgb, width, height)) for f in others)
                self._count += 1
                yield Frame(first.index, first.pts, first.rgb, guides)

    def is_doubtful(self) -> bool:
        return any(reader.is_doubtful() for reader in self._ended)

    def index(self) -> ClipIndex:
        """Return the index, with as many frames as the shortest guide."""
        count = self._count
        found = [reader.index() for reader in self._readers]
        first, pts, names = found[0], found[0].pts[:count], found[0].names[:count]
        losses = {name: sum(getattr(i.findings, name) for i in found) for name in ("lost", "flawed")}
        # Reading ends with the shortest guide: what the others hold beyond is not missing.
        whole = [i.findings for i, reader in zip(found, self._readers, strict=True) if reader in self._ended]
        missing, short_s = sum(f.missing for f in whole), max((f.short_s for f in whole), default=0.0)
        at = min((i.findings.damaged_at for i in found if i.findings.damaged_at is not None), default=None)
        named = zip(self.names, found, strict=True)
        notes = tuple(f"{name.partition('=')[0].strip('#')}: {note}" for name, i in named for note in i.findings.notes)
        findings = replace(first.findings, alpha=False, missing=missing, short_s=short_s, damaged_at=at, **losses)
        findings = replace(findings, span=None, notes=notes)
        return replace(first, pts=pts, names=names, num_frames_from_header=count, findings=findings)


def media_files(path: Path, guides: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Return the files that a reader of ``path`` reads, in order, as (path relative to the source, file).

    Raises MediaError where a guide is missing.
    """
    if not is_picture_sequence(path):
        return [("", split_view(path)[0])]
    if not guides:
        return [(p.name, p) for p in picture_files(path)]
    chosen = _choose_guides(path, guides)
    return [(f"{name}/{below}", file) for name, guide in chosen.items() for below, file in media_files(guide)]


def open_reader(
    path: Path,
    frame_format: FrameFormat = DEFAULT_FORMAT,
    *,
    threads: int = 0,
    guides: Sequence[str] = (),
    tolerant: bool = False,
    hardware: HardwareDecoder | None = None,
) -> Reader:
    """Return the reader for a video, a picture, a folder or pattern of pictures, or (with ``guides``) guide folders.

    ``tolerant``: count damage in a video instead of raising. ``hardware``: decodes a video while it works.
    """
    if guides:
        return _GuideReader(path, guides, frame_format, threads=threads, tolerant=tolerant)
    source, view = split_view(path)
    refuse_unread(source)
    if is_picture_source(path):
        files = (
            PictureStack(path) if is_stack(path) else PictureFiles(_files_to_read(source), ExrView.parse(view, path))
        )
        return PictureReader(path, files, frame_format)
    if view and source.exists():
        raise MediaError(str(source), f"it has no layers, so none is '{view}'", "leave out what is behind the #")
    return ClipReader(path, frame_format, threads=threads, tolerant=tolerant, hardware=hardware)
