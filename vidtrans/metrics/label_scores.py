"""Scores of label maps: how well the classes of pixels were found, from one table of counts.

Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, whose scores pix2pix
reports: accuracy of pixels and of classes, and the intersection over the union of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np

NO_CLASS = -1


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
        return _mean(self.accuracies)

    @property
    def mean_iou(self) -> float | None:
        """The mean of ``ious`` over the classes that either has."""
        return _mean(self.ious)

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


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
