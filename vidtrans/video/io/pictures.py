"""Read pictures as clips: one picture, a folder of pictures, or several folders of guides in parallel."""

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
from vidtrans.core.registry import missing_file_remedy
from vidtrans.video.colour.conversion import apply_format, resize_alpha, to_uint8, to_uint16, with_alpha
from vidtrans.video.frame_format import DEFAULT_FORMAT, PAPER, FrameFormat
from vidtrans.video.images.exr import choose_layer, read_header
from vidtrans.video.images.picture import EXR, PictureStack, read_still, resize, split_alpha
from vidtrans.video.images.picture_header import num_plays
from vidtrans.video.images.still import PICTURE, PictureView, SampleRange, Span, Still, default_span
from vidtrans.video.io.clip import ClipIndex, Findings, Frame, Reader
from vidtrans.video.io.picture_paths import (
    check_supported_format,
    files_to_read,
    find_guide_paths,
    guide_files,
    is_picture_sequence,
    is_picture_source,
    is_stack,
    picture_files,
    split_view,
)
from vidtrans.video.io.reader import ClipReader, HardwareDecoder
from vidtrans.video.keypoints import POSE_GUIDE, PoseFrames, PoseView, is_keypoints

RATE = Fraction(25)  # Frames per second of a folder of pictures, which states no rate
MILLISECOND, FINE_TICK = Fraction(1, 1000), Fraction(1, 90_000)  # Time bases of animations, in seconds


