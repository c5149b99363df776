"""Scores of label maps and mattes beside true ones.

Of label maps, from one table of counts: accuracy of pixels and of classes, and the intersection over the union of
classes, as in Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015), and in
pix2pix. Of mattes, (H, W) bool: region J, boundary F and jitter of the edge; J and F are those of DAVIS (Perazzi et
al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from vidtrans.metrics.consistency import mean

NO_CLASS = -1
TOLERANCE = 0.008  # of the diagonal: how far apart edges may be that count as equal, as DAVIS has it


@dataclass(frozen=True)
class LabelCounts:
    """Pixels counted by their class in the reference (rows) and in the result (columns), (classes, classes + 1) int64.

    The last column counts pixels of the result that have no class. Pixels without a class in the reference are ignored.
    """

    table: np.ndarray

    @classmethod
    def of(cls, found: np.ndarray, reference: np.ndarray, classes: int) -> Self:
        """Count the pixels of label maps, (H, W) integers below ``classes``; below 0 is no class.

        Raises ValueError for maps of two sizes, and for labels beyond the classes.
        """
        if found.shape != reference.shape:
            raise ValueError(f"the maps have the shapes {found.shape} and {reference.shape}")
        for labels in (found, reference):
            if labels.size and labels.max() >= classes:
                raise ValueError(f"label {labels.max()} is beyond the {classes} classes")
        counted = reference >= 0
        rows, columns = reference[counted].astype(np.int64), found[counted].astype(np.int64)
        columns = np.where(columns < 0, classes, columns)
        counts = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
        return cls(counts.reshape(classes, classes + 1))

    @classmethod
    def total(cls, counts: Iterable[LabelCounts]) -> Self:
        """Return the sum of one or more counts of the same classes."""
        return cls(np.sum([one.table for one in counts], axis=0))

    @property
    def pixel_accuracy(self) -> float | None:
        """The share of right pixels, 0 to 1; None where nothing was counted."""
        number = self.table.sum()
        return float(self._right.sum() / number) if number else None

    @property
    def accuracies(self) -> list[float | None]:
        """Each class's share of right pixels; None for classes that the reference has not."""
        return _shares(self._right, self.table.sum(axis=1))

    @property
    def ious(self) -> list[float | None]:
        """Each class's intersection over union; None for classes that neither has."""
        return _shares(self._right, self.table.sum(axis=1) + self.table[:, :-1].sum(axis=0) - self._right)

    @property
    def class_accuracy(self) -> float | None:
        """The mean of ``accuracies`` over the classes that the reference has."""
        return mean(self.accuracies)

    @property
    def mean_iou(self) -> float | None:
        """The mean of ``ious`` over the classes that either has."""
        return mean(self.ious)

    @property
    def permutation(self) -> list[int] | None:
        """For each class of the reference the class that the result has in its place; None if the classes agree.

        Found where another assignment of classes makes at least half of the wrong pixels right: a palette in another
        order, or two classes exchanged.
        """
        from scipy.optimize import linear_sum_assignment

        square = self.table[:, :-1]
        rows, columns = linear_sum_assignment(square, maximize=True)
        wrong, better = self.table.sum() - self._right.sum(), square[rows, columns].sum() - self._right.sum()
        return [int(column) for column in columns] if better and 2 * better >= wrong else None

    @property
    def _right(self) -> np.ndarray:
        return np.diagonal(self.table)


def _shares(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def region(made: np.ndarray, truth: np.ndarray) -> float:
    """Return J, the intersection over union; 1 where both are empty."""
    either = int((made | truth).sum())
    return float((made & truth).sum() / either) if either else 1.0


def boundary(made: np.ndarray, truth: np.ndarray, pixels: float | None = None) -> float:
    """Return F, the F-measure of edges that are at most ``pixels`` apart; 1 where both masks have none.

    ``pixels``: None for ``TOLERANCE`` of the diagonal, rounded up.
    """
    reach = math.ceil(TOLERANCE * math.hypot(*truth.shape)) if pixels is None else pixels
    ours, true = _edge(made), _edge(truth)
    if not ours.any() and not true.any():
        return 1.0
    if not ours.any() or not true.any():
        return 0.0
    precision = float((_distance(true)[ours] <= reach).mean())
    recall = float((_distance(ours)[true] <= reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def jitter(made: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Return by how many pixels more than the true edge the edge moves, on average, from one frame to the next."""
    pairs = zip(itertools.pairwise(made), itertools.pairwise(truth), strict=True)
    moved = [(edge_motion(*ours), edge_motion(*true)) for ours, true in pairs]
    known = [ours - true for ours, true in moved if not math.isnan(ours - true)]
    return float(np.mean(known)) if known else 0.0


def edge_motion(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean distance of the edges of two masks, both ways; NaN where one has none."""
    edges = _edge(one), _edge(other)
    if not all(edge.any() for edge in edges):
        return math.nan
    there, back = _distance(edges[1])[edges[0]].mean(), _distance(edges[0])[edges[1]].mean()
    return float(there + back) / 2


def _edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask (H, W) that lie beside others, to the right, below or diagonally."""
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _distance(edge: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the nearest one of an edge, (H, W) float32."""
    return cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
