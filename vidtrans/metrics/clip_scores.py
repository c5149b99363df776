"""What came out of scoring a video: a value for each frame, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NOTICEABLE = (1 / 255) ** 2  # warping error: one 8-bit level, as an RMS
SHARE_OF_WORST = 0.1  # share of the worst moment's error that makes another one worth a look
MAX_SOURCE_RATIO = 0.95  # of the per-frame's error: what the source itself has when there is nothing to remove

Series = tuple[float | None, ...]


@dataclass(frozen=True)
class Scores:
    """Of ``frames`` frames, of which ``pairs`` could be followed from one to the next.

    ``size`` is the (width, height) that was scored at. ``compared_with`` is "reference", "per-frame" or None.
    ``summary`` has a number, or None, for each measure. Each of ``series`` has one for each frame; a pair's value
    stands at its second frame.
    """

    frames: int
    pairs: int
    size: tuple[int, int]
    compared_with: str | None
    summary: dict[str, float | None]
    series: dict[str, Series]

    def worst(self, count: int = 5) -> list[int]:
        """The frames at which the video jumps most beyond what its source does, worst first, none near another."""
        excess = [
            0.0 if own is None or given is None else own - given
            for own, given in zip(self.series["warping_error"], self.series["warping_error_source"], strict=True)
        ]
        apart = max(4, min(24, self.frames // 20), self.frames // 100)
        least = max(NOTICEABLE, SHARE_OF_WORST * max(excess, default=0.0))
        found: list[int] = []
        for at in sorted(range(self.frames), key=lambda i: (-excess[i], i)):
            if excess[at] < least or len(found) == count:
                break
            if all(abs(at - other) >= apart for other in found):
                found.append(at)
        return found

    def table(self) -> dict[str, Any]:
        """As JSON has it."""
        summary = {name: round_digits(value) for name, value in self.summary.items()}
        return {"pairs": self.pairs, "scored_at": list(self.size), "compared_with": self.compared_with, **summary}


def round_digits(value: float | None) -> float | None:
    """Five digits: more of them say nothing."""
    return None if value is None else float(f"{value:.5g}")


def mean(values: Sequence[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    held = [v for v in values if v is not None]
    return sum(held) / len(held) if held else None


def divide(value: float | None, of: float | None) -> float | None:
    """None where it is not defined."""
    return None if value is None or not of else value / of


def flicker_removed(ratio: float | None, floor: float | None) -> float | None:
    """The share of the flicker that is gone, (1 − E) / (1 − E_source): E is the warping error of the output, E_source
    that of the source, both relative to the per-frame video's. 0: nothing, 1: as steady as the source. None where the
    per-frame video hardly flickers more than the source.
    """
    if ratio is None or floor is None or floor > MAX_SOURCE_RATIO:
        return None
    return (1 - ratio) / (1 - floor)
