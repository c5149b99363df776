"""Scores of mattes beside true ones: region J, boundary F and jitter of the edge.

J and F are those of DAVIS (Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation", CVPR 2016). All take masks (H, W) bool.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import cv2
import numpy as np

TOLERANCE = 0.008  # of the diagonal: how far apart edges may be that count as equal, as DAVIS has it


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
