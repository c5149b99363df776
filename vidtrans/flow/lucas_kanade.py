"""Refine a flow at full size by one step of Lucas and Kanade's method.

B. D. Lucas and T. Kanade, "An iterative image registration technique with an application to stereo vision", IJCAI 1981.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.warping import BORDER, blur, grid, grow, shrink

# Chosen by the temporal filter's scores on five clips: real flicker, two style networks, two tone curves that flicker.
AROUND = 1.5  # σ, in pixels of half the size, of the neighbourhood that moves as one
LIGHTING = 4.0  # … over which a difference in brightness is that of the light
OUTLIER = 20.0  # grey levels: a difference that counts half
DAMPING = 20.0  # squared grey levels per pixel: how strong gradients are that decide
LONGEST = 1.0  # pixels in each axis
_SLOPE = np.array([[-0.25, 0, 0.25]], np.float32)  # of the sum of two pictures: the central difference of their mean


def refine(first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return a flow that is right within about a pixel with smaller errors: (H, W, 2) float32 pixels.

    ``first`` and ``second`` are (H, W) uint8. What is left between them along the flow, but for slow changes of light,
    is explained by their gradients: least squares around each place of half the size, in which outliers count little.
    """
    height, width = first.shape
    half = (-(-width // 2), -(-height // 2))
    here = first.astype(np.float32)
    there = cv2.remap(second.astype(np.float32), grid(height, width) + flow, None, cv2.INTER_LINEAR, borderMode=BORDER)
    both = cv2.add(here, there)
    across, down = (cv2.filter2D(both, -1, kernel, borderType=BORDER) for kernel in (_SLOPE, _SLOPE.T))
    change = cv2.subtract(there, here)
    change -= grow(blur(shrink(change, half), LIGHTING), (width, height))
    sure = cv2.multiply(change, change, scale=OUTLIER**-2)
    sure += 1
    sure_across, sure_down = cv2.divide(across, sure), cv2.divide(down, sure)
    products = [(sure_across, across), (sure_across, down), (sure_across, change), (sure_down, change)]
    packed = cv2.merge([cv2.multiply(a, b) for a, b in products])  # four channels take little longer than one
    xx, xy, xt, yt = cv2.split(blur(shrink(packed, half), AROUND))
    yy = blur(shrink(cv2.multiply(sure_down, down), half), AROUND)
    xx += DAMPING
    yy += DAMPING
    determinant = xx * yy - xy * xy
    steps = [(xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant]
    return cv2.add(flow, grow(cv2.merge([np.clip(step, -LONGEST, LONGEST) for step in steps]), (width, height)))
