"""The frames, the index and the reader of a clip, whether it is a video, a picture, or a folder of pictures."""

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
    """A picture with its place: ``index`` in the clip, ``pts`` in units of the clip's time base.

    ``rgb`` is (height, width, 3), upright, full range, uint8 or (where asked for) uint16. ``guides``: the other
    pictures of the frame, of the same size, where the clip is a folder of guides. ``alpha`` (height, width): where it
    was asked for and the source has it.
    """

    index: int
    pts: int
    rgb: np.ndarray
    guides: tuple[np.ndarray, ...] = ()
    alpha: np.ndarray | None = None

    @property
    def pictures(self) -> tuple[np.ndarray, ...]:
        """``rgb`` and its guides."""
        return (self.rgb, *self.guides)

    def resized(self, width: int, height: int) -> Frame:
        """Return the frame with all its pictures of this size, without alpha."""
        rgb, *guides = (resize(picture, width, height) for picture in self.pictures)
        return Frame(self.index, self.pts, rgb, tuple(guides))

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, rgb={self.rgb.shape})"


@dataclass(frozen=True)
class Findings:
    """What decoding a clip from end to end showed besides its frames."""

    depth: int = 8  # bits a channel
    matrix: str = "untagged"  # of YUV, as frames are tagged
    alpha: bool = False  # something is transparent
    colour: str = ""  # what had to be made BT.709: "PQ", "HLG" or "wide"
    turned: bool = False  # upright frames are stored turned or mirrored
    interlaced: int = 0  # frames
    resized: int = 0  # frames of another size than the first
    lost: int = 0  # packets that gave no frame for being damaged
    flawed: int = 0  # frames decoded with errors
    missing: int = 0  # frames that the container lists and the file does not hold
    hidden: int = 0  # frames that the edit list leaves out
    short_s: float = 0.0  # that the header promises and the file does not hold
    gaps: int = 0  # places where the container misses something, which need not be damage
    holes: int = 0  # frames that the times of a constant rate have room for, which need not be damage either
    damaged_at: float | None = None  # seconds

    @property
    def damage(self) -> str:
        """What is damaged, counted; empty where nothing is."""
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
    """Times and sizes of the frames, from decoding the clip from end to end; headers may be wrong.

    ``pts`` are strictly increasing, in ``time_base`` units; ``width`` × ``height`` and ``sample_aspect_ratio`` are
    those of the upright picture. ``num_rebuilt_pts`` counts timestamps that were missing, repeated or out of order and
    were repaired. ``names``: of the files, where the clip is made of pictures; these may differ in size.
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
    findings: Findings = Findings()

    @property
    def num_frames(self) -> int:
        """The number of frames."""
        return len(self.pts)

    @property
    def duration_s(self) -> float:
        """The time from the first frame to the end of the last."""
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base) if self.pts else 0.0

    @property
    def before_zero(self) -> int:
        """How far the first frame lies before 0, as a time; containers would cut it off."""
        return min(0, self.pts[0]) if self.pts else 0

    def durations(self) -> list[int]:
        """Return how long each frame is shown, in ``time_base`` units."""
        return [b - a for a, b in zip(self.pts, self.pts[1:], strict=False)] + [self.last_duration]


class FrameCursor:
    """Any frame by number. Numbers that do not go back are read in one pass; an earlier one starts a new pass.

    ``read``: yields the frames from a number on.
    """

    def __init__(self, read: Callable[[int], Generator[Frame, None, None]]) -> None:
        self._read = read
        self._frames: Generator[Frame, None, None] | None = None
        self._frame: Frame | None = None

    def __call__(self, number: int) -> Frame:
        """Return the frame of this number."""
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
    """Reads one clip. Use as a context manager; ``frames`` may be called more than once."""

    path: Path

    @property
    def num_frames_expected(self) -> int | None:
        """The number of frames that the headers, or the names of files, promise."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order; an ``index`` lets it seek, and is checked."""

    def index(self) -> ClipIndex:
        """Return the index of the clip, after it was read to its end. Raises MediaError where it has no frames."""

    def is_doubtful(self) -> bool:
        """Return whether frames seem to be lost without an error, after the clip was read to its end."""


def read_frames(reader: Reader, index: ClipIndex, numbers: Sequence[int]) -> Iterator[Frame]:
    """Yield the frames of these increasing numbers, in one pass from the first to the last."""
    wanted = set(numbers)
    with closing(reader.frames(numbers[0], numbers[-1] + 1, index)) as frames:
        yield from (frame for frame in frames if frame.index in wanted)
