"""What every clip is, whether it comes out of a video, a picture, or a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import numpy as np


@dataclass(frozen=True)
class Frame:
    """A picture with its place: ``index`` in the clip, ``pts`` in units of the clip's time base.

    ``rgb`` is (height, width, 3), upright, full range, uint8 or (where asked for) uint16. ``guides`` are the pictures
    that stand beside it, of the same size, where the clip is a stack of guides. ``alpha`` (height, width) is there
    where it was asked for and the source has it.
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

    def __repr__(self) -> str:
        return f"Frame(index={self.index}, pts={self.pts}, rgb={self.rgb.shape})"


@dataclass(frozen=True)
class Findings:
    """What decoding a clip from end to end showed besides its frames.

    ``depth``: bits a channel. ``matrix``: of YUV, as frames are tagged. ``alpha``: something is transparent.
    ``colour``: what had to be made BT.709 ('' where nothing had: "PQ", "HLG", "wide"). ``turned``: upright frames are
    stored turned or mirrored. Numbers of frames: ``interlaced`` ones, ``resized`` ones (of another size than the
    first), ``flawed`` ones (decoded, with errors), ``missing`` ones (which the container lists and the file does not
    hold), ``hidden`` ones (left out by the edit list). ``lost``: packets that gave no frame for being damaged.
    ``gaps``: places where the container misses something, and ``holes``: frames that the times of a constant rate have
    room for; neither need be damage. ``short_s``: seconds that the header promises and the file does not hold.
    ``damaged_at``: seconds of the first damage.
    """

    depth: int = 8
    matrix: str = "untagged"
    alpha: bool = False
    colour: str = ""
    turned: bool = False
    interlaced: int = 0
    resized: int = 0
    lost: int = 0
    flawed: int = 0
    missing: int = 0
    hidden: int = 0
    short_s: float = 0.0
    gaps: int = 0
    holes: int = 0
    damaged_at: float | None = None

    @property
    def damage(self) -> str:
        """What is damaged, counted; empty where nothing is."""
        counts = (
            (self.lost, "packet could not be decoded", "packets could not be decoded"),
            (self.flawed, "frame is flawed", "frames are flawed"),
            (self.missing, "frame is missing", "frames are missing"),
        )
        said = [f"{n} {one if n == 1 else many}" for n, one, many in counts if n]
        if self.short_s:
            said.append(f"{self.short_s:.1f} s are missing at its end")
        return ", ".join(said) + (f", from {self.damaged_at:.3f} s on" if said and self.damaged_at is not None else "")


@dataclass(frozen=True)
class ClipIndex:
    """What decoding a clip from end to end showed: the truth that headers only claim.

    ``pts`` are strictly increasing, in ``time_base`` units; ``width`` × ``height`` and
    ``sample_aspect_ratio`` are those of the upright picture. ``num_rebuilt_pts`` counts timestamps that were
    missing, repeated or out of order and were put right. ``names`` are those of the files where the clip
    is made of pictures; they need not be of one size there (``same_size``).
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
        return len(self.pts)

    @property
    def duration_s(self) -> float:
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base) if self.pts else 0.0

    @property
    def before_zero(self) -> int:
        """How far the first frame lies before 0, as a time; containers would cut it off."""
        return min(0, self.pts[0]) if self.pts else 0

    def durations(self) -> list[int]:
        """How long each frame is shown, in ``time_base`` units."""
        return [b - a for a, b in zip(self.pts, self.pts[1:], strict=False)] + [self.last_duration]


class FrameCursor:
    """One frame after another of those that ``read`` gives from a number on; a frame may be asked for several times.

    Asked for an earlier one, it reads anew from there.
    """

    def __init__(self, read: Callable[[int], Generator[Frame, None, None]]) -> None:
        self._read = read
        self._frames: Generator[Frame, None, None] | None = None
        self._frame: Frame | None = None
        self._at = -1

    def __call__(self, number: int) -> Frame:
        if self._frames is None or number < self._at:
            self.close()
            self._frames, self._at = self._read(number), number - 1
        while self._at < number:
            self._frame = next(self._frames)
            self._at += 1
        assert self._frame is not None
        return self._frame

    def close(self) -> None:
        if self._frames is not None:
            self._frames.close()
        self._frames = None


class Reader(Protocol):
    """Reads one clip. Use as a context manager; ``frames`` may be called more than once.

    ``num_frames_expected`` is what the headers, or the names, promise.
    """

    path: Path

    @property
    def num_frames_expected(self) -> int | None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...

    def frames(
        self, start: int = 0, stop: int | None = None, index: ClipIndex | None = None
    ) -> Generator[Frame, None, None]:
        """Yield the frames ``start`` … ``stop − 1`` in order; an ``index`` lets it seek, and is checked."""
        ...

    def index(self) -> ClipIndex:
        """The index of the clip, after it was read from end to end. Raises MediaError where it has no frames."""
        ...

    def is_doubtful(self) -> bool:
        """Whether something seems to have been lost without a word, when it was read from end to end."""
        ...


def read_frames(reader: Reader, index: ClipIndex, numbers: Sequence[int]) -> Iterator[Frame]:
    """The frames of these increasing numbers, in one pass from the first to the last."""
    wanted = set(numbers)
    with closing(reader.frames(numbers[0], numbers[-1] + 1, index)) as frames:
        yield from (frame for frame in frames if frame.index in wanted)
