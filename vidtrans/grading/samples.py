"""Samples of a grade: colours before and after, with weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CELLS = 48  # a side of the cube of colours, in which samples are averaged


@dataclass(frozen=True)
class ColourSamples:
    """Colours ``before`` and ``after`` (N, 3) float64 in [0, 1], and sample ``weights`` (N,)."""

    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray

    @classmethod
    def join(cls, parts: list[ColourSamples]) -> ColourSamples:
        """Concatenate the samples of several pictures."""
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("before", "after", "weights")))

    def averaged(self) -> ColourSamples:
        """Return one averaged sample for each occupied cell of the colour cube.

        Its weight is the square root of its samples' total weight, so that a large sky does not outweigh a face.
        """
        cell = np.minimum((self.before * CELLS).astype(np.int64), CELLS - 1) @ (1, CELLS, CELLS**2)
        _, at = np.unique(cell, return_inverse=True)
        total = np.bincount(at, self.weights)
        means = [
            np.stack([np.bincount(at, self.weights * colours[:, c]) / total for c in range(3)], axis=1)
            for colours in (self.before, self.after)
        ]
        return ColourSamples(means[0], means[1], np.sqrt(total))
