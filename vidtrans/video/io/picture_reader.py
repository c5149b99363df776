"""Read pictures as the frames of a clip: files of one picture, or one file of many."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.conversion import apply_format, resize_alpha, to_uint8, to_uint16, with_alpha
from vidtrans.video.frame_format import PAPER, FrameFormat
from vidtrans.video.images.animations import num_plays
from vidtrans.video.images.exr_header import choose_layer, read_header
from vidtrans.video.images.picture import EXR, layers_of, read_still, resize
from vidtrans.video.images.picture_stack import PictureStack
from vidtrans.video.images.picture_view import PICTURE, PictureView, Span, whole_span
from vidtrans.video.images.still import SampleRange, Still
from vidtrans.video.io.clip import ClipIndex, Findings, Frame
from vidtrans.video.keypoints.poses import PoseFrames

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

    def is_doubtful(self) -> bool:
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