class PictureFiles:
    """A sequence of files with one picture each, with the interface of ``PictureStack``."""

    is_timed = False

    def __init__(self, files: Sequence[Path], view: PictureView = PICTURE) -> None:
        self._files, self.view = files, view
        self.names = tuple(f.name for f in files)

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture, and 0 for its duration. Raises MediaError."""
        return read_still(self._files[number], self.view), 0.0

    def needs_span(self) -> bool:
        """Return whether the files hold OpenEXR data, and the view states no span of values from black to white."""
        if self.view.span is not None or self._files[0].suffix.lower() != EXR:
            return False
        return not choose_layer(read_header(self._files[0]), self.view.layer, self._files[0]).is_light

    def close(self) -> None:
        """Do nothing: no file stays open."""


class PictureReader:
    """A reader of pictures as a clip: 25 frames per second, or the times of an animation; see ``Reader``."""

    def __init__(
        self, path: Path, pictures: PictureFiles | PictureStack | PoseFrames, frame_format: FrameFormat
    ) -> None:
        self.path, self.frame_format, self._pictures = path, frame_format, pictures
        self._sizes: list[tuple[int, int]] = []
        self._durations_ms: list[float] = []
        self._is_deep = self._is_transparent = False
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
            self._is_transparent = index.findings.alpha
            self.set_white(index.findings.white)
            self._set_span(index.findings.span)
        for number in range(len(names))[start:stop]:
            frame = self._frame(number)
            yield frame if index is None else Frame(number, index.pts[number], frame.rgb, alpha=frame.alpha)

    def _frame(self, number: int) -> Frame:
        """Return a picture as a frame in the frame format, and record the properties that the clip's index contains."""
        frame_format = self.frame_format
        still, duration_ms = self._pictures.read(number)
        self._durations_ms.append(duration_ms)
        self._notes |= dict.fromkeys(still.notes)
        self._values += still.values or ()
        self._reading = max(self._reading, still.reading)
        self._samples = still.samples if self._samples is None else self._samples | still.samples
        rgb, alpha = split_alpha(still.picture)
        self._is_deep = self._is_deep or rgb.dtype == np.uint16
        self._is_transparent = self._is_transparent or alpha is not None
        self._sizes.append((rgb.shape[1], rgb.shape[0]))
        size = frame_format.size.of(*self._sizes[-1])
        to_depth = to_uint16 if frame_format.deep else to_uint8
        if alpha is None:
            rgb = resize(to_depth(rgb), *size)
        else:
            rgba = resize_alpha(with_alpha(to_depth(rgb), to_depth(alpha)), *size)
            rgb, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
        rgb, alpha = apply_format(rgb, alpha, frame_format, PAPER, cut_out=self._is_transparent)
        return Frame(number, number, rgb, alpha=alpha)

    def set_white(self, white: float) -> None:
        """Set the sample value that is white in all pictures (``Findings.white``); 0: the highest of the format."""
        self._white = white
        self._set_span((0, white) if white else None)

    def measure_span(self) -> PictureView | None:
        """Measure the span of data values in all pictures, use it in this reader, and return the view with it.

        Return None for pictures that are not data, or whose view has a span.
        """
        if isinstance(self._pictures, PictureFiles) and self._pictures.needs_span():
            for number in range(len(self._pictures.names)):
                self._values += self._pictures.read(number)[0].values or ()
            self._set_span(default_span(min(self._values), max(self._values)))
            return self._pictures.view
        return None

    @property
    def _span(self) -> Span | None:
        """The span of values from black to white in the view; None without one."""
        return None if isinstance(self._pictures, PoseFrames) else self._pictures.view.span

    def _set_span(self, span: Span | None) -> None:
        """Set the view's span of values from black to white; None and drawn keypoints change nothing."""
        if span is not None and not isinstance(self._pictures, PoseFrames):
            self._pictures.view = PictureView(self._pictures.view.layer, span)

    def needs_second_pass(self) -> bool:
        """Return False: one pass reads all properties of pictures."""
        return False

    def index(self) -> ClipIndex:
        """Return the index of the clip; see ``Reader``."""
        samples = self._samples or SampleRange()
        width, height = self._sizes[0]
        count = len(self._pictures.names)
        pts: Sequence[int]
        pts, time_base, rate = range(count + 1), 1 / RATE, RATE
        if self._pictures.is_timed:
            pts, time_base, rate = _animation_times(self._durations_ms[:count])
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
                depth=16 if self._is_deep else 8,
                alpha=self._is_transparent,
                white=self._white or samples.white,
                span=self._data_span(),
                notes=(*self._notes, *([samples.note] if samples.note else []), *self._span_note()),
                plays=num_plays(self.path) if self._pictures.is_timed else None,
                reading=self._reading,
            ),
        )

    def _data_span(self) -> Span | None:
        """Return the data values that are black and white in all pictures; None for pictures that are not data."""
        whole = default_span(min(self._values), max(self._values)) if self._values else None
        return whole and (self._span or whole)

    def _span_note(self) -> list[str]:
        """Return a note on the data values that are black and white; none for pictures that are not data."""
        if (span := self._data_span()) is None:
            return []
        low, high = min(self._values), max(self._values)
        note = f"values from {low:.4g} to {high:.4g}: {span[0]:.4g} is black and {span[1]:.4g} white in all pictures"
        return [note + (", what is beyond is cut off" if low < span[0] or span[1] < high else "")]


def _animation_times(durations_ms: Sequence[float]) -> tuple[Sequence[int], Fraction, Fraction]:
    """Return the pts of all frames and of the end, the time base, and the average rate of an animation.

    ``durations_ms``: of the frames, in milliseconds.
    """
    exact = [Fraction(d).limit_denominator(1001) for d in durations_ms]
    base = MILLISECOND if all(d.denominator == 1 for d in exact) else FINE_TICK
    pts = [round(at * MILLISECOND / base) for at in accumulate(exact, initial=Fraction(0))]
    return pts, base, (len(exact) / (sum(exact) * MILLISECOND)).limit_denominator(1001)


def guide_with_span(folder: Path, name: str) -> str:
    """Return a guide's name, with the measured span of values if it holds OpenEXR data and the name states no span.

    Raises MediaError.
    """
    path = find_guide_paths(folder, [name])[name]
    if not is_picture_source(path):
        return name
    with open_reader(path) as reader:
        view = reader.measure_span() if isinstance(reader, PictureReader) else None
    return f"{name.partition('#')[0]}#{view}" if view else name


