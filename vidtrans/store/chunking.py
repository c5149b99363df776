"""Cut a clip into chunks: at its shots, and long shots at fixed lengths."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Chunk:
    """Frames ``first`` … ``stop − 1``; its shot reaches from ``shot_first`` to ``shot_stop − 1``."""

    number: int
    first: int
    stop: int
    shot_first: int
    shot_stop: int


def cut_into_chunks(first: int, stop: int, shots: Sequence[int], length: int) -> list[Chunk]:
    """Return the chunks of frames [first, stop); ``shots`` are the first frames of the clip's shots."""
    starts = sorted({first, *(s for s in shots if first < s < stop)})
    chunks: list[Chunk] = []
    for a, b in zip(starts, [*starts[1:], stop], strict=True):
        for at in range(a, b, length):
            chunks.append(Chunk(len(chunks), at, min(at + length, b), a, b))
    return chunks


def chunk_of(chunks: Sequence[Chunk], frame: int) -> Chunk:
    """Return the chunk that holds ``frame``."""
    return chunks[bisect_right(chunks, frame, key=lambda c: c.first) - 1]


def read_ranges(chunks: Sequence[Chunk], missing: Sequence[int], radius: int) -> list[tuple[list[Chunk], int, int]]:
    """Return runs of neighbouring missing chunks, each with the frames [lo, hi) that are read to filter them.

    A filter of ``radius`` needs that many frames on either side, and none from another shot.
    """
    runs: list[list[Chunk]] = []
    for number in missing:
        if runs and runs[-1][-1].number == number - 1:
            runs[-1].append(chunks[number])
        else:
            runs.append([chunks[number]])
    return [
        (run, max(run[0].shot_first, run[0].first - radius), min(run[-1].shot_stop, run[-1].stop + radius))
        for run in runs
    ]
