"""Score label maps and mattes against true label maps and mattes.

Label maps, by their confusion matrix: accuracy of pixels and of classes, and the intersection over union of classes, as
in Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015), and in pix2pix.
Mattes, (H, W) bool: region J, boundary F and jitter of the edge; J and F are those of DAVIS (Perazzi et al., "A
Benchmark Dataset and Evaluation Methodology for Video Object Segmentation", CVPR 2016).
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

NO_CLASS = -1  # Label of pixels without a class, which are not counted
TOLERANCE = 0.008  # Distance up to which edges match, as a share of the picture's diagonal, as in DAVIS


@dataclass(frozen=True)
class LabelCounts:
    """A confusion matrix: numbers of pixels by class in the reference (rows) and in the result (columns).

    The table is (classes, classes + 1) int64. Its last column counts pixels of the result without a class. Pixels
    without a class in the reference are ignored.
    """

    table: np.ndarray

    @classmethod
    def of(cls, predicted: np.ndarray, reference: np.ndarray, classes: int) -> Self:
        """Count the pixels of two label maps, (H, W) integers below ``classes``; negative labels mean no class.

        Raises ValueError for maps of two sizes, and for labels beyond the classes.
        """
        if predicted.shape != reference.shape:
            raise ValueError(f"the maps have the shapes {predicted.shape} and {reference.shape}")
        for labels in (predicted, reference):
            if labels.size and labels.max() >= classes:
                raise ValueError(f"label {labels.max()} is beyond the {classes} classes")
        counted = reference >= 0
        rows, columns = reference[counted].astype(np.int64), predicted[counted].astype(np.int64)
        columns = np.where(columns < 0, classes, columns)
        counts = np.bincount(rows * (classes + 1) + columns, minlength=classes * (classes + 1))
        return cls(counts.reshape(classes, classes + 1))

    @classmethod
    def total(cls, counts: Iterable[LabelCounts]) -> Self:
        """Return the sum of several confusion matrices."""
        return cls(np.sum([one.table for one in counts], axis=0))

    @property
    def pixel_accuracy(self) -> float | None:
        """Return the share of pixels with the correct class, 0 to 1; None if no pixel was counted."""
        number = self.table.sum()
        return float(self._correct.sum() / number) if number else None

    @property
    def accuracies(self) -> list[float | None]:
        """Return the share of correct pixels of each class; None for classes that the reference does not have."""
        return _shares(self._correct, self.table.sum(axis=1))

    @property
    def ious(self) -> list[float | None]:
        """Return the intersection over union of each class; None for classes in neither reference nor result."""
        return _shares(self._correct, self.table.sum(axis=1) + self.table[:, :-1].sum(axis=0) - self._correct)

    @property
    def class_accuracy(self) -> float | None:
        """Return the mean of ``accuracies`` over the classes of the reference."""
        return mean(self.accuracies)

    @property
    def mean_iou(self) -> float | None:
        """Return the mean of ``ious`` over the classes in reference or result."""
        return mean(self.ious)

    @property
    def permutation(self) -> list[int] | None:
        """Return the result's class that best matches each reference class; None if the classes already match.

        A permutation is reported if it makes at least half of the wrong pixels correct: a palette in another order, or
        two exchanged classes.
        """
        from scipy.optimize import linear_sum_assignment

        square = self.table[:, :-1]
        rows, columns = linear_sum_assignment(square, maximize=True)
        wrong, better = self.table.sum() - self._correct.sum(), square[rows, columns].sum() - self._correct.sum()
        return [int(column) for column in columns] if better and 2 * better >= wrong else None

    @property
    def _correct(self) -> np.ndarray:
        """Return the number of correct pixels of each class."""
        return np.diagonal(self.table)


def _shares(parts: np.ndarray, wholes: np.ndarray) -> list[float | None]:
    """Return ``part / whole`` for each pair; None where the whole is 0."""
    return [float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True)]


def region(result: np.ndarray, truth: np.ndarray) -> float:
    """Return J, the intersection over union of two masks, (H, W) bool; 1 if both masks are empty."""
    either = int((result | truth).sum())
    return float((result & truth).sum() / either) if either else 1.0


def boundary(result: np.ndarray, truth: np.ndarray, pixels: float | None = None) -> float:
    """Return F, the F-measure of edges that match within ``pixels``; 1 if neither mask has an edge.

    ``pixels``: None for ``TOLERANCE`` of the diagonal, rounded up.
    """
    reach = math.ceil(TOLERANCE * math.hypot(*truth.shape)) if pixels is None else pixels
    result_edge, true_edge = _edge(result), _edge(truth)
    if not result_edge.any() and not true_edge.any():
        return 1.0
    if not result_edge.any() or not true_edge.any():
        return 0.0
    precision = float((_distance(true_edge)[result_edge] <= reach).mean())
    recall = float((_distance(result_edge)[true_edge] <= reach).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def jitter(result: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> float:
    """Return the mean motion of a matte's edge between frames minus that of the true matte's edge, in pixels.

    ``result`` and ``truth``: the masks of consecutive frames, (H, W) bool.
    """
    pairs = zip(itertools.pairwise(result), itertools.pairwise(truth), strict=True)
    moved = [(edge_motion(*result_edge), edge_motion(*true_edge)) for result_edge, true_edge in pairs]
    known = [result_edge - true_edge for result_edge, true_edge in moved if not math.isnan(result_edge - true_edge)]
    return float(np.mean(known)) if known else 0.0


def edge_motion(one: np.ndarray, other: np.ndarray) -> float:
    """Return the symmetric mean distance between the edges of two masks, in pixels; NaN if a mask has no edge."""
    edges = _edge(one), _edge(other)
    if not all(edge.any() for edge in edges):
        return math.nan
    there, back = _distance(edges[1])[edges[0]].mean(), _distance(edges[0])[edges[1]].mean()
    return float(there + back) / 2


def _edge(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask (H, W) that differ from a neighbour to the right, below or diagonally."""
    edge = np.zeros_like(mask)
    edge[:, :-1] |= mask[:, :-1] ^ mask[:, 1:]
    edge[:-1] |= mask[:-1] ^ mask[1:]
    edge[:-1, :-1] |= mask[:-1, :-1] ^ mask[1:, 1:]
    return edge


def _distance(edge: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the nearest edge pixel, (H, W) float32."""
    return cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