def unequal_guides(folder: Path, names: Sequence[str]) -> str:
    """Return a warning with each guide's number of frames, from headers, where these differ; else ''."""
    if pose_view_text(names) is not None:
        return ""
    with ExitStack() as stack:
        readers = {n: stack.enter_context(open_reader(p)) for n, p in find_guide_paths(folder, names).items()}
        counts = {n: count for n, reader in readers.items() if (count := reader.num_frames_expected)}
    files = guide_files(folder, names)
    common = len(files[names[0]]) or min(counts.values(), default=0)
    if set(counts.values()) <= {common}:
        return ""
    listed = ", ".join(f"{n} has {plural(c, 'frame')}" for n, c in counts.items())
    selection = f"{common} that all have" if files[names[0]] else f"first {common}"
    return f"{listed}: the {selection} are used"


class _GuidesReader:
    """A reader of a folder of guides, which are folders of pictures or videos, read in parallel.

    The pictures of the first of ``names`` are the frames' ``rgb``; those of the others are the frames' ``guides``,
    resized to its size. ``tolerant``: count damage instead of raising MediaError.
    """

    def __init__(
        self, path: Path, names: Sequence[str], frame_format: FrameFormat, *, threads: int, tolerant: bool
    ) -> None:
        self.path, self.names, self.frame_format = Path(path), names, frame_format
        self._readers: list[Reader] = []
        self._open = partial(open_reader, frame_format=frame_format, threads=threads, tolerant=tolerant)

    def __enter__(self) -> _GuidesReader:
        if not self.path.is_dir():
            raise MediaError(str(self.path), "not a folder of guides", f"give one that holds {', '.join(self.names)}")
        with ExitStack() as stack:
            files = guide_files(self.path, self.names)
            for name, guide in find_guide_paths(self.path, self.names).items():
                reader = _picture_reader(guide, self.frame_format, files[name]) if files[name] else self._open(guide)
                self._readers.append(stack.enter_context(reader))
                if isinstance(reader, PictureReader):
                    reader.measure_span()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    @property
    def num_frames_expected(self) -> int | None:
        """The number of frames of the shortest guide, from the headers; None if they state none."""
        return min((n for r in self._readers if (n := r.num_frames_expected)), default=None)

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1``: the picture of the first guide, with those of the other guides."""
        stop = stop if index is None else min(index.num_frames if stop is None else stop, index.num_frames)
        for reader, white in zip(self._readers, index.findings.whites if index else (), strict=False):
            if isinstance(reader, PictureReader):
                reader.set_white(white)
        self._num_frames = start
        self._ended_readers: list[Reader] = []
        with ExitStack() as stack:
            streams = [stack.enter_context(closing(r.frames(start, stop))) for r in self._readers]
            while True:
                frames = [next(stream, None) for stream in streams]
                self._ended_readers = [r for r, frame in zip(self._readers, frames, strict=True) if frame is None]
                if self._ended_readers:
                    return
                first, *others = (frame for frame in frames if frame is not None)
                height, width = first.rgb.shape[:2]
                guides = tuple(np.ascontiguousarray(resize(f.rgb, width, height)) for f in others)
                self._num_frames += 1
                yield Frame(first.index, first.pts, first.rgb, guides)

    def needs_second_pass(self) -> bool:
        """Return whether a guide that was read to its end must be read again."""
        return any(reader.needs_second_pass() for reader in self._ended_readers)

    def index(self) -> ClipIndex:
        """Return the index of the clip, with as many frames as the shortest guide."""
        count = self._num_frames
        indices = [reader.index() for reader in self._readers]
        first, pts, names = indices[0], indices[0].pts[:count], indices[0].names[:count]
        losses = {name: sum(getattr(i.findings, name) for i in indices) for name in ("lost", "flawed")}
        # Reading ends with the shortest guide, so later frames of the others are not missing.
        ended = [i.findings for i, reader in zip(indices, self._readers, strict=True) if reader in self._ended_readers]
        missing, short_s = sum(f.missing for f in ended), max((f.short_s for f in ended), default=0.0)
        damaged_at = min((i.findings.damaged_at for i in indices if i.findings.damaged_at is not None), default=None)
        labels = [name.partition("=")[0].strip("#") for name in self.names]
        notes = tuple(f"{label}: {n}" for label, i in zip(labels, indices, strict=True) for n in i.findings.notes)
        findings = replace(
            first.findings, alpha=False, missing=missing, short_s=short_s, damaged_at=damaged_at, **losses
        )
        whites = tuple(i.findings.white for i in indices)
        reading = max(i.findings.reading for i in indices)
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
    if not guides or pose_view_text(guides) is not None:
        return [(p.name, p) for p in picture_files(path)]
    files, guide_paths = guide_files(path, guides), find_guide_paths(path, guides)
    by_guide = {name: [(p.name, p) for p in files[name]] or media_files(guide) for name, guide in guide_paths.items()}
    return [(f"{name}/{relative}", file) for name, listed in by_guide.items() for relative, file in listed]


def open_reader(
    path: Path,
    frame_format: FrameFormat = DEFAULT_FORMAT,
    *,
    threads: int = 0,
    guides: Sequence[str] = (),
    tolerant: bool = False,
    hardware: HardwareDecoder | None = None,
) -> Reader:
    """Return the reader of a video, a picture, a folder or pattern of pictures, or (with ``guides``) guide folders.

    ``tolerant``: count damage in a video instead of raising. ``hardware``: a GPU decoder for a video, used until it
    fails.
    """
    source, view = split_view(path)
    pose_text = pose_view_text(guides)
    if pose_text is not None or (not guides and is_keypoints(source)):
        return PictureReader(path, _pose_frames(source, view, pose_text), frame_format)
    if guides:
        return _GuidesReader(path, guides, frame_format, threads=threads, tolerant=tolerant)
    check_supported_format(source)
    if is_picture_source(path):
        return _picture_reader(path, frame_format, [] if is_stack(path) else files_to_read(source))
    if view and source.exists():
        raise MediaError(str(source), f"it has no layers, so none is '{view}'", "leave out what is behind the #")
    return ClipReader(path, frame_format, threads=threads, tolerant=tolerant, hardware=hardware)


def pose_view_text(guides: Sequence[str]) -> str | None:
    """Return the text of a ``PoseView`` in the guides of the pairing ``pose``; None for other guides."""
    name, sign, text = guides[0].partition("#") if len(guides) == 1 else ("", "", "")
    return text if name == POSE_GUIDE and sign else None


def performer_body(path: Path, text: str) -> str:
    """Return the ``BodyPlace``, as text, of the person visible in most frames of keypoints; '' if unknown.

    ``text``: of the ``PoseView`` that they are drawn by. Raises MediaError.
    """
    source, source_view = split_view(path)
    body = _pose_frames(source, source_view, text).body
    return str(body) if body else ""


def _pose_frames(source: Path, source_view: str, model_view: str | None) -> PoseFrames:
    """Return the drawn poses of a source of keypoints. Raises MediaError.

    ``source_view``: the text after the source's #; ``model_view``: the text of the view in a model, if any.
    """
    if not source.exists():
        raise MediaError(str(source), "no such file", missing_file_remedy(source))
    if not is_keypoints(source):
        why = "the model paints poses, which are drawn from keypoints, and this is no file or folder of them"
        raise MediaError(str(source), why, "find them with OpenPose or MediaPipe, and give their JSON or CSV")
    check_regular_file(source)
    view = PoseView.parse(source_view, source)
    return PoseFrames(source, view if model_view is None else PoseView.parse(model_view, source), view.size)


def _picture_reader(path: Path, frame_format: FrameFormat, files: Sequence[Path]) -> PictureReader:
    """Return a reader of ``files``, one picture each, or without files, of the pictures in the file ``path``."""
    source, text = split_view(path)
    view = PictureView.parse(text, path)
    pictures = PictureFiles(files, view) if files else PictureStack(source, view)
    return PictureReader(path, pictures, frame_format)
