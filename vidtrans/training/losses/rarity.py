"""Pixel weights by colour rarity (Zhang, Isola and Efros, "Colorful Image Colorization", ECCV 2016, section 2.2).

The paper weights classes, which are bins of CIELAB's ab plane. The generators here output RGB, so the L1 of each pixel
is weighted instead, by the bin of its target. The mean weight over the training pictures is 1, so
``training.lambda_l1`` keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Tensor

from vidtrans.networks.colour_classes import BIN_WIDTH, NUM_BINS, bin_indices, gamut, to_ab

UNIFORM_SHARE = 0.5  # The paper's λ: weight of the uniform distribution in its mixture with the colour histogram.
SMOOTHING_SIGMA = 5.0  # The paper's σ of the histogram's smoothing, in units of CIELAB's a and b.


def rarity(pictures: Iterable[np.ndarray]) -> Tensor:
    """Return the weight of each colour bin of CIELAB's ab plane, larger for rare colours of the ``pictures``.

    The table is (NUM_BINS, NUM_BINS) float32, its mean over all pixels is 1. Pictures are (H, W, 3) uint8.
    """
    counts = np.zeros((NUM_BINS, NUM_BINS))
    for picture in pictures:
        a, b = bin_indices(to_ab(torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1))
        counts += np.bincount((a * NUM_BINS + b).numpy().ravel(), minlength=NUM_BINS**2).reshape(NUM_BINS, NUM_BINS)
    share = counts / counts.sum()
    # The histogram is smoothed within the gamut, because no picture has colours outside of the gamut.
    is_inside = gamut()
    smooth = np.where(is_inside, cv2.GaussianBlur(share, (0, 0), SMOOTHING_SIGMA / BIN_WIDTH), 0.0)
    mixed = (1 - UNIFORM_SHARE) * smooth / smooth.sum() + UNIFORM_SHARE * is_inside / is_inside.sum()
    weights = np.where(is_inside, 1 / np.where(is_inside, mixed, 1.0), 0.0)
    # Rounding can produce colours just outside of the gamut; they get the weight of the rarest bin.
    weights[~is_inside] = weights.max()
    return torch.from_numpy((weights / (weights * share).sum()).astype(np.float32))


def weigh(targets: Tensor, weights: Tensor) -> Tensor:
    """Return each pixel's weight from the table of ``rarity``: (N, 3, H, W) RGB in [−1, 1] → (N, 1, H, W)."""
    return weigh_colours(to_ab(targets), weights)


def weigh_colours(ab: Tensor, weights: Tensor) -> Tensor:
    """Return the weights of ab colours, (N, 2, H, W) → (N, 1, H, W), from the table ``weights`` of ``rarity``.

    A table with only one weight applies to all colours.
    """
    if weights.numel() == 1:
        return weights.expand(len(ab), 1, *ab.shape[2:])
    a, b = bin_indices(ab)
    return weights[a, b][:, None]
