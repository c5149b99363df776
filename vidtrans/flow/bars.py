"""Find borders of a clip that are flat and stay as they are: black bars above and below, or beside the picture."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

FLAT = 4.0  # grey levels, 0 to 255, within which a border is flat: what is left of noise in a thumbnail
SMALLEST = 4  # pixels of a thumbnail, each way, that are left at least

Extents = tuple[np.ndarray, np.ndarray]
Part = tuple[slice, slice]
WHOLE: Part = (slice(None), slice(None))


def extents(thumbnail: np.ndarray) -> Extents:
    """Return the least and the largest colour of each row and column of (h, w, 3): (h, 2, 3) and (w, 2, 3)."""
    rows, columns = ((thumbnail.min(axis), thumbnail.max(axis)) for axis in (1, 0))
    return np.stack(rows, 1), np.stack(columns, 1)


def part_within_bars(frames: Iterable[Extents], height: int, width: int) -> Part:
    """Return the part of pictures of this size that is left without the borders that are flat and alike in all."""
    rows, columns = zip(*frames, strict=True)
    part = _inner(np.stack(rows), height), _inner(np.stack(columns), width)
    return part if None not in part else WHOLE  # type: ignore[return-value]


def _inner(lines: np.ndarray, length: int) -> slice | None:
    """Return the inner part of ``lines`` (frames, n, 2, 3), scaled to ``length``; None where hardly any is left."""
    lowest, highest = lines[:, :, 0].min(0), lines[:, :, 1].max(0)
    alive = np.flatnonzero((highest - lowest > FLAT).any(1))
    if len(alive) == 0 or alive[-1] + 1 - alive[0] < min(SMALLEST, len(lowest)):
        return None
    if alive[0] == 0 and alive[-1] == len(lowest) - 1:
        return slice(None)
    # A line that lies half on a border would be structure that stays: it is left out as well.
    first = alive[0] + (alive[0] > 0)
    stop = alive[-1] + (alive[-1] == len(lowest) - 1)
    scale = length / len(lowest)
    return slice(int(np.ceil(first * scale)), int(stop * scale)) if stop - first >= SMALLEST else None
