"""Pictures as clips: one picture, a folder of pictures, or folders of guides side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import name_check
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.images.picture import resize
from vidtrans.video.images.picture_stack import PictureStack
from vidtrans.video.images.picture_view import PictureView
from vidtrans.video.io.clip import ClipIndex, Frame, Reader
from vidtrans.video.io.hardware import HardwareDecoder
from vidtrans.video.io.picture_paths import (
    choose_guides,
    files_to_read,
    guide_files,
    is_picture_sequence,
    is_picture_source,
    is_stack,
    picture_files,
    refuse_unread,
    split_view,
)
from vidtrans.video.io.picture_reader import PictureFiles, PictureReader
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.keypoints.parsing import is_keypoints
from vidtrans.video.keypoints.poses import POSE_GUIDE, PoseFrames, PoseView


def fixed_guide(folder: Path, name: str) -> str:
    """Return a guide's name; that of OpenEXR data without a span gets the span of its values. Raises MediaError."""
    path = choose_guides(folder, [name])[name]
    if not is_picture_source(path):
        return name
    with open_reader(path) as reader:
        view = reader.fix_span() if isinstance(reader, PictureReader) else None
    return f"{name.partition('#')[0]}#{view}" if view else name


def unequal_guides(folder: Path, names: Sequence[str]) -> str:
    """Return a warning with the number of frames of each guide, from headers, where the numbers differ; else ''."""
    if pose_view(names) is not None:
        return ""
    with ExitStack() as stack:
        readers = {n: stack.enter_context(open_reader(p)) for n, p in choose_guides(folder, names).items()}
        counts = {n: count for n, reader in readers.items() if (count := reader.num_frames_expected)}
    files = guide_files(folder, names)
    common = len(files[names[0]]) or min(counts.values(), default=0)
    if set(counts.values()) <= {common}:
        return ""
    have = ", ".join(f"{n} has {plural(c, 'frame')}" for n, c in counts.items())
    which = f"{common} that all have" if files[names[0]] else f"first {common}"
    return f"{have}: the {which} are used"


class _GuideReader:
    """A reader of a folder of guides, each a folder of pictures or a video, read in parallel.

    The first of ``names`` is the frame; the others are its ``guides``, resized to its size.
    """

    def __init__(
        self, path: Path, names: Sequence[str], frame_format: FrameFormat, *, threads: int, tolerant: bool
    ) -> None:
        self.path, self.names, self.frame_format = Path(path), names, frame_format
        self._readers: list[Reader] = []
        self._open = partial(open_reader, frame_format=frame_format, threads=threads, tolerant=tolerant)

    def __enter__(self) -> _GuideReader:
        if not self.path.is_dir():
            raise MediaError(str(self.path), "not a folder of guides", f"give one that holds {', '.join(self.names)}")
        with ExitStack() as stack:
            files = guide_files(self.path, self.names)
            for name, guide in choose_guides(self.path, self.names).items():
                reader = _picture_reader(guide, self.frame_format, files[name]) if files[name] else self._open(guide)
                self._readers.append(stack.enter_context(reader))
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
        stop = stop if index is None else min(index.num_frames if stop is None else stop, index.num_frames)
        for reader, white in zip(self._readers, index.findings.whites if index else (), strict=False):
            if isinstance(reader, PictureReader):
                reader.set_white(white)
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
        whites = tuple(i.findings.white for i in found)
        reading = max(i.findings.reading for i in found)
        findings = replace(
            findings, reading=reading, white=0, whites=whites if any(whites) else (), span=None, notes=notes
        )
        return replace(first, pts=pts, names=names, num_frames_from_header=count, findings=findings)


def media_files(path: Path, guides: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """Return the files that a reader of ``path`` reads, in order, as (path relative to the source, file).

    Raises MediaError where a guide is missing.
    """
    if not is_picture_sequence(path):
        return [("", split_view(path)[0])]
    if not guides or pose_view(guides) is not None:
        return [(p.name, p) for p in picture_files(path)]
    files, chosen = guide_files(path, guides), choose_guides(path, guides)
    own = {name: [(p.name, p) for p in files[name]] or media_files(guide) for name, guide in chosen.items()}
    return [(f"{name}/{below}", file) for name, found in own.items() for below, file in found]


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

    ``tolerant``: count damage in a video instead of raising. ``hardware``: decodes a video until it fails.
    """
    source, view = split_view(path)
    text = pose_view(guides)
    if text is not None or (not guides and is_keypoints(source)):
        return PictureReader(path, _pose_frames(source, view, text), frame_format)
    if guides:
        return _GuideReader(path, guides, frame_format, threads=threads, tolerant=tolerant)
    refuse_unread(source)
    if is_picture_source(path):
        return _picture_reader(path, frame_format, [] if is_stack(path) else files_to_read(source))
    if view and source.exists():
        raise MediaError(str(source), f"it has no layers, so none is '{view}'", "leave out what is behind the #")
    return ClipReader(path, frame_format, threads=threads, tolerant=tolerant, hardware=hardware)


def pose_view(guides: Sequence[str]) -> str | None:
    """Return the text of a ``PoseView`` that stands for a pairing's guides; None for other guides."""
    name, sign, text = guides[0].partition("#") if len(guides) == 1 else ("", "", "")
    return text if name == POSE_GUIDE and sign else None


def performer_body(path: Path, text: str) -> str:
    """Return the place and size of the person seen longest in keypoints, as text; '' where it cannot be told.

    ``text``: that of the ``PoseView`` that they are drawn by. Raises MediaError.
    """
    source, own = split_view(path)
    body = _pose_frames(source, own, text).body
    return str(body) if body else ""


def _pose_frames(source: Path, own: str, text: str | None) -> PoseFrames:
    """Return the poses of a source; ``own``: the text behind its #, ``text``: that of the model. Raises MediaError."""
    if not source.exists():
        raise MediaError(str(source), "no such file", name_check(source))
    if not is_keypoints(source):
        why = "the model paints poses, which are drawn from keypoints, and this is no file or folder of them"
        raise MediaError(str(source), why, "find them with OpenPose or MediaPipe, and give their JSON or CSV")
    check_regular_file(source)
    view = PoseView.parse(own, source)
    return PoseFrames(source, view if text is None else PoseView.parse(text, source), view.size)


def _picture_reader(path: Path, frame_format: FrameFormat, files: Sequence[Path]) -> PictureReader:
    """Return a reader of ``files``, one picture each; if there are none, of the pictures in the file ``path``."""
    source, text = split_view(path)
    view = PictureView.parse(text, path)
    pictures = PictureFiles(files, view) if files else PictureStack(source, view)
    return PictureReader(path, pictures, frame_format)
