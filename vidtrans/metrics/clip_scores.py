"""The scores of a video: a value for each frame, and their summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vidtrans.core.settings import Table

NOTICEABLE = (1 / 255) ** 2  # warping error: one 8-bit level, as an RMS
SHARE_OF_WORST = 0.1  # share of the worst moment's error that makes another one worth a look
MAX_SOURCE_RATIO = 0.95  # of the per-frame's error: what the source itself has when there is nothing to remove

Series = tuple[float | None, ...]


@dataclass(frozen=True)
class Scores:
    """The scores of a video with ``frames`` frames; for ``pairs`` of consecutive frames the motion is known.

    ``size``: the (width, height) used for scoring. ``compared_with``: "reference", "per-frame" or None.
    ``summary``: a number, or None, for each measure. ``series``: for each measure one value a frame; the value of a
    pair is at its second frame.
    """

    frames: int
    pairs: int
    size: tuple[int, int]
    compared_with: str | None
    summary: dict[str, float | None]
    series: dict[str, Series]

    def worst(self, count: int = 5) -> list[int]:
        """Return at most ``count`` frames whose jumps most exceed the source's, worst first, well spread in time."""
        excess = [
            0.0 if own is None or given is None else own - given
            for own, given in zip(self.series["warping_error"], self.series["warping_error_source"], strict=True)
        ]
        min_gap = max(4, min(24, self.frames // 20), self.frames // 100)
        least = max(NOTICEABLE, SHARE_OF_WORST * max(excess, default=0.0))
        found: list[int] = []
        for at in sorted(range(self.frames), key=lambda i: (-excess[i], i)):
            if excess[at] < least or len(found) == count:
                break
            if all(abs(at - other) >= min_gap for other in found):
                found.append(at)
        return found

    def table(self) -> Table:
        """Return the scores as a JSON table."""
        summary = {name: round_digits(value) for name, value in self.summary.items()}
        return {"pairs": self.pairs, "scored_at": list(self.size), "compared_with": self.compared_with, **summary}


def round_digits(value: float | None) -> float | None:
    """Round to five significant digits."""
    return None if value is None else float(f"{value:.5g}")


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def divide(value: float | None, of: float | None) -> float | None:
    """Return ``value / of``; None where undefined."""
    return None if value is None or not of else value / of


def flicker_removed(ratio: float | None, floor: float | None) -> float | None:
    """Return the share of the flicker that is removed: 0 for none, 1 if the output is as steady as the source.

    (1 − E) / (1 − E_source), with the warping errors of output (``ratio``) and source (``floor``) relative to the
    per-frame video's. None if the per-frame video hardly flickers more than the source.
    """
    if ratio is None or floor is None or floor > MAX_SOURCE_RATIO:
        return None
    return (1 - ratio) / (1 - floor)
