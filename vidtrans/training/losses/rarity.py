"""Class rebalancing by colour rarity (Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016, section 2.2).

The paper weights classes, which are bins of CIELAB's ab plane. The generators here output RGB, so the L1 of each pixel
is weighted instead, by the bin of its target. The mean weight over the training pictures is 1, so
``training.lambda_l1`` keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

BIN = 10.0  # of a and b
SIDE = 23  # bins around −110, −100, … 110
UNIFORM = 0.5  # the paper's λ: the share of the uniform distribution that is mixed in
SIGMA = 5.0  # the paper's smoothing of the histogram, in units of a and b

_TO_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_WHITE = (0.950456, 1.0, 1.088754)


def rarity(pictures: Iterable[np.ndarray]) -> Tensor:
    """Return the weight of each ab bin, (SIDE, SIDE) float32, from the colours of pictures (H, W, 3) uint8."""
    counts = np.zeros((SIDE, SIDE))
    for picture in pictures:
        a, b = _bins(picture)
        counts += np.bincount((a * SIDE + b).ravel(), minlength=SIDE**2).reshape(SIDE, SIDE)
    share = counts / counts.sum()
    # Smoothed within the gamut: outside it there is nothing that could be rare.
    inside = _gamut()
    smooth = np.where(inside, cv2.GaussianBlur(share, (0, 0), SIGMA / BIN), 0.0)
    mixed = (1 - UNIFORM) * smooth / smooth.sum() + UNIFORM * inside / inside.sum()
    weights = np.where(inside, 1 / np.where(inside, mixed, 1.0), 0.0)
    # A bin that only rounding reaches weighs as the rarest one does.
    weights[~inside] = weights.max()
    return torch.from_numpy((weights / (weights * share).sum()).astype(np.float32))


def weigh(targets: Tensor, weights: Tensor) -> Tensor:
    """Look up each pixel's weight in the table of ``rarity``: (N, 3, H, W) RGB in [−1, 1] → (N, 1, H, W)."""
    a, b = _bins_of(targets)
    return weights[a, b][:, None]


def _bins_of(targets: Tensor) -> tuple[Tensor, Tensor]:
    """Return the a and b bin indices of each pixel, (N, H, W) both."""
    rgb = (targets.float() + 1) / 2
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_TO_XYZ, device=rgb.device) / torch.tensor(_WHITE, device=rgb.device)[:, None]
    xyz = torch.einsum("ij,njhw->nihw", matrix, linear)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    a, b = 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])
    half = SIDE // 2
    number = [((v / BIN).round() + half).clamp(0, SIDE - 1).long() for v in (a, b)]
    return number[0], number[1]


def _bins(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    tensor = torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    a, b = _bins_of(tensor)
    return a[0].numpy(), b[0].numpy()


@cache
def _gamut() -> np.ndarray:
    """Return a mask of the ab bins that contain RGB colours, (SIDE, SIDE) bool."""
    levels = np.linspace(0, 255, 52).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    inside = np.zeros((SIDE, SIDE), bool)
    inside[_bins(grid)] = True
    return inside
