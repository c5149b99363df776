"""What a dream sees of its clip's frames, as the camera moves: bounded, because no frame holds an endless zoom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

NEAR, NEAREST = 3.0, 6.0  # times as near as at the start: from here on frames count less, and here not at all
FAR, FARTHEST = 1.5, 2.0  # times as wide as the frame: the same for a camera that goes back
RETURN = 30  # frames in which the clip's frames come back after the view began anew


@dataclass(frozen=True)
class ClipView:
    """A view: ``matrix`` (3, 3) float64, from places of the picture to those of the frame, see ``normalised``.

    ``start``: the one that it began with, to which it goes back where it has left what the frames show. ``since``:
    frames since it began anew.
    """

    start: np.ndarray = field(default_factory=lambda: np.eye(3))
    matrix: np.ndarray = field(default_factory=lambda: np.eye(3))
    since: int = RETURN

    @classmethod
    def at(cls, start: np.ndarray) -> ClipView:
        """Return the view of a dream that begins."""
        return cls(start, start)

    def moved(self, move: np.ndarray) -> ClipView:
        """Return the view a frame later, after a camera's ``move``, (3, 3); anew where it would be too near or far."""
        matrix = self.matrix @ move
        near, far = self._reach(matrix)
        if near >= NEAREST or far >= FARTHEST or not np.isfinite(matrix).all():
            return ClipView(self.start, self.start, 0)
        return ClipView(self.start, matrix, min(self.since + 1, RETURN))

    @property
    def share(self) -> float:
        """Return how far the clip's frames count in this view, 0 to 1."""
        near, far = self._reach(self.matrix)
        shares = self.since / RETURN, (NEAREST - near) / (NEAREST - NEAR), (FARTHEST - far) / (FARTHEST - FAR)
        return float(min(1.0, max(0.0, min(shares))))

    def _reach(self, matrix: np.ndarray) -> tuple[float, float]:
        """Return how many times as near as at the start, and as wide as the frame, a view is."""
        scales = [float(np.sqrt(abs(np.linalg.det(view[:2, :2])))) for view in (self.start, matrix)]
        return scales[0] / max(scales[1], 1e-9), scales[1]
