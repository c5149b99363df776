"""One method against the whole curve of another: how near the per-frame pictures, and how steady, it can be at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

STEPS = 64  # between two settings, geometrically in the ratio and linearly in dB
MORE_DB = 3.0  # at equal ratio, that count as better


@dataclass(frozen=True)
class Point:
    """``ratio``: warping error over the per-frame pictures', lower is steadier; ``db``: PSNR, higher is nearer."""

    ratio: float
    db: float


@dataclass(frozen=True)
class Against:
    """The best that an opponent reaches beside ``own``, at any of its settings.

    ``ratio``: its lowest at our PSNR or above. Where it has no setting so near, ``nearest`` is True and it is that of
    the setting of the highest PSNR: to come as near as ours, it would be higher. ``db``: its highest at our ratio or
    below. Where it has no setting so steady, ``steadiest`` is True and it is that of the lowest ratio.
    """

    own: Point
    ratio: float
    db: float
    nearest: bool
    steadiest: bool

    @property
    def more_db(self) -> float:
        return self.own.db - self.db

    @property
    def better(self) -> bool:
        """The goal: a lower ratio at equal PSNR, or 3 dB more at equal ratio."""
        return self.own.ratio < self.ratio or self.more_db >= MORE_DB

    def cells(self) -> tuple[str, str, str]:
        """The opponent's ratio at our PSNR, its PSNR at our ratio, and how much more ours is."""
        return (
            f"{'> ' if self.nearest else ''}{self.ratio:.3f}",
            f"{'< ' if self.steadiest else ''}{self.db:.1f}",
            f"{'> ' if self.steadiest else ''}{self.more_db:+.1f}",
        )


def against(own: Point, settings: Sequence[Point]) -> Against:
    """``settings``: the opponent's points in the order of what is swept; between neighbours they are interpolated."""
    ratios = np.concatenate([np.geomspace(a.ratio, b.ratio, STEPS) for a, b in _segments(settings)])
    dbs = np.concatenate([np.linspace(a.db, b.db, STEPS) for a, b in _segments(settings)])
    near, steady = dbs >= own.db, ratios <= own.ratio
    return Against(
        own,
        float(ratios[near].min() if near.any() else ratios[dbs.argmax()]),
        float(dbs[steady].max() if steady.any() else dbs[ratios.argmin()]),
        not near.any(),
        not steady.any(),
    )


def _segments(points: Sequence[Point]) -> list[tuple[Point, Point]]:
    return list(pairwise(points)) or [(points[0], points[0])]
