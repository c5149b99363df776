"""Maps of labels: what areas are made of."""

from __future__ import annotations

import cv2
import numpy as np


def filled_from_nearest(labels: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Return labels, (H, W) of whole numbers, with those in holes, (H, W) bool, taken from the nearest outside.

    Some are in holes, and some are not.
    """
    _, nearest = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(nearest.max() + 1, labels.dtype)
    label_of[nearest[~holes]] = labels[~holes]
    filled: np.ndarray = label_of[nearest]
    return filled
