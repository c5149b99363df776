"""What scikit-image computes here: connected areas, centre lines, visible differences of colours.

No other module imports it; each function does so on first use, which takes a third of a second.
"""

from __future__ import annotations

import numpy as np


def connected_areas(labels: np.ndarray) -> np.ndarray:
    """Return the number of the area of each pixel, (H, W) int64 from 1, for ``labels`` (H, W) of whole numbers ≥ 0.

    An area is a set of pixels of one label that touch at their sides.
    """
    from skimage.measure import label

    areas: np.ndarray = label(labels, background=-1, connectivity=1)
    return areas


def centre_lines(mask: np.ndarray) -> np.ndarray:
    """Return the lines of one pixel's width in the middle of strokes; (H, W) bool, both."""
    from skimage.morphology import skeletonize

    lines: np.ndarray = skeletonize(mask)
    return lines


def colour_differences(colours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the differences of colours as they are seen, CIEDE2000, (N,), of sRGB values in [0, 1], (N, 3) each.

    A difference of 1 is just visible; of 10, plain.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    differences: np.ndarray = deltaE_ciede2000(rgb2lab(colours[None]), rgb2lab(others[None]))[0]
    return differences
