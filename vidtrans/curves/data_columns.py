"""Columns of values at moments, as files hold them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import unknown_name
from vidtrans.core.system import name_key
from vidtrans.curves.tracks import Track, sampled

MOST_ROWS = 1_000_000
MOST_COLUMNS = 1000
MOST_VALUES = 10_000_000  # of all columns


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

    def track(self, column: str, seconds_of: Callable[[np.ndarray], np.ndarray]) -> Track:
        """Return a column as a function of time; '' is the only one. ``seconds_of``: returns the times of frames.

        Raises UsageError.
        """
        if not column and len(self.columns) != 1:
            names = ", ".join(list(self.columns)[:12])
            raise UsageError(str(self.path), f"it has {len(self.columns)} columns", f"name one, FILE:COLUMN: {names}")
        column = name_key(column) or next(iter(self.columns))
        if column not in self.columns:
            raise unknown_name(f"column '{column}': {self.path} has no column", column, list(self.columns)[:50])
        values = self.columns[column]
        known = np.isfinite(values)
        if not known.any():
            raise UsageError(f"{self.path}:{column}", "it has no numbers", "choose another column")
        times = seconds_of(self.at[known]) if self.in_frames else self.at[known]
        return sampled(times, values[known], holds=self.holds)


def check_size(path: Path, num_rows: int, num_columns: int) -> None:
    """Raise UsageError for a file with more rows, columns or values than are read."""
    if num_rows > MOST_ROWS:
        raise UsageError(str(path), f"it has more than {MOST_ROWS:,} rows", "give fewer")
    if num_columns > MOST_COLUMNS:
        raise UsageError(str(path), f"it has more than {MOST_COLUMNS:,} columns", "leave out those that no curve reads")
    if num_rows * num_columns > MOST_VALUES:
        raise UsageError(str(path), f"it has more than {MOST_VALUES:,} values", "leave out columns")
