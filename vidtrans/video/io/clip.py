"""Define the frame, the index and the reader interface of a clip: a video, a picture, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import numpy as np

from vidtrans.video.images.picture import resize


@dataclass(frozen=True)
class Frame:
    """A picture with its position: ``index`` in the clip, ``pts`` in units of the clip's time base.

    ``rgb`` is (height, width, 3), upright, full range, uint8, or uint16 if requested. ``guides``: the frame's other
    pictures, of the same size, if the clip is a folder of guides. ``alpha`` (height, width): if requested and in the
    source.
    """

    index: int
    pts: int
    rgb: np.ndarray
    guides: tuple[np.ndarray, ...] = ()
    alpha: np.ndarray | None = None

    @property
    def pictures(self) -> tuple[np.ndarray, ...]:
        """The picture ``rgb``, followed by the pictures of the guides."""
        return (self.rgb, *self.guides)

    def resized(self, width: int, height: int) -> Frame:
        """Return the frame with all its pictures resized, without alpha."""
        rgb, *guides = (resize(picture, width, height) for picture in self.pictures)
        return Frame(self.index, self.pts, rgb, tuple(guides))

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, rgb={self.rgb.shape})"


@dataclass(frozen=True)
class Findings:
    """Properties of a clip that are known only after decoding all of it."""

    depth: int = 8  # Bits per channel
    matrix: str = "untagged"  # YUV matrix tag, by name
    primaries: str = "untagged"
    transfer: str = "untagged"
    alpha: bool = False  # True if any pixel is transparent
    colour: str = ""  # Colours that are mapped to BT.709: "PQ", "HLG", "wide" or a description
    unread: str = ""  # Colour tags or ICC profile that are not used, as text
    turned: bool = False  # True if frames are stored rotated or mirrored
    dolby_vision: str = ""  # Dolby Vision profile: "5", "8.4"
    stereo: str = ""  # Layout of the two views in a frame, by Matroska's name
    projection: str = ""  # Projection of spherical video
    side_data: tuple[str, ...] = ()  # Kinds of side data in frames, by FFmpeg's names
    interlaced: int = 0  # Number of interlaced frames
    resized: int = 0  # Number of frames with another size than the first
    lost: int = 0  # Number of damaged packets without a frame
    flawed: int = 0  # Number of frames decoded with errors
    missing: int = 0  # Number of frames that the header lists and the file does not contain
    hidden: int = 0  # Number of frames that the edit list leaves out
    short_s: float = 0.0  # Seconds at the end that the header lists and the file does not contain
    gaps: int = 0  # Number of gaps that the demuxer reports, which need not be damage
    restarts: int = 0  # Number of clock restarts, where recordings were joined
    holes: int = 0  # Number of frames missing from a constant rate, which need not be damage either
    no_rate: bool = False  # True if neither times nor a rate are stored
    damaged_at: float | None = None  # Time of the first damage in seconds
    white: float = 0  # White sample value of all pictures; 0: the highest of their format
    whites: tuple[float, ...] = ()  # White sample value of each guide in a folder of guides; () if all are 0
    plays: int | None = None  # Number of times that an animation is played, 0: endlessly; None for other clips
    span: tuple[float, float] | None = None  # Data values that are black and white in all pictures
    notes: tuple[str, ...] = ()  # Texts on the conversion of pictures
    reading: int = 0  # Version of the decoding rules, for files that earlier versions decoded differently; else 0

    @property
    def damage(self) -> str:
        """A text with the counts of the damage; '' for an undamaged clip."""
        counts = (
            (self.lost, "packet could not be decoded", "packets could not be decoded"),
            (self.flawed, "frame is flawed", "frames are flawed"),
            (self.missing, "frame is missing", "frames are missing"),
        )
        parts = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
        if self.short_s:
            parts.append(f"{self.short_s:.1f} s are missing at its end")
        since = f", from {self.damaged_at:.3f} s on" if parts and self.damaged_at is not None else ""
        return ", ".join(parts) + since


@dataclass(frozen=True)
class ClipIndex:
    """The times and sizes of a clip's frames, from decoding all of it, as headers may be wrong.

    ``pts`` are strictly increasing, in ``time_base`` units; ``width`` × ``height`` and ``sample_aspect_ratio`` are
    those of the upright picture. ``num_rebuilt_pts``: the number of repaired timestamps, which were missing, repeated,
    out of order, or of a restarted clock. ``names``: the file names if the clip consists of pictures, which may differ
    in size. ``zero``: the timestamp that becomes 0 in a result.
    """

    pts: tuple[int, ...]
    time_base: Fraction
    last_duration: int
    width: int
    height: int
    sample_aspect_ratio: Fraction
    rate: Fraction
    num_rebuilt_pts: int
    num_frames_from_header: int
    names: tuple[str, ...] = ()
    same_size: bool = True
    zero: int = 0
    findings: Findings = Findings()

    @property
    def num_frames(self) -> int:
        return len(self.pts)

    @property
    def duration_s(self) -> float:
        """The seconds from the start of the first frame to the end of the last."""
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base) if self.pts else 0.0

    def durations(self) -> list[int]:
        """Return the duration of each frame in ``time_base`` units."""
        return [b - a for a, b in zip(self.pts, self.pts[1:], strict=False)] + [self.last_duration]


class FrameCursor:
    """Random access to frames by number. Increasing numbers are read in one pass; a lower number starts a new pass.

    ``read``: a function that yields the frames from a number on.
    """

    def __init__(self, read: Callable[[int], Generator[Frame, None, None]]) -> None:
        self._read = read
        self._frames: Generator[Frame, None, None] | None = None
        self._frame: Frame | None = None

    def __call__(self, number: int) -> Frame:
        """Return the frame with this number."""
        if self._frames is None or self._frame is None or number < self._frame.index:
            self.close()
            self._frames = self._read(number)
            self._frame = next(self._frames)
        while self._frame.index < number:
            self._frame = next(self._frames)
        return self._frame

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        if self._frames is not None:
            self._frames.close()
        self._frames = None


class Reader(Protocol):
    """The interface of a reader of one clip. Use as a context manager; ``frames`` may be called more than once."""

    path: Path

    @property
    def num_frames_expected(self) -> int | None:
        """The number of frames according to the headers, or the number of picture files."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order.

        ``index``: allows seeking; MediaError is raised if the file no longer agrees with it.
        """

    def index(self) -> ClipIndex:
        """Return the index of the clip; call this after reading to the end. Raises MediaError if it has no frames."""

    def needs_second_pass(self) -> bool:
        """Return whether the clip must be read again; call this after reading to the end."""


def read_frames(reader: Reader, index: ClipIndex, numbers: Sequence[int]) -> Iterator[Frame]:
    """Yield the frames with these increasing numbers, in one pass from the first to the last."""
    wanted = set(numbers)
    with closing(reader.frames(numbers[0], numbers[-1] + 1, index)) as frames:
        yield from (frame for frame in frames if frame.index in wanted)
