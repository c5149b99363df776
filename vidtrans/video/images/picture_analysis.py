"""Wrap the functions of scikit-image that are used: connected areas, centre lines, visible colour differences.

No other module imports scikit-image. Each function imports it on first use, which takes a third of a second.
"""

from __future__ import annotations

import numpy as np


def connected_areas(labels: np.ndarray) -> np.ndarray:
    """Label the connected areas of ``labels``, (H, W) integers ≥ 0: return numbers from 1, (H, W) int64.

    An area is a set of pixels of one label that touch at their sides.
    """
    from skimage.measure import label

    areas: np.ndarray = label(labels, background=-1, connectivity=1)
    return areas


def centre_lines(mask: np.ndarray) -> np.ndarray:
    """Return the centre lines of strokes, one pixel wide; ``mask`` and result are (H, W) bool."""
    from skimage.morphology import skeletonize

    lines: np.ndarray = skeletonize(mask)
    return lines


def colour_differences(colours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the perceived differences, CIEDE2000, (N,), of sRGB colours in [0, 1], (N, 3) each.

    A difference of 1 is just visible; one of 10 is obvious.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    differences: np.ndarray = deltaE_ciede2000(rgb2lab(colours[None]), rgb2lab(others[None]))[0]
    return differences
