"""Pictures as clips: one picture, a folder of pictures, or folders of guides side by side."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from vidtrans.core.costs import count as plural
from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file
from vidtrans.core.registry import name_check
from vidtrans.video.colour.conversion import apply_format, resize_alpha, to_uint8, to_uint16, with_alpha
from vidtrans.video.frame_format import DEFAULT_FORMAT, PAPER, FrameFormat
from vidtrans.video.images.exr import choose_layer, read_header
from vidtrans.video.images.picture import EXR, PictureStack, layers_of, read_still, resize
from vidtrans.video.images.picture_header import num_plays
from vidtrans.video.images.still import PICTURE, PictureView, SampleRange, Span, Still, whole_span
from vidtrans.video.io.clip import ClipIndex, Findings, Frame, Reader
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
from vidtrans.video.io.reader import ClipReader, HardwareDecoder
from vidtrans.video.keypoints import POSE_GUIDE, PoseFrames, PoseView, is_keypoints

# A folder of pictures has no frame rate of its own.
RATE = Fraction(25)
MILLISECONDS, TICKS = Fraction(1, 1000), Fraction(1, 90_000)  # time bases of animations


class PictureFiles:
    """The pictures of files that hold one each, with the interface of ``PictureStack``."""

    is_timed = False

    def __init__(self, files: Sequence[Path], view: PictureView = PICTURE) -> None:
        self._files, self.view = files, view
        self.names = tuple(f.name for f in files)

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture; it has no duration. Raises MediaError."""
        return read_still(self._files[number], self.view), 0.0

    def is_open_data(self) -> bool:
        """Return whether the files hold OpenEXR data and the view has no span of values yet."""
        if self.view.span is not None or self._files[0].suffix.lower() != EXR:
            return False
        return not choose_layer(read_header(self._files[0]), self.view.layer, self._files[0]).is_light

    def close(self) -> None:
        """Do nothing: no file stays open."""


class PictureReader:
    """A reader of pictures, at 25 frames per second, or by the times of an animation; see ``Reader``."""

    def __init__(
        self, path: Path, pictures: PictureFiles | PictureStack | PoseFrames, frame_format: FrameFormat
    ) -> None:
        self.path, self.frame_format, self._pictures = path, frame_format, pictures
        self._sizes: list[tuple[int, int]] = []
        self._durations_ms: list[float] = []
        self._deep = self._transparent = False
        self._white, self._reading = 0.0, 0
        self._notes: dict[str, None] = {}
        self._samples: SampleRange | None = None
        self._values: list[float] = []

    def __enter__(self) -> PictureReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pictures.close()

    @property
    def num_frames_expected(self) -> int:
        """The number of pictures."""
        return len(self._pictures.names)

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1``; see ``Reader``."""
        names = self._pictures.names
        if index is not None:
            if index.names != names:
                raise MediaError(str(self.path), "the folder changed while it was read", "run the command again")
            self._transparent = index.findings.alpha
            self.set_white(index.findings.white)
            self._show(index.findings.span)
        for number in range(len(names))[start:stop]:
            frame = self._frame(number)
            yield frame if index is None else Frame(number, index.pts[number], frame.rgb, alpha=frame.alpha)

    def _frame(self, number: int) -> Frame:
        frame_format = self.frame_format
        still, duration_ms = self._pictures.read(number)
        self._durations_ms.append(duration_ms)
        self._notes |= dict.fromkeys(still.notes)
        self._values += still.values or ()
        self._reading = max(self._reading, still.reading)
        self._samples = still.samples if self._samples is None else self._samples | still.samples
        rgb, alpha = layers_of(still.picture)
        self._deep = self._deep or rgb.dtype == np.uint16
        self._transparent = self._transparent or alpha is not None
        self._sizes.append((rgb.shape[1], rgb.shape[0]))
        size = frame_format.size.of(*self._sizes[-1])
        to_depth = to_uint16 if frame_format.deep else to_uint8
        if alpha is None:
            rgb = resize(to_depth(rgb), *size)
        else:
            rgba = resize_alpha(with_alpha(to_depth(rgb), to_depth(alpha)), *size)
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
        rgb, alpha = apply_format(rgb, alpha, frame_format, PAPER, cut_out=self._transparent)
        return Frame(number, number, rgb, alpha=alpha)

    def set_white(self, white: float) -> None:
        """Set the sample that is white in all pictures, as ``Findings.white`` has it; 0: the highest of the format."""
        self._white = white
        self._show((0, white) if white else None)

    def fix_span(self) -> PictureView | None:
        """Read all pictures of data without a span, to set the span of the view; return the view, None for others."""
        if isinstance(self._pictures, PictureFiles) and self._pictures.is_open_data():
            for number in range(len(self._pictures.names)):
                self._values += self._pictures.read(number)[0].values or ()
            self._show(whole_span(min(self._values), max(self._values)))
            return self._pictures.view
        return None

    @property
    def _span(self) -> Span | None:
        return None if isinstance(self._pictures, PoseFrames) else self._pictures.view.span

    def _show(self, span: Span | None) -> None:
        if span is not None and not isinstance(self._pictures, PoseFrames):
            self._pictures.view = PictureView(self._pictures.view.layer, span)

    def needs_second_pass(self) -> bool:
        """Return False: pictures are read, or raise."""
        return False

    def index(self) -> ClipIndex:
        """Return the index of the clip; see ``Reader``."""
        samples = self._samples or SampleRange()
        width, height = self._sizes[0]
        count = len(self._pictures.names)
        times = _times(self._durations_ms[:count]) if self._pictures.is_timed else (range(count + 1), 1 / RATE, RATE)
        pts, time_base, rate = times
        return ClipIndex(
            pts=tuple(pts[:-1]),
            time_base=time_base,
            last_duration=pts[-1] - pts[-2],
            width=width,
            height=height,
            sample_aspect_ratio=Fraction(1),
            rate=rate,
            num_rebuilt_pts=0,
            num_frames_from_header=count,
            names=self._pictures.names,
            same_size=len(set(self._sizes)) == 1,
            findings=Findings(
                depth=16 if self._deep else 8,
                alpha=self._transparent,
                white=self._white or samples.white,
                span=self._whole_span(),
                notes=(*self._notes, *([samples.note] if samples.note else []), *self._span_note()),
                plays=num_plays(self.path) if self._pictures.is_timed else None,
                reading=self._reading,
            ),
        )

    def _whole_span(self) -> Span | None:
        whole = whole_span(min(self._values), max(self._values)) if self._values else None
        return whole and (self._span or whole)

    def _span_note(self) -> list[str]:
        """Return a note on the span of values that is shown; none for pictures that are not data."""
        if (span := self._whole_span()) is None:
            return []
        low, high = min(self._values), max(self._values)
        note = f"values from {low:.4g} to {high:.4g}: {span[0]:.4g} is black and {span[1]:.4g} white in all pictures"
        return [note + (", what is beyond is cut off" if low < span[0] or span[1] < high else "")]


def _times(durations_ms: Sequence[float]) -> tuple[Sequence[int], Fraction, Fraction]:
    """Return the timestamps of frames and of their end, their time base, and the average rate."""
    exact = [Fraction(d).limit_denominator(1001) for d in durations_ms]
    base = MILLISECONDS if all(d.denominator == 1 for d in exact) else TICKS
    pts = [round(at * MILLISECONDS / base) for at in accumulate(exact, initial=Fraction(0))]
    return pts, base, (len(exact) / (sum(exact) * MILLISECONDS)).limit_denominator(1001)


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

    def needs_second_pass(self) -> bool:
        return any(reader.needs_second_pass() for reader in self._ended)

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
