"""A Numba kernel of frames between frames: carry a flow to a moment."""

from __future__ import annotations

from typing import Any

import numpy as np

from vidtrans.core.compiling import compiled

f32: Any = np.float32


@compiled
def project(moved: np.ndarray, flow: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
    """Add the displacements of pixels to where ``moved`` takes them, shared between the four nearest pixels.

    ``moved``, ``flow``: (h, w, 2); ``weights``: (h, w); ``sums``: (h, w, 6) of zeros, which becomes the weighted sums
    of ``moved`` and ``flow``, of the weights, and how many pixels landed. All float32.
    """
    height, width = weights.shape
    for y in range(height):
        for x in range(width):
            u, v, weight = moved[y, x, 0], moved[y, x, 1], weights[y, x]
            at_x, at_y = f32(x) + u, f32(y) + v
            left, top = int(np.floor(at_x)), int(np.floor(at_y))
            if left < -1 or top < -1 or left >= width or top >= height:
                continue
            across, down = at_x - f32(left), at_y - f32(top)
            for dy in range(2):
                row = top + dy
                if row < 0 or row >= height:
                    continue
                share_y = down if dy else f32(1) - down
                for dx in range(2):
                    column = left + dx
                    if column < 0 or column >= width:
                        continue
                    share = share_y * (across if dx else f32(1) - across)
                    part = share * weight
                    cell = sums[row, column]
                    cell[0] += part * u
                    cell[1] += part * v
                    cell[2] += part * flow[y, x, 0]
                    cell[3] += part * flow[y, x, 1]
                    cell[4] += part
                    cell[5] += share
