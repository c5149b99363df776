"""Split a clip into chunks: at the cuts between shots, and long shots into pieces of a fixed length."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vidtrans.core.errors import UsageError

MAX_HOLD_CHUNKS = 20  # Limit of a chunk that a held (repeated) picture extends, in multiples of the chunk length


@dataclass(frozen=True)
class Chunk:
    """A chunk: the frames ``first`` … ``stop − 1`` of a clip, within the shot ``shot_first`` … ``shot_stop − 1``."""

    number: int
    first: int
    stop: int
    shot_first: int
    shot_stop: int


def cut_into_chunks(
    first: int, stop: int, shots: Sequence[int], length: int, held: Collection[int] = (), begin: int | None = None
) -> list[Chunk]:
    """Cut the frames [first, stop) into chunks of about ``length`` frames. ``shots``: the first frames of the shots.

    ``held``: frames that repeat the frame before; they are in the same chunk, so that both get the same picture.
    ``begin``: a frame within a shot at which a chunk also begins.
    """
    starts = sorted({first, *(s for s in shots if first < s < stop)})
    chunks: list[Chunk] = []
    for shot_first, shot_stop in zip(starts, [*starts[1:], stop], strict=True):
        middle = [begin] if begin is not None and shot_first < begin < shot_stop else []
        for lo, hi in pairwise([shot_first, *middle, shot_stop]):
            for at, end in _split_shot(lo, hi, length, held):
                chunks.append(Chunk(len(chunks), at, end, shot_first, shot_stop))
    return chunks


def _split_shot(first: int, stop: int, length: int, held: Collection[int]) -> Iterator[tuple[int, int]]:
    """Yield the frames [at, end) of each chunk of a shot [first, stop), up to ``length`` frames each.

    ``held``: frames that repeat the frame before; a chunk does not end before such a frame, so it may be longer.
    """
    at = first
    while at < stop:
        limit = min(at + length, stop)
        ends = (end for end in range(limit, at, -1) if end == stop or end not in held)
        longer = (end for end in range(limit, stop) if end not in held or end - at >= MAX_HOLD_CHUNKS * length)
        end = next(ends, None) or next(longer, stop)
        yield at, end
        at = end


@dataclass(frozen=True)
class ClipPart:
    """The parts number ``first`` to ``last`` of a clip that is rendered in ``count`` parts, counted from 1.

    Raises UsageError for invalid numbers.
    """

    first: int
    last: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.last <= self.count:
            raise UsageError(f"--chunk {self}", "not a part of a clip", "write 1/8, 2/8 … 8/8, or 3-5/8 for several")

    def __str__(self) -> str:
        return f"{self.first}{'' if self.first == self.last else f'-{self.last}'}/{self.count}"

    @classmethod
    def parse(cls, text: str) -> ClipPart:
        """Parse the text "3/8" (one part of eight) or "3-5/8" (several parts). Raises UsageError."""
        match = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?/([0-9]{1,6})", text.strip())
        first, last, count = (int(match[1]), int(match[2] or match[1]), int(match[3])) if match else (0, 0, 0)
        try:
            return cls(first, last, count)
        except UsageError as error:
            error.what = f"--chunk {text}"
            raise

    def of(self, chunks: Sequence[Chunk], *, whole_shots: bool) -> list[Chunk]:
        """Select this part's chunks from all ``chunks`` of the clip; parts have about equal numbers of frames.

        Each chunk belongs to exactly one part, rendered or not. ``whole_shots``: never split a shot between parts.
        """
        parts = split(chunks, self.count, whole_shots=whole_shots)
        return [chunk for part in parts[self.first - 1 : self.last] for chunk in part]


def split(chunks: Sequence[Chunk], count: int, *, whole_shots: bool) -> list[list[Chunk]]:
    """Split chunks into ``count`` groups of consecutive chunks with about equal numbers of frames; groups may be empty.

    ``whole_shots``: put all chunks of a shot into the same group.
    """
    total = sum(chunk.stop - chunk.first for chunk in chunks)
    parts: list[list[Chunk]] = [[] for _ in range(count)]
    num_done = begin = 0
    shot = None
    for chunk in chunks:
        if not whole_shots or chunk.shot_first != shot:
            begin, shot = num_done, chunk.shot_first
        parts[begin * count // total].append(chunk)
        num_done += chunk.stop - chunk.first
    return parts


def chunk_of(chunks: Sequence[Chunk], frame: int) -> Chunk:
    """Return the chunk that contains a frame; the chunks are in order."""
    return chunks[bisect_right(chunks, frame, key=lambda c: c.first) - 1]


def read_ranges(chunks: Sequence[Chunk], missing: Sequence[int], radius: int) -> list[tuple[list[Chunk], int, int]]:
    """Group the missing chunks that are consecutive; return each group with the frames [lo, hi) that its filter reads.

    ``missing``: the numbers of the missing chunks, ascending. A range extends ``radius`` frames beyond its group on
    either side, but never into another shot.
    """
    groups: list[list[Chunk]] = []
    for number in missing:
        if groups and groups[-1][-1].number == number - 1:
            groups[-1].append(chunks[number])
        else:
            groups.append([chunks[number]])
    return [
        (group, max(group[0].shot_first, group[0].first - radius), min(group[-1].shot_stop, group[-1].stop + radius))
        for group in groups
    ]


def num_frames(chunks: Iterable[Chunk]) -> int:
    """Return the total number of frames in chunks."""
    return sum(chunk.stop - chunk.first for chunk in chunks)
