"""Columns of values at moments, as files hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.curves.tracks import Track, sampled

MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class DataColumns:
    """The columns of a file. ``at``: moments in order; ``columns``: values at them, NaN where there is none.

    ``in_frames``: whether moments are frames, else seconds. ``holds``: values stay until the next; else they change
    linearly.
    """

    path: Path
    at: np.ndarray
    columns: Mapping[str, np.ndarray]
    in_frames: bool
    holds: bool = False

    def track(self, column: str, seconds_of: Callable[[float], float]) -> Track:
        """Return a column as a function of time; '' is the only one. ``seconds_of``: returns the time of a frame.

        Raises UsageError.
        """
        if not column and len(self.columns) != 1:
            names = ", ".join(list(self.columns)[:12])
            raise UsageError(str(self.path), f"it has {len(self.columns)} columns", f"name one, FILE:COLUMN: {names}")
        column = column or next(iter(self.columns))
        if column not in self.columns:
            raise unknown_name(f"column '{column}': {self.path} has no column", column, list(self.columns)[:50])
        values = self.columns[column]
        known = np.isfinite(values)
        if not known.any():
            raise UsageError(f"{self.path}:{column}", "it has no numbers", "choose another column")
        times = np.array([seconds_of(at) for at in self.at[known]]) if self.in_frames else self.at[known]
        return sampled(times, values[known], holds=self.holds)
